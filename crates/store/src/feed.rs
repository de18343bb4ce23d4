//! Changes of entitlements in the order in which they were committed, for copies elsewhere.
//!
//! The numbers that a database draws are no order of commits: a transaction that drew an earlier one may commit later, and
//! whoever had read past it would never see it. So a change is only noted by its transaction, and gets its position from
//! [`number`], which sees what is committed and runs alone.

use std::collections::BTreeMap;

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

static NOTE: &Sql = crate::sql!("feed.note", "INSERT INTO feed_pending (customer) VALUES ($1)");
static WAITING: &Sql =
    crate::sql!("feed.waiting", "SELECT seq FROM feed_pending WHERE seq > 0 ORDER BY seq LIMIT 1");
static LOCK: &Sql = crate::sql!("feed.lock", "SELECT position FROM feed_counter WHERE id = 1 {FOR_UPDATE}");
static PENDING: &Sql =
    crate::sql!("feed.pending", "SELECT seq, customer FROM feed_pending WHERE seq > 0 ORDER BY seq LIMIT $1");
static PLACE: &Sql = crate::sql!(
    "feed.place",
    "INSERT INTO feed (customer, position) VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET position = $2"
);
static DONE: &Sql = crate::sql!("feed.done", "DELETE FROM feed_pending WHERE seq = $1");
static COUNT: &Sql = crate::sql!("feed.count", "UPDATE feed_counter SET position = $1 WHERE id = 1");
static HEAD: &Sql = crate::sql!("feed.head", "SELECT position FROM feed_counter WHERE id = 1");
static AFTER: &Sql = crate::sql!(
    "feed.after",
    "SELECT customer, position FROM feed WHERE position > $1 ORDER BY position LIMIT $2"
);
static CUSTOMERS: &Sql =
    crate::sql!("feed.customers", "SELECT id FROM customers WHERE id > $1 ORDER BY id LIMIT $2");

/// Notes that what a customer holds has changed, inside the transaction that changes it.
///
/// # Errors
/// As the database.
pub fn changed(tx: &mut dyn Tx, customer: &str) -> Result<()> {
    tx.exec(NOTE, params![customer])?;
    Ok(())
}

/// Whether changes wait for their positions.
///
/// # Errors
/// As the database.
pub fn is_waiting(tx: &mut dyn Tx) -> Result<bool> {
    Ok(!tx.query(WAITING, params![])?.is_empty())
}

/// Gives up to `limit` committed changes their positions; returns how many notes were taken away.
///
/// # Errors
/// As the database.
pub fn number(tx: &mut dyn Tx, limit: i64) -> Result<usize> {
    // The lock is held until the commit, so positions are seen in their order.
    let mut position = tx.query_one(LOCK, params![])?.i64("position")?;
    let notes = tx.query(PENDING, params![limit])?;
    let mut customers: BTreeMap<String, i64> = BTreeMap::new();
    let mut seen = Vec::with_capacity(notes.len());
    for note in &notes {
        let seq = note.i64("seq")?;
        seen.push(params![seq].to_vec());
        customers.insert(note.text("customer")?, seq);
    }
    let mut order: Vec<(i64, String)> =
        customers.into_iter().map(|(customer, seq)| (seq, customer)).collect();
    order.sort_unstable();
    let mut places = Vec::with_capacity(order.len());
    for (_, customer) in order {
        position += 1;
        places.push(params![customer, position].to_vec());
    }
    tx.exec_batch(PLACE, &places)?;
    // One by one: an earlier note may have been committed since, and is for the next time.
    tx.exec_batch(DONE, &seen)?;
    tx.exec(COUNT, params![position])?;
    Ok(notes.len())
}

/// The newest position.
///
/// # Errors
/// As the database.
pub fn head(tx: &mut dyn Tx) -> Result<i64> {
    tx.query_one(HEAD, params![])?.i64("position")
}

/// Customers whose newest change lies behind a position, in its order.
///
/// # Errors
/// As the database.
pub fn after(tx: &mut dyn Tx, position: i64, limit: i64) -> Result<Vec<(String, i64)>> {
    let rows = tx.query(AFTER, params![position, limit])?;
    rows.iter().map(|row| Ok((row.text("customer")?, row.i64("position")?))).collect()
}

/// All customers behind one, in the database's order of their ids.
///
/// # Errors
/// As the database.
pub fn customers(tx: &mut dyn Tx, after: &str, limit: i64) -> Result<Vec<String>> {
    tx.query(CUSTOMERS, params![after, limit])?.iter().map(|row| row.text("id")).collect()
}
