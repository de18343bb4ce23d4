//! From Stripe's observed objects to the domain's facts.

use std::collections::BTreeMap;

use quittance_domain::access::MoneyState;
use quittance_domain::checkout::{CheckoutState, CheckoutWish};
use quittance_domain::digest::short_hex;
use quittance_domain::dispute::{self, DisputeFacts, DisputeStatus, WarningFacts};
use quittance_domain::projection::{PaymentFacts, PurchaseFacts, RefundFacts, SaleFacts, Unreadable};
use quittance_domain::subscription::{
    Ahead, Bill, Cancellation, Card, CollectionPause, FutureItem, InvoiceFacts, InvoicePayment, ItemFacts,
    NextPhase, PaidPeriod, PayLink, PendingUpdate, SubscriptionFacts, ToldFacts,
};
use quittance_domain::{CheckoutId, Currency, CustomerId, Money, PlanKey, SubscriptionStatus, Timestamp};
use quittance_stripe::observe::{
    LatestInvoice, ObservedCharge, ObservedCheckout, ObservedDispute, ObservedInvoice, ObservedPaymentIntent,
    ObservedRefund, ObservedSchedule, ObservedSubscription, Page, PlannedItem, Scheduled,
};

use super::prices::PriceBook;
use crate::trials::STARTS_AFTER_KEY;

/// The metadata key under which our checkouts name themselves.
pub(crate) const CHECKOUT_KEY: &str = "quittance_checkout";

/// The metadata key under which the app's own name for what is bought stands.
pub(crate) const REFERENCE_KEY: &str = "quittance_reference";
/// The metadata key of bare payments of ours, which no session made.
pub(crate) const BARE_KEY: &str = "quittance_payment";

fn odd(id: &str, detail: impl ToString) -> Unreadable {
    Unreadable { id: Some(id.to_owned()), detail: detail.to_string() }
}

/// The customer that metadata names, by the first of the configured keys that is there and valid.
pub(crate) fn named_customer(metadata: &BTreeMap<String, String>, keys: &[String]) -> Option<CustomerId> {
    keys.iter().filter_map(|key| metadata.get(key)).find_map(|value| CustomerId::parse(value).ok())
}

pub(crate) fn named_checkout(metadata: &BTreeMap<String, String>) -> Option<CheckoutId> {
    metadata.get(CHECKOUT_KEY).and_then(|value| CheckoutId::parse(value).ok())
}

/// Translates a subscription. `open_invoices` are those of the same customer that are still unpaid, `paid_invoices` the newest of
/// its own that were paid, where they were looked up.
pub(crate) fn subscription(
    observed: &ObservedSubscription,
    open_invoices: &[ObservedInvoice],
    paid_invoices: &[ObservedInvoice],
    keys: &[String],
    book: &PriceBook,
) -> Result<SubscriptionFacts, Unreadable> {
    let currency =
        observed.currency.as_deref().map(Currency::parse).transpose().map_err(|e| odd(&observed.id, e))?;
    let latest_invoice = match telling_invoice(observed, open_invoices) {
        Some(found) => Some(invoice(found).map_err(|e| odd(&observed.id, e))?),
        None => None,
    };
    let mut items = Vec::with_capacity(observed.items.len());
    for item in &observed.items {
        let price_currency = Currency::parse(&item.currency).map_err(|e| odd(&observed.id, e))?;
        items.push(ItemFacts {
            id: item.id.clone(),
            price: item.price_id.clone(),
            lookup_key: item.lookup_key.clone(),
            unit_price: item.unit_amount.map(|minor| Money::new(minor, price_currency)),
            interval: item.interval.clone(),
            quantity: item.quantity.unwrap_or(1),
            period_start: item.current_period_start_s.map(Timestamp::from_seconds),
            period_end: item.current_period_end_s.map(Timestamp::from_seconds),
        });
    }
    Ok(SubscriptionFacts {
        id: observed.id.clone(),
        status: SubscriptionStatus::from(observed.status.clone()),
        items,
        currency,
        created_at: Timestamp::from_seconds(observed.created_s),
        cancel_at_period_end: observed.cancel_at_period_end,
        cancel_at: observed.cancel_at_s.map(Timestamp::from_seconds),
        ended_at: observed.ended_at_s.map(Timestamp::from_seconds),
        trial_end: observed.trial_end_s.map(Timestamp::from_seconds),
        failing_since: failing_since(&observed.id, open_invoices, paid_invoices),
        latest_invoice,
        paid: paid_invoices
            .iter()
            .filter(|found| found.subscription.as_deref() == Some(&observed.id))
            .filter_map(|found| invoice(found).ok()?.paid_period())
            .max_by_key(PaidPeriod::age),
        named_customer: named_customer(&observed.metadata, keys),
        checkout: named_checkout(&observed.metadata),
        ahead: ahead(observed, book),
        method: observed.default_payment_method.clone().or_else(|| {
            observed.customer.as_ref().and_then(|customer| customer.default_payment_method.clone())
        }),
        told: ToldFacts {
            trial_start: observed.trial_start_s.map(Timestamp::from_seconds),
            canceled_at: observed.canceled_at_s.map(Timestamp::from_seconds),
            card: card(observed),
        },
    })
}

