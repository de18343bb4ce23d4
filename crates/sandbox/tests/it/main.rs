//! The sandbox from outside: every test speaks the API, most of them without a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod api;
mod checkout;
mod client;
mod errors;
mod faults;
mod lists;
mod metered;
mod metered_changes;
mod meters;
mod over_http;
mod pages;
mod refunds;
mod renewals;
mod schema;
mod subscriptions;
mod tiers;
mod webhooks;
mod year;
