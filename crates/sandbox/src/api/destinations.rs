//! Event destinations and thin events, of version 2 of the API.

use serde_json::{Value, json};

use super::Call;
use super::events::read_url;
use crate::model::event::{Event, HearsOf, Origin, Payload, WebhookEndpoint};
use crate::state::world::World;
use crate::versions::Version;
use crate::webhooks::thin;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::Range;
use crate::wire::params::{Field, Metadata, Params};

const MOST_DESTINATIONS: i64 = 100;

/// Carries out a call below `/v2/core/`.
pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "events") => events(world, call),
        ("GET", "events/{id}") => event(world, call.id()),
        ("POST", "event_destinations") => create(world, call),
        ("GET", "event_destinations") => all(world, call),
        ("GET", "event_destinations/{id}") => {
            need(world, call.id()).and_then(|endpoint| show(&endpoint, &call.params))
        }
        ("POST", "event_destinations/{id}") => update(world, call),
        ("DELETE", "event_destinations/{id}") => delete(world, call.id()),
        ("POST", "event_destinations/{id}/disable") => switch(world, call, false),
        ("POST", "event_destinations/{id}/enable") => switch(world, call, true),
        ("POST", "event_destinations/{id}/ping") => ping(world, call),
        _ => return None,
    })
}

/// Whether an endpoint is a destination of the asking account.
fn is_own(world: &World, endpoint: &WebhookEndpoint) -> bool {
    matches!(endpoint.origin, Origin::Destination { .. }) && endpoint.account.as_deref() == world.connected()
}

fn need(world: &World, id: &str) -> ApiResult<WebhookEndpoint> {
    let endpoint = world.endpoints.get(id);
    let found = endpoint.filter(|endpoint| is_own(world, endpoint));
    found.cloned().ok_or_else(|| ApiError::missing("event destination", id, "id"))
}

/// The destination, with what is left out unless it is asked for.
fn show(endpoint: &WebhookEndpoint, params: &Params<'_>) -> ApiResult<Value> {
    let include = params.texts("include")?.unwrap_or_default();
    Ok(render(endpoint, |name| include.iter().any(|asked| asked == name)))
}

fn render(endpoint: &WebhookEndpoint, includes: impl Fn(&str) -> bool) -> Value {
    let Origin::Destination { name, updated, payload } = &endpoint.origin else {
        return Value::Null;
    };
    let mut value = json!({
        "id": endpoint.id,
        "object": "v2.core.event_destination",
        "created": thin::time(endpoint.created),
        "updated": thin::time(*updated),
        "name": name,
        "description": endpoint.description.clone().unwrap_or_default(),
        "enabled_events": endpoint.enabled_events,
        "event_payload": match payload { Payload::Snapshot => "snapshot", Payload::Thin => "thin" },
        "events_from": events_from(endpoint.hears_of),
        "livemode": false,
        "metadata": endpoint.metadata,
        "status": if endpoint.enabled { "enabled" } else { "disabled" },
        "type": "webhook_endpoint",
    });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    if let Some(version) = &endpoint.api_version {
        fields.insert("snapshot_api_version".to_owned(), json!(version));
    }
    // The API has no word for one that failed for days.
    if !endpoint.enabled && endpoint.failing_since.is_none() {
        fields.insert("status_details".to_owned(), json!({ "disabled": { "reason": "user" } }));
    }
    let mut hidden = serde_json::Map::new();
    if includes("webhook_endpoint.url") {
        hidden.insert("url".to_owned(), json!(endpoint.url));
    }
    if includes("webhook_endpoint.signing_secret") {
        hidden.insert("signing_secret".to_owned(), json!(endpoint.secret));
    }
    if !hidden.is_empty() {
        fields.insert("webhook_endpoint".to_owned(), Value::Object(hidden));
    }
    value
}

const OWN: &str = "@self";
const CONNECTED: &str = "@accounts";

fn events_from(heard: HearsOf) -> Vec<&'static str> {
    let words = [(heard.own, OWN), (heard.connected, CONNECTED)];
    words.into_iter().filter(|(heard, _)| *heard).map(|(_, word)| word).collect()
}

