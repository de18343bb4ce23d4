//! Failures for people, and the choice between a page and a document where no route decides it.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use quittance_engine::{Money, Problem, ProblemCode};

use super::frame::frame;
use crate::http::problem::{self as documents, Fail};
use crate::http::state::AppState;
use crate::pages::{self, MoneyMoved, ProblemView, problem_page};

/// What a code is to a reader.
const fn kind(code: ProblemCode) -> pages::Problem {
    match code {
        ProblemCode::NotFound => pages::Problem::NotFound,
        ProblemCode::InvalidRequest
        | ProblemCode::InvalidJson
        | ProblemCode::UnknownPrice
        | ProblemCode::PromotionRefused
        | ProblemCode::RefundRefused
        | ProblemCode::CustomerSuspended
        | ProblemCode::TooManyCheckouts
        | ProblemCode::MethodNotAllowed
        | ProblemCode::UnsupportedMediaType
        | ProblemCode::TooLarge
        | ProblemCode::InvalidSignature
        | ProblemCode::WrongMode => pages::Problem::BadRequest,
        ProblemCode::Unauthenticated | ProblemCode::Forbidden => pages::Problem::Forbidden,
        ProblemCode::AlreadySubscribed
        | ProblemCode::CheckoutInProgress
        | ProblemCode::WrongState
        | ProblemCode::ShadowMode
        | ProblemCode::PaymentOwed
        | ProblemCode::QuoteStale
        | ProblemCode::NoProviderCustomer
        | ProblemCode::IdempotencyMismatch
        | ProblemCode::IdempotencyInFlight
        | ProblemCode::PaymentDeclined => pages::Problem::Conflict,
        ProblemCode::Overloaded | ProblemCode::DatabaseUnavailable => pages::Problem::Busy,
        ProblemCode::ProviderRefused | ProblemCode::ProviderUnavailable | ProblemCode::OutcomePending => {
            pages::Problem::ProviderUnavailable
        }
        ProblemCode::Internal | ProblemCode::NotConfigured | ProblemCode::PriceMismatch => {
            pages::Problem::Internal
        }
    }
}

/// The page of a failed request.
#[must_use]
pub fn page(
    app: &AppState,
    problem: &Problem,
    method: &Method,
    route: &str,
    headers: &HeaderMap,
    uri: &Uri,
) -> Response {
    let id = documents::request_id(app);
    documents::log(problem, method, route, &id);
    let of_operators = route == "/admin" || route.starts_with("/admin/");
    let operator = app.tells_operators() || of_operators;
    let view = ProblemView {
        frame: frame(app, uri, headers),
        problem: match kind(problem.code) {
            pages::Problem::Forbidden if of_operators => pages::Problem::Operators,
            kind => kind,
        },
        money: match problem.money {
            Money::No => MoneyMoved::No,
            Money::Yes => MoneyMoved::Yes,
            Money::Unknown => MoneyMoved::Unknown,
        },
        code: problem.code.as_str().to_owned(),
        request_id: Some(id.clone()),
        // Customers of a live site are told what concerns them; whoever runs it reads the log.
        detail: if operator { format!("{} {}", problem.detail, problem.mend) } else { String::new() },
    };
    let mut response = (documents::status(problem.code), problem_page(&view)).into_response();
    documents::add_headers(response.headers_mut(), problem, &id);
    super::protect(app, &mut response);
    response
}

/// Nothing at this address, in the reader's form.
pub async fn no_route(State(app): State<AppState>, request: Request) -> Response {
    choose(&app, &documents::no_route(), &request)
}

/// Not for this method, in the reader's form.
pub async fn no_method(State(app): State<AppState>, request: Request) -> Response {
    choose(&app, &documents::no_method(), &request)
}

fn choose(app: &AppState, Fail(problem): &Fail, request: &Request) -> Response {
    let path = request.uri().path();
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let person = accepts.is_some_and(|kinds| kinds.contains("text/html"));
    if person && !path.starts_with("/v1/") && !path.starts_with("/webhooks/") {
        return page(app, problem, request.method(), "(none)", request.headers(), request.uri());
    }
    documents::answer(app, problem, request.method(), "(none)")
}
