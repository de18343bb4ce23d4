//! Reads `discounts`, which many calls take, and takes the discounts of a subscription away.

use serde_json::Value;

use crate::billing::discounts::Place;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Params;

/// More than this many discounts on one thing are refused.
const MOST: usize = 20;

/// The discounts that a parameter asks for, supposed and not yet bound; `None` when it is left out.
pub(super) fn read_discounts(
    world: &mut World,
    params: &Params<'_>,
    place: Place<'_>,
) -> ApiResult<Option<Vec<String>>> {
    if !params.has("discounts") {
        return Ok(None);
    }
    if matches!(params.free("discounts"), Some(Value::String(_))) {
        return Err(ApiError::rule("Invalid array").param(&params.full("discounts")));
    }
    let entries = params.list("discounts");
    if entries.len() > MOST {
        let message = format!("You can pass at most {MOST} discounts.");
        return Err(ApiError::rule(message).param(&params.full("discounts")));
    }
    let mut discounts: Vec<String> = Vec::new();
    for entry in entries {
        let word = |name: &str| entry.text(name).map(|field| field.value());
        let discount = match (word("coupon")?, word("promotion_code")?, word("discount")?) {
            (Some(coupon), None, None) => world.suppose_coupon(&coupon, place, &entry.full("coupon"))?,
            (None, Some(code), None) => world.suppose_code(&code, place, &entry.full("promotion_code"))?,
            (None, None, Some(discount)) => need(&world.discounts, &discount, &entry.full("discount"))?.id,
            _ => {
                return Err(ApiError::rule(
                    "Each discount names exactly one of coupon, promotion_code and discount.",
                )
                .param(&params.full("discounts")));
            }
        };
        discounts.push(discount);
    }
    let given = |discount: &String| {
        world
            .discounts
            .get(discount)
            .map(|discount| (discount.coupon.clone(), discount.promotion_code.clone()))
    };
    for (index, discount) in discounts.iter().enumerate() {
        if discounts.iter().skip(index + 1).any(|other| given(other) == given(discount)) {
            return Err(ApiError::rule("The same coupon was given twice.").param(&params.full("discounts")));
        }
    }
    Ok(Some(discounts))
}

/// `DELETE /v1/subscriptions/{id}/discount`: takes all of them away and shows the last.
pub(super) fn delete_discount(world: &mut World, id: &str) -> ApiResult<Value> {
    let subscription = need(&world.subscriptions, id, "id")?;
    let had = subscription.terms.discounts.clone();
    let last = had.last().cloned().ok_or_else(|| {
        ApiError::rule(format!("The subscription {id} has no discount that could be deleted."))
    })?;
    world.change_subscription(id, |subscription| subscription.terms.discounts.clear());
    world.settle_discounts(id, &had);
    need(&world.discounts, &last, "id").map(|discount| discount.render())
}
