//! Tables over notices: moments against every rule, what is news and what is old, and what is no longer true.

use std::collections::BTreeSet;

use super::moment::{Choice, Fit, moments};
use super::rules::{Case, RuleError, RuleTable, Window};
use super::truth::{Claim, Known, Truth, still_holds};
use super::*;
use crate::access::tests::{T0, facts};
use crate::access::{AccessPolicy, MoneyState};
use crate::catalog::{Catalog, tests::SMALL};
use crate::ids::CustomerId;
use crate::money::{Currency, Money};
use crate::projection::{
    AnomalyKind, Effect, Observed, PaymentFacts, Projection, RefundFacts, Stored, project,
};
use crate::subscription::{Bill, Card, InvoiceFacts, SubscriptionFacts};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};

mod news;
mod pauses;

fn at(text: &str) -> Timestamp {
    Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn yen(minor: i64) -> Money {
    Money::new(minor, Currency::parse("jpy").unwrap())
}

fn card(brand: &str, country: &str) -> Card {
    Card {
        id: "pm_1".into(),
        brand: Some(brand.into()),
        last4: Some("4242".into()),
        exp_month: 12,
        exp_year: 2040,
        country: Some(country.into()),
    }
}

/// The whole days that are left: how a rule counts.
fn days_left(event: Timestamp, moment: Timestamp) -> i64 {
    event.since(moment).div_euclid(DAY_MS)
}

struct Line {
    kind: NoticeKind,
    start: &'static str,
    event: &'static str,
    network: &'static str,
    country: &'static str,
    /// The whole days left at each message.
    told: &'static [i64],
}

const fn line(
    kind: NoticeKind,
    start: &'static str,
    event: &'static str,
    network: &'static str,
    country: &'static str,
    told: &'static [i64],
) -> Line {
    Line { kind, start, event, network, country, told }
}

/// Trials of a week, two weeks, a month and more; renewals of months and years; leap days and the ends of months.
const LINES: [Line; 18] = {
    use NoticeKind::{PriceChanging, RenewalAhead, TermsChanging, TrialEnding};
    [
        line(TrialEnding, "2026-01-31T12:00:00Z", "2026-02-14T12:00:00Z", "visa", "JP", &[7]),
        line(TrialEnding, "2026-01-31T12:00:00Z", "2026-02-14T12:00:00Z", "mastercard", "JP", &[7]),
        line(TrialEnding, "2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z", "mastercard", "US", &[7]),
        line(TrialEnding, "2026-01-31T00:00:00Z", "2026-03-03T00:00:00Z", "visa", "US", &[7]),
        line(TrialEnding, "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", "visa", "JP", &[7]),
        line(TrialEnding, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", "amex", "US", &[7]),
        line(TrialEnding, "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z", "visa", "JP", &[7]),
        line(TrialEnding, "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", "visa", "JP", &[3]),
        line(TrialEnding, "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z", "mastercard", "JP", &[7]),
        line(RenewalAhead, "2026-01-31T00:00:00Z", "2027-01-31T00:00:00Z", "visa", "JP", &[30]),
        line(RenewalAhead, "2026-01-31T00:00:00Z", "2027-01-31T00:00:00Z", "mastercard", "US", &[30]),
        line(RenewalAhead, "2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z", "mastercard", "US", &[30]),
        line(RenewalAhead, "2026-08-31T00:00:00Z", "2027-02-28T00:00:00Z", "mastercard", "JP", &[30]),
        line(RenewalAhead, "2027-02-28T00:00:00Z", "2028-02-28T00:00:00Z", "visa", "US", &[30]),
        line(PriceChanging, "2026-01-01T00:00:00Z", "2026-03-31T00:00:00Z", "visa", "US", &[30]),
        line(PriceChanging, "2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z", "mastercard", "US", &[30]),
        line(TermsChanging, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", "mastercard", "US", &[3]),
        line(TermsChanging, "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z", "visa", "JP", &[28]),
    ]
};

fn preferred(kind: NoticeKind) -> u32 {
    let policy = NoticePolicy::default();
    match kind {
        NoticeKind::TrialEnding => policy.trial_ending_days,
        NoticeKind::RenewalAhead => policy.renewal_ahead_days,
        _ => policy.change_ahead_days,
    }
}

#[test]
fn the_moment_keeps_every_rule_that_applies() {
    let table = RuleTable::built_in();
    let mut met = BTreeSet::new();
    for l in &LINES {
        let (start, event) = (at(l.start), at(l.event));
        let length = Some(event.since(start));
        let case = Case {
            kind: l.kind,
            network: Some(l.network),
            country: Some(l.country),
            trial_ms: length.filter(|_| l.kind == NoticeKind::TrialEnding),
            period_ms: length,
        };
        let rules = table.applicable(case, false);
        let choice = Choice { event, start, days: preferred(l.kind), lead_ms: HOUR_MS };
        let all = moments(&rules, choice);
        let told: Vec<i64> = all.iter().map(|m| days_left(event, m.at)).collect();
        let what = format!("{} {} to {} {} {}", l.kind.as_str(), l.start, l.event, l.network, l.country);
        assert_eq!(told, l.told, "{what}");
        let planned: usize = all.iter().map(|m| m.rules.len()).sum();
        assert_eq!(planned, rules.len(), "{what}: a rule was forgotten");
        for moment in &all {
            assert!((start..event).contains(&moment.at), "{what}");
            for applied in &moment.rules {
                let rule = rules.iter().find(|r| r.id == applied.id).unwrap();
                met.insert(rule.id.clone());
                let left = days_left(event, moment.at);
                let window = rule.window.unwrap();
                let earliest = window.earliest.map_or(i64::MAX, i64::from);
                let within = (i64::from(window.latest)..=earliest).contains(&left);
                let whole = event.since(start) > i64::from(window.latest) * DAY_MS + HOUR_MS;
                assert_eq!(applied.fit == Fit::Kept, whole, "{what}: {}", rule.id);
                assert!(within || !whole, "{what}: `{}` is not kept by {left} days", rule.id);
            }
        }
    }
    let all: BTreeSet<String> =
        table.rules.iter().filter(|r| !r.yearly && r.window.is_some()).map(|r| r.id.clone()).collect();
    assert_eq!(met, all, "the table of lives meets every rule");
}

/// Seven whole days are left, and an hour for a second try; the strict reading of "at least" holds to the second.
#[test]
fn seven_days_before_serves_visa_and_mastercard_at_once() {
    let table = RuleTable::built_in();
    let case = Case {
        kind: NoticeKind::TrialEnding,
        network: None,
        country: Some("JP"),
        trial_ms: Some(14 * DAY_MS),
        period_ms: None,
    };
    let rules = table.applicable(case, false);
    assert_eq!(rules.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["visa_trial", "mastercard_trial"]);
    let event = T0.plus_ms(14 * DAY_MS);
    let all = moments(&rules, Choice { event, start: T0, days: 7, lead_ms: HOUR_MS });
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].at, event.plus_ms(-7 * DAY_MS - HOUR_MS));
}

#[test]
fn windows_without_a_common_day_take_two_messages() {
    let text = r#"
        version = "1"
        [items]
        [[rule]]
        id = "early"
        version = "1"
        name = { en = "Early" }
        source = "a test"
        notices = ["trial_ending"]
        window = { earliest = 40, latest = 20 }
        must_say = []
        [[rule]]
        id = "late"
        version = "1"
        name = { en = "Late" }
        source = "a test"
        notices = ["trial_ending"]
        window = { earliest = 7, latest = 3 }
        must_say = []
    "#;
    let table = RuleTable::parse(text).unwrap();
    let rules: Vec<_> = table.rules.iter().collect();
    let event = T0.plus_ms(60 * DAY_MS);
    let all = moments(&rules, Choice { event, start: T0, days: 7, lead_ms: HOUR_MS });
    let told: Vec<_> = all.iter().map(|m| (days_left(event, m.at), m.rules[0].id.as_str())).collect();
    assert_eq!(told, [(20, "early"), (7, "late")]);
    // A trial that begins after the first window: at once for it, and again for the other.
    let start = event.plus_ms(-15 * DAY_MS);
    let all = moments(&rules, Choice { event, start, days: 7, lead_ms: HOUR_MS });
    let told: Vec<_> = all.iter().map(|m| (days_left(event, m.at), m.rules[0].fit)).collect();
    assert_eq!(told, [(15, Fit::AtStart), (7, Fit::Kept)]);
}

#[test]
fn tables_that_contradict_themselves_are_refused() {
    assert!(RuleTable::parse(rules::BUILT_IN).is_ok());
    let broken = |from: &str, to: &str| RuleTable::parse(&rules::BUILT_IN.replacen(from, to, 1));
    assert!(matches!(
        broken("earliest = 7, latest = 3", "earliest = 2, latest = 3"),
        Err(RuleError::Rule(_))
    ));
    assert!(matches!(broken("\"visa_change\"", "\"visa_trial\""), Err(RuleError::Rule(_))));
    assert!(matches!(
        broken("[\"product\", \"amount\"", "[\"produkt\", \"amount\""),
        Err(RuleError::Rule(_))
    ));
    assert!(matches!(broken("network = ", "netwerk = "), Err(RuleError::Syntax(_))));
    // What is told beforehand needs a window, and what is told when it happens has none.
    assert!(matches!(broken("window = { latest = 7 }\n", ""), Err(RuleError::Rule(_))));
    let receipt = "notices = [\"receipt\"]\n";
    assert!(matches!(
        broken(receipt, &format!("{receipt}window = {{ latest = 7 }}\n")),
        Err(RuleError::Rule(_))
    ));
}

#[test]
fn what_is_not_known_does_not_excuse() {
    let table = RuleTable::built_in();
    let count = |network, country| {
        let kind = NoticeKind::TrialEnding;
        let case = Case { kind, network, country, trial_ms: Some(40 * DAY_MS), period_ms: None };
        table.applicable(case, false).len()
    };
    assert_eq!(count(None, None), 3);
    assert_eq!(count(Some("VISA"), Some("us")), 2);
    assert_eq!(count(Some("amex"), Some("JP")), 0);
}

// What is due.

fn stored() -> Stored {
    Stored { customer: CustomerId::parse("u_1").ok(), ..Stored::default() }
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

/// One look after another at one subscription, as the engine looks.
struct Life {
    stored: Stored,
    told: Vec<Told>,
    /// The same, as they were written down.
    written: Vec<Notice>,
    looked_at: Option<Timestamp>,
    announced: Vec<Announcement>,
    beside: Beside,
    missed: usize,
    next: Option<Timestamp>,
}

impl Life {
    fn new() -> Self {
        Self {
            stored: stored(),
            told: Vec::new(),
            written: Vec::new(),
            looked_at: None,
            announced: Vec::new(),
            beside: Beside::default(),
            missed: 0,
            next: None,
        }
    }

    /// What is new at this look: kind and occurrence.
    fn look(&mut self, seen: &SubscriptionFacts, now: Timestamp) -> Vec<(NoticeKind, String)> {
        self.look_with(seen, None, now)
    }

    fn look_with(
        &mut self,
        seen: &SubscriptionFacts,
        payments: Option<Vec<PaymentFacts>>,
        now: Timestamp,
    ) -> Vec<(NoticeKind, String)> {
        let catalog = Catalog::parse(SMALL).unwrap();
        let invoices = seen.latest_invoice.iter().cloned().collect();
        let observed =
            Observed { subscriptions: vec![seen.clone()], invoices, payments, ..Observed::default() };
        let mut out = project(observed, &self.stored, &catalog, &AccessPolicy::default(), now);
        let (policy, rules) = (NoticePolicy::default(), RuleTable::built_in());
        let wanted = Wanted {
            policy: &policy,
            rules: &rules,
            told: &self.told,
            announced: &self.announced,
            beside: &self.beside,
            looked_at: self.looked_at,
            now,
        };
        decide(&self.stored, &mut out, wanted);
        let mut new = Vec::new();
        for effect in &out.effects {
            let Effect::Notice(n) = effect else { continue };
            let known = |t: &Told| t.kind == n.kind && t.object == n.object && t.occurrence == n.occurrence;
            if self.told.iter().any(known) {
                continue;
            }
            new.push((n.kind, n.occurrence.clone()));
            self.written.push(n.clone());
            self.told.push(Told {
                kind: n.kind,
                object: n.object.clone(),
                occurrence: n.occurrence.clone(),
                about: n.about,
                rules: n.rules.clone(),
            });
        }
        self.missed = out.anomalies.iter().filter(|a| a.kind == AnomalyKind::NoticeWindowMissed).count();
        self.next = out.look_again_at;
        self.stored = after(&out);
        self.looked_at = Some(now);
        new
    }
}

fn kinds(new: &[(NoticeKind, String)]) -> Vec<&'static str> {
    new.iter().map(|(kind, _)| kind.as_str()).collect()
}

fn invoice(status: &str, attempts: i64, since: Timestamp) -> InvoiceFacts {
    InvoiceFacts {
        reaches: None,
        id: "in_1".into(),
        status: status.into(),
        remaining: yen(if status == "paid" { 0 } else { 1_980 }),
        attempt_count: attempts,
        next_attempt_at: None,
        payments: Vec::new(),
        due_at: Some(since),
        paid_at: (status == "paid").then_some(since),
        pay_link: None,
        attempt: None,
        bill: Bill {
            total: Some(yen(1_980)),
            finalized_at: Some(since),
            paid_at: (status == "paid").then_some(since),
            ..Bill::default()
        },
    }
}

fn with_invoice(status: &str, invoice: InvoiceFacts) -> SubscriptionFacts {
    let mut seen = facts(status);
    seen.failing_since = (status == "past_due").then_some(invoice.bill.finalized_at).flatten();
    seen.latest_invoice = Some(invoice);
    seen
}

#[test]
fn b15_a_failed_renewal_is_told_once_per_invoice_and_attempt_and_its_recovery_once() {
    let mut life = Life::new();
    let first = with_invoice("past_due", invoice("open", 1, T0));
    assert_eq!(life.look(&first, T0), [(NoticeKind::PaymentFailed, "1".to_owned())]);
    assert!(life.look(&first, T0.plus_ms(HOUR_MS)).is_empty());
    let second = with_invoice("past_due", invoice("open", 2, T0));
    assert_eq!(life.look(&second, T0.plus_ms(4 * DAY_MS)), [(NoticeKind::PaymentFailed, "2".to_owned())]);
    let paid_at = T0.plus_ms(4 * DAY_MS + HOUR_MS);
    let paid = with_invoice("active", invoice("paid", 2, paid_at));
    assert_eq!(kinds(&life.look(&paid, paid_at)), ["payment_recovered", "receipt"]);
    assert!(life.look(&paid, paid_at.plus_ms(HOUR_MS)).is_empty());
    let mut buyer = Life::new();
    let before_him = with_invoice("incomplete", invoice("open", 1, T0));
    assert!(buyer.look(&before_him, T0).is_empty(), "the buyer sits in front of a first payment");
}

#[test]
fn the_first_sight_of_an_old_account_tells_no_old_news() {
    let late = T0.plus_ms(20 * DAY_MS);
    let mut old = with_invoice("active", invoice("paid", 1, T0));
    old.cancel_at_period_end = true;
    old.told.canceled_at = Some(T0.plus_ms(DAY_MS));
    let mut life = Life::new();
    assert!(life.look(&old, late).is_empty());
    assert!(life.look(&old, late.plus_ms(HOUR_MS)).is_empty(), "nor at the second sight");
    let mut failing = Life::new();
    let seen = with_invoice("past_due", invoice("open", 3, T0));
    assert_eq!(kinds(&failing.look(&seen, T0.plus_ms(4 * DAY_MS))), Vec::<&str>::new());
    let again = with_invoice("past_due", invoice("open", 4, T0));
    assert_eq!(
        kinds(&failing.look(&again, T0.plus_ms(4 * DAY_MS + HOUR_MS))),
        ["payment_failed"],
        "what is new is told"
    );
    // Known before, and nobody looked for weeks: what happened since is told, late.
    let mut asleep = Life::new();
    assert!(asleep.look(&facts("active"), T0).is_empty());
    assert_eq!(kinds(&asleep.look(&old, late)), ["subscription_cancelled", "receipt"]);
}

#[test]
fn nobody_linked_is_told_nothing_and_hears_the_news_once_linked() {
    let mut life = Life::new();
    life.stored.customer = None;
    let seen = with_invoice("past_due", invoice("open", 1, T0));
    assert!(life.look(&seen, T0).is_empty());
    assert_eq!(kinds(&life.look(&seen, T0.plus_ms(HOUR_MS))), ["payment_failed"]);
}

#[test]
fn grace_is_told_before_it_ends_once_and_its_end_once() {
    let mut life = Life::new();
    let seen = with_invoice("past_due", invoice("open", 1, T0));
    life.look(&seen, T0);
    assert_eq!(life.next, Some(T0.plus_ms(5 * DAY_MS)), "two days before the seventh");
    assert!(life.look(&seen, T0.plus_ms(5 * DAY_MS - 1)).is_empty());
    assert_eq!(kinds(&life.look(&seen, T0.plus_ms(5 * DAY_MS))), ["grace_ending"]);
    assert_eq!(life.next, Some(T0.plus_ms(7 * DAY_MS)));
    assert!(life.look(&seen, T0.plus_ms(6 * DAY_MS)).is_empty());
    let ended = life.look(&seen, T0.plus_ms(7 * DAY_MS));
    assert_eq!(kinds(&ended), ["access_ended"]);
    assert!(ended[0].1.starts_with("payment:"), "{ended:?}");
    let mut unpaid = seen.clone();
    unpaid.status = crate::subscription::SubscriptionStatus::Unpaid;
    assert!(life.look(&unpaid, T0.plus_ms(9 * DAY_MS)).is_empty(), "it had ended");
    // A worker that slept over it all tells the end and nothing before it.
    let mut late = Life::new();
    late.look(&seen, T0);
    assert_eq!(kinds(&late.look(&seen, T0.plus_ms(30 * DAY_MS))), ["access_ended"]);
}

fn trialing(days: i64) -> SubscriptionFacts {
    let mut seen = facts("trialing");
    seen.told.trial_start = Some(T0);
    seen.told.card = Some(card("visa", "JP"));
    seen.trial_end = Some(T0.plus_ms(days * DAY_MS));
    seen.items[0].period_end = seen.trial_end;
    seen
}

#[test]
fn a_moved_trial_end_is_a_new_fact_and_a_missed_window_is_an_alert() {
    let mut life = Life::new();
    let seen = trialing(14);
    assert!(life.look(&seen, T0).is_empty());
    let moment = T0.plus_ms(7 * DAY_MS - HOUR_MS);
    assert_eq!(life.next, Some(moment));
    assert!(life.look(&seen, moment.plus_ms(-1)).is_empty());
    assert_eq!(life.look(&seen, moment), [(NoticeKind::TrialEnding, T0.plus_ms(14 * DAY_MS).to_string())]);
    assert_eq!(
        life.told[0].rules.iter().map(|r| (r.id.as_str(), r.fit)).collect::<Vec<_>>(),
        [("visa_trial", Fit::Kept)]
    );
    assert!(life.look(&seen, moment.plus_ms(DAY_MS)).is_empty());
    assert_eq!(life.missed, 0);
    assert!(life.look(&trialing(28), moment.plus_ms(DAY_MS)).is_empty(), "the new end is far away");
    let second = T0.plus_ms(21 * DAY_MS - HOUR_MS);
    assert_eq!(kinds(&life.look(&trialing(28), second)), ["trial_ending"]);

    let mut late = Life::new();
    late.look(&seen, T0);
    assert_eq!(kinds(&late.look(&seen, T0.plus_ms(9 * DAY_MS))), ["trial_ending"], "late, and still to come");
    assert_eq!(late.missed, 1);
    late.look(&seen, T0.plus_ms(10 * DAY_MS));
    assert_eq!(late.missed, 1, "it stands until the trial has ended");
    let mut over = Life::new();
    over.look(&seen, T0);
    assert!(over.look(&seen, T0.plus_ms(14 * DAY_MS)).is_empty(), "what is over is not told as ahead");
    // Seen for the first time within the window's last days: told at once, and nobody's fault.
    let mut new = Life::new();
    assert_eq!(kinds(&new.look(&seen, T0.plus_ms(9 * DAY_MS))), ["trial_ending"]);
    assert_eq!((new.missed, new.told[0].rules[0].fit), (0, Fit::FirstSight));
    let mut ending = trialing(14);
    ending.cancel_at_period_end = true;
    assert!(Life::new().look(&ending, moment).is_empty(), "nothing will be charged");
}

#[test]
fn cancellations_are_told_once_for_each_time_they_are_asked_for() {
    let mut life = Life::new();
    let mut seen = facts("active");
    life.look(&seen, T0);
    seen.cancel_at_period_end = true;
    seen.told.canceled_at = Some(T0.plus_ms(DAY_MS));
    let first = life.look(&seen, T0.plus_ms(DAY_MS));
    assert_eq!(kinds(&first), ["subscription_cancelled"]);
    let mut resumed = seen.clone();
    (resumed.cancel_at_period_end, resumed.told.canceled_at) = (false, None);
    assert!(life.look(&resumed, T0.plus_ms(2 * DAY_MS)).is_empty());
    seen.told.canceled_at = Some(T0.plus_ms(3 * DAY_MS));
    assert_eq!(kinds(&life.look(&seen, T0.plus_ms(3 * DAY_MS))), ["subscription_cancelled"]);
    let end = T0.plus_ms(30 * DAY_MS);
    let mut over = seen.clone();
    over.status = crate::subscription::SubscriptionStatus::Canceled;
    over.ended_at = Some(end);
    assert_eq!(kinds(&life.look(&over, end)), ["access_ended"], "as it was announced");
    let mut at_once = Life::new();
    at_once.look(&facts("active"), T0);
    over.told.canceled_at = over.ended_at;
    assert_eq!(kinds(&at_once.look(&over, end)), ["subscription_cancelled"], "one message for one fact");
}

#[test]
fn a_change_of_plan_is_told_and_a_renamed_plan_is_not() {
    let mut life = Life::new();
    let mut seen = facts("active");
    life.look(&seen, T0);
    seen.items[0].price = "price_new_id".into();
    assert!(life.look(&seen, T0.plus_ms(1)).is_empty(), "another price of the same plan");
    seen.items[0].quantity = 3;
    assert_eq!(kinds(&life.look(&seen, T0.plus_ms(2))), ["plan_changed"]);
    assert!(life.look(&seen, T0.plus_ms(3)).is_empty());
}

#[test]
fn refunds_are_told_each_once_when_they_have_come_about() {
    let refund = |id: &str, status: &str| RefundFacts {
        id: id.into(),
        status: status.into(),
        amount: yen(500),
        created_at: T0,
    };
    let payment = |refunds| {
        Some(vec![PaymentFacts {
            id: "pi_1".into(),
            amount: yen(1_980),
            refunded: yen(500),
            money: MoneyState::Kept,
            created_at: T0,
            refunds,
            disputes: Vec::new(),
            warning: None,
        }])
    };
    let mut life = Life::new();
    let seen = facts("active");
    assert!(life.look_with(&seen, payment(vec![refund("re_1", "pending")]), T0).is_empty());
    let both = vec![refund("re_1", "succeeded"), refund("re_2", "succeeded")];
    assert_eq!(kinds(&life.look_with(&seen, payment(both.clone()), T0)), ["refund_made", "refund_made"]);
    assert!(life.look_with(&seen, payment(both), T0.plus_ms(DAY_MS)).is_empty());
}

#[test]
fn a_card_is_told_once_for_its_month_before_it_ends() {
    let mut seen = facts("active");
    let mut expiring = card("visa", "JP");
    (expiring.exp_month, expiring.exp_year) = (2, 2028);
    assert_eq!(expiring.ends(), Some(at("2028-03-01T00:00:00Z")));
    seen.told.card = Some(expiring.clone());
    let mut life = Life::new();
    assert!(life.look(&seen, at("2028-01-30T23:59:59Z")).is_empty());
    assert_eq!(
        life.look(&seen, at("2028-01-31T00:00:00Z")),
        [(NoticeKind::CardExpiring, "2028-02".to_owned())]
    );
    assert!(life.look(&seen, at("2028-02-20T00:00:00Z")).is_empty());
    assert!(Life::new().look(&seen, at("2028-03-01T00:00:00Z")).is_empty(), "it is over");
    for (month, year, ends) in [(12, 2028, Some("2029-01-01T00:00:00Z")), (13, 2028, None), (0, 2028, None)] {
        (expiring.exp_month, expiring.exp_year) = (month, year);
        assert_eq!(expiring.ends(), ends.map(at), "{month} {year}");
    }
}

#[test]
fn a_year_is_told_before_it_renews_and_a_month_once_a_year_where_a_rule_asks() {
    let mut yearly = facts("active");
    yearly.told.card = Some(card("mastercard", "US"));
    let end = T0.plus_ms(365 * DAY_MS);
    yearly.items[0].period_end = Some(end);
    let mut life = Life::new();
    assert!(life.look(&yearly, end.plus_ms(-30 * DAY_MS - 1)).is_empty());
    assert_eq!(life.look(&yearly, end.plus_ms(-30 * DAY_MS)), [(NoticeKind::RenewalAhead, end.to_string())]);
    let ids: Vec<_> = life.told[0].rules.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["california_year", "mastercard_long_period", "california_annual_reminder"]);

    let mut monthly = facts("active");
    monthly.told.card = Some(card("visa", "US"));
    let mut life = Life::new();
    let day = T0.plus_ms(365 * DAY_MS);
    monthly.items[0].period_start = Some(day.plus_ms(-25 * DAY_MS));
    monthly.items[0].period_end = Some(day.plus_ms(5 * DAY_MS));
    assert!(life.look(&monthly, day.plus_ms(-31 * DAY_MS)).is_empty());
    let told = life.look(&monthly, day.plus_ms(-30 * DAY_MS));
    assert_eq!(told, [(NoticeKind::RenewalAhead, format!("year {day}"))]);
    monthly.told.card = Some(card("visa", "JP"));
    assert!(Life::new().look(&monthly, day.plus_ms(-30 * DAY_MS)).is_empty(), "no rule asks for it there");
}

