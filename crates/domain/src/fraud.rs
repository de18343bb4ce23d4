//! Fraud: when many cards are tried, and what a suspension does to a customer's subscriptions, invoices and money.
//!
//! Pure: what was tried and what is mirrored are arguments. Refuses to know addresses and card numbers: it sees digests of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::access::{MoneyState, PolicyError};
use crate::money::Money;
use crate::projection::{PaymentFacts, Projection};
use crate::subscription::{CollectionPause, InvoiceFacts, SubscriptionStatus};
use crate::time::{MINUTE_MS, Timestamp};

/// What follows when fraud is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FraudAction {
    /// No new checkouts; open ones are closed.
    BlockCheckouts,
    /// The customer is suspended: nothing is charged, and what is paid late goes back.
    Suspend,
    /// The payment that was warned of goes back.
    Refund,
}

/// What happens to the subscriptions of a customer who is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSuspension {
    /// Nothing is collected until the suspension is lifted; then they go on.
    Pause,
    /// They end.
    Cancel,
}

/// What happens to the access of a customer who is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendedAccess {
    /// What was bought or given is not to be used; only the free plan stays.
    Revoke,
    /// It stays.
    Keep,
}

/// The operator's choices about fraud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FraudPolicy {
    /// The time in which attempts and checkouts are counted, in minutes.
    pub window_minutes: u32,
    /// Different cards that failed for one customer in that time which count as card testing; retries of one card are one. 0 is off.
    pub cards_per_customer: u32,
    /// The same for all customers who come from one address, from which no new checkouts are opened then either. 0 is off.
    pub cards_per_address: u32,
    /// New checkouts of one customer in that time. 0 is without limit.
    pub checkouts_per_customer: u32,
    /// New checkouts from one address in that time. 0 is without limit.
    pub checkouts_per_address: u32,
    /// What follows card testing, beside the alert.
    pub on_card_testing: Vec<FraudAction>,
    /// What follows an early fraud warning, beside the alert.
    pub on_early_fraud_warning: Vec<FraudAction>,
    /// What happens to the subscriptions of a customer who is suspended.
    pub suspended_subscriptions: OnSuspension,
    /// What happens to the access of a customer who is suspended.
    pub suspended_access: SuspendedAccess,
}

impl Default for FraudPolicy {
    fn default() -> Self {
        Self {
            window_minutes: 60,
            cards_per_customer: 5,
            cards_per_address: 8,
            checkouts_per_customer: 30,
            checkouts_per_address: 120,
            on_card_testing: vec![FraudAction::BlockCheckouts],
            on_early_fraud_warning: Vec::new(),
            suspended_subscriptions: OnSuspension::Pause,
            suspended_access: SuspendedAccess::Revoke,
        }
    }
}

impl FraudPolicy {
    /// Whether the policy makes sense.
    ///
    /// # Errors
    /// The first setting that does not, with what may stand there.
    pub fn check(&self) -> Result<(), PolicyError> {
        let error = |key: &str, value: String, why: &str, allowed: &str| {
            Err(PolicyError { key: key.to_owned(), value, why: why.to_owned(), allowed: allowed.to_owned() })
        };
        if !(1..=1_440).contains(&self.window_minutes) {
            let value = self.window_minutes.to_string();
            return error(
                "window_minutes",
                value,
                "attempts are counted for a day at most",
                "1 to 1440 minutes",
            );
        }
        for (key, cards) in
            [("cards_per_customer", self.cards_per_customer), ("cards_per_address", self.cards_per_address)]
        {
            if cards == 1 {
                let why = "anybody's card may fail once";
                return error(key, "1".to_owned(), why, "0 (off), or 2 and more");
            }
        }
        if self.on_card_testing.contains(&FraudAction::Refund) {
            let why = "cards that failed brought no money";
            return error(
                "on_card_testing",
                "\"refund\"".to_owned(),
                why,
                "\"block_checkouts\" or \"suspend\"",
            );
        }
        Ok(())
    }

