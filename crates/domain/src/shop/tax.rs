//! Whether what is charged is what the catalog says of tax. No checkout asks the provider to compute tax, so that a price that says
//! "tax comes on top" is charged bare, and a price at the provider that says otherwise than the catalog shows another total on
//! invoices than the pricing page does.
//!
//! Refuses to know: rates, and which tax is owed where.

use crate::catalog::{Catalog, TaxBehavior};

use super::{Finding, Found};

/// What is wrong about tax, price by price.
pub(super) fn findings(catalog: &Catalog, found: &Found) -> Vec<Finding> {
    catalog
        .prices()
        .filter_map(|(plan, price)| {
            let known = found.price(price)?;
            let (ours, theirs) = (plan.tax, known.tax.as_deref().unwrap_or("unspecified"));
            match ours {
                TaxBehavior::Inclusive | TaxBehavior::Exclusive if ours.as_str() != theirs => Some(Finding {
                    about: known.id.clone(),
                    what: format!(
                        "the catalog says that tax is {} in plan `{}`, and the price at the provider says {theirs}",
                        ours.as_str(),
                        plan.key
                    ),
                    mend: "Make both say the same: `tax` of the plan, or the price's tax behaviour in the provider's dashboard; once it is set there it stays, and another needs a new price.".to_owned(),
                }),
                TaxBehavior::Exclusive => Some(Finding {
                    about: known.id.clone(),
                    what: format!(
                        "tax should come on top of plan `{}`, and no checkout asks the provider to compute any: the bare price is charged",
                        plan.key
                    ),
                    mend: "Sell prices with tax in them: tax = \"inclusive\" in the plan, and a price with another lookup key.".to_owned(),
                }),
                TaxBehavior::Inclusive | TaxBehavior::Unspecified => None,
            }
        })
        .collect()
}
