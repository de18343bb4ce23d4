//! The items of subscriptions, one by one. Every change is a change of the subscription, with its prorations.

use serde_json::{Value, json};

use super::Call;
use super::subscription_changes::{check_editable, read_item, read_payment, read_proration};
use crate::billing::change::{Change, ItemChange};
use crate::model::subscription::Subscription;
use crate::model::terms::TermsChange;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list_values;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("GET", "subscription_items") => all(world, call),
        ("POST", "subscription_items") => create(world, call),
        ("GET", "subscription_items/{id}") => one(world, call.id()),
        ("POST", "subscription_items/{id}") => update(world, call),
        ("DELETE", "subscription_items/{id}") => delete(world, call),
        _ => return None,
    })
}

/// The subscription that an item belongs to.
fn owner(world: &World, item: &str) -> ApiResult<Subscription> {
    let holds = |found: &&Subscription| found.items.iter().any(|held| held.id == item);
    let found = world.subscriptions.iter().find(holds).cloned();
    found.ok_or_else(|| ApiError::missing("subscription_item", item, "item"))
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    let subscription = owner(world, id)?;
    let item = subscription.items.iter().find(|item| item.id == id);
    Ok(item.map(|item| subscription.render_item(item, &world.prices)).unwrap_or_default())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let subscription = need(&world.subscriptions, &call.params.required("subscription")?, "subscription")?;
    let rendered =
        subscription.items.iter().map(|item| subscription.render_item(item, &world.prices)).collect();
    list_values(rendered, &call.params, "/v1/subscription_items")
}

/// Carries the change of one item out.
fn change(
    world: &mut World,
    call: &Call<'_>,
    subscription: &Subscription,
    item: ItemChange,
) -> ApiResult<()> {
    let params = &call.params;
    check_editable(subscription, ["items"].into_iter())?;
    let (strictness, presence) = read_payment(params)?;
    let change = Change {
        items: vec![item],
        proration: read_proration(params)?,
        at: params.int("proration_date")?.value(),
        restart: false,
        trial_end: None,
        terms: TermsChange::default(),
        extras: Vec::new(),
        end: None,
    };
    world.apply_change(&subscription.id, &change, strictness, presence)
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let subscription = need(&world.subscriptions, &call.params.required("subscription")?, "subscription")?;
    let item = read_item(world, &call.params, &subscription)?;
    if item.price.is_none() {
        return Err(ApiError::invalid("parameter_missing", "price", "Missing required param: price."));
    }
    change(world, call, &subscription, item)?;
    let known = |id: &str| subscription.items.iter().any(|item| item.id == id);
    let changed = need(&world.subscriptions, &subscription.id, "subscription")?;
    let added = changed.items.iter().find(|item| !known(&item.id));
    Ok(added.map(|item| changed.render_item(item, &world.prices)).unwrap_or_default())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let subscription = owner(world, call.id())?;
    let item =
        ItemChange { id: Some(call.id().to_owned()), ..read_item(world, &call.params, &subscription)? };
    change(world, call, &subscription, item)?;
    one(world, call.id())
}

fn delete(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let subscription = owner(world, call.id())?;
    if subscription.items.len() == 1 {
        return Err(ApiError::rule(
            "A subscription must have at least one active price. To end it, cancel the subscription.",
        ));
    }
    let item = ItemChange { id: Some(call.id().to_owned()), deleted: true, ..ItemChange::default() };
    change(world, call, &subscription, item)?;
    Ok(json!({ "id": call.id(), "object": "subscription_item", "deleted": true }))
}