/// The invoice that says how a subscription's payment stands: its newest. While one is owed, a newer draft says nothing: the
/// provider makes one at each period's end, and those of an unpaid subscription stay drafts.
pub(super) fn telling_invoice<'a>(
    observed: &'a ObservedSubscription,
    open_invoices: &'a [ObservedInvoice],
) -> Option<&'a ObservedInvoice> {
    let newest = match &observed.latest_invoice {
        Some(LatestInvoice::Expanded(found)) => found,
        Some(LatestInvoice::Id(_)) | None => return None,
    };
    let owed = open_invoices
        .iter()
        .filter(|i| i.status == "open" && i.subscription.as_deref() == Some(&observed.id))
        .max_by_key(|i| i.created_s);
    match owed {
        Some(owed) if newest.status == "draft" && super::dunning::fails(&observed.status) => Some(owed),
        Some(_) | None => Some(newest),
    }
}

/// The card that renewals are charged to: the subscription's own payment method, or else the customer's.
fn card(observed: &ObservedSubscription) -> Option<Card> {
    let found = match &observed.default_payment_method {
        Some(_) => observed.default_card.as_ref(),
        None => observed.customer.as_ref()?.default_card.as_ref(),
    }?;
    Some(Card {
        id: found.id.clone(),
        brand: found.brand.clone(),
        last4: found.last4.clone(),
        exp_month: found.exp_month,
        exp_year: found.exp_year,
        country: found.country.clone(),
    })
}

/// What is planned for a subscription, or waits.
fn ahead(observed: &ObservedSubscription, book: &PriceBook) -> Ahead {
    let of = |item: &PlannedItem| FutureItem {
        lookup_key: item.lookup_key.clone().or_else(|| book.lookup_key(&item.price_id)),
        price: item.price_id.clone(),
        quantity: item.quantity.unwrap_or(1),
    };
    let now: Vec<(&str, i64)> =
        observed.items.iter().map(|i| (i.price_id.as_str(), i.quantity.unwrap_or(1))).collect();
    let schedule = match &observed.schedule {
        Some(Scheduled::Expanded(schedule)) if schedule.status == "active" => Some(&**schedule),
        Some(Scheduled::Expanded(_) | Scheduled::Id(_)) | None => None,
    };
    let next = schedule.and_then(ObservedSchedule::next_phase).map(|phase| NextPhase {
        at: Timestamp::from_seconds(phase.start_s),
        items: phase.items.iter().map(of).collect(),
    });
    // A phase that is like the one before plans nothing.
    let differs = |next: &NextPhase| {
        let then: Vec<(&str, i64)> = next.items.iter().map(|i| (i.price.as_str(), i.quantity)).collect();
        then != now
    };
    let (reason, feedback) = (observed.cancellation_reason.clone(), observed.cancellation_feedback.clone());
    Ahead {
        pause: observed.pause.as_ref().map(|pause| CollectionPause {
            behavior: pause.behavior.clone(),
            resumes_at: pause.resumes_at_s.map(Timestamp::from_seconds),
        }),
        schedule: schedule.map(|schedule| schedule.id.clone()),
        next_phase: next.filter(differs),
        pending: observed.pending_update.as_ref().filter(|waiting| !waiting.items.is_empty()).map(
            |waiting| PendingUpdate {
                expires_at: Timestamp::from_seconds(waiting.expires_at_s),
                items: waiting.items.iter().map(of).collect(),
            },
        ),
        cancellation: (reason.is_some() || feedback.is_some()).then_some(Cancellation { reason, feedback }),
        starts_after: observed.metadata.get(STARTS_AFTER_KEY).cloned(),
    }
}

