//! Products and prices.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

/// A product.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) active: bool,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) default_price: Option<String>,
    pub(crate) images: Vec<String>,
    pub(crate) marketing_features: Vec<String>,
    pub(crate) metadata: Metadata,
    pub(crate) url: Option<String>,
    pub(crate) unit_label: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) tax_code: Option<String>,
}

impl Stored for Product {
    const LABEL: &'static str = "product";
    const SEARCHED: bool = true;
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Product {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let features: Vec<Value> =
            self.marketing_features.iter().map(|name| json!({ "name": name })).collect();
        Shape::Product.with(json!({
            "id": self.id,
            "created": self.created,
            "updated": self.updated,
            "active": self.active,
            "name": self.name,
            "description": self.description,
            "default_price": self.default_price,
            "images": self.images,
            "marketing_features": features,
            "metadata": self.metadata,
            "type": "service",
            "url": self.url,
            "unit_label": self.unit_label,
            "statement_descriptor": self.statement_descriptor,
            "tax_code": self.tax_code,
        }))
    }
}

words! {
    /// The unit of a billing period.
    Interval { Day = "day", Week = "week", Month = "month", Year = "year" }
}

/// How often a price recurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recurring {
    pub(crate) interval: Interval,
    pub(crate) count: i64,
    pub(crate) trial_days: Option<i64>,
}

/// A price per unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) active: bool,
    pub(crate) currency: String,
    /// In minor units.
    pub(crate) unit_amount: i64,
    pub(crate) product: String,
    pub(crate) recurring: Option<Recurring>,
    pub(crate) lookup_key: Option<String>,
    pub(crate) nickname: Option<String>,
    pub(crate) tax_behavior: String,
    pub(crate) metadata: Metadata,
}

impl Stored for Price {
    const LABEL: &'static str = "price";
    const SEARCHED: bool = true;
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

/// No amount has more than twelve digits, in minor units.
const LARGEST_AMOUNT: i64 = 999_999_999_999;

impl Price {
    /// What a quantity costs, in minor units; refused where that is more than an amount can be.
    pub(crate) fn amount(&self, quantity: i64, param: &str) -> ApiResult<i64> {
        let amount = self.unit_amount.checked_mul(quantity).filter(|amount| *amount <= LARGEST_AMOUNT);
        amount.ok_or_else(|| {
            ApiError::invalid(
                "amount_too_large",
                param,
                format!("{quantity} × {} {} is more than an amount can be.", self.unit_amount, self.currency),
            )
        })
    }

    /// Whether an automatic tax is in its amount; `None` leaves it to the settings.
    pub(crate) fn includes_tax(&self) -> Option<bool> {
        match self.tax_behavior.as_str() {
            "inclusive" => Some(true),
            "exclusive" => Some(false),
            _ => None,
        }
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let recurring = self.recurring.map(|recurring| {
            json!({ "interval": recurring.interval.as_str(), "interval_count": recurring.count, "meter": null,
                    "trial_period_days": recurring.trial_days, "usage_type": "licensed" })
        });
        Shape::Price.with(json!({
            "id": self.id,
            "created": self.created,
            "active": self.active,
            "billing_scheme": "per_unit",
            "currency": self.currency,
            "unit_amount": self.unit_amount,
            "unit_amount_decimal": self.unit_amount.to_string(),
            "product": self.product,
            "recurring": recurring,
            "type": if self.recurring.is_some() { "recurring" } else { "one_time" },
            "lookup_key": self.lookup_key,
            "nickname": self.nickname,
            "tax_behavior": self.tax_behavior,
            "metadata": self.metadata,
        }))
    }

    /// The same price as the older `plan` that subscription items still carry; null for a one-time price.
    pub(crate) fn render_plan(&self) -> Value {
        let Some(recurring) = self.recurring else {
            return Value::Null;
        };
        Shape::Plan.with(json!({
            "id": self.id,
            "created": self.created,
            "active": self.active,
            "amount": self.unit_amount,
            "amount_decimal": self.unit_amount.to_string(),
            "billing_scheme": "per_unit",
            "currency": self.currency,
            "interval": recurring.interval.as_str(),
            "interval_count": recurring.count,
            "metadata": self.metadata,
            "nickname": self.nickname,
            "product": self.product,
            "trial_period_days": recurring.trial_days,
            "usage_type": "licensed",
        }))
    }
}
