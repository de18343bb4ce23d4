//! Payment at a convenience store: vouchers that wait for the buyer, and refunds that a store does not take.

use serde_json::{Value, json};

use crate::client::{Client, DAY, client, id, number, text};

fn get(client: &Client, kind: &str, id: &str) -> Value {
    client.get(&format!("/v1/{kind}/{id}"), "")
}

fn net(client: &Client) -> i64 {
    let entries = client.get("/v1/balance_transactions", "limit=100");
    entries["data"].as_array().unwrap().iter().map(|entry| number(entry, "/net")).sum()
}

#[test]
fn a_voucher_waits_for_the_buyer() {
    let client = client();
    let intent = client.post("/v1/payment_intents", "amount=3000&currency=jpy&confirm=true&payment_method=pm_konbini&payment_method_options[konbini][expires_after_days]=5&receipt_email=ada@example.com");
    assert_eq!(text(&intent, "/status"), "requires_action");
    assert_eq!(
        number(&intent, "/next_action/konbini_display_details/expires_at"),
        number(&intent, "/created") + 5 * DAY
    );
    assert!(intent["latest_charge"].is_null());
    assert!(client.sandbox.authenticate(&id(&intent), true).is_err(), "no bank asks for anything");
    client.control(
        "POST",
        &format!("payment_intents/{}/settle", id(&intent)),
        &json!({ "outcome": "success" }),
    );
    let paid = get(&client, "payment_intents", &id(&intent));
    assert_eq!((text(&paid, "/status"), net(&client)), ("succeeded", 3000 - 108));
    assert!(paid["next_action"].is_null());
    client.sandbox.advance_time(6 * DAY);
    assert_eq!(
        client.events("type=payment_intent.payment_failed").len(),
        0,
        "a paid voucher does not run out"
    );
    let late = id(&client
        .post("/v1/payment_intents", "amount=3000&currency=jpy&confirm=true&payment_method=pm_konbini"));
    client.sandbox.advance_time(3 * DAY);
    let expired = get(&client, "payment_intents", &late);
    assert_eq!(
        (text(&expired, "/status"), text(&expired, "/last_payment_error/code")),
        ("requires_payment_method", "payment_intent_payment_attempt_expired")
    );
    let customer = id(&client.post("/v1/customers", ""));
    client.refused(400, "POST", "/v1/payment_methods/pm_konbini/attach", &format!("customer={customer}"));
    client.refused(400, "POST", "/v1/setup_intents", "payment_method=pm_konbini&confirm=true");
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        "amount=3000&currency=jpy&payment_method_options[konbini][confirmation_number]=12345678901",
    );
}

/// A store takes no money back: the buyer must name a bank account.
#[test]
fn a_refund_to_a_store_waits_for_the_buyer() {
    let client = client();
    let pay = |more: &str| {
        let intent = id(&client.post(
            "/v1/payment_intents",
            &format!("amount=3000&currency=jpy&confirm=true&payment_method=pm_konbini{more}"),
        ));
        client.control("POST", &format!("payment_intents/{intent}/settle"), &json!({ "outcome": "success" }));
        intent
    };
    let silent = pay("");
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/refunds", &format!("payment_intent={silent}")), "/param"),
        "instructions_email"
    );
    let refund = |intent: &str| {
        client.post(
            "/v1/refunds",
            &format!("payment_intent={intent}&instructions_email=ada@example.com&metadata[a]=1"),
        )
    };
    let claimed = refund(&silent);
    assert_eq!(
        (text(&claimed, "/status"), text(&claimed, "/next_action/display_details/email_sent/email_sent_to")),
        ("requires_action", "ada@example.com")
    );
    client.control("POST", &format!("refunds/{}/settle", id(&claimed)), &Value::Null);
    assert_eq!(text(&get(&client, "refunds", &id(&claimed)), "/status"), "succeeded");
    client.refused(400, "POST", &format!("/v1/refunds/{}/cancel", id(&claimed)), "");
    let canceled = refund(&pay(""));
    let canceled =
        client.post(&format!("/v1/refunds/{}/cancel", id(&canceled)), "expand[]=failure_balance_transaction");
    assert_eq!(
        (text(&canceled, "/status"), text(&canceled, "/failure_balance_transaction/type")),
        ("canceled", "payment_failure_refund")
    );
    let expired = refund(&pay(""));
    let expired = client.post(&format!("/v1/test_helpers/refunds/{}/expire", id(&expired)), "");
    assert_eq!(text(&expired, "/status"), "failed");
    let last = pay("&receipt_email=ada@example.com");
    let forgotten = client.post("/v1/refunds", &format!("payment_intent={last}"));
    client.sandbox.advance_time(45 * DAY);
    assert_eq!(text(&get(&client, "refunds", &id(&forgotten)), "/status"), "failed");
    assert_eq!(net(&client), 3 * 3000 - 4 * 108, "one refund stood");
    assert_eq!(number(&get(&client, "charges", text(&forgotten, "/charge")), "/amount_refunded"), 0);
}
