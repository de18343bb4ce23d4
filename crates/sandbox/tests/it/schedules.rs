//! Subscription schedules: phases that begin by themselves.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};
use crate::schema;

pub const SCHEDULES: &str = "/v1/subscription_schedules";
pub const MONTH: i64 = 31 * DAY;

pub struct Shop {
    pub client: Client,
    pub customer: String,
    pub basic: String,
    pub pro: String,
}

pub fn shop() -> Shop {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (basic, pro) = (client.price(1000, "usd", "month"), client.price(3000, "usd", "month"));
    Shop { client, customer, basic, pro }
}

impl Shop {
    pub fn schedule(&self, form: &str) -> Value {
        let form = form.replace("BASIC", &self.basic).replace("PRO", &self.pro);
        self.client.post(SCHEDULES, &format!("customer={}&{form}", self.customer))
    }

    pub fn update(&self, schedule: &str, form: &str) -> Value {
        let form = form.replace("BASIC", &self.basic).replace("PRO", &self.pro);
        self.client.post(&format!("{SCHEDULES}/{schedule}"), &form)
    }

    pub fn get(&self, schedule: &str) -> Value {
        self.client.get(&format!("{SCHEDULES}/{schedule}"), "")
    }

    pub fn refused(&self, path: &str, form: &str) -> Value {
        let form = form.replace("BASIC", &self.basic).replace("PRO", &self.pro);
        self.client.refused(400, "POST", path, &form)
    }

    /// The subscription of a schedule.
    pub fn subscription(&self, schedule: &Value) -> Value {
        self.client.subscription(text(schedule, "/subscription"))
    }

    /// The totals of a subscription's invoices, oldest first.
    pub fn totals(&self, subscription: &str) -> Vec<i64> {
        let invoices = self.client.get("/v1/invoices", &format!("subscription={subscription}&limit=100"));
        let mut totals: Vec<i64> =
            invoices["data"].as_array().unwrap().iter().map(|invoice| number(invoice, "/total")).collect();
        totals.reverse();
        totals
    }

    /// The events of schedules so far, oldest first, each with an object that fits the published type.
    pub fn told(&self) -> Vec<String> {
        let told = self.client.events("type=subscription_schedule.*");
        for event in &told {
            schema::check_object("SubscriptionSchedule", &event["data"]["object"]);
        }
        told.iter()
            .rev()
            .map(|event| text(event, "/type")["subscription_schedule.".len()..].to_owned())
            .collect()
    }
}

/// A month of basic, then a month of pro.
pub const TWO_PHASES: &str = "phases[0][items][0][price]=BASIC&phases[0][duration][interval]=month&phases[1][items][0][price]=PRO&phases[1][items][0][quantity]=2&phases[1][duration][interval]=month";

#[test]
fn a_schedule_takes_its_subscription_through_the_phases_and_lets_it_go() {
    let shop = shop();
    let made = shop.schedule(&format!("{TWO_PHASES}&metadata[a]=b"));
    assert_eq!((text(&made, "/status"), text(&made, "/end_behavior")), ("active", "release"));
    assert_eq!(number(&made, "/phases/0/end_date"), START + MONTH);
    assert_eq!(number(&made, "/phases/1/end_date"), START + MONTH + 28 * DAY);
    assert_eq!(made["current_phase"], json!({ "start_date": START, "end_date": START + MONTH }));
    let (id, subscription) = (id(&made), text(&made, "/subscription").to_owned());
    let running = shop.client.get(&format!("/v1/subscriptions/{subscription}"), "expand[]=schedule");
    assert_eq!((text(&running, "/status"), text(&running, "/schedule/id")), ("active", id.as_str()));
    let first = shop.client.get("/v1/invoices", &format!("subscription={subscription}"));
    assert_eq!(text(&first, "/data/0/status"), "draft", "the first invoice waits like that of a renewal");
    shop.client.sandbox.advance_time(HOUR);
    assert_eq!(shop.client.sandbox.ledger().customer(&shop.customer).unwrap().net("usd"), 1000);

    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    let second = shop.get(&id);
    assert_eq!(number(&second, "/current_phase/start_date"), START + MONTH);
    let running = shop.client.subscription(&subscription);
    assert_eq!(text(&running, "/items/data/0/price/id"), shop.pro);
    assert_eq!(number(&running, "/items/data/0/quantity"), 2);
    assert_eq!(
        shop.totals(&subscription),
        [1000, 6000],
        "the renewal bills the new phase, without prorations"
    );

    shop.client.sandbox.advance_time_to(START + MONTH + 28 * DAY + HOUR);
    let released = shop.get(&id);
    assert_eq!(
        (text(&released, "/status"), text(&released, "/released_subscription")),
        ("released", subscription.as_str())
    );
    assert_eq!(number(&released, "/released_at"), START + MONTH + 28 * DAY);
    assert!(released["subscription"].is_null() && released["current_phase"].is_null());
    let free = shop.client.subscription(&subscription);
    assert!(free["schedule"].is_null());
    assert_eq!(text(&free, "/status"), "active");
    assert_eq!(shop.totals(&subscription), [1000, 6000, 6000], "and it goes on as it was");
    assert_eq!(shop.client.sandbox.ledger().customer(&shop.customer).unwrap().net("usd"), 13_000);
    assert_eq!(shop.told()[..1], ["updated"], "what is older than a month is forgotten");
}

