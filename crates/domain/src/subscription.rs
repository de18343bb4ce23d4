//! Subscriptions as the provider reports them, and as we mirror them.
//!
//! Refuses to know the provider's wire format: a provider crate translates into these facts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::{Access, Standing};
use crate::dunning::OwnTries;
use crate::ids::{CheckoutId, CustomerId, PlanGroup, PlanKey};
use crate::money::{Currency, Money};
use crate::time::Timestamp;

/// A subscription's status in the provider's terms: the eight that Stripe documents, and room for one
/// that does not exist yet. An unknown value never crashes a sync and never widens access.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SubscriptionStatus {
    /// The first payment has not succeeded yet.
    Incomplete,
    /// The first payment never succeeded; final.
    IncompleteExpired,
    /// In a trial.
    Trialing,
    /// Paid, or about to be renewed.
    Active,
    /// A payment failed and is being retried.
    PastDue,
    /// Ended; final.
    Canceled,
    /// Retries are exhausted; the subscription is kept without being charged.
    Unpaid,
    /// Paused by request, or by a trial that ended without a payment method.
    Paused,
    /// A value that this version does not know, kept as received.
    Unknown(String),
}

impl SubscriptionStatus {
    /// The provider's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Canceled => "canceled",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Unknown(raw) => raw,
        }
    }

    /// Whether the provider will never change it again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::IncompleteExpired | Self::Canceled => true,
            Self::Incomplete
            | Self::Trialing
            | Self::Active
            | Self::PastDue
            | Self::Unpaid
            | Self::Paused
            | Self::Unknown(_) => false,
        }
    }

    /// Whether it occupies its plan group: it charges, or may charge again without a new checkout.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Trialing | Self::Active | Self::PastDue | Self::Unpaid | Self::Paused => true,
            Self::Incomplete | Self::IncompleteExpired | Self::Canceled | Self::Unknown(_) => false,
        }
    }
}

impl From<String> for SubscriptionStatus {
    fn from(raw: String) -> Self {
        match raw.as_str() {
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "trialing" => Self::Trialing,
            "active" => Self::Active,
            "past_due" => Self::PastDue,
            "canceled" => Self::Canceled,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            _ => Self::Unknown(raw),
        }
    }
}

impl From<SubscriptionStatus> for String {
    fn from(status: SubscriptionStatus) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for SubscriptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ItemFacts {
    /// The provider's id of the line.
    pub id: String,
    /// The provider's price id.
    pub price: String,
    /// The price's lookup key, when it has one.
    pub lookup_key: Option<String>,
    /// Price per unit, when it is a plain one.
    pub unit_price: Option<Money>,
    /// `day`, `week`, `month` or `year`.
    pub interval: Option<String>,
    /// Units bought.
    pub quantity: i64,
    /// Start of the period that is running.
    pub period_start: Option<Timestamp>,
    /// End of the period that is running.
    pub period_end: Option<Timestamp>,
}

/// What a payment of an invoice was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvoicePayment {
    /// The provider's payment (Stripe: the PaymentIntent).
    pub payment: String,
    /// What it paid.
    pub amount: Money,
}

/// The latest invoice of a subscription, as far as access and duplicates need it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvoiceFacts {
    /// The provider's id.
    pub id: String,
    /// The provider's status word (`draft`, `open`, `paid`, `void`, `uncollectible`).
    pub status: String,
    /// What remains to be paid.
    pub remaining: Money,
    /// Tries so far.
    pub attempt_count: i64,
    /// When the provider tries next; `None` when it will not.
    pub next_attempt_at: Option<Timestamp>,
    /// What was paid and by which payments.
    pub payments: Vec<InvoicePayment>,
    /// What only notices need.
    #[serde(default)]
    pub bill: Bill,
    /// When it became due: finalized, or for one that is sent its due date.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// When it was paid.
    #[serde(default)]
    pub paid_at: Option<Timestamp>,
    /// Where the provider lets its customer pay it, while it can be paid.
    #[serde(default)]
    pub pay_link: Option<PayLink>,
    /// How the payment stands that is to pay it, where somebody has looked.
    #[serde(default)]
    pub attempt: Option<AttemptFacts>,
    /// Until when it pays ahead; `None` for one that only corrects what was billed before, or bills what was used.
    #[serde(default)]
    pub reaches: Option<Timestamp>,
}

