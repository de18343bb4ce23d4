//! E2 to E10: what the users of well-known open systems ran into.

use quittance_domain::access::Standing;
use quittance_domain::checkout::CheckoutState;
use quittance_engine::ProblemCode;
use quittance_engine::world::Point;
use quittance_store::inbox::Accepted;

use crate::house::{DAY, Trouble, on_each, pro};
use crate::known_kit::*;

/// E2: what was seen stays seen: after days, after a restart, without any cache.
#[tokio::test]
async fn e2_a_duplicate_is_known_after_days_and_restarts() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            let events = h.withhold();
            for delivery in &events {
                assert_eq!(h.hand_in(delivery).await, Ok(Accepted::New));
            }
            h.settle().await;
            for days in [1, 2, 27] {
                h.live(days).await;
                let restarted = h.another_engine().await;
                h.sandbox.reset_provider_calls();
                for delivery in &events {
                    let again = resigned(h, delivery.clone());
                    let header =
                        again.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("stripe-signature"));
                    let answer =
                        restarted.accept_stripe(Some(header.unwrap().1.as_bytes()), &again.body).await;
                    assert_eq!(answer, Ok(Accepted::Duplicate), "after {days} more days");
                }
                h.pass_ms(1_000);
                restarted.drain().await.unwrap();
                assert_eq!(h.calls(), 0, "and nothing is done again");
            }
        })
    })
    .await;
}

/// E3: two changes within one second; their events come in the wrong order, and one sync is slow.
#[tokio::test]
async fn e3_two_changes_within_one_second_both_land() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let path = format!("/v1/subscriptions/{id}");
            let item = text(&h.provider("GET", &path, "")["items"]["data"][0]["id"]);
            let began = h.sandbox.now();
            h.provider("POST", &path, "cancel_at_period_end=true");
            let first = h.withhold();
            h.provider(
                "POST",
                &path,
                &format!("items[0][id]={item}&items[0][quantity]=3&proration_behavior=none"),
            );
            let second = h.withhold();
            assert_eq!(h.sandbox.now(), began, "all within one second");
            for delivery in second.iter().chain(&first) {
                assert_eq!(h.hand_in(delivery).await, Ok(Accepted::New));
            }
            h.pass_burst();
            h.engine.drain().await.unwrap();
            h.provider("POST", &path, "cancel_at_period_end=false");
            assert_eq!(h.sandbox.now(), began);
            for delivery in h.withhold() {
                h.hand_in(&delivery).await.unwrap();
            }
            h.pass_burst();
            h.engine.drain().await.unwrap();
            let facts = h.engine.subscription(&id).await.unwrap().subscription.facts;
            assert_eq!((facts.items[0].quantity, facts.ends_at()), (3, None));
            let changes = lines_of(h, "ada", "subscription.end_changed").await;
            assert_eq!(changes, 2, "both were seen: set to end, and not");
        })
    })
    .await;
}

/// E5: a handler's error is never an acknowledged loss: tried again, then parked and told, then replayed.
#[tokio::test]
async fn e5_a_failing_sync_is_tried_again_then_parked_then_replayed() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            // What was paid is in the books: nothing but the failing one is left to do.
            h.pass_ms(quittance_engine::inbox::MONEY_SETTLE_MS + 1_000);
            h.settle().await;
            // Waiting does not mend a refused key.
            h.trouble("GET /v1/subscriptions", Trouble::Status(403), 1_000);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            let delivery = h.withhold().remove(0);
            assert_eq!(h.hand_in(&delivery).await, Ok(Accepted::New), "stored is acknowledged");
            let mut tries = 0;
            for _ in 0..40 {
                h.pass_ms(16 * 60_000);
                tries += h.engine.drain().await.unwrap();
                let event = h.engine.event(&delivery.event_id).await.unwrap();
                assert!(!event.processed, "and not called processed");
            }
            assert_eq!(tries, 3, "a deployment in progress deserves a second look");
            let event = h.engine.event(&delivery.event_id).await.unwrap();
            assert!(event.parked);
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|a| a.kind == "parked").unwrap();
            assert!(alert.object == event.aggregate && alert.mend.contains(&event.aggregate), "{alert:?}");
            // The provider's own resend frees it, and it fails and parks again, with the trouble still there.
            assert_eq!(h.hand_in(&resigned(h, delivery.clone())).await, Ok(Accepted::Duplicate));
            assert!(!h.engine.event(&delivery.event_id).await.unwrap().parked);
            for _ in 0..25 {
                h.pass_ms(16 * 60_000);
                h.engine.drain().await.unwrap();
            }
            assert!(h.engine.event(&delivery.event_id).await.unwrap().parked);
            h.transport.mend();
            h.pass_ms(3_600_000);
            assert_eq!(h.engine.drain().await.unwrap(), 0, "parked work waits for a person");
            h.engine.replay(&delivery.event_id, 0).await.unwrap();
            h.engine.drain().await.unwrap();
            assert!(h.engine.event(&delivery.event_id).await.unwrap().processed);
            assert!(h.engine.subscription(&id).await.unwrap().subscription.facts.cancel_at_period_end);
            assert!(standing_alerts(h).await.is_empty());
        })
    })
    .await;
}

