//! Versions of the API: which are taken, and what the older ones look like.

use quittance_sandbox::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use crate::client::{Client, DAY, START, VERSION, client, id, number, text};

fn asking(client: &Client, version: &str) -> HttpResponse {
    client.handle(HttpRequest::new("GET", "/v1/account", "sk_test_1", "").header("Stripe-Version", version))
}

#[test]
fn a_version_that_does_not_exist_is_refused_and_an_unplayed_one_too() {
    let client = client();
    assert_eq!(asking(&client, "2025-03-31.basil").header_value("stripe-version"), Some("2025-03-31.basil"));
    for wrong in ["2025-03-31", "2024-6-20", "2025-09-30.acacia", "2099-01-01", "latest", ""] {
        let refused = asking(&client, wrong);
        assert_eq!(refused.status, 400, "{wrong}");
        assert_eq!(
            text(&refused.value(), "/error/message"),
            format!("Invalid Stripe API version: {wrong}"),
            "in the words of the API"
        );
        assert_eq!(refused.header_value("stripe-version"), Some(VERSION));
    }
    let old = asking(&client, "2020-08-27");
    assert_eq!((old.status, text(&old.value(), "/error/code")), (400, "version_not_in_sandbox"));
}

#[test]
fn an_endpoint_takes_no_version_and_no_type_of_event_that_does_not_exist() {
    let client = client();
    let path = "/v1/webhook_endpoints";
    let made = |form: &str| client.send("POST", path, &format!("url=https://x.test/hook&{form}"));
    let refused = made("enabled_events[]=*&api_version=2025-09-30.acacia").value();
    assert_eq!(text(&refused, "/error/param"), "api_version");
    assert_eq!(text(&made("enabled_events[]=invoice.pade").value(), "/error/param"), "enabled_events[0]");
    assert_eq!(text(&made("").value(), "/error/code"), "parameter_missing");
    assert_eq!(text(&made("enabled_events=").value(), "/error/code"), "parameter_invalid_empty");
    let endpoint = made("enabled_events[]=invoice.paid").value();
    let path = format!("{path}/{}", text(&endpoint, "/id"));
    let refused = client.refused(400, "POST", &path, "enabled_events=");
    assert_eq!(text(&refused, "/code"), "parameter_invalid_empty");
    assert_eq!(client.get(&path, "")["enabled_events"], serde_json::json!(["invoice.paid"]));
}

/// What a program that was written for 2024-06-20 reads.
#[test]
fn an_answer_of_an_older_version_has_its_shape_all_the_way_down() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let form = format!(
        "customer={customer}&items[0][price]={price}&expand[]=latest_invoice.payment_intent&expand[]=customer"
    );
    let subscription = client.older("POST", "/v1/subscriptions", &form);
    assert_eq!(number(&subscription, "/current_period_start"), START);
    assert_eq!(number(&subscription, "/current_period_end"), START + 31 * DAY);
    assert!(subscription["items"]["data"][0].get("current_period_end").is_none());
    assert!(subscription["items"]["data"][0]["price"]["recurring"]["aggregate_usage"].is_null());
    assert!(subscription.as_object().unwrap().contains_key("discount"));
    let invoice = &subscription["latest_invoice"];
    assert_eq!(text(invoice, "/subscription"), id(&subscription));
    assert_eq!((&invoice["paid"], &invoice["paid_out_of_band"]), (&json!(true), &json!(false)));
    assert_eq!((&invoice["tax"], &invoice["total_tax_amounts"]), (&Value::Null, &json!([])));
    assert!(invoice.get("parent").is_none() && invoice.get("total_taxes").is_none());
    let intent = &invoice["payment_intent"];
    assert_eq!((text(intent, "/object"), text(intent, "/invoice")), ("payment_intent", id(invoice).as_str()));
    let line = &invoice["lines"]["data"][0];
    assert_eq!((text(line, "/type"), text(line, "/price/id")), ("subscription", price.as_str()));
    assert_eq!(text(line, "/price/recurring/interval"), "month");
    assert_eq!(text(line, "/subscription_item"), text(&subscription, "/items/data/0/id"));
    assert_eq!((&line["proration"], text(line, "/plan/object")), (&json!(false), "plan"));
    assert!(line.get("parent").is_none() && line.get("pricing").is_none() && line.get("taxes").is_none());
    let charge =
        client.older("GET", &format!("/v1/charges/{}", text(invoice, "/charge")), "expand[]=invoice");
    assert_eq!(text(&charge, "/invoice/subscription"), id(&subscription));
    let listed = client.older("GET", "/v1/invoices", "expand[]=data.charge");
    assert_eq!(text(&listed, "/data/0/charge/invoice"), id(invoice));
    let found = client.older("GET", "/v1/subscriptions", "");
    assert_eq!(number(&found, "/data/0/current_period_end"), START + 31 * DAY);
    let newest = client.get(&format!("/v1/invoices/{}", id(invoice)), "");
    assert_eq!(text(&newest, "/parent/subscription_details/subscription"), id(&subscription));
    client.refused(400, "GET", &format!("/v1/invoices/{}", id(invoice)), "expand[]=payment_intent");
}

