//! Usage by version 2 of the API: single events, and the stream with its sessions and reports.

use quittance_sandbox::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use crate::client::{Client, DAY, START, client, id, number, text};

fn send(client: &Client, path: &str, key: &str, body: &Value) -> HttpResponse {
    let request = HttpRequest::new("POST", path, key, &body.to_string());
    client.handle(request.header("content-type", "application/json"))
}

fn v2(client: &Client, what: &str, body: &Value) -> HttpResponse {
    send(client, &format!("/v2/billing/{what}"), "sk_test_1", body)
}

fn session(client: &Client) -> String {
    let made = v2(client, "meter_event_session", &json!({})).value();
    assert_eq!(text(&made, "/expires_at"), "2026-01-15T12:15:00.000Z");
    text(&made, "/authentication_token").to_owned()
}

fn stream(client: &Client, token: &str, events: &Value) -> HttpResponse {
    send(client, "/v2/billing/meter_event_stream", token, &json!({ "events": events }))
}

fn meter(client: &Client) -> String {
    let form = "display_name=Calls&event_name=calls&default_aggregation[formula]=sum";
    id(&client.post("/v1/billing/meters", form))
}

fn total(client: &Client, meter: &str, customer: &str) -> i64 {
    let query = format!("customer={customer}&start_time={}&end_time={}", START - DAY, START + DAY);
    let list = client.get(&format!("/v1/billing/meters/{meter}/event_summaries"), &query);
    number(&list, "/data/0/aggregated_value")
}

fn reports(client: &Client) -> Vec<Value> {
    let types = "types[0]=v1.billing.meter.error_report_triggered&types[1]=v1.billing.meter.no_meter_found";
    client.get("/v2/core/events", types)["data"].as_array().unwrap().clone()
}

#[test]
fn a_stream_counts_what_is_right_and_reports_what_is_not() {
    let client = client();
    let (meter, ada) = (meter(&client), id(&client.post("/v1/customers", "")));
    let token = session(&client);
    let used = |value: &str, identifier: &str| {
        let payload = json!({ "stripe_customer_id": ada, "value": value });
        json!({ "event_name": "calls", "identifier": identifier, "payload": payload,
                "timestamp": "2026-01-15T11:59:00Z" })
    };
    let nobody = json!({ "event_name": "calls", "identifier": "three", "payload": { "value": "1" } });
    let nothing = json!({ "event_name": "none", "identifier": "four", "payload": { "value": "1" } });
    let events = json!([used("5", "one"), used("7", "one"), used("x", "two"), nobody, nothing]);
    let answer = stream(&client, &token, &events);
    assert_eq!((answer.status, answer.value()), (200, json!({})), "nothing is said of mistakes");
    client.sandbox.advance_time(4);
    assert!(reports(&client).is_empty(), "they are reported later");
    client.sandbox.advance_time(1);
    assert_eq!(total(&client, &meter, &ada), 5, "an identifier counts once");
    let told = reports(&client);
    assert_eq!(told.len(), 2);
    let of = |kind: &str| told.iter().find(|event| text(event, "/type").ends_with(kind)).unwrap();
    let wrong = of("error_report_triggered");
    assert_eq!(text(wrong, "/related_object/id"), meter);
    assert_eq!(number(wrong, "/data/reason/error_count"), 2);
    let codes: Vec<&str> = wrong["data"]["reason"]["error_types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| text(kind, "/code"))
        .collect();
    assert_eq!(codes, ["meter_event_invalid_value", "meter_event_no_customer_defined"]);
    let sample = "/data/reason/error_types/0/sample_errors/0/request/identifier";
    assert_eq!(text(wrong, sample), "two");
    assert_eq!(text(wrong, "/data/validation_start"), "2026-01-15T12:00:00.000Z");
    let lost = of("no_meter_found");
    assert_eq!(text(lost, "/data/reason/error_types/0/code"), "no_meter");
    assert_eq!(text(lost, "/data/developer_message_summary"), "There is 1 invalid event");
    client.get(&format!("/v2/core/events/{}", id(lost)), "");
    client.sandbox.advance_time(DAY);
    assert_eq!(reports(&client).len(), 2, "once");
}

#[test]
fn a_session_lasts_a_quarter_of_an_hour_and_is_of_its_account() {
    let client = client();
    let token = session(&client);
    let event = json!([{ "event_name": "none", "payload": { "value": "1" } }]);
    assert_eq!(stream(&client, "sk_test_1", &event).status, 401, "a key does not stream");
    let many = Value::Array(vec![event[0].clone(); 101]);
    for wrong in [&json!([]), &many, &json!([{ "event_name": "a", "payload": {}, "timestamp": "now" }])] {
        assert_eq!(stream(&client, &token, wrong).status, 400);
    }
    client.sandbox.advance_time(899);
    assert_eq!(stream(&client, &token, &event).status, 200);
    client.sandbox.advance_time(1);
    let late = stream(&client, &token, &event);
    assert_eq!((late.status, text(&late.value(), "/error/type")), (401, "temporary_session_expired"));
    let account = id(&client.post("/v1/accounts", "type=standard"));
    let request = HttpRequest::new("POST", "/v2/billing/meter_event_session", "sk_test_1", "{}");
    let made = client.handle(request.header("stripe-account", &account)).value();
    assert_eq!(stream(&client, text(&made, "/authentication_token"), &event).status, 200);
    client.sandbox.advance_time(5);
    assert_eq!(reports(&client).len(), 1, "the platform's own");
    let request =
        HttpRequest::new("GET", "/v2/core/events", "sk_test_1", "types[0]=v1.billing.meter.no_meter_found");
    let theirs = client.handle(request.header("stripe-account", &account)).value();
    assert_eq!(text(&theirs, "/data/0/context"), account);
}

#[test]
fn single_events_are_refused_at_once_and_taken_back() {
    let client = client();
    let (meter, ada) = (meter(&client), id(&client.post("/v1/customers", "")));
    let payload = json!({ "stripe_customer_id": ada, "value": "9" });
    let event = json!({ "event_name": "calls", "identifier": "one", "payload": payload });
    let made = v2(&client, "meter_events", &event).value();
    assert_eq!(text(&made, "/timestamp"), "2026-01-15T12:00:00.000Z");
    assert_eq!(v2(&client, "meter_events", &event).status, 400, "the identifier is taken");
    client.sandbox.advance_time(5);
    assert_eq!(total(&client, &meter, &ada), 9);
    let back = json!({ "event_name": "calls", "type": "cancel", "cancel": { "identifier": "one" } });
    assert_eq!(text(&v2(&client, "meter_event_adjustments", &back).value(), "/status"), "complete");
    assert_eq!(total(&client, &meter, &ada), 0);
    let wrong = json!({ "event_name": "none", "payload": payload });
    assert_eq!(v2(&client, "meter_events", &wrong).status, 400);
    client.sandbox.advance_time(60);
    assert!(reports(&client).is_empty(), "it was said at once");
}