/// Prices that a plan to come names and that nobody has looked up yet.
pub(crate) fn unknown_prices(observed: &[ObservedSubscription], book: &PriceBook) -> Vec<String> {
    let planned = observed.iter().flat_map(|s| {
        let phases = match &s.schedule {
            Some(Scheduled::Expanded(schedule)) => schedule.next_phase().map(|phase| &phase.items),
            Some(Scheduled::Id(_)) | None => None,
        };
        phases.into_iter().chain(s.pending_update.as_ref().map(|waiting| &waiting.items)).flatten()
    });
    let mut unknown: Vec<String> = planned
        .filter(|item| item.lookup_key.is_none() && !book.knows(&item.price_id))
        .map(|item| item.price_id.clone())
        .collect();
    unknown.sort();
    unknown.dedup();
    unknown
}

/// When the oldest invoice that is still open became due: the provider's own record of the failure. One that was left behind,
/// as a later period was paid, is no part of it.
fn failing_since(
    subscription: &str,
    open_invoices: &[ObservedInvoice],
    paid_invoices: &[ObservedInvoice],
) -> Option<Timestamp> {
    let own = |i: &&ObservedInvoice| i.subscription.as_deref() == Some(subscription);
    let paid = paid_invoices.iter().filter(own).filter(|i| i.status == "paid" && i.reaches_s.is_some());
    let left_behind = paid.map(|i| i.created_s).max();
    let open = || open_invoices.iter().filter(own).filter(|i| i.status == "open");
    let since = open().filter(|i| left_behind.is_none_or(|paid| i.created_s > paid)).map(due_at).min();
    since.or_else(|| open().map(due_at).min())
}

/// Whether a failing subscription owes more than one invoice, so that some may be left behind by one that was paid.
pub(super) fn owes_more_than_one(observed: &ObservedSubscription, open_invoices: &[ObservedInvoice]) -> bool {
    let own = |i: &&ObservedInvoice| i.status == "open" && i.subscription.as_deref() == Some(&observed.id);
    super::dunning::fails(&observed.status) && open_invoices.iter().filter(own).count() > 1
}

/// Whether nobody has seen what paid for the period that runs: the newest invoice is of a change, and what is known is of another
/// period, or nothing is and the look is a subscription's first or a thorough one.
pub(super) fn has_unseen_payment(
    observed: &ObservedSubscription,
    known: Option<&PaidPeriod>,
    first_or_thorough: bool,
) -> bool {
    let Some(LatestInvoice::Expanded(newest)) = &observed.latest_invoice else { return false };
    let ends = observed.items.iter().filter_map(|item| item.current_period_end_s).min();
    let unseen = match (known, ends) {
        (Some(paid), Some(end)) => paid.until < Timestamp::from_seconds(end),
        (Some(_), None) => false,
        (None, _) => first_or_thorough,
    };
    let over = SubscriptionStatus::from(observed.status.clone()).is_final();
    unseen && newest.reaches_s.is_none() && !over
}

