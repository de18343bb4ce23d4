//! What a session comes to: the same calculation of discounts as on the invoice that it leads to.

use crate::billing::discounts::Place;
use crate::billing::taxes::TaxPayer;
use crate::model::checkout::{CheckoutSession, Mode, SessionDiscount, SessionLine, SessionStatus};
use crate::model::currency;
use crate::model::invoice::{Line, Span};
use crate::model::pricing::Pricing;
use crate::model::subscription::Period;
use crate::model::terms::LineTerms;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

impl World {
    /// Works out what each line, and the session, comes to. Where a trial comes first, what recurs is worked out for the
    /// time after it, and the rest without it, as on the first invoice.
    pub(crate) fn price_session(&mut self, session: &mut CheckoutSession) {
        self.price_lines(session, |_| true);
        if session.has_trial() {
            self.price_lines(session, |line| !line.recurring);
        }
    }

    /// Works out some of the lines together, those that are paid once before the others: as an invoice has them.
    fn price_lines(&mut self, session: &mut CheckoutSession, takes: impl Fn(&SessionLine) -> bool) {
        let currency = session.currency.clone().unwrap_or_default();
        let once = session.lines.iter().filter(|line| !line.recurring);
        let again = session.lines.iter().filter(|line| line.recurring);
        let mut lines: Vec<Line> = once
            .chain(again)
            .filter(|line| takes(line))
            .flat_map(|line| self.lines_of_session(line, &currency))
            .collect();
        let mut discounts: Vec<String> =
            session.discounts.iter().map(|discount| discount.id.clone()).collect();
        if let (true, Mode::Subscription, Some(customer)) =
            (discounts.is_empty(), session.mode, &session.customer)
        {
            discounts = self.discounts_of_customer(customer, self.now);
        }
        self.discount_lines(&mut lines, &discounts, &currency);
        let customer = session.customer.as_ref().and_then(|id| self.customers.get(id));
        let mut payer = customer.map(TaxPayer::of).unwrap_or_default();
        payer.country = session.country.clone().or(payer.country);
        session.automatic_tax =
            self.tax_lines(&mut lines, &session.default_tax_rates, session.automatic_tax.is_on(), &payer);
        for sold in session.lines.iter_mut().filter(|sold| takes(sold)) {
            let parts = lines.iter().filter(|line| line.id == sold.id).map(|line| &line.terms);
            sold.terms = LineTerms::together(parts);
        }
    }

    /// A line of the session in the parts that are lines of the invoice, so that both are rounded alike.
    pub(crate) fn lines_of_session(&self, line: &SessionLine, currency: &str) -> Vec<Line> {
        let price = self.prices.get(&line.price);
        let pricing = price.filter(|price| !price.is_metered()).and_then(|price| price.pricing_in(currency));
        let pieces = pricing.map(|pricing| pricing.pieces(line.quantity)).unwrap_or_default();
        if pieces.len() < 2 {
            return vec![self.part_of_session(line, currency, line.amount)];
        }
        pieces.into_iter().map(|piece| self.part_of_session(line, currency, piece.amount)).collect()
    }

    /// One part of a line of the session, as a line of an invoice.
    pub(crate) fn part_of_session(&self, line: &SessionLine, currency: &str, amount: i64) -> Line {
        let price = self.prices.get(&line.price);
        Line {
            id: line.id.clone(),
            amount,
            currency: currency.to_owned(),
            description: line.description.clone(),
            period: Period { start: self.now, end: self.now },
            price: Some(line.price.clone()),
            product: price.map(|price| price.product.clone()),
            unit_amount: price.and_then(|price| price.pricing_in(currency)).and_then(Pricing::unit),
            quantity: line.quantity,
            exact: None,
            span: Span::at(Period { start: self.now, end: self.now }),
            subscription: None,
            subscription_item: None,
            invoice_item: None,
            proration: false,
            metadata: Metadata::new(),
            terms: LineTerms {
                inclusive: price.and_then(|price| price.includes_tax(currency)),
                ..line.terms.clone()
            },
        }
    }

