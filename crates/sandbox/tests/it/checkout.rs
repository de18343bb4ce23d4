//! Buying through a checkout session: what exists before, during and after the payment.

use quittance_sandbox::CheckoutOutcome;

use crate::client::{Client, DAY, HOUR, client, id, number, text};

fn session(client: &Client, price: &str, more: &str) -> String {
    let form = format!(
        "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://app.test/return?s={{CHECKOUT_SESSION_ID}}&cancel_url=https://app.test/pricing&{more}"
    );
    id(&client.post("/v1/checkout/sessions", &form))
}

fn read(client: &Client, session: &str) -> serde_json::Value {
    client.get(&format!("/v1/checkout/sessions/{session}"), "expand[]=line_items")
}

#[test]
fn a_subscription_exists_only_after_the_payment() {
    let client = client();
    let price = client.price(1980, "jpy", "month");
    let customer =
        id(&client.post("/v1/customers", "email=ada@example.com&metadata[quittance_customer]=u_1"));
    let more =
        format!("customer={customer}&client_reference_id=u_1&metadata[a]=1&subscription_data[metadata][b]=2");
    let session = session(&client, &price, &more);
    let open = read(&client, &session);
    assert_eq!(text(&open, "/url"), format!("http://sandbox.test/c/pay/{session}"));
    assert!(open["subscription"].is_null() && open["payment_intent"].is_null());
    assert_eq!(number(&open, "/line_items/data/0/amount_total"), 1980);
    let outcome = client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    assert_eq!(
        outcome,
        CheckoutOutcome::Complete { redirect_url: Some(format!("https://app.test/return?s={session}")) }
    );
    let complete = read(&client, &session);
    assert_eq!((text(&complete, "/status"), text(&complete, "/payment_status")), ("complete", "paid"));
    assert!(complete["url"].is_null());
    assert_eq!(text(&complete, "/client_reference_id"), "u_1");
    assert_eq!(text(&complete, "/metadata/a"), "1");
    let subscription = client.subscription(text(&complete, "/subscription"));
    assert_eq!(text(&subscription, "/status"), "active");
    assert_eq!(text(&subscription, "/metadata/b"), "2");
    assert_eq!(text(&subscription, "/customer"), customer);
    assert!(subscription["default_payment_method"].is_string());
    assert_eq!(text(&complete, "/invoice"), text(&subscription, "/latest_invoice"));
    let invoice = client.get(&format!("/v1/invoices/{}", text(&complete, "/invoice")), "expand[]=payments");
    assert_eq!(text(&invoice, "/status"), "paid");
    assert_eq!(invoice["payments"]["data"].as_array().unwrap().len(), 1);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("jpy"), 1980);
    assert_eq!(client.events("type=checkout.session.completed").len(), 1);
    let again = client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap_err();
    assert_eq!(again.code, "checkout_session_not_open");
}

/// The credit of a downgrade pays first; the card pays what is left, once.
#[test]
fn a_customers_credit_is_used_before_the_card() {
    for (credit, charged, left) in [(500, vec![1480], 0), (1950, vec![], 30), (5000, vec![], -3020)] {
        let client = client();
        let customer = id(&client.post("/v1/customers", &format!("balance=-{credit}")));
        let price = client.price(1980, "jpy", "month");
        let session = session(&client, &price, &format!("customer={customer}"));
        client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
        let ledger = client.sandbox.ledger();
        let books = ledger.customer(&customer).unwrap();
        let amounts: Vec<i64> = books.charges.iter().map(|charge| charge.amount).collect();
        assert_eq!((amounts, books.balance), (charged, left), "credit {credit}");
        assert!(books.charges.iter().all(|charge| charge.invoice.is_some()), "a charge pays an invoice");
        assert_eq!((books.invoices.len(), books.invoices[0].status.as_str()), (1, "paid"));
        assert_eq!(books.subscriptions[0].status, "active");
    }
}

