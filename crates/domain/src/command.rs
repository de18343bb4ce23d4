//! The decisions about commands: which key a sending carries, what follows a failed one, in which order
//! commands on one object go, and what each step leaves behind (engine.md section 4).
//!
//! The store runs the same transitions as SQL; its tests hold both side by side.
//!
//! Refuses to know what is asked of a provider, and how it answers.

pub mod wanted;

use crate::ids::LeaseToken;
use crate::lease::{AfterFailure, Lease, RetryPolicy, Trouble, after_failure};
use crate::time::{HOUR_MS, MINUTE_MS, Timestamp};

/// The provider may forget a key after 24 hours; an hour is left for clocks.
pub const KEY_LIFE_MS: i64 = 23 * HOUR_MS;
/// How long after it was decided a sending may still arrive: a slow call, a lease, clocks that differ.
pub const STRAGGLER_MS: i64 = 10 * MINUTE_MS;

/// How a command is sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// With its own key: whatever an earlier sending did is answered again.
    SameKey,
    /// The key may be forgotten: look for what the earlier sendings did, and only when there is nothing send
    /// with the key of this turn.
    LookUp {
        /// Counts the lives of keys.
        turn: i64,
    },
    /// Not now. A sending with the old key may still be under way, and a look-up would miss it.
    Wait {
        /// When the next key's life begins.
        until: Timestamp,
    },
}

/// Decides how to send. `first_sent_at` is when the command was first claimed, on any node.
#[must_use]
pub fn sending(first_sent_at: Option<Timestamp>, now: Timestamp) -> Sending {
    let first = first_sent_at.unwrap_or(now);
    let age = now.since(first).max(0);
    let turn = age / KEY_LIFE_MS;
    let next_life = first.plus_ms((turn + 1).saturating_mul(KEY_LIFE_MS));
    if next_life.since(now) <= STRAGGLER_MS {
        Sending::Wait { until: next_life }
    } else if turn == 0 {
        Sending::SameKey
    } else {
        Sending::LookUp { turn }
    }
}

/// The key of a later turn.
#[must_use]
pub fn later_key(key: &str, turn: i64) -> String {
    format!("{key}-{turn}")
}

/// What a failed sending says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The provider refused for good.
    Refused,
    /// It did not happen, or nobody knows whether it did.
    Again,
    /// Waiting does not mend it.
    Stuck,
}

/// What follows a failed sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterTrouble {
    /// It is over.
    Fail,
    /// Try again at this time.
    RetryAt(Timestamp),
    /// Tell the operators that the budget is used up, and try again at this time all the same.
    TellAndRetryAt(Timestamp),
    /// An operator must look.
    Park,
}

/// Who wants a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// A caller, who does not expect that it comes about hours after they gave up.
    Asked,
    /// Nobody but we ourselves, who mend what was observed: it is wanted until it is done.
    Mending,
}

/// Decides what follows; the arguments are those of [`after_failure`]. An unknown outcome never ends a command.
#[must_use]
pub fn after_trouble(
    verdict: Verdict,
    wish: Wish,
    policy: &RetryPolicy,
    attempts: u32,
    retry_after_ms: Option<i64>,
    chance: u64,
    now: Timestamp,
) -> AfterTrouble {
    let after = after_failure(policy, attempts, Trouble::Passing, retry_after_ms, chance, now);
    match (verdict, after, wish) {
        (Verdict::Refused, _, _) => AfterTrouble::Fail,
        (Verdict::Stuck, _, _)
        | (Verdict::Again, AfterFailure::Park, _)
        | (Verdict::Again, AfterFailure::TellAndRetryAt(_), Wish::Asked) => AfterTrouble::Park,
        (Verdict::Again, AfterFailure::RetryAt(next), _) => AfterTrouble::RetryAt(next),
        (Verdict::Again, AfterFailure::TellAndRetryAt(next), Wish::Mending) => {
            AfterTrouble::TellAndRetryAt(next)
        }
    }
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandState {
    /// Not answered yet; maybe sent.
    Pending,
    /// The provider did it.
    Succeeded,
    /// The provider refused it for good.
    Failed,
}

/// Whether a wish is its object's newest command already, and shares it. An older one cannot be shared: the
/// wish would then come before what was asked for since.
#[must_use]
pub fn joins(newest: CommandState, same_wish: bool) -> bool {
    same_wish && newest == CommandState::Pending
}

/// How often at most the provider is asked for something that follows from what was observed, when it refuses.
pub const MOST_REFUSALS: i64 = 3;

/// Which turn a wish takes that follows from what was observed and is observed again and again: the first, or the next
/// one after a refusal, because what stood in the way may be over. `None` when it waits, is done, or was refused
/// [`MOST_REFUSALS`] times: then a person has been told.
#[must_use]
pub fn mending_turn(asked: i64, newest: Option<CommandState>) -> Option<i64> {
    match newest {
        None => Some(0),
        Some(CommandState::Failed) => (asked < MOST_REFUSALS).then_some(asked),
        Some(CommandState::Pending | CommandState::Succeeded) => None,
    }
}

/// Whether a command may be sent, given the older ones on its object. One whose outcome is unknown may still
/// be sent again: after a younger one it would undo it.
#[must_use]
pub fn is_next(older: impl IntoIterator<Item = CommandState>) -> bool {
    older.into_iter().all(|state| state != CommandState::Pending)
}

/// The part of a command's row that the protocol decides on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// Where it stands.
    pub state: CommandState,
    /// The lease of whoever works on it.
    pub lease: Option<Lease>,
    /// How often it was tried since it was written down or freed.
    pub attempts: u32,
    /// When it was claimed first: the age of its key counts from here.
    pub first_sent_at: Option<Timestamp>,
    /// Not to be tried before, unless somebody asks.
    pub next_attempt_at: Timestamp,
    /// Since when it waits for an operator.
    pub parked_at: Option<Timestamp>,
}

