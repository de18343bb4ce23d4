//! Events and the endpoints that hear of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;

/// What became of an event at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    Waiting,
    Answered(u16),
    Failed,
    Dropped,
}

/// The attempts to deliver an event to one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeliveryNote {
    pub(crate) url: String,
    pub(crate) attempts: u32,
    pub(crate) fate: Fate,
}

/// Something that happened to an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) created: i64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The connected account that it happened in; none for the platform.
    #[serde(default)]
    pub(crate) account: Option<String>,
    pub(crate) object: Value,
    pub(crate) previous: Option<Value>,
    /// Fields that only older versions of the object show.
    pub(crate) older: Map<String, Value>,
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// Endpoints that have not acknowledged it yet.
    pub(crate) pending: Vec<String>,
    /// Whether an endpoint has refused it for good, or the network lost it.
    pub(crate) failed: bool,
    /// What became of it, by endpoint.
    pub(crate) notes: BTreeMap<String, DeliveryNote>,
}

impl Stored for Event {
    const LABEL: &'static str = "event";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Event {
    /// The event as `GET /v1/events/{id}` and endpoints of the given version see it.
    pub(crate) fn render(&self, api_version: &str, object: Value, previous: Option<Value>) -> Value {
        let mut data = json!({ "object": object });
        if let (Some(previous), Some(fields)) = (previous, data.as_object_mut()) {
            fields.insert("previous_attributes".to_owned(), previous);
        }
        let mut value = Shape::Event.with(json!({
            "id": self.id,
            "created": self.created,
            "type": self.kind,
            "api_version": api_version,
            "data": data,
            "pending_webhooks": self.pending.len(),
            "request": { "id": self.request_id, "idempotency_key": self.idempotency_key },
        }));
        if let (Some(account), Some(fields)) = (&self.account, value.as_object_mut()) {
            fields.insert("account".to_owned(), json!(account));
        }
        value
    }
}

/// A webhook endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) url: String,
    pub(crate) secret: String,
    /// The connected account that made it; none for the platform.
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// Whether it hears of connected accounts instead of the account that made it.
    #[serde(default)]
    pub(crate) connect: bool,
    pub(crate) enabled_events: Vec<String>,
    pub(crate) enabled: bool,
    pub(crate) api_version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for WebhookEndpoint {
    const LABEL: &'static str = "webhook endpoint";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl WebhookEndpoint {
    /// Whether it hears of events of this type.
    pub(crate) fn hears(&self, kind: &str) -> bool {
        self.enabled && self.enabled_events.iter().any(|word| word == "*" || word == kind)
    }

    /// The object; its secret is shown only when it is created.
    pub(crate) fn render(&self, with_secret: bool) -> Value {
        let mut value = Shape::WebhookEndpoint.with(json!({
            "id": self.id,
            "created": self.created,
            "url": self.url,
            "enabled_events": self.enabled_events,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "api_version": self.api_version,
            "description": self.description,
            "metadata": self.metadata,
        }));
        if let (true, Some(fields)) = (with_secret, value.as_object_mut()) {
            fields.insert("secret".to_owned(), json!(self.secret));
        }
        value
    }
}
