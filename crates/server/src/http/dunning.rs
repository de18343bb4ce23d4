//! Payments that failed: the cases, and what became of them by month and cause.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::dunning::{Outcome, Recovery};
use quittance_engine::Problem;
use quittance_engine::dunning::{Line, MonthOfCases, Tally, WhichCases};
use quittance_store::dunning::CaseRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Amount, Time};
use super::extract::{InQuery, ObjectId, page};
use super::problem::Fail;
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_dunning))
}

/// Which cases, and how many months.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CasesWanted {
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
    /// Only `open`, `recovered`, `forgiven`, `lost` or `cancelled` ones.
    #[param(example = "open")]
    outcome: Option<String>,
    /// Only those of this customer of yours.
    #[param(value_type = Option<String>, example = "user_42")]
    customer: Option<ObjectId>,
    /// Months of the summary, this one included, 1 to 60; default 6.
    #[param(minimum = 1, maximum = 60, example = 6)]
    months: Option<i32>,
}

/// An invoice of a subscription whose payment failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct CaseView {
    /// Running number.
    #[schema(example = 7)]
    number: i64,
    /// Whose it is; null while nobody is linked.
    #[schema(example = "user_42")]
    customer: Option<String>,
    /// The subscription.
    #[schema(example = "sub_1SaBcDeF")]
    subscription: String,
    /// The invoice.
    #[schema(example = "in_1SaBcDeF")]
    invoice: String,
    /// What is or was at risk.
    amount: Amount,
    /// Since when, by the provider's record.
    at_risk_since: Time,
    /// `insufficient_funds`, `expired_card`, `authentication`, `hard_decline`, `no_method` or `other`.
    #[schema(example = "insufficient_funds")]
    cause: &'static str,
    /// The bank's reason, in the provider's standard words.
    #[schema(example = "insufficient_funds")]
    decline_code: Option<String>,
    /// The provider's count of tries.
    #[schema(example = 2)]
    attempts: i64,
    /// Tries of our own schedule.
    #[schema(example = 0)]
    own_tries: i64,
    /// When our own schedule tries next.
    own_next_try_at: Option<Time>,
    /// `open`, `recovered`, `forgiven`, `lost` or `cancelled`.
    #[schema(example = "recovered")]
    outcome: &'static str,
    /// When that became so; null while it is open.
    ended_at: Option<Time>,
    /// `retry`, `card_change`, `customer` or `out_of_band`; null unless it is recovered.
    #[schema(example = "retry")]
    recovered_by: Option<&'static str>,
    /// Which retry brought the money.
    #[schema(example = 2)]
    retry_number: Option<i64>,
}

impl From<CaseRow> for CaseView {
    fn from(row: CaseRow) -> Self {
        let case = row.case;
        Self {
            number: row.seq,
            customer: row.customer,
            amount: case.amount.into(),
            at_risk_since: Time(case.at_risk_since),
            cause: case.cause.as_str(),
            decline_code: case.decline_code,
            attempts: case.attempts,
            own_tries: case.tries,
            own_next_try_at: case.next_try_at.map(Time),
            outcome: case.outcome.as_str(),
            ended_at: case.ended_at.map(Time),
            recovered_by: case.recovery.map(|recovery| recovery.as_str()),
            retry_number: match case.recovery {
                Some(Recovery::Retry { number }) => Some(number),
                Some(Recovery::CardChange | Recovery::Customer | Recovery::OutOfBand) | None => None,
            },
            subscription: case.subscription,
            invoice: case.invoice,
        }
    }
}

/// A count and an amount.
#[derive(Debug, Serialize, ToSchema)]
pub struct TallyView {
    /// How many.
    #[schema(example = 3)]
    count: i64,
    /// Their sum, in minor units.
    #[schema(example = 5940)]
    amount: i64,
}

impl From<Tally> for TallyView {
    fn from(tally: Tally) -> Self {
        Self { count: tally.count, amount: tally.amount }
    }
}

/// What came to be at risk in one month for one cause, and what has become of it until now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChurnView {
    /// The month in which payments failed, in UTC.
    #[schema(example = "2026-11")]
    month: String,
    /// ISO 4217, lower case.
    #[schema(example = "jpy")]
    currency: String,
    /// Why.
    #[schema(example = "insufficient_funds")]
    cause: &'static str,
    /// Everything: the sum of the others.
    at_risk: TallyView,
    /// Nobody knows yet.
    open: TallyView,
    /// Paid in the end.
    recovered: TallyView,
    /// Voided or written off, and the subscription went on.
    forgiven: TallyView,
    /// The subscription ended because of it.
    lost: TallyView,
    /// The customer cancelled meanwhile.
    cancelled: TallyView,
}

impl ChurnView {
    /// One line of a month.
    #[must_use]
    pub fn of(month: &str, line: &Line) -> Self {
        let tally = |outcome| line.of(outcome).into();
        Self {
            month: month.to_owned(),
            currency: line.currency.code().to_owned(),
            cause: line.cause.as_str(),
            at_risk: line.at_risk().into(),
            open: tally(Outcome::Open),
            recovered: tally(Outcome::Recovered),
            forgiven: tally(Outcome::Forgiven),
            lost: tally(Outcome::Lost),
            cancelled: tally(Outcome::Cancelled),
        }
    }

    /// All lines of all months.
    #[must_use]
    pub fn all(report: &[MonthOfCases]) -> Vec<Self> {
        let lines = |month: &MonthOfCases| {
            month.lines().iter().map(|line| Self::of(&month.month, line)).collect::<Vec<_>>()
        };
        report.iter().flat_map(lines).collect()
    }
}

/// Failing payments and what became of them.
#[derive(Debug, Serialize, ToSchema)]
struct Dunning {
    /// The cases, newest first.
    data: Vec<CaseView>,
    /// Pass it as `cursor` to get the next part; null when this is the last one.
    next_cursor: Option<String>,
    /// By month, currency and cause, the newest month first; only what there was.
    summary: Vec<ChurnView>,
}

/// Failing payments: what is at risk, recovered and lost
///
/// A case is one invoice of a subscription whose payment failed after the first. The summary counts it in the month in which
/// it failed, so that a month's numbers change until everything in it is decided.
#[utoipa::path(
    get, path = "/v1/dunning", tag = "Payments", security(("api_key" = ["admin"])),
    params(CasesWanted),
    responses((status = 200, description = "The cases", body = Dunning))
)]
async fn list_dunning(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(wanted): InQuery<CasesWanted>,
) -> Result<Response, Fail> {
    let (cursor, limit) = page(wanted.limit, wanted.cursor.as_deref())?;
    let outcome = match wanted.outcome.as_deref() {
        None => None,
        Some(word) => Some(Outcome::parse(word).ok_or_else(|| {
            let known: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
            Problem::invalid(format!("`outcome` must be one of {}.", known.join(", ")))
        })?),
    };
    let months = wanted.months.unwrap_or(6);
    if !(1..=quittance_engine::dunning::MOST_MONTHS).contains(&months) {
        return Err(Problem::invalid("`months` must be between 1 and 60.").into());
    }
    let which = WhichCases { cursor, outcome, customer: wanted.customer.map(|id| id.0) };
    let rows = app.engine.dunning_cases(which, limit + 1).await?;
    let page = super::dto::Page::of(rows, limit, |row| row.seq, CaseView::from);
    let summary = ChurnView::all(&app.engine.dunning_report(months).await?);
    Ok(Json(Dunning { data: page.data, next_cursor: page.next_cursor, summary }).into_response())
}
