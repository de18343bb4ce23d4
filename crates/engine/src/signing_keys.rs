//! The keys that sign entitlement tokens: made here, kept sealed in the database, changed in time.
//!
//! When a key is made and which one signs is decided by [`quittance_domain::signing`] from the rows and the clock. Every node
//! may make the next key; its number lets only one of them. Memory keeps what was read for a moment, which the time for
//! which keys are published ahead outlasts by far.

use std::sync::{Arc, PoisonError, RwLock};

use quittance_domain::digest::short_hex;
use quittance_domain::signing::{self, KeyState, KeyTimes, NextKey};
use quittance_domain::time::{MINUTE_MS, SECOND_MS};
use quittance_domain::{CustomerId, Timestamp};
use quittance_store::history::{self, NewLine};
use quittance_store::signing_keys::{self, SigningKeyRow};
use ring::signature::{Ed25519KeyPair, KeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::vault::{Vault, VaultError};

/// How long what was read is used, in milliseconds.
const FRESH_MS: i64 = 30 * SECOND_MS;
/// A key that cannot be opened is replaced when it is at least so old, in milliseconds: two nodes with different root keys
/// must not make keys in turn.
const REPLACE_AFTER_MS: i64 = MINUTE_MS;

/// All keys as read, and the one that signs.
#[derive(Debug)]
pub(crate) struct Known {
    rows: Vec<SigningKeyRow>,
    times: Vec<KeyTimes>,
    /// Those whose private part could be opened, by number.
    pairs: Vec<(i64, Ed25519KeyPair)>,
    read_at: Timestamp,
}

/// What memory keeps of the keys.
#[derive(Debug, Default)]
pub(crate) struct SigningKeys(RwLock<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    known: Option<Arc<Known>>,
    /// Grows when the keys have changed: what was read before is not kept.
    epoch: u64,
}

impl SigningKeys {
    fn get(&self, now: Timestamp) -> Result<Arc<Known>, u64> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &kept.known {
            Some(known) if (0..FRESH_MS).contains(&now.since(known.read_at)) => Ok(known.clone()),
            Some(_) | None => Err(kept.epoch),
        }
    }

    fn keep(&self, known: &Arc<Known>, epoch: u64) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.epoch == epoch {
            kept.known = Some(known.clone());
        }
    }

    pub(crate) fn forget(&self) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.known = None;
        kept.epoch += 1;
    }
}

/// A key as operators and verifiers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyView {
    /// The id that tokens name it by.
    pub kid: String,
    /// Its number.
    pub number: i64,
    /// What it is good for now.
    pub state: KeyState,
    /// Its public part, 32 bytes.
    pub public_key: Vec<u8>,
    /// When it was made and first published.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When an operator withdrew it.
    pub withdrawn_at: Option<Timestamp>,
}

fn purpose(kid: &str) -> String {
    format!("signing key {kid}")
}

fn broken() -> Problem {
    Problem::new(
        ProblemCode::Internal,
        "A signing key could not be made.",
        "See the log; try again, and report it if it stays.",
    )
}

fn no_root_key() -> Problem {
    Problem::new(
        ProblemCode::NotConfigured,
        "Secrets are stored under the root key, and this server has none.",
        "Operators: set QUITTANCE_SECRET (secret) to the output of `openssl rand -hex 32`, the same on all nodes.",
    )
}

fn other_root_key() -> Problem {
    Problem::new(
        ProblemCode::NotConfigured,
        "The keys that sign tokens were stored under another root key than this server's.",
        "Operators: give all nodes the same QUITTANCE_SECRET; after a change of it, run `quittance signing-keys rotate --withdraw` once.",
    )
}

impl Engine {
    pub(crate) fn vault(&self) -> Result<Vault, Problem> {
        let root = self.settings().root_key.as_ref().ok_or_else(no_root_key)?;
        Vault::new(root).map_err(|_| broken())
    }

    /// Reads the keys, from memory when it has been read a moment ago.
    #[crate::boxed]
    pub(crate) async fn known_keys(&self) -> Result<Arc<Known>, Problem> {
        let now = self.now();
        let epoch = match self.signing().get(now) {
            Ok(known) => return Ok(known),
            Err(epoch) => epoch,
        };
        let rows = self.db().read("signing_keys.list", signing_keys::list).await?;
        let times: Vec<KeyTimes> = rows.iter().map(|row| row.times).collect();
        let vault = self.vault().ok();
        let pairs = rows.iter().filter_map(|row| Some((row.times.number, open(vault.as_ref()?, row)?)));
        let pairs = pairs.collect();
        let known = Arc::new(Known { rows, times, pairs, read_at: now });
        self.signing().keep(&known, epoch);
        Ok(known)
    }

