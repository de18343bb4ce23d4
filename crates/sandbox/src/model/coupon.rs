//! Coupons, the promotion codes that lead to them, and the discounts that come of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::percent::Percent;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// For how long a coupon's discount holds: for one invoice, for some months, or for ever.
    Duration { Once = "once", Repeating = "repeating", Forever = "forever" }
}

/// What a coupon takes off.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Off {
    /// A share of what it applies to.
    Percent(Percent),
    /// Minor units in each currency that it is for; the first named is the coupon's own.
    Amount { currency: String, amounts: BTreeMap<String, i64> },
}

impl Off {
    /// The same in one currency; `None` when it is for others.
    pub(crate) fn in_currency(&self, currency: &str) -> Option<Reduction> {
        match self {
            Self::Percent(percent) => Some(Reduction::Percent(*percent)),
            Self::Amount { amounts, .. } => amounts.get(currency).copied().map(Reduction::Amount),
        }
    }
}

/// What is taken off in the currency at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    Percent(Percent),
    /// Minor units.
    Amount(i64),
}

/// A coupon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Coupon {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) name: Option<String>,
    pub(crate) off: Off,
    pub(crate) duration: Duration,
    pub(crate) months: Option<i64>,
    /// The products that it is for; all when it names none.
    pub(crate) products: Vec<String>,
    pub(crate) max_redemptions: Option<i64>,
    pub(crate) redeem_by: Option<i64>,
    pub(crate) times_redeemed: i64,
    pub(crate) metadata: Metadata,
    /// A deleted coupon is given to nobody any more; the discounts that it gave stay.
    pub(crate) deleted: bool,
}

impl Stored for Coupon {
    const LABEL: &'static str = "coupon";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Coupon {
    /// Whether it can still be redeemed.
    pub(crate) fn is_valid(&self, now: i64) -> bool {
        !self.deleted
            && self.redeem_by.is_none_or(|by| now <= by)
            && self.max_redemptions.is_none_or(|most| self.times_redeemed < most)
    }

    /// The object, without the parts that must be asked for (`applies_to`, `currency_options`).
    pub(crate) fn render(&self, now: i64) -> Value {
        let (percent, amount, currency) = match &self.off {
            Off::Percent(percent) => (percent.render(), None, None),
            Off::Amount { currency, amounts } => (Value::Null, amounts.get(currency), Some(currency)),
        };
        Shape::Coupon.with(json!({
            "id": self.id,
            "created": self.created,
            "name": self.name,
            "percent_off": percent,
            "amount_off": amount,
            "currency": currency,
            "duration": self.duration.as_str(),
            "duration_in_months": self.months,
            "max_redemptions": self.max_redemptions,
            "redeem_by": self.redeem_by,
            "times_redeemed": self.times_redeemed,
            "metadata": self.metadata,
            "valid": self.is_valid(now),
        }))
    }

    /// `applies_to`, for those who ask.
    pub(crate) fn render_products(&self) -> Value {
        if self.products.is_empty() { Value::Null } else { json!({ "products": self.products }) }
    }

    /// `currency_options`, for those who ask.
    pub(crate) fn render_currencies(&self) -> Value {
        match &self.off {
            Off::Percent(_) => json!({}),
            Off::Amount { amounts, .. } => amounts
                .iter()
                .map(|(currency, amount)| (currency.clone(), json!({ "amount_off": amount })))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// A code that customers type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PromotionCode {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) code: String,
    pub(crate) coupon: String,
    /// What its owner says; it is dead all the same once it or its coupon is spent.
    pub(crate) active: bool,
    /// The only customer who may use it.
    pub(crate) customer: Option<String>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) max_redemptions: Option<i64>,
    pub(crate) times_redeemed: i64,
    /// Only for customers who have bought nothing yet.
    pub(crate) first_time: bool,
    /// The least that must be bought, in minor units by currency, and the currency that was named first.
    pub(crate) minimum: BTreeMap<String, i64>,
    pub(crate) minimum_currency: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for PromotionCode {
    const LABEL: &'static str = "promotion code";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl PromotionCode {
    /// Whether it can still be used, its coupon aside.
    pub(crate) fn is_open(&self, now: i64) -> bool {
        self.active
            && self.expires_at.is_none_or(|at| now < at)
            && self.max_redemptions.is_none_or(|most| self.times_redeemed < most)
    }

    /// `restrictions.currency_options`, for those who ask.
    pub(crate) fn render_currencies(&self) -> Value {
        self.minimum
            .iter()
            .map(|(currency, amount)| (currency.clone(), json!({ "minimum_amount": amount })))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The object; whether it is active is not for itself to say, because its coupon must be valid too.
    pub(crate) fn render(&self, active: bool) -> Value {
        let minimum = self.minimum_currency.as_ref().and_then(|currency| self.minimum.get(currency));
        Shape::PromotionCode.with(json!({
            "id": self.id,
            "created": self.created,
            "code": self.code,
            "promotion": { "type": "coupon", "coupon": self.coupon },
            "active": active,
            "customer": self.customer,
            "expires_at": self.expires_at,
            "max_redemptions": self.max_redemptions,
            "times_redeemed": self.times_redeemed,
            "restrictions": {
                "first_time_transaction": self.first_time,
                "minimum_amount": minimum,
                "minimum_amount_currency": self.minimum_currency,
            },
            "metadata": self.metadata,
        }))
    }
}

/// A coupon that was given to somebody. Until it is bound to something it is only supposed, as in a preview.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Discount {
    pub(crate) id: String,
    pub(crate) coupon: String,
    pub(crate) promotion_code: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_item: Option<String>,
    pub(crate) invoice: Option<String>,
    pub(crate) invoice_item: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) start: i64,
    /// When a repeating one ends, in unix seconds.
    pub(crate) end: Option<i64>,
    pub(crate) bound: bool,
    /// It was taken away, or its time or its one invoice is over.
    pub(crate) over: bool,
}

impl Stored for Discount {
    const LABEL: &'static str = "discount";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.start
    }
}

impl Discount {
    /// Whether an invoice made at an instant gets it.
    pub(crate) fn holds_at(&self, at: i64) -> bool {
        !self.over && self.end.is_none_or(|end| at < end)
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let mut value = Shape::Discount.with(json!({
            "id": self.id,
            "source": { "type": "coupon", "coupon": self.coupon },
            "promotion_code": self.promotion_code,
            "customer": self.customer,
            "subscription": self.subscription,
            "subscription_item": self.subscription_item,
            "invoice": self.invoice,
            "invoice_item": self.invoice_item,
            "checkout_session": self.session,
            "start": self.start,
            "end": self.end,
        }));
        if let (true, Some(fields)) = (self.over, value.as_object_mut()) {
            fields.remove("end");
            fields.insert("deleted".to_owned(), json!(true));
        }
        value
    }
}
