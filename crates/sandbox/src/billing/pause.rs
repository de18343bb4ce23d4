//! Pausing a subscription itself, and resuming it.

use super::calendar::{last_boundary, next_boundary};
use super::change::Proration;
use super::lines::{LineOf, Share};
use crate::model::invoice::{BillingReason, Line};
use crate::model::product::Recurring;
use crate::model::subscription::{Period, Subscription, SubscriptionStatus};
use crate::payments::attempt::{Attempt, Presence};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

/// What a pause does with what was paid and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unused {
    /// It is credited from the instant of the pause on.
    #[default]
    FromNow,
    /// The whole running period is credited.
    WholePeriod,
    /// It is lost.
    Kept,
}

/// How a subscription is paused because somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pausing {
    pub(crate) unused: Unused,
    /// Make an invoice of what is due or owed at once; it waits for the next one otherwise.
    pub(crate) invoice: bool,
}

/// How a subscription is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resumption {
    /// The billing date stays; what is left of the period that runs by it is billed in proportion.
    pub(crate) keep_anchor: bool,
    /// It runs again once its payment was tried, and not only once it succeeded.
    pub(crate) on_attempt: bool,
    pub(crate) proration: Proration,
    /// The instant from which the rest of the period is billed; now without it.
    pub(crate) at: Option<i64>,
}

impl Resumption {
    /// A new period begins now, once it is paid.
    pub(crate) const START_ANEW: Self =
        Self { keep_anchor: false, on_attempt: false, proration: Proration::Wait, at: None };
}

impl World {
    /// Refuses to pause what cannot be paused.
    pub(crate) fn check_pausable(&self, subscription: &Subscription) -> ApiResult<()> {
        match subscription.status {
            SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue => {}
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused => {
                let status = subscription.status.as_str();
                return Err(ApiError::refused(format!(
                    "A subscription with status {status} cannot be paused."
                )));
            }
        }
        if let Some(schedule) = self.schedule_of(subscription) {
            return Err(ApiError::refused(format!(
                "A subscription that is managed by a schedule (`{}`) cannot be paused.",
                schedule.id
            )));
        }
        if subscription.items.iter().any(|item| self.is_metered(item)) {
            return Err(ApiError::invalid(
                "call_not_in_sandbox",
                "id",
                "The sandbox does not play the pause of a subscription with metered prices yet: what was used until then would be lost.",
            ));
        }
        Ok(())
    }

    /// A pause that its customer chose is over: a new period begins and is paid, or the subscription stays paused.
    pub(crate) fn pause_ends(&mut self, id: &str) {
        let now = self.now;
        let over = |found: &Subscription| {
            found.status == SubscriptionStatus::Paused && found.pause_ends.is_some_and(|at| at <= now)
        };
        if self.subscriptions.get(id).is_some_and(over) {
            self.subscriptions.edit(id, |subscription| subscription.pause_ends = None);
            // It is paused and has prices, so nothing refuses it.
            let _ = self.resume_subscription(id, Resumption::START_ANEW);
        }
    }

    /// Stops a subscription because its owner or customer asks, and credits what was paid and is not used.
    pub(crate) fn pause_on_request(&mut self, id: &str, how: Pausing) -> ApiResult<()> {
        let subscription = need(&self.subscriptions, id, "id")?;
        self.check_pausable(&subscription)?;
        let from = match how.unused {
            Unused::FromNow => Some(self.now),
            Unused::WholePeriod => Some(subscription.period.start),
            Unused::Kept => None,
        };
        if let Some(from) = from {
            self.credit_rest(&subscription, from);
        }
        if how.invoice {
            self.invoice_waiting(&subscription, Vec::new())?;
        }
        self.pause_subscription(id, "pause_requested");
        self.subscriptions.edit(id, |subscription| subscription.pause_credited = from.is_some());
        Ok(())
    }

