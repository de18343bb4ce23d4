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
    /// Stripe's word, unmapped.
    pub status: String,
    /// Minor units.
    pub total: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
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
        for refund in &listed {
            refunds.extend(refund.opt_id("refund")?);
        }
        refunds.extend(node.opt_id("refund")?);
        Ok(Self {
            id: node.text("id")?,
            invoice: node.opt_id("invoice")?,
            status: node.text("status")?,
            total: node.int("total")?,
            currency: node.text("currency")?,
            refunds,
            created_s: node.int("created")?,
            metadata: node.metadata("metadata")?,
        })
    }
}