impl Command {
    /// Written down at `now`.
    #[must_use]
    pub fn written(now: Timestamp) -> Self {
        Self {
            state: CommandState::Pending,
            lease: None,
            attempts: 0,
            first_sent_at: None,
            next_attempt_at: now,
            parked_at: None,
        }
    }

    fn free(&self, now: Timestamp) -> bool {
        self.state == CommandState::Pending && self.lease.as_ref().is_none_or(|lease| lease.until <= now)
    }

    /// Whether the background tries it now.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> bool {
        self.free(now) && self.parked_at.is_none() && self.next_attempt_at <= now
    }

    /// Takes it to work on it; `false` when it is over or somebody else does. A caller need not wait until it is
    /// due, nor for an operator.
    pub fn claim(&mut self, lease: Lease, now: Timestamp) -> bool {
        let free = self.free(now);
        if free {
            self.lease = Some(lease);
            self.attempts += 1;
            self.first_sent_at.get_or_insert(now);
        }
        free
    }

    /// Records its end; `false` when the lease was lost.
    pub fn finish(&mut self, token: &LeaseToken, end: CommandState) -> bool {
        let held = self.give_back(token);
        if held {
            self.state = end;
        }
        held
    }

    /// Gives it back, to be tried again at `next`; `false` when the lease was lost.
    pub fn retry(&mut self, token: &LeaseToken, next: Timestamp) -> bool {
        let held = self.give_back(token);
        if held {
            self.next_attempt_at = next;
        }
        held
    }

    /// Sets it aside for an operator; `false` when the lease was lost.
    pub fn park(&mut self, token: &LeaseToken, now: Timestamp) -> bool {
        let held = self.give_back(token);
        if held {
            self.parked_at = Some(now);
        }
        held
    }

    /// Lets it be tried again; `false` when it is not parked, for then it waits for what the provider asked.
    pub fn unpark(&mut self, now: Timestamp) -> bool {
        let parked = self.state == CommandState::Pending && self.parked_at.is_some();
        if parked {
            self.parked_at = None;
            self.next_attempt_at = now;
            self.attempts = 0;
        }
        parked
    }

    fn give_back(&mut self, token: &LeaseToken) -> bool {
        let held = self.state == CommandState::Pending
            && self.lease.as_ref().is_some_and(|lease| &lease.token == token);
        if held {
            self.lease = None;
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    #[test]
    fn a_key_is_used_while_it_is_young_and_rests_before_it_turns() {
        let first = Some(at(0));
        assert_eq!(sending(None, at(5)), Sending::SameKey);
        assert_eq!(sending(first, at(-5)), Sending::SameKey, "clocks differ");
        assert_eq!(sending(first, at(KEY_LIFE_MS - STRAGGLER_MS - 1)), Sending::SameKey);
        let until = at(KEY_LIFE_MS);
        assert_eq!(sending(first, at(KEY_LIFE_MS - STRAGGLER_MS)), Sending::Wait { until });
        assert_eq!(sending(first, at(KEY_LIFE_MS - 1)), Sending::Wait { until });
        assert_eq!(sending(first, until), Sending::LookUp { turn: 1 });
        assert_eq!(sending(first, at(2 * KEY_LIFE_MS)), Sending::LookUp { turn: 2 });
    }

    #[test]
    fn an_unknown_outcome_never_ends_a_command() {
        let policy = RetryPolicy::default();
        let wished =
            |verdict, wish, attempts| after_trouble(verdict, wish, &policy, attempts, None, 0, at(0));
        let after = |verdict, attempts| wished(verdict, Wish::Asked, attempts);
        assert_eq!(after(Verdict::Refused, 1), AfterTrouble::Fail);
        assert_eq!(after(Verdict::Stuck, 1), AfterTrouble::Park);
        assert!(matches!(after(Verdict::Again, 1), AfterTrouble::RetryAt(_)));
        assert_eq!(after(Verdict::Again, policy.max_attempts), AfterTrouble::Park);
        let mending = |verdict, attempts| wished(verdict, Wish::Mending, attempts);
        assert!(matches!(mending(Verdict::Again, policy.max_attempts - 1), AfterTrouble::RetryAt(_)));
        assert!(matches!(mending(Verdict::Again, policy.max_attempts), AfterTrouble::TellAndRetryAt(_)));
        assert_eq!(mending(Verdict::Stuck, 1), AfterTrouble::Park);
    }

    #[test]
    fn a_wish_joins_the_newest_command_only_and_waits_for_the_older() {
        use CommandState::{Failed, Pending, Succeeded};
        assert!(joins(Pending, true));
        assert!(!joins(Pending, false) && !joins(Succeeded, true) && !joins(Failed, true));
        assert!(is_next([]) && is_next([Succeeded, Failed]));
        assert!(!is_next([Succeeded, Pending]));
    }
}
