//! A customer's own terms: what was negotiated with them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::catalog::Interval;
use quittance_domain::offer::{Lasts, Off, Percent, Reduction, Window};
use quittance_domain::terms::{CustomerTerms, OwnPrice};
use quittance_domain::{Currency, FeatureKey, Money, PlanKey};
use quittance_engine::Problem;
use quittance_store::terms::TermsRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Auth};
use super::customers::customer_id;
use super::dto::{Amount, IdempotencyHeader, Time};
use super::extract::{InPath, Nothing};
use super::idempotency::Mutation;
use super::price::ReductionView;
use super::problem::{Fail, ProblemDocument};
use super::reply::{Json, Reply};
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(get_terms, put_terms, delete_terms))
}

/// A negotiated price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OwnPriceInput {
    /// The plan's key.
    #[schema(example = "pro")]
    plan: String,
    /// `day`, `week`, `month`, `year` or `once`; one for which the plan has a price of its own.
    #[schema(example = "month", pattern = "^(day|week|month|year|once)$")]
    interval: String,
    /// Per unit, in minor units.
    #[schema(example = 1500, minimum = 1)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "jpy", pattern = "^[A-Za-z]{3}$")]
    currency: String,
}

/// A negotiated reduction: a percentage or amounts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReductionInput {
    /// Percent, as decimal text with at most two decimals.
    #[schema(example = "12.5", pattern = "^[0-9]{1,3}([.][0-9]{1,2})?$")]
    percent_off: Option<String>,
    /// Amounts in minor units, by currency; in place of a percentage.
    amount_off: Option<BTreeMap<String, i64>>,
    /// How many months it holds; for ever when left out.
    #[schema(example = 12, minimum = 1, maximum = 120)]
    months: Option<u32>,
}

/// What was negotiated. It replaces what was there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TermsInput {
    /// Prices in place of the list's.
    #[serde(default)]
    prices: Vec<OwnPriceInput>,
    /// A reduction of what is bought.
    reduction: Option<ReductionInput>,
    /// The plans that the reduction is for; all when empty.
    #[serde(default)]
    plans: Vec<String>,
    /// Features on top of any plan that is paid for or granted, with a limit, or null for none.
    #[serde(default)]
    features: BTreeMap<String, Option<i64>>,
    /// From when they hold; at once when left out.
    from: Option<Time>,
    /// Until when; for ever when left out.
    until: Option<Time>,
    /// Why: the contract, who agreed.
    #[serde(default)]
    #[schema(example = "Contract 2026-14", max_length = 500)]
    note: String,
}

/// A negotiated price.
#[derive(Debug, Serialize, ToSchema)]
struct OwnPriceView {
    /// The plan's key.
    plan: String,
    /// `day`, `week`, `month`, `year` or `once`.
    interval: &'static str,
    /// Per unit.
    #[serde(flatten)]
    amount: Amount,
}

/// A customer's own terms.
#[derive(Debug, Serialize, ToSchema)]
struct TermsView {
    /// Prices in place of the list's.
    prices: Vec<OwnPriceView>,
    /// A reduction of what is bought.
    reduction: Option<ReductionView>,
    /// The plans that the reduction is for; all when empty.
    plans: Vec<String>,
    /// Features on top of any plan, with their limits; null is without limit.
    features: BTreeMap<String, Option<i64>>,
    /// From when they hold; null from always.
    from: Option<Time>,
    /// Until when; null for ever.
    until: Option<Time>,
    /// Why.
    note: String,
    /// Who wrote them.
    created_by: String,
    /// When they were written.
    updated_at: Time,
}

impl From<TermsRow> for TermsView {
    fn from(row: TermsRow) -> Self {
        let CustomerTerms { prices, reduction, plans, features, window, note } = row.terms;
        let price = |own: OwnPrice| OwnPriceView {
            plan: own.plan.to_string(),
            interval: own.interval.as_str(),
            amount: own.amount.into(),
        };
        Self {
            prices: prices.into_iter().map(price).collect(),
            reduction: reduction.as_ref().map(ReductionView::from),
            plans: plans.iter().map(ToString::to_string).collect(),
            features: features.into_iter().map(|(key, limit)| (key.to_string(), limit)).collect(),
            from: window.from.map(Time),
            until: window.until.map(Time),
            note,
            created_by: row.created_by,
            updated_at: Time(row.updated_at),
        }
    }
}

fn said(field: &str, error: impl std::fmt::Display) -> Problem {
    Problem::invalid(format!("`{field}`: {error}."))
}

