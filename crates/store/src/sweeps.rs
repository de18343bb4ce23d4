//! Sweeps: how far each has come, so that one that was interrupted goes on, and only one node runs it.

use quittance_domain::Timestamp;
use quittance_domain::ids::LeaseToken;

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

/// A sweep that we hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepRow {
    /// Where an interrupted run goes on.
    pub cursor: Option<String>,
    /// Up to which provider time everything was seen.
    pub watermark: Option<Timestamp>,
    /// When this run began.
    pub started_at: Option<Timestamp>,
    /// When the last run ended.
    pub finished_at: Option<Timestamp>,
    /// The last report, JSON.
    pub report: Option<String>,
    /// When the next run is due.
    pub next_at: Timestamp,
    /// How far the run has come, as people see it, JSON; of the last run until the next one begins.
    pub progress: Option<String>,
    /// Until when somebody runs it; in the past or none when nobody does.
    pub lease_until: Option<Timestamp>,
}

static ENSURE: &Sql = crate::sql!(
    "sweeps.ensure",
    "INSERT INTO sweeps (kind, scope, next_at) VALUES ($1, $2, $3) ON CONFLICT (kind, scope) DO NOTHING"
);
static CLAIM: &Sql = crate::sql!(
    "sweeps.claim",
    "UPDATE sweeps SET lease_token = $3, lease_until = $4,
       started_at = CASE WHEN cursor IS NULL THEN $5 ELSE started_at END, progress = NULL
     WHERE kind = $1 AND scope = $2 AND (next_at <= $5 OR $6) AND (lease_until IS NULL OR lease_until <= $5)
     RETURNING cursor, watermark, started_at, finished_at, report, next_at, progress, lease_until"
);
static CHECKPOINT: &Sql = crate::sql!(
    "sweeps.checkpoint",
    "UPDATE sweeps SET cursor = $4, lease_until = $5, progress = $6 WHERE kind = $1 AND scope = $2 AND lease_token = $3"
);
static FINISH: &Sql = crate::sql!(
    "sweeps.finish",
    "UPDATE sweeps SET cursor = NULL, lease_token = NULL, lease_until = NULL, finished_at = $4, next_at = $5,
       watermark = COALESCE($6, watermark), report = $7
     WHERE kind = $1 AND scope = $2 AND lease_token = $3"
);
static RELEASE: &Sql = crate::sql!(
    "sweeps.release",
    "UPDATE sweeps SET lease_token = NULL, lease_until = NULL, next_at = $4 WHERE kind = $1 AND scope = $2 AND lease_token = $3"
);
static SOONER: &Sql = crate::sql!(
    "sweeps.sooner",
    "UPDATE sweeps SET next_at = $3 WHERE kind = $1 AND scope = $2 AND next_at > $3"
);
static RENEW: &Sql = crate::sql!(
    "sweeps.renew",
    "UPDATE sweeps SET lease_until = $4 WHERE kind = $1 AND scope = $2 AND lease_token = $3"
);
static GET: &Sql = crate::sql!(
    "sweeps.get",
    "SELECT cursor, watermark, started_at, finished_at, report, next_at, progress, lease_until FROM sweeps WHERE kind = $1 AND scope = $2"
);

static SEEN: &Sql = crate::sql!(
    "sweeps.seen",
    "INSERT INTO sweeps (kind, scope, next_at, watermark) VALUES ($1, $2, $3, $4)
     ON CONFLICT (kind, scope) DO UPDATE SET watermark =
       CASE WHEN sweeps.watermark IS NULL OR sweeps.watermark < $4 THEN CAST($4 AS BIGINT) ELSE sweeps.watermark END"
);

/// Which sweep, and the right to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepLease {
    /// The kind of sweep.
    pub kind: &'static str,
    /// Provider, mode and account.
    pub scope: String,
    /// The fencing token.
    pub token: LeaseToken,
}

