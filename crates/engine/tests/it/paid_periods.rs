//! What was bought is a period, and the newest invoice need not be the one that bills it: changes have invoices of their own,
//! and one that was never paid may lie behind a later one that was.

use quittance_domain::{Access, Timestamp};
use quittance_engine::subscriptions::Change;
use serde_json::json;

use crate::house::{House, on_each};
use crate::known_kit::{
    attempt, break_card, buyer_of, newest_invoice, newest_payment, retry_settings, use_card,
};

const DAY: i64 = 86_400;

async fn access(h: &House) -> (bool, Option<Access>) {
    let answer = h.engine.check("ada", "article:full").await.unwrap();
    (answer.allowed, answer.access)
}

fn end_of(h: &House, subscription: &str) -> i64 {
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    found["items"]["data"][0]["current_period_end"].as_i64().unwrap()
}

/// Adds a unit now, for which an invoice of its own is made; its id.
fn one_more(h: &House, subscription: &str) -> String {
    let item =
        h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "")["items"]["data"][0]["id"].clone();
    let form = format!(
        "items[0][id]={}&items[0][quantity]=2&proration_behavior=always_invoice",
        item.as_str().unwrap()
    );
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
    newest_invoice(h, subscription)
}

#[tokio::test]
async fn a_pause_uses_up_the_paid_period_while_a_change_is_unpaid() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let end = end_of(h, &id);
            h.sandbox.advance_time(DAY);
            use_card(h, &id, "pm_card_authenticationRequired");
            h.settle().await;
            let wanted = Change { plan: Some("studio".into()), ..Change::default() };
            h.engine.change_subscription(&id, &wanted, None).await.unwrap();
            h.settle().await;
            let open = newest_invoice(h, &id);
            assert_eq!(h.provider("GET", &format!("/v1/invoices/{open}"), "")["status"], "open");
            h.engine.pause_subscription(&id, None, None).await.unwrap();
            h.settle().await;
            assert_eq!(access(h).await, (true, Some(Access::Granted)), "the period is paid");
            // The change lapses, its invoice is void, and still the period is paid to its last second.
            h.live(2).await;
            assert_eq!(h.provider("GET", &format!("/v1/invoices/{open}"), "")["status"], "void");
            assert_eq!(access(h).await, (true, Some(Access::Granted)));
            h.sandbox.advance_time(end - 1 - h.engine.now().seconds());
            assert!(h.allowed("ada", "article:full").await);
            h.sandbox.advance_time(2);
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_paid_back_of_a_change_leaves_the_period_and_the_period_paid_back_ends_it() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            let first = newest_payment(h, &buyer);
            h.sandbox.advance_time(10 * DAY);
            h.settle().await;
            one_more(h, &id);
            h.settle().await;
            let second = newest_payment(h, &buyer);
            assert_ne!(first, second);
            h.provider("POST", "/v1/refunds", &format!("payment_intent={second}"));
            h.settle().await;
            assert_eq!(access(h).await, (true, Some(Access::Granted)), "what the period cost stays with us");
            h.provider("POST", "/v1/refunds", &format!("payment_intent={first}"));
            h.settle().await;
            assert_eq!(access(h).await, (false, Some(Access::Revoked)), "though a newer invoice came since");
        })
    })
    .await;
}

/// A dispute says that the payer contests what they pay, whatever for.
#[tokio::test]
async fn a_contested_change_ends_access_as_a_contested_period_does() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.sandbox.advance_time(10 * DAY);
            use_card(h, &id, "pm_card_createDispute");
            one_more(h, &id);
            h.settle().await;
            assert_eq!(access(h).await, (false, Some(Access::Revoked)));
        })
    })
    .await;
}

#[tokio::test]
async fn an_invoice_that_a_later_paid_period_left_behind_is_no_anchor_of_grace() {
    on_each(|h| {
        Box::pin(async move {
            retry_settings(h, &json!({ "retry_days": [1], "on_exhaustion": "leave" }));
            let id = h.subscriber("ada").await;
            let first = end_of(h, &id);
            break_card(h, &id);
            h.live((first - h.engine.now().seconds()) / DAY + 20).await;
            assert_eq!(access(h).await, (false, Some(Access::Revoked)), "its grace is over");
            use_card(h, &id, "pm_card_visa");
            let second = end_of(h, &id);
            h.live((second - h.engine.now().seconds()) / DAY + 2).await;
            assert_eq!(access(h).await, (true, Some(Access::Granted)), "a period was paid");
            break_card(h, &id);
            // Nothing is heard of the renewal that was paid, nor of the next: the look alone must tell.
            let third = end_of(h, &id);
            h.live((third - h.engine.now().seconds()) / DAY + 2).await;
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(row.subscription.facts.status.as_str(), "past_due");
            assert_eq!(access(h).await, (true, Some(Access::Grace)), "one grace for one failure");
            let since = row.subscription.facts.failing_since.unwrap();
            assert!(since >= Timestamp::from_seconds(third), "{since} is of the failure that was outlived");
            let open = h.provider("GET", "/v1/invoices", &format!("subscription={id}&status=open"));
            assert_eq!(open["data"].as_array().unwrap().len(), 2, "both are owed");
            let oldest = open["data"][1]["id"].as_str().unwrap();
            assert_eq!(
                attempt(h, "POST", &format!("/v1/invoices/{oldest}/pay"), "payment_method=pm_card_visa"),
                200
            );
        })
    })
    .await;
}

/// The renewal was paid, and a change was, before anybody looked: the newest invoice is of the change.
#[tokio::test]
async fn what_paid_for_the_period_is_looked_up_where_only_a_change_was_seen() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let end = end_of(h, &id);
            h.drop_webhooks();
            h.sandbox.advance_time(end + 2 * DAY - h.sandbox.now());
            one_more(h, &id);
            h.drop_webhooks();
            h.engine.pause_subscription(&id, None, None).await.unwrap();
            h.settle().await;
            assert_eq!(access(h).await, (true, Some(Access::Granted)), "the renewal is paid");
            let paid = h.engine.subscription(&id).await.unwrap().subscription.facts.paid.unwrap();
            assert_eq!(paid.until.seconds(), end_of(h, &id));
        })
    })
    .await;
}
