//! Events and the endpoints that hear of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::state::table::Stored;
use crate::webhooks::thin;
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
    /// An event of version 2 of the API alone has its own details here; most are twins of an event of version 1.
    pub(crate) thin: Option<ThinOnly>,
}

/// What only an event without a snapshot has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ThinOnly {
    /// Its `data`, which its type defines.
    pub(crate) data: Option<Value>,
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
        Shape::Event.with(json!({
            "id": self.id,
            "created": self.created,
            "type": self.kind,
            "api_version": api_version,
            "data": data,
            "pending_webhooks": self.pending.len(),
            "request": { "id": self.request_id, "idempotency_key": self.idempotency_key },
        }))
    }
}

/// The form in which an event is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    Snapshot,
    /// One of its thin twins, by its place among them.
    Thin(usize),
}

/// What an endpoint is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Payload {
    /// The event with its object, as it was then.
    Snapshot,
    /// The event alone: whoever wants the object fetches it.
    Thin,
}

/// Who made an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// `POST /v1/webhook_endpoints`.
    Endpoint,
    /// `POST /v2/core/event_destinations`.
    Destination { name: String, updated: i64, payload: Payload },
    /// The provider's command-line program, which listens on a web socket and not at a URL.
    Listener,
}

/// A webhook endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: String,
    pub(crate) origin: Origin,
    pub(crate) created: i64,
    pub(crate) url: String,
    pub(crate) secret: String,
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
    fn asks_for(&self, kind: &str) -> bool {
        self.enabled_events.iter().any(|word| word == "*" || word == kind)
    }

    /// In which forms it hears of an event; in none, as a rule once, and several times where finer types are asked for.
    pub(crate) fn hears(&self, event: &Event) -> Vec<Form> {
        if !self.enabled {
            return Vec::new();
        }
        match self.payload() {
            Payload::Snapshot if event.thin.is_none() && self.asks_for(&event.kind) => vec![Form::Snapshot],
            Payload::Snapshot => Vec::new(),
            Payload::Thin => {
                let kinds = thin::kinds(event).into_iter().enumerate();
                kinds
                    .filter(|(_, kind)| thin::is_type(kind) && self.asks_for(kind))
                    .map(|(twin, _)| Form::Thin(twin))
                    .collect()
            }
        }
    }

    /// What it is sent.
    pub(crate) fn payload(&self) -> Payload {
        match self.origin {
            Origin::Endpoint | Origin::Listener => Payload::Snapshot,
            Origin::Destination { payload, .. } => payload,
        }
    }

    /// Whether an event counts as delivered only when it has received it.
    pub(crate) fn is_counted(&self) -> bool {
        self.origin != Origin::Listener && self.payload() == Payload::Snapshot
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
