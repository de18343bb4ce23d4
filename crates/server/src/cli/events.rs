//! `quittance events`: the inbox.

use clap::Subcommand;
use quittance_engine::{Engine, Problem};
use quittance_store::aggregates;
use quittance_store::inbox::EventRow;
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, found, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with events.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance events list --limit 50
  quittance events show evt_1Q…
  quittance events replay evt_1Q…        look again, thoroughly, at what it was about")]
pub(super) enum Command {
    /// The newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// Only those about this aggregate
        #[arg(long, value_name = "KEY")]
        aggregate: Option<String>,
    },
    /// One event with its redacted payload
    Show {
        /// The provider's id, evt_…
        id: String,
    },
    /// Look at the provider again for what an event was about
    Replay {
        /// The provider's id, evt_…
        id: String,
        /// How long to wait for a running worker, in seconds
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(i64).range(0..=300))]
        wait: i64,
    },
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    match command {
        Command::List { limit, before, aggregate } => {
            let rows = engine.events(before.unwrap_or(i64::MAX), aggregate.as_deref(), *limit).await?;
            list(&rows, common.json);
            Ok(())
        }
        Command::Show { id } => {
            show(&engine.event(id).await?, common.json);
            Ok(())
        }
        Command::Replay { id, wait } => {
            let row = engine.replay(id, 0).await?;
            let answered = answered(&engine, &row.aggregate, wait.saturating_mul(1_000)).await?;
            replayed(&engine.event(id).await?, answered, common.json)
        }
    }
}

const fn state(row: &EventRow) -> &'static str {
    match (row.parked, row.processed) {
        (true, _) => "parked",
        (false, true) => "processed",
        (false, false) => "waiting",
    }
}

fn value(row: &EventRow) -> Value {
    json!({
        "number": row.seq,
        "id": row.event_id,
        "type": row.event_type,
        "object": row.object,
        "aggregate": row.aggregate,
        "state": state(row),
        "deliveries": row.deliveries,
        "source": row.source,
        "livemode": row.livemode,
        "created_at": row.created_at.to_string(),
        "received_at": row.received_at.to_string(),
    })
}

fn list(rows: &[EventRow], json: bool) {
    if json {
        let next = rows.last().map(|row| row.seq);
        out::say_json(&json!({ "events": rows.iter().map(value).collect::<Vec<_>>(), "before": next }));
        return;
    }
    if rows.is_empty() {
        out::say("No events. They arrive at /webhooks/stripe, or with a sweep: `quittance reconcile`.");
        return;
    }
    let cells = |row: &EventRow| {
        vec![
            row.seq.to_string(),
            out::time(row.received_at),
            row.event_type.clone(),
            row.object.clone().unwrap_or_default(),
            state(row).to_owned(),
            row.deliveries.to_string(),
            row.event_id.clone(),
        ]
    };
    let header = ["no", "received", "type", "object", "state", "deliveries", "id"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
    if let Some(last) = rows.last() {
        out::say(&format!(
            "\nOlder: quittance events list --before {}    One: quittance events show ID",
            last.seq
        ));
    }
}

fn show(row: &EventRow, json: bool) {
    let payload: Value = serde_json::from_str(&row.payload).unwrap_or_default();
    if json {
        let mut all = value(row);
        if let Some(fields) = all.as_object_mut() {
            fields.insert("sha256".to_owned(), json!(row.sha256));
            fields.insert("api_version".to_owned(), json!(row.api_version));
            fields.insert("payload".to_owned(), payload);
        }
        out::say_json(&all);
        return;
    }
    let rows = [
        ("id", row.event_id.clone()),
        ("type", row.event_type.clone()),
        ("object", row.object.clone().unwrap_or_default()),
        ("aggregate", row.aggregate.clone()),
        ("state", state(row).to_owned()),
        ("deliveries", format!("{} (source: {})", row.deliveries, row.source)),
        ("created", out::time(row.created_at)),
        ("received", out::time(row.received_at)),
        ("sha256", row.sha256.clone()),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:<12}{value}")).collect();
    let payload = serde_json::to_string_pretty(&payload).unwrap_or_default();
    out::say(&format!("{}\n\npayload (redacted)\n{payload}", lines.join("\n")));
}

/// Waits until what the aggregate is marked for now is answered; the event's own mark may be older and answered long ago.
async fn answered(engine: &Engine, key: &str, wait_ms: i64) -> Result<bool, Failure> {
    let name = key.to_owned();
    let row = engine
        .db()
        .read("events.replayed", move |tx| aggregates::get(tx, &name))
        .await
        .map_err(Problem::from)?;
    let mark = row.map_or(0, |row| row.wanted);
    Ok(engine.wait_for(key, mark, wait_ms).await?)
}

fn replayed(row: &EventRow, answered: bool, json: bool) -> Result<(), Failure> {
    if json && answered && !row.parked {
        out::say_json(&value(row));
    }
    if row.parked {
        return Err(found(
            format!("{} was looked at again and is parked", row.event_id),
            "See why: quittance parked list",
        ));
    }
    if !answered {
        return Err(found(
            format!("{} is marked; no look has succeeded yet", row.event_id),
            "A running server or worker does it: start one with `quittance serve`, wait longer with --wait, or see its log.",
        ));
    }
    if !json {
        out::say(&format!("{} was looked at again: {} is up to date.", row.event_id, row.aggregate));
    }
    Ok(())
}
