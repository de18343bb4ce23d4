//! B5 to B16: duplicates, crashes, and what events claim against what the provider says.

use futures_util::future::join_all;
use quittance_domain::Access;
use quittance_engine::ProblemCode;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::{CancelAt, PortalStart};
use quittance_engine::world::Point;
use quittance_sandbox::DeliveryOutcome;
use quittance_store::customers::CustomerPatch;
use quittance_store::inbox::Accepted;
use serde_json::json;

use crate::house::{DAY, House, customer, on_each, pro};
use crate::known_a22::as_of_2024;
use crate::known_kit::*;

/// Lets a renewal fail and collects its events without handing them in.
async fn failed_renewal(h: &House, id: &str) -> (String, Vec<quittance_sandbox::Delivery>) {
    let subscription = h.subscriber(id).await;
    break_card(h, &subscription);
    h.settle().await;
    let end = h.engine.subscription(&subscription).await.unwrap().subscription.facts.period_end().unwrap();
    h.sandbox.advance_time_to(end.seconds() + 7_200);
    let events = h.withhold();
    assert!(events.iter().any(|d| d.event_type == "invoice.payment_failed"));
    (subscription, events)
}

#[tokio::test]
async fn b5_parallel_duplicates_of_a_failed_payment_tell_the_customer_once() {
    on_each(|h| {
        Box::pin(async move {
            let other = h.another_engine().await;
            let (_, events) = failed_renewal(h, "ada").await;
            for delivery in &events {
                let copies = join_all((0..50).map(|_| h.hand_in(delivery)));
                let (answers, one, two) = tokio::join!(copies, h.engine.drain(), other.drain());
                one.and(two).unwrap();
                assert!(answers.iter().all(Result::is_ok), "every copy is acknowledged");
                h.pass_ms(200);
            }
            h.pass_ms(1_000);
            let (one, two) = tokio::join!(h.engine.drain(), other.drain());
            one.and(two).unwrap();
            let told = notices(h, "ada").await;
            assert_eq!(told.len(), 1, "{told:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn b6_a_crash_at_any_point_repeats_no_effect_and_loses_none() {
    on_each(|h| {
        Box::pin(async move {
            for point in
                [Point::SyncClaimed, Point::SyncFetched, Point::ApplyBeforeCommit, Point::ApplyAfterCommit]
            {
                let id = format!("ada-{}", point.as_str().replace('.', "-"));
                let (_, events) = failed_renewal(h, &id).await;
                for delivery in &events {
                    h.hand_in(delivery).await.unwrap();
                }
                h.pass_ms(1_000);
                let buyer = h.engine.known_provider_customer(&customer(&id)).await.unwrap().unwrap();
                let claims = h.engine.claim(50).await.unwrap();
                let claim = claims.into_iter().find(|c| c.key.ends_with(&buyer)).unwrap();
                let (gate, engine) = (h.hold_point(point), h.engine.clone());
                let dying = tokio::spawn(async move { engine.sync(claim).await });
                gate.reached().await;
                dying.abort();
                assert!(dying.await.unwrap_err().is_cancelled());
                h.release_point(point);
                let told = usize::from(point == Point::ApplyAfterCommit);
                assert_eq!(notices(h, &id).await.len(), told, "{point}: all of it or nothing");
                h.pass_ms(h.engine.settings().retry.lease_ms + 1_000);
                h.another_engine().await.drain().await.unwrap();
                h.settle().await;
                assert_eq!(notices(h, &id).await.len(), 1, "{point}");
                assert_eq!(lines_of(h, &id, "subscription.status_changed").await, 1, "{point}");
            }
        })
    })
    .await;
}

/// The process dies inside the request, before or after the event is stored; the provider sends it again.
#[tokio::test]
async fn b6_a_crash_inside_the_request_is_mended_by_the_next_delivery() {
    on_each(|h| {
        Box::pin(async move {
            for (point, stored) in [(Point::InboxBeforeCommit, false), (Point::InboxAfterCommit, true)] {
                let id = format!("ada-{stored}");
                let row = h.open(&pro(&id)).await;
                h.settle().await;
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                for delivery in h.withhold() {
                    let gate = h.hold_point(point);
                    {
                        let request = h.hand_in(&delivery);
                        let (mut request, reached) =
                            (std::pin::pin!(request), std::pin::pin!(gate.reached()));
                        let first = futures_util::future::select(request.as_mut(), reached).await;
                        assert!(
                            matches!(first, futures_util::future::Either::Right(_)),
                            "it stands at the point"
                        );
                    }
                    h.release_point(point);
                    assert_eq!(h.engine.event(&delivery.event_id).await.is_ok(), stored);
                    let again = h.hand_in(&delivery).await.unwrap();
                    assert_eq!(again == Accepted::Duplicate, stored);
                    h.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(200));
                }
                h.settle().await;
                assert!(h.allowed(&id, "article:full").await);
                assert_eq!(lines_of(h, &id, "access.changed").await, 1);
            }
        })
    })
    .await;
}

/// A delayed method: the session is complete, the money comes or fails days later. The sandbox knows only cards, so its
/// answers are bent.
#[tokio::test]
async fn b8_a_complete_session_whose_money_is_on_its_way_gives_nothing_yet() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            for (id, arrives) in [("ada", true), ("eve", false)] {
                bent.bend(|target, body| {
                    if target.starts_with("/v1/checkout/sessions?") {
                        for session in body["data"].as_array_mut().unwrap() {
                            session["payment_status"] = json!("unpaid");
                        }
                    } else if target.starts_with("/v1/payment_intents/") {
                        body["status"] = json!("processing");
                    } else if target.starts_with("/v1/charges") {
                        body["data"] = json!([]);
                    }
                });
                let wish = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro(id) };
                let row = h.open(&wish).await;
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                h.settle().await;
                let waits = h.engine.check(id, "course:library").await.unwrap();
                assert_eq!((waits.allowed, waits.access), (false, Some(Access::Pending)));
                let state = h.engine.checkout_row(row.id.as_str()).await.unwrap().state;
                assert_eq!(state.as_str(), "processing");
                let second = h.engine.open_checkout(&wish).await.unwrap_err();
                assert_eq!(second.code, ProblemCode::CheckoutInProgress, "no second payment beside it");
                let kind = if arrives {
                    bent.straighten();
                    "checkout.session.async_payment_succeeded"
                } else {
                    bent.bend(|target, body| {
                        if target.starts_with("/v1/checkout/sessions?") {
                            for session in body["data"].as_array_mut().unwrap() {
                                session["payment_status"] = json!("unpaid");
                            }
                        } else if target.starts_with("/v1/payment_intents/") {
                            body["status"] = json!("requires_payment_method");
                        }
                    });
                    "checkout.session.async_payment_failed"
                };
                let buyer = h.engine.known_provider_customer(&customer(id)).await.unwrap().unwrap();
                let object = json!({ "object": "checkout.session", "id": row.session, "customer": buyer });
                hand_raw(h, &event(&format!("evt_{id}"), kind, &object)).await.unwrap();
                h.settle().await;
                assert_eq!(h.allowed(id, "course:library").await, arrives, "{kind}");
                let state = h.engine.checkout_row(row.id.as_str()).await.unwrap().state;
                assert_eq!(state.as_str(), if arrives { "complete" } else { "expired" });
                if !arrives {
                    assert!(h.engine.open_checkout(&wish).await.is_ok(), "the buyer may try again");
                }
            }
        })
    })
    .await;
}

