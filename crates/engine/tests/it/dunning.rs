//! Failing payments: who tries again and when, the way to pay, recovery at once, and what became of it all.

use quittance_domain::Access;
use quittance_domain::app_event::AppEventType;
use quittance_domain::dunning::{
    Case, Cause, DunningPolicy, OnExhaustion, Outcome, PaymentIssue, Recovery, Retries,
};
use quittance_domain::notices::NoticeKind;
use quittance_engine::Settings;
use quittance_engine::dunning::{WayToPay, WhichCases};
use quittance_engine::notices::Ready;
use quittance_sandbox::HttpRequest;
use quittance_store::app_events;

use crate::house::{DAY, House, Trouble, catalog, customer, on_each};
use crate::known_kit;

/// A story in a house where we try ourselves, on each database. The provider's own retries are off.
macro_rules! we_try {
    ($policy:expr, |$h:ident| $story:block) => {
        for test in quittance_store::testing::databases().await {
            eprintln!("on {}", test.db.dialect().name());
            let settings = Settings { dunning: $policy, ..Settings::default() };
            let $h = House::with(test, settings, catalog()).await;
            dashboard(&$h, r#"{"retry_days":[],"on_exhaustion":"leave"}"#);
            $story
        }
    };
}

fn own() -> DunningPolicy {
    DunningPolicy { retries: Retries::Own, ..DunningPolicy::default() }
}

fn dashboard(h: &House, settings: &str) {
    let request = HttpRequest {
        method: "PUT".into(),
        path: "/_sandbox/settings".into(),
        body: settings.as_bytes().to_vec(),
        ..HttpRequest::default()
    };
    assert_eq!(h.sandbox.handle(request).status, 200);
}

/// Puts a card on the subscription, as its owner would.
fn card(h: &House, subscription: &str, card: &str) {
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    let buyer = found["customer"].as_str().unwrap();
    let path = format!("/v1/payment_methods/{card}/attach");
    let method = h.provider("POST", &path, &format!("customer={buyer}"));
    let form = format!("default_payment_method={}", method["id"].as_str().unwrap());
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
}

async fn cases(h: &House) -> Vec<Case> {
    let all = WhichCases { cursor: i64::MAX, outcome: None, customer: None };
    h.engine.dunning_cases(all, 100).await.unwrap().into_iter().map(|row| row.case).collect()
}

/// Charges that were refused, at the provider.
fn refused(h: &House) -> usize {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|charge| !charge.paid).count()
}

fn taken(h: &House) -> i64 {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|c| c.paid).map(|c| c.amount).sum()
}

async fn told(h: &House, kind: &str) -> usize {
    let lines = h.engine.timeline("ada", i64::MAX, 500).await.unwrap();
    lines.iter().filter(|line| line.kind == kind).count()
}

async fn access(h: &House) -> Access {
    let row = &h.engine.customer("ada").await.unwrap().subscriptions[0];
    row.subscription.standing.at(h.engine.now())
}

async fn alerts(h: &House) -> Vec<String> {
    h.engine.alerts(false, i64::MAX, 50).await.unwrap().into_iter().map(|alert| alert.kind).collect()
}

/// The renewal of the house's first subscription is on 28 February at noon, and is charged an hour later.
async fn until_the_renewal_fails(h: &House) {
    h.live(28).await;
    h.sandbox.advance_time(7_200);
    h.settle().await;
    assert_eq!(access(h).await, Access::Grace);
}

fn page(h: &House, method: &str, path: &str, form: &str) -> (u16, String) {
    let answer = h.sandbox.handle(HttpRequest {
        method: method.into(),
        path: path.into(),
        body: form.as_bytes().to_vec(),
        ..HttpRequest::default()
    });
    let to = answer.header_value("location").unwrap_or_default().to_owned();
    (answer.status, to)
}

