//! The log of what the app is told, and what it was told last of each customer.
//!
//! An event is written in the transaction that makes it true, once for its natural key, and never changed: what is
//! signed and sent are the bytes that stand here.

use quittance_domain::app_event::AppEventType;
use quittance_domain::{AppEventId, CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// An event to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAppEvent {
    /// Its id, derived from its natural key.
    pub id: AppEventId,
    /// What makes it this change and no other.
    pub natural_key: String,
    /// Its kind.
    pub kind: AppEventType,
    /// Whom it is about; `None` for a test message and for alerts.
    pub customer: Option<CustomerId>,
    /// When it became so.
    pub at: Timestamp,
    /// The body that is sent, JSON.
    pub body: String,
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEventRow {
    /// Running number and cursor.
    pub seq: i64,
    /// Its id.
    pub id: AppEventId,
    /// Its kind.
    pub kind: AppEventType,
    /// Whom it is about.
    pub customer: Option<String>,
    /// When it became so.
    pub at: Timestamp,
    /// The body that is sent, JSON.
    pub body: String,
}

static PUT: &Sql = crate::sql!(
    "app_events.put",
    "INSERT INTO app_events (id, natural_key, type, customer, at, body) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT DO NOTHING"
);
static GET: &Sql =
    crate::sql!("app_events.get", "SELECT seq, id, type, customer, at, body FROM app_events WHERE id = $1");
static LIST: &Sql = crate::sql!(
    "app_events.list",
    "SELECT seq, id, type, customer, at, body FROM app_events WHERE seq < $1 ORDER BY seq DESC LIMIT $2"
);
static OF_CUSTOMER: &Sql = crate::sql!(
    "app_events.of_customer",
    "SELECT seq, id, type, customer, at, body FROM app_events WHERE customer = $1 AND seq < $2
     ORDER BY seq DESC LIMIT $3"
);
static SINCE: &Sql = crate::sql!(
    "app_events.since",
    "SELECT seq, id, type, customer, at, body FROM app_events WHERE at >= $1 AND seq > $2 ORDER BY seq LIMIT $3"
);
static PRUNE: &Sql = crate::sql!("app_events.prune", "DELETE FROM app_events WHERE at < $1");

/// Writes an event down; `false` when it is there already.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, event: &NewAppEvent) -> Result<bool> {
    let customer = event.customer.as_ref().map(CustomerId::as_str);
    let new = tx.exec(
        PUT,
        params![
            event.id.as_str(),
            &event.natural_key,
            event.kind.as_str(),
            customer,
            event.at.ms(),
            &event.body
        ],
    )?;
    Ok(new == 1)
}

/// One event.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, id: &str) -> Result<Option<AppEventRow>> {
    tx.query(GET, params![id])?.first().map(read).transpose()
}

/// Events before `cursor` (exclusive; `i64::MAX` for the newest), newest first; of one customer, or of all.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx, customer: Option<&str>, cursor: i64, limit: i64) -> Result<Vec<AppEventRow>> {
    let rows = match customer {
        Some(customer) => tx.query(OF_CUSTOMER, params![customer, cursor, limit])?,
        None => tx.query(LIST, params![cursor, limit])?,
    };
    rows.iter().map(read).collect()
}

/// Events from `since` on and after `cursor` (exclusive), oldest first.
///
/// # Errors
/// As the database.
pub fn since(tx: &mut dyn Tx, since: Timestamp, cursor: i64, limit: i64) -> Result<Vec<AppEventRow>> {
    tx.query(SINCE, params![since.ms(), cursor, limit])?.iter().map(read).collect()
}

/// Forgets what became so before `before`; returns how many.
///
/// # Errors
/// As the database.
pub fn prune(tx: &mut dyn Tx, before: Timestamp) -> Result<u64> {
    tx.exec(PRUNE, params![before.ms()])
}

fn read(row: &Row) -> Result<AppEventRow> {
    Ok(AppEventRow {
        seq: row.i64("seq")?,
        id: json::parsed("id", &row.text("id")?, AppEventId::parse)?,
        kind: json::parsed("type", &row.text("type")?, |text| {
            AppEventType::parse(text).ok_or_else(|| format!("`{text}` is no type of event"))
        })?,
        customer: row.opt_text("customer")?,
        at: Timestamp::from_ms(row.i64("at")?),
        body: row.text("body")?,
    })
}

/// What the app was told last of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The access in one word; `None` with nothing but the free plan.
    pub access: Option<String>,
    /// What the entitlements were, as a digest.
    pub digest: String,
    /// How often it was told.
    pub turn: i64,
    /// When something that the customer holds ends by itself.
    pub look_at: Option<Timestamp>,
}

static TOLD: &Sql =
    crate::sql!("app_told.get", "SELECT access, digest, turn, look_at FROM app_told WHERE customer = $1");
