//! Envelopes in both shapes, in odd shapes and in no shape at all.

use super::*;
use proptest::prelude::*;

fn snapshot(event_type: &str, object: &str) -> String {
    format!(
        r#"{{"id":"evt_1","object":"event","api_version":"2026-10-28.endive","created":1795000000,
        "data":{{"object":{object}}},"livemode":false,"pending_webhooks":1,
        "request":{{"id":"req_1","idempotency_key":null}},"type":"{event_type}"}}"#
    )
}

#[test]
fn a_checkout_session() {
    let raw = snapshot(
        "checkout.session.completed",
        r#"{"id":"cs_test_1","object":"checkout.session","customer":"cus_1","subscription":"sub_1","payment_intent":null,
        "invoice":"in_1","client_reference_id":"user-7","customer_details":{"email":"jane@example.com"},
        "metadata":{"quittance_customer":"user-7","quittance_checkout":"chk_9","other":"x"}}"#,
    );
    let event = Event::parse(raw.as_bytes()).unwrap();
    assert_eq!(event.id, "evt_1");
    assert_eq!(event.form, EventForm::Snapshot);
    assert_eq!(event.event_type, "checkout.session.completed");
    assert_eq!(event.api_version.as_deref(), Some("2026-10-28.endive"));
    assert_eq!(
        (event.created_s, event.livemode, event.account.as_deref()),
        (Some(1_795_000_000), false, None)
    );
    assert_eq!(event.object_kind.as_deref(), Some("checkout.session"));
    assert_eq!(event.checkout_session.as_deref(), Some("cs_test_1"));
    assert_eq!(event.customer.as_deref(), Some("cus_1"));
    assert_eq!(event.subscription.as_deref(), Some("sub_1"));
    assert_eq!(event.invoice.as_deref(), Some("in_1"));
    assert_eq!(event.payment_intent, None);
    assert_eq!(event.client_reference_id.as_deref(), Some("user-7"));
    assert_eq!(event.quittance_customer.as_deref(), Some("user-7"));
    assert_eq!(event.quittance_checkout.as_deref(), Some("chk_9"));
    assert!(matches!(event.id, Cow::Borrowed(_)), "nothing is copied");
    assert_eq!(event.clone().into_owned(), event);
}

/// A22: the same facts are found in the shapes before and since Basil.
#[test]
fn a22_an_invoice_in_both_shapes() {
    let old = r#"{"id":"in_1","object":"invoice","customer":"cus_1","subscription":"sub_1","payment_intent":"pi_1","charge":"ch_1",
        "subscription_details":{"metadata":{"quittance_customer":"u1"}},"metadata":{}}"#;
    let new = r#"{"id":"in_1","object":"invoice","customer":"cus_1","parent":{"type":"subscription_details","quote_details":null,
        "subscription_details":{"subscription":"sub_1","metadata":{"quittance_customer":"u1"}}},"metadata":{},
        "payment_intent":"pi_1","charge":"ch_1"}"#;
    for object in [old, new] {
        let raw = snapshot("invoice.paid", object);
        let event = Event::parse(raw.as_bytes()).unwrap();
        assert_eq!(event.invoice.as_deref(), Some("in_1"));
        assert_eq!(event.subscription.as_deref(), Some("sub_1"), "{object}");
        assert_eq!(event.quittance_customer.as_deref(), Some("u1"), "{object}");
        assert_eq!(event.payment_intent.as_deref(), Some("pi_1"));
        assert_eq!(event.charge.as_deref(), Some("ch_1"));
    }
}

