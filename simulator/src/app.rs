//! The operator's own app: an endpoint that is slow, fails and loses its answers, and two copies of what customers may
//! use, one built from the webhooks and one from the stream of changes.
//!
//! It believes nothing that is not signed, by a check of its own, and remembers in which order it heard of what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quittance_domain::Timestamp;
use quittance_domain::delivery::Channel;
use quittance_domain::time::{MINUTE_MS, SECOND_MS};
use quittance_engine::Problem;
use quittance_engine::app_webhooks::send::{Answered, Message, SendError, Sender, Sending};
use quittance_engine::app_webhooks::{NewEndpoint, OVERLAP_MS, Replay};
use quittance_engine::feed::{CustomerState, Told};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::Sha256;

use crate::chance::Chance;
use crate::faults::Fault;
use crate::post::Try;
use crate::sim::Sim;

/// Where it listens.
const URL: &str = "https://app.example.com/hooks";
/// How old or early a signature may be, in milliseconds: what the scheme's libraries allow.
const TOLERANCE_MS: i64 = 5 * MINUTE_MS;
/// How often a call is made again whose answer is lost.
const TRIES: usize = 8;
/// Pages that are read of the stream before the connection is given up.
const PAGES: usize = 4;

/// A message that was believed.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The body, byte for byte.
    pub body: String,
    /// The same, read.
    pub value: Value,
}

/// What the app makes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is what it says that it is.
    Believed,
    /// It is not signed by a secret that is known here.
    Unsigned,
    /// It was signed too long ago, or too early.
    Late,
}

/// What the app knows.
#[derive(Debug, Default)]
pub struct App {
    /// Its endpoint's id.
    endpoint: String,
    /// Secrets that it takes, the newest last.
    secrets: Vec<String>,
    /// Whether a new secret is asked for, which signs before it is known here.
    rolls: bool,
    /// Messages by their ids.
    pub heard: BTreeMap<String, Heard>,
    /// Their ids in the order in which they came first.
    pub order: Vec<String>,
    /// Events that were given up, and sent again by hand later: out of their order.
    pub resent: BTreeSet<String>,
    /// All copies that were believed.
    pub copies: u64,
    /// What each customer may use, as the newest `entitlements.updated` says.
    pub told: BTreeMap<String, Value>,
    /// The highest sequence of these.
    newest: BTreeMap<String, i64>,
    /// What each customer may use, as the stream says.
    pub followed: BTreeMap<String, CustomerState>,
    cursor: Option<String>,
    /// Whether the stream was read to its end since the last time that it told something.
    pub live: bool,
}

impl App {
    /// Whether it can be told anything.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Takes a message in.
    fn take(&mut self, message: &Message, now_ms: i64) -> Result<Taken, String> {
        let header = |name: &str| {
            message.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
        };
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = self.secrets.iter().any(|secret| {
            let wanted = signature(secret, id, at, &message.body);
            header("webhook-signature").split(' ').any(|one| Some(one) == wanted.as_deref())
        });
        let off = at.parse::<i64>().map_or(i64::MAX, |at| (at * SECOND_MS - now_ms).abs());
        if off > TOLERANCE_MS {
            return Ok(Taken::Late);
        }
        if !signed {
            return Ok(Taken::Unsigned);
        }
        let value: Value = serde_json::from_str(&message.body).map_err(|error| format!("{id}: {error}"))?;
        if value.get("id").and_then(Value::as_str) != Some(id) {
            return Err(format!("{id} says that it is {:?}", value.get("id")));
        }
        self.copies += 1;
        if let Some(before) = self.heard.get(id) {
            let same = before.body == message.body;
            return if same {
                Ok(Taken::Believed)
            } else {
                Err(format!("{id} came again and says something else"))
            };
        }
        if value.get("type").and_then(Value::as_str) == Some("entitlements.updated") {
            let data = value.get("data").cloned().unwrap_or_default();
            let customer = data.get("customer").and_then(Value::as_str).unwrap_or_default();
            // One that was given up and sent again by hand comes behind newer ones.
            let sequence = data.get("sequence").and_then(Value::as_i64).unwrap_or_default();
            let newest = self.newest.entry(customer.to_owned()).or_default();
            if sequence > *newest {
                *newest = sequence;
                self.told.insert(customer.to_owned(), data.get("entitlements").cloned().unwrap_or_default());
            }
        }
        self.order.push(id.to_owned());
        self.heard.insert(id.to_owned(), Heard { body: message.body.clone(), value });
        Ok(Taken::Believed)
    }

