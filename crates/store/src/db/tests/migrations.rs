//! Migrations: dialect blocks, checksums, newer schemas, failures, and several servers at once.

use crate::db::{Db, MigrationReport};
use crate::error::StoreError;
use crate::migrate::{Migration, migrate, state};
use crate::testing::{TestDb, databases, options};

const ONE: Migration = Migration {
    version: 1,
    name: "one",
    text: "CREATE TABLE one (id {IDENTITY}, body {BLOB});\n--! pg\nCREATE TABLE only_pg (id BIGINT);\n--! end\n\
           --! sqlite\nCREATE TABLE only_sqlite (id BIGINT);\n--! end\n",
};
const TWO: Migration = Migration { version: 2, name: "two", text: "CREATE TABLE two (id BIGINT);" };
const BROKEN: Migration = Migration {
    version: 2,
    name: "two",
    text: "CREATE TABLE half (id BIGINT); CREATE TABLE one (id BIGINT);",
};
const CHANGED: Migration = Migration { version: 1, name: "one", text: "CREATE TABLE one (id BIGINT);" };

/// Databases without a schema.
async fn empty() -> Vec<(Db, TestDb)> {
    let mut all = Vec::new();
    for test in databases().await {
        let wipe = match test.db.dialect() {
            crate::Dialect::Postgres => "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
            crate::Dialect::Sqlite => "",
        };
        let db = if wipe.is_empty() {
            Db::open(&format!("{}-empty.db", test.url), options()).await.expect("opens")
        } else {
            test.db.write("wipe", move |tx| tx.script(wipe)).await.expect("wiped");
            test.db.clone()
        };
        all.push((db, test));
    }
    all
}

async fn has_table(db: &Db, table: &str) -> bool {
    let probe = format!("INSERT INTO {table} (id) SELECT 1 WHERE 1 = 0");
    db.write("probe", move |tx| tx.script(&probe)).await.is_ok()
}

#[tokio::test]
async fn applied_once_each_with_its_own_dialect() {
    for (db, _test) in empty().await {
        assert_eq!(state(&db, &[ONE, TWO]).await.expect("state").current, 0);
        let report = migrate(&db, &[ONE]).await.expect("applied");
        assert_eq!(report, MigrationReport { from: 0, to: 1, applied: vec!["one".to_owned()] });
        let report = migrate(&db, &[ONE, TWO]).await.expect("applied");
        assert_eq!((report.from, report.to, report.applied.len()), (1, 2, 1));
        let report = migrate(&db, &[ONE, TWO]).await.expect("nothing to do");
        assert_eq!((report.from, report.to, report.applied.len()), (2, 2, 0));
        let postgres = db.dialect() == crate::Dialect::Postgres;
        assert_eq!(
            (has_table(&db, "only_pg").await, has_table(&db, "only_sqlite").await),
            (postgres, !postgres)
        );
    }
}

#[tokio::test]
async fn a_changed_file_and_a_newer_schema_are_refused() {
    for (db, _test) in empty().await {
        migrate(&db, &[ONE, TWO]).await.expect("applied");
        let changed = migrate(&db, &[CHANGED, TWO]).await.expect_err("refused").to_string();
        assert!(
            changed.contains("one was applied") && changed.contains("recreate a development database"),
            "{changed}"
        );
        let newer = migrate(&db, &[ONE]).await;
        assert!(matches!(newer, Err(StoreError::NewerSchema { found: 2, known: 1 })), "{newer:?}");
        let state = state(&db, &[ONE]).await.expect("state");
        assert_eq!((state.current, state.expected, state.newer), (2, 1, true));
    }
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_and_can_be_mended() {
    for (db, _test) in empty().await {
        let failed = migrate(&db, &[ONE, BROKEN]).await;
        assert!(matches!(failed, Err(StoreError::Migration { version: 2, .. })), "{failed:?}");
        assert!(!has_table(&db, "half").await);
        assert_eq!(state(&db, &[ONE, TWO]).await.expect("state").current, 1);
        migrate(&db, &[ONE, TWO]).await.expect("mended");
    }
}

#[tokio::test]
async fn several_servers_may_start_at_once() {
    for (db, test) in empty().await {
        let url = if db.dialect() == crate::Dialect::Sqlite {
            format!("{}-empty.db", test.url)
        } else {
            test.url.clone()
        };
        let servers: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { migrate(&Db::open(&url, options()).await?, &[ONE, TWO]).await })
            })
            .collect();
        let mut applied = 0;
        for server in servers {
            applied += server.await.expect("joined").expect("migrated").applied.len();
        }
        assert_eq!(applied, 2);
    }
}

#[tokio::test]
async fn blocks_must_be_well_formed() {
    for (text, words) in [
        ("--! pg\nSELECT 1;", "line 3: the last block"),
        ("--! end", "line 1: `--! end` without"),
        ("--! pg\n--! sqlite\n--! end", "line 2: the block before"),
        ("--! mysql", "line 1: only"),
    ] {
        let list: &'static [Migration] = Box::leak(Box::new([Migration { version: 1, name: "bad", text }]));
        let db = Db::open("sqlite::memory:", options()).await.expect("opens");
        let error = migrate(&db, list).await.expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
    }
}
