//! What a checkout page asks beside the payment: filled into its view, and read from its form.

use std::collections::BTreeMap;

use serde_json::json;

use super::frame::{Fields, money};
use crate::model::checkout::CheckoutSession;
use crate::model::checkout_form::{Answers, FieldKind};
use crate::pages::{DetailsView, FieldView, RateView};

/// The questions of a session.
pub(super) fn view(session: &CheckoutSession, currency: &str) -> DetailsView {
    let form = &session.form;
    DetailsView {
        phone: form.asks_phone,
        fields: form
            .fields
            .iter()
            .map(|field| FieldView {
                name: format!("field_{}", field.key),
                label: field.label.clone(),
                optional: field.optional,
                numeric: field.kind == FieldKind::Numeric,
                value: field.value.clone().or(field.default_value.clone()).unwrap_or_default(),
                options: field.options.iter().map(|(label, value)| (value.clone(), label.clone())).collect(),
            })
            .collect(),
        countries: form.countries.clone(),
        rates: form
            .shipping_rates
            .iter()
            .enumerate()
            .map(|(place, rate)| RateView {
                id: rate.id.clone(),
                name: rate.display_name.clone(),
                amount: money(rate.amount, currency),
                chosen: place == form.chosen_rate,
            })
            .collect(),
    }
}

/// The answers of a posted form.
pub(super) fn answers(session: &CheckoutSession, posted: &Fields) -> Answers {
    let given = |name: &str| Some(posted.text(name).to_owned()).filter(|text| !text.is_empty());
    let fields: BTreeMap<String, String> = session
        .form
        .fields
        .iter()
        .filter_map(|field| Some((field.key.clone(), given(&format!("field_{}", field.key))?)))
        .collect();
    let address = given("ship_name").zip(given("ship_line1")).map(|(name, line1)| {
        json!({ "name": name, "address": {
            "city": given("ship_city"), "country": given("ship_country"), "line1": line1, "line2": null,
            "postal_code": given("ship_postal"), "state": null,
        } })
    });
    Answers {
        phone: given("phone"),
        fields,
        shipping: address,
        shipping_rate: given("shipping_rate"),
        made_up: false,
    }
}
