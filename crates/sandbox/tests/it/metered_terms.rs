//! Discounts, taxes, schedules and test clocks, where prices are metered or have tiers.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, client, id, number, text};
use crate::metered::{END, Metered, lines, metered};

/// 7.00 for each of the first five, then 6.50 and a flat 3.00: of eight units three lines, 57.50 in all.
const TIERS: &str = "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=5&tiers[0][unit_amount]=700&tiers[1][up_to]=inf&tiers[1][unit_amount]=650&tiers[1][flat_amount]=300";

fn tiered(client: &Client) -> String {
    let form = format!("currency=usd&recurring[interval]=month&product_data[name]=Fonts&{TIERS}");
    id(&client.post("/v1/prices", &form))
}

fn coupon(client: &Client, form: &str) -> String {
    id(&client.post("/v1/coupons", form))
}

fn rate(client: &Client, percentage: &str) -> String {
    let form = format!("display_name=Tax&percentage={percentage}&inclusive=false");
    id(&client.post("/v1/tax_rates", &form))
}

fn sums(invoice: &Value) -> [i64; 3] {
    let of = |pointer: &str| {
        invoice[pointer].as_array().map_or(0, |all| all.iter().map(|one| number(one, "/amount")).sum())
    };
    [of("total_discount_amounts"), of("total_taxes"), number(invoice, "/total")]
}

fn discounts_of_lines(invoice: &Value) -> Vec<i64> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    let off = |line: &Value| {
        line["discount_amounts"].as_array().unwrap().iter().map(|one| number(one, "/amount")).sum()
    };
    lines.map(off).collect()
}

fn net(client: &Client, customer: &str) -> i64 {
    client.sandbox.ledger().customer(customer).unwrap().net("usd")
}

#[test]
fn usage_is_discounted_and_taxed_as_it_is_billed() {
    for place in ["", "items[0]"] {
        let set = metered("unit_amount=5");
        let tenth = coupon(&set.client, "percent_off=10&duration=once");
        let discount = if place.is_empty() {
            format!("discounts[0][coupon]={tenth}")
        } else {
            format!("{place}[discounts][0][coupon]={tenth}")
        };
        let more = format!("{discount}&default_tax_rates[0]={}", rate(&set.client, "20"));
        let subscription = id(&set.subscribe(&more));
        set.use_up(1000);
        set.client.sandbox.advance_time(5);
        assert_eq!(sums(&set.upcoming(&subscription, "")), [500, 900, 5400], "{place}");
        set.client.sandbox.advance_time_to(END);
        assert_eq!(sums(&set.newest_invoice()), [500, 900, 5400], "{place}");
        set.use_up_at(10, END - DAY);
        set.client.sandbox.advance_time(2 * HOUR);
        assert_eq!(sums(&set.newest_invoice()), [505, 909, 5454], "late usage, too {place}");
        assert_eq!(set.paid(), 5454);
        set.use_up(100);
        set.client.sandbox.advance_time_to(END + 28 * DAY + 2 * HOUR);
        assert_eq!(sums(&set.newest_invoice()), [0, 100, 600], "it was for one invoice {place}");
        assert_eq!(set.paid(), 5454 + 600);
    }
}

#[test]
fn a_discount_for_one_invoice_is_used_up_by_late_usage() {
    let set = metered("unit_amount=5");
    let half = coupon(&set.client, "percent_off=50&duration=once");
    let subscription = id(&set.subscribe(&format!("discounts[0][coupon]={half}")));
    set.client.sandbox.advance_time_to(END);
    set.use_up_at(100, END - 1);
    assert_eq!(number(&set.newest_invoice(), "/total"), 0, "the draft has nothing to take it off");
    set.client.sandbox.advance_time(2 * HOUR);
    assert_eq!(set.paid(), 250);
    assert_eq!(set.client.subscription(&subscription)["discounts"].as_array().unwrap().len(), 0);
    set.use_up(100);
    set.client.sandbox.advance_time_to(END + 28 * DAY + 2 * HOUR);
    assert_eq!(set.paid(), 250 + 500);
}

