//! The courier of the channel `webhook`: signs an event as it stands in the log and posts it to its endpoint.
//!
//! The id is the event's, on every attempt and every replay, so that a receiver recognises what it has seen: an answer
//! that is lost, or a crash before it is recorded, means that the same message comes again. The time is that of the
//! attempt. Refuses to know when the next attempt is: deliveries decide that.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use quittance_domain::time::{DAY_MS, SECOND_MS};
use quittance_domain::{Timestamp, WebhookEndpointId};
use quittance_store::deliveries::DeliveryRow;
use quittance_store::outbox::{self, NewAlert};
use quittance_store::webhook_endpoints::{self, EndpointRow};
use quittance_store::{StoreError, Tx, app_events};
use secrecy::SecretString;

use super::send::{Answered, Message, SendError, Sender};
use super::{ALERT, purpose, sign};
use crate::deliveries::{Carried, Courier, Outcome};
use crate::engine::Engine;
use crate::telemetry;

/// The longest beginning of an answer that is kept, in characters.
const MOST_ANSWER_CHARS: usize = 500;
/// The longest wait that an endpoint can ask for, in milliseconds.
const MOST_WAIT_MS: i64 = DAY_MS;

/// Delivers app webhooks.
pub struct WebhookCourier {
    sender: Arc<dyn Sender>,
}

/// An endpoint and the message for it, ready to be sent.
enum Ready {
    Send(Box<EndpointRow>, Message),
    Not(Outcome),
}

impl WebhookCourier {
    /// With the seam through which messages leave.
    #[must_use]
    pub fn new(sender: Arc<dyn Sender>) -> Self {
        Self { sender }
    }

    async fn carry(&self, engine: &Engine, parcel: &DeliveryRow) -> Outcome {
        let ready = match prepare(engine, parcel).await {
            Ok(ready) => ready,
            Err(error) => return retry(format!("the database cannot be used: {error}")),
        };
        let (endpoint, message) = match ready {
            Ready::Send(endpoint, message) => (endpoint, message),
            Ready::Not(outcome) => return outcome,
        };
        let sent = self.send(engine, &message).await;
        let outcome = outcome_of(&sent, engine.now());
        let gone = matches!(&sent, Ok(answer) if answer.status == 410);
        if let Err(error) = remember(engine, &endpoint, &outcome, gone).await {
            tracing::warn!(endpoint = %endpoint.id, %error, "how an endpoint does could not be written down");
        }
        outcome
    }

    async fn send(&self, engine: &Engine, message: &Message) -> Result<Answered, SendError> {
        // The address may have been allowed under other settings.
        let settings = &engine.settings().app_webhooks;
        settings.reach.check(&message.url).map_err(SendError::Forbidden)?;
        match select(self.sender.post(message), pin!(engine.world().limit(settings.timeout_ms))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                Err(SendError::Failed(format!("no answer within {} s", settings.timeout_ms / 1_000)))
            }
        }
    }
}

async fn prepare(engine: &Engine, parcel: &DeliveryRow) -> Result<Ready, StoreError> {
    let (endpoint, event) = (parcel.destination.clone(), event_of(&parcel.payload));
    let find =
        move |tx: &mut dyn Tx| Ok((webhook_endpoints::find(tx, &endpoint)?, app_events::get(tx, &event)?));
    let (endpoint, event) = engine.db().read("app_webhooks.prepare", find).await?;
    let suppressed = |reason: &str| Ok(Ready::Not(Outcome::Suppressed { reason: reason.to_owned() }));
    let Some(endpoint) = endpoint else { return suppressed("the endpoint was removed") };
    if endpoint.disabled_at.is_some() {
        return suppressed("the endpoint is switched off; replay it when it is on again");
    }
    let Some(event) = event else { return suppressed("the event is no longer kept") };
    let now = engine.now();
    let Some(secrets) = secrets(engine, &endpoint, now) else {
        let error = "its secret cannot be read: the root key (QUITTANCE_SECRET) is missing or another one";
        return Ok(Ready::Not(retry(error.to_owned())));
    };
    let Some(signatures) = sign::signatures(&secrets, event.id.as_str(), now, &event.body) else {
        return Ok(Ready::Not(retry("its secret is not one of this scheme: rotate it".to_owned())));
    };
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", format!("Quittance/{}", env!("CARGO_PKG_VERSION"))),
        ("webhook-id", event.id.to_string()),
        ("webhook-timestamp", now.seconds().to_string()),
        ("webhook-signature", signatures),
    ];
    let message = Message { url: endpoint.url.clone(), headers, body: event.body };
    Ok(Ready::Send(Box::new(endpoint), message))
}

/// The secrets that sign now, the newest first.
fn secrets(engine: &Engine, endpoint: &EndpointRow, now: Timestamp) -> Option<Vec<SecretString>> {
    let vault = engine.vault().ok()?;
    let purpose = purpose(&endpoint.id);
    let mut secrets = vec![vault.open(&purpose, &endpoint.secret).ok()?];
    if let Some(old) = &endpoint.old_secret
        && endpoint.old_secret_until.is_some_and(|until| now < until)
    {
        secrets.extend(vault.open(&purpose, old));
    }
    Some(secrets)
}

