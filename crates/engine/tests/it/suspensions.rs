//! Suspensions that follow each other: said twice, made softer, lifted while the provider is away, undone by somebody else.

use quittance_domain::fraud::Level;
use quittance_engine::{ProblemCode, Settings};

use crate::house::{House, Trouble, customer, on_each, pro};
use crate::known_kit::{buyer_of, failing_subscriber, newest_invoice, operator, standing_alerts, text};

async fn shut(h: &House, level: Level) -> i64 {
    let row = h.engine.suspend(&customer("ada"), level, "stolen card", &operator()).await.unwrap();
    h.settle().await;
    row.since.ms()
}

async fn let_in(h: &House) {
    h.engine.unsuspend(&customer("ada"), &operator()).await.unwrap();
    h.settle().await;
}

fn is_paused(h: &House, subscription: &str) -> bool {
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    !found["pause_collection"].is_null()
}

#[tokio::test]
async fn what_was_paused_goes_on_however_often_and_softly_its_customer_was_shut_out() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let first = shut(h, Level::All).await;
            h.sandbox.advance_time(60);
            assert_eq!(shut(h, Level::All).await, first, "it stands since the first time");
            assert!(is_paused(h, &subscription));
            let_in(h).await;
            assert!(!is_paused(h, &subscription), "shut out twice, let in once");

            h.sandbox.advance_time(60);
            let second = shut(h, Level::All).await;
            assert!(second > first && is_paused(h, &subscription));
            assert_eq!(shut(h, Level::Checkouts).await, second);
            assert!(!is_paused(h, &subscription), "only new checkouts are closed now");
            assert!(h.allowed("ada", "article:full").await);
            h.sandbox.advance_time(60);
            assert!(shut(h, Level::All).await > second, "what was bought meanwhile was bought before");
            assert!(is_paused(h, &subscription));
            shut(h, Level::Checkouts).await;
            let_in(h).await;
            assert!(!is_paused(h, &subscription));
            assert!(h.engine.suspensions("", 10).await.unwrap().is_empty());
        })
    })
    .await;
}

/// The suspension cannot see a checkout whose answer is still on its way.
#[tokio::test]
async fn a_checkout_that_is_being_opened_when_its_customer_is_shut_out_is_closed_and_shown_to_nobody() {
    for level in [Level::Checkouts, Level::All] {
        on_each(|h| {
            Box::pin(async move {
                h.engine
                    .put_customer(&customer("ada"), quittance_store::customers::CustomerPatch::default())
                    .await
                    .unwrap();
                let gate = h.hold_answers("/v1/checkout/sessions");
                let engine = h.engine.clone();
                let opening = tokio::spawn(async move { engine.open_checkout(&pro("ada")).await });
                gate.reached().await;
                h.release_answers("/v1/checkout/sessions");
                h.engine.suspend(&customer("ada"), level, "stolen card", &operator()).await.unwrap();
                gate.open();
                let refused = opening.await.unwrap().unwrap_err();
                assert_eq!(refused.code, ProblemCode::CustomerSuspended);
                h.settle().await;
                let sessions = h.provider("GET", "/v1/checkout/sessions", "");
                assert_eq!(sessions["data"][0]["status"], "expired", "{sessions}");
            })
        })
        .await;
    }
}

/// A page whose making nobody heard of is open all the same: it is found and closed, although nothing new would be made.
#[tokio::test]
async fn a_checkout_that_may_have_been_opened_is_found_and_closed() {
    on_each(|h| {
        Box::pin(async move {
            h.engine
                .put_customer(&customer("ada"), quittance_store::customers::CustomerPatch::default())
                .await
                .unwrap();
            h.trouble("POST /v1/checkout/sessions", Trouble::LostAfter, 3);
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::OutcomePending);
            shut(h, Level::All).await;
            h.pass_ms(600_000);
            h.settle().await;
            let sessions = h.provider("GET", "/v1/checkout/sessions", "");
            assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "{sessions}");
            assert_eq!(sessions["data"][0]["status"], "expired", "{sessions}");
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::CustomerSuspended);
        })
    })
    .await;
}

