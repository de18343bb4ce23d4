//! Money that is held first: captured whole or in part, let go, or out of time.

use crate::client::{Client, DAY, client, id, number, text};

fn held(client: &Client, amount: i64) -> (String, String) {
    let intent = client.post(
        "/v1/payment_intents",
        &format!(
            "amount={amount}&currency=usd&confirm=true&payment_method=pm_card_visa&capture_method=manual"
        ),
    );
    assert_eq!(text(&intent, "/status"), "requires_capture");
    assert_eq!((number(&intent, "/amount_capturable"), number(&intent, "/amount_received")), (amount, 0));
    (id(&intent), text(&intent, "/latest_charge").to_owned())
}

fn net(client: &Client) -> i64 {
    let entries = client.get("/v1/balance_transactions", "limit=100");
    entries["data"].as_array().unwrap().iter().map(|entry| number(entry, "/net")).sum()
}

#[test]
fn held_money_is_taken_by_a_capture() {
    let client = client();
    let (intent, charge) = held(&client, 2000);
    let waiting = client.get(&format!("/v1/charges/{charge}"), "");
    assert_eq!(
        (&waiting["captured"], &waiting["paid"], text(&waiting, "/status")),
        (&false.into(), &true.into(), "succeeded")
    );
    assert!(waiting["balance_transaction"].is_null());
    assert_eq!(
        number(&waiting, "/payment_method_details/card/capture_before"),
        waiting["created"].as_i64().unwrap() + 7 * DAY
    );
    assert_eq!(net(&client), 0, "nothing has moved");
    assert!(!client.sandbox.ledger().charges[0].paid);
    client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}"));
    let taken = client.post(&format!("/v1/payment_intents/{intent}/capture"), "");
    assert_eq!(
        (text(&taken, "/status"), number(&taken, "/amount_received"), number(&taken, "/amount_capturable")),
        ("succeeded", 2000, 0)
    );
    assert_eq!(net(&client), 2000 - 72);
    let kinds = client.kinds();
    let order: Vec<&str> = kinds
        .iter()
        .map(String::as_str)
        .filter(|kind| kind.contains("charge.") || kind.contains("payment_intent"))
        .collect();
    assert_eq!(
        order,
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.amount_capturable_updated",
            "charge.captured",
            "payment_intent.succeeded",
        ]
    );
    let again = client.refused(400, "POST", &format!("/v1/payment_intents/{intent}/capture"), "");
    assert_eq!(text(&again, "/code"), "payment_intent_unexpected_state");
    client.sandbox.advance_time(8 * DAY);
    assert_eq!(client.events("type=charge.expired").len(), 0, "what is captured does not expire");
}

/// Since 2025-03-31 the part that is not captured is no refund and has no entry of its own.
#[test]
fn a_part_is_taken_and_the_rest_let_go() {
    let client = client();
    let (intent, charge) = held(&client, 2000);
    let call = format!("/v1/payment_intents/{intent}/capture");
    assert_eq!(
        text(&client.refused(400, "POST", &call, "amount_to_capture=2001"), "/code"),
        "amount_too_large"
    );
    client.refused(400, "POST", &call, "amount_to_capture=0");
    client.refused(400, "POST", &call, "final_capture=false");
    let taken = client.post(&call, "amount_to_capture=500&metadata[why]=part");
    assert_eq!(
        (number(&taken, "/amount"), number(&taken, "/amount_received"), text(&taken, "/metadata/why")),
        (2000, 500, "part")
    );
    let charge = client.get(&format!("/v1/charges/{charge}"), "");
    assert_eq!(
        (number(&charge, "/amount_captured"), number(&charge, "/amount_refunded"), &charge["refunded"]),
        (500, 0, &false.into())
    );
    assert_eq!(client.sandbox.ledger().charges[0].amount, 500);
    client.refused(400, "POST", "/v1/refunds", &format!("payment_intent={intent}&amount=501"));
    client.post("/v1/refunds", &format!("payment_intent={intent}"));
    assert_eq!(net(&client), -18, "the fee of what was taken");
    assert_eq!(client.get("/v1/refunds", "")["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_canceled_hold_lets_the_money_go() {
    let client = client();
    let (intent, charge) = held(&client, 2000);
    let canceled =
        client.post(&format!("/v1/payment_intents/{intent}/cancel"), "cancellation_reason=abandoned");
    assert_eq!(
        (text(&canceled, "/status"), text(&canceled, "/cancellation_reason")),
        ("canceled", "abandoned")
    );
    assert_eq!(number(&canceled, "/amount_capturable"), 0);
    let charge = client.get(&format!("/v1/charges/{charge}"), "");
    assert_eq!(
        (&charge["captured"], &charge["refunded"], number(&charge, "/amount_captured")),
        (&false.into(), &false.into(), 0)
    );
    client.refused(400, "POST", &format!("/v1/payment_intents/{intent}/capture"), "");
    client.sandbox.advance_time(8 * DAY);
    assert_eq!((net(&client), client.events("type=charge.expired").len()), (0, 0));
}

#[test]
fn a_hold_runs_out_after_seven_days() {
    let client = client();
    let (intent, _) = held(&client, 2000);
    client.sandbox.advance_time(7 * DAY - 1);
    assert_eq!(
        text(&client.get(&format!("/v1/payment_intents/{intent}"), ""), "/status"),
        "requires_capture"
    );
    client.sandbox.advance_time(1);
    let after = client.get(&format!("/v1/payment_intents/{intent}"), "");
    assert_eq!((text(&after, "/status"), text(&after, "/cancellation_reason")), ("canceled", "expired"));
    assert_eq!(
        (client.events("type=charge.expired").len(), client.events("type=payment_intent.canceled").len()),
        (1, 1)
    );
    client.refused(400, "POST", &format!("/v1/payment_intents/{intent}/capture"), "");
}

#[test]
fn the_option_for_cards_holds_too_and_three_d_secure_comes_first() {
    let client = client();
    let intent = id(&client.post(
        "/v1/payment_intents",
        "amount=900&currency=usd&confirm=true&payment_method=pm_card_threeDSecure2Required&payment_method_options[card][capture_method]=manual",
    ));
    assert!(client.sandbox.authenticate(&intent, true).unwrap());
    assert_eq!(
        text(&client.get(&format!("/v1/payment_intents/{intent}"), ""), "/status"),
        "requires_capture"
    );
    client.post(&format!("/v1/payment_intents/{intent}/capture"), "");
    assert_eq!(net(&client), 900 - 32);
}

#[test]
fn a_checkout_session_is_complete_before_it_is_paid() {
    let client = client();
    let session = id(&client.post("/v1/checkout/sessions", "mode=payment&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=1500&line_items[0][price_data][product_data][name]=Box&line_items[0][quantity]=1&success_url=https://app.test/done&payment_intent_data[capture_method]=manual"));
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    let path = format!("/v1/checkout/sessions/{session}");
    let complete = client.get(&path, "");
    assert_eq!((text(&complete, "/status"), text(&complete, "/payment_status")), ("complete", "unpaid"));
    let intent = text(&complete, "/payment_intent").to_owned();
    client.post(&format!("/v1/payment_intents/{intent}/capture"), "");
    assert_eq!(text(&client.get(&path, ""), "/payment_status"), "paid");
    assert_eq!(client.events("type=checkout.session.completed").len(), 1);
}
