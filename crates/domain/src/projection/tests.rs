//! Tables over the projection: duplicates, unknown prices, contradictions, history.

use super::*;
use crate::access::tests::{T0, facts};
use crate::catalog::tests::SMALL;
use crate::money::Currency;
use crate::subscription::{InvoiceFacts, InvoicePayment};
use crate::time::DAY_MS;

fn catalog() -> Catalog {
    Catalog::parse(SMALL).unwrap()
}

fn linked() -> Stored {
    Stored { customer: CustomerId::parse("u_1").ok(), ..Stored::default() }
}

fn yen(minor: i64) -> Money {
    Money::new(minor, Currency::parse("jpy").unwrap())
}

fn paid(id: &str, created: i64, from_checkout: bool) -> SubscriptionFacts {
    let mut sub = facts("active");
    sub.id = id.into();
    sub.created_at = T0.plus_ms(created);
    sub.checkout = from_checkout.then(|| CheckoutId::derived(&[id]));
    sub.latest_invoice = Some(InvoiceFacts {
        reaches: None,
        id: format!("in_{id}"),
        status: "paid".into(),
        remaining: yen(0),
        attempt_count: 1,
        next_attempt_at: None,
        payments: vec![InvoicePayment { payment: format!("pi_{id}"), amount: yen(1980) }],
        bill: crate::subscription::Bill::default(),
        due_at: None,
        paid_at: None,
        pay_link: None,
        attempt: None,
    });
    sub
}

fn run(subscriptions: Vec<SubscriptionFacts>, stored: &Stored) -> Projection {
    let observed = Observed { subscriptions, ..Observed::default() };
    project(observed, stored, &catalog(), &AccessPolicy::default(), T0)
}

fn after(projection: &Projection) -> Stored {
    Stored {
        customer: CustomerId::parse("u_1").ok(),
        subscriptions: projection.subscriptions.clone(),
        purchases: projection.purchases.clone(),
        payments: projection.payments.clone(),
        ..Stored::default()
    }
}

#[test]
fn a19_of_two_paid_subscriptions_the_older_stays_and_the_younger_goes_back() {
    let out = run(vec![paid("sub_b", 1_000, true), paid("sub_a", 0, true)], &linked());
    assert_eq!(
        out.effects,
        vec![
            Effect::CancelDuplicate { subscription: "sub_b".into(), kept: "sub_a".into() },
            Effect::RefundDuplicate {
                subscription: "sub_b".into(),
                payment: "pi_sub_b".into(),
                amount: yen(1980)
            },
        ]
    );
    assert!(
        out.anomalies.iter().any(|a| a.kind == AnomalyKind::DuplicateSubscription && a.object == "sub_b")
    );

    // Once cancelled, the refund is still asked for (its key makes it happen once), the cancel is not.
    let mut cancelled = paid("sub_b", 1_000, true);
    cancelled.status = SubscriptionStatus::Canceled;
    let again = run(vec![cancelled, paid("sub_a", 0, true)], &after(&out));
    assert!(again.effects.iter().all(|e| matches!(e, Effect::RefundDuplicate { .. })));
    assert_eq!(again.effects.len(), 1);
    assert!(again.anomalies.is_empty());
}

/// A long outage: the second one has renewed before anybody saw it.
#[test]
fn of_a_duplicate_that_nobody_had_seen_every_payment_goes_back() {
    let second = paid("sub_b", 1_000, true);
    let mut earlier = second.latest_invoice.clone().unwrap();
    earlier.id = "in_earlier".into();
    earlier.payments[0].payment = "pi_earlier".into();
    earlier.bill.subscription = Some("sub_b".into());
    let mut other = earlier.clone();
    other.id = "in_other".into();
    other.payments[0].payment = "pi_other".into();
    other.bill.subscription = Some("sub_a".into());
    let given_back = |stored: &Stored| {
        let observed = Observed {
            subscriptions: vec![second.clone(), paid("sub_a", 0, true)],
            invoices: vec![earlier.clone(), other.clone()],
            ..Observed::default()
        };
        let out = project(observed, stored, &catalog(), &AccessPolicy::default(), T0);
        let payments = out.effects.into_iter().filter_map(|effect| match effect {
            Effect::RefundDuplicate { payment, .. } => Some(payment),
            Effect::CancelDuplicate { .. }
            | Effect::AcceptDispute { .. }
            | Effect::ContestDispute { .. }
            | Effect::DropPlan { .. }
            | Effect::Notice(_) => None,
        });
        payments.collect::<Vec<_>>()
    };
    assert_eq!(given_back(&linked()), ["pi_sub_b", "pi_earlier"]);
    // One that was seen may have been the customer's only one in the earlier period.
    let seen = after(&run(vec![second.clone()], &linked()));
    assert_eq!(given_back(&seen), ["pi_sub_b"]);
}

