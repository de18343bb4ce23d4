//! "Read your payment": whoever has just paid never gets a stale no, with webhooks late, workers slow and several nodes.

use std::time::Duration;

use quittance_engine::freshness::Freshness;
use quittance_engine::world::Point;
use quittance_engine::{Engine, ProblemCode};

use crate::house::{House, customer, on_each, pro};

const FEATURE: &str = "article:full";

/// The worker of a node, until it is told to stop.
struct Worker(tokio::task::JoinHandle<()>);

impl Worker {
    fn start(engine: &Engine) -> Self {
        let engine = engine.clone();
        Self(tokio::spawn(async move { engine.work_until(std::future::pending()).await }))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks with the mark of each answer, as a caller does, until the answer includes `after`. The house's clock runs ahead of a
/// worker on a busy machine, so that one wait may be over before the worker has done anything.
async fn caught_up(engine: &Engine, after: &str) {
    let asked = async {
        let mut after = after.to_owned();
        while let Freshness::Waiting(mark) =
            engine.catch_up(&customer("ada"), &after, Some(30_000)).await.unwrap()
        {
            after = mark;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.expect("somebody looks");
}

/// Somebody who has paid, of whom no webhook tells.
async fn paid(h: &House) -> quittance_store::checkouts::CheckoutRow {
    h.drop_webhooks();
    let row = h.open(&pro("ada")).await;
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    row
}

#[tokio::test]
async fn who_has_paid_gets_a_yes_before_any_webhook_on_any_node() {
    on_each(|h| {
        Box::pin(async move {
            let row = paid(h).await;
            let other = h.another_engine().await;
            assert!(!other.check("ada", FEATURE).await.unwrap().allowed, "the no is in its memory");
            assert!(!h.allowed("ada", FEATURE).await);
            // One node asks and the other works; the one that asks does not even hear of the change.
            let _worker = Worker::start(&h.engine);
            for after in [row.session.as_deref().unwrap(), row.id.as_str(), "evt_that_never_arrived"] {
                caught_up(&other, after).await;
                assert!(other.check("ada", FEATURE).await.unwrap().allowed, "{after}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_slow_worker_is_waited_for_within_bounds_and_the_mark_goes_on() {
    on_each(|h| {
        Box::pin(async move {
            // The worker's first sweep would find what was bought, too.
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            let row = paid(h).await;
            let gate = h.hold_point(Point::SyncFetched);
            let _worker = Worker::start(&h.engine);
            let other = h.another_engine().await;
            let ada = customer("ada");
            let fresh = other.catch_up(&ada, row.id.as_str(), Some(100)).await.unwrap();
            let mark = fresh.mark().expect("the worker stands").to_owned();
            assert!(fresh.is_pending() && !other.check("ada", FEATURE).await.unwrap().allowed);
            gate.reached().await;
            h.release_point(Point::SyncFetched);
            gate.open();
            let wanted = async || {
                let (id, key) = mark
                    .trim_start_matches("mark_")
                    .split_once('_')
                    .map(|(_, id)| (id, h.engine.scope().clone()))
                    .unwrap();
                let key = quittance_domain::AggregateKey::customer(key, id).to_string();
                let row = h
                    .engine
                    .db()
                    .read("test", move |tx| quittance_store::aggregates::get(tx, &key))
                    .await
                    .unwrap();
                row.unwrap().wanted
            };
            let before = wanted().await;
            caught_up(&other, &mark).await;
            assert!(other.check("ada", FEATURE).await.unwrap().allowed);
            assert_eq!(wanted().await, before, "the mark waits for the look that was made, and makes none");
        })
    })
    .await;
}

#[tokio::test]
async fn an_event_that_waits_for_its_burst_is_not_waited_for() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.deliver().await;
            let events = h.engine.events(i64::MAX, None, 50).await.unwrap();
            let event = events.iter().find(|e| e.event_type == "checkout.session.completed").unwrap();
            assert!(!event.processed && !h.allowed("ada", FEATURE).await);
            let _worker = Worker::start(&h.engine);
            caught_up(&h.engine, &event.event_id).await;
            assert!(h.allowed("ada", FEATURE).await);
            h.engine.put_customer(&customer("eve"), Default::default()).await.unwrap();
            for after in [event.event_id.as_str(), row.id.as_str()] {
                let problem = h.engine.catch_up(&customer("eve"), after, Some(0)).await.unwrap_err();
                assert_eq!(problem.code, ProblemCode::NotFound, "{after} is ada's");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn what_names_nothing_is_refused_and_nothing_is_waited_for_where_nothing_can_come() {
    on_each(|h| {
        Box::pin(async move {
            let ada = customer("ada");
            for (after, code) in [
                ("", ProblemCode::InvalidRequest),
                ("soon", ProblemCode::InvalidRequest),
                ("mark_", ProblemCode::InvalidRequest),
                ("mark_x_cus_1", ProblemCode::InvalidRequest),
                ("mark_1_cus_1", ProblemCode::NotFound),
                ("chk_00000000000000000000000000", ProblemCode::NotFound),
            ] {
                assert_eq!(h.engine.catch_up(&ada, after, None).await.unwrap_err().code, code, "{after}");
            }
            let too_long = h.engine.catch_up(&ada, "evt_1", Some(30_001)).await.unwrap_err();
            assert_eq!(too_long.code, ProblemCode::InvalidRequest);
            assert_eq!(h.engine.catch_up(&ada, "evt_1", Some(0)).await.unwrap(), Freshness::Reached);
            // A mark that was never given is never reached.
            h.subscriber("ada").await;
            let id = h.engine.provider_customer(&ada).await.unwrap();
            let problem = h.engine.catch_up(&ada, &format!("mark_999_{id}"), Some(0)).await.unwrap_err();
            assert_eq!(problem.code, ProblemCode::NotFound);
        })
    })
    .await;
}
