//! `cargo xtask crash`: builds the product and the crash harness as the tests do, and runs the harness.
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

/// How to run it.
#[derive(Args)]
pub struct CrashArguments {
    /// What the harness understands: `cargo xtask crash --help` prints it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs.
pub fn run(arguments: &CrashArguments) -> Result<()> {
    let words: Vec<&str> = arguments.arguments.iter().map(String::as_str).collect();
    harness(&words)
}

/// A few kills: that nothing is broken on the whole, not that nothing is.
pub fn short(with_postgres: bool) -> Result<()> {
    let database = if with_postgres { "both" } else { "sqlite" };
    harness(&["--cycles", SHORT, "--database", database])
}

fn harness(words: &[&str]) -> Result<()> {
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
    let debug = target()?.join("debug");
    let mut command = Command::new(debug.join("examples/crash"));
    command.arg("--binary").arg(debug.join("quittance")).args(words);
    scrub(&mut command);
    interrupt::run(&mut command)
}