#[test]
fn a_declined_card_leaves_the_session_open_for_another() {
    let client = client();
    let session = session(&client, &client.price(1980, "jpy", "month"), "");
    let declined = client
        .sandbox
        .complete_checkout(&session, "pm_card_visa_chargeDeclinedInsufficientFunds")
        .unwrap_err();
    assert_eq!(
        (declined.status, declined.code.as_str(), declined.decline_code.as_deref()),
        (402, "card_declined", Some("insufficient_funds"))
    );
    assert_eq!(text(&read(&client, &session), "/status"), "open");
    assert_eq!(client.events("type=checkout.session.completed").len(), 0);
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    let complete = read(&client, &session);
    let ledger = client.sandbox.ledger();
    let customer = ledger.customer(text(&complete, "/customer")).unwrap();
    assert_eq!(customer.net("jpy"), 1980);
    assert_eq!(
        client.get("/v1/payment_intents", "")["data"].as_array().unwrap().len(),
        1,
        "both attempts are of one intent"
    );
}

#[test]
fn three_d_secure_must_be_passed_first() {
    let client = client();
    let price = client.price(1980, "jpy", "month");
    let session = session(&client, &price, "");
    let CheckoutOutcome::RequiresAction { intent, url } =
        client.sandbox.complete_checkout(&session, "pm_card_threeDSecure2Required").unwrap()
    else {
        panic!("no authentication was asked for");
    };
    assert_eq!(url, format!("http://sandbox.test/3ds/{intent}"));
    assert!(read(&client, &session)["subscription"].is_null());
    assert_eq!(client.events("type=payment_intent.requires_action").len(), 1);
    assert!(!client.sandbox.authenticate(&intent, false).unwrap());
    assert_eq!(text(&read(&client, &session), "/status"), "open");
    client.sandbox.complete_checkout(&session, "pm_card_threeDSecure2Required").unwrap();
    assert!(client.sandbox.authenticate(&intent, true).unwrap());
    assert_eq!(text(&read(&client, &session), "/payment_status"), "paid");
    assert_eq!(
        client.sandbox.authenticate(&intent, true).unwrap_err().code,
        "payment_intent_unexpected_state"
    );
}

#[test]
fn a_card_can_be_refused_after_three_d_secure() {
    let client = client();
    let session = session(&client, &client.price(1980, "jpy", "month"), "");
    let CheckoutOutcome::RequiresAction { intent, .. } = client
        .sandbox
        .complete_checkout(&session, "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
        .unwrap()
    else {
        panic!("no authentication was asked for");
    };
    assert!(!client.sandbox.authenticate(&intent, true).unwrap());
    let error = client.get(&format!("/v1/payment_intents/{intent}"), "");
    assert_eq!(text(&error, "/last_payment_error/decline_code"), "insufficient_funds");
    assert_eq!(text(&read(&client, &session), "/status"), "open");
}

#[test]
fn two_open_sessions_of_one_customer_can_both_be_paid() {
    let client = client();
    let price = client.price(1000, "usd", "month");
    let customer = id(&client.post("/v1/customers", ""));
    let sessions = [
        session(&client, &price, &format!("customer={customer}")),
        session(&client, &price, &format!("customer={customer}")),
    ];
    for session in &sessions {
        client.sandbox.complete_checkout(session, "pm_card_visa").unwrap();
    }
    let all = client.get("/v1/subscriptions", &format!("customer={customer}"));
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);
}

#[test]
fn a_session_that_cannot_become_a_subscription_takes_no_money() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    let (usd, jpy) = (client.price(1000, "usd", "month"), client.price(1000, "jpy", "month"));
    let first = session(&client, &usd, &format!("customer={customer}"));
    let second = session(&client, &jpy, &format!("customer={customer}"));
    client.sandbox.complete_checkout(&first, "pm_card_visa").unwrap();
    assert!(client.sandbox.complete_checkout(&second, "pm_card_visa").is_err(), "one customer, one currency");
    let ledger = client.sandbox.ledger();
    assert_eq!(ledger.customer(&customer).unwrap().charges.len(), 1);
}

