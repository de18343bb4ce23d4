//! What time does to a subscription and its invoices.

use serde_json::json;

use super::calendar::next_boundary;
use super::usage::Seen;
use crate::model::invoice::{BillingReason, InvoiceStatus, Line};
use crate::model::subscription::{
    CancellationDetails, Collection, MissingCard, PauseBehavior, Period, Subscription, SubscriptionStatus,
};
use crate::state::world::World;
use crate::wire::error::ApiError;

impl World {
    /// The period, or the trial, is over: end, pause or renew.
    pub(crate) fn period_ends(&mut self, id: &str) {
        // A phase that begins at this instant is what the renewal bills.
        let schedule = self
            .subscriptions
            .get(id)
            .and_then(|found| self.schedule_of(found))
            .map(|found| found.id.clone());
        if let Some(schedule) = schedule {
            self.turn_phases(&schedule);
        }
        let Some(subscription) =
            self.subscriptions.get(id).filter(|subscription| subscription.period.end <= self.now).cloned()
        else {
            return;
        };
        let trialing = match subscription.status {
            SubscriptionStatus::Trialing => true,
            SubscriptionStatus::Active | SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => false,
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Paused => {
                return;
            }
        };
        if subscription.cancel_at.is_some_and(|at| at <= self.now) {
            self.end_subscription(id, CancellationDetails::default());
            self.bill_last(&subscription);
            return;
        }
        if !(trialing && self.stops_without_card(&subscription)) {
            self.renew(&subscription);
        }
    }

    /// Ends or pauses a subscription whose trial is over and who has no card, where it says so; whether it did.
    fn stops_without_card(&mut self, subscription: &Subscription) -> bool {
        let id = &subscription.id;
        let has_card = self.default_method(&subscription.customer, Some(id)).is_some();
        let needs_card = !has_card && subscription.collection == Collection::ChargeAutomatically;
        match subscription.missing_card {
            MissingCard::Cancel if needs_card => self.end_subscription(id, CancellationDetails::default()),
            MissingCard::Pause if needs_card => {
                self.pause_subscription(id, "trial_end_without_payment_method");
            }
            MissingCard::Cancel | MissingCard::Pause | MissingCard::CreateInvoice => return false,
        }
        true
    }

    /// A change has ended a trial: the same as when its time is up, so far as a card is missing; whether it was.
    pub(crate) fn ends_trial_without_card(&mut self, changed: &Subscription) -> bool {
        let has_card = self.default_method(&changed.customer, Some(&changed.id)).is_some();
        let stops = match changed.missing_card {
            MissingCard::Cancel | MissingCard::Pause => {
                !has_card && changed.collection == Collection::ChargeAutomatically
            }
            MissingCard::CreateInvoice => false,
        };
        if !stops {
            return false;
        }
        let now = self.now;
        self.change_subscription(&changed.id, |subscription| {
            (subscription.items, subscription.terms) = (changed.items.clone(), changed.terms.clone());
            subscription.trial = changed.trial;
            subscription.period.end = now;
        });
        self.stops_without_card(changed)
    }

    fn renew(&mut self, subscription: &Subscription) {
        let Some(recurring) = self.recurring(&subscription.items) else {
            return;
        };
        let before = subscription.render(&self.prices);
        let mut renewed = subscription.clone();
        renewed.period =
            Period { start: self.now, end: next_boundary(subscription.anchor, recurring, self.now) };
        if renewed.status == SubscriptionStatus::Trialing {
            renewed.status = SubscriptionStatus::Active;
        }
        renewed.opened_period();
        self.subscriptions.put(renewed.clone());
        self.set_period_timers(&renewed);
        let lines = self.renewal_lines(subscription, subscription.period, renewed.period, Seen::Reported);
        self.draft_cycle(&renewed, subscription.period, lines);
        self.emit_change("customer.subscription.updated", &before, self.subscription_value(&subscription.id));
    }

    /// Makes the draft of a period that is over; usage can still come in until it is final.
    pub(crate) fn draft_cycle(&mut self, subscription: &Subscription, ended: Period, lines: Vec<Line>) {
        let mut new = self.invoice_of(subscription, BillingReason::SubscriptionCycle, lines);
        new.period = ended;
        let keeps_draft =
            subscription.pause_collection.is_some_and(|pause| pause.behavior == PauseBehavior::KeepAsDraft);
        new.auto_advance = subscription.status != SubscriptionStatus::Unpaid && !keeps_draft;
        let invoice = self.draft_invoice(new, true);
        self.plan_finalization(&invoice);
    }

