//! Tax rates, and the parameters that name them.

use serde_json::Value;

use super::Call;
use crate::model::percent::Percent;
use crate::model::tax::TaxRate;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

const KINDS: &[&str] = &[
    "admissions_tax",
    "amusement_tax",
    "attendance_tax",
    "communications_tax",
    "digital_excise_tax",
    "entertainment_tax",
    "get_fund",
    "gross_receipts_tax",
    "gst",
    "hospitality_tax",
    "hst",
    "igst",
    "jct",
    "lease_tax",
    "luxury_tax",
    "mass_transit_parking_tax",
    "nhil",
    "parking_tax",
    "pst",
    "qst",
    "resort_tax",
    "retail_delivery_fee",
    "rst",
    "sales_tax",
    "service_tax",
    "tourism_tax",
    "utility_users_tax",
    "vat",
];

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "tax_rates") => create(world, call),
        ("GET", "tax_rates") => all(world, call),
        ("GET", "tax_rates/{id}") => need(&world.tax_rates, call.id(), "id").map(|rate| rate.render()),
        ("POST", "tax_rates/{id}") => update(world, call),
        _ => return None,
    })
}

/// The rates that a parameter names; `None` when it is left out, none when it is empty.
pub(super) fn read_rates(world: &World, params: &Params<'_>, name: &str) -> ApiResult<Option<Vec<TaxRate>>> {
    let Some(ids) = params.texts(name)? else { return Ok(None) };
    let full = params.full(name);
    if ids.len() > 5 {
        return Err(ApiError::rule("You can pass at most 5 tax rates.").param(&full));
    }
    let mut rates = Vec::new();
    for id in ids {
        let rate = need(&world.tax_rates, &id, &full)?;
        if !rate.active {
            let message = format!("The tax rate {id} is archived and cannot be used any more.");
            return Err(ApiError::rule(message).param(&full));
        }
        rates.push(rate);
    }
    Ok(Some(rates))
}

/// Reads `automatic_tax[enabled]`.
pub(super) fn read_automatic(params: &Params<'_>) -> ApiResult<Option<bool>> {
    if !params.has("automatic_tax") {
        return Ok(None);
    }
    let automatic = params.sub("automatic_tax");
    automatic.required("enabled")?;
    let liable = automatic.sub("liability").text("type")?;
    if liable != Field::Absent && liable != Field::Set("self".to_owned()) {
        let name = automatic.full("liability");
        let message = "The sandbox plays automatic tax that the seller owes.";
        return Err(ApiError::invalid("parameter_not_in_sandbox", &name, message));
    }
    Ok(automatic.flag("enabled")?.value())
}

fn read_kind(params: &Params<'_>) -> ApiResult<Field<String>> {
    Ok(match params.one_of("tax_type", KINDS)? {
        Field::Set(kind) => Field::Set(kind.to_owned()),
        Field::Unset => Field::Unset,
        Field::Absent => Field::Absent,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let percentage = Percent::parse(&params.required("percentage")?).ok_or_else(|| {
        ApiError::rule("Invalid percentage: must be from 0 to 100, with at most four decimals.")
            .param("percentage")
    })?;
    params.required("inclusive")?;
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let rate = TaxRate {
        display_name: params.required("display_name")?,
        inclusive: params.flag("inclusive")? == Field::Set(true),
        active: params.flag("active")?.value().unwrap_or(true),
        description: params.text("description")?.value(),
        country: params.text("country")?.value(),
        state: params.text("state")?.value(),
        jurisdiction: params.text("jurisdiction")?.value(),
        tax_type: read_kind(params)?.value(),
        percentage,
        metadata,
        id: world.chance.id("txr_"),
        created: world.now,
        automatic: false,
    };
    let object = rate.render();
    world.tax_rates.put(rate);
    world.emit("tax_rate.created", object.clone());
    Ok(object)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut rate = need(&world.tax_rates, call.id(), "id")?;
    let before = rate.render();
    params.metadata_into(&mut rate.metadata)?;
    rate.active = params.flag("active")?.value().unwrap_or(rate.active);
    if let Field::Set(name) = params.text("display_name")? {
        rate.display_name = name;
    }
    params.text("description")?.apply(&mut rate.description);
    params.text("country")?.apply(&mut rate.country);
    params.text("state")?.apply(&mut rate.state);
    params.text("jurisdiction")?.apply(&mut rate.jurisdiction);
    read_kind(params)?.apply(&mut rate.tax_type);
    let after = rate.render();
    world.tax_rates.put(rate);
    world.emit_change("tax_rate.updated", &before, after.clone());
    Ok(after)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let active = call.params.flag("active")?.value();
    let inclusive = call.params.flag("inclusive")?.value();
    let keep = |rate: &TaxRate| {
        !rate.automatic
            && active.is_none_or(|active| rate.active == active)
            && inclusive.is_none_or(|inclusive| rate.inclusive == inclusive)
    };
    list(&world.tax_rates, &call.params, "/v1/tax_rates", None, keep, TaxRate::render)
}