#[tokio::test]
async fn b8_a_session_in_payment_mode_makes_no_subscription() {
    on_each(|h| {
        Box::pin(async move {
            let wish = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
            let row = h.open(&wish).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let view = h.engine.customer("ada").await.unwrap();
            assert_eq!((view.subscriptions.len(), view.purchases.len()), (0, 1));
            assert!(h.allowed("ada", "course:library").await && !h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn b8_a_late_completion_resurrects_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            let events = h.withhold();
            let completed = events.iter().find(|d| d.event_type == "checkout.session.completed").unwrap();
            for delivery in events.iter().filter(|d| d.event_id != completed.event_id) {
                h.hand_in(delivery).await.unwrap();
            }
            h.settle().await;
            let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            h.sandbox.advance_time(DAY);
            assert_eq!(h.hand_in(&resigned(h, completed.clone())).await, Ok(Accepted::New));
            h.settle().await;
            // And once more, threefold, and by an operator's hand.
            h.sandbox.deliver_event(&completed.event_id, 3, true).unwrap();
            h.settle().await;
            h.engine.replay(&completed.event_id, 0).await.unwrap();
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            assert_eq!(lines_of(h, "ada", "access.changed").await, 2, "granted, revoked, and no more");
        })
    })
    .await;
}

fn with_trial() -> String {
    let text = include_str!("../../../../catalog.toml");
    let changed = text.replacen("key = \"pro\"\n", "key = \"pro\"\ntrial_days = 14\n", 1);
    assert_ne!(text, changed);
    changed
}

/// B8, B9: completing a checkout with a trial, and its invoice over nothing, mean "trialing" and nothing else.
#[tokio::test]
async fn b8_b9_a_trial_is_a_trial_until_its_first_payment() {
    on_each_selling(&with_trial(), |h| {
        Box::pin(async move {
            let began = h.sandbox.now();
            let id = h.subscriber("ada").await;
            let paid = h.engine.events(i64::MAX, None, 100).await.unwrap();
            assert!(paid.iter().any(|e| e.event_type == "invoice.paid"), "the invoice over nothing");
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("trialing", Access::Granted));
            let end = row.facts.trial_end.unwrap();
            assert_eq!(end.seconds() - began, 14 * DAY);
            // The card fails at its end: the trial does not go on as if it had been paid for.
            break_card(h, &id);
            h.live(15).await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("past_due", Access::Grace));
            h.live(8).await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// An invoice that bills no subscription; its id.
fn one_off_invoice(h: &House, buyer: &str) -> String {
    let form = format!("customer={buyer}&amount=500&currency=jpy");
    h.provider("POST", "/v1/invoiceitems", &form);
    let form = format!("customer={buyer}&auto_advance=false&pending_invoice_items_behavior=include");
    let invoice = text(&h.provider("POST", "/v1/invoices", &form)["id"]);
    h.provider("POST", &format!("/v1/invoices/{invoice}/finalize"), "");
    invoice
}

#[tokio::test]
async fn b9_a_paid_invoice_grants_only_what_its_subscription_says() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=eve");
            let invoice = one_off_invoice(h, &buyer);
            h.provider("POST", &format!("/v1/invoices/{invoice}/pay"), "");
            h.settle().await;
            assert!(!h.allowed("eve", "article:full").await, "a one-off invoice is no subscription");
            let id = failing_subscriber(h, "ada").await;
            let late = newest_invoice(h, &id);
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            let buyer = buyer_of(h, &id);
            let method = give_card(h, &buyer, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{late}/pay"), &format!("payment_method={method}"));
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("canceled", Access::Revoked));
        })
    })
    .await;
}

