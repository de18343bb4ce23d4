//! The catalog: plans, prices, features, and which of the provider's prices means which plan.
//!
//! Read strictly: an unknown field, two plans for one price, a missing name or a price that cannot
//! be charged is an error that names the place. Prices live here and nowhere else.

mod offers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;
use crate::ids::{FeatureKey, PlanGroup, PlanKey};
use crate::money::{Currency, Money, MoneyError};
use crate::offer::{Channel, Promotion};
use crate::past::{KnownPrice, Past, PastPlan};

/// Most plans that a catalog may have.
const MAX_PLANS: usize = 500;
/// Most prices that one plan may have.
const MAX_PRICES: usize = 200;

/// Why a catalog cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Not TOML, or a field that does not belong.
    #[error("the catalog cannot be read: {0}")]
    Syntax(String),
    /// A rule is broken; the text names the plan or feature and the mend.
    #[error("catalog: {0}")]
    Rule(String),
}

fn rule<T>(text: impl Into<String>) -> Result<T, CatalogError> {
    Err(CatalogError::Rule(text.into()))
}

/// A text per language; English is required, Japanese falls back to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// English.
    pub en: String,
    /// Japanese.
    #[serde(default)]
    pub ja: Option<String>,
}

/// How much of a feature a plan gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// As much as wanted.
    Unlimited,
    /// A fixed number.
    Fixed(i64),
    /// A number for each unit bought (seats).
    PerUnit(i64),
}

/// A plan's features with their limits, sorted by key for lookups without hashing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeatureSet(Vec<(FeatureKey, Limit)>);

impl FeatureSet {
    /// The limit of a feature, or `None` when it is not in the set.
    #[must_use]
    pub fn get(&self, feature: &str) -> Option<&Limit> {
        let index = self.0.binary_search_by(|(key, _)| key.as_str().cmp(feature)).ok()?;
        self.0.get(index).map(|(_, limit)| limit)
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &FeatureKey> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Keys and limits in order.
    pub fn iter(&self) -> impl Iterator<Item = (&FeatureKey, &Limit)> {
        self.0.iter().map(|(key, limit)| (key, limit))
    }
}

impl FromIterator<(FeatureKey, Limit)> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = (FeatureKey, Limit)>>(features: I) -> Self {
        let map: BTreeMap<FeatureKey, Limit> = features.into_iter().collect();
        Self(map.into_iter().collect())
    }
}

/// A feature that plans may carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its key.
    pub key: FeatureKey,
    /// What people read.
    pub name: Text,
}

/// How often a price is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Daily.
    Day,
    /// Weekly.
    Week,
    /// Monthly.
    Month,
    /// Yearly.
    Year,
    /// Once: a purchase, not a subscription.
    Once,
}

impl Interval {
    /// The word used in API, catalog and lookup keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Once => "once",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month, Self::Year, Self::Once].into_iter().find(|i| i.as_str() == text)
    }
}

/// One price of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// How often it is charged.
    pub interval: Interval,
    /// Per unit.
    pub amount: Money,
    /// The provider's price, when named explicitly.
    pub stripe: Option<String>,
    /// The lookup key by which the provider's price is found otherwise.
    pub lookup_key: String,
}

/// Whether a price includes tax.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxBehavior {
    /// The price is what is paid.
    Inclusive,
    /// Tax comes on top.
    Exclusive,
    /// Left to the provider's own setting.
    #[default]
    Unspecified,
}

impl TaxBehavior {
    /// The word used in API and catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inclusive => "inclusive",
            Self::Exclusive => "exclusive",
            Self::Unspecified => "unspecified",
        }
    }
}

