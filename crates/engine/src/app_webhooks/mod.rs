//! App webhooks: where the app listens, and sending again what it was told.
//!
//! Signed by the Standard Webhooks scheme ([`sign`]), allowed only where [`reach`] says, sent through [`send`] by the
//! courier of the shared deliveries. What is told stands in [`crate::app_events`].

pub mod courier;
pub mod reach;
pub mod send;
pub mod settings;
pub mod sign;

use quittance_domain::app_event::AppEventType;
use quittance_domain::digest::short_hex;
use quittance_domain::time::{DAY_MS, MINUTE_MS};
use quittance_domain::{AppEventId, Timestamp, WebhookEndpointId};
use quittance_store::app_events::{self, AppEventRow, NewAppEvent};
use quittance_store::webhook_endpoints::{self, EndpointRow};
use quittance_store::{Tx, deliveries, outbox};
use secrecy::SecretString;
use serde_json::json;

pub use courier::WebhookCourier;
pub use settings::AppWebhooks;

use crate::app_events::{body, delivery, delivery_again};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// The kind of alert that an endpoint which was switched off raises.
pub const ALERT: &str = "webhook_endpoint_disabled";
/// Endpoints of one installation at most.
const MOST_ENDPOINTS: usize = 50;
/// Longest address and description, in bytes.
const MOST_TEXT: usize = 2_000;
/// Events that one transaction queues again.
const REPLAYED_AT_ONCE: i64 = 200;
/// Events that one call queues again at most.
const MOST_REPLAYED: usize = 10_000;
/// How long the secret before signs as well when nothing is said, in milliseconds.
pub const OVERLAP_MS: i64 = DAY_MS;
/// The longest that it can.
const MOST_OVERLAP_MS: i64 = 30 * DAY_MS;

/// An endpoint to make.
#[derive(Debug, Clone, Default)]
pub struct NewEndpoint {
    /// Where the app listens.
    pub url: String,
    /// What an operator calls it.
    pub description: String,
    /// The types that it wants; none for all.
    pub types: Vec<String>,
    /// Makes the id, so that a repeated request makes one.
    pub idempotency: Option<String>,
}

/// What to change of an endpoint; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointPatch {
    /// Where the app listens.
    pub url: Option<String>,
    /// What an operator calls it.
    pub description: Option<String>,
    /// The types that it wants; an empty list for all.
    pub types: Option<Vec<String>>,
    /// Switches it on or off.
    pub enabled: Option<bool>,
}

/// What is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// One event, whatever types the endpoint wants.
    Event(String),
    /// All events from then on that the endpoint wants.
    Since(Timestamp),
}

/// What was queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// How many events.
    pub events: usize,
    /// When there are more than one call takes: the time of the last one, from which the next call goes on.
    pub up_to: Option<Timestamp>,
}

/// What a sealed secret is for.
pub(crate) fn purpose(id: &WebhookEndpointId) -> String {
    format!("webhook endpoint {id}")
}

