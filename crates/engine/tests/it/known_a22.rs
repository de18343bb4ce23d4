//! A22 to A25 and A29: older and unknown shapes, objects that are gone, statuses of tomorrow, and what others gave.

use quittance_domain::Access;
use quittance_engine::grants::NewGrant;
use quittance_store::inbox::Accepted;
use serde_json::{Value, json};

use crate::house::{DAY, Trouble, customer, on_each, pro};
use crate::known_kit::*;

/// A subscription as the API showed it before 2025-03-31: period on top, `payment_intent` on the invoice.
fn older_subscription(s: &mut Value) {
    let items = s["items"]["data"].as_array_mut().unwrap();
    let period = [items[0]["current_period_start"].take(), items[0]["current_period_end"].take()];
    for item in items {
        let item = item.as_object_mut().unwrap();
        item.remove("current_period_start");
        item.remove("current_period_end");
    }
    let [start, end] = period;
    s["current_period_start"] = start;
    s["current_period_end"] = end;
    if s["latest_invoice"].is_object() {
        older_invoice(&mut s["latest_invoice"]);
    }
}

fn older_invoice(invoice: &mut Value) {
    let subscription = invoice.pointer("/parent/subscription_details/subscription").cloned();
    let payment = invoice.pointer("/payments/data/0/payment/payment_intent").cloned();
    let fields = invoice.as_object_mut().unwrap();
    fields.remove("parent");
    fields.remove("payments");
    fields.insert("subscription".into(), subscription.unwrap_or_default());
    fields.insert("payment_intent".into(), payment.unwrap_or_default());
    fields.insert("charge".into(), Value::Null);
}

/// Bends every answer to the older shape.
pub fn as_of_2024(bent: &Bent) {
    bent.bend(|target, body| {
        each_subscription(body, older_subscription);
        if target.starts_with("/v1/invoices?") {
            body["data"].as_array_mut().unwrap().iter_mut().for_each(older_invoice);
        }
    });
}

#[tokio::test]
async fn a22_objects_of_the_older_shape_mean_the_same() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            as_of_2024(bent);
            let id = h.subscriber("ada").await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            let invoice = row.facts.latest_invoice.clone().unwrap();
            assert!(row.facts.period_end().is_some() && !invoice.payments.is_empty(), "{row:?}");
            break_card(h, &id);
            h.live(29).await;
            let grace = h.engine.check("ada", "article:full").await.unwrap();
            assert_eq!((grace.allowed, grace.access), (true, Some(Access::Grace)));
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert!(row.facts.failing_since.is_some(), "the open invoice is found in its older shape");
            let (_, payment) = bought_with(h, "eve", "pm_card_visa").await;
            assert!(h.allowed("eve", "article:full").await);
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            h.settle().await;
            assert!(!h.allowed("eve", "article:full").await, "its payment is found in its older shape");
            assert!(standing_alerts(h).await.is_empty());
        })
    })
    .await;
}

