//! Whether a notice is still true, just before it is sent.
//!
//! Between the writing down and the sending lie seconds, or the days in which nothing worked: a payment may have been made, a
//! trial extended, a cancellation taken back. What is no longer so is not sent.

use serde_json::Value;

use super::decide::{gives_too, has_too, is_failing, is_owed, meets};
use super::{Announcement, Held, NoticeKind};
use crate::access::Standing;
use crate::projection::{PaymentFacts, Purchase, PurchaseState};
use crate::refund::owed_again;
use crate::subscription::{Subscription, SubscriptionStatus};
use crate::time::Timestamp;

/// Whether it is still so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It is.
    Holds,
    /// It is not; why, for the log.
    Over(&'static str),
}

/// A notice as it was written down.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// What it is about.
    pub kind: NoticeKind,
    /// The object.
    pub object: &'a str,
    /// Which occurrence.
    pub occurrence: &'a str,
    /// The moment that it is about.
    pub about: Option<Timestamp>,
    /// What was known when it was written down.
    pub data: &'a Value,
}

/// What is known of the customer now.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The mirror of the customer's subscriptions.
    pub subscriptions: &'a [Subscription],
    /// The mirror of their purchases.
    pub purchases: &'a [Purchase],
    /// The mirror of their payments.
    pub payments: &'a [PaymentFacts],
    /// Announcements that have not been withdrawn.
    pub announced: &'a [Announcement],
    /// What they have the use of, from whichever source.
    pub held: &'a [Held],
    /// Now.
    pub now: Timestamp,
}

/// Whether what the notice says is still so.
#[must_use]
pub fn still_holds(claim: Claim<'_>, known: Known<'_>) -> Truth {
    if claim.about.is_some_and(|about| about <= known.now) {
        return Truth::Over("what it was to say beforehand has happened");
    }
    match claim.kind {
        NoticeKind::PaymentFailed | NoticeKind::PaymentActionRequired => failing(claim, known),
        NoticeKind::PaymentRecovered => recovered(claim, known),
        NoticeKind::GraceEnding => on(claim, known, |s| match s.standing {
            Standing::Grace { since, until } => since.to_string() == claim.occurrence && known.now < until,
            Standing::Pending | Standing::Granted { .. } | Standing::Revoked => false,
        }),
        NoticeKind::AccessEnded => ended(claim, known),
        NoticeKind::TrialEnding => on(claim, known, |s| {
            s.facts.status == SubscriptionStatus::Trialing
                && s.facts.trial_end == claim.about
                && is_charged(s, claim)
        }),
        NoticeKind::RenewalAhead => on(claim, known, |s| {
            let yearly = claim.data.get("yearly").and_then(Value::as_bool).unwrap_or(false);
            let same = yearly || s.facts.period_end() == claim.about;
            s.facts.status == SubscriptionStatus::Active && same && is_charged(s, claim)
        }),
        NoticeKind::PriceChanging | NoticeKind::TermsChanging => announced(claim, known),
        NoticeKind::PlanChanged => on(claim, known, |s| {
            let said = |key: &str| claim.data.get(key);
            let (plan, quantity) =
                (said("plan").and_then(Value::as_str), said("quantity").and_then(Value::as_i64));
            let interval = s.facts.items.first().and_then(|item| item.interval.as_deref());
            s.is_live()
                && s.plan().is_some_and(|p| Some(p.plan.as_str()) == plan && Some(p.quantity) == quantity)
                && said("interval").is_none_or(|told| told.as_str() == interval)
        }),
        NoticeKind::SubscriptionCancelled => on(claim, known, |s| {
            s.facts.told.canceled_at.is_some_and(|at| at.to_string() == claim.occurrence)
        }),
        NoticeKind::Receipt => begun(claim, known),
        NoticeKind::RefundMade => refunded(claim, known),
        NoticeKind::PurchaseProcessing => bought(claim, known, PurchaseState::Processing),
        NoticeKind::PurchaseFailed => bought(claim, known, PurchaseState::Failed),
        NoticeKind::RefundFailed => {
            let owed =
                known.payments.iter().flat_map(|p| owed_again(&p.refunds)).any(|r| r.id == claim.object);
            holds(owed, "the money went back after all")
        }
        NoticeKind::CardExpiring => {
            let same = |s: &Subscription| {
                let card = s.facts.told.card.as_ref();
                card.is_some_and(|card| card.id == claim.object && card.month() == claim.occurrence)
            };
            let pays = |s: &&Subscription| s.is_live() && goes_on(s, claim);
            holds(known.subscriptions.iter().filter(pays).any(same), "another card pays, or none")
        }
    }
}

