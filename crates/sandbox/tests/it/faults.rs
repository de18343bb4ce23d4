//! Faults: errors, lost requests and lost answers, counted and by chance.

use quittance_sandbox::{Fault, HttpRequest, Lost};
use serde_json::json;

use crate::client::{client, id};

fn customers(client: &crate::client::Client) -> usize {
    client.get("/v1/customers", "limit=100")["data"].as_array().unwrap().len()
}

#[test]
fn an_error_hits_its_path_as_often_as_told() {
    let client = client();
    client.control("PUT", "faults", &json!({ "path": "/v1/customers*", "method": "POST", "status": 429, "count": 2, "headers": [["stripe-should-retry", "true"]] }));
    for _ in 0..2 {
        let response = client.send("POST", "/v1/customers", "");
        assert_eq!(response.status, 429);
        assert_eq!(response.value()["error"]["code"], "rate_limit");
        assert_eq!(response.header_value("stripe-should-retry"), Some("true"));
    }
    client.post("/v1/customers", "");
    assert_eq!(customers(&client), 1);
}

#[test]
fn a_lost_answer_leaves_its_effect_and_the_key_finds_it() {
    let client = client();
    client.sandbox.set_faults(vec![Fault {
        path: "/v1/customers".to_owned(),
        method: Some("POST".to_owned()),
        lost: Some(Lost::After),
        count: Some(1),
        ..Fault::default()
    }]);
    let send = || {
        client.handle(
            HttpRequest::new("POST", "/v1/customers", "sk_test_1", "name=Ada").header("idempotency-key", "k"),
        )
    };
    assert!(send().lost);
    assert_eq!(customers(&client), 1);
    let retried = send();
    assert!(!retried.lost);
    assert_eq!(retried.header_value("idempotent-replayed"), Some("true"));
    assert_eq!(customers(&client), 1);
}

#[test]
fn a_lost_request_leaves_nothing() {
    let client = client();
    client.sandbox.set_faults(vec![Fault { lost: Some(Lost::Before), count: Some(1), ..Fault::default() }]);
    assert!(client.send("POST", "/v1/customers", "").lost);
    assert_eq!(customers(&client), 0);
}

#[test]
fn an_error_after_the_commit_is_kept_for_its_key() {
    let client = client();
    client.sandbox.set_faults(vec![Fault {
        status: Some(500),
        after_commit: true,
        count: Some(1),
        method: Some("POST".to_owned()),
        ..Fault::default()
    }]);
    let send = || {
        client
            .handle(HttpRequest::new("POST", "/v1/customers", "sk_test_1", "").header("idempotency-key", "k"))
    };
    assert_eq!(send().status, 500);
    assert_eq!(send().status, 500, "Stripe replays it too");
    assert_eq!(customers(&client), 1);
}

#[test]
fn a_rate_limit_lets_so_many_through_in_a_second() {
    let client = client();
    client.control(
        "PUT",
        "faults",
        &json!([
            { "path": "/v1/customers*", "beyond_per_second": 3, "code": "rate_limit" },
            { "beyond_per_second": 5, "code": "rate_limit" },
        ]),
    );
    let statuses = |path: &str, times: usize| -> Vec<u16> {
        (0..times).map(|_| client.send("GET", path, "").status).collect()
    };
    assert_eq!(statuses("/v1/customers", 5), [200, 200, 200, 429, 429]);
    let refused = client.send("GET", "/v1/customers", "");
    assert_eq!(refused.header_value("stripe-rate-limited-reason"), Some("endpoint-rate"));
    assert_eq!(
        statuses("/v1/account", 3),
        [200, 200, 429],
        "those that were let through count for the account"
    );
    let refused = client.send("GET", "/v1/account", "");
    assert_eq!(refused.header_value("stripe-rate-limited-reason"), Some("global-rate"));
    client.sandbox.restore(&client.sandbox.snapshot()).unwrap();
    assert_eq!(statuses("/v1/account", 1), [429]);
    client.sandbox.advance_time(1);
    assert_eq!(statuses("/v1/customers", 4), [200, 200, 200, 429], "the next second begins anew");
    client.control("PUT", "faults", &json!([]));
    assert_eq!(statuses("/v1/customers", 9), [200; 9]);
}

