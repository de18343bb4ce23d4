//! What operators must be told: alerts, once per natural key.

use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::{Row, V};

/// An alert to operators: an anomaly, a parked aggregate, a duplicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Running number.
    pub seq: i64,
    /// Its kind, a stable word.
    pub kind: String,
    /// The object it is about.
    pub object: String,
    /// The customer, if one is known.
    pub customer: Option<String>,
    /// What was found.
    pub detail: String,
    /// The command or step that mends it.
    pub mend: String,
    /// When it was found first.
    pub created_at: Timestamp,
    /// When it was seen last.
    pub last_seen_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// When operators were told last that it stands.
    pub announced_at: Option<Timestamp>,
}

/// An alert to raise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// Its kind.
    pub kind: String,
    /// The object it is about.
    pub object: String,
    /// The customer, if one is known.
    pub customer: Option<CustomerId>,
    /// The aggregate it stands and falls with, if any.
    pub aggregate: Option<String>,
    /// What was found.
    pub detail: String,
    /// The command or step that mends it.
    pub mend: String,
}

static RAISE: &Sql = crate::sql!(
    "outbox.raise",
    "INSERT INTO alerts (kind, object, customer, aggregate, detail, mend, created_at, last_seen_at, untold)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7, TRUE)
     ON CONFLICT (kind, object) DO UPDATE SET
       untold = alerts.untold OR alerts.resolved_at IS NOT NULL,
       created_at = CASE WHEN alerts.resolved_at IS NULL THEN alerts.created_at ELSE $7 END,
       customer = $3, aggregate = $4, detail = $5, mend = $6, last_seen_at = $7, resolved_at = NULL
     RETURNING created_at"
);
static RESOLVE: &Sql = crate::sql!(
    "outbox.resolve",
    "UPDATE alerts SET resolved_at = $3, untold = (untold AND $4) OR (announced_at IS NOT NULL AND announced_at >= created_at)
     WHERE kind = $1 AND object = $2 AND resolved_at IS NULL"
);
static STANDS: &Sql = crate::sql!(
    "outbox.stands",
    "SELECT 1 AS one FROM alerts WHERE aggregate = $1 AND kind = $2 AND resolved_at IS NULL LIMIT 1"
);
static IS_RAISED: &Sql = crate::sql!(
    "outbox.is_raised",
    "SELECT 1 AS one FROM alerts WHERE kind = $1 AND object = $2 AND resolved_at IS NULL LIMIT 1"
);
static OPEN_OF_AGGREGATE: &Sql = crate::sql!(
    "outbox.open_of_aggregate",
    "SELECT kind, object FROM alerts WHERE aggregate = $1 AND resolved_at IS NULL"
);
static ALERTS: &Sql = crate::sql!(
    "outbox.alerts",
    "SELECT seq, kind, object, customer, detail, mend, created_at, last_seen_at, resolved_at, announced_at FROM alerts
     WHERE seq < $2 AND (resolved_at IS NULL OR $1) ORDER BY seq DESC LIMIT $3"
);

// From when an alert that is not told may be told: its end, if it was told that it stands, at once; what comes back some time
// after it was told last.
macro_rules! from_when {
    () => {
        "CASE WHEN resolved_at IS NOT NULL AND announced_at >= created_at THEN resolved_at
              WHEN announced_at + CAST($1 AS BIGINT) > created_at THEN announced_at + CAST($1 AS BIGINT)
              ELSE created_at END"
    };
}
// The oldest of each kind before the second of any: however many there are of one, another kind does not wait for them. What
// stands comes before what is over.
static DUE: &Sql = crate::sql!(
    "outbox.due",
    concat!(
        "SELECT seq, kind, object, customer, detail, mend, created_at, last_seen_at, resolved_at, announced_at FROM (
           SELECT seq, kind, object, customer, detail, mend, created_at, last_seen_at, resolved_at, announced_at,
             ROW_NUMBER() OVER (PARTITION BY kind ORDER BY resolved_at IS NOT NULL, seq) AS place
           FROM alerts WHERE untold AND ",
        from_when!(),
        " <= $2) AS due
         ORDER BY place, seq LIMIT $3"
    )
);
static FIRST_DUE: &Sql =
    crate::sql!("outbox.first_due", concat!("SELECT MIN(", from_when!(), ") AS at FROM alerts WHERE untold"));
static TOLD: &Sql = crate::sql!(
    "outbox.told",
    "UPDATE alerts SET untold = FALSE, announced_at = $2
     WHERE seq = $1 AND untold AND created_at = $3 AND (resolved_at IS NULL) = $4"
);
static LAST_TOLD: &Sql = crate::sql!(
    "outbox.last_told",
    "SELECT MAX(announced_at) AS at FROM alerts WHERE announced_at IS NOT NULL"
);
static BY_SEQ: &Sql = crate::sql!(
    "outbox.by_seq",
    "SELECT seq, kind, object, customer, detail, mend, created_at, last_seen_at, resolved_at, announced_at FROM alerts
     WHERE seq = $1"
);

