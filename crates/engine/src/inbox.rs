//! The inbox: verify over the raw bytes, store, mark the aggregate, commit durably, only then answer.
//!
//! Requests that arrive together share a commit: a writer task takes whatever is waiting as one batch,
//! and each request is answered when *its* batch is durable. No provider call, mail or projection here.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use quittance_domain::digest::sha256_hex;
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::{AggregateKey, AggregateObject, CommandId, Mode, Scope, Timestamp};
use quittance_store::commands;
use quittance_store::inbox::{self, Accepted, NewEvent};
use quittance_store::{Db, Dialect, StoreError};
use quittance_stripe::event::Event;
use quittance_stripe::{redact, signature};
use tokio::sync::{mpsc, oneshot};

use crate::commands::request::KEY_PREFIX;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::telemetry;
use crate::world::{Point, World};

/// Events of one commit at most.
const BATCH: usize = 256;
/// How long a request waits for its commit before it answers 503; the event may still be stored, and
/// the provider's retry is then a duplicate. Milliseconds.
const COMMIT_WAIT_MS: u64 = 10_000;

struct Waiting {
    event: NewEvent,
    reply: oneshot::Sender<Result<Accepted, Problem>>,
}

/// The way into the inbox.
pub struct Inbox {
    queue: mpsc::Sender<Waiting>,
    world: Arc<dyn World>,
}

impl Inbox {
    /// Starts the writers. SQLite has one writer anyway; PostgreSQL overlaps two commits.
    pub(crate) fn start(db: Db, world: Arc<dyn World>, most_waiting: usize) -> Self {
        let (queue, receiver) = mpsc::channel(most_waiting.max(1));
        let writers = match db.dialect() {
            Dialect::Sqlite => 1,
            Dialect::Postgres => 2,
        };
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..writers {
            world.spawn(Box::pin(write_batches(db.clone(), receiver.clone())));
        }
        Self { queue, world }
    }

    async fn accept(&self, event: NewEvent) -> Result<Accepted, Problem> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Waiting { event, reply }).map_err(|_| overloaded())?;
        match select(answer, pin!(self.world.limit(COMMIT_WAIT_MS))).await {
            Either::Left((Ok(result), _)) => result,
            Either::Left((Err(_), _)) | Either::Right(_) => Err(overloaded()),
        }
    }
}

fn overloaded() -> Problem {
    Problem::new(
        ProblemCode::Overloaded,
        "The inbox is full; the event was not acknowledged.",
        "Deliver it again later; nothing is lost.",
    )
    .retry_after(2)
}

async fn write_batches(db: Db, receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let mut waiting = Vec::with_capacity(BATCH);
        if receiver.lock().await.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        let (events, replies): (Vec<NewEvent>, Vec<_>) =
            waiting.into_iter().map(|w| (w.event, w.reply)).unzip();
        let written = write_one_batch(&db, events).await;
        match written {
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    // A request that went away is not told; its event is stored all the same.
                    let _gone = reply.send(result.map_err(Problem::from));
                }
            }
            Err(error) => {
                let problem = Problem::from(error);
                for reply in replies {
                    let _gone = reply.send(Err(problem.clone()));
                }
            }
        }
    }
}

type BatchResult = Result<Vec<Result<Accepted, StoreError>>, StoreError>;

/// Writes a batch; when one event poisons it, each is written alone, so that only that one is refused.
async fn write_one_batch(db: &Db, events: Vec<NewEvent>) -> BatchResult {
    let events = Arc::new(events);
    let batch = events.clone();
    match db.write("inbox.accept", move |tx| inbox::accept(tx, &batch)).await {
        Ok(accepted) => Ok(accepted.into_iter().map(Ok).collect()),
        Err(StoreError::Sql { .. } | StoreError::Constraint { .. }) if events.len() > 1 => {
            let mut results = Vec::with_capacity(events.len());
            for index in 0..events.len() {
                let batch = events.clone();
                let one = db
                    .write("inbox.accept_one", move |tx| {
                        inbox::accept(tx, batch.get(index..=index).unwrap_or_default())
                    })
                    .await;
                results.push(one.map(|accepted| accepted.first().copied().unwrap_or(Accepted::Duplicate)));
            }
            Ok(results)
        }
        Err(error) => Err(error),
    }
}

