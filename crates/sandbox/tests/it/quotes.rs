//! Quotes: from a draft to a subscription or an invoice.

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

fn one_time(client: &Client, amount: i64) -> String {
    id(&client.post("/v1/prices", &format!("unit_amount={amount}&currency=usd&product_data[name]=Setup")))
}

fn quote(client: &Client, customer: &str, prices: &[&str]) -> String {
    let lines: String = prices
        .iter()
        .enumerate()
        .map(|(index, price)| format!("&line_items[{index}][price]={price}&line_items[{index}][quantity]=2"))
        .collect();
    id(&client.post("/v1/quotes", &format!("customer={customer}&description=Offer{lines}")))
}

#[test]
fn an_accepted_quote_becomes_a_subscription_whose_first_invoice_has_everything() {
    let client = client();
    let (monthly, setup) = (client.price(1500, "usd", "month"), one_time(&client, 700));
    let customer = client.customer("pm_card_visa");
    let quote = quote(&client, &customer, &[&monthly, &setup]);
    let shown = client.get(&format!("/v1/quotes/{quote}"), "expand[]=line_items");
    assert_eq!((text(&shown, "/status"), number(&shown, "/amount_total")), ("draft", 4400));
    assert_eq!(number(&shown, "/computed/recurring/amount_total"), 3000);
    assert_eq!(number(&shown, "/computed/upfront/amount_total"), 4400);
    assert_eq!(shown["line_items"]["data"].as_array().unwrap().len(), 2);
    client.refused(400, "POST", &format!("/v1/quotes/{quote}/accept"), "");

    let open = client.post(&format!("/v1/quotes/{quote}/finalize"), "");
    assert!(text(&open, "/number").starts_with("QT-") && text(&open, "/number").ends_with("-0001-1"));
    client.refused(400, "POST", &format!("/v1/quotes/{quote}"), "description=Other");
    client.post(&format!("/v1/quotes/{quote}"), "metadata[by]=ada");

    let accepted = client.post(&format!("/v1/quotes/{quote}/accept"), "");
    assert_eq!(text(&accepted, "/status"), "accepted");
    let subscription = client.subscription(text(&accepted, "/subscription"));
    assert_eq!(text(&subscription, "/status"), "active");
    let invoice = format!("/v1/invoices/{}", text(&accepted, "/invoice"));
    let draft = client.get(&invoice, "");
    assert_eq!((text(&draft, "/status"), number(&draft, "/total")), ("draft", 4400));
    client.sandbox.advance_time(2 * HOUR);
    let paid = client.get(&invoice, "");
    assert_eq!((text(&paid, "/status"), number(&paid, "/amount_paid")), ("paid", 4400));
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 4400);
    let kinds = client.kinds();
    for kind in ["quote.created", "quote.finalized", "quote.accepted"] {
        assert_eq!(kinds.iter().filter(|found| *found == kind).count(), 1, "{kind}");
    }
    client.refused(400, "POST", &format!("/v1/quotes/{quote}/cancel"), "");
}

#[test]
fn a_quote_without_a_recurring_price_becomes_a_draft_invoice() {
    let client = client();
    let (setup, customer) = (one_time(&client, 700), client.customer("pm_card_visa"));
    let quote = quote(&client, &customer, &[&setup]);
    client.post(&format!("/v1/quotes/{quote}/finalize"), "");
    let accepted = client.post(&format!("/v1/quotes/{quote}/accept"), "");
    assert!(accepted["subscription"].is_null() && accepted["computed"]["recurring"].is_null());
    let invoice = client.get(&format!("/v1/invoices/{}", text(&accepted, "/invoice")), "");
    assert_eq!((text(&invoice, "/status"), number(&invoice, "/total")), ("draft", 1400));
    assert_eq!(text(&invoice, "/billing_reason"), "quote_accept");
    assert_eq!(text(&invoice, "/parent/quote_details/quote"), quote);
    let paid = client.post(&format!("/v1/invoices/{}/pay", id(&invoice)), "");
    assert_eq!(text(&paid, "/status"), "paid");
}

