//! A1 to A17: one writer, fixed grace, several subscriptions, unknown prices, whose subscription it is.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use quittance_domain::Access;
use quittance_domain::access::Standing;
use quittance_engine::ProblemCode;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::sync::SyncEnd;
use quittance_store::customers::CustomerPatch;
use quittance_store::inbox::Accepted;

use crate::house::{DAY, Trouble, customer, on_each, pro};
use crate::known_kit::*;

/// A1: copies of one event arrive together while several nodes are at work.
#[tokio::test]
async fn a1_fifty_parallel_copies_and_three_workers_have_one_effect() {
    on_each(|h| {
        Box::pin(async move {
            let others = [h.another_engine().await, h.another_engine().await];
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            for delivery in h.withhold() {
                let copies = join_all((0..50).map(|_| h.hand_in(&delivery)));
                let (answers, one, two) = tokio::join!(copies, others[0].drain(), others[1].drain());
                one.and(two).unwrap();
                let new = answers.iter().filter(|a| **a == Ok(Accepted::New)).count();
                assert_eq!((new, answers.iter().filter(|a| a.is_err()).count()), (1, 0));
                assert_eq!(h.engine.event(&delivery.event_id).await.unwrap().deliveries, 50);
                h.pass_ms(200);
            }
            let (one, two, three) = tokio::join!(h.engine.drain(), others[0].drain(), others[1].drain());
            one.and(two).and(three).unwrap();
            h.settle().await;
            for kind in ["subscription.created", "checkout.complete"] {
                assert_eq!(lines_of(h, "ada", kind).await, 1, "{kind}");
            }
            assert_eq!(lines_of(h, "ada", "access.changed").await, 1);
            h.engine.reload("ada").await.unwrap();
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// A2: the loser of a race, whose work failed, must not mark the winner's work as failed.
#[tokio::test]
async fn a2_a_late_failure_does_not_undo_another_workers_success() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let list = "/v1/subscriptions?status=all";
            h.trouble(list, Trouble::Status(401), 1);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            let events = h.withhold();
            for delivery in &events {
                h.hand_in(delivery).await.unwrap();
            }
            h.pass_ms(1_000);
            let gate = h.hold_answers(list);
            let claim = h.claim_customer().await;
            let key = claim.key.clone();
            let engine = h.engine.clone();
            let loser = tokio::spawn(async move { engine.sync(claim).await.unwrap() });
            gate.reached().await;
            let other = h.another_engine().await;
            assert!(other.claim(50).await.unwrap().is_empty(), "a running sync is not started again");
            h.release_answers(list);
            h.pass_ms(h.engine.settings().retry.lease_ms + 1_000);
            other.drain().await.unwrap();
            gate.open();
            assert_eq!(loser.await.unwrap(), SyncEnd::Fenced);
            let row = aggregate(h, &key).await;
            assert_eq!((row.done, row.attempts, row.last_error, row.parked_at), (row.wanted, 0, None, None));
            assert!(h.engine.event(&events[0].event_id).await.unwrap().processed);
            assert!(standing_alerts(h).await.is_empty());
            assert!(other.subscription(&id).await.unwrap().subscription.facts.cancel_at_period_end);
        })
    })
    .await;
}