/// E6: the first decline takes nothing away; retries do not give more; a recovery starts afresh.
#[tokio::test]
async fn e6_grace_begins_with_the_first_decline_and_only_with_it() {
    on_each(|h| {
        Box::pin(async move {
            let id = failing_subscriber(h, "ada").await;
            assert!(h.allowed("ada", "article:full").await, "not dropped on the first decline");
            let standing =
                async |id: &str| match h.engine.subscription(id).await.unwrap().subscription.standing {
                    Standing::Grace { since, until } => (since, until),
                    other => panic!("{other:?}"),
                };
            let (since, until) = standing(&id).await;
            assert_eq!(until.since(since), 7 * DAY * 1_000);
            assert!(since <= h.engine.now() && h.engine.now().since(since) < 2 * DAY * 1_000);
            h.live(5).await;
            let restarted = h.another_engine().await;
            restarted
                .replay(&h.engine.events(i64::MAX, None, 1).await.unwrap()[0].event_id, 0)
                .await
                .unwrap();
            restarted.drain().await.unwrap();
            assert_eq!(standing(&id).await, (since, until), "nor re-anchored by retries and restarts");
            use_card(h, &id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, &id)), "");
            h.settle().await;
            assert!(matches!(
                h.engine.subscription(&id).await.unwrap().subscription.standing,
                Standing::Granted { .. }
            ));
            break_card(h, &id);
            h.live(27).await;
            let (again, _) = standing(&id).await;
            assert!(again.since(since) > 25 * DAY * 1_000, "another failure has a grace of its own");
        })
    })
    .await;
}

/// E8: without the provider nothing is opened and nothing is guessed.
#[tokio::test]
async fn e8_the_guard_holds_when_the_provider_is_down() {
    on_each(|h| {
        Box::pin(async move {
            h.trouble("/v1/", Trouble::Status(500), 1_000);
            let down = h.engine.open_checkout(&pro("eve")).await.unwrap_err();
            assert!(down.retry_after_s.is_some(), "{down:?}");
            h.transport.mend();
            h.subscriber("ada").await;
            let first = h.open(&pro("bob")).await;
            let mut yearly = pro("bob");
            yearly.interval = Some("year".into());
            h.trouble("/v1/", Trouble::Status(503), 1_000);
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::AlreadySubscribed, "the guard needs nobody else");
            assert!(h.allowed("ada", "article:full").await, "and access needs nobody else");
            // The first session may be paid any moment: the second is not opened before the first is closed.
            let refused = h.engine.open_checkout(&yearly).await.unwrap_err();
            assert!(refused.retry_after_s.is_some(), "{refused:?}");
            assert_eq!(h.engine.checkout_row(first.id.as_str()).await.unwrap().state, CheckoutState::Open);
            h.transport.mend();
            h.pay(first.session.as_deref().unwrap(), "pm_card_visa");
            h.pass_ms(60_000);
            let refused = h.engine.open_checkout(&yearly).await.unwrap_err();
            assert!(
                matches!(refused.code, ProblemCode::CheckoutInProgress | ProblemCode::AlreadySubscribed),
                "{refused:?}"
            );
            h.settle().await;
            assert!(h.allowed("bob", "article:full").await);
            let ledger = h.sandbox.ledger();
            assert!(ledger.customers.iter().all(|c| c.subscriptions.len() <= 1 && c.charges.len() <= 1));
        })
    })
    .await;
}

/// E10: asked before, during and after: the first answer after the commit is yes.
#[tokio::test]
async fn e10_paid_is_allowed_at_once_however_often_it_was_denied() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            for _ in 0..20 {
                assert!(!h.allowed("ada", "article:full").await, "before");
            }
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            assert!(!h.allowed("ada", "article:full").await, "paid, and nobody has told us");
            h.deliver().await;
            h.pass_ms(1_000);
            let gate = h.hold_point(Point::ApplyBeforeCommit);
            let (engine, claim) = (h.engine.clone(), h.claim_customer().await);
            let running = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            assert!(!h.allowed("ada", "article:full").await, "during");
            h.release_point(Point::ApplyBeforeCommit);
            gate.open();
            assert_eq!(running.await.unwrap(), quittance_engine::sync::SyncEnd::Done);
            assert!(h.allowed("ada", "article:full").await, "after");
            // The page that the buyer returns to says so too, whoever comes first.
            let eve = h.open(&pro("eve")).await;
            assert!(!h.allowed("eve", "article:full").await);
            let session = eve.session.unwrap();
            h.pay(&session, "pm_card_visa");
            h.engine.checkout_returned(&session, 0).await.unwrap();
            h.engine.drain().await.unwrap();
            let back = h.engine.checkout_returned(&session, 0).await.unwrap();
            assert_eq!(back.state, CheckoutState::Complete);
            assert!(h.allowed("eve", "article:full").await, "complete is never shown before it is allowed");
        })
    })
    .await;
}

#[tokio::test]
async fn e5_c3_a_refused_key_parks_soon_and_a_person_frees_it() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.trouble("GET /v1/subscriptions", Trouble::Status(401), 50);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            for _ in 0..6 {
                h.settle().await;
                h.pass_ms(3_600_000);
            }
            let parked = h.engine.parked(10).await.unwrap().aggregates;
            assert_eq!(parked.len(), 1);
            assert!(
                parked[0].last_error.as_deref().unwrap().contains("provider_authentication"),
                "{parked:?}"
            );
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|a| a.kind == "parked").unwrap();
            assert!(alert.mend.contains("quittance parked retry"), "{alert:?}");
            h.transport.mend();
            h.engine.retry_parked(&parked[0].key).await.unwrap();
            h.settle().await;
            assert!(h.engine.subscription(&id).await.unwrap().subscription.facts.cancel_at_period_end);
            assert!(h.engine.alerts(false, i64::MAX, 10).await.unwrap().iter().all(|a| a.kind != "parked"));
        })
    })
    .await;
}
