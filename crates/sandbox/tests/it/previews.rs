//! A preview says what is then charged: over random changes, and at the borders of what can be charged.

use proptest::prelude::*;
use serde_json::Value;

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

/// Puts the parameters of a change below `subscription_details`.
fn supposed(change: &str) -> String {
    let inner = |name: &str| match name.split_once('[') {
        Some((head, rest)) => format!("subscription_details[{head}][{rest}"),
        None => format!("subscription_details[{name}]"),
    };
    let pairs = change.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| format!("{}={value}", inner(name))).collect::<Vec<_>>().join("&")
}

fn preview(client: &Client, subscription: &str, change: &str) -> Value {
    let form = format!("subscription={subscription}&{}", supposed(change));
    client.post("/v1/invoices/create_preview", &form)
}

/// What two invoices must agree on.
fn sums(invoice: &Value) -> Vec<(String, Value)> {
    let names = [
        "subtotal",
        "total",
        "total_excluding_tax",
        "amount_due",
        "starting_balance",
        "ending_balance",
        "total_taxes",
    ];
    let mut sums: Vec<_> = names.map(|name| (name.to_owned(), invoice[name].clone())).to_vec();
    let off = invoice["total_discount_amounts"].as_array().unwrap().iter();
    sums.push(("discounts".to_owned(), off.map(|discount| discount["amount"].clone()).collect()));
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    sums.extend(lines.map(|line| (text(line, "/description").to_owned(), line["amount"].clone())));
    sums
}

fn newest_invoice(client: &Client, subscription: &str) -> Value {
    let path = format!("/v1/subscriptions/{subscription}");
    client.get(&path, "expand[]=latest_invoice")["latest_invoice"].clone()
}

#[derive(Debug, Clone)]
struct Case {
    currency: &'static str,
    amounts: [i64; 3],
    yearly: bool,
    quantities: [i64; 2],
    balance: i64,
    wait: i64,
    behavior: &'static str,
    /// 0 changes the price, 1 the quantity, 2 adds an item, 3 swaps, 4 ends the trial that is none: restarts.
    kind: u8,
    dated: Option<i64>,
    /// A planned end that comes with the change.
    ends: Option<i64>,
    waiting: Option<i64>,
    /// A coupon of the customer, one from the start, one on the item, and one that comes with the change.
    coupons: [Option<&'static str>; 4],
    tax: Option<&'static str>,
}

fn coupon() -> impl Strategy<Value = Option<&'static str>> {
    let kinds = vec![
        "percent_off=33.3&duration=forever",
        "percent_off=50",
        "amount_off=111&duration=forever",
        "amount_off=700",
        "percent_off=15&duration=repeating&duration_in_months=1",
        "amount_off=50000&duration=repeating&duration_in_months=12",
    ];
    proptest::option::weighted(0.3, proptest::sample::select(kinds))
}

fn tax() -> impl Strategy<Value = Option<&'static str>> {
    let kinds = vec!["19&inclusive=false", "10&inclusive=true", "8.875&inclusive=false"];
    proptest::option::weighted(0.4, proptest::sample::select(kinds))
}

fn cases() -> impl Strategy<Value = Case> {
    let amount = prop_oneof![0_i64..120, 400_i64..40_000];
    (
        proptest::sample::select(vec!["usd", "jpy", "kwd", "huf", "gbp"]),
        [amount.clone(), amount.clone(), amount],
        proptest::bool::weighted(0.2),
        [1_i64..4, 0_i64..6],
        -3_000_i64..3_000,
        0_i64..(31 * DAY - 1),
        proptest::sample::select(vec!["create_prorations", "always_invoice", "none"]),
        0_u8..5,
        [
            proptest::option::weighted(0.3, 0_i64..(31 * DAY)),
            proptest::option::weighted(0.3, DAY..(70 * DAY)),
        ],
        (proptest::option::weighted(0.3, -500_i64..500), [coupon(), coupon(), coupon(), coupon()], tax()),
    )
        .prop_map(
            |(
                currency,
                amounts,
                yearly,
                quantities,
                balance,
                wait,
                behavior,
                kind,
                [dated, ends],
                (waiting, coupons, tax),
            )| Case {
                currency,
                amounts,
                yearly,
                quantities,
                balance,
                wait,
                behavior,
                kind,
                dated,
                ends,
                waiting,
                coupons,
                tax,
            },
        )
}

