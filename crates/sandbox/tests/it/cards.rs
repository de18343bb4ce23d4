//! The test cards by name and number: what each does when it is attached, charged, and charged without its owner.

use crate::client::{Client, client, id, number, text};

const PAY: &str = "amount=1000&currency=usd&confirm=true";

fn pay(client: &Client, card: &str) -> serde_json::Value {
    client.post("/v1/payment_intents", &format!("{PAY}&payment_method={card}"))
}

#[test]
fn cards_are_refused_by_their_code() {
    let cards = [
        ("pm_card_chargeDeclined", "card_declined", Some("generic_decline")),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", Some("insufficient_funds")),
        ("tok_chargeDeclinedLostCard", "card_declined", Some("lost_card")),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", Some("stolen_card")),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("tok_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", Some("card_velocity_exceeded")),
        ("pm_card_radarBlock", "card_declined", Some("fraudulent")),
        ("pm_card_riskLevelHighest", "card_declined", Some("fraudulent")),
    ];
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    for (card, code, decline_code) in cards {
        let error =
            client.refused(402, "POST", "/v1/payment_intents", &format!("{PAY}&payment_method={card}"));
        assert_eq!((text(&error, "/code"), error["decline_code"].as_str()), (code, decline_code), "{card}");
        let charge = client.get(&format!("/v1/charges/{}", text(&error, "/charge")), "");
        let blocked = text(&charge, "/outcome/type") == "blocked";
        assert_eq!(blocked, card.contains("radar") || card.contains("risk"), "{card}");
        if card.starts_with("pm_") {
            let attach = client.refused(
                402,
                "POST",
                &format!("/v1/payment_methods/{card}/attach"),
                &format!("customer={customer}"),
            );
            assert_eq!(text(&attach, "/code"), code, "{card} is not attached either");
        }
    }
    client.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}"));
    assert_eq!(
        client.get(&format!("/v1/customers/{customer}/payment_methods"), "")["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn three_d_secure_is_asked_for_by_the_card_and_the_owners_presence() {
    // Card, asked while the owner is there, refused while they are not: new, and after it was set up.
    let cards = [
        ("pm_card_visa", false, false, false),
        ("pm_card_authenticationRequiredOnSetup", true, true, false),
        ("pm_card_authenticationRequired", true, true, true),
        ("pm_card_authenticationRequiredSetupForOffSession", true, false, false),
        ("pm_card_threeDSecure2Required", true, true, true),
        ("pm_card_threeDSecureOptional", false, false, false),
    ];
    for (card, asked, refused_new, refused_set_up) in cards {
        let client = client();
        let status = text(&pay(&client, card), "/status").to_owned();
        assert_eq!(status == "requires_action", asked, "{card}");
        let customer = id(&client.post("/v1/customers", ""));
        let method =
            id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
        let off = format!("{PAY}&customer={customer}&payment_method={method}&off_session=true");
        assert_eq!(
            client.send("POST", "/v1/payment_intents", &off).status == 402,
            refused_new,
            "{card}, new"
        );
        let setup = client
            .post("/v1/setup_intents", &format!("customer={customer}&payment_method={method}&confirm=true"));
        if text(&setup, "/status") == "requires_action" {
            client.sandbox.authenticate(&id(&setup), true).unwrap();
        }
        let after = client.send("POST", "/v1/payment_intents", &off);
        assert_eq!(after.status == 402, refused_set_up, "{card}, set up");
        if refused_set_up {
            assert_eq!(text(&after.value(), "/error/code"), "authentication_required");
        }
    }
}

#[test]
fn a_card_says_where_it_is_from_and_what_was_checked() {
    let client = client();
    let charge = |card: &str| {
        let charge = text(&pay(&client, card), "/latest_charge").to_owned();
        client.get(&format!("/v1/charges/{charge}"), "")
    };
    assert_eq!(text(&charge("pm_card_jp"), "/payment_method_details/card/country"), "JP");
    assert_eq!(
        text(&charge("pm_card_mastercard_prepaid"), "/payment_method_details/card/funding"),
        "prepaid"
    );
    assert_eq!(
        text(&charge("pm_card_cvcCheckFail"), "/payment_method_details/card/checks/cvc_check"),
        "fail"
    );
    assert_eq!(
        text(&charge("pm_card_avsFail"), "/payment_method_details/card/checks/address_line1_check"),
        "fail"
    );
    assert_eq!(
        text(
            &charge("pm_card_avsUnchecked"),
            "/payment_method_details/card/checks/address_postal_code_check"
        ),
        "unavailable"
    );
    assert_eq!(text(&charge("pm_card_riskLevelElevated"), "/outcome/risk_level"), "elevated");
    assert_eq!(text(&charge("pm_card_visa"), "/outcome/risk_level"), "normal");
}

#[test]
fn a_number_that_is_no_cards_is_refused_at_once() {
    let client = client();
    for (number, code) in [("4242424242424241", "incorrect_number"), ("4111111111111111", "card_declined")] {
        let form =
            format!("type=card&card[number]={number}&card[exp_month]=12&card[exp_year]=2030&card[cvc]=123");
        assert_eq!(text(&client.refused(402, "POST", "/v1/payment_methods", &form), "/code"), code);
    }
    client.refused(404, "POST", "/v1/payment_intents", &format!("{PAY}&payment_method=pm_card_noSuchCard"));
}

#[test]
fn an_issuer_warns_of_fraud_until_nothing_is_left_to_do() {
    let client = client();
    let charge = text(&pay(&client, "pm_card_createIssuerFraudRecord"), "/latest_charge").to_owned();
    let found =
        client.get("/v1/radar/early_fraud_warnings", &format!("charge={charge}&expand[]=data.charge"));
    let warning = &found["data"][0];
    crate::schema::check_object("Radar.EarlyFraudWarning", warning);
    assert_eq!((&warning["actionable"], text(warning, "/charge/id")), (&true.into(), charge.as_str()));
    client.post("/v1/refunds", &format!("charge={charge}&amount=400"));
    let path = format!("/v1/radar/early_fraud_warnings/{}", id(warning));
    assert_eq!(client.get(&path, "")["actionable"], true, "a part of the money is still there");
    client.post("/v1/refunds", &format!("charge={charge}"));
    assert_eq!(client.get(&path, "")["actionable"], false);
    let updated = client.events("type=radar.early_fraud_warning.updated");
    assert_eq!(updated[0]["data"]["previous_attributes"]["actionable"], true);
    assert_eq!(client.events("type=radar.early_fraud_warning.created").len(), 1);
    assert_eq!(
        client.get("/v1/radar/early_fraud_warnings", "charge=ch_other")["data"].as_array().unwrap().len(),
        0
    );
}

#[test]
fn some_cards_make_money_available_at_once() {
    let client = client();
    pay(&client, "pm_card_bypassPending");
    pay(&client, "pm_card_visa");
    let balance = client.get("/v1/balance", "");
    assert_eq!((number(&balance, "/available/0/amount"), number(&balance, "/pending/0/amount")), (964, 964));
    let entries = client.get("/v1/balance_transactions", "");
    assert_eq!(
        (text(&entries, "/data/0/status"), text(&entries, "/data/1/status")),
        ("pending", "available")
    );
    client.sandbox.advance_time(2 * crate::client::DAY);
    assert_eq!(number(&client.get("/v1/balance", ""), "/available/0/amount"), 2 * 964);
    assert_eq!(text(&client.get("/v1/balance_transactions", ""), "/data/0/status"), "available");
}

#[test]
fn a_payment_that_is_confirmed_by_hand_waits_for_that_once_its_buyer_was_recognised() {
    let client = client();
    let intent = client.post(
        "/v1/payment_intents",
        "amount=500&currency=usd&confirmation_method=manual&payment_method=pm_card_threeDSecure2Required&confirm=true",
    );
    assert_eq!(text(&intent, "/confirmation_method"), "manual");
    assert_eq!(text(&intent, "/status"), "requires_action");
    let path = format!("/v1/payment_intents/{}", id(&intent));
    client.sandbox.authenticate(&id(&intent), true).unwrap();
    assert_eq!(text(&client.get(&path, ""), "/status"), "requires_confirmation");
    let done = client.post(&format!("{path}/confirm"), "");
    assert_eq!(text(&done, "/status"), "succeeded");
    client.refused(400, "POST", "/v1/payment_intents", "amount=500&currency=usd&confirmation_method=soon");
    // A method of a type that is not taken pays nothing.
    let cards = client.post("/v1/payment_intents", "amount=500&currency=usd&payment_method_types[]=card&automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never");
    assert_eq!(text(&cards, "/automatic_payment_methods/allow_redirects"), "never");
    let path = format!("/v1/payment_intents/{}/confirm", id(&cards));
    let error = client.refused(400, "POST", &path, "payment_method=pm_usBankAccount_success");
    assert_eq!(text(&error, "/code"), "payment_intent_incompatible_payment_method");
    let mandate = "mandate_data[customer_acceptance][type]=online";
    let error = client.refused(400, "POST", &path, &format!("payment_method=pm_card_visa&{mandate}"));
    assert_eq!(text(&error, "/param"), "mandate_data[customer_acceptance][online][ip_address]");
}
