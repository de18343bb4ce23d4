//! The account itself, portal sessions and webhook endpoints.

use secrecy::SecretString;
use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError, ShapeProblem};

/// The account that the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAccount {
    /// `acct_...`.
    pub id: String,
    /// Whether it can take payments.
    pub charges_enabled: bool,
    /// Whether it is paid out.
    pub payouts_enabled: bool,
    /// Whether its owner has answered all questions.
    pub details_submitted: bool,
    /// ISO 3166 of the business.
    pub country: Option<String>,
    /// Lowercase ISO 4217.
    pub default_currency: Option<String>,
}

/// A session of Stripe's customer portal.
#[derive(Clone, PartialEq, Eq)]
pub struct ObservedPortalSession {
    /// `bps_...`.
    pub id: String,
    /// Live or test.
    pub livemode: bool,
    /// Whose portal it is.
    pub customer: Option<String>,
    /// Short-lived; whoever has it is the customer, so it is not shown in logs.
    pub url: String,
}

impl std::fmt::Debug for ObservedPortalSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedPortalSession")
            .field("id", &self.id)
            .field("customer", &self.customer)
            .finish_non_exhaustive()
    }
}

/// A registered webhook endpoint.
#[derive(Debug, Clone)]
pub struct ObservedWebhookEndpoint {
    /// `we_...`.
    pub id: String,
    /// `enabled` or `disabled`.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// Where Stripe posts to.
    pub url: String,
    /// The version that events are rendered in; none is the account's default.
    pub api_version: Option<String>,
    /// Event types, or `*`.
    pub enabled_events: Vec<String>,
    /// Metadata.
    pub metadata: MetadataMap,
    /// Only in the answer to its creation.
    pub secret: Option<SecretString>,
}

impl ObservedAccount {
    /// Reads an account.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("account", value)?;
        Ok(Self {
            id: node.text("id")?,
            charges_enabled: node.flag("charges_enabled")?,
            payouts_enabled: node.flag("payouts_enabled")?,
            details_submitted: node.flag("details_submitted")?,
            country: node.opt_text("country")?,
            default_currency: node.opt_text("default_currency")?,
        })
    }
}

impl ObservedPortalSession {
    /// Reads a portal session.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("billing_portal.session", value)?;
        Ok(Self {
            id: node.text("id")?,
            livemode: node.flag("livemode")?,
            customer: node.opt_id("customer")?,
            url: node.text("url")?,
        })
    }
}

impl ObservedWebhookEndpoint {
    /// Reads a webhook endpoint.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("webhook_endpoint", value)?;
        let events = node.value("enabled_events").and_then(Value::as_array);
        let events = events.ok_or_else(|| node.error("enabled_events", ShapeProblem::NotA("a list")))?;
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            url: node.text("url")?,
            api_version: node.opt_text("api_version")?,
            enabled_events: events.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            metadata: node.metadata("metadata")?,
            secret: node.opt_text("secret")?.map(SecretString::from),
        })
    }
}