    /// Whether anybody's cards are counted.
    #[must_use]
    pub const fn counts_cards(&self) -> bool {
        self.cards_per_customer > 0 || self.cards_per_address > 0
    }

    /// Whether so many different cards failed from one address that nobody buys from there for a while.
    #[must_use]
    pub fn shuts_address(&self, attempts: &[CardAttempt], now: Timestamp) -> bool {
        let cards = u32::try_from(distinct_cards(attempts, self.since(now))).unwrap_or(u32::MAX);
        self.cards_per_address > 0 && cards >= self.cards_per_address
    }

    /// From when on attempts and checkouts count.
    #[must_use]
    pub fn since(&self, now: Timestamp) -> Timestamp {
        now.plus_ms(-i64::from(self.window_minutes) * MINUTE_MS)
    }
}

/// A card that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardAttempt {
    /// The provider's charge; of a card that was to be saved the intent and the card.
    pub charge: String,
    /// A digest of the card's fingerprint: the same for the same card.
    pub card: String,
    /// When.
    pub at: Timestamp,
}

/// How many different cards failed since `since`: however often one card is tried, it is one.
#[must_use]
pub fn distinct_cards(attempts: &[CardAttempt], since: Timestamp) -> usize {
    let recent = attempts.iter().filter(|attempt| attempt.at >= since);
    recent.map(|attempt| attempt.card.as_str()).collect::<BTreeSet<_>>().len()
}

/// How far a customer is shut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No new checkouts.
    Checkouts,
    /// Nothing is bought, charged or used.
    All,
}

impl Level {
    /// The word used in database, API and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkouts => "checkouts",
            Self::All => "all",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Checkouts, Self::All].into_iter().find(|level| level.as_str() == word)
    }
}

/// One thing that a suspension, or its end, asks of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum SuspensionStep {
    /// End a subscription now.
    End {
        /// Which one.
        subscription: String,
    },
    /// Collect nothing for a subscription.
    Pause {
        /// Which one.
        subscription: String,
        /// The pause that it takes the place of, whose end would let it be charged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<CollectionPause>,
    },
    /// Let the provider try an open invoice no more.
    Hold {
        /// Which one.
        invoice: String,
    },
    /// Give back all that is left of a payment.
    GiveBack {
        /// Which one.
        payment: String,
    },
    /// Collect again, or as far as the pause lets that was there before.
    Resume {
        /// Which one.
        subscription: String,
        /// The pause that comes back, unless its end has passed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pause: Option<CollectionPause>,
    },
    /// Let the provider try an invoice again.
    Release {
        /// Which one.
        invoice: String,
    },
}

impl SuspensionStep {
    /// The object that it is about.
    #[must_use]
    pub fn object(&self) -> &str {
        match self {
            Self::End { subscription }
            | Self::Pause { subscription, .. }
            | Self::Resume { subscription, .. } => subscription,
            Self::Hold { invoice } | Self::Release { invoice } => invoice,
            Self::GiveBack { payment } => payment,
        }
    }

    /// Whether it lets somebody be charged again, who must not be shut out then.
    #[must_use]
    pub const fn lets_charge(&self) -> bool {
        match self {
            Self::Resume { .. } | Self::Release { .. } => true,
            Self::End { .. } | Self::Pause { .. } | Self::Hold { .. } | Self::GiveBack { .. } => false,
        }
    }

    /// What takes it back, when the suspension is lifted; what ended or went back does not come back.
    #[must_use]
    pub fn taken_back(&self) -> Option<Self> {
        match self {
            Self::Pause { subscription, before } => {
                Some(Self::Resume { subscription: subscription.clone(), pause: before.clone() })
            }
            Self::Hold { invoice } => Some(Self::Release { invoice: invoice.clone() }),
            Self::End { .. } | Self::GiveBack { .. } | Self::Resume { .. } | Self::Release { .. } => None,
        }
    }
}

