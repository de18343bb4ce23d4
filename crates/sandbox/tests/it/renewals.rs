//! Life after the first payment: a year of renewals, failures, retries and what follows when they run out.

use quittance_sandbox::signature_header;
use serde_json::json;

use crate::client::{Client, DAY, HOUR, START, client, client_at, id, number, text};

/// 31 January 2026, 10:00 UTC.
const MONTH_END: i64 = 1_769_853_600;

#[test]
fn a_year_keeps_the_end_of_the_month_and_its_instants() {
    let client = client_at(MONTH_END);
    let (price, customer) = (client.price(1980, "jpy", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    client.sandbox.advance_time(365 * DAY + 2 * HOUR);
    let ledger = client.sandbox.ledger();
    let found = ledger.customer(&customer).unwrap();
    assert_eq!(found.net("jpy"), 13 * 1980);
    let invoices: Vec<_> =
        client.get("/v1/invoices", &format!("subscription={subscription}&limit=100"))["data"]
            .as_array()
            .unwrap()
            .clone();
    let mut starts: Vec<i64> =
        invoices.iter().map(|invoice| number(invoice, "/lines/data/0/period/start")).collect();
    starts.reverse();
    let days: Vec<i8> = starts
        .iter()
        .map(|at| jiff::Timestamp::from_second(*at).unwrap().to_zoned(jiff::tz::TimeZone::UTC).day())
        .collect();
    assert_eq!(days, [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]);
    for invoice in invoices.iter().take(12) {
        assert_eq!(
            number(invoice, "/created"),
            number(invoice, "/lines/data/0/period/start"),
            "a draft is made when the period begins"
        );
        assert_eq!(
            number(invoice, "/status_transitions/paid_at"),
            number(invoice, "/created") + HOUR,
            "and paid an hour later"
        );
    }
    let paid = client.events("type=invoice.paid");
    assert_eq!(
        number(&paid[0], "/created"),
        number(&invoices[0], "/status_transitions/paid_at"),
        "events carry their own instant"
    );
    let renewed = client.events("type=customer.subscription.updated");
    assert!(
        renewed.iter().any(|event| event
            .pointer("/data/previous_attributes/items/data/0/current_period_end")
            .is_some())
    );
}

/// A running subscription whose card fails from now on.
fn failing(client: &Client) -> (String, String) {
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    set_card(client, &customer, "pm_card_chargeCustomerFail");
    (customer, subscription)
}

fn set_card(client: &Client, customer: &str, card: &str) {
    let method =
        id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={method}"),
    );
}

fn status(client: &Client, subscription: &str) -> String {
    text(&client.subscription(subscription), "/status").to_owned()
}

#[test]
fn a_failed_renewal_is_retried_on_schedule_and_recovers_with_a_new_card() {
    let client = client();
    let (customer, subscription) = failing(&client);
    client.sandbox.advance_time(31 * DAY + HOUR);
    assert_eq!(status(&client, &subscription), "past_due");
    let failed = &client.events("type=invoice.payment_failed")[0];
    assert_eq!(number(failed, "/data/object/attempt_count"), 1);
    assert_eq!(number(failed, "/data/object/next_payment_attempt"), START + 31 * DAY + HOUR + 3 * DAY);
    set_card(&client, &customer, "pm_card_visa");
    client.sandbox.advance_time(3 * DAY - 1);
    assert_eq!(status(&client, &subscription), "past_due");
    client.sandbox.advance_time(1);
    assert_eq!(status(&client, &subscription), "active");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);
}

#[test]
fn exhausted_retries_do_what_the_settings_say() {
    for (action, expected) in [("cancel", "canceled"), ("unpaid", "unpaid"), ("leave", "past_due")] {
        let client = client();
        client.control("PUT", "settings", &json!({ "on_exhaustion": action, "retry_days": [1, 2] }));
        let (_, subscription) = failing(&client);
        client.sandbox.advance_time(31 * DAY + HOUR + 3 * DAY - 1);
        assert_eq!(status(&client, &subscription), "past_due", "{action}");
        client.sandbox.advance_time(1);
        assert_eq!(status(&client, &subscription), expected);
        let failed = &client.events("type=invoice.payment_failed")[0];
        assert_eq!(number(failed, "/data/object/attempt_count"), 3);
        assert!(failed["data"]["object"]["next_payment_attempt"].is_null());
        if action == "cancel" {
            assert_eq!(
                text(&client.subscription(&subscription), "/cancellation_details/reason"),
                "payment_failed"
            );
        }
    }
}

