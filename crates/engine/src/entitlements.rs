//! "May this customer use this feature?", answered from memory.
//!
//! A customer's holdings are loaded on first use and kept; every commit that changes them is followed
//! by a reload before the caller hears of it, and by a notice to the other nodes. A newer version is
//! never replaced by an older one. Expiry is evaluated at the moment of asking. An unknown customer is
//! not remembered, so there is no cached refusal.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use quittance_domain::access::Standing;
use quittance_domain::catalog::{FeatureSet, Limit};
use quittance_domain::entitlement::{self, Holding, Source, SourceKind};
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::{Access, Catalog, CustomerId, Timestamp};
use quittance_store::grants::{Gift, GrantRow};
use quittance_store::mirror::HoldingRow;
use quittance_store::{Tx, customers, grants, mirror};

use crate::engine::Engine;
use crate::problem::Problem;

/// What one customer holds, as of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The customer's version in the database.
    pub version: i64,
    /// Everything that carries features.
    pub holdings: Vec<Holding>,
}

const SHARDS: usize = 64;

/// What is remembered of a customer.
enum Slot {
    /// Its holdings.
    Held(Arc<Held>),
    /// Only that anything older than this version is out of date.
    Stale(i64),
}

impl Slot {
    fn version(&self) -> i64 {
        match self {
            Self::Held(held) => held.version,
            Self::Stale(version) => *version,
        }
    }
}

type Shard = RwLock<HashMap<Box<str>, Slot>>;

/// The memory of entitlements.
pub struct Entitlements {
    catalog: Arc<Catalog>,
    hasher: RandomState,
    shards: Vec<Shard>,
    per_shard: usize,
    /// Grows when knowledge of versions was dropped: a load that began before is not kept.
    epoch: AtomicU64,
}

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