    /// All keys that there still are, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyView>, Problem> {
        let (known, now) = (self.known_keys().await?, self.now());
        let view = |row: &SigningKeyRow| SigningKeyView {
            kid: row.kid.clone(),
            number: row.times.number,
            state: signing::state(&row.times, &known.times, now),
            public_key: hex::decode(&row.public_key).unwrap_or_default(),
            created_at: row.created_at,
            signs_from: row.times.signs_from,
            withdrawn_at: row.times.withdrawn_at,
        };
        Ok(known.rows.iter().map(view).collect())
    }

    /// The keys that whoever verifies tokens must know; makes the first one when there is none and a root key is set.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn published_keys(&self) -> Result<Vec<SigningKeyView>, Problem> {
        if self.settings().root_key.is_some()
            && signing::signer(&self.known_keys().await?.times, self.now()).is_none()
        {
            self.tend_signing_keys().await?;
        }
        let mut keys = self.signing_keys().await?;
        keys.retain(|key| key.state.is_published());
        Ok(keys)
    }

    /// Signs with the key that signs now; returns its id and the 64 bytes. `message` is told the id first, because it is
    /// part of what is signed.
    ///
    /// # Errors
    /// `not_configured` without the root key under which the keys are stored.
    pub(crate) async fn sign(&self, message: impl Fn(&str) -> String) -> Result<(String, Vec<u8>), Problem> {
        self.vault()?;
        for _ in 0..2 {
            let (known, now) = (self.known_keys().await?, self.now());
            let signer = signing::signer(&known.times, now);
            let pair = known.pairs.iter().find(|(number, _)| Some(*number) == signer);
            let row = known.rows.iter().find(|row| Some(row.times.number) == signer);
            match (pair, row) {
                (Some((_, pair)), Some(row)) => {
                    let text = message(&row.kid);
                    let signature = pair.sign(text.as_bytes()).as_ref().to_vec();
                    return Ok((text, signature));
                }
                (None, Some(row)) => self.replace_lost_key(row, &known.times, now).await?,
                (_, None) => self.tend_signing_keys().await?,
            }
        }
        Err(other_root_key())
    }

    /// The key that should sign cannot be opened: the root key has changed since. Another one takes over at once; what the
    /// old one signed is still believed.
    async fn replace_lost_key(
        &self,
        row: &SigningKeyRow,
        times: &[KeyTimes],
        now: Timestamp,
    ) -> Result<(), Problem> {
        if now.since(row.created_at) < REPLACE_AFTER_MS {
            return Err(other_root_key());
        }
        tracing::error!(
            kid = row.kid,
            "a signing key cannot be opened with this root key; another one takes over"
        );
        self.make_key(signing::replace(times, now), now).await?;
        Ok(())
    }

    /// Makes the next key when it is time, and forgets what is no longer needed. Every node does so; one of them makes it.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn tend_signing_keys(&self) -> Result<(), Problem> {
        if self.settings().root_key.is_none() {
            return Ok(());
        }
        let (rows, now) = (self.db().read("signing_keys.list", signing_keys::list).await?, self.now());
        let times: Vec<KeyTimes> = rows.iter().map(|row| row.times).collect();
        let spent = rows.iter().any(|row| {
            let state = signing::state(&row.times, &times, now);
            (row.sealed.is_some() && !state.needs_private()) || is_old(row, state, now)
        });
        if spent {
            self.db()
                .write("signing_keys.forget", move |tx| {
                    let rows = signing_keys::list(tx)?;
                    let times: Vec<KeyTimes> = rows.iter().map(|row| row.times).collect();
                    for row in &rows {
                        let state = signing::state(&row.times, &times, now);
                        if is_old(row, state, now) {
                            signing_keys::remove(tx, row.times.number)?;
                        } else if row.sealed.is_some() && !state.needs_private() {
                            signing_keys::forget_private(tx, row.times.number)?;
                        }
                    }
                    Ok(())
                })
                .await?;
            self.signing().forget();
        }
        if let Some(next) = signing::due(&times, &self.settings().tokens.rotation, now) {
            self.make_key(next, now).await?;
        }
        Ok(())
    }

    async fn make_key(&self, next: NextKey, now: Timestamp) -> Result<bool, Problem> {
        let row = self.new_key(next, now)?;
        let kid = row.kid.clone();
        let made = self.db().write("signing_keys.put", move |tx| signing_keys::put(tx, &row)).await?;
        self.signing().forget();
        if made {
            tracing::info!(kid, signs_from = %next.signs_from, "a signing key was made");
        }
        Ok(made)
    }

    fn new_key(&self, next: NextKey, now: Timestamp) -> Result<SigningKeyRow, Problem> {
        let vault = self.vault()?;
        let seed = [self.world().random(), self.world().random()].concat();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| broken())?;
        let public_key = hex::encode(pair.public_key().as_ref());
        let mut kid = short_hex(&["signing key", &public_key]);
        kid.truncate(16);
        let text = SecretString::from(hex::encode(&seed));
        let sealed = vault.seal(&purpose(&kid), &text, self.world().random()).map_err(|_| broken())?;
        Ok(SigningKeyRow {
            times: KeyTimes { number: next.number, signs_from: next.signs_from, withdrawn_at: None },
            kid,
            public_key,
            sealed: Some(sealed),
            created_at: now,
        })
    }

    /// Makes the next key now, however young the last one is; it signs once it was published long enough. `None` when one
    /// waits already. With `withdraw` nothing that any earlier key signed is believed from now on, and the new one signs at
    /// once: for a private part that somebody else may have.
    ///
    /// # Errors
    /// `not_configured` without a root key.
    #[crate::boxed]
    pub async fn rotate_signing_keys(&self, withdraw: bool) -> Result<Option<SigningKeyView>, Problem> {
        self.vault()?;
        let (rows, now) = (self.db().read("signing_keys.list", signing_keys::list).await?, self.now());
        let times: Vec<KeyTimes> = rows.iter().map(|row| row.times).collect();
        let next = if withdraw {
            Some(signing::replace(&times, now))
        } else {
            signing::rotate(&times, &self.settings().tokens.rotation, now)
        };
        let Some(next) = next else { return Ok(None) };
        let row = self.new_key(next, now)?;
        let kid = row.kid.clone();
        let made = self
            .db()
            .write("signing_keys.rotate", move |tx| {
                if withdraw {
                    signing_keys::withdraw_all(tx, now)?;
                }
                let made = signing_keys::put(tx, &row)?;
                if made {
                    history::insert(tx, &rotated(&row, withdraw, now))?;
                }
                Ok(made)
            })
            .await?;
        self.signing().forget();
        let keys = self.signing_keys().await?;
        Ok(keys.into_iter().find(|key| made && key.kid == kid))
    }
}