/// Whose events a destination asks for; its own account's where it says nothing.
fn read_from(world: &World, params: &Params<'_>) -> ApiResult<HearsOf> {
    let Some(from) = params.texts("events_from")?.filter(|from| !from.is_empty()) else {
        return Ok(HearsOf::OWN);
    };
    if from.iter().any(|from| from != OWN && from != CONNECTED) {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "events_from",
            "The sandbox sends a destination the events of its own account ('@self') and those of connected accounts ('@accounts').",
        ));
    }
    let asks = |word: &str| from.iter().any(|from| from == word);
    if asks(CONNECTED) {
        world.check_is_platform()?;
    }
    Ok(HearsOf { own: asks(OWN), connected: asks(CONNECTED) })
}

/// The types that a destination asks for: thin ones for thin events, those of version 1 for snapshots.
fn read_types(params: &Params<'_>, payload: Payload) -> ApiResult<Option<Vec<String>>> {
    let Some(types) = params.texts("enabled_events")? else {
        return Ok(None);
    };
    let is_type = match payload {
        Payload::Snapshot => crate::webhooks::is_type,
        Payload::Thin => thin::is_type,
    };
    if types.is_empty() {
        return Err(ApiError::invalid(
            "parameter_invalid_empty",
            "enabled_events",
            "A destination hears of at least one type of event: 'enabled_events' cannot be empty.",
        ));
    }
    if let Some(wrong) = types.iter().find(|name| !is_type(name)) {
        let message = format!("There are no events of type '{wrong}' for this payload.");
        return Err(ApiError::rule(message).param("enabled_events"));
    }
    Ok(Some(types))
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let name = params.required("name")?;
    params.required("type")?;
    params.required("event_payload")?;
    let payload = match params.one_of("event_payload", &["snapshot", "thin"])? {
        Field::Set("thin") => Payload::Thin,
        Field::Set(_) | Field::Absent | Field::Unset => Payload::Snapshot,
    };
    if params.text("type")?.value().as_deref() != Some("webhook_endpoint") {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "type",
            "The sandbox sends events to webhook endpoints only: 'type' must be 'webhook_endpoint'.",
        ));
    }
    let hears_of = read_from(world, params)?;
    let missing =
        |name: &str| ApiError::invalid("parameter_missing", name, format!("Missing required param: {name}."));
    let enabled_events = read_types(params, payload)?.ok_or_else(|| missing("enabled_events"))?;
    let url = read_url(&params.sub("webhook_endpoint"))?.ok_or_else(|| missing("webhook_endpoint[url]"))?;
    let version = params.text("snapshot_api_version")?.value();
    let version = match (payload, version) {
        (Payload::Thin, Some(_)) => {
            return Err(ApiError::rule("Thin events are of no version: leave 'snapshot_api_version' out.")
                .param("snapshot_api_version"));
        }
        (Payload::Thin, None) => None,
        (Payload::Snapshot, version) => {
            let version = Version::read(version.as_deref());
            Some(version.map_err(|error| error.param("snapshot_api_version"))?.name().to_owned())
        }
    };
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let endpoint = WebhookEndpoint {
        id: world.chance.id("ed_test_"),
        origin: Origin::Destination { name, updated: world.now, payload },
        created: world.now,
        url,
        secret: format!("whsec_{}", world.chance.text(32)),
        account: world.connected().map(str::to_owned),
        hears_of,
        enabled_events,
        enabled: true,
        failing_since: None,
        api_version: version,
        description: params.text("description")?.value(),
        metadata,
    };
    let object = show(&endpoint, params)?;
    world.endpoints.put(endpoint);
    Ok(object)
}

