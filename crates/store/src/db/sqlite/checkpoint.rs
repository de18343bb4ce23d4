//! Moving the write-ahead log into the database file without making commits wait. Specification: sqlite.org/wal.html, section 2.2.
//!
//! A thread with its own connection copies pages whenever the log has grown. Because the log starts over only when every page has been
//! copied, and a busy writer keeps adding some, the writer copies the short rest itself once the log is long, and waits for the thread
//! where that is at it; that is also what bounds it.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect;
use crate::db::stats::{Counters, count};
use crate::error::{Result, StoreError};

/// Pages of 4 KiB in the log after which the thread is asked to copy.
const ASK_THREAD: u64 = 1_000;
/// Pages after which the writer copies the rest, so that the log starts over.
const FINISH: u64 = 8_000;

thread_local! {
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// The writer's side.
pub(super) struct Checkpoints {
    ask: SyncSender<()>,
    /// Held while either side copies: SQLite lets one copy at a time, and sends the other away with nothing done.
    turn: Arc<Mutex<()>>,
    asked_at: u64,
    finish_at: u64,
}

impl Checkpoints {
    /// Starts the thread; it ends when this is dropped.
    pub(super) fn start(
        path: &Path,
        writer: &Connection,
        counters: Arc<Counters>,
    ) -> Result<(Self, JoinHandle<()>)> {
        let connection = connect::checkpointer(path)?;
        let (ask, asked) = sync_channel(1);
        let turn = Arc::new(Mutex::new(()));
        let threads = Arc::clone(&turn);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || copy_when_asked(&connection, &asked, &threads, &counters))
            .map_err(|error| StoreError::unavailable(format!("cannot start a thread: {error}")))?;
        writer.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        Ok((Self { ask, turn, asked_at: 0, finish_at: FINISH }, thread))
    }

    /// Looks at the log; runs on the writer's thread, after its callers were answered.
    pub(super) fn after_commit(&mut self, connection: &Connection, counters: &Counters) {
        let pages = WAL_PAGES.get();
        counters.wal_pages.store(pages, Ordering::Relaxed);
        if pages < self.asked_at {
            (self.asked_at, self.finish_at) = (0, FINISH);
        }
        if pages >= self.finish_at {
            // A long read can keep the log from starting over; then look again only after as much was written once more.
            self.finish_at = pages + FINISH;
            copy(connection, &self.turn, counters);
        } else if pages >= self.asked_at + ASK_THREAD {
            self.asked_at = pages;
            match self.ask.try_send(()) {
                // Full: it is already asked. Disconnected: the thread is gone, and `FINISH` still bounds the log.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }
}

fn copy_when_asked(connection: &Connection, asked: &Receiver<()>, turn: &Mutex<()>, counters: &Counters) {
    while asked.recv().is_ok() {
        copy(connection, turn, counters);
    }
}

fn copy(connection: &Connection, turn: &Mutex<()>, counters: &Counters) {
    let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    drop(turn);
    count(&counters.checkpoints);
    if let Err(error) = result {
        // The log is intact and still read from; only its size is at stake.
        tracing::warn!(%error, "the write-ahead log could not be copied into the database file");
    }
}
