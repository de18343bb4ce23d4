//! "May this customer use this feature?": the call that apps make most, and its companions.
//!
//! The single check carries no layers and answers from memory: it authorizes, looks and writes JSON itself.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use quittance_domain::entitlement::{self, Holding};
use quittance_domain::{CustomerId, Timestamp};
use quittance_engine::Problem;
use quittance_engine::api_keys::KeyScope;
use quittance_engine::entitlements::Held;
use quittance_engine::freshness::Freshness;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read, authorize};
use super::customers::customer_id;
use super::dto::{SourceView, Time};
use super::extract::{InBody, InPath, InQuery};
use super::problem::{self, Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;

/// Pairs that one call may ask about.
const MOST_CHECKS: usize = 1_000;

/// Whether a customer may use a feature, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entitlement<'a> {
    /// The feature.
    #[schema(example = "article:full")]
    pub feature: &'a str,
    /// Yes or no. Decide by this field alone.
    pub allowed: bool,
    /// `granted`, `grace`, `pending` or `revoked`: the access of what decided. Null when nothing that the customer
    /// ever had carries the feature.
    #[schema(example = "granted")]
    pub access: Option<&'static str>,
    /// The plan that gives it.
    #[schema(example = "pro")]
    pub plan: Option<&'a str>,
    /// When the yes ends unless it is renewed before; null has no end.
    pub expires_at: Option<Time>,
    /// How much of it; null is without limit.
    pub limit: Option<i64>,
    /// How much of it is used in this period; null where it is not counted.
    pub used: Option<i64>,
    /// How much is left; null is without limit.
    pub remaining: Option<i64>,
    /// Where it comes from.
    pub source: Option<SourceView<'a>>,
    /// Only after `after`: true while the answer may still lack what that names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// Only while pending: what to send as `after` next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mark_7_cus_SaBc")]
    pub after: Option<String>,
}

/// What the answer must include.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// Read your payment: answer only when what this names is included. A checkout (`chk_…`, `cs_…`), an event of the
    /// provider (`evt_…`), or the `after` of an earlier answer. Without it the answer says what we know now.
    #[param(example = "cs_test_a1B2c3")]
    after: Option<String>,
    /// How long to wait for it, in milliseconds; default: `api.redirect_wait_ms`. When it was too short the answer has
    /// `pending: true`.
    #[param(minimum = 0, maximum = 30000)]
    wait_ms: Option<i64>,
}

impl AfterQuery {
    /// Waits for what is named.
    async fn wait(&self, app: &AppState, customer: &str) -> Result<Option<Freshness>, Problem> {
        let Some(after) = &self.after else { return Ok(None) };
        let customer = customer_id(customer)?;
        Ok(Some(app.engine.catch_up(&customer, after, self.wait_ms).await?))
    }
}

impl<'a> Entitlement<'a> {
    /// Decides from what is held.
    #[must_use]
    pub fn decide(holdings: &'a [Holding], feature: &'a str, now: Timestamp) -> Self {
        let decision = entitlement::check(holdings, feature, now);
        Self {
            feature,
            allowed: decision.allowed,
            access: decision.access.map(|access| access.as_str()),
            plan: decision.holding.and_then(|h| h.plan.as_ref()).map(|plan| plan.as_str()),
            expires_at: decision.expires_at.map(Time),
            limit: decision.limit,
            used: None,
            remaining: decision.limit,
            source: decision.holding.map(|h| SourceView::from(&h.source)),
            pending: None,
            after: None,
        }
    }
}

/// The route that must be fast, without layers.
pub fn fast_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(check_entitlement))
}

/// The other routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_entitlements)).routes(routes!(check_entitlements))
}

/// May this customer use this feature?
///
/// An unknown customer or feature is a no, not an error. Answered from memory; right immediately after the change
/// that altered it. For somebody who has just paid, send the checkout's id as `after`: the answer then waits for the provider.
#[utoipa::path(
    get, path = "/v1/customers/{id}/entitlements/{feature}", tag = "Entitlements", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"),
           ("feature" = String, Path, description = "A feature of the catalog.", example = "article:full"), AfterQuery),
    responses((status = 200, description = "The answer", body = Entitlement),
              (status = 404, description = "`after` names nothing of this customer", body = ProblemDocument))
)]
async fn check_entitlement(State(app): State<AppState>, request: Request) -> Response {
    // The whole request, because the extractor of headers would copy them.
    match answer_one(&app, request.into_parts().0).await {
        Ok(response) => response,
        Err(problem) => {
            problem::answer(&app, &problem, &Method::GET, "/v1/customers/{id}/entitlements/{feature}")
        }
    }
}

