//! The causes, the schedule and the life of a case, as tables and timelines.

use super::*;
use crate::access::tests::{T0, facts};
use crate::access::{Access, Standing};
use crate::money::{Currency, Money};
use crate::projection::AnomalyKind;
use crate::subscription::{
    AttemptFacts, AttemptState, Cancellation, InvoiceFacts, InvoicePayment, Subscription,
};
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

fn attempt(code: &str, decline: &str, method: &str) -> AttemptFacts {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    AttemptFacts {
        payment: "pi_1".into(),
        state: AttemptState::NeedsMethod,
        code: some(code),
        decline_code: some(decline),
        advice: None,
        method: some(method),
    }
}

#[test]
fn causes() {
    let table = "
        card_declined   insufficient_funds        insufficient_funds  again
        card_declined   generic_decline           other               again
        card_declined   do_not_honor              other               again
        card_declined   lost_card                 hard_decline        never
        card_declined   stolen_card               hard_decline        never
        card_declined   pickup_card               hard_decline        never
        card_declined   transaction_not_allowed   hard_decline        never
        card_declined   authentication_required   authentication      never
        authentication_required -                 authentication      never
        incorrect_number -                        hard_decline        never
        expired_card    -                         expired_card        never
        processing_error -                        other               again
        a_new_code      a_new_reason              other               again";
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [code, decline, cause, again] = words[..] else { panic!("{row}") };
        let found = Cause::of(Some(&attempt(code, decline.trim_matches('-'), "pm_1")), Some("pm_1"));
        assert_eq!(found.as_str(), cause, "{row}");
        assert_eq!(found.may_pass(), again == "again", "{row}");
        assert_eq!(Cause::parse(cause), Some(found));
    }
    let advised = AttemptFacts {
        advice: Some("do_not_try_again".into()),
        ..attempt("card_declined", "generic_decline", "pm_1")
    };
    assert_eq!(Cause::of(Some(&advised), None), Cause::HardDecline);
    let asks = AttemptFacts { state: AttemptState::NeedsCustomer, ..attempt("", "", "pm_1") };
    assert_eq!(Cause::of(Some(&asks), Some("pm_1")), Cause::Authentication);
    assert_eq!(Cause::of(Some(&attempt("", "", "")), None), Cause::NoMethod);
    assert_eq!(Cause::of(None, None), Cause::Other, "nobody has looked");
}

fn own() -> DunningPolicy {
    DunningPolicy { retries: Retries::Own, ..DunningPolicy::default() }
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    own().check().unwrap();
    for (days, hour) in [
        (vec![], 10),
        (vec![3, 3], 10),
        (vec![0], 10),
        (vec![61], 10),
        (vec![1], 24),
        ((1..=15).collect(), 1),
    ] {
        let policy = DunningPolicy { schedule_days: days.clone(), hour, ..own() };
        assert!(policy.check().is_err(), "{days:?} {hour}");
    }
}

/// T0 is 2027-01-15T08:00:00Z, a Friday.
#[test]
fn tries_come_at_the_wanted_hour_of_the_customers_day() {
    let at = |hour: u32, offset: i64| {
        let policy = DunningPolicy { hour, ..own() };
        policy.try_at(0, T0, &|_| offset * HOUR_MS).unwrap().to_string()
    };
    assert_eq!(at(10, 0), "2027-01-16T10:00:00Z");
    assert_eq!(at(10, 9), "2027-01-16T01:00:00Z", "ten in Tokyo");
    assert_eq!(at(10, -8), "2027-01-16T18:00:00Z", "ten in San Francisco");
    assert_eq!(at(0, 0), "2027-01-16T00:00:00Z");
    assert_eq!(at(0, -11), "2027-01-15T20:00:00Z", "not before half a day has passed");
    // The clock goes forward by an hour in the night before the try.
    let change = T0.plus_ms(12 * HOUR_MS);
    let summer = |at: Timestamp| if at < change { HOUR_MS } else { 2 * HOUR_MS };
    assert_eq!(own().try_at(0, T0, &summer).unwrap().to_string(), "2027-01-16T08:00:00Z");
    // It goes forward between the hour of the failure and that of the try, on the day of the try.
    let change = T0.plus_ms(24 * HOUR_MS + HOUR_MS / 2);
    let summer = |at: Timestamp| if at < change { 0 } else { HOUR_MS };
    assert_eq!(own().try_at(0, T0, &summer).unwrap().to_string(), "2027-01-16T09:00:00Z", "ten by then");
    assert_eq!(own().try_at(4, T0, &|_| 0), None);
}

