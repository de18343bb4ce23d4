//! One run on one database: load, kills and restarts in cycles, a full check now and then and at the end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::cluster::Shutdown;
use xtask::interrupt;

use crate::Arguments;
use crate::app::App;
use crate::book::{Book, Violation, count};
use crate::buyers;
use crate::calls::Caller;
use crate::check::Checker;
use crate::forwarder::{self, Forwarder};
use crate::gate::Gate;
use crate::post::{self, Letters};
use crate::site::{Database, Site};

/// PostgreSQL is restarted about once in so many cycles.
const RESTART_EVERY: u32 = 12;
/// A second node comes and goes every so many cycles.
const SECOND_NODE_EVERY: u32 = 8;

struct Run {
    site: Site,
    book: Arc<Book>,
    gate: Arc<Gate>,
    network: Forwarder,
    app: App,
    letters: Arc<Letters>,
    chance: Rng,
    seed: u64,
    database: Database,
    bar: ProgressBar,
}

/// Runs all cycles; the figures.
///
/// # Errors
/// A finding with seed, cycle, invariant, object and both values; the folder with the logs is then kept.
pub fn run(arguments: &Arguments, database: Database) -> Result<Value> {
    let folder = tempfile::Builder::new().prefix("quittance-crash-").tempdir()?;
    let watch = Stopwatch::start();
    match cycles(arguments, database, folder.path()) {
        Ok(mut figures) => {
            if let Some(figures) = figures.as_object_mut() {
                figures.insert("database".into(), json!(database.name()));
                figures.insert("binary".into(), json!(arguments.binary));
                figures.insert("seconds".into(), json!(watch.elapsed().as_secs()));
            }
            Ok(figures)
        }
        Err(error) => {
            interrupt::check()?;
            let kept = folder.keep();
            let again = format!(
                "cargo xtask crash --cycles {} --database {} --seed {}",
                arguments.cycles,
                database.name(),
                arguments.seed
            );
            bail!("{error:#}\n  logs:     {}\n  again:    {again}", kept.display())
        }
    }
}

fn cycles(arguments: &Arguments, database: Database, folder: &Path) -> Result<Value> {
    let seed = arguments.seed;
    let binary = fs::canonicalize(&arguments.binary)?;
    let book = Arc::new(Book::default());
    let (mail_port, letters) = post::start()?;
    let mut site = Site::prepare(&binary, folder, database, seed, mail_port)?;
    let network = Forwarder::start(site.api.port, book.clone(), seed)?;
    site.hear(network.port, forwarder::PATH)?;
    site.start()?;
    site.ready()?;
    let app = App::start(book.clone(), seed)?;
    app.learn(&site.tell_app(app.port)?);
    let gate = Arc::new(Gate::new(arguments.buyers));
    let bar = ProgressBar::new(u64::from(arguments.cycles));
    bar.set_style(ProgressStyle::with_template("{prefix:>8} {wide_bar} {pos}/{len} {elapsed} {msg}")?);
    bar.set_prefix(database.name());
    let caller = Caller {
        api: site.api.clone(),
        provider: site.provider.clone(),
        book: book.clone(),
        gate: gate.clone(),
    };
    buyers::start(arguments.buyers, seed, &caller, &gate);
    let chance = Rng::with_seed(seed ^ 0x6b69_6c6c);
    let mut run = Run { site, book, gate, network, app, letters, chance, seed, database, bar };
    run.rough(true)?;
    for cycle in 1..=arguments.cycles {
        run.cycle(cycle).with_context(|| format!("seed {seed}, cycle {cycle}"))?;
        let last = cycle == arguments.cycles;
        if last || cycle % arguments.check_every == 0 {
            run.check(last).with_context(|| format!("seed {seed}, cycle {cycle}"))?;
        }
        run.bar.set_position(u64::from(cycle));
    }
    run.end()?;
    let mut figures = run.book.figures();
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("cycles".into(), json!(arguments.cycles));
        figures.insert("findings".into(), json!(0));
        figures.insert("events_that_the_app_heard".into(), json!(run.app.count()));
        figures.insert("letters".into(), json!(run.letters.ids().len()));
    }
    Ok(figures)
}

