//! SQLite's result codes in the words of [`StoreError`]. Specification: sqlite.org/rescode.html.

use rusqlite::ffi;

use crate::error::{ConstraintKind, StoreError};

/// A refusal that can be told to several callers, unlike the driver's error.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    code: i32,
    message: String,
}

impl Refusal {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(failure, message) => Self {
                code: failure.extended_code,
                message: message.clone().unwrap_or_else(|| failure.to_string()),
            },
            other => Self { code: ffi::SQLITE_ERROR, message: other.to_string() },
        }
    }

    /// A rule that was checked only at commit: someone in the group broke it, the others may be fine.
    pub(super) fn is_deferred_constraint(&self) -> bool {
        self.code & 0xff == ffi::SQLITE_CONSTRAINT
    }

    /// The same refusal for the caller of `statement`.
    pub(super) fn error(&self, statement: &str) -> StoreError {
        let reason = self.message.clone();
        match self.code & 0xff {
            ffi::SQLITE_CONSTRAINT => constraint(self.code, &self.message),
            ffi::SQLITE_FULL => StoreError::Full { reason },
            ffi::SQLITE_READONLY => StoreError::ReadOnly { reason },
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => StoreError::Corrupt { reason },
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => StoreError::unavailable(format!(
                "another process is writing to the database file ({reason}); nothing was written"
            )),
            ffi::SQLITE_IOERR
            | ffi::SQLITE_CANTOPEN
            | ffi::SQLITE_NOMEM
            | ffi::SQLITE_INTERRUPT
            | ffi::SQLITE_PROTOCOL => {
                StoreError::unavailable(format!("{reason} (SQLite code {})", self.code))
            }
            _ => StoreError::Sql { statement: statement.to_owned(), message: reason },
        }
    }
}

/// Translates one error of one statement.
pub(super) fn translate(statement: &str, error: &rusqlite::Error) -> StoreError {
    Refusal::of(error).error(statement)
}

fn constraint(code: i32, message: &str) -> StoreError {
    let kind = match code {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        ffi::SQLITE_CONSTRAINT_CHECK => ConstraintKind::Check,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        ffi::SQLITE_CONSTRAINT_TRIGGER => ConstraintKind::Trigger,
        _ => ConstraintKind::Unique,
    };
    let subject = message.split_once("constraint failed: ").map_or(message, |(_, subject)| subject);
    let name = match kind {
        ConstraintKind::Unique | ConstraintKind::NotNull => table_and_columns(subject),
        ConstraintKind::ForeignKey => "foreign key".to_owned(),
        ConstraintKind::Check | ConstraintKind::Trigger => subject.to_owned(),
    };
    StoreError::Constraint { name, kind }
}

/// `events.provider, events.account` becomes `events(provider, account)`; `index 'name'` (on an expression) becomes `name`.
fn table_and_columns(subject: &str) -> String {
    if let Some(index) = subject.strip_prefix("index '") {
        return index.trim_end_matches('\'').to_owned();
    }
    let mut table = "";
    let mut columns = Vec::new();
    for part in subject.split(", ") {
        let Some((of, column)) = part.split_once('.') else { return subject.to_owned() };
        table = of;
        columns.push(column);
    }
    format!("{table}({})", columns.join(", "))
}
