//! Subscriptions from birth to end: first payments, changes with proration, previews, cancellation, pauses.

use crate::client::{DAY, HOUR, START, client, id, number, text};

#[test]
fn a_good_card_makes_it_active_with_one_paid_invoice() {
    let client = client();
    let (price, customer) = (client.price(1980, "jpy", "month"), client.customer("pm_card_visa"));
    let subscription =
        client.subscribe(&customer, &price, "metadata[plan]=pro&expand[]=latest_invoice.payments");
    assert_eq!(text(&subscription, "/status"), "active");
    assert_eq!(text(&subscription, "/latest_invoice/status"), "paid");
    assert_eq!(number(&subscription, "/latest_invoice/amount_paid"), 1980);
    assert_eq!(text(&subscription, "/latest_invoice/parent/subscription_details/metadata/plan"), "pro");
    assert_eq!(text(&subscription, "/latest_invoice/payments/data/0/status"), "paid");
    assert_eq!(number(&subscription, "/items/data/0/current_period_end"), START + 31 * DAY);
    assert!(subscription.get("current_period_end").is_none(), "the period moved to the items");
    let ledger = client.sandbox.ledger();
    assert_eq!(ledger.customer(&customer).unwrap().net("jpy"), 1980);
    let kinds = client.kinds();
    for kind in [
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
    ] {
        assert_eq!(kinds.iter().filter(|found| *found == kind).count(), 1, "{kind} in {kinds:?}");
    }
    let created = &client.events("type=customer.subscription.created")[0];
    assert_eq!(text(created, "/data/object/status"), "active");
}

#[test]
fn a_failing_card_leaves_it_incomplete_until_it_expires() {
    let client = client();
    let (price, customer) =
        (client.price(1000, "usd", "month"), client.customer("pm_card_chargeCustomerFail"));
    let subscription = client.subscribe(&customer, &price, "");
    assert_eq!(text(&subscription, "/status"), "incomplete");
    let invoice = text(&subscription, "/latest_invoice").to_owned();
    client.sandbox.advance_time(23 * HOUR - 1);
    assert_eq!(text(&client.subscription(&id(&subscription)), "/status"), "incomplete");
    client.sandbox.advance_time(1);
    assert_eq!(text(&client.subscription(&id(&subscription)), "/status"), "incomplete_expired");
    assert_eq!(text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/status"), "void");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 0);
}

#[test]
fn an_error_instead_of_incomplete_keeps_nothing() {
    let client = client();
    let (price, customer) =
        (client.price(1000, "usd", "month"), client.customer("pm_card_chargeCustomerFail"));
    let form = format!("customer={customer}&items[0][price]={price}&payment_behavior=error_if_incomplete");
    let error = client.refused(402, "POST", "/v1/subscriptions", &form);
    assert_eq!(text(&error, "/code"), "card_declined");
    let all = client.get("/v1/subscriptions", &format!("customer={customer}&status=all"));
    assert_eq!(all["data"].as_array().unwrap().len(), 0);
}

#[test]
fn a_first_payment_can_wait_for_its_confirmation() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let more = "payment_behavior=default_incomplete&payment_settings[save_default_payment_method]=on_subscription&expand[0]=latest_invoice.confirmation_secret&expand[1]=latest_invoice.payments";
    let subscription = client.subscribe(&customer, &price, more);
    assert_eq!(text(&subscription, "/status"), "incomplete");
    let secret = text(&subscription, "/latest_invoice/confirmation_secret/client_secret");
    let intent = text(&subscription, "/latest_invoice/payments/data/0/payment/payment_intent").to_owned();
    assert!(secret.starts_with(&intent));
    let confirmed = client.post(
        &format!("/v1/payment_intents/{intent}/confirm"),
        "payment_method=pm_card_threeDSecure2Required",
    );
    assert_eq!(text(&confirmed, "/status"), "requires_action");
    assert_eq!(
        text(&confirmed, "/next_action/redirect_to_url/url"),
        format!("http://sandbox.test/3ds/{intent}")
    );
    assert!(client.sandbox.authenticate(&intent, true).unwrap());
    let active = client.subscription(&id(&subscription));
    assert_eq!(text(&active, "/status"), "active");
    assert!(active["default_payment_method"].is_string());
    let changed = client.events("type=customer.subscription.updated");
    assert_eq!(text(&changed[0], "/data/previous_attributes/status"), "incomplete");
}

