//! Disputes and early fraud warnings as mirrored: disputes beside their payments, so that they can be listed by deadline; warnings by
//! the look at their payment, because they name no customer.

use quittance_domain::dispute::{DisputeFacts, Turn, WarningFacts};
use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A mirrored dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeRow {
    /// Running number and cursor.
    pub seq: i64,
    /// The aggregate that it belongs to.
    pub aggregate: String,
    /// Whose payment it is about.
    pub customer: Option<String>,
    /// The payment.
    pub payment: String,
    /// What the provider said last.
    pub facts: DisputeFacts,
}

static PUT: &Sql = crate::sql!(
    "disputes.put",
    "INSERT INTO disputes (scope, id, aggregate, customer, payment, status, is_open, due_by, data, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     ON CONFLICT (scope, id) DO UPDATE SET aggregate = $3, customer = $4, payment = $5, status = $6, is_open = $7, due_by = $8,
       data = $9, updated_at = $11"
);
static GET: &Sql = crate::sql!(
    "disputes.get",
    "SELECT seq, aggregate, customer, payment, data FROM disputes WHERE scope = $1 AND id = $2"
);
static LIST: &Sql = crate::sql!(
    "disputes.list",
    "SELECT seq, aggregate, customer, payment, data FROM disputes WHERE scope = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"
);
static LIST_OPEN: &Sql = crate::sql!(
    "disputes.list_open",
    "SELECT seq, aggregate, customer, payment, data FROM disputes WHERE scope = $1 AND seq < $2 AND is_open
     ORDER BY seq DESC LIMIT $3"
);

static PAYMENTS_OF: &Sql = crate::sql!(
    "disputes.payments_of_aggregate",
    "SELECT DISTINCT payment FROM disputes WHERE aggregate = $1 ORDER BY payment LIMIT 100"
);

/// The payments of an aggregate about which disputes are known.
///
/// # Errors
/// As the database.
pub fn payments_of_aggregate(tx: &mut dyn Tx, aggregate: &str) -> Result<Vec<String>> {
    tx.query(PAYMENTS_OF, params![aggregate])?.iter().map(|row| row.text("payment")).collect()
}

/// Where a dispute belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Provider, mode and account.
    pub scope: &'a str,
    /// The aggregate.
    pub aggregate: &'a str,
    /// Whose payment it is about.
    pub customer: Option<&'a CustomerId>,
    /// The payment.
    pub payment: &'a str,
}

/// Writes a dispute.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, place: Place<'_>, facts: &DisputeFacts, now: Timestamp) -> Result<()> {
    tx.exec(
        PUT,
        params![
            place.scope,
            &facts.id,
            place.aggregate,
            place.customer.map(CustomerId::as_str),
            place.payment,
            facts.status.as_str(),
            facts.status.turn() != Turn::Over,
            facts.due_by.map(Timestamp::ms),
            json::write(facts)?,
            facts.created_at.ms(),
            now.ms()
        ],
    )?;
    Ok(())
}

fn read(row: &Row) -> Result<DisputeRow> {
    Ok(DisputeRow {
        seq: row.i64("seq")?,
        aggregate: row.text("aggregate")?,
        customer: row.opt_text("customer")?,
        payment: row.text("payment")?,
        facts: json::read(row, "data")?,
    })
}

/// One dispute by the provider's id.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, scope: &str, id: &str) -> Result<Option<DisputeRow>> {
    tx.query(GET, params![scope, id])?.first().map(read).transpose()
}

/// Disputes before `cursor` (exclusive; `i64::MAX` for the newest), newest first; only those that are open where asked for.
///
/// # Errors
/// As the database.
pub fn list(
    tx: &mut dyn Tx,
    scope: &str,
    only_open: bool,
    cursor: i64,
    limit: i64,
) -> Result<Vec<DisputeRow>> {
    let statement = if only_open { LIST_OPEN } else { LIST };
    tx.query(statement, params![scope, cursor, limit])?.iter().map(read).collect()
}

static PUT_WARNING: &Sql = crate::sql!(
    "disputes.put_warning",
    "INSERT INTO fraud_warnings (scope, id, payment, provider_customer, data, created_at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (scope, id) DO UPDATE SET payment = $3, provider_customer = $4, data = $5"
);
static WARNINGS: &Sql = crate::sql!(
    "disputes.warnings",
    "SELECT payment, data FROM fraud_warnings WHERE scope = $1 AND provider_customer = $2 ORDER BY created_at, id LIMIT 100"
);

static WARNINGS_OF_PAYMENT: &Sql = crate::sql!(
    "disputes.warnings_of_payment",
    "SELECT payment, data FROM fraud_warnings WHERE scope = $1 AND payment = $2 ORDER BY created_at, id LIMIT 100"
);

/// Who is warned of a payment that none of the provider's customers has made.
pub const NOBODY: &str = "";

/// The warnings of a payment, oldest first, whoever has made it.
///
/// # Errors
/// As the database.
pub fn warnings_of_payment(
    tx: &mut dyn Tx,
    scope: &str,
    payment: &str,
) -> Result<Vec<(String, WarningFacts)>> {
    let rows = tx.query(WARNINGS_OF_PAYMENT, params![scope, payment])?;
    rows.iter().map(|row| Ok((row.text("payment")?, json::read(row, "data")?))).collect()
}

/// Writes an early fraud warning.
///
/// # Errors
/// As the database.
pub fn put_warning(
    tx: &mut dyn Tx,
    scope: &str,
    payment: &str,
    provider_customer: &str,
    facts: &WarningFacts,
) -> Result<()> {
    let data = json::write(facts)?;
    tx.exec(PUT_WARNING, params![scope, &facts.id, payment, provider_customer, data, facts.created_at.ms()])?;
    Ok(())
}

/// The warnings about a provider's customer, oldest first, each with its payment.
///
/// # Errors
/// As the database.
pub fn warnings(
    tx: &mut dyn Tx,
    scope: &str,
    provider_customer: &str,
) -> Result<Vec<(String, WarningFacts)>> {
    let rows = tx.query(WARNINGS, params![scope, provider_customer])?;
    rows.iter().map(|row| Ok((row.text("payment")?, json::read(row, "data")?))).collect()
}
