//! The door of the API: keys, counting, faults, idempotency, reading of parameters, expansion.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::api::{self, Call};
use crate::faults::{Fault, Lost};
use crate::state::world::{Cause, World};
use crate::versions::removed::{self, Removed};
use crate::versions::{Version, changes, requests};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::form::{Tree, decode};
use crate::wire::idempotency::{Kept, LONGEST_KEY, Used};
use crate::wire::params::{Field, Params, Reads};
use crate::wire::request::{HttpRequest, HttpResponse};
use crate::wire::schema::{self, Matched};
use crate::wire::{expand, json};

/// Answers one request to the API.
pub(crate) fn answer(world: &mut World, secret_key: Option<&str>, request: &HttpRequest) -> HttpResponse {
    let request_id = world.chance.id("req_");
    let matched = schema::find(&request.method, &request.path);
    let counted = matched.as_ref().map_or(request.path.as_str(), |matched| matched.template());
    *world.calls.entry(format!("{} {counted}", request.method)).or_default() += 1;
    let fault = world.draw_fault(&request.method, &request.path);
    let streams = matched.as_ref().is_some_and(|matched| matched.template() == STREAM);
    let door = match streams {
        true => check_session(world, request).map(Some),
        false => check_key(secret_key, request).and_then(|()| check_account(world, request)).map(|()| None),
    };
    let (door, streaming) = match door {
        Ok(streaming) => (Ok(()), streaming),
        Err(error) => (Err(error), None),
    };
    let door = door.and_then(|()| Version::read(request.header_value("stripe-version")));
    let version = door.as_ref().map_or_else(|_| Version::newest(), |version| *version);
    let mut response = match (&fault, door) {
        (_, Err(error)) => error_response(&error, &request_id),
        (Some(Fault { lost: Some(Lost::Before), .. }), Ok(_)) => {
            HttpResponse { lost: true, ..HttpResponse::default() }
        }
        (Some(fault), Ok(_)) if !fault.after_commit && fault.error().is_some() => {
            injected(fault, &request_id)
        }
        (fault, Ok(_)) => {
            let account =
                streaming.unwrap_or_else(|| account_of(request).unwrap_or(&world.account_id).to_owned());
            let fault = fault.as_ref();
            world
                .within(&account, |books| execute(books, request, version, matched, &request_id, fault))
                .unwrap_or_else(|| error_response(&ApiError::no_access(&account), &request_id))
        }
    };
    if let Some(fault) = fault {
        response.latency_ms = fault.latency_ms;
        response.lost |= fault.lost.is_some();
        response.headers.extend(fault.answer_headers());
    }
    add_headers(&mut response, request, version, &request_id);
    response
}

fn add_headers(response: &mut HttpResponse, request: &HttpRequest, version: Version, request_id: &str) {
    response.headers.push(("request-id".to_owned(), request_id.to_owned()));
    response.headers.push(("stripe-version".to_owned(), version.name().to_owned()));
    if let Some(account) = account_of(request) {
        response.headers.push(("stripe-account".to_owned(), account.to_owned()));
    }
    if let Some(key) = request.header_value("idempotency-key") {
        response.headers.push(("idempotency-key".to_owned(), key.to_owned()));
    }
}

fn error_response(error: &ApiError, request_id: &str) -> HttpResponse {
    HttpResponse::json(error.status(), &error.body(request_id))
}

fn injected(fault: &Fault, request_id: &str) -> HttpResponse {
    fault.error().map(|error| error_response(&error, request_id)).unwrap_or_default()
}

/// The one call that takes no key but the token of a session.
const STREAM: &str = "/v2/billing/meter_event_stream";

/// The account whose session a request to the stream is of.
fn check_session(world: &World, request: &HttpRequest) -> ApiResult<String> {
    let token = bearer(request);
    world.streaming_account(&token).map(str::to_owned).ok_or_else(ApiError::session_expired)
}

/// The key or token of a request; empty when it has none.
fn bearer(request: &HttpRequest) -> String {
    let header = request.header_value("authorization").unwrap_or_default();
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => basic_user(token.trim()),
        _ => String::new(),
    }
}

