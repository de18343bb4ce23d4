//! Test clocks: customers whose time is their own, beside those who follow the sandbox's.

use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};
use crate::schema;

const CLOCKS: &str = "/v1/test_helpers/test_clocks";
/// Four years later: 15 January 2030, 12:00 UTC, with months of the same lengths ahead.
const LATER: i64 = START + 1461 * DAY;

fn clock(client: &Client, at: i64) -> String {
    id(&client.post(CLOCKS, &format!("frozen_time={at}&name=mine")))
}

fn advance(client: &Client, clock: &str, to: i64) {
    let answer = client.post(&format!("{CLOCKS}/{clock}/advance"), &format!("frozen_time={to}"));
    assert_eq!(text(&answer, "/status"), "advancing");
    let arrived = client.get(&format!("{CLOCKS}/{clock}"), "");
    assert_eq!((text(&arrived, "/status"), number(&arrived, "/frozen_time")), ("ready", to));
}

/// A customer with a default card, on a clock or on the sandbox's own time.
fn customer(client: &Client, clock: Option<&str>, card: &str) -> String {
    let clock = clock.map(|clock| format!("&test_clock={clock}")).unwrap_or_default();
    let customer = id(&client.post("/v1/customers", &format!("email=ada@example.com{clock}")));
    let method =
        id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
    let form = format!("invoice_settings[default_payment_method]={method}");
    client.post(&format!("/v1/customers/{customer}"), &form);
    customer
}

fn period_end(client: &Client, subscription: &str) -> i64 {
    number(&client.subscription(subscription), "/items/data/0/current_period_end")
}

#[test]
fn a_clock_alone_drives_its_customers() {
    let client = client();
    let (price, clock) = (client.price(1000, "usd", "month"), clock(&client, LATER));
    let (theirs, ours) =
        (customer(&client, Some(&clock), "pm_card_visa"), customer(&client, None, "pm_card_visa"));
    let (on_clock, own) =
        (id(&client.subscribe(&theirs, &price, "")), id(&client.subscribe(&ours, &price, "")));
    let made = client.get(&format!("/v1/subscriptions/{on_clock}"), "expand[]=test_clock");
    assert_eq!(number(&made, "/created"), LATER);
    assert_eq!(number(&made, "/test_clock/frozen_time"), LATER);
    client.sandbox.advance_time(40 * DAY);
    assert_eq!(period_end(&client, &on_clock), LATER + 31 * DAY, "the sandbox's time is not the clock's");
    assert_eq!(period_end(&client, &own), START + 59 * DAY);
    advance(&client, &clock, LATER + 31 * DAY + HOUR);
    assert_eq!(period_end(&client, &on_clock), LATER + 59 * DAY);
    assert_eq!(period_end(&client, &own), START + 59 * DAY, "and the clock's is not the sandbox's");
    let invoices = client.get("/v1/invoices", &format!("subscription={on_clock}"));
    assert_eq!(number(&invoices, "/data/0/created"), LATER + 31 * DAY);
    assert_eq!(number(&invoices, "/data/0/status_transitions/paid_at"), LATER + 31 * DAY + HOUR);
    assert_eq!(text(&invoices, "/data/0/test_clock"), clock);
    let paid = &client.events("type=invoice.paid")[0];
    assert_eq!(number(paid, "/created"), START + 40 * DAY, "events happen when they are made");
    assert_eq!(client.sandbox.ledger().customer(&theirs).unwrap().net("usd"), 2000);
}

