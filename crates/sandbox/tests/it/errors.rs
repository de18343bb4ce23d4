//! Refusals: keys, unknown paths and parameters, idempotency.

use quittance_sandbox::{HttpRequest, Sandbox, SandboxConfig};

use crate::client::{DAY, client, id, text};

#[test]
fn a_key_is_needed_and_a_live_one_is_refused() {
    let client = client();
    let send = |header: &str| {
        let request = HttpRequest {
            method: "GET".to_owned(),
            path: "/v1/customers".to_owned(),
            ..HttpRequest::default()
        };
        client.handle(if header.is_empty() { request } else { request.header("Authorization", header) })
    };
    assert_eq!(send("").status, 401);
    assert_eq!(send("Bearer sk_live_123").status, 401);
    assert_eq!(send("Bearer nonsense").status, 401);
    assert_eq!(send("Bearer rk_test_1").status, 200);
    assert_eq!(send("Basic c2tfdGVzdF8xMjM6").status, 200);
    let strict = Sandbox::new(SandboxConfig {
        secret_key: Some("sk_test_only".to_owned()),
        ..SandboxConfig::default()
    });
    assert_eq!(strict.handle(HttpRequest::new("GET", "/v1/account", "sk_test_other", "")).status, 401);
    assert_eq!(strict.handle(HttpRequest::new("GET", "/v1/account", "sk_test_only", "")).status, 200);
}

#[test]
fn refusals_have_the_shape_that_clients_read() {
    let client = client();
    let error = client.refused(404, "GET", "/v1/customers/cus_none", "");
    assert_eq!(
        (text(&error, "/type"), text(&error, "/code"), text(&error, "/param")),
        ("invalid_request_error", "resource_missing", "id")
    );
    assert_eq!(text(&error, "/message"), "No such customer: 'cus_none'");
    assert_eq!(client.refused(404, "GET", "/v1/nothing", "")["type"], "invalid_request_error");
    let unknown = client.refused(400, "POST", "/v1/customers", "emali=x");
    assert_eq!((text(&unknown, "/code"), text(&unknown, "/param")), ("parameter_unknown", "emali"));
    let nested = client.refused(400, "POST", "/v1/subscriptions", "items[0][prize]=x");
    assert_eq!(text(&nested, "/param"), "items[0][prize]");
    let missing = client.refused(400, "POST", "/v1/products", "");
    assert_eq!((text(&missing, "/code"), text(&missing, "/param")), ("parameter_missing", "name"));
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/products", "name="), "/code"),
        "parameter_invalid_empty"
    );
    let number =
        client.refused(400, "POST", "/v1/prices", "currency=usd&unit_amount=1.5&product_data[name]=x");
    assert_eq!(text(&number, "/code"), "parameter_invalid_integer");
    client.refused(400, "POST", "/v1/customers", "name=%ff");
    client.refused(400, "POST", "/v1/customers", "name=a&name[b]=c");
    client.refused(400, "POST", "/v1/prices", "currency=usd&unit_amount=-1&product_data[name]=x");
    client.refused(
        400,
        "POST",
        "/v1/prices",
        "currency=usd&unit_amount=99999999999999999999&product_data[name]=x",
    );
}

#[test]
fn what_the_sandbox_does_not_play_is_refused_and_not_ignored() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let error = client.refused(
        400,
        "POST",
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={price}&billing_thresholds[amount_gte]=500"),
    );
    assert_eq!(text(&error, "/code"), "parameter_not_in_sandbox");
    client.post(
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={price}&automatic_tax[enabled]=false"),
    );
}

#[test]
fn answers_carry_the_headers_that_clients_read() {
    let client = client();
    let request = HttpRequest::new("POST", "/v1/customers", "sk_test_1", "")
        .header("Idempotency-Key", "k")
        .header("Stripe-Version", "2024-06-20");
    let response = client.handle(request);
    assert!(response.header_value("Request-Id").unwrap().starts_with("req_"));
    assert_eq!(response.header_value("stripe-version"), Some("2024-06-20"));
    assert_eq!(response.header_value("idempotency-key"), Some("k"));
    assert_eq!(
        client.send("GET", "/v1/account", "").header_value("stripe-version"),
        Some("2026-10-28.endive")
    );
}

fn keyed(
    client: &crate::client::Client,
    path: &str,
    form: &str,
    key: &str,
) -> quittance_sandbox::HttpResponse {
    client.handle(HttpRequest::new("POST", path, "sk_test_1", form).header("idempotency-key", key))
}

