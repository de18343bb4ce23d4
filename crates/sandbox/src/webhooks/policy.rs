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

/// A delivery is never later than a year.
const LONGEST_DELAY: u64 = 366 * 86_400;

impl DeliveryPolicy {
    /// Says what cannot be.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.max_delay_seconds > LONGEST_DELAY {
            return Some(format!("'max_delay_seconds' must be at most {LONGEST_DELAY}"));
        }
        let named = [
            ("duplicate", self.duplicate),
            ("shuffle", self.shuffle),
            ("delay", self.delay),
            ("drop", self.drop),
        ];
        named
            .iter()
            .find(|(_, value)| !(0.0..=1.0).contains(value))
            .map(|(name, _)| format!("'{name}' must be a probability between 0 and 1"))
    }
}

/// A whole percentage (0 to 100) as a probability.
pub(crate) fn share(percent: u32) -> f64 {
    let percent = percent.min(100);
    // Read as text, so that the nearest number is found without arithmetic.
    format!("{}.{:02}", percent / 100, percent % 100).parse().unwrap_or(0.0)
}
