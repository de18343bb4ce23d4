//! The web pages as a browser uses them: paying, authenticating, managing, operating.

use quittance_sandbox::{HttpRequest, HttpResponse};

use crate::client::{Client, DAY, START, client, id, number, text};

const CARD: &str =
    "number=4242+4242+4242+4242&expiry=12%2F30&cvc=123&name=Ada+Lovelace&email=ada%40example.com";

fn open(client: &Client, path: &str) -> HttpResponse {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    client.sandbox.handle(HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..HttpRequest::default()
    })
}

fn submit(client: &Client, path: &str, form: &str) -> HttpResponse {
    client.sandbox.handle(HttpRequest {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: form.as_bytes().to_vec(),
        ..HttpRequest::default()
    })
}

fn leads_to(response: &HttpResponse) -> String {
    assert_eq!(response.status, 303, "{}", String::from_utf8_lossy(&response.body));
    response.header_value("location").unwrap().to_owned()
}

fn body(response: &HttpResponse) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn session(client: &Client) -> String {
    let price = client.price(1980, "jpy", "month");
    id(&client.post("/v1/checkout/sessions", &format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://app.test/ok?s={{CHECKOUT_SESSION_ID}}")))
}

#[test]
fn a_buyer_pays_on_the_page() {
    let client = client();
    let session = session(&client);
    let path = format!("/c/pay/{session}");
    let page = open(&client, &path);
    assert_eq!(page.status, 200);
    assert!(page.header_value("content-security-policy").unwrap().contains("https://app.test"));
    assert!(body(&page).contains("1,980"));
    assert_eq!(submit(&client, &path, "number=1&email=ada%40example.com").status, 422);
    let declined = submit(&client, &path, &CARD.replace("4242+4242+4242+4242", "4000000000000002"));
    assert_eq!(declined.status, 402);
    assert!(!body(&declined).contains("4000000000000002\" "), "the number is not shown again");
    assert_eq!(leads_to(&submit(&client, &path, CARD)), format!("https://app.test/ok?s={session}"));
    assert_eq!(submit(&client, &path, CARD).status, 200, "a second press pays nothing");
    let customer = text(&client.get(&format!("/v1/checkout/sessions/{session}"), ""), "/customer").to_owned();
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("jpy"), 1980);
    assert_eq!(text(&client.get(&format!("/v1/customers/{customer}"), ""), "/email"), "ada@example.com");
}

#[test]
fn the_banks_page_confirms_or_sends_back() {
    let client = client();
    let session = session(&client);
    let path = format!("/c/pay/{session}");
    let card = CARD.replace("4242+4242+4242+4242", "4000000000003220");
    let bank = leads_to(&submit(&client, &path, &card));
    assert!(bank.starts_with("/3ds/pi_"));
    assert!(body(&open(&client, &bank)).contains("3220"));
    assert_eq!(
        leads_to(&submit(&client, &bank, "outcome=failure")),
        format!("{path}?problem=authentication")
    );
    assert_eq!(open(&client, &bank).status, 404, "nothing waits there any more");
    let bank = leads_to(&submit(&client, &path, &card));
    assert_eq!(
        leads_to(&submit(&client, &bank, "outcome=success")),
        format!("https://app.test/ok?s={session}")
    );
}

fn portal(client: &Client, customer: &str) -> String {
    let session = client.post(
        "/v1/billing_portal/sessions",
        &format!("customer={customer}&return_url=https://app.test/billing"),
    );
    text(&session, "/url").strip_prefix("http://sandbox.test").unwrap().to_owned()
}

#[test]
fn a_customer_cancels_and_takes_it_back() {
    let client = client();
    let (price, customer) = (client.price(1980, "jpy", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let home = portal(&client, &customer);
    assert_eq!(open(&client, &home).status, 200);
    let cancel = format!("{home}/subscriptions/{subscription}/cancel");
    assert_eq!(open(&client, &cancel).status, 200);
    assert!(client.subscription(&subscription)["cancel_at"].is_null(), "asking changes nothing");
    let back = leads_to(&submit(&client, &cancel, ""));
    assert_eq!(open(&client, &back).status, 200);
    assert_eq!(number(&client.subscription(&subscription), "/cancel_at"), START + 31 * DAY);
    leads_to(&submit(&client, &format!("{home}/subscriptions/{subscription}/resume"), ""));
    assert!(client.subscription(&subscription)["cancel_at"].is_null());
    assert_eq!(client.events("type=customer.subscription.updated").len(), 2);
}

#[test]
fn a_customer_changes_plan_and_card() {
    let client = client();
    let (small, large) = (client.price(1000, "usd", "month"), client.price(3000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = id(&client.subscribe(&customer, &small, ""));
    let home = portal(&client, &customer);
    let change = format!("{home}/subscriptions/{subscription}/change");
    client.sandbox.advance_time(31 * DAY / 2);
    let home_now = portal(&client, &customer);
    let change = change.replace(&home, &home_now);
    leads_to(&submit(&client, &change, &format!("price={large}")));
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000 + 1000);
    let bad = submit(
        &client,
        &format!("{home_now}/card"),
        &CARD.replace("4242+4242+4242+4242", "4000000000000002"),
    );
    assert_eq!(bad.status, 402);
    leads_to(&submit(
        &client,
        &format!("{home_now}/card"),
        &CARD.replace("4242+4242+4242+4242", "5555555555554444"),
    ));
    assert!(body(&open(&client, &home_now)).contains("4444"));
    let foreign = client.customer("pm_card_visa");
    let other = portal(&client, &foreign);
    assert_eq!(
        submit(&client, &format!("{other}/subscriptions/{subscription}/cancel"), "").status,
        404,
        "another customer's subscription"
    );
}

#[test]
fn a_new_card_pays_what_is_open() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let bad = id(&client
        .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={bad}"),
    );
    client.sandbox.advance_time(31 * DAY + 3600);
    assert_eq!(text(&client.subscription(&subscription), "/status"), "past_due");
    let home = portal(&client, &customer);
    let back = leads_to(&submit(&client, &format!("{home}/card"), CARD));
    assert!(back.contains("paid=1000"));
    assert_eq!(text(&client.subscription(&subscription), "/status"), "active");
}

#[test]
fn the_checkout_gives_a_nameless_customer_the_address_that_was_typed() {
    let client = client();
    let customer = id(&client.post("/v1/customers", "metadata[user]=u_1"));
    let price = client.price(1980, "jpy", "month");
    let session = client.post(
        "/v1/checkout/sessions",
        &format!(
            "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://app.test/done"
        ),
    );
    leads_to(&submit(&client, &format!("/c/pay/{}", id(&session)), CARD));
    assert_eq!(text(&client.get(&format!("/v1/customers/{customer}"), ""), "/email"), "ada@example.com");
}

#[test]
fn a_portal_link_grows_old() {
    let client = client();
    let home = portal(&client, &client.customer("pm_card_visa"));
    client.sandbox.advance_time(3600);
    let closed = open(&client, &home);
    assert_eq!(closed.status, 410);
    assert!(body(&closed).contains("No money moved"));
    assert!(body(&closed).contains("href=\"https://app.test/billing\""), "the way back to the seller");
    assert_eq!(open(&client, "/p/session/test_guess").status, 404);
}

#[test]
fn the_control_page_operates_the_sandbox() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    client.subscribe(&customer, &price, "");
    let page = body(&open(&client, "/_sandbox"));
    assert!(page.contains(&customer) && page.contains("customer.subscription.created"));
    assert_eq!(open(&client, "/").status, 200);
    leads_to(&submit(
        &client,
        "/_sandbox/ui/policy",
        "duplicate=100&drop=0&shuffle=0&delay_seconds=0&seed=3",
    ));
    assert!((client.sandbox.delivery_policy().duplicate - 1.0).abs() < f64::EPSILON);
    leads_to(&submit(&client, "/_sandbox/ui/pause", "paused=true"));
    assert!(client.sandbox.delivery_policy().paused);
    leads_to(&submit(&client, "/_sandbox/ui/faults", "kind=429&path=/v1/*&count=1"));
    assert_eq!(client.send("GET", "/v1/account", "").status, 429);
    leads_to(&submit(&client, "/_sandbox/ui/faults/clear", ""));
    assert!(client.sandbox.faults().is_empty());
    assert_eq!(
        leads_to(&submit(&client, "/_sandbox/ui/travel", "step=renewal&return_to=/c/pay/x")),
        "/c/pay/x"
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);
    assert_eq!(
        leads_to(&submit(&client, "/_sandbox/ui/travel", "step=day&return_to=//evil.test")),
        "/_sandbox"
    );
    assert!(
        leads_to(&submit(&client, &format!("/_sandbox/ui/customers/{customer}/portal"), ""))
            .starts_with("/p/session/")
    );
    leads_to(&submit(&client, "/_sandbox/ui/reset", ""));
    assert!(client.sandbox.ledger().customers.is_empty());
}

#[test]
fn another_sites_page_cannot_act() {
    let client = client();
    let request = HttpRequest {
        method: "POST".to_owned(),
        path: "/_sandbox/reset".to_owned(),
        ..HttpRequest::default()
    };
    client.customer("pm_card_visa");
    assert_eq!(client.sandbox.handle(request.header("Sec-Fetch-Site", "cross-site")).status, 403);
    assert_eq!(client.sandbox.ledger().customers.len(), 1);
}
