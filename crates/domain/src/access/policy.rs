//! The operator's choices about access, and the one function that applies them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::table::{PolicyError, StatusTable};
use super::{Access, Standing};
use crate::catalog::Interval;
use crate::ids::PlanKey;
use crate::mutant::{self, Mutant};
use crate::subscription::{InvoiceFacts, SubscriptionFacts, SubscriptionStatus};
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// What money that goes back does to what it paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMoneyBack {
    /// Access ends.
    Revoke,
    /// Access stays.
    Keep,
}

/// What a payment does that arrives after its subscription has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLatePayment {
    /// It gives the period that it paid for.
    Grant,
    /// It gives nothing, as the subscription says: an operator pays it back.
    Ignore,
}

/// What happens to access when money comes back, or comes late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoneyPolicy {
    /// The payment was refunded in full.
    pub refund_full: OnMoneyBack,
    /// A part of it was refunded.
    pub refund_partial: OnMoneyBack,
    /// An early fraud warning stands: the cardholder has told the bank, and a dispute may follow.
    pub early_fraud_warning: OnMoneyBack,
    /// The bank inquires; no money was taken.
    pub dispute_inquiry: OnMoneyBack,
    /// A dispute of it is open.
    pub dispute_opened: OnMoneyBack,
    /// A dispute of it was lost.
    pub dispute_lost: OnMoneyBack,
    /// A dispute of it was won.
    pub dispute_won: OnMoneyBack,
    /// It arrived after the subscription had ended.
    pub late_payment: OnLatePayment,
}

impl Default for MoneyPolicy {
    fn default() -> Self {
        Self {
            refund_full: OnMoneyBack::Revoke,
            refund_partial: OnMoneyBack::Keep,
            early_fraud_warning: OnMoneyBack::Keep,
            dispute_inquiry: OnMoneyBack::Keep,
            dispute_opened: OnMoneyBack::Revoke,
            dispute_lost: OnMoneyBack::Revoke,
            dispute_won: OnMoneyBack::Keep,
            late_payment: OnLatePayment::Ignore,
        }
    }
}

/// What became of the money that paid for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoneyState {
    /// Nothing came back.
    Kept,
    /// A part of it was refunded.
    PartlyRefunded,
    /// All of it was refunded.
    Refunded,
    /// An early fraud warning stands.
    Warned,
    /// The bank inquires; no money was taken.
    Inquiry,
    /// A dispute is open.
    Disputed,
    /// A dispute was lost.
    DisputeLost,
    /// A dispute was won: the money is back.
    DisputeWon,
}

impl MoneyState {
    /// The word used in database, API and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::PartlyRefunded => "partly_refunded",
            Self::Refunded => "refunded",
            Self::Warned => "warned",
            Self::Inquiry => "inquiry",
            Self::Disputed => "disputed",
            Self::DisputeLost => "dispute_lost",
            Self::DisputeWon => "dispute_won",
        }
    }

    /// Whether some of the money is still ours to give back.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        match self {
            Self::Kept | Self::PartlyRefunded | Self::Warned | Self::Inquiry | Self::DisputeWon => true,
            Self::Refunded | Self::Disputed | Self::DisputeLost => false,
        }
    }
}

/// What is different for one plan; what is left out is as for all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanAccess {
    /// Days of access after a payment failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u32>,
    /// The same by how often it is charged.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grace_days_by_interval: BTreeMap<Interval, u32>,
}

/// The operator's choices in the table of engine.md section 6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessPolicy {
    /// Days of access after a payment failed, counted from the provider's record of the failure.
    pub grace_days: u32,
    /// The same by how often it is charged.
    pub grace_days_by_interval: BTreeMap<Interval, u32>,
    /// Hours that access outlives a period whose renewal nobody could confirm (provider unreachable).
    pub renewal_slack_hours: u32,
    /// Whether a cancelled subscription keeps the period that was paid for.
    pub canceled_keeps_paid_period: bool,
    /// What is different for single plans.
    pub plan: BTreeMap<PlanKey, PlanAccess>,
    /// What each status gives.
    pub status: StatusTable,
    /// What money does that comes back, or comes late.
    pub money: MoneyPolicy,
}

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            grace_days: 7,
            grace_days_by_interval: BTreeMap::new(),
            renewal_slack_hours: 72,
            canceled_keeps_paid_period: false,
            plan: BTreeMap::new(),
            status: StatusTable::default(),
            money: MoneyPolicy::default(),
        }
    }
}

