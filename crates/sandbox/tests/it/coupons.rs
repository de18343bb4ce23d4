//! Coupons, promotion codes and what they take off: on subscriptions, items, invoices and previews.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};
use crate::schema;

const MONTH: i64 = 31 * DAY;

fn coupon(client: &Client, form: &str) -> String {
    id(&client.post("/v1/coupons", form))
}

/// A subscription that is paid by card, with its newest invoice in full.
fn subscribed(client: &Client, customer: &str, price: &str, more: &str) -> Value {
    client.subscribe(customer, price, &format!("{more}&expand[]=latest_invoice&expand[]=discounts"))
}

fn amounts(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|entry| number(entry, "/amount")).collect()
}

fn net(client: &Client, customer: &str, currency: &str) -> i64 {
    client.sandbox.ledger().customer(customer).unwrap().net(currency)
}

#[test]
fn a_coupon_is_made_shown_changed_and_deleted() {
    let client = client();
    let form = "id=SPRING&percent_off=12.5&duration=repeating&duration_in_months=3&name=Spring&metadata[a]=b";
    let made = client.post("/v1/coupons", form);
    assert_eq!(made["percent_off"].to_string(), "12.5");
    assert_eq!((&made["valid"], &made["times_redeemed"]), (&json!(true), &json!(0)));
    let changed = client.post("/v1/coupons/SPRING", "name=Late spring&metadata[a]=");
    assert_eq!(text(&changed, "/name"), "Late spring");
    client.refused(400, "POST", "/v1/coupons", "id=SPRING&percent_off=5");
    assert_eq!(client.get("/v1/coupons", "")["data"].as_array().unwrap().len(), 1);
    assert_eq!(client.delete("/v1/coupons/SPRING", "")["deleted"], true);
    client.refused(404, "GET", "/v1/coupons/SPRING", "");
    let kinds = client.kinds();
    assert_eq!(kinds, ["coupon.created", "coupon.updated", "coupon.deleted"]);
    for wrong in [
        "duration=once",
        "percent_off=0",
        "percent_off=101",
        "percent_off=10&amount_off=5&currency=usd",
        "amount_off=5",
        "percent_off=5&duration=repeating",
        "percent_off=5&duration_in_months=2",
        "percent_off=5&redeem_by=1",
        "percent_off=5&applies_to[products][0]=prod_none",
        "percent_off=5&currency_options[eur][amount_off]=3",
    ] {
        let response = client.send("POST", "/v1/coupons", wrong);
        assert!((400..=404).contains(&response.status), "{wrong}: {}", response.status);
    }
}

#[test]
fn a_percentage_for_ever_is_on_every_invoice() {
    let client = client();
    let (price, customer) = (client.price(1_999, "usd", "month"), client.customer("pm_card_visa"));
    let quarter = coupon(&client, "percent_off=25&duration=forever");
    let made = subscribed(&client, &customer, &price, &format!("discounts[0][coupon]={quarter}"));
    let invoice = &made["latest_invoice"];
    assert_eq!((number(invoice, "/subtotal"), number(invoice, "/total")), (1_999, 1_499));
    assert_eq!(amounts(&invoice["total_discount_amounts"]), [500]);
    assert_eq!(amounts(&invoice["lines"]["data"][0]["discount_amounts"]), [500]);
    let discount = &made["discounts"][0];
    assert_eq!(text(discount, "/source/coupon"), quarter);
    assert_eq!(text(discount, "/subscription"), id(&made));
    assert_eq!(invoice["discounts"][0], discount["id"]);
    let created = &client.events("type=customer.discount.created")[0]["data"]["object"];
    schema::check_object("Discount", created);
    assert_eq!(text(created, "/customer"), customer);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer, "usd"), 2 * 1_499);
    assert_eq!(number(&client.get(&format!("/v1/coupons/{quarter}"), ""), "/times_redeemed"), 1);
}

#[test]
fn a_discount_for_once_is_on_one_invoice_and_gone() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let once = coupon(&client, "amount_off=300&currency=usd");
    let made =
        subscribed(&client, &customer, &price, &format!("discounts[0][coupon]={once}&trial_period_days=7"));
    // A free invoice does not use it up.
    assert_eq!(made["discounts"].as_array().unwrap().len(), 1);
    client.sandbox.advance_time(7 * DAY + 2 * HOUR);
    assert_eq!(net(&client, &customer, "usd"), 700);
    assert_eq!(client.subscription(&id(&made))["discounts"], json!([]));
    assert_eq!(client.events("type=customer.discount.deleted").len(), 1);
    client.sandbox.advance_time(MONTH);
    assert_eq!(net(&client, &customer, "usd"), 1_700);
}

