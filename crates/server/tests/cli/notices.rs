//! `quittance notices` beside a running server: what was told, its export, and announcements.

use serde_json::{Value, json};

use crate::house::{Client, dev, eventually, pay, quittance, run, run_json};

#[test]
fn what_was_told_is_listed_shown_exported_and_a_change_announced() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let (api, sandbox) = (product.api("qk_dev"), Client::new(&product.field("sandbox_url"), ""));
    let config = product.field("config");
    let command = |arguments: &[&str]| {
        let mut all = vec!["--config", &config, "notices"];
        all.extend(arguments);
        quittance(folder.path(), &all)
    };
    let (code, out, _) = run(&mut command(&["list"]));
    assert!(code == 0 && out.contains("Nobody was told anything yet"), "{out}");
    let (session, _) = api.checkout("ada");
    pay(&sandbox, &session);
    let listed = eventually("told", || {
        let listed = run_json(&mut command(&["list", "--customer", "ada", "--json"]));
        (!listed["notices"].as_array().unwrap().is_empty()).then_some(listed)
    });
    let notice = &listed["notices"][0];
    assert_eq!((&notice["type"], &notice["customer"]), (&json!("receipt"), &json!("ada")), "{listed}");
    let (code, out, _) = run(&mut command(&["list"]));
    assert!(code == 0 && out.contains("receipt") && out.contains("ada"), "{out}");
    let number = notice["id"].to_string();
    let shown = run_json(&mut command(&["show", &number, "--json"]));
    assert_eq!((&shown["id"], &shown["object"]), (&notice["id"], &notice["object"]));
    let (code, _, err) = run(&mut command(&["show", "4711"]));
    assert!(code != 0 && err.contains("notice"), "{err}");

    // To the terminal a line of JSON each; to a file too, and what is said of it is JSON where that is asked for.
    let (code, out, _) = run(&mut command(&["export", "--customer", "ada"]));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(code == 0 && lines.iter().any(|line| line["id"] == notice["id"]), "{out}");
    let file = folder.path().join("proof.jsonl");
    let name = file.to_str().unwrap();
    let said = run_json(&mut command(&["export", "--customer", "ada", "--out", name, "--json"]));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(said["notices"].as_u64(), u64::try_from(written.lines().count()).ok(), "{said}");
    assert_eq!(said["file"].as_str(), Some(name));
    let (code, out, _) = run(&mut command(&["export", "--customer", "nobody", "--out", name]));
    assert!(code == 0 && out.contains("0 notices written"), "{out}");

    let new = |price: &'static str| {
        let mut all = vec!["announce", "fees", "--type", "price_changing", "--plan", "pro"];
        all.extend(["--effective-at", "2035-04-01T00:00:00Z", "--new-price", price]);
        command(&all)
    };
    let (code, _, err) = run(&mut new("pro_month_jpy_2035"));
    assert!(code != 0 && err.contains("pro_month_jpy_2035"), "{err}");
    let (code, out, _) = run(&mut command(&["announcements"]));
    assert!(code == 0 && out.contains("Nothing is announced"), "{out}");
    let (code, out, err) = run(&mut new("pro_year_jpy"));
    assert!(code == 0 && out.contains("fees is announced: 1 subscriptions"), "{out} {err}");
    let all = run_json(&mut command(&["announcements", "--json"]));
    assert_eq!(
        (&all["announcements"][0]["id"], &all["announcements"][0]["withdrawn_at"]),
        (&json!("fees"), &Value::Null)
    );
    let taken = run_json(&mut command(&["withdraw", "fees", "--json"]));
    assert_eq!(taken, json!({ "announcement": "fees", "withdrawn": true }));
    let all = run_json(&mut command(&["announcements", "--json"]));
    assert!(all["announcements"][0]["withdrawn_at"].is_string(), "{all}");
    let (code, _, err) = run(&mut command(&["withdraw", "fees-2099"]));
    assert!(code != 0 && err.contains("announcement"), "{err}");
    let (code, out, _) = run(&mut command(&["rules"]));
    assert!(code == 0 && out.contains("visa_trial") && out.contains("when it happens"), "{out}");
}
