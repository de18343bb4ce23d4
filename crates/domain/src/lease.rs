//! The decisions of the sync protocol: who may claim an aggregate, who may write, when to try again,
//! when to park; and what each step leaves behind (engine.md section 3).
//!
//! The model checker runs these transitions. The store runs the same ones as SQL, because only the database
//! can run them atomically; its tests hold both side by side.

use serde::{Deserialize, Serialize};

use crate::ids::LeaseToken;
use crate::time::Timestamp;

/// How urgent a hint is; a more urgent one moves an aggregate forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Sweeps and timers.
    #[default]
    Sweep,
    /// Webhooks.
    Event,
    /// Somebody is waiting: a redirect, an API call, an operator.
    Waiting,
}

/// A hint, as far as the protocol decides on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintTerms {
    /// How urgent it is.
    pub priority: Priority,
    /// Not to be synced before.
    pub due: Timestamp,
    /// Whether a parked aggregate is tried again: a person pressed a button.
    pub unpark: bool,
    /// Whether to look also at what seldom changes.
    pub thorough: bool,
}

/// What a claim takes along.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimTerms {
    /// The fencing token.
    pub token: LeaseToken,
    /// The hints that this sync will have answered.
    pub target: i64,
    /// The hints that were answered before.
    pub done: i64,
    /// Failed tries so far.
    pub attempts: u32,
    /// Whether to look also at what seldom changes.
    pub thorough: bool,
    /// How urgent its hints were; a failed try gives it back.
    pub priority: Priority,
}

/// The part of an aggregate's row that the protocol decides on. The default is one that was never marked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// That of the most urgent unanswered hint.
    pub priority: Priority,
    /// Whether an unanswered hint wants a thorough look.
    pub thorough: bool,
    /// When to look again even if nothing is heard.
    pub look_at: Option<Timestamp>,
    /// When it was synced last.
    pub synced_at: Option<Timestamp>,
}

/// The right to sync an aggregate until a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The fencing token: fresh with every claim.
    pub token: LeaseToken,
    /// When others may take over.
    pub until: Timestamp,
}

impl Default for AggregateState {
    fn default() -> Self {
        Self {
            wanted: 0,
            done: 0,
            lease: None,
            attempts: 0,
            next_attempt_at: Timestamp::from_ms(0),
            parked_at: None,
            priority: Priority::Sweep,
            thorough: false,
            look_at: None,
            synced_at: None,
        }
    }
}

/// How long somebody who waits for a failing aggregate waits for its next try at most, in milliseconds.
pub const WAITED_FOR_MS: i64 = 5_000;

impl AggregateState {
    /// Whether a hint is still unanswered.
    #[must_use]
    pub fn dirty(&self) -> bool {
        self.done < self.wanted
    }

