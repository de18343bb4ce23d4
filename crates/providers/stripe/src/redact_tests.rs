//! What survives redaction and what must never.

use super::*;
use crate::event::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

fn redacted(value: &Value) -> Value {
    let text = redact(value.to_string().as_bytes()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

/// An event as Stripe sends it for a paid checkout, with personal data everywhere it can be.
fn event() -> Value {
    json!({
        "id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": 1_795_000_000, "livemode": false,
        "pending_webhooks": 1, "request": {"id": "req_1", "idempotency_key": null}, "type": "charge.succeeded",
        "data": {"object": {
            "id": "ch_1", "object": "charge", "amount": 1980, "amount_refunded": 0, "currency": "jpy", "status": "succeeded",
            "balance_transaction": "txn_1", "payment_intent": "pi_1", "customer": {
                "id": "cus_1", "object": "customer", "email": "jane@example.com", "name": "Jane Roe", "phone": "+81901234567",
                "address": {"city": "Kyoto", "line1": "1 Main Street", "postal_code": "600-0000"}
            },
            "billing_details": {"email": "jane@example.com", "name": "Jane Roe", "address": {"city": "Kyoto"}},
            "payment_method_details": {"card": {"last4": "4242", "fingerprint": "AOB934RVNwzk6xtn", "exp_year": 2030}},
            "receipt_email": "jane@example.com", "receipt_url": "https://pay.example/r/abc", "description": "for Jane",
            "client_secret": "pi_1_secret_abc", "metadata": {"quittance_customer": "user-7", "note": "call Jane"},
            "outcome": {"type": "authorized", "seller_message": "Payment complete.", "reason": null},
            "refunds": {"object": "list", "data": [{"id": "re_1", "amount": 5, "status": "succeeded"}], "url": "/v1/x"}
        }}
    })
}

#[test]
fn keeps_what_explains_and_drops_the_rest() {
    let expected = json!({
        "id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": 1_795_000_000, "livemode": false,
        "pending_webhooks": 1, "request": {"id": "req_1"}, "type": "charge.succeeded",
        "data": {"object": {
            "id": "ch_1", "object": "charge", "amount": 1980, "amount_refunded": 0, "currency": "jpy", "status": "succeeded",
            "balance_transaction": "txn_1", "payment_intent": "pi_1", "customer": {"id": "cus_1", "object": "customer"},
            "metadata": {"quittance_customer": "user-7"}, "outcome": {"type": "authorized"},
            "refunds": {"object": "list", "data": [{"id": "re_1", "amount": 5, "status": "succeeded"}]}
        }}
    });
    assert_eq!(redacted(&event()), expected);
}

#[test]
fn a_kept_name_does_not_excuse_its_value() {
    for text in [
        "jane@example.com",
        "Jane Roe",
        "4242424242424242",
        "4242-4242-4242-4242",
        "+81901234567",
        "0901234567",
        "José",
        "pi_1_secret_x",
        "sk_test_abc",
        "rk_live_abc",
        "whsec_abc",
        "https://x.y",
        "a\"b",
        "a\\b",
        "<b>",
        &"x".repeat(256),
    ] {
        let got =
            redacted(&json!({"status": text, "items": [text], "metadata": {"quittance_customer": text}}));
        let mark = "[redacted]";
        let want = json!({"status": mark, "items": [mark], "metadata": {"quittance_customer": mark}});
        assert_eq!(got, want, "{text}");
    }
    for text in
        ["sub_1Pgc6rB7WZ01zgkWNy0Cn5nw", "2026-10-28.endive", "past_due", "19.90", "cs_test_a1", "pro:month"]
    {
        assert_eq!(redacted(&json!({"id": text})), json!({"id": text}));
    }
}

#[test]
fn names_are_compared_after_unescaping() {
    assert_eq!(
        redact(br#"{"em\u0061il":"x","i\u0064":"evt_1","metadata":{"quittance_a\"b":"x","quittance_4242424242424242":"x"}}"#).unwrap(),
        r#"{"id":"evt_1","metadata":{}}"#
    );
}

#[test]
fn numbers_arrays_and_empty_containers() {
    let got = redact(br#"{"amount":-5,"total":9223372036854775808,"tax":0.5,"items":[],"lines":[1,null,true,[2,{"id":"x"}]],"data":{}}"#);
    let want =
        r#"{"amount":-5,"total":"[redacted]","items":[],"lines":[1,null,true,[2,{"id":"x"}]],"data":{}}"#;
    assert_eq!(got.unwrap(), want);
}

#[test]
fn null_is_left_out_but_where_it_says_what_was() {
    let raw = br#"{"status":null,"id":"evt_1","data":{"object":{"cancel_at":null,"metadata":{"quittance_customer":null}},
        "previous_attributes":{"cancel_at":null,"items":{"data":[{"tax":null}]},"email":null}},"type":null}"#;
    let kept = r#"{"id":"evt_1","data":{"object":{"metadata":{"quittance_customer":null}},"previous_attributes":{"cancel_at":null,"items":{"data":[{"tax":null}]}}}}"#;
    assert_eq!(redact(raw).unwrap(), kept);
}

#[test]
fn broken_and_oversized_bodies_are_errors() {
    for raw in ["", "{", "{}x", "[1,]", "{\"id\":}"] {
        assert!(matches!(redact(raw.as_bytes()), Err(EventError::NotJson { .. })), "{raw}");
    }
    assert!(matches!(redact(&vec![b' '; MAX_BODY_BYTES + 1]), Err(EventError::TooLarge { .. })));
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let kept = redact(deep.as_bytes()).unwrap();
    assert_eq!(kept.matches('[').count(), usize::from(MAX_DEPTH) + 1);
    let deeper = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let _ = redact(deeper.as_bytes());
}

/// The inbox reads the envelope from what is kept, unless something was blotted out.
#[test]
fn the_envelope_reads_the_same_from_what_is_kept() {
    let places = [
        "/id",
        "/type",
        "/account",
        "/api_version",
        "/created",
        "/livemode",
        "/data/object/id",
        "/data/object/object",
        "/data/object/customer",
        "/data/object/subscription",
        "/data/object/payment_intent",
        "/data/object/invoice",
        "/data/object/charge",
        "/data/object/client_reference_id",
        "/data/object/metadata/quittance_customer",
        "/data/object/parent/subscription_details/subscription",
        "/data/object/payment/payment_intent",
        "/related_object/id",
        "/related_object/type",
    ];
    let values = [
        json!("cus_1"),
        json!("a b"),
        json!("1234567890123"),
        json!("x@example.com"),
        json!(""),
        json!(null),
        json!(7),
        json!(0.5),
        json!(true),
        json!([]),
        json!(["cus_1"]),
        json!({"id": "cus_2", "object": "customer"}),
        json!({"id": "a b"}),
        json!("2026-11-18T22:13:20.000Z"),
        json!("x".repeat(300)),
        json!("\u{e9}\"\\"),
    ];
    let mut both = [0, 0];
    for place in places {
        for value in &values {
            let mut body = event();
            plant(&mut body, place, value.clone());
            let raw = body.to_string();
            let kept = redact(raw.as_bytes()).unwrap();
            both[usize::from(is_altered(&kept))] += 1;
            if !is_altered(&kept) {
                assert_eq!(Event::parse(kept.as_bytes()), Event::parse(raw.as_bytes()), "{place} {value}");
            }
        }
    }
    assert!(both[0] > 100 && both[1] > 50, "{both:?}");
}

/// Puts a value where the pointer says, making the objects on the way.
fn plant(body: &mut Value, pointer: &str, value: Value) {
    let mut at = body;
    for name in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = value;
}

/// Any JSON value whose texts are personal data; its names are anything but the kept ones' exact purpose.
fn personal() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}@[a-z]{1,8}\\.(com|jp)",
        "[A-Z][a-z]{1,8} [A-Z][a-z]{1,10}",
        "4[0-9]{15}",
        "4[0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}",
        "\\+[0-9]{8,14}",
        "[0-9]{1,3} [A-Z][a-z]{2,8} Street",
    ]
}

