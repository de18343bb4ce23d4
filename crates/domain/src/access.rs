//! What a subscription's status does to access: the state table of engine.md section 6.
//!
//! Pure and total over the statuses. What is stored is a [`Standing`], which carries its own end, so
//! that access ends on time when nobody looks, no event arrives and no job runs.

use serde::{Deserialize, Serialize};

use crate::mutant::{self, Mutant};
use crate::subscription::{SubscriptionFacts, SubscriptionStatus};
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// What a customer may do now, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Not any more.
    Revoked,
    /// Not yet: a payment is being made.
    Pending,
    /// Yes, although a payment failed, until a fixed time.
    Grace,
    /// Yes.
    Granted,
}

impl Access {
    /// The word used in API, logs, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Pending => "pending",
            Self::Grace => "grace",
            Self::Granted => "granted",
        }
    }

    /// Whether the feature may be used.
    #[must_use]
    pub const fn allows(self) -> bool {
        match self {
            Self::Granted | Self::Grace => true,
            Self::Pending | Self::Revoked => false,
        }
    }
}

/// What is stored: the access and how long it lasts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "access")]
pub enum Standing {
    /// Waiting for a first payment.
    Pending,
    /// Paid for, until `until` unless the provider confirms a renewal before; `None` has no end.
    Granted {
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// A payment failed at `since`; access lasts until `until`, fixed.
    Grace {
        /// The provider's record of the failure.
        since: Timestamp,
        /// When access ends.
        until: Timestamp,
    },
    /// No access.
    Revoked,
}

impl Standing {
    /// The access at a moment; expiry is evaluated here and nowhere else.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Access {
        match self {
            Self::Pending => Access::Pending,
            Self::Granted { until: None } => Access::Granted,
            Self::Granted { until: Some(until) } if now < *until => Access::Granted,
            Self::Grace { until, .. } if now < *until => Access::Grace,
            Self::Granted { until: Some(_) } | Self::Grace { .. } | Self::Revoked => Access::Revoked,
        }
    }

    /// When the access it gives ends by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Granted { until } => *until,
            Self::Grace { until, .. } => Some(*until),
            Self::Pending | Self::Revoked => None,
        }
    }

    /// This standing, but never more access at `now` than `before` gives: a no stays a no, and a yes needs
    /// an earlier yes and ends with whichever ends first.
    #[must_use]
    pub fn not_beyond(self, before: Option<Self>, now: Timestamp) -> Self {
        if !self.at(now).allows() {
            return self;
        }
        let before = before.unwrap_or(Self::Pending);
        let end = |standing: &Self| standing.until().map_or(i64::MAX, Timestamp::ms);
        if before.at(now).allows() && end(&self) < end(&before) { self } else { before }
    }
}

/// What a fully refunded or a disputed payment does to what it paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMoneyBack {
    /// Access ends.
    Revoke,
    /// Access stays.
    Keep,
}

/// The operator's choices in the table of engine.md section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessPolicy {
    /// Days of access after a payment failed, counted from the provider's record of the failure.
    pub grace_days: u32,
    /// Hours that access outlives a period whose renewal nobody could confirm (provider unreachable).
    pub renewal_slack_hours: u32,
    /// Whether a cancelled subscription keeps the period that was paid for.
    pub canceled_keeps_paid_period: bool,
    /// What a full refund of the latest payment does.
    pub on_refund: OnMoneyBack,
    /// What a dispute that is open or lost does; a won one gives back what it took.
    pub on_dispute: OnMoneyBack,
}

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            grace_days: 7,
            renewal_slack_hours: 72,
            canceled_keeps_paid_period: false,
            on_refund: OnMoneyBack::Revoke,
            on_dispute: OnMoneyBack::Revoke,
        }
    }
}

/// What became of the money that paid for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoneyState {
    /// Nothing came back.
    Kept,
    /// All of it was refunded.
    Refunded,
    /// A dispute is open or lost.
    Disputed,
}

impl AccessPolicy {
    /// Whether what became of the money ends access.
    #[must_use]
    pub fn money_ends_access(&self, money: MoneyState) -> bool {
        match money {
            MoneyState::Kept => false,
            MoneyState::Refunded => self.on_refund == OnMoneyBack::Revoke,
            MoneyState::Disputed => self.on_dispute == OnMoneyBack::Revoke,
        }
    }

