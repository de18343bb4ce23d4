//! Numbers for the operators' overview, each counted only so far: what is stored grows for ever, and a page must not.

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

/// What is stored and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events kept.
    pub events: i64,
    /// Deliveries beyond the first of an event, among the newest events.
    pub duplicates: i64,
    /// Events that no sync has answered yet; those of parked aggregates are not counted.
    pub waiting: i64,
    /// Commands that are still to be carried out; parked ones are not counted.
    pub outbox: i64,
    /// Customers.
    pub customers: i64,
}

static EVENTS: &Sql = crate::sql!(
    "overview.events",
    "SELECT COUNT(*) AS events,
       CAST(COALESCE(SUM(CASE WHEN deliveries > 1 THEN deliveries - 1 ELSE 0 END), 0) AS BIGINT) AS repeats
     FROM (SELECT deliveries FROM events ORDER BY seq DESC LIMIT $1) AS newest"
);
static WAITING: &Sql = crate::sql!(
    "overview.waiting",
    "SELECT COUNT(*) AS n FROM (
       SELECT e.seq FROM aggregates a JOIN events e ON e.aggregate = a.key AND e.mark > a.done
       WHERE a.done < a.wanted AND a.parked_at IS NULL LIMIT $1) AS counted"
);
static OUTBOX: &Sql = crate::sql!(
    "overview.outbox",
    "SELECT COUNT(*) AS n FROM (
       SELECT id FROM commands WHERE state = 'pending' AND parked_at IS NULL LIMIT $1) AS counted"
);
static CUSTOMERS: &Sql = crate::sql!(
    "overview.customers",
    "SELECT COUNT(*) AS n FROM (SELECT id FROM customers LIMIT $1) AS counted"
);

/// Counts each of them, up to `most`.
///
/// # Errors
/// As the database.
pub fn counts(tx: &mut dyn Tx, most: i64) -> Result<Counts> {
    let events = tx.query_one(EVENTS, params![most])?;
    Ok(Counts {
        events: events.i64("events")?,
        duplicates: events.i64("repeats")?,
        waiting: tx.query_one(WAITING, params![most])?.i64("n")?,
        outbox: tx.query_one(OUTBOX, params![most])?.i64("n")?,
        customers: tx.query_one(CUSTOMERS, params![most])?.i64("n")?,
    })
}

#[cfg(test)]
mod tests {
    use quittance_domain::{CustomerId, Timestamp};

    use super::*;
    use crate::customers::{self, CustomerPatch};
    use crate::db::Db;
    use crate::testing::on_each_database;

    #[tokio::test]
    async fn nothing_is_counted_further_than_asked() {
        on_each_database(async |db: Db| {
            let filled = db.write("test.fill", |tx| {
                for n in 0..5 {
                    let id = CustomerId::parse(&format!("user_{n}"))
                        .map_err(|e| crate::StoreError::Aborted(e.to_string()))?;
                    customers::upsert(tx, &id, &CustomerPatch::default(), Timestamp::from_ms(1))?;
                }
                Ok((counts(tx, 3)?.customers, counts(tx, 10)?.customers))
            });
            assert_eq!(filled.await.expect("counted"), (3, 5));
        })
        .await;
    }
}