#[test]
fn an_announced_change_is_told_to_whom_it_meets_at_its_moment() {
    let change = |plan: Option<&str>| Announcement {
        id: "fees-2027".into(),
        kind: NoticeKind::PriceChanging,
        plan: plan.and_then(|key| crate::ids::PlanKey::parse(key).ok()),
        effective_at: T0.plus_ms(60 * DAY_MS),
        created_at: T0,
        new_price: None,
        url: None,
    };
    let mut life = Life::new();
    life.announced = vec![change(Some("pro"))];
    assert!(life.look(&facts("active"), T0).is_empty());
    let moment = T0.plus_ms(30 * DAY_MS);
    assert_eq!(kinds(&life.look(&facts("active"), moment)), ["price_changing"]);
    assert!(life.look(&facts("active"), moment.plus_ms(DAY_MS)).is_empty());
    let mut other = Life::new();
    other.announced = vec![change(Some("studio"))];
    assert!(other.look(&facts("active"), moment).is_empty());
    let mut leaving = facts("active");
    leaving.cancel_at = Some(T0.plus_ms(50 * DAY_MS));
    let mut gone = Life::new();
    gone.announced = vec![change(None)];
    assert!(gone.look(&leaving, moment).is_empty(), "it ends before the change");
}

// What is still true.

