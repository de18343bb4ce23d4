//! Tax rates, and what they come to on a line.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::percent::Percent;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

/// A tax rate. What counts for money is fixed when it is made, so whoever uses one keeps a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaxRate {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) active: bool,
    pub(crate) display_name: String,
    pub(crate) description: Option<String>,
    /// Whether the tax is in the amounts already, or comes on top of them.
    pub(crate) inclusive: bool,
    pub(crate) percentage: Percent,
    pub(crate) country: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) jurisdiction: Option<String>,
    pub(crate) tax_type: Option<String>,
    pub(crate) metadata: Metadata,
    /// It comes from the sandbox's table of countries and not from the seller.
    pub(crate) automatic: bool,
}

impl Stored for TaxRate {
    const LABEL: &'static str = "tax rate";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl TaxRate {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        Shape::TaxRate.with(json!({
            "id": self.id,
            "created": self.created,
            "active": self.active,
            "display_name": self.display_name,
            "description": self.description,
            "inclusive": self.inclusive,
            "percentage": self.percentage.render(),
            "effective_percentage": self.automatic.then(|| self.percentage.render()),
            "country": self.country,
            "state": self.state,
            "jurisdiction": self.jurisdiction,
            "jurisdiction_level": self.automatic.then_some("country"),
            "tax_type": self.tax_type,
            "metadata": self.metadata,
        }))
    }
}

words! {
    /// Why a tax is as it is.
    Taxability {
        StandardRated = "standard_rated",
        ZeroRated = "zero_rated",
        NotAvailable = "not_available",
        CustomerExempt = "customer_exempt",
        ReverseCharge = "reverse_charge",
    }
}

/// One tax on a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineTax {
    pub(crate) rate: String,
    pub(crate) inclusive: bool,
    /// In minor units.
    pub(crate) amount: i64,
    /// What it was worked out on, in minor units.
    pub(crate) taxable: i64,
    pub(crate) reason: Taxability,
}

impl LineTax {
    /// One entry of `taxes` or `total_taxes`.
    pub(crate) fn render(&self) -> Value {
        json!({
            "amount": self.amount,
            "tax_behavior": if self.inclusive { "inclusive" } else { "exclusive" },
            "tax_rate_details": { "tax_rate": self.rate },
            "taxability_reason": self.reason.as_str(),
            "taxable_amount": self.taxable,
            "type": "tax_rate_details",
        })
    }
}

/// Sums by rate, in the order in which they come: `total_taxes`.
pub(crate) fn sum_taxes<'a>(taxes: impl Iterator<Item = &'a LineTax>) -> Vec<LineTax> {
    let mut sums: Vec<LineTax> = Vec::new();
    for tax in taxes {
        match sums.iter_mut().find(|sum| sum.rate == tax.rate && sum.reason == tax.reason) {
            Some(sum) => {
                sum.amount = sum.amount.saturating_add(tax.amount);
                sum.taxable = sum.taxable.saturating_add(tax.taxable);
            }
            None => sums.push(tax.clone()),
        }
    }
    sums
}

/// Where automatic tax stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum AutomaticTax {
    #[default]
    Off,
    /// It was worked out.
    Complete,
    /// Nobody knows where the customer is.
    NeedsLocation,
}

impl AutomaticTax {
    /// As it stands when somebody asks for it, before anything is worked out.
    pub(crate) const fn asked(enabled: bool) -> Self {
        if enabled { Self::NeedsLocation } else { Self::Off }
    }

    /// Whether it is asked for.
    pub(crate) const fn is_on(self) -> bool {
        match self {
            Self::Off => false,
            Self::Complete | Self::NeedsLocation => true,
        }
    }

    /// The word for where it stands.
    pub(crate) const fn status(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Complete => Some("complete"),
            Self::NeedsLocation => Some("requires_location_inputs"),
        }
    }

    /// Who owes it: always the seller.
    pub(crate) fn liability(self) -> Value {
        if self.is_on() { json!({ "type": "self" }) } else { Value::Null }
    }
}
