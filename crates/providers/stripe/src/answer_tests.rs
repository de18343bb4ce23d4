//! The table of answers and what each means.

use super::*;
use crate::error::MoneyMoved;
use proptest::prelude::*;
use serde_json::json;

fn response(status: u16, error: &Value, headers: &[(&str, &str)]) -> HttpResponse {
    HttpResponse {
        status,
        headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        body: json!({ "error": error }).to_string().into_bytes(),
    }
}

fn failed(status: u16, error: &Value) -> StripeError {
    read_answer(&response(status, error, &[]), false).unwrap_err()
}

#[test]
fn every_kind_has_its_verdict() {
    use MoneyMoved::{No, Unknown};
    let rows = [
        (
            429,
            json!({"type": "invalid_request_error", "code": "rate_limit"}),
            "provider_rate_limited",
            true,
            No,
        ),
        (400, json!({"code": "rate_limit"}), "provider_rate_limited", true, No),
        (429, json!({"code": "lock_timeout"}), "provider_object_locked", true, No),
        (409, json!({"code": "idempotency_key_in_use"}), "provider_conflict", true, Unknown),
        (
            400,
            json!({"type": "idempotency_error", "code": "idempotency_key_in_use"}),
            "provider_conflict",
            true,
            Unknown,
        ),
        (400, json!({"type": "idempotency_error"}), "provider_idempotency_mismatch", false, No),
        (401, json!({}), "provider_authentication", false, No),
        (403, json!({}), "provider_permission", false, No),
        (402, json!({"type": "card_error", "code": "card_declined"}), "payment_declined", false, No),
        (404, json!({"code": "resource_missing"}), "provider_not_found", false, No),
        (400, json!({"code": "resource_missing"}), "provider_not_found", false, No),
        (400, json!({"code": "parameter_missing"}), "provider_refused", false, No),
        (418, json!("teapot"), "provider_refused", false, No),
        (408, json!({}), "provider_outcome_unknown", true, Unknown),
        (500, json!({"type": "api_error"}), "provider_failed", true, Unknown),
        (503, json!(null), "provider_failed", true, Unknown),
        (302, json!({}), "provider_answer_malformed", true, Unknown),
    ];
    for (status, error, code, transient, money) in rows {
        let got = failed(status, &error);
        assert_eq!(
            (got.code(), got.is_transient(), got.money_moved()),
            (code, transient, money),
            "{status} {error}"
        );
        assert_eq!(got.status(), Some(status));
        let read = read_answer(&response(status, &error, &[]), true).unwrap_err();
        assert_eq!(read.money_moved(), MoneyMoved::No, "a read moves no money");
    }
}

#[test]
fn details_are_kept_when_they_are_identifiers() {
    let got = failed(402, &json!({"code": "card_declined", "decline_code": "insufficient_funds"}));
    let want = ErrorKind::Card {
        code: Some("card_declined".into()),
        decline_code: Some("insufficient_funds".into()),
    };
    assert_eq!(got.kind(), &want);
    let got = failed(404, &json!({"code": "resource_missing", "param": "jane@example.com"}));
    assert_eq!(got.kind(), &ErrorKind::NotFound { code: Some("resource_missing".into()), param: None });
}

#[test]
fn headers_are_read() {
    let headers = [("request-id", "req_1"), ("retry-after", "7"), ("stripe-should-retry", "false")];
    let got = read_answer(&response(500, &json!({}), &headers), false).unwrap_err();
    assert_eq!(
        (got.request_id(), got.retry_after_ms(), got.is_transient()),
        (Some("req_1"), Some(7_000), false)
    );
    let read = read_answer(&response(500, &json!({}), &headers), true).unwrap_err();
    assert!(read.is_transient(), "a read is worth another look later");
    let urged =
        read_answer(&response(400, &json!({}), &[("stripe-should-retry", "true")]), false).unwrap_err();
    assert!(urged.is_transient());
    for (text, want) in
        [("0", Some(0)), ("999999", Some(3_600_000)), ("-1", None), ("soon", None), ("1.5", None)]
    {
        let got = read_answer(&response(429, &json!({}), &[("retry-after", text)]), false).unwrap_err();
        assert_eq!(got.retry_after_ms(), want, "{text}");
    }
}

#[test]
fn bodies_that_are_not_json() {
    let page = |status| HttpResponse { status, headers: vec![], body: b"<html>".to_vec() };
    assert_eq!(read_answer(&page(200), false).unwrap_err().code(), "provider_answer_malformed");
    assert_eq!(read_answer(&page(502), false).unwrap_err().code(), "provider_failed");
    assert_eq!(read_answer(&page(404), false).unwrap_err().code(), "provider_not_found");
    assert_eq!(read_answer(&page(429), false).unwrap_err().code(), "provider_rate_limited");
}

#[test]
fn the_text_tells_money_and_mend_and_no_personal_data() {
    let error = json!({"message": "Invalid email address: jane@example.com", "code": "email_invalid", "param": "email"});
    let got = read_answer(&response(400, &error, &[("request-id", "req_1")]), false).unwrap_err();
    assert_eq!(
        got.to_string(),
        "provider_refused: Invalid email address: [email] (request req_1); no money moved; correct the named parameter"
    );
    assert!(failed(500, &json!({})).to_string().contains("it is unknown whether money moved"));
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic(status in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let answer = read_answer(&HttpResponse { status, headers: vec![], body }, false);
        prop_assert!(answer.is_ok() <= (200..300).contains(&status));
    }
}
