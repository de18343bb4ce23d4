//! Waiting for one's turn: a look of more calls than go at once ends, one that takes long keeps its claim, and only runs that hold
//! nobody up wait for a provider that is out of reach.

use std::sync::Arc;
use std::time::Duration;

use quittance_domain::lease::RetryPolicy;
use quittance_engine::sync::SyncEnd;
use quittance_engine::{Engine, Settings, World};
use quittance_store::aggregates;
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};

use crate::house::{House, SECRET, Trouble, catalog, on_each};
use crate::known_kit::{foreign_buyer, foreign_subscription, price_id};

/// A node on the house's database that asks within `limits`.
async fn within(h: &House, limits: RateLimits, lease_ms: i64) -> Engine {
    let mut config = StripeConfig::new("sk_test_house".to_owned().into(), false);
    config.limits = limits;
    let world = h.world.clone();
    let now = Arc::new(move || world.now().ms());
    let client = StripeClient::new(config, h.transport.clone(), now, Arc::new(|_| {})).unwrap();
    let settings = Settings {
        retry: RetryPolicy { lease_ms, ..RetryPolicy::default() },
        webhook_secrets: vec![SECRET.to_owned().into()],
        ..h.engine.settings().clone()
    };
    Engine::open(h.test.db.clone(), Arc::new(client), Arc::new(catalog()), settings, h.world.clone())
        .await
        .unwrap()
}

/// One call goes at once, and one a second after it.
fn slow() -> RateLimits {
    RateLimits { per_second: 1, per_endpoint_per_second: 1, ..RateLimits::for_mode(false) }
}

/// A customer with two subscriptions, of which webhooks have arrived.
async fn subscribed(h: &House) {
    let (buyer, price) =
        (foreign_buyer(h, "metadata[quittance_customer]=user_1"), price_id(h, "pro_month_jpy"));
    foreign_subscription(h, &buyer, &price, "");
    foreign_subscription(h, &buyer, &price, "");
    h.deliver().await;
    h.pass_burst();
}

async fn each_end(engine: &Engine) -> Vec<SyncEnd> {
    let mut ends = Vec::new();
    for claim in engine.claim(100).await.unwrap() {
        ends.push(engine.sync(claim).await.unwrap());
    }
    ends
}

#[tokio::test]
async fn a_look_of_more_calls_than_go_at_once_ends() {
    on_each(|h| {
        Box::pin(async move {
            let engine = within(h, slow(), RetryPolicy::default().lease_ms).await;
            subscribed(h).await;
            h.sandbox.reset_provider_calls();
            let begun = engine.now();
            let ends = each_end(&engine).await;
            assert!(!ends.is_empty() && ends.iter().all(|end| *end == SyncEnd::Done), "{ends:?}");
            let calls = i64::try_from(h.calls()).unwrap();
            assert!(calls > 1, "one call would need no waiting");
            assert!(engine.now().since(begun) >= (calls - 1) * 1_000, "{calls} calls, and the rate was kept");
            assert!(h.allowed("user_1", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn out_of_reach_a_look_comes_back_and_a_sweep_waits() {
    on_each(|h| {
        Box::pin(async move {
            let limits = RateLimits { per_second: 1_000, breaker_threshold: 1, ..slow() };
            let engine = within(h, limits, RetryPolicy::default().lease_ms).await;
            subscribed(h).await;
            h.trouble("/v1/subscriptions", Trouble::Status(500), 1);
            let ends = each_end(&engine).await;
            assert!(ends.contains(&SyncEnd::Retried), "{ends:?}");
            // The breaker is open now: nothing is sent, and a worker does not stand there.
            h.pass_ms(2_000);
            h.sandbox.reset_provider_calls();
            let (begun, ends) = (engine.now(), each_end(&engine).await);
            assert!(ends.contains(&SyncEnd::Retried), "{ends:?}");
            assert_eq!((h.calls(), engine.now()), (0, begun));
            let report = engine.sweep(true, false).await.unwrap().unwrap();
            assert_eq!(report.subscriptions, 2);
            assert_eq!(h.calls(), report.calls, "what was held back is no call");
            assert!(engine.now().since(begun) > 0, "it waited");
        })
    })
    .await;
}

#[tokio::test]
async fn a_look_that_takes_long_keeps_its_claim() {
    on_each(|h| {
        Box::pin(async move {
            let (lease_ms, most) = (600, Duration::from_secs(60));
            let engine =
                within(h, RateLimits { per_second: 1_000, ..RateLimits::for_mode(false) }, lease_ms).await;
            subscribed(h).await;
            let gate = h.hold_answers("/v1/subscriptions");
            let claims = engine.claim(100).await.unwrap();
            let claim = claims.into_iter().find(|claim| claim.key.contains("/customer/")).unwrap();
            let (key, first) = (claim.key.clone(), engine.now().plus_ms(lease_ms));
            let looking = tokio::spawn({
                let engine = engine.clone();
                async move { engine.sync(claim).await.unwrap() }
            });
            gate.reached().await;
            // Most of the lease has passed before it is renewed, and more than it when somebody else looks.
            h.pass_ms(lease_ms - 1);
            let renewed = async {
                loop {
                    let key = key.clone();
                    let row = engine.db().read("test", move |tx| aggregates::get(tx, &key)).await.unwrap();
                    if row.unwrap().lease_until > Some(first) {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(most, renewed).await.expect("the claim is held while the look goes on");
            h.pass_ms(lease_ms / 2);
            let others = h.another_engine().await.claim(100).await.unwrap();
            assert!(others.iter().all(|other| other.key != key), "nobody else begins the same");
            h.release_answers("/v1/subscriptions");
            gate.open();
            assert_eq!(looking.await.unwrap(), SyncEnd::Done);
        })
    })
    .await;
}
