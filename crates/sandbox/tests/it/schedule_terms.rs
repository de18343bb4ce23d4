//! What phases of a schedule say of money beside prices: discounts, taxes and single amounts.

use serde_json::Value;

use crate::client::{HOUR, START, id, number, text};
use crate::schedules::{MONTH, SCHEDULES, Shop, TWO_PHASES, shop};

fn rate(shop: &Shop, percentage: &str) -> String {
    let form = format!("display_name=Tax&inclusive=false&percentage={percentage}");
    id(&shop.client.post("/v1/tax_rates", &form))
}

fn coupon(shop: &Shop, percent: i64) -> String {
    id(&shop.client.post("/v1/coupons", &format!("percent_off={percent}&duration=forever")))
}

fn setup(shop: &Shop) -> String {
    let form = "unit_amount=500&currency=usd&product_data[name]=Setup";
    id(&shop.client.post("/v1/prices", form))
}

/// The descriptions and amounts of a preview's lines.
fn lines(invoice: &Value) -> Vec<i64> {
    invoice["lines"]["data"].as_array().unwrap().iter().map(|line| number(line, "/amount")).collect()
}

#[test]
fn each_phase_has_its_own_tax_rates() {
    let shop = shop();
    let (ten, twenty, five) = (rate(&shop, "10"), rate(&shop, "20"), rate(&shop, "5"));
    let made = shop.schedule(&format!(
        "{TWO_PHASES}&phases[0][default_tax_rates][0]={ten}&phases[1][default_tax_rates][0]={twenty}&phases[1][items][1][price]=BASIC&phases[1][items][1][tax_rates][0]={five}"
    ));
    assert_eq!(text(&made, "/phases/0/default_tax_rates/0/id"), ten);
    assert_eq!(text(&made, "/phases/1/items/1/tax_rates/0/id"), five);
    let subscription = text(&made, "/subscription").to_owned();
    assert_eq!(text(&shop.subscription(&made), "/default_tax_rates/0/id"), ten);
    let preview = shop.client.post("/v1/invoices/create_preview", &format!("subscription={subscription}"));
    assert_eq!(number(&preview, "/total"), 8250, "the item's own rate goes before the default one");
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(&subscription), [1100, 8250]);
    let second = shop.subscription(&made);
    assert_eq!(text(&second, "/default_tax_rates/0/id"), twenty);
    let basic =
        second["items"]["data"].as_array().unwrap().iter().find(|item| item["price"]["id"] == shop.basic);
    assert_eq!(text(basic.unwrap(), "/tax_rates/0/id"), five);
    let form = format!(
        "customer={}&phases[0][items][0][price]=BASIC&phases[0][default_tax_rates][0]=txr_no",
        shop.customer
    );
    let form = form.replace("BASIC", &shop.basic);
    assert_eq!(shop.client.refused(404, "POST", SCHEDULES, &form)["code"], "resource_missing");
}

#[test]
fn a_price_that_stays_gets_the_terms_of_its_next_phase() {
    let shop = shop();
    let (half, tenth) = (coupon(&shop, 50), coupon(&shop, 10));
    let form = format!(
        "phases[0][items][0][price]=BASIC&phases[0][items][0][discounts][0][coupon]={half}&phases[0][duration][interval]=month&phases[1][items][0][price]=BASIC&phases[1][items][0][discounts][0][coupon]={tenth}&phases[1][duration][interval]=month"
    );
    let made = shop.schedule(&form);
    assert!(text(&made, "/phases/0/items/0/discounts/0/discount").starts_with("di_"));
    let subscription = text(&made, "/subscription").to_owned();
    let item = text(&shop.subscription(&made), "/items/data/0/id").to_owned();
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(&subscription), [500, 900]);
    let second = shop.subscription(&made);
    assert_eq!(text(&second, "/items/data/0/id"), item, "the same item");
    assert_eq!(second["items"]["data"][0]["discounts"].as_array().unwrap().len(), 1);
}

#[test]
fn taxes_come_by_themselves_in_the_phases_that_ask_for_them() {
    let shop = shop();
    let path = format!("/v1/customers/{}", shop.customer);
    let asks = "phases[0][automatic_tax][enabled]=false&default_settings[automatic_tax][enabled]=true";
    let form = format!("customer={}&{TWO_PHASES}&{asks}", shop.customer);
    let nowhere = shop.refused(SCHEDULES, &form);
    assert_eq!(nowhere["code"], "customer_tax_location_invalid");
    shop.client.post(&path, "address[country]=DE");
    let made = shop.schedule(&format!("{TWO_PHASES}&{asks}"));
    assert_eq!(made["default_settings"]["automatic_tax"]["enabled"], true);
    assert_eq!(made["phases"][0]["automatic_tax"]["enabled"], false);
    assert!(made["phases"][1].get("automatic_tax").is_none(), "as the default settings say");
    let subscription = text(&made, "/subscription").to_owned();
    assert_eq!(shop.subscription(&made)["automatic_tax"]["enabled"], false);
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(&subscription), [1000, 7140]);
    assert_eq!(shop.subscription(&made)["automatic_tax"]["enabled"], true);
}