/// The longest grace that a policy may name, in days.
const MOST_GRACE_DAYS: u32 = 3_650;

impl AccessPolicy {
    /// Whether the policy makes sense.
    ///
    /// # Errors
    /// The first setting that does not, with what may stand there.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.status.check()?;
        let plans = self.plan.iter().flat_map(|(key, plan)| {
            let own = plan.grace_days.map(|days| (format!("plan.{key}.grace_days"), days));
            own.into_iter().chain(by_interval(&format!("plan.{key}."), &plan.grace_days_by_interval))
        });
        let all = std::iter::once(("grace_days".to_owned(), self.grace_days))
            .chain(by_interval("", &self.grace_days_by_interval))
            .chain(plans);
        for (key, days) in all {
            let never = key.ends_with(".once");
            if never || days > MOST_GRACE_DAYS {
                let why =
                    if never { "what is bought once is not renewed" } else { "that is more than ten years" };
                return Err(PolicyError {
                    key,
                    value: days.to_string(),
                    why: why.to_owned(),
                    allowed: format!("0 to {MOST_GRACE_DAYS} days, for day, week, month or year"),
                });
            }
        }
        Ok(())
    }

    /// Days of access after a payment for this plan failed.
    #[must_use]
    pub fn grace_days_of(&self, plan: Option<&PlanKey>, interval: Option<Interval>) -> u32 {
        let own = plan.and_then(|plan| self.plan.get(plan));
        let within =
            |days: &BTreeMap<Interval, u32>| interval.and_then(|interval| days.get(&interval).copied());
        own.and_then(|own| within(&own.grace_days_by_interval).or(own.grace_days))
            .or_else(|| within(&self.grace_days_by_interval))
            .unwrap_or(self.grace_days)
    }

    /// Whether what became of the money ends access.
    #[must_use]
    pub fn money_ends_access(&self, money: MoneyState) -> bool {
        let then = match money {
            MoneyState::Kept => OnMoneyBack::Keep,
            MoneyState::PartlyRefunded => self.money.refund_partial,
            MoneyState::Refunded => self.money.refund_full,
            MoneyState::Warned => self.money.early_fraud_warning,
            MoneyState::Inquiry => self.money.dispute_inquiry,
            MoneyState::Disputed => self.money.dispute_opened,
            MoneyState::DisputeLost => self.money.dispute_lost,
            MoneyState::DisputeWon => self.money.dispute_won,
        };
        then == OnMoneyBack::Revoke
    }

    /// The standing of a subscription whose plan makes no difference; see [`AccessPolicy::standing_of`].
    #[must_use]
    pub fn standing(
        &self,
        facts: &SubscriptionFacts,
        previous: Option<Standing>,
        now: Timestamp,
    ) -> Standing {
        self.standing_of(facts, None, previous, now)
    }

    /// The standing of a subscription that holds `plan`: the state table.
    ///
    /// `previous` is what was stored before: kept where the status is one we do not know (it never
    /// widens: with nothing stored it is `Pending`), and the last resort for the grace anchor.
    #[must_use]
    pub fn standing_of(
        &self,
        facts: &SubscriptionFacts,
        plan: Option<&PlanKey>,
        previous: Option<Standing>,
        now: Timestamp,
    ) -> Standing {
        if let Some(paid) = self.paid_after_the_end(facts) {
            return paid;
        }
        match self.status.of(&facts.status) {
            None => previous.unwrap_or(Standing::Pending),
            Some(Access::Granted) if pauses(facts) => paused(facts),
            Some(Access::Granted) => {
                // Access never has no end, and a planned one does not vouch for the renewals before it.
                let slack = i64::from(self.renewal_slack_hours) * HOUR_MS;
                let confirmed = facts.confirmed_until(now).plus_ms(slack);
                Standing::Granted { until: Some(facts.ends_at().map_or(confirmed, |end| end.min(confirmed))) }
            }
            Some(Access::Grace) => self.grace(facts, plan, previous, now),
            Some(Access::Pending) => Standing::Pending,
            Some(Access::Revoked) => Standing::Revoked,
        }
    }

    fn grace(
        &self,
        facts: &SubscriptionFacts,
        plan: Option<&PlanKey>,
        previous: Option<Standing>,
        now: Timestamp,
    ) -> Standing {
        let anchor = facts.failing_since.filter(|_| !mutant::is(Mutant::GraceAnchor));
        let since = anchor.unwrap_or_else(|| match previous {
            _ if mutant::is(Mutant::GraceAnchor) => now,
            Some(Standing::Grace { since, .. }) => since,
            Some(Standing::Pending | Standing::Granted { .. } | Standing::Revoked) | None => {
                facts.period_start().unwrap_or(facts.created_at)
            }
        });
        let interval =
            facts.items.first().and_then(|item| item.interval.as_deref()).and_then(Interval::parse);
        let until = since.plus_ms(i64::from(self.grace_days_of(plan, interval)) * DAY_MS);
        Standing::Grace { since, until: facts.ends_at().map_or(until, |end| end.min(until)) }
    }

    /// What a cancelled subscription keeps: the paid period, where the policy says so, or where it was paid only
    /// after the end.
    fn paid_after_the_end(&self, facts: &SubscriptionFacts) -> Option<Standing> {
        if facts.status != SubscriptionStatus::Canceled {
            return None;
        }
        let newest = facts.latest_invoice.as_ref().filter(|invoice| invoice.status == "paid");
        let paid_at = facts.paid.as_ref().map_or_else(|| newest.and_then(|i| i.paid_at), |paid| paid.paid_at);
        let late = self.money.late_payment == OnLatePayment::Grant
            && matches!((paid_at, facts.ended_at), (Some(paid), Some(ended)) if paid > ended);
        let until = facts.period_end().filter(|_| facts.period_is_paid())?;
        (late || self.canceled_keeps_paid_period).then_some(Standing::Granted { until: Some(until) })
    }

    /// The money that arrived after its subscription had ended and that gives nothing: the newest invoice, owed before the
    /// end and paid after it, for a period that the end cut short. What a last period has used is paid for late, too, and
    /// was given.
    #[must_use]
    pub fn paid_for_nothing<'a>(&self, facts: &'a SubscriptionFacts) -> Option<&'a InvoiceFacts> {
        if facts.status != SubscriptionStatus::Canceled || self.paid_after_the_end(facts).is_some() {
            return None;
        }
        let invoice = facts.latest_invoice.as_ref().filter(|invoice| invoice.status == "paid")?;
        let (ended, paid) = (facts.ended_at?, invoice.paid_at?);
        let owed = invoice.bill.finalized_at.or(invoice.due_at).is_none_or(|owed| owed < ended);
        let cut = facts.period_end().is_some_and(|end| ended < end);
        let costs = invoice.bill.total.is_none_or(|total| total.minor > 0);
        (ended < paid && owed && cut && costs).then_some(invoice)
    }
}