#[test]
fn a_repeating_discount_ends_after_its_months() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let two = coupon(&client, "percent_off=50&duration=repeating&duration_in_months=2");
    let made = subscribed(&client, &customer, &price, &format!("discounts[0][coupon]={two}"));
    let discount = &made["discounts"][0];
    // 15 January to 15 March.
    assert_eq!(number(discount, "/end"), START + (31 + 28) * DAY);
    for (days, paid) in [(31, 1_000), (28, 2_000), (31, 3_000)] {
        client.sandbox.advance_time(days * DAY);
        client.sandbox.advance_time(2 * HOUR);
        assert_eq!(net(&client, &customer, "usd"), paid, "after {days} days");
    }
    assert_eq!(client.subscription(&id(&made))["discounts"], json!([]));
}

#[test]
fn an_amount_is_spread_over_the_lines_it_is_for() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let prices = [1_000, 1_000, 1_000].map(|amount| client.price(amount, "usd", "month"));
    let items = |more: &str| {
        format!(
            "customer={customer}&items[0][price]={}&items[1][price]={}&items[2][price]={}&{more}&expand[]=latest_invoice",
            prices[0], prices[1], prices[2]
        )
    };
    let ten = coupon(&client, "amount_off=1000&currency=usd&currency_options[eur][amount_off]=900");
    let made = client.post("/v1/subscriptions", &items(&format!("discounts[0][coupon]={ten}")));
    let invoice = &made["latest_invoice"];
    let shares: Vec<i64> = invoice["lines"]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| number(line, "/discount_amounts/0/amount"))
        .collect();
    assert_eq!(shares, [334, 333, 333]);
    assert_eq!(number(invoice, "/total"), 2_000);
    // Only for one product, and more than that product costs.
    let product = text(&client.get(&format!("/v1/prices/{}", prices[1]), ""), "/product").to_owned();
    let form = format!("amount_off=5000&currency=usd&applies_to[products][0]={product}");
    let special = coupon(&client, &form);
    let other = client.post("/v1/subscriptions", &items(&format!("discounts[0][coupon]={special}")));
    assert_eq!(number(&other, "/latest_invoice/total"), 2_000);
    assert_eq!(amounts(&other["latest_invoice"]["total_discount_amounts"]), [1_000]);
    let shown =
        client.get(&format!("/v1/coupons/{special}"), "expand[]=applies_to&expand[]=currency_options");
    assert_eq!(shown["applies_to"]["products"], json!([product]));
    assert_eq!(number(&shown, "/currency_options/usd/amount_off"), 5_000);
}

#[test]
fn discounts_of_items_come_first_and_each_takes_from_what_is_left() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (first, second) = (client.price(1_000, "usd", "month"), client.price(3_000, "usd", "month"));
    let half = coupon(&client, "percent_off=50&duration=forever");
    let tenth = coupon(&client, "percent_off=10&duration=forever");
    let two = coupon(&client, "amount_off=200&currency=usd&duration=forever");
    let form = format!(
        "customer={customer}&items[0][price]={first}&items[0][discounts][0][coupon]={half}&items[1][price]={second}&discounts[0][coupon]={tenth}&discounts[1][coupon]={two}&expand[]=latest_invoice"
    );
    let made = client.post("/v1/subscriptions", &form);
    let lines = &made["latest_invoice"]["lines"]["data"];
    // 1000 - 500 = 500; 10 % of 3500 is 350: 50 and 300; 200 of 3150: 28.57 and 171.43.
    assert_eq!(amounts(&lines[0]["discount_amounts"]), [500, 50, 29]);
    assert_eq!(amounts(&lines[1]["discount_amounts"]), [300, 171]);
    assert_eq!(amounts(&made["latest_invoice"]["total_discount_amounts"]), [500, 350, 200]);
    assert_eq!(number(&made, "/latest_invoice/amount_paid"), 4_000 - 1_050);
    assert_eq!(made["items"]["data"][0]["discounts"].as_array().unwrap().len(), 1);
    client.refused(
        400,
        "POST",
        "/v1/subscriptions",
        &format!("customer={customer}&items[0][price]={first}&discounts[0][coupon]={two}&discounts[1][coupon]={two}"),
    );
}

#[test]
fn discounts_of_a_running_subscription_are_replaced_and_taken_away() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let (tenth, half) = (
        coupon(&client, "percent_off=10&duration=forever"),
        coupon(&client, "percent_off=50&duration=forever"),
    );
    let made = subscribed(&client, &customer, &price, &format!("discounts[0][coupon]={tenth}"));
    let kept = text(&made, "/discounts/0/id").to_owned();
    let path = format!("/v1/subscriptions/{}", id(&made));
    let both = client.post(&path, &format!("discounts[0][discount]={kept}&discounts[1][coupon]={half}"));
    assert_eq!(both["discounts"].as_array().unwrap().len(), 2);
    assert_eq!(both["discounts"][0], kept);
    assert_eq!(client.events("type=customer.discount.created").len(), 2);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer, "usd"), 900 + 450);
    let gone = client.delete(&format!("{path}/discount"), "");
    assert_eq!(gone["deleted"], true);
    client.sandbox.advance_time(28 * DAY);
    assert_eq!(net(&client, &customer, "usd"), 1_350 + 1_000);
    client.refused(400, "DELETE", &format!("{path}/discount"), "");
    assert_eq!(client.events("type=customer.discount.deleted").len(), 2);
    let cleared = client.post(&path, "discounts=");
    assert_eq!(cleared["discounts"], json!([]));
}

