//! What a closure can do inside a transaction. There is nothing to await here, no clock and no network, on purpose.

use crate::error::{Result, StoreError};
use crate::sql::{Dialect, Sql};
use crate::value::{Row, V};

/// Running text that is no registered statement; only migrations and test set-up may, hence sealed.
pub trait Script {
    /// Runs any number of statements separated by semicolons.
    fn script(&mut self, text: &str) -> Result<()>;
}

/// One transaction, seen from inside.
///
/// After a statement failed, every later one fails too and the transaction is rolled back even when the closure returns `Ok`: so
/// PostgreSQL does it, and SQLite is made to do the same. Use `ON CONFLICT DO NOTHING` where a duplicate is normal.
pub trait Tx: Script {
    /// Runs a statement and collects its rows.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] and the others that name the database's refusal.
    fn query(&mut self, statement: &Sql, params: &[V]) -> Result<Vec<Row>>;

    /// Runs a statement and counts the rows it changed.
    ///
    /// # Errors
    /// As [`Tx::query`].
    fn exec(&mut self, statement: &Sql, params: &[V]) -> Result<u64>;

    /// Runs one statement once for each set of parameters, in order, and collects the rows of each. On PostgreSQL all travel in one
    /// round trip; on SQLite it is a loop. Stops at the first failure.
    ///
    /// # Errors
    /// As [`Tx::query`].
    fn batch(&mut self, statement: &Sql, rows: &[Vec<V>]) -> Result<Vec<Vec<Row>>>;

    /// As [`Tx::batch`], for a statement that returns nothing: counts the rows that each set of parameters changed.
    ///
    /// # Errors
    /// As [`Tx::query`].
    fn exec_batch(&mut self, statement: &Sql, rows: &[Vec<V>]) -> Result<Vec<u64>>;

    /// Runs different statements in order and collects the rows of all; on PostgreSQL they travel in one round trip. With
    /// [`Many::over`](crate::sql::Many::over) one statement takes many rows.
    ///
    /// # Errors
    /// As [`Tx::query`].
    fn query_all(&mut self, work: &[(&'static Sql, Vec<V>)]) -> Result<Vec<Row>>;

    /// Sends `payload` (at most 7,900 bytes) to everyone listening to [`crate::Db::changes`], if and only if this transaction commits.
    ///
    /// # Errors
    /// As [`Tx::query`].
    fn notify(&mut self, payload: &str) -> Result<()>;

    /// Which database this is, for the rare statement that cannot be one text.
    fn dialect(&self) -> Dialect;

    /// As [`Tx::query`], for at most one row.
    ///
    /// # Errors
    /// Also when there are more rows.
    fn query_opt(&mut self, statement: &Sql, params: &[V]) -> Result<Option<Row>> {
        let mut rows = self.query(statement, params)?;
        let row = rows.pop();
        if rows.is_empty() { Ok(row) } else { Err(wrong_count(statement, rows.len() + 1)) }
    }

    /// As [`Tx::query`], for exactly one row.
    ///
    /// # Errors
    /// Also when there are none or more rows.
    fn query_one(&mut self, statement: &Sql, params: &[V]) -> Result<Row> {
        self.query_opt(statement, params)?.ok_or_else(|| wrong_count(statement, 0))
    }
}

fn wrong_count(statement: &Sql, found: usize) -> StoreError {
    StoreError::Sql {
        statement: statement.name.to_owned(),
        message: format!("expected one row, found {found}"),
    }
}

/// The longest payload of [`Tx::notify`], in bytes; PostgreSQL's limit is just above.
const LONGEST_PAYLOAD: usize = 7_900;

pub(super) fn check_payload(payload: &str) -> Result<()> {
    if payload.len() > LONGEST_PAYLOAD {
        let message =
            format!("the payload has {} bytes, at most {LONGEST_PAYLOAD} are allowed", payload.len());
        return Err(StoreError::Sql { statement: "notify".to_owned(), message });
    }
    Ok(())
}

/// PostgreSQL cannot store the character NUL in text; SQLite could, so both refuse it here.
pub(super) fn check_text(statement: &Sql, text: &str) -> Result<()> {
    if text.as_bytes().contains(&0) {
        let message = "a text parameter contains the character NUL".to_owned();
        return Err(StoreError::Sql { statement: statement.name.to_owned(), message });
    }
    Ok(())
}

/// The answer to any statement after one that failed in the same transaction.
pub(super) fn already_failed(statement: &str, failed: &str) -> StoreError {
    let message = format!("not run, because {failed} failed earlier in this transaction");
    StoreError::Sql { statement: statement.to_owned(), message }
}

/// The answer to a closure that returned `Ok` although a statement had failed.
pub(super) fn swallowed(failed: &str) -> StoreError {
    let message = "failed, and the closure went on to return success; everything was rolled back".to_owned();
    StoreError::Sql { statement: failed.to_owned(), message }
}
