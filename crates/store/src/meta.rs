//! A few facts about this database itself, for example which provider account it mirrors.

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;

static PUT: &Sql =
    crate::sql!("meta.put", "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING");
static SET: &Sql = crate::sql!(
    "meta.set",
    "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2"
);
static GET: &Sql = crate::sql!("meta.get", "SELECT value FROM meta WHERE key = $1");

/// Writes a fact unless it is there, and returns the one that is there now.
///
/// # Errors
/// As the database.
pub fn put_once(tx: &mut dyn Tx, key: &str, value: &str) -> Result<String> {
    tx.exec(PUT, params![key, value])?;
    Ok(get(tx, key)?.unwrap_or_else(|| value.to_owned()))
}

/// Writes a fact over what was there.
///
/// # Errors
/// As the database.
pub fn set(tx: &mut dyn Tx, key: &str, value: &str) -> Result<()> {
    tx.exec(SET, params![key, value])?;
    Ok(())
}

/// A fact, if it was ever written.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, key: &str) -> Result<Option<String>> {
    tx.query(GET, params![key])?.first().map(|row| row.text("value")).transpose()
}