impl Entitlements {
    pub(crate) fn new(catalog: Arc<Catalog>, most: usize) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(HashMap::new())).collect();
        Self {
            catalog,
            hasher: RandomState::new(),
            shards,
            per_shard: most.div_ceil(SHARDS).max(1),
            epoch: AtomicU64::new(0),
        }
    }

    fn shard(&self, customer: &str) -> Option<&Shard> {
        let index = usize::try_from(self.hasher.hash_one(customer) % SHARDS as u64).ok()?;
        self.shards.get(index)
    }

    fn get(&self, customer: &str) -> Option<Arc<Held>> {
        let shard = self.shard(customer)?.read().unwrap_or_else(PoisonError::into_inner);
        match shard.get(customer) {
            Some(Slot::Held(held)) => Some(held.clone()),
            Some(Slot::Stale(_)) | None => None,
        }
    }

    /// Keeps what a load that began in `epoch` brought, unless something newer is known.
    fn keep(&self, customer: &str, held: Arc<Held>, epoch: u64) {
        let Some(shard) = self.shard(customer) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let outdated = shard.get(customer).is_some_and(|slot| slot.version() > held.version);
        if outdated || self.epoch.load(Ordering::Acquire) != epoch {
            return;
        }
        self.make_room(&mut shard, customer);
        shard.insert(customer.into(), Slot::Held(held));
    }

    fn make_room(&self, shard: &mut HashMap<Box<str>, Slot>, newcomer: &str) {
        if shard.len() < self.per_shard || shard.contains_key(newcomer) {
            return;
        }
        // Any entry may go: it is loaded again when it is asked for.
        if let Some(victim) = shard.keys().next().cloned()
            && matches!(shard.remove(&victim), Some(Slot::Stale(_)))
        {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Another commit has made this customer's version at least `version`.
    pub(crate) fn outdate(&self, customer: &str, version: i64) {
        if mutant::is(Mutant::Memory) {
            return;
        }
        let Some(shard) = self.shard(customer) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.get(customer).is_none_or(|slot| slot.version() < version) {
            self.make_room(&mut shard, customer);
            shard.insert(customer.into(), Slot::Stale(version));
        }
    }

    pub(crate) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
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

/// Everything a customer holds, from the rows of one snapshot.
///
/// # Errors
/// As the database.
pub fn load(tx: &mut dyn Tx, customer: &str, catalog: &Catalog) -> quittance_store::Result<Option<Held>> {
    let Some(row) = customers::get(tx, customer)? else { return Ok(None) };
    let mut holdings: Vec<Holding> =
        mirror::holdings(tx, customer)?.into_iter().map(|held| from_mirror(held, catalog)).collect();
    holdings.extend(
        grants::of_customer(tx, customer)?.into_iter().filter_map(|grant| from_grant(grant, catalog)),
    );
    if let Some(free) = catalog.free_plan() {
        holdings.push(Holding {
            source: Source { kind: SourceKind::FreePlan, id: free.key.to_string() },
            plan: Some(free.key.clone()),
            quantity: 1,
            standing: Standing::Granted { until: None },
            features: free.features.clone(),
        });
    }
    Ok(Some(Held { version: row.version, holdings }))
}

fn features_of(catalog: &Catalog, plan: &str) -> Arc<FeatureSet> {
    // A plan that left the catalog gives nothing; the sync has raised the unknown price.
    catalog.plan(plan).map(|p| p.features.clone()).unwrap_or_default()
}

fn from_mirror(held: HoldingRow, catalog: &Catalog) -> Holding {
    Holding {
        source: Source { kind: held.kind, id: held.source },
        features: features_of(catalog, held.plan.as_str()),
        plan: Some(held.plan),
        quantity: held.quantity,
        standing: held.standing,
    }
}

fn from_grant(grant: GrantRow, catalog: &Catalog) -> Option<Holding> {
    if grant.revoked_at.is_some() {
        return None;
    }
    let (plan, features) = match grant.gift {
        Gift::Plan(plan) => (Some(plan.clone()), features_of(catalog, plan.as_str())),
        Gift::Feature(feature, limit) => {
            let limit = limit.map_or(Limit::Unlimited, Limit::Fixed);
            (None, Arc::new([(feature, limit)].into_iter().collect()))
        }
    };
    Some(Holding {
        source: Source { kind: SourceKind::Grant, id: grant.id.to_string() },
        plan,
        quantity: 1,
        standing: Standing::Granted { until: grant.expires_at },
        features,
    })
}

impl Engine {
    /// Counts a change of what a customer holds, inside the transaction that makes it. Memory is outdated
    /// before the commit can be seen: whoever sees the change, and asks then, is answered from the database
    /// until the new state is loaded. A transaction that fails leaves memory slower, never wrong.
    pub(crate) fn touch(&self, tx: &mut dyn Tx, customer: &CustomerId) -> quittance_store::Result<()> {
        let version = customers::touch(tx, customer)?;
        self.entitlements().outdate(customer.as_str(), version);
        Ok(())
    }

    /// What a customer holds: from memory, or loaded; `None` for a customer that we do not know.
    ///
    /// # Errors
    /// When the database is needed and cannot be used.
    pub async fn held(&self, customer: &str) -> Result<Option<Arc<Held>>, Problem> {
        if let Some(held) = self.entitlements().get(customer) {
            return Ok(Some(held));
        }
        self.reload(customer).await
    }

    /// What a customer holds if it is in memory.
    #[must_use]
    pub fn held_in_memory(&self, customer: &str) -> Option<Arc<Held>> {
        self.entitlements().get(customer)
    }

    /// Loads a customer afresh; called after every commit that changed what it holds.
    ///
    /// # Errors
    /// When the database cannot be used; old answers are forgotten then.
    pub async fn reload(&self, customer: &str) -> Result<Option<Arc<Held>>, Problem> {
        let (id, catalog) = (customer.to_owned(), self.entitlements().catalog.clone());
        let epoch = self.entitlements().epoch.load(Ordering::Acquire);
        let loaded = self.db().read("entitlements.load", move |tx| load(tx, &id, &catalog)).await;
        match loaded {
            Ok(Some(held)) => {
                let held = Arc::new(held);
                self.entitlements().keep(customer, held.clone(), epoch);
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
    pub async fn check(&self, customer: &str, feature: &str) -> Result<Answer, Problem> {
        let held = self.held(customer).await?;
        Ok(answer(held.as_deref().map_or(&[], |h| &h.holdings), feature, self.now()))
    }
}