#[test]
fn what_is_no_longer_so_is_over() {
    let policy = AccessPolicy::default();
    let catalog = Catalog::parse(SMALL).unwrap();
    let mirror = |seen: &SubscriptionFacts, now: Timestamp| {
        let observed = Observed { subscriptions: vec![seen.clone()], ..Observed::default() };
        project(observed, &stored(), &catalog, &policy, now).subscriptions
    };
    let ask = |kind, object: &str, occurrence: &str, about, data: Value, seen: &SubscriptionFacts, now| {
        let (subscriptions, data) = (mirror(seen, now), data);
        let claim = Claim { kind, object, occurrence, about, data: &data };
        let (purchases, payments, announced, held) = (&[], &[], &[], &[]);
        let subscriptions = &subscriptions;
        still_holds(claim, Known { subscriptions, purchases, payments, announced, held, now }) == Truth::Holds
    };
    let nothing = || Value::Null;
    let failing = with_invoice("past_due", invoice("open", 2, T0));
    let paid = with_invoice("active", invoice("paid", 2, T0));
    let failed = |seen: &SubscriptionFacts, attempt: &str| {
        ask(NoticeKind::PaymentFailed, "in_1", attempt, None, nothing(), seen, T0)
    };
    assert!(failed(&failing, "2"));
    assert!(!failed(&failing, "1"), "another attempt tells its own");
    assert!(!failed(&paid, "2"), "paid meanwhile");
    let grace = |seen: &SubscriptionFacts, now| {
        ask(NoticeKind::GraceEnding, "sub_1", &T0.to_string(), None, nothing(), seen, now)
    };
    assert!(grace(&failing, T0.plus_ms(6 * DAY_MS)));
    assert!(!grace(&failing, T0.plus_ms(7 * DAY_MS)), "it has ended");
    assert!(!grace(&paid, T0.plus_ms(6 * DAY_MS)));
    let trial = |seen: &SubscriptionFacts, now| {
        let end = Some(T0.plus_ms(14 * DAY_MS));
        ask(NoticeKind::TrialEnding, "sub_1", "", end, nothing(), seen, now)
    };
    assert!(trial(&trialing(14), T0.plus_ms(8 * DAY_MS)));
    assert!(!trial(&trialing(28), T0.plus_ms(8 * DAY_MS)), "extended");
    assert!(!trial(&trialing(14), T0.plus_ms(14 * DAY_MS)), "it is over");
    let mut ending = trialing(14);
    ending.cancel_at_period_end = true;
    assert!(!trial(&ending, T0.plus_ms(8 * DAY_MS)), "cancelled");
    let renewal = |seen: &SubscriptionFacts| {
        let end = Some(T0.plus_ms(30 * DAY_MS));
        ask(NoticeKind::RenewalAhead, "sub_1", "", end, nothing(), seen, T0)
    };
    assert!(renewal(&facts("active")));
    let mut leaving = facts("active");
    leaving.cancel_at_period_end = true;
    assert!(!renewal(&leaving));
    let ended =
        |seen: &SubscriptionFacts, now| ask(NoticeKind::AccessEnded, "sub_1", "", None, nothing(), seen, now);
    assert!(ended(&failing, T0.plus_ms(8 * DAY_MS)));
    assert!(!ended(&paid, T0.plus_ms(8 * DAY_MS)), "access is back");
    let cancelled = |seen: &SubscriptionFacts| {
        let asked = T0.plus_ms(DAY_MS).to_string();
        ask(NoticeKind::SubscriptionCancelled, "sub_1", &asked, None, nothing(), seen, T0)
    };
    leaving.told.canceled_at = Some(T0.plus_ms(DAY_MS));
    assert!(cancelled(&leaving));
    assert!(!cancelled(&facts("active")), "taken back");
    let changed = |plan: &str, interval: &str| {
        let data = serde_json::json!({ "plan": plan, "quantity": 1, "interval": interval });
        ask(NoticeKind::PlanChanged, "sub_1", "", None, data, &facts("active"), T0)
    };
    assert!(changed("pro", "month"));
    assert!(!changed("studio", "month") && !changed("pro", "year"), "changed again since");
    assert!(ask(NoticeKind::Receipt, "in_1", "paid", None, nothing(), &leaving, T0));
    let price = ask(NoticeKind::PriceChanging, "sub_1", "x", None, nothing(), &facts("active"), T0);
    assert!(!price, "withdrawn");
}

