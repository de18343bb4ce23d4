//! Fraud: many cards, many checkouts, and customers who are shut out and let in again.

use std::net::IpAddr;

use quittance_domain::fraud::{FraudAction, FraudPolicy, Level, OnSuspension};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::PortalStart;

use quittance_engine::subscriptions::Change;
use quittance_engine::world::Point;
use quittance_engine::{Money, Problem, ProblemCode, Settings};
use quittance_store::commands::CommandState;

use crate::house::{House, Trouble, catalog, customer, on_each, pro};
use crate::known_kit::{
    attempt, bought_with, buyer_of, foreign_subscription, lines_of, newest_invoice, odd_price, operator,
    price_id, standing_alerts, text,
};

async fn with(fraud: FraudPolicy, story: impl for<'a> AsyncFn(&'a House)) {
    for test in quittance_store::testing::databases().await {
        let settings = Settings { fraud: fraud.clone(), ..Settings::default() };
        let house = House::with(test, settings, catalog()).await;
        story(&house).await;
    }
}

fn from(id: &str, address: &str) -> NewCheckout {
    NewCheckout { client_ip: Some(address.parse::<IpAddr>().unwrap()), ..pro(id) }
}

fn decline(h: &House, session: &str, card: &str) {
    h.sandbox.complete_checkout(session, card).unwrap_err();
}

/// Cards that are all declined, with fingerprints of their own.
const CARDS: [&str; 5] = [
    "pm_card_visa_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_visa_chargeDeclinedLostCard",
    "pm_card_visa_chargeDeclinedStolenCard",
    "pm_card_chargeDeclinedExpiredCard",
];

#[tokio::test]
async fn retries_of_one_card_are_never_card_testing_and_many_cards_are() {
    let policy = FraudPolicy { cards_per_customer: 3, ..FraudPolicy::default() };
    with(policy, async |h| {
        let row = h.open(&pro("ada")).await;
        let session = row.session.clone().unwrap();
        for _ in 0..8 {
            decline(h, &session, CARDS[0]);
            h.settle().await;
        }
        assert!(!standing_alerts(h).await.contains(&"card_testing".to_owned()), "one card, however often");
        for card in &CARDS[1..3] {
            decline(h, &session, card);
            h.settle().await;
        }
        assert!(standing_alerts(h).await.contains(&"card_testing".to_owned()));
        let closed = h.engine.checkout_row(row.id.as_str()).await.unwrap();
        h.settle().await;
        assert_eq!(h.provider("GET", &format!("/v1/checkout/sessions/{session}"), "")["status"], "expired");
        drop(closed);
        let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::CustomerSuspended);
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 1);
        // A person lets it in again, and what was seen before does not shut it out once more.
        h.engine.unsuspend(&customer("ada"), &operator()).await.unwrap();
        h.settle().await;
        let row = h.open(&pro("ada")).await;
        h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
        h.settle().await;
        assert!(h.allowed("ada", "article:full").await);
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 1);
    })
    .await;
}

#[tokio::test]
async fn cards_of_many_customers_from_one_address_are_seen_together() {
    let policy = FraudPolicy { cards_per_customer: 0, cards_per_address: 4, ..FraudPolicy::default() };
    with(policy, async |h| {
        let early = h.open(&from("bot-9", "2001:db8:1:2::9")).await;
        for (n, card) in CARDS[..4].iter().enumerate() {
            let row = h.open(&from(&format!("bot-{n}"), "2001:db8:1:2::7")).await;
            decline(h, row.session.as_deref().unwrap(), card);
            h.settle().await;
        }
        let shut = h.engine.suspensions("", 10).await.unwrap();
        let names: Vec<&str> = shut.iter().map(|row| row.customer.as_str()).collect();
        assert_eq!(names, ["bot-3"], "with the fourth card");
        // From there nobody opens a checkout any more, whoever they say they are; what is open is judged by its next card.
        let refused = h.engine.open_checkout(&from("bot-4", "2001:db8:1:2::8")).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s.is_some()), (ProblemCode::TooManyCheckouts, true));
        assert!(refused.mend.contains("cards_per_address"), "{}", refused.mend);
        decline(h, early.session.as_deref().unwrap(), CARDS[4]);
        h.settle().await;
        assert_eq!(h.engine.suspensions("", 10).await.unwrap().len(), 2);
        let elsewhere = h.open(&from("eve", "198.51.100.1")).await;
        decline(h, elsewhere.session.as_deref().unwrap(), CARDS[0]);
        h.settle().await;
        assert_eq!(h.engine.suspensions("", 10).await.unwrap().len(), 2);
        h.sandbox.advance_time(3_700);
        h.open(&from("bot-4", "2001:db8:1:2::8")).await;
    })
    .await;
}

