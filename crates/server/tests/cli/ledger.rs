//! `quittance ledger` beside a running server.

use serde_json::json;

use crate::house::{Sold, run, run_json};

#[test]
fn the_books_agree_with_the_provider_and_go_to_other_programs() {
    let sold = Sold::to_ada();
    let command = |arguments: &[&str]| {
        let mut all = vec!["ledger"];
        all.extend(arguments);
        sold.command(&all)
    };
    let tied = run_json(&mut command(&["tie-out", "--mend", "--each", "--json"]));
    assert_eq!(
        (&tied["agrees"], &tied["compared"], &tied["differences"]),
        (&json!(true), &json!(1), &json!([]))
    );
    assert_eq!(tied["currencies"][0]["currency"], "jpy");
    let trial = run_json(&mut command(&["trial-balance", "--json"]));
    let of = |name: &str| {
        trial["data"].as_array().unwrap().iter().find(|row| row["account"] == name).unwrap()["balance"]
            .clone()
    };
    assert_eq!((of("revenue"), of("receivable")), (json!(-1_980), json!(0)));
    let (code, out, _) = run(&mut command(&["trial-balance"]));
    assert!(code == 0 && out.contains("CURRENCY") && out.contains("-1980"), "{out}");
    let listed = run_json(&mut command(&["entries", "--json", "--account", "revenue"]));
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    let (code, out, _) = run(&mut command(&["entries", "--customer", "ada"]));
    assert!(code == 0 && out.contains("invoice finalized") && out.contains("1,980 JPY"), "{out}");
    let (code, out, _) = run(&mut command(&["export"]));
    assert!(code == 0 && out.starts_with("number,at,") && out.lines().count() == 6, "{out}");
    let (code, out, _) = run(&mut command(&["export", "--format", "beancount"]));
    assert!(
        code == 0
            && out.contains("1970-01-01 open Income:Revenue\n")
            && out.contains("Income:Revenue  -1980 JPY"),
        "{out}"
    );
    let (_, out, _) = run(&mut command(&["export", "--json"]));
    assert_eq!(out.lines().count(), 2);
    let (code, _, err) = run(&mut command(&["entries", "--account", "cash"]));
    assert!(code == 2 && err.contains("provider_balance"), "{err}");

    // Another program takes a payment, and nobody has looked yet.
    let paid = sold
        .provider
        .form("/v1/payment_intents", "amount=300&currency=usd&confirm=true&payment_method=pm_card_visa");
    assert_eq!(paid["status"], "succeeded");
    let (code, out, err) = run(&mut command(&["tie-out", "--json"]));
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("\"reason\":\"not_posted\""), "{out}");
    let (code, out, err) = run(&mut command(&["tie-out"]));
    assert!(code == 1 && out.contains("not_posted") && err.contains("--mend"), "{out}{err}");
    let (code, out, err) = run(&mut command(&["tie-out", "--mend"]));
    assert_eq!(code, 0, "{out}{err}");
}