#[test]
fn the_tiers_of_an_item_share_its_discount() {
    let client = client();
    let (price, customer) = (tiered(&client), client.customer("pm_card_visa"));
    let ten = coupon(&client, "amount_off=1000&currency=usd&duration=forever");
    let form = format!(
        "items[0][quantity]=8&items[0][discounts][0][coupon]={ten}&items[0][tax_rates][0]={}&expand[]=latest_invoice",
        rate(&client, "10")
    );
    let subscription = client.subscribe(&customer, &price, &form);
    let invoice = &subscription["latest_invoice"];
    let amounts: Vec<i64> = lines(invoice).iter().map(|(_, _, amount)| *amount).collect();
    assert_eq!(amounts, [3500, 1950, 300]);
    assert_eq!(discounts_of_lines(invoice), [609, 339, 52], "in proportion, 10.00 in all");
    // Taxes are rounded line by line: 289.1, 161.1 and 24.8.
    assert_eq!(sums(invoice), [1000, 475, 5225]);
    assert_eq!(net(&client, &customer), 5225);

    client.sandbox.advance_time(31 * DAY / 2);
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let item = text(&subscription, "/items/data/0/id");
    let preview = client.post(
        "/v1/invoices/create_preview",
        &format!(
            "subscription={}&subscription_details[items][0][id]={item}&subscription_details[items][0][quantity]=4&subscription_details[proration_behavior]=always_invoice",
            id(&subscription)
        ),
    );
    let change = format!("items[0][id]={item}&items[0][quantity]=4&proration_behavior=always_invoice");
    let changed = client.post(&path, &format!("{change}&expand[]=latest_invoice"));
    let prorated: Vec<i64> = lines(&changed["latest_invoice"]).iter().map(|(_, _, amount)| *amount).collect();
    assert_eq!(prorated, [-2375, 900], "half of 47.50 that were debited, and half of 28.00 less 10.00");
    assert_eq!(sums(&preview), sums(&changed["latest_invoice"]));
    client.delete(&path, "invoice_now=true&prorate=true");
    let last = client.get("/v1/invoices", &format!("customer={customer}&limit=1"));
    assert_eq!(lines(&last["data"][0])[0].2, -900, "the smaller quantity was debited last");
}

#[test]
fn a_checkout_of_tiers_takes_what_its_invoice_says() {
    let client = client();
    let (price, customer) = (tiered(&client), client.customer("pm_card_visa"));
    let third = coupon(&client, "percent_off=33.33&duration=forever");
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=8&discounts[0][coupon]={third}&subscription_data[default_tax_rates][0]={}&success_url=http://shop.test&expand[]=line_items",
        rate(&client, "8.25")
    );
    let session = client.post("/v1/checkout/sessions", &form);
    assert_eq!(number(&session, "/line_items/data/0/amount_subtotal"), 5750);
    client.sandbox.complete_checkout(&id(&session), "pm_card_visa").unwrap();
    let bought = client
        .get(&format!("/v1/checkout/sessions/{}", id(&session)), "expand[]=invoice&expand[]=line_items");
    let invoice = &bought["invoice"];
    assert_eq!(number(invoice, "/total"), number(&session, "/amount_total"));
    assert_eq!(number(invoice, "/total"), number(&bought, "/line_items/data/0/amount_total"));
    assert_eq!((text(invoice, "/status"), net(&client, &customer)), ("paid", number(invoice, "/total")));
    let rounded: i64 =
        invoice["lines"]["data"].as_array().unwrap().iter().map(|line| number(line, "/taxes/0/amount")).sum();
    assert_eq!(number(&session, "/total_details/amount_tax"), rounded);
}

#[test]
fn another_currency_has_its_own_coupon_amount_and_tax_behavior() {
    let client = client();
    let form = "currency=usd&unit_amount=1000&tax_behavior=exclusive&recurring[interval]=month&product_data[name]=Pro&currency_options[eur][unit_amount]=1190&currency_options[eur][tax_behavior]=inclusive";
    let price = id(&client.post("/v1/prices", form));
    let off =
        coupon(&client, "amount_off=100&currency=usd&currency_options[eur][amount_off]=595&duration=once");
    let customer = client.customer("pm_card_visa");
    client.post(&format!("/v1/customers/{customer}"), "address[country]=DE");
    let more = format!(
        "currency=eur&automatic_tax[enabled]=true&discounts[0][coupon]={off}&expand[]=latest_invoice"
    );
    let subscription = client.subscribe(&customer, &price, &more);
    assert_eq!(sums(&subscription["latest_invoice"]), [595, 95, 595]);
    assert_eq!(text(&subscription["latest_invoice"], "/lines/data/0/taxes/0/tax_behavior"), "inclusive");
}