/// The same after everybody gave up and an operator freed it, which begins counting anew.
#[tokio::test]
async fn a_checkout_that_was_parked_in_doubt_is_found_and_closed() {
    for test in quittance_store::testing::databases().await {
        let mut settings = Settings::default();
        settings.retry.max_attempts = 4;
        let h = House::with(test, settings, crate::house::catalog()).await;
        let unknown = quittance_store::customers::CustomerPatch::default();
        h.engine.put_customer(&customer("ada"), unknown).await.unwrap();
        h.trouble("POST /v1/checkout/sessions", Trouble::LostAfter, 100);
        let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::OutcomePending);
        for _ in 0..20 {
            h.pass_ms(600_000);
            h.settle().await;
        }
        let parked = h.engine.parked(10).await.unwrap().commands;
        assert_eq!(parked.len(), 1);
        h.transport.mend();
        shut(&h, Level::All).await;
        h.engine.retry_parked(&parked[0].id.to_string()).await.unwrap();
        h.settle().await;
        let sessions = h.provider("GET", "/v1/checkout/sessions", "");
        assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "{sessions}");
        assert_eq!(sessions["data"][0]["status"], "expired", "{sessions}");
    }
}

/// The provider tells whole seconds, and a suspension begins within one.
#[tokio::test]
async fn what_is_paid_within_the_second_of_the_suspension_goes_back() {
    on_each(|h| {
        Box::pin(async move {
            let session = h.open(&pro("ada")).await.session.unwrap();
            h.settle().await;
            h.sandbox.advance_time(60);
            h.pass_ms(400);
            let shut =
                h.engine.suspend(&customer("ada"), Level::All, "stolen card", &operator()).await.unwrap();
            // In the same second by the provider's clock.
            h.sandbox.advance_time(shut.since.seconds() - h.sandbox.now());
            assert_ne!(shut.since.ms() % 1_000, 0);
            h.pay(&session, "pm_card_visa");
            h.settle().await;
            let ledger = h.sandbox.ledger();
            let refunded: i64 = ledger.customers.iter().flat_map(|c| &c.refunds).map(|r| r.amount).sum();
            assert_eq!(refunded, 1_980);
            assert!(ledger.customers.iter().flat_map(|c| &c.subscriptions).all(|s| s.status == "canceled"));
        })
    })
    .await;
}

/// The provider is away while the customer is let in, and comes back when they are shut out again.
#[tokio::test]
async fn what_was_to_go_on_stays_as_it_is_when_its_customer_is_shut_out_again() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            shut(h, Level::All).await;
            h.trouble("POST /v1/subscriptions/", Trouble::Status(503), 1_000);
            let_in(h).await;
            assert!(is_paused(h, &subscription));
            shut(h, Level::All).await;
            h.transport.mend();
            for _ in 0..5 {
                h.sandbox.advance_time(1_800);
                // Only what waits is sent: no look mends it afterwards.
                h.engine.perform_due(100).await.unwrap();
                assert!(is_paused(h, &subscription), "nothing lets it be charged");
            }
            h.settle().await;
            let_in(h).await;
            assert!(!is_paused(h, &subscription), "and the pause of before is still taken back");
        })
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_somebody_undoes_for_ever_is_told_and_given_up() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            shut(h, Level::All).await;
            let mut undone = 0;
            while is_paused(h, &subscription) {
                assert!(!standing_alerts(h).await.contains(&"suspension_undone".to_owned()));
                h.provider("POST", &format!("/v1/subscriptions/{subscription}"), "pause_collection=");
                undone += 1;
                h.settle().await;
            }
            assert_eq!(undone, 20);
            let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "suspension_undone").unwrap();
            assert_eq!(alert.object, subscription);
            assert!(alert.mend.contains("quittance customers unsuspend ada"), "{}", alert.mend);
            // As the alert says.
            let_in(h).await;
            assert!(!standing_alerts(h).await.contains(&"suspension_undone".to_owned()));
            h.sandbox.advance_time(60);
            shut(h, Level::All).await;
            assert!(is_paused(h, &subscription));
        })
    })
    .await;
}

