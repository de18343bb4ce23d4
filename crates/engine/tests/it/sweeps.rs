//! How a sweep walks: an interrupted one goes on where it was, in the events as in the subscriptions.

use quittance_domain::drift::DriftKind;

use crate::house::{House, Trouble, on_each};
use crate::known_kit::{foreign_buyer, foreign_subscription, price_id};

/// Pages that a list of so many objects has.
fn pages(objects: usize) -> u64 {
    objects.div_ceil(100).max(1) as u64
}

fn calls_of(h: &House, endpoint: &str) -> u64 {
    let calls = h.sandbox.provider_calls();
    calls.iter().filter(|(name, _)| name.ends_with(endpoint)).map(|(_, count)| *count).sum()
}

#[tokio::test]
async fn an_interrupted_sweep_reads_no_event_twice_and_misses_none() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let price = price_id(h, "pro_month_jpy");
            let (mut ids, told) = (Vec::new(), h.sandbox.events_made());
            while h.sandbox.events_made() < 250 {
                let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]=user_{}", ids.len()));
                ids.push(foreign_subscription(h, &buyer, &price, ""));
            }
            h.sandbox.reset_provider_calls();
            // The first page is kept, and the second one does not come.
            h.trouble("starting_after=evt", Trouble::Status(500), 1);
            h.engine.sweep(true, false).await.expect_err("interrupted");
            let report = h.engine.sweep(true, false).await.unwrap().unwrap();
            let events = usize::try_from(report.events).unwrap();
            assert!(events >= 250, "{report:?}");
            assert_eq!(report.missed_events, report.events - told, "none of the new ones had come");
            // What was refused never reached the provider.
            assert_eq!(calls_of(h, "/v1/events"), pages(events), "each page once");
            let listed = [events, ids.len(), ids.len()];
            assert_eq!(report.calls, listed.map(pages).iter().sum::<u64>(), "as many calls as pages");
            h.settle().await;
            for n in 0..ids.len() {
                assert!(h.allowed(&format!("user_{n}"), "article:full").await, "user_{n}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_sweep_compares_each_subscription_and_each_customer_once() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let price = price_id(h, "pro_month_jpy");
            for n in 0..101 {
                let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]=user_{n}"));
                foreign_subscription(h, &buyer, &price, "");
            }
            h.sandbox.reset_provider_calls();
            for list in ["starting_after=sub", "starting_after=cus"] {
                h.trouble(list, Trouble::Status(500), 1);
                h.engine.sweep(true, false).await.expect_err("interrupted");
            }
            let report = h.engine.sweep(true, false).await.unwrap().unwrap();
            assert_eq!((report.subscriptions, report.customers), (101, 101), "{report:?}");
            assert_eq!((report.unknown, report.under_way), (101, 0), "{report:?}");
            // What the events told before the interruption explains what was compared after it.
            let found = h.engine.drift(true, Some(DriftKind::Unknown), i64::MAX, 1_000).await.unwrap();
            assert_eq!(found.len(), 101);
            assert!(found.iter().all(|row| row.cause == "missed_event"), "{:?}", found.last());
            assert_eq!((calls_of(h, "/v1/subscriptions"), calls_of(h, "/v1/customers")), (2, 2));
            h.settle().await;
            let again = h.engine.sweep(true, false).await.unwrap().unwrap();
            assert_eq!((again.findings, again.missed_events), (0, 0), "{again:?}");
        })
    })
    .await;
}

/// The object that a list was left off at can be gone by the time that it goes on.
#[tokio::test]
async fn a_place_that_the_provider_has_no_more_begins_the_list_anew() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            for n in 0..101 {
                foreign_buyer(h, &format!("metadata[quittance_customer]=user_{n}"));
            }
            h.drop_webhooks();
            h.trouble("starting_after=cus", Trouble::Status(500), 1);
            h.engine.sweep(true, false).await.expect_err("interrupted");
            h.sandbox.reset();
            foreign_buyer(h, "metadata[quittance_customer]=bob");
            let report = h.engine.sweep(true, false).await.unwrap().unwrap();
            assert_eq!(report.customers, 1, "{report:?}");
        })
    })
    .await;
}