#[test]
fn a_trial_saves_the_card_and_takes_nothing() {
    let client = client();
    let session =
        session(&client, &client.price(1000, "usd", "month"), "subscription_data[trial_period_days]=14");
    assert_eq!(number(&read(&client, &session), "/amount_total"), 0);
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    let complete = read(&client, &session);
    assert_eq!(text(&complete, "/payment_status"), "no_payment_required");
    let subscription = client.subscription(text(&complete, "/subscription"));
    assert_eq!(text(&subscription, "/status"), "trialing");
    client.sandbox.advance_time(14 * DAY + 2 * HOUR);
    assert_eq!(client.sandbox.ledger().customer(text(&complete, "/customer")).unwrap().net("usd"), 1000);
}

#[test]
fn a_session_closes_after_a_day_or_on_request() {
    let client = client();
    let price = client.price(1000, "usd", "month");
    let (first, second) = (session(&client, &price, ""), session(&client, &price, ""));
    assert_eq!(
        text(&client.post(&format!("/v1/checkout/sessions/{first}/expire"), ""), "/status"),
        "expired"
    );
    client.refused(400, "POST", &format!("/v1/checkout/sessions/{first}/expire"), "");
    client.sandbox.advance_time(DAY);
    assert_eq!(text(&read(&client, &second), "/status"), "expired");
    assert_eq!(client.events("type=checkout.session.expired").len(), 2);
    assert!(client.sandbox.complete_checkout(&second, "pm_card_visa").is_err());
    let expired = client.get("/v1/checkout/sessions", "status=expired");
    assert_eq!(expired["data"].as_array().unwrap().len(), 2);
}

#[test]
fn a_one_time_payment_shows_its_intent() {
    let client = client();
    let price = id(&client.post("/v1/prices", "unit_amount=1500&currency=usd&product_data[name]=Course"));
    let form = format!(
        "mode=payment&line_items[0][price]={price}&line_items[0][quantity]=2&success_url=https://app.test/ok&payment_intent_data[metadata][order]=7"
    );
    let session = id(&client.post("/v1/checkout/sessions", &form));
    let method = id(&client.post(
        "/v1/payment_methods",
        "type=card&card[token]=tok_visa&billing_details[email]=ada@example.com",
    ));
    client.refused(
        400,
        "POST",
        &format!("/v1/payment_pages/{session}/confirm"),
        &format!("payment_method={method}&expected_amount=1"),
    );
    client.post(
        &format!("/v1/payment_pages/{session}/confirm"),
        &format!("payment_method={method}&expected_amount=3000"),
    );
    let complete = read(&client, &session);
    let intent = client.get(
        &format!("/v1/payment_intents/{}", text(&complete, "/payment_intent")),
        "expand[]=latest_charge.balance_transaction",
    );
    assert_eq!(number(&intent, "/latest_charge/balance_transaction/amount"), 3000);
    assert_eq!(text(&intent, "/metadata/order"), "7");
    assert_eq!(text(&complete, "/customer_details/email"), "ada@example.com");
}

#[test]
fn saving_a_card_takes_nothing() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    let session = id(&client.post(
        "/v1/checkout/sessions",
        &format!("mode=setup&customer={customer}&currency=usd&success_url=https://app.test/ok"),
    ));
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    let complete = read(&client, &session);
    let setup = client.get(&format!("/v1/setup_intents/{}", text(&complete, "/setup_intent")), "");
    assert_eq!(text(&setup, "/status"), "succeeded");
    let methods = client.get(&format!("/v1/customers/{customer}/payment_methods"), "");
    assert_eq!(methods["data"][0]["id"], setup["payment_method"]);
}

#[test]
fn wrong_sessions_are_refused() {
    let client = client();
    let (month, once) = (
        client.price(1000, "usd", "month"),
        id(&client.post("/v1/prices", "unit_amount=1500&currency=usd&product_data[name]=Course")),
    );
    let line = |price: &str| {
        format!("line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://app.test/ok")
    };
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("mode=payment&{}", line(&month)));
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("mode=subscription&{}", line(&once)));
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=subscription&ui_mode=hosted&{}", line(&month)),
    );
    client.refused(
        404,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=subscription&customer=cus_none&{}", line(&month)),
    );
    let error = client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=subscription&line_items[0][price]={month}&line_items[0][quantity]=1"),
    );
    assert_eq!((text(&error, "/code"), text(&error, "/param")), ("parameter_missing", "success_url"));
}