#[tokio::test]
async fn a22_events_of_an_older_endpoint_are_events() {
    on_each(|h| {
        Box::pin(async move {
            let endpoints = h.provider("GET", "/v1/webhook_endpoints", "");
            let newer = text(&endpoints["data"][0]["id"]);
            h.provider("POST", &format!("/v1/webhook_endpoints/{newer}"), "disabled=true");
            let form = "url=http://127.0.0.1:4242/older&enabled_events[]=*&api_version=2024-06-20";
            h.provider("POST", "/v1/webhook_endpoints", form);
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            let mut older = 0;
            for delivery in h.withhold() {
                older += usize::from(String::from_utf8_lossy(&delivery.body).contains("2024-06-20"));
                h.hand_in(&resigned(h, delivery)).await.unwrap();
            }
            assert!(older > 3);
            // What names only the payment is looked at after all others.
            h.pass_ms(31_000);
            h.engine.drain().await.unwrap();
            assert!(h.allowed("ada", "article:full").await);
            for event in h.engine.events(i64::MAX, None, 100).await.unwrap() {
                assert!(event.processed, "{} has no effect", event.event_type);
                if event.event_type.starts_with("invoice.") {
                    assert!(event.aggregate.contains("/customer/"), "{event:?}");
                }
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a22_an_unknown_shape_is_set_aside_and_the_rest_goes_on() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let odd = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            let before = h.engine.subscription(&odd).await.unwrap();
            let id = odd.clone();
            bent.bend(move |_, body| {
                each_subscription(body, |s| {
                    if s["id"] == *id {
                        let items = s.as_object_mut().unwrap().remove("items").unwrap();
                        s["lines_of_tomorrow"] = items;
                    }
                });
            });
            h.provider("POST", &format!("/v1/subscriptions/{odd}"), "cancel_at_period_end=true");
            foreign_subscription(h, &buyer, &price_id(h, "studio_month_jpy"), "");
            h.settle().await;
            assert!(h.allowed("ada", "team:seats").await, "the other one is synced");
            let kept = h.engine.subscription(&odd).await.unwrap().subscription;
            assert_eq!(kept.facts, before.subscription.facts, "its mirror stays as it was");
            assert_eq!((kept.access, kept.missing), (Access::Granted, false), "and so does its access");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|a| a.kind == "unreadable_object").unwrap();
            assert!(alert.object == odd && alert.detail.contains("items"), "{alert:?}");
            assert!(nothing_parked(h).await);
            bent.straighten();
            h.engine.replay(&h.engine.events(i64::MAX, None, 1).await.unwrap()[0].event_id, 0).await.unwrap();
            h.settle().await;
            assert!(h.engine.subscription(&odd).await.unwrap().subscription.facts.cancel_at_period_end);
            assert!(!standing_alerts(h).await.contains(&"unreadable_object".to_owned()));
        })
    })
    .await;
}

/// A23: events about things that the provider does not know (any more) are acknowledged, and their error has an end.
#[tokio::test]
async fn a23_missing_objects_are_no_endless_error() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let gone = [
                ("evt_customer", "customer.updated", json!({ "object": "customer", "id": "cus_gone" })),
                ("evt_invoice", "invoice.paid", json!({ "object": "invoice", "id": "in_gone", "customer": "cus_gone2" })),
                ("evt_dispute", "charge.dispute.created",
                    json!({ "object": "dispute", "id": "dp_gone", "charge": "ch_gone", "payment_intent": "pi_gone" })),
                ("evt_session", "checkout.session.completed", json!({ "object": "checkout.session", "id": "cs_gone" })),
                ("evt_price", "price.updated", json!({ "object": "price", "id": "price_gone" })),
            ];
            for (event_id, kind, object) in &gone {
                assert_eq!(hand_raw(h, &event(event_id, kind, object)).await, Ok(Accepted::New));
            }
            for _ in 0..3 {
                h.pass_ms(60_000);
                h.engine.drain().await.unwrap();
            }
            h.sandbox.reset_provider_calls();
            for _ in 0..5 {
                h.pass_ms(3_600_000);
                h.engine.drain().await.unwrap();
            }
            assert_eq!(h.calls(), 0, "a few tries, and never again by itself");
            // Where money may be at stake, a person is told; nothing else stands still.
            let parked = h.engine.parked(10).await.unwrap().aggregates;
            let mut keys: Vec<&str> = parked.iter().filter_map(|row| row.key.rsplit('/').next()).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["cs_gone", "pi_gone"], "{parked:?}");
            assert!(parked.iter().all(|row| row.attempts == 3), "{parked:?}");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(parked.iter().all(|row| alerts.iter().any(|a| a.object == row.key)), "{alerts:?}");
            assert!(h.engine.event("evt_customer").await.unwrap().processed);
            assert!(h.engine.event("evt_invoice").await.unwrap().processed);
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// A24: a status that does not exist yet.
#[tokio::test]
async fn a24_an_unknown_status_neither_crashes_nor_grants_nor_takes_away() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let known = h.subscriber("ada").await;
            let before = h.engine.check("ada", "article:full").await.unwrap();
            bent.bend(|_, body| each_subscription(body, |s| s["status"] = json!("hibernating")));
            h.provider("POST", &format!("/v1/subscriptions/{known}"), "metadata[n]=1");
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=eve");
            foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            assert_eq!(h.engine.check("ada", "article:full").await.unwrap(), before, "as it was");
            let new = h.engine.check("eve", "article:full").await.unwrap();
            assert_eq!((new.allowed, new.access), (false, Some(Access::Pending)));
            let alerts = standing_alerts(h).await;
            assert_eq!(alerts.iter().filter(|kind| *kind == "unknown_status").count(), 2, "{alerts:?}");
            assert!(nothing_parked(h).await);
            assert_eq!(
                h.engine.subscription(&known).await.unwrap().subscription.facts.status.as_str(),
                "hibernating"
            );
            // What nobody confirms ends by itself.
            h.sandbox.advance_time(40 * DAY);
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            bent.straighten();
            h.provider("POST", &format!("/v1/subscriptions/{known}"), "metadata[n]=2");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// A25: what an operator gave and what another aggregate holds outlive every sync of the first.
