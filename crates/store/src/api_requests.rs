//! Inbound idempotency: the first answer to an `Idempotency-Key`, to be given again (engine.md section 5).

use quittance_domain::Timestamp;

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// First use: go ahead.
    Fresh,
    /// Used before by a caller that never finished (crash): go ahead, the effects' own keys make it one.
    TakenOver,
    /// Somebody is at it.
    InFlight,
    /// Used for another request.
    Mismatch,
    /// Answered before: status and body.
    Answered(u16, String),
}

static INSERT: &Sql = crate::sql!(
    "api_requests.insert",
    "INSERT INTO api_requests (api_key, idempotency_key, fingerprint, lease_until, created_at)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (api_key, idempotency_key) DO NOTHING"
);
static GET: &Sql = crate::sql!(
    "api_requests.get",
    "SELECT fingerprint, status, body, lease_until FROM api_requests WHERE api_key = $1 AND idempotency_key = $2 {FOR_UPDATE}"
);
static TAKE_OVER: &Sql = crate::sql!(
    "api_requests.take_over",
    "UPDATE api_requests SET lease_until = $3 WHERE api_key = $1 AND idempotency_key = $2"
);
static FINISH: &Sql = crate::sql!(
    "api_requests.finish",
    "UPDATE api_requests SET status = $3, body = $4, customer = $5 WHERE api_key = $1 AND idempotency_key = $2 AND status IS NULL"
);
static FORGET: &Sql = crate::sql!(
    "api_requests.forget",
    "DELETE FROM api_requests WHERE api_key = $1 AND idempotency_key = $2 AND lease_until = $3 AND status IS NULL"
);
static PRUNE: &Sql = crate::sql!("api_requests.prune", "DELETE FROM api_requests WHERE created_at < $1");

/// Begins a request under a key. The answer may be replayed for as long as rows are kept.
///
/// # Errors
/// As the database.
pub fn begin(
    tx: &mut dyn Tx,
    api_key: &str,
    key: &str,
    fingerprint: &str,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Begun> {
    if tx.exec(INSERT, params![api_key, key, fingerprint, lease_until.ms(), now.ms()])? == 1 {
        return Ok(Begun::Fresh);
    }
    let rows = tx.query(GET, params![api_key, key])?;
    let Some(row) = rows.first() else { return Ok(Begun::InFlight) };
    if row.text("fingerprint")? != fingerprint {
        return Ok(Begun::Mismatch);
    }
    if let Some((status, body)) = answered(row)? {
        return Ok(Begun::Answered(status, body));
    }
    if row.i64("lease_until")? > now.ms() {
        return Ok(Begun::InFlight);
    }
    tx.exec(TAKE_OVER, params![api_key, key, lease_until.ms()])?;
    Ok(Begun::TakenOver)
}

/// An answer, as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct NewAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a str,
    /// Whom it tells of, if it tells of one: it goes with what is personal about them.
    pub customer: Option<&'a str>,
}

/// Keeps the answer. Where the request was taken over and has one by then, that is the answer: status and body.
///
/// # Errors
/// As the database.
pub fn finish(
    tx: &mut dyn Tx,
    api_key: &str,
    key: &str,
    answer: NewAnswer<'_>,
) -> Result<Option<(u16, String)>> {
    let NewAnswer { status, body, customer } = answer;
    if tx.exec(FINISH, params![api_key, key, i64::from(status), body, customer])? == 1 {
        return Ok(None);
    }
    let rows = tx.query(GET, params![api_key, key])?;
    rows.first().map_or(Ok(None), answered)
}

/// Forgets a request that had no effect and may be tried again with the same key; one that was taken over since stays.
///
/// # Errors
/// As the database.
pub fn forget(tx: &mut dyn Tx, api_key: &str, key: &str, lease_until: Timestamp) -> Result<()> {
    tx.exec(FORGET, params![api_key, key, lease_until.ms()])?;
    Ok(())
}

fn answered(row: &Row) -> Result<Option<(u16, String)>> {
    let (Some(status), Some(body)) = (row.opt_i64("status")?, row.opt_text("body")?) else { return Ok(None) };
    Ok(Some((u16::try_from(status).unwrap_or(500), body)))
}

/// Drops answers older than `before`.
///
/// # Errors
/// As the database.
pub fn prune(tx: &mut dyn Tx, before: Timestamp) -> Result<u64> {
    tx.exec(PRUNE, params![before.ms()])
}
