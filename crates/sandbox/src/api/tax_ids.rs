//! The tax IDs of customers. Those of the seller's own account are not played.

use serde_json::{Value, json};

use super::Call;
use crate::model::tax_id::{TaxId, Verification, is_type};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::Params;

/// How many a new customer can bring.
const MOST: usize = 5;
/// How long an office takes to answer, in seconds.
const ANSWERED_AFTER: i64 = 10;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "customers/{id}/tax_ids") => all(world, call),
        ("POST", "customers/{id}/tax_ids") => create(world, call),
        ("GET", "customers/{customerId}/tax_ids/{id}") => find(world, call).map(|tax_id| tax_id.render()),
        ("DELETE", "customers/{customerId}/tax_ids/{id}") => delete(world, call),
        _ => return None,
    })
}

fn read(params: &Params<'_>) -> ApiResult<(String, String)> {
    let (kind, value) = (params.required("type")?, params.required("value")?);
    if !is_type(&kind) {
        let message = format!("Invalid type: there are no tax IDs of type '{kind}'.");
        return Err(ApiError::rule(message).param(&params.full("type")));
    }
    let plain = value.chars().all(|char| char.is_ascii_alphanumeric() || " -./&".contains(char));
    let of_country =
        kind != "eu_vat" || value.get(..2).is_some_and(|head| head.chars().all(char::is_alphabetic));
    if !plain || value.len() > 40 || !of_country {
        let message = format!("Invalid value for {kind}.");
        return Err(ApiError::invalid("tax_id_invalid", &params.full("value"), message));
    }
    Ok((kind, value))
}

/// The tax IDs that a new customer brings.
pub(super) fn read_all(params: &Params<'_>) -> ApiResult<Vec<(String, String)>> {
    let given = params.list("tax_id_data");
    if given.len() > MOST {
        return Err(ApiError::rule(format!("Pass at most {MOST} tax IDs.")).param("tax_id_data"));
    }
    given.iter().map(read).collect()
}

impl World {
    /// Gives a customer a number of a type, and tells of it. Answers the object.
    pub(super) fn add_tax_id(&mut self, customer: &str, kind: String, value: String) -> Value {
        let tax_id = TaxId {
            id: self.chance.id("txi_"),
            created: self.now,
            customer: customer.to_owned(),
            verification: TaxId::at_first(&kind),
            kind,
            value,
        };
        let object = tax_id.render();
        if tax_id.verification == Verification::Pending && tax_id.answer().is_some() {
            self.timers.set(self.now + ANSWERED_AFTER, Timer::TaxIdAnswered(tax_id.id.clone()));
        }
        self.tax_ids.put(tax_id);
        self.emit("customer.tax_id.created", object.clone());
        object
    }

    /// An office has answered.
    pub(crate) fn tax_id_answered(&mut self, id: &str) {
        let Some(mut tax_id) = self.tax_ids.get(id).cloned() else {
            return;
        };
        let before = tax_id.render();
        tax_id.verification = tax_id.answer().unwrap_or(tax_id.verification);
        let after = tax_id.render();
        self.tax_ids.put(tax_id);
        self.emit_change("customer.tax_id.updated", &before, after);
    }

    /// The types and values of a customer's tax IDs, as their invoices show them.
    pub(crate) fn tax_ids_of(&self, customer: &str) -> Vec<(String, String)> {
        self.tax_ids.of(customer).map(|tax_id| (tax_id.kind.clone(), tax_id.value.clone())).collect()
    }
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(call.id(), "customer")?;
    let (kind, value) = read(&call.params)?;
    Ok(world.add_tax_id(&customer.id, kind, value))
}

fn find(world: &World, call: &Call<'_>) -> ApiResult<TaxId> {
    let customer = world.live_customer(call.id(), "customer")?;
    let id = call.ids.get(1).map_or("", String::as_str);
    let tax_id = need(&world.tax_ids, id, "id")?;
    if tax_id.customer == customer.id { Ok(tax_id) } else { Err(ApiError::missing("tax ID", id, "id")) }
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = world.live_customer(call.id(), "customer")?;
    let url = format!("/v1/customers/{}/tax_ids", customer.id);
    list(&world.tax_ids, &call.params, &url, Some(&customer.id), |_| true, TaxId::render)
}

fn delete(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let tax_id = find(world, call)?;
    world.tax_ids.remove(&tax_id.id);
    world.emit("customer.tax_id.deleted", tax_id.render());
    Ok(json!({ "id": tax_id.id, "object": "tax_id", "deleted": true }))
}
