//! What only PostgreSQL does: conflicts between concurrent transactions, and waiting for a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::contention::block;
use super::{insert, statement, tables};
use crate::db::{Db, Options};
use crate::error::StoreError;
use crate::params;
use crate::testing::{options, postgres, postgres_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_run_again_until_both_commit() {
    let Some(test) = postgres().await else { return };
    tables(&test.db).await;
    test.db.write("rows", |tx| insert(tx, 1, "a").and_then(|_| insert(tx, 2, "b"))).await.expect("committed");
    // Both hold their first row before either asks for its second; in the first attempt only.
    let meet = Arc::new(std::sync::Barrier::new(2));
    let touch = |first: i64, second: i64| {
        let (db, meet, attempts) = (test.db.clone(), Arc::clone(&meet), AtomicU32::new(0));
        tokio::spawn(async move {
            db.write("touch", move |tx| {
                let update = statement!("UPDATE items SET flag = NOT flag WHERE id = $1");
                tx.exec(update, params![first])?;
                if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
                    meet.wait();
                }
                tx.exec(update, params![second])
            })
            .await
        })
    };
    let (one, other) = (touch(1, 2), touch(2, 1));
    one.await.expect("joined").expect("committed");
    other.await.expect("joined").expect("committed");
    assert!(test.db.stats().retries >= 1, "{:?}", test.db.stats());
}

#[tokio::test]
async fn endless_conflicts_end_with_an_error() {
    let Some(test) = postgres().await else { return };
    tables(&test.db).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let result = test
        .db
        .write("doomed", move |tx| {
            counted.fetch_add(1, Ordering::Relaxed);
            insert(tx, 1, "a")?;
            tx.script("DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$")
        })
        .await;
    assert!(matches!(result, Err(StoreError::Conflict { operation: "doomed", attempts: 10 })), "{result:?}");
    assert_eq!(attempts.load(Ordering::Relaxed), 10);
    assert_eq!(super::ids(&test.db).await, [] as [i64; 0]);
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_told_and_its_work_never_runs() {
    let limits = Options { connections: 1, wait: Duration::from_millis(50), ..options() };
    let Some(test) = postgres_with(limits).await else { return };
    tables(&test.db).await;
    let gate = block(&test.db).occupied().await;
    let late = test.db.write("late", |tx| insert(tx, 1, "a")).await;
    let Err(StoreError::Unavailable { reason, outcome_unknown: false }) = late else { panic!("{late:?}") };
    assert!(reason.contains("no connection became free"), "{reason}");
    gate.release().await;
    test.db.write("later", |tx| insert(tx, 2, "b")).await.expect("committed");
    assert_eq!(super::ids(&test.db).await, [2]);
}

#[tokio::test]
async fn a_plan_made_stale_by_a_migration_is_prepared_again() {
    let Some(test) = postgres_with(Options { connections: 1, ..options() }).await else { return };
    test.db
        .write("v1", |tx| tx.script("CREATE TABLE wide (n INT); INSERT INTO wide VALUES (1)"))
        .await
        .expect("created");
    let read = || test.db.read("read", |tx| tx.query_one(statement!("SELECT n FROM wide"), &[])?.i64("n"));
    assert_eq!(read().await.expect("row"), 1);
    let elsewhere = Db::open(&test.url, options()).await.expect("opens");
    elsewhere.write("v2", |tx| tx.script("ALTER TABLE wide ALTER n TYPE BIGINT")).await.expect("altered");
    elsewhere.close().await;
    assert_eq!(read().await.expect("row"), 1);
    assert_eq!(test.db.stats().retries, 1);
}

#[tokio::test]
async fn nothing_writes_outside_a_transaction() {
    let Some(test) = postgres().await else { return };
    tables(&test.db).await;
    // A closure that ends its transaction by hand finds itself unable to write.
    let sly = test.db.write("sly", |tx| tx.script("COMMIT").and_then(|()| insert(tx, 1, "a"))).await;
    assert!(matches!(sly, Err(StoreError::ReadOnly { .. })), "{sly:?}");
}

#[tokio::test]
async fn refused_logins_and_missing_databases_say_so() {
    let Some(test) = postgres().await else { return };
    let missing = test.url.replace("quittance_test", "quittance_missing");
    let error = Db::open(&missing, options()).await.err().expect("refused").to_string();
    assert!(error.contains("createdb"), "{error}");
    let refused = Db::open("postgres://127.0.0.1:1/none", options()).await.err();
    assert!(
        matches!(&refused, Some(StoreError::Unavailable { reason, .. }) if reason.contains("cannot connect")),
        "{refused:?}"
    );
}
