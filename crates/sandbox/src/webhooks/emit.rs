//! Turns changes into events, with the former values of what changed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::event::{DeliveryNote, Event, Fate};
use crate::state::world::World;

/// How long events are kept, in seconds.
const KEEP_SECONDS: i64 = 30 * 86_400;

impl World {
    /// Notes that something happened to an object.
    pub(crate) fn emit(&mut self, kind: &str, object: Value) {
        let at = self.outgoing.len();
        self.emit_at(at, kind, object, None);
    }

    /// Notes a change, with the former values; nothing when nothing changed.
    pub(crate) fn emit_change(&mut self, kind: &str, before: &Value, after: Value) {
        if let Some(previous) = difference(before, &after) {
            let at = self.outgoing.len();
            self.emit_at(at, kind, after, Some(previous));
        }
    }

    /// How many events this request has caused so far; [`World::emit_at`] can insert there.
    pub(crate) fn mark(&self) -> usize {
        self.outgoing.len()
    }

    /// Notes an event that belongs before others of the same request: its object is only complete at the end.
    pub(crate) fn emit_at(&mut self, at: usize, kind: &str, object: Value, previous: Option<Value>) {
        let event = Event {
            id: self.chance.id("evt_"),
            created: self.now,
            kind: kind.to_owned(),
            account: self.connected().map(str::to_owned),
            older: self.older_fields(&object),
            object,
            previous,
            request_id: self.request.as_ref().map(|request| request.id.clone()),
            idempotency_key: self.request.as_ref().and_then(|request| request.idempotency_key.clone()),
            pending: Vec::new(),
            failed: false,
            notes: BTreeMap::new(),
        };
        self.outgoing.insert(at.min(self.outgoing.len()), event);
    }

    /// What an invoice showed of its payment before payments became objects of their own.
    fn older_fields(&self, object: &Value) -> Map<String, Value> {
        let mut fields = Map::new();
        if object.get("object").and_then(Value::as_str) == Some("invoice") {
            let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
            let intent = self.invoices.get(id).and_then(|invoice| invoice.payment_intent.clone());
            let charge = intent
                .as_ref()
                .and_then(|intent| self.payment_intents.get(intent))
                .and_then(|intent| intent.latest_charge.clone());
            fields.insert("payment_intent".to_owned(), intent.map(Value::String).unwrap_or_default());
            fields.insert("charge".to_owned(), charge.map(Value::String).unwrap_or_default());
        }
        fields
    }

    /// Keeps the events of a request or a timer and queues their deliveries.
    pub(crate) fn flush_events(&mut self) {
        for mut event in std::mem::take(&mut self.outgoing) {
            let hearing: Vec<_> =
                self.endpoints.iter().filter(|endpoint| self.tells(endpoint, &event)).cloned().collect();
            event.pending = hearing.iter().map(|endpoint| endpoint.id.clone()).collect();
            for endpoint in hearing {
                let note = DeliveryNote { url: endpoint.url, attempts: 0, fate: Fate::Waiting };
                event.notes.insert(endpoint.id.clone(), note);
                let endpoint = endpoint.id;
                self.queue_delivery(&mut event, &endpoint);
            }
            self.events.put(event);
        }
        while let Some(old) = self
            .events
            .first()
            .filter(|event| self.now - event.created > KEEP_SECONDS)
            .map(|event| event.id.clone())
        {
            self.events.remove(&old);
        }
    }
}

/// The former values of what differs; `None` when nothing does. A changed array is given whole.
pub(crate) fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| before.clone());
    };
    let mut changed = Map::new();
    for (name, value) in new {
        let former = old.get(name).unwrap_or(&Value::Null);
        if let Some(former) = difference(former, value) {
            changed.insert(name.clone(), former);
        }
    }
    for (name, former) in old {
        if !new.contains_key(name) && !former.is_null() {
            changed.insert(name.clone(), former.clone());
        }
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}
