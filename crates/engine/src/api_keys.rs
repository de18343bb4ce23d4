//! API keys: made here, shown once, stored as a hash, checked from memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use quittance_domain::digest::{sha256, sha256_hex};
use quittance_domain::ids::ApiKeyId;
use quittance_store::api_keys::{self, ApiKeyRow};
use secrecy::{ExposeSecret, SecretString};

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyScope {
    /// Read customers, entitlements, plans, checkouts and subscriptions.
    Read,
    /// Everything an app does: customers, checkouts, portal, changes.
    Write,
    /// Operators: events, parked work, grants, links.
    Admin,
}

impl KeyScope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's public id.
    pub key: ApiKeyId,
    /// What the key may do.
    pub scopes: Vec<KeyScope>,
}

impl Caller {
    /// Whether this key may do something.
    #[must_use]
    pub fn may(&self, scope: KeyScope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Keys that were looked up, by the SHA-256 of the key. Unknown keys are not remembered.
#[derive(Debug, Default)]
pub struct KeyRing(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    callers: HashMap<[u8; 32], Arc<Caller>, foldhash::fast::RandomState>,
    /// Grows with each change of keys: a lookup that began before is not kept, or it could bring a revoked key back.
    epoch: u64,
}

/// Keys that are kept in memory at most.
const MOST_KEYS: usize = 10_000;

impl KeyRing {
    /// The caller if it is known, and the epoch in which a lookup begins if not.
    fn get(&self, hash: &[u8; 32]) -> Result<Arc<Caller>, u64> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.callers.get(hash).cloned().ok_or(known.epoch)
    }

    /// Keeps what a lookup that began in `epoch` found.
    fn keep(&self, hash: [u8; 32], caller: Arc<Caller>, epoch: u64) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != epoch {
            return;
        }
        if known.callers.len() >= MOST_KEYS {
            known.callers.clear();
        }
        known.callers.insert(hash, caller);
    }

    pub(crate) fn forget_all(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.callers.clear();
        known.epoch += 1;
    }
}

fn caller_of(row: &ApiKeyRow) -> Caller {
    Caller { key: row.id.clone(), scopes: row.scopes.split(',').filter_map(KeyScope::parse).collect() }
}

/// The longest key that is looked at.
const MAX_KEY_BYTES: usize = 200;

impl Engine {
    /// Who holds this key. Lookup is by hash, so no comparison of secrets takes place that could leak by its time.
    ///
    /// # Errors
    /// `unauthenticated` for an unknown or revoked key.
    #[crate::boxed]
    pub async fn authenticate(&self, key: &str) -> Result<Arc<Caller>, Problem> {
        let refused = || {
            Problem::new(
                ProblemCode::Unauthenticated,
                "The API key is missing, unknown or revoked.",
                "Send `Authorization: Bearer qk_…`; make a key with `quittance keys create`.",
            )
        };
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(refused());
        }
        let hash = sha256(key.as_bytes());
        let epoch = match self.keys().get(&hash) {
            Ok(caller) => return Ok(caller),
            Err(epoch) => epoch,
        };
        let lookup = hex::encode(hash);
        let row = self.db().read("api_keys.by_hash", move |tx| api_keys::by_hash(tx, &lookup)).await?;
        match row {
            Some(row) if row.revoked_at.is_none() => {
                let caller = Arc::new(caller_of(&row));
                self.keys().keep(hash, caller.clone(), epoch);
                Ok(caller)
            }
            Some(_) | None => Err(refused()),
        }
    }

    /// Makes a key. The secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn create_key(
        &self,
        name: &str,
        scopes: &[KeyScope],
    ) -> Result<(ApiKeyId, SecretString), Problem> {
        let (first, second) = (self.world().random(), self.world().random());
        let secret = SecretString::from(format!("qk_{}{}", hex::encode(first), hex::encode(second)));
        let id = self.put_key(name, scopes, &secret).await?;
        Ok((id, secret))
    }

    /// Stores a given key (the fixed key of `quittance dev`); the same key again is no error.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn put_key(
        &self,
        name: &str,
        scopes: &[KeyScope],
        secret: &SecretString,
    ) -> Result<ApiKeyId, Problem> {
        let hash = sha256_hex(secret.expose_secret().as_bytes());
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let row = ApiKeyRow {
            id: ApiKeyId::derived(&["api_key", &hash]),
            name: name.to_owned(),
            hash,
            scopes: words.join(","),
            created_at: self.now(),
            revoked_at: None,
        };
        let id = row.id.clone();
        self.db().write("api_keys.put", move |tx| api_keys::put(tx, &row)).await?;
        self.keys().forget_all();
        Ok(id)
    }

    /// All keys, without their secrets.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn list_keys(&self) -> Result<Vec<ApiKeyRow>, Problem> {
        Ok(self.db().read("api_keys.list", api_keys::list).await?)
    }

    /// Takes a key back, at once and on all nodes.
    ///
    /// # Errors
    /// `not_found` when there is no such key in force.
    #[crate::boxed]
    pub async fn revoke_key(&self, id: &ApiKeyId) -> Result<(), Problem> {
        let (key, now) = (id.clone(), self.now());
        let found = self.db().write("api_keys.revoke", move |tx| api_keys::revoke(tx, &key, now)).await?;
        self.keys().forget_all();
        if found { Ok(()) } else { Err(Problem::not_found("API key in force")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: [u8; 32] = [7; 32];

    #[test]
    fn a_lookup_that_a_revocation_overtook_is_not_kept() {
        let ring = KeyRing::default();
        let caller =
            Arc::new(Caller { key: ApiKeyId::derived(&["api_key", "h"]), scopes: vec![KeyScope::Read] });
        let began = ring.get(&H).unwrap_err();
        ring.forget_all();
        ring.keep(H, caller.clone(), began);
        let now = ring.get(&H).unwrap_err();
        ring.keep(H, caller.clone(), now);
        assert_eq!(ring.get(&H), Ok(caller));
    }
}
