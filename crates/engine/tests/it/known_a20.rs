//! A20 to A29: other people's objects, money that goes back, older and unknown shapes, wrong accounts, personal data.

use std::io::Write;
use std::sync::{Arc, Mutex};

use quittance_domain::Access;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::PortalStart;
use quittance_engine::grants::NewGrant;
use quittance_engine::{ProblemCode, Settings};
use quittance_sandbox::Fault;
use quittance_store::Sql;
use quittance_store::customers::CustomerPatch;
use quittance_store::inbox::Accepted;
use serde_json::{Value, json};

use crate::house::{DAY, House, SECRET, Trouble, catalog, customer, on_each, pro};
use crate::known_kit::*;

#[tokio::test]
async fn a20_one_customer_reaches_nothing_of_another() {
    on_each(|h| {
        Box::pin(async move {
            let ada = h.subscriber("ada").await;
            h.subscriber("eve").await;
            for start in [PortalStart::Cancel(ada.clone()), PortalStart::Change(ada.clone())] {
                h.sandbox.reset_provider_calls();
                let refused = h.engine.open_portal(&customer("eve"), None, start).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::NotFound, "{refused:?}");
                assert_eq!(h.calls(), 0, "refused here, not left to the provider");
            }
            let own = PortalStart::Cancel(ada.clone());
            assert!(h.engine.open_portal(&customer("ada"), None, own).await.is_ok());
            let gift = NewGrant {
                plan: Some("studio".into()),
                feature: None,
                limit: None,
                expires_at: None,
                reason: "test".into(),
                idempotency: None,
            };
            let grant = h.engine.grant(&customer("ada"), &gift, &operator()).await.unwrap();
            let refused = h.engine.revoke_grant(&customer("eve"), grant.id.as_str(), &operator()).await;
            assert_eq!(refused.unwrap_err().code, ProblemCode::NotFound);
            assert!(h.allowed("ada", "team:seats").await && !h.allowed("eve", "team:seats").await);
        })
    })
    .await;
}

/// A paid Pro subscription with this card, and the provider's customer and payment behind it.
async fn bought_with(h: &House, id: &str, card: &str) -> (String, String) {
    let row = h.open(&pro(id)).await;
    h.pay(row.session.as_deref().unwrap(), card);
    h.settle().await;
    for _ in 0..3 {
        h.sandbox.advance_time(60);
        h.settle().await;
    }
    let buyer = h.engine.known_provider_customer(&customer(id)).await.unwrap().unwrap();
    let payment = newest_payment(h, &buyer);
    (buyer, payment)
}

#[tokio::test]
async fn a21_refunds_end_access_only_when_all_the_money_is_back() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            for (amount, allowed) in [(80, true), (1_000, true), (900, false)] {
                h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&amount={amount}"));
                h.settle().await;
                assert_eq!(h.allowed("ada", "article:full").await, allowed, "{amount}");
            }
            // The next period is paid for anew.
            h.live(30).await;
            assert!(h.allowed("ada", "article:full").await);
            // A refund that the bank sends back leaves the money here.
            let (_, payment) = bought_with(h, "eve", "pm_card_refundFail").await;
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            h.settle().await;
            h.live(10).await;
            let refunds = h.sandbox.ledger().customers.iter().flat_map(|c| c.refunds.clone()).last().unwrap();
            assert_eq!(refunds.status, "failed");
            assert!(h.allowed("eve", "article:full").await);
            // What was bought once goes with its money, and nothing else does.
            let wish = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
            let row = h.open(&wish).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert!(h.allowed("ada", "course:library").await);
            let buyer = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            let form = format!("payment_intent={}", newest_payment(h, &buyer));
            h.provider("POST", "/v1/refunds", &form);
            h.settle().await;
            assert!(!h.allowed("ada", "course:library").await);
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a21_disputes_suspend_until_they_are_won() {
    on_each(|h| {
        Box::pin(async move {
            for (id, evidence, allowed) in
                [("ada", "winning_evidence", true), ("eve", "losing_evidence", false)]
            {
                let (_, payment) = bought_with(h, id, "pm_card_createDispute").await;
                assert!(!h.allowed(id, "article:full").await, "opened");
                let found = h.provider("GET", "/v1/disputes", &format!("payment_intent={payment}"));
                let dispute = text(&found["data"][0]["id"]);
                let form = format!("evidence[uncategorized_text]={evidence}&submit=true");
                h.provider("POST", &format!("/v1/disputes/{dispute}"), &form);
                h.settle().await;
                assert_eq!(h.allowed(id, "article:full").await, allowed, "{evidence}");
            }
            bought_with(h, "bob", "pm_card_createDisputeInquiry").await;
            assert!(h.allowed("bob", "article:full").await, "an inquiry takes no money");
        })
    })
    .await;
}

