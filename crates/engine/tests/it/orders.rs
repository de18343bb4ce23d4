//! Commands that are late: whatever arrives last, the last wish holds.

use quittance_engine::commands::request::CancelAt;
use quittance_engine::problem::ProblemCode;

use crate::house::{House, Trouble, on_each, pro};

fn ends(h: &House, id: &str) -> bool {
    let ledger = h.sandbox.ledger();
    let found = ledger.customers.iter().flat_map(|c| &c.subscriptions).find(|s| s.id == id);
    found.unwrap().cancel_at_period_end
}

#[tokio::test]
async fn a_resume_that_nobody_heard_of_never_undoes_a_later_cancel() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::LostBefore, 100);
            assert!(
                h.engine.resume_subscription(&id, None).await.is_err(),
                "it is finished in the background"
            );
            h.transport.mend();
            h.pass_ms(60_000);
            // The mirror still shows the end: only the order of the commands tells what is to come.
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            assert!(ends(h, &id));
            for _ in 0..5 {
                h.pass_ms(3_600_000);
                h.settle().await;
            }
            assert!(ends(h, &id), "or else the renewal is charged");
        })
    })
    .await;
}

#[tokio::test]
async fn a_cancel_and_a_resume_are_asked_although_the_mirror_shows_them_as_done() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            h.drop_webhooks();
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=false");
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            assert!(ends(h, &id));
            h.engine.resume_subscription(&id, None).await.unwrap();
            h.settle().await;
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            h.engine.resume_subscription(&id, None).await.unwrap();
            assert!(!ends(h, &id));
        })
    })
    .await;
}

#[tokio::test]
async fn a_key_rests_before_it_turns() {
    on_each(|h| {
        Box::pin(async move {
            let customers = || {
                let all = h.provider("GET", "/v1/customers", "limit=100");
                all["data"].as_array().unwrap().len()
            };
            h.trouble("POST /v1/customers", Trouble::LostBefore, 100);
            h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            h.transport.mend();
            h.pass_ms((23 * 60 - 5) * 60_000);
            let resting = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(resting.code, ProblemCode::OutcomePending);
            assert!(resting.retry_after_s.is_some_and(|wait| wait <= 300), "{resting:?}");
            assert_eq!(customers(), 0, "a request with the old key could still arrive");
            h.pass_ms(5 * 60_000);
            h.open(&pro("ada")).await;
            assert_eq!(customers(), 1);
        })
    })
    .await;
}
