//! `quittance demo`: a scripted month in the terminal, against the sandbox, in one process and virtual time.
//!
//! The checks really check: they compare Quittance's answers with the sandbox's own ledger, and one that fails makes the
//! command exit with 1.

mod script;
mod stage;
mod tell;
mod world;

use clap::Args;

use crate::failure::Failure;

/// The scripted month.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance demo
  quittance demo --slow            pause after each step, to read along
  quittance demo --seed 7 --json   another order of webhooks, a JSON line for each step

Next: `quittance dev`, and live it yourself in a browser.")]
pub struct Options {
    /// Pause after each step, to read along
    #[arg(long)]
    slow: bool,
    /// Another order of webhooks
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

/// Plays.
///
/// # Errors
/// When a check fails.
pub async fn run(options: &Options, json: bool) -> Result<(), Failure> {
    let stage = stage::Stage::build(options.seed).await?;
    let teller = tell::Teller::new(json, options.slow);
    teller.open(options.seed);
    let failed = script::Story::new(stage, teller).play().await?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::problem(
        "demo",
        format!("{} did not hold: {}", failed.len(), failed.join("; ")),
        format!("This is a defect: please report it with `quittance demo --seed {}`.", options.seed),
    ))
}
