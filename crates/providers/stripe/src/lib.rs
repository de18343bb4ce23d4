//! Everything Quittance knows about Stripe's words: verifying and reading webhooks, building and reading API calls.
//!
//! Building a request and reading an answer are pure functions; [`transport`] is the one file that sends. Time is always an
//! argument. What Stripe says is handed on as *observed* structs ([`observe`]) whose statuses stay raw strings: what a status means
//! for access is decided elsewhere. This crate refuses to know customers' rights, the database and any retry schedule; it says
//! only whether an error may pass by itself, how long to wait, and whether money can have moved.
//!
//! Specification: Stripe API version `2026-10-28.endive`, with the object shapes of `2024-06-20` still read.

pub mod answer;
pub mod breaker;
pub mod calls;
pub mod client;
pub mod config;
pub mod error;
pub mod event;
pub mod form;
pub mod http;
pub mod limiter;
pub mod observe;
pub mod redact;
mod scrub;
pub mod signature;
pub mod transport;

/// The API version that every call names and that the object shapes were checked against.
pub const API_VERSION: &str = "2026-10-28.endive";
