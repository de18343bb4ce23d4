//! The end of a subscription: at once, or later and revocable.

use super::change::Proration;
use super::lines::{LineOf, Share};
use super::usage::Seen;
use crate::model::invoice::{BillingReason, InvoiceStatus, Line};
use crate::model::subscription::{CancellationDetails, Period, Subscription, SubscriptionStatus};
use crate::payments::attempt::Presence;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

/// How a subscription is cancelled at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct CancelNow {
    /// Make a last invoice of what is due or owed, usage included; usage is forgotten otherwise.
    pub(crate) invoice: bool,
    /// Credit the unused time.
    pub(crate) prorate: bool,
    pub(crate) details: CancellationDetails,
}

/// When a subscription is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Never,
    /// At the end of whatever period runs.
    OfPeriod,
    /// In unix seconds.
    At(i64),
}

impl World {
    /// Cancels at once. Money moves only when a last invoice asks for it.
    pub(crate) fn cancel_now(&mut self, id: &str, how: CancelNow) -> ApiResult<()> {
        let subscription = need(&self.subscriptions, id, "id")?;
        if subscription.status.is_terminal() {
            return Err(ApiError::missing("subscription", id, "id"));
        }
        let uses_up = matches!(subscription.status, SubscriptionStatus::Active | SubscriptionStatus::PastDue);
        if how.prorate && uses_up {
            self.credit_rest(&subscription, self.now);
        }
        if how.invoice {
            // What was used in this very second, too: no later period would bill it.
            let usage = self.outstanding_usage(&subscription, self.now + 1, Seen::Reported);
            self.invoice_waiting(&subscription, usage)?;
        }
        let mut details = how.details;
        details.reason.get_or_insert_with(|| "cancellation_requested".to_owned());
        self.end_subscription(id, details);
        Ok(())
    }

    /// Makes an invoice of what waits for one and of `usage`, and tries to collect it; none of nothing.
    pub(crate) fn invoice_waiting(&mut self, subscription: &Subscription, usage: Vec<Line>) -> ApiResult<()> {
        let waiting =
            self.waiting_items(&subscription.customer, Some(&subscription.id), &subscription.currency);
        if !waiting.is_empty() || usage.iter().any(|line| line.amount != 0) {
            let invoice = self
                .draft_invoice(self.invoice_of(subscription, BillingReason::SubscriptionUpdate, usage), true);
            self.finalize_invoice(&invoice, None)?;
            self.try_invoice(&invoice, None, Presence::OffSession)?;
        }
        Ok(())
    }

    /// Credits the time from an instant on to the end of the period, on an invoice to come.
    pub(crate) fn credit_rest(&mut self, subscription: &Subscription, from: i64) {
        for line in self.credit_lines(subscription, from, |_| true) {
            self.add_invoice_item(&subscription.customer, line);
        }
    }

    /// Ends a subscription now and stops collecting what is still open.
    pub(crate) fn end_subscription(&mut self, id: &str, details: CancellationDetails) {
        self.forget_pending(id);
        let Some(mut subscription) =
            self.subscriptions.get(id).filter(|subscription| !subscription.status.is_terminal()).cloned()
        else {
            return;
        };
        if subscription.status == SubscriptionStatus::Incomplete {
            self.void_latest(&subscription);
        }
        subscription.status = SubscriptionStatus::Canceled;
        subscription.ended_at = Some(self.now);
        subscription.canceled_at.get_or_insert(self.now);
        subscription.cancellation.reason = details.reason.or(subscription.cancellation.reason);
        subscription.cancellation.comment = details.comment.or(subscription.cancellation.comment);
        subscription.cancellation.feedback = details.feedback.or(subscription.cancellation.feedback);
        let customer = subscription.customer.clone();
        self.subscriptions.put(subscription);
        self.emit("customer.subscription.deleted", self.subscription_value(id));
        if let Some(ended) = self.subscriptions.get(id).cloned() {
            self.schedule_loses(&ended);
        }
        let running: Vec<String> = self
            .invoices
            .of(&customer)
            .filter(|invoice| invoice.subscription.as_deref() == Some(id) && invoice.auto_advance)
            .filter(|invoice| matches!(invoice.status, InvoiceStatus::Draft | InvoiceStatus::Open))
            .map(|invoice| invoice.id.clone())
            .collect();
        for invoice in running {
            self.change_invoice(&invoice, |invoice| {
                invoice.auto_advance = false;
                invoice.next_payment_attempt = None;
                invoice.finalizes_at = None;
            });
        }
    }

