//! Which way a change of a subscription goes, and so when it is made: what gives more is made and paid at once, what
//! gives less waits until the period that is paid for is over.
//!
//! Pure and total: every pair of terms has a direction, and every direction a moment.

use serde::{Deserialize, Serialize};

use crate::catalog::Interval;
use crate::ids::PlanKey;
use crate::money::Money;
use crate::subscription::SubscriptionStatus;

/// When a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At once, and the difference is charged at once.
    Now,
    /// When the period that runs is over.
    PeriodEnd,
}

/// What a subscription is, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms<'a> {
    /// The plan.
    pub plan: &'a PlanKey,
    /// How often it is charged.
    pub interval: Interval,
    /// Price of one unit for one interval.
    pub unit: Money,
    /// Units.
    pub quantity: i64,
}

/// Which way a change goes. What makes it less decides before what makes it more; two plans are compared by their totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Charged more often from then on: the long period was paid for and is used up first.
    ShorterInterval,
    /// Another plan, for less in total.
    Downgrade,
    /// Charged less often from then on.
    LongerInterval,
    /// Another plan, for as much in total or more.
    Upgrade,
    /// Fewer units of the same.
    FewerUnits,
    /// More units of the same.
    MoreUnits,
    /// Nothing changes.
    Same,
}

/// What an interval costs in a year is counted in so many of it; only to compare prices, never to charge them.
const fn times_a_year(interval: Interval) -> i128 {
    match interval {
        Interval::Day => 365,
        Interval::Week => 52,
        Interval::Month => 12,
        Interval::Year | Interval::Once => 1,
    }
}

/// Which way a change goes. `alike` is the price of one unit of the new plan at the old interval, where it is sold like that:
/// two plans are compared by what all units cost for the same time, so that neither a discount for a long interval nor fewer
/// units make the dearer bill look cheap, or the cheaper one dear.
#[must_use]
pub fn direction(from: &Terms<'_>, to: &Terms<'_>, alike: Option<Money>) -> Direction {
    let yearly = |unit: Money, interval, quantity: i64| {
        i128::from(unit.minor).saturating_mul(i128::from(quantity)).saturating_mul(times_a_year(interval))
    };
    let before = yearly(from.unit, from.interval, from.quantity);
    let after = match alike {
        Some(unit) => yearly(unit, from.interval, to.quantity),
        None => yearly(to.unit, to.interval, to.quantity),
    };
    let other_plan = from.plan != to.plan;
    let (fewer, more) = (times_a_year(from.interval), times_a_year(to.interval));
    if more > fewer {
        Direction::ShorterInterval
    } else if other_plan && after < before {
        Direction::Downgrade
    } else if more < fewer {
        Direction::LongerInterval
    } else if other_plan {
        Direction::Upgrade
    } else if to.quantity < from.quantity {
        Direction::FewerUnits
    } else if to.quantity > from.quantity {
        Direction::MoreUnits
    } else {
        Direction::Same
    }
}

/// What happens when the payment of a change needs the customer, such as for 3-D Secure. A payment that is declined
/// changes nothing in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAction {
    /// The change waits for a day, and the customer gets a link where they pay.
    Link,
    /// It is refused as a decline is.
    Refuse,
}

/// How collection is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseHow {
    /// The periods go on and their invoices are voided; it can end by itself.
    Collection,
    /// The provider's own pause: no periods, no invoices; resuming begins a new period.
    Subscription,
}

/// The operator's choices: when each direction is made, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangePolicy {
    /// Another plan, for as much in total or more.
    pub upgrade: When,
    /// Another plan, for less in total.
    pub downgrade: When,
    /// More units.
    pub more_units: When,
    /// Fewer units.
    pub fewer_units: When,
    /// From month to year.
    pub longer_interval: When,
    /// From year to month.
    pub shorter_interval: When,
    /// When a payment needs the customer.
    pub on_action: OnAction,
    /// How long a quote holds, in minutes.
    pub quote_minutes: u32,
    /// How a subscription is paused.
    pub pause: PauseHow,
}

impl Default for ChangePolicy {
    fn default() -> Self {
        Self {
            upgrade: When::Now,
            downgrade: When::PeriodEnd,
            more_units: When::Now,
            fewer_units: When::PeriodEnd,
            longer_interval: When::Now,
            shorter_interval: When::PeriodEnd,
            on_action: OnAction::Link,
            quote_minutes: 30,
            pause: PauseHow::Collection,
        }
    }
}