/// Cards are also tested without buying: saved one after the other, or tried on the page of an invoice that is open.
#[tokio::test]
async fn cards_that_are_saved_or_pay_an_open_invoice_are_counted_too() {
    let policy = FraudPolicy { cards_per_customer: 3, ..FraudPolicy::default() };
    with(policy, async |h| {
        // Saved: nobody stands at a checkout.
        let subscription = h.subscriber("ada").await;
        let buyer = buyer_of(h, &subscription);
        let made = h.provider("POST", "/v1/setup_intents", &format!("customer={buyer}"));
        let intent = text(&made["id"]);
        let save = async |card: &str| {
            let path = format!("/v1/setup_intents/{intent}/confirm");
            let status =
                attempt(h, "POST", &path, &format!("payment_method={card}&return_url=https://a.example"));
            assert_eq!(status, 402, "{card}");
            h.settle().await;
            h.sandbox.advance_time(2);
        };
        for _ in 0..6 {
            save(CARDS[0]).await;
        }
        assert!(!standing_alerts(h).await.contains(&"card_testing".to_owned()), "one card, however often");
        save(CARDS[1]).await;
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 0);
        save(CARDS[2]).await;
        assert!(standing_alerts(h).await.contains(&"card_testing".to_owned()));
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 1);

        // Tried on an invoice that somebody owes.
        let subscription = h.subscriber("bob").await;
        let buyer = buyer_of(h, &subscription);
        h.provider("POST", "/v1/invoiceitems", &format!("customer={buyer}&amount=700&currency=jpy"));
        let form = format!("customer={buyer}&pending_invoice_items_behavior=include&auto_advance=false");
        let invoice = text(&h.provider("POST", "/v1/invoices", &form)["id"]);
        h.provider("POST", &format!("/v1/invoices/{invoice}/finalize"), "");
        let listed = h.provider("GET", "/v1/payment_intents", &format!("customer={buyer}"));
        let payment = text(&listed["data"][0]["id"]);
        let pay = async |card: &str| {
            let path = format!("/v1/payment_intents/{payment}/confirm");
            assert_eq!(attempt(h, "POST", &path, &format!("payment_method={card}")), 402, "{card}");
            h.settle().await;
            h.sandbox.advance_time(2);
        };
        for _ in 0..6 {
            pay(CARDS[0]).await;
        }
        pay(CARDS[1]).await;
        assert_eq!(lines_of(h, "bob", "customer.suspended").await, 0, "two cards");
        pay(CARDS[2]).await;
        assert_eq!(lines_of(h, "bob", "customer.suspended").await, 1);
    })
    .await;
}

