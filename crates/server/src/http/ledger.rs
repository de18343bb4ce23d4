//! The ledger: its accounts, its entries, and whether debits and credits agree.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::Timestamp;
use quittance_domain::ledger::{Account, Posting};
use quittance_engine::Problem;
use quittance_engine::revenue::RevenueMonth;
use quittance_store::ledger::{Balance, EntryRow, Which};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::dto::{Amount, Page, Time};
use super::exports::Export;
use super::extract::{InQuery, ObjectId, page};
use super::problem::Fail;
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_ledger_accounts))
        .routes(routes!(list_ledger_entries))
        .routes(routes!(get_trial_balance))
        .routes(routes!(get_revenue))
}

/// An account of the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct AccountView {
    /// Its name.
    #[schema(example = "provider_balance")]
    account: &'static str,
    /// `asset`, `liability`, `income`, `expense` or `equity`.
    #[schema(example = "asset")]
    class: &'static str,
    /// What it holds.
    #[schema(example = "Money at the provider, available and pending")]
    description: &'static str,
    /// Debits less credits, in each currency that it was used in.
    balances: Vec<Amount>,
}

/// The accounts.
#[derive(Debug, Serialize, ToSchema)]
struct Accounts {
    /// All accounts, also those that were never used.
    data: Vec<AccountView>,
}

/// The accounts and what is in them
///
/// A debit is positive: what customers owe, and what is at the provider. Revenue is a credit, and so negative.
#[utoipa::path(
    get, path = "/v1/ledger/accounts", tag = "Ledger", security(("api_key" = ["admin"])),
    responses((status = 200, description = "The accounts", body = Accounts))
)]
async fn list_ledger_accounts(State(app): State<AppState>, _: Auth<Admin>) -> Result<Response, Fail> {
    let rows = app.engine.trial_balance(Timestamp::from_ms(i64::MAX)).await?;
    let view = |account: &Account| AccountView {
        account: account.as_str(),
        class: account.class().as_str(),
        description: account.words(),
        balances: rows
            .iter()
            .filter(|row| row.account == *account)
            .map(|row| Amount { amount: row.balance(), currency: row.currency.code().to_owned() })
            .collect(),
    };
    Ok(Json(Accounts { data: Account::ALL.iter().map(view).collect() }).into_response())
}

/// How many months.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RevenueWanted {
    /// Months, this one included, 1 to 60; default 12.
    #[param(minimum = 1, maximum = 60, example = 12)]
    months: Option<i32>,
}

/// What one month came to in one currency; minor units.
#[derive(Debug, Serialize, ToSchema)]
struct RevenueView {
    /// The month, in UTC.
    #[schema(example = "2026-11")]
    month: String,
    /// ISO 4217, lower case.
    #[schema(example = "jpy")]
    currency: String,
    /// What was sold in it, without tax.
    #[schema(example = 19800)]
    sold: i64,
    /// What its days have earned, of whatever was sold for them.
    #[schema(example = 1650)]
    earned: i64,
    /// What was sold until its end and is still to be earned.
    #[schema(example = 18150)]
    deferred: i64,
}

/// Revenue by month.
#[derive(Debug, Serialize, ToSchema)]
struct Revenue {
    /// The newest month first; only what there was.
    data: Vec<RevenueView>,
}

/// Revenue over time
///
/// What was sold for a period is earned day by day. A report about the entries, which stay as they are.
#[utoipa::path(
    get, path = "/v1/ledger/revenue", tag = "Ledger", security(("api_key" = ["admin"])),
    params(RevenueWanted),
    responses((status = 200, description = "The months", body = Revenue))
)]
async fn get_revenue(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(wanted): InQuery<RevenueWanted>,
) -> Result<Response, Fail> {
    let months = wanted.months.unwrap_or(12);
    if !(1..=60).contains(&months) {
        return Err(Problem::invalid("`months` must be between 1 and 60.").into());
    }
    let view = |row: RevenueMonth| RevenueView {
        month: row.month,
        currency: row.currency.code().to_owned(),
        sold: row.sold,
        earned: row.earned,
        deferred: row.deferred,
    };
    let rows = app.engine.revenue(months).await?;
    Ok(Json(Revenue { data: rows.into_iter().map(view).collect() }).into_response())
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesWanted {
    /// Entries at most, 1 to 100; default 20.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the answer before.
    cursor: Option<String>,
    /// Only those with a posting in this account.
    #[param(example = "refunds")]
    account: Option<String>,
    /// Only those of this customer of yours.
    #[param(value_type = Option<String>, example = "user_42")]
    customer: Option<ObjectId>,
    /// Only what became so at this time or later.
    from: Option<Time>,
    /// Only what became so before this time.
    until: Option<Time>,
}

/// One line of an entry.
#[derive(Debug, Serialize, ToSchema)]
struct PostingView {
    /// The account.
    #[schema(example = "provider_balance")]
    account: &'static str,
    /// In minor units; a debit is positive, a credit negative.
    #[schema(example = 1909)]
    amount: i64,
    /// ISO 4217, lower case.
    #[schema(example = "jpy")]
    currency: String,
}

/// Postings that sum to zero in every currency, for one fact. It never changes; what was wrong is reversed.
#[derive(Debug, Serialize, ToSchema)]
struct EntryView {
    /// Running number.
    #[schema(example = 42)]
    number: i64,
    /// `balance_transaction`, `invoice`, `write_off`, `purchase` or `payout_arrival`.
    #[serde(rename = "type")]
    #[schema(example = "balance_transaction")]
    kind: &'static str,
    /// The provider's id of what it stands for.
    #[schema(example = "txn_1SaBcDeF")]
    object: String,
    /// Whether it takes an earlier entry of the same object back.
    reverses: bool,
    /// The provider's own word for it.
    #[schema(example = "charge")]
    detail: String,
    /// The object behind it.
    #[schema(example = "ch_1SaBcDeF")]
    source: Option<String>,
    /// The payment that it belongs to.
    #[schema(example = "pi_1SaBcDeF")]
    payment: Option<String>,
    /// The provider's customer.
    #[schema(example = "cus_QwErTy")]
    provider_customer: Option<String>,
    /// When it became so, by the provider's clock.
    at: Time,
    /// When it was written down.
    posted_at: Time,
    /// The lines.
    postings: Vec<PostingView>,
}

impl From<EntryRow> for EntryView {
    fn from(row: EntryRow) -> Self {
        let posting = |posting: &Posting| PostingView {
            account: posting.account.as_str(),
            amount: posting.amount.minor,
            currency: posting.amount.currency.code().to_owned(),
        };
        Self {
            number: row.seq,
            kind: row.key.kind.as_str(),
            reverses: row.reverses,
            detail: row.detail,
            source: row.source,
            payment: row.payment,
            provider_customer: row.provider_customer,
            at: Time(row.at),
            posted_at: Time(row.posted_at),
            postings: row.entry.postings().iter().map(posting).collect(),
            object: row.key.object,
        }
    }
}

/// An account by its name.
fn account_of(name: &str) -> Result<Account, Problem> {
    Account::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Account::ALL.iter().map(|account| account.as_str()).collect();
        Problem::invalid(format!("`account` must be one of {}.", known.join(", ")))
    })
}

