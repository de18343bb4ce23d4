//! Payment methods: made from test numbers and tokens, attached to customers, detached again.

use serde_json::{Value, json};

use crate::model::accounts::TestAccount;
use crate::model::card::{CardFace, GENERIC, TestCard, digits, luhn};
use crate::model::customer::PaymentMethod;
use crate::model::instrument::Instrument;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// A card as somebody typed it.
#[derive(Debug, Clone, Default)]
pub struct TypedCard {
    /// The number; spaces and dashes do not matter.
    pub number: String,
    /// The month of expiry, 1 to 12.
    pub exp_month: i64,
    /// The year of expiry, four digits.
    pub exp_year: i64,
    /// The security code.
    pub cvc: String,
}

impl World {
    /// Makes a payment method from what was typed; nothing but the last digits is kept.
    pub(crate) fn card_from_typed(&mut self, typed: &TypedCard) -> ApiResult<String> {
        if !luhn(&typed.number) {
            return Err(
                ApiError::card("incorrect_number", None, "Your card number is incorrect.").param("number")
            );
        }
        if !(1..=12).contains(&typed.exp_month) {
            return Err(ApiError::card(
                "invalid_expiry_month",
                None,
                "Your card's expiration month is invalid.",
            )
            .param("exp_month"));
        }
        let year = if typed.exp_year < 100 { typed.exp_year + 2000 } else { typed.exp_year };
        if self.is_past(year, typed.exp_month) {
            return Err(ApiError::card(
                "invalid_expiry_year",
                None,
                "Your card's expiration year is invalid.",
            )
            .param("exp_year"));
        }
        let cvc = typed.cvc.trim();
        if !cvc.is_empty() && (!(3..=4).contains(&cvc.len()) || digits(cvc) != cvc) {
            return Err(
                ApiError::card("invalid_cvc", None, "Your card's security code is invalid.").param("cvc")
            );
        }
        let card = TestCard::by_number(&typed.number).ok_or_else(|| {
            let message = "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test cards, visit: https://stripe.com/docs/testing.";
            ApiError::card("card_declined", Some("test_mode_live_card"), message)
        })?;
        Ok(self.add_card(card, CardFace { exp_month: typed.exp_month, exp_year: year }, Value::Null))
    }

    fn is_past(&self, year: i64, month: i64) -> bool {
        let today =
            jiff::Timestamp::from_second(self.now).map(|now| now.to_zoned(jiff::tz::TimeZone::UTC).date());
        today.is_ok_and(|today| (year, month) < (i64::from(today.year()), i64::from(today.month())))
    }

    /// Makes a payment method of a test card.
    pub(crate) fn add_card(&mut self, card: &TestCard, face: CardFace, billing_details: Value) -> String {
        self.add_method(Instrument::Card { token: card.token().to_owned(), face }, billing_details)
    }

    /// Makes a payment method of a test account, or of a store.
    pub(crate) fn add_account(&mut self, account: &TestAccount, holder: &str, kind: &str) -> String {
        let (token, holder, kind) = (account.token.to_owned(), holder.to_owned(), kind.to_owned());
        self.add_method(Instrument::Account { token, holder, kind }, Value::Null)
    }

    fn add_method(&mut self, instrument: Instrument, billing_details: Value) -> String {
        let id = self.chance.id("pm_");
        let mut details =
            json!({ "address": null, "email": null, "name": null, "phone": null, "tax_id": null });
        if let (Some(fields), Value::Object(given)) = (details.as_object_mut(), billing_details) {
            fields.extend(given);
        }
        self.payment_methods.put(PaymentMethod {
            id: id.clone(),
            created: self.now,
            customer: None,
            instrument,
            set_up: false,
            billing_details: details,
            allow_redisplay: "unspecified".to_owned(),
            metadata: Metadata::new(),
        });
        id
    }

