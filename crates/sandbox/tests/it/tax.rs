//! Taxes: rates of the seller, and automatic ones from the table of countries; within the price and on top of it.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, client, id, number, text};

const MONTH: i64 = 31 * DAY;

fn rate(client: &Client, percentage: &str, inclusive: bool) -> String {
    let form =
        format!("display_name=VAT&percentage={percentage}&inclusive={inclusive}&country=DE&tax_type=vat");
    id(&client.post("/v1/tax_rates", &form))
}

fn price(client: &Client, amount: i64, behavior: &str) -> String {
    let form = format!(
        "unit_amount={amount}&currency=eur&recurring[interval]=month&product_data[name]=Pro&tax_behavior={behavior}"
    );
    id(&client.post("/v1/prices", &form))
}

/// A customer with a card who lives somewhere.
fn resident(client: &Client, country: &str) -> String {
    let customer = client.customer("pm_card_visa");
    client.post(&format!("/v1/customers/{customer}"), &format!("address[country]={country}"));
    customer
}

fn net(client: &Client, customer: &str) -> i64 {
    client.sandbox.ledger().customer(customer).unwrap().net("eur")
}

#[test]
fn rates_are_made_shown_and_archived() {
    let client = client();
    let made = client.post(
        "/v1/tax_rates",
        "display_name=Sales tax&percentage=8.875&inclusive=false&jurisdiction=NY&state=NY&metadata[a]=b",
    );
    assert_eq!(made["percentage"].to_string(), "8.875");
    let path = format!("/v1/tax_rates/{}", id(&made));
    let archived = client.post(&path, "active=false&display_name=Old");
    assert_eq!((&archived["active"], text(&archived, "/display_name")), (&json!(false), "Old"));
    assert_eq!(client.get("/v1/tax_rates", "active=true")["data"], json!([]));
    assert_eq!(client.get(&path, ""), archived);
    let customer = client.customer("pm_card_visa");
    let form = format!(
        "customer={customer}&items[0][price]={}&default_tax_rates[0]={}",
        price(&client, 100, "exclusive"),
        id(&made)
    );
    assert_eq!(text(&client.refused(400, "POST", "/v1/subscriptions", &form), "/param"), "default_tax_rates");
    for wrong in [
        "display_name=a&percentage=5",
        "display_name=a&inclusive=true",
        "percentage=101&inclusive=true&display_name=a",
    ] {
        client.refused(400, "POST", "/v1/tax_rates", wrong);
    }
}

#[test]
fn rates_of_the_subscription_and_of_its_items_are_on_its_invoices() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (on_top, reduced) = (rate(&client, "19", false), rate(&client, "7", false));
    let form = format!(
        "customer={customer}&items[0][price]={}&items[1][price]={}&items[1][tax_rates][0]={reduced}&default_tax_rates[0]={on_top}&expand[]=latest_invoice",
        price(&client, 1_000, "exclusive"),
        price(&client, 500, "exclusive")
    );
    let made = client.post("/v1/subscriptions", &form);
    let invoice = &made["latest_invoice"];
    assert_eq!((number(invoice, "/subtotal"), number(invoice, "/total")), (1_500, 1_500 + 190 + 35));
    assert_eq!(number(invoice, "/total_excluding_tax"), 1_500);
    let taxes: Vec<(i64, i64)> = invoice["total_taxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tax| (number(tax, "/amount"), number(tax, "/taxable_amount")))
        .collect();
    assert_eq!(taxes, [(190, 1_000), (35, 500)]);
    assert_eq!(text(invoice, "/lines/data/1/taxes/0/tax_rate_details/tax_rate"), reduced);
    assert_eq!(text(&made, "/default_tax_rates/0/id"), on_top);
    assert_eq!(text(&made, "/items/data/1/tax_rates/0/id"), reduced);
    assert_eq!(net(&client, &customer), 1_725);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 2 * 1_725);
    let path = format!("/v1/subscriptions/{}", id(&made));
    client.post(&path, "default_tax_rates=");
    client.sandbox.advance_time(28 * DAY);
    assert_eq!(net(&client, &customer), 2 * 1_725 + 1_535);
}

