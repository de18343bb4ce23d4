//! Sync: the one writer (engine.md section 3).
//!
//! Claim (lease and token) → read what is stored → fetch the truth → project → commit once behind the
//! fence → perform what follows. Every path into the engine ends here.

pub mod apply;
mod balance;
mod books;
mod cards;
mod dunning;
mod fetch;
mod invoices;
mod payment;
mod prices;
pub(crate) mod translate;

use quittance_domain::ids::LeaseToken;
use quittance_domain::lease::{AfterFailure, Trouble, after_failure};
use quittance_domain::time::MINUTE_MS;
use quittance_domain::{AggregateKey, AggregateObject, Timestamp};
use quittance_store::aggregates::{self, Claim};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::{StoreError, Tx};
use quittance_stripe::error::StripeError;

pub(crate) use books::{is_booked, movement};
pub(crate) use fetch::names_missing;
pub use prices::PriceBook;
pub(crate) use prices::known_price;
pub use translate::digest_of;

use crate::engine::Engine;
use crate::problem::Problem;
use crate::telemetry;
use crate::world::Point;

/// Why a sync failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The provider did not give what was needed.
    #[error("{0}")]
    Provider(#[from] StripeError),
    /// The database refused.
    #[error("{0}")]
    Store(#[from] quittance_store::StoreError),
    /// The key of the provider belongs to another account than the one mirrored here.
    #[error("{0}")]
    WrongAccount(String),
}

impl SyncError {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Provider(error) if error.is_transient() => Trouble::Passing,
            Self::Store(_) => Trouble::Passing,
            Self::Provider(_) | Self::WrongAccount(_) => Trouble::Lasting,
        }
    }

    fn retry_after_ms(&self) -> Option<i64> {
        match self {
            Self::Provider(error) => error.retry_after_ms().and_then(|ms| i64::try_from(ms).ok()),
            Self::Store(_) | Self::WrongAccount(_) => None,
        }
    }

    /// Whether the failure was our own holding back: no try was made, so none is counted.
    fn is_held_back(&self) -> bool {
        matches!(self, Self::Provider(error) if error.is_held_back())
    }
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncEnd {
    /// The mirror is what the provider said.
    Done,
    /// It will be tried again.
    Retried,
    /// It waits for an operator.
    Parked,
    /// Another worker had claimed the aggregate meanwhile; nothing was written.
    Fenced,
}

impl SyncEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Parked => "parked",
            Self::Fenced => "fenced",
        }
    }
}

