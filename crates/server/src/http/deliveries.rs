//! What left the system, or waits to: mails and webhooks, with each try.

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
use super::dto::{IdempotencyHeader, Page, Time};
use super::extract::{InPath, InQuery, Nothing, ObjectId, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_deliveries))
        .routes(routes!(get_delivery))
        .routes(routes!(retry_delivery))
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichDeliveries {
    /// `mail` or `webhook`.
    #[param(value_type = Option<ChannelWord>)]
    channel: Option<Channel>,
    /// `pending`, `delivered`, `suppressed` or `failed`.
    #[param(value_type = Option<StateWord>)]
    state: Option<DeliveryState>,
    /// About this customer.
    #[param(value_type = Option<String>)]
    customer: Option<ObjectId>,
    /// To this destination.
    #[param(value_type = Option<String>)]
    destination: Option<ObjectId>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// The way on which something leaves.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChannelWord {
    /// A mail.
    Mail,
    /// A request to an endpoint of the app.
    Webhook,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateWord {
    /// Not taken by the other side yet.
    Pending,
    /// The other side took it.
    Delivered,
    /// Not sent: no longer true, or not wanted.
    Suppressed,
    /// Given up.
    Failed,
}

impl From<Channel> for ChannelWord {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Mail => Self::Mail,
            Channel::Webhook => Self::Webhook,
        }
    }
}

impl From<DeliveryState> for StateWord {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Pending => Self::Pending,
            DeliveryState::Delivered => Self::Delivered,
            DeliveryState::Suppressed => Self::Suppressed,
            DeliveryState::Failed => Self::Failed,
        }
    }
}

/// A mail or a webhook.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryView {
    /// Its number.
    id: i64,
    /// The way on which it leaves.
    channel: ChannelWord,
    /// Where it stands.
    state: StateWord,
    /// Its natural key: one fact is one delivery.
    #[schema(example = "notice/17")]
    key: String,
    /// Whom it goes to.
    destination: String,
    /// The customer it is about.
    customer: Option<String>,
    /// How often it was tried.
    attempts: i64,
    /// When it is tried next.
    next_attempt_at: Option<Time>,
    /// What went wrong last, or why it was not sent.
    last_error: Option<String>,
    /// When it was written down.
    created_at: Time,
    /// When it was over.
    finished_at: Option<Time>,
}

impl From<DeliveryRow> for DeliveryView {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.seq,
            channel: row.channel.into(),
            state: row.state.into(),
            key: row.key,
            destination: row.destination,
            customer: row.customer,
            attempts: row.attempts,
            next_attempt_at: (row.state == DeliveryState::Pending).then_some(Time(row.next_attempt_at)),
            last_error: row.last_error,
            created_at: Time(row.created_at),
            finished_at: row.finished_at.map(Time),
        }
    }
}

/// A try.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    /// Which one, from 1.
    attempt: i64,
    /// When it began.
    began_at: Time,
    /// When it ended.
    ended_at: Time,
    /// `delivered`, `suppressed`, `retry` or `failed`.
    #[schema(example = "retry")]
    outcome: String,
    /// What the other side said, or why it was not sent.
    detail: String,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            began_at: Time(row.began_at),
            ended_at: Time(row.ended_at),
            outcome: row.outcome,
            detail: row.detail,
        }
    }
}

/// A delivery with its tries.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    delivery: DeliveryView,
    /// What its courier was given.
    #[schema(value_type = Object)]
    payload: serde_json::Value,
    /// Its tries, newest first.
    tries: Vec<AttemptView>,
}

/// Mails and webhooks, newest first
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "Operations", security(("api_key" = ["admin"])),
    params(WhichDeliveries),
    responses((status = 200, description = "The deliveries", body = Page<DeliveryView>))
)]
async fn list_deliveries(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichDeliveries>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let filter = Filter {
        channel: which.channel,
        state: which.state,
        customer: which.customer.map(|ObjectId(id)| id),
        destination: which.destination.map(|ObjectId(name)| name),
    };
    let rows = app.engine.deliveries(filter, cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, DeliveryView::from)).into_response())
}

/// One mail or webhook, with each try
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "Operations", security(("api_key" = ["admin"])),
    params(("id" = i64, Path, description = "Its number", example = 1)),
    responses((status = 200, description = "The delivery", body = DeliveryDetail),
              (status = 404, description = "There is none", body = ProblemDocument))
)]
async fn get_delivery(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<String>,
) -> Result<Response, Fail> {
    let (row, attempts) = app.engine.delivery(number(&id)?).await?;
    let payload = serde_json::from_str(&row.payload).unwrap_or_default();
    let tries = attempts.into_iter().map(AttemptView::from).collect();
    Ok(Json(DeliveryDetail { delivery: row.into(), payload, tries }).into_response())
}

/// Nothing has a number that is none.
fn number(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| Problem::not_found("delivery"))
}

/// Send one again that was given up or not sent, or one that waits at once
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/retry", tag = "Operations", security(("api_key" = ["admin"])),
    params(IdempotencyHeader, ("id" = i64, Path, description = "Its number", example = 1)),
    responses((status = 200, description = "It is sent again", body = DeliveryView),
              (status = 404, description = "There is none", body = ProblemDocument),
              (status = 409, description = "It has arrived, or is being sent right now", body = ProblemDocument))
)]
async fn retry_delivery(
    InPath(id): InPath<String>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            Reply::ok(&DeliveryView::from(context.engine.deliver_again(number(&id)?).await?))
        })
        .await
}