fn schedule(set: &Metered, form: &str) -> Value {
    let form = format!("customer={}&start_date=now&{form}", set.customer);
    set.client.post("/v1/subscription_schedules", &form)
}

#[test]
fn a_phase_bills_the_usage_that_it_had() {
    let set = metered("unit_amount=100");
    let dear = set.another("unit_amount=300");
    let month = |index: i64, price: &str| {
        format!(
            "phases[{index}][items][0][price]={price}&phases[{index}][duration][interval]=month&phases[{index}][proration_behavior]=none"
        )
    };
    let form = format!("end_behavior=cancel&{}&{}", month(0, &set.price), month(1, &dear));
    let made = schedule(&set, &form);
    assert!(made["phases"][0]["items"][0].get("quantity").is_none());
    let subscription = text(&made, "/subscription").to_owned();
    set.use_up(7);
    set.client.sandbox.advance_time(DAY);
    let upcoming = set.upcoming(&subscription, "");
    assert_eq!(lines(&upcoming), [("7 × Calls (at $1.00 / month)".to_owned(), 7, 700)]);
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!((lines(&set.newest_invoice()), set.paid()), (lines(&upcoming), 700));
    set.use_up(2);
    set.client.sandbox.advance_time_to(END + 28 * DAY + 2 * HOUR);
    assert_eq!(text(&set.client.subscription(&subscription), "/status"), "canceled");
    assert_eq!(set.paid(), 700 + 600, "the last phase is billed when the schedule ends it");
    let quantity = format!("{}&phases[0][items][0][quantity]=2", month(0, &set.price));
    let form = format!("customer={}&start_date=now&{quantity}", set.customer);
    let error = set.client.refused(400, "POST", "/v1/subscription_schedules", &form);
    assert_eq!(text(&error, "/param"), "phases[0][items][0][quantity]");
}

#[test]
fn a_schedule_takes_a_metered_subscription_over() {
    let set = metered("unit_amount=100");
    let subscription = id(&set.subscribe(""));
    let form = format!("from_subscription={subscription}");
    let schedule = set.client.post("/v1/subscription_schedules", &form);
    set.use_up(3);
    let path = format!("/v1/subscription_schedules/{}", id(&schedule));
    let start = number(&schedule, "/phases/0/start_date");
    let form = format!(
        "phases[0][items][0][price]={0}&phases[0][start_date]={start}&phases[0][items][0][metadata][a]=b&phases[0][end_date]={END}&phases[1][items][0][price]={0}&phases[1][duration][interval]=month",
        set.price
    );
    set.client.post(&path, &form);
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!(set.paid(), 300, "an item that stays keeps counting");
}

#[test]
fn usage_of_a_customer_on_a_test_clock_goes_by_the_clock() {
    let mut set = metered("unit_amount=100");
    let later = END + 1000 * DAY;
    let clocks = "/v1/test_helpers/test_clocks";
    let clock = id(&set.client.post(clocks, &format!("frozen_time={later}")));
    set.customer = id(&set.client.post("/v1/customers", &format!("test_clock={clock}")));
    let attached =
        set.client.post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={}", set.customer));
    let form = format!("invoice_settings[default_payment_method]={}", id(&attached));
    set.client.post(&format!("/v1/customers/{}", set.customer), &form);
    let subscription = id(&set.subscribe(""));
    let form = format!("event_name=calls&payload[stripe_customer_id]={}&payload[value]=1", set.customer);
    set.client.refused(400, "POST", "/v1/billing/meter_events", &format!("{form}&timestamp={}", later + DAY));
    let event = set.client.post("/v1/billing/meter_events", &form);
    assert_eq!(number(&event, "/timestamp"), later);
    set.use_up_at(4, later + 60);
    let advance = |to: i64| {
        set.client.post(&format!("{clocks}/{clock}/advance"), &format!("frozen_time={to}"));
        set.client.get(&format!("{clocks}/{clock}"), "")
    };
    advance(later + DAY);
    assert_eq!(number(&set.upcoming(&subscription, ""), "/total"), 500);
    let end = number(&set.client.subscription(&subscription), "/items/data/0/current_period_end");
    advance(end + 2 * HOUR);
    assert_eq!(set.paid(), 500);
}
