//! An end within a period: what is not used is credited or never billed, as a preview foretells it.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

const MONTH: i64 = 31 * DAY;

/// The amounts of an invoice's lines, then its total.
fn amounts(invoice: &Value) -> Vec<i64> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines.map(|line| number(line, "/amount")).chain([number(invoice, "/total")]).collect()
}

struct Scene {
    client: Client,
    customer: String,
    made: String,
    item: String,
}

fn scene(amount: i64, currency: &str, more: &str) -> Scene {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &client.price(amount, currency, "month"), more);
    let item = text(&made, "/items/data/0/id").to_owned();
    Scene { made: id(&made), client, customer, item }
}

impl Scene {
    fn change(&self, form: &str) -> Value {
        self.client.post(&format!("/v1/subscriptions/{}", self.made), form)
    }

    fn preview(&self, form: &str) -> Vec<i64> {
        let form = format!("subscription={}&{form}", self.made);
        amounts(&self.client.post("/v1/invoices/create_preview", &form))
    }

    /// Every invoice but the first, oldest first.
    fn later(&self) -> Vec<Vec<i64>> {
        let invoices = self.client.get("/v1/invoices", &format!("subscription={}&limit=100", self.made));
        let mut all: Vec<_> = invoices["data"].as_array().unwrap().iter().map(amounts).collect();
        all.reverse();
        all.split_off(1)
    }

    fn balance(&self) -> i64 {
        number(&self.client.get(&format!("/v1/customers/{}", self.customer), ""), "/balance")
    }

    fn status(&self) -> String {
        text(&self.client.subscription(&self.made), "/status").to_owned()
    }
}

#[test]
fn an_end_within_the_period_credits_what_is_not_used_on_the_last_invoice() {
    let scene = scene(3_100, "usd", "");
    let at = START + 10 * DAY;
    scene.client.sandbox.advance_time(2 * DAY);
    let supposed = format!("subscription_details[cancel_at]={at}");
    assert_eq!(scene.preview(&supposed), [-2_100, -2_100]);
    scene.change(&format!("cancel_at={at}"));
    assert_eq!(scene.preview(""), [-2_100, -2_100], "what waits is what the last invoice will say");
    assert!(scene.later().is_empty());
    scene.client.sandbox.advance_time_to(at + 2 * HOUR);
    assert_eq!(scene.status(), "canceled");
    assert_eq!(scene.later(), [[-2_100, -2_100]]);
    assert_eq!(scene.balance(), -2_100);
    scene.client.sandbox.advance_time(3 * MONTH);
    assert_eq!(scene.later().len(), 1);
}

#[test]
fn an_end_within_the_period_is_invoiced_at_once_or_not_at_all_where_it_says_so() {
    let at = START + 10 * DAY;
    let scene = scene(3_100, "usd", "");
    let supposed = format!(
        "subscription_details[cancel_at]={at}&subscription_details[proration_behavior]=always_invoice"
    );
    assert_eq!(scene.preview(&supposed), [-2_100, -2_100]);
    scene.change(&format!("cancel_at={at}&proration_behavior=always_invoice"));
    assert_eq!((scene.later(), scene.balance()), (vec![vec![-2_100, -2_100]], -2_100));
    scene.client.sandbox.advance_time_to(at + 2 * HOUR);
    assert_eq!((scene.later().len(), scene.status().as_str()), (1, "canceled"));

    let scene = self::scene(3_100, "usd", "");
    let none = "subscription_details[proration_behavior]=none";
    let form = format!("subscription={}&subscription_details[cancel_at]={at}&{none}", scene.made);
    let error = scene.client.refused(404, "POST", "/v1/invoices/create_preview", &form);
    assert_eq!(text(&error, "/code"), "invoice_upcoming_none");
    scene.change(&format!("cancel_at={at}&proration_behavior=none"));
    scene.client.sandbox.advance_time(2 * MONTH);
    assert_eq!((scene.later().len(), scene.balance(), scene.status().as_str()), (0, 0, "canceled"));
}

