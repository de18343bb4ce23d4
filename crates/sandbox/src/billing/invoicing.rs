//! Invoices on their way to being due: made, filled, finalized.

use super::discounts::Bearer;
use super::taxes::no_location;
use crate::model::invoice::{BillingReason, Invoice, InvoiceStatus, Line, Says, Transitions};
use crate::model::invoice_item::InvoiceItem;
use crate::model::invoice_payment::{InvoicePayment, InvoicePaymentStatus};
use crate::model::payment::{IntentStatus, PaymentIntent};
use crate::model::share::Share;
use crate::model::subscription::{Collection, Period};
use crate::model::tax::AutomaticTax;
use crate::model::terms::InvoiceTerms;
use crate::payments::attempt::NewIntent;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// An invoice that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewInvoice {
    pub(crate) customer: String,
    pub(crate) subscription: Option<String>,
    /// The subscription's metadata as it stands now.
    pub(crate) subscription_metadata: Metadata,
    pub(crate) reason: BillingReason,
    pub(crate) currency: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) terms: InvoiceTerms,
    pub(crate) period: Period,
    pub(crate) collection: Collection,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) auto_advance: bool,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    /// Who else has a share in its payment.
    pub(crate) share: Share,
}

impl Invoice {
    /// Whether money can still be taken for it.
    pub(crate) fn is_payable(&self) -> bool {
        match self.status {
            InvoiceStatus::Draft | InvoiceStatus::Open | InvoiceStatus::Uncollectible => true,
            InvoiceStatus::Paid | InvoiceStatus::Void => false,
        }
    }

    /// Whether it waits for its payment.
    pub(crate) fn is_open(&self) -> bool {
        self.status == InvoiceStatus::Open
    }
}

impl World {
    /// An invoice that exists nowhere yet, with the items that wait for it when it takes them.
    pub(crate) fn build_invoice(&mut self, new: NewInvoice, takes_waiting: bool) -> Invoice {
        let id = self.chance.id("in_");
        let customer = self.customers.get(&new.customer);
        let mut lines = Vec::new();
        if takes_waiting {
            let waiting = self.waiting_items(&new.customer, new.subscription.as_deref(), &new.currency);
            lines.extend(waiting.into_iter().map(|item| item.line));
        }
        lines.extend(new.lines);
        let mut invoice = Invoice {
            page_url: format!("{}/i/{id}", self.public_url),
            id,
            created: self.now,
            status: InvoiceStatus::Draft,
            reason: new.reason,
            quote: None,
            customer_tax_ids: self.tax_ids_of(&new.customer),
            customer_email: customer.and_then(|customer| customer.email.clone()),
            customer_name: customer.and_then(|customer| customer.name.clone()),
            starting_balance: 0,
            customer: new.customer,
            subscription_metadata: new.subscription_metadata,
            subscription: new.subscription,
            currency: new.currency,
            lines,
            period: new.period,
            number: None,
            collection: new.collection,
            auto_advance: new.auto_advance,
            finalizes_at: None,
            awaits_endpoints: false,
            due_date: new.days_until_due.map(|days| self.now + days * 86_400),
            attempted: false,
            attempt_count: 0,
            next_payment_attempt: None,
            balance_left: 0,
            ending_balance: None,
            amount_due: 0,
            amount_paid: 0,
            pre_notes: 0,
            post_notes: 0,
            default_payment_method: new.default_payment_method,
            description: new.description,
            metadata: new.metadata,
            transitions: Transitions::default(),
            payment_intent: None,
            share: new.share,
            payments: Vec::new(),
            hopeless_method: None,
            test_clock: customer.and_then(|customer| customer.test_clock.clone()),
            terms: new.terms,
            finalization_error: serde_json::Value::Null,
            says: Says::default(),
        };
        self.price_invoice(&mut invoice);
        invoice
    }

    /// Makes a draft, with the items that wait for it when it takes them.
    pub(crate) fn draft_invoice(&mut self, new: NewInvoice, takes_waiting: bool) -> String {
        let invoice = self.build_invoice(new, takes_waiting);
        self.keep_draft(invoice)
    }

