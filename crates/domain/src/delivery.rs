//! Deliveries: what must leave the system after a commit, and what follows when it could not.
//!
//! Refuses to know: how a mail or a webhook is sent, and what stands in it.

use serde::{Deserialize, Serialize};

use crate::time::{HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};

/// The way on which something leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A mail to a customer or to the operators.
    Mail,
    /// A request to an endpoint of the operator's app.
    Webhook,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Webhook];

    /// The word used in database, API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }

    /// The waits between tries, in milliseconds; when they are used up, it is given up. Those of webhooks are the
    /// schedule that the Standard Webhooks specification recommends (Deliverability and reliability).
    #[must_use]
    pub const fn waits_ms(self) -> &'static [i64] {
        match self {
            Self::Mail => &[
                30 * SECOND_MS,
                2 * MINUTE_MS,
                10 * MINUTE_MS,
                30 * MINUTE_MS,
                HOUR_MS,
                2 * HOUR_MS,
                4 * HOUR_MS,
                8 * HOUR_MS,
                16 * HOUR_MS,
                24 * HOUR_MS,
            ],
            Self::Webhook => &[
                5 * SECOND_MS,
                5 * MINUTE_MS,
                30 * MINUTE_MS,
                2 * HOUR_MS,
                5 * HOUR_MS,
                10 * HOUR_MS,
                14 * HOUR_MS,
                20 * HOUR_MS,
                24 * HOUR_MS,
            ],
        }
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not taken by the other side yet; maybe sent.
    Pending,
    /// The other side took it.
    Delivered,
    /// It was not sent, because it was no longer true or not wanted.
    Suppressed,
    /// Given up.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Suppressed, Self::Failed];

    /// The word used in database, API and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
            Self::Failed => "failed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What follows a try that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterTry {
    /// Try again at this time.
    RetryAt(Timestamp),
    /// The waits are used up.
    GiveUp,
}

/// The longest wait that the other side may ask for, in milliseconds.
const LONGEST_WAIT_MS: i64 = 24 * HOUR_MS;

/// The next wait of the schedule, up to a tenth longer so that many do not come back at once, and never before what
/// the other side asked for (a day at most).
///
/// `attempts` counts this try. `chance` is a random number that the caller drew.
#[must_use]
pub fn after_try(
    channel: Channel,
    attempts: i64,
    retry_after_ms: Option<i64>,
    chance: u64,
    now: Timestamp,
) -> AfterTry {
    let wait = usize::try_from(attempts - 1).ok().and_then(|index| channel.waits_ms().get(index));
    let Some(wait) = wait else { return AfterTry::GiveUp };
    let more = i64::try_from(chance % (wait / 10 + 1).unsigned_abs()).unwrap_or(0);
    let asked = retry_after_ms.unwrap_or(0).clamp(0, LONGEST_WAIT_MS);
    AfterTry::RetryAt(now.plus_ms((wait + more).max(asked)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    #[test]
    fn each_wait_is_used_once_and_then_it_is_given_up() {
        for channel in Channel::ALL {
            for (index, wait) in channel.waits_ms().iter().enumerate() {
                let attempts = i64::try_from(index).unwrap() + 1;
                assert_eq!(after_try(channel, attempts, None, 0, at(7)), AfterTry::RetryAt(at(7 + wait)));
            }
            let last = i64::try_from(channel.waits_ms().len()).unwrap();
            assert_eq!(after_try(channel, last + 1, None, 0, at(7)), AfterTry::GiveUp);
        }
    }

    proptest! {
        #[test]
        fn waits_are_bounded_and_honour_what_was_asked(attempts in -3_i64..15, asked in proptest::option::of(any::<i64>()), chance: u64) {
            for channel in Channel::ALL {
                match after_try(channel, attempts, asked, chance, at(1_000)) {
                    AfterTry::RetryAt(next) => {
                        let wait = next.since(at(1_000));
                        prop_assert!(wait >= asked.unwrap_or(0).min(LONGEST_WAIT_MS));
                        prop_assert!((5_000..=LONGEST_WAIT_MS + LONGEST_WAIT_MS / 10).contains(&wait));
                    }
                    AfterTry::GiveUp => {
                        let most = i64::try_from(channel.waits_ms().len()).unwrap();
                        prop_assert!(attempts < 1 || attempts > most);
                    }
                }
            }
        }
    }
}