    /// Takes what the stream tells in.
    fn follow(&mut self, messages: Vec<quittance_engine::feed::Message>) {
        for message in messages {
            match message.told {
                Told::Reset => {
                    self.followed.clear();
                    self.cursor = None;
                    self.live = false;
                }
                Told::Customer(state) => {
                    self.followed.insert(state.customer.clone(), state);
                }
                Told::Live => self.live = true,
            }
            self.cursor = message.cursor.or_else(|| self.cursor.take());
        }
    }
}

/// What the scheme signs a message with; `None` for a secret that is none.
fn signature(secret: &str, id: &str, at: &str, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(at.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The way of the app's webhooks.
pub struct ToApp(pub Arc<Sim>);

impl ToApp {
    async fn carry(&self, message: &Message) -> Result<Answered, SendError> {
        let sim = &self.0;
        let answer = |status: u16, retry_after: Option<&str>| {
            Ok(Answered { status, retry_after: retry_after.map(str::to_owned), beginning: Vec::new() })
        };
        let id = message.headers.iter().find(|(name, _)| *name == "webhook-id").map_or("", |(_, id)| id);
        let attempt = Try::new(sim, Channel::Webhook, id);
        let (pause, trouble, kind) = {
            let mut chance = sim.post_chance();
            let trouble = sim.faults().strikes_by(Fault::AppTrouble, &mut chance);
            (chance.between(10, 800), trouble, chance.below(5))
        };
        sim.sleep(pause).await;
        if trouble && kind == 0 {
            return Err(SendError::Failed("the connection is refused".to_owned()));
        }
        if trouble && kind == 1 {
            return answer(500, None);
        }
        let taken = sim.app().take(message, sim.scheduler.now_ms());
        let taken = taken.unwrap_or_else(|wrong| {
            sim.record().violation("I2", format!("the app: {wrong}"));
            Taken::Believed
        });
        sim.tell("app", format_args!("hears {id}{}", if trouble { ", and its answer is lost" } else { "" }));
        if taken != Taken::Believed {
            // Where both sides know the secret, a signature that does not hold is nobody's misfortune.
            if taken == Taken::Unsigned && !sim.app().rolls {
                attempt.was_let_be();
            }
            return answer(401, None);
        }
        match (trouble, kind) {
            // Longer than anybody waits for an answer.
            (true, 2) => {
                sim.sleep(2 * MINUTE_MS).await;
                answer(200, None)
            }
            (true, 3) => answer(503, Some("120")),
            (true, _) => Err(SendError::Failed("the connection broke".to_owned())),
            (false, _) => {
                attempt.was_let_be();
                answer(204, None)
            }
        }
    }
}

impl Sender for ToApp {
    fn post<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.carry(message))
    }
}

/// Asks until somebody answers; `None` when it is refused for good or nobody does.
async fn ask<T, F, Fut>(sim: &Arc<Sim>, chance: &mut Chance, work: F) -> Option<T>
where
    T: Send + 'static,
    F: Fn(quittance_engine::Engine) -> Fut,
    Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    F: Clone + Send + 'static,
{
    for _ in 0..TRIES {
        let work = work.clone();
        match sim.call(chance.draw(), move |engine| async move { work(engine).await }).await {
            Some(Ok(answer)) => return Some(answer),
            Some(Err(problem)) if problem.retry_after_s.is_none() => return None,
            Some(Err(_)) | None => sim.sleep(chance.between(SECOND_MS, 30 * SECOND_MS)).await,
        }
    }
    None
}

