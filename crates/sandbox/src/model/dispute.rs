//! Disputes: payments that a cardholder calls wrong, first perhaps as a mere inquiry.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where a dispute stands; the first three are inquiries, which hold no money.
    DisputeStatus {
        WarningNeedsResponse = "warning_needs_response",
        WarningUnderReview = "warning_under_review",
        WarningClosed = "warning_closed",
        NeedsResponse = "needs_response",
        UnderReview = "under_review",
        Won = "won",
        Lost = "lost",
    }
}

impl DisputeStatus {
    /// Whether nothing changes any more.
    pub(crate) const fn is_closed(self) -> bool {
        match self {
            Self::WarningClosed | Self::Won | Self::Lost => true,
            Self::WarningNeedsResponse
            | Self::WarningUnderReview
            | Self::NeedsResponse
            | Self::UnderReview => false,
        }
    }

    /// Whether it is an inquiry.
    pub(crate) const fn is_inquiry(self) -> bool {
        match self {
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed => true,
            Self::NeedsResponse | Self::UnderReview | Self::Won | Self::Lost => false,
        }
    }
}

/// A payment that the cardholder disputes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: DisputeStatus,
    pub(crate) reason: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    pub(crate) customer: Option<String>,
    /// The brand of the card; nothing for another method.
    pub(crate) brand: Option<String>,
    /// Entries of the balance: the withdrawal, and what came back.
    pub(crate) balance_transactions: Vec<String>,
    /// What was given, by the API's names.
    pub(crate) evidence: Map<String, Value>,
    /// The last unix second for evidence.
    pub(crate) due_by: i64,
    pub(crate) past_due: bool,
    pub(crate) submissions: i64,
    pub(crate) intended_submission_method: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for Dispute {
    const LABEL: &'static str = "dispute";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }
}

impl Dispute {
    /// The names that evidence can have.
    pub(crate) fn evidence_names() -> Map<String, Value> {
        match Shape::Dispute.with(json!({})).get_mut("evidence").map(Value::take) {
            Some(Value::Object(names)) => names,
            Some(_) | None => Map::new(),
        }
    }

    /// The object, with its entries of the balance.
    pub(crate) fn render(&self, entries: Vec<Value>) -> Value {
        let code = match self.reason.as_str() {
            "product_not_received" => "13.1",
            "fraudulent" => "10.4",
            _ => "12.6",
        };
        let mut value = Shape::Dispute.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "reason": self.reason,
            "amount": self.amount,
            "currency": self.currency,
            "charge": self.charge,
            "payment_intent": self.payment_intent,
            "balance_transactions": entries,
            "evidence": self.evidence,
            "evidence_details": {
                "due_by": if self.status.is_closed() { None } else { Some(self.due_by) },
                "has_evidence": !self.evidence.is_empty(),
                "past_due": self.past_due,
                "submission_count": self.submissions,
                "submission_method": if self.submissions > 0 { "manual" } else { "not_submitted" },
            },
            "intended_submission_method": self.intended_submission_method,
            "is_charge_refundable": self.status.is_inquiry(),
            "metadata": self.metadata,
        }));
        if let (Some(brand), Some(fields)) = (&self.brand, value.as_object_mut()) {
            let case = if self.status.is_inquiry() { "inquiry" } else { "chargeback" };
            let card =
                json!({ "brand": brand, "network": brand, "network_reason_code": code, "case_type": case });
            fields.insert("network_reason_code".to_owned(), json!(code));
            fields.insert("payment_method_details".to_owned(), json!({ "type": "card", "card": card }));
        }
        value
    }
}
