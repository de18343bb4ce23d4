//! Metered prices: billed when the period ends, for what the meter counted.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

pub const END: i64 = START + 31 * DAY;

/// A client with a meter of `calls`, and a metered price that starts as told.
pub struct Metered {
    pub client: Client,
    meter: String,
    pub price: String,
    pub customer: String,
}

pub fn metered(pricing: &str) -> Metered {
    let client = client();
    let meter = id(&client
        .post("/v1/billing/meters", "display_name=Calls&event_name=calls&default_aggregation[formula]=sum"));
    let mut set = Metered { customer: client.customer("pm_card_visa"), client, meter, price: String::new() };
    set.price = set.another(pricing);
    set
}

impl Metered {
    pub fn another(&self, pricing: &str) -> String {
        let recurring = format!(
            "recurring[interval]=month&recurring[usage_type]=metered&recurring[meter]={}",
            self.meter
        );
        let form = format!("currency=usd&product_data[name]=Calls&{recurring}&{pricing}");
        id(&self.client.post("/v1/prices", &form))
    }

    pub fn subscribe(&self, more: &str) -> Value {
        self.client.subscribe(&self.customer, &self.price, more)
    }

    pub fn use_up(&self, value: i64) {
        self.use_up_at(value, self.client.sandbox.now());
    }

    pub fn use_up_at(&self, value: i64, at: i64) {
        let form = format!(
            "event_name=calls&timestamp={at}&payload[stripe_customer_id]={}&payload[value]={value}",
            self.customer
        );
        self.client.post("/v1/billing/meter_events", &form);
    }

    pub fn paid(&self) -> i64 {
        self.client.sandbox.ledger().customer(&self.customer).unwrap().net("usd")
    }

    pub fn newest_invoice(&self) -> Value {
        let list = self.client.get("/v1/invoices", &format!("customer={}&limit=1", self.customer));
        list["data"][0].clone()
    }

    pub fn upcoming(&self, subscription: &str, more: &str) -> Value {
        self.client.post("/v1/invoices/create_preview", &format!("subscription={subscription}&{more}"))
    }
}

pub fn lines(invoice: &Value) -> Vec<(String, i64, i64)> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    let line = |line: &Value| {
        (text(line, "/description").to_owned(), number(line, "/quantity"), number(line, "/amount"))
    };
    lines.map(line).collect()
}

#[test]
fn a_metered_price_has_a_meter_and_no_quantity() {
    let set = metered("unit_amount=5");
    let shown = set.client.get(&format!("/v1/prices/{}", set.price), "");
    assert_eq!(text(&shown, "/recurring/usage_type"), "metered");
    assert_eq!(text(&shown, "/recurring/meter"), set.meter);
    let licensed = set.client.price(100, "usd", "month");
    for (filter, price) in [
        (format!("recurring[meter]={}", set.meter), &set.price),
        ("recurring[usage_type]=metered".to_owned(), &set.price),
        ("recurring[usage_type]=licensed".to_owned(), &licensed),
    ] {
        let found = set.client.get("/v1/prices", &filter);
        assert_eq!(found["data"].as_array().unwrap().len(), 1);
        assert_eq!(text(&found, "/data/0/id"), price);
    }
    let base = "currency=usd&unit_amount=5&product_data[name]=x&recurring[interval]=month";
    let refused = |more: &str| set.client.refused(400, "POST", "/v1/prices", &format!("{base}&{more}"));
    refused("recurring[usage_type]=metered");
    refused(&format!("recurring[meter]={}", set.meter));
    set.client.refused(
        404,
        "POST",
        "/v1/prices",
        &format!("{base}&recurring[usage_type]=metered&recurring[meter]=mtr_none"),
    );
    let subscription = set.subscribe("");
    assert!(subscription["items"]["data"][0].get("quantity").is_none());
    assert_eq!(text(&subscription, "/items/data/0/plan/meter"), set.meter);
    let form = format!("customer={}&items[0][price]={}&items[0][quantity]=1", set.customer, set.price);
    let error = set.client.refused(400, "POST", "/v1/subscriptions", &form);
    assert_eq!(text(&error, "/param"), "items[0][quantity]");
    let item = text(&subscription, "/items/data/0/id");
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    set.client.refused(400, "POST", &path, &format!("items[0][id]={item}&items[0][quantity]=2"));
    let error = set.client.refused(400, "POST", &format!("{path}/pause"), "type=subscription");
    assert_eq!(text(&error, "/code"), "call_not_in_sandbox");
    for thresholds in ["billing_thresholds[amount_gte]=100", "items[0][billing_thresholds][usage_gte]=5"] {
        let form = format!("customer={}&items[0][price]={}&{thresholds}", set.customer, set.price);
        let error = set.client.refused(400, "POST", "/v1/subscriptions", &form);
        assert_eq!(text(&error, "/code"), "parameter_not_in_sandbox");
    }
    set.client.post(&format!("/v1/billing/meters/{}/deactivate", set.meter), "");
    refused(&format!("recurring[usage_type]=metered&recurring[meter]={}", set.meter));
}

