//! The times of phases, worked out from what a request says of them. Pure arithmetic over the calendar.

use crate::billing::calendar::{boundary, last_boundary, next_boundary};
use crate::clock::LAST;
use crate::model::product::{Interval, Recurring};
use crate::wire::error::{ApiError, ApiResult};

/// How long a phase is, as a request says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Up to an instant, in unix seconds.
    Until(i64),
    /// Up to this instant.
    UntilNow,
    /// So many days, weeks, months or years.
    Lasting(Recurring),
}

/// When a phase ends. Lengths follow the billing cycle, so that a month-end stays a month-end where the phase begins on
/// a boundary of it; `anchor` is where that cycle began.
pub(crate) fn end_of(start: i64, length: Length, anchor: i64, now: i64) -> i64 {
    match length {
        Length::Until(at) => at,
        Length::UntilNow => now,
        Length::Lasting(Recurring { interval, count, .. }) => {
            let unit = Recurring { interval, count: 1, trial_days: None };
            let steps = count.max(1);
            if last_boundary(anchor, unit, start) == start {
                (0..steps).fold(start, |at, _| if at > LAST { at } else { next_boundary(anchor, unit, at) })
            } else {
                boundary(start, unit, steps)
            }
        }
    }
}

/// Refuses a phase that ends before it begins or beyond the calendar.
pub(crate) fn check_end(start: i64, end: i64, param: &str) -> ApiResult<()> {
    if end <= start || end > LAST {
        let message =
            format!("A phase must end after it begins: it begins at {start} and would end at {end}.");
        return Err(ApiError::rule(message).param(param));
    }
    Ok(())
}

/// The interval of a word of the API.
pub(crate) fn interval_of(word: &str) -> Interval {
    match word {
        "day" => Interval::Day,
        "week" => Interval::Week,
        "year" => Interval::Year,
        _ => Interval::Month,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().expect("a timestamp").as_second()
    }

    fn months(count: i64) -> Length {
        Length::Lasting(Recurring { interval: Interval::Month, count, trial_days: None })
    }

    #[test]
    fn phases_keep_the_end_of_the_month() {
        let anchor = at("2026-01-31T10:00:00Z");
        let first = end_of(anchor, months(1), anchor, 0);
        assert_eq!(first, at("2026-02-28T10:00:00Z"));
        assert_eq!(end_of(first, months(1), anchor, 0), at("2026-03-31T10:00:00Z"));
        assert_eq!(end_of(first, months(2), anchor, 0), at("2026-04-30T10:00:00Z"));
        let off = at("2026-02-10T00:00:00Z");
        assert_eq!(
            end_of(off, months(1), anchor, 0),
            at("2026-03-10T00:00:00Z"),
            "off the cycle it counts alone"
        );
        assert_eq!(end_of(off, Length::Until(7), anchor, 0), 7);
        assert_eq!(end_of(off, Length::UntilNow, anchor, 9), 9);
    }
}
