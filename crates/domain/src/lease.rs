//! The decisions of the sync protocol: who may claim an aggregate, who may write, when to try again,
//! when to park. Engine, simulator and model checker call these same functions (engine.md section 3).

use serde::{Deserialize, Serialize};

use crate::ids::LeaseToken;
use crate::time::Timestamp;

/// The part of an aggregate's row that the protocol decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateState {
    /// Counts the hints: each mark adds one.
    pub wanted: i64,
    /// The value of `wanted` up to which the mirror is known to be true.
    pub done: i64,
    /// The lease that somebody holds or held last.
    pub lease: Option<Lease>,
    /// Failed tries since the last success.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_attempt_at: Timestamp,
    /// Set when the budget of tries is spent; only an operator or a resent event clears it.
    pub parked_at: Option<Timestamp>,
}

/// The right to sync an aggregate until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token: fresh with every claim.
    pub token: LeaseToken,
    /// When others may take over.
    pub until: Timestamp,
}

impl AggregateState {
    /// Whether a hint is still unanswered.
    #[must_use]
    pub fn dirty(&self) -> bool {
        self.done < self.wanted
    }

    /// Whether a worker may claim it now.
    #[must_use]
    pub fn claimable(&self, now: Timestamp) -> bool {
        self.dirty()
            && self.parked_at.is_none()
            && self.next_attempt_at <= now
            && self.lease.as_ref().is_none_or(|lease| lease.until <= now)
    }

    /// Whether the holder of `token` may still write. Expiry alone does not forbid it: as long as
    /// nobody else claimed, nothing fresher can have been written.
    #[must_use]
    pub fn fence_allows(&self, token: &LeaseToken) -> bool {
        self.lease.as_ref().is_some_and(|lease| &lease.token == token)
    }

    /// Whether an event that left `mark` behind has been answered by a completed sync.
    #[must_use]
    pub fn processed(&self, mark: i64) -> bool {
        self.done >= mark
    }
}

/// How failures are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// First backoff, in milliseconds.
    pub base_ms: i64,
    /// Longest backoff, in milliseconds.
    pub cap_ms: i64,
    /// Tries before an aggregate is parked.
    pub max_attempts: u32,
    /// How long a claim lasts, in milliseconds.
    pub lease_ms: i64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { base_ms: 500, cap_ms: 15 * crate::time::MINUTE_MS, max_attempts: 20, lease_ms: 60_000 }
    }
}

/// What follows a failed sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Try again at this time.
    RetryAt(Timestamp),
    /// Stop trying and tell the operators.
    Park,
}

/// Exponential backoff with full jitter, never before the provider's own Retry-After.
///
/// `attempts` counts this failure. `chance` is a random number that the caller drew.
/// `permanent` failures (a refused key, an unreadable answer) are parked at the third try already:
/// they do not heal by waiting, but a deployment in progress deserves a second look.
#[must_use]
pub fn after_failure(
    policy: &RetryPolicy,
    attempts: u32,
    permanent: bool,
    retry_after_ms: Option<i64>,
    chance: u64,
    now: Timestamp,
) -> AfterFailure {
    let budget = if permanent { policy.max_attempts.min(3) } else { policy.max_attempts };
    if attempts >= budget {
        return AfterFailure::Park;
    }
    let doublings = attempts.saturating_sub(1).min(30);
    let ceiling = policy.base_ms.saturating_mul(1_i64 << doublings).clamp(1, policy.cap_ms.max(1));
    let jittered = i64::try_from(chance % ceiling.unsigned_abs()).unwrap_or(0) + 1;
    AfterFailure::RetryAt(now.plus_ms(jittered.max(retry_after_ms.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn state() -> AggregateState {
        AggregateState {
            wanted: 1,
            done: 0,
            lease: None,
            attempts: 0,
            next_attempt_at: at(0),
            parked_at: None,
        }
    }

    #[test]
    fn claims_need_work_and_no_live_lease() {
        let token = LeaseToken::from_random([1; 16]);
        assert!(state().claimable(at(0)));
        assert!(!AggregateState { done: 1, ..state() }.claimable(at(0)));
        assert!(!AggregateState { parked_at: Some(at(0)), ..state() }.claimable(at(9)));
        assert!(!AggregateState { next_attempt_at: at(5), ..state() }.claimable(at(4)));
        let leased = AggregateState { lease: Some(Lease { token, until: at(10) }), ..state() };
        assert!(!leased.claimable(at(9)));
        assert!(leased.claimable(at(10)));
    }

    #[test]
    fn only_the_last_claim_may_write() {
        let (first, second) = (LeaseToken::from_random([1; 16]), LeaseToken::from_random([2; 16]));
        let taken_over =
            AggregateState { lease: Some(Lease { token: second.clone(), until: at(10) }), ..state() };
        assert!(!taken_over.fence_allows(&first));
        assert!(taken_over.fence_allows(&second));
        assert!(!state().fence_allows(&first));
    }

    proptest! {
        #[test]
        fn backoff_is_bounded_and_honours_retry_after(attempts in 1_u32..19, chance: u64, wait in proptest::option::of(0_i64..100_000)) {
            let policy = RetryPolicy::default();
            match after_failure(&policy, attempts, false, wait, chance, at(1_000)) {
                AfterFailure::RetryAt(next) => {
                    prop_assert!(next > at(1_000));
                    prop_assert!(next.since(at(1_000)) <= policy.cap_ms.max(wait.unwrap_or(0)));
                    prop_assert!(next.since(at(1_000)) >= wait.unwrap_or(0));
                }
                AfterFailure::Park => prop_assert!(false, "parked too early"),
            }
        }
    }

    #[test]
    fn the_budget_ends_in_parking() {
        let policy = RetryPolicy::default();
        assert_eq!(after_failure(&policy, 20, false, None, 0, at(0)), AfterFailure::Park);
        assert_eq!(after_failure(&policy, 3, true, None, 0, at(0)), AfterFailure::Park);
        assert!(matches!(after_failure(&policy, 2, true, None, 0, at(0)), AfterFailure::RetryAt(_)));
    }
}
