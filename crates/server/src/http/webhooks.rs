//! What providers send: raw bytes in, a durable event, and only then 200. No layers, no API key, no parsing here.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use quittance_engine::Problem;
use quittance_store::inbox::Accepted;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::read_body;
use super::problem::{self, ProblemDocument};
use super::state::AppState;

const RECEIVED: &str = r#"{"received":true}"#;
const DUPLICATE: &str = r#"{"received":true,"duplicate":true}"#;

/// The routes.
pub fn fast_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(stripe_webhook))
}

/// What a provider is told.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "documents the two constants above")]
struct Receipt {
    /// The event is stored durably.
    received: bool,
    /// Present and true when it was stored before.
    duplicate: Option<bool>,
}

/// Webhooks of Stripe
///
/// For Stripe only: the signature over the raw body stands in for an API key. 200 means that the event is stored
/// durably; whatever it leads to follows. A repeat changes nothing.
#[utoipa::path(
    post, path = "/webhooks/stripe", tag = "Webhooks", security(()),
    params(("Stripe-Signature" = String, Header, description = "Stripe's signature.")),
    request_body(content = String, content_type = "application/json", description = "The event, byte for byte as Stripe sent it."),
    responses((status = 200, description = "Stored", body = Receipt),
              (status = 400, description = "The signature is missing, wrong, or too old or too new; the event is of the other mode, or unreadable. Nothing was stored", body = ProblemDocument),
              (status = 413, description = "Too large", body = ProblemDocument),
              (status = 503, description = "Too much is waiting, or the database is away: deliver it again", body = ProblemDocument))
)]
async fn stripe_webhook(State(app): State<AppState>, request: Request) -> Response {
    match accept(&app, request).await {
        Ok(accepted) => {
            let body = match accepted {
                Accepted::New => RECEIVED,
                Accepted::Duplicate => DUPLICATE,
            };
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Err((problem, bytes)) => refuse(&app, &problem, bytes),
    }
}

async fn accept(app: &AppState, request: Request) -> Result<Accepted, (Problem, usize)> {
    let (headers, body) = read_body(request, app).await.map_err(|problem| (problem, 0))?;
    let signature = headers.get("stripe-signature").map(HeaderValue::as_bytes);
    app.engine.accept_stripe(signature, &body).await.map_err(|problem| (problem, body.len()))
}

fn refuse(app: &AppState, problem: &Problem, bytes: usize) -> Response {
    let refused = problem::status(problem.code).is_client_error();
    if !refused {
        return problem::answer(app, problem, &Method::POST, "/webhooks/stripe");
    }
    app.refusals.note("stripe", problem.code.as_str(), bytes, app.now());
    // Without a log line of its own: a flood of forgeries must not become a flood of lines.
    problem::quiet_answer(app, problem)
}
