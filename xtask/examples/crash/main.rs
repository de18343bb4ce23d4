//! The crash harness: the real binary under load, killed with SIGKILL again and again, on SQLite and on PostgreSQL,
//! which is restarted too. Nothing acknowledged may be lost, nothing may happen twice, and the mirror must end equal to
//! the provider.
//!
//! It knows the product by its command line and its HTTP contract only. Choices follow from the seed; what is hit at a
//! given moment also depends on the machine. Talks to nothing but loopback.

mod app;
mod billed;
mod book;
mod books;
mod buyers;
mod calls;
mod check;
mod forwarder;
mod gate;
mod http;
mod mirror;
mod post;
mod run;
mod site;
mod thoughts;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use serde_json::json;
use xtask::interrupt;

use crate::site::Database;

/// Kill the product under load and see that nothing is lost, nothing happens twice and everything converges.
#[derive(Parser)]
#[command(name = "cargo xtask crash", disable_version_flag = true)]
pub struct Arguments {
    /// The binary; `cargo xtask crash` names the one that it has built: as the tests have it, or with `--release`, which it
    /// takes for itself, the optimised one.
    #[arg(long, default_value = "target/debug/quittance")]
    binary: PathBuf,
    /// How often it is killed on each database.
    #[arg(long, default_value_t = 50)]
    cycles: u32,
    /// On which.
    #[arg(long, value_enum, default_value = "both")]
    database: Which,
    /// Repeats the choices of a run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Full checks after so many cycles, besides the one at the end.
    #[arg(long, default_value_t = 50)]
    check_every: u32,
    /// Buyers at the same time.
    #[arg(long, default_value_t = 10)]
    buyers: usize,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Sqlite,
    Postgres,
    Both,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match interrupt::install().and_then(|()| all(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(arguments: &Arguments) -> Result<()> {
    if !arguments.binary.exists() {
        bail!("there is no {}: build it, or name it with --binary", arguments.binary.display());
    }
    let databases: &[Database] = match arguments.database {
        Which::Sqlite => &[Database::Sqlite],
        Which::Postgres => &[Database::Postgres],
        Which::Both => &[Database::Sqlite, Database::Postgres],
    };
    let mut figures = Vec::new();
    for database in databases {
        let found = run::run(arguments, *database)?;
        if !arguments.json {
            println!("{}: {}", database.name(), serde_json::to_string_pretty(&found)?);
        }
        figures.push(found);
    }
    if arguments.json {
        println!("{}", json!({ "seed": arguments.seed, "runs": figures }));
    }
    Ok(())
}
