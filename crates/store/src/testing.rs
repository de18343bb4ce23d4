//! Databases for tests: a fresh, migrated SQLite file, and a fresh PostgreSQL database where a server is given.
//!
//! `QUITTANCE_TEST_POSTGRES` holds the address of a server where databases may be created. Each test gets a copy of a migrated template.
//! Without the variable PostgreSQL is skipped aloud; with `QUITTANCE_REQUIRE_POSTGRES=1` its absence fails the test.
//!
//! It panics where a test should: nothing here is for programs.
#![allow(clippy::expect_used, clippy::panic, reason = "only tests use it, and there a panic is the report")]

use std::env;
use std::future::Future;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::db::{Db, Options};
use crate::migrations::MIGRATIONS;

/// A database of one test; gone when dropped.
pub struct TestDb {
    /// The open handle.
    pub db: Db,
    /// Its address, to open it once more, as another process would.
    pub url: String,
    _cleanup: Cleanup,
}

enum Cleanup {
    File { _folder: TempDir },
    Postgres { server: String, database: String },
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Self::Postgres { server, database } = self {
            let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
            let server = server.clone();
            // On a thread, because a test's runtime may be in its last moments. Best effort: a leftover harms nobody.
            let _dropped = std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async move { admin(&server).await.batch_execute(&drop).await })
            })
            .join();
        }
    }
}

/// Options for tests: few threads.
#[must_use]
pub fn options() -> Options {
    Options { readers: 2, connections: 8, ..Options::default() }
}

/// A migrated SQLite file.
///
/// # Panics
/// When it cannot be made; so all of this module.
pub async fn sqlite() -> TestDb {
    sqlite_with(options()).await
}

/// A migrated SQLite file, opened with these options.
pub async fn sqlite_with(options: Options) -> TestDb {
    let folder = TempDir::new().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let db = Db::open(&url, options).await.expect("the test database opens");
    db.migrate().await.expect("migrations apply on SQLite");
    TestDb { db, url, _cleanup: Cleanup::File { _folder: folder } }
}

/// A migrated PostgreSQL database, or `None` (said aloud) where no server is given.
pub async fn postgres() -> Option<TestDb> {
    postgres_with(options()).await
}

/// A migrated PostgreSQL database, opened with these options.
pub async fn postgres_with(options: Options) -> Option<TestDb> {
    let server = postgres_server()?;
    let template = template(&server).await;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let database = format!("quittance_test_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let client = admin(&server).await;
    // A left-over of a process that had the same number.
    client
        .batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
        .await
        .expect("a left-over is dropped");
    client
        .batch_execute(&format!("CREATE DATABASE {database} TEMPLATE {template}"))
        .await
        .expect("a test database is created");
    let url = with_database(&server, &database);
    let cleanup = Cleanup::Postgres { server, database };
    let db = Db::open(&url, options).await.expect("the test database opens");
    Some(TestDb { db, url, _cleanup: cleanup })
}

/// One of each kind that is to be had: SQLite first.
pub async fn databases() -> Vec<TestDb> {
    let mut all = vec![sqlite().await];
    all.extend(postgres().await);
    all
}

/// Runs one suite on each database, one after the other, and says which one it is on.
pub async fn on_each_database<F, R>(suite: F)
where
    F: Fn(Db) -> R,
    R: Future<Output = ()>,
{
    for test in databases().await {
        eprintln!("on {}", test.db.dialect().name());
        suite(test.db.clone()).await;
    }
}

fn postgres_server() -> Option<String> {
    let server = env::var("QUITTANCE_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    if server.is_none() {
        let required = env::var("QUITTANCE_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "QUITTANCE_REQUIRE_POSTGRES=1, but QUITTANCE_TEST_POSTGRES is not set (cargo xtask test sets it)"
        );
        eprintln!("skipped PostgreSQL: QUITTANCE_TEST_POSTGRES is not set (cargo xtask test sets it)");
    }
    server
}

async fn admin(server: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(server, NoTls)
        .await
        .expect("the PostgreSQL server of QUITTANCE_TEST_POSTGRES answers");
    tokio::spawn(connection);
    client
}

/// `postgres://host/one?x=y` with another database.
fn with_database(server: &str, database: &str) -> String {
    let (base, options) =
        server.split_once('?').map_or((server, None), |(base, options)| (base, Some(options)));
    let after_scheme = base.find("://").map_or(0, |at| at + 3);
    let host_ends =
        base.get(after_scheme..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| after_scheme + at);
    let options = options.map_or_else(|| "?sslmode=disable".to_owned(), |options| format!("?{options}"));
    format!("{}/{database}{options}", base.get(..host_ends).unwrap_or(base))
}

/// The name of a migrated database; made by whichever test process comes first.
async fn template(server: &str) -> String {
    let mut digest = Sha256::new();
    for migration in MIGRATIONS {
        digest.update(migration.text.as_bytes());
    }
    let name: String = hex::encode(digest.finalize()).chars().take(16).collect();
    let name = format!("quittance_template_{name}");
    let client = admin(server).await;
    // Held until `client` is dropped, so that others wait until the template is whole.
    client.batch_execute("SELECT pg_advisory_lock(7341990520115)").await.expect("the template's lock");
    let found = client
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
        .await
        .expect("pg_database is readable");
    if found.is_none() {
        let draft = format!("{name}_draft");
        client
            .batch_execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)"))
            .await
            .expect("a draft is dropped");
        client.batch_execute(&format!("CREATE DATABASE {draft}")).await.expect("a template is created");
        let db = Db::open(&with_database(server, &draft), options()).await.expect("the template opens");
        db.migrate().await.expect("migrations apply on PostgreSQL");
        db.close().await;
        // A renamed database is a finished one.
        client
            .batch_execute(&format!("ALTER DATABASE {draft} RENAME TO {name}"))
            .await
            .expect("the template is finished");
    }
    name
}
