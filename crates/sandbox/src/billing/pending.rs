//! Changes that wait for their payment: kept beside the subscription, applied when it succeeds, forgotten when it does not
//! come in time.

use super::cancel::{plan_end_with, take_end};
use super::change::Planned;
use crate::model::invoice::{BillingReason, InvoiceStatus, Line};
use crate::model::pending::PendingUpdate;
use crate::model::subscription::Subscription;
use crate::payments::attempt::{Attempt, Presence};
use crate::state::timers::Timer;
use crate::state::world::World;
use crate::wire::error::ApiResult;

/// For how long a change waits, in seconds; never beyond the end of the period.
const WAITS_SECONDS: i64 = 23 * 3600;

impl Planned {
    /// The subscription as the change would leave it.
    pub(crate) fn changed(&self, subscription: &Subscription) -> Subscription {
        let mut changed = subscription.clone();
        take_end(&mut changed, &self.ended);
        changed.items.clone_from(&self.items);
        changed.terms.clone_from(&self.terms);
        changed.period = self.period;
        changed.anchor = self.anchor;
        changed.trial = self.trial;
        changed.status = self.status;
        plan_end_with(&mut changed);
        if changed.period != subscription.period {
            changed.opened_period();
        }
        changed
    }
}

impl World {
    /// Lets a change wait: its invoice is open, and the subscription stays as it is.
    pub(crate) fn hold_change(
        &mut self,
        subscription: &Subscription,
        planned: Planned,
        lines: Vec<Line>,
        presence: Presence,
    ) -> ApiResult<()> {
        let changed = planned.changed(subscription);
        for line in planned.prorations {
            self.add_invoice_item(&subscription.customer, line);
        }
        let new = self.invoice_of(&changed, BillingReason::SubscriptionUpdate, lines);
        let invoice = self.draft_invoice(new, true);
        self.finalize_invoice(&invoice, None)?;
        let expires_at = (self.now + WAITS_SECONDS).min(subscription.period.end);
        let pending = PendingUpdate {
            items: changed.items,
            terms: changed.terms,
            period: changed.period,
            anchor: changed.anchor,
            trial: changed.trial,
            status: changed.status,
            invoice: invoice.clone(),
            expires_at,
        };
        self.change_subscription(&subscription.id, |subscription| subscription.pending = Some(pending));
        self.timers.set(expires_at, Timer::PendingUpdateExpires(subscription.id.clone()));
        let attempt = self.try_invoice(&invoice, None, presence)?;
        if attempt != Some(Attempt::Succeeded) {
            self.note_first_failure(&invoice, attempt);
        }
        Ok(())
    }

    /// The payment that a change waited for has come.
    pub(crate) fn apply_pending(&mut self, id: &str, invoice: &str) {
        let Some(subscription) = self.subscriptions.get(id).cloned() else { return };
        let Some(pending) = subscription.pending.clone().filter(|pending| pending.invoice == invoice) else {
            return;
        };
        let new_period = pending.period != subscription.period;
        let had = subscription.all_discounts();
        self.change_subscription(id, |subscription| {
            subscription.items = pending.items;
            subscription.terms = pending.terms;
            subscription.period = pending.period;
            subscription.anchor = pending.anchor;
            subscription.trial = pending.trial;
            subscription.status = pending.status;
            subscription.pending = None;
            plan_end_with(subscription);
            if new_period {
                subscription.opened_period();
            }
        });
        self.settle_discounts(id, &had);
        if let Some(changed) = self.subscriptions.get(id).filter(|_| new_period).cloned() {
            self.set_period_timers(&changed);
        }
        self.emit("customer.subscription.pending_update_applied", self.subscription_value(id));
    }

    /// The payment that a change waits for did not come in time.
    pub(crate) fn pending_expires(&mut self, id: &str) {
        let now = self.now;
        let due =
            |found: &Subscription| found.pending.as_ref().is_some_and(|pending| pending.expires_at <= now);
        if self.subscriptions.get(id).is_some_and(due) {
            self.forget_pending(id);
            self.emit("customer.subscription.pending_update_expired", self.subscription_value(id));
        }
    }

    /// Forgets a change that waits, and voids its invoice.
    pub(crate) fn forget_pending(&mut self, id: &str) {
        let Some(pending) = self.subscriptions.get(id).and_then(|found| found.pending.clone()) else {
            return;
        };
        self.change_subscription(id, |subscription| subscription.pending = None);
        if self.invoices.get(&pending.invoice).is_some_and(|invoice| invoice.status == InvoiceStatus::Open) {
            // It is open, so voiding it cannot be refused.
            drop(self.void_invoice(&pending.invoice));
        }
    }
}