fn change_of(case: &Case, item: &str, others: &[String; 2]) -> String {
    let [_, quantity] = case.quantities;
    let mut change = match case.kind {
        0 => format!("items[0][id]={item}&items[0][price]={}", others[0]),
        1 => format!("items[0][id]={item}&items[0][quantity]={quantity}"),
        2 => format!("items[0][price]={}&items[0][quantity]={quantity}", others[1]),
        3 => format!("items[0][id]={item}&items[0][deleted]=true&items[1][price]={}", others[0]),
        _ => "billing_cycle_anchor[type]=now".to_owned(),
    };
    change.push_str(&format!("&proration_behavior={}", case.behavior));
    if let Some(dated) = case.dated {
        change.push_str(&format!("&proration_date={}", START + dated));
    }
    change
}

fn check(case: &Case) {
    let client = client();
    let customer = client.customer("pm_card_visa");
    client.post(&format!("/v1/customers/{customer}"), &format!("balance={}", case.balance));
    let [first, second, third] = case.amounts;
    let price = client.price(first, case.currency, "month");
    let others = [
        client.price(second, case.currency, if case.yearly { "year" } else { "month" }),
        client.price(third, case.currency, "month"),
    ];
    let [general, start, own, later] = case.coupons.map(|coupon| {
        let form = coupon?.to_owned() + if coupon?.starts_with("amount") { "&currency=" } else { "" };
        let form = if form.ends_with('=') { form + case.currency } else { form };
        Some(id(&client.post("/v1/coupons", &form)))
    });
    if let Some(coupon) = general {
        client.older("POST", &format!("/v1/customers/{customer}"), &format!("coupon={coupon}"));
    }
    let mut form = format!("items[0][quantity]={}", case.quantities[0]);
    form.extend(start.map(|coupon| format!("&discounts[0][coupon]={coupon}")));
    form.extend(case.tax.map(|tax| {
        let rate = client.post("/v1/tax_rates", &format!("display_name=T&percentage={tax}"));
        format!("&default_tax_rates[0]={}", id(&rate))
    }));
    form.extend(own.map(|coupon| format!("&items[0][discounts][0][coupon]={coupon}")));
    let made = client.subscribe(&customer, &price, &form);
    let subscription = id(&made);
    let item = text(&made, "/items/data/0/id").to_owned();
    client.sandbox.advance_time(case.wait);
    if let Some(amount) = case.waiting {
        let form =
            format!("customer={customer}&amount={amount}&currency={}&description=Extra", case.currency);
        client.post("/v1/invoiceitems", &form);
    }
    let change = change_of(case, &item, &others);
    let change = match case.ends {
        Some(after) => format!("{change}&cancel_at={}", client.sandbox.now() + after),
        None => change,
    };
    let discounts = later.map(|coupon| format!("&discounts[0][coupon]={coupon}")).unwrap_or_default();
    let form = format!("subscription={subscription}&{}{discounts}", supposed(&change));
    let foretold = client.send("POST", "/v1/invoices/create_preview", &form);
    let before = newest_invoice(&client, &subscription);
    client.post(&format!("/v1/subscriptions/{subscription}"), &format!("{change}{discounts}"));
    if newest_invoice(&client, &subscription)["id"] == before["id"] {
        let end = number(&client.subscription(&subscription), "/items/data/0/current_period_end");
        let planned = client.subscription(&subscription)["cancel_at"].as_i64();
        let end = planned.map_or(end, |at| at.min(end));
        client.sandbox.advance_time(end - client.sandbox.now() + 2 * HOUR);
    }
    let charged = newest_invoice(&client, &subscription);
    if foretold.value()["error"]["code"] == "invoice_upcoming_none" {
        assert_eq!(charged["id"], before["id"], "nothing was foretold for {change}");
        return;
    }
    let foretold = foretold.value();
    assert_ne!(charged["id"], before["id"], "nothing was invoiced after {change}");
    assert_eq!(sums(&foretold), sums(&charged), "{change}");
    let due = number(&charged, "/amount_due");
    let paid: i64 = client.sandbox.ledger().customers[0]
        .charges
        .iter()
        .filter(|charge| charge.invoice.as_deref() == charged["id"].as_str())
        .map(|charge| charge.amount)
        .sum();
    assert_eq!(paid, due, "what is due is what the card paid");
    let kept = number(&charged, "/starting_balance") - number(&charged, "/ending_balance");
    assert_eq!(number(&charged, "/total") + kept, due, "the rest is on the balance");
    let entries = client.get(&format!("/v1/customers/{customer}/balance_transactions"), "limit=100");
    let sum: i64 = entries["data"].as_array().unwrap().iter().map(|entry| number(entry, "/amount")).sum();
    let balance = number(&client.get(&format!("/v1/customers/{customer}"), ""), "/balance");
    assert_eq!(sum, balance, "the entries add up to the balance");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_preview_is_what_is_then_charged(case in cases()) {
        check(&case);
    }
}