#[test]
fn an_advance_is_told_and_nothing_else_touches_the_clock_meanwhile() {
    let client = client();
    client.control("PUT", "settings", &json!({ "clock_advance_seconds": 60 }));
    let clock = clock(&client, START);
    let (path, to) = (format!("{CLOCKS}/{clock}"), START + 10 * DAY);
    let told = client.post(&format!("{path}/advance"), &format!("frozen_time={to}"));
    assert_eq!((text(&told, "/status"), number(&told, "/frozen_time")), ("advancing", START));
    assert_eq!(number(&told, "/status_details/advancing/target_frozen_time"), to);
    for (method, path, form) in [
        ("POST", format!("{path}/advance"), format!("frozen_time={}", to + 1)),
        ("DELETE", path.clone(), String::new()),
        ("POST", "/v1/customers".to_owned(), format!("test_clock={clock}")),
    ] {
        let error = client.refused(429, method, &path, &form);
        assert!(text(&error, "/message").contains("advancement underway"));
    }
    client.sandbox.advance_time(59);
    assert_eq!(text(&client.get(&path, ""), "/status"), "advancing");
    client.sandbox.advance_time(1);
    let arrived = client.get(&path, "");
    assert_eq!((text(&arrived, "/status"), number(&arrived, "/frozen_time")), ("ready", to));
    assert_eq!(arrived["status_details"], json!({}));
    client.delete(&path, "");
    client.refused(404, "GET", &path, "");
    let told = client.events("type=test_helpers.test_clock.*");
    let kinds: Vec<_> = told.iter().rev().map(|event| text(event, "/type")).collect();
    let words = ["created", "advancing", "ready", "deleted"];
    assert_eq!(kinds, words.map(|word| format!("test_helpers.test_clock.{word}")));
    for event in &told {
        schema::check_object("TestHelpers.TestClock", &event["data"]["object"]);
    }
}

#[test]
fn a_clock_goes_forward_two_intervals_at_most() {
    let client = client();
    let clock = clock(&client, START);
    let path = format!("{CLOCKS}/{clock}/advance");
    let refused = |to: i64| client.refused(400, "POST", &path, &format!("frozen_time={to}"));
    assert_eq!(text(&refused(START), "/param"), "frozen_time");
    refused(START - 1);
    refused(START + 2 * 365 * DAY + 1);
    advance(&client, &clock, START + 2 * 365 * DAY);
    let now = START + 2 * 365 * DAY;
    let customer = customer(&client, Some(&clock), "pm_card_visa");
    client.subscribe(&customer, &client.price(100, "usd", "year"), "");
    let shortest = id(&client.subscribe(&customer, &client.price(1000, "usd", "week"), ""));
    refused(now + 14 * DAY + 1);
    advance(&client, &clock, now + 14 * DAY);
    client.delete(&format!("/v1/subscriptions/{shortest}"), "");
    advance(&client, &clock, now + 100 * DAY);
    client.refused(400, "POST", CLOCKS, "");
    client.refused(400, "POST", CLOCKS, "frozen_time=-1");
    client.refused(404, "POST", &format!("{CLOCKS}/clock_none/advance"), "frozen_time=1");
}

#[test]
fn a_clock_takes_three_customers_and_each_of_them_three_subscriptions() {
    let client = client();
    let (clock, other) = (clock(&client, START), clock(&client, START));
    let customers: Vec<_> = (0..3).map(|_| customer(&client, Some(&clock), "pm_card_visa")).collect();
    client.refused(400, "POST", "/v1/customers", &format!("test_clock={clock}"));
    client.delete(&format!("/v1/customers/{}", customers[0]), "");
    client.post("/v1/customers", &format!("test_clock={clock}"));
    client.post("/v1/customers", &format!("test_clock={other}"));
    client.refused(404, "POST", "/v1/customers", "test_clock=clock_none");
    let price = client.price(1000, "usd", "month");
    let made: Vec<_> = (0..3).map(|_| id(&client.subscribe(&customers[1], &price, ""))).collect();
    let form = format!("customer={}&items[0][price]={price}", customers[1]);
    client.refused(400, "POST", "/v1/subscriptions", &form);
    client.delete(&format!("/v1/subscriptions/{}", made[0]), "");
    client.post("/v1/subscriptions", &form);
    let own = customer(&client, None, "pm_card_visa");
    for _ in 0..4 {
        client.subscribe(&own, &price, "");
    }
}

