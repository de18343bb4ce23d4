//! Collecting an open invoice: on request, automatically, and again on a schedule until it is paid or given up.

use crate::model::invoice::{Invoice, InvoiceStatus};
use crate::model::subscription::{CancellationDetails, SubscriptionStatus};
use crate::payments::attempt::{Attempt, Presence};
use crate::settings::{Exhaustion, InvoiceExhaustion};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// The method that the invoice is charged to when nobody names one.
    pub(crate) fn method_for(&self, invoice: &Invoice) -> Option<String> {
        invoice
            .default_payment_method
            .clone()
            .or_else(|| self.default_method(&invoice.customer, invoice.subscription.as_deref()))
    }

    /// Tries to collect an open invoice once. `None` when there is nothing to charge it to or nothing to charge,
    /// or when it cannot be shared as it says.
    pub(crate) fn try_invoice(
        &mut self,
        id: &str,
        method: Option<String>,
        presence: Presence,
    ) -> ApiResult<Option<Attempt>> {
        let invoice = need(&self.invoices, id, "invoice")?;
        let Some(intent) = invoice.payment_intent.clone().filter(|_| invoice.is_payable()) else {
            return Ok(None);
        };
        let Some(method) = method.or_else(|| self.method_for(&invoice)) else {
            return Ok(None);
        };
        if self.check_intent(&intent).is_err() {
            return Ok(None);
        }
        self.attempt_payment(&intent, &method, presence, false).map(Some)
    }

    /// The first automatic attempt, or a retry.
    pub(crate) fn collect_automatically(&mut self, id: &str) {
        let Some(invoice) =
            self.invoices.get(id).filter(|invoice| invoice.status == InvoiceStatus::Open).cloned()
        else {
            return;
        };
        if self.awaits_bank(&invoice) {
            return;
        }
        let method = self.method_for(&invoice);
        // Published: retries go on to be scheduled and counted, and are carried out only once a new payment method is
        // there (`attempt_count` of the invoice); nothing is retried where there is none (automate payment retries).
        let waits = match &method {
            Some(_) => method == invoice.hopeless_method,
            None => invoice.attempt_count > 0,
        };
        if waits {
            self.schedule_or_give_up(id, true);
            return;
        }
        // An automatic try counts, whatever becomes of it; the first one is counted by what follows.
        let retry = i64::from(invoice.attempt_count > 0);
        self.invoices.edit(id, |invoice| invoice.attempt_count += retry);
        let attempt = self.try_invoice(id, method.clone(), Presence::OffSession).ok().flatten();
        if !attempt.is_some_and(Attempt::went_through) {
            self.invoices.edit(id, |invoice| invoice.attempt_count -= retry);
            // Whoever must authenticate is not there at the next try either.
            let hopeless = method.filter(|_| attempt == Some(Attempt::RequiresAction));
            self.invoices.edit(id, |invoice| invoice.hopeless_method = hopeless);
            self.note_failure(id, attempt);
        }
    }

    /// An automatic attempt failed: count it, tell, and plan the next.
    pub(crate) fn note_failure(&mut self, id: &str, attempt: Option<Attempt>) {
        self.invoices.edit(id, |invoice| {
            invoice.attempted = true;
            invoice.attempt_count += 1;
        });
        self.schedule_or_give_up(id, false);
        let object = self.object(id).unwrap_or_default();
        self.emit("invoice.payment_failed", object.clone());
        if attempt == Some(Attempt::RequiresAction) {
            self.emit("invoice.payment_action_required", object);
        }
        self.mark_past_due(id);
        if let Some(customer) = self.invoices.get(id).map(|invoice| invoice.customer.clone()) {
            self.set_delinquent(&customer, true);
        }
        self.act_on_exhaustion(id);
    }

    /// A payment that a person started failed: told, but not counted and not planned.
    pub(crate) fn note_manual_failure(&mut self, id: &str, attempt: Attempt) {
        self.invoices.edit(id, |invoice| invoice.attempted = true);
        let object = self.object(id).unwrap_or_default();
        self.emit("invoice.payment_failed", object.clone());
        if attempt == Attempt::RequiresAction {
            self.emit("invoice.payment_action_required", object);
        }
    }

    /// The first payment of a subscription failed: told and counted, never retried by itself.
    pub(crate) fn note_first_failure(&mut self, id: &str, attempt: Option<Attempt>) {
        self.invoices.edit(id, |invoice| {
            invoice.attempted = true;
            invoice.attempt_count += 1;
        });
        let object = self.object(id).unwrap_or_default();
        self.emit("invoice.payment_failed", object.clone());
        if attempt == Some(Attempt::RequiresAction) {
            self.emit("invoice.payment_action_required", object);
        }
    }

    fn schedule_or_give_up(&mut self, id: &str, skipped: bool) {
        let Some(invoice) = self.invoices.get(id).cloned() else {
            return;
        };
        let failures = invoice.attempt_count + i64::from(skipped);
        let step = usize::try_from(failures - 1).ok();
        let next = step
            .and_then(|step| self.settings.retry_days.get(step))
            .filter(|_| invoice.auto_advance)
            .map(|days| self.now + days * 86_400);
        if let Some(at) = next {
            self.timers.set(at, Timer::Retry(id.to_owned()));
        }
        if skipped {
            self.invoices.edit(id, |invoice| invoice.attempt_count += 1);
            self.change_invoice(id, |invoice| invoice.next_payment_attempt = next);
            self.act_on_exhaustion(id);
        } else {
            self.invoices.edit(id, |invoice| invoice.next_payment_attempt = next);
        }
    }

    fn mark_past_due(&mut self, invoice: &str) {
        let Some(subscription) = self.invoices.get(invoice).and_then(|invoice| invoice.subscription.clone())
        else {
            return;
        };
        // Its latest invoice decides: a retry of an older one changes nothing.
        if self
            .subscriptions
            .get(&subscription)
            .is_none_or(|found| found.latest_invoice.as_deref() != Some(invoice))
        {
            return;
        }
        self.change_subscription(&subscription, |subscription| match subscription.status {
            SubscriptionStatus::Active | SubscriptionStatus::Trialing => {
                subscription.status = SubscriptionStatus::PastDue
            }
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused => {}
        });
    }

    /// When no attempt is left: what the settings say for the subscription, and then for the invoice.
    fn act_on_exhaustion(&mut self, id: &str) {
        let Some(invoice) = self.invoices.get(id).filter(|invoice| {
            invoice.status == InvoiceStatus::Open
                && invoice.auto_advance
                && invoice.next_payment_attempt.is_none()
        }) else {
            return;
        };
        if let Some(subscription) = invoice.subscription.clone() {
            self.exhaust_subscription(&subscription);
        }
        match self.settings.invoice_on_exhaustion {
            InvoiceExhaustion::LeaveOpen => {}
            InvoiceExhaustion::MarkUncollectible => self.write_off_unpaid(id),
        }
    }

    fn exhaust_subscription(&mut self, subscription: &str) {
        if !matches!(
            self.subscriptions.get(subscription).map(|found| found.status),
            Some(SubscriptionStatus::PastDue)
        ) {
            return;
        }
        match self.settings.on_exhaustion {
            Exhaustion::Cancel => {
                let details = CancellationDetails {
                    reason: Some("payment_failed".to_owned()),
                    ..CancellationDetails::default()
                };
                self.end_subscription(subscription, details);
            }
            Exhaustion::Unpaid => self.change_subscription(subscription, |subscription| {
                subscription.status = SubscriptionStatus::Unpaid
            }),
            Exhaustion::Leave => {}
        }
    }

    /// `POST /v1/invoices/{id}/pay`: a payment that a person or a program asks for.
    pub(crate) fn pay_invoice(
        &mut self,
        id: &str,
        method: Option<String>,
        presence: Presence,
    ) -> ApiResult<()> {
        let invoice = need(&self.invoices, id, "invoice")?;
        match invoice.status {
            InvoiceStatus::Draft => self.finalize_invoice(id, None)?,
            InvoiceStatus::Open | InvoiceStatus::Uncollectible => {}
            InvoiceStatus::Paid => {
                return Err(ApiError::refused("Invoice is already paid. No money moved."));
            }
            InvoiceStatus::Void => {
                return Err(ApiError::state(
                    "invoice_not_editable",
                    "This invoice is void and can't be paid. No money moved.",
                ));
            }
        }
        let invoice = need(&self.invoices, id, "invoice")?;
        if invoice.status == InvoiceStatus::Paid {
            return Ok(());
        }
        let intent = invoice.payment_intent.clone().unwrap_or_default();
        self.check_intent(&intent)?;
        match self.try_invoice(id, method, presence)? {
            Some(Attempt::Succeeded | Attempt::Held | Attempt::Underway) => Ok(()),
            Some(attempt @ Attempt::Declined(decline)) => {
                self.note_manual_failure(id, attempt);
                Err(self.refusal(&intent, &decline))
            }
            Some(attempt @ Attempt::RequiresAction) => {
                self.note_manual_failure(id, attempt);
                let error = ApiError::card(
                    "invoice_payment_intent_requires_action",
                    None,
                    "This payment requires additional user action before it can be completed successfully.",
                );
                Err(error.with("payment_intent", self.object(&intent).unwrap_or_default()))
            }
            None => Err(ApiError::state(
                "resource_missing",
                "There is no payment method to charge: attach one to the customer and make it the default, or name one in 'payment_method'. No money moved.",
            )),
        }
    }
}