#[test]
fn an_amount_below_the_minimum_of_its_currency_waits_on_the_balance() {
    for (currency, below, minimum) in
        [("usd", 49, 50), ("gbp", 29, 30), ("huf", 17_499, 17_500), ("kwd", 490, 500)]
    {
        let client = client();
        let customer = client.customer("pm_card_visa");
        let made =
            client.subscribe(&customer, &client.price(below, currency, "month"), "expand[]=latest_invoice");
        assert_eq!(number(&made, "/latest_invoice/amount_due"), 0, "{currency}");
        assert_eq!(number(&made, "/latest_invoice/ending_balance"), below, "{currency}");
        let other = client.customer("pm_card_visa");
        let made =
            client.subscribe(&other, &client.price(minimum, currency, "month"), "expand[]=latest_invoice");
        assert_eq!(number(&made, "/latest_invoice/amount_paid"), minimum, "{currency}");
    }
}

#[test]
fn a_charge_in_thousandths_ends_in_0_and_the_rest_waits() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &client.price(5_124, "kwd", "month"), "expand[]=latest_invoice");
    assert_eq!(number(&made, "/latest_invoice/total"), 5_124);
    assert_eq!(number(&made, "/latest_invoice/amount_paid"), 5_120);
    assert_eq!(number(&made, "/latest_invoice/ending_balance"), 4);
    let next = preview(&client, &id(&made), "proration_behavior=none");
    assert_eq!(number(&next, "/starting_balance"), 4);
    assert_eq!(number(&next, "/amount_due"), 5_120);
    assert_eq!(number(&next, "/ending_balance"), 8);
}

#[test]
fn a_proration_date_outside_of_the_period_is_refused() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let made = client.subscribe(&customer, &client.price(1_000, "usd", "month"), "");
    let (item, other) = (text(&made, "/items/data/0/id").to_owned(), client.price(2_000, "usd", "month"));
    let end = number(&made, "/items/data/0/current_period_end");
    for wrong in [START - 1, end + 1] {
        let change = format!("items[0][id]={item}&items[0][price]={other}&proration_date={wrong}");
        let error = client.refused(400, "POST", &format!("/v1/subscriptions/{}", id(&made)), &change);
        assert_eq!(text(&error, "/param"), "proration_date");
        let form = format!("subscription={}&{}", id(&made), supposed(&change));
        client.refused(400, "POST", "/v1/invoices/create_preview", &form);
    }
    assert_eq!(
        text(&client.subscription(&id(&made)), "/items/data/0/price/id"),
        text(&made, "/items/data/0/price/id")
    );
}

