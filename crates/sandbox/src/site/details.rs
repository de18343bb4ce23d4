//! What a checkout page asks beside the payment: filled into its view, and read from its form.

use std::collections::BTreeMap;

use serde_json::json;

use super::frame::{Fields, interval, money};
use crate::model::checkout::CheckoutSession;
use crate::model::checkout_asks::Consents;
use crate::model::checkout_form::{Answers, FieldKind};
use crate::pages::{ConsentView, DetailsView, FieldView, OptionalView, RateView};
use crate::state::world::World;

/// The questions of a session.
pub(super) fn view(session: &CheckoutSession, currency: &str) -> DetailsView {
    let (form, asks) = (&session.form, &session.asks);
    DetailsView {
        phone: form.asks_phone,
        business: asks.business.enabled.then_some(asks.business.optional),
        individual: asks.individual.enabled.then_some(asks.individual.optional),
        address_text: asks.text.shipping_address.clone(),
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

/// What a session asks consent to.
pub(super) fn consent(session: &CheckoutSession) -> ConsentView {
    let asks = &session.asks;
    ConsentView {
        terms: asks.consents.as_ref().is_some_and(Consents::needs_terms),
        terms_text: asks.text.terms_of_service_acceptance.clone(),
        promotions: asks.consents.as_ref().is_some_and(Consents::offers_news),
        before_button: asks.text.submit.clone(),
        after_button: asks.text.after_submit.clone(),
    }
}

/// What can be added to the order of a session.
pub(super) fn optional(world: &World, session: &CheckoutSession, currency: &str) -> Vec<OptionalView> {
    let items = session.asks.optional_items.iter().enumerate();
    items
        .filter_map(|(place, item)| {
            let price = world.prices.get(&item.price)?;
            let added = session.lines.iter().find(|line| line.optional == Some(place));
            Some(OptionalView {
                name: world.product_name(price),
                price: money(price.total(currency, 1), currency),
                interval: interval(price),
                added: added.map_or(0, |line| line.quantity),
                quantity: item.quantity,
                range: item.adjustable,
            })
        })
        .collect()
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
        business_name: given("business_name"),
        individual_name: given("individual_name"),
        accepts: given("terms").is_some(),
        wants_news: given("promotions").is_some(),
        made_up: false,
    }
}
