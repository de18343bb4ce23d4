//! Single amounts beside a subscription: setup fees on its first invoice, extras on its next, and in checkout.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, client, id, number, text};

const MONTH: i64 = 31 * DAY;

fn setup_fee(client: &Client) -> String {
    id(&client.post("/v1/prices", "unit_amount=500&currency=usd&product_data[name]=Setup"))
}

fn net(client: &Client, customer: &str) -> i64 {
    client.sandbox.ledger().customer(customer).unwrap().net("usd")
}

fn amounts(invoice: &Value) -> Vec<i64> {
    invoice["lines"]["data"].as_array().unwrap().iter().map(|line| number(line, "/amount")).collect()
}

#[test]
fn a_setup_fee_is_on_the_first_invoice_and_on_no_other() {
    let client = client();
    let (price, fee, customer) =
        (client.price(1_000, "usd", "month"), setup_fee(&client), client.customer("pm_card_visa"));
    let tenth = id(&client.post("/v1/coupons", "percent_off=10&duration=forever"));
    let more = format!(
        "add_invoice_items[0][price]={fee}&add_invoice_items[0][quantity]=2&discounts[0][coupon]={tenth}&expand[]=latest_invoice"
    );
    let made = client.subscribe(&customer, &price, &more);
    let invoice = &made["latest_invoice"];
    assert_eq!((amounts(invoice), number(invoice, "/total")), (vec![1_000, 1_000], 1_800));
    let item = text(invoice, "/lines/data/0/parent/invoice_item_details/invoice_item");
    let kept = client.get(&format!("/v1/invoiceitems/{item}"), "");
    assert_eq!(text(&kept, "/invoice"), id(invoice));
    assert_eq!(text(&kept, "/parent/subscription_details/subscription"), id(&made));
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 1_800 + 900);
    let recurring =
        format!("customer={customer}&items[0][price]={price}&add_invoice_items[0][price]={price}");
    client.refused(400, "POST", "/v1/subscriptions", &recurring);
    let euro = id(&client.post("/v1/prices", "unit_amount=500&currency=eur&product_data[name]=Setup"));
    let foreign = format!("customer={customer}&items[0][price]={price}&add_invoice_items[0][price]={euro}");
    client.refused(400, "POST", "/v1/subscriptions", &foreign);
}

#[test]
fn an_extra_waits_for_the_next_invoice_and_is_previewed() {
    let client = client();
    let (price, fee, customer) =
        (client.price(1_000, "usd", "month"), setup_fee(&client), client.customer("pm_card_visa"));
    let made = id(&client.subscribe(&customer, &price, ""));
    let preview = client.post("/v1/invoices/create_preview", &format!("subscription={made}&invoice_items[0][price]={fee}&invoice_items[1][amount]=70&invoice_items[1][currency]=usd&invoice_items[1][description]=Help"));
    assert_eq!((amounts(&preview), number(&preview, "/amount_due")), (vec![500, 70, 1_000], 1_570));
    assert_eq!(client.get("/v1/invoiceitems", "")["data"], json!([]));
    client.post(&format!("/v1/subscriptions/{made}"), &format!("add_invoice_items[0][price]={fee}"));
    assert_eq!(net(&client, &customer), 1_000);
    let now = format!("add_invoice_items[0][price]={fee}&proration_behavior=always_invoice");
    client.post(&format!("/v1/subscriptions/{made}"), &now);
    assert_eq!(net(&client, &customer), 2_000);
    client.post(&format!("/v1/subscriptions/{made}"), &format!("add_invoice_items[0][price]={fee}"));
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 3_500);
}

