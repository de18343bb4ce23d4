//! What people do to running schedules: take over, change, cancel, release, and what is refused.

use serde_json::{Value, json};

use crate::client::{DAY, HOUR, START, client_at, id, number, text};
use crate::schedules::{MONTH, SCHEDULES, Shop, TWO_PHASES, shop};

#[test]
fn a_running_subscription_is_taken_over_and_changed_at_its_renewal() {
    let shop = shop();
    let running = id(&shop.client.subscribe(&shop.customer, &shop.basic, ""));
    let item = text(&shop.client.subscription(&running), "/items/data/0/id").to_owned();
    shop.client.sandbox.advance_time(10 * DAY);
    let made = shop.client.post(SCHEDULES, &format!("from_subscription={running}"));
    assert_eq!(made["current_phase"], json!({ "start_date": START, "end_date": START + MONTH }));
    assert_eq!(
        (text(&made, "/subscription"), text(&made, "/phases/0/items/0/price")),
        (running.as_str(), shop.basic.as_str())
    );
    let error = shop.refused(SCHEDULES, &format!("from_subscription={running}"));
    assert!(text(&error, "/message").contains("already attached to a schedule"));
    shop.refused(SCHEDULES, &format!("from_subscription={running}&end_behavior=cancel"));
    let schedule = id(&made);
    shop.refused(&format!("{SCHEDULES}/{schedule}"), "phases[0][items][0][price]=PRO");
    shop.refused(
        &format!("{SCHEDULES}/{schedule}"),
        &format!("phases[0][start_date]={}&phases[0][items][0][price]=PRO", START + 1),
    );
    let changed = shop.update(&schedule, &format!(
        "phases[0][start_date]={START}&phases[0][end_date]={}&phases[0][items][0][price]=BASIC&phases[1][items][0][price]=PRO&phases[1][duration][interval]=month",
        START + MONTH
    ));
    assert_eq!(number(&changed, "/phases/1/start_date"), START + MONTH);
    let without_the_present =
        format!("phases[0][start_date]={}&phases[0][items][0][price]=PRO", START + MONTH);
    shop.refused(&format!("{SCHEDULES}/{schedule}"), &without_the_present);
    assert_eq!(text(&shop.client.subscription(&running), "/items/data/0/price/id"), shop.basic);
    let preview = shop.client.post("/v1/invoices/create_preview", &format!("subscription={running}"));
    assert_eq!(number(&preview, "/total"), 3000, "the next invoice knows of the next phase");
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    assert_eq!(shop.totals(&running), [1000, 3000]);
    assert_ne!(text(&shop.client.subscription(&running), "/items/data/0/id"), item);
    shop.client.sandbox.advance_time_to(START + MONTH + 28 * DAY + HOUR);
    assert_eq!(shop.totals(&running), [1000, 3000, 3000]);
    assert_eq!(text(&shop.get(&schedule), "/status"), "released");
}

#[test]
fn an_update_changes_the_running_phase_and_ends_it_now() {
    let shop = shop();
    let made = shop.schedule(TWO_PHASES);
    let (schedule, subscription) = (id(&made), text(&made, "/subscription").to_owned());
    shop.client.sandbox.advance_time_to(START + MONTH / 2);
    let rest = format!(
        "phases[0][end_date]={}&phases[1][items][0][price]=PRO&phases[1][duration][interval]=month",
        START + MONTH
    );
    shop.update(&schedule, &format!("phases[0][start_date]={START}&phases[0][items][0][price]=BASIC&phases[0][items][0][quantity]=3&{rest}&proration_behavior=always_invoice"));
    assert_eq!(number(&shop.client.subscription(&subscription), "/items/data/0/quantity"), 3);
    assert_eq!(shop.totals(&subscription), [1000, 1000], "half a month of two more");
    let now = shop.update(&schedule, &format!("phases[0][start_date]={START}&phases[0][items][0][price]=BASIC&phases[0][items][0][quantity]=3&phases[0][end_date]=now&phases[1][items][0][price]=PRO&phases[1][proration_behavior]=none&phases[1][end_date]={}", START + MONTH));
    assert_eq!(number(&now, "/current_phase/start_date"), START + MONTH / 2);
    assert_eq!(text(&shop.client.subscription(&subscription), "/items/data/0/price/id"), shop.pro);
    let again = shop.update(&schedule, "phases[0][start_date]=now&phases[0][items][0][price]=BASIC&phases[0][proration_behavior]=none&phases[0][duration][interval]=month");
    assert_eq!(number(&again, "/current_phase/start_date"), START + MONTH / 2);
    assert_eq!(text(&shop.client.subscription(&subscription), "/items/data/0/price/id"), shop.basic);
    let last = &shop.client.events("type=subscription_schedule.updated")[0];
    assert!(last["data"]["previous_attributes"]["phases"].is_array());
}

