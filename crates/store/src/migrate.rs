//! Forward-only migrations, embedded in the binary and recorded with their SHA-256.
//!
//! A file is one text for both databases, with the fragments of [`crate::sql`] and, where they must differ, blocks: a line `--! pg` or
//! `--! sqlite` begins one, `--! end` ends it. Each file runs in a transaction of its own, under a lock, so several servers may start at
//! once. A file that was applied is never changed: its checksum would no longer fit, and that is refused.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::db::{Db, MigrationReport, SchemaState, Tx};
use crate::error::{Result, StoreError};
use crate::sql;
use crate::sql::{Dialect, Sql};
use crate::value::V;

/// One embedded file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// The number in front of the name; 1, 2, 3, …
    pub(crate) version: i64,
    /// The rest of the file's name, without `.sql`.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    applied_at TEXT NOT NULL
)";

/// One at a time, until the transaction ends; and a long migration may take as long as it needs.
const LOCK_POSTGRES: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock(7341990520114)";

/// Applies what is missing.
pub(crate) async fn migrate(db: &Db, all: &'static [Migration]) -> Result<MigrationReport> {
    let from = state(db, all).await?.current;
    let mut applied = Vec::new();
    while let Some(name) = db.write("migrate", move |tx| step(tx, all)).await? {
        applied.push(name.to_owned());
    }
    let to = all.last().map_or(0, |last| last.version);
    Ok(MigrationReport { from, to, applied })
}

/// Compares database and release.
pub(crate) async fn state(db: &Db, all: &'static [Migration]) -> Result<SchemaState> {
    let expected = all.last().map_or(0, |last| last.version);
    let current = db.read("schema.state", current).await?;
    Ok(SchemaState { current, expected, newer: current > expected })
}

/// The catalogs differ too much for one text, so these two are not registered.
static TABLE_IS_THERE_SQLITE: Sql = Sql::registered(
    "schema.table",
    "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
);
static TABLE_IS_THERE_POSTGRES: Sql =
    Sql::registered("schema.table", "SELECT 1 AS one WHERE to_regclass('schema_migrations') IS NOT NULL");

fn current(tx: &mut dyn Tx) -> Result<i64> {
    let question = match tx.dialect() {
        Dialect::Sqlite => &TABLE_IS_THERE_SQLITE,
        Dialect::Postgres => &TABLE_IS_THERE_POSTGRES,
    };
    if tx.query_opt(question, &[])?.is_none() {
        return Ok(0);
    }
    let latest = sql!("schema.latest", "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations");
    tx.query_one(latest, &[])?.i64("version")
}

/// Checks what was applied and applies the next one; `None` when there is none left.
fn step(tx: &mut dyn Tx, all: &'static [Migration]) -> Result<Option<&'static str>> {
    if tx.dialect() == Dialect::Postgres {
        tx.script(LOCK_POSTGRES)?;
    }
    tx.script(TABLE)?;
    let applied = tx.query(
        sql!("schema.applied", "SELECT version, name, sha256 FROM schema_migrations ORDER BY version"),
        &[],
    )?;
    let mut known = all.iter();
    for row in &applied {
        let version = row.i64("version")?;
        let Some(migration) = known.next() else {
            let newest = all.last().map_or(0, |last| last.version);
            let found = applied.last().map_or(Ok(version), |last| last.i64("version"))?;
            return Err(StoreError::NewerSchema { found, known: newest });
        };
        if migration.version != version || row.text("sha256")? != checksum(migration) {
            return Err(changed(version, &row.text("name")?, migration));
        }
    }
    let Some(next) = known.next() else { return Ok(None) };
    let text = for_dialect(next, tx.dialect())?;
    tx.script(&text).map_err(|error| match error {
        StoreError::Sql { message, .. } => StoreError::Migration { version: next.version, message },
        other => other,
    })?;
    tx.exec(
        sql!(
            "schema.record",
            "INSERT INTO schema_migrations (version, name, sha256, applied_at)
             VALUES ($1, $2, $3, CAST(CURRENT_TIMESTAMP AS TEXT))"
        ),
        &[V::from(next.version), V::from(next.name), V::from(checksum(next))],
    )?;
    Ok(Some(next.name))
}

fn changed(version: i64, recorded: &str, migration: &Migration) -> StoreError {
    let message = format!(
        "{recorded} was applied to this database, but this release has another text for it ({}). Applied migrations never change: \
         run the release that wrote this database, restore its file from version control, or recreate a development database",
        migration.name
    );
    StoreError::Migration { version, message }
}

/// Of the text with line ends as in the repository.
fn checksum(migration: &Migration) -> String {
    hex::encode(Sha256::digest(migration.text.replace("\r\n", "\n").as_bytes()))
}

/// Picks the dialect's blocks and replaces the fragments.
fn for_dialect(migration: &Migration, dialect: Dialect) -> Result<String> {
    let refuse = |line: usize, what: &str| StoreError::Migration {
        version: migration.version,
        message: format!("{:04}_{}.sql, line {}: {what}", migration.version, migration.name, line + 1),
    };
    let mut block = None;
    let mut text = String::with_capacity(migration.text.len());
    for (number, line) in migration.text.lines().enumerate() {
        match (line.trim().strip_prefix("--!").map(str::trim), block) {
            (Some("pg"), None) => block = Some(Dialect::Postgres),
            (Some("sqlite"), None) => block = Some(Dialect::Sqlite),
            (Some("end"), Some(_)) => block = None,
            (Some("pg" | "sqlite"), Some(_)) => {
                return Err(refuse(number, "the block before is not ended by `--! end`"));
            }
            (Some("end"), None) => return Err(refuse(number, "`--! end` without a block")),
            (Some(_), _) => {
                return Err(refuse(number, "only `--! pg`, `--! sqlite` and `--! end` are known"));
            }
            (None, Some(only)) if only != dialect => {}
            (None, _) => {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{line}");
            }
        }
    }
    if block.is_some() {
        return Err(refuse(migration.text.lines().count(), "the last block is not ended by `--! end`"));
    }
    Ok(dialect.expand(&text).into_owned())
}
