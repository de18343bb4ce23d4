//! Subscription items as objects of their own: each change is a change of the subscription.

use crate::client::{DAY, client, id, number, text};

#[test]
fn an_item_is_added_changed_and_taken_away_with_prorations() {
    let client = client();
    let (base, seat) = (client.price(1_000, "usd", "month"), client.price(400, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = id(&client.subscribe(&customer, &base, ""));
    client.sandbox.advance_time(31 * DAY / 2);
    let form = format!(
        "subscription={subscription}&price={seat}&quantity=2&metadata[kind]=seat&proration_behavior=always_invoice"
    );
    let added = client.post("/v1/subscription_items", &form);
    assert_eq!(number(&added, "/quantity"), 2);
    assert_eq!(text(&added, "/metadata/kind"), "seat");
    assert_eq!(text(&added, "/subscription"), subscription);
    let net = || client.sandbox.ledger().customer(&customer).unwrap().net("usd");
    assert_eq!(net(), 1_000 + 400);
    let path = format!("/v1/subscription_items/{}", id(&added));
    assert_eq!(client.get(&path, ""), added);
    let changed = client.post(&path, "quantity=4&proration_behavior=none&metadata[kind]=");
    assert_eq!(number(&changed, "/quantity"), 4);
    assert!(changed["metadata"].get("kind").is_none());
    assert_eq!(net(), 1_400);
    let listed = client.get("/v1/subscription_items", &format!("subscription={subscription}"));
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let gone = client.delete(&path, "proration_behavior=always_invoice");
    assert_eq!(gone["deleted"], true);
    // Two seats were debited, and two are credited.
    assert_eq!(number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance"), -400);
    client.refused(404, "GET", &path, "");
    let updates = client.events("type=customer.subscription.updated");
    assert_eq!(updates.len(), 3);
    assert!(updates.iter().all(|event| event["data"]["previous_attributes"].get("items").is_some()));
}

#[test]
fn the_last_item_and_the_items_of_an_ended_subscription_stay() {
    let client = client();
    let (base, seat) = (client.price(1_000, "usd", "month"), client.price(400, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &base, "");
    let path = format!("/v1/subscription_items/{}", text(&made, "/items/data/0/id"));
    client.refused(400, "DELETE", &path, "");
    let missing =
        client.refused(400, "POST", "/v1/subscription_items", &format!("subscription={}", id(&made)));
    assert_eq!(text(&missing, "/param"), "price");
    client.delete(&format!("/v1/subscriptions/{}", id(&made)), "");
    client.refused(400, "POST", &path, "quantity=2");
    client.refused(
        400,
        "POST",
        "/v1/subscription_items",
        &format!("subscription={}&price={seat}", id(&made)),
    );
}

#[test]
fn an_item_that_cannot_be_paid_is_refused_when_asked_so() {
    let client = client();
    let (base, seat) = (client.price(1_000, "usd", "month"), client.price(4_000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = id(&client.subscribe(&customer, &base, ""));
    let bad = id(&client
        .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={bad}"),
    );
    let form = format!(
        "subscription={subscription}&plan={seat}&proration_behavior=always_invoice&payment_behavior=error_if_incomplete"
    );
    client.refused(402, "POST", "/v1/subscription_items", &form);
    assert_eq!(client.subscription(&subscription)["items"]["data"].as_array().unwrap().len(), 1);
}
