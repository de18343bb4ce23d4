//! The queue of deliveries: what is due, what is under way, and what is tried again when.

use serde::{Deserialize, Serialize};

use super::older;
use super::signature::signature_header;
use crate::model::event::{Event, Fate};
use crate::state::world::{API_VERSION, World};

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

/// A delivery that waits or is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) id: String,
    event: String,
    endpoint: String,
    attempt: usize,
    due: i64,
    pub(crate) in_flight: bool,
    /// Asked for by hand: passes a pause.
    by_hand: bool,
    concurrently: bool,
}

impl World {
    /// Queues the deliveries of a new event to one endpoint, as the network policy has it.
    pub(crate) fn queue_delivery(&mut self, event: &mut Event, endpoint: &str) {
        let policy = self.policy.clone();
        if self.policy_chance.happens(policy.drop) {
            event.pending.retain(|pending| pending != endpoint);
            event.failed = true;
            if let Some(note) = event.notes.get_mut(endpoint) {
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
            self.enqueue(&event.id, endpoint, self.now + delay, false, false);
        }
    }

    fn enqueue(&mut self, event: &str, endpoint: &str, due: i64, by_hand: bool, concurrently: bool) {
        let id = self.chance.id("dlv_");
        let queued = Queued {
            id,
            event: event.to_owned(),
            endpoint: endpoint.to_owned(),
            attempt: 0,
            due,
            in_flight: false,
            by_hand,
            concurrently,
        };
        self.deliveries.push(queued);
    }

    /// Queues an event again, now, to every endpoint that hears of it; the number of deliveries.
    pub(crate) fn deliver_again(&mut self, event: &str, times: u32, concurrently: bool) -> Option<usize> {
        let known = self.events.get(event)?;
        let endpoints: Vec<String> = self
            .endpoints
            .iter()
            .filter(|endpoint| self.tells(endpoint, known))
            .map(|endpoint| endpoint.id.clone())
            .collect();
        for endpoint in &endpoints {
            for _ in 0..times {
                self.enqueue(event, endpoint, self.now, true, concurrently);
            }
        }
        Some(endpoints.len() * times as usize)
    }

    /// Takes the deliveries that are due. Each stays under way until its outcome is reported.
    pub(crate) fn take_due_deliveries(&mut self) -> Vec<Delivery> {
        let (now, paused) = (self.now, self.policy.paused);
        let mut due: Vec<Queued> = Vec::new();
        for queued in &mut self.deliveries {
            if !queued.in_flight && queued.due <= now && (queued.by_hand || !paused) {
                queued.in_flight = true;
                due.push(queued.clone());
            }
        }
        due.sort_by_key(|queued| queued.due);
        self.shuffle(&mut due);
        let mut ready = Vec::with_capacity(due.len());
        for queued in due {
            match self.sign_delivery(&queued) {
                Some(delivery) => ready.push(delivery),
                None => self.deliveries.retain(|kept| kept.id != queued.id),
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
        let version = endpoint.api_version.as_deref().unwrap_or(API_VERSION);
        let (object, previous) =
            older::for_version(version, &event.object, event.previous.as_ref(), &event.older);
        let body = serde_json::to_vec_pretty(&event.render(version, object, previous)).ok()?;
        let headers = vec![
            ("content-type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("user-agent".to_owned(), "Stripe/1.0 (+https://stripe.com/docs/webhooks)".to_owned()),
            ("stripe-signature".to_owned(), signature_header(&endpoint.secret, self.now, &body)),
        ];
        Some(Delivery {
            delivery_id: queued.id.clone(),
            event_id: event.id.clone(),
            event_type: event.kind.clone(),
            url: endpoint.url.clone(),
            headers,
            body,
            concurrently: queued.concurrently,
        })
    }

    /// Notes how a delivery went: done, tried again later, or given up.
    pub(crate) fn note_delivery(&mut self, delivery_id: &str, outcome: DeliveryOutcome) {
        let Some(index) = self.deliveries.iter().position(|queued| queued.id == delivery_id) else {
            return;
        };
        let mut queued = self.deliveries.remove(index);
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
        if received {
            self.events
                .edit(&queued.event, |event| event.pending.retain(|pending| *pending != queued.endpoint));
            return;
        }
        if queued.by_hand {
            return;
        }
        match self.settings.webhook_retry_seconds.get(queued.attempt) {
            Some(wait) => {
                queued.attempt += 1;
                queued.due = self.now + wait;
                queued.in_flight = false;
                self.deliveries.push(queued);
            }
            None => self.events.edit(&queued.event, |event| {
                event.pending.retain(|pending| *pending != queued.endpoint);
                event.failed = true;
            }),
        }
    }

    /// When the next delivery is due that nobody has taken.
    pub(crate) fn next_delivery(&self) -> Option<i64> {
        let waiting = |queued: &&Queued| !queued.in_flight && (queued.by_hand || !self.policy.paused);
        self.deliveries.iter().filter(waiting).map(|queued| queued.due).min()
    }

    /// When the next attempt to deliver an event to an endpoint is due.
    pub(crate) fn next_attempt(&self, event: &str, endpoint: &str) -> Option<i64> {
        self.deliveries
            .iter()
            .filter(|queued| queued.event == event && queued.endpoint == endpoint && !queued.in_flight)
            .map(|queued| queued.due)
            .min()
    }
}
