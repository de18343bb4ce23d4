//! Why a command stopped: what happened, whether money moved, what mends it, and the exit code.
//!
//! Every error that reaches a terminal goes through [`Failure`], so that none is a bare "error".

use std::fmt::Write as _;

use quittance_engine::{Money, Problem};
use quittance_store::StoreError;
use serde_json::{Value, json};

use crate::serve::sqlite_path;

/// What the process answers to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: the command worked and found a problem, or could not do its work.
    Problem,
    /// 2: the command line or the configuration is wrong; nothing was begun.
    Usage,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Problem => 1,
            Self::Usage => 2,
        }
    }
}

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable word for programs.
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// What to do, naming the key or the command.
    pub mend: String,
    /// Whether money moved, where that could be in doubt.
    pub money: Option<Money>,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// The command could not do its work.
    #[must_use]
    pub fn problem(code: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, what: what.into(), mend: mend.into(), money: None, exit: Exit::Problem }
    }

    /// The command line or the configuration is wrong.
    #[must_use]
    pub fn usage(code: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::problem(code, what, mend) }
    }

    /// A setting cannot be used.
    #[must_use]
    pub fn config(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::usage("configuration", what, mend)
    }

    /// For people, on the error stream.
    #[must_use]
    pub fn for_people(&self) -> String {
        let mut text = format!("error: {}\n", self.what);
        if let Some(money) = self.money {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "money: {}", money_in_words(money));
        }
        let _ = writeln!(text, " mend: {}", self.mend);
        text
    }

    /// For programs, on the error stream.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let money = self.money.unwrap_or(Money::No);
        json!({ "error": { "code": self.code, "message": self.what, "mend": self.mend, "money_moved": money, "exit": self.exit.code() } })
    }
}

const fn money_in_words(money: Money) -> &'static str {
    match money {
        Money::No => "none moved.",
        Money::Yes => "it moved.",
        Money::Unknown => "not known yet; the same request can be sent again safely, it acts once.",
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let money = (problem.money != Money::No).then_some(problem.money);
        Self { money, ..Self::problem(problem.code.as_str(), problem.detail, problem.mend) }
    }
}

/// What a database's refusal means for whoever started the command. `url` is shown without its password.
#[must_use]
pub fn of_store(url: &str, error: &StoreError) -> Failure {
    let at = without_password(url);
    let (code, mend) = match error {
        StoreError::Config(_) => {
            return Failure::config(
                format!("DATABASE_URL (database.url) cannot be used: {error}"),
                "Set it to sqlite://path/to/quittance.db or postgres://user:password@host/database.",
            );
        }
        StoreError::Locked { .. } => (
            "database_locked",
            "Stop the other server first, or give this one its own file with DATABASE_URL=sqlite://other.db. Several servers at once need PostgreSQL.".to_owned(),
        ),
        StoreError::NewerSchema { .. } => (
            "newer_schema",
            "Start the newer release of quittance, or point DATABASE_URL at a backup made before the upgrade. Nothing was changed.".to_owned(),
        ),
        StoreError::ReadOnly { .. } => (
            "database_read_only",
            if at.starts_with("postgres") {
                "Point DATABASE_URL at the primary server, not at a standby, and name a user that owns the tables or may write them.".to_owned()
            } else {
                format!("Make {at} and its folder writable for the user that runs quittance, or point DATABASE_URL elsewhere.")
            },
        ),
        StoreError::Full { .. } => (
            "disk_full",
            "Free space on the database's disk and start again. Events that were not acknowledged are sent again by the provider.".to_owned(),
        ),
        StoreError::Corrupt { .. } => ("database_damaged", "Stop everything that uses it and restore the last good backup.".to_owned()),
        StoreError::Migration { .. } => ("migration", "Nothing was changed. Run `quittance migrate` to see it alone.".to_owned()),
        StoreError::Unavailable { .. } => (
            "database_unavailable",
            format!("Check DATABASE_URL ({at}): is the server running, the name right, the folder there and writable?"),
        ),
        StoreError::Busy { .. } | StoreError::Conflict { .. } => ("database_busy", "Try again in a moment.".to_owned()),
        StoreError::Constraint { .. }
        | StoreError::Sql { .. }
        | StoreError::Row { .. }
        | StoreError::Panicked { .. }
        | StoreError::Aborted(_)
        | StoreError::Domain(_)
        | _ => ("database", "This is a defect of quittance: please report it with this message.".to_owned()),
    };
    Failure::problem(code, error.to_string(), mend)
}

/// A database address as it may be shown.
#[must_use]
pub fn without_password(url: &str) -> String {
    if sqlite_path(url).is_some() || url == "sqlite::memory:" {
        return url.to_owned();
    }
    // Another form, such as `host=… password=…`, is not taken and could hold one anywhere.
    let Some((scheme, rest)) = url.split_once("://") else { return "(hidden)".to_owned() };
    // A password may hold what should have been encoded, so everything up to the last `@` counts as the user's.
    let Some((who, place)) = rest.rsplit_once('@') else {
        return format!("{scheme}://{}", before_options(rest));
    };
    let (user, password) = who.split_once(':').map_or((who, ""), |(user, _)| (user, ":***"));
    format!("{scheme}://{user}{password}@{}", before_options(place))
}

/// Options may hold a password too.
fn before_options(text: &str) -> &str {
    text.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("postgres://u:p@h:5432/q?password=x", "postgres://u:***@h:5432/q"),
            ("postgres://u:p%40@ss@h/q", "postgres://u:***@h/q"),
            ("postgres://u@h/q", "postgres://u@h/q"),
            ("postgres://h/q?password=x", "postgres://h/q"),
            ("postgres://u:p/w@h/q", "postgres://u:***@h/q"),
            ("postgres://u:p?w@h/q", "postgres://u:***@h/q"),
            ("host=h user=u password=x", "(hidden)"),
            ("sqlite://data/q.db", "sqlite://data/q.db"),
            ("sqlite::memory:", "sqlite::memory:"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
