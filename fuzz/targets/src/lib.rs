//! What must hold whatever comes in: one plain function over bytes for each door that takes input from outside.
//!
//! A target returns for every input and panics only when the product breaks a promise. So the same functions serve the tests on
//! stable (`tests/targets.rs`: the corpus and seeded mutations of it) and libFuzzer (`fuzz/fuzz_targets`). A target knows the product's
//! public functions only, and its own, simpler idea of what is right. See `docs/testing.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "here a panic is the finding"
)]

mod api;
mod catalog;
mod configuration;
mod event;
mod form;
mod house;
mod observe;
mod projection;
mod redaction;
mod sandbox;
mod script;
mod signature;
mod values;

pub use api::api;
pub use catalog::catalog;
pub use configuration::configuration;
pub use event::event;
pub use form::form;
pub use observe::observe;
pub use projection::projection;
pub use redaction::redaction;
pub use sandbox::sandbox;
pub use signature::signature;
pub use values::values;

/// A target: it panics on a broken promise, never on an input.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus folder and of its file in `fuzz/fuzz_targets`.
pub const TARGETS: &[(&str, Target)] = &[
    ("api", api),
    ("catalog", catalog),
    ("configuration", configuration),
    ("event", event),
    ("form", form),
    ("observe", observe),
    ("projection", projection),
    ("redaction", redaction),
    ("sandbox", sandbox),
    ("signature", signature),
    ("values", values),
];