#[test]
fn single_amounts_are_on_the_first_invoice_of_their_phase() {
    let shop = shop();
    let setup = setup(&shop);
    let made = shop.schedule(&format!(
        "{TWO_PHASES}&phases[0][add_invoice_items][0][price]={setup}&phases[1][add_invoice_items][0][price]={setup}&phases[1][add_invoice_items][0][quantity]=3&phases[1][add_invoice_items][0][metadata][a]=b"
    ));
    let extra = &made["phases"][1]["add_invoice_items"][0];
    assert_eq!((text(extra, "/price"), number(extra, "/quantity")), (setup.as_str(), 3));
    assert_eq!(text(extra, "/period/start/type"), "max_item_period_start");
    let subscription = text(&made, "/subscription").to_owned();
    let preview = shop.client.post("/v1/invoices/create_preview", &format!("subscription={subscription}"));
    assert_eq!(number(&preview, "/total"), 7500);
    let single = preview["lines"]["data"].as_array().unwrap().iter().find(|line| line["amount"] == 1500);
    let single = single.unwrap_or_else(|| panic!("no such line: {:?}", lines(&preview)));
    assert_eq!(number(single, "/period/start"), START + MONTH);
    assert_eq!(number(single, "/period/end"), START + MONTH + 28 * 86_400);
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(&subscription), [1500, 7500]);
    shop.update(&id(&made), "default_settings[description]=Other");
    shop.client.sandbox.advance_time_to(START + 2 * MONTH);
    assert_eq!(shop.totals(&subscription), [1500, 7500, 6000], "once");
}

#[test]
fn single_amounts_of_a_phase_within_a_period_wait_or_are_billed_with_its_prorations() {
    for (proration, totals) in [("create_prorations", vec![1000]), ("always_invoice", vec![1000, 1500])] {
        let shop = shop();
        let setup = setup(&shop);
        let middle = START + MONTH / 2;
        let made = shop.schedule(&format!(
            "phases[0][items][0][price]=BASIC&phases[0][end_date]={middle}&phases[1][items][0][price]=PRO&phases[1][proration_behavior]={proration}&phases[1][add_invoice_items][0][price]={setup}&phases[1][duration][interval]=month"
        ));
        let subscription = text(&made, "/subscription").to_owned();
        shop.client.sandbox.advance_time_to(middle + HOUR);
        assert_eq!(shop.totals(&subscription), totals, "{proration}");
        let preview =
            shop.client.post("/v1/invoices/create_preview", &format!("subscription={subscription}"));
        let waits = if proration == "create_prorations" { 1500 } else { 0 };
        assert_eq!(number(&preview, "/total"), 3000 + waits);
    }
}

#[test]
fn a_schedule_takes_over_the_terms_of_its_subscription() {
    let shop = shop();
    let (ten, half) = (rate(&shop, "10"), coupon(&shop, 50));
    let form = format!("default_tax_rates[0]={ten}&items[0][discounts][0][coupon]={half}");
    let running = id(&shop.client.subscribe(&shop.customer, &shop.basic, &form));
    let made = shop.client.post(SCHEDULES, &format!("from_subscription={running}"));
    assert_eq!(text(&made, "/phases/0/default_tax_rates/0/id"), ten);
    assert!(text(&made, "/phases/0/items/0/discounts/0/discount").starts_with("di_"));
    shop.client.post(&format!("{SCHEDULES}/{}", id(&made)), "default_settings[description]=Other");
    let same = shop.client.subscription(&running);
    assert_eq!(text(&same, "/default_tax_rates/0/id"), ten, "an update leaves them");
    assert_eq!(same["items"]["data"][0]["discounts"].as_array().unwrap().len(), 1);
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(&running), [550, 550]);
}

#[test]
fn a_single_amount_of_a_phase_is_for_the_period_that_it_says() {
    let shop = shop();
    let setup = id(&shop.client.post("/v1/prices", "unit_amount=500&currency=usd&product_data[name]=Setup"));
    let extra = |start: &str, end: &str| {
        let at = "phases[0][add_invoice_items][0]";
        format!(
            "{TWO_PHASES}&{at}[price]={setup}&{at}[period][start][type]={start}&{at}[period][end][type]={end}"
        )
    };
    let made = shop.schedule(&extra("phase_start", "phase_end"));
    let shown = &made["phases"][0]["add_invoice_items"][0]["period"];
    assert_eq!((text(shown, "/start/type"), text(shown, "/end/type")), ("phase_start", "phase_end"));
    let invoice = text(&shop.subscription(&made), "/latest_invoice").to_owned();
    let invoice = shop.client.get(&format!("/v1/invoices/{invoice}"), "");
    let phase = &made["phases"][0];
    assert_eq!(
        (&invoice["lines"]["data"][0]["period"]["start"], &invoice["lines"]["data"][0]["period"]["end"]),
        (&phase["start_date"], &phase["end_date"])
    );
    for wrong in [extra("now", "phase_end"), extra("phase_start", "now")] {
        shop.refused(SCHEDULES, &format!("customer={}&{wrong}", shop.customer));
    }
}

#[test]
fn none_is_an_older_word_for_cancel_and_renew_can_only_be_read() {
    let shop = shop();
    let made = shop.schedule(&format!("{TWO_PHASES}&end_behavior=none"));
    assert_eq!(text(&made, "/end_behavior"), "cancel");
    let form = format!("customer={}&{TWO_PHASES}&end_behavior=renew", shop.customer);
    let error = shop.refused(SCHEDULES, &form);
    assert_eq!((text(&error, "/param"), error.get("code")), ("end_behavior", None));
}
