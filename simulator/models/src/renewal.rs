//! Cancel and resume against the provider's renewal, with requests that arrive late and webhooks in any order.
//!
//! The mirror is made by `projection::project`, access by `AccessPolicy`, the aggregate's row by `lease`, the
//! commands' rows, their order and what a caller is told by `command`. A caller waits until the sync that follows a command is
//! over: one who gives up before sees a mirror that may lag, and is promised nothing. A sync is one step here: what happens between its fetch and its
//! commit is the aggregate's model. Keys do not expire: that is the outbox's.

use std::sync::Arc;

use quittance_domain::command::wanted::{AfterLook, Wanted, after_look, is_answered};
use quittance_domain::command::{Command, CommandState, STRAGGLER_MS, is_next, joins};
use quittance_domain::ids::LeaseToken;
use quittance_domain::lease::{AggregateState, HintTerms, Lease, Priority, RetryPolicy};
use quittance_domain::projection::{Observed, Stored, project};
use quittance_domain::subscription::{Bill, InvoiceFacts, ItemFacts, SubscriptionFacts, ToldFacts};
use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use quittance_domain::{
    Access, AccessPolicy, Catalog, Currency, CustomerId, Money, Subscription, SubscriptionStatus, Timestamp,
};
use stateright::{Model, Property};

const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);
const PERIOD_MS: i64 = 30 * DAY_MS;
/// The moments at which anything is different: around the first renewal, after a grace, around the second.
const MOMENTS: [i64; 6] = [
    10 * DAY_MS,
    PERIOD_MS - 5 * MINUTE_MS,
    PERIOD_MS,
    PERIOD_MS + 3 * HOUR_MS,
    PERIOD_MS + 8 * DAY_MS,
    2 * PERIOD_MS,
];

const CATALOG: &str = r#"
    [[feature]]
    key = "article:full"
    name = { en = "Articles" }
    [[plan]]
    key = "pro"
    group = "main"
    name = { en = "Pro" }
    features = { "article:full" = true }
    price = [{ interval = "month", currency = "jpy", amount = 1980, stripe = "price_pro" }]
"#;

/// A safeguard that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A younger command need not wait for an older one whose outcome is unknown.
    Unordered,
    /// A wish shares any unfinished command that is the same, not only the newest.
    JoinsAny,
    /// A cancel that the mirror shows already, or a resume of what it shows as running, is not sent.
    AnswersFromMirror,
    /// Each attempt has a key of its own.
    NewKeyEachTime,
    /// What the provider answered is told, without a look at what it has now: the answer may be a replay.
    TrustsAnswer,
    /// A grace counts from the look instead of from the provider's record of the failure.
    SlidesGrace,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unordered,
        Self::JoinsAny,
        Self::AnswersFromMirror,
        Self::NewKeyEachTime,
        Self::TrustsAnswer,
        Self::SlidesGrace,
    ];
}

/// How often each kind of thing happens at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// What the customer asks for through us.
    pub wishes: u8,
    /// What the customer does in the provider's own pages.
    pub portal: u8,
    /// Requests that never arrive, and answers that never come.
    pub lost: u8,
    /// Calls that we give up on while they are under way.
    pub timeouts: u8,
    /// Renewals whose payment fails.
    pub declined: u8,
}

const NONE: Budget = Budget { wishes: 0, portal: 0, lost: 0, timeouts: 0, declined: 0 };

/// Seconds in a debug build.
pub const SMALL: [(&str, Budget); 4] = [
    ("two wishes, a late request", Budget { wishes: 2, timeouts: 1, ..NONE }),
    ("three wishes", Budget { wishes: 3, ..NONE }),
    ("beside the provider's pages", Budget { wishes: 1, portal: 2, ..NONE }),
    ("a declined renewal", Budget { wishes: 1, lost: 1, declined: 1, ..NONE }),
];

/// Worlds of minutes in a release build.
pub const LARGE: [(&str, Budget); 2] = [
    ("three wishes, a late request", Budget { wishes: 3, timeouts: 1, ..NONE }),
    ("all at once", Budget { wishes: 2, portal: 1, lost: 1, timeouts: 0, declined: 1 }),
];