/// What a suspension since `since` asks for: what was bought before is paused or ended, what an open checkout still bought
/// afterwards ends and is given back, and no invoice is tried any more. `others` are invoices beside the newest of each
/// subscription.
#[must_use]
pub fn suspension_steps(
    projection: &Projection,
    others: &[InvoiceFacts],
    since: Timestamp,
    policy: &FraudPolicy,
) -> Vec<SuspensionStep> {
    let mut steps = Vec::new();
    let ours = |payment: &str| {
        let known = projection.payments.iter().find(|p| p.id == payment);
        known.is_none_or(|p| p.money.is_ours())
    };
    for s in projection.subscriptions.iter().filter(|s| !s.missing && !s.facts.status.is_final()) {
        let (id, late) = (&s.facts.id, is_after(s.facts.created_at, since));
        let paid: Vec<(&str, Money)> = s
            .facts
            .latest_invoice
            .iter()
            .flat_map(|invoice| &invoice.payments)
            .map(|paid| (paid.payment.as_str(), paid.amount))
            .collect();
        // One that waits for its first payment would be charged when the customer confirms it.
        let begins = s.facts.status == SubscriptionStatus::Incomplete;
        if late || begins || policy.suspended_subscriptions == OnSuspension::Cancel {
            steps.push(SuspensionStep::End { subscription: id.clone() });
        } else if charges(&s.facts.status) {
            // A pause that ends by itself would end within the suspension.
            let before = s.facts.ahead.pause.clone();
            if before.as_ref().is_none_or(|pause| pause.resumes_at.is_some()) {
                steps.push(SuspensionStep::Pause { subscription: id.clone(), before });
            }
        }
        if late {
            for (payment, _) in paid.into_iter().filter(|(id, money)| money.minor > 0 && ours(id)) {
                steps.push(SuspensionStep::GiveBack { payment: payment.to_owned() });
            }
        }
    }
    // The invoices of what ends are tried no more by that.
    let (ending, staying): (Vec<_>, Vec<_>) = projection
        .subscriptions
        .iter()
        .filter(|s| !s.missing)
        .partition(|s| s.facts.status.is_final() || is_after(s.facts.created_at, since));
    let ends = |invoice: &InvoiceFacts| {
        ending.iter().filter_map(|s| s.facts.latest_invoice.as_ref()).any(|latest| latest.id == invoice.id)
    };
    let mut held = BTreeSet::new();
    let newest = staying.iter().filter_map(|s| s.facts.latest_invoice.as_ref());
    for invoice in newest.chain(others.iter().filter(|invoice| !ends(invoice))) {
        let tried = invoice.status == "open" && invoice.next_attempt_at.is_some();
        if tried && held.insert(invoice.id.as_str()) {
            steps.push(SuspensionStep::Hold { invoice: invoice.id.clone() });
        }
    }
    let ended_late = projection.subscriptions.iter().filter(|s| is_after(s.facts.created_at, since));
    for s in ended_late.filter(|s| s.facts.status.is_final()) {
        for paid in s.facts.latest_invoice.iter().flat_map(|invoice| &invoice.payments) {
            if paid.amount.minor > 0 && ours(&paid.payment) {
                steps.push(SuspensionStep::GiveBack { payment: paid.payment.clone() });
            }
        }
    }
    for purchase in projection.purchases.iter().filter(|p| p.facts.paid) {
        let paid = purchase.facts.payment.as_deref();
        let money = projection.payments.iter().find(|p| Some(p.id.as_str()) == paid);
        // A checkout that was opened before and paid afterwards counts by its payment.
        let at = money.map(|p| p.created_at).or(purchase.facts.sale.created_at);
        if let (Some(payment), true) = (paid, at.is_some_and(|at| is_after(at, since)))
            && ours(payment)
        {
            steps.push(SuspensionStep::GiveBack { payment: payment.to_owned() });
        }
    }
    // Whatever else was charged since: a renewal before the pause reached the provider, a change on a page that was open.
    let charged =
        |p: &&PaymentFacts| is_after(p.created_at, since) && p.amount.minor > 0 && p.money.is_ours();
    for payment in projection.payments.iter().filter(charged) {
        let step = SuspensionStep::GiveBack { payment: payment.id.clone() };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

/// Whether something of the provider's is younger than a suspension. The provider tells whole seconds: what happened within the
/// suspension's own counts as after it, because money that is kept wrongly is worse than money that goes back.
fn is_after(at: Timestamp, since: Timestamp) -> bool {
    at.seconds() >= since.seconds()
}

/// Whether the provider charges for it, or would.
const fn charges(status: &SubscriptionStatus) -> bool {
    match status {
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Unknown(_) => true,
        SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused => false,
    }
}

/// A payment that was warned of and whose money is still ours to give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warned {
    /// The payment.
    pub payment: String,
    /// When the bank warned; the time of the payment where that is not known.
    pub at: Timestamp,
}

/// The payments that were warned of and whose money is still ours to give back.
#[must_use]
pub fn warned(projection: &Projection) -> Vec<Warned> {
    let warned = projection.payments.iter().filter(|p| p.money == MoneyState::Warned);
    let at = |p: &PaymentFacts| p.warning.as_ref().map_or(p.created_at, |warning| warning.created_at);
    warned.map(|p| Warned { payment: p.id.clone(), at: at(p) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn attempt(charge: &str, card: &str, minute: i64) -> CardAttempt {
        CardAttempt { charge: charge.into(), card: card.into(), at: T0.plus_ms(minute * MINUTE_MS) }
    }

    #[test]
    fn retries_of_one_card_are_one_card() {
        let retried: Vec<CardAttempt> = (0..50).map(|n| attempt(&format!("ch_{n}"), "a", n)).collect();
        assert_eq!(distinct_cards(&retried, T0), 1);
        let mixed = [attempt("1", "a", 0), attempt("2", "b", 1), attempt("3", "a", 2), attempt("4", "c", 3)];
        assert_eq!(distinct_cards(&mixed, T0), 3);
        assert_eq!(distinct_cards(&mixed, T0.plus_ms(2 * MINUTE_MS)), 2, "what is long ago does not count");
    }

    #[test]
    fn an_address_is_shut_for_as_long_as_its_cards_count() {
        let policy = FraudPolicy { cards_per_address: 3, ..FraudPolicy::default() };
        let two = [attempt("1", "a", 0), attempt("2", "b", 1), attempt("3", "b", 2)];
        let three = [&two[..], &[attempt("4", "c", 3)]].concat();
        let at = |minute: i64| T0.plus_ms(minute * MINUTE_MS);
        assert!(!policy.shuts_address(&two, at(3)) && policy.shuts_address(&three, at(3)));
        assert!(policy.shuts_address(&three, at(60)) && !policy.shuts_address(&three, at(61)));
        let off = FraudPolicy { cards_per_address: 0, ..policy };
        assert!(!off.shuts_address(&three, at(3)) && off.counts_cards());
        assert!(!FraudPolicy { cards_per_customer: 0, ..off }.counts_cards());
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(FraudPolicy::default().check(), Ok(()));
        let key = |policy: FraudPolicy| policy.check().unwrap_err().key;
        assert_eq!(key(FraudPolicy { window_minutes: 0, ..FraudPolicy::default() }), "window_minutes");
        assert_eq!(key(FraudPolicy { cards_per_address: 1, ..FraudPolicy::default() }), "cards_per_address");
        let refund = vec![FraudAction::Refund];
        assert_eq!(key(FraudPolicy { on_card_testing: refund, ..FraudPolicy::default() }), "on_card_testing");
        assert_eq!(Level::parse(Level::All.as_str()), Some(Level::All));
        assert!(Level::All > Level::Checkouts);
    }

    #[test]
    fn what_can_be_taken_back_is() {
        let before = Some(CollectionPause { behavior: "void".into(), resumes_at: Some(T0) });
        for before in [None, before] {
            let pause = SuspensionStep::Pause { subscription: "sub_1".into(), before: before.clone() };
            let back = SuspensionStep::Resume { subscription: "sub_1".into(), pause: before };
            assert_eq!(pause.taken_back(), Some(back));
        }
        assert_eq!(SuspensionStep::GiveBack { payment: "pi_1".into() }.taken_back(), None);
    }
}
