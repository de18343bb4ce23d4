//! Payments whose answer takes days: debits and vouchers, alone, in checkout, on invoices and subscriptions.

use serde_json::{Value, json};

use crate::client::{Client, DAY, client, id, number, text};

fn debit(client: &Client, currency: &str, method: &str) -> Value {
    client.post(
        "/v1/payment_intents",
        &format!("amount=5000&currency={currency}&confirm=true&payment_method={method}"),
    )
}

fn get(client: &Client, kind: &str, id: &str) -> Value {
    client.get(&format!("/v1/{kind}/{id}"), "")
}

fn net(client: &Client) -> i64 {
    let entries = client.get("/v1/balance_transactions", "limit=100");
    entries["data"].as_array().unwrap().iter().map(|entry| number(entry, "/net")).sum()
}

fn count(client: &Client, kind: &str) -> usize {
    client.events(&format!("type={kind}")).len()
}

#[test]
fn a_debit_is_processing_for_days_and_then_pays() {
    for (currency, method, kind) in
        [("eur", "pm_success_de", "sepa_debit"), ("usd", "pm_usBankAccount_success", "us_bank_account")]
    {
        let client = client();
        let intent = debit(&client, currency, method);
        assert_eq!(text(&intent, "/status"), "processing");
        let charge = text(&intent, "/latest_charge").to_owned();
        let pending = get(&client, "charges", &charge);
        assert!(charge.starts_with("py_"));
        assert_eq!(
            (text(&pending, "/status"), &pending["paid"], text(&pending, "/payment_method_details/type")),
            ("pending", &json!(false), kind)
        );
        assert_eq!((net(&client), client.sandbox.ledger().charges[0].paid), (0, false));
        client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}"));
        client.refused(400, "POST", &format!("/v1/payment_intents/{}/cancel", id(&intent)), "");
        client.refused(
            400,
            "POST",
            &format!("/v1/payment_intents/{}/confirm", id(&intent)),
            "payment_method=pm_card_visa",
        );
        client.sandbox.advance_time(4 * DAY - 1);
        assert_eq!(text(&get(&client, "payment_intents", &id(&intent)), "/status"), "processing");
        client.sandbox.advance_time(1);
        let paid = get(&client, "payment_intents", &id(&intent));
        assert_eq!((text(&paid, "/status"), number(&paid, "/amount_received")), ("succeeded", 5000));
        assert_eq!(
            (net(&client), text(&client.get("/v1/balance_transactions", ""), "/data/0/type")),
            (5000 - 180, "payment")
        );
        let kinds: Vec<String> = client
            .kinds()
            .into_iter()
            .filter(|kind| kind.contains("charge") || kind.contains("payment_intent"))
            .collect();
        assert_eq!(
            kinds,
            [
                "payment_intent.created",
                "charge.pending",
                "payment_intent.processing",
                "charge.succeeded",
                "payment_intent.succeeded"
            ]
        );
        client.post("/v1/refunds", &format!("charge={charge}&amount=1000"));
        assert_eq!(text(&client.get("/v1/balance_transactions", ""), "/data/0/type"), "payment_refund");
    }
}

#[test]
fn a_debit_can_fail_by_the_accounts_number() {
    for (currency, method, code) in [
        ("usd", "pm_usBankAccount_accountClosed", "account_closed"),
        ("usd", "pm_usBankAccount_insufficientFunds", "insufficient_funds"),
        ("eur", "pm_failed_at", "refer_to_customer"),
    ] {
        let client = client();
        let intent = id(&debit(&client, currency, method));
        client.sandbox.advance_time(4 * DAY);
        let failed = get(&client, "payment_intents", &intent);
        assert_eq!(
            (text(&failed, "/status"), text(&failed, "/last_payment_error/code")),
            ("requires_payment_method", code)
        );
        let charge = get(&client, "charges", text(&failed, "/latest_charge"));
        assert_eq!(
            (text(&charge, "/status"), text(&charge, "/failure_code"), net(&client)),
            ("failed", code, 0)
        );
        let again = client.post(
            &format!("/v1/payment_intents/{intent}/confirm"),
            "payment_method=pm_usBankAccount_success&amount=1"
                .split('&')
                .next()
                .filter(|_| currency == "usd")
                .unwrap_or("payment_method=pm_success_fr"),
        );
        assert_eq!(text(&again, "/status"), "processing");
    }
}

