//! Revenue over time: what was sold for a period is earned day by day. A report about entries; no entry is written or changed by it.
//!
//! Days are UTC days. What is earned until the end of a period is the whole, to the minor unit: every day gets what the days until
//! its end have earned less what those before have.

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, Timestamp};

/// What a part of an invoice was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its share, as the line's amount; negative takes back.
    pub weight: i64,
    /// When the period begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl Service {
    /// Days that the period touches, and those of them that are over at `at`.
    fn days(&self, at: Timestamp) -> (i128, i128) {
        let day = |ms: i64| i128::from(ms.div_euclid(DAY_MS));
        let first = day(self.from.ms());
        let last = day(self.until.ms().saturating_add(DAY_MS - 1)).max(first + 1);
        let all = last - first;
        (all, (day(at.ms()) - first).clamp(0, all))
    }
}

/// What of `total` (minor units, any sign) is earned by the days that are over at `at`. Without services, or where they cancel each
/// other out, all of it is.
#[must_use]
pub fn earned(total: i64, services: &[Service], at: Timestamp) -> i64 {
    let whole: i128 = services.iter().map(|service| i128::from(service.weight)).sum();
    if whole == 0 {
        return total;
    }
    let (mut weights, mut parts, mut sum) = (0_i128, 0_i128, 0_i128);
    for service in services {
        weights += i128::from(service.weight);
        let until_here = (i128::from(total) * weights).div_euclid(whole);
        let part = until_here - parts;
        parts = until_here;
        let (all, over) = service.days(at);
        sum += (part * over).div_euclid(all);
    }
    i64::try_from(sum).unwrap_or(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_ms(n * DAY_MS)
    }

    fn service(weight: i64, from: i64, until: i64) -> Service {
        Service { weight, from: day(from), until: day(until) }
    }

    #[test]
    fn a_year_is_earned_by_the_day_and_all_of_it_in_the_end() {
        let year = [service(19_800, 0, 365)];
        assert_eq!(earned(19_800, &year, day(0)), 0);
        assert_eq!(earned(19_800, &year, day(31)), 19_800 * 31 / 365);
        assert_eq!(earned(19_800, &year, day(365)), 19_800);
        assert_eq!(earned(19_800, &year, day(9_999)), 19_800);
        assert_eq!(earned(12_000, &[], day(0)), 12_000, "what has no period is earned at once");
    }

    #[test]
    fn an_upgrade_takes_the_rest_of_the_old_back() {
        let both = [service(-1_000, 10, 30), service(5_000, 10, 30)];
        assert_eq!(earned(4_000, &both, day(10)), 0);
        assert_eq!(earned(4_000, &both, day(20)), 2_000);
        assert_eq!(earned(4_000, &both, day(30)), 4_000);
        assert_eq!(earned(700, &[service(5, 0, 9), service(-5, 0, 9)], day(0)), 700);
    }

    proptest! {
        #[test]
        fn days_add_up_to_the_whole(
            total in -1_000_000_i64..1_000_000,
            parts in proptest::collection::vec((1_i64..10_000, 0_i64..400, 0_i64..400), 1..5),
        ) {
            let services: Vec<Service> =
                parts.iter().map(|(weight, from, length)| service(*weight, *from, from + length)).collect();
            let mut before = earned(total, &services, day(-1));
            prop_assert_eq!(before, 0);
            let mut sum = 0;
            for n in 0..=801 {
                let now = earned(total, &services, day(n));
                sum += now - before;
                before = now;
            }
            prop_assert_eq!(sum, total);
        }
    }
}
