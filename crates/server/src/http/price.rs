//! What something costs, with every step that led there.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::CustomerId;
use quittance_domain::offer::{Lasts, Off, Reduction};
use quittance_domain::pricing::{Applied, PriceSource, Priced};
use quittance_engine::Problem;
use quittance_engine::pricing::PriceAsk;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read};
use super::dto::Amount;
use super::extract::InBody;
use super::problem::{Fail, ProblemDocument};
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(ask_price))
}

/// What a price is asked for. There is no amount in it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PriceInput {
    /// The plan's key.
    #[schema(example = "pro")]
    plan: String,
    /// `day`, `week`, `month`, `year` or `once`; default: the plan's first.
    #[schema(example = "month", pattern = "^(day|week|month|year|once)$")]
    interval: Option<String>,
    /// ISO 4217; default: the first in which the plan is sold.
    #[schema(example = "jpy", pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    /// Units; default 1.
    #[schema(example = 1, minimum = 1, maximum = 100000)]
    quantity: Option<i64>,
    /// A promotion: the code that buyers type, its key in the catalog, or the provider's id of a promotion code.
    #[schema(example = "WELCOME20", max_length = 100)]
    promotion_code: Option<String>,
    /// The channel that the buyer came by: an agency's key in the catalog.
    #[schema(max_length = 64)]
    channel: Option<String>,
    /// For whom: their own terms count, and what they bought before.
    #[schema(example = "user_42")]
    customer: Option<String>,
}

/// One step on the way to the price.
#[derive(Debug, Serialize, ToSchema)]
struct StepView {
    /// What was applied: `list_price`, `channel_price`, `own_price`, `quantity`, `promotion`, `channel_reduction`,
    /// `own_reduction` or `trial`.
    #[schema(example = "list_price")]
    rule: &'static str,
    /// Why, in a sentence.
    why: String,
    /// Before it, in minor units.
    before: i64,
    /// After it, in minor units.
    after: i64,
}

/// A reduction.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReductionView {
    /// Percent, as decimal text; null for an amount.
    #[schema(example = "12.5")]
    percent_off: Option<String>,
    /// Amounts by currency; empty for a percentage.
    amount_off: Vec<Amount>,
    /// `once`, `months` or `forever`.
    #[schema(example = "months")]
    lasts: &'static str,
    /// How many months; null unless `lasts` is `months`.
    #[schema(example = 3)]
    months: Option<u32>,
}

impl From<&Reduction> for ReductionView {
    fn from(reduction: &Reduction) -> Self {
        let (percent_off, amount_off) = match &reduction.off {
            Off::Percent(percent) => (Some(percent.to_string()), Vec::new()),
            Off::Amount(amounts) => (None, amounts.iter().copied().map(Amount::from).collect()),
        };
        let (lasts, months) = match reduction.lasts {
            Lasts::Once => ("once", None),
            Lasts::Months(months) => ("months", Some(months)),
            Lasts::Forever => ("forever", None),
        };
        Self { percent_off, amount_off, lasts, months }
    }
}

/// A price with its trace. Amounts are of one period, before tax that comes on top.
#[derive(Debug, Serialize, ToSchema)]
struct PriceAnswer {
    /// The plan.
    #[schema(example = "pro")]
    plan: String,
    /// `day`, `week`, `month`, `year` or `once`.
    #[schema(example = "month")]
    interval: &'static str,
    /// Units.
    #[schema(example = 1)]
    quantity: i64,
    /// Per unit.
    unit: Amount,
    /// Where the price per unit comes from: `list`, `channel` or `own`.
    #[schema(example = "list")]
    price_from: &'static str,
    /// What the list asks for this quantity.
    list: Amount,
    /// What this price asks for it.
    subtotal: Amount,
    /// What the reduction takes off.
    discount: Amount,
    /// What is charged while the reduction lasts.
    total: Amount,
    /// What is charged when it is over; the same as `total` without one, and for one that lasts.
    later: Amount,
    /// What is due at once: nothing where a trial comes first.
    due_now: Amount,
    /// Days of trial.
    trial_days: u32,
    /// Whether tax is in the amounts: `inclusive`, `exclusive` or `unspecified` (the provider's setting).
    #[schema(example = "unspecified")]
    tax_behavior: &'static str,
    /// Whose reduction holds: `promotion`, `channel` or `own`; null without one. Only the largest holds.
    #[schema(example = "promotion")]
    reduction_from: Option<&'static str>,
    /// The promotion's or channel's key.
    #[schema(example = "welcome")]
    reduction_key: Option<String>,
    /// The reduction.
    reduction: Option<ReductionView>,
    /// The catalog's version.
    catalog_version: String,
    /// Every step, from the list's price per unit to `total`.
    trace: Vec<StepView>,
}

const fn source_word(source: PriceSource) -> &'static str {
    match source {
        PriceSource::List => "list",
        PriceSource::Channel => "channel",
        PriceSource::Own => "own",
    }
}

impl From<Priced> for PriceAnswer {
    fn from(priced: Priced) -> Self {
        let (reduction_from, reduction_key) = match &priced.applied {
            None => (None, None),
            Some(Applied::Own) => (Some("own"), None),
            Some(Applied::Channel(key)) => (Some("channel"), Some(key.to_string())),
            Some(Applied::Promotion(key)) => (Some("promotion"), Some(key.to_string())),
        };
        let step = |step: quittance_domain::pricing::Step| StepView {
            rule: step.rule,
            why: step.why,
            before: step.before,
            after: step.after,
        };
        Self {
            plan: priced.plan.to_string(),
            interval: priced.interval.as_str(),
            quantity: priced.quantity,
            unit: priced.price.amount.into(),
            price_from: source_word(priced.source),
            list: priced.list.into(),
            subtotal: priced.subtotal.into(),
            discount: priced.discount.into(),
            total: priced.total.into(),
            later: priced.later.into(),
            due_now: priced.due_now.into(),
            trial_days: priced.trial_days,
            tax_behavior: priced.tax.as_str(),
            reduction_from,
            reduction_key,
            reduction: priced.reduction.as_ref().map(ReductionView::from),
            catalog_version: priced.version,
            trace: priced.trace.into_iter().map(step).collect(),
        }
    }
}

/// What something costs
///
/// The price that a checkout of the same would have, with every step that led there. No money moves and nothing is
/// written.
#[utoipa::path(
    post, path = "/v1/price", tag = "Plans", security(("api_key" = ["read"])),
    request_body = PriceInput,
    responses((status = 200, description = "The price", body = PriceAnswer),
              (status = 422, description = "It is not sold like that, or the promotion does not hold", body = ProblemDocument))
)]
async fn ask_price(
    State(app): State<AppState>,
    _: Auth<Read>,
    InBody(input): InBody<PriceInput>,
) -> Result<Response, Fail> {
    let customer = input.customer.as_deref().map(CustomerId::parse).transpose();
    let ask = PriceAsk {
        customer: customer.map_err(|error| Problem::invalid(format!("`customer`: {error}.")))?,
        plan: input.plan,
        interval: input.interval,
        currency: input.currency,
        quantity: input.quantity,
        promotion_code: input.promotion_code,
        channel: input.channel,
    };
    Ok(Json(PriceAnswer::from(app.engine.price(&ask).await?)).into_response())
}