#[test]
fn accounts_are_made_from_numbers_kept_and_taken_back() {
    let client = client();
    let sepa = client.post("/v1/payment_methods", "type=sepa_debit&sepa_debit[iban]=DE89%203704%200044%200532%200130%2000&billing_details[name]=Ada&billing_details[email]=ada@example.com");
    assert_eq!((text(&sepa, "/sepa_debit/last4"), text(&sepa, "/sepa_debit/country")), ("3000", "DE"));
    let us = client.post("/v1/payment_methods", "type=us_bank_account&us_bank_account[account_number]=000555555559&us_bank_account[routing_number]=110000000&us_bank_account[account_holder_type]=company");
    assert_eq!(text(&us, "/us_bank_account/account_holder_type"), "company");
    client.refused(400, "POST", "/v1/payment_methods", "type=sepa_debit&sepa_debit[iban]=DE00");
    client.refused(
        400,
        "POST",
        "/v1/payment_methods",
        "type=us_bank_account&us_bank_account[account_number]=000555555559&us_bank_account[routing_number]=1",
    );
    client.refused(400, "POST", "/v1/payment_methods", "type=alipay");
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!("amount=5000&currency=usd&confirm=true&payment_method={}", id(&sepa)),
    );
    let customer = id(&client.post("/v1/customers", ""));
    client.post(&format!("/v1/payment_methods/{}/attach", id(&us)), &format!("customer={customer}"));
    let listed = client.get("/v1/payment_methods", &format!("customer={customer}&type=us_bank_account"));
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        client.get("/v1/payment_methods", &format!("customer={customer}&type=card"))["data"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let setup = client.post("/v1/setup_intents", &format!("customer={customer}&payment_method=pm_success_de&confirm=true&mandate_data[customer_acceptance][type]=offline"));
    assert_eq!(text(&setup, "/status"), "succeeded");
    let disputed = client.post(
        "/v1/payment_intents",
        &format!("amount=5000&currency=usd&customer={customer}&confirm=true&payment_method={}", id(&us)),
    );
    client.sandbox.advance_time(4 * DAY);
    let dispute = &client.get("/v1/disputes", &format!("payment_intent={}", id(&disputed)))["data"][0];
    assert_eq!((text(dispute, "/status"), net(&client)), ("lost", -180 - 1500));
}

#[test]
fn a_method_can_be_described_and_types_be_chosen() {
    let client = client();
    let data = "payment_method_data[type]=us_bank_account&payment_method_data[us_bank_account][account_number]=000123456789&payment_method_data[us_bank_account][routing_number]=110000000&payment_method_data[billing_details][name]=Ada";
    let made = client.post("/v1/payment_intents", &format!("amount=5000&currency=usd&confirm=true&{data}"));
    assert_eq!(text(&made, "/status"), "processing");
    let method = get(&client, "payment_methods", text(&made, "/payment_method"));
    assert_eq!(
        (text(&method, "/billing_details/name"), text(&method, "/us_bank_account/last4")),
        ("Ada", "6789")
    );
    let customer = id(&client.post("/v1/customers", ""));
    let setup = client.post("/v1/setup_intents", &format!("customer={customer}&confirm=true&{data}"));
    assert_eq!(text(&setup, "/status"), "succeeded");
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!("amount=5000&currency=usd&confirm=true&payment_method=pm_card_visa&{data}"),
    );
    let cards = client.post(
        "/v1/payment_intents",
        "amount=5000&currency=usd&excluded_payment_method_types[0]=us_bank_account",
    );
    assert_eq!(cards["payment_method_types"], json!(["card"]));
    let path = format!("/v1/payment_intents/{}/confirm", id(&cards));
    let refused = client.refused(400, "POST", &path, "payment_method=pm_usBankAccount_success");
    assert_eq!(text(&refused, "/code"), "payment_intent_incompatible_payment_method");
    assert_eq!(text(&client.post(&path, "payment_method=pm_card_visa"), "/status"), "succeeded");
    let debits = id(&client.post(
        "/v1/payment_intents",
        "amount=5000&currency=usd&allowed_payment_method_types[0]=us_bank_account",
    ));
    client.refused(
        400,
        "POST",
        &format!("/v1/payment_intents/{debits}/confirm"),
        "payment_method=pm_card_visa",
    );
    client.post(&format!("/v1/payment_intents/{debits}"), "allowed_payment_method_types[0]=card");
    client.post(&format!("/v1/payment_intents/{debits}/confirm"), "payment_method=pm_card_visa");
}