/// Sets the endpoint up before anybody buys, and then has messages sent again, rolls its secret, and follows the stream.
pub async fn run(sim: Arc<Sim>) {
    let mut chance = Chance::new(sim.plan.seed, "app");
    set_up(&sim, &mut chance).await;
    while !sim.is_over() {
        let most = (sim.plan.length_ms / 6).max(10 * MINUTE_MS);
        sim.sleep(chance.between(MINUTE_MS, most)).await;
        match chance.below(8) {
            0 => roll(&sim, &mut chance).await,
            1 => again(&sim, &mut chance).await,
            _ => follow(&sim, &mut chance).await,
        }
    }
}

async fn set_up(sim: &Arc<Sim>, chance: &mut Chance) {
    let new = NewEndpoint {
        url: URL.to_owned(),
        idempotency: Some("simulated".to_owned()),
        ..NewEndpoint::default()
    };
    loop {
        let wanted = new.clone();
        let made = ask(sim, chance, move |engine| {
            let new = wanted.clone();
            async move { engine.create_endpoint(&new, "the simulated operator").await }
        });
        let Some((row, secret)) = made.await else {
            sim.sleep(SECOND_MS).await;
            continue;
        };
        sim.app().endpoint = row.id.to_string();
        match secret {
            Some(secret) => sim.app().secrets.push(secret.expose_secret().to_owned()),
            // The answer with the secret was lost.
            None => roll(sim, chance).await,
        }
        if sim.app().is_ready() {
            return;
        }
    }
}

/// A new secret; the old one counts for a while, because both sides change at their own time. Asked for until it is
/// known: one whose answer was lost signs soon, and nobody knows it.
async fn roll(sim: &Arc<Sim>, chance: &mut Chance) {
    sim.app().rolls = true;
    loop {
        let id = sim.app().endpoint.clone();
        let rolled = ask(sim, chance, move |engine| {
            let id = id.clone();
            async move { engine.rotate_secret(&id, OVERLAP_MS).await }
        });
        if let Some((_, secret)) = rolled.await {
            sim.tell("app", format_args!("has a new secret"));
            let mut app = sim.app();
            app.secrets.push(secret.expose_secret().to_owned());
            app.rolls = false;
            return;
        }
        sim.sleep(MINUTE_MS).await;
    }
}

/// One message, or everything of late, once more.
async fn again(sim: &Arc<Sim>, chance: &mut Chance) {
    let what = if chance.per_mille(500) {
        let known = sim.app().order.clone();
        let Some(id) = chance.pick(&known).cloned() else { return };
        Replay::Event(id)
    } else {
        Replay::Since(Timestamp::from_ms(
            sim.scheduler.now_ms() - chance.between(MINUTE_MS, 1_440 * MINUTE_MS),
        ))
    };
    sim.tell("app", format_args!("asks for {what:?} again"));
    let (id, seed) = (sim.app().endpoint.clone(), format!("{:x}", chance.draw()));
    let done = ask(sim, chance, move |engine| {
        let (id, what, seed) = (id.clone(), what.clone(), seed.clone());
        async move { engine.replay_to(&id, &what, Some(&seed)).await }
    });
    let _queued = done.await;
}

/// Goes on with the stream where it was left.
pub async fn follow(sim: &Arc<Sim>, chance: &mut Chance) {
    let cursor = sim.app().cursor.clone();
    let read = sim.call(chance.draw(), move |engine| async move {
        let mut messages = Vec::new();
        let mut reader = engine.follow_entitlements(cursor.as_deref()).await?;
        for _ in 0..PAGES {
            let page = reader.next().await?;
            if page.is_empty() {
                break;
            }
            messages.extend(page);
        }
        Ok::<_, Problem>(messages)
    });
    // What was read before an answer was lost is read again.
    if let Some(Ok(messages)) = read.await {
        sim.tell("app", format_args!("follows {} changes", messages.len()));
        sim.app().follow(messages);
    }
}