/// The model.
#[derive(Debug, Clone)]
pub struct Renewal {
    budget: Budget,
    mutant: Option<Mutant>,
    catalog: Catalog,
    policy: AccessPolicy,
    customer: Option<CustomerId>,
    nothing: Money,
}

/// What a customer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    /// End it with the period.
    CancelAtEnd,
    /// End it at once.
    CancelNow,
    /// Take the end back.
    Resume,
}

impl Wish {
    const fn wanted(self) -> Wanted<'static> {
        match self {
            Self::CancelAtEnd => Wanted::EndsWithPeriod,
            Self::CancelNow => Wanted::EndsNow,
            Self::Resume => Wanted::Runs,
        }
    }
}

/// The subscription at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Truth {
    /// Periods since the first.
    period: u8,
    /// Whether it ends with the period.
    ends: bool,
    /// Whether it is over.
    over: bool,
    /// The moment since which a payment fails.
    failing: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ordered {
    wish: Wish,
    row: Command,
}

/// What the customer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    wish: Wish,
    /// The command for it.
    command: usize,
    /// How many commands there were for it.
    tries: u32,
}

/// A request under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sent {
    command: usize,
    attempt: u32,
    token: LeaseToken,
    decided: usize,
}

/// Everything that can differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    left: Budget,
    moment: usize,
    truth: Truth,
    /// Webhooks under way: what they say does not matter, so that only their number does.
    hints: u8,
    row: AggregateState,
    mirror: Option<Arc<Subscription>>,
    commands: Vec<Ordered>,
    wire: Vec<Sent>,
    /// Keys that the provider remembers.
    keys: Vec<(usize, u32)>,
    /// What the customer asked for last and has not been told yet.
    asked: Option<Question>,
    /// What the customer was told last, and has not changed since.
    told: Option<Wish>,
    /// A renewal was charged although the customer had been told that it would not be.
    charged: bool,
    renewed: bool,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Time goes on.
    Tick,
    /// The provider renews or ends the subscription at the end of its period.
    Renew {
        /// Whether the payment fails.
        declined: bool,
    },
    /// The provider collects a failed payment at last.
    Collect,
    /// The provider gives up on a failed payment.
    GiveUp,
    /// The customer takes the end back, or asks for it, in the provider's own pages.
    Portal,
    /// The customer asks us.
    Ask(Wish),
    /// A command is claimed and sent.
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
    /// We give up on a request that is under way.
    TimeOut(usize),
    /// A webhook arrives.
    Hint,
    /// A worker wakes timers, claims, asks the provider and commits.
    Sync,
}

fn at(moment: usize) -> Timestamp {
    T0.plus_ms(MOMENTS.get(moment).copied().unwrap_or(i64::MAX / 4))
}

fn token(n: usize) -> LeaseToken {
    LeaseToken::from_random([u8::try_from(n).unwrap_or(u8::MAX); 16])
}

impl Truth {
    fn period_end(self) -> Timestamp {
        T0.plus_ms(PERIOD_MS * (i64::from(self.period) + 1))
    }

    /// Whether the provider has a period's end to act on.
    fn due(self, now: Timestamp) -> bool {
        !self.over && now >= self.period_end()
    }

    fn status(self) -> SubscriptionStatus {
        if self.over {
            SubscriptionStatus::Canceled
        } else if self.failing.is_some() {
            SubscriptionStatus::PastDue
        } else {
            SubscriptionStatus::Active
        }
    }

    /// What access must be, said once more in other words than the product's.
    fn access(self, now: Timestamp, policy: &AccessPolicy) -> Access {
        let grace_ms = i64::from(policy.grace_days) * DAY_MS;
        match self.failing {
            _ if self.over => Access::Revoked,
            Some(since) if now < at(since).plus_ms(grace_ms) => Access::Grace,
            Some(_) => Access::Revoked,
            None if self.ends && now >= self.period_end() => Access::Revoked,
            None => Access::Granted,
        }
    }
}