/// Whether a key can be removed: nobody believes it, and operators have had a while to see it in the list.
fn is_old(row: &SigningKeyRow, state: KeyState, now: Timestamp) -> bool {
    let since = row.times.withdrawn_at.unwrap_or(row.times.signs_from);
    state == KeyState::Gone && now.since(since) > signing::LONGEST_TOKEN_MS
}

fn open(vault: &Vault, row: &SigningKeyRow) -> Option<Ed25519KeyPair> {
    let seed = match vault.open(&purpose(&row.kid), row.sealed.as_ref()?) {
        Ok(seed) => hex::decode(seed.expose_secret()).ok()?,
        Err(VaultError::OtherRootKey) => return None,
        Err(error) => {
            tracing::error!(kid = row.kid, %error, "a signing key cannot be opened");
            return None;
        }
    };
    let public = hex::decode(&row.public_key).ok()?;
    Ed25519KeyPair::from_seed_and_public_key(&seed, &public).ok()
}

fn rotated(row: &SigningKeyRow, withdraw: bool, now: Timestamp) -> NewLine {
    NewLine {
        customer: None::<CustomerId>,
        aggregate: None,
        at: now,
        kind: "signing_key.rotated".to_owned(),
        object: row.kid.clone(),
        data: json!({ "signs_from": row.times.signs_from.to_string(), "withdrew_the_others": withdraw })
            .to_string(),
        cause: json!({ "operator": true }).to_string(),
    }
}
