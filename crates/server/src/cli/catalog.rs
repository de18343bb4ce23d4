//! `quittance catalog`: the file alone, the file against the provider, and bringing the one to the other.

mod lint;

use std::io::IsTerminal;
use std::sync::Arc;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use quittance_domain::shop::{Finding, ShopPlan, Step};
use quittance_engine::shop::{NotPushed, OnStep};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, found, out};
use crate::config;
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with the catalog.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Everything that is wrong with the file, and where it differs from the provider
    Check(CheckOptions),
    /// What `push` would do; exit code 1 when something differs
    Diff,
    /// Bring products, prices, coupons, promotion codes and portal to the provider; safe to repeat and to interrupt
    Push(PushOptions),
}

/// A check.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance catalog check --offline    the file alone, without a key or a database
  quittance catalog check              and whether the provider sells it as it says")]
pub(super) struct CheckOptions {
    /// Look at the file only
    #[arg(long)]
    offline: bool,
}

/// A push.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance catalog push --dry-run     what would be done
  quittance catalog push               do it; a second push finds nothing to do
  quittance catalog push --yes         also what it asks for twice: a plan that is held leaving the catalog")]
pub(super) struct PushOptions {
    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Also do what is dangerous, having read what happens
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    match command {
        Command::Check(options) => check(options, common).await,
        Command::Diff => diff(common).await,
        Command::Push(options) if options.dry_run => diff(common).await,
        Command::Push(options) => push(options, common).await,
    }
}

async fn check(options: &CheckOptions, common: &Common) -> Result<(), Failure> {
    let loaded = common.load()?;
    let livemode = config::stripe_config(&loaded.config).is_ok_and(|stripe| stripe.livemode);
    let (catalog, demo) = config::catalog(&loaded, livemode)?;
    let mut findings = lint::findings(&catalog);
    let mut steps = Vec::new();
    if !options.offline {
        let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
        let plan = engine.compare_catalog().await?;
        findings.extend(plan.findings.into_iter().chain(plan.tax));
        steps = plan.steps;
        findings.extend(steps.iter().map(|step| Finding {
            about: "provider".to_owned(),
            what: format!("it differs: `catalog push` would {}", step.in_words()),
            mend: "quittance catalog push".to_owned(),
        }));
    }
    let count = findings.len();
    if common.json {
        out::say_json(&json!({
            "version": catalog.version(), "demo_catalog": demo, "offline": options.offline,
            "findings": findings, "steps": steps,
        }));
    } else {
        out::say(&format!(
            "{} plans, {} promotions, {} channels; version {}",
            catalog.plans().len(),
            catalog.promotions().len(),
            catalog.channels().len(),
            catalog.version().get(..12).unwrap_or_default()
        ));
        say_findings(&findings);
    }
    match count {
        0 => Ok(()),
        count => Err(found(format!("{count} findings"), "Mend them one by one, and check again.")),
    }
}

fn say_findings(findings: &[Finding]) {
    for finding in findings {
        out::say(&format!("! {}: {}\n  mend: {}", finding.about, finding.what, finding.mend));
    }
}

async fn diff(common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    let ShopPlan { steps, mut findings, tax } = engine.compare_catalog().await?;
    findings.extend(tax);
    let dangers: Vec<String> = steps.iter().filter_map(Step::danger).collect();
    if common.json {
        out::say_json(&json!({ "steps": said(&steps), "findings": findings, "dangers": dangers }));
    } else {
        for step in &steps {
            out::say(&format!("+ {}", step.in_words()));
        }
        say_findings(&findings);
        if steps.is_empty() && findings.is_empty() {
            out::say("The provider sells what the catalog says.");
        }
    }
    if steps.is_empty() && findings.is_empty() {
        return Ok(());
    }
    let what = format!("{} steps and {} findings", steps.len(), findings.len());
    let flag = if dangers.is_empty() { "" } else { " --yes" };
    Err(found(what, format!("Do the steps: quittance catalog push{flag}; findings are for you to mend.")))
}

/// Steps for programs: the step with its words.
fn said(steps: &[Step]) -> Vec<Value> {
    let say = |step: &Step| json!({ "words": step.in_words(), "danger": step.danger(), "step": step });
    steps.iter().map(say).collect()
}

async fn push(options: &PushOptions, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    let bar = progress(common.json);
    let told = bar.clone();
    let on_step: OnStep = Arc::new(move |done, all, words| {
        if let Some(bar) = &told {
            bar.set_length(u64::try_from(all).unwrap_or(u64::MAX));
            bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
            bar.set_message(words.to_owned());
        }
    });
    let ended = engine.push_catalog(options.yes, &on_step).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let pushed = match ended {
        Ok(pushed) => pushed,
        Err(NotPushed::Problem(problem)) => return Err(problem.into()),
        Err(NotPushed::Dangerous(dangers)) => {
            return Err(Failure::problem(
                "dangerous",
                format!("nothing was changed: {}", dangers.join("; ")),
                "Put the plan back into the catalog, or say that you mean it: quittance catalog push --yes",
            ));
        }
    };
    if common.json {
        out::say_json(&json!({ "done": said(&pushed.done), "findings": pushed.findings }));
    } else {
        for step in &pushed.done {
            out::say(&format!("+ {}", step.in_words()));
        }
        say_findings(&pushed.findings);
        out::say(&format!("{} steps done.", pushed.done.len()));
    }
    match pushed.findings.len() {
        0 => Ok(()),
        count => Err(found(format!("{count} findings that no push mends"), "Mend them, and push again.")),
    }
}

fn progress(json: bool) -> Option<ProgressBar> {
    if json || !std::io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}");
    Some(ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
}
