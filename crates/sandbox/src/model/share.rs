//! Who else has a share in a payment: the platform by a fee, another account by a transfer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::payments::balance::round_fraction;

/// A part of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Portion {
    /// Minor units.
    Amount(i64),
    /// Hundredths of a percent.
    Percent(i64),
}

impl Portion {
    /// The part of an amount, never more than the whole, in minor units.
    pub(crate) fn of(self, amount: i64) -> i64 {
        match self {
            Self::Amount(part) => part.min(amount),
            Self::Percent(hundredths) => round_fraction(amount, hundredths, 10_000),
        }
    }

    fn amount(self) -> Option<i64> {
        match self {
            Self::Amount(amount) => Some(amount),
            Self::Percent(_) => None,
        }
    }

    /// A percentage as the number that the API shows: `10`, or `10.25`.
    fn percent(self) -> Value {
        match self {
            Self::Amount(_) => Value::Null,
            Self::Percent(hundredths) if hundredths % 100 == 0 => json!(hundredths / 100),
            Self::Percent(hundredths) => {
                serde_json::from_str(&format!("{}.{:02}", hundredths / 100, hundredths % 100))
                    .unwrap_or_default()
            }
        }
    }
}

/// What a payment, or what makes payments, says about others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// The platform's application, `ca_…`, where it asked for the payment in another account's name.
    pub(crate) application: Option<String>,
    /// What the platform takes.
    pub(crate) fee: Option<Portion>,
    /// The account that the money is passed on to.
    pub(crate) destination: Option<String>,
    /// How much of it; all when absent.
    pub(crate) passed_on: Option<Portion>,
    /// Whose sale it is.
    pub(crate) on_behalf_of: Option<String>,
    /// A word that holds payments and transfers together.
    pub(crate) transfer_group: Option<String>,
}

impl Share {
    /// The share in one payment of an amount: percentages become minor units.
    pub(crate) fn of(&self, amount: i64) -> Self {
        let fixed = |portion: Option<Portion>| portion.map(|portion| Portion::Amount(portion.of(amount)));
        Self { fee: fixed(self.fee), passed_on: fixed(self.passed_on), ..self.clone() }
    }

    /// The platform's fee on an amount, in minor units.
    pub(crate) fn fee_on(&self, amount: i64) -> i64 {
        self.fee.map_or(0, |fee| fee.of(amount))
    }

    fn insert(&self, fields: &mut Map<String, Value>, transfer: Option<Value>) {
        fields.insert("application".to_owned(), json!(self.application));
        fields.insert("on_behalf_of".to_owned(), json!(self.on_behalf_of));
        if let Some(transfer) = transfer {
            fields.insert("transfer_data".to_owned(), transfer);
        }
    }

    /// The share where it is told in amounts.
    fn insert_amounts(&self, fields: &mut Map<String, Value>) {
        let amount = self.passed_on.and_then(Portion::amount);
        let transfer = self.destination.as_ref().map(|to| json!({ "destination": to, "amount": amount }));
        self.insert(fields, transfer);
        fields.insert("application_fee_amount".to_owned(), json!(self.fee.and_then(Portion::amount)));
    }

    /// Shows the share on a payment intent or a charge.
    pub(crate) fn onto_payment(&self, value: &mut Value) {
        if let Some(fields) = value.as_object_mut() {
            self.insert_amounts(fields);
            fields.insert("transfer_group".to_owned(), json!(self.transfer_group));
        }
    }

    /// Shows the share on a subscription.
    pub(crate) fn onto_subscription(&self, value: &mut Value) {
        let percent = self.passed_on.map(Portion::percent);
        let transfer =
            self.destination.as_ref().map(|to| json!({ "destination": to, "amount_percent": percent }));
        if let Some(fields) = value.as_object_mut() {
            self.insert(fields, transfer);
            fields.insert("application_fee_percent".to_owned(), json!(self.fee.map(Portion::percent)));
        }
    }

    /// Shows the share on a payment link, of which each payment or each invoice has its own.
    pub(crate) fn onto_link(&self, value: &mut Value) {
        if let Some(fields) = value.as_object_mut() {
            self.insert_amounts(fields);
            fields.insert("application_fee_percent".to_owned(), json!(self.fee.map(Portion::percent)));
        }
    }

    /// Shows the share on an invoice, which tells only whose it is.
    pub(crate) fn onto_invoice(&self, value: &mut Value) {
        if let Some(fields) = value.as_object_mut() {
            self.insert(fields, None);
        }
    }
}
