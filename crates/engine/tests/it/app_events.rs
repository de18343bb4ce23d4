//! What the app is told, of whatever makes a change: purchases, failures, operators, refunds, disputes, and time alone.

use quittance_domain::Timestamp;
use quittance_domain::app_event::AppEventType;
use quittance_domain::delivery::Channel;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::grants::NewGrant;
use quittance_store::customers::CustomerPatch;
use serde_json::{Value, json};

use crate::app_kit::{accesses, of_kind, on_each_keyed, told};
use crate::house::{DAY, House, Trouble, customer, on_each, pro};
use crate::known_kit::{bought_with, break_card, newest_invoice, operator, use_card};

fn words(events: &[Value]) -> Vec<(String, String)> {
    accesses(events).into_iter().map(|(from, to, _)| (from, to)).collect()
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

/// Every event names its customer, an id of ours, a known type, and nothing that is personal.
fn assert_sound(events: &[Value], customer: &str) {
    for event in events {
        assert!(event["id"].as_str().unwrap().starts_with("aev_"), "{event}");
        assert_eq!(event["data"]["customer"], customer);
        let text = event.to_string();
        assert!(!text.contains('@') && !text.contains("4242"), "{text}");
    }
}

async fn give(h: &House, id: &str, plan: &str, for_ms: i64) -> String {
    h.engine.put_customer(&customer(id), CustomerPatch::default()).await.unwrap();
    let grant = NewGrant {
        plan: Some(plan.into()),
        feature: None,
        limit: None,
        expires_at: Some(h.engine.now().plus_ms(for_ms)),
        reason: "a test".into(),
        idempotency: None,
    };
    h.engine.grant(&customer(id), &grant, &operator()).await.unwrap().id.to_string()
}

#[tokio::test]
async fn a_purchase_is_told_once_with_all_entitlements() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let events = told(h, "ada").await;
            assert_sound(&events, "ada");
            assert_eq!(words(&events), [pair("none", "granted")]);
            let access = &of_kind(&events, "customer.access_changed")[0]["data"];
            assert_eq!((&access["plan"], &access["allowed"]), (&json!("pro"), &json!(true)));
            assert_eq!(access["source"], json!({ "type": "subscription", "id": id }));
            let all = of_kind(&events, "entitlements.updated");
            let sequences: Vec<i64> = all.iter().map(|e| e["data"]["sequence"].as_i64().unwrap()).collect();
            assert!(sequences[0] > 0 && sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
            let all = &all.last().unwrap()["data"];
            assert_eq!(all["access"], "granted");
            let full =
                all["entitlements"].as_array().unwrap().iter().find(|e| e["feature"] == "article:full");
            assert_eq!(full.unwrap()["allowed"], true);
            let changed = of_kind(&events, "subscription.changed");
            assert_eq!(changed[0]["data"]["changes"], json!(["created", "access_changed"]));
            assert_eq!(changed[0]["data"]["previous"], Value::Null);
            // Looking again, thoroughly, and hearing everything again finds nothing new.
            let before = events.len();
            for event in h.engine.events(i64::MAX, None, 100).await.unwrap() {
                h.engine.replay(&event.event_id, 0).await.unwrap();
                h.pass_burst();
                h.engine.drain().await.unwrap();
            }
            assert_eq!(told(h, "ada").await.len(), before);
        })
    })
    .await;
}

#[tokio::test]
async fn a_failing_renewal_is_told_from_the_first_failure_to_the_recovery() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            break_card(h, &id);
            h.live(40).await;
            let events = told(h, "ada").await;
            assert_sound(&events, "ada");
            let failed = of_kind(&events, "payment.failed");
            assert!(failed.len() >= 2, "each try: {failed:?}");
            let mut tries: Vec<(String, i64)> = failed
                .iter()
                .map(|e| (e["data"]["invoice"].to_string(), e["data"]["attempt"].as_i64().unwrap()))
                .collect();
            tries.dedup();
            assert_eq!(tries.len(), failed.len(), "once for each try");
            let first = &failed[0]["data"];
            assert_eq!(first["due"], json!({ "amount": 1980, "currency": "jpy" }));
            assert_eq!((&first["subscription"], &first["access"]), (&json!(id), &json!("grace")));
            assert!(first["next_attempt_at"].is_string());
            assert_eq!(
                words(&events),
                [pair("none", "granted"), pair("granted", "grace"), pair("grace", "revoked")]
            );
            use_card(h, &id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, &id)), "");
            h.settle().await;
            let events = told(h, "ada").await;
            let recovered = of_kind(&events, "payment.recovered");
            assert_eq!(recovered.len(), 1);
            assert_eq!(recovered[0]["data"]["paid"], json!({ "amount": 1980, "currency": "jpy" }));
            assert_eq!(words(&events).last(), Some(&pair("revoked", "granted")));
        })
    })
    .await;
}

