//! Refunds and balance transactions: money going back, and the account's own record.

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
            "payment_intent": self.payment_intent,
            "payment_method": self.payment_method,
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

/// One movement of the account's balance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BalanceTransaction {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) available_on: i64,
    /// `charge`, `refund`, `refund_failure`, `adjustment`, `payout`, `payout_cancel`, `payout_failure`.
    pub(crate) kind: String,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: String,
    pub(crate) source: String,
    pub(crate) description: Option<String>,
    /// The payout of the schedule that took it to the bank.
    pub(crate) payout: Option<String>,
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
    /// What it changes the balance by, in minor units.
    pub(crate) fn net(&self) -> i64 {
        self.amount - self.fee
    }

    /// The object, as it stands at a unix second.
    pub(crate) fn render(&self, now: i64) -> Value {
        let fees = if self.fee == 0 {
            json!([])
        } else {
            json!([{ "amount": self.fee, "application": null, "currency": self.currency, "description": "Stripe processing fees", "type": "stripe_fee" }])
        };
        let category = match self.kind.as_str() {
            "adjustment" => "dispute",
            "payout_cancel" | "payout_failure" => "payout_reversal",
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
            "net": self.net(),
            "currency": self.currency,
            "source": self.source,
            "description": self.description,
            "status": if self.available_on <= now { "available" } else { "pending" },
        }))
    }
}
