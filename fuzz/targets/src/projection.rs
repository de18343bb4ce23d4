//! The projection: total over whatever a provider may say, and what it does not understand never widens access.
//!
//! Input: bytes that choose an observation, what was stored before, and the time.

use arbitrary::{Result, Unstructured};
use quittance_domain::access::{Access, AccessPolicy, MoneyPolicy, MoneyState, OnLatePayment, OnMoneyBack};
use quittance_domain::dispute::{DisputeFacts, DisputeStatus};
use quittance_domain::notices::{Beside, NoticePolicy, RuleTable, Wanted, decide};
use quittance_domain::projection::{
    Observed, PaymentFacts, Projection, PurchaseFacts, RefundFacts, SaleFacts, Stored, Unreadable,
};
use quittance_domain::subscription::{
    Ahead, Bill, Card, CollectionPause, FutureItem, InvoiceFacts, InvoicePayment, ItemFacts, NextPhase,
    PendingUpdate, SubscriptionFacts, ToldFacts,
};
use quittance_domain::time::DAY_MS;
use quittance_domain::{
    Catalog, CheckoutId, Currency, CustomerId, Money, Subscription, SubscriptionStatus, Timestamp,
};

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);
const STATUSES: [&str; 10] = [
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "incomplete",
    "incomplete_expired",
    "canceled",
    "paused",
    "hibernating",
    "",
];
const PRICES: [(&str, Option<&str>); 5] = [
    ("price_a", Some("pro_month_jpy")),
    ("price_b", Some("studio_month_jpy")),
    ("price_c", None),
    ("price_d", Some("pro_year_usd")),
    ("", Some("")),
];

/// Two looks at a provider, one after the other, on top of nothing.
pub fn projection(input: &[u8]) {
    let mut chosen = Unstructured::new(input);
    let catalog = Catalog::parse(quittance_server::config::DEMO_CATALOG).expect("the demo catalog");
    let Ok(policy) = policy(&mut chosen) else { return };
    let customer = CustomerId::parse("user_1").ok().filter(|_| chosen.ratio(3, 4).unwrap_or(true));
    let mut stored = Stored { customer, ..Stored::default() };
    for _ in 0..3 {
        let Ok((seen, now)) = look(&mut chosen) else { return };
        let out = decided(seen.clone(), &stored, &catalog, &policy, now);
        sound(&seen, &stored, &out, &policy, &catalog, now);
        let after = Stored {
            customer: stored.customer.clone(),
            subscriptions: out.subscriptions.clone(),
            purchases: out.purchases.clone(),
            payments: out.payments.clone(),
            ..Stored::default()
        };
        again(&seen, &after, &out, &catalog, &policy, now);
        stored = after;
    }
}

/// A projection with the notices that are due.
fn decided(
    seen: Observed,
    stored: &Stored,
    catalog: &Catalog,
    policy: &AccessPolicy,
    now: Timestamp,
) -> Projection {
    let mut out = quittance_domain::projection::project(seen, stored, catalog, policy, now);
    let wanted = Wanted {
        policy: &NoticePolicy::default(),
        rules: &RuleTable::built_in(),
        told: &[],
        announced: &[],
        beside: &Beside::default(),
        looked_at: Some(NOW),
        now,
    };
    decide(stored, &mut out, wanted);
    out
}

fn sound(
    seen: &Observed,
    stored: &Stored,
    out: &Projection,
    policy: &AccessPolicy,
    catalog: &Catalog,
    now: Timestamp,
) {
    assert_eq!(*out, decided(seen.clone(), stored, catalog, policy, now), "the same twice is not the same");
    for old in &stored.subscriptions {
        assert!(out.subscriptions.iter().any(|s| s.facts.id == old.facts.id), "{} is lost", old.facts.id);
    }
    for new in &out.subscriptions {
        let old = stored.subscriptions.iter().find(|s| s.facts.id == new.facts.id);
        let before = old.map_or(Access::Revoked, |s| s.standing.at(now));
        let after = new.standing.at(now);
        assert_eq!(new.access, if carried(seen, new) { old.map_or(new.access, |s| s.access) } else { after });
        let widens = after.allows() && !before.allows();
        if widens {
            assert!(!new.missing, "what is gone gives access");
            assert!(may_grant(&new.facts, policy), "status `{}` gave access", new.facts.status);
            assert!(!contradicts(new, stored), "a contradiction gave access");
        }
        assert!(!after.allows() || new.standing.until().is_some(), "access without an end");
        for held in &new.plans {
            let known = catalog.plan(held.plan.as_str()).is_some_and(|plan| plan.group == held.group);
            assert!(known, "{} comes from nowhere", held.plan);
            let named = new.facts.items.iter().any(|item| {
                catalog
                    .plan_of_price(&item.price, item.lookup_key.as_deref())
                    .is_some_and(|plan| plan.key == held.plan)
            });
            let kept = old.is_some_and(|old| {
                old.plans.iter().any(|before| before.item == held.item && before.plan == held.plan)
            });
            assert!(named || kept, "{} is neither named nor kept", held.plan);
        }
    }
    if let Some(at) = out.look_again_at {
        assert!(at > now);
    }
}

