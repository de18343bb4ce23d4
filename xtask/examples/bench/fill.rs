//! A large database, made from the rows of one real customer.
//!
//! The product itself wrote those rows; here they are copied inside the database, with every identifier of the customer
//! given a number. So no format of the product is repeated here, and a changed schema needs no change.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::product::TEMPLATE;

/// The tables that grow with the customers, each after those it refers to.
const TABLES: [&str; 9] = [
    "customers",
    "provider_customers",
    "aggregates",
    "subscriptions",
    "purchases",
    "payments",
    "holdings",
    "checkouts",
    "history",
];

/// Where the identifiers of the template customer stand: column and table.
const IDENTIFIERS: [(&str, &str); 7] = [
    ("provider_customer", "provider_customers"),
    ("id", "subscriptions"),
    ("id", "purchases"),
    ("id", "payments"),
    ("id", "checkouts"),
    ("session", "checkouts"),
    ("event_id", "events"),
];

/// How the tables are called that the template's rows are put aside in.
const SOURCE: &str = "bench_source_";

/// A database, opened beside the server that is stopped.
pub enum Database {
    /// SQLite.
    Sqlite(Connection),
    /// PostgreSQL.
    Postgres(Runtime, Client),
}

impl Database {
    /// Opens `sqlite://path` or `postgres://…`.
    pub fn open(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let connection = Connection::open(path)?;
            // Filling is not measured and may be lost.
            connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA cache_size=-200000;")?;
            return Ok(Self::Sqlite(connection));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        runtime.spawn(connection);
        let database = Self::Postgres(runtime, client);
        database.run("SET synchronous_commit = off")?;
        Ok(database)
    }

    /// Runs one or more statements.
    pub fn run(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql),
            Self::Postgres(runtime, client) => {
                return runtime.block_on(client.batch_execute(sql)).with_context(|| sql.to_owned());
            }
        }
        .with_context(|| sql.to_owned())
    }

    /// The first column of each row, as text.
    pub fn column(&self, sql: &str) -> Result<Vec<String>> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(sql).with_context(|| sql.to_owned())?;
                let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0))?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
            Self::Postgres(runtime, client) => {
                let rows = runtime.block_on(client.query(sql, &[])).with_context(|| sql.to_owned())?;
                let texts: Result<Vec<Option<String>>, _> = rows.iter().map(|row| row.try_get(0)).collect();
                Ok(texts?.into_iter().flatten().collect())
            }
        }
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> Result<u64> {
        let counts = self.column(&format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}"))?;
        Ok(counts.first().context("no count")?.parse()?)
    }

    /// The columns of a table but for the numbered one, and whether each holds text.
    fn columns(&self, table: &str) -> Result<Vec<(String, bool)>> {
        let sql = match self {
            Self::Sqlite(_) => format!("SELECT name || ' ' || lower(type) FROM pragma_table_info('{table}')"),
            Self::Postgres(..) => format!(
                "SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
        };
        let columns = self.column(&sql)?;
        if columns.is_empty() {
            bail!("there is no table {table}");
        }
        Ok(columns
            .iter()
            .filter_map(|column| column.split_once(' '))
            .filter(|(name, _)| *name != "seq")
            .map(|(name, kind)| (name.to_owned(), kind == "text"))
            .collect())
    }

    /// Puts the rows of the template aside, while there are no others.
    pub fn remember(&self) -> Result<()> {
        for table in TABLES.iter().chain(&["events"]) {
            // Prices and products have events and aggregates too; those are not the template's.
            let own = match *table {
                "aggregates" => " WHERE key LIKE '%/customer/%'",
                "events" => " WHERE aggregate LIKE '%/customer/%'",
                _ => "",
            };
            self.run(&format!("CREATE TABLE {SOURCE}{table} AS SELECT * FROM {table}{own}"))?;
        }
        if self.count(&format!("{SOURCE}events"))? == 0 {
            bail!("the template customer has no events");
        }
        Ok(())
    }

    /// Adds customers `from` to `to - 1`, each with what the template has, and `events` events each.
    pub fn fill(&self, from: u64, to: u64, events: u64) -> Result<()> {
        let mut identifiers = vec![TEMPLATE.to_owned()];
        for (column, table) in IDENTIFIERS {
            identifiers.extend(self.column(&format!("SELECT {column} FROM {SOURCE}{table}"))?);
        }
        self.run("BEGIN")?;
        for table in TABLES {
            self.copy(table, &identifiers, from..to, "", 0)?;
        }
        let template = self.count(&format!("{SOURCE}events"))?;
        let mut made = 0;
        while made < events {
            let limit = template.min(events - made);
            let round = format!(" ORDER BY event_id LIMIT {limit}");
            self.copy("events", &identifiers, from..to, &round, made / template)?;
            made += limit;
        }
        self.run("COMMIT")?;
        self.run("ANALYZE")
    }

    /// Copies the template's rows of one table once for each number; the round tells several copies apart.
    fn copy(
        &self,
        table: &str,
        identifiers: &[String],
        numbers: Range<u64>,
        limit: &str,
        round: u64,
    ) -> Result<()> {
        let columns = self.columns(table)?;
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = columns
            .iter()
            .map(
                |(name, text)| {
                    if *text { renamed(name, identifiers, round) } else { format!("source.{name}") }
                },
            )
            .collect();
        self.run(&format!(
            "WITH RECURSIVE numbers (i) AS (SELECT CAST({} AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {}) \
             INSERT INTO {table} ({}) SELECT {} FROM numbers CROSS JOIN (SELECT * FROM {SOURCE}{table}{limit}) AS source",
            numbers.start,
            numbers.end,
            names.join(", "),
            values.join(", "),
        ))
    }
}

/// The column with each identifier in it replaced by its numbered copy. The customer becomes `bench_{number}`; events,
/// of which there are several rounds, carry the round too.
fn renamed(column: &str, identifiers: &[String], round: u64) -> String {
    identifiers.iter().fold(format!("source.{column}"), |value, identifier| {
        let copy = if identifier == TEMPLATE {
            "'bench_' || numbers.i".to_owned()
        } else if identifier.starts_with("evt_") {
            format!("'{identifier}x{round}x' || numbers.i")
        } else {
            format!("'{identifier}x' || numbers.i")
        };
        format!("replace({value}, '{identifier}', {copy})")
    })
}
