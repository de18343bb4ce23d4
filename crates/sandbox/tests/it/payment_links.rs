//! Payment links: every visit opens a session of its own.

use quittance_sandbox::HttpRequest;
use serde_json::Value;

use crate::client::{Client, client, id, number, text};

/// Follows a link; the session that it opens, or the status of a refusal.
pub fn visit(client: &Client, link: &Value, query: &str) -> Result<String, u16> {
    let path = text(link, "/url").trim_start_matches("http://sandbox.test").to_owned();
    let answer =
        client.handle(HttpRequest { query: query.to_owned(), ..HttpRequest::new("GET", &path, "", "") });
    match answer.headers.iter().find(|(name, _)| name == "location") {
        Some((_, location)) => Ok(location.trim_start_matches("/c/pay/").to_owned()),
        None => Err(answer.status),
    }
}

#[test]
fn every_visit_of_a_link_opens_a_session_that_can_be_paid() {
    let client = client();
    let price = client.price(1500, "usd", "month");
    let form = format!(
        "line_items[0][price]={price}&line_items[0][quantity]=2&metadata[campaign]=may&subscription_data[metadata][plan]=pro&after_completion[type]=redirect&after_completion[redirect][url]=http://shop.test/{{CHECKOUT_SESSION_ID}}"
    );
    let link = client.post("/v1/payment_links", &form);
    assert_eq!((text(&link, "/currency"), text(&link, "/after_completion/type")), ("usd", "redirect"));
    let lines = client.get(&format!("/v1/payment_links/{}/line_items", id(&link)), "");
    assert_eq!(number(&lines, "/data/0/amount_total"), 3000);
    assert!(client.get("/v1/checkout/sessions", "")["data"].as_array().unwrap().is_empty());

    let one = visit(&client, &link, "client_reference_id=u1&prefilled_email=ada%40example.com").unwrap();
    let other = visit(&client, &link, "").unwrap();
    assert_ne!(one, other);
    let session = client.get(&format!("/v1/checkout/sessions/{one}"), "expand[]=payment_link");
    assert_eq!(text(&session, "/payment_link/id"), id(&link));
    assert_eq!((text(&session, "/mode"), text(&session, "/client_reference_id")), ("subscription", "u1"));
    assert_eq!((text(&session, "/metadata/campaign"), number(&session, "/amount_total")), ("may", 3000));
    client.sandbox.complete_checkout(&one, "pm_card_visa").unwrap();
    let done = client.get(&format!("/v1/checkout/sessions/{one}"), "");
    let subscription = client.subscription(text(&done, "/subscription"));
    assert_eq!((text(&subscription, "/status"), text(&subscription, "/metadata/plan")), ("active", "pro"));
    assert_eq!(client.sandbox.ledger().customer(text(&done, "/customer")).unwrap().net("usd"), 3000);
    let all = client.get("/v1/checkout/sessions", &format!("payment_link={}", id(&link)));
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    assert!(
        client.get("/v1/checkout/sessions", "payment_link=plink_none")["data"].as_array().unwrap().is_empty()
    );
}

#[test]
fn a_link_can_be_switched_off_and_changed() {
    let client = client();
    let price = id(&client.post("/v1/prices", "unit_amount=700&currency=jpy&product_data[name]=Book"));
    let form = format!("line_items[0][price]={price}&line_items[0][quantity]=1");
    let link = client.post("/v1/payment_links", &form);
    assert_eq!(text(&link, "/after_completion/type"), "hosted_confirmation");
    let path = format!("/v1/payment_links/{}", id(&link));
    let changed = client.post(&path, "allow_promotion_codes=true&active=false&inactive_message=Gone");
    assert_eq!((&changed["active"], &changed["allow_promotion_codes"]), (&false.into(), &true.into()));
    assert_eq!(visit(&client, &link, ""), Err(400));
    assert!(client.get("/v1/payment_links", "active=true")["data"].as_array().unwrap().is_empty());
    client.post(&path, "active=true");
    let session = visit(&client, &link, "").unwrap();
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    let paid = client.get(&format!("/v1/checkout/sessions/{session}"), "");
    assert_eq!((text(&paid, "/payment_status"), text(&paid, "/mode")), ("paid", "payment"));
    let kinds = client.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "payment_link.updated").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| *kind == "payment_link.created").count(), 1);
    let error = client.refused(400, "POST", &path, "shipping_options[0][shipping_rate]=shr_1");
    assert_eq!(text(&error, "/code"), "parameter_not_in_sandbox");
    let kept = client.sandbox.snapshot();
    client.post(&path, "active=false");
    client.sandbox.restore(&kept).unwrap();
    assert_eq!(client.get(&path, "")["active"], true);
}

