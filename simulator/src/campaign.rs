//! Many seeds: played on all cores, added up, and each failure made as small as it gets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quittance_domain::Catalog;
use quittance_domain::time::DAY_MS;
use quittance_engine::world::Point;
use serde::Serialize;

use crate::checks::Figures;
use crate::faults::{Counts, Fault};
use crate::lives;
use crate::plan::Plan;
use crate::run::{Outcome, play_plan};
use crate::sim::{Coverage, Violation};

/// Failures that are kept in full.
const MOST_FAILURES: usize = 20;

/// What kind of worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worlds {
    /// Those that the seeds draw.
    Drawn,
    /// The same with webhooks switched off.
    Silent,
    /// A life each, in turn.
    Lives,
}

/// What to play.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// Threads.
    pub threads: usize,
    /// In which worlds.
    pub worlds: Worlds,
    /// Whether to play each seed twice and compare the traces.
    pub twice: bool,
    /// Whether to stop at the first failure.
    pub stop: bool,
}

impl Order {
    /// Plays one of its seeds. Only the first `most_faults` faults strike.
    ///
    /// # Errors
    /// As [`play_plan`].
    pub fn play(&self, seed: u64, catalog: &Arc<Catalog>, most_faults: u64) -> Result<Outcome, String> {
        let plan = match self.worlds {
            Worlds::Drawn => Plan::of(seed),
            Worlds::Silent => Plan::of(seed).silenced(),
            Worlds::Lives => Plan::of_life(seed, lives::of(seed)),
        };
        play_plan(plan, catalog, most_faults)
    }
}

/// A seed that broke an invariant.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What broke.
    pub violation: Violation,
    /// With so many faults, the first ones, it still breaks, and with one fewer it did not.
    pub faults: u64,
    /// What the seed decided, and everything that happened with only these faults.
    pub timeline: String,
}

/// What many seeds came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Seeds played.
    pub seeds: u64,
    /// What they did.
    pub figures: Figures,
    /// What struck.
    pub faults: Counts,
    /// Which points were passed, and died at.
    pub coverage: Coverage,
    /// Steps.
    pub steps: u64,
    /// Simulated days.
    pub days: u64,
    /// What broke.
    pub failures: Vec<Failure>,
    /// How many seeds broke something.
    pub broken: u64,
}

/// The summary for programs.
#[derive(Debug, Serialize)]
pub struct Report {
    seeds: u64,
    broken: u64,
    simulated_days: u64,
    steps: u64,
    provider_events: u64,
    webhooks: u64,
    provider_calls: u64,
    subscriptions: u64,
    payments: u64,
    second_subscriptions_mended: u64,
    ledger_entries: u64,
    quoted_changes: u64,
    own_tries: u64,
    notices: u64,
    app_events: u64,
    faults: std::collections::BTreeMap<&'static str, u64>,
    points: std::collections::BTreeMap<&'static str, (u64, u64)>,
    failures: Vec<ReportedFailure>,
}

#[derive(Debug, Serialize)]
struct ReportedFailure {
    seed: u64,
    invariant: &'static str,
    detail: String,
    faults: u64,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        let figures = &outcome.figures;
        self.seeds += 1;
        self.figures.events += figures.events;
        self.figures.deliveries += figures.deliveries;
        self.figures.provider_calls += figures.provider_calls;
        self.figures.subscriptions += figures.subscriptions;
        self.figures.payments += figures.payments;
        self.figures.duplicates += figures.duplicates;
        self.figures.entries += figures.entries;
        self.figures.sent += figures.sent;
        self.figures.heard += figures.heard;
        self.figures.notices += figures.notices;
        self.figures.quotes += figures.quotes;
        self.figures.own_tries += figures.own_tries;
        self.figures.most.add(&figures.most);
        self.faults.add(&outcome.faults);
        self.steps += outcome.steps;
        self.days += u64::try_from(outcome.simulated_ms / DAY_MS).unwrap_or(0);
        for (point, (passed, died)) in &outcome.coverage {
            let (sum_passed, sum_died) = self.coverage.entry(*point).or_default();
            *sum_passed += passed;
            *sum_died += died;
        }
    }

    /// Points that were never passed, or at which nobody ever died.
    #[must_use]
    pub fn uncovered(&self) -> Vec<Point> {
        let covered = |point: &Point| self.coverage.get(point).is_some_and(|(p, d)| *p > 0 && *d > 0);
        Point::ALL.into_iter().filter(|point| !covered(point)).collect()
    }

    /// For programs.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            seeds: self.seeds,
            broken: self.broken,
            simulated_days: self.days,
            steps: self.steps,
            provider_events: self.figures.events,
            webhooks: self.figures.deliveries,
            provider_calls: self.figures.provider_calls,
            subscriptions: self.figures.subscriptions,
            payments: self.figures.payments,
            second_subscriptions_mended: self.figures.duplicates,
            ledger_entries: self.figures.entries,
            quoted_changes: self.figures.quotes,
            own_tries: self.figures.own_tries,
            notices: self.figures.notices,
            app_events: self.figures.heard,
            faults: Fault::ALL.into_iter().map(|fault| (fault.as_str(), self.faults.of(fault))).collect(),
            points: self.coverage.iter().map(|(point, counts)| (point.as_str(), *counts)).collect(),
            failures: self
                .failures
                .iter()
                .map(|failure| ReportedFailure {
                    seed: failure.seed,
                    invariant: failure.violation.invariant,
                    detail: failure.violation.detail.clone(),
                    faults: failure.faults,
                })
                .collect(),
        }
    }
}

