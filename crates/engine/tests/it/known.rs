//! Failures that others have, end to end, named after their numbers.

use quittance_domain::Access;
use quittance_engine::ProblemCode;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::grants::NewGrant;

use crate::house::{DAY, House, SECRET, Trouble, customer, on_each, pro};

fn operator() -> Caller {
    Caller { key: quittance_domain::ids::ApiKeyId::derived(&["operator"]), scopes: KeyScope::ALL.to_vec() }
}

fn buyer_of(h: &House, subscription: &str) -> String {
    h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "")["customer"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn price(h: &House, lookup_key: &str) -> String {
    let found = h.provider("GET", "/v1/prices", &format!("lookup_keys[]={lookup_key}"));
    found["data"][0]["id"].as_str().unwrap().to_owned()
}

/// A customer with a working card, made at the provider by somebody else.
fn foreign_buyer(h: &House, form: &str) -> String {
    let buyer = h.provider("POST", "/v1/customers", form)["id"].as_str().unwrap().to_owned();
    let method = h.provider("POST", "/v1/payment_methods/pm_card_visa/attach", &format!("customer={buyer}"));
    let form = format!("invoice_settings[default_payment_method]={}", method["id"].as_str().unwrap());
    h.provider("POST", &format!("/v1/customers/{buyer}"), &form);
    buyer
}

#[tokio::test]
async fn a10_b11_ending_an_old_subscription_leaves_the_new_one() {
    on_each(|h| {
        Box::pin(async move {
            let old = h.subscriber("ada").await;
            let buyer = buyer_of(h, &old);
            h.provider("DELETE", &format!("/v1/subscriptions/{old}"), "");
            let late = h.withhold();
            let method =
                h.provider("POST", "/v1/payment_methods/pm_card_visa/attach", &format!("customer={buyer}"));
            let form = format!(
                "customer={buyer}&items[0][price]={}&default_payment_method={}",
                price(h, "studio_month_jpy"),
                method["id"].as_str().unwrap()
            );
            h.provider("POST", "/v1/subscriptions", &form);
            h.settle().await;
            assert!(h.allowed("ada", "team:seats").await);
            for delivery in &late {
                h.hand_in(delivery).await.unwrap();
            }
            h.settle().await;
            assert!(h.allowed("ada", "team:seats").await, "the late end of the old one changes nothing");
        })
    })
    .await;
}

#[tokio::test]
async fn a11_an_incomplete_second_subscription_takes_nothing_away() {
    on_each(|h| {
        Box::pin(async move {
            let first = h.subscriber("ada").await;
            let buyer = buyer_of(h, &first);
            let form = format!(
                "customer={buyer}&items[0][price]={}&payment_behavior=default_incomplete",
                price(h, "studio_month_jpy")
            );
            let second = h.provider("POST", "/v1/subscriptions", &form);
            assert_eq!(second["status"], "incomplete");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            let pending = h.engine.check("ada", "team:seats").await.unwrap();
            assert_eq!((pending.allowed, pending.access), (false, Some(Access::Pending)));
            h.sandbox.advance_time(24 * 3_600);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "and its expiry neither");
        })
    })
    .await;
}

