//! What a buyer adds to an order before paying, and the invoice that a payment gets afterwards (`invoice_creation`).

use crate::billing::amounts::payable;
use crate::billing::invoicing::NewInvoice;
use crate::model::checkout::{CheckoutSession, SessionLine, SessionStatus};
use crate::model::invoice::{BillingReason, Line};
use crate::model::share::Share;
use crate::model::subscription::{Collection, Period};
use crate::model::terms::{InvoiceTerms, LineTerms};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

impl World {
    /// The buyer adds so many of an optional item, by its place, or takes it out again.
    pub(crate) fn choose_optional(&mut self, session_id: &str, place: usize, quantity: i64) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        let item = session.asks.optional_items.get(place).filter(|item| item.takes(quantity)).cloned();
        let (SessionStatus::Open, Some(item)) = (session.status, item) else {
            let message = "This Checkout Session does not offer that. No money moved.";
            return Err(ApiError::rule(message).param("optional_items"));
        };
        session.lines.retain(|line| line.optional != Some(place));
        if quantity > 0 {
            let price = need(&self.prices, &item.price, "optional_items")?;
            let currency = session.currency.clone().unwrap_or_default();
            session.lines.push(SessionLine {
                id: self.chance.id("li_"),
                amount: payable(&price, &currency, quantity, ["optional_items", "quantity"])?,
                recurring: price.recurring.is_some(),
                description: self.product_name(&price),
                price: price.id,
                quantity,
                terms: LineTerms::default(),
                optional: Some(place),
                adjustable: None,
                metadata: Metadata::new(),
            });
        }
        self.check_sellable(&session)?;
        self.price_session(&mut session);
        self.sessions.put(session);
        Ok(())
    }

    /// The buyer makes so many of a line whose quantity they can change; the last line cannot be emptied.
    pub(crate) fn adjust_line(&mut self, session_id: &str, line: &str, quantity: i64) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        let currency = session.currency.clone().unwrap_or_default();
        let others = session.lines.len() > 1;
        let sold = session.lines.iter_mut().find(|sold| sold.id == line);
        let fits = |sold: &&mut SessionLine| {
            let (least, most) = sold.adjustable.unwrap_or((sold.quantity, sold.quantity));
            (least..=most).contains(&quantity) && (quantity > 0 || others)
        };
        let (SessionStatus::Open, Some(sold)) = (session.status, sold.filter(fits)) else {
            let message = "This Checkout Session does not sell so many of it. No money moved.";
            return Err(ApiError::rule(message).param("quantity"));
        };
        let price = need(&self.prices, &sold.price, "line_items")?;
        sold.amount = payable(&price, &currency, quantity, ["line_items", "quantity"])?;
        sold.quantity = quantity;
        session.lines.retain(|sold| sold.id != line || quantity > 0);
        self.check_sellable(&session)?;
        self.price_session(&mut session);
        self.sessions.put(session);
        Ok(())
    }

    /// The invoice of a payment that is done, where the session asks for one. It says what the session came to, and leaves
    /// the customer's balance alone. What sending costs is a line of it.
    pub(crate) fn invoice_payment_of(
        &mut self,
        session: &mut CheckoutSession,
        intent: Option<&str>,
    ) -> ApiResult<()> {
        let (Some(creation), Some(customer)) = (session.asks.invoice.clone(), session.customer.clone())
        else {
            return Ok(());
        };
        let currency = session.currency.clone().unwrap_or_default();
        let now = Period { start: self.now, end: self.now };
        let frame = NewInvoice {
            customer,
            subscription: None,
            subscription_metadata: Metadata::new(),
            reason: BillingReason::Manual,
            currency: currency.clone(),
            lines: Vec::new(),
            terms: InvoiceTerms::default(),
            period: now,
            collection: Collection::ChargeAutomatically,
            days_until_due: None,
            auto_advance: false,
            default_payment_method: None,
            description: creation.description,
            metadata: creation.metadata,
            share: Share::default(),
        };
        let mut invoice = self.build_invoice(frame, false);
        for sold in &session.lines {
            let line = self.part_of_session(sold, &currency, sold.amount);
            invoice.lines.push(Line { id: self.chance.id("il_"), terms: sold.terms.clone(), ..line });
        }
        if let Some(rate) = session.form.shipping_rates.get(session.form.chosen_rate)
            && let Some(first) = invoice.lines.first().cloned()
        {
            invoice.lines.push(Line {
                id: self.chance.id("il_"),
                amount: rate.amount,
                description: rate.display_name.clone(),
                price: None,
                product: None,
                unit_amount: Some(rate.amount.into()),
                quantity: 1,
                terms: LineTerms { settled: true, ..LineTerms::default() },
                ..first
            });
        }
        (invoice.starting_balance, invoice.balance_left) = (0, 0);
        invoice.amount_due = session.amount_total();
        let id = self.keep_draft(invoice.clone());
        self.make_final(invoice, intent)?;
        session.invoice = Some(id);
        Ok(())
    }
}