/// When an invoice became due. One that is charged is due at once; one that is sent says when.
fn due_at(invoice: &ObservedInvoice) -> Timestamp {
    Timestamp::from_seconds(invoice.due_date_s.or(invoice.finalized_at_s).unwrap_or(invoice.created_s))
}

/// Translates an invoice; how its payment stands is for somebody else to look up.
pub(crate) fn invoice(found: &ObservedInvoice) -> Result<InvoiceFacts, String> {
    let currency = Currency::parse(&found.currency).map_err(|e| e.to_string())?;
    let paid_whole = found.status == "paid";
    let payable = matches!(found.status.as_str(), "open" | "uncollectible");
    let payments = found.payments.iter().flatten().filter_map(|payment| {
        let id = payment.payment_intent.clone()?;
        // The older shape has one payment and no amount of its own.
        let paid = match (&payment.status, payment.amount_paid) {
            (Some(status), amount) if status == "paid" => amount.unwrap_or(found.amount_paid),
            (None, amount) if paid_whole => amount.unwrap_or(found.amount_paid),
            (Some(_) | None, _) => return None,
        };
        Some(InvoicePayment { payment: id, amount: Money::new(paid, currency) })
    });
    Ok(InvoiceFacts {
        id: found.id.clone(),
        status: found.status.clone(),
        remaining: Money::new(found.amount_remaining, currency),
        attempt_count: found.attempt_count,
        next_attempt_at: found.next_payment_attempt_s.map(Timestamp::from_seconds),
        payments: payments.collect(),
        bill: Bill {
            subscription: found.subscription.clone(),
            total: Some(Money::new(found.total, currency)),
            finalized_at: found.finalized_at_s.map(Timestamp::from_seconds),
            paid_at: found.paid_at_s.map(Timestamp::from_seconds),
            payment: found.payments.iter().flatten().find_map(|payment| {
                let open =
                    payment.status.as_deref() == Some("open") || payment.status.is_none() && !paid_whole;
                payment.payment_intent.clone().filter(|_| open)
            }),
        },
        due_at: Some(due_at(found)),
        paid_at: found.paid_at_s.map(Timestamp::from_seconds),
        pay_link: found.hosted_url.as_ref().filter(|_| payable).map(|url| PayLink(url.0.clone())),
        attempt: None,
        reaches: found.reaches_s.map(Timestamp::from_seconds),
    })
}

/// A digest of what a plain list says about a subscription: sweeps compare it with the mirror's.
#[must_use]
pub fn digest_of(observed: &ObservedSubscription) -> String {
    let items: Vec<String> = observed
        .items
        .iter()
        .map(|i| format!("{}={}x{:?}@{:?}", i.id, i.price_id, i.quantity, i.current_period_end_s))
        .collect();
    let metadata: Vec<String> =
        observed.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    short_hex(&[
        &observed.status,
        &items.join(";"),
        &format!(
            "{:?}",
            (observed.cancel_at_period_end, observed.cancel_at_s, observed.ended_at_s, observed.trial_end_s)
        ),
        observed.latest_invoice.as_ref().map_or("", LatestInvoice::id),
        &metadata.join(";"),
        &format!("{:?}", (&observed.pause, &observed.pending_update, &observed.cancellation_feedback)),
        &schedule_digest(observed.schedule.as_ref()),
    ])
}

/// What a schedule plans; nothing once it is over, whatever it left behind.
fn schedule_digest(schedule: Option<&Scheduled>) -> String {
    match schedule {
        Some(Scheduled::Expanded(schedule)) if schedule.status == "active" => {
            format!("{}:{:?}", schedule.id, schedule.next_phase())
        }
        Some(Scheduled::Expanded(_) | Scheduled::Id(_)) | None => String::new(),
    }
}