#[test]
fn of_a_duplicate_only_money_that_we_still_hold_goes_back() {
    let asked = |money| {
        let payments = vec![PaymentFacts {
            id: "pi_sub_b".into(),
            amount: yen(1980),
            refunded: yen(0),
            money,
            created_at: T0,
            refunds: Vec::new(),
            disputes: Vec::new(),
            warning: None,
        }];
        let subscriptions = vec![paid("sub_b", 1_000, true), paid("sub_a", 0, true)];
        let observed = Observed { subscriptions, payments: Some(payments), ..Observed::default() };
        let out = project(observed, &linked(), &catalog(), &AccessPolicy::default(), T0);
        out.effects.iter().any(|effect| matches!(effect, Effect::RefundDuplicate { .. }))
    };
    assert!(asked(MoneyState::Kept));
    assert!(!asked(MoneyState::Disputed), "the dispute has taken it already");
    assert!(!asked(MoneyState::Refunded));
}

#[test]
fn a_duplicate_that_we_did_not_make_is_left_to_a_person() {
    let out = run(vec![paid("sub_a", 0, true), paid("sub_b", 1_000, false)], &linked());
    assert!(out.effects.is_empty());
    assert_eq!(out.anomalies.len(), 1);
    assert_eq!(out.anomalies[0].kind, AnomalyKind::DuplicateSubscription);
}

#[test]
fn d7_a_cancelled_subscription_never_displaces_a_live_one() {
    let mut old = paid("sub_old", 9_000, true);
    old.status = SubscriptionStatus::Canceled;
    let out = run(vec![old, paid("sub_live", 0, true)], &linked());
    assert!(out.effects.is_empty() && out.anomalies.is_empty());
}

#[test]
fn one_that_gives_access_is_kept_before_an_older_one_that_does_not() {
    let mut unpaid = paid("sub_a", 0, true);
    unpaid.status = SubscriptionStatus::Unpaid;
    let out = run(vec![unpaid, paid("sub_b", 1_000, true)], &linked());
    assert_eq!(
        out.effects,
        vec![Effect::CancelDuplicate { subscription: "sub_a".into(), kept: "sub_b".into() }]
    );
}

#[test]
fn a13_an_unknown_price_keeps_the_last_known_plan_and_alerts() {
    let first = run(vec![paid("sub_a", 0, true)], &linked());
    let mut rotated = paid("sub_a", 0, true);
    rotated.items[0].price = "price_new".into();
    rotated.items[0].lookup_key = None;
    let out = run(vec![rotated.clone()], &after(&first));
    assert_eq!(out.subscriptions[0].plan().unwrap().plan.as_str(), "pro");
    assert_eq!(out.anomalies[0].kind, AnomalyKind::UnknownPrice);

    let fresh = run(vec![rotated], &linked());
    assert!(
        fresh.subscriptions[0].plans.is_empty(),
        "nothing known before: no plan, not the free one, not a paid one"
    );
}

#[test]
fn a14_no_items_is_never_a_plan() {
    let mut empty = paid("sub_a", 0, true);
    empty.items.clear();
    assert!(run(vec![empty], &linked()).subscriptions[0].plans.is_empty());
}

#[test]
fn a15_every_line_counts_in_any_order() {
    let mut multi = paid("sub_a", 0, true);
    let mut second = multi.items[0].clone();
    second.id = "si_2".into();
    second.price = "price_x".into();
    second.lookup_key = Some("course_once_jpy".into());
    second.quantity = 4;
    multi.items.insert(0, second);
    let out = run(vec![multi], &linked());
    let plans: Vec<_> = out.subscriptions[0].plans.iter().map(|p| (p.plan.as_str(), p.quantity)).collect();
    assert_eq!(plans, [("course", 4), ("pro", 1)]);
}