#[test]
fn usage_is_billed_when_its_period_ends() {
    let set = metered("unit_amount=5");
    set.use_up_at(1_000_000, START - DAY);
    let subscription = set.subscribe("expand[]=latest_invoice");
    assert_eq!(text(&subscription, "/status"), "active");
    assert_eq!(text(&subscription, "/latest_invoice/status"), "paid");
    assert_eq!((number(&subscription, "/latest_invoice/total"), set.paid()), (0, 0));
    assert_eq!(lines(&subscription["latest_invoice"]), []);
    set.use_up(30);
    assert_eq!(number(&set.upcoming(&id(&subscription), ""), "/total"), 0, "not counted yet");
    set.client.sandbox.advance_time(DAY);
    set.use_up(12);
    set.client.sandbox.advance_time(5);
    let upcoming = set.upcoming(&id(&subscription), "");
    assert_eq!(lines(&upcoming), [("42 × Calls (at $0.05 / month)".to_owned(), 42, 210)]);
    assert_eq!(
        (number(&upcoming, "/lines/data/0/period/start"), number(&upcoming, "/lines/data/0/period/end")),
        (START, END)
    );
    set.client.sandbox.advance_time_to(END);
    let draft = set.newest_invoice();
    assert_eq!((text(&draft, "/status"), number(&draft, "/total")), ("draft", 210));
    // Late news of the period that is over, and the first of the one that has begun.
    set.client.sandbox.advance_time(600);
    set.use_up_at(8, END - 1);
    set.use_up_at(100, END);
    set.client.sandbox.advance_time(HOUR);
    let paid = set.newest_invoice();
    assert_eq!((text(&paid, "/status"), number(&paid, "/total"), set.paid()), ("paid", 250, 250));
    assert_eq!(lines(&paid), [("50 × Calls (at $0.05 / month)".to_owned(), 50, 250)]);
    set.use_up_at(7, END - 1);
    set.client.sandbox.advance_time_to(END + 28 * DAY + 2 * HOUR);
    assert_eq!(set.paid(), 250 + 500, "what comes after the invoice is final is not billed");
}

#[test]
fn a_base_fee_is_due_before_and_usage_after() {
    let set = metered("unit_amount_decimal=0.5");
    let base = set.client.price(1000, "usd", "month");
    let subscription =
        set.subscribe(&format!("items[1][price]={base}&items[1][quantity]=2&expand[]=latest_invoice"));
    assert_eq!(number(&subscription, "/latest_invoice/amount_paid"), 2000);
    set.use_up(101);
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    let invoice = set.newest_invoice();
    assert_eq!(
        lines(&invoice),
        [
            ("101 × Calls (at $0.005 / month)".to_owned(), 101, 51),
            ("2 × Pro (at $10.00 / month)".to_owned(), 2, 2000),
        ]
    );
    let period = |line: usize| number(&invoice, &format!("/lines/data/{line}/period/start"));
    assert_eq!((period(0), period(1)), (START, END));
    assert_eq!(set.paid(), 2000 + 2051);
}

#[test]
fn usage_goes_through_tiers_and_packages() {
    let tiers = "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=100&tiers[0][flat_amount]=2000&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=0.1";
    let set = metered(tiers);
    set.subscribe("");
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!(set.paid(), 2000, "the first tier's flat amount is due without any usage");
    set.use_up(60);
    set.use_up(140);
    set.client.sandbox.advance_time_to(END + 28 * DAY + 2 * HOUR);
    let expected = [
        ("1 × Calls (Tier 1 at $20.00 / month)".to_owned(), 1, 2000),
        ("100 × Calls (Tier 2 at $0.001 / month)".to_owned(), 100, 10),
    ];
    assert_eq!(lines(&set.newest_invoice()), expected);
    assert_eq!(set.paid(), 2000 + 2010);
    let set = metered("unit_amount=1000&transform_quantity[divide_by]=60&transform_quantity[round]=up");
    set.subscribe("");
    set.use_up(150);
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!(set.paid(), 3000);
}

