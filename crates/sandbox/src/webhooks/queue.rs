//! The queue of deliveries: what is due, what is under way, and what is tried again when.

use serde_json::Value;

use super::deliveries::Queued;
use super::signature::signature_header;
use super::thin;
use crate::model::event::{Event, Fate, Form, WebhookEndpoint};
use crate::state::world::World;
use crate::versions::Version;

const DAY: i64 = 86_400;

/// A delivery to make: one signed HTTP request.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Names the delivery when its outcome is reported.
    pub delivery_id: String,
    /// The event that it carries.
    pub event_id: String,
    /// The type of that event.
    pub event_type: String,
    /// Where it goes.
    pub url: String,
    /// The listening command-line program that it goes to, and not to `url`.
    pub listener: Option<String>,
    /// Whether it carries a thin event, without the object.
    pub thin: bool,
    /// The headers, signature included.
    pub headers: Vec<(String, String)>,
    /// The body, exactly as signed.
    pub body: Vec<u8>,
    /// To be sent together with the other deliveries marked so, instead of one after the other.
    pub concurrently: bool,
}

/// How a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The endpoint answered with this HTTP status; only 2xx counts as received.
    Answered(u16),
    /// No answer came.
    Failed,
}

impl World {
    /// Queues the deliveries of a new event to one endpoint, as the network policy has it.
    pub(crate) fn queue_delivery(&mut self, event: &mut Event, form: Form, endpoint: &WebhookEndpoint) {
        let policy = self.policy.clone();
        if self.policy_chance.happens(policy.drop) {
            event.pending.retain(|pending| *pending != endpoint.id);
            event.failed |= endpoint.is_counted();
            if let Some(note) = event.notes.get_mut(&endpoint.id) {
                note.fate = Fate::Dropped;
            }
            return;
        }
        let copies = if self.policy_chance.happens(policy.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = if self.policy_chance.happens(policy.delay) {
                1 + i64::try_from(self.policy_chance.below(policy.max_delay_seconds)).unwrap_or(0)
            } else {
                0
            };
            let (event, endpoint) = (event.id.clone(), endpoint.id.clone());
            let (due, by_hand, concurrently) = (self.own_now() + delay, false, false);
            let id = self.chance.id("dlv_");
            self.deliveries.push(Queued {
                id,
                event,
                form,
                endpoint,
                attempt: 0,
                due,
                by_hand,
                concurrently,
            });
        }
    }

    /// Queues an event again, now, to every endpoint that hears of it; the number of deliveries.
    pub(crate) fn deliver_again(&mut self, event: &str, times: u32, concurrently: bool) -> Option<usize> {
        let event = self.events.get(event)?;
        let hearing: Vec<(String, Form)> = self
            .endpoints
            .iter()
            .flat_map(|endpoint| {
                self.forms_for(endpoint, event).into_iter().map(|form| (endpoint.id.clone(), form))
            })
            .collect();
        let event = event.id.clone();
        for (endpoint, form) in &hearing {
            for _ in 0..times {
                self.deliver_by_hand(&event, *form, endpoint, concurrently);
            }
        }
        Some(hearing.len() * times as usize)
    }

    /// Queues one delivery that passes a pause and is tried once.
    pub(crate) fn deliver_by_hand(&mut self, event: &str, form: Form, endpoint: &str, concurrently: bool) {
        let (id, due) = (self.chance.id("dlv_"), self.own_now());
        let (event, endpoint) = (event.to_owned(), endpoint.to_owned());
        self.deliveries.push(Queued {
            id,
            event,
            form,
            endpoint,
            attempt: 0,
            due,
            by_hand: true,
            concurrently,
        });
    }

    /// Takes the deliveries that are due. Each stays under way until its outcome is reported.
    pub(crate) fn take_due_deliveries(&mut self) -> Vec<Delivery> {
        let mut due = self.deliveries.take_due(self.own_now(), self.policy.paused);
        self.shuffle(&mut due);
        let mut ready = Vec::with_capacity(due.len());
        for queued in due {
            match self.sign_delivery(&queued) {
                Some(delivery) => ready.push(delivery),
                None => {
                    self.deliveries.remove(&queued.id);
                }
            }
        }
        ready
    }

    fn shuffle(&mut self, due: &mut [Queued]) {
        for index in 0..due.len() {
            if self.policy_chance.happens(self.policy.shuffle) {
                let other = usize::try_from(self.policy_chance.below(due.len() as u64)).unwrap_or(index);
                due.swap(index, other);
            }
        }
    }

