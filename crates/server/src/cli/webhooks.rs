//! `quittance webhooks`: where your app listens, and what it was told.

mod sent;

use clap::{Args, Subcommand};
use quittance_domain::Timestamp;
use quittance_engine::Engine;
use quittance_engine::app_webhooks::{EndpointPatch, NewEndpoint, OVERLAP_MS, Replay};
use quittance_store::webhook_endpoints::EndpointRow;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::serve::Opening;

/// What to do with webhooks to the app.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quittance webhooks create --url https://app.example.com/hooks/quittance
  quittance webhooks create --url https://app.example.com/pay --types payment.failed,payment.recovered
  quittance webhooks tail                          print changes as they come, without any endpoint
  quittance webhooks ping whe_01…                  send a test message and say how it went
  quittance webhooks deliveries --endpoint whe_01… --failed
  quittance webhooks replay --endpoint whe_01… --since 2026-11-30T00:00:00Z
  quittance webhooks rotate whe_01… --old-secret-hours 48

Next: docs/app-webhooks.md says how your app verifies a message.")]
pub(super) enum Command {
    /// The endpoints
    List,
    /// Make an endpoint; its secret is shown this once
    Create(Create),
    /// Switch an endpoint on again
    Enable {
        /// The endpoint, whe_…
        id: String,
    },
    /// Switch an endpoint off; nothing is sent to it meanwhile
    Disable {
        /// The endpoint, whe_…
        id: String,
    },
    /// Remove an endpoint; what waits for it is not sent
    Remove {
        /// The endpoint, whe_…
        id: String,
    },
    /// Give an endpoint a new secret, shown this once
    Rotate {
        /// The endpoint, whe_…
        id: String,
        /// How many hours the secret before signs as well
        #[arg(long, default_value_t = OVERLAP_MS / 3_600_000, value_parser = clap::value_parser!(i64).range(0..=720))]
        old_secret_hours: i64,
    },
    /// Send a test message
    Ping {
        /// The endpoint, whe_…
        id: String,
        /// How long to wait for a running worker, in seconds
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=300))]
        wait: u64,
    },
    /// What was sent, or waits; with every try of one
    Deliveries(Deliveries),
    /// Send one event, or all since a time, to an endpoint again
    Replay(Again),
    /// Print changes as they come, with or without endpoints
    Tail {
        /// How many older ones to begin with
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(0..=100))]
        last: i64,
        /// Only those about this customer
        #[arg(long)]
        customer: Option<String>,
        /// Print those that are there, and stop
        #[arg(long)]
        once: bool,
    },
}

/// An endpoint to make.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Where your app listens
    #[arg(long)]
    url: String,
    /// The types that it wants, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "TYPE,…")]
    types: Vec<String>,
    /// What you call it
    #[arg(long, default_value = "")]
    description: String,
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(super) struct Deliveries {
    /// Only those to this endpoint, whe_…
    #[arg(long)]
    endpoint: Option<String>,
    /// Only those that were given up
    #[arg(long)]
    failed: bool,
    /// One delivery (the first column) with every try
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["endpoint", "failed", "before"])]
    show: Option<i64>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only those before this number (the first column)
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
}

