//! Subscriptions: look, preview a change, change, undo, cancel, pause, resume.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::Timestamp;
use quittance_domain::change::When;
use quittance_engine::commands::request::{CancelAt, Feedback, Proration};
use quittance_engine::quotes::Preview;
use quittance_engine::subscriptions::{Change, Ending};
use quittance_engine::{Engine, Problem};
use quittance_store::mirror::SubscriptionRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read, Write};
use super::dto::{Amount, IdempotencyHeader, Time};
use super::extract::{InBody, InPath, Nothing, ObjectId};
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
        .routes(routes!(undo_change))
        .routes(routes!(cancel_subscription))
        .routes(routes!(pause_subscription))
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
    /// When it is made. Default: what gives more at once, what gives less with the period that is paid for
    /// (`[changes]` in quittance.toml).
    when: Option<WhenInput>,
    /// How the difference of a change that is made now is charged. Default: `now`.
    proration: Option<ProrationInput>,
    /// A preview's moment, so that the change costs what the preview said.
    proration_date: Option<Time>,
}

/// A change, or the quote of one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeOrQuoteInput {
    /// A preview's quote: exactly that change is made, once, or refused with `quote_stale`. Without any other field.
    #[schema(example = "qt_01arz3ndektsv4rrffq69g5fav")]
    quote: Option<String>,
    /// A plan of the same group.
    #[schema(example = "studio")]
    plan: Option<String>,
    /// `day`, `week`, `month` or `year`.
    #[schema(example = "year", pattern = "^(day|week|month|year)$")]
    interval: Option<String>,
    /// Units.
    #[schema(example = 1, minimum = 1)]
    quantity: Option<i64>,
    /// As for the preview.
    when: Option<WhenInput>,
    /// As for the preview.
    proration: Option<ProrationInput>,
    /// As for the preview.
    proration_date: Option<Time>,
}

impl ChangeOrQuoteInput {
    fn split(self) -> Result<(Option<String>, Change), Problem> {
        let Self { quote, plan, interval, quantity, when, proration, proration_date } = self;
        let change: Change = ChangeInput { plan, interval, quantity, when, proration, proration_date }.into();
        if quote.is_some() && change != Change::default() {
            return Err(Problem::invalid("With `quote` leave everything else out: the quote says it all."));
        }
        Ok((quote, change))
    }
}

/// When a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WhenInput {
    /// At once.
    Now,
    /// When the period that runs is over.
    PeriodEnd,
}

impl From<WhenInput> for When {
    fn from(input: WhenInput) -> Self {
        match input {
            WhenInput::Now => Self::Now,
            WhenInput::PeriodEnd => Self::PeriodEnd,
        }
    }
}

impl From<When> for WhenInput {
    fn from(when: When) -> Self {
        match when {
            When::Now => Self::Now,
            When::PeriodEnd => Self::PeriodEnd,
        }
    }
}

impl From<ChangeInput> for Change {
    fn from(input: ChangeInput) -> Self {
        Self {
            when: input.when.map(When::from),
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
    /// Why, from the provider's list.
    reason: Option<CancelReason>,
    /// Why, in the customer's words, at most 1,000 characters. It is passed to the provider and kept with the command.
    #[schema(example = "We only needed it for one project.", max_length = 1000)]
    comment: Option<String>,
}

/// Why somebody cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CancelReason {
    /// The service to customers was bad.
    CustomerService,
    /// The quality was bad.
    LowQuality,
    /// Something is missing.
    MissingFeatures,
    /// Something else.
    Other,
    /// They use something else now.
    SwitchedService,
    /// It is too complicated.
    TooComplex,
    /// It is too expensive.
    TooExpensive,
    /// They do not use it.
    Unused,
}

impl From<CancelReason> for Feedback {
    fn from(reason: CancelReason) -> Self {
        match reason {
            CancelReason::CustomerService => Self::CustomerService,
            CancelReason::LowQuality => Self::LowQuality,
            CancelReason::MissingFeatures => Self::MissingFeatures,
            CancelReason::Other => Self::Other,
            CancelReason::SwitchedService => Self::SwitchedService,
            CancelReason::TooComplex => Self::TooComplex,
            CancelReason::TooExpensive => Self::TooExpensive,
            CancelReason::Unused => Self::Unused,
        }
    }
}

/// For how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseInput {
    /// When it ends by itself. Without it somebody must resume.
    resumes_at: Option<Time>,
}