/// A6: eight failed payments over two weeks, edits and sweeps: one deadline.
#[tokio::test]
async fn a6_grace_never_slides() {
    on_each(|h| {
        Box::pin(async move {
            let id = failing_subscriber(h, "ada").await;
            let first = h.engine.subscription(&id).await.unwrap().subscription.standing;
            let Standing::Grace { until, .. } = first else { panic!("{first:?}") };
            let invoice = newest_invoice(h, &id);
            let mut told = 0;
            for n in 0..7 {
                h.live(2).await;
                if attempt(h, "POST", &format!("/v1/invoices/{invoice}/pay"), "") != 402 {
                    break;
                }
                h.provider("POST", &format!("/v1/subscriptions/{id}"), &format!("metadata[n]={n}"));
                h.settle().await;
                h.engine.sweep(true, false).await.unwrap();
                h.settle().await;
                told += 1;
                let row = h.engine.subscription(&id).await.unwrap().subscription;
                assert_eq!(row.facts.status.as_str(), "past_due");
                assert_eq!(row.standing, first, "after {told} failures");
                assert_eq!(h.allowed("ada", "article:full").await, h.engine.now() < until);
            }
            assert!(told >= 6, "{told}");
            assert!(h.engine.now() > until && !h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// A7: the end of grace comes by itself, is written down once, and takes nothing that is free.
#[tokio::test]
async fn a7_after_grace_the_state_is_revoked_and_free_features_stay() {
    on_each(|h| {
        Box::pin(async move {
            let id = failing_subscriber(h, "ada").await;
            let until = h.engine.check("ada", "article:full").await.unwrap().expires_at.unwrap();
            h.drop_webhooks();
            h.sandbox.advance_time(until.seconds() - h.engine.now().seconds() - 60);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "until the last minute");
            let before = lines_of(h, "ada", "access.changed").await;
            h.sandbox.advance_time(120);
            let no = h.engine.check("ada", "article:full").await.unwrap();
            assert_eq!((no.allowed, no.access), (false, Some(Access::Revoked)), "by the clock alone");
            assert!(h.allowed("ada", "article:preview").await);
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("past_due", Access::Revoked));
            h.settle().await;
            assert_eq!(lines_of(h, "ada", "access.changed").await, before + 1, "the timer tells it once");
        })
    })
    .await;
}

#[tokio::test]
async fn a7_whoever_pays_has_everything_that_is_free() {
    on_each(|h| {
        Box::pin(async move {
            let catalog = crate::house::catalog();
            let free = catalog.free_plan().unwrap();
            for plan in catalog.plans().iter().filter(|plan| !plan.free) {
                let id = format!("buyer-of-{}", plan.key);
                let wish = NewCheckout {
                    plan: plan.key.to_string(),
                    interval: Some(plan.prices[0].interval.as_str().to_owned()),
                    ..pro(&id)
                };
                let row = h.open(&wish).await;
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                h.settle().await;
                for feature in plan.features.keys().chain(free.features.keys()) {
                    assert!(h.allowed(&id, feature.as_str()).await, "{} {feature}", plan.key);
                }
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a8_who_never_bought_has_the_free_plan_at_once() {
    on_each(|h| {
        Box::pin(async move {
            h.sandbox.reset_provider_calls();
            h.engine.put_customer(&customer("ada"), CustomerPatch::default()).await.unwrap();
            let yes = h.engine.check("ada", "article:preview").await.unwrap();
            assert_eq!((yes.allowed, yes.plan.as_deref(), yes.expires_at), (true, Some("free"), None));
            assert!(!h.allowed("ada", "article:full").await);
            assert_eq!(h.calls(), 0);
        })
    })
    .await;
}

#[tokio::test]
async fn a9_no_webhook_ever_comes_after_the_grant() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.drop_webhooks();
            for _ in 0..62 {
                h.live(1).await;
                let yes = h.engine.check("ada", "article:full").await.unwrap();
                assert!(yes.allowed, "renewals are found by the timer");
                assert!(yes.expires_at.unwrap() > h.engine.now(), "there is always an end");
            }
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.live(32).await;
            assert!(!h.allowed("ada", "article:full").await, "the lost end is found at the period's end");
        })
    })
    .await;
}

/// All orders of `items` things.
fn orders(items: usize) -> Vec<Vec<usize>> {
    (0..items).fold(vec![vec![]], |all, n| {
        let longer =
            |order: Vec<usize>| (0..=order.len()).map(move |at| [&order[..at], &[n], &order[at..]].concat());
        all.into_iter().flat_map(longer).collect()
    })
}

/// A10: the old one ends while the new one runs; the events come in every order.
#[tokio::test]
async fn a10_an_old_deletion_does_not_revoke_the_new_subscription() {
    on_each(|h| {
        Box::pin(async move {
            let old = h.subscriber("ada").await;
            let buyer = buyer_of(h, &old);
            give_card(h, &buyer, "pm_card_visa");
            h.withhold();
            let new = foreign_subscription(h, &buyer, &price_id(h, "studio_month_jpy"), "");
            let mut events: Vec<_> =
                h.withhold().into_iter().filter(|d| d.event_type.contains("subscription.created")).collect();
            h.provider("POST", &format!("/v1/subscriptions/{old}"), "metadata[note]=1");
            h.provider("DELETE", &format!("/v1/subscriptions/{old}"), "");
            events.extend(h.withhold().into_iter().filter(|d| d.event_type.contains("subscription.")));
            assert_eq!(events.len(), 3, "created, updated, deleted");
            for (round, order) in orders(events.len()).iter().enumerate() {
                for at in order {
                    h.hand_in(&renamed(h, &events[*at], &format!("r{round}"))).await.unwrap();
                    h.pass_ms(1_000);
                    h.engine.drain().await.unwrap();
                    assert!(h.allowed("ada", "team:seats").await, "round {round} {order:?}");
                    assert!(h.allowed("ada", "article:full").await, "round {round} {order:?}");
                }
            }
            let state = |row: quittance_store::mirror::SubscriptionRow| row.subscription.access;
            assert_eq!(state(h.engine.subscription(&old).await.unwrap()), Access::Revoked);
            assert_eq!(state(h.engine.subscription(&new).await.unwrap()), Access::Granted);
        })
    })
    .await;
}

/// A11: a second purchase is begun elsewhere and left; it waits, expires, and is never a duplicate.
#[tokio::test]
async fn a11_an_abandoned_second_purchase_takes_nothing_away() {
    on_each(|h| {
        Box::pin(async move {
            let first = h.subscriber("ada").await;
            let buyer = buyer_of(h, &first);
            let price = price_id(h, "pro_year_jpy");
            let second = foreign_subscription(h, &buyer, &price, "&payment_behavior=default_incomplete");
            let price = price_id(h, "studio_month_jpy");
            foreign_subscription(h, &buyer, &price, "&payment_behavior=default_incomplete");
            h.settle().await;
            let pending = h.engine.check("ada", "team:seats").await.unwrap();
            assert_eq!((pending.allowed, pending.access), (false, Some(Access::Pending)));
            for _ in 0..4 {
                h.settle().await;
                assert!(h.allowed("ada", "article:full").await);
                assert!(!standing_alerts(h).await.contains(&"duplicate_subscription".to_owned()));
                h.sandbox.advance_time(8 * 3_600);
            }
            let row = h.engine.subscription(&second).await.unwrap().subscription;
            assert_eq!((row.facts.status.as_str(), row.access), ("incomplete_expired", Access::Revoked));
        })
    })
    .await;
}

/// A12: however often an operator moves it, it has one owner, and no event becomes an error.
#[tokio::test]
async fn a12_a_subscription_that_moves_between_customers_never_gets_stuck() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            h.engine.put_customer(&customer("eve"), CustomerPatch::default()).await.unwrap();
            h.engine.link_customer(&customer("eve"), &buyer, &operator()).await.unwrap();
            assert!(!h.allowed("ada", "article:full").await, "at once");
            h.settle().await;
            // The metadata at the provider still names ada: a contradiction, and nobody gains by it.
            assert!(standing_alerts(h).await.contains(&"customer_contradiction".to_owned()));
            assert!(!h.allowed("ada", "article:full").await);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[quittance_customer]=eve");
            h.settle().await;
            assert!(h.allowed("eve", "article:full").await && standing_alerts(h).await.is_empty());
            for (to, from) in [("ada", "eve"), ("eve", "ada"), ("ada", "eve")] {
                let path = format!("/v1/subscriptions/{id}");
                h.provider("POST", &path, &format!("metadata[quittance_customer]={to}"));
                h.engine.link_customer(&customer(to), &buyer, &operator()).await.unwrap();
                h.settle().await;
                assert!(h.allowed(to, "article:full").await, "{to} has it");
                assert!(!h.allowed(from, "article:full").await, "{from} has it no more");
                assert_eq!(h.engine.customer(to).await.unwrap().subscriptions.len(), 1);
                assert_eq!(h.engine.customer(from).await.unwrap().subscriptions.len(), 0);
            }
            assert!(nothing_parked(h).await && standing_alerts(h).await.is_empty());
        })
    })
    .await;
}

