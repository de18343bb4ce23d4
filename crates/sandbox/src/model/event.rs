//! Events and the endpoints that hear of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::versions::Version;
use crate::webhooks::thin;
use crate::wire::packed::Packed;
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
    pub(crate) object: Packed,
    pub(crate) previous: Option<Value>,
    /// How endpoints with an older version see it, by the name of the version.
    pub(crate) shapes: BTreeMap<String, Shown>,
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// Endpoints that have not acknowledged it yet.
    pub(crate) pending: Vec<String>,
    /// Whether an endpoint has refused it for good, or the network lost it.
    pub(crate) failed: bool,
    /// When an endpoint acknowledged it last, in unix seconds.
    #[serde(default)]
    pub(crate) received_at: Option<i64>,
    /// What became of it, by endpoint.
    pub(crate) notes: BTreeMap<String, DeliveryNote>,
    /// An event of version 2 of the API alone has its own details here; most are twins of an event of version 1.
    pub(crate) thin: Option<ThinOnly>,
}

/// The object of an event, and the former values of what changed, in the shape of some version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) object: Value,
    pub(crate) previous: Option<Value>,
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
    /// Its object in the newest shape.
    pub(crate) fn newest(&self) -> Shown {
        Shown { object: self.object.value(), previous: self.previous.clone() }
    }

    /// The event as `GET /v1/events/{id}` and endpoints of the given version see it.
    pub(crate) fn render(&self, api_version: &str, shown: Shown) -> Value {
        let mut data = json!({ "object": shown.object });
        if let (Some(previous), Some(fields)) = (shown.previous, data.as_object_mut()) {
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
    Listener { snapshot: bool, thin: bool },
}

/// A webhook endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: String,
    pub(crate) origin: Origin,
    pub(crate) created: i64,
    pub(crate) url: String,
    pub(crate) secret: String,
    /// The connected account that made it; none for the platform.
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// Whose events it is told of.
    pub(crate) hears_of: HearsOf,
    pub(crate) enabled_events: Vec<String>,
    pub(crate) enabled: bool,
    /// Since when every answer was wrong, in unix seconds. One that was disabled for it keeps it.
    #[serde(default)]
    pub(crate) failing_since: Option<i64>,
    pub(crate) api_version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

/// Whose events an endpoint is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HearsOf {
    /// Those of the account that made it.
    pub(crate) own: bool,
    /// Those of the accounts connected to it.
    pub(crate) connected: bool,
}

impl HearsOf {
    /// Of the account that made it.
    pub(crate) const OWN: Self = Self { own: true, connected: false };
    /// Of connected accounts only.
    pub(crate) const CONNECTED: Self = Self { own: false, connected: true };
    /// Of all.
    pub(crate) const ALL: Self = Self { own: true, connected: true };
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
        let mut forms = Vec::new();
        if self.takes(Payload::Snapshot) && event.thin.is_none() && self.asks_for(&event.kind) {
            forms.push(Form::Snapshot);
        }
        if self.takes(Payload::Thin) {
            let kinds = thin::kinds(event).into_iter().enumerate();
            let heard = kinds.filter(|(_, kind)| thin::is_type(kind) && self.asks_for(kind));
            forms.extend(heard.map(|(twin, _)| Form::Thin(twin)));
        }
        forms
    }

    /// The version whose shapes it is sent.
    pub(crate) fn version(&self) -> Version {
        // It was read when the endpoint was made.
        Version::read(self.api_version.as_deref()).unwrap_or_else(|_| Version::newest())
    }

    fn takes(&self, wanted: Payload) -> bool {
        match (&self.origin, wanted) {
            (Origin::Endpoint, wanted) => wanted == Payload::Snapshot,
            (Origin::Destination { payload, .. }, wanted) => wanted == *payload,
            (Origin::Listener { snapshot, .. }, Payload::Snapshot) => *snapshot,
            (Origin::Listener { thin, .. }, Payload::Thin) => *thin,
        }
    }

    /// Whether it is a command-line program that listens.
    pub(crate) fn is_listener(&self) -> bool {
        matches!(self.origin, Origin::Listener { .. })
    }

    /// Whether an event counts as delivered only when it has received it.
    pub(crate) fn is_counted(&self) -> bool {
        !self.is_listener() && self.takes(Payload::Snapshot)
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
