//! The account's money: the balance, what moved it, and payouts.

use serde_json::Value;

use super::{Call, Paging, Path, Verb};
use crate::form::Form;
use crate::observe::{ObservedBalance, ObservedBalanceTransaction, ObservedPayout, Page, ShapeError};

/// What the account has now.
#[must_use]
pub fn retrieve() -> Call<ObservedBalance> {
    Call::new("balance.retrieve", Verb::Get, Path::of("/v1/balance"), Form::new(), ObservedBalance::read)
}

/// Balance transactions made at or after `created_gte_s` (Unix seconds), newest first, each with the object behind it.
#[must_use]
pub fn list_transactions(
    created_gte_s: Option<i64>,
    paging: Paging<'_>,
) -> Call<Page<ObservedBalanceTransaction>> {
    let form = Form::new().int_if("created[gte]", created_gte_s).list("expand", ["data.source"]);
    let path = Path::of("/v1/balance_transactions");
    Call::new("balance_transactions.list", Verb::Get, path, paging.add(form), transactions_page)
}

/// One payout.
#[must_use]
pub fn retrieve_payout(id: &str) -> Call<ObservedPayout> {
    let path = Path::of("/v1/payouts").id(id);
    Call::new("payouts.retrieve", Verb::Get, path, Form::new(), ObservedPayout::read)
}

/// Payouts, newest first.
#[must_use]
pub fn list_payouts(paging: Paging<'_>) -> Call<Page<ObservedPayout>> {
    let path = Path::of("/v1/payouts");
    Call::new("payouts.list", Verb::Get, path, paging.add(Form::new()), payouts_page)
}

fn transactions_page(value: &Value) -> Result<Page<ObservedBalanceTransaction>, ShapeError> {
    Page::read(value, ObservedBalanceTransaction::read)
}

fn payouts_page(value: &Value) -> Result<Page<ObservedPayout>, ShapeError> {
    Page::read(value, ObservedPayout::read)
}
