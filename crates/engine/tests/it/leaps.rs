//! The clock leaps months ahead, and back: what is due is told once and not lost, and what is read is right at that second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quittance_domain::Access;
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_engine::Engine;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_store::deliveries::{DeliveryRow, Filter};

use crate::app_kit::{accesses, told};
use crate::house::{DAY, House, on_each};
use crate::known_kit::{self, break_card};

const DAY_MS: i64 = DAY * 1_000;

/// Counts what it carries.
#[derive(Default)]
struct Counting(Mutex<BTreeMap<String, usize>>);

impl Courier for Counting {
    fn deliver<'a>(&'a self, _: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        *self.0.lock().unwrap().entry(parcel.key.clone()).or_default() += 1;
        Box::pin(async { Outcome::Delivered { detail: "taken".into() } })
    }
}

async fn access(h: &House) -> Access {
    h.engine.check("ada", "article:full").await.unwrap().access.unwrap_or(Access::Revoked)
}

/// Natural keys of all that was written down for somebody or something, each with how often.
async fn written(h: &House) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for notice in known_kit::told(h, "ada", None).await {
        let key = format!("notice {} {} {}", notice.kind.as_str(), notice.object, notice.occurrence);
        *all.entry(key).or_default() += 1;
    }
    for event in told(h, "ada").await {
        *all.entry(format!("app {}", event["id"])).or_default() += 1;
    }
    all
}

/// Ours leaps, the provider's stays: only our clock is wrong, as after a virtual machine was asleep.
fn leap(h: &House, days: i64) {
    h.pass_ms(days * DAY_MS);
}

#[tokio::test]
async fn a_leap_ahead_tells_everything_once_and_reads_right_at_once() {
    on_each(|h| {
        Box::pin(async move {
            let mails = Arc::new(Counting::default());
            let _same = h.engine.clone().with_courier(Channel::Mail, mails.clone());
            let id = h.subscriber("ada").await;
            break_card(h, &id);
            h.settle().await;
            // Five months at once: provider and we, with every webhook of them late.
            h.sandbox.advance_time(150 * DAY);
            assert_ne!(access(h).await, Access::Granted, "before anything is delivered or looked at");
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!(row.facts.status.as_str(), "canceled");
            assert_eq!(access(h).await, Access::Revoked);
            let all = written(h).await;
            assert!(all.values().all(|count| *count == 1), "{all:?}");
            let ended = all.keys().filter(|key| key.starts_with("notice subscription_cancelled")).count();
            assert_eq!(ended, 1, "what it came to is told: {all:?}");
            let words = accesses(&told(h, "ada").await);
            assert_eq!(words.last().map(|(_, to, _)| to.as_str()), Some("revoked"), "{words:?}");
            // Nothing of it is told again, however often and from wherever it is looked at.
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            let other = h.another_engine().await;
            other.drain().await.unwrap();
            assert_eq!(written(h).await, all);
            assert!(mails.0.lock().unwrap().values().all(|count| *count == 1));
        })
    })
    .await;
}

#[tokio::test]
async fn a_planned_end_is_exact_across_a_leap() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            let end = h.engine.subscription(&id).await.unwrap().subscription.facts.ends_at().unwrap();
            let before = end.since(h.engine.now()) - 1;
            h.pass_ms(before);
            assert_eq!(access(h).await, Access::Granted, "a millisecond before");
            h.pass_ms(1);
            assert_eq!(access(h).await, Access::Revoked, "by itself");
            h.engine.drain().await.unwrap();
            let heard = accesses(&told(h, "ada").await);
            let word = heard.last().map(|(from, to, _)| (from.as_str(), to.as_str()));
            assert_eq!(word, Some(("granted", "revoked")), "the app hears of it without the provider");
            leap(h, 200);
            h.engine.drain().await.unwrap();
            h.settle().await;
            assert_eq!(accesses(&told(h, "ada").await).len(), heard.len(), "and once");
        })
    })
    .await;
}

/// Our clock alone runs ahead, work is done by it, and it is set right again.
#[tokio::test]
async fn a_clock_that_is_set_back_repeats_nothing_and_stops_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let mails = Arc::new(Counting::default());
            let _same = h.engine.clone().with_courier(Channel::Mail, mails.clone());
            let id = h.subscriber("ada").await;
            h.settle().await;
            let before = written(h).await;
            leap(h, 90);
            assert_ne!(access(h).await, Access::Granted, "by that clock nobody has confirmed a renewal");
            // What works is our side alone: the provider's clock has not moved.
            h.engine.drain().await.unwrap();
            h.engine.sweep(true, false).await.unwrap();
            h.engine.drain().await.unwrap();
            leap(h, -90);
            assert_eq!(access(h).await, Access::Granted, "read right at once, by the clock of now");
            // Told of what it took for an end, and told that it was none: no more than that, and nothing twice.
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            assert_eq!(access(h).await, Access::Granted);
            let heard = accesses(&told(h, "ada").await);
            assert_eq!(heard.last().map(|(_, to, _)| to.as_str()), Some("granted"), "{heard:?}");
            let all = written(h).await;
            assert!(before.keys().all(|key| all.contains_key(key)) && all.values().all(|count| *count == 1));
            // And life goes on from there: the renewal comes, is charged once, and is told once.
            h.live(32).await;
            let row = h.engine.subscription(&id).await.unwrap().subscription;
            assert_eq!(row.facts.status.as_str(), "active");
            let charges: usize = h.sandbox.ledger().customers.iter().map(|c| c.charges.len()).sum();
            assert_eq!(charges, 2, "the purchase and one renewal");
            let receipts =
                known_kit::told(h, "ada", Some(quittance_domain::notices::NoticeKind::Receipt)).await;
            assert_eq!(receipts.len(), 2);
            let pending = Filter { state: Some(DeliveryState::Pending), ..Filter::default() };
            assert!(h.engine.deliveries(pending, i64::MAX, 50).await.unwrap().is_empty(), "nothing is stuck");
            assert!(mails.0.lock().unwrap().values().all(|count| *count == 1));
        })
    })
    .await;
}
