//! The memory of entitlements: what customers hold, ready to be asked about.
//!
//! Made so that a question touches little memory: one hash finds shard and slot, and everything about a customer lies in one
//! piece. A newer version is never replaced by an older one. When it is full, whoever has been in it longest goes, whatever
//! the hashes are. Refuses to know where holdings come from and what they mean.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use quittance_domain::entitlement::Holding;
use quittance_domain::mutant::{self, Mutant};
use smallvec::SmallVec;

/// What one customer holds: mostly one thing that was bought, and the free plan.
pub type Holdings = SmallVec<[Holding; 2]>;

/// What one customer holds, as of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    customer: Name,
    /// The customer's version in the database.
    pub version: i64,
    /// Everything that carries features.
    pub holdings: Holdings,
}

impl Held {
    /// What `customer` holds.
    #[must_use]
    pub fn new(customer: &str, version: i64, holdings: Holdings) -> Self {
        Self { customer: Name::new(customer), version, holdings }
    }
}

/// Bytes of a name that are kept in place.
const SHORT: usize = 30;

/// A customer's id, kept beside what it holds unless it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

impl Name {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Short(length, bytes)
            }
            _ => Self::Long(text.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }
}

/// What is remembered of a customer.
enum Slot {
    /// Its holdings.
    Held(Arc<Held>),
    /// Only that anything older than this version is out of date.
    Stale(Box<(Name, i64)>),
}

impl Slot {
    fn name(&self) -> &[u8] {
        match self {
            Self::Held(held) => held.customer.bytes(),
            Self::Stale(stale) => stale.0.bytes(),
        }
    }

    fn version(&self) -> i64 {
        match self {
            Self::Held(held) => held.version,
            Self::Stale(stale) => stale.1,
        }
    }
}

const SHARDS: usize = 64;

#[derive(Default)]
struct Shard(RwLock<HashTable<Slot>>);

