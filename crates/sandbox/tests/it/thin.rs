//! Thin events and their destinations, of version 2 of the API.

use quittance_sandbox::{Delivery, HttpRequest, HttpResponse, signature_header};
use serde_json::{Value, json};

use crate::client::{Client, DAY, START, client, id, text};

fn post(client: &Client, path: &str, body: &Value) -> HttpResponse {
    let mut request = HttpRequest::new("POST", path, "sk_test_1", &body.to_string());
    request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    client.handle(request)
}

fn destination(client: &Client, payload: &str, types: &[&str]) -> Value {
    let body = json!({
        "name": "Ours", "type": "webhook_endpoint", "event_payload": payload, "enabled_events": types,
        "webhook_endpoint": { "url": "https://thin.test/hook" },
        "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
    });
    let made = post(client, "/v2/core/event_destinations", &body);
    assert_eq!(made.status, 200, "{:#}", made.value());
    made.value()
}

fn thin(client: &Client) -> Vec<Delivery> {
    let due = client.sandbox.due_deliveries();
    due.into_iter().filter(|delivery| delivery.url == "https://thin.test/hook").collect()
}

#[test]
fn a_destination_hears_of_what_happened_and_fetches_the_rest() {
    let client = client();
    let made = destination(&client, "thin", &["v1.customer.created", "v1.product.deactivated"]);
    let customer = id(&client.post("/v1/customers", "email=ada@example.com"));
    let product = id(&client.post("/v1/products", "name=Pro"));
    client.post(&format!("/v1/products/{product}"), "active=false");
    let due = thin(&client);
    let events: Vec<Value> =
        due.iter().map(|delivery| serde_json::from_slice(&delivery.body).unwrap()).collect();
    assert_eq!(
        events.iter().map(|event| text(event, "/type")).collect::<Vec<_>>(),
        ["v1.customer.created", "v1.product.deactivated"]
    );
    let event = &events[0];
    assert_eq!(text(event, "/object"), "v2.core.event");
    assert_eq!(text(event, "/created"), "2026-01-15T12:00:00.000Z");
    assert_eq!(
        event["related_object"],
        json!({
            "id": customer, "type": "customer", "url": format!("/v1/customers/{customer}")
        })
    );
    assert!(event.get("data").is_none(), "nothing of the object");
    let signature = due[0].headers.iter().find(|(name, _)| name == "stripe-signature").unwrap();
    let secret = text(&made, "/webhook_endpoint/signing_secret");
    assert_eq!(signature.1, signature_header(secret, START, &due[0].body));
    assert_eq!(due[0].event_type, "v1.customer.created");
    let fetched = client.get(&format!("/v2/core/events/{}", id(event)), "");
    assert_eq!(fetched["related_object"], event["related_object"]);
    assert_eq!(client.get(text(event, "/related_object/url"), "")["id"], customer);
    let snapshot = client.get(&format!("/v1/events/{}", text(&fetched, "/snapshot_event")), "");
    assert_eq!((text(&snapshot, "/type"), &snapshot["pending_webhooks"]), ("customer.created", &json!(1)));
    client.refused(404, "GET", "/v2/core/events/evt_test_none", "");
}

#[test]
fn changes_have_finer_types_and_lists_have_pages() {
    let client = client();
    let (price, customer) =
        (client.price(1000, "usd", "month"), client.customer("pm_card_chargeCustomerFail"));
    let trial = format!("trial_end={}", START + 3 * DAY);
    let subscription = id(&client.subscribe(&customer, &price, &trial));
    client.sandbox.advance_time(4 * DAY);
    let query = format!("object_id={subscription}&limit=2");
    let mut kinds = Vec::new();
    let mut page = client.get("/v2/core/events", &query);
    assert!(page["previous_page_url"].is_null());
    loop {
        kinds.extend(page["data"].as_array().unwrap().iter().map(|event| text(event, "/type").to_owned()));
        let Some(url) = page["next_page_url"].as_str().map(str::to_owned) else { break };
        let (path, query) = url.split_once('?').unwrap();
        page = client.get(path, query);
        assert!(page["previous_page_url"].is_string());
    }
    assert!(kinds.contains(&"v1.customer.subscription.past_due".to_owned()), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "v1.customer.subscription.created", "newest first: {kinds:?}");
    let only = client.get("/v2/core/events", "types[0]=v1.customer.subscription.past_due");
    assert_eq!(only["data"].as_array().unwrap().len(), 1);
    let fetched = client.get(&format!("/v2/core/events/{}", id(&only["data"][0])), "");
    assert_eq!(text(&fetched, "/type"), "v1.customer.subscription.past_due");
}

