//! Refunds, disputes and balance transactions: money going back, and the account's own record.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where a refund stands.
    RefundStatus { Pending = "pending", Succeeded = "succeeded", Failed = "failed" }
}

/// Money going back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: RefundStatus,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    pub(crate) payment_method: String,
    pub(crate) customer: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) failure_balance_transaction: Option<String>,
    pub(crate) failure_reason: Option<String>,
    /// The reversal of the charge's transfer that went along with it.
    #[serde(default)]
    pub(crate) transfer_reversal: Option<String>,
    /// The reversal that it is the account's side of.
    #[serde(default)]
    pub(crate) source_transfer_reversal: Option<String>,
}

impl Stored for Refund {
    const LABEL: &'static str = "refund";
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

impl Refund {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let mut value = Shape::Refund.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "amount": self.amount,
            "currency": self.currency,
            "charge": self.charge,
            "payment_intent": Some(&self.payment_intent).filter(|id| !id.is_empty()),
            "payment_method": Some(&self.payment_method).filter(|id| !id.is_empty()),
            "source_transfer_reversal": self.source_transfer_reversal,
            "transfer_reversal": self.transfer_reversal,
            "customer": self.customer,
            "reason": self.reason,
            "metadata": self.metadata,
            "balance_transaction": self.balance_transaction,
            "destination_details": { "type": "card", "card": { "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" } },
        }));
        if let (Some(reason), Some(fields)) = (&self.failure_reason, value.as_object_mut()) {
            fields.insert("failure_reason".to_owned(), json!(reason));
            fields.insert("failure_balance_transaction".to_owned(), json!(self.failure_balance_transaction));
        }
        value
    }
}

words! {
    /// Where a dispute stands.
    DisputeStatus {
        WarningNeedsResponse = "warning_needs_response",
        NeedsResponse = "needs_response",
        WarningClosed = "warning_closed",
        Won = "won",
        Lost = "lost",
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
    pub(crate) balance_transactions: Vec<BalanceTransaction>,
    pub(crate) evidence_text: Option<String>,
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
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let transactions: Vec<Value> =
            self.balance_transactions.iter().map(BalanceTransaction::render).collect();
        Shape::Dispute.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "reason": self.reason,
            "amount": self.amount,
            "currency": self.currency,
            "charge": self.charge,
            "payment_intent": self.payment_intent,
            "balance_transactions": transactions,
            "evidence": { "uncategorized_text": self.evidence_text },
            "evidence_details": {
                "due_by": self.created + 9 * 86_400,
                "has_evidence": self.evidence_text.is_some(),
                "submission_count": i64::from(self.evidence_text.is_some()),
                "submission_method": "manual",
            },
            "intended_submission_method": null,
            "is_charge_refundable": matches!(self.status, DisputeStatus::WarningNeedsResponse | DisputeStatus::WarningClosed),
            "metadata": self.metadata,
        }))
    }
}

/// One movement of the account's balance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BalanceTransaction {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) available_on: i64,
    /// The API's type: `charge`, `refund`, `adjustment`, `transfer`, …
    pub(crate) kind: String,
    pub(crate) amount: i64,
    /// The whole fee, the platform's part included.
    pub(crate) fee: i64,
    /// The platform's part of the fee.
    #[serde(default)]
    pub(crate) application_fee: i64,
    pub(crate) currency: String,
    pub(crate) source: String,
    pub(crate) description: Option<String>,
}

impl Stored for BalanceTransaction {
    const LABEL: &'static str = "balance transaction";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl BalanceTransaction {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let parts = [
            (self.application_fee, "application_fee", "Application fee"),
            (self.fee - self.application_fee, "stripe_fee", "Stripe processing fees"),
        ];
        let fees: Vec<Value> = parts
            .iter()
            .filter(|(amount, _, _)| *amount != 0)
            .map(|(amount, kind, description)| {
                json!({ "amount": amount, "application": null, "currency": self.currency, "description": description, "type": kind })
            })
            .collect();
        let category = match self.kind.as_str() {
            "adjustment" if self.source.starts_with("fr_") => "platform_earning_refund",
            "adjustment" => "dispute",
            "application_fee" => "platform_earning",
            "application_fee_refund" => "platform_earning_refund",
            "payment" => "charge",
            "payment_refund" => "refund",
            "stripe_fee" => "fee",
            "transfer_refund" => "transfer_reversal",
            other => other,
        };
        Shape::BalanceTransaction.with(json!({
            "id": self.id,
            "created": self.created,
            "available_on": self.available_on,
            "balance_type": "payments",
            "type": self.kind,
            "reporting_category": category,
            "amount": self.amount,
            "fee": self.fee,
            "fee_details": fees,
            "net": self.amount - self.fee,
            "currency": self.currency,
            "source": self.source,
            "description": self.description,
            "status": "pending",
        }))
    }
}
