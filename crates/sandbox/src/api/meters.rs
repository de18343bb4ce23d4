//! Billing meters, their events, and what these add up to.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Call;
use crate::billing::metering::Reported;
use crate::model::decimal::Decimal;
use crate::model::meter::{Formula, Meter, TimeWindow};
use crate::model::subscription::Period;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};
use crate::wire::params::{Field, Params};

const LONGEST_NAME: usize = 250;
const LONGEST_KEY: usize = 100;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "billing/meters") => create(world, &call.params),
        ("GET", "billing/meters") => all(world, call),
        ("GET", "billing/meters/{id}") => {
            need(&world.metering.meters, call.id(), "id").map(|meter| meter.render())
        }
        ("POST", "billing/meters/{id}") => update(world, call),
        ("POST", "billing/meters/{id}/deactivate") => deactivate(world, call.id()),
        ("POST", "billing/meters/{id}/reactivate") => reactivate(world, call.id()),
        ("GET", "billing/meters/{id}/event_summaries") => summaries(world, call),
        ("POST", "billing/meter_events") => record(world, &call.params),
        ("POST", "billing/meter_event_adjustments") => adjust(world, &call.params),
        _ => return None,
    })
}

pub(super) fn short(params: &Params<'_>, name: &str, most: usize) -> ApiResult<String> {
    let text = params.required(name)?;
    if text.chars().count() > most {
        let full = params.full(name);
        let message = format!("Invalid string: {full} may have up to {most} characters.");
        return Err(ApiError::invalid("parameter_invalid_string", &full, message));
    }
    Ok(text)
}

fn read_window(params: &Params<'_>, name: &str) -> ApiResult<Option<TimeWindow>> {
    Ok(match params.one_of(name, &["day", "hour"])? {
        Field::Set("day") => Some(TimeWindow::Day),
        Field::Set(_) => Some(TimeWindow::Hour),
        Field::Absent | Field::Unset => None,
    })
}

fn create(world: &mut World, params: &Params<'_>) -> ApiResult<Value> {
    let display_name = short(params, "display_name", LONGEST_NAME)?;
    let event_name = short(params, "event_name", LONGEST_KEY)?;
    let aggregation = params.sub("default_aggregation");
    aggregation.required("formula")?;
    let formula = match aggregation.one_of("formula", &["count", "last", "sum"])? {
        Field::Set("count") => Formula::Count,
        Field::Set("last") => Formula::Last,
        Field::Set(_) | Field::Absent | Field::Unset => Formula::Sum,
    };
    let customer_key = if params.has("customer_mapping") {
        let mapping = params.sub("customer_mapping");
        mapping.required("type")?;
        mapping.one_of("type", &["by_id"])?;
        short(&mapping, "event_payload_key", LONGEST_KEY)?
    } else {
        "stripe_customer_id".to_owned()
    };
    let value_key = if params.has("value_settings") {
        short(&params.sub("value_settings"), "event_payload_key", LONGEST_KEY)?
    } else {
        "value".to_owned()
    };
    let time_window = read_window(params, "event_time_window")?;
    check_free(world, &event_name)?;
    let meter = Meter {
        id: world.chance.id("mtr_test_"),
        created: world.now,
        updated: world.now,
        display_name,
        event_name,
        formula,
        customer_key,
        value_key,
        time_window,
        deactivated_at: None,
    };
    let object = meter.render();
    world.metering.meters.put(meter);
    world.emit("billing.meter.created", object.clone());
    Ok(object)
}

/// An event must not find two meters.
fn check_free(world: &World, event_name: &str) -> ApiResult<()> {
    match world.metering.active(event_name) {
        Some(other) => {
            let message = format!("The active meter `{}` has the event name `{event_name}`.", other.id);
            Err(ApiError::state("resource_already_exists", message).param("event_name"))
        }
        None => Ok(()),
    }
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let status = call.params.one_of("status", &["active", "inactive"])?.value();
    let keep = |meter: &Meter| status.is_none_or(|status| (status == "active") == meter.is_active());
    list(&world.metering.meters, &call.params, "/v1/billing/meters", None, keep, Meter::render)
}

/// Changes a meter and tells of it.
fn change(world: &mut World, mut meter: Meter, kind: &str, edit: impl FnOnce(&mut Meter)) -> Value {
    let before = meter.render();
    edit(&mut meter);
    if meter.render() != before {
        meter.updated = world.now;
    }
    let after = meter.render();
    world.metering.meters.put(meter);
    world.emit_change(kind, &before, after.clone());
    after
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let meter = need(&world.metering.meters, call.id(), "id")?;
    let name = match call.params.has("display_name") {
        true => Some(short(&call.params, "display_name", LONGEST_NAME)?),
        false => None,
    };
    Ok(change(world, meter, "billing.meter.updated", |meter| {
        if let Some(name) = name {
            meter.display_name = name;
        }
    }))
}