#[test]
fn shapes_change_with_the_version_that_changed_them() {
    let client = client();
    let price = client.price(1000, "usd", "month");
    let form = format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1");
    let session = |version: &str, mode: &str| {
        let form = format!("{form}&success_url=https://x.test&ui_mode={mode}");
        let request = HttpRequest::new("POST", "/v1/checkout/sessions", "sk_test_1", &form);
        let response = client.handle(request.header("Stripe-Version", version));
        assert_eq!(response.status, 200, "{version}: {:#}", response.value());
        response.value()
    };
    let old = session("2024-06-20", "hosted");
    assert_eq!(old["ui_mode"], "hosted");
    assert!(old.as_object().unwrap().contains_key("shipping_details"));
    let clover = session("2025-09-30.clover", "hosted");
    assert_eq!(clover["ui_mode"], "hosted");
    assert!(clover.get("shipping_details").is_none(), "gone since basil");
    assert_eq!(session("2026-03-25.dahlia", "hosted_page")["ui_mode"], "hosted_page");
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("{form}&success_url=https://x.test&ui_mode=hosted"),
    );
}

#[test]
fn an_event_is_of_the_version_of_its_endpoint_and_not_of_the_request() {
    let client = client();
    client
        .post("/v1/webhook_endpoints", "url=https://old.test/hook&enabled_events[]=*&api_version=2024-06-20");
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    client.deliver();
    client.sandbox.advance_time(31 * DAY);
    let due = client.sandbox.due_deliveries();
    let of = |url: &str, kind: &str| -> Value {
        let fits = |event: &Value| event["type"] == kind;
        let bodies = due.iter().filter(|delivery| delivery.url.contains(url));
        bodies.map(|delivery| serde_json::from_slice(&delivery.body).unwrap()).find(fits).unwrap()
    };
    let updated = of("old.test", "customer.subscription.updated");
    assert_eq!(updated["data"]["previous_attributes"]["current_period_end"], START + 31 * DAY);
    assert_eq!(number(&updated, "/data/object/current_period_end"), START + 59 * DAY);
    let newest = of("127.0.0.1", "customer.subscription.updated");
    assert!(newest["data"]["previous_attributes"].get("current_period_end").is_none());
    assert_eq!(
        newest["data"]["previous_attributes"]["items"]["data"][0]["current_period_end"],
        START + 31 * DAY
    );
    assert_eq!(text(&of("old.test", "invoice.created"), "/data/object/subscription"), subscription);
    let listed = client.older("GET", "/v1/events", "type=invoice.created");
    assert_eq!(text(&listed, "/data/0/api_version"), VERSION, "what was made in one version stays in it");
    assert!(listed["data"][0]["data"]["object"].get("subscription").is_none());
}