/// Kept as it was, because it could not be read this time.
fn carried(seen: &Observed, new: &Subscription) -> bool {
    !seen.subscriptions.iter().any(|facts| facts.id == new.facts.id) && !new.missing
}

fn may_grant(facts: &SubscriptionFacts, policy: &AccessPolicy) -> bool {
    match facts.status {
        SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue => true,
        SubscriptionStatus::Canceled => {
            policy.canceled_keeps_paid_period || policy.money.late_payment == OnLatePayment::Grant
        }
        SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unknown(_) => false,
    }
}

fn contradicts(new: &Subscription, stored: &Stored) -> bool {
    matches!((&new.facts.named_customer, &stored.customer), (Some(named), Some(linked)) if named != linked)
}

/// Looking again at the same moment and seeing the same changes nothing and has nothing to tell.
fn again(
    seen: &Observed,
    after: &Stored,
    out: &Projection,
    catalog: &Catalog,
    policy: &AccessPolicy,
    now: Timestamp,
) {
    let twice = decided(seen.clone(), after, catalog, policy, now);
    assert_eq!(twice.subscriptions, out.subscriptions);
    assert_eq!(twice.purchases, out.purchases);
    assert_eq!(twice.payments, out.payments);
    assert_eq!(twice.history, [], "told twice");
    for effect in &twice.effects {
        assert!(out.effects.contains(effect), "{effect:?} came by looking twice");
    }
}

fn policy(chosen: &mut Unstructured<'_>) -> Result<AccessPolicy> {
    let back = |keep: bool| if keep { OnMoneyBack::Keep } else { OnMoneyBack::Revoke };
    Ok(AccessPolicy {
        grace_days: *chosen.choose(&[0, 7, 3_650])?,
        renewal_slack_hours: *chosen.choose(&[0, 72, 87_600])?,
        canceled_keeps_paid_period: chosen.arbitrary()?,
        money: MoneyPolicy {
            refund_full: back(chosen.arbitrary()?),
            refund_partial: back(chosen.arbitrary()?),
            early_fraud_warning: back(chosen.arbitrary()?),
            dispute_inquiry: back(chosen.arbitrary()?),
            dispute_opened: back(chosen.arbitrary()?),
            dispute_lost: back(chosen.arbitrary()?),
            dispute_won: back(chosen.arbitrary()?),
            late_payment: *chosen.choose(&[OnLatePayment::Grant, OnLatePayment::Ignore])?,
        },
        ..AccessPolicy::default()
    })
}

fn look(chosen: &mut Unstructured<'_>) -> Result<(Observed, Timestamp)> {
    let ids = ["sub_a", "sub_b", "sub_c", "sub_d"];
    let mut subscriptions = Vec::new();
    for id in ids {
        if chosen.ratio(2, 3)? {
            subscriptions.push(facts(id, chosen)?);
        }
    }
    let mut unreadable = Vec::new();
    if chosen.ratio(1, 5)? {
        let id = chosen.choose(&[None, Some("sub_a"), Some("sub_d"), Some("cs_a")])?.map(str::to_owned);
        // What could not be read is not among what could.
        if id.as_ref().is_none_or(|id| subscriptions.iter().all(|facts| facts.id != *id)) {
            unreadable.push(Unreadable { id, detail: "odd".to_owned() });
        }
    }
    let purchases = if chosen.arbitrary()? { Some(purchases(chosen)?) } else { None };
    let payments = if chosen.arbitrary()? { Some(payments(chosen)?) } else { None };
    let seen = Observed {
        subscriptions,
        purchases,
        payments,
        invoices: vec![invoice(chosen)?],
        customer_gone: chosen.ratio(1, 8)?,
        unreadable,
    };
    Ok((seen, NOW.plus_ms(chosen.int_in_range(0..=120)? * DAY_MS)))
}

