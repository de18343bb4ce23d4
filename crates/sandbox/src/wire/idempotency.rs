//! Answers kept per idempotency key for 24 hours on the sandbox's clock.
//!
//! The first answer of a key is replayed for the same request, failed ones included once execution had begun; another
//! request with the key is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const KEEP_SECONDS: i64 = 24 * 3600;
/// Old answers are looked for each time this many have come.
const PRUNE_EVERY: usize = 1024;

/// An answer under its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) request_id: String,
    at: i64,
}

/// What a key says about a request.
pub(crate) enum Lookup<'a> {
    New,
    Replay(&'a Kept),
    Mismatch,
}

/// The store of kept answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    answers: BTreeMap<String, Kept>,
}

impl Keys {
    /// Looks a key up, after forgetting it when it is too old.
    pub(crate) fn look_up(&mut self, key: &str, fingerprint: &str, now: i64) -> Lookup<'_> {
        if self.answers.get(key).is_some_and(|kept| now - kept.at >= KEEP_SECONDS) {
            self.answers.remove(key);
        }
        match self.answers.get(key) {
            None => Lookup::New,
            Some(kept) if kept.fingerprint == fingerprint => Lookup::Replay(kept),
            Some(_) => Lookup::Mismatch,
        }
    }

    /// Keeps an answer.
    pub(crate) fn keep(
        &mut self,
        key: &str,
        fingerprint: String,
        status: u16,
        body: String,
        request_id: &str,
        now: i64,
    ) {
        if self.answers.len() % PRUNE_EVERY == PRUNE_EVERY - 1 {
            self.prune(now);
        }
        self.answers.insert(
            key.to_owned(),
            Kept { fingerprint, status, body, request_id: request_id.to_owned(), at: now },
        );
    }

    /// Forgets what is too old.
    fn prune(&mut self, now: i64) {
        self.answers.retain(|_, kept| now - kept.at < KEEP_SECONDS);
    }
}
