//! Credit notes.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedCreditNote, Page, ShapeError};

/// How the money of a credit note goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenBack {
    /// The note refunds the invoice's payment.
    Refund,
    /// It went back outside of Stripe.
    OutOfBand,
}

/// Why, in Stripe's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditNoteReason {
    /// Paid twice.
    Duplicate,
    /// Not paid by the owner of the card.
    Fraudulent,
}

impl CreditNoteReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Fraudulent => "fraudulent",
        }
    }
}

/// Takes `amount` (minor units, taxes included) of a paid invoice back and gives it back, in one step.
#[must_use]
pub fn create(
    invoice: &str,
    amount: i64,
    how: GivenBack,
    reason: Option<CreditNoteReason>,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedCreditNote> {
    let part = match how {
        GivenBack::Refund => "refund_amount",
        GivenBack::OutOfBand => "out_of_band_amount",
    };
    let form = Form::new()
        .text("invoice", invoice)
        .int("amount", amount)
        .int(part, amount)
        .text_if("reason", reason.map(CreditNoteReason::as_str))
        .metadata("metadata", metadata);
    let path = Path::of("/v1/credit_notes");
    Call::new("credit_notes.create", Verb::Post(key), path, form, ObservedCreditNote::read)
}

/// The credit notes of an invoice, newest first.
#[must_use]
pub fn list(invoice: &str, paging: Paging<'_>) -> Call<Page<ObservedCreditNote>> {
    let form = paging.add(Form::new().text("invoice", invoice));
    Call::new("credit_notes.list", Verb::Get, Path::of("/v1/credit_notes"), form, page)
}

/// The credit notes of a customer with their invoices, newest first.
#[must_use]
pub fn list_of_customer(customer: &str, paging: Paging<'_>) -> Call<Page<ObservedCreditNote>> {
    let form = paging.add(Form::new().text("customer", customer).list("expand", ["data.invoice"]));
    Call::new("credit_notes.list", Verb::Get, Path::of("/v1/credit_notes"), form, page)
}

fn page(value: &Value) -> Result<Page<ObservedCreditNote>, ShapeError> {
    Page::read(value, ObservedCreditNote::read)
}