#[test]
fn lists_show_the_objects_of_a_clock_only_when_asked() {
    let client = client();
    let (price, clock) = (client.price(1000, "usd", "month"), clock(&client, START));
    let (theirs, ours) =
        (customer(&client, Some(&clock), "pm_card_visa"), customer(&client, None, "pm_card_visa"));
    let (on_clock, own) =
        (id(&client.subscribe(&theirs, &price, "")), id(&client.subscribe(&ours, &price, "")));
    let ids = |path: &str, query: &str| -> Vec<String> {
        client.get(path, query)["data"].as_array().unwrap().iter().map(id).collect()
    };
    let by_clock = format!("test_clock={clock}");
    assert_eq!(ids("/v1/customers", ""), vec![ours]);
    assert_eq!(ids("/v1/customers", &by_clock), vec![theirs.clone()]);
    assert_eq!(ids("/v1/subscriptions", ""), [own]);
    assert_eq!(ids("/v1/subscriptions", &by_clock), vec![on_clock.clone()]);
    assert_eq!(ids("/v1/subscriptions", &format!("customer={theirs}")), [on_clock]);
    assert_eq!(ids(CLOCKS, ""), [clock]);
}

#[test]
fn a_deleted_clock_takes_its_customers_along() {
    let client = client();
    let (price, clock) = (client.price(1000, "usd", "month"), clock(&client, LATER));
    let gone = customer(&client, Some(&clock), "pm_card_visa");
    let stays = customer(&client, None, "pm_card_visa");
    let subscription = id(&client.subscribe(&gone, &price, ""));
    let other = id(&client.subscribe(&stays, &price, ""));
    assert_eq!(client.delete(&format!("{CLOCKS}/{clock}"), "")["deleted"], true);
    assert_eq!(client.get(&format!("/v1/customers/{gone}"), "")["deleted"], true);
    let ended = client.subscription(&subscription);
    assert_eq!((text(&ended, "/status"), number(&ended, "/ended_at")), ("canceled", LATER));
    assert_eq!(text(&client.subscription(&other), "/status"), "active");
    let kinds = client.kinds();
    for kind in ["customer.deleted", "customer.subscription.deleted", "test_helpers.test_clock.deleted"] {
        assert_eq!(kinds.iter().filter(|found| *found == kind).count(), 1, "{kind}");
    }
    client.sandbox.advance_time(40 * DAY);
    assert_eq!(client.sandbox.ledger().customer(&gone).unwrap().net("usd"), 1000, "nothing renews");
}

#[test]
fn a_forgotten_clock_is_deleted_by_itself() {
    let client = client();
    client.control("PUT", "settings", &json!({ "test_clock_days": 30 }));
    let clock = clock(&client, LATER);
    let customer = customer(&client, Some(&clock), "pm_card_visa");
    let path = format!("{CLOCKS}/{clock}");
    assert_eq!(number(&client.get(&path, ""), "/deletes_after"), START + 30 * DAY);
    client.sandbox.advance_time(30 * DAY - 1);
    client.get(&path, "");
    client.sandbox.advance_time(1);
    client.refused(404, "GET", &path, "");
    assert_eq!(client.get(&format!("/v1/customers/{customer}"), "")["deleted"], true);
}

/// The lives that time gives a subscription: parameters, the card from then on, and days to live.
const LIVES: [(&str, &str, i64); 8] = [
    ("", "pm_card_visa", 59),
    ("trial_period_days=10", "pm_card_visa", 42),
    ("trial_period_days=2&trial_settings[end_behavior][missing_payment_method]=cancel", "pm_card_visa", 40),
    ("", "pm_card_chargeCustomerFail", 59),
    ("", "pm_card_authenticationRequired", 59),
    ("payment_behavior=default_incomplete", "pm_card_visa", 2),
    ("cancel_at=IN_TWENTY_DAYS", "pm_card_visa", 40),
    ("collection_method=send_invoice&days_until_due=3", "pm_card_visa", 40),
];

