//! The memory of entitlements: what customers hold, ready to be asked about.
//!
//! Made so that a question touches little memory: one hash finds shard and slot, a slot is one cache line that holds the
//! name, and what many customers hold alike lies in memory once. A newer version is never replaced by an older one. When it is full, whoever has been in it longest goes, whatever
//! the hashes are. Refuses to know where holdings come from and what they mean.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use quittance_domain::entitlement::Holding;
use quittance_domain::mutant::{self, Mutant};

/// What one customer holds, as of one version; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The customer's version in the database.
    pub version: i64,
    /// Everything that carries features.
    pub holdings: Arc<[Holding]>,
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

/// What is remembered of a customer, in one cache line.
#[repr(align(64))]
struct Slot {
    name: Name,
    version: i64,
    /// `None`: only that anything older than the version is out of date.
    holdings: Option<Arc<[Holding]>>,
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

/// What only writers need; whoever changes which customers are remembered holds it first.
#[derive(Default)]
struct Writers {
    /// The hashes of all that are remembered, in the order in which they came.
    arrivals: VecDeque<u64>,
    /// What two customers that came one after the other held alike, as the free plan alone: kept once for all who do.
    common: Option<Arc<[Holding]>>,
    /// What came last.
    last: Option<Arc<[Holding]>>,
}

impl Writers {
    /// The same holdings, in the piece of memory that others share where there is one.
    fn shared(&mut self, holdings: Arc<[Holding]>) -> Arc<[Holding]> {
        if let Some(common) = self.common.as_ref().filter(|common| **common == holdings) {
            return Arc::clone(common);
        }
        if self.last.as_ref() == Some(&holdings) {
            self.common = Some(Arc::clone(&holdings));
        }
        self.last = Some(Arc::clone(&holdings));
        holdings
    }
}

/// The memory. Readers share a shard's lock.
pub(crate) struct Memory {
    hasher: RandomState,
    shards: [Shard; SHARDS],
    most: usize,
    writers: Mutex<Writers>,
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
            writers: Mutex::default(),
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

    fn writers(&self) -> MutexGuard<'_, Writers> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a customer.
    pub(crate) fn get(&self, customer: &str) -> Option<Held> {
        self.find(customer, |version, holdings| Held { version, holdings: Arc::clone(holdings) })
    }

    /// Asks what is remembered of a customer, in place: nothing is counted or copied, so a question only reads. `about` must
    /// be short, because a writer of the same shard waits for it.
    pub(crate) fn ask<R>(&self, customer: &str, about: impl FnOnce(&[Holding]) -> R) -> Option<R> {
        self.find(customer, |_, holdings| about(holdings))
    }

    fn find<R>(&self, customer: &str, about: impl FnOnce(i64, &Arc<[Holding]>) -> R) -> Option<R> {
        let hash = self.hash(customer.as_bytes());
        let shard = self.shard(hash)?.read();
        let slot = shard.find(hash, |slot| slot.name.bytes() == customer.as_bytes())?;
        slot.holdings.as_ref().map(|holdings| about(slot.version, holdings))
    }

    /// What a load must name to be kept: read it before the load begins.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Keeps what a load that began in `epoch` brought, unless something newer is known.
    pub(crate) fn keep(&self, customer: &str, held: &Held, epoch: u64) {
        let mut writers = self.writers();
        let holdings = Some(writers.shared(Arc::clone(&held.holdings)));
        let slot = Slot { name: Name::new(customer), version: held.version, holdings };
        self.put(&mut writers, slot, |known, new| known.version <= new.version, Some(epoch));
    }

    /// Another commit has made this customer's version at least `version`.
    pub(crate) fn outdate(&self, customer: &str, version: i64) {
        if mutant::is(Mutant::Memory) {
            return;
        }
        let slot = Slot { name: Name::new(customer), version, holdings: None };
        self.put(&mut self.writers(), slot, |known, new| known.version < new.version, None);
    }

