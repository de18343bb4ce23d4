//! Each account keeps its own books: objects, keys, timers and pages.

use serde_json::{Value, json};

use super::{As, ready};
use crate::client::{Client, DAY, client, id, number, text};
use quittance_sandbox::HttpRequest;

fn customers(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(id).collect()
}

/// A subscription in an account's books; its id.
fn subscribe(me: &As<'_>) -> String {
    let price = id(&me.post(
        "/v1/prices",
        "unit_amount=1000&currency=usd&recurring[interval]=month&product_data[name]=Pro",
    ));
    let customer = id(&me.post("/v1/customers", "name=Ada"));
    let method = id(&me.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    let form = format!("customer={customer}&items[0][price]={price}&default_payment_method={method}");
    id(&me.post("/v1/subscriptions", &form))
}

#[test]
fn accounts_do_not_see_each_other() {
    let client = client();
    let (one, two) = (ready(&client), ready(&client));
    let (one, two) = (As { client: &client, account: &one }, As { client: &client, account: &two });
    let mine = id(&client.post("/v1/customers", "name=Platform"));
    let theirs = id(&one.post("/v1/customers", "name=One"));
    assert_eq!(customers(&client.get("/v1/customers", "")), std::slice::from_ref(&mine));
    assert_eq!(customers(&one.get("/v1/customers", "")), std::slice::from_ref(&theirs));
    assert!(customers(&two.get("/v1/customers", "")).is_empty());
    client.refused(404, "GET", &format!("/v1/customers/{theirs}"), "");
    one.refused(404, "GET", &format!("/v1/customers/{mine}"), "");
    let event = id(&one.get("/v1/events", "type=customer.created")["data"][0]);
    client.refused(404, "GET", &format!("/v1/events/{event}"), "");
    assert_eq!(client.get("/v1/events", "type=customer.created")["data"].as_array().unwrap().len(), 1);
    assert_eq!(one.get("/v1/account", "")["id"], one.account);
    one.refused(403, "GET", &format!("/v1/accounts/{}", two.account), "");
    one.refused(400, "POST", "/v1/accounts", "type=standard");
    one.refused(400, "GET", "/v1/transfers", "");
}

#[test]
fn the_same_key_is_another_key_for_another_account() {
    let client = client();
    let account = ready(&client);
    let request =
        HttpRequest::new("POST", "/v1/customers", "sk_test_123", "name=Ada").header("Idempotency-Key", "one");
    let mine = client.sandbox.handle(request.clone());
    let theirs = client.sandbox.handle(request.clone().header("Stripe-Account", &account));
    assert_ne!(mine.value()["id"], theirs.value()["id"]);
    let again = client.sandbox.handle(request.header("Stripe-Account", &account));
    assert_eq!(again.header_value("idempotent-replayed"), Some("true"));
    assert_eq!(again.value(), theirs.value());
}

#[test]
fn time_passes_in_all_books_in_one_order() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let theirs = subscribe(&me);
    client.sandbox.advance_time(DAY);
    let price = client.price(700, "usd", "month");
    let mine = id(&client.subscribe(&client.customer("pm_card_visa"), &price, ""));
    assert!(client.sandbox.next_due().is_some());
    client.sandbox.advance_time(70 * DAY);
    let paid = |list: Value| list["data"].as_array().unwrap().len();
    assert_eq!(paid(me.get("/v1/invoices", &format!("subscription={theirs}&status=paid"))), 3);
    assert_eq!(paid(client.get("/v1/invoices", &format!("subscription={mine}&status=paid"))), 3);
    let times = |list: Value, pointer: &str| -> Vec<i64> {
        list["data"].as_array().unwrap().iter().map(|object| number(object, pointer)).collect()
    };
    let renewals = times(me.get("/v1/invoices", ""), "/status_transitions/paid_at");
    assert_eq!(renewals, times(me.get("/v1/charges", ""), "/created"), "each at its own instant");
    assert!(renewals[0] - renewals[1] > 27 * DAY);
}

