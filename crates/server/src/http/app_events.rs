//! What the app was told: the log behind the webhooks.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_store::app_events::AppEventRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Page, Time, json_of};
use super::extract::{InPath, InQuery, ObjectId, page};
use super::problem::{Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_app_events)).routes(routes!(get_app_event))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichEvents {
    /// Only those about this customer.
    #[param(example = "user_42")]
    customer: Option<String>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// A change that the app was told of, exactly as endpoints get it.
#[derive(Debug, Serialize, ToSchema)]
struct AppEventView {
    /// Its id, which is the `webhook-id` of every delivery.
    #[schema(example = "aev_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    id: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(example = "customer.access_changed")]
    kind: &'static str,
    /// When it became so.
    timestamp: Time,
    /// What changed; its fields depend on the type.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<AppEventRow> for AppEventView {
    fn from(row: AppEventRow) -> Self {
        let mut body = json_of(&row.body);
        let data = body.get_mut("data").map(Value::take).unwrap_or_default();
        Self { id: row.id.to_string(), kind: row.kind.as_str(), timestamp: Time(row.at), data }
    }
}

/// What your app was told, newest first
///
/// With or without endpoints: each change is written down when it happens and kept for 90 days, unless configured
/// otherwise.
#[utoipa::path(
    get, path = "/v1/app-events", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(WhichEvents),
    responses((status = 200, description = "The events", body = Page<AppEventView>))
)]
async fn list_app_events(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichEvents>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let rows = app.engine.app_events(which.customer.as_deref(), cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, AppEventView::from)).into_response())
}

/// One event
#[utoipa::path(
    get, path = "/v1/app-events/{id}", tag = "App webhooks", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The event.", example = "aev_01hz3v9q8r7s6t5w4x3y2z1a0b")),
    responses((status = 200, description = "The event", body = AppEventView),
              (status = 404, description = "No such event", body = ProblemDocument))
)]
async fn get_app_event(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(ObjectId(id)): InPath<ObjectId>,
) -> Result<Response, Fail> {
    Ok(Json(AppEventView::from(app.engine.app_event(&id).await?)).into_response())
}
