//! `quittance parked`: what could not be done and waits for an operator.

use clap::Subcommand;
use quittance_engine::Engine;
use quittance_engine::operator::Parked;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, found, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance parked list
  quittance parked retry stripe/test/self/customer/cus_1…
  quittance parked retry --all

Exit code of `list`: 1 when something is parked, so that a monitor can call it.")]
pub(super) enum Command {
    /// Everything that is parked, with its last error
    List {
        /// How many of each kind
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Let it be tried again; a running server or worker does it
    Retry {
        /// An aggregate's key or a command's id, as `list` shows it; or --all
        #[arg(required_unless_present = "all")]
        name: Option<String>,
        /// Everything
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
}

/// Most that `retry --all` frees in one go.
const ALL: i64 = 10_000;

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    match command {
        Command::List { limit } => list(&engine.parked(*limit).await?, common.json),
        Command::Retry { name: Some(name), all: _ } => {
            engine.retry_parked(name).await?;
            freed(std::slice::from_ref(name), common.json);
            Ok(())
        }
        Command::Retry { name: None, all: _ } => retry_all(&engine, common.json).await,
    }
}

async fn retry_all(engine: &Engine, json: bool) -> Result<(), Failure> {
    let parked = engine.parked(ALL).await?;
    let aggregates = parked.aggregates.into_iter().map(|row| row.key);
    let names: Vec<String> =
        aggregates.chain(parked.commands.into_iter().map(|row| row.id.to_string())).collect();
    for name in &names {
        engine.retry_parked(name).await?;
    }
    freed(&names, json);
    Ok(())
}

fn freed(names: &[String], json: bool) {
    if json {
        out::say_json(&json!({ "retried": names }));
    } else if names.is_empty() {
        out::say("Nothing is parked.");
    } else {
        out::say(&format!(
            "{} freed; a running server or worker tries again. Look: quittance parked list",
            names.join(", ")
        ));
    }
}

fn list(parked: &Parked, json: bool) -> Result<(), Failure> {
    let count = parked.aggregates.len() + parked.commands.len();
    if json {
        let aggregates = parked.aggregates.iter().map(|row| {
            json!({ "key": row.key, "attempts": row.attempts, "last_error": row.last_error, "parked_at": row.parked_at.map(|at| at.to_string()) })
        });
        let commands = parked.commands.iter().map(|row| {
            json!({ "id": row.id, "kind": row.kind, "object": row.object, "customer": row.customer, "attempts": row.attempts,
                "last_error": row.last_error, "parked_at": row.parked_at.map(|at| at.to_string()) })
        });
        out::say_json(
            &json!({ "aggregates": aggregates.collect::<Vec<_>>(), "commands": commands.collect::<Vec<_>>() }),
        );
    } else if count == 0 {
        out::say("Nothing is parked.");
    } else {
        let aggregates = parked.aggregates.iter().map(|row| {
            let error = row.last_error.clone().unwrap_or_default();
            vec![
                "sync".to_owned(),
                out::opt_time(row.parked_at),
                row.attempts.to_string(),
                row.key.clone(),
                error,
            ]
        });
        let commands = parked.commands.iter().map(|row| {
            let error = row.last_error.clone().unwrap_or_default();
            vec![
                row.kind.clone(),
                out::opt_time(row.parked_at),
                row.attempts.to_string(),
                row.id.to_string(),
                error,
            ]
        });
        let header = ["what", "parked", "tries", "name", "last error"];
        out::say(&out::table(&header, aggregates.chain(commands).collect()));
    }
    if count == 0 {
        return Ok(());
    }
    Err(found(format!("{count} parked"), "Mend the cause, then: quittance parked retry NAME (or --all)"))
}
