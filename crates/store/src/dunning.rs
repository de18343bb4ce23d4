//! Payments that failed and what became of them. Rows are written only by the one door, behind the fence.

use quittance_domain::dunning::{Case, Cause, Outcome};
use quittance_domain::{Currency, CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// Cases of one aggregate that are looked at: a customer has few, and the newest matter.
const MOST: i64 = 500;

static PUT: &Sql = crate::sql!(
    "dunning.put",
    "INSERT INTO dunning_cases (scope, subscription, invoice, aggregate, customer, cause, outcome, recovery, amount, currency, at_risk_since,
       ended_at, data, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
     ON CONFLICT (scope, subscription, invoice) DO UPDATE SET aggregate = $4, customer = $5, cause = $6, outcome = $7, recovery = $8,
       ended_at = $12, data = $13, updated_at = $14"
);
static OF_AGGREGATE: &Sql = crate::sql!(
    "dunning.of_aggregate",
    "SELECT data FROM dunning_cases WHERE aggregate = $1 ORDER BY seq DESC LIMIT $2"
);
static LIST: &Sql = crate::sql!(
    "dunning.list",
    "SELECT seq, customer, data FROM dunning_cases
     WHERE scope = $1 AND seq < $2 AND ($3 = '' OR outcome = $3) AND ($4 = '' OR customer = $4) ORDER BY seq DESC LIMIT $5"
);
static SUMMARY: &Sql = crate::sql!(
    "dunning.summary",
    "SELECT cause, outcome, recovery, currency, COUNT(*) AS n, CAST(SUM(amount) AS BIGINT) AS amount FROM dunning_cases
     WHERE scope = $1 AND at_risk_since >= $2 AND at_risk_since < $3
     GROUP BY cause, outcome, recovery, currency ORDER BY currency, cause, outcome, recovery"
);

/// Writes a case.
///
/// # Errors
/// As the database.
pub fn put(
    tx: &mut dyn Tx,
    scope: &str,
    aggregate: &str,
    customer: Option<&CustomerId>,
    case: &Case,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        PUT,
        params![
            scope,
            &case.subscription,
            &case.invoice,
            aggregate,
            customer.map(CustomerId::as_str),
            case.cause.as_str(),
            case.outcome.as_str(),
            case.recovery.map(|recovery| recovery.as_str()),
            case.amount.minor,
            case.amount.currency.code(),
            case.at_risk_since.ms(),
            case.ended_at.map(Timestamp::ms),
            json::write(case)?,
            now.ms()
        ],
    )?;
    Ok(())
}

/// The cases of one aggregate, newest first.
///
/// # Errors
/// As the database.
pub fn of_aggregate(tx: &mut dyn Tx, aggregate: &str) -> Result<Vec<Case>> {
    tx.query(OF_AGGREGATE, params![aggregate, MOST])?.iter().map(|row| json::read(row, "data")).collect()
}

/// A case and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRow {
    /// Running number and cursor.
    pub seq: i64,
    /// The customer, if one is linked.
    pub customer: Option<String>,
    /// The case.
    pub case: Case,
}

/// Cases before `cursor` (exclusive; `i64::MAX` for the newest), newest first, of one outcome or customer where one is named.
///
/// # Errors
/// As the database.
pub fn list(
    tx: &mut dyn Tx,
    scope: &str,
    cursor: i64,
    outcome: Option<Outcome>,
    customer: Option<&str>,
    limit: i64,
) -> Result<Vec<CaseRow>> {
    let outcome = outcome.map_or("", Outcome::as_str);
    tx.query(LIST, params![scope, cursor, outcome, customer.unwrap_or_default(), limit])?
        .iter()
        .map(|row| {
            Ok(CaseRow {
                seq: row.i64("seq")?,
                customer: row.opt_text("customer")?,
                case: json::read(row, "data")?,
            })
        })
        .collect()
}

/// How many cases of one kind there were, and what they were about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Why they failed.
    pub cause: Cause,
    /// What became of them.
    pub outcome: Outcome,
    /// What recovered them, in a word.
    pub recovery: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// How many.
    pub count: i64,
    /// Their sum, in minor units.
    pub amount: i64,
}

/// The sums of what came to be at risk from `from` until before `until`.
///
/// # Errors
/// As the database.
pub fn summary(tx: &mut dyn Tx, scope: &str, from: Timestamp, until: Timestamp) -> Result<Vec<Sum>> {
    tx.query(SUMMARY, params![scope, from.ms(), until.ms()])?.iter().map(sum).collect()
}

fn sum(row: &Row) -> Result<Sum> {
    let unknown = |what: &str, text: &str| format!("`{text}` is no {what}");
    Ok(Sum {
        cause: json::parsed("cause", &row.text("cause")?, |text| {
            Cause::parse(text).ok_or_else(|| unknown("cause", text))
        })?,
        outcome: json::parsed("outcome", &row.text("outcome")?, |text| {
            Outcome::parse(text).ok_or_else(|| unknown("outcome", text))
        })?,
        recovery: row.opt_text("recovery")?,
        currency: json::parsed("currency", &row.text("currency")?, Currency::parse)?,
        count: row.i64("n")?,
        amount: row.i64("amount")?,
    })
}
