//! What a pause of collection does to notices: nothing is charged while it stands, and only then.

use super::*;
use crate::subscription::CollectionPause;

/// Paused until so many days from now, or until somebody resumes it.
fn paused(mut seen: SubscriptionFacts, days: Option<i64>) -> SubscriptionFacts {
    let resumes_at = days.map(|days| T0.plus_ms(days * DAY_MS));
    seen.ahead.pause = Some(CollectionPause { behavior: "void".into(), resumes_at });
    seen
}

/// What is told of a subscription that uses up what was paid for, and then is not paid.
fn told_at_the_end(days: Option<i64>) -> Vec<Notice> {
    let mut life = Life::new();
    let mut seen = paused(with_invoice("active", invoice("paid", 1, T0)), days);
    life.look(&seen, T0);
    seen.latest_invoice = Some(InvoiceFacts { id: "in_2".into(), ..invoice("void", 0, T0) });
    life.look(&seen, T0.plus_ms(30 * DAY_MS));
    life.written
}

#[test]
fn a_pause_is_told_as_one_with_the_day_on_which_it_ends() {
    for (days, resumes_at) in
        [(Some(60), Value::from(T0.plus_ms(60 * DAY_MS).to_string())), (None, Value::Null)]
    {
        let told = told_at_the_end(days);
        let ended = told.iter().find(|n| n.kind == NoticeKind::AccessEnded).unwrap();
        assert_eq!((&ended.data["cause"], &ended.data["resumes_at"]), (&"paused".into(), &resumes_at));
    }
}

/// A renewal was waived, its period was served, and then somebody pauses.
#[test]
fn what_was_served_until_a_pause_ends_with_the_pause() {
    let mut life = Life::new();
    let end = T0.plus_ms(30 * DAY_MS);
    let seen = with_invoice("active", InvoiceFacts { reaches: Some(end), ..invoice("paid", 1, T0) });
    life.look(&seen, T0);
    let mut renewed = with_invoice("active", InvoiceFacts { id: "in_2".into(), ..invoice("void", 0, end) });
    renewed.items[0].period_end = Some(T0.plus_ms(60 * DAY_MS));
    life.look(&renewed, T0.plus_ms(32 * DAY_MS));
    let moment = T0.plus_ms(40 * DAY_MS);
    let told = life.look(&paused(renewed, None), moment);
    assert_eq!(told, [(NoticeKind::AccessEnded, format!("paused:{moment}"))]);
    assert_eq!(life.written.last().unwrap().data["ended_at"], moment.to_string());
}

#[test]
fn a_trial_that_ends_in_a_pause_has_no_first_payment_to_tell() {
    let moment = T0.plus_ms(7 * DAY_MS - HOUR_MS);
    for (days, told) in [(None, false), (Some(20), false), (Some(14), true), (Some(10), true)] {
        let mut life = Life::new();
        life.look(&paused(trialing(14), days), T0);
        assert_eq!(!life.look(&paused(trialing(14), days), moment).is_empty(), told, "until {days:?}");
    }
}

/// The rule wants it seven to thirty days before, and the pause ends three days before.
#[test]
fn a_renewal_after_a_pause_is_told_in_time() {
    let end = T0.plus_ms(365 * DAY_MS);
    let mut yearly = facts("active");
    yearly.told.card = Some(card("mastercard", "JP"));
    yearly.items[0].period_end = Some(end);
    for (days, told) in [(Some(362), true), (Some(365), true), (Some(366), false), (None, false)] {
        let mut life = Life::new();
        let seen = paused(yearly.clone(), days);
        life.look(&seen, T0);
        assert_eq!(!life.look(&seen, end.plus_ms(-30 * DAY_MS)).is_empty(), told, "until {days:?}");
        assert_eq!(life.missed, 0);
    }
}

#[test]
fn what_a_pause_covers_by_now_is_not_told() {
    let holds = |kind, seen: SubscriptionFacts, about| {
        let observed = Observed { subscriptions: vec![seen], ..Observed::default() };
        let catalog = Catalog::parse(SMALL).unwrap();
        let mirror = project(observed, &stored(), &catalog, &AccessPolicy::default(), T0).subscriptions;
        let claim = Claim { kind, object: "sub_1", occurrence: "", about: Some(about), data: &Value::Null };
        let (subscriptions, purchases, payments, announced, held) = (&mirror, &[], &[], &[], &[]);
        let known = Known { subscriptions, purchases, payments, announced, held, now: T0 };
        still_holds(claim, known) == Truth::Holds
    };
    let (renews, ends) = (T0.plus_ms(30 * DAY_MS), T0.plus_ms(14 * DAY_MS));
    for (days, still) in [(None, false), (Some(40), false), (Some(7), true)] {
        assert_eq!(holds(NoticeKind::RenewalAhead, paused(facts("active"), days), renews), still, "{days:?}");
        assert_eq!(holds(NoticeKind::TrialEnding, paused(trialing(14), days), ends), still, "{days:?}");
    }
}