#[test]
fn a_downgrade_credits_what_was_debited_and_not_the_price() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let (small, large) = (client.price(1_000, "usd", "month"), client.price(9_000, "usd", "month"));
    let made = client.subscribe(&customer, &small, "");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let item = text(&made, "/items/data/0/id").to_owned();
    // The larger price was never billed, so half a period of it cannot be credited.
    client.post(&path, &format!("items[0][id]={item}&items[0][price]={large}&proration_behavior=none"));
    client.sandbox.advance_time(31 * DAY / 2);
    let back = format!("items[0][id]={item}&items[0][price]={small}&proration_behavior=always_invoice");
    let changed = client.post(&path, &format!("{back}&expand[]=latest_invoice"));
    let amounts: Vec<i64> = changed["latest_invoice"]["lines"]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| number(line, "/amount"))
        .collect();
    assert_eq!(amounts, [-500, 500]);
}

#[test]
fn credits_follow_each_change_of_the_period() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let prices = [1_000, 2_000, 400].map(|amount| client.price(amount, "usd", "month"));
    let made = client.subscribe(&customer, &prices[0], "");
    let path = format!("/v1/subscriptions/{}", id(&made));
    let item = text(&made, "/items/data/0/id").to_owned();
    let quarter = 31 * DAY / 4;
    let change = |price: &str, more: &str| {
        let form =
            format!("items[0][id]={item}&items[0][price]={price}&proration_behavior=always_invoice{more}");
        let changed = client.post(&path, &format!("{form}&expand[]=latest_invoice"));
        let lines = changed["latest_invoice"]["lines"]["data"].as_array().unwrap().clone();
        lines.iter().map(|line| number(line, "/amount")).collect::<Vec<_>>()
    };
    client.sandbox.advance_time(quarter);
    assert_eq!(change(&prices[1], ""), [-750, 1_500]);
    client.sandbox.advance_time(quarter);
    // Back to the first eighth: the upgrade is undone from its start, the first price for the eighth before it.
    let date = format!("&proration_date={}", START + quarter / 2);
    assert_eq!(change(&prices[2], &date), [-1_625, 350]);
}

#[test]
fn a_preview_supposes_the_end_and_refuses_what_it_does_not_play() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let made = id(&client.subscribe(&customer, &client.price(1_000, "usd", "month"), ""));
    let path = "/v1/invoices/create_preview";
    let ends = client.refused(
        404,
        "POST",
        path,
        &format!("subscription={made}&{}", supposed("cancel_at_period_end=true")),
    );
    assert_eq!(text(&ends, "/code"), "invoice_upcoming_none");
    client.post(&format!("/v1/subscriptions/{made}"), "cancel_at_period_end=true");
    client.refused(404, "POST", path, &format!("subscription={made}"));
    assert_eq!(number(&preview(&client, &made, "cancel_at_period_end=false"), "/total"), 1_000);
    for more in ["currency=eur", "customer=cus_other", "subscription_details[billing_mode][type]=classic"] {
        let response = client.send("POST", path, &format!("subscription={made}&{more}"));
        assert!((400..=404).contains(&response.status), "{more}");
    }
}

#[test]
fn a_running_subscription_changes_who_starts_its_payments() {
    let client = client();
    let customer = client.customer("pm_card_visa");
    let made = id(&client.subscribe(&customer, &client.price(1_000, "usd", "month"), ""));
    let path = format!("/v1/subscriptions/{made}");
    client.refused(400, "POST", &path, "collection_method=send_invoice");
    client.refused(400, "POST", &path, "days_until_due=3");
    let sends = client.post(&path, "collection_method=send_invoice&days_until_due=3");
    assert_eq!((text(&sends, "/collection_method"), number(&sends, "/days_until_due")), ("send_invoice", 3));
    client.sandbox.advance_time(31 * DAY + 2 * HOUR);
    let renewal = newest_invoice(&client, &made);
    assert_eq!((text(&renewal, "/status"), number(&renewal, "/due_date")), ("open", START + 34 * DAY));
    assert!(client.post(&path, "collection_method=charge_automatically")["days_until_due"].is_null());
}
