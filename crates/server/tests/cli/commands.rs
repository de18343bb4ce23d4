//! Commands beside a running server, for people and for programs.

use serde_json::{Value, json};

use crate::house::{Client, Process, Sold, eventually, quittance, run, run_json};

#[test]
fn operators_see_and_replay_what_arrived() {
    let sold = Sold::to_ada();
    let command = |arguments: &[&str]| sold.command(arguments);
    let listed = run_json(&mut command(&["events", "list", "--json", "--limit", "50"]));
    let events = listed["events"].as_array().unwrap();
    let completed = events.iter().find(|event| event["type"] == "checkout.session.completed").unwrap();
    let id = completed["id"].as_str().unwrap();
    eventually("processed", || {
        (run_json(&mut command(&["events", "show", id, "--json"]))["state"] == "processed").then_some(())
    });
    let shown = run_json(&mut command(&["events", "show", id, "--json"]));
    assert!(shown["payload"].is_object() && shown["sha256"].as_str().unwrap().len() == 64, "{shown}");
    assert_eq!(run_json(&mut command(&["events", "replay", id, "--json"]))["state"], "processed");
    let (code, out, _) = run(&mut command(&["events", "list"]));
    assert!(code == 0 && out.contains("RECEIVED") && out.contains(id), "{out}");
    let (code, out, _) = run(&mut command(&["events", "show", id]));
    assert!(code == 0 && out.contains("payload (redacted)"), "{out}");
    let (code, _, err) = run(&mut command(&["events", "show", "evt_nothing"]));
    assert!(code == 1 && err.contains("no such event") && err.contains("mend"), "{err}");
    let (code, _, err) = run(&mut command(&["events", "show", "evt_nothing", "--json"]));
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, &error["error"]["code"]), (1, &json!("not_found")));
}

#[test]
fn explain_follows_the_sandbox_through_time() {
    let sold = Sold::to_ada();
    let explain = |customer: &str, feature: &str, json: bool| {
        let mut arguments = vec!["explain", customer, feature];
        arguments.extend(json.then_some("--json"));
        sold.command(&arguments)
    };
    let why = run_json(&mut explain("ada", "article:full", true));
    assert_eq!(
        (&why["allowed"], &why["plan"], &why["access"]),
        (&json!(true), &json!("pro"), &json!("granted"))
    );
    assert_eq!(why["because"][0]["source"]["kind"], "subscription");
    let (code, out, _) = run(&mut explain("ada", "article:full", false));
    assert!(
        code == 0 && out.starts_with("YES: ada may use article:full") && out.contains("caused by"),
        "{out}"
    );
    let (_, out, _) = run(&mut explain("nobody", "article:ful", false));
    assert!(
        out.starts_with("NO:")
            && out.contains("PUT /v1/customers/nobody")
            && out.contains("no feature `article:ful`"),
        "{out}"
    );
    // The server falls silent and nobody renews; the command's clock is the sandbox's.
    sold.sandbox.json("PUT", "/_sandbox/faults", &json!({ "faults": [{ "path": "/v1/*", "status": 500 }] }));
    sold.sandbox.json("POST", "/_sandbox/time/advance", &json!({ "seconds": 60 * 86_400 }));
    let later = run_json(&mut explain("ada", "article:full", true));
    assert_eq!(later["allowed"], json!(false), "{later}");
}

#[test]
fn keys_are_made_used_and_revoked_beside_a_server() {
    let sold = Sold::to_ada();
    let keys = |arguments: &[&str]| {
        let mut all = vec!["keys"];
        all.extend(arguments);
        all.push("--json");
        sold.command(&all)
    };
    let made = run_json(&mut keys(&["create", "--name", "reader", "--scopes", "read"]));
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(key.starts_with("qk_") && key.len() > 40);
    let api = sold.product.api(key);
    assert!(api.allowed("ada"));
    let write = api.send("PUT", "/v1/customers/x", "application/json", "{}").unwrap();
    assert_eq!(write.0, 403, "{}", write.1);
    let listed = run_json(&mut keys(&["list"])).to_string();
    assert!(listed.contains(id) && !listed.contains(key), "{listed}");
    assert_eq!(run_json(&mut keys(&["revoke", id]))["revoked"], true);
    eventually("refused", || (api.send("GET", "/v1/plans", "", "").unwrap().0 == 401).then_some(()));
    let (code, _, err) = run(&mut keys(&["revoke", key]));
    assert!(code == 2 && !err.contains(key), "the key itself is not repeated: {err}");
    let (code, _, err) = run(&mut keys(&["create", "--name", "x", "--scopes", "all"]));
    assert!(code == 2 && err.contains("admin"), "{err}");
}

