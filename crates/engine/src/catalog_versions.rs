//! Which catalogs were in force and when, so that existing customers keep what they bought.

use quittance_domain::past::{Past, PastCatalog, PastPlan};
use quittance_domain::{Catalog, Timestamp};
use quittance_store::{Db, StoreError, Tx, catalogs};

/// Writes down that a catalog is in force from now on; called before an engine that sells by it is opened.
///
/// # Errors
/// When the database cannot be used.
#[crate::boxed]
pub async fn put_in_force(db: &Db, catalog: &Catalog, now: Timestamp) -> Result<bool, StoreError> {
    let (version, text) = (catalog.version().to_owned(), catalog.text().to_owned());
    db.write("catalogs.put_in_force", move |tx| catalogs::put_in_force(tx, &version, &text, now)).await
}

/// What was sold before, from what was written down. One that this release cannot read is left out, with a line in the
/// log: plans that were only in it then give nothing.
pub(crate) fn past(tx: &mut dyn Tx, now: &Catalog) -> quittance_store::Result<Past> {
    let mut all = Vec::new();
    for row in catalogs::in_force(tx)? {
        let read = if row.version == now.version() { Ok(now.clone()) } else { Catalog::parse(&row.text) };
        match read {
            Ok(catalog) => all.push(PastCatalog {
                version: row.version,
                since: row.since,
                plans: catalog.plans().iter().map(past_plan).collect(),
            }),
            Err(error) => {
                tracing::error!(version = row.version, %error, "an earlier catalog cannot be read");
            }
        }
    }
    Ok(Past::new(all))
}

fn past_plan(plan: &quittance_domain::catalog::Plan) -> PastPlan {
    PastPlan { key: plan.key.clone(), group: plan.group.clone(), features: plan.features.clone() }
}
