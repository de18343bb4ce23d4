//! The facade's promises, on both databases where both can keep them. These tables exist only here.

mod contention;
mod migrations;
mod notify;
mod postgres_only;
mod server_gone;
mod sqlite_files;
mod sqlite_group;
mod transactions;

use crate::db::{Db, Tx};
use crate::error::Result;

/// A statement for a table that only tests have; not registered, so that it is not prepared on a real schema.
macro_rules! statement {
    ($text:expr) => {{
        static STATEMENT: $crate::sql::Sql = $crate::sql::Sql::registered($text, $text);
        &STATEMENT
    }};
}
use statement;

const TABLES: &str = "
    CREATE TABLE owners (id BIGINT NOT NULL PRIMARY KEY);
    CREATE TABLE items (
        id BIGINT NOT NULL PRIMARY KEY,
        kind TEXT,
        label TEXT NOT NULL,
        flag BOOLEAN NOT NULL,
        owner BIGINT CONSTRAINT items_owner REFERENCES owners (id) DEFERRABLE INITIALLY IMMEDIATE,
        late_owner BIGINT CONSTRAINT items_late REFERENCES owners (id) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT label_is_short CHECK (length(label) < 100)
    );
    CREATE UNIQUE INDEX items_kind_label ON items (kind, label);
";

/// Makes the tables.
async fn tables(db: &Db) {
    db.write("tables", |tx| tx.script(TABLES)).await.expect("the test's tables");
}

fn insert(tx: &mut dyn Tx, id: i64, label: &str) -> Result<u64> {
    let kind = "k";
    let into = statement!("INSERT INTO items (id, kind, label, flag) VALUES ($1, $2, $3, $4)");
    tx.exec(into, crate::params![id, kind, label, true])
}

/// The ids that are committed.
async fn ids(db: &Db) -> Vec<i64> {
    let all = |tx: &mut dyn Tx| {
        tx.query(statement!("SELECT id FROM items ORDER BY id"), &[])?
            .iter()
            .map(|row| row.i64("id"))
            .collect()
    };
    db.read("ids", all).await.expect("ids")
}
