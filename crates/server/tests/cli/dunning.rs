//! `quittance dunning` beside a running server.

use serde_json::json;

use crate::house::{Sold, eventually, run, run_json};

#[test]
fn failing_payments_are_told_in_the_terminal() {
    let sold = Sold::to_ada();
    let command = |arguments: &[&str]| {
        let mut all = vec!["dunning"];
        all.extend(arguments);
        sold.command(&all)
    };
    assert_eq!(run_json(&mut command(&["report", "--json"])), json!({ "data": [] }));
    let (code, out, _) = run(&mut command(&["list"]));
    assert!(code == 0 && out.contains("No such cases"), "{out}");

    let found = sold.provider.get("/v1/subscriptions");
    let (subscription, buyer) = (&found["data"][0]["id"], &found["data"][0]["customer"]);
    let method = sold.provider.form(
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={}", buyer.as_str().unwrap()),
    );
    let path = format!("/v1/subscriptions/{}", subscription.as_str().unwrap());
    sold.provider.form(&path, &format!("default_payment_method={}", method["id"].as_str().unwrap()));
    sold.sandbox.json("POST", "/_sandbox/time/advance", &json!({ "seconds": 32 * 86_400 }));
    let case = eventually("failed", || {
        let listed = run_json(&mut command(&["list", "--json", "--outcome", "open"]));
        listed["cases"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&case["customer"], &case["cause"]), (&json!("ada"), &json!("other")));
    let report = run_json(&mut command(&["report", "--months", "2", "--json"]));
    assert_eq!(report["data"][0]["at_risk"], json!({ "count": 1, "amount": 1_980 }));
    let (code, out, _) = run(&mut command(&["report"]));
    assert!(code == 0 && out.contains("AT RISK") && out.contains("1,980 JPY (1)"), "{out}");
    let (code, _, err) = run(&mut command(&["list", "--outcome", "maybe"]));
    assert!(code == 2 && err.contains("recovered"), "{err}");
}
