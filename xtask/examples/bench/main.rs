//! The benchmark: how many webhooks are durably acknowledged and how many entitlements checked per second, beside a bare
//! handler in the same run; what a checkout costs at the provider; memory; and whether any of it changes with size.
//!
//! Figures of different runs or machines do not compare: machines drift. So what is compared is interleaved, durable runs
//! are short, and the disk is looked at before each. Linux only (`/proc`). Talks to nothing but loopback.

mod bare;
mod disk;
mod fill;
mod http;
mod load;
mod process;
mod product;
mod report;
mod requests;
mod scenario;
#[cfg(test)]
mod tests;
mod yardstick;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::interrupt;

/// Measure the product beside a bare handler.
#[derive(Parser)]
#[command(name = "cargo xtask bench --", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Where the release binaries are.
    #[arg(long, default_value = "target/release")]
    release: PathBuf,
    /// How long each run of load lasts.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Only this database: `sqlite` or `postgres`.
    #[arg(long)]
    database: Option<String>,
    /// Customers in the large database.
    #[arg(long, default_value_t = 100_000)]
    customers: u64,
    /// Events in the large database.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Leave the large database out.
    #[arg(long)]
    small: bool,
    /// Print JSON instead of Markdown.
    #[arg(long)]
    json: bool,
    /// Also write the Markdown to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// Only the bare handler and the disk: what this machine can do right now, and whether it is quiet.
    Yardstick,
    /// Only sends webhooks to a server that runs already, signed for the secret `whsec_bench`: to look at it from outside.
    Send {
        /// Where it listens, on loopback.
        #[arg(long)]
        port: u16,
        /// How many connections send at once.
        #[arg(long, default_value_t = 128)]
        connections: usize,
        /// Tells runs apart, so that no event is sent twice.
        #[arg(long, default_value_t = 1)]
        run: u32,
    },
    /// The bare handler, a process of its own.
    #[command(hide = true)]
    BareServer {
        /// Where to listen, on loopback.
        #[arg(long)]
        port: u16,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Part::BareServer { port }) = arguments.part {
        return bare::serve(port);
    }
    interrupt::install()?;
    let report = match arguments.part {
        Some(Part::Yardstick) => yardstick::run(arguments)?,
        Some(Part::Send { port, connections, run }) => yardstick::send(arguments, port, connections, run)?,
        Some(Part::BareServer { .. }) | None => scenario::run(arguments)?,
    };
    let markdown = report.markdown();
    if let Some(file) = &arguments.markdown {
        std::fs::write(file, &markdown)?;
    }
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        println!("\n{markdown}");
    }
    Ok(())
}
