//! Drift: what sweeps found, one row for each difference until it is mended, however often it is seen.

use quittance_domain::drift::{DriftKind, Finding, WrongAccess, wrong_ms};
use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A finding as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRow {
    /// Its number.
    pub seq: i64,
    /// What differs.
    pub kind: DriftKind,
    /// The provider's object that it is about.
    pub object: String,
    /// The customer, if one is known.
    pub customer: Option<String>,
    /// The aggregate whose sync mends it.
    pub aggregate: Option<String>,
    /// What our side said.
    pub ours: Option<String>,
    /// What the provider said.
    pub theirs: Option<String>,
    /// Why, in a word.
    pub cause: String,
    /// What more is known of the cause.
    pub cause_detail: Option<String>,
    /// What it did to access.
    pub wrong: WrongAccess,
    /// Since when.
    pub wrong_since: Option<Timestamp>,
    /// For how long, in milliseconds, once it is mended.
    pub wrong_ms: Option<i64>,
    /// `open`, `mended` or `ignored`.
    pub state: String,
    /// When it was found.
    pub found_at: Timestamp,
    /// When it was seen last.
    pub last_seen_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// What ended it.
    pub ended_by: Option<String>,
}

static PUT: &Sql = crate::sql!(
    "drifts.put",
    "INSERT INTO drifts (scope, kind, object, customer, aggregate, ours, theirs, cause, cause_detail, wrong, wrong_since, mark,
       state, found_at, last_seen_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', $13, $13)
     ON CONFLICT (scope, kind, object) WHERE state <> 'mended' DO UPDATE SET
       last_seen_at = $13, ours = $6, theirs = $7, mark = COALESCE($12, drifts.mark),
       cause = CASE WHEN $8 = 'unexplained' THEN drifts.cause ELSE $8 END,
       cause_detail = CASE WHEN $8 = 'unexplained' THEN drifts.cause_detail ELSE $9 END,
       wrong = CASE WHEN drifts.wrong = 'none' THEN $10 ELSE drifts.wrong END,
       wrong_since = CASE WHEN drifts.wrong = 'none' AND $10 <> 'none' THEN drifts.last_seen_at ELSE drifts.wrong_since END
     RETURNING seq, state"
);
static KNOWN: &Sql = crate::sql!(
    "drifts.known",
    "SELECT wrong FROM drifts WHERE scope = $1 AND kind = $2 AND object = $3 AND state <> 'mended' {FOR_UPDATE}"
);
static MENDED: &Sql = crate::sql!(
    "drifts.mended",
    "SELECT seq, wrong, wrong_since, found_at, kind, object FROM drifts
     WHERE aggregate = $1 AND state = 'open' AND mark IS NOT NULL AND mark <= $2"
);
static END: &Sql = crate::sql!(
    "drifts.end",
    "UPDATE drifts SET state = $2, ended_at = $3, ended_by = $4, wrong_ms = $5 WHERE seq = $1 AND state = 'open'"
);
static UNSEEN: &Sql = crate::sql!(
    "drifts.unseen",
    "SELECT seq, wrong, wrong_since, found_at, kind, object FROM drifts
     WHERE scope = $1 AND kind = $2 AND state = 'open' AND mark IS NULL AND last_seen_at < $3 ORDER BY seq LIMIT $4"
);
static GET: &Sql = crate::sql!(
    "drifts.get",
    "SELECT seq, kind, object, customer, aggregate, ours, theirs, cause, cause_detail, wrong, wrong_since, wrong_ms, state, found_at,
       last_seen_at, ended_at, ended_by
     FROM drifts WHERE seq = $1"
);
static LIST: &Sql = crate::sql!(
    "drifts.list",
    "SELECT seq, kind, object, customer, aggregate, ours, theirs, cause, cause_detail, wrong, wrong_since, wrong_ms, state, found_at,
       last_seen_at, ended_at, ended_by
     FROM drifts
     WHERE scope = $1 AND seq < $2 AND ($3 OR state = 'open') AND (CAST($4 AS TEXT) IS NULL OR kind = $4)
     ORDER BY seq DESC LIMIT $5"
);
static SUMS: &Sql = crate::sql!(
    "drifts.sums",
    "SELECT kind, state, COUNT(*) AS n, CAST(COALESCE(SUM(CASE
         WHEN state <> 'open' THEN wrong_ms
         WHEN wrong <> 'none' AND COALESCE(wrong_since, found_at) < $3 THEN $3 - COALESCE(wrong_since, found_at)
       END), 0) AS BIGINT) AS wrong_ms FROM drifts
     WHERE scope = $1 AND seq > $2 GROUP BY kind, state ORDER BY kind, state"
);
static WRONG_NOW: &Sql = crate::sql!(
    "drifts.wrong_now",
    "SELECT wrong, COUNT(*) AS n, CAST(COALESCE(SUM(CASE
         WHEN COALESCE(wrong_since, found_at) < $2 THEN $2 - COALESCE(wrong_since, found_at)
       END), 0) AS BIGINT) AS wrong_ms FROM drifts
     WHERE scope = $1 AND state = 'open' AND wrong <> 'none' GROUP BY wrong ORDER BY wrong"
);

