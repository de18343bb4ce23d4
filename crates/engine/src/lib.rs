//! The engine: the use-cases, a file each. It loads, decides with the pure functions of the domain,
//! commits once, and performs what must follow.
//!
//! All paths (webhook, redirect, sweep, timer, operator) do the same: they write a *hint* down, and
//! one writer syncs the aggregate: lease, fetch the truth, project, commit once behind the fence.
//! [`sync::apply`] is the one door through which observed truth enters.
//!
//! Refuses to know: HTTP routes, pages, command lines, and where time and chance come from
//! ([`world::World`] brings them).

pub mod alerts;
pub mod api_keys;
pub mod app_events;
pub mod app_webhooks;
pub mod audit;
pub mod catalog_versions;
pub mod checkout;
pub mod commands;
pub mod customers;
pub mod deliveries;
pub mod disputes;
pub mod drift;
pub mod dunning;
pub mod engine;
pub mod entitlements;
pub mod erasure;
pub mod explain;
pub mod feed;
pub mod freshness;
pub mod grants;
pub mod idempotency;
pub mod import;
pub mod inbox;
pub mod invoice_page;
pub mod ledger;
mod memory;
pub mod notices;
pub mod operator;
pub mod policy_preview;
pub mod portal;
pub mod pricing;
pub mod problem;
pub mod progress;
pub mod quotes;
pub mod redirect;
pub mod refunds;
pub mod retention;
pub mod revenue;
pub mod schedule;
pub mod settings;
pub mod shadow;
pub mod shop;
pub mod signing_keys;
pub mod subscriptions;
pub mod suspensions;
pub mod sweep;
pub mod sync;
pub mod telemetry;
pub mod terms;
pub mod tie_out;
pub mod tokens;
mod trials;
mod turns;
pub mod vault;
pub mod worker;
pub mod world;

// A future behind a pointer. The body of an `async fn` is otherwise compiled anew in each crate, and each part of it,
// that awaits it; behind a pointer it is compiled once, here.
use async_recursion::async_recursion as boxed;

pub use engine::Engine;
pub use problem::{Money, Problem, ProblemCode};
pub use settings::Settings;
pub use world::World;
