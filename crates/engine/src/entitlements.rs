//! "May this customer use this feature?", answered from memory.
//!
//! A customer's holdings are loaded on first use and kept; every commit that changes them is followed
//! by a reload before the caller hears of it, and by a notice to the other nodes. A newer version is
//! never replaced by an older one. Expiry is evaluated at the moment of asking. An unknown customer is
//! not remembered, so there is no cached refusal.

use std::sync::Arc;

use quittance_domain::access::Standing;
use quittance_domain::catalog::{FeatureSet, Limit};
use quittance_domain::entitlement::{self, Holding, Source, SourceKind};
use quittance_domain::fraud::{Level, SuspendedAccess};
use quittance_domain::{Access, Catalog, CustomerId, PlanKey, Timestamp};
use quittance_store::grants::{Gift, GrantRow};
use quittance_store::mirror::HoldingRow;
use quittance_store::{Tx, customers, fraud, grants, mirror, terms};

use crate::engine::Engine;
use crate::problem::Problem;

pub use crate::memory::Held;

/// An answer, ready to be written as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The feature that was asked about.
    pub feature: String,
    /// Yes or no.
    pub allowed: bool,
    /// The access that decided; `None` when nothing held ever had the feature.
    pub access: Option<Access>,
    /// The plan that gives it.
    pub plan: Option<String>,
    /// When the yes ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The limit; `None` is no limit.
    pub limit: Option<i64>,
    /// Where it comes from.
    pub source: Option<Source>,
}

/// Answers from what is held.
#[must_use]
pub fn answer(holdings: &[Holding], feature: &str, now: Timestamp) -> Answer {
    let decision = entitlement::check(holdings, feature, now);
    Answer {
        feature: feature.to_owned(),
        allowed: decision.allowed,
        access: decision.access,
        plan: decision.holding.and_then(|h| h.plan.as_ref()).map(ToString::to_string),
        expires_at: decision.expires_at,
        limit: decision.limit,
        source: decision.holding.map(|h| h.source.clone()),
    }
}

/// As [`load_as`], by the default of what a suspension does to access.
///
/// # Errors
/// As the database.
pub fn load(
    tx: &mut dyn Tx,
    customer: &str,
    catalog: &Catalog,
    now: Timestamp,
) -> quittance_store::Result<Option<(Held, bool)>> {
    load_as(tx, customer, catalog, SuspendedAccess::Revoke, now)
}

/// Everything a customer holds at a moment, from the rows of one snapshot; and whether it stays so until something is
/// written, which it does not while terms of its own are still to begin. `access` says what a suspension does to it.
///
/// # Errors
/// As the database.
pub fn load_as(
    tx: &mut dyn Tx,
    customer: &str,
    catalog: &Catalog,
    access: SuspendedAccess,
    now: Timestamp,
) -> quittance_store::Result<Option<(Held, bool)>> {
    let Some(row) = customers::get(tx, customer)? else { return Ok(None) };
    let mut holdings: Vec<Holding> =
        mirror::holdings(tx, customer)?.into_iter().map(|held| from_mirror(held, catalog)).collect();
    holdings.extend(
        grants::of_customer(tx, customer)?.into_iter().filter_map(|grant| from_grant(grant, catalog)),
    );
    let shut = fraud::standing(tx, customer)?.is_some_and(|row| row.level == Level::All);
    if shut && access == SuspendedAccess::Revoke {
        holdings.iter_mut().for_each(|held| held.standing = Standing::Revoked);
    }
    let own = terms::get(tx, customer)?.map(|row| row.terms);
    let kept = own.as_ref().is_none_or(|terms| terms.window.has_begun(now));
    if let Some(terms) = own.filter(|terms| terms.window.has_begun(now)) {
        let beside: Vec<Holding> = holdings.iter().filter_map(|holding| terms.beside(holding)).collect();
        holdings.extend(beside);
    }
    if let Some(free) = catalog.free_plan() {
        holdings.push(Holding {
            source: Source { kind: SourceKind::FreePlan, id: free.key.clone().into() },
            plan: Some(free.key.clone()),
            quantity: 1,
            standing: Standing::Granted { until: None },
            features: free.features.clone(),
        });
    }
    Ok(Some((Held { version: row.version, holdings: holdings.into() }, kept)))
}

