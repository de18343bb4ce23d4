//! What a checkout session asks of its buyer besides the order: consent, names, and items that may be added; the seller's own
//! words on the page; and the invoice of a payment.
//!
//! Follows the parameters `consent_collection`, `custom_text`, `invoice_creation`, `name_collection` and `optional_items` of
//! the API reference (create a session).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::checkout_form::Answers;
use crate::wire::params::Metadata;

/// The consent that is asked for, and what the buyer gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Consents {
    /// `auto` or `none`.
    pub(crate) promotions: Option<String>,
    /// `required` or `none`.
    pub(crate) terms: Option<String>,
    /// Where the words on keeping the payment method are: `auto` or `hidden`.
    pub(crate) reuse: Option<String>,
    /// Whether the buyer wants news, once they have said so.
    pub(crate) wants_news: Option<bool>,
    pub(crate) accepted: bool,
}

impl Consents {
    /// Whether the buyer must accept the terms of service.
    pub(crate) fn needs_terms(&self) -> bool {
        self.terms.as_deref() == Some("required")
    }

    /// Whether the buyer is asked whether they want news.
    pub(crate) fn offers_news(&self) -> bool {
        self.promotions.as_deref() == Some("auto")
    }
}

/// The seller's own words.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CustomText {
    pub(crate) after_submit: Option<String>,
    pub(crate) shipping_address: Option<String>,
    pub(crate) submit: Option<String>,
    pub(crate) terms_of_service_acceptance: Option<String>,
}

/// A name that is asked for, and the one that was given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AskedName {
    pub(crate) enabled: bool,
    pub(crate) optional: bool,
    pub(crate) given: Option<String>,
}

impl AskedName {
    /// Takes an answer; whether it will do.
    pub(crate) fn answer(&mut self, given: Option<&String>, made_up: bool) -> bool {
        if self.enabled {
            let given = given.filter(|name| name.chars().count() <= 150).cloned();
            self.given = given.or_else(|| (made_up && !self.optional).then(|| "Sandbox Buyer".to_owned()));
        }
        !self.enabled || self.optional || self.given.is_some()
    }

    fn render(&self) -> Value {
        json!({ "enabled": self.enabled, "optional": self.optional })
    }
}

/// An item that the buyer may add.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OptionalItem {
    pub(crate) price: String,
    pub(crate) quantity: i64,
    /// The fewest and the most that the buyer can choose, where they can.
    pub(crate) adjustable: Option<(i64, i64)>,
}

impl OptionalItem {
    /// Whether the buyer can have so many; none at all is always possible.
    pub(crate) fn takes(&self, quantity: i64) -> bool {
        let (least, most) = self.adjustable.unwrap_or((self.quantity, self.quantity));
        quantity == 0 || (least.max(1)..=most).contains(&quantity)
    }

    fn render(&self) -> Value {
        let adjustable = self
            .adjustable
            .map(|(least, most)| json!({ "enabled": true, "maximum": most, "minimum": least }));
        json!({ "adjustable_quantity": adjustable, "price": self.price, "quantity": self.quantity })
    }
}

/// The invoice that a payment gets when it is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct InvoiceCreation {
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

/// All of these of one session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Asks {
    pub(crate) consents: Option<Consents>,
    pub(crate) text: CustomText,
    pub(crate) business: AskedName,
    pub(crate) individual: AskedName,
    pub(crate) optional_items: Vec<OptionalItem>,
    pub(crate) invoice: Option<InvoiceCreation>,
}

impl Asks {
    /// Takes the buyer's answers, or names the first that will not do.
    pub(crate) fn answer(&mut self, answers: &Answers) -> Result<(), &'static str> {
        let names = self.business.answer(answers.business_name.as_ref(), answers.made_up)
            && self.individual.answer(answers.individual_name.as_ref(), answers.made_up);
        if !names {
            return Err("name_collection");
        }
        let Some(consents) = &mut self.consents else { return Ok(()) };
        if consents.offers_news() {
            consents.wants_news = Some(answers.wants_news);
        }
        consents.accepted = consents.needs_terms() && (answers.accepts || answers.made_up);
        if consents.needs_terms() && !consents.accepted { Err("consent_collection") } else { Ok(()) }
    }

    /// Writes the fields of the session's object that come from here.
    pub(crate) fn render(&self, pays_once: bool, fields: &mut Map<String, Value>) {
        self.render_asked(pays_once, fields);
        let given = self.consents.as_ref().map(|asked| {
            let news = asked.wants_news.map(|wants| if wants { "opt_in" } else { "opt_out" });
            json!({ "promotions": news, "terms_of_service": asked.accepted.then_some("accepted") })
        });
        fields.insert("consent".to_owned(), json!(given));
    }

    /// Writes what is asked, before anybody has answered.
    pub(crate) fn render_asked(&self, pays_once: bool, fields: &mut Map<String, Value>) {
        let consents = self.consents.as_ref();
        let collection = consents.map(|asked| {
            json!({
                "payment_method_reuse_agreement": asked.reuse.as_ref().map(|word| json!({ "position": word })),
                "promotions": asked.promotions, "terms_of_service": asked.terms,
            })
        });
        let words = |text: &Option<String>| text.as_ref().map(|message| json!({ "message": message }));
        let invoice = self.invoice.as_ref();
        let creation = pays_once.then(|| {
            json!({
                "enabled": invoice.is_some(),
                "invoice_data": {
                    "account_tax_ids": null, "custom_fields": null,
                    "description": invoice.and_then(|data| data.description.as_ref()), "footer": null, "issuer": null,
                    "metadata": invoice.map(|data| &data.metadata), "rendering_options": null,
                },
            })
        });
        let values = [
            ("consent_collection", json!(collection)),
            (
                "custom_text",
                json!({
                    "after_submit": words(&self.text.after_submit), "shipping_address": words(&self.text.shipping_address),
                    "submit": words(&self.text.submit),
                    "terms_of_service_acceptance": words(&self.text.terms_of_service_acceptance),
                }),
            ),
            ("invoice_creation", json!(creation)),
        ];
        fields.extend(values.map(|(name, value)| (name.to_owned(), value)));
        if self.business.enabled || self.individual.enabled {
            let names = json!({ "business": self.business.render(), "individual": self.individual.render() });
            fields.insert("name_collection".to_owned(), names);
        }
        if !self.optional_items.is_empty() {
            let items = self.optional_items.iter().map(OptionalItem::render).collect();
            fields.insert("optional_items".to_owned(), items);
        }
    }
}
