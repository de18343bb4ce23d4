//! Reads how a price turns a quantity into money: `unit_amount`, `tiers`, `transform_quantity`, `currency_options`.

use std::collections::BTreeMap;

use crate::model::decimal::Decimal;
use crate::model::pricing::{Packages, Pricing, Rounding, Tier, TiersMode};
use crate::model::product::CurrencyOption;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Params};

const LARGEST: i64 = 99_999_999;
const LARGEST_PACKAGE: i64 = 999_999_999;
/// Enough for any price, and few enough that the sum of their lines cannot overflow.
const MOST_TIERS: usize = 100;

/// A price that buyers choose themselves is not played.
fn refuse_custom(params: &Params<'_>) -> ApiResult<()> {
    if params.has("custom_unit_amount") {
        let name = params.full("custom_unit_amount");
        let message = format!("The sandbox does not play '{name}' yet; leave it out.");
        return Err(ApiError::invalid("parameter_not_in_sandbox", &name, message));
    }
    Ok(())
}

/// An amount as a whole number or as a decimal text, never both.
fn amount(params: &Params<'_>, name: &str, allows_fraction: bool) -> ApiResult<Option<Decimal>> {
    let decimal_name = format!("{name}_decimal");
    let whole = params.int_within(name, 0..=LARGEST)?.value();
    let full = params.full(&decimal_name);
    match (whole, params.text(&decimal_name)?) {
        (Some(_), Field::Set(_)) => {
            let name = params.full(name);
            Err(ApiError::rule(format!("You may only specify one of these parameters: {name}, {full}."))
                .param(&full))
        }
        (Some(whole), Field::Absent | Field::Unset) => Ok(Some(Decimal::from(whole))),
        (None, Field::Set(text)) => Decimal::parse(&text)
            .filter(|amount| *amount <= Decimal::from(LARGEST))
            .filter(|amount| allows_fraction || amount.whole().is_some())
            .map(Some)
            .ok_or_else(|| {
                let message = format!("Invalid decimal: {text}; up to 12 decimal places, at most {LARGEST}");
                ApiError::rule(message).param(&full)
            }),
        (None, Field::Absent | Field::Unset) => Ok(None),
    }
}

fn packages(params: &Params<'_>) -> ApiResult<Option<Packages>> {
    if !params.has("transform_quantity") {
        return Ok(None);
    }
    let params = params.sub("transform_quantity");
    params.required("divide_by")?;
    params.required("round")?;
    let size = params.int_within("divide_by", 1..=LARGEST_PACKAGE)?.value().unwrap_or(1);
    let round = match params.one_of("round", &["up", "down"])? {
        Field::Set("down") => Rounding::Down,
        Field::Set(_) | Field::Absent | Field::Unset => Rounding::Up,
    };
    Ok(Some(Packages { size, round }))
}

fn tiers(params: &Params<'_>) -> ApiResult<Vec<Tier>> {
    let given = params.list("tiers");
    let name = params.full("tiers");
    let Some(last) = given.len().checked_sub(1) else {
        return Err(ApiError::invalid(
            "parameter_missing",
            &name,
            format!("Missing required param: {name}."),
        ));
    };
    if given.len() > MOST_TIERS {
        return Err(ApiError::rule(format!("A price may have up to {MOST_TIERS} tiers.")).param(&name));
    }
    let mut tiers: Vec<Tier> = Vec::with_capacity(given.len());
    for (index, tier) in given.iter().enumerate() {
        let up_to = match (tier.required("up_to")?.as_str(), index == last) {
            ("inf", true) => None,
            ("inf", false) | (_, true) => {
                let message = "The last tier, and no other, must have `up_to` set to `inf`.";
                return Err(ApiError::rule(message).param(&tier.full("up_to")));
            }
            (_, false) => tier.int_within("up_to", 1..=i64::MAX)?.value(),
        };
        let below = tiers.last().and_then(|tier| tier.up_to);
        if up_to.is_some() && up_to <= below {
            let message = "Each tier must end after the one before: `up_to` must grow from tier to tier.";
            return Err(ApiError::rule(message).param(&tier.full("up_to")));
        }
        let (unit, flat) = (amount(tier, "unit_amount", true)?, amount(tier, "flat_amount", false)?);
        if unit.is_none() && flat.is_none() {
            let message = "Each tier must have a `unit_amount`, a `flat_amount`, or both.";
            return Err(ApiError::rule(message).param(&tier.full("unit_amount")));
        }
        tiers.push(Tier { up_to, unit, flat });
    }
    Ok(tiers)
}

