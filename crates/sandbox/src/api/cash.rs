//! Cash balances of customers, and the test helper that sends money to one.

use serde_json::Value;

use super::Call;
use crate::model::cash::{CashEntry, CashReason, rail};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("GET", "customers/{id}/cash_balance") => {
            world.live_customer(id, "customer").map(|customer| world.cash_balance(&customer.id))
        }
        ("GET", "customers/{id}/cash_balance_transactions") => {
            world.live_customer(id, "customer").and_then(|customer| {
                let url = format!("/v1/customers/{}/cash_balance_transactions", customer.id);
                list(&world.cash_entries, &call.params, &url, Some(&customer.id), |_| true, CashEntry::render)
            })
        }
        ("GET", "customers/{customerId}/cash_balance_transactions/{id}") => one(world, call),
        ("POST", "test_helpers/customers/{id}/fund_cash_balance") => fund(world, call),
        _ => return None,
    })
}

fn one(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let id = call.ids.get(1).map_or("", String::as_str);
    let entry = need(&world.cash_entries, id, "id")?;
    if entry.customer != call.id() {
        return Err(ApiError::missing("customer cash balance transaction", id, "id"));
    }
    Ok(entry.render())
}

fn fund(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(call.id(), "customer")?.id;
    params.required("amount")?;
    let amount = params.int_within("amount", 1..=99_999_999)?.value().unwrap_or_default();
    let currency = params.required("currency")?.to_ascii_lowercase();
    if rail(&currency).is_none() {
        let message = format!("There are no bank transfers in {currency}. No money moved.");
        return Err(ApiError::rule(message).param("currency"));
    }
    let reference = params.text("reference")?.value();
    let id = world.move_cash(&customer, &currency, amount, CashReason::Funded { reference });
    let object = need(&world.cash_entries, &id, "id")?.render();
    world.reconcile_cash(&customer, &currency)?;
    Ok(object)
}
