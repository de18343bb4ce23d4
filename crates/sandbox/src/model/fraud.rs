//! Early fraud warnings: an issuer suspects fraud, before anybody disputes anything.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;

/// What an issuer says about one charge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FraudWarning {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    /// Whether something can still be done: the charge is neither given back in full nor disputed.
    pub(crate) actionable: bool,
}

impl Stored for FraudWarning {
    const LABEL: &'static str = "early_fraud_warning";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl FraudWarning {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "radar.early_fraud_warning",
            "actionable": self.actionable,
            "charge": self.charge,
            "created": self.created,
            "fraud_type": "unauthorized_use_of_card",
            "livemode": false,
            "payment_intent": self.payment_intent,
        })
    }
}
