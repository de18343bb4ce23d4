//! What a checkout session asks of its buyer beside the payment, and what the buyer answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::accounts::TypeFilter;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::words::words;

words! {
    /// What a field of the seller's own takes.
    FieldKind { Text = "text", Numeric = "numeric", Dropdown = "dropdown" }
}

/// A field of the seller's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CustomField {
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) kind: FieldKind,
    pub(crate) optional: bool,
    pub(crate) default_value: Option<String>,
    pub(crate) minimum: Option<i64>,
    pub(crate) maximum: Option<i64>,
    /// Label and value of each choice of a dropdown.
    pub(crate) options: Vec<(String, String)>,
    pub(crate) value: Option<String>,
}

impl CustomField {
    /// Whether an answer will do.
    pub(crate) fn takes(&self, answer: &str) -> bool {
        let length = i64::try_from(answer.chars().count()).unwrap_or(i64::MAX);
        let fits = self.minimum.is_none_or(|least| length >= least)
            && length <= self.maximum.unwrap_or(255)
            && length > 0;
        fits && match self.kind {
            FieldKind::Text => true,
            FieldKind::Numeric => answer.chars().all(|char| char.is_ascii_digit()),
            FieldKind::Dropdown => self.options.iter().any(|(_, value)| value == answer),
        }
    }

    /// An answer that will do, for a buyer who is played by a control call.
    pub(crate) fn made_up(&self) -> String {
        let least = usize::try_from(self.minimum.unwrap_or(1).max(1)).unwrap_or(1);
        match (&self.default_value, self.kind) {
            (Some(value), _) => value.clone(),
            (None, FieldKind::Text) => "x".repeat(least),
            (None, FieldKind::Numeric) => "1".repeat(least),
            (None, FieldKind::Dropdown) => {
                self.options.first().map(|(_, value)| value.clone()).unwrap_or_default()
            }
        }
    }

    /// As a session has it: with the answer.
    fn render(&self) -> Value {
        let mut field = self.render_asked();
        if let Some(details) = field.get_mut(self.kind.as_str()).and_then(Value::as_object_mut) {
            details.insert("value".to_owned(), json!(self.value));
        }
        field
    }

    fn render_asked(&self) -> Value {
        let details = match self.kind {
            FieldKind::Text | FieldKind::Numeric => json!({
                "default_value": self.default_value, "maximum_length": self.maximum,
                "minimum_length": self.minimum,
            }),
            FieldKind::Dropdown => {
                let options: Vec<Value> = self
                    .options
                    .iter()
                    .map(|(label, value)| json!({ "label": label, "value": value }))
                    .collect();
                json!({ "default_value": self.default_value, "options": options })
            }
        };
        json!({
            "key": self.key, "label": { "custom": self.label, "type": "custom" }, "optional": self.optional,
            "type": self.kind.as_str(), self.kind.as_str(): details,
        })
    }
}

const fn yes() -> bool {
    true
}

/// A way to send the goods, made by the seller or by a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShippingRate {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) display_name: String,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) delivery_estimate: Value,
    pub(crate) metadata: Metadata,
    /// Whether new sessions can offer it.
    #[serde(default = "yes")]
    pub(crate) active: bool,
}

impl Stored for ShippingRate {
    const LABEL: &'static str = "shipping rate";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl ShippingRate {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id, "object": "shipping_rate", "active": self.active, "created": self.created,
            "delivery_estimate": self.delivery_estimate, "display_name": self.display_name,
            "fixed_amount": { "amount": self.amount, "currency": self.currency }, "livemode": false,
            "metadata": self.metadata, "tax_behavior": "unspecified", "tax_code": null, "type": "fixed_amount",
        })
    }
}

/// A second chance for a buyer whose session ran out of time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Recovery {
    pub(crate) allow_promotion_codes: bool,
    /// The way back, once the session has expired.
    pub(crate) link: Option<RecoveryLink>,
}

/// The way back into an expired session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecoveryLink {
    /// The secret part of the address.
    pub(crate) token: String,
    pub(crate) url: String,
    /// The last unix second.
    pub(crate) until: i64,
}

/// What a buyer answers; what is missing is made up where a control call plays the buyer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub(crate) phone: Option<String>,
    pub(crate) fields: BTreeMap<String, String>,
    /// Name and address, as the API has them.
    pub(crate) shipping: Option<Value>,
    pub(crate) shipping_rate: Option<String>,
    pub(crate) business_name: Option<String>,
    pub(crate) individual_name: Option<String>,
    /// The terms of service are accepted.
    pub(crate) accepts: bool,
    /// News are welcome.
    pub(crate) wants_news: bool,
    pub(crate) made_up: bool,
}

