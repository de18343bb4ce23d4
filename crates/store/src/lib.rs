//! The store: the only place with SQL. One API, SQLite and PostgreSQL behind it.
//!
//! The facade ([`Db`], [`Tx`], [`sql!`](crate::sql!)) makes two databases one; the repositories beside it speak the words of the engine.
//! What is absent on purpose: provider names, HTTP, clocks, chance. Times and ids come in as arguments.

pub mod aggregates;
pub mod api_keys;
pub mod api_requests;
pub mod app_events;
pub mod audit;
pub mod catalogs;
pub mod checkouts;
pub mod commands;
pub mod coverage;
pub mod customers;
pub mod db;
pub mod deliveries;
pub mod disputes;
pub mod drifts;
pub mod dunning;
pub mod erasure;
mod error;
pub mod feed;
pub mod fraud;
pub mod grants;
pub mod health;
pub mod history;
pub mod inbox;
#[cfg(test)]
mod inbox_tests;
mod json;
pub mod ledger;
pub mod mails;
pub mod meta;
mod migrate;
mod migrations;
pub mod mirror;
pub mod notices;
pub mod outbox;
pub mod overview;
#[cfg(test)]
mod protocol_tests;
pub mod quotes;
pub mod retention;
pub mod services;
pub mod shadow;
pub mod signing_keys;
pub mod sql;
#[cfg(test)]
mod statements_tests;
pub mod sweeps;
pub mod terms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod transitions_tests;
pub mod trials;
pub mod value;
pub mod webhook_endpoints;

pub use db::{Access, Change, Db, MigrationReport, Options, SchemaState, Stats, Tx};
pub use error::{ConstraintKind, Result, StoreError};
pub use sql::{Dialect, Sql};
pub use value::{Column, Row, V};
