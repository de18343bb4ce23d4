//! Billing meters: what is counted, when, and what is refused.

use serde_json::Value;

use crate::client::{Client, DAY, HOUR, START, client, id, number, text};

/// A meter that counts `calls`.
fn meter(client: &Client, formula: &str, more: &str) -> String {
    let form = format!("display_name=Calls&event_name=calls&default_aggregation[formula]={formula}&{more}");
    id(&client.post("/v1/billing/meters", &form))
}

fn customer(client: &Client) -> String {
    id(&client.post("/v1/customers", ""))
}

fn used(customer: &str, value: i64, more: &str) -> String {
    format!("event_name=calls&payload[stripe_customer_id]={customer}&payload[value]={value}&{more}")
}

fn report(client: &Client, customer: &str, value: i64, more: &str) -> Value {
    client.post("/v1/billing/meter_events", &used(customer, value, more))
}

fn summaries(client: &Client, meter: &str, query: &str) -> Vec<(i64, i64)> {
    let list = client.get(&format!("/v1/billing/meters/{meter}/event_summaries"), query);
    let summary = |value: &Value| (number(value, "/start_time"), number(value, "/aggregated_value"));
    list["data"].as_array().unwrap().iter().map(summary).collect()
}

fn total(client: &Client, meter: &str, customer: &str) -> i64 {
    let query = format!("customer={customer}&start_time={}&end_time={}", START - 35 * DAY, START + 40 * DAY);
    summaries(client, meter, &query)[0].1
}

#[test]
fn a_meter_is_made_renamed_switched_off_and_on() {
    let client = client();
    let meter = meter(
        &client,
        "sum",
        "customer_mapping[type]=by_id&customer_mapping[event_payload_key]=who&value_settings[event_payload_key]=n&event_time_window=day",
    );
    let path = format!("/v1/billing/meters/{meter}");
    let shown = client.get(&path, "");
    assert_eq!(text(&shown, "/customer_mapping/event_payload_key"), "who");
    assert_eq!(text(&shown, "/value_settings/event_payload_key"), "n");
    assert_eq!(text(&shown, "/event_time_window"), "day");
    client.sandbox.advance_time(60);
    assert_eq!(number(&client.post(&path, "display_name=More"), "/updated"), START + 60);
    let off = client.post(&format!("{path}/deactivate"), "");
    assert_eq!(
        (text(&off, "/status"), number(&off, "/status_transitions/deactivated_at")),
        ("inactive", START + 60)
    );
    client.post(&format!("{path}/deactivate"), "");
    assert_eq!(client.get("/v1/billing/meters", "status=active")["data"].as_array().unwrap().len(), 0);
    assert_eq!(client.get("/v1/billing/meters", "status=inactive")["data"].as_array().unwrap().len(), 1);
    // The name is free while its meter is off, and taken again by another.
    let second = client
        .post("/v1/billing/meters", "display_name=x&event_name=calls&default_aggregation[formula]=count");
    client.refused(400, "POST", &format!("{path}/reactivate"), "");
    client.post(&format!("/v1/billing/meters/{}/deactivate", id(&second)), "");
    assert_eq!(text(&client.post(&format!("{path}/reactivate"), ""), "/status"), "active");
    let kinds = client.kinds();
    let meters: Vec<&str> = kinds.iter().filter_map(|kind| kind.strip_prefix("billing.meter.")).collect();
    assert_eq!(meters, ["created", "updated", "deactivated", "created", "deactivated", "reactivated"]);
    for form in [
        "event_name=a&default_aggregation[formula]=sum",
        "display_name=a&default_aggregation[formula]=sum",
        "display_name=a&event_name=a",
        "display_name=a&event_name=a&default_aggregation[formula]=max",
        "display_name=a&event_name=calls&default_aggregation[formula]=sum",
        "display_name=a&event_name=a&default_aggregation[formula]=sum&customer_mapping[type]=by_id",
    ] {
        client.refused(400, "POST", "/v1/billing/meters", form);
    }
    client.refused(404, "GET", "/v1/billing/meters/mtr_none", "");
}

