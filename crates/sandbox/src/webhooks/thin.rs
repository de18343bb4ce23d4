//! Thin events, those of version 2 of the API: what happened and to which object, without the object.
//!
//! Almost every event of version 1 has a thin twin, `v1.` and its type, and some changes have finer ones. Twins are not
//! kept: they are the same event in another form. Only events that version 1 does not have are kept as thin ones.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::model::event::{Event, Form, ThinOnly, WebhookEndpoint};
use crate::state::world::World;

static TYPES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| include_str!("thin_types.txt").lines().collect());

/// Where the ids of thin events begin; what follows is as in the event that they are a twin of.
const PREFIX: &str = "evt_test_";

/// Whether a destination can ask for this: a published type of thin events, or `*` for all of them.
pub(crate) fn is_type(name: &str) -> bool {
    name == "*" || (TYPES.contains(name) && name != PING)
}

/// What a destination is sent to see whether events arrive. It goes to that one alone, so nobody can ask for it.
const PING: &str = "v2.core.event_destination.ping";

/// Finer types: an event of this type whose change touched this field has the thin type as well.
const FINER: &[(&str, &str, &str)] = &[
    ("customer.subscription.updated", "cancel_at", "v1.customer.subscription.cancel_at_changed"),
    (
        "customer.subscription.updated",
        "default_payment_method",
        "v1.customer.subscription.default_payment_method_changed",
    ),
    ("price.updated", "lookup_key", "v1.price.lookup_key_changed"),
    ("product.updated", "default_price", "v1.product.default_price_changed"),
    ("product.updated", "tax_code", "v1.product.tax_code_changed"),
];

/// The thin types of an event: the twin first, then the finer ones.
pub(crate) fn kinds(event: &Event) -> Vec<String> {
    if event.thin.is_some() {
        return vec![event.kind.clone()];
    }
    let changed = |field: &str| event.previous.as_ref().is_some_and(|previous| previous.get(field).is_some());
    let mut kinds = vec![format!("v1.{}", event.kind)];
    let finer = FINER.iter().filter(|(kind, field, _)| *kind == event.kind && changed(field));
    kinds.extend(finer.map(|(_, _, thin)| (*thin).to_owned()));
    let family = event.kind.strip_suffix(".updated");
    if let (Some("customer.subscription"), true) = (family, changed("status"))
        && let Some(status) = event.object.value().get("status").and_then(Value::as_str)
    {
        kinds.push(format!("v1.customer.subscription.{status}"));
    }
    if let (Some(family @ ("product" | "price")), true) = (family, changed("active")) {
        let active = event.object.value().get("active") == Some(&Value::Bool(true));
        kinds.push(format!("v1.{family}.{}", if active { "activated" } else { "deactivated" }));
    }
    kinds.retain(|kind| TYPES.contains(kind.as_str()));
    kinds
}

/// The id of an event's thin twin.
fn id(event: &Event, twin: usize) -> String {
    match (&event.thin, event.id.strip_prefix("evt_"), twin) {
        (None, Some(rest), 0) => format!("{PREFIX}{rest}"),
        (None, Some(rest), twin) => format!("{PREFIX}{rest}_{twin}"),
        (_, _, _) => event.id.clone(),
    }
}

/// An instant as version 2 of the API writes it.
pub(crate) fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// Where an object is fetched; nothing for one that has no id.
fn related(object: &Value) -> Option<Value> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let (Some(id), Some(kind)) = (text("id"), text("object")) else {
        return None;
    };
    let url = match kind.strip_prefix("v2.") {
        Some(rest) => format!("/v2/{}s/{id}", rest.replace('.', "/")),
        None => format!("/v1/{}s/{id}", kind.replace('.', "/")),
    };
    Some(json!({ "id": id, "type": kind, "url": url }))
}

/// A thin event as it is delivered, or with its `data` as it is fetched.
pub(crate) fn render(event: &Event, twin: usize, with_data: bool) -> Value {
    let kinds = kinds(event);
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("id", json!(id(event, twin)));
    set("object", json!("v2.core.event"));
    set("type", json!(kinds.get(twin)));
    set("created", json!(time(event.created)));
    set("livemode", json!(false));
    if let Some(account) = &event.account {
        set("context", json!(account));
    }
    if let Some(related) = related(&event.object.value()) {
        set("related_object", related);
    }
    if let Some(request) = &event.request_id {
        let key = event.idempotency_key.as_deref().unwrap_or_default();
        set("reason", json!({ "type": "request", "request": { "id": request, "idempotency_key": key } }));
    }
    match &event.thin {
        None => {
            set("snapshot_event", json!(event.id));
        }
        Some(ThinOnly { data: Some(data) }) if with_data => {
            set("data", data.clone());
        }
        Some(ThinOnly { .. }) => {}
    }
    Value::Object(fields)
}

impl World {
    /// Notes something that only version 2 of the API has an event for, with the object that it concerns and its `data`.
    pub(crate) fn emit_thin(&mut self, kind: &str, object: Value, data: Option<Value>) {
        let id = self.chance.id(PREFIX);
        self.emit_as(id, self.outgoing.len(), kind, object, None, Some(ThinOnly { data }));
    }

    /// Sends a destination an event that only says that events arrive. Answers its id.
    pub(crate) fn ping(&mut self, endpoint: &WebhookEndpoint, object: Value) -> String {
        self.emit_thin(PING, object, None);
        let id = self.outgoing.last().map(|event| event.id.clone()).unwrap_or_default();
        // Nobody asks for it, so it is brought to this destination and to no other.
        self.flush_events();
        if endpoint.enabled {
            self.deliver_by_hand(&id, Form::Thin(0), &endpoint.id, false);
        }
        id
    }

    /// The event that has this id or a twin with it, and the twin's place.
    pub(crate) fn thin_event(&self, id: &str) -> Option<(&Event, usize)> {
        if let Some(event) = self.events.get(id) {
            return event.thin.is_some().then_some((event, 0));
        }
        let rest = id.strip_prefix(PREFIX)?;
        let (rest, twin) = match rest.split_once('_') {
            Some((rest, twin)) => (rest, twin.parse::<usize>().ok().filter(|twin| *twin > 0)?),
            None => (rest, 0),
        };
        let event = self.events.get(&format!("evt_{rest}"))?;
        (event.thin.is_none() && twin < kinds(event).len()).then_some((event, twin))
    }
}
