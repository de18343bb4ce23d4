//! The catalog: plans, prices, features, and which of the provider's prices means which plan.
//!
//! Prices live here and nowhere else. How the file is read, and refused, is `file`'s.

mod file;
mod offers;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{FeatureKey, PlanGroup, PlanKey};
use crate::money::{Currency, Money};
use crate::offer::{Channel, Promotion};
use crate::past::{KnownPrice, Past, PastPlan};

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

    /// What a price at the provider is made with; nothing where its own setting is to hold.
    #[must_use]
    pub const fn at_provider(self) -> Option<&'static str> {
        match self {
            Self::Inclusive | Self::Exclusive => Some(self.as_str()),
            Self::Unspecified => None,
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

impl Catalog {
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
