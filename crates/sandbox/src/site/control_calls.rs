//! The control calls `/_sandbox/…`, with JSON in and out. They drive tests; whoever reaches the port may use them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::FURTHEST_LEAP;
use crate::control::{CheckoutOutcome, SandboxError};
use crate::faults::Fault;
use crate::sandbox::Sandbox;
use crate::settings::Settings;
use crate::webhooks::policy::DeliveryPolicy;
use crate::wire::request::{HttpRequest, HttpResponse};

type Answer = Result<Value, SandboxError>;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Complete {
    payment_method: String,
}

impl Default for Complete {
    fn default() -> Self {
        Self { payment_method: "pm_card_visa".to_owned() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authenticate {
    outcome: String,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Deliver {
    times: u32,
    concurrently: bool,
}

impl Default for Deliver {
    fn default() -> Self {
        Self { times: 1, concurrently: false }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: Option<i64>,
    to: Option<i64>,
}

/// Answers a control call; `None` when the path is none.
pub(super) fn answer(sandbox: &Sandbox, request: &HttpRequest, segments: &[&str]) -> Option<HttpResponse> {
    let rest = match segments {
        ["_sandbox", rest @ ..] => rest,
        _ => return None,
    };
    let answer = match (request.method.as_str(), rest) {
        ("POST", ["checkout_sessions", id, "complete"]) => {
            read(request).and_then(|body: Complete| complete(sandbox, id, &body))
        }
        ("POST", ["checkout_sessions", id, "abandon"]) => abandon(sandbox, id),
        ("POST", ["payment_intents" | "setup_intents", id, "authenticate"]) => {
            read(request).and_then(|body: Authenticate| authenticate(sandbox, id, &body))
        }
        ("POST", ["accounts", id, "onboard"]) => onboard(sandbox, id),
        ("GET", ["webhooks"]) => Ok(webhooks(sandbox)),
        ("PUT", ["webhooks"]) => read(request)
            .and_then(|policy: DeliveryPolicy| sandbox.set_delivery_policy(policy))
            .map(|()| webhooks(sandbox)),
        ("POST", ["events", id, "deliver"]) => {
            read(request).and_then(|body: Deliver| deliver(sandbox, id, &body))
        }
        ("GET", ["faults"]) => Ok(json!({ "faults": sandbox.faults() })),
        ("PUT", ["faults"]) => read_faults(request).map(|faults| {
            sandbox.set_faults(faults);
            json!({ "faults": sandbox.faults() })
        }),
        ("GET", ["settings"]) => Ok(sandbox.read(|world| json!(world.settings))),
        ("PUT", ["settings"]) => set_settings(sandbox, request),
        ("GET", ["time"]) => Ok(time(sandbox)),
        ("POST", ["time", "advance"]) => read(request).and_then(|body: Advance| advance(sandbox, &body)),
        ("GET", ["ledger"]) => Ok(json!(sandbox.ledger())),
        ("GET", ["calls"]) => Ok(json!({ "calls": sandbox.provider_calls() })),
        ("DELETE", ["calls"]) => {
            sandbox.reset_provider_calls();
            Ok(json!({ "calls": {} }))
        }
        ("POST", ["reset"]) => {
            sandbox.reset();
            Ok(json!({ "reset": true }))
        }
        ("GET", ["snapshot"]) => Ok(sandbox.snapshot()),
        ("PUT", ["snapshot"]) => read(request)
            .and_then(|snapshot: Value| sandbox.restore(&snapshot))
            .map(|()| json!({ "restored": true })),
        _ => return None,
    };
    Some(match answer {
        Ok(value) => HttpResponse::json(200, &value),
        Err(error) => HttpResponse::json(error.status, &error_value(&error)),
    })
}

fn error_value(error: &SandboxError) -> Value {
    json!({ "error": { "code": error.code, "decline_code": error.decline_code, "message": error.message } })
}

/// Reads a JSON body; an empty one is an empty object.
fn read<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, SandboxError> {
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    serde_json::from_slice(body).map_err(|error| {
        SandboxError::invalid(format!("The body is not what this call takes: {error}. Nothing changed."))
    })
}

/// One fault, a list of them, or `{"faults": […]}`.
fn read_faults(request: &HttpRequest) -> Result<Vec<Fault>, SandboxError> {
    let body: Value = read(request)?;
    let list = match body {
        Value::Array(list) => list,
        Value::Object(mut fields) => match fields.remove("faults") {
            Some(Value::Array(list)) => list,
            Some(_) => {
                return Err(SandboxError::invalid("'faults' must be a list. Nothing changed.".to_owned()));
            }
            None if fields.is_empty() => Vec::new(),
            None => vec![Value::Object(fields)],
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    list.into_iter()
        .map(|fault| {
            serde_json::from_value(fault).map_err(|error| {
                SandboxError::invalid(format!("A fault is malformed: {error}. Nothing changed."))
            })
        })
        .collect()
}

fn complete(sandbox: &Sandbox, id: &str, body: &Complete) -> Answer {
    let outcome = sandbox.complete_checkout(id, &body.payment_method)?;
    let session = sandbox.read(|world| world.object(id)).unwrap_or_default();
    Ok(match outcome {
        CheckoutOutcome::Complete { redirect_url } => {
            json!({ "status": "complete", "redirect_url": redirect_url, "session": session })
        }
        CheckoutOutcome::RequiresAction { intent, url } => {
            json!({ "status": "requires_action", "payment_intent": intent, "url": url, "session": session })
        }
    })
}

/// The buyer goes away: nothing happens, the session stays open until its time is up.
fn abandon(sandbox: &Sandbox, id: &str) -> Answer {
    let session = sandbox.read(|world| world.sessions.get(id).cloned());
    let session = session.ok_or_else(|| SandboxError {
        status: 404,
        ..SandboxError::invalid(format!("No such checkout.session: '{id}'"))
    })?;
    Ok(json!({ "status": session.status.as_str(), "redirect_url": session.cancel_url }))
}

fn authenticate(sandbox: &Sandbox, id: &str, body: &Authenticate) -> Answer {
    let success = match body.outcome.as_str() {
        "success" => true,
        "failure" => false,
        other => {
            return Err(SandboxError::invalid(format!(
                "'outcome' must be \"success\" or \"failure\", not \"{other}\". Nothing changed."
            )));
        }
    };
    let succeeded = sandbox.authenticate(id, success)?;
    let (intent, redirect) = sandbox.read(|world| {
        let session = world.payment_intents.get(id).and_then(|intent| intent.session.clone());
        let session =
            session.or_else(|| world.setup_intents.get(id).and_then(|intent| intent.session.clone()));
        let redirect = session
            .and_then(|session| world.sessions.get(&session))
            .and_then(crate::model::checkout::CheckoutSession::redirect_url);
        (world.object(id).unwrap_or_default(), redirect)
    });
    Ok(json!({ "succeeded": succeeded, "redirect_url": redirect.filter(|_| succeeded), "intent": intent }))
}

/// The owner of a connected account fills the onboarding page with test data.
fn onboard(sandbox: &Sandbox, id: &str) -> Answer {
    sandbox.onboard_account(id)?;
    Ok(sandbox.read(|world| world.object_anywhere(id)).unwrap_or_default())
}

fn webhooks(sandbox: &Sandbox) -> Value {
    let mut value = json!(sandbox.delivery_policy());
    let waiting = sandbox.read(|world| world.deliveries.len());
    if let Some(fields) = value.as_object_mut() {
        fields.insert("waiting".to_owned(), json!(waiting));
    }
    value
}

fn deliver(sandbox: &Sandbox, id: &str, body: &Deliver) -> Answer {
    let queued = sandbox.deliver_event(id, body.times, body.concurrently)?;
    Ok(json!({ "deliveries": queued }))
}

fn set_settings(sandbox: &Sandbox, request: &HttpRequest) -> Answer {
    let changes: Value = read(request)?;
    sandbox.change(|world| {
        let mut merged = json!(world.settings);
        if let (Some(fields), Value::Object(given)) = (merged.as_object_mut(), changes) {
            fields.extend(given);
        }
        let settings: Settings = serde_json::from_value(merged).map_err(|error| {
            SandboxError::invalid(format!("The settings are malformed: {error}. Nothing changed."))
        })?;
        if let Some(fault) = settings.fault() {
            return Err(SandboxError::invalid(format!("{fault}. Nothing changed.")));
        }
        world.settings = settings;
        Ok(json!(world.settings))
    })
}

fn time(sandbox: &Sandbox) -> Value {
    json!({ "now": sandbox.now() })
}

fn advance(sandbox: &Sandbox, body: &Advance) -> Answer {
    let seconds = match (body.seconds, body.to) {
        (Some(seconds), None) => seconds,
        (None, Some(to)) => to.saturating_sub(sandbox.now()),
        (Some(_), Some(_)) | (None, None) => -1,
    };
    if !(0..=FURTHEST_LEAP).contains(&seconds) {
        return Err(SandboxError::invalid(format!(
            "Give either 'seconds' (0 to {FURTHEST_LEAP}, ten years) or 'to' (a unix second that has not passed, at most as far ahead). Nothing changed."
        )));
    }
    sandbox.advance_time(seconds);
    Ok(time(sandbox))
}
