//! `quittance simulate`: your catalog under every fault we know, seed by seed, in a virtual world.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quittance_domain::Catalog;
use quittance_simulator::campaign::{Failure as Broken, Order, Summary, Worlds, play_all};
use quittance_simulator::faults::Fault;

use super::{Common, found, out};
use crate::config;
use crate::dev::demo_catalog;
use crate::failure::Failure;

/// Lines of a failure's timeline that are printed; `--timeline` prints all.
const TIMELINE_LINES: usize = 60;

/// Simulated worlds.
#[derive(Debug, Args)]
#[command(after_help = "\
Each seed is a world of its own: buyers who click twice and pay in two tabs, cards that fail, webhooks that come
twice, late or never, lost answers, crashes, power failures, full disks, wrong clocks. Nothing leaves this machine,
and no database of yours is touched.

Examples:
  quittance simulate --seeds 1000                     the demo catalog
  quittance simulate --seeds 1000 --catalog mine.toml your own
  quittance simulate --seeds 1000 --no-webhooks       nothing but the sweep
  quittance simulate --first 4711 --seeds 1 --timeline everything that happens in one world
  quittance simulate --policy new.toml                whom another [access] would let in or shut out; changes nothing

Exit codes: 0 every invariant held, 1 one broke (its seed is printed), 2 usage.")]
pub(super) struct Options {
    /// How many seeds to play
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000), required_unless_present = "policy")]
    seeds: Option<u64>,
    /// Play nothing: tell who would gain or lose access under the section [access] of this configuration, from what is stored
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "first", "catalog", "twice", "stop", "timeline"])]
    policy: Option<PathBuf>,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first: u64,
    /// What is sold [default: the demo catalog]
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Switch webhooks off in every world: what the sweep finds has to be enough
    #[arg(long)]
    no_webhooks: bool,
    /// Play each seed twice and compare the traces, byte for byte
    #[arg(long)]
    twice: bool,
    /// Stop at the first broken invariant
    #[arg(long)]
    stop: bool,
    /// Print everything that happens in each world
    #[arg(long)]
    timeline: bool,
}

impl Options {
    /// The configuration whose policy is to be compared, instead of playing anything.
    pub(super) fn policy(&self) -> Option<&Path> {
        self.policy.as_deref()
    }
}

pub(super) fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let catalog = Arc::new(read_catalog(options)?);
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let order = Order {
        first: options.first,
        seeds: options.seeds.unwrap_or(1),
        threads: options.threads.unwrap_or_else(cores),
        worlds: if options.no_webhooks { Worlds::Silent } else { Worlds::Drawn },
        twice: options.twice,
        stop: options.stop,
    };
    if options.timeline {
        return timelines(&order, &catalog);
    }
    let bar = progress(common.json, order.seeds);
    let played = play_all(&order, &catalog, &|broken| {
        if let Some(bar) = &bar {
            bar.set_message(if broken == 0 {
                "nothing broken".to_owned()
            } else {
                format!("{broken} BROKEN")
            });
            bar.inc(1);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let summary = played.map_err(impossible)?;
    if common.json {
        let report = serde_json::to_value(summary.report()).unwrap_or_default();
        out::say_json(&report);
    } else {
        out::say(&in_words(&summary));
    }
    match summary.failures.first() {
        None => Ok(()),
        Some(first) => Err(found(
            format!(
                "{} of {} seeds broke an invariant; first seed {}",
                summary.broken, summary.seeds, first.seed
            ),
            format!(
                "Report it with the seed and this version: quittance simulate --first {} --seeds 1 --timeline",
                first.seed
            ),
        )),
    }
}

fn impossible(reason: String) -> Failure {
    Failure::problem(
        "simulator",
        format!("a world cannot be made: {reason}"),
        "Check the catalog with `quittance dev --catalog FILE`; if it starts there, report this.",
    )
}

fn read_catalog(options: &Options) -> Result<Catalog, Failure> {
    options.catalog.as_deref().map_or_else(demo_catalog, config::read_catalog)
}

fn timelines(order: &Order, catalog: &Arc<Catalog>) -> Result<(), Failure> {
    let mut broken = 0;
    for seed in order.first..order.first.saturating_add(order.seeds) {
        let outcome = order.play(seed, catalog, u64::MAX).map_err(impossible)?;
        out::say(&format!("{}{}", outcome.plan, outcome.trace));
        if let Some(violation) = &outcome.violation {
            broken += 1;
            out::say(&format!("BROKEN {}: {}", violation.invariant, violation.detail));
        }
    }
    if broken > 0 {
        return Err(found(format!("{broken} seeds broke an invariant"), "The timeline above shows how."));
    }
    Ok(())
}

fn progress(json: bool, seeds: u64) -> Option<ProgressBar> {
    if json || !std::io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left, {msg}");
    Some(ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
}

fn in_words(summary: &Summary) -> String {
    let figures = &summary.figures;
    let rows = [
        ("seeds played", summary.seeds),
        ("  that broke an invariant", summary.broken),
        ("simulated days", summary.days),
        ("steps, checked one by one", summary.steps),
        ("events of the provider", figures.events),
        ("  webhooks sent for them", figures.deliveries),
        ("calls to the provider", figures.provider_calls),
        ("subscriptions bought", figures.subscriptions),
        ("  second ones cancelled and refunded", figures.duplicates),
        ("payments taken", figures.payments),
        ("entries of the ledger", figures.entries),
        ("changes made as quoted", figures.quotes),
        ("own tries at failed payments", figures.own_tries),
        ("notices to customers", figures.notices),
        ("events that the app was told", figures.heard),
        ("faults", summary.faults.sum()),
    ];
    let mut lines: Vec<String> = rows.iter().map(|(name, count)| format!("{name:<38}{count:>14}")).collect();
    lines.extend(
        Fault::ALL
            .into_iter()
            .filter(|fault| summary.faults.of(*fault) > 0)
            .map(|fault| format!("  {:<36}{:>14}", fault.as_str(), summary.faults.of(fault))),
    );
    let died: u64 = summary.coverage.values().map(|(_, died)| died).sum();
    let points = summary.coverage.len();
    lines.push(format!("{:<38}{died:>14}", format!("deaths at {points} named points")));
    for failure in &summary.failures {
        lines.push(in_full(failure));
    }
    if summary.failures.is_empty() {
        lines.push("Every invariant held in every world.".to_owned());
    }
    lines.join("\n")
}

fn in_full(failure: &Broken) -> String {
    let all: Vec<&str> = failure.timeline.lines().collect();
    let from = all.len().saturating_sub(TIMELINE_LINES);
    let (plan, rest) = all.split_at(all.len().min(3));
    let shown = rest.get(from.saturating_sub(3)..).unwrap_or(rest);
    format!(
        "\nseed {} broke {} with its first {} faults: {}\n{}\n  …\n{}",
        failure.seed,
        failure.violation.invariant,
        failure.faults,
        failure.violation.detail,
        plan.join("\n"),
        shown.join("\n"),
    )
}
