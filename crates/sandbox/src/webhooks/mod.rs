//! Events on their way out: who hears of what, how it is signed, when it is tried again, and how the network misbehaves.
//!
//! Deliveries are data: whoever runs the sandbox fetches the due ones, sends them and reports how it went.

use std::collections::BTreeSet;
use std::sync::LazyLock;

pub(crate) mod deliveries;
mod drafts;
pub(crate) mod emit;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod signature;
pub(crate) mod thin;

static TYPES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| include_str!("event_types.txt").lines().collect());

/// Whether an endpoint can ask for this: a published type of events, or `*` for all of them.
pub(crate) fn is_type(name: &str) -> bool {
    name == "*" || TYPES.contains(name)
}
