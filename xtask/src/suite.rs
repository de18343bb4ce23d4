//! `cargo xtask test`: every test there is, with a PostgreSQL of its own beside SQLite, then simulated worlds, a few crashes, the
//! OpenAPI document, Stripe's own programs and the browser.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::browser;
use crate::crash;
use crate::openapi;
use crate::simulator;
use crate::stages::Stages;
use crate::witnesses;
use xtask::cluster::{Cluster, Durability};
use xtask::interrupt;
use xtask::programs::{find, works};
use xtask::scratch::Scratch;
use xtask::workspace::{cargo, root};

/// What to run.
#[derive(Args)]
pub struct TestArguments {
    /// SQLite only: no PostgreSQL, no documentation tests, no walk over the OpenAPI document, no programs of Stripe's, no browser.
    #[arg(long)]
    fast: bool,
    /// Only tests whose name contains this; `simulator`, `mutants`, `crash`, `openapi`, `witnesses` and `browser` are stages of their own.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// What to run beside a server.
#[derive(Args)]
pub struct PostgresArguments {
    /// The command and its arguments, for instance `cargo test -p quittance-store`.
    #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs one command with a PostgreSQL of its own, as the tests get it.
pub fn beside_postgres(arguments: &PostgresArguments) -> Result<()> {
    let cluster = Cluster::start(Durability::None)?;
    let (program, rest) = arguments.command.split_first().context("no command was given")?;
    let mut command = Command::new(program);
    command.args(rest);
    let scratch = Scratch::make()?;
    prepare(&mut command, Some(&cluster), &scratch);
    interrupt::run(&mut command)
}

/// Runs the tests; an error names the stage that failed.
pub fn run(arguments: &TestArguments) -> Result<()> {
    let mut stages = Stages::default();
    let whole = !arguments.fast;
    match arguments.only.as_deref() {
        Some("simulator") => stages.run("simulator", simulator::seeds)?,
        Some("mutants") => stages.run("mutants", simulator::mutants)?,
        Some("crash") => stages.run("crash", || crash::short(whole))?,
        Some("openapi") => stages.run("openapi", || openapi::run_walk(browser::Build::Alone))?,
        Some("witnesses") => stages.run("witnesses", || witnesses::hear(browser::Build::Alone))?,
        Some("browser") => stages.run("browser", || browser::run_walk(browser::Build::Alone))?,
        Some(_) => rust(arguments, &mut stages)?,
        None => {
            rust(arguments, &mut stages)?;
            stages.run("simulator", simulator::seeds)?;
            stages.run("crash", || crash::short(whole))?;
            if whole {
                stages.run("mutants", simulator::mutants)?;
                stages.run("openapi", || openapi::run_walk(browser::Build::AsTested))?;
                stages.run("witnesses", || witnesses::hear(browser::Build::AsTested))?;
                stages.run("browser", || browser::run_walk(browser::Build::AsTested))?;
            }
        }
    }
    eprintln!("\nAll stages passed: {}", stages.summary());
    Ok(())
}

fn rust(arguments: &TestArguments, stages: &mut Stages) -> Result<()> {
    let cluster = if arguments.fast {
        eprintln!("--fast: SQLite only; no PostgreSQL, no documentation tests, no OpenAPI walk, no browser");
        None
    } else {
        Some(stages.run("postgres", || Cluster::start(Durability::None))?)
    };
    let scratch = Scratch::make()?;
    let nextest = find(&["cargo-nextest"]).is_some_and(|program| works(&program, &["nextest", "--version"]));
    stages.run("tests", || {
        let mut command = runner(nextest, arguments.only.as_deref());
        prepare(&mut command, cluster.as_ref(), &scratch);
        interrupt::run(&mut command)
    })?;
    if !arguments.fast && arguments.only.is_none() {
        stages.run("doctests", || {
            let mut command = cargo();
            command.args(["test", "--doc", "--workspace"]);
            prepare(&mut command, cluster.as_ref(), &scratch);
            interrupt::run(&mut command)
        })?;
    }
    Ok(())
}

fn runner(nextest: bool, only: Option<&str>) -> Command {
    let mut command = cargo();
    if nextest {
        command
            .args(["nextest", "run", "--workspace", "--no-fail-fast", "--config-file"])
            .arg(root().join("xtask/nextest.toml"));
        if only.is_none() {
            // The stage after this plays the same seeds, and more, in a build that takes a tenth of the time.
            command.args(["-E", "not binary_id(quittance-simulator::seeds)"]);
        }
    } else {
        // Every target but the documentation tests, which have a stage of their own.
        command.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    command.args(only);
    command
}

/// Gives the tests their database and their folder, and takes away what the caller's shell holds of real accounts.
fn prepare(command: &mut Command, cluster: Option<&Cluster>, scratch: &Scratch) {
    scrub(command);
    let (name, folder) = scratch.variable();
    command.env(name, folder);
    if let Some(cluster) = cluster {
        command.env("QUITTANCE_TEST_POSTGRES", cluster.url()).env("QUITTANCE_REQUIRE_POSTGRES", "1");
        command.env("QUITTANCE_TEST_POSTGRES_AUTHORITY", cluster.authority());
    }
}

/// Removes every variable that configures the product, so that no test can meet a real account by accident.
pub fn scrub(command: &mut Command) {
    const PREFIXES: [&str; 4] = ["QUITTANCE_", "STRIPE_", "PAYPAL_", "REVENUECAT_"];
    const NAMES: [&str; 3] = ["DATABASE_URL", "SMTP_URL", "REDIS_URL"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if NAMES.contains(&&*text) || PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}
