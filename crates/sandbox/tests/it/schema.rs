//! Checks answers against the published types of version 2026-10-28.endive: required fields, types, known words, and
//! no field that the types do not have. Errors are held against the published error, and a path that nobody published
//! fails.
//!
//! The schema is not part of the repository; without it the check says so once and passes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Once};

use quittance_sandbox::HttpResponse;
use serde_json::Value;

/// Played although the schema does not have them: what Stripe's own pages and command-line program call, and what the
/// schema's library leaves out.
const UNPUBLISHED: &[&str] = &[
    "/v1/events/{id}/retry",
    "/v1/payment_pages/{id}",
    "/v1/payment_pages/{id}/confirm",
    "/v1/stripecli/sessions",
    "/v1/topups",
    "/v1/topups/{id}",
    "/v1/topups/{id}/cancel",
    "/v1/customers/{id}/sources",
    "/v1/radar/early_fraud_warnings",
    "/v1/radar/early_fraud_warnings/{id}",
    "/v1/accounts/{id}/external_accounts",
    "/v1/accounts/{id}/external_accounts/{id}",
];

/// Codes beside the published ones: of refusals that only a sandbox has, and one of version 2.
const OWN_CODES: &[&str] = &[
    "billing_meter_event_session_expired",
    "parameter_not_in_sandbox",
    "call_not_in_sandbox",
    "version_not_in_sandbox",
    "checkout_session_not_open",
];

static SCHEMA: LazyLock<Option<Value>> =
    LazyLock::new(|| std::fs::read(schema_path()).ok().and_then(|text| serde_json::from_slice(&text).ok()));

fn schema_path() -> PathBuf {
    std::env::var("QUITTANCE_STRIPE_SCHEMA").map(PathBuf::from).unwrap_or_else(|_| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("../../../shared/specs/stripe/stripe-2026-10-28.endive.schema.json")
    })
}

/// A file that lies beside the schema, where it is at hand.
pub fn beside(name: &str) -> Option<Vec<u8>> {
    std::fs::read(schema_path().with_file_name(name)).ok()
}

static SKIPPED: Once = Once::new();

fn published() -> Option<&'static Value> {
    if SCHEMA.is_none() {
        // Past the capture of the test runner, so that it is seen.
        SKIPPED.call_once(|| {
            let _ = writeln!(std::io::stderr(), "SKIPPED: no schema of the API here, so answers are not checked (QUITTANCE_STRIPE_SCHEMA names it)");
        });
    }
    SCHEMA.as_ref()
}

fn matches(template: &str, parts: &[&str]) -> bool {
    let names: Vec<&str> = template.split('/').collect();
    names.len() == parts.len()
        && names.iter().zip(parts).all(|(name, part)| name.starts_with('{') || name == part)
}

/// Checks any answer of the API: an object against the type that its call returns, an error against the error type.
pub fn check_response(method: &str, path: &str, response: &HttpResponse) {
    if response.lost {
        return;
    }
    let answer = response.value();
    assert!(
        answer.is_object(),
        "{method} {path}: {} is no JSON object",
        String::from_utf8_lossy(&response.body)
    );
    match response.status {
        200..300 => check_answer(method, path, &answer),
        _ => check_error(method, path, &answer),
    }
}

/// Checks an answer of the API against the type that its call returns.
pub fn check_answer(method: &str, path: &str, answer: &Value) {
    let Some(schema) = published() else { return };
    if let Err(fault) = fits_call(schema, method, path, answer) {
        panic!("{method} {path}: {fault}\n{answer:#}");
    }
}

fn fits_call(schema: &Value, method: &str, path: &str, answer: &Value) -> Result<(), String> {
    let parts: Vec<&str> = path.split('/').collect();
    if UNPUBLISHED.iter().any(|template| matches(template, &parts)) {
        return Ok(());
    }
    let method = method.to_ascii_lowercase();
    let paths = schema["paths"].as_object().expect("paths");
    let mut found: Vec<&String> = paths
        .iter()
        .filter(|(template, calls)| matches(template, &parts) && calls.get(&method).is_some())
        .map(|(template, _)| template)
        .collect();
    found.sort_by_key(|template| template.matches('{').count());
    let Some(call) = found.first().map(|template| &paths[*template][&method]) else {
        return Err("no published call has this method and path".to_owned());
    };
    let response = &call["response"];
    if response["$ref"] == "#/$defs/V2ListPromise" {
        let resource = call["op"].as_str().and_then(|op| op.strip_suffix(".list")).unwrap_or_default();
        return fits_v2_list(schema, resource, answer);
    }
    fits_type(schema, response, answer, "answer")
}