/// What those who hold a plan get when its features change in a later catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holders {
    /// The features as they are now.
    #[default]
    Newest,
    /// The features as they were when it was bought.
    Bought,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its key.
    pub key: PlanKey,
    /// Its group: a customer has at most one plan of a group.
    pub group: PlanGroup,
    /// What people read.
    pub name: Text,
    /// One line about it.
    pub description: Option<Text>,
    /// Whether it is the plan that every known customer has without paying.
    pub free: bool,
    /// Days of trial for a new subscription.
    pub trial_days: u32,
    /// What it gives, including what it includes of other plans.
    pub features: Arc<FeatureSet>,
    /// Its prices.
    pub prices: Vec<Price>,
    /// The provider's product, when named explicitly.
    pub product: Option<String>,
    /// Whether its prices include tax.
    pub tax: TaxBehavior,
    /// Which features its holders have.
    pub holders: Holders,
}

impl Plan {
    /// The price for an interval and currency.
    #[must_use]
    pub fn price(&self, interval: Interval, currency: Currency) -> Option<&Price> {
        self.prices.iter().find(|p| p.interval == interval && p.amount.currency == currency)
    }
}

/// The whole catalog, checked.
#[derive(Debug, Clone)]
pub struct Catalog {
    features: Vec<Feature>,
    plans: Vec<Plan>,
    promotions: Vec<Promotion>,
    channels: Vec<Channel>,
    by_key: HashMap<PlanKey, usize>,
    by_price: HashMap<String, usize>,
    text: String,
    version: String,
    past: Past,
}

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
struct FilePrice {
    interval: Interval,
    currency: String,
    amount: i64,
    #[serde(default)]
    stripe: Option<String>,
    #[serde(default)]
    lookup_key: Option<String>,
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

    /// The same catalog, knowing what was sold before it.
    #[must_use]
    pub fn with_past(self, past: Past) -> Self {
        Self { past, ..self }
    }

    /// The catalog's text without comments and spacing, which [`Catalog::parse`] reads back.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest of [`Catalog::text`]: another content is another version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What was sold before.
    #[must_use]
    pub const fn past(&self) -> &Past {
        &self.past
    }

    /// All promotions in the file's order.
    #[must_use]
    pub fn promotions(&self) -> &[Promotion] {
        &self.promotions
    }

