//! What a session comes to: the same calculation of discounts as on the invoice that it leads to.

use crate::billing::discounts::Place;
use crate::billing::taxes::TaxPayer;
use crate::model::checkout::{CheckoutSession, Mode, SessionDiscount, SessionLine, SessionStatus};
use crate::model::currency;
use crate::model::invoice::Line;
use crate::model::product::Price;
use crate::model::subscription::Period;
use crate::model::terms::LineTerms;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

impl World {
    /// Works out what each line, and the session, comes to.
    pub(crate) fn price_session(&mut self, session: &mut CheckoutSession) {
        let currency = session.currency.clone().unwrap_or_default();
        let mut lines: Vec<Line> =
            session.lines.iter().map(|line| self.line_of_session(line, &currency)).collect();
        let discounts: Vec<String> = session.discounts.iter().map(|discount| discount.id.clone()).collect();
        self.discount_lines(&mut lines, &discounts, &currency);
        let customer = session.customer.as_ref().and_then(|id| self.customers.get(id));
        let mut payer = customer.map(TaxPayer::of).unwrap_or_default();
        payer.country = session.country.clone().or(payer.country);
        session.automatic_tax =
            self.tax_lines(&mut lines, &session.default_tax_rates, session.automatic_tax.is_on(), &payer);
        for (sold, line) in session.lines.iter_mut().zip(lines) {
            sold.terms = line.terms;
        }
    }

    fn line_of_session(&self, line: &SessionLine, currency: &str) -> Line {
        let price = self.prices.get(&line.price);
        Line {
            id: line.id.clone(),
            amount: line.amount,
            currency: currency.to_owned(),
            description: line.description.clone(),
            period: Period { start: self.now, end: self.now },
            price: Some(line.price.clone()),
            product: price.map(|price| price.product.clone()),
            unit_amount: price.map_or(0, |price| price.unit_amount),
            quantity: line.quantity,
            subscription: None,
            subscription_item: None,
            invoice_item: None,
            proration: false,
            metadata: Metadata::new(),
            terms: LineTerms { inclusive: price.and_then(Price::includes_tax), ..line.terms.clone() },
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
