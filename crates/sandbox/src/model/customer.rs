//! Customers and their payment methods.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::coupon::Discount;
use super::instrument::Instrument;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::{Shape, overlay};

/// A customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) business_name: Option<String>,
    #[serde(default)]
    pub(crate) individual_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) address: Value,
    pub(crate) shipping: Value,
    pub(crate) preferred_locales: Vec<String>,
    pub(crate) metadata: Metadata,
    /// In minor units; negative is credit that the next invoice uses.
    pub(crate) balance: i64,
    /// Fixed by the first invoice or subscription.
    pub(crate) currency: Option<String>,
    pub(crate) default_payment_method: Option<String>,
    /// The card, `card_…`, that pays where there is no default payment method.
    #[serde(default)]
    pub(crate) default_source: Option<String>,
    pub(crate) invoice_prefix: String,
    pub(crate) next_invoice_sequence: i64,
    /// On every invoice that has none of its subscription.
    pub(crate) discount: Option<Discount>,
    pub(crate) tax_exempt: String,
    pub(crate) delinquent: bool,
    pub(crate) deleted: bool,
    /// The test clock by which the customer and everything of theirs lives.
    #[serde(default)]
    pub(crate) test_clock: Option<String>,
}

impl Stored for Customer {
    const LABEL: &'static str = "customer";
    const SEARCHED: bool = true;
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Customer {
    /// The country that taxes go by, upper case: that of the address, else of the shipping address.
    pub(crate) fn country(&self) -> Option<String> {
        let of = |address: Option<&Value>| {
            let country = address?.get("country")?.as_str()?;
            (country.len() == 2).then(|| country.to_ascii_uppercase())
        };
        of(Some(&self.address)).or_else(|| of(self.shipping.get("address")))
    }

    /// The object, or the stub of a deleted one.
    pub(crate) fn render(&self) -> Value {
        if self.deleted {
            return json!({ "id": self.id, "object": "customer", "deleted": true });
        }
        let mut value = Shape::Customer.with(json!({
            "id": self.id,
            "created": self.created,
            "email": self.email,
            "name": self.name,
            "description": self.description,
            "phone": self.phone,
            "address": self.address,
            "shipping": self.shipping,
            "preferred_locales": self.preferred_locales,
            "metadata": self.metadata,
            "balance": self.balance,
            "currency": self.currency,
            "default_source": self.default_source,
            "invoice_settings": { "default_payment_method": self.default_payment_method },
            "invoice_prefix": self.invoice_prefix,
            "next_invoice_sequence": self.next_invoice_sequence,
            "tax_exempt": self.tax_exempt,
            "delinquent": self.delinquent,
            "discount": self.discount.as_ref().map(Discount::render),
            "test_clock": self.test_clock,
            "customer_account": null,
        }));
        // Two fields that a customer has only when they were given.
        let names = [("business_name", &self.business_name), ("individual_name", &self.individual_name)];
        if let Some(fields) = value.as_object_mut() {
            fields.extend(
                names.into_iter().filter_map(|(name, given)| Some((name.to_owned(), json!(given.as_ref()?)))),
            );
        }
        value
    }
}

/// What the ids of cards begin with that are sources.
pub(crate) const SOURCE_PREFIX: &str = "card_";

/// A saved or one-time payment method.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentMethod {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: Option<String>,
    pub(crate) instrument: Instrument,
    /// The customer has authenticated it for payments without them.
    pub(crate) set_up: bool,
    pub(crate) billing_details: Value,
    pub(crate) allow_redisplay: String,
    pub(crate) metadata: Metadata,
}

impl Stored for PaymentMethod {
    const LABEL: &'static str = "PaymentMethod";
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

impl PaymentMethod {
    /// The object.
    pub(crate) fn render(&self) -> Value {
        Shape::PaymentMethod.with(json!({
            "id": self.id,
            "created": self.created,
            "customer": self.customer,
            "type": self.instrument.word(),
            self.instrument.word(): self.instrument.method_details(),
            "billing_details": self.billing_details,
            "allow_redisplay": self.allow_redisplay,
            "metadata": self.metadata,
        }))
    }

    /// Whether it is a source as well, the older kind of payment method.
    pub(crate) fn is_source(&self) -> bool {
        self.id.starts_with(SOURCE_PREFIX)
    }

    /// The object of a card that is a source.
    pub(crate) fn render_source(&self) -> Value {
        let billing = |pointer: &str| self.billing_details.pointer(pointer).cloned().unwrap_or_default();
        let mut value = json!({
            "id": self.id,
            "object": "card",
            "address_city": billing("/address/city"),
            "address_country": billing("/address/country"),
            "address_line1": billing("/address/line1"),
            "address_line2": billing("/address/line2"),
            "address_state": billing("/address/state"),
            "address_zip": billing("/address/postal_code"),
            "customer": self.customer,
            "metadata": self.metadata,
            "name": billing("/name"),
        });
        if let Instrument::Card { face, .. } = &self.instrument
            && let Some(card) = self.instrument.card()
        {
            overlay(&mut value, face.render_source(card));
        }
        value
    }
}
