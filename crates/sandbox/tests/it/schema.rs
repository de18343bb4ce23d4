//! Checks answers against the published types of version 2026-10-28.endive: required fields and types.
//!
//! The schema is not part of the repository; without it the check says so once and passes.

use std::io::Write as _;
use std::sync::{LazyLock, Once};

use serde_json::Value;

static SCHEMA: LazyLock<Option<Value>> = LazyLock::new(|| {
    let path = std::env::var("QUITTANCE_STRIPE_SCHEMA").map(std::path::PathBuf::from).unwrap_or_else(|_| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("../../../shared/specs/stripe/stripe-2026-10-28.endive.schema.json")
    });
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok())
});

static SKIPPED: Once = Once::new();

/// Checks an answer of the API against the type that its call returns.
pub fn check_answer(method: &str, path: &str, answer: &Value) {
    let Some(schema) = SCHEMA.as_ref() else {
        // Past the capture of the test runner, so that it is seen.
        SKIPPED.call_once(|| {
            let _ = writeln!(std::io::stderr(), "SKIPPED: no schema of the API here, so answers are not checked (QUITTANCE_STRIPE_SCHEMA names it)");
        });
        return;
    };
    let parts: Vec<&str> = path.split('/').collect();
    let paths = schema["paths"].as_object().expect("paths");
    let fits = |template: &&String| {
        let names: Vec<&str> = template.split('/').collect();
        names.len() == parts.len()
            && names.iter().zip(&parts).all(|(name, part)| name.starts_with('{') || name == part)
    };
    let mut found: Vec<&String> = paths.keys().filter(fits).collect();
    found.sort_by_key(|template| template.matches('{').count());
    let Some(call) = found.first().map(|template| &paths[*template][method.to_ascii_lowercase()]) else {
        return;
    };
    if let Err(fault) = fits_type(schema, &call["response"], answer, "answer") {
        panic!("{method} {path}: {fault}\n{answer:#}");
    }
}

/// Checks an object against a named type.
pub fn check_object(name: &str, object: &Value) {
    if let Some(schema) = SCHEMA.as_ref()
        && let Err(fault) = fits_type(schema, &schema["$defs"][name], object, name)
    {
        panic!("{fault}\n{object:#}");
    }
}

fn fits_type(schema: &Value, kind: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = kind["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return fits_type(schema, &schema["$defs"][name], value, place);
    }
    for union in ["anyOf", "oneOf"] {
        if let Some(options) = kind[union].as_array() {
            let faults: Vec<String> =
                options.iter().filter_map(|option| fits_type(schema, option, value, place).err()).collect();
            if faults.len() == options.len() {
                return Err(faults.join(" / "));
            }
            return Ok(());
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
    match kind["type"].as_str() {
        Some("object") => fits_object(schema, kind, value, place),
        Some("array") => {
            let list = value.as_array().ok_or_else(|| format!("{place}: {value} is no list"))?;
            list.iter().enumerate().try_for_each(|(index, element)| {
                fits_type(schema, &kind["items"], element, &format!("{place}[{index}]"))
            })
        }
        Some("string") if !value.is_string() => Err(format!("{place}: {value} is no text")),
        // Percentages are the only numbers with decimals.
        Some("number" | "integer") if value.is_f64() && !place.contains("percent") => {
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

fn fits_object(schema: &Value, kind: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fields = value.as_object().ok_or_else(|| format!("{place}: {value} is no object"))?;
    for name in kind["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(format!("{place}: '{name}' is missing"));
        }
    }
    let required = |name: &str| {
        kind["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    for (name, field) in fields {
        // The real API sends null for fields that the types call optional.
        let checked = !field.is_null() || required(name);
        if let Some(kind) = kind["properties"].get(name).filter(|_| checked) {
            fits_type(schema, kind, field, &format!("{place}.{name}"))?;
        }
    }
    Ok(())
}