#[test]
fn an_end_that_is_moved_or_taken_back_charges_again_what_it_had_credited() {
    let scene = scene(3_100, "usd", "");
    let end = START + MONTH;
    for (form, waiting) in [
        (format!("cancel_at={}", START + 10 * DAY), vec![-2_100, -2_100]),
        (format!("cancel_at={}", START + 20 * DAY), vec![-2_100, 1_000, -1_100]),
        (format!("cancel_at={}", START + 15 * DAY), vec![-2_100, 1_000, -500, -1_600]),
        ("cancel_at_period_end=true".to_owned(), vec![-2_100, 1_000, -500, 1_600, 0]),
    ] {
        scene.change(&form);
        assert_eq!(scene.preview(""), waiting, "{form}");
    }
    scene.change("cancel_at_period_end=false");
    assert_eq!(scene.preview(""), [-2_100, 1_000, -500, 1_600, 3_100, 3_100], "it renews");
    scene.change(&format!("cancel_at={}", START + 10 * DAY));
    scene.change("cancel_at=");
    let both = [-2_100, 1_000, -500, 1_600, -2_100, 2_100, 3_100, 3_100];
    assert_eq!(scene.preview(""), both);
    scene.client.sandbox.advance_time_to(end + 2 * HOUR);
    assert_eq!((scene.later(), scene.balance()), (vec![both.to_vec()], 0));
}

#[test]
fn an_end_may_be_named_by_a_word() {
    let scene = scene(3_100, "usd", &format!("cancel_at={}", START + 20 * DAY));
    for (word, at) in [
        ("min_period_end", START + MONTH),
        ("max_billed_until", START + 20 * DAY),
        ("max_period_end", START + MONTH),
    ] {
        scene.change(&format!("cancel_at={word}&proration_behavior=none"));
        let found = scene.client.subscription(&scene.made);
        assert_eq!(
            (found["cancel_at"].as_i64(), found["cancel_at_period_end"].as_bool()),
            (Some(at), Some(false))
        );
    }
    let error =
        scene.client.refused(400, "POST", &format!("/v1/subscriptions/{}", scene.made), "cancel_at=soon");
    assert_eq!(text(&error, "/param"), "cancel_at");
}

#[test]
fn a_change_before_a_planned_end_counts_up_to_it() {
    let scene = scene(3_100, "usd", "items[0][quantity]=2");
    let at = START + 20 * DAY;
    scene.client.sandbox.advance_time(10 * DAY);
    let price = scene.client.price(9_300, "usd", "month");
    let items = format!("items[0][id]={}&items[0][price]={price}&items[0][quantity]=1", scene.item);
    let inner = items.replace("items[0]", "subscription_details[items][0]");
    // Eleven days of twice 3100, then ten of it for ten of 9300.
    let foretold = [-2_200, -2_000, 3_000, -1_200];
    assert_eq!(scene.preview(&format!("subscription_details[cancel_at]={at}&{inner}")), foretold);
    scene.change(&format!("cancel_at={at}&{items}"));
    assert_eq!(scene.preview(""), foretold);
    // And what was changed is credited for the time up to the end, and no further.
    let back = format!("subscription_details[cancel_at]={}", START + 15 * DAY);
    assert_eq!(scene.preview(&back), [-2_200, -2_000, 3_000, -1_500, -2_700]);
    scene.client.sandbox.advance_time_to(at + 2 * HOUR);
    assert_eq!((scene.later(), scene.balance()), (vec![foretold.to_vec()], -1_200));
}

#[test]
fn the_last_period_is_billed_up_to_the_end_whatever_the_prorations() {
    // A coupon for every invoice is taken off the part as off the whole.
    for (behavior, coupon) in [("none", false), ("create_prorations", false), ("none", true)] {
        let scene = scene(2_800, "usd", "");
        if coupon {
            let coupon = id(&scene.client.post("/v1/coupons", "percent_off=50&duration=forever"));
            scene.client.older(
                "POST",
                &format!("/v1/customers/{}", scene.customer),
                &format!("coupon={coupon}"),
            );
        }
        let at = START + MONTH + 7 * DAY;
        let supposed = format!(
            "subscription_details[cancel_at]={at}&subscription_details[proration_behavior]={behavior}"
        );
        let expected = if coupon { vec![700, 350] } else { vec![700, 700] };
        assert_eq!(scene.preview(&supposed), expected, "{behavior}");
        scene.change(&format!("cancel_at={at}&proration_behavior={behavior}"));
        assert_eq!(scene.preview(""), expected, "{behavior}");
        scene.client.sandbox.advance_time(MONTH + 2 * HOUR);
        assert_eq!(scene.later(), [expected], "{behavior}");
        // Taken back, the rest of that period is charged with the next one.
        scene.change("cancel_at=");
        let rest = if coupon { 1_050 } else { 2_100 };
        assert_eq!(scene.preview("")[..2], [rest, 2_800], "{behavior}");
    }
}