/// A period that was paid for, or cost nothing: what was bought, whatever invoices for changes came since.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaidPeriod {
    /// The invoice that billed it.
    pub invoice: String,
    /// When that was due.
    pub due_at: Timestamp,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// When the period ends.
    pub until: Timestamp,
    /// What was paid for it.
    pub payments: Vec<InvoicePayment>,
}

impl PaidPeriod {
    /// By what the newer one of two is told. A trial that is ended in the second in which it began leaves two of one second:
    /// the one that reaches further came after it.
    #[must_use]
    pub fn age(&self) -> (Timestamp, Timestamp) {
        (self.due_at, self.until)
    }
}

impl InvoiceFacts {
    /// The period that it has paid for, if it bills one and is paid.
    #[must_use]
    pub fn paid_period(&self) -> Option<PaidPeriod> {
        let (until, due_at) = (self.reaches?, self.due_at?);
        (self.status == "paid").then(|| PaidPeriod {
            invoice: self.id.clone(),
            due_at,
            paid_at: self.paid_at,
            until,
            payments: self.payments.clone(),
        })
    }
}

/// The address of the provider's page on which an invoice can be paid. Whoever has it sees the invoice, so it is shown in
/// no log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PayLink(pub String);

impl fmt::Debug for PayLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayLink(…)")
    }
}

/// Where the payment of an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// It was refused, or nothing was there to charge.
    NeedsMethod,
    /// The customer's bank wants the customer to confirm it.
    NeedsCustomer,
    /// It is under way.
    Processing,
    /// Anything else.
    Other,
}

/// The payment that is to pay an open invoice, in the provider's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptFacts {
    /// The provider's payment.
    pub payment: String,
    /// Where it stands.
    pub state: AttemptState,
    /// Why the last try failed, for example `card_declined`.
    pub code: Option<String>,
    /// The bank's reason, for example `insufficient_funds`.
    pub decline_code: Option<String>,
    /// What the bank advises, for example `do_not_try_again`.
    pub advice: Option<String>,
    /// The payment method that was tried last.
    pub method: Option<String>,
}

/// What notices need of an invoice, beyond what access does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Bill {
    /// The subscription that it bills.
    pub subscription: Option<String>,
    /// What it comes to; negative for a credit.
    pub total: Option<Money>,
    /// When it was finalized.
    pub finalized_at: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// The payment that is being made for it, if one is.
    pub payment: Option<String>,
}

/// A card, as far as a notice may name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Card {
    /// The provider's id of the payment method.
    pub id: String,
    /// Its network, in the provider's word (`visa`).
    pub brand: Option<String>,
    /// Its last four digits.
    pub last4: Option<String>,
    /// The month in which it expires, from 1.
    pub exp_month: i64,
    /// The year of that month.
    pub exp_year: i64,
    /// The country that issued it, two letters.
    pub country: Option<String>,
}

impl Card {
    /// The month in which it expires, as `YYYY-MM`.
    #[must_use]
    pub fn month(&self) -> String {
        format!("{:04}-{:02}", self.exp_year, self.exp_month)
    }

    /// The first moment at which it is no longer valid, in UTC; `None` for a month that does not exist.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        let (year, month) = (i16::try_from(self.exp_year).ok()?, i8::try_from(self.exp_month).ok()?);
        if !(1..=12).contains(&month) {
            return None;
        }
        let (year, month) =
            if month == 12 { (year.checked_add(1)?, 1) } else { (year, month.checked_add(1)?) };
        let first = jiff::civil::Date::new(year, month, 1).ok()?;
        let at = first.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_ms(at.timestamp().as_millisecond()))
    }
}

/// What notices need of a subscription, beyond what access does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ToldFacts {
    /// When its trial began.
    pub trial_start: Option<Timestamp>,
    /// When its end was asked for, or came unasked.
    pub canceled_at: Option<Timestamp>,
    /// The card that the next renewal is charged to.
    pub card: Option<Card>,
}

/// A subscription as observed at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubscriptionFacts {
    /// The provider's id.
    pub id: String,
    /// Its status.
    pub status: SubscriptionStatus,
    /// Its lines, in the provider's order.
    pub items: Vec<ItemFacts>,
    /// The currency it is charged in.
    pub currency: Option<Currency>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it ends with the running period.
    pub cancel_at_period_end: bool,
    /// When it is set to end, if it is.
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// The provider's own record of a failing payment: when the oldest invoice that is still open became due.
    pub failing_since: Option<Timestamp>,
    /// The latest invoice.
    pub latest_invoice: Option<InvoiceFacts>,
    /// The newest period that was paid for; `None` where no such invoice has been seen.
    #[serde(default)]
    pub paid: Option<PaidPeriod>,
    /// The customer that its metadata names, if any.
    pub named_customer: Option<CustomerId>,
    /// The checkout of ours that made it, if any.
    pub checkout: Option<CheckoutId>,
    /// What is planned for it, or waits.
    #[serde(default)]
    pub ahead: Ahead,
    /// What only notices need.
    #[serde(default)]
    pub told: ToldFacts,
    /// The payment method that it is charged to.
    #[serde(default)]
    pub method: Option<String>,
}