fn reduction(input: &ReductionInput) -> Result<Reduction, Problem> {
    let off = match (&input.percent_off, &input.amount_off) {
        (Some(percent), None) => {
            let percent = Percent::parse(percent);
            Off::Percent(
                percent.ok_or_else(|| said("reduction.percent_off", "above 0, up to 100, two decimals"))?,
            )
        }
        (None, Some(amounts)) => {
            let amount = serde_json::json!({ "amount": amounts });
            serde_json::from_value(amount).map_err(|error| said("reduction.amount_off", error))?
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(said("reduction", "give percent_off or amount_off, one of them"));
        }
    };
    let lasts = match input.months {
        None => Lasts::Forever,
        Some(months @ 1..=120) => Lasts::Months(months),
        Some(_) => return Err(said("reduction.months", "1 to 120")),
    };
    Ok(Reduction { off, lasts })
}

fn read(input: TermsInput) -> Result<CustomerTerms, Problem> {
    let price = |own: &OwnPriceInput| {
        let currency = Currency::parse(&own.currency).map_err(|error| said("prices", error))?;
        let interval = Interval::parse(&own.interval).ok_or_else(|| said("prices", "no such interval"))?;
        let plan = PlanKey::parse(&own.plan).map_err(|error| said("prices", error))?;
        Ok(OwnPrice { plan, interval, amount: Money::new(own.amount, currency) })
    };
    let plan = |key: &String| PlanKey::parse(key).map_err(|error| said("plans", error));
    let feature = |(key, limit): (String, Option<i64>)| {
        FeatureKey::parse(&key).map(|key| (key, limit)).map_err(|error| said("features", error))
    };
    Ok(CustomerTerms {
        prices: input.prices.iter().map(price).collect::<Result<_, Problem>>()?,
        reduction: input.reduction.as_ref().map(reduction).transpose()?,
        plans: input.plans.iter().map(plan).collect::<Result<_, Problem>>()?,
        features: input.features.into_iter().map(feature).collect::<Result<_, Problem>>()?,
        window: Window { from: input.from.map(|at| at.0), until: input.until.map(|at| at.0) },
        note: input.note,
    })
}

/// Reads terms of the form that the API takes, for the command line.
///
/// # Errors
/// `invalid_json`, or the field that cannot be.
pub fn terms_from_json(text: &str) -> Result<CustomerTerms, Problem> {
    let input = serde_json::from_str(text).map_err(|error| {
        Problem::new(
            quittance_engine::ProblemCode::InvalidJson,
            format!("The terms are not JSON of the expected shape: {error}."),
            "See PUT /v1/customers/{id}/terms in docs/openapi.json.",
        )
    })?;
    read(input)
}

/// Write a customer's own terms
///
/// Negotiated prices, a reduction, features and limits, for as long as they hold. They count from the next purchase on,
/// the features at once; what was bought before keeps its price. They replace what was there.
#[utoipa::path(
    put, path = "/v1/customers/{id}/terms", tag = "Customers", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    request_body = TermsInput,
    responses((status = 200, description = "The terms", body = TermsView),
              (status = 404, description = "We were never told of the customer", body = ProblemDocument))
)]
async fn put_terms(
    InPath(id): InPath<String>,
    change: Mutation<Admin, TermsInput>,
) -> Result<Response, Fail> {
    change
        .run(move |context, input| async move {
            let id = customer_id(&id)?;
            let by = context.caller.key.to_string();
            Reply::ok(&TermsView::from(context.engine.put_terms(&id, read(input)?, &by).await?))
        })
        .await
}

/// A customer's own terms
#[utoipa::path(
    get, path = "/v1/customers/{id}/terms", tag = "Customers", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42")),
    responses((status = 200, description = "The terms, in force or not", body = TermsView),
              (status = 404, description = "The customer has none", body = ProblemDocument))
)]
async fn get_terms(
    State(app): State<AppState>,
    _: Auth<Admin>,
    InPath(id): InPath<String>,
) -> Result<Response, Fail> {
    let id = customer_id(&id)?;
    Ok(Json(TermsView::from(app.engine.terms_of(&id).await?)).into_response())
}

/// Take a customer's own terms away
///
/// What was bought under them keeps its price; their features end at once.
#[utoipa::path(
    delete, path = "/v1/customers/{id}/terms", tag = "Customers", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Your id of the customer.", example = "user_42"), IdempotencyHeader),
    responses((status = 204, description = "Taken away"),
              (status = 404, description = "The customer has none", body = ProblemDocument))
)]
async fn delete_terms(
    InPath(id): InPath<String>,
    change: Mutation<Admin, Nothing>,
) -> Result<Response, Fail> {
    change
        .run(move |context, _| async move {
            let id = customer_id(&id)?;
            context.engine.drop_terms(&id, &context.caller.key.to_string()).await?;
            Ok(Reply::nothing())
        })
        .await
}
