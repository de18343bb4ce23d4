//! The ledger held against the provider by the clock, and what operators are told of it.

use quittance_domain::ledger::Account;
use quittance_domain::ledger::balance::{PayoutFacts, arrival};
use quittance_domain::{Currency, Money, Timestamp};
use quittance_engine::ledger::Reason;
use quittance_store::ledger;
use serde_json::{Value, json};

use crate::house::{House, on_each};
use crate::known_kit::{on_each_bent, standing_alerts};
use crate::ledger::{look, yen};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

async fn differs(h: &House) -> bool {
    assert_eq!(
        standing_alerts(h).await.contains(&"ledger_differs".to_owned()),
        h.engine.ledger_differs().await.unwrap()
    );
    h.engine.ledger_differs().await.unwrap()
}

#[tokio::test]
async fn the_ledger_is_held_against_the_provider_once_a_day() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            look(h).await;
            assert_eq!(h.engine.last_tie_out().await.unwrap(), None);
            let tied = h.engine.tie_out_by_the_clock().await.unwrap().expect("due");
            assert!(tied.agrees(), "{tied:?}");
            let (at, last) = h.engine.last_tie_out().await.unwrap().unwrap();
            assert!(last.agrees && at <= h.engine.now());
            assert!(h.engine.tie_out_by_the_clock().await.unwrap().is_none(), "once");
            h.pass_ms(DAY_MS);
            h.sandbox.advance_time(1);
            look(h).await;
            h.sandbox.reset_provider_calls();
            let tied = h.engine.tie_out_by_the_clock().await.unwrap().expect("a day later");
            assert!(tied.agrees(), "{tied:?}");
            let calls = h.sandbox.provider_calls();
            for call in ["GET /v1/balance", "GET /v1/balance_transactions", "GET /v1/payouts"] {
                assert_eq!(calls.get(call), Some(&1), "{calls:?}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_difference_that_stays_is_told_with_the_command_that_mends_it_and_is_over_by_itself() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            h.subscriber("ada").await;
            // For a while the provider does not list the charge, and its balance has it.
            bent.bend(|target, body| {
                if target.starts_with("/v1/balance_transactions") {
                    body["data"] = json!([]);
                }
            });
            look(h).await;
            let tied = h.engine.tie_out_by_the_clock().await.unwrap().expect("due");
            assert!(!tied.agrees());
            assert!(!differs(h).await, "it may only be late");
            h.pass_ms(11 * MINUTE_MS);
            look(h).await;
            h.engine.tie_out_by_the_clock().await.unwrap().expect("soon again");
            assert!(differs(h).await);
            let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "ledger_differs").unwrap();
            assert!(alert.mend.contains("quittance ledger tie-out --mend"), "{}", alert.mend);
            assert!(alert.detail.contains("jpy"), "{}", alert.detail);

            // What the look has asked to be read again is posted, and the next one finds nothing.
            bent.straighten();
            h.engine.post_again(0).await.unwrap();
            look(h).await;
            h.pass_ms(11 * MINUTE_MS);
            let tied = h.engine.tie_out_by_the_clock().await.unwrap().expect("soon again");
            assert!(tied.agrees(), "{tied:?}");
            assert!(!differs(h).await);
        })
    })
    .await;
}

/// One that was merely late is posted by the look that the first difference asks for.
#[tokio::test]
async fn what_was_only_late_is_nobodys_business() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            assert_eq!(yen(h, Account::ProviderBalance).await, 0, "the money may be a little behind");
            assert!(!h.engine.tie_out_by_the_clock().await.unwrap().expect("due").agrees());
            assert!(!differs(h).await, "one look proves nothing");
            h.pass_ms(11 * MINUTE_MS);
            look(h).await;
            assert!(h.engine.tie_out_by_the_clock().await.unwrap().expect("soon again").agrees());
            assert!(!differs(h).await);
        })
    })
    .await;
}

/// A payout that was noted with another amount than arrived is seen, and mended by looking again.
#[tokio::test]
async fn payouts_are_compared_by_their_amounts() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            h.subscriber("ada").await;
            look(h).await;
            let payout = |status: &str, amount: i64| -> Value {
                json!({ "id": "po_1", "object": "payout", "status": status, "livemode": false, "amount": amount,
                    "currency": "jpy", "arrival_date": crate::house::START + 120, "created": crate::house::START + 60 })
            };
            let paid = payout("paid", 1_000);
            bent.bend(move |target, body| {
                if target.starts_with("/v1/payouts") {
                    body["data"] = json!([paid]);
                }
            });
            let facts = PayoutFacts {
                id: "po_1".into(),
                arrived: true,
                amount: Money::new(900, Currency::parse("jpy").unwrap()),
                at: Timestamp::from_seconds(crate::house::START + 120),
            };
            let record = arrival(&h.engine.scope().to_string(), &facts).unwrap();
            let now = h.engine.now();
            h.test.db.write("test.payout", move |tx| ledger::record(tx, std::slice::from_ref(&record), now)).await.unwrap();
            let tied = h.engine.tie_out(false).await.unwrap();
            let found: Vec<_> =
                tied.lines.iter().map(|l| (l.reason, l.object.as_str(), l.provider, l.ledger)).collect();
            assert_eq!(found, [(Reason::ArrivedOtherwise, "po_1", 1_000, 900)]);
            assert!(!tied.agrees(), "though the sums do: {tied:?}");
            h.engine.post_again(0).await.unwrap();
            look(h).await;
            assert!(h.engine.tie_out(false).await.unwrap().agrees());
            assert_eq!(yen(h, Account::Bank).await, 1_000);

            let back = payout("failed", 1_000);
            bent.bend(move |target, body| {
                if target.starts_with("/v1/payouts") {
                    body["data"] = json!([back]);
                }
            });
            let tied = h.engine.tie_out(false).await.unwrap();
            assert_eq!(tied.lines.iter().map(|l| l.reason).collect::<Vec<_>>(), [Reason::NotArrived]);
        })
    })
    .await;
}