#[test]
fn an_unpaid_subscription_makes_drafts_and_wakes_when_the_latest_is_paid() {
    let client = client();
    client.control("PUT", "settings", &json!({ "on_exhaustion": "unpaid", "retry_days": [] }));
    let (customer, subscription) = failing(&client);
    client.sandbox.advance_time(31 * DAY + HOUR);
    assert_eq!(status(&client, &subscription), "unpaid");
    client.sandbox.advance_time(31 * DAY);
    let invoice = client.get(&format!("/v1/subscriptions/{subscription}"), "expand[]=latest_invoice");
    assert_eq!(text(&invoice, "/latest_invoice/status"), "draft");
    set_card(&client, &customer, "pm_card_visa");
    client.post(&format!("/v1/invoices/{}/pay", text(&invoice, "/latest_invoice/id")), "");
    assert_eq!(status(&client, &subscription), "active");
}

#[test]
fn a_renewal_that_must_be_authenticated_waits_for_its_owner() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    set_card(&client, &customer, "pm_card_authenticationRequired");
    client.sandbox.advance_time(31 * DAY + HOUR);
    assert_eq!(status(&client, &subscription), "past_due");
    let asked = client.events("type=invoice.payment_action_required");
    assert_eq!(asked.len(), 1);
    let invoice = text(&asked[0], "/data/object/id").to_owned();
    let expanded =
        client.get(&format!("/v1/invoices/{invoice}"), "expand[]=payments.data.payment.payment_intent");
    let intent = text(&expanded, "/payments/data/0/payment/payment_intent/id").to_owned();
    assert!(client.sandbox.authenticate(&intent, true).unwrap());
    assert_eq!(status(&client, &subscription), "active");
}

#[test]
fn retries_leave_out_a_card_that_wants_its_owner() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    set_card(&client, &customer, "pm_card_authenticationRequired");
    client.sandbox.advance_time(31 * DAY + HOUR + 8 * DAY);
    assert_eq!(status(&client, &subscription), "past_due");
    assert_eq!(client.events("type=invoice.payment_action_required").len(), 1, "asked once");
    client.sandbox.advance_time(7 * DAY);
    assert_eq!(status(&client, &subscription), "canceled", "the schedule ran out all the same");
}

#[test]
fn the_first_renewal_of_a_card_that_authenticated_once_passes() {
    let client = client();
    let price = client.price(1000, "usd", "month");
    let form = format!(
        "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://app.test/ok"
    );
    let session = id(&client.post("/v1/checkout/sessions", &form));
    client.sandbox.complete_checkout(&session, "pm_card_authenticationRequiredOnSetup").unwrap();
    let intent = id(&client.get("/v1/payment_intents", "")["data"][0]);
    assert!(client.sandbox.authenticate(&intent, true).unwrap());
    let customer = text(&client.get(&format!("/v1/checkout/sessions/{session}"), ""), "/customer").to_owned();
    client.sandbox.advance_time(31 * DAY + HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);
}

#[test]
fn paused_collection_voids_and_resumes_by_itself() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let resumes_at = START + 40 * DAY;
    client.post(
        &format!("/v1/subscriptions/{subscription}"),
        &format!("pause_collection[behavior]=void&pause_collection[resumes_at]={resumes_at}"),
    );
    client.sandbox.advance_time(45 * DAY);
    assert_eq!(client.events("type=invoice.voided").len(), 1);
    client.sandbox.advance_time(25 * DAY);
    assert_eq!(
        client.sandbox.ledger().customer(&customer).unwrap().net("usd"),
        2000,
        "the second month was free"
    );
}

#[test]
fn a_renewal_is_announced() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    client.subscribe(&customer, &price, "");
    client.sandbox.advance_time(24 * DAY);
    let upcoming = client.events("type=invoice.upcoming");
    assert_eq!(upcoming.len(), 1);
    assert!(upcoming[0]["data"]["object"].get("id").is_none(), "it has no id yet");
    assert_eq!(number(&upcoming[0], "/data/object/amount_due"), 1000);
}

#[test]
fn time_in_one_leap_or_in_many_steps_is_the_same() {
    let run = |steps: i64| {
        let client = client_at(MONTH_END);
        let (customer, _) = failing(&client);
        for _ in 0..steps {
            client.sandbox.advance_time(100 * DAY / steps);
        }
        (client.sandbox.ledger(), customer, client.kinds())
    };
    assert_eq!(run(1), run(400));
}

#[test]
fn signatures_are_made_at_the_time_of_sending() {
    let client = client();
    client.post("/v1/customers", "");
    client.sandbox.advance_time(2 * DAY);
    let delivery = client.sandbox.due_deliveries().remove(0);
    let (_, signature) = delivery.headers.iter().find(|(name, _)| name == "stripe-signature").unwrap();
    assert_eq!(*signature, signature_header(crate::client::SECRET, START + 2 * DAY, &delivery.body));
}