/// A13: a price is rotated under a paying customer: what was bought stays, a person is told, and it mends itself.
#[tokio::test]
async fn a13_a_rotated_price_keeps_the_plan_and_raises_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let item =
                text(&h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["items"]["data"][0]["id"]);
            let path = format!("/v1/subscriptions/{id}");
            let odd = odd_price(h);
            h.provider("POST", &path, &format!("items[0][id]={item}&items[0][price]={odd}"));
            h.settle().await;
            let yes = h.engine.check("ada", "article:full").await.unwrap();
            assert_eq!((yes.allowed, yes.plan.as_deref()), (true, Some("pro")));
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            let alert = alerts.iter().find(|a| a.kind == "unknown_price").unwrap();
            assert!(alert.detail.contains(&odd) && alert.mend.contains("catalog.toml"), "{alert:?}");
            let known = price_id(h, "studio_month_jpy");
            h.provider("POST", &path, &format!("items[0][id]={item}&items[0][price]={known}"));
            h.settle().await;
            assert_eq!(h.engine.check("ada", "team:seats").await.unwrap().plan.as_deref(), Some("studio"));
            assert!(standing_alerts(h).await.is_empty(), "the alert ends with its cause");
            // Somebody who begins with an unknown price has no plan to keep.
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=eve");
            foreign_subscription(h, &buyer, &odd, "");
            h.settle().await;
            assert!(!h.allowed("eve", "article:full").await);
            assert!(h.allowed("eve", "article:preview").await, "the free plan stays the free plan");
            assert!(standing_alerts(h).await.contains(&"unknown_price".to_owned()));
        })
    })
    .await;
}

