//! Customer portal sessions and configurations.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::portal_flow::Flow;
use super::product::Recurring;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;

/// A product that a customer may change to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PortalProduct {
    pub(crate) product: String,
    pub(crate) prices: Vec<String>,
    /// Least and most of it, where its quantity can be changed.
    pub(crate) quantity: Option<(i64, Option<i64>)>,
}

/// What the portal lets a customer do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PortalConfiguration {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) active: bool,
    pub(crate) is_default: bool,
    pub(crate) name: Option<String>,
    pub(crate) headline: Option<String>,
    pub(crate) privacy_policy_url: Option<String>,
    pub(crate) terms_of_service_url: Option<String>,
    pub(crate) default_return_url: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) payment_method_update: bool,
    pub(crate) invoice_history: bool,
    pub(crate) customer_update: bool,
    /// `email`, `name`, `phone`, `address`, `shipping`.
    pub(crate) customer_updates: Vec<String>,
    pub(crate) subscription_cancel: bool,
    /// `at_period_end` or `immediately`.
    pub(crate) cancel_mode: String,
    pub(crate) cancel_proration: String,
    /// Reasons that a customer who cancels is asked to choose from; nothing when they are not asked.
    pub(crate) cancel_reasons: Option<Vec<String>>,
    pub(crate) subscription_update: bool,
    /// `create_prorations`, `always_invoice` or `none`.
    pub(crate) update_proration: String,
    pub(crate) allowed_updates: Vec<String>,
    /// A change ends a running trial.
    pub(crate) update_ends_trial: bool,
    /// A change starts a new period now.
    pub(crate) update_restarts: bool,
    /// Changes that wait for the end of the period: `decreasing_item_amount`, `shortening_interval`.
    #[serde(default)]
    pub(crate) update_later: Vec<String>,
    #[serde(default)]
    pub(crate) subscription_pause: bool,
    /// How long a customer may pause; empty means until they resume.
    #[serde(default)]
    pub(crate) pause_lengths: Vec<Recurring>,
    /// What a customer may change to; empty means every active recurring price.
    pub(crate) products: Vec<PortalProduct>,
}

impl Stored for PortalConfiguration {
    const LABEL: &'static str = "configuration";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl PortalConfiguration {
    /// Whether a customer may change plans.
    pub(crate) fn updates_plans(&self) -> bool {
        self.subscription_update && self.allowed_updates.iter().any(|word| word == "price")
    }

    /// Least and most of a product, where its quantity can be changed.
    pub(crate) fn quantity_of(&self, product: &str) -> Option<(i64, Option<i64>)> {
        let allowed = self.subscription_update && self.allowed_updates.iter().any(|word| word == "quantity");
        let listed = self.products.iter().find(|listed| listed.product == product).filter(|_| allowed);
        listed.and_then(|listed| listed.quantity)
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let products: Vec<Value> = self
            .products
            .iter()
            .map(|product| {
                let (least, most) = product.quantity.unwrap_or((1, None));
                let quantity = json!({ "enabled": product.quantity.is_some(), "maximum": most, "minimum": least });
                json!({ "product": product.product, "prices": product.prices, "adjustable_quantity": quantity })
            })
            .collect();
        let reasons = self
            .cancel_reasons
            .clone()
            .unwrap_or_else(|| ["too_expensive", "unused", "other"].map(str::to_owned).to_vec());
        let lengths: Vec<Value> = self
            .pause_lengths
            .iter()
            .map(|length| json!({ "interval": length.interval.as_str(), "interval_count": length.count }))
            .collect();
        let kind = if lengths.is_empty() { "indefinite" } else { "interval_options" };
        Shape::PortalConfiguration.with(json!({
            "id": self.id,
            "created": self.created,
            "updated": self.updated,
            "active": self.active,
            "is_default": self.is_default,
            "name": self.name,
            "business_profile": {
                "headline": self.headline,
                "privacy_policy_url": self.privacy_policy_url,
                "terms_of_service_url": self.terms_of_service_url,
            },
            "default_return_url": self.default_return_url,
            "metadata": self.metadata,
            "features": {
                "customer_update": { "enabled": self.customer_update, "allowed_updates": self.customer_updates },
                "invoice_history": { "enabled": self.invoice_history },
                "payment_method_update": { "enabled": self.payment_method_update },
                "subscription_cancel": {
                    "enabled": self.subscription_cancel, "mode": self.cancel_mode, "proration_behavior": self.cancel_proration,
                    "cancellation_reason": { "enabled": self.cancel_reasons.is_some(), "options": reasons },
                },
                "subscription_pause": {
                    "enabled": self.subscription_pause, "duration": { "interval_options": lengths, "type": kind },
                },
                "subscription_update": {
                    "enabled": self.subscription_update, "default_allowed_updates": self.allowed_updates,
                    "proration_behavior": self.update_proration, "products": products,
                    "trial_update_behavior": if self.update_ends_trial { "end_trial" } else { "continue_trial" },
                    "schedule_at_period_end": {
                        "conditions": self.update_later.iter().map(|word| json!({ "type": word })).collect::<Vec<Value>>(),
                    },
                    "billing_cycle_anchor": self.update_restarts.then_some("now"),
                },
            },
        }))
    }
}

/// A customer's way into the portal for a short time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PortalSession {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) configuration: String,
    pub(crate) return_url: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) flow: Option<Flow>,
    /// The secret part of the page's address.
    pub(crate) token: String,
    pub(crate) url: String,
}

impl Stored for PortalSession {
    const LABEL: &'static str = "billing_portal.session";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

impl PortalSession {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        Shape::PortalSession.with(json!({
            "id": self.id,
            "created": self.created,
            "customer": self.customer,
            "configuration": self.configuration,
            "return_url": self.return_url,
            "locale": self.locale,
            "flow": self.flow.as_ref().map(Flow::render),
            "url": self.url,
        }))
    }
}
