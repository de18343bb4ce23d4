//! Credit notes.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedCreditNote, Page, ShapeError};

/// Takes `amount` (minor units, taxes included) of a paid invoice back and refunds it, in one step.
#[must_use]
pub fn create(
    invoice: &str,
    amount: i64,
    metadata: &Metadata,
    key: IdempotencyKey,
) -> Call<ObservedCreditNote> {
    let form = Form::new()
        .text("invoice", invoice)
        .int("amount", amount)
        .int("refund_amount", amount)
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

fn page(value: &Value) -> Result<Page<ObservedCreditNote>, ShapeError> {
    Page::read(value, ObservedCreditNote::read)
}
