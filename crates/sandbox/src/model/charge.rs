//! One attempt to take money, and how far that money has come.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::card::{Decline, Risk};
use super::instrument::Instrument;
use super::payment::Statement;
use super::share::Share;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;

/// How far the money of a charge has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Funds {
    /// Held on the card until a unix second, and not taken.
    Held { until: i64 },
    /// Taken: minor units, and the entry of the balance that says so.
    Taken { amount: i64, entry: String },
    /// With the bank, which has not answered yet.
    Pending,
    /// Held once, and let go without being taken.
    LetGo,
    /// Refused.
    Refused { code: String, decline_code: Option<String>, message: String },
}

impl Funds {
    /// What a refusal leaves.
    pub(crate) fn refused(decline: &Decline) -> Self {
        Self::Refused {
            code: decline.code.to_owned(),
            decline_code: decline.decline_code.map(str::to_owned),
            message: decline.message.to_owned(),
        }
    }
}

/// One attempt to take money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) funds: Funds,
    /// What was asked for, in minor units; less may be taken.
    pub(crate) amount: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) currency: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_intent: String,
    pub(crate) payment_method: String,
    pub(crate) instrument: Instrument,
    pub(crate) authenticated: bool,
    pub(crate) billing_details: Value,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    #[serde(default)]
    pub(crate) statement: Statement,
    pub(crate) metadata: Metadata,
    pub(crate) disputed: bool,
    /// Who else has a share in it.
    #[serde(default)]
    pub(crate) share: Share,
    /// The platform's fee, `fee_…`.
    #[serde(default)]
    pub(crate) application_fee: Option<String>,
    /// The transfer that passed it on, `tr_…`.
    #[serde(default)]
    pub(crate) transfer: Option<String>,
    /// The transfer that it came by: then no instrument paid it.
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
    /// What was taken, in minor units.
    pub(crate) fn taken(&self) -> i64 {
        match &self.funds {
            Funds::Taken { amount, .. } => *amount,
            Funds::Held { .. } | Funds::Pending | Funds::LetGo | Funds::Refused { .. } => 0,
        }
    }

    /// The entry of the balance that says that it was taken.
    pub(crate) fn entry(&self) -> Option<&str> {
        match &self.funds {
            Funds::Taken { entry, .. } => Some(entry),
            Funds::Held { .. } | Funds::Pending | Funds::LetGo | Funds::Refused { .. } => None,
        }
    }

    /// What can still be refunded, in minor units.
    pub(crate) fn refundable(&self) -> i64 {
        self.taken() - self.amount_refunded
    }

    fn outcome(&self) -> Value {
        let refusal = match &self.funds {
            Funds::Refused { code, decline_code, .. } => Some(decline_code.as_ref().unwrap_or(code)),
            Funds::Held { .. } | Funds::Taken { .. } | Funds::Pending | Funds::LetGo => None,
        };
        let risk = self.instrument.card().map_or(Risk::Normal, |card| card.risk);
        let (level, score) = match risk {
            Risk::Normal => ("normal", 20),
            Risk::Elevated => ("elevated", 70),
            Risk::Highest => ("highest", 90),
        };
        let (kind, network, reason, message) = match (refusal, risk) {
            (None, Risk::Elevated) => (
                "authorized",
                "approved_by_network",
                Some("elevated_risk_level"),
                "Stripe evaluated this payment as having elevated risk.",
            ),
            (None, Risk::Normal | Risk::Highest) => {
                ("authorized", "approved_by_network", None, "Payment complete.")
            }
            (Some(_), Risk::Highest) => (
                "blocked",
                "not_sent_to_network",
                Some("highest_risk_level"),
                "Stripe blocked this payment as too risky.",
            ),
            (Some(reason), Risk::Normal | Risk::Elevated) => (
                "issuer_declined",
                "declined_by_network",
                Some(reason.as_str()),
                "The bank did not return any further details with this decline.",
            ),
        };
        json!({ "advice_code": null, "network_advice_code": null, "network_decline_code": null, "network_status": network,
                "reason": reason, "risk_level": level, "risk_score": score, "seller_message": message, "type": kind })
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let (status, captured, entry, failure) = match &self.funds {
            Funds::Held { .. } | Funds::LetGo => ("succeeded", false, None, None),
            Funds::Pending => ("pending", true, None, None),
            Funds::Taken { entry, .. } => ("succeeded", true, Some(entry), None),
            Funds::Refused { code, message, .. } => ("failed", false, None, Some((code, message))),
        };
        let mut details = self.instrument.charge_details(self.authenticated);
        let card = details.get_mut("card").and_then(Value::as_object_mut);
        if let (Funds::Held { until }, Some(fields)) = (&self.funds, card) {
            fields.insert("capture_before".to_owned(), json!(until));
        }
        let mut value = Shape::Charge.with(json!({
            "id": self.id,
            "created": self.created,
            "status": status,
            "paid": failure.is_none() && self.funds != Funds::Pending,
            "captured": captured,
            "amount": self.amount,
            "amount_captured": self.taken(),
            "amount_refunded": self.amount_refunded,
            "refunded": self.taken() > 0 && self.amount_refunded == self.taken(),
            "currency": self.currency,
            "customer": self.customer,
            "payment_intent": self.payment_intent,
            "payment_method": self.payment_method,
            "payment_method_details": details,
            "billing_details": self.billing_details,
            "description": self.description,
            "receipt_email": self.receipt_email,
            "metadata": self.metadata,
            "disputed": self.disputed,
            "balance_transaction": entry,
            "failure_code": failure.map(|(code, _)| code),
            "failure_message": failure.map(|(_, message)| message),
            "calculated_statement_descriptor": self.on_statement(),
            "statement_descriptor": self.statement.descriptor,
            "statement_descriptor_suffix": self.statement.suffix,
            "fraud_details": {},
            "outcome": self.outcome(),
        }));
        self.share.onto_payment(&mut value);
        self.show_transfers(&mut value);
        value
    }

    /// What the buyer reads on the statement.
    fn on_statement(&self) -> String {
        match &self.statement {
            Statement { suffix: Some(suffix), .. } => format!("SANDBOX* {suffix}"),
            Statement { descriptor: Some(descriptor), .. } => descriptor.clone(),
            Statement { descriptor: None, suffix: None } => "SANDBOX".to_owned(),
        }
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