#[test]
fn less_than_nothing_is_nothing() {
    let set = metered("unit_amount=100");
    set.subscribe("");
    set.use_up(3);
    set.use_up(-5);
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!(lines(&set.newest_invoice()), [("0 × Calls (at $1.00 / month)".to_owned(), 0, 0)]);
    assert_eq!(set.paid(), 0);
}

#[test]
fn the_largest_usage_at_the_largest_price_stays_within_bounds() {
    let tiers: String = (1..100)
        .map(|n| format!("tiers[{n}][up_to]={}&tiers[{n}][unit_amount]=99999999&", n * 1_000_000_000_i64))
        .collect();
    for mode in ["graduated", "volume"] {
        let set = metered(&format!(
            "billing_scheme=tiered&tiers_mode={mode}&{tiers}tiers[100][up_to]=inf&tiers[100][unit_amount]=99999999"
        ));
        let subscription = set.subscribe("");
        for _ in 0..3 {
            set.use_up(999_999_999_999_999);
        }
        set.client.sandbox.advance_time(5);
        let upcoming = number(&set.upcoming(&id(&subscription), ""), "/total");
        set.client.sandbox.advance_time(DAY);
        set.client.delete(&format!("/v1/subscriptions/{}", id(&subscription)), "invoice_now=true");
        assert_eq!(set.paid(), upcoming);
        assert!(upcoming >= 10_000_000_000_000);
    }
}

#[test]
fn the_usage_of_a_trial_is_free() {
    let set = metered("unit_amount=100");
    let subscription = set.subscribe("trial_period_days=7");
    set.use_up(10);
    set.client.sandbox.advance_time(7 * DAY + 2 * HOUR);
    assert_eq!(text(&set.client.subscription(&id(&subscription)), "/status"), "active");
    assert_eq!(set.paid(), 0);
    set.use_up(2);
    set.client.sandbox.advance_time(32 * DAY);
    assert_eq!(set.paid(), 200);
}

#[test]
fn whoever_cancels_pays_for_what_was_used_when_told_to() {
    for (form, expected) in [("", 0), ("invoice_now=true", 700), ("invoice_now=true&prorate=true", 700)] {
        let set = metered("unit_amount=100");
        let subscription = id(&set.subscribe(""));
        set.client.sandbox.advance_time(DAY);
        set.use_up(7);
        let sum = number(&set.upcoming(&subscription, "subscription_details[cancel_now]=false"), "/total");
        assert_eq!(sum, 0, "counted in five seconds");
        set.client.delete(&format!("/v1/subscriptions/{subscription}"), form);
        assert_eq!(set.paid(), expected, "{form}");
        set.use_up(100);
        set.client.sandbox.advance_time(90 * DAY);
        assert_eq!(set.paid(), expected, "{form}");
    }
}

#[test]
fn the_end_of_the_last_period_bills_its_usage() {
    let set = metered("unit_amount=100");
    let base = set.client.price(1000, "usd", "month");
    let subscription = id(&set.subscribe(&format!("items[1][price]={base}")));
    set.client.post(&format!("/v1/subscriptions/{subscription}"), "cancel_at_period_end=true");
    set.use_up(3);
    set.client.sandbox.advance_time_to(END);
    assert_eq!(text(&set.client.subscription(&subscription), "/status"), "canceled");
    let draft = set.newest_invoice();
    assert_eq!((text(&draft, "/status"), text(&draft, "/billing_reason")), ("draft", "subscription_cycle"));
    set.use_up_at(1, END - 60);
    set.client.sandbox.advance_time(2 * HOUR);
    assert_eq!((text(&set.newest_invoice(), "/status"), set.paid()), ("paid", 1000 + 400));
    // The same within a period.
    let set = metered("unit_amount=100");
    let subscription = id(&set.subscribe(""));
    let at = START + 10 * DAY;
    set.client.post(&format!("/v1/subscriptions/{subscription}"), &format!("cancel_at={at}"));
    set.use_up(5);
    set.client.sandbox.advance_time(5);
    assert_eq!(number(&set.upcoming(&subscription, ""), "/total"), 500);
    set.client.sandbox.advance_time_to(at);
    set.use_up_at(50, at);
    set.client.sandbox.advance_time(90 * DAY);
    assert_eq!(set.paid(), 500);
}