/// The provider makes a draft with every period of a subscription that it has given up; what is owed is older.
#[tokio::test]
async fn an_unpaid_subscription_says_what_is_owed_and_where_it_is_paid() {
    on_each(|h| {
        Box::pin(async move {
            dashboard(h, r#"{"on_exhaustion":"unpaid"}"#);
            let id = h.subscriber("ada").await;
            card(h, &id, "pm_card_chargeCustomerFail");
            h.live(75).await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), "unpaid");
            let newest = known_kit::newest_invoice(h, &id);
            assert_eq!(h.provider("GET", &format!("/v1/invoices/{newest}"), "")["status"], "draft");
            let issue = PaymentIssue::of(&row.subscription).unwrap();
            assert_eq!((issue.kind.as_str(), issue.amount.minor), ("declined", 1_980));
            assert_ne!(issue.invoice, newest);
            for wanted in [None, Some(issue.invoice.as_str())] {
                let way = h.engine.way_to_pay(&customer("ada"), wanted).await.unwrap();
                assert!(
                    matches!(&way, WayToPay::Page(url) if url.starts_with("http://127.0.0.1:12111/i/")),
                    "{way:?}"
                );
            }
            // Paid, the drafts are left: still nobody says that nothing is owed.
            card(h, &id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{}/pay", issue.invoice), "");
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap();
            let left = PaymentIssue::of(&row.subscription).unwrap();
            assert_eq!((left.kind.as_str(), left.invoice.as_str()), ("due", newest.as_str()));
            let way = h.engine.way_to_pay(&customer("ada"), None).await.unwrap();
            assert_eq!(way, WayToPay::PaymentMethod);
            h.provider("POST", &format!("/v1/invoices/{newest}/pay"), "");
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(
                (row.subscription.facts.status.as_str(), PaymentIssue::of(&row.subscription)),
                ("active", None)
            );
            assert_eq!(access(h).await, Access::Granted);
            assert_eq!(h.engine.way_to_pay(&customer("ada"), None).await.unwrap(), WayToPay::Paid);
        })
    })
    .await;
}

/// What the provider gave up can still be paid.
#[tokio::test]
async fn an_invoice_that_was_given_up_can_still_be_paid() {
    on_each(|h| {
        Box::pin(async move {
            let id = known_kit::failing_subscriber(h, "ada").await;
            let invoice = known_kit::newest_invoice(h, &id);
            h.provider("POST", &format!("/v1/invoices/{invoice}/mark_uncollectible"), "");
            h.settle().await;
            let way = h.engine.way_to_pay(&customer("ada"), Some(&invoice)).await.unwrap();
            assert!(matches!(way, WayToPay::Page(_)), "{way:?}");
            assert!(h.engine.invoice_page(&invoice).await.unwrap().owed, "and so the link in a letter says");
        })
    })
    .await;
}

/// Whether the customer is needed follows from the payment, not from an event that may be lost or late.
#[tokio::test]
async fn what_the_bank_asks_is_told_though_no_event_said_so() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            card(h, &id, "pm_card_authenticationRequired");
            h.settle().await;
            h.sandbox.advance_time(29 * DAY);
            h.drop_webhooks();
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            let asked = known_kit::told(h, "ada", Some(NoticeKind::PaymentActionRequired)).await;
            assert_eq!(asked.len(), 1, "{asked:?}");
            assert!(known_kit::notices(h, "ada").await.is_empty(), "and not told as a failure beside");
        })
    })
    .await;
}

