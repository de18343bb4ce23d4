//! One command, sent by nodes that stall and die to a provider that forgets keys.
//!
//! How it is sent, what follows trouble and what a row does are `command::{sending, after_trouble, Command}`.
//! The provider does a request whose key it does not remember, and answers one that it remembers again.

use quittance_domain::Timestamp;
use quittance_domain::command::{
    AfterTrouble, Command, CommandState, KEY_LIFE_MS, STRAGGLER_MS, Sending, Verdict, Wish, after_trouble,
    sending,
};
use quittance_domain::ids::LeaseToken;
use quittance_domain::lease::{Lease, RetryPolicy};
use quittance_domain::time::{DAY_MS, MINUTE_MS};
use stateright::{Model, Property};

/// The moments at which anything is different: a lease is over, a key rests, a key turns, a key is forgotten.
const MOMENTS: [i64; 9] = [
    0,
    2 * MINUTE_MS,
    KEY_LIFE_MS - 2 * STRAGGLER_MS,
    KEY_LIFE_MS - STRAGGLER_MS / 2,
    KEY_LIFE_MS,
    DAY_MS + 5 * MINUTE_MS,
    2 * KEY_LIFE_MS - STRAGGLER_MS / 2,
    2 * KEY_LIFE_MS,
    2 * DAY_MS,
];
/// The second failure in a row parks.
const POLICY: RetryPolicy = RetryPolicy { base_ms: 1, cap_ms: 1, max_attempts: 3, lease_ms: 1 };
/// Long after everything.
const AT_LAST: Timestamp = Timestamp::from_ms(100 * DAY_MS);

/// A safeguard that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Each attempt has a key of its own.
    NewKeyEachTime,
    /// The first key for ever, although the provider forgets it.
    KeyForEver,
    /// The next key without a look at what the first did.
    NoLookUp,
    /// The key turns while a sending with the old one may be under way.
    NoRest,
    /// An unknown outcome counts as a refusal.
    AssumesFailure,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NewKeyEachTime, Self::KeyForEver, Self::NoLookUp, Self::NoRest, Self::AssumesFailure];
}

/// How often each kind of thing happens at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Requests that never arrive, and answers that never come.
    pub lost: u8,
    /// Nodes that die.
    pub crashes: u8,
    /// Calls that a node gives up on while they are under way.
    pub timeouts: u8,
    /// Callers who try before it is due.
    pub impatient: u8,
}

/// Seconds in a debug build.
pub const SMALL: [(&str, Budget); 2] = [
    ("lost and late answers", Budget { lost: 1, crashes: 0, timeouts: 1, impatient: 0 }),
    ("dying nodes, impatient callers", Budget { lost: 0, crashes: 1, timeouts: 1, impatient: 1 }),
];

/// Worlds of minutes in a release build.
pub const LARGE: [(&str, Budget); 1] =
    [("all at once", Budget { lost: 1, crashes: 1, timeouts: 1, impatient: 1 })];

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Outbox {
    /// Its bounds.
    pub budget: Budget,
    /// How many nodes perform commands.
    pub nodes: usize,
    /// What is left out, if anything.
    pub mutant: Option<Mutant>,
}

/// A key: the turn of its life, and the attempt in the mutant that draws a new one each time.
type Key = (i64, u32);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Node {
    Idle,
    /// It has decided to look first. When it decided counts: what it does later is late.
    Looks {
        token: LeaseToken,
        attempts: u32,
        key: Key,
        decided: usize,
    },
    /// It has decided to send.
    Sends {
        token: LeaseToken,
        attempts: u32,
        key: Key,
        decided: usize,
    },
    /// It waits for the answer.
    Calls {
        token: LeaseToken,
        attempts: u32,
        key: Key,
    },
    /// It knows.
    Knows {
        token: LeaseToken,
    },
}

/// A request under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Sent {
    key: Key,
    decided: usize,
    token: LeaseToken,
}