/// What happened to a subscription, with every instant counted from the start of its life.
fn live(life: (&str, &str, i64), on_clock: bool) -> (Vec<String>, Value) {
    let (form, card, days) = life;
    let client = client();
    // Many small steps on the sandbox's own time, two large ones on the clock: it makes no difference.
    let start = if on_clock { LATER } else { START };
    let clock = on_clock.then(|| clock(&client, start));
    let customer = customer(&client, clock.as_deref(), "pm_card_visa");
    let price = client.price(1000, "usd", "month");
    let form = form.replace("IN_TWENTY_DAYS", &(start + 20 * DAY).to_string());
    let subscription = id(&client.subscribe(&customer, &price, &form));
    let method =
        id(&client.post(&format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}")));
    let form = format!("invoice_settings[default_payment_method]={method}");
    client.post(&format!("/v1/customers/{customer}"), &form);
    let mut kinds: Vec<String> = Vec::new();
    let mut hear = || {
        kinds.extend(client.deliver().iter().map(|event| text(event, "/type").to_owned()));
    };
    match &clock {
        Some(clock) => {
            advance(&client, clock, start + days * DAY / 3);
            advance(&client, clock, start + days * DAY);
            hear();
        }
        None => (0..days).for_each(|_| {
            client.sandbox.advance_time(DAY);
            hear();
        }),
    }
    kinds.retain(|kind| !kind.contains("test_clock"));
    let mut told: Vec<Value> = client.get("/v1/invoices", &format!("subscription={subscription}"))["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|invoice| {
            json!([
                invoice["status"],
                invoice["created"],
                invoice["attempt_count"],
                invoice["next_payment_attempt"],
                invoice["status_transitions"],
            ])
        })
        .collect();
    let found = client.subscription(&subscription);
    told.push(json!([
        found["status"],
        found["ended_at"],
        found["trial_end"],
        found["items"]["data"][0]["current_period_end"]
    ]));
    let mut told = Value::Array(told);
    count_from(&mut told, start);
    (kinds, told)
}

fn count_from(value: &mut Value, start: i64) {
    match value {
        Value::Number(number) if number.as_i64().is_some_and(|at| at >= start) => {
            *value = json!(number.as_i64().unwrap() - start);
        }
        Value::Array(list) => list.iter_mut().for_each(|element| count_from(element, start)),
        Value::Object(fields) => fields.values_mut().for_each(|field| count_from(field, start)),
        _ => {}
    }
}

#[test]
fn a_life_on_a_clock_is_the_same_as_on_the_sandboxs_own_time() {
    for life in LIVES {
        assert_eq!(live(life, true), live(life, false), "{life:?}");
    }
}

#[test]
fn a_snapshot_keeps_clocks_and_what_they_will_do() {
    let client = client();
    let (price, clock) = (client.price(1000, "usd", "month"), clock(&client, LATER));
    let theirs = customer(&client, Some(&clock), "pm_card_visa");
    let subscription = id(&client.subscribe(&theirs, &price, ""));
    let snapshot = client.control("GET", "snapshot", &Value::Null);
    client.control("POST", "reset", &json!({}));
    client.refused(404, "GET", &format!("{CLOCKS}/{clock}"), "");
    client.control("PUT", "snapshot", &snapshot);
    advance(&client, &clock, LATER + 31 * DAY + HOUR);
    assert_eq!(period_end(&client, &subscription), LATER + 59 * DAY);
}

