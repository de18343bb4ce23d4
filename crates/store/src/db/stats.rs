//! Counters of the facade, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the facade has done since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions waiting to write now.
    pub queued: usize,
    /// How many may wait.
    pub queue_capacity: usize,
    /// Durable commits (on SQLite one commit can hold many transactions).
    pub commits: u64,
    /// Write transactions that were committed.
    pub written: u64,
    /// Transactions that were rolled back, by their closure or by the database.
    pub rolled_back: u64,
    /// Times a transaction ran again because of a conflict or a lost connection.
    pub retries: u64,
    /// Transactions refused because the queue was full.
    pub refused: u64,
    /// Read transactions.
    pub reads: u64,
    /// Commits that held 1, 2–3, 4–7, 8–15, … transactions.
    pub batch_sizes: [u64; 10],
    /// SQLite: pages in the write-ahead log after the last commit. 0 on PostgreSQL.
    pub wal_pages: u64,
    /// SQLite: checkpoints run.
    pub checkpoints: u64,
    /// PostgreSQL: connections made, first ones and replacements.
    pub connects: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) rolled_back: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) wal_pages: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) connects: AtomicU64,
    batch_sizes: [AtomicU64; 10],
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// One durable commit of `transactions`.
    pub(super) fn committed(&self, transactions: u64) {
        count(&self.commits);
        self.written.fetch_add(transactions, Ordering::Relaxed);
        let class = transactions.max(1).ilog2().min(9) as usize;
        if let Some(size) = self.batch_sizes.get(class) {
            count(size);
        }
    }

    pub(super) fn snapshot(&self, queued: usize, queue_capacity: usize) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            queued,
            queue_capacity,
            commits: get(&self.commits),
            written: get(&self.written),
            rolled_back: get(&self.rolled_back),
            retries: get(&self.retries),
            refused: get(&self.refused),
            reads: get(&self.reads),
            batch_sizes: self.batch_sizes.each_ref().map(get),
            wal_pages: get(&self.wal_pages),
            checkpoints: get(&self.checkpoints),
            connects: get(&self.connects),
        }
    }
}
