//! What a subscription item was billed for time that has not passed: the credit of a downgrade or a cancellation.
//!
//! Credits repeat what was really debited, not what the price says now. Usage is billed when its time is over, so there
//! is never any credit for it.

use crate::model::invoice::{Invoice, InvoiceStatus, Line};
use crate::model::subscription::{Period, Subscription, SubscriptionItem};
use crate::payments::balance::round_fraction;
use crate::state::world::World;

/// Debits with what they came to. The lines that tiers make are one debit.
fn debits<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<(&'a Line, i64)> {
    let mut debits: Vec<(&Line, i64)> = Vec::new();
    for line in lines {
        match debits.iter_mut().find(|(first, _)| first.is_sold_with(line)) {
            Some((_, sum)) => *sum = sum.saturating_add(line.net()),
            None => debits.push((line, line.net())),
        }
    }
    debits
}

impl World {
    /// What the item was debited for the time from an instant to where the running period is billed to.
    pub(crate) fn debited(&self, subscription: &Subscription, item: &SubscriptionItem, from: i64) -> i64 {
        let Period { start, end } = subscription.period;
        let ends = |at: i64| at == end || subscription.cuts.contains(&at);
        let concerns = |line: &&Line| {
            line.subscription_item.as_ref() == Some(&item.id) && ends(line.period.end) && line.net() >= 0
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
            .flat_map(|invoice| debits(invoice.lines.iter().rev().filter(concerns)));
        let waiting = self.invoice_items.of(&subscription.customer).rev();
        let waiting = waiting.filter(|item| item.invoice.is_none()).map(|item| &item.line);
        let mut all = debits(waiting.filter(concerns));
        all.extend(invoiced);
        // Newest first among those that begin together: a later debit replaced the earlier one.
        all.sort_by_key(|(line, _)| std::cmp::Reverse(line.period.start));
        let (mut sum, mut until) = (0_i64, subscription.billed_until());
        for (line, debit) in all {
            let begin = line.period.start.max(from);
            let to = line.period.end.min(until);
            if begin < to {
                let part = round_fraction(debit, to - begin, line.period.end - line.period.start);
                sum = sum.saturating_add(part);
                until = begin;
            }
        }
        sum
    }
}
