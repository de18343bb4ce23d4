//! Shutting customers out, and letting them in again.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_domain::fraud::Level;
use quittance_engine::Problem;
use quittance_store::fraud::SuspensionRow;
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
        .routes(routes!(list_suspensions))
        .routes(routes!(suspend_customer))
        .routes(routes!(unsuspend_customer))
}

/// Which suspensions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichSuspensions {
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    #[param(value_type = Option<String>)]
    cursor: Option<ObjectId>,
}

/// How far somebody is shut out.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LevelWord {
    /// No new checkouts.
    Checkouts,
    /// Nothing is bought, charged or used.
    All,
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Checkouts => Self::Checkouts,
            LevelWord::All => Self::All,
        }
    }
}

impl From<Level> for LevelWord {
    fn from(level: Level) -> Self {
        match level {
            Level::Checkouts => Self::Checkouts,
            Level::All => Self::All,
        }
    }
}

/// A customer who is shut out.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuspensionView {
    /// Who.
    #[schema(example = "user_42")]
    customer: String,
    /// How far.
    level: LevelWord,
    /// Why.
    #[schema(example = "card testing")]
    reason: String,
    /// Which key did it, or `rule`.
    set_by: String,
    /// Since when.
    since: Time,
}

impl From<SuspensionRow> for SuspensionView {
    fn from(row: SuspensionRow) -> Self {
        Self {
            customer: row.customer.to_string(),
            level: row.level.into(),
            reason: row.reason,
            set_by: row.set_by,
            since: Time(row.since),
        }
    }
}

/// Customers who are shut out, by name
#[utoipa::path(
    get, path = "/v1/suspensions", tag = "Money", security(("api_key" = ["admin"])),
    params(WhichSuspensions),
    responses((status = 200, description = "The suspensions", body = Page<SuspensionView>))
)]
async fn list_suspensions(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichSuspensions>,
) -> Result<Response, Fail> {
    let (_, limit) = page(which.limit, None)?;
    let after = which.cursor.map(|id| id.0).unwrap_or_default();
    let mut rows = app.engine.suspensions(&after, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(0);
    let more = rows.len() > most;
    rows.truncate(most);
    let next_cursor = rows.last().map(|row| row.customer.to_string()).filter(|_| more);
    Ok(Json(Page { data: rows.into_iter().map(SuspensionView::from).collect(), next_cursor }).into_response())
}

/// Whom to shut out, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SuspendInput {
    /// Why, in 1 to 500 characters.
    #[schema(example = "card testing", min_length = 1, max_length = 500)]
    reason: String,
    /// How far; default: all.
    level: Option<LevelWord>,
}

fn customer(id: &str) -> Result<CustomerId, Problem> {
    CustomerId::parse(id).map_err(|_| Problem::not_found("customer"))
}

/// Shut a customer out
///
/// Open checkouts are closed at once. With `all` nothing is charged any more: subscriptions are paused or cancelled, open
/// invoices are tried no more, what is still paid goes back, and access ends or stays (`[fraud]`). It is a line of the timeline.
#[utoipa::path(
    post, path = "/v1/customers/{id}/suspend", tag = "Money", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer", example = "user_42"), IdempotencyHeader),
    request_body = SuspendInput,
    responses(
        (status = 200, description = "The suspension", body = SuspensionView),
        (status = 404, description = "There is no such customer", body = ProblemDocument),
    )
)]
async fn suspend_customer(
    InPath(id): InPath<ObjectId>,
    mutation: Mutation<Admin, SuspendInput>,
) -> Result<Response, Fail> {
    mutation
        .run(|context, input| async move {
            let level = input.level.map_or(Level::All, Into::into);
            let row =
                context.engine.suspend(&customer(&id.0)?, level, &input.reason, &context.caller).await?;
            Reply::ok(&SuspensionView::from(row))
        })
        .await
}

/// Let a customer in again
///
/// What the suspension paused goes on. What ended or went back stays so.
#[utoipa::path(
    post, path = "/v1/customers/{id}/unsuspend", tag = "Money", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer", example = "user_42"), IdempotencyHeader),
    request_body = Nothing,
    responses(
        (status = 204, description = "It is let in again"),
        (status = 404, description = "There is no such customer, or nothing stands", body = ProblemDocument),
    )
)]
async fn unsuspend_customer(
    InPath(id): InPath<ObjectId>,
    mutation: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    mutation
        .run(|context, Nothing {}| async move {
            context.engine.unsuspend(&customer(&id.0)?, &context.caller).await?;
            Ok(Reply::nothing())
        })
        .await
}
