//! The sandbox's own time: announcements of renewals, settings from the start, live mode, steps by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use quittance_sandbox::{Exhaustion, Sandbox, SandboxConfig, Settings};
use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

const MONTH: i64 = 31 * DAY;

/// When renewals were announced, in days after the start, oldest first.
fn announced(client: &Client) -> Vec<i64> {
    let told = client.events("type=invoice.upcoming");
    told.iter().rev().map(|event| (number(event, "/created") - START) / DAY).collect()
}

fn subscribed() -> (Client, String) {
    let client = client();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    (client, subscription)
}

#[test]
fn a_renewal_is_announced_once_whenever_the_settings_change() {
    let set = |client: &Client, days: i64| {
        client.control("PUT", "settings", &json!({ "upcoming_days": days }));
    };
    let (client, _) = subscribed();
    client.sandbox.advance_time(MONTH);
    assert_eq!(announced(&client), [24], "a week before, by default");

    let (client, _) = subscribed();
    set(&client, 3);
    client.sandbox.advance_time(MONTH);
    assert_eq!(announced(&client), [28], "later than the timer that was set");

    let (client, _) = subscribed();
    client.sandbox.advance_time(10 * DAY);
    set(&client, 14);
    set(&client, 7);
    set(&client, 14);
    client.sandbox.advance_time(MONTH - 10 * DAY);
    assert_eq!(announced(&client), [17], "earlier than the timer that was set");

    let (client, _) = subscribed();
    client.sandbox.advance_time(26 * DAY);
    set(&client, 2);
    client.sandbox.advance_time(MONTH - 26 * DAY);
    assert_eq!(announced(&client), [24], "what was announced is not announced again");

    let (client, _) = subscribed();
    client.sandbox.advance_time(20 * DAY);
    set(&client, 14);
    client.sandbox.advance_time(MONTH - 20 * DAY);
    assert_eq!(
        announced(&client),
        [24],
        "the time that the new setting names has passed, so the old timer serves"
    );

    let (client, _) = subscribed();
    set(&client, 0);
    client.sandbox.advance_time(MONTH);
    assert!(announced(&client).is_empty());
}

#[test]
fn the_end_of_a_subscription_is_not_announced_as_its_renewal() {
    for (days, expected) in [(31, Vec::new()), (40, vec![24])] {
        let (client, subscription) = subscribed();
        let form = format!("cancel_at={}", START + days * DAY);
        client.post(&format!("/v1/subscriptions/{subscription}"), &form);
        client.sandbox.advance_time(MONTH - DAY);
        assert_eq!(announced(&client), expected, "cancel_at after {days} days");
    }
}

#[test]
fn settings_hold_from_the_start_and_after_a_reset() {
    let settings = Settings {
        retry_days: vec![1],
        on_exhaustion: Exhaustion::Unpaid,
        upcoming_days: 2,
        ..Settings::default()
    };
    let start = |settings: Settings| {
        let config =
            SandboxConfig { seed: Some(1), start_time: Some(START), settings, ..SandboxConfig::default() };
        Client { sandbox: Sandbox::new(config) }
    };
    let client = start(settings);
    client.sandbox.reset();
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    let subscription = id(&client.subscribe(&customer, &price, ""));
    client.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &format!("customer={customer}"));
    let methods = client.get("/v1/payment_methods", &format!("customer={customer}"));
    let form = format!("default_payment_method={}", text(&methods, "/data/0/id"));
    client.post(&format!("/v1/subscriptions/{subscription}"), &form);
    client.sandbox.advance_time(MONTH + HOUR);
    assert_eq!(text(&client.subscription(&subscription), "/status"), "past_due");
    client.sandbox.advance_time(DAY);
    assert_eq!(text(&client.subscription(&subscription), "/status"), "unpaid");
    assert_eq!(announced(&client), [29]);

    let impossible = Settings { retry_days: vec![-1], ..Settings::default() };
    assert!(impossible.fault().is_some());
    let client = start(impossible);
    let settings = client.control("GET", "settings", &Value::Null);
    assert_eq!(settings["retry_days"], json!([3, 5, 7]), "what cannot be is not taken");
}

