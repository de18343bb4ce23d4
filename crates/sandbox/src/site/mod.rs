//! Everything that is not the API: the control calls and the web pages, by path.
//!
//! The pages themselves are pure functions in [`crate::pages`]; here their views are filled and their forms read.

mod buying;
mod control_calls;
mod details;
mod embedded;
mod frame;
mod invoice;
mod managing;
mod onboarding;
mod operating;
mod operating_view;
mod pending;
mod steps;

use serde_json::json;

use crate::pages;
use crate::sandbox::Sandbox;
use crate::wire::request::{HttpRequest, HttpResponse};

/// Answers a request that is not for the API.
pub(crate) fn answer(sandbox: &Sandbox, request: &HttpRequest) -> HttpResponse {
    if is_foreign(request) {
        let message = "This request comes from another site's page; the sandbox answers its own pages and programs only. Nothing changed.";
        return HttpResponse::json(
            403,
            &json!({ "error": { "type": "invalid_request_error", "message": message } }),
        );
    }
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", _) if request.path == pages::STYLE_PATH => {
            asset("text/css; charset=utf-8", KEPT, pages::STYLE)
        }
        ("GET", _) if request.path == pages::SCRIPT_PATH => {
            asset("text/javascript; charset=utf-8", KEPT, pages::SCRIPT)
        }
        ("GET", _) if request.path == pages::LIBRARY_PATH => {
            asset("text/javascript; charset=utf-8", "no-cache", pages::LIBRARY)
        }
        (_, ["embed", id]) => embedded::embedded(sandbox, request, id),
        ("GET", [""]) => operating::index(sandbox, request),
        (_, ["c", "pay", id]) => buying::checkout(sandbox, request, id),
        ("GET", ["b", token]) => buying::follow(sandbox, request, token),
        ("GET", ["r", token]) => buying::recover(sandbox, request, token),
        (_, ["3ds", id]) => buying::three_d_secure(sandbox, request, id),
        (_, ["pending", id]) => pending::pending(sandbox, request, id),
        (_, ["i", id]) => invoice::invoice(sandbox, request, id),
        (_, ["p", "session", token, rest @ ..]) => managing::portal(sandbox, request, token, rest),
        (_, ["connect", "onboarding", token]) => onboarding::onboarding(sandbox, request, token),
        ("GET", ["connect", "express", id]) => onboarding::express(sandbox, request, id),
        ("GET", ["_sandbox"]) => operating::control(sandbox, request),
        ("POST", ["_sandbox", "ui", rest @ ..]) => operating::act(sandbox, request, rest),
        _ => control_calls::answer(sandbox, request, &segments).unwrap_or_else(|| not_found(request)),
    }
}

/// Whether a browser says that another site's page sends this request, which could otherwise act in the developer's name.
fn is_foreign(request: &HttpRequest) -> bool {
    request.method != "GET" && request.header_value("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// For names that carry a hash of the content.
const KEPT: &str = "public, max-age=31536000, immutable";

fn asset(kind: &str, kept: &str, text: &str) -> HttpResponse {
    let headers = [("content-type", kind), ("cache-control", kept), ("x-content-type-options", "nosniff")];
    HttpResponse {
        status: 200,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: text.as_bytes().to_vec(),
        ..HttpResponse::default()
    }
}

/// A 404 that every client library can read.
fn not_found(request: &HttpRequest) -> HttpResponse {
    let message = format!("Unrecognized request URL ({}: {}).", request.method, request.path);
    HttpResponse::json(404, &json!({ "error": { "type": "invalid_request_error", "message": message } }))
}
