//! What an operator's check asks the database about itself.

use quittance_domain::Timestamp;

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::{meta, params};

static LOST: &Sql = crate::sql!("health.lost", "SELECT {LOST_COMMITS} AS word");
static ANY_BEHIND: &Sql = crate::sql!(
    "health.any_behind",
    "SELECT key FROM aggregates WHERE key {BINARY} >= $1 AND key {BINARY} < $2 LIMIT 1"
);
static NEWEST_SIGNED: &Sql = crate::sql!(
    "health.newest_signed",
    "SELECT MAX(received_at) AS at FROM (SELECT received_at FROM events WHERE source = 'webhook' ORDER BY seq DESC LIMIT 1) AS newest"
);

/// The setting of the server by which a commit may be lost; empty when there is none.
///
/// # Errors
/// As the database.
pub fn lost_commits(tx: &mut dyn Tx) -> Result<String> {
    tx.query_one(LOST, params![])?.text("word")
}

/// Writes one line, so that it is known that one can.
///
/// # Errors
/// As the database.
pub fn write(tx: &mut dyn Tx, now: Timestamp) -> Result<()> {
    meta::set(tx, "doctor", &now.ms().to_string())
}

/// Whether there is an aggregate whose key begins with `prefix`.
///
/// # Errors
/// As the database.
pub fn has_aggregates(tx: &mut dyn Tx, prefix: &str) -> Result<bool> {
    Ok(!tx.query(ANY_BEHIND, params![prefix, format!("{prefix}\u{7f}")])?.is_empty())
}

/// When the last webhook was accepted.
///
/// # Errors
/// As the database.
pub fn newest_webhook(tx: &mut dyn Tx) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(NEWEST_SIGNED, params![])?.opt_i64("at")?.map(Timestamp::from_ms))
}
