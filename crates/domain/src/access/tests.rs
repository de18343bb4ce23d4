//! The table of access, as a table.

use super::*;
use crate::catalog::Interval;
use crate::ids::PlanKey;
use crate::money::{Currency, Money};
use crate::subscription::{InvoiceFacts, ItemFacts, SubscriptionFacts, SubscriptionStatus};
use crate::time::{DAY_MS, HOUR_MS};

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
        paid: None,
        failing_since: None,
        latest_invoice: None,
        named_customer: None,
        checkout: None,
        ahead: crate::subscription::Ahead::default(),
        told: crate::subscription::ToldFacts::default(),
        method: None,
    }
}

#[test]
fn a_pause_uses_up_what_was_paid_for_and_nothing_more() {
    use crate::subscription::{Ahead, CollectionPause};
    let policy = AccessPolicy::default();
    let invoice = |status: &str| InvoiceFacts {
        reaches: None,
        id: "in_1".into(),
        status: status.into(),
        remaining: Money::new(0, Currency::parse("jpy").unwrap()),
        attempt_count: 1,
        next_attempt_at: None,
        payments: Vec::new(),
        bill: crate::subscription::Bill::default(),
        due_at: None,
        paid_at: None,
        pay_link: None,
        attempt: None,
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
        reaches: None,
        id: "in_1".into(),
        status: "paid".into(),
        remaining: Money::new(0, Currency::parse("jpy").unwrap()),
        attempt_count: 1,
        next_attempt_at: None,
        payments: Vec::new(),
        bill: crate::subscription::Bill::default(),
        due_at: None,
        paid_at: None,
        pay_link: None,
        attempt: None,
    });
    let paid = Standing::Granted { until: Some(T0.plus_ms(30 * DAY_MS)) };
    assert_eq!(keep.standing(&cancelled, None, T0), paid);
    assert_eq!(AccessPolicy::default().standing(&cancelled, None, T0), Standing::Revoked);
}

/// Each cell that may be chosen, by what it gives; and each that may not.
#[test]
fn the_table_is_configuration_and_nonsense_is_refused() {
    const WORDS: [&str; 4] = ["granted", "grace", "pending", "revoked"];
    let possible = [
        ("trialing", "granted pending revoked"),
        ("active", "granted"),
        ("past_due", "granted grace revoked"),
        ("incomplete", "pending revoked"),
        ("incomplete_expired", "revoked"),
        ("unpaid", "grace revoked"),
        ("canceled", "revoked"),
        ("paused", "pending revoked"),
    ];
    for (status, may) in possible {
        for word in WORDS {
            let table: StatusTable = toml::from_str(&format!("{status} = \"{word}\"")).unwrap();
            let policy = AccessPolicy { status: table, ..AccessPolicy::default() };
            let allowed = may.split(' ').any(|one| one == word);
            let checked = policy.check();
            assert_eq!(checked.is_ok(), allowed, "{status} = {word}: {checked:?}");
            if allowed {
                assert_eq!(policy.standing(&facts(status), None, T0).at(T0).as_str(), word, "{status}");
            } else {
                let error = checked.unwrap_err();
                assert!(error.to_string().contains(&format!("status.{status}")), "{error}");
                assert!(may.split(' ').all(|one| error.allowed.contains(one)), "{error:?}");
            }
        }
    }
    assert!(
        toml::from_str::<StatusTable>("hibernating = \"granted\"").is_err(),
        "no word for what nobody knows"
    );
    assert!(toml::from_str::<StatusTable>("active = \"sometimes\"").is_err());
}

/// Whatever is configured: a status that nobody knows gives what was, and never more.
#[test]
fn no_configuration_widens_what_is_unknown() {
    let table: StatusTable = toml::from_str("past_due = \"granted\"\nunpaid = \"grace\"").unwrap();
    let policy = AccessPolicy { status: table, grace_days: 3_650, ..AccessPolicy::default() };
    for before in [None, Some(Standing::Revoked), Some(Standing::Pending)] {
        assert!(!policy.standing(&facts("hibernating"), before, T0).at(T0).allows(), "{before:?}");
    }
}

#[test]
fn grace_may_differ_by_plan_and_interval() {
    let policy: AccessPolicy = toml::from_str(
        "grace_days = 7
         grace_days_by_interval = { year = 21 }
         plan = { pro = { grace_days = 10 }, studio = { grace_days_by_interval = { month = 14 } } }",
    )
    .unwrap();
    policy.check().unwrap();
    let rows = [
        (None, "month", 7),
        (None, "year", 21),
        (Some("other"), "year", 21),
        (Some("pro"), "month", 10),
        (Some("pro"), "year", 10),
        (Some("studio"), "month", 14),
        (Some("studio"), "year", 21),
        (Some("studio"), "week", 7),
    ];
    for (plan, interval, days) in rows {
        let plan = plan.map(|key| PlanKey::parse(key).unwrap());
        let mut failing = facts("past_due");
        failing.failing_since = Some(T0);
        failing.items[0].interval = Some(interval.to_owned());
        let standing = policy.standing_of(&failing, plan.as_ref(), None, T0);
        assert_eq!(standing.until(), Some(T0.plus_ms(days * DAY_MS)), "{plan:?} {interval}");
        assert_eq!(i64::from(policy.grace_days_of(plan.as_ref(), Interval::parse(interval))), days);
    }
    for nonsense in ["grace_days_by_interval = { once = 3 }", "plan = { pro = { grace_days = 9999 } }"] {
        let policy: AccessPolicy = toml::from_str(nonsense).unwrap();
        assert!(policy.check().is_err(), "{nonsense}");
    }
}

