//! Entitlements: the union over everything that a customer holds, evaluated at the moment of asking.
//!
//! Refuses to know where holdings are stored or cached, and takes `now` as an argument.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::{Access, Standing};
use crate::catalog::{FeatureSet, Limit};
use crate::ids::{FeatureKey, PlanKey};
use crate::time::Timestamp;

/// What a holding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A subscription at a provider.
    Subscription,
    /// A one-off purchase.
    Purchase,
    /// Given by an operator.
    Grant,
    /// The free plan that every known customer has.
    FreePlan,
}

impl SourceKind {
    /// The word used in API and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Purchase => "purchase",
            Self::Grant => "grant",
            Self::FreePlan => "free_plan",
        }
    }
}

/// Where an entitlement comes from: its provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The kind of source.
    pub kind: SourceKind,
    /// The subscription's, purchase's or grant's id; the plan's key for the free plan.
    pub id: Arc<str>,
}

/// Something that a customer holds and that carries features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Where it comes from.
    pub source: Source,
    /// The plan, unless a single feature was granted.
    pub plan: Option<PlanKey>,
    /// Units bought; limits per unit are multiplied by it.
    pub quantity: i64,
    /// What it does to access.
    pub standing: Standing,
    /// The features, shared with the catalog.
    pub features: Arc<FeatureSet>,
}

/// The answer to "may this customer use this feature?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Yes or no.
    pub allowed: bool,
    /// The access of the holding that decided; `None` when nothing the customer ever held has the feature.
    pub access: Option<Access>,
    /// The holding that decided.
    pub holding: Option<&'a Holding>,
    /// When the yes ends by itself, over all holdings that say yes; `None` has no end (or the answer is no).
    pub expires_at: Option<Timestamp>,
    /// The most generous limit over all holdings that say yes; `None` is no limit.
    pub limit: Option<i64>,
}

/// The limit that a holding's feature comes to with the units bought; `None` is no limit.
#[must_use]
pub fn limit_of(holding: &Holding, limit: &Limit) -> Option<i64> {
    match limit {
        Limit::Unlimited => None,
        Limit::Fixed(most) => Some(*most),
        Limit::PerUnit(each) => Some(each.saturating_mul(holding.quantity.max(0))),
    }
}

/// Decides one feature: the best access wins; among holdings that allow, the latest end and the most
/// generous limit win. A refusal names the nearest holding, so that it can be explained.
#[must_use]
pub fn check<'a>(holdings: &'a [Holding], feature: &str, now: Timestamp) -> Decision<'a> {
    let mut decision =
        Decision { allowed: false, access: None, holding: None, expires_at: None, limit: None };
    for holding in holdings {
        let Some(limit) = holding.features.get(feature) else {
            continue;
        };
        let access = holding.standing.at(now);
        let (until, limit) = (holding.standing.until(), limit_of(holding, limit));
        if access.allows() && decision.allowed {
            decision.expires_at = decision.expires_at.zip(until).map(|(a, b)| a.max(b));
            decision.limit = decision.limit.zip(limit).map(|(a, b)| a.max(b));
        } else if access.allows() {
            decision.expires_at = until;
            decision.limit = limit;
            decision.allowed = true;
        }
        if decision.access.is_none_or(|best| access > best) {
            decision.access = Some(access);
            decision.holding = Some(holding);
        }
    }
    decision
}

/// Every feature key that any holding carries, in order, once.
#[must_use]
pub fn features_of(holdings: &[Holding]) -> Vec<&FeatureKey> {
    let mut keys: Vec<&FeatureKey> = holdings.iter().flat_map(|h| h.features.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// One feature that is allowed over a stretch of time, as it can be promised to somebody who will not ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise<'a> {
    /// The feature.
    pub feature: &'a FeatureKey,
    /// The most generous limit; `None` is no limit.
    pub limit: Option<i64>,
    /// When the yes ends by itself; `None` has no end.
    pub expires_at: Option<Timestamp>,
}

/// What is allowed now, as it stays until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook<'a> {
    /// Every feature that is allowed, in the order of their keys.
    pub promises: Vec<Promise<'a>>,
    /// The access in one word, as [`overall_access`].
    pub access: Option<Access>,
    /// The plans of what allows something, in order, once.
    pub plans: Vec<&'a PlanKey>,
    /// The first moment at which any of it, a limit too, ends by itself; `None` when nothing does.
    pub until: Option<Timestamp>,
}

