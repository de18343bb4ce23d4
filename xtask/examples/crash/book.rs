//! What the harness knows for certain: what was acknowledged, what was answered, what was paid. The checks compare the
//! product with this book and with the provider, never with the product itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// A broken invariant of the design.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its number: `I1`.
    pub invariant: &'static str,
    /// What it is about.
    pub object: String,
    /// What had to be.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} is broken for {}\n  expected: {}\n  found:    {}",
            self.invariant, self.object, self.expected, self.found
        )
    }
}

impl std::error::Error for Violation {}

impl Violation {
    /// A finding about one object.
    pub fn new(
        invariant: &'static str,
        object: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self { invariant, object: object.into(), expected: expected.to_string(), found: found.to_string() }
    }
}

/// What is known of one buyer.
#[derive(Debug, Default, Clone)]
pub struct Buyer {
    /// Subscription checkouts that the buyer paid at the provider.
    pub subscribed: u64,
    /// One-off checkouts that the buyer paid at the provider.
    pub bought: u64,
    /// Changes that were answered.
    pub changes: Vec<Change>,
    /// Renewals that the harness made at the provider, by subscription.
    pub renewals: BTreeMap<String, u64>,
}

/// A change of a subscription that the product has answered for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The subscription.
    pub subscription: String,
    /// The plan that was wanted.
    pub plan: String,
    /// The units that were wanted.
    pub quantity: i64,
    /// The provider's time before it was sent first, in unix seconds.
    pub began: i64,
    /// The provider's time after it was answered.
    pub ended: i64,
    /// Whether the answer says that it is so.
    pub made: bool,
}

/// What was counted.
#[derive(Default)]
pub struct Counts {
    /// Server processes killed.
    pub kills: AtomicU64,
    /// Of these, before they were ready.
    pub kills_at_start: AtomicU64,
    /// Of these, second nodes.
    pub kills_of_workers: AtomicU64,
    /// Restarts of PostgreSQL.
    pub restarts: AtomicU64,
    /// Starts that found PostgreSQL away, and were made again.
    pub starts_without_database: AtomicU64,
    /// API calls that were answered for good.
    pub calls: AtomicU64,
    /// Sendings whose answer was lost or said to try again, so that the same key was sent again.
    pub repeated: AtomicU64,
    /// Calls that were sent again although their answer was known.
    pub replayed: AtomicU64,
    /// Of these, those whose answer could not be kept because the database went away, and was made again.
    pub made_again: AtomicU64,
    /// Copies of events that the product acknowledged.
    pub acknowledged: AtomicU64,
    /// Copies that the harness sent beyond the provider's own.
    pub extra_copies: AtomicU64,
    /// Acknowledgements that the provider never got.
    pub lost_acknowledgements: AtomicU64,
    /// Full checks.
    pub checks: AtomicU64,
}

/// The book, shared by all threads.
#[derive(Default)]
pub struct Book {
    /// What was counted.
    pub counts: Counts,
    acknowledged: Mutex<BTreeMap<String, u64>>,
    buyers: Mutex<BTreeMap<String, Buyer>>,
    touched: Mutex<BTreeSet<String>>,
    broken: Mutex<Option<Violation>>,
    last: Mutex<Value>,
    /// Odd while the database is away.
    outages: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The count so far.
pub fn seen(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Book {
    /// The product has acknowledged one copy of an event.
    pub fn acknowledge(&self, event: &str) {
        count(&self.counts.acknowledged);
        *lock(&self.acknowledged).entry(event.to_owned()).or_default() += 1;
    }

    /// Acknowledged copies by event.
    pub fn acknowledged(&self) -> BTreeMap<String, u64> {
        lock(&self.acknowledged).clone()
    }

    /// Notes something about a buyer.
    pub fn note(&self, buyer: &str, change: impl FnOnce(&mut Buyer)) {
        change(lock(&self.buyers).entry(buyer.to_owned()).or_default());
        lock(&self.touched).insert(buyer.to_owned());
    }

    /// All buyers.
    pub fn buyers(&self) -> BTreeMap<String, Buyer> {
        lock(&self.buyers).clone()
    }

    /// The buyers that did something since this was asked last.
    pub fn take_touched(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.touched))
    }

    /// The database goes away, or is there again.
    pub fn database_turns(&self) {
        self.outages.fetch_add(1, Ordering::SeqCst);
    }

    /// How often the database went away and came again; odd while it is away.
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::SeqCst)
    }

    /// Whether the database was there all the time since [`Book::outages`] answered this.
    pub fn had_database_since(&self, outages: u64) -> bool {
        outages.is_multiple_of(2) && outages == self.outages()
    }

    /// Reports what one of the threads has found; the first finding stays.
    pub fn break_off(&self, violation: Violation) {
        lock(&self.broken).get_or_insert(violation);
    }

    /// What a thread has found.
    pub fn broken(&self) -> Option<Violation> {
        lock(&self.broken).clone()
    }

    /// Keeps what the provider's own books said last, for the figures.
    pub fn keep_totals(&self, totals: Value) {
        *lock(&self.last) = totals;
    }

    /// The figures of a run.
    pub fn figures(&self) -> Value {
        let counts = &self.counts;
        json!({
            "kills": seen(&counts.kills),
            "kills_before_ready": seen(&counts.kills_at_start),
            "kills_of_second_nodes": seen(&counts.kills_of_workers),
            "postgres_restarts": seen(&counts.restarts),
            "starts_without_database": seen(&counts.starts_without_database),
            "customers": lock(&self.buyers).len(),
            "api_calls_answered": seen(&counts.calls),
            "api_calls_sent_again": seen(&counts.repeated),
            "api_calls_replayed_on_purpose": seen(&counts.replayed),
            "answers_made_again": seen(&counts.made_again),
            "events_acknowledged": lock(&self.acknowledged).len(),
            "copies_acknowledged": seen(&counts.acknowledged),
            "extra_copies_sent": seen(&counts.extra_copies),
            "acknowledgements_lost": seen(&counts.lost_acknowledgements),
            "full_checks": seen(&counts.checks),
            "provider": lock(&self.last).clone(),
        })
    }
}