/// How long the account's money waits to be looked at after an event about it, in milliseconds: the books may be a little
/// behind, and one look then answers all payments of that time.
pub const MONEY_SETTLE_MS: i64 = 30_000;
/// What events about money begin with.
const ABOUT_MONEY: [&str; 6] = ["charge.", "refund.", "payout.", "transfer.", "topup.", "application_fee."];
/// Events about money by their whole names: an endpoint may not be told of charges.
const TELLS_OF_MONEY: [&str; 4] =
    ["payment_intent.succeeded", "invoice.paid", "invoice_payment.paid", "balance.available"];
/// Kinds of object that are the account's money and nobody's in particular.
const THE_ACCOUNTS: [&str; 4] = ["payout", "balance", "topup", "transfer"];

/// Whether the provider's balance may have moved.
fn is_about_money(event_type: &str) -> bool {
    let kind = event_type.strip_prefix("v1.").unwrap_or(event_type);
    let nothing_moved = ["charge.failed", "charge.pending", "charge.expired"].contains(&kind);
    let moved = ABOUT_MONEY.iter().any(|start| kind.starts_with(start)) || TELLS_OF_MONEY.contains(&kind);
    moved && !nothing_moved
}

/// Kinds of object that name no customer, only the payment that leads to one.
const REACHED_BY_PAYMENT: [&str; 4] = ["dispute", "refund", "radar.early_fraud_warning", ECHO];
/// A kind of object that repeats what events that name the customer tell of the same payment; it is looked at after them, for when
/// they are lost.
pub(crate) const ECHO: &str = "invoice_payment";
/// How much later, in milliseconds.
const ECHO_SETTLE_MS: i64 = 30_000;

/// The aggregate that an event is about.
#[must_use]
pub fn aggregate_of(event: &Event<'_>, own: &Scope) -> AggregateKey {
    let scope = Scope {
        account: event.account.as_deref().map_or_else(|| own.account.clone(), ToOwned::to_owned),
        mode: Mode::from_livemode(event.livemode),
        ..own.clone()
    };
    let kind = event.object_kind.as_deref().unwrap_or_default();
    let object = if let Some(customer) = &event.customer {
        AggregateObject::Customer(customer.to_string())
    } else if let Some(payment) = event.payment_intent.as_ref().filter(|_| REACHED_BY_PAYMENT.contains(&kind))
    {
        AggregateObject::Payment(payment.to_string())
    } else if let Some(session) = &event.checkout_session {
        AggregateObject::Checkout(session.to_string())
    } else if THE_ACCOUNTS.contains(&kind) {
        AggregateObject::Balance
    } else {
        AggregateObject::Other(event.object_id.as_deref().unwrap_or(&event.id).to_owned())
    };
    AggregateKey { scope, object }
}

/// The command that a creation names by its key. Only creations: of all that a request causes, they alone tell nothing
/// that its answer did not, however late they come. Whether there is such a command, the inbox looks up.
fn maker(event: &Event<'_>) -> Option<CommandId> {
    let key = event.idempotency_key.as_ref().filter(|_| event.event_type.ends_with(".created"))?;
    key.starts_with(KEY_PREFIX).then(|| commands::id_of(key))
}

