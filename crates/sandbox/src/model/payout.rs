//! Payouts: the balance on its way to the seller's bank account.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where a payout stands, as the API says it.
    PayoutStatus {
        Pending = "pending",
        InTransit = "in_transit",
        Paid = "paid",
        Failed = "failed",
        Canceled = "canceled",
    }
}

/// The money of a payout came back: why the bank returned it, if it was the bank, and the entry of the balance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Returned {
    pub(crate) code: Option<String>,
    pub(crate) entry: String,
}

/// Money on its way to the bank; negative when it comes back from there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payout {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: PayoutStatus,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// Made by the schedule, and so tied to the entries of the balance that it pays out.
    pub(crate) automatic: bool,
    pub(crate) arrival_date: i64,
    pub(crate) destination: String,
    pub(crate) balance_transaction: String,
    pub(crate) returned: Option<Returned>,
    pub(crate) description: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) original_payout: Option<String>,
    pub(crate) reversed_by: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for Payout {
    const LABEL: &'static str = "payout";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Payout {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let trace = match self.status {
            PayoutStatus::Pending | PayoutStatus::InTransit => json!({ "status": "pending", "value": null }),
            PayoutStatus::Paid => {
                json!({ "status": "supported", "value": format!("SANDBOX{}", self.created) })
            }
            PayoutStatus::Failed | PayoutStatus::Canceled => {
                json!({ "status": "unsupported", "value": null })
            }
        };
        let reconciliation = match (self.automatic, self.status) {
            (false, _) => "not_applicable",
            (true, PayoutStatus::Pending | PayoutStatus::InTransit) => "in_progress",
            (true, PayoutStatus::Paid | PayoutStatus::Failed | PayoutStatus::Canceled) => "completed",
        };
        let code = self.returned.as_ref().and_then(|returned| returned.code.as_ref());
        Shape::Payout.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "amount": self.amount,
            "currency": self.currency,
            "automatic": self.automatic,
            "arrival_date": self.arrival_date,
            "destination": self.destination,
            "balance_transaction": self.balance_transaction,
            "failure_balance_transaction": self.returned.as_ref().map(|returned| &returned.entry),
            "failure_code": code,
            "failure_message": code.map(|_| "The bank returned this payout."),
            "description": self.description,
            "statement_descriptor": self.statement_descriptor,
            "original_payout": self.original_payout,
            "reversed_by": self.reversed_by,
            "metadata": self.metadata,
            "reconciliation_status": reconciliation,
            "trace_id": trace,
        }))
    }
}