fn types_of(words: &[String]) -> Result<Vec<AppEventType>, Problem> {
    let mut types = Vec::with_capacity(words.len());
    for word in words {
        let known = AppEventType::parse(word).filter(|kind| kind.can_be_chosen()).ok_or_else(|| {
            let all = AppEventType::ALL.iter().filter(|kind| kind.can_be_chosen());
            let all: Vec<&str> = all.map(|kind| kind.as_str()).collect();
            Problem::invalid(format!("`types` may name {}; leave it out for all.", all.join(", ")))
        })?;
        types.push(known);
    }
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

fn unknown() -> Problem {
    Problem::not_found("webhook endpoint")
}

impl Engine {
    fn checked_url(&self, url: &str) -> Result<String, Problem> {
        if url.len() > MOST_TEXT {
            return Err(Problem::invalid(format!("`url` may have {MOST_TEXT} bytes.")));
        }
        let reach = &self.settings().app_webhooks.reach;
        let parsed =
            reach.check(url).map_err(|why| Problem::invalid(format!("`url` cannot be used: {why}.")))?;
        Ok(parsed.to_string())
    }

    fn fresh_secret(&self, id: &WebhookEndpointId) -> Result<(SecretString, String), Problem> {
        let secret = sign::secret_of([self.world().random(), self.world().random()]);
        let sealed = self.vault()?.seal(&purpose(id), &secret, self.world().random());
        let sealed = sealed.map_err(|error| vault_problem(&error.to_string()))?;
        Ok((secret, sealed))
    }

    /// Makes an endpoint. The secret is in the answer and nowhere else in the clear; it is absent when the same request
    /// made the endpoint before.
    ///
    /// # Errors
    /// `invalid_request` for an address or a type that cannot be, `not_configured` without a root key,
    /// `wrong_state` when there are too many.
    #[crate::boxed]
    pub async fn create_endpoint(
        &self,
        new: &NewEndpoint,
        by: &str,
    ) -> Result<(EndpointRow, Option<SecretString>), Problem> {
        let id = match &new.idempotency {
            Some(seed) => WebhookEndpointId::derived(&["webhook_endpoint", seed]),
            None => WebhookEndpointId::from_random(self.world().random()),
        };
        let (secret, sealed) = self.fresh_secret(&id)?;
        let now = self.now();
        let row = EndpointRow {
            url: self.checked_url(&new.url)?,
            description: description(&new.description)?,
            types: types_of(&new.types)?,
            secret: sealed,
            old_secret: None,
            old_secret_until: None,
            disabled_at: None,
            disabled_why: None,
            failing_since: None,
            created_by: by.to_owned(),
            created_at: now,
            updated_at: now,
            id,
        };
        let made = self
            .db()
            .write("webhook_endpoints.create", move |tx| {
                if webhook_endpoints::list(tx)?.len() >= MOST_ENDPOINTS {
                    return Ok(None);
                }
                let new = webhook_endpoints::put(tx, &row)?;
                Ok(webhook_endpoints::find(tx, row.id.as_str())?.map(|row| (row, new)))
            })
            .await?;
        match made {
            Some((row, new)) => Ok((row, new.then_some(secret))),
            None => Err(Problem::new(
                ProblemCode::WrongState,
                format!("There are {MOST_ENDPOINTS} webhook endpoints already."),
                "Remove one that is no longer needed: quittance webhooks list",
            )),
        }
    }

    /// All endpoints, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn endpoints(&self) -> Result<Vec<EndpointRow>, Problem> {
        Ok(self.db().read("webhook_endpoints.list", webhook_endpoints::list).await?)
    }

    /// One endpoint.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn endpoint(&self, id: &str) -> Result<EndpointRow, Problem> {
        let key = id.to_owned();
        let row =
            self.db().read("webhook_endpoints.find", move |tx| webhook_endpoints::find(tx, &key)).await?;
        row.ok_or_else(unknown)
    }

    /// Changes one endpoint under its lock.
    async fn change_endpoint(
        &self,
        id: &str,
        change: impl Fn(&mut EndpointRow) + Send + Sync + 'static,
    ) -> Result<EndpointRow, Problem> {
        let (key, now) = (id.to_owned(), self.now());
        let row = self
            .db()
            .write("webhook_endpoints.change", move |tx| {
                let Some(mut row) = webhook_endpoints::lock(tx, &key)? else { return Ok(None) };
                change(&mut row);
                row.updated_at = now;
                webhook_endpoints::update(tx, &row)?;
                if row.disabled_at.is_none() {
                    outbox::resolve(tx, ALERT, row.id.as_str(), now)?;
                }
                Ok(Some(row))
            })
            .await?;
        row.ok_or_else(unknown)
    }

    /// Changes what is named of an endpoint. Switched on again, it starts afresh; what it missed can be replayed.
    ///
    /// # Errors
    /// `not_found`, or `invalid_request`.
    #[crate::boxed]
    pub async fn update_endpoint(&self, id: &str, patch: &EndpointPatch) -> Result<EndpointRow, Problem> {
        let url = patch.url.as_deref().map(|url| self.checked_url(url)).transpose()?;
        let types = patch.types.as_deref().map(types_of).transpose()?;
        let text = patch.description.as_deref().map(description).transpose()?;
        let (enabled, now) = (patch.enabled, self.now());
        self.change_endpoint(id, move |row| {
            if let Some(url) = &url {
                row.url.clone_from(url);
            }
            if let Some(types) = &types {
                row.types.clone_from(types);
            }
            if let Some(text) = &text {
                row.description.clone_from(text);
            }
            match enabled {
                Some(true) => {
                    row.disabled_at = None;
                    row.disabled_why = None;
                    row.failing_since = None;
                }
                Some(false) if row.disabled_at.is_none() => {
                    row.disabled_at = Some(now);
                    row.disabled_why = Some("an operator switched it off".to_owned());
                }
                Some(false) | None => {}
            }
        })
        .await
    }

    /// Removes an endpoint. What waits for it is not sent.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn delete_endpoint(&self, id: &str) -> Result<(), Problem> {
        let (key, now) = (id.to_owned(), self.now());
        let found = self
            .db()
            .write("webhook_endpoints.delete", move |tx| {
                outbox::resolve(tx, ALERT, &key, now)?;
                webhook_endpoints::delete(tx, &key)
            })
            .await?;
        if found { Ok(()) } else { Err(unknown()) }
    }

    /// Gives an endpoint a new secret. The one before signs as well for `overlap_ms`; 0 ends it at once.
    ///
    /// # Errors
    /// `not_found`, `not_configured`, or `invalid_request` for an overlap of more than 30 days.
    #[crate::boxed]
    pub async fn rotate_secret(
        &self,
        id: &str,
        overlap_ms: i64,
    ) -> Result<(EndpointRow, SecretString), Problem> {
        if !(0..=MOST_OVERLAP_MS).contains(&overlap_ms) {
            let most = MOST_OVERLAP_MS / (60 * MINUTE_MS);
            return Err(Problem::invalid(format!("The old secret may sign for 0 to {most} hours more.")));
        }
        let known = WebhookEndpointId::parse(id).map_err(|_| unknown())?;
        let (secret, sealed) = self.fresh_secret(&known)?;
        let until = self.now().plus_ms(overlap_ms);
        let row = self
            .change_endpoint(id, move |row| {
                let old = std::mem::replace(&mut row.secret, sealed.clone());
                let kept = (overlap_ms > 0).then_some(old);
                row.old_secret_until = kept.is_some().then_some(until);
                row.old_secret = kept;
            })
            .await?;
        Ok((row, secret))
    }

    /// Sends a test message to an endpoint; the event's id tells it apart in the log.
    ///
    /// # Errors
    /// `not_found`, or `wrong_state` when the endpoint is switched off.
    #[crate::boxed]
    pub async fn ping_endpoint(&self, id: &str) -> Result<AppEventId, Problem> {
        let endpoint = self.endpoint_in_force(id).await?;
        let (now, fresh) = (self.now(), hex::encode(self.world().random()));
        let event_id = AppEventId::derived(&["app_event", self.instance(), &fresh]);
        let data = json!({ "endpoint": endpoint.id });
        let event = NewAppEvent {
            body: body(&event_id, AppEventType::Ping, now, &data),
            id: event_id.clone(),
            natural_key: format!("{}:{fresh}", AppEventType::Ping.as_str()),
            kind: AppEventType::Ping,
            customer: None,
            at: now,
        };
        self.db()
            .write("app_webhooks.ping", move |tx| {
                app_events::put(tx, &event)?;
                deliveries::put(tx, &delivery(&event, &endpoint, ""), now)
            })
            .await?;
        self.wake();
        Ok(event_id)
    }

    async fn endpoint_in_force(&self, id: &str) -> Result<EndpointRow, Problem> {
        let endpoint = self.endpoint(id).await?;
        if endpoint.disabled_at.is_none() {
            return Ok(endpoint);
        }
        Err(Problem::new(
            ProblemCode::WrongState,
            "The webhook endpoint is switched off.",
            format!("Switch it on first: quittance webhooks enable {}", endpoint.id),
        ))
    }

    /// Queues again what an endpoint was or should have been told, in the order in which it became so. `seed` makes a
    /// repeated request queue once.
    ///
    /// # Errors
    /// `not_found` for the endpoint or the event, `wrong_state` when the endpoint is switched off.
    #[crate::boxed]
    pub async fn replay_to(&self, id: &str, what: &Replay, seed: Option<&str>) -> Result<Replayed, Problem> {
        let endpoint = self.endpoint_in_force(id).await?;
        let fresh = hex::encode(self.world().random());
        let again = short_hex(&[seed.unwrap_or(&fresh)]);
        let replayed = match what {
            Replay::Event(event) => {
                let event = self.app_event(event).await?;
                let queued = self.queue_again(endpoint, vec![event], again).await?;
                Replayed { events: queued, up_to: None }
            }
            Replay::Since(since) => self.replay_since(endpoint, *since, again).await?,
        };
        self.wake();
        Ok(replayed)
    }

    async fn replay_since(
        &self,
        endpoint: EndpointRow,
        since: Timestamp,
        again: String,
    ) -> Result<Replayed, Problem> {
        let (mut cursor, mut events) = (0, 0);
        loop {
            let rows = self
                .db()
                .read("app_events.since", move |tx| app_events::since(tx, since, cursor, REPLAYED_AT_ONCE))
                .await?;
            let Some(last) = rows.last() else { return Ok(Replayed { events, up_to: None }) };
            let at = last.at;
            cursor = last.seq;
            let wanted = rows.into_iter().filter(|event| endpoint.wants(event.kind));
            events += self.queue_again(endpoint.clone(), wanted.collect(), again.clone()).await?;
            if events >= MOST_REPLAYED {
                return Ok(Replayed { events, up_to: Some(at) });
            }
        }
    }

    async fn queue_again(
        &self,
        endpoint: EndpointRow,
        events: Vec<AppEventRow>,
        again: String,
    ) -> Result<usize, Problem> {
        let now = self.now();
        let queued = self
            .db()
            .write("app_webhooks.replay", move |tx: &mut dyn Tx| {
                let mut queued = 0;
                for event in &events {
                    queued +=
                        usize::from(deliveries::put(tx, &delivery_again(event, &endpoint, &again), now)?);
                }
                Ok(queued)
            })
            .await?;
        Ok(queued)
    }
}

fn description(text: &str) -> Result<String, Problem> {
    if text.len() > MOST_TEXT || text.chars().any(char::is_control) {
        return Err(Problem::invalid(format!(
            "`description` may have {MOST_TEXT} bytes and no control characters."
        )));
    }
    Ok(text.to_owned())
}

fn vault_problem(why: &str) -> Problem {
    tracing::error!(why, "a secret could not be sealed");
    Problem::new(ProblemCode::Internal, "A secret could not be stored safely.", "See the server's log.")
}
