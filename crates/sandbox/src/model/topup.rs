//! Top-ups: money from the seller's bank account on its way into the balance.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::words::words;

words! {
    /// Where a top-up stands, as the API says it. The sandbox's bank never refuses one.
    TopupStatus {
        Pending = "pending",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

/// Money on its way from the bank.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Topup {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: TopupStatus,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// When the bank has paid, in unix seconds.
    pub(crate) arrives: i64,
    /// The entry of the balance, once the money is there.
    pub(crate) balance_transaction: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for Topup {
    const LABEL: &'static str = "topup";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Topup {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "topup",
            "created": self.created,
            "livemode": false,
            "status": self.status.as_str(),
            "amount": self.amount,
            "currency": self.currency,
            "balance_transaction": self.balance_transaction,
            "expected_availability_date": self.arrives,
            "failure_code": null,
            "failure_message": null,
            "initiated_by": "user",
            "source": null,
            "description": self.description,
            "statement_descriptor": self.statement_descriptor,
            "transfer_group": self.transfer_group,
            "metadata": self.metadata,
        })
    }
}
