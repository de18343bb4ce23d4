//! A customer's own terms: what was negotiated with one customer, and for how long it holds.
//!
//! They come before the list and before any channel. Features only add to what is bought: a limit of the plan that is
//! higher stays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::Standing;
use crate::catalog::{Catalog, Interval, Limit};
use crate::digest::short_hex;
use crate::entitlement::Holding;
use crate::ids::{FeatureKey, PlanKey};
use crate::money::Money;
use crate::offer::{Reduction, Window};
use crate::time::Timestamp;

/// Most entries of each list.
const MOST: usize = 100;
/// The longest note, in bytes.
const LONGEST_NOTE: usize = 500;
/// The largest price, in minor units.
const LARGEST: i64 = 99_999_999_999;

/// A price that was negotiated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPrice {
    /// The plan.
    pub plan: PlanKey,
    /// How often it is charged.
    pub interval: Interval,
    /// Per unit.
    #[serde(flatten)]
    pub amount: Money,
}

/// What was negotiated with one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerTerms {
    /// Prices in place of the list's.
    #[serde(default)]
    pub prices: Vec<OwnPrice>,
    /// A reduction of whatever is bought.
    #[serde(default)]
    pub reduction: Option<Reduction>,
    /// The plans that the reduction is for; empty is all.
    #[serde(default)]
    pub plans: Vec<PlanKey>,
    /// Features on top of any plan that is paid for or granted; `None` is without limit.
    #[serde(default)]
    pub features: BTreeMap<FeatureKey, Option<i64>>,
    /// When all of this holds.
    #[serde(default, flatten)]
    pub window: Window,
    /// Why: the contract, who agreed.
    #[serde(default)]
    pub note: String,
}

impl CustomerTerms {
    /// Checks them against the catalog.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn check(&self, catalog: &Catalog) -> Result<(), String> {
        if [self.prices.len(), self.plans.len(), self.features.len()].iter().any(|count| *count > MOST) {
            return Err(format!("terms may have at most {MOST} prices, plans and features"));
        }
        if self.note.len() > LONGEST_NOTE || self.note.chars().any(char::is_control) {
            return Err(format!("`note` may have at most {LONGEST_NOTE} bytes and no control characters"));
        }
        if let (Some(from), Some(until)) = (self.window.from, self.window.until)
            && until <= from
        {
            return Err("`until` must be after `from`".to_owned());
        }
        for plan in self.plans.iter().chain(self.prices.iter().map(|own| &own.plan)) {
            match catalog.plan(plan.as_str()) {
                None => return Err(format!("there is no plan `{plan}`; GET /v1/plans lists them")),
                Some(found) if found.free => return Err(format!("the plan `{plan}` is free")),
                Some(_) => {}
            }
        }
        for (index, own) in self.prices.iter().enumerate() {
            if !(1..=LARGEST).contains(&own.amount.minor) {
                return Err(format!("{} is not a price in minor units (1 to {LARGEST})", own.amount.minor));
            }
            let same = |other: &&OwnPrice| {
                other.plan == own.plan
                    && other.interval == own.interval
                    && other.amount.currency == own.amount.currency
            };
            if self.prices.iter().take(index).any(|other| same(&other)) {
                return Err(format!("two prices of `{}` for one interval and currency; keep one", own.plan));
            }
        }
        for (feature, limit) in &self.features {
            if !catalog.features().iter().any(|known| known.key == *feature) {
                return Err(format!("there is no feature `{feature}` in the catalog"));
            }
            if limit.is_some_and(|most| most < 0) {
                return Err(format!("feature `{feature}`: a limit must not be negative"));
            }
        }
        Ok(())
    }

    /// The negotiated price, if there is one.
    #[must_use]
    pub fn price(&self, plan: &PlanKey, interval: Interval, currency: crate::Currency) -> Option<&OwnPrice> {
        self.prices
            .iter()
            .find(|own| own.plan == *plan && own.interval == interval && own.amount.currency == currency)
    }

    /// What the features of these terms add to a holding: the same source, for as long as both hold. `None` for the free
    /// plan, and when there are none.
    #[must_use]
    pub fn beside(&self, holding: &Holding) -> Option<Holding> {
        use crate::entitlement::SourceKind;
        if self.features.is_empty() || holding.source.kind == SourceKind::FreePlan {
            return None;
        }
        let sooner = |until: Option<Timestamp>| match (until, self.window.until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let standing = match holding.standing {
            Standing::Granted { until } => Standing::Granted { until: sooner(until) },
            Standing::Grace { since, until } => {
                Standing::Grace { since, until: sooner(Some(until)).unwrap_or(until) }
            }
            Standing::Pending => Standing::Pending,
            Standing::Revoked => Standing::Revoked,
        };
        let limit = |most: Option<i64>| most.map_or(Limit::Unlimited, Limit::Fixed);
        let features = self.features.iter().map(|(key, most)| (key.clone(), limit(*most))).collect();
        Some(Holding { standing, features: std::sync::Arc::new(features), quantity: 1, ..holding.clone() })
    }
}