/// What can be promised from `now` on: nothing in it ends sooner than `least_ms` later. What does is left out as if it had
/// ended already.
#[must_use]
pub fn outlook(holdings: &[Holding], now: Timestamp, least_ms: i64) -> Outlook<'_> {
    let ends = |moment: Timestamp| {
        let allowing = holdings.iter().filter(move |h| h.standing.at(moment).allows());
        allowing.filter_map(|h| h.standing.until()).min()
    };
    let (mut moment, least) = (now, now.plus_ms(least_ms));
    let mut until = ends(moment);
    // Each turn passes one end, and there is one for each holding at most.
    while let Some(end) = until.filter(|end| *end < least) {
        moment = end;
        until = ends(moment);
    }
    let promises = features_of(holdings).into_iter().filter_map(|feature| {
        let decision = check(holdings, feature.as_str(), moment);
        decision.allowed.then_some(Promise {
            feature,
            limit: decision.limit,
            expires_at: decision.expires_at,
        })
    });
    let allowing = holdings.iter().filter(|h| h.standing.at(moment).allows());
    let mut plans: Vec<&PlanKey> = allowing.filter_map(|h| h.plan.as_ref()).collect();
    plans.sort_unstable();
    plans.dedup();
    Outlook { promises: promises.collect(), access: overall_access(holdings, moment), plans, until }
}

/// The customer's access in one word: the best over what was bought or granted; a customer with
/// nothing but the free plan has none of the four words.
#[must_use]
pub fn overall_access(holdings: &[Holding], now: Timestamp) -> Option<Access> {
    holdings.iter().filter(|h| h.source.kind != SourceKind::FreePlan).map(|h| h.standing.at(now)).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::T0;
    use crate::time::DAY_MS;

    fn holding(kind: SourceKind, standing: Standing, features: &[(&str, Limit)]) -> Holding {
        Holding {
            source: Source { kind, id: "x".into() },
            plan: PlanKey::parse("pro").ok(),
            quantity: 3,
            standing,
            features: Arc::new(features.iter().map(|(k, l)| (FeatureKey::parse(k).unwrap(), *l)).collect()),
        }
    }

    #[test]
    fn a7_after_grace_free_features_stay() {
        let held = [
            holding(
                SourceKind::Subscription,
                Standing::Grace { since: T0, until: T0.plus_ms(DAY_MS) },
                &[("article:full", Limit::Unlimited)],
            ),
            holding(
                SourceKind::FreePlan,
                Standing::Granted { until: None },
                &[("article:preview", Limit::Unlimited)],
            ),
        ];
        let later = T0.plus_ms(DAY_MS);
        assert!(check(&held, "article:full", T0).allowed);
        let no = check(&held, "article:full", later);
        assert_eq!((no.allowed, no.access), (false, Some(Access::Revoked)));
        assert!(check(&held, "article:preview", later).allowed);
    }

    #[test]
    fn the_union_takes_the_best_access_the_latest_end_and_the_widest_limit() {
        let until = |days: i64| Some(T0.plus_ms(days * DAY_MS));
        let held = [
            holding(SourceKind::Subscription, Standing::Revoked, &[("team:seats", Limit::Unlimited)]),
            holding(
                SourceKind::Subscription,
                Standing::Granted { until: until(5) },
                &[("team:seats", Limit::Fixed(2))],
            ),
            holding(
                SourceKind::Grant,
                Standing::Granted { until: until(9) },
                &[("team:seats", Limit::PerUnit(5))],
            ),
        ];
        let yes = check(&held, "team:seats", T0);
        assert_eq!(
            (yes.allowed, yes.access, yes.expires_at, yes.limit),
            (true, Some(Access::Granted), until(9), Some(15))
        );
        let later = check(&held, "team:seats", T0.plus_ms(6 * DAY_MS));
        assert_eq!((later.expires_at, later.limit), (until(9), Some(15)));
    }

    #[test]
    fn an_outlook_ends_with_the_first_thing_that_ends_and_promises_nothing_shorter() {
        let at = |ms: i64| Some(T0.plus_ms(ms));
        let held = [
            holding(
                SourceKind::Subscription,
                Standing::Granted { until: at(400) },
                &[("a", Limit::Fixed(9)), ("b", Limit::Unlimited)],
            ),
            holding(SourceKind::Grant, Standing::Granted { until: at(5_000) }, &[("a", Limit::Fixed(2))]),
            holding(SourceKind::FreePlan, Standing::Granted { until: None }, &[("c", Limit::Unlimited)]),
            holding(SourceKind::Purchase, Standing::Pending, &[("d", Limit::Unlimited)]),
        ];
        let names = |outlook: &Outlook| -> Vec<String> {
            outlook.promises.iter().map(|p| p.feature.to_string()).collect()
        };
        let near = outlook(&held, T0, 0);
        assert_eq!((names(&near), near.until), (vec!["a".into(), "b".into(), "c".into()], at(400)));
        // The wider limit of `a` is what ends first.
        assert_eq!((near.promises[0].limit, near.promises[0].expires_at), (Some(9), at(5_000)));
        let next = outlook(&held, T0, 1_000);
        assert_eq!((names(&next), next.until), (vec!["a".into(), "c".into()], at(5_000)));
        assert_eq!(next.promises[0].limit, Some(2));
        let all = outlook(&held, T0, 9_000);
        assert_eq!((names(&all), all.until, all.access), (vec!["c".into()], None, Some(Access::Pending)));
        assert_eq!(outlook(&[], T0, 1_000).promises, []);
    }

    #[test]
    fn nothing_held_is_no_without_a_word() {
        let no = check(&[], "article:full", T0);
        assert_eq!((no.allowed, no.access, no.holding), (false, None, None));
    }
}
