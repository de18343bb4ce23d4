//! Problem documents (RFC 9457) with a stable code, what to do, and whether money moved.
//!
//! A handler fails with [`Fail`]; the document (or the page) is made in one place, where the request is known.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quittance_engine::{Money, Problem, ProblemCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::state::AppState;
use super::web;

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, as a program reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument<'a> {
    /// Names the kind of problem; follows from `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:quittance:problem:not_found")]
    kind: String,
    /// The kind in words; the same for each problem of a code.
    #[schema(example = "Not found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// The stable code; programs decide by it.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What happened this time.
    #[schema(example = "There is no such customer.")]
    detail: &'a str,
    /// What to do about it.
    #[schema(example = "Check the id.")]
    mend: &'a str,
    /// Whether money moved because of this request: `no`, `yes`, or `unknown`. When unknown, the same request with
    /// the same Idempotency-Key is safe and finds out.
    #[schema(example = "no")]
    money_moved: &'static str,
    /// Names this answer in the server's log.
    #[schema(example = "req_0f8fad5bd9cb469f")]
    request_id: &'a str,
}

/// A failed request, until it is made into a document or a page.
#[derive(Debug, Clone)]
pub struct Fail(pub Problem);

impl From<Problem> for Fail {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let mut response = status(self.0.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The HTTP status of a code.
#[must_use]
pub const fn status(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::InvalidJson | ProblemCode::InvalidSignature | ProblemCode::WrongMode => {
            StatusCode::BAD_REQUEST
        }
        ProblemCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ProblemCode::PaymentDeclined => StatusCode::PAYMENT_REQUIRED,
        ProblemCode::Forbidden | ProblemCode::CustomerSuspended => StatusCode::FORBIDDEN,
        ProblemCode::TooManyCheckouts => StatusCode::TOO_MANY_REQUESTS,
        ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ProblemCode::AlreadySubscribed
        | ProblemCode::CheckoutInProgress
        | ProblemCode::WrongState
        | ProblemCode::ShadowMode
        | ProblemCode::PaymentOwed
        | ProblemCode::QuoteStale
        | ProblemCode::NoProviderCustomer
        | ProblemCode::IdempotencyInFlight => StatusCode::CONFLICT,
        ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        // Refused for good: sending it again changes nothing, as a 5xx would suggest.
        ProblemCode::InvalidRequest
        | ProblemCode::UnknownPrice
        | ProblemCode::PromotionRefused
        | ProblemCode::RefundRefused
        | ProblemCode::IdempotencyMismatch
        | ProblemCode::ProviderRefused => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ProblemCode::NotConfigured => StatusCode::NOT_IMPLEMENTED,
        ProblemCode::ProviderUnavailable | ProblemCode::Overloaded | ProblemCode::DatabaseUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ProblemCode::PriceMismatch => StatusCode::BAD_GATEWAY,
        ProblemCode::OutcomePending => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The code in words.
#[must_use]
pub const fn title(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::InvalidRequest => "A field has a value that cannot be",
        ProblemCode::InvalidJson => "The body is not JSON of the expected shape",
        ProblemCode::Unauthenticated => "No API key that is in force",
        ProblemCode::Forbidden => "The API key may not do this",
        ProblemCode::NotFound => "Not found",
        ProblemCode::UnknownPrice => "Not in the catalog",
        ProblemCode::PromotionRefused => "The promotion does not hold for this",
        ProblemCode::RefundRefused => "This cannot be given back",
        ProblemCode::CustomerSuspended => "The customer is suspended",
        ProblemCode::TooManyCheckouts => "Too many checkouts were opened",
        ProblemCode::PriceMismatch => "The provider would charge more",
        ProblemCode::AlreadySubscribed => "Already subscribed",
        ProblemCode::CheckoutInProgress => "An earlier checkout is being paid",
        ProblemCode::WrongState => "The subscription's state does not allow this",
        ProblemCode::ShadowMode => "This installation only watches",
        ProblemCode::PaymentOwed => "A renewal is not paid",
        ProblemCode::QuoteStale => "The quote does not hold any more",
        ProblemCode::NoProviderCustomer => "Nothing at the provider yet",
        ProblemCode::IdempotencyMismatch => "The Idempotency-Key belongs to another request",
        ProblemCode::IdempotencyInFlight => "A request with this Idempotency-Key is running",
        ProblemCode::PaymentDeclined => "The payment was declined",
        ProblemCode::ProviderRefused => "The provider refused",
        ProblemCode::ProviderUnavailable => "The provider cannot be reached",
        ProblemCode::OutcomePending => "The provider has not answered yet",
        ProblemCode::InvalidSignature => "The signature is missing, wrong or too old",
        ProblemCode::WrongMode => "Test and live do not mix",
        ProblemCode::TooLarge => "The body is too large",
        ProblemCode::MethodNotAllowed => "Not with this method",
        ProblemCode::UnsupportedMediaType => "The body is not JSON",
        ProblemCode::NotConfigured => "The server lacks a setting for this",
        ProblemCode::Overloaded => "Too much is waiting",
        ProblemCode::DatabaseUnavailable => "The database cannot be used",
        ProblemCode::Internal => "An error of ours",
    }
}

/// The word for whether money moved.
#[must_use]
pub const fn money_word(money: Money) -> &'static str {
    match money {
        Money::No => "no",
        Money::Yes => "yes",
        Money::Unknown => "unknown",
    }
}

/// A name for one answer, to find it in the log.
#[must_use]
pub fn request_id(app: &AppState) -> String {
    format!("req_{:016x}", app.engine.world().chance())
}

/// The document as JSON text.
#[must_use]
pub fn document(problem: &Problem, request_id: &str) -> String {
    let document = ProblemDocument {
        kind: format!("urn:quittance:problem:{}", problem.code.as_str()),
        title: title(problem.code),
        status: status(problem.code).as_u16(),
        code: problem.code.as_str(),
        detail: &problem.detail,
        mend: &problem.mend,
        money_moved: money_word(problem.money),
        request_id,
    };
    // Texts and a number always serialize.
    serde_json::to_string(&document).unwrap_or_default()
}

/// Headers that go with a problem, whatever shows it.
pub fn add_headers(headers: &mut HeaderMap, problem: &Problem, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.code == ProblemCode::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"quittance\""));
    }
}

