//! Bank accounts that payouts of a connected account go to. Numbers are not kept: the last four digits are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::wire::params::Metadata;

/// A bank account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BankAccount {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) country: String,
    pub(crate) currency: String,
    pub(crate) last4: String,
    pub(crate) routing_number: Option<String>,
    pub(crate) holder_name: Option<String>,
    /// `individual` or `company`.
    pub(crate) holder_type: Option<String>,
    /// Whether payouts in its currency go there.
    pub(crate) is_default: bool,
    pub(crate) metadata: Metadata,
}

impl BankAccount {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "bank_account",
            "account": self.account,
            "account_holder_name": self.holder_name,
            "account_holder_type": self.holder_type,
            "account_type": null,
            "available_payout_methods": ["standard"],
            "bank_name": "STRIPE TEST BANK",
            "country": self.country,
            "currency": self.currency,
            "default_for_currency": self.is_default,
            "fingerprint": format!("fp{}{}", self.country, self.last4),
            "future_requirements": { "currently_due": [], "errors": [], "past_due": [], "pending_verification": [] },
            "last4": self.last4,
            "metadata": self.metadata,
            "requirements": { "currently_due": [], "errors": [], "past_due": [], "pending_verification": [] },
            "routing_number": self.routing_number,
            "status": "new",
        })
    }
}