/// What keeping a finding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nobody had found it before: its number.
    New(i64),
    /// It was known, and has only now made access wrong: its number.
    TurnedWrong(i64),
    /// It was known, or is ignored.
    Known,
}

/// Keeps what was found. `mark` is what the finding's aggregate was marked with. What is found again has the newer sides and
/// the newer cause, where there is one; access that it made wrong stays counted.
///
/// # Errors
/// As the database.
pub fn put(
    tx: &mut dyn Tx,
    scope: &str,
    finding: &Finding,
    mark: Option<i64>,
    now: Timestamp,
) -> Result<Kept> {
    let before = tx.query(KNOWN, params![scope, finding.kind.as_str(), &finding.object])?;
    let before = before.first().map(word_of_wrong).transpose()?;
    let rows = tx.query(
        PUT,
        params![
            scope,
            finding.kind.as_str(),
            &finding.object,
            finding.customer.as_ref().map(CustomerId::as_str),
            finding.aggregate.clone(),
            finding.ours.clone(),
            finding.theirs.clone(),
            finding.cause.as_str(),
            finding.cause.detail(),
            finding.wrong.as_str(),
            finding.since.map(Timestamp::ms),
            mark,
            now.ms()
        ],
    )?;
    let Some(row) = rows.first() else { return Ok(Kept::Known) };
    let seq = row.i64("seq")?;
    let open = row.text("state")? == "open";
    Ok(match before {
        None => Kept::New(seq),
        Some(WrongAccess::None) if open && finding.wrong != WrongAccess::None => Kept::TurnedWrong(seq),
        Some(WrongAccess::None | WrongAccess::TooMuch | WrongAccess::TooLittle) => Kept::Known,
    })
}

/// A finding that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What differed.
    pub kind: DriftKind,
    /// The provider's object that it was about.
    pub object: String,
    /// What it did to access.
    pub wrong: WrongAccess,
    /// For how long, in milliseconds.
    pub wrong_ms: i64,
}

fn end(tx: &mut dyn Tx, rows: &[Row], by: &str, now: Timestamp) -> Result<Vec<Ended>> {
    let mut ended = Vec::with_capacity(rows.len());
    for row in rows {
        let wrong = word_of_wrong(row)?;
        let since = row.opt_i64("wrong_since")?.map(Timestamp::from_ms);
        let found_at = Timestamp::from_ms(row.i64("found_at")?);
        let ms = wrong_ms(wrong, since, found_at, now);
        if tx.exec(END, params![row.i64("seq")?, "mended", now.ms(), by, ms])? == 1 {
            ended.push(Ended { kind: kind(row)?, object: row.text("object")?, wrong, wrong_ms: ms });
        }
    }
    Ok(ended)
}

/// Ends what a completed sync has mended: what its aggregate was marked for.
///
/// # Errors
/// As the database.
pub fn synced(tx: &mut dyn Tx, aggregate: &str, target: i64, now: Timestamp) -> Result<Vec<Ended>> {
    let rows = tx.query(MENDED, params![aggregate, target])?;
    end(tx, &rows, "synced", now)
}

/// Most findings of a kind that end at once because they are no longer seen.
const MOST_UNSEEN: i64 = 1_000;

/// Ends what no sync ends and a whole sweep, begun at `began`, has not seen any more; `customers` says whether it looked at
/// the provider's customers.
///
/// # Errors
/// As the database.
pub fn unseen(
    tx: &mut dyn Tx,
    scope: &str,
    customers: bool,
    began: Timestamp,
    now: Timestamp,
) -> Result<Vec<Ended>> {
    let mut ended = Vec::new();
    for kind in DriftKind::ALL.iter().filter(|kind| customers || !kind.is_found_among_customers()) {
        let rows = tx.query(UNSEEN, params![scope, kind.as_str(), began.ms(), MOST_UNSEEN])?;
        ended.extend(end(tx, &rows, "gone", now)?);
    }
    Ok(ended)
}

/// Ignores an open finding for good, by whom it says; `false` when it is not open.
///
/// # Errors
/// As the database.
pub fn ignore(tx: &mut dyn Tx, seq: i64, by: &str, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(END, params![seq, "ignored", now.ms(), by, None::<i64>])? == 1)
}

