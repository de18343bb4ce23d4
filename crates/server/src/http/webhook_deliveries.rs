//! What was delivered to your app: each message to each endpoint, with every try.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_engine::Problem;
use quittance_store::deliveries::{AttemptRow, DeliveryRow, Filter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Page, Time};
use super::extract::{InPath, InQuery, ObjectId, page};
use super::problem::{Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_webhook_deliveries)).routes(routes!(get_webhook_delivery))
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichDeliveries {
    /// Only those in this state: `pending`, `delivered`, `suppressed` or `failed`.
    #[param(example = "failed")]
    state: Option<String>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// An event on its way to an endpoint, or there.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookDelivery {
    /// Its number.
    id: i64,
    /// The event.
    #[schema(example = "aev_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    event: String,
    /// The customer that it is about.
    customer: Option<String>,
    /// `pending`, `delivered`, `suppressed` or `failed`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// Tries so far.
    attempts: i64,
    /// When it is tried next; null when it is over.
    next_attempt_at: Option<Time>,
    /// What went wrong last: the status with the beginning of the answer, or why there was none.
    last_error: Option<String>,
    /// When it was written down.
    created_at: Time,
    /// When it was over.
    finished_at: Option<Time>,
}

impl From<DeliveryRow> for WebhookDelivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.seq,
            event: row.key.split(':').next().unwrap_or_default().to_owned(),
            customer: row.customer,
            state: row.state.as_str(),
            attempts: row.attempts,
            next_attempt_at: (row.state == DeliveryState::Pending).then_some(Time(row.next_attempt_at)),
            last_error: row.last_error,
            created_at: Time(row.created_at),
            finished_at: row.finished_at.map(Time),
        }
    }
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookTry {
    /// Which one, from 1.
    attempt: i64,
    /// When it began.
    at: Time,
    /// How long it took, in milliseconds.
    duration_ms: i64,
    /// `delivered`, `suppressed`, `retry` or `failed`.
    #[schema(example = "retry")]
    outcome: String,
    /// The status with the beginning of the answer, or why there was none.
    #[schema(example = "503: try later")]
    answer: String,
}

/// A delivery with its tries.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookDeliveryWithTries {
    #[serde(flatten)]
    delivery: WebhookDelivery,
    /// The tries, newest first, 100 at most.
    tries: Vec<WebhookTry>,
}

impl From<AttemptRow> for WebhookTry {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            at: Time(row.began_at),
            duration_ms: row.ended_at.since(row.began_at),
            outcome: row.outcome,
            answer: row.detail,
        }
    }
}

/// What was sent to an endpoint, or waits, newest first
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/deliveries", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           WhichDeliveries),
    responses((status = 200, description = "The deliveries", body = Page<WebhookDelivery>),
              (status = 404, description = "No such endpoint", body = ProblemDocument))
)]
async fn list_webhook_deliveries(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(ObjectId(id)): InPath<ObjectId>,
    InQuery(which): InQuery<WhichDeliveries>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let state = which.state.as_deref().map(|word| {
        DeliveryState::parse(word)
            .ok_or_else(|| Problem::invalid("`state` must be pending, delivered, suppressed or failed."))
    });
    let filter = Filter {
        channel: Some(Channel::Webhook),
        state: state.transpose()?,
        customer: None,
        destination: Some(app.engine.endpoint(&id).await?.id.to_string()),
    };
    let rows = app.engine.deliveries(filter, cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, WebhookDelivery::from)).into_response())
}

/// One delivery with every try
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/deliveries/{delivery}", tag = "App webhooks",
    security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The endpoint.", example = "whe_01hz3v9q8r7s6t5w4x3y2z1a0b"),
           ("delivery" = i64, Path, description = "The delivery's number.", example = 42)),
    responses((status = 200, description = "The delivery", body = WebhookDeliveryWithTries),
              (status = 404, description = "No such delivery to this endpoint", body = ProblemDocument))
)]
async fn get_webhook_delivery(
    State(app): State<AppState>,
    _: Auth<Admin>,
    path: InPath<(ObjectId, i64)>,
) -> Result<Response, Fail> {
    let InPath((ObjectId(id), number)) = path;
    let (row, attempts) = app.engine.delivery(number).await?;
    if row.channel != Channel::Webhook || row.destination != id {
        return Err(Problem::not_found("delivery to this endpoint").into());
    }
    let tries = attempts.into_iter().map(WebhookTry::from).collect();
    Ok(Json(WebhookDeliveryWithTries { delivery: row.into(), tries }).into_response())
}