#[test]
fn phases_set_more_than_prices() {
    let shop = shop();
    let made = shop.schedule(&format!("{TWO_PHASES}&default_settings[description]=Default&phases[1][description]=Second&phases[1][metadata][tier]=two&phases[1][collection_method]=send_invoice&phases[1][invoice_settings][days_until_due]=5"));
    assert_eq!(text(&shop.subscription(&made), "/description"), "Default");
    shop.client.sandbox.advance_time_to(START + MONTH + HOUR);
    let second = shop.subscription(&made);
    assert_eq!((text(&second, "/description"), text(&second, "/metadata/tier")), ("Second", "two"));
    assert_eq!(
        (text(&second, "/collection_method"), number(&second, "/days_until_due")),
        ("send_invoice", 5)
    );
}

#[test]
fn a_cancelled_schedule_ends_its_subscription_and_a_released_one_does_not() {
    let shop = shop();
    let made = shop.schedule(&format!("{TWO_PHASES}&end_behavior=cancel"));
    shop.client.sandbox.advance_time(HOUR);
    let ended = shop.client.post(&format!("{SCHEDULES}/{}/cancel", id(&made)), "");
    assert_eq!((text(&ended, "/status"), number(&ended, "/canceled_at")), ("canceled", START + HOUR));
    assert_eq!(text(&shop.subscription(&made), "/status"), "canceled");
    assert!(shop.totals(text(&made, "/subscription"))[1] < 0, "the unused time is credited");
    for call in ["cancel", "release"] {
        let error = shop.refused(&format!("{SCHEDULES}/{}/{call}", id(&made)), "");
        assert!(text(&error, "/message").contains("`canceled` status"), "{call}");
    }
    shop.refused(&format!("{SCHEDULES}/{}", id(&made)), "end_behavior=release");

    let one = "phases[0][items][0][price]=BASIC&end_behavior=cancel";
    for (form, planned) in [("", Value::Null), ("preserve_cancel_date=true", json!(START + HOUR + MONTH))] {
        let made = shop.schedule(one);
        let freed = shop.client.post(&format!("{SCHEDULES}/{}/release", id(&made)), form);
        assert_eq!(
            (text(&freed, "/status"), text(&freed, "/released_subscription")),
            ("released", text(&made, "/subscription"))
        );
        let subscription = shop.client.subscription(text(&made, "/subscription"));
        assert_eq!((&subscription["cancel_at"], &subscription["schedule"]), (&planned, &Value::Null));
    }
    let later = format!("{TWO_PHASES}&start_date={}", START + 5 * DAY);
    let waiting = [id(&shop.schedule(&later)), id(&shop.schedule(&later)), id(&shop.schedule(&later))];
    shop.client.post(&format!("{SCHEDULES}/{}/cancel", waiting[0]), "");
    assert_eq!(shop.told().split_off(shop.told().len() - 2), ["aborted", "canceled"], "it never began");
    shop.client.post(&format!("{SCHEDULES}/{}/release", waiting[1]), "");
    shop.client.delete(&format!("/v1/customers/{}", shop.customer), "");
    assert_eq!(text(&shop.get(&waiting[2]), "/status"), "canceled", "its customer is gone");
    shop.client.sandbox.advance_time(10 * DAY);
    assert_eq!(shop.client.get(SCHEDULES, "canceled_at[gte]=0")["data"].as_array().unwrap().len(), 3);
    assert_eq!(shop.client.get(SCHEDULES, "released_at[gte]=0")["data"].as_array().unwrap().len(), 3);
    assert_eq!(shop.client.get(SCHEDULES, "completed_at[gte]=0")["data"], json!([]));
}