#[test]
fn events_tell_the_life_of_a_schedule() {
    let week = "phases[0][items][0][price]=BASIC&phases[0][duration][interval]=day&phases[0][duration][interval_count]=10";
    // Ten days of 31 are paid where the subscription ends with them.
    let lives: [(&str, &[&str], i64); 2] = [
        ("end_behavior=release", &["created", "expiring", "updated", "completed", "released"], 1000),
        ("end_behavior=cancel", &["created", "expiring", "completed"], 323),
    ];
    for (end, expected, paid) in lives {
        let shop = shop();
        let made = shop.schedule(&format!("{week}&{end}"));
        shop.client.sandbox.advance_time(3 * DAY - 1);
        assert_eq!(shop.told(), ["created"]);
        shop.client.sandbox.advance_time(1);
        assert_eq!(shop.told(), ["created", "expiring"], "a week before its end");
        shop.client.sandbox.advance_time(7 * DAY);
        assert_eq!(shop.told(), expected, "{end}");
        let (schedule, subscription) = (shop.get(&id(&made)), shop.subscription(&made));
        if end == "end_behavior=cancel" {
            assert_eq!(
                (text(&schedule, "/status"), number(&schedule, "/completed_at")),
                ("completed", START + 10 * DAY)
            );
            assert_eq!(
                (text(&subscription, "/status"), number(&subscription, "/ended_at")),
                ("canceled", START + 10 * DAY)
            );
        } else {
            assert_eq!(text(&subscription, "/status"), "active");
        }
        assert_eq!(shop.totals(text(&made, "/subscription")), [paid], "{end}");
    }
}

#[test]
fn a_schedule_that_ends_its_subscription_says_so_from_the_last_phase_on() {
    let shop = shop();
    let made = shop.schedule(&format!("{TWO_PHASES}&end_behavior=cancel"));
    assert!(shop.subscription(&made)["cancel_at"].is_null());
    shop.client.sandbox.advance_time_to(START + MONTH);
    let end = START + MONTH + 28 * DAY;
    assert_eq!(number(&shop.subscription(&made), "/cancel_at"), end);
    let path = format!("/v1/subscriptions/{}", text(&made, "/subscription"));
    for form in ["cancel_at_period_end=true", "cancel_at=", "cancel_at_period_end=false"] {
        assert!(
            text(&shop.refused(&path, form), "/message").contains("managed by the subscription schedule")
        );
    }
    shop.refused(&format!("{path}/pause"), "type=subscription");
    shop.update(&id(&made), "end_behavior=release");
    assert!(shop.subscription(&made)["cancel_at"].is_null(), "the plan is taken back");
    shop.update(&id(&made), "end_behavior=cancel");
    shop.client.sandbox.advance_time_to(end);
    assert_eq!(number(&shop.subscription(&made), "/ended_at"), end);
    assert_eq!(shop.totals(text(&made, "/subscription")), [1000, 6000], "nothing renews at the end");
}

