//! `quittance shadow`: how an existing integration compares with what we would do.

use clap::Subcommand;
use quittance_engine::shadow::{Changed, Finding, ShadowReport};

use super::beside::{self, Need};
use super::{Common, found, out};
use crate::failure::Failure;
use crate::http::ShadowView;
use crate::serve::Opening;

/// Lines of each kind that people are shown.
const MOST_SHOWN: usize = 20;

/// What to do beside an existing integration.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance serve --shadow          mirror everything, change nothing
  quittance reconcile               look for duplicates and orphans now
  quittance shadow report           who would gain or lose access; exit code 1 when anything is left
  quittance shadow reset            forget what your app has reported, and compare anew

The whole way is in docs/migrating.md.")]
pub(super) enum Command {
    /// Who would gain or lose access, duplicates, orphans, refunds due
    Report,
    /// Forget what the app has reported
    Reset,
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Catalog).await?;
    match command {
        Command::Report => {
            let report = engine.shadow_report().await?;
            let (clean, text) = (report.is_clean(), in_words(&report));
            if common.json {
                out::say_json(&serde_json::to_value(ShadowView::from(report)).unwrap_or_default());
            } else {
                out::say(&text);
            }
            if clean { Ok(()) } else { Err(found("the two integrations differ", mend())) }
        }
        Command::Reset => {
            let pairs = engine.forget_answers().await?;
            if common.json {
                out::say_json(&serde_json::json!({ "forgotten": pairs }));
            } else {
                out::say(&format!("{pairs} answers are forgotten."));
            }
            Ok(())
        }
    }
}

const fn mend() -> &'static str {
    "Ask why one of them is as it is: quittance explain CUSTOMER FEATURE. Then mend it at the provider, in the catalog or the access policy, or in your app; quittance drift list has what waits for you."
}

fn in_words(report: &ShadowReport) -> String {
    let mut lines = Vec::new();
    lines.push(format!(
        "{} answers reported of {} pairs: {} agree now, {} would gain access, {} would lose it",
        report.sums.reports, report.sums.pairs, report.agreed, report.gaining, report.losing
    ));
    if !report.shadow {
        lines.push("this installation is in charge: it is not in shadow mode".to_owned());
    }
    changed(&mut lines, "would gain access", &report.would_gain);
    changed(&mut lines, "would lose access", &report.would_lose);
    findings(&mut lines, "duplicates", &report.duplicates);
    findings(&mut lines, "of nobody", &report.orphans);
    if !report.refunds_due.is_empty() {
        lines.push(format!("\nrefunds due: {}", report.refunds_due.len()));
    }
    for due in report.refunds_due.iter().take(MOST_SHOWN) {
        let customer = due.customer.as_deref().unwrap_or("nobody");
        lines.push(format!("  {} of {} to {customer} ({})", due.amount, due.subscription, due.payment));
    }
    if !report.withheld.is_empty() {
        lines.push(format!("\nnot asked of the provider: {}", report.withheld.len()));
    }
    for row in report.withheld.iter().take(MOST_SHOWN) {
        lines.push(format!("  {} of {}, last at {}", row.kind, row.object, out::time(row.last_at)));
    }
    lines.join("\n")
}

fn changed(lines: &mut Vec<String>, title: &str, all: &[Changed]) {
    if all.is_empty() {
        return;
    }
    lines.push(format!("\n{title}:"));
    for one in all.iter().take(MOST_SHOWN) {
        let plan = one.ours.plan.as_deref().map(|plan| format!(", plan {plan}")).unwrap_or_default();
        lines.push(format!("  {} {} since {}{plan}", one.customer, one.feature, out::time(one.since)));
    }
    more(lines, all.len());
}

fn findings(lines: &mut Vec<String>, title: &str, all: &[Finding]) {
    if all.is_empty() {
        return;
    }
    lines.push(format!("\n{title}:"));
    for one in all.iter().take(MOST_SHOWN) {
        let customer = one.customer.as_deref().map(|id| format!(" of {id}")).unwrap_or_default();
        lines.push(format!(
            "  {} {}{customer}: quittance drift show {}",
            one.kind.as_str(),
            one.object,
            one.number
        ));
    }
    more(lines, all.len());
}

fn more(lines: &mut Vec<String>, all: usize) {
    if all > MOST_SHOWN {
        lines.push(format!("  and {} more: --json has them", all - MOST_SHOWN));
    }
}