#[tokio::test]
async fn b10_a_failed_payment_means_what_the_subscription_says() {
    on_each(|h| {
        Box::pin(async move {
            // The first payment: incomplete, and nobody is told what he sees before him.
            let buyer = text(&h.provider("POST", "/v1/customers", "metadata[quittance_customer]=new")["id"]);
            give_card(h, &buyer, "pm_card_chargeCustomerFail");
            let form = "&payment_behavior=allow_incomplete";
            let first = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), form);
            h.settle().await;
            let row = h.engine.subscription(&first).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("incomplete", Access::Pending));
            assert!(notices(h, "new").await.is_empty());
            // A one-off invoice fails beside a paid subscription.
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            let invoice = one_off_invoice(h, &buyer);
            let method = give_card(h, &buyer, "pm_card_chargeCustomerFail");
            let path = format!("/v1/invoices/{invoice}/pay");
            assert_eq!(attempt(h, "POST", &path, &format!("payment_method={method}")), 402);
            h.settle().await;
            let yes = h.engine.check("ada", "article:full").await.unwrap();
            assert_eq!((yes.allowed, yes.access), (true, Some(Access::Granted)));
            // A failure told after the recovery, and another after the end.
            let (id, events) = failed_renewal(h, "eve").await;
            use_card(h, &id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, &id)), "");
            h.settle().await;
            for delivery in &events {
                h.hand_in(&resigned(h, delivery.clone())).await.unwrap();
            }
            h.settle().await;
            let yes = h.engine.check("eve", "article:full").await.unwrap();
            assert_eq!((yes.allowed, yes.access), (true, Some(Access::Granted)), "recovered");
            assert!(notices(h, "eve").await.is_empty(), "and nobody is warned of what is over");
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            for delivery in &events {
                h.hand_in(&renamed(h, delivery, "late")).await.unwrap();
            }
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("canceled", Access::Revoked));
        })
    })
    .await;
}

/// B11: cancelled, bought again through us, and only then the end of the first is told.
#[tokio::test]
async fn b11_the_end_of_the_first_does_not_end_the_second() {
    on_each(|h| {
        Box::pin(async move {
            let first = h.subscriber("ada").await;
            h.engine.cancel_subscription(&first, CancelAt::Now, None).await.unwrap();
            h.engine.drain().await.unwrap();
            let late = h.withhold();
            assert!(late.iter().any(|d| d.event_type == "customer.subscription.deleted"));
            h.sandbox.advance_time(60);
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            for delivery in late {
                h.hand_in(&resigned(h, delivery)).await.unwrap();
            }
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            let view = h.engine.customer("ada").await.unwrap();
            let states: Vec<_> = view.subscriptions.iter().map(|s| s.subscription.access).collect();
            assert_eq!(states, [Access::Granted, Access::Revoked], "each has its own row");
        })
    })
    .await;
}

/// B12: events of a customer that nobody has saved yet.
#[tokio::test]
async fn b12_events_before_we_know_the_customer_are_kept_and_used_later() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "email=someone@example.com");
            let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            for delivery in h.withhold() {
                assert_eq!(h.hand_in(&delivery).await, Ok(Accepted::New), "{}", delivery.event_type);
            }
            h.settle().await;
            assert!(nothing_parked(h).await);
            assert_eq!(h.engine.subscription(&id).await.unwrap().subscription.customer, None);
            h.provider("POST", &format!("/v1/customers/{buyer}"), "metadata[quittance_customer]=ada");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            assert!(lines_of(h, "ada", "subscription.created").await == 1, "with its past");
            assert!(standing_alerts(h).await.is_empty());
        })
    })
    .await;
}

