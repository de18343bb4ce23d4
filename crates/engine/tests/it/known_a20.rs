//! A20 and A21: other people's objects, and money that goes back.

use quittance_domain::Access;
use quittance_engine::ProblemCode;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::PortalStart;
use quittance_engine::grants::NewGrant;
use serde_json::json;

use crate::house::{DAY, customer, on_each, pro};
use crate::known_kit::*;

#[tokio::test]
async fn a20_one_customer_reaches_nothing_of_another() {
    on_each(|h| {
        Box::pin(async move {
            let ada = h.subscriber("ada").await;
            h.subscriber("eve").await;
            for start in [PortalStart::Cancel(ada.clone()), PortalStart::Change(ada.clone())] {
                h.sandbox.reset_provider_calls();
                let refused = h.engine.open_portal(&customer("eve"), None, start).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::NotFound, "{refused:?}");
                assert_eq!(h.calls(), 0, "refused here, not left to the provider");
            }
            let own = PortalStart::Cancel(ada.clone());
            assert!(h.engine.open_portal(&customer("ada"), None, own).await.is_ok());
            let gift = NewGrant {
                plan: Some("studio".into()),
                feature: None,
                limit: None,
                expires_at: None,
                reason: "test".into(),
                idempotency: None,
            };
            let grant = h.engine.grant(&customer("ada"), &gift, &operator()).await.unwrap();
            let refused = h.engine.revoke_grant(&customer("eve"), grant.id.as_str(), &operator()).await;
            assert_eq!(refused.unwrap_err().code, ProblemCode::NotFound);
            assert!(h.allowed("ada", "team:seats").await && !h.allowed("eve", "team:seats").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a21_e11_refunds_end_access_only_when_all_the_money_is_back() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            for (amount, allowed) in [(80, true), (1_000, true), (900, false)] {
                h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&amount={amount}"));
                h.settle().await;
                assert_eq!(h.allowed("ada", "article:full").await, allowed, "{amount}");
            }
            assert_ne!(lines_of(h, "ada", "payment.money_changed").await, 0);
            // The next period is paid for anew.
            h.live(30).await;
            assert!(h.allowed("ada", "article:full").await);
            // A refund that the bank sends back leaves the money here.
            let (_, payment) = bought_with(h, "eve", "pm_card_refundFail").await;
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            h.settle().await;
            h.live(10).await;
            let refunds = h.sandbox.ledger().customers.iter().flat_map(|c| c.refunds.clone()).last().unwrap();
            assert_eq!(refunds.status, "failed");
            assert!(h.allowed("eve", "article:full").await);
            // What was bought once goes with its money, and nothing else does.
            let wish = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
            let row = h.open(&wish).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert!(h.allowed("ada", "course:library").await);
            let buyer = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            let form = format!("payment_intent={}", newest_payment(h, &buyer));
            h.provider("POST", "/v1/refunds", &form);
            h.settle().await;
            assert!(!h.allowed("ada", "course:library").await);
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a21_e11_disputes_suspend_until_they_are_won() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            // The provider goes on calling a charge disputed after the dispute was won; the sandbox does not.
            bent.bend(|target, body| {
                if target.starts_with("/v1/charges?") {
                    for charge in body["data"].as_array_mut().unwrap() {
                        charge["disputed"] = json!(true);
                    }
                }
            });
            for (id, evidence, allowed) in
                [("ada", "winning_evidence", true), ("eve", "losing_evidence", false)]
            {
                let (_, payment) = bought_with(h, id, "pm_card_createDispute").await;
                assert!(!h.allowed(id, "article:full").await, "opened");
                let found = h.provider("GET", "/v1/disputes", &format!("payment_intent={payment}"));
                assert_eq!(found["data"].as_array().unwrap().len(), 1);
                let dispute = text(&found["data"][0]["id"]);
                let form = format!("evidence[uncategorized_text]={evidence}&submit=true");
                h.provider("POST", &format!("/v1/disputes/{dispute}"), &form);
                h.settle().await;
                assert_eq!(h.allowed(id, "article:full").await, allowed, "{evidence}");
            }
            bought_with(h, "bob", "pm_card_createDisputeInquiry").await;
            assert!(h.allowed("bob", "article:full").await, "an inquiry takes no money");
        })
    })
    .await;
}

/// The money came back, and only one of many events says so.
#[tokio::test]
async fn a21_a_refund_behind_a_long_burst_is_seen() {
    on_each(|h| {
        Box::pin(async move {
            let (buyer, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let id =
                text(&h.provider("GET", "/v1/subscriptions", &format!("customer={buyer}"))["data"][0]["id"]);
            for n in 0..60 {
                h.provider("POST", &format!("/v1/subscriptions/{id}"), &format!("metadata[n]={n}"));
            }
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
            // The endpoint is not subscribed to the refund's own events.
            for delivery in h.withhold().iter().filter(|d| !d.event_type.starts_with("refund.")) {
                h.hand_in(delivery).await.unwrap();
            }
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a21_paused_resumed_and_deleted() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let path = format!("/v1/subscriptions/{id}");
            for (call, access) in [("pause", Access::Revoked), ("resume", Access::Granted)] {
                h.provider("POST", &format!("{path}/{call}"), "");
                h.settle().await;
                assert_eq!(
                    h.engine.check("ada", "article:full").await.unwrap().access,
                    Some(access),
                    "{call}"
                );
            }
            h.provider("DELETE", &format!("/v1/customers/{}", buyer_of(h, &id)), "");
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await && h.allowed("ada", "article:preview").await);
            assert!(nothing_parked(h).await);
            h.sandbox.advance_time(40 * DAY);
            h.settle().await;
            assert!(nothing_parked(h).await, "nor later");
        })
    })
    .await;
}
