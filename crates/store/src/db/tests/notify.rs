//! Changes are announced after their commit, and never without it.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;

use super::{insert, tables};
use crate::db::{Change, Db};
use crate::error::StoreError;
use crate::sql::Dialect;
use crate::testing::{databases, on_each_database, options, sqlite};

/// Real time; only how long a failing test takes.
const LONG: Duration = Duration::from_secs(20);

pub(super) async fn next(changes: &mut Receiver<Change>) -> Change {
    tokio::time::timeout(LONG, changes.recv()).await.expect("a change in time").expect("not lagging")
}

/// Subscribes, and waits until PostgreSQL listens.
pub(super) async fn subscribed(db: &Db) -> Receiver<Change> {
    let mut changes = db.changes();
    if db.dialect() == Dialect::Postgres {
        assert_eq!(next(&mut changes).await, Change::Resync);
    }
    changes
}

#[tokio::test]
async fn only_commits_are_announced_and_in_order() {
    on_each_database(|db| async move {
        tables(&db).await;
        let mut changes = subscribed(&db).await;
        let aborted = db
            .write("aborted", |tx| {
                tx.notify("never")?;
                Err::<(), _>(StoreError::Aborted(String::new()))
            })
            .await;
        aborted.expect_err("aborted");
        for n in 0..3 {
            db.write("good", move |tx| insert(tx, n, &n.to_string()).and_then(|_| tx.notify(&n.to_string())))
                .await
                .expect("committed");
        }
        for n in 0..3 {
            assert_eq!(next(&mut changes).await, Change::Payload(n.to_string()));
        }
        let long = "x".repeat(8_000);
        let refused = db.write("long", move |tx| tx.notify(&long)).await;
        assert!(refused.expect_err("refused").to_string().contains("8000 bytes"));
    })
    .await;
}

#[tokio::test]
async fn another_process_is_noticed() {
    for test in databases().await {
        tables(&test.db).await;
        let mut changes = subscribed(&test.db).await;
        let other = Db::open(&test.url, options()).await.expect("a second handle");
        other
            .write("elsewhere", |tx| insert(tx, 1, "a").and_then(|_| tx.notify("hello")))
            .await
            .expect("committed");
        let expected = match test.db.dialect() {
            Dialect::Sqlite => Change::Resync,
            Dialect::Postgres => Change::Payload("hello".to_owned()),
        };
        assert_eq!(next(&mut changes).await, expected);
        other.close().await;
    }
}

/// A server's workers write several times a second, so its writer never rests for as long as the idle look takes.
#[tokio::test]
async fn another_process_is_noticed_while_this_one_writes_all_the_time() {
    let test = sqlite().await;
    tables(&test.db).await;
    let mut changes = subscribed(&test.db).await;
    let db = test.db.clone();
    let busy = tokio::spawn(async move {
        for n in 1_000.. {
            db.write("busy", move |tx| insert(tx, n, &n.to_string())).await.expect("committed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let other = Db::open(&test.url, options()).await.expect("a second handle");
    other.write("elsewhere", |tx| insert(tx, 1, "a")).await.expect("committed");
    assert_eq!(next(&mut changes).await, Change::Resync);
    busy.abort();
    other.close().await;
}

/// Resync empties memories, so what this process writes itself, and copying the log, must not look like others' work.
#[tokio::test]
async fn own_commits_and_checkpoints_are_not_taken_for_others() {
    let test = sqlite().await;
    tables(&test.db).await;
    let mut changes = subscribed(&test.db).await;
    for n in 0..400 {
        let rows = move |tx: &mut dyn crate::db::Tx| {
            (0..100).try_for_each(|m| insert(tx, n * 100 + m, &format!("{n} {m}")).map(drop))
        };
        test.db.write("much", rows).await.expect("committed");
    }
    assert!(test.db.stats().checkpoints >= 2, "{:?}", test.db.stats());
    test.db.write("last", |tx| tx.notify("end")).await.expect("committed");
    assert_eq!(next(&mut changes).await, Change::Payload("end".to_owned()));
}

#[tokio::test]
async fn the_change_is_readable_when_it_is_announced() {
    let test = sqlite().await;
    tables(&test.db).await;
    let mut changes = subscribed(&test.db).await;
    let db = test.db.clone();
    let writing =
        tokio::spawn(
            async move { db.write("w", |tx| insert(tx, 1, "a").and_then(|_| tx.notify("1"))).await },
        );
    assert_eq!(next(&mut changes).await, Change::Payload("1".to_owned()));
    assert_eq!(super::ids(&test.db).await, [1]);
    writing.await.expect("joined").expect("committed");
}