fn failing(cause: AttemptFacts) -> Subscription {
    let yen = Currency::parse("jpy").unwrap();
    let mut facts = facts("past_due");
    facts.method = Some("pm_1".into());
    facts.failing_since = Some(T0);
    facts.latest_invoice = Some(InvoiceFacts {
        reaches: None,
        id: "in_2".into(),
        status: "open".into(),
        remaining: Money::new(1980, yen),
        attempt_count: 1,
        next_attempt_at: None,
        payments: Vec::new(),
        bill: crate::subscription::Bill::default(),
        due_at: Some(T0),
        paid_at: None,
        pay_link: None,
        attempt: Some(cause),
    });
    let standing = Standing::Grace { since: T0, until: T0.plus_ms(7 * DAY_MS) };
    Subscription {
        facts,
        customer: None,
        plans: Vec::new(),
        standing,
        access: Access::Grace,
        duplicate: None,
        scheduled: None,
        pending: None,
        own_tries: None,
        missing: false,
    }
}

fn broke() -> Subscription {
    failing(attempt("card_declined", "insufficient_funds", "pm_1"))
}

fn invoice(subscription: &mut Subscription) -> &mut InvoiceFacts {
    subscription.facts.latest_invoice.as_mut().unwrap()
}

/// A timeline: each look keeps the cases for the next.
struct Story {
    cases: Vec<Case>,
    tried: Vec<Tried>,
    policy: DunningPolicy,
}

impl Story {
    fn new(policy: DunningPolicy) -> Self {
        Self { cases: Vec::new(), tried: Vec::new(), policy }
    }

    /// What is asked of the provider at `hours` after the failure; every try is refused at once.
    fn look(&mut self, subscription: &Subscription, hours: i64) -> Followed {
        let now = T0.plus_ms(hours * HOUR_MS);
        let all = [subscription.clone()];
        let out = follow(&all, &[], &self.cases, &self.tried, &self.policy, &|_| 0, now);
        for case in &out.cases {
            self.cases.retain(|known| known.invoice != case.invoice);
            self.cases.push(case.clone());
        }
        for step in &out.steps {
            if let Step::Try { invoice, number, .. } = step {
                self.tried = vec![Tried {
                    invoice: invoice.clone(),
                    number: Some(*number),
                    state: TriedState::Refused,
                }];
            }
        }
        out
    }