    /// Keeps an invoice that was built as a draft. The items on it wait no longer.
    pub(crate) fn keep_draft(&mut self, invoice: Invoice) -> String {
        let id = invoice.id.clone();
        for item in invoice.lines.iter().filter_map(|line| line.invoice_item.as_deref()) {
            self.invoice_items.edit(item, |item| item.invoice = Some(id.clone()));
        }
        if let Some(subscription) = invoice.subscription.clone() {
            self.subscriptions
                .edit(&subscription, |subscription| subscription.latest_invoice = Some(id.clone()));
        }
        let object = invoice.render();
        self.invoices.put(invoice.clone());
        self.emit("invoice.created", object);
        self.use_up_discounts(&invoice);
        self.use_up_customers_discount(&invoice);
        id
    }

    /// Items that wait for an invoice of this customer and subscription, as they stand.
    pub(crate) fn waiting_items(
        &self,
        customer: &str,
        subscription: Option<&str>,
        currency: &str,
    ) -> Vec<InvoiceItem> {
        self.invoice_items
            .of(customer)
            .filter(|item| item.invoice.is_none() && item.line.currency == currency)
            .filter(|item| {
                item.line.subscription.is_none() || item.line.subscription.as_deref() == subscription
            })
            .cloned()
            .collect()
    }

    /// Lets an item wait for the next invoice.
    pub(crate) fn add_invoice_item(&mut self, customer: &str, mut line: Line) -> String {
        let id = self.chance.id("ii_");
        line.invoice_item = Some(id.clone());
        self.keep_item(customer, &id, line);
        id
    }

    /// Keeps an item whose line has its id already. It waits until an invoice that has the line takes it.
    pub(crate) fn keep_item(&mut self, customer: &str, id: &str, line: Line) {
        for discount in &line.terms.discounts {
            self.bind_discount(discount, Some(customer), Bearer::InvoiceItem(id));
        }
        let item = InvoiceItem {
            id: id.to_owned(),
            created: self.now,
            customer: customer.to_owned(),
            invoice: None,
            line,
            test_clock: self.clock_of_customer(customer).map(str::to_owned),
        };
        let object = item.render();
        self.invoice_items.put(item);
        self.emit("invoiceitem.created", object);
    }

    /// Plans when a draft becomes final by itself: at the time that it says, else as long after now as drafts stay.
    pub(crate) fn plan_finalization(&mut self, id: &str) {
        let Some(invoice) = self.invoices.get(id).filter(|invoice| invoice.status == InvoiceStatus::Draft)
        else {
            return;
        };
        let at = match (invoice.auto_advance, invoice.finalizes_at) {
            (false, _) => None,
            (true, Some(at)) => Some(at),
            (true, None) => Some(self.now + self.settings.draft_seconds),
        };
        self.invoices.edit(id, |invoice| invoice.finalizes_at = at);
        if let Some(at) = at {
            self.timers.set(at, Timer::Finalize(id.to_owned()));
        }
    }