/// What to send again.
#[derive(Debug, Args)]
pub(super) struct Again {
    /// The endpoint, whe_…
    #[arg(long)]
    pub(super) endpoint: String,
    /// One event, aev_…
    #[arg(long, conflicts_with = "since")]
    event: Option<String>,
    /// All events that the endpoint wants from then on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

pub(super) async fn run(command: &Command, common: &Common) -> Result<(), Failure> {
    let engine = beside::engine(common, Opening::Beside, Need::Database).await?;
    let json = common.json;
    match command {
        Command::List => list(&engine, json).await,
        Command::Create(new) => create(&engine, new, json).await,
        Command::Enable { id } => switch(&engine, id, true, json).await,
        Command::Disable { id } => switch(&engine, id, false, json).await,
        Command::Remove { id } => remove(&engine, id, json).await,
        Command::Rotate { id, old_secret_hours } => rotate(&engine, id, *old_secret_hours, json).await,
        Command::Ping { id, wait } => sent::ping(&engine, id, *wait, json).await,
        Command::Deliveries(which) => sent::deliveries(&engine, which, json).await,
        Command::Replay(what) => replay(&engine, what, json).await,
        Command::Tail { last, customer, once } => {
            sent::tail(&engine, *last, customer.as_deref(), *once, json).await
        }
    }
}

fn types(row: &EndpointRow) -> String {
    let words: Vec<&str> = row.types.iter().map(|kind| kind.as_str()).collect();
    if words.is_empty() { "all".to_owned() } else { words.join(", ") }
}

fn state(row: &EndpointRow) -> String {
    match (&row.disabled_why, row.failing_since) {
        (Some(why), _) => format!("off: {why}"),
        (None, Some(since)) => format!("failing since {}", out::time(since)),
        (None, None) => "on".to_owned(),
    }
}

fn endpoint_value(row: &EndpointRow, secret: Option<&SecretString>) -> Value {
    let mut value = json!({
        "id": row.id,
        "url": row.url,
        "description": row.description,
        "types": row.types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "enabled": row.disabled_at.is_none(),
        "disabled_at": row.disabled_at.map(|at| at.to_string()),
        "disabled_why": row.disabled_why,
        "failing_since": row.failing_since.map(|at| at.to_string()),
        "old_secret_until": row.old_secret_until.map(|at| at.to_string()),
        "created_at": row.created_at.to_string(),
    });
    if let (Some(fields), Some(secret)) = (value.as_object_mut(), secret) {
        fields.insert("secret".to_owned(), secret.expose_secret().into());
    }
    value
}

async fn list(engine: &Engine, json: bool) -> Result<(), Failure> {
    let rows = engine.endpoints().await?;
    if json {
        let values: Vec<Value> = rows.iter().map(|row| endpoint_value(row, None)).collect();
        out::say_json(&json!({ "endpoints": values }));
    } else if rows.is_empty() {
        out::say(
            "No endpoints. Make one: quittance webhooks create --url https://…   Or look on: quittance webhooks tail",
        );
    } else {
        let cells = |row: &EndpointRow| vec![row.id.to_string(), row.url.clone(), types(row), state(row)];
        out::say(&out::table(&["id", "url", "types", "state"], rows.iter().map(cells).collect()));
    }
    Ok(())
}

fn show_secret(row: &EndpointRow, secret: &SecretString, more: &str, json: bool) {
    if json {
        out::say_json(&endpoint_value(row, Some(secret)));
    } else {
        out::say(&format!(
            "{}\n\nThis is the only time that the secret is shown ({}). Your app verifies messages with it.{more}\n  \
             quittance webhooks ping {}",
            secret.expose_secret(),
            row.id,
            row.id
        ));
    }
}

async fn create(engine: &Engine, new: &Create, json: bool) -> Result<(), Failure> {
    let wish = NewEndpoint {
        url: new.url.clone(),
        description: new.description.clone(),
        types: new.types.clone(),
        idempotency: None,
    };
    let (row, secret) = engine.create_endpoint(&wish, "command line").await?;
    if let Some(secret) = secret {
        show_secret(&row, &secret, " Try:", json);
    }
    Ok(())
}

async fn switch(engine: &Engine, id: &str, enabled: bool, json: bool) -> Result<(), Failure> {
    let patch = EndpointPatch { enabled: Some(enabled), ..EndpointPatch::default() };
    let row = engine.update_endpoint(id, &patch).await?;
    if json {
        out::say_json(&endpoint_value(&row, None));
    } else if enabled {
        out::say(&format!(
            "{id} is on. What it missed: quittance webhooks replay --endpoint {id} --since TIME"
        ));
    } else {
        out::say(&format!("{id} is off."));
    }
    Ok(())
}

async fn remove(engine: &Engine, id: &str, json: bool) -> Result<(), Failure> {
    engine.delete_endpoint(id).await?;
    if json {
        out::say_json(&json!({ "id": id, "removed": true }));
    } else {
        out::say(&format!("{id} is removed."));
    }
    Ok(())
}

async fn rotate(engine: &Engine, id: &str, hours: i64, json: bool) -> Result<(), Failure> {
    let (row, secret) = engine.rotate_secret(id, hours.saturating_mul(3_600_000)).await?;
    let until = row.old_secret_until.map_or_else(
        || " The secret before is no longer used.".to_owned(),
        |until| {
            format!(" Until {} messages carry the signature of the one before as well.", out::time(until))
        },
    );
    show_secret(&row, &secret, &until, json);
    Ok(())
}

fn time_of(text: &str) -> Result<Timestamp, Failure> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        Failure::usage(
            "usage",
            format!("--since `{text}` is no time"),
            "Write it as RFC 3339 with its offset, such as 2026-11-30T14:05:00Z.",
        )
    })?;
    Ok(Timestamp::from_ms(at.as_millisecond()))
}

async fn replay(engine: &Engine, what: &Again, json: bool) -> Result<(), Failure> {
    let wish = match (&what.event, &what.since) {
        (Some(event), _) => Replay::Event(event.clone()),
        (None, Some(since)) => Replay::Since(time_of(since)?),
        (None, None) => {
            return Err(Failure::usage(
                "usage",
                "nothing is named that is to be sent again",
                "Name one event with --event, or a time with --since.",
            ));
        }
    };
    let replayed = engine.replay_to(&what.endpoint, &wish, None).await?;
    if json {
        let up_to = replayed.up_to.map(|at| at.to_string());
        out::say_json(&json!({ "endpoint": what.endpoint, "events": replayed.events, "up_to": up_to }));
        return Ok(());
    }
    out::say(&format!("{} events are sent to {} again.", replayed.events, what.endpoint));
    if let Some(at) = replayed.up_to {
        out::say(&format!(
            "There are more: quittance webhooks replay --endpoint {} --since {at}",
            what.endpoint
        ));
    }
    Ok(())
}
