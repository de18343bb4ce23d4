//! What sweeps found to differ, and what operators do about it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_domain::drift::DriftKind;
use quittance_engine::Problem;
use quittance_store::drifts::{DriftRow, Sum};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{IdempotencyHeader, Page, Time};
use super::extract::{InPath, InQuery, Nothing, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_drift))
        .routes(routes!(sum_drift))
        .routes(routes!(get_drift))
        .routes(routes!(claim_drift))
        .routes(routes!(ignore_drift))
}

/// Which findings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichDrift {
    /// Those that are over too; default false.
    all: Option<bool>,
    /// Of this kind, such as `status`.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>, example = "status")]
    kind: Option<DriftKind>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// A difference between mirror and provider.
#[derive(Debug, Serialize, ToSchema)]
struct DriftView {
    /// Its number.
    id: i64,
    /// What differs.
    #[serde(rename = "type")]
    #[schema(example = "status")]
    kind: &'static str,
    /// `open`, `mended` or `ignored`.
    #[schema(example = "mended")]
    state: String,
    /// The provider's object that it is about.
    #[schema(example = "sub_1SaBcDeF")]
    object: String,
    /// The customer, if one is known.
    customer: Option<String>,
    /// What our side said.
    #[schema(example = "active")]
    ours: Option<String>,
    /// What the provider said.
    #[schema(example = "canceled")]
    theirs: Option<String>,
    /// Why, where that is known: `missed_event`, `parked`, `failing`, `customer_deleted`, `policy_changed`, `not_ours` or
    /// `unexplained`.
    #[schema(example = "missed_event")]
    cause: String,
    /// What more is known of the cause: the event.
    cause_detail: Option<String>,
    /// What it did to access: `none`, `too_much` or `too_little`.
    #[schema(example = "too_much")]
    wrong_access: &'static str,
    /// Since when access was wrong.
    wrong_since: Option<Time>,
    /// For how long, in seconds, once it is mended.
    wrong_seconds: Option<i64>,
    /// When it was found.
    found_at: Time,
    /// When it was seen last.
    last_seen_at: Time,
    /// When it was over.
    ended_at: Option<Time>,
    /// What ended it: `synced`, `gone`, `linked`, `claimed`, or the name of who ignored it.
    ended_by: Option<String>,
}

impl From<DriftRow> for DriftView {
    fn from(row: DriftRow) -> Self {
        Self {
            id: row.seq,
            kind: row.kind.as_str(),
            state: row.state,
            object: row.object,
            customer: row.customer,
            ours: row.ours,
            theirs: row.theirs,
            cause: row.cause,
            cause_detail: row.cause_detail,
            wrong_access: row.wrong.as_str(),
            wrong_since: row.wrong_since.map(Time),
            wrong_seconds: row.wrong_ms.map(|ms| ms / 1_000),
            found_at: Time(row.found_at),
            last_seen_at: Time(row.last_seen_at),
            ended_at: row.ended_at.map(Time),
            ended_by: row.ended_by,
        }
    }
}

/// Differences that sweeps found, newest first
#[utoipa::path(
    get, path = "/v1/drift", tag = "Operations", security(("api_key" = ["admin"])),
    params(WhichDrift),
    responses((status = 200, description = "The findings", body = Page<DriftView>))
)]
async fn list_drift(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichDrift>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let rows = app.engine.drift(which.all.unwrap_or(false), which.kind, cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, DriftView::from)).into_response())
}

/// Findings of one kind and state.
#[derive(Debug, Serialize, ToSchema)]
struct DriftSum {
    /// What differed.
    #[serde(rename = "type")]
    #[schema(example = "status")]
    kind: &'static str,
    /// `open`, `mended` or `ignored`.
    state: String,
    /// How many.
    count: i64,
    /// For how long access was wrong, in seconds over all accounts.
    wrong_account_seconds: i64,
}

/// All findings, summed up.
#[derive(Debug, Serialize, ToSchema)]
struct DriftSums {
    /// One for each kind and state.
    data: Vec<DriftSum>,
}

/// How many differences were found, and for how long access was wrong
#[utoipa::path(
    get, path = "/v1/drift/summary", tag = "Operations", security(("api_key" = ["admin"])),
    responses((status = 200, description = "The sums", body = DriftSums))
)]
async fn sum_drift(State(app): State<AppState>, _: Auth<Admin>) -> Result<Response, Fail> {
    let view = |sum: Sum| DriftSum {
        kind: sum.kind.as_str(),
        state: sum.state,
        count: sum.count,
        wrong_account_seconds: sum.wrong_ms / 1_000,
    };
    let data = app.engine.drift_sums().await?.into_iter().map(view).collect();
    Ok(Json(DriftSums { data }).into_response())
}

/// Nothing has a number that is none.
fn number(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| Problem::not_found("finding"))
}

/// One difference
#[utoipa::path(
    get, path = "/v1/drift/{id}", tag = "Operations", security(("api_key" = ["admin"])),
    params(("id" = i64, Path, description = "Its number", example = 1)),
    responses((status = 200, description = "The finding", body = DriftView),
              (status = 404, description = "There is none", body = ProblemDocument))
)]
async fn get_drift(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<String>,
) -> Result<Response, Fail> {
    Ok(Json(DriftView::from(app.engine.drift_finding(number(&id)?).await?)).into_response())
}

/// Whom it belongs to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClaimInput {
    /// Your id of the customer.
    #[schema(value_type = String, example = "user_42")]
    customer: CustomerId,
}

/// Give a subscription or money of nobody to a customer
///
/// Links the provider's customer; the sync that follows gives access. The payment of a guest, who is no customer there, is noted as
/// theirs in the books and the timeline.
#[utoipa::path(
    post, path = "/v1/drift/{id}/claim", tag = "Operations", security(("api_key" = ["admin"])),
    params(IdempotencyHeader, ("id" = i64, Path, description = "Its number", example = 1)),
    request_body = ClaimInput,
    responses((status = 200, description = "It is claimed", body = DriftView),
              (status = 404, description = "There is none", body = ProblemDocument),
              (status = 409, description = "It is over, or cannot be claimed", body = ProblemDocument))
)]
async fn claim_drift(
    InPath(id): InPath<String>,
    change: Mutation<Admin, ClaimInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let claimed = context.engine.claim_drift(number(&id)?, &input.customer, &context.caller).await?;
            Reply::ok(&DriftView::from(claimed))
        })
        .await
}

/// Ignore a difference for good
#[utoipa::path(
    post, path = "/v1/drift/{id}/ignore", tag = "Operations", security(("api_key" = ["admin"])),
    params(IdempotencyHeader, ("id" = i64, Path, description = "Its number", example = 1)),
    responses((status = 200, description = "It is ignored", body = DriftView),
              (status = 404, description = "There is none", body = ProblemDocument),
              (status = 409, description = "It is over", body = ProblemDocument))
)]
async fn ignore_drift(
    InPath(id): InPath<String>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            let by = context.caller.key.to_string();
            Reply::ok(&DriftView::from(context.engine.ignore_drift(number(&id)?, &by).await?))
        })
        .await
}
