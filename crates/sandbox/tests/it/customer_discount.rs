//! The discount of a customer, which older versions and the command line give.

use serde_json::{Value, json};

use quittance_sandbox::HttpRequest;

use crate::client::{Client, DAY, HOUR, client, id, number, text};
use crate::schema;

const MONTH: i64 = 31 * DAY;

fn coupon(client: &Client, form: &str) -> String {
    id(&client.post("/v1/coupons", form))
}

fn net(client: &Client, customer: &str) -> i64 {
    client.sandbox.ledger().customer(customer).unwrap().net("usd")
}

#[test]
fn a_customer_gets_another_and_loses_a_discount() {
    let client = client();
    let (fifth, half) = (coupon(&client, "percent_off=20"), coupon(&client, "percent_off=50"));
    let customer = client.older("POST", "/v1/customers", &format!("coupon={fifth}"));
    assert_eq!(text(&customer, "/discount/coupon/id"), fifth);
    let path = format!("/v1/customers/{}", id(&customer));
    let changed = client.older("POST", &path, &format!("coupon={half}"));
    assert_eq!(text(&changed, "/discount/coupon/id"), half);
    assert!(client.older("POST", &path, "coupon=")["discount"].is_null());
    client.older("POST", &path, &format!("coupon={half}"));
    let gone = client.delete(&format!("{path}/discount"), "");
    assert_eq!(gone["deleted"], true);
    client.refused(400, "DELETE", &format!("{path}/discount"), "");
    let wrong = HttpRequest::new("POST", "/v1/customers", "sk_test_1", "coupon=NONE");
    assert_eq!(client.handle(wrong.header("Stripe-Version", "2024-06-20")).status, 404);
    let kinds = client.kinds();
    let told: Vec<&str> = kinds.iter().filter_map(|kind| kind.strip_prefix("customer.")).collect();
    assert_eq!(
        told,
        [
            "created",
            "discount.created",
            "discount.updated",
            "updated",
            "discount.deleted",
            "updated",
            "discount.created",
            "updated",
            "discount.deleted",
            "updated"
        ]
    );
    let updated = &client.events("type=customer.discount.updated")[0]["data"];
    schema::check_object("Discount", &updated["object"]);
    assert_eq!(text(updated, "/previous_attributes/source/coupon"), fifth);
    assert_eq!(number(&client.get(&format!("/v1/coupons/{half}"), ""), "/times_redeemed"), 2);
}

#[test]
fn it_is_on_invoices_that_have_no_other() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let (half, tenth) =
        (coupon(&client, "percent_off=50&duration=forever"), coupon(&client, "percent_off=10"));
    client.older("POST", &format!("/v1/customers/{customer}"), &format!("coupon={half}"));
    let made = client.subscribe(&customer, &price, "expand[]=latest_invoice");
    assert_eq!(number(&made, "/latest_invoice/total"), 500);
    // One of the subscription stands in its place, once.
    let path = format!("/v1/subscriptions/{}", id(&made));
    client.post(&path, &format!("discounts[0][coupon]={tenth}"));
    let preview = client.post("/v1/invoices/create_preview", &format!("subscription={}", id(&made)));
    assert_eq!(number(&preview, "/total"), 900);
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 1_400);
    client.sandbox.advance_time(28 * DAY);
    assert_eq!(net(&client, &customer), 1_900);
    // A proration has it in its amount.
    let item = text(&made, "/items/data/0/id");
    client.sandbox.advance_time(31 * DAY / 2 - 2 * HOUR);
    let form = format!("items[0][id]={item}&items[0][quantity]=3&proration_behavior=always_invoice");
    client.post(&path, &form);
    assert_eq!(net(&client, &customer), 2_400);
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=400&currency=usd"));
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    assert_eq!(number(&client.post("/v1/invoices", &form), "/total"), 200);
}

#[test]
fn one_for_a_single_invoice_is_used_up_and_checkout_knows_it() {
    let client = client();
    let (price, customer) = (client.price(1_000, "usd", "month"), client.customer("pm_card_visa"));
    let once = coupon(&client, "amount_off=300&currency=usd");
    client.older("POST", &format!("/v1/customers/{customer}"), &format!("coupon={once}"));
    let form = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://a.test"
    );
    let open = client.post("/v1/checkout/sessions", &form);
    assert_eq!(number(&open, "/amount_total"), 700);
    client.control("POST", &format!("checkout_sessions/{}/complete", id(&open)), &Value::Null);
    assert_eq!(net(&client, &customer), 700);
    assert_eq!(client.get(&format!("/v1/customers/{customer}"), "")["discount"], json!(null));
    client.sandbox.advance_time(MONTH + 2 * HOUR);
    assert_eq!(net(&client, &customer), 1_700);
}