#[test]
fn parked_and_reconcile_say_what_they_found_with_their_exit_code() {
    let sold = Sold::to_ada();
    let command = |arguments: &[&str]| sold.command(arguments);
    let parked = run_json(&mut command(&["parked", "list", "--json"]));
    assert_eq!(parked, json!({ "aggregates": [], "commands": [] }));
    let (code, out, _) = run(&mut command(&["parked", "retry", "--all"]));
    assert!(code == 0 && out.contains("Nothing is parked"), "{out}");
    let (code, _, err) = run(&mut command(&["parked", "retry", "stripe/x"]));
    assert!(code == 1 && err.contains("no such parked"), "{err}");

    // A refused key is a failure that waiting does not heal: it parks after three tries.
    sold.sandbox.json(
        "PUT",
        "/_sandbox/faults",
        &json!({ "faults": [{ "path": "/v1/subscriptions*", "method": "GET", "status": 403 }] }),
    );
    let events = run_json(&mut command(&["events", "list", "--json"]));
    let completed = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "checkout.session.completed");
    let id = completed.unwrap()["id"].as_str().unwrap().to_owned();
    let (code, _, _) = run(&mut command(&["events", "replay", &id, "--wait", "20"]));
    assert_eq!(code, 1);
    let (code, out, err) = run(&mut command(&["parked", "list", "--json"]));
    assert_eq!(code, 1, "something is parked: {out}{err}");
    let out: Value = serde_json::from_str(&out).unwrap();
    let key = out["aggregates"][0]["key"].as_str().unwrap().to_owned();
    sold.sandbox.json("PUT", "/_sandbox/faults", &json!({ "faults": [] }));
    assert_eq!(run_json(&mut command(&["parked", "retry", &key, "--json"])), json!({ "retried": [key] }));
    eventually("nothing is parked", || (run(&mut command(&["parked", "list"])).0 == 0).then_some(()));
    eventually("and it is synced", || {
        (run_json(&mut command(&["events", "show", &id, "--json"]))["state"] == "processed").then_some(())
    });

    let (code, out, err) = run(&mut command(&["reconcile", "--json"]));
    assert_eq!(code, 0, "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["report"]["subscriptions"], 1);
}

#[test]
fn reconcile_counts_what_nobody_told() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Process::start(&mut quittance(
        folder.path(),
        &["sandbox", "--port", "0", "--with-catalog", "--json"],
    ));
    let environment = [
        ("STRIPE_SECRET_KEY", sandbox.field("secret_key")),
        ("STRIPE_API_BASE", sandbox.field("url")),
        ("DATABASE_URL", "sqlite://q.db".to_owned()),
    ];
    let command = |arguments: &[&str]| {
        let mut command = quittance(folder.path(), arguments);
        command.envs(environment.clone());
        command
    };
    assert_eq!(run(&mut command(&["migrate"])).0, 0);
    let provider = Client::new(&sandbox.field("url"), "sk_test_other");
    let customer = provider.form("/v1/customers", "metadata[quittance_customer]=ada&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa");
    let price =
        provider.get("/v1/prices?lookup_keys[]=pro_month_jpy")["data"][0]["id"].as_str().unwrap().to_owned();
    provider.form(
        "/v1/subscriptions",
        &format!("customer={}&items[0][price]={price}", customer["id"].as_str().unwrap()),
    );
    let (code, out, err) = run(&mut command(&["reconcile", "--dry-run", "--json"]));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["report"]["unknown"]), (1, &json!(1)), "{out}{err}");
    let shown = &report["differences"][0];
    assert_eq!((&shown["type"], &shown["cause"]), (&json!("unknown"), &json!("missed_event")), "{out}");
    assert_eq!((&shown["wrong_access"], &shown["then"]), (&json!("too_little"), &json!("sync")), "{out}");
    let (code, out, _) = run(&mut command(&["reconcile", "--dry-run"]));
    assert!(code == 1 && out.contains("sub_") && out.contains("a sync mends it"), "{out}");
    assert_eq!(run(&mut command(&["reconcile"])).0, 0);
    let (code, _, err) = run(quittance(folder.path(), &["reconcile"]).env("DATABASE_URL", "sqlite://q.db"));
    assert!(code == 2 && err.contains("STRIPE_SECRET_KEY"), "{err}");
}