#[test]
fn a17_metadata_that_names_another_customer_gives_nobody_access() {
    let mut stolen = paid("sub_a", 0, true);
    stolen.named_customer = CustomerId::parse("u_2").ok();
    let out = run(vec![stolen], &linked());
    assert_eq!(out.subscriptions[0].standing, Standing::Pending);
    assert_eq!(out.anomalies[0].kind, AnomalyKind::CustomerContradiction);
    assert_eq!(out.subscriptions[0].customer.as_ref().unwrap().as_str(), "u_1");
}

#[test]
fn a16_an_unlinked_customer_is_an_anomaly_and_not_an_error() {
    let out = run(vec![paid("sub_a", 0, false)], &Stored::default());
    assert_eq!(out.anomalies[0].kind, AnomalyKind::UnlinkedCustomer);
    assert_eq!(out.subscriptions.len(), 1);
}

#[test]
fn a10_an_old_deletion_does_not_touch_the_new_subscription() {
    let mut old = paid("sub_a", 0, true);
    old.status = SubscriptionStatus::Canceled;
    let out = run(vec![paid("sub_b", 1_000, true), old], &linked());
    let access: Vec<_> = out.subscriptions.iter().map(|s| s.standing.at(T0)).collect();
    assert_eq!(access, [Access::Granted, Access::Revoked]);
}

#[test]
fn a21_refunds_and_disputes_end_access_and_a_won_dispute_gives_it_back() {
    let payment = |money| PaymentFacts {
        id: "pi_sub_a".into(),
        amount: yen(1980),
        refunded: yen(0),
        money,
        created_at: T0,
        refunds: Vec::new(),
        disputes: Vec::new(),
        warning: None,
    };
    let with = |money, policy: &AccessPolicy| {
        let observed = Observed {
            subscriptions: vec![paid("sub_a", 0, true)],
            payments: Some(vec![payment(money)]),
            ..Observed::default()
        };
        project(observed, &linked(), &catalog(), policy, T0).subscriptions[0].standing.at(T0)
    };
    let strict = AccessPolicy::default();
    assert_eq!(with(MoneyState::Kept, &strict), Access::Granted);
    assert_eq!(with(MoneyState::Refunded, &strict), Access::Revoked);
    assert_eq!(with(MoneyState::Disputed, &strict), Access::Revoked);
    let kind = AccessPolicy {
        money: crate::access::MoneyPolicy {
            refund_full: crate::access::OnMoneyBack::Keep,
            dispute_opened: crate::access::OnMoneyBack::Keep,
            ..crate::access::MoneyPolicy::default()
        },
        ..strict
    };
    assert_eq!(with(MoneyState::Refunded, &kind), Access::Granted);
    assert_eq!(with(MoneyState::Disputed, &kind), Access::Granted);
}

#[test]
fn a_subscription_that_is_no_longer_listed_ends() {
    let first = run(vec![paid("sub_a", 0, true)], &linked());
    let out = run(vec![], &after(&first));
    assert!(out.subscriptions[0].missing);
    assert_eq!(out.subscriptions[0].standing, Standing::Revoked);
    assert_eq!(out.anomalies[0].kind, AnomalyKind::SubscriptionMissing);
}

#[test]
fn history_tells_changes_once() {
    let first = run(vec![paid("sub_a", 0, true)], &linked());
    let kinds: Vec<_> = first.history.iter().map(|h| h.kind).collect();
    assert_eq!(kinds, ["subscription.created", "access.changed"]);
    assert!(run(vec![paid("sub_a", 0, true)], &after(&first)).history.is_empty(), "nothing changed");
}

#[test]
fn an_expiry_since_the_last_sync_is_history_when_it_is_seen() {
    let mut failing = paid("sub_a", 0, true);
    failing.status = SubscriptionStatus::PastDue;
    failing.failing_since = Some(T0);
    let first = run(vec![failing.clone()], &linked());
    assert_eq!(first.look_again_at, Some(T0.plus_ms(7 * DAY_MS)));
    let later = project(
        Observed { subscriptions: vec![failing], ..Observed::default() },
        &after(&first),
        &catalog(),
        &AccessPolicy::default(),
        T0.plus_ms(7 * DAY_MS),
    );
    let last = later.history.last().unwrap();
    assert_eq!((last.kind, &last.data["to"]), ("access.changed", &json!("revoked")));
}