/// The money came back, and only one of many events says so.
#[tokio::test]
async fn a21_a_refund_behind_a_long_burst_is_seen() {
    on_each(|h| {
        Box::pin(async move {
            let (buyer, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let id =
                text(&h.provider("GET", "/v1/subscriptions", &format!("customer={buyer}"))["data"][0]["id"]);
            for n in 0..60 {
                h.provider("POST", &format!("/v1/subscriptions/{id}"), &format!("metadata[n]={n}"));
            }
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            // The endpoint is not subscribed to the refund's own events.
            for delivery in h.withhold().iter().filter(|d| !d.event_type.starts_with("refund.")) {
                h.hand_in(delivery).await.unwrap();
            }
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a21_paused_resumed_and_deleted() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let path = format!("/v1/subscriptions/{id}");
            for (call, access) in [("pause", Access::Revoked), ("resume", Access::Granted)] {
                h.provider("POST", &format!("{path}/{call}"), "");
                h.settle().await;
                assert_eq!(
                    h.engine.check("ada", "article:full").await.unwrap().access,
                    Some(access),
                    "{call}"
                );
            }
            h.provider("DELETE", &format!("/v1/customers/{}", buyer_of(h, &id)), "");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await && h.allowed("ada", "article:preview").await);
            assert!(nothing_parked(h).await);
            h.sandbox.advance_time(40 * DAY);
            h.settle().await;
            assert!(nothing_parked(h).await, "nor later");
        })
    })
    .await;
}

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
            h.pass_ms(1_000);
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
            let alerts = h.engine.alerts(false, 10).await.unwrap();
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
            assert!(parked.len() <= 2 && parked.iter().all(|row| row.attempts == 3), "{parked:?}");
            let alerts = h.engine.alerts(false, 10).await.unwrap();
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

