//! Answers kept per idempotency key, on the sandbox's clock.
//!
//! The first answer of a key is replayed for the same request, failed ones included once execution had begun; another
//! request with the key is refused, and so is the same one while the first is still being answered. Keys belong to an
//! account: the same key under another one is another key.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// The longest key, in characters.
pub(crate) const LONGEST_KEY: usize = 255;
/// Version 1 of the API forgets a key after a day.
const KEEP_SECONDS: i64 = 24 * 3600;
/// Version 2 forgets it after thirty days.
const KEEP_SECONDS_V2: i64 = 30 * 24 * 3600;
/// Old answers are looked for each time this many have come.
const PRUNE_EVERY: usize = 1024;

/// A key as a request gave it, and what it was used for.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// The key.
    pub(crate) key: String,
    /// The account that the request acts for; empty for the sandbox's own.
    pub(crate) account: String,
    /// The path of the request.
    pub(crate) path: String,
    /// A digest of method, path and parameters.
    pub(crate) fingerprint: String,
}

impl Used {
    fn place(&self) -> String {
        format!("{}/{}", self.account, self.key)
    }

    fn keep_seconds(&self) -> i64 {
        if self.path.starts_with("/v2/") { KEEP_SECONDS_V2 } else { KEEP_SECONDS }
    }
}

/// An answer under its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    path: String,
    fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) request_id: String,
    until: i64,
}

/// The store of kept answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    answers: BTreeMap<String, Kept>,
    /// Keys whose first answer is still on its way. Nobody waits for one after a restart.
    #[serde(skip)]
    in_use: BTreeSet<String>,
}

impl Keys {
    /// The answer that a key already has, after forgetting one that is too old; an error where the key may not be used
    /// for this request.
    pub(crate) fn look_up(&mut self, used: &Used, now: i64) -> Result<Option<&Kept>, ApiError> {
        let place = used.place();
        if self.in_use.contains(&place) {
            return Err(ApiError::key_in_use(&used.key));
        }
        if self.answers.get(&place).is_some_and(|kept| now >= kept.until) {
            self.answers.remove(&place);
        }
        match self.answers.get(&place) {
            None => Ok(None),
            Some(kept) if kept.fingerprint == used.fingerprint => Ok(Some(kept)),
            Some(kept) if kept.path != used.path => {
                Err(ApiError::key_of_other_path(&used.key, &used.path, &kept.path))
            }
            Some(_) => Err(ApiError::key_reused(&used.key)),
        }
    }

    /// Keeps an answer.
    pub(crate) fn keep(&mut self, used: &Used, status: u16, body: String, request_id: &str, now: i64) {
        if self.answers.len() % PRUNE_EVERY == PRUNE_EVERY - 1 {
            self.answers.retain(|_, kept| now < kept.until);
        }
        let kept = Kept {
            path: used.path.clone(),
            fingerprint: used.fingerprint.clone(),
            status,
            body,
            request_id: request_id.to_owned(),
            until: now.saturating_add(used.keep_seconds()),
        };
        self.answers.insert(used.place(), kept);
    }

    /// Marks a key as in use until it is released; answers what names it.
    pub(crate) fn hold(&mut self, used: &Used) -> String {
        let place = used.place();
        self.in_use.insert(place.clone());
        place
    }

    /// The answer of a held key has left.
    pub(crate) fn release(&mut self, held: &str) {
        self.in_use.remove(held);
    }
}