#[tokio::test]
async fn a12_an_operator_may_move_a_provider_customer_to_its_true_owner() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.put_customer(&customer("eve"), Default::default()).await.unwrap();
            h.engine.link_customer(&customer("eve"), &buyer_of(h, &id), &operator()).await.unwrap();
            assert!(!h.allowed("ada", "article:full").await, "at once");
            h.settle().await;
            // The metadata at the provider still names ada: a contradiction, and nobody gains by it.
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().any(|a| a.kind == "customer_contradiction"), "{alerts:?}");
            assert!(!h.allowed("ada", "article:full").await);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[quittance_customer]=eve");
            h.settle().await;
            assert!(h.allowed("eve", "article:full").await);
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(!alerts.iter().any(|a| a.kind == "customer_contradiction"), "{alerts:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a13_a_price_that_nobody_knows_gives_no_plan_and_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let product = h.provider("POST", "/v1/products", "name=Gold");
            let form = format!(
                "product={}&currency=jpy&unit_amount=500&recurring[interval]=month",
                product["id"].as_str().unwrap()
            );
            let odd = h.provider("POST", "/v1/prices", &form);
            h.provider(
                "POST",
                "/v1/subscriptions",
                &format!("customer={buyer}&items[0][price]={}", odd["id"].as_str().unwrap()),
            );
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            assert!(h.allowed("ada", "article:preview").await, "the free plan stays the free plan");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().any(|a| a.kind == "unknown_price"), "{alerts:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a16_b12_b14_a_subscription_from_the_dashboard_waits_for_a_link() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "email=someone@example.com");
            h.provider(
                "POST",
                "/v1/subscriptions",
                &format!("customer={buyer}&items[0][price]={}", price(h, "pro_month_jpy")),
            );
            h.settle().await;
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(
                alerts.iter().any(|a| a.kind == "unlinked_customer" && a.mend.contains(&buyer)),
                "{alerts:?}"
            );
            assert_eq!(h.engine.parked(10).await.unwrap().aggregates.len(), 0, "no poison event");
            h.engine.put_customer(&customer("ada"), Default::default()).await.unwrap();
            h.engine.link_customer(&customer("ada"), &buyer, &operator()).await.unwrap();
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            assert!(
                h.engine
                    .timeline("ada", i64::MAX, 50)
                    .await
                    .unwrap()
                    .iter()
                    .any(|l| l.kind == "subscription.created")
            );
        })
    })
    .await;
}

#[tokio::test]
async fn a17_edited_metadata_gives_nobody_anything() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.put_customer(&customer("eve"), Default::default()).await.unwrap();
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[quittance_customer]=eve");
            h.settle().await;
            assert!(!h.allowed("eve", "article:full").await);
            assert!(
                h.allowed("ada", "article:full").await,
                "what was granted before the contradiction stays"
            );
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().any(|a| a.kind == "customer_contradiction"), "{alerts:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a21_e11_partial_refunds_keep_full_ones_end() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            let charges = h.provider("GET", "/v1/charges", &format!("customer={buyer}"));
            let payment = charges["data"][0]["payment_intent"].as_str().unwrap().to_owned();
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&amount=80"));
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            let lines = h.engine.timeline("ada", i64::MAX, 50).await.unwrap();
            assert!(lines.iter().any(|l| l.kind == "payment.money_changed"), "{lines:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a21_e11_a_dispute_suspends() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_createDispute");
            h.settle().await;
            for _ in 0..3 {
                h.sandbox.advance_time(60);
                h.settle().await;
            }
            let disputes = h.sandbox.ledger().customers.iter().map(|c| c.disputes.len()).sum::<usize>();
            assert_eq!(disputes, 1);
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a21_a_deleted_customer_ends_and_a_pause_suspends() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.provider("POST", &format!("/v1/subscriptions/{id}/pause"), "");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "paused");
            h.provider("POST", &format!("/v1/subscriptions/{id}/resume"), "");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "resumed");
            h.provider("DELETE", &format!("/v1/customers/{}", buyer_of(h, &id)), "");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "deleted");
            assert_eq!(h.engine.parked(10).await.unwrap().aggregates.len(), 0);
        })
    })
    .await;
}

#[tokio::test]
async fn a23_objects_that_are_gone_are_no_endless_error() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            // All test data is deleted at the provider; a signed event about the old customer still comes.
            let known = h.sandbox.snapshot();
            let customer_id = h.sandbox.ledger().customers[0].customer.clone();
            h.sandbox.reset();
            let body = format!(
                r#"{{"id":"evt_late","object":"event","type":"customer.updated","livemode":false,"created":{},
                   "data":{{"object":{{"id":"{customer_id}","object":"customer"}}}}}}"#,
                h.sandbox.now()
            );
            let header =
                quittance_sandbox::signature_header(SECRET, h.engine.now().seconds(), body.as_bytes());
            h.engine.accept_stripe(Some(header.as_bytes()), body.as_bytes()).await.unwrap();
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert_eq!(h.engine.parked(10).await.unwrap().aggregates.len(), 0);
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().any(|a| a.kind == "subscription_missing"), "{alerts:?}");
            assert!(!h.allowed("ada", "article:full").await);
            assert!(!known.is_null());
        })
    })
    .await;
}

