//! Cards as sources, the older payment methods.

use serde_json::Value;

use crate::client::{Client, client, id, text};
use crate::schema;

fn customer(client: &Client) -> String {
    id(&client.post("/v1/customers", "email=ada@example.com"))
}

fn add(client: &Client, customer: &str, token: &str) -> String {
    let made = client.post(&format!("/v1/customers/{customer}/sources"), &format!("source={token}"));
    schema::check_object("Card", &made);
    id(&made)
}

fn default_of(client: &Client, customer: &str) -> Value {
    client.get(&format!("/v1/customers/{customer}"), "")["default_source"].clone()
}

#[test]
fn the_first_source_is_the_default_and_pays() {
    let client = client();
    let ada = customer(&client);
    let first = add(&client, &ada, "tok_visa");
    assert!(first.starts_with("card_"));
    assert_eq!(default_of(&client, &ada), first.as_str());
    let second = add(&client, &ada, "tok_mastercard");
    assert_eq!(default_of(&client, &ada), first.as_str(), "the first one stays");
    let listed = client.get(&format!("/v1/customers/{ada}/sources"), "object=card");
    assert_eq!(text(&listed, "/data/0/brand"), "MasterCard", "newest first");
    let price = client.price(1000, "usd", "month");
    let subscription = client.subscribe(&ada, &price, "");
    assert_eq!(text(&subscription, "/status"), "active", "the default source paid");
    let charge = client.get("/v1/charges", &format!("customer={ada}"));
    assert_eq!(text(&charge, "/data/0/payment_method"), first);
    let path = format!("/v1/customers/{ada}");
    client.post(&path, &format!("default_source={second}"));
    assert_eq!(default_of(&client, &ada), second.as_str());
    let shown = client.get(&path, "expand[]=sources&expand[]=default_source");
    assert_eq!(text(&shown, "/default_source/object"), "card");
    assert_eq!(shown["sources"]["data"].as_array().unwrap().len(), 2);
    let method = client.get(&format!("/v1/payment_methods/{first}"), "");
    assert_eq!(text(&method, "/object"), "payment_method", "the same card by the newer name");
    client.refused(404, "POST", &path, "default_source=card_none");
    assert_eq!(client.kinds().iter().filter(|kind| *kind == "customer.source.created").count(), 2);
}

#[test]
fn a_source_is_changed_and_deleted_and_the_newest_of_the_rest_becomes_the_default() {
    let client = client();
    let ada = customer(&client);
    let cards = ["tok_visa", "tok_amex", "tok_jcb"].map(|token| add(&client, &ada, token));
    let path = format!("/v1/customers/{ada}/sources/{}", cards[0]);
    let changed = client.post(&path, "metadata[a]=b&name=Ada&address_zip=94107&exp_month=3&exp_year=2031");
    assert_eq!((text(&changed, "/name"), text(&changed, "/address_zip")), ("Ada", "94107"));
    assert_eq!((&changed["exp_month"], &changed["metadata"]["a"]), (&Value::from(3), &Value::from("b")));
    let told = &client.events("type=customer.source.updated")[0];
    assert!(told["data"]["previous_attributes"]["name"].is_null());
    assert_eq!(text(told, "/data/object/id"), cards[0]);
    let gone = client.delete(&path, "");
    assert_eq!((text(&gone, "/object"), &gone["deleted"]), ("card", &Value::Bool(true)));
    assert_eq!(default_of(&client, &ada), cards[2].as_str());
    client.refused(404, "GET", &path, "");
    client.post(&format!("/v1/payment_methods/{}/detach", cards[2]), "");
    assert_eq!(default_of(&client, &ada), cards[1].as_str(), "detaching is the same");
    assert_eq!(client.events("type=customer.source.deleted").len(), 2);
    client.refused(402, "POST", &format!("/v1/customers/{ada}/sources"), "source=tok_chargeDeclined");
    client.refused(404, "POST", &format!("/v1/customers/{ada}/sources"), "source=pm_card_visa");
    client.refused(404, "GET", &format!("/v1/customers/{}/sources/{}", customer(&client), cards[1]), "");
    assert_eq!(client.get(&format!("/v1/customers/{ada}/sources"), "")["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_customer_is_made_with_a_source_and_given_another_in_its_place() {
    let client = client();
    let made = client.post("/v1/customers", "source=tok_visa");
    let ada = id(&made);
    let first = text(&made, "/default_source").to_owned();
    assert!(first.starts_with("card_"));
    let changed = client.post(&format!("/v1/customers/{ada}"), "source=tok_amex&name=Ada");
    assert_ne!(text(&changed, "/default_source"), first);
    assert_eq!(text(&changed, "/name"), "Ada");
    let left = client.get(&format!("/v1/customers/{ada}/sources"), "");
    assert_eq!(left["data"].as_array().unwrap().len(), 1, "the old one went");
    client.refused(402, "POST", "/v1/customers", "source=tok_chargeDeclined");
    assert_eq!(client.get("/v1/customers", "")["data"].as_array().unwrap().len(), 1, "nobody was made");
}
