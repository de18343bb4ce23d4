//! Changes that wait for their payment.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, client, id, number, text};

/// A subscription whose next payment fails: its item, its path, a dearer price and the customer.
fn scene(client: &Client) -> (String, String, String, String) {
    let (ten, thirty) = (client.price(1_000, "usd", "month"), client.price(3_000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &ten, "");
    let bad = id(&client
        .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={bad}"),
    );
    client.sandbox.advance_time(31 * DAY / 2);
    (text(&made, "/items/data/0/id").to_owned(), format!("/v1/subscriptions/{}", id(&made)), thirty, customer)
}

fn hold(client: &Client, item: &str, path: &str, price: &str) -> Value {
    let form = format!(
        "items[0][id]={item}&items[0][price]={price}&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete"
    );
    client.post(path, &form)
}

#[test]
fn a_change_waits_for_its_payment_and_is_applied_by_it() {
    let client = client();
    let (item, path, thirty, customer) = scene(&client);
    let held = hold(&client, &item, &path, &thirty);
    assert_eq!((text(&held, "/status"), number(&held, "/items/data/0/price/unit_amount")), ("active", 1_000));
    assert_eq!(text(&held, "/pending_update/subscription_items/0/price/id"), thirty);
    assert_eq!(number(&held, "/pending_update/expires_at"), client.sandbox.now() + 23 * HOUR);
    let invoice = text(&held, "/latest_invoice").to_owned();
    assert_eq!(number(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/amount_remaining"), 1_000);
    client.post(&format!("/v1/invoices/{invoice}/pay"), "payment_method=pm_card_visa");
    let applied = client.get(&path, "");
    assert_eq!(number(&applied, "/items/data/0/price/unit_amount"), 3_000);
    assert!(applied["pending_update"].is_null());
    assert_eq!(client.events("type=customer.subscription.pending_update_applied").len(), 1);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2_000);
    client.sandbox.advance_time(DAY);
    assert_eq!(client.events("type=customer.subscription.pending_update_expired").len(), 0);
}

#[test]
fn a_change_that_is_not_paid_in_time_is_forgotten() {
    let client = client();
    let (item, path, thirty, customer) = scene(&client);
    let held = hold(&client, &item, &path, &thirty);
    let invoice = text(&held, "/latest_invoice").to_owned();
    client.sandbox.advance_time(23 * HOUR);
    let forgotten = client.get(&path, "");
    assert!(forgotten["pending_update"].is_null());
    assert_eq!(
        (text(&forgotten, "/status"), number(&forgotten, "/items/data/0/price/unit_amount")),
        ("active", 1_000)
    );
    assert_eq!(text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/status"), "void");
    assert_eq!(client.events("type=customer.subscription.pending_update_expired").len(), 1);
    // Nothing of it is left for the next invoice.
    let next = client.post("/v1/invoices/create_preview", &format!("subscription={}", id(&forgotten)));
    assert_eq!(number(&next, "/total"), 1_000);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1_000);
}

#[test]
fn another_change_takes_the_place_of_one_that_waits() {
    let client = client();
    let (item, path, thirty, customer) = scene(&client);
    let first = text(&hold(&client, &item, &path, &thirty), "/latest_invoice").to_owned();
    let good = id(&client.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={good}"),
    );
    let held = hold(&client, &item, &path, &thirty);
    assert!(held["pending_update"].is_null(), "a payment that succeeds needs no waiting");
    assert_eq!(number(&held, "/items/data/0/price/unit_amount"), 3_000);
    assert_eq!(text(&client.get(&format!("/v1/invoices/{first}"), ""), "/status"), "void");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2_000);
    let refused = client.refused(
        400,
        "POST",
        &path,
        "cancel_at_period_end=true&payment_behavior=pending_if_incomplete",
    );
    assert_eq!(text(&refused, "/param"), "cancel_at_period_end");
}

#[test]
fn a_change_waits_no_longer_than_the_period() {
    let client = client();
    let (item, path, _, _) = scene(&client);
    // Dear enough that the rest of the period is more than the smallest charge.
    let dear = client.price(90_000, "usd", "month");
    let end = number(&client.get(&path, ""), "/items/data/0/current_period_end");
    client.sandbox.advance_time_to(end - 5 * HOUR);
    let held = hold(&client, &item, &path, &dear);
    assert_eq!(number(&held, "/pending_update/expires_at"), end);
    client.sandbox.advance_time_to(end + HOUR / 2);
    let renewed = client.get(&path, "expand[]=latest_invoice");
    assert!(renewed["pending_update"].is_null());
    assert_eq!(number(&renewed, "/latest_invoice/total"), 1_000);
}

#[test]
fn who_pays_by_themselves_is_not_asked_for_a_card() {
    let client = client();
    let (ten, thirty) = (client.price(1_000, "usd", "month"), client.price(3_000, "usd", "month"));
    let customer = id(&client.post("/v1/customers", "email=a@example.com"));
    let made = client.subscribe(&customer, &ten, "collection_method=send_invoice&days_until_due=7");
    let path = format!("/v1/subscriptions/{}", id(&made));
    client.sandbox.advance_time(DAY);
    let item = text(&made, "/items/data/0/id");
    let form = format!("items[0][id]={item}&items[0][price]={thirty}&proration_behavior=always_invoice");
    let changed = client.post(&path, &format!("{form}&payment_behavior=error_if_incomplete"));
    assert_eq!(number(&changed, "/items/data/0/price/unit_amount"), 3_000);
}
