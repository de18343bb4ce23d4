//! Every fault at every call once: the path ends the same, once.

use serde_json::json;

use crate::house::{Trouble, on_each, pro};
use crate::known_kit::{event, hand_raw};

#[tokio::test]
async fn e9_one_fault_at_any_call_changes_nothing_but_the_time_it_takes() {
    on_each(|h| {
        Box::pin(async move {
            let calls = [
                "POST /v1/customers",
                "GET /v1/prices",
                "POST /v1/checkout/sessions",
                "GET /v1/subscriptions",
                "GET /v1/account",
            ];
            let troubles = [
                Trouble::LostBefore,
                Trouble::LostAfter,
                Trouble::Status(500),
                Trouble::Status(409),
                Trouble::Status(429),
                Trouble::Status(502),
            ];
            for (c, call) in calls.iter().enumerate() {
                for (t, trouble) in troubles.iter().enumerate() {
                    let id = format!("buyer-{c}-{t}");
                    h.trouble(call, *trouble, 1);
                    let row = match h.engine.open_checkout(&pro(&id)).await {
                        Ok(row) => row,
                        // A read is not repeated for the caller: the same request again is what the problem says.
                        Err(problem) => {
                            assert!(problem.retry_after_s.is_some(), "{call} {trouble:?}: {problem:?}");
                            h.pass_ms(15_000);
                            h.open(&pro(&id)).await
                        }
                    };
                    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                    h.settle().await;
                    for _ in 0..5 {
                        h.pass_ms(60_000);
                        h.settle().await;
                    }
                    assert!(h.allowed(&id, "article:full").await, "{call} {trouble:?}");
                    let made: Vec<_> = h
                        .sandbox
                        .ledger()
                        .customers
                        .into_iter()
                        .filter(|c| c.metadata.get("quittance_customer") == Some(&id))
                        .collect();
                    assert_eq!(made.len(), 1, "{call} {trouble:?}: one customer");
                    assert_eq!(made[0].subscriptions.len(), 1, "{call} {trouble:?}: one subscription");
                    assert_eq!(
                        made[0].charges.iter().filter(|c| c.paid).count(),
                        1,
                        "{call} {trouble:?}: one charge"
                    );
                }
            }
        })
    })
    .await;
}

/// A call that is refused before it is sent has failed like any other: it is not merely held back.
#[tokio::test]
async fn an_id_that_no_object_can_have_is_parked_and_not_tried_for_ever() {
    on_each(|h| {
        Box::pin(async move {
            let object = json!({ "object": "refund", "id": "re_1", "payment_intent": "pi 1" });
            hand_raw(h, &event("evt_odd", "refund.updated", &object)).await.unwrap();
            for _ in 0..10 {
                h.pass_ms(60_000);
                h.engine.drain().await.unwrap();
            }
            assert_eq!(h.engine.parked(10).await.unwrap().aggregates.len(), 1);
        })
    })
    .await;
}
