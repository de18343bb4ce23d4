//! One seed from beginning to end: faults and buyers first, checked after every step; then calm, until everything must
//! agree.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use quittance_domain::Catalog;
use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use quittance_store::Db;

use crate::actors;
use crate::app;
use crate::chance::Chance;
use crate::checks::Figures;
use crate::disk::Disk;
use crate::faults::Counts;
use crate::lives;
use crate::money;
use crate::operations;
use crate::plan::Plan;
use crate::sim::{Coverage, Sim, Violation, database_options};
use crate::subscriber;
use crate::suspensions;
use crate::webhooks;

/// Steps after which a run that goes on and on is stopped.
const MOST_STEPS: u64 = 1_000_000;
/// How long everything may take to come to rest after the faults, in milliseconds: the provider forgets a key after a
/// day, and only then can a command whose answer it got wrong be looked up.
const CALM_MS: i64 = 6 * DAY_MS;
/// How long a world stays that has come to rest, to see that it does, in milliseconds.
const IDLE_MS: i64 = 12 * HOUR_MS;
/// How long a last sweep may take, in milliseconds.
const LAST_SWEEP_MS: i64 = 6 * HOUR_MS;
/// How often an operator frees what is parked while everything comes to rest, in milliseconds.
const FREE_EVERY_MS: i64 = 6 * HOUR_MS;

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the seed decided.
    pub plan: Plan,
    /// The broken invariant, if one was.
    pub violation: Option<Violation>,
    /// Everything that happened.
    pub trace: String,
    /// Steps that were taken.
    pub steps: u64,
    /// What struck.
    pub faults: Counts,
    /// What the run did.
    pub figures: Figures,
    /// Which points were passed, and died at.
    pub coverage: Coverage,
    /// Simulated time, in milliseconds.
    pub simulated_ms: i64,
}

/// An empty, migrated database on a disk of its own; made once.
fn template() -> Result<Disk, String> {
    static TEMPLATE: OnceLock<Result<Disk, String>> = OnceLock::new();
    let make = || {
        let mount = Disk::default().mount()?;
        let ready = async {
            let db = Db::open(&mount.url(), database_options()).await.map_err(|e| e.to_string())?;
            db.migrate().await.map_err(|e| e.to_string())?;
            Ok(())
        };
        ready.now_or_never().unwrap_or_else(|| Err("opening a database waits for something".to_owned()))?;
        Ok(mount.disk.clone())
    };
    TEMPLATE.get_or_init(make).clone()
}

/// Plays a seed. Only its first `most_faults` faults strike.
///
/// # Errors
/// When the world cannot be made; a broken invariant is no error but an [`Outcome`].
pub fn play(seed: u64, catalog: &Arc<Catalog>, most_faults: u64) -> Result<Outcome, String> {
    play_plan(Plan::of(seed), catalog, most_faults)
}

/// Plays a plan. Only its first `most_faults` faults strike.
///
/// # Errors
/// As [`play`].
pub fn play_plan(plan: Plan, catalog: &Arc<Catalog>, most_faults: u64) -> Result<Outcome, String> {
    let mount = template()?.copy().mount()?;
    let catalog = plan.sold(catalog);
    let sim = Sim::new(plan, catalog, mount, most_faults)?;
    for node in 0..sim.plan.nodes {
        sim.start(node);
    }
    match sim.plan.life {
        Some(life) => sim.outside(lives::walk(Arc::clone(&sim), life)),
        None => {
            for index in 0..sim.plan.buyers {
                sim.outside(actors::buyer(Arc::clone(&sim), index));
                sim.outside(subscriber::subscriber(Arc::clone(&sim), index));
            }
            sim.outside(operations::operator(Arc::clone(&sim)));
            if sim.plan.accountant {
                sim.outside(money::accountant(Arc::clone(&sim)));
            }
            if sim.plan.warden {
                sim.outside(suspensions::warden(Arc::clone(&sim)));
            }
        }
    }
    sim.outside(app::run(Arc::clone(&sim)));
    sim.outside(operations::misfortune(Arc::clone(&sim)));
    if sim.plan.imports {
        sim.outside(operations::importer(Arc::clone(&sim)));
    }
    live(&sim);
    if sim.record().broken().is_none() {
        calm(&sim);
    }
    let (violation, figures) = {
        let record = sim.record();
        (record.broken().cloned(), record.figures)
    };
    let (faults, coverage) = (*sim.faults().counts(), sim.coverage().clone());
    let trace = std::mem::take(&mut *sim.trace()).into_text();
    let outcome = Outcome {
        violation,
        steps: sim.scheduler.steps(),
        faults,
        figures,
        coverage,
        simulated_ms: sim.scheduler.now_ms() - sim.plan.start_ms,
        plan: sim.plan.clone(),
        trace,
    };
    sim.close();
    Ok(outcome)
}

