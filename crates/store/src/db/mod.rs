//! The database facade: `db.write("name", |tx| …)` on SQLite and PostgreSQL alike.
//!
//! Transactions are synchronous closures, so no HTTP call, no `.await`, no clock read and no cancellation can happen inside one, and
//! one can be run again when the database asks for it. This module knows nothing of billing; the repositories beside it do.

mod job;
mod postgres;
mod queue;
mod sqlite;
mod stats;
#[cfg(test)]
mod tests;
mod tx;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::broadcast;

use self::postgres::Postgres;
use self::sqlite::Sqlite;
use self::stats::Counters;
use crate::error::{Result, StoreError};
use crate::sql::Dialect;
use crate::{migrate, migrations, sql};

pub use self::stats::Stats;
pub use self::tx::Tx;

/// Changes a slow receiver may be behind before it is told that it lags.
const CHANGES_KEPT: usize = 1024;

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether this handle may write.
    pub access: Access,
    /// Take the lock file, so that no second server opens the same SQLite file. Commands beside a running server leave it false.
    pub exclusive: bool,
    /// How many transactions may wait before [`StoreError::Busy`].
    pub queue: usize,
    /// SQLite: how many waiting transactions may share one commit.
    pub group: usize,
    /// SQLite: threads with a connection for reading.
    pub readers: usize,
    /// SQLite: run everything in the calling thread, so that a simulation in virtual time waits for no other thread.
    pub inline: bool,
    /// PostgreSQL: connections.
    pub connections: u32,
    /// PostgreSQL: how long a transaction waits for a free connection before [`StoreError::Unavailable`].
    pub wait: Duration,
}

/// Whether a handle may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes; creates a missing SQLite file.
    ReadWrite,
    /// Only reads; writes are [`StoreError::ReadOnly`].
    ReadOnly,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: Access::ReadWrite,
            exclusive: false,
            queue: 4096,
            group: 256,
            readers: 4,
            inline: false,
            connections: 16,
            wait: Duration::from_secs(5),
        }
    }
}

/// Something was committed that others want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The payload given to [`Tx::notify`].
    Payload(String),
    /// Changes may have been missed (connection lost, another process wrote): look at everything again.
    Resync,
}

/// How the schema of the database compares with this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaState {
    /// The last migration applied, 0 for an empty database.
    pub current: i64,
    /// The last migration this release knows.
    pub expected: i64,
    /// True when the database was written by a newer release.
    pub newer: bool,
}

/// What [`Db::migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The schema before.
    pub from: i64,
    /// The schema now.
    pub to: i64,
    /// Names of the migrations applied now.
    pub applied: Vec<String>,
}

/// A handle to a database; cheap to clone. When the last clone is dropped, queued work is still done and then the database is let go.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    shared: Arc<Shared>,
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// What the engines' threads and the handles have in common.
struct Shared {
    counters: Arc<Counters>,
    changes: broadcast::Sender<Change>,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { counters: Arc::default(), changes: broadcast::channel(CHANGES_KEPT).0 })
    }

    fn publish(&self, change: Change) {
        // Nobody may be listening, which is fine.
        let _listeners = self.changes.send(change);
    }
}

