//! Billing periods, counted from an anchor so that a month-end stays a month-end: 31 January, 28 February, 31 March.
//!
//! All in UTC. Knows nothing of subscriptions.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::model::product::{Interval, Recurring};

const DAY: i64 = 86_400;

/// The `n`-th boundary from the anchor, in unix seconds; `n` may be negative.
pub(crate) fn boundary(anchor: i64, recurring: Recurring, n: i64) -> i64 {
    let count = recurring.count.max(1).saturating_mul(n);
    match recurring.interval {
        Interval::Day => anchor + count * DAY,
        Interval::Week => anchor + count * 7 * DAY,
        Interval::Month => add_months(anchor, count),
        Interval::Year => add_months(anchor, count.saturating_mul(12)),
    }
}

/// The first boundary after an instant.
pub(crate) fn next_boundary(anchor: i64, recurring: Recurring, after: i64) -> i64 {
    let mut n = steps(anchor, recurring, after) - 1;
    while boundary(anchor, recurring, n) <= after {
        n += 1;
    }
    while boundary(anchor, recurring, n - 1) > after {
        n -= 1;
    }
    boundary(anchor, recurring, n)
}

/// The last boundary at or before an instant.
pub(crate) fn last_boundary(anchor: i64, recurring: Recurring, at: i64) -> i64 {
    let mut n = steps(anchor, recurring, at) + 1;
    while boundary(anchor, recurring, n) > at {
        n -= 1;
    }
    boundary(anchor, recurring, n)
}

/// About how many intervals lie between; the callers correct it by one or two.
fn steps(anchor: i64, recurring: Recurring, at: i64) -> i64 {
    let count = recurring.count.max(1);
    match recurring.interval {
        Interval::Day => (at - anchor).div_euclid(count * DAY),
        Interval::Week => (at - anchor).div_euclid(count * 7 * DAY),
        Interval::Month => months_between(anchor, at).div_euclid(count),
        Interval::Year => months_between(anchor, at).div_euclid(count * 12),
    }
}

fn civil(at: i64) -> DateTime {
    Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).datetime()
}

fn months_between(from: i64, to: i64) -> i64 {
    let (from, to) = (civil(from), civil(to));
    (i64::from(to.year()) - i64::from(from.year())) * 12 + i64::from(to.month()) - i64::from(from.month())
}

/// Adds months; a day that the month lacks becomes its last. Beyond the calendar, a month counts 30 days.
fn add_months(at: i64, months: i64) -> i64 {
    Span::new()
        .try_months(months)
        .and_then(|span| civil(at).checked_add(span))
        .and_then(|moved| moved.to_zoned(TimeZone::UTC))
        .map_or(at.saturating_add(months.saturating_mul(30 * DAY)), |moved| moved.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a timestamp").as_second()
    }

    const MONTHLY: Recurring = Recurring { interval: Interval::Month, count: 1, trial_days: None };
    const YEARLY: Recurring = Recurring { interval: Interval::Year, count: 1, trial_days: None };

    #[test]
    fn month_ends_do_not_drift() {
        let anchor = at("2026-01-31T10:00:00Z");
        let expected =
            ["2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z", "2026-05-31T10:00:00Z"];
        let mut now = anchor;
        for text in expected {
            now = next_boundary(anchor, MONTHLY, now);
            assert_eq!(now, at(text));
        }
        assert_eq!(last_boundary(anchor, MONTHLY, at("2026-04-15T00:00:00Z")), at("2026-03-31T10:00:00Z"));
    }

    #[test]
    fn a_leap_day_returns() {
        let anchor = at("2028-02-29T00:00:00Z");
        assert_eq!(next_boundary(anchor, YEARLY, anchor), at("2029-02-28T00:00:00Z"));
        assert_eq!(boundary(anchor, YEARLY, 4), at("2032-02-29T00:00:00Z"));
    }

    #[test]
    fn an_anchor_in_the_future_ends_the_first_period() {
        let anchor = at("2026-03-15T00:00:00Z");
        assert_eq!(next_boundary(anchor, MONTHLY, at("2026-03-01T00:00:00Z")), anchor);
        assert_eq!(last_boundary(anchor, MONTHLY, at("2026-03-01T00:00:00Z")), at("2026-02-15T00:00:00Z"));
    }

    proptest::proptest! {
        #[test]
        fn the_next_boundary_is_the_first_one_after(anchor in 1_500_000_000_i64..2_500_000_000, ahead in -100_000_000_i64..400_000_000, unit in 0_usize..4, count in 1_i64..13) {
            let interval = [Interval::Day, Interval::Week, Interval::Month, Interval::Year][unit];
            let recurring = Recurring { interval, count, trial_days: None };
            let after = anchor + ahead;
            let next = next_boundary(anchor, recurring, after);
            let last = last_boundary(anchor, recurring, after);
            proptest::prop_assert!(next > after);
            proptest::prop_assert!(last <= after);
            proptest::prop_assert_eq!(next_boundary(anchor, recurring, last), next);
        }
    }
}
