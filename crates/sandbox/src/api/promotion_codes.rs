//! Promotion codes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Call;
use super::coupons::{live, read_amounts};
use crate::model::coupon::PromotionCode;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata};

const LARGEST: i64 = 99_999_999;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "promotion_codes") => create(world, call),
        ("GET", "promotion_codes") => all(world, call),
        ("GET", "promotion_codes/{id}") => {
            need(&world.promotion_codes, call.id(), "id").map(|code| world.code_value(&code))
        }
        ("POST", "promotion_codes/{id}") => update(world, call),
        _ => return None,
    })
}

impl World {
    /// A promotion code as it is shown now.
    pub(crate) fn code_value(&self, code: &PromotionCode) -> Value {
        code.render(self.is_usable(code))
    }

    /// Whether a code, and its coupon, can be redeemed by somebody.
    fn is_usable(&self, code: &PromotionCode) -> bool {
        code.is_open(self.now)
            && self.coupons.get(&code.coupon).is_some_and(|coupon| coupon.is_valid(self.now))
    }

    /// The code that a customer typed, in whatever case, where one is open.
    pub(crate) fn open_code(&self, typed: &str) -> Option<&PromotionCode> {
        let same = |code: &&PromotionCode| code.code.eq_ignore_ascii_case(typed) && code.is_open(self.now);
        self.promotion_codes.iter().find(same)
    }
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    // Older versions name the coupon itself.
    let coupon = match params.text("coupon")?.value() {
        Some(coupon) => live(world, &coupon, "coupon")?,
        None => {
            let promotion = params.sub("promotion");
            promotion.required("type")?;
            promotion.one_of("type", &["coupon"])?;
            live(world, &promotion.required("coupon")?, "promotion[coupon]")?
        }
    };
    let customer = match params.text("customer")?.value() {
        Some(customer) => Some(world.live_customer(&customer, "customer")?.id),
        None => None,
    };
    let expires_at = params.int("expires_at")?.value();
    if expires_at.is_some_and(|at| at <= world.now) {
        return Err(ApiError::rule("expires_at must be in the future.").param("expires_at"));
    }
    let restrictions = params.sub("restrictions");
    let least = restrictions.int_within("minimum_amount", 1..=LARGEST)?.value();
    let minimum_currency = match least {
        Some(_) => Some(restrictions.required("minimum_amount_currency")?.to_ascii_lowercase()),
        None => None,
    };
    let mut minimum: BTreeMap<String, i64> = minimum_currency.clone().zip(least).into_iter().collect();
    read_amounts(&restrictions, "minimum_amount", &mut minimum)?;
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let max_redemptions = params.int_within("max_redemptions", 1..=LARGEST)?.value();
    let code = match params.text("code")?.value() {
        Some(code) if code.chars().all(|char| char.is_ascii_alphanumeric() || char == '-') => code,
        Some(_) => {
            return Err(ApiError::rule("A code has letters, digits and dashes.").param("code"));
        }
        None => world.chance.text(8).to_ascii_uppercase(),
    };
    if world.open_code(&code).is_some() {
        let message = "An active promotion code with this code already exists.";
        return Err(ApiError::state("resource_already_exists", message).param("code"));
    }
    let promotion_code = PromotionCode {
        id: world.chance.id("promo_"),
        created: world.now,
        code,
        coupon: coupon.id,
        active: params.flag("active")?.value().unwrap_or(true),
        customer,
        expires_at,
        max_redemptions,
        times_redeemed: 0,
        first_time: restrictions.flag("first_time_transaction")? == Field::Set(true),
        minimum,
        minimum_currency,
        metadata,
    };
    let object = world.code_value(&promotion_code);
    world.promotion_codes.put(promotion_code);
    world.emit("promotion_code.created", object.clone());
    Ok(object)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut code = need(&world.promotion_codes, call.id(), "id")?;
    let before = world.code_value(&code);
    params.metadata_into(&mut code.metadata)?;
    if let Field::Set(active) = params.flag("active")? {
        if active && !code.active && world.open_code(&code.code).is_some() {
            let message = "An active promotion code with this code already exists.";
            return Err(ApiError::state("resource_already_exists", message).param("active"));
        }
        code.active = active;
    }
    let kept = code.minimum.clone();
    read_amounts(&params.sub("restrictions"), "minimum_amount", &mut code.minimum)?;
    code.minimum.extend(kept);
    let after = world.code_value(&code);
    world.promotion_codes.put(code);
    world.emit_change("promotion_code.updated", &before, after.clone());
    Ok(after)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let active = params.flag("active")?.value();
    let text = params.text("code")?.value();
    let coupon = params.text("coupon")?.value();
    let customer = params.text("customer")?.value();
    let keep = |code: &PromotionCode| {
        text.as_ref().is_none_or(|text| code.code.eq_ignore_ascii_case(text))
            && coupon.as_ref().is_none_or(|coupon| code.coupon == *coupon)
            && customer.as_ref().is_none_or(|customer| code.customer.as_ref() == Some(customer))
            && active.is_none_or(|active| world.is_usable(code) == active)
    };
    let render = |code: &PromotionCode| world.code_value(code);
    list(&world.promotion_codes, params, "/v1/promotion_codes", None, keep, render)
}