#[tokio::test]
async fn checkouts_are_limited_by_customer_and_address_within_a_time() {
    let policy =
        FraudPolicy { checkouts_per_customer: 2, checkouts_per_address: 3, ..FraudPolicy::default() };
    with(policy, async |h| {
        for interval in ["month", "year"] {
            h.open(&NewCheckout { interval: Some(interval.into()), ..from("ada", "203.0.113.7") }).await;
        }
        h.open(&NewCheckout { interval: Some("year".into()), ..from("ada", "203.0.113.7") }).await;
        let more = h.engine.open_checkout(&from("ada", "203.0.113.7")).await.unwrap_err();
        assert_eq!((more.code, more.retry_after_s.is_some()), (ProblemCode::TooManyCheckouts, true));
        h.open(&from("bob", "203.0.113.7")).await;
        let other = h.engine.open_checkout(&from("cyd", "203.0.113.7")).await.unwrap_err();
        assert_eq!(other.code, ProblemCode::TooManyCheckouts);
        h.open(&from("cyd", "203.0.113.8")).await;
        h.sandbox.advance_time(3_700);
        h.open(&from("ada", "203.0.113.7")).await;
    })
    .await;
}

#[tokio::test]
async fn a_suspended_customer_is_never_charged_again_and_goes_on_when_let_in() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let row =
                h.engine.suspend(&customer("ada"), Level::All, "stolen card", &operator()).await.unwrap();
            assert_eq!(row.level, Level::All);
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await && h.allowed("ada", "article:preview").await);
            let charges = |h: &House| h.sandbox.ledger().customers.iter().map(|c| c.net("jpy")).sum::<i64>();
            let before = charges(h);
            h.live(70).await;
            assert_eq!(charges(h), before, "two renewals later");
            let refused = h.engine.resume_subscription(&subscription, None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::CustomerSuspended);
            // Somebody takes the pause back at the provider: it is paused again.
            h.provider("POST", &format!("/v1/subscriptions/{subscription}"), "pause_collection=");
            h.settle().await;
            assert!(h.engine.subscription(&subscription).await.unwrap().subscription.facts.is_paused());
            h.engine.unsuspend(&customer("ada"), &operator()).await.unwrap();
            h.settle().await;
            assert!(!h.engine.subscription(&subscription).await.unwrap().subscription.facts.is_paused());
            h.live(31).await;
            assert!(charges(h) > before, "it goes on");
            assert!(h.allowed("ada", "article:full").await);
            assert_eq!(lines_of(h, "ada", "customer.unsuspended").await, 1);
            let none = h.engine.unsuspend(&customer("ada"), &operator()).await.unwrap_err();
            assert_eq!(none.code, ProblemCode::NotFound);
        })
    })
    .await;
}

/// Between the suspension and the pause at the provider a customer can still be charged, on a page that was open: it goes back.
/// What waits for its first payment ends, so that it cannot be confirmed.
#[tokio::test]
async fn what_is_charged_before_the_suspension_reaches_the_provider_goes_back() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let more = "&payment_behavior=default_incomplete";
            let waits = foreign_subscription(h, &buyer_of(h, &subscription), &odd_price(h), more);
            h.settle().await;
            let net = |h: &House| h.sandbox.ledger().customers.iter().map(|c| c.net("jpy")).sum::<i64>();
            let before = net(h);
            h.sandbox.advance_time(60);
            h.engine.suspend(&customer("ada"), Level::All, "stolen card", &operator()).await.unwrap();
            h.sandbox.advance_time(60);
            let path = format!("/v1/subscriptions/{subscription}");
            let item = text(&h.provider("GET", &path, "")["items"]["data"][0]["id"]);
            let studio = price_id(h, "studio_month_jpy");
            let form =
                format!("items[0][id]={item}&items[0][price]={studio}&proration_behavior=always_invoice");
            h.provider("POST", &path, &form);
            assert!(net(h) > before, "charged on the page that was open");
            h.settle().await;
            assert_eq!(net(h), before, "and given back");
            let ended = h.provider("GET", &format!("/v1/subscriptions/{waits}"), "");
            assert_eq!(ended["status"], "canceled", "{ended}");
        })
    })
    .await;
}

