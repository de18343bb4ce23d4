//! Inbound idempotency: the same `Idempotency-Key` gets the same answer, and one effect (engine.md section 5).
//!
//! A call that needs the provider writes a command whose own key follows from what is wanted (what a checkout
//! opens) or from the caller's key (what changes a subscription, and can be changed back), so a crash between
//! effect and answer ends, on repetition, with the same effect found done.

use quittance_domain::digest::short_hex;
use quittance_store::api_requests::{self, Begun};

use crate::api_keys::Caller;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::world::Point;

/// The longest key.
const MAX_KEY_BYTES: usize = 255;

/// A request that runs under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    caller: String,
    key: String,
}

/// What to do with a request that carries a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Run it and hand the answer to [`Engine::finish_keyed`].
    Run(Keyed),
    /// Give this answer again.
    Replay(u16, String),
}

impl Engine {
    /// Begins a request under an idempotency key.
    ///
    /// # Errors
    /// `idempotency_in_flight` while it runs, `idempotency_mismatch` when the key belongs to another request.
    pub async fn begin_keyed(
        &self,
        caller: &Caller,
        key: &str,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Start, Problem> {
        if key.is_empty()
            || key.len() > MAX_KEY_BYTES
            || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            return Err(Problem::invalid("Idempotency-Key must have 1 to 255 visible ASCII characters."));
        }
        let body_hash = quittance_domain::digest::sha256_hex(body);
        let fingerprint = short_hex(&[method, path, &body_hash]);
        let keyed = Keyed { caller: caller.key.to_string(), key: key.to_owned() };
        let (row, now) = (keyed.clone(), self.now());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let begun = self
            .db()
            .write("idempotency.begin", move |tx| {
                api_requests::begin(tx, &row.caller, &row.key, &fingerprint, now, until)
            })
            .await?;
        self.world().point(Point::RequestBegun).await;
        match begun {
            Begun::Fresh | Begun::TakenOver => Ok(Start::Run(keyed)),
            Begun::Answered(status, body) => Ok(Start::Replay(status, body)),
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

    /// Keeps the answer of a request that ran under a key. An answer that invites a retry (5xx, 429) is
    /// forgotten instead, so that the same key can be tried again.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn finish_keyed(&self, keyed: &Keyed, status: u16, body: &str) -> Result<(), Problem> {
        let (row, body) = (keyed.clone(), body.to_owned());
        self.db()
            .write("idempotency.finish", move |tx| {
                if status >= 500 || status == 429 {
                    api_requests::forget(tx, &row.caller, &row.key)
                } else {
                    api_requests::finish(tx, &row.caller, &row.key, status, &body)
                }
            })
            .await?;
        self.world().point(Point::RequestFinished).await;
        Ok(())
    }

    /// Gives a key back whose request could not be done yet (a 4xx that says when to try again), so that the
    /// same request can be sent with the same key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn abandon_keyed(&self, keyed: &Keyed) -> Result<(), Problem> {
        let row = keyed.clone();
        self.db()
            .write("idempotency.abandon", move |tx| api_requests::forget(tx, &row.caller, &row.key))
            .await?;
        Ok(())
    }
}