/// A list of version 2 of the API, whose type the library leaves to its iterator.
fn fits_v2_list(schema: &Value, resource: &str, answer: &Value) -> Result<(), String> {
    let fields = answer.as_object().ok_or("the list is no object")?;
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    if names != ["data", "next_page_url", "previous_page_url"] {
        return Err(format!("a list has not the fields {names:?}"));
    }
    let data = answer["data"].as_array().ok_or("'data' is no list")?;
    data.iter().try_for_each(|element| fits_type(schema, &schema["$defs"][resource], element, resource))
}

fn check_error(method: &str, path: &str, answer: &Value) {
    let Some(schema) = published() else { return };
    let fault = fits_error(schema, answer);
    if let Err(fault) = fault {
        panic!("{method} {path}: {fault}\n{answer:#}");
    }
}

fn fits_error(schema: &Value, answer: &Value) -> Result<(), String> {
    let fields = answer.as_object().ok_or("no object")?;
    if fields.len() != 1 {
        return Err("an error has no field beside 'error'".to_owned());
    }
    let mut error = answer["error"].clone();
    if !error["message"].is_string() {
        return Err("an error has no message".to_owned());
    }
    if let Some(code) = error.get("code").and_then(Value::as_str)
        && OWN_CODES.contains(&code)
        && let Some(fields) = error.as_object_mut()
    {
        fields.remove("code");
    }
    // A type of version 2 alone, which the published type of version 1 does not have.
    if error["type"] == "temporary_session_expired" {
        error["type"] = Value::from("invalid_request_error");
    }
    fits_type(schema, &schema["$defs"]["PaymentIntent.LastPaymentError"], &error, "error")
}

/// Checks an object against a named type.
pub fn check_object(name: &str, object: &Value) {
    if let Some(schema) = published()
        && let Err(fault) = fits_type(schema, &schema["$defs"][name], object, name)
    {
        panic!("{fault}\n{object:#}");
    }
}

fn resolve<'a>(schema: &'a Value, kind: &'a Value) -> &'a Value {
    match kind["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => resolve(schema, &schema["$defs"][name]),
        None => kind,
    }
}

/// Whether an option of a union names the value by a constant, such as `object` or `type`.
fn is_named(schema: &Value, option: &Value, value: &Value) -> bool {
    let properties = &resolve(schema, option)["properties"];
    ["object", "type"]
        .iter()
        .any(|name| properties[*name].get("const").is_some_and(|constant| value.get(*name) == Some(constant)))
}

fn fits_union(schema: &Value, options: &[Value], value: &Value, place: &str) -> Result<(), String> {
    let mut faults = Vec::new();
    for option in options {
        match fits_type(schema, option, value, place) {
            Ok(()) => return Ok(()),
            Err(fault) => faults.push((!is_named(schema, option, value), fault)),
        }
    }
    // What an option that names the value has against it says most.
    faults.sort();
    faults.truncate(6);
    let faults: Vec<String> = faults.into_iter().map(|(_, fault)| fault).collect();
    Err(faults.join(" / "))
}

fn fits_type(schema: &Value, kind: &Value, value: &Value, place: &str) -> Result<(), String> {
    let kind = resolve(schema, kind);
    for union in ["anyOf", "oneOf"] {
        if let Some(options) = kind[union].as_array() {
            return fits_union(schema, options, value, place);
        }
    }
    if let Some(constant) = kind.get("const") {
        return if constant == value { Ok(()) } else { Err(format!("{place}: {value} is not {constant}")) };
    }
    if let Some(words) = kind["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{place}: {value} is none of {words:?}"));
    }
    if let Some(words) = kind["x-known"].as_array()
        && !value.is_null()
        && !words.contains(value)
    {
        return Err(format!("{place}: {value} is none of the known {words:?}"));
    }
    if let Some(kinds) = kind["type"].as_array() {
        let faults: Vec<String> = kinds
            .iter()
            .filter_map(|name| fits_plain(schema, kind, name.as_str(), value, place).err())
            .collect();
        return if faults.len() == kinds.len() { Err(faults.join(" / ")) } else { Ok(()) };
    }
    fits_plain(schema, kind, kind["type"].as_str(), value, place)
}

