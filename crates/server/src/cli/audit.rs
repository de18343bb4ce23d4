//! `quittance audit`: what operators did.

use clap::Subcommand;
use quittance_engine::audit::ActState;
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to look at.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance audit list
  quittance audit list --limit 500 --json

The log is append-only: the database refuses to change or remove entries.")]
pub(super) enum Command {
    /// Acts, newest first: by API keys with the scope `admin`, and by this command line
    List {
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// Only those before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let Command::List { limit, before } = command;
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let acts = engine.audit(before.unwrap_or(i64::MAX), *limit).await?;
    let ended = |state: &ActState| match state {
        ActState::Begun => ("begun", None, None),
        ActState::Done { at } => ("done", None, Some(at.to_string())),
        ActState::Refused { at, problem } => ("refused", Some(problem.clone()), Some(at.to_string())),
    };
    if common.json {
        let rows = acts.iter().map(|row| {
            let (outcome, problem, ended_at) = ended(&row.state);
            let input: Option<Value> = row.act.input.as_deref().and_then(|text| serde_json::from_str(text).ok());
            json!({ "id": row.seq, "at": row.at.to_string(), "actor": row.act.actor, "way": row.act.way.as_str(),
                "action": row.act.action, "target": row.act.target, "input": input, "outcome": outcome,
                "problem": problem, "ended_at": ended_at })
        });
        out::say_json(&json!({ "data": rows.collect::<Vec<_>>() }));
    } else if acts.is_empty() {
        out::say("Nothing has been done by an operator yet.");
    } else {
        let rows = acts.iter().map(|row| {
            let (outcome, problem, _) = ended(&row.state);
            let outcome = problem.map_or_else(|| outcome.to_owned(), |code| format!("{outcome}: {code}"));
            let act = &row.act;
            vec![
                row.seq.to_string(),
                out::opt_time(Some(row.at)),
                act.actor.clone(),
                act.action.clone(),
                act.target.clone(),
                outcome,
            ]
        });
        out::say(&out::table(&["id", "at", "who", "what", "to what", "outcome"], rows.collect()));
    }
    Ok(())
}
