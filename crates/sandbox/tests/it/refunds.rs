//! Money going back: refunds, their limits and failures, disputes, the balance.

use crate::client::{Client, HOUR, client, id, number, text};

fn pay(client: &Client, amount: i64, currency: &str, card: &str) -> (String, String) {
    let intent = client.post(
        "/v1/payment_intents",
        &format!("amount={amount}&currency={currency}&confirm=true&payment_method={card}"),
    );
    (id(&intent), text(&intent, "/latest_charge").to_owned())
}

#[test]
fn parts_add_up_and_never_exceed_the_whole() {
    let client = client();
    let (intent, charge) = pay(&client, 1980, "jpy", "pm_card_visa");
    let first = client.post(
        "/v1/refunds",
        &format!("charge={charge}&amount=980&reason=requested_by_customer&metadata[why]=half"),
    );
    assert_eq!((number(&first, "/amount"), text(&first, "/status")), (980, "succeeded"));
    let too_much =
        client.refused(400, "POST", "/v1/refunds", &format!("payment_intent={intent}&amount=1001"));
    assert_eq!(text(&too_much, "/param"), "amount");
    client.refused(400, "POST", "/v1/refunds", &format!("payment_intent={intent}&amount=0"));
    client.refused(400, "POST", "/v1/refunds", &format!("payment_intent={intent}&amount=-5"));
    let rest = client.post("/v1/refunds", &format!("payment_intent={intent}"));
    assert_eq!(number(&rest, "/amount"), 1000);
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}")), "/code"),
        "charge_already_refunded"
    );
    let after = client.get(&format!("/v1/charges/{charge}"), "expand[]=refunds");
    assert_eq!(after["refunded"], true);
    assert_eq!(after["refunds"]["data"].as_array().unwrap().len(), 2);
    let entries = client.get("/v1/balance_transactions", "");
    let sum: i64 = entries["data"].as_array().unwrap().iter().map(|entry| number(entry, "/amount")).sum();
    assert_eq!(sum, 0);
    assert_eq!(client.get("/v1/refunds", &format!("charge={charge}"))["data"].as_array().unwrap().len(), 2);
    assert_eq!(client.events("type=charge.refunded").len(), 2);
}

#[test]
fn a_failed_charge_has_nothing_to_refund() {
    let client = client();
    client.refused(
        402,
        "POST",
        "/v1/payment_intents",
        "amount=1000&currency=usd&confirm=true&payment_method=pm_card_chargeCustomerFail",
    );
    let intent = id(&client.get("/v1/payment_intents", "")["data"][0]);
    client.refused(400, "POST", "/v1/refunds", &format!("payment_intent={intent}"));
    let charge = id(&client.get("/v1/charges", "")["data"][0]);
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}")), "/code"),
        "charge_not_refundable"
    );
}

#[test]
fn refunds_can_wait_and_can_fail() {
    let client = client();
    let (_, waits) = pay(&client, 1000, "usd", "pm_card_pendingRefund");
    let (_, fails) = pay(&client, 1000, "usd", "pm_card_refundFail");
    let waiting = client.post("/v1/refunds", &format!("charge={waits}"));
    let failing = client.post("/v1/refunds", &format!("charge={fails}"));
    assert_eq!((text(&waiting, "/status"), text(&failing, "/status")), ("pending", "succeeded"));
    client.sandbox.advance_time(HOUR);
    assert_eq!(text(&client.get(&format!("/v1/refunds/{}", id(&waiting)), ""), "/status"), "succeeded");
    let failed = client.get(&format!("/v1/refunds/{}", id(&failing)), "");
    assert_eq!(
        (text(&failed, "/status"), text(&failed, "/failure_reason")),
        ("failed", "expired_or_canceled_card")
    );
    assert_eq!(
        number(&client.get(&format!("/v1/charges/{fails}"), ""), "/amount_refunded"),
        0,
        "the money is back"
    );
    assert_eq!(client.events("type=refund.failed").len(), 1);
}

