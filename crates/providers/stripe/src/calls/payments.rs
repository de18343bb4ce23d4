//! Payment intents, charges and refunds.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{
    ObservedCharge, ObservedPaymentIntent, ObservedRefund, ObservedSetup, Page, ShapeError,
};

/// Why money goes back, in Stripe's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundReason {
    /// Paid twice.
    Duplicate,
    /// Not paid by the owner of the card; blocks the card.
    Fraudulent,
    /// The customer asked.
    RequestedByCustomer,
}

impl RefundReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Fraudulent => "fraudulent",
            Self::RequestedByCustomer => "requested_by_customer",
        }
    }
}

/// Which payment something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid<'a> {
    /// `pi_...`.
    PaymentIntent(&'a str),
    /// `ch_...`.
    Charge(&'a str),
}

impl Paid<'_> {
    fn add(self, form: Form) -> Form {
        match self {
            Self::PaymentIntent(id) => form.text("payment_intent", id),
            Self::Charge(id) => form.text("charge", id),
        }
    }
}

/// The fingerprint of a card, which is the same for the same card wherever it is entered; none for other methods.
#[must_use]
pub fn card_fingerprint(method: &str) -> Call<Option<String>> {
    let read = |value: &Value| {
        let fingerprint = value.get("card").and_then(|card| card.get("fingerprint"));
        Ok(fingerprint.and_then(Value::as_str).map(str::to_owned))
    };
    let path = Path::of("/v1/payment_methods").id(method);
    Call::new("payment_methods.retrieve", Verb::Get, path, Form::new(), read)
}

/// One payment intent.
#[must_use]
pub fn retrieve_intent(id: &str) -> Call<ObservedPaymentIntent> {
    let path = Path::of("/v1/payment_intents").id(id);
    Call::new("payment_intents.retrieve", Verb::Get, path, Form::new(), ObservedPaymentIntent::read)
}

/// A bare payment to create, which the buyer pays on a page of the app.
#[derive(Debug, Clone, Copy)]
pub struct CreateIntent<'a> {
    /// Minor units.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: &'a str,
    /// `cus_...`.
    pub customer: &'a str,
    /// What is bought, for the dashboard and bank statements of the account's owner.
    pub description: Option<&'a str>,
    /// Metadata.
    pub metadata: &'a Metadata,
}

/// Creates a payment with the methods that the account has switched on.
#[must_use]
pub fn create_intent(wanted: &CreateIntent<'_>, key: IdempotencyKey) -> Call<ObservedPaymentIntent> {
    let form = Form::new()
        .int("amount", wanted.amount)
        .text("currency", wanted.currency)
        .text("customer", wanted.customer)
        .flag("automatic_payment_methods[enabled]", true)
        .text_if("description", wanted.description)
        .metadata("metadata", wanted.metadata);
    Call::new("payment_intents.create", Verb::Post(key), intents(), form, ObservedPaymentIntent::read)
}

/// Ends a payment that was not made, so that nobody can make it any more.
#[must_use]
pub fn cancel_intent(id: &str, key: IdempotencyKey) -> Call<ObservedPaymentIntent> {
    let form = Form::new().text("cancellation_reason", "abandoned");
    let path = intents().id(id).then("/cancel");
    Call::new("payment_intents.cancel", Verb::Post(key), path, form, ObservedPaymentIntent::read)
}

fn intents() -> Path {
    Path::of("/v1/payment_intents")
}

/// A customer's payment intents, newest first.
#[must_use]
pub fn list_intents(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedPaymentIntent>> {
    let form = paging.add(Form::new().text("customer", customer));
    Call::new("payment_intents.list", Verb::Get, Path::of("/v1/payment_intents"), form, intents_page)
}

/// A customer's charges, newest first, failed ones included.
#[must_use]
pub fn list_charges(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedCharge>> {
    let form = paging.add(Form::new().text("customer", customer).list("expand", ["data.refunds"]));
    Call::new("charges.list", Verb::Get, Path::of("/v1/charges"), form, charges_page)
}

/// The charges of a payment, newest first: one that brought the money at most, and those that failed before.
#[must_use]
pub fn list_charges_of(payment: &str, paging: Paging<'_>) -> Call<Page<ObservedCharge>> {
    let form = paging.add(Form::new().text("payment_intent", payment).list("expand", ["data.refunds"]));
    Call::new("charges.list", Verb::Get, Path::of("/v1/charges"), form, charges_page)
}

/// A customer's setup intents, newest first.
#[must_use]
pub fn list_setups(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedSetup>> {
    let form = paging.add(Form::new().text("customer", customer));
    Call::new("setup_intents.list", Verb::Get, Path::of("/v1/setup_intents"), form, setups_page)
}

/// All charges of the account, newest first, failed ones and those of guests included.
#[must_use]
pub fn list_all_charges(paging: Paging<'_>) -> Call<Page<ObservedCharge>> {
    let form = paging.add(Form::new());
    Call::new("charges.list", Verb::Get, Path::of("/v1/charges"), form, charges_page)
}

/// Gives money back: `amount` in minor units, or all that is left.
#[must_use]
pub fn refund(
    paid: Paid<'_>,
    amount: Option<i64>,
    reason: Option<RefundReason>,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedRefund> {
    let form = paid
        .add(Form::new())
        .int_if("amount", amount)
        .text_if("reason", reason.map(RefundReason::as_str))
        .metadata("metadata", metadata);
    Call::new("refunds.create", Verb::Post(key), Path::of("/v1/refunds"), form, ObservedRefund::read)
}

/// One refund.
#[must_use]
pub fn retrieve_refund(id: &str) -> Call<ObservedRefund> {
    let path = Path::of("/v1/refunds").id(id);
    Call::new("refunds.retrieve", Verb::Get, path, Form::new(), ObservedRefund::read)
}

/// The refunds of a payment, newest first.
#[must_use]
pub fn list_refunds(paid: Paid<'_>, paging: Paging<'_>) -> Call<Page<ObservedRefund>> {
    let form = paging.add(paid.add(Form::new()));
    Call::new("refunds.list", Verb::Get, Path::of("/v1/refunds"), form, refunds_page)
}

fn intents_page(value: &Value) -> Result<Page<ObservedPaymentIntent>, ShapeError> {
    Page::read(value, ObservedPaymentIntent::read)
}

fn setups_page(value: &Value) -> Result<Page<ObservedSetup>, ShapeError> {
    Page::read(value, ObservedSetup::read)
}

fn charges_page(value: &Value) -> Result<Page<ObservedCharge>, ShapeError> {
    Page::read(value, ObservedCharge::read)
}

fn refunds_page(value: &Value) -> Result<Page<ObservedRefund>, ShapeError> {
    Page::read(value, ObservedRefund::read)
}
