//! A PostgreSQL transaction as the closure sees it: each call blocks the worker's thread, whose own runtime drives the socket.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::errors::{Remedy, is_stale_plan, remedy, translate};
use super::types::Read;
use crate::db::tx::{Script, Tx, already_failed, check_payload, check_text};
use crate::error::{Result, StoreError};
use crate::sql::{Dialect, Sql};
use crate::value::{Row, V};

/// Only PostgreSQL has this one, so it is not among the registered statements.
static NOTIFY: Sql = Sql::registered("notify", "SELECT CAST(pg_notify('quittance_change', $1) AS TEXT)");

/// A connection and what is prepared on it.
pub(super) struct Session {
    pub(super) client: Client,
    prepared: HashMap<&'static str, Arc<Prepared>>,
}

struct Prepared {
    statement: Statement,
    names: Arc<[String]>,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self { client, prepared: HashMap::new() }
    }
}

/// The first statement that failed, and what the worker should do about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) statement: &'static str,
    pub(super) remedy: Remedy,
}

pub(super) struct PgTx<'s> {
    runtime: &'s Runtime,
    session: &'s mut Session,
    /// `BEGIN …`, until it travels in front of the first statement.
    begin: Option<&'static str>,
    pub(super) failed: Option<Failed>,
}

impl<'s> PgTx<'s> {
    pub(super) fn new(runtime: &'s Runtime, session: &'s mut Session, begin: &'static str) -> Self {
        Self { runtime, session, begin: Some(begin), failed: None }
    }

    /// Was anything sent, so that there is a transaction to end?
    pub(super) fn begun(&self) -> bool {
        self.begin.is_none()
    }

    fn guarded<X>(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&mut Self) -> Result<X, Refused>,
    ) -> Result<X> {
        if let Some(failed) = self.failed {
            return Err(already_failed(name, failed.statement));
        }
        run(self).map_err(|refused| {
            let remedy = match &refused {
                Refused::ByServer(error) => {
                    if is_stale_plan(error) {
                        self.session.prepared.clear();
                    }
                    remedy(error)
                }
                Refused::ByUs(_) => Remedy::None,
            };
            self.failed = Some(Failed { statement: name, remedy });
            match refused {
                Refused::ByServer(error) => translate(name, &error),
                Refused::ByUs(error) => error,
            }
        })
    }

    fn prepared(&mut self, statement: &Sql) -> Result<Arc<Prepared>, Refused> {
        if let Some(found) = self.session.prepared.get(statement.name) {
            return Ok(Arc::clone(found));
        }
        let prepared =
            self.runtime.block_on(self.session.client.prepare(statement.text_for(Dialect::Postgres)))?;
        let names = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        let prepared = Arc::new(Prepared { statement: prepared, names });
        self.session.prepared.insert(statement.name, Arc::clone(&prepared));
        Ok(prepared)
    }

    fn run(&mut self, statement: &Sql, params: &[V]) -> Result<Vec<Row>, Refused> {
        let prepared = self.prepared(statement)?;
        let params = checked(statement, &prepared, params)?;
        let begin = self.begin.take();
        let client = &self.session.client;
        let found =
            self.runtime.block_on(after(client, begin, client.query(&prepared.statement, &params)))?;
        Ok(rows(&prepared, &found)?)
    }
}

/// Runs `work`, with `BEGIN` in front of it in the same round trip when this is the first statement.
async fn after<X>(
    client: &Client,
    begin: Option<&str>,
    work: impl Future<Output = Result<X, Error>>,
) -> Result<X, Refused> {
    let Some(begin) = begin else { return Ok(work.await?) };
    // Sent in this order, because the first future is polled first.
    let (begun, result) = futures_util::future::join(client.batch_execute(begin), work).await;
    begun.map_err(|error| match error.as_db_error() {
        // A standby has no transactions that write.
        Some(db) if *db.code() == SqlState::FEATURE_NOT_SUPPORTED => {
            Refused::ByUs(StoreError::ReadOnly { reason: db.message().to_owned() })
        }
        Some(_) | None => Refused::ByServer(error),
    })?;
    Ok(result?)
}

/// Polls all once in order, which sends all; then waits for each in that order, which is the order of the answers.
async fn pipelined<X>(work: Vec<impl Future<Output = Result<X, Error>>>) -> Result<Vec<X>, Error> {
    let mut waiting: Vec<Pin<Box<_>>> = work.into_iter().map(Box::pin).collect();
    let mut early: Vec<Option<Result<X, Error>>> = Vec::with_capacity(waiting.len());
    std::future::poll_fn(|context| {
        for future in &mut waiting {
            early.push(match future.as_mut().poll(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            });
        }
        Poll::Ready(())
    })
    .await;
    let mut results = Vec::with_capacity(waiting.len());
    for (future, early) in waiting.into_iter().zip(early) {
        results.push(match early {
            Some(result) => result?,
            None => future.await?,
        });
    }
    Ok(results)
}

impl Script for PgTx<'_> {
    fn script(&mut self, text: &str) -> Result<()> {
        self.guarded("script", |tx| {
            let begin = tx.begin.take();
            let client = &tx.session.client;
            tx.runtime.block_on(after(client, begin, client.batch_execute(text)))
        })
    }
}

