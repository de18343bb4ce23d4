//! Deliveries: mail and webhooks, written down in the transaction that makes them true.
//!
//! Channel and natural key are unique, so a fact is told once. A lane is delivered in the order of its numbers; whoever
//! writes holds the customer's row, so that numbers and commits of a lane have the same order.

use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::ids::LeaseToken;
use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A delivery to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The way on which it leaves.
    pub channel: Channel,
    /// Its natural key within the channel.
    pub key: String,
    /// What it waits its turn in.
    pub lane: String,
    /// Whom it goes to.
    pub destination: String,
    /// The customer it is about, if any.
    pub customer: Option<CustomerId>,
    /// What its courier needs, JSON.
    pub payload: String,
    /// Not to be sent before; `None`: at once.
    pub not_before: Option<Timestamp>,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its number; the order within its lane.
    pub seq: i64,
    /// The way on which it leaves.
    pub channel: Channel,
    /// Its natural key within the channel.
    pub key: String,
    /// What it waits its turn in.
    pub lane: String,
    /// Whom it goes to.
    pub destination: String,
    /// The customer it is about, if any.
    pub customer: Option<String>,
    /// What its courier needs, JSON.
    pub payload: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// How many of these tries were made before somebody let it be tried again.
    pub attempts_before: i64,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
    /// What went wrong last, or why it was not sent.
    pub last_error: Option<String>,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// It ended the delivery like this; never `Pending`.
    Over(DeliveryState),
    /// It is tried again at this time.
    RetryAt(Timestamp),
}

/// A try that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Which one, from 1.
    pub attempt: i64,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// `delivered`, `suppressed`, `retry` or `failed`.
    pub outcome: String,
    /// What the other side said, or why it was not sent.
    pub detail: String,
}

static PUT: &Sql = crate::sql!(
    "deliveries.put",
    "INSERT INTO deliveries (channel, key, lane, destination, customer, payload, state, attempts, next_attempt_at, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, 'pending', 0, $7, $8)
     ON CONFLICT (channel, key) DO NOTHING"
);
static DUE: &Sql = crate::sql!(
    "deliveries.due",
    "SELECT seq FROM (
       SELECT seq, next_attempt_at, lease_until,
         ROW_NUMBER() OVER (PARTITION BY destination
           ORDER BY CASE WHEN lease_until > $2 THEN 0 ELSE 1 END, next_attempt_at, seq) AS place
       FROM deliveries
       WHERE channel = $1 AND state = 'pending' AND next_attempt_at <= $2
         AND NOT EXISTS (SELECT 1 FROM deliveries AS older
           WHERE older.channel = deliveries.channel AND older.lane = deliveries.lane AND older.state = 'pending'
             AND older.seq < deliveries.seq)) AS due
     WHERE place <= $3 AND (lease_until IS NULL OR lease_until <= $2) ORDER BY next_attempt_at, seq LIMIT $4"
);
static CLAIM: &Sql = crate::sql!(
    "deliveries.claim",
    "UPDATE deliveries SET lease_token = $2, lease_until = $3, attempts = attempts + 1
     WHERE seq = $1 AND state = 'pending' AND next_attempt_at <= $4 AND (lease_until IS NULL OR lease_until <= $4)
       AND NOT EXISTS (SELECT 1 FROM deliveries AS older
         WHERE older.channel = deliveries.channel AND older.lane = deliveries.lane AND older.state = 'pending'
           AND older.seq < deliveries.seq)"
);
static GET: &Sql = crate::sql!(
    "deliveries.get",
    "SELECT seq, channel, key, lane, destination, customer, payload, state, attempts, attempts_before, next_attempt_at,
       last_error, created_at, finished_at
     FROM deliveries WHERE seq = $1"
);
static BY_KEY: &Sql = crate::sql!(
    "deliveries.by_key",
    "SELECT seq, channel, key, lane, destination, customer, payload, state, attempts, attempts_before, next_attempt_at,
       last_error, created_at, finished_at
     FROM deliveries WHERE channel = $1 AND key = $2"
);
static FINISH: &Sql = crate::sql!(
    "deliveries.finish",
    "UPDATE deliveries SET state = $3, last_error = $4, finished_at = $5, lease_token = NULL, lease_until = NULL
     WHERE seq = $1 AND lease_token = $2 AND state = 'pending'"
);
static RETRY: &Sql = crate::sql!(
    "deliveries.retry",
    "UPDATE deliveries SET next_attempt_at = $3, last_error = $4, lease_token = NULL, lease_until = NULL
     WHERE seq = $1 AND lease_token = $2 AND state = 'pending'"
);
static ATTEMPTED: &Sql = crate::sql!(
    "deliveries.attempted",
    "INSERT INTO delivery_attempts (delivery, attempt, began_at, ended_at, outcome, detail) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (delivery, attempt) DO NOTHING"
);
static ATTEMPTS: &Sql = crate::sql!(
    "deliveries.attempts",
    "SELECT attempt, began_at, ended_at, outcome, detail FROM delivery_attempts WHERE delivery = $1
     ORDER BY attempt DESC LIMIT $2"
);
static RECORDED: &Sql =
    crate::sql!("deliveries.recorded", "SELECT COUNT(*) AS tries FROM delivery_attempts WHERE delivery = $1");