/// Keeps a changed destination.
fn keep(world: &mut World, mut endpoint: WebhookEndpoint) -> WebhookEndpoint {
    if let Origin::Destination { updated, .. } = &mut endpoint.origin {
        *updated = world.now;
    }
    world.endpoints.put(endpoint.clone());
    endpoint
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut endpoint = need(world, call.id())?;
    if let Some(url) = read_url(&params.sub("webhook_endpoint"))? {
        endpoint.url = url;
    }
    let Origin::Destination { payload, .. } = endpoint.origin else {
        return Err(ApiError::missing("event destination", call.id(), "id"));
    };
    if let Some(types) = read_types(params, payload)? {
        endpoint.enabled_events = types;
    }
    if let (Some(given), Origin::Destination { name, .. }) =
        (params.text("name")?.value(), &mut endpoint.origin)
    {
        *name = given;
    }
    params.text("description")?.apply(&mut endpoint.description);
    params.metadata_into(&mut endpoint.metadata)?;
    show(&keep(world, endpoint), params)
}

fn switch(world: &mut World, call: &Call<'_>, on: bool) -> ApiResult<Value> {
    let mut endpoint = need(world, call.id())?;
    endpoint.enabled = on;
    endpoint.failing_since = None;
    let endpoint = keep(world, endpoint);
    if !on {
        world.give_up_endpoint(call.id());
    }
    show(&endpoint, &call.params)
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    need(world, id)?;
    world.endpoints.remove(id);
    world.give_up_endpoint(id);
    Ok(json!({ "id": id, "object": "v2.core.event_destination" }))
}

/// An event that the destination hears of whatever it asks for.
fn ping(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let endpoint = need(world, call.id())?;
    let id = world.ping(&endpoint, render(&endpoint, |_| false));
    event(world, &id)
}

fn event(world: &World, id: &str) -> ApiResult<Value> {
    let found = world.thin_event(id).filter(|(event, _)| event.account.as_deref() == world.connected());
    let (event, twin) = found.ok_or_else(|| ApiError::missing("event", id, "id"))?;
    Ok(thin::render(event, twin, true))
}

fn events(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let types = params.texts("types")?;
    let object = params.text("object_id")?.value();
    let created = Range::read(params, "created")?;
    let about = |event: &Event| {
        let is_about = |id: &str| event.object.value().get("id").and_then(Value::as_str) == Some(id);
        event.account.as_deref() == world.connected()
            && created.holds(event.created)
            && object.as_deref().is_none_or(is_about)
    };
    let mut found = Vec::new();
    for event in world.events.iter().rev().filter(|event| about(event)) {
        for (twin, kind) in thin::kinds(event).iter().enumerate() {
            if types.as_ref().is_none_or(|types| types.contains(kind)) {
                found.push(thin::render(event, twin, true));
            }
        }
    }
    page(found, call, "/v2/core/events")
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let destinations = world.endpoints.iter().rev().filter(|endpoint| is_own(world, endpoint));
    let shown: ApiResult<Vec<Value>> = destinations.map(|endpoint| show(endpoint, &call.params)).collect();
    page(shown?, call, "/v2/core/event_destinations")
}

/// A page of a list of version 2, whose neighbours are named by their URLs. A page begins after an object, so that it
/// does not move when others come.
fn page(all: Vec<Value>, call: &Call<'_>, path: &str) -> ApiResult<Value> {
    let params = &call.params;
    let limit = params.int_within("limit", 1..=MOST_DESTINATIONS)?.value().unwrap_or(20);
    let limit = usize::try_from(limit).unwrap_or(20);
    let id = |value: &Value| value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let start = match params.text("page")?.value() {
        None => 0,
        Some(page) => {
            let place = all.iter().position(|value| id(value) == page);
            place.map(|place| place + 1).ok_or_else(|| ApiError::rule("Invalid page.").param("page"))?
        }
    };
    let others = params.query_without("page");
    let url = |after: &str| {
        let after = if after.is_empty() { String::new() } else { format!("page={after}") };
        let parts: Vec<&str> =
            [others.as_str(), after.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
    };
    let next = all.get(start + limit - 1).filter(|_| all.len() > start + limit).map(|last| url(&id(last)));
    let previous = (start > 0).then(|| match start.checked_sub(limit + 1) {
        Some(before) => url(&all.get(before).map(&id).unwrap_or_default()),
        None => url(""),
    });
    let data: Vec<Value> = all.into_iter().skip(start).take(limit).collect();
    Ok(json!({ "data": data, "next_page_url": next, "previous_page_url": previous }))
}
