//! What can go wrong between the engine and a database, in words both databases share.
//!
//! Every driver error is translated here or in the two `errors` modules of [`crate::db`]; callers never see a driver's type, a
//! connection string, or a value that was stored. The rule for money: every variant except [`StoreError::Unavailable`] with
//! `outcome_unknown` means that *nothing of the transaction was written*.

use std::error::Error;

/// The result of every call of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Which rule of the schema refused a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// A unique or primary key already has this value.
    Unique,
    /// A referenced row is missing, or a row is still referenced.
    ForeignKey,
    /// A `CHECK` is false.
    Check,
    /// A `NOT NULL` column got null.
    NotNull,
    /// A trigger of the schema refused (append-only tables); the name is the trigger's message.
    Trigger,
}

/// Why the database did not do what was asked.
///
/// Unless a variant says otherwise, nothing of the transaction was written, and the same call may be made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database does not answer: connection refused or lost, pool wait too long, file not there, closed, or input/output errors.
    #[error(
        "the database is unavailable: {reason}{}",
        if *outcome_unknown { "; the connection was lost during commit, so the change may or may not have been written: repeat it, natural keys make that harmless" } else { "" }
    )]
    Unavailable {
        /// What happened, without credentials.
        reason: String,
        /// True only when the connection broke while the commit was under way.
        outcome_unknown: bool,
    },
    /// More work is waiting than the queue may hold; refused at once so that the caller can shed load.
    #[error("the database is overloaded: {waiting} transactions are waiting; try again later")]
    Busy {
        /// How many transactions were waiting.
        waiting: usize,
    },
    /// The disk, or the size the database may have, is used up.
    #[error("the database has no space left ({reason}); nothing was written: free space and try again")]
    Full {
        /// The database's own words.
        reason: String,
    },
    /// The database, the connection or the transaction may only read.
    #[error("the database is read-only ({reason}); nothing was written")]
    ReadOnly {
        /// What makes it so.
        reason: String,
    },
    /// The schema was written by a newer release.
    #[error(
        "the database has schema {found}, this release knows {known}: run the newer release, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// The schema version found.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// Another server process has this database file open.
    #[error("another server uses {path}: stop it first, or give this one its own database file")]
    Locked {
        /// The lock file.
        path: String,
    },
    /// Concurrent transactions got in each other's way more often than is allowed; each attempt was rolled back.
    #[error(
        "{operation} was rolled back {attempts} times because of concurrent changes; nothing was written: try again"
    )]
    Conflict {
        /// The name given to `write`.
        operation: &'static str,
        /// How often it ran.
        attempts: u32,
    },
    /// A rule of the schema refused the row.
    #[error("{kind:?} constraint {name} refused the change; nothing was written")]
    Constraint {
        /// `table(column, column)` for unique and not-null, the constraint's own name for checks, the message for triggers. SQLite
        /// does not name foreign keys, so do not match on those.
        name: String,
        /// Which sort of rule.
        kind: ConstraintKind,
    },
    /// The file or the server reports damage. Stop and restore.
    #[error("the database is damaged ({reason}): stop the server and restore the last good backup")]
    Corrupt {
        /// The database's own words.
        reason: String,
    },
    /// A statement was refused for a reason that is a defect of this program.
    #[error("statement {statement} failed: {message}")]
    Sql {
        /// The name given to [`crate::sql!`].
        statement: String,
        /// The database's own words, without values.
        message: String,
    },
    /// A row did not have the column or the type that was asked for.
    #[error("column {column}: {message}")]
    Row {
        /// Name or index asked for.
        column: String,
        /// What was wrong.
        message: String,
    },
    /// A migration cannot be applied as the files and the database stand.
    #[error("migration {version:04}: {message}")]
    Migration {
        /// Which one.
        version: i64,
        /// What is wrong and what mends it.
        message: String,
    },
    /// The database address or an option does not make sense.
    #[error("database address: {0}")]
    Config(String),
    /// The closure panicked; its transaction was rolled back.
    #[error("{operation} panicked and was rolled back: {message}")]
    Panicked {
        /// The name given to `write` or `read`.
        operation: &'static str,
        /// The panic's message.
        message: String,
    },
    /// A closure chose to roll back.
    #[error("rolled back: {0}")]
    Aborted(String),
    /// A closure rolled back with an error of its own, to be downcast by its caller.
    #[error(transparent)]
    Domain(Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Wraps a caller's own error, so that a closure can roll back with it.
    pub fn domain(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Domain(Box::new(error))
    }

    /// Did a unique key refuse the change?
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Constraint { kind: ConstraintKind::Unique, .. })
    }

    /// Would the same call, later and unchanged, have a chance? (Then HTTP answers 503, and workers back off.)
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Busy { .. } | Self::Full { .. } | Self::Conflict { .. } => true,
            Self::ReadOnly { .. }
            | Self::NewerSchema { .. }
            | Self::Locked { .. }
            | Self::Constraint { .. }
            | Self::Corrupt { .. }
            | Self::Sql { .. }
            | Self::Row { .. }
            | Self::Migration { .. }
            | Self::Config(_)
            | Self::Panicked { .. }
            | Self::Aborted(_)
            | Self::Domain(_) => false,
        }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), outcome_unknown: false }
    }
}