#[test]
fn a_metered_price_is_bought_without_a_quantity_and_without_money() {
    let set = metered("unit_amount=100");
    let form = format!(
        "mode=subscription&customer={}&line_items[0][price]={}&success_url=http://a.test",
        set.customer, set.price
    );
    set.client.refused(400, "POST", "/v1/checkout/sessions", &format!("{form}&line_items[0][quantity]=1"));
    let session = set.client.post("/v1/checkout/sessions", &format!("{form}&expand[]=line_items"));
    assert_eq!(number(&session, "/amount_total"), 0);
    assert!(session["line_items"]["data"][0]["quantity"].is_null());
    set.client.sandbox.complete_checkout(&id(&session), "pm_card_visa").unwrap();
    // In the portal, whoever pays by use can leave and cannot change.
    let flat = set.client.price(700, "usd", "month");
    let licensed = set.client.customer("pm_card_visa");
    set.client.subscribe(&licensed, &flat, "");
    for (customer, changes) in [(&licensed, true), (&set.customer, false)] {
        let portal = set.client.post("/v1/billing_portal/sessions", &format!("customer={customer}"));
        let path = text(&portal, "/url").trim_start_matches("http://sandbox.test");
        let page = String::from_utf8(set.client.send("GET", path, "").body).unwrap();
        assert!(page.contains("/cancel"));
        assert_eq!(page.contains("/change"), changes);
    }
    set.use_up(9);
    let snapshot = set.client.sandbox.snapshot();
    set.client.sandbox.reset();
    set.client.sandbox.restore(&snapshot).unwrap();
    set.client.sandbox.advance_time_to(END + 2 * HOUR);
    assert_eq!(set.paid(), 900);
}

#[test]
fn usage_with_decimal_places_adds_up_exactly_and_is_billed_for_all_of_them() {
    // What is known of binary fractions: a tenth and two tenths are three tenths here.
    let cases: [(&str, &[&str], i64, i64, &str); 5] = [
        ("unit_amount=100", &["0.1", "0.2"], 30, 0, "0.3"),
        ("unit_amount_decimal=0.5", &["2.5", "-0.5", "1.000000000001"], 2, 3, "3.000000000001"),
        (
            "unit_amount=100&transform_quantity[divide_by]=3&transform_quantity[round]=up",
            &["2.999999999999", "0.000000000002"],
            200,
            3,
            "3.000000000001",
        ),
        (
            "unit_amount=100&transform_quantity[divide_by]=3&transform_quantity[round]=down",
            &["2.999999999999"],
            0,
            2,
            "2.999999999999",
        ),
        ("unit_amount=1000000", &["0.0000015", "0.0000010"], 3, 0, "0.0000025"),
    ];
    for (pricing, values, amount, whole, exact) in cases {
        let set = metered(pricing);
        let subscription = id(&set.subscribe(""));
        for value in values {
            let form = format!(
                "event_name=calls&payload[stripe_customer_id]={}&payload[value]={value}",
                set.customer
            );
            set.client.post("/v1/billing/meter_events", &form);
        }
        set.client.sandbox.advance_time(5);
        let snapshot = set.client.sandbox.snapshot();
        set.client.sandbox.restore(&snapshot).unwrap();
        let line = set.upcoming(&subscription, "")["lines"]["data"][0].clone();
        assert_eq!(number(&line, "/amount"), amount, "{pricing} {values:?}");
        assert_eq!(
            (number(&line, "/quantity"), text(&line, "/quantity_decimal")),
            (whole, exact),
            "{pricing}"
        );
        let form = format!("customer={}&start_time={START}&end_time={END}", set.customer);
        let sums = set.client.get(&format!("/v1/billing/meters/{}/event_summaries", set.meter), &form);
        assert_eq!(sums["data"][0]["aggregated_value"], serde_json::from_str::<Value>(exact).unwrap());
    }
}

#[test]
fn each_tier_takes_its_part_of_usage_with_decimal_places() {
    let tiers = "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=2&tiers[0][unit_amount]=100&tiers[1][up_to]=inf&tiers[1][unit_amount]=40";
    let set = metered(tiers);
    let subscription = id(&set.subscribe(""));
    let form = format!("event_name=calls&payload[stripe_customer_id]={}&payload[value]=2.75", set.customer);
    set.client.post("/v1/billing/meter_events", &form);
    set.client.sandbox.advance_time(5);
    let invoice = set.upcoming(&subscription, "");
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    let shown: Vec<_> =
        lines.map(|line| (text(line, "/quantity_decimal"), number(line, "/amount"))).collect();
    assert_eq!(shown, [("2", 200), ("0.75", 30)]);
}
