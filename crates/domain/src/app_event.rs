//! What the app is told of: the kinds of change, and which of them a projection shows.
//!
//! Found by comparing what was stored with what is stored now, as everything else: a repetition finds no difference.
//! A body names the customer by the app's own id and by nothing else that is personal.
//!
//! Refuses to know: who listens, how it is signed and sent, and what a customer holds in all (access and entitlements
//! are compared by the engine, because they come from more than one aggregate).

use serde_json::{Value, json};

use crate::access::MoneyState;
use crate::notices::is_owed;
use crate::projection::{HistoryLine, PaymentFacts, Projection, Purchase, PurchaseState, Stored};
use crate::subscription::{Subscription, SubscriptionStatus};
use crate::time::Timestamp;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $sentence:literal;)+) => {
        /// The kinds of change that an app is told of. A word never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AppEventType { $($(#[$doc])* $name),+ }

        impl AppEventType {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in bodies, in the API and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// One sentence for documentation.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence),+ }
            }
        }
    };
}

kinds! {
    /// The customer's access in one word has changed.
    CustomerAccessChanged = "customer.access_changed",
        "The customer's access in one word has changed, by a payment, a failure, an operator or time alone.";
    /// What the customer may use has changed.
    EntitlementsUpdated = "entitlements.updated",
        "What the customer may use has changed; carries all entitlements as the API shows them.";
    /// A renewal could not be charged.
    PaymentFailed = "payment.failed",
        "A renewal could not be charged; once for each try.";
    /// What had failed is paid.
    PaymentRecovered = "payment.recovered",
        "A subscription whose payment had failed is paid again.";
    /// A subscription is not what it was.
    SubscriptionChanged = "subscription.changed",
        "A subscription was created, renewed, changed, set to end, resumed or ended; `changes` says which.";
    /// A purchase made once is being paid, is paid, failed, or was taken back.
    PurchaseChanged = "purchase.changed",
        "Something that is bought once is being paid, is paid, could not be paid, or was taken back; `state` says which.";
    /// Money went back to the customer.
    RefundCreated = "refund.created",
        "Money of a payment went back to the customer.";
    /// The customer's bank has taken a payment back.
    DisputeCreated = "dispute.created",
        "The customer's bank has taken a payment back; answer it at the provider.";
    /// Something that operators should look at.
    AlertRaised = "alert.raised",
        "Something that operators should look at, with what mends it; only for endpoints that ask for it by name.";
    /// It is over.
    AlertResolved = "alert.resolved",
        "An alert that was told is over; only for endpoints that ask for it by name.";
    /// A test message that an operator asked for.
    Ping = "webhook.ping",
        "A test message to one endpoint, sent by `quittance webhooks ping`; it is about no customer.";
}

impl AppEventType {
    /// Reads a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// Whether an endpoint can ask for it: a ping goes to the endpoint that is tested.
    #[must_use]
    pub fn can_be_chosen(self) -> bool {
        self != Self::Ping
    }

    /// Whether an endpoint that names no types is told of it: what is for operators, the app need not understand.
    #[must_use]
    pub const fn by_default(self) -> bool {
        match self {
            Self::CustomerAccessChanged
            | Self::EntitlementsUpdated
            | Self::PaymentFailed
            | Self::PaymentRecovered
            | Self::SubscriptionChanged
            | Self::PurchaseChanged
            | Self::RefundCreated
            | Self::DisputeCreated => true,
            Self::AlertRaised | Self::AlertResolved | Self::Ping => false,
        }
    }
}

/// A change that the app must be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFact {
    /// Its kind.
    pub kind: AppEventType,
    /// What makes it this change and no other, within the provider account: told once.
    pub key: String,
    /// What changed, without the customer.
    pub data: Value,
}

