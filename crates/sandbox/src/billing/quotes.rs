//! The life of a quote: final, accepted, canceled, expired.
//!
//! An accepted quote with a recurring price becomes a subscription, whose first invoice also has what is paid once; one
//! without becomes an invoice. Either invoice is a draft at first. It knows no revisions, discounts, taxes and dates of
//! effect in the future.

use super::invoicing::NewInvoice;
use super::subscribe::{FirstPayment, NewItem, NewSubscription};
use crate::model::invoice::{BillingReason, Line, Span};
use crate::model::quote::{Outcome, Quote, QuoteState, rhythm};
use crate::model::share::Share;
use crate::model::subscription::{MissingCard, Period};
use crate::model::terms::{InvoiceTerms, ItemTerms, LineTerms, SubscriptionTerms};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

const DAY: i64 = 86_400;

impl World {
    /// Keeps a quote, which is canceled at its `expires_at` unless somebody accepts it.
    pub(crate) fn keep_quote(&mut self, quote: Quote) {
        if quote.state.is_alive() {
            self.timers.set(quote.expires_at, Timer::QuoteExpires(quote.id.clone()));
        }
        self.quotes.put(quote);
    }

    /// A quote that can still be accepted or canceled.
    pub(crate) fn live_quote(&self, id: &str, verb: &str) -> ApiResult<Quote> {
        let quote = need(&self.quotes, id, "quote")?;
        if quote.state.is_alive() {
            return Ok(quote);
        }
        Err(ApiError::refused(format!(
            "This quote is {} and cannot be {verb} any more.",
            quote.state.as_str()
        )))
    }

    /// Makes a draft final, with its number.
    pub(crate) fn finalize_quote(&mut self, mut quote: Quote) -> ApiResult<()> {
        if quote.state != QuoteState::Draft {
            return Err(ApiError::refused("Only a draft quote can be finalized; this one is open."));
        }
        let customer = quote.customer.clone().ok_or_else(|| {
            ApiError::invalid("parameter_missing", "customer", "A quote needs a customer to be finalized.")
        })?;
        let customer = self.live_customer(&customer, "customer")?;
        if quote.lines.is_empty() {
            let message = "A quote needs at least one line item to be finalized.";
            return Err(ApiError::invalid("parameter_missing", "line_items", message));
        }
        let earlier = self.quotes.of(&customer.id).filter(|quote| quote.finalized.is_some()).count();
        let number = format!("QT-{}-{:04}-1", customer.invoice_prefix, earlier + 1);
        quote.state = QuoteState::Open;
        quote.finalized = Some((number, self.now));
        let object = quote.render(&self.prices);
        self.keep_quote(quote);
        self.emit("quote.finalized", object);
        Ok(())
    }

    /// Makes of an open quote what it offers.
    pub(crate) fn accept_quote(&mut self, mut quote: Quote) -> ApiResult<()> {
        if quote.state != QuoteState::Open {
            return Err(ApiError::refused("Only an open quote can be accepted: finalize it first."));
        }
        let customer = self.live_customer(quote.customer.as_deref().unwrap_or_default(), "customer")?.id;
        let mark = self.mark();
        let outcome = if quote.lines.iter().any(|line| rhythm(line, &self.prices).is_some()) {
            self.subscribe_to(&quote, &customer)?
        } else {
            self.invoice_for(&quote, &customer)
        };
        quote.state = QuoteState::Accepted { at: self.now, outcome };
        let object = quote.render(&self.prices);
        self.quotes.put(quote);
        self.emit_at(mark, "quote.accepted", object, None);
        Ok(())
    }

    /// Lines that are paid once, as an invoice has them.
    fn single_lines(&mut self, quote: &Quote) -> Vec<Line> {
        let currency = quote.currency.clone().unwrap_or_default();
        let mut lines = Vec::new();
        for line in &quote.lines {
            let Some(price) = self.prices.get(&line.price).filter(|price| price.recurring.is_none()).cloned()
            else {
                continue;
            };
            lines.push(Line {
                id: self.chance.id("il_"),
                amount: line.amount,
                currency: currency.clone(),
                description: line.description.clone(),
                period: Period { start: self.now, end: self.now },
                unit_amount: price.pricing_in(&currency).and_then(|pricing| pricing.unit()),
                terms: LineTerms { inclusive: price.includes_tax(&currency), ..LineTerms::default() },
                product: Some(price.product),
                price: Some(price.id),
                quantity: line.quantity,
                exact: None,
                span: Span::at(Period { start: self.now, end: self.now }),
                subscription: None,
                subscription_item: None,
                invoice_item: None,
                proration: false,
                metadata: Metadata::new(),
            });
        }
        lines
    }

    fn subscribe_to(&mut self, quote: &Quote, customer: &str) -> ApiResult<Outcome> {
        let recurring = quote.lines.iter().filter(|line| rhythm(line, &self.prices).is_some());
        let items = recurring
            .map(|line| NewItem {
                price: line.price.clone(),
                quantity: line.quantity,
                metadata: Metadata::new(),
                terms: ItemTerms::default(),
            })
            .collect();
        let extras = self.single_lines(quote);
        let id = self.subscribe(NewSubscription {
            customer: customer.to_owned(),
            currency: quote.currency.clone(),
            items,
            extras,
            terms: SubscriptionTerms::default(),
            metadata: quote.subscription.metadata.clone(),
            description: quote.subscription.description.clone(),
            trial_end: quote.subscription.trial_days.map(|days| self.now + days * DAY),
            anchor: None,
            prorate_first: true,
            collection: quote.collection,
            days_until_due: quote.days_until_due,
            default_payment_method: None,
            missing_card: MissingCard::CreateInvoice,
            cancel_at: None,
            cancel_at_period_end: false,
            save_default_payment_method: "off".to_owned(),
            first_payment: FirstPayment::Later,
            schedule: None,
            backdated: None,
            share: Share::default(),
        })?;
        let invoice = self.subscriptions.get(&id).and_then(|made| made.latest_invoice.clone());
        Ok(Outcome::Subscription { id, invoice })
    }

    fn invoice_for(&mut self, quote: &Quote, customer: &str) -> Outcome {
        let lines = self.single_lines(quote);
        let new = NewInvoice {
            customer: customer.to_owned(),
            subscription: None,
            subscription_metadata: Metadata::new(),
            reason: BillingReason::QuoteAccept,
            currency: quote.currency.clone().unwrap_or_default(),
            lines,
            terms: InvoiceTerms::default(),
            period: Period { start: self.now, end: self.now },
            collection: quote.collection,
            days_until_due: quote.days_until_due,
            auto_advance: false,
            default_payment_method: None,
            description: quote.invoice_description.clone(),
            metadata: Metadata::new(),
            share: Share::default(),
        };
        let mut invoice = self.build_invoice(new, false);
        invoice.quote = Some(quote.id.clone());
        Outcome::Invoice(self.keep_draft(invoice))
    }

    /// Withdraws a quote.
    pub(crate) fn cancel_quote(&mut self, mut quote: Quote) {
        quote.state = QuoteState::Canceled { at: self.now };
        let object = quote.render(&self.prices);
        self.quotes.put(quote);
        self.emit("quote.canceled", object);
    }

    /// The time of a quote is up, unless it was given more.
    pub(crate) fn quote_expires(&mut self, id: &str) {
        let due = |quote: &&Quote| quote.state.is_alive() && quote.expires_at <= self.now;
        if let Some(quote) = self.quotes.get(id).filter(due).cloned() {
            self.cancel_quote(quote);
        }
    }
}