#[test]
fn a_schedule_is_aborted_when_nobody_pays() {
    let shop = shop();
    let made = shop.schedule(&TWO_PHASES.replace("duration][interval]=month", "duration][interval]=year"));
    shop.client.sandbox.advance_time(HOUR);
    let method = id(&shop.client.post(
        "/v1/payment_methods/pm_card_chargeCustomerFail/attach",
        &format!("customer={}", shop.customer),
    ));
    shop.client.post(
        &format!("/v1/customers/{}", shop.customer),
        &format!("invoice_settings[default_payment_method]={method}"),
    );
    shop.client.sandbox.advance_time(MONTH + 15 * DAY + HOUR);
    assert_eq!(text(&shop.subscription(&made), "/status"), "canceled");
    let aborted = &shop.client.events("type=subscription_schedule.*")[0];
    assert_eq!(
        (text(aborted, "/type"), text(aborted, "/data/object/status")),
        ("subscription_schedule.aborted", "canceled")
    );
    let other = shop.client.subscription(text(&made, "/subscription"));
    assert_eq!(text(&other, "/cancellation_details/reason"), "payment_failed");
}

#[test]
fn what_cannot_be_scheduled_is_refused() {
    let shop = shop();
    let euros = shop.client.price(1000, "eur", "month");
    let with = |form: &str| format!("customer={}&{form}", shop.customer);
    for form in [
        "".to_owned(),
        "phases[0][duration][interval]=month".to_owned(),
        "phases[0][items][0][price]=BASIC&phases[0][duration][interval]=month&phases[0][end_date]=9"
            .to_owned(),
        format!("phases[0][items][0][price]=BASIC&phases[0][end_date]={START}"),
        "phases[0][items][0][price]=BASIC&phases[0][iterations]=2&phases[0][end_date]=9".to_owned(),
        format!("phases[0][items][0][price]=BASIC&phases[1][items][0][price]={euros}"),
        "phases[0][items][0][price]=BASIC&end_behavior=renew".to_owned(),
        "phases[0][items][0][price]=BASIC&phases[0][add_invoice_items][0][price]=PRO".to_owned(),
        "phases[0][items][0][price]=BASIC&phases[0][trial]=true&phases[0][billing_cycle_anchor]=phase_start"
            .to_owned(),
        format!("phases[0][items][0][price]=BASIC&phases[0][trial_end]={}", START + 100 * DAY),
        "phases[0][items][0][price]=BASIC&phases[0][collection_method]=send_invoice".to_owned(),
        format!("start_date={}&phases[0][items][0][price]=BASIC", START - 100 * DAY),
        format!("start_date={}&phases[0][items][0][price]=BASIC", START - 3000 * DAY),
    ] {
        shop.refused(SCHEDULES, &with(&form));
    }
    let many: String = (0..11).map(|index| format!("&phases[{index}][items][0][price]=BASIC")).collect();
    shop.refused(SCHEDULES, &with(&many));
    shop.client.refused(404, "POST", SCHEDULES, "customer=cus_none&phases[0][items][0][price]=x");
    shop.client.refused(404, "GET", &format!("{SCHEDULES}/sub_sched_none"), "");
    assert!(shop.client.sandbox.ledger().customer(&shop.customer).unwrap().subscriptions.is_empty());
    assert_eq!(shop.client.get(SCHEDULES, "")["data"], json!([]));
}

