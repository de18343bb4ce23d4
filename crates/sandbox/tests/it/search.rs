//! Searches: the query language, pages, and the delay of the index.

use serde_json::json;

use crate::client::{Client, client, id, number, text};

const DELAY: i64 = 20;

fn found(client: &Client, resource: &str, query: &str) -> Vec<String> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = client.get(&format!("/v1/{resource}/search"), &format!("limit=100&query={encoded}"));
    answer["data"].as_array().unwrap().iter().map(id).collect()
}

fn settled() -> Client {
    let client = client();
    client.control("PUT", "settings", &json!({ "search_delay_seconds": 0 }));
    client
}

#[test]
fn customers_are_found_by_what_they_are() {
    let client = settled();
    let ada = id(&client.post("/v1/customers", "email=Ada@example.com&name=Ada+King&metadata[plan]=pro"));
    client.sandbox.advance_time(10);
    let bea = id(&client.post("/v1/customers", "name=B%C3%A9a&metadata[plan]=free"));
    let at = number(&client.get(&format!("/v1/customers/{bea}"), ""), "/created");
    let newest_first = [bea.clone(), ada.clone()];
    for (query, wanted) in [
        ("email:'ada@EXAMPLE.com'", &newest_first[1..]),
        ("email~\"exam\"", &newest_first[1..]),
        ("-email~\"exam\"", &newest_first[..1]),
        ("email:null", &newest_first[..1]),
        ("-email:null", &newest_first[1..]),
        ("name:'béa'", &newest_first[..1]),
        ("metadata['plan']:'pro'", &newest_first[1..]),
        ("metadata[\"plan\"]:null", &newest_first[..0]),
        ("-metadata['seat']:'1'", &newest_first[..]),
        ("metadata['plan']:'free' OR name~'King'", &newest_first[..]),
        ("metadata['plan']:'free' AND name~'King'", &newest_first[..0]),
        ("metadata['plan']:'pro' name~'king'", &newest_first[1..]),
    ] {
        assert_eq!(found(&client, "customers", query), wanted, "{query}");
    }
    assert_eq!(found(&client, "customers", &format!("created>={at}")), newest_first[..1]);
    assert_eq!(found(&client, "customers", &format!("created<{at}")), newest_first[1..]);
    assert_eq!(found(&client, "customers", &format!("created>{at}")), Vec::<String>::new());
    assert_eq!(found(&client, "customers", &format!("created:{at}")), newest_first[..1]);
    client.delete(&format!("/v1/customers/{ada}"), "");
    assert_eq!(found(&client, "customers", "name~'King'"), Vec::<String>::new());
}

#[test]
fn every_resource_has_its_fields() {
    let client = settled();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, "metadata[seat]=7"));
    let invoice = text(&client.subscription(&subscription), "/latest_invoice").to_owned();
    let number = text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/number").to_owned();
    for (resource, query) in [
        ("subscriptions", "status:'active' AND metadata['seat']:'7'".to_owned()),
        ("subscriptions", "canceled_at:null".to_owned()),
        ("invoices", format!("subscription:'{subscription}' AND total>999")),
        ("invoices", format!("number:'{number}'")),
        ("prices", "active:'true' AND type:'recurring' AND currency:'usd'".to_owned()),
        ("products", "name~'Pro'".to_owned()),
        ("payment_intents", format!("customer:'{customer}' AND amount:1000")),
        ("charges", "payment_method_details.card.last4:4242 AND status:'succeeded'".to_owned()),
        ("charges", "refunded:'false'".to_owned()),
    ] {
        assert_eq!(found(&client, resource, &query).len(), 1, "{resource}: {query}");
    }
    assert_eq!(found(&client, "invoices", "total>1000").len(), 0);
    assert_eq!(found(&client, "subscriptions", "status:'canceled'").len(), 0);
}

#[test]
fn pages_follow_one_another() {
    let client = settled();
    let mut made: Vec<String> = (0..5).map(|_| id(&client.post("/v1/products", "name=Same"))).collect();
    made.reverse();
    let form = "query=name:'Same'&limit=2";
    let first = client.get("/v1/products/search", &format!("{form}&expand[]=total_count"));
    assert_eq!((first["has_more"].clone(), first["total_count"].clone()), (json!(true), json!(5)));
    let mut seen: Vec<String> = first["data"].as_array().unwrap().iter().map(id).collect();
    let mut page = first["next_page"].clone();
    while let Some(next) = page.as_str() {
        let answer = client.get("/v1/products/search", &format!("{form}&page={next}"));
        seen.extend(answer["data"].as_array().unwrap().iter().map(id));
        assert_eq!(answer["has_more"], !answer["next_page"].is_null());
        assert!(answer.get("total_count").is_none(), "only when asked for");
        page = answer["next_page"].clone();
    }
    assert_eq!(seen, made);
    client.refused(400, "GET", "/v1/products/search", &format!("{form}&page=x"));
}

#[test]
fn a_change_is_found_after_the_delay_of_the_index() {
    let client = client();
    let ada = id(&client.post("/v1/customers", "name=Ada"));
    let names = |client: &Client| {
        (found(client, "customers", "name:'Ada'"), found(client, "customers", "name:'Bea'"))
    };
    let nobody = Vec::<String>::new;
    client.sandbox.advance_time(DELAY - 1);
    assert_eq!(names(&client), (nobody(), nobody()), "not yet");
    client.sandbox.advance_time(1);
    assert_eq!(names(&client), (vec![ada.clone()], nobody()));
    client.post(&format!("/v1/customers/{ada}"), "name=Bea");
    client.sandbox.advance_time(DELAY - 1);
    client.sandbox.restore(&client.sandbox.snapshot()).unwrap();
    assert_eq!(names(&client), (vec![ada.clone()], nobody()), "as it was, over a restart too");
    assert_eq!(client.get("/v1/customers", "")["data"][0]["name"], "Bea", "a list does not wait");
    client.sandbox.advance_time(1);
    assert_eq!(names(&client), (nobody(), vec![ada]));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let client = settled();
    for query in [
        "",
        "nonsense",
        "iban:'x'",
        "email>'a'",
        "created~'123'",
        "created:'soon'",
        "email~'ab'",
        "metadata:'x'",
        "name['a']:'x'",
        "created>null",
        "name:'a' AND name:'b' OR name:'c'",
    ] {
        let refused = client.refused(400, "GET", "/v1/customers/search", &format!("query={query}"));
        assert_eq!(text(&refused, "/param"), "query", "{query}");
    }
    client.refused(400, "GET", "/v1/customers/search", "limit=10");
    let refused = client.refused(404, "GET", "/v1/refunds/search", "");
    assert_eq!(text(&refused, "/code"), "resource_missing");
}
