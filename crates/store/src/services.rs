//! What invoices were for: the periods of their lines.

use quittance_domain::ledger::recognition::Service;

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::{json, params};

static PUT: &Sql = crate::sql!(
    "services.put",
    "INSERT INTO invoice_services (scope, invoice, services) VALUES ($1, $2, $3) ON CONFLICT (scope, invoice) DO NOTHING"
);
static OF: &Sql =
    crate::sql!("services.of", "SELECT services FROM invoice_services WHERE scope = $1 AND invoice = $2");

/// Notes what a final invoice is for, once: its lines do not change any more.
///
/// # Errors
/// As the database.
pub fn put(tx: &mut dyn Tx, scope: &str, invoice: &str, services: &[Service]) -> Result<()> {
    tx.exec(PUT, params![scope, invoice, json::write(&services)?])?;
    Ok(())
}

/// What an invoice is for; nothing where that is not known.
///
/// # Errors
/// As the database.
pub fn of_invoice(tx: &mut dyn Tx, scope: &str, invoice: &str) -> Result<Vec<Service>> {
    let rows = tx.query(OF, params![scope, invoice])?;
    rows.first().map_or(Ok(Vec::new()), |row| json::read(row, "services"))
}