#[test]
fn a_snapshot_holds_all_books() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let subscription = subscribe(&me);
    let snapshot = client.sandbox.snapshot();
    let other: Client = crate::client::client();
    other.sandbox.restore(&snapshot).unwrap();
    assert_eq!(other.sandbox.snapshot(), snapshot, "nothing is lost on the way");
    let me = As { client: &other, account: &account };
    other.sandbox.advance_time(40 * DAY);
    let invoices = me.get("/v1/invoices", &format!("subscription={subscription}"));
    assert_eq!(invoices["data"].as_array().unwrap().len(), 2);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let client = client();
        let account = ready(&client);
        subscribe(&As { client: &client, account: &account });
        client.sandbox.advance_time(70 * DAY);
        client.sandbox.snapshot().to_string()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_buyers_pages_find_the_books_of_their_session() {
    let client = client();
    let account = ready(&client);
    client.post(&format!("/v1/accounts/{account}"), "business_profile[name]=Atelier");
    let me = As { client: &client, account: &account };
    let form = "mode=payment&success_url=https://shop.test/ok&line_items[0][quantity]=1&line_items[0][price_data][currency]=usd\
        &line_items[0][price_data][unit_amount]=2500&line_items[0][price_data][product_data][name]=Chair";
    let session = id(&me.post("/v1/checkout/sessions", form));
    let page =
        HttpRequest { method: "GET".to_owned(), path: format!("/c/pay/{session}"), ..HttpRequest::default() };
    let shown = client.sandbox.handle(page);
    let html = String::from_utf8(shown.body).unwrap();
    assert_eq!(shown.status, 200);
    assert!(html.contains("Atelier") && html.contains("Chair"), "{html}");
    let done = client.control(
        "POST",
        &format!("checkout_sessions/{session}/complete"),
        &json!({ "payment_method": "pm_card_visa" }),
    );
    assert_eq!(done["status"], "complete");
    assert_eq!(text(&me.get(&format!("/v1/checkout/sessions/{session}"), ""), "/payment_status"), "paid");
    assert_eq!(client.sandbox.ledger().charges.len(), 0, "not the platform's");
    assert_eq!(client.sandbox.speaking_for(&account).ledger().charges.len(), 1);
    let ledger = |account: &str| {
        let request = HttpRequest {
            method: "GET".to_owned(),
            path: "/_sandbox/ledger".to_owned(),
            ..HttpRequest::default()
        };
        client.sandbox.handle(request.header("Stripe-Account", account))
    };
    assert_eq!(ledger(&account).value()["charges"].as_array().unwrap().len(), 1);
    assert_eq!(ledger("acct_nobody").status, 403);
    let secured = id(&me.post("/v1/checkout/sessions", form));
    let waits = client.control(
        "POST",
        &format!("checkout_sessions/{secured}/complete"),
        &json!({ "payment_method": "pm_card_threeDSecure2Required" }),
    );
    let intent = text(&waits, "/payment_intent");
    let page = HttpRequest {
        method: "POST".to_owned(),
        path: format!("/3ds/{intent}"),
        body: b"outcome=success".to_vec(),
        ..HttpRequest::default()
    };
    assert_eq!(client.sandbox.handle(page).header_value("location"), Some("https://shop.test/ok"));
}

#[test]
fn a_portal_opens_in_the_books_of_its_customer() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let subscription = subscribe(&me);
    let customer = text(&me.get(&format!("/v1/subscriptions/{subscription}"), ""), "/customer").to_owned();
    let session =
        me.post("/v1/billing_portal/sessions", &format!("customer={customer}&return_url=https://shop.test"));
    let path = text(&session, "/url").strip_prefix("http://sandbox.test").unwrap().to_owned();
    let send = |method: &str, path: String| {
        client.sandbox.handle(HttpRequest { method: method.to_owned(), path, ..HttpRequest::default() })
    };
    assert!(String::from_utf8(send("GET", path.clone()).body).unwrap().contains("Pro"));
    let cancelled = send("POST", format!("{path}/subscriptions/{subscription}/cancel"));
    assert_eq!(cancelled.status, 303);
    assert_eq!(me.get(&format!("/v1/subscriptions/{subscription}"), "")["cancel_at_period_end"], true);
}
