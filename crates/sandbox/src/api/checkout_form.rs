//! `POST /v1/checkout/sessions`: what a session asks of its buyer beside the payment.

use serde_json::Value;

use crate::model::checkout::{CheckoutSession, Mode};
use crate::model::checkout_form::{CustomField, FieldKind, Recovery, ShippingRate};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Metadata, Params};

/// Reads all of it; the lines and the currency of the session are there already.
pub(super) fn read(world: &mut World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    read_ending(params, session)?;
    let form = &mut session.form;
    form.asks_phone = params.sub("phone_number_collection").flag("enabled")? == Field::Set(true);
    form.fields = read_fields(params)?;
    form.countries =
        params.sub("shipping_address_collection").texts("allowed_countries")?.unwrap_or_default();
    super::intents::read_types(params, &mut form.types)?;
    let by_card = session.method_types().contains(&"card");
    let payment = params.sub("payment_intent_data");
    super::intents::read_statement(&payment, &mut session.payment_data.statement, by_card)?;
    let form = &mut session.form;
    let setup = params.sub("setup_intent_data");
    if params.has("setup_intent_data") && session.mode != Mode::Setup {
        let message = "You can only pass `setup_intent_data` in `setup` mode.";
        return Err(ApiError::rule(message).param("setup_intent_data"));
    }
    form.setup_description = setup.text("description")?.value();
    setup.metadata_into(&mut form.setup_metadata)?;
    if session.method_types().is_empty() {
        let message = "No payment method type is left for this Checkout Session.";
        return Err(ApiError::rule(message).param("allowed_payment_method_types"));
    }
    read_shipping(world, params, session)
}

/// What happens when the session is complete, or has run out of time.
fn read_ending(params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    let submit = ["auto", "book", "donate", "pay", "subscribe"];
    if let Field::Set(word) = params.one_of("submit_type", &submit)? {
        let fits = match session.mode {
            Mode::Payment => word != "subscribe",
            Mode::Subscription => matches!(word, "auto" | "subscribe"),
            Mode::Setup => false,
        };
        if !fits {
            let message =
                format!("`submit_type: {word}` cannot be used in `{}` mode.", session.mode.as_str());
            return Err(ApiError::rule(message).param("submit_type"));
        }
    }
    if params.text("payment_method_collection")?.value().is_some() && session.mode != Mode::Subscription {
        let message = "`payment_method_collection` can only be used in `subscription` mode.";
        return Err(ApiError::rule(message).param("payment_method_collection"));
    }
    let hosted = session.ui_mode == "hosted_page";
    let ending = params.one_of("redirect_on_completion", &["always", "if_required", "never"])?.value();
    match (hosted, ending) {
        (true, Some(_)) => {
            let message = "`redirect_on_completion` is for embedded sessions only.";
            return Err(ApiError::rule(message).param("redirect_on_completion"));
        }
        (false, Some("never")) if session.return_url.is_some() => {
            let message = "`return_url` cannot be used with `redirect_on_completion: never`.";
            return Err(ApiError::rule(message).param("return_url"));
        }
        (false, ending) if ending != Some("never") && session.return_url.is_none() => {
            return Err(ApiError::invalid(
                "parameter_missing",
                "return_url",
                "Missing required param: return_url.",
            ));
        }
        (true | false, _) => {}
    }
    if !hosted {
        session.form.redirect_on_completion = Some(ending.unwrap_or("always").to_owned());
    }
    let recovery = params.sub("after_expiration").sub("recovery");
    if recovery.flag("enabled")? == Field::Set(true) {
        if !hosted {
            let message = "Only hosted sessions can be recovered.";
            return Err(ApiError::rule(message).param("after_expiration"));
        }
        let allow_promotion_codes = recovery.flag("allow_promotion_codes")? == Field::Set(true);
        session.form.recovery = Some(Recovery { allow_promotion_codes, link: None });
    }
    Ok(())
}