static AGAIN: &Sql = crate::sql!(
    "deliveries.again",
    "UPDATE deliveries SET state = 'pending', next_attempt_at = $2, finished_at = NULL, attempts_before = attempts
     WHERE seq = $1 AND state IN ('failed', 'suppressed')"
);
static SOONER: &Sql = crate::sql!(
    "deliveries.sooner",
    "UPDATE deliveries SET next_attempt_at = $2 WHERE seq = $1 AND state = 'pending' AND lease_token IS NULL"
);
static NEXT_DUE: &Sql = crate::sql!(
    "deliveries.next_due",
    "SELECT MIN(CASE WHEN lease_until IS NOT NULL AND lease_until > next_attempt_at THEN lease_until ELSE next_attempt_at END) AS due
     FROM deliveries WHERE channel = $1 AND state = 'pending'
       AND NOT EXISTS (SELECT 1 FROM deliveries AS older
         WHERE older.channel = deliveries.channel AND older.lane = deliveries.lane AND older.state = 'pending'
           AND older.seq < deliveries.seq)"
);
static LIST: &Sql = crate::sql!(
    "deliveries.list",
    "SELECT seq, channel, key, lane, destination, customer, payload, state, attempts, attempts_before, next_attempt_at,
       last_error, created_at, finished_at
     FROM deliveries
     WHERE seq < $1 AND (CAST($2 AS TEXT) IS NULL OR channel = $2) AND (CAST($3 AS TEXT) IS NULL OR state = $3)
       AND (CAST($4 AS TEXT) IS NULL OR customer = $4) AND (CAST($5 AS TEXT) IS NULL OR destination = $5)
     ORDER BY seq DESC LIMIT $6"
);

/// Writes a delivery down; `true` when this fact was not told on this channel before.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, new: &NewDelivery, now: Timestamp) -> Result<bool> {
    let values = params![
        new.channel.as_str(),
        &new.key,
        &new.lane,
        &new.destination,
        new.customer.as_ref().map(CustomerId::as_str),
        &new.payload,
        new.not_before.unwrap_or(now).max(now).ms(),
        now.ms()
    ];
    Ok(tx.exec(PUT, values)? == 1)
}

/// The delivery of a fact on a channel.
///
/// # Errors
/// As the database.
pub fn by_key(tx: &mut dyn Tx, channel: Channel, key: &str) -> Result<Option<DeliveryRow>> {
    tx.query(BY_KEY, params![channel.as_str(), key])?.first().map(read).transpose()
}

/// Those of a channel that may be sent now: the first of their lane, and with those that are under way no more than
/// `most` of one destination, so that one that is slow leaves room for others.
///
/// # Errors
/// As the database.
pub fn due(tx: &mut dyn Tx, channel: Channel, now: Timestamp, most: i64, limit: i64) -> Result<Vec<i64>> {
    let rows = tx.query(DUE, params![channel.as_str(), now.ms(), most, limit])?;
    rows.iter().map(|row| row.i64("seq")).collect()
}

/// When the next of a channel may be sent, if one waits.
///
/// # Errors
/// As the database.
pub fn next_due(tx: &mut dyn Tx, channel: Channel) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(NEXT_DUE, params![channel.as_str()])?.opt_i64("due")?.map(Timestamp::from_ms))
}

