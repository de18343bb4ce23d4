//! What changed from version to version in the objects of the API, as one table: each row undoes one change.
//!
//! An object of the newest version becomes one of an older version by undoing all changes that came after that one, in
//! it and in everything inside it. Fields that were only added are left: the provider may add fields at any time.

use serde_json::{Map, Value, json};

use super::Version;
use crate::state::world::World;

type Fields = Map<String, Value>;

/// A change: the version that brought it, the kind of object, and how it is undone.
type Change = (&'static str, &'static str, fn(&World, &mut Fields));

const BASIL: &str = "2025-03-31.basil";
const CLOVER: &str = "2025-09-30.clover";
const DAHLIA: &str = "2026-03-25.dahlia";

/// All changes, newest first.
const CHANGES: &[Change] = &[
    (DAHLIA, "checkout.session", ui_mode),
    (CLOVER, "discount", discount_coupon),
    (CLOVER, "promotion_code", promotion_coupon),
    (BASIL, "charge", charge_invoice),
    (BASIL, "checkout.session", shipping_details),
    (BASIL, "customer", first_discount),
    (BASIL, "invoice", first_discount),
    (BASIL, "invoice", invoice_parent),
    (BASIL, "invoice", invoice_payment),
    (BASIL, "invoice", invoice_taxes),
    (BASIL, "invoiceitem", invoice_item_parent),
    (BASIL, "line_item", line_parent),
    (BASIL, "line_item", line_taxes),
    (BASIL, "payment_intent", intent_invoice),
    (BASIL, "plan", aggregate_usage),
    (BASIL, "price", price_aggregate_usage),
    (BASIL, "subscription", first_discount),
    (BASIL, "subscription", subscription_period),
];

/// Shows a value in the shape of a version.
pub(crate) fn show(world: &World, version: Version, value: &mut Value) {
    // Nothing changed its shape since.
    if CHANGES.iter().all(|(since, _, _)| *since <= version.name()) {
        return;
    }
    undo(world, version, value);
}