#[tokio::test]
async fn a25_a_sync_never_wipes_what_others_gave() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let gift = NewGrant {
                plan: None,
                feature: Some("course:library".into()),
                limit: None,
                expires_at: None,
                reason: "press".into(),
                idempotency: None,
            };
            h.engine.grant(&customer("ada"), &gift, &operator()).await.unwrap();
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            assert!(h.allowed("ada", "course:library").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a26_the_other_mode_is_refused_and_a_rolled_secret_is_not() {
    on_each(|h| {
        Box::pin(async move {
            let signed = |secret: &str, live: bool, id: &str| {
                let body = format!(r#"{{"id":"{id}","object":"event","type":"x","livemode":{live},"data":{{"object":{{}}}}}}"#);
                let header = quittance_sandbox::signature_header(secret, h.engine.now().seconds(), body.as_bytes());
                (header, body)
            };
            let (header, body) = signed(SECRET, true, "evt_live");
            let refused = h.engine.accept_stripe(Some(header.as_bytes()), body.as_bytes()).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::WrongMode);
            assert_eq!(h.engine.event("evt_live").await.unwrap_err().code, ProblemCode::NotFound, "nothing is stored");
            let (header, body) = signed("whsec_other", false, "evt_forged");
            let refused = h.engine.accept_stripe(Some(header.as_bytes()), body.as_bytes()).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::InvalidSignature);
            // While a secret is rolled the provider signs with both; either is enough.
            let (new, body) = signed("whsec_other", false, "evt_rolled");
            let (old, _) = signed(SECRET, false, "evt_rolled");
            let both = format!("{new},{}", old.split_once(',').unwrap().1);
            h.engine.accept_stripe(Some(both.as_bytes()), body.as_bytes()).await.unwrap();
        })
    })
    .await;
}

#[tokio::test]
async fn b8_a_finished_session_is_not_yet_money_and_never_resurrects() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let completed: Vec<_> = h
                .engine
                .events(i64::MAX, None, 100)
                .await
                .unwrap()
                .into_iter()
                .filter(|e| e.event_type == "checkout.session.completed")
                .collect();
            assert_eq!(completed.len(), 1);
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            // The provider sends the old completion once more, long after the end.
            h.sandbox.deliver_event(&completed[0].event_id, 3, true).unwrap();
            h.settle().await;
            h.engine.replay(&completed[0].event_id, 0).await.unwrap();
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn b9_b10_paying_an_old_invoice_does_not_bring_an_ended_subscription_back() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            let method = h.provider(
                "POST",
                "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
                &format!("customer={buyer}"),
            );
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{id}"),
                &format!("default_payment_method={}", method["id"].as_str().unwrap()),
            );
            h.live(29).await;
            let failing = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
            assert_eq!(failing["status"], "past_due");
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            let good =
                h.provider("POST", "/v1/payment_methods/pm_card_visa/attach", &format!("customer={buyer}"));
            let invoice = failing["latest_invoice"].as_str().unwrap();
            h.provider(
                "POST",
                &format!("/v1/invoices/{invoice}/pay"),
                &format!("payment_method={}", good["id"].as_str().unwrap()),
            );
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), "canceled");
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn e3_two_changes_in_one_second_both_land() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            h.deliver().await;
            h.engine.drain().await.unwrap();
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=false");
            h.settle().await;
            assert_eq!(h.engine.subscription(&id).await.unwrap().subscription.facts.ends_at(), None);
        })
    })
    .await;
}

#[tokio::test]
async fn e5_c3_a_failing_sync_is_retried_then_parked_then_freed_by_a_person() {
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

#[tokio::test]
async fn e8_without_the_provider_no_second_subscription_can_be_bought() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            h.trouble("/v1/", Trouble::Status(500), 1_000);
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::AlreadySubscribed, "the guard needs nobody else");
            assert!(h.allowed("ada", "article:full").await, "and access needs nobody else");
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