/// Whether its periods go on while nobody pays for them.
fn pauses(facts: &SubscriptionFacts) -> bool {
    let runs = matches!(facts.status, SubscriptionStatus::Trialing | SubscriptionStatus::Active);
    runs && facts.ahead.pause.is_some()
}

/// While nothing is collected, what was paid for (or is a trial) is used up, and then access ends: the provider
/// begins new periods all the same, but their invoices are not paid.
fn paused(facts: &SubscriptionFacts) -> Standing {
    let trial = facts.trial_end.filter(|_| facts.status == SubscriptionStatus::Trialing);
    let paid = match &facts.paid {
        Some(paid) => Some(facts.period_end().map_or(paid.until, |end| end.min(paid.until))),
        None => facts.period_end().filter(|_| facts.period_is_paid()),
    };
    let until = trial.or(paid);
    match until {
        Some(until) => Standing::Granted { until: Some(facts.ends_at().map_or(until, |end| end.min(until))) },
        None => Standing::Revoked,
    }
}

fn by_interval(place: &str, days: &BTreeMap<Interval, u32>) -> Vec<(String, u32)> {
    let key = |interval: &Interval| format!("{place}grace_days_by_interval.{}", interval.as_str());
    days.iter().map(|(interval, days)| (key(interval), *days)).collect()
}
