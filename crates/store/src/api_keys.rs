//! API keys: hashed, scoped, revocable. The key itself is never stored.

use quittance_domain::Timestamp;
use quittance_domain::ids::ApiKeyId;

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its public id.
    pub id: ApiKeyId,
    /// What an operator calls it.
    pub name: String,
    /// SHA-256 of the key, hexadecimal.
    pub hash: String,
    /// What it may do, words separated by commas.
    pub scopes: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

static PUT: &Sql = crate::sql!(
    "api_keys.put",
    "INSERT INTO api_keys (id, name, hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (hash) DO NOTHING"
);
static LIST: &Sql = crate::sql!(
    "api_keys.list",
    "SELECT id, name, hash, scopes, created_at, revoked_at FROM api_keys ORDER BY created_at, id LIMIT 1000"
);
static BY_HASH: &Sql = crate::sql!(
    "api_keys.by_hash",
    "SELECT id, name, hash, scopes, created_at, revoked_at FROM api_keys WHERE hash = $1"
);
static REVOKE: &Sql = crate::sql!(
    "api_keys.revoke",
    "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL"
);

/// Writes a key down; `false` when the same key is there already.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, key: &ApiKeyRow) -> Result<bool> {
    let new =
        tx.exec(PUT, params![key.id.as_str(), &key.name, &key.hash, &key.scopes, key.created_at.ms()])?;
    tx.notify("api_keys")?;
    Ok(new == 1)
}

/// All keys, oldest first.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx) -> Result<Vec<ApiKeyRow>> {
    tx.query(LIST, params![])?.iter().map(read).collect()
}

/// The key with this hash, revoked or not.
///
/// # Errors
/// As the database.
pub fn by_hash(tx: &mut dyn Tx, hash: &str) -> Result<Option<ApiKeyRow>> {
    tx.query(BY_HASH, params![hash])?.first().map(read).transpose()
}

/// Takes a key back, on all nodes; `false` when there is no such key in force.
///
/// # Errors
/// As the database.
pub fn revoke(tx: &mut dyn Tx, id: &ApiKeyId, now: Timestamp) -> Result<bool> {
    let changed = tx.exec(REVOKE, params![id.as_str(), now.ms()])?;
    tx.notify("api_keys")?;
    Ok(changed == 1)
}

fn read(row: &Row) -> Result<ApiKeyRow> {
    Ok(ApiKeyRow {
        id: json::parsed("id", &row.text("id")?, ApiKeyId::parse)?,
        name: row.text("name")?,
        hash: row.text("hash")?,
        scopes: row.text("scopes")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        revoked_at: row.opt_i64("revoked_at")?.map(Timestamp::from_ms),
    })
}