#[tokio::test]
async fn a25_a_sync_replaces_only_what_its_own_aggregate_gave() {
    on_each(|h| {
        Box::pin(async move {
            let first = h.subscriber("ada").await;
            let other = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let second = foreign_subscription(h, &other, &price_id(h, "studio_month_jpy"), "");
            let gift = NewGrant {
                plan: None,
                feature: Some("course:library".into()),
                limit: None,
                expires_at: None,
                reason: "press".into(),
                idempotency: None,
            };
            h.engine.grant(&customer("ada"), &gift, &operator()).await.unwrap();
            h.settle().await;
            h.provider("DELETE", &format!("/v1/subscriptions/{first}"), "");
            h.settle().await;
            assert!(h.allowed("ada", "team:seats").await, "the other aggregate's");
            h.provider("DELETE", &format!("/v1/subscriptions/{second}"), "");
            h.settle().await;
            assert!(!h.allowed("ada", "team:seats").await && !h.allowed("ada", "article:full").await);
            assert!(h.allowed("ada", "course:library").await, "the operator's");
            assert!(h.allowed("ada", "article:preview").await, "everybody's");
        })
    })
    .await;
}

/// A29: the customer as an id, as an object, and as what is left of a deleted one.
#[tokio::test]
async fn a29_a_customer_may_be_an_object_or_an_id() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            bent.bend(|_, body| {
                each_subscription(body, |s| {
                    if s["customer"].is_object() {
                        s["customer"] = s["customer"]["id"].clone();
                    }
                    if s["latest_invoice"].is_object() {
                        s["latest_invoice"] = s["latest_invoice"]["id"].clone();
                    }
                });
            });
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "linked although nothing is expanded");
            bent.straighten();
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.withhold();
            for (n, shown) in [
                json!(buyer),
                json!({ "id": buyer, "object": "customer", "email": "x@example.com" }),
                json!({ "id": buyer, "object": "customer", "deleted": true }),
            ]
            .into_iter()
            .enumerate()
            {
                let object = json!({ "object": "subscription", "id": id, "customer": shown });
                hand_raw(h, &event(&format!("evt_{n}"), "customer.subscription.deleted", &object))
                    .await
                    .unwrap();
                let stored = h.engine.event(&format!("evt_{n}")).await.unwrap();
                assert!(stored.aggregate.ends_with(&format!("/customer/{buyer}")), "{stored:?}");
            }
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a23_a_read_that_is_refused_for_good_is_not_tried_for_ever() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.trouble("GET /v1/subscriptions", Trouble::Status(404), 1);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=1");
            h.deliver().await;
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert!(nothing_parked(h).await);
            assert!(!h.allowed("ada", "article:full").await, "what the provider does not know gives nothing");
            assert!(standing_alerts(h).await.contains(&"subscription_missing".to_owned()));
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=2");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "and is back with the next look");
        })
    })
    .await;
}

#[tokio::test]
async fn a23_an_emptied_provider_ends_access_and_is_no_endless_error() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            // All test data is deleted at the provider; a signed event about the old customer still comes.
            let customer_id = h.sandbox.ledger().customers[0].customer.clone();
            h.sandbox.reset();
            let object = json!({ "object": "customer", "id": customer_id });
            hand_raw(h, &event("evt_late", "customer.updated", &object)).await.unwrap();
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert!(nothing_parked(h).await);
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().any(|a| a.kind == "subscription_missing"), "{alerts:?}");
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}
