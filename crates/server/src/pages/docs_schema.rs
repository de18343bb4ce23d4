//! JSON Schema as far as the API reference needs it: words for a type, its fields, an example.
//!
//! Follows OpenAPI 3.1: `type` may be a list, `$ref` may stand anywhere. Depth is bounded, since schemas may refer to
//! themselves.

use serde_json::{Map, Value};

use super::docs::text;

/// References inside references, and lists inside lists, beyond which words and examples stop.
const MAX_DEPTH: usize = 6;

/// One field of an object.
pub(super) struct SchemaField<'a> {
    pub(super) name: &'a str,
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) description: Option<&'a str>,
}

/// The value that a reference inside the document leads to; the value itself when it is none. A chain of references is
/// followed a few steps.
pub(super) fn resolve<'a>(openapi: &'a Value, value: &'a Value) -> &'a Value {
    let mut at = value;
    for _ in 0..8 {
        let Some(path) = text(at, "$ref").and_then(|reference| reference.strip_prefix('#')) else { break };
        at = openapi.pointer(path).unwrap_or(&Value::Null);
    }
    at
}

/// The type that is not `null`, of a type or a list of types.
fn main_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(one) => Some(one),
        Value::Array(many) => many.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn nullable(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_array).is_some_and(|many| many.iter().any(|kind| kind == "null"))
}

/// The alternatives of a schema, without `null`.
fn alternatives<'a>(openapi: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    ["oneOf", "anyOf"]
        .iter()
        .filter_map(|word| schema.get(word).and_then(Value::as_array))
        .flatten()
        .filter(|one| resolve(openapi, one).get("type") != Some(&Value::String("null".to_owned())))
        .collect()
}

/// A type in words: `string`, `integer (int64)`, `list of string`, `one of open, complete`, `string or null`.
pub(super) fn type_words(openapi: &Value, schema: &Value) -> String {
    words_at(openapi, schema, 0)
}

fn words_at(openapi: &Value, schema: &Value, depth: usize) -> String {
    let name = text(schema, "$ref").and_then(|reference| reference.rsplit('/').next());
    let schema = resolve(openapi, schema);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        return format!("one of {}", values.join(", "));
    }
    let mut words = match main_type(schema) {
        Some("array") => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            let inner =
                if depth < MAX_DEPTH { words_at(openapi, items, depth + 1) } else { "any".to_owned() };
            format!("list of {inner}")
        }
        Some("object") => name.unwrap_or("object").to_owned(),
        Some(kind) => {
            text(schema, "format").map_or_else(|| kind.to_owned(), |format| format!("{kind} ({format})"))
        }
        None => match alternatives(openapi, schema).first() {
            Some(first) if depth < MAX_DEPTH => {
                name.map_or_else(|| words_at(openapi, first, depth + 1), str::to_owned)
            }
            Some(_) | None => name.unwrap_or("any").to_owned(),
        },
    };
    if nullable(schema) {
        words.push_str(" or null");
    }
    words
}

/// The fields of an object, those of its `allOf` parts included.
pub(super) fn fields_of<'a>(openapi: &'a Value, schema: &'a Value) -> Vec<SchemaField<'a>> {
    let schema = resolve(openapi, schema);
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let holders = parts.map(|part| resolve(openapi, part)).chain([schema]);
    let mut fields = Vec::new();
    for holder in holders {
        let required = holder.get("required").and_then(Value::as_array);
        for (name, field) in holder.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
            let description =
                text(field, "description").or_else(|| text(resolve(openapi, field), "description"));
            fields.push(SchemaField {
                name,
                kind: type_words(openapi, field),
                required: is_required,
                description,
            });
        }
    }
    fields
}

/// An example for a schema: its own where it has one, else made from its types. `None` for an empty schema, and for one
/// inside itself.
pub(super) fn example_of(openapi: &Value, schema: &Value) -> Option<Value> {
    example_at(openapi, schema, &[])
}

/// `inside` holds the references that led here.
fn example_at<'a>(openapi: &'a Value, schema: &'a Value, inside: &[&'a str]) -> Option<Value> {
    let mut inside = inside.to_vec();
    if let Some(reference) = text(schema, "$ref") {
        if inside.contains(&reference) {
            return None;
        }
        inside.push(reference);
    }
    if inside.len() > MAX_DEPTH {
        return None;
    }
    let schema = resolve(openapi, schema);
    let given = schema.get("example").or_else(|| schema.pointer("/examples/0"));
    if let Some(given) = given.or_else(|| schema.get("default")).or_else(|| schema.pointer("/enum/0")) {
        return Some(given.clone());
    }
    match main_type(schema) {
        Some("string") => Some(Value::from(string_example(text(schema, "format")))),
        Some("integer" | "number") => Some(schema.get("minimum").cloned().unwrap_or_else(|| Value::from(1))),
        Some("boolean") => Some(Value::from(true)),
        Some("array") => {
            let item = schema.get("items").and_then(|items| example_at(openapi, items, &inside));
            Some(Value::from(item.into_iter().collect::<Vec<_>>()))
        }
        Some("object") => Some(object_example(openapi, schema, &inside)),
        Some(_) | None if schema.get("properties").is_some() || schema.get("allOf").is_some() => {
            Some(object_example(openapi, schema, &inside))
        }
        Some(_) | None => {
            alternatives(openapi, schema).first().and_then(|first| example_at(openapi, first, &inside))
        }
    }
}

fn string_example(format: Option<&str>) -> &'static str {
    match format {
        Some("date-time") => "2026-11-30T14:05:00Z",
        Some("date") => "2026-11-30",
        Some("uri" | "url") => "https://app.example/done",
        Some("email") => "name@example.com",
        Some(_) | None => "string",
    }
}

fn object_example<'a>(openapi: &'a Value, schema: &'a Value, inside: &[&'a str]) -> Value {
    let mut object = Map::new();
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    for holder in parts.map(|part| resolve(openapi, part)).chain([schema]) {
        for (name, field) in holder.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(example) = example_at(openapi, field, inside) {
                object.insert(name.clone(), example);
            }
        }
    }
    Value::Object(object)
}
