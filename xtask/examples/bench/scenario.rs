//! What is measured, in which order, and against which aim.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;
use xtask::clock::poll;
use xtask::cluster::{Cluster, Durability};
use xtask::interrupt;

use crate::Arguments;
use crate::bare::VERIFYING_PATH;
use crate::disk;
use crate::fill::Database;
use crate::http::Client;
use crate::load::{self, Load, Requests};
use crate::process::Server;
use crate::product::{Product, Role, TEMPLATE, WEBHOOK_SECRET, counters_by};
use crate::report::{Figure, Report, grouped, ratio};
use crate::requests::{Checks, Webhooks};
use crate::yardstick::{bare, machine, unkept};

/// How many connections send at once.
pub const CONNECTIONS: [usize; 3] = [1, 32, 128];
const SMALL: u64 = 1_000;
/// Where webhooks go.
pub const WEBHOOK_PATH: &str = "/webhooks/stripe";
/// Where entitlements are checked.
pub const CHECK_PATH: &str = "/v1/customers/{customer}/entitlements/article:full";
/// More events than a server on such a machine can keep in a second.
pub const MOST_PER_SECOND: u64 = 50_000;

/// Runs within which every customer must have been asked about once.
const MOST_ROUNDS: u32 = 30;

/// Runs everything and returns the figures.
pub fn run(arguments: &Arguments) -> Result<Report> {
    let release = arguments.release.canonicalize().context("no release build: run `cargo xtask bench`")?;
    let mut bench = Bench::start(arguments, &release)?;
    let wanted = |name: &str| arguments.database.as_deref().is_none_or(|only| only == name);
    if wanted("sqlite") {
        let url = format!("sqlite://{}", bench.folder.path().join("bench.db").display());
        bench.database("SQLite", &url)?;
    }
    if wanted("postgres") {
        let cluster = Cluster::start(Durability::Full)?;
        bench.database("PostgreSQL", &cluster.url())?;
    }
    bench.in_process(&release)?;
    Ok(bench.report)
}

struct Bench<'a> {
    arguments: &'a Arguments,
    binary: PathBuf,
    bare: Server,
    /// Tells runs apart, so that no event is sent twice.
    run: u32,
    report: Report,
    // Last: the servers above end before their files go.
    folder: TempDir,
}

impl<'a> Bench<'a> {
    fn start(arguments: &'a Arguments, release: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("quittance-bench-").tempdir()?;
        let bare = bare(release, folder.path())?;
        let binary = release.join("quittance");
        let mut report = Report::default();
        report.note(machine());
        Ok(Self { arguments, binary, bare, run: 0, report, folder })
    }

    /// Everything on one database, small and then large.
    fn database(&mut self, name: &str, url: &str) -> Result<()> {
        // A provider of its own: the first sweep reads every event that the provider has, and another database's would be
        // counted as calls of this one's checkouts.
        let product = Product::start(&self.binary, self.folder.path())?;
        let key = product.prepare(url)?;
        self.checkouts(&product, name, url, &key)?;
        Database::open(url)?.fill(0, SMALL, 10)?;
        let small = self.loads(&product, &format!("{name}, {SMALL} customers"), url, &key, SMALL, None)?;
        if self.arguments.small {
            return Ok(());
        }
        let customers = self.arguments.customers.max(SMALL + 1);
        let database = Database::open(url)?;
        database.fill(SMALL, customers, self.arguments.events.div_ceil(customers))?;
        let events = database.count("events")?;
        drop(database);
        let title = format!("{name}, {} customers and {} events", grouped(customers), grouped(events));
        self.loads(&product, &title, url, &key, customers, Some(&small))?;
        Ok(())
    }

    /// What a checkout costs at the provider. The first customer becomes the template of the large database.
    fn checkouts(&mut self, product: &Product, name: &str, url: &str, key: &str) -> Result<()> {
        const COUNT: u64 = 20;
        let server = product.serve(url, Role::Both)?;
        let api = Client { port: server.port, key: key.to_owned() };
        product.buy(&api, TEMPLATE)?;
        settle(&api)?;
        server.stop();
        Database::open(url)?.remember()?;

        let server = product.serve(url, Role::Both)?;
        let api = Client { port: server.port, key: key.to_owned() };
        settle(&api)?;
        let buyers: Vec<String> = (0..COUNT).map(|number| format!("buyer_{number}")).collect();
        let new = Self::buy_all(product, &api, &buyers)?;
        for buyer in &buyers {
            product.leave(&api, buyer)?;
        }
        settle(&api)?;
        let returning = Self::buy_all(product, &api, &buyers)?;
        server.stop();
        let looks = new.looks() + returning.looks();
        let mut add = |what: &str, calls: u64, checkouts: u64, words: &str, aim: &str, most: Option<u64>| {
            self.report.add(Figure {
                what: format!("{name}: {what}"),
                value: format!("{}{words}", ratio(calls, checkouts)),
                aim: aim.into(),
                met: most.map(|most| calls <= most * checkouts),
                numbers: json!({ "calls": calls, "checkouts": checkouts }),
            });
        };
        // The aim is for looks; a new customer costs two calls more, and a returning one the session.
        add("calls of the sync per checkout", looks, 2 * COUNT, "", "2 or fewer", Some(2));
        let words = format!(" ({})", returning.words());
        let what = "provider calls per checkout of a returning customer";
        add(what, returning.all(), COUNT, &words, "3 or fewer", Some(3));
        let words = format!(" ({})", new.words());
        add("provider calls per checkout of a new customer", new.all(), COUNT, &words, "", None);
        Ok(())
    }

