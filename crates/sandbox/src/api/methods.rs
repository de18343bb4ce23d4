//! Payment methods.

use serde_json::Value;

use super::Call;
use crate::model::customer::PaymentMethod;
use crate::payments::methods::TypedCard;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "payment_methods") => create(world, call),
        ("GET", "payment_methods") => all(world, call),
        ("GET", "payment_methods/{id}") => retrieve(world, call),
        ("POST", "payment_methods/{id}") => update(world, call),
        ("POST", "payment_methods/{id}/attach") => attach(world, call),
        ("POST", "payment_methods/{id}/detach") => {
            let id = call.id();
            world
                .detach_method(id)
                .and_then(|()| need(&world.payment_methods, id, "id"))
                .map(|method| method.render())
        }
        _ => return None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    let original = params.text("payment_method")?.value();
    if customer.is_some() && original.is_none() {
        let message = "The customer is that of a payment method to copy: provide `payment_method` too, or attach the new one afterwards.";
        return Err(ApiError::rule(message).param("customer"));
    }
    if original.is_none() && params.required("type")? != "card" {
        return Err(ApiError::invalid("parameter_not_in_sandbox", "type", "The sandbox plays cards only."));
    }
    let card = params.sub("card");
    let id = match (original, card.text("token")?.value()) {
        (Some(original), _) => world.copy_method(customer.as_deref(), &original)?,
        (None, Some(token)) => world.resolve_method(&token, "card[token]")?,
        (None, None) => {
            let typed = TypedCard {
                number: card.required("number")?,
                exp_month: card.int("exp_month")?.value().unwrap_or(12),
                exp_year: card.int("exp_year")?.value().unwrap_or(2099),
                cvc: card.text("cvc")?.value().unwrap_or_default(),
            };
            world.card_from_typed(&typed)?
        }
    };
    let mut method = need(&world.payment_methods, &id, "id")?;
    read(params, &mut method)?;
    let object = method.render();
    world.payment_methods.put(method);
    Ok(object)
}

fn read(params: &Params<'_>, method: &mut PaymentMethod) -> ApiResult<()> {
    if let (Some(Value::Object(given)), Some(fields)) =
        (params.addressed("billing_details"), method.billing_details.as_object_mut())
    {
        fields.extend(given);
    }
    if let Field::Set(word) = params.one_of("allow_redisplay", &["always", "limited", "unspecified"])? {
        word.clone_into(&mut method.allow_redisplay);
    }
    params.metadata_into(&mut method.metadata)
}

fn retrieve(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let id = world.resolve_method(call.id(), "id")?;
    need(&world.payment_methods, &id, "id").map(|method| method.render())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut method = need(&world.payment_methods, call.id(), "id")?;
    let before = method.render();
    read(params, &mut method)?;
    let card = params.sub("card");
    if let Field::Set(month) = card.int_within("exp_month", 1..=12)? {
        method.face.exp_month = month;
    }
    if let Field::Set(year) = card.int_within("exp_year", 2000..=2099)? {
        method.face.exp_year = year;
    }
    let after = method.render();
    world.payment_methods.put(method);
    world.emit_change("payment_method.updated", &before, after.clone());
    Ok(after)
}

/// A token of a test card becomes a payment method of its own, whose id is answered.
fn attach(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(&call.params.required("customer")?, "customer")?;
    let id = world.resolve_method(call.id(), "payment_method")?;
    world.attach_method(&id, &customer.id)?;
    need(&world.payment_methods, &id, "id").map(|method| method.render())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = call.params.text("customer")?.value();
    if let Some(customer) = &customer {
        need(&world.customers, customer, "customer")?;
    }
    let card = call.params.text("type")?.value().is_none_or(|kind| kind == "card");
    list(
        &world.payment_methods,
        &call.params,
        "/v1/payment_methods",
        customer.as_deref(),
        |_| card,
        PaymentMethod::render,
    )
}
