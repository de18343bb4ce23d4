//! Commands that change something are on record; commands that look are not.

use serde_json::{Value, json};

use crate::house::{dev, quittance, run, run_json};

#[test]
fn commands_are_on_record_with_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let config = product.field("config");
    let command = |arguments: &[&str]| {
        let mut all = vec!["--config", &config];
        all.extend(arguments);
        let mut command = quittance(folder.path(), &all);
        command.env("USER", "grace").env_remove("SUDO_USER");
        command
    };
    run_json(&mut command(&["parked", "list", "--json"]));
    let key = run_json(&mut command(&["keys", "create", "--name", "app", "--scopes", "read", "--json"]));
    let (code, _, _) = run(&mut command(&["deliveries", "retry", "4711"]));
    assert_eq!(code, 1);
    let listed = run_json(&mut command(&["audit", "list", "--json"]));
    let console: Vec<&Value> =
        listed["data"].as_array().unwrap().iter().filter(|act| act["way"] == "console").collect();
    let told: Vec<(&Value, &Value, &Value)> =
        console.iter().map(|act| (&act["action"], &act["outcome"], &act["problem"])).collect();
    assert_eq!(
        told,
        [
            (&json!("deliveries retry"), &json!("refused"), &json!("not_found")),
            (&json!("keys create"), &json!("done"), &Value::Null)
        ]
    );
    assert!(console.iter().all(|act| act["actor"] == "grace"), "{console:?}");
    // How much and how far is on record, in what words is not.
    let calls: [(&[&str], Value); 7] = [
        (
            &["customers", "suspend", "ada", "--checkouts", "--reason", "many cards"],
            json!({ "level": "checkouts", "reason": "[10 characters]" }),
        ),
        (&["customers", "unsuspend", "ada"], Value::Null),
        (
            &["refund", "pi_no", "--amount", "700", "--reason", "fraudulent", "--yes"],
            json!({
                "amount": 700, "currency": null, "reason": "fraudulent", "credit_note": true, "out_of_band": false
            }),
        ),
        (&["dispute", "contest", "dp_no", "--note", "she had it"], json!({ "note": "[10 characters]" })),
        (&["dispute", "accept", "dp_no", "--yes"], Value::Null),
        (&["drift", "claim", "4711", "--customer", "ada"], json!({ "customer": "ada" })),
        (&["ledger", "tie-out", "--mend", "--wait", "0"], Value::Null),
    ];
    for (arguments, _) in &calls {
        run(&mut command(arguments));
    }
    let newest = run_json(&mut command(&["audit", "list", "--json"]));
    for ((arguments, input), act) in calls.iter().rev().zip(newest["data"].as_array().unwrap()) {
        assert_eq!(act["action"], format!("{} {}", arguments[0], arguments[1]).replace(" pi_no", ""));
        assert_eq!(act["input"], *input, "{act}");
    }
    let (_, out, _) = run(&mut command(&["audit", "list"]));
    assert!(out.contains("grace") && out.contains("refused: not_found"), "{out}");
    let secret = key["key"].as_str().or_else(|| key["secret"].as_str()).unwrap();
    assert!(!listed.to_string().contains(secret));
}
