//! Tests of the API reference.

use serde_json::{Value, json};

use super::super::docs_schema::{example_of, type_words};
use super::super::*;
use super::fixtures::{HOSTILE, frame, openapi};

fn render(openapi: &Value) -> String {
    let frame = frame(Locale::Ja);
    let view = DocsView {
        frame: &frame,
        openapi,
        base_url: "http://127.0.0.1:4242",
        api_key: "qk_dev",
        customer: "user_42",
        openapi_path: "/openapi.json",
    };
    docs_page(&view).into_string()
}

#[test]
fn every_operation_is_shown_with_a_command_line() {
    let html = render(&openapi());
    assert!(html.contains("<html lang=\"en\">"));
    assert!(html.contains("id=\"post-v1-checkouts\""));
    assert!(html.contains("href=\"#get-v1-customers--id--entitlements--feature-\""));
    assert!(html.contains("curl -X POST http://127.0.0.1:4242/v1/checkouts"));
    assert!(html.contains("authorization: Bearer qk_dev"));
    assert!(html.contains("&quot;customer&quot;:&quot;user_42&quot;"), "the example is put into the command");
    assert!(html.contains("one of month, year"));
    assert!(html.contains("Why not, and whether money moved"), "references to responses are followed");
    let health = html.split("id=\"get-healthz\"").nth(1).unwrap();
    assert!(!health.contains("authorization"), "an open operation needs no key");
    let customers = html.find("class=\"tag\">Customers").unwrap();
    assert!(customers < html.find("class=\"tag\">Checkouts").unwrap(), "tags keep the document's order");
}

#[test]
fn inline_code_in_descriptions_is_code() {
    assert!(render(&openapi()).contains("Send an <code>Idempotency-Key</code>."));
}

#[test]
fn a_hostile_or_broken_document_is_shown_as_text() {
    let hostile = json!({
        "info": {"title": HOSTILE, "description": HOSTILE},
        "paths": {"/<script>alert(1)</script>": {"get": {"summary": HOSTILE, "tags": [HOSTILE], "parameters": [{"name": HOSTILE}]}}}
    });
    let html = render(&hostile);
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script>alert"));
    assert!(!html.contains("\"'><img"));
    for broken in [
        json!(null),
        json!([]),
        json!({"paths": 7}),
        json!({"paths": {"/x": []}}),
        json!({"paths": {"/x": {"get": null}}}),
    ] {
        assert!(render(&broken).contains("</html>"), "{broken}");
    }
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    let document = openapi();
    let schema = json!({"$ref": "#/components/schemas/Checkout"});
    let example = example_of(&document, &schema).unwrap();
    assert_eq!(example["expires_at"], "2026-11-30T14:05:00Z");
    assert!(example.get("parent").is_none(), "a schema inside itself is left out");
    let circle = json!({"components": {"schemas": {"A": {"$ref": "#/components/schemas/A"}}}});
    assert_eq!(example_of(&circle, &json!({"$ref": "#/components/schemas/A"})), None);
    assert_eq!(type_words(&document, &schema), "Checkout");
}

#[test]
fn types_are_said_in_words() {
    let document = openapi();
    for (schema, words) in [
        (json!({"type": "string"}), "string"),
        (json!({"type": "integer", "format": "int64"}), "integer (int64)"),
        (json!({"type": ["string", "null"]}), "string or null"),
        (json!({"type": "array", "items": {"type": "string"}}), "list of string"),
        (json!({"$ref": "#/components/schemas/Interval"}), "one of month, year"),
        (json!({"$ref": "#/components/schemas/Missing"}), "Missing"),
        (json!({}), "any"),
    ] {
        assert_eq!(type_words(&document, &schema), words, "{schema}");
    }
}
