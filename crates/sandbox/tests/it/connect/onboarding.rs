//! Account links and their page.

use quittance_sandbox::{HttpRequest, HttpResponse};
use serde_json::Value;

use crate::client::{Client, client, id, number, text};

const REFRESH: &str = "https://platform.test/again";
const RETURN: &str = "https://platform.test/back";

fn link(client: &Client, account: &str) -> String {
    let form = format!("account={account}&type=account_onboarding&refresh_url={REFRESH}&return_url={RETURN}");
    let link = client.post("/v1/account_links", &form);
    assert_eq!(number(&link, "/expires_at") - number(&link, "/created"), 300);
    text(&link, "/url").strip_prefix("http://sandbox.test").unwrap().to_owned()
}

fn open(client: &Client, path: &str) -> HttpResponse {
    client.sandbox.handle(HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        ..HttpRequest::default()
    })
}

fn send(client: &Client, path: &str, form: &str) -> HttpResponse {
    client.sandbox.handle(HttpRequest {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: form.as_bytes().to_vec(),
        ..HttpRequest::default()
    })
}

const FORM: &str =
    "step=submit&business_type=individual&name=Ada+Test&email=ada@shop.test&url=https://shop.test";

#[test]
fn a_link_opens_its_page_once_and_the_page_completes_the_account() {
    let client = client();
    let account = id(&client.post("/v1/accounts", "type=express&email=ada@shop.test"));
    client.refused(400, "POST", &format!("/v1/accounts/{account}/login_links"), "");
    let path = link(&client, &account);
    assert_eq!(send(&client, &path, FORM).header_value("location"), Some(REFRESH), "it was not opened");
    let page = open(&client, &path);
    let html = String::from_utf8(page.body.clone()).unwrap();
    assert_eq!(page.status, 200);
    for part in ["Sandbox: no money moves here", "ada@shop.test", "tos_acceptance.date", "for=\"name\""] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    let policy = page.header_value("content-security-policy").unwrap();
    assert!(policy.contains("https://platform.test"), "{policy}");
    assert_eq!(open(&client, &path).header_value("location"), Some(REFRESH), "only once");
    let wrong = send(&client, &path, "step=submit&business_type=individual&name=&email=ada@shop.test&url=x");
    assert_eq!(wrong.status, 422);
    assert_eq!(client.get(&format!("/v1/accounts/{account}"), "")["details_submitted"], false);
    assert_eq!(send(&client, &path, FORM).header_value("location"), Some(RETURN));
    let ready = client.get(&format!("/v1/accounts/{account}"), "");
    for flag in ["charges_enabled", "payouts_enabled", "details_submitted"] {
        assert_eq!(ready[flag], true, "{flag}: {ready:#}");
    }
    assert_eq!(text(&ready, "/individual/first_name"), "Ada");
    assert_eq!(send(&client, &path, FORM).header_value("location"), Some(REFRESH), "it is used up");
    let refused =
        client.refused(403, "POST", &format!("/v1/accounts/{account}"), "individual[first_name]=Eve");
    assert_eq!(text(&refused, "/param"), "individual");
    let login = client.post(&format!("/v1/accounts/{account}/login_links"), "");
    let dashboard = open(&client, text(&login, "/url").strip_prefix("http://sandbox.test").unwrap());
    assert!(String::from_utf8(dashboard.body).unwrap().contains("Enabled"));
}

#[test]
fn a_link_that_is_too_old_leads_back_for_a_fresh_one() {
    let client = client();
    let account = id(&client.post("/v1/accounts", "type=standard"));
    let path = link(&client, &account);
    client.sandbox.advance_time(300);
    assert_eq!(open(&client, &path).header_value("location"), Some(REFRESH));
    let path = link(&client, &account);
    assert_eq!(open(&client, &path).status, 200);
    assert_eq!(send(&client, &path, "step=later").header_value("location"), Some(RETURN));
    let account = client.get(&format!("/v1/accounts/{account}"), "");
    assert_eq!(account["details_submitted"], false, "the return says nothing");
    assert_eq!(open(&client, "/connect/onboarding/unknown").status, 404);
}

#[test]
fn a_company_is_onboarded_by_its_name() {
    let client = client();
    let account = id(&client.post("/v1/accounts", "type=standard&business_type=non_profit&country=JP"));
    let path = link(&client, &account);
    open(&client, &path);
    send(
        &client,
        &path,
        "step=submit&business_type=company&name=Good+Cause&email=a@b.test&url=https://b.test",
    );
    let account = client.get(&format!("/v1/accounts/{account}"), "");
    assert_eq!(text(&account, "/business_type"), "non_profit", "what is known stays");
    assert_eq!(text(&account, "/company/name"), "Good Cause");
    assert_eq!(account["charges_enabled"], true, "{account:#}");
}

#[test]
fn tests_can_onboard_without_a_page() {
    let client = client();
    let account = id(&client.post("/v1/accounts", "type=standard"));
    let ready = client.control("POST", &format!("accounts/{account}/onboard"), &Value::Null);
    assert_eq!(ready["charges_enabled"], true);
    client.refused(
        400,
        "POST",
        "/v1/account_links",
        &format!("account={account}&type=account_update&refresh_url={REFRESH}&return_url={RETURN}"),
    );
    client.refused(
        400,
        "POST",
        "/v1/accounts",
        "type=standard&tos_acceptance[date]=1768478400&tos_acceptance[ip]=127.0.0.1",
    );
}

#[test]
fn a_session_says_what_it_is_for() {
    let client = client();
    let account = id(&client.post("/v1/accounts", "type=express"));
    let form = format!(
        "account={account}&components[payments][enabled]=true&components[payments][features][refund_management]=true"
    );
    let session = client.post("/v1/account_sessions", &form);
    let payments = &session["components"]["payments"];
    assert_eq!(
        (&payments["enabled"], &payments["features"]["refund_management"]),
        (&true.into(), &true.into())
    );
    assert_eq!(session["components"]["payouts"]["enabled"], false);
    client.refused(400, "POST", "/v1/account_sessions", &format!("account={account}"));
    client.refused(
        400,
        "POST",
        "/v1/account_sessions",
        &format!("account={account}&components[payments][enabled]=maybe"),
    );
}

#[test]
fn accounts_are_onboarded_at_once_when_the_settings_say_so() {
    let client = client();
    let mut settings = client.control("GET", "settings", &Value::Null);
    assert_eq!(settings["onboard_at_once"], false);
    assert_eq!(client.post("/v1/accounts", "")["charges_enabled"], false);
    settings["onboard_at_once"] = true.into();
    client.control("PUT", "settings", &settings);
    let account = client.post("/v1/accounts", "");
    assert_eq!((&account["charges_enabled"], &account["payouts_enabled"]), (&true.into(), &true.into()));
    let form = "amount=5000&currency=usd&payment_method=pm_card_bypassPending&confirm=true&return_url=https://a.test";
    client.post("/v1/payment_intents", form);
    client.post("/v1/transfers", &format!("amount=1000&currency=usd&destination={}", id(&account)));
}
