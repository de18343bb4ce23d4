//! Top-ups: made, read, described, canceled.

use serde_json::Value;

use super::Call;
use crate::model::topup::{Topup, TopupStatus};
use crate::state::world::{World, need};
use crate::wire::error::ApiResult;
use crate::wire::list::{Range, list};
use crate::wire::params::Metadata;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("POST", "topups") => create(world, call),
        ("GET", "topups") => all(world, call),
        ("GET", "topups/{id}") => one(world, id),
        ("POST", "topups/{id}") => update(world, call),
        ("POST", "topups/{id}/cancel") => world.cancel_topup(id).and_then(|()| one(world, id)),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.topups, id, "topup").map(|topup| topup.render())
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    world.check_is_platform()?;
    params.required("amount")?;
    let amount = params.int_within("amount", 1..=99_999_999_999)?.value().unwrap_or_default();
    let currency = params.required("currency")?.to_ascii_lowercase();
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let topup = Topup {
        id: world.chance.id("tu_"),
        created: world.now,
        status: TopupStatus::Pending,
        amount,
        currency,
        arrives: world.now + world.settings.debit_days * 86_400,
        balance_transaction: None,
        description: params.text("description")?.value(),
        statement_descriptor: params.text("statement_descriptor")?.value(),
        transfer_group: params.text("transfer_group")?.value(),
        metadata,
    };
    let object = topup.render();
    world.add_topup(topup);
    Ok(object)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let status =
        params.one_of("status", &["canceled", "failed", "pending", "reversed", "succeeded"])?.value();
    let amount = Range::read(params, "amount")?;
    let keep = |topup: &Topup| {
        status.is_none_or(|status| topup.status.as_str() == status) && amount.holds(topup.amount)
    };
    list(&world.topups, params, "/v1/topups", None, keep, Topup::render)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut topup = need(&world.topups, call.id(), "topup")?;
    call.params.text("description")?.apply(&mut topup.description);
    call.params.metadata_into(&mut topup.metadata)?;
    let object = topup.render();
    world.topups.put(topup);
    Ok(object)
}
