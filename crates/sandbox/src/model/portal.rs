//! Customer portal sessions and configurations.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;

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
    pub(crate) subscription_cancel: bool,
    /// `at_period_end` or `immediately`.
    pub(crate) cancel_mode: String,
    pub(crate) cancel_proration: String,
    pub(crate) subscription_update: bool,
    /// `create_prorations`, `always_invoice` or `none`.
    pub(crate) update_proration: String,
    pub(crate) allowed_updates: Vec<String>,
    /// Prices that a customer may change to, by product; empty means every active recurring price.
    pub(crate) products: Vec<(String, Vec<String>)>,
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
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let products: Vec<Value> = self
            .products
            .iter()
            .map(|(product, prices)| {
                json!({ "product": product, "prices": prices, "adjustable_quantity": { "enabled": false, "maximum": null, "minimum": 1 } })
            })
            .collect();
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
                "customer_update": { "enabled": self.customer_update, "allowed_updates": if self.customer_update { json!(["email", "name"]) } else { json!([]) } },
                "invoice_history": { "enabled": self.invoice_history },
                "payment_method_update": { "enabled": self.payment_method_update },
                "subscription_cancel": {
                    "enabled": self.subscription_cancel, "mode": self.cancel_mode, "proration_behavior": self.cancel_proration,
                    "cancellation_reason": { "enabled": false, "options": ["too_expensive", "unused", "other"] },
                },
                "subscription_pause": { "enabled": false, "duration": { "interval_options": [], "type": "indefinite" } },
                "subscription_update": {
                    "enabled": self.subscription_update, "default_allowed_updates": self.allowed_updates,
                    "proration_behavior": self.update_proration, "products": products, "trial_update_behavior": "end_trial",
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
    pub(crate) flow: Value,
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
            "flow": self.flow,
            "url": self.url,
        }))
    }
}
