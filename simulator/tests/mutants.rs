//! The simulator's own proof: with one protection taken away, some seed soon breaks an invariant.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use quittance_domain::Catalog;
use quittance_domain::mutant::{self, Mutant};
use quittance_simulator::run::play;

/// Within how many seeds each defect must be found, and by which invariants it may be told.
const fn bound(mutant: Mutant) -> (u64, &'static [&'static str]) {
    match mutant {
        // A stalled sync must outlive its lease while its object changes, which is rare.
        // An old state that is written over a new one is a change once more, and is told once more.
        // It was told as one key that gave two sessions, too; its timeline was not followed.
        Mutant::Fence => (1_000, &["I2", "I3", "I4", "I6", "I8"]),
        Mutant::Dedupe => (20, &["I2"]),
        Mutant::IdempotencyKey => (50, &["I2", "I7"]),
        Mutant::GraceAnchor => (50, &["I5"]),
        Mutant::NaturalKey => (100, &["I2"]),
        // What power took away may be half of a page: then nothing can be read, and nothing comes to rest.
        Mutant::Durability => (200, &["I1", "I2", "I3", "I6", "I10"]),
        Mutant::Memory => (100, &["I5"]),
        Mutant::Signature => (20, &["I9"]),
        Mutant::LookUp => (1_000, &["I2", "I7"]),
        Mutant::LedgerKey => (20, &["I6"]),
        Mutant::Undo => (200, &["I7"]),
        Mutant::StillTrue => (200, &["I2"]),
        Mutant::Sweep => (200, &["I1", "I2", "I3"]),
        Mutant::Quote => (1_000, &["I7"]),
        Mutant::TrialRegistry => (200, &["I7"]),
    }
}

#[test]
fn every_missing_protection_is_found() {
    let catalog = Arc::new(Catalog::parse(include_str!("../../catalog.toml")).unwrap());
    let all: Vec<_> = Mutant::ALL
        .into_iter()
        .map(|missing| {
            let catalog = Arc::clone(&catalog);
            std::thread::spawn(move || {
                mutant::set(Some(missing));
                let (most, _) = bound(missing);
                let found = (0..most).find_map(|seed| {
                    let outcome = play(seed, &catalog, u64::MAX).unwrap();
                    outcome.violation.map(|violation| (seed, violation))
                });
                (missing, found)
            })
        })
        .collect();
    let mut unfound = Vec::new();
    for thread in all {
        let (missing, found) = thread.join().unwrap();
        let (most, invariants) = bound(missing);
        match found {
            Some((seed, violation)) => {
                eprintln!(
                    "without {}: seed {seed}, {}: {}",
                    missing.as_str(),
                    violation.invariant,
                    violation.detail
                );
                if !invariants.contains(&violation.invariant) {
                    unfound.push(format!("without {}: told as {violation:?}", missing.as_str()));
                }
            }
            None => unfound.push(format!("without {}: not found in {most} seeds", missing.as_str())),
        }
    }
    assert!(unfound.is_empty(), "{unfound:#?}");
}