#[test]
fn a_phase_that_begins_within_a_period_prorates_as_it_says() {
    for (behavior, totals) in [
        ("create_prorations", vec![1000, 4000]),
        ("always_invoice", vec![1000, 1000, 3000]),
        ("none", vec![1000, 3000]),
    ] {
        let shop = shop();
        let half = START + MONTH / 2;
        let made = shop.schedule(&format!(
            "phases[0][items][0][price]=BASIC&phases[0][end_date]={half}&phases[1][items][0][price]=PRO&phases[1][proration_behavior]={behavior}&phases[1][duration][interval]=month&phases[1][duration][interval_count]=2"
        ));
        shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
        assert_eq!(shop.totals(text(&made, "/subscription")), totals, "{behavior}");
        assert_eq!(number(&shop.subscription(&made), "/billing_cycle_anchor"), START);
    }
}

#[test]
fn a_phase_can_move_the_billing_cycle_to_its_start() {
    let shop = shop();
    let tenth = START + 10 * DAY;
    let made = shop.schedule(&format!(
        "phases[0][items][0][price]=BASIC&phases[0][end_date]={tenth}&phases[1][items][0][price]=PRO&phases[1][billing_cycle_anchor]=phase_start&phases[1][proration_behavior]=none&phases[1][duration][interval]=month"
    ));
    assert_eq!(number(&made, "/phases/1/end_date"), tenth + MONTH);
    shop.client.sandbox.advance_time_to(tenth);
    let moved = shop.subscription(&made);
    assert_eq!(number(&moved, "/billing_cycle_anchor"), tenth);
    assert_eq!(number(&moved, "/items/data/0/current_period_end"), tenth + MONTH);
    assert_eq!(shop.totals(text(&made, "/subscription")), [1000, 3000]);
}

#[test]
fn a_year_that_follows_a_month_is_a_whole_year() {
    let shop = shop();
    let yearly = shop.client.price(20_000, "usd", "year");
    let made =
        shop.schedule(&format!("phases[0][items][0][price]=BASIC&phases[1][items][0][price]={yearly}"));
    assert_eq!(number(&made, "/phases/0/end_date"), START + MONTH, "by default one interval of the price");
    assert_eq!(number(&made, "/phases/1/end_date"), START + MONTH + 365 * DAY);
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    let subscription = shop.subscription(&made);
    assert_eq!(number(&subscription, "/items/data/0/current_period_end"), START + MONTH + 365 * DAY);
    assert_eq!(shop.totals(text(&made, "/subscription")), [1000, 20_000]);
}

#[test]
fn a_schedule_waits_for_its_start() {
    let shop = shop();
    let start = START + 20 * DAY;
    let made = shop.schedule(&format!("{TWO_PHASES}&start_date={start}"));
    assert_eq!(text(&made, "/status"), "not_started");
    assert!(made["subscription"].is_null() && made["current_phase"].is_null());
    let waiting = shop.client.get(SCHEDULES, "scheduled=true");
    assert_eq!(waiting["data"].as_array().unwrap().len(), 1);
    shop.client.sandbox.advance_time_to(start - 1);
    assert!(shop.client.sandbox.ledger().customer(&shop.customer).unwrap().subscriptions.is_empty());
    shop.client.sandbox.advance_time_to(start);
    let started = shop.get(&id(&made));
    assert_eq!(text(&started, "/status"), "active");
    assert_eq!(number(&shop.subscription(&started), "/created"), start);
    assert_eq!(shop.told(), ["created", "updated"]);
    assert!(shop.client.get(SCHEDULES, "scheduled=true")["data"].as_array().unwrap().is_empty());
}

#[test]
fn a_schedule_can_begin_in_the_past() {
    for (behavior, total) in [("create_prorations", 3000), ("none", 1000)] {
        let shop = shop();
        // Two whole months from 15 November on, then the one that begins now.
        let (start, now) = (START - 61 * DAY, START);
        let made = shop.schedule(&format!(
            "start_date={start}&phases[0][items][0][price]=BASIC&phases[0][proration_behavior]={behavior}&phases[0][end_date]={}",
            now + MONTH
        ));
        let subscription = shop.subscription(&made);
        assert_eq!(number(&subscription, "/start_date"), start);
        assert_eq!(number(&subscription, "/billing_cycle_anchor"), now);
        assert_eq!(shop.totals(text(&made, "/subscription")), [total], "{behavior}");
        shop.client.sandbox.advance_time(HOUR);
        assert_eq!(shop.client.sandbox.ledger().customer(&shop.customer).unwrap().net("usd"), total);
    }
    let shop = shop();
    let half = START - 15 * DAY - 12 * HOUR;
    let form =
        format!("start_date={half}&phases[0][items][0][price]=BASIC&phases[0][end_date]={}", START + MONTH);
    assert_eq!(
        shop.totals(text(&shop.schedule(&form), "/subscription")),
        [1500],
        "half a month of December and a whole one"
    );
}

