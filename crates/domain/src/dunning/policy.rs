//! The operator's choices about failing payments.

use serde::{Deserialize, Serialize};

use crate::access::PolicyError;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// Who tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retries {
    /// The provider, by its own settings: read and shown.
    Provider,
    /// We do, by our schedule; the provider's own retries must be off.
    Own,
}

/// What happens when the last try of our schedule has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhaustion {
    /// The subscription ends.
    Cancel,
    /// The invoice is given up; the provider then lets the subscription go on with its next period.
    MarkUncollectible,
    /// Nothing: an operator, or the customer's next card, decides.
    Leave,
}

/// How failing payments are dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DunningPolicy {
    /// Who tries again.
    pub retries: Retries,
    /// Days after the failure at which we try, growing.
    pub schedule_days: Vec<u32>,
    /// The hour of the customer's day at which we try, 0 to 23.
    pub hour: u32,
    /// The IANA name of the time zone of customers who name none.
    pub time_zone: String,
    /// The key of a customer's metadata that names theirs.
    pub time_zone_key: String,
    /// What follows the last failed try.
    pub on_exhaustion: OnExhaustion,
}

impl Default for DunningPolicy {
    fn default() -> Self {
        Self {
            retries: Retries::Provider,
            schedule_days: vec![1, 3, 5, 7],
            hour: 10,
            time_zone: "UTC".to_owned(),
            time_zone_key: "time_zone".to_owned(),
            on_exhaustion: OnExhaustion::Cancel,
        }
    }
}

/// Card networks let a payment be tried fifteen times in thirty days, the first one included.
const MOST_TRIES: usize = 14;
const MOST_DAYS: u32 = 60;

impl DunningPolicy {
    /// Whether the policy makes sense. The time zone's name is for its caller to look up.
    ///
    /// # Errors
    /// The first setting that does not, with what may stand there.
    pub fn check(&self) -> Result<(), PolicyError> {
        let wrong = |key: &str, value: String, why: &str, allowed: String| {
            Err(PolicyError { key: key.to_owned(), value, why: why.to_owned(), allowed })
        };
        let days = &self.schedule_days;
        let allowed = || format!("1 to {MOST_TRIES} growing numbers from 1 to {MOST_DAYS}");
        let shown = || format!("{days:?}");
        if days.is_empty() || days.len() > MOST_TRIES {
            return wrong("schedule_days", shown(), "card networks count tries", allowed());
        }
        if days.iter().zip(days.iter().skip(1)).any(|(before, after)| before >= after) {
            return wrong("schedule_days", shown(), "its days must grow", allowed());
        }
        if days.iter().any(|day| !(1..=MOST_DAYS).contains(day)) {
            return wrong("schedule_days", shown(), "a day is out of range", allowed());
        }
        if self.hour > 23 {
            return wrong("hour", self.hour.to_string(), "a day has no such hour", "0 to 23".to_owned());
        }
        Ok(())
    }

    /// When the try with this place in the schedule is due, for a payment that failed at `since`; `None` after the last.
    ///
    /// It is the first moment of the wanted hour, by the customer's clock, on the day so many days after the failure; never
    /// less than 12 hours after the failure. `offset` is how far that clock is before UTC at a moment, in milliseconds.
    #[must_use]
    pub fn try_at(
        &self,
        place: usize,
        since: Timestamp,
        offset: &dyn Fn(Timestamp) -> i64,
    ) -> Option<Timestamp> {
        let days = i64::from(*self.schedule_days.get(place)?);
        let day = since.plus_ms(days * DAY_MS);
        let local_midnight = day.plus_ms(offset(day)).ms().div_euclid(DAY_MS) * DAY_MS;
        let wanted = local_midnight + i64::from(self.hour) * HOUR_MS;
        // The offset at that hour, which on the day of a change is not that of the failure's hour.
        let first = Timestamp::from_ms(wanted.saturating_sub(offset(day)));
        let at = Timestamp::from_ms(wanted.saturating_sub(offset(first)));
        Some(at.max(since.plus_ms(DAY_MS / 2)))
    }
}