fn read(row: &Row) -> Result<SweepRow> {
    let time =
        |column: &'static str| Ok::<_, crate::StoreError>(row.opt_i64(column)?.map(Timestamp::from_ms));
    Ok(SweepRow {
        cursor: row.opt_text("cursor")?,
        watermark: time("watermark")?,
        started_at: time("started_at")?,
        finished_at: time("finished_at")?,
        report: row.opt_text("report")?,
        next_at: Timestamp::from_ms(row.i64("next_at")?),
        progress: row.opt_text("progress")?,
        lease_until: time("lease_until")?,
    })
}

/// Claims a sweep if it is due (or `by_hand`) and nobody runs it.
///
/// # Errors
/// As the database.
pub fn claim(
    tx: &mut dyn Tx,
    lease: &SweepLease,
    now: Timestamp,
    until: Timestamp,
    by_hand: bool,
) -> Result<Option<SweepRow>> {
    tx.exec(ENSURE, params![lease.kind, &lease.scope, now.ms()])?;
    let rows = tx.query(
        CLAIM,
        params![lease.kind, &lease.scope, lease.token.as_str(), until.ms(), now.ms(), by_hand],
    )?;
    rows.first().map(read).transpose()
}

/// Remembers where the run is, and how far it has come; `false` when the lease was lost.
///
/// # Errors
/// As the database.
pub fn checkpoint(
    tx: &mut dyn Tx,
    lease: &SweepLease,
    cursor: Option<&str>,
    progress: Option<&str>,
    until: Timestamp,
) -> Result<bool> {
    let params = params![lease.kind, &lease.scope, lease.token.as_str(), cursor, until.ms(), progress];
    Ok(tx.exec(CHECKPOINT, params)? == 1)
}

/// Holds on to a run; `false` when the lease was lost.
///
/// # Errors
/// As the database.
pub fn renew(tx: &mut dyn Tx, lease: &SweepLease, until: Timestamp) -> Result<bool> {
    Ok(tx.exec(RENEW, params![lease.kind, &lease.scope, lease.token.as_str(), until.ms()])? == 1)
}

/// The next run is due at `next` at the latest: the schedule may be another one than when the last run ended.
///
/// # Errors
/// As the database.
pub fn sooner(tx: &mut dyn Tx, kind: &str, scope: &str, next: Timestamp) -> Result<()> {
    tx.exec(SOONER, params![kind, scope, next.ms()])?;
    Ok(())
}

/// Ends a run.
///
/// # Errors
/// As the database.
pub fn finish(
    tx: &mut dyn Tx,
    lease: &SweepLease,
    now: Timestamp,
    next: Timestamp,
    watermark: Option<Timestamp>,
    report: &str,
) -> Result<bool> {
    let changed = tx.exec(
        FINISH,
        params![
            lease.kind,
            &lease.scope,
            lease.token.as_str(),
            now.ms(),
            next.ms(),
            watermark.map(Timestamp::ms),
            report
        ],
    )?;
    Ok(changed == 1)
}

/// Everything until `watermark` was seen in another way; the next run of this kind need not look before it.
///
/// # Errors
/// As the database.
pub fn seen(tx: &mut dyn Tx, kind: &str, scope: &str, watermark: Timestamp, now: Timestamp) -> Result<()> {
    tx.exec(SEEN, params![kind, scope, now.ms(), watermark.ms()])?;
    Ok(())
}

/// Gives a run back that was interrupted or only counted, to go on at `next`.
///
/// # Errors
/// As the database.
pub fn release(tx: &mut dyn Tx, lease: &SweepLease, next: Timestamp) -> Result<()> {
    tx.exec(RELEASE, params![lease.kind, &lease.scope, lease.token.as_str(), next.ms()])?;
    Ok(())
}

/// How far a sweep has come.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, kind: &str, scope: &str) -> Result<Option<SweepRow>> {
    tx.query(GET, params![kind, scope])?.first().map(read).transpose()
}
