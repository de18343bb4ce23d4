//! Prices that are not one amount per unit: tiers, packages, fractions of a cent, other currencies.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};
use crate::schema::check_object;

/// 7.00 for each of the first five, 6.50 up to ten, then 6.00; a flat 3.00 with the second tier.
const TIERS: &str = "tiers[0][up_to]=5&tiers[0][unit_amount]=700&tiers[1][up_to]=10&tiers[1][unit_amount]=650&tiers[1][flat_amount]=300&tiers[2][up_to]=inf&tiers[2][unit_amount]=600";

fn tiered(client: &Client, mode: &str) -> String {
    let form = format!(
        "currency=usd&recurring[interval]=month&product_data[name]=Fonts&billing_scheme=tiered&tiers_mode={mode}&{TIERS}"
    );
    id(&client.post("/v1/prices", &form))
}

fn seats(client: &Client, price: &str, quantity: i64) -> Value {
    let customer = client.customer("pm_card_visa");
    client.subscribe(&customer, price, &format!("items[0][quantity]={quantity}&expand[]=latest_invoice"))
}

fn lines(invoice: &Value) -> Vec<(String, i64, i64)> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines
        .map(|line| {
            (text(line, "/description").to_owned(), number(line, "/quantity"), number(line, "/amount"))
        })
        .collect()
}

#[test]
fn tiers_are_shown_when_asked_for() {
    let client = client();
    let price = tiered(&client, "volume");
    let plain = client.get(&format!("/v1/prices/{price}"), "");
    assert_eq!((text(&plain, "/billing_scheme"), text(&plain, "/tiers_mode")), ("tiered", "volume"));
    assert!(plain["unit_amount"].is_null() && plain["unit_amount_decimal"].is_null());
    assert!(plain.get("tiers").is_none());
    let shown = client.get(&format!("/v1/prices/{price}"), "expand[]=tiers");
    check_object("Price", &shown);
    assert_eq!(number(&shown, "/tiers/1/up_to"), 10);
    assert_eq!(text(&shown, "/tiers/1/unit_amount_decimal"), "650");
    assert!(shown["tiers"][2]["up_to"].is_null() && shown["tiers"][2]["flat_amount"].is_null());
    let listed = client.get("/v1/prices", "expand[]=data.tiers");
    assert_eq!(number(&listed, "/data/0/tiers/0/up_to"), 5);
    let subscription = seats(&client, &price, 1);
    let seen =
        client.get(&format!("/v1/subscriptions/{}", id(&subscription)), "expand[]=items.data.price.tiers");
    assert_eq!(number(&seen, "/items/data/0/price/tiers/0/unit_amount"), 700);
    assert_eq!(text(&seen, "/items/data/0/plan/tiers_mode"), "volume");
}

#[test]
fn graduated_bills_each_tier_on_its_own_line() {
    let client = client();
    let price = tiered(&client, "graduated");
    let subscription = seats(&client, &price, 12);
    let invoice = &subscription["latest_invoice"];
    assert_eq!(
        lines(invoice),
        [
            ("5 × Fonts (Tier 1 at $7.00 / month)".to_owned(), 5, 3500),
            ("5 × Fonts (Tier 2 at $6.50 / month)".to_owned(), 5, 3250),
            ("1 × Fonts (Tier 2 at $3.00 / month)".to_owned(), 1, 300),
            ("2 × Fonts (Tier 3 at $6.00 / month)".to_owned(), 2, 1200),
        ]
    );
    assert_eq!(number(invoice, "/amount_paid"), 8250);
    client.sandbox.advance_time_to(START + 31 * DAY + 2 * HOUR);
    let customer = text(&subscription, "/customer");
    assert_eq!(client.sandbox.ledger().customer(customer).unwrap().net("usd"), 2 * 8250);
}

#[test]
fn volume_bills_everything_at_the_tier_that_is_reached() {
    let client = client();
    let price = tiered(&client, "volume");
    for (quantity, amount) in [(1, 700), (5, 3500), (6, 3900 + 300), (25, 15_000)] {
        assert_eq!(number(&seats(&client, &price, quantity), "/latest_invoice/amount_paid"), amount);
    }
}

