//! `quittance refund` beside a running server.

use serde_json::json;

use crate::house::{Sold, run, run_json};

#[test]
fn money_goes_back_only_when_somebody_means_it() {
    let sold = Sold::to_ada();
    let invoice = sold.provider.get("/v1/invoices")["data"][0]["id"].as_str().unwrap().to_owned();
    let command = |arguments: &[&str]| {
        let mut all = vec!["refund"];
        all.extend(arguments);
        sold.command(&all)
    };
    let plan = run_json(&mut command(&[&invoice, "--amount", "500", "--dry-run", "--json"]));
    assert_eq!((&plan["left"], &plan["money_moved"]), (&json!(1_480), &json!("no")));
    let (code, _, err) = run(&mut command(&[&invoice, "--amount", "500"]));
    assert!(code == 2 && err.contains("no money moved") && err.contains("--yes"), "{err}");
    let refunds = || sold.provider.get("/v1/refunds")["data"].as_array().unwrap().len();
    assert_eq!(refunds(), 0);
    let wish = [&invoice, "--amount", "500", "--yes", "--idempotency-key", "a", "--json"];
    let made = run_json(&mut command(&wish));
    assert_eq!((&made["money_moved"], &made["amount"]["amount"]), (&json!("yes"), &json!(500)));
    assert_eq!(run_json(&mut command(&wish))["refund"], made["refund"]);
    assert_eq!(refunds(), 1, "one key, one refund");
    let (code, out, _) = run(&mut command(&[&invoice, "--yes"]));
    assert!(code == 0 && out.contains("1,480 JPY") && out.contains("Money moved"), "{out}");
    let (code, _, err) = run(&mut command(&[&invoice, "--yes"]));
    assert!(code == 1 && err.contains("nothing of the payment is left"), "{err}");
    let (code, _, err) = run(&mut command(&["sub_1", "--yes"]));
    assert!(code == 2 && err.contains("pi_"), "{err}");
}
