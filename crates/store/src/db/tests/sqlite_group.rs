//! Group commit on SQLite: shared commits, disks that fill up, rules checked at the end.

use futures_util::FutureExt;

use super::contention::block;
use super::{ids, insert, statement, tables};
use crate::db::{Db, Options};
use crate::error::{ConstraintKind, StoreError};
use crate::params;
use crate::testing::{options, sqlite, sqlite_with};

#[tokio::test]
async fn waiting_transactions_share_one_commit() {
    let test = sqlite().await;
    let db = test.db.clone();
    tables(&db).await;
    let block = block(&db).occupied().await;
    let writes: Vec<_> = (0..50).map(|id| write(&db, id)).collect();
    let mut writes: Vec<_> = writes.into_iter().map(Box::pin).collect();
    for write in &mut writes {
        assert!(write.as_mut().now_or_never().is_none());
    }
    let before = db.stats().commits;
    block.release().await;
    for write in writes {
        write.await.expect("committed");
    }
    // The blocking closure's own commit, and one for all fifty.
    assert_eq!(db.stats().commits - before, 2);
    assert_eq!(db.stats().batch_sizes[5], 1, "{:?}", db.stats());
}

async fn write(db: &Db, id: i64) -> crate::Result<u64> {
    let db = db.clone();
    db.write("one", move |tx| insert(tx, id, &id.to_string())).await
}

#[tokio::test]
async fn nobody_is_answered_before_the_shared_commit() {
    let test = sqlite().await;
    let db = test.db.clone();
    tables(&db).await;
    let gate = block(&db).occupied().await;
    // The first has run when the second, in the same group, starts.
    let mut first = Box::pin(write(&db, 1));
    assert!(first.as_mut().now_or_never().is_none());
    let second = block(&db);
    tokio::task::yield_now().await;
    gate.release().await;
    let second = second.occupied().await;
    assert!(first.as_mut().now_or_never().is_none(), "answered before its commit");
    assert_eq!(ids(&db).await, [] as [i64; 0]);
    second.release().await;
    first.await.expect("committed");
    assert_eq!(ids(&db).await, [1]);
}

#[tokio::test]
async fn a_rule_checked_at_commit_hits_only_who_broke_it() {
    let test = sqlite().await;
    let db = test.db.clone();
    tables(&db).await;
    let gate = block(&db).occupied().await;
    let broken =
        statement!("INSERT INTO items (id, kind, label, flag, late_owner) VALUES ($1, 'k', 'late', $2, 99)");
    let mut good = Box::pin(write(&db, 1));
    let mut bad = Box::pin(db.write("late", move |tx| tx.exec(broken, params![2, true])));
    assert!(good.as_mut().now_or_never().is_none() && bad.as_mut().now_or_never().is_none());
    gate.release().await;
    good.await.expect("the innocent one commits");
    let refused = bad.await;
    assert!(
        matches!(refused, Err(StoreError::Constraint { kind: ConstraintKind::ForeignKey, .. })),
        "{refused:?}"
    );
    assert_eq!(ids(&db).await, [1]);
}

async fn limit_pages(db: &Db, pages: u32) {
    db.write("limit", move |tx| tx.script(&format!("PRAGMA max_page_count = {pages}")))
        .await
        .expect("limited");
}

#[tokio::test]
async fn a_full_disk_fails_whoever_needs_space_and_nobody_else() {
    let test = sqlite().await;
    let db = test.db.clone();
    tables(&db).await;
    db.write("big", |tx| tx.script("CREATE TABLE big (body BLOB)")).await.expect("created");
    // One is the smallest allowed; SQLite takes the present size instead.
    limit_pages(&db, 1).await;
    let gate = block(&db).occupied().await;
    let big = statement!("INSERT INTO big (body) VALUES ($1)");
    let mut small_before = Box::pin(write(&db, 1));
    let mut needs_space = Box::pin(db.write("big", move |tx| {
        insert(tx, 2, "half")?;
        tx.exec(big, params![vec![7_u8; 200_000]])
    }));
    let mut small_after = Box::pin(write(&db, 3));
    assert!(small_before.as_mut().now_or_never().is_none());
    assert!(needs_space.as_mut().now_or_never().is_none());
    assert!(small_after.as_mut().now_or_never().is_none());
    gate.release().await;
    small_before.await.expect("fits");
    let full = needs_space.await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    small_after.await.expect("fits");
    assert_eq!(ids(&db).await, [1, 3], "nothing half-done");

    limit_pages(&db, 1_000_000).await;
    let later = db.write("big", move |tx| tx.exec(big, params![vec![7_u8; 200_000]])).await;
    assert_eq!(later.expect("works again once there is space"), 1);
}

#[tokio::test]
async fn the_log_stays_bounded_while_writing_goes_on() {
    let test = sqlite().await;
    let db = test.db.clone();
    db.write("big", |tx| tx.script("CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)"))
        .await
        .expect("created");
    // Each transaction writes about 50 pages: 40,000 pages in all, several times what the log may hold.
    let big = statement!("INSERT INTO big (id, body) VALUES ($1, $2)");
    let mut longest = 0;
    for id in 0..800 {
        db.write("big", move |tx| tx.exec(big, params![id, vec![7_u8; 200_000]])).await.expect("committed");
        longest = longest.max(db.stats().wal_pages);
    }
    assert!(db.stats().checkpoints > 0);
    assert!(longest < 9_000, "the log grew to {longest} pages");
}

#[tokio::test]
async fn memory_and_inline_keep_the_same_promises() {
    let file = sqlite_with(Options { inline: true, ..options() }).await;
    let memory = Db::open("sqlite::memory:", options()).await.expect("opens");
    let inline = Db::open("sqlite::memory:", Options { inline: true, ..options() }).await.expect("opens");
    for db in [file.db.clone(), memory, inline] {
        tables(&db).await;
        db.write("good", |tx| insert(tx, 1, "a")).await.expect("committed");
        let aborted = db
            .write("bad", |tx| {
                insert(tx, 2, "b").and_then(|_| Err::<(), _>(StoreError::Aborted(String::new())))
            })
            .await;
        aborted.expect_err("aborted");
        let sly = db.read("sly", |tx| insert(tx, 3, "c")).await;
        assert!(matches!(sly, Err(StoreError::ReadOnly { .. })), "{sly:?}");
        db.write("again", |tx| insert(tx, 4, "d")).await.expect("committed");
        assert_eq!(ids(&db).await, [1, 4]);
    }
}

#[tokio::test]
async fn an_inline_database_waits_for_no_other_thread() {
    let db = Db::open("sqlite::memory:", Options { inline: true, ..options() }).await.expect("opens");
    tables(&db).await;
    // Ready at the first poll, so a runtime in virtual time never finds itself idle and never runs ahead.
    write(&db, 1).now_or_never().expect("ready at once").expect("committed");
    assert_eq!(ids(&db).now_or_never(), Some(vec![1]));
}

#[tokio::test]
async fn only_a_database_that_runs_in_its_callers_is_passed_on() {
    let threads = sqlite().await;
    assert!(threads.db.pass_on().is_none());
    let exclusive = sqlite_with(Options { inline: true, exclusive: true, ..options() }).await;
    assert!(exclusive.db.pass_on().is_none(), "its lock is not to be lost");
    let test = sqlite_with(Options { inline: true, ..options() }).await;
    tables(&test.db).await;
    write(&test.db, 1).await.expect("committed");
    let next = test.db.pass_on().expect("passed on");
    write(&test.db, 2).await.expect_err("it is answered no more");
    write(&next, 3).await.expect("committed");
    assert_eq!(ids(&next).await, [1, 3]);
}