impl Renewal {
    /// A model within bounds; `mutant` leaves a safeguard out.
    ///
    /// # Errors
    /// Never with the catalog below.
    pub fn new(budget: Budget, mutant: Option<Mutant>) -> Result<Self, String> {
        Ok(Self {
            budget,
            mutant,
            catalog: Catalog::parse(CATALOG).map_err(|error| error.to_string())?,
            policy: AccessPolicy::default(),
            customer: CustomerId::parse("ada").ok(),
            nothing: Money::new(0, Currency::parse("jpy").map_err(|error| error.to_string())?),
        })
    }

    fn facts(&self, truth: Truth) -> SubscriptionFacts {
        let start = T0.plus_ms(PERIOD_MS * i64::from(truth.period));
        SubscriptionFacts {
            id: "sub_1".into(),
            status: truth.status(),
            items: vec![ItemFacts {
                id: "si_1".into(),
                price: "price_pro".into(),
                lookup_key: Some("pro_month_jpy".into()),
                unit_price: None,
                interval: Some("month".into()),
                quantity: 1,
                period_start: Some(start),
                period_end: Some(truth.period_end()),
            }],
            currency: None,
            created_at: T0,
            cancel_at_period_end: truth.ends,
            cancel_at: None,
            ended_at: None,
            trial_end: None,
            paid: None,
            failing_since: truth.failing.map(at),
            latest_invoice: Some(InvoiceFacts {
                reaches: None,
                id: format!("in_{}", truth.period),
                status: if truth.failing.is_some() { "open" } else { "paid" }.into(),
                remaining: self.nothing,
                attempt_count: 1,
                next_attempt_at: None,
                payments: Vec::new(),
                bill: Bill::default(),
                due_at: truth.failing.map(at),
                paid_at: None,
                pay_link: None,
                attempt: None,
            }),
            named_customer: None,
            checkout: None,
            ahead: Default::default(),
            told: ToldFacts::default(),
            method: None,
        }
    }

    fn sync(&self, state: &mut State) -> Option<()> {
        let now = at(state.moment);
        state.row.wake(now);
        let claim = state.row.claim(Lease { token: token(255), until: now.plus_ms(1) }, now, now)?;
        let stored = Stored {
            customer: self.customer.clone(),
            subscriptions: state.mirror.iter().map(|known| (**known).clone()).collect(),
            ..Stored::default()
        };
        let mut facts = self.facts(state.truth);
        if self.mutant == Some(Mutant::SlidesGrace) {
            facts.failing_since = facts.failing_since.map(|_| now);
        }
        let observed = Observed { subscriptions: vec![facts], ..Observed::default() };
        let projection = project(observed, &stored, &self.catalog, &self.policy, now);
        if state.row.complete(&claim, now, projection.look_again_at) {
            state.mirror = projection.subscriptions.into_iter().next().map(Arc::new);
        }
        let _told = self.answer(state);
        Some(())
    }

    /// The customer asks; what needs no command is answered at once.
    fn ask(&self, state: &mut State, wish: Wish) -> Option<()> {
        state.left.wishes = state.left.wishes.checked_sub(1)?;
        state.told = None;
        state.asked = None;
        if is_answered(&state.mirror.as_ref()?.facts) {
            return Some(());
        }
        if self.mutant == Some(Mutant::AnswersFromMirror) && state.shows(wish) {
            state.told = Some(wish);
            return Some(());
        }
        self.want(state, wish, 1);
        Some(())
    }

    /// Writes a command down, or shares one.
    fn want(&self, state: &mut State, wish: Wish, tries: u32) {
        let pending = |other: &Ordered| other.row.state == CommandState::Pending && other.wish == wish;
        let shared = match self.mutant {
            Some(Mutant::JoinsAny) => state.commands.iter().position(pending),
            Some(_) | None => state
                .commands
                .last()
                .filter(|newest| joins(newest.row.state, newest.wish == wish))
                .map(|_| state.commands.len() - 1),
        };
        let index = shared.unwrap_or(state.commands.len());
        if shared.is_none() {
            state.commands.push(Ordered { wish, row: Command::written(at(state.moment)) });
        }
        state.asked = Some(Question { wish, command: index, tries });
    }

