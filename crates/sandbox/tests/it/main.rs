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
mod connect;
mod coupons;
mod credit;
mod errors;
mod faults;
mod items;
mod listen;
mod lists;
mod over_http;
mod pages;
mod previews;
mod refunds;
mod renewals;
mod schedule_changes;
mod schedules;
mod schema;
mod search;
mod subscriptions;
mod tax;
mod test_clocks;
mod thin;
mod time;
mod versions;
mod webhooks;
