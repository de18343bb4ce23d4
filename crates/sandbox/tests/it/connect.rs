//! The platform and its accounts: whom a request speaks for, what an account must tell, and what follows.

mod books;
mod ledgers;
mod money;
mod onboarding;
mod property;
mod together;
mod webhooks;

use quittance_sandbox::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use crate::client::{Client, client, id, text};
use crate::schema;

/// What a test account without a dashboard tells to be complete.
const EVERYTHING: &str = "business_type=individual&business_profile[mcc]=5734&business_profile[url]=https://shop.test\
    &individual[first_name]=Ada&individual[last_name]=Test&individual[email]=ada@shop.test&individual[phone]=%2B15555550100\
    &individual[dob][day]=1&individual[dob][month]=1&individual[dob][year]=1990&individual[address][line1]=1 Test Street\
    &individual[address][city]=Testville&individual[address][postal_code]=94107&individual[address][state]=CA\
    &individual[ssn_last_4]=0000&external_account=btok_us&tos_acceptance[date]=1768478400&tos_acceptance[ip]=127.0.0.1";
const BOTH: &str = "capabilities[card_payments][requested]=true&capabilities[transfers][requested]=true";

/// One account of the sandbox, spoken for with the header.
pub struct As<'a> {
    pub client: &'a Client,
    pub account: &'a str,
}

impl As<'_> {
    pub fn send(&self, method: &str, path: &str, form: &str) -> HttpResponse {
        let request =
            HttpRequest::new(method, path, "sk_test_123", form).header("Stripe-Account", self.account);
        self.client.handle(request)
    }

    fn ok(&self, method: &str, path: &str, form: &str) -> Value {
        let response = self.send(method, path, form);
        let value = response.value();
        assert_eq!(response.status, 200, "{} {method} {path} {form}: {value:#}", self.account);
        value
    }

    pub fn post(&self, path: &str, form: &str) -> Value {
        self.ok("POST", path, form)
    }

    pub fn get(&self, path: &str, query: &str) -> Value {
        self.ok("GET", path, query)
    }

    pub fn refused(&self, status: u16, method: &str, path: &str, form: &str) -> Value {
        let response = self.send(method, path, form);
        assert_eq!(response.status, status, "{method} {path} {form}: {:#}", response.value());
        response.value()["error"].clone()
    }
}

/// An account that can take payments and transfers.
pub fn ready(client: &Client) -> String {
    id(&client.post("/v1/accounts", &format!("type=custom&country=US&{BOTH}&{EVERYTHING}")))
}

#[test]
fn a_request_for_an_account_that_nobody_knows_is_refused_and_not_kept() {
    let client = client();
    let request = || {
        HttpRequest::new("POST", "/v1/customers", "sk_test_123", "name=Ada").header("Idempotency-Key", "one")
    };
    let refused = client.sandbox.handle(request().header("Stripe-Account", "acct_nobody"));
    assert_eq!(refused.status, 403);
    let error = refused.value()["error"].clone();
    assert_eq!(
        (text(&error, "/code"), text(&error, "/type")),
        ("account_invalid", "invalid_request_error"),
        "{error:#}"
    );
    assert!(client.events("").is_empty(), "nothing happened");
    let own = client.sandbox.account_id().to_owned();
    let made = client.sandbox.handle(request().header("stripe-account", &own));
    assert_eq!((made.status, made.header_value("stripe-account")), (200, Some(own.as_str())));
    assert!(made.header_value("idempotent-replayed").is_none(), "the refusal was not kept for the key");
}

#[test]
fn older_types_and_controllers_say_who_answers_for_what() {
    let client = client();
    let cases = [
        ("type=standard", "standard", ["account", "stripe", "stripe", "full"]),
        ("", "standard", ["account", "stripe", "stripe", "full"]),
        ("type=express", "express", ["application_express", "application", "stripe", "express"]),
        (
            "type=custom&capabilities[transfers][requested]=true",
            "custom",
            ["application_custom", "application", "application", "none"],
        ),
        (
            "controller[fees][payer]=application&controller[losses][payments]=application&controller[stripe_dashboard][type]=express",
            "none",
            ["application", "application", "stripe", "express"],
        ),
    ];
    for (form, kind, controller) in cases {
        let account = client.post("/v1/accounts", form);
        assert_eq!(text(&account, "/type"), kind, "{form}");
        let pointers =
            ["/fees/payer", "/losses/payments", "/requirement_collection", "/stripe_dashboard/type"];
        let told = pointers.map(|pointer| text(&account["controller"], pointer));
        assert_eq!(told, controller, "{form}");
        assert_eq!(account["charges_enabled"], false);
    }
    client.refused(400, "POST", "/v1/accounts", "type=express&controller[fees][payer]=account");
    client.refused(400, "POST", "/v1/accounts", "controller[requirement_collection]=application");
    client.refused(400, "POST", "/v1/accounts", "type=custom");
    let listed = client.get("/v1/accounts", "limit=2");
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["has_more"]), (2, &json!(true)));
}

