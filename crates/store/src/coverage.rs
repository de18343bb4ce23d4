//! What the mirror holds, counted for an import to lay beside what the provider lists.

use std::collections::BTreeMap;

use quittance_domain::Timestamp;
use quittance_domain::ledger::Kind;
use quittance_domain::projection::PaymentFacts;

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::{json, params};

static SUBSCRIPTIONS: &Sql = crate::sql!(
    "coverage.subscriptions",
    "SELECT status, COUNT(*) AS n FROM subscriptions WHERE scope = $1 GROUP BY status"
);
static PAYMENTS: &Sql = crate::sql!(
    "coverage.payments",
    "SELECT id, data FROM payments WHERE scope = $1 AND id {BINARY} > $2 ORDER BY id {BINARY} LIMIT $3"
);
static SUBSCRIPTIONS_AFTER: &Sql = crate::sql!(
    "coverage.subscriptions_after",
    "SELECT id, status FROM subscriptions WHERE scope = $1 AND id {BINARY} > $2 ORDER BY id {BINARY} LIMIT $3"
);
static BOOKED_AFTER: &Sql = crate::sql!(
    "coverage.booked_after",
    "SELECT e.object FROM ledger_entries e WHERE e.scope = $1 AND e.kind = $2 AND e.object {BINARY} > $3 AND NOT e.reverses
       AND NOT EXISTS (SELECT 1 FROM ledger_entries l WHERE l.scope = e.scope AND l.kind = e.kind
         AND l.object = e.object AND l.revision > e.revision)
     ORDER BY e.object {BINARY} LIMIT $4"
);
static CUSTOMERS: &Sql = crate::sql!(
    "coverage.customers",
    "SELECT
       (SELECT COUNT(*) FROM provider_customers WHERE scope = $1) AS linked,
       (SELECT COUNT(*) FROM aggregates a WHERE a.key {BINARY} >= $2 AND a.key {BINARY} < $3 AND NOT EXISTS (
          SELECT 1 FROM provider_customers p WHERE p.scope = $1
            AND p.provider_customer = SUBSTR(a.key, LENGTH($2) + 1))) AS unowned"
);
static WAITING: &Sql = crate::sql!(
    "coverage.waiting",
    "SELECT
       (SELECT COUNT(*) FROM aggregates WHERE key {BINARY} >= $1 AND key {BINARY} < $2 AND done < wanted AND parked_at IS NULL
          AND dirty_since <= $3) AS waiting,
       (SELECT COUNT(*) FROM aggregates WHERE key {BINARY} >= $1 AND key {BINARY} < $2 AND parked_at IS NOT NULL) AS parked"
);

/// Whose the provider's customers with anything of theirs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owners {
    /// Linked to a customer of ours.
    pub linked: i64,
    /// Known, and linked to nobody.
    pub unowned: i64,
}

/// What of a scope is still to be synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Marked at or before the moment in question, and not answered.
    pub waiting: i64,
    /// Given up, for an operator.
    pub parked: i64,
}

/// Keys that begin with `prefix` lie from it to this.
fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{7f}")
}

/// Mirrored subscriptions by status, in the provider's words.
///
/// # Errors
/// As the database.
pub fn subscriptions(tx: &mut dyn Tx, scope: &str) -> Result<BTreeMap<String, i64>> {
    let rows = tx.query(SUBSCRIPTIONS, params![scope])?;
    rows.iter().map(|row| Ok((row.text("status")?, row.i64("n")?))).collect()
}

/// Mirrored payments after the one with this id, with their ids.
///
/// # Errors
/// As the database.
pub fn payments(
    tx: &mut dyn Tx,
    scope: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, PaymentFacts)>> {
    let rows = tx.query(PAYMENTS, params![scope, after, limit])?;
    rows.iter().map(|row| Ok((row.text("id")?, json::read(row, "data")?))).collect()
}

/// Mirrored subscriptions after the one with this id: ids, and statuses in the provider's words.
///
/// # Errors
/// As the database.
pub fn subscriptions_after(
    tx: &mut dyn Tx,
    scope: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let rows = tx.query(SUBSCRIPTIONS_AFTER, params![scope, after, limit])?;
    rows.iter().map(|row| Ok((row.text("id")?, row.text("status")?))).collect()
}

/// Objects of a kind after this one for which an entry stands in the ledger.
///
/// # Errors
/// As the database.
pub fn booked_after(
    tx: &mut dyn Tx,
    scope: &str,
    kind: Kind,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let rows = tx.query(BOOKED_AFTER, params![scope, kind.as_str(), after, limit])?;
    rows.iter().map(|row| row.text("object")).collect()
}

/// Counts owners. `prefix` is what the keys of a scope's customers begin with.
///
/// # Errors
/// As the database.
pub fn owners(tx: &mut dyn Tx, scope: &str, prefix: &str) -> Result<Owners> {
    let row = tx.query_one(CUSTOMERS, params![scope, prefix, end_of(prefix)])?;
    Ok(Owners { linked: row.i64("linked")?, unowned: row.i64("unowned")? })
}

/// What is still to be synced of the aggregates whose keys begin with `prefix`.
///
/// # Errors
/// As the database.
pub fn waiting(tx: &mut dyn Tx, prefix: &str, until: Timestamp) -> Result<Waiting> {
    let row = tx.query_one(WAITING, params![prefix, end_of(prefix), until.ms()])?;
    Ok(Waiting { waiting: row.i64("waiting")?, parked: row.i64("parked")? })
}

static KNOWN: &Sql = crate::sql!("coverage.known", "SELECT 1 AS one FROM aggregates WHERE key = $1");

/// Whether an aggregate was ever marked.
///
/// # Errors
/// As the database.
pub fn known(tx: &mut dyn Tx, key: &str) -> Result<bool> {
    Ok(!tx.query(KNOWN, params![key])?.is_empty())
}