/// The whole way of somebody who must confirm a renewal: the link, the bank's page, and access back at that second.
#[tokio::test]
async fn a_renewal_that_the_bank_wants_confirmed_leads_to_a_link_that_works() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            card(h, &id, "pm_card_authenticationRequired");
            until_the_renewal_fails(h).await;
            let row = h.engine.subscription(&id).await.unwrap();
            let issue = PaymentIssue::of(&row.subscription).unwrap();
            assert_eq!((issue.kind.as_str(), issue.cause), ("action_required", Cause::Authentication));
            assert_eq!((issue.amount.minor, issue.attempts), (1_980, 1));
            assert!(issue.next_attempt_at.is_some(), "the provider has planned its next try");
            h.live(8).await;
            assert_eq!(access(h).await, Access::Revoked, "grace is over");
            let way = h.engine.way_to_pay(&customer("ada"), Some(&issue.invoice)).await.unwrap();
            let WayToPay::Page(url) = way else { panic!("{way:?}") };
            let path = url.trim_start_matches("http://127.0.0.1:12111");
            let (status, bank) = page(h, "GET", path, "");
            assert_eq!(status, 303, "{url}");
            let (status, back) = page(h, "POST", &bank, "outcome=success");
            assert_eq!((status, back.as_str()), (303, path));
            let paid_at = h.sandbox.now();
            h.settle().await;
            assert_eq!(access(h).await, Access::Granted);
            let [case] = &cases(h).await[..] else { panic!("one case") };
            assert_eq!((case.outcome, case.recovery), (Outcome::Recovered, Some(Recovery::Customer)));
            assert_eq!(case.ended_at.map(|at| at.seconds()), Some(paid_at), "by the provider's clock");
            assert_eq!((told(h, "payment.at_risk").await, told(h, "payment.recovered").await), (1, 1));
            assert_eq!(taken(h), 2 * 1_980);
            let again = h.engine.way_to_pay(&customer("ada"), Some(&issue.invoice)).await.unwrap();
            assert_eq!(again, WayToPay::Paid);
            let other = h.engine.way_to_pay(&customer("eve"), Some(&issue.invoice)).await.unwrap_err();
            assert_eq!(
                other.code,
                quittance_engine::ProblemCode::NotFound,
                "nobody pays, or sees, another's"
            );
        })
    })
    .await;
}

#[tokio::test]
async fn our_own_schedule_tries_on_its_days_and_gives_up_once() {
    we_try!(own(), |h| {
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_chargeCustomerFail");
        until_the_renewal_fails(&h).await;
        let grace = h.engine.check("ada", "article:full").await.unwrap().expires_at;
        let mut tries = vec![refused(&h)];
        for _ in 0..6 {
            h.live(1).await;
            tries.push(refused(&h));
            assert_eq!(
                h.engine.check("ada", "article:full").await.unwrap().expires_at,
                grace,
                "grace never moves"
            );
        }
        assert_eq!(tries, [1, 2, 2, 3, 3, 4, 4], "the provider's, then days 1, 3 and 5");
        h.live(1).await;
        assert_eq!(refused(&h), 5, "day 7");
        let row = h.engine.subscription(&id).await.unwrap();
        assert_eq!(row.subscription.facts.status.as_str(), "canceled");
        assert_eq!(access(&h).await, Access::Revoked);
        h.live(5).await;
        assert_eq!(refused(&h), 5, "and nothing more");
        let [case] = &cases(&h).await[..] else { panic!("one case") };
        assert_eq!((case.outcome, case.cause, case.tries), (Outcome::Lost, Cause::Other, 4));
        assert_eq!(case.decline_code.as_deref(), Some("generic_decline"));
        assert_eq!(told(&h, "payment.lost").await, 1);
        let [cancelled] = &known_kit::told(&h, "ada", Some(NoticeKind::SubscriptionCancelled)).await[..]
        else {
            panic!("told once")
        };
        let data: serde_json::Value = serde_json::from_str(&cancelled.data).unwrap();
        assert_eq!(data["reason"], "payment_failed", "it was not its customer who ended it");
        assert!(alerts(&h).await.is_empty(), "{:?}", alerts(&h).await);
    });
}

