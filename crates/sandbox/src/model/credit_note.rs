//! Credit notes: what is taken back of an invoice that is final.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tax::{LineTax, TaxRate, sum_taxes};
use super::terms::{LineTerms, render_discounts};
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where a credit note stands.
    CreditNoteStatus { Issued = "issued", Void = "void" }
}

/// One line of a credit note.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CreditLine {
    pub(crate) id: String,
    /// The invoice's line that it takes back; a line of its own when there is none.
    pub(crate) of: Option<String>,
    /// Before discounts, and before taxes on top.
    pub(crate) amount: i64,
    pub(crate) description: Option<String>,
    pub(crate) quantity: Option<i64>,
    pub(crate) unit_amount: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) terms: LineTerms,
}

impl CreditLine {
    fn net(&self) -> i64 {
        self.amount.saturating_sub(self.terms.discounted())
    }

    /// What the line gives back.
    pub(crate) fn total(&self) -> i64 {
        self.net().saturating_add(self.terms.taxed(false))
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let mut value = Shape::CreditNoteLine.with(json!({
            "id": self.id,
            "amount": self.amount,
            "description": self.description,
            "discount_amount": self.terms.discounted(),
            "discount_amounts": render_discounts(self.terms.discount_amounts.iter()),
            "metadata": self.metadata,
            "quantity": self.quantity,
            "tax_rates": self.terms.tax_rates.iter().map(TaxRate::render).collect::<Vec<_>>(),
            "taxes": self.terms.taxes.iter().map(LineTax::render).collect::<Vec<_>>(),
            "type": if self.of.is_some() { "invoice_line_item" } else { "custom_line_item" },
            "unit_amount": self.unit_amount,
            "unit_amount_decimal": self.unit_amount.map(|amount| amount.to_string()),
        }));
        if let (Some(of), Some(fields)) = (&self.of, value.as_object_mut()) {
            fields.insert("invoice_line_item".to_owned(), json!(of));
        }
        value
    }
}

/// A credit note.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CreditNote {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) created: i64,
    pub(crate) status: CreditNoteStatus,
    pub(crate) invoice: String,
    pub(crate) customer: String,
    pub(crate) currency: String,
    pub(crate) reason: Option<String>,
    pub(crate) memo: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) effective_at: i64,
    pub(crate) lines: Vec<CreditLine>,
    /// What lowers the amount that is still to be paid.
    pub(crate) pre_payment: i64,
    /// What gives back of what was paid: the sum of the three that follow.
    pub(crate) post_payment: i64,
    pub(crate) to_balance: i64,
    pub(crate) out_of_band: i64,
    /// Refunds with the amount that is counted of each.
    pub(crate) refunds: Vec<(String, i64)>,
    pub(crate) balance_entry: Option<String>,
    pub(crate) voided_at: Option<i64>,
    /// Where people see it: the page of the invoice.
    pub(crate) page_url: String,
}

impl Stored for CreditNote {
    const LABEL: &'static str = "credit note";
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

impl CreditNote {
    /// What it gives back, taxes included.
    pub(crate) fn total(&self) -> i64 {
        self.lines.iter().map(CreditLine::total).sum()
    }

    /// Its lines as objects.
    pub(crate) fn render_lines(&self) -> Vec<Value> {
        self.lines.iter().map(CreditLine::render).collect()
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let subtotal: i64 = self.lines.iter().map(|line| line.amount).sum();
        let inside: i64 = self.lines.iter().map(|line| line.terms.taxed(true)).sum();
        let net: i64 = self.lines.iter().map(CreditLine::net).sum();
        let discounts = || self.lines.iter().flat_map(|line| &line.terms.discount_amounts);
        let taxes = sum_taxes(self.lines.iter().flat_map(|line| &line.terms.taxes));
        let kind = match (self.pre_payment, self.post_payment) {
            (_, 0) => "pre_payment",
            (0, _) => "post_payment",
            _ => "mixed",
        };
        let refunds = self.refunds.iter().map(|(refund, amount)| {
            json!({ "type": "refund", "refund": refund, "amount_refunded": amount, "payment_record_refund": null })
        });
        Shape::CreditNote.with(json!({
            "id": self.id,
            "number": self.number,
            "created": self.created,
            "status": self.status.as_str(),
            "type": kind,
            "invoice": self.invoice,
            "customer": self.customer,
            "currency": self.currency,
            "reason": self.reason,
            "memo": self.memo,
            "metadata": self.metadata,
            "effective_at": self.effective_at,
            "lines": { "data": self.render_lines(), "url": format!("/v1/credit_notes/{}/lines", self.id) },
            "amount": self.total(),
            "total": self.total(),
            "total_excluding_tax": net - inside,
            "subtotal": subtotal,
            "subtotal_excluding_tax": subtotal - inside,
            "discount_amount": discounts().map(|(_, amount)| amount).sum::<i64>(),
            "discount_amounts": render_discounts(discounts()),
            "total_taxes": taxes.iter().map(LineTax::render).collect::<Vec<_>>(),
            "pre_payment_amount": self.pre_payment,
            "post_payment_amount": self.post_payment,
            "out_of_band_amount": (self.out_of_band > 0).then_some(self.out_of_band),
            "refunds": refunds.collect::<Vec<_>>(),
            "customer_balance_transaction": self.balance_entry,
            "pdf": self.page_url,
            "voided_at": self.voided_at,
        }))
    }
}
