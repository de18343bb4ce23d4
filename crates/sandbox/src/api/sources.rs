//! Cards as sources, the older payment methods of customers (`card_…`). Bank accounts and `src_…` are not played.

use serde_json::{Value, json};

use super::Call;
use crate::model::customer::{Customer, PaymentMethod};
use crate::model::instrument::Instrument;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "customers/{customer}/sources") => all(world, call),
        ("POST", "customers/{customer}/sources") => create(world, call),
        ("GET", "customers/{customerId}/sources/{id}") => {
            find(world, call).map(|(_, card)| card.render_source())
        }
        ("POST", "customers/{customerId}/sources/{id}") => update(world, call),
        ("DELETE", "customers/{customerId}/sources/{id}") => delete(world, call),
        _ => return None,
    })
}

/// The customer and the card of a path.
fn find(world: &World, call: &Call<'_>) -> ApiResult<(Customer, PaymentMethod)> {
    let customer = world.live_customer(call.id(), "customer")?;
    let id = call.ids.get(1).map_or("", String::as_str);
    let card = world.source_of(&customer.id, id).ok_or_else(|| ApiError::missing("source", id, "id"))?;
    Ok((customer, card))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(call.id(), "customer")?;
    let wanted = call.params.text("object")?.value();
    let keep =
        |method: &PaymentMethod| method.is_source() && wanted.as_ref().is_none_or(|kind| kind == "card");
    let url = format!("/v1/customers/{}/sources", customer.id);
    let customer = Some(customer.id.as_str());
    list(&world.payment_methods, &call.params, &url, customer, keep, PaymentMethod::render_source)
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut customer = world.live_customer(call.id(), "customer")?;
    let token = params.required("source")?;
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let before = customer.render();
    let card = world.add_source(&customer.id, &token, metadata)?;
    if customer.default_source.is_none() {
        customer.default_source = Some(card.id.clone());
        let after = customer.render();
        world.customers.put(customer);
        world.emit_change("customer.updated", &before, after);
    }
    Ok(card.render_source())
}

/// Fields of the request, and where a payment method has them.
const BILLING: [(&str, &str); 7] = [
    ("address_city", "/address/city"),
    ("address_country", "/address/country"),
    ("address_line1", "/address/line1"),
    ("address_line2", "/address/line2"),
    ("address_state", "/address/state"),
    ("address_zip", "/address/postal_code"),
    ("name", "/name"),
];

fn read_billing(params: &Params<'_>, details: &mut Value) -> ApiResult<()> {
    for (name, pointer) in BILLING {
        let field = params.text(name)?;
        if field == Field::Absent {
            continue;
        }
        if pointer.starts_with("/address") && details.get("address").is_none_or(Value::is_null) {
            let none = json!({
                "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null,
            });
            if let Some(fields) = details.as_object_mut() {
                fields.insert("address".to_owned(), none);
            }
        }
        if let Some(slot) = details.pointer_mut(pointer) {
            *slot = json!(field.value());
        }
    }
    Ok(())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let (_, mut card) = find(world, call)?;
    let before = card.render_source();
    read_billing(params, &mut card.billing_details)?;
    let (month, year) =
        (params.int_within("exp_month", 1..=12)?, params.int_within("exp_year", 2000..=2099)?);
    if let Instrument::Card { face, .. } = &mut card.instrument {
        face.exp_month = month.value().unwrap_or(face.exp_month);
        face.exp_year = year.value().unwrap_or(face.exp_year);
    }
    params.metadata_into(&mut card.metadata)?;
    let after = card.render_source();
    world.payment_methods.put(card);
    world.emit_change("customer.source.updated", &before, after.clone());
    Ok(after)
}

fn delete(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (_, card) = find(world, call)?;
    world.detach_method(&card.id)?;
    Ok(json!({ "id": card.id, "object": "card", "deleted": true }))
}
