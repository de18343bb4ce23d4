//! Events and webhook endpoints.

use serde_json::{Value, json};

use super::Call;
use crate::model::event::{Event, Form, HearsOf, Origin, WebhookEndpoint};
use crate::state::table::Stored as _;
use crate::state::world::{API_VERSION, World, need};
use crate::versions::Version;
use crate::webhooks::is_type;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "events") => all(world, call),
        ("GET", "events/{id}") => event(world, call.id(), world.connected()).map(|event| show(&event)),
        ("POST", "events/{id}/retry") => retry(world, call),
        ("POST", "webhook_endpoints") => create(world, call),
        ("GET", "webhook_endpoints") => endpoints(world, call),
        ("GET", "webhook_endpoints/{id}") => {
            endpoint(world, call.id()).map(|endpoint| endpoint.render(false))
        }
        ("POST", "webhook_endpoints/{id}") => update(world, call),
        ("DELETE", "webhook_endpoints/{id}") => delete(world, call.id()),
        _ => return None,
    })
}

/// An event of a connected account or of the platform, of this version of the API.
fn event(world: &World, id: &str, account: Option<&str>) -> ApiResult<Event> {
    let event = need(&world.events, id, "id")?;
    if event.thin.is_some() || event.account.as_deref() != account {
        return Err(ApiError::missing("event", id, "id"));
    }
    Ok(event)
}

/// Sends an event again, as the command-line program asks for it: to an endpoint, or to the programs that listen. The
/// platform may name the connected account that it happened in.
fn retry(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let account = params.text("account")?.value();
    if let Some(account) = &account {
        world.live_account(account)?;
    }
    let event = event(world, call.id(), account.as_deref().or(world.connected()))?;
    let to: Vec<String> = match params.text("webhook_endpoint")?.value() {
        Some(id) => {
            let endpoint = world.endpoints.get(&id).filter(|endpoint| endpoint.origin == Origin::Endpoint);
            let meant = endpoint.filter(|endpoint| world.is_meant(endpoint, &event));
            vec![meant.ok_or_else(|| ApiError::missing(WebhookEndpoint::LABEL, &id, "id"))?.id.clone()]
        }
        None if params.flag("for_stripecli")? == Field::Set(true) => {
            let listening = world.endpoints.iter().filter(|endpoint| endpoint.is_listener());
            let hearing =
                listening.filter(|endpoint| world.forms_for(endpoint, &event).contains(&Form::Snapshot));
            hearing.map(|endpoint| endpoint.id.clone()).collect()
        }
        None => {
            let message = "Missing required param: webhook_endpoint.";
            return Err(ApiError::invalid("parameter_missing", "webhook_endpoint", message));
        }
    };
    for endpoint in to {
        world.deliver_by_hand(&event.id, Form::Snapshot, &endpoint, false);
    }
    Ok(show(&event))
}

/// Whether an endpoint is the asking account's, and was made with this version of the API.
fn is_own(world: &World, endpoint: &WebhookEndpoint) -> bool {
    endpoint.origin == Origin::Endpoint && endpoint.account.as_deref() == world.connected()
}

/// An endpoint of the account that asks.
fn endpoint(world: &World, id: &str) -> ApiResult<WebhookEndpoint> {
    let endpoint = world.endpoints.get(id).filter(|endpoint| is_own(world, endpoint));
    endpoint.cloned().ok_or_else(|| ApiError::missing(WebhookEndpoint::LABEL, id, "id"))
}

fn show(event: &Event) -> Value {
    event.render(API_VERSION, event.newest())
}

/// A type fits when it is named, or covered by a name that ends in `*`.
fn fits(kind: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(head) => kind.starts_with(head),
        None => kind == pattern,
    }
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let kind = params.text("type")?.value();
    let kinds = params.texts("types")?;
    if kind.is_some() && kinds.is_some() {
        return Err(ApiError::rule("You may pass either 'type' or 'types', but not both.").param("types"));
    }
    let delivered = params.flag("delivery_success")?.value();
    let keep = |event: &Event| {
        let success = event.pending.is_empty() && !event.failed;
        event.thin.is_none()
            && event.account.as_deref() == world.connected()
            && kind.as_ref().is_none_or(|kind| fits(&event.kind, kind))
            && kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| fits(&event.kind, kind)))
            && delivered.is_none_or(|delivered| delivered == success)
    };
    list(&world.events, params, "/v1/events", None, keep, show)
}