fn undo(world: &World, version: Version, value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|element| undo(world, version, element)),
        Value::Object(fields) => {
            let kind = fields.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
            // The object in an event stays as it was when the event was made.
            if kind == "event" {
                return;
            }
            let later = CHANGES.iter().filter(|(since, of, _)| *of == kind && *since > version.name());
            for (_, _, undo) in later {
                undo(world, fields);
            }
            fields.values_mut().for_each(|field| undo(world, version, field));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn set(fields: &mut Fields, name: &str, value: Value) {
    fields.insert(name.to_owned(), value);
}

/// A value below a field, or null.
fn at(fields: &Fields, name: &str, pointer: &str) -> Value {
    fields.get(name).and_then(|field| field.pointer(pointer)).cloned().unwrap_or_default()
}

fn id(fields: &Fields) -> &str {
    fields.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// The words for where a session is shown.
fn ui_mode(_: &World, fields: &mut Fields) {
    let older = match fields.get("ui_mode").and_then(Value::as_str) {
        Some("hosted_page") => "hosted",
        Some("embedded_page") => "embedded",
        Some("elements") => "custom",
        _ => return,
    };
    set(fields, "ui_mode", json!(older));
}

fn shipping_details(_: &World, fields: &mut Fields) {
    let details = at(fields, "collected_information", "/shipping_details");
    set(fields, "shipping_details", details);
}

/// The coupon itself stood where its source stands.
fn coupon(world: &World, fields: &mut Fields, source: &str) {
    let coupon = match at(fields, source, "/coupon") {
        Value::String(id) => world.object(&id).unwrap_or(Value::String(id)),
        other => other,
    };
    fields.remove(source);
    set(fields, "coupon", coupon);
}

fn discount_coupon(world: &World, fields: &mut Fields) {
    coupon(world, fields, "source");
}

fn promotion_coupon(world: &World, fields: &mut Fields) {
    coupon(world, fields, "promotion");
}

/// The first of the discounts was shown whole, beside the list of all.
fn first_discount(world: &World, fields: &mut Fields) {
    let first = match at(fields, "discounts", "/0") {
        Value::String(id) => world.object(&id).unwrap_or_default(),
        other => other,
    };
    if fields.get("discount").is_none_or(Value::is_null) {
        set(fields, "discount", first);
    }
}

/// A subscription had one period, and its items none.
fn subscription_period(_: &World, fields: &mut Fields) {
    for name in ["current_period_start", "current_period_end"] {
        let time = at(fields, "items", &format!("/data/0/{name}"));
        set(fields, name, time);
    }
    let items = fields.get_mut("items").and_then(|items| items.get_mut("data")).and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        item.remove("current_period_start");
        item.remove("current_period_end");
    }
}

fn invoice_parent(_: &World, fields: &mut Fields) {
    let details = at(fields, "parent", "/subscription_details");
    let of = |name: &str| details.get(name).cloned().unwrap_or_default();
    let metadata = if details.is_object() { json!({ "metadata": of("metadata") }) } else { Value::Null };
    set(fields, "subscription", of("subscription"));
    set(fields, "subscription_details", metadata);
    if !of("subscription_proration_date").is_null() {
        set(fields, "subscription_proration_date", of("subscription_proration_date"));
    }
    let quote = at(fields, "parent", "/quote_details/quote");
    set(fields, "quote", quote);
    fields.remove("parent");
}

/// An invoice had one payment and showed it, and showed whether it was paid.
fn invoice_payment(world: &World, fields: &mut Fields) {
    let invoice = world.invoices.get(id(fields));
    let intent = invoice.and_then(|invoice| invoice.payment_intent.clone());
    let charge = intent
        .as_ref()
        .and_then(|intent| world.payment_intents.get(intent))
        .and_then(|intent| intent.latest_charge.clone());
    let paid = fields.get("status").and_then(Value::as_str) == Some("paid");
    let zero = fields.get("amount_due").and_then(Value::as_i64) == Some(0);
    set(fields, "paid", json!(paid));
    set(fields, "paid_out_of_band", json!(paid && !zero && charge.is_none()));
    set(fields, "payment_intent", json!(intent));
    set(fields, "charge", json!(charge));
    for name in ["application_fee_amount", "transfer_data"] {
        fields.entry(name).or_insert(Value::Null);
    }
}

/// Taxes as they were listed: the rate in its own field, the behaviour as a flag.
fn older_taxes(taxes: &Value) -> Vec<Value> {
    let one = |tax: &Value| {
        let of = |name: &str| tax.get(name).cloned().unwrap_or_default();
        json!({
            "amount": of("amount"),
            "inclusive": of("tax_behavior") == "inclusive",
            "tax_rate": tax.pointer("/tax_rate_details/tax_rate").cloned().unwrap_or_default(),
            "taxability_reason": of("taxability_reason"),
            "taxable_amount": of("taxable_amount"),
        })
    };
    taxes.as_array().into_iter().flatten().map(one).collect()
}

fn invoice_taxes(_: &World, fields: &mut Fields) {
    let taxes = older_taxes(&fields.remove("total_taxes").unwrap_or_default());
    let amounts = taxes.iter().filter_map(|tax| tax.get("amount").and_then(Value::as_i64));
    let sum = amounts.fold(None, |sum: Option<i64>, amount| Some(sum.unwrap_or(0).saturating_add(amount)));
    set(fields, "tax", json!(sum));
    set(fields, "total_tax_amounts", Value::Array(taxes));
}

fn line_taxes(_: &World, fields: &mut Fields) {
    let taxes = older_taxes(&fields.remove("taxes").unwrap_or_default());
    set(fields, "tax_amounts", Value::Array(taxes));
    fields.entry("tax_rates").or_insert(json!([]));
}

/// A line, or an item, carried its whole price and the plan that is the same.
fn priced(world: &World, fields: &mut Fields) {
    let price = match at(fields, "pricing", "/price_details/price") {
        Value::String(id) => world.prices.get(&id).map(|price| (price.render(), price.render_plan())),
        _ => None,
    };
    let (price, plan) = price.unwrap_or_default();
    let amount = at(fields, "pricing", "/unit_amount_decimal");
    set(fields, "price", price);
    set(fields, "plan", plan);
    set(fields, "unit_amount_excluding_tax", amount);
    fields.remove("pricing");
}

/// A line said itself what it came from.
fn line_parent(world: &World, fields: &mut Fields) {
    let (subscription, item) =
        (at(fields, "parent", "/subscription_item_details"), at(fields, "parent", "/invoice_item_details"));
    let details = if subscription.is_object() { &subscription } else { &item };
    let of = |name: &str| details.get(name).cloned().unwrap_or_default();
    // Prorations of a subscription came from invoice items.
    let kind =
        if subscription.is_object() && of("invoice_item").is_null() { "subscription" } else { "invoiceitem" };
    let proration = of("proration");
    set(fields, "type", json!(kind));
    set(fields, "proration", if proration.is_null() { json!(false) } else { proration });
    set(fields, "proration_details", of("proration_details"));
    set(fields, "subscription", of("subscription"));
    if kind == "invoiceitem" {
        set(fields, "invoice_item", of("invoice_item"));
    }
    if subscription.is_object() {
        set(fields, "subscription_item", of("subscription_item"));
    }
    fields.remove("parent");
    priced(world, fields);
}

fn invoice_item_parent(world: &World, fields: &mut Fields) {
    let details = at(fields, "parent", "/subscription_details");
    let of = |name: &str| details.get(name).cloned().unwrap_or_default();
    set(fields, "subscription", of("subscription"));
    if !of("subscription_item").is_null() {
        set(fields, "subscription_item", of("subscription_item"));
    }
    let each = at(fields, "pricing", "/unit_amount_decimal");
    let whole = each.as_str().and_then(|each| each.parse::<i64>().ok());
    set(fields, "unit_amount", json!(whole));
    set(fields, "unit_amount_decimal", each);
    fields.remove("parent");
    priced(world, fields);
    fields.remove("unit_amount_excluding_tax");
}

fn intent_invoice(world: &World, fields: &mut Fields) {
    let invoice = world.payment_intents.get(id(fields)).and_then(|intent| intent.invoice.clone());
    set(fields, "invoice", json!(invoice));
}

fn charge_invoice(world: &World, fields: &mut Fields) {
    let intent = fields.get("payment_intent").and_then(|intent| match intent {
        Value::String(id) => Some(id.as_str()),
        other => other.get("id").and_then(Value::as_str),
    });
    let invoice =
        intent.and_then(|id| world.payment_intents.get(id)).and_then(|intent| intent.invoice.clone());
    set(fields, "invoice", json!(invoice));
}

/// How usage records were added up, before there were meters.
fn aggregate_usage(_: &World, fields: &mut Fields) {
    set(fields, "aggregate_usage", Value::Null);
}

fn price_aggregate_usage(world: &World, fields: &mut Fields) {
    if let Some(Value::Object(recurring)) = fields.get_mut("recurring") {
        aggregate_usage(world, recurring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_in_order_and_came_with_versions_that_exist() {
        assert!(CHANGES.iter().rev().is_sorted_by_key(|(since, _, _)| *since));
        for (since, kind, _) in CHANGES {
            assert!(Version::read(Some(since)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn a_value_of_the_newest_version_is_left_alone() {
        let world = World::new(1, String::new(), 0);
        let value = json!({ "object": "subscription", "items": { "data": [{ "current_period_end": 1 }] } });
        let mut shown = value.clone();
        show(&world, Version::newest(), &mut shown);
        assert_eq!(shown, value);
        show(&world, Version::read(Some("2024-06-20")).unwrap(), &mut shown);
        assert_eq!(shown["current_period_end"], 1);
    }
}
