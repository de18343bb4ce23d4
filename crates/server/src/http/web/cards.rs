//! The catalog as cards, with what the customer has already.

use std::collections::HashSet;

use quittance_domain::catalog::{Feature, Interval, Limit, Plan};
use quittance_domain::{Catalog, Currency, Timestamp};
use quittance_engine::{Problem, ProblemCode};

use super::frame::words;
use crate::http::state::AppState;
use crate::pages::{FeatureLine, Included, Locale, PlanCard, PlanOffer, PriceTag};

/// What a customer has, as far as buying depends on it.
#[derive(Debug, Default)]
pub struct Owned {
    plans: HashSet<String>,
    groups: HashSet<String>,
}

impl Owned {
    /// Loads it; nothing for nobody and for a customer that we do not know.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn load(app: &AppState, customer: Option<&str>) -> Result<Self, Problem> {
        let Some(customer) = customer else { return Ok(Self::default()) };
        let view = match app.engine.customer(customer).await {
            Ok(view) => view,
            Err(problem) if problem.code == ProblemCode::NotFound => return Ok(Self::default()),
            Err(problem) => return Err(problem),
        };
        let mut owned = Self::default();
        for row in view.subscriptions.iter().filter(|row| row.subscription.is_live()) {
            for held in &row.subscription.plans {
                owned.plans.insert(held.plan.to_string());
                owned.groups.insert(held.group.to_string());
            }
        }
        let now: Timestamp = app.now();
        for purchase in view.purchases.iter().filter(|p| p.standing.at(now).allows()) {
            owned.plans.extend(purchase.facts.plan.iter().map(ToString::to_string));
        }
        Ok(owned)
    }
}

/// Cards of subscriptions (with the free plan), and of what is bought once.
#[must_use]
pub fn cards(
    catalog: &Catalog,
    locale: Locale,
    interval: Interval,
    currency: Option<Currency>,
    owned: &Owned,
) -> (Vec<PlanCard>, Vec<PlanCard>) {
    let once = |plan: &Plan| !plan.free && plan.prices.iter().all(|price| price.interval == Interval::Once);
    let featured = catalog.plans().iter().find(|plan| !plan.free && !once(plan)).map(|plan| plan.key.clone());
    let card = |plan: &Plan, interval: Interval| {
        let lower = included_plan(catalog, plan);
        PlanCard {
            key: plan.key.to_string(),
            name: words(locale, &plan.name),
            description: plan.description.as_ref().map(|text| words(locale, text)),
            offer: offer(plan, interval, currency, owned),
            reduced: None,
            trial_days: plan.trial_days,
            includes: lower.map(|lower| words(locale, &lower.name)),
            features: lines(catalog, plan, lower, locale),
            featured: featured.as_ref() == Some(&plan.key),
        }
    };
    let all = catalog.plans().iter();
    let plans = all.clone().filter(|plan| !once(plan)).map(|plan| card(plan, interval)).collect();
    let purchases = all.filter(|plan| once(plan)).map(|plan| card(plan, Interval::Once)).collect();
    (plans, purchases)
}

fn offer(plan: &Plan, interval: Interval, currency: Option<Currency>, owned: &Owned) -> PlanOffer {
    let price = currency.and_then(|currency| plan.price(interval, currency));
    let tag = price.map(|price| PriceTag { amount: price.amount, interval: price.interval });
    match tag {
        _ if owned.plans.contains(plan.key.as_str()) => PlanOffer::Current(tag),
        _ if plan.free => PlanOffer::Free,
        None => PlanOffer::Unavailable,
        Some(tag) if owned.groups.contains(plan.group.as_str()) => PlanOffer::Change(tag),
        Some(tag) => PlanOffer::Buy(tag),
    }
}

/// The plan of the same group with the most features, all of which this plan has just as much or more of.
fn included_plan<'a>(catalog: &'a Catalog, plan: &Plan) -> Option<&'a Plan> {
    let within = |other: &&Plan| {
        let fewer = other.features.keys().count() < plan.features.keys().count();
        let all = other.features.iter().all(|(key, limit)| plan.features.get(key.as_str()) == Some(limit));
        other.group == plan.group && other.features.keys().next().is_some() && fewer && all
    };
    catalog.plans().iter().filter(within).max_by_key(|other| other.features.keys().count())
}

fn lines(catalog: &Catalog, plan: &Plan, lower: Option<&Plan>, locale: Locale) -> Vec<FeatureLine> {
    let line = |feature: &Feature| {
        let key = feature.key.as_str();
        let limit = plan.features.get(key)?;
        if lower.is_some_and(|lower| lower.features.get(key).is_some()) {
            return None;
        }
        let included = match limit {
            Limit::Unlimited => Included::Yes,
            Limit::Fixed(most) | Limit::PerUnit(most) => Included::Limit(*most),
        };
        Some(FeatureLine { name: words(locale, &feature.name), included })
    };
    catalog.features().iter().filter_map(line).collect()
}
