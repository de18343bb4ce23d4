//! Beside an existing integration: the app reports what it answered, and is told how that compares.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_engine::shadow::{AppAnswer, Changed, Finding, RefundDue, ShadowReport};
use quittance_store::shadow::WithheldRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth, Write};
use super::dto::{IdempotencyHeader, Time};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(report_answers)).routes(routes!(shadow_report))
}

/// What the app answered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswersInput {
    /// At most 1,000.
    answers: Vec<AnswerInput>,
}

/// One answer of the app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerInput {
    /// Your id of the customer.
    #[schema(value_type = String, example = "user_42")]
    customer: CustomerId,
    /// The feature, as in the catalog.
    #[schema(example = "article:full")]
    feature: String,
    /// What your app answered itself.
    allowed: bool,
}

/// How the answers compare.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedView {
    /// Those that are the same as ours.
    #[schema(example = 41)]
    agreed: u64,
    /// Those that are not.
    #[schema(example = 1)]
    differed: u64,
}

/// Report what your app answered
///
/// Call it wherever your app decides about access, soon after it has decided. Both answers are kept; nothing else happens.
#[utoipa::path(
    post, path = "/v1/shadow/answers", tag = "Shadow mode", security(("api_key" = ["write"])),
    params(IdempotencyHeader),
    request_body = AnswersInput,
    responses((status = 200, description = "How they compare", body = ComparedView),
              (status = 422, description = "More than 1,000 answers", body = ProblemDocument))
)]
async fn report_answers(change: Mutation<Write, AnswersInput>) -> Result<Response, Fail> {
    change
        .run(|context, input| async move {
            let answers = input.answers.into_iter().map(|answer| AppAnswer {
                customer: answer.customer,
                feature: answer.feature,
                allowed: answer.allowed,
            });
            let compared = context.engine.report_answers(answers.collect()).await?;
            Reply::ok(&ComparedView { agreed: compared.agreed, differed: compared.differed })
        })
        .await
}

/// How the two integrations compare.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShadowView {
    /// Whether this installation only watches.
    shadow: bool,
    /// Whether a cut-over changes nothing for anybody who was reported, and nothing waits for an operator.
    clean: bool,
    /// What the app has reported.
    answers: AnswersView,
    /// Customers who would gain access with the cut-over.
    would_gain: Vec<ChangedView>,
    /// Customers who would lose it.
    would_lose: Vec<ChangedView>,
    /// Customers with several live subscriptions of one plan group.
    duplicates: Vec<FindingView>,
    /// Subscriptions and payments of none of your customers.
    orphans: Vec<FindingView>,
    /// What the duplicates have taken.
    refunds_due: Vec<RefundDueView>,
    /// What would have been asked of the provider, newest first.
    withheld: Vec<WithheldView>,
}

/// Reports, counted.
#[derive(Debug, Serialize, ToSchema)]
struct AnswersView {
    /// Pairs of customer and feature.
    pairs: i64,
    /// Reports.
    reports: i64,
    /// Reports that differed when they were made.
    differed: i64,
    /// Pairs whose last answer is ours now.
    agreed_now: u64,
    /// Pairs that would gain access.
    gaining: u64,
    /// Pairs that would lose it.
    losing: u64,
}

/// A pair whose answer would change.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedView {
    /// The customer.
    #[schema(example = "user_42")]
    customer: String,
    /// The feature.
    #[schema(example = "article:full")]
    feature: String,
    /// Since when the two answers differ.
    since: Time,
    /// The plan that gives it, or gave it.
    plan: Option<String>,
    /// The access that decides here; null where nothing ever had the feature.
    access: Option<&'static str>,
}

/// A finding that waits for an operator.
#[derive(Debug, Serialize, ToSchema)]
struct FindingView {
    /// Its number, for `quittance drift`.
    id: i64,
    /// `duplicate`, `unowned_subscription` or `unowned_payment`.
    #[serde(rename = "type")]
    #[schema(example = "duplicate")]
    kind: &'static str,
    /// The provider's object.
    #[schema(example = "sub_1SaBcDeF")]
    object: String,
    /// The customer, where there is one.
    customer: Option<String>,
}

/// Money that is owed back.
#[derive(Debug, Serialize, ToSchema)]
struct RefundDueView {
    /// The customer.
    customer: Option<String>,
    /// The subscription that is one too many.
    #[schema(example = "sub_1SaBcDeF")]
    subscription: String,
    /// Its payment.
    #[schema(example = "pi_1SaBcDeF")]
    payment: String,
    /// What is left of it, minor units.
    #[schema(example = 1980)]
    amount: i64,
    /// ISO 4217, lowercase.
    #[schema(example = "jpy")]
    currency: String,
}

/// A command that was not given.
#[derive(Debug, Serialize, ToSchema)]
struct WithheldView {
    /// What would have been asked.
    #[serde(rename = "type")]
    #[schema(example = "customer.update")]
    kind: String,
    /// Of which object.
    object: String,
    /// For which customer.
    customer: Option<String>,
    /// When first.
    first_at: Time,
    /// And last.
    last_at: Time,
}

impl From<Changed> for ChangedView {
    fn from(changed: Changed) -> Self {
        Self {
            customer: changed.customer,
            feature: changed.feature,
            since: Time(changed.since),
            plan: changed.ours.plan,
            access: changed.ours.access.map(quittance_domain::Access::as_str),
        }
    }
}

impl From<Finding> for FindingView {
    fn from(found: Finding) -> Self {
        Self { id: found.number, kind: found.kind.as_str(), object: found.object, customer: found.customer }
    }
}

impl From<RefundDue> for RefundDueView {
    fn from(due: RefundDue) -> Self {
        Self {
            customer: due.customer,
            subscription: due.subscription,
            payment: due.payment,
            amount: due.amount.minor,
            currency: due.amount.currency.code().to_owned(),
        }
    }
}

impl From<WithheldRow> for WithheldView {
    fn from(row: WithheldRow) -> Self {
        Self {
            kind: row.kind,
            object: row.object,
            customer: row.customer,
            first_at: Time(row.first_at),
            last_at: Time(row.last_at),
        }
    }
}

impl From<ShadowReport> for ShadowView {
    fn from(report: ShadowReport) -> Self {
        Self {
            shadow: report.shadow,
            clean: report.is_clean(),
            answers: AnswersView {
                pairs: report.sums.pairs,
                reports: report.sums.reports,
                differed: report.sums.differed,
                agreed_now: report.agreed,
                gaining: report.gaining,
                losing: report.losing,
            },
            would_gain: report.would_gain.into_iter().map(ChangedView::from).collect(),
            would_lose: report.would_lose.into_iter().map(ChangedView::from).collect(),
            duplicates: report.duplicates.into_iter().map(FindingView::from).collect(),
            orphans: report.orphans.into_iter().map(FindingView::from).collect(),
            refunds_due: report.refunds_due.into_iter().map(RefundDueView::from).collect(),
            withheld: report.withheld.into_iter().map(WithheldView::from).collect(),
        }
    }
}

/// How the two integrations compare
///
/// The app's last answers beside ours now, and what a sweep has found that waits for an operator. Lists have 1,000 lines at most.
#[utoipa::path(
    get, path = "/v1/shadow/report", tag = "Shadow mode", security(("api_key" = ["admin"])),
    responses((status = 200, description = "The comparison", body = ShadowView))
)]
async fn shadow_report(State(app): State<AppState>, _: Auth<Admin>) -> Result<Response, Fail> {
    Ok(Json(ShadowView::from(app.engine.shadow_report().await?)).into_response())
}
