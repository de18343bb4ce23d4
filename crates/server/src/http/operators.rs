//! What waits for an operator: parked work, alerts; and a sweep by hand.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_engine::progress::{LongRun, RunState};
use quittance_engine::sweep::Difference;
use quittance_engine::{Problem, ProblemCode};
use quittance_store::aggregates::AggregateRow;
use quittance_store::commands::CommandRow;
use quittance_store::outbox::AlertRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{IdempotencyHeader, Page, Time};
use super::extract::{InQuery, page};
use super::idempotency::Mutation;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_parked))
        .routes(routes!(retry_parked))
        .routes(routes!(list_alerts))
        .routes(routes!(run_sweep, show_runs))
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HowMany {
    /// Entries of each kind at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
}

/// What could not be done and waits.
#[derive(Debug, Serialize, ToSchema)]
struct ParkedView {
    /// Aggregates that could not be synced.
    aggregates: Vec<ParkedAggregate>,
    /// Commands that could not be carried out.
    commands: Vec<ParkedCommand>,
}

/// An aggregate that could not be synced.
#[derive(Debug, Serialize, ToSchema)]
struct ParkedAggregate {
    /// Its name: pass it to retry.
    #[schema(example = "stripe/test/self/customer/cus_QwErTy")]
    name: String,
    /// Attempts made.
    attempts: i64,
    /// What went wrong last.
    last_error: Option<String>,
    /// Since when.
    parked_at: Option<Time>,
}

/// A command that could not be carried out.
#[derive(Debug, Serialize, ToSchema)]
struct ParkedCommand {
    /// Its id: pass it to retry.
    #[schema(example = "cmd_01hz3v9q8r7s6t5w4x3y2z1a0b")]
    name: String,
    /// Its kind.
    #[schema(example = "subscription.cancel")]
    kind: String,
    /// What it changes.
    object: String,
    /// Whom it is for.
    customer: Option<String>,
    /// Attempts made.
    attempts: i64,
    /// What went wrong last.
    last_error: Option<String>,
    /// Since when.
    parked_at: Option<Time>,
}

impl From<AggregateRow> for ParkedAggregate {
    fn from(row: AggregateRow) -> Self {
        Self {
            name: row.key,
            attempts: row.attempts,
            last_error: row.last_error,
            parked_at: row.parked_at.map(Time),
        }
    }
}

impl From<CommandRow> for ParkedCommand {
    fn from(row: CommandRow) -> Self {
        Self {
            name: row.id.to_string(),
            kind: row.kind,
            object: row.object,
            customer: row.customer,
            attempts: row.attempts,
            last_error: row.last_error,
            parked_at: row.parked_at.map(Time),
        }
    }
}

/// What is parked
#[utoipa::path(
    get, path = "/v1/parked", tag = "Operations", security(("api_key" = ["admin"])),
    params(HowMany),
    responses((status = 200, description = "What is parked", body = ParkedView))
)]
async fn list_parked(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(HowMany { limit }): InQuery<HowMany>,
) -> Result<Response, Fail> {
    let (_, limit) = page(limit, None)?;
    let parked = app.engine.parked(limit).await?;
    let view = ParkedView {
        aggregates: parked.aggregates.into_iter().map(ParkedAggregate::from).collect(),
        commands: parked.commands.into_iter().map(ParkedCommand::from).collect(),
    };
    Ok(Json(view).into_response())
}

/// What to try again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryInput {
    /// The name of a parked aggregate or the id of a parked command.
    #[schema(example = "stripe/test/self/customer/cus_QwErTy")]
    name: String,
}

/// What is tried again.
#[derive(Debug, Serialize, ToSchema)]
struct Retried {
    /// Its name.
    name: String,
}

