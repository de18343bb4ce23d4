//! The only place that reads the real clock and the system's entropy.

use serde::{Deserialize, Serialize};

/// The last second that the clock reaches: beyond it, calendars end and sums of times could overflow.
pub(crate) const LAST: i64 = 99_999_999_999;
/// The furthest that one call moves the clock, ten years: each renewal on the way is played.
pub(crate) const FURTHEST_LEAP: i64 = 10 * 366 * 86_400;
/// The fastest that the clock runs: a year in each real second.
pub(crate) const FASTEST: u32 = 366 * 86_400;

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

/// How the clock moves when nobody moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Pace {
    /// Not at all, and the real clock does not matter.
    Still,
    /// So many seconds in each real second, since a real instant in milliseconds.
    Running { speed: u32, since_ms: i64 },
}

/// The sandbox's clock: it stands still or runs, as fast as the real one or faster, and is moved ahead.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// Where it stands, or stood when its pace began; in milliseconds since the Unix epoch.
    at_ms: i64,
    pace: Pace,
}

impl Clock {
    /// A clock that begins at an instant (unix seconds), or at the real one, and runs at a speed: by default it stands
    /// still at the instant that it was given, or runs with the real clock.
    pub(crate) fn new(start: Option<i64>, speed: Option<u32>) -> Self {
        let mut clock = Self {
            at_ms: start.map_or_else(real_now_ms, |start| start.saturating_mul(1000)),
            pace: Pace::Still,
        };
        clock.set_speed(speed.unwrap_or(u32::from(start.is_none())));
        clock
    }

    /// Now, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        match self.pace {
            Pace::Still => self.at_ms.min(LAST * 1000),
            Pace::Running { .. } => self.now_ms_at(real_now_ms()),
        }
    }

    /// What it shows at a real instant, both in milliseconds since the Unix epoch.
    fn now_ms_at(&self, real_ms: i64) -> i64 {
        let run = match self.pace {
            Pace::Still => 0,
            Pace::Running { speed, since_ms } => {
                real_ms.saturating_sub(since_ms).saturating_mul(i64::from(speed))
            }
        };
        self.at_ms.saturating_add(run).min(LAST * 1000)
    }

    /// Now, in seconds since the Unix epoch.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Moves the clock ahead; it never goes back.
    pub(crate) fn advance(&mut self, seconds: i64) {
        let ahead = seconds.clamp(0, LAST).saturating_mul(1000);
        self.at_ms = self.at_ms.saturating_add(ahead).min(LAST * 1000);
    }

    /// Sandbox seconds in each real second; 0 when it stands still.
    pub(crate) fn speed(&self) -> u32 {
        match self.pace {
            Pace::Still => 0,
            Pace::Running { speed, .. } => speed,
        }
    }

    /// Goes on from where it is at another speed; 0 stops it.
    pub(crate) fn set_speed(&mut self, speed: u32) {
        self.at_ms = self.now_ms();
        self.pace = match speed.min(FASTEST) {
            0 => Pace::Still,
            speed => Pace::Running { speed, since_ms: real_now_ms() },
        };
    }

    /// How far it is from the real time, in seconds.
    pub(crate) fn offset(&self) -> i64 {
        self.now() - real_now_ms().div_euclid(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told() {
        let mut clock = Clock::new(Some(1_000), None);
        assert_eq!((clock.now_ms_at(i64::MAX), clock.speed()), (1_000_000, 0));
        clock.advance(5);
        clock.advance(-5);
        assert_eq!(clock.now(), 1_005);
    }

    #[test]
    fn a_running_clock_counts_so_many_seconds_in_each_real_one() {
        let mut clock = Clock { at_ms: 1_000_000, pace: Pace::Running { speed: 86_400, since_ms: 7_000 } };
        assert_eq!(clock.now_ms_at(7_000), 1_000_000);
        assert_eq!(clock.now_ms_at(8_500), 1_000_000 + 129_600_000);
        clock.advance(10);
        assert_eq!(clock.now_ms_at(8_500), 1_010_000 + 129_600_000);
        assert_eq!(clock.now_ms_at(i64::MAX), LAST * 1000, "it ends where calendars do");
        clock.set_speed(0);
        assert_eq!(clock.speed(), 0);
        assert_eq!(Clock::new(None, None).speed(), 1);
        assert_eq!(Clock::new(Some(5), Some(u32::MAX)).speed(), FASTEST);
    }
}