impl Run {
    /// The weather between product and provider: bad, or none.
    fn rough(&self, rough: bool) -> Result<()> {
        self.network.set_calm(!rough);
        let (policy, faults) = if rough {
            let policy = json!({
                "duplicate": 0.2, "shuffle": 0.5, "delay": 0.2, "drop": 0.04, "max_delay_seconds": 3,
                "seed": self.seed,
            });
            let lost = |path: &str, method: &str, lost: &str, probability: f64| json!({ "path": path, "method": method, "lost": lost, "probability": probability });
            let faults = json!([
                lost("/v1/checkout/sessions*", "POST", "after", 0.04),
                lost("/v1/customers", "POST", "after", 0.04),
                lost("/v1/subscriptions/*", "POST", "after", 0.04),
                lost("/v1/subscriptions", "GET", "before", 0.02),
                json!({ "path": "/v1/*", "method": "POST", "status": 500, "probability": 0.01 }),
                json!({ "path": "/v1/*", "latency_ms": 50, "probability": 0.1 }),
            ]);
            (policy, faults)
        } else {
            (json!({}), json!([]))
        };
        self.site.provider.json("PUT", "/_sandbox/webhooks", &policy)?;
        self.site.provider.json("PUT", "/_sandbox/faults", &faults)?;
        Ok(())
    }

    /// One kill, somewhere, and everything up again.
    fn cycle(&mut self, cycle: u32) -> Result<()> {
        interrupt::check()?;
        if let Some(violation) = self.book.broken() {
            return Err(violation.into());
        }
        if !self.site.provider_lives() {
            bail!("the sandbox ended by itself: nothing that follows would mean anything");
        }
        if self.database == Database::Postgres {
            self.site.set_worker((cycle / SECOND_NODE_EVERY) % 2 == 1)?;
            if self.chance.u32(0..RESTART_EVERY) == 0 || cycle == 3 {
                let how = if self.chance.bool() { Shutdown::Fast } else { Shutdown::Immediate };
                self.pause(10..200);
                self.book.database_turns();
                let started = self.site.restart_postgres(how)?;
                self.book.database_turns();
                count(&self.book.counts.restarts);
                self.book.counts.starts_without_database.fetch_add(started, Ordering::Relaxed);
            }
        }
        // Mostly at work, sometimes while it is still starting.
        let at_start = self.chance.u32(0..100) < 12;
        if !at_start {
            self.site.ready()?;
        }
        // Now and then it gets a moment: what never comes to an end is never hit at its end.
        let moment = self.chance.u32(0..4) == 0;
        self.pause(match (at_start, moment) {
            (true, _) => 1..120,
            (false, false) => 20..400,
            (false, true) => 400..1500,
        });
        if self.site.has_worker() && self.chance.u32(0..100) < 40 {
            count(&self.book.counts.kills_of_workers);
            self.site.kill_worker()?;
            if self.chance.bool() {
                count(&self.book.counts.kills);
                return Ok(());
            }
        }
        if at_start {
            count(&self.book.counts.kills_at_start);
        }
        count(&self.book.counts.kills);
        self.site.kill();
        self.site.start()
    }

    fn pause(&mut self, range_ms: std::ops::Range<u64>) {
        thread::sleep(Duration::from_millis(self.chance.u64(range_ms)));
    }

    /// Lets everything come to rest and compares.
    fn check(&mut self, everybody: bool) -> Result<()> {
        self.site.ready()?;
        self.bar.set_message("checking");
        self.rough(false)?;
        self.gate.close();
        if let Some(violation) = self.book.broken() {
            return Err(violation.into());
        }
        let buyers: BTreeSet<String> =
            if everybody { self.book.buyers().into_keys().collect() } else { self.book.take_touched() };
        let checker = Checker {
            api: self.site.api.clone(),
            provider: self.site.provider.clone(),
            book: self.book.clone(),
            site: &self.site,
            app: &self.app,
            letters: &self.letters,
        };
        if let Some(violation) = checker.run(&buyers, everybody)? {
            self.site.keep_ledger()?;
            return Err(violation.into());
        }
        self.intact()?;
        count(&self.book.counts.checks);
        self.bar.set_message("");
        self.rough(true)?;
        self.gate.open();
        Ok(())
    }

    fn intact(&self) -> Result<()> {
        let damage = self.site.damage()?;
        if damage.is_empty() {
            return Ok(());
        }
        Err(Violation::new("I1", "the database file", "an intact file", damage).into())
    }

    /// The load ends, the server stops as it should, and its file is whole.
    fn end(&mut self) -> Result<()> {
        self.gate.end();
        self.bar.finish_and_clear();
        if !self.site.stop() {
            bail!("the server did not stop in order when it was asked to");
        }
        self.intact()
    }
}
