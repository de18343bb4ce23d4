//! Numbers for the operators' overview. They count whole tables, so nothing else should ask for them.

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

/// What is stored and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events kept.
    pub events: i64,
    /// Deliveries beyond the first of an event.
    pub duplicates: i64,
    /// Events that no sync has answered yet.
    pub waiting: i64,
    /// Commands that have not been carried out.
    pub outbox: i64,
    /// Customers.
    pub customers: i64,
}

static EVENTS: &Sql = crate::sql!(
    "overview.events",
    "SELECT COUNT(*) AS events, CAST(COALESCE(SUM(deliveries), 0) AS BIGINT) AS deliveries FROM events"
);
static WAITING: &Sql = crate::sql!(
    "overview.waiting",
    "SELECT COUNT(*) AS n FROM aggregates a JOIN events e ON e.aggregate = a.key AND e.mark > a.done
     WHERE a.done < a.wanted"
);
static OUTBOX: &Sql =
    crate::sql!("overview.outbox", "SELECT COUNT(*) AS n FROM commands WHERE state = 'pending'");
static CUSTOMERS: &Sql = crate::sql!("overview.customers", "SELECT COUNT(*) AS n FROM customers");

/// Counts everything.
///
/// # Errors
/// As the database.
pub fn counts(tx: &mut dyn Tx) -> Result<Counts> {
    let events = tx.query_one(EVENTS, params![])?;
    let (kept, deliveries) = (events.i64("events")?, events.i64("deliveries")?);
    Ok(Counts {
        events: kept,
        duplicates: deliveries.saturating_sub(kept),
        waiting: tx.query_one(WAITING, params![])?.i64("n")?,
        outbox: tx.query_one(OUTBOX, params![])?.i64("n")?,
        customers: tx.query_one(CUSTOMERS, params![])?.i64("n")?,
    })
}
