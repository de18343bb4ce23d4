//! Invoices that are not paid in time: retries without a card, whom that makes delinquent, what becomes of the invoice.

use serde_json::json;

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

const MONTH: i64 = 31 * DAY;

/// A subscription whose customer has lost the only card.
fn without_card(client: &Client) -> (String, String) {
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let made = id(&client.subscribe(&customer, &price, ""));
    let found = client.get(&format!("/v1/customers/{customer}"), "");
    let method = text(&found, "/invoice_settings/default_payment_method").to_owned();
    client.post(&format!("/v1/payment_methods/{method}/detach"), "");
    (customer, made)
}

fn attach(client: &Client, customer: &str, card: &str) {
    let method =
        id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
    let form = format!("invoice_settings[default_payment_method]={method}");
    client.post(&format!("/v1/customers/{customer}"), &form);
}

fn delinquent(client: &Client, customer: &str) -> bool {
    client.get(&format!("/v1/customers/{customer}"), "")["delinquent"] == true
}

#[test]
fn nothing_is_retried_without_a_payment_method_while_the_schedule_goes_on() {
    let client = client();
    let (customer, made) = without_card(&client);
    let first = START + MONTH + HOUR;
    client.sandbox.advance_time(MONTH + HOUR);
    let latest = || {
        let found = client.get(&format!("/v1/subscriptions/{made}"), "expand[]=latest_invoice");
        let invoice = found["latest_invoice"].clone();
        let next = invoice["next_payment_attempt"].as_i64();
        (text(&found, "/status").to_owned(), number(&invoice, "/attempt_count"), next)
    };
    assert_eq!(latest(), ("past_due".to_owned(), 1, Some(first + 3 * DAY)));
    client.sandbox.advance_time(3 * DAY);
    assert_eq!(latest(), ("past_due".to_owned(), 2, Some(first + 8 * DAY)), "counted, and planned on");
    assert_eq!(client.events("type=invoice.payment_failed").len(), 1, "but nothing was tried");
    // A card that comes in time is charged at the next planned attempt.
    attach(&client, &customer, "pm_card_visa");
    client.sandbox.advance_time(5 * DAY);
    assert_eq!(latest(), ("active".to_owned(), 3, None));
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);

    let client = self::client();
    let (_, made) = without_card(&client);
    client.sandbox.advance_time(MONTH + HOUR + 15 * DAY);
    assert_eq!(text(&client.subscription(&made), "/status"), "canceled", "the schedule ran out all the same");
    assert_eq!(client.events("type=invoice.payment_failed").len(), 1);
}

#[test]
fn a_customer_is_delinquent_by_the_latest_change_of_any_invoice() {
    let client = client();
    let customer = client.customer("pm_card_chargeCustomerFail");
    let open = |form: &str| {
        client.post("/v1/invoiceitems", &format!("customer={customer}&amount=900&currency=usd"));
        let made = client.post(
            "/v1/invoices",
            &format!("customer={customer}&pending_invoice_items_behavior=include&{form}"),
        );
        id(&client.post(&format!("/v1/invoices/{}/finalize", id(&made)), ""))
    };
    // A single invoice that is collected by itself, and fails.
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=900&currency=usd"));
    client.post(
        "/v1/invoices",
        &format!("customer={customer}&pending_invoice_items_behavior=include&auto_advance=true"),
    );
    assert!(!delinquent(&client, &customer));
    client.sandbox.advance_time(2 * HOUR);
    assert!(delinquent(&client, &customer));
    assert_eq!(client.events("type=customer.updated")[0]["data"]["previous_attributes"]["delinquent"], false);
    // Paying another one clears it, and a due date that passes sets it again.
    let sent = "collection_method=send_invoice&days_until_due=2";
    client.post(&format!("/v1/invoices/{}/pay", open(sent)), "paid_out_of_band=true");
    assert!(!delinquent(&client, &customer));
    let late = open(sent);
    client.sandbox.advance_time(2 * DAY);
    assert!(delinquent(&client, &customer));
    client.post(&format!("/v1/invoices/{late}/mark_uncollectible"), "");
    assert!(!delinquent(&client, &customer));
}

#[test]
fn exhausted_retries_leave_the_invoice_open_or_give_it_up_as_the_settings_say() {
    for (on_invoice, word) in [("leave_open", "open"), ("mark_uncollectible", "uncollectible")] {
        for (on_subscription, status) in [("cancel", "canceled"), ("unpaid", "unpaid"), ("leave", "past_due")]
        {
            let client = client();
            let settings = json!({ "retry_days": [1], "on_exhaustion": on_subscription, "invoice_on_exhaustion": on_invoice });
            client.control("PUT", "settings", &settings);
            let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
            let made = id(&client.subscribe(&customer, &price, ""));
            attach(&client, &customer, "pm_card_chargeCustomerFail");
            client.sandbox.advance_time(MONTH + 2 * HOUR);
            let invoice = text(&client.subscription(&made), "/latest_invoice").to_owned();
            let state = || text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/status").to_owned();
            assert_eq!(state(), "open");
            client.sandbox.advance_time(DAY);
            assert_eq!(state(), word, "{on_subscription}");
            assert_eq!(text(&client.subscription(&made), "/status"), status, "{on_invoice}");
            assert!(delinquent(&client, &customer), "nobody has forgiven it");
            let told = client.events("type=invoice.marked_uncollectible").len();
            assert_eq!(told, usize::from(word == "uncollectible"));
        }
    }
}