#[test]
fn events_count_a_little_later_and_add_up_per_customer() {
    let client = client();
    let meter = meter(&client, "sum", "");
    let (ada, bob) = (customer(&client), customer(&client));
    let event = report(&client, &ada, 10, "identifier=one");
    assert_eq!((text(&event, "/identifier"), number(&event, "/timestamp")), ("one", START));
    assert_eq!(text(&event, "/payload/value"), "10");
    assert!(!text(&report(&client, &ada, -3, ""), "/identifier").is_empty());
    report(&client, &bob, 100, "");
    assert_eq!(total(&client, &meter, &ada), 0, "nobody sees at once what was reported");
    client.sandbox.advance_time(5);
    assert_eq!((total(&client, &meter, &ada), total(&client, &meter, &bob)), (7, 100));
    let snapshot = client.sandbox.snapshot();
    client.sandbox.reset();
    client.sandbox.restore(&snapshot).unwrap();
    assert_eq!(total(&client, &meter, &ada), 7);
    let again = client.refused(400, "POST", "/v1/billing/meter_events", &used(&ada, 1, "identifier=one"));
    assert_eq!(text(&again, "/param"), "identifier");
}

#[test]
fn the_three_formulas_and_pre_aggregated_windows() {
    for (formula, more, expected) in [
        ("sum", "", 5 + 2 + 9 + 4),
        ("count", "", 4),
        ("last", "", 9),
        ("sum", "event_time_window=hour", 2 + 9 + 4),
        ("sum", "event_time_window=day", 9 + 4),
        ("count", "event_time_window=day", 2),
    ] {
        let client = client();
        let meter = meter(&client, formula, more);
        let ada = customer(&client);
        for (value, at) in [(5, 0), (2, 60), (9, 2 * HOUR), (4, -DAY)] {
            report(&client, &ada, value, &format!("timestamp={}", START - 3 * HOUR + at));
        }
        client.sandbox.advance_time(5);
        assert_eq!(total(&client, &meter, &ada), expected, "{formula} {more}");
    }
}

#[test]
fn windows_show_where_usage_was() {
    let client = client();
    let meter = meter(&client, "sum", "");
    let ada = customer(&client);
    for (value, at) in [(1, START - 2 * DAY), (2, START - HOUR), (4, START - HOUR + 59), (8, START)] {
        report(&client, &ada, value, &format!("timestamp={at}"));
    }
    client.sandbox.advance_time(5);
    let midnight = START - 12 * HOUR;
    let range = format!("customer={ada}&start_time={}&end_time={}", midnight - 5 * DAY, midnight + DAY);
    assert_eq!(summaries(&client, &meter, &range), [(midnight - 5 * DAY, 15)]);
    let by_day = summaries(&client, &meter, &format!("{range}&value_grouping_window=day"));
    assert_eq!(by_day, [(midnight, 14), (midnight - 2 * DAY, 1)]);
    let by_hour = summaries(&client, &meter, &format!("{range}&value_grouping_window=hour"));
    assert_eq!(by_hour, [(START, 8), (START - HOUR, 6), (START - 2 * DAY, 1)]);
    let path = format!("/v1/billing/meters/{meter}/event_summaries");
    let first = client.get(&path, &format!("{range}&value_grouping_window=hour&limit=1"));
    let after = text(&first, "/data/0/id");
    let rest =
        summaries(&client, &meter, &format!("{range}&value_grouping_window=hour&starting_after={after}"));
    assert_eq!(rest, by_hour[1..]);
    // The end itself is outside.
    let until = format!("customer={ada}&start_time={}&end_time={START}", START - HOUR);
    assert_eq!(summaries(&client, &meter, &until), [(START - HOUR, 6)]);
    for (start, end, window) in [
        (START + 1, START + 60, ""),
        (START, START, ""),
        (START + 60, START + HOUR, "hour"),
        (START, START + DAY, "day"),
    ] {
        let group =
            if window.is_empty() { String::new() } else { format!("&value_grouping_window={window}") };
        client.refused(
            400,
            "GET",
            &path,
            &format!("customer={ada}&start_time={start}&end_time={end}{group}"),
        );
    }
}