#[test]
fn a_downgrade_credits_the_discounted_amount() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (small, large) = (client.price(1_000, "usd", "month"), client.price(2_000, "usd", "month"));
    let once = coupon(&client, "percent_off=50");
    let made = subscribed(&client, &customer, &large, &format!("discounts[0][coupon]={once}"));
    assert_eq!(net(&client, &customer, "usd"), 1_000);
    let item = text(&made, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(MONTH / 2);
    let form = format!("items[0][id]={item}&items[0][price]={small}&proration_behavior=always_invoice");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let changed = client.post(&path, &format!("{form}&expand[]=latest_invoice"));
    // Half of the 1000 that were paid, not of the 2000 that the price says.
    assert_eq!(amounts(&changed["latest_invoice"]["lines"]["data"]), [-500, 500]);
    assert_eq!(changed["latest_invoice"]["lines"]["data"][0]["discountable"], false);
}

#[test]
fn a_lasting_discount_is_in_the_prorations() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (small, large) = (client.price(1_000, "usd", "month"), client.price(2_000, "usd", "month"));
    let half = coupon(&client, "percent_off=50&duration=forever");
    let made = subscribed(&client, &customer, &small, &format!("discounts[0][coupon]={half}"));
    let item = text(&made, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(MONTH / 2);
    let form = format!("items[0][id]={item}&items[0][price]={large}&proration_behavior=always_invoice");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let changed = client.post(&path, &format!("{form}&expand[]=latest_invoice"));
    assert_eq!(amounts(&changed["latest_invoice"]["lines"]["data"]), [-250, 500]);
    assert_eq!(number(&changed, "/latest_invoice/amount_paid"), 250);
}

#[test]
fn a_coupon_ends_with_its_date_and_its_redemptions() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let single = coupon(&client, "percent_off=10&max_redemptions=1");
    let dated = coupon(&client, &format!("percent_off=10&redeem_by={}", START + DAY));
    let euro = coupon(&client, "amount_off=10&currency=eur");
    subscribed(&client, &customer, &price, &format!("discounts[0][coupon]={single}"));
    assert_eq!(client.get(&format!("/v1/coupons/{single}"), "")["valid"], false);
    client.sandbox.advance_time(DAY + 1);
    let refused = |coupon: &str, status: u16| {
        let form = format!("customer={customer}&items[0][price]={price}&discounts[0][coupon]={coupon}");
        client.refused(status, "POST", "/v1/subscriptions", &form)
    };
    assert_eq!(text(&refused(&single, 400), "/code"), "coupon_expired");
    assert_eq!(text(&refused(&dated, 400), "/code"), "coupon_expired");
    assert_eq!(text(&refused(&euro, 400), "/param"), "discounts[0][coupon]");
    refused("NONE", 404);
    for wrong in
        ["discounts=SPRING", "discounts[0][coupon]=a&discounts[0][promotion_code]=b", "add_invoice_items=1"]
    {
        let form = format!("customer={customer}&items[0][price]={price}&{wrong}");
        client.refused(400, "POST", "/v1/subscriptions", &form);
    }
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().subscriptions.len(), 1);
}