/// What a projection shows that was not so before. `turn` is what tells one sync of the aggregate from every other
/// that was committed.
#[must_use]
pub fn facts(stored: &Stored, projection: &Projection, turn: &str, now: Timestamp) -> Vec<AppFact> {
    let mut facts = Vec::new();
    for new in &projection.subscriptions {
        let old = stored.subscriptions.iter().find(|old| old.facts.id == new.facts.id);
        facts.extend(failure(old, new));
        facts.extend(recovery(old, new, turn));
        facts.extend(change(old, new, &projection.history, turn, now));
    }
    for new in &projection.purchases {
        let old = stored.purchases.iter().find(|old| old.facts.id == new.facts.id);
        facts.extend(purchase(old, new, turn, now));
    }
    // What had come back before anything was known of the customer is no news.
    let first = stored.subscriptions.is_empty() && stored.purchases.is_empty() && stored.payments.is_empty();
    for new in projection.payments.iter().filter(|_| !first) {
        let old = stored.payments.iter().find(|old| old.id == new.id);
        facts.extend(refund(old, new));
        facts.extend(dispute(old, new, turn));
    }
    facts
}

fn money(minor: i64, currency: &str) -> Value {
    json!({ "amount": minor, "currency": currency })
}

/// A failed renewal, once for each try. A first payment that fails is none: the buyer sits in front of it.
fn failure(old: Option<&Subscription>, new: &Subscription) -> Option<AppFact> {
    let invoice = new.facts.latest_invoice.as_ref()?;
    let failed = is_owed(&new.facts.status) && !new.missing;
    if !failed || invoice.status != "open" || invoice.attempt_count == 0 {
        return None;
    }
    let before = old.filter(|old| is_owed(&old.facts.status));
    let failure = new.newest_failure()?;
    let same = |old: &&Subscription| old.facts.latest_invoice.as_ref().is_some_and(|b| b.id == invoice.id);
    if before.filter(same).and_then(Subscription::newest_failure).as_ref() == Some(&failure) {
        return None;
    }
    Some(AppFact {
        kind: AppEventType::PaymentFailed,
        key: format!("{}:{failure}", invoice.id),
        data: json!({
            "subscription": new.facts.id,
            "plan": new.plan().map(|held| &held.plan),
            "access": new.access,
            "access_until": new.standing.until().map(|at| at.to_string()),
            "invoice": invoice.id,
            "attempt": invoice.attempt_count,
            "own_try": new.own_tries.as_ref().map(|own| own.refused).filter(|number| *number > 0),
            "due": money(invoice.remaining.minor, invoice.remaining.currency.code()),
            "next_attempt_at": new.next_attempt_at().map(|at| at.to_string()),
        }),
    })
}

fn recovery(old: Option<&Subscription>, new: &Subscription, turn: &str) -> Option<AppFact> {
    let failing = |status: &SubscriptionStatus| match status {
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => true,
        SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unknown(_) => false,
    };
    let invoice = new.facts.latest_invoice.as_ref().filter(|invoice| invoice.status == "paid")?;
    if !failing(&old?.facts.status) || new.facts.status != SubscriptionStatus::Active {
        return None;
    }
    let paid: i64 = invoice.payments.iter().fold(0, |sum, payment| sum.saturating_add(payment.amount.minor));
    Some(AppFact {
        kind: AppEventType::PaymentRecovered,
        key: format!("{}:{turn}", new.facts.id),
        data: json!({
            "subscription": new.facts.id,
            "plan": new.plan().map(|held| &held.plan),
            "access": new.access,
            "invoice": invoice.id,
            "paid": money(paid, invoice.remaining.currency.code()),
        }),
    })
}

