//! The benchmark's own parts: that it sends what it says, counts what is answered, and fills what the schema asks for.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use xtask::clock::poll;
use xtask::cluster::{Cluster, Durability, free_port};

use crate::bare;
use crate::fill::Database;
use crate::http::Client;
use crate::load::{self, Requests};
use crate::product::{TEMPLATE, WEBHOOK_SECRET};
use crate::report::{grouped, ratio};
use crate::requests::{Checks, Webhooks};

fn written(requests: &dyn Requests, number: usize) -> Option<String> {
    let mut buffer = b"what was there before".to_vec();
    requests.write(number, &mut buffer).then(|| String::from_utf8(buffer).expect("text"))
}

#[test]
fn webhooks_are_signed_over_what_is_sent_and_never_repeat() {
    let webhooks = Webhooks::sign("/webhooks/stripe", "whsec_1", 7, 3).expect("signed");
    let first = written(&webhooks, 0).expect("a first one");
    let (head, body) = first.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /webhooks/stripe HTTP/1.1\r\n"));
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
    let event: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(event["data"]["object"]["customer"], "cus_bench00000000");

    let (_, header) = head.split_once("Stripe-Signature: t=").expect("a signature");
    let (time, signature) = header.split_once(",v1=").expect("both parts");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"whsec_1").expect("a key");
    mac.update(format!("{time}.{body}").as_bytes());
    assert_eq!(hex::encode(mac.finalize().into_bytes()), signature);

    let second = written(&webhooks, 1).expect("a second one");
    assert_eq!(second.len(), first.len());
    assert_ne!(second.split_once("\r\n\r\n").map(|(_, body)| body), Some(body));
    assert_eq!(written(&webhooks, 3), None, "only three were signed");
}

#[test]
fn checks_visit_every_customer() {
    let checks = Checks::new("/v1/customers/{customer}/entitlements/a:b", "qk", 1_000).expect("a path");
    let lines: std::collections::BTreeSet<String> =
        (0..1_000).filter_map(|number| written(&checks, number)).collect();
    assert_eq!(lines.len(), 1_000);
    assert!(
        lines.iter().all(|line| line.starts_with("GET /v1/customers/bench_") && line.ends_with("\r\n\r\n"))
    );
}

#[test]
fn the_generator_counts_each_answer_once() {
    let port = free_port().expect("a port");
    thread::spawn(move || bare::serve(port));
    let client = Client { port, key: String::new() };
    poll(std::time::Duration::from_secs(10), || client.get("/readyz").ok()).expect("the bare server is up");

    let webhooks: Arc<dyn Requests> =
        Arc::new(Webhooks::sign("/webhooks/stripe", "s", 1, 500).expect("signed"));
    let load = load::run(port, 8, 60, webhooks).expect("a run");
    assert_eq!((load.answered, load.refused), (500, 0));
    assert!(load.per_second() > 0 && load.percentile(50) <= load.percentile(99));

    let repeated = Webhooks::sign(bare::VERIFYING_PATH, WEBHOOK_SECRET, 1, 2).expect("signed").repeated();
    assert!(written(&repeated, 7).is_some());
    let forged: Arc<dyn Requests> =
        Arc::new(Webhooks::sign(bare::VERIFYING_PATH, "s", 1, 3).expect("signed"));
    assert_eq!(load::run(port, 1, 60, forged).expect("a run").refused, 3);
    let valid: Arc<dyn Requests> =
        Arc::new(Webhooks::sign(bare::VERIFYING_PATH, WEBHOOK_SECRET, 1, 3).expect("signed"));
    assert_eq!(load::run(port, 1, 60, valid).expect("a run").answered, 3);

    let nowhere: Arc<dyn Requests> = Arc::new(Webhooks::sign("/nowhere", "s", 1, 5).expect("signed"));
    let load = load::run(port, 2, 60, nowhere).expect("a run");
    assert_eq!((load.answered, load.refused), (0, 5));
    assert!(load.first_refusal.is_some_and(|answer| answer.starts_with("HTTP/1.1 404")));
}

