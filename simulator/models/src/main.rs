//! Runs the models: within the bounds of the tests, with `--large` within those of `docs/proof.md`, with `--mutants`
//! without one safeguard after the other.

use std::fmt::Debug;
use std::process::ExitCode;

use quittance_models::aggregate::{self, Aggregate};
use quittance_models::outbox::{self, Outbox};
use quittance_models::renewal::{self, Renewal};
use quittance_models::{Outcome, check, check_all};

/// Workers, or nodes, that share the work.
const TWO: usize = 2;

fn main() -> ExitCode {
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    let fine = if asked("--mutants") { mutants() } else { models(asked("--large")) };
    match fine {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: a model cannot be made: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for each world; `true` when every promise holds.
fn models(large: bool) -> Result<bool, String> {
    let mut whole = true;
    let mut show = |model: &str, world: &str, bounds: &dyn Debug, outcome: Outcome| {
        whole &= outcome.holds();
        println!("{model} | {world} | {bounds:?} | {outcome}");
    };
    for (world, budget) in if large { aggregate::LARGE.to_vec() } else { aggregate::SMALL.to_vec() } {
        show("aggregate", world, &budget, check(Aggregate { budget, workers: TWO, mutant: None }));
    }
    for (world, budget) in if large { outbox::LARGE.to_vec() } else { outbox::SMALL.to_vec() } {
        show("outbox", world, &budget, check(Outbox { budget, nodes: TWO, mutant: None }));
    }
    for (world, budget) in if large { renewal::LARGE.to_vec() } else { renewal::SMALL.to_vec() } {
        show("renewal", world, &budget, check(Renewal::new(budget, None)?));
    }
    Ok(whole)
}

/// Prints for each mutant what is broken in any of the small worlds; `true` when every mutant is found.
fn mutants() -> Result<bool, String> {
    let mut found = true;
    let mut show = |model: &str, mutant: &dyn Debug, outcomes: Vec<Outcome>| {
        let mut broken: Vec<&str> =
            outcomes.iter().flat_map(|outcome| outcome.broken.iter().map(|(name, _)| *name)).collect();
        broken.sort_unstable();
        broken.dedup();
        found &= !broken.is_empty();
        println!("{model} | {mutant:?} | {}", broken.join("; "));
    };
    for mutant in aggregate::Mutant::ALL {
        let run = |(_, budget)| check_all(Aggregate { budget, workers: TWO, mutant: Some(mutant) });
        show("aggregate", &mutant, aggregate::SMALL.into_iter().map(run).collect());
    }
    for mutant in outbox::Mutant::ALL {
        let run = |(_, budget)| check_all(Outbox { budget, nodes: TWO, mutant: Some(mutant) });
        show("outbox", &mutant, outbox::SMALL.into_iter().map(run).collect());
    }
    for mutant in renewal::Mutant::ALL {
        let run = |(_, budget)| Ok(check_all(Renewal::new(budget, Some(mutant))?));
        let outcomes: Result<Vec<Outcome>, String> = renewal::SMALL.into_iter().map(run).collect();
        show("renewal", &mutant, outcomes?);
    }
    Ok(found)
}
