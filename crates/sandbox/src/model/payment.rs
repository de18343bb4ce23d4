//! Payment intents, setup intents and charges: money coming in.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::card::{CardFace, TestCard};
use super::share::Share;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where an intent to pay, or to set a card up, stands.
    IntentStatus {
        RequiresPaymentMethod = "requires_payment_method",
        RequiresConfirmation = "requires_confirmation",
        RequiresAction = "requires_action",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

/// An intent to collect a payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: IntentStatus,
    pub(crate) amount: i64,
    pub(crate) amount_received: i64,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) latest_charge: Option<String>,
    pub(crate) last_error: Value,
    pub(crate) client_secret: String,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) shipping: Value,
    /// `on_session` or `off_session`: what the method is saved for.
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) return_url: Option<String>,
    /// The invoice that it pays; the wire shows it only through invoice payments.
    pub(crate) invoice: Option<String>,
    /// The checkout session that it belongs to.
    pub(crate) session: Option<String>,
    /// Payment pages and bank pages live here.
    pub(crate) page_url: String,
    /// Who else has a share in it.
    #[serde(default)]
    pub(crate) share: Share,
}

impl Stored for PaymentIntent {
    const LABEL: &'static str = "payment_intent";
    const SEARCHED: bool = true;
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

fn next_action(status: IntentStatus, page_url: &str, return_url: Option<&str>) -> Value {
    match status {
        IntentStatus::RequiresAction => {
            json!({ "type": "redirect_to_url", "redirect_to_url": { "url": page_url, "return_url": return_url } })
        }
        IntentStatus::RequiresPaymentMethod
        | IntentStatus::RequiresConfirmation
        | IntentStatus::Succeeded
        | IntentStatus::Canceled => Value::Null,
    }
}

impl PaymentIntent {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let mut value = Shape::PaymentIntent.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "amount": self.amount,
            "amount_received": self.amount_received,
            "automatic_payment_methods": { "enabled": true, "allow_redirects": "always" },
            "currency": self.currency,
            "customer": self.customer,
            "payment_method": self.payment_method,
            "payment_method_types": ["card"],
            "latest_charge": self.latest_charge,
            "last_payment_error": self.last_error,
            "client_secret": self.client_secret,
            "capture_method": "automatic",
            "confirmation_method": "automatic",
            "description": self.description,
            "receipt_email": self.receipt_email,
            "metadata": self.metadata,
            "shipping": self.shipping,
            "setup_future_usage": self.setup_future_usage,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "next_action": next_action(self.status, &self.page_url, self.return_url.as_deref()),
        }));
        self.share.onto_payment(&mut value);
        value
    }
}

/// An intent to save a card without a payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetupIntent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: IntentStatus,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) client_secret: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) usage: String,
    pub(crate) last_error: Value,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) page_url: String,
}

impl Stored for SetupIntent {
    const LABEL: &'static str = "setupintent";
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

impl SetupIntent {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        Shape::SetupIntent.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "automatic_payment_methods": { "enabled": true, "allow_redirects": "always" },
            "customer": self.customer,
            "payment_method": self.payment_method,
            "payment_method_types": ["card"],
            "client_secret": self.client_secret,
            "description": self.description,
            "metadata": self.metadata,
            "usage": self.usage,
            "last_setup_error": self.last_error,
            "cancellation_reason": self.cancellation_reason,
            "next_action": next_action(self.status, &self.page_url, self.return_url.as_deref()),
        }))
    }
}

/// One attempt to take money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) paid: bool,
    pub(crate) amount: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_intent: String,
    pub(crate) payment_method: String,
    pub(crate) card: String,
    pub(crate) face: CardFace,
    pub(crate) authenticated: bool,
    pub(crate) billing_details: Value,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) disputed: bool,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_message: Option<String>,
    pub(crate) decline_code: Option<String>,
    /// Who else has a share in it.
    #[serde(default)]
    pub(crate) share: Share,
    /// The platform's fee, `fee_…`.
    #[serde(default)]
    pub(crate) application_fee: Option<String>,
    /// The transfer that passed it on, `tr_…`.
    #[serde(default)]
    pub(crate) transfer: Option<String>,
    /// The transfer that it came by: then it is no card payment.
    #[serde(default)]
    pub(crate) source_transfer: Option<String>,
}

impl Stored for Charge {
    const LABEL: &'static str = "charge";
    const SEARCHED: bool = true;
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

impl Charge {
    /// The test card behind it.
    pub(crate) fn test_card(&self) -> &'static TestCard {
        TestCard::by_token(&self.card).unwrap_or(TestCard::plain())
    }

    /// What can still be refunded, in minor units.
    pub(crate) fn refundable(&self) -> i64 {
        if self.paid { self.amount - self.amount_refunded } else { 0 }
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let outcome = if self.paid {
            json!({ "advice_code": null, "network_advice_code": null, "network_decline_code": null, "network_status": "approved_by_network",
                    "reason": null, "risk_level": "normal", "risk_score": 20, "seller_message": "Payment complete.", "type": "authorized" })
        } else {
            json!({ "advice_code": null, "network_advice_code": null, "network_decline_code": null, "network_status": "declined_by_network",
                    "reason": self.decline_code.as_ref().or(self.failure_code.as_ref()), "risk_level": "normal", "risk_score": 20,
                    "seller_message": "The bank did not return any further details with this decline.", "type": "issuer_declined" })
        };
        let mut value = Shape::Charge.with(json!({
            "id": self.id,
            "created": self.created,
            "status": if self.paid { "succeeded" } else { "failed" },
            "paid": self.paid,
            "captured": self.paid,
            "amount": self.amount,
            "amount_captured": if self.paid { self.amount } else { 0 },
            "amount_refunded": self.amount_refunded,
            "refunded": self.paid && self.amount_refunded == self.amount,
            "currency": self.currency,
            "customer": self.customer,
            "payment_intent": self.payment_intent,
            "payment_method": self.payment_method,
            "payment_method_details": { "type": "card", "card": self.test_card().charge_details(&self.face, self.authenticated) },
            "billing_details": self.billing_details,
            "description": self.description,
            "receipt_email": self.receipt_email,
            "metadata": self.metadata,
            "disputed": self.disputed,
            "balance_transaction": self.balance_transaction,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "calculated_statement_descriptor": "SANDBOX",
            "fraud_details": {},
            "outcome": outcome,
        }));
        self.share.onto_payment(&mut value);
        self.show_transfers(&mut value);
        value
    }

    fn show_transfers(&self, value: &mut Value) {
        let Some(fields) = value.as_object_mut() else {
            return;
        };
        fields.insert("application_fee".to_owned(), json!(self.application_fee));
        if let Some(transfer) = &self.transfer {
            fields.insert("transfer".to_owned(), json!(transfer));
        }
        if let Some(transfer) = &self.source_transfer {
            fields.insert("source_transfer".to_owned(), json!(transfer));
            for name in ["payment_intent", "payment_method", "outcome", "calculated_statement_descriptor"] {
                fields.insert(name.to_owned(), Value::Null);
            }
            let details = json!({ "type": "stripe_account", "stripe_account": {} });
            fields.insert("payment_method_details".to_owned(), details);
        }
    }
}