/// Takes a delivery to send it; `None` when it is over, not due, in other hands, or not the first of its lane.
///
/// # Errors
/// As the database.
pub fn claim(
    tx: &mut dyn Tx,
    seq: i64,
    token: &LeaseToken,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<DeliveryRow>> {
    let claimed = tx.exec(CLAIM, params![seq, token.as_str(), until.ms(), now.ms()])?;
    if claimed == 1 { get(tx, seq) } else { Ok(None) }
}

/// Records how a try went; `false` when the lease was lost: somebody else has tried since, and says how it went.
///
/// # Errors
/// As the database.
pub fn record(
    tx: &mut dyn Tx,
    row: &DeliveryRow,
    token: &LeaseToken,
    outcome: AttemptOutcome,
    detail: &str,
    (began_at, ended_at): (Timestamp, Timestamp),
) -> Result<bool> {
    let (changed, word) = match outcome {
        AttemptOutcome::Over(state) => {
            let trouble = (state != DeliveryState::Delivered).then_some(detail);
            let values = params![row.seq, token.as_str(), state.as_str(), trouble, ended_at.ms()];
            (tx.exec(FINISH, values)?, state.as_str())
        }
        AttemptOutcome::RetryAt(next) => {
            (tx.exec(RETRY, params![row.seq, token.as_str(), next.ms(), detail])?, "retry")
        }
    };
    if changed == 1 {
        tx.exec(ATTEMPTED, params![row.seq, row.attempts, began_at.ms(), ended_at.ms(), word, detail])?;
    }
    Ok(changed == 1)
}

/// Lets one that was given up or not sent be tried again, from the beginning of its schedule; one that waits is tried
/// at once. `false` when it is delivered, being sent, or not there.
///
/// # Errors
/// As the database.
pub fn again(tx: &mut dyn Tx, seq: i64, now: Timestamp) -> Result<bool> {
    let over = tx.exec(AGAIN, params![seq, now.ms()])?;
    Ok(over == 1 || tx.exec(SOONER, params![seq, now.ms()])? == 1)
}

/// One delivery.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, seq: i64) -> Result<Option<DeliveryRow>> {
    tx.query(GET, params![seq])?.first().map(read).transpose()
}

/// Which deliveries to list; what is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this channel.
    pub channel: Option<Channel>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// About this customer.
    pub customer: Option<String>,
    /// To this destination.
    pub destination: Option<String>,
}

/// Deliveries before `cursor` (exclusive; `i64::MAX` for the newest), newest first.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx, filter: &Filter, cursor: i64, limit: i64) -> Result<Vec<DeliveryRow>> {
    let values = params![
        cursor,
        filter.channel.map(Channel::as_str),
        filter.state.map(DeliveryState::as_str),
        filter.customer.clone(),
        filter.destination.clone(),
        limit
    ];
    tx.query(LIST, values)?.iter().map(read).collect()
}

