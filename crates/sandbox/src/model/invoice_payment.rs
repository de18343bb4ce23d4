//! The payments of invoices: each links an invoice with the intent that pays it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where one payment of an invoice stands.
    InvoicePaymentStatus { Open = "open", Paid = "paid", Canceled = "canceled" }
}

/// The link between an invoice and the intent that pays it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InvoicePayment {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: InvoicePaymentStatus,
    pub(crate) invoice: String,
    pub(crate) payment_intent: String,
    pub(crate) amount_requested: i64,
    pub(crate) currency: String,
    pub(crate) paid_at: Option<i64>,
    pub(crate) canceled_at: Option<i64>,
}

impl Stored for InvoicePayment {
    const LABEL: &'static str = "invoice_payment";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl InvoicePayment {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        Shape::InvoicePayment.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "invoice": self.invoice,
            "amount_requested": self.amount_requested,
            "amount_paid": self.paid_at.map(|_| self.amount_requested),
            "currency": self.currency,
            "is_default": true,
            "payment": { "type": "payment_intent", "payment_intent": self.payment_intent },
            "status_transitions": { "paid_at": self.paid_at, "canceled_at": self.canceled_at },
        }))
    }
}