#[test]
fn destinations_are_changed_disabled_pinged_and_deleted() {
    let client = client();
    let made = destination(&client, "thin", &["v1.customer.created"]);
    let path = format!("/v2/core/event_destinations/{}", id(&made));
    assert!(client.get(&path, "").get("webhook_endpoint").is_none(), "only when asked for");
    let shown = client.get(&path, "include[0]=webhook_endpoint.url");
    assert_eq!(shown["webhook_endpoint"], json!({ "url": "https://thin.test/hook" }));
    let changed = post(&client, &path, &json!({ "name": "Theirs", "metadata": { "a": "1" } })).value();
    assert_eq!((text(&changed, "/name"), &changed["metadata"]), ("Theirs", &json!({ "a": "1" })));
    assert_eq!(post(&client, &path, &json!({ "enabled_events": [] })).status, 400);
    let pinged = post(&client, &format!("{path}/ping"), &json!({})).value();
    assert_eq!(text(&pinged, "/type"), "v2.core.event_destination.ping");
    let due = thin(&client);
    assert_eq!((due.len(), due[0].event_id.as_str()), (1, text(&pinged, "/id")));
    assert_eq!(client.events("").len(), 0, "version 1 knows nothing of it");
    client.refused(404, "GET", &format!("/v1/events/{}", id(&pinged)), "");
    client.post("/v1/customers", "");
    let off = post(&client, &format!("{path}/disable"), &json!({})).value();
    assert_eq!((text(&off, "/status"), text(&off, "/status_details/disabled/reason")), ("disabled", "user"));
    assert_eq!(thin(&client).len(), 0, "nothing more is sent");
    post(&client, &format!("{path}/enable"), &json!({}));
    client.post("/v1/customers", "");
    assert_eq!(thin(&client).len(), 1);
    assert_eq!(client.get("/v2/core/event_destinations", "")["data"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/v1/webhook_endpoints", "")["data"].as_array().unwrap().len(), 1, "another list");
    client.refused(404, "GET", &format!("/v1/webhook_endpoints/{}", id(&made)), "");
    client.delete(&path, "");
    client.refused(404, "GET", &path, "");
}

#[test]
fn a_snapshot_destination_is_sent_objects_in_its_version() {
    let client = client();
    let body = json!({
        "name": "Ours", "type": "webhook_endpoint", "event_payload": "snapshot",
        "enabled_events": ["customer.created"], "snapshot_api_version": "2024-06-20",
        "webhook_endpoint": { "url": "https://thin.test/hook" },
    });
    assert_eq!(post(&client, "/v2/core/event_destinations", &body).status, 200);
    client.post("/v1/customers", "name=Ada");
    let event: Value = serde_json::from_slice(&thin(&client)[0].body).unwrap();
    assert_eq!((text(&event, "/api_version"), text(&event, "/data/object/name")), ("2024-06-20", "Ada"));
    for (field, value) in [
        ("event_payload", json!("fat")),
        ("enabled_events", json!(["v1.customer.created"])),
        ("enabled_events", json!(null)),
        ("snapshot_api_version", json!("2024-06-21")),
        ("type", json!("amazon_eventbridge")),
        ("webhook_endpoint", json!({ "url": "ftp://x" })),
        ("events_from", json!(["@organization_members"])),
        ("unknown", json!(1)),
    ] {
        let mut wrong = body.clone();
        wrong[field] = value;
        assert_eq!(post(&client, "/v2/core/event_destinations", &wrong).status, 400, "{wrong}");
    }
    let request = HttpRequest::new("POST", "/v2/core/event_destinations", "sk_test_1", "name=x");
    assert_eq!(client.handle(request).status, 400, "a form is no JSON");
}

#[test]
fn a_key_of_version_2_lasts_thirty_days_and_keeps_no_failure() {
    let client = client();
    let mut body = json!({
        "name": "Ours", "type": "webhook_endpoint", "event_payload": "thin", "enabled_events": ["*"],
        "webhook_endpoint": { "url": "https://thin.test/hook" },
    });
    let keyed = |body: &Value| {
        let text = body.to_string();
        let request = HttpRequest::new("POST", "/v2/core/event_destinations", "sk_test_1", &text);
        client.handle(request.header("idempotency-key", "k"))
    };
    body["event_payload"] = json!("fat");
    assert_eq!(keyed(&body).status, 400);
    body["event_payload"] = json!("thin");
    let first = keyed(&body);
    assert_eq!(first.status, 200);
    client.sandbox.advance_time(30 * DAY - 1);
    assert_eq!(keyed(&body).value(), first.value());
    client.sandbox.advance_time(1);
    assert_ne!(keyed(&body).value()["id"], first.value()["id"]);
}
