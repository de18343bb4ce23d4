//! `quittance notices`: what customers were told and the proof of it, announcements, and the rules.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use quittance_domain::Timestamp;
use quittance_domain::notices::rules::Window;
use quittance_domain::notices::{NoticeKind, RuleTable, rules};
use quittance_engine::Engine;
use quittance_engine::notices::{NewAnnouncement, Proof};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::http::NoticeView;
use crate::serve::Opening;

/// Notices that an export reads at a time.
const PAGE: i64 = 200;

/// What to do with notices.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance notices list --customer user_42
  quittance notices show 17                                 which rules, and each try to deliver
  quittance notices export --customer user_42 --out proof.jsonl
  quittance notices announce fees-2027 --type price_changing --plan pro \\
    --effective-at 2027-04-01T00:00:00Z --new-price pro_month_jpy_2027   a price that was pushed before
  quittance notices rules                                   who must be told what, and when")]
pub(super) enum Command {
    /// The newest first
    List {
        /// Only those for this customer
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Only those of this type
        #[arg(long = "type", value_parser = kind)]
        kind: Option<NoticeKind>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=500))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// One with its rules and each try
    Show {
        /// Its number
        id: i64,
    },
    /// The proof of everything that was told: a line of JSON for each notice, newest first
    Export {
        /// Only those for this customer
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Write into this file instead of printing
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Tell everybody whom it meets of a change of price or terms, beforehand
    Announce {
        /// Your name for it; announcing it again changes nothing
        id: String,
        /// price_changing or terms_changing
        #[arg(long = "type", value_parser = kind)]
        kind: NoticeKind,
        /// Only subscriptions with this plan
        #[arg(long)]
        plan: Option<String>,
        /// When it takes effect, such as 2027-04-01T00:00:00Z
        #[arg(long, value_parser = time)]
        effective_at: Timestamp,
        /// The lookup key of the price that will be charged
        #[arg(long, value_name = "LOOKUP_KEY")]
        new_price: Option<String>,
        /// Where the new terms can be read
        #[arg(long)]
        url: Option<String>,
    },
    /// Announcements
    Announcements,
    /// Take an announcement back: whoever was not told yet will not be
    Withdraw {
        /// Its name
        id: String,
    },
    /// The rules in force: who must be told what, and when
    Rules {
        /// The built-in table as a file, to change it and name it in quittance.toml
        #[arg(long)]
        toml: bool,
    },
}

fn kind(word: &str) -> Result<NoticeKind, String> {
    let words = || NoticeKind::ALL.map(NoticeKind::as_str).join(", ");
    NoticeKind::parse(word).ok_or_else(|| format!("one of {}", words()))
}

fn time(text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| "a time with its offset, such as 2027-04-01T00:00:00Z".to_owned())?;
    Ok(Timestamp::from_ms(at.as_millisecond()))
}

pub(super) async fn run(command: Command, common: &Common) -> Result<(), Failure> {
    if let Command::Rules { toml: true } = command {
        out::say(rules::BUILT_IN.trim_end());
        return Ok(());
    }
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let table = engine.settings().notice_rules.clone();
    match command {
        Command::List { customer, kind, limit, before } => {
            let before = before.unwrap_or(i64::MAX);
            let proofs = engine.notice_proofs(customer.as_deref(), kind, before, limit).await?;
            list(proofs, &table, common.json);
        }
        Command::Show { id } => show(engine.notice_proof(id).await?, &table, common.json),
        Command::Export { customer, out } => {
            export(&engine, customer.as_deref(), out, &table, common.json).await?
        }
        Command::Announce { id, kind, plan, effective_at, new_price, url } => {
            let new = NewAnnouncement { id, kind, plan, effective_at, new_price, url };
            let (row, marked) = engine.announce(&new, "command line").await?;
            let change = row.announcement;
            if common.json {
                out::say_json(&json!({ "announcement": change.id, "subscriptions": marked }));
            } else {
                out::say(&format!(
                    "{} is announced: {marked} subscriptions are looked at, and whom it meets is told before {}.",
                    change.id, change.effective_at
                ));
            }
        }
        Command::Announcements => announcements(&engine, common.json).await?,
        Command::Withdraw { id } => {
            engine.withdraw_announcement(&id).await?;
            if common.json {
                out::say_json(&json!({ "announcement": id, "withdrawn": true }));
            } else {
                out::say(&format!("{id} is taken back."));
            }
        }
        Command::Rules { toml: _ } => say_rules(&table, common.json),
    }
    Ok(())
}

fn value(proof: Proof, table: &RuleTable) -> Value {
    serde_json::to_value(NoticeView::of(proof, table)).unwrap_or_default()
}

