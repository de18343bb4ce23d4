//! `quittance reconcile`: a sweep now.

use clap::Args;
use quittance_engine::progress::LongRun;
use quittance_engine::sweep::{Difference, SweepReport, Swept, Then};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, found, out, progress};
use crate::failure::Failure;
use crate::serve::Opening;

/// A sweep.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance reconcile --dry-run        only show what differs; exit code 1 when anything does
  quittance reconcile                  and mark what differs, for a running server or worker to sync")]
pub(super) struct Options {
    /// Only show what differs, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub(super) async fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    let sweep = engine.swept(true, options.dry_run);
    let swept = progress::shown(&engine, LongRun::Sweep, common.json, sweep).await;
    let Some(Swept { report, differences }) = swept? else {
        return Err(Failure::problem(
            "sweep_running",
            "another process sweeps right now",
            "Wait for it and try again.",
        ));
    };
    let drift = report.findings + report.missed_events;
    if common.json {
        let shown: Vec<Value> = differences.iter().map(value).collect();
        out::say_json(
            &json!({ "dry_run": options.dry_run, "drift": drift, "report": report, "differences": shown }),
        );
    } else {
        if !differences.is_empty() {
            out::say(&format!("{}\n", table(&differences, report.findings)));
        }
        out::say(&in_words(&report));
    }
    match (drift, options.dry_run) {
        (0, _) => Ok(()),
        (_, true) => {
            Err(found(format!("{drift} differences"), "Mend them: quittance reconcile (without --dry-run)"))
        }
        (_, false) => {
            let marked = drift.saturating_sub(report.for_operator);
            if !common.json && marked > 0 {
                out::say(&format!("{marked} differences are marked; a running server or worker syncs them."));
            }
            if report.for_operator == 0 {
                return Ok(());
            }
            Err(found(
                format!("{} differences wait for you", report.for_operator),
                "Look: quittance drift list. What has the cause parked is looked at again after: quittance parked retry KEY (quittance parked list)",
            ))
        }
    }
}

fn value(found: &Difference) -> Value {
    let finding = &found.finding;
    json!({
        "type": finding.kind,
        "object": finding.object,
        "customer": finding.customer,
        "ours": finding.ours,
        "theirs": finding.theirs,
        "cause": finding.cause.as_str(),
        "cause_detail": finding.cause.detail(),
        "wrong_access": finding.wrong,
        "then": found.then,
    })
}

/// What a difference comes to without `--dry-run`.
const fn then(then: Then) -> &'static str {
    match then {
        Then::Sync => "a sync mends it",
        Then::WriteOurs => "ours is written there",
        Then::TakeTheirs => "theirs is taken over",
        Then::Operator => "waits for you",
    }
}

fn table(differences: &[Difference], all: u64) -> String {
    let cells = |found: &Difference| {
        let finding = &found.finding;
        vec![
            finding.kind.as_str().to_owned(),
            finding.object.clone(),
            finding.customer.as_ref().map(ToString::to_string).unwrap_or_default(),
            finding.ours.clone().unwrap_or_default(),
            finding.theirs.clone().unwrap_or_default(),
            finding.cause.as_str().to_owned(),
            finding.wrong.as_str().to_owned(),
            then(found.then).to_owned(),
        ]
    };
    let header =
        ["kind", "object", "customer", "ours", "provider's", "cause", "wrong access", "without --dry-run"];
    let mut text = out::table(&header, differences.iter().map(cells).collect());
    let more = all.saturating_sub(differences.len() as u64);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    text
}

fn in_words(report: &SweepReport) -> String {
    let rows = [
        ("subscriptions compared", report.subscriptions),
        ("  otherwise in the mirror", report.differing),
        ("  not in the mirror", report.unknown),
        ("  gone at the provider", report.gone),
        ("  about to be answered", report.under_way),
        ("customers compared", report.customers),
        ("events listed", report.events),
        ("  that had not reached us", report.missed_events),
        ("differences of all kinds", report.findings),
        ("  found for the first time", report.new_findings),
        ("  that wait for an operator", report.for_operator),
        ("  too many to be kept", report.overflowed),
        ("calls to the provider", report.calls),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, count)| format!("{name:<28}{count:>8}")).collect();
    lines.join("\n")
}
