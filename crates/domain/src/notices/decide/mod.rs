//! Which notices are due, and when the next one will be.
//!
//! Two sorts of facts. *News* has happened: it is told if it came up since the last look, or is no older than the policy's
//! bound, so that the first sight of an old account tells no old news. The last look counts from a margin before it, because
//! the provider's times are whole seconds and clocks differ. What is *ahead* is told at a moment that the rules
//! leave, or at once where that is over and the fact is still to come. Both are found again at every look; the natural key
//! makes them one message.

mod ahead;
mod data;
mod money;
mod subscription;

use serde_json::{Map, Value};

use super::moment::{AppliedRule, at_once};
use super::rules::{Case, RuleTable};
use super::{Announcement, Notice, NoticeKind, NoticePolicy};
use crate::access::MoneyState;
use crate::ids::{PlanGroup, PlanKey};
use crate::projection::{Anomaly, Effect, Projection, Stored};
use crate::subscription::{Card, Duplicate, Subscription, SubscriptionStatus};
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};

pub(super) use ahead::meets;
pub use data::put_charged;
pub(super) use money::has_too;
pub(crate) use subscription::is_owed;
pub(super) use subscription::{gives_too, is_failing};

/// How far before the last look something may have happened and still be news, in milliseconds: the provider tells whole
/// seconds, and its clock and those of the nodes differ by minutes at most. The natural key keeps it one message.
const LOOK_MARGIN_MS: i64 = 10 * MINUTE_MS;
/// How old what is learnt late can be: the provider keeps its events for 30 days.
const LEARNT_LATE_MS: i64 = 30 * DAY_MS;

/// A notice that was written down before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it was about.
    pub kind: NoticeKind,
    /// The object.
    pub object: String,
    /// Which occurrence.
    pub occurrence: String,
    /// The moment that it was about.
    pub about: Option<Timestamp>,
    /// The rules that it was for, and how it kept them.
    pub rules: Vec<AppliedRule>,
}

/// Something that a customer has the use of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The subscription, purchase or grant that gives it.
    pub source: String,
    /// The plan.
    pub plan: PlanKey,
    /// The plan's group, while the catalog has it.
    pub group: Option<PlanGroup>,
}

/// Why we ended a subscription ourselves: to the provider that is a request like a customer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnEnd {
    /// Our tries to have it paid are exhausted.
    PaymentFailed,
    /// Its trial was a second one.
    TrialUsed,
    /// Its customer is suspended.
    Suspended,
}

impl OwnEnd {
    /// The word that stands in a notice, in the place of the provider's reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentFailed => "payment_failed",
            Self::TrialUsed => "trial_used",
            Self::Suspended => "suspended",
        }
    }
}

/// What a decision needs that no projection shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// What the customer has the use of, from whichever source.
    pub held: Vec<Held>,
    /// Subscriptions that we ended ourselves, and why.
    pub own_ends: Vec<(String, OwnEnd)>,
    /// Subscriptions whose trial we end, though they are still in it.
    pub trials_cut: Vec<String>,
}

/// What a decision needs besides the projection.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The operator's choices.
    pub policy: &'a NoticePolicy,
    /// The rules.
    pub rules: &'a RuleTable,
    /// What was told about this customer before, as far back as a renewal.
    pub told: &'a [Told],
    /// Announced changes that are still ahead.
    pub announced: &'a [Announcement],
    /// What no projection shows.
    pub beside: &'a Beside,
    /// When the customer was looked at before; `None` at the first look.
    pub looked_at: Option<Timestamp>,
    /// The moment of this look.
    pub now: Timestamp,
}

/// Adds to a projection the notices that are due, the windows that were missed, and when to look for the next.
pub fn decide(stored: &Stored, projection: &mut Projection, wanted: Wanted<'_>) {
    // Nobody is linked, so there is nobody to tell; once somebody is, what is still news is told then.
    if stored.customer.is_none() {
        return;
    }
    let known = stored.subscriptions.iter().all(|s| s.customer == stored.customer)
        && stored.purchases.iter().all(|p| p.customer == stored.customer);
    let bound = wanted.now.plus_ms(-i64::from(wanted.policy.news_days) * DAY_MS);
    let looked_at = wanted.looked_at.filter(|_| known);
    let mut due = Due {
        wanted,
        known: looked_at.is_some(),
        news_since: looked_at.map_or(bound, |at| at.plus_ms(-LOOK_MARGIN_MS).min(bound)),
        notices: Vec::new(),
        missed: Vec::new(),
        look: Vec::new(),
    };
    for new in projection.subscriptions.iter().filter(|s| !s.missing) {
        let old =
            stored.subscriptions.iter().find(|s| s.facts.id == new.facts.id && s.customer == stored.customer);
        due.subscription(old, new, projection);
    }
    for new in &projection.purchases {
        let old =
            stored.purchases.iter().find(|p| p.facts.id == new.facts.id && p.customer == stored.customer);
        due.purchase(old, new, projection);
    }
    due.receipts(projection);
    due.refunds(stored, projection);
    due.cards(projection);
    let Due { notices, missed, look, .. } = due;
    projection.effects.extend(notices.into_iter().map(Effect::Notice));
    projection.anomalies.extend(missed);
    let next = look.into_iter().filter(|at| *at > wanted.now).min();
    projection.look_again_at = match (projection.look_again_at, next) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    };
}