/// The lookup key under which the provider keeps a negotiated price: the same agreement always has the same one.
#[must_use]
pub fn own_lookup_key(own: &OwnPrice, list: &str) -> String {
    let digest = short_hex(&["own price", own.plan.as_str(), list, &own.amount.minor.to_string()]);
    format!("{list}_own_{}", digest.get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::T0;
    use crate::catalog::tests::SMALL;
    use crate::entitlement::{Source, SourceKind, check};
    use crate::time::DAY_MS;

    fn terms(json: &str) -> CustomerTerms {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn terms_are_checked_against_the_catalog() {
        let catalog = Catalog::parse(SMALL).unwrap();
        let good = terms(
            r#"{"prices":[{"plan":"pro","interval":"month","amount":1500,"currency":"jpy"}],
                "reduction":{"off":{"percent":"10"},"lasts":"forever"},"features":{"team:seats":50},"note":"contract 7"}"#,
        );
        assert_eq!(good.check(&catalog), Ok(()));
        assert_eq!(
            serde_json::from_str::<CustomerTerms>(&serde_json::to_string(&good).unwrap()).unwrap(),
            good
        );
        for (wrong, why) in [
            (r#"{"plans":["gone"]}"#, "there is no plan `gone`"),
            (r#"{"plans":["free"]}"#, "is free"),
            (r#"{"features":{"nope":1}}"#, "there is no feature"),
            (r#"{"features":{"team:seats":-1}}"#, "negative"),
            (
                r#"{"prices":[{"plan":"pro","interval":"month","amount":0,"currency":"jpy"}]}"#,
                "0 is not a price",
            ),
            (r#"{"from":2,"until":1}"#, "`until` must be after"),
        ] {
            let said = terms(wrong).check(&catalog).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn own_features_last_as_long_as_the_terms_and_the_plan_both_do() {
        let until = |days: i64| T0.plus_ms(days * DAY_MS);
        let holding = |kind, days: i64| Holding {
            source: Source { kind, id: "sub_1".into() },
            plan: PlanKey::parse("pro").ok(),
            quantity: 3,
            standing: Standing::Granted { until: Some(until(days)) },
            features: std::sync::Arc::default(),
        };
        let own = CustomerTerms {
            window: Window { from: None, until: Some(until(10)) },
            ..terms(r#"{"features":{"team:seats":50}}"#)
        };
        for (plan_days, end) in [(5, 5), (20, 10)] {
            let beside = [own.beside(&holding(SourceKind::Subscription, plan_days)).unwrap()];
            let yes = check(&beside, "team:seats", T0);
            assert_eq!((yes.limit, yes.expires_at), (Some(50), Some(until(end))));
            assert!(!check(&beside, "team:seats", until(end)).allowed);
        }
        assert!(own.beside(&holding(SourceKind::FreePlan, 5)).is_none());
    }
}
