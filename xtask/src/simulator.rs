//! The simulator's stages of `cargo xtask test`.

use std::process::Command;

use anyhow::Result;
use xtask::interrupt;
use xtask::workspace::cargo;

/// Seeds of every test run, each played twice.
const SEEDS: &str = "120";
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
