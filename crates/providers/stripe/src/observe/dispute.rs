//! Disputes, as far as access depends on them.

use serde_json::Value;

use super::read::{Node, ShapeError};

/// A dispute as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDispute {
    /// `dp_...` or `du_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// Minor units.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// `ch_...`.
    pub charge: Option<String>,
    /// `pi_...`.
    pub payment_intent: Option<String>,
    /// When it was created.
    pub created_s: i64,
}

impl ObservedDispute {
    /// Reads a dispute.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("dispute", value)?;
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            amount: node.int("amount")?,
            currency: node.text("currency")?,
            charge: node.opt_id("charge")?,
            payment_intent: node.opt_id("payment_intent")?,
            created_s: node.int("created")?,
        })
    }

    /// Whether the money is, or may yet be, taken back: neither won nor closed as a mere inquiry.
    #[must_use]
    pub fn stands(&self) -> bool {
        !matches!(
            self.status.as_str(),
            "won" | "warning_closed" | "prevented" | "warning_needs_response" | "warning_under_review"
        )
    }
}