/// What was asked for before, and did not get through, would charge later.
#[tokio::test]
async fn what_still_waits_when_its_customer_is_shut_out_is_never_sent() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            for call in ["POST /v1/subscriptions/", "POST /v1/checkout/sessions"] {
                h.trouble(call, Trouble::Status(503), 1_000);
            }
            let studio = Change { plan: Some("studio".into()), ..Change::default() };
            h.engine.change_subscription(&subscription, &studio, None).await.unwrap_err();
            let course = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
            h.engine.open_checkout(&course).await.unwrap_err();
            h.engine.suspend(&customer("ada"), Level::All, "fraud", &operator()).await.unwrap();
            h.transport.mend();
            for _ in 0..5 {
                h.sandbox.advance_time(1_800);
                h.settle().await;
            }
            let buyer = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            let sessions =
                h.provider("GET", "/v1/checkout/sessions", &format!("customer={buyer}&status=open"));
            assert_eq!(sessions["data"], serde_json::json!([]));
            let held = h.engine.subscription(&subscription).await.unwrap().subscription;
            assert_eq!(held.plan().unwrap().plan.as_str(), "pro");
            assert!(held.facts.is_paused(), "the suspension itself is sent");
            let left = h.test.db.read("test", |tx| quittance_store::commands::of_customer(tx, "ada", 100));
            let left = left.await.unwrap();
            assert!(left.iter().all(|row| row.state != CommandState::Pending), "{left:#?}");
            // Both were sent before, and nobody knows what the provider made of that. A page is found and closed.
            let row = |kind: &str, state| left.iter().find(|row| row.kind == kind && row.state == state);
            let changed = row("subscription.change", CommandState::Failed).and_then(|row| row.result.clone());
            assert!(changed.as_deref().unwrap().contains("\"money_unknown\":true"), "{changed:?}");
            assert!(row("checkout.create", CommandState::Succeeded).is_some(), "{left:#?}");
        })
    })
    .await;
}

/// What a caller hears whose customer is shut out while the change that was asked for stands at a point.
async fn shut_out_at(h: &House, point: Point, subscription: String) -> Problem {
    let gate = h.hold_point(point);
    let engine = h.engine.clone();
    let wanted = tokio::spawn(async move {
        let studio = Change { plan: Some("studio".into()), ..Change::default() };
        engine.change_subscription(&subscription, &studio, None).await
    });
    gate.reached().await;
    h.release_point(point);
    h.engine.suspend(&customer("ada"), Level::All, "fraud", &operator()).await.unwrap();
    gate.open();
    wanted.await.unwrap().unwrap_err()
}

#[tokio::test]
async fn what_was_never_sent_when_its_customer_is_shut_out_moved_no_money() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let refused = shut_out_at(h, Point::CommandWanted, subscription).await;
            assert_eq!((refused.code, refused.money), (ProblemCode::CustomerSuspended, Money::No));
        })
    })
    .await;
}

#[tokio::test]
async fn what_may_have_been_sent_when_its_customer_is_shut_out_is_unknown() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            h.trouble("POST /v1/subscriptions/", Trouble::Status(503), 1);
            let refused = shut_out_at(h, Point::CommandAnswered, subscription).await;
            assert_eq!(refused.money, Money::Unknown, "{refused:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn the_portal_is_shut_to_whoever_is_suspended() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let open = async || h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await;
            open().await.unwrap();
            h.engine.suspend(&customer("ada"), Level::All, "fraud", &operator()).await.unwrap();
            assert_eq!(open().await.unwrap_err().code, ProblemCode::CustomerSuspended);
        })
    })
    .await;
}

#[tokio::test]
async fn a_failing_invoice_is_tried_no_more_while_its_customer_is_suspended() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = crate::known_kit::failing_subscriber(h, "ada").await;
            h.engine.suspend(&customer("ada"), Level::All, "fraud", &operator()).await.unwrap();
            h.settle().await;
            crate::known_kit::use_card(h, &subscription, "pm_card_visa");
            h.live(10).await;
            let invoice = newest_invoice(h, &subscription);
            let found = h.provider("GET", &format!("/v1/invoices/{invoice}"), "");
            assert_eq!((&found["status"], &found["auto_advance"]), (&"open".into(), &false.into()));
        })
    })
    .await;
}