#[test]
fn another_quantity_is_prorated_over_its_tiers() {
    let client = client();
    let price = tiered(&client, "graduated");
    let subscription = seats(&client, &price, 5);
    let item = text(&subscription, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(31 * DAY / 2);
    let details = "subscription_details[items][0]";
    let preview = client.post(
        "/v1/invoices/create_preview",
        &format!(
            "subscription={}&{details}[id]={item}&{details}[quantity]=10&subscription_details[proration_behavior]=always_invoice",
            id(&subscription)
        ),
    );
    // Half of 35.00 back, half of 35.00 + 32.50 + 3.00 due.
    assert_eq!(number(&preview, "/total"), -1750 + 3525);
    assert!(preview["lines"]["data"][1]["pricing"]["unit_amount_decimal"].is_null());
    let changed = client.post(
        &format!("/v1/subscriptions/{}", id(&subscription)),
        &format!("items[0][id]={item}&items[0][quantity]=10&proration_behavior=always_invoice&expand[]=latest_invoice"),
    );
    let amounts: Vec<i64> = lines(&changed["latest_invoice"]).iter().map(|(_, _, amount)| *amount).collect();
    assert_eq!(amounts, [-1750, 3525]);
    let customer = text(&subscription, "/customer");
    assert_eq!(client.sandbox.ledger().customer(customer).unwrap().net("usd"), 3500 + 1775);
}

#[test]
fn packages_and_fractions_of_a_cent_are_rounded_as_told() {
    let client = client();
    let per = |round: &str| {
        id(&client.post(
            "/v1/prices",
            &format!("currency=usd&unit_amount=1000&recurring[interval]=month&product_data[name]=Car&transform_quantity[divide_by]=60&transform_quantity[round]={round}"),
        ))
    };
    let up = per("up");
    let shown = client.get(&format!("/v1/prices/{up}"), "");
    assert_eq!(number(&shown, "/transform_quantity/divide_by"), 60);
    for (price, amount) in [(&up, 3000), (&per("down"), 2000)] {
        let subscription = seats(&client, price, 150);
        assert_eq!(number(&subscription, "/latest_invoice/amount_paid"), amount);
        assert_eq!(
            text(&subscription, "/latest_invoice/lines/data/0/description"),
            "150 × Car (at $10.00 per 60 / month)"
        );
    }
    let tiny = client.post(
        "/v1/prices",
        "currency=usd&unit_amount_decimal=0.05&recurring[interval]=month&product_data[name]=Calls",
    );
    assert!(tiny["unit_amount"].is_null());
    assert_eq!(text(&tiny, "/unit_amount_decimal"), "0.05");
    for (quantity, amount) in [(1001, 50), (1010, 51), (2000, 100)] {
        let subscription = seats(&client, &id(&tiny), quantity);
        assert_eq!(number(&subscription, "/latest_invoice/total"), amount);
        assert_eq!(text(&subscription, "/latest_invoice/lines/data/0/pricing/unit_amount_decimal"), "0.05");
    }
}

#[test]
fn a_price_is_sold_in_each_of_its_currencies() {
    let client = client();
    let options = "currency_options[eur][unit_amount]=900&currency_options[jpy][unit_amount]=1500";
    let price = id(&client.post(
        "/v1/prices",
        &format!("currency=usd&unit_amount=1000&recurring[interval]=month&product_data[name]=Pro&{options}"),
    ));
    client.post(&format!("/v1/prices/{price}"), "currency_options[gbp][unit_amount_decimal]=800.5");
    let shown = client.get(&format!("/v1/prices/{price}"), "expand[]=currency_options");
    check_object("Price", &shown);
    let codes: Vec<&String> = shown["currency_options"].as_object().unwrap().keys().collect();
    assert_eq!(codes, ["eur", "gbp", "jpy", "usd"]);
    assert_eq!(text(&shown, "/currency_options/gbp/unit_amount_decimal"), "800.5");
    let customer = client.customer("pm_card_visa");
    let subscription = client.subscribe(&customer, &price, "currency=eur&expand[]=latest_invoice");
    assert_eq!(text(&subscription, "/currency"), "eur");
    assert_eq!(number(&subscription, "/latest_invoice/amount_paid"), 900);
    assert_eq!(text(&subscription, "/latest_invoice/lines/data/0/currency"), "eur");
    // Who pays in euros goes on paying in euros, and cannot change.
    let session = client.post(
        "/v1/checkout/sessions",
        &format!("mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=2&success_url=http://a.test"),
    );
    assert_eq!((text(&session, "/currency"), number(&session, "/amount_total")), ("eur", 1800));
    client.sandbox.complete_checkout(&id(&session), "pm_card_visa").unwrap();
    let form = format!("customer={customer}&items[0][price]={price}&currency=jpy");
    client.refused(400, "POST", "/v1/subscriptions", &form);
    client.refused(400, "POST", "/v1/subscriptions", &form.replace("jpy", "sek"));
    client.sandbox.advance_time_to(START + 31 * DAY + 2 * HOUR);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("eur"), 2 * (900 + 1800));
}

#[test]
fn a_single_thing_is_sold_in_packages_and_currencies_too() {
    let client = client();
    let price = id(&client.post(
        "/v1/prices",
        "currency=usd&unit_amount_decimal=12.5&product_data[name]=Stamps&transform_quantity[divide_by]=2&transform_quantity[round]=up&currency_options[eur][unit_amount]=11",
    ));
    let session = client.post(
        "/v1/checkout/sessions",
        &format!(
            "mode=payment&line_items[0][price]={price}&line_items[0][quantity]=9&success_url=http://a.test"
        ),
    );
    assert_eq!(number(&session, "/amount_total"), 63, "five packages at 12.5, rounded up");
    let customer = client.customer("pm_card_visa");
    let item = client.post(
        "/v1/invoiceitems",
        &format!("customer={customer}&pricing[price]={price}&quantity=9&currency=eur"),
    );
    assert_eq!((number(&item, "/amount"), text(&item, "/currency")), (55, "eur"));
    client.refused(
        400,
        "POST",
        "/v1/invoiceitems",
        &format!("customer={customer}&pricing[price]={price}&currency=jpy"),
    );
    let recurring = client.price(100, "usd", "month");
    client.refused(
        400,
        "POST",
        "/v1/invoiceitems",
        &format!("customer={customer}&pricing[price]={recurring}"),
    );
}

