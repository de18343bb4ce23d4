//! The one random source: seeded, so that a run repeats, and saved with the rest of the state.

use serde::{Deserialize, Serialize};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A seeded source of ids and chances.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Chance(fastrand::Rng);

impl From<u64> for Chance {
    fn from(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
}

impl From<Chance> for u64 {
    fn from(chance: Chance) -> Self {
        chance.0.get_seed()
    }
}

impl Chance {
    /// A text of letters and digits.
    pub(crate) fn text(&mut self, length: usize) -> String {
        (0..length)
            .filter_map(|_| LETTERS.get(self.0.usize(0..LETTERS.len())).map(|byte| char::from(*byte)))
            .collect()
    }

    /// An id: the prefix and random letters, of the length that such ids have.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        let length = match prefix {
            "cus_" | "prod_" | "req_" | "si_" => 14,
            "cs_test_" => 58,
            _ => 24,
        };
        format!("{prefix}{}", self.text(length))
    }

    /// A number below the limit; 0 for a limit of 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.u64(0..limit) }
    }

    /// Whether something of this probability (0 to 1) happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }
}
