//! First light: the path from a checkout to an entitlement, and the layers behind it.

use quittance_domain::Access;
use quittance_domain::checkout::CheckoutState;
use quittance_engine::progress::LongRun;
use quittance_engine::schedule::Schedule;
use quittance_engine::world::Point;
use quittance_engine::{ProblemCode, Settings};

use crate::house::{DAY, on_each, pro};

#[tokio::test]
async fn a_paid_checkout_becomes_an_entitlement_with_few_calls() {
    on_each(|h| {
        Box::pin(async move {
            assert!(!h.allowed("ada", "article:full").await);
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            assert_eq!(row.state, CheckoutState::Open);
            assert!(row.url.is_some());
            h.sandbox.reset_provider_calls();
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let answer = h.engine.check("ada", "article:full").await.unwrap();
            assert!(answer.allowed);
            assert_eq!(answer.access, Some(Access::Granted));
            assert_eq!(answer.plan.as_deref(), Some("pro"));
            assert!(answer.expires_at.is_some());
            assert!(h.calls() <= 2, "{:?}", h.sandbox.provider_calls());
            let done = h.engine.checkout_row(row.id.as_str()).await.unwrap();
            assert_eq!(done.state, CheckoutState::Complete);
        })
    })
    .await;
}

#[tokio::test]
async fn the_redirect_alone_makes_it_true_and_grants_nothing_by_itself() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let row = h.open(&pro("ada")).await;
            let session = row.session.clone().unwrap();
            let back = h.engine.checkout_returned(&session, 0).await.unwrap();
            h.engine.drain().await.unwrap();
            assert_eq!(back.state, CheckoutState::Open);
            assert!(!h.allowed("ada", "article:full").await, "coming back without paying gives nothing");
            h.pay(&session, "pm_card_visa");
            h.engine.checkout_returned(&session, 0).await.unwrap();
            h.engine.drain().await.unwrap();
            let back = h.engine.checkout_returned(&session, 0).await.unwrap();
            assert_eq!(back.state, CheckoutState::Complete);
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn the_sweep_alone_makes_it_true() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            let dry = h.engine.sweep(true, true).await.unwrap().unwrap();
            h.settle().await;
            assert_eq!(dry.unknown, 1);
            assert!(!h.allowed("ada", "article:full").await, "a dry run changes nothing");
            let report = h.engine.sweep(true, false).await.unwrap().unwrap();
            h.settle().await;
            assert_eq!(report.unknown, 1);
            assert!(report.missed_events > 3, "{report:?}");
            assert!(h.allowed("ada", "article:full").await);
            let again = h.engine.sweep(true, false).await.unwrap().unwrap();
            assert_eq!(
                (again.unknown, again.differing, again.missed_events),
                (0, 0, 0),
                "nothing is left to find"
            );
        })
    })
    .await;
}

/// A dry run that dies half-way leaves nothing behind that the next real run could take for its own work.
#[tokio::test]
async fn an_interrupted_dry_run_is_not_gone_on_with() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let gate = h.hold_point(Point::SweepCheckpointed);
            let engine = h.engine.clone();
            let dying = tokio::spawn(async move { engine.sweep(true, true).await });
            gate.reached().await;
            let state = h.engine.run_state(LongRun::Sweep).await.unwrap().unwrap();
            let progress = state.progress.unwrap();
            assert!(
                state.running && progress.step == "subscriptions" && progress.done == 1,
                "whoever asks sees how far it is: {progress:?}"
            );
            dying.abort();
            assert!(dying.await.unwrap_err().is_cancelled());
            h.release_point(Point::SweepCheckpointed);
            assert!(h.engine.sweep(true, false).await.unwrap().is_none(), "its lease still runs");
            h.pass_ms(h.engine.settings().retry.lease_ms + 1_000);
            let report = h.engine.sweep(true, false).await.unwrap().unwrap();
            assert_eq!(report.unknown, 1, "{report:?}");
            let state = h.engine.run_state(LongRun::Sweep).await.unwrap().unwrap();
            assert!(!state.running && state.finished_at.is_some(), "{state:?}");
            let dry = h.engine.sweep(true, true).await.unwrap().unwrap();
            assert_eq!((dry.subscriptions, dry.missed_events), (1, 0), "it counts its own only: {dry:?}");
        })
    })
    .await;
}

