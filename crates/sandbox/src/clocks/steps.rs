//! The steps in which people move time by hand: a day, a month, to the next renewal. The same for every time line.

use crate::billing::calendar::boundary;
use crate::clock::FURTHEST_LEAP;
use crate::model::product::{Interval, Recurring};
use crate::model::test_clock::ClockState;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};

/// A step of a time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Day,
    Month,
    /// Past the hour for which the invoice of the next renewal stays a draft, so that its payment is seen.
    Renewal,
}

impl Step {
    /// The step of a word: `day`, `month` or `renewal`.
    pub(crate) fn of(word: &str) -> Option<Self> {
        match word {
            "day" => Some(Self::Day),
            "month" => Some(Self::Month),
            "renewal" => Some(Self::Renewal),
            _ => None,
        }
    }
}

impl World {
    /// Where a time line stands: a test clock's, or the account's own; in unix seconds.
    pub(crate) fn now_on(&self, clock: Option<&str>) -> i64 {
        clock.and_then(|id| self.test_clocks.get(id)).map_or_else(|| self.own_now(), |clock| clock.now)
    }

    /// When the next period of a running subscription of a time line ends, in unix seconds.
    pub(crate) fn renewal_due(&self, clock: Option<&str>) -> Option<i64> {
        let now = self.now_on(clock);
        let running = self
            .subscriptions
            .iter()
            .filter(|found| found.test_clock.as_deref() == clock && !found.status.is_terminal());
        running.map(|subscription| subscription.period.end).filter(|end| *end > now).min()
    }

    /// Where a step leads; `None` when there is no renewal to go to.
    pub(crate) fn step_to(&self, clock: Option<&str>, step: Step) -> Option<i64> {
        let now = self.now_on(clock);
        let month = Recurring { interval: Interval::Month, count: 1, trial_days: None };
        let to = match step {
            Step::Day => now.saturating_add(86_400),
            Step::Month => boundary(now, month, 1),
            Step::Renewal => self.renewal_due(clock)?.saturating_add(self.settings.draft_seconds),
        };
        Some(to.min(now.saturating_add(FURTHEST_LEAP)))
    }

    /// Moves a test clock by hand: without the limits of the API, and without waiting.
    pub(crate) fn move_clock(&mut self, id: &str, to: i64) -> ApiResult<()> {
        let clock = self.standing_clock(id)?;
        let furthest = clock.now.saturating_add(FURTHEST_LEAP).min(crate::clock::LAST);
        if !(clock.now..=furthest).contains(&to) {
            return Err(ApiError::rule(format!(
                "The clock moves from {} to at most {furthest} at once. Nothing changed.",
                clock.now
            )));
        }
        self.test_clocks.edit(id, |clock| clock.state = ClockState::Advancing { to });
        self.tell_of_clock("advancing", id);
        self.clock_arrives(id);
        Ok(())
    }
}