impl Tx for PgTx<'_> {
    fn query(&mut self, statement: &Sql, params: &[V]) -> Result<Vec<Row>> {
        self.guarded(statement.name, |tx| tx.run(statement, params))
    }

    fn exec(&mut self, statement: &Sql, params: &[V]) -> Result<u64> {
        self.guarded(statement.name, |tx| {
            let prepared = tx.prepared(statement)?;
            let params = checked(statement, &prepared, params)?;
            let begin = tx.begin.take();
            let client = &tx.session.client;
            tx.runtime.block_on(after(client, begin, client.execute(&prepared.statement, &params)))
        })
    }

    fn batch(&mut self, statement: &Sql, sets: &[Vec<V>]) -> Result<Vec<Vec<Row>>> {
        self.guarded(statement.name, |tx| {
            let prepared = tx.prepared(statement)?;
            let sets = checked_all(statement, &prepared, sets)?;
            if sets.is_empty() {
                return Ok(Vec::new());
            }
            let begin = tx.begin.take();
            let client = &tx.session.client;
            let all =
                pipelined(sets.iter().map(|params| client.query(&prepared.statement, params)).collect());
            let found = tx.runtime.block_on(after(client, begin, all))?;
            Ok(found.iter().map(|found| rows(&prepared, found)).collect::<Result<_>>()?)
        })
    }

    fn exec_batch(&mut self, statement: &Sql, sets: &[Vec<V>]) -> Result<Vec<u64>> {
        self.guarded(statement.name, |tx| {
            let prepared = tx.prepared(statement)?;
            let sets = checked_all(statement, &prepared, sets)?;
            if sets.is_empty() {
                return Ok(Vec::new());
            }
            let begin = tx.begin.take();
            let client = &tx.session.client;
            let all =
                sets.iter().map(|params| client.execute_raw(&prepared.statement, params.iter().copied()));
            tx.runtime.block_on(after(client, begin, pipelined(all.collect())))
        })
    }

    fn query_all(&mut self, work: &[(&'static Sql, Vec<V>)]) -> Result<Vec<Row>> {
        let Some((first, _)) = work.first() else { return Ok(Vec::new()) };
        self.guarded(first.name, |tx| {
            let prepared =
                work.iter().map(|(sql, _)| tx.prepared(sql)).collect::<Result<Vec<_>, Refused>>()?;
            let sets = work.iter().zip(&prepared).map(|((sql, params), ready)| checked(sql, ready, params));
            let sets = sets.collect::<Result<Vec<_>>>()?;
            let begin = tx.begin.take();
            let client = &tx.session.client;
            let all =
                sets.iter().zip(&prepared).map(|(params, ready)| client.query(&ready.statement, params));
            let found = tx.runtime.block_on(after(client, begin, pipelined(all.collect())))?;
            let mut all = Vec::new();
            for (found, ready) in found.iter().zip(&prepared) {
                all.extend(rows(ready, found)?);
            }
            Ok(all)
        })
    }

    fn notify(&mut self, payload: &str) -> Result<()> {
        check_payload(payload)?;
        self.exec(&NOTIFY, &[V::from(payload)]).map(drop)
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }
}

/// Counts and checks the parameters (the driver would panic on a wrong count).
fn checked<'p>(statement: &Sql, prepared: &Prepared, params: &'p [V]) -> Result<Vec<&'p (dyn ToSql + Sync)>> {
    let placeholders = prepared.statement.params().len();
    if placeholders != params.len() {
        let message = format!("has {placeholders} parameters, got {}", params.len());
        return Err(StoreError::Sql { statement: statement.name.to_owned(), message });
    }
    for value in params {
        if let V::T(text) = value {
            check_text(statement, text)?;
        }
    }
    Ok(params.iter().map(|value| value as &(dyn ToSql + Sync)).collect())
}

fn checked_all<'p>(
    statement: &Sql,
    prepared: &Prepared,
    sets: &'p [Vec<V>],
) -> Result<Vec<Vec<&'p (dyn ToSql + Sync)>>> {
    sets.iter().map(|params| checked(statement, prepared, params)).collect()
}

fn rows(prepared: &Prepared, found: &[tokio_postgres::Row]) -> Result<Vec<Row>> {
    found.iter().map(|row| self::row(prepared, row)).collect()
}

fn row(prepared: &Prepared, row: &tokio_postgres::Row) -> Result<Row> {
    let mut values = Vec::with_capacity(prepared.names.len());
    for (index, name) in prepared.names.iter().enumerate() {
        let value: Read = row.try_get(index).map_err(|error| StoreError::Row {
            column: name.clone(),
            message: format!("cannot be carried, cast it in the statement ({error})"),
        })?;
        values.push(value.0);
    }
    Ok(Row::new(Arc::clone(&prepared.names), values))
}

/// Who refused a statement.
enum Refused {
    ByServer(Error),
    ByUs(StoreError),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::ByServer(error)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::ByUs(error)
    }
}
