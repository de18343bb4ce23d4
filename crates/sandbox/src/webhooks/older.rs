//! Renders objects in the shape of API versions before 2025-03-31, for endpoints that were made with one.
//!
//! Covers subscriptions, invoices and their lines: the objects whose move broke most programs.

use serde_json::{Map, Value, json};

/// Versions before this one have the older shapes; version names sort by date.
const FIRST_OF_BASIL: &str = "2025-03-31";

/// An object, and the former values of a change, as the version shows them.
pub(crate) fn for_version(
    version: &str,
    object: &Value,
    previous: Option<&Value>,
    extra: &Map<String, Value>,
) -> (Value, Option<Value>) {
    let mut object = object.clone();
    let mut previous = previous.cloned();
    if version.get(..10).unwrap_or(version) < FIRST_OF_BASIL {
        match object.get("object").and_then(Value::as_str) {
            Some("subscription") => {
                older_subscription(&mut object);
                if let Some(previous) = &mut previous {
                    older_subscription(previous);
                }
            }
            Some("invoice") => older_invoice(&mut object, extra),
            _ => {}
        }
    }
    (object, previous)
}

/// `current_period_*` stood on the subscription itself.
fn older_subscription(value: &mut Value) {
    for field in ["current_period_start", "current_period_end"] {
        let from_item = value.pointer(&format!("/items/data/0/{field}")).cloned();
        if let (Some(time), Some(fields)) = (from_item, value.as_object_mut()) {
            fields.insert(field.to_owned(), time);
        }
    }
}

/// `subscription`, `payment_intent`, `charge` and `paid` stood on the invoice, `price` on its lines.
fn older_invoice(value: &mut Value, extra: &Map<String, Value>) {
    let subscription =
        value.pointer("/parent/subscription_details/subscription").cloned().unwrap_or_default();
    let metadata = value.pointer("/parent/subscription_details/metadata").cloned().unwrap_or_default();
    let paid = value.get("status").and_then(Value::as_str) == Some("paid");
    if let Some(lines) = value.pointer_mut("/lines/data").and_then(Value::as_array_mut) {
        for line in lines {
            older_line(line);
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.insert("subscription".to_owned(), subscription);
        fields.insert("subscription_details".to_owned(), json!({ "metadata": metadata }));
        fields.insert("paid".to_owned(), json!(paid));
        fields.insert("paid_out_of_band".to_owned(), json!(false));
        fields.remove("parent");
        for (name, field) in extra {
            fields.insert(name.clone(), field.clone());
        }
    }
}

fn older_line(line: &mut Value) {
    let details = line.pointer("/parent/subscription_item_details").cloned().unwrap_or_default();
    let price = line.pointer("/pricing/price_details/price").cloned().unwrap_or_default();
    let product = line.pointer("/pricing/price_details/product").cloned().unwrap_or_default();
    if let Some(fields) = line.as_object_mut() {
        let kind = if details.is_object() { "subscription" } else { "invoiceitem" };
        fields.insert("type".to_owned(), json!(kind));
        fields.insert("proration".to_owned(), details.get("proration").cloned().unwrap_or(json!(false)));
        fields.insert(
            "subscription_item".to_owned(),
            details.get("subscription_item").cloned().unwrap_or_default(),
        );
        fields.insert("price".to_owned(), json!({ "id": price, "object": "price", "product": product }));
        fields.remove("parent");
        fields.remove("pricing");
    }
}