/// Translates a checkout session in payment mode; `plan` is what our own record of it says, or else the
/// plan of its only line.
pub(crate) fn purchase(
    observed: &ObservedCheckout,
    plan: Option<PlanKey>,
    keys: &[String],
) -> Option<PurchaseFacts> {
    if observed.mode != "payment" || observed.status != "complete" {
        return None;
    }
    let quantity = observed.line_items.iter().flatten().find_map(|line| line.quantity).unwrap_or(1);
    Some(PurchaseFacts {
        id: observed.id.clone(),
        payment: observed.payment_intent.clone(),
        paid: matches!(observed.payment_status.as_str(), "paid" | "no_payment_required"),
        failed: false,
        plan,
        checkout: named_checkout(&observed.metadata),
        named_customer: named_customer(&observed.metadata, keys)
            .or_else(|| observed.client_reference_id.as_deref().and_then(|id| CustomerId::parse(id).ok())),
        quantity,
        sale: SaleFacts {
            amount: observed
                .amount_total
                .zip(observed.currency.as_deref())
                .and_then(|(minor, code)| Some(Money::new(minor, Currency::parse(code).ok()?))),
            created_at: Some(Timestamp::from_seconds(observed.created_s)),
            reference: observed.metadata.get(REFERENCE_KEY).cloned(),
        },
    })
}

/// Whether what a checkout of ours opened is a bare payment.
pub(crate) fn is_payment(session: &str) -> bool {
    session.starts_with("pi_")
}

/// Where a bare payment stands; `None` for a word that is not known.
pub(crate) fn payment_state(observed: &ObservedPaymentIntent) -> Option<CheckoutState> {
    // What the buyer does in front of the page is no payment yet; what they take home, to pay at a store or by a
    // transfer, is on its way.
    let at_the_page = matches!(
        observed.next_action.as_deref(),
        None | Some("redirect_to_url" | "use_stripe_sdk" | "verify_with_microdeposits")
    );
    match observed.status.as_str() {
        "requires_payment_method" | "requires_confirmation" => Some(CheckoutState::Open),
        "requires_action" if at_the_page => Some(CheckoutState::Open),
        "requires_action" | "requires_capture" | "processing" => Some(CheckoutState::Processing),
        "succeeded" => Some(CheckoutState::Complete),
        "canceled" => Some(CheckoutState::Expired),
        _ => None,
    }
}

/// Translates a bare payment of ours. What nobody has tried to pay is no purchase; one that was known to be on its way and
/// is not any more has failed.
pub(crate) fn bare_purchase(
    observed: &ObservedPaymentIntent,
    wish: Option<&CheckoutWish>,
    known: bool,
    keys: &[String],
) -> Option<PurchaseFacts> {
    let (paid, failed) = match payment_state(observed)? {
        CheckoutState::Complete => (true, false),
        CheckoutState::Processing => (false, false),
        CheckoutState::Creating | CheckoutState::Open | CheckoutState::Expired if known => (false, true),
        CheckoutState::Creating | CheckoutState::Open | CheckoutState::Expired => return None,
    };
    Some(PurchaseFacts {
        id: observed.id.clone(),
        payment: Some(observed.id.clone()),
        paid,
        failed,
        plan: match wish {
            Some(wish) => Some(wish.plan.clone()),
            None => observed.metadata.get("quittance_plan").and_then(|key| PlanKey::parse(key).ok()),
        },
        checkout: named_checkout(&observed.metadata),
        named_customer: named_customer(&observed.metadata, keys),
        quantity: wish.map_or(1, |wish| wish.quantity),
        sale: SaleFacts {
            amount: Currency::parse(&observed.currency).ok().map(|code| Money::new(observed.amount, code)),
            created_at: Some(Timestamp::from_seconds(observed.created_s)),
            reference: observed.metadata.get(REFERENCE_KEY).cloned(),
        },
    })
}