/// Runs everything that can run now, checking after each step; `false` when an invariant broke.
fn settle(sim: &Arc<Sim>) -> bool {
    loop {
        webhooks::pump(sim);
        let writes = sim.mount.disk.writes();
        if !sim.scheduler.run_one() {
            sim.record().memory(sim);
            return sim.record().broken().is_none();
        }
        sim.bury();
        if sim.mount.disk.writes() != writes {
            sim.wake_others();
        }
        let mut record = sim.record();
        record.stepped(sim.scheduler.now_ms());
        if sim.take_provider_changed() {
            record.provider_changed(sim);
        }
        record.database_changed(sim);
        if sim.scheduler.steps() > MOST_STEPS {
            record.violation("I10", "it goes on and on without coming to rest");
        }
        if record.broken().is_some() {
            return false;
        }
    }
}

fn live(sim: &Arc<Sim>) {
    let end = sim.plan.start_ms + sim.plan.length_ms;
    while settle(sim) && sim.advance(end) {}
}

/// The faults stop, every node comes up, and all that is left to do is done.
fn calm(sim: &Arc<Sim>) {
    sim.tell("world", format_args!("no more faults"));
    sim.faults().stop();
    sim.mount.disk.clear_trap();
    sim.cut_provider(0);
    let mut chance = Chance::new(sim.plan.seed, "calm");
    let begun = sim.scheduler.now_ms();
    // What every node needs to come back, and a sweep to find what nobody told.
    let swept = begun + sim.plan.settings.sweep_every_ms + HOUR_MS;
    let (mut free_at, mut followed, mut rests_since) = (begun, None, None);
    let agreed = Arc::new(OnceLock::new());
    if sim.plan.imports {
        sim.outside(operations::import_until_agreed(Arc::clone(sim), Arc::clone(&agreed)));
    }
    while settle(sim) {
        let now = sim.scheduler.now_ms();
        let imported = !sim.plan.imports || agreed.get().is_some();
        if now >= swept && imported && sim.record().is_at_rest(sim) {
            let rested = *rests_since.get_or_insert(now);
            if now < rested + IDLE_MS {
                sim.record().rests(sim);
                sim.advance(now + HOUR_MS);
                continue;
            }
            if let Some(since) = followed {
                if sim.record().last_sweep.is_some() || now >= since + LAST_SWEEP_MS {
                    return sim.record().in_the_end(sim);
                }
                sim.advance(now + MINUTE_MS);
                continue;
            }
            followed = Some(now);
            let (reader, seed) = (Arc::clone(sim), chance.draw());
            sim.outside(async move {
                app::follow(&reader, &mut Chance::new(seed, "follow")).await;
                // Another node's sweep may keep it out, and then it is asked for once more.
                while reader.record().last_sweep.is_none() {
                    let counted = reader.call(seed, |engine| async move { engine.sweep(true, true).await });
                    if let Some(Ok(Some(report))) = counted.await {
                        reader.record().last_sweep = Some(report.findings);
                    } else {
                        reader.sleep(MINUTE_MS).await;
                    }
                }
            });
            continue;
        }
        followed = None;
        if now >= begun + sim.plan.settings.sweep_every_ms + CALM_MS {
            let left = match imported {
                true => sim.record().what_is_left(sim),
                false => "no import agrees with the provider".to_owned(),
            };
            return sim.record().violation("I3", format!("it does not come to rest: {left}"));
        }
        if now >= free_at {
            free_at = now + FREE_EVERY_MS;
            let (operator, seed) = (Arc::clone(sim), chance.draw());
            sim.outside(
                async move { operations::free_parked(&operator, &mut Chance::new(seed, "free")).await },
            );
            continue;
        }
        sim.advance(now + 10 * MINUTE_MS);
    }
}
