//! Redaction of a webhook's body: what is kept is JSON, bounded, and never somebody's data or a secret.

use quittance_stripe::redact::redact;
use serde_json::{Map, Value};

/// What must never come out, wherever it was put.
const PLANTED: [&str; 9] = [
    "jane.roe@example.com",
    "Jane Roe",
    "4242 4242 4242 4242",
    "4242424242424242",
    "+81 90-1234-5678",
    "sk_live_51Planted",
    "rk_live_51Planted",
    "whsec_Planted",
    "pi_1_secret_Planted",
];

/// Members that hold personal data, card data or links, whatever their value.
const NEVER: [&str; 18] = [
    "address",
    "billing_details",
    "card",
    "client_secret",
    "customer_details",
    "customer_email",
    "description",
    "email",
    "fingerprint",
    "hosted_invoice_url",
    "ip",
    "last4",
    "name",
    "phone",
    "receipt_email",
    "receipt_url",
    "shipping",
    "url",
];

/// Any body is refused or copied without what is private; copying the copy changes nothing.
pub fn redaction(body: &[u8]) {
    let Ok(kept) = redact(body) else { return };
    check(&kept, body.len());
    assert_eq!(redact(kept.as_bytes()).as_ref(), Ok(&kept), "redacting twice changes something");
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    for planted in PLANTED {
        let raw = with_every_text(&value, planted).to_string();
        let kept = redact(raw.as_bytes()).expect("JSON is redacted");
        check(&kept, raw.len());
        assert!(!kept.contains(planted), "{planted} came out: {kept}");
    }
}

fn check(kept: &str, length: usize) {
    assert!(kept.len() <= 6 * length + 4, "{length} bytes became {}", kept.len());
    let value: Value = serde_json::from_str(kept).unwrap_or_else(|error| panic!("{error}: {kept}"));
    look(&value, 0);
}

fn look(value: &Value, depth: usize) {
    assert!(depth <= 32, "too deep");
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => assert!(number.is_i64() || number.is_u64(), "{number}"),
        Value::String(text) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
            assert!(text == "[redacted]" || text.chars().all(plain), "{text}");
            let digits = text.chars().filter(char::is_ascii_digit).count();
            assert!(digits < 10 || text.contains(|c: char| c.is_ascii_alphabetic()), "a long number: {text}");
        }
        Value::Array(list) => list.iter().for_each(|inner| look(inner, depth + 1)),
        Value::Object(members) => {
            for (name, inner) in members {
                assert!(!NEVER.contains(&name.as_str()), "`{name}` was kept");
                look(inner, depth + 1);
            }
        }
    }
}

/// The same structure with another text at every place that holds one, under the same names and under the text as a name.
fn with_every_text(value: &Value, text: &str) -> Value {
    match value {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Array(list) => list.iter().map(|inner| with_every_text(inner, text)).collect(),
        Value::Object(members) => {
            let mut all: Map<String, Value> =
                members.iter().map(|(name, inner)| (name.clone(), with_every_text(inner, text))).collect();
            all.insert(text.to_owned(), Value::String(text.to_owned()));
            all.insert(format!("quittance_{text}"), Value::String(text.to_owned()));
            Value::Object(all)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