/// Reads how a new price is priced.
pub(super) fn read(params: &Params<'_>) -> ApiResult<Pricing> {
    refuse_custom(params)?;
    if params.one_of("billing_scheme", &["per_unit", "tiered"])? == Field::Set("tiered") {
        for name in ["unit_amount", "unit_amount_decimal", "transform_quantity"] {
            if params.has(name) {
                let full = params.full(name);
                return Err(ApiError::rule(format!(
                    "`{full}` cannot be combined with `billing_scheme` set to `tiered`."
                ))
                .param(&full));
            }
        }
        params.required("tiers_mode")?;
        let mode = match params.one_of("tiers_mode", &["graduated", "volume"])? {
            Field::Set("volume") => TiersMode::Volume,
            Field::Set(_) | Field::Absent | Field::Unset => TiersMode::Graduated,
        };
        return Ok(Pricing::Tiered { mode, tiers: tiers(params)? });
    }
    for name in ["tiers", "tiers_mode"] {
        if params.has(name) {
            let full = params.full(name);
            return Err(
                ApiError::rule(format!("`{full}` needs `billing_scheme` set to `tiered`.")).param(&full)
            );
        }
    }
    let unit = amount(params, "unit_amount", true)?.ok_or_else(|| {
        let name = params.full("unit_amount");
        ApiError::invalid("parameter_missing", &name, format!("Missing required param: {name}."))
    })?;
    Ok(Pricing::PerUnit { unit, packages: packages(params)? })
}

/// Reads a currency code.
pub(super) fn currency(code: &str, name: &str) -> ApiResult<String> {
    let code = code.to_ascii_lowercase();
    if code.len() == 3 && code.chars().all(|char| char.is_ascii_lowercase()) {
        return Ok(code);
    }
    Err(ApiError::rule(format!("Invalid currency: {code}.")).param(name))
}

/// Reads `currency_options` into what is there: each is priced after the pattern of the price's own currency.
pub(super) fn read_options(
    params: &Params<'_>,
    own: (&str, &Pricing),
    options: &mut BTreeMap<String, CurrencyOption>,
) -> ApiResult<()> {
    const TAKEN: [&str; 5] =
        ["custom_unit_amount", "tax_behavior", "tiers", "unit_amount", "unit_amount_decimal"];
    let all = params.sub("currency_options");
    for name in all.names() {
        let code = currency(name, &all.full(name))?;
        if code == own.0 {
            return Err(ApiError::rule(format!(
                "`currency_options` cannot hold the price's own currency: {code}."
            ))
            .param(&all.full(name)));
        }
        let option = all.sub(name);
        if let Some(unknown) = option.names().find(|name| !TAKEN.contains(name)) {
            let full = option.full(unknown);
            let message = format!("Received unknown parameter: {full}");
            return Err(ApiError::invalid("parameter_unknown", &full, message));
        }
        refuse_custom(&option)?;
        let pricing = match own.1 {
            Pricing::PerUnit { packages, .. } => {
                let unit = amount(&option, "unit_amount", true)?.ok_or_else(|| {
                    let name = option.full("unit_amount");
                    ApiError::invalid("parameter_missing", &name, format!("Missing required param: {name}."))
                })?;
                Pricing::PerUnit { unit, packages: *packages }
            }
            Pricing::Tiered { mode, .. } => Pricing::Tiered { mode: *mode, tiers: tiers(&option)? },
        };
        let tax_behavior = option.text("tax_behavior")?.value().unwrap_or_else(|| "unspecified".to_owned());
        options.insert(code, CurrencyOption { pricing, tax_behavior });
    }
    Ok(())
}
