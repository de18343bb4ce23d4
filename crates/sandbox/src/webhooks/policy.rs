//! How the network between the sandbox and an endpoint misbehaves, by chance from a seed.

use serde::{Deserialize, Serialize};

/// Probabilities from 0 to 1 of what happens to each delivery, and whether anything is delivered at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryPolicy {
    /// Nothing leaves until this is false again.
    pub paused: bool,
    /// A delivery is made twice.
    pub duplicate: f64,
    /// A delivery changes places with others that are due.
    pub shuffle: f64,
    /// A delivery comes late, by up to `max_delay_seconds`.
    pub delay: f64,
    /// A delivery never comes, and is not tried again.
    pub drop: f64,
    /// The longest delay, in seconds on the sandbox's clock.
    pub max_delay_seconds: u64,
    /// Makes the chances repeatable.
    pub seed: Option<u64>,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            paused: false,
            duplicate: 0.0,
            shuffle: 0.0,
            delay: 0.0,
            drop: 0.0,
            max_delay_seconds: 60,
            seed: None,
        }
    }
}

impl DeliveryPolicy {
    /// Names the first probability that is none.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let named = [
            ("duplicate", self.duplicate),
            ("shuffle", self.shuffle),
            ("delay", self.delay),
            ("drop", self.drop),
        ];
        named.iter().find(|(_, value)| !(0.0..=1.0).contains(value)).map(|(name, _)| *name)
    }
}

/// A whole percentage (0 to 100) as a probability.
pub(crate) fn share(percent: u32) -> f64 {
    let percent = percent.min(100);
    // Read as text, so that the nearest number is found without arithmetic.
    format!("{}.{:02}", percent / 100, percent % 100).parse().unwrap_or(0.0)
}
