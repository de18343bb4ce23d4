//! What operators did. An act is written before it is done, its end beside it; the database refuses to change either.

use quittance_domain::Timestamp;

use crate::db::Tx;
use crate::error::Result;
use crate::sql::Sql;
use crate::value::Row;
use crate::{json, params};

/// How an operator reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the HTTP API.
    Api,
    /// By the command line.
    Console,
}

impl Way {
    /// The word in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Console => "console",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Api, Self::Console].into_iter().find(|way| way.as_str() == word)
    }
}

/// An act that is about to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAct {
    /// The API key's id, or the user of the command line.
    pub actor: String,
    /// How it reached us.
    pub way: Way,
    /// What is done.
    pub action: String,
    /// What it is done to.
    pub target: String,
    /// What was sent, without secrets and personal data, JSON.
    pub input: Option<String>,
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActState {
    /// It is under way, or nobody knows how it ended: the process died.
    Begun,
    /// It was done.
    Done {
        /// When.
        at: Timestamp,
    },
    /// It was refused or failed.
    Refused {
        /// When.
        at: Timestamp,
        /// The problem's code.
        problem: String,
    },
}

/// An act as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRow {
    /// Running number and cursor.
    pub seq: i64,
    /// When it began.
    pub at: Timestamp,
    /// What it was.
    pub act: NewAct,
    /// How it ended.
    pub state: ActState,
}

static BEGIN: &Sql = crate::sql!(
    "audit.begin",
    "INSERT INTO audit (at, actor, way, action, target, input) VALUES ($1, $2, $3, $4, $5, $6) RETURNING seq"
);
static END: &Sql = crate::sql!(
    "audit.end",
    "INSERT INTO audit_ends (act, at, problem) VALUES ($1, $2, $3) ON CONFLICT (act) DO NOTHING"
);
static LIST: &Sql = crate::sql!(
    "audit.list",
    "SELECT audit.seq, audit.at, actor, way, action, target, input, audit_ends.at AS ended_at, problem
     FROM audit LEFT JOIN audit_ends ON audit_ends.act = audit.seq
     WHERE audit.seq < $1 ORDER BY audit.seq DESC LIMIT $2"
);

/// Writes down that an act begins; returns its number.
///
/// # Errors
/// As the database.
pub fn begin(tx: &mut dyn Tx, act: &NewAct, now: Timestamp) -> Result<i64> {
    let values = params![now.ms(), &act.actor, act.way.as_str(), &act.action, &act.target, act.input.clone()];
    tx.query_one(BEGIN, values)?.i64("seq")
}

/// Writes down how an act ended; `problem` is the code of what it was refused with.
///
/// # Errors
/// As the database.
pub fn end(tx: &mut dyn Tx, act: i64, problem: Option<&str>, now: Timestamp) -> Result<()> {
    tx.exec(END, params![act, now.ms(), problem])?;
    Ok(())
}

/// Acts before `cursor` (exclusive; `i64::MAX` for the newest), newest first.
///
/// # Errors
/// As the database.
pub fn list(tx: &mut dyn Tx, cursor: i64, limit: i64) -> Result<Vec<ActRow>> {
    tx.query(LIST, params![cursor, limit])?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ActRow> {
    let ended = row.opt_i64("ended_at")?.map(Timestamp::from_ms);
    let state = match (ended, row.opt_text("problem")?) {
        (None, _) => ActState::Begun,
        (Some(at), None) => ActState::Done { at },
        (Some(at), Some(problem)) => ActState::Refused { at, problem },
    };
    Ok(ActRow {
        seq: row.i64("seq")?,
        at: Timestamp::from_ms(row.i64("at")?),
        act: NewAct {
            actor: row.text("actor")?,
            way: json::parsed("way", &row.text("way")?, |word| {
                Way::parse(word).ok_or_else(|| format!("`{word}` is no way"))
            })?,
            action: row.text("action")?,
            target: row.text("target")?,
            input: row.opt_text("input")?,
        },
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    static CHANGE: Sql = Sql::registered("test.audit_change", "UPDATE audit SET actor = 'nobody'");
    static REMOVE: Sql = Sql::registered("test.audit_remove", "DELETE FROM audit_ends");

    #[tokio::test]
    async fn what_was_done_stays_as_it_was_written() {
        on_each_database(|db| {
            Box::pin(async move {
                let at = Timestamp::from_ms;
                let act = |target: &str| NewAct {
                    actor: "key_1".into(),
                    way: Way::Api,
                    action: "POST /v1/parked/retry".into(),
                    target: target.into(),
                    input: Some("{}".into()),
                };
                let (one, two, three) = (act("1"), act("2"), act("3"));
                let rows = db
                    .write("test", move |tx| {
                        let (a, b) = (begin(tx, &one, at(1))?, begin(tx, &two, at(2))?);
                        begin(tx, &three, at(3))?;
                        end(tx, a, None, at(4))?;
                        end(tx, b, Some("not_found"), at(5))?;
                        end(tx, b, None, at(6))?;
                        list(tx, i64::MAX, 10)
                    })
                    .await
                    .unwrap();
                let states: Vec<&ActState> = rows.iter().map(|row| &row.state).collect();
                let refused = ActState::Refused { at: at(5), problem: "not_found".into() };
                assert_eq!(states, [&ActState::Begun, &refused, &ActState::Done { at: at(4) }]);
                assert_eq!(rows[0].act, act("3"));
                for statement in [&CHANGE, &REMOVE] {
                    let refusal =
                        db.write("test", move |tx| tx.exec(statement, params![])).await.unwrap_err();
                    assert!(refusal.to_string().contains("append-only"), "{refusal}");
                }
                assert_eq!(db.read("test", |tx| list(tx, i64::MAX, 10)).await.unwrap(), rows);
            })
        })
        .await;
    }
}