#[tokio::test]
async fn a26_another_mode_account_or_secret_changes_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            h.sandbox.reset_provider_calls();
            let body = event("evt_live", "customer.updated", &json!({ "object": "customer", "id": buyer }));
            let live = body.replace(r#""livemode":false"#, r#""livemode":true"#);
            assert_eq!(hand_raw(h, &live).await.unwrap_err().code, ProblemCode::WrongMode);
            // Another account's event about an object of the same name is stored, and is not about ours.
            let foreign = body.replace(r#""livemode""#, r#""account":"acct_other","livemode""#);
            assert_eq!(hand_raw(h, &foreign.replace("evt_live", "evt_other")).await, Ok(Accepted::New));
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert_eq!(h.calls(), 0, "it is not fetched with our key");
            // While a secret is rolled, either is enough; afterwards the old one is not.
            let secrets = |all: &[&str]| Settings {
                webhook_secrets: all.iter().map(|s| (*s).to_owned().into()).collect(),
                ..Settings::default()
            };
            for (known, new, old) in
                [(vec!["whsec_new", SECRET], true, true), (vec!["whsec_new"], true, false)]
            {
                let (engine, _) = bent_engine(h, secrets(&known), catalog()).await;
                for (secret, fine) in [("whsec_new", new), (SECRET, old)] {
                    let body = event(&format!("evt_{}_{secret}", known.len()), "x", &json!({}));
                    let header =
                        quittance_sandbox::signature_header(secret, engine.now().seconds(), body.as_bytes());
                    let answer = engine.accept_stripe(Some(header.as_bytes()), body.as_bytes()).await;
                    assert_eq!(
                        answer.map_err(|p| p.code).err(),
                        (!fine).then_some(ProblemCode::InvalidSignature)
                    );
                }
            }
            // The key of another account: every object would look deleted. Nothing is written.
            let (engine, bent) = bent_engine(h, Settings::default(), catalog()).await;
            bent.bend(|target, body| {
                if target.starts_with("/v1/account") {
                    body["id"] = json!("acct_other");
                }
                if target.starts_with("/v1/subscriptions?") {
                    body["data"] = json!([]);
                }
            });
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=1");
            h.deliver().await;
            for _ in 0..4 {
                h.pass_ms(60_000);
                engine.drain().await.unwrap();
            }
            assert!(engine.check("ada", "article:full").await.unwrap().allowed);
            let parked = h.engine.parked(10).await.unwrap().aggregates;
            assert!(parked[0].last_error.as_deref().unwrap().contains("acct_other"), "{parked:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a27_a_portal_without_a_customer_is_a_plain_refusal() {
    on_each(|h| {
        Box::pin(async move {
            for known in [false, true] {
                if known {
                    h.engine.put_customer(&customer("ada"), CustomerPatch::default()).await.unwrap();
                }
                let refused =
                    h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::NoProviderCustomer);
                assert!(refused.mend.contains("/v1/checkouts"), "{refused:?}");
            }
            assert!(h.engine.customer("ada").await.unwrap().subscriptions.is_empty());
            h.open(&pro("ada")).await;
            assert!(h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.is_ok());
            for odd in ["javascript:alert(1)", "", "ftp://x"] {
                let refused = h.engine.open_portal(&customer("ada"), Some(odd), PortalStart::Home).await;
                assert_eq!(refused.unwrap_err().code, ProblemCode::InvalidRequest);
            }
        })
    })
    .await;
}

/// Everything that is stored as text, but what the app told us of its customers.
static EVERYTHING: Sql = Sql::registered(
    "test.everything",
    "SELECT payload AS text FROM events UNION ALL SELECT last_error FROM aggregates
     UNION ALL SELECT request FROM commands UNION ALL SELECT result FROM commands UNION ALL SELECT last_error FROM commands
     UNION ALL SELECT data FROM history UNION ALL SELECT cause FROM history UNION ALL SELECT data FROM notices
     UNION ALL SELECT detail FROM alerts UNION ALL SELECT mend FROM alerts UNION ALL SELECT data FROM subscriptions
     UNION ALL SELECT data FROM purchases UNION ALL SELECT data FROM payments UNION ALL SELECT wish FROM checkouts
     UNION ALL SELECT report FROM sweeps UNION ALL SELECT body FROM api_requests",
);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a28_neither_database_nor_log_keeps_personal_data() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    on_each(|h| {
        Box::pin(async move {
            let patch = CustomerPatch {
                email: Some("taro.yamada@example.com".into()),
                name: Some("Taro Yamada".into()),
                ..CustomerPatch::default()
            };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let id = h.subscriber("ada").await;
            let form = "email=taro.yamada@example.com&name=Taro Yamada&phone=%2B81-90-1234-5678\
                        &address[line1]=1-2-3 Jingumae&address[country]=JP";
            h.provider("POST", &format!("/v1/customers/{}", buyer_of(h, &id)), form);
            h.settle().await;
            // The provider quotes what it was sent.
            let quoting = |path: &str, method: &str| Fault {
                path: path.into(),
                method: Some(method.into()),
                status: Some(400),
                message: Some(
                    "Invalid email address: taro.yamada@example.com for 'Taro Yamada' (card 4242424242424242, +81-90-1234-5678)"
                        .into(),
                ),
                ..Fault::default()
            };
            h.sandbox.set_faults(vec![quoting("/v1/subscriptions*", "GET"), quoting("/v1/checkout/sessions", "POST")]);
            let refused = h.engine.open_checkout(&pro("eve")).await.unwrap_err();
            h.sandbox.advance_time(31 * DAY);
            for _ in 0..4 {
                h.settle().await;
                h.pass_ms(60_000);
            }
            let parked = h.engine.parked(10).await.unwrap();
            assert!(!parked.aggregates.is_empty(), "the failure was stored");
            let read = h.test.db.read("test.everything", |tx| {
                tx.query(&EVERYTHING, &[])?.iter().map(|row| row.opt_text("text")).collect::<Result<Vec<_>, _>>()
            });
            let mut texts: Vec<String> = read.await.unwrap().into_iter().flatten().collect();
            assert!(texts.len() > 50 && texts.iter().any(|t| t.contains(&id)));
            texts.push(format!("{refused:?}"));
            for text in &texts {
                no_person_in(text);
            }
        })
    })
    .await;
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(written.contains("sync failed") && written.contains("command failed"), "the log was captured");
    written.lines().for_each(no_person_in);
}

fn no_person_in(text: &str) {
    let lower = text.to_lowercase();
    for secret in
        ["taro", "yamada", "example.com", "4242424242424242", "1234-5678", "jingumae", "whsec_", "sk_test"]
    {
        assert!(!lower.contains(secret), "{secret} in: {text}");
    }
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
