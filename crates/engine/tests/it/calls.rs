//! What a checkout costs at the provider, and which hint each look is for.

use quittance_engine::ProblemCode;
use quittance_engine::world::Point;
use quittance_store::inbox;

use crate::house::{House, customer, on_each, pro};

/// Calls that read: the looks of the sync, without the price list and the account, which a process reads once.
fn looks(h: &House) -> u64 {
    let once = ["GET /v1/prices", "GET /v1/account"];
    let calls = h.sandbox.provider_calls();
    calls
        .iter()
        .filter(|(call, _)| call.starts_with("GET ") && !once.contains(&call.as_str()))
        .map(|(_, n)| n)
        .sum()
}

async fn work(h: &House) {
    h.engine.drain().await.unwrap();
}

/// Everything that waits for its time.
async fn work_later(h: &House) {
    h.pass_burst();
    work(h).await;
}

#[tokio::test]
async fn the_creation_of_our_own_customer_costs_no_look() {
    on_each(|h| {
        Box::pin(async move {
            h.open(&pro("ada")).await;
            h.settle().await;
            assert_eq!(looks(h), 0, "{:?}", h.sandbox.provider_calls());
            let rows =
                h.test.db.read("test.events", |tx| inbox::list(tx, i64::MAX, None, 100)).await.unwrap();
            let created = rows.into_iter().find(|row| row.event_type == "customer.created").unwrap();
            assert!(created.processed, "nothing is left to do for it");
            h.engine.replay(&created.event_id, 0).await.unwrap();
            h.settle().await;
            assert_eq!(
                looks(h),
                7,
                "an operator who asks gets a thorough look, invoices, credit notes and bare payments too: {:?}",
                h.sandbox.provider_calls()
            );
        })
    })
    .await;
}

/// Without the recorded answer the creation is the only news there is, and links the customer by itself.
#[tokio::test]
async fn before_the_answer_is_recorded_the_creation_is_a_hint() {
    on_each(|h| {
        Box::pin(async move {
            let gate = h.hold_point(Point::CommandAnswered);
            let engine = h.engine.clone();
            let opening = tokio::spawn(async move { engine.open_checkout(&pro("ada")).await });
            gate.reached().await;
            h.deliver().await;
            work_later(h).await;
            assert_eq!(looks(h), 2, "subscriptions and customer: {:?}", h.sandbox.provider_calls());
            assert!(h.engine.known_provider_customer(&customer("ada")).await.unwrap().is_some());
            h.release_point(Point::CommandAnswered);
            gate.open();
            opening.await.unwrap().unwrap();
        })
    })
    .await;
}

/// What would be sent is read when it is sent: without it the provider would learn half of it, under the key of the whole.
#[tokio::test]
async fn a_command_whose_details_cannot_be_read_is_not_sent() {
    on_each(|h| {
        Box::pin(async move {
            let gate = h.hold_point(Point::CommandClaimed);
            let engine = h.engine.clone();
            let opening = tokio::spawn(async move { engine.open_checkout(&pro("ada")).await });
            gate.reached().await;
            h.test.db.clone().close().await;
            h.release_point(Point::CommandClaimed);
            gate.open();
            let problem = opening.await.unwrap().unwrap_err();
            assert_eq!(problem.code, ProblemCode::DatabaseUnavailable);
            let sent: Vec<_> =
                h.sandbox.provider_calls().into_iter().filter(|(call, _)| call.starts_with("POST")).collect();
            assert!(sent.is_empty(), "{sent:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_customer_that_another_program_made_is_looked_at() {
    on_each(|h| {
        Box::pin(async move {
            h.provider("POST", "/v1/customers", "metadata[quittance_customer]=ada");
            h.settle().await;
            assert_eq!(looks(h), 2, "{:?}", h.sandbox.provider_calls());
            assert!(h.engine.known_provider_customer(&customer("ada")).await.unwrap().is_some());
        })
    })
    .await;
}

#[tokio::test]
async fn a4_e12_a_burst_that_outlasts_its_look_costs_one_more() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            let burst = h.withhold();
            assert!(burst.len() > 4, "{}", burst.len());
            h.hand_in(&burst[0]).await.unwrap();
            h.pass_ms(h.engine.settings().settle_ms + 1);
            let gate = h.hold_point(Point::SyncFetched);
            let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
            let first = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            h.release_point(Point::SyncFetched);
            h.hand_in(&burst[1]).await.unwrap();
            gate.open();
            first.await.unwrap();
            for delivery in &burst[2..] {
                h.pass_ms(h.engine.settings().settle_ms / 4);
                h.hand_in(delivery).await.unwrap();
                work(h).await;
            }
            assert_eq!(looks(h), 1, "the rest is still gathered: {:?}", h.sandbox.provider_calls());
            assert!(h.allowed("ada", "article:full").await, "while access is there already");
            work_later(h).await;
            assert_eq!(looks(h), 2, "{:?}", h.sandbox.provider_calls());
            for delivery in &burst {
                h.hand_in(delivery).await.unwrap();
            }
            work_later(h).await;
            assert_eq!(looks(h), 2, "and copies cost nothing");
        })
    })
    .await;
}