#[test]
fn promotion_codes_have_their_rules() {
    let client = client();
    let price = client.price(1_000, "usd", "month");
    let (old, new) = (client.customer("pm_card_visa"), client.customer("pm_card_visa"));
    let tenth = coupon(&client, "percent_off=10&duration=forever");
    client.subscribe(&old, &price, "");
    let code = |more: &str| {
        let form = format!("promotion[type]=coupon&promotion[coupon]={tenth}&{more}");
        client.post("/v1/promotion_codes", &form)
    };
    let first = code("code=FIRST&restrictions[first_time_transaction]=true");
    assert_eq!(text(&first, "/promotion/coupon"), tenth);
    let large =
        code("code=LARGE&restrictions[minimum_amount]=1001&restrictions[minimum_amount_currency]=usd");
    let more =
        "restrictions[currency_options][eur][minimum_amount]=900&expand[]=restrictions.currency_options";
    let shown = client.post(&format!("/v1/promotion_codes/{}", id(&large)), more);
    assert_eq!(number(&shown, "/restrictions/currency_options/eur/minimum_amount"), 900);
    assert_eq!(number(&shown, "/restrictions/currency_options/usd/minimum_amount"), 1_001);
    let mine = code(&format!("code=MINE&customer={old}"));
    let once = code("max_redemptions=1");
    assert_eq!(text(&once, "/code").len(), 8);
    let short = code(&format!("code=SHORT&expires_at={}", START + HOUR));
    let attempt = |customer: &str, code: &Value, quantity: i64| {
        let form = format!(
            "customer={customer}&items[0][price]={price}&items[0][quantity]={quantity}&discounts[0][promotion_code]={}",
            id(code)
        );
        client.send("POST", "/v1/subscriptions", &form).status
    };
    assert_eq!((attempt(&old, &first, 1), attempt(&new, &mine, 1)), (400, 400));
    assert_eq!((attempt(&new, &large, 1), attempt(&new, &large, 2)), (400, 200));
    assert_eq!(attempt(&client.customer("pm_card_visa"), &first, 1), 200);
    assert_eq!((attempt(&old, &mine, 1), attempt(&old, &once, 1), attempt(&old, &once, 1)), (200, 200, 400));
    client.sandbox.advance_time(HOUR);
    assert_eq!(attempt(&old, &short, 1), 400);
    let listed = client.get("/v1/promotion_codes", "active=true&code=large");
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    client.refused(
        400,
        "POST",
        "/v1/promotion_codes",
        &format!("promotion[type]=coupon&promotion[coupon]={tenth}&code=large"),
    );
    let off = client.post(&format!("/v1/promotion_codes/{}", id(&large)), "active=false");
    assert_eq!(off["active"], false);
    assert_eq!(attempt(&new, &large, 2), 400);
    assert!(client.kinds().contains(&"promotion_code.updated".to_owned()));
}

#[test]
fn a_preview_takes_discounts_and_gives_none_away() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let half = coupon(&client, "percent_off=50&max_redemptions=1");
    let form = format!("subscription={subscription}&discounts[0][coupon]={half}");
    let preview = client.post("/v1/invoices/create_preview", &form);
    assert_eq!((number(&preview, "/subtotal"), number(&preview, "/total")), (1_000, 500));
    assert_eq!(number(&client.get(&format!("/v1/coupons/{half}"), ""), "/times_redeemed"), 0);
    assert_eq!(client.subscription(&subscription)["discounts"], json!([]));
    client.post(&format!("/v1/subscriptions/{subscription}"), &format!("discounts[0][coupon]={half}"));
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer, "usd"), 1_500);
}

#[test]
fn invoices_and_their_items_take_discounts_of_their_own() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (half, tenth) = (coupon(&client, "percent_off=50"), coupon(&client, "percent_off=10"));
    let item =
        |more: &str| client.post("/v1/invoiceitems", &format!("customer={customer}&currency=usd&{more}"));
    let discounted = item(&format!("amount=1000&description=A&discounts[0][coupon]={half}"));
    assert_eq!(discounted["discounts"].as_array().unwrap().len(), 1);
    item("amount=1000&description=B&discountable=false");
    item("amount=-100&description=C");
    let form =
        format!("customer={customer}&pending_invoice_items_behavior=include&discounts[0][coupon]={tenth}");
    let draft = client.post("/v1/invoices", &form);
    // Half of A, and a tenth of the rest of A; B and C stay as they are.
    assert_eq!((number(&draft, "/subtotal"), number(&draft, "/total")), (1_900, 1_900 - 500 - 50));
    let changed = client.post(&format!("/v1/invoices/{}", id(&draft)), "discounts=");
    assert_eq!(number(&changed, "/amount_due"), 1_400);
    client.post(&format!("/v1/invoices/{}/pay", id(&draft)), "");
    assert_eq!(net(&client, &customer, "usd"), 1_400);
    client.refused(
        400,
        "POST",
        &format!("/v1/invoices/{}", id(&draft)),
        &format!("discounts[0][coupon]={half}"),
    );
}

#[test]
fn a_snapshot_keeps_what_was_given() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let half = coupon(&client, "percent_off=50&duration=forever");
    let tax = id(&client.post("/v1/tax_rates", "display_name=VAT&percentage=19&inclusive=false"));
    let more = format!("discounts[0][coupon]={half}&default_tax_rates[0]={tax}&expand[]=latest_invoice");
    let made = client.subscribe(&customer, &price, &more);
    let note = format!("invoice={}&amount=95&credit_amount=95", text(&made, "/latest_invoice/id"));
    client.post("/v1/credit_notes", &note);
    let snapshot = client.control("GET", "snapshot", &Value::Null);
    client.sandbox.reset();
    client.control("PUT", "snapshot", &snapshot);
    assert_eq!(client.control("GET", "snapshot", &Value::Null), snapshot);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer, "usd"), 595 + 500);
}