    /// What it costs at the provider when all of these buy, one after the other.
    fn buy_all(product: &Product, api: &Client, buyers: &[String]) -> Result<Calls> {
        let before = Calls::so_far(api)?;
        for buyer in buyers {
            product.buy(api, buyer)?;
        }
        settle(api)?;
        Ok(Calls::so_far(api)?.since(&before))
    }

    /// Acknowledgements and checks at each number of connections, each beside the bare handler.
    fn loads(
        &mut self,
        product: &Product,
        title: &str,
        url: &str,
        key: &str,
        customers: u64,
        before: Option<&Rates>,
    ) -> Result<Rates> {
        let server = product.serve(url, Role::Api)?;
        let mut rates = Rates::default();
        self.memory(title, &server, "at rest")?;
        for connections in CONNECTIONS {
            rates.checks.push(self.checks(title, &server, key, connections, customers)?);
        }
        for connections in CONNECTIONS {
            rates.acknowledgements.push(self.acknowledgements(title, &server, connections)?);
        }
        self.memory(title, &server, "after the load")?;
        server.stop();
        if let Some(before) = before {
            self.compare(
                &format!("{title}: acknowledgements"),
                &before.acknowledgements,
                &rates.acknowledgements,
            );
            self.compare(&format!("{title}: checks"), &before.checks, &rates.checks);
        }
        Ok(rates)
    }

    fn acknowledgements(&mut self, title: &str, server: &Server, connections: usize) -> Result<u64> {
        let (bare, bare_cpu) = self.measure(&self.bare, connections, unkept(WEBHOOK_PATH)?)?;
        let (verifying, verifying_cpu) = self.measure(&self.bare, connections, unkept(VERIFYING_PATH)?)?;
        let disk = disk::recovered(self.folder.path(), Duration::from_secs(180))?;
        let webhooks = self.webhooks()?;
        let (load, cpu) = self.measure(server, connections, webhooks)?;
        // The aim is set for many connections; at one, it is the disk's latency that is measured.
        let aim = connections == 128;
        self.report.add(Figure {
            what: format!("{title}: acknowledgements at {connections} connections"),
            value: format!(
                "{}/s, p50 {} µs, p99 {} µs; {} of bare {}/s, {} of verifying {}/s; CPU {cpu} µs (bare {bare_cpu}, verifying {verifying_cpu}); disk {} µs{}",
                grouped(load.per_second()),
                grouped(load.percentile(50)),
                grouped(load.percentile(99)),
                ratio(load.per_second(), bare.per_second()),
                grouped(bare.per_second()),
                ratio(load.per_second(), verifying.per_second()),
                grouped(verifying.per_second()),
                disk.as_micros(),
                if disk > disk::SLOW { " (throttled)" } else { "" },
            ),
            aim: if aim { "0.5 of bare".into() } else { String::new() },
            met: aim.then_some(load.per_second() * 2 >= bare.per_second()),
            numbers: json!({
                "per_second": load.per_second(), "p50_us": load.percentile(50), "p99_us": load.percentile(99),
                "bare_per_second": bare.per_second(), "verifying_per_second": verifying.per_second(),
                "cpu_us": cpu, "disk_us": u64::try_from(disk.as_micros())?,
                "refused": load.refused,
            }),
        });
        Ok(load.per_second())
    }

    fn checks(
        &mut self,
        title: &str,
        server: &Server,
        key: &str,
        connections: usize,
        customers: u64,
    ) -> Result<u64> {
        let checks: Arc<dyn Requests> = Arc::new(Checks::new(CHECK_PATH, key, usize::try_from(customers)?)?);
        self.remembered(server, &checks, customers)?;
        let (bare, bare_cpu) = self.measure(&self.bare, connections, Arc::clone(&checks))?;
        let (load, cpu) = self.measure(server, connections, checks)?;
        self.report.add(Figure {
            what: format!("{title}: checks at {connections} connections"),
            value: format!(
                "{}/s, p50 {} µs, p99 {} µs; {} of bare {}/s; CPU {cpu} µs (bare {bare_cpu})",
                grouped(load.per_second()),
                grouped(load.percentile(50)),
                grouped(load.percentile(99)),
                ratio(load.per_second(), bare.per_second()),
                grouped(bare.per_second()),
            ),
            aim: "0.8 of bare".into(),
            met: Some(load.per_second() * 10 >= bare.per_second() * 8),
            numbers: json!({
                "per_second": load.per_second(), "p50_us": load.percentile(50), "p99_us": load.percentile(99),
                "bare_per_second": bare.per_second(), "cpu_us": cpu,
            }),
        });
        Ok(load.per_second())
    }

