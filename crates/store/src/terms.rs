//! What was negotiated with single customers.

use quittance_domain::terms::CustomerTerms;
use quittance_domain::{CustomerId, Timestamp};

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// A customer's own terms as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsRow {
    /// What was negotiated.
    pub terms: CustomerTerms,
    /// The API key or operator that wrote them.
    pub created_by: String,
    /// When they were written.
    pub updated_at: Timestamp,
}

static PUT: &Sql = crate::sql!(
    "terms.put",
    "INSERT INTO customer_terms (customer, terms, created_by, updated_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (customer) DO UPDATE SET terms = $2, created_by = $3, updated_at = $4"
);
static DROP: &Sql = crate::sql!("terms.drop", "DELETE FROM customer_terms WHERE customer = $1");
static GET: &Sql =
    crate::sql!("terms.get", "SELECT terms, created_by, updated_at FROM customer_terms WHERE customer = $1");

/// Writes a customer's terms over those that were there.
///
/// # Errors
/// As the database; a customer that we do not know is a constraint violation.
pub fn put(tx: &mut dyn Tx, customer: &CustomerId, row: &TermsRow) -> Result<()> {
    let terms = json::write(&row.terms)?;
    tx.exec(PUT, params![customer.as_str(), terms, &row.created_by, row.updated_at.ms()])?;
    Ok(())
}

/// Takes a customer's terms away; `false` when there were none.
///
/// # Errors
/// As the database.
pub fn drop(tx: &mut dyn Tx, customer: &CustomerId) -> Result<bool> {
    Ok(tx.exec(DROP, params![customer.as_str()])? == 1)
}

/// A customer's terms, in force or not.
///
/// # Errors
/// As the database.
pub fn get(tx: &mut dyn Tx, customer: &str) -> Result<Option<TermsRow>> {
    let read = |row: &Row| {
        Ok(TermsRow {
            terms: json::read(row, "terms")?,
            created_by: row.text("created_by")?,
            updated_at: Timestamp::from_ms(row.i64("updated_at")?),
        })
    };
    tx.query(GET, params![customer])?.first().map(read).transpose()
}
