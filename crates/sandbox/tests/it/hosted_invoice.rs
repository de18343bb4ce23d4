//! The hosted page of an invoice, as its customer uses it.

use quittance_sandbox::{HttpRequest, HttpResponse};

use crate::client::{Client, client, id, number, text};

fn page(client: &Client, method: &str, path: &str, form: &str) -> HttpResponse {
    client.sandbox.handle(HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        body: form.as_bytes().to_vec(),
        ..HttpRequest::default()
    })
}

fn leads_to(response: &HttpResponse) -> String {
    assert_eq!(response.status, 303, "{}", String::from_utf8_lossy(&response.body));
    response.header_value("location").unwrap().to_owned()
}

/// A subscription whose renewal needs or is refused by `card`: its id, and the path of the open invoice's page.
fn failing(client: &Client, card: &str) -> (String, String) {
    let customer = id(&client.post("/v1/customers", ""));
    let attach = |card: &str| {
        let method =
            id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
        let form = format!("invoice_settings[default_payment_method]={method}");
        client.post(&format!("/v1/customers/{customer}"), &form);
    };
    attach("pm_card_visa");
    let price = client.price(1980, "jpy", "month");
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = id(&client.post("/v1/subscriptions", &form));
    attach(card);
    client.sandbox.advance_time(31 * 86_400 + 7_200);
    let found = client.get(&format!("/v1/subscriptions/{subscription}"), "expand[0]=latest_invoice");
    assert_eq!(text(&found, "/status"), "past_due");
    let url = text(&found, "/latest_invoice/hosted_invoice_url").to_owned();
    let path = format!("/{}", url.splitn(4, '/').nth(3).unwrap());
    (subscription, path)
}

fn status(client: &Client, subscription: &str) -> String {
    text(&client.get(&format!("/v1/subscriptions/{subscription}"), ""), "/status").to_owned()
}

#[test]
fn a_customer_pays_an_open_invoice_with_another_card() {
    let client = client();
    let (subscription, path) = failing(&client, "pm_card_chargeCustomerFail");
    let shown = page(&client, "GET", &path, "");
    assert_eq!(shown.status, 200);
    let body = String::from_utf8(shown.body).unwrap();
    assert!(body.contains("1,980") && body.contains("0341") && body.contains("name=\"number\""), "{body}");
    assert_eq!(page(&client, "POST", &path, "use=saved").status, 402, "the card on file is declined again");
    assert_eq!(page(&client, "POST", &path, "number=1").status, 422);
    let card = "number=4242424242424242&expiry=12%2F30&cvc=123&name=Ada";
    assert_eq!(leads_to(&page(&client, "POST", &path, card)), path);
    assert_eq!(status(&client, &subscription), "active");
    let after = page(&client, "GET", &path, "");
    assert!(
        !String::from_utf8(after.body).unwrap().contains("name=\"number\""),
        "there is nothing to pay any more"
    );
    let again = page(&client, "POST", &path, card);
    assert_eq!(again.status, 200, "a second press pays nothing");
    let customer =
        text(&client.get(&format!("/v1/subscriptions/{subscription}"), ""), "/customer").to_owned();
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("jpy"), 2 * 1980);
}

#[test]
fn a_customer_confirms_with_the_bank_or_takes_another_card() {
    let client = client();
    let (subscription, path) = failing(&client, "pm_card_authenticationRequired");
    let bank = leads_to(&page(&client, "GET", &path, ""));
    assert!(bank.starts_with("/3ds/pi_"), "{bank}");
    assert_eq!(leads_to(&page(&client, "POST", &bank, "outcome=failure")), path);
    assert_eq!(page(&client, "GET", &path, "").status, 200, "the page asks for a card now");
    assert_eq!(status(&client, &subscription), "past_due");
    assert_eq!(leads_to(&page(&client, "POST", &path, "use=saved")), path);
    let bank = leads_to(&page(&client, "GET", &path, ""));
    assert_eq!(leads_to(&page(&client, "POST", &bank, "outcome=success")), path);
    assert_eq!(status(&client, &subscription), "active");
}

/// The provider counts its own tries, the one that succeeds too.
#[test]
fn a_retry_that_succeeds_is_counted() {
    let client = client();
    let (subscription, _) = failing(&client, "pm_card_chargeCustomerFail");
    let found = client.get(&format!("/v1/subscriptions/{subscription}"), "expand[0]=latest_invoice");
    let customer = text(&found, "/customer").to_owned();
    let invoice = text(&found, "/latest_invoice/id").to_owned();
    assert_eq!(number(&found, "/latest_invoice/attempt_count"), 1);
    let method = id(&client.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={method}"),
    );
    client.sandbox.advance_time(4 * 86_400);
    let paid = client.get(&format!("/v1/invoices/{invoice}"), "");
    assert_eq!((text(&paid, "/status"), number(&paid, "/attempt_count")), ("paid", 2));
}

/// The latest invoice decides what a subscription is: one that was paid since makes a retry of an older one a matter of that
/// one alone.
#[test]
fn a_retry_of_an_older_invoice_leaves_the_subscription_as_it_is() {
    let client = client();
    let (subscription, _) = failing(&client, "pm_card_chargeCustomerFail");
    let found = client.get(&format!("/v1/subscriptions/{subscription}"), "");
    let item = text(&found, "/items/data/0/id").to_owned();
    let older = text(&found, "/latest_invoice").to_owned();
    // What is left of the first period is more than this costs.
    let price = client.price(100, "jpy", "year");
    client.post(
        &format!("/v1/subscriptions/{subscription}"),
        &format!("items[0][id]={item}&items[0][price]={price}"),
    );
    let latest =
        text(&client.get(&format!("/v1/subscriptions/{subscription}"), ""), "/latest_invoice").to_owned();
    assert_ne!(latest, older);
    assert_eq!(text(&client.get(&format!("/v1/invoices/{latest}"), ""), "/status"), "paid");
    assert_eq!(status(&client, &subscription), "active");
    client.sandbox.advance_time(4 * 86_400);
    let retried = client.get(&format!("/v1/invoices/{older}"), "");
    assert_eq!((text(&retried, "/status"), number(&retried, "/attempt_count")), ("open", 2));
    assert_eq!(status(&client, &subscription), "active");
}