/// Try something parked again
#[utoipa::path(
    post, path = "/v1/parked/retry", tag = "Operations", security(("api_key" = ["admin"])),
    params(IdempotencyHeader),
    request_body = RetryInput,
    responses((status = 200, description = "It is tried again", body = Retried),
              (status = 404, description = "Nothing of that name is parked", body = ProblemDocument))
)]
async fn retry_parked(change: Mutation<Admin, RetryInput>) -> Result<Response, Fail> {
    change
        .run(|context, input| async move {
            context.engine.retry_parked(&input.name).await?;
            Reply::ok(&Retried { name: input.name })
        })
        .await
}

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichAlerts {
    /// Those that are over too; default false.
    all: Option<bool>,
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// Something that an operator should know.
#[derive(Debug, Serialize, ToSchema)]
struct AlertView {
    /// Its kind.
    #[serde(rename = "type")]
    #[schema(example = "unknown_price")]
    kind: String,
    /// The object it is about.
    #[schema(example = "sub_1SaBcDeF")]
    object: String,
    /// The customer, if one is known.
    customer: Option<String>,
    /// What was found.
    detail: String,
    /// What mends it.
    mend: String,
    /// When it was found first.
    created_at: Time,
    /// When it was seen last.
    last_seen_at: Time,
    /// When it was over.
    resolved_at: Option<Time>,
}

impl From<AlertRow> for AlertView {
    fn from(row: AlertRow) -> Self {
        Self {
            kind: row.kind,
            object: row.object,
            customer: row.customer,
            detail: row.detail,
            mend: row.mend,
            created_at: Time(row.created_at),
            last_seen_at: Time(row.last_seen_at),
            resolved_at: row.resolved_at.map(Time),
        }
    }
}

/// What operators should look at, newest first
#[utoipa::path(
    get, path = "/v1/alerts", tag = "Operations", security(("api_key" = ["admin"])),
    params(WhichAlerts),
    responses((status = 200, description = "The alerts", body = Page<AlertView>))
)]
async fn list_alerts(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(which): InQuery<WhichAlerts>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(which.limit, which.cursor.as_deref())?;
    let rows = app.engine.alerts(which.all.unwrap_or(false), cursor, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, AlertView::from)).into_response())
}

/// Long runs, and how far they are.
#[derive(Debug, Serialize, ToSchema)]
struct RunsView {
    /// The sweep under way or the last one; null before the first.
    sweep: Option<RunView>,
    /// The import under way or the last one; null before the first.
    import: Option<RunView>,
}

/// A long run.
#[derive(Debug, Serialize, ToSchema)]
struct RunView {
    /// Whether somebody runs it now.
    running: bool,
    /// What it does: `events`, `subscriptions`, `payments`, `invoices`, `customers` or `syncs`.
    #[schema(example = "subscriptions")]
    step: Option<String>,
    /// Objects done in this step.
    #[schema(example = 1200)]
    done: Option<u64>,
    /// Of about how many; null where the provider does not tell.
    #[schema(example = 5000)]
    of: Option<u64>,
    /// Objects a second.
    #[schema(example = 800)]
    per_second: Option<u64>,
    /// When the last whole run ended.
    finished_at: Option<Time>,
}

impl From<RunState> for RunView {
    fn from(state: RunState) -> Self {
        let progress = state.progress.as_ref();
        Self {
            running: state.running,
            done: progress.map(|progress| progress.done),
            of: progress.and_then(|progress| progress.of),
            per_second: progress.map(|progress| progress.per_second),
            step: state.progress.map(|progress| progress.step),
            finished_at: state.finished_at.map(Time::from),
        }
    }
}

/// How far long runs are
///
/// The sweep and the import, on whichever node they run.
#[utoipa::path(
    get, path = "/v1/sweeps", tag = "Operations", security(("api_key" = ["admin"])),
    responses((status = 200, description = "How far they are", body = RunsView))
)]
async fn show_runs(State(app): State<AppState>, _: Auth<Admin>) -> Result<Response, Fail> {
    Ok(Json(RunsView {
        sweep: app.engine.run_state(LongRun::Sweep).await?.map(RunView::from),
        import: app.engine.run_state(LongRun::Import).await?.map(RunView::from),
    })
    .into_response())
}