/// The entries, the last written first
#[utoipa::path(
    get, path = "/v1/ledger/entries", tag = "Ledger", security(("api_key" = ["admin"])),
    params(EntriesWanted),
    responses((status = 200, description = "The entries", body = Page<EntryView>))
)]
async fn list_ledger_entries(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(wanted): InQuery<EntriesWanted>,
    export: Export,
) -> Result<Response, Fail> {
    let entries = async {
        let (cursor, limit) = page(wanted.limit, wanted.cursor.as_deref())?;
        let all = Which::all("");
        let which = Which {
            cursor,
            account: wanted.account.as_deref().map(account_of).transpose()?,
            customer: wanted.customer.map(|id| id.0),
            from: wanted.from.map_or(all.from, |time| time.0),
            until: wanted.until.map_or(all.until, |time| time.0),
            ..all
        };
        Ok((app.engine.ledger_entries(which, limit + 1).await?, limit))
    };
    let (rows, limit) = export.made(entries).await?;
    Ok(Json(Page::of(rows, limit, |row| row.seq, EntryView::from)).into_response())
}

/// Up to when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Until {
    /// Only what became so before this time; default everything.
    until: Option<Time>,
}

/// One account in one currency.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceView {
    /// The account.
    #[schema(example = "revenue")]
    account: &'static str,
    /// `asset`, `liability`, `income`, `expense` or `equity`.
    #[schema(example = "income")]
    class: &'static str,
    /// ISO 4217, lower case.
    #[schema(example = "jpy")]
    currency: String,
    /// The sum of debits, in minor units.
    debits: i64,
    /// The sum of credits, in minor units.
    credits: i64,
    /// Debits less credits.
    balance: i64,
}

/// The sums of one currency.
#[derive(Debug, Serialize, ToSchema)]
struct Total {
    /// ISO 4217, lower case.
    #[schema(example = "jpy")]
    currency: String,
    /// The sum of all debits, in minor units.
    debits: i64,
    /// The sum of all credits: always the same.
    credits: i64,
}

/// The trial balance.
#[derive(Debug, Serialize, ToSchema)]
struct TrialBalance {
    /// Each account that was used, per currency.
    data: Vec<BalanceView>,
    /// The sums per currency.
    totals: Vec<Total>,
}

/// Every account's debits and credits, per currency
#[utoipa::path(
    get, path = "/v1/ledger/trial-balance", tag = "Ledger", security(("api_key" = ["admin"])),
    params(Until),
    responses((status = 200, description = "The trial balance", body = TrialBalance))
)]
async fn get_trial_balance(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InQuery(Until { until }): InQuery<Until>,
) -> Result<Response, Fail> {
    let until = until.map_or(Timestamp::from_ms(i64::MAX), |time| time.0);
    let rows = app.engine.trial_balance(until).await?;
    let mut totals: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in &rows {
        let total = totals.entry(row.currency.code()).or_default();
        *total = (total.0.saturating_add(row.debits), total.1.saturating_add(row.credits));
    }
    let total = |(currency, (debits, credits)): (&&str, &(i64, i64))| Total {
        currency: (*currency).to_owned(),
        debits: *debits,
        credits: *credits,
    };
    let view = |row: &Balance| BalanceView {
        account: row.account.as_str(),
        class: row.account.class().as_str(),
        currency: row.currency.code().to_owned(),
        debits: row.debits,
        credits: row.credits,
        balance: row.balance(),
    };
    let found =
        TrialBalance { totals: totals.iter().map(total).collect(), data: rows.iter().map(view).collect() };
    Ok(Json(found).into_response())
}
