//! `POST /v1/checkout/sessions`: consent, names, the seller's own words, items to add and the invoice of a payment.

use crate::model::checkout::{CheckoutSession, Mode};
use crate::model::checkout_asks::{AskedName, Consents, CustomText, InvoiceCreation, OptionalItem};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Params};

/// The most items that can be offered.
const MOST_ITEMS: usize = 10;
/// The longest text of the seller's own, in characters.
const LONGEST_TEXT: usize = 1200;

/// Reads all of it; the lines and the currency of the session are there already.
pub(super) fn read(world: &World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    let asks = &mut session.asks;
    asks.consents = read_consents(params)?;
    asks.text = read_text(params)?;
    let names = params.sub("name_collection");
    asks.business = read_name(&names.sub("business"))?;
    asks.individual = read_name(&names.sub("individual"))?;
    asks.invoice = read_invoice(params, session.mode)?;
    session.asks.optional_items = read_optional(world, params, session)?;
    Ok(())
}

fn read_consents(params: &Params<'_>) -> ApiResult<Option<Consents>> {
    if !params.has("consent_collection") {
        return Ok(None);
    }
    let given = params.sub("consent_collection");
    let reuse = given.sub("payment_method_reuse_agreement");
    if given.has("payment_method_reuse_agreement") {
        reuse.required("position")?;
    }
    let word = |params: &Params<'_>, name: &str, words: &[&'static str]| -> ApiResult<Option<String>> {
        Ok(params.one_of(name, words)?.value().map(str::to_owned))
    };
    Ok(Some(Consents {
        promotions: word(&given, "promotions", &["auto", "none"])?,
        terms: word(&given, "terms_of_service", &["none", "required"])?,
        reuse: word(&reuse, "position", &["auto", "hidden"])?,
        wants_news: None,
        accepted: false,
    }))
}

fn read_text(params: &Params<'_>) -> ApiResult<CustomText> {
    let given = params.sub("custom_text");
    let read = |name: &str| -> ApiResult<Option<String>> {
        let inner = given.sub(name);
        if inner.names().next().is_none() {
            return Ok(None);
        }
        let message = inner.required("message")?;
        if message.chars().count() > LONGEST_TEXT {
            let full = inner.full("message");
            let error = format!("Invalid string: {full} may have up to {LONGEST_TEXT} characters.");
            return Err(ApiError::rule(error).param(&full));
        }
        Ok(Some(message))
    };
    Ok(CustomText {
        after_submit: read("after_submit")?,
        shipping_address: read("shipping_address")?,
        submit: read("submit")?,
        terms_of_service_acceptance: read("terms_of_service_acceptance")?,
    })
}

fn read_name(given: &Params<'_>) -> ApiResult<AskedName> {
    if given.names().next().is_some() {
        given.required("enabled")?;
    }
    Ok(AskedName {
        enabled: given.flag("enabled")? == Field::Set(true),
        optional: given.flag("optional")? == Field::Set(true),
        given: None,
    })
}

fn read_invoice(params: &Params<'_>, mode: Mode) -> ApiResult<Option<InvoiceCreation>> {
    if !params.has("invoice_creation") {
        return Ok(None);
    }
    let given = params.sub("invoice_creation");
    match mode {
        Mode::Payment => {}
        Mode::Subscription | Mode::Setup => {
            let message = "You can only enable invoice creation when `mode` is set to `payment`. Invoices are created automatically when `mode` is set to `subscription`.";
            return Err(ApiError::rule(message).param("invoice_creation"));
        }
    }
    given.required("enabled")?;
    let data = given.sub("invoice_data");
    let mut creation =
        InvoiceCreation { description: data.text("description")?.value(), ..InvoiceCreation::default() };
    data.metadata_into(&mut creation.metadata)?;
    Ok((given.flag("enabled")? == Field::Set(true)).then_some(creation))
}

fn read_optional(
    world: &World,
    params: &Params<'_>,
    session: &CheckoutSession,
) -> ApiResult<Vec<OptionalItem>> {
    let given = params.list("optional_items");
    if given.is_empty() {
        return Ok(Vec::new());
    }
    if session.mode == Mode::Setup || given.len() > MOST_ITEMS {
        let message =
            format!("Up to {MOST_ITEMS} `optional_items` can be offered, and none in `setup` mode.");
        return Err(ApiError::rule(message).param("optional_items"));
    }
    let mut items = Vec::new();
    for item in given {
        let price = need(&world.prices, &item.required("price")?, &item.full("price"))?;
        let currency = session.currency.as_deref().unwrap_or_default();
        if !price.active || price.is_metered() || price.pricing_in(currency).is_none() {
            let message = format!(
                "The price `{}` cannot be offered: it must be active, in {currency}, and have a quantity.",
                price.id
            );
            return Err(ApiError::rule(message).param(&item.full("price")));
        }
        super::checkout_create::check_mode(&price, session.mode, &item)?;
        item.required("quantity")?;
        let quantity = item.int_within("quantity", 1..=999_999)?.value().unwrap_or(1);
        items.push(OptionalItem {
            price: price.id,
            quantity,
            adjustable: super::checkout_create::read_adjustable(&item, quantity)?,
        });
    }
    let recurring = session.lines.iter().filter(|line| line.recurring);
    let mut all: Vec<(&str, i64)> = recurring.map(|line| (line.price.as_str(), line.quantity)).collect();
    let offered = items.iter().map(|item| (item.price.as_str(), item.quantity));
    let again = |price: &str| world.prices.get(price).is_some_and(|price| price.recurring.is_some());
    all.extend(offered.filter(|(price, _)| again(price)));
    if session.mode == Mode::Subscription {
        world.check_items(all.into_iter(), session.currency.as_deref())?;
    }
    Ok(items)
}