fn fits_plain(
    schema: &Value,
    kind: &Value,
    name: Option<&str>,
    value: &Value,
    place: &str,
) -> Result<(), String> {
    match name {
        Some("object") => fits_object(schema, kind, value, place),
        Some("array") => {
            let list = value.as_array().ok_or_else(|| format!("{place}: {value} is no list"))?;
            list.iter().enumerate().try_for_each(|(index, element)| {
                fits_type(schema, &kind["items"], element, &format!("{place}[{index}]"))
            })
        }
        Some("string") if !value.is_string() => Err(format!("{place}: {value} is no text")),
        // Percentages and usage are the only numbers with decimals.
        Some("number" | "integer")
            if value.is_f64() && !place.contains("percent") && !place.contains("aggregated_value") =>
        {
            Err(format!("{place}: {value} is no whole number"))
        }
        Some("number" | "integer") if !value.is_number() => {
            Err(format!("{place}: {value} is no whole number"))
        }
        Some("boolean") if !value.is_boolean() => Err(format!("{place}: {value} is no boolean")),
        Some("null") if !value.is_null() => Err(format!("{place}: {value} is not null")),
        _ => Ok(()),
    }
}

/// An object type and those that it extends, the nearest first.
fn family<'a>(schema: &'a Value, kind: &'a Value) -> Vec<&'a Value> {
    let mut kinds = vec![kind];
    for parent in kind["allOf"].as_array().into_iter().flatten() {
        kinds.extend(family(schema, resolve(schema, parent)));
    }
    kinds
}

fn fits_object(schema: &Value, kind: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fields = value.as_object().ok_or_else(|| format!("{place}: {value} is no object"))?;
    let kinds = family(schema, kind);
    let required: Vec<&str> = kinds
        .iter()
        .flat_map(|kind| kind["required"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    if let Some(name) = required.iter().find(|name| !fields.contains_key(**name)) {
        return Err(format!("{place}: '{name}' is missing"));
    }
    let open = kinds.iter().all(|kind| kind.get("properties").is_none());
    for (name, field) in fields {
        let below = format!("{place}.{name}");
        match kinds.iter().find_map(|kind| kind["properties"].get(name)) {
            // The real API sends null for fields that the types call optional.
            Some(_) if field.is_null() && !required.contains(&name.as_str()) => {}
            Some(kind) => fits_type(schema, kind, field, &below)?,
            None => match kinds.iter().find_map(|kind| kind.get("additionalProperties")) {
                Some(kind) => fits_type(schema, kind, field, &below)?,
                None if open => {}
                None => return Err(format!("{below}: the published type has no such field")),
            },
        }
    }
    Ok(())
}

#[test]
fn the_check_finds_what_is_wrong() {
    let Some(schema) = published() else { return };
    let stub = serde_json::json!({ "id": "cus_1", "object": "customer", "deleted": true });
    assert_eq!(fits_call(schema, "DELETE", "/v1/customers/cus_1", &stub), Ok(()));
    let with = |name: &str, value: Value| {
        let mut changed = stub.clone();
        changed[name] = value;
        fits_call(schema, "DELETE", "/v1/customers/cus_1", &changed).unwrap_err()
    };
    assert!(with("extra", Value::Null).contains("no such field"));
    assert!(with("deleted", Value::Bool(false)).contains("is not true"));
    assert!(with("id", Value::from(1)).contains("is no text"));
    assert!(fits_call(schema, "GET", "/v1/nothing", &stub).unwrap_err().contains("no published call"));
    let error = |fields: Value| fits_error(schema, &serde_json::json!({ "error": fields }));
    let refused = serde_json::json!({ "type": "invalid_request_error", "message": "No." });
    assert_eq!(error(refused.clone()), Ok(()));
    for (name, value) in [("type", "odd"), ("code", "odd"), ("odd", "odd")] {
        let mut changed = refused.clone();
        changed[name] = Value::from(value);
        assert!(error(changed).is_err(), "{name}");
    }
}
