//! Commit, rollback, values, rows and the names of constraints: the same on both databases.

use super::{ids, insert, statement, tables};
use crate::db::{Db, Tx};
use crate::error::{ConstraintKind, StoreError};
use crate::params;
use crate::sql::Dialect;
use crate::testing::on_each_database;
use crate::value::V;

#[tokio::test]
async fn a_closure_commits_or_leaves_nothing() {
    on_each_database(|db| async move {
        tables(&db).await;
        db.write("good", |tx| insert(tx, 1, "a")).await.expect("committed");
        let aborted = db
            .write("bad", |tx| {
                insert(tx, 2, "b").and_then(|_| Err::<(), _>(StoreError::Aborted("no".to_owned())))
            })
            .await;
        assert!(matches!(aborted, Err(StoreError::Aborted(reason)) if reason == "no"));
        let panicked =
            db.write("worse", |tx| -> crate::Result<()> { insert(tx, 3, "c").map(|_| panic!("ouch")) }).await;
        assert!(
            matches!(panicked, Err(StoreError::Panicked { operation: "worse", message }) if message == "ouch")
        );
        assert_eq!(ids(&db).await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_failed_cannot_be_ignored() {
    on_each_database(|db| async move {
        tables(&db).await;
        let result = db
            .write("ignore", |tx| {
                insert(tx, 1, "a")?;
                assert!(insert(tx, 1, "a").is_err());
                assert!(matches!(insert(tx, 2, "b"), Err(StoreError::Sql { message, .. }) if message.contains("earlier")));
                Ok(())
            })
            .await;
        assert!(matches!(result, Err(StoreError::Sql { .. })), "{result:?}");
        assert_eq!(ids(&db).await, [] as [i64; 0]);
    })
    .await;
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    on_each_database(|db| async move {
        let create = match db.dialect() {
            Dialect::Sqlite => "CREATE TABLE kinds (i BIGINT, b BOOLEAN, t TEXT, y BLOB, n TEXT)",
            Dialect::Postgres => "CREATE TABLE kinds (i BIGINT, b BOOLEAN, t TEXT, y BYTEA, n TEXT)",
        };
        db.write("create", move |tx| tx.script(create)).await.expect("created");
        // $2 stands before $1 on purpose: SQLite numbers placeholders by appearance.
        let insert = statement!("INSERT INTO kinds (b, i, t, y, n) VALUES ($2, $1, $3, $4, $5)");
        let values = [V::I(i64::MIN), V::B(true), V::from("ä\u{1F600}"), V::from(vec![0, 255]), V::Null];
        let written = db.write("insert", move |tx| tx.exec(insert, &values)).await;
        assert_eq!(written.expect("inserted"), 1);
        let row = db
            .read("one", |tx| tx.query_one(statement!("SELECT i, b, t, y, n FROM kinds"), &[]))
            .await
            .expect("a row");
        assert_eq!(row.i64("i").expect("i"), i64::MIN);
        assert!(row.bool("b").expect("b"));
        assert_eq!(row.text(2_usize).expect("t"), "ä\u{1F600}");
        assert_eq!(row.bytes("y").expect("y"), [0, 255]);
        assert_eq!(row.opt_text("n").expect("n"), None);
        let mistakes = [row.i64("t"), row.i64("n"), row.i64("missing"), row.i64(9_usize)]
            .map(|e| e.expect_err("refused").to_string());
        assert_eq!(
            mistakes,
            [
                "column t: is text, not an integer",
                "column n: is null",
                "column missing: not in this result, which has i, b, t, y, n",
                "column #9: not in this result, which has i, b, t, y, n",
            ]
        );
    })
    .await;
}

async fn refusal(db: &Db, values: [V; 5]) -> (ConstraintKind, String) {
    let into = statement!("INSERT INTO items (id, kind, label, flag, owner) VALUES ($1, $2, $3, $4, $5)");
    match db.write("insert", move |tx| tx.exec(into, &values)).await {
        Err(StoreError::Constraint { name, kind }) => (kind, name),
        other => panic!("expected a constraint, got {other:?}"),
    }
}

#[tokio::test]
async fn constraints_have_the_same_names() {
    on_each_database(|db| async move {
        tables(&db).await;
        db.write("good", |tx| insert(tx, 1, "a")).await.expect("committed");
        let row = |id: i64, label: V, owner: V| [V::I(id), V::from("k"), label, V::B(true), owner];
        let unique = refusal(&db, row(2, "a".into(), V::Null)).await;
        assert_eq!(unique, (ConstraintKind::Unique, "items(kind, label)".to_owned()));
        let key = refusal(&db, row(1, "b".into(), V::Null)).await;
        assert_eq!(key, (ConstraintKind::Unique, "items(id)".to_owned()));
        let null = refusal(&db, row(2, V::Null, V::Null)).await;
        assert_eq!(null, (ConstraintKind::NotNull, "items(label)".to_owned()));
        let check = refusal(&db, row(2, "x".repeat(100).into(), V::Null)).await;
        assert_eq!(check, (ConstraintKind::Check, "label_is_short".to_owned()));
        assert_eq!(refusal(&db, row(2, "b".into(), V::I(7))).await.0, ConstraintKind::ForeignKey);
    })
    .await;
}

#[tokio::test]
async fn a_trigger_that_refuses_is_a_constraint_with_its_message() {
    on_each_database(|db| async move {
        tables(&db).await;
        let trigger = match db.dialect() {
            Dialect::Sqlite => {
                "CREATE TRIGGER keep BEFORE DELETE ON items BEGIN SELECT RAISE(ABORT, 'items are append-only'); END"
            }
            Dialect::Postgres => {
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'items are append-only'; END $$;
                 CREATE TRIGGER keep BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep()"
            }
        };
        db.write("trigger", move |tx| tx.script(trigger).and_then(|()| insert(tx, 1, "a"))).await.expect("set up");
        let refused = db.write("delete", |tx| tx.exec(statement!("DELETE FROM items"), &[])).await;
        let Err(StoreError::Constraint { name, kind }) = refused else { panic!("{refused:?}") };
        assert_eq!((kind, name.as_str()), (ConstraintKind::Trigger, "items are append-only"));
    })
    .await;
}

#[tokio::test]
async fn a_rule_checked_at_commit_reaches_the_caller() {
    on_each_database(|db| async move {
        tables(&db).await;
        let into = statement!(
            "INSERT INTO items (id, kind, label, flag, late_owner) VALUES ($1, 'k', 'late', $2, 99)"
        );
        let late = db.write("late", move |tx| tx.exec(into, params![5, true])).await;
        assert!(
            matches!(late, Err(StoreError::Constraint { kind: ConstraintKind::ForeignKey, .. })),
            "{late:?}"
        );
        assert_eq!(ids(&db).await, [] as [i64; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_batch_runs_in_order_and_stops_at_the_first_failure() {
    on_each_database(|db| async move {
        tables(&db).await;
        let upsert = statement!(
            "INSERT INTO items (id, kind, label, flag) VALUES ($1, 'k', $2, TRUE)
             ON CONFLICT (id) DO UPDATE SET label = excluded.label RETURNING label, id"
        );
        let sets: Vec<Vec<V>> = (0..200).map(|n| vec![V::I(n % 50), V::from(format!("n{n}"))]).collect();
        let rows = db.write("batch", move |tx| tx.batch(upsert, &sets)).await.expect("committed");
        assert_eq!(rows.len(), 200);
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row[0].text("label").expect("label"), format!("n{n}"));
        }
        let last = statement!("SELECT label FROM items WHERE id = 7");
        assert_eq!(db.read("last", |tx| tx.query_one(last, &[])?.text("label")).await.expect("row"), "n157");

        let twice: Vec<Vec<V>> = [60, 61, 60, 62].map(|id| vec![V::I(id), V::from(format!("t{id}"))]).into();
        let plain = statement!("INSERT INTO items (id, kind, label, flag) VALUES ($1, 'k', $2, TRUE)");
        let failed =
            db.write("twice", move |tx| tx.batch(plain, &twice)).await.expect_err("60 is there twice");
        assert!(failed.is_unique_violation(), "{failed}");
        assert_eq!(ids(&db).await.len(), 50);
        let none =
            db.write("none", |tx| tx.batch(statement!("SELECT 1 AS one"), &[])).await.expect("nothing to do");
        assert!(none.is_empty());
    })
    .await;
}

#[tokio::test]
async fn reading_cannot_write() {
    on_each_database(|db| async move {
        tables(&db).await;
        let refused = db.read("sly", |tx| insert(tx, 1, "a")).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
        db.write("still works", |tx| insert(tx, 2, "b")).await.expect("committed");
        assert_eq!(ids(&db).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn a_read_sees_one_snapshot() {
    on_each_database(|db| async move {
        tables(&db).await;
        let (looked, has_looked) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        let may_go_on = std::sync::Mutex::new(may_go_on);
        let reading = tokio::spawn({
            let db = db.clone();
            async move {
                db.read("twice", move |tx| {
                    let count = |tx: &mut dyn Tx| {
                        tx.query_one(statement!("SELECT COUNT(*) AS n FROM items"), &[])?.i64("n")
                    };
                    let before = count(tx)?;
                    looked.send(()).expect("the test waits");
                    may_go_on.lock().expect("not poisoned").recv().expect("the test sends");
                    Ok((before, count(tx)?))
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || has_looked.recv())
            .await
            .expect("joined")
            .expect("the reader looked");
        db.write("between", |tx| insert(tx, 1, "a")).await.expect("committed");
        go_on.send(()).expect("the reader waits");
        assert_eq!(reading.await.expect("joined").expect("read"), (0, 0));
        assert_eq!(ids(&db).await, [1]);
    })
    .await;
}

#[tokio::test]
async fn mistakes_in_the_program_are_named() {
    on_each_database(|db| async move {
        tables(&db).await;
        let message = |result: crate::Result<u64>| result.expect_err("refused").to_string();
        let too_few = db.write("few", |tx| tx.exec(statement!("DELETE FROM items WHERE id = $1"), &[])).await;
        assert!(message(too_few).contains("has 1 parameters, got 0"));
        let nul = db.write("nul", |tx| insert(tx, 1, "a\0b")).await;
        assert!(message(nul).contains("NUL"));
        let many =
            db.read("many", |tx| tx.query_opt(statement!("SELECT 1 AS n UNION ALL SELECT 2"), &[])).await;
        assert!(many.expect_err("refused").to_string().contains("expected one row, found 2"));
        let none = db.read("none", |tx| tx.query_one(statement!("SELECT id FROM items"), &[])).await;
        assert!(none.expect_err("refused").to_string().contains("expected one row, found 0"));
        let float = db.read("float", |tx| tx.query(statement!("SELECT 1.5 * 2 AS price"), &[])).await;
        assert!(matches!(float, Err(StoreError::Row { column, .. }) if column == "price"));
    })
    .await;
}