/// Ends an open finding because an operator mended it; `false` when it is not open.
///
/// # Errors
/// As the database.
pub fn claimed(tx: &mut dyn Tx, seq: i64, by: &str, now: Timestamp) -> Result<bool> {
    Ok(tx.exec(END, params![seq, "mended", now.ms(), by, 0_i64])? == 1)
}

static SEE: &Sql =
    crate::sql!("drifts.see", "UPDATE drifts SET last_seen_at = $2 WHERE seq = $1 AND state = 'open'");

/// Sees an open finding once more.
///
/// # Errors
/// As the database.
pub fn see(tx: &mut dyn Tx, seq: i64, now: Timestamp) -> Result<()> {
    tx.exec(SEE, params![seq, now.ms()])?;
    Ok(())
}

/// One finding.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, seq: i64) -> Result<Option<DriftRow>> {
    tx.query(GET, params![seq])?.first().map(read).transpose()
}

/// Findings before `cursor` (exclusive; `i64::MAX` for the newest), newest first; those that are over too when `all`.
///
/// # Errors
/// As the database.
pub fn list(
    tx: &mut dyn Tx,
    scope: &str,
    all: bool,
    kind: Option<DriftKind>,
    cursor: i64,
    limit: i64,
) -> Result<Vec<DriftRow>> {
    let kind = kind.map(DriftKind::as_str);
    tx.query(LIST, params![scope, cursor, all, kind, limit])?.iter().map(read).collect()
}

/// How many findings after number `after` there are of each kind and state, and how long access was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// What differed.
    pub kind: DriftKind,
    /// `open`, `mended` or `ignored`.
    pub state: String,
    /// How many.
    pub count: i64,
    /// For how long access was wrong, in milliseconds over all accounts.
    pub wrong_ms: i64,
}

/// Sums up the findings after number `after`; access that is wrong still counts until `now`.
///
/// # Errors
/// As the database.
pub fn sums(tx: &mut dyn Tx, scope: &str, after: i64, now: Timestamp) -> Result<Vec<Sum>> {
    let read = |row: &Row| {
        Ok(Sum {
            kind: kind(row)?,
            state: row.text("state")?,
            count: row.i64("n")?,
            wrong_ms: row.i64("wrong_ms")?,
        })
    };
    tx.query(SUMS, params![scope, after, now.ms()])?.iter().map(read).collect()
}

/// Accounts whose access is wrong now, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongNow {
    /// In which.
    pub wrong: WrongAccess,
    /// How many.
    pub accounts: i64,
    /// For how long until now, in milliseconds over all of them.
    pub wrong_ms: i64,
}

/// What access is wrong at `now`, by direction.
///
/// # Errors
/// As the database.
pub fn wrong_now(tx: &mut dyn Tx, scope: &str, now: Timestamp) -> Result<Vec<WrongNow>> {
    let read = |row: &Row| {
        Ok(WrongNow { wrong: word_of_wrong(row)?, accounts: row.i64("n")?, wrong_ms: row.i64("wrong_ms")? })
    };
    tx.query(WRONG_NOW, params![scope, now.ms()])?.iter().map(read).collect()
}

fn kind(row: &Row) -> Result<DriftKind> {
    json::parsed("kind", &row.text("kind")?, |text| {
        DriftKind::parse(text).ok_or_else(|| format!("`{text}` is not a kind of drift"))
    })
}

fn word_of_wrong(row: &Row) -> Result<WrongAccess> {
    json::parsed("wrong", &row.text("wrong")?, |text| {
        WrongAccess::parse(text).ok_or_else(|| format!("`{text}` is not a wrong of access"))
    })
}

fn read(row: &Row) -> Result<DriftRow> {
    let time =
        |column: &'static str| Ok::<_, crate::StoreError>(row.opt_i64(column)?.map(Timestamp::from_ms));
    Ok(DriftRow {
        seq: row.i64("seq")?,
        kind: kind(row)?,
        object: row.text("object")?,
        customer: row.opt_text("customer")?,
        aggregate: row.opt_text("aggregate")?,
        ours: row.opt_text("ours")?,
        theirs: row.opt_text("theirs")?,
        cause: row.text("cause")?,
        cause_detail: row.opt_text("cause_detail")?,
        wrong: word_of_wrong(row)?,
        wrong_since: time("wrong_since")?,
        wrong_ms: row.opt_i64("wrong_ms")?,
        state: row.text("state")?,
        found_at: Timestamp::from_ms(row.i64("found_at")?),
        last_seen_at: Timestamp::from_ms(row.i64("last_seen_at")?),
        ended_at: time("ended_at")?,
        ended_by: row.opt_text("ended_by")?,
    })
}
