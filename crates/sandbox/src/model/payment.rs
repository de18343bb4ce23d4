//! Payment intents, setup intents and charges: money coming in.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::{Rail, TypeFilter};
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

/// How a buyer pays elsewhere, with the page that shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Voucher {
    /// At a store, until a unix second.
    Store { until: i64, confirmation: String, code: String, url: String },
    /// By bank transfer, whenever; minor units have come already.
    Transfer { reference: String, url: String, funded: i64 },
}

impl Voucher {
    /// The `next_action` that tells a buyer how to pay an amount (minor units).
    fn next_action(&self, amount: i64, currency: &str) -> Value {
        match self {
            Self::Store { until, confirmation, code, url } => {
                let store = json!({ "confirmation_number": confirmation, "payment_code": code });
                json!({
                    "type": "konbini_display_details",
                    "konbini_display_details": {
                        "expires_at": until,
                        "hosted_voucher_url": url,
                        "stores": { "familymart": store, "lawson": store, "ministop": store, "seicomart": store },
                    },
                })
            }
            Self::Transfer { reference, url, funded } => {
                let place = json!({ "city": "Tokyo", "country": "JP", "line1": "1 Sandbox", "line2": null, "postal_code": "1000001", "state": null });
                let zengin = json!({
                    "account_holder_address": place, "account_holder_name": "SANDBOX", "account_number": reference,
                    "account_type": "futsu", "bank_address": place, "bank_code": "0000", "bank_name": "SANDBOX BANK",
                    "branch_code": "000", "branch_name": "SANDBOX",
                });
                json!({
                    "type": "display_bank_transfer_instructions",
                    "display_bank_transfer_instructions": {
                        "amount_remaining": amount - funded, "currency": currency, "hosted_instructions_url": url,
                        "reference": reference, "type": "jp_bank_transfer",
                        "financial_addresses": [{ "type": "zengin", "supported_networks": ["zengin"], "zengin": zengin }],
                    },
                })
            }
        }
    }
}

words! {
    /// Whether a payment goes on by itself once its buyer has proven who they are, or waits for the seller to confirm again.
    #[derive(Default)]
    Confirmation { #[default] Automatic = "automatic", Manual = "manual" }
}

/// What a buyer reads of a payment on the statement of the bank or of the card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statement {
    /// The whole text, of payments by other methods than cards.
    pub(crate) descriptor: Option<String>,
    /// What follows the account's own word, of payments by card.
    pub(crate) suffix: Option<String>,
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
    #[serde(default)]
    pub(crate) statement: Statement,
    #[serde(default)]
    pub(crate) confirmation: Confirmation,
    /// The buyer has proven who they are, and the seller has yet to confirm again.
    #[serde(default)]
    pub(crate) proven: bool,
    #[serde(default)]
    pub(crate) no_redirects: bool,
    pub(crate) metadata: Metadata,
    pub(crate) shipping: Value,
    /// `on_session` or `off_session`: what the method is saved for.
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) return_url: Option<String>,
    /// The types of method that it takes.
    pub(crate) types: TypeFilter,
    /// For how many days a voucher of this payment can be paid, where the seller says so.
    pub(crate) voucher_days: Option<i64>,
    pub(crate) voucher: Option<Voucher>,
    /// When a bank answers, or a voucher runs out, in unix seconds.
    pub(crate) answer_due: Option<i64>,
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
    /// The types of method that can pay.
    pub(crate) fn method_types(&self) -> Vec<&'static str> {
        let mut types = Rail::types_for(&self.currency, false);
        types.retain(|word| self.types.takes(word));
        types
    }

    /// What is held and can still be taken, in minor units.
    pub(crate) fn capturable(&self) -> i64 {
        if self.status == IntentStatus::RequiresCapture { self.amount } else { 0 }
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let action = self.voucher.as_ref().map_or_else(
            || next_action(self.status, &self.page_url, self.return_url.as_deref()),
            |voucher| voucher.next_action(self.amount, &self.currency),
        );
        let mut value = Shape::PaymentIntent.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "amount": self.amount,
            "amount_capturable": self.capturable(),
            "amount_received": self.amount_received,
            "automatic_payment_methods": automatic_methods(self.no_redirects),
            "currency": self.currency,
            "customer": self.customer,
            "payment_method": self.payment_method,
            "payment_method_types": self.method_types(),
            "allowed_payment_method_types": self.types.allowed,
            "excluded_payment_method_types": (!self.types.excluded.is_empty()).then_some(&self.types.excluded),
            "latest_charge": self.latest_charge,
            "last_payment_error": self.last_error,
            "client_secret": self.client_secret,
            "capture_method": self.capture_method.as_str(),
            "confirmation_method": self.confirmation.as_str(),
            "description": self.description,
            "receipt_email": self.receipt_email,
            "statement_descriptor": self.statement.descriptor,
            "statement_descriptor_suffix": self.statement.suffix,
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
    #[serde(default)]
    pub(crate) types: TypeFilter,
    #[serde(default)]
    pub(crate) no_redirects: bool,
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

fn automatic_methods(no_redirects: bool) -> Value {
    json!({ "enabled": true, "allow_redirects": if no_redirects { "never" } else { "always" } })
}

impl SetupIntent {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        let mut types = vec!["card", "sepa_debit", "us_bank_account"];
        types.retain(|word| self.types.takes(word));
        Shape::SetupIntent.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "automatic_payment_methods": automatic_methods(self.no_redirects),
            "customer": self.customer,
            "payment_method": self.payment_method,
            "payment_method_types": types,
            "allowed_payment_method_types": self.types.allowed,
            "excluded_payment_method_types": (!self.types.excluded.is_empty()).then_some(&self.types.excluded),
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