    fn asked(&mut self, subscription: &Subscription, hours: i64) -> String {
        let steps = self.look(subscription, hours).steps;
        let words = steps.iter().map(|step| match step {
            Step::Try { number, .. } => format!("try {number}"),
            Step::GiveUp { how, .. } => format!("{how:?}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// T0 is at eight, tries are at ten: day n is `24 n + 2` hours later.
#[test]
fn the_own_schedule_tries_each_day_once_and_gives_up_once() {
    let mut story = Story::new(own());
    let first = story.look(&broke(), 0);
    assert!(first.steps.is_empty(), "the provider has just tried");
    assert_eq!(first.look_again_at, Some(T0.plus_ms(26 * HOUR_MS)));
    let table = [
        (25, ""),
        (26, "try 1"),
        (26, ""),
        (73, ""),
        (74, "try 2"),
        (75, ""),
        (122, "try 3"),
        (170, "try 4"),
        (171, "Cancel"),
        (172, ""),
        (999, ""),
    ];
    for (hours, asked) in table {
        assert_eq!(story.asked(&broke(), hours), asked, "after {hours} hours");
    }
}

#[test]
fn each_refused_try_of_ours_is_told_once_and_where_the_next_one_helps_its_time() {
    let failed = |out: &Followed| out.history.iter().filter(|line| line.kind == "payment.failed").count();
    let mut story = Story::new(own());
    for (hours, told) in [(0, 1), (26, 0), (27, 1), (28, 0), (74, 0), (75, 1), (76, 0)] {
        assert_eq!(failed(&story.look(&broke(), hours)), told, "after {hours} hours");
    }
    let own_tries = OwnTries::of(&broke(), &story.cases).unwrap();
    assert_eq!((own_tries.refused, own_tries.next_at), (2, Some(T0.plus_ms(122 * HOUR_MS))));
    let lost = failing(attempt("card_declined", "lost_card", "pm_1"));
    assert_eq!(OwnTries::of(&lost, &story.cases).unwrap().next_at, None, "it is not tried again");
    // Where the provider retries there is nothing of ours, and what was told keeps its name.
    let mut theirs = Story::new(DunningPolicy::default());
    theirs.look(&broke(), 0);
    assert_eq!(OwnTries::of(&broke(), &theirs.cases), None);
    assert_eq!(broke().newest_failure().as_deref(), Some("1"));
}

/// A case of an older version: what it saw refused is old, what follows is not.
#[test]
fn a_try_that_an_older_version_saw_refused_is_not_told_again() {
    let mut story = Story::new(own());
    story.look(&broke(), 0);
    story.look(&broke(), 26);
    let mut old = serde_json::to_value(&story.cases[0]).unwrap();
    for key in ["refused", "refused_untold"] {
        old.as_object_mut().unwrap().remove(key).unwrap();
    }
    story.cases = vec![serde_json::from_value(old).unwrap()];
    assert!(story.look(&broke(), 27).history.is_empty());
    assert_eq!(OwnTries::of(&broke(), &story.cases).unwrap().refused, 0, "under the name of before");
    story.look(&broke(), 74);
    assert_eq!(story.look(&broke(), 75).history.len(), 1);
    assert_eq!(OwnTries::of(&broke(), &story.cases).unwrap().refused, 2);
}

#[test]
fn places_that_went_by_unseen_are_one_try() {
    let mut story = Story::new(own());
    assert_eq!(story.asked(&broke(), 124), "try 1", "the machine was off for five days");
    for hours in [125, 126, 150] {
        assert_eq!(story.asked(&broke(), hours), "", "what went by is not made up for, hour by hour");
    }
    assert_eq!(story.asked(&broke(), 170), "try 2");
}

#[test]
fn never_two_at_a_time_and_never_beside_the_provider() {
    let mut story = Story::new(own());
    story.look(&broke(), 0);
    story.tried = vec![Tried { invoice: "in_2".into(), number: Some(1), state: TriedState::Pending }];
    assert_eq!(story.asked(&broke(), 26), "", "one is under way");
    story.tried.clear();
    let mut bank = broke();
    invoice(&mut bank).attempt.as_mut().unwrap().state = AttemptState::Processing;
    assert_eq!(story.asked(&bank, 26), "", "the bank has not answered");
    let mut planned = broke();
    invoice(&mut planned).next_attempt_at = Some(T0.plus_ms(3 * DAY_MS));
    let out = story.look(&planned, 26);
    assert!(out.steps.is_empty());
    assert_eq!(out.anomalies[0].kind, AnomalyKind::ProviderRetries);
    let mut theirs = Story::new(DunningPolicy::default());
    for hours in [0, 26, 74, 999] {
        let out = theirs.look(&broke(), hours);
        assert!(out.steps.is_empty() && out.anomalies.is_empty() && out.look_again_at.is_none());
    }
}

#[test]
fn a_hard_decline_waits_for_another_card_which_is_tried_at_once_and_once() {
    for code in ["lost_card", "authentication_required"] {
        let mut story = Story::new(own());
        let mut lost = failing(attempt("card_declined", code, "pm_1"));
        assert_eq!(story.asked(&lost, 0), "");
        assert_eq!(story.asked(&lost, 26), "", "{code}: the same card is not tried again");
        lost.facts.method = Some("pm_2".into());
        assert_eq!(story.asked(&lost, 30), "try 1", "{code}: another card is");
        assert_eq!(story.asked(&lost, 31), "", "once");
        // The new card fails for want of money, and the schedule goes on with it.
        invoice(&mut lost).attempt = Some(attempt("card_declined", "insufficient_funds", "pm_2"));
        assert_eq!(story.asked(&lost, 32), "");
        assert_eq!(story.asked(&lost, 74), "try 2");
        assert_eq!(story.cases[0].changed, Some(("pm_2".into(), 1)));
    }
    let mut story = Story::new(own());
    let lost = failing(attempt("card_declined", "lost_card", "pm_1"));
    story.look(&lost, 0);
    assert_eq!(story.asked(&lost, 170), "Cancel", "the schedule ends although nothing was tried");
}

#[test]
fn what_follows_the_last_try_is_policy() {
    for (how, asked) in [
        (OnExhaustion::MarkUncollectible, "MarkUncollectible"),
        (OnExhaustion::Leave, ""),
        (OnExhaustion::Cancel, "Cancel"),
    ] {
        let policy = DunningPolicy { on_exhaustion: how, schedule_days: vec![1], ..own() };
        let mut story = Story::new(policy);
        story.look(&broke(), 0);
        assert_eq!(story.asked(&broke(), 26), "try 1");
        assert_eq!(story.asked(&broke(), 27), asked);
        assert_eq!(story.asked(&broke(), 28), "");
    }
}

fn ended(subscription: &mut Subscription, reason: &str) {
    subscription.facts.ahead.cancellation =
        Some(Cancellation { reason: Some(reason.to_owned()), feedback: None });
}

#[test]
fn what_becomes_of_a_case() {
    type Change = fn(&mut Subscription);
    let paid: Change = |s| {
        s.facts.status = "active".to_owned().into();
        let found = invoice(s);
        found.status = "paid".into();
        found.paid_at = Some(T0.plus_ms(DAY_MS));
        found.payments = vec![InvoicePayment { payment: "pi_1".into(), amount: found.remaining }];
    };
    let table: [(&str, Change, &str, Option<&str>); 11] = [
        ("open", |_| {}, "open", None),
        ("the customer paid", paid, "recovered", Some("customer")),
        ("paid by the provider's next try", |s| invoice(s).attempt_count = 2, "recovered", Some("retry")),
        ("paid by another card", |s| s.facts.method = Some("pm_2".into()), "recovered", Some("card_change")),
        ("paid elsewhere", |s| invoice(s).payments.clear(), "recovered", Some("out_of_band")),
        (
            "voided",
            |s| {
                s.facts.status = "active".to_owned().into();
                invoice(s).status = "void".into();
            },
            "forgiven",
            None,
        ),
        (
            "written off",
            |s| {
                s.facts.status = "active".to_owned().into();
                invoice(s).status = "uncollectible".into();
            },
            "forgiven",
            None,
        ),
        ("unpaid", |s| s.facts.status = "unpaid".to_owned().into(), "lost", None),
        (
            "cancelled by the provider",
            |s| {
                s.facts.status = "canceled".to_owned().into();
                ended(s, "payment_failed");
            },
            "lost",
            None,
        ),
        (
            "cancelled by the customer",
            |s| {
                s.facts.status = "canceled".to_owned().into();
                ended(s, "cancellation_requested");
            },
            "cancelled",
            None,
        ),
        ("gone", |s| s.missing = true, "lost", None),
    ];
    for (what, change, outcome, by) in table {
        let mut story = Story::new(DunningPolicy::default());
        let opened = story.look(&broke(), 0);
        assert_eq!(opened.history[0].kind, "payment.at_risk");
        let mut then = broke();
        if by.is_some() {
            paid(&mut then);
        }
        change(&mut then);
        let out = story.look(&then, 30);
        let case = &story.cases[0];
        assert_eq!(case.outcome.as_str(), outcome, "{what}");
        assert_eq!(case.recovery.map(Recovery::as_str), by, "{what}");
        assert_eq!(out.history.len(), usize::from(outcome != "open"), "{what}: told once");
        assert!(story.look(&then, 31).history.is_empty(), "{what}: and not again");
        // Whatever it was, paid in the end is recovered.
        paid(&mut then);
        then.missing = false;
        story.look(&then, 40);
        assert_eq!(story.cases[0].outcome, Outcome::Recovered, "{what}, then paid");
        // And stays so, whatever becomes of the subscription once another invoice has taken its place.
        let recovered = story.cases[0].clone();
        invoice(&mut then).id = "in_3".into();
        then.facts.status = "canceled".to_owned().into();
        ended(&mut then, "payment_failed");
        let out = story.look(&then, 50);
        assert_eq!((&story.cases[0], out.history.len()), (&recovered, 0), "{what}, paid, and ended later");
    }
}

#[test]
fn a_recovery_names_the_try_of_ours() {
    for (state, by) in
        [(TriedState::Paid, Recovery::Retry { number: 3 }), (TriedState::Refused, Recovery::Customer)]
    {
        let mut story = Story::new(own());
        story.look(&broke(), 0);
        story.tried = vec![Tried { invoice: "in_2".into(), number: Some(3), state }];
        let mut paid = broke();
        paid.facts.status = "active".to_owned().into();
        let found = invoice(&mut paid);
        found.status = "paid".into();
        found.payments = vec![InvoicePayment { payment: "pi_1".into(), amount: found.remaining }];
        story.look(&paid, 80);
        assert_eq!(story.cases[0].recovery, Some(by));
    }
}

#[test]
fn issues_say_what_can_be_done() {
    let kind = |s: &Subscription| PaymentIssue::of(s).map(|issue| issue.kind.as_str());
    assert_eq!(kind(&broke()), Some("declined"));
    assert_eq!(PaymentIssue::of(&broke()).unwrap().decline_code.as_deref(), Some("insufficient_funds"));
    let mut asks = broke();
    invoice(&mut asks).attempt.as_mut().unwrap().state = AttemptState::NeedsCustomer;
    assert_eq!(kind(&asks), Some("action_required"));
    invoice(&mut asks).attempt.as_mut().unwrap().state = AttemptState::Processing;
    assert_eq!(kind(&asks), Some("processing"));
    let mut none = failing(attempt("", "", ""));
    none.facts.method = None;
    assert_eq!(kind(&none), Some("no_method"));
    for fine in ["active", "incomplete", "canceled", "trialing"] {
        let mut fine_one = broke();
        fine_one.facts.status = fine.to_owned().into();
        assert_eq!(kind(&fine_one), None, "{fine}");
    }
}
