//! The only place that reads the real clock and the system's entropy.

use serde::{Deserialize, Serialize};

/// The last second that the clock reaches: beyond it, calendars end and sums of times could overflow.
pub(crate) const LAST: i64 = 99_999_999_999;
/// The furthest that one call moves the clock, ten years: each renewal on the way is played.
pub(crate) const FURTHEST_LEAP: i64 = 10 * 366 * 86_400;

/// The real time, in milliseconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
pub(crate) fn real_now_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// A seed from the system's entropy; the real time when there is none.
pub(crate) fn fresh_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| real_now_ms().unsigned_abs())
}

/// The sandbox's clock: it stands still and is moved, or it runs with the real one and is moved ahead.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Clock {
    fixed: Option<i64>,
    ahead: i64,
}

impl Clock {
    /// A clock that stands at an instant (unix seconds), or runs.
    pub(crate) fn new(fixed: Option<i64>) -> Self {
        Self { fixed, ahead: 0 }
    }

    /// Now, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        let base = self.fixed.map_or_else(real_now_ms, |fixed| fixed.saturating_mul(1000));
        base.saturating_add(self.ahead.saturating_mul(1000)).min(LAST * 1000)
    }

    /// Now, in seconds since the Unix epoch.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Moves the clock ahead; it never goes back.
    pub(crate) fn advance(&mut self, seconds: i64) {
        self.ahead = self.ahead.saturating_add(seconds.clamp(0, LAST)).min(LAST);
    }

    /// How far it is from the real time, in seconds.
    pub(crate) fn offset(&self) -> i64 {
        if self.fixed.is_none() { self.ahead } else { self.now() - real_now_ms().div_euclid(1000) }
    }
}
