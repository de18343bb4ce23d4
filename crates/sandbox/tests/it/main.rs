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
mod checkout_asks;
mod checkout_forms;
mod client;
mod connect;
mod coupon_checkout;
mod coupons;
mod credit;
mod customer_discount;
mod delayed;
mod disputes;
mod dunning;
mod embedded;
mod ends;
mod errors;
mod extras;
mod faults;
mod hosted_invoice;
mod invoices;
mod items;
mod listen;
mod lists;
mod metered;
mod metered_changes;
mod metered_terms;
mod meters;
mod over_http;
mod pages;
mod payment_links;
mod payouts;
mod pending;
mod plans;
mod portal;
mod previews;
mod quotes;
mod refunds;
mod renewals;
mod schedule_changes;
mod schedule_terms;
mod schedules;
mod schema;
mod search;
mod sources;
mod statements;
mod streams;
mod subscriptions;
mod tax;
mod tax_ids;
mod test_clocks;
mod thin;
mod tiers;
mod time;
mod topups;
mod transfers;
mod trial_ends;
mod versions;
mod vouchers;
mod webhooks;
mod year;
