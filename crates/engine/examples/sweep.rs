//! How many calls, how long and how much memory one sweep takes: the provider is a sandbox in a process of its own, so that the
//! memory that is measured is the sweeping side's.
//!
//! `sweep [--subscriptions N] [--missed N] [--postgres]`. It makes the subscriptions at the provider, imports them, then sweeps: first
//! after the import, then with nothing to find, then after some webhooks never came. `cargo xtask bench -- sweep` runs it; with
//! `--postgres` beside `cargo xtask postgres`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark measures real time and stops at the first surprise"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quittance_domain::{Catalog, Timestamp};
use quittance_engine::import::ImportOptions;
use quittance_engine::progress::{LongRun, RunState};
use quittance_engine::sweep::SweepReport;
use quittance_engine::world::SystemWorld;
use quittance_engine::{Engine, Settings, World};
use quittance_sandbox::{DeliveryPolicy, HttpRequest, Sandbox, SandboxConfig};
use quittance_store::testing::{postgres_with, sqlite_with};
use quittance_store::{Db, Options};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use quittance_stripe::transport::{HttpsTransport, TransportConfig};

const KEY: &str = "sk_test_sweep";
/// How often progress is told.
const SHOWN_EVERY: Duration = Duration::from_secs(5);
/// How long before the import the subscriptions began, in seconds: their events are an old story to it.
const AGO_S: i64 = 86_400;
/// Objects on a page at most.
const PAGE: u64 = 100;

