//! The sandbox from outside: every test speaks the API, most of them without a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod api;
mod capture;
mod cards;
mod checkout;
mod checkout_forms;
mod client;
mod delayed;
mod disputes;
mod errors;
mod faults;
mod lists;
mod over_http;
mod pages;
mod payouts;
mod portal;
mod refunds;
mod renewals;
mod schema;
mod subscriptions;
mod transfers;
mod vouchers;
mod webhooks;
