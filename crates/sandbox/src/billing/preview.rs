//! The invoice that would come: after a change, at a cancellation, or simply next.

use super::calendar::next_boundary;
use super::change::{Change, Proration};
use super::usage::Seen;
use crate::model::invoice::{BillingReason, Invoice, Line};
use crate::model::subscription::{Period, Subscription, SubscriptionStatus};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};

/// What a preview supposes.
#[derive(Debug, Clone)]
pub(crate) struct Supposed {
    pub(crate) change: Change,
    pub(crate) cancel_now: bool,
    pub(crate) prorate_cancel: bool,
}

impl World {
    /// The next renewal as it stands.
    pub(crate) fn upcoming_invoice(&mut self, subscription: &Subscription) -> Invoice {
        self.next_renewal(subscription, Vec::new())
    }

    fn next_renewal(&mut self, subscription: &Subscription, mut lines: Vec<Line>) -> Invoice {
        let renewed = self.at_renewal(subscription);
        lines.extend(self.leaving_usage(subscription, &renewed.items));
        lines.extend(self.extras_at_renewal(subscription));
        let subscription = &renewed;
        let start = subscription.period.end;
        if let Some(recurring) = self.recurring(&subscription.items) {
            let period = Period { start, end: next_boundary(subscription.anchor, recurring, start) };
            lines.extend(self.renewal_lines(subscription, subscription.period, period, Seen::Counted));
        }
        let mut invoice = self.previewed(subscription, lines, start);
        invoice.period = subscription.period;
        invoice.created = start;
        invoice.next_payment_attempt = Some(start + self.settings.draft_seconds);
        invoice
    }

    /// The invoice that would be made at an instant.
    fn previewed(&mut self, subscription: &Subscription, lines: Vec<Line>, at: i64) -> Invoice {
        let mut new = self.invoice_of(subscription, BillingReason::Upcoming, lines);
        new.terms.discounts = self.discounts_for(subscription, at);
        let mut invoice = self.build_invoice(new, true);
        invoice.id = format!("upcoming_{}", invoice.id);
        invoice.ending_balance = Some(invoice.balance_left);
        invoice
    }

    /// The invoice that a supposed change would lead to. Nothing changes.
    pub(crate) fn preview(&mut self, subscription: &Subscription, supposed: &Supposed) -> ApiResult<Invoice> {
        if subscription.status.is_terminal() {
            return Err(ApiError::state(
                "invoice_upcoming_none",
                format!("No upcoming invoices for subscription: {}", subscription.id),
            ));
        }
        if supposed.cancel_now {
            return Ok(self.preview_cancel(subscription, supposed.prorate_cancel));
        }
        if let Some(at) = subscription.cancel_at.filter(|at| *at <= subscription.period.end)
            && supposed.change.is_empty()
        {
            let usage = self.outstanding_usage(subscription, at, Seen::Counted);
            if !usage.is_empty() {
                return Ok(self.previewed(subscription, usage, at));
            }
            return Err(ApiError::state(
                "invoice_upcoming_none",
                format!("No upcoming invoices for subscription: {}", subscription.id),
            ));
        }
        let planned = self.plan_change(subscription, &supposed.change)?;
        let mut changed = subscription.clone();
        changed.items = planned.items;
        changed.terms = planned.terms;
        changed.period = planned.period;
        changed.anchor = planned.anchor;
        changed.status = planned.status;
        let prorates = !planned.prorations.is_empty();
        let mut lines = planned.prorations;
        if planned.restarts && changed.status != SubscriptionStatus::Trialing {
            lines.extend(self.period_lines(&changed, planned.period, false));
            return Ok(self.previewed(&changed, lines, self.now));
        }
        if supposed.change.proration == Proration::Invoice && prorates {
            return Ok(self.previewed(&changed, lines, self.now));
        }
        Ok(self.next_renewal(&changed, lines))
    }

    fn preview_cancel(&mut self, subscription: &Subscription, prorate: bool) -> Invoice {
        let mut lines =
            if prorate { self.credit_lines(subscription, self.now, |_| true) } else { Vec::new() };
        lines.extend(self.outstanding_usage(subscription, self.now, Seen::Counted));
        self.previewed(subscription, lines, self.now)
    }
}
