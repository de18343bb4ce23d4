//! Plays seeds by hand: `cargo run -p quittance-simulator --example seed -- FIRST COUNT [trace]`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]
use std::sync::Arc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let first: u64 = args[1].parse().unwrap();
    let count: u64 = args[2].parse().unwrap();
    let most: u64 = args.get(4).map_or(u64::MAX, |t| t.parse().unwrap());
    let catalog = Arc::new(quittance_domain::Catalog::parse(include_str!("../../catalog.toml")).unwrap());
    let begun = std::time::Instant::now();
    let (mut events, mut steps, mut bad) = (0, 0, 0);
    for seed in first..first + count {
        let outcome = quittance_simulator::run::play(seed, &catalog, most).unwrap();
        events += outcome.figures.events;
        steps += outcome.steps;
        if args.get(3).is_some_and(|t| t == "trace") {
            print!("{}{}", outcome.plan, outcome.trace);
        }
        if args.get(3).is_some_and(|t| t == "each") {
            println!(
                "{seed} {:?} steps {} faults {} {:?}",
                begun.elapsed(),
                outcome.steps,
                outcome.faults.sum(),
                outcome.figures
            );
        }
        if let Some(v) = outcome.violation {
            bad += 1;
            println!("seed {seed}: {} {}", v.invariant, v.detail);
        }
    }
    println!("{count} seeds, {events} events, {steps} steps, {bad} bad, {:?}", begun.elapsed());
}
