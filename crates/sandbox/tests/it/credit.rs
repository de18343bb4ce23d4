//! The customer's balance and credit notes: every change is an entry, and the sums agree.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, client, id, number, text};

const MONTH: i64 = 31 * DAY;

/// The entries of a customer's balance, oldest first; they must add up to it.
fn entries(client: &Client, customer: &str) -> Vec<(String, i64, i64)> {
    let list = client.get(&format!("/v1/customers/{customer}/balance_transactions"), "limit=100");
    let mut found: Vec<(String, i64, i64)> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (text(entry, "/type").to_owned(), number(entry, "/amount"), number(entry, "/ending_balance"))
        })
        .collect();
    found.reverse();
    let balance = number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance");
    assert_eq!(found.iter().map(|(_, amount, _)| amount).sum::<i64>(), balance, "{found:?}");
    let mut sum = 0;
    for (kind, amount, ending) in &found {
        sum += amount;
        assert_eq!(sum, *ending, "{kind}");
    }
    found
}

fn entry(kind: &str, amount: i64, ending: i64) -> (String, i64, i64) {
    (kind.to_owned(), amount, ending)
}

#[test]
fn a_balance_is_adjusted_and_applied_to_invoices() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let path = format!("/v1/customers/{customer}/balance_transactions");
    let made = client.post(&path, "amount=-1500&currency=usd&description=Sorry&metadata[a]=b");
    assert_eq!((text(&made, "/type"), number(&made, "/ending_balance")), ("adjustment", -1_500));
    let one = format!("{path}/{}", id(&made));
    assert_eq!(client.get(&one, ""), made);
    assert_eq!(text(&client.post(&one, "description=Very sorry"), "/description"), "Very sorry");
    client.refused(400, "POST", &path, "amount=100&currency=eur");
    client.refused(400, "POST", &path, "amount=0&currency=usd");
    client.refused(
        404,
        "GET",
        &format!("/v1/customers/{}/balance_transactions/{}", client.customer("pm_card_visa"), id(&made)),
        "",
    );
    let price = client.price(1_000, "usd", "month");
    let first = client.subscribe(&customer, &price, "expand[]=latest_invoice");
    assert_eq!(text(&first, "/status"), "active");
    assert_eq!(number(&first, "/latest_invoice/amount_due"), 0);
    assert_eq!(number(&first, "/latest_invoice/starting_balance"), -1_500);
    assert_eq!(number(&first, "/latest_invoice/ending_balance"), -500);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 500);
    assert_eq!(
        entries(&client, &customer),
        [
            entry("adjustment", -1_500, -1_500),
            entry("applied_to_invoice", 1_000, -500),
            entry("applied_to_invoice", 500, 0)
        ]
    );
    let of_first = client.get(&path, &format!("invoice={}", text(&first, "/latest_invoice/id")));
    assert_eq!(of_first["data"].as_array().unwrap().len(), 1);
    let shown = client.get(&format!("/v1/customers/{customer}"), "expand[]=invoice_credit_balance");
    assert_eq!(shown["invoice_credit_balance"], json!({ "usd": 0 }));
}

#[test]
fn what_is_too_small_and_what_is_below_zero_becomes_an_entry() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    client.post(&format!("/v1/customers/{customer}"), "balance=-960");
    let (small, large) = (client.price(1_000, "usd", "month"), client.price(9_000, "usd", "month"));
    let made = client.subscribe(&customer, &small, "");
    assert_eq!(
        entries(&client, &customer),
        [
            entry("adjustment", -960, -960),
            entry("applied_to_invoice", 960, 0),
            entry("invoice_too_small", 40, 40)
        ]
    );
    let item = text(&made, "/items/data/0/id").to_owned();
    let path = format!("/v1/subscriptions/{}", id(&made));
    client.post(
        &path,
        &format!("items[0][id]={item}&items[0][price]={large}&proration_behavior=always_invoice"),
    );
    client.sandbox.advance_time(MONTH / 2);
    client.post(
        &path,
        &format!("items[0][id]={item}&items[0][price]={small}&proration_behavior=always_invoice"),
    );
    // 8000 and the 40 were paid; half of 9000 comes back as credit, less half of 1000.
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 8_040);
    let all = entries(&client, &customer);
    assert_eq!(all[3..], [entry("applied_to_invoice", -40, 0), entry("applied_to_invoice", -4_000, -4_000)]);
}

#[test]
fn a_voided_invoice_gives_the_balance_back() {
    let client = client();
    let customer = client.customer("pm_card_chargeCustomerFail");
    client.post(&format!("/v1/customers/{customer}"), "balance=-300");
    let made = client.subscribe(&customer, &client.price(1_000, "usd", "month"), "expand[]=latest_invoice");
    assert_eq!((text(&made, "/status"), number(&made, "/latest_invoice/amount_due")), ("incomplete", 700));
    client.sandbox.advance_time(DAY);
    assert_eq!(text(&client.subscription(&id(&made)), "/status"), "incomplete_expired");
    let all = entries(&client, &customer);
    assert_eq!(all[1..], [entry("applied_to_invoice", 300, 0), entry("unapplied_from_invoice", -300, -300)]);
}

#[test]
fn a_balance_in_another_currency_is_left_alone() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let path = format!("/v1/customers/{customer}/balance_transactions");
    client.post(&path, "amount=-5000&currency=eur");
    client.post("/v1/invoiceitems", &format!("customer={customer}&currency=usd&amount=700"));
    let form = format!("customer={customer}&currency=usd&pending_invoice_items_behavior=include");
    let invoice = id(&client.post("/v1/invoices", &form));
    let paid = client.post(&format!("/v1/invoices/{invoice}/pay"), "");
    assert_eq!((number(&paid, "/starting_balance"), number(&paid, "/amount_paid")), (0, 700));
    assert_eq!(entries(&client, &customer), [entry("adjustment", -5_000, -5_000)]);
}

#[test]
fn a_customer_is_born_with_a_balance() {
    let client = client();
    let customer = id(&client.post("/v1/customers", "balance=-200&email=a@example.com"));
    assert_eq!(entries(&client, &customer), [entry("initial", -200, -200)]);
    let snapshot: Value = client.control("GET", "snapshot", &Value::Null);
    client.post(&format!("/v1/customers/{customer}"), "balance=0");
    client.control("PUT", "snapshot", &snapshot);
    assert_eq!(entries(&client, &customer), [entry("initial", -200, -200)]);
}
