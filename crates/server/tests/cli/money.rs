//! `quittance simulate --policy`, `dispute` and `customers` beside a running server.

use serde_json::json;

use crate::house::{Client, dev, eventually, quittance, run, run_json};

#[test]
fn disputes_policies_and_suspensions_in_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let (api, sandbox) = (product.api("qk_dev"), Client::new(&product.field("sandbox_url"), ""));
    let (session, _) = api.checkout("ada");
    let body = json!({ "payment_method": "pm_card_createDispute" });
    sandbox.json("POST", &format!("/_sandbox/checkout_sessions/{session}/complete"), &body);
    let config = product.field("config");
    let command = |arguments: &[&str]| {
        let mut all = vec!["--config", &config];
        all.extend(arguments);
        quittance(folder.path(), &all)
    };
    let dispute = eventually("disputed", || {
        let listed = run_json(&mut command(&["dispute", "list", "--json"]));
        listed["disputes"].as_array().unwrap().first().cloned()
    });
    let id = dispute["id"].as_str().unwrap();
    let (code, out, _) = run(&mut command(&["dispute", "list"]));
    assert!(code == 0 && out.contains("ANSWER BY") && out.contains("1,980 JPY"), "{out}");
    let pack = folder.path().join("pack");
    let written =
        run_json(&mut command(&["dispute", "evidence", id, "--out", pack.to_str().unwrap(), "--json"]));
    assert_eq!(written["files"].as_array().unwrap().len(), 5);
    assert!(std::fs::read_to_string(pack.join("summary.txt")).unwrap().contains(id));

    let policy = folder.path().join("new.toml");
    std::fs::write(&policy, "[access.money]\ndispute_opened = \"keep\"\n").unwrap();
    // The dispute is seen a moment before the look at its customer is done.
    let preview = eventually("shut out for it", || {
        let preview = run_json(&mut command(&["simulate", "--policy", policy.to_str().unwrap(), "--json"]));
        (preview["gain"] == 1).then_some(preview)
    });
    assert_eq!(preview["lose"], 0, "{preview}");
    assert_eq!(preview["affected"][0]["customer"], "ada");
    let (code, out, _) = run(&mut command(&["simulate", "--policy", policy.to_str().unwrap()]));
    assert!(code == 0 && out.contains("Nothing was changed"), "{out}");
    std::fs::write(&policy, "[access.money]\ndispute_opened = \"maybe\"\n").unwrap();
    let (code, _, _) = run(&mut command(&["simulate", "--policy", policy.to_str().unwrap()]));
    assert_eq!(code, 2);

    let (code, _, err) = run(&mut command(&["dispute", "accept", id]));
    assert!(code == 2 && err.contains("--yes"), "{err}");
    let given_up = run_json(&mut command(&["dispute", "accept", id, "--yes", "--json"]));
    assert_eq!(given_up["id"], id);
    eventually("lost", || {
        let shown = run_json(&mut command(&["dispute", "show", id, "--json"]));
        (shown["status"] == "lost").then_some(())
    });

    let shut = run_json(&mut command(&["customers", "suspend", "ada", "--reason", "fraud", "--json"]));
    assert_eq!((&shut["level"], &shut["suspended"]), (&json!("all"), &json!(true)));
    let (code, out, _) = run(&mut command(&["customers", "suspended"]));
    assert!(code == 0 && out.contains("ada") && out.contains("fraud"), "{out}");
    let (code, _, _) = run(&mut command(&["customers", "unsuspend", "ada"]));
    assert_eq!(code, 0);
    let (code, _, _) = run(&mut command(&["customers", "unsuspend", "ada"]));
    assert_eq!(code, 1);
    let revenue = run_json(&mut command(&["ledger", "revenue", "--months", "1", "--json"]));
    assert_eq!(revenue["data"][0]["sold"], 1_980);
}