fn facts(id: &str, chosen: &mut Unstructured<'_>) -> Result<SubscriptionFacts> {
    let mut items = Vec::new();
    for item in ["si_a", "si_b", "si_c"].into_iter().take(chosen.int_in_range(0..=3)?) {
        let (price, lookup_key) = *chosen.choose(&PRICES)?;
        items.push(ItemFacts {
            id: format!("{item}_{id}"),
            price: price.to_owned(),
            lookup_key: lookup_key.map(str::to_owned),
            unit_price: None,
            interval: Some("month".to_owned()),
            quantity: number(chosen)?,
            period_start: time(chosen)?,
            period_end: time(chosen)?,
        });
    }
    Ok(SubscriptionFacts {
        id: id.to_owned(),
        status: SubscriptionStatus::from((*chosen.choose(&STATUSES)?).to_owned()),
        items,
        currency: None,
        created_at: time(chosen)?.unwrap_or(NOW),
        cancel_at_period_end: chosen.arbitrary()?,
        cancel_at: time(chosen)?,
        ended_at: time(chosen)?,
        trial_end: time(chosen)?,
        paid: None,
        failing_since: time(chosen)?,
        latest_invoice: if chosen.arbitrary()? { Some(invoice(chosen)?) } else { None },
        named_customer: named(chosen)?,
        checkout: if chosen.arbitrary()? { Some(CheckoutId::from_random([1; 16])) } else { None },
        ahead: ahead(chosen)?,
        told: ToldFacts { trial_start: time(chosen)?, canceled_at: time(chosen)?, card: card(chosen)? },
        method: None,
    })
}

fn ahead(chosen: &mut Unstructured<'_>) -> Result<Ahead> {
    let pause = if chosen.ratio(1, 4)? {
        Some(CollectionPause { behavior: "void".to_owned(), resumes_at: time(chosen)? })
    } else {
        None
    };
    let next_phase = match time(chosen)? {
        Some(at) => Some(NextPhase { at, items: future(chosen)? }),
        None => None,
    };
    let pending = match time(chosen)? {
        Some(expires_at) => Some(PendingUpdate { expires_at, items: future(chosen)? }),
        None => None,
    };
    let schedule = next_phase.as_ref().map(|_| "sub_sched_a".to_owned());
    Ok(Ahead { pause, schedule, next_phase, pending, cancellation: None, starts_after: None })
}

fn future(chosen: &mut Unstructured<'_>) -> Result<Vec<FutureItem>> {
    let mut items = Vec::new();
    for _ in 0..chosen.int_in_range(0..=2)? {
        let (price, lookup_key) = *chosen.choose(&PRICES)?;
        items.push(FutureItem {
            price: price.to_owned(),
            lookup_key: lookup_key.map(str::to_owned),
            quantity: number(chosen)?,
        });
    }
    Ok(items)
}

fn invoice(chosen: &mut Unstructured<'_>) -> Result<InvoiceFacts> {
    let mut payments = Vec::new();
    for _ in 0..chosen.int_in_range(0..=2)? {
        payments.push(InvoicePayment {
            payment: (*chosen.choose(&["pi_a", "pi_b"])?).to_owned(),
            amount: amount(chosen)?,
        });
    }
    Ok(InvoiceFacts {
        reaches: None,
        id: "in_a".to_owned(),
        status: (*chosen.choose(&["paid", "open", "draft", "void", "odd"])?).to_owned(),
        remaining: amount(chosen)?,
        attempt_count: number(chosen)?,
        next_attempt_at: time(chosen)?,
        payments,
        bill: Bill {
            subscription: None,
            total: Some(amount(chosen)?),
            finalized_at: time(chosen)?,
            paid_at: time(chosen)?,
            payment: None,
        },
        due_at: time(chosen)?,
        paid_at: time(chosen)?,
        pay_link: None,
        attempt: None,
    })
}