/// Everything that can differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    left: Budget,
    moment: usize,
    row: Command,
    nodes: Vec<Node>,
    wire: Vec<Sent>,
    /// What the provider remembers, and since when.
    keys: Vec<(Key, usize)>,
    /// What the provider did.
    effects: u8,
    looked_up: bool,
    rested: bool,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Time goes on.
    Tick,
    /// A node takes the command and decides how to send it.
    Claim {
        /// Which one.
        node: usize,
        /// For a caller, before it is due.
        impatient: bool,
    },
    /// A node asks the provider what the command did.
    LookUp(usize),
    /// A request leaves a node.
    Send(usize),
    /// A request arrives and is answered.
    Arrive {
        /// Which one.
        request: usize,
        /// Whether the answer is lost.
        unheard: bool,
    },
    /// A request is lost.
    Lose(usize),
    /// A node gives up on a request that is under way.
    TimeOut(usize),
    /// A node records the end.
    Record(usize),
    /// A node dies.
    Crash(usize),
    /// The provider forgets a key.
    Forget(usize),
    /// An operator frees a parked command.
    Free,
}

fn at(moment: usize) -> Timestamp {
    Timestamp::from_ms(MOMENTS.get(moment).copied().unwrap_or(i64::MAX))
}

impl State {
    fn now(&self) -> Timestamp {
        at(self.moment)
    }

    fn node(&mut self, at: usize) -> Option<&mut Node> {
        self.nodes.get_mut(at)
    }

    /// A token that nobody holds.
    fn fresh(&self) -> LeaseToken {
        let used = |token: &LeaseToken| {
            self.row.lease.as_ref().is_some_and(|lease| lease.token == *token)
                || self.wire.iter().any(|sent| sent.token == *token)
                || self.nodes.iter().any(|node| match node {
                    Node::Idle => false,
                    Node::Looks { token: held, .. }
                    | Node::Sends { token: held, .. }
                    | Node::Calls { token: held, .. }
                    | Node::Knows { token: held } => held == token,
                })
        };
        (0..u8::MAX)
            .map(|n| LeaseToken::from_random([n; 16]))
            .find(|token| !used(token))
            .unwrap_or_else(|| LeaseToken::from_random([u8::MAX; 16]))
    }

    /// Whether everything that was decided has arrived in time for the clock to move on: the one thing that
    /// the protocol must assume, because no provider can be told to ignore a late request.
    fn may_tick(&self) -> bool {
        let next = at(self.moment + 1);
        let in_time = |decided: usize| next.since(at(decided)) <= STRAGGLER_MS;
        self.moment + 1 < MOMENTS.len()
            && self.wire.iter().all(|sent| in_time(sent.decided))
            && self.nodes.iter().all(|node| match node {
                Node::Looks { decided, .. } | Node::Sends { decided, .. } => in_time(*decided),
                Node::Idle | Node::Calls { .. } | Node::Knows { .. } => true,
            })
    }

    fn busy(&self) -> bool {
        self.nodes.iter().any(|node| *node != Node::Idle)
    }

    /// The node that still waits for this request.
    fn caller(&mut self, sent: &Sent) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| match node {
            Node::Calls { token, .. } => *token == sent.token,
            Node::Idle | Node::Looks { .. } | Node::Sends { .. } | Node::Knows { .. } => false,
        })
    }
}

