//! The project's own tasks: `cargo xtask test`, `bench`, `crash` and `prove`.
//!
//! Each needs nothing prepared: what it needs it starts in a temporary directory and takes away again, also after a
//! failure or Ctrl-C. It knows the product only from outside, by its command line and its HTTP contract, and depends on
//! no crate of it.

mod bench;
mod browser;
mod crash;
mod openapi;
mod prove;
mod simulator;
mod stages;
mod suite;
mod witnesses;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::interrupt;

/// Tasks of the Quittance workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test, on SQLite and on a PostgreSQL of its own, then compare every answer with the OpenAPI document and walk the purchase in a browser.
    Test(suite::TestArguments),
    /// Run one command beside a temporary PostgreSQL, whose address it finds in QUITTANCE_TEST_POSTGRES.
    Postgres(suite::PostgresArguments),
    /// Measure the product beside a bare handler and print the figures with the aims; minutes, on a quiet machine.
    Bench(bench::BenchArguments),
    /// Play very many simulated worlds and write their figures into docs/proof.md; hours.
    Prove(prove::ProveArguments),
    /// Kill the product under load, again and again, and see that nothing is lost and nothing happens twice.
    #[command(disable_help_flag = true)]
    Crash(crash::CrashArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = interrupt::install().and_then(|()| match arguments.task {
        Task::Test(arguments) => suite::run(&arguments),
        Task::Postgres(arguments) => suite::beside_postgres(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Prove(arguments) => prove::prove(&arguments),
        Task::Crash(arguments) => crash::run(&arguments),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