/// What is planned for a subscription, or waits, as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Ahead {
    /// Its payments are not collected for a while; the status says nothing of it.
    pub pause: Option<CollectionPause>,
    /// The schedule that manages it now.
    pub schedule: Option<String>,
    /// What that schedule makes of it next, when it makes something else of it.
    pub next_phase: Option<NextPhase>,
    /// A change that waits for its payment.
    pub pending: Option<PendingUpdate>,
    /// Why it ends or ended, in the provider's words.
    pub cancellation: Option<Cancellation>,
    /// The subscription at whose end it begins; until then it waits as a trial does, and nothing is charged.
    #[serde(default)]
    pub starts_after: Option<String>,
}

/// A pause of collection: the status and the periods go on, and nobody pays for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CollectionPause {
    /// What becomes of the invoices (`void`, `keep_as_draft`, `mark_uncollectible`).
    pub behavior: String,
    /// When the provider ends it; `None` when somebody must.
    pub resumes_at: Option<Timestamp>,
}

/// A line that a subscription will have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FutureItem {
    /// The provider's price id.
    pub price: String,
    /// The price's lookup key, where it was learnt.
    pub lookup_key: Option<String>,
    /// Units.
    pub quantity: i64,
}

/// What a schedule makes of a subscription next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextPhase {
    /// When.
    pub at: Timestamp,
    /// Its lines from then on.
    pub items: Vec<FutureItem>,
}

/// A change that the provider holds back until it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingUpdate {
    /// When the provider forgets it.
    pub expires_at: Timestamp,
    /// The lines that it would have.
    pub items: Vec<FutureItem>,
}

/// Why a subscription ends. What the customer wrote in their own words stays with the provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cancellation {
    /// `cancellation_requested`, `payment_failed`, `payment_disputed` …
    pub reason: Option<String>,
    /// `too_expensive`, `unused` …
    pub feedback: Option<String>,
}

impl SubscriptionFacts {
    /// The earliest end of a running period over all lines.
    #[must_use]
    pub fn period_end(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(|item| item.period_end).min()
    }

    /// The earliest start of a running period over all lines.
    #[must_use]
    pub fn period_start(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(|item| item.period_start).min()
    }

    /// The newest period that was paid for: by its own `invoices` and what else was looked up, else what was `known`.
    #[must_use]
    pub fn newest_paid(&self, known: Option<PaidPeriod>, invoices: &[InvoiceFacts]) -> Option<PaidPeriod> {
        let own = invoices.iter().filter(|i| i.bill.subscription.as_ref() == Some(&self.id));
        let seen = self.latest_invoice.iter().chain(own).filter_map(InvoiceFacts::paid_period);
        // The last of equals is taken: an invoice as it is now, before what was known of it.
        known.into_iter().chain(self.paid.clone()).chain(seen).max_by_key(PaidPeriod::age)
    }

    /// Whether the period that is running was paid for. Where no invoice has been seen that bills a whole period, the latest one
    /// tells.
    #[must_use]
    pub fn period_is_paid(&self) -> bool {
        match (&self.paid, self.period_end()) {
            (Some(paid), Some(end)) => paid.until >= end,
            (Some(_), None) => true,
            (None, _) => self.latest_invoice.as_ref().is_some_and(|invoice| invoice.status == "paid"),
        }
    }

    /// Until when the provider has confirmed it, asked at `now`: the end of the running period, or `now`
    /// where that is past (the provider itself is late) or not named.
    #[must_use]
    pub fn confirmed_until(&self, now: Timestamp) -> Timestamp {
        self.period_end().map_or(now, |end| end.max(now))
    }

