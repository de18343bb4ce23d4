//! How invoices end: paid, voided or written off, and what that means for their subscriptions.

use crate::model::invoice::InvoiceStatus;
use crate::model::invoice_payment::{InvoicePayment, InvoicePaymentStatus};
use crate::model::subscription::SubscriptionStatus;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// The invoice is paid: by an intent, from the balance, or outside.
    pub(crate) fn invoice_paid(&mut self, id: &str, intent: Option<&str>) {
        let Some(mut invoice) = self.invoices.get(id).filter(|invoice| invoice.is_payable()).cloned() else {
            return;
        };
        let method = intent
            .and_then(|intent| self.payment_intents.get(intent))
            .and_then(|intent| intent.payment_method.clone());
        invoice.status = InvoiceStatus::Paid;
        invoice.attempted = true;
        if intent.is_some() && invoice.attempt_count == 0 {
            invoice.attempt_count = 1;
        }
        invoice.amount_paid = invoice.amount_due;
        invoice.next_payment_attempt = None;
        invoice.transitions.paid = Some(self.now);
        let (object, subscription, customer) =
            (invoice.render(), invoice.subscription.clone(), invoice.customer.clone());
        self.invoices.put(invoice);
        for mut payment in
            self.payments_of(id).into_iter().filter(|payment| payment.status == InvoicePaymentStatus::Open)
        {
            if intent == Some(payment.payment_intent.as_str()) {
                payment.status = InvoicePaymentStatus::Paid;
                payment.paid_at = Some(self.now);
                let object = payment.render();
                self.invoice_payments.put(payment);
                self.emit("invoice_payment.paid", object);
            } else {
                self.close_payment(payment);
            }
        }
        self.emit("invoice.paid", object.clone());
        if intent.is_some() {
            self.emit("invoice.payment_succeeded", object);
        }
        if let Some(subscription) = subscription {
            self.subscription_paid(&subscription, id, method);
        }
        self.set_delinquent(&customer, false);
    }

    fn close_payment(&mut self, mut payment: InvoicePayment) {
        self.cancel_intent(&payment.payment_intent.clone(), "void_invoice");
        payment.status = InvoicePaymentStatus::Canceled;
        payment.canceled_at = Some(self.now);
        self.invoice_payments.put(payment);
    }

    /// What a paid invoice means for its subscription.
    fn subscription_paid(&mut self, id: &str, invoice: &str, method: Option<String>) {
        let Some(subscription) = self.subscriptions.get(id).cloned() else {
            return;
        };
        self.apply_pending(id, invoice);
        let latest = subscription.latest_invoice.as_deref() == Some(invoice);
        let revives = match subscription.status {
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::PastDue
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused => latest,
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::IncompleteExpired => false,
        };
        let resumed = revives && subscription.status == SubscriptionStatus::Paused;
        let saves = subscription.save_default_payment_method == "on_subscription"
            && subscription.default_payment_method.is_none();
        if revives || (saves && method.is_some()) {
            self.change_subscription(id, |subscription| {
                if revives {
                    subscription.status = SubscriptionStatus::Active;
                    subscription.paused_at = None;
                }
                if saves && method.is_some() {
                    subscription.default_payment_method = method;
                }
            });
        }
        if resumed {
            self.emit("customer.subscription.resumed", self.subscription_value(id));
        }
    }

    /// Published: `delinquent` follows the latest of these on any invoice of a customer. Paying one, or marking one
    /// uncollectible by a call, sets it to false; an automatic payment that fails, or a due date that passes, to true
    /// (API reference, the customer object).
    pub(crate) fn set_delinquent(&mut self, customer: &str, delinquent: bool) {
        if let Some(mut customer) =
            self.customers.get(customer).filter(|customer| customer.delinquent != delinquent).cloned()
        {
            let before = customer.render();
            customer.delinquent = delinquent;
            self.emit_change("customer.updated", &before, customer.render());
            self.customers.put(customer);
        }
    }

    /// Voids an open or uncollectible invoice.
    pub(crate) fn void_invoice(&mut self, id: &str) -> ApiResult<()> {
        let mut invoice = need(&self.invoices, id, "invoice")?;
        if !matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Uncollectible) {
            return Err(ApiError::state(
                "invoice_not_editable",
                format!(
                    "You can only void an invoice that is open or uncollectible; this one is {}.",
                    invoice.status.as_str()
                ),
            ));
        }
        if self.awaits_bank(&invoice) {
            let message = "The payment of this invoice is with the bank; void it when the bank has answered.";
            return Err(ApiError::refused(message));
        }
        invoice.status = InvoiceStatus::Void;
        invoice.transitions.voided = Some(self.now);
        invoice.next_payment_attempt = None;
        let object = invoice.render();
        self.invoices.put(invoice.clone());
        self.close_payments(id);
        self.emit("invoice.voided", object);
        self.unapply_balance(&invoice);
        if let Some(subscription) = &invoice.subscription {
            self.subscription_forgiven(subscription, id);
        }
        Ok(())
    }

    fn close_payments(&mut self, invoice: &str) {
        for payment in self
            .payments_of(invoice)
            .into_iter()
            .filter(|payment| payment.status == InvoicePaymentStatus::Open)
        {
            self.close_payment(payment);
        }
    }

    /// Gives up on an open invoice because a call asks for it.
    pub(crate) fn write_off_invoice(&mut self, id: &str) -> ApiResult<()> {
        let invoice = need(&self.invoices, id, "invoice")?;
        if invoice.status != InvoiceStatus::Open {
            return Err(ApiError::state(
                "invoice_not_editable",
                format!(
                    "You can only mark an open invoice as uncollectible; this one is {}.",
                    invoice.status.as_str()
                ),
            ));
        }
        self.write_off_unpaid(id);
        if let Some(subscription) = &invoice.subscription {
            self.subscription_forgiven(subscription, id);
        }
        self.set_delinquent(&invoice.customer, false);
        Ok(())
    }

    /// Gives up on an open invoice whose retries are exhausted: what becomes of its subscription is settled elsewhere, and
    /// its customer stays delinquent.
    pub(super) fn write_off_unpaid(&mut self, id: &str) {
        let now = self.now;
        self.invoices.edit(id, |invoice| {
            invoice.status = InvoiceStatus::Uncollectible;
            invoice.transitions.uncollectible = Some(now);
            invoice.next_payment_attempt = None;
        });
        let object = self.object(id).unwrap_or_default();
        self.emit("invoice.marked_uncollectible", object);
    }

    /// Nothing is owed of an invoice any more, and no money came: that ends being past due, and nothing else. What waits for its
    /// payment waits on.
    fn subscription_forgiven(&mut self, id: &str, invoice: &str) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let latest = subscription.latest_invoice.as_deref() == Some(invoice);
        if latest && subscription.status == SubscriptionStatus::PastDue {
            self.change_subscription(id, |subscription| subscription.status = SubscriptionStatus::Active);
        }
    }
}