fn list(proofs: Vec<Proof>, table: &RuleTable, json: bool) {
    let before = proofs.last().map(|proof| proof.notice.seq);
    if json {
        let notices: Vec<Value> = proofs.into_iter().map(|proof| value(proof, table)).collect();
        out::say_json(&json!({ "notices": notices, "before": before }));
        return;
    }
    let Some(last) = before else {
        out::say("Nobody was told anything yet.");
        return;
    };
    let cells = |proof: &Proof| {
        let state = proof.delivery.as_ref().map_or("no mail configured", |row| row.state.as_str());
        vec![
            proof.notice.seq.to_string(),
            out::time(proof.notice.created_at),
            proof.notice.kind.as_str().to_owned(),
            proof.notice.customer.clone().unwrap_or_default(),
            proof.notice.object.clone(),
            state.to_owned(),
        ]
    };
    let header = ["no", "written", "type", "customer", "object", "mail"];
    out::say(&out::table(&header, proofs.iter().map(cells).collect()));
    out::say(&format!("\nOlder: quittance notices list --before {last}    One: quittance notices show NO"));
}

fn show(proof: Proof, table: &RuleTable, json: bool) {
    let value = value(proof, table);
    if json {
        out::say_json(&value);
    } else {
        out::say(&serde_json::to_string_pretty(&value).unwrap_or_default());
    }
}

async fn export(
    engine: &Engine,
    customer: Option<&str>,
    file: Option<PathBuf>,
    table: &RuleTable,
    json: bool,
) -> Result<(), Failure> {
    let broken = |path: &PathBuf, error: std::io::Error| {
        Failure::config(
            format!("{} cannot be written: {error}", path.display()),
            "Name a file in a folder that exists, with --out.",
        )
    };
    let mut target = match &file {
        Some(path) => Some(std::fs::File::create(path).map_err(|error| broken(path, error))?),
        None => None,
    };
    let (mut before, mut count) = (i64::MAX, 0_usize);
    loop {
        let proofs = engine.notice_proofs(customer, None, before, PAGE).await?;
        let Some(last) = proofs.last() else { break };
        before = last.notice.seq;
        count += proofs.len();
        for proof in proofs {
            let line = value(proof, table).to_string();
            match (&mut target, &file) {
                (Some(target), Some(path)) => {
                    writeln!(target, "{line}").map_err(|error| broken(path, error))?;
                }
                (Some(_) | None, _) => out::say(&line),
            }
        }
    }
    if let Some(path) = &file {
        if json {
            out::say_json(&json!({ "notices": count, "file": path.display().to_string() }));
        } else {
            out::say(&format!("{count} notices written to {}", path.display()));
        }
    }
    Ok(())
}

async fn announcements(engine: &Engine, json: bool) -> Result<(), Failure> {
    let rows = engine.announcements().await?;
    if json {
        let all: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.announcement.id, "type": row.announcement.kind, "plan": row.announcement.plan,
                    "effective_at": row.announcement.effective_at.to_string(), "created_by": row.created_by,
                    "withdrawn_at": row.withdrawn_at.map(|at| at.to_string()),
                })
            })
            .collect();
        out::say_json(&json!({ "announcements": all }));
        return Ok(());
    }
    if rows.is_empty() {
        out::say("Nothing is announced. Announce a change: quittance notices announce --help");
        return Ok(());
    }
    let cells = |row: &quittance_store::notices::AnnouncementRow| {
        vec![
            row.announcement.id.clone(),
            row.announcement.kind.as_str().to_owned(),
            row.announcement.plan.as_ref().map_or_else(|| "every plan".to_owned(), ToString::to_string),
            out::time(row.announcement.effective_at),
            out::opt_time(row.withdrawn_at),
        ]
    };
    let header = ["name", "type", "plan", "takes effect", "taken back"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
    Ok(())
}

fn say_rules(table: &RuleTable, json: bool) {
    if json {
        out::say_json(&serde_json::to_value(table).unwrap_or_default());
        return;
    }
    let cells = |rule: &rules::Rule| {
        let days = match rule.window {
            Some(Window { earliest: Some(earliest), latest }) => format!("{latest}-{earliest} days before"),
            Some(Window { earliest: None, latest }) => format!("{latest} days before or more"),
            None => "when it happens".to_owned(),
        };
        let kinds: Vec<&str> = rule.notices.iter().map(|kind| kind.as_str()).collect();
        vec![rule.id.clone(), rule.version.clone(), kinds.join(" "), days, rule.name.en.clone()]
    };
    let header = ["rule", "version", "notices", "when", "what"];
    out::say(&out::table(&header, table.rules.iter().map(cells).collect()));
    out::say(
        "\nThese help with the rules of card networks and countries; they are no legal advice. docs/notices.md",
    );
}