/// The provider does not count what we try: customers, timeline and apps hear of each try all the same, once, and of the next.
#[tokio::test]
async fn each_try_of_ours_that_fails_is_told_once_with_the_time_of_the_next() {
    we_try!(own(), |h| {
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_chargeCustomerFail");
        until_the_renewal_fails(&h).await;
        let days = ["2026-03-01", "2026-03-03", "2026-03-05", "2026-03-07"];
        let issue = PaymentIssue::of(&h.engine.subscription(&id).await.unwrap().subscription).unwrap();
        assert_eq!(issue.next_attempt_at.unwrap().to_string(), "2026-03-01T10:00:00Z");
        for (number, day) in days.into_iter().enumerate() {
            let notices = known_kit::told(&h, "ada", Some(NoticeKind::PaymentFailed)).await;
            let newest = notices.iter().max_by_key(|notice| notice.seq).unwrap();
            let data: serde_json::Value = serde_json::from_str(&newest.data).unwrap();
            assert_eq!(data["next_attempt_at"], format!("{day}T10:00:00Z"));
            if let Ready::Send(ready) = h.engine.prepare_notice(newest).await.unwrap() {
                assert_eq!(
                    ready.data["next_attempt_at"], data["next_attempt_at"],
                    "nor does the sending lose it"
                );
            } else {
                panic!("{newest:?} is still so");
            }
            h.live(if number == 0 { 1 } else { 2 }).await;
            h.settle().await;
        }
        let mut told_of: Vec<_> = known_kit::told(&h, "ada", Some(NoticeKind::PaymentFailed)).await;
        told_of.sort_by_key(|notice| notice.seq);
        let occurrences: Vec<&str> = told_of.iter().map(|notice| notice.occurrence.as_str()).collect();
        assert_eq!(occurrences, ["1", "1+1", "1+2", "1+3", "1+4"]);
        assert_eq!((refused(&h), told(&h, "payment.failed").await), (5, 5));
        let read = |tx: &mut dyn quittance_store::Tx| app_events::list(tx, Some("ada"), i64::MAX, 200);
        let events = h.test.db.read("test.events", read).await.unwrap();
        let failed = events.iter().filter(|event| event.kind == AppEventType::PaymentFailed);
        let numbers = |body: &str| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            (body["data"]["attempt"].as_i64(), body["data"]["own_try"].as_i64())
        };
        let mut tries: Vec<_> = failed.map(|event| numbers(&event.body)).collect();
        tries.sort_unstable();
        let ours = |number| (Some(1), number);
        assert_eq!(tries, [None, Some(1), Some(2), Some(3), Some(4)].map(ours), "each by its number");
        let last: serde_json::Value = serde_json::from_str(&told_of[4].data).unwrap();
        assert!(last["next_attempt_at"].is_null(), "nothing is tried any more");
    });
}

#[tokio::test]
async fn a_try_of_ours_that_succeeds_recovers_at_once_and_charges_once_though_its_answer_is_lost() {
    we_try!(own(), |h| {
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_chargeCustomerFail");
        until_the_renewal_fails(&h).await;
        // The same card works again, as after pay day: the provider is told nothing.
        let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
        let buyer = found["customer"].as_str().unwrap().to_owned();
        h.drop_webhooks();
        card(&h, &id, "pm_card_visa");
        h.trouble("POST /v1/invoices/in_", Trouble::LostAfter, 2);
        h.live(1).await;
        assert_eq!(access(&h).await, Access::Granted, "without a webhook");
        assert_eq!(taken(&h), 2 * 1_980, "{buyer} paid once");
        let [case] = &cases(&h).await[..] else { panic!("one case") };
        assert_eq!(case.outcome, Outcome::Recovered);
    });
}

