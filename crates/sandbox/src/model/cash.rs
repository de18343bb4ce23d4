//! A customer's cash balance: money that they sent by bank transfer and that pays for nothing yet.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;

/// Why a cash balance changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CashReason {
    /// A transfer arrived, perhaps with a reference.
    Funded { reference: Option<String> },
    /// It paid for an intent.
    AppliedToPayment { payment_intent: String },
    /// It came back from an intent that was given up.
    UnappliedFromPayment { payment_intent: String },
    /// A refund of a payment came back to it.
    RefundedFromPayment { refund: String },
}

/// One change of a cash balance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CashEntry {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) currency: String,
    /// Minor units; negative when the money leaves.
    pub(crate) net_amount: i64,
    /// Minor units, after this change.
    pub(crate) ending_balance: i64,
    pub(crate) reason: CashReason,
}

impl Stored for CashEntry {
    const LABEL: &'static str = "customer cash balance transaction";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

/// By which transfers money in a currency comes, and what is known of their sender; nothing where there are none.
pub(crate) fn rail(currency: &str) -> Option<(&'static str, Value)> {
    const BANK: &str = "SANDBOX BANK";
    Some(match currency {
        "eur" => ("eu_bank_transfer", json!({ "bic": null, "iban_last4": "6789", "sender_name": BANK })),
        "gbp" => (
            "gb_bank_transfer",
            json!({ "account_number_last4": "6789", "sender_name": BANK, "sort_code": "108800" }),
        ),
        "jpy" => {
            ("jp_bank_transfer", json!({ "sender_bank": BANK, "sender_branch": null, "sender_name": null }))
        }
        "mxn" => ("mx_bank_transfer", Value::Null),
        "usd" => ("us_bank_transfer", json!({ "network": "ach", "sender_name": BANK })),
        _ => return None,
    })
}

fn transfer(currency: &str, reference: Option<&str>) -> Value {
    let mut value = json!({ "reference": reference });
    if let (Some(fields), Some((kind, sender))) = (value.as_object_mut(), rail(currency)) {
        fields.insert("type".to_owned(), json!(kind));
        if !sender.is_null() {
            fields.insert(kind.to_owned(), sender);
        }
    }
    value
}

impl CashEntry {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let (kind, details) = match &self.reason {
            CashReason::Funded { reference } => {
                ("funded", json!({ "bank_transfer": transfer(&self.currency, reference.as_deref()) }))
            }
            CashReason::AppliedToPayment { payment_intent } => {
                ("applied_to_payment", json!({ "payment_intent": payment_intent }))
            }
            CashReason::UnappliedFromPayment { payment_intent } => {
                ("unapplied_from_payment", json!({ "payment_intent": payment_intent }))
            }
            CashReason::RefundedFromPayment { refund } => {
                ("refunded_from_payment", json!({ "refund": refund }))
            }
        };
        json!({
            "id": self.id, "object": "customer_cash_balance_transaction", "created": self.created,
            "currency": self.currency, "customer": self.customer, "customer_account": null,
            "ending_balance": self.ending_balance, "livemode": false, "net_amount": self.net_amount,
            "type": kind, kind: details,
        })
    }
}