fn deactivate(world: &mut World, id: &str) -> ApiResult<Value> {
    let meter = need(&world.metering.meters, id, "id")?;
    let now = world.now;
    Ok(change(world, meter, "billing.meter.deactivated", |meter| {
        meter.deactivated_at.get_or_insert(now);
    }))
}

fn reactivate(world: &mut World, id: &str) -> ApiResult<Value> {
    let meter = need(&world.metering.meters, id, "id")?;
    if !meter.is_active() {
        check_free(world, &meter.event_name)?;
    }
    Ok(change(world, meter, "billing.meter.reactivated", |meter| meter.deactivated_at = None))
}

/// An event as a request reports it; the versions of the API write times differently.
pub(super) fn read_event(params: &Params<'_>, timestamp: Option<i64>) -> ApiResult<Reported> {
    let event_name = short(params, "event_name", LONGEST_KEY)?;
    let given = params.sub("payload");
    let mut payload = BTreeMap::new();
    for name in given.names() {
        payload.insert(name.to_owned(), given.text(name)?.value().unwrap_or_default());
    }
    if payload.is_empty() {
        let full = params.full("payload");
        let message = format!("Missing required param: {full}.");
        return Err(ApiError::invalid("parameter_missing", &full, message));
    }
    let identifier = match params.text("identifier")? {
        Field::Set(_) => Some(short(params, "identifier", LONGEST_KEY)?),
        Field::Absent | Field::Unset => None,
    };
    Ok(Reported { event_name, identifier, timestamp, payload })
}

fn record(world: &mut World, params: &Params<'_>) -> ApiResult<Value> {
    let reported = read_event(params, params.int("timestamp")?.value())?;
    world.record_usage(reported).map(|event| event.render())
}

/// Takes an event back. Answers its name and its identifier.
pub(super) fn take_back(world: &mut World, params: &Params<'_>) -> ApiResult<(String, String)> {
    let event_name = params.required("event_name")?;
    params.required("type")?;
    params.one_of("type", &["cancel"])?;
    let identifier = params.sub("cancel").required("identifier")?;
    world.cancel_usage(&event_name, &identifier)?;
    Ok((event_name, identifier))
}

fn adjust(world: &mut World, params: &Params<'_>) -> ApiResult<Value> {
    let (event_name, identifier) = take_back(world, params)?;
    Ok(json!({
        "object": "billing.meter_event_adjustment",
        "cancel": { "identifier": identifier },
        "event_name": event_name,
        "livemode": false,
        "status": "complete",
        "type": "cancel",
    }))
}

fn summaries(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let meter = need(&world.metering.meters, call.id(), "id")?;
    let customer = need(&world.customers, &params.required("customer")?, "customer")?.id;
    let window = read_window(params, "value_grouping_window")?;
    let grain = window.map_or(60, TimeWindow::seconds);
    let time = |name: &str| -> ApiResult<i64> {
        params.required(name)?;
        params.int(name)?.value().filter(|time| time % grain == 0).ok_or_else(|| {
            let message = format!("`{name}` must be a multiple of {grain} seconds.");
            ApiError::rule(message).param(name)
        })
    };
    let period = Period { start: time("start_time")?, end: time("end_time")? };
    if period.start >= period.end {
        return Err(ApiError::rule("`end_time` must be after `start_time`.").param("end_time"));
    }
    let now = world.now_of(Some(&customer));
    let sums = match window {
        Some(window) => world.metering.usage_by_window(&meter, &customer, period, window, now),
        None => vec![(period, world.metering.usage(&meter, &customer, period, now))],
    };
    let rendered = sums.into_iter().map(|(period, value)| summary(&meter.id, &customer, period, value));
    list_values(rendered.collect(), params, &format!("/v1/billing/meters/{}/event_summaries", meter.id))
}

fn summary(meter: &str, customer: &str, period: Period, value: Decimal) -> Value {
    // The same question has the same answer, so pages can go on after an id.
    let digest = Sha256::digest(format!("{meter} {customer} {} {}", period.start, period.end));
    json!({
        "id": format!("mtrusg_test_{}", hex::encode(digest)),
        "object": "billing.meter_event_summary",
        "aggregated_value": number(value),
        "end_time": period.end,
        "livemode": false,
        "meter": meter,
        "start_time": period.start,
    })
}

/// A number of JSON with the digits of an exact one.
fn number(value: Decimal) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or_default()
}
