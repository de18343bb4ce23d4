//! Disputes: read, answered with evidence, given up.

use serde_json::Value;

use super::Call;
use crate::model::dispute::Dispute;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::Field;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("GET", "disputes") => all(world, call),
        ("GET", "disputes/{id}") => one(world, id),
        ("POST", "disputes/{id}") => update(world, call),
        ("POST", "disputes/{id}/close") => world.close_dispute(id, false).and_then(|()| one(world, id)),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.disputes, id, "id").map(|dispute| world.dispute_value(&dispute))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let charge = call.params.text("charge")?.value();
    let intent = call.params.text("payment_intent")?.value();
    let keep = |dispute: &Dispute| {
        charge.as_ref().is_none_or(|charge| dispute.charge == *charge)
            && intent.as_ref().is_none_or(|intent| dispute.payment_intent == *intent)
    };
    let render = |dispute: &Dispute| world.dispute_value(dispute);
    list(&world.disputes, &call.params, "/v1/disputes", None, keep, render)
}

/// Keeps evidence and, unless `submit` is false, sends it to the issuer.
fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut dispute = need(&world.disputes, call.id(), "id")?;
    let before = world.dispute_value(&dispute);
    params.metadata_into(&mut dispute.metadata)?;
    let methods = ["manual", "prefer_manual", "prefer_smart_disputes", "smart_disputes"];
    let intended = params.one_of("intended_submission_method", &methods)?;
    if matches!(intended, Field::Set("smart_disputes" | "prefer_smart_disputes")) {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "intended_submission_method",
            "The sandbox writes no evidence of its own; submit it by hand.",
        ));
    }
    if let Field::Set(word) = intended {
        dispute.intended_submission_method = Some(word.to_owned());
    }
    let given = match params.free("evidence") {
        Some(Value::Object(given)) => given,
        Some(_) | None => serde_json::Map::new(),
    };
    let submit = params.flag("submit")?;
    let submits = match submit {
        Field::Set(submit) => submit,
        Field::Absent | Field::Unset => !given.is_empty(),
    };
    if (submits || !given.is_empty()) && dispute.status.is_closed() {
        return Err(ApiError::rule("This dispute is already closed. Nothing changed."));
    }
    let known = Dispute::evidence_names();
    for (name, value) in given {
        if !known.contains_key(&name) {
            let full = format!("evidence[{name}]");
            let message = format!("Received unknown parameter: {full}");
            return Err(ApiError::invalid("parameter_unknown", &full, message));
        }
        match value {
            Value::Null => dispute.evidence.remove(&name),
            value => dispute.evidence.insert(name, value),
        };
    }
    let after = world.dispute_value(&dispute);
    world.disputes.put(dispute);
    world.emit_change("charge.dispute.updated", &before, after);
    if submits {
        world.submit_evidence(call.id())?;
    }
    one(world, call.id())
}