#[test]
fn phases_can_be_trials() {
    let shop = shop();
    let made = shop.schedule("phases[0][items][0][price]=PRO&phases[0][trial]=true&phases[0][duration][interval]=day&phases[0][duration][interval_count]=14&phases[1][items][0][price]=BASIC&phases[1][duration][interval]=month");
    let trial = shop.subscription(&made);
    assert_eq!((text(&trial, "/status"), number(&trial, "/trial_end")), ("trialing", START + 14 * DAY));
    assert_eq!(number(&made, "/phases/1/end_date"), START + 44 * DAY, "29 January to 28 February");
    shop.client.sandbox.advance_time(14 * DAY + HOUR);
    let paid = shop.subscription(&made);
    assert_eq!(
        (text(&paid, "/status"), text(&paid, "/items/data/0/price/id")),
        ("active", shop.basic.as_str())
    );
    assert_eq!(shop.totals(text(&made, "/subscription")), [0, 1000]);
    shop.client.sandbox.advance_time_to(START + 44 * DAY);
    assert_eq!(text(&shop.get(&id(&made)), "/status"), "released");
}

#[test]
fn a_price_that_is_archived_meanwhile_is_still_sold_by_its_phase() {
    let shop = shop();
    let made = shop.schedule(TWO_PHASES);
    shop.client.post(&format!("/v1/prices/{}", shop.pro), "active=false");
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(text(&shop.subscription(&made), "/items/data/0/price/id"), shop.pro);
    shop.refused(SCHEDULES, &format!("customer={}&phases[0][items][0][price]=PRO", shop.customer));
}

#[test]
fn phases_have_the_discounts_that_they_name_and_keep_what_their_subscription_has() {
    let shop = shop();
    let half = id(&shop.client.post("/v1/coupons", "percent_off=50&duration=forever"));
    let made = shop.schedule(&format!("{TWO_PHASES}&phases[0][discounts][0][coupon]={half}"));
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(text(&made, "/subscription")), [500, 6000], "the second phase names none");
    assert_eq!(shop.subscription(&made)["discounts"], json!([]));
    // A schedule that takes a subscription over has its discount, and its archived price, in the phase that runs.
    let form =
        format!("customer={}&items[0][price]={}&discounts[0][coupon]={half}", shop.customer, shop.basic);
    let bought = shop.client.post("/v1/subscriptions", &form);
    let discount = text(&bought, "/discounts/0").to_owned();
    let taken = shop.client.post(SCHEDULES, &format!("from_subscription={}", id(&bought)));
    assert_eq!(text(&taken, "/phases/0/discounts/0/discount"), discount);
    shop.client.post(&format!("/v1/prices/{}", shop.basic), "active=false");
    let (start, end) = (number(&taken, "/phases/0/start_date"), number(&taken, "/phases/0/end_date"));
    let phases = format!(
        "phases[0][start_date]={start}&phases[0][end_date]={end}&phases[0][items][0][price]=BASIC\
         &phases[0][discounts][0][discount]={discount}&phases[1][items][0][price]=PRO\
         &phases[1][discounts][0][discount]={discount}"
    );
    shop.update(&id(&taken), &phases);
    shop.client.sandbox.advance_time_to(end + HOUR);
    assert_eq!(shop.totals(&id(&bought)), [500, 1500]);
    assert_eq!(text(&shop.client.subscription(&id(&bought)), "/discounts/0"), discount);
    // What it does not have any more it cannot be given: that is archived.
    shop.refused(&format!("{SCHEDULES}/{}", id(&taken)), "phases[0][items][0][price]=BASIC");
}