    /// Stops a subscription until it is resumed.
    pub(crate) fn pause_subscription(&mut self, id: &str, reason: &str) {
        let now = self.now;
        self.change_subscription(id, |subscription| {
            subscription.status = SubscriptionStatus::Paused;
            subscription.paused_at = Some(now);
            reason.clone_into(&mut subscription.pause_reason);
            subscription.pause_ends = None;
            subscription.pause_credited = false;
        });
        self.emit("customer.subscription.paused", self.subscription_value(id));
    }

    /// Resumes a paused subscription: a running period goes on, otherwise a new one begins and is paid first.
    pub(crate) fn resume_subscription(&mut self, id: &str, how: Resumption) -> ApiResult<()> {
        let subscription = need(&self.subscriptions, id, "id")?;
        if subscription.status != SubscriptionStatus::Paused {
            return Err(ApiError::refused("Only a paused subscription can be resumed. No money moved."));
        }
        let recurring = self
            .recurring(&subscription.items)
            .ok_or_else(|| ApiError::rule("The subscription has no prices."))?;
        if !how.keep_anchor && how.at.is_some() {
            let message =
                "proration_date needs billing_cycle_anchor[type]=unchanged: a new period is never prorated.";
            return Err(ApiError::rule(message).param("proration_date"));
        }
        let runs_on = how.keep_anchor && self.now < subscription.period.end;
        if runs_on && !subscription.pause_credited {
            self.run_again(id);
            return Ok(());
        }
        let anchor = if how.keep_anchor { subscription.anchor } else { self.now };
        let period = if runs_on {
            subscription.period
        } else {
            Period { start: self.now, end: next_boundary(anchor, recurring, self.now) }
        };
        let from = how.at.unwrap_or(self.now);
        if !(last_boundary(anchor, recurring, self.now)..=self.now).contains(&from) {
            let message = "proration_date must lie in the running period and not in the future.";
            return Err(ApiError::rule(message).param("proration_date"));
        }
        self.change_subscription(id, |subscription| {
            subscription.anchor = anchor;
            subscription.period = period;
            subscription.opened_period();
        });
        let resumed = need(&self.subscriptions, id, "id")?;
        self.set_period_timers(&resumed);
        let lines = match (how.keep_anchor, how.proration) {
            (false, _) => self.period_lines(&resumed, period, false),
            (true, Proration::None) => Vec::new(),
            (true, Proration::Wait | Proration::Invoice) => self.rest_lines(&resumed, recurring, from),
        };
        let invoice =
            self.draft_invoice(self.invoice_of(&resumed, BillingReason::SubscriptionUpdate, lines), true);
        self.finalize_invoice(&invoice, None)?;
        if self.invoices.get(&invoice).is_some_and(|invoice| invoice.remaining() > 0) {
            let attempt = self.try_invoice(&invoice, None, Presence::OffSession)?;
            if !attempt.is_some_and(Attempt::went_through) && how.on_attempt {
                self.run_again(id);
                self.note_failure(&invoice, attempt);
            } else if !attempt.is_some_and(Attempt::went_through) {
                self.note_first_failure(&invoice, attempt);
            }
        }
        Ok(())
    }

    fn run_again(&mut self, id: &str) {
        self.change_subscription(id, |subscription| {
            subscription.status = SubscriptionStatus::Active;
            subscription.paused_at = None;
        });
        self.emit("customer.subscription.resumed", self.subscription_value(id));
    }

    /// What is left, from an instant on, of the period that runs by an anchor that stays.
    fn rest_lines(&mut self, subscription: &Subscription, recurring: Recurring, from: i64) -> Vec<Line> {
        let Period { end, .. } = subscription.period;
        let period = subscription.part_of(Period { start: from, end });
        let whole = end - last_boundary(subscription.anchor, recurring, from);
        let part = Share { part: period.end - from, whole };
        let wholes = self.whole_amounts(subscription, from);
        let lines = subscription.items.iter().zip(wholes);
        lines
            .filter_map(|(item, whole)| self.debit_line(&LineOf { subscription, item, period }, whole, part))
            .collect()
    }
}
