//! The checks of `quittance doctor`: what is looked at (`probe`) and what is thought of it (`judge`, pure).
//!
//! Each check answers for itself: one that cannot be made says why, and the others go on. Nothing is changed but one line of the
//! database, by which it shows that it can be written.

mod judge;
mod probe;

use quittance_engine::Engine;
use serde::Serialize;

use crate::config::{self, Loaded};
use crate::failure::Failure;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warning,
    /// It does not work, or will not for long.
    Failed,
    /// It was not looked at: `--offline`, or something before it is in the way.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub check: &'static str,
    /// What it came to.
    pub outcome: Outcome,
    /// What was found.
    pub what: String,
    /// What mends it; empty where nothing is to be mended.
    pub mend: String,
}

impl Check {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, what: what.into(), mend: String::new() }
    }

    fn warning(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Warning, what: what.into(), mend: mend.into() }
    }

    fn failed(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, ..Self::warning(check, what, mend) }
    }

    fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Skipped, what: why.into(), mend: String::new() }
    }

    fn of(check: &'static str, failure: &Failure) -> Self {
        Self::failed(check, failure.what.clone(), failure.mend.clone())
    }
}

/// Every check, in the order in which they are made.
pub const CHECKS: &[&str] = &[
    "configuration",
    "keys",
    "schedule",
    "listen",
    "disk",
    "database",
    "modes",
    "work",
    "sweep",
    "ledger",
    "provider",
    "clock",
    "webhook_endpoint",
    "webhooks_received",
    "catalog",
    "portal",
    "tax",
    "mail",
    "public_url",
];

/// Checks that ask others than this machine.
const ONLINE: &[&str] =
    &["provider", "clock", "webhook_endpoint", "catalog", "portal", "tax", "mail", "public_url"];

/// Makes every check.
pub async fn examine(loaded: &Loaded, offline: bool) -> Vec<Check> {
    let mut all = probe::configuration(loaded);
    all.push(judge::schedule(&loaded.config, probe::now()));
    all.push(probe::listen(&loaded.config).await);
    all.push(probe::disk(&loaded.config));
    let (database, db) = probe::database(loaded).await;
    all.push(database);
    let engine = match db {
        Some(db) => probe::engine(loaded, db).await,
        None => Err(Failure::problem("database", "the database could not be opened", "")),
    };
    match &engine {
        Ok(engine) => all.extend(probe::inside(engine).await),
        Err(failure) => {
            let why = format!("not looked at: {}", failure.what);
            let inside = ["modes", "work", "sweep", "ledger", "webhooks_received"];
            all.extend(inside.map(|check| Check::skipped(check, why.clone())));
        }
    }
    if offline {
        all.extend(ONLINE.iter().map(|check| Check::skipped(check, "not looked at: --offline")));
    } else {
        all.extend(outside(loaded, engine.as_ref().ok()).await);
    }
    let place = |check: &Check| CHECKS.iter().position(|name| *name == check.check);
    all.sort_by_key(place);
    all
}

async fn outside(loaded: &Loaded, engine: Option<&Engine>) -> Vec<Check> {
    let mut all = Vec::new();
    match config::stripe_config(&loaded.config) {
        Ok(stripe) => all.extend(probe::provider(loaded, stripe).await),
        Err(failure) => {
            let why = format!("not looked at: {}", failure.what);
            let of_provider = ["provider", "clock", "webhook_endpoint"];
            all.extend(of_provider.map(|check| Check::skipped(check, why.clone())));
        }
    }
    let answers = all.iter().any(|check| check.check == "provider" && check.outcome == Outcome::Ok);
    match engine {
        Some(engine) if answers => all.extend(probe::shop(engine).await),
        Some(_) | None => {
            let why = if answers {
                "not looked at: the database could not be opened"
            } else {
                "not looked at: the provider does not answer this key"
            };
            all.extend(["catalog", "portal", "tax"].map(|check| Check::skipped(check, why)));
        }
    }
    all.push(probe::mail(&loaded.config).await);
    all.push(probe::public_url(&loaded.config).await);
    all
}