#[tokio::test]
async fn no_open_invoice_is_tried_while_its_customer_is_suspended_not_only_the_newest() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = failing_subscriber(h, "ada").await;
            let buyer = buyer_of(h, &subscription);
            let newest = newest_invoice(h, &subscription);
            // Another program's invoice, of no subscription.
            h.provider("POST", "/v1/invoiceitems", &format!("customer={buyer}&amount=700&currency=jpy"));
            let form = format!("customer={buyer}&auto_advance=true&pending_invoice_items_behavior=include");
            let other = text(&h.provider("POST", "/v1/invoices", &form)["id"]);
            h.sandbox.advance_time(2 * 3_600);
            h.settle().await;
            let invoice = |id: &str| h.provider("GET", &format!("/v1/invoices/{id}"), "");
            for id in [&newest, &other] {
                let found = invoice(id);
                assert_eq!(found["status"], "open", "{found:#}");
                assert!(!found["next_payment_attempt"].is_null(), "{found:#}");
            }
            shut(h, Level::All).await;
            crate::known_kit::use_card(h, &subscription, "pm_card_visa");
            h.live(10).await;
            for id in [&newest, &other] {
                assert_eq!(
                    (&invoice(id)["status"], &invoice(id)["auto_advance"]),
                    (&"open".into(), &false.into())
                );
            }
            let_in(h).await;
            h.live(10).await;
            for id in [&newest, &other] {
                assert_eq!(invoice(id)["auto_advance"], true);
            }
        })
    })
    .await;
}

/// A pause that ends by itself ends within the suspension, and then would be charged: the suspension takes its place, and gives it
/// back.
#[tokio::test]
async fn a_pause_with_an_end_does_not_end_a_suspension() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let path = format!("/v1/subscriptions/{subscription}");
            let pause = |h: &House, days: i64| {
                let until = h.engine.now().seconds() + days * 86_400;
                let form =
                    format!("pause_collection[behavior]=keep_as_draft&pause_collection[resumes_at]={until}");
                h.provider("POST", &path, &form);
                until
            };
            let net = |h: &House| h.sandbox.ledger().customers.iter().map(|c| c.net("jpy")).sum::<i64>();
            let until = pause(h, 40);
            h.settle().await;
            let before = net(h);
            shut(h, Level::All).await;
            let there = |h: &House| h.provider("GET", &path, "")["pause_collection"].clone();
            assert_eq!(there(h)["resumes_at"], serde_json::Value::Null, "it holds until somebody ends it");
            h.live(20).await;
            let_in(h).await;
            assert_eq!(
                (&there(h)["resumes_at"], &there(h)["behavior"]),
                (&until.into(), &"keep_as_draft".into())
            );

            // Beyond the pause's end nothing is charged either, and there is no pause to give back then.
            shut(h, Level::All).await;
            h.live(60).await;
            assert_eq!(net(h), before, "the pause is over, the suspension is not");
            assert!(is_paused(h, &subscription));
            let_in(h).await;
            assert!(!is_paused(h, &subscription));
            h.live(31).await;
            assert!(net(h) > before, "it goes on");

            // One that is set during the suspension ends no sooner.
            shut(h, Level::All).await;
            let before = net(h);
            pause(h, 5);
            h.settle().await;
            h.live(40).await;
            assert_eq!(net(h), before);
        })
    })
    .await;
}

/// A pause that only a person ends is left as it is: nothing is charged, and nothing is taken back when the customer is let in.
#[tokio::test]
async fn a_pause_without_an_end_is_left_alone() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let path = format!("/v1/subscriptions/{subscription}");
            h.provider("POST", &path, "pause_collection[behavior]=keep_as_draft");
            h.settle().await;
            shut(h, Level::All).await;
            assert_eq!(h.provider("GET", &path, "")["pause_collection"]["behavior"], "keep_as_draft");
            let_in(h).await;
            assert!(is_paused(h, &subscription));
        })
    })
    .await;
}
