//! The command line: one file per command, human output by default, `--json` everywhere.
//!
//! Exit codes: 0 fine, 1 found a problem, 2 usage (command line or configuration).

mod act;
mod audit;
mod beside;
mod catalog;
mod completions;
mod customers;
mod deliveries;
mod dev;
mod dispute;
mod doctor;
mod drift;
mod dunning;
mod events;
mod explain;
mod import;
mod keys;
mod ledger;
mod mail;
mod migrate;
mod notices;
mod openapi;
pub mod out;
mod parked;
mod policy_preview;
mod progress;
mod reconcile;
mod refund;
mod sandbox;
mod sandbox_data;
mod serve;
mod shadow;
mod signing_keys;
mod simulate;
mod terms;
mod webhooks;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Loaded, LogFormat};
use crate::demo;
use crate::failure::{Exit, Failure};
use crate::telemetry;

/// The billing backend that you run instead of writing your own.
#[derive(Debug, Parser)]
#[command(name = "quittance", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  quittance dev                                  everything on this machine, no account needed
  quittance demo                                 a scripted month in the terminal
  quittance serve --print-config                 what production would start with
  quittance explain user_42 article:full         why the answer is yes or no
  quittance keys create --name app --scopes read,write

Exit codes: 0 fine, 1 found a problem, 2 usage.
Next: `quittance dev`, then open the pricing page that it prints.";

/// What every command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// The configuration file [default: QUITTANCE_CONFIG, or quittance.toml where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database, sqlite://path or postgres://… [default: DATABASE_URL, or the configuration's]
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// How log lines on the error stream look; RUST_LOG says which
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log: Option<LogFormat>,
    /// What the command changes, and the engine that it opened.
    #[arg(skip)]
    opened: Opened,
}

/// A command beside a server: what it changes, and the engine by which it does, with the number of the act in the audit log.
#[derive(Debug, Default)]
struct Opened {
    act: Option<act::Act>,
    engine: OnceLock<(quittance_engine::Engine, Option<i64>)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on this machine: sandbox provider, server, pages and demo catalog
    Dev(dev::Options),
    /// Production: HTTP and syncing, configured by quittance.toml and the environment
    Serve(serve::Options),
    /// Only the syncing, beside servers with `--role api`
    Worker(serve::WorkerOptions),
    /// Only the provider emulator, for any program's tests
    Sandbox(sandbox::Options),
    /// Play a scripted month against the sandbox, with duplicated, shuffled and late webhooks
    Demo(demo::Options),
    /// Bring the database's schema up to date
    Migrate,
    /// The inbox: what the provider sent
    #[command(subcommand)]
    Events(events::Command),
    /// Mails and webhooks: what left, what waits, what was given up
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// What customers were told, and the proof of it
    #[command(subcommand)]
    Notices(notices::Command),
    /// Dead letters: what could not be done and waits for you
    #[command(subcommand)]
    Parked(parked::Command),
    /// Why a customer may or may not use a feature
    Explain(explain::Options),
    /// Mail to customers: previews, templates, a test, and what was sent
    #[command(subcommand)]
    Mail(mail::Command),
    /// API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// The keys that sign entitlement tokens
    #[command(subcommand)]
    SigningKeys(signing_keys::Command),
    /// Failing payments: what is at risk, recovered and lost
    #[command(subcommand)]
    Dunning(dunning::Command),
    /// Customers: shut out, let in again, erase what is personal
    #[command(subcommand)]
    Customers(customers::Command),
    /// Disputes: deadlines, evidence, and the answer
    #[command(subcommand)]
    Dispute(dispute::Command),
    /// Give money back, of a payment or an invoice
    Refund(refund::Options),
    /// The books: trial balance, entries, export, and whether they agree with the provider
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// What sweeps found to differ from the provider, and what became of it
    #[command(subcommand)]
    Drift(drift::Command),
    /// Where your app is told of changes, and what it was told
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// What you sell: check the file, compare it with the provider, bring it there
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// What was negotiated with single customers
    #[command(subcommand)]
    Terms(terms::Command),
    /// What operators did
    #[command(subcommand)]
    Audit(audit::Command),
    /// Whether everything is as it must be, and what mends what is not
    Doctor(doctor::Options),
    /// Fill the mirror from an account that has lived without Quittance
    Import(import::Options),
    /// Beside an existing integration: who would gain or lose access, duplicates, orphans, refunds due
    #[command(subcommand)]
    Shadow(shadow::Command),
    /// Compare the mirror with the provider now
    Reconcile(reconcile::Options),
    /// Play your catalog under every fault we know, in virtual worlds
    Simulate(simulate::Options),
    /// Print the OpenAPI document
    Openapi,
    /// Print a completion script for a shell
    Completions(completions::Options),
}

