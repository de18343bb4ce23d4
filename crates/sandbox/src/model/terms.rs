//! How discounts and taxes bear on what is billed: the parts of lines, invoices and subscriptions that say so.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The terms of one line.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LineTerms {
    /// Discounts are in the amount already, or must not touch it.
    pub(crate) settled: bool,
    /// Discounts of the line itself; those of the invoice come after them.
    pub(crate) discounts: Vec<String>,
    /// What each discount takes off, in minor units.
    pub(crate) discount_amounts: Vec<(String, i64)>,
}

impl LineTerms {
    /// The sum that discounts take off.
    pub(crate) fn discounted(&self) -> i64 {
        self.discount_amounts.iter().map(|(_, amount)| amount).sum()
    }
}

/// The terms of an invoice.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InvoiceTerms {
    pub(crate) discounts: Vec<String>,
}

/// The terms of a subscription, which its invoices inherit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SubscriptionTerms {
    pub(crate) discounts: Vec<String>,
}

/// The terms of one item, which its lines inherit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ItemTerms {
    pub(crate) discounts: Vec<String>,
}

/// What becomes of a subscription's terms; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct TermsChange {
    pub(crate) discounts: Option<Vec<String>>,
}

impl TermsChange {
    /// Whether anything changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.discounts.is_none()
    }

    /// Makes the change.
    pub(crate) fn write(&self, terms: &mut SubscriptionTerms) {
        if let Some(discounts) = &self.discounts {
            terms.discounts.clone_from(discounts);
        }
    }
}

/// What becomes of an item's terms; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemTermsChange {
    pub(crate) discounts: Option<Vec<String>>,
}

impl ItemTermsChange {
    /// Makes the change.
    pub(crate) fn write(&self, terms: &mut ItemTerms) {
        if let Some(discounts) = &self.discounts {
            terms.discounts.clone_from(discounts);
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