    /// A promotion by the code that buyers type, in either case, or else by its key.
    #[must_use]
    pub fn promotion(&self, word: &str) -> Option<&Promotion> {
        let by_code = |p: &&Promotion| p.code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case(word));
        self.promotions
            .iter()
            .find(by_code)
            .or_else(|| self.promotions.iter().find(|p| p.key.as_str() == word))
    }

    /// All channels in the file's order.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// A channel by its key.
    #[must_use]
    pub fn channel(&self, key: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.key.as_str() == key)
    }

    /// Every price with its plan: the list's, then the channels'.
    pub fn prices(&self) -> impl Iterator<Item = (&Plan, &Price)> {
        let listed = self.plans.iter().flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)));
        let own = self.channels.iter().flat_map(|channel| &channel.prices);
        listed.chain(own.filter_map(|(plan, price)| Some((self.plan(plan.as_str())?, price))))
    }

    /// What a plan gives to whoever holds it: by the plan's own rule the features of now, or those of the version that
    /// was bought. A plan that left the catalog gives what it gave. `None` for one that never was.
    #[must_use]
    pub fn features_of(&self, plan: &str, bought: Option<&str>) -> Option<(PlanKey, Arc<FeatureSet>)> {
        let past = |found: &PastPlan| (found.key.clone(), found.features.clone());
        match self.plan(plan) {
            Some(now) if now.holders == Holders::Bought && bought.is_some_and(|v| v != self.version) => {
                let then = self.past.plan(plan, bought).map(past);
                then.or_else(|| Some((now.key.clone(), now.features.clone())))
            }
            Some(now) => Some((now.key.clone(), now.features.clone())),
            None => self.past.plan(plan, bought).map(past),
        }
    }

    /// The plan and group that one of the provider's prices means: by this catalog, or else by what it meant before.
    #[must_use]
    pub fn meaning(
        &self,
        price_id: &str,
        lookup_key: Option<&str>,
        known: &[KnownPrice],
    ) -> Option<(PlanKey, PlanGroup)> {
        if let Some(plan) = self.plan_of_price(price_id, lookup_key) {
            return Some((plan.key.clone(), plan.group.clone()));
        }
        let before = known.iter().find(|known| known.price == price_id)?;
        let group = self.plan(before.plan.as_str()).map_or(&before.group, |plan| &plan.group);
        Some((before.plan.clone(), group.clone()))
    }

    /// All plans in the file's order.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// All features in the file's order.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// A plan by its key.
    #[must_use]
    pub fn plan(&self, key: &str) -> Option<&Plan> {
        self.by_key.get(key).and_then(|i| self.plans.get(*i))
    }

    /// The plan that one of the provider's prices means: by id first, then by lookup key. An unknown
    /// price means no plan, never a default one.
    #[must_use]
    pub fn plan_of_price(&self, price_id: &str, lookup_key: Option<&str>) -> Option<&Plan> {
        let by_id = self.by_price.get(price_id);
        by_id.or_else(|| lookup_key.and_then(|key| self.by_price.get(key))).and_then(|i| self.plans.get(*i))
    }

    /// The price of the catalog that one of the provider's prices is, with its plan; found as by
    /// [`Self::plan_of_price`].
    #[must_use]
    pub fn price_of(&self, price_id: &str, lookup_key: Option<&str>) -> Option<(&Plan, &Price)> {
        let plan = self.plan_of_price(price_id, lookup_key)?;
        let all = || self.prices().filter(|(of, _)| of.key == plan.key);
        all()
            .find(|(_, price)| price.stripe.as_deref() == Some(price_id))
            .or_else(|| all().find(|(_, price)| Some(price.lookup_key.as_str()) == lookup_key))
    }

    /// The free plan, if there is one.
    #[must_use]
    pub fn free_plan(&self) -> Option<&Plan> {
        self.plans.iter().find(|p| p.free)
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
fn read_price(
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SMALL: &str = r#"
        [[feature]]
        key = "article:preview"
        name = { en = "Previews", ja = "プレビュー" }
        [[feature]]
        key = "article:full"
        name = { en = "Articles" }
        [[feature]]
        key = "team:seats"
        name = { en = "Seats" }
        [[plan]]
        key = "free"
        group = "main"
        name = { en = "Free" }
        free = true
        features = { "article:preview" = true }
        [[plan]]
        key = "pro"
        group = "main"
        name = { en = "Pro" }
        includes = "free"
        features = { "article:full" = true }
        price = [
            { interval = "month", currency = "jpy", amount = 1980, stripe = "price_pro" },
            { interval = "year", currency = "jpy", amount = 19800 },
        ]
        [[plan]]
        key = "studio"
        group = "main"
        name = { en = "Studio" }
        includes = "pro"
        features = { "team:seats" = { per_unit = 5 } }
        price = [{ interval = "month", currency = "jpy", amount = 9800 }]
        [[plan]]
        key = "course"
        group = "course"
        name = { en = "Course" }
        features = { "article:full" = true }
        price = [{ interval = "once", currency = "jpy", amount = 12000 }]
    "#;

    fn error(change: impl Fn(&str) -> String) -> String {
        Catalog::parse(&change(SMALL)).unwrap_err().to_string()
    }

    #[test]
    fn a_good_catalog_answers() {
        let catalog = Catalog::parse(SMALL).unwrap();
        let studio = catalog.plan("studio").unwrap();
        assert_eq!(studio.features.get("team:seats"), Some(&Limit::PerUnit(5)));
        assert!(studio.features.get("article:preview").is_some(), "inherited through pro");
        assert_eq!(catalog.plan("pro").unwrap().prices[1].lookup_key, "pro_year_jpy");
        assert_eq!(catalog.free_plan().unwrap().key.as_str(), "free");
    }

    #[test]
    fn a13_a14_an_unknown_price_is_no_plan() {
        let catalog = Catalog::parse(SMALL).unwrap();
        assert_eq!(catalog.plan_of_price("price_pro", None).unwrap().key.as_str(), "pro");
        assert_eq!(
            catalog.plan_of_price("price_x", Some("studio_month_jpy")).unwrap().key.as_str(),
            "studio"
        );
        assert!(catalog.plan_of_price("price_x", Some("gone")).is_none());
        assert!(catalog.plan_of_price("", None).is_none());
        let without = SMALL.replace("stripe = \"price_pro\"", "stripe = \"\"");
        assert!(Catalog::parse(&without).unwrap().plan_of_price("", Some("")).is_none());
        let unnamed = SMALL.replace("stripe = \"price_pro\"", "lookup_key = \"\"");
        let unnamed = Catalog::parse(&unnamed).unwrap();
        assert!(unnamed.plan_of_price("price_x", Some("")).is_none());
        assert!(unnamed.plan_of_price("price_x", Some("pro_month_jpy")).is_some());
    }

    #[test]
    fn the_reference_of_the_file_is_what_is_read() {
        let page = include_str!("../../../docs/catalog.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let catalog = Catalog::parse(example).unwrap();
        let pro = catalog.plan("pro").unwrap();
        assert_eq!((pro.holders, pro.tax, pro.trial_days), (Holders::Bought, TaxBehavior::Inclusive, 14));
        assert_eq!(catalog.promotion("welcome20").unwrap().max_redemptions, Some(100));
        assert_eq!(
            catalog.channel("agency_north").unwrap().prices[0].1.lookup_key,
            "pro_month_jpy_agency_north"
        );
        for field in [
            "key",
            "group",
            "name",
            "description",
            "free",
            "trial_days",
            "includes",
            "features",
            "price",
            "product",
            "tax",
            "holders",
            "interval",
            "currency",
            "amount",
            "stripe",
            "lookup_key",
            "code",
            "off",
            "lasts",
            "from",
            "until",
            "plans",
            "currencies",
            "first_purchase",
            "max_redemptions",
            "public",
            "plan",
        ] {
            assert!(page.contains(&format!("{field} = ")), "docs/catalog.md does not name {field}");
        }
    }

    #[test]
    fn a7_paid_plans_contain_what_they_include() {
        let catalog = Catalog::parse(SMALL).unwrap();
        let free: Vec<_> = catalog.plan("free").unwrap().features.keys().cloned().collect();
        for plan in ["pro", "studio"] {
            for feature in &free {
                assert!(catalog.plan(plan).unwrap().features.get(feature.as_str()).is_some());
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let double = error(|s| s.replace("amount = 9800", "amount = 9800, lookup_key = \"pro_year_jpy\""));
        assert!(
            double.contains("price `pro_year_jpy` belongs to plan `pro` and to plan `studio`"),
            "{double}"
        );
        for (from, to, expected) in [
            ("amount = 1980", "amount = -1", "amount -1 is not a price"),
            ("amount = 1980", "amount = 999999999999", "is not a price"),
            ("amount = 1980", "amount = 9223372036854775808", "cannot be read"),
            ("amount = 1980", "amount = 19.80", "cannot be read"),
            (
                "currency = \"jpy\", amount = 9800",
                "currency = \"yen\", amount = 9800",
                "`yen` is not a currency",
            ),
            ("key = \"studio\"", "key = \"course\"", "declared twice"),
            ("includes = \"free\"", "includes = \"studio\"", "includes itself"),
            ("includes = \"free\"", "includes = \"gratis\"", "which is not a plan"),
            (
                "features = { \"article:full\" = true }",
                "features = { \"nope\" = true }",
                "which no [[feature]] declares",
            ),
            ("group = \"main\"", "group = \"main\"\ncolour = 1", "unknown field `colour`"),
            ("per_unit = 5", "per_unit = 5, most = 9", "cannot be read"),
            (
                "interval = \"year\", currency = \"jpy\"",
                "interval = \"month\", currency = \"jpy\"",
                "two prices",
            ),
        ] {
            let text = error(|s| s.replace(from, to));
            assert!(text.contains(expected), "{from} -> {to}: {text}");
        }
    }
}
