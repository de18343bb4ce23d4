//! Reading a catalog's file: strictly, so that an unknown field, two plans for one price, a missing name or a price that
//! cannot be charged is an error that names the place. What the catalog then answers is not said here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use super::{
    Catalog, CatalogError, Feature, Holders, Interval, Limit, Plan, Price, TaxBehavior, Text, offers, rule,
};
use crate::digest::sha256_hex;
use crate::ids::{FeatureKey, PlanGroup, PlanKey};
use crate::money::{Currency, Money, MoneyError};
use crate::past::Past;

/// Most plans that a catalog may have.
const MAX_PLANS: usize = 500;
/// Most prices that one plan may have.
const MAX_PRICES: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    feature: Vec<FileFeature>,
    #[serde(default)]
    plan: Vec<FilePlan>,
    #[serde(default)]
    promotion: Vec<offers::FilePromotion>,
    #[serde(default)]
    channel: Vec<offers::FileChannel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFeature {
    key: FeatureKey,
    name: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePlan {
    key: PlanKey,
    group: PlanGroup,
    name: Text,
    #[serde(default)]
    description: Option<Text>,
    #[serde(default)]
    free: bool,
    #[serde(default)]
    trial_days: u32,
    #[serde(default)]
    includes: Option<PlanKey>,
    #[serde(default)]
    features: BTreeMap<FeatureKey, FileLimit>,
    #[serde(default)]
    price: Vec<FilePrice>,
    #[serde(default)]
    product: Option<String>,
    #[serde(default)]
    tax: TaxBehavior,
    #[serde(default)]
    holders: Holders,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum FileLimit {
    Whether(bool),
    Most(i64),
    Each(PerUnit),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct PerUnit {
    per_unit: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePrice {
    pub(super) interval: Interval,
    pub(super) currency: String,
    pub(super) amount: i64,
    #[serde(default)]
    pub(super) stripe: Option<String>,
    #[serde(default)]
    pub(super) lookup_key: Option<String>,
}

impl Catalog {
    /// Reads and checks a `catalog.toml`.
    ///
    /// # Errors
    /// [`CatalogError`] naming the first thing that is wrong and how to mend it.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let syntax = |e: &dyn std::fmt::Display| CatalogError::Syntax(e.to_string());
        let file: File = toml::from_str(text).map_err(|e| syntax(&e))?;
        // Without comments and spacing, so that only what matters makes another version.
        let table: toml::Table = toml::from_str(text).map_err(|e| syntax(&e))?;
        let canonical = toml::to_string(&table).map_err(|e| syntax(&e))?;
        if file.plan.len() > MAX_PLANS {
            return rule(format!("has {} plans; the most is {MAX_PLANS}", file.plan.len()));
        }
        let features: Vec<Feature> =
            file.feature.iter().map(|f| Feature { key: f.key.clone(), name: f.name.clone() }).collect();
        for (i, feature) in features.iter().enumerate() {
            if features.iter().take(i).any(|f| f.key == feature.key) {
                return rule(format!("feature `{}` is declared twice; remove one", feature.key));
            }
        }
        let mut plans = Vec::with_capacity(file.plan.len());
        for plan in &file.plan {
            plans.push(read_plan(plan, &file, &features)?);
        }
        let promotions = offers::promotions(&file.promotion, &plans)?;
        let channels = offers::channels(&file.channel, &plans)?;
        let version = sha256_hex(canonical.as_bytes());
        index(Self {
            features,
            plans,
            promotions,
            channels,
            by_key: HashMap::new(),
            by_price: HashMap::new(),
            text: canonical,
            version,
            past: Past::default(),
        })
    }
}

fn own_features(plan: &FilePlan, features: &[Feature]) -> Result<Vec<(FeatureKey, Limit)>, CatalogError> {
    let mut own = Vec::new();
    for (key, limit) in &plan.features {
        if !features.iter().any(|f| &f.key == key) {
            return rule(format!("plan `{}` has feature `{key}`, which no [[feature]] declares", plan.key));
        }
        let limit = match limit {
            FileLimit::Whether(true) => Limit::Unlimited,
            FileLimit::Whether(false) => continue,
            FileLimit::Most(most) if *most >= 0 => Limit::Fixed(*most),
            FileLimit::Each(PerUnit { per_unit }) if *per_unit >= 0 => Limit::PerUnit(*per_unit),
            FileLimit::Most(_) | FileLimit::Each(_) => {
                return rule(format!("plan `{}`, feature `{key}`: a limit must not be negative", plan.key));
            }
        };
        own.push((key.clone(), limit));
    }
    Ok(own)
}

fn read_plan(plan: &FilePlan, file: &File, features: &[Feature]) -> Result<Plan, CatalogError> {
    // The plan's own features come last, so that they replace what it includes.
    let mut chain = vec![plan];
    while let Some(next) = chain.last().and_then(|p| p.includes.as_ref()) {
        let Some(included) = file.plan.iter().find(|p| &p.key == next) else {
            return rule(format!("plan `{}` includes `{next}`, which is not a plan", plan.key));
        };
        if chain.iter().any(|p| p.key == included.key) {
            return rule(format!("plan `{}` includes itself through `{next}`", plan.key));
        }
        chain.push(included);
    }
    let mut all = Vec::new();
    for included in chain.iter().rev() {
        all.extend(own_features(included, features)?);
    }
    Ok(Plan {
        key: plan.key.clone(),
        group: plan.group.clone(),
        name: plan.name.clone(),
        description: plan.description.clone(),
        free: plan.free,
        trial_days: plan.trial_days,
        features: Arc::new(all.into_iter().collect()),
        prices: read_prices(plan)?,
        product: plan.product.clone().filter(|id| !id.is_empty()),
        tax: plan.tax,
        holders: plan.holders,
    })
}

fn read_prices(plan: &FilePlan) -> Result<Vec<Price>, CatalogError> {
    if plan.free && !plan.price.is_empty() {
        return rule(format!("plan `{}` is free and has prices; remove one or the other", plan.key));
    }
    if !plan.free && plan.price.is_empty() {
        return rule(format!("plan `{}` has no price; add a [[plan.price]] or set free = true", plan.key));
    }
    if plan.price.len() > MAX_PRICES {
        return rule(format!("plan `{}` has more than {MAX_PRICES} prices", plan.key));
    }
    let mut prices: Vec<Price> = Vec::with_capacity(plan.price.len());
    for price in &plan.price {
        let currency = Currency::parse(&price.currency)
            .map_err(|e: MoneyError| CatalogError::Rule(format!("plan `{}`: {e}", plan.key)))?;
        let price = read_price(plan.key.as_str(), price, currency, "")?;
        if prices.iter().any(|p| p.interval == price.interval && p.amount.currency == currency) {
            return rule(format!(
                "plan `{}` has two prices for {} in {currency}; keep one",
                plan.key,
                price.interval.as_str()
            ));
        }
        prices.push(price);
    }
    Ok(prices)
}

/// Reads a price; `suffix` sets a channel's lookup keys apart from the list's.
pub(super) fn read_price(
    plan: &str,
    price: &FilePrice,
    currency: Currency,
    suffix: &str,
) -> Result<Price, CatalogError> {
    if price.amount <= 0 || price.amount > 99_999_999_999 {
        return rule(format!(
            "plan `{plan}`: amount {} is not a price in minor units (1 to 99999999999)",
            price.amount
        ));
    }
    let named = price.lookup_key.clone().filter(|key| !key.is_empty());
    let usual = || format!("{plan}_{}_{}{suffix}", price.interval.as_str(), currency.code());
    Ok(Price {
        interval: price.interval,
        amount: Money::new(price.amount, currency),
        stripe: price.stripe.clone().filter(|id| !id.is_empty()),
        lookup_key: named.unwrap_or_else(usual),
    })
}

fn index(mut catalog: Catalog) -> Result<Catalog, CatalogError> {
    let mut by_key = HashMap::new();
    let mut by_price: HashMap<String, usize> = HashMap::new();
    for (i, plan) in catalog.plans.iter().enumerate() {
        if by_key.insert(plan.key.clone(), i).is_some() {
            return rule(format!("plan `{}` is declared twice; rename one", plan.key));
        }
    }
    let own = catalog.channels.iter().flat_map(|channel| &channel.prices);
    let own = own.filter_map(|(plan, price)| Some((*by_key.get(plan)?, price)));
    let listed =
        catalog.plans.iter().enumerate().flat_map(|(i, plan)| plan.prices.iter().map(move |p| (i, p)));
    for (i, price) in listed.chain(own) {
        for name in price.stripe.iter().chain([&price.lookup_key]) {
            let earlier = by_price.insert(name.clone(), i).and_then(|o| catalog.plans.get(o));
            if let Some((other, plan)) = earlier.zip(catalog.plans.get(i)) {
                return rule(format!(
                    "price `{name}` belongs to plan `{}` and to plan `{}`; a price means one plan",
                    other.key, plan.key
                ));
            }
        }
    }
    let mut free = catalog.plans.iter().filter(|p| p.free);
    if let (Some(one), Some(other)) = (free.next(), free.next()) {
        return rule(format!(
            "plans `{}` and `{}` are free; keep one, every known customer has it",
            one.key, other.key
        ));
    }
    catalog.by_key = by_key;
    catalog.by_price = by_price;
    Ok(catalog)
}
