//! What a buyer reads of a payment on the statement of the card or of the bank.

use crate::client::{client, id, text};

#[test]
fn a_card_shows_a_suffix_and_a_bank_the_whole_text() {
    let client = client();
    let intent = client.post(
        "/v1/payment_intents",
        "amount=500&currency=usd&payment_method=pm_card_visa&confirm=true&statement_descriptor_suffix=MAY&expand[]=latest_charge",
    );
    assert_eq!(text(&intent, "/statement_descriptor_suffix"), "MAY");
    assert_eq!(text(&intent, "/latest_charge/statement_descriptor_suffix"), "MAY");
    assert_eq!(text(&intent, "/latest_charge/calculated_statement_descriptor"), "SANDBOX* MAY");

    let wrong = "amount=500&currency=usd&statement_descriptor=SHOP MAY";
    let error = client.refused(400, "POST", "/v1/payment_intents", wrong);
    assert_eq!(text(&error, "/param"), "statement_descriptor");
    assert!(text(&error, "/message").contains("statement_descriptor_suffix"));
    let bank = client.post(
        "/v1/payment_intents",
        "amount=500&currency=eur&allowed_payment_method_types[]=sepa_debit&statement_descriptor=SHOP MAY",
    );
    assert_eq!(text(&bank, "/statement_descriptor"), "SHOP MAY");
    let path = format!("/v1/payment_intents/{}", id(&bank));
    assert!(client.post(&path, "statement_descriptor=")["statement_descriptor"].is_null());
    for odd in ["THIS IS MUCH LONGER THAN 22", "12345", "A*B"] {
        client.refused(400, "POST", &path, &format!("statement_descriptor={odd}"));
    }

    let held = client.post(
        "/v1/payment_intents",
        "amount=500&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual",
    );
    let path = format!("/v1/payment_intents/{}/capture", id(&held));
    let taken = client.post(&path, "statement_descriptor_suffix=JUNE&expand[]=latest_charge");
    assert_eq!(text(&taken, "/latest_charge/calculated_statement_descriptor"), "SANDBOX* JUNE");
}

#[test]
fn a_checkout_says_what_its_payment_shows() {
    let client = client();
    let price = id(&client.post("/v1/prices", "unit_amount=700&currency=usd&product_data[name]=Book"));
    let form = |more: &str| {
        format!(
            "mode=payment&success_url=http://shop.test&line_items[0][price]={price}&line_items[0][quantity]=1&payment_intent_data{more}"
        )
    };
    let error = client.refused(400, "POST", "/v1/checkout/sessions", &form("[statement_descriptor]=SHOP"));
    assert_eq!(text(&error, "/param"), "payment_intent_data[statement_descriptor]");
    let session = client.post("/v1/checkout/sessions", &form("[statement_descriptor_suffix]=BOOK"));
    client.sandbox.complete_checkout(&id(&session), "pm_card_visa").unwrap();
    let path = format!("/v1/checkout/sessions/{}", id(&session));
    let paid = client.get(&path, "expand[]=payment_intent");
    assert_eq!(text(&paid, "/payment_intent/statement_descriptor_suffix"), "BOOK");
}