fn number(name: &str, default: u64) -> u64 {
    let given: Vec<String> = std::env::args().collect();
    let place = given.iter().position(|word| word == name);
    place.and_then(|place| given.get(place + 1)?.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    if std::env::args().any(|word| word == "--provider") {
        provide().await;
        return;
    }
    let (subscriptions, missed) = (number("--subscriptions", 100_000), number("--missed", 500));
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--provider", "--subscriptions", &subscriptions.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the provider starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let url = lines.next().expect("a line").expect("its address");
    let made = lines.next().expect("a line").expect("how long it took");
    println!("made {subscriptions} subscriptions at the provider in {made} s");
    let outcome = measure(&url, subscriptions, missed).await;
    let _killed = child.kill();
    let _reaped = child.wait();
    if !outcome {
        std::process::exit(1);
    }
}

/// Whether the calls stay within a twentieth of the fewest that the page size allows.
async fn measure(url: &str, subscriptions: u64, missed: u64) -> bool {
    let test = if std::env::args().any(|word| word == "--postgres") {
        postgres_with(Options::default()).await.expect("beside `cargo xtask postgres`")
    } else {
        sqlite_with(Options::default()).await
    };
    println!("on {}", test.db.dialect().name());
    let calls = Arc::new(AtomicU64::new(0));
    let engine = open(test.db.clone(), url, &calls).await;
    let begun = Instant::now();
    let showing = tokio::spawn(show(engine.clone()));
    let report = engine.import(&ImportOptions::default()).await.expect("imported").expect("alone");
    showing.abort();
    let agrees = report.agrees();
    println!(
        "import: {} s, {} calls for lists, {} in all, {} syncs, counts agree: {agrees}, resident {} MiB",
        begun.elapsed().as_secs(),
        report.calls,
        calls.swap(0, Ordering::Relaxed),
        report.syncs,
        resident_mib()
    );
    let first = swept("first sweep after the import", &engine, &calls).await;
    let quiet = swept("sweep with nothing to find", &engine, &calls).await;
    change(url, missed).await;
    let busy =
        swept(&format!("sweep after {missed} changes of which no webhook came"), &engine, &calls).await;
    let least = |report: &SweepReport| {
        let pages = |n: u64| n.div_ceil(PAGE).max(1);
        // A run by hand lists the customers too.
        pages(report.subscriptions) + pages(report.events) + pages(report.customers)
    };
    let mut within = agrees;
    for (name, report) in [("first", &first), ("quiet", &quiet), ("busy", &busy)] {
        let (used, least) = (report.calls, least(report));
        println!("{name}: {used} calls, {least} at least: {} % more", more(used, least));
        within &= used * 20 <= least * 21;
        assert_eq!(
            (report.subscriptions, report.customers),
            (subscriptions, subscriptions),
            "all are compared"
        );
    }
    assert_eq!(busy.differing, missed, "every change is found");
    assert_eq!((quiet.findings, quiet.missed_events), (0, 0), "{quiet:?}");
    within
}

/// How many hundredths of a percent more than the fewest were used.
fn more(used: u64, least: u64) -> String {
    let hundredths = used.saturating_sub(least) * 10_000 / least.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

async fn swept(name: &str, engine: &Engine, calls: &AtomicU64) -> SweepReport {
    calls.store(0, Ordering::Relaxed);
    let (before, begun) = (resident_mib(), Instant::now());
    let report = engine.sweep(true, false).await.expect("swept").expect("alone");
    println!(
        "{name}: {:.1} s, {} calls on the wire, {} events, {} differ, resident {before} MiB before, {} after, {} at most",
        begun.elapsed().as_secs_f64(),
        calls.load(Ordering::Relaxed),
        report.events,
        report.differing,
        resident_mib(),
        status_mib("VmHWM:"),
    );
    report
}

/// Tells every few seconds how far the import is.
async fn show(engine: Engine) {
    loop {
        tokio::time::sleep(SHOWN_EVERY).await;
        if let Ok(Some(RunState { progress: Some(p), .. })) = engine.run_state(LongRun::Import).await {
            eprintln!("  {}: {} of {:?}, {} a second", p.step, p.done, p.of, p.per_second);
        }
    }
}

async fn open(db: Db, url: &str, calls: &Arc<AtomicU64>) -> Engine {
    let world = Arc::new(SystemWorld::default());
    let mut config = StripeConfig::new(KEY.to_owned().into(), false);
    config.api_base = url.to_owned();
    // No limit of the provider's is measured here.
    config.limits = RateLimits {
        per_second: 100_000,
        per_endpoint_per_second: 100_000,
        sweep_reserve: 0,
        ..config.limits
    };
    let transport = TransportConfig { use_system_proxy: false, ..TransportConfig::default() };
    let transport = Arc::new(HttpsTransport::new(&transport).expect("a transport"));
    let (clock, counted) = (world.clone(), calls.clone());
    let now = Arc::new(move || clock.now().ms());
    let count = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let client = StripeClient::new(config, transport, now, count).expect("a client").reading_only();
    let catalog = Catalog::parse(include_str!("../../../catalog.toml")).expect("the demo catalog");
    let settings = Settings { sync_concurrency: 16, ..Settings::default() };
    Engine::open(db, Arc::new(client), Arc::new(catalog), settings, world).await.expect("an engine")
}

/// Lets `count` subscriptions end at the provider.
async fn change(url: &str, count: u64) {
    let transport = HttpsTransport::new(&TransportConfig { use_system_proxy: false, ..Default::default() });
    let config = StripeConfig {
        api_base: url.to_owned(),
        limits: fast(),
        ..StripeConfig::new(KEY.to_owned().into(), false)
    };
    let now = Arc::new(|| 0);
    let client = StripeClient::new(config, Arc::new(transport.expect("a transport")), now, Arc::new(|_| {}));
    let client = client.expect("a client");
    use quittance_stripe::calls::subscriptions::{CancelSubscription, ListSubscriptions, cancel, list};
    use quittance_stripe::client::Priority;
    let mut after: Option<String> = None;
    let mut left = count;
    while left > 0 {
        let paging =
            quittance_stripe::calls::Paging { starting_after: after.as_deref(), ..Default::default() };
        let page =
            client.send(list(&ListSubscriptions { paging, ..Default::default() }), Priority::Live).await;
        let page = page.expect("a page");
        for found in page.items.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            client
                .send(cancel(&found.id, CancelSubscription::default()), Priority::Live)
                .await
                .expect("ended");
            left -= 1;
        }
        after = page.last_id;
    }
}

fn fast() -> RateLimits {
    RateLimits { per_second: 1_000_000, per_endpoint_per_second: 1_000_000, ..RateLimits::for_mode(false) }
}

fn resident_mib() -> u64 {
    status_mib("VmRSS:")
}

fn status_mib(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The provider: as many customers, each with a card and a subscription, and no webhooks.
async fn provide() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    println!("{url}");
    let begun = Instant::now();
    let now = Timestamp::from_ms(SystemWorld::default().now().ms()).seconds();
    let sandbox = Sandbox::new(SandboxConfig {
        seed: Some(1),
        public_url: url,
        start_time: Some(now - AGO_S),
        ..SandboxConfig::default()
    });
    sandbox.set_delivery_policy(DeliveryPolicy { drop: 1.0, ..DeliveryPolicy::default() }).expect("a policy");
    let post = |path: &str, form: &str| {
        let answer = sandbox.handle(HttpRequest::new("POST", path, KEY, form));
        assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.value()["id"].as_str().expect("an id").to_owned()
    };
    let product = post("/v1/products", "name=Pro");
    let price = format!(
        "product={product}&currency=jpy&unit_amount=1980&recurring[interval]=month&lookup_key=pro_month_jpy"
    );
    let price = post("/v1/prices", &price);
    let all = number("--subscriptions", 100_000);
    for n in 0..all {
        if n > 0 && n % (all / 10).max(1) == 0 {
            eprintln!("  made {n} of {all} in {} s", begun.elapsed().as_secs());
        }
        let customer = post("/v1/customers", &format!("metadata[quittance_customer]=user_{n}"));
        let card = post("/v1/payment_methods/pm_card_visa/attach", &format!("customer={customer}"));
        post(
            "/v1/subscriptions",
            &format!("customer={customer}&items[0][price]={price}&default_payment_method={card}"),
        );
    }
    println!("{}", begun.elapsed().as_secs());
    // From here on its clock goes with the real one, as a provider's does.
    let clock = sandbox.clone();
    tokio::spawn(async move {
        loop {
            let behind = SystemWorld::default().now().ms() / 1_000 - clock.now_ms() / 1_000;
            clock.advance_time(behind.max(0));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    sandbox.serve(listener, std::future::pending::<()>()).await;
}
