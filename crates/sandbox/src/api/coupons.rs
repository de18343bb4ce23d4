//! Coupons.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Call;
use crate::model::coupon::{Coupon, Duration, Off};
use crate::model::percent::Percent;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

const LARGEST: i64 = 99_999_999;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "coupons") => create(world, call),
        ("GET", "coupons") => {
            let keep = |coupon: &Coupon| !coupon.deleted;
            let render = |coupon: &Coupon| coupon.render(world.now);
            list(&world.coupons, &call.params, "/v1/coupons", None, keep, render)
        }
        ("GET", "coupons/{id}") => live(world, call.id(), "id").map(|coupon| coupon.render(world.now)),
        ("POST", "coupons/{id}") => update(world, call),
        ("DELETE", "coupons/{id}") => delete(world, call.id()),
        _ => return None,
    })
}

/// A coupon that is not deleted.
pub(super) fn live(world: &World, id: &str, param: &str) -> ApiResult<Coupon> {
    let coupon = need(&world.coupons, id, param)?;
    if coupon.deleted { Err(ApiError::missing("coupon", id, param)) } else { Ok(coupon) }
}

/// Reads amounts by currency, such as `currency_options[eur][amount_off]`.
pub(super) fn read_amounts(
    params: &Params<'_>,
    name: &str,
    amounts: &mut BTreeMap<String, i64>,
) -> ApiResult<()> {
    let options = params.sub("currency_options");
    for currency in options.names() {
        let option = options.sub(currency);
        if let Some(other) = option.names().find(|given| *given != name) {
            let full = option.full(other);
            let message = format!("Received unknown parameter: {full}");
            return Err(ApiError::invalid("parameter_unknown", &full, message));
        }
        option.required(name)?;
        if let Field::Set(amount) = option.int_within(name, 1..=LARGEST)? {
            amounts.insert(currency.to_ascii_lowercase(), amount);
        }
    }
    Ok(())
}

fn read_off(params: &Params<'_>) -> ApiResult<Off> {
    match (params.text("percent_off")?.value(), params.int_within("amount_off", 1..=LARGEST)?.value()) {
        (Some(text), None) => match Percent::parse(&text).filter(|percent| !percent.is_zero()) {
            Some(_) if params.has("currency_options") => {
                Err(ApiError::rule("currency_options is for coupons with amount_off.")
                    .param("currency_options"))
            }
            Some(percent) => Ok(Off::Percent(percent)),
            None => Err(ApiError::rule(
                "Invalid percent_off: must be greater than 0, at most 100, with at most four decimals.",
            )
            .param("percent_off")),
        },
        (None, Some(amount)) => {
            let currency = params.required("currency")?.to_ascii_lowercase();
            let mut amounts = BTreeMap::from([(currency.clone(), amount)]);
            read_amounts(params, "amount_off", &mut amounts)?;
            amounts.insert(currency.clone(), amount);
            Ok(Off::Amount { currency, amounts })
        }
        (Some(_), Some(_)) => Err(ApiError::rule("You may only specify one of percent_off and amount_off.")),
        (None, None) => Err(ApiError::invalid(
            "parameter_missing",
            "percent_off",
            "You must pass either percent_off or amount_off.",
        )),
    }
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let off = read_off(params)?;
    let duration = match params.one_of("duration", &["once", "repeating", "forever"])? {
        Field::Set("repeating") => Duration::Repeating,
        Field::Set("forever") => Duration::Forever,
        Field::Set(_) | Field::Absent | Field::Unset => Duration::Once,
    };
    let months = params.int_within("duration_in_months", 1..=1_200)?.value();
    if (duration == Duration::Repeating) != months.is_some() {
        return Err(ApiError::rule(
            "duration_in_months is required when the duration is repeating, and only then.",
        )
        .param("duration_in_months"));
    }
    let redeem_by = params.int("redeem_by")?.value();
    if redeem_by.is_some_and(|by| by <= world.now) {
        return Err(ApiError::rule("redeem_by must be in the future.").param("redeem_by"));
    }
    let products = params.sub("applies_to").texts("products")?.unwrap_or_default();
    for product in &products {
        need(&world.products, product, "applies_to[products]")?;
    }
    let max_redemptions = params.int_within("max_redemptions", 1..=LARGEST)?.value();
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let id = match params.text("id")?.value() {
        Some(id) if world.coupons.get(&id).is_some_and(|coupon| !coupon.deleted) => {
            return Err(ApiError::state("resource_already_exists", "Coupon already exists.").param("id"));
        }
        Some(id) if world.coupons.get(&id).is_some() => {
            return Err(ApiError::rule(
                "The sandbox remembers a deleted coupon of this id, for the discounts that it gave; choose another.",
            )
            .param("id"));
        }
        Some(id) => id,
        None => world.chance.text(8),
    };
    let coupon = Coupon {
        id: id.clone(),
        created: world.now,
        name: params.text("name")?.value(),
        off,
        duration,
        months,
        products,
        max_redemptions,
        redeem_by,
        times_redeemed: 0,
        metadata,
        deleted: false,
    };
    let object = coupon.render(world.now);
    world.coupons.put(coupon);
    world.emit("coupon.created", object.clone());
    Ok(object)
}

/// Only what changes nobody's money: name, metadata, and amounts in further currencies.
fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut coupon = live(world, call.id(), "id")?;
    let before = coupon.render(world.now);
    params.text("name")?.apply(&mut coupon.name);
    params.metadata_into(&mut coupon.metadata)?;
    if params.has("currency_options") {
        match &mut coupon.off {
            Off::Amount { amounts, .. } => {
                let kept = amounts.clone();
                read_amounts(params, "amount_off", amounts)?;
                // Amounts that are there already stay as they are.
                amounts.extend(kept);
            }
            Off::Percent(_) => {
                return Err(ApiError::rule("currency_options is for coupons with amount_off.")
                    .param("currency_options"));
            }
        }
    }
    let after = coupon.render(world.now);
    world.coupons.put(coupon);
    world.emit_change("coupon.updated", &before, after.clone());
    Ok(after)
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    let mut coupon = live(world, id, "id")?;
    let object = coupon.render(world.now);
    coupon.deleted = true;
    world.coupons.put(coupon);
    world.emit("coupon.deleted", object);
    Ok(json!({ "id": id, "object": "coupon", "deleted": true }))
}