/// A plan's name and features, shared with the catalog: by the plan's own rule those of now, or those that were bought.
/// One that left the catalog gives what it gave; one that never was gives nothing.
fn plan_of(catalog: &Catalog, plan: PlanKey, bought: Option<&str>) -> (Option<PlanKey>, Arc<FeatureSet>) {
    match catalog.features_of(plan.as_str(), bought) {
        Some((key, features)) => (Some(key), features),
        None => (Some(plan), Arc::default()),
    }
}

fn from_mirror(held: HoldingRow, catalog: &Catalog) -> Holding {
    let (plan, features) = plan_of(catalog, held.plan, held.version.as_deref());
    Holding {
        source: Source { kind: held.kind, id: held.source.into() },
        plan,
        quantity: held.quantity,
        standing: held.standing,
        features,
    }
}

fn from_grant(grant: GrantRow, catalog: &Catalog) -> Option<Holding> {
    if grant.revoked_at.is_some() {
        return None;
    }
    let (plan, features) = match grant.gift {
        Gift::Plan(plan) => plan_of(catalog, plan, None),
        Gift::Feature(feature, limit) => {
            let limit = limit.map_or(Limit::Unlimited, Limit::Fixed);
            (None, Arc::new([(feature, limit)].into_iter().collect()))
        }
    };
    Some(Holding {
        source: Source { kind: SourceKind::Grant, id: grant.id.as_str().into() },
        plan,
        quantity: 1,
        standing: Standing::Granted { until: grant.expires_at },
        features,
    })
}

impl Engine {
    /// Counts a change of what a customer holds, inside the transaction that makes it. Memory is outdated
    /// before the commit can be seen: whoever sees the change, and asks then, is answered from the database
    /// until the new state is loaded. A transaction that fails leaves memory slower, never wrong. The app is told of
    /// the difference, so this comes after everything that changes it.
    pub(crate) fn touch(
        &self,
        tx: &mut dyn Tx,
        customer: &CustomerId,
        now: Timestamp,
    ) -> quittance_store::Result<()> {
        let version = customers::touch(tx, customer)?;
        self.entitlements().outdate(customer.as_str(), version);
        self.tell_standing(tx, customer, now)
    }

    /// What a customer holds: from memory, or loaded; `None` for a customer that we do not know.
    ///
    /// # Errors
    /// When the database is needed and cannot be used.
    #[crate::boxed]
    pub async fn held(&self, customer: &str) -> Result<Option<Held>, Problem> {
        if let Some(held) = self.entitlements().get(customer) {
            return Ok(Some(held));
        }
        self.reload(customer).await
    }

    /// Asks what a customer holds if it is in memory; `None` when it is not. `about` must be short: whoever changes what
    /// customers of the same shard hold waits for it.
    #[must_use]
    pub fn ask_memory<R>(&self, customer: &str, about: impl FnOnce(&[Holding]) -> R) -> Option<R> {
        self.entitlements().ask(customer, about)
    }

    /// Loads a customer afresh; called after every commit that changed what it holds.
    ///
    /// # Errors
    /// When the database cannot be used; old answers are forgotten then.
    #[crate::boxed]
    pub async fn reload(&self, customer: &str) -> Result<Option<Held>, Problem> {
        let (id, catalog, now) = (customer.to_owned(), self.catalog_handle(), self.now());
        let access = self.settings().fraud.suspended_access;
        let epoch = self.entitlements().epoch();
        let loaded =
            self.db().read("entitlements.load", move |tx| load_as(tx, &id, &catalog, access, now)).await;
        match loaded {
            Ok(Some((held, kept))) => {
                if kept {
                    self.entitlements().keep(customer, &held, epoch);
                }
                Ok(Some(held))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.entitlements().forget_all();
                Err(error.into())
            }
        }
    }

    /// May this customer use this feature? An unknown customer or feature is a no.
    ///
    /// # Errors
    /// When the database is needed and cannot be used.
    #[crate::boxed]
    pub async fn check(&self, customer: &str, feature: &str) -> Result<Answer, Problem> {
        let held = self.held(customer).await?;
        Ok(answer(held.as_ref().map_or(&[], |h| &h.holdings), feature, self.now()))
    }
}