impl ChangePolicy {
    /// When a change of this direction is made. In a trial nothing is paid for yet, so nothing needs to be used up
    /// first.
    #[must_use]
    pub fn when(&self, direction: Direction, status: &SubscriptionStatus) -> When {
        if *status == SubscriptionStatus::Trialing {
            return When::Now;
        }
        match direction {
            Direction::Upgrade => self.upgrade,
            Direction::Downgrade => self.downgrade,
            Direction::MoreUnits => self.more_units,
            Direction::FewerUnits => self.fewer_units,
            Direction::LongerInterval => self.longer_interval,
            Direction::ShorterInterval => self.shorter_interval,
            Direction::Same => When::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;

    fn yen(minor: i64) -> Money {
        Money::new(minor, Currency::parse("jpy").unwrap())
    }

    fn key(text: &str) -> PlanKey {
        PlanKey::parse(text).unwrap()
    }

    #[test]
    fn the_table_of_directions() {
        use Interval::{Month, Year};
        let (pro, studio) = (key("pro"), key("studio"));
        let of = |plan, interval, minor, quantity| Terms { plan, interval, unit: yen(minor), quantity };
        let month = of(&pro, Month, 1_980, 1);
        let cases = [
            (month, month, None, Direction::Same),
            (month, of(&studio, Month, 9_800, 1), None, Direction::Upgrade),
            (of(&studio, Month, 9_800, 1), month, None, Direction::Downgrade),
            (month, of(&pro, Month, 1_980, 3), None, Direction::MoreUnits),
            (of(&pro, Month, 1_980, 3), month, None, Direction::FewerUnits),
            (month, of(&pro, Year, 19_800, 1), None, Direction::LongerInterval),
            (of(&pro, Year, 19_800, 1), month, None, Direction::ShorterInterval),
            // Mixed: what makes it less decides.
            (of(&pro, Year, 19_800, 1), of(&studio, Month, 9_800, 1), None, Direction::ShorterInterval),
            (of(&studio, Month, 9_800, 1), of(&pro, Year, 19_800, 1), None, Direction::Downgrade),
            (month, of(&studio, Month, 9_800, 5), None, Direction::Upgrade),
            // Another plan and other units: what all of it costs decides.
            (of(&pro, Month, 1_980, 5), of(&studio, Month, 9_800, 1), None, Direction::Downgrade),
            (of(&studio, Month, 9_800, 1), of(&pro, Month, 1_980, 5), None, Direction::Upgrade),
            (of(&studio, Month, 9_800, 1), of(&pro, Month, 1_980, 4), None, Direction::Downgrade),
            (of(&pro, Month, 1_960, 5), of(&studio, Month, 9_800, 1), None, Direction::Upgrade),
            (of(&pro, Month, 1_980, 6), of(&studio, Year, 20_000, 1), Some(yen(9_800)), Direction::Downgrade),
            (
                of(&pro, Month, 1_980, 2),
                of(&studio, Year, 20_000, 1),
                Some(yen(9_800)),
                Direction::LongerInterval,
            ),
            // A deep yearly discount does not make the dearer plan a downgrade.
            (month, of(&studio, Year, 20_000, 1), Some(yen(9_800)), Direction::LongerInterval),
            (month, of(&studio, Year, 20_000, 1), None, Direction::Downgrade),
        ];
        for (from, to, alike, expected) in cases {
            assert_eq!(direction(&from, &to, alike), expected, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn less_waits_for_the_end_and_a_trial_waits_for_nothing() {
        let policy = ChangePolicy::default();
        let (active, trialing) = (SubscriptionStatus::Active, SubscriptionStatus::Trialing);
        for less in [Direction::Downgrade, Direction::FewerUnits, Direction::ShorterInterval] {
            assert_eq!(policy.when(less, &active), When::PeriodEnd);
            assert_eq!(policy.when(less, &trialing), When::Now);
        }
        for more in [Direction::Upgrade, Direction::MoreUnits, Direction::LongerInterval] {
            assert_eq!(policy.when(more, &active), When::Now);
        }
        let other = ChangePolicy { downgrade: When::Now, ..policy };
        assert_eq!(other.when(Direction::Downgrade, &active), When::Now);
    }

    proptest! {
        /// Going there and back is never an improvement both ways.
        #[test]
        fn one_way_gives_more_and_the_way_back_less(
            a in 1..1_000_000_i64, b in 1..1_000_000_i64, units in (1..500_i64, 1..500_i64),
            intervals in (0..4_usize, 0..4_usize), other in any::<bool>(),
        ) {
            let all = [Interval::Day, Interval::Week, Interval::Month, Interval::Year];
            let (pro, studio) = (key("pro"), key("studio"));
            let from = Terms { plan: &pro, interval: all[intervals.0], unit: yen(a), quantity: units.0 };
            let to = Terms {
                plan: if other { &studio } else { &pro },
                interval: all[intervals.1],
                unit: yen(b),
                quantity: units.1,
            };
            let less = |d| matches!(d, Direction::ShorterInterval | Direction::Downgrade | Direction::FewerUnits);
            let (there, back) = (direction(&from, &to, None), direction(&to, &from, None));
            prop_assert_eq!(there == Direction::Same, back == Direction::Same);
            let total = |t: &Terms<'_>| i128::from(t.unit.minor * t.quantity) * times_a_year(t.interval);
            if there != Direction::Same && !(other && total(&from) == total(&to)) {
                prop_assert!(less(there) || less(back), "{:?} {:?}", there, back);
            }
        }
    }
}