/// Grace ends at its time, whether or not the provider can be asked then.
#[tokio::test]
async fn access_that_ends_by_time_alone_is_told_at_its_time() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            break_card(h, &id);
            h.live(29).await;
            let until = h.engine.check("ada", "article:full").await.unwrap().expires_at.unwrap();
            h.drop_webhooks();
            h.trouble("/v1/", Trouble::Status(503), 10_000);
            h.sandbox.advance_time(until.seconds() - h.engine.now().seconds() - 1);
            h.engine.tell_due().await.unwrap();
            assert_eq!(words(&told(h, "ada").await).last(), Some(&pair("granted", "grace")));
            h.sandbox.advance_time(2);
            h.engine.tell_due().await.unwrap();
            let events = told(h, "ada").await;
            let (_, to, at) = accesses(&events).last().cloned().unwrap();
            assert_eq!(to, "revoked");
            assert!((0..2_000).contains(&at.since(until)), "{at} {until}");
            let all = of_kind(&events, "entitlements.updated").last().copied().unwrap();
            let full = all["data"]["entitlements"].as_array().unwrap();
            assert!(full.iter().any(|e| e["feature"] == "article:full" && e["allowed"] == false));
            // The sync that comes later finds it told.
            h.transport.mend();
            h.pass_ms(60 * 60 * 1_000);
            h.engine.drain().await.unwrap();
            assert_eq!(accesses(&told(h, "ada").await).len(), accesses(&events).len());
        })
    })
    .await;
}

#[tokio::test]
async fn grants_are_told_when_given_when_taken_back_and_when_they_run_out() {
    on_each(|h| {
        Box::pin(async move {
            let grant = give(h, "ada", "pro", 86_400_000).await;
            assert_eq!(words(&told(h, "ada").await), [pair("none", "granted")]);
            h.engine.revoke_grant(&customer("ada"), &grant, &operator()).await.unwrap();
            let taken = told(h, "ada").await;
            assert_eq!(words(&taken), [pair("none", "granted"), pair("granted", "none")]);
            give(h, "ada", "pro", 86_400_000).await;
            give(h, "ada", "pro", 2 * 86_400_000).await;
            h.sandbox.advance_time(DAY + 1);
            h.engine.drain().await.unwrap();
            assert_eq!(
                words(&told(h, "ada").await).last(),
                Some(&pair("none", "granted")),
                "the second lasts"
            );
            h.sandbox.advance_time(DAY);
            h.engine.drain().await.unwrap();
            let events = told(h, "ada").await;
            assert_eq!(words(&events).last(), Some(&pair("granted", "revoked")));
            assert_sound(&events, "ada");
            // The free plan, which everybody has, is told to nobody.
            h.engine.put_customer(&customer("bob"), CustomerPatch::default()).await.unwrap();
            h.engine.drain().await.unwrap();
            assert_eq!(told(h, "bob").await, Vec::<Value>::new());
        })
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_is_cancelled_and_ends_is_told_step_by_step() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            h.live(32).await;
            let events = told(h, "ada").await;
            let changes: Vec<String> = of_kind(&events, "subscription.changed")
                .iter()
                .flat_map(|e| e["data"]["changes"].as_array().unwrap().clone())
                .map(|word| word.as_str().unwrap().to_owned())
                .collect();
            for wanted in ["created", "end_changed", "status_changed"] {
                assert_eq!(changes.iter().filter(|word| *word == wanted).count(), 1, "{wanted}: {changes:?}");
            }
            let last = &of_kind(&events, "subscription.changed").last().copied().unwrap()["data"];
            assert_eq!((&last["status"], &last["access"]), (&json!("canceled"), &json!("revoked")));
            assert_eq!(last["previous"]["status"], "active");
            assert!(last["ended_at"].is_string());
            assert_eq!(words(&events), [pair("none", "granted"), pair("granted", "revoked")]);
            let ended = Timestamp::from_seconds(h.engine.now().seconds());
            assert!(accesses(&events).last().unwrap().2 < ended);
        })
    })
    .await;
}

#[tokio::test]
async fn a_renewal_is_told_as_a_renewal() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            h.live(32).await;
            let events = told(h, "ada").await;
            let renewed: Vec<_> = of_kind(&events, "subscription.changed")
                .into_iter()
                .filter(|e| e["data"]["changes"].as_array().unwrap().contains(&json!("renewed")))
                .collect();
            assert_eq!(renewed.len(), 1, "{events:?}");
            assert_eq!(words(&events), [pair("none", "granted")], "access goes on");
        })
    })
    .await;
}

