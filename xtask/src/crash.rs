//! `cargo xtask crash`: builds the product and the crash harness, as the tests do or with `--release` as it ships, and runs
//! the harness.
//!
//! The harness itself is `examples/crash`: it needs crates that no other task needs.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use xtask::interrupt;
use xtask::workspace::{cargo, target};

use crate::suite::scrub;

/// Kills on each database that `cargo xtask test` takes the time for.
const SHORT: &str = "6";

/// The word of this task's own.
const RELEASE: &str = "--release";

/// Which binary is killed.
#[derive(Clone, Copy)]
enum Build {
    /// Unoptimised, with every assertion: it is there after the tests.
    AsTested,
    /// Optimised, as it ships.
    AsShipped,
}

/// How to run it.
#[derive(Args)]
pub struct CrashArguments {
    /// `--release` for the binary as it ships, and what the harness understands: `cargo xtask crash --help` prints it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs.
pub fn run(arguments: &CrashArguments) -> Result<()> {
    let (own, words): (Vec<&str>, Vec<&str>) =
        arguments.arguments.iter().map(String::as_str).partition(|word| *word == RELEASE);
    harness(if own.is_empty() { Build::AsTested } else { Build::AsShipped }, &words)
}

/// A few kills: that nothing is broken on the whole, not that nothing is.
pub fn short(with_postgres: bool) -> Result<()> {
    let database = if with_postgres { "both" } else { "sqlite" };
    harness(Build::AsTested, &["--cycles", SHORT, "--database", database])
}

fn harness(build: Build, words: &[&str]) -> Result<()> {
    // The same selection of crates as the tests have, so that nothing is built twice.
    interrupt::run(cargo().args([
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bin",
        "quittance",
        "--example",
        "crash",
    ]))?;
    let (debug, release) = (target()?.join("debug"), target()?.join("release"));
    let built = match build {
        Build::AsTested => debug.join("quittance"),
        Build::AsShipped => {
            interrupt::run(cargo().args(["build", "--quiet", "--locked", RELEASE, "--bin", "quittance"]))?;
            release.join("quittance")
        }
    };
    let mut command = Command::new(debug.join("examples/crash"));
    command.arg("--binary").arg(built).args(words);
    scrub(&mut command);
    interrupt::run(&mut command)
}
