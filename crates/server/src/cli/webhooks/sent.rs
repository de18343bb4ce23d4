//! What was sent to the app, and what it was told.

use std::collections::BTreeSet;
use std::time::Duration;

use quittance_domain::AppEventId;
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_engine::{Engine, Problem};
use quittance_store::app_events::AppEventRow;
use quittance_store::deliveries::{AttemptRow, DeliveryRow, Filter};
use serde_json::{Value, json};

use super::Deliveries;
use crate::cli::{found, out};
use crate::failure::Failure;

/// How often a delivery that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn ping(engine: &Engine, id: &str, wait_s: u64, json: bool) -> Result<(), Failure> {
    let event = engine.ping_endpoint(id).await?;
    let row = tried(engine, id, &event, wait_s).await?;
    let Some(row) = row.filter(|row| row.attempts > 0) else {
        return Err(found(
            format!("{event} waits; nobody has sent it yet"),
            "A running server or worker sends it: start one with `quittance serve`, or wait longer with --wait.",
        ));
    };
    if json {
        out::say_json(&delivery_value(&row));
    }
    match row.state {
        DeliveryState::Delivered => {
            if !json {
                out::say(&format!("{event} was delivered."));
            }
            Ok(())
        }
        DeliveryState::Pending | DeliveryState::Suppressed | DeliveryState::Failed => Err(found(
            format!("{event} was not delivered: {}", row.last_error.unwrap_or_default()),
            format!("Mend your app, then: quittance webhooks ping {id}"),
        )),
    }
}

/// The delivery of an event to an endpoint, after its first try or when there was none in time.
async fn tried(
    engine: &Engine,
    endpoint: &str,
    event: &AppEventId,
    wait_s: u64,
) -> Result<Option<DeliveryRow>, Failure> {
    let until = tokio::time::Instant::now() + Duration::from_secs(wait_s);
    loop {
        let filter = Filter {
            channel: Some(Channel::Webhook),
            destination: Some(endpoint.to_owned()),
            ..Filter::default()
        };
        let rows = engine.deliveries(filter, i64::MAX, 50).await?;
        let row = rows.into_iter().find(|row| row.key.starts_with(event.as_str()));
        let over =
            row.as_ref().is_some_and(|row| row.state != DeliveryState::Pending || row.last_error.is_some());
        if over || tokio::time::Instant::now() >= until {
            return Ok(row);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn event_of(row: &DeliveryRow) -> String {
    row.key.split(':').next().unwrap_or_default().to_owned()
}

fn delivery_value(row: &DeliveryRow) -> Value {
    json!({
        "number": row.seq,
        "event": event_of(row),
        "endpoint": row.destination,
        "customer": row.customer,
        "state": row.state.as_str(),
        "attempts": row.attempts,
        "next_attempt_at": (row.state == DeliveryState::Pending).then(|| row.next_attempt_at.to_string()),
        "last_error": row.last_error,
        "created_at": row.created_at.to_string(),
        "finished_at": row.finished_at.map(|at| at.to_string()),
    })
}

fn attempt_value(row: &AttemptRow) -> Value {
    json!({
        "attempt": row.attempt,
        "at": row.began_at.to_string(),
        "duration_ms": row.ended_at.since(row.began_at),
        "outcome": row.outcome,
        "answer": row.detail,
    })
}

pub(super) async fn deliveries(engine: &Engine, which: &Deliveries, json: bool) -> Result<(), Failure> {
    if let Some(number) = which.show {
        return show(engine, number, json).await;
    }
    let filter = Filter {
        channel: Some(Channel::Webhook),
        state: which.failed.then_some(DeliveryState::Failed),
        customer: None,
        destination: which.endpoint.clone(),
    };
    let rows = engine.deliveries(filter, which.before.unwrap_or(i64::MAX), which.limit).await?;
    if json {
        let values: Vec<Value> = rows.iter().map(delivery_value).collect();
        out::say_json(&json!({ "deliveries": values, "before": rows.last().map(|row| row.seq) }));
    } else if rows.is_empty() {
        out::say("Nothing was sent. See what would be: quittance webhooks tail");
    } else {
        let cells = |row: &DeliveryRow| {
            vec![
                row.seq.to_string(),
                out::time(row.created_at),
                event_of(row),
                row.destination.clone(),
                row.state.as_str().to_owned(),
                row.attempts.to_string(),
                row.last_error.clone().unwrap_or_default(),
            ]
        };
        let header = ["no", "made", "event", "endpoint", "state", "tries", "trouble"];
        out::say(&out::table(&header, rows.iter().map(cells).collect()));
        out::say("\nOne with every try: quittance webhooks deliveries --show NUMBER");
    }
    Ok(())
}

async fn show(engine: &Engine, number: i64, json: bool) -> Result<(), Failure> {
    let (row, attempts) = engine.delivery(number).await?;
    if row.channel != Channel::Webhook {
        return Err(Problem::not_found("webhook delivery").into());
    }
    if json {
        let mut value = delivery_value(&row);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("tries".to_owned(), attempts.iter().map(attempt_value).collect());
        }
        out::say_json(&value);
        return Ok(());
    }
    out::say(&format!("{} to {}: {}", event_of(&row), row.destination, row.state.as_str()));
    let cells = |row: &AttemptRow| {
        vec![
            row.attempt.to_string(),
            out::time(row.began_at),
            format!("{} ms", row.ended_at.since(row.began_at)),
            row.outcome.clone(),
            row.detail.clone(),
        ]
    };
    let header = ["try", "at", "took", "outcome", "answer"];
    out::say(&out::table(&header, attempts.iter().map(cells).collect()));
    Ok(())
}

/// How often the log is looked at.
const TAIL_LOOK: Duration = Duration::from_millis(500);
/// Events of one look.
const TAIL_PAGE: i64 = 100;

pub(super) async fn tail(
    engine: &Engine,
    last: i64,
    customer: Option<&str>,
    once: bool,
    json: bool,
) -> Result<(), Failure> {
    // Numbers can become visible out of their order, so what was printed is remembered and not only the highest one.
    let mut printed: BTreeSet<i64> = BTreeSet::new();
    let newest = engine.app_events(customer, i64::MAX, TAIL_PAGE).await?;
    let shown = usize::try_from(last).unwrap_or(0);
    printed.extend(newest.iter().skip(shown).map(|row| row.seq));
    print_new(newest, &mut printed, json);
    if once {
        return Ok(());
    }
    if !json {
        out::say("# Changes appear here as they come. Ctrl-C ends it.");
    }
    loop {
        tokio::time::sleep(TAIL_LOOK).await;
        print_new(engine.app_events(customer, i64::MAX, TAIL_PAGE).await?, &mut printed, json);
    }
}

fn print_new(newest: Vec<AppEventRow>, printed: &mut BTreeSet<i64>, json: bool) {
    for row in newest.into_iter().rev() {
        if !printed.insert(row.seq) {
            continue;
        }
        if json {
            out::say(&row.body);
        } else {
            let body: Value = serde_json::from_str(&row.body).unwrap_or_default();
            let data = body.get("data").map(Value::to_string).unwrap_or_default();
            out::say(&format!("{}  {:<24}  {}  {data}", out::time(row.at), row.kind.as_str(), row.id));
        }
        // More than a page is never compared with.
        while printed.len() > 4 * usize::try_from(TAIL_PAGE).unwrap_or(100) {
            printed.pop_first();
        }
    }
}