#[test]
fn during_a_trial_only_what_is_paid_once_is_due() {
    let client = client();
    let (monthly, setup) = (client.price(1500, "usd", "month"), one_time(&client, 700));
    let customer = client.customer("pm_card_visa");
    let quote = quote(&client, &customer, &[&monthly, &setup]);
    let shown = client.post(&format!("/v1/quotes/{quote}"), "subscription_data[trial_period_days]=7");
    assert_eq!(number(&shown, "/computed/upfront/amount_total"), 1400);
    let upfront = client.get(&format!("/v1/quotes/{quote}/computed_upfront_line_items"), "");
    assert_eq!(upfront["data"].as_array().unwrap().len(), 1);
    client.post(&format!("/v1/quotes/{quote}/finalize"), "");
    let accepted = client.post(&format!("/v1/quotes/{quote}/accept"), "");
    assert_eq!(text(&client.subscription(text(&accepted, "/subscription")), "/status"), "trialing");
    client.sandbox.advance_time(2 * HOUR);
    let invoice = client.get(&format!("/v1/invoices/{}", text(&accepted, "/invoice")), "");
    assert_eq!(number(&invoice, "/amount_paid"), 1400);
}

#[test]
fn a_quote_is_canceled_by_hand_or_when_its_time_is_up() {
    let client = client();
    let (price, customer) = (client.price(1500, "usd", "month"), client.customer("pm_card_visa"));
    let (one, other) = (quote(&client, &customer, &[&price]), quote(&client, &customer, &[&price]));
    let canceled = client.post(&format!("/v1/quotes/{one}/cancel"), "");
    assert_eq!(number(&canceled, "/status_transitions/canceled_at"), START);
    client.post(&format!("/v1/quotes/{other}/finalize"), &format!("expires_at={}", START + 2 * DAY));
    client.sandbox.advance_time(DAY);
    assert_eq!(text(&client.get(&format!("/v1/quotes/{other}"), ""), "/status"), "open");
    client.sandbox.advance_time(DAY);
    let expired = client.get("/v1/quotes", &format!("customer={customer}&status=canceled"));
    assert_eq!(expired["data"].as_array().unwrap().len(), 2);
    assert_eq!(client.kinds().iter().filter(|kind| *kind == "quote.canceled").count(), 2);
    client.refused(400, "POST", &format!("/v1/quotes/{other}/accept"), "");
}

#[test]
fn a_quote_that_cannot_become_anything_leaves_nothing_behind() {
    let client = client();
    let (monthly, setup) = (client.price(1500, "usd", "month"), one_time(&client, 700));
    let customer = client.customer("pm_card_visa");
    let quote = quote(&client, &customer, &[&monthly, &setup]);
    client.post(&format!("/v1/quotes/{quote}/finalize"), "");
    client.post(&format!("/v1/prices/{monthly}"), "active=false");
    client.refused(400, "POST", &format!("/v1/quotes/{quote}/accept"), "");
    assert_eq!(text(&client.get(&format!("/v1/quotes/{quote}"), ""), "/status"), "open");
    assert!(client.get("/v1/invoiceitems", "")["data"].as_array().unwrap().is_empty());
    assert!(!client.kinds().iter().any(|kind| kind.starts_with("invoiceitem") || kind == "quote.accepted"));
    for refused in ["from_quote[quote]=x", "discounts[0][coupon]=x", "subscription_data[effective_date]=1"] {
        let error = client.refused(400, "POST", "/v1/quotes", refused);
        assert_eq!(text(&error, "/code"), "parameter_not_in_sandbox", "{refused}");
    }
}

#[test]
fn a_quote_lives_by_the_test_clock_of_its_customer() {
    let client = client();
    let clock = id(&client.post("/v1/test_helpers/test_clocks", &format!("frozen_time={START}")));
    let customer = id(&client.post("/v1/customers", &format!("test_clock={clock}")));
    let price = client.price(1500, "usd", "month");
    let quote = quote(&client, &customer, &[&price]);
    assert_eq!(text(&client.get(&format!("/v1/quotes/{quote}"), ""), "/test_clock"), clock);
    let path = format!("/v1/test_helpers/test_clocks/{clock}/advance");
    client.post(&path, &format!("frozen_time={}", START + 31 * DAY));
    assert_eq!(text(&client.get(&format!("/v1/quotes/{quote}"), ""), "/status"), "canceled");
}

#[test]
fn quotes_are_in_snapshots() {
    let client = client();
    let (price, customer) = (client.price(1500, "usd", "month"), client.customer("pm_card_visa"));
    let quote = quote(&client, &customer, &[&price]);
    let kept = client.sandbox.snapshot();
    client.post(&format!("/v1/quotes/{quote}/cancel"), "");
    client.sandbox.restore(&kept).unwrap();
    assert_eq!(text(&client.get(&format!("/v1/quotes/{quote}"), ""), "/status"), "draft");
}