/// Plays a seed, twice where that is asked for: a trace that differs breaks the promise of determinism.
fn examine(order: &Order, catalog: &Arc<Catalog>, seed: u64) -> Result<Outcome, String> {
    let mut outcome = order.play(seed, catalog, u64::MAX)?;
    if order.twice {
        let again = order.play(seed, catalog, u64::MAX)?;
        let same =
            (&outcome.trace, outcome.steps, outcome.figures) == (&again.trace, again.steps, again.figures);
        if outcome.violation.is_none() && !same {
            let differs = outcome.trace.lines().zip(again.trace.lines()).find(|(one, other)| one != other);
            let detail = format!(
                "two runs of one seed differ, first at {differs:?}; {} and {} steps",
                outcome.steps, again.steps
            );
            outcome.violation = Some(Violation { invariant: "determinism", detail });
        }
    }
    Ok(outcome)
}

/// A number of faults, counted from the first, with which a seed breaks the same invariant, and not with one fewer.
fn shrink(
    order: &Order,
    outcome: &Outcome,
    violation: &Violation,
    catalog: &Arc<Catalog>,
) -> Result<Failure, String> {
    let seed = outcome.plan.seed;
    let (mut holds, mut breaks) = (0, outcome.faults.sum());
    let mut small = outcome.clone();
    // A run without any fault first: then the fault is in nobody but us.
    let same = |tried: &Outcome| tried.violation.as_ref().is_some_and(|v| v.invariant == violation.invariant);
    let without = order.play(seed, catalog, 0)?;
    if same(&without) {
        (breaks, small) = (0, without);
    }
    while breaks > holds + 1 {
        let middle = holds.midpoint(breaks);
        let tried = order.play(seed, catalog, middle)?;
        if same(&tried) {
            (breaks, small) = (middle, tried);
        } else {
            holds = middle;
        }
    }
    Ok(Failure {
        seed,
        violation: small.violation.clone().unwrap_or_else(|| violation.clone()),
        faults: breaks,
        timeline: format!("{}{}", small.plan, small.trace),
    })
}

/// Plays all seeds of an order. `progress` hears of each, with the number of broken ones so far.
///
/// # Errors
/// When a world cannot be made.
pub fn play_all(
    order: &Order,
    catalog: &Arc<Catalog>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Summary, String> {
    let next = AtomicU64::new(0);
    let halted = AtomicBool::new(false);
    let summary = Mutex::new(Summary::default());
    let work = || -> Result<(), String> {
        while !halted.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= order.seeds {
                break;
            }
            let outcome = examine(order, catalog, order.first + index)?;
            let mut sum = summary.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(&outcome);
            let kept = sum.failures.len();
            if let Some(violation) = &outcome.violation {
                sum.broken += 1;
                halted.store(order.stop, Ordering::Relaxed);
                drop(sum);
                if kept < MOST_FAILURES {
                    let failure = shrink(order, &outcome, violation, catalog)?;
                    summary.lock().unwrap_or_else(PoisonError::into_inner).failures.push(failure);
                }
            } else {
                drop(sum);
            }
            let broken = summary.lock().unwrap_or_else(PoisonError::into_inner).broken;
            progress(broken);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..order.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err("a run panicked; see above for its seed".to_owned()))
        })
    })?;
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort_by_key(|failure| failure.seed);
    Ok(summary)
}