#[test]
fn one_off_purchases_wait_for_the_money() {
    let purchase = |paid, failed| PurchaseFacts {
        id: "cs_1".into(),
        payment: Some("pi_1".into()),
        paid,
        failed,
        plan: PlanKey::parse("course").ok(),
        checkout: None,
        named_customer: None,
        quantity: 1,
        sale: SaleFacts::default(),
    };
    for (paid, failed, access) in
        [(false, false, Access::Pending), (true, false, Access::Granted), (false, true, Access::Revoked)]
    {
        let observed = Observed { purchases: Some(vec![purchase(paid, failed)]), ..Observed::default() };
        let out = project(observed, &linked(), &catalog(), &AccessPolicy::default(), T0);
        assert_eq!(out.purchases[0].standing.at(T0), access);
        let unseen = project(Observed::default(), &after(&out), &catalog(), &AccessPolicy::default(), T0);
        assert_eq!(unseen.purchases, out.purchases, "not looking does not lose a purchase");
    }
}

#[test]
fn a22_an_unreadable_subscription_keeps_its_mirror_and_is_quarantined() {
    let first = run(vec![paid("sub_a", 0, true)], &linked());
    let odd = |id: Option<&str>| Observed {
        unreadable: vec![Unreadable { id: id.map(str::to_owned), detail: "status is missing".into() }],
        ..Observed::default()
    };
    for id in [Some("sub_a"), None] {
        let out = project(odd(id), &after(&first), &catalog(), &AccessPolicy::default(), T0);
        assert_eq!(out.subscriptions, first.subscriptions);
        assert_eq!(out.anomalies[0].kind, AnomalyKind::UnreadableObject);
    }
    let out = project(odd(Some("sub_other")), &after(&first), &catalog(), &AccessPolicy::default(), T0);
    assert!(out.subscriptions[0].missing);
}

#[test]
fn a17_a_contradiction_never_keeps_access_that_the_provider_has_ended() {
    let first = run(vec![paid("sub_a", 0, true)], &linked());
    let mut ended = paid("sub_a", 0, true);
    ended.named_customer = CustomerId::parse("u_2").ok();
    let renewed = run(vec![ended.clone()], &after(&first));
    assert_eq!(renewed.subscriptions[0].standing, first.subscriptions[0].standing, "kept, not widened");
    ended.status = SubscriptionStatus::Canceled;
    assert_eq!(run(vec![ended], &after(&first)).subscriptions[0].standing, Standing::Revoked);
}

#[test]
fn a17_access_that_another_customer_had_is_not_handed_on_against_the_metadata() {
    let mut before = after(&run(vec![paid("sub_a", 0, true)], &linked()));
    before.customer = CustomerId::parse("u_3").ok();
    let mut named = paid("sub_a", 0, true);
    named.named_customer = CustomerId::parse("u_1").ok();
    assert_eq!(run(vec![named], &before).subscriptions[0].standing, Standing::Pending);
}

#[test]
fn a_duplicate_in_one_group_is_told_although_it_is_alone_in_another() {
    let course = |subscription: &SubscriptionFacts| {
        let mut line = subscription.items[0].clone();
        line.id = format!("si_course_{}", subscription.id);
        line.price = "price_x".into();
        line.lookup_key = Some("course_once_jpy".into());
        line
    };
    let (mut narrow, mut wide) = (paid("sub_a", 0, true), paid("sub_b", 1_000, false));
    narrow.items = vec![course(&narrow)];
    wide.items.push(course(&wide));
    // One too many in `course`, and then alone in `main`, which is looked at later.
    let out = run(vec![narrow, wide], &linked());
    assert_eq!(out.anomalies.len(), 1, "{:?}", out.anomalies);
    assert_eq!(
        (out.anomalies[0].kind, out.anomalies[0].object.as_str()),
        (AnomalyKind::DuplicateSubscription, "sub_b")
    );
}

#[test]
fn d7_a_duplicate_is_none_any_more_once_the_one_that_was_kept_has_ended() {
    let both = run(vec![paid("sub_a", 0, true), paid("sub_b", 1_000, true)], &linked());
    let mut ended = paid("sub_a", 0, true);
    ended.status = SubscriptionStatus::Canceled;
    let out = run(vec![ended, paid("sub_b", 1_000, true)], &after(&both));
    assert!(out.effects.is_empty() && out.anomalies.is_empty(), "{:?}", out.effects);
    assert!(out.subscriptions.iter().all(|s| s.duplicate.is_none()));
}