fn card(chosen: &mut Unstructured<'_>) -> Result<Option<Card>> {
    if chosen.arbitrary()? {
        return Ok(None);
    }
    Ok(Some(Card {
        id: "pm_a".to_owned(),
        brand: chosen.arbitrary::<bool>()?.then(|| "visa".to_owned()),
        last4: None,
        exp_month: chosen.int_in_range(-1..=14)?,
        exp_year: number(chosen)?,
        country: None,
    }))
}

fn purchases(chosen: &mut Unstructured<'_>) -> Result<Vec<PurchaseFacts>> {
    let mut all = Vec::new();
    for id in ["cs_a", "cs_b"] {
        if chosen.arbitrary()? {
            all.push(PurchaseFacts {
                id: id.to_owned(),
                payment: Some((*chosen.choose(&["pi_a", "pi_c"])?).to_owned()),
                paid: chosen.arbitrary()?,
                failed: chosen.arbitrary()?,
                plan: None,
                checkout: None,
                named_customer: named(chosen)?,
                quantity: number(chosen)?,
                sale: SaleFacts { amount: Some(amount(chosen)?), created_at: time(chosen)?, reference: None },
            });
        }
    }
    Ok(all)
}

fn disputes(payment: &str, chosen: &mut Unstructured<'_>) -> Result<Vec<DisputeFacts>> {
    if chosen.ratio(2, 3)? {
        return Ok(Vec::new());
    }
    let words = ["warning_needs_response", "needs_response", "under_review", "won", "lost", "odd"];
    Ok(vec![DisputeFacts {
        id: format!("dp_{payment}"),
        status: DisputeStatus::from((*chosen.choose(&words)?).to_owned()),
        amount: amount(chosen)?,
        reason: "fraudulent".to_owned(),
        due_by: time(chosen)?,
        submissions: 0,
        created_at: NOW,
    }])
}

fn payments(chosen: &mut Unstructured<'_>) -> Result<Vec<PaymentFacts>> {
    let mut all = Vec::new();
    for id in ["pi_a", "pi_b", "pi_c"] {
        if chosen.arbitrary()? {
            all.push(PaymentFacts {
                id: id.to_owned(),
                amount: amount(chosen)?,
                refunded: amount(chosen)?,
                money: *chosen.choose(&[
                    MoneyState::Kept,
                    MoneyState::PartlyRefunded,
                    MoneyState::Refunded,
                    MoneyState::Warned,
                    MoneyState::Inquiry,
                    MoneyState::Disputed,
                    MoneyState::DisputeLost,
                    MoneyState::DisputeWon,
                ])?,
                created_at: NOW,
                refunds: vec![RefundFacts {
                    id: format!("re_{id}"),
                    status: (*chosen.choose(&["succeeded", "failed", "odd"])?).to_owned(),
                    amount: amount(chosen)?,
                    created_at: time(chosen)?.unwrap_or(NOW),
                }],
                disputes: disputes(id, chosen)?,
                warning: None,
            });
        }
    }
    Ok(all)
}

fn named(chosen: &mut Unstructured<'_>) -> Result<Option<CustomerId>> {
    Ok(chosen
        .choose(&[None, None, Some("user_1"), Some("user_2")])?
        .and_then(|id| CustomerId::parse(id).ok()))
}

/// A moment near now, or one that no calendar has.
fn time(chosen: &mut Unstructured<'_>) -> Result<Option<Timestamp>> {
    Ok(match chosen.int_in_range(0..=9)? {
        0..=2 => None,
        3 => Some(Timestamp::from_ms(i64::MAX)),
        4 => Some(Timestamp::from_ms(i64::MIN)),
        _ => Some(NOW.plus_ms(chosen.int_in_range(-60_i64..=60)? * DAY_MS)),
    })
}

fn number(chosen: &mut Unstructured<'_>) -> Result<i64> {
    Ok(*chosen.choose(&[1, 1, 2, 0, -1, i64::MAX, i64::MIN])?)
}

fn amount(chosen: &mut Unstructured<'_>) -> Result<Money> {
    let code = *chosen.choose(&["jpy", "usd"])?;
    Ok(Money::new(number(chosen)?, Currency::parse(code).expect("a currency")))
}
