//! The provider's form encoder against the sandbox's decoder: what one writes, the other reads, and nothing more.
//!
//! They share no code, so the way leads through the sandbox's front door: metadata goes in as a form and comes back as JSON.
//! Input: `key=value` lines of any bytes; and the whole of it, as a body that nobody encoded.

use std::collections::BTreeMap;

use quittance_sandbox::{HttpRequest, Sandbox, SandboxConfig};
use quittance_stripe::form::{Form, Metadata};
use serde_json::Value;

const KEY: &str = "sk_test_fuzz";

/// What is encoded is decoded to the same texts; what nobody encoded is taken or refused, never an error of the sandbox.
pub fn form(input: &[u8]) {
    let sandbox = Sandbox::new(SandboxConfig {
        seed: Some(1),
        start_time: Some(1_795_000_000),
        ..SandboxConfig::default()
    });
    round_trip(&sandbox, &String::from_utf8_lossy(input));
    for (method, in_query) in [("POST", false), ("POST", true), ("GET", true)] {
        let mut request = HttpRequest::new(method, "/v1/customers", KEY, "");
        if in_query {
            request.query = String::from_utf8_lossy(input).into_owned();
        } else {
            request.body = input.to_vec();
        }
        let answer = sandbox.handle(request);
        assert!(matches!(answer.status, 200 | 400 | 404), "{method}: {} {}", answer.status, answer.value());
        assert!(answer.value().is_object());
    }
}

fn round_trip(sandbox: &Sandbox, text: &str) {
    let mut metadata = Metadata::new();
    let mut wanted = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, line));
        // Stripe takes an empty value as "delete this key".
        let Ok(more) = metadata.clone().with(key, value) else { continue };
        metadata = more;
        if value.is_empty() {
            wanted.remove(key);
        } else {
            wanted.insert(key.to_owned(), Value::from(value));
        }
    }
    let free: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let form = Form::new().metadata("metadata", &metadata).text("description", &free).text("name", &free);
    let answer = sandbox.handle(HttpRequest::new("POST", "/v1/customers", KEY, form.as_str()));
    let value = answer.value();
    assert_eq!(answer.status, 200, "{value}: {}", form.as_str());
    let read: BTreeMap<String, Value> = value["metadata"]
        .as_object()
        .expect("metadata")
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    assert_eq!(read, wanted);
    for field in ["description", "name"] {
        assert_eq!(value[field].as_str().unwrap_or_default(), free, "{field}");
    }
}