    /// `cancel_at` is reached within a period.
    pub(crate) fn cancel_at_reached(&mut self, id: &str) {
        let due = |found: &&Subscription| found.cancel_at.is_some_and(|at| at <= self.now);
        if let Some(subscription) = self.subscriptions.get(id).filter(due).cloned() {
            self.end_subscription(id, CancellationDetails::default());
            self.bill_last(&subscription);
        }
    }

    /// The trial ends in three days.
    pub(crate) fn trial_will_end(&mut self, id: &str) {
        if self
            .subscriptions
            .get(id)
            .is_some_and(|subscription| subscription.status == SubscriptionStatus::Trialing)
        {
            self.emit("customer.subscription.trial_will_end", self.subscription_value(id));
        }
    }

    /// Nobody paid the first invoice in time.
    pub(crate) fn incomplete_expires(&mut self, id: &str) {
        let Some(subscription) = self
            .subscriptions
            .get(id)
            .filter(|found| found.status == SubscriptionStatus::Incomplete)
            .cloned()
        else {
            return;
        };
        let now = self.now;
        self.change_subscription(id, |subscription| {
            subscription.status = SubscriptionStatus::IncompleteExpired;
            subscription.ended_at = Some(now);
        });
        self.void_latest(&subscription);
    }

    /// A draft becomes final, and what follows by the state of collection.
    pub(crate) fn finalize_due(&mut self, id: &str) {
        let Some(invoice) = self
            .invoices
            .get(id)
            .filter(|found| found.status == InvoiceStatus::Draft && found.auto_advance)
            .filter(|found| found.finalizes_at.is_none_or(|at| at <= self.now))
            .cloned()
        else {
            return;
        };
        if self.holds_draft(&invoice) {
            return;
        }
        if let Err(error) = self.finalize_invoice(id, None) {
            self.note_unfinalized(id, &error);
            return;
        }
        let subscription = invoice.subscription.as_ref().and_then(|id| self.subscriptions.get(id));
        let outcome = match subscription.and_then(|subscription| subscription.pause_collection) {
            Some(pause) => match pause.behavior {
                PauseBehavior::Void => self.void_invoice(id),
                PauseBehavior::MarkUncollectible => self.write_off_invoice(id),
                PauseBehavior::KeepAsDraft => Ok(()),
            },
            None => {
                if invoice.collection == Collection::ChargeAutomatically {
                    self.collect_automatically(id);
                }
                Ok(())
            }
        };
        // A free invoice is paid already, and then there is nothing to void.
        drop(outcome);
    }

    /// A draft could not become final: somebody must see to it.
    fn note_unfinalized(&mut self, id: &str, error: &ApiError) {
        let problem =
            json!({ "type": "invalid_request_error", "code": error.code(), "message": error.message() });
        self.invoices.edit(id, |invoice| {
            invoice.finalization_error = problem;
            invoice.finalizes_at = None;
        });
        let object = self.object(id).unwrap_or_default();
        self.emit("invoice.finalization_failed", object);
    }

    /// A planned retry is due.
    pub(crate) fn retry_due(&mut self, id: &str) {
        if self
            .invoices
            .get(id)
            .is_some_and(|invoice| invoice.next_payment_attempt.is_some_and(|at| at <= self.now))
        {
            self.collect_automatically(id);
        }
    }

    /// A sent invoice is past its due date.
    pub(crate) fn due_date_passed(&mut self, id: &str) {
        let Some(invoice) =
            self.invoices.get(id).filter(|invoice| invoice.status == InvoiceStatus::Open).cloned()
        else {
            return;
        };
        if invoice.due_date.is_none_or(|due| due > self.now) {
            return;
        }
        self.emit("invoice.overdue", invoice.render());
        self.set_delinquent(&invoice.customer, true);
        if let Some(subscription) = invoice.subscription
            && self
                .subscriptions
                .get(&subscription)
                .is_some_and(|found| found.status == SubscriptionStatus::Active)
        {
            self.change_subscription(&subscription, |subscription| {
                subscription.status = SubscriptionStatus::PastDue
            });
        }
    }

    /// A paused collection goes on.
    pub(crate) fn collection_resumes(&mut self, id: &str) {
        let now = self.now;
        let due = |found: &Subscription| {
            found.pause_collection.and_then(|pause| pause.resumes_at).is_some_and(|at| at <= now)
        };
        if self.subscriptions.get(id).is_some_and(due) {
            self.change_subscription(id, |subscription| subscription.pause_collection = None);
        }
    }
}
