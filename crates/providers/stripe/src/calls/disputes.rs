//! Disputes.

use serde_json::Value;

use super::{Call, Paging, Path, Verb};
use crate::form::Form;
use crate::observe::{ObservedDispute, Page, ShapeError};

/// The disputes of one payment, newest first.
#[must_use]
pub fn list(payment_intent: &str, paging: Paging<'_>) -> Call<Page<ObservedDispute>> {
    let form = paging.add(Form::new().text("payment_intent", payment_intent));
    Call::new("disputes.list", Verb::Get, Path::of("/v1/disputes"), form, page)
}

fn page(value: &Value) -> Result<Page<ObservedDispute>, ShapeError> {
    Page::read(value, ObservedDispute::read)
}