#[test]
fn what_makes_no_price_is_refused() {
    let client = client();
    let base = "currency=usd&recurring[interval]=month&product_data[name]=x";
    let scheme = "billing_scheme=tiered&tiers_mode=graduated";
    let last = "tiers[1][up_to]=inf&tiers[1][unit_amount]=1";
    for (form, param) in [
        (scheme.to_owned(), "tiers"),
        (format!("billing_scheme=tiered&{last}"), "tiers_mode"),
        (format!("{scheme}&tiers[0][up_to]=5&tiers[0][unit_amount]=1"), "tiers[0][up_to]"),
        (format!("{scheme}&tiers[0][up_to]=5&{last}"), "tiers[0][unit_amount]"),
        (format!("{scheme}&tiers[0][up_to]=inf&tiers[0][unit_amount]=1&{last}"), "tiers[0][up_to]"),
        (
            format!(
                "{scheme}&tiers[0][up_to]=5&tiers[0][unit_amount]=2&tiers[1][up_to]=5&tiers[1][unit_amount]=1&tiers[2][up_to]=inf&tiers[2][flat_amount]=1"
            ),
            "tiers[1][up_to]",
        ),
        (
            format!("{scheme}&tiers[0][up_to]=inf&tiers[0][flat_amount_decimal]=1.5"),
            "tiers[0][flat_amount_decimal]",
        ),
        (format!("{scheme}&tiers[0][up_to]=inf&tiers[0][unit_amount]=1&unit_amount=1"), "unit_amount"),
        (
            format!(
                "{scheme}&tiers[0][up_to]=inf&tiers[0][unit_amount]=1&transform_quantity[divide_by]=2&transform_quantity[round]=up"
            ),
            "transform_quantity",
        ),
        ("tiers_mode=volume&unit_amount=1".to_owned(), "tiers_mode"),
        ("unit_amount=1&unit_amount_decimal=1.5".to_owned(), "unit_amount_decimal"),
        ("unit_amount_decimal=0.0000000000001".to_owned(), "unit_amount_decimal"),
        ("unit_amount=1&transform_quantity[divide_by]=2".to_owned(), "transform_quantity[round]"),
        ("unit_amount=1&currency_options[usd][unit_amount]=2".to_owned(), "currency_options[usd]"),
        (
            "unit_amount=1&currency_options[eur][tax_behavior]=inclusive".to_owned(),
            "currency_options[eur][unit_amount]",
        ),
        (
            "unit_amount=1&currency_options[eur][tiers_mode]=volume".to_owned(),
            "currency_options[eur][tiers_mode]",
        ),
    ] {
        let error = client.refused(400, "POST", "/v1/prices", &format!("{base}&{form}"));
        assert_eq!(text(&error, "/param"), param, "{form}");
    }
    let many: String = (1..=100)
        .map(|up_to| format!("&tiers[{up_to}][up_to]={up_to}&tiers[{up_to}][unit_amount]=1"))
        .collect();
    let form = format!("{base}&{scheme}{many}&tiers[101][up_to]=inf&tiers[101][unit_amount]=1");
    assert_eq!(text(&client.refused(400, "POST", "/v1/prices", &form), "/param"), "tiers");
    for form in [
        "custom_unit_amount[enabled]=true",
        "unit_amount=1&currency_options[eur][custom_unit_amount][enabled]=true",
    ] {
        let error = client.refused(400, "POST", "/v1/prices", &format!("{base}&{form}"));
        assert_eq!(text(&error, "/code"), "parameter_not_in_sandbox", "{form}");
    }
    let once =
        format!("currency=usd&product_data[name]=x&{scheme}&tiers[0][up_to]=inf&tiers[0][unit_amount]=1");
    client.refused(400, "POST", "/v1/prices", &once);
    let dear = client.price(99_999_999, "usd", "month");
    let customer = client.customer("pm_card_visa");
    let form = format!("customer={customer}&items[0][price]={dear}&items[0][quantity]=999999");
    let error = client.refused(400, "POST", "/v1/subscriptions", &form);
    assert_eq!(text(&error, "/code"), "amount_too_large");
}

#[test]
fn what_is_priced_outlives_a_snapshot() {
    let client = client();
    let subscription = seats(&client, &tiered(&client, "graduated"), 12);
    let snapshot = client.sandbox.snapshot();
    client.sandbox.reset();
    client.sandbox.restore(&snapshot).unwrap();
    client.sandbox.advance_time_to(START + 31 * DAY + 2 * HOUR);
    let customer = text(&subscription, "/customer");
    assert_eq!(client.sandbox.ledger().customer(customer).unwrap().net("usd"), 2 * 8250);
}