#[test]
fn figures_are_written_without_floats() {
    assert_eq!(ratio(1, 3), "0.33");
    assert_eq!(ratio(250, 100), "2.50");
    assert_eq!(ratio(1, 0), "1.00");
    assert_eq!(grouped(7), "7");
    assert_eq!(grouped(1_234_567), "1 234 567");
}

/// The newest schema, as the store's migrations make it on one of the databases, which its blocks call so.
fn schema(database: &str, identity: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/store/migrations");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the store has migrations")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    let (mut text, mut block) = (String::new(), None);
    for file in &files {
        for line in fs::read_to_string(file).expect("SQL").lines() {
            match line.strip_prefix("--! ") {
                Some("end") => block = None,
                Some(of) => block = Some(of.to_owned()),
                None if block.as_deref().is_none_or(|of| of == database) => text.extend([line, "\n"]),
                None => {}
            }
        }
    }
    let text = text.replace("{IDENTITY}", identity).replace("{BINARY}", "");
    assert!(!text.contains("{BLOB}"), "name the type of bytes here too");
    text
}

const ROWS: &str = "
INSERT INTO customers (id, email, name, locale, metadata, created_at, updated_at, version)
  VALUES ('bench_template', 'bench_template@example.com', NULL, NULL, '{}', 1, 1, 1);
INSERT INTO provider_customers (scope, provider_customer, customer, linked_by, created_at)
  VALUES ('stripe/acct/test', 'cus_A', 'bench_template', 'created', 1);
INSERT INTO subscriptions VALUES ('stripe/acct/test', 'sub_A', 'stripe/test/self/customer/cus_A', 'bench_template', 'active', 'pro', 'd', '{\"id\":\"sub_A\"}', 1, 1);
INSERT INTO events (provider, account, event_id, livemode, type, aggregate, mark, payload, sha256, source, created_at, received_at, deliveries)
  VALUES ('stripe', 'acct', 'evt_A', FALSE, 'a', 'stripe/test/self/customer/cus_A', 1, 'cus_A', '', 'webhook', 1, 1, 1),
         ('stripe', 'acct', 'evt_B', FALSE, 'b', 'stripe/test/self/customer/cus_A', 2, 'cus_A', '', 'webhook', 1, 1, 1);
";

fn fills(database: &Database) {
    database.remember().expect("the template is put aside");
    database.fill(0, 10, 5).expect("ten customers");
    database.fill(10, 100, 5).expect("a hundred customers");
    let counts = ["customers", "provider_customers", "subscriptions", "events"]
        .map(|table| database.count(table).expect("a count"));
    assert_eq!(counts, [101, 101, 101, 502]);
    let copies = database
        .column("SELECT customer || ' ' || id || ' ' || aggregate || ' ' || data FROM subscriptions WHERE customer = 'bench_42'")
        .expect("rows");
    assert_eq!(copies, ["bench_42 sub_Ax42 stripe/test/self/customer/cus_Ax42 {\"id\":\"sub_Ax42\"}"]);
}

#[test]
fn sqlite_is_filled_from_one_customer() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("fill.db");
    let connection = rusqlite::Connection::open(&path).expect("SQLite");
    connection
        .execute_batch(&(schema("sqlite", "INTEGER PRIMARY KEY") + ROWS))
        .expect("the schema and the template's rows");
    fills(&Database::open(&format!("sqlite://{}", path.display())).expect("SQLite"));
    assert!(connection.query_row("SELECT 1 FROM customers WHERE id = ?1", [TEMPLATE], |_| Ok(())).is_ok());
}

#[test]
fn postgresql_is_filled_from_one_customer() {
    if std::env::var_os("QUITTANCE_TEST_POSTGRES").is_none() {
        eprintln!("SKIPPED: no QUITTANCE_TEST_POSTGRES; `cargo xtask test` sets it");
        return;
    }
    let cluster = Cluster::start(Durability::None).expect("PostgreSQL");
    let database = Database::open(&cluster.url()).expect("PostgreSQL");
    database
        .run(&(schema("pg", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY") + ROWS))
        .expect("the schema and the template's rows");
    fills(&database);
}
