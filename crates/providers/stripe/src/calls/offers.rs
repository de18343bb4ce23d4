//! Coupons and promotion codes.

use serde_json::Value;

use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::{Form, Metadata};
use crate::observe::{ObservedCoupon, ObservedPromotionCode, Page, ShapeError};

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CouponOff<'a> {
    /// A percentage, such as `12.5`.
    Percent(&'a str),
    /// Amounts in minor units with their lowercase ISO 4217 currencies; at least one.
    Amounts(&'a [(&'a str, i64)]),
}

/// A coupon to create. Only its name and metadata can be changed later.
#[derive(Debug, Clone, Copy)]
pub struct CreateCoupon<'a> {
    /// An id of our choice, so that a second try finds the first one's.
    pub id: &'a str,
    /// What people read; at most 40 characters.
    pub name: Option<&'a str>,
    /// What it takes off.
    pub off: CouponOff<'a>,
    /// `once`, `repeating` or `forever`.
    pub duration: &'a str,
    /// Months, when repeating.
    pub months: Option<i64>,
    /// Most redemptions in all.
    pub max_redemptions: Option<i64>,
    /// Until when it can be redeemed, Unix seconds.
    pub redeem_by_s: Option<i64>,
    /// The products that it is for; empty is all.
    pub products: &'a [&'a str],
    /// Metadata.
    pub metadata: &'a Metadata,
}

/// A promotion code to create.
#[derive(Debug, Clone, Copy)]
pub struct CreatePromotionCode<'a> {
    /// The coupon.
    pub coupon: &'a str,
    /// What buyers type.
    pub code: &'a str,
    /// Whether it is for a first purchase.
    pub first_purchase: bool,
    /// Most redemptions in all.
    pub max_redemptions: Option<i64>,
    /// Until when it can be redeemed, Unix seconds.
    pub expires_at_s: Option<i64>,
    /// Metadata.
    pub metadata: &'a Metadata,
}

/// Which promotion codes to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListPromotionCodes<'a> {
    /// What buyers type, in either case.
    pub code: Option<&'a str>,
    /// Only those that can, or cannot, be redeemed.
    pub active: Option<bool>,
    /// Which page.
    pub paging: Paging<'a>,
}

/// One coupon.
#[must_use]
pub fn retrieve_coupon(id: &str) -> Call<ObservedCoupon> {
    Call::new("coupons.retrieve", Verb::Get, coupons().id(id), Form::new(), ObservedCoupon::read)
}

/// Creates a coupon.
#[must_use]
pub fn create_coupon(wanted: &CreateCoupon<'_>, key: IdempotencyKey) -> Call<ObservedCoupon> {
    let mut form = Form::new().text("id", wanted.id).text_if("name", wanted.name);
    form = match wanted.off {
        CouponOff::Percent(percent) => form.text("percent_off", percent),
        CouponOff::Amounts(amounts) => {
            for (index, (currency, minor)) in amounts.iter().enumerate() {
                form = if index == 0 {
                    form.int("amount_off", *minor).text("currency", currency)
                } else {
                    form.int(&format!("currency_options[{currency}][amount_off]"), *minor)
                };
            }
            form
        }
    };
    form = form
        .text("duration", wanted.duration)
        .int_if("duration_in_months", wanted.months)
        .int_if("max_redemptions", wanted.max_redemptions)
        .int_if("redeem_by", wanted.redeem_by_s)
        .list("applies_to[products]", wanted.products.iter().copied())
        .metadata("metadata", wanted.metadata);
    Call::new("coupons.create", Verb::Post(key), coupons(), form, ObservedCoupon::read)
}

/// Renames a coupon; nothing else of it can be changed.
#[must_use]
pub fn rename_coupon(id: &str, name: &str, key: IdempotencyKey) -> Call<ObservedCoupon> {
    let form = Form::new().text("name", name);
    Call::new("coupons.update", Verb::Post(key), coupons().id(id), form, ObservedCoupon::read)
}

/// One promotion code with its coupon.
#[must_use]
pub fn retrieve_code(id: &str) -> Call<ObservedPromotionCode> {
    let form = Form::new().list("expand", ["promotion.coupon"]);
    Call::new("promotion_codes.retrieve", Verb::Get, codes().id(id), form, ObservedPromotionCode::read)
}

/// Promotion codes, newest first.
#[must_use]
pub fn list_codes(wanted: &ListPromotionCodes<'_>) -> Call<Page<ObservedPromotionCode>> {
    let form = Form::new().text_if("code", wanted.code).flag_if("active", wanted.active);
    Call::new("promotion_codes.list", Verb::Get, codes(), wanted.paging.add(form), page)
}

/// Creates a promotion code.
#[must_use]
pub fn create_code(wanted: &CreatePromotionCode<'_>, key: IdempotencyKey) -> Call<ObservedPromotionCode> {
    let form = Form::new()
        .text("promotion[type]", "coupon")
        .text("promotion[coupon]", wanted.coupon)
        .text("code", wanted.code)
        .flag_if("restrictions[first_time_transaction]", wanted.first_purchase.then_some(true))
        .int_if("max_redemptions", wanted.max_redemptions)
        .int_if("expires_at", wanted.expires_at_s)
        .metadata("metadata", wanted.metadata);
    Call::new("promotion_codes.create", Verb::Post(key), codes(), form, ObservedPromotionCode::read)
}

/// Switches a promotion code on or off.
#[must_use]
pub fn set_code_active(id: &str, active: bool, key: IdempotencyKey) -> Call<ObservedPromotionCode> {
    let form = Form::new().flag("active", active);
    Call::new("promotion_codes.update", Verb::Post(key), codes().id(id), form, ObservedPromotionCode::read)
}

fn coupons() -> Path {
    Path::of("/v1/coupons")
}

fn codes() -> Path {
    Path::of("/v1/promotion_codes")
}

fn page(value: &Value) -> Result<Page<ObservedPromotionCode>, ShapeError> {
    Page::read(value, ObservedPromotionCode::read)
}
