//! `cargo xtask bench`: builds the product and the benchmark for release, and runs the benchmark.
//!
//! The benchmark itself is `examples/bench`: it needs crates that no other task needs, and a load generator must be
//! compiled for release too. `cargo xtask bench -- sandbox` plays a month of many subscriptions and a scripted
//! year in the sandbox instead, which is an example of its crate; `cargo xtask bench -- sweep` sweeps over 100,000 subscriptions.

use anyhow::Result;
use clap::Args;
use xtask::interrupt;
use xtask::workspace::{cargo, target};

/// How to measure.
#[derive(Args)]
pub struct BenchArguments {
    /// What the benchmark understands: `cargo xtask bench -- --help` prints it. `sandbox`, and then perhaps
    /// `--customers`, `--subscriptions`, `--days` and `--seed`, measures the sandbox; `sweep`, and then perhaps
    /// `--subscriptions` and `--missed`, a sweep.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs.
pub fn run(arguments: &BenchArguments) -> Result<()> {
    if let Some(("sandbox", rest)) =
        arguments.arguments.split_first().map(|(part, rest)| (part.as_str(), rest))
    {
        return sandbox(rest);
    }
    if let Some(("sweep", rest)) = arguments.arguments.split_first().map(|(part, rest)| (part.as_str(), rest))
    {
        return sweep(rest);
    }
    interrupt::run(cargo().args([
        "build",
        "--release",
        "--locked",
        "--workspace",
        "--bin",
        "quittance",
        "--example",
        "bench",
        "--example",
        "check_ns",
    ]))?;
    let release = target()?.join("release");
    let mut command = std::process::Command::new(release.join("examples/bench"));
    interrupt::run(command.arg("--release").arg(&release).args(&arguments.arguments))
}

/// A scripted year, its books, and how fast time passed.
fn sandbox(arguments: &[String]) -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "-p", "quittance-sandbox", "--example", "year", "--"]);
    interrupt::run(command.args(arguments))
}

/// A sweep over many subscriptions: calls, time and memory.
fn sweep(arguments: &[String]) -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "-p", "quittance-engine", "--example", "sweep", "--"]);
    interrupt::run(command.args(arguments))
}
