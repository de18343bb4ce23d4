//! Portal configurations, as the catalog is compared with them.

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// What a portal configuration lets customers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPortalConfiguration {
    /// `bpc_...`.
    pub id: String,
    /// Whether it can be used.
    pub active: bool,
    /// What customers may change of themselves; empty when nothing.
    pub customer_update: Vec<String>,
    /// Whether they see their invoices.
    pub invoice_history: bool,
    /// Whether they may change the payment method.
    pub payment_method_update: bool,
    /// `immediately` or `at_period_end` with the reasons that they are asked to choose from; none is not there.
    pub cancel: Option<(String, Vec<String>)>,
    /// How they change plans; none is not there.
    pub update: Option<ObservedPortalUpdate>,
    /// Metadata.
    pub metadata: MetadataMap,
}

/// How customers change plans in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPortalUpdate {
    /// `always_invoice`, `create_prorations` or `none`.
    pub proration: String,
    /// Changes that wait for the end of the period.
    pub at_period_end: Vec<String>,
    /// What a change in a trial does to it: `end_trial` or `continue_trial`; API versions before it do not say.
    pub trial_update: Option<String>,
    /// What may be changed, such as `price`.
    pub allowed: Vec<String>,
    /// What is offered.
    pub products: Vec<ObservedPortalProduct>,
}

/// A product that customers may change to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPortalProduct {
    /// `prod_...`.
    pub product: String,
    /// `price_...`.
    pub prices: Vec<String>,
    /// Whether they choose how many.
    pub units: bool,
}

impl ObservedPortalConfiguration {
    /// Reads a portal configuration.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("billing_portal.configuration", value)?;
        let features = node.child("features")?;
        let feature = |name: &str| features.as_ref().map(|f| f.child(name)).transpose().map(Option::flatten);
        let is_on = |found: Option<&Node<'_>>| found.map(|f| f.flag("enabled")).transpose();
        let customer = feature("customer_update")?;
        let cancel = feature("subscription_cancel")?;
        let update = feature("subscription_update")?;
        Ok(Self {
            id: node.text("id")?,
            active: node.flag("active")?,
            customer_update: match customer {
                Some(found) if found.flag("enabled")? => found.texts("allowed_updates")?,
                Some(_) | None => Vec::new(),
            },
            invoice_history: is_on(feature("invoice_history")?.as_ref())?.unwrap_or(false),
            payment_method_update: is_on(feature("payment_method_update")?.as_ref())?.unwrap_or(false),
            cancel: match cancel {
                Some(found) if found.flag("enabled")? => {
                    let reason = found.child("cancellation_reason")?;
                    let reasons = match reason {
                        Some(reason) if reason.flag("enabled")? => reason.texts("options")?,
                        Some(_) | None => Vec::new(),
                    };
                    Some((found.text("mode")?, reasons))
                }
                Some(_) | None => None,
            },
            update: match update {
                Some(found) if found.flag("enabled")? => Some(ObservedPortalUpdate::from_node(&found)?),
                Some(_) | None => None,
            },
            metadata: node.metadata("metadata")?,
        })
    }
}

impl ObservedPortalUpdate {
    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let schedule = node.child("schedule_at_period_end")?;
        let conditions = schedule.map(|s| s.array("conditions")).transpose()?.flatten().unwrap_or_default();
        let products = node.array("products")?.unwrap_or_default();
        Ok(Self {
            proration: node.text("proration_behavior")?,
            at_period_end: conditions.iter().map(|c| c.text("type")).collect::<Result<_, _>>()?,
            trial_update: node.opt_text("trial_update_behavior")?,
            allowed: node.texts("default_allowed_updates")?,
            products: products
                .iter()
                .map(|product| {
                    let quantity = product.child("adjustable_quantity")?;
                    Ok(ObservedPortalProduct {
                        product: product.text("product")?,
                        prices: product.texts("prices")?,
                        units: quantity.map(|found| found.flag("enabled")).transpose()?.unwrap_or(false),
                    })
                })
                .collect::<Result<_, ShapeError>>()?,
        })
    }
}