    /// Tells the customer what the mirror shows after the command, or asks once more.
    fn answer(&self, state: &mut State) -> Option<()> {
        let Question { wish, command, tries } = state.asked?;
        match state.commands.get(command)?.row.state {
            CommandState::Pending => {}
            CommandState::Failed => state.asked = None,
            CommandState::Succeeded => {
                let so = state.shows(wish) || self.mutant == Some(Mutant::TrustsAnswer);
                match after_look(tries, true, so) {
                    AfterLook::Tell => {
                        state.asked = None;
                        state.told = so.then_some(wish);
                    }
                    AfterLook::AskAgain => self.want(state, wish, tries + 1),
                }
            }
        }
        Some(())
    }

    fn send(&self, state: &mut State, index: usize) -> Option<()> {
        let now = at(state.moment);
        let older = state.commands.iter().take(index).map(|other| other.row.state);
        if self.mutant != Some(Mutant::Unordered) && !is_next(older) {
            return None;
        }
        let command = state.commands.get_mut(index)?;
        let attempt = command.row.attempts + 1;
        let token = token(index * 16 + usize::try_from(attempt).unwrap_or(15));
        let lease = Lease { token: token.clone(), until: now.plus_ms(RetryPolicy::default().lease_ms) };
        command.row.claim(lease, now).then_some(())?;
        state.wire.push(Sent { command: index, attempt, token, decided: state.moment });
        Some(())
    }

    fn arrive(&self, state: &mut State, request: usize, unheard: bool) -> Option<()> {
        if request >= state.wire.len() {
            return None;
        }
        let sent = state.wire.remove(request);
        let wish = state.commands.get(sent.command)?.wish;
        let attempt = if self.mutant == Some(Mutant::NewKeyEachTime) { sent.attempt } else { 0 };
        let known = state.keys.contains(&(sent.command, attempt));
        let refused = state.truth.over && !known && wish != Wish::CancelNow;
        if !known && !refused {
            state.keys.push((sent.command, attempt));
            state.keys.sort_unstable();
            match wish {
                Wish::CancelAtEnd => state.truth.ends = true,
                Wish::Resume => state.truth.ends = false,
                Wish::CancelNow => state.truth.over = true,
            }
            state.hints += 1;
        }
        if unheard {
            state.left.lost = state.left.lost.checked_sub(1)?;
            return state.give_up(&sent);
        }
        let end = if refused { CommandState::Failed } else { CommandState::Succeeded };
        let command = state.commands.get_mut(sent.command)?;
        if command.row.finish(&sent.token, end) && end == CommandState::Succeeded {
            // The same transaction marks the aggregate.
            let hint = HintTerms {
                priority: Priority::Waiting,
                due: at(state.moment),
                unpark: false,
                thorough: false,
            };
            state.row.mark(&hint);
        }
        Some(())
    }

    fn step(&self, state: &mut State, action: &Action) -> Option<()> {
        let now = at(state.moment);
        match *action {
            Action::Tick => state.moment += 1,
            Action::Renew { declined } => {
                let truth = &mut state.truth;
                state.hints += 1;
                if truth.ends {
                    truth.over = true;
                    return Some(());
                }
                truth.period += 1;
                if declined {
                    state.left.declined = state.left.declined.checked_sub(1)?;
                    truth.failing = Some(state.moment);
                } else {
                    truth.failing = None;
                    state.renewed = true;
                    state.charged |= matches!(state.told, Some(Wish::CancelAtEnd | Wish::CancelNow));
                }
            }
            Action::Collect => {
                state.truth.failing.take()?;
                state.hints += 1;
            }
            Action::GiveUp => {
                state.truth.failing?;
                state.truth.over = true;
                state.hints += 1;
            }
            Action::Portal => {
                state.left.portal = state.left.portal.checked_sub(1)?;
                state.truth.ends = !state.truth.ends;
                state.told = None;
                state.hints += 1;
            }
            Action::Ask(wish) => self.ask(state, wish)?,
            Action::Send(index) => self.send(state, index)?,
            Action::Arrive { request, unheard } => self.arrive(state, request, unheard)?,
            Action::Lose(request) => {
                state.left.lost = state.left.lost.checked_sub(1)?;
                let sent = state.wire.remove(request);
                state.give_up(&sent)?;
            }
            Action::TimeOut(request) => {
                state.left.timeouts = state.left.timeouts.checked_sub(1)?;
                let sent = state.wire.get(request)?.clone();
                state.holds(&sent).then_some(())?;
                state.give_up(&sent)?;
            }
            Action::Hint => {
                state.hints = state.hints.checked_sub(1)?;
                let hint = HintTerms { priority: Priority::Event, due: now, unpark: false, thorough: false };
                state.row.mark(&hint);
            }
            Action::Sync => self.sync(state)?,
        }
        Some(())
    }
}

