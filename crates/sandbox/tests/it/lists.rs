//! Lists and expansion.

use crate::client::{START, client, id, number, text};

#[test]
fn pages_go_both_ways_without_gaps() {
    let client = client();
    let made: Vec<String> = (0..25).map(|_| id(&client.post("/v1/customers", ""))).collect();
    let mut seen: Vec<String> = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.get("/v1/customers", &format!("limit=10{after}"));
        assert_eq!(text(&page, "/url"), "/v1/customers");
        seen.extend(page["data"].as_array().unwrap().iter().map(id));
        after = format!("&starting_after={}", seen.last().unwrap());
        if page["has_more"] == false {
            break;
        }
    }
    let newest_first: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(seen, newest_first);
    let back = client.get("/v1/customers", &format!("limit=5&ending_before={}", newest_first[10]));
    let ids: Vec<String> = back["data"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(ids, newest_first[5..10], "the page that ends right before it");
    assert_eq!(back["has_more"], true);
    client.refused(400, "GET", "/v1/customers", "limit=0");
    client.refused(400, "GET", "/v1/customers", "limit=101");
    client.refused(404, "GET", "/v1/customers", "starting_after=cus_none");
}

#[test]
fn filters_narrow_a_list() {
    let client = client();
    let ada = id(&client.post("/v1/customers", "email=ada@example.com"));
    client.sandbox.advance_time(100);
    client.post("/v1/customers", "email=bea@example.com");
    let ids = |query: &str| {
        client.get("/v1/customers", query)["data"].as_array().unwrap().iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids("email=ada@example.com"), std::slice::from_ref(&ada));
    assert_eq!(ids(&format!("created[lt]={}", START + 100)), std::slice::from_ref(&ada));
    assert_eq!(ids(&format!("created%5Blte%5D={START}")), std::slice::from_ref(&ada));
    assert_eq!(ids(&format!("created={START}")), std::slice::from_ref(&ada));
    assert_eq!(ids(&format!("created[gt]={}", START + 100)), Vec::<String>::new());
}

#[test]
fn prices_are_found_by_their_lookup_key_and_keys_move() {
    let client = client();
    let make = |more: &str| {
        client.send(
            "POST",
            "/v1/prices",
            &format!("unit_amount=100&currency=usd&product_data[name]=x&lookup_key=pro{more}"),
        )
    };
    let first = id(&make("").value());
    assert_eq!(make("").status, 400);
    let second = id(&make("&transfer_lookup_key=true").value());
    let found = client.get("/v1/prices", "lookup_keys[]=pro&lookup_keys[]=none&expand[]=data.product");
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(id(&found["data"][0]), second);
    assert_eq!(text(&found, "/data/0/product/object"), "product");
    assert!(client.get(&format!("/v1/prices/{first}"), "")["lookup_key"].is_null());
}

#[test]
fn expansion_follows_its_path_and_refuses_wrong_ones() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = client.subscribe(&customer, &price, "expand[0]=latest_invoice.payments.data.payment&expand[1]=customer&expand[2]=items.data.price.product");
    assert_eq!(text(&subscription, "/customer/object"), "customer");
    assert_eq!(text(&subscription, "/items/data/0/price/product/name"), "Pro");
    assert_eq!(text(&subscription, "/latest_invoice/payments/data/0/object"), "invoice_payment");
    let plain = client.subscription(&id(&subscription));
    assert!(plain["customer"].is_string() && plain["latest_invoice"].is_string());
    let invoice = client.get(&format!("/v1/invoices/{}", text(&plain, "/latest_invoice")), "");
    assert!(invoice.get("payments").is_none(), "only when asked for");
    let listed = client.get("/v1/subscriptions", "expand[]=data.customer.subscriptions");
    assert_eq!(listed["data"][0]["customer"]["subscriptions"]["data"].as_array().unwrap().len(), 1);
    let before = client.get("/v1/customers", "limit=100")["data"].as_array().unwrap().len();
    client.refused(400, "POST", "/v1/customers", "expand[]=nonsense");
    client.refused(400, "POST", "/v1/customers", "expand[]=a.b.c.d.e");
    assert_eq!(
        client.get("/v1/customers", "limit=100")["data"].as_array().unwrap().len(),
        before,
        "nothing was made"
    );
    client.refused(400, "GET", &format!("/v1/customers/{customer}"), "expand[]=latest_invoice");
}

#[test]
fn events_are_found_by_type_and_time() {
    let client = client();
    client.post("/v1/customers", "");
    client.post("/v1/products", "name=x");
    assert_eq!(client.events("types[]=customer.created&types[]=product.created").len(), 2);
    assert_eq!(client.events("type=customer.*").len(), 1);
    client.refused(400, "GET", "/v1/events", "type=a&types[]=b");
    let event = &client.events("type=product.created")[0];
    assert_eq!(number(&client.get(&format!("/v1/events/{}", id(event)), ""), "/created"), START);
    client.sandbox.advance_time(31 * crate::client::DAY);
    client.post("/v1/customers", "");
    assert_eq!(client.events("").len(), 1, "events are kept for 30 days");
}
