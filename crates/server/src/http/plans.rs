//! The catalog as a pricing page needs it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quittance_domain::catalog::{Limit, Plan, Text};
use quittance_domain::offer::Promotion;
use quittance_domain::{Catalog, Currency, PlanKey};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auth, Read};
use super::dto::Time;
use super::price::ReductionView;
use super::reply::Json;
use super::state::AppState;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list_plans))
}

/// A text in each language.
#[derive(Debug, Serialize, ToSchema)]
struct Words<'a> {
    /// English.
    #[schema(example = "Pro")]
    en: &'a str,
    /// Japanese; the English text where there is none.
    #[schema(example = "プロ")]
    ja: &'a str,
}

impl<'a> From<&'a Text> for Words<'a> {
    fn from(text: &'a Text) -> Self {
        Self { en: &text.en, ja: text.ja.as_deref().unwrap_or(&text.en) }
    }
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
struct PlanView<'a> {
    /// Its key.
    #[schema(example = "pro")]
    key: &'a str,
    /// A customer has at most one plan of a group.
    #[schema(example = "membership")]
    group: &'a str,
    /// Its name.
    name: Words<'a>,
    /// One line about it.
    description: Option<Words<'a>>,
    /// Whether every known customer has it without paying.
    free: bool,
    /// Days before the first charge.
    trial_days: u32,
    /// Whether its prices include tax: `inclusive`, `exclusive` or `unspecified` (the provider's setting).
    #[schema(example = "unspecified")]
    tax_behavior: &'static str,
    /// What it gives.
    features: Vec<FeatureView<'a>>,
    /// What it costs.
    prices: Vec<PriceView<'a>>,
}

/// A feature of a plan.
#[derive(Debug, Serialize, ToSchema)]
struct FeatureView<'a> {
    /// Its key.
    #[schema(example = "team:seats")]
    key: &'a str,
    /// Its name.
    name: Words<'a>,
    /// How much of it; null is without limit.
    #[schema(example = 5)]
    limit: Option<i64>,
    /// Whether the limit counts for each unit bought.
    per_unit: bool,
}

/// A price.
#[derive(Debug, Serialize, ToSchema)]
struct PriceView<'a> {
    /// `day`, `week`, `month`, `year` or `once`.
    #[schema(example = "month")]
    interval: &'a str,
    /// Per unit, in minor units.
    #[schema(example = 1980)]
    amount: i64,
    /// ISO 4217.
    #[schema(example = "jpy")]
    currency: &'a str,
}

/// A promotion that everybody may know of.
#[derive(Debug, Serialize, ToSchema)]
struct PromotionView<'a> {
    /// Its key.
    #[schema(example = "welcome")]
    key: &'a str,
    /// What buyers type; null when only the app names it.
    #[schema(example = "WELCOME20")]
    code: Option<&'a str>,
    /// Its name.
    name: Words<'a>,
    /// What it takes off.
    reduction: ReductionView,
    /// The plans that it is for; all when empty.
    plans: Vec<&'a str>,
    /// The currencies that it is for; all when empty.
    currencies: Vec<&'a str>,
    /// Whether it is for a first purchase.
    first_purchase: bool,
    /// Until when; null for ever.
    until: Option<Time>,
}

/// The catalog.
#[derive(Debug, Serialize, ToSchema)]
struct Plans<'a> {
    /// All plans, in the catalog's order.
    data: Vec<PlanView<'a>>,
    /// The public promotions that hold now.
    promotions: Vec<PromotionView<'a>>,
    /// The catalog's version: another content is another version.
    version: &'a str,
}

fn view<'a>(catalog: &'a Catalog, plan: &'a Plan) -> PlanView<'a> {
    let feature = |feature: &'a quittance_domain::catalog::Feature| {
        let (limit, per_unit) = match plan.features.get(feature.key.as_str())? {
            Limit::Unlimited => (None, false),
            Limit::Fixed(most) => (Some(*most), false),
            Limit::PerUnit(each) => (Some(*each), true),
        };
        Some(FeatureView { key: feature.key.as_str(), name: (&feature.name).into(), limit, per_unit })
    };
    PlanView {
        key: plan.key.as_str(),
        group: plan.group.as_str(),
        name: (&plan.name).into(),
        description: plan.description.as_ref().map(Words::from),
        free: plan.free,
        trial_days: plan.trial_days,
        tax_behavior: plan.tax.as_str(),
        features: catalog.features().iter().filter_map(feature).collect(),
        prices: plan
            .prices
            .iter()
            .map(|price| PriceView {
                interval: price.interval.as_str(),
                amount: price.amount.minor,
                currency: price.amount.currency.code(),
            })
            .collect(),
    }
}

fn promotion_view(promotion: &Promotion) -> PromotionView<'_> {
    PromotionView {
        key: promotion.key.as_str(),
        code: promotion.code.as_deref(),
        name: (&promotion.name).into(),
        reduction: (&promotion.reduction).into(),
        plans: promotion.plans.iter().map(PlanKey::as_str).collect(),
        currencies: promotion.currencies.iter().map(Currency::code).collect(),
        first_purchase: promotion.first_purchase,
        until: promotion.window.until.map(Time),
    }
}

/// All plans with features, prices and public promotions
///
/// The whole catalog in one answer, as a pricing page needs it.
#[utoipa::path(
    get, path = "/v1/plans", tag = "Plans", security(("api_key" = ["read"])),
    responses((status = 200, description = "The catalog", body = Plans))
)]
async fn list_plans(State(app): State<AppState>, _: Auth<Read>) -> Response {
    let catalog = app.engine.catalog();
    let now = app.now();
    let public = catalog.promotions().iter().filter(|p| p.public && p.window.holds(now));
    let plans = Plans {
        data: catalog.plans().iter().map(|plan| view(catalog, plan)).collect(),
        promotions: public.map(promotion_view).collect(),
        version: catalog.version(),
    };
    Json(plans).into_response()
}
