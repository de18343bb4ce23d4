//! Opening SQLite files: the address, the pragmas, the lock file.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quittance_domain::mutant::{self, Mutant};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::errors::translate;
use crate::error::{Result, StoreError};

/// How long a connection waits for another *process* that writes. Within the process nobody waits: there is one writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and how far apart, entering the write-ahead log is tried again: as long as [`BUSY_TIMEOUT`] in all.
const ENTER_AGAIN: u32 = 500;
const ENTER_PAUSE: Duration = Duration::from_millis(10);
/// Prepared statements kept per connection; above the number of statements of this crate.
const STATEMENTS_KEPT: usize = 512;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Private to this handle, gone with it.
    Memory,
    File(PathBuf),
}

/// Reads `sqlite::memory:`, `sqlite://relative`, `sqlite:///absolute` and `sqlite:path`.
pub(super) fn place(url: &str) -> Result<Place> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        ":memory:" => Ok(Place::Memory),
        "" => Err(StoreError::Config("sqlite:// needs a path, such as sqlite://quittance.db".to_owned())),
        path if path.contains('?') => {
            Err(StoreError::Config("a sqlite:// address takes no ? options".to_owned()))
        }
        path => Ok(Place::File(PathBuf::from(path))),
    }
}

/// The one connection that writes.
pub(super) fn writer(place: &Place, checkpoints_itself: bool) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match place {
        Place::Memory => Connection::open_in_memory().map_err(failed)?,
        Place::File(path) => open(path, flags)?,
    };
    common(&connection)?;
    if let Place::File(path) = place {
        enter_wal(&connection, path)?;
    }
    let checkpoint_after = if checkpoints_itself { 1000 } else { 0 };
    // FULL: an acknowledged event must survive power loss. The size limit shrinks the log after a checkpoint that got behind.
    let flush = if mutant::is(Mutant::Durability) { "OFF" } else { "FULL" };
    let pragmas = format!(
        "PRAGMA synchronous = {flush}; PRAGMA wal_autocheckpoint = {checkpoint_after}; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16000;"
    );
    connection.execute_batch(&pragmas).map_err(failed)?;
    Ok(connection)
}

/// A connection that can only read.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    common(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8000;").map_err(failed)?;
    Ok(connection)
}

/// The connection that moves the log into the database file, off the commit path.
pub(super) fn checkpointer(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    common(&connection)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;").map_err(failed)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    Connection::open_with_flags(path, flags).map_err(|error| {
        StoreError::unavailable(format!(
            "cannot open {}: {error}; check that the folder exists and may be used",
            path.display()
        ))
    })
}

fn common(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // "text" in double quotes is a name, as in PostgreSQL, never a string.
    for setting in [DbConfig::SQLITE_DBCONFIG_DQS_DML, DbConfig::SQLITE_DBCONFIG_DQS_DDL] {
        connection.set_db_config(setting, false).map_err(failed)?;
    }
    // A plan depends on the statement alone: SQLite would otherwise prepare many again whenever a parameter changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    connection
        // With recursive triggers a row that REPLACE takes away meets the trigger that forbids it, as a DELETE does.
        .execute_batch("PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")
        .map_err(failed)
}

fn enter_wal(connection: &Connection, path: &Path) -> Result<()> {
    let enter = || connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
    let mut entered = enter();
    // Two processes that create the file together both upgrade their locks; SQLite then refuses one at once, without its busy timeout.
    for _ in 0..ENTER_AGAIN {
        if !matches!(&entered, Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)) {
            break;
        }
        std::thread::sleep(ENTER_PAUSE);
        entered = enter();
    }
    let mode = entered.map_err(failed)?;
    if mode == "wal" {
        return Ok(());
    }
    let reason = format!(
        "{} cannot use a write-ahead log (it stays in mode {mode}): put it on a local disk",
        path.display()
    );
    Err(StoreError::Config(reason))
}

fn failed(error: rusqlite::Error) -> StoreError {
    translate("open", &error)
}

/// Takes `<database file>-lock`, held until the file is dropped.
pub(super) fn lock(path: &Path) -> Result<File> {
    // The file exists by now; two names of it (a link) must meet in one lock.
    let real = path
        .canonicalize()
        .map_err(|error| StoreError::unavailable(format!("cannot resolve {}: {error}", path.display())))?;
    let mut name = OsString::from(real);
    name.push("-lock");
    let path = PathBuf::from(name);
    let cannot =
        |error: std::io::Error| StoreError::unavailable(format!("cannot lock {}: {error}", path.display()));
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, place};

    #[test]
    fn addresses() {
        let file = |path: &str| Some(Place::File(path.into()));
        assert_eq!(place("sqlite::memory:").ok(), Some(Place::Memory));
        assert_eq!(place("sqlite://data/q.db").ok(), file("data/q.db"));
        assert_eq!(place("sqlite:///var/q.db").ok(), file("/var/q.db"));
        assert_eq!(place("sqlite:q.db").ok(), file("q.db"));
        assert!(place("sqlite://").is_err());
        assert!(place("sqlite://q.db?mode=ro").is_err());
    }
}