/// What a change would cost, by the provider's own computation.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewView {
    /// Pass it to the change, which is then made exactly like this, or refused when it cannot be.
    #[schema(example = "qt_01arz3ndektsv4rrffq69g5fav")]
    quote: String,
    /// Until when the quote holds.
    expires_at: Time,
    /// When the change would be made.
    when: WhenInput,
    /// At which moment, when that is not at once.
    at: Option<Time>,
    /// What each interval costs from then on, before discounts and tax.
    afterwards: Amount,
    /// Due at once, or with the next invoice when the proration says so. Negative amounts are credit.
    due: Amount,
    /// The moment from which the difference counts.
    proration_date: Time,
    /// The lines that add up to it.
    lines: Vec<PreviewLine>,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewLine {
    /// The provider's words; `Discount`, `Tax`, `Customer balance` and `Further lines` for what it says of the whole.
    description: String,
    #[serde(flatten)]
    amount: Amount,
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        let line = |(description, money)| PreviewLine { description, amount: Amount::from(money) };
        Self {
            quote: preview.quote.to_string(),
            expires_at: Time(preview.expires_at),
            when: preview.when.into(),
            at: preview.at.map(Time),
            afterwards: preview.afterwards.into(),
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
    Ok(Json(SubscriptionView::of(&row, app.now()).with_page(&app, &row)).into_response())
}

/// What would a change cost?
///
/// Changes nothing. The answer is kept as a quote, whose moment and amount are frozen.
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
/// What gives more is made and charged at once; what gives less waits until the period that is paid for is over. A change
/// whose payment is declined changes nothing and answers 402. One whose payment the customer must confirm is shown as
/// `pending_change` with `pay_url`, and is made once they have. A change replaces whatever was planned before.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/change", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = ChangeOrQuoteInput,
    responses((status = 200, description = "The subscription after the change", body = SubscriptionView),
              (status = 402, description = "The payment was declined; nothing was changed", body = ProblemDocument),
              (status = 404, description = "No such subscription or quote", body = ProblemDocument),
              (status = 409, description = "The quote does not hold any more, or the state does not allow it; nothing was changed", body = ProblemDocument))
)]
async fn change_subscription(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, ChangeOrQuoteInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let engine: &Engine = &context.engine;
            let row = match input.split()? {
                (Some(quote), _) => engine.change_as_quoted(&id, &quote).await?,
                (None, change) => engine.change_subscription(&id, &change, context.seed.as_deref()).await?,
            };
            let mut shown = SubscriptionView::of(&row, engine.now());
            // Made or waiting, the change stands; a link that cannot be had now is on the billing page too.
            shown.pay_url = engine.pay_page(&row).await.unwrap_or_else(|problem| {
                tracing::warn!(%problem, "no link to confirm a payment");
                None
            });
            Reply::ok(&shown)
        })
        .await
}

/// Take a planned change back
///
/// The subscription stays as it is.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/undo", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = Nothing,
    responses((status = 200, description = "The subscription", body = SubscriptionView),
              (status = 404, description = "No such subscription", body = ProblemDocument),
              (status = 409, description = "Nothing is planned", body = ProblemDocument))
)]
async fn undo_change(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            let engine: &Engine = &context.engine;
            view(&engine.undo_change(&id, context.seed.as_deref()).await?, engine.now())
        })
        .await
}

/// Pause a subscription
///
/// No money is taken until it is resumed. What is paid for is used up first; then access ends until it goes on.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/pause", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = PauseInput,
    responses((status = 200, description = "The subscription", body = SubscriptionView),
              (status = 404, description = "No such subscription", body = ProblemDocument),
              (status = 409, description = "It is over or was never paid", body = ProblemDocument))
)]
async fn pause_subscription(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, PauseInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let engine: &Engine = &context.engine;
            let resumes_at = input.resumes_at.map(|time| time.0);
            let row = engine.pause_subscription(&id, resumes_at, context.seed.as_deref()).await?;
            view(&row, engine.now())
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
            let ending = Ending { at, feedback: input.reason.map(Feedback::from), comment: input.comment };
            let engine: &Engine = &context.engine;
            view(&engine.cancel_subscription(&id, ending, context.seed.as_deref()).await?, engine.now())
        })
        .await
}

/// Take a cancellation or a pause back
///
/// As long as the subscription still runs. What is planned for its plan stays planned.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/resume", tag = "Subscriptions", security(("api_key" = ["write"])),
    params(("id" = String, Path, description = "The provider's id.", example = "sub_1SaBcDeF"), IdempotencyHeader),
    request_body = Nothing,
    responses((status = 200, description = "The subscription", body = SubscriptionView),
              (status = 404, description = "No such subscription", body = ProblemDocument))
)]
async fn resume_subscription(
    InPath(ObjectId(id)): InPath<ObjectId>,
    change: Mutation<Write, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            let engine: &Engine = &context.engine;
            view(&engine.resume_subscription(&id, context.seed.as_deref()).await?, engine.now())
        })
        .await
}
