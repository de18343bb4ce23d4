//! Transfers and their reversals, application fees and their refunds.

use serde_json::Value;

use super::Call;
use crate::connect::sharing::share_of;
use crate::connect::transfers::NewTransfer;
use crate::model::transfer::{ApplicationFee, FeeRefund, Reversal, Transfer};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    if let Err(error) = world.check_is_platform() {
        return Some(Err(error));
    }
    Some(match (method, path) {
        ("POST", "transfers") => create(world, call),
        ("GET", "transfers") => all(world, call),
        ("GET", "transfers/{id}") => transfer(world, call.id()).map(|transfer| transfer.render()),
        ("POST", "transfers/{id}") => update(world, call),
        ("POST", "transfers/{id}/reversals") => reverse(world, call),
        ("GET", "transfers/{id}/reversals") => reversals(world, call),
        ("GET", "transfers/{transferId}/reversals/{id}") => {
            reversal(world, call).map(|(_, reversal)| reversal.render())
        }
        ("POST", "transfers/{transferId}/reversals/{id}") => update_reversal(world, call),
        ("GET", "application_fees") => fees(world, call),
        ("GET", "application_fees/{id}") => fee(world, call.id()).map(|fee| fee.render()),
        ("POST", "application_fees/{id}/refunds") => refund_fee(world, call),
        ("GET", "application_fees/{id}/refunds") => fee_refunds(world, call),
        ("GET", "application_fees/{feeId}/refunds/{id}") => {
            fee_refund(world, call).map(|(_, refund)| refund.render())
        }
        ("POST", "application_fees/{feeId}/refunds/{id}") => update_fee_refund(world, call),
        _ => return None,
    })
}

fn transfer(world: &World, id: &str) -> ApiResult<Transfer> {
    need(&world.connect.transfers, id, "transfer")
}

fn fee(world: &World, id: &str) -> ApiResult<ApplicationFee> {
    need(&world.connect.fees, id, "fee")
}

/// The second id of the path.
fn part<'a>(call: &Call<'a>) -> &'a str {
    call.ids.get(1).map_or("", String::as_str)
}

fn positive(params: &Params<'_>) -> ApiResult<Option<i64>> {
    match params.int("amount")? {
        Field::Set(amount) if amount <= 0 => {
            Err(ApiError::invalid("parameter_invalid_integer", "amount", "Invalid positive integer"))
        }
        Field::Set(amount) => Ok(Some(amount)),
        Field::Absent | Field::Unset => Ok(None),
    }
}

/// What a transfer is taken from: the group that it then belongs to, and how much.
struct Source {
    group: String,
    /// What of the charge is not passed on yet, in minor units.
    left: i64,
}

