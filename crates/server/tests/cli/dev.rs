//! `quittance dev`, `sandbox` and `demo`, from start to Ctrl-C.

use serde_json::{Value, json};

use crate::house::{Client, Process, Sold, dev, eventually, pay, quittance, run, run_json};

#[test]
fn dev_sells_and_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    assert!(product.said["ready_ms"].is_u64(), "{}", product.said);
    assert_eq!(product.field("api_key"), "qk_dev");
    assert_eq!(product.said["try"].as_array().unwrap().len(), 3);
    let (api, sandbox) = (product.api("qk_dev"), Client::new(&product.field("sandbox_url"), ""));
    assert_eq!(api.send("GET", "/readyz", "", "").unwrap().0, 200);
    assert!(!api.allowed("demo"));
    let (session, _) = api.checkout("demo");
    pay(&sandbox, &session);
    eventually("the webhooks make it true", || api.allowed("demo").then_some(()));
    let metrics = api.send("GET", "/metrics", "", "").unwrap().1;
    for name in [
        "quittance_inbox_events_total",
        "quittance_provider_calls_total",
        "quittance_sync_lag_seconds_bucket",
        "quittance_funnel_total",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    let (status, log) = product.interrupt();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn dev_goes_on_from_its_folder_on_other_ports() {
    let folder = tempfile::tempdir().unwrap();
    let first = dev(folder.path(), &[], &[]);
    let (session, _) = first.api("qk_dev").checkout("ada");
    pay(&Client::new(&first.field("sandbox_url"), ""), &session);
    eventually("bought", || first.api("qk_dev").allowed("ada").then_some(()));
    let sandbox = Client::new(&first.field("sandbox_url"), "");
    sandbox.json("POST", "/_sandbox/time/advance", &json!({ "seconds": 20 * 86_400 }));
    let then = sandbox.get("/_sandbox/time")["now"].as_i64().unwrap();
    let secret = first.field("webhook_secret");
    assert_eq!(first.interrupt().0.code(), Some(0));

    let second = dev(folder.path(), &[], &[]);
    assert_eq!(second.field("webhook_secret"), secret);
    let (api, sandbox) = (second.api("qk_dev"), Client::new(&second.field("sandbox_url"), ""));
    assert!(api.allowed("ada"), "kept");
    assert!(sandbox.get("/_sandbox/time")["now"].as_i64().unwrap() >= then, "the clock goes on");
    // The provider knows the customer still, and its webhooks find the new port.
    let view = api.get("/v1/customers/ada");
    let subscription = view["subscriptions"][0]["id"].as_str().unwrap().to_owned();
    let provider = Client::new(&second.field("sandbox_url"), "sk_test_any");
    let gone = provider.send("DELETE", &format!("/v1/subscriptions/{subscription}"), "", "").unwrap();
    assert_eq!(gone.0, 200, "{}", gone.1);
    eventually("the webhook arrives", || (!api.allowed("ada")).then_some(()));
    let events = api.get("/v1/events?limit=5").to_string();
    assert!(events.contains("customer.subscription.deleted"), "{events}");
}

#[test]
fn dev_sells_what_a_file_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("mine.toml"),
        r#"
        [[feature]]
        key = "map"
        name = { en = "The map", ja = "地図" }
        [[feature]]
        key = "atlas"
        name = { en = "The atlas", ja = "地図帳" }
        [[plan]]
        key = "walker"
        group = "trails"
        name = { en = "Walker", ja = "歩く人" }
        free = true
        features = { map = true }
        [[plan]]
        key = "guide"
        group = "trails"
        name = { en = "Guide", ja = "案内人" }
        features = { map = true, atlas = true }
        [[plan.price]]
        interval = "year"
        currency = "eur"
        amount = 4200
        "#,
    )
    .unwrap();
    let product = dev(folder.path(), &["--catalog", "mine.toml"], &[]);
    let lines = product.said["try"].to_string();
    assert!(lines.contains("entitlements/atlas") && !lines.contains("article:full"), "{lines}");
    assert!(lines.contains(r#"\"plan\":\"guide\",\"interval\":\"year\",\"currency\":\"eur\""#), "{lines}");
    let api = product.api("qk_dev");
    let may = |feature: &str| {
        let answer = api.get(&format!("/v1/customers/demo/entitlements/{feature}"));
        answer["allowed"].as_bool().unwrap()
    };
    assert!(may("map") && !may("atlas"));
    let wish = json!({ "customer": "demo", "plan": "guide", "interval": "year", "currency": "eur" });
    let session = api.json("POST", "/v1/checkouts", &wish)["session"].as_str().unwrap().to_owned();
    pay(&Client::new(&product.field("sandbox_url"), ""), &session);
    eventually("bought", || may("atlas").then_some(()));
    // A command beside it finds the same catalog, wherever it is started.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = product.field("config");
    let (code, out, err) =
        run(&mut quittance(elsewhere.path(), &["--config", &config, "catalog", "check", "--json"]));
    assert!(
        code == 0 && out.contains(r#""demo_catalog":false"#) && out.contains(r#""steps":[]"#),
        "{out}{err}"
    );
    assert_eq!(product.interrupt().0.code(), Some(0));
}

#[test]
fn dev_refuses_what_it_would_not_heed() {
    let folder = tempfile::tempdir().unwrap();
    for flag in ["--config", "--database"] {
        let (code, _, err) = run(&mut quittance(folder.path(), &["dev", flag, "sqlite://q.db"]));
        assert!(code == 2 && err.contains(flag) && err.contains("--catalog"), "{err}");
    }
    let (code, _, err) = run(&mut quittance(folder.path(), &["dev", "--catalog", "nowhere.toml"]));
    assert!(code == 2 && err.contains("nowhere.toml"), "{err}");
}

#[test]
fn dev_lives_a_month_in_a_moment() {
    let Sold { api, sandbox, .. } = &Sold::to_ada();
    let ends = |api: &Client| {
        api.get("/v1/customers/ada/entitlements/article:full")["expires_at"].as_str().unwrap().to_owned()
    };
    let before = ends(api);
    sandbox.json("POST", "/_sandbox/time/advance", &json!({ "seconds": 32 * 86_400 }));
    eventually("the renewal moves the end", || (ends(api) > before && api.allowed("ada")).then_some(()));
}

#[test]
fn dev_sells_again_after_everything_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let (api, sandbox) = (product.api("qk_dev"), Client::new(&product.field("sandbox_url"), ""));
    sandbox.json("POST", "/_sandbox/reset", &Value::Null);
    let (session, _) = api.checkout("ada");
    pay(&sandbox, &session);
    eventually("bought", || api.allowed("ada").then_some(()));
}

#[test]
fn dev_says_in_words_what_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = quittance(folder.path(), &["dev", "--port", "0", "--sandbox-port", "0"]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut text = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    while !text.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut out, &mut text).unwrap() > 0, "{text}");
    }
    for part in [
        "/pricing?customer=demo",
        "/docs",
        "/admin",
        "/_sandbox",
        "qk_dev",
        "curl -s",
        "--data DIR",
        "4242 4242 4242 4242",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let temporary = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Data"))
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    assert!(std::path::Path::new(temporary).join("quittance.db").exists());
    std::process::Command::new("/bin/sh")
        .args(["-c", &format!("kill -TERM {}", child.id())])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!std::path::Path::new(temporary).exists(), "a temporary folder is removed");
}