/// The checkout is paid at the moment at which its customer is shut out: what it bought ends and the money goes back.
#[tokio::test]
async fn what_an_open_checkout_still_buys_is_given_back() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            let course = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
            let once = h.open(&course).await;
            h.engine.suspend(&customer("ada"), Level::All, "fraud", &operator()).await.unwrap();
            h.sandbox.advance_time(5);
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.pay(once.session.as_deref().unwrap(), "pm_card_visa");
            for _ in 0..4 {
                h.settle().await;
            }
            let buyer = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            let listed = h.provider("GET", "/v1/charges", &format!("customer={buyer}"));
            let left: i64 = listed["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|charge| {
                    charge["amount"].as_i64().unwrap() - charge["amount_refunded"].as_i64().unwrap()
                })
                .sum();
            assert_eq!((listed["data"].as_array().unwrap().len(), left), (2, 0));
            let subscriptions =
                h.provider("GET", "/v1/subscriptions", &format!("customer={buyer}&status=all"));
            assert_eq!(subscriptions["data"][0]["status"], "canceled");
            assert!(!h.allowed("ada", "article:full").await && !h.allowed("ada", "course:library").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_warning_suspends_and_refunds_where_the_policy_says_so() {
    let policy = FraudPolicy {
        on_early_fraud_warning: vec![FraudAction::Suspend, FraudAction::Refund],
        suspended_subscriptions: OnSuspension::Cancel,
        ..FraudPolicy::default()
    };
    with(policy, async |h| {
        let (buyer, payment) = bought_with(h, "ada", "pm_card_createIssuerFraudRecord").await;
        for _ in 0..3 {
            h.settle().await;
        }
        let refunds = h.provider("GET", "/v1/refunds", &format!("payment_intent={payment}"));
        assert_eq!(refunds["data"].as_array().unwrap().len(), 1);
        assert_eq!(refunds["data"][0]["amount"], 1_980);
        let subscriptions = h.provider("GET", "/v1/subscriptions", &format!("customer={buyer}&status=all"));
        assert_eq!(subscriptions["data"][0]["status"], "canceled");
        assert_eq!(h.engine.suspensions("", 10).await.unwrap()[0].set_by, "rule");
        let path = format!("/v1/customers/{buyer}");
        assert_eq!(attempt(h, "GET", &path, ""), 200);
    })
    .await;
}

/// The rules see the same things at each look, long after a person has judged them.
#[tokio::test]
async fn whoever_was_let_in_again_is_not_shut_out_for_what_was_seen_before() {
    let policy = FraudPolicy {
        cards_per_customer: 3,
        on_early_fraud_warning: vec![FraudAction::Suspend],
        ..FraudPolicy::default()
    };
    with(policy, async |h| {
        bought_with(h, "ada", "pm_card_createIssuerFraudRecord").await;
        h.settle().await;
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 1);
        h.engine.unsuspend(&customer("ada"), &operator()).await.unwrap();
        h.live(2).await;
        // A look that reads all payments once more.
        h.engine.suspend(&customer("ada"), Level::Checkouts, "looked into", &operator()).await.unwrap();
        h.settle().await;
        h.engine.unsuspend(&customer("ada"), &operator()).await.unwrap();
        h.settle().await;
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 2);
        assert!(h.allowed("ada", "article:full").await);

        // What they do after that counts anew.
        let course = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
        let row = h.open(&course).await;
        for (n, card) in CARDS[..3].iter().enumerate() {
            assert_eq!(lines_of(h, "ada", "customer.suspended").await, 2, "{n} cards");
            h.sandbox.advance_time(5);
            decline(h, row.session.as_deref().unwrap(), card);
            h.settle().await;
        }
        assert_eq!(lines_of(h, "ada", "customer.suspended").await, 3);
    })
    .await;
}
