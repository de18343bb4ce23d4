//! Credit notes, as far as refunds need them.

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// A credit note as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCreditNote {
    /// `cn_...`.
    pub id: String,
    /// `in_...`.
    pub invoice: Option<String>,
    /// The invoice's status, in Stripe's word; none where the invoice did not come with it.
    pub invoice_status: Option<String>,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Minor units.
    pub total: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// The tax in the total, minor units.
    pub tax: i64,
    /// What it lowers of what was still to be paid, minor units.
    pub pre_payment: i64,
    /// What went back outside of Stripe, minor units.
    pub out_of_band: i64,
    /// What its refunds give back, minor units; none where Stripe does not say it of each.
    pub refunded: Option<i64>,
    /// Whether a part of it went to the customer's balance.
    pub to_balance: bool,
    /// The refunds that it made or names: `re_...`.
    pub refunds: Vec<String>,
    /// When it was created.
    pub created_s: i64,
    /// Metadata.
    pub metadata: MetadataMap,
}

impl ObservedCreditNote {
    /// Reads a credit note, in the shape with one refund or with a list of them.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("credit_note", value)?;
        let listed = node.array("refunds")?.unwrap_or_default();
        let mut refunds = Vec::with_capacity(listed.len());
        let mut refunded = Some(0_i64);
        for refund in &listed {
            refunds.extend(refund.opt_id("refund")?);
            let amount = refund.opt_int("amount_refunded")?;
            refunded = refunded.zip(amount).map(|(sum, amount)| sum.saturating_add(amount));
        }
        let total = node.int("total")?;
        if node.opt_id("refund")?.is_some() {
            refunded = None;
        }
        refunds.extend(node.opt_id("refund")?);
        Ok(Self {
            id: node.text("id")?,
            invoice: node.opt_id("invoice")?,
            invoice_status: value.pointer("/invoice/status").and_then(Value::as_str).map(str::to_owned),
            status: node.text("status")?,
            total,
            tax: node.opt_int("total_excluding_tax")?.map_or(0, |untaxed| total.saturating_sub(untaxed)),
            pre_payment: node.opt_int("pre_payment_amount")?.unwrap_or(0),
            out_of_band: node.opt_int("out_of_band_amount")?.unwrap_or(0),
            refunded,
            to_balance: node.opt_id("customer_balance_transaction")?.is_some(),
            currency: node.text("currency")?,
            refunds,
            created_s: node.int("created")?,
            metadata: node.metadata("metadata")?,
        })
    }
}