    /// Builds the request; `None` when the event or the endpoint is gone.
    fn sign_delivery(&self, queued: &Queued) -> Option<Delivery> {
        let event = self.events.get(&queued.event)?;
        let endpoint = self.endpoints.get(&queued.endpoint).filter(|endpoint| endpoint.enabled)?;
        let version = endpoint.version();
        let value = match queued.form {
            Form::Thin(twin) => thin::render(event, twin, false),
            Form::Snapshot if version == Version::newest() => event.render(version.name(), event.newest()),
            Form::Snapshot => {
                let shown = event.shapes.get(version.name()).cloned();
                let books = self.books_of(event.account.as_deref());
                event.render(version.name(), shown.unwrap_or_else(|| books.shown(version, event)))
            }
        };
        let body = serde_json::to_vec_pretty(&value).ok()?;
        let headers = vec![
            ("content-type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("user-agent".to_owned(), "Stripe/1.0 (+https://stripe.com/docs/webhooks)".to_owned()),
            ("stripe-signature".to_owned(), signature_header(&endpoint.secret, self.own_now(), &body)),
        ];
        Some(Delivery {
            delivery_id: queued.id.clone(),
            event_id: event.id.clone(),
            event_type: value.get("type").and_then(Value::as_str).unwrap_or(&event.kind).to_owned(),
            url: endpoint.url.clone(),
            listener: endpoint.is_listener().then(|| endpoint.id.clone()),
            thin: queued.form != Form::Snapshot,
            headers,
            body,
            // A listening program says nothing of what it does not forward; nobody is to wait for that.
            concurrently: queued.concurrently || endpoint.is_listener(),
        })
    }

    /// Notes how a delivery went: done, tried again later, or given up.
    pub(crate) fn note_delivery(&mut self, delivery_id: &str, outcome: DeliveryOutcome) {
        let Some(mut queued) = self.deliveries.remove(delivery_id) else {
            return;
        };
        let fate = match outcome {
            DeliveryOutcome::Answered(status) => Fate::Answered(status),
            DeliveryOutcome::Failed => Fate::Failed,
        };
        self.events.edit(&queued.event, |event| {
            if let Some(note) = event.notes.get_mut(&queued.endpoint) {
                note.attempts += 1;
                note.fate = fate;
            }
        });
        let received = matches!(outcome, DeliveryOutcome::Answered(status) if (200..300).contains(&status));
        let now = self.own_now();
        if received {
            self.endpoints.edit(&queued.endpoint, |endpoint| {
                // One that was disabled for its failures stays so until somebody enables it.
                if endpoint.enabled {
                    endpoint.failing_since = None;
                }
            });
            self.events.edit(&queued.event, |event| {
                event.pending.retain(|pending| *pending != queued.endpoint);
                event.received_at = Some(now);
            });
            self.let_draft_go(&queued.event);
            return;
        }
        if queued.by_hand {
            return;
        }
        self.endpoints.edit(&queued.endpoint, |endpoint| {
            if endpoint.enabled {
                endpoint.failing_since.get_or_insert(now);
            }
        });
        let endpoint = self.endpoints.get(&queued.endpoint);
        let retries = endpoint.is_some_and(|endpoint| endpoint.enabled && !endpoint.is_listener());
        match self.settings.webhook_retry_seconds.get(queued.attempt).filter(|_| retries) {
            Some(wait) => {
                queued.attempt += 1;
                queued.due = self.own_now() + wait;
                self.deliveries.push(queued);
            }
            None => {
                self.give_up(&queued);
                self.disable_failing(&queued.endpoint);
            }
        }
    }

    /// Disables an endpoint that has answered nothing right for days.
    fn disable_failing(&mut self, id: &str) {
        let (now, days) = (self.own_now(), self.settings.webhook_disable_days);
        let failing = |endpoint: &&WebhookEndpoint| {
            let since = endpoint.failing_since.filter(|_| endpoint.enabled && !endpoint.is_listener());
            days > 0 && since.is_some_and(|since| now - since >= days * DAY)
        };
        let Some(url) = self.endpoints.get(id).filter(failing).map(|endpoint| endpoint.url.clone()) else {
            return;
        };
        tracing::warn!(%url, "the sandbox disables a webhook endpoint that has failed for days");
        self.endpoints.edit(id, |endpoint| endpoint.enabled = false);
        self.give_up_endpoint(id);
    }

    /// An event does not reach an endpoint any more.
    fn give_up(&mut self, queued: &Queued) {
        self.events.edit(&queued.event, |event| {
            event.failed |= event.pending.contains(&queued.endpoint);
            event.pending.retain(|pending| *pending != queued.endpoint);
        });
    }

    /// Nothing more is sent to an endpoint: it was disabled or deleted. Events that it has not received have failed.
    pub(crate) fn give_up_endpoint(&mut self, endpoint: &str) {
        for queued in self.deliveries.remove_waiting(endpoint) {
            self.give_up(&queued);
        }
    }

    /// When the next delivery is due that nobody has taken.
    pub(crate) fn next_delivery(&self) -> Option<i64> {
        self.deliveries.next_due(self.policy.paused)
    }
}