    /// Asks about every customer once beforehand: the first check of each reads the database. Each run begins with the same
    /// ones, which are remembered by then, and so comes further than the one before.
    fn remembered(&self, server: &Server, checks: &Arc<dyn Requests>, customers: u64) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            let asked = load::run(server.port, 32, self.arguments.seconds, Arc::clone(checks))?.answered;
            if asked >= customers {
                return Ok(());
            }
        }
        bail!("{customers} customers could not be asked about in {MOST_ROUNDS} runs");
    }

    /// One run of load, and the processor time of the server for each answer in microseconds.
    fn measure(
        &self,
        server: &Server,
        connections: usize,
        requests: Arc<dyn Requests>,
    ) -> Result<(Load, u64)> {
        let before = server.cpu_ms()?;
        let load = self.drive(server, connections, requests)?;
        let cpu = server.cpu_ms()?.saturating_sub(before) * 1_000 / load.answered.max(1);
        Ok((load, cpu))
    }

    /// One run of load, all of whose answers must be 200.
    fn drive(&self, server: &Server, connections: usize, requests: Arc<dyn Requests>) -> Result<Load> {
        interrupt::check()?;
        let load = load::run(server.port, connections, self.arguments.seconds, requests)?;
        ensure!(load.answered > 0, "no request was answered with 200: {:?}", load.first_refusal);
        if let Some(refusal) = &load.first_refusal {
            eprintln!("{} answers were not 200, such as: {refusal}", load.refused);
        }
        Ok(load)
    }

    fn webhooks(&mut self) -> Result<Arc<dyn Requests>> {
        self.run += 1;
        let count = usize::try_from(self.arguments.seconds * MOST_PER_SECOND)?;
        Ok(Arc::new(Webhooks::sign(WEBHOOK_PATH, WEBHOOK_SECRET, self.run, count)?))
    }

    fn memory(&mut self, title: &str, server: &Server, when: &str) -> Result<()> {
        let mib = server.resident_kib()? / 1_024;
        self.report.add(Figure {
            what: format!("{title}: resident memory {when}"),
            value: format!("{mib} MiB"),
            aim: "under 150 MB".into(),
            met: Some(mib < 143),
            numbers: json!({ "mib": mib }),
        });
        Ok(())
    }

    fn compare(&mut self, what: &str, small: &[u64], large: &[u64]) {
        for ((connections, small), large) in CONNECTIONS.iter().zip(small).zip(large) {
            self.report.add(Figure {
                what: format!("{what} at {connections} connections, against the small database"),
                value: ratio(*large, *small),
                aim: "0.9 of small".into(),
                met: Some(large * 10 >= small * 9),
                numbers: json!({ "large": large, "small": small }),
            });
        }
    }

    /// The check without HTTP, by the engine's own example.
    fn in_process(&mut self, release: &Path) -> Result<()> {
        let printed = interrupt::output(&mut Command::new(release.join("examples/check_ns")))?;
        let nanos: u64 = printed
            .split(|c: char| !c.is_ascii_digit())
            .find_map(|word| word.parse().ok())
            .with_context(|| format!("check_ns printed no number: {printed}"))?;
        self.report.add(Figure {
            what: "entitlement check in process".into(),
            value: format!("{nanos} ns"),
            aim: "under 200 ns".into(),
            met: Some(nanos < 200),
            numbers: json!({ "ns": nanos }),
        });
        Ok(())
    }
}

/// Per second, in the order of [`CONNECTIONS`].
#[derive(Default)]
struct Rates {
    acknowledgements: Vec<u64>,
    checks: Vec<u64>,
}

/// Calls to the provider so far, by endpoint.
struct Calls(BTreeMap<String, u64>);

/// Calls made by commands, or once in a process's life; the rest are looks.
const NO_LOOKS: [&str; 5] =
    ["customers.create", "checkout.create", "subscriptions.cancel", "prices.list", "account.retrieve"];

impl Calls {
    fn so_far(api: &Client) -> Result<Self> {
        Ok(Self(counters_by(api, "quittance_provider_calls_total", "endpoint")?))
    }

    fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of the sync.
    fn looks(&self) -> u64 {
        self.0.iter().filter(|(name, _)| !NO_LOOKS.contains(&name.as_str())).map(|(_, count)| count).sum()
    }

    fn since(mut self, before: &Self) -> Self {
        for (name, count) in &before.0 {
            if let Some(now) = self.0.get_mut(name) {
                *now = now.saturating_sub(*count);
            }
        }
        self.0.retain(|_, count| *count > 0);
        self
    }

    fn words(&self) -> String {
        let each: Vec<String> = self.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        each.join(", ")
    }
}

/// Calls to the provider so far.
fn calls(api: &Client) -> Result<u64> {
    Ok(Calls::so_far(api)?.all())
}

/// Waits until nothing is left to sync: the number of provider calls stands still for two seconds.
fn settle(api: &Client) -> Result<()> {
    let mut last = (calls(api)?, 0);
    poll(Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(200));
        let now = calls(api).ok()?;
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 >= 10 || interrupt::check().is_err()).then_some(())
    })
    .context("the provider is called again and again")
}
