//! `quittance deliveries`: mails and webhooks that left, wait, or were given up.

use clap::Subcommand;
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_store::deliveries::{AttemptRow, DeliveryRow, Filter};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance deliveries list --state failed
  quittance deliveries list --channel mail --customer user_42
  quittance deliveries show 17               with each try
  quittance deliveries retry 17              a running server or worker sends it")]
pub(super) enum Command {
    /// The newest first
    List {
        /// mail or webhook
        #[arg(long, value_parser = channel)]
        channel: Option<Channel>,
        /// pending, delivered, suppressed or failed
        #[arg(long, value_parser = state)]
        state: Option<DeliveryState>,
        /// Only those about this customer
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Only those to this destination
        #[arg(long)]
        destination: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those before this number (the first column)
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
    },
    /// One with each try
    Show {
        /// Its number
        id: i64,
    },
    /// Send one again that was given up or not sent, or one that waits at once
    Retry {
        /// Its number
        id: i64,
    },
}

fn channel(word: &str) -> Result<Channel, String> {
    Channel::parse(word).ok_or_else(|| "mail or webhook".to_owned())
}

fn state(word: &str) -> Result<DeliveryState, String> {
    DeliveryState::parse(word).ok_or_else(|| "pending, delivered, suppressed or failed".to_owned())
}

pub(super) async fn run(command: Command, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    match command {
        Command::List { channel, state, customer, destination, limit, before } => {
            let filter = Filter { channel, state, customer, destination };
            list(&engine.deliveries(filter, before.unwrap_or(i64::MAX), limit).await?, common.json);
        }
        Command::Show { id } => {
            let (row, tries) = engine.delivery(id).await?;
            show(&row, &tries, common.json);
        }
        Command::Retry { id } => {
            let row = engine.deliver_again(id).await?;
            if common.json {
                out::say_json(&value(&row));
            } else {
                out::say(&format!(
                    "{id} is sent again by a running server or worker. Look: quittance deliveries show {id}"
                ));
            }
        }
    }
    Ok(())
}

fn value(row: &DeliveryRow) -> Value {
    let next = (row.state == DeliveryState::Pending).then(|| row.next_attempt_at.to_string());
    json!({
        "id": row.seq,
        "channel": row.channel,
        "state": row.state,
        "key": row.key,
        "destination": row.destination,
        "customer": row.customer,
        "attempts": row.attempts,
        "next_attempt_at": next,
        "last_error": row.last_error,
        "created_at": row.created_at.to_string(),
        "finished_at": row.finished_at.map(|at| at.to_string()),
    })
}

fn list(rows: &[DeliveryRow], json: bool) {
    if json {
        let before = rows.last().map(|row| row.seq);
        out::say_json(&json!({ "deliveries": rows.iter().map(value).collect::<Vec<_>>(), "before": before }));
        return;
    }
    let Some(last) = rows.last() else {
        out::say("No deliveries. Mail needs [mail] in quittance.toml, webhooks an endpoint of your app.");
        return;
    };
    let cells = |row: &DeliveryRow| {
        vec![
            row.seq.to_string(),
            out::time(row.created_at),
            row.channel.as_str().to_owned(),
            row.state.as_str().to_owned(),
            row.attempts.to_string(),
            row.customer.clone().unwrap_or_default(),
            row.destination.clone(),
            row.last_error.clone().unwrap_or_default(),
        ]
    };
    let header = ["no", "written", "channel", "state", "tries", "customer", "destination", "last error"];
    out::say(&out::table(&header, rows.iter().map(cells).collect()));
    out::say(&format!(
        "\nOlder: quittance deliveries list --before {}    One: quittance deliveries show NO",
        last.seq
    ));
}

fn show(row: &DeliveryRow, tries: &[AttemptRow], json: bool) {
    let payload: Value = serde_json::from_str(&row.payload).unwrap_or_default();
    if json {
        let mut all = value(row);
        if let Some(fields) = all.as_object_mut() {
            let tries = tries.iter().map(|one| {
                json!({ "attempt": one.attempt, "began_at": one.began_at.to_string(), "ended_at": one.ended_at.to_string(),
                    "outcome": one.outcome, "detail": one.detail })
            });
            fields.insert("tries".to_owned(), tries.collect());
            fields.insert("payload".to_owned(), payload);
        }
        out::say_json(&all);
        return;
    }
    let facts = [
        ("channel", row.channel.as_str().to_owned()),
        ("state", row.state.as_str().to_owned()),
        ("key", row.key.clone()),
        ("customer", row.customer.clone().unwrap_or_default()),
        ("destination", row.destination.clone()),
        ("written", out::time(row.created_at)),
        ("over", out::opt_time(row.finished_at)),
    ];
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<12}{value}")).collect();
    out::say(&lines.join("\n"));
    let cells = |one: &AttemptRow| {
        vec![one.attempt.to_string(), out::time(one.began_at), one.outcome.clone(), one.detail.clone()]
    };
    if !tries.is_empty() {
        let table = out::table(&["try", "at", "outcome", "detail"], tries.iter().map(cells).collect());
        out::say(&format!("\n{table}"));
    }
    let payload = serde_json::to_string_pretty(&payload).unwrap_or_default();
    out::say(&format!("\npayload\n{payload}"));
}