/// The tries of a delivery, newest first.
///
/// # Errors
/// As the database.
pub fn attempts(tx: &mut dyn Tx, seq: i64, limit: i64) -> Result<Vec<AttemptRow>> {
    let rows = tx.query(ATTEMPTS, params![seq, limit])?;
    let read = |row: &Row| {
        Ok(AttemptRow {
            attempt: row.i64("attempt")?,
            began_at: Timestamp::from_ms(row.i64("began_at")?),
            ended_at: Timestamp::from_ms(row.i64("ended_at")?),
            outcome: row.text("outcome")?,
            detail: row.text("detail")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Whether a try before the one under way was cut off before anybody recorded how it went: it may have left.
///
/// # Errors
/// As the database.
pub fn was_cut_off(tx: &mut dyn Tx, row: &DeliveryRow) -> Result<bool> {
    Ok(tx.query_one(RECORDED, params![row.seq])?.i64("tries")? < row.attempts - 1)
}

fn read(row: &Row) -> Result<DeliveryRow> {
    let word = |what: &'static str| move |text: &str| format!("`{text}` is not a {what}");
    Ok(DeliveryRow {
        seq: row.i64("seq")?,
        channel: json::parsed("channel", &row.text("channel")?, |text| {
            Channel::parse(text).ok_or_else(|| word("channel")(text))
        })?,
        key: row.text("key")?,
        lane: row.text("lane")?,
        destination: row.text("destination")?,
        customer: row.opt_text("customer")?,
        payload: row.text("payload")?,
        state: json::parsed("state", &row.text("state")?, |text| {
            DeliveryState::parse(text).ok_or_else(|| word("delivery state")(text))
        })?,
        attempts: row.i64("attempts")?,
        attempts_before: row.i64("attempts_before")?,
        next_attempt_at: Timestamp::from_ms(row.i64("next_attempt_at")?),
        last_error: row.opt_text("last_error")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        finished_at: row.opt_i64("finished_at")?.map(Timestamp::from_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn token(n: u8) -> LeaseToken {
        LeaseToken::from_random([n; 16])
    }

    fn new(key: &str, lane: &str, destination: &str) -> NewDelivery {
        NewDelivery {
            channel: Channel::Webhook,
            key: key.into(),
            lane: lane.into(),
            destination: destination.into(),
            customer: None,
            payload: "{}".into(),
            not_before: None,
        }
    }

    async fn seqs(db: &crate::Db, now: i64, most: i64) -> Vec<String> {
        db.read("test.due", move |tx| {
            let due = due(tx, Channel::Webhook, at(now), most, 100)?;
            due.iter().map(|seq| Ok(get(tx, *seq)?.map(|row| row.key).unwrap_or_default())).collect()
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn one_fact_is_one_delivery_and_a_lane_keeps_its_order() {
        on_each_database(|db| {
            Box::pin(async move {
                db.write("test", |tx| {
                    assert!(put(tx, &new("a", "ada", "one"), at(0))?);
                    assert!(!put(tx, &new("a", "ada", "one"), at(5))?, "told before");
                    assert!(put(tx, &new("b", "ada", "one"), at(0))?);
                    assert!(put(tx, &new("c", "bob", "one"), at(0))?);
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(seqs(&db, 0, 9).await, ["a", "c"], "b waits for a");
                assert_eq!(seqs(&db, 0, 1).await, ["a"], "one of a destination");
                let (first, last) = (token(1), token(2));
                db.write("test", move |tx| {
                    let seq = due(tx, Channel::Webhook, at(0), 9, 9)?[0];
                    let held = claim(tx, seq, &first, at(0), at(10))?.expect("free");
                    assert!(claim(tx, seq, &last, at(9), at(20))?.is_none(), "in other hands");
                    assert!(claim(tx, seq + 1, &last, at(9), at(20))?.is_none(), "not the first of its lane");
                    let again = claim(tx, seq, &last, at(10), at(20))?.expect("the lease ran out");
                    assert_eq!((held.attempts, again.attempts), (1, 2));
                    let over = AttemptOutcome::Over(DeliveryState::Delivered);
                    assert!(!record(tx, &held, &first, over, "200", (at(0), at(11)))?, "fenced");
                    assert!(attempts(tx, seq, 9)?.is_empty(), "and leaves no trace");
                    let retry = AttemptOutcome::RetryAt(at(50));
                    assert!(record(tx, &again, &last, retry, "503", (at(10), at(12)))?);
                    assert!(claim(tx, seq, &first, at(49), at(99))?.is_none(), "not due");
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(seqs(&db, 49, 9).await, ["c"]);
                assert_eq!(seqs(&db, 50, 9).await, ["c", "a"]);
                let next = db.read("test", |tx| next_due(tx, Channel::Webhook)).await.unwrap();
                assert_eq!(next, Some(at(0)));
                db.write("test", |tx| {
                    let seq = due(tx, Channel::Webhook, at(50), 9, 9)?[1];
                    let held = claim(tx, seq, &token(3), at(50), at(60))?.expect("due");
                    let over = AttemptOutcome::Over(DeliveryState::Failed);
                    assert!(record(tx, &held, &token(3), over, "410", (at(50), at(51)))?);
                    assert_eq!(attempts(tx, seq, 9)?.len(), 2);
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(seqs(&db, 50, 9).await, ["b", "c"], "what was given up holds nobody back");
                db.write("test", |tx| {
                    let filter = Filter { state: Some(DeliveryState::Failed), ..Filter::default() };
                    let failed = list(tx, &filter, i64::MAX, 9)?;
                    assert_eq!(failed.len(), 1);
                    assert_eq!(failed[0].last_error.as_deref(), Some("410"));
                    assert!(again(tx, failed[0].seq, at(70))?);
                    assert!(list(tx, &filter, i64::MAX, 9)?.is_empty());
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(seqs(&db, 70, 9).await, ["c", "a"], "and b waits for it again");
                db.write("test", |tx| {
                    let seq = due(tx, Channel::Webhook, at(70), 9, 9)?[1];
                    let held = claim(tx, seq, &token(4), at(70), at(80))?.expect("due");
                    assert_eq!((held.attempts, held.attempts_before), (4, 3), "its schedule begins anew");
                    let over = AttemptOutcome::Over(DeliveryState::Delivered);
                    assert!(record(tx, &held, &token(4), over, "200", (at(70), at(71)))?);
                    let log: Vec<i64> = attempts(tx, seq, 9)?.iter().map(|tried| tried.attempt).collect();
                    assert_eq!(log, [4, 3, 2], "and its log goes on");
                    Ok(())
                })
                .await
                .unwrap();
                let mail = db.read("test", |tx| next_due(tx, Channel::Mail)).await.unwrap();
                assert_eq!(mail, None, "channels do not mix");
            })
        })
        .await;
    }
}