#[test]
fn a_subscription_that_is_made_with_its_end_pays_for_the_time_up_to_it() {
    // The figures of a published experiment with the provider itself: 1000 yen for 20 days of 31, 10 % tax.
    let client = client();
    let rate = id(&client.post("/v1/tax_rates", "display_name=T&percentage=10&inclusive=false"));
    let customer = client.customer("pm_card_visa");
    let price = client.price(1_000, "jpy", "month");
    let form = format!("cancel_at={}&default_tax_rates[0]={rate}&expand[]=latest_invoice", START + 20 * DAY);
    let made = client.subscribe(&customer, &price, &form);
    let invoice = &made["latest_invoice"];
    assert_eq!((number(invoice, "/subtotal"), number(invoice, "/total")), (645, 710));
    assert_eq!(number(invoice, "/amount_paid"), 710);
    let path = format!("subscription={}", id(&made));
    let error = client.refused(404, "POST", "/v1/invoices/create_preview", &path);
    assert_eq!(text(&error, "/code"), "invoice_upcoming_none");
    let made = client.subscribe(&customer, &price, &format!("{form}&proration_behavior=none"));
    assert!(made["latest_invoice"].is_null(), "without prorations there is no invoice at all");
    assert_eq!(text(&made, "/status"), "active");
    client.sandbox.advance_time(2 * MONTH);
    assert_eq!(text(&client.subscription(&id(&made)), "/status"), "canceled");
}

#[test]
fn a_schedule_that_ends_within_a_period_credits_the_rest() {
    for (proration, waiting) in [("create_prorations", vec![-1_600, -1_600]), ("none", Vec::new())] {
        let scene = scene(3_100, "usd", "");
        let schedules = "/v1/subscription_schedules";
        let schedule = id(&scene.client.post(schedules, &format!("from_subscription={}", scene.made)));
        let price = text(&scene.client.subscription(&scene.made), "/items/data/0/price/id").to_owned();
        let form = format!(
            "end_behavior=cancel&proration_behavior={proration}&phases[0][items][0][price]={price}&phases[0][start_date]={START}&phases[0][end_date]={}",
            START + 15 * DAY
        );
        scene.client.post(&format!("{schedules}/{schedule}"), &form);
        if !waiting.is_empty() {
            assert_eq!(scene.preview(""), waiting);
        }
        scene.client.sandbox.advance_time(2 * MONTH);
        let expected: Vec<Vec<i64>> = if waiting.is_empty() { Vec::new() } else { vec![waiting] };
        assert_eq!((scene.later(), scene.status().as_str()), (expected, "canceled"), "{proration}");
    }
}

#[test]
fn a_schedule_bills_its_last_phase_up_to_its_end() {
    let scene = scene(3_100, "usd", "");
    let schedules = "/v1/subscription_schedules";
    let schedule = id(&scene.client.post(schedules, &format!("from_subscription={}", scene.made)));
    let price = text(&scene.client.subscription(&scene.made), "/items/data/0/price/id").to_owned();
    let other = scene.client.price(2_800, "usd", "month");
    let (first, last) = (START + MONTH, START + MONTH + 7 * DAY);
    let form = format!(
        "end_behavior=cancel&phases[0][items][0][price]={price}&phases[0][start_date]={START}&phases[0][end_date]={first}&phases[1][items][0][price]={other}&phases[1][start_date]={first}&phases[1][end_date]={last}"
    );
    scene.client.post(&format!("{schedules}/{schedule}"), &form);
    assert_eq!(scene.preview(""), [700, 700], "the phase that begins with the renewal plans the end");
    scene.client.sandbox.advance_time(3 * MONTH);
    assert_eq!((scene.later(), scene.status().as_str()), (vec![vec![700, 700]], "canceled"));
}