#[test]
fn live_mode_runs_from_where_the_clock_is_and_stops() {
    let config = SandboxConfig {
        seed: Some(1),
        start_time: Some(START),
        speed: Some(366 * 86_400),
        ..SandboxConfig::default()
    };
    let client = Client { sandbox: Sandbox::new(config) };
    std::thread::sleep(Duration::from_millis(30));
    let stopped = client.control("PUT", "time", &json!({ "speed": 0 }));
    let now = number(&stopped, "/now");
    assert!(now > START + 5 * DAY, "a year in a second is ten days in thirty milliseconds");
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(
        client.control("GET", "time", &Value::Null),
        json!({ "now": now, "speed": 0, "test_clocks": [] })
    );
    assert_eq!(client.control("PUT", "time", &json!({ "speed": 1 }))["speed"], 1);
    assert!(client.sandbox.now() - now < DAY, "it goes on from where it stopped");
    let (price, customer) = (client.price(1000, "usd", "month"), client.customer("pm_card_visa"));
    client.subscribe(&customer, &price, "");
    client.control("PUT", "time", &json!({ "speed": 366 * 86_400 }));
    std::thread::sleep(Duration::from_millis(400));
    client.sandbox.set_speed(0);
    assert!(
        client.sandbox.ledger().customer(&customer).unwrap().net("usd") >= 3000,
        "renewals are played on the way"
    );
}