#[tokio::test]
async fn a_hard_decline_waits_for_another_card_which_is_tried_at_once_and_once() {
    we_try!(own(), |h| {
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_authenticationRequired");
        until_the_renewal_fails(&h).await;
        let asked = |h: &House| {
            h.sandbox
                .provider_calls()
                .iter()
                .filter(|(path, _)| path.ends_with("/pay"))
                .map(|(_, n)| n)
                .sum::<u64>()
        };
        h.live(4).await;
        assert_eq!(asked(&h), 0, "who must confirm is not there: {:?}", h.sandbox.provider_calls());
        card(&h, &id, "pm_card_chargeCustomerFail");
        h.settle().await;
        assert_eq!(refused(&h), 1, "the new card is tried at once");
        h.settle().await;
        assert_eq!(refused(&h), 1, "and once");
        card(&h, &id, "pm_card_visa");
        h.settle().await;
        assert_eq!(access(&h).await, Access::Granted);
        let [case] = &cases(&h).await[..] else { panic!("one case") };
        assert_eq!((case.cause, case.tries), (Cause::Authentication, 2));
        assert_eq!((case.outcome, case.recovery), (Outcome::Recovered, Some(Recovery::CardChange)));
    });
}

#[tokio::test]
async fn never_both_where_the_provider_retries_it_goes_first_and_operators_are_told_the_setting() {
    we_try!(own(), |h| {
        dashboard(&h, r#"{"retry_days":[3,3],"on_exhaustion":"cancel"}"#);
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_chargeCustomerFail");
        until_the_renewal_fails(&h).await;
        let found = h.engine.alerts(false, i64::MAX, 50).await.unwrap();
        let alert = found.iter().find(|alert| alert.kind == "provider_retries").unwrap();
        assert!(alert.mend.contains("Retries") && alert.mend.contains("[dunning]"), "{}", alert.mend);
        h.live(2).await;
        assert_eq!(refused(&h), 1, "day 1 is ours, and is left to the provider");
        h.live(5).await;
        assert_eq!(refused(&h), 3, "its own two");
        assert!(!alerts(&h).await.contains(&"provider_retries".to_owned()), "over with the subscription");
    });
}

/// The provider plans a try of its own when ours is decided and not yet sent: it is asked once more just before.
#[tokio::test]
async fn never_both_though_the_provider_plans_its_try_at_the_last_moment() {
    we_try!(own(), |h| {
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_chargeCustomerFail");
        until_the_renewal_fails(&h).await;
        assert_eq!(refused(&h), 1);
        let settings = Settings { dunning: own(), ..Settings::default() };
        let (engine, bent) = known_kit::bent_engine(&h, settings, catalog()).await;
        let gate = h.hold_point(quittance_engine::world::Point::CommandClaimed);
        h.sandbox.advance_time(DAY);
        let worker = engine.clone();
        let work = tokio::spawn(async move { worker.drain().await.map(drop) });
        gate.reached().await;
        let soon = h.sandbox.now() + DAY;
        bent.bend(move |_, body| {
            if body["object"] == "invoice" {
                body["next_payment_attempt"] = soon.into();
            }
        });
        h.release_point(quittance_engine::world::Point::CommandClaimed);
        gate.open();
        work.await.unwrap().unwrap();
        assert_eq!(refused(&h), 1, "ours was not sent");
        bent.straighten();
    });
}

#[tokio::test]
async fn what_follows_exhaustion_is_policy() {
    for (how, status, outcome) in [
        (OnExhaustion::MarkUncollectible, "active", Outcome::Forgiven),
        (OnExhaustion::Leave, "past_due", Outcome::Open),
    ] {
        we_try!(DunningPolicy { on_exhaustion: how, schedule_days: vec![1], ..own() }, |h| {
            let id = h.subscriber("ada").await;
            card(&h, &id, "pm_card_chargeCustomerFail");
            until_the_renewal_fails(&h).await;
            h.live(3).await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), status);
            assert_eq!(refused(&h), 2);
            assert_eq!(cases(&h).await[0].outcome, outcome);
        });
    }
}

