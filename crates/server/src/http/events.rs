//! The inbox: what the provider told us, and looking again.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_store::inbox::EventRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{IdempotencyHeader, Page, Time, json_of};
use super::extract::{InPath, InQuery, Nothing, ObjectId, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// How long a replay waits for its sync, in milliseconds.
const REPLAY_WAIT_MS: i64 = 2_000;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_events))
        .routes(routes!(get_event))
        .routes(routes!(replay_event))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
    /// Only those of this aggregate.
    #[param(value_type = Option<String>, example = "stripe/test/self/customer/cus_QwErTy")]
    aggregate: Option<ObjectId>,
}

/// An event that a provider sent.
#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    /// The provider's id.
    #[schema(example = "evt_1SaBcDeF")]
    id: String,
    /// The provider's type.
    #[serde(rename = "type")]
    #[schema(example = "customer.subscription.updated")]
    kind: String,
    /// The provider.
    #[schema(example = "stripe")]
    provider: String,
    /// The connected account, or `self`.
    #[schema(example = "self")]
    account: String,
    /// Whether it is about real money.
    livemode: bool,
    /// The object it is about.
    object: Option<String>,
    /// What was looked at because of it.
    #[schema(example = "stripe/test/self/customer/cus_QwErTy")]
    aggregate: String,
    /// The API version that shaped it.
    api_version: Option<String>,
    /// `webhook`, or `sweep` when the webhook never came.
    #[schema(example = "webhook")]
    source: String,
    /// How often the provider brought it; each beyond the first changed nothing. None when only a sweep found it.
    #[schema(example = 1)]
    deliveries: i64,
    /// Whether its aggregate has been synced after it.
    processed: bool,
    /// Whether its aggregate is parked.
    parked: bool,
    /// SHA-256 of the body as it came.
    sha256: String,
    /// When the provider made it.
    created_at: Time,
    /// When it reached us first.
    received_at: Time,
}

/// An event with what it said.
#[derive(Debug, Serialize, ToSchema)]
struct EventDetails {
    #[serde(flatten)]
    event: EventView,
    /// What it said, without personal data and card data. Nothing is decided by it: the provider is asked instead.
    #[schema(value_type = Object)]
    payload: serde_json::Value,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.event_id,
            kind: row.event_type,
            provider: row.provider,
            account: row.account,
            livemode: row.livemode,
            object: row.object,
            aggregate: row.aggregate,
            api_version: row.api_version,
            source: row.source,
            deliveries: row.deliveries,
            processed: row.processed,
            parked: row.parked,
            sha256: row.sha256,
            created_at: Time(row.created_at),
            received_at: Time(row.received_at),
        }
    }
}

impl From<EventRow> for EventDetails {
    fn from(row: EventRow) -> Self {
        Self { payload: json_of(&row.payload), event: row.into() }
    }
}

/// What the provider told us, newest first
#[utoipa::path(
    get, path = "/v1/events", tag = "Operations", security(("api_key" = ["admin"])),
    params(Which),
    responses((status = 200, description = "The events", body = Page<EventView>))
)]
async fn list_events(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<Which>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let aggregate = which.aggregate.as_ref().map(|id| id.0.as_str());
    let rows = app.engine.events(cursor, aggregate, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, EventView::from)).into_response())
}

/// One event with what it said
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "Operations", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The provider's id.", example = "evt_1SaBcDeF")),
    responses((status = 200, description = "The event", body = EventDetails),
              (status = 404, description = "No such event", body = ProblemDocument))
)]
async fn get_event(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(ObjectId(id)): InPath<ObjectId>,
) -> Result<Response, Fail> {
    Ok(Json(EventDetails::from(app.engine.event(&id).await?)).into_response())
}

/// Look again at what an event was about
///
/// Asks the provider for the truth of today, however old the event is; frees what is parked. Safe to repeat.
#[utoipa::path(
    post, path = "/v1/events/{id}/replay", tag = "Operations", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The provider's id.", example = "evt_1SaBcDeF"), IdempotencyHeader),
    responses((status = 200, description = "The event; `processed` says whether the look is done", body = EventDetails),
              (status = 404, description = "No such event", body = ProblemDocument))
)]
async fn replay_event(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            Reply::ok(&EventDetails::from(context.engine.replay(&id, REPLAY_WAIT_MS).await?))
        })
        .await
}