fn session(client: &Client, form: &str) -> String {
    id(&client.post("/v1/checkout/sessions", &format!("success_url=https://app.test/done&{form}")))
}

fn once(client: &Client, currency: &str) -> String {
    session(
        client,
        &format!(
            "mode=payment&line_items[0][price_data][currency]={currency}&line_items[0][price_data][unit_amount]=5000&line_items[0][price_data][product_data][name]=Box&line_items[0][quantity]=1"
        ),
    )
}

#[test]
fn a_checkout_session_is_complete_and_unpaid_until_the_bank_answers() {
    for (method, event, status) in [
        ("pm_success_de", "checkout.session.async_payment_succeeded", "paid"),
        ("pm_failed_de", "checkout.session.async_payment_failed", "unpaid"),
    ] {
        let client = client();
        let session = once(&client, "eur");
        client.sandbox.complete_checkout(&session, method).unwrap();
        let complete = get(&client, "checkout/sessions", &session);
        assert_eq!((text(&complete, "/status"), text(&complete, "/payment_status")), ("complete", "unpaid"));
        assert_eq!((count(&client, "checkout.session.completed"), count(&client, event)), (1, 0));
        client.sandbox.advance_time(4 * DAY);
        assert_eq!(text(&get(&client, "checkout/sessions", &session), "/payment_status"), status);
        let told = client.events(&format!("type={event}"));
        assert_eq!((told.len(), text(&told[0], "/data/object/payment_status")), (1, status));
        assert_eq!(count(&client, "checkout.session.completed"), 1);
    }
}

#[test]
fn a_store_pays_for_a_checkout_session() {
    let client = client();
    let session = once(&client, "jpy");
    client.sandbox.complete_checkout(&session, "pm_konbini").unwrap();
    let complete = get(&client, "checkout/sessions", &session);
    assert_eq!((text(&complete, "/status"), text(&complete, "/payment_status")), ("complete", "unpaid"));
    let intent = text(&complete, "/payment_intent").to_owned();
    let page = client.send("GET", &format!("/pending/{intent}"), "");
    assert!(page.status == 200 && String::from_utf8_lossy(&page.body).contains("Sandbox"));
    let answered = client.send("POST", &format!("/pending/{intent}"), "outcome=success");
    assert_eq!(answered.status, 303);
    assert_eq!(text(&get(&client, "checkout/sessions", &session), "/payment_status"), "paid");
    assert_eq!(client.send("GET", &format!("/pending/{intent}"), "").status, 404);
    let price = client.price(1980, "jpy", "month");
    let monthly = self::session(
        &client,
        &format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1"),
    );
    assert!(client.sandbox.complete_checkout(&monthly, "pm_konbini").is_err());
    assert_eq!(text(&get(&client, "checkout/sessions", &monthly), "/status"), "open");
}

#[test]
fn the_hosted_page_offers_what_fits_the_currency() {
    let client = client();
    for (currency, offered) in
        [("eur", "pm_success_de"), ("usd", "pm_usBankAccount_success"), ("jpy", "pm_konbini"), ("gbp", "")]
    {
        let session = once(&client, currency);
        let path = format!("/c/pay/{session}");
        let page = String::from_utf8(client.send("GET", &path, "").body).unwrap();
        assert_eq!(page.contains("name=\"method\""), !offered.is_empty(), "{currency}");
        if !offered.is_empty() {
            assert!(page.contains(offered), "{currency}");
            let posted = client.send("POST", &path, &format!("email=ada@example.com&method={offered}"));
            assert_eq!(posted.status, 303, "{currency}");
            assert_eq!(text(&get(&client, "checkout/sessions", &session), "/status"), "complete");
        }
    }
    let session = once(&client, "gbp");
    assert_eq!(
        client
            .send("POST", &format!("/c/pay/{session}"), "email=ada@example.com&method=pm_success_de")
            .status,
        422
    );
}