/// Remembers since when an endpoint fails, and switches off one that is gone or has failed for days.
async fn remember(
    engine: &Engine,
    endpoint: &EndpointRow,
    outcome: &Outcome,
    gone: bool,
) -> Result<(), StoreError> {
    let delivered = matches!(outcome, Outcome::Delivered { .. });
    if delivered && endpoint.failing_since.is_none() {
        return Ok(());
    }
    let (id, now, longest) =
        (endpoint.id.clone(), engine.now(), engine.settings().app_webhooks.disable_after_ms);
    let off = engine
        .db()
        .write("app_webhooks.remember", move |tx| {
            let Some(mut row) = webhook_endpoints::lock(tx, id.as_str())? else { return Ok(None) };
            if delivered {
                row.failing_since = None;
                webhook_endpoints::update(tx, &row)?;
                return Ok(None);
            }
            let since = row.failing_since.unwrap_or(now);
            let first = row.failing_since.replace(since).is_none();
            let why = match (row.disabled_at, gone) {
                (Some(_), _) => None,
                (None, true) => Some("it answered 410 Gone".to_owned()),
                (None, false) if now.since(since) >= longest => {
                    Some(format!("every attempt since {since} has failed"))
                }
                (None, false) => None,
            };
            if let Some(why) = &why {
                (row.disabled_at, row.disabled_why) = (Some(now), Some(why.clone()));
                outbox::raise(tx, &alert(&row.id, why, since), now)?;
            }
            if first || why.is_some() {
                webhook_endpoints::update(tx, &row)?;
            }
            Ok(why)
        })
        .await?;
    if let Some(why) = off {
        tracing::warn!(endpoint = %endpoint.id, why, "a webhook endpoint was switched off");
        telemetry::alert(ALERT);
    }
    Ok(())
}

fn alert(id: &WebhookEndpointId, why: &str, since: Timestamp) -> NewAlert {
    NewAlert {
        kind: ALERT.to_owned(),
        object: id.to_string(),
        customer: None,
        aggregate: None,
        detail: format!(
            "the webhook endpoint was switched off: {why}; your app no longer hears of changes there"
        ),
        mend: format!(
            "mend it, then: quittance webhooks enable {id} && quittance webhooks replay --endpoint {id} --since {since}"
        ),
    }
}

fn event_of(payload: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    value.get("event").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn retry(error: String) -> Outcome {
    Outcome::Retry { error, retry_after_ms: None }
}

/// What an answer means: 2xx is taken, 410 wants no more, everything else is tried again.
fn outcome_of(sent: &Result<Answered, SendError>, now: Timestamp) -> Outcome {
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => return retry(error.to_string()),
    };
    let said = beginning(&answer.beginning);
    let told = if said.is_empty() { answer.status.to_string() } else { format!("{}: {said}", answer.status) };
    match answer.status {
        200..=299 => Outcome::Delivered { detail: told },
        410 => Outcome::Failed { error: told },
        300..=399 => retry(format!("{told} (redirects are not followed)")),
        _ => {
            let asked = answer.retry_after.as_deref().and_then(|text| retry_after(text, now));
            Outcome::Retry { error: told, retry_after_ms: asked }
        }
    }
}

/// How long `Retry-After` asks to wait: seconds, or a date. Longer than a day is a day.
fn retry_after(text: &str, now: Timestamp) -> Option<i64> {
    let text = text.trim();
    let ms = match text.parse::<i64>() {
        Ok(seconds) => seconds.saturating_mul(SECOND_MS),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?;
            Timestamp::from_ms(at.timestamp().as_millisecond()).since(now)
        }
    };
    (ms > 0).then_some(ms.min(MOST_WAIT_MS))
}

/// The beginning of an answer as it may be kept and shown: short, one line, and nothing that looks like a secret.
fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain: String =
        text.chars().take(MOST_ANSWER_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = plain.split(' ').filter(|word| !word.is_empty()).map(|word| {
        const SECRETS: [&str; 6] = ["whsec_", "sk_", "rk_", "qk_", "v1,", "Bearer"];
        if SECRETS.iter().any(|start| word.contains(start)) { "[hidden]" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Courier for WebhookCourier {
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(self.carry(engine, parcel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<&str>, body: &str) -> Result<Answered, SendError> {
        let retry_after = retry_after.map(str::to_owned);
        Ok(Answered { status, retry_after, beginning: body.as_bytes().to_vec() })
    }

    #[test]
    fn answers_mean_what_the_scheme_says() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let of = |status, after, body: &str| outcome_of(&answered(status, after, body), now);
        assert_eq!(of(204, None, ""), Outcome::Delivered { detail: "204".into() });
        assert_eq!(of(200, None, "ok"), Outcome::Delivered { detail: "200: ok".into() });
        assert_eq!(of(410, Some("5"), "gone"), Outcome::Failed { error: "410: gone".into() });
        for (status, after, wait) in [
            (500, None, None),
            (400, None, None),
            (429, Some("120"), Some(120_000)),
            (503, Some("Fri, 15 Jan 2027 08:01:00 GMT"), Some(60_000)),
            (503, Some("Fri, 15 Jan 2027 07:00:00 GMT"), None),
            (503, Some("9999999"), Some(DAY_MS)),
            (503, Some("soon"), None),
            (302, None, None),
        ] {
            let outcome = of(status, after, "");
            let Outcome::Retry { retry_after_ms, .. } = outcome else { panic!("{status}: {outcome:?}") };
            assert_eq!(retry_after_ms, wait, "{status} {after:?}");
        }
    }

    #[test]
    fn what_an_endpoint_answers_is_kept_short_and_without_secrets() {
        let echo =
            format!("no\u{7}\n\n whsec_abc {{\"signature\":\"v1,abc=\"}} Bearer {}", "x".repeat(10_000));
        let kept = beginning(echo.as_bytes());
        assert!(kept.starts_with("no [hidden] [hidden] [hidden] xxx"), "{kept}");
        assert!(kept.chars().count() <= MOST_ANSWER_CHARS && !kept.contains("abc"), "{kept}");
    }
}
