//! How discounts and taxes bear on what is billed: the parts of lines, invoices and subscriptions that say so.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tax::{AutomaticTax, LineTax, TaxRate, sum_taxes};

/// The terms of one line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LineTerms {
    /// Discounts are in the amount already, or must not touch it.
    pub(crate) settled: bool,
    /// Discounts of the line itself; those of the invoice come after them.
    pub(crate) discounts: Vec<String>,
    /// What each discount takes off, in minor units.
    pub(crate) discount_amounts: Vec<(String, i64)>,
    /// Rates of the line itself; without any, those of the invoice count.
    pub(crate) tax_rates: Vec<TaxRate>,
    /// Whether an automatic tax is in the amount; `None` leaves it to the settings.
    pub(crate) inclusive: Option<bool>,
    pub(crate) taxes: Vec<LineTax>,
}

impl LineTerms {
    /// The terms of a line of which these are the terms of its parts.
    pub(crate) fn together<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut parts = parts;
        let mut all = parts.next().cloned().unwrap_or_default();
        for part in parts {
            all.discount_amounts.extend(part.discount_amounts.clone());
            all.taxes.extend(part.taxes.clone());
        }
        all.taxes = sum_taxes(all.taxes.iter());
        all
    }

    /// The sum that discounts take off.
    pub(crate) fn discounted(&self) -> i64 {
        self.discount_amounts.iter().map(|(_, amount)| amount).sum()
    }

    /// The sum of the taxes that are, or are not, in the amount.
    pub(crate) fn taxed(&self, inclusive: bool) -> i64 {
        self.taxes.iter().filter(|tax| tax.inclusive == inclusive).map(|tax| tax.amount).sum()
    }
}

/// The terms of an invoice.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InvoiceTerms {
    pub(crate) discounts: Vec<String>,
    pub(crate) default_tax_rates: Vec<TaxRate>,
    pub(crate) automatic_tax: AutomaticTax,
    /// The customer's `tax_exempt` when the invoice was worked out.
    pub(crate) exempt: String,
}

/// The terms of a subscription, which its invoices inherit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SubscriptionTerms {
    pub(crate) discounts: Vec<String>,
    pub(crate) default_tax_rates: Vec<TaxRate>,
    pub(crate) automatic_tax: AutomaticTax,
}

impl SubscriptionTerms {
    /// The terms of an invoice that gets these of the discounts.
    pub(crate) fn for_invoice(&self, discounts: Vec<String>) -> InvoiceTerms {
        InvoiceTerms {
            discounts,
            default_tax_rates: self.default_tax_rates.clone(),
            automatic_tax: self.automatic_tax,
            exempt: String::new(),
        }
    }
}

/// The terms of one item, which its lines inherit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ItemTerms {
    pub(crate) discounts: Vec<String>,
    pub(crate) tax_rates: Vec<TaxRate>,
}

/// What becomes of a subscription's terms; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct TermsChange {
    pub(crate) discounts: Option<Vec<String>>,
    pub(crate) default_tax_rates: Option<Vec<TaxRate>>,
    pub(crate) automatic_tax: Option<bool>,
}

impl TermsChange {
    /// Whether anything changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.discounts.is_none() && self.default_tax_rates.is_none() && self.automatic_tax.is_none()
    }

    /// Makes the change.
    pub(crate) fn write(&self, terms: &mut SubscriptionTerms) {
        if let Some(discounts) = &self.discounts {
            terms.discounts.clone_from(discounts);
        }
        if let Some(rates) = &self.default_tax_rates {
            terms.default_tax_rates.clone_from(rates);
        }
        if let Some(enabled) = self.automatic_tax {
            terms.automatic_tax = AutomaticTax::asked(enabled);
        }
    }
}

/// What becomes of an item's terms; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemTermsChange {
    pub(crate) discounts: Option<Vec<String>>,
    pub(crate) tax_rates: Option<Vec<TaxRate>>,
}

impl ItemTermsChange {
    /// Makes the change.
    pub(crate) fn write(&self, terms: &mut ItemTerms) {
        if let Some(discounts) = &self.discounts {
            terms.discounts.clone_from(discounts);
        }
        if let Some(rates) = &self.tax_rates {
            terms.tax_rates.clone_from(rates);
        }
    }
}

/// Sums by discount, in the order in which they were applied: `discount_amounts` and `total_discount_amounts`.
pub(crate) fn render_discounts<'a>(amounts: impl Iterator<Item = &'a (String, i64)>) -> Value {
    let mut sums: Vec<(&str, i64)> = Vec::new();
    for (discount, amount) in amounts {
        match sums.iter_mut().find(|(known, _)| known == discount) {
            Some((_, sum)) => *sum += amount,
            None => sums.push((discount, *amount)),
        }
    }
    sums.iter().map(|(discount, amount)| json!({ "discount": discount, "amount": amount })).collect()
}
