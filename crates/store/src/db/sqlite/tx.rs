//! A SQLite transaction as the closure sees it.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use super::errors::translate;
use crate::db::tx::{Script, Tx, check_payload};
use crate::error::{Result, StoreError};
use crate::sql::{Dialect, Sql};
use crate::value::{Row, V};

/// Statements go to `connection`, which has a transaction open.
pub(super) struct SqliteTx<'c> {
    connection: &'c Connection,
    /// Whether writing is refused.
    reads: bool,
    /// Payloads to send after the commit.
    pub(super) notices: Vec<String>,
    /// The first statement that failed; PostgreSQL refuses everything after one, so this does too.
    pub(super) failed: Option<&'static str>,
}

impl<'c> SqliteTx<'c> {
    /// With `reads` every statement that could write is refused. SQLite's own switch (`query_only`) would make it
    /// prepare all statements of the connection again.
    pub(super) fn new(connection: &'c Connection, reads: bool) -> Self {
        Self { connection, reads, notices: Vec::new(), failed: None }
    }

    fn guarded<X>(&mut self, name: &'static str, run: impl FnOnce(&Connection) -> Result<X>) -> Result<X> {
        if let Some(failed) = self.failed {
            return Err(crate::db::tx::already_failed(name, failed));
        }
        let result = run(self.connection);
        if result.is_err() {
            self.failed = Some(name);
        }
        result
    }
}

impl Script for SqliteTx<'_> {
    fn script(&mut self, text: &str) -> Result<()> {
        self.guarded("script", |connection| {
            connection.execute_batch(text).map_err(|error| translate("script", &error))
        })
    }
}

impl Tx for SqliteTx<'_> {
    fn query(&mut self, statement: &Sql, params: &[V]) -> Result<Vec<Row>> {
        let reads = self.reads;
        self.guarded(statement.name, |connection| {
            rows(statement, &mut prepare(connection, statement, reads)?, params)
        })
    }

    fn exec(&mut self, statement: &Sql, params: &[V]) -> Result<u64> {
        let reads = self.reads;
        self.guarded(statement.name, |connection| {
            let mut prepared = prepare(connection, statement, reads)?;
            if prepared.column_count() > 0 {
                return Ok(rows(statement, &mut prepared, params)?.len() as u64);
            }
            bind(statement, &mut prepared, params)?;
            let changed = prepared.raw_execute().map_err(|error| translate(statement.name, &error))?;
            Ok(changed as u64)
        })
    }

    fn batch(&mut self, statement: &Sql, sets: &[Vec<V>]) -> Result<Vec<Vec<Row>>> {
        let reads = self.reads;
        self.guarded(statement.name, |connection| {
            let mut prepared = prepare(connection, statement, reads)?;
            sets.iter().map(|params| rows(statement, &mut prepared, params)).collect()
        })
    }

    fn notify(&mut self, payload: &str) -> Result<()> {
        check_payload(payload)?;
        self.notices.push(payload.to_owned());
        Ok(())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }
}

fn prepare<'c>(connection: &'c Connection, statement: &Sql, reads: bool) -> Result<CachedStatement<'c>> {
    let prepared = connection
        .prepare_cached(statement.text_for(Dialect::Sqlite))
        .map_err(|error| translate(statement.name, &error))?;
    if reads && !prepared.readonly() {
        let reason = format!("{} writes, and this transaction may only read", statement.name);
        return Err(StoreError::ReadOnly { reason });
    }
    Ok(prepared)
}

/// Binds by the number in the placeholder's name: SQLite numbers `$2` as 1 when it is met first.
fn bind(statement: &Sql, prepared: &mut CachedStatement<'_>, params: &[V]) -> Result<()> {
    let failure = |message: String| StoreError::Sql { statement: statement.name.to_owned(), message };
    let placeholders = prepared.parameter_count();
    if placeholders != params.len() {
        return Err(failure(format!("has {placeholders} parameters, got {}", params.len())));
    }
    for index in 1..=placeholders {
        let number = prepared
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|digits| digits.parse::<usize>().ok());
        let value = number.and_then(|number| params.get(number.checked_sub(1)?));
        let value =
            value.ok_or_else(|| failure(format!("placeholder {index} is not one of $1..${placeholders}")))?;
        if let V::T(text) = value {
            crate::db::tx::check_text(statement, text)?;
        }
        prepared.raw_bind_parameter(index, value).map_err(|error| translate(statement.name, &error))?;
    }
    Ok(())
}

fn rows(statement: &Sql, prepared: &mut CachedStatement<'_>, params: &[V]) -> Result<Vec<Row>> {
    bind(statement, prepared, params)?;
    let names: Arc<[String]> = prepared.column_names().into_iter().map(str::to_owned).collect();
    let mut found = Vec::new();
    let mut cursor = prepared.raw_query();
    while let Some(row) = cursor.next().map_err(|error| translate(statement.name, &error))? {
        let mut values = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let value = row.get_ref(index).map_err(|error| translate(statement.name, &error))?;
            values.push(read(name, value)?);
        }
        found.push(Row::new(Arc::clone(&names), values));
    }
    Ok(found)
}

fn read(column: &str, value: ValueRef<'_>) -> Result<V> {
    let refuse = |message: &str| StoreError::Row { column: column.to_owned(), message: message.to_owned() };
    match value {
        ValueRef::Null => Ok(V::Null),
        ValueRef::Integer(integer) => Ok(V::I(integer)),
        ValueRef::Real(_) => Err(refuse(
            "is a floating-point number, which this store does not carry: cast it in the statement",
        )),
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map(|text| V::T(text.to_owned())).map_err(|_| refuse("is not UTF-8"))
        }
        ValueRef::Blob(bytes) => Ok(V::Bytes(bytes.to_vec())),
    }
}

impl ToSql for V {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::I(integer) => ValueRef::Integer(*integer),
            Self::B(boolean) => ValueRef::Integer(i64::from(*boolean)),
            Self::T(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Null => ValueRef::Null,
        }))
    }
}