#[test]
fn programs_of_the_shell_and_of_the_api_get_their_documents() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&mut quittance(folder.path(), &["completions", shell]));
        assert!(code == 0 && out.contains("quittance") && out.contains("explain"), "{shell}");
    }
    let (code, _, err) = run(&mut quittance(folder.path(), &["completions", "tcl"]));
    assert!(code == 2 && err.contains("bash"), "{err}");
    let document = run_json(&mut quittance(folder.path(), &["openapi"]));
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
}

/// `quittance openapi > docs/openapi.json` after every change of the API.
#[test]
fn the_committed_openapi_document_is_current() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out, _) = run(&mut quittance(folder.path(), &["openapi"]));
    let committed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json")).unwrap();
    assert!(
        out.trim() == committed.trim(),
        "docs/openapi.json is out of date: quittance openapi > docs/openapi.json"
    );
}

#[test]
fn migrate_makes_a_database_once() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = |json: bool| {
        let mut command = quittance(folder.path(), if json { &["migrate", "--json"] } else { &["migrate"] });
        command.env("DATABASE_URL", "sqlite://new.db");
        command
    };
    let first = run_json(&mut migrate(true));
    assert_eq!((&first["from"], &first["created"]), (&json!(0), &json!(true)));
    assert!(!first["applied"].as_array().unwrap().is_empty());
    assert!(run_json(&mut migrate(true))["applied"].as_array().unwrap().is_empty());
    assert!(run(&mut migrate(false)).1.contains("up to date"));
}

#[test]
fn help_has_examples_and_a_next_step() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "dev",
        "serve",
        "worker",
        "sandbox",
        "demo",
        "events",
        "parked",
        "explain",
        "keys",
        "ledger",
        "reconcile",
        "completions",
    ] {
        let (code, out, _) = run(&mut quittance(folder.path(), &[command, "-h"]));
        assert!(code == 0 && out.contains("Examples:"), "{command}: {out}");
    }
    let (code, _, err) = run(&mut quittance(folder.path(), &[]));
    assert!(code == 2 && err.contains("Next:"), "{err}");
    let (code, _, err) = run(&mut quittance(folder.path(), &["evnts"]));
    assert!(code == 2 && err.contains("events"), "{err}");
}

#[test]
fn metrics_are_served_apart_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = quittance(folder.path(), &["serve", "--port", "0", "--metrics", "127.0.0.1:0"]);
    command
        .env("STRIPE_SECRET_KEY", "sk_test_1")
        .env("STRIPE_WEBHOOK_SECRET", "whsec_1")
        .env("STRIPE_API_BASE", "http://127.0.0.1:9")
        .env("DATABASE_URL", "sqlite://q.db");
    let server = Process::serve(&mut command);
    let log = server.log();
    let apart = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| Some(format!("http://{}", line["metrics"].as_str()?)))
        .expect("it says where");
    let (public, watch) = (server.api(""), Client::new(&apart, ""));
    let status = |client: &Client, path: &str| client.send("GET", path, "", "").unwrap().0;
    assert_eq!((status(&public, "/metrics"), status(&public, "/readyz")), (404, 200));
    assert_eq!(
        (status(&watch, "/metrics"), status(&watch, "/readyz"), status(&watch, "/healthz")),
        (200, 200, 200)
    );
    assert_eq!(status(&watch, "/v1/plans"), 404, "nothing else");
    let metrics = watch.send("GET", "/metrics", "", "").unwrap().1;
    assert!(metrics.contains("quittance_aggregates_parked 0"), "gauges are counted when asked: {metrics}");
    assert_eq!(server.interrupt().0.code(), Some(0));
}
