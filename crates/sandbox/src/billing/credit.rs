//! What a subscription item was billed for time that has not passed: the credit of a downgrade or a cancellation.
//!
//! Credits repeat what was really debited, not what the price says now.

use crate::model::invoice::{Invoice, InvoiceStatus, Line};
use crate::model::subscription::{Period, Subscription, SubscriptionItem};
use crate::payments::balance::round_fraction;
use crate::state::world::World;

impl World {
    /// What the item was debited for the time from an instant to the end of the running period.
    pub(crate) fn debited(&self, subscription: &Subscription, item: &SubscriptionItem, from: i64) -> i64 {
        let Period { start, end } = subscription.period;
        let concerns = |line: &&Line| {
            line.subscription_item.as_ref() == Some(&item.id) && line.period.end == end && line.net() >= 0
        };
        // The invoice of a change that waits was not debited for what the subscription has.
        let supposed = |invoice: &Invoice| {
            subscription.pending.as_ref().is_some_and(|pending| pending.invoice == invoice.id)
        };
        let invoiced = self
            .invoices
            .of(&subscription.customer)
            .rev()
            .take_while(|invoice| invoice.created >= start)
            .filter(|invoice| invoice.status != InvoiceStatus::Void && !supposed(invoice))
            .flat_map(|invoice| invoice.lines.iter().rev());
        let waiting = self.invoice_items.of(&subscription.customer).rev();
        let waiting = waiting.filter(|item| item.invoice.is_none()).map(|item| &item.line);
        let mut debits: Vec<&Line> = waiting.chain(invoiced).filter(concerns).collect();
        // Newest first among those that begin together: a later debit replaced the earlier one.
        debits.sort_by_key(|line| std::cmp::Reverse(line.period.start));
        let (mut sum, mut until) = (0_i64, end);
        for line in debits {
            let begin = line.period.start.max(from);
            if begin < until {
                let part = round_fraction(line.net(), until - begin, line.period.end - line.period.start);
                sum = sum.saturating_add(part);
                until = begin;
            }
        }
        sum
    }
}
