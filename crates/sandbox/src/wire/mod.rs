//! The wire format: forms in, JSON out, errors, idempotency, lists and expansion.
//!
//! Nothing here knows what a subscription is. Follows the behaviour of the official client libraries and the public
//! API reference of version 2026-10-28.endive.

pub(crate) mod error;
pub(crate) mod expand;
pub(crate) mod form;
pub(crate) mod idempotency;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod packed;
pub(crate) mod params;
pub(crate) mod request;
pub(crate) mod schema;
pub(crate) mod search_query;
pub(crate) mod shape;
