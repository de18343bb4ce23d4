//! A3, C1, E1: `kill -9` of the real binary between acknowledgement and sync, with a provider that stays silent.

use serde_json::{Value, json};

use crate::house::{Client, Process, eventually, pay, quittance, run_json};

/// A sandbox, a database, and what a server on them is told.
struct Site {
    folder: tempfile::TempDir,
    sandbox: Process,
    database: String,
    endpoint: String,
    secret: String,
    key: String,
}

impl Site {
    fn new(database: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Process::start(&mut quittance(
            folder.path(),
            &["sandbox", "--port", "0", "--with-catalog", "--json"],
        ));
        let provider = Client::new(&sandbox.field("url"), "sk_test_any");
        let made = provider
            .form("/v1/webhook_endpoints", "url=http://127.0.0.1:9/webhooks/stripe&enabled_events[0]=*");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        // No sweep may help: what is recovered is recovered from the inbox.
        std::fs::write(folder.path().join("quittance.toml"), "[sweep]\nevery_s = 604800\n").unwrap();
        let database = database
            .map_or_else(|| format!("sqlite://{}", folder.path().join("q.db").display()), str::to_owned);
        let mut site = Self {
            folder,
            sandbox,
            database,
            endpoint: text("id"),
            secret: text("secret"),
            key: String::new(),
        };
        let made = run_json(&mut site.command(&[
            "keys",
            "create",
            "--name",
            "test",
            "--scopes",
            "read,write,admin",
            "--json",
        ]));
        site.key = made["key"].as_str().unwrap().to_owned();
        // The first sweep is over, and the next is due in a week.
        run_json(&mut site.command(&["reconcile", "--json"]));
        site
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = quittance(self.folder.path(), arguments);
        command
            .env("DATABASE_URL", &self.database)
            .env("STRIPE_SECRET_KEY", "sk_test_any")
            .env("STRIPE_WEBHOOK_SECRET", &self.secret)
            .env("STRIPE_API_BASE", self.sandbox.field("url"));
        command
    }

    fn provider(&self) -> Client {
        Client::new(&self.sandbox.field("url"), "sk_test_any")
    }

    /// A server, to which webhooks go from now on.
    fn serve(&self, role: &str) -> Process {
        let server = Process::serve(&mut self.command(&["serve", "--port", "0", "--role", role]));
        let url = format!("url={}/webhooks/stripe", server.field("url"));
        self.provider().form(&format!("/v1/webhook_endpoints/{}", self.endpoint), &url);
        server
    }

    /// The provider sends nothing any more, however long one waits.
    fn silence(&self) {
        self.provider().json("PUT", "/_sandbox/webhooks", &json!({ "paused": true }));
    }

    fn speak(&self) {
        self.provider().json("PUT", "/_sandbox/webhooks", &json!({ "paused": false }));
    }
}

fn events(api: &Client) -> Vec<Value> {
    api.get("/v1/events?limit=100")["data"].as_array().unwrap().clone()
}

fn story(database: Option<&str>) {
    let site = Site::new(database);
    let server = site.serve("api");
    let api = server.api(&site.key);
    let (session, _) = api.checkout("ada");
    pay(&site.provider(), &session);
    eventually("the purchase is acknowledged", || {
        let kinds: Vec<Value> = events(&api).iter().map(|event| event["type"].clone()).collect();
        ["checkout.session.completed", "invoice.paid", "customer.subscription.created"]
            .iter()
            .all(|kind| kinds.contains(&json!(kind)))
            .then_some(())
    });
    assert!(!api.allowed("ada"), "nobody syncs yet");
    site.silence();
    let acknowledged = events(&api).len();
    server.kill_9();

    let server = site.serve("both");
    let api = server.api(&site.key);
    eventually("the stored events are worked off", || api.allowed("ada").then_some(()));
    let after = events(&api);
    assert!(after.len() >= acknowledged, "an acknowledged event is never lost");
    eventually("every one of them", || {
        let list = run_json(&mut site.command(&["events", "list", "--limit", "100", "--json"]));
        list["events"].as_array().unwrap().iter().all(|event| event["state"] == "processed").then_some(())
    });
    // What the sweep found because nobody was there to take it was never delivered.
    for event in &after {
        let deliveries = i64::from(event["source"] == "webhook");
        assert_eq!(event["deliveries"], deliveries, "the provider sent nothing twice: {event}");
    }
    assert_eq!(server.interrupt().0.code(), Some(0));
}

#[test]
fn a3_c1_e1_kill_9_after_the_acknowledgement_loses_nothing_on_sqlite() {
    story(None);
}

#[test]
fn a3_c1_e1_kill_9_after_the_acknowledgement_loses_nothing_on_postgres() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(test) = runtime.block_on(quittance_store::testing::postgres()) else { return };
    story(Some(&test.url));
}

/// One process takes requests, another syncs; what the one commits, the other answers at once.
#[test]
fn api_and_worker_are_two_processes_on_postgres() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(test) = runtime.block_on(quittance_store::testing::postgres()) else { return };
    let site = Site::new(Some(&test.url));
    let server = site.serve("api");
    let api = server.api(&site.key);
    api.json("PUT", "/v1/customers/ada", &json!({}));
    assert!(!api.allowed("ada"), "the answer is in memory now");
    let worker = Process::quiet(&mut site.command(&["worker", "--log", "json"]));
    let (session, _) = api.checkout("ada");
    pay(&site.provider(), &session);
    eventually("the worker's commit reaches the other process", || api.allowed("ada").then_some(()));
    let (status, log) = worker.interrupt();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("access changed") && !server.log().contains("access changed"), "the worker did it");
}

/// Killed at whatever it does just then, again and again: the next one goes on, and nobody is charged twice.
#[test]
fn a3_e1_kill_9_anywhere_converges() {
    let site = Site::new(None);
    let mut server = site.serve("both");
    for number in 0..4 {
        let customer = format!("buyer_{number}");
        let api = server.api(&site.key);
        let before = events(&api).len();
        let (session, _) = api.checkout(&customer);
        pay(&site.provider(), &session);
        eventually("one event is acknowledged", || (events(&api).len() > before).then_some(()));
        server.kill_9();
        site.speak();
        server = site.serve("both");
        let api = server.api(&site.key);
        // What was not acknowledged is sent again, as the provider does; what was, is not.
        for event in site.provider().get("/v1/events?limit=100")["data"].as_array().unwrap() {
            if event["pending_webhooks"].as_i64() != Some(0) {
                site.provider().json(
                    "POST",
                    &format!("/_sandbox/events/{}/deliver", event["id"].as_str().unwrap()),
                    &json!({ "times": 1 }),
                );
            }
        }
        eventually("access", || api.allowed(&customer).then_some(()));
    }
    let ledger = site.provider().get("/_sandbox/ledger");
    for customer in ledger["customers"].as_array().unwrap() {
        assert_eq!(customer["subscriptions"].as_array().unwrap().len(), 1, "{customer}");
        assert_eq!(customer["charges"].as_array().unwrap().len(), 1, "{customer}");
    }
}