    /// Whether a worker may claim it now. One that was synced after `rested` is claimed only for somebody who
    /// waits, so that the rest of a burst is one look. One that was synced after now was so by a clock that has been set
    /// back since, and does not rest until that time comes again.
    #[must_use]
    pub fn claimable(&self, now: Timestamp, rested: Timestamp) -> bool {
        let rests =
            self.synced_at.is_some_and(|at| at > rested && at <= now) && self.priority < Priority::Waiting;
        self.dirty()
            && !rests
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

    /// Writes a hint down and returns its mark. A hint moves a failing aggregate's next try forward only when a
    /// person asks, since the provider may have asked to wait; when one waits, to [`WAITED_FOR_MS`] from now.
    pub fn mark(&mut self, hint: &HintTerms) -> i64 {
        let soon = hint.due.plus_ms(WAITED_FOR_MS);
        if !self.dirty() || hint.unpark || self.attempts == 0 && hint.due < self.next_attempt_at {
            self.next_attempt_at = hint.due;
        } else if self.attempts > 0 && hint.priority == Priority::Waiting && soon < self.next_attempt_at {
            self.next_attempt_at = soon;
        }
        if hint.unpark {
            self.unpark_row();
        }
        self.wanted += 1;
        self.priority = self.priority.max(hint.priority);
        self.thorough |= hint.thorough;
        self.wanted
    }

    /// Frees a parked aggregate without a new hint: its event was sent again. `false` when it is not parked.
    pub fn unpark(&mut self, due: Timestamp) -> bool {
        let parked = self.parked_at.is_some();
        if parked {
            self.unpark_row();
            self.next_attempt_at = due;
        }
        parked
    }

    fn unpark_row(&mut self) {
        self.parked_at = None;
        self.attempts = 0;
    }

    /// Turns a timer that is due into a hint; `false` when none is.
    pub fn wake(&mut self, now: Timestamp) -> bool {
        let due = self.look_at.is_some_and(|at| at <= now);
        if due {
            if !self.dirty() {
                self.next_attempt_at = now;
            }
            self.wanted += 1;
            self.look_at = None;
        }
        due
    }

    /// Claims it with a fresh token; `None` when it is not [`AggregateState::claimable`]. The urgency goes with the
    /// claim: what is urgent afterwards arrived since.
    pub fn claim(&mut self, lease: Lease, now: Timestamp, rested: Timestamp) -> Option<ClaimTerms> {
        if !self.claimable(now, rested) {
            return None;
        }
        let token = lease.token.clone();
        self.lease = Some(lease);
        Some(ClaimTerms {
            token,
            target: self.wanted,
            done: self.done,
            attempts: self.attempts,
            thorough: self.thorough,
            priority: std::mem::take(&mut self.priority),
        })
    }

    /// Records a completed sync, if the fence allows it; `false`: nothing may be written. What came after the
    /// claim stays unanswered, with its urgency.
    pub fn complete(&mut self, claim: &ClaimTerms, now: Timestamp, look_at: Option<Timestamp>) -> bool {
        if !self.fence_allows(&claim.token) {
            return false;
        }
        self.done = claim.target;
        self.lease = None;
        self.attempts = 0;
        self.next_attempt_at = now;
        self.look_at = look_at;
        self.synced_at = Some(now);
        self.thorough &= self.dirty();
        true
    }

    /// Gives a failed claim back with its urgency, to be tried again at `next`; `false` when the fence is closed.
    pub fn retry(&mut self, claim: &ClaimTerms, attempts: u32, next: Timestamp) -> bool {
        let held = self.give_back(claim, attempts);
        if held {
            self.next_attempt_at = next;
        }
        held
    }

    /// Parks a failed claim, with its urgency; `false` when the fence is closed.
    pub fn park(&mut self, claim: &ClaimTerms, attempts: u32, now: Timestamp) -> bool {
        let held = self.give_back(claim, attempts);
        if held {
            self.parked_at = Some(now);
        }
        held
    }

    fn give_back(&mut self, claim: &ClaimTerms, attempts: u32) -> bool {
        let held = self.fence_allows(&claim.token);
        if held {
            self.priority = self.priority.max(claim.priority);
            self.lease = None;
            self.attempts = attempts;
        }
        held
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

/// Whether waiting can mend what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An outage, a limit, a lost answer: it passes, however long it lasts.
    Passing,
    /// A refused key, an unreadable answer: somebody must do something.
    Lasting,
}

/// What follows a failed sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Try again at this time.
    RetryAt(Timestamp),
    /// The budget is used up: tell the operators, and try again at this time all the same, because an outage that outlasts
    /// the budget passes too, and nobody should have to be awake then.
    TellAndRetryAt(Timestamp),
    /// Stop trying and tell the operators.
    Park,
}

/// Exponential backoff with full jitter, never before the provider's own Retry-After.
///
/// `attempts` counts this failure. `chance` is a random number that the caller drew.
/// Lasting trouble is parked at the third try already: it does not heal by waiting, but a deployment in progress deserves a
/// second look. Passing trouble is never parked.
#[must_use]
pub fn after_failure(
    policy: &RetryPolicy,
    attempts: u32,
    trouble: Trouble,
    retry_after_ms: Option<i64>,
    chance: u64,
    now: Timestamp,
) -> AfterFailure {
    let used_up = match trouble {
        Trouble::Passing => attempts >= policy.max_attempts,
        Trouble::Lasting if attempts >= policy.max_attempts.min(3) => return AfterFailure::Park,
        Trouble::Lasting => false,
    };
    let doublings = attempts.saturating_sub(1).min(30);
    let ceiling = policy.base_ms.saturating_mul(1_i64 << doublings).clamp(1, policy.cap_ms.max(1));
    let jittered = i64::try_from(chance % ceiling.unsigned_abs()).unwrap_or(0) + 1;
    let next = now.plus_ms(jittered.max(retry_after_ms.unwrap_or(0)));
    if used_up { AfterFailure::TellAndRetryAt(next) } else { AfterFailure::RetryAt(next) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn state() -> AggregateState {
        AggregateState { wanted: 1, ..AggregateState::default() }
    }

    #[test]
    fn claims_need_work_and_no_live_lease() {
        let token = LeaseToken::from_random([1; 16]);
        assert!(state().claimable(at(0), at(0)));
        assert!(!AggregateState { done: 1, ..state() }.claimable(at(0), at(0)));
        assert!(!AggregateState { parked_at: Some(at(0)), ..state() }.claimable(at(9), at(0)));
        assert!(!AggregateState { next_attempt_at: at(5), ..state() }.claimable(at(4), at(0)));
        let leased = AggregateState { lease: Some(Lease { token, until: at(10) }), ..state() };
        assert!(!leased.claimable(at(9), at(0)));
        assert!(leased.claimable(at(10), at(0)));
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

    #[test]
    fn what_came_during_a_sync_keeps_its_urgency() {
        let (mut row, token) = (state(), LeaseToken::from_random([1; 16]));
        let held = row.claim(Lease { token, until: at(10) }, at(0), at(0)).expect("claimable");
        let waiting = HintTerms { priority: Priority::Waiting, due: at(1), unpark: false, thorough: true };
        let mark = row.mark(&waiting);
        assert!(row.complete(&held, at(2), Some(at(99))));
        assert!(row.dirty() && !row.processed(mark));
        assert_eq!((row.priority, row.thorough, row.next_attempt_at), (Priority::Waiting, true, at(2)));
        let again = row.claim(Lease { token: held.token, until: at(20) }, at(2), at(2)).expect("claimable");
        assert!(row.complete(&again, at(3), None));
        assert_eq!((row.dirty(), row.priority, row.thorough), (false, Priority::Sweep, false));
    }

    #[test]
    fn somebody_who_waits_shortens_a_long_backoff_and_nobody_else_does() {
        let waits = |priority, due| HintTerms { priority, due, unpark: false, thorough: false };
        let failing = || AggregateState { attempts: 9, next_attempt_at: at(900_000), ..state() };
        let next = |hint| {
            let mut row = failing();
            row.mark(&hint);
            row.next_attempt_at
        };
        assert_eq!(next(waits(Priority::Waiting, at(1))), at(1 + WAITED_FOR_MS));
        assert_eq!(next(waits(Priority::Waiting, at(899_000))), at(900_000), "never later");
        assert_eq!(next(waits(Priority::Event, at(1))), at(900_000), "the provider may have asked to wait");
        assert_eq!(next(waits(Priority::Sweep, at(1))), at(900_000));
    }

    proptest! {
        #[test]
        fn backoff_is_bounded_and_honours_retry_after(attempts in 1_u32..400, chance: u64, wait in proptest::option::of(0_i64..100_000)) {
            let policy = RetryPolicy::default();
            let after = after_failure(&policy, attempts, Trouble::Passing, wait, chance, at(1_000));
            prop_assert_eq!(attempts >= policy.max_attempts, matches!(after, AfterFailure::TellAndRetryAt(_)));
            match after {
                AfterFailure::RetryAt(next) | AfterFailure::TellAndRetryAt(next) => {
                    prop_assert!(next > at(1_000));
                    prop_assert!(next.since(at(1_000)) <= policy.cap_ms.max(wait.unwrap_or(0)));
                    prop_assert!(next.since(at(1_000)) >= wait.unwrap_or(0));
                }
                AfterFailure::Park => prop_assert!(false, "an outage passes"),
            }
        }
    }

    #[test]
    fn what_waiting_does_not_mend_is_parked() {
        let policy = RetryPolicy::default();
        let after = |attempts, trouble| after_failure(&policy, attempts, trouble, None, 0, at(0));
        assert!(matches!(after(2, Trouble::Lasting), AfterFailure::RetryAt(_)));
        assert_eq!(after(3, Trouble::Lasting), AfterFailure::Park);
        assert!(matches!(after(19, Trouble::Passing), AfterFailure::RetryAt(_)));
        assert!(matches!(after(20, Trouble::Passing), AfterFailure::TellAndRetryAt(_)));
    }
}