proptest! {
    /// Planted under any name, kept names included, personal data never comes out.
    #[test]
    fn planted_personal_data_never_survives(
        secrets in proptest::collection::vec(personal(), 1..12),
        names in proptest::collection::vec(any::<prop::sample::Index>(), 12),
        shape in 0_u8..4,
    ) {
        let kept: Vec<&str> = KEPT.iter().flat_map(|(_, names)| names.split_ascii_whitespace()).collect();
        let mut object = event()["data"]["object"].clone();
        for (secret, name) in secrets.iter().zip(&names) {
            let value = match shape {
                0 => json!(secret),
                1 => json!([secret]),
                2 => json!({"id": secret, "name": secret, "metadata": {secret.as_str(): secret, "quittance_x": secret}}),
                _ => json!({"object": "list", "data": [{secret.as_str(): {"id": secret}}]}),
            };
            let name = kept[name.index(kept.len())];
            object[name] = value.clone();
            object["unknown_field"] = json!({name: value});
        }
        let raw = json!({"id": "evt_1", "data": {"object": object, "previous_attributes": object}}).to_string();
        let text = redact(raw.as_bytes()).unwrap();
        for secret in secrets.iter().map(String::as_str).chain(["jane", "Jane", "Kyoto", "4242", "_secret_"]) {
            prop_assert!(!text.contains(secret), "{} in {}", secret, text);
        }
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn arbitrary_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = redact(&raw);
    }

    #[test]
    fn redacting_twice_changes_nothing(status in "[a-z_]{1,12}", amount in any::<i64>()) {
        let mut event = event();
        event["data"]["object"]["status"] = json!(status);
        event["data"]["object"]["amount"] = json!(amount);
        let once = redact(event.to_string().as_bytes()).unwrap();
        prop_assert_eq!(redact(once.as_bytes()).unwrap(), once);
    }
}