impl Engine {
    /// Claims what is due, up to `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn claim(&self, limit: i64) -> Result<Vec<Claim>, Problem> {
        let (token, now) = (LeaseToken::from_random(self.world().random()), self.now());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let rested = now.plus_ms(-self.settings().spacing_ms);
        let claims = self
            .db()
            .write("sync.claim", move |tx| {
                aggregates::wake_due(tx, now, limit)?;
                aggregates::claim(tx, &token, now, until, rested, limit)
            })
            .await?;
        Ok(claims)
    }

    /// Syncs a claimed aggregate and records how it ended.
    ///
    /// # Errors
    /// When the end could not be recorded; the lease then runs out and another worker takes over.
    #[crate::boxed]
    pub async fn sync(&self, claim: Claim) -> Result<SyncEnd, Problem> {
        self.world().point(Point::SyncClaimed).await;
        let result = self.sync_object(&claim).await;
        let end = match result {
            Ok(end) => end,
            Err(error) => self.record_failure(&claim, &error).await?,
        };
        telemetry::sync(end.as_str());
        if end == SyncEnd::Done {
            if let Some(since) = claim.dirty_since {
                telemetry::sync_lag(self.now().since(since));
            }
            self.synced().notify_waiters();
        }
        Ok(end)
    }

    #[crate::boxed]
    async fn sync_object(&self, claim: &Claim) -> Result<SyncEnd, SyncError> {
        match AggregateKey::parse(&claim.key) {
            Some(AggregateKey { scope, object }) if scope == *self.scope() => match object {
                AggregateObject::Customer(id) => self.sync_customer(claim, &id).await,
                AggregateObject::Payment(id) => self.sync_payment(claim, &id).await,
                AggregateObject::Checkout(id) => self.sync_checkout(claim, &id).await,
                AggregateObject::Balance => self.sync_balance(claim).await,
                AggregateObject::Other(_) => self.sync_nothing(claim).await,
            },
            // Another account's or mode's object: kept in the inbox, not ours to fetch with this key.
            Some(_) | None => self.sync_nothing(claim).await,
        }
    }

    async fn sync_customer(&self, claim: &Claim, provider_customer: &str) -> Result<SyncEnd, SyncError> {
        self.check_account().await?;
        let context = self.load_context(claim, provider_customer).await?;
        let look = self.fetch(provider_customer, &context, claim.thorough);
        let Some(fetched) = self.holding(claim, look).await? else { return Ok(SyncEnd::Fenced) };
        self.world().point(Point::SyncFetched).await;
        self.apply(claim, provider_customer, context, fetched).await
    }

    async fn record_failure(&self, claim: &Claim, error: &SyncError) -> Result<SyncEnd, Problem> {
        let now = self.now();
        let attempts = claim.attempts + i64::from(!error.is_held_back());
        let decision = after_failure(
            &self.settings().retry,
            u32::try_from(attempts.max(1)).unwrap_or(u32::MAX),
            error.trouble(),
            error.retry_after_ms(),
            self.world().chance(),
            now,
        );
        let (claim, text, customer) = (claim.clone(), error.to_string(), claim.key.clone());
        let slowest_ms = self.settings().retry.cap_ms;
        tracing::warn!(aggregate = customer, attempts, error = text, "sync failed");
        let end = self
            .db()
            .write("sync.record_failure", move |tx| {
                let (held, end, alert) = match decision {
                    AfterFailure::RetryAt(next) => {
                        (aggregates::retry(tx, &claim, attempts, next, &text)?, SyncEnd::Retried, None)
                    }
                    AfterFailure::TellAndRetryAt(next) => {
                        let alert = failing_alert(&claim, attempts, &text, slowest_ms);
                        (aggregates::retry(tx, &claim, attempts, next, &text)?, SyncEnd::Retried, Some(alert))
                    }
                    AfterFailure::Park => {
                        let alert = parked_alert(&claim, &text);
                        (aggregates::park(tx, &claim, attempts, now, &text)?, SyncEnd::Parked, Some(alert))
                    }
                };
                if !held {
                    return Ok((SyncEnd::Fenced, None));
                }
                let new = match alert {
                    Some(alert) => outbox::raise(tx, &alert, now)?.then_some(alert.kind),
                    None => None,
                };
                Ok((end, new))
            })
            .await?;
        let (end, raised) = end;
        self.world().point(Point::SyncFailed).await;
        if let Some(kind) = raised {
            telemetry::alert(&kind);
        }
        Ok(end)
    }
}

/// A look at the provider that failed, for a caller who waits for it.
pub(crate) fn as_problem(error: SyncError) -> Problem {
    match error {
        SyncError::Provider(error) => error.into(),
        SyncError::Store(error) => error.into(),
        SyncError::WrongAccount(what) => Problem::new(
            crate::problem::ProblemCode::NotConfigured,
            what,
            "Configure the key of the account that is mirrored here.",
        ),
    }
}

/// Ends a sync that answered its marks, and the alert that it had failed for long; `false` when the fence was closed.
fn complete(tx: &mut dyn Tx, claim: &Claim, now: Timestamp) -> Result<bool, StoreError> {
    let held = aggregates::complete(tx, claim, now)?;
    if held && claim.attempts > 0 {
        outbox::resolve(tx, FAILING_ALERT, &claim.key, now)?;
    }
    Ok(held)
}

/// The kind of alert that an aggregate raises which fails for longer than its budget, and is tried on.
pub(crate) const FAILING_ALERT: &str = "sync_failing";

fn failing_alert(claim: &Claim, attempts: i64, error: &str, slowest_ms: i64) -> NewAlert {
    let minutes = (slowest_ms / MINUTE_MS).max(1);
    NewAlert {
        kind: FAILING_ALERT.to_owned(),
        object: claim.key.clone(),
        customer: None,
        aggregate: Some(claim.key.clone()),
        detail: format!(
            "not synced after {attempts} tries, and tried on every {minutes} minutes or sooner: {error}"
        ),
        mend: format!(
            "It goes on by itself as soon as the provider answers; quittance doctor tells whether it does. To try at once: quittance parked retry '{}'",
            claim.key
        ),
    }
}

/// The kind of alert that a parked aggregate raises.
pub(crate) const PARKED_ALERT: &str = "parked";

fn parked_alert(claim: &Claim, error: &str) -> NewAlert {
    NewAlert {
        kind: PARKED_ALERT.to_owned(),
        object: claim.key.clone(),
        customer: None,
        aggregate: Some(claim.key.clone()),
        detail: format!("not synced after {} tries: {error}", claim.attempts + 1),
        mend: format!("quittance parked retry '{}'", claim.key),
    }
}
