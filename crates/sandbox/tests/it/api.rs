//! The rest of the API: invoices by hand, portal objects, and the calls of the official command line's triggers.

use quittance_sandbox::HttpRequest;
use serde_json::Value;

use crate::client::{client, id, number, text};

#[test]
fn an_invoice_by_hand_is_paid() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    client
        .post("/v1/invoiceitems", &format!("customer={customer}&amount=2000&currency=usd&description=Work"));
    let draft =
        client.post("/v1/invoices", &format!("customer={customer}&pending_invoice_items_behavior=include"));
    assert_eq!((text(&draft, "/status"), number(&draft, "/amount_due")), ("draft", 2000));
    let paid = client.post(&format!("/v1/invoices/{}/pay", id(&draft)), "");
    assert_eq!((text(&paid, "/status"), number(&paid, "/amount_paid")), ("paid", 2000));
    client.refused(400, "POST", &format!("/v1/invoices/{}/pay", id(&draft)), "");
    let payments = client.get("/v1/invoice_payments", &format!("invoice={}", id(&draft)));
    assert_eq!(text(&payments, "/data/0/status"), "paid");
}

#[test]
fn an_open_invoice_is_voided_or_written_off() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let open = || {
        client.post("/v1/invoiceitems", &format!("customer={customer}&amount=2000&currency=usd"));
        let draft = client
            .post("/v1/invoices", &format!("customer={customer}&pending_invoice_items_behavior=include"));
        id(&client.post(&format!("/v1/invoices/{}/finalize", id(&draft)), ""))
    };
    let (first, second) = (open(), open());
    assert_eq!(text(&client.post(&format!("/v1/invoices/{first}/void"), ""), "/status"), "void");
    client.refused(400, "POST", &format!("/v1/invoices/{first}/pay"), "");
    assert_eq!(
        text(&client.post(&format!("/v1/invoices/{second}/mark_uncollectible"), ""), "/status"),
        "uncollectible"
    );
    assert_eq!(
        text(&client.post(&format!("/v1/invoices/{second}/pay"), "paid_out_of_band=true"), "/status"),
        "paid"
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 0);
}

#[test]
fn portal_objects_are_made_and_listed() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let session = client.post(
        "/v1/billing_portal/sessions",
        &format!("customer={customer}&return_url=https://app.test/billing"),
    );
    assert!(text(&session, "/url").starts_with("http://sandbox.test/p/session/"));
    let configuration = client.post(
        "/v1/billing_portal/configurations",
        "features[invoice_history][enabled]=true&business_profile[headline]=Hello",
    );
    assert_eq!(configuration["features"]["subscription_cancel"]["enabled"], false);
    let all = client.get("/v1/billing_portal/configurations", "is_default=true");
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
}

/// Plays the published trigger scripts whose calls the sandbox has.
#[test]
fn the_official_triggers_run() {
    let Some(scripts) = crate::schema::beside("cli-triggers.json") else {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "SKIPPED: the trigger scripts are not here").unwrap();
        return;
    };
    let scripts: Value = serde_json::from_slice(&scripts).unwrap();
    for name in [
        "checkout.session.completed",
        "customer.created",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.voided",
        "payment_intent.created",
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_method.attached",
        "charge.refunded",
        "charge.dispute.created",
        "setup_intent.created",
        "subscription_schedule.aborted",
        "subscription_schedule.canceled",
        "subscription_schedule.completed",
        "subscription_schedule.created",
        "subscription_schedule.released",
        "subscription_schedule.updated",
        "test_helpers.test_clock.advancing",
        "test_helpers.test_clock.created",
        "test_helpers.test_clock.deleted",
        "test_helpers.test_clock.ready",
        "balance.available",
        "billing_portal.configuration.created",
        "billing_portal.configuration.updated",
        "billing_portal.session.created",
        "charge.captured",
        "charge.dispute.closed",
        "charge.dispute.updated",
        "charge.failed",
        "charge.refund.updated",
        "charge.succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.expired",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.partially_funded",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_method.detached",
        "payment_method.updated",
        "payout.created",
        "payout.updated",
        "setup_intent.canceled",
        "setup_intent.requires_action",
        "setup_intent.setup_failed",
        "setup_intent.succeeded",
    ] {
        let client = client();
        // Some scripts let a month pass for a customer without a card.
        client.control("PUT", "settings", &serde_json::json!({ "on_exhaustion": "leave" }));
        let mut results: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
        for step in scripts[name]["fixtures"].as_array().unwrap() {
            let method = text(step, "/method").to_ascii_uppercase();
            let path = fill(text(step, "/path"), &results);
            let mut pairs = Vec::new();
            flatten("", &step["params"], &results, &mut pairs);
            let response = client.send(&method, &path, &pairs.join("&"));
            // A script's error of another type than the card's is one that it only tolerates.
            let declined = step.get("expected_error_type").is_some_and(|kind| kind == "card_error");
            let expected = if declined { 402 } else { 200 };
            assert_eq!(
                response.status,
                expected,
                "{name}: {method} {path} {pairs:?}: {:#}",
                response.value()
            );
            results.insert(text(step, "/name").to_owned(), response.value());
        }
        // What a bank answers comes after some days.
        client.sandbox.advance_time(5 * 86_400);
        assert!(client.kinds().iter().any(|kind| kind == name), "{name}: {:?}", client.kinds());
    }
}

fn fill(template: &str, results: &std::collections::BTreeMap<String, Value>) -> String {
    let Some((head, rest)) = template.split_once("${") else {
        return template.to_owned();
    };
    let (reference, tail) = rest.split_once('}').unwrap();
    let (step, pointer) = reference.split_once(':').unwrap();
    let pointer = format!("/{}", pointer.replace('.', "/"));
    let value =
        results[step].pointer(&pointer).unwrap_or_else(|| panic!("{reference} in {:#}", results[step]));
    let value = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    fill(&format!("{head}{value}{tail}"), results)
}

fn flatten(
    prefix: &str,
    value: &Value,
    results: &std::collections::BTreeMap<String, Value>,
    pairs: &mut Vec<String>,
) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}[{name}]") };
                flatten(&name, below, results, pairs);
            }
        }
        Value::Array(list) => {
            for (index, below) in list.iter().enumerate() {
                flatten(&format!("{prefix}[{index}]"), below, results, pairs);
            }
        }
        Value::Null => {}
        Value::String(text) => pairs.push(format!("{prefix}={}", fill(text, results).replace(' ', "+"))),
        other => pairs.push(format!("{prefix}={other}")),
    }
}

/// The others of these tests fail where a call has such a header; here it is seen that there can be one.
#[test]
fn what_a_call_takes_and_nobody_reads_is_named() {
    let client = client();
    let price = client.price(1500, "usd", "month");
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &price, "expand[]=latest_invoice");
    let form = format!("invoice={}&amount=500&email_type=none", text(&subscription, "/latest_invoice/id"));
    let note = |form: &str| {
        let answer = client.sandbox.handle(HttpRequest::new("POST", "/v1/credit_notes", "sk_test_123", form));
        let ignored = answer.headers.iter().find(|(name, _)| name == "sandbox-ignored");
        (answer.status, ignored.map(|(_, names)| names.clone()))
    };
    assert_eq!(note(&format!("{form}&refund_amount=500")), (200, Some("email_type".to_owned())));
    assert_eq!(note(&format!("{form}&refund_amount=9999")).1, None, "a refusal makes nothing of anything");
}
