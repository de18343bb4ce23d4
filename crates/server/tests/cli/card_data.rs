//! Card data never touches this server: what is typed on the provider's page, or in its frame on a page of the app, is looked for
//! in every byte that the server was sent, in its log at the most talkative, and in its database: every file of an SQLite one, every
//! row of a PostgreSQL one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use quittance_store::testing::TestDb;
use quittance_store::{Sql, params};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::house::{Client, Process, eventually, quittance, run_json};

/// As a buyer types it, and as a program would pass it on.
const NUMBERS: [&str; 6] = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242+4242+4242+4242",
    "4000000000000002",
    "4000 0000 0000 0002",
    "4000+0000+0000+0002",
];
const CARD: &str =
    "number=4242+4242+4242+4242&expiry=11%2F37&cvc=9173&name=ZELDA+CARDHOLDER&email=zelda%40example.com";
/// The expiry as it was typed and passed on. The provider's own words of a month (`exp_year`) may be kept.
const EXPIRIES: [&str; 2] = ["11/37", "11%2F37"];
/// Names of the field that holds the security code.
const CODES: [&str; 4] = ["cvc", "cvv", "csc", "security_code"];
const CODE: &str = "9173";
/// The owner's name, which the provider's webhooks carry and nothing keeps.
const OWNER: &str = "ZELDA";

/// Stands before the server and keeps every byte that goes to it.
struct Ear {
    url: String,
    heard: Arc<Mutex<Vec<u8>>>,
    server: Arc<Mutex<Option<SocketAddr>>>,
}

impl Ear {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let server: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let (kept, to) = (heard.clone(), server.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Some(to) = *to.lock().expect("the address") else { continue };
                let Ok(server) = TcpStream::connect(to) else { continue };
                let (kept, there) = (kept.clone(), server.try_clone().expect("a handle"));
                let back = client.try_clone().expect("a handle");
                std::thread::spawn(move || pass(client, there, Some(&kept)));
                std::thread::spawn(move || pass(server, back, None));
            }
        });
        Self { url, heard, server }
    }

    fn of(&self, server: &Process) {
        let url = server.field("url");
        *self.server.lock().expect("the address") = url.trim_start_matches("http://").parse().ok();
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().expect("what was heard")).into_owned()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, kept: Option<&Mutex<Vec<u8>>>) {
    let mut part = [0_u8; 8192];
    while let Ok(count @ 1..) = from.read(&mut part) {
        if let Some(kept) = kept {
            kept.lock().expect("what was heard").extend_from_slice(&part[..count]);
        }
        if to.write_all(&part[..count]).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(std::net::Shutdown::Write);
}

/// Every row of every table, as text.
static ROWS: Sql = Sql::registered(
    "test.card_data_rows",
    "SELECT string_agg(query_to_xml(format('SELECT * FROM %I', table_name), true, true, '')::text, '') AS text
     FROM information_schema.tables WHERE table_schema = 'public'",
);

/// Where everything is kept.
enum Kept<'a> {
    Files(&'a Path),
    Rows(&'a Runtime, &'a TestDb),
}

impl Kept<'_> {
    fn url(&self) -> String {
        match self {
            Self::Files(folder) => format!("sqlite://{}", folder.join("q.db").display()),
            Self::Rows(_, test) => test.url.clone(),
        }
    }

    fn all(&self) -> String {
        match self {
            Self::Files(folder) => files(folder),
            Self::Rows(runtime, test) => {
                let rows = runtime.block_on(test.db.read("test.card_data", |tx| tx.query(&ROWS, params![])));
                rows.expect("rows").first().expect("a row").text("text").expect("text")
            }
        }
    }
}

/// Everything in the folder's files, as text.
fn files(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_file() {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).expect("a file")));
        }
    }
    all
}

/// Whether the digits of the code follow on the name of its field; alone they may be part of any number.
fn tells_the_code(text: &str) -> bool {
    let text = text.to_lowercase();
    let told = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let after: String = text.get(at + name.len()..).unwrap_or_default().chars().take(12).collect();
            after.contains(CODE)
        })
    };
    CODES.into_iter().any(told)
}

#[test]
fn the_scan_finds_a_code_that_is_there() {
    for found in [CARD, r#"{"card":{"cvc": "9173"}}"#, "card%5Bcvc%5D=9173"] {
        assert!(tells_the_code(found), "{found}");
    }
    assert!(!tells_the_code(r#"{"cvc_check":"pass","took":9173}"#));
}

#[test]
fn card_data_is_in_no_request_no_log_line_and_no_file_of_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    card_data_is_nowhere(&Kept::Files(folder.path()));
}

#[test]
fn card_data_is_in_no_request_no_log_line_and_no_row_of_postgres() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let Some(test) = runtime.block_on(quittance_store::testing::postgres()) else { return };
    card_data_is_nowhere(&Kept::Rows(&runtime, &test));
}

