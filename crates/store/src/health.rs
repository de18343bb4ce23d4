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
/// Events that are looked through for a webhook, the newest first.
pub const NEWEST_EVENTS: i64 = 10_000;
static NEWEST_SIGNED: &Sql = crate::sql!(
    "health.newest_signed",
    "SELECT MAX(received_at) AS at FROM events
     WHERE seq > (SELECT COALESCE(MAX(seq), 0) FROM events) - $1 AND source = 'webhook'"
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

/// When the last webhook was accepted, as far as the newest [`NEWEST_EVENTS`] tell.
///
/// # Errors
/// As the database.
pub fn newest_webhook(tx: &mut dyn Tx) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(NEWEST_SIGNED, params![NEWEST_EVENTS])?.opt_i64("at")?.map(Timestamp::from_ms))
}
