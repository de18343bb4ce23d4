//! Model checks: every interleaving of small worlds, run by the decisions that ship.
//!
//! A model holds a provider, messages under way, workers that crash, and the rows of the database. What a row does
//! is decided by `quittance_domain::{lease, command, projection, access}` and by nothing here; that the SQL moves
//! rows in the same way is held by the store's `transitions_tests`. Each model also knows mutants, that is the
//! protocol with one safeguard left out. A mutant in which the checker finds nothing would mean that the model
//! cannot see what the safeguard is for.
//!
//! Refuses to know: SQL, HTTP, any provider's wire format. A bug there is the simulator's to find.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

pub mod aggregate;
pub mod outbox;
pub mod renewal;

/// What a run of the checker found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// States that differ.
    pub unique: usize,
    /// How long it took.
    pub took: Duration,
    /// Promises that can be broken, each with the steps of the shortest way to it that was met.
    pub broken: Vec<(&'static str, String)>,
    /// What must happen somewhere and did not: the bounds were too small to show anything.
    pub unreached: Vec<&'static str>,
}

impl Outcome {
    /// Whether every promise holds, and the world was large enough to show what it is about.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_empty() && self.unreached.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} unique states in {:.1?}", self.unique, self.took)?;
        for (name, steps) in &self.broken {
            write!(f, "\nbroken: {name}\n{steps}")?;
        }
        for name in &self.unreached {
            write!(f, "\nnever reached: {name}")?;
        }
        Ok(())
    }
}

/// Checks a model completely, or until something is broken.
#[must_use]
pub fn check<M>(model: M) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
{
    check_until(model, HasDiscoveries::AnyFailures)
}

/// Checks a model completely, whatever is broken.
#[must_use]
pub fn check_all<M>(model: M) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
{
    check_until(model, HasDiscoveries::All)
}

fn check_until<M>(model: M, end: HasDiscoveries) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "measures the checker; no model reads it")]
    let start = Instant::now();
    let checker = model.checker().threads(2).finish_when(end).spawn_bfs().join();
    let mut broken = Vec::new();
    let mut unreached = Vec::new();
    for property in checker.model().properties() {
        match (checker.discovery(property.name), property.expectation.discovery_is_failure()) {
            (Some(path), true) => {
                let steps: Vec<String> =
                    path.into_actions().iter().map(|action| format!("  {action:?}")).collect();
                broken.push((property.name, steps.join("\n")));
            }
            (None, false) => unreached.push(property.name),
            (Some(_), false) | (None, true) => {}
        }
    }
    Outcome { unique: checker.unique_state_count(), took: start.elapsed(), broken, unreached }
}
