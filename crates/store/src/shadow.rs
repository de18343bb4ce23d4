//! Shadow mode: what the app answered beside what we would have, and what we would have asked of the provider.

use quittance_domain::Timestamp;

use crate::commands::NewCommand;
use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

static PUT: &Sql = crate::sql!(
    "shadow.put",
    "INSERT INTO shadow_answers (customer, feature, theirs, ours, differs_since, reports, differed, last_at)
     VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN CAST($6 AS BIGINT) END, 1, CASE WHEN $5 THEN 1 ELSE 0 END, $6)
     ON CONFLICT (customer, feature) DO UPDATE SET theirs = $3, ours = $4, last_at = $6,
       differs_since = CASE WHEN NOT $5 THEN NULL
         WHEN shadow_answers.differs_since IS NULL OR shadow_answers.theirs <> $3 THEN CAST($6 AS BIGINT)
         ELSE shadow_answers.differs_since END,
       reports = shadow_answers.reports + 1,
       differed = shadow_answers.differed + CASE WHEN $5 THEN 1 ELSE 0 END"
);
static PAGE: &Sql = crate::sql!(
    "shadow.page",
    "SELECT customer, feature, theirs, ours, differs_since, reports, differed, last_at FROM shadow_answers
     WHERE customer {BINARY} > $1 OR (customer = $1 AND feature {BINARY} > $2)
     ORDER BY customer {BINARY}, feature {BINARY} LIMIT $3"
);
static CLEAR: &Sql = crate::sql!("shadow.clear", "DELETE FROM shadow_answers");
static WITHHOLD: &Sql = crate::sql!(
    "shadow.withhold",
    "INSERT INTO shadow_withheld (scope, kind, object, customer, request, first_at, last_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6)
     ON CONFLICT (scope, kind, object) DO UPDATE SET customer = $4, request = $5, last_at = $6"
);
static WITHHELD: &Sql = crate::sql!(
    "shadow.withheld",
    "SELECT seq, kind, object, customer, request, first_at, last_at FROM shadow_withheld
     WHERE scope = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"
);

/// A question that the app answered, and that we answered beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRow {
    /// Who was asked about.
    pub customer: String,
    /// The feature.
    pub feature: String,
    /// What the app answered last.
    pub theirs: bool,
    /// What we would have answered then.
    pub ours: bool,
    /// Since when the two differ without a break.
    pub differs_since: Option<Timestamp>,
    /// How often it was reported.
    pub reports: i64,
    /// How often the two differed then.
    pub differed: i64,
    /// When it was reported last.
    pub last_at: Timestamp,
}

/// A command that was not written down, because nothing may be asked of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithheldRow {
    /// Its number.
    pub seq: i64,
    /// What would have been asked.
    pub kind: String,
    /// Of which object.
    pub object: String,
    /// For which customer.
    pub customer: Option<String>,
    /// The request, JSON.
    pub request: String,
    /// When it would have been asked first.
    pub first_at: Timestamp,
    /// And last.
    pub last_at: Timestamp,
}

fn read_answer(row: &Row) -> Result<AnswerRow> {
    Ok(AnswerRow {
        customer: row.text("customer")?,
        feature: row.text("feature")?,
        theirs: row.bool("theirs")?,
        ours: row.bool("ours")?,
        differs_since: row.opt_i64("differs_since")?.map(Timestamp::from_ms),
        reports: row.i64("reports")?,
        differed: row.i64("differed")?,
        last_at: Timestamp::from_ms(row.i64("last_at")?),
    })
}

fn read_withheld(row: &Row) -> Result<WithheldRow> {
    Ok(WithheldRow {
        seq: row.i64("seq")?,
        kind: row.text("kind")?,
        object: row.text("object")?,
        customer: row.opt_text("customer")?,
        request: row.text("request")?,
        first_at: Timestamp::from_ms(row.i64("first_at")?),
        last_at: Timestamp::from_ms(row.i64("last_at")?),
    })
}

/// Keeps what the app answered and what we would have.
///
/// # Errors
/// As the database.
pub fn put(
    tx: &mut dyn Tx,
    customer: &str,
    feature: &str,
    theirs: bool,
    ours: bool,
    now: Timestamp,
) -> Result<()> {
    tx.exec(PUT, params![customer, feature, theirs, ours, theirs != ours, now.ms()])?;
    Ok(())
}

/// Reported pairs after this one, in the order of customers and features.
///
/// # Errors
/// As the database.
pub fn page(tx: &mut dyn Tx, after: (&str, &str), limit: i64) -> Result<Vec<AnswerRow>> {
    tx.query(PAGE, params![after.0, after.1, limit])?.iter().map(read_answer).collect()
}

/// Forgets all reports: a comparison begins anew.
///
/// # Errors
/// As the database.
pub fn clear(tx: &mut dyn Tx) -> Result<u64> {
    tx.exec(CLEAR, params![])
}

/// Keeps what would have been asked of the provider.
///
/// # Errors
/// As the database.
pub fn withhold(tx: &mut dyn Tx, scope: &str, command: &NewCommand, now: Timestamp) -> Result<()> {
    let params = params![
        scope,
        command.kind,
        &command.object,
        command.customer.as_deref(),
        &command.request,
        now.ms()
    ];
    tx.exec(WITHHOLD, params)?;
    Ok(())
}

/// What would have been asked before this number, the newest first.
///
/// # Errors
/// As the database.
pub fn withheld(tx: &mut dyn Tx, scope: &str, cursor: i64, limit: i64) -> Result<Vec<WithheldRow>> {
    tx.query(WITHHELD, params![scope, cursor, limit])?.iter().map(read_withheld).collect()
}
