//! Coupons and promotion codes of the shop.

use super::{Finding, Found, ShopPlan, Step};
use crate::catalog::Catalog;
use crate::offer::{Promotion, coupon_of_channel, coupon_of_promotion};
use crate::time::Timestamp;

/// The longest name that a coupon may have at the provider, in characters.
const LONGEST_NAME: usize = 40;

fn name_of(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

pub(super) fn steps(catalog: &Catalog, found: &Found, now: Timestamp, out: &mut ShopPlan) {
    for channel in catalog.channels().iter().filter(|channel| !channel.window.is_over(now)) {
        let Some(reduction) = &channel.reduction else { continue };
        let coupon = coupon_of_channel(&channel.key, reduction);
        let step = |coupon, name| Step::CreateCoupon {
            coupon,
            name,
            reduction: reduction.clone(),
            products: Vec::new(),
            max_redemptions: None,
            until: None,
        };
        coupon_step(coupon, name_of(&channel.name.en), found, step, out);
    }
    for promotion in catalog.promotions().iter().filter(|promotion| !promotion.window.is_over(now)) {
        let products = catalog.plans().iter().filter(|plan| promotion.plans.contains(&plan.key));
        let products: Vec<String> = products.map(|plan| found.product_of(plan)).collect();
        let step = |coupon, name| Step::CreateCoupon {
            coupon,
            name,
            reduction: promotion.reduction.clone(),
            products: products.clone(),
            max_redemptions: promotion.max_redemptions,
            until: promotion.window.until,
        };
        coupon_step(coupon_of_promotion(promotion), name_of(&promotion.name.en), found, step, out);
    }
    codes(catalog, found, now, out);
}

fn coupon_step(
    coupon: String,
    name: String,
    found: &Found,
    create: impl Fn(String, String) -> Step,
    out: &mut ShopPlan,
) {
    match found.coupons.iter().find(|known| known.id == coupon) {
        None => out.steps.push(create(coupon, name)),
        Some(known) if known.name.as_ref() != Some(&name) => {
            out.steps.push(Step::RenameCoupon { coupon, name })
        }
        Some(_) => {}
    }
}

fn codes(catalog: &Catalog, found: &Found, now: Timestamp, out: &mut ShopPlan) {
    let mut kept: Vec<&str> = Vec::new();
    let mut wanted: Vec<Step> = Vec::new();
    for promotion in catalog.promotions().iter().filter(|promotion| promotion.window.holds(now)) {
        let Some(code) = &promotion.code else { continue };
        let coupon = coupon_of_promotion(promotion);
        let same = || found.codes.iter().filter(|known| known.code.eq_ignore_ascii_case(code));
        let stranger =
            same().find(|known| known.active && known.coupon != coupon && known.promotion.is_none());
        if let Some(stranger) = stranger {
            out.findings.push(Finding {
                about: stranger.id.clone(),
                what: format!(
                    "the code {code} is in use for coupon {}, which is none of the catalog's",
                    stranger.coupon
                ),
                mend: "Switch it off at the provider, or choose another code.".to_owned(),
            });
            continue;
        }
        match same().find(|known| known.coupon == coupon) {
            Some(known) if known.active => kept.push(&known.id),
            Some(known) if is_used_up(promotion, known.redeemed) => {
                kept.push(&known.id);
                out.findings.push(Finding {
                    about: known.id.clone(),
                    what: format!("the code {code} is used up after {} redemptions", known.redeemed),
                    mend: "Raise max_redemptions, or take the promotion out of the catalog.".to_owned(),
                });
            }
            Some(known) => {
                kept.push(&known.id);
                wanted.push(Step::SwitchCode {
                    id: known.id.clone(),
                    code: known.code.clone(),
                    active: true,
                });
            }
            None => wanted.push(Step::CreateCode {
                code: code.clone(),
                coupon,
                promotion: promotion.key.to_string(),
                first_purchase: promotion.first_purchase,
                max_redemptions: promotion.max_redemptions,
                until: promotion.window.until,
            }),
        }
    }
    // First those that must make room: two active codes cannot read the same.
    for old in found.codes.iter().filter(|known| known.active && known.promotion.is_some()) {
        if !kept.contains(&old.id.as_str()) {
            out.steps.push(Step::SwitchCode { id: old.id.clone(), code: old.code.clone(), active: false });
        }
    }
    out.steps.extend(wanted);
}

fn is_used_up(promotion: &Promotion, redeemed: i64) -> bool {
    promotion.max_redemptions.is_some_and(|most| redeemed >= most)
}
