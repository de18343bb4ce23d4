//! Usage by version 2 of the API: single events, whose mistakes are said at once, and the stream.

use serde_json::{Value, json};

use super::Call;
use super::meters::{read_event, take_back};
use crate::billing::metering::Reported;
use crate::state::world::World;
use crate::webhooks::thin;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Params;

/// How many events one request of the stream takes.
const MOST_EVENTS: usize = 100;

/// Carries out a call below `/v2/billing/`.
pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let params = &call.params;
    Some(match (method, path) {
        ("POST", "meter_event_session") => Ok(world.open_stream()),
        ("POST", "meter_event_stream") => stream(world, params),
        ("POST", "meter_events") => record(world, params),
        ("POST", "meter_event_adjustments") => adjust(world, params),
        _ => return None,
    })
}

fn read(params: &Params<'_>) -> ApiResult<Reported> {
    let timestamp = match params.text("timestamp")?.value() {
        None => None,
        Some(text) => {
            let full = params.full("timestamp");
            let wrong = |_| {
                let message = format!("Invalid timestamp: {text}; it is written as in RFC 3339.");
                ApiError::rule(message).param(&full)
            };
            Some(text.parse::<jiff::Timestamp>().map_err(wrong)?.as_second())
        }
    };
    read_event(params, timestamp)
}

fn stream(world: &mut World, params: &Params<'_>) -> ApiResult<Value> {
    let events = params.list("events");
    if events.is_empty() || events.len() > MOST_EVENTS {
        let message = format!("A request has from 1 to {MOST_EVENTS} events, this one {}.", events.len());
        return Err(ApiError::rule(message).param("events"));
    }
    let read: ApiResult<Vec<Reported>> = events.iter().map(read).collect();
    for reported in read? {
        world.stream_usage(reported);
    }
    Ok(json!({}))
}

fn record(world: &mut World, params: &Params<'_>) -> ApiResult<Value> {
    let event = world.record_usage(read(params)?)?;
    Ok(json!({
        "object": "v2.billing.meter_event",
        "created": thin::time(event.received),
        "event_name": event.event_name,
        "identifier": event.identifier,
        "livemode": false,
        "payload": event.payload,
        "timestamp": thin::time(event.timestamp),
    }))
}

fn adjust(world: &mut World, params: &Params<'_>) -> ApiResult<Value> {
    let (event_name, identifier) = take_back(world, params)?;
    Ok(json!({
        "id": world.chance.id("mtrevadj_test_"),
        "object": "v2.billing.meter_event_adjustment",
        "cancel": { "identifier": identifier },
        "created": thin::time(world.own_now()),
        "event_name": event_name,
        "livemode": false,
        "status": "complete",
        "type": "cancel",
    }))
}
