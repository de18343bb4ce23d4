//! Bank transfers: money reaches a customer's cash balance and pays what waits for it.

use serde_json::{Value, json};

use crate::client::{Client, DAY, client, id, number, text};

fn intent(client: &Client, customer: &str, amount: i64) -> Value {
    client.post("/v1/payment_intents", &format!("amount={amount}&currency=jpy&customer={customer}&confirm=true&payment_method=pm_customerBalance&payment_method_options[customer_balance][funding_type]=bank_transfer&payment_method_options[customer_balance][bank_transfer][type]=jp_bank_transfer"))
}

fn status(client: &Client, intent: &Value) -> String {
    text(&client.get(&format!("/v1/payment_intents/{}", id(intent)), ""), "/status").to_owned()
}

fn send(client: &Client, customer: &str, amount: i64) -> Value {
    client.post(
        &format!("/v1/test_helpers/customers/{customer}/fund_cash_balance"),
        &format!("amount={amount}&currency=jpy"),
    )
}

fn cash(client: &Client, customer: &str) -> i64 {
    number(&client.get(&format!("/v1/customers/{customer}/cash_balance"), ""), "/available/jpy")
}

#[test]
fn a_transfer_pays_the_oldest_payment_that_it_covers() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    assert!(client.get(&format!("/v1/customers/{customer}/cash_balance"), "")["available"].is_null());
    let (first, second) = (intent(&client, &customer, 3000), intent(&client, &customer, 1000));
    assert_eq!(text(&first, "/status"), "requires_action");
    assert_eq!(text(&first, "/next_action/display_bank_transfer_instructions/type"), "jp_bank_transfer");
    assert_eq!(number(&first, "/next_action/display_bank_transfer_instructions/amount_remaining"), 3000);
    let funded = send(&client, &customer, 2000);
    assert_eq!((text(&funded, "/type"), number(&funded, "/ending_balance")), ("funded", 2000));
    let partly = client.get(&format!("/v1/payment_intents/{}", id(&first)), "");
    assert_eq!(number(&partly, "/next_action/display_bank_transfer_instructions/amount_remaining"), 1000);
    assert_eq!(
        (text(&partly, "/status"), number(&partly, "/amount_received"), cash(&client, &customer)),
        ("requires_action", 0, 0)
    );
    assert_eq!(client.events("type=payment_intent.partially_funded").len(), 1);
    send(&client, &customer, 1500);
    assert_eq!(
        (status(&client, &first), status(&client, &second), cash(&client, &customer)),
        ("succeeded".into(), "requires_action".into(), 0)
    );
    client.sandbox.advance_time(90 * DAY);
    assert_eq!(status(&client, &second), "requires_action", "a transfer has no time limit");
    send(&client, &customer, 600);
    assert_eq!((status(&client, &second), cash(&client, &customer)), ("succeeded".into(), 100));
    let entries = client.get(&format!("/v1/customers/{customer}/cash_balance_transactions"), "");
    assert_eq!(entries["data"].as_array().unwrap().len(), 7);
    let one = text(&entries, "/data/0/id");
    client.get(&format!("/v1/customers/{customer}/cash_balance_transactions/{one}"), "");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("jpy"), 4000);
    let third = intent(&client, &customer, 100);
    assert_eq!(status(&client, &third), "succeeded", "what is there pays at once");
}

#[test]
fn a_refund_goes_back_to_the_cash_balance() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    let paid = intent(&client, &customer, 3000);
    client.control(
        "POST",
        &format!("payment_intents/{}/settle", id(&paid)),
        &json!({ "outcome": "success" }),
    );
    assert_eq!((status(&client, &paid), cash(&client, &customer)), ("succeeded".into(), 0));
    let refund = client.post("/v1/refunds", &format!("payment_intent={}&amount=1000", id(&paid)));
    assert_eq!(
        (text(&refund, "/status"), text(&refund, "/destination_details/type")),
        ("succeeded", "customer_cash_balance")
    );
    assert_eq!(cash(&client, &customer), 1000);
    let waiting = intent(&client, &customer, 1000);
    assert_eq!((status(&client, &waiting), cash(&client, &customer)), ("succeeded".into(), 0));
    let ledger = client.sandbox.ledger();
    assert_eq!(ledger.customer(&customer).unwrap().net("jpy"), 3000);
}

