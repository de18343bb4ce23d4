//! The timeline of a customer: what changed, and which events or operators caused it.

use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::params;
use crate::sql::Sql;
use crate::value::Row;

/// A line to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// Whose timeline; `None` while nobody is linked.
    pub customer: Option<CustomerId>,
    /// The aggregate that changed, if one did.
    pub aggregate: Option<String>,
    /// When it became so.
    pub at: Timestamp,
    /// A stable word, for example `access.changed`.
    pub kind: String,
    /// The object it is about.
    pub object: String,
    /// What changed, JSON.
    pub data: String,
    /// The causes, JSON: event ids and types, or who did it.
    pub cause: String,
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// Running number and cursor.
    pub seq: i64,
    /// When it became so.
    pub at: Timestamp,
    /// A stable word.
    pub kind: String,
    /// The object it is about.
    pub object: String,
    /// What changed, JSON.
    pub data: String,
    /// The causes, JSON.
    pub cause: String,
}

static INSERT: &Sql = crate::sql!(
    "history.insert",
    "INSERT INTO history (customer, aggregate, at, kind, object, data, cause) VALUES ($1, $2, $3, $4, $5, $6, $7)"
);
static OF_CUSTOMER: &Sql = crate::sql!(
    "history.of_customer",
    "SELECT seq, at, kind, object, data, cause FROM history WHERE customer = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"
);
static ADOPT: &Sql = crate::sql!(
    "history.adopt",
    "UPDATE history SET customer = $2 WHERE aggregate = $1 AND customer IS NULL"
);

/// Writes a line.
///
/// # Errors
/// As the database.
pub fn insert(tx: &mut dyn Tx, line: &NewLine) -> Result<()> {
    let customer = line.customer.as_ref().map(CustomerId::as_str);
    tx.exec(
        INSERT,
        params![
            customer,
            line.aggregate.clone(),
            line.at.ms(),
            &line.kind,
            &line.object,
            &line.data,
            &line.cause
        ],
    )?;
    Ok(())
}

/// Gives the lines that were written before a customer was linked to that customer.
///
/// # Errors
/// As the database.
pub fn adopt(tx: &mut dyn Tx, aggregate: &str, customer: &CustomerId) -> Result<u64> {
    tx.exec(ADOPT, params![aggregate, customer.as_str()])
}

/// A customer's timeline before `cursor` (exclusive), newest first.
///
/// # Errors
/// As the database.
pub fn of_customer(tx: &mut dyn Tx, customer: &str, cursor: i64, limit: i64) -> Result<Vec<HistoryRow>> {
    tx.query(OF_CUSTOMER, params![customer, cursor, limit])?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<HistoryRow> {
    Ok(HistoryRow {
        seq: row.i64("seq")?,
        at: Timestamp::from_ms(row.i64("at")?),
        kind: row.text("kind")?,
        object: row.text("object")?,
        data: row.text("data")?,
        cause: row.text("cause")?,
    })
}