/// B13: the end of the period is read in both shapes, and where there is none, access has an end all the same.
#[tokio::test]
async fn b13_the_period_is_found_in_every_shape_and_its_absence_is_no_eternity() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let newer = h.engine.check("ada", "article:full").await.unwrap().expires_at;
            assert!(newer.is_some());
            as_of_2024(bent);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=1");
            h.settle().await;
            assert_eq!(h.engine.check("ada", "article:full").await.unwrap().expires_at, newer);
            bent.bend(|_, body| {
                each_subscription(body, |s| {
                    for item in s["items"]["data"].as_array_mut().unwrap() {
                        item.as_object_mut().unwrap().remove("current_period_start");
                        item.as_object_mut().unwrap().remove("current_period_end");
                    }
                });
            });
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=2");
            h.settle().await;
            let yes = h.engine.check("ada", "article:full").await.unwrap();
            assert!(yes.allowed);
            assert!(yes.expires_at.is_some(), "never access without an end");
            assert_eq!(standing_alerts(h).await, ["unreadable_object"]);
            h.live(10).await;
            assert!(h.allowed("ada", "article:full").await, "as long as the provider confirms it");
            h.drop_webhooks();
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.live(4).await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// B14: no fallback invents a customer.
#[tokio::test]
async fn b14_without_a_name_nobody_is_invented() {
    on_each(|h| {
        Box::pin(async move {
            let price = price_id(h, "pro_month_jpy");
            for name in ["", "metadata[quittance_customer]=%20%20", "metadata[userId]=ada"] {
                let buyer = foreign_buyer(h, name);
                let id = foreign_subscription(h, &buyer, &price, "");
                h.settle().await;
                let row = h.engine.subscription(&id).await.unwrap().subscription;
                assert_eq!(row.customer, None, "{name}");
                for invented in [id.as_str(), buyer.as_str(), "ada", "undefined", "null"] {
                    let none = h.engine.customer(invented).await.unwrap_err();
                    assert_eq!(none.code, ProblemCode::NotFound, "{invented}");
                }
            }
            assert_eq!(standing_alerts(h).await, vec!["unlinked_customer"; 3]);
        })
    })
    .await;
}

#[tokio::test]
async fn b15_one_notice_for_each_invoice_and_attempt() {
    on_each(|h| {
        Box::pin(async move {
            let (id, events) = failed_renewal(h, "ada").await;
            for round in 0..4 {
                for delivery in &events {
                    h.hand_in(&resigned(h, delivery.clone())).await.unwrap();
                    h.hand_in(&renamed(h, delivery, &format!("r{round}"))).await.unwrap();
                }
                h.settle().await;
                h.engine.sweep(true, false).await.unwrap();
                h.engine.replay(&events[0].event_id, 0).await.unwrap();
                h.settle().await;
                assert_eq!(notices(h, "ada").await.len(), 1, "round {round}");
            }
            let first = newest_invoice(h, &id);
            h.live(3).await;
            let told = notices(h, "ada").await;
            let keys: Vec<_> = told.iter().map(|n| (n.object.as_str(), n.occurrence.as_str())).collect();
            assert_eq!(
                keys,
                [(first.as_str(), "2"), (first.as_str(), "1")],
                "the second attempt is another one"
            );
            // Recovery, and the next invoice fails again: that is news.
            use_card(h, &id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{first}/pay"), "");
            h.settle().await;
            break_card(h, &id);
            h.live(29).await;
            let told = notices(h, "ada").await;
            assert_eq!(told.len(), 3, "{told:?}");
            assert_ne!(told[0].object, first);
        })
    })
    .await;
}

#[tokio::test]
async fn b16_a_portal_is_only_for_the_customer_it_is_asked_for() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.put_customer(&customer("eve"), CustomerPatch::default()).await.unwrap();
            let none = h.engine.open_portal(&customer("eve"), None, PortalStart::Home).await.unwrap_err();
            assert_eq!(none.code, ProblemCode::NoProviderCustomer);
            h.open(&pro("eve")).await;
            let (one, two) = (
                h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.unwrap(),
                h.engine.open_portal(&customer("eve"), None, PortalStart::Home).await.unwrap(),
            );
            assert_ne!(one, two);
            let foreign =
                h.engine.open_portal(&customer("eve"), None, PortalStart::Cancel(id)).await.unwrap_err();
            assert_eq!(foreign.code, ProblemCode::NotFound);
        })
    })
    .await;
}