#[test]
fn grace_after_the_provider_gave_up_ends_where_it_would_have() {
    let table: StatusTable = toml::from_str("unpaid = \"grace\"").unwrap();
    let policy = AccessPolicy { status: table, ..AccessPolicy::default() };
    let mut unpaid = facts("unpaid");
    unpaid.failing_since = Some(T0);
    let standing = policy.standing(&unpaid, None, T0.plus_ms(5 * DAY_MS));
    assert_eq!(standing.at(T0.plus_ms(7 * DAY_MS - 1)), Access::Grace);
    assert_eq!(standing.at(T0.plus_ms(7 * DAY_MS)), Access::Revoked);
}

#[test]
fn what_is_paid_after_the_end_gives_the_period_that_it_paid_for_where_the_policy_says_so() {
    let mut ended = facts("canceled");
    ended.ended_at = Some(T0.plus_ms(14 * DAY_MS));
    let mut invoice = InvoiceFacts {
        reaches: None,
        id: "in_1".into(),
        status: "paid".into(),
        remaining: Money::new(0, Currency::parse("jpy").unwrap()),
        attempt_count: 4,
        next_attempt_at: None,
        payments: Vec::new(),
        bill: crate::subscription::Bill::default(),
        due_at: Some(T0),
        paid_at: Some(T0.plus_ms(15 * DAY_MS)),
        pay_link: None,
        attempt: None,
    };
    ended.latest_invoice = Some(invoice.clone());
    let money = MoneyPolicy { late_payment: OnLatePayment::Grant, ..MoneyPolicy::default() };
    let policy = AccessPolicy { money, ..AccessPolicy::default() };
    let paid = Standing::Granted { until: Some(T0.plus_ms(30 * DAY_MS)) };
    assert_eq!(policy.standing(&ended, None, T0.plus_ms(15 * DAY_MS)), paid);
    assert_eq!(AccessPolicy::default().standing(&ended, None, T0), Standing::Revoked);
    invoice.paid_at = Some(T0);
    ended.latest_invoice = Some(invoice);
    assert_eq!(policy.standing(&ended, None, T0), Standing::Revoked, "it was paid before, and then ended");
}

/// Somebody must hear of money that came too late and gives nothing, and of nothing else.
#[test]
fn what_is_paid_too_late_for_nothing_is_told_from_what_is_paid_late() {
    type Change = fn(&mut SubscriptionFacts, &mut InvoiceFacts);
    let table: [(&str, Change, bool); 9] = [
        ("owed before the end, paid after it", |_, _| {}, true),
        ("paid before", |_, invoice| invoice.paid_at = Some(T0), false),
        ("paid with the end", |s, invoice| invoice.paid_at = s.ended_at, false),
        ("not paid", |_, invoice| invoice.status = "open".into(), false),
        ("not over", |s, _| s.status = "past_due".to_owned().into(), false),
        ("the whole period was given", |s, _| s.ended_at = s.period_end(), false),
        ("made by the end itself", |s, invoice| invoice.bill.finalized_at = s.ended_at, false),
        ("of nothing", |_, invoice| invoice.bill.total = Some(Money::new(0, yen())), false),
        ("of something", |_, invoice| invoice.bill.total = Some(Money::new(1, yen())), true),
    ];
    for (what, change, for_nothing) in table {
        let mut ended = facts("canceled");
        ended.ended_at = Some(T0.plus_ms(14 * DAY_MS));
        let mut invoice = InvoiceFacts {
            reaches: None,
            id: "in_1".into(),
            status: "paid".into(),
            remaining: Money::new(0, yen()),
            attempt_count: 4,
            next_attempt_at: None,
            payments: Vec::new(),
            bill: crate::subscription::Bill::default(),
            due_at: Some(T0),
            paid_at: Some(T0.plus_ms(31 * DAY_MS)),
            pay_link: None,
            attempt: None,
        };
        change(&mut ended, &mut invoice);
        ended.latest_invoice = Some(invoice);
        let policy = AccessPolicy::default();
        assert_eq!(policy.paid_for_nothing(&ended).is_some(), for_nothing, "{what}");
        let money = MoneyPolicy { late_payment: OnLatePayment::Grant, ..MoneyPolicy::default() };
        for gives in [
            AccessPolicy { money, ..AccessPolicy::default() },
            AccessPolicy { canceled_keeps_paid_period: true, ..AccessPolicy::default() },
        ] {
            assert!(gives.paid_for_nothing(&ended).is_none(), "{what}: what gives access is not for nothing");
        }
    }
}

fn yen() -> Currency {
    Currency::parse("jpy").unwrap()
}

#[test]
fn what_money_does_is_a_table() {
    let rows = [
        (MoneyState::Kept, false, ""),
        (MoneyState::PartlyRefunded, false, "refund_partial"),
        (MoneyState::Refunded, true, "refund_full"),
        (MoneyState::Disputed, true, "dispute_opened"),
        (MoneyState::DisputeLost, true, "dispute_lost"),
        (MoneyState::DisputeWon, false, "dispute_won"),
    ];
    for (state, ends, key) in rows {
        assert_eq!(AccessPolicy::default().money_ends_access(state), ends, "{state:?}");
        if key.is_empty() {
            continue;
        }
        for (word, ends) in [("keep", false), ("revoke", true)] {
            let money: MoneyPolicy = toml::from_str(&format!("{key} = \"{word}\"")).unwrap();
            let policy = AccessPolicy { money, ..AccessPolicy::default() };
            assert_eq!(policy.money_ends_access(state), ends, "{key} = {word}");
        }
    }
}