#[test]
fn a_call_that_left_the_api_says_so_and_what_replaced_it() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let made = client.subscribe(&customer, &price, "");
    let item = text(&made, "/items/data/0/id");
    let calls = [
        ("GET", "/v1/invoices/upcoming".to_owned(), "POST /v1/invoices/create_preview", true),
        ("GET", "/v1/invoices/upcoming/lines".to_owned(), "POST /v1/invoices/create_preview", true),
        (
            "POST",
            format!("/v1/subscription_items/{item}/usage_records"),
            "POST /v1/billing/meter_events",
            false,
        ),
        (
            "GET",
            format!("/v1/subscription_items/{item}/usage_record_summaries"),
            "GET /v1/billing/meters/{id}/event_summaries",
            false,
        ),
    ];
    for (method, path, instead, plays) in calls {
        for version in [VERSION, "2025-03-31.basil"] {
            let request = HttpRequest::new(method, &path, "sk_test_1", &format!("customer={customer}"));
            let gone = client.handle(request.header("Stripe-Version", version));
            let error = gone.value()["error"].clone();
            assert_eq!((gone.status, text(&error, "/type")), (404, "invalid_request_error"), "{path}");
            let message = text(&error, "/message");
            assert!(message.contains("2025-03-31.basil") && message.contains(instead), "{message}");
        }
        if !plays {
            let request = HttpRequest::new(method, &path, "sk_test_1", "");
            let old = client.handle(request.header("Stripe-Version", "2024-06-20"));
            assert_eq!(text(&old.value(), "/error/code"), "call_not_in_sandbox", "{path}");
        }
    }
}

#[test]
fn the_upcoming_invoice_of_older_versions_is_the_preview_of_today() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (price, more) = (client.price(1000, "usd", "month"), client.price(3000, "usd", "month"));
    let made = client.subscribe(&customer, &price, "");
    client.sandbox.advance_time(31 * DAY / 2);
    let path = "/v1/invoices/upcoming";
    let next = client.older("GET", path, &format!("customer={customer}"));
    assert_eq!((number(&next, "/total"), next.get("id")), (1000, None), "what is only supposed has no id");
    assert_eq!(text(&next, "/subscription"), id(&made));
    let change = format!(
        "subscription={}&subscription_items[0][id]={}&subscription_items[0][price]={more}&subscription_proration_behavior=always_invoice",
        id(&made),
        text(&made, "/items/data/0/id")
    );
    let changed = client.older("GET", path, &change);
    assert_eq!(number(&changed, "/total"), 1000, "half of the difference");
    let lines = client.older("GET", &format!("{path}/lines"), &format!("{change}&limit=1"));
    assert_eq!((&lines["has_more"], number(&lines, "/data/0/amount")), (&json!(true), -500));
    assert_eq!(text(&lines, "/data/0/price/id"), price);
    let nobody = id(&client.post("/v1/customers", ""));
    let request = HttpRequest::new("GET", path, "sk_test_1", &format!("customer={nobody}"));
    let none = client.handle(request.header("Stripe-Version", "2024-06-20"));
    assert_eq!((none.status, text(&none.value(), "/error/code")), (404, "invoice_upcoming_none"));
}

#[test]
fn what_a_version_took_away_is_unknown_from_then_on() {
    let client = client();
    let coupon = id(&client.post("/v1/coupons", "percent_off=10"));
    let customer = id(&client.older("POST", "/v1/customers", &format!("coupon={coupon}")));
    let found = client.older("GET", &format!("/v1/customers/{customer}"), "");
    assert_eq!(text(&found, "/discount/coupon/id"), coupon);
    client.older("POST", "/v1/promotion_codes", &format!("coupon={coupon}&code=OLDER"));
    for path in ["/v1/customers", &format!("/v1/customers/{customer}"), "/v1/promotion_codes"] {
        let error = client.refused(400, "POST", path, &format!("coupon={coupon}"));
        assert_eq!(
            (text(&error, "/code"), text(&error, "/param")),
            ("parameter_unknown", "coupon"),
            "{path}"
        );
    }
    let price = client.price(1000, "usd", "month");
    for path in ["/v1/subscriptions", "/v1/checkout/sessions"] {
        let form = format!("customer={customer}&items[0][price]={price}&coupon={coupon}");
        assert_eq!(text(&client.refused(400, "POST", path, &form), "/code"), "parameter_unknown", "{path}");
    }
}