#[tokio::test]
async fn refunds_and_disputes_are_told_with_their_money() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            for amount in [500, 300] {
                h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&amount={amount}"));
                h.settle().await;
            }
            let events = told(h, "ada").await;
            assert_sound(&events, "ada");
            let refunds: Vec<(i64, i64)> = of_kind(&events, "refund.created")
                .iter()
                .map(|e| {
                    let data = &e["data"];
                    assert_eq!(data["payment"], payment.as_str());
                    assert_eq!(data["paid"], json!({ "amount": 1980, "currency": "jpy" }));
                    let minor = |field: &str| data[field]["amount"].as_i64().unwrap();
                    (minor("refunded"), minor("refunded_in_all"))
                })
                .collect();
            assert_eq!(refunds, [(500, 500), (300, 800)]);

            bought_with(h, "eve", "pm_card_createDispute").await;
            let events = told(h, "eve").await;
            let disputes = of_kind(&events, "dispute.created");
            assert_eq!(disputes.len(), 1, "{events:?}");
            assert_eq!(disputes[0]["data"]["paid"], json!({ "amount": 1980, "currency": "jpy" }));
            assert_eq!(words(&events).last(), Some(&pair("granted", "revoked")));
        })
    })
    .await;
}

/// The example of each type in the documentation has the fields that its events have, and no others.
#[tokio::test]
async fn the_documentation_shows_events_as_they_are() {
    let text = include_str!("../../../../docs/app-webhooks.md");
    on_each_keyed(|h| {
        Box::pin(async move {
            let app = crate::app_kit::app_of(h);
            let (endpoint, _) = crate::app_kit::endpoint(h, "https://a.example.com/", &[]).await;
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&amount=500"));
            h.settle().await;
            let row = &h.engine.customer("ada").await.unwrap().subscriptions[0];
            let id = row.subscription.facts.id.clone();
            break_card(h, &id);
            h.live(31).await;
            use_card(h, &id, "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, &id)), "");
            h.settle().await;
            bought_with(h, "eve", "pm_card_createDispute").await;
            let course = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("bob") };
            let row = h.open(&course).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.engine.ping_endpoint(&endpoint).await.unwrap();
            let operators = "https://operators.example.com/";
            crate::app_kit::endpoint(h, operators, &["alert.raised", "alert.resolved"]).await;
            for over in [false, true] {
                let now = h.engine.now();
                let alert = quittance_store::outbox::NewAlert {
                    kind: "parked".into(),
                    object: "stripe/self/test/customer/cus_1".into(),
                    customer: None,
                    aggregate: None,
                    detail: "it could not be synced".into(),
                    mend: "quittance parked retry".into(),
                };
                let put = move |tx: &mut dyn quittance_store::Tx| {
                    if over {
                        quittance_store::outbox::resolve(tx, &alert.kind, &alert.object, now)
                    } else {
                        quittance_store::outbox::raise(tx, &alert, now).map(drop)
                    }
                };
                h.test.db.write("test.alert", put).await.unwrap();
                h.pass_ms(400_000);
                h.settle().await;
            }
            let sent = app.got("https://a.example.com/").into_iter().chain(app.got(operators));
            let sent: Vec<Value> = sent.map(|got| got.value()).collect();
            for kind in AppEventType::ALL {
                let heading = format!("### `{}`\n", kind.as_str());
                let (_, section) = text.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
                let (_, example) = section.split_once("```json\n").unwrap();
                let example: Value = serde_json::from_str(example.split_once("```").unwrap().0).unwrap();
                assert_eq!(example["type"], kind.as_str());
                assert!(text.contains(&format!("| `{}` | {} |", kind.as_str(), kind.sentence())), "{kind:?}");
                let of_kind: Vec<&Value> = sent.iter().filter(|e| e["type"] == kind.as_str()).collect();
                assert!(!of_kind.is_empty(), "no {kind:?} was sent");
                for event in of_kind {
                    assert_same_fields(&example, event, kind.as_str());
                }
            }
        })
    })
    .await;
}

fn assert_same_fields(example: &Value, event: &Value, place: &str) {
    match (example, event) {
        (Value::Object(shown), Value::Object(sent)) => {
            let names = |fields: &serde_json::Map<String, Value>| {
                fields.keys().cloned().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(names(shown), names(sent), "{place}");
            for (name, value) in shown {
                assert_same_fields(value, &sent[name], &format!("{place}.{name}"));
            }
        }
        (Value::Array(shown), Value::Array(sent)) => {
            for value in sent {
                assert_same_fields(&shown[0], value, place);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (shown, sent) => assert_eq!(
            std::mem::discriminant(shown),
            std::mem::discriminant(sent),
            "{place}: {shown} is not of the kind of {sent}"
        ),
    }
}

/// The documentation's table of tries is the schedule.
#[test]
fn the_documentation_shows_the_schedule() {
    let text = include_str!("../../../../docs/app-webhooks.md");
    for (try_no, wait) in (2..).zip(Channel::Webhook.waits_ms()) {
        let words = match wait / 1_000 {
            seconds @ 0..60 => format!("{seconds} seconds"),
            seconds @ 60..3_600 => format!("{} minutes", seconds / 60),
            seconds => format!("{} hours", seconds / 3_600),
        };
        assert!(text.contains(&format!("| {try_no} | {words} |")), "try {try_no}: {words}");
    }
}
