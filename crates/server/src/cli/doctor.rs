//! `quittance doctor`: is everything as it must be, and what mends what is not.

use clap::Args;
use quittance_stripe::calls::webhook_endpoints::WANTED_EVENTS;
use serde_json::json;

use super::{Common, found, out};
use crate::doctor::{self, Check, Outcome};
use crate::failure::Failure;

/// The checks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance doctor               every check; exit code 1 when one has failed
  quittance doctor --offline     only this machine and the database
  quittance doctor --events      the events that the webhook endpoint must be sent, one a line")]
pub(super) struct Options {
    /// Ask nobody but this machine and the database
    #[arg(long)]
    offline: bool,
    /// Only print the event types that are needed
    #[arg(long)]
    events: bool,
}

pub(super) async fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    if options.events {
        if common.json {
            out::say_json(&json!({ "events": WANTED_EVENTS }));
        } else {
            out::say(&WANTED_EVENTS.join("\n"));
        }
        return Ok(());
    }
    let checks = doctor::examine(&common.load()?, options.offline).await;
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let (failed, warnings) = (count(Outcome::Failed), count(Outcome::Warning));
    if common.json {
        out::say_json(
            &json!({ "ok": failed == 0, "failed": failed, "warnings": warnings, "checks": checks }),
        );
    } else {
        out::say(&checks.iter().map(in_words).collect::<Vec<_>>().join("\n"));
    }
    if failed == 0 {
        Ok(())
    } else {
        let what = if failed == 1 {
            "1 check has failed".to_owned()
        } else {
            format!("{failed} checks have failed")
        };
        Err(found(what, "Mend them from the top, and look again."))
    }
}

fn in_words(check: &Check) -> String {
    let mark = match check.outcome {
        Outcome::Ok => "ok  ",
        Outcome::Warning => "warn",
        Outcome::Failed => "FAIL",
        Outcome::Skipped => "-   ",
    };
    let mut line = format!("{mark}  {:<18}{}", check.check, check.what);
    if !check.mend.is_empty() {
        line.push_str(&format!("\n      mend: {}", check.mend));
    }
    line
}
