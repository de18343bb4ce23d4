//! Many callers at once: queue limits, and answers that come only after the commit.

use std::sync::{Arc, Mutex, mpsc};

use futures_util::FutureExt;

use super::{ids, insert, tables};
use crate::db::{Db, Options};
use crate::error::StoreError;
use crate::testing::{TestDb, databases, options, postgres_with, sqlite_with};

/// A closure on a worker that waits until the test lets it go.
pub(super) struct Block {
    pub(super) started: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
    task: tokio::task::JoinHandle<crate::Result<()>>,
}

/// Occupies a worker.
pub(super) fn block(db: &Db) -> Block {
    let (starts, started) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let db = db.clone();
    let task = tokio::spawn(async move {
        db.write("block", move |_| {
            let _ = starts.send(());
            // A closure that runs again must not wait again; the sender is gone by then.
            let _ = released.lock().expect("not poisoned").recv();
            Ok(())
        })
        .await
    });
    Block { started, release, task }
}

impl Block {
    /// Waits until it occupies its worker.
    pub(super) async fn occupied(self) -> Self {
        tokio::task::spawn_blocking(move || {
            self.started.recv().expect("the blocking closure starts");
            self
        })
        .await
        .expect("joined")
    }

    pub(super) async fn release(self) {
        let _ = self.release.send(());
        self.task.await.expect("joined").expect("the blocking closure ends well");
    }
}

async fn both(options: Options) -> Vec<TestDb> {
    let mut all = vec![sqlite_with(options.clone()).await];
    all.extend(postgres_with(options).await);
    all
}

#[tokio::test]
async fn a_full_queue_refuses_and_recovers() {
    for test in both(Options { queue: 3, connections: 1, ..options() }).await {
        let db = test.db.clone();
        tables(&db).await;
        let block = block(&db).occupied().await;
        let mut waiting = Vec::new();
        for id in 0..3 {
            let db = db.clone();
            let mut write =
                Box::pin(async move { db.write("wait", move |tx| insert(tx, id, &id.to_string())).await });
            assert!(write.as_mut().now_or_never().is_none());
            waiting.push(write);
        }
        let refused = db.write("too many", |tx| insert(tx, 9, "9")).await;
        assert!(matches!(refused, Err(StoreError::Busy { waiting: 3 })), "{refused:?}");
        assert_eq!((db.stats().refused, db.stats().queued), (1, 3));
        block.release().await;
        for write in waiting {
            write.await.expect("queued work is done");
        }
        db.write("room again", |tx| insert(tx, 10, "10")).await.expect("committed");
        assert_eq!(ids(&db).await, [0, 1, 2, 10]);
    }
}

#[tokio::test]
async fn failing_neighbours_do_no_harm() {
    for test in databases().await {
        let db = test.db.clone();
        tables(&db).await;
        db.write("first", |tx| insert(tx, 1000, "taken")).await.expect("committed");
        let block = block(&db).occupied().await;
        let writes: Vec<_> = (0..90_i64)
            .map(|id| {
                let db = db.clone();
                tokio::spawn(async move {
                    db.write("many", move |tx| {
                        insert(tx, id, &id.to_string())?;
                        match id % 5 {
                            1 => Err(StoreError::Aborted("chose to".to_owned())),
                            2 => panic!("slipped"),
                            3 => insert(tx, 1000, "again").map(drop),
                            _ => Ok(()),
                        }
                    })
                    .await
                })
            })
            .collect();
        // All are queued once the last has been polled.
        tokio::task::yield_now().await;
        block.release().await;
        for (id, write) in writes.into_iter().enumerate() {
            let result = write.await.expect("joined");
            match id % 5 {
                1 => assert!(matches!(result, Err(StoreError::Aborted(_))), "{id}: {result:?}"),
                2 => assert!(matches!(result, Err(StoreError::Panicked { .. })), "{id}: {result:?}"),
                3 => assert!(result.as_ref().is_err_and(StoreError::is_unique_violation), "{id}: {result:?}"),
                _ => result.expect("a good neighbour commits"),
            }
        }
        let expected: Vec<i64> = (0..90).filter(|id| [0, 4].contains(&(id % 5))).chain([1000]).collect();
        assert_eq!(ids(&db).await, expected);
    }
}

#[tokio::test]
async fn whoever_was_answered_is_visible_to_another_process() {
    for test in databases().await {
        tables(&test.db).await;
        let other = Db::open(&test.url, options()).await.expect("a second handle");
        for id in 0..20 {
            test.db.write("write", move |tx| insert(tx, id, &id.to_string())).await.expect("committed");
            assert_eq!(ids(&other).await.len() as i64, id + 1);
        }
        other.close().await;
    }
}

#[tokio::test]
async fn close_finishes_what_is_queued() {
    for test in databases().await {
        let db = test.db.clone();
        tables(&db).await;
        let block = block(&db).occupied().await;
        let seen = Arc::new(db.clone());
        let mut write = Box::pin(async move { seen.write("queued", |tx| insert(tx, 1, "a")).await });
        assert!(write.as_mut().now_or_never().is_none());
        let mut closing = Box::pin(db.clone().close());
        assert!(closing.as_mut().now_or_never().is_none());
        block.release().await;
        closing.await;
        write.await.expect("queued work is done");
        let after = db.write("late", |tx| insert(tx, 2, "b")).await;
        assert!(matches!(after, Err(StoreError::Unavailable { outcome_unknown: false, .. })), "{after:?}");
        let again = Db::open(&test.url, options()).await.expect("opens again");
        assert_eq!(ids(&again).await, [1]);
    }
}