impl Common {
    /// Reads the configuration; `--database` wins over everything.
    ///
    /// # Errors
    /// Names the key that cannot be used.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let mut loaded = config::load(self.config.as_deref(), &|name| std::env::var(name).ok())?;
        if let Some(url) = &self.database {
            loaded.config.database.url.clone_from(url);
        }
        if let Some(log) = self.log {
            loaded.config.log = log;
        }
        Ok(loaded)
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    let json = cli.common.json;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out::fail(&failure, json);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Help and version go to the output; a mistake is told in the form that was asked for.
fn misread(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !std::env::args().any(|word| word == "--json") {
        // A reader that went away is no error.
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(Exit::Usage.code()) } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    // What is possible, and what was perhaps meant, stands between the mistake and the usage.
    let hints = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let mend: Vec<&str> = hints.chain(["See `quittance --help`, or a command's own."]).collect();
    out::fail(&Failure::usage("usage", what, mend.join(" ")), true);
    ExitCode::from(Exit::Usage.code())
}

/// Logs of commands that print: only what is wrong.
const QUIET: &str = "error";
/// Logs of servers.
const SERVER: &str = "info";
/// Logs of `dev`: what happens to customers, and nothing of the machinery.
const DEVELOPER: &str = "warn,quittance_engine=info,quittance_engine::sweep=error";

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { mut common, command } = cli;
    common.opened.act = act::of(&command);
    let common = common;
    let log = common.log.unwrap_or_default();
    match command {
        Command::Dev(options) => {
            telemetry::start_logs(log, DEVELOPER);
            on_all_cores(dev::run(options, &common))
        }
        Command::Serve(options) => serve::run(&options, &common),
        Command::Worker(options) => serve::run_worker(&options, &common),
        Command::Sandbox(options) => {
            telemetry::start_logs(log, "warn");
            on_all_cores(sandbox::run(options, &common))
        }
        Command::Demo(options) => {
            telemetry::start_logs(log, QUIET);
            on_one_core(demo::run(&options, common.json))
        }
        Command::Migrate => quietly(log, &common, migrate::run(&common)),
        Command::Events(command) => quietly(log, &common, events::run(&command, &common)),
        Command::Deliveries(command) => quietly(log, &common, deliveries::run(command, &common)),
        Command::Notices(command) => quietly(log, &common, notices::run(command, &common)),
        Command::Parked(command) => quietly(log, &common, parked::run(&command, &common)),
        Command::Explain(options) => quietly(log, &common, explain::run(&options, &common)),
        Command::Mail(command) => quietly(log, &common, mail::run(&command, &common)),
        Command::Keys(command) => quietly(log, &common, keys::run(&command, &common)),
        Command::SigningKeys(command) => quietly(log, &common, signing_keys::run(&command, &common)),
        Command::Dunning(command) => quietly(log, &common, dunning::run(&command, &common)),
        Command::Ledger(command) => quietly(log, &common, ledger::run(&command, &common)),
        Command::Drift(command) => quietly(log, &common, drift::run(&command, &common)),
        Command::Webhooks(command) => quietly(log, &common, webhooks::run(&command, &common)),
        Command::Catalog(command) => quietly(log, &common, catalog::run(&command, &common)),
        Command::Terms(command) => quietly(log, &common, terms::run(&command, &common)),
        Command::Customers(command) => quietly(log, &common, customers::run(&command, &common)),
        Command::Audit(command) => quietly(log, &common, audit::run(&command, &common)),
        Command::Reconcile(options) => quietly(log, &common, reconcile::run(&options, &common)),
        Command::Dispute(command) => quietly(log, &common, dispute::run(&command, &common)),
        Command::Refund(options) => quietly(log, &common, refund::run(&options, &common)),
        Command::Doctor(options) => quietly(log, &common, doctor::run(&options, &common)),
        Command::Import(options) => quietly(log, &common, import::run(&options, &common)),
        Command::Shadow(command) => quietly(log, &common, shadow::run(&command, &common)),
        Command::Simulate(options) => match options.policy() {
            Some(file) => quietly(log, &common, policy_preview::run(file, &common)),
            None => simulate::run(&options, &common),
        },
        Command::Openapi => openapi::run(),
        Command::Completions(options) => completions::run(&options),
    }
}

/// Runs a command beside a server, records how it ended where it changes something, and closes the database.
fn quietly(
    log: LogFormat,
    common: &Common,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    telemetry::start_logs(log, QUIET);
    on_one_core(async {
        let ended = work.await;
        if let Some((engine, act)) = common.opened.engine.get() {
            if let Some(act) = act {
                engine.end_act(*act, ended.as_ref().err().map(|failure| failure.code.to_owned())).await;
            }
            engine.db().clone().close().await;
        }
        ended
    })
}

fn on_one_core(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    block_on(tokio::runtime::Builder::new_current_thread(), work)
}

fn on_all_cores(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    block_on(tokio::runtime::Builder::new_multi_thread(), work)
}

fn block_on(
    mut builder: tokio::runtime::Builder,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime = builder.enable_all().build().map_err(|error| {
        Failure::problem(
            "runtime",
            format!("threads cannot be started: {error}"),
            "Raise the process limits (ulimit -u) and start it again.",
        )
    })?;
    runtime.block_on(work)
}

/// The command line as clap knows it, for completions and tests.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// A problem that was found and printed already: exit code 1 and nothing more to say.
#[must_use]
pub(crate) fn found(what: impl Into<String>, mend: impl Into<String>) -> Failure {
    Failure { exit: Exit::Problem, ..Failure::problem("found", what, mend) }
}
