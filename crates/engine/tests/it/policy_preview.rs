//! `quittance simulate --policy`: for each cause by which access can depend on the policy, who would gain or lose, and nothing changes.

use quittance_domain::access::{AccessPolicy, OnLatePayment, OnMoneyBack};
use quittance_domain::{Access, AccessPolicy as Policy};

use crate::house::{House, on_each};
use crate::known_kit::{bought_with, break_card, buyer_of, failing_subscriber, give_card};

const CAUSES: [&str; 9] = [
    "payment_failed",
    "refund_full",
    "refund_partial",
    "early_fraud_warning",
    "dispute_inquiry",
    "dispute_opened",
    "dispute_lost",
    "dispute_won",
    "late_payment",
];

/// Brings a customer to where only this cause decides.
async fn play(h: &House, cause: &str) {
    let answered = async |words: &str| {
        let (_, payment) = bought_with(h, "ada", "pm_card_createDispute").await;
        let found = h.provider("GET", "/v1/disputes", &format!("payment_intent={payment}"));
        let dispute = found["data"][0]["id"].as_str().unwrap().to_owned();
        let form = format!("evidence[uncategorized_text]={words}&submit=true");
        h.provider("POST", &format!("/v1/disputes/{dispute}"), &form);
        for _ in 0..3 {
            h.sandbox.advance_time(60);
            h.settle().await;
        }
    };
    match cause {
        "payment_failed" => drop(failing_subscriber(h, "ada").await),
        "refund_full" | "refund_partial" => {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let amount = if cause == "refund_partial" { "&amount=500" } else { "" };
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}{amount}"));
        }
        "early_fraud_warning" => drop(bought_with(h, "ada", "pm_card_createIssuerFraudRecord").await),
        "dispute_inquiry" => drop(bought_with(h, "ada", "pm_card_createDisputeInquiry").await),
        "dispute_opened" => drop(bought_with(h, "ada", "pm_card_createDispute").await),
        "dispute_lost" => answered("losing_evidence").await,
        "dispute_won" => answered("winning_evidence").await,
        "late_payment" => {
            let subscription = h.subscriber("ada").await;
            break_card(h, &subscription);
            let mut held = h.engine.subscription(&subscription).await.unwrap().subscription;
            for _ in 0..70 {
                if held.facts.status.is_final() {
                    break;
                }
                h.live(1).await;
                held = h.engine.subscription(&subscription).await.unwrap().subscription;
            }
            // It is over before the period is that is paid for now.
            assert!(held.facts.status.is_final(), "{:?}", held.facts.status);
            let owed = held.facts.latest_invoice.unwrap().id;
            let method = give_card(h, &buyer_of(h, &subscription), "pm_card_visa");
            h.provider("POST", &format!("/v1/invoices/{owed}/pay"), &format!("payment_method={method}"));
        }
        other => panic!("{other}"),
    }
    h.settle().await;
}

/// The policy in which only this cause does the opposite.
fn opposite(cause: &str) -> Policy {
    let mut policy = AccessPolicy::default();
    let turned = |now: OnMoneyBack| match now {
        OnMoneyBack::Revoke => OnMoneyBack::Keep,
        OnMoneyBack::Keep => OnMoneyBack::Revoke,
    };
    let money = &mut policy.money;
    match cause {
        "payment_failed" => policy.grace_days = 0,
        "refund_full" => money.refund_full = turned(money.refund_full),
        "refund_partial" => money.refund_partial = turned(money.refund_partial),
        "early_fraud_warning" => money.early_fraud_warning = turned(money.early_fraud_warning),
        "dispute_inquiry" => money.dispute_inquiry = turned(money.dispute_inquiry),
        "dispute_opened" => money.dispute_opened = turned(money.dispute_opened),
        "dispute_lost" => money.dispute_lost = turned(money.dispute_lost),
        "dispute_won" => money.dispute_won = turned(money.dispute_won),
        "late_payment" => money.late_payment = OnLatePayment::Grant,
        other => panic!("{other}"),
    }
    policy
}

#[tokio::test]
async fn each_cause_shows_whom_another_policy_would_let_in_or_shut_out() {
    for cause in CAUSES {
        on_each(|h| {
            Box::pin(async move {
                play(h, cause).await;
                // Somebody else, to whom nothing happened.
                h.subscriber("bob").await;
                h.settle().await;
                let before = h.allowed("ada", "article:full").await;
                let same = h.engine.preview_policy(&Policy::default(), 10, &|_| ()).await.unwrap();
                assert_eq!((same.looked_at, same.affected.len()), (2, 0), "{cause}: {same:?}");
                let other = h.engine.preview_policy(&opposite(cause), 10, &|_| ()).await.unwrap();
                let wanted = if before { (0, 1, 0) } else { (1, 0, 0) };
                assert_eq!((other.gain, other.lose, other.other), wanted, "{cause}: {other:?}");
                let [affected] = &other.affected[..] else { panic!("{cause}: {other:?}") };
                assert_eq!(affected.customer.as_deref(), Some("ada"), "{cause}");
                let now: Access = affected.differs.before;
                assert_eq!((now.allows(), affected.differs.after.allows()), (before, !before), "{cause}");
                // What the other causes do is the same in both.
                for another in CAUSES.iter().filter(|another| **another != cause) {
                    let shown = h.engine.preview_policy(&opposite(another), 10, &|_| ()).await.unwrap();
                    assert!(shown.affected.is_empty(), "{cause} under another {another}: {shown:?}");
                }
                assert_eq!(h.allowed("ada", "article:full").await, before, "{cause}: nothing was changed");
                assert!(h.allowed("bob", "article:full").await);
            })
        })
        .await;
    }
}