#[test]
fn what_a_link_asks_each_of_its_sessions_asks() {
    let client = client();
    let price = id(&client.post("/v1/prices", "unit_amount=700&currency=jpy&product_data[name]=Book"));
    let wrap = id(&client.post("/v1/prices", "unit_amount=100&currency=jpy&product_data[name]=Wrap"));
    let rate = id(&client.post(
        "/v1/shipping_rates",
        "display_name=Post&type=fixed_amount&fixed_amount[amount]=300&fixed_amount[currency]=jpy",
    ));
    let form = format!(
        "line_items[0][price]={price}&line_items[0][quantity]=1&line_items[0][adjustable_quantity][enabled]=true&line_items[0][adjustable_quantity][maximum]=5&consent_collection[terms_of_service]=required&custom_text[submit][message]=Thanks&custom_fields[0][key]=size&custom_fields[0][type]=text&custom_fields[0][label][type]=custom&custom_fields[0][label][custom]=Size&name_collection[business][enabled]=true&name_collection[business][optional]=true&optional_items[0][price]={wrap}&optional_items[0][quantity]=1&shipping_address_collection[allowed_countries][0]=JP&shipping_options[0][shipping_rate]={rate}&invoice_creation[enabled]=true&payment_intent_data[description]=A book&payment_intent_data[transfer_group]=books&payment_method_types[0]=card&phone_number_collection[enabled]=true"
    );
    let link = client.post("/v1/payment_links", &form);
    assert_eq!(text(&link, "/consent_collection/terms_of_service"), "required");
    assert_eq!(text(&link, "/custom_text/submit/message"), "Thanks");
    assert_eq!(text(&link, "/custom_fields/0/key"), "size");
    assert_eq!(link.pointer("/custom_fields/0/text/value"), None, "nobody has answered");
    assert_eq!(link.pointer("/name_collection/business/enabled"), Some(&true.into()));
    assert_eq!(text(&link, "/optional_items/0/price"), wrap);
    assert_eq!(text(&link, "/shipping_address_collection/allowed_countries/0"), "JP");
    assert_eq!(number(&link, "/shipping_options/0/shipping_amount"), 300);
    assert_eq!(link.pointer("/invoice_creation/enabled"), Some(&true.into()));
    assert_eq!(text(&link, "/payment_intent_data/transfer_group"), "books");
    assert_eq!(text(&link, "/payment_method_types/0"), "card");
    let lines = client.get(&format!("/v1/payment_links/{}/line_items", id(&link)), "");
    assert_eq!(number(&lines, "/data/0/adjustable_quantity/maximum"), 5);

    let session = visit(&client, &link, "").unwrap();
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    let paid = client.get(&format!("/v1/checkout/sessions/{session}"), "expand[]=payment_intent");
    assert_eq!(text(&paid, "/consent/terms_of_service"), "accepted");
    assert!(!text(&paid, "/custom_fields/0/text/value").is_empty());
    assert_eq!(text(&paid, "/collected_information/shipping_details/address/country"), "JP");
    assert_eq!((number(&paid, "/amount_total"), text(&paid, "/invoice").get(..3)), (1_000, Some("in_")));
    assert_eq!(text(&paid, "/payment_intent/transfer_group"), "books");
    assert_eq!(text(&paid, "/payment_intent/description"), "A book");
    assert_eq!(client.get(&format!("/v1/payment_links/{}", id(&link)), ""), link, "the link is as it was");
}

#[test]
fn a_link_is_closed_by_the_last_session_that_may_be_completed() {
    let client = client();
    let price = client.price(1500, "usd", "month");
    let form = format!(
        "line_items[0][price]={price}&line_items[0][quantity]=1&restrictions[completed_sessions][limit]=2"
    );
    let link = client.post("/v1/payment_links", &form);
    let path = format!("/v1/payment_links/{}", id(&link));
    let abandoned = visit(&client, &link, "").unwrap();
    let counted = |of: &Value| number(of, "/restrictions/completed_sessions/count");
    for completed in 1..=2 {
        let session = visit(&client, &link, "").unwrap();
        client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
        assert_eq!(counted(&client.get(&path, "")), completed);
    }
    assert_eq!(client.get(&path, "")["active"], false);
    assert_eq!(visit(&client, &link, ""), Err(400));
    assert_eq!(client.kinds().iter().filter(|kind| *kind == "payment_link.updated").count(), 1);
    assert_eq!(text(&client.get(&format!("/v1/checkout/sessions/{abandoned}"), ""), "/status"), "open");
    // It is opened again with room for more; what was sold stays counted.
    client.post(&path, "active=true&restrictions[completed_sessions][limit]=3");
    let session = visit(&client, &link, "").unwrap();
    client.sandbox.complete_checkout(&session, "pm_card_visa").unwrap();
    assert_eq!(counted(&client.get(&path, "")), 3);
    assert_eq!(client.get(&path, "")["active"], false);
    client.post(&path, "active=true&restrictions=");
    let open = client.get(&path, "");
    assert_eq!((&open["restrictions"], &open["active"]), (&Value::Null, &true.into()));
    client.refused(400, "POST", &path, "restrictions[completed_sessions][limit]=0");
    let wrong = format!("line_items[0][price]={price}&line_items[0][quantity]=1&application_fee_amount=5");
    let error = client.refused(400, "POST", "/v1/payment_links", &wrong);
    assert_eq!(text(&error, "/param"), "application_fee_amount");
}