/// Writes the log line that a failed request gets. Details of refusals stay out: they may quote what the caller sent.
pub fn log(problem: &Problem, method: &Method, route: &str, request_id: &str) {
    let (code, status) = (problem.code.as_str(), status(problem.code).as_u16());
    if status >= 500 {
        let detail = problem.detail.as_str();
        tracing::error!(request_id, %method, route, status, code, detail, "request failed");
    } else if method != Method::GET {
        tracing::info!(request_id, %method, route, status, code, "request refused");
    }
}

/// The answer of a failed API call, logged.
#[must_use]
pub fn answer(app: &AppState, problem: &Problem, method: &Method, route: &str) -> Response {
    let id = request_id(app);
    log(problem, method, route, &id);
    with_id(problem, &id)
}

/// The answer of a call that is refused without a log line of its own.
#[must_use]
pub fn quiet_answer(app: &AppState, problem: &Problem) -> Response {
    with_id(problem, &request_id(app))
}

fn with_id(problem: &Problem, id: &str) -> Response {
    let mut response = (status(problem.code), document(problem, id)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    add_headers(response.headers_mut(), problem, id);
    response
}

/// The template of the path (`/v1/customers/{id}`), never the path: ids that apps choose may be personal.
pub(super) fn route_of(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned())
}

/// Makes the failures of the API into documents.
pub async fn documents(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let mut response = next.run(request).await;
    let Some(Fail(problem)) = response.extensions_mut().remove::<Fail>() else {
        // What may be kept says so itself.
        let kept = response.headers_mut().entry(header::CACHE_CONTROL);
        kept.or_insert(HeaderValue::from_static("no-store"));
        return response;
    };
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    answer(&app, &problem, &method, route)
}

/// Makes the failures of pages into pages.
pub async fn pages(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().clone(), route_of(&request));
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    let Some(Fail(problem)) = response.extensions_mut().remove::<Fail>() else { return response };
    web::problem::page(&app, &problem, &method, &route, &headers, &uri)
}

/// There is nothing at this address.
#[must_use]
pub fn no_route() -> Fail {
    Fail(Problem::new(
        ProblemCode::NotFound,
        "There is nothing at this address.",
        "GET /openapi.json lists all calls, /docs shows them.",
    ))
}

/// There is something, but not for this method.
#[must_use]
pub fn no_method() -> Fail {
    Fail(Problem::new(
        ProblemCode::MethodNotAllowed,
        "This address does not take this method.",
        "The Allow header names those that it takes.",
    ))
}

/// What is answered after a bug.
#[must_use]
pub fn internal() -> Problem {
    Problem::new(
        ProblemCode::Internal,
        "Something went wrong on our side.",
        "Send the same request again with the same Idempotency-Key; if it stays, see the server's log.",
    )
    .money(Money::Unknown)
}

/// What is answered when all connections are taken. Without a log line: it is counted.
#[must_use]
pub fn busy() -> Response {
    let problem = Problem::new(
        ProblemCode::Overloaded,
        "All connections that this server takes are in use.",
        "Send the request again later; `api.connections` says how many there may be.",
    );
    with_id(&problem.retry_after(2), "req_busy")
}

/// The answer of a handler that panicked. The panic's own hook has logged it.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub fn panicked(_panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Fail(internal()).into_response()
}
