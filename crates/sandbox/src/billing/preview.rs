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
            return Err(ApiError::none_upcoming("subscription", &subscription.id));
        }
        if supposed.cancel_now {
            return Ok(self.preview_cancel(subscription, supposed.prorate_cancel));
        }
        let planned = self.plan_change(subscription, &supposed.change)?;
        let changed = planned.changed(subscription);
        let prorates = !planned.prorations.is_empty();
        let mut lines = planned.prorations;
        if planned.restarts && changed.status != SubscriptionStatus::Trialing {
            lines.extend(self.period_lines(&changed, planned.period, false));
            return Ok(self.previewed(&changed, lines, self.now));
        }
        if supposed.change.proration == Proration::Invoice && prorates {
            return Ok(self.previewed(&changed, lines, self.now));
        }
        match changed.cancel_at.filter(|at| *at <= changed.period.end) {
            Some(at) => self.last_invoice(&changed, lines, at),
            None => Ok(self.next_renewal(&changed, lines)),
        }
    }

    /// The invoice of a subscription that ends without another renewal; none where nothing waits for it.
    fn last_invoice(
        &mut self,
        subscription: &Subscription,
        mut lines: Vec<Line>,
        at: i64,
    ) -> ApiResult<Invoice> {
        lines.extend(self.outstanding_usage(subscription, at, Seen::Counted));
        if lines.is_empty() && !self.anything_waits(subscription) {
            return Err(ApiError::none_upcoming("subscription", &subscription.id));
        }
        let mut invoice = self.previewed(subscription, lines, at);
        invoice.period = Period { start: subscription.period.start, end: at };
        invoice.created = at;
        invoice.next_payment_attempt = Some(at + self.settings.draft_seconds);
        Ok(invoice)
    }

    fn preview_cancel(&mut self, subscription: &Subscription, prorate: bool) -> Invoice {
        let mut lines =
            if prorate { self.credit_lines(subscription, self.now, |_| true) } else { Vec::new() };
        lines.extend(self.outstanding_usage(subscription, self.now, Seen::Counted));
        self.previewed(subscription, lines, self.now)
    }
}
