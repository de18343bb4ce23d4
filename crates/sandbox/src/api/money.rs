//! Charges and refunds.

use serde_json::Value;

use super::Call;
use crate::connect::sharing::GiveBack;
use crate::model::charge::Charge;
use crate::model::money::Refund;
use crate::payments::refunds::NewRefund;
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
        ("GET", "charges") => charges(world, call),
        ("GET", "charges/{id}") => need(&world.charges, call.id(), "id").map(|charge| charge.render()),
        ("POST", "refunds") => refund(world, call),
        ("GET", "refunds") => refunds(world, call),
        ("GET", "refunds/{id}") => one_refund(world, call),
        ("POST", "refunds/{id}") => update_refund(world, call),
        ("POST", "refunds/{id}/cancel") => {
            world.cancel_refund(call.id()).and_then(|()| one_refund(world, call))
        }
        ("POST", "test_helpers/refunds/{id}/expire") => {
            world.expire_refund(call.id()).and_then(|()| one_refund(world, call))
        }
        _ => return None,
    })
}

fn charges(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = call.params.text("customer")?.value();
    let intent = call.params.text("payment_intent")?.value();
    let group = call.params.text("transfer_group")?.value();
    let keep = |charge: &Charge| {
        intent.as_ref().is_none_or(|intent| charge.payment_intent == *intent)
            && group.as_ref().is_none_or(|group| charge.share.transfer_group.as_ref() == Some(group))
    };
    list(&world.charges, &call.params, "/v1/charges", customer.as_deref(), keep, Charge::render)
}

fn refund(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let charge = match (params.text("charge")?.value(), params.text("payment_intent")?.value()) {
        (Some(charge), _) => charge,
        (None, Some(intent)) => {
            let intent = need(&world.payment_intents, &intent, "payment_intent")?;
            let paid = intent.latest_charge.clone().filter(|_| intent.amount_received > 0);
            paid.ok_or_else(|| {
                ApiError::rule(format!(
                    "This PaymentIntent ({}) does not have a successful charge to refund.",
                    intent.id
                ))
                .param("payment_intent")
            })?
        }
        (None, None) => {
            return Err(ApiError::invalid(
                "parameter_missing",
                "charge",
                "One of the following params should be provided for this request: payment_intent or charge.",
            ));
        }
    };
    let amount = params.int("amount")?.value();
    let reason = params.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?.value();
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let id = world.refund_charge(
        &charge,
        NewRefund {
            amount,
            reason: reason.map(str::to_owned),
            metadata,
            instructions_email: params.text("instructions_email")?.value(),
            back: GiveBack {
                transfer: params.flag("reverse_transfer")? == Field::Set(true),
                fee: params.flag("refund_application_fee")? == Field::Set(true),
            },
        },
    )?;
    need(&world.refunds, &id, "id").map(|refund| refund.render())
}

fn one_refund(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    need(&world.refunds, call.id(), "id").map(|refund| refund.render())
}

fn update_refund(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut refund = need(&world.refunds, call.id(), "id")?;
    let before = refund.render();
    call.params.metadata_into(&mut refund.metadata)?;
    let after = refund.render();
    world.refunds.put(refund);
    world.emit_change("refund.updated", &before, after.clone());
    Ok(after)
}

fn refunds(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let charge = call.params.text("charge")?.value();
    let intent = call.params.text("payment_intent")?.value();
    let keep = |refund: &Refund| {
        charge.as_ref().is_none_or(|charge| refund.charge == *charge)
            && intent.as_ref().is_none_or(|intent| refund.payment_intent == *intent)
    };
    list(&world.refunds, &call.params, "/v1/refunds", None, keep, Refund::render)
}
