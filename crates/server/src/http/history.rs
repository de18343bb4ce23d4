//! Why: the causal chain behind an answer, and a customer's timeline.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_engine::Problem;
use quittance_engine::explain::{Explanation, Link};
use quittance_store::history::HistoryRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read};
use super::dto::{Page, Paging, SourceView, Time, json_of};
use super::extract::{InPath, InQuery, page};
use super::problem::{Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(explain_entitlement)).routes(routes!(get_timeline))
}

/// What to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Question {
    /// A feature of the catalog.
    #[param(example = "article:full")]
    feature: String,
}

/// One line of a timeline.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    /// When it became so.
    at: Time,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "access.changed")]
    kind: String,
    /// The object it is about.
    #[schema(example = "sub_1SaBcDeF")]
    object: String,
    /// What changed.
    #[schema(value_type = Object)]
    data: serde_json::Value,
    /// What caused it: events, commands, or the API key that asked for it.
    #[schema(value_type = Object)]
    cause: serde_json::Value,
}

impl From<HistoryRow> for Line {
    fn from(row: HistoryRow) -> Self {
        Self {
            at: Time(row.at),
            kind: row.kind,
            object: row.object,
            data: json_of(&row.data),
            cause: json_of(&row.cause),
        }
    }
}

/// The answer of an explanation.
#[derive(Debug, Serialize, ToSchema)]
struct Why<'a> {
    /// The customer.
    customer: &'a str,
    /// The feature.
    feature: &'a str,
    /// Yes or no.
    allowed: bool,
    /// The access that decided.
    access: Option<&'static str>,
    /// The plan that gives it.
    plan: Option<&'a str>,
    /// When the yes ends unless renewed before.
    expires_at: Option<Time>,
    /// Whether we were told of the customer.
    known_customer: bool,
    /// Whether the catalog has the feature.
    known_feature: bool,
    /// Everything that the customer holds, and what each does to the answer.
    because: Vec<Reason<'a>>,
    /// What operators should look at.
    alerts: Vec<WhyAlert<'a>>,
}

/// One thing that the customer holds.
#[derive(Debug, Serialize, ToSchema)]
struct Reason<'a> {
    /// What it is.
    source: SourceView<'a>,
    /// Its plan.
    plan: Option<&'a str>,
    /// Whether it carries the feature at all.
    has_feature: bool,
    /// What it does to access now.
    access: &'static str,
    /// The rule that made it so, in words.
    rule: &'a str,
    /// What led there, newest first.
    history: Vec<Line>,
}

/// An open alert about the customer.
#[derive(Debug, Serialize, ToSchema)]
struct WhyAlert<'a> {
    /// Its kind.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The object it is about.
    object: &'a str,
    /// What was found.
    detail: &'a str,
    /// What to do.
    mend: &'a str,
}

/// Why may, or may not, this customer use this feature?
///
/// The chain from the provider's events over the rules to the answer, read from the database.
#[utoipa::path(
    get, path = "/v1/customers/{id}/explain", tag = "Customers", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), Question),
    responses((status = 200, description = "The chain", body = Why),
              (status = 404, description = "No customer can have this id", body = ProblemDocument))
)]
async fn explain_entitlement(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
    InQuery(Question { feature }): InQuery<Question>,
) -> Result<Response, Fail> {
    let customer = CustomerId::parse(&id).map_err(|_| Problem::not_found("customer"))?;
    let explanation = app.engine.explain(customer.as_str(), &feature).await?;
    Ok(Json(why(&id, &explanation, app.now())).into_response())
}

fn why<'a>(customer: &'a str, explanation: &'a Explanation, now: quittance_domain::Timestamp) -> Why<'a> {
    let answer = &explanation.answer;
    let reason = |link: &'a Link| Reason {
        source: SourceView::from(&link.source),
        plan: link.plan.as_deref(),
        has_feature: link.has_feature,
        access: link.standing.at(now).as_str(),
        rule: &link.because,
        history: link.history.iter().cloned().map(Line::from).collect(),
    };
    Why {
        customer,
        feature: &answer.feature,
        allowed: answer.allowed,
        access: answer.access.map(|access| access.as_str()),
        plan: answer.plan.as_deref(),
        expires_at: answer.expires_at.map(Time),
        known_customer: explanation.known_customer,
        known_feature: explanation.known_feature,
        because: explanation.links.iter().map(reason).collect(),
        alerts: explanation
            .alerts
            .iter()
            .map(|a| WhyAlert { kind: &a.kind, object: &a.object, detail: &a.detail, mend: &a.mend })
            .collect(),
    }
}

/// What happened to a customer and why, newest first
#[utoipa::path(
    get, path = "/v1/customers/{id}/timeline", tag = "Customers", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), Paging),
    responses((status = 200, description = "The timeline", body = Page<Line>),
              (status = 404, description = "No customer can have this id", body = ProblemDocument))
)]
async fn get_timeline(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Fail> {
    let customer = CustomerId::parse(&id).map_err(|_| Problem::not_found("customer"))?;
    let (cursor, limit) = page(paging.limit, paging.cursor.as_deref())?;
    let rows = app.engine.timeline(customer.as_str(), cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, Line::from)).into_response())
}