#[test]
fn a_key_replays_its_answer_for_a_day() {
    let client = client();
    let first = keyed(&client, "/v1/customers", "name=Ada", "k1");
    let again = keyed(&client, "/v1/customers", "name=Ada", "k1");
    assert_eq!(first.value(), again.value());
    assert_eq!(again.header_value("idempotent-replayed"), Some("true"));
    assert_eq!(first.header_value("idempotent-replayed"), None);
    let other = keyed(&client, "/v1/customers", "name=Bea", "k1");
    assert_eq!(other.status, 400);
    assert_eq!(other.value()["error"]["type"], "idempotency_error");
    assert_eq!(
        text(&other.value(), "/error/message"),
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than 'k1' if you meant to execute a different request."
    );
    client.sandbox.advance_time(DAY - 1);
    assert_eq!(id(&keyed(&client, "/v1/customers", "name=Ada", "k1").value()), id(&first.value()));
    client.sandbox.advance_time(1);
    assert_ne!(
        id(&keyed(&client, "/v1/customers", "name=Ada", "k1").value()),
        id(&first.value()),
        "after a day it is a new request"
    );
    assert_eq!(client.get("/v1/customers", "")["data"].as_array().unwrap().len(), 2);
}

#[test]
fn a_key_belongs_to_one_call_and_to_one_account() {
    let client = client();
    let first = keyed(&client, "/v1/customers", "name=Ada", "k1");
    let other = keyed(&client, "/v1/products", "name=Ada", "k1");
    assert_eq!((other.status, text(&other.value(), "/error/type")), (400, "idempotency_error"));
    assert_eq!(
        text(&other.value(), "/error/message"),
        "Keys for idempotent requests can only be used for the same endpoint they were first used for ('/v1/products' vs '/v1/customers'). Try using a key other than 'k1' if you meant to execute a different request."
    );
    let order = keyed(&client, "/v1/customers", "phone=1&name=Ada&metadata[a]=1", "k2");
    let again = keyed(&client, "/v1/customers", "metadata%5Ba%5D=1&name=Ada&phone=1", "k2");
    assert_eq!(order.value(), again.value(), "the order and the encoding say nothing");
    assert_eq!(keyed(&client, "/v1/customers", "name=Ada", "").status, 400, "an empty key is none");
    let plain = HttpRequest::new("GET", "/v1/customers", "sk_test_1", "limit=1");
    assert_eq!(client.handle(plain.header("idempotency-key", "k1")).status, 200, "reading needs none");
    let elsewhere = HttpRequest::new("POST", "/v1/customers", "sk_test_1", "name=Ada")
        .header("idempotency-key", "k1")
        .header("stripe-account", "acct_other");
    assert_ne!(client.sandbox.handle(elsewhere).value()["id"], first.value()["id"]);
}

#[test]
fn a_key_is_in_use_until_its_first_answer_has_left() {
    let client = client();
    client.control("PUT", "faults", &serde_json::json!({ "latency_ms": 5, "count": 1 }));
    let request =
        || HttpRequest::new("POST", "/v1/customers", "sk_test_1", "name=Ada").header("idempotency-key", "k1");
    let slow = client.sandbox.begin(request());
    let meanwhile = client.handle(request());
    assert_eq!((meanwhile.status, text(&meanwhile.value(), "/error/code")), (409, "idempotency_key_in_use"));
    client.sandbox.finish(&slow);
    let after = client.handle(request());
    assert_eq!(after.value(), slow.value());
    assert_eq!(after.header_value("idempotent-replayed"), Some("true"), "the conflict was not kept");
}

#[test]
fn an_amount_beyond_all_amounts_is_refused() {
    let client = client();
    let (price, customer) = (client.price(99_999_999, "usd", "month"), client.customer("pm_card_visa"));
    let item = format!("items[0][price]={price}&items[0][quantity]=999999");
    let refused = client.refused(400, "POST", "/v1/subscriptions", &format!("customer={customer}&{item}"));
    assert_eq!(
        (text(&refused, "/code"), text(&refused, "/param")),
        ("amount_too_large", "items[0][quantity]")
    );
    let subscription = client.subscribe(&customer, &price, "items[0][quantity]=2");
    let change =
        format!("items[0][id]={}&items[0][quantity]=999999", text(&subscription, "/items/data/0/id"));
    client.refused(400, "POST", &format!("/v1/subscriptions/{}", id(&subscription)), &change);
    assert_eq!(client.subscription(&id(&subscription))["items"]["data"][0]["quantity"], 2);
    let once = id(&client.post("/v1/prices", "currency=usd&unit_amount=99999999&product_data[name]=Dear"));
    let form = format!("customer={customer}&pricing[price]={once}&quantity=999999");
    assert_eq!(text(&client.refused(400, "POST", "/v1/invoiceitems", &form), "/code"), "amount_too_large");
}

