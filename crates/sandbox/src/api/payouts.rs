//! Payouts: made by hand, read, canceled, reversed.

use serde_json::Value;

use super::Call;
use crate::model::payout::Payout;
use crate::payments::payouts::NewPayout;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{Range, list};
use crate::wire::params::{Field, Metadata};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("POST", "payouts") => create(world, call),
        ("GET", "payouts") => all(world, call),
        ("GET", "payouts/{id}") => one(world, id),
        ("POST", "payouts/{id}") => update(world, call),
        ("POST", "payouts/{id}/cancel") => world.cancel_payout(id).and_then(|()| one(world, id)),
        ("POST", "payouts/{id}/reverse") => reverse(world, call),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.payouts, id, "payout").map(|payout| payout.render())
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    params.required("amount")?;
    let amount = params.int_within("amount", 1..=99_999_999_999)?.value().unwrap_or_default();
    if params.one_of("method", &["standard", "instant"])? == Field::Set("instant") {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "method",
            "The sandbox plays standard payouts only.",
        ));
    }
    params.one_of("source_type", &["card", "bank_account", "fpx"])?;
    let destination = params.text("destination")?.value();
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let new = NewPayout {
        amount,
        currency: params.required("currency")?.to_ascii_lowercase(),
        description: params.text("description")?.value(),
        statement_descriptor: params.text("statement_descriptor")?.value(),
        metadata,
        ..NewPayout::default()
    };
    let id = world.pay_out(new, destination.as_deref())?;
    one(world, &id)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let status = params.text("status")?.value();
    let destination = params.text("destination")?.value();
    let arrival = Range::read(params, "arrival_date")?;
    let keep = |payout: &Payout| {
        status.as_ref().is_none_or(|status| payout.status.as_str() == status)
            && destination.as_ref().is_none_or(|destination| payout.destination == *destination)
            && arrival.holds(payout.arrival_date)
    };
    list(&world.payouts, params, "/v1/payouts", None, keep, Payout::render)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut payout = need(&world.payouts, call.id(), "payout")?;
    let before = payout.render();
    call.params.metadata_into(&mut payout.metadata)?;
    let after = payout.render();
    world.payouts.put(payout);
    world.emit_change("payout.updated", &before, after.clone());
    Ok(after)
}

fn reverse(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut metadata = Metadata::new();
    call.params.metadata_into(&mut metadata)?;
    let id = world.reverse_payout(call.id(), metadata)?;
    one(world, &id)
}
