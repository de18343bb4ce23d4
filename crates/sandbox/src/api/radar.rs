//! Early fraud warnings, to be read.

use serde_json::Value;

use super::Call;
use crate::model::fraud::FraudWarning;
use crate::state::world::{World, need};
use crate::wire::error::ApiResult;
use crate::wire::list::list;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "radar/early_fraud_warnings") => all(world, call),
        ("GET", "radar/early_fraud_warnings/{id}") => {
            need(&world.fraud_warnings, call.id(), "early_fraud_warning").map(|warning| warning.render())
        }
        _ => return None,
    })
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let charge = call.params.text("charge")?.value();
    let intent = call.params.text("payment_intent")?.value();
    let keep = |warning: &FraudWarning| {
        charge.as_ref().is_none_or(|charge| warning.charge == *charge)
            && intent.as_ref().is_none_or(|intent| warning.payment_intent == *intent)
    };
    let url = "/v1/radar/early_fraud_warnings";
    list(&world.fraud_warnings, &call.params, url, None, keep, FraudWarning::render)
}
