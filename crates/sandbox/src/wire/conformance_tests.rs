//! What the sandbox plays of the API, as `docs/sandbox.md` tells it: made from the same tables that answer requests.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{ABSENT, Call, Kind, Names, TABLE};

/// What a call refuses by a value and not by a name.
const BY_VALUE: &[(&str, &str, &str)] = &[
    ("POST", "/v1/payment_intents/{id}/capture", "`final_capture=false`"),
    ("POST", "/v1/payouts", "`method=instant`"),
    ("POST", "/v1/payouts", "`source_type=bank_account`, `source_type=fpx`"),
    ("POST", "/v1/disputes/{id}", "`intended_submission_method=smart_disputes`"),
    ("POST", "/v1/checkout/sessions", "`subscription_data[billing_mode]`: `classic`, `itemized`"),
    ("POST", "/v1/subscriptions", "`billing_mode`: `classic`, `itemized`"),
    ("POST", "/v1/invoices/create_preview", "`subscription_details[billing_mode]`: `classic`, `itemized`"),
    ("POST", "/v1/prices", "`currency_options[…][custom_unit_amount]`"),
    ("POST", "/v1/prices/{id}", "`currency_options[…][custom_unit_amount]`"),
    ("POST", "/v1/products", "`default_price_data[currency_options][…][custom_unit_amount]`"),
    ("POST", "/v1/subscriptions/{id}/pause", "subscriptions with metered prices"),
];

fn doc() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox.md")
}

fn unplayed(names: &Names, prefix: &str, found: &mut Vec<String>) {
    for (name, taken) in names {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}[{name}]") };
        if !taken.played {
            found.push(format!("`{full}`"));
            continue;
        }
        match &taken.kind {
            Kind::Object(inner) | Kind::Array(Some(inner)) => unplayed(inner, &full, found),
            Kind::Leaf | Kind::Free | Kind::Array(None) => {}
        }
    }
}

fn missing(call: &Call) -> Vec<String> {
    let mut found = Vec::new();
    unplayed(&call.params, "", &mut found);
    let by_value =
        BY_VALUE.iter().filter(|(method, path, _)| (*method, *path) == (&call.method, &call.template));
    found.extend(by_value.map(|(_, _, what)| (*what).to_owned()));
    found
}

fn table() -> String {
    let mut lines: Vec<(String, String, String)> = Vec::new();
    let (mut complete, mut partial) = (0, 0);
    for call in TABLE.iter() {
        let missing = missing(call);
        let (state, detail) = if missing.is_empty() {
            complete += 1;
            ("complete", String::new())
        } else {
            partial += 1;
            ("partial", missing.join(", "))
        };
        lines.push((call.template.clone(), call.method.clone(), format!("{state} | {detail}")));
    }
    for call in ABSENT.iter() {
        lines.push((call.template.clone(), call.method.clone(), "absent | ".to_owned()));
    }
    lines.sort();
    let mut text = format!(
        "{complete} calls are complete, {partial} partial, {} absent.\n\n| call | | what is missing |\n| --- | --- | --- |\n",
        ABSENT.len()
    );
    for (path, method, rest) in lines {
        let _ = writeln!(text, "| `{method} {path}` | {} |", rest.trim_end());
    }
    text
}

#[test]
fn the_page_says_what_is_played() {
    const BEGIN: &str = "<!-- made by the tests of crates/sandbox -->\n";
    let page = std::fs::read_to_string(doc()).unwrap();
    let (head, told) = page.split_once(BEGIN).expect("docs/sandbox.md has the mark");
    if std::env::var_os("QUITTANCE_BLESS").is_some() {
        std::fs::write(doc(), format!("{head}{BEGIN}{}", table())).unwrap();
        return;
    }
    assert!(
        told == table(),
        "docs/sandbox.md is not what is played: QUITTANCE_BLESS=1 cargo test -p quittance-sandbox the_page"
    );
}

/// A path without the names of its `{…}` parts, which differ between the tables.
fn shape(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn a_call_is_played_or_absent_and_never_both() {
    for call in ABSENT.iter() {
        let same =
            |played: &&Call| played.method == call.method && shape(&played.template) == shape(&call.template);
        assert!(!TABLE.iter().any(|played| same(&played)), "{call:?}");
    }
    for (method, path, _) in BY_VALUE {
        assert!(
            TABLE.iter().any(|call| (call.method.as_str(), call.template.as_str()) == (*method, *path)),
            "{path}"
        );
    }
}

/// The published schema, where it is at hand.
fn published() -> Option<serde_json::Value> {
    let place = std::env::var("QUITTANCE_STRIPE_SCHEMA").map(PathBuf::from).unwrap_or_else(|_| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/specs/stripe/stripe-2026-10-28.endive.schema.json")
    });
    let Ok(text) = std::fs::read_to_string(&place) else {
        eprintln!(
            "skipped: {} is not there, so the tables were not held against the published calls",
            place.display()
        );
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// The names of the parameters of a published type, those of the types that it extends or may be included.
fn published_names(schema: &serde_json::Value, kind: &serde_json::Value, names: &mut BTreeSet<String>) {
    let kind = match kind["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => &schema["$defs"][name],
        None => kind,
    };
    names.extend(kind["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned()));
    for other in ["allOf", "anyOf"].iter().flat_map(|list| kind[*list].as_array().into_iter().flatten()) {
        published_names(schema, other, names);
    }
}

#[test]
fn every_published_parameter_of_a_played_call_is_in_the_table() {
    let Some(schema) = published() else { return };
    let mut missing = Vec::new();
    for (path, calls) in schema["paths"].as_object().unwrap() {
        for (method, published) in calls.as_object().unwrap() {
            let same = |call: &&Call| {
                call.method.eq_ignore_ascii_case(method) && shape(&call.template) == shape(path)
            };
            let Some(call) = TABLE.iter().find(same) else { continue };
            let mut names = BTreeSet::new();
            published_names(&schema, &published["params"], &mut names);
            let unknown = names.into_iter().filter(|name| !call.params.contains_key(name));
            missing.extend(unknown.map(|name| format!("{method} {path} {name}")));
        }
    }
    assert!(missing.is_empty(), "refused as unknown, and not as unplayed: {missing:#?}");
}

#[test]
fn every_call_of_the_published_schema_is_in_a_table() {
    let Some(schema) = published() else { return };
    let known = |method: &str, path: &str| {
        let same =
            |call: &&Call| call.method.eq_ignore_ascii_case(method) && shape(&call.template) == shape(path);
        TABLE.iter().filter(same).count() + ABSENT.iter().filter(same).count()
    };
    for (path, calls) in schema["paths"].as_object().unwrap() {
        for method in calls.as_object().unwrap().keys() {
            assert_eq!(known(method, path), 1, "{method} {path}");
        }
    }
}