/// Raises an alert; `true` when it is new (or was over and is back), `false` when it stands already.
///
/// # Errors
/// As the database.
pub fn raise(tx: &mut dyn Tx, alert: &NewAlert, now: Timestamp) -> Result<bool> {
    let rows = tx.query(
        RAISE,
        params![
            &alert.kind,
            &alert.object,
            alert.customer.as_ref().map(CustomerId::as_str),
            alert.aggregate.clone(),
            &alert.detail,
            &alert.mend,
            now.ms()
        ],
    )?;
    rows.first().map_or(Ok(false), |row| Ok(row.i64("created_at")? == now.ms()))
}

/// Access was wrong. The sweep that finds it also has it mended, mostly before anybody could be told; that it was so is to
/// be known all the same.
pub const WRONG_ACCESS: &str = "wrong_access";

/// Whether an alert is told although it was over before anybody was told of it.
#[must_use]
pub fn told_when_over(kind: &str) -> bool {
    kind == WRONG_ACCESS
}

/// Ends one alert, if it stands.
///
/// # Errors
/// As the database.
pub fn resolve(tx: &mut dyn Tx, kind: &str, object: &str, now: Timestamp) -> Result<()> {
    tx.exec(RESOLVE, params![kind, object, now.ms(), told_when_over(kind)])?;
    Ok(())
}

/// Whether one alert stands.
///
/// # Errors
/// As the database.
pub fn is_raised(tx: &mut dyn Tx, kind: &str, object: &str) -> Result<bool> {
    Ok(!tx.query(IS_RAISED, params![kind, object])?.is_empty())
}

/// Whether an alert of this kind stands about an aggregate.
///
/// # Errors
/// As the database.
pub fn stands(tx: &mut dyn Tx, aggregate: &str, kind: &str) -> Result<bool> {
    Ok(!tx.query(STANDS, params![aggregate, kind])?.is_empty())
}

/// Ends the alerts of an aggregate that are not among `standing` (kind, object) any more.
///
/// # Errors
/// As the database.
pub fn resolve_others(
    tx: &mut dyn Tx,
    aggregate: &str,
    standing: &[(String, String)],
    now: Timestamp,
) -> Result<()> {
    let open = tx.query(OPEN_OF_AGGREGATE, params![aggregate])?;
    let mut over: Vec<Vec<V>> = Vec::new();
    for row in &open {
        let key = (row.text("kind")?, row.text("object")?);
        if !standing.contains(&key) {
            let told = told_when_over(&key.0);
            over.push(params![key.0, key.1, now.ms(), told].to_vec());
        }
    }
    if !over.is_empty() {
        tx.batch(RESOLVE, &over)?;
    }
    Ok(())
}

/// Alerts before `cursor` (exclusive; `i64::MAX` for the newest), newest first; those that are over too when `all`.
///
/// # Errors
/// As the database.
pub fn alerts(tx: &mut dyn Tx, all: bool, cursor: i64, limit: i64) -> Result<Vec<AlertRow>> {
    tx.query(ALERTS, params![all, cursor, limit])?.iter().map(read_alert).collect()
}

/// Alerts that began or ended, were not told and may be told at `now`, of each kind the oldest first; `quiet_ms` is the least
/// time between two tellings of one that comes back.
///
/// # Errors
/// As the database.
pub fn due(tx: &mut dyn Tx, quiet_ms: i64, now: Timestamp, limit: i64) -> Result<Vec<AlertRow>> {
    tx.query(DUE, params![quiet_ms, now.ms(), limit])?.iter().map(read_alert).collect()
}

/// From when the first of the alerts that were not told may be told; none when nothing waits.
///
/// # Errors
/// As the database.
pub fn first_due(tx: &mut dyn Tx, quiet_ms: i64) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(FIRST_DUE, params![quiet_ms])?.opt_i64("at")?.map(Timestamp::from_ms))
}

/// Records that an alert was told as it stands in `alert`: `standing_at` is when, if it was told that it stands. `false`
/// when somebody else has told it, or it has changed since it was read.
///
/// # Errors
/// As the database.
pub fn told(tx: &mut dyn Tx, alert: &AlertRow, standing_at: Option<Timestamp>) -> Result<bool> {
    let at = standing_at.or(alert.announced_at).map(Timestamp::ms);
    Ok(tx.exec(TOLD, params![alert.seq, at, alert.created_at.ms(), alert.resolved_at.is_none()])? == 1)
}

/// When an alert was told last.
///
/// # Errors
/// As the database.
pub fn last_told(tx: &mut dyn Tx) -> Result<Option<Timestamp>> {
    Ok(tx.query_one(LAST_TOLD, params![])?.opt_i64("at")?.map(Timestamp::from_ms))
}

/// One alert by its number.
///
/// # Errors
/// As the database.
pub fn alert(tx: &mut dyn Tx, seq: i64) -> Result<Option<AlertRow>> {
    tx.query(BY_SEQ, params![seq])?.first().map(read_alert).transpose()
}

fn read_alert(row: &Row) -> Result<AlertRow> {
    Ok(AlertRow {
        seq: row.i64("seq")?,
        kind: row.text("kind")?,
        object: row.text("object")?,
        customer: row.opt_text("customer")?,
        detail: row.text("detail")?,
        mend: row.text("mend")?,
        created_at: Timestamp::from_ms(row.i64("created_at")?),
        last_seen_at: Timestamp::from_ms(row.i64("last_seen_at")?),
        resolved_at: row.opt_i64("resolved_at")?.map(Timestamp::from_ms),
        announced_at: row.opt_i64("announced_at")?.map(Timestamp::from_ms),
    })
}
