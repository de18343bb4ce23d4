//! Webhook, redirect, timer and sweep on one aggregate, with workers that crash, stall and lose their lease.
//!
//! The provider's object is a version number, and so is the mirror. The row and all that happens to it are
//! `lease::AggregateState`.

use quittance_domain::Timestamp;
use quittance_domain::ids::LeaseToken;
use quittance_domain::lease::{
    AfterFailure, AggregateState, ClaimTerms, HintTerms, Lease, Priority, RetryPolicy, Trouble, after_failure,
};
use stateright::{Model, Property};

/// Time matters only in relation to a lease: before it ends, or after.
const NOW: Timestamp = Timestamp::from_ms(0);
const LEASED_UNTIL: Timestamp = Timestamp::from_ms(1);
const LATER: Timestamp = Timestamp::from_ms(2);
/// The first failure is retried, the second parks.
const POLICY: RetryPolicy = RetryPolicy { base_ms: 1, cap_ms: 1, max_attempts: 2, lease_ms: 1 };

/// A safeguard that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Whoever fetched writes, even when another has claimed since.
    NoFence,
    /// What the event says is written, not what the provider says now.
    AppliesPayload,
    /// The provider is asked before the claim.
    FetchesBeforeClaim,
    /// An event is acknowledged without a mark on its aggregate.
    LosesMark,
    /// A sync answers all marks, also those that came while it ran.
    AnswersTooMuch,
    /// A hint that came during a sync loses its urgency with it.
    ForgetsUrgency,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoFence,
        Self::AppliesPayload,
        Self::FetchesBeforeClaim,
        Self::LosesMark,
        Self::AnswersTooMuch,
        Self::ForgetsUrgency,
    ];
}

/// How often each kind of thing happens at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Changes at the provider; each sends an event.
    pub changes: u8,
    /// Events that are never delivered.
    pub lost: u8,
    /// Events that are delivered once more.
    pub repeats: u8,
    /// Leases that end while their holder still works.
    pub takeovers: u8,
    /// Workers that die.
    pub crashes: u8,
    /// Fetches that fail.
    pub failures: u8,
    /// Buyers who come back.
    pub redirects: u8,
    /// Sweeps.
    pub sweeps: u8,
    /// Timers.
    pub timers: u8,
}

const NONE: Budget = Budget {
    changes: 0,
    lost: 0,
    repeats: 0,
    takeovers: 0,
    crashes: 0,
    failures: 0,
    redirects: 0,
    sweeps: 0,
    timers: 0,
};

/// Worlds of a second or less, each about one kind of trouble.
pub const SMALL: [(&str, Budget); 4] = [
    ("slow and dying workers", Budget { changes: 2, takeovers: 1, crashes: 1, redirects: 1, ..NONE }),
    ("lost and repeated events", Budget { changes: 2, lost: 1, repeats: 1, sweeps: 1, ..NONE }),
    ("slow workers beside a sweep", Budget { changes: 2, lost: 1, takeovers: 1, sweeps: 1, ..NONE }),
    (
        "failures, parking, timers",
        Budget { changes: 1, repeats: 1, failures: 2, redirects: 1, timers: 1, ..NONE },
    ),
];

