//! Inbound idempotency: the same `Idempotency-Key` gets the same answer, and one effect (engine.md section 5).
//!
//! A call that needs the provider writes a command whose own key follows from what is wanted (what a checkout
//! opens) or from the caller's key (what changes a subscription, and can be changed back), so a crash between
//! effect and answer ends, on repetition, with the same effect found done.

use std::future::Future;
use std::sync::Arc;

use quittance_domain::Timestamp;
use quittance_domain::digest::{sha256_hex, short_hex};
use quittance_store::api_requests::{self, Begun, NewAnswer};
use serde::Deserialize;

use crate::api_keys::Caller;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::world::Point;

/// The longest key.
const MAX_KEY_BYTES: usize = 255;

/// A request that changes something.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who sends it.
    pub caller: Arc<Caller>,
    /// Its `Idempotency-Key`, if it has one.
    pub key: Option<String>,
    /// `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// SHA-256 of the body, in hexadecimal.
    pub body_hash: String,
    /// The customer that its path names.
    pub customer: Option<String>,
}

impl Request {
    /// A request with this body.
    #[must_use]
    pub fn new(caller: Arc<Caller>, key: Option<String>, method: &str, path: &str, body: &[u8]) -> Self {
        Self {
            caller,
            key,
            method: method.to_owned(),
            path: path.to_owned(),
            body_hash: sha256_hex(body),
            customer: None,
        }
    }

    /// The same request, whose path names this customer.
    #[must_use]
    pub fn about(self, customer: Option<String>) -> Self {
        Self { customer, ..self }
    }

    /// Makes the ids of what the request makes, so that a repetition after a crash finds what the first one made.
    #[must_use]
    pub fn seed(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        Some(short_hex(&[self.caller.key.as_str(), key, &self.method, &self.path, &self.body_hash]))
    }
}

/// An answer as it is kept: status and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// How a request ended.
#[derive(Debug)]
pub enum Ended {
    /// It ran, with this answer.
    Done(Answer),
    /// It had run before, with this answer.
    Replayed(Answer),
    /// It was refused, or failed; the answer says so.
    Refused(Problem, Answer),
}

/// A request that runs under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Keyed {
    caller: String,
    key: String,
    /// The customer that the request names.
    customer: Option<String>,
    /// Until when nobody takes it over.
    until: Timestamp,
}

/// The customer that an answer names.
fn customer_in(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        customer: Option<String>,
    }
    serde_json::from_str::<Named>(body).ok()?.customer
}

/// What to do with a request that carries a key.
enum Start {
    Run(Keyed),
    Replay(Answer),
}

impl Engine {
    /// Runs `work` once for a request: the same key gets the same answer again, and an answer that says when to try
    /// again gives the key back. `refusal` puts a problem into words.
    pub async fn once<F, Fut>(
        &self,
        request: &Request,
        refusal: impl Fn(&Problem) -> Answer,
        work: F,
    ) -> Ended
    where
        F: FnOnce(Option<String>) -> Fut,
        Fut: Future<Output = Result<Answer, Problem>>,
    {
        let refused = |problem| {
            let answer = refusal(&problem);
            Ended::Refused(problem, answer)
        };
        let keyed = match &request.key {
            None => None,
            Some(key) => match self.begin_keyed(request, key).await {
                Ok(Start::Run(keyed)) => Some(keyed),
                Ok(Start::Replay(answer)) => return Ended::Replayed(answer),
                Err(problem) => return refused(problem),
            },
        };
        let ended = match work(request.seed()).await {
            Ok(answer) => Ended::Done(answer),
            Err(problem) => refused(problem),
        };
        if let Some(keyed) = keyed {
            let kept = match &ended {
                Ended::Refused(problem, _) if problem.retry_after_s.is_some() => {
                    self.abandon_keyed(&keyed).await.map(|()| None)
                }
                Ended::Done(answer) | Ended::Replayed(answer) | Ended::Refused(_, answer) => {
                    self.finish_keyed(&keyed, answer).await
                }
            };
            match kept {
                // It took so long that another call with its key ran beside it, and was told this.
                Ok(Some(answer)) => return Ended::Replayed(answer),
                Ok(None) => {}
                // The effect stands and is found again by its ids; only the quick replay is lost.
                Err(problem) => {
                    tracing::error!(%problem, method = request.method, "an answer could not be kept");
                }
            }
        }
        ended
    }

    /// Begins a request under an idempotency key.
    ///
    /// # Errors
    /// `idempotency_in_flight` while it runs, `idempotency_mismatch` when the key belongs to another request.
    async fn begin_keyed(&self, request: &Request, key: &str) -> Result<Start, Problem> {
        if key.is_empty()
            || key.len() > MAX_KEY_BYTES
            || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            return Err(Problem::invalid("Idempotency-Key must have 1 to 255 visible ASCII characters."));
        }
        let fingerprint = short_hex(&[&request.method, &request.path, &request.body_hash]);
        let now = self.now();
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let keyed = Keyed {
            caller: request.caller.key.to_string(),
            key: key.to_owned(),
            customer: request.customer.clone(),
            until,
        };
        let row = keyed.clone();
        let begun = self
            .db()
            .write("idempotency.begin", move |tx| {
                api_requests::begin(tx, &row.caller, &row.key, &fingerprint, now, until)
            })
            .await?;
        self.world().point(Point::RequestBegun).await;
        match begun {
            Begun::Fresh | Begun::TakenOver => Ok(Start::Run(keyed)),
            Begun::Answered(status, body) => Ok(Start::Replay(Answer { status, body })),
            Begun::InFlight => Err(Problem::new(
                ProblemCode::IdempotencyInFlight,
                "A request with this Idempotency-Key is still running.",
                "Wait a moment and send the same request again.",
            )
            .retry_after(1)),
            Begun::Mismatch => Err(Problem::new(
                ProblemCode::IdempotencyMismatch,
                "This Idempotency-Key was used with another request.",
                "Use a fresh key for a different request.",
            )),
        }
    }

    /// Keeps the answer of a request that ran under a key, or returns the one that is kept already. An answer that invites a
    /// retry (5xx, 429) is forgotten instead, so that the same key can be tried again.
    ///
    /// # Errors
    /// When the database cannot be used.
    async fn finish_keyed(&self, keyed: &Keyed, answer: &Answer) -> Result<Option<Answer>, Problem> {
        let (row, Answer { status, body }) = (keyed.clone(), answer.clone());
        let before = self
            .db()
            .write("idempotency.finish", move |tx| {
                if status >= 500 || status == 429 {
                    api_requests::forget(tx, &row.caller, &row.key, row.until).map(|()| None)
                } else {
                    let named = row.customer.clone().or_else(|| customer_in(&body));
                    let answer = NewAnswer { status, body: &body, customer: named.as_deref() };
                    api_requests::finish(tx, &row.caller, &row.key, answer)
                }
            })
            .await?;
        self.world().point(Point::RequestFinished).await;
        Ok(before.map(|(status, body)| Answer { status, body }))
    }

    /// Gives a key back whose request could not be done yet (a 4xx that says when to try again), so that the
    /// same request can be sent with the same key.
    ///
    /// # Errors
    /// When the database cannot be used.
    async fn abandon_keyed(&self, keyed: &Keyed) -> Result<(), Problem> {
        let row = keyed.clone();
        self.db()
            .write("idempotency.abandon", move |tx| {
                api_requests::forget(tx, &row.caller, &row.key, row.until)
            })
            .await?;
        Ok(())
    }
}