impl World {
    /// Adds an endpoint that hears of everything, with a secret that is known beforehand. One that is there already is
    /// given the secret.
    pub(crate) fn add_endpoint(&mut self, url: &str, secret: &str) {
        let there = self.endpoints.iter().find(|endpoint| endpoint.url == url);
        if let Some(id) = there.map(|endpoint| endpoint.id.clone()) {
            self.endpoints.edit(&id, |endpoint| {
                secret.clone_into(&mut endpoint.secret);
                // Whoever names it again wants to hear of events again.
                endpoint.enabled |= endpoint.failing_since.take().is_some();
            });
            return;
        }
        let endpoint = WebhookEndpoint {
            id: self.chance.id("we_"),
            origin: Origin::Endpoint,
            created: self.now,
            url: url.to_owned(),
            secret: secret.to_owned(),
            account: None,
            hears_of: HearsOf::OWN,
            enabled_events: vec!["*".to_owned()],
            enabled: true,
            failing_since: None,
            api_version: Some(API_VERSION.to_owned()),
            description: None,
            metadata: Metadata::new(),
        };
        self.endpoints.put(endpoint);
    }
}

pub(super) fn read_url(params: &Params<'_>) -> ApiResult<Option<String>> {
    let Some(url) = params.text("url")?.value() else {
        return Ok(None);
    };
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(Some(url));
    }
    Err(ApiError::invalid("url_invalid", "url", "Not a valid URL: it must start with http:// or https://."))
}

/// The types of events that an endpoint asks for; `None` when it leaves them as they are.
fn read_events(params: &Params<'_>) -> ApiResult<Option<Vec<String>>> {
    let Some(events) = params.texts("enabled_events")? else {
        return Ok(None);
    };
    if events.is_empty() {
        return Err(ApiError::invalid(
            "parameter_invalid_empty",
            "enabled_events",
            "An endpoint hears of at least one type of event: 'enabled_events' cannot be empty.",
        ));
    }
    if let Some((index, event)) = events.iter().enumerate().find(|(_, event)| !is_type(event)) {
        return Err(ApiError::rule(format!(
            "Invalid enabled_events[{index}]: there are no events of type '{event}'."
        ))
        .param(&format!("enabled_events[{index}]")));
    }
    Ok(Some(events))
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    params.required("url")?;
    let url = read_url(params)?.unwrap_or_default();
    let enabled_events = read_events(params)?.ok_or_else(|| {
        ApiError::invalid("parameter_missing", "enabled_events", "Missing required param: enabled_events.")
    })?;
    let api_version = params.text("api_version")?.value();
    Version::read(api_version.as_deref()).map_err(|error| error.param("api_version"))?;
    let connect = params.flag("connect")? == Field::Set(true);
    if connect {
        world.check_is_platform()?;
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let endpoint = WebhookEndpoint {
        id: world.chance.id("we_"),
        origin: Origin::Endpoint,
        created: world.now,
        url,
        secret: format!("whsec_{}", world.chance.text(32)),
        account: world.connected().map(str::to_owned),
        hears_of: if connect { HearsOf::CONNECTED } else { HearsOf::OWN },
        enabled_events,
        enabled: true,
        failing_since: None,
        api_version,
        description: params.text("description")?.value(),
        metadata,
    };
    let object = endpoint.render(true);
    world.endpoints.put(endpoint);
    Ok(object)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut endpoint = endpoint(world, call.id())?;
    if let Some(url) = read_url(params)? {
        endpoint.url = url;
    }
    if let Some(events) = read_events(params)? {
        endpoint.enabled_events = events;
    }
    if let Field::Set(disabled) = params.flag("disabled")? {
        endpoint.enabled = !disabled;
        endpoint.failing_since = None;
    }
    params.text("description")?.apply(&mut endpoint.description);
    params.metadata_into(&mut endpoint.metadata)?;
    let object = endpoint.render(false);
    let disabled = !endpoint.enabled;
    world.endpoints.put(endpoint);
    if disabled {
        world.give_up_endpoint(call.id());
    }
    Ok(object)
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    endpoint(world, id)?;
    world.endpoints.remove(id);
    world.give_up_endpoint(id);
    Ok(json!({ "id": id, "object": "webhook_endpoint", "deleted": true }))
}

fn endpoints(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    list(
        &world.endpoints,
        &call.params,
        "/v1/webhook_endpoints",
        None,
        |endpoint| is_own(world, endpoint),
        |endpoint| endpoint.render(false),
    )
}
