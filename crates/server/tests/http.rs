//! The HTTP side, driven in process against the real engine and the sandbox, on both databases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

#[path = "../../engine/tests/it/house.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the engine's tests, which use all of it")]
mod house;

#[path = "../../engine/tests/it/app_kit.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the engine's tests, which use all of it")]
mod app_kit;

#[path = "../../engine/tests/it/known_kit.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the engine's tests, which use all of it")]
mod known_kit;

#[path = "http/access.rs"]
mod access;
#[path = "http/addresses.rs"]
mod addresses;
#[path = "http/api.rs"]
mod api;
#[path = "http/app_webhooks.rs"]
mod app_webhooks;
#[path = "http/audit.rs"]
mod audit;
#[path = "http/changes.rs"]
mod changes;
#[path = "http/client.rs"]
mod client;
#[path = "http/deliveries.rs"]
mod deliveries;
#[path = "http/disputes.rs"]
mod disputes;
#[path = "http/documents.rs"]
mod documents;
#[path = "http/dunning.rs"]
mod dunning;
#[path = "http/embedded.rs"]
mod embedded;
#[path = "http/erasure.rs"]
mod erasure;
#[path = "http/idempotency.rs"]
mod idempotency;
#[path = "http/ledger.rs"]
mod ledger;
#[path = "http/mail.rs"]
mod mail;
#[path = "http/notices.rs"]
mod notices;
#[path = "http/page_link.rs"]
mod page_link;
#[path = "http/pages.rs"]
mod pages;
#[path = "http/problems.rs"]
mod problems;
#[path = "http/refunds.rs"]
mod refunds;
#[path = "http/stream.rs"]
mod stream;
#[path = "http/tampering.rs"]
mod tampering;
#[path = "http/tokens.rs"]
mod tokens;
#[path = "http/webhooks.rs"]
mod webhooks;