#[test]
fn disputes_take_the_money_until_they_are_won() {
    let client = client();
    let (_, charge) = pay(&client, 1000, "usd", "pm_card_createDispute");
    let dispute = client.get("/v1/disputes", &format!("charge={charge}"))["data"][0].clone();
    assert_eq!((text(&dispute, "/status"), text(&dispute, "/reason")), ("needs_response", "fraudulent"));
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}")), "/code"),
        "charge_disputed"
    );
    let won = client
        .post(&format!("/v1/disputes/{}", id(&dispute)), "evidence[uncategorized_text]=winning_evidence");
    assert_eq!(text(&won, "/status"), "won");
    let kinds = client.kinds();
    for kind in [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ] {
        assert_eq!(kinds.iter().filter(|found| *found == kind).count(), 1, "{kind}");
    }
    let net: i64 = client.get("/v1/balance_transactions", "")["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| number(entry, "/net"))
        .sum();
    assert_eq!(net, 1000 - 36, "only the fee of the charge is gone");
}

#[test]
fn a_deleted_or_foreign_card_cannot_be_charged() {
    let client = client();
    let (one, two) = (client.customer("pm_card_visa"), client.customer("pm_card_visa"));
    let card = id(&client.get(&format!("/v1/customers/{one}/payment_methods"), "")["data"][0]);
    client.refused(
        400,
        "POST",
        "/v1/payment_intents",
        &format!("amount=1000&currency=usd&customer={two}&confirm=true&payment_method={card}"),
    );
    client.post(&format!("/v1/payment_methods/{card}/detach"), "");
    assert!(
        client.get(&format!("/v1/customers/{one}"), "")["invoice_settings"]["default_payment_method"]
            .is_null()
    );
    assert_eq!(client.sandbox.ledger().customer(&two).unwrap().net("usd"), 0);
}

#[test]
fn off_session_payments_cannot_authenticate() {
    let client = client();
    let customer = client.customer("pm_card_authenticationRequired");
    let card = id(&client.get(&format!("/v1/customers/{customer}/payment_methods"), "")["data"][0]);
    let form = format!(
        "amount=1000&currency=usd&customer={customer}&payment_method={card}&confirm=true&off_session=true"
    );
    let error = client.refused(402, "POST", "/v1/payment_intents", &form);
    assert_eq!(text(&error, "/code"), "authentication_required");
    assert_eq!(text(&error, "/payment_intent/status"), "requires_payment_method");
}

#[test]
fn cards_behave_as_published() {
    let client = client();
    for (number, code, decline_code) in [
        ("4000000000000002", "card_declined", Some("generic_decline")),
        ("4000000000009995", "card_declined", Some("insufficient_funds")),
        ("4000000000009987", "card_declined", Some("lost_card")),
        ("4000000000009979", "card_declined", Some("stolen_card")),
        ("4000000000000069", "expired_card", None),
        ("4000000000000127", "incorrect_cvc", None),
        ("4000000000000119", "processing_error", None),
    ] {
        let method = id(&client.post(
            "/v1/payment_methods",
            &format!("type=card&card[number]={number}&card[exp_month]=12&card[exp_year]=2030&card[cvc]=123"),
        ));
        let error = client.refused(
            402,
            "POST",
            "/v1/payment_intents",
            &format!("amount=1000&currency=usd&confirm=true&payment_method={method}"),
        );
        assert_eq!((text(&error, "/code"), error["decline_code"].as_str()), (code, decline_code), "{number}");
        let customer = id(&client.post("/v1/customers", ""));
        client.refused(
            402,
            "POST",
            &format!("/v1/payment_methods/{method}/attach"),
            &format!("customer={customer}"),
        );
    }
    assert_eq!(
        text(
            &client.refused(402, "POST", "/v1/payment_methods", "type=card&card[number]=4242424242424241"),
            "/code"
        ),
        "incorrect_number"
    );
    let good = client.post(
        "/v1/payment_methods",
        "type=card&card[number]=5555555555554444&card[exp_month]=1&card[exp_year]=2031",
    );
    assert_eq!((text(&good, "/card/brand"), text(&good, "/card/last4")), ("mastercard", "4444"));
    assert!(!client.sandbox.snapshot().to_string().contains("5555555555554444"), "a number is never kept");
}