    pub(crate) fn void_latest(&mut self, subscription: &Subscription) {
        let open = subscription.latest_invoice.as_ref().and_then(|invoice| self.invoices.get(invoice));
        if let Some(invoice) =
            open.filter(|invoice| invoice.status == InvoiceStatus::Open).map(|invoice| invoice.id.clone())
        {
            // It is open, so voiding it cannot be refused.
            let _ = self.void_invoice(&invoice);
        }
    }

    /// A subscription as it is once its end is planned, with the two sides of the time that is billed no more or again: an
    /// end within the running period credits what follows it, and moving the end on charges that again. Published:
    /// `cancel_at` "before the current period ends … will cause a proration if prorations have been enabled using
    /// `proration_behavior`" (API reference, update a subscription).
    pub(crate) fn planned_end(
        &mut self,
        subscription: &Subscription,
        end: End,
        proration: Proration,
    ) -> (Subscription, Vec<Line>) {
        let mut planned = subscription.clone();
        match end {
            End::Never => unplan_end(&mut planned),
            End::OfPeriod => {
                plan_end(&mut planned, subscription.period.end, self.now);
                planned.cancel_at_period_end = true;
            }
            End::At(at) => {
                plan_end(&mut planned, at, self.now);
                planned.cancel_at_period_end = false;
            }
        }
        let bills = match subscription.status {
            SubscriptionStatus::Active | SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => true,
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled => false,
        };
        if !bills || proration == Proration::None {
            return (planned, Vec::new());
        }
        let until = planned.part_of(subscription.period).end;
        let billed = subscription.billed_until();
        let mut lines = if until < billed {
            self.credit_lines(subscription, until, |_| true)
        } else {
            self.rest_debits(subscription, Period { start: billed.max(self.now), end: until })
        };
        lines.retain(|line| line.amount != 0);
        planned.bill_until(until);
        (planned, lines)
    }

    /// Charges a part of the running period that was credited, or was never billed.
    fn rest_debits(&mut self, subscription: &Subscription, part: Period) -> Vec<Line> {
        if part.start >= part.end {
            return Vec::new();
        }
        let whole = self.rest_of_period(subscription, part.start).whole;
        let share = Share { part: part.end - part.start, whole };
        let wholes = self.whole_amounts(subscription, part.start);
        let items = subscription.items.iter().zip(wholes);
        items
            .filter_map(|(item, full)| {
                self.debit_line(&LineOf { subscription, item, period: part }, full, share)
            })
            .collect()
    }

    /// Plans the end of a subscription, or takes the plan back. The difference waits for the next invoice, or has one now.
    pub(crate) fn plan_end(&mut self, id: &str, end: End, proration: Proration) -> ApiResult<()> {
        let subscription = need(&self.subscriptions, id, "id")?;
        let (planned, lines) = self.planned_end(&subscription, end, proration);
        let invoices = proration == Proration::Invoice && !lines.is_empty();
        for line in lines {
            self.add_invoice_item(&subscription.customer, line);
        }
        let cancel_at = planned.cancel_at;
        self.change_subscription(id, |subscription| take_end(subscription, &planned));
        self.set_end_timer(id, cancel_at);
        if invoices {
            let subscription = need(&self.subscriptions, id, "id")?;
            self.invoice_waiting(&subscription, Vec::new())?;
        }
        Ok(())
    }

    /// Sets the timer of a planned end.
    pub(super) fn set_end_timer(&mut self, id: &str, cancel_at: Option<i64>) {
        if let Some(at) = cancel_at {
            self.timers.set(at.max(self.now), Timer::CancelAt(id.to_owned()));
        }
    }
}

/// Gives a subscription the end that was planned for it in a copy.
pub(crate) fn take_end(subscription: &mut Subscription, planned: &Subscription) {
    subscription.cancel_at = planned.cancel_at;
    subscription.cancel_at_period_end = planned.cancel_at_period_end;
    subscription.canceled_at = planned.canceled_at;
    subscription.cancellation.clone_from(&planned.cancellation);
    subscription.billed_until = planned.billed_until;
    subscription.cuts.clone_from(&planned.cuts);
}

/// A planned end of the period moves with the period.
pub(crate) fn plan_end_with(subscription: &mut Subscription) {
    if subscription.cancel_at_period_end {
        subscription.cancel_at = Some(subscription.period.end);
    }
}

fn plan_end(subscription: &mut Subscription, at: i64, now: i64) {
    subscription.cancel_at = Some(at);
    subscription.canceled_at = Some(now);
    subscription.cancellation.reason = Some("cancellation_requested".to_owned());
}

fn unplan_end(subscription: &mut Subscription) {
    subscription.cancel_at = None;
    subscription.cancel_at_period_end = false;
    subscription.canceled_at = None;
    subscription.cancellation = CancellationDetails::default();
}
