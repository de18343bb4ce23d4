//! Pausing a subscription itself, and resuming it.

use super::calendar::next_boundary;
use crate::model::invoice::BillingReason;
use crate::model::subscription::{Period, SubscriptionStatus};
use crate::payments::attempt::{Attempt, Presence};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// Stops a subscription until it is resumed.
    pub(crate) fn pause_subscription(&mut self, id: &str, reason: &str) {
        let now = self.now;
        self.change_subscription(id, |subscription| {
            subscription.status = SubscriptionStatus::Paused;
            subscription.paused_at = Some(now);
            reason.clone_into(&mut subscription.pause_reason);
        });
        self.emit("customer.subscription.paused", self.subscription_value(id));
    }

    /// Resumes a paused subscription: a running period goes on, otherwise a new one begins and is paid first.
    pub(crate) fn resume_subscription(&mut self, id: &str, keep_anchor: bool) -> ApiResult<()> {
        let subscription = need(&self.subscriptions, id, "id")?;
        if subscription.status != SubscriptionStatus::Paused {
            return Err(ApiError::refused("Only a paused subscription can be resumed. No money moved."));
        }
        let recurring = self
            .recurring(&subscription.items)
            .ok_or_else(|| ApiError::rule("The subscription has no prices."))?;
        if keep_anchor && self.now < subscription.period.end {
            self.change_subscription(id, |subscription| {
                subscription.status = SubscriptionStatus::Active;
                subscription.paused_at = None;
            });
            self.emit("customer.subscription.resumed", self.subscription_value(id));
            return Ok(());
        }
        let anchor = if keep_anchor { subscription.anchor } else { self.now };
        let period = Period { start: self.now, end: next_boundary(anchor, recurring, self.now) };
        self.change_subscription(id, |subscription| {
            subscription.anchor = anchor;
            subscription.period = period;
        });
        let resumed = need(&self.subscriptions, id, "id")?;
        self.set_period_timers(&resumed);
        let lines = self.period_lines(&resumed, period, false);
        let invoice =
            self.draft_invoice(self.invoice_of(&resumed, BillingReason::SubscriptionUpdate, lines), true);
        self.finalize_invoice(&invoice, None)?;
        if self.invoices.get(&invoice).is_some_and(|invoice| invoice.remaining() > 0) {
            let attempt = self.try_invoice(&invoice, None, Presence::OffSession)?;
            if attempt != Some(Attempt::Succeeded) {
                self.note_first_failure(&invoice, attempt);
            }
        }
        Ok(())
    }
}
