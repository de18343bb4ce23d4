//! Events on their way out: who hears of what, how it is signed, when it is tried again, and how the network misbehaves.
//!
//! Deliveries are data: whoever runs the sandbox fetches the due ones, sends them and reports how it went.

pub(crate) mod emit;
pub(crate) mod older;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod signature;
