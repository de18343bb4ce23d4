//! Shipping rates that the seller keeps, to be offered by checkout sessions. What a rate costs never changes.

use serde_json::Value;

use super::Call;
use super::checkout_form::read_rate;
use crate::model::checkout_form::ShippingRate;
use crate::state::world::{World, need};
use crate::wire::error::ApiResult;
use crate::wire::list::list;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "shipping_rates") => all(world, call),
        ("POST", "shipping_rates") => create(world, call),
        ("GET", "shipping_rates/{id}") => {
            need(&world.shipping_rates, call.id(), "id").map(|rate| rate.render())
        }
        ("POST", "shipping_rates/{id}") => update(world, call),
        _ => return None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let rate = read_rate(world, &call.params)?;
    let object = rate.render();
    world.shipping_rates.put(rate);
    Ok(object)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut rate = need(&world.shipping_rates, call.id(), "id")?;
    rate.active = call.params.flag("active")?.value().unwrap_or(rate.active);
    call.params.metadata_into(&mut rate.metadata)?;
    let object = rate.render();
    world.shipping_rates.put(rate);
    Ok(object)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let active = call.params.flag("active")?.value();
    let currency = call.params.text("currency")?.value();
    let keep = |rate: &ShippingRate| {
        active.is_none_or(|active| rate.active == active)
            && currency.as_ref().is_none_or(|currency| rate.currency.eq_ignore_ascii_case(currency))
    };
    list(&world.shipping_rates, &call.params, "/v1/shipping_rates", None, keep, ShippingRate::render)
}