/// A14: nothing equals nothing is never a plan; and what the provider does not sell as the catalog says is not sold.
#[tokio::test]
async fn a14_a_missing_price_is_never_a_paid_plan() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let empty = std::sync::Arc::new(AtomicBool::new(true));
            let without_items = empty.clone();
            bent.bend(move |_, body| {
                let none = without_items.load(Ordering::SeqCst);
                each_subscription(body, |s| {
                    if none {
                        s["items"]["data"] = serde_json::json!([]);
                    } else {
                        s["items"]["data"][0]["price"]["lookup_key"] = serde_json::Value::Null;
                    }
                });
            });
            let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            assert_eq!(h.engine.subscription(&id).await.unwrap().subscription.plans, vec![]);
            assert!(!h.allowed("ada", "article:full").await, "no items");
            empty.store(false, Ordering::SeqCst);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=1");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "no lookup key");
            assert!(standing_alerts(h).await.contains(&"unknown_price".to_owned()));
            bent.straighten();
            h.provider("POST", &format!("/v1/prices/{}", price_id(h, "pro_year_jpy")), "active=false");
            let wish = NewCheckout { interval: Some("year".into()), ..pro("eve") };
            let refused = h.engine.open_checkout(&wish).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::UnknownPrice);
            assert!(refused.mend.contains("catalog.toml"), "{refused:?}");
        })
    })
    .await;
}

/// A15: several lines in any order, and seats counted.
#[tokio::test]
async fn a15_every_line_counts_whatever_the_order() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let more = format!("&items[1][price]={}&items[1][quantity]=3", price_id(h, "studio_month_jpy"));
            let id = foreign_subscription(h, &buyer, &odd_price(h), &more);
            for reversed in [false, true] {
                if reversed {
                    bent.bend(|_, body| {
                        each_subscription(body, |s| s["items"]["data"].as_array_mut().unwrap().reverse());
                    });
                }
                h.provider("POST", &format!("/v1/subscriptions/{id}"), &format!("metadata[r]={reversed}"));
                h.settle().await;
                let seats = h.engine.check("ada", "team:seats").await.unwrap();
                assert_eq!((seats.allowed, seats.limit), (true, Some(15)), "reversed {reversed}");
            }
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            let item = &row.plans[0].item;
            let form = format!("items[0][id]={item}&items[0][quantity]=2");
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &form);
            h.settle().await;
            assert_eq!(h.engine.check("ada", "team:seats").await.unwrap().limit, Some(10));
        })
    })
    .await;
}