impl Shard {
    fn read(&self) -> RwLockReadGuard<'_, HashTable<Slot>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<Slot>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory. Readers share a shard's lock; whoever changes which customers are remembered holds `arrivals` first.
pub(crate) struct Memory {
    hasher: RandomState,
    shards: [Shard; SHARDS],
    most: usize,
    /// The hashes of all that are remembered, in the order in which they came.
    arrivals: Mutex<VecDeque<u64>>,
    /// Grows when knowledge of versions was dropped: a load that began before is not kept.
    epoch: AtomicU64,
}

impl Memory {
    /// Room for `most` customers.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| Shard::default()),
            most: most.max(1),
            arrivals: Mutex::default(),
            epoch: AtomicU64::new(0),
        }
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    /// The table takes its bits from both ends of the hash, so the shard takes some from the middle.
    fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shards.get(usize::try_from((hash >> 32) % SHARDS as u64).ok()?)
    }

    fn arrivals(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a customer.
    pub(crate) fn get(&self, customer: &str) -> Option<Arc<Held>> {
        self.ask(customer, Arc::clone)
    }

    /// Asks what is remembered of a customer, in place: nothing is counted or copied, so a question only reads. `about` must
    /// be short, because a writer of the same shard waits for it.
    pub(crate) fn ask<R>(&self, customer: &str, about: impl FnOnce(&Arc<Held>) -> R) -> Option<R> {
        let hash = self.hash(customer.as_bytes());
        let shard = self.shard(hash)?.read();
        match shard.find(hash, |slot| slot.name() == customer.as_bytes()) {
            Some(Slot::Held(held)) => Some(about(held)),
            Some(Slot::Stale(_)) | None => None,
        }
    }

    /// What a load must name to be kept: read it before the load begins.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Keeps what a load that began in `epoch` brought, unless something newer is known.
    pub(crate) fn keep(&self, held: Arc<Held>, epoch: u64) {
        self.put(Slot::Held(held), |known, new| known.version() <= new.version(), Some(epoch));
    }

    /// Another commit has made this customer's version at least `version`.
    pub(crate) fn outdate(&self, customer: &str, version: i64) {
        if mutant::is(Mutant::Memory) {
            return;
        }
        let stale = Slot::Stale(Box::new((Name::new(customer), version)));
        self.put(stale, |known, new| known.version() < new.version(), None);
    }

    /// Puts a slot where `replaces` lets it, and nothing when knowledge was dropped since `epoch`.
    fn put(&self, new: Slot, replaces: impl Fn(&Slot, &Slot) -> bool, epoch: Option<u64>) {
        let hash = self.hash(new.name());
        let mut arrivals = self.arrivals();
        if epoch.is_some_and(|epoch| self.epoch() != epoch) {
            return;
        }
        let Some(shard) = self.shard(hash) else { return };
        if let Some(known) = shard.write().find_mut(hash, |slot| slot.name() == new.name()) {
            if replaces(known, &new) {
                *known = new;
            }
            return;
        }
        if arrivals.len() >= self.most
            && let Some(oldest) = arrivals.pop_front()
        {
            self.remove(oldest);
        }
        arrivals.push_back(hash);
        shard.write().insert_unique(hash, new, |slot| self.hash(slot.name()));
    }

    /// Forgets one; it is loaded again when it is asked for.
    fn remove(&self, hash: u64) {
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.write();
        if let Ok(entry) = shard.find_entry(hash, |slot| self.hash(slot.name()) == hash)
            && let (Slot::Stale(_), _) = entry.remove()
        {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        let mut arrivals = self.arrivals();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        arrivals.clear();
        for shard in &self.shards {
            shard.write().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(customer: &str, version: i64) -> Arc<Held> {
        Arc::new(Held::new(customer, version, Holdings::new()))
    }

    fn version(memory: &Memory, customer: &str) -> Option<i64> {
        memory.get(customer).map(|held| held.version)
    }

    #[test]
    fn short_and_long_names_are_told_apart() {
        let memory = Memory::new(1_000);
        let names: Vec<String> = (0..200).map(|length| "x".repeat(length)).collect();
        for (number, name) in names.iter().enumerate() {
            memory.keep(held(name, number as i64), 0);
        }
        for (number, name) in names.iter().enumerate() {
            assert_eq!(version(&memory, name), Some(number as i64));
        }
        assert_eq!(version(&memory, "y"), None);
    }

    #[test]
    fn whoever_came_first_goes_first_whatever_the_hashes() {
        let memory = Memory::new(100);
        for number in 0..250 {
            memory.keep(held(&format!("c{number}"), 1), 0);
            // Being known already is no arrival.
            memory.keep(held(&format!("c{number}"), 2), 0);
        }
        let kept: Vec<i32> = (0..250).filter(|number| memory.get(&format!("c{number}")).is_some()).collect();
        assert_eq!(kept, (150..250).collect::<Vec<_>>());
        assert_eq!(memory.arrivals().len(), 100);
    }

    #[test]
    fn nothing_older_replaces_what_is_newer() {
        let memory = Memory::new(10);
        memory.keep(held("c", 5), memory.epoch());
        memory.keep(held("c", 4), memory.epoch());
        assert_eq!(version(&memory, "c"), Some(5));
        memory.outdate("c", 5);
        assert_eq!(version(&memory, "c"), Some(5), "that commit is known");
        memory.outdate("c", 6);
        assert_eq!(version(&memory, "c"), None);
        memory.keep(held("c", 5), memory.epoch());
        assert_eq!(version(&memory, "c"), None, "a load from before the commit");
        memory.keep(held("c", 6), memory.epoch());
        assert_eq!(version(&memory, "c"), Some(6));
    }

    #[test]
    fn a_load_is_not_kept_over_knowledge_that_was_dropped() {
        let memory = Memory::new(1);
        let epoch = memory.epoch();
        memory.outdate("c", 2);
        memory.outdate("d", 1);
        memory.keep(held("c", 1), epoch);
        assert_eq!(version(&memory, "c"), None, "c was known to be newer, until d took its place");
        let epoch = memory.epoch();
        memory.forget_all();
        memory.keep(held("c", 2), epoch);
        assert_eq!(version(&memory, "c"), None);
    }
}