struct Due<'a> {
    wanted: Wanted<'a>,
    /// Somebody looked at this customer before.
    known: bool,
    news_since: Timestamp,
    notices: Vec<Notice>,
    missed: Vec<Anomaly>,
    look: Vec<Timestamp>,
}

impl Due<'_> {
    fn tell(&mut self, kind: NoticeKind, object: &str, occurrence: String, data: Map<String, Value>) {
        self.tell_by(kind, object, occurrence, data, Vec::new());
    }

    /// Tells what some rules want told when it happens.
    fn tell_by(
        &mut self,
        kind: NoticeKind,
        object: &str,
        occurrence: String,
        data: Map<String, Value>,
        rules: Vec<AppliedRule>,
    ) {
        let (object, data) = (object.to_owned(), Value::Object(data));
        self.notices.push(Notice { kind, object, occurrence, about: None, data, rules });
    }

    fn rules_at(&self, kind: NoticeKind, new: &Subscription) -> Vec<AppliedRule> {
        let length = new.facts.trial_end.map(|end| end.since(trial_start(new)));
        let case = case(kind, new, length.filter(|_| is_free_trial(new)));
        at_once(&self.wanted.rules.applicable(case, false))
    }

    /// Whether a trial is a gift to tell of: not one that we end as it begins.
    fn is_told_trial(&self, new: &Subscription) -> bool {
        is_free_trial(new) && !self.wanted.beside.trials_cut.contains(&new.facts.id)
    }

    fn is_news(&self, at: Timestamp) -> bool {
        at >= self.news_since
    }

    fn was_told(&self, kind: NoticeKind, object: &str, occurrence: &str) -> bool {
        self.wanted.told.iter().any(|t| t.kind == kind && t.object == object && t.occurrence == occurrence)
    }

    fn subscription(&mut self, old: Option<&Subscription>, new: &Subscription, all: &Projection) {
        self.cancelled(new);
        self.access_ended(old, new, all);
        // Of a subscription that is one too many the customer hears that its money goes back, and that it is over.
        if matches!(new.duplicate, Some(Duplicate::Cancel { .. })) {
            return;
        }
        self.payment(old, new);
        self.grace_ending(new);
        self.plan_changed(old, new);
        self.trial_ending(new);
        self.renewal_ahead(new);
        self.announced(new);
    }
}

fn trial_start(new: &Subscription) -> Timestamp {
    new.facts.told.trial_start.unwrap_or(new.facts.created_at)
}

/// Whether a trial is a gift; waiting for another subscription's end looks the same to the provider, and is none.
fn is_free_trial(new: &Subscription) -> bool {
    new.facts.status == SubscriptionStatus::Trialing && new.facts.ahead.starts_after.is_none()
}

fn word(money: MoneyState) -> Option<&'static str> {
    match money {
        MoneyState::Kept | MoneyState::PartlyRefunded | MoneyState::DisputeWon => None,
        MoneyState::Refunded => Some("refunded"),
        // Where they end access, the reason is the same.
        MoneyState::Warned | MoneyState::Inquiry | MoneyState::Disputed | MoneyState::DisputeLost => {
            Some("disputed")
        }
    }
}

fn case<'a>(kind: NoticeKind, new: &'a Subscription, trial_ms: Option<i64>) -> Case<'a> {
    let card: Option<&'a Card> = new.facts.told.card.as_ref();
    let period = new.facts.period_start().zip(new.facts.period_end());
    Case {
        kind,
        network: card.and_then(|card| card.brand.as_deref()),
        country: card.and_then(|card| card.country.as_deref()),
        trial_ms,
        period_ms: period.map(|(start, end)| end.since(start)),
    }
}