    /// Whether it is paused, whichever way that was said: the provider takes no money for it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.status == SubscriptionStatus::Paused || self.ahead.pause.is_some()
    }

    /// Whether its payments are not collected at a moment: a pause that ends before it suppresses nothing then.
    #[must_use]
    pub fn is_uncollected_at(&self, at: Timestamp) -> bool {
        self.ahead.pause.as_ref().is_some_and(|pause| pause.resumes_at.is_none_or(|resumes| resumes > at))
    }

    /// When it is set to end, whichever way that was said.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let with_period = if self.cancel_at_period_end { self.period_end() } else { None };
        match (self.cancel_at, with_period) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (Some(at), None) | (None, Some(at)) => Some(at),
            (None, None) => None,
        }
    }
}

/// A plan that one line of a subscription gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldPlan {
    /// The line's id at the provider.
    pub item: String,
    /// The plan.
    pub plan: PlanKey,
    /// The plan's group.
    pub group: PlanGroup,
    /// Units bought.
    pub quantity: i64,
    /// The catalog's version under which it was bought, where that is known.
    #[serde(default)]
    pub version: Option<String>,
}

/// Why a subscription is set aside although the provider keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicate {
    /// Another subscription of the same plan group was kept, and this one is cancelled; what it
    /// charged is refunded when `refund` says so.
    Cancel {
        /// The subscription that stays.
        kept: String,
        /// Whether its payment goes back.
        refund: bool,
    },
    /// It was not made by a checkout of ours, so a person decides.
    AskOperator {
        /// The subscription that stays.
        kept: String,
    },
}

/// Our copy of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subscription {
    /// What the provider said last.
    pub facts: SubscriptionFacts,
    /// Whose it is; `None` while nobody is linked.
    pub customer: Option<CustomerId>,
    /// The plans that its lines give.
    pub plans: Vec<HeldPlan>,
    /// What it does to access.
    pub standing: Standing,
    /// The access at the last sync, so that an expiry since then is told once.
    pub access: Access,
    /// Set when it is one too many.
    pub duplicate: Option<Duplicate>,
    /// The provider no longer lists it.
    pub missing: bool,
    /// What it becomes at a known moment.
    #[serde(default)]
    pub scheduled: Option<Planned>,
    /// What it becomes when an outstanding payment succeeds; `at` is when that is forgotten.
    #[serde(default)]
    pub pending: Option<Planned>,
    /// What we try ourselves at its latest invoice.
    #[serde(default)]
    pub own_tries: Option<OwnTries>,
}

/// A plan to come, in the catalog's terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Planned {
    /// The plan; `None` when its price is not in the catalog.
    pub plan: Option<PlanKey>,
    /// `day`, `week`, `month` or `year`, from the catalog.
    pub interval: Option<String>,
    /// Units.
    pub quantity: i64,
    /// When.
    pub at: Timestamp,
}

impl Subscription {
    /// The plan to name when one must be named: that of the first line with a known price.
    #[must_use]
    pub fn plan(&self) -> Option<&HeldPlan> {
        self.plans.first()
    }

    /// Whether it begins when this other one ends, which is planned: then the two are no duplicates.
    #[must_use]
    pub fn follows(&self, other: &Self) -> bool {
        self.facts.ahead.starts_after.as_deref() == Some(other.facts.id.as_str())
            && (!other.is_live() || other.facts.ends_at().is_some())
    }

    /// When the latest invoice is tried next by itself: by the provider, whose try goes first, or by us.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        let planned = self.facts.latest_invoice.as_ref().and_then(|invoice| invoice.next_attempt_at);
        planned.or_else(|| self.own_tries.as_ref()?.next_at)
    }

    /// Which try has failed last: the provider's count, and the number of our own, which it does not count.
    #[must_use]
    pub fn newest_failure(&self) -> Option<String> {
        let count = self.facts.latest_invoice.as_ref()?.attempt_count;
        let own = self.own_tries.as_ref().map_or(0, |own| own.refused);
        Some(if own > 0 { format!("{count}+{own}") } else { count.to_string() })
    }

    /// Whether it occupies its plan groups.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.facts.status.is_live() && !self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a24_statuses_round_trip_and_unknown_ones_are_kept() {
        for raw in [
            "incomplete",
            "incomplete_expired",
            "trialing",
            "active",
            "past_due",
            "canceled",
            "unpaid",
            "paused",
        ] {
            let status = SubscriptionStatus::from(raw.to_owned());
            assert_eq!(status.as_str(), raw);
            assert!(!matches!(status, SubscriptionStatus::Unknown(_)), "{raw}");
        }
        let new = SubscriptionStatus::from("hibernating".to_owned());
        assert_eq!(new, SubscriptionStatus::Unknown("hibernating".to_owned()));
        assert!(!new.is_live() && !new.is_final());
    }
}