fn holds(so: bool, otherwise: &'static str) -> Truth {
    if so { Truth::Holds } else { Truth::Over(otherwise) }
}

fn on(claim: Claim<'_>, known: Known<'_>, so: impl Fn(&Subscription) -> bool) -> Truth {
    match known.subscriptions.iter().find(|s| s.facts.id == claim.object && !s.missing) {
        Some(found) => holds(so(found), "the subscription has changed since"),
        None => Truth::Over("the subscription is gone"),
    }
}

/// Whether it does not end before what the notice is about.
fn goes_on(s: &Subscription, claim: Claim<'_>) -> bool {
    s.facts.ends_at().zip(claim.about).is_none_or(|(end, about)| end > about)
}

/// Whether it goes on until then and is charged then.
fn is_charged(s: &Subscription, claim: Claim<'_>) -> bool {
    goes_on(s, claim) && !claim.about.is_some_and(|about| s.facts.is_uncollected_at(about))
}

fn failing(claim: Claim<'_>, known: Known<'_>) -> Truth {
    let newest = known.subscriptions.iter().find_map(|s| {
        let invoice = s.facts.latest_invoice.as_ref().filter(|i| i.id == claim.object)?;
        Some((s, invoice))
    });
    let Some((s, invoice)) = newest else { return Truth::Over("a later invoice has taken its place") };
    if !is_failing(invoice) {
        return Truth::Over("the invoice is no longer open");
    }
    if !is_owed(&s.facts.status) || s.missing {
        return Truth::Over("nothing is owed for the subscription any more");
    }
    holds(s.newest_failure().as_deref() == Some(claim.occurrence), "another attempt has been made since")
}

/// What was paid was paid; a trial that a receipt tells of must still have that end.
fn begun(claim: Claim<'_>, known: Known<'_>) -> Truth {
    let said = |key: &str| claim.data.get(key).and_then(Value::as_str);
    let (Some(end), Some(id)) = (said("trial_end"), said("subscription")) else { return Truth::Holds };
    let trial = known.subscriptions.iter().find(|s| s.facts.id == id).filter(|s| {
        s.facts.status == SubscriptionStatus::Trialing
            && s.facts.trial_end.is_some_and(|at| at.to_string() == end)
    });
    holds(trial.is_some(), "the trial has ended, or ends on another day")
}

fn bought(claim: Claim<'_>, known: Known<'_>, state: PurchaseState) -> Truth {
    match known.purchases.iter().find(|p| p.facts.id == claim.object) {
        Some(found) => holds(found.state() == state, "the payment has gone on since"),
        None => Truth::Over("the purchase is gone"),
    }
}

fn recovered(claim: Claim<'_>, known: Known<'_>) -> Truth {
    let subscription = claim.data.get("subscription").and_then(Value::as_str);
    match known.subscriptions.iter().find(|s| Some(s.facts.id.as_str()) == subscription) {
        Some(s) => holds(s.access.allows(), "access has ended since"),
        None => Truth::Over("the subscription is gone"),
    }
}

fn ended(claim: Claim<'_>, known: Known<'_>) -> Truth {
    let purchase = known.purchases.iter().find(|p| p.facts.id == claim.object);
    if let Some(purchase) = purchase {
        let served = known.held.iter().any(|held| has_too(held, purchase));
        return holds(!served && !purchase.standing.at(known.now).allows(), "access is back");
    }
    let Some(s) = known.subscriptions.iter().find(|s| s.facts.id == claim.object) else {
        return Truth::Over("the subscription is gone");
    };
    let groups: Vec<_> = s.plans.iter().map(|held| &held.group).collect();
    let served =
        known.subscriptions.iter().filter(|other| other.standing.at(known.now).allows()).any(|other| {
            other.facts.id == claim.object || other.plans.iter().any(|h| groups.contains(&&h.group))
        });
    let served = served || known.held.iter().any(|held| gives_too(held, s));
    holds(!served, "access is back")
}

fn announced(claim: Claim<'_>, known: Known<'_>) -> Truth {
    let id = claim.data.get("announcement").and_then(Value::as_str);
    let Some(change) = known.announced.iter().find(|a| Some(a.id.as_str()) == id) else {
        return Truth::Over("the announcement was withdrawn");
    };
    on(claim, known, |s| Some(change.effective_at) == claim.about && meets(change, s))
}

fn refunded(claim: Claim<'_>, known: Known<'_>) -> Truth {
    let found = known.payments.iter().flat_map(|p| &p.refunds).find(|r| r.id == claim.object);
    match found {
        Some(refund) => holds(refund.status == "succeeded", "the refund did not come about"),
        None => Truth::Holds,
    }
}
