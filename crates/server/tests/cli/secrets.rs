//! Nothing that must stay secret is in a log line, in a metric or in the database, however much is logged.

use serde_json::json;

use crate::house::{Client, dev, eventually, quittance, run};

const CARD: &str = "4242424242424242";
const CVC: &str = "737";
const EMAIL: &str = "planted.person@example.net";
const NAME: &str = "Plantagenet Buyername";
const KEY: &str = "qk_planted_key_of_this_test";

fn form_encoded(text: &str) -> String {
    text.replace(' ', "+").replace('@', "%40")
}

#[test]
fn a_purchase_leaves_no_card_address_name_or_key_behind() {
    let folder = tempfile::tempdir().unwrap();
    let product =
        dev(folder.path(), &["--log", "json"], &[("RUST_LOG", "trace"), ("QUITTANCE_API_KEY", KEY)]);
    let api = product.api(KEY);
    let (_, page) = api.checkout("planted_customer");
    let path = page.trim_start_matches(&product.field("sandbox_url")).to_owned();
    let typed = format!(
        "number={CARD}&expiry=12%2F34&cvc={CVC}&name={}&email={}",
        form_encoded(NAME),
        form_encoded(EMAIL)
    );
    let browser = Client::new(&product.field("sandbox_url"), "");
    let (status, answer) = browser.send("POST", &path, "application/x-www-form-urlencoded", &typed).unwrap();
    assert!((300..400).contains(&status), "{status} {answer}");
    eventually("bought", || api.allowed("planted_customer").then_some(()));
    // Refusals are logged as well, and must not repeat what was refused.
    api.send(
        "POST",
        "/v1/checkouts",
        "application/json",
        &format!("{{\"customer\":\"{NAME}\",\"x\":\"{EMAIL}\"}}"),
    )
    .unwrap();
    api.send("POST", "/webhooks/stripe", "application/json", &format!("{{\"email\":\"{EMAIL}\"}}")).unwrap();
    Client::new(&product.field("url"), "qk_planted_wrong_key").send("GET", "/v1/plans", "", "").unwrap();
    // The secret of an endpoint of the app is in one answer, and nowhere else.
    let endpoint = json!({ "url": "http://127.0.0.1:9/hooks", "description": "nobody listens" });
    let made = api.json("POST", "/v1/webhook-endpoints", &endpoint);
    let endpoint_secret = made["secret"].as_str().unwrap().trim_start_matches("whsec_").to_owned();
    let path = format!("/v1/webhook-endpoints/{}/rotate-secret", made["id"].as_str().unwrap());
    let rotated = api.json("POST", &path, &json!({}));
    let rotated_secret = rotated["secret"].as_str().unwrap().trim_start_matches("whsec_").to_owned();
    let metrics = api.send("GET", "/metrics", "", "").unwrap().1;
    let (secret, config) = (product.field("webhook_secret"), product.field("config"));
    let events = run(&mut quittance(folder.path(), &["--config", &config, "events", "list", "--json"])).1;
    let data = folder.path().join("data");
    let (status, log) = product.interrupt();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("stripe call"), "the log was searched, and it says much: {} bytes", log.len());

    let mut stored = Vec::new();
    for name in ["quittance.db", "quittance.db-wal"] {
        stored.extend(std::fs::read(data.join(name)).unwrap_or_default());
    }
    let stored = String::from_utf8_lossy(&stored).into_owned();
    assert!(stored.contains("planted_customer"), "the database was searched");
    let places = [("log", &log), ("metrics", &metrics), ("events", &events), ("database", &stored)];
    let cvc = [format!("cvc={CVC}"), format!("cvc\":\"{CVC}"), format!("cvc\\\":\\\"{CVC}")];
    let form_name = form_encoded(NAME);
    let mut planted = vec![
        CARD,
        EMAIL,
        NAME,
        KEY,
        &form_name,
        &secret,
        "sk_test_sandbox",
        "qk_planted_wrong_key",
        "planted.person",
        &endpoint_secret,
        &rotated_secret,
    ];
    planted.extend(cvc.iter().map(String::as_str));
    for (place, text) in places {
        for secret in &planted {
            if let Some(at) = text.find(secret) {
                let around: String =
                    text[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{secret} stands in the {place}, after: {around}");
            }
        }
    }
}
