//! Tax IDs of customers, and a customer's own payment method.

use serde_json::{Value, json};

use crate::client::{client, id, text};

#[test]
fn tax_ids_are_given_looked_up_shown_and_taken() {
    let client = client();
    let made = client.post("/v1/customers", "tax_id_data[0][type]=us_ein&tax_id_data[0][value]=12-3456789");
    let (ada, bob) = (id(&made), id(&client.post("/v1/customers", "")));
    let path = format!("/v1/customers/{ada}/tax_ids");
    let right = client.post(&path, "type=eu_vat&value=DE000000000");
    assert_eq!((text(&right, "/country"), text(&right, "/verification/status")), ("DE", "pending"));
    let wrong = client.post(&path, "type=gb_vat&value=GB111111111");
    let open = client.post(&path, "type=eu_vat&value=FR12345678901");
    client.sandbox.advance_time(9);
    assert!(client.events("type=customer.tax_id.updated").is_empty());
    client.sandbox.advance_time(1);
    let status = |tax_id: &Value| {
        let shown = client.get(&format!("{path}/{}", id(tax_id)), "");
        text(&shown, "/verification/status").to_owned()
    };
    assert_eq!([status(&right), status(&wrong), status(&open)], ["verified", "unverified", "pending"]);
    assert_eq!(client.events("type=customer.tax_id.updated").len(), 2);
    let listed = client.get(&path, "limit=2");
    assert_eq!((text(&listed, "/data/0/value"), &listed["has_more"]), ("FR12345678901", &json!(true)));
    let shown = client.get(&format!("/v1/customers/{ada}"), "expand[]=tax_ids");
    assert_eq!(text(&shown, "/tax_ids/data/3/verification/status"), "unavailable");
    client.refused(404, "GET", &format!("/v1/customers/{bob}/tax_ids/{}", id(&right)), "");
    for form in ["type=eu_vat", "type=xx_vat&value=1", "type=eu_vat&value=123456789", "type=us_ein&value=<1>"]
    {
        client.refused(400, "POST", &path, form);
    }
    client.refused(400, "POST", "/v1/customers", "tax_id_data[0][type]=us_ein");
    assert_eq!(client.delete(&format!("{path}/{}", id(&wrong)), "")["deleted"], true);
    client.refused(404, "GET", &format!("{path}/{}", id(&wrong)), "");
    assert_eq!(client.events("type=customer.tax_id.created").len(), 4);
    assert_eq!(client.events("type=customer.tax_id.deleted").len(), 1);
}

#[test]
fn an_invoice_keeps_the_tax_ids_that_it_became_final_with() {
    let client = client();
    let ada = client.customer("pm_card_visa");
    client.post("/v1/invoiceitems", &format!("customer={ada}&amount=500&currency=usd"));
    let form = format!("customer={ada}&pending_invoice_items_behavior=include");
    let invoice = format!("/v1/invoices/{}", id(&client.post("/v1/invoices", &form)));
    client.post(&format!("/v1/customers/{ada}/tax_ids"), "type=us_ein&value=12-3456789");
    let last = client.post(&format!("{invoice}/finalize"), "");
    assert_eq!(last["customer_tax_ids"], json!([{ "type": "us_ein", "value": "12-3456789" }]));
    client.post(&format!("/v1/customers/{ada}/tax_ids"), "type=eu_vat&value=DE123456789");
    assert_eq!(client.get(&invoice, "")["customer_tax_ids"].as_array().unwrap().len(), 1);
}

#[test]
fn a_payment_method_is_found_with_its_customer_alone() {
    let client = client();
    let (ada, bob) = (client.customer("pm_card_visa"), client.customer("pm_card_mastercard"));
    let own = client.get(&format!("/v1/customers/{ada}/payment_methods"), "");
    let method = text(&own, "/data/0/id");
    let found = client.get(&format!("/v1/customers/{ada}/payment_methods/{method}"), "");
    assert_eq!(text(&found, "/customer"), ada);
    client.refused(404, "GET", &format!("/v1/customers/{bob}/payment_methods/{method}"), "");
}