#[test]
fn kinds_have_one_word_each_and_find_back() {
    let words: BTreeSet<&str> = NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), NoticeKind::ALL.len());
    for kind in NoticeKind::ALL {
        assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    assert_eq!(NoticeKind::parse("spam"), None);
}

#[test]
fn the_documentation_has_the_rules_of_the_table() {
    let page = include_str!("../../../../docs/notices.md");
    let table = RuleTable::built_in();
    for rule in &table.rules {
        let mut who = Vec::new();
        who.extend(rule.network.clone());
        who.extend(rule.country.clone());
        who.extend(rule.trial_days.map(|days| format!("trials of {days} days and more")));
        who.extend(rule.period_days.map(|days| format!("periods of {days} days and more")));
        who.extend(rule.yearly.then(|| "once a year".to_owned()));
        let mut kinds: Vec<String> = rule.notices.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
        kinds.sort();
        let days = match rule.window {
            Some(Window { earliest: Some(earliest), latest }) => format!("{latest} to {earliest}"),
            Some(Window { earliest: None, latest }) => format!("{latest} or more"),
            None => "when it happens".to_owned(),
        };
        let line = format!(
            "| `{}` | {} | {} | {} | {days} | {} |",
            rule.id,
            rule.version,
            kinds.join(", "),
            who.join(", "),
            rule.source
        );
        assert!(page.lines().any(|found| found == line), "docs/notices.md lacks: {line}");
    }
    let listed =
        page.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 5).count();
    assert_eq!(listed, table.rules.len(), "docs/notices.md names rules that are not there");
    for point in table.checklists.iter().flat_map(|list| &list.points) {
        assert!(page.contains(&format!("- {}", point.en)), "docs/notices.md lacks: {}", point.en);
    }
    for kind in NoticeKind::ALL {
        assert!(page.contains(&format!("`{}`", kind.as_str())), "docs/notices.md lacks {}", kind.as_str());
    }
}

#[test]
fn words_are_read_back_and_what_rules_demand_cannot_be_declined() {
    for kind in NoticeKind::ALL {
        assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
    }
    assert_eq!(NoticeKind::parse("newsletter"), None);
    let optional: Vec<&str> =
        NoticeKind::ALL.into_iter().filter(|kind| kind.optional()).map(NoticeKind::as_str).collect();
    assert_eq!(optional, ["payment_recovered", "grace_ending", "card_expiring"]);
}