#[test]
fn a_checkout_sells_a_subscription_with_a_setup_fee() {
    let client = client();
    let (price, fee) = (client.price(1_000, "usd", "month"), setup_fee(&client));
    let third = id(&client.post("/v1/coupons", "amount_off=100&currency=usd&duration=forever"));
    let tax = id(&client.post("/v1/tax_rates", "display_name=VAT&percentage=19&inclusive=false"));
    for (more, now, later) in [
        ("", 1_500, 1_000),
        ("&subscription_data[trial_period_days]=7", 500, 1_000),
        ("&discounts[0][coupon]=C", 1_400, 900),
        ("&discounts[0][coupon]=C&subscription_data[default_tax_rates][0]=T", 1_666, 1_071),
        (
            "&discounts[0][coupon]=C&subscription_data[default_tax_rates][0]=T&subscription_data[trial_period_days]=7",
            476,
            1_071,
        ),
    ] {
        let more = more.replace("=C", &format!("={third}")).replace("=T", &format!("={tax}"));
        let form = format!(
            "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&line_items[1][price]={fee}&line_items[1][quantity]=1&success_url=https://a.test{more}"
        );
        let open = client.post("/v1/checkout/sessions", &form);
        assert_eq!(number(&open, "/amount_total"), now, "{more}");
        client.control("POST", &format!("checkout_sessions/{}/complete", id(&open)), &Value::Null);
        let done = client
            .get(&format!("/v1/checkout/sessions/{}", id(&open)), "expand[]=invoice&expand[]=subscription");
        assert_eq!(
            (text(&done, "/payment_status"), number(&done, "/invoice/amount_paid")),
            ("paid", now),
            "{more}"
        );
        assert_eq!(done["subscription"]["items"]["data"].as_array().unwrap().len(), 1);
        let customer = text(&done, "/customer").to_owned();
        assert_eq!(net(&client, &customer), now, "{more}");
        let end = number(&done, "/subscription/items/data/0/current_period_end");
        client.sandbox.advance_time(end - client.sandbox.now() + 2 * HOUR);
        assert_eq!(net(&client, &customer), now + later, "{more}");
    }
    let once = format!(
        "mode=subscription&line_items[0][price]={fee}&line_items[0][quantity]=1&success_url=https://a.test"
    );
    client.refused(400, "POST", "/v1/checkout/sessions", &once);
}

#[test]
fn an_extra_is_for_the_period_of_the_items_unless_it_says_another() {
    let client = client();
    let (price, fee, customer) =
        (client.price(1_000, "usd", "month"), setup_fee(&client), client.customer("pm_card_visa"));
    let period = |line: &Value| (number(line, "/period/start"), number(line, "/period/end"));
    let (start, end) = (client.sandbox.now(), client.sandbox.now() + MONTH);
    let with = |more: &str| format!("add_invoice_items[0][price]={fee}{more}");
    let span = |from: &str, to: &str| {
        let edge = |name: &str, value: &str| {
            let (kind, time) = value.split_once(' ').unwrap_or((value, ""));
            let time = if time.is_empty() {
                String::new()
            } else {
                format!("&add_invoice_items[0][period][{name}][timestamp]={time}")
            };
            format!("&add_invoice_items[0][period][{name}][type]={kind}{time}")
        };
        with(&(edge("start", from) + &edge("end", to)))
    };
    let made = client.subscribe(&customer, &price, &format!("{}&expand[]=latest_invoice", with("")));
    assert_eq!(period(&made["latest_invoice"]["lines"]["data"][0]), (start, end));
    client.sandbox.advance_time(DAY);
    let path = format!("/v1/subscriptions/{}", id(&made));
    for (form, expected) in [
        (with(""), (start, end)),
        (span("now", "min_item_period_end"), (start + DAY, end)),
        (span("max_item_period_start", &format!("timestamp {}", end + 5)), (start, end + 5)),
        (
            span(&format!("timestamp {}", start + 7), &format!("timestamp {}", start + 9)),
            (start + 7, start + 9),
        ),
    ] {
        client.post(&path, &form);
        let items = client.get("/v1/invoiceitems", &format!("customer={customer}&limit=1"));
        assert_eq!(period(&items["data"][0]), expected, "{form}");
    }
    for wrong in [
        span("phase_start", "min_item_period_end"),
        span("now", "now"),
        span("timestamp", "min_item_period_end"),
        span("now 5", "min_item_period_end"),
        span("timestamp 9", "timestamp 8"),
        with("&add_invoice_items[0][period][start][type]=now"),
        with("&add_invoice_items[0][period][begin][type]=now"),
    ] {
        client.refused(400, "POST", &path, &wrong);
    }
}