#[test]
fn iterations_are_for_those_who_know_them() {
    let shop = shop();
    let form = format!(
        "customer={}&phases[0][items][0][price]={}&phases[0][iterations]=2",
        shop.customer, shop.basic
    );
    let send = |version: Option<&str>| {
        let mut request = quittance_sandbox::HttpRequest::new("POST", SCHEDULES, "sk_test_123", &form);
        let version = version.map(|version| ("stripe-version".to_owned(), version.to_owned()));
        request.headers.extend(version);
        shop.client.sandbox.handle(request)
    };
    for version in [Some("2024-06-20"), None] {
        let response = send(version);
        assert_eq!(response.status, 200, "{:#}", response.value());
        assert_eq!(number(&response.value(), "/phases/0/end_date"), START + MONTH + 28 * DAY);
    }
    let response = send(Some("2026-10-28.endive"));
    assert_eq!((response.status, text(&response.value(), "/error/code")), (400, "parameter_unknown"));
}

#[test]
fn phases_keep_the_end_of_the_month() {
    // 31 January 2026, 10:00 UTC.
    let start = 1_769_853_600;
    let client = client_at(start);
    let (customer, price) = (client.customer("pm_card_visa"), client.price(1000, "usd", "month"));
    let phases: String = (0..3)
        .map(|index| {
            format!(
                "&phases[{index}][items][0][price]={price}&phases[{index}][items][0][quantity]={}",
                index + 1
            )
        })
        .collect();
    let made = client.post(SCHEDULES, &format!("customer={customer}{phases}"));
    let ends: Vec<i64> =
        (0..3).map(|index| (number(&made, &format!("/phases/{index}/end_date")) - start) / DAY).collect();
    assert_eq!(ends, [28, 59, 89], "28 February, 31 March, 30 April");
    client.sandbox.advance_time(100 * DAY);
    assert_eq!(client.sandbox.ledger().customer(&customer).unwrap().net("usd"), 1000 + 2000 + 3000 + 3000);
}

#[test]
fn a_clock_drives_its_schedules_and_a_snapshot_keeps_them() {
    let shop = shop();
    let clock = id(&shop.client.post("/v1/test_helpers/test_clocks", &format!("frozen_time={START}")));
    let customer = id(&shop.client.post("/v1/customers", &format!("test_clock={clock}&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa")));
    let shop = Shop { customer, ..shop };
    let made = shop.schedule(&format!("{TWO_PHASES}&start_date={}", START + DAY));
    assert_eq!(text(&made, "/test_clock"), clock);
    assert_eq!(shop.client.get(SCHEDULES, "")["data"], json!([]), "listed only with their customer");
    let advance = format!("/v1/test_helpers/test_clocks/{clock}/advance");
    shop.refused(&advance, &format!("frozen_time={}", START + 100 * DAY));
    let snapshot = shop.client.control("GET", "snapshot", &Value::Null);
    shop.client.control("POST", "reset", &json!({}));
    shop.client.control("PUT", "snapshot", &snapshot);
    shop.client.sandbox.advance_time(40 * DAY);
    assert_eq!(text(&shop.get(&id(&made)), "/status"), "not_started");
    shop.client.post(&advance, &format!("frozen_time={}", START + MONTH + DAY + 2 * HOUR));
    let listed = shop.client.get(SCHEDULES, &format!("customer={}", shop.customer));
    assert_eq!(text(&listed, "/data/0/status"), "active");
    assert_eq!(number(&listed, "/data/0/current_phase/start_date"), START + DAY + MONTH);
    assert_eq!(shop.client.sandbox.ledger().customer(&shop.customer).unwrap().net("usd"), 7000);
}
