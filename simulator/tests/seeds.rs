//! Seeds of every test run: no invariant breaks, and a seed is the same world each time.
//!
//! `QUITTANCE_SIMULATOR_SEEDS` says how many (default 2, for builds without optimisation).

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use quittance_domain::Catalog;
use quittance_simulator::campaign::{Order, Summary, Worlds, play_all};
use quittance_simulator::faults::Fault;
use quittance_simulator::lives;

fn catalog() -> Arc<Catalog> {
    Arc::new(Catalog::parse(include_str!("../../catalog.toml")).unwrap())
}

fn seeds() -> u64 {
    std::env::var("QUITTANCE_SIMULATOR_SEEDS").ok().map_or(2, |text| text.parse().unwrap())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn assert_whole(summary: &Summary) {
    for failure in &summary.failures {
        eprintln!("{}", failure.timeline);
        eprintln!("seed {} broke {:?}", failure.seed, failure.violation);
        eprintln!("with its first {} faults, and not with one fewer", failure.faults);
    }
    assert_eq!(summary.broken, 0, "seeds that broke an invariant; their timelines are above");
}

#[test]
fn every_seed_holds_and_is_the_same_world_twice() {
    let order = Order {
        first: 0,
        seeds: seeds(),
        threads: threads(),
        worlds: Worlds::Drawn,
        twice: true,
        stop: false,
    };
    let summary = play_all(&order, &catalog(), &|_| {}).unwrap();
    eprintln!(
        "{} seeds twice: {} events, {} steps, {} simulated days, {} faults",
        summary.seeds,
        summary.figures.events,
        summary.steps,
        summary.days,
        summary.faults.sum()
    );
    assert_whole(&summary);
    assert!(summary.figures.payments > 0 && summary.faults.sum() > 0, "an idle world proves nothing");
    if summary.seeds >= 100 {
        let missing = summary.uncovered();
        assert!(missing.is_empty(), "nobody passed, or nobody died at: {missing:?}");
        let never: Vec<&str> = Fault::ALL
            .into_iter()
            .filter(|fault| summary.faults.of(*fault) == 0)
            .map(Fault::as_str)
            .collect();
        assert!(never.is_empty(), "never struck: {never:?}");
        assert!(summary.figures.duplicates > 0, "no second subscription came up");
    }
}

#[test]
fn seeds_that_broke_once_hold() {
    let list = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for line in list {
        let seed = line.split_whitespace().next().unwrap().parse().unwrap();
        let order =
            Order { first: seed, seeds: 1, threads: 1, worlds: Worlds::Drawn, twice: false, stop: true };
        assert_whole(&play_all(&order, &catalog(), &|_| {}).unwrap());
    }
}

/// Webhooks are switched off and no buyer comes back: what the sweep finds has to be enough.
#[test]
fn the_sweep_alone_makes_everything_right() {
    let order = Order {
        first: 0,
        seeds: seeds().div_ceil(4),
        threads: threads(),
        worlds: Worlds::Silent,
        twice: true,
        stop: false,
    };
    let summary = play_all(&order, &catalog(), &|_| {}).unwrap();
    assert_whole(&summary);
    assert_eq!(summary.figures.deliveries, 0, "webhooks came");
    assert!(summary.figures.payments > 0 && summary.faults.sum() > 0, "an idle world proves nothing");
}

/// The lives that the engine's own tests live to the second come to the same with faults on.
#[test]
fn lives_come_to_what_their_tables_say() {
    let order = Order {
        first: 0,
        seeds: seeds().div_ceil(2),
        threads: threads(),
        worlds: Worlds::Lives,
        twice: true,
        stop: false,
    };
    let summary = play_all(&order, &lives::catalog().unwrap(), &|_| {}).unwrap();
    eprintln!("{} lives with {} faults", summary.seeds, summary.faults.sum());
    assert_whole(&summary);
    assert!(summary.figures.payments > 0 && summary.faults.sum() > 0, "an idle world proves nothing");
}

#[test]
fn other_seeds_are_other_worlds() {
    let play = |seed| quittance_simulator::run::play(seed, &catalog(), u64::MAX).unwrap().trace;
    assert_ne!(play(1), play(2));
}