    /// Where a discount of the session would hold.
    pub(crate) fn place_of_session<'a>(&self, session: &'a CheckoutSession) -> Place<'a> {
        Place {
            customer: session.customer.as_deref(),
            currency: session.currency.as_deref(),
            subtotal: Some(session.lines.iter().map(|line| line.amount).sum()),
        }
    }

    /// Gives a session the discounts that were supposed for it.
    pub(crate) fn discount_session(
        &mut self,
        session: &mut CheckoutSession,
        discounts: Vec<String>,
    ) -> ApiResult<()> {
        let mut shown = Vec::new();
        for id in discounts {
            self.discounts.edit(&id, |discount| discount.session = Some(session.id.clone()));
            let discount = need(&self.discounts, &id, "discounts")?;
            shown.push(SessionDiscount {
                id,
                coupon: discount.coupon,
                promotion_code: discount.promotion_code,
            });
        }
        session.discounts = shown;
        self.price_session(session);
        self.check_amount(session)
    }

    /// Refuses a payment that no card could make.
    pub(crate) fn check_amount(&self, session: &CheckoutSession) -> ApiResult<()> {
        let (total, code) = (session.total(), session.currency.as_deref().unwrap_or_default());
        let (least, step) = (currency::minimum(code), currency::step(code));
        if session.mode != Mode::Payment || total == 0 || (total >= least && total % step == 0) {
            return Ok(());
        }
        let message = format!(
            "The Checkout Session's total amount is {total}: it must be 0, or at least {least} and a multiple of {step} in {code}. No money moved."
        );
        Err(ApiError::invalid("amount_too_small", "line_items", message))
    }

    /// The buyer says in which country they are, as automatic tax must know.
    pub(crate) fn type_country(&mut self, session_id: &str, typed: &str) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        let country = typed.to_ascii_uppercase();
        if session.status != SessionStatus::Open || !session.automatic_tax.is_on() {
            let message = "This Checkout Session does not ask for a country. No money moved.";
            return Err(ApiError::rule(message).param("country"));
        }
        let known = session.customer.as_ref().and_then(|id| self.customers.get(id));
        if !session.updates_address && known.is_some_and(|customer| customer.country().is_some()) {
            let message = "The customer's own address counts for taxes. No money moved.";
            return Err(ApiError::rule(message).param("country"));
        }
        if country.len() != 2 || country.chars().any(|char| !char.is_ascii_uppercase()) {
            let message = format!("'{typed}' is no country: give two letters, such as DE. No money moved.");
            return Err(ApiError::rule(message).param("country"));
        }
        session.country = Some(country);
        self.price_session(&mut session);
        self.sessions.put(session);
        Ok(())
    }

    /// The buyer types a promotion code on the page; an empty one takes the discount back.
    pub(crate) fn type_code(&mut self, session_id: &str, typed: &str) -> ApiResult<()> {
        let mut session = need(&self.sessions, session_id, "session")?;
        if session.status != SessionStatus::Open || session.allow_promotion_codes != Some(true) {
            let message = "This Checkout Session takes no promotion codes. No money moved.";
            return Err(ApiError::rule(message).param("promotion_code"));
        }
        let discounts = if typed.is_empty() {
            Vec::new()
        } else {
            let code = self.open_code(typed).map(|code| code.id.clone()).ok_or_else(|| {
                let message = format!("This promotion code is not valid: '{typed}'. No money moved.");
                ApiError::invalid("promotion_code_invalid", "promotion_code", message)
            })?;
            vec![self.suppose_code(&code, self.place_of_session(&session), "promotion_code")?]
        };
        self.discount_session(&mut session, discounts)?;
        self.sessions.put(session);
        Ok(())
    }
}
