//! The table of access, once more, on the provider's own words: what each subscription gives by the sandbox's ledger.

use quittance_domain::AccessPolicy;
use quittance_domain::access::{MoneyState, OnLatePayment};
use quittance_sandbox::{CustomerLedger, LedgerInvoice, LedgerSubscription};

/// The newest period of a subscription that was paid for.
fn paid_period<'a>(invoices: &'a [LedgerInvoice], subscription: &str) -> Option<&'a LedgerInvoice> {
    let own = invoices.iter().filter(|i| i.subscription.as_deref() == Some(subscription));
    own.filter(|i| i.status == "paid" && i.reaches.is_some()).max_by_key(|i| i.created)
}

/// Since when it owes: the oldest open invoice that no paid period has left behind.
pub(super) fn failing_since(invoices: &[LedgerInvoice], subscription: &str) -> Option<i64> {
    let open =
        || invoices.iter().filter(|i| i.status == "open" && i.subscription.as_deref() == Some(subscription));
    let paid = paid_period(invoices, subscription).map(|i| i.created);
    let since = |i: &LedgerInvoice| i.finalized_at.unwrap_or(i.created);
    let left = open().filter(|i| paid.is_none_or(|paid| i.created > paid)).map(since).min();
    left.or_else(|| open().map(since).min())
}

/// Whether what a subscription's running period was paid with has come back, by the policy; of what its newest invoice was paid
/// with beside that, only a dispute counts.
fn money_came_back(customer: &CustomerLedger, found: &LedgerSubscription, policy: &AccessPolicy) -> bool {
    let paid_with = |invoice: Option<&str>| {
        let of = move |c: &&quittance_sandbox::LedgerCharge| {
            c.paid && c.invoice.is_some() && c.invoice.as_deref() == invoice
        };
        customer.charges.iter().filter(of).map(|c| c.id.as_str()).collect::<Vec<_>>()
    };
    let newest = paid_with(found.latest_invoice.as_deref());
    let period = paid_period(&customer.invoices, &found.id);
    match period.filter(|i| i.reaches >= Some(found.current_period_end)) {
        Some(period) => {
            paid_with(Some(&period.id)).into_iter().any(|c| payment_came_back(customer, c, policy))
                || newest
                    .into_iter()
                    .any(|c| is_disputed(customer, c) && payment_came_back(customer, c, policy))
        }
        None => newest.into_iter().any(|c| payment_came_back(customer, c, policy)),
    }
}

fn is_disputed(customer: &CustomerLedger, charge: &str) -> bool {
    customer.disputes.iter().any(|d| d.charge == charge && stands(&d.status))
}

pub(super) fn payment_came_back(customer: &CustomerLedger, charge: &str, policy: &AccessPolicy) -> bool {
    let Some(found) = customer.charges.iter().find(|c| c.id == charge) else { return false };
    let lost = customer.disputes.iter().any(|d| d.charge == charge && d.status == "lost");
    let state = if lost {
        MoneyState::DisputeLost
    } else if is_disputed(customer, charge) {
        MoneyState::Disputed
    } else if found.amount > 0 && found.amount_refunded >= found.amount {
        MoneyState::Refunded
    } else if found.amount_refunded > 0 {
        MoneyState::PartlyRefunded
    } else {
        MoneyState::Kept
    };
    policy.money_ends_access(state)
}

/// Whether a dispute holds the money: open or lost, and no mere inquiry.
pub(super) fn stands(status: &str) -> bool {
    !matches!(
        status,
        "won" | "warning_needs_response" | "warning_under_review" | "warning_closed" | "prevented"
    )
}

/// Whether a subscription gives what its plan has.
pub(super) fn provider_grants(
    customer: &CustomerLedger,
    found: &LedgerSubscription,
    policy: &AccessPolicy,
    now_s: i64,
) -> bool {
    if money_came_back(customer, found, policy) {
        return false;
    }
    let planned = found.cancel_at.or(found.cancel_at_period_end.then_some(found.current_period_end));
    let period = paid_period(&customer.invoices, &found.id);
    let newest = customer.invoices.iter().find(|i| Some(&i.id) == found.latest_invoice.as_ref());
    // Where no invoice bills a whole period, the newest tells.
    let known = period.or(newest.filter(|i| i.status == "paid"));
    let paid_until =
        known.map(|i| i.reaches.unwrap_or(found.current_period_end).min(found.current_period_end));
    match found.status.as_str() {
        // What is paid for is used up, or the trial, without any slack.
        "trialing" | "active" if found.paused => {
            let trial = found.trial_end.filter(|_| found.status == "trialing");
            trial.or(paid_until).is_some_and(|end| now_s < planned.map_or(end, |planned| planned.min(end)))
        }
        "trialing" | "active" => match planned {
            Some(end) => now_s < end,
            // Within the period, or the slack after it in which a renewal may be on its way.
            None => now_s < found.current_period_end + i64::from(policy.renewal_slack_hours) * 3_600,
        },
        "past_due" => failing_since(&customer.invoices, &found.id)
            .is_some_and(|since| now_s < since + i64::from(policy.grace_days) * 86_400),
        "canceled" => {
            let late = policy.money.late_payment == OnLatePayment::Grant
                && known.is_some_and(|i| i.paid_at > found.ended_at && found.ended_at.is_some());
            let whole = paid_until == Some(found.current_period_end);
            whole && (policy.canceled_keeps_paid_period || late) && now_s < found.current_period_end
        }
        _ => false,
    }
}
