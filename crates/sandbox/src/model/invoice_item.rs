//! Invoice items: lines that wait for the next invoice of their customer or subscription.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::invoice::Line;
use super::tax::TaxRate;
use crate::state::table::Stored;
use crate::wire::shape::Shape;

/// An invoice item that waits for the next invoice of its customer or subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InvoiceItem {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    /// The invoice that took it up.
    pub(crate) invoice: Option<String>,
    pub(crate) line: Line,
    #[serde(default)]
    pub(crate) test_clock: Option<String>,
}

impl Stored for InvoiceItem {
    const LABEL: &'static str = "invoiceitem";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

impl InvoiceItem {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let line = &self.line;
        let parent = line.subscription.as_ref().map(|subscription| {
            json!({ "type": "subscription_details", "subscription_details": { "subscription": subscription, "subscription_item": line.subscription_item } })
        });
        Shape::InvoiceItem.with(json!({
            "id": self.id,
            "date": self.created,
            "customer": self.customer,
            "invoice": self.invoice,
            "amount": line.amount,
            "net_amount": line.net(),
            "currency": line.currency,
            "description": line.description,
            "discountable": !line.terms.settled,
            "discounts": line.terms.discounts,
            "metadata": line.metadata,
            "parent": parent,
            "period": { "start": line.period.start, "end": line.period.end },
            "pricing": line.pricing(),
            "proration": line.proration,
            "quantity": line.quantity,
            "quantity_decimal": line.exact_quantity(),
            "tax_rates": line.terms.tax_rates.iter().map(TaxRate::render).collect::<Vec<_>>(),
            "test_clock": self.test_clock,
        }))
    }
}
