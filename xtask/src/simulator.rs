//! The simulator's stages of `cargo xtask test`, and `cargo xtask prove`, the long run whose figures go into docs/proof.md.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;
use xtask::clock::Stopwatch;
use xtask::interrupt;
use xtask::workspace::{cargo, root, target};

/// Seeds of every test run, each played twice.
const SEEDS: &str = "120";
/// What stands around the figures in docs/proof.md.
const BEGIN: &str = "<!-- simulator: written by cargo xtask prove -->";
const END: &str = "<!-- end of simulator -->";

/// How long to prove.
#[derive(Args)]
pub struct ProveArguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Print the section, and leave docs/proof.md as it is.
    #[arg(long)]
    print: bool,
}

fn simulator_tests(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(["test", "--profile", "sim", "--locked", "-p", "quittance-simulator"]);
    command.args(arguments).args(["--", "--nocapture"]);
    command.env("QUITTANCE_SIMULATOR_SEEDS", SEEDS);
    command
}

/// Some seeds, each twice, and those that broke something once.
pub fn seeds() -> Result<()> {
    interrupt::run(&mut simulator_tests(&["--test", "seeds"]))
}

/// Each missing protection is found.
pub fn mutants() -> Result<()> {
    interrupt::run(&mut simulator_tests(&["--features", "mutants", "--test", "mutants"]))
}

/// Plays many seeds with the release build and writes down what came of it.
pub fn prove(arguments: &ProveArguments) -> Result<()> {
    interrupt::run(cargo().args(["build", "--release", "--locked", "--bin", "quittance"]))?;
    let (seeds, first) = (arguments.seeds.to_string(), arguments.first.to_string());
    let mut command = Command::new(target()?.join("release/quittance"));
    command.args(["simulate", "--json", "--seeds", &seeds, "--first", &first]);
    let watch = Stopwatch::start();
    let printed = interrupt::output(&mut command)?;
    let report: Value =
        serde_json::from_str(printed.trim()).context("`quittance simulate` printed no JSON")?;
    let section = section(&report, arguments, watch.elapsed().as_secs());
    if arguments.print {
        println!("{section}");
        return Ok(());
    }
    let path = root().join("docs/proof.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).context("docs/proof.md has no place for the simulator")?;
    let (_, after) = rest.split_once(END).context("the simulator's place in docs/proof.md has no end")?;
    std::fs::write(&path, format!("{before}{BEGIN}\n{section}\n{END}{after}"))?;
    ensure!(report.get("broken").and_then(Value::as_u64) == Some(0), "invariants broke: see docs/proof.md");
    Ok(())
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn section(report: &Value, arguments: &ProveArguments, seconds: u64) -> String {
    let count = |name: &str| grouped(report.get(name).and_then(Value::as_u64).unwrap_or(0));
    let last = arguments.first + arguments.seeds.saturating_sub(1);
    let mut out = format!(
        "\nSeeds {} to {}, in {} minutes on {} cores.\n\n| what | how many |\n| --- | ---: |\n",
        arguments.first,
        grouped(last),
        seconds.div_ceil(60),
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
    );
    for (name, what) in [
        ("seeds", "seeds"),
        ("broken", "that broke an invariant"),
        ("simulated_days", "simulated days"),
        ("steps", "steps, checked one by one"),
        ("provider_events", "events of the provider"),
        ("webhooks", "webhooks sent for them"),
        ("provider_calls", "calls to the provider"),
        ("subscriptions", "subscriptions bought"),
        ("second_subscriptions_mended", "second ones cancelled and given back"),
        ("payments", "payments taken"),
        ("ledger_entries", "entries of the ledger"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {what} | {} |", count(name));
    }
    let table = |name: &str| report.get(name).and_then(Value::as_object).into_iter().flatten();
    for (fault, struck) in table("faults") {
        let _ = writeln!(out, "| fault: {fault} | {} |", grouped(struck.as_u64().unwrap_or(0)));
    }
    out.push_str("\n| named point | passed | died at |\n| --- | ---: | ---: |\n");
    for (point, counts) in table("points") {
        let at = |index: usize| grouped(counts.get(index).and_then(Value::as_u64).unwrap_or(0));
        let _ = writeln!(out, "| `{point}` | {} | {} |", at(0), at(1));
    }
    for failure in report.get("failures").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(out, "\nBroken: `{failure}`");
    }
    out
}
