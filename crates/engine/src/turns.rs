//! Waiting for one's turn at the provider: the one place where a call that our own limiter or breaker held back is sent again.
//!
//! What was held back was never tried, so that waiting is all it takes. A look that gave up instead would begin anew with its first
//! call, and one of more calls than the limiter lets go at once would never end.
//!
//! It refuses to know what a call does, and tries nothing again that the provider has answered.

use std::pin::pin;

use futures_util::future::{Either, select};
use quittance_store::aggregates::{self, Claim};
use quittance_stripe::calls::Call;
use quittance_stripe::client::Priority;
use quittance_stripe::error::{ErrorKind, StripeError};

use crate::engine::Engine;
use crate::sync::SyncError;

/// The pause where the limiter names none, and the shortest and the longest one, in milliseconds.
const PAUSE_MS: (u64, u64, u64) = (100, 5, 5_000);
/// How long a caller waits for the turn of one call, in milliseconds: a burst of checkouts is let through a little later, a flood
/// is told to come again.
const PATIENCE_MS: u64 = 10_000;

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody who asked, or a command. Waits for the limiter, but not for ever.
    Ask,
    /// A sync's look at the provider, under way. It waits for the limiter, and comes back when the provider is out of reach or
    /// wants a long rest: its worker has others to look at, and its aggregate is tried again by its schedule.
    Look,
    /// A sweep, an import, a tie-out: behind the limiter's reserve, so that live traffic goes first, and as long as it takes.
    Sweep,
}

impl Turn {
    const fn priority(self) -> Priority {
        match self {
            Self::Ask | Self::Look => Priority::Live,
            Self::Sweep => Priority::Sweep,
        }
    }

    /// How long to wait before the call is sent again, after `waited` milliseconds; `None` when it is not.
    fn pause_ms(self, error: &StripeError, waited: u64) -> Option<u64> {
        let told = error.retry_after_ms().unwrap_or(PAUSE_MS.0);
        let waits = match self {
            Self::Ask => *error.kind() == ErrorKind::Throttled && waited.saturating_add(told) <= PATIENCE_MS,
            Self::Sweep => error.is_held_back(),
            Self::Look => *error.kind() == ErrorKind::Throttled && told <= PAUSE_MS.2,
        };
        waits.then(|| told.clamp(PAUSE_MS.1, PAUSE_MS.2))
    }
}

impl Engine {
    /// Sends a call when its turn comes.
    ///
    /// # Errors
    /// What the provider says; that it was held back only where `turn` does not wait for that.
    pub(crate) async fn in_turn<T>(&self, call: Call<T>, turn: Turn) -> Result<T, StripeError> {
        let mut waited = 0;
        loop {
            match self.stripe().send(call.clone(), turn.priority()).await {
                Err(error) => match turn.pause_ms(&error, waited) {
                    Some(pause) => {
                        self.world().sleep(pause).await;
                        waited = waited.saturating_add(pause);
                    }
                    None => return Err(error),
                },
                answered => return answered,
            }
        }
    }

    /// Sends a call for somebody who asked, or of a command, when its turn comes.
    ///
    /// # Errors
    /// As [`Engine::in_turn`].
    pub(crate) async fn ask<T>(&self, call: Call<T>) -> Result<T, StripeError> {
        self.in_turn(call, Turn::Ask).await
    }

    /// Sends a call of a look when its turn comes.
    ///
    /// # Errors
    /// As [`Engine::in_turn`].
    pub(crate) async fn look<T>(&self, call: Call<T>) -> Result<T, StripeError> {
        self.in_turn(call, Turn::Look).await
    }

    /// Holds a claim while a look takes its time: `None` when another worker has claimed the aggregate since, so that nothing of
    /// what was seen may be written.
    ///
    /// # Errors
    /// Those of the look, and of the database.
    pub(crate) async fn holding<T>(
        &self,
        claim: &Claim,
        look: impl Future<Output = Result<T, SyncError>>,
    ) -> Result<Option<T>, SyncError> {
        let lease_ms = self.settings().retry.lease_ms;
        let third = u64::try_from(lease_ms / 3).unwrap_or(0).max(1);
        let mut look = pin!(look);
        loop {
            match select(look, pin!(self.world().limit(third))).await {
                Either::Left((seen, _)) => return seen.map(Some),
                Either::Right(((), still)) => look = still,
            }
            let (claim, until) = (claim.clone(), self.now().plus_ms(lease_ms));
            if !self.db().write("sync.hold", move |tx| aggregates::hold(tx, &claim, until)).await? {
                return Ok(None);
            }
        }
    }
}