#[tokio::test]
async fn whoever_follows_the_clock_is_told_again_and_again_in_live_mode() {
    let config = SandboxConfig { start_time: Some(START), speed: Some(86_400), ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config);
    let told: Arc<Mutex<Vec<i64>>> = Arc::default();
    let hears = Arc::clone(&told);
    sandbox.on_time_change(Box::new(move |offset| hears.lock().unwrap().push(offset)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(Arc::clone(&sandbox).serve(listener, async {
        let _ = stopped.await;
    }));
    for _ in 0..100 {
        if told.lock().unwrap().len() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = stop.send(());
    served.await.unwrap();
    let told = told.lock().unwrap().clone();
    assert!(told.len() >= 3 && told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
}

#[test]
fn steps_move_the_own_time_and_each_clock_for_itself() {
    let (client, subscription) = subscribed();
    let clock = id(&client.post("/v1/test_helpers/test_clocks", &format!("frozen_time={}", START + DAY)));
    let customer = id(&client.post("/v1/customers", &format!("test_clock={clock}&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa")));
    let price = client.price(500, "usd", "week");
    let weekly = id(&client.subscribe(&customer, &price, ""));
    let step = |line: &str, word: &str| client.control("POST", line, &json!({ "step": word }));
    let on_clock = format!("test_clocks/{clock}/advance");
    let stands = |own: i64, clock: i64, told: &Value| {
        assert_eq!((number(told, "/now") - START, number(told, "/test_clocks/0/now") - START), (own, clock));
    };
    stands(DAY, DAY, &step("time/advance", "day"));
    stands(DAY, 2 * DAY, &step(&on_clock, "day"));
    stands(MONTH + HOUR, 2 * DAY, &step("time/advance", "renewal"));
    stands(MONTH + HOUR, 8 * DAY + HOUR, &step(&on_clock, "renewal"));
    stands(MONTH + HOUR, 8 * DAY + HOUR + MONTH, &step(&on_clock, "month"));
    stands(MONTH + HOUR + 28 * DAY, 8 * DAY + HOUR + MONTH, &step("time/advance", "month"));
    let ledger = client.sandbox.ledger();
    assert_eq!(
        ledger.customer(&customer).unwrap().net("usd"),
        6 * 500,
        "beyond what the API lets a clock go"
    );
    for subscription in [subscription, weekly] {
        client.delete(&format!("/v1/subscriptions/{subscription}"), "");
    }
    for (path, body) in [
        (on_clock.as_str(), json!({ "step": "renewal" })),
        (on_clock.as_str(), json!({ "to": START })),
        ("time/advance", json!({ "step": "decade" })),
        ("time/advance", json!({ "step": "day", "seconds": 1 })),
        ("time/advance", json!({})),
    ] {
        let request = quittance_sandbox::HttpRequest {
            method: "POST".to_owned(),
            path: format!("/_sandbox/{path}"),
            body: body.to_string().into_bytes(),
            ..Default::default()
        };
        assert_eq!(client.sandbox.handle(request).status, 400, "{path} {body}");
    }
}

#[test]
fn the_control_page_moves_every_time_line() {
    let (client, _) = subscribed();
    let open = |path: &str| {
        let request = quittance_sandbox::HttpRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            ..Default::default()
        };
        String::from_utf8(client.sandbox.handle(request).body).unwrap()
    };
    let submit = |path: &str, form: &str| {
        let response = client.sandbox.handle(quittance_sandbox::HttpRequest {
            method: "POST".to_owned(),
            path: format!("/_sandbox/ui/{path}"),
            body: form.as_bytes().to_vec(),
            ..Default::default()
        });
        let to = response.headers.iter().find(|(name, _)| name == "location").map(|(_, to)| to.clone());
        (response.status, to.unwrap_or_default())
    };
    assert_eq!(submit("clocks", "name=Mine+%26+yours"), (303, "/_sandbox?done=clock".to_owned()));
    let clocks = client.get("/v1/test_helpers/test_clocks", "");
    let clock = text(&clocks, "/data/0/id").to_owned();
    assert_eq!(
        (text(&clocks, "/data/0/name"), number(&clocks, "/data/0/frozen_time")),
        ("Mine & yours", START)
    );
    let form = format!(
        "test_clock={clock}&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa"
    );
    let customer = id(&client.post("/v1/customers", &form));
    client.subscribe(&customer, &client.price(500, "usd", "week"), "");
    let page = open("/_sandbox");
    for part in [
        "aria-label=\"Advance The sandbox's own time to the next renewal\"",
        "aria-label=\"Advance Mine &amp; yours by one day\"",
        &format!("action=\"/_sandbox/ui/clocks/{clock}/travel\""),
        "1 customer",
        "<option value=\"86400\">1 day per second</option>",
        "<option value=\"0\" selected>Stands still</option>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let back = (303, "/_sandbox#time".to_owned());
    assert_eq!(submit(&format!("clocks/{clock}/travel"), "step=renewal&return_to=/_sandbox%23time"), back);
    assert_eq!(submit("travel", "step=day&return_to=/_sandbox%23time"), back);
    let told = client.control("GET", "time", &Value::Null);
    assert_eq!(
        (number(&told, "/now"), number(&told, "/test_clocks/0/now")),
        (START + DAY, START + 7 * DAY + HOUR)
    );
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000);

    // The portal of a customer shows their time, and its buttons move that.
    let portal = submit(&format!("customers/{customer}/portal"), "").1;
    let page = open(&portal);
    assert!(
        page.contains(&format!("action=\"/_sandbox/ui/clocks/{clock}/travel\""))
            && page.contains("22 Jan 2026, 13:00"),
        "{page}"
    );

    assert_eq!(submit("speed", "speed=86400").0, 303);
    assert_eq!(client.sandbox.speed(), 86_400);
    assert_eq!(submit("speed", "speed=").0, 400);
    client.sandbox.set_speed(0);
    assert_eq!(submit(&format!("clocks/{clock}/delete"), "").1, "/_sandbox?done=clock-deleted");
    assert_eq!(submit(&format!("clocks/{clock}/delete"), "").0, 404);
    assert_eq!(client.get(&format!("/v1/customers/{customer}"), "")["deleted"], true);
}
