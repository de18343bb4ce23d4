//! `quittance reconcile`: a sweep now.

use clap::Args;
use quittance_engine::progress::LongRun;
use quittance_engine::sweep::SweepReport;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, found, out, progress};
use crate::failure::Failure;
use crate::serve::Opening;

/// A sweep.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance reconcile --dry-run        only count; exit code 1 when there is drift
  quittance reconcile                  and mark what differs, for a running server or worker to sync")]
pub(super) struct Options {
    /// Only count what differs
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub(super) async fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    let sweep = engine.sweep(true, options.dry_run);
    let report = progress::shown(&engine, LongRun::Sweep, common.json, sweep).await;
    let Some(report) = report? else {
        return Err(Failure::problem(
            "sweep_running",
            "another process sweeps right now",
            "Wait for it and try again.",
        ));
    };
    let drift = report.findings + report.missed_events;
    if common.json {
        out::say_json(&json!({ "dry_run": options.dry_run, "drift": drift, "report": report }));
    } else {
        out::say(&in_words(&report));
    }
    match (drift, options.dry_run) {
        (0, _) => Ok(()),
        (_, true) => {
            Err(found(format!("{drift} differences"), "Mend them: quittance reconcile (without --dry-run)"))
        }
        (_, false) => {
            if !common.json {
                out::say(&format!("{drift} differences are marked; a running server or worker syncs them."));
            }
            Ok(())
        }
    }
}

fn in_words(report: &SweepReport) -> String {
    let rows = [
        ("subscriptions compared", report.subscriptions),
        ("  otherwise in the mirror", report.differing),
        ("  not in the mirror", report.unknown),
        ("  gone at the provider", report.gone),
        ("  about to be answered", report.under_way),
        ("events listed", report.events),
        ("  that had not reached us", report.missed_events),
        ("differences of all kinds", report.findings),
        ("  found for the first time", report.new_findings),
        ("  that wait for an operator", report.for_operator),
        ("calls to the provider", report.calls),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, count)| format!("{name:<28}{count:>8}")).collect();
    lines.join("\n")
}
