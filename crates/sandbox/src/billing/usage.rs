//! Metered items on invoices: billed afterwards, when their period ends, for what their meter counted.
//!
//! An item is billed from the start of the period, or from the instant at which it got its price, so a change of price
//! bills each part at its own. Usage of a trial is free. A draft is brought up to date when it becomes final.

use super::lines::LineOf;
use crate::model::decimal::Decimal;
use crate::model::invoice::{Invoice, Line};
use crate::model::product::Price;
use crate::model::subscription::{Period, Subscription, SubscriptionItem, SubscriptionStatus};
use crate::model::terms::ItemTerms;
use crate::state::world::World;

/// Which events are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Those that are counted already, as a preview shows them.
    Counted,
    /// Every one that was reported, as it is billed.
    Reported,
}

impl World {
    /// Whether an item is billed by a meter.
    pub(crate) fn is_metered(&self, item: &SubscriptionItem) -> bool {
        self.prices.get(&item.price).is_some_and(Price::is_metered)
    }

    /// The lines of one metered item for the part of a period in which it had its price.
    pub(crate) fn usage_lines(
        &mut self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        period: Period,
        seen: Seen,
    ) -> Vec<Line> {
        let start = period.start.max(item.usage_from).min(period.end);
        let period = Period { start, end: period.end };
        let quantity = self.usage_of(item, &subscription.customer, period, seen);
        self.quantity_lines(&LineOf { subscription, item, period }, quantity, false)
    }

    /// What a customer used; never less than nothing.
    fn usage_of(&self, item: &SubscriptionItem, customer: &str, period: Period, seen: Seen) -> Decimal {
        let by = match seen {
            Seen::Counted => self.now,
            Seen::Reported => i64::MAX,
        };
        let meter = self.prices.get(&item.price).and_then(|price| price.meter.as_deref());
        let meter = meter.and_then(|id| self.metering.meters.get(id));
        let none = Decimal::from(0);
        meter.map_or(none, |meter| self.metering.usage(meter, customer, period, by).max(none))
    }

    /// What is used and not billed yet, up to an instant; nothing while usage is free.
    pub(crate) fn outstanding_usage(
        &mut self,
        subscription: &Subscription,
        until: i64,
        seen: Seen,
    ) -> Vec<Line> {
        match subscription.status {
            SubscriptionStatus::Active | SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => {}
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled => return Vec::new(),
        }
        let period = Period { start: subscription.period.start, end: until };
        let mut lines = Vec::new();
        for item in subscription.items.iter().filter(|item| self.is_metered(item)).collect::<Vec<_>>() {
            lines.extend(self.usage_lines(subscription, item, period, seen));
        }
        lines
    }

    /// The lines of a renewal, item by item: the usage of the period that ends, the next period of everything else.
    pub(crate) fn renewal_lines(
        &mut self,
        subscription: &Subscription,
        ended: Period,
        next: Period,
        seen: Seen,
    ) -> Vec<Line> {
        let was_free = subscription.status == SubscriptionStatus::Trialing;
        let mut lines = Vec::new();
        for item in &subscription.items {
            if !self.is_metered(item) {
                let of = LineOf { subscription, item, period: next };
                lines.extend(self.advance_lines(&of, false));
            } else if !was_free && item.usage_from < ended.end {
                lines.extend(self.usage_lines(subscription, item, ended, seen));
            }
        }
        lines
    }

    /// The last invoice of a subscription that has just ended as planned: what was used and not billed, and what waits.
    /// Published: "any pending prorations are also left in place and collected at the end of the period" (cancel
    /// subscriptions).
    pub(crate) fn bill_last(&mut self, ended: &Subscription) {
        let lines = self.outstanding_usage(ended, self.now, Seen::Reported);
        if !lines.is_empty() || self.anything_waits(ended) {
            self.draft_cycle(ended, Period { start: ended.period.start, end: self.now }, lines);
        }
    }

    /// Whether something waits for the next invoice of a subscription.
    pub(crate) fn anything_waits(&self, subscription: &Subscription) -> bool {
        let id = Some(subscription.id.as_str());
        !self.waiting_items(&subscription.customer, id, &subscription.currency).is_empty()
    }

    /// Brings the usage on a draft up to date. Answers whether there is any.
    pub(crate) fn settle_usage(&mut self, invoice: &mut Invoice) -> bool {
        let Some(subscription) = invoice.subscription.as_ref().and_then(|id| self.subscriptions.get(id))
        else {
            return false;
        };
        let subscription = subscription.clone();
        let mut any = false;
        let mut settled: Vec<Line> = Vec::with_capacity(invoice.lines.len());
        for line in std::mem::take(&mut invoice.lines) {
            let Some(item) = self.metered_item_of(&line) else {
                settled.push(line);
                continue;
            };
            any = true;
            // The first line of an item stands for all of them.
            if settled.iter().any(|other| other.invoice_item.is_none() && other.is_sold_with(&line)) {
                continue;
            }
            for mut counted in self.usage_lines(&subscription, &item, line.period, Seen::Reported) {
                // A discount for one invoice has left the item with the draft.
                counted.terms.discounts.clone_from(&line.terms.discounts);
                settled.push(counted);
            }
        }
        invoice.lines = settled;
        any
    }

    /// The item as it was when a line of its usage was written; none for other lines. Invoice items are settled.
    fn metered_item_of(&self, line: &Line) -> Option<SubscriptionItem> {
        let (id, price) = (line.subscription_item.clone()?, line.price.clone()?);
        let item = SubscriptionItem {
            id,
            created: line.period.start,
            price,
            quantity: 0,
            usage_from: line.period.start,
            metadata: line.metadata.clone(),
            terms: ItemTerms {
                discounts: line.terms.discounts.clone(),
                tax_rates: line.terms.tax_rates.clone(),
            },
        };
        (line.invoice_item.is_none() && self.is_metered(&item)).then_some(item)
    }
}
