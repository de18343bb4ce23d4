//! Setup intents.

use serde_json::Value;

use super::intents::{check_mandate, check_type, read_no_redirects, read_types, refuse_types};
use super::{Call, methods};
use crate::model::accounts::TypeFilter;
use crate::model::payment::{IntentStatus, SetupIntent};
use crate::payments::attempt::Attempt;
use crate::payments::setup::NewSetup;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "setup_intents") => create(world, call),
        ("GET", "setup_intents") => all(world, call),
        ("GET", "setup_intents/{id}") => setup(world, call.id()),
        ("POST", "setup_intents/{id}/confirm") => confirm(world, call, call.id()),
        ("POST", "setup_intents/{id}/cancel") => cancel(world, call),
        _ => return None,
    })
}

fn setup(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.setup_intents, id, "intent").map(|intent| intent.render())
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    refuse_types(call)?;
    let customer = params.text("customer")?.value();
    if let Some(customer) = &customer {
        world.live_customer(customer, "customer")?;
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let mut types = TypeFilter::default();
    read_types(params, &mut types)?;
    let method = methods::named_or_made(world, params)?;
    let id = world.add_setup(NewSetup {
        types,
        no_redirects: read_no_redirects(params)?,
        customer,
        description: params.text("description")?.value(),
        metadata,
        usage: params.one_of("usage", &["off_session", "on_session"])?.value().map(str::to_owned),
        return_url: params.text("return_url")?.value(),
        session: None,
    });
    if let Some(method) = method {
        world.setup_intents.edit(&id, |intent| {
            intent.payment_method = Some(method);
            intent.status = IntentStatus::RequiresConfirmation;
        });
    }
    if params.flag("confirm")? == Field::Set(true) { confirm(world, call, &id) } else { setup(world, &id) }
}

fn confirm(world: &mut World, call: &Call<'_>, id: &str) -> ApiResult<Value> {
    let intent = need(&world.setup_intents, id, "intent")?;
    if matches!(intent.status, IntentStatus::Succeeded | IntentStatus::Canceled) {
        return Err(unexpected(&intent));
    }
    let method = match methods::named_or_made(world, &call.params)? {
        Some(method) => method,
        None => intent.payment_method.clone().ok_or_else(|| {
            ApiError::state(
                "setup_intent_unexpected_state",
                "You cannot confirm this SetupIntent because it's missing a payment method.",
            )
        })?,
    };
    check_mandate(&call.params)?;
    let mut types = intent.types.clone();
    read_types(&call.params, &mut types)?;
    check_type(world, &types, &method)?;
    world.setup_intents.edit(id, |intent| intent.types = types);
    match world.attempt_setup(id, &method, false)? {
        Attempt::Succeeded | Attempt::Held | Attempt::Underway | Attempt::RequiresAction => setup(world, id),
        Attempt::Declined(decline) => {
            let error = ApiError::card(decline.code, decline.decline_code, decline.message);
            Err(error.with("setup_intent", setup(world, id)?))
        }
    }
}

fn unexpected(intent: &SetupIntent) -> ApiError {
    let message =
        format!("This SetupIntent has a status of {} and cannot be changed.", intent.status.as_str());
    ApiError::state("setup_intent_unexpected_state", message)
}

fn cancel(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut intent = need(&world.setup_intents, call.id(), "intent")?;
    if matches!(intent.status, IntentStatus::Succeeded | IntentStatus::Canceled) {
        return Err(unexpected(&intent));
    }
    intent.status = IntentStatus::Canceled;
    intent.cancellation_reason = call.params.text("cancellation_reason")?.value();
    let object = intent.render();
    world.setup_intents.put(intent);
    world.emit("setup_intent.canceled", object.clone());
    Ok(object)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = call.params.text("customer")?.value();
    list(
        &world.setup_intents,
        &call.params,
        "/v1/setup_intents",
        customer.as_deref(),
        |_| true,
        SetupIntent::render,
    )
}
