//! The account and its balance.

use serde_json::Value;

use super::Call;
use crate::model::money::BalanceTransaction;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "account") => Ok(world.render_account()),
        ("GET", "balance") => Ok(world.balance_value()),
        ("GET", "balance_transactions") => transactions(world, call),
        ("GET", "balance_transactions/{id}") => {
            need(&world.balance_transactions, call.id(), "id").map(|entry| entry.render(world.now))
        }
        _ => return None,
    })
}

fn transactions(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let kind = params.text("type")?.value();
    let source = params.text("source")?.value();
    let currency = params.text("currency")?.value();
    let payout = params.text("payout")?.value();
    if let Some(payout) = &payout
        && !need(&world.payouts, payout, "payout")?.automatic
    {
        let message = "Balance transactions can only be filtered by payouts of the schedule, not by those made by hand.";
        return Err(ApiError::rule(message).param("payout"));
    }
    let keep = |entry: &BalanceTransaction| {
        kind.as_ref().is_none_or(|kind| entry.kind == *kind)
            && source.as_ref().is_none_or(|source| entry.source == *source)
            && payout.as_ref().is_none_or(|payout| entry.payout.as_ref() == Some(payout))
            && currency.as_ref().is_none_or(|currency| entry.currency == *currency)
    };
    list(&world.balance_transactions, params, "/v1/balance_transactions", None, keep, |entry| {
        entry.render(world.now)
    })
}