/// Worlds of minutes in a release build.
pub const LARGE: [(&str, Budget); 3] = [
    ("slow and dying workers", Budget { changes: 3, takeovers: 2, crashes: 1, redirects: 1, ..NONE }),
    (
        "all at once",
        Budget { changes: 2, lost: 1, repeats: 1, takeovers: 1, crashes: 1, sweeps: 1, redirects: 1, ..NONE },
    ),
    (
        "failures, parking, timers",
        Budget { changes: 2, repeats: 1, failures: 2, takeovers: 1, redirects: 1, timers: 1, ..NONE },
    ),
];

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Aggregate {
    /// Its bounds.
    pub budget: Budget,
    /// How many workers share the aggregate.
    pub workers: usize,
    /// What is left out, if anything.
    pub mutant: Option<Mutant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Worker {
    Idle,
    /// Only in the mutant that fetches first.
    Peeked(u8),
    Claimed(ClaimTerms),
    Fetched(ClaimTerms, u8),
}

impl Worker {
    fn rank(&self) -> (u8, u8, Option<&LeaseToken>) {
        match self {
            Self::Idle => (0, 0, None),
            Self::Peeked(seen) => (1, *seen, None),
            Self::Claimed(claim) => (2, 0, Some(&claim.token)),
            Self::Fetched(claim, seen) => (3, *seen, Some(&claim.token)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sweep {
    None,
    /// What the provider listed: the object, and its events up to here.
    Listed(u8),
    /// It differed from the mirror.
    Differs(u8),
}

/// Everything that can differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    left: Budget,
    /// The truth.
    version: u8,
    /// Events under way; the number is the version that each tells of.
    wire: Vec<u8>,
    /// Events that are stored.
    inbox: Vec<u8>,
    /// What the event that arrived last said.
    payload: u8,
    row: AggregateState,
    mirror: u8,
    workers: Vec<Worker>,
    sweep: Sweep,
    /// Whether a sweep has seen the truth as it is now, and has ended.
    swept: bool,
    /// For each version the smallest mark that was left behind when it was the truth.
    promised: Vec<Option<i64>>,
    /// The mark of a buyer who waits.
    waiting: i64,
    regressed: bool,
    fenced: bool,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The object changes at the provider.
    Change,
    /// An event arrives; with `again` it will arrive once more.
    Deliver {
        /// Which one.
        event: u8,
        /// Whether the provider does not hear our answer.
        again: bool,
    },
    /// The provider gives up on an event.
    Lose(u8),
    /// The buyer comes back.
    Redirect,
    /// A timer is due.
    Wake,
    /// The mutant's fetch before the claim.
    Peek(usize),
    /// A worker claims.
    Claim {
        /// Which one.
        worker: usize,
        /// After the lease of another has ended.
        late: bool,
    },
    /// A worker asks the provider.
    Fetch(usize),
    /// A worker commits.
    Apply(usize),
    /// The provider does not answer a worker.
    Fail(usize),
    /// A worker dies.
    Crash(usize),
    /// An operator frees a parked aggregate.
    Free,
    /// A sweep lists.
    List,
    /// A sweep compares with the mirror, and stores events that were missed.
    Compare,
    /// A sweep marks what differed.
    MarkDrift,
}

fn hint(priority: Priority) -> HintTerms {
    HintTerms { priority, due: NOW, unpark: false, thorough: priority == Priority::Sweep }
}

/// A token that nobody holds.
fn fresh(state: &State) -> LeaseToken {
    let used = |token: &LeaseToken| {
        state.row.lease.as_ref().is_some_and(|lease| lease.token == *token)
            || state.workers.iter().any(|worker| match worker {
                Worker::Claimed(claim) | Worker::Fetched(claim, _) => claim.token == *token,
                Worker::Idle | Worker::Peeked(_) => false,
            })
    };
    (0..=u8::MAX)
        .map(|n| LeaseToken::from_random([n; 16]))
        .find(|token| !used(token))
        .unwrap_or_else(|| LeaseToken::from_random([u8::MAX; 16]))
}

impl State {
    fn promise(&mut self, version: u8, mark: i64) {
        if let Some(slot) = self.promised.get_mut(usize::from(version)) {
            *slot = Some(slot.map_or(mark, |older| older.min(mark)));
        }
    }

    fn mark(&mut self, priority: Priority, version: u8) -> i64 {
        let mark = self.row.mark(&hint(priority));
        self.promise(version, mark);
        mark
    }

    fn accept(&mut self, event: u8, mutant: Option<Mutant>) {
        self.payload = event;
        if self.inbox.contains(&event) {
            self.row.unpark(NOW);
            return;
        }
        self.inbox.push(event);
        self.inbox.sort_unstable();
        if mutant == Some(Mutant::LosesMark) {
            self.promise(event, self.row.wanted + 1);
        } else {
            self.mark(Priority::Event, event);
        }
    }

    /// Whether the holder of the lease is alive.
    fn held(&self) -> bool {
        let Some(lease) = &self.row.lease else { return false };
        self.workers.iter().any(|worker| match worker {
            Worker::Claimed(claim) | Worker::Fetched(claim, _) => claim.token == lease.token,
            Worker::Idle | Worker::Peeked(_) => false,
        })
    }

    fn idle(&self) -> bool {
        self.workers.iter().all(|worker| matches!(worker, Worker::Idle | Worker::Peeked(_)))
    }

    fn quiet(&self) -> bool {
        self.wire.is_empty() && self.idle() && !self.row.dirty() && self.sweep == Sweep::None
    }

    /// What was kept needs no remembering, and which worker is which does not matter.
    fn tidy(&mut self) {
        self.workers.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let (done, mirror) = (self.row.done, self.mirror);
        for (version, slot) in self.promised.iter_mut().enumerate() {
            if slot.is_some_and(|mark| done >= mark) && version <= usize::from(mirror) {
                *slot = None;
            }
        }
        if done >= self.waiting {
            self.waiting = 0;
        }
    }
}

impl Aggregate {
    fn claim(&self, state: &mut State, at: usize, late: bool) -> Option<()> {
        let lease = Lease { token: fresh(state), until: LEASED_UNTIL };
        if late && state.held() {
            state.left.takeovers = state.left.takeovers.checked_sub(1)?;
        }
        let claim = state.row.claim(lease, if late { LATER } else { NOW }, LATER)?;
        let worker = state.workers.get_mut(at)?;
        *worker = match worker {
            Worker::Peeked(seen) => Worker::Fetched(claim, *seen),
            Worker::Idle | Worker::Claimed(_) | Worker::Fetched(..) => Worker::Claimed(claim),
        };
        Some(())
    }

    fn apply(&self, state: &mut State, at: usize) -> Option<()> {
        let worker = state.workers.get_mut(at)?;
        let Worker::Fetched(mut claim, seen) = std::mem::replace(worker, Worker::Idle) else { return None };
        match self.mutant {
            Some(Mutant::NoFence) => {
                state.row.lease = Some(Lease { token: claim.token.clone(), until: LEASED_UNTIL });
            }
            Some(Mutant::AnswersTooMuch) => claim.target = state.row.wanted,
            Some(_) | None => {}
        }
        if state.row.complete(&claim, NOW, Some(NOW)) {
            state.regressed |= seen < state.mirror;
            state.mirror = seen;
            if self.mutant == Some(Mutant::ForgetsUrgency) {
                state.row.priority = Priority::Sweep;
            }
        } else {
            state.fenced = true;
        }
        Some(())
    }

    fn fail(&self, state: &mut State, at: usize) -> Option<()> {
        state.left.failures = state.left.failures.checked_sub(1)?;
        let worker = state.workers.get_mut(at)?;
        let Worker::Claimed(claim) = std::mem::replace(worker, Worker::Idle) else { return None };
        let attempts = claim.attempts + 1;
        // Passing trouble is only tried again; what parks is the harder case.
        match after_failure(&POLICY, attempts, Trouble::Lasting, None, 0, Timestamp::from_ms(-1)) {
            AfterFailure::RetryAt(next) | AfterFailure::TellAndRetryAt(next) => {
                state.row.retry(&claim, attempts, next)
            }
            AfterFailure::Park => state.row.park(&claim, attempts, NOW),
        };
        Some(())
    }

    fn step(&self, state: &mut State, action: &Action) -> Option<()> {
        match *action {
            Action::Change => {
                state.left.changes = state.left.changes.checked_sub(1)?;
                state.version += 1;
                state.wire.push(state.version);
                state.swept = false;
            }
            Action::Deliver { event, again } => {
                if again {
                    state.left.repeats = state.left.repeats.checked_sub(1)?;
                } else {
                    state.wire.retain(|other| *other != event);
                }
                state.accept(event, self.mutant);
            }
            Action::Lose(event) => {
                state.left.lost = state.left.lost.checked_sub(1)?;
                state.wire.retain(|other| *other != event);
            }
            Action::Redirect => {
                state.left.redirects = state.left.redirects.checked_sub(1)?;
                state.waiting = state.mark(Priority::Waiting, state.version);
            }
            Action::Wake => {
                state.left.timers = state.left.timers.checked_sub(1)?;
                state.row.wake(NOW).then_some(())?;
                state.promise(state.version, state.row.wanted);
            }
            Action::Peek(at) => *state.workers.get_mut(at)? = Worker::Peeked(state.version),
            Action::Claim { worker, late } => self.claim(state, worker, late)?,
            Action::Fetch(at) => {
                let seen = match self.mutant {
                    Some(Mutant::AppliesPayload) => state.payload,
                    Some(_) | None => state.version,
                };
                let worker = state.workers.get_mut(at)?;
                let Worker::Claimed(claim) = std::mem::replace(worker, Worker::Idle) else { return None };
                *worker = Worker::Fetched(claim, seen);
            }
            Action::Apply(at) => self.apply(state, at)?,
            Action::Fail(at) => self.fail(state, at)?,
            Action::Crash(at) => {
                state.left.crashes = state.left.crashes.checked_sub(1)?;
                *state.workers.get_mut(at)? = Worker::Idle;
            }
            Action::Free => {
                let terms = HintTerms { unpark: true, ..hint(Priority::Waiting) };
                let mark = state.row.mark(&terms);
                state.promise(state.version, mark);
            }
            Action::List => {
                state.left.sweeps = state.left.sweeps.checked_sub(1)?;
                state.sweep = Sweep::Listed(state.version);
            }
            Action::Compare => {
                let Sweep::Listed(listed) = state.sweep else { return None };
                for event in 1..=listed {
                    if !state.inbox.contains(&event) {
                        state.accept(event, self.mutant);
                    }
                }
                if listed == state.mirror {
                    state.sweep = Sweep::None;
                    state.swept = listed == state.version;
                } else {
                    state.sweep = Sweep::Differs(listed);
                }
            }
            Action::MarkDrift => {
                let Sweep::Differs(listed) = state.sweep else { return None };
                state.mark(Priority::Sweep, listed);
                state.sweep = Sweep::None;
                state.swept = listed == state.version;
            }
        }
        Some(())
    }
}

impl Model for Aggregate {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            left: self.budget,
            version: 0,
            wire: Vec::new(),
            inbox: Vec::new(),
            payload: 0,
            row: AggregateState::default(),
            mirror: 0,
            workers: vec![Worker::Idle; self.workers],
            sweep: Sweep::None,
            swept: false,
            promised: vec![None; usize::from(self.budget.changes) + 1],
            waiting: 0,
            regressed: false,
            fenced: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Change, Action::Redirect]);
        for event in &state.wire {
            actions.push(Action::Deliver { event: *event, again: false });
            actions.push(Action::Deliver { event: *event, again: true });
            actions.push(Action::Lose(*event));
        }
        if state.row.look_at.is_some() {
            actions.push(Action::Wake);
        }
        if state.row.parked_at.is_some() {
            actions.push(Action::Free);
        }
        match state.sweep {
            Sweep::None => actions.push(Action::List),
            Sweep::Listed(_) => actions.push(Action::Compare),
            Sweep::Differs(_) => actions.push(Action::MarkDrift),
        }
        for (at, worker) in state.workers.iter().enumerate() {
            match worker {
                Worker::Idle if self.mutant == Some(Mutant::FetchesBeforeClaim) => {
                    actions.push(Action::Peek(at));
                }
                Worker::Idle | Worker::Peeked(_) => {
                    let late = state.row.lease.is_some();
                    actions.push(Action::Claim { worker: at, late });
                }
                Worker::Claimed(_) => {
                    actions.extend([Action::Fetch(at), Action::Fail(at), Action::Crash(at)]);
                }
                Worker::Fetched(..) => actions.extend([Action::Apply(at), Action::Crash(at)]),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, &action)?;
        state.tidy();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "I4: what was fetched earlier never replaces what was fetched later",
                |_, s: &State| !s.regressed,
            ),
            Property::always("I1: an answered mark was followed by a look", |_, s: &State| {
                s.promised.iter().enumerate().all(|(version, slot)| {
                    slot.is_none_or(|mark| !s.row.processed(mark) || usize::from(s.mirror) >= version)
                })
            }),
            Property::always("I1: an acknowledged event is answered", |_, s: &State| {
                !s.quiet() || s.promised.iter().flatten().all(|mark| s.row.processed(*mark))
            }),
            Property::always("I3: when all is quiet, the mirror is the truth", |m: &Self, s: &State| {
                let whole = s.left.lost == m.budget.lost || s.swept;
                !s.quiet() || !whole || s.mirror == s.version
            }),
            Property::always("nothing is stuck", |_, s: &State| {
                !s.row.dirty() || !s.idle() || s.row.claimable(LATER, LATER) || s.row.parked_at.is_some()
            }),
            // The urgency goes with the claim; a worker whose lease is taken over takes it into the grave, and the
            // buyer then waits no longer than any other hint.
            Property::always(
                "a buyer who waits stays in front, or is looked after",
                |m: &Self, s: &State| {
                    let taken_over = s.left.takeovers < m.budget.takeovers;
                    s.waiting == 0
                        || s.row.priority == Priority::Waiting
                        || s.row.lease.is_some()
                        || taken_over
                },
            ),
            Property::sometimes("all is quiet at the end", |_, s: &State| s.quiet() && s.left.changes == 0),
            Property::sometimes("a late worker is fenced off", |m: &Self, s: &State| {
                s.fenced || m.budget.takeovers == 0
            }),
            Property::sometimes("an aggregate is parked", |m: &Self, s: &State| {
                s.row.parked_at.is_some() || m.budget.failures < 2
            }),
            Property::sometimes("a lost event is made good", |m: &Self, s: &State| {
                let lost = s.left.lost < m.budget.lost && s.left.changes == 0;
                m.budget.lost == 0 || lost && s.quiet() && s.swept && s.mirror == s.version
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn webhook_redirect_timer_and_sweep_keep_every_promise() {
        for (name, budget) in SMALL {
            let outcome = check(Aggregate { budget, workers: 2, mutant: None });
            println!("aggregate, {name}: {outcome}");
            assert!(outcome.holds(), "{name}: {outcome}");
        }
    }

    #[test]
    fn every_mutant_is_found() {
        for mutant in Mutant::ALL {
            let mut outcomes = SMALL
                .into_iter()
                .map(|(_, budget)| check(Aggregate { budget, workers: 2, mutant: Some(mutant) }));
            let found = outcomes.find(|outcome| !outcome.broken.is_empty());
            println!(
                "aggregate, {mutant:?}: {}",
                found.unwrap_or_else(|| panic!("{mutant:?} was not found"))
            );
        }
    }
}