/// Makes an inbox row of an event's raw JSON.
///
/// # Errors
/// When it is no event that can be read.
pub fn new_event(
    raw: &[u8],
    own: &Scope,
    source: &'static str,
    now: Timestamp,
    due: Timestamp,
) -> Result<NewEvent, Problem> {
    let unreadable = |error: quittance_stripe::event::EventError| {
        Problem::new(
            ProblemCode::InvalidJson,
            format!("The body is not an event that can be read: {error}"),
            "Send the event exactly as the provider made it.",
        )
    };
    let payload = redact::redact(raw).map_err(unreadable)?;
    // The envelope stands in what is kept, which is shorter; only a text that was blotted out may be one of its own.
    let readable = if redact::is_altered(&payload) { raw } else { payload.as_bytes() };
    let event = Event::parse(readable).map_err(unreadable)?;
    let aggregate = aggregate_of(&event, own);
    let money = Some(&aggregate.scope)
        .filter(|scope| *scope == own && is_about_money(&event.event_type))
        .map(|scope| (AggregateKey::balance(scope.clone()).to_string(), due.plus_ms(MONEY_SETTLE_MS)));
    let echo = event.object_kind.as_deref() == Some(ECHO);
    let stored = NewEvent {
        provider: own.provider.as_str(),
        account: aggregate.scope.account.clone(),
        event_id: event.id.to_string(),
        livemode: event.livemode,
        event_type: event.event_type.to_string(),
        object: event.object_id.as_ref().map(ToString::to_string),
        aggregate: aggregate.to_string(),
        money,
        api_version: event.api_version.as_ref().map(ToString::to_string),
        sha256: sha256_hex(raw),
        source,
        created_at: event.created_s.map_or(now, Timestamp::from_seconds),
        received_at: now,
        due: if echo { due.plus_ms(ECHO_SETTLE_MS) } else { due },
        made_by: maker(&event),
        payload: String::new(),
    };
    Ok(NewEvent { payload, ..stored })
}

impl Engine {
    /// Takes a webhook from Stripe.
    ///
    /// # Errors
    /// `invalid_signature`, `invalid_json`, `wrong_mode` (nothing stored), or `overloaded` and
    /// `database_unavailable` (the provider retries).
    #[crate::boxed]
    pub async fn accept_stripe(&self, header: Option<&[u8]>, body: &[u8]) -> Result<Accepted, Problem> {
        let outcome = self.accept_verified(header, body).await;
        telemetry::inbox(match &outcome {
            Ok(Accepted::New) => "new",
            Ok(Accepted::Duplicate) => "duplicate",
            Err(problem) => problem.code.as_str(),
        });
        outcome
    }

    async fn accept_verified(&self, header: Option<&[u8]>, body: &[u8]) -> Result<Accepted, Problem> {
        let (now, settings) = (self.now(), self.settings());
        signature::verify(header, body, &settings.webhook_secrets, now.seconds(), settings.webhook_tolerance_s)
            .or_else(|error| if mutant::is(Mutant::Signature) { Ok(()) } else { Err(error) })
            .map_err(|error| {
                Problem::new(
                    ProblemCode::InvalidSignature,
                    format!("The Stripe-Signature header was refused: {error}"),
                    "Check STRIPE_WEBHOOK_SECRET against the endpoint's signing secret, and this machine's clock.",
                )
            })?;
        let event = new_event(body, self.scope(), "webhook", now, now.plus_ms(settings.settle_ms))?;
        if Mode::from_livemode(event.livemode) != self.scope().mode {
            return Err(Problem::new(
                ProblemCode::WrongMode,
                format!(
                    "This server works in {} mode; the event is of the other.",
                    self.scope().mode.as_str()
                ),
                "Point the endpoint of each mode to its own server.",
            ));
        }
        self.world().point(Point::InboxBeforeCommit).await;
        let (id, kind, aggregate) =
            (event.event_id.clone(), event.event_type.clone(), event.aggregate.clone());
        let accepted = self.inbox().accept(event).await?;
        self.world().point(Point::InboxAfterCommit).await;
        let duplicate = accepted == Accepted::Duplicate;
        tracing::info!(event = id, kind, aggregate, duplicate, "event accepted");
        if accepted == Accepted::New {
            self.wakers().wake_syncs();
        }
        Ok(accepted)
    }
}
