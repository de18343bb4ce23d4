//! Who keeps the nodes running, and what breaks them: operators with their tools, and misfortune.

use std::sync::{Arc, OnceLock};

use quittance_domain::delivery::DeliveryState;
use quittance_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use quittance_engine::import::{ImportOptions, ImportReport};
use quittance_engine::{Engine, Problem};
use quittance_store::deliveries::Filter;

use crate::chance::Chance;
use crate::disk::Trouble;
use crate::faults::Fault;
use crate::gifts;
use crate::sim::Sim;

/// An operator, who frees what is parked, gives by hand, replays events and sweeps by hand, now and then.
pub async fn operator(sim: Arc<Sim>) {
    let mut chance = Chance::new(sim.plan.seed, "operator");
    sim.app_is_ready().await;
    while !sim.is_over() {
        let most = (sim.plan.length_ms / 4).max(DAY_MS);
        sim.sleep(chance.between(HOUR_MS, most)).await;
        match chance.below(6) {
            0 => free_parked(&sim, &mut chance).await,
            1 | 2 => gifts::give(&sim, &mut chance).await,
            3 => gifts::take_back(&sim, &mut chance).await,
            4 => {
                let events: Vec<String> = sim.record().acknowledged.keys().cloned().collect();
                let Some(event) = chance.pick(&events).cloned() else { continue };
                sim.tell("operator", format_args!("replays {event}"));
                let done =
                    sim.call(chance.draw(), move |engine| async move { engine.replay(&event, 0).await });
                let _seen = done.await;
            }
            _ => {
                sim.tell("operator", format_args!("sweeps"));
                let done = sim.call(chance.draw(), |engine| async move { engine.sweep(true, false).await });
                if let Some(Ok(Some(report))) = done.await {
                    sim.tell("operator", format_args!("{report:?}"));
                }
            }
        }
    }
}

/// Frees everything that is parked, and sends again what was given up.
pub async fn free_parked(sim: &Arc<Sim>, chance: &mut Chance) {
    sim.record().given_up_is_told(sim);
    let failed = Filter { state: Some(DeliveryState::Failed), ..Filter::default() };
    let listed =
        sim.call(chance.draw(), |engine| async move { engine.deliveries(failed, i64::MAX, 100).await });
    if let Some(Ok(rows)) = listed.await
        && !rows.is_empty()
    {
        let told = rows.iter().filter_map(|row| row.key.split_once(':')).map(|(event, _)| event.to_owned());
        sim.app().resent.extend(told);
        let numbers: Vec<i64> = rows.into_iter().map(|row| row.seq).collect();
        sim.tell("operator", format_args!("sends {numbers:?} again"));
        sim.arrived().again.extend(numbers.iter().copied());
        let sent = sim.call(chance.draw(), |engine| async move {
            for number in numbers {
                engine.deliver_again(number).await?;
            }
            Ok::<_, Problem>(())
        });
        // What was not sent again is found once more.
        let _sent = sent.await;
    }
    let done = sim.call(chance.draw(), |engine| async move {
        let parked = engine.parked(1_000).await?;
        let names = parked.aggregates.iter().map(|a| a.key.clone());
        let names: Vec<String> = names.chain(parked.commands.iter().map(|c| c.id.to_string())).collect();
        for name in &names {
            engine.retry_parked(name).await?;
        }
        Ok::<_, Problem>(names)
    });
    if let Some(Ok(names)) = done.await
        && !names.is_empty()
    {
        sim.record().frees += 1;
        sim.tell("operator", format_args!("frees {names:?}"));
    }
}

/// An operator who imports the account again and again: runs die, go on where they were, and meet each other.
pub async fn importer(sim: Arc<Sim>) {
    let mut chance = Chance::new(sim.plan.seed, "importer");
    while !sim.is_over() {
        let most = (sim.plan.length_ms / 6).max(DAY_MS);
        sim.sleep(chance.between(HOUR_MS, most)).await;
        let _report = import(&sim, chance.draw(), chance.per_mille(200)).await;
    }
}

/// Imports until a report says that mirror and provider agree, which `agreed` gets: what changes at the provider between a
/// list and the count beside it may keep a single one from it.
pub async fn import_until_agreed(sim: Arc<Sim>, agreed: Arc<OnceLock<ImportReport>>) {
    let mut chance = Chance::new(sim.plan.seed, "last import");
    while agreed.get().is_none() {
        if let Some(report) = import(&sim, chance.draw(), false).await
            && report.agrees()
        {
            let _first = agreed.set(report);
        }
        sim.sleep(HOUR_MS).await;
    }
}

async fn import(sim: &Arc<Sim>, draw: u64, dry_run: bool) -> Option<ImportReport> {
    sim.tell("operator", format_args!("imports{}", if dry_run { ", counting only" } else { "" }));
    let options = ImportOptions { dry_run, ..ImportOptions::default() };
    let run = move |engine: Engine| async move { engine.import(&options).await };
    match sim.call(draw, run).await {
        Some(Ok(Some(report))) => {
            sim.tell("operator", format_args!("{report:?}"));
            Some(report)
        }
        Some(Ok(None)) => {
            sim.tell("operator", format_args!("is told that another import runs"));
            None
        }
        Some(Err(problem)) => {
            sim.tell("operator", format_args!("is told: {problem}"));
            None
        }
        None => {
            sim.tell("operator", format_args!("loses the import with its node"));
            None
        }
    }
}

/// What breaks by itself: nodes, disk, and the way to the provider.
pub async fn misfortune(sim: Arc<Sim>) {
    while !sim.is_over() {
        let most = (sim.plan.length_ms / 10).max(HOUR_MS);
        let wait = sim.drawn(MINUTE_MS, most);
        sim.sleep(wait).await;
        if sim.strikes(Fault::Killed) {
            let draw = sim.drawn(0, 1_000);
            sim.kill_some(draw);
        }
        if sim.strikes(Fault::Paused) {
            let (draw, ms) = (sim.drawn(0, 1_000), sim.drawn(SECOND_MS, 5 * MINUTE_MS));
            sim.pause_some(draw, ms);
        }
        if sim.strikes(Fault::Outage) {
            let ms = sim.drawn(10 * MINUTE_MS, sim.plan.longest_outage_ms);
            sim.tell("provider", format_args!("cannot be reached for {} minutes", ms / MINUTE_MS));
            sim.cut_provider(ms);
        }
        if sim.strikes(Fault::Disk) {
            let draw = usize::try_from(sim.drawn(0, 5)).unwrap_or(0);
            let trouble = Trouble::ALL.get(draw).copied().unwrap_or(Trouble::Full);
            let (after, times) = (sim.drawn(0, 40), sim.drawn(1, 80));
            sim.tell("disk", format_args!("{} after {after} more, {times} times", trouble.as_str()));
            let count = |n: i64| u32::try_from(n).unwrap_or(1);
            if trouble == Trouble::PowerFails && after < 20 {
                sim.mount.disk.fail_power();
            } else {
                sim.mount.disk.set_trap(trouble, count(after), count(times));
            }
        }
    }
}
