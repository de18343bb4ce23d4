//! The entries of a customer's balance.

use serde_json::Value;

use super::Call;
use crate::billing::balance::NewEntry;
use crate::model::customer_balance::{BalanceEntry, EntryKind};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "customers/{id}/balance_transactions") => create(world, call),
        ("GET", "customers/{id}/balance_transactions") => all(world, call),
        ("GET", "customers/{customerId}/balance_transactions/{id}") => {
            one(world, call).map(|entry| entry.render())
        }
        ("POST", "customers/{customerId}/balance_transactions/{id}") => update(world, call),
        _ => return None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(call.id(), "customer")?;
    let currency = params.required("currency")?.to_ascii_lowercase();
    params.required("amount")?;
    let amount = match params.int("amount")? {
        Field::Set(amount) if amount != 0 => amount,
        Field::Set(_) | Field::Absent | Field::Unset => {
            return Err(ApiError::rule("The amount must not be zero.").param("amount"));
        }
    };
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let description = params.text("description")?.value();
    let plain = NewEntry::plain(EntryKind::Adjustment, amount, &currency);
    let entry = world.move_balance(&customer.id, NewEntry { description, metadata, ..plain })?;
    need(&world.balance_entries, &entry.unwrap_or_default(), "id").map(|entry| entry.render())
}

fn one(world: &World, call: &Call<'_>) -> ApiResult<BalanceEntry> {
    let customer = world.live_customer(call.id(), "customer")?;
    let id = call.ids.get(1).map_or("", String::as_str);
    let entry = need(&world.balance_entries, id, "id")?;
    if entry.customer == customer.id {
        Ok(entry)
    } else {
        Err(ApiError::missing("customer balance transaction", id, "id"))
    }
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut entry = one(world, call)?;
    call.params.metadata_into(&mut entry.metadata)?;
    call.params.text("description")?.apply(&mut entry.description);
    let object = entry.render();
    world.balance_entries.put(entry);
    Ok(object)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(call.id(), "customer")?;
    let invoice = call.params.text("invoice")?.value();
    let keep =
        |entry: &BalanceEntry| invoice.as_ref().is_none_or(|invoice| entry.invoice.as_ref() == Some(invoice));
    let url = format!("/v1/customers/{}/balance_transactions", customer.id);
    list(&world.balance_entries, &call.params, &url, Some(&customer.id), keep, BalanceEntry::render)
}
