//! Plays a range of seeds of the demo catalog on all cores and prints what came of them as JSON: the part of
//! `cargo xtask prove` that plays. `many FIRST SEEDS`; the exit code is 0 when every invariant held, 1 when one broke.
#![allow(missing_docs, reason = "a program")]

use std::process::ExitCode;
use std::sync::Arc;

use quittance_domain::Catalog;
use quittance_simulator::campaign::{Order, Summary, Worlds, play_all};

/// As in the product: many small pieces of memory that live shortly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match played() {
        Ok(summary) => {
            println!("{}", serde_json::json!(summary.report()));
            ExitCode::from(u8::from(summary.broken > 0))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn played() -> Result<Summary, String> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().map_err(|e| format!("{text}: {e}")));
    let mut next = || numbers.next().unwrap_or_else(|| Err("usage: many FIRST SEEDS".to_owned()));
    let (first, seeds) = (next()?, next()?);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let catalog = Catalog::parse(include_str!("../../catalog.toml")).map_err(|error| error.to_string())?;
    let order = Order { first, seeds, threads, worlds: Worlds::Drawn, twice: false, stop: false };
    play_all(&order, &Arc::new(catalog), &|_| {})
}