#[test]
fn failed_executions_are_kept_and_failed_validations_are_not() {
    let client = client();
    let form = "amount=1000&currency=usd&confirm=true&payment_method=pm_card_chargeCustomerFail";
    let declined = keyed(&client, "/v1/payment_intents", form, "k2");
    assert_eq!(declined.status, 402);
    let replayed = keyed(&client, "/v1/payment_intents", form, "k2");
    assert_eq!(replayed.header_value("idempotent-replayed"), Some("true"));
    assert_eq!(declined.value(), replayed.value());
    assert_eq!(client.get("/v1/charges", "")["data"].as_array().unwrap().len(), 1, "one attempt");
    assert_eq!(keyed(&client, "/v1/products", "nam=x", "k3").status, 400);
    assert_eq!(keyed(&client, "/v1/products", "name=x", "k3").status, 200, "the key is still free");
    assert_eq!(keyed(&client, "/v1/products", "name=x", &"k".repeat(256)).status, 400);
}

/// Found by `fuzz/targets`: each of them overflowed, or played renewals without end.
#[test]
fn numbers_beyond_every_calendar_are_refused() {
    let client = client();
    let most = i64::MAX;
    let control = |method: &str, path: &str, body: String| {
        let request = HttpRequest {
            method: method.to_owned(),
            path: format!("/_sandbox/{path}"),
            body: body.into_bytes(),
            ..HttpRequest::default()
        };
        client.sandbox.handle(request).status
    };
    let before = client.sandbox.now();
    for body in
        [format!(r#"{{"seconds":{most}}}"#), format!(r#"{{"to":{most}}}"#), r#"{"seconds":-1}"#.into()]
    {
        assert_eq!(control("POST", "time/advance", body.clone()), 400, "{body}");
    }
    assert_eq!(client.sandbox.now(), before);
    for setting in ["retry_days", "webhook_retry_seconds"] {
        assert_eq!(control("PUT", "settings", format!(r#"{{"{setting}":[{most}]}}"#)), 400, "{setting}");
    }
    for setting in
        ["upcoming_days", "clock_advance_seconds", "test_clock_days", "draft_seconds", "fee_basis_points"]
    {
        assert_eq!(control("PUT", "settings", format!(r#"{{"{setting}":-1}}"#)), 400, "{setting}");
        assert_eq!(control("PUT", "settings", format!(r#"{{"{setting}":{most}}}"#)), 400, "{setting}");
    }
    assert_eq!(control("PUT", "webhooks", format!(r#"{{"max_delay_seconds":{most}}}"#)), 400);
    let refused = client.refused(400, "POST", "/v1/customers", &format!("balance={most}"));
    assert_eq!(text(&refused, "/code"), "parameter_invalid_integer");
}

#[test]
fn other_products_are_refused_as_calls_that_are_not_played() {
    let client = client();
    for (method, path) in [
        ("POST", "/v1/identity/verification_sessions"),
        ("POST", "/v1/issuing/cardholders"),
        ("GET", "/v1/test_helpers/terminal/readers"),
        ("POST", "/v1/reporting/report_runs"),
        ("POST", "/v1/sources"),
    ] {
        assert_eq!(client.refused(404, method, path, "")["code"], "call_not_in_sandbox", "{path}");
    }
    assert!(
        client.refused(404, "GET", "/v1/issuings", "").get("code").is_none(),
        "that the API does not have"
    );
}

#[test]
fn a_currency_that_does_not_exist_is_refused_wherever_it_stands() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    for (path, form, param) in [
        ("/v1/prices", "currency=xxx&unit_amount=5&product_data[name]=a", "currency"),
        (
            "/v1/prices",
            "currency=usd&unit_amount=5&product_data[name]=a&currency_options[zzz][unit_amount]=4",
            "currency_options",
        ),
        ("/v1/payment_intents", "currency=dollars&amount=500", "currency"),
        ("/v1/coupons", "currency=us&amount_off=500", "currency"),
        ("/v1/invoiceitems", &format!("customer={customer}&currency=xau&amount=5"), "currency"),
        (
            "/v1/checkout/sessions",
            "mode=payment&success_url=https://a.test&line_items[0][price_data][currency]=xxx&line_items[0][price_data][unit_amount]=500&line_items[0][price_data][product_data][name]=a&line_items[0][quantity]=1",
            "line_items[0][price_data][currency]",
        ),
    ] {
        let error = client.refused(400, "POST", path, form);
        assert_eq!(text(&error, "/param"), param, "{form}");
        assert!(text(&error, "/message").starts_with("Invalid currency: "), "{form}");
    }
    client.post("/v1/prices", "currency=USD&unit_amount=5&product_data[name]=a");
}
