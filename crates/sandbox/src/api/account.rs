//! The account and its balance.

use std::collections::BTreeMap;

use serde_json::{Value, json};

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
        ("GET", "balance") => Ok(balance(world)),
        ("GET", "balance_transactions") => transactions(world, call),
        ("GET", "balance_transactions/{id}") => {
            need(&world.balance_transactions, call.id(), "id").map(|entry| entry.render(world.now))
        }
        _ => return None,
    })
}

/// The balance as it stands.
pub(crate) fn balance(world: &World) -> Value {
    let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for entry in world.balance_transactions.iter() {
        let sum = sums.entry(&entry.currency).or_default();
        let net = entry.net();
        if entry.available_on <= world.now { sum.0 += net } else { sum.1 += net }
    }
    let part = |pick: fn(&(i64, i64)) -> i64| -> Vec<Value> {
        sums.iter().map(|(currency, sum)| json!({ "amount": pick(sum), "currency": currency, "source_types": { "card": pick(sum) } })).collect()
    };
    json!({ "object": "balance", "livemode": false, "available": part(|sum| sum.0), "pending": part(|sum| sum.1) })
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
