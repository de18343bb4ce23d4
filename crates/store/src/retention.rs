//! Forgetting what is old: in small steps, so that nobody waits for it.
//!
//! A step looks at a window of running numbers, so that what must stay (work that is not done) costs one look and not a scan.

use quittance_domain::Timestamp;

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

/// Running numbers that one step looks at.
pub const WINDOW: i64 = 500;

/// What can be forgotten when it is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forgettable {
    /// What the provider sent, once it is processed.
    Events,
    /// What left, once it is over, with its tries.
    Deliveries,
    /// What was sent by mail, with its text.
    Mails,
    /// Findings of sweeps that are mended.
    Drifts,
}

impl Forgettable {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Events, Self::Deliveries, Self::Mails, Self::Drifts];

    /// The word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Deliveries => "deliveries",
            Self::Mails => "mails",
            Self::Drifts => "drifts",
        }
    }
}

static NEXT_EVENT: &Sql = crate::sql!(
    "retention.next_event",
    "SELECT seq, received_at AS at FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1"
);
static NEXT_DELIVERY: &Sql = crate::sql!(
    "retention.next_delivery",
    "SELECT seq, created_at AS at FROM deliveries WHERE seq >= $1 ORDER BY seq LIMIT 1"
);
static NEXT_MAIL: &Sql = crate::sql!(
    "retention.next_mail",
    "SELECT seq, sent_at AS at FROM mails WHERE seq >= $1 ORDER BY seq LIMIT 1"
);
static NEXT_DRIFT: &Sql = crate::sql!(
    "retention.next_drift",
    "SELECT seq, found_at AS at FROM drifts WHERE seq >= $1 ORDER BY seq LIMIT 1"
);
static EVENTS: &Sql = crate::sql!(
    "retention.events",
    "DELETE FROM events WHERE seq >= $1 AND seq < $2 AND received_at < $3
       AND EXISTS (SELECT 1 FROM aggregates WHERE aggregates.key = events.aggregate AND aggregates.done >= events.mark)"
);
static ATTEMPTS: &Sql = crate::sql!(
    "retention.attempts",
    "DELETE FROM delivery_attempts WHERE delivery >= $1 AND delivery < $2
       AND EXISTS (SELECT 1 FROM deliveries WHERE deliveries.seq = delivery_attempts.delivery
         AND deliveries.created_at < $3 AND deliveries.state <> 'pending')"
);
static DELIVERIES: &Sql = crate::sql!(
    "retention.deliveries",
    "DELETE FROM deliveries WHERE seq >= $1 AND seq < $2 AND created_at < $3 AND state <> 'pending'"
);
static MAILS: &Sql =
    crate::sql!("retention.mails", "DELETE FROM mails WHERE seq >= $1 AND seq < $2 AND sent_at < $3");
static DRIFTS: &Sql = crate::sql!(
    "retention.drifts",
    "DELETE FROM drifts WHERE seq >= $1 AND seq < $2 AND found_at < $3 AND state = 'mended'"
);

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many were forgotten.
    pub forgotten: u64,
    /// Where the next step begins; `None` when there is nothing older.
    pub next: Option<i64>,
}

/// Forgets what became so before `before`, in the first window from `from` on.
///
/// # Errors
/// As the database.
pub fn step(tx: &mut dyn Tx, what: Forgettable, from: i64, before: Timestamp) -> Result<Step> {
    let (next, deletes): (&Sql, &[&Sql]) = match what {
        Forgettable::Events => (NEXT_EVENT, &[EVENTS]),
        Forgettable::Deliveries => (NEXT_DELIVERY, &[ATTEMPTS, DELIVERIES]),
        Forgettable::Mails => (NEXT_MAIL, &[MAILS]),
        Forgettable::Drifts => (NEXT_DRIFT, &[DRIFTS]),
    };
    let over = Step { forgotten: 0, next: None };
    let Some(first) = tx.query_opt(next, params![from])? else { return Ok(over) };
    if first.i64("at")? >= before.ms() {
        return Ok(over);
    }
    let (start, mut forgotten) = (first.i64("seq")?, 0);
    let end = start.saturating_add(WINDOW);
    for delete in deletes {
        forgotten = tx.exec(delete, params![start, end, before.ms()])?;
    }
    Ok(Step { forgotten, next: Some(end) })
}

#[cfg(test)]
mod tests {
    use quittance_domain::delivery::Channel;

    use super::*;
    use crate::deliveries::{self, NewDelivery};
    use crate::testing::on_each_database;

    static OVER: Sql =
        Sql::registered("test.retention_over", "UPDATE deliveries SET state = 'delivered' WHERE seq % 2 = 0");
    static COUNT: Sql = Sql::registered("test.retention_count", "SELECT COUNT(*) AS n FROM deliveries");

    #[tokio::test]
    async fn what_is_over_and_old_goes_and_what_waits_or_is_young_stays() {
        on_each_database(|db| {
            Box::pin(async move {
                let count = WINDOW * 2 + 100;
                db.write("test", move |tx| {
                    for n in 0..count {
                        let new = NewDelivery {
                            channel: Channel::Mail,
                            key: n.to_string(),
                            lane: n.to_string(),
                            destination: "x".into(),
                            customer: None,
                            payload: "{}".into(),
                            not_before: None,
                        };
                        // The last hundred are young.
                        let at = if n < count - 100 { 10 } else { 1_000 };
                        deliveries::put(tx, &new, Timestamp::from_ms(at))?;
                    }
                    tx.exec(&OVER, params![]).map(drop)
                })
                .await
                .unwrap();
                let (mut from, mut gone, mut steps) = (0, 0, 0);
                loop {
                    let step = db
                        .write("test", move |tx| {
                            step(tx, Forgettable::Deliveries, from, Timestamp::from_ms(500))
                        })
                        .await
                        .unwrap();
                    gone += step.forgotten;
                    steps += 1;
                    match step.next {
                        Some(next) => from = next,
                        None => break,
                    }
                }
                let left = db.read("test", |tx| tx.query_one(&COUNT, params![])?.i64("n")).await.unwrap();
                assert_eq!((gone, left, steps), (500, count - 500, 3));
            })
        })
        .await;
    }
}
