//! The invoice that would come: after a change, at a cancellation, or simply next.

use super::calendar::next_boundary;
use super::change::{Change, Proration};
use super::lines::LineOf;
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
        let waiting = self.waiting_lines(subscription);
        self.next_renewal(subscription, waiting)
    }

    fn waiting_lines(&self, subscription: &Subscription) -> Vec<Line> {
        let waiting =
            self.waiting_items(&subscription.customer, Some(&subscription.id), &subscription.currency);
        waiting.into_iter().map(|item| item.line).collect()
    }

    fn next_renewal(&mut self, subscription: &Subscription, mut lines: Vec<Line>) -> Invoice {
        let start = subscription.period.end;
        if let Some(recurring) = self.recurring(&subscription.items) {
            let period = Period { start, end: next_boundary(subscription.anchor, recurring, start) };
            lines.extend(self.renewal_lines(subscription, subscription.period, period, Seen::Counted));
        }
        let mut invoice = self.previewed(subscription, lines);
        invoice.period = subscription.period;
        invoice.created = start;
        invoice.next_payment_attempt = Some(start + self.settings.draft_seconds);
        invoice
    }

    fn previewed(&mut self, subscription: &Subscription, lines: Vec<Line>) -> Invoice {
        let new = self.invoice_of(subscription, BillingReason::Upcoming, lines);
        let mut invoice = self.build_invoice(new);
        invoice.id = format!("upcoming_{}", invoice.id);
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
            && supposed.change.items.is_empty()
        {
            let usage = self.outstanding_usage(subscription, at, Seen::Counted);
            if !usage.is_empty() {
                let mut lines = self.waiting_lines(subscription);
                lines.extend(usage);
                return Ok(self.previewed(subscription, lines));
            }
            return Err(ApiError::state(
                "invoice_upcoming_none",
                format!("No upcoming invoices for subscription: {}", subscription.id),
            ));
        }
        let planned = self.plan_change(subscription, &supposed.change)?;
        let mut changed = subscription.clone();
        changed.items = planned.items;
        changed.period = planned.period;
        changed.anchor = planned.anchor;
        changed.status = planned.status;
        let mut lines = self.waiting_lines(subscription);
        let prorates = !planned.prorations.is_empty();
        lines.extend(planned.prorations);
        if planned.restarts && changed.status != SubscriptionStatus::Trialing {
            lines.extend(self.period_lines(&changed, planned.period, false));
            return Ok(self.previewed(&changed, lines));
        }
        if supposed.change.proration == Proration::Invoice && prorates {
            return Ok(self.previewed(&changed, lines));
        }
        Ok(self.next_renewal(&changed, lines))
    }

    fn preview_cancel(&mut self, subscription: &Subscription, prorate: bool) -> Invoice {
        let mut lines = self.waiting_lines(subscription);
        if prorate {
            let part = self.rest_of_period(subscription, self.now, -1);
            let period = Period { start: self.now, end: subscription.period.end };
            for item in &subscription.items {
                lines.extend(self.proration_line(&LineOf { subscription, item, period }, part));
            }
        }
        lines.extend(self.outstanding_usage(subscription, self.now, Seen::Counted));
        self.previewed(subscription, lines)
    }
}