impl Outbox {
    fn claim(&self, state: &mut State, node: usize, impatient: bool) -> Option<()> {
        let now = state.now();
        if impatient {
            state.left.impatient = state.left.impatient.checked_sub(1)?;
        } else if !state.row.due(now) {
            return None;
        }
        let token = state.fresh();
        let lease = Lease { token: token.clone(), until: now.plus_ms(RetryPolicy::default().lease_ms) };
        state.row.claim(lease, now).then_some(())?;
        let (attempts, decided) = (state.row.attempts, state.moment);
        let chosen = match (self.mutant, sending(state.row.first_sent_at, now)) {
            (Some(Mutant::KeyForEver), _) | (Some(Mutant::NoRest), Sending::Wait { .. }) => Sending::SameKey,
            (_, chosen) => chosen,
        };
        let attempt = if self.mutant == Some(Mutant::NewKeyEachTime) { attempts } else { 0 };
        let next = match chosen {
            Sending::SameKey => Node::Sends { token, attempts, key: (0, attempt), decided },
            Sending::LookUp { turn } if self.mutant == Some(Mutant::NoLookUp) => {
                Node::Sends { token, attempts, key: (turn, attempt), decided }
            }
            Sending::LookUp { turn } => Node::Looks { token, attempts, key: (turn, attempt), decided },
            Sending::Wait { until } => {
                state.row.retry(&token, until);
                state.rested = true;
                Node::Idle
            }
        };
        *state.node(node)? = next;
        Some(())
    }

    /// A node does not know what became of its request.
    fn trouble(&self, state: &mut State, node: usize) -> Option<()> {
        let now = state.now();
        let place = state.node(node)?;
        let Node::Calls { token, attempts, .. } = std::mem::replace(place, Node::Idle) else { return None };
        let verdict =
            if self.mutant == Some(Mutant::AssumesFailure) { Verdict::Refused } else { Verdict::Again };
        match after_trouble(verdict, Wish::Asked, &POLICY, attempts, None, 0, now) {
            AfterTrouble::Fail => state.row.finish(&token, CommandState::Failed),
            AfterTrouble::RetryAt(next) | AfterTrouble::TellAndRetryAt(next) => state.row.retry(&token, next),
            AfterTrouble::Park => state.row.park(&token, now),
        };
        Some(())
    }

    fn arrive(state: &mut State, request: usize, unheard: bool) -> Option<()> {
        if request >= state.wire.len() {
            return None;
        }
        let sent = state.wire.remove(request);
        if !state.keys.iter().any(|(key, _)| *key == sent.key) {
            state.effects += 1;
            state.keys.push((sent.key, state.moment));
            state.keys.sort_unstable();
        }
        if unheard {
            state.left.lost = state.left.lost.checked_sub(1)?;
        } else if let Some(node) = state.caller(&sent) {
            *node = Node::Knows { token: sent.token };
        }
        Some(())
    }

    fn step(&self, state: &mut State, action: &Action) -> Option<()> {
        match *action {
            Action::Tick => state.moment += 1,
            Action::Claim { node, impatient } => self.claim(state, node, impatient)?,
            Action::LookUp(node) => {
                let found = state.effects > 0;
                let place = state.node(node)?;
                let Node::Looks { token, attempts, key, decided } = std::mem::replace(place, Node::Idle)
                else {
                    return None;
                };
                *place =
                    if found { Node::Knows { token } } else { Node::Sends { token, attempts, key, decided } };
                state.looked_up |= found;
            }
            Action::Send(node) => {
                let place = state.node(node)?;
                let Node::Sends { token, attempts, key, decided } = std::mem::replace(place, Node::Idle)
                else {
                    return None;
                };
                *place = Node::Calls { token: token.clone(), attempts, key };
                state.wire.push(Sent { key, decided, token });
            }
            Action::Arrive { request, unheard } => Self::arrive(state, request, unheard)?,
            Action::Lose(request) => {
                state.left.lost = state.left.lost.checked_sub(1)?;
                state.wire.remove(request);
            }
            Action::TimeOut(node) => {
                // Nobody need give up on what is lost: then it is the only thing left to do.
                let under_way = match state.nodes.get(node)? {
                    Node::Calls { token, .. } => state.wire.iter().any(|sent| sent.token == *token),
                    Node::Idle | Node::Looks { .. } | Node::Sends { .. } | Node::Knows { .. } => return None,
                };
                if under_way {
                    state.left.timeouts = state.left.timeouts.checked_sub(1)?;
                }
                self.trouble(state, node)?;
            }
            Action::Record(node) => {
                let place = state.node(node)?;
                let Node::Knows { token } = std::mem::replace(place, Node::Idle) else { return None };
                state.row.finish(&token, CommandState::Succeeded);
            }
            Action::Crash(node) => {
                state.left.crashes = state.left.crashes.checked_sub(1)?;
                *state.node(node)? = Node::Idle;
            }
            Action::Forget(key) => {
                state.keys.remove(key);
            }
            Action::Free => {
                let now = state.now();
                state.row.unpark(now);
            }
        }
        Some(())
    }
}

