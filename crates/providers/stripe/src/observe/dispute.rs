//! Disputes and early fraud warnings. Evidence is never read: it is what we wrote.

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
    /// Why, in Stripe's word.
    pub reason: Option<String>,
    /// Until when evidence is taken.
    pub due_by_s: Option<i64>,
    /// How often evidence was submitted.
    pub submissions: i64,
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
        let (due_by_s, submissions) = match node.child("evidence_details")? {
            Some(details) => (details.opt_int("due_by")?, details.opt_int("submission_count")?),
            None => (None, None),
        };
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            amount: node.int("amount")?,
            currency: node.text("currency")?,
            charge: node.opt_id("charge")?,
            payment_intent: node.opt_id("payment_intent")?,
            reason: node.opt_text("reason")?,
            due_by_s,
            submissions: submissions.unwrap_or(0),
            created_s: node.int("created")?,
        })
    }
}

/// An early fraud warning as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedFraudWarning {
    /// `issfr_...`.
    pub id: String,
    /// Stripe's word for the kind of fraud.
    pub kind: String,
    /// Whether a refund would still prevent a dispute.
    pub actionable: bool,
    /// `pi_...`.
    pub payment_intent: Option<String>,
    /// When it was made.
    pub created_s: i64,
}

impl ObservedFraudWarning {
    /// Reads a warning.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("radar.early_fraud_warning", value)?;
        Ok(Self {
            id: node.text("id")?,
            kind: node.text("fraud_type")?,
            actionable: node.flag("actionable")?,
            payment_intent: node.opt_id("payment_intent")?,
            created_s: node.int("created")?,
        })
    }
}
