//! The control calls `/_sandbox/…`, with JSON in and out. They drive tests; whoever reaches the port may use them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::{FASTEST, FURTHEST_LEAP};
use crate::clocks::steps::Step;
use crate::control::{CheckoutOutcome, SandboxError};
use crate::faults::Fault;
use crate::sandbox::Sandbox;
use crate::settings::Settings;
use crate::state::world::World;
use crate::webhooks::policy::DeliveryPolicy;
use crate::wire::error::ApiError;
use crate::wire::request::{HttpRequest, HttpResponse};

type Answer = Result<Value, SandboxError>;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Complete {
    payment_method: String,
    promotion_code: Option<String>,
    country: Option<String>,
}

impl Default for Complete {
    fn default() -> Self {
        Self { payment_method: "pm_card_visa".to_owned(), promotion_code: None, country: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authenticate {
    outcome: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decide {
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
    step: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Speed {
    speed: u32,
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
        ("POST", ["payment_intents", id, "settle"]) => {
            read(request).and_then(|body: Authenticate| settle(sandbox, id, &body))
        }
        ("POST", ["refunds", id, "settle"]) => settle_refund(sandbox, id),
        ("POST", ["disputes", id, "decide"]) => {
            read(request).and_then(|body: Decide| decide(sandbox, id, &body))
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
        ("PUT", ["time"]) => read(request).and_then(|body: Speed| set_speed(sandbox, &body)),
        ("POST", ["time", "advance"]) => {
            read(request).and_then(|body: Advance| advance(sandbox, None, &body))
        }
        ("POST", ["test_clocks", id, "advance"]) => {
            read(request).and_then(|body: Advance| advance(sandbox, Some(id), &body))
        }
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
    if let Some(code) = &body.promotion_code {
        sandbox.type_code(id, code)?;
    }
    if let Some(country) = &body.country {
        sandbox.type_country(id, country)?;
    }
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

fn read_outcome(body: &Authenticate) -> Result<bool, SandboxError> {
    match body.outcome.as_str() {
        "success" => Ok(true),
        "failure" => Ok(false),
        other => Err(SandboxError::invalid(format!(
            "'outcome' must be \"success\" or \"failure\", not \"{other}\". Nothing changed."
        ))),
    }
}

fn authenticate(sandbox: &Sandbox, id: &str, body: &Authenticate) -> Answer {
    let success = read_outcome(body)?;
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

/// The bank or the store answers now.
fn settle(sandbox: &Sandbox, id: &str, body: &Authenticate) -> Answer {
    let success = read_outcome(body)?;
    sandbox.change(|world| world.settle_by_hand(id, success)).map_err(SandboxError::from)?;
    Ok(sandbox.read(|world| world.object(id)).unwrap_or_default())
}

/// The buyer says where a refund goes.
fn settle_refund(sandbox: &Sandbox, id: &str) -> Answer {
    sandbox.change(|world| world.claim_refund(id)).map_err(SandboxError::from)?;
    Ok(sandbox.read(|world| world.object(id)).unwrap_or_default())
}

/// The issuer decides a dispute that waits for it.
fn decide(sandbox: &Sandbox, id: &str, body: &Decide) -> Answer {
    let won = match body.outcome.as_str() {
        "won" => true,
        "lost" => false,
        other => {
            return Err(SandboxError::invalid(format!(
                "'outcome' must be \"won\" or \"lost\", not \"{other}\". Nothing changed."
            )));
        }
    };
    sandbox.change(|world| world.close_dispute(id, won)).map_err(SandboxError::from)?;
    Ok(sandbox.read(|world| world.object(id)).unwrap_or_default())
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
        world.set_settings(settings);
        world.in_all_books(World::plan_payouts);
        Ok(json!(world.settings))
    })
}

/// The account's own time with its speed, and every test clock.
fn time(sandbox: &Sandbox) -> Value {
    let clocks = sandbox.read(|world| {
        let clocks = world.test_clocks.iter();
        clocks.map(|clock| json!({ "id": clock.id, "now": clock.now })).collect::<Vec<_>>()
    });
    json!({ "now": sandbox.now(), "speed": sandbox.speed(), "test_clocks": clocks })
}

fn set_speed(sandbox: &Sandbox, body: &Speed) -> Answer {
    if body.speed > FASTEST {
        return Err(SandboxError::invalid(format!(
            "'speed' is the seconds that pass in each real second: 0 (the clock stands still) to {FASTEST} (a year). Nothing changed."
        )));
    }
    sandbox.set_speed(body.speed);
    Ok(time(sandbox))
}

/// Moves the account's own time, or a test clock, which then has none of the limits of the API.
fn advance(sandbox: &Sandbox, clock: Option<&str>, body: &Advance) -> Answer {
    let now = sandbox.read(|world| match clock {
        Some(id) => world.test_clocks.get(id).map(|clock| clock.now),
        None => Some(world.own_now()),
    });
    let now = now.ok_or_else(|| ApiError::missing("test_clock", clock.unwrap_or_default(), "id"))?;
    let to = match (body.seconds, body.to, body.step.as_deref()) {
        (Some(seconds), None, None) => Some(now.saturating_add(seconds)),
        (None, Some(to), None) => Some(to),
        (None, None, Some(word)) => {
            Step::of(word).and_then(|step| sandbox.read(|world| world.step_to(clock, step)))
        }
        _ => None,
    };
    let Some(to) = to.filter(|to| (now..=now.saturating_add(FURTHEST_LEAP)).contains(to)) else {
        return Err(SandboxError::invalid(format!(
            "Give one of 'seconds' (0 to {FURTHEST_LEAP}, ten years), 'to' (a unix second that has not passed, at most as far ahead) and 'step' (\"day\", \"month\", or \"renewal\" where something renews). Nothing changed."
        )));
    };
    match clock {
        Some(clock) => sandbox.move_test_clock(clock, to)?,
        None => sandbox.advance_time_to(to),
    }
    Ok(time(sandbox))
}