fn check_key(secret_key: Option<&str>, request: &HttpRequest) -> ApiResult<()> {
    let key = bearer(request);
    if key.is_empty() {
        let message = "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
        return Err(ApiError::unauthorized(message));
    }
    let accepted = match secret_key {
        Some(expected) => key == expected,
        None => key.starts_with("sk_test_") || key.starts_with("rk_test_"),
    };
    if accepted {
        return Ok(());
    }
    let shown: String = key.chars().take(8).collect();
    let hint = if key.contains("_live_") { " This is a sandbox: never give it a live key." } else { "" };
    Err(ApiError::unauthorized(format!("Invalid API Key provided: {shown}***.{hint}")))
}

/// Refuses a request made for an account that the key has no access to.
fn check_account(world: &World, request: &HttpRequest) -> ApiResult<()> {
    match account_of(request) {
        Some(account) if !world.may_speak_for(account) => Err(ApiError::no_access(account)),
        Some(_) | None => Ok(()),
    }
}

/// The account that a request speaks for, where it says so.
fn account_of(request: &HttpRequest) -> Option<&str> {
    request.header_value("stripe-account").filter(|account| !account.is_empty())
}

/// The user name of a Basic header; the password is empty by convention.
fn basic_user(encoded: &str) -> String {
    let mut bits = 0_u32;
    let mut count = 0_u32;
    let mut bytes = Vec::new();
    for byte in encoded.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap_or_default());
        }
    }
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.split(':').next().unwrap_or_default().to_owned()
}

/// The header that names the parameters that the call took and nothing was made of.
const IGNORED: &str = "sandbox-ignored";

/// Carries a request out, or replays the answer that its key already has.
fn execute(
    world: &mut World,
    request: &HttpRequest,
    version: Version,
    matched: Option<Matched>,
    request_id: &str,
    fault: Option<&Fault>,
) -> HttpResponse {
    let tree = match read_tree(request) {
        Ok(tree) => tree,
        Err(error) => return error_response(&error, request_id),
    };
    let used = match used_key(world, request, &tree) {
        Ok(used) => used,
        Err(error) => return error_response(&error, request_id),
    };
    if let Some(used) = &used {
        match world.keys.look_up(used, world.now) {
            Ok(None) => {}
            Ok(Some(kept)) => return replayed(kept),
            Err(error) => return error_response(&error, request_id),
        }
    }
    world.request = Some(Cause {
        id: request_id.to_owned(),
        idempotency_key: used.as_ref().map(|used| used.key.clone()),
        version: request.header_value("stripe-version").map(str::to_owned),
    });
    let mut ignored = Vec::new();
    let result = call(world, request, version, matched, &tree, &mut ignored);
    world.flush_events();
    world.request = None;
    let (mut response, mut keeps) = match &result {
        Ok(value) => {
            let mut response = HttpResponse::json(200, value);
            if !ignored.is_empty() {
                response.headers.push((IGNORED.to_owned(), ignored.join(", ")));
            }
            (response, true)
        }
        // Version 2 tries again what has failed.
        Err(error) => {
            (error_response(error, request_id), error.is_kept() && !request.path.starts_with("/v2/"))
        }
    };
    if let Some(error) = fault.filter(|fault| fault.after_commit).and_then(Fault::error) {
        response = error_response(&error, request_id);
        keeps = true;
    }
    if let Some(used) = used {
        if keeps {
            let body = String::from_utf8_lossy(&response.body).into_owned();
            world.keys.keep(&used, response.status, body, request_id, world.now);
        }
        if fault.is_some_and(|fault| fault.latency_ms > 0) {
            response.held_key = Some(world.keys.hold(&used));
        }
    }
    response
}

/// The answer that a key already has.
fn replayed(kept: &Kept) -> HttpResponse {
    let headers = [
        ("content-type", "application/json"),
        ("idempotent-replayed", "true"),
        ("original-request", &kept.request_id),
    ];
    HttpResponse {
        status: kept.status,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: kept.body.clone().into_bytes(),
        ..HttpResponse::default()
    }
}

/// The idempotency key of a request, in the books of the account that it is made for. Reading needs none, nor does
/// deleting in version 1: a key there says nothing.
fn used_key(world: &World, request: &HttpRequest, tree: &Tree) -> ApiResult<Option<Used>> {
    let counts = request.method == "POST" || (request.method == "DELETE" && request.path.starts_with("/v2/"));
    let Some(key) = request.header_value("idempotency-key").filter(|_| counts) else {
        return Ok(None);
    };
    if key.is_empty() || key.chars().count() > LONGEST_KEY {
        return Err(ApiError::rule(format!("Idempotency keys have from 1 to {LONGEST_KEY} characters.")));
    }
    Ok(Some(Used {
        key: key.to_owned(),
        account: world.connected().unwrap_or_default().to_owned(),
        path: request.path.clone(),
        fingerprint: fingerprint(request, tree),
    }))
}