#[test]
fn requirements_fall_away_as_they_are_told() {
    let client = client();
    let account = client.post("/v1/accounts", &format!("type=custom&{BOTH}"));
    let path = format!("/v1/accounts/{}", id(&account));
    let due = |account: &Value| -> Vec<String> {
        assert_eq!(account["requirements"]["past_due"], account["requirements"]["currently_due"]);
        serde_json::from_value(account["requirements"]["currently_due"].clone()).unwrap()
    };
    assert_eq!(
        due(&account),
        [
            "business_profile.mcc",
            "business_profile.url",
            "business_type",
            "external_account",
            "tos_acceptance.date",
            "tos_acceptance.ip"
        ]
    );
    assert_eq!(text(&account, "/requirements/disabled_reason"), "requirements.past_due");
    assert_eq!(text(&account, "/capabilities/card_payments"), "inactive");
    let named =
        client.post(&path, "business_type=individual&individual[first_name]=Ada&individual[dob][day]=7");
    assert!(due(&named).contains(&"individual.last_name".to_owned()));
    assert!(!due(&named).contains(&"individual.first_name".to_owned()));
    assert_eq!(named["individual"]["dob"]["day"], 7);
    let rest = client.post(&path, &EVERYTHING.replace("business_profile[mcc]=5734", "metadata[a]=1"));
    assert_eq!(due(&rest), ["business_profile.mcc"]);
    assert_eq!(text(&rest, "/capabilities/transfers"), "active", "which needs no category");
    assert_eq!((&rest["charges_enabled"], &rest["payouts_enabled"]), (&json!(false), &json!(true)));
    assert!(rest["individual"].get("ssn_last_4").is_none(), "it is not given back");
    assert_eq!(rest["individual"]["ssn_last_4_provided"], true);
    let capability = client.get(&format!("{path}/capabilities/card_payments"), "");
    assert_eq!(text(&capability, "/status"), "inactive");
    assert_eq!(capability["requirements"]["currently_due"], json!(["business_profile.mcc"]));
    let complete = client.post(&path, "business_profile[mcc]=5734");
    assert!(due(&complete).is_empty());
    for flag in ["charges_enabled", "payouts_enabled", "details_submitted"] {
        assert_eq!(complete[flag], true, "{flag}");
    }
    assert_eq!(complete["requirements"]["disabled_reason"], Value::Null);
}

#[test]
fn capabilities_are_asked_for_one_by_one() {
    let client = client();
    let account = id(&client
        .post("/v1/accounts", &format!("type=custom&capabilities[transfers][requested]=true&{EVERYTHING}")));
    let path = format!("/v1/accounts/{account}/capabilities");
    assert_eq!(text(&client.get(&format!("{path}/card_payments"), ""), "/status"), "unrequested");
    let asked = client.post(&format!("{path}/card_payments"), "requested=true");
    assert_eq!((text(&asked, "/status"), &asked["requested_at"]), ("active", &json!(1_768_478_400)));
    assert_eq!(client.get(&path, "")["data"].as_array().unwrap().len(), 2);
    client.post(&format!("{path}/card_payments"), "requested=false");
    let account = client.get(&format!("/v1/accounts/{account}"), "");
    assert_eq!(
        (account["charges_enabled"].clone(), account["capabilities"].get("card_payments")),
        (json!(false), None)
    );
    client.refused(404, "GET", &format!("{path}/flying"), "");
}

#[test]
fn a_rejected_account_takes_nothing_until_that_is_undone() {
    let client = client();
    let account = ready(&client);
    let rejected = client.post(&format!("/v1/accounts/{account}/reject"), "reason=fraud");
    assert_eq!(text(&rejected, "/requirements/disabled_reason"), "rejected.fraud");
    assert_eq!((&rejected["charges_enabled"], &rejected["payouts_enabled"]), (&json!(false), &json!(false)));
    let me = As { client: &client, account: &account };
    let form = "amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true";
    me.refused(400, "POST", "/v1/payment_intents", form);
    client.post(&format!("/v1/accounts/{account}/unreject"), "");
    assert_eq!(me.post("/v1/payment_intents", form)["status"], "succeeded");
    client.refused(400, "POST", &format!("/v1/accounts/{account}/reject"), "reason=boredom");
}

#[test]
fn bank_accounts_come_and_go_but_never_the_default() {
    let client = client();
    let account = ready(&client);
    let path = format!("/v1/accounts/{account}/external_accounts");
    let form = "external_account[object]=bank_account&external_account[country]=US&external_account[currency]=usd&external_account[account_number]=000123456789&external_account[routing_number]=110000000";
    let bank = client.post(&path, form);
    schema::check_object("BankAccount", &bank);
    assert_eq!((text(&bank, "/last4"), &bank["default_for_currency"]), ("6789", &json!(false)));
    let listed = client.get(&path, "object=bank_account");
    let first = id(&listed["data"][1]);
    client.refused(400, "DELETE", &format!("{path}/{first}"), "");
    let moved = client.post(&format!("{path}/{}", id(&bank)), "default_for_currency=true&metadata[a]=1");
    assert_eq!(moved["default_for_currency"], true);
    assert_eq!(client.delete(&format!("{path}/{first}"), "")["deleted"], true);
    client.refused(400, "POST", &path, "external_account=tok_visa_debit");
}

#[test]
fn a_deleted_account_is_gone_for_the_platform() {
    let client = client();
    let account = ready(&client);
    assert_eq!(client.delete(&format!("/v1/accounts/{account}"), "")["deleted"], true);
    client.refused(403, "GET", &format!("/v1/accounts/{account}"), "");
    As { client: &client, account: &account }.refused(403, "GET", "/v1/customers", "");
    assert!(client.get("/v1/accounts", "")["data"].as_array().unwrap().is_empty());
}

#[test]
fn an_owner_with_a_dashboard_can_go_away() {
    let client = client();
    let account = id(&client.post("/v1/accounts", "type=standard"));
    let application = format!("ca_{}", client.sandbox.account_id().trim_start_matches("acct_"));
    let form = format!("client_id={application}&stripe_user_id={account}");
    assert_eq!(client.post("/oauth/deauthorize", &form)["stripe_user_id"], account.as_str());
    As { client: &client, account: &account }.refused(403, "GET", "/v1/customers", "");
    client.refused(403, "POST", "/oauth/deauthorize", &form);
}
