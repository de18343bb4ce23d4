//! When operators are told of alerts: soon, several at once, and not of the same one over and over.
//!
//! Refuses to know: what an alert is about and how it is sent.

use crate::time::{SECOND_MS, Timestamp};

/// The operator's choices, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertPolicy {
    /// How long the first one waits for others, so that one trouble is one message.
    pub gather_s: i64,
    /// The least time between two messages.
    pub pause_s: i64,
    /// The least time between two tellings of one alert that ends and comes back.
    pub quiet_s: i64,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self { gather_s: 10, pause_s: 300, quiet_s: 3_600 }
    }
}

impl AlertPolicy {
    /// The least time between two tellings of one alert, in milliseconds.
    #[must_use]
    pub const fn quiet_ms(&self) -> i64 {
        self.quiet_s.saturating_mul(SECOND_MS)
    }

    /// When the next message is due: `first` is from when the first that waits may be told, `last` is when the last message
    /// was written.
    #[must_use]
    pub fn due(&self, first: Timestamp, last: Option<Timestamp>) -> Timestamp {
        let gathered = first.plus_ms(self.gather_s.saturating_mul(SECOND_MS));
        let pause = last.map(|last| last.plus_ms(self.pause_s.saturating_mul(SECOND_MS)));
        pause.map_or(gathered, |pause| pause.max(gathered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: AlertPolicy = AlertPolicy { gather_s: 10, pause_s: 300, quiet_s: 3_600 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_first_waits_for_others_and_the_next_message_for_the_pause() {
        assert_eq!(POLICY.due(at(100), None), at(110));
        assert_eq!(POLICY.due(at(100), Some(at(50))), at(350));
        assert_eq!(POLICY.due(at(1_000), Some(at(50))), at(1_010));
    }
}