/// A29: expandable fields are an id or an object.
#[test]
fn a29_expanded_references_and_the_customer_itself() {
    let raw = snapshot(
        "customer.subscription.updated",
        r#"{"object":"subscription","id":"sub_1","customer":{"id":"cus_1","object":"customer","email":"jane@example.com"}}"#,
    );
    let event = Event::parse(raw.as_bytes()).unwrap();
    assert_eq!(event.customer.as_deref(), Some("cus_1"));
    assert_eq!(event.subscription.as_deref(), Some("sub_1"));

    let raw = snapshot("customer.deleted", r#"{"id":"cus_2","object":"customer"}"#);
    assert_eq!(Event::parse(raw.as_bytes()).unwrap().customer.as_deref(), Some("cus_2"));
}

#[test]
fn refunds_and_invoice_payments_name_their_payment() {
    let raw = snapshot(
        "refund.created",
        r#"{"id":"re_1","object":"refund","charge":"ch_1","payment_intent":"pi_1"}"#,
    );
    let event = Event::parse(raw.as_bytes()).unwrap();
    assert_eq!((event.charge.as_deref(), event.payment_intent.as_deref()), (Some("ch_1"), Some("pi_1")));
    assert_eq!(event.customer, None);

    let raw = snapshot(
        "invoice_payment.paid",
        r#"{"id":"inpay_1","object":"invoice_payment","invoice":"in_1","payment":{"type":"payment_intent","payment_intent":"pi_1"}}"#,
    );
    let event = Event::parse(raw.as_bytes()).unwrap();
    assert_eq!((event.invoice.as_deref(), event.payment_intent.as_deref()), (Some("in_1"), Some("pi_1")));
}

#[test]
fn thin_events() {
    let raw = r#"{"id":"evt_2","object":"v2.core.event","type":"v1.customer.subscription.past_due","livemode":true,
        "created":"2026-11-18T22:13:20.000Z","context":"acct_1","reason":null,
        "related_object":{"id":"sub_1","type":"subscription","url":"/v1/subscriptions/sub_1"}}"#;
    let event = Event::parse(raw.as_bytes()).unwrap();
    assert_eq!(event.form, EventForm::Thin);
    assert!(event.livemode);
    assert_eq!(event.created_s, Some(1_795_040_000));
    assert_eq!(event.subscription.as_deref(), Some("sub_1"));
    assert_eq!(event.customer, None);
}