impl Model for Outbox {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            left: self.budget,
            moment: 0,
            row: Command::written(at(0)),
            nodes: vec![Node::Idle; self.nodes],
            wire: Vec::new(),
            keys: Vec::new(),
            effects: 0,
            looked_up: false,
            rested: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.may_tick() {
            actions.push(Action::Tick);
        }
        if state.row.parked_at.is_some() && state.row.state == CommandState::Pending {
            actions.push(Action::Free);
        }
        for (at, node) in state.nodes.iter().enumerate() {
            match node {
                Node::Idle => {
                    actions.push(Action::Claim { node: at, impatient: false });
                    actions.push(Action::Claim { node: at, impatient: true });
                    continue;
                }
                Node::Looks { .. } => actions.push(Action::LookUp(at)),
                Node::Sends { .. } => actions.push(Action::Send(at)),
                Node::Calls { .. } => actions.push(Action::TimeOut(at)),
                Node::Knows { .. } => actions.push(Action::Record(at)),
            }
            actions.push(Action::Crash(at));
        }
        for request in 0..state.wire.len() {
            actions.push(Action::Arrive { request, unheard: false });
            actions.push(Action::Arrive { request, unheard: true });
            actions.push(Action::Lose(request));
        }
        for (index, (_, since)) in state.keys.iter().enumerate() {
            if state.now().since(at(*since)) >= DAY_MS {
                actions.push(Action::Forget(index));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, &action)?;
        state.nodes.sort_unstable();
        state.wire.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I2, I7: one command has at most one effect", |_, s: &State| s.effects <= 1),
            Property::always("what is recorded is what happened", |_, s: &State| match s.row.state {
                CommandState::Pending => true,
                CommandState::Succeeded => s.effects == 1,
                CommandState::Failed => s.effects == 0 && s.wire.is_empty(),
            }),
            Property::always("every command can end", |_, s: &State| {
                s.row.state != CommandState::Pending
                    || s.busy()
                    || s.row.due(AT_LAST)
                    || s.row.parked_at.is_some()
            }),
            Property::sometimes("an effect is found by looking", |_, s: &State| {
                s.looked_up && s.row.state == CommandState::Succeeded
            }),
            Property::sometimes("a command waits for its next key", |_, s: &State| s.rested),
            Property::sometimes("a command is parked", |_: &Self, s: &State| s.row.parked_at.is_some()),
            Property::sometimes("it ends after the first key was forgotten", |_, s: &State| {
                s.row.state == CommandState::Succeeded
                    && s.moment > 5
                    && s.keys.iter().all(|(key, _)| key.0 > 0)
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn a_command_has_one_effect_whatever_is_lost_or_forgotten() {
        for (name, budget) in SMALL {
            let outcome = check(Outbox { budget, nodes: 2, mutant: None });
            println!("outbox, {name}: {outcome}");
            assert!(outcome.holds(), "{name}: {outcome}");
        }
    }

    #[test]
    fn every_mutant_is_found() {
        for mutant in Mutant::ALL {
            let mut outcomes =
                SMALL.into_iter().map(|(_, budget)| check(Outbox { budget, nodes: 2, mutant: Some(mutant) }));
            let found = outcomes.find(|outcome| !outcome.broken.is_empty());
            println!("outbox, {mutant:?}: {}", found.unwrap_or_else(|| panic!("{mutant:?} was not found")));
        }
    }
}