    /// The payment method that a reference means: an id, or a token of a test card, which makes a new one.
    pub(crate) fn resolve_method(&mut self, reference: &str, param: &str) -> ApiResult<String> {
        if self.payment_methods.get(reference).is_some() {
            return Ok(reference.to_owned());
        }
        if let Some(account) = TestAccount::by_token(reference) {
            return Ok(self.add_account(account, "individual", "checking"));
        }
        let token = reference.starts_with("pm_card_") || reference.starts_with("tok_");
        let card = TestCard::by_token(reference).filter(|_| token);
        let card = card.ok_or_else(|| ApiError::missing("PaymentMethod", reference, param))?;
        let year = jiff::Timestamp::from_second(self.now)
            .map_or(2030, |now| i64::from(now.to_zoned(jiff::tz::TimeZone::UTC).year()) + 1);
        Ok(self.add_card(card, card.face(12, year), Value::Null))
    }

    /// Attaches a payment method to a customer; a card that the issuer refuses is not attached.
    pub(crate) fn attach_method(&mut self, id: &str, customer: &str) -> ApiResult<()> {
        let mut method = need(&self.payment_methods, id, "payment_method")?;
        match method.customer.as_deref() {
            Some(owner) if owner == customer => return Ok(()),
            Some(_) => {
                return Err(ApiError::rule(
                    "The payment method you provided has already been attached to a customer.",
                ));
            }
            None => {}
        }
        if method.instrument.account().is_some_and(|account| !account.rail.is_debit()) {
            return Err(ApiError::rule(format!(
                "Payment methods of type {} pay once and cannot be saved to customers.",
                method.instrument.word()
            )));
        }
        if let Some(card) = method.instrument.card().filter(|card| card.refuses_attachment) {
            let decline = card.decline.unwrap_or(GENERIC);
            return Err(ApiError::card(decline.code, decline.decline_code, decline.message));
        }
        method.customer = Some(customer.to_owned());
        let object = method.render();
        self.payment_methods.put(method);
        self.emit("payment_method.attached", object);
        Ok(())
    }

    /// Detaches a payment method and forgets it wherever it was the default.
    pub(crate) fn detach_method(&mut self, id: &str) -> ApiResult<()> {
        let mut method = need(&self.payment_methods, id, "payment_method")?;
        let Some(customer) = method.customer.take() else {
            return Err(ApiError::rule(
                "The payment method you provided is not attached to a customer so detachment is impossible.",
            ));
        };
        let object = method.render();
        self.payment_methods.put(method.clone());
        self.emit("payment_method.detached", object);
        if method.is_source() {
            self.forget_source(&customer, &PaymentMethod { customer: Some(customer.clone()), ..method });
        }
        if let Some(mut owner) = self.customers.get(&customer).cloned()
            && owner.default_payment_method.as_deref() == Some(id)
        {
            let before = owner.render();
            owner.default_payment_method = None;
            self.emit_change("customer.updated", &before, owner.render());
            self.customers.put(owner);
        }
        let holders: Vec<String> = self
            .subscriptions
            .of(&customer)
            .filter(|subscription| subscription.default_payment_method.as_deref() == Some(id))
            .map(|subscription| subscription.id.clone())
            .collect();
        for holder in holders {
            self.change_subscription(&holder, |subscription| subscription.default_payment_method = None);
        }
        Ok(())
    }

    /// The method that an invoice without a customer present is charged to.
    pub(crate) fn default_method(&self, customer: &str, subscription: Option<&str>) -> Option<String> {
        subscription
            .and_then(|id| self.subscriptions.get(id))
            .and_then(|subscription| subscription.default_payment_method.clone())
            .or_else(|| {
                let customer = self.customers.get(customer)?;
                customer.default_payment_method.clone().or_else(|| customer.default_source.clone())
            })
            .filter(|id| {
                self.payment_methods
                    .get(id)
                    .is_some_and(|method| method.customer.as_deref() == Some(customer))
            })
    }
}
