//! Deliveries: signatures, retries, duplicates, losses, pauses, older shapes.

use quittance_sandbox::{Delivery, DeliveryOutcome, DeliveryPolicy, signature_header};
use serde_json::{Value, json};

use crate::client::{DAY, SECRET, START, client, id, text};

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.event_id.clone()).collect()
}

#[test]
fn each_delivery_is_signed_and_named() {
    let client = client();
    client.post("/v1/customers", "email=ada@example.com");
    let due = client.sandbox.due_deliveries();
    assert_eq!(due.len(), 1);
    let header = |name: &str| {
        due[0].headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(header("stripe-signature"), signature_header(SECRET, START, &due[0].body));
    assert_eq!(header("user-agent"), "Stripe/1.0 (+https://stripe.com/docs/webhooks)");
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    let event: Value = serde_json::from_slice(&due[0].body).unwrap();
    crate::schema::check_object("Event", &event);
    assert_eq!(text(&event, "/type"), "customer.created");
    assert_eq!(event["pending_webhooks"], 1);
    assert!(text(&event, "/request/id").starts_with("req_"));
    assert!(client.sandbox.due_deliveries().is_empty(), "what is under way is not due again");
}

#[test]
fn a_failed_delivery_is_tried_again_until_it_is_given_up() {
    let client = client();
    client.post("/v1/customers", "");
    let waits = [300, 1800, 7200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200];
    for wait in waits {
        let due = client.sandbox.due_deliveries();
        assert_eq!(due.len(), 1);
        client.sandbox.delivery_result(&due[0].delivery_id, DeliveryOutcome::Answered(500));
        client.sandbox.advance_time(wait - 1);
        assert!(client.sandbox.due_deliveries().is_empty());
        client.sandbox.advance_time(1);
    }
    assert_eq!(client.events("delivery_success=false").len(), 1);
    let due = client.sandbox.due_deliveries();
    client.sandbox.delivery_result(&due[0].delivery_id, DeliveryOutcome::Failed);
    client.sandbox.advance_time(5 * DAY);
    assert!(client.sandbox.due_deliveries().is_empty());
    assert_eq!(client.events("delivery_success=false").len(), 1, "a backfill finds it");
}

#[test]
fn the_network_duplicates_and_loses_what_it_is_told_to() {
    let client = client();
    client
        .sandbox
        .set_delivery_policy(DeliveryPolicy { duplicate: 1.0, ..DeliveryPolicy::default() })
        .unwrap();
    client.post("/v1/customers", "");
    let twice = client.sandbox.due_deliveries();
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].event_id, twice[1].event_id);
    client.sandbox.set_delivery_policy(DeliveryPolicy { drop: 1.0, ..DeliveryPolicy::default() }).unwrap();
    client.post("/v1/customers", "");
    assert!(client.sandbox.due_deliveries().is_empty());
    client.sandbox.advance_time(4 * DAY);
    assert!(client.sandbox.due_deliveries().is_empty(), "lost for good");
    assert_eq!(client.events("delivery_success=false").len(), 2, "the pending one and the lost one");
    assert!(
        client
            .sandbox
            .set_delivery_policy(DeliveryPolicy { drop: 1.5, ..DeliveryPolicy::default() })
            .is_err()
    );
}

