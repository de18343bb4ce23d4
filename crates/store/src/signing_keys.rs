//! The keys that sign entitlement tokens, their private parts sealed.

use quittance_domain::Timestamp;
use quittance_domain::signing::KeyTimes;

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

/// A key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// When it signs.
    pub times: KeyTimes,
    /// The id that tokens name it by.
    pub kid: String,
    /// Ed25519, 32 bytes in hexadecimal.
    pub public_key: String,
    /// The private part, sealed; `None` once it is forgotten.
    pub sealed: Option<String>,
    /// When it was made and first published.
    pub created_at: Timestamp,
}

static PUT: &Sql = crate::sql!(
    "signing_keys.put",
    "INSERT INTO signing_keys (number, kid, public_key, sealed, created_at, signs_from) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (number) DO NOTHING"
);
static LIST: &Sql = crate::sql!(
    "signing_keys.list",
    "SELECT number, kid, public_key, sealed, created_at, signs_from, withdrawn_at FROM signing_keys ORDER BY number"
);
static WITHDRAW: &Sql = crate::sql!(
    "signing_keys.withdraw",
    "UPDATE signing_keys SET withdrawn_at = $1, sealed = NULL WHERE number > 0 AND withdrawn_at IS NULL"
);
static FORGET: &Sql =
    crate::sql!("signing_keys.forget", "UPDATE signing_keys SET sealed = NULL WHERE number = $1");
static REMOVE: &Sql = crate::sql!("signing_keys.remove", "DELETE FROM signing_keys WHERE number = $1");

/// What is told to other nodes when the keys have changed.
const CHANGED: &str = "signing_keys";

/// Writes a key down; `false` when another node has made the one with this number.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, key: &SigningKeyRow) -> Result<bool> {
    let (created, from) = (key.created_at.ms(), key.times.signs_from.ms());
    let row = params![key.times.number, &key.kid, &key.public_key, key.sealed.clone(), created, from];
    let new = tx.exec(PUT, row)? == 1;
    if new {
        tx.notify(CHANGED)?;
    }
    Ok(new)
}

/// All keys, oldest first.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx) -> Result<Vec<SigningKeyRow>> {
    tx.query(LIST, params![])?.iter().map(read).collect()
}

/// Withdraws every key that is in force; returns how many.
///
/// # Errors
/// As the database.
pub fn withdraw_all(tx: &mut dyn Tx, now: Timestamp) -> Result<u64> {
    let count = tx.exec(WITHDRAW, params![now.ms()])?;
    tx.notify(CHANGED)?;
    Ok(count)
}

/// Forgets the private part of a key.
///
/// # Errors
/// As the database.
pub fn forget_private(tx: &mut dyn Tx, number: i64) -> Result<()> {
    tx.exec(FORGET, params![number])?;
    Ok(())
}

/// Removes a key of which no token can be in force.
///
/// # Errors
/// As the database.
pub fn remove(tx: &mut dyn Tx, number: i64) -> Result<()> {
    tx.exec(REMOVE, params![number])?;
    Ok(())
}

fn read(row: &Row) -> Result<SigningKeyRow> {
    Ok(SigningKeyRow {
        times: KeyTimes {
            number: row.i64("number")?,
            signs_from: Timestamp::from_ms(row.i64("signs_from")?),
            withdrawn_at: row.opt_i64("withdrawn_at")?.map(Timestamp::from_ms),
        },
        kid: row.text("kid")?,
        public_key: row.text("public_key")?,
        sealed: row.opt_text("sealed")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
    })
}
