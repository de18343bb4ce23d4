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

/// What is to be told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It stands since then, or stood and is to be known all the same; when it was told before, if ever.
    Stands {
        /// Since when.
        since: Timestamp,
        /// When it was told that it stands, an earlier time.
        told_before: Option<Timestamp>,
    },
    /// It was told, and ended then.
    Ended(Timestamp),
}

impl Turn {
    /// When it may be told at the earliest, others aside.
    #[must_use]
    pub fn from(self, policy: &AlertPolicy) -> Timestamp {
        match self {
            Self::Stands { since, told_before } => {
                let quiet = told_before.map(|told| told.plus_ms(policy.quiet_s.saturating_mul(SECOND_MS)));
                quiet.map_or(since, |quiet| quiet.max(since))
            }
            Self::Ended(at) => at,
        }
    }
}

/// When the next message is due: `waiting` are the times from which each may be told, `last` is when the last message was
/// written. `None` when nothing waits.
#[must_use]
pub fn due(
    policy: &AlertPolicy,
    waiting: impl IntoIterator<Item = Timestamp>,
    last: Option<Timestamp>,
) -> Option<Timestamp> {
    let first = waiting.into_iter().min()?.plus_ms(policy.gather_s.saturating_mul(SECOND_MS));
    let pause = last.map(|last| last.plus_ms(policy.pause_s.saturating_mul(SECOND_MS)));
    Some(pause.map_or(first, |pause| pause.max(first)))
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
        assert_eq!(due(&POLICY, [], Some(at(0))), None);
        assert_eq!(due(&POLICY, [at(107), at(100)], None), Some(at(110)));
        assert_eq!(due(&POLICY, [at(100)], Some(at(50))), Some(at(350)));
        assert_eq!(due(&POLICY, [at(1_000)], Some(at(50))), Some(at(1_010)));
    }

    #[test]
    fn one_that_comes_back_is_quiet_for_a_while_and_is_told_then() {
        let stands = |since, told_before| Turn::Stands { since: at(since), told_before }.from(&POLICY);
        assert_eq!(stands(500, None), at(500));
        assert_eq!(stands(500, Some(at(400))), at(4_000));
        assert_eq!(stands(9_000, Some(at(400))), at(9_000));
        assert_eq!(Turn::Ended(at(500)).from(&POLICY), at(500));
    }
}