#[test]
fn a_subscription_runs_while_its_first_debit_is_with_the_bank() {
    for (method, status, invoice_status) in
        [("pm_success_de", "active", "paid"), ("pm_failed_de", "past_due", "open")]
    {
        let client = client();
        let price = client.price(5000, "eur", "month");
        let session = session(
            &client,
            &format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1"),
        );
        client.sandbox.complete_checkout(&session, method).unwrap();
        let complete = get(&client, "checkout/sessions", &session);
        assert_eq!(text(&complete, "/payment_status"), "unpaid");
        let subscription = client.subscription(text(&complete, "/subscription"));
        let invoice = text(&subscription, "/latest_invoice").to_owned();
        assert_eq!(
            (text(&subscription, "/status"), text(&get(&client, "invoices", &invoice), "/status")),
            ("active", "open")
        );
        client.refused(400, "POST", &format!("/v1/invoices/{invoice}/void"), "");
        client.refused(400, "POST", &format!("/v1/invoices/{invoice}/pay"), "payment_method=pm_card_visa");
        client.sandbox.advance_time(4 * DAY);
        assert_eq!(text(&client.subscription(&id(&subscription)), "/status"), status);
        assert_eq!(text(&get(&client, "invoices", &invoice), "/status"), invoice_status);
        assert_eq!(count(&client, "invoice.paid"), usize::from(status == "active"));
        assert_eq!(count(&client, "invoice.payment_failed"), usize::from(status != "active"));
        let ledger = client.sandbox.ledger();
        let books = ledger.customer(text(&subscription, "/customer")).unwrap();
        assert_eq!(books.net("eur"), if status == "active" { 5000 } else { 0 });
    }
}

#[test]
fn renewals_are_debited_and_retried_like_cards() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    let method =
        id(&client
            .post("/v1/payment_methods/pm_usBankAccount_success/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={method}"),
    );
    let price = client.price(2000, "usd", "month");
    let subscription = id(&client.subscribe(&customer, &price, ""));
    assert_eq!(text(&client.subscription(&subscription), "/status"), "active");
    client.sandbox.advance_time(5 * DAY);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);
    let bad = id(&client.post(
        "/v1/payment_methods/pm_usBankAccount_insufficientFunds/attach",
        &format!("customer={customer}"),
    ));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={bad}"),
    );
    client.sandbox.advance_time(27 * DAY);
    assert_eq!(
        text(&client.subscription(&subscription), "/status"),
        "active",
        "the bank has not answered yet"
    );
    client.sandbox.advance_time(4 * DAY);
    assert_eq!(text(&client.subscription(&subscription), "/status"), "past_due");
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={method}"),
    );
    client.sandbox.advance_time(9 * DAY);
    assert_eq!(
        text(&client.subscription(&subscription), "/status"),
        "active",
        "a retry was debited and paid"
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 4000);
}

#[test]
fn a_silent_bank_waits_for_a_control_call_and_a_snapshot_keeps_it() {
    let client = client();
    let intent = id(&debit(&client, "usd", "pm_usBankAccount_processing"));
    let snapshot = client.control("GET", "snapshot", &Value::Null);
    client.sandbox.advance_time(90 * DAY);
    assert_eq!(text(&get(&client, "payment_intents", &intent), "/status"), "processing");
    client.control("PUT", "snapshot", &snapshot);
    client.control("POST", &format!("payment_intents/{intent}/settle"), &json!({ "outcome": "failure" }));
    assert_eq!(text(&get(&client, "payment_intents", &intent), "/status"), "requires_payment_method");
}