#[test]
fn an_event_is_refused_with_the_code_that_a_report_would_have() {
    let client = client();
    let meter = meter(&client, "sum", "");
    let ada = customer(&client);
    let code = |form: &str| {
        let error = client.refused(400, "POST", "/v1/billing/meter_events", form);
        let named = error["message"].as_str().and_then(|message| message.strip_suffix(")."));
        let named = named.and_then(|message| message.rsplit_once('('));
        named.map_or_else(|| text(&error, "/code").to_owned(), |(_, code)| code.to_owned())
    };
    let at = |timestamp: i64| used(&ada, 1, &format!("timestamp={timestamp}"));
    assert_eq!(code(&at(START + 301)), "timestamp_in_future");
    assert_eq!(code(&at(START - 35 * DAY - 1)), "timestamp_too_far_in_past");
    assert_eq!(code("event_name=other&payload[value]=1"), "no_meter");
    assert_eq!(code("event_name=calls&payload[value]=1"), "meter_event_no_customer_defined");
    assert_eq!(code(&used("cus_none", 1, "")), "meter_event_customer_not_found");
    let valued =
        |value: &str| format!("event_name=calls&payload[stripe_customer_id]={ada}&payload[value]={value}");
    for value in ["", "1,5", "many", "0x10", "1e3", ".", "0.0000000000001"] {
        assert_eq!(code(&valued(value)), "meter_event_invalid_value", "{value}");
    }
    for value in ["1234567890123456", "-12345678.90123456", "1234567890.000001"] {
        assert_eq!(code(&valued(value)), "meter_event_value_too_many_digits", "{value}");
    }
    assert_eq!(code("event_name=calls"), "parameter_missing");
    client.post(&format!("/v1/billing/meters/{meter}/deactivate"), "");
    assert_eq!(code(&used(&ada, 1, "")), "archived_meter");
    client.post(&format!("/v1/billing/meters/{meter}/reactivate"), "");
    client.post("/v1/billing/meter_events", &at(START + 300));
    client.post("/v1/billing/meter_events", &at(START - 35 * DAY));
    client.sandbox.advance_time(5);
    assert_eq!(total(&client, &meter, &ada), 2);
}

#[test]
fn an_identifier_is_taken_for_a_day_and_an_event_can_be_cancelled_that_long() {
    let client = client();
    let meter = meter(&client, "sum", "");
    let ada = customer(&client);
    report(&client, &ada, 5, "identifier=first");
    report(&client, &ada, 7, "identifier=second");
    let cancel = |name: &str| format!("event_name=calls&type=cancel&cancel[identifier]={name}");
    let path = "/v1/billing/meter_event_adjustments";
    let adjustment = client.post(path, &cancel("first"));
    assert_eq!(text(&adjustment, "/cancel/identifier"), "first");
    client.refused(404, "POST", path, &cancel("first"));
    client.refused(404, "POST", path, &cancel("never"));
    client.refused(404, "POST", path, "event_name=other&type=cancel&cancel[identifier]=second");
    client.refused(400, "POST", path, "event_name=calls&type=cancel");
    client.sandbox.advance_time(DAY - 1);
    assert_eq!(total(&client, &meter, &ada), 7);
    client.refused(400, "POST", "/v1/billing/meter_events", &used(&ada, 1, "identifier=second"));
    client.sandbox.advance_time(1);
    client.refused(404, "POST", path, &cancel("second"));
    report(&client, &ada, 1, "identifier=second");
    client.post(path, &cancel("second"));
    client.sandbox.advance_time(5);
    assert_eq!(total(&client, &meter, &ada), 7, "the older event of that name stays");
}
