//! Errors in the API's own shape: `{"error": {"type", "code", "message", "param", …}}`.
//!
//! An error also says whether it is kept for its idempotency key: failed validation is not, a failed execution is.

use serde_json::{Map, Value, json};

/// An error answer. Boxed, because most calls succeed and carry it only as a possibility.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Body>);

#[derive(Debug, Clone)]
struct Body {
    status: u16,
    kind: &'static str,
    code: Option<String>,
    message: String,
    param: Option<String>,
    extra: Map<String, Value>,
    kept: bool,
}

/// What every fallible step of the API returns.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(status: u16, kind: &'static str, code: Option<&str>, message: impl Into<String>) -> Self {
        Self(Box::new(Body {
            status,
            kind,
            code: code.map(str::to_owned),
            message: message.into(),
            param: None,
            extra: Map::new(),
            kept: false,
        }))
    }

    /// A 400 found while reading the request; it is not kept for the idempotency key.
    pub(crate) fn invalid(code: &str, param: &str, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", Some(code), message).param(param)
    }

    /// A 400 without a code, as the API gives for most rule violations.
    pub(crate) fn rule(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    /// A 400 because of the state of an object; it is kept for the idempotency key.
    pub(crate) fn state(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", Some(code), message).kept()
    }

    /// A 400 without a code because of the state of an object; it is kept for the idempotency key.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::rule(message).kept()
    }

    /// A 404 for an object that does not exist.
    pub(crate) fn missing(label: &str, id: &str, param: &str) -> Self {
        Self::new(404, "invalid_request_error", Some("resource_missing"), format!("No such {label}: '{id}'"))
            .param(param)
    }

    /// A 404 for an invoice that will not come; it is kept for the idempotency key.
    pub(crate) fn none_upcoming(label: &str, id: &str) -> Self {
        let message = format!("No upcoming invoices for {label}: {id}");
        Self::new(404, "invalid_request_error", Some("invoice_upcoming_none"), message).kept()
    }

    /// A 404 for a path that the API does not have.
    pub(crate) fn unknown_path(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", None, format!("Unrecognized request URL ({method}: {path})."))
    }

    /// A 404 for a call that the API has and the sandbox does not play.
    pub(crate) fn absent(method: &str, path: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            Some("call_not_in_sandbox"),
            format!(
                "{method} {path} is a call of the API that this sandbox does not play yet; see docs/sandbox.md for those that it does."
            ),
        )
    }

    /// A 404 for a call that a version of the API took away.
    pub(crate) fn removed(method: &str, path: &str, since: &str, instead: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). The call was removed in version {since}; use {instead} instead."
        );
        Self::new(404, "invalid_request_error", None, message)
    }

    /// A 429 for an object that something else is changing.
    pub(crate) fn locked(message: impl Into<String>) -> Self {
        Self::new(429, "invalid_request_error", Some("lock_timeout"), message)
    }

    /// A 401.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", None, message)
    }

    /// The 401 for a stream of usage whose session is over, or never was.
    pub(crate) fn session_expired() -> Self {
        let message = "The session of this token is over: open another with /v2/billing/meter_event_session. None of the events is counted.";
        Self::new(401, "temporary_session_expired", Some("billing_meter_event_session_expired"), message)
    }

    /// The 403 for an account that the key cannot act for.
    pub(crate) fn no_access(account: &str) -> Self {
        let message = format!(
            "The provided key 'sk_test_***' does not have access to account '{account}' (or that account does not exist). Application access may have been revoked."
        );
        Self::new(403, "invalid_request_error", Some("account_invalid"), message)
    }

    /// A 403: the account exists, but this is not the platform's to do.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "invalid_request_error", None, message)
    }

    /// The 400 for an idempotency key that was used with other parameters.
    pub(crate) fn key_reused(key: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            None,
            format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            ),
        )
    }

    /// The 400 for an idempotency key that was used for another call.
    pub(crate) fn key_of_other_path(key: &str, path: &str, first: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            None,
            format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{path}' vs '{first}'). \
                 Try using a key other than '{key}' if you meant to execute a different request."
            ),
        )
    }

    /// The 409 for an idempotency key whose first request is still being answered.
    pub(crate) fn key_in_use(key: &str) -> Self {
        Self::new(
            409,
            "idempotency_error",
            Some("idempotency_key_in_use"),
            format!(
                "Another request with the idempotency key '{key}' is still being carried out; try again later."
            ),
        )
    }

    /// A 400 for a version of the API that is older than those that the sandbox plays.
    pub(crate) fn unplayed_version(version: &str, oldest: &str) -> Self {
        Self::new(
            400,
            "invalid_request_error",
            Some("version_not_in_sandbox"),
            format!("The sandbox plays the versions of the API from {oldest} on, and {version} is older."),
        )
    }

    /// A 402: the card was refused.
    pub(crate) fn card(code: &str, decline_code: Option<&str>, message: impl Into<String>) -> Self {
        let mut error = Self::new(402, "card_error", Some(code), message).kept();
        if let Some(decline_code) = decline_code {
            error = error.with("decline_code", json!(decline_code));
        }
        error
    }

    /// An answer that a fault asks for.
    pub(crate) fn injected(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let kind = match status {
            402 => "card_error",
            409 => "idempotency_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        };
        let default_code = match status {
            429 => Some("rate_limit"),
            409 => Some("idempotency_key_in_use"),
            _ => None,
        };
        Self::new(
            status,
            kind,
            code.or(default_code),
            message.unwrap_or(match code.or(default_code) {
                Some("rate_limit") => {
                    "Too many requests: the sandbox was told to limit them. Wait a moment and try again."
                }
                Some("lock_timeout") => {
                    "This object cannot be accessed right now because another API request or Stripe process is currently accessing it."
                }
                Some("idempotency_key_in_use") => {
                    "Another request with this idempotency key is still being carried out; try again later."
                }
                _ => "A fault of the sandbox answers this request.",
            }),
        )
    }

    /// Names the parameter that is wrong.
    pub(crate) fn param(mut self, param: &str) -> Self {
        if !param.is_empty() {
            self.0.param = Some(param.to_owned());
        }
        self
    }

    /// Adds a field such as the full payment intent.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.0.extra.insert(name.to_owned(), value);
        self
    }

    fn kept(mut self) -> Self {
        self.0.kept = true;
        self
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether the answer is stored for the idempotency key of the request.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.kept
    }

    /// A sentence for people.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The stable code, where there is one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// A field added by [`ApiError::with`].
    pub(crate) fn extra(&self, name: &str) -> Option<&Value> {
        self.0.extra.get(name)
    }

    /// The body of the answer.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let body = &self.0;
        let mut error = body.extra.clone();
        error.insert("type".to_owned(), json!(body.kind));
        error.insert("message".to_owned(), json!(body.message));
        error.insert(
            "request_log_url".to_owned(),
            json!(format!("https://dashboard.stripe.com/test/logs/{request_id}")),
        );
        if let Some(code) = &body.code {
            error.insert("code".to_owned(), json!(code));
            error.insert(
                "doc_url".to_owned(),
                json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))),
            );
        }
        if let Some(param) = &body.param {
            error.insert("param".to_owned(), json!(param));
        }
        json!({ "error": error })
    }
}