/// A subscription that is not what it was. What changed are the words of its timeline, so that a change that learns to
/// write a line there is told as well.
fn change(
    old: Option<&Subscription>,
    new: &Subscription,
    history: &[HistoryLine],
    turn: &str,
    now: Timestamp,
) -> Option<AppFact> {
    let of_it = history.iter().filter(|line| line.object == new.facts.id);
    let mut words: Vec<&str> = of_it
        .filter_map(|line| match line.kind {
            "access.changed" => Some("access_changed"),
            kind => kind.strip_prefix("subscription."),
        })
        .collect();
    if let Some(old) = old {
        if old.facts.period_start() < new.facts.period_start() {
            words.push("renewed");
        }
        if old.customer != new.customer {
            words.push("linked");
        }
    }
    if words.is_empty() {
        return None;
    }
    let held = new.plan();
    let before = old.map(|old| {
        json!({
            "status": old.facts.status,
            "plan": old.plan().map(|held| &held.plan),
            "quantity": old.plan().map(|held| held.quantity),
            "access": old.access,
            "ends_at": old.facts.ends_at().map(|at| at.to_string()),
        })
    });
    Some(AppFact {
        kind: AppEventType::SubscriptionChanged,
        key: format!("{}:{turn}", new.facts.id),
        data: json!({
            "subscription": new.facts.id,
            "changes": words,
            "status": new.facts.status,
            "plan": held.map(|held| &held.plan),
            "quantity": held.map(|held| held.quantity),
            "access": new.standing.at(now),
            "period_end": new.facts.period_end().map(|at| at.to_string()),
            "trial_end": new.facts.trial_end.map(|at| at.to_string()),
            "ends_at": new.facts.ends_at().map(|at| at.to_string()),
            "ended_at": new.facts.ended_at.map(|at| at.to_string()),
            "previous": before,
        }),
    })
}

/// A purchase whose state is another one. What was over before anything was known of it is no news.
fn purchase(old: Option<&Purchase>, new: &Purchase, turn: &str, now: Timestamp) -> Option<AppFact> {
    let state = new.state();
    let before = old.map(Purchase::state);
    let news = match (before, state) {
        (Some(before), state) => before != state,
        (None, PurchaseState::Processing | PurchaseState::Paid) => true,
        (None, PurchaseState::Failed | PurchaseState::TakenBack) => false,
    };
    if !news {
        return None;
    }
    let facts = &new.facts;
    Some(AppFact {
        kind: AppEventType::PurchaseChanged,
        key: format!("{}:{turn}", facts.id),
        data: json!({
            "purchase": facts.id,
            "checkout": facts.checkout,
            "reference": facts.sale.reference,
            "plan": facts.plan,
            "quantity": facts.quantity,
            "amount": facts.sale.amount.map(|amount| money(amount.minor, amount.currency.code())),
            "state": state.as_str(),
            "previous": before.map(PurchaseState::as_str),
            "access": new.standing.at(now),
        }),
    })
}

fn refund(old: Option<&PaymentFacts>, new: &PaymentFacts) -> Option<AppFact> {
    let before = old.map_or(0, |old| old.refunded.minor);
    let amount = new.refunded.minor.saturating_sub(before);
    if amount <= 0 {
        return None;
    }
    let currency = new.refunded.currency.code();
    Some(AppFact {
        kind: AppEventType::RefundCreated,
        // What went back in all tells two refunds of one payment apart.
        key: format!("{}:{}", new.id, new.refunded.minor),
        data: json!({
            "payment": new.id,
            "refunded": money(amount, currency),
            "refunded_in_all": money(new.refunded.minor, currency),
            "paid": money(new.amount.minor, new.amount.currency.code()),
        }),
    })
}

fn dispute(old: Option<&PaymentFacts>, new: &PaymentFacts, turn: &str) -> Option<AppFact> {
    if new.money != MoneyState::Disputed || old.is_some_and(|old| old.money == MoneyState::Disputed) {
        return None;
    }
    Some(AppFact {
        kind: AppEventType::DisputeCreated,
        key: format!("{}:{turn}", new.id),
        data: json!({
            "payment": new.id,
            "paid": money(new.amount.minor, new.amount.currency.code()),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_never_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in AppEventType::ALL {
            assert_eq!(AppEventType::parse(kind.as_str()), Some(*kind));
            assert!(seen.insert(kind.as_str()), "{kind:?}");
            assert!(kind.sentence().ends_with('.'), "{kind:?}");
        }
        assert_eq!(AppEventType::parse("customer.deleted"), None);
    }
}
