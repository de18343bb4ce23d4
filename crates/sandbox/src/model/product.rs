//! Products and prices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decimal::Decimal;
use super::pricing::{Pricing, TiersMode};
use crate::state::table::Stored;
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

impl Recurring {
    /// About how many days a period has, to tell a shorter one from a longer one.
    pub(crate) const fn days(self) -> i64 {
        let days = match self.interval {
            Interval::Day => 1,
            Interval::Week => 7,
            Interval::Month => 30,
            Interval::Year => 365,
        };
        days * self.count
    }
}

/// What a price costs in another currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CurrencyOption {
    pub(crate) pricing: Pricing,
    pub(crate) tax_behavior: String,
}

/// A price.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) active: bool,
    pub(crate) currency: String,
    pub(crate) pricing: Pricing,
    /// Other currencies in which it is sold.
    #[serde(default)]
    pub(crate) currency_options: BTreeMap<String, CurrencyOption>,
    pub(crate) product: String,
    pub(crate) recurring: Option<Recurring>,
    /// The meter that counts its quantity; none for a price that is licensed by quantity.
    #[serde(default)]
    pub(crate) meter: Option<String>,
    pub(crate) lookup_key: Option<String>,
    pub(crate) nickname: Option<String>,
    pub(crate) tax_behavior: String,
    pub(crate) metadata: Metadata,
    /// It was deleted as a plan: nobody can subscribe to it any more.
    #[serde(default)]
    pub(crate) deleted: bool,
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

impl Price {
    /// Whether an automatic tax is in its amount in a currency; `None` leaves it to the settings.
    pub(crate) fn includes_tax(&self, currency: &str) -> Option<bool> {
        let option = self.currency_options.get(currency).filter(|_| currency != self.currency);
        match option.map_or(&self.tax_behavior, |option| &option.tax_behavior).as_str() {
            "inclusive" => Some(true),
            "exclusive" => Some(false),
            _ => None,
        }
    }

    /// How it is priced in a currency; `None` when it is not sold in it.
    pub(crate) fn pricing_in(&self, currency: &str) -> Option<&Pricing> {
        if currency == self.currency {
            return Some(&self.pricing);
        }
        self.currency_options.get(currency).map(|option| &option.pricing)
    }

    /// Whether a meter counts its quantity.
    pub(crate) fn is_metered(&self) -> bool {
        self.meter.is_some()
    }

    fn usage_type(&self) -> &'static str {
        if self.is_metered() { "metered" } else { "licensed" }
    }

    /// What a quantity costs in a currency in which it is sold, in minor units.
    pub(crate) fn total(&self, currency: &str, quantity: i64) -> i64 {
        self.pricing_in(currency).unwrap_or(&self.pricing).total(quantity)
    }

    /// `currency_options`, shown only on demand: its own currency and the others.
    pub(crate) fn render_currency_options(&self) -> Value {
        let render = |pricing: &Pricing, tax_behavior: &str| {
            let mut option = json!({
                "custom_unit_amount": null,
                "tax_behavior": tax_behavior,
                "unit_amount": pricing.unit().and_then(Decimal::whole),
                "unit_amount_decimal": pricing.unit(),
            });
            if let (Some(_), Some(fields)) = (pricing.tiers_mode(), option.as_object_mut()) {
                fields.insert("tiers".to_owned(), pricing.render_tiers());
            }
            option
        };
        let own = (self.currency.clone(), render(&self.pricing, &self.tax_behavior));
        let others = self
            .currency_options
            .iter()
            .map(|(currency, option)| (currency.clone(), render(&option.pricing, &option.tax_behavior)));
        Value::Object(std::iter::once(own).chain(others).collect())
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let recurring = self.recurring.map(|recurring| {
            json!({ "interval": recurring.interval.as_str(), "interval_count": recurring.count, "meter": self.meter,
                    "trial_period_days": recurring.trial_days, "usage_type": self.usage_type() })
        });
        Shape::Price.with(json!({
            "id": self.id,
            "created": self.created,
            "active": self.active,
            "billing_scheme": self.pricing.scheme(),
            "currency": self.currency,
            "tiers_mode": self.pricing.tiers_mode().map(TiersMode::as_str),
            "transform_quantity": self.pricing.render_packages(),
            "unit_amount": self.pricing.unit().and_then(Decimal::whole),
            "unit_amount_decimal": self.pricing.unit(),
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
            "amount": self.pricing.unit().and_then(Decimal::whole),
            "amount_decimal": self.pricing.unit(),
            "billing_scheme": self.pricing.scheme(),
            "tiers_mode": self.pricing.tiers_mode().map(TiersMode::as_str),
            "transform_usage": self.pricing.render_packages(),
            "currency": self.currency,
            "interval": recurring.interval.as_str(),
            "interval_count": recurring.count,
            "metadata": self.metadata,
            "nickname": self.nickname,
            "product": self.product,
            "trial_period_days": recurring.trial_days,
            "meter": self.meter,
            "usage_type": self.usage_type(),
        }))
    }
}
