//! What operators did.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_engine::audit::ActState;
use quittance_store::audit::ActRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Page, Time};
use super::extract::{InQuery, page};
use super::problem::Fail;
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_audit))
}

/// Which acts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichActs {
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// How an act ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActOutcome {
    /// It is under way, or its process died: look at what it is about.
    Begun,
    /// It was done.
    Done,
    /// It was refused or failed.
    Refused,
}

/// Something that an operator did.
#[derive(Debug, Serialize, ToSchema)]
struct ActView {
    /// Its number.
    id: i64,
    /// When it began.
    at: Time,
    /// The API key's id, or the user of the command line.
    #[schema(example = "key_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    actor: String,
    /// `api` or `console`.
    #[schema(example = "api")]
    way: &'static str,
    /// What was done.
    #[schema(example = "POST /v1/parked/retry")]
    action: String,
    /// What it was done to.
    #[schema(example = "/v1/parked/retry")]
    target: String,
    /// What was sent, without secrets and personal data.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// How it ended.
    outcome: ActOutcome,
    /// The code of the problem that it was refused with.
    problem: Option<String>,
    /// When it ended.
    ended_at: Option<Time>,
}

impl From<ActRow> for ActView {
    fn from(row: ActRow) -> Self {
        let (outcome, problem, ended_at) = match row.state {
            ActState::Begun => (ActOutcome::Begun, None, None),
            ActState::Done { at } => (ActOutcome::Done, None, Some(Time(at))),
            ActState::Refused { at, problem } => (ActOutcome::Refused, Some(problem), Some(Time(at))),
        };
        Self {
            id: row.seq,
            at: Time(row.at),
            actor: row.act.actor,
            way: row.act.way.as_str(),
            action: row.act.action,
            target: row.act.target,
            input: row.act.input.and_then(|text| serde_json::from_str(&text).ok()),
            outcome,
            problem,
            ended_at,
        }
    }
}

/// What operators did, newest first
///
/// Every call that needs an admin key and changes something, and every command that changes something. The log is append-only.
#[utoipa::path(
    get, path = "/v1/audit", tag = "Operations", security(("api_key" = ["admin"])),
    params(WhichActs),
    responses((status = 200, description = "The acts", body = Page<ActView>))
)]
async fn list_audit(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichActs>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let rows = app.engine.audit(cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, ActView::from)).into_response())
}