fn read_tree(request: &HttpRequest) -> ApiResult<Tree> {
    let wrong = |error: crate::wire::form::FormError| ApiError::rule(format!("Invalid request: {error}."));
    if matches!(request.method.as_str(), "GET" | "DELETE") || request.body.is_empty() {
        return decode(request.query.as_bytes()).map_err(wrong);
    }
    if request.path.starts_with("/v2/") {
        return json::decode(&request.body).map_err(wrong);
    }
    let kind = request.header_value("content-type").unwrap_or("application/x-www-form-urlencoded");
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(ApiError::rule(format!(
            "Invalid content type '{kind}': version 1 of the API takes application/x-www-form-urlencoded."
        )));
    }
    decode(&request.body).map_err(wrong)
}

fn fingerprint(request: &HttpRequest, tree: &Tree) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{} {} {tree:?}", request.method, request.path);
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn call(
    world: &mut World,
    request: &HttpRequest,
    version: Version,
    matched: Option<Matched>,
    tree: &Tree,
    ignored: &mut Vec<String>,
) -> ApiResult<Value> {
    let asked = request.header_value("stripe-version");
    if let Some(removed) = removed::find(&request.method, &request.path) {
        removed.check(version)?;
        let (method, path) = Removed::NOW;
        let matched = schema::find(method, path).ok_or_else(|| ApiError::absent(method, path))?;
        let translated = removed.translate(world, tree)?;
        let value = carry_out(world, method, version, &matched, (&translated, asked), ignored)?;
        return removed.show(value, tree);
    }
    let matched = matched.ok_or_else(|| {
        let (method, path) = (&request.method, &request.path);
        if schema::is_absent(method, path) {
            ApiError::absent(method, path)
        } else {
            ApiError::unknown_path(method, path)
        }
    })?;
    carry_out(world, &request.method, version, &matched, (tree, asked), ignored)
}

/// Carries a call out in the terms of a version: its parameters made new, its answer made old.
fn carry_out(
    world: &mut World,
    method: &str,
    version: Version,
    matched: &Matched,
    (tree, asked): (&Tree, Option<&str>),
    ignored: &mut Vec<String>,
) -> ApiResult<Value> {
    requests::check_retired(version, method, matched.template(), tree)?;
    let modern = requests::modern(version, method, matched.template(), tree);
    let tree = modern.as_ref().unwrap_or(tree);
    matched.check(tree)?;
    let reads = Reads::default();
    let params = Params::watched(tree, &reads);
    let paths = params.texts("expand")?.unwrap_or_default();
    expand::check(&paths)?;
    let call = Call { ids: &matched.ids, params, version: asked };
    let clock = clock_of_call(world, &matched.ids, &Params::root(tree));
    world.on_line(clock.as_deref(), |world| {
        let mut value = api::dispatch(world, method, matched.template(), &call)?;
        changes::show(world, version, &mut value);
        expand::expand(world, version, &mut value, &paths)?;
        ignored.extend(reads.unread(tree));
        Ok(value)
    })
}

/// The test clock by which a call is played: that of the customer behind its path or its parameters.
fn clock_of_call(world: &World, ids: &[String], params: &Params<'_>) -> Option<String> {
    const NAMES: [&str; 9] = [
        "customer",
        "subscription",
        "from_subscription",
        "schedule",
        "invoice",
        "payment_intent",
        "charge",
        "payment_method",
        "quote",
    ];
    if world.test_clocks.len() == 0 {
        return None;
    }
    let text = |name: &str| params.text(name).ok().and_then(Field::value);
    let known = |clock: &String| world.test_clocks.get(clock).is_some();
    let by_path = ids.iter().find_map(|id| world.clock_of(id));
    by_path
        .or_else(|| text("test_clock").filter(known))
        .or_else(|| NAMES.iter().find_map(|name| text(name).and_then(|id| world.clock_of(&id))))
}

#[cfg(test)]
mod tests {
    use super::basic_user;

    #[test]
    fn basic_credentials_are_read() {
        assert_eq!(basic_user("c2tfdGVzdF8xMjM6"), "sk_test_123");
        assert_eq!(basic_user("!"), "");
    }
}
