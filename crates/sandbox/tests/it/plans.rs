//! Plans, the older view of recurring prices.

use crate::client::{client, id, number, text};

#[test]
fn a_plan_is_a_price_in_older_words() {
    let client = client();
    let form =
        "id=gold&currency=usd&interval=month&interval_count=3&amount=2000&product[name]=Gold&nickname=Old";
    let plan = client.post("/v1/plans", form);
    assert_eq!((text(&plan, "/id"), number(&plan, "/amount")), ("gold", 2000));
    let price = client.get("/v1/prices/gold", "");
    assert_eq!((number(&price, "/unit_amount"), number(&price, "/recurring/interval_count")), (2000, 3));
    assert_eq!(text(&plan, "/product"), text(&price, "/product"));
    let customer = client.customer("pm_card_visa");
    let subscription = client.post("/v1/subscriptions", &format!("customer={customer}&items[0][plan]=gold"));
    assert_eq!(text(&subscription, "/status"), "active");

    let changed = client.post("/v1/plans/gold", "metadata[a]=b&nickname=New");
    assert_eq!((text(&changed, "/nickname"), text(&changed, "/metadata/a")), ("New", "b"));
    client.refused(400, "POST", "/v1/plans", form);
    assert_eq!(client.delete("/v1/plans/gold", "")["deleted"], true);
    client.refused(404, "GET", "/v1/plans/gold", "");
    assert!(client.get("/v1/plans", "")["data"].as_array().unwrap().is_empty());
    let again = format!("customer={}&items[0][price]=gold", client.customer("pm_card_visa"));
    client.refused(400, "POST", "/v1/subscriptions", &again);
    assert_eq!(text(&client.subscription(&id(&subscription)), "/items/data/0/price/id"), "gold");
    for kind in ["plan.created", "plan.updated", "plan.deleted", "price.created", "price.updated"] {
        assert_eq!(client.kinds().iter().filter(|found| *found == kind).count(), 1, "{kind}");
    }
}

#[test]
fn plans_can_have_tiers_and_a_one_time_price_is_none() {
    let client = client();
    let form = "currency=usd&interval=year&billing_scheme=tiered&tiers_mode=volume&tiers[0][up_to]=5&tiers[0][unit_amount]=900&tiers[1][up_to]=inf&tiers[1][unit_amount]=700&product[name]=Seats";
    let plan = client.post("/v1/plans", form);
    assert!(text(&plan, "/id").starts_with("plan_") && text(&plan, "/tiers_mode") == "volume");
    let single = id(&client.post("/v1/prices", "unit_amount=700&currency=usd&product_data[name]=Book"));
    client.refused(404, "GET", &format!("/v1/plans/{single}"), "");
    client.refused(400, "POST", "/v1/plans", "currency=usd&amount=1&product[name]=X");
}
