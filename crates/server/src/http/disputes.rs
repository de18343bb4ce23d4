//! Disputes: which there are, until when, what there is to show, and the answer.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::notices::RuleTable;
use quittance_engine::disputes::Evidence;
use quittance_store::disputes::DisputeRow;
use quittance_store::history::HistoryRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Amount, IdempotencyHeader, Page, Time, json_of};
use super::exports::Export;
use super::extract::{InPath, InQuery, Nothing, ObjectId, page};
use super::idempotency::Mutation;
use super::notices::NoticeView;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_disputes))
        .routes(routes!(get_dispute))
        .routes(routes!(get_dispute_evidence))
        .routes(routes!(contest_dispute))
        .routes(routes!(accept_dispute))
}

/// Which disputes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichDisputes {
    /// Those that are over too; default false.
    all: Option<bool>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// A dispute of a payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct DisputeView {
    /// The provider's id.
    #[schema(example = "dp_1SaBcDeF")]
    id: String,
    /// The payment.
    #[schema(example = "pi_1SaBcDeF")]
    payment: String,
    /// Whose payment it is; null while nobody is linked.
    #[schema(example = "user_42")]
    customer: Option<String>,
    /// What is disputed.
    amount: Amount,
    /// Why, in the provider's word.
    #[schema(example = "fraudulent")]
    reason: String,
    /// `inquiry` (no money was taken), `chargeback` or `appeal`.
    #[schema(example = "chargeback")]
    stage: &'static str,
    /// Where it stands, in the provider's word.
    #[schema(example = "needs_response")]
    status: String,
    /// Until when an answer is taken.
    due_by: Option<Time>,
    /// How often evidence was submitted.
    submissions: i64,
    /// When it was opened.
    created_at: Time,
}

impl From<DisputeRow> for DisputeView {
    fn from(row: DisputeRow) -> Self {
        let facts = row.facts;
        Self {
            payment: row.payment,
            customer: row.customer,
            amount: facts.amount.into(),
            stage: facts.status.stage().as_str(),
            status: facts.status.as_str().to_owned(),
            reason: facts.reason,
            due_by: facts.due_by.map(Time),
            submissions: facts.submissions,
            created_at: Time(facts.created_at),
            id: facts.id,
        }
    }
}

/// Disputes, newest first
///
/// The alert `dispute_needs_response` stands while one waits for an answer, and `dispute_deadline` before its time is up.
#[utoipa::path(
    get, path = "/v1/disputes", tag = "Money", security(("api_key" = ["admin"])),
    params(WhichDisputes),
    responses((status = 200, description = "The disputes", body = Page<DisputeView>))
)]
async fn list_disputes(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichDisputes>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let rows = app.engine.disputes(!which.all.unwrap_or(false), cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, DisputeView::from)).into_response())
}

/// One dispute
#[utoipa::path(
    get, path = "/v1/disputes/{id}", tag = "Money", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The provider's id", example = "dp_1SaBcDeF")),
    responses(
        (status = 200, description = "The dispute", body = DisputeView),
        (status = 404, description = "There is no such dispute", body = ProblemDocument),
    )
)]
async fn get_dispute(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<ObjectId>,
) -> Result<Response, Fail> {
    Ok(Json(DisputeView::from(app.engine.dispute(&id.0).await?)).into_response())
}

/// A line of the customer's account.
#[derive(Debug, Serialize, ToSchema)]
struct EvidenceLine {
    /// When.
    at: Time,
    /// What happened.
    #[schema(example = "access.changed")]
    kind: String,
    /// To which object.
    object: String,
    /// What changed.
    data: serde_json::Value,
    /// What caused it.
    cause: serde_json::Value,
}

impl From<HistoryRow> for EvidenceLine {
    fn from(row: HistoryRow) -> Self {
        let (data, cause) = (json_of(&row.data), json_of(&row.cause));
        Self { at: Time(row.at), kind: row.kind, object: row.object, data, cause }
    }
}

/// What there is to show the bank.
#[derive(Debug, Serialize, ToSchema)]
struct EvidenceView {
    /// The dispute.
    dispute: DisputeView,
    /// What it is about, in words; it is sent unless a note takes its place.
    summary: String,
    /// What happened to the customer, oldest first.
    timeline: Vec<EvidenceLine>,
    /// What of it is access given and taken.
    access: Vec<EvidenceLine>,
    /// What the customer was told, with the proof of each delivery; receipts too.
    notices: Vec<NoticeView>,
}

impl EvidenceView {
    fn of(evidence: Evidence, table: &RuleTable) -> Self {
        Self {
            dispute: evidence.dispute.into(),
            summary: evidence.summary,
            timeline: evidence.timeline.into_iter().map(EvidenceLine::from).collect(),
            access: evidence.access.into_iter().map(EvidenceLine::from).collect(),
            notices: evidence.notices.into_iter().map(|proof| NoticeView::of(proof, table)).collect(),
        }
    }
}

/// What there is to show about a dispute
///
/// From the timeline and from the proof of what the customer was told. `quittance dispute evidence` writes it as files.
#[utoipa::path(
    get, path = "/v1/disputes/{id}/evidence", tag = "Money", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The provider's id", example = "dp_1SaBcDeF")),
    responses(
        (status = 200, description = "The evidence", body = EvidenceView),
        (status = 404, description = "There is no such dispute", body = ProblemDocument),
    )
)]
async fn get_dispute_evidence(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<ObjectId>,
    export: Export,
) -> Result<Response, Fail> {
    let evidence = export.made(app.engine.dispute_evidence(&id.0)).await?;
    Ok(Json(EvidenceView::of(evidence, &app.engine.settings().notice_rules)).into_response())
}

/// What to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContestInput {
    /// Your own words, up to 10,000 characters, in place of the summary.
    #[schema(max_length = 10000)]
    note: Option<String>,
}

/// Answer a dispute
///
/// Submits the evidence that there is. The bank takes it once.
#[utoipa::path(
    post, path = "/v1/disputes/{id}/contest", tag = "Money", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The provider's id", example = "dp_1SaBcDeF"), IdempotencyHeader),
    request_body = ContestInput,
    responses(
        (status = 200, description = "The dispute, answered", body = DisputeView),
        (status = 404, description = "There is no such dispute", body = ProblemDocument),
        (status = 409, description = "`wrong_state`: there is nothing to answer", body = ProblemDocument),
    )
)]
async fn contest_dispute(
    InPath(id): InPath<ObjectId>,
    mutation: Mutation<Admin, ContestInput>,
) -> Result<Response, Fail> {
    mutation
        .run(|context, input| async move {
            let row = context.engine.contest_dispute(&id.0, input.note, &context.caller).await?;
            Reply::ok(&DisputeView::from(row))
        })
        .await
}

/// Give a dispute up
///
/// The cardholder keeps the money. It cannot be taken back.
#[utoipa::path(
    post, path = "/v1/disputes/{id}/accept", tag = "Money", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The provider's id", example = "dp_1SaBcDeF"), IdempotencyHeader),
    request_body = Nothing,
    responses(
        (status = 200, description = "The dispute, given up", body = DisputeView),
        (status = 404, description = "There is no such dispute", body = ProblemDocument),
        (status = 409, description = "`wrong_state`: it is over", body = ProblemDocument),
    )
)]
async fn accept_dispute(
    InPath(id): InPath<ObjectId>,
    mutation: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    mutation
        .run(|context, Nothing {}| async move {
            let row = context.engine.accept_dispute_of(&id.0, &context.caller).await?;
            Reply::ok(&DisputeView::from(row))
        })
        .await
}