async fn answer_one(app: &AppState, mut parts: Parts) -> Result<Response, Problem> {
    authorize(app, &parts.headers, KeyScope::Read).await?;
    let params = RawPathParams::from_request_parts(&mut parts, app)
        .await
        .map_err(|_| Problem::invalid("The path is not UTF-8."))?;
    let after = match parts.uri.query() {
        None | Some("") => AfterQuery::default(),
        Some(_) => InQuery::<AfterQuery>::from_request_parts(&mut parts, app).await.map_err(|fail| fail.0)?.0,
    };
    let mut values = params.iter().map(|(_, value)| value);
    let (customer, feature) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
    if let Some(fresh) = after.wait(app, customer).await? {
        let held = held_of(app, customer).await?;
        let answer = Entitlement {
            pending: Some(fresh.is_pending()),
            after: fresh.mark().map(str::to_owned),
            ..Entitlement::decide(held.as_ref().map_or(&[], |held| &held.holdings), feature, app.now())
        };
        return Ok(Json(answer).into_response());
    }
    let (now, ask) = (app.now(), |holdings: &[Holding], now| {
        serde_json::to_vec(&Entitlement::decide(holdings, feature, now))
    });
    let body = match app.engine.ask_memory(customer, |holdings| ask(holdings, now)) {
        Some(body) => body,
        None => ask(held_of(app, customer).await?.as_ref().map_or(&[], |held| &held.holdings), app.now()),
    };
    let body = body.map_err(|_| problem::internal())?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// What a customer holds; nothing for one whose id cannot be.
async fn held_of(app: &AppState, customer: &str) -> Result<Option<Held>, Problem> {
    if CustomerId::parse(customer).is_err() {
        return Ok(None);
    }
    app.engine.held(customer).await
}

/// Everything that a customer has ever been entitled to.
#[derive(Debug, Serialize, ToSchema)]
struct EntitlementList<'a> {
    /// The customer.
    #[schema(example = "user_42")]
    customer: &'a str,
    /// The best access over what was bought or granted; null with nothing but the free plan.
    #[schema(example = "granted")]
    access: Option<&'static str>,
    /// One entry for each feature, in the order of their keys.
    data: Vec<Entitlement<'a>>,
    /// Only after `after`: true while the answer may still lack what that names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<bool>,
    /// Only while pending: what to send as `after` next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// All features of a customer
///
/// Those that ended are listed too, with `allowed: false`. Empty for an unknown customer.
#[utoipa::path(
    get, path = "/v1/customers/{id}/entitlements", tag = "Entitlements", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), AfterQuery),
    responses((status = 200, description = "The entitlements", body = EntitlementList),
              (status = 404, description = "`after` names nothing of this customer", body = ProblemDocument))
)]
async fn list_entitlements(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(id): InPath<String>,
    InQuery(after): InQuery<AfterQuery>,
) -> Result<Response, Fail> {
    let fresh = after.wait(&app, &id).await?;
    let held = held_of(&app, &id).await?;
    let holdings = held.as_ref().map_or(&[][..], |held| &held.holdings);
    let now = app.now();
    let list = EntitlementList {
        customer: &id,
        access: entitlement::overall_access(holdings, now).map(|access| access.as_str()),
        data: every(holdings, now),
        pending: fresh.as_ref().map(Freshness::is_pending),
        after: fresh.as_ref().and_then(Freshness::mark).map(str::to_owned),
    };
    Ok(Json(list).into_response())
}

/// One answer for each feature that is held.
#[must_use]
pub fn every(holdings: &[Holding], now: Timestamp) -> Vec<Entitlement<'_>> {
    let features = entitlement::features_of(holdings);
    features.into_iter().map(|feature| Entitlement::decide(holdings, feature.as_str(), now)).collect()
}

/// Questions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Checks {
    /// Up to 1,000 pairs.
    checks: Vec<Pair>,
}

/// One question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pair {
    /// Your id of the customer.
    #[schema(example = "user_42")]
    customer: String,
    /// A feature of the catalog.
    #[schema(example = "article:full")]
    feature: String,
}

/// One answer.
#[derive(Debug, Serialize, ToSchema)]
struct Checked<'a> {
    /// The customer that was asked about.
    #[schema(example = "user_42")]
    customer: &'a str,
    #[serde(flatten)]
    entitlement: Entitlement<'a>,
}

/// Answers, in the order of the questions.
#[derive(Debug, Serialize, ToSchema)]
struct CheckResults<'a> {
    /// The answers.
    results: Vec<Checked<'a>>,
}

/// Many questions at once
///
/// The answers come in the order of the questions; each is evaluated at the same moment.
#[utoipa::path(
    post, path = "/v1/entitlements/check", tag = "Entitlements", security(("api_key" = ["read"])),
    request_body = Checks,
    responses((status = 200, description = "The answers", body = CheckResults),
              (status = 422, description = "More than 1,000 pairs", body = ProblemDocument))
)]
async fn check_entitlements(
    State(app): State<AppState>,
    _: Auth<Read>,
    InBody(Checks { checks }): InBody<Checks>,
) -> Result<Response, Fail> {
    if checks.len() > MOST_CHECKS {
        return Err(Problem::invalid(format!("`checks` may have at most {MOST_CHECKS} pairs.")).into());
    }
    let mut held: HashMap<&str, Option<Held>> = HashMap::new();
    for pair in &checks {
        if !held.contains_key(pair.customer.as_str()) {
            held.insert(&pair.customer, held_of(&app, &pair.customer).await?);
        }
    }
    let now = app.now();
    let result = |pair| {
        let Pair { customer, feature }: &Pair = pair;
        let held = held.get(customer.as_str()).and_then(Option::as_ref);
        let holdings = held.map_or(&[][..], |held| &held.holdings);
        Checked { customer, entitlement: Entitlement::decide(holdings, feature, now) }
    };
    let results = checks.iter().map(result).collect();
    Ok(Json(CheckResults { results }).into_response())
}
