//! The entries of customers' balances: credit (negative) and debt that invoices take up.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Why a balance changed.
    EntryKind {
        Adjustment = "adjustment",
        AppliedToInvoice = "applied_to_invoice",
        CreditNote = "credit_note",
        Initial = "initial",
        InvoiceTooSmall = "invoice_too_small",
        UnappliedFromInvoice = "unapplied_from_invoice",
    }
}

/// One change of a customer's balance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BalanceEntry {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) kind: EntryKind,
    /// In minor units; negative is credit for the customer.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// The balance after it.
    pub(crate) ending_balance: i64,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) invoice: Option<String>,
    pub(crate) credit_note: Option<String>,
}

impl Stored for BalanceEntry {
    const LABEL: &'static str = "customer balance transaction";
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

impl BalanceEntry {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        Shape::CustomerBalanceTransaction.with(json!({
            "id": self.id,
            "created": self.created,
            "customer": self.customer,
            "type": self.kind.as_str(),
            "amount": self.amount,
            "currency": self.currency,
            "ending_balance": self.ending_balance,
            "description": self.description,
            "metadata": self.metadata,
            "invoice": self.invoice,
            "credit_note": self.credit_note,
        }))
    }
}