#[test]
fn a_tax_within_the_price_changes_no_total_and_discounts_come_before_it() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let within = rate(&client, "10", true);
    let half = id(&client.post("/v1/coupons", "percent_off=50"));
    let form = format!(
        "customer={customer}&items[0][price]={}&default_tax_rates[0]={within}&discounts[0][coupon]={half}&expand[]=latest_invoice",
        price(&client, 2_200, "inclusive")
    );
    let made = client.post("/v1/subscriptions", &form);
    let invoice = &made["latest_invoice"];
    assert_eq!((number(invoice, "/subtotal"), number(invoice, "/total")), (2_200, 1_100));
    assert_eq!(number(invoice, "/total_excluding_tax"), 1_000);
    assert_eq!(number(invoice, "/subtotal_excluding_tax"), 2_000);
    assert_eq!(
        (number(invoice, "/total_taxes/0/amount"), text(invoice, "/total_taxes/0/tax_behavior")),
        (100, "inclusive")
    );
    assert_eq!(net(&client, &customer), 1_100);
}

#[test]
fn automatic_tax_goes_by_the_customers_country_and_the_price() {
    let client = client();
    let (exclusive, inclusive, silent) = (
        price(&client, 1_000, "exclusive"),
        price(&client, 1_190, "inclusive"),
        price(&client, 1_000, "unspecified"),
    );
    let subscribe = |customer: &str, price: &str| {
        client.subscribe(customer, price, "automatic_tax[enabled]=true&expand[]=latest_invoice")
    };
    let german = resident(&client, "de");
    let made = subscribe(&german, &exclusive);
    assert_eq!(made["automatic_tax"]["enabled"], true);
    let invoice = &made["latest_invoice"];
    assert_eq!((number(invoice, "/total"), text(invoice, "/automatic_tax/status")), (1_190, "complete"));
    let tax = &invoice["total_taxes"][0];
    assert_eq!(text(tax, "/taxability_reason"), "standard_rated");
    let shown = client.get(&format!("/v1/tax_rates/{}", text(tax, "/tax_rate_details/tax_rate")), "");
    assert_eq!((text(&shown, "/country"), shown["percentage"].as_i64()), ("DE", Some(19)));
    let within = subscribe(&resident(&client, "DE"), &inclusive);
    assert_eq!(number(&within, "/latest_invoice/total"), 1_190);
    assert_eq!(number(&within, "/latest_invoice/total_excluding_tax"), 1_000);
    let american = subscribe(&resident(&client, "US"), &exclusive);
    assert_eq!(number(&american, "/latest_invoice/total"), 1_000);
    let mut settings: Value = client.control("GET", "settings", &Value::Null);
    settings["tax_inclusive"] = json!(true);
    settings["tax_table"] =
        json!([{ "country": "US", "percentage": "8.875", "display_name": "Tax", "tax_type": "sales_tax" }]);
    client.control("PUT", "settings", &settings);
    let set = subscribe(&resident(&client, "US"), &exclusive);
    assert_eq!(number(&set, "/latest_invoice/total"), 1_089);
    let set = subscribe(&resident(&client, "US"), &silent);
    assert_eq!(
        (number(&set, "/latest_invoice/total"), number(&set, "/latest_invoice/total_taxes/0/amount")),
        (1_000, 82)
    );
}

#[test]
fn who_is_exempt_pays_no_tax() {
    let client = client();
    let exclusive = price(&client, 1_000, "exclusive");
    for (word, reason) in [("exempt", "customer_exempt"), ("reverse", "reverse_charge")] {
        let customer = resident(&client, "FR");
        client.post(&format!("/v1/customers/{customer}"), &format!("tax_exempt={word}"));
        let made =
            client.subscribe(&customer, &exclusive, "automatic_tax[enabled]=true&expand[]=latest_invoice");
        let invoice = &made["latest_invoice"];
        assert_eq!((number(invoice, "/total"), text(invoice, "/customer_tax_exempt")), (1_000, word));
        assert_eq!(text(invoice, "/total_taxes/0/taxability_reason"), reason);
    }
}