impl State {
    /// Whether the mirror shows a wish as granted, or as past granting.
    fn shows(&self, wish: Wish) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| wish.wanted().is_so(&mirror.facts))
    }

    fn holds(&self, sent: &Sent) -> bool {
        self.commands
            .get(sent.command)
            .is_some_and(|command| command.row.lease.as_ref().is_some_and(|lease| lease.token == sent.token))
    }

    /// The outcome is unknown: it will be sent again.
    fn give_up(&mut self, sent: &Sent) -> Option<()> {
        let now = at(self.moment);
        self.commands.get_mut(sent.command)?.row.retry(&sent.token, now);
        Some(())
    }

    /// Forgets what makes no difference any more: how many hints there are beside one; when something was due that
    /// is due by now; and commands that are over, once nothing of theirs is under way.
    fn tidy(&mut self) {
        self.hints = self.hints.min(1);
        let row = &mut self.row;
        row.wanted = i64::from(row.dirty());
        row.done = 0;
        row.next_attempt_at = at(0);
        row.priority = Priority::Sweep;
        for (index, command) in self.commands.iter_mut().enumerate() {
            command.row.first_sent_at = None;
            command.row.next_attempt_at = at(0);
            if command.row.state != CommandState::Pending
                && self.wire.iter().all(|sent| sent.command != index)
            {
                *command =
                    Ordered { wish: Wish::Resume, row: Command { attempts: 0, ..command.row.clone() } };
                self.keys.retain(|(known, _)| *known != index);
            }
        }
    }

    /// Nothing is under way.
    fn drained(&self) -> bool {
        self.hints == 0
            && self.wire.is_empty()
            && !self.row.dirty()
            && self.row.look_at.is_none_or(|look| look > at(self.moment))
            && !self.truth.due(at(self.moment))
            && self.commands.iter().all(|command| command.row.state != CommandState::Pending)
    }

    /// A provider is late by less than a tick, and so is a request.
    fn may_tick(&self) -> bool {
        let next = at(self.moment + 1);
        self.moment + 1 < MOMENTS.len()
            && !self.truth.due(at(self.moment))
            && self.wire.iter().all(|sent| next.since(at(sent.decided)) <= STRAGGLER_MS)
    }
}