#[test]
fn the_sandbox_alone_serves_any_program() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["sandbox", "--port", "0", "--seed", "1", "--with-catalog", "--json"];
    let sandbox = Process::start(&mut quittance(folder.path(), &arguments));
    let provider = Client::new(&sandbox.field("url"), &sandbox.field("secret_key"));
    let prices = provider.get("/v1/prices?lookup_keys[]=pro_month_jpy");
    assert_eq!(prices["data"][0]["unit_amount"], 1980);
    assert_eq!(sandbox.interrupt().0.code(), Some(0));
    let (code, _, err) =
        run(&mut quittance(folder.path(), &["sandbox", "--port", "0", "--webhook-url", "here"]));
    assert_eq!((code, err.contains("http://")), (2, true), "{err}");
}

#[test]
fn the_demo_holds_whatever_the_order() {
    let folder = tempfile::tempdir().unwrap();
    for seed in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let (code, out, err) = run(&mut quittance(folder.path(), &["demo", "--seed", seed, "--json"]));
        assert_eq!(code, 0, "seed {seed}: {out}{err}");
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = lines.last().unwrap();
        assert_eq!((lines.len(), &last["passed"], &last["double_charges"]), (9, &json!(true), &json!(0)));
        assert_eq!((&last["summary"]["wrong"], &last["summary"]["refused"]), (&json!(0), &json!(0)));
        assert!(last["summary"]["duplicates"].as_u64() > last["summary"]["events"].as_u64());
    }
    let (code, out, _) = run(&mut quittance(folder.path(), &["demo"]));
    assert_eq!(code, 0);
    assert!(out.contains("Everything held") && out.contains("double charges"), "{out}");
}

#[test]
fn a_port_in_use_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, flag) in [
        (["dev", "--port", &port, "--sandbox-port", "0"], "--port"),
        (["dev", "--port", "0", "--sandbox-port", &port], "--sandbox-port"),
    ] {
        let (code, _, err) = run(&mut quittance(folder.path(), &arguments));
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(&port) && err.contains("in use") && err.contains(flag), "{err}");
    }
}