#[test]
fn half_a_period_from_10_to_20_costs_5() {
    let client = client();
    let (ten, twenty) = (client.price(1000, "usd", "month"), client.price(2000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &ten, "");
    let item = text(&subscription, "/items/data/0/id").to_owned();
    let half = 31 * DAY / 2;
    client.sandbox.advance_time(half);
    let change = format!("items[0][id]={item}&items[0][price]={twenty}&proration_behavior=always_invoice");
    let details = change.split('&').map(|pair| {
        format!(
            "subscription_details[{}",
            pair.replacen('=', "]=", 1).replacen("items[", "items][", 1).replacen("]]=", "]=", 1)
        )
    });
    let preview = client.post(
        "/v1/invoices/create_preview",
        &format!("subscription={}&{}", id(&subscription), details.collect::<Vec<_>>().join("&")),
    );
    assert_eq!(number(&preview, "/total"), 500);
    let changed = client.post(
        &format!("/v1/subscriptions/{}", id(&subscription)),
        &format!("{change}&expand[]=latest_invoice"),
    );
    assert_eq!(text(&changed, "/items/data/0/price/id"), twenty);
    let amounts: Vec<i64> = changed["latest_invoice"]["lines"]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| number(line, "/amount"))
        .collect();
    assert_eq!(amounts, [-500, 1000]);
    assert_eq!(number(&changed, "/latest_invoice/amount_paid"), 500);
    assert_eq!(
        number(&changed, "/items/data/0/current_period_end"),
        START + 31 * DAY,
        "the billing date stays"
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1500);
}

