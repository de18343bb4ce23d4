//! Everything that is not the API: the control calls and the web pages, by path.

mod control_calls;

use serde_json::json;

use crate::sandbox::Sandbox;
use crate::wire::request::{HttpRequest, HttpResponse};

/// Answers a request that is not for the API.
pub(crate) fn answer(sandbox: &Sandbox, request: &HttpRequest) -> HttpResponse {
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    control_calls::answer(sandbox, request, &segments).unwrap_or_else(|| not_found(request))
}

/// A 404 that every client library can read.
fn not_found(request: &HttpRequest) -> HttpResponse {
    let message = format!("Unrecognized request URL ({}: {}).", request.method, request.path);
    HttpResponse::json(404, &json!({ "error": { "type": "invalid_request_error", "message": message } }))
}