static TELL: &Sql = crate::sql!(
    "app_told.put",
    "INSERT INTO app_told (customer, access, digest, turn, look_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (customer) DO UPDATE SET access = $2, digest = $3, turn = $4, look_at = $5"
);
static DUE: &Sql = crate::sql!(
    "app_told.due",
    "SELECT customer FROM app_told WHERE look_at IS NOT NULL AND look_at <= $1 ORDER BY look_at LIMIT $2"
);
static NEXT: &Sql =
    crate::sql!("app_told.next", "SELECT MIN(look_at) AS next FROM app_told WHERE look_at IS NOT NULL");

/// What the app was told last of a customer; `None` when it was never told anything.
///
/// # Errors
/// As the database.
pub fn told(tx: &mut dyn Tx, customer: &CustomerId) -> Result<Option<Told>> {
    let row = tx.query_opt(TOLD, params![customer.as_str()])?;
    row.map(|row| {
        Ok(Told {
            access: row.opt_text("access")?,
            digest: row.text("digest")?,
            turn: row.i64("turn")?,
            look_at: row.opt_i64("look_at")?.map(Timestamp::from_ms),
        })
    })
    .transpose()
}

/// Remembers what the app is told of a customer.
///
/// # Errors
/// As the database.
pub fn remember(tx: &mut dyn Tx, customer: &CustomerId, told: &Told) -> Result<()> {
    tx.exec(
        TELL,
        params![
            customer.as_str(),
            told.access.clone(),
            &told.digest,
            told.turn,
            told.look_at.map(Timestamp::ms)
        ],
    )?;
    Ok(())
}

/// Customers of whom something has ended by itself since they were told of last, longest first.
///
/// # Errors
/// As the database.
pub fn due(tx: &mut dyn Tx, now: Timestamp, limit: i64) -> Result<Vec<CustomerId>> {
    let rows = tx.query(DUE, params![now.ms(), limit])?;
    rows.iter().map(|row| json::parsed("customer", &row.text("customer")?, CustomerId::parse)).collect()
}

/// When the next customer is due.
///
/// # Errors
/// As the database.
pub fn next_due(tx: &mut dyn Tx) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(NEXT, params![])?.opt_i64("next")?.map(Timestamp::from_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    fn event(n: i64) -> NewAppEvent {
        NewAppEvent {
            id: AppEventId::derived(&[&n.to_string()]),
            natural_key: format!("a.kind:{n}"),
            kind: AppEventType::PaymentFailed,
            customer: CustomerId::parse("ada").ok(),
            at: Timestamp::from_ms(n),
            body: "{}".into(),
        }
    }

    #[tokio::test]
    async fn an_event_is_written_once_and_never_changed() {
        on_each_database(|db| async move {
            let written =
                db.write("test", |tx| Ok((put(tx, &event(1))?, put(tx, &event(1))?, put(tx, &event(2))?)));
            assert_eq!(written.await.expect("written"), (true, false, true));
            let changed = db.write("test", |tx| tx.script("UPDATE app_events SET body = '{\"a\":1}'")).await;
            let error = changed.expect_err("it stays").to_string();
            assert!(error.contains("never changed"), "{error}");
            let listed = db.read("test", |tx| list(tx, Some("ada"), i64::MAX, 9)).await.expect("listed");
            assert_eq!(listed.iter().map(|row| row.at.ms()).collect::<Vec<_>>(), [2, 1]);
            let late = db.read("test", |tx| since(tx, Timestamp::from_ms(2), 0, 9)).await.expect("listed");
            assert_eq!(late.len(), 1);
            assert_eq!(db.write("test", |tx| prune(tx, Timestamp::from_ms(2))).await.expect("pruned"), 1);
            let left = db.read("test", |tx| list(tx, None, i64::MAX, 9)).await.expect("listed");
            assert_eq!(left.len(), 1);
        })
        .await;
    }

    #[tokio::test]
    async fn who_is_due_is_found_in_order_of_time() {
        on_each_database(|db| async move {
            let told = |look_at: Option<i64>| Told {
                access: Some("granted".into()),
                digest: "d".into(),
                turn: 1,
                look_at: look_at.map(Timestamp::from_ms),
            };
            let id = |text| CustomerId::parse(text).expect("an id");
            let (ada, bob, eve) = (id("ada"), id("bob"), id("eve"));
            db.write("test", move |tx| {
                remember(tx, &ada, &told(Some(20)))?;
                remember(tx, &bob, &told(Some(10)))?;
                remember(tx, &eve, &told(None))
            })
            .await
            .expect("remembered");
            let due_at = |at| db.read("test", move |tx| due(tx, Timestamp::from_ms(at), 9));
            assert_eq!(due_at(9).await.expect("due"), []);
            let names: Vec<String> = due_at(20).await.expect("due").iter().map(ToString::to_string).collect();
            assert_eq!(names, ["bob", "ada"]);
            let next = db.read("test", next_due).await.expect("next");
            assert_eq!(next, Some(Timestamp::from_ms(10)));
        })
        .await;
    }
}