#[tokio::test]
async fn redirect_and_burst_cost_two_looks_in_either_order() {
    on_each(|h| {
        Box::pin(async move {
            for (id, redirect_first, most) in [("ada", true, 2), ("bob", false, 1)] {
                let row = h.open(&pro(id)).await;
                let session = row.session.clone().unwrap();
                h.settle().await;
                h.sandbox.reset_provider_calls();
                h.pay(&session, "pm_card_visa");
                if redirect_first {
                    h.engine.checkout_returned(&session, 0).await.unwrap();
                    work(h).await;
                    assert!(h.allowed(id, "article:full").await, "the buyer waits for no event");
                }
                h.deliver().await;
                work_later(h).await;
                assert!(h.allowed(id, "article:full").await);
                h.engine.checkout_returned(&session, 0).await.unwrap();
                h.settle().await;
                assert_eq!(looks(h), most, "{id}: {:?}", h.sandbox.provider_calls());
            }
        })
    })
    .await;
}

/// A look that began before the payment says nothing about it, and the buyer must not wait for the rest of a burst.
#[tokio::test]
async fn e10_a_buyer_who_comes_back_during_a_look_gets_the_next_one_at_once() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            let session = row.session.clone().unwrap();
            h.engine.checkout_returned(&session, 0).await.unwrap();
            let gate = h.hold_point(Point::SyncFetched);
            let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
            let early = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            h.release_point(Point::SyncFetched);
            h.pay(&session, "pm_card_visa");
            h.engine.checkout_returned(&session, 0).await.unwrap();
            gate.open();
            early.await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
            work(h).await;
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_returning_customer_costs_the_session_and_the_looks() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
            h.settle().await;
            h.sandbox.reset_provider_calls();
            h.subscriber("ada").await;
            assert_eq!((h.calls(), looks(h)), (2, 1), "{:?}", h.sandbox.provider_calls());
        })
    })
    .await;
}

/// A burst of checkouts waits for its turn at the limiter instead of being sent away.
#[tokio::test]
async fn a_burst_faster_than_the_provider_allows_is_let_through_a_little_later() {
    on_each(|h| {
        Box::pin(async move {
            let engine = h.engine_in_test_mode().await;
            let began = engine.now();
            let buyers: Vec<_> = (0..40).map(|number| pro(&format!("buyer_{number}"))).collect();
            let opened = buyers.iter().map(|buyer| engine.open_checkout(buyer));
            for opened in futures_util::future::join_all(opened).await {
                opened.unwrap();
            }
            let (calls, took) = (h.calls(), engine.now().ms() - began.ms());
            assert!(calls >= 80, "a customer and a session each: {calls}");
            // 20 at once and 20 a second, less a second for what was asked before.
            let least = (i64::try_from(calls).unwrap() - 40) * 1_000 / 20;
            assert!((least..30_000).contains(&took), "{calls} calls took {took} ms");
        })
    })
    .await;
}
