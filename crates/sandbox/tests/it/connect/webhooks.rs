//! Who is told of what: the platform's endpoints, those for connected accounts, and the accounts' own.

use serde_json::Value;

use super::{As, BOTH, EVERYTHING, ready};
use crate::client::{Client, client, id, text};
use crate::schema;

/// What was delivered, by URL: type and account.
fn delivered(client: &Client, url: &str) -> Vec<(String, Option<String>)> {
    let due = client.sandbox.due_deliveries();
    let to_url = due.iter().filter(|delivery| delivery.url == url);
    let told = to_url.map(|delivery| {
        let event: Value = serde_json::from_slice(&delivery.body).unwrap();
        schema::check_object("Event", &event);
        (text(&event, "/type").to_owned(), event["account"].as_str().map(str::to_owned))
    });
    told.collect()
}

const CONNECT: &str = "https://platform.test/connect";

fn listen(client: &Client) {
    client.post("/v1/webhook_endpoints", &format!("url={CONNECT}&enabled_events[]=*&connect=true"));
}

#[test]
fn a_connect_endpoint_hears_the_accounts_and_not_the_platform() {
    let client = client();
    listen(&client);
    let account = ready(&client);
    client.deliver();
    client.post("/v1/customers", "name=Platform");
    let me = As { client: &client, account: &account };
    me.post("/v1/customers", "name=One");
    assert_eq!(delivered(&client, CONNECT), [("customer.created".to_owned(), Some(account.clone()))]);
    client.post("/v1/customers", "name=Platform");
    me.post("/v1/customers", "name=One");
    assert_eq!(
        delivered(&client, "http://127.0.0.1:1/hooks"),
        [("customer.created".to_owned(), None)],
        "the platform's own endpoint hears only of the platform"
    );
    let own = "https://shop.test/own";
    me.post("/v1/webhook_endpoints", &format!("url={own}&enabled_events[]=customer.created"));
    me.refused(400, "POST", "/v1/webhook_endpoints", "url=https://x.test&enabled_events[]=*&connect=true");
    me.post("/v1/customers", "name=Two");
    assert_eq!(delivered(&client, own), [("customer.created".to_owned(), Some(account.clone()))]);
    let listed = |value: Value| value["data"].as_array().unwrap().len();
    assert_eq!(listed(me.get("/v1/webhook_endpoints", "")), 1);
    assert_eq!(listed(client.get("/v1/webhook_endpoints", "")), 2);
}

#[test]
fn an_event_of_an_account_is_sent_again_where_it_belongs() {
    let client = client();
    listen(&client);
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    me.post("/v1/customers", "name=One");
    client.deliver();
    let event = id(&me.get("/v1/events", "type=customer.created")["data"][0]);
    let endpoints = client.get("/v1/webhook_endpoints", "");
    let endpoint = |url: &str| {
        id(endpoints["data"].as_array().unwrap().iter().find(|endpoint| endpoint["url"] == url).unwrap())
    };
    let retry = format!("/v1/events/{event}/retry");
    let form = |url: &str| format!("account={account}&webhook_endpoint={}", endpoint(url));
    client.post(&retry, &form(CONNECT));
    assert_eq!(delivered(&client, CONNECT), [("customer.created".to_owned(), Some(account.clone()))]);
    client.refused(404, "POST", &retry, &form("http://127.0.0.1:1/hooks"));
    client.refused(404, "POST", &retry, &format!("webhook_endpoint={}", endpoint(CONNECT)));
    client.refused(403, "POST", &retry, &format!("account=acct_none&webhook_endpoint={}", endpoint(CONNECT)));
}

#[test]
fn an_accounts_life_is_told_step_by_step() {
    let client = client();
    listen(&client);
    let account = id(&client.post("/v1/accounts", &format!("type=custom&{BOTH}")));
    let kinds = |client: &Client| -> Vec<String> {
        delivered(client, CONNECT)
            .into_iter()
            .map(|(kind, of)| {
                assert_eq!(of.as_deref(), Some(account.as_str()));
                kind
            })
            .collect()
    };
    assert_eq!(
        kinds(&client),
        ["account.application.authorized", "capability.updated", "capability.updated"]
    );
    client.post(&format!("/v1/accounts/{account}"), "metadata[a]=1");
    assert_eq!(kinds(&client), ["account.updated"]);
    client.post(&format!("/v1/accounts/{account}"), EVERYTHING);
    assert_eq!(kinds(&client), ["account.updated", "capability.updated", "capability.updated"]);
    let me = As { client: &client, account: &account };
    let updated = me.get("/v1/events", "type=account.updated&limit=1");
    let data = &updated["data"][0]["data"];
    schema::check_object("Account", &data["object"]);
    assert_eq!(data["object"]["charges_enabled"], true);
    assert_eq!(data["previous_attributes"]["charges_enabled"], false);
    let capability = me.get("/v1/events", "type=capability.updated&limit=1");
    schema::check_object("Capability", &capability["data"][0]["data"]["object"]);
    assert_eq!(capability["data"][0]["data"]["previous_attributes"]["status"], "inactive");
    client.delete(&format!("/v1/accounts/{account}"), "");
    assert_eq!(kinds(&client), ["account.application.deauthorized"]);
}

#[test]
fn who_went_away_is_not_heard_of_any_more() {
    let client = client();
    listen(&client);
    let account = id(&client.post("/v1/accounts", "type=standard"));
    client.control("POST", &format!("accounts/{account}/onboard"), &Value::Null);
    let me = As { client: &client, account: &account };
    let price = id(&me.post(
        "/v1/prices",
        "unit_amount=1000&currency=usd&recurring[interval]=month&product_data[name]=Pro",
    ));
    let customer = id(&me.post("/v1/customers", "name=Ada"));
    let method = id(&me.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}")));
    me.post(
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={price}&default_payment_method={method}"),
    );
    let application = format!("ca_{}", client.sandbox.account_id().trim_start_matches("acct_"));
    client.post("/oauth/deauthorize", &format!("client_id={application}&stripe_user_id={account}"));
    client.deliver();
    let before = client.sandbox.events_made();
    client.sandbox.advance_time(40 * crate::client::DAY);
    assert!(client.sandbox.events_made() > before, "the account goes on by itself");
    assert!(delivered(&client, CONNECT).is_empty());
}

#[test]
fn a_deleted_account_does_nothing_more() {
    let client = client();
    let account = ready(&client);
    let me = As { client: &client, account: &account };
    let session = "mode=payment&success_url=https://shop.test/ok&line_items[0][quantity]=1&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=2500&line_items[0][price_data][product_data][name]=Chair";
    me.post("/v1/checkout/sessions", session);
    client.delete(&format!("/v1/accounts/{account}"), "");
    let before = client.sandbox.events_made();
    client.sandbox.advance_time(3 * crate::client::DAY);
    assert_eq!(client.sandbox.events_made(), before, "its session does not even expire");
}