impl Db {
    /// Opens `sqlite://path`, `sqlite::memory:` or `postgres://user:password@host/database?sslmode=…`. Does not migrate.
    ///
    /// # Errors
    /// [`StoreError::Config`] for an address that makes no sense, [`StoreError::Locked`] when exclusive access was asked for and another
    /// server has it, [`StoreError::Unavailable`] when the file or the server cannot be reached.
    pub async fn open(url: &str, options: Options) -> Result<Self> {
        let shared = Shared::new();
        let engine = if url.starts_with("sqlite:") {
            Engine::Sqlite(Sqlite::open(url, &options, &shared)?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Engine::Postgres(Postgres::open(url, &options, &shared)?)
        } else {
            return Err(StoreError::Config("it must begin with sqlite:// or postgres://".to_owned()));
        };
        let db = Self { inner: Arc::new(Inner { engine, shared }) };
        db.read("open", |tx| tx.query_one(sql!("db.answers", "SELECT 1 AS one"), &[]).map(drop)).await?;
        Ok(db)
    }

    /// Another handle on the same open database, for whoever comes after the holders of this one: they are answered no
    /// more, and nobody listens yet. For simulations, in which a restart need not read the schema again: `None` unless
    /// this was opened with [`Options::inline`], without [`Options::exclusive`], and is between two transactions.
    #[must_use]
    pub fn pass_on(&self) -> Option<Self> {
        let Engine::Sqlite(sqlite) = &self.inner.engine else { return None };
        let shared = Shared::new();
        let engine = Engine::Sqlite(sqlite.pass_on(&shared)?);
        Some(Self { inner: Arc::new(Inner { engine, shared }) })
    }

    /// Runs `f` in a transaction that may write, and answers when the commit is durable.
    ///
    /// `f` must depend on nothing but its captures and the database: it runs again after a conflict, and once more when it shared a
    /// commit with a transaction that failed. Dropping the future does not undo it. `name` appears in errors and logs.
    ///
    /// # Errors
    /// `f`'s own error, after rolling back; or why the database did not do it. Unless the error says that the outcome is unknown,
    /// nothing was written.
    pub async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl Fn(&mut dyn Tx) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        self.run(name, false, f).await
    }

    /// Runs `f` on one snapshot of what is committed; writing is refused.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn read<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl Fn(&mut dyn Tx) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        self.run(name, true, f).await
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        reads: bool,
        f: impl Fn(&mut dyn Tx) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let (job, answer) = job::job(name, reads, f);
        let result = match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.run(job, answer).await,
            Engine::Postgres(postgres) => postgres.run(job, answer).await,
        };
        if matches!(result, Err(StoreError::Busy { .. })) {
            stats::count(&self.inner.shared.counters.refused);
        }
        result
    }

    /// Applies the migrations that are missing, each in a transaction; does nothing when there are none.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] and [`StoreError::Migration`] say what is in the way.
    pub async fn migrate(&self) -> Result<MigrationReport> {
        migrate::migrate(self, migrations::MIGRATIONS).await
    }

    /// Compares the schema with this release; changes nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_state(&self) -> Result<SchemaState> {
        migrate::state(self, migrations::MIGRATIONS).await
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.inner.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Everything given to [`Tx::notify`] and committed from now on: on PostgreSQL by any process, on SQLite by this handle (another
    /// process's commits come as [`Change::Resync`] within about a second). A receiver that lags must treat that as `Resync` too.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        let receiver = self.inner.shared.changes.subscribe();
        if let Engine::Postgres(postgres) = &self.inner.engine {
            postgres.listen();
        }
        receiver
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let queue = match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.queue(),
            Engine::Postgres(postgres) => Some(postgres.queue()),
        };
        let (queued, capacity) = queue.map_or((0, 0), |queue| (queue.len(), queue.capacity()));
        self.inner.shared.counters.snapshot(queued, capacity)
    }

    /// Refuses new work (through any clone), finishes what is queued and waits until the database is let go.
    pub async fn close(self) {
        let threads = self.inner.engine.shut();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has let go as well.
                let _ended = thread.join();
            }
        });
        let _joined = joined.await;
    }
}

impl Engine {
    fn shut(&self) -> Vec<JoinHandle<()>> {
        match self {
            Self::Sqlite(sqlite) => {
                sqlite.shut();
                sqlite.threads()
            }
            Self::Postgres(postgres) => {
                postgres.shut();
                postgres.threads()
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Not joined: the last handle may be dropped by a closure on one of these threads.
        let _detached = self.engine.shut();
    }
}

/// Can PostgreSQL's type be a parameter or a column here?
#[cfg(test)]
pub(crate) fn carries(of: &tokio_postgres::types::Type) -> bool {
    postgres::carried(of)
}