/// Everything that a session asks beside the payment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CheckoutForm {
    pub(crate) asks_phone: bool,
    pub(crate) phone: Option<String>,
    pub(crate) fields: Vec<CustomField>,
    /// Countries that goods are sent to; empty when no address is asked for.
    pub(crate) countries: Vec<String>,
    pub(crate) address: Option<Value>,
    pub(crate) shipping_rates: Vec<ShippingRate>,
    /// The place of the chosen rate.
    pub(crate) chosen_rate: usize,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) recovered_from: Option<String>,
    pub(crate) redirect_on_completion: Option<String>,
    pub(crate) setup_description: Option<String>,
    pub(crate) setup_metadata: Metadata,
    pub(crate) types: TypeFilter,
}

impl CheckoutForm {
    /// What sending the goods costs, in minor units.
    pub(crate) fn shipping_amount(&self) -> i64 {
        self.shipping_rates.get(self.chosen_rate).map_or(0, |rate| rate.amount)
    }

    /// Takes the buyer's answers, or names the first that will not do.
    pub(crate) fn answer(&mut self, answers: &Answers) -> Result<(), &'static str> {
        if self.asks_phone {
            let made_up = answers.made_up.then(|| "+15555550100".to_owned());
            self.phone = Some(answers.phone.clone().or(made_up).ok_or("phone")?);
        }
        for field in &mut self.fields {
            let given = answers.fields.get(&field.key).filter(|given| !given.is_empty()).cloned();
            let given = given.or_else(|| (answers.made_up && !field.optional).then(|| field.made_up()));
            match given {
                Some(given) if field.takes(&given) => field.value = Some(given),
                Some(_) => return Err("custom_fields"),
                None if field.optional => field.value = None,
                None => return Err("custom_fields"),
            }
        }
        if let Some(first) = self.countries.first() {
            let made_up = answers.made_up.then(|| {
                json!({ "name": "Sandbox Buyer", "address": { "city": "Sandbox", "country": first, "line1": "1 Sandbox Street", "line2": null, "postal_code": "10000", "state": null } })
            });
            let given = answers.shipping.clone().or(made_up).ok_or("shipping_details")?;
            let country = given.pointer("/address/country").and_then(Value::as_str).unwrap_or_default();
            if !self.countries.iter().any(|allowed| allowed == country) {
                return Err("shipping_details");
            }
            self.address = Some(given);
        }
        if let Some(wanted) = &answers.shipping_rate {
            let place = self.shipping_rates.iter().position(|rate| rate.id == *wanted);
            self.chosen_rate = place.ok_or("shipping_rate")?;
        }
        Ok(())
    }

    /// What is asked, before anybody has answered.
    pub(crate) fn render_asked(&self) -> Map<String, Value> {
        let options: Vec<Value> = self
            .shipping_rates
            .iter()
            .map(|rate| json!({ "shipping_amount": rate.amount, "shipping_rate": rate.id }))
            .collect();
        let countries = (!self.countries.is_empty()).then(|| json!({ "allowed_countries": self.countries }));
        let fields: Vec<Value> = self.fields.iter().map(CustomField::render_asked).collect();
        [
            ("phone_number_collection", json!({ "enabled": self.asks_phone })),
            ("custom_fields", json!(fields)),
            ("shipping_address_collection", json!(countries)),
            ("shipping_options", json!(options)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
    }

    /// The fields of the session's object that come from here.
    pub(crate) fn render(&self) -> Map<String, Value> {
        let rate = self.shipping_rates.get(self.chosen_rate);
        let recovery = self.recovery.as_ref().map(|recovery| {
            json!({ "recovery": {
                "allow_promotion_codes": recovery.allow_promotion_codes, "enabled": true,
                "expires_at": recovery.link.as_ref().map(|link| link.until),
                "url": recovery.link.as_ref().map(|link| &link.url),
            } })
        });
        let value = json!({
            "after_expiration": recovery,
            "recovered_from": self.recovered_from,
            "custom_fields": self.fields.iter().map(CustomField::render).collect::<Vec<_>>(),
            "shipping_cost": rate.map(|rate| json!({
                "amount_subtotal": rate.amount, "amount_tax": 0, "amount_total": rate.amount, "shipping_rate": rate.id,
            })),
            "allowed_payment_method_types": self.types.allowed,
        });
        let mut fields = self.render_asked();
        if let Value::Object(answered) = value {
            fields.extend(answered);
        }
        // Two fields that a session has only when they were asked for.
        if let Some(word) = &self.redirect_on_completion {
            fields.insert("redirect_on_completion".to_owned(), json!(word));
        }
        if !self.types.excluded.is_empty() {
            fields.insert("excluded_payment_method_types".to_owned(), json!(self.types.excluded));
        }
        fields
    }
}