fn card_data_is_nowhere(kept: &Kept<'_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = Process::start(&mut quittance(
        folder.path(),
        &["sandbox", "--port", "0", "--with-catalog", "--json"],
    ));
    let provider = Client::new(&sandbox.field("url"), "sk_test_any");
    let ear = Ear::new();
    let form = format!("url={}/webhooks/stripe&enabled_events[0]=*", ear.url);
    let endpoint = provider.form("/v1/webhook_endpoints", &form);
    let command = |arguments: &[&str]| {
        let mut command = quittance(folder.path(), arguments);
        command
            .env("DATABASE_URL", kept.url())
            .env("STRIPE_SECRET_KEY", "sk_test_any")
            .env("STRIPE_PUBLISHABLE_KEY", "pk_test_any")
            .env("STRIPE_WEBHOOK_SECRET", endpoint["secret"].as_str().expect("a secret"))
            .env("STRIPE_API_BASE", sandbox.field("url"))
            .env("QUITTANCE_PUBLIC_URL", &ear.url)
            .env("RUST_LOG", "trace");
        command
    };
    let scopes = ["keys", "create", "--name", "test", "--scopes", "read,write,admin", "--json"];
    let key = run_json(&mut command(&scopes))["key"].as_str().expect("a key").to_owned();
    let server = Process::serve(&mut command(&["serve", "--port", "0"]));
    ear.of(&server);
    let api = Client::new(&ear.url, &key);

    for ui in ["hosted", "embedded", "elements", "payment_intent"] {
        let body =
            json!({ "customer": ui, "plan": "course", "interval": "once", "currency": "jpy", "ui": ui });
        let made = api.json("POST", "/v1/checkouts", &body);
        let session = made["session"].as_str().expect("a session");
        // The provider's own page, or its frame on a page of the app: both are the provider's, and so is what is typed.
        let page = match made["client_secret"].as_str() {
            None => format!("/c/pay/{session}"),
            Some(secret) => {
                format!("/embed/{session}?secret={secret}&return_url={}/checkout/return", ear.url)
            }
        };
        let kind = "application/x-www-form-urlencoded";
        let (status, answer) = provider.send("POST", &page, kind, CARD).expect("an answer");
        assert!(status < 400, "{ui}: {status} {answer}");
        let back = format!("/checkout/return?session_id={session}");
        api.send("GET", &back, "text/plain", "").expect("the buyer comes back");
        let path = format!("/v1/customers/{ui}/entitlements/course:library");
        eventually("it is paid", || (api.get(&path)["allowed"] == true).then_some(()));
        api.get(&format!("/v1/customers/{ui}"));
        api.get(&format!("/v1/customers/{ui}/timeline"));
    }
    // A plan that renews, whose first card is declined.
    let body = json!({ "customer": "pro", "plan": "pro", "interval": "month", "currency": "jpy" });
    let made = api.json("POST", "/v1/checkouts", &body);
    let page = format!("/c/pay/{}", made["session"].as_str().expect("a session"));
    let form = "application/x-www-form-urlencoded";
    let declined = CARD.replace("4242+4242+4242+4242", "4000+0000+0000+0002");
    let (_, answer) = provider.send("POST", &page, form, &declined).expect("an answer");
    assert!(answer.contains("declined"), "{answer}");
    let (status, answer) = provider.send("POST", &page, form, CARD).expect("an answer");
    assert!(status < 400, "{status} {answer}");
    eventually("it is subscribed to", || api.allowed("pro").then_some(()));
    eventually("the webhooks are here", || {
        let all = api.get("/v1/events?limit=100");
        (all["data"].as_array().expect("events").len() > 8).then_some(())
    });

    let (heard, stored) = (ear.heard(), kept.all());
    // The ear hears, and the files are read.
    assert!(heard.contains("/webhooks/stripe") && heard.contains("payment_intent"), "webhooks pass here");
    assert!(stored.contains("payment_intent.succeeded") && stored.contains("quittance_checkout"), "stored");
    let (_, log) = server.interrupt();
    assert!(log.contains("TRACE") && log.contains("/v1/checkouts"), "the log is at its most talkative");
    let stored = format!("{stored}{}", kept.all());
    for (place, text) in [("a request", &heard), ("the log", &log), ("the database", &stored)] {
        for number in NUMBERS {
            assert!(!text.contains(number), "{number} is in {place}");
        }
        for expiry in EXPIRIES {
            assert!(!text.contains(expiry), "{expiry} is in {place}");
        }
        assert!(!tells_the_code(text), "the security code is in {place}");
    }
    assert!(!log.contains(OWNER) && !stored.contains(OWNER), "the name on the card is kept nowhere");
}