#[test]
fn an_account_that_is_none_does_not_pass_for_another() {
    let with = |account: &str| {
        format!(r#"{{"id":"evt_1","object":"event","type":"x","livemode":false,"account":{account}}}"#)
    };
    for good in ["null", r#""acct_1""#] {
        assert!(Event::parse(with(good).as_bytes()).is_ok(), "{good}");
    }
    for bad in [r#""self/customer/cus_2""#, r#""""#, "7", "true"] {
        let error = Event::parse(with(bad).as_bytes()).unwrap_err();
        assert_eq!(error, EventError::NotAnEvent { field: "account" }, "{bad}");
    }
}

#[test]
fn a_text_with_control_characters_is_no_identifier() {
    let raw = snapshot("something.new", r#"{"id":"in_\u0000","object":"invoice","customer":"cus_\n"}"#);
    let event = Event::parse(raw.as_bytes()).unwrap();
    assert_eq!((event.object_id, event.customer), (None, None));
    let raw = r#"{"id":"evt_\u0000","object":"event","type":"x","livemode":false}"#;
    assert_eq!(Event::parse(raw.as_bytes()).unwrap_err(), EventError::NotAnEvent { field: "id" });
}

#[test]
fn odd_shapes_inside_leave_fields_empty() {
    for object in [
        "null",
        "7",
        "[]",
        r#""text""#,
        "{}",
        r#"{"id":7,"object":[],"customer":[{"id":"cus_1"}],"subscription":true}"#,
        r#"{"customer":{"id":{"id":"x"}},"parent":"p","metadata":[1],"payment":0.5,"subscription_details":{"metadata":null}}"#,
        r#"{"parent":{"subscription_details":null},"metadata":{"quittance_customer":17}}"#,
    ] {
        let raw = snapshot("something.new", object);
        let event = Event::parse(raw.as_bytes()).unwrap_or_else(|e| panic!("{object}: {e}"));
        assert_eq!(event.event_type, "something.new");
        assert_eq!(
            (&event.customer, &event.subscription, &event.quittance_customer),
            (&None, &None, &None),
            "{object}"
        );
    }
}

#[test]
fn what_is_not_an_event_is_refused_by_name() {
    let rows = [
        (r#"{"object":"event","type":"t","livemode":false}"#, "id"),
        (r#"{"id":"","object":"event","type":"t","livemode":false}"#, "id"),
        (r#"{"id":7,"object":"event","type":"t","livemode":false}"#, "id"),
        (r#"{"id":"evt_1","type":"t","livemode":false}"#, "object"),
        (r#"{"id":"evt_1","object":"charge","type":"t","livemode":false}"#, "object"),
        (r#"{"id":"evt_1","object":"event","livemode":false}"#, "type"),
        (r#"{"id":"evt_1","object":"event","type":"t"}"#, "livemode"),
        (r#"{"id":"evt_1","object":"event","type":"t","livemode":"false"}"#, "livemode"),
    ];
    for (raw, field) in rows {
        assert_eq!(Event::parse(raw.as_bytes()), Err(EventError::NotAnEvent { field }), "{raw}");
    }
    let long = format!(r#"{{"id":"{}","object":"event","type":"t","livemode":false}}"#, "e".repeat(256));
    assert_eq!(Event::parse(long.as_bytes()), Err(EventError::NotAnEvent { field: "id" }));
}

#[test]
fn broken_json_is_refused_without_repeating_it() {
    for raw in
        ["", "{", "{\"email\":\"jane@example.com\"", "nul", "{}{}", "\u{feff}{}", "{\"id\":\"evt_1\",}"]
    {
        let error = Event::parse(raw.as_bytes()).unwrap_err();
        assert!(matches!(error, EventError::NotJson { .. }), "{raw}: {error}");
        assert!(!error.to_string().contains("jane"));
    }
    assert!(matches!(Event::parse(b"{\"id\":\"\xff\"}"), Err(EventError::NotJson { .. })), "not UTF-8");
}

#[test]
fn json_that_is_no_object_is_no_event() {
    for raw in ["[]", "null", "7", r#""evt_1""#, r#"["evt_1","event","t",null,null,1,false]"#] {
        assert_eq!(Event::parse(raw.as_bytes()), Err(EventError::NotAnEvent { field: "object" }), "{raw}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let big = vec![b' '; MAX_BODY_BYTES + 1];
    assert_eq!(Event::parse(&big), Err(EventError::TooLarge { bytes: MAX_BODY_BYTES + 1 }));
    let half = MAX_BODY_BYTES / 2 - 200;
    let deep = snapshot("deep", &format!("{}{}", "[".repeat(half), "]".repeat(half)));
    // Deep nesting is skipped without recursion or refused, but never overflows the stack.
    let _ = Event::parse(deep.as_bytes());
    let deep = snapshot("deep", &format!(r#"{{"other":{}{}}}"#, "[".repeat(half), "]".repeat(half)));
    assert_eq!(Event::parse(deep.as_bytes()).unwrap().event_type, "deep");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Event::parse(&raw);
    }

    #[test]
    fn arbitrary_text_in_the_envelope_never_panics(text in "\\PC{0,60}") {
        let quoted = serde_json::to_string(&text).unwrap();
        let raw = snapshot("t", &format!(r#"{{"id":{quoted},"object":{quoted},"customer":{quoted},{quoted}:{quoted}}}"#));
        // Twice the same member is broken JSON to us; everything else is an event.
        let accepted = matches!(Event::parse(raw.as_bytes()), Ok(_) | Err(EventError::NotJson { .. }));
        prop_assert!(accepted, "{}", raw);
    }

    #[test]
    fn a_truncated_event_is_never_accepted(cut in any::<prop::sample::Index>()) {
        let raw = snapshot("invoice.paid", r#"{"id":"in_1","object":"invoice"}"#);
        let cut = cut.index(raw.len());
        prop_assert!(Event::parse(&raw.as_bytes()[..cut]).is_err());
    }
}