/// A16: a subscription from the dashboard names nobody, but its customer is known to us.
#[tokio::test]
async fn a16_b12_b14_a_subscription_without_metadata_is_found_by_its_customer_or_waits_for_a_link() {
    on_each(|h| {
        Box::pin(async move {
            h.open(&pro("ada")).await;
            h.settle().await;
            let buyer = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            h.provider("POST", &format!("/v1/customers/{buyer}"), "metadata[quittance_customer]=");
            give_card(h, &buyer, "pm_card_visa");
            let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!((row.facts.named_customer, row.customer), (None, Some(customer("ada"))));
            assert!(h.allowed("ada", "article:full").await);
            assert!(nothing_parked(h).await && standing_alerts(h).await.is_empty());
            // One whose customer nobody knows waits for a link.
            let buyer = foreign_buyer(h, "email=someone@example.com");
            foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(
                alerts.iter().any(|a| a.kind == "unlinked_customer" && a.mend.contains(&buyer)),
                "{alerts:?}"
            );
            assert!(nothing_parked(h).await, "no poison event");
            h.engine.put_customer(&customer("eve"), CustomerPatch::default()).await.unwrap();
            h.engine.link_customer(&customer("eve"), &buyer, &operator()).await.unwrap();
            h.settle().await;
            assert!(h.allowed("eve", "article:full").await);
            assert!(
                h.engine
                    .timeline("eve", i64::MAX, 50)
                    .await
                    .unwrap()
                    .iter()
                    .any(|l| l.kind == "subscription.created")
            );
        })
    })
    .await;
}

/// A17: another program on the account names another of our customers on what ada pays for.
#[tokio::test]
async fn a17_metadata_that_contradicts_the_customer_gives_nobody_anything() {
    on_each(|h| {
        Box::pin(async move {
            let ada = h.subscriber("ada").await;
            let buyer = buyer_of(h, &ada);
            h.engine.put_customer(&customer("eve"), CustomerPatch::default()).await.unwrap();
            // What is paid for already is edited, and edited back.
            let path = format!("/v1/subscriptions/{ada}");
            h.provider("POST", &path, "metadata[quittance_customer]=eve");
            h.settle().await;
            assert!(!h.allowed("eve", "article:full").await);
            assert!(h.allowed("ada", "article:full").await, "granted before the contradiction");
            assert!(standing_alerts(h).await.contains(&"customer_contradiction".to_owned()));
            h.provider("POST", &path, "metadata[quittance_customer]=ada");
            h.settle().await;
            assert!(standing_alerts(h).await.is_empty());
            give_card(h, &buyer, "pm_card_visa");
            let price = price_id(h, "studio_month_jpy");
            foreign_subscription(h, &buyer, &price, "&metadata[quittance_customer]=eve");
            h.provider("POST", &format!("/v1/customers/{buyer}"), "metadata[quittance_customer]=eve");
            h.settle().await;
            assert!(!h.allowed("eve", "article:full").await && !h.allowed("eve", "team:seats").await);
            assert!(!h.allowed("ada", "team:seats").await, "nor does ada gain what names eve");
            assert!(h.allowed("ada", "article:full").await, "her own stays");
            assert!(standing_alerts(h).await.contains(&"customer_contradiction".to_owned()));
            // Keys of other programs are not read at all.
            let other = foreign_buyer(h, "metadata[userId]=eve&metadata[user_id]=eve");
            foreign_subscription(h, &other, &price, "&metadata[userId]=eve");
            h.settle().await;
            assert!(!h.allowed("eve", "team:seats").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a9_access_ends_when_the_provider_can_no_longer_be_asked() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            h.drop_webhooks();
            h.trouble("/v1/", Trouble::Status(500), 100_000);
            h.sandbox.advance_time(30 * DAY);
            h.settle().await;
            assert!(
                h.allowed("ada", "article:full").await,
                "within the slack after a renewal nobody confirmed"
            );
            h.sandbox.advance_time(2 * DAY);
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}