#[test]
fn a13_a_price_is_not_missed_once_its_subscription_is_over() {
    let mut over = paid("sub_a", 0, true);
    over.items[0].price = "price_gone".into();
    over.items[0].lookup_key = None;
    over.status = SubscriptionStatus::Canceled;
    assert!(run(vec![over], &linked()).anomalies.is_empty());
}

#[test]
fn a9_a_provider_that_is_late_is_asked_again_before_access_ends() {
    let mut late = paid("sub_a", 0, true);
    late.items[0].period_end = Some(T0.plus_ms(-2 * DAY_MS));
    let out = run(vec![late], &linked());
    assert_eq!(out.subscriptions[0].standing.until(), Some(T0.plus_ms(3 * DAY_MS)));
    assert_eq!(out.look_again_at, Some(T0.plus_ms(36 * HOUR_MS)));
}

#[test]
fn a16_a_purchase_of_an_unlinked_customer_is_named() {
    let observed = Observed {
        purchases: Some(vec![PurchaseFacts {
            id: "cs_1".into(),
            payment: None,
            paid: true,
            failed: false,
            plan: None,
            checkout: None,
            named_customer: None,
            quantity: 1,
            sale: SaleFacts::default(),
        }]),
        ..Observed::default()
    };
    let out = project(observed, &Stored::default(), &catalog(), &AccessPolicy::default(), T0);
    assert_eq!(out.anomalies[0].object, "cs_1", "alerts are one for each object");
}

/// A payment that came too late stands as an alert until its money went back; a duplicate's goes back by itself.
#[test]
fn a_late_payment_stands_until_it_is_paid_back() {
    let mut late = paid("sub_a", 0, true);
    late.status = SubscriptionStatus::Canceled;
    late.ended_at = Some(T0.plus_ms(14 * DAY_MS));
    let invoice = late.latest_invoice.as_mut().unwrap();
    invoice.due_at = Some(T0);
    invoice.paid_at = Some(T0.plus_ms(15 * DAY_MS));
    let kinds = |money: Option<MoneyState>, stored: &Stored| {
        let payment = |money| PaymentFacts {
            id: "pi_sub_a".into(),
            amount: yen(1980),
            refunded: yen(0),
            money,
            created_at: T0,
            refunds: Vec::new(),
            disputes: Vec::new(),
            warning: None,
        };
        let payments = money.map(|money| vec![payment(money)]);
        let observed = Observed { subscriptions: vec![late.clone()], payments, ..Observed::default() };
        let out = project(observed, stored, &catalog(), &AccessPolicy::default(), T0);
        out.anomalies.iter().map(|a| (a.kind, a.object.clone())).collect::<Vec<_>>()
    };
    let stands = vec![(AnomalyKind::LatePayment, "in_sub_a".to_owned())];
    for (money, expected) in [
        (None, &stands),
        (Some(MoneyState::Kept), &stands),
        (Some(MoneyState::PartlyRefunded), &stands),
        (Some(MoneyState::Refunded), &vec![]),
        (Some(MoneyState::Disputed), &vec![]),
    ] {
        assert_eq!(kinds(money, &linked()), *expected, "{money:?}");
    }
    let mut duplicate = after(&run(vec![late.clone()], &linked()));
    duplicate.subscriptions[0].duplicate = Some(Duplicate::Cancel { kept: "sub_b".into(), refund: true });
    assert_eq!(kinds(None, &duplicate), vec![]);
}

/// A trial that is ended in the second in which it began leaves two invoices of that second.
#[test]
fn of_two_periods_of_one_second_the_one_that_reaches_further_is_the_newer() {
    let billed = |id: &str, days| {
        let mut sub = paid(id, 0, false);
        let invoice = sub.latest_invoice.as_mut().unwrap();
        (invoice.due_at, invoice.reaches) = (Some(T0), Some(T0.plus_ms(days * DAY_MS)));
        invoice.bill.subscription = Some("sub_1".into());
        invoice.clone()
    };
    let sub = facts("active");
    let (trial, period) = (billed("trial", 11), billed("period", 31));
    for invoices in [[trial.clone(), period.clone()], [period.clone(), trial.clone()]] {
        assert_eq!(sub.newest_paid(None, &invoices), period.paid_period());
    }
    assert_eq!(
        sub.newest_paid(period.paid_period(), &[trial]),
        period.paid_period(),
        "nor by what is seen later"
    );
}
