//! Refunds and balance transactions: money going back, and the account's own record.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where a refund stands; one that requires action waits for the buyer to say where the money goes.
    RefundStatus {
        Pending = "pending",
        RequiresAction = "requires_action",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
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
    /// The type of method that the money goes back to.
    pub(crate) destination: String,
    /// Where the buyer is asked for a bank account, and until when; only where the method takes no money back.
    pub(crate) instructions: Option<(String, i64)>,
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
        let destination = match self.destination.as_str() {
            "card" => {
                json!({ "type": "card", "card": { "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" } })
            }
            "konbini" => {
                json!({ "type": "jp_bank_transfer", "jp_bank_transfer": { "reference": null, "reference_status": "pending" } })
            }
            other => json!({ "type": other }),
        };
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
            "destination_details": destination,
        }));
        if let Some(fields) = value.as_object_mut() {
            if let Some(entry) = &self.failure_balance_transaction {
                fields.insert("failure_balance_transaction".to_owned(), json!(entry));
            }
            if let Some(reason) = &self.failure_reason {
                fields.insert("failure_reason".to_owned(), json!(reason));
            }
            if self.status == RefundStatus::Pending {
                fields.insert("pending_reason".to_owned(), json!("processing"));
            }
            if let Some((email, until)) = &self.instructions {
                fields.insert("instructions_email".to_owned(), json!(email));
                if self.status == RefundStatus::RequiresAction {
                    let sent = json!({ "email_sent_at": self.created, "email_sent_to": email });
                    let details = json!({ "email_sent": sent, "expires_at": until });
                    let action = json!({ "type": "display_details", "display_details": details });
                    fields.insert("next_action".to_owned(), action);
                }
            }
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
    /// The API's type: `charge`, `refund`, `adjustment`, `transfer`, `payout`, …
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
            "payment_failure_refund" => "refund_failure",
            "payout_cancel" | "payout_failure" => "payout_reversal",
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
            "net": self.net(),
            "currency": self.currency,
            "source": self.source,
            "description": self.description,
            "status": if self.available_on <= now { "available" } else { "pending" },
        }))
    }
}