    /// The standing of a subscription: the state table.
    ///
    /// `previous` is what was stored before: kept where the status is one we do not know (it never
    /// widens: with nothing stored it is `Pending`), and the last resort for the grace anchor.
    #[must_use]
    pub fn standing(
        &self,
        facts: &SubscriptionFacts,
        previous: Option<Standing>,
        now: Timestamp,
    ) -> Standing {
        match &facts.status {
            SubscriptionStatus::Trialing | SubscriptionStatus::Active if facts.ahead.pause.is_some() => {
                paused(facts)
            }
            SubscriptionStatus::Trialing | SubscriptionStatus::Active => {
                // Access never has no end, and a planned one does not vouch for the renewals before it.
                let slack = i64::from(self.renewal_slack_hours) * HOUR_MS;
                let confirmed = facts.confirmed_until(now).plus_ms(slack);
                Standing::Granted { until: Some(facts.ends_at().map_or(confirmed, |end| end.min(confirmed))) }
            }
            SubscriptionStatus::PastDue => {
                let anchor = facts.failing_since.filter(|_| !mutant::is(Mutant::GraceAnchor));
                let since = anchor.unwrap_or_else(|| match previous {
                    _ if mutant::is(Mutant::GraceAnchor) => now,
                    Some(Standing::Grace { since, .. }) => since,
                    Some(Standing::Pending | Standing::Granted { .. } | Standing::Revoked) | None => {
                        facts.period_start().unwrap_or(facts.created_at)
                    }
                });
                let until = since.plus_ms(i64::from(self.grace_days) * DAY_MS);
                Standing::Grace { since, until: facts.ends_at().map_or(until, |end| end.min(until)) }
            }
            SubscriptionStatus::Incomplete => Standing::Pending,
            SubscriptionStatus::Canceled if self.canceled_keeps_paid_period => match facts.period_end() {
                Some(until) if facts.latest_invoice.as_ref().is_some_and(|i| i.status == "paid") => {
                    Standing::Granted { until: Some(until) }
                }
                Some(_) | None => Standing::Revoked,
            },
            SubscriptionStatus::Canceled
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused => Standing::Revoked,
            SubscriptionStatus::Unknown(_) => previous.unwrap_or(Standing::Pending),
        }
    }
}