#[test]
fn a_difference_that_waits_is_on_the_next_invoice() {
    let client = client();
    let (ten, twenty) = (client.price(1000, "usd", "month"), client.price(2000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &ten, "");
    let item = text(&subscription, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(31 * DAY / 2);
    client.post(
        &format!("/v1/subscriptions/{}", id(&subscription)),
        &format!("items[0][id]={item}&items[0][price]={twenty}"),
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000);
    client.sandbox.advance_time_to(START + 31 * DAY + 2 * HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000 + 500 + 2000);
}

#[test]
fn another_interval_starts_a_new_period_and_credits_the_old() {
    let client = client();
    let (month, year) = (client.price(1000, "usd", "month"), client.price(10_000, "usd", "year"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &month, "");
    let item = text(&subscription, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(31 * DAY / 2);
    let changed = client.post(
        &format!("/v1/subscriptions/{}", id(&subscription)),
        &format!("items[0][id]={item}&items[0][price]={year}&expand[]=latest_invoice"),
    );
    assert_eq!(number(&changed, "/latest_invoice/amount_paid"), 10_000 - 500);
    assert_eq!(number(&changed, "/billing_cycle_anchor"), START + 31 * DAY / 2);
}

#[test]
fn a_downgrade_invoiced_now_becomes_credit() {
    let client = client();
    let (ten, twenty) = (client.price(1000, "usd", "month"), client.price(2000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &twenty, "");
    let item = text(&subscription, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(31 * DAY / 2);
    client.post(
        &format!("/v1/subscriptions/{}", id(&subscription)),
        &format!("items[0][id]={item}&items[0][price]={ten}&proration_behavior=always_invoice"),
    );
    assert_eq!(number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance"), -500);
    client.sandbox.advance_time_to(START + 31 * DAY + 2 * HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000 + 500);
    assert_eq!(number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance"), 0);
}

#[test]
fn a_change_that_cannot_be_paid_is_refused_when_asked_so() {
    let client = client();
    let (ten, twenty) = (client.price(1000, "usd", "month"), client.price(2000, "usd", "month"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &ten, "");
    let bad = id(&client
        .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}")));
    client.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={bad}"),
    );
    let item = text(&subscription, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(DAY);
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let change = format!("items[0][id]={item}&items[0][price]={twenty}&proration_behavior=always_invoice");
    client.refused(402, "POST", &path, &format!("{change}&payment_behavior=error_if_incomplete"));
    assert_eq!(text(&client.subscription(&id(&subscription)), "/items/data/0/price/id"), ten);
    let changed = client.post(&path, &change);
    assert_eq!(text(&changed, "/status"), "past_due");
    assert_eq!(text(&changed, "/items/data/0/price/id"), twenty);
}

#[test]
fn cancelling_later_can_be_taken_back_and_otherwise_happens() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let path = format!("/v1/subscriptions/{subscription}");
    let planned = client.post(&path, "cancel_at_period_end=true&cancellation_details[feedback]=unused");
    assert_eq!(number(&planned, "/cancel_at"), START + 31 * DAY);
    assert_eq!(text(&planned, "/cancellation_details/reason"), "cancellation_requested");
    let taken_back = client.post(&path, "cancel_at_period_end=false");
    assert!(taken_back["cancel_at"].is_null() && taken_back["canceled_at"].is_null());
    client.post(&path, "cancel_at_period_end=true");
    client.sandbox.advance_time(31 * DAY);
    let ended = client.subscription(&subscription);
    assert_eq!(text(&ended, "/status"), "canceled");
    assert_eq!(number(&ended, "/ended_at"), START + 31 * DAY);
    assert_eq!(client.events("type=customer.subscription.deleted").len(), 1);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000);
    assert_eq!(
        client.get("/v1/subscriptions", &format!("customer={customer}"))["data"].as_array().unwrap().len(),
        0,
        "the list leaves cancelled ones out"
    );
}

#[test]
fn cancelling_now_with_proration_credits_the_rest() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    client.sandbox.advance_time(31 * DAY / 2);
    let ended = client.delete(&format!("/v1/subscriptions/{subscription}"), "prorate=true&invoice_now=true");
    assert_eq!(text(&ended, "/status"), "canceled");
    assert_eq!(number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance"), -500);
    client.refused(404, "DELETE", &format!("/v1/subscriptions/{subscription}"), "");
}

#[test]
fn a_trial_is_free_warns_and_then_bills() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = client.subscribe(&customer, &price, "trial_period_days=14&expand[]=latest_invoice");
    assert_eq!(text(&subscription, "/status"), "trialing");
    assert_eq!(number(&subscription, "/latest_invoice/amount_due"), 0);
    client.sandbox.advance_time(11 * DAY);
    assert_eq!(client.events("type=customer.subscription.trial_will_end").len(), 1);
    client.sandbox.advance_time(3 * DAY + HOUR);
    assert_eq!(text(&client.subscription(&id(&subscription)), "/status"), "active");
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000);
}

#[test]
fn a_trial_without_a_card_ends_as_it_was_told() {
    let client = client();
    let price = client.price(1000, "usd", "month");
    for (word, status) in [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")] {
        let customer = id(&client.post("/v1/customers", ""));
        let more = format!("trial_period_days=7&trial_settings[end_behavior][missing_payment_method]={word}");
        let subscription = id(&client.subscribe(&customer, &price, &more));
        client.sandbox.advance_time(7 * DAY + 2 * HOUR);
        assert_eq!(text(&client.subscription(&subscription), "/status"), status, "{word}");
    }
}

#[test]
fn a_pause_stops_billing_and_a_resumption_bills() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let how = "type=subscription&bill_for[unused_time_from][type]=none";
    let paused = client.post(&format!("/v1/subscriptions/{subscription}/pause"), how);
    assert_eq!(text(&paused, "/status"), "paused");
    assert_eq!(text(&paused, "/status_details/paused/subscription/type"), "pause_requested");
    client.sandbox.advance_time(90 * DAY);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000);
    let resumed =
        client.post(&format!("/v1/subscriptions/{subscription}/resume"), "billing_cycle_anchor[type]=now");
    assert_eq!(text(&resumed, "/status"), "active");
    assert_eq!(number(&resumed, "/items/data/0/current_period_start"), START + 90 * DAY);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000);
}

#[test]
fn a_deleted_customer_has_no_running_subscription() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let stub = client.delete(&format!("/v1/customers/{customer}"), "");
    assert_eq!(stub["deleted"], true);
    assert_eq!(text(&client.subscription(&subscription), "/status"), "canceled");
    assert_eq!(client.get(&format!("/v1/customers/{customer}"), "")["deleted"], true);
}