#[test]
fn dev_takes_the_key_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[("QUITTANCE_API_KEY", "qk_mine")]);
    assert!(!product.api("qk_mine").allowed("demo"));
    assert_eq!(product.api("qk_dev").send("GET", "/v1/plans", "", "").unwrap().0, 401);
    drop(product);
    let bad = run(quittance(folder.path(), &["dev", "--port", "0"]).env("QUITTANCE_API_KEY", "mine"));
    assert!(bad.0 == 2 && bad.2.contains("qk_"), "{}", bad.2);
}

#[test]
fn a_folder_is_used_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = dev(folder.path(), &[], &[]);
    let data = folder.path().join("data");
    let arguments = ["dev", "--port", "0", "--sandbox-port", "0", "--data", data.to_str().unwrap()];
    let (code, _, err) = run(&mut quittance(folder.path(), &arguments));
    assert!(code == 1 && err.contains("another server"), "{err}");
    assert!(
        !run_json(&mut quittance(
            folder.path(),
            &["--config", &first.field("config"), "keys", "list", "--json"]
        ))["keys"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

/// Each step of the funnel is counted when it happens, and only then.
#[test]
fn dev_counts_the_funnel() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let (api, sandbox) = (product.api("qk_dev"), Client::new(&product.field("sandbox_url"), ""));
    let provider = Client::new(&product.field("sandbox_url"), "sk_test_any");
    let steps = |step: &str| {
        let metrics = api.send("GET", "/metrics", "", "").unwrap().1;
        let line = format!("quittance_funnel_total{{event=\"{step}\"}} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line).map(str::to_owned))
    };
    let counted = |step: &str| eventually(step, || (steps(step).as_deref() == Some("1")).then_some(()));
    let advance = |days: i64| {
        sandbox.json("POST", "/_sandbox/time/advance", &json!({ "seconds": days * 86_400 }));
    };
    api.json("PUT", "/v1/customers/eve", &json!({}));
    // Somebody else's purchase that is never paid: nothing was given, and nothing is taken away.
    let price =
        provider.get("/v1/prices?lookup_keys[]=pro_month_jpy")["data"][0]["id"].as_str().unwrap().to_owned();
    let stranger =
        provider.form("/v1/customers", "metadata[quittance_customer]=eve")["id"].as_str().unwrap().to_owned();
    let form = format!("customer={stranger}&items[0][price]={price}&payment_behavior=default_incomplete");
    provider.form("/v1/subscriptions", &form);
    advance(2);
    let access = || api.get("/v1/customers/eve")["access"].clone();
    eventually("its time is over", || (access() == json!("revoked")).then_some(()));

    api.json("PUT", "/v1/customers/ada", &json!({ "email": "ada@example.com" }));
    let (session, _) = api.checkout("ada");
    counted("checkout_started");
    pay(&sandbox, &session);
    counted("checkout_completed");
    eventually("bought", || api.allowed("ada").then_some(()));
    api.json("POST", "/v1/customers/ada/portal", &json!({}));
    counted("portal_opened");
    assert_eq!(steps("payment_failed_notified"), None);
    let subscription = api.get("/v1/customers/ada")["subscriptions"][0]["id"].as_str().unwrap().to_owned();
    let buyer =
        provider.get(&format!("/v1/subscriptions/{subscription}"))["customer"].as_str().unwrap().to_owned();
    let card =
        provider.form("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={buyer}"));
    let form = format!("default_payment_method={}", card["id"].as_str().unwrap());
    provider.form(&format!("/v1/subscriptions/{subscription}"), &form);
    advance(32);
    counted("payment_failed_notified");
    assert_eq!(steps("entitlement_revoked"), None, "nothing that was given has ended yet");
    advance(40);
    eventually("it is over", || (!api.allowed("ada")).then_some(()));
    counted("entitlement_revoked");
    let (_, log) = product.interrupt();
    for (event, field) in [
        ("checkout_started", "pro"),
        ("portal_opened", "ada"),
        ("payment_failed_notified", &subscription),
        ("entitlement_revoked", &subscription),
    ] {
        let line = log.lines().find(|line| {
            line.contains(&format!("step=\"{event}\"")) || line.contains(&format!("\"step\":\"{event}\""))
        });
        assert!(
            line.is_some_and(|line| line.contains(field) && line.contains("ada")),
            "{event}, {field}: {log}"
        );
    }
    let told = log.lines().find(|line| line.contains("access changed") && line.contains(&subscription));
    assert!(told.is_some_and(|line| line.contains("active") && line.contains("evt_")), "{log}");
    assert!(log.contains("event accepted") && !log.contains("ada@example.com"), "{log}");
}
