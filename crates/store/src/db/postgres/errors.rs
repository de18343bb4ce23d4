//! PostgreSQL's SQLSTATE codes in the words of [`StoreError`]. Specification: PostgreSQL manual, appendix A.
//!
//! The `DETAIL` of a violation holds stored values; only the column list is taken from it.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::error::{ConstraintKind, StoreError};

/// What the worker should do after a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Tell the caller.
    None,
    /// Roll back and run the closure again: a conflict, or a plan that a migration made stale.
    Again,
    /// The connection is gone: make a new one and run the closure again.
    Reconnect,
}

pub(super) fn remedy(error: &Error) -> Remedy {
    let Some(db) = error.as_db_error() else {
        return if error.is_closed() || has_io_source(error) { Remedy::Reconnect } else { Remedy::None };
    };
    let code = db.code();
    if *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
        || *code == SqlState::INVALID_SQL_STATEMENT_NAME
        || (*code == SqlState::FEATURE_NOT_SUPPORTED && db.message().contains("cached plan"))
    {
        return Remedy::Again;
    }
    if *code == SqlState::ADMIN_SHUTDOWN
        || *code == SqlState::CRASH_SHUTDOWN
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || code.code().starts_with("08")
    {
        return Remedy::Reconnect;
    }
    Remedy::None
}

/// Must the statements prepared on this connection be forgotten?
pub(super) fn is_stale_plan(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::FEATURE_NOT_SUPPORTED
    })
}

fn has_io_source(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

pub(super) fn translate(statement: &str, error: &Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        return if remedy(error) == Remedy::Reconnect {
            StoreError::unavailable(with_cause(error))
        } else {
            StoreError::Sql { statement: statement.to_owned(), message: with_cause(error) }
        };
    };
    let code = db.code();
    let reason = || db.message().to_owned();
    match code.code() {
        "23505" => constraint(ConstraintKind::Unique, db),
        "23503" => constraint(ConstraintKind::ForeignKey, db),
        "23514" => constraint(ConstraintKind::Check, db),
        "23502" => constraint(ConstraintKind::NotNull, db),
        // RAISE EXCEPTION in a trigger of the schema.
        "P0001" => StoreError::Constraint { name: reason(), kind: ConstraintKind::Trigger },
        "53100" => StoreError::Full { reason: reason() },
        // A read-only transaction; no right to write.
        "25006" | "42501" => StoreError::ReadOnly { reason: reason() },
        "XX001" | "XX002" => StoreError::Corrupt { reason: reason() },
        // Out of memory or connections, starting up, shutting down, statement or lock wait too long.
        "53200" | "53300" | "53400" | "57014" | "55P03" | "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => {
            StoreError::unavailable(format!("{} (SQLSTATE {})", db.message(), code.code()))
        }
        other if other.starts_with("08") || other.starts_with("58") => {
            StoreError::unavailable(format!("{} (SQLSTATE {other})", db.message()))
        }
        other => StoreError::Sql {
            statement: statement.to_owned(),
            message: format!("{} (SQLSTATE {other})", db.message()),
        },
    }
}

/// Why a connection could not be made; never contains the password.
pub(super) fn cannot_connect(error: &Error) -> StoreError {
    match error.code().map(SqlState::code) {
        Some("28P01" | "28000") => StoreError::unavailable(format!(
            "the server refused the login ({}); check user and password",
            with_cause(error)
        )),
        Some("3D000") => StoreError::unavailable(format!("{}; create it with createdb", with_cause(error))),
        Some(_) | None => StoreError::unavailable(format!("cannot connect: {}", with_cause(error))),
    }
}

fn with_cause(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return db.message().to_owned();
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn constraint(kind: ConstraintKind, db: &DbError) -> StoreError {
    let own_name = || db.constraint().unwrap_or("unnamed").to_owned();
    let table = db.table().unwrap_or("");
    let name = match kind {
        ConstraintKind::Unique => {
            db.detail().and_then(key_columns).map_or_else(own_name, |columns| format!("{table}({columns})"))
        }
        ConstraintKind::NotNull => format!("{table}({})", db.column().unwrap_or("")),
        ConstraintKind::ForeignKey | ConstraintKind::Check | ConstraintKind::Trigger => own_name(),
    };
    StoreError::Constraint { name, kind }
}

/// `Key (provider, account)=(stripe, acct_1) already exists.` has the columns `provider, account`; an expression index has none.
fn key_columns(detail: &str) -> Option<&str> {
    let (columns, _values) = detail.strip_prefix("Key (")?.split_once(")=")?;
    (!columns.contains(['(', '\''])).then_some(columns)
}
