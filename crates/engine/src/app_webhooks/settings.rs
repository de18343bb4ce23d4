//! The operator's choices about webhooks to the app.

use quittance_domain::time::DAY_MS;

use super::reach::Reach;

/// All choices, with defaults that suit production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppWebhooks {
    /// What may be reached.
    pub reach: Reach,
    /// How long an endpoint may take to answer, in milliseconds.
    pub timeout_ms: u64,
    /// An endpoint whose every attempt has failed for so long is switched off, in milliseconds.
    pub disable_after_ms: i64,
    /// How long events can be looked at and replayed, in milliseconds.
    pub kept_ms: i64,
}

impl Default for AppWebhooks {
    fn default() -> Self {
        Self {
            reach: Reach::default(),
            timeout_ms: 15_000,
            disable_after_ms: 5 * DAY_MS,
            kept_ms: 90 * DAY_MS,
        }
    }
}