#[test]
fn a_transfer_needs_a_customer_and_yen() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        "amount=3000&currency=jpy&confirm=true&payment_method=pm_customerBalance",
    );
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!(
            "amount=3000&currency=usd&customer={customer}&confirm=true&payment_method=pm_customerBalance"
        ),
    );
    client.refused(400, "POST", "/v1/payment_intents", &format!("amount=3000&currency=jpy&customer={customer}&payment_method_options[customer_balance][bank_transfer][type]=us_bank_transfer"));
    client.refused(
        400,
        "POST",
        &format!("/v1/test_helpers/customers/{customer}/fund_cash_balance"),
        "amount=100&currency=brl",
    );
    let waiting = intent(&client, &customer, 3000);
    send(&client, &customer, 1000);
    assert_eq!(cash(&client, &customer), 0);
    let confirm = format!("/v1/payment_intents/{}/confirm", id(&waiting));
    client.refused(400, "POST", &confirm, "payment_method=pm_success_de");
    client.post(&confirm, "payment_method=pm_customerBalance");
    assert_eq!(cash(&client, &customer), 0, "a refused method moves no money twice");
    client.post(&format!("/v1/payment_intents/{}/cancel", id(&waiting)), "");
    assert_eq!(cash(&client, &customer), 1000, "what had come goes back");
    send(&client, &customer, 2000);
    assert_eq!((status(&client, &waiting), cash(&client, &customer)), ("canceled".into(), 3000));
}

/// An answer that is due belongs to one attempt: an older one's time does not settle a newer.
#[test]
fn a_second_debit_waits_its_own_time() {
    let client = client();
    let first = client.post(
        "/v1/payment_intents",
        "amount=5000&currency=usd&confirm=true&payment_method=pm_usBankAccount_success",
    );
    client.sandbox.advance_time(DAY);
    client.control(
        "POST",
        &format!("payment_intents/{}/settle", id(&first)),
        &json!({ "outcome": "failure" }),
    );
    client.sandbox.advance_time(DAY);
    client.post(
        &format!("/v1/payment_intents/{}/confirm", id(&first)),
        "payment_method=pm_usBankAccount_success",
    );
    client.sandbox.advance_time(2 * DAY);
    assert_eq!(status(&client, &first), "processing");
    client.sandbox.advance_time(2 * DAY);
    assert_eq!(status(&client, &first), "succeeded");
}

#[test]
fn an_invoice_and_a_session_are_paid_by_transfer() {
    let client = client();
    let customer = id(&client.post("/v1/customers", "email=ada@example.com"));
    let session = id(&client.post("/v1/checkout/sessions", &format!("mode=payment&customer={customer}&line_items[0][price_data][currency]=jpy&line_items[0][price_data][unit_amount]=5000&line_items[0][price_data][product_data][name]=Box&line_items[0][quantity]=1&success_url=https://app.test/done")));
    let posted = client.send("POST", &format!("/c/pay/{session}"), "method=pm_customerBalance");
    let to = posted.headers.iter().find(|(name, _)| name == "location").unwrap().1.clone();
    assert!(to.starts_with("/pending/pi_"));
    let page = String::from_utf8(client.send("GET", &to, "").body).unwrap();
    assert!(page.contains("value=\"success\"") && !page.contains("value=\"failure\""));
    send(&client, &customer, 5000);
    assert_eq!(text(&client.get(&format!("/v1/checkout/sessions/{session}"), ""), "/payment_status"), "paid");
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=2000&currency=jpy"));
    let invoice = id(&client.post("/v1/invoices", &format!("customer={customer}&collection_method=send_invoice&days_until_due=30&pending_invoice_items_behavior=include")));
    client.post(&format!("/v1/invoices/{invoice}/finalize"), "");
    let open = client.get(&format!("/v1/invoices/{invoice}"), "expand[]=payments");
    let intent = text(&open, "/payments/data/0/payment/payment_intent").to_owned();
    client.post(&format!("/v1/payment_intents/{intent}/confirm"), "payment_method=pm_customerBalance");
    assert_eq!(text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/status"), "open");
    send(&client, &customer, 2000);
    assert_eq!(text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/status"), "paid");
}

#[test]
fn money_comes_by_the_transfers_of_its_currency_and_waits() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    let path = format!("/v1/test_helpers/customers/{customer}/fund_cash_balance");
    for (currency, kind) in [("usd", "us"), ("eur", "eu"), ("gbp", "gb"), ("jpy", "jp"), ("mxn", "mx")] {
        let come = client.post(&path, &format!("amount=700&currency={currency}&reference=R1"));
        let kind = format!("{kind}_bank_transfer");
        let transfer = &come["funded"]["bank_transfer"];
        assert_eq!((text(transfer, "/type"), text(transfer, "/reference")), (kind.as_str(), "R1"));
        assert_eq!(transfer.get(&kind).is_some(), currency != "mxn", "{currency}");
    }
    let available = &client.get(&format!("/v1/customers/{customer}/cash_balance"), "")["available"];
    assert_eq!(*available, json!({ "eur": 700, "gbp": 700, "jpy": 700, "mxn": 700, "usd": 700 }));
    assert_eq!(client.events("type=cash_balance.funds_available").len(), 5);
}