#[test]
fn a_lock_or_a_conflict_on_request_has_the_words_of_the_api() {
    let client = client();
    let answer = |code: &str| {
        client.control("PUT", "faults", &json!({ "code": code, "count": 1 }));
        let response = client.send("POST", "/v1/customers", "");
        (response.status, response.value()["error"]["type"].as_str().unwrap().to_owned(), response.value())
    };
    let (status, kind, value) = answer("lock_timeout");
    assert_eq!((status, kind.as_str()), (429, "invalid_request_error"));
    let message = value["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("This object cannot be accessed right now"), "{message}");
    let (status, kind, _) = answer("idempotency_key_in_use");
    assert_eq!((status, kind.as_str()), (409, "idempotency_error"));
    assert_eq!(customers(&client), 0);
}

#[test]
fn chance_repeats_with_the_seed() {
    let run = || {
        let client = client();
        client.sandbox.set_faults(vec![Fault {
            path: "/v1/account".to_owned(),
            status: Some(500),
            probability: 0.5,
            ..Fault::default()
        }]);
        (0..40).map(|_| client.send("GET", "/v1/account", "").status).collect::<Vec<_>>()
    };
    let outcomes = run();
    assert_eq!(outcomes, run());
    assert!(outcomes.contains(&200) && outcomes.contains(&500));
}

#[test]
fn calls_are_counted_by_path() {
    let client = client();
    let customer = id(&client.post("/v1/customers", ""));
    client.sandbox.reset_provider_calls();
    client.get(&format!("/v1/customers/{customer}"), "");
    client.get(&format!("/v1/customers/{customer}"), "");
    client.post("/v1/customers", "");
    let calls = client.sandbox.provider_calls();
    assert_eq!(calls.get("GET /v1/customers/{id}"), Some(&2));
    assert_eq!(calls.get("POST /v1/customers"), Some(&1));
    assert_eq!(calls.values().sum::<u64>(), 3);
}

#[test]
fn a_snapshot_brings_everything_back() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    client.subscribe(&customer, &price, "");
    let snapshot = client.control("GET", "snapshot", &serde_json::Value::Null);
    let before = client.sandbox.ledger();
    client.sandbox.reset();
    assert!(client.sandbox.ledger().customers.is_empty());
    client.control("PUT", "snapshot", &snapshot);
    assert_eq!(client.sandbox.ledger(), before);
    client.sandbox.advance_time(32 * crate::client::DAY);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 2000, "its timers live on");
    assert!(client.sandbox.restore(&json!({ "world": 1 })).is_err());
}

#[test]
fn a_snapshot_of_another_format_is_refused_and_counts_are_kept() {
    let client = client();
    for _ in 0..3 {
        let customer = id(&client.post("/v1/customers", ""));
        client.delete(&format!("/v1/customers/{customer}"), "");
    }
    client.sandbox.advance_time(31 * crate::client::DAY);
    assert_eq!(client.events(""), Vec::<serde_json::Value>::new(), "all forgotten");
    let mut snapshot = client.sandbox.snapshot();
    let (made, kept) = (client.sandbox.events_made(), customers(&client));
    client.sandbox.restore(&snapshot).unwrap();
    assert_eq!((client.sandbox.events_made(), customers(&client)), (made, kept));
    snapshot["format"] = json!(1);
    let refused = client.sandbox.restore(&snapshot).unwrap_err();
    assert_eq!((refused.status, refused.message.contains("format 1")), (400, true), "{refused}");
    assert!(refused.message.contains("start empty"), "it names the mend: {refused}");
    snapshot.as_object_mut().unwrap().remove("format");
    assert!(client.sandbox.restore(&snapshot).is_err());
    snapshot["format"] = client.sandbox.snapshot()["format"].clone();
    snapshot["world"].as_object_mut().unwrap().remove("customers");
    let lacking = client.sandbox.restore(&snapshot).unwrap_err();
    let told = lacking.message.contains("customers") && lacking.message.contains("start empty");
    assert_eq!((lacking.status, told), (400, true), "{lacking}");
    assert_eq!(client.sandbox.events_made(), made, "nothing changed");
}

#[test]
fn a_reset_keeps_the_account_and_repeats_no_id() {
    let client = client();
    let account = client.sandbox.account_id().to_owned();
    let first = id(&client.post("/v1/customers", ""));
    client.sandbox.reset();
    assert_eq!(id(&client.get("/v1/account", "")), account);
    assert_ne!(id(&client.post("/v1/customers", "")), first);
    assert_eq!(client.sandbox.due_deliveries().len(), 1, "the endpoint is still there");
}
