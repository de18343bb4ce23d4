//! Turns changes into events, with the former values of what changed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::event::{DeliveryNote, Event, Fate, Shown, ThinOnly};
use crate::state::world::World;
use crate::versions::{Version, changes};
use crate::wire::packed::Packed;
use crate::wire::shape::overlay;

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
        let id = self.chance.id("evt_");
        self.emit_as(id, at, kind, object, previous, None);
    }

    /// Notes an event with an id of its own kind.
    pub(super) fn emit_as(
        &mut self,
        id: String,
        at: usize,
        kind: &str,
        object: Value,
        previous: Option<Value>,
        thin: Option<ThinOnly>,
    ) {
        let event = Event {
            id,
            created: self.own_now(),
            kind: kind.to_owned(),
            account: self.connected().map(str::to_owned),
            shapes: BTreeMap::new(),
            object: Packed::from(&object),
            previous,
            request_id: self.request.as_ref().map(|request| request.id.clone()),
            idempotency_key: self.request.as_ref().and_then(|request| request.idempotency_key.clone()),
            pending: Vec::new(),
            failed: false,
            received_at: None,
            notes: BTreeMap::new(),
            thin,
        };
        self.outgoing.insert(at.min(self.outgoing.len()), event);
    }

    /// An event as a version shows it. What changed is told in the words of that version, too.
    pub(crate) fn shown(&self, version: Version, event: &Event) -> Shown {
        let mut object = event.object.value();
        changes::show(self, version, &mut object);
        let previous = event.previous.as_ref().and_then(|previous| {
            let mut before = event.object.value();
            overlay(&mut before, previous.clone());
            changes::show(self, version, &mut before);
            difference(&before, &object)
        });
        Shown { object, previous }
    }

    /// Keeps the events of a request or a timer and queues their deliveries.
    pub(crate) fn flush_events(&mut self) {
        self.note_changes();
        for mut event in std::mem::take(&mut self.outgoing) {
            let hearing: Vec<_> = self
                .endpoints
                .iter()
                .map(|endpoint| (self.forms_for(endpoint, &event), endpoint))
                .filter(|(forms, _)| !forms.is_empty())
                .map(|(forms, endpoint)| (forms, endpoint.clone()))
                .collect();
            let counted = hearing.iter().filter(|(_, endpoint)| endpoint.is_counted());
            event.pending = counted.map(|(_, endpoint)| endpoint.id.clone()).collect();
            for (forms, endpoint) in hearing {
                let note = DeliveryNote { url: endpoint.url.clone(), attempts: 0, fate: Fate::Waiting };
                event.notes.insert(endpoint.id.clone(), note);
                let version = endpoint.version();
                if version != Version::newest() && !event.shapes.contains_key(version.name()) {
                    let books = self.books_of(event.account.as_deref());
                    let shown = books.shown(version, &event);
                    event.shapes.insert(version.name().to_owned(), shown);
                }
                for form in forms {
                    self.queue_delivery(&mut event, form, &endpoint);
                }
            }
            self.events.put(event);
        }
        self.forget_events();
    }

    /// Forgets events that are too old to be kept.
    pub(crate) fn forget_events(&mut self) {
        while let Some(old) = self
            .events
            .first()
            .filter(|event| self.own_now() - event.created > KEEP_SECONDS)
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
