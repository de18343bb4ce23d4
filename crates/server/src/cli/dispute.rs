//! `quittance dispute`: what is disputed, until when, the pack of evidence, and the answer.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use quittance_domain::ids::ApiKeyId;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::disputes::Evidence;
use quittance_store::disputes::DisputeRow;
use serde_json::json;

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::http::DisputeView;
use crate::serve::Opening;

/// What to do with disputes.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance dispute list                               those that are open, with their deadlines
  quittance dispute evidence dp_1SaBcDeF --out pack    what there is to show, as files
  quittance dispute contest dp_1SaBcDeF                answer with it; the bank takes it once
  quittance dispute accept dp_1SaBcDeF --yes           the cardholder keeps the money")]
pub(super) enum Command {
    /// The newest first
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// One
    Show {
        /// The provider's id (dp_… or du_…)
        id: String,
    },
    /// Write what there is to show into a folder: summary, timeline, access, what was told, receipts
    Evidence {
        /// The provider's id
        id: String,
        /// The folder; it is made where it is not there
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Answer with the evidence that there is
    Contest {
        /// The provider's id
        id: String,
        /// Your own words, in place of the summary
        #[arg(long)]
        note: Option<String>,
    },
    /// Give it up
    Accept {
        /// The provider's id
        id: String,
        /// You mean it: it cannot be taken back
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let need = match command {
        Command::Contest { .. } | Command::Accept { .. } => Need::Provider,
        Command::List { .. } | Command::Show { .. } | Command::Evidence { .. } => Need::Database,
    };
    let engine = beside::engine(common, Opening::Beside, need).await?;
    let by = Caller { key: ApiKeyId::derived(&["command line"]), scopes: KeyScope::ALL.to_vec() };
    match command {
        Command::List { all, limit, before } => {
            list(engine.disputes(!*all, before.unwrap_or(i64::MAX), *limit).await?, common.json);
        }
        Command::Show { id } => show(engine.dispute(id).await?, common.json),
        Command::Evidence { id, out } => {
            write(&engine.dispute_evidence(id).await?, out, common.json)?;
        }
        Command::Contest { id, note } => {
            show(engine.contest_dispute(id, note.clone(), &by).await?, common.json);
        }
        Command::Accept { id, yes } => {
            if !*yes {
                return Err(Failure::usage(
                    "not_confirmed",
                    "a dispute that is given up cannot be taken back; nothing was done",
                    format!("Say that you mean it: quittance dispute accept {id} --yes"),
                ));
            }
            show(engine.accept_dispute_of(id, &by).await?, common.json);
        }
    }
    Ok(())
}

fn list(rows: Vec<DisputeRow>, json: bool) {
    let before = rows.last().map(|row| row.seq);
    if json {
        let rows: Vec<DisputeView> = rows.into_iter().map(DisputeView::from).collect();
        out::say_json(&json!({ "disputes": rows, "before": before }));
        return;
    }
    if rows.is_empty() {
        out::say("No such disputes.");
        return;
    }
    let cells = |row: &DisputeRow| {
        vec![
            row.seq.to_string(),
            row.facts.id.clone(),
            row.customer.clone().unwrap_or_else(|| "-".to_owned()),
            row.facts.amount.to_string(),
            row.facts.reason.clone(),
            row.facts.status.stage().as_str().to_owned(),
            row.facts.status.as_str().to_owned(),
            out::opt_time(row.facts.due_by),
        ]
    };
    let header = ["no", "dispute", "customer", "amount", "reason", "stage", "status", "answer by"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
}

fn show(row: DisputeRow, json: bool) {
    if json {
        out::say_json(&json!(DisputeView::from(row)));
        return;
    }
    let facts = [
        ("dispute", row.facts.id.clone()),
        ("payment", row.payment.clone()),
        ("customer", row.customer.clone().unwrap_or_default()),
        ("amount", row.facts.amount.to_string()),
        ("reason", row.facts.reason.clone()),
        ("stage", row.facts.status.stage().as_str().to_owned()),
        ("status", row.facts.status.as_str().to_owned()),
        ("answer by", out::opt_time(row.facts.due_by)),
        ("answered", format!("{} times", row.facts.submissions)),
    ];
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<12}{value}")).collect();
    out::say(&lines.join("\n"));
}

fn write(evidence: &Evidence, folder: &Path, json: bool) -> Result<(), Failure> {
    let cannot = |path: &Path, error: &std::io::Error| {
        Failure::problem(
            "cannot_write",
            format!("{} cannot be written: {error}", path.display()),
            "Name a folder that you may write into: --out FOLDER",
        )
    };
    fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    let mut written = Vec::new();
    for (name, text) in evidence.files() {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        written.push(path.display().to_string());
    }
    if json {
        out::say_json(&json!({ "dispute": evidence.dispute.facts.id, "files": written }));
    } else {
        out::say(&format!("{}\n{}", evidence.summary, written.join("\n")));
    }
    Ok(())
}