#[test]
fn a_checkout_waits_on_the_sandboxs_time_and_sells_on_the_clocks() {
    let client = client();
    let (price, clock) = (client.price(1000, "usd", "month"), clock(&client, LATER));
    let theirs = customer(&client, Some(&clock), "pm_card_visa");
    let form = format!(
        "mode=subscription&customer={theirs}&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=http://shop.test/ok"
    );
    let (forgotten, bought) =
        (client.post("/v1/checkout/sessions", &form), client.post("/v1/checkout/sessions", &form));
    assert_eq!(number(&bought, "/expires_at"), START + DAY);
    client.sandbox.complete_checkout(text(&bought, "/id"), "pm_card_visa").unwrap();
    let session =
        client.get(&format!("/v1/checkout/sessions/{}", text(&bought, "/id")), "expand[]=subscription");
    assert_eq!(number(&session, "/subscription/created"), LATER);
    advance(&client, &clock, LATER + 31 * DAY + HOUR);
    let forgotten = format!("/v1/checkout/sessions/{}", text(&forgotten, "/id"));
    assert_eq!(text(&client.get(&forgotten, ""), "/status"), "open");
    client.sandbox.advance_time(DAY);
    assert_eq!(text(&client.get(&forgotten, ""), "/status"), "expired");
    assert_eq!(client.sandbox.ledger().customer(&theirs).unwrap().net("usd"), 2000);
}

#[test]
fn a_customer_who_has_lived_joins_a_clock_with_everything_of_theirs() {
    let client = client();
    let (price, theirs) = (client.price(1000, "usd", "month"), customer(&client, None, "pm_card_visa"));
    let other = customer(&client, None, "pm_card_visa");
    let joined = id(&client.subscribe(&theirs, &price, ""));
    let stays = id(&client.subscribe(&other, &price, ""));
    client.sandbox.advance_time(DAY);
    for form in [format!("frozen_time={START}&customer={theirs}"), format!("customer={theirs}")] {
        client.refused(400, "POST", CLOCKS, &form);
    }
    client.refused(404, "POST", CLOCKS, &format!("frozen_time={LATER}&customer=cus_none"));
    let form = format!("frozen_time={}&customer={theirs}", START + 31 * DAY + HOUR);
    let clock = client.post(CLOCKS, &form);
    assert_eq!(number(&clock, "/frozen_time"), START + 31 * DAY + HOUR);
    let made = &client.events("type=test_helpers.test_clock.created")[0];
    assert_eq!(made["data"]["object"], clock);
    client.refused(400, "POST", CLOCKS, &form);
    let clock = id(&clock);
    assert_eq!(
        period_end(&client, &joined),
        START + 59 * DAY,
        "the clock went on from where the customer was"
    );
    assert_eq!(period_end(&client, &stays), START + 31 * DAY);
    assert_eq!(text(&client.get(&format!("/v1/customers/{theirs}"), ""), "/test_clock"), clock);
    for invoice in client.get("/v1/invoices", &format!("customer={theirs}"))["data"].as_array().unwrap() {
        assert_eq!(text(invoice, "/test_clock"), clock);
    }
    client.sandbox.advance_time_to(START + 100 * DAY);
    assert_eq!(period_end(&client, &joined), START + 59 * DAY);
    assert_eq!(period_end(&client, &stays), START + 120 * DAY);
    advance(&client, &clock, START + 59 * DAY + HOUR);
    assert_eq!(client.sandbox.ledger().customer(&theirs).unwrap().net("usd"), 3000);
    let crowded = customer(&client, None, "pm_card_visa");
    for _ in 0..4 {
        client.subscribe(&crowded, &price, "");
    }
    client.refused(400, "POST", CLOCKS, &format!("frozen_time={LATER}&customer={crowded}"));
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let world = || {
        let client = client();
        let (price, clock) = (client.price(1000, "usd", "month"), clock(&client, LATER));
        let theirs = customer(&client, Some(&clock), "pm_card_visa");
        let form = format!(
            "customer={theirs}&phases[0][items][0][price]={price}&phases[1][items][0][price]={price}&phases[1][items][0][quantity]=2"
        );
        client.post("/v1/subscription_schedules", &form);
        client.subscribe(&customer(&client, None, "pm_card_visa"), &price, "");
        client.sandbox.advance_time(40 * DAY);
        advance(&client, &clock, LATER + 45 * DAY);
        client.sandbox.snapshot().to_string()
    };
    assert!(world() == world());
}
