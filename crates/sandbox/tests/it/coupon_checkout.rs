//! Coupons and promotion codes in checkout, where buyers type them too.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, client, id, number, text};

const MONTH: i64 = 31 * DAY;

fn coupon(client: &Client, form: &str) -> String {
    id(&client.post("/v1/coupons", form))
}

fn net(client: &Client, customer: &str, currency: &str) -> i64 {
    client.sandbox.ledger().customer(customer).unwrap().net(currency)
}

fn session(client: &Client, price: &str, mode: &str, more: &str) -> Value {
    let form = format!(
        "mode={mode}&line_items[0][price]={price}&line_items[0][quantity]=2&success_url=https://shop.test/ok&{more}"
    );
    client.post("/v1/checkout/sessions", &form)
}

#[test]
fn a_checkout_with_a_coupon_charges_and_subscribes_with_it() {
    let client = client();
    let price = client.price(1_000, "usd", "month");
    let forever = coupon(&client, "percent_off=25&duration=forever");
    let open = session(&client, &price, "subscription", &format!("discounts[0][coupon]={forever}"));
    assert_eq!((number(&open, "/amount_subtotal"), number(&open, "/amount_total")), (2_000, 1_500));
    assert_eq!(number(&open, "/total_details/amount_discount"), 500);
    assert_eq!(text(&open, "/discounts/0/coupon"), forever);
    let lines = client.get(&format!("/v1/checkout/sessions/{}/line_items", id(&open)), "");
    assert_eq!(number(&lines, "/data/0/amount_discount"), 500);
    client.control("POST", &format!("checkout_sessions/{}/complete", id(&open)), &Value::Null);
    let done = client.get(&format!("/v1/checkout/sessions/{}", id(&open)), "expand[]=invoice");
    assert_eq!(number(&done, "/invoice/amount_paid"), 1_500);
    let customer = text(&done, "/customer").to_owned();
    assert_eq!(net(&client, &customer, "usd"), 1_500);
    let subscription = client.subscription(text(&done, "/subscription"));
    let discount = text(&subscription, "/discounts/0").to_owned();
    let shown = &client.events("type=customer.discount.created")[0]["data"]["object"];
    assert_eq!(shown["id"], discount.as_str());
    assert_eq!(text(shown, "/checkout_session"), id(&open));
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer, "usd"), 3_000);
    client.refused(
        400,
        "POST",
        "/v1/checkout/sessions",
        &format!("mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://a.test&allow_promotion_codes=true&discounts[0][coupon]={forever}"),
    );
}

#[test]
fn a_buyer_types_a_code_on_the_page() {
    let client = client();
    let price = client.price(1_000, "usd", "month");
    let half = coupon(&client, "percent_off=50");
    let code = client
        .post("/v1/promotion_codes", &format!("promotion[type]=coupon&promotion[coupon]={half}&code=HALF"));
    let closed = session(&client, &price, "subscription", "");
    let open = session(&client, &price, "subscription", "allow_promotion_codes=true");
    let page = |session: &Value, form: &str| {
        let method = if form.is_empty() { "GET" } else { "POST" };
        let response = client.send(method, &format!("/c/pay/{}", id(session)), form);
        (response.status, String::from_utf8(response.body).unwrap())
    };
    assert!(!page(&closed, "").1.contains("promotion_code"));
    assert!(page(&open, "").1.contains("promotion_code"));
    let (status, body) = page(&open, "step=code&promotion_code=NOPE");
    assert_eq!(status, 422);
    assert!(body.contains("This code cannot be used here."));
    assert_eq!(page(&open, "step=code&promotion_code=half").0, 303);
    assert!(page(&open, "").1.contains("The code HALF is applied."));
    let path = format!("/v1/checkout/sessions/{}", id(&open));
    let discounted = client.get(&path, "");
    assert_eq!(number(&discounted, "/amount_total"), 1_000);
    assert_eq!(text(&discounted, "/discounts/0/promotion_code"), id(&code));
    client.control("POST", &format!("checkout_sessions/{}/complete", id(&open)), &Value::Null);
    let customer = text(&client.get(&path, ""), "/customer").to_owned();
    assert_eq!(net(&client, &customer, "usd"), 1_000);
    assert_eq!(number(&client.get(&format!("/v1/promotion_codes/{}", id(&code)), ""), "/times_redeemed"), 1);
}

#[test]
fn a_spent_code_stops_the_purchase_before_the_money() {
    let client = client();
    let price = id(&client.post("/v1/prices", "unit_amount=1000&currency=usd&product_data[name]=Book"));
    let half = coupon(&client, "percent_off=50&max_redemptions=1");
    let form = format!("promotion[type]=coupon&promotion[coupon]={half}&code=HALF");
    client.post("/v1/promotion_codes", &form);
    let sessions = [0, 1].map(|_| session(&client, &price, "payment", "allow_promotion_codes=true"));
    for session in &sessions {
        client.sandbox.type_code(&id(session), "HALF").unwrap();
    }
    assert!(client.sandbox.complete_checkout(&id(&sessions[0]), "pm_card_visa").is_ok());
    let error = client.sandbox.complete_checkout(&id(&sessions[1]), "pm_card_visa").unwrap_err();
    assert_eq!(error.code, "coupon_expired");
    let taken: i64 = client.sandbox.ledger().charges.iter().map(|charge| charge.amount).sum();
    assert_eq!(taken, 1_000);
    // Everything off is a purchase without a payment; almost everything off is one that no card can make.
    let all = coupon(&client, "percent_off=100");
    let free = session(&client, &price, "payment", &format!("discounts[0][coupon]={all}"));
    assert_eq!(number(&free, "/amount_total"), 0);
    let almost = coupon(&client, "amount_off=1980&currency=usd");
    let form = format!(
        "mode=payment&line_items[0][price]={price}&line_items[0][quantity]=2&success_url=https://a.test&discounts[0][coupon]={almost}"
    );
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/checkout/sessions", &form), "/code"),
        "amount_too_small"
    );
}
