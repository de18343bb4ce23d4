//! `quittance customers erase` beside a running server: what each flag does, and that no money moves.

use serde_json::{Value, json};

use crate::house::{Sold, eventually, run, run_json};

#[test]
fn a_customer_is_erased_here_and_where_it_is_asked_for_at_the_provider_too() {
    let sold = Sold::to_ada();
    let buyer = sold.provider.get("/v1/invoices")["data"][0]["customer"].as_str().unwrap().to_owned();
    let command = |arguments: &[&str]| {
        let mut all = vec!["customers", "erase", "ada"];
        all.extend(arguments);
        sold.command(&all)
    };
    let there = || sold.provider.get(&format!("/v1/customers/{buyer}"))["deleted"] == json!(true);

    // Nothing is done without a word, and the mend has the flags that were given.
    let (code, _, err) = run(&mut command(&["--at-provider"]));
    assert!(code == 2 && err.contains("erase ada --yes --at-provider"), "{err}");
    let (code, _, err) = run(&mut command(&[]));
    assert!(code == 2 && err.contains("erase ada --yes") && !err.contains("--at-provider"), "{err}");
    // Nor while a subscription lives.
    let (code, _, err) = run(&mut command(&["--yes", "--at-provider"]));
    assert!(code == 1 && err.contains("live subscription"), "{err}");
    assert!(!there());

    let subscription =
        sold.api.get("/v1/customers/ada")["subscriptions"][0]["id"].as_str().unwrap().to_owned();
    sold.api.json("POST", &format!("/v1/subscriptions/{subscription}/cancel"), &json!({ "at": "now" }));
    let erased = eventually("ended", || {
        let (code, out, _) = run(&mut command(&["--yes", "--json"]));
        (code == 0).then(|| serde_json::from_str::<Value>(out.trim()).unwrap())
    });
    assert_eq!((&erased["at_provider"], &erased["money_moved"]), (&Value::Null, &json!("no")));
    assert!(!there(), "only here");
    let (code, out, err) = run(&mut command(&["--yes"]));
    assert!(code == 0 && out.contains("No money moved") && out.contains("--at-provider"), "{out}{err}");

    let gone = run_json(&mut command(&["--yes", "--at-provider", "--json"]));
    assert_eq!(
        gone["at_provider"],
        json!([{ "provider_customer": buyer, "deleted": true, "problem": null }]),
        "{gone}"
    );
    assert_eq!(gone["money_moved"], "no");
    assert!(there());
    let again = run_json(&mut command(&["--yes", "--at-provider", "--json"]));
    assert_eq!(again["at_provider"], json!([]), "what is gone is left alone");
    let (code, out, _) = run(&mut command(&["--yes", "--at-provider"]));
    assert!(code == 0 && out.contains("no customer of it any more"), "{out}");

    let acts = run_json(&mut sold.command(&["audit", "list", "--json"]));
    assert_eq!(acts["data"][0]["action"], "customers erase");
    assert_eq!(acts["data"][0]["input"], json!({ "at_provider": true }));
}
