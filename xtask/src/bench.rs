//! `cargo xtask bench`: builds the product and the benchmark for release, and runs the benchmark.
//!
//! The benchmark itself is `examples/bench`: it needs crates that no other task needs, and a load generator must be
//! compiled for release too.

use anyhow::Result;
use clap::Args;
use xtask::interrupt;
use xtask::workspace::{cargo, target};

/// How to measure.
#[derive(Args)]
pub struct BenchArguments {
    /// What the benchmark understands: `cargo xtask bench -- --help` prints it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs.
pub fn run(arguments: &BenchArguments) -> Result<()> {
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
