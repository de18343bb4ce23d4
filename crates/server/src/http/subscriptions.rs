//! Subscriptions: look, preview a change, change, cancel, resume.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::Timestamp;
use quittance_engine::Engine;
use quittance_engine::commands::request::{CancelAt, Proration};
use quittance_engine::subscriptions::{Change, Preview};
use quittance_store::mirror::SubscriptionRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read, Write};
use super::dto::{Amount, IdempotencyHeader, Time};
use super::extract::{InBody, InPath, ObjectId};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;
use super::subscription_view::SubscriptionView;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(get_subscription))
        .routes(routes!(preview_change))
        .routes(routes!(change_subscription))
        .routes(routes!(cancel_subscription))
        .routes(routes!(resume_subscription))
}

/// How the difference of a change is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ProrationInput {
    /// Invoiced at once. A payment that fails leaves everything as it was.
    Now,
    /// Added to the next invoice.
    NextInvoice,
    /// Not at all.
    None,
}

/// What the subscription should become; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeInput {
    /// A plan of the same group.
    #[schema(example = "studio")]
    plan: Option<String>,
    /// `day`, `week`, `month` or `year`.
    #[schema(example = "year", pattern = "^(day|week|month|year)$")]
    interval: Option<String>,
    /// Units.
    #[schema(example = 1, minimum = 1)]
    quantity: Option<i64>,
    /// Default: `now`.
    proration: Option<ProrationInput>,
    /// The preview's moment, so that the change costs what the preview said.
    proration_date: Option<Time>,
}

impl From<ChangeInput> for Change {
    fn from(input: ChangeInput) -> Self {
        Self {
            plan: input.plan,
            interval: input.interval,
            quantity: input.quantity,
            proration: input.proration.map(|proration| match proration {
                ProrationInput::Now => Proration::Now,
                ProrationInput::NextInvoice => Proration::NextInvoice,
                ProrationInput::None => Proration::None,
            }),
            proration_date: input.proration_date.map(|time| time.0),
        }
    }
}

/// When to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CancelWhen {
    /// With the period that is paid for.
    #[default]
    PeriodEnd,
    /// At once.
    Now,
}

/// How to cancel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelInput {
    /// Default: `period_end`.
    at: Option<CancelWhen>,
}

/// Nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResumeInput {}

/// What a change would cost, by the provider's own computation.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewView {
    /// Due at once, or with the next invoice when the proration says so. Negative amounts are credit.
    due: Amount,
    /// Pass it to the change, so that it costs the same.
    proration_date: Time,
    /// The lines that add up to it.
    lines: Vec<PreviewLine>,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewLine {
    /// The provider's words.
    description: String,
    #[serde(flatten)]
    amount: Amount,
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        let line = |(description, money)| PreviewLine { description, amount: Amount::from(money) };
        Self {
            due: preview.due.into(),
            proration_date: Time(preview.proration_date),
            lines: preview.lines.into_iter().map(line).collect(),
        }
    }
}

fn view(row: &SubscriptionRow, now: Timestamp) -> Result<Reply, quittance_engine::Problem> {
    Reply::ok(&SubscriptionView::of(row, now))
}

/// A subscription
#[utoipa::path(
    get, path = "/v1/subscriptions/{id}", tag = "Subscriptions", security(("api_key" = ["read"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF")),
    responses((status = 200, description = "The subscription", body = SubscriptionView),
              (status = 404, description = "No such subscription", body = ProblemDocument))
)]
async fn get_subscription(
    State(app): State<AppState>,
    _: Auth<Read>,
    InPath(ObjectId(id)): InPath<ObjectId>,
) -> Result<Response, Fail> {
    let row = app.engine.subscription(&id).await?;
    Ok(Json(SubscriptionView::of(&row, app.now())).into_response())
}

/// What would a change cost?
///
/// Changes nothing.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/preview", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF")),
    request_body = ChangeInput,
    responses((status = 200, description = "The cost", body = PreviewView),
              (status = 404, description = "No such subscription", body = ProblemDocument),
              (status = 409, description = "It is over", body = ProblemDocument),
              (status = 422, description = "Not in the catalog", body = ProblemDocument),
              (status = 504, description = "The provider has not answered", body = ProblemDocument))
)]
async fn preview_change(
    State(app): State<AppState>,
    _: Auth<Write>,
    InPath(ObjectId(id)): InPath<ObjectId>,
    InBody(input): InBody<ChangeInput>,
) -> Result<Response, Fail> {
    let preview = app.engine.preview_change(&id, &input.into()).await?;
    Ok(Json(PreviewView::from(preview)).into_response())
}

/// Change plan, interval or quantity
///
/// A change whose payment fails changes nothing and answers 402.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/change", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = ChangeInput,
    responses((status = 200, description = "The subscription after the change", body = SubscriptionView),
              (status = 402, description = "The payment was declined; nothing was changed", body = ProblemDocument),
              (status = 404, description = "No such subscription", body = ProblemDocument))
)]
async fn change_subscription(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, ChangeInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let engine: &Engine = &context.engine;
            let asked = context.seed.as_deref();
            view(&engine.change_subscription(&id, &input.into(), asked).await?, engine.now())
        })
        .await
}

/// Cancel a subscription
///
/// With its period (the default) or at once. One that is cancelled already is answered as it is.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/cancel", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = CancelInput,
    responses((status = 200, description = "The subscription", body = SubscriptionView),
              (status = 404, description = "No such subscription", body = ProblemDocument))
)]
async fn cancel_subscription(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, CancelInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let at = match input.at.unwrap_or_default() {
                CancelWhen::PeriodEnd => CancelAt::PeriodEnd,
                CancelWhen::Now => CancelAt::Now,
            };
            let engine: &Engine = &context.engine;
            view(&engine.cancel_subscription(&id, at, context.seed.as_deref()).await?, engine.now())
        })
        .await
}

/// Take a cancellation back
///
/// As long as the subscription still runs.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/resume", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = ResumeInput,
    responses((status = 200, description = "The subscription", body = SubscriptionView),
              (status = 404, description = "No such subscription", body = ProblemDocument))
)]
async fn resume_subscription(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, ResumeInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            let engine: &Engine = &context.engine;
            view(&engine.resume_subscription(&id, context.seed.as_deref()).await?, engine.now())
        })
        .await
}