    /// Makes a draft final: number, balance, the intent that will pay it. An existing intent may already have paid.
    pub(crate) fn finalize_invoice(&mut self, id: &str, paid_by: Option<&str>) -> ApiResult<()> {
        let mut invoice = need(&self.invoices, id, "invoice")?;
        if invoice.status != InvoiceStatus::Draft {
            return Err(ApiError::state(
                "invoice_not_editable",
                "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            ));
        }
        let counted = self.settle_usage(&mut invoice);
        self.price_invoice(&mut invoice);
        if invoice.terms.automatic_tax == AutomaticTax::NeedsLocation {
            return Err(no_location());
        }
        if counted {
            // A discount for one invoice may only now find something that it is taken off.
            self.use_up_discounts(&invoice);
        }
        self.make_final(invoice, paid_by)
    }

    /// Makes a draft final that is priced.
    pub(crate) fn make_final(&mut self, mut invoice: Invoice, paid_by: Option<&str>) -> ApiResult<()> {
        let id = &invoice.id.clone();
        self.number_and_balance(&mut invoice)?;
        invoice.finalization_error = serde_json::Value::Null;
        invoice.status = InvoiceStatus::Open;
        invoice.customer_tax_ids = self.tax_ids_of(&invoice.customer);
        invoice.finalizes_at = None;
        invoice.transitions.finalized = Some(self.now);
        let (due, due_date, collection) = (invoice.amount_due, invoice.due_date, invoice.collection);
        if due > 0 {
            let intent = match paid_by {
                Some(intent) => {
                    self.payment_intents.edit(intent, |intent| intent.invoice = Some(id.clone()));
                    intent.to_owned()
                }
                None => self.intent_for(&invoice),
            };
            invoice.payment_intent = Some(intent.clone());
            self.add_invoice_payment(&mut invoice, intent);
        }
        self.invoices.put(invoice.clone());
        self.emit("invoice.finalized", invoice.render());
        if due == 0 {
            self.invoice_paid(id, None);
        } else if let Some(intent) = paid_by {
            let paid = |found: &PaymentIntent| found.status == IntentStatus::Succeeded;
            if self.payment_intents.get(intent).is_some_and(paid) {
                self.invoice_paid(id, Some(intent));
            } else {
                self.invoices.edit(id, |invoice| invoice.attempted = true);
            }
        } else if collection == Collection::SendInvoice {
            if let Some(due_date) = due_date {
                self.timers.set(due_date, Timer::Due(id.clone()));
            }
            self.emit("invoice.sent", invoice.render());
        }
        Ok(())
    }

    fn number_and_balance(&mut self, invoice: &mut Invoice) -> ApiResult<()> {
        let mut customer = need(&self.customers, &invoice.customer, "customer")?;
        let before = customer.render();
        if invoice.number.is_none() {
            invoice.number =
                Some(format!("{}-{:04}", customer.invoice_prefix, customer.next_invoice_sequence));
            customer.next_invoice_sequence += 1;
        }
        customer.currency.get_or_insert_with(|| invoice.currency.clone());
        let silent = customer.render();
        invoice.ending_balance = Some(invoice.balance_left);
        self.apply_balance(&mut customer, invoice);
        let after = customer.render();
        self.customers.put(customer);
        if silent != after {
            self.emit_change("customer.updated", &before, after);
        }
        Ok(())
    }

    fn intent_for(&mut self, invoice: &Invoice) -> String {
        let what = match invoice.reason {
            BillingReason::SubscriptionCreate => "Subscription creation",
            BillingReason::SubscriptionCycle | BillingReason::SubscriptionUpdate => "Subscription update",
            BillingReason::Manual | BillingReason::QuoteAccept | BillingReason::Upcoming => {
                "Payment for Invoice"
            }
        };
        self.add_intent(NewIntent {
            amount: invoice.amount_due,
            currency: invoice.currency.clone(),
            customer: Some(invoice.customer.clone()),
            description: Some(what.to_owned()),
            setup_future_usage: invoice.subscription.as_ref().map(|_| "off_session".to_owned()),
            invoice: Some(invoice.id.clone()),
            share: invoice.share.of(invoice.amount_due),
            ..NewIntent::default()
        })
    }

    fn add_invoice_payment(&mut self, invoice: &mut Invoice, intent: String) {
        let payment = InvoicePayment {
            id: self.chance.id("inpay_"),
            created: self.now,
            status: InvoicePaymentStatus::Open,
            invoice: invoice.id.clone(),
            payment_intent: intent,
            amount_requested: invoice.amount_due,
            currency: invoice.currency.clone(),
            paid_at: None,
            canceled_at: None,
        };
        invoice.payments.push(payment.id.clone());
        self.invoice_payments.put(payment);
    }

    /// The payments of an invoice, oldest first.
    pub(crate) fn payments_of(&self, invoice: &str) -> Vec<InvoicePayment> {
        let ids = self.invoices.get(invoice).map(|invoice| invoice.payments.clone()).unwrap_or_default();
        ids.iter().filter_map(|id| self.invoice_payments.get(id).cloned()).collect()
    }

    /// Changes a draft, works out what it comes to and notes the change.
    pub(crate) fn change_draft(&mut self, id: &str, change: impl FnOnce(&mut Invoice)) {
        if let Some(mut invoice) = self.invoices.get(id).cloned() {
            let before = invoice.render();
            change(&mut invoice);
            self.price_invoice(&mut invoice);
            let after = invoice.render();
            self.invoices.put(invoice);
            self.emit_change("invoice.updated", &before, after);
        }
    }

    /// Changes an invoice and notes the change.
    pub(crate) fn change_invoice(&mut self, id: &str, change: impl FnOnce(&mut Invoice)) {
        if let Some(mut invoice) = self.invoices.get(id).cloned() {
            let before = invoice.render();
            change(&mut invoice);
            let after = invoice.render();
            self.invoices.put(invoice);
            self.emit_change("invoice.updated", &before, after);
        }
    }
}