impl Model for Renewal {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let truth = Truth { period: 0, ends: false, over: false, failing: None };
        let mut row = AggregateState::default();
        row.mark(&HintTerms { priority: Priority::Event, due: at(0), unpark: false, thorough: false });
        let mut state = State {
            left: self.budget,
            moment: 0,
            truth,
            hints: 0,
            row,
            mirror: None,
            commands: Vec::new(),
            wire: Vec::new(),
            keys: Vec::new(),
            asked: None,
            told: None,
            charged: false,
            renewed: false,
        };
        // The purchase is mirrored before anybody can cancel it.
        let bought = self.sync(&mut state);
        state.tidy();
        bought.map(|()| state).into_iter().collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.may_tick() {
            actions.push(Action::Tick);
        }
        if state.truth.due(at(state.moment)) {
            actions.push(Action::Renew { declined: false });
            if !state.truth.ends {
                actions.push(Action::Renew { declined: true });
            }
        }
        if !state.truth.over {
            actions.push(Action::Portal);
            if state.truth.failing.is_some() {
                actions.extend([Action::Collect, Action::GiveUp]);
            }
        }
        actions.extend([Wish::CancelAtEnd, Wish::CancelNow, Wish::Resume].map(Action::Ask));
        for (index, command) in state.commands.iter().enumerate() {
            if command.row.due(at(state.moment)) {
                actions.push(Action::Send(index));
            }
        }
        for request in 0..state.wire.len() {
            actions.push(Action::Arrive { request, unheard: false });
            actions.push(Action::Arrive { request, unheard: true });
            actions.push(Action::Lose(request));
            actions.push(Action::TimeOut(request));
        }
        if state.hints > 0 {
            actions.push(Action::Hint);
        }
        actions.push(Action::Sync);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, &action)?;
        state.tidy();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I3: after drain the mirror is the provider's", |m: &Self, s: &State| {
                !s.drained() || s.mirror.as_ref().is_some_and(|mirror| mirror.facts == m.facts(s.truth))
            }),
            Property::always("I5: after drain access is what the policy says", |m: &Self, s: &State| {
                let now = at(s.moment);
                let expected = s.truth.access(now, &m.policy);
                !s.drained() || s.mirror.as_ref().is_some_and(|mirror| mirror.standing.at(now) == expected)
            }),
            Property::always("I5: access never outlives an end that is known", |_, s: &State| {
                let now = at(s.moment);
                s.mirror.as_ref().is_none_or(|mirror| {
                    let over = mirror.facts.ends_at().is_some_and(|end| now >= end);
                    !over || !mirror.standing.at(now).allows() || mirror.facts.status.as_str() == "past_due"
                })
            }),
            Property::always("I7: no charge after a cancel that was answered", |_, s: &State| !s.charged),
            Property::always("what the customer was told stays so", |_, s: &State| match s.told {
                None => true,
                Some(Wish::CancelAtEnd) => s.truth.ends || s.truth.over,
                Some(Wish::CancelNow) => s.truth.over,
                Some(Wish::Resume) => !s.truth.ends || s.truth.over,
            }),
            Property::always("every command can end", |_, s: &State| {
                let mut pending = s.commands.iter().filter(|c| c.row.state == CommandState::Pending);
                let later = at(s.moment).plus_ms(DAY_MS);
                pending.next().is_none_or(|first| first.row.due(later))
            }),
            Property::sometimes("a renewal is charged", |_, s: &State| s.renewed && s.drained()),
            Property::sometimes("a cancelled one ends with its period", |_, s: &State| {
                s.drained() && s.truth.over && s.told == Some(Wish::CancelAtEnd)
            }),
            Property::sometimes("a grace ends by itself", |m: &Self, s: &State| {
                let now = at(s.moment);
                m.budget.declined == 0
                    || s.mirror.as_ref().is_some_and(|mirror| {
                        mirror.facts.status.as_str() == "past_due"
                            && mirror.standing.at(now) == Access::Revoked
                    })
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, check_all};

    #[test]
    fn a_cancel_holds_against_every_renewal() {
        for (name, budget) in SMALL {
            let outcome = check(Renewal::new(budget, None).expect("a model"));
            println!("renewal, {name}: {outcome}");
            assert!(outcome.holds(), "{name}: {outcome}");
        }
    }

    #[test]
    fn without_order_a_renewal_is_charged_after_a_cancel_that_was_answered() {
        let [(_, budget), ..] = SMALL;
        let outcome = check_all(Renewal::new(budget, Some(Mutant::Unordered)).expect("a model"));
        assert!(outcome.broken.iter().any(|(name, _)| name.starts_with("I7")), "{outcome}");
    }

    #[test]
    fn every_mutant_is_found() {
        for mutant in Mutant::ALL {
            let mut outcomes = SMALL
                .into_iter()
                .map(|(_, budget)| check(Renewal::new(budget, Some(mutant)).expect("a model")));
            let found = outcomes.find(|outcome| !outcome.broken.is_empty());
            println!("renewal, {mutant:?}: {}", found.unwrap_or_else(|| panic!("{mutant:?} was not found")));
        }
    }
}