#[test]
fn without_a_country_automatic_tax_stops_before_the_money() {
    let client = client();
    let exclusive = price(&client, 1_000, "exclusive");
    let customer = client.customer("pm_card_visa");
    let form = format!("customer={customer}&items[0][price]={exclusive}&automatic_tax[enabled]=true");
    let error = client.refused(400, "POST", "/v1/subscriptions", &form);
    assert_eq!(text(&error, "/code"), "customer_tax_location_invalid");
    client.post(&format!("/v1/customers/{customer}"), "address[country]=JP");
    let made = id(&client.post("/v1/subscriptions", &form));
    client.post(&format!("/v1/customers/{customer}"), "address=");
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 1_100);
    let failed = client.events("type=invoice.finalization_failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(
        text(&failed[0], "/data/object/last_finalization_error/code"),
        "customer_tax_location_invalid"
    );
    assert_eq!(text(&failed[0], "/data/object/automatic_tax/status"), "requires_location_inputs");
    client.post(&format!("/v1/customers/{customer}"), "address[country]=JP");
    let latest = text(&client.subscription(&made), "/latest_invoice").to_owned();
    client.post(&format!("/v1/invoices/{latest}/pay"), "");
    assert_eq!(net(&client, &customer), 2_200);
}

#[test]
fn prorations_and_previews_are_taxed_alike() {
    let client = client();
    let customer = resident(&client, "GB");
    let (small, large) = (price(&client, 1_000, "exclusive"), price(&client, 3_000, "exclusive"));
    let made = client.subscribe(&customer, &small, "automatic_tax[enabled]=true");
    let item = text(&made, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(MONTH / 2);
    let form = |prefix: &str, close: &str| {
        format!(
            "{prefix}items{close}[0][id]={item}&{prefix}items{close}[0][price]={large}&{prefix}proration_behavior{close}=always_invoice"
        )
    };
    let asked = form("subscription_details[", "]");
    let preview = client.post("/v1/invoices/create_preview", &format!("subscription={}&{asked}", id(&made)));
    let changed = client.post(
        &format!("/v1/subscriptions/{}", id(&made)),
        &format!("{}&expand[]=latest_invoice", form("", "")),
    );
    for invoice in [&preview, &changed["latest_invoice"]] {
        let taxes: Vec<i64> = invoice["lines"]["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| number(line, "/taxes/0/amount"))
            .collect();
        assert_eq!(taxes, [-100, 300]);
        assert_eq!((number(invoice, "/total"), number(invoice, "/total_taxes/0/amount")), (1_200, 200));
    }
    // A customer of whom nobody knows where they are: the preview says so, the change is refused.
    let homeless = client.customer("pm_card_visa");
    let other = id(&client.subscribe(&homeless, &small, ""));
    let unknown = client
        .post("/v1/invoices/create_preview", &format!("subscription={other}&automatic_tax[enabled]=true"));
    assert_eq!(text(&unknown, "/automatic_tax/status"), "requires_location_inputs");
    client.refused(400, "POST", &format!("/v1/subscriptions/{other}"), "automatic_tax[enabled]=true");
    // What a subscription without automatic tax would come to with it.
    client.post(&format!("/v1/subscriptions/{}", id(&made)), "automatic_tax[enabled]=false");
    let plain = client.post("/v1/invoices/create_preview", &format!("subscription={}", id(&made)));
    let taxed = client.post(
        "/v1/invoices/create_preview",
        &format!("subscription={}&automatic_tax[enabled]=true", id(&made)),
    );
    assert_eq!((number(&plain, "/total"), number(&taxed, "/total")), (3_000, 3_600));
}

#[test]
fn a_checkout_with_automatic_tax_asks_for_the_country() {
    let client = client();
    let exclusive = price(&client, 1_000, "exclusive");
    let form = format!(
        "mode=subscription&line_items[0][price]={exclusive}&line_items[0][quantity]=2&success_url=https://a.test&automatic_tax[enabled]=true"
    );
    let open = client.post("/v1/checkout/sessions", &form);
    assert_eq!(text(&open, "/automatic_tax/status"), "requires_location_inputs");
    let error = client.sandbox.complete_checkout(&id(&open), "pm_card_visa").unwrap_err();
    assert_eq!(error.code, "customer_tax_location_invalid");
    let path = format!("/c/pay/{}", id(&open));
    assert_eq!(client.send("POST", &path, "step=country&country=Germany").status, 422);
    assert_eq!(client.send("POST", &path, "step=country&country=de").status, 303);
    let page = String::from_utf8(client.send("GET", &path, "").body).unwrap();
    assert!(page.contains("Taxes are those of DE."));
    client.control("POST", &format!("checkout_sessions/{}/complete", id(&open)), &Value::Null);
    let done =
        client.get(&format!("/v1/checkout/sessions/{}", id(&open)), "expand[]=invoice&expand[]=customer");
    assert_eq!((number(&done, "/amount_total"), number(&done, "/total_details/amount_tax")), (2_380, 380));
    assert_eq!(number(&done, "/invoice/amount_paid"), 2_380);
    assert_eq!(text(&done, "/customer/address/country"), "DE");
    let customer = text(&done, "/customer/id").to_owned();
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 2 * 2_380);
    let german = resident(&client, "DE");
    let known = client.post("/v1/checkout/sessions", &format!("{form}&customer={german}"));
    assert!(client.sandbox.type_country(&id(&known), "NL").is_err(), "the customer's own address counts");
    // A known customer must have an address, or let the page save it.
    let homeless = client.customer("pm_card_visa");
    client.refused(400, "POST", "/v1/checkout/sessions", &format!("{form}&customer={homeless}"));
    let open = client
        .post("/v1/checkout/sessions", &format!("{form}&customer={homeless}&customer_update[address]=auto"));
    client.control("POST", &format!("checkout_sessions/{}/complete", id(&open)), &json!({ "country": "NL" }));
    assert_eq!(net(&client, &homeless), 2_420);
}

#[test]
fn a_checkout_takes_rates_for_lines_and_for_the_subscription() {
    let client = client();
    let (on_top, within) = (rate(&client, "10", false), rate(&client, "10", true));
    let once = id(&client.post("/v1/prices", "unit_amount=1000&currency=eur&product_data[name]=Book"));
    let form = format!(
        "mode=payment&line_items[0][price]={once}&line_items[0][quantity]=1&line_items[0][tax_rates][0]={on_top}&success_url=https://a.test"
    );
    let book = client.post("/v1/checkout/sessions", &form);
    assert_eq!((number(&book, "/amount_subtotal"), number(&book, "/amount_total")), (1_000, 1_100));
    let lines = client.get(&format!("/v1/checkout/sessions/{}/line_items", id(&book)), "");
    assert_eq!(number(&lines, "/data/0/amount_tax"), 100);
    client.sandbox.complete_checkout(&id(&book), "pm_card_visa").unwrap();
    assert_eq!(client.sandbox.ledger().charges[0].amount, 1_100);
    let form = format!(
        "mode=subscription&line_items[0][price]={}&line_items[0][quantity]=1&subscription_data[default_tax_rates][0]={within}&success_url=https://a.test",
        price(&client, 1_100, "inclusive")
    );
    let pro = client.post("/v1/checkout/sessions", &form);
    assert_eq!((number(&pro, "/amount_total"), number(&pro, "/total_details/amount_tax")), (1_100, 100));
    client.sandbox.complete_checkout(&id(&pro), "pm_card_visa").unwrap();
    let done =
        client.get(&format!("/v1/checkout/sessions/{}", id(&pro)), "expand[]=invoice&expand[]=subscription");
    assert_eq!(number(&done, "/invoice/total_taxes/0/amount"), 100);
    assert_eq!(text(&done, "/subscription/default_tax_rates/0/id"), within);
}
