//! Money between the platform and its accounts: transfers and their reversals, application fees and their refunds.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::wire::params::Metadata;

/// Money that comes back from an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reversal {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) transfer: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) balance_transaction: String,
    /// The refund on the account's side, `pyr_…`.
    pub(crate) destination_refund: String,
    /// The refund to the buyer that it belongs to.
    pub(crate) source_refund: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Reversal {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "transfer_reversal",
            "created": self.created,
            "amount": self.amount,
            "currency": self.currency,
            "balance_transaction": self.balance_transaction,
            "destination_payment_refund": self.destination_refund,
            "source_refund": self.source_refund,
            "transfer": self.transfer,
            "metadata": self.metadata,
        })
    }
}

/// Money that the platform passes on to an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) destination: String,
    /// The payment on the account's side, `py_…`.
    pub(crate) destination_payment: String,
    pub(crate) balance_transaction: String,
    /// The charge that it is taken from.
    pub(crate) source_transaction: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
    /// Oldest first.
    pub(crate) reversals: Vec<Reversal>,
}

impl Stored for Transfer {
    const LABEL: &'static str = "transfer";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

/// The newest elements of a list within an object, as it is shown there.
fn newest(all: Vec<Value>, url: String) -> Value {
    let (total, newest) = (all.len(), all.into_iter().rev().take(10).collect::<Vec<_>>());
    json!({ "object": "list", "has_more": total > newest.len(), "data": newest, "url": url })
}

impl Transfer {
    /// What came back so far, in minor units.
    pub(crate) fn reversed(&self) -> i64 {
        self.reversals.iter().map(|reversal| reversal.amount).sum()
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let reversals = self.reversals.iter().map(Reversal::render).collect();
        json!({
            "id": self.id,
            "object": "transfer",
            "created": self.created,
            "livemode": false,
            "amount": self.amount,
            "amount_reversed": self.reversed(),
            "reversed": self.reversed() == self.amount,
            "currency": self.currency,
            "description": self.description,
            "destination": self.destination,
            "destination_payment": self.destination_payment,
            "balance_transaction": self.balance_transaction,
            "source_transaction": self.source_transaction,
            "source_type": "card",
            "transfer_group": self.transfer_group,
            "metadata": self.metadata,
            "reversals": newest(reversals, format!("/v1/transfers/{}/reversals", self.id)),
        })
    }
}

/// A part of a fee that is given back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FeeRefund {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) fee: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) balance_transaction: String,
    pub(crate) metadata: Metadata,
}

impl FeeRefund {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "fee_refund",
            "created": self.created,
            "fee": self.fee,
            "amount": self.amount,
            "currency": self.currency,
            "balance_transaction": self.balance_transaction,
            "metadata": self.metadata,
        })
    }
}

/// What the platform takes of a payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ApplicationFee {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) account: String,
    pub(crate) application: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) balance_transaction: String,
    /// The account's payment that it is taken from.
    pub(crate) charge: String,
    /// The platform's own charge, where the buyer paid the platform.
    pub(crate) originating_transaction: Option<String>,
    /// Oldest first.
    pub(crate) refunds: Vec<FeeRefund>,
}

impl Stored for ApplicationFee {
    const LABEL: &'static str = "application_fee";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl ApplicationFee {
    /// What was given back so far, in minor units.
    pub(crate) fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let refunds = self.refunds.iter().map(FeeRefund::render).collect();
        json!({
            "id": self.id,
            "object": "application_fee",
            "created": self.created,
            "livemode": false,
            "account": self.account,
            "application": self.application,
            "amount": self.amount,
            "amount_refunded": self.refunded(),
            "refunded": self.refunded() == self.amount,
            "currency": self.currency,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "originating_transaction": self.originating_transaction,
            "fee_source": { "type": "charge", "charge": self.originating_transaction.as_ref().unwrap_or(&self.charge) },
            "refunds": newest(refunds, format!("/v1/application_fees/{}/refunds", self.id)),
        })
    }
}
