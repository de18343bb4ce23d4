//! Payment intents, setup intents and charges: money coming in.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::Rail;
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
        RequiresCapture = "requires_capture",
        Processing = "processing",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

words! {
    /// When the money of a payment is taken: at once, or when the seller says so.
    #[derive(Default)]
    CaptureMethod {
        #[default]
        Automatic = "automatic",
        AutomaticAsync = "automatic_async",
        Manual = "manual",
    }
}

/// How a buyer pays at a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Voucher {
    /// The last unix second.
    pub(crate) until: i64,
    pub(crate) confirmation: String,
    pub(crate) code: String,
    /// The page that shows it.
    pub(crate) url: String,
}

/// An intent to collect a payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: IntentStatus,
    pub(crate) amount: i64,
    pub(crate) amount_received: i64,
    pub(crate) capture_method: CaptureMethod,
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
    /// For how many days a voucher of this payment can be paid, where the seller says so.
    pub(crate) voucher_days: Option<i64>,
    pub(crate) voucher: Option<Voucher>,
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
        | IntentStatus::RequiresCapture
        | IntentStatus::Processing
        | IntentStatus::Succeeded
        | IntentStatus::Canceled => Value::Null,
    }
}

impl PaymentIntent {
    /// What is held and can still be taken, in minor units.
    pub(crate) fn capturable(&self) -> i64 {
        if self.status == IntentStatus::RequiresCapture { self.amount } else { 0 }
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let action = self.voucher.as_ref().map_or_else(
            || next_action(self.status, &self.page_url, self.return_url.as_deref()),
            Voucher::next_action,
        );
        let mut value = Shape::PaymentIntent.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "amount": self.amount,
            "amount_capturable": self.capturable(),
            "amount_received": self.amount_received,
            "automatic_payment_methods": { "enabled": true, "allow_redirects": "always" },
            "currency": self.currency,
            "customer": self.customer,
            "payment_method": self.payment_method,
            "payment_method_types": Rail::types_for(&self.currency, self.invoice.is_some()),
            "latest_charge": self.latest_charge,
            "last_payment_error": self.last_error,
            "client_secret": self.client_secret,
            "capture_method": self.capture_method.as_str(),
            "confirmation_method": "automatic",
            "description": self.description,
            "receipt_email": self.receipt_email,
            "metadata": self.metadata,
            "shipping": self.shipping,
            "setup_future_usage": self.setup_future_usage,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "next_action": action,
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
            "payment_method_types": ["card", "sepa_debit", "us_bank_account"],
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
