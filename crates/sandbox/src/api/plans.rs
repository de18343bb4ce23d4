//! Plans: the older view of recurring prices. A plan is a price, made and shown in older words.

use serde_json::{Value, json};

use super::Call;
use crate::model::product::Price;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::form::{Param, Tree};
use crate::wire::list::list;
use crate::wire::params::{Field, Params};

/// Names of a plan's parameters and those of a price; the second list is below `recurring`.
const OF_PRICE: [(&str, &str); 10] = [
    ("currency", "currency"),
    ("active", "active"),
    ("amount", "unit_amount"),
    ("amount_decimal", "unit_amount_decimal"),
    ("billing_scheme", "billing_scheme"),
    ("metadata", "metadata"),
    ("nickname", "nickname"),
    ("tiers", "tiers"),
    ("tiers_mode", "tiers_mode"),
    ("transform_usage", "transform_quantity"),
];
const OF_RECURRING: [&str; 5] = ["interval", "interval_count", "meter", "trial_period_days", "usage_type"];

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "plans") => create(world, call),
        ("GET", "plans") => all(world, call),
        ("GET", "plans/{id}") => plan(world, call.id()).map(|price| price.render_plan()),
        ("POST", "plans/{id}") => update(world, call),
        ("DELETE", "plans/{id}") => delete(world, call.id()),
        _ => return None,
    })
}

/// A recurring price that is not deleted.
fn plan(world: &World, id: &str) -> ApiResult<Price> {
    let price = world.prices.get(id).filter(|price| is_plan(price));
    price.cloned().ok_or_else(|| ApiError::missing("plan", id, "plan"))
}

fn is_plan(price: &Price) -> bool {
    price.recurring.is_some() && !price.deleted
}

/// The parameters as a price has them.
fn of_price(given: &Tree) -> Tree {
    let mut tree = Tree::new();
    for (plan, price) in OF_PRICE {
        if let Some(param) = given.get(plan) {
            tree.insert(price.to_owned(), param.clone());
        }
    }
    let recurring: Tree = OF_RECURRING
        .iter()
        .filter_map(|name| given.get(*name).map(|param| ((*name).to_owned(), param.clone())))
        .collect();
    tree.insert("recurring".to_owned(), Param::Tree(recurring));
    match given.get("product") {
        Some(Param::Tree(product)) => {
            tree.insert("product_data".to_owned(), Param::Tree(product.clone()));
        }
        Some(Param::Text(product)) => {
            tree.insert("product".to_owned(), Param::Text(product.clone()));
        }
        None => {}
    }
    tree
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    params.required("interval")?;
    let id = match params.text("id")?.value() {
        Some(id) if world.prices.get(&id).is_some() => {
            return Err(ApiError::state("resource_already_exists", "Plan already exists.").param("id"));
        }
        Some(id) => id,
        None => world.chance.id("plan_"),
    };
    let tree = of_price(params.tree());
    world.add_price_as(&Params::root(&tree), None, Some(id.clone()))?;
    let object = plan(world, &id)?.render_plan();
    world.emit("plan.created", object.clone());
    Ok(object)
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut price = plan(world, call.id())?;
    let (before, before_plan) = (price.render(), price.render_plan());
    if let Field::Set(active) = params.flag("active")? {
        price.active = active;
    }
    params.text("nickname")?.apply(&mut price.nickname);
    params.metadata_into(&mut price.metadata)?;
    if let Field::Set(product) = params.text("product")? {
        price.product = need(&world.products, &product, "product")?.id;
    }
    let days = params.int_within("trial_period_days", 1..=730)?;
    if let Some(recurring) = &mut price.recurring {
        days.apply(&mut recurring.trial_days);
    }
    let after = price.render_plan();
    world.emit_change("plan.updated", &before_plan, after.clone());
    world.emit_change("price.updated", &before, price.render());
    world.prices.put(price);
    Ok(after)
}

/// Nobody can subscribe to it any more; those who have keep it.
fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    let mut price = plan(world, id)?;
    let object = price.render_plan();
    (price.active, price.deleted) = (false, true);
    world.prices.put(price);
    world.emit("plan.deleted", object);
    Ok(json!({ "id": id, "object": "plan", "deleted": true }))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let active = call.params.flag("active")?.value();
    let product = call.params.text("product")?.value();
    let keep = |price: &Price| {
        is_plan(price)
            && active.is_none_or(|active| price.active == active)
            && product.as_ref().is_none_or(|product| price.product == *product)
    };
    list(&world.prices, &call.params, "/v1/plans", None, keep, Price::render_plan)
}
