//! The simulator: the shipped engine, store and provider client with the sandbox in one process, under one seeded
//! scheduler and a virtual clock. Months pass in milliseconds; everything that goes wrong is drawn from the seed.
//!
//! A seed decides a [`plan::Plan`]: how many nodes share the database, how wrong their clocks are, which faults are about.
//! [`run::play`] plays it and checks the invariants after every step. The same seed gives the same trace, byte for byte.
//!
//! It knows no HTTP and no PostgreSQL: handlers are called with raw bytes and headers, the store is SQLite on a
//! simulated disk ([`disk`]).

pub mod actors;
pub mod app;
pub mod campaign;
pub mod chance;
pub mod changes;
pub mod checks;
pub mod disk;
pub mod faults;
pub mod gifts;
pub mod lives;
pub mod money;
pub mod network;
pub mod operations;
pub mod plan;
pub mod post;
pub mod run;
pub mod scheduler;
pub mod sim;
pub mod subscriber;
pub mod suspensions;
pub mod trace;
pub mod webhooks;