fn read_fields(params: &Params<'_>) -> ApiResult<Vec<CustomField>> {
    let given = params.list("custom_fields");
    if given.len() > 3 {
        return Err(
            ApiError::rule("A Checkout Session can have up to 3 custom fields.").param("custom_fields")
        );
    }
    given
        .iter()
        .map(|field| {
            field.required("type")?;
            let kind = match field.one_of("type", &["text", "numeric", "dropdown"])? {
                Field::Set("numeric") => FieldKind::Numeric,
                Field::Set("dropdown") => FieldKind::Dropdown,
                Field::Set(_) | Field::Absent | Field::Unset => FieldKind::Text,
            };
            let details = field.sub(kind.as_str());
            let label = field.sub("label");
            label.one_of("type", &["custom"])?;
            let options = details
                .list("options")
                .iter()
                .map(|option| Ok((option.required("label")?, option.required("value")?)))
                .collect::<ApiResult<Vec<_>>>()?;
            if kind == FieldKind::Dropdown && options.is_empty() {
                let full = field.full("dropdown[options]");
                return Err(ApiError::invalid(
                    "parameter_missing",
                    &full,
                    format!("Missing required param: {full}."),
                ));
            }
            Ok(CustomField {
                key: field.required("key")?,
                label: label.required("custom")?,
                kind,
                optional: field.flag("optional")? == Field::Set(true),
                default_value: details.text("default_value")?.value(),
                minimum: details.int_within("minimum_length", 0..=255)?.value(),
                maximum: details.int_within("maximum_length", 1..=255)?.value(),
                options,
                value: None,
            })
        })
        .collect()
}

fn read_shipping(world: &mut World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    let given = params.list("shipping_options");
    if given.is_empty() {
        return Ok(());
    }
    if session.mode != Mode::Payment {
        let message = "The sandbox plays `shipping_options` in `payment` mode only.";
        return Err(ApiError::invalid("parameter_not_in_sandbox", "shipping_options", message));
    }
    if given.len() > 5 {
        return Err(
            ApiError::rule("A Checkout Session can have up to 5 shipping options.").param("shipping_options")
        );
    }
    for option in given {
        let data = option.sub("shipping_rate_data");
        let (rate, param) = match option.text("shipping_rate")?.value() {
            Some(_) if option.has("shipping_rate_data") => {
                let message = "Each shipping option has one of shipping_rate and shipping_rate_data.";
                return Err(ApiError::rule(message).param(&option.full("shipping_rate")));
            }
            Some(id) => {
                let full = option.full("shipping_rate");
                let rate = need(&world.shipping_rates, &id, &full)?;
                if !rate.active {
                    let message =
                        format!("The shipping rate {id} is archived and cannot be offered any more.");
                    return Err(ApiError::rule(message).param(&full));
                }
                (rate, full)
            }
            None => (read_rate(world, &data)?, data.full("fixed_amount[currency]")),
        };
        if session.currency.as_ref() != Some(&rate.currency) {
            let message = "The currency of a shipping rate must be that of the Checkout Session.";
            return Err(ApiError::rule(message).param(&param));
        }
        world.shipping_rates.put(rate.clone());
        session.form.shipping_rates.push(rate);
    }
    Ok(())
}

/// Reads a new shipping rate; it is not kept yet.
pub(super) fn read_rate(world: &mut World, data: &Params<'_>) -> ApiResult<ShippingRate> {
    data.one_of("type", &["fixed_amount"])?;
    let amount = data.sub("fixed_amount");
    let currency = amount.required("currency")?.to_ascii_lowercase();
    amount.required("amount")?;
    let mut metadata = Metadata::new();
    data.metadata_into(&mut metadata)?;
    Ok(ShippingRate {
        id: world.chance.id("shr_"),
        created: world.now,
        display_name: data.required("display_name")?,
        amount: amount.int_within("amount", 0..=99_999_999)?.value().unwrap_or_default(),
        currency,
        delivery_estimate: read_estimate(data)?,
        metadata,
        active: true,
    })
}

/// When the goods may arrive: two bounds of a unit and a number, either of them open.
fn read_estimate(data: &Params<'_>) -> ApiResult<Value> {
    let estimate = data.sub("delivery_estimate");
    if !data.has("delivery_estimate") {
        return Ok(Value::Null);
    }
    let bound = |name: &str| -> ApiResult<Value> {
        let bound = estimate.sub(name);
        let unit = bound.one_of("unit", &["hour", "day", "business_day", "week", "month"])?.value();
        let number = bound.int_within("value", 1..=1000)?.value();
        Ok(unit
            .zip(number)
            .map(|(unit, value)| serde_json::json!({ "unit": unit, "value": value }))
            .unwrap_or_default())
    };
    Ok(serde_json::json!({ "maximum": bound("maximum")?, "minimum": bound("minimum")? }))
}