/// Paid in cash, forgiven, voided: the provider gives the subscription back, and so do we, at once.
#[tokio::test]
async fn recovery_however_it_came_gives_access_at_once() {
    on_each(|h| {
        Box::pin(async move {
            let roads = [
                ("pay", "paid_out_of_band=true", Outcome::Recovered, Some(Recovery::OutOfBand)),
                ("mark_uncollectible", "", Outcome::Forgiven, None),
            ];
            for (road, form, outcome, by) in roads {
                let who = format!("user-{road}");
                let id = h.subscriber(&who).await;
                card(h, &id, "pm_card_chargeCustomerFail");
                let until =
                    h.engine.subscription(&id).await.unwrap().subscription.facts.period_end().unwrap();
                h.sandbox.advance_time(until.seconds() - h.engine.now().seconds() + 7_200);
                h.settle().await;
                h.live(8).await;
                assert!(!h.allowed(&who, "article:full").await, "grace is over");
                let row = h.engine.subscription(&id).await.unwrap();
                let invoice = row.subscription.facts.latest_invoice.unwrap().id;
                h.provider("POST", &format!("/v1/invoices/{invoice}/{road}"), form);
                h.settle().await;
                assert!(h.allowed(&who, "article:full").await, "{road}");
                let found = cases(h).await.into_iter().find(|case| case.invoice == invoice).unwrap();
                assert_eq!((found.outcome, found.recovery), (outcome, by), "{road}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn the_report_counts_what_was_at_risk_by_month_cause_and_currency() {
    on_each(|h| {
        Box::pin(async move {
            for (who, broken) in
                [("ada", "pm_card_chargeCustomerFail"), ("bob", "pm_card_authenticationRequired"), ("cyd", "pm_card_chargeCustomerFail")]
            {
                let id = h.subscriber(who).await;
                card(h, &id, broken);
            }
            until_the_renewal_fails(h).await;
            let cyd = h.engine.customer("cyd").await.unwrap().subscriptions[0].subscription.facts.id.clone();
            h.provider("DELETE", &format!("/v1/subscriptions/{cyd}"), "");
            let ada = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.clone();
            card(h, &ada.id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{}/pay", ada.latest_invoice.unwrap().id), "");
            h.settle().await;
            let report = h.engine.dunning_report(2).await.unwrap();
            assert_eq!(report[0].month, "2026-02");
            assert!(report[1].lines().is_empty());
            let shown: Vec<String> = report[0]
                .lines()
                .iter()
                .map(|line| {
                    let [open, recovered, forgiven, lost, cancelled] = line.outcomes.map(|tally| tally.count);
                    format!(
                        "{} {} risk {} open {open} recovered {recovered} forgiven {forgiven} lost {lost} cancelled {cancelled}",
                        line.cause.as_str(), line.currency, line.at_risk().amount
                    )
                })
                .collect();
            assert_eq!(
                shown,
                [
                    "authentication JPY risk 1980 open 1 recovered 0 forgiven 0 lost 0 cancelled 0",
                    "other JPY risk 3960 open 0 recovered 1 forgiven 0 lost 0 cancelled 1",
                ]
            );
        })
    })
    .await;
}

/// A worker that was away on the day itself does what is due when it comes back: one try, not several.
#[tokio::test]
async fn a_restart_finds_the_timer_and_tries_once() {
    we_try!(own(), |h| {
        let id = h.subscriber("ada").await;
        card(&h, &id, "pm_card_chargeCustomerFail");
        until_the_renewal_fails(&h).await;
        h.sandbox.advance_time(4 * DAY);
        let other = h.another_engine().await;
        other.drain().await.unwrap();
        h.settle().await;
        assert_eq!(refused(&h), 2, "days 1 and 3 went by unseen");
        assert_eq!(cases(&h).await[0].tries, 1);
    });
}

/// Money that came after the end and gives nothing: somebody must pay it back, so somebody hears of it until it is.
#[tokio::test]
async fn a_payment_that_comes_too_late_and_gives_nothing_alerts_until_it_is_paid_back() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            card(h, &id, "pm_card_chargeCustomerFail");
            h.live(60).await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), "canceled");
            let owed = row.subscription.facts.latest_invoice.clone().unwrap().id;
            assert!(alerts(h).await.is_empty(), "an end for want of payment is an ordinary end");
            let buyer = known_kit::buyer_of(h, &id);
            let method = known_kit::give_card(h, &buyer, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{owed}/pay"), &format!("payment_method={method}"));
            h.settle().await;
            assert_eq!(access(h).await, Access::Revoked, "by the policy it gives nothing");
            let found = h.engine.alerts(false, i64::MAX, 50).await.unwrap();
            let [alert] = &found[..] else { panic!("{found:?}") };
            assert_eq!((alert.kind.as_str(), alert.object.as_str()), ("late_payment", owed.as_str()));
            assert!(
                alert.detail.contains(&id) && alert.mend.contains("late_payment = \"grant\""),
                "{alert:?}"
            );
            h.live(2).await;
            assert_eq!(alerts(h).await, ["late_payment"], "it stands, and once");
            let paid = h.engine.subscription(&id).await.unwrap().subscription.facts.latest_invoice.unwrap();
            let payment = &paid.payments[0].payment;
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            h.settle().await;
            assert_eq!(alerts(h).await, Vec::<String>::new(), "paid back, it is over");
        })
    })
    .await;
}

/// A bill that is owed beside a newer one, and a card that would pay it.
async fn an_older_bill(h: &House) -> (String, String) {
    dashboard(h, r#"{"retry_days":[3],"on_exhaustion":"leave"}"#);
    let id = h.subscriber("ada").await;
    card(h, &id, "pm_card_chargeCustomerFail");
    until_the_renewal_fails(h).await;
    let newest =
        async || h.engine.subscription(&id).await.unwrap().subscription.facts.latest_invoice.unwrap().id;
    let older = newest().await;
    h.live(31).await;
    h.sandbox.advance_time(7_200);
    h.settle().await;
    assert_ne!(newest().await, older);
    (older, known_kit::give_card(h, &known_kit::buyer_of(h, &id), "pm_card_visa"))
}

/// How many receipts were told.
async fn receipts(h: &House) -> usize {
    known_kit::told(h, "ada", Some(NoticeKind::Receipt)).await.len()
}

/// An older bill that is paid when a newer one is owed too: it is no latest invoice any more, and is told all the same.
#[tokio::test]
async fn an_older_bill_that_is_paid_late_has_its_receipt() {
    on_each(|h| {
        Box::pin(async move {
            let (older, method) = an_older_bill(h).await;
            let before = receipts(h).await;
            h.provider("POST", &format!("/v1/invoices/{older}/pay"), &format!("payment_method={method}"));
            h.settle().await;
            assert_eq!(receipts(h).await, before + 1);
        })
    })
    .await;
}

/// The same when all webhooks of the payment are lost but the one that names no customer: its payment leads there.
#[tokio::test]
async fn an_older_bill_of_which_only_its_payment_is_heard_has_its_receipt() {
    on_each(|h| {
        Box::pin(async move {
            let (older, method) = an_older_bill(h).await;
            let before = receipts(h).await;
            h.settle().await;
            h.provider("POST", &format!("/v1/invoices/{older}/pay"), &format!("payment_method={method}"));
            let heard: Vec<_> =
                h.withhold().into_iter().filter(|d| d.event_type == "invoice_payment.paid").collect();
            assert_eq!(heard.len(), 1);
            h.hand_in(&heard[0]).await.unwrap();
            h.settle().await;
            assert_eq!(receipts(h).await, before, "what names the customer may still come");
            h.pass_ms(31_000);
            h.settle().await;
            assert_eq!(receipts(h).await, before + 1);
        })
    })
    .await;
}

/// Where the customer's own events have told it, what names only the payment asks the provider for nothing.
#[tokio::test]
async fn a_payment_that_was_seen_is_not_asked_for_again() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            h.live(31).await;
            h.sandbox.advance_time(7_200);
            h.settle().await;
            h.pass_ms(31_000);
            h.settle().await;
            let asked = h.sandbox.provider_calls();
            assert_eq!(asked.get("GET /v1/payment_intents/{id}"), None, "{asked:?}");
        })
    })
    .await;
}