/// The disputes of a payment. One that cannot be read counts as standing: the money is not safe.
pub(crate) fn disputes(page: Page<ObservedDispute>, paid_in: &str) -> Vec<DisputeFacts> {
    let read = page.items.into_iter().filter_map(|found| {
        Some(DisputeFacts {
            amount: Money::new(found.amount, Currency::parse(&found.currency).ok()?),
            status: DisputeStatus::from(found.status),
            reason: found.reason.unwrap_or_else(|| "general".to_owned()),
            due_by: found.due_by_s.map(Timestamp::from_seconds),
            submissions: found.submissions,
            created_at: Timestamp::from_seconds(found.created_s),
            id: found.id,
        })
    });
    let unread = page.odd.into_iter().filter_map(|odd| {
        Some(DisputeFacts {
            id: odd.id.unwrap_or_else(|| "unreadable".to_owned()),
            status: DisputeStatus::Other("unreadable".to_owned()),
            amount: Money::new(0, Currency::parse(paid_in).ok()?),
            reason: "general".to_owned(),
            due_by: None,
            submissions: 0,
            created_at: Timestamp::from_ms(0),
        })
    });
    read.chain(unread).collect()
}

/// Translates the charges of a customer into payments, with the disputes and the warnings about them. A standing or lost
/// dispute outweighs a refund; a warning and a won one do not.
pub(crate) fn payments(
    charges: &[ObservedCharge],
    disputes: &[(String, Vec<DisputeFacts>)],
    warnings: &[(String, WarningFacts)],
) -> Vec<PaymentFacts> {
    let mut payments: Vec<PaymentFacts> = Vec::new();
    for charge in charges.iter().filter(|c| c.status == "succeeded") {
        let (Some(id), Ok(currency)) = (&charge.payment_intent, Currency::parse(&charge.currency)) else {
            continue;
        };
        let about = disputes.iter().find(|(payment, _)| payment == id).map(|(_, all)| all.clone());
        let about = about.unwrap_or_default();
        let warning =
            warnings.iter().rev().find(|(payment, _)| payment == id).map(|(_, facts)| facts.clone());
        let money = match dispute::money_state(&about, warning.as_ref()) {
            Some(standing) if !standing.is_ours() => standing,
            Some(_) | None if charge.refunded => MoneyState::Refunded,
            Some(other) => other,
            None if charge.amount_refunded > 0 => MoneyState::PartlyRefunded,
            None => MoneyState::Kept,
        };
        payments.push(PaymentFacts {
            id: id.clone(),
            amount: Money::new(charge.amount_captured, currency),
            refunded: Money::new(charge.amount_refunded, currency),
            money,
            created_at: Timestamp::from_seconds(charge.created_s),
            refunds: charge.refunds.iter().filter_map(refund).collect(),
            disputes: about,
            warning,
        });
    }
    payments
}

fn refund(found: &ObservedRefund) -> Option<RefundFacts> {
    Some(RefundFacts {
        id: found.id.clone(),
        status: found.status.clone()?,
        amount: Money::new(found.amount, Currency::parse(&found.currency).ok()?),
        created_at: Timestamp::from_seconds(found.created_s),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a6_a_sent_invoice_fails_when_it_is_due_and_not_when_it_is_sent() {
        let invoice = |due: Option<i64>| {
            let object = json!({
                "object": "invoice", "id": "in_1", "status": "open", "livemode": false, "currency": "jpy",
                "subscription": "sub_1", "total": 1, "amount_due": 1, "amount_paid": 0, "amount_remaining": 1,
                "attempt_count": 0, "created": 100, "due_date": due,
                "status_transitions": { "finalized_at": 3_700 },
            });
            ObservedInvoice::read(&object).unwrap()
        };
        let at = |seconds| Some(Timestamp::from_seconds(seconds));
        assert_eq!(failing_since("sub_1", &[invoice(None)], &[]), at(3_700));
        assert_eq!(failing_since("sub_1", &[invoice(Some(2_600_000))], &[]), at(2_600_000));
        assert_eq!(failing_since("sub_2", &[invoice(None)], &[]), None);
    }
}