/// While nothing is collected, what was paid for (or is a trial) is used up, and then access ends: the provider
/// begins new periods all the same, but their invoices are not paid.
fn paused(facts: &SubscriptionFacts) -> Standing {
    let trial = facts.trial_end.filter(|_| facts.status == SubscriptionStatus::Trialing);
    let paid = facts.latest_invoice.as_ref().is_some_and(|invoice| invoice.status == "paid");
    let until = trial.or_else(|| facts.period_end().filter(|_| paid));
    match until {
        Some(until) => Standing::Granted { until: Some(facts.ends_at().map_or(until, |end| end.min(until))) },
        None => Standing::Revoked,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::money::{Currency, Money};
    use crate::subscription::{InvoiceFacts, ItemFacts};

    pub(crate) const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);

    pub(crate) fn facts(status: &str) -> SubscriptionFacts {
        SubscriptionFacts {
            id: "sub_1".into(),
            status: SubscriptionStatus::from(status.to_owned()),
            items: vec![ItemFacts {
                id: "si_1".into(),
                price: "price_pro".into(),
                lookup_key: Some("pro_month_jpy".into()),
                unit_price: None,
                interval: Some("month".into()),
                quantity: 1,
                period_start: Some(T0),
                period_end: Some(T0.plus_ms(30 * DAY_MS)),
            }],
            currency: None,
            created_at: T0,
            cancel_at_period_end: false,
            cancel_at: None,
            ended_at: None,
            trial_end: None,
            failing_since: None,
            latest_invoice: None,
            named_customer: None,
            checkout: None,
            ahead: crate::subscription::Ahead::default(),
            told: crate::subscription::ToldFacts::default(),
        }
    }

    #[test]
    fn a_pause_uses_up_what_was_paid_for_and_nothing_more() {
        use crate::subscription::{Ahead, CollectionPause};
        let policy = AccessPolicy::default();
        let invoice = |status: &str| InvoiceFacts {
            id: "in_1".into(),
            status: status.into(),
            remaining: Money::new(0, Currency::parse("jpy").unwrap()),
            attempt_count: 1,
            next_attempt_at: None,
            payments: Vec::new(),
            bill: crate::subscription::Bill::default(),
        };
        let pause = CollectionPause { behavior: "void".into(), resumes_at: None };
        let paused = |status: &str, invoiced: &str| SubscriptionFacts {
            latest_invoice: Some(invoice(invoiced)),
            ahead: Ahead { pause: Some(pause.clone()), ..Ahead::default() },
            ..facts(status)
        };
        let end = T0.plus_ms(30 * DAY_MS);
        let standing = policy.standing(&paused("active", "paid"), None, T0);
        assert_eq!(standing, Standing::Granted { until: Some(end) }, "no slack: nothing is to be confirmed");
        for unpaid in ["void", "draft", "uncollectible", "open"] {
            assert_eq!(policy.standing(&paused("active", unpaid), None, T0), Standing::Revoked, "{unpaid}");
        }
        let trial = SubscriptionFacts { trial_end: Some(end), ..paused("trialing", "draft") };
        assert_eq!(policy.standing(&trial, None, T0), Standing::Granted { until: Some(end) });
        let late = policy.standing(&paused("past_due", "open"), None, T0);
        assert_eq!(late.at(T0), Access::Grace, "a debt stays a debt");
    }

    #[test]
    fn the_table_of_statuses() {
        let policy = AccessPolicy::default();
        for (status, access) in [
            ("trialing", Access::Granted),
            ("active", Access::Granted),
            ("past_due", Access::Grace),
            ("incomplete", Access::Pending),
            ("incomplete_expired", Access::Revoked),
            ("unpaid", Access::Revoked),
            ("canceled", Access::Revoked),
            ("paused", Access::Revoked),
        ] {
            assert_eq!(policy.standing(&facts(status), None, T0).at(T0), access, "{status}");
        }
    }

    #[test]
    fn a24_an_unknown_status_keeps_what_was_and_never_grants() {
        let policy = AccessPolicy::default();
        let granted = Standing::Granted { until: Some(T0.plus_ms(DAY_MS)) };
        assert_eq!(policy.standing(&facts("hibernating"), Some(granted), T0), granted);
        assert_eq!(policy.standing(&facts("hibernating"), None, T0).at(T0), Access::Pending);
    }

    #[test]
    fn a6_grace_is_anchored_once_however_often_it_is_looked_at() {
        let policy = AccessPolicy::default();
        let mut failing = facts("past_due");
        failing.failing_since = Some(T0);
        let mut standing = None;
        for day in 0..21 {
            standing = Some(policy.standing(&failing, standing, T0.plus_ms(day * DAY_MS)));
            assert_eq!(standing.and_then(|s| s.until()), Some(T0.plus_ms(7 * DAY_MS)), "day {day}");
        }
        let standing = standing.unwrap();
        assert_eq!(standing.at(T0.plus_ms(7 * DAY_MS - 1)), Access::Grace);
        assert_eq!(standing.at(T0.plus_ms(7 * DAY_MS)), Access::Revoked);
    }

    #[test]
    fn a6_without_a_record_the_first_anchor_stays() {
        let policy = AccessPolicy::default();
        let first = policy.standing(&facts("past_due"), None, T0.plus_ms(DAY_MS));
        let mut later = facts("past_due");
        later.items[0].period_start = Some(T0.plus_ms(20 * DAY_MS));
        assert_eq!(policy.standing(&later, Some(first), T0.plus_ms(20 * DAY_MS)), first);
    }

    #[test]
    fn a9_granted_access_always_has_an_end() {
        let policy = AccessPolicy::default();
        let standing = policy.standing(&facts("active"), None, T0);
        assert_eq!(standing.at(T0.plus_ms(33 * DAY_MS - 1)), Access::Granted);
        assert_eq!(standing.at(T0.plus_ms(33 * DAY_MS)), Access::Revoked);
    }

    #[test]
    fn b13_without_a_period_access_lasts_from_one_confirmation_to_the_next() {
        let policy = AccessPolicy::default();
        let mut odd = facts("active");
        odd.items[0].period_end = None;
        let standing = policy.standing(&odd, None, T0);
        assert_eq!(standing, Standing::Granted { until: Some(T0.plus_ms(72 * HOUR_MS)) });
    }

    #[test]
    fn a_planned_end_is_exact() {
        let policy = AccessPolicy::default();
        let mut ending = facts("active");
        ending.cancel_at_period_end = true;
        let standing = policy.standing(&ending, None, T0);
        assert_eq!(standing.until(), Some(T0.plus_ms(30 * DAY_MS)));
        assert_eq!(standing.at(T0.plus_ms(30 * DAY_MS)), Access::Revoked);
    }

    #[test]
    fn a9_a_distant_planned_end_does_not_vouch_for_the_renewals_before_it() {
        let policy = AccessPolicy::default();
        let mut ending = facts("active");
        ending.cancel_at = Some(T0.plus_ms(365 * DAY_MS));
        let standing = policy.standing(&ending, None, T0);
        assert_eq!(standing.until(), Some(T0.plus_ms(33 * DAY_MS)), "one period and the slack");
    }

    #[test]
    fn grace_ends_with_the_subscription_at_the_latest() {
        let policy = AccessPolicy::default();
        let mut failing = facts("past_due");
        failing.failing_since = Some(T0);
        failing.cancel_at = Some(T0.plus_ms(2 * DAY_MS));
        let standing = policy.standing(&failing, None, T0);
        assert_eq!(standing, Standing::Grace { since: T0, until: T0.plus_ms(2 * DAY_MS) });
    }

    #[test]
    fn cancelled_keeps_the_paid_period_only_by_policy() {
        let keep = AccessPolicy { canceled_keeps_paid_period: true, ..AccessPolicy::default() };
        let mut cancelled = facts("canceled");
        assert_eq!(keep.standing(&cancelled, None, T0), Standing::Revoked, "nothing was paid");
        cancelled.latest_invoice = Some(InvoiceFacts {
            id: "in_1".into(),
            status: "paid".into(),
            remaining: Money::new(0, Currency::parse("jpy").unwrap()),
            attempt_count: 1,
            next_attempt_at: None,
            payments: Vec::new(),
            bill: crate::subscription::Bill::default(),
        });
        let paid = Standing::Granted { until: Some(T0.plus_ms(30 * DAY_MS)) };
        assert_eq!(keep.standing(&cancelled, None, T0), paid);
        assert_eq!(AccessPolicy::default().standing(&cancelled, None, T0), Standing::Revoked);
    }
}
