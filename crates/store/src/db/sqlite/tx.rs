//! A SQLite transaction as the closure sees it.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use super::errors::translate;
use crate::db::tx::{Script, Tx, check_payload};
use crate::error::{Result, StoreError};
use crate::sql::{Dialect, Shape, Sql};
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
        self.guarded(statement.name, |connection| Ready::new(connection, statement, reads)?.rows(params))
    }

    fn exec(&mut self, statement: &Sql, params: &[V]) -> Result<u64> {
        let reads = self.reads;
        self.guarded(statement.name, |connection| Ready::new(connection, statement, reads)?.exec(params))
    }

    fn batch(&mut self, statement: &Sql, sets: &[Vec<V>]) -> Result<Vec<Vec<Row>>> {
        let reads = self.reads;
        self.guarded(statement.name, |connection| {
            let mut ready = Ready::new(connection, statement, reads)?;
            sets.iter().map(|params| ready.rows(params)).collect()
        })
    }

    fn exec_batch(&mut self, statement: &Sql, sets: &[Vec<V>]) -> Result<Vec<u64>> {
        let reads = self.reads;
        self.guarded(statement.name, |connection| {
            let mut ready = Ready::new(connection, statement, reads)?;
            sets.iter().map(|params| ready.exec(params)).collect()
        })
    }

    fn query_all(&mut self, work: &[(&'static Sql, Vec<V>)]) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        for (statement, params) in work {
            all.extend(self.query(statement, params)?);
        }
        Ok(all)
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

/// A prepared statement with all that need not be asked again for each set of parameters.
struct Ready<'c, 's> {
    statement: &'s Sql,
    prepared: CachedStatement<'c>,
    shape: &'s Shape,
}

impl<'c, 's> Ready<'c, 's> {
    fn new(connection: &'c Connection, statement: &'s Sql, reads: bool) -> Result<Self> {
        let prepared = connection
            .prepare_cached(statement.text_for(Dialect::Sqlite))
            .map_err(|error| translate(statement.name, &error))?;
        if reads && !prepared.readonly() {
            let reason = format!("{} writes, and this transaction may only read", statement.name);
            return Err(StoreError::ReadOnly { reason });
        }
        let shape = statement.shape(|| shape_of(statement, &prepared))?;
        Ok(Self { statement, prepared, shape })
    }

    fn bind(&mut self, params: &[V]) -> Result<()> {
        let failure =
            |message: String| StoreError::Sql { statement: self.statement.name.to_owned(), message };
        if self.shape.places.len() != params.len() {
            return Err(failure(format!("has {} parameters, got {}", self.shape.places.len(), params.len())));
        }
        for (index, place) in (1..).zip(&self.shape.places) {
            let missing = || failure(format!("placeholder {index} is not one of $1..${}", params.len()));
            let value = params.get(*place).ok_or_else(missing)?;
            if let V::T(text) = value {
                crate::db::tx::check_text(self.statement, text)?;
            }
            self.prepared
                .raw_bind_parameter(index, value)
                .map_err(|error| translate(self.statement.name, &error))?;
        }
        Ok(())
    }

    fn exec(&mut self, params: &[V]) -> Result<u64> {
        if !self.shape.names.is_empty() {
            return Ok(self.rows(params)?.len() as u64);
        }
        self.bind(params)?;
        let changed = self.prepared.raw_execute().map_err(|error| translate(self.statement.name, &error))?;
        Ok(changed as u64)
    }

    fn rows(&mut self, params: &[V]) -> Result<Vec<Row>> {
        self.bind(params)?;
        let mut found = Vec::new();
        let mut cursor = self.prepared.raw_query();
        while let Some(row) = cursor.next().map_err(|error| translate(self.statement.name, &error))? {
            let mut values = Vec::with_capacity(self.shape.names.len());
            for (index, name) in self.shape.names.iter().enumerate() {
                let value = row.get_ref(index).map_err(|error| translate(self.statement.name, &error))?;
                values.push(read(name, value)?);
            }
            found.push(Row::new(Arc::clone(&self.shape.names), values));
        }
        Ok(found)
    }
}

fn shape_of(statement: &Sql, prepared: &CachedStatement<'_>) -> Result<Shape> {
    let place =
        |index| prepared.parameter_name(index)?.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1);
    let places = (1..=prepared.parameter_count()).map(place).collect::<Option<_>>().ok_or_else(|| {
        let message = "a placeholder is not one of $1, $2, …".to_owned();
        StoreError::Sql { statement: statement.name.to_owned(), message }
    })?;
    let names = prepared.column_names().into_iter().map(str::to_owned).collect();
    Ok(Shape { places, names })
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