/// How to sweep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SweepInput {
    /// Only count, change nothing; default false.
    dry_run: Option<bool>,
}

/// A difference that a dry run found.
#[derive(Debug, Serialize, ToSchema)]
struct DifferenceView {
    /// What differs.
    #[serde(rename = "type")]
    #[schema(example = "status")]
    kind: &'static str,
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
    /// Why, where that is known, as `/v1/drift` says it.
    #[schema(example = "missed_event")]
    cause: &'static str,
    /// What it does to access: `none`, `too_much` or `too_little`.
    #[schema(example = "too_much")]
    wrong_access: &'static str,
    /// What a run that is not dry does: `sync`, `write_ours` or `take_theirs` for an e-mail address, `operator` when it waits
    /// for one.
    #[schema(example = "sync")]
    then: &'static str,
}

impl From<Difference> for DifferenceView {
    fn from(found: Difference) -> Self {
        let finding = found.finding;
        Self {
            kind: finding.kind.as_str(),
            object: finding.object,
            customer: finding.customer.map(|id| id.to_string()),
            ours: finding.ours,
            theirs: finding.theirs,
            cause: finding.cause.as_str(),
            wrong_access: finding.wrong.as_str(),
            then: found.then.as_str(),
        }
    }
}

/// What a sweep found.
#[derive(Debug, Serialize, ToSchema)]
struct SweepView {
    /// Whether it only counted.
    dry_run: bool,
    /// Subscriptions that were compared.
    subscriptions: u64,
    /// Customers that were compared.
    customers: u64,
    /// Subscriptions that differ because a look is about to answer their webhook: no drift.
    under_way: u64,
    /// Those that our mirror had otherwise.
    differing: u64,
    /// Those that it did not have.
    unknown: u64,
    /// Those that it had and the provider no longer lists.
    gone: u64,
    /// Events that the provider lists.
    events: u64,
    /// Those whose webhook never came.
    missed_events: u64,
    /// Differences of all kinds.
    findings: u64,
    /// Those that no sweep had found before.
    new_findings: u64,
    /// Those that wait for an operator.
    for_operator: u64,
    /// Those beyond what one run keeps: marked and counted, and not listed.
    overflowed: u64,
    /// Calls to the provider.
    calls: u64,
    /// What a dry run found: the first thousand. Empty for another run, whose findings `/v1/drift` has.
    differences: Vec<DifferenceView>,
}

/// Compare with the provider, now
///
/// Lists the provider's subscriptions and events, marks what differs, and answers what was found. The syncs follow.
#[utoipa::path(
    post, path = "/v1/sweeps", tag = "Operations", security(("api_key" = ["admin"])),
    params(IdempotencyHeader),
    request_body = SweepInput,
    responses((status = 200, description = "What was found", body = SweepView))
)]
async fn run_sweep(change: Mutation<Admin, SweepInput>) -> Result<Response, Fail> {
    change
        .run(|context, input| async move {
            let dry_run = input.dry_run.unwrap_or(false);
            let swept = context.engine.swept(true, dry_run).await?.ok_or_else(|| {
                Problem::new(
                    ProblemCode::WrongState,
                    "A sweep is running already, here or on another node.",
                    "Wait until it is done; it finds the same things.",
                )
                .retry_after(30)
            })?;
            let report = swept.report;
            Reply::ok(&SweepView {
                dry_run,
                subscriptions: report.subscriptions,
                customers: report.customers,
                under_way: report.under_way,
                differing: report.differing,
                unknown: report.unknown,
                gone: report.gone,
                events: report.events,
                missed_events: report.missed_events,
                findings: report.findings,
                new_findings: report.new_findings,
                for_operator: report.for_operator,
                overflowed: report.overflowed,
                calls: report.calls,
                differences: swept.differences.into_iter().map(DifferenceView::from).collect(),
            })
        })
        .await
}
