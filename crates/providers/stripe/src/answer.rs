//! Reads an HTTP answer: JSON when it succeeded, otherwise what went wrong.
//!
//! Pure. Classification follows the HTTP status first, as the official libraries do, then Stripe's `code`.

use serde_json::Value;

use crate::error::{ErrorKind, StripeError};
use crate::http::HttpResponse;
use crate::scrub::{is_identifier, scrub};

/// Turns an answer into JSON, or into what its status and body say went wrong.
///
/// # Errors
/// [`StripeError`]. `read_only` says that the call could not change anything.
pub fn read_answer(response: &HttpResponse, read_only: bool) -> Result<Value, StripeError> {
    let body: Option<Value> = serde_json::from_slice(&response.body).ok();
    if (200..300).contains(&response.status) {
        return body.ok_or_else(|| {
            let message = "the answer is not JSON".to_owned();
            StripeError::answer(response, ErrorKind::Malformed, message, read_only)
        });
    }
    let details = body.as_ref().and_then(|body| body.get("error"));
    let text = |field: &str| details.and_then(|e| e.get(field)).and_then(Value::as_str);
    let kind = classify(response.status, &text);
    let message = text("message").map_or_else(|| format!("answered with status {}", response.status), scrub);
    Err(StripeError::answer(response, kind, message, read_only))
}

fn classify<'v>(status: u16, text: &impl Fn(&str) -> Option<&'v str>) -> ErrorKind {
    let kept = |field: &str| text(field).filter(|t| is_identifier(t)).map(str::to_owned);
    let code = text("code");
    match (status, code) {
        (400..500, Some("lock_timeout")) => ErrorKind::LockTimeout,
        (429, _) | (400, Some("rate_limit")) => ErrorKind::RateLimited,
        (409, _) | (400, Some("idempotency_key_in_use")) => ErrorKind::Conflict,
        (401, _) => ErrorKind::Authentication,
        (403, _) => ErrorKind::Permission,
        (402, _) => ErrorKind::Card { code: kept("code"), decline_code: kept("decline_code") },
        (400..500, _) if text("type") == Some("idempotency_error") => ErrorKind::IdempotencyMismatch,
        (404, _) | (400, Some("resource_missing")) => {
            ErrorKind::NotFound { code: kept("code"), param: kept("param") }
        }
        // The server gave up waiting for our request, or asks to send it again: nobody knows what it read.
        (408 | 425, _) => ErrorKind::OutcomeUnknown,
        (400..500, _) => ErrorKind::InvalidRequest { code: kept("code"), param: kept("param") },
        (500..600, _) => ErrorKind::Provider,
        _ => ErrorKind::Malformed,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