    /// Puts a slot where `replaces` lets it, and nothing when knowledge was dropped since `epoch`.
    fn put(
        &self,
        writers: &mut Writers,
        new: Slot,
        replaces: impl Fn(&Slot, &Slot) -> bool,
        epoch: Option<u64>,
    ) {
        let hash = self.hash(new.name.bytes());
        if epoch.is_some_and(|epoch| self.epoch() != epoch) {
            return;
        }
        let Some(shard) = self.shard(hash) else { return };
        if let Some(known) = shard.write().find_mut(hash, |slot| slot.name == new.name) {
            if replaces(known, &new) {
                *known = new;
            }
            return;
        }
        if writers.arrivals.len() >= self.most
            && let Some(oldest) = writers.arrivals.pop_front()
        {
            self.remove(oldest);
        }
        writers.arrivals.push_back(hash);
        shard.write().insert_unique(hash, new, |slot| self.hash(slot.name.bytes()));
    }

    /// Forgets one; it is loaded again when it is asked for.
    fn remove(&self, hash: u64) {
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.write();
        if let Ok(entry) = shard.find_entry(hash, |slot| self.hash(slot.name.bytes()) == hash)
            && entry.remove().0.holdings.is_none()
        {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        let mut writers = self.writers();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        *writers = Writers::default();
        for shard in &self.shards {
            shard.write().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use quittance_domain::access::Standing;
    use quittance_domain::entitlement::{Source, SourceKind};

    use super::*;

    fn keep(memory: &Memory, customer: &str, version: i64, epoch: u64) {
        memory.keep(customer, &Held { version, holdings: Arc::default() }, epoch);
    }

    fn version(memory: &Memory, customer: &str) -> Option<i64> {
        memory.get(customer).map(|held| held.version)
    }

    fn holding(id: &str) -> Holding {
        Holding {
            source: Source { kind: SourceKind::Grant, id: id.into() },
            plan: None,
            quantity: 1,
            standing: Standing::Granted { until: None },
            features: Arc::default(),
        }
    }

    #[test]
    fn a_slot_is_one_cache_line_and_what_is_held_alike_is_kept_once() {
        assert_eq!(size_of::<Slot>(), 64);
        let memory = Memory::new(10);
        for (customer, holds) in [("a", "free"), ("b", "free"), ("c", "own"), ("d", "free"), ("e", "other")] {
            let held = Held { version: 1, holdings: Arc::new([holding(holds)]) };
            memory.keep(customer, &held, 0);
            assert_eq!(memory.get(customer), Some(held));
        }
        let place = |customer| memory.ask(customer, |holdings| holdings.as_ptr());
        assert_eq!(place("b"), place("d"));
        assert_ne!(place("c"), place("d"));
        assert_ne!(place("d"), place("e"));
    }

    #[test]
    fn short_and_long_names_are_told_apart() {
        let memory = Memory::new(1_000);
        let names: Vec<String> = (0..200).map(|length| "x".repeat(length)).collect();
        for (number, name) in names.iter().enumerate() {
            keep(&memory, name, number as i64, 0);
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
            keep(&memory, &format!("c{number}"), 1, 0);
            // Being known already is no arrival.
            keep(&memory, &format!("c{number}"), 2, 0);
        }
        let kept: Vec<i32> = (0..250).filter(|number| memory.get(&format!("c{number}")).is_some()).collect();
        assert_eq!(kept, (150..250).collect::<Vec<_>>());
        assert_eq!(memory.writers().arrivals.len(), 100);
    }

    #[test]
    fn nothing_older_replaces_what_is_newer() {
        let memory = Memory::new(10);
        keep(&memory, "c", 5, memory.epoch());
        keep(&memory, "c", 4, memory.epoch());
        assert_eq!(version(&memory, "c"), Some(5));
        memory.outdate("c", 5);
        assert_eq!(version(&memory, "c"), Some(5), "that commit is known");
        memory.outdate("c", 6);
        assert_eq!(version(&memory, "c"), None);
        keep(&memory, "c", 5, memory.epoch());
        assert_eq!(version(&memory, "c"), None, "a load from before the commit");
        keep(&memory, "c", 6, memory.epoch());
        assert_eq!(version(&memory, "c"), Some(6));
    }

    #[test]
    fn a_load_is_not_kept_over_knowledge_that_was_dropped() {
        let memory = Memory::new(1);
        let epoch = memory.epoch();
        memory.outdate("c", 2);
        memory.outdate("d", 1);
        keep(&memory, "c", 1, epoch);
        assert_eq!(version(&memory, "c"), None, "c was known to be newer, until d took its place");
        let epoch = memory.epoch();
        memory.forget_all();
        keep(&memory, "c", 2, epoch);
        assert_eq!(version(&memory, "c"), None);
    }
}