/// A node that stood still for longer than its lease does nothing more of a run that another one has taken over.
#[tokio::test]
async fn a_sweep_that_was_taken_over_stops() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let gate = h.hold_point(Point::SweepCheckpointed);
            let engine = h.engine.clone();
            let stalled = tokio::spawn(async move { engine.sweep(true, false).await });
            gate.reached().await;
            h.release_point(Point::SweepCheckpointed);
            h.pass_ms(h.engine.settings().retry.lease_ms + 1_000);
            let other = h.another_engine().await;
            assert!(other.sweep(true, false).await.unwrap().is_some());
            gate.open();
            let stopped = stalled.await.unwrap().unwrap_err();
            assert_eq!(stopped.code, ProblemCode::WrongState, "{stopped:?}");
        })
    })
    .await;
}

/// Nodes that meet at a due sweep are one sweep; one that is not due is none; and another schedule counts at once.
#[tokio::test]
async fn a_due_sweep_is_run_once_by_whoever_comes_first_and_a_new_schedule_counts_at_once() {
    on_each(|h| {
        Box::pin(async move {
            let rare = Settings { sweep_every_ms: 7 * DAY * 1_000, ..h.engine.settings().clone() };
            let (one, other) = (h.engine_with(rare.clone()).await, h.engine_with(rare).await);
            assert!(one.sweep(true, false).await.unwrap().is_some());
            h.pass_ms(7 * DAY * 1_000 + 1);
            let (first, second) = tokio::join!(one.sweep(false, false), other.sweep(false, false));
            let ran = [first.unwrap(), second.unwrap()].iter().flatten().count();
            assert_eq!(ran, 1, "exactly one");
            let nightly = Settings {
                sweep_schedule: Some(Schedule::parse("0 3 * * *", "Asia/Tokyo").unwrap()),
                ..h.engine.settings().clone()
            };
            let nightly = h.engine_with(nightly).await;
            assert!(nightly.sweep(false, false).await.unwrap().is_none(), "not due yet");
            nightly.follow_the_schedule().await.unwrap();
            let due = nightly.run_state(LongRun::Sweep).await.unwrap().unwrap().next_at;
            assert_eq!((due.seconds() + 9 * 3_600) % DAY, 3 * 3_600, "at three in Tokyo");
            assert!(due.since(nightly.now()) <= DAY * 1_000, "the next night, not the next week");
            h.pass_ms(due.since(nightly.now()));
            assert!(nightly.sweep(false, false).await.unwrap().is_some());
        })
    })
    .await;
}

/// What the provider does not list any more cannot give access; a dry run only tells of it.
#[tokio::test]
async fn a_sweep_finds_what_is_gone() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            h.pass_ms(3_600_000);
            h.sandbox.reset();
            let dry = h.engine.sweep(true, true).await.unwrap().unwrap();
            h.settle().await;
            assert_eq!(dry.gone, 1);
            assert!(h.allowed("ada", "article:full").await, "a dry run changes nothing");
            let report = h.engine.sweep(true, false).await.unwrap().unwrap();
            h.settle().await;
            assert_eq!(report.gone, 1);
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// SIGTERM with work waiting: nothing more is claimed, and what waits is the next process's.
#[tokio::test]
async fn a_backlog_does_not_keep_a_shutdown_waiting() {
    on_each(|h| {
        Box::pin(async move {
            let row = h.open(&pro("ada")).await;
            h.settle().await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.deliver().await;
            h.pass_ms(2_000);
            h.sandbox.reset_provider_calls();
            h.engine.clone().work_until(std::future::ready(())).await;
            assert_eq!(h.calls(), 0, "nothing was begun");
            h.engine.drain().await.unwrap();
            assert!(h.allowed("ada", "article:full").await, "nothing was lost");
        })
    })
    .await;
}

#[tokio::test]
async fn renewals_keep_access_and_a_lost_cancel_does_not() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            h.live(35).await;
            assert!(h.allowed("ada", "article:full").await, "renewed");
            h.drop_webhooks();
            h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
            h.sandbox.advance_time(DAY);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "nobody has told us yet");
            // A9: no event will ever come; the timer at the period's end looks by itself.
            h.live(62).await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

/// A sweep that runs by itself meets events that are on their way: they are looked into, and are no drift.
#[tokio::test]
async fn what_is_on_its_way_is_not_missed() {
    on_each(|h| {
        Box::pin(async move {
            for (buyer, old_s) in [("ada", 0), ("bob", 180)] {
                let row = h.open(&pro(buyer)).await;
                h.sandbox.advance_time(h.engine.settings().sweep_every_ms / 1_000);
                h.settle().await;
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                h.withhold();
                h.sandbox.advance_time(old_s);
                let report = h.engine.sweep(false, false).await.unwrap().unwrap();
                h.settle().await;
                assert!(h.allowed(buyer, "article:full").await, "it is looked into all the same");
                let missed = (report.missed_events > 3, report.findings > 0);
                assert_eq!(missed, (old_s > 0, old_s > 0), "{buyer}: {report:?}");
            }
        })
    })
    .await;
}
