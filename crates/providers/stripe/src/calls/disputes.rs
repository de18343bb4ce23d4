//! Disputes: listed, answered, given up; and early fraud warnings.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::Form;
use crate::observe::{ObservedDispute, ObservedFraudWarning, Page, ShapeError};

/// The disputes of one payment, newest first.
#[must_use]
pub fn list(payment_intent: &str, paging: Paging<'_>) -> Call<Page<ObservedDispute>> {
    let form = paging.add(Form::new().text("payment_intent", payment_intent));
    Call::new("disputes.list", Verb::Get, Path::of("/v1/disputes"), form, page)
}

/// One dispute.
#[must_use]
pub fn retrieve(id: &str) -> Call<ObservedDispute> {
    let path = Path::of("/v1/disputes").id(id);
    Call::new("disputes.retrieve", Verb::Get, path, Form::new(), ObservedDispute::read)
}

/// Gives evidence, field by field, and submits it: the bank takes it once.
#[must_use]
pub fn submit(id: &str, evidence: &[(&str, &str)], key: IdempotencyKey) -> Call<ObservedDispute> {
    let fields =
        evidence.iter().fold(Form::new(), |form, (name, text)| form.text(&format!("evidence[{name}]"), text));
    let form = fields.flag("submit", true);
    let path = Path::of("/v1/disputes").id(id);
    Call::new("disputes.update", Verb::Post(key), path, form, ObservedDispute::read)
}

/// Gives a dispute up. It cannot be taken back.
#[must_use]
pub fn close(id: &str, key: IdempotencyKey) -> Call<ObservedDispute> {
    let path = Path::of("/v1/disputes").id(id).then("/close");
    Call::new("disputes.close", Verb::Post(key), path, Form::new(), ObservedDispute::read)
}

/// The early fraud warnings of one payment, newest first.
#[must_use]
pub fn list_warnings(payment_intent: &str, paging: Paging<'_>) -> Call<Page<ObservedFraudWarning>> {
    let form = paging.add(Form::new().text("payment_intent", payment_intent));
    let path = Path::of("/v1/radar/early_fraud_warnings");
    Call::new("early_fraud_warnings.list", Verb::Get, path, form, warnings)
}

fn page(value: &Value) -> Result<Page<ObservedDispute>, ShapeError> {
    Page::read(value, ObservedDispute::read)
}

fn warnings(value: &Value) -> Result<Page<ObservedFraudWarning>, ShapeError> {
    Page::read(value, ObservedFraudWarning::read)
}
