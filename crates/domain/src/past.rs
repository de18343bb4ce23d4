//! What was sold before: earlier catalogs, and prices that left the file, so that whoever bought keeps what they bought.

use std::sync::Arc;

use crate::catalog::{FeatureSet, Interval};
use crate::ids::{PlanGroup, PlanKey};
use crate::money::Money;
use crate::time::Timestamp;

/// One of the provider's prices that once meant a plan; it means it for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPrice {
    /// The provider's price.
    pub price: String,
    /// The lookup key that it had.
    pub lookup_key: String,
    /// The plan.
    pub plan: PlanKey,
    /// The plan's group.
    pub group: PlanGroup,
    /// How often it is charged.
    pub interval: Interval,
    /// Per unit.
    pub amount: Money,
}

/// A plan as an earlier catalog had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPlan {
    /// Its key.
    pub key: PlanKey,
    /// Its group.
    pub group: PlanGroup,
    /// What it gave.
    pub features: Arc<FeatureSet>,
}

/// A catalog that was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCatalog {
    /// The digest of its content.
    pub version: String,
    /// When it came into force.
    pub since: Timestamp,
    /// Its plans.
    pub plans: Vec<PastPlan>,
}

/// All catalogs that were in force, oldest first. One that came back is in it twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past(Vec<PastCatalog>);

impl Past {
    /// From the catalogs in the order in which they came into force.
    #[must_use]
    pub const fn new(catalogs: Vec<PastCatalog>) -> Self {
        Self(catalogs)
    }

    /// The version that was in force at a moment; before the first one, the first.
    #[must_use]
    pub fn version_at(&self, at: Timestamp) -> Option<&str> {
        let found = self.0.iter().rev().find(|catalog| catalog.since <= at).or_else(|| self.0.first());
        found.map(|catalog| catalog.version.as_str())
    }

    /// A plan as a version had it, or else as the newest version had it that has it.
    #[must_use]
    pub fn plan(&self, key: &str, version: Option<&str>) -> Option<&PastPlan> {
        let of = |catalog: &'_ PastCatalog| catalog.plans.iter().position(|plan| plan.key.as_str() == key);
        let found = |catalog: &'_ &PastCatalog| of(catalog).is_some();
        let bought =
            self.0.iter().rev().filter(|catalog| Some(catalog.version.as_str()) == version).find(found);
        let catalog = bought.or_else(|| self.0.iter().rev().find(found))?;
        of(catalog).and_then(|index| catalog.plans.get(index))
    }
}
