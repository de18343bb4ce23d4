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
mod coupon_checkout;
mod coupons;
mod credit;
mod customer_discount;
mod errors;
mod extras;
mod faults;
mod invoices;
mod items;
mod lists;
mod over_http;
mod pages;
mod pending;
mod previews;
mod refunds;
mod renewals;
mod schema;
mod subscriptions;
mod tax;
mod webhooks;