#[test]
fn delays_and_shuffles_repeat_with_their_seed() {
    let run = |seed: u64| {
        let client = client();
        let policy = DeliveryPolicy {
            shuffle: 0.5,
            delay: 0.5,
            max_delay_seconds: 60,
            seed: Some(seed),
            ..DeliveryPolicy::default()
        };
        client.sandbox.set_delivery_policy(policy).unwrap();
        for _ in 0..20 {
            client.post("/v1/customers", "");
        }
        let mut order = bodies(&client.sandbox.due_deliveries());
        assert!(order.len() < 20, "some come late");
        client.sandbox.advance_time(60);
        order.extend(bodies(&client.sandbox.due_deliveries()));
        assert_eq!(order.len(), 20, "but all come");
        let created: Vec<String> = client.events("").iter().rev().map(id).collect();
        assert_ne!(order, created, "out of order");
        order
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_pause_holds_back_all_but_what_is_sent_by_hand() {
    let client = client();
    client.control("PUT", "webhooks", &json!({ "paused": true }));
    client.post("/v1/customers", "");
    assert!(client.sandbox.due_deliveries().is_empty());
    let event = id(&client.events("")[0]);
    client.control("POST", &format!("events/{event}/deliver"), &json!({ "times": 3, "concurrently": true }));
    let due = client.sandbox.due_deliveries();
    assert_eq!((due.len(), due.iter().all(|delivery| delivery.concurrently)), (3, true));
    client.control("PUT", "webhooks", &json!({ "paused": false }));
    assert_eq!(client.sandbox.due_deliveries().len(), 1);
}

#[test]
fn an_endpoint_hears_what_it_asked_for_in_the_shape_of_its_version() {
    let client = client();
    let made = client.post("/v1/webhook_endpoints", "url=https://old.test/hook&enabled_events[]=invoice.paid&enabled_events[]=customer.subscription.updated&enabled_events[]=customer.subscription.created&api_version=2024-06-20");
    assert!(text(&made, "/secret").starts_with("whsec_"));
    assert!(
        client.get(&format!("/v1/webhook_endpoints/{}", id(&made)), "").get("secret").is_none(),
        "shown once"
    );
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    let mut due = client.sandbox.due_deliveries();
    client.sandbox.advance_time(31 * DAY);
    due.extend(client.sandbox.due_deliveries());
    let mut kinds = Vec::new();
    for delivery in due.iter().filter(|delivery| delivery.url == "https://old.test/hook") {
        let event: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(text(&event, "/api_version"), "2024-06-20");
        let object = &event["data"]["object"];
        match text(&event, "/type") {
            "invoice.paid" => {
                assert_eq!(text(object, "/subscription"), subscription);
                assert_eq!(object["paid"], true);
                assert!(text(object, "/payment_intent").starts_with("pi_"));
                assert!(text(object, "/charge").starts_with("ch_"));
                assert!(object.get("parent").is_none());
            }
            "customer.subscription.created" => assert_eq!(object["current_period_end"], START + 31 * DAY),
            "customer.subscription.updated" => {
                assert_eq!(event["data"]["previous_attributes"]["current_period_end"], START + 31 * DAY)
            }
            other => panic!("{other} was not asked for"),
        }
        kinds.push(text(&event, "/type").to_owned());
    }
    assert_eq!(kinds, ["customer.subscription.created", "invoice.paid", "customer.subscription.updated"]);
}

#[test]
fn a_disabled_endpoint_hears_nothing_and_its_events_have_failed() {
    let client = client();
    let made = id(&client.post("/v1/webhook_endpoints", "url=https://two.test/hook&enabled_events[]=*"));
    client.post("/v1/customers", "");
    let due = client.sandbox.due_deliveries();
    let (first, second): (Vec<_>, Vec<_>) = due.iter().partition(|delivery| delivery.url.contains("127"));
    client.sandbox.delivery_result(&first[0].delivery_id, DeliveryOutcome::Answered(200));
    client.sandbox.delivery_result(&second[0].delivery_id, DeliveryOutcome::Answered(302));
    assert_eq!(client.events("")[0]["pending_webhooks"], 1, "a redirection is a failure");
    let path = format!("/v1/webhook_endpoints/{made}");
    client.post(&path, "disabled=true");
    assert_eq!(client.sandbox.undelivered(), 0);
    assert_eq!(client.events("delivery_success=false")[0]["pending_webhooks"], 0);
    client.post("/v1/customers", "");
    client.deliver();
    assert_eq!(client.events("delivery_success=true").len(), 1, "it does not count for later ones");
    client.post(&path, "disabled=false");
    client.sandbox.advance_time(DAY);
    assert!(client.sandbox.due_deliveries().is_empty(), "what it missed does not come again");
    client.post("/v1/customers", "");
    let due = client.sandbox.due_deliveries();
    assert_eq!(due.len(), 2);
    client.post(&path, "disabled=true");
    for delivery in &due {
        client.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Failed);
    }
    assert_eq!(client.sandbox.undelivered(), 1, "only the other endpoint is tried again");
}

#[test]
fn an_event_is_sent_again_to_the_endpoint_that_asks() {
    let client = client();
    client.post("/v1/customers", "");
    let endpoint = id(&client.get("/v1/webhook_endpoints", "")["data"][0]);
    client.deliver();
    let event = id(&client.events("")[0]);
    let again = client.post(&format!("/v1/events/{event}/retry"), &format!("webhook_endpoint={endpoint}"));
    assert_eq!(id(&again), event);
    assert_eq!(bodies(&client.sandbox.due_deliveries()), [event.as_str()]);
    client.post(&format!("/v1/events/{event}/retry"), "for_stripecli=true");
    assert!(client.sandbox.due_deliveries().is_empty(), "nobody listens");
    client.refused(400, "POST", &format!("/v1/events/{event}/retry"), "");
    client.refused(404, "POST", &format!("/v1/events/{event}/retry"), "webhook_endpoint=we_none");
    client.refused(404, "POST", "/v1/events/evt_none/retry", "for_stripecli=true");
}

#[test]
fn events_are_kept_for_thirty_days_whatever_happens_then() {
    let client = client();
    client.post("/v1/customers", "");
    let event = id(&client.events("")[0]);
    client.sandbox.advance_time(30 * DAY);
    assert_eq!(client.events("").len(), 1);
    client.sandbox.advance_time(1);
    assert_eq!(client.events("").len(), 0);
    client.refused(404, "GET", &format!("/v1/events/{event}"), "");
}

#[test]
fn a_deleted_endpoint_hears_nothing_more() {
    let client = client();
    let made = id(&client.post("/v1/webhook_endpoints", "url=https://two.test/hook&enabled_events[]=*"));
    client.post("/v1/customers", "");
    client.delete(&format!("/v1/webhook_endpoints/{made}"), "");
    assert_eq!(client.sandbox.due_deliveries().len(), 1, "only the other endpoint");
}

#[test]
fn previous_attributes_hold_only_what_changed() {
    let client = client();
    let customer = id(&client.post("/v1/customers", "name=Ada&metadata[a]=1"));
    client.post(&format!("/v1/customers/{customer}"), "name=Bea&metadata[b]=2");
    client.post(&format!("/v1/customers/{customer}"), "name=Bea");
    let changes = client.events("type=customer.updated");
    assert_eq!(changes.len(), 1, "no change, no event");
    assert_eq!(
        changes[0]["data"]["previous_attributes"],
        json!({ "name": "Ada", "metadata": { "b": null } })
    );
}

#[test]
fn every_event_carries_an_object_of_its_type() {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    client.subscribe(&customer, &price, "trial_period_days=3");
    client.sandbox.advance_time(40 * DAY);
    for event in client.events("") {
        let name = match text(&event, "/data/object/object") {
            "customer" => "Customer",
            "subscription" => "Subscription",
            "invoice" if event["type"] == "invoice.upcoming" => continue,
            "invoice" => "Invoice",
            "charge" => "Charge",
            "payment_intent" => "PaymentIntent",
            "payment_method" => "PaymentMethod",
            "product" => "Product",
            "price" => "Price",
            "invoice_payment" => "InvoicePayment",
            other => panic!("{other}"),
        };
        crate::schema::check_object(name, &event["data"]["object"]);
    }
    assert_eq!(client.deliver().len(), client.events("created[gte]=0").len());
}

fn set(client: &crate::client::Client, name: &str, value: i64) {
    let mut settings = client.control("GET", "settings", &Value::Null);
    settings[name] = json!(value);
    client.control("PUT", "settings", &settings);
}

/// Answers everything that falls due within some seconds with this status.
fn answer_for(client: &crate::client::Client, seconds: i64, status: u16) {
    let end = client.sandbox.now() + seconds;
    loop {
        for delivery in client.sandbox.due_deliveries() {
            client.sandbox.delivery_result(&delivery.delivery_id, DeliveryOutcome::Answered(status));
        }
        match client.sandbox.next_due().filter(|next| *next <= end) {
            Some(next) => client.sandbox.advance_time_to(next),
            None => break,
        }
    }
    client.sandbox.advance_time_to(end);
}

#[test]
fn an_endpoint_that_fails_for_days_is_disabled() {
    let client = client();
    let shown = || client.get("/v1/webhook_endpoints", "")["data"][0].clone();
    client.post("/v1/customers", "");
    answer_for(&client, 4 * DAY, 500);
    assert_eq!(text(&shown(), "/status"), "enabled", "an event was given up, but not for a week");
    client.post("/v1/customers", "");
    answer_for(&client, 2 * DAY, 200);
    client.post("/v1/customers", "");
    answer_for(&client, 6 * DAY, 500);
    assert_eq!(text(&shown(), "/status"), "enabled", "it has answered in between");
    client.post("/v1/customers", "");
    client.post("/v1/products", "name=Pro");
    answer_for(&client, 4 * DAY, 500);
    assert_eq!(text(&shown(), "/status"), "disabled");
    assert_eq!(client.events("delivery_success=false").len(), 4);
    client.post("/v1/customers", "");
    assert!(client.sandbox.due_deliveries().is_empty(), "it hears of nothing");
    client.post(&format!("/v1/webhook_endpoints/{}", id(&shown())), "disabled=false");
    client.post("/v1/customers", "");
    answer_for(&client, 4 * DAY, 500);
    assert_eq!(text(&shown(), "/status"), "enabled", "and has a week again");
    set(&client, "webhook_disable_days", 0);
    for _ in 0..3 {
        client.post("/v1/customers", "");
        answer_for(&client, 4 * DAY, 500);
    }
    assert_eq!(text(&shown(), "/status"), "enabled", "never, where the settings say so");
}

fn draft(client: &crate::client::Client) -> String {
    let customer = client.customer("pm_card_visa");
    client.post("/v1/invoiceitems", &format!("customer={customer}&amount=500&currency=usd"));
    let form = format!("customer={customer}&auto_advance=true&pending_invoice_items_behavior=include");
    id(&client.post("/v1/invoices", &form))
}

#[test]
fn drafts_wait_for_endpoints_where_the_settings_say_so() {
    const HOUR: i64 = 3600;
    let status = |client: &crate::client::Client, invoice: &str| {
        text(&client.get(&format!("/v1/invoices/{invoice}"), ""), "/status").to_owned()
    };
    let client = client();
    let unheard = draft(&client);
    client.sandbox.advance_time(HOUR);
    assert_eq!(status(&client, &unheard), "paid", "nobody waits unless told to");
    set(&client, "draft_wait_hours", 72);
    answer_for(&client, 0, 200);
    let heard = draft(&client);
    answer_for(&client, HOUR - 1, 200);
    assert_eq!(status(&client, &heard), "draft");
    client.sandbox.advance_time(1);
    assert_eq!(status(&client, &heard), "paid", "an answer at once changes nothing");
    let refused = draft(&client);
    answer_for(&client, 10 * HOUR, 500);
    let late = client.sandbox.now();
    assert_eq!(status(&client, &refused), "draft");
    answer_for(&client, 20 * HOUR, 200);
    let paid = client.get(&format!("/v1/invoices/{refused}"), "");
    let at = paid["status_transitions"]["finalized_at"].as_i64().unwrap();
    assert_eq!(text(&paid, "/status"), "paid");
    assert_eq!(at - late, 27_300 + HOUR, "an hour after its next try, which was answered");
    let never = draft(&client);
    answer_for(&client, 72 * HOUR - 1, 500);
    assert_eq!(status(&client, &never), "draft");
    answer_for(&client, 1, 500);
    assert_eq!(status(&client, &never), "paid", "not for ever");
    let gone = draft(&client);
    let endpoint = id(&client.get("/v1/webhook_endpoints", "")["data"][0]);
    client.delete(&format!("/v1/webhook_endpoints/{endpoint}"), "");
    let other = draft(&client);
    client.sandbox.advance_time(HOUR);
    assert_eq!(status(&client, &other), "paid", "there is nobody to wait for");
    assert_eq!(status(&client, &gone), "draft");
}