fn read_source(world: &World, id: &str, currency: &str) -> ApiResult<Source> {
    let charge = need(&world.charges, id, "source_transaction")?;
    let refuse = |message: String| Err(ApiError::rule(message).param("source_transaction"));
    if charge.taken() == 0 || charge.transfer.is_some() {
        return refuse(format!(
            "Charge {id} cannot be passed on: it failed, or it has a destination already. No money moved."
        ));
    }
    if charge.currency != currency {
        return refuse(format!(
            "The currency of source_transaction's balance transaction ({}) is not the transfer's ({currency}). No money moved.",
            charge.currency
        ));
    }
    let gone: i64 = world
        .connect
        .transfers
        .iter()
        .filter(|transfer| transfer.source_transaction.as_deref() == Some(id))
        .map(|transfer| transfer.amount - transfer.reversed())
        .sum();
    Ok(Source {
        left: charge.taken() - gone,
        group: charge.share.transfer_group.unwrap_or_else(|| format!("group_{id}")),
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let currency = params.required("currency")?.to_ascii_lowercase();
    let destination = params.required("destination")?;
    world.check_destination(&destination, "destination")?;
    let source = params.text("source_transaction")?.value();
    let mut group = params.text("transfer_group")?.value();
    let mut amount = positive(params)?;
    match &source {
        Some(charge) => {
            let found = read_source(world, charge, &currency)?;
            if *amount.get_or_insert(found.left) > found.left {
                let message = format!(
                    "Transfers using this transaction as a source must not exceed what is left of it ({} {currency}). No money moved.",
                    found.left
                );
                return Err(ApiError::rule(message).param("amount"));
            }
            if group.as_ref().is_some_and(|group| *group != found.group) && world.has_group(charge) {
                let message = "The transfer_group of the source_transaction differs. No money moved.";
                return Err(ApiError::rule(message).param("transfer_group"));
            }
            let kept = group.get_or_insert(found.group).clone();
            world.charges.edit(charge, |charge| charge.share.transfer_group = Some(kept));
        }
        None => {
            params.required("amount")?;
            let (available, _) = world.balance_in(&currency);
            if amount.is_some_and(|amount| amount > available) {
                let message = "You have insufficient available funds in your Stripe account. Try adding funds directly to your available balance by creating Charges using the 4000000000000077 test card, name a `source_transaction`, or move the sandbox's clock. No money moved.";
                return Err(ApiError::state("balance_insufficient", message));
            }
        }
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let amount = amount.filter(|amount| *amount > 0);
    let amount = amount.ok_or_else(|| ApiError::rule("Nothing is left to transfer.").param("amount"))?;
    let transfer = world.add_transfer(NewTransfer {
        amount,
        currency,
        destination,
        description: params.text("description")?.value(),
        metadata,
        source,
        transfer_group: group,
        fee: 0,
    });
    Ok(transfer.render())
}

impl World {
    fn has_group(&self, charge: &str) -> bool {
        self.charges.get(charge).is_some_and(|charge| charge.share.transfer_group.is_some())
    }
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let destination = call.params.text("destination")?.value();
    let group = call.params.text("transfer_group")?.value();
    let keep = |transfer: &Transfer| {
        destination.as_ref().is_none_or(|id| transfer.destination == *id)
            && group.as_ref().is_none_or(|group| transfer.transfer_group.as_ref() == Some(group))
    };
    list(&world.connect.transfers, &call.params, "/v1/transfers", None, keep, Transfer::render)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut transfer = transfer(world, call.id())?;
    let before = transfer.render();
    call.params.metadata_into(&mut transfer.metadata)?;
    call.params.text("description")?.apply(&mut transfer.description);
    let after = transfer.render();
    world.connect.transfers.put(transfer);
    world.emit_change("transfer.updated", &before, after.clone());
    Ok(after)
}

fn reverse(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let transfer = transfer(world, call.id())?;
    let left = transfer.amount - transfer.reversed();
    let amount = positive(params)?.unwrap_or(left);
    if amount == 0 || amount > left {
        let message = format!(
            "Reversal amount ({amount} {0}) is greater than what is left of the transfer ({left} {0}). No money moved.",
            transfer.currency
        );
        return Err(ApiError::rule(message).param("amount"));
    }
    let there = world.within(&transfer.destination, |books| books.balance_in(&transfer.currency));
    let (available, pending) = there.unwrap_or_default();
    if available.saturating_add(pending) < amount {
        let message =
            "The destination account has an insufficient balance to reverse this transfer. No money moved.";
        return Err(ApiError::state("balance_insufficient", message));
    }
    let fee = if params.flag("refund_application_fee")? == Field::Set(true) {
        let fees = &world.connect.fees;
        let fee = fees.iter().find(|fee| fee.charge == transfer.destination_payment).cloned();
        let fee = fee.ok_or_else(|| {
            ApiError::rule("This transfer has no application fee to refund. No money moved.")
                .param("refund_application_fee")
        })?;
        let share = share_of(fee.amount, transfer.reversed(), amount, transfer.amount);
        Some((fee.id.clone(), share.min(fee.amount - fee.refunded()))).filter(|(_, share)| *share > 0)
    } else {
        None
    };
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let share = fee.as_ref().map_or(0, |(_, share)| *share);
    let id = world.reverse_transfer(&transfer.id, amount, share, None, metadata).unwrap_or_default();
    if let Some((fee, share)) = fee {
        world.refund_fee(&fee, share, Metadata::new(), true);
    }
    find_reversal(world, &transfer.id, &id).map(|(_, reversal)| reversal.render())
}

fn find_reversal(world: &World, transfer_id: &str, id: &str) -> ApiResult<(Transfer, Reversal)> {
    let transfer = transfer(world, transfer_id)?;
    let found = transfer.reversals.iter().find(|reversal| reversal.id == id).cloned();
    let reversal = found.ok_or_else(|| ApiError::missing("transfer reversal", id, "id"))?;
    Ok((transfer, reversal))
}

fn reversal(world: &World, call: &Call<'_>) -> ApiResult<(Transfer, Reversal)> {
    find_reversal(world, call.id(), part(call))
}

fn reversals(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let transfer = transfer(world, call.id())?;
    let all = transfer.reversals.iter().rev().map(Reversal::render).collect();
    list_values(all, &call.params, &format!("/v1/transfers/{}/reversals", transfer.id))
}

fn update_reversal(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (mut transfer, mut changed) = reversal(world, call)?;
    call.params.metadata_into(&mut changed.metadata)?;
    let object = changed.render();
    for reversal in transfer.reversals.iter_mut().filter(|reversal| reversal.id == changed.id) {
        *reversal = changed.clone();
    }
    world.connect.transfers.put(transfer);
    Ok(object)
}

fn fees(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let charge = call.params.text("charge")?.value();
    let keep = |fee: &ApplicationFee| {
        let of = |id: &String| fee.charge == *id || fee.originating_transaction.as_ref() == Some(id);
        charge.as_ref().is_none_or(of)
    };
    list(&world.connect.fees, &call.params, "/v1/application_fees", None, keep, ApplicationFee::render)
}

fn refund_fee(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let fee = fee(world, call.id())?;
    let left = fee.amount - fee.refunded();
    let amount = positive(params)?.unwrap_or(left);
    if amount == 0 || amount > left {
        let message = format!(
            "Refund amount ({amount} {0}) is greater than what is left of the fee ({left} {0}). No money moved.",
            fee.currency
        );
        return Err(ApiError::rule(message).param("amount"));
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let refund = world.refund_fee(&fee.id, amount, metadata, false);
    refund.map(|refund| refund.render()).ok_or_else(|| ApiError::missing("fee", &fee.id, "id"))
}

fn fee_refund(world: &World, call: &Call<'_>) -> ApiResult<(ApplicationFee, FeeRefund)> {
    let fee = fee(world, call.id())?;
    let found = fee.refunds.iter().find(|refund| refund.id == part(call)).cloned();
    let refund = found.ok_or_else(|| ApiError::missing("fee refund", part(call), "id"))?;
    Ok((fee, refund))
}

fn fee_refunds(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let fee = fee(world, call.id())?;
    let all = fee.refunds.iter().rev().map(FeeRefund::render).collect();
    list_values(all, &call.params, &format!("/v1/application_fees/{}/refunds", fee.id))
}

fn update_fee_refund(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (mut fee, mut changed) = fee_refund(world, call)?;
    let before = changed.render();
    call.params.metadata_into(&mut changed.metadata)?;
    let after = changed.render();
    for refund in fee.refunds.iter_mut().filter(|refund| refund.id == changed.id) {
        *refund = changed.clone();
    }
    world.connect.fees.put(fee);
    world.emit_change("application_fee.refund.updated", &before, after.clone());
    Ok(after)
}
