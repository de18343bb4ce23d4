//! Subscriptions that begin in the past: what their first invoice charges for the time before it.

use super::calendar::boundary;
use super::lines::{LineOf, Part};
use crate::model::invoice::Line;
use crate::model::product::Recurring;
use crate::model::subscription::{Period, Subscription};
use crate::state::world::World;

/// More intervals than any subscription can be backdated by.
const MOST_INTERVALS: i64 = 2_000;

impl World {
    /// Lines from an instant that has passed up to now: whole intervals, then the part of one that has begun.
    pub(crate) fn backdated_lines(
        &mut self,
        subscription: &Subscription,
        from: i64,
        recurring: Recurring,
    ) -> Vec<Line> {
        let now = self.now;
        let mut lines = Vec::new();
        for n in 0..MOST_INTERVALS {
            let (start, end) = (boundary(from, recurring, n), boundary(from, recurring, n + 1));
            if start >= now {
                break;
            }
            if end <= now {
                lines.extend(self.period_lines(subscription, Period { start, end }, false));
                continue;
            }
            let period = Period { start, end: now };
            let part = Part { part: now - start, whole: end - start };
            for item in &subscription.items {
                let full = self.full_price(item);
                lines.extend(self.debit_line(&LineOf { subscription, item, period }, full, part));
            }
        }
        lines
    }
}
