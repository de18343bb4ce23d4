//! The balance: what is pending, what is available, and how it leaves for the bank.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client::{Client, DAY, HOUR, client, id, number, text};

fn pay(client: &Client, amount: i64, card: &str) -> Value {
    client.post(
        "/v1/payment_intents",
        &format!("amount={amount}&currency=usd&confirm=true&payment_method={card}"),
    )
}

fn settings(client: &Client, change: &Value) {
    client.control("PUT", "settings", change);
}

/// Available and pending, in US cents.
fn balance(client: &Client) -> (i64, i64) {
    let balance = client.get("/v1/balance", "");
    let part =
        |name: &str| balance[name].as_array().unwrap().first().map_or(0, |part| number(part, "/amount"));
    (part("available"), part("pending"))
}

fn all(client: &Client, path: &str, filter: &str) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    loop {
        let after = found.last().map(|last| format!("&starting_after={}", id(last))).unwrap_or_default();
        let page = client.get(path, &format!("limit=100&{filter}{after}"));
        found.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return found;
        }
    }
}

fn sum(entries: &[Value], pointer: &str) -> i64 {
    entries.iter().map(|entry| number(entry, pointer)).sum()
}

#[test]
fn money_is_pending_before_it_is_available() {
    let client = client();
    settings(&client, &json!({ "pending_days": 5 }));
    pay(&client, 10_000, "pm_card_visa");
    assert_eq!(balance(&client), (0, 9640));
    let early = client.refused(400, "POST", "/v1/payouts", "amount=1000&currency=usd");
    assert_eq!(text(&early, "/code"), "balance_insufficient");
    client.sandbox.advance_time(5 * DAY);
    assert_eq!(balance(&client), (9640, 0));
}

#[test]
fn a_payout_by_hand_leaves_arrives_and_can_come_back() {
    let client = client();
    pay(&client, 10_000, "pm_card_bypassPending");
    client.refused(400, "POST", "/v1/payouts", "amount=9641&currency=usd");
    client.refused(400, "POST", "/v1/payouts", "amount=100&currency=usd&method=instant");
    client.refused(404, "POST", "/v1/payouts", "amount=100&currency=usd&destination=ba_other");
    let payout =
        client.post("/v1/payouts", "amount=9000&currency=usd&metadata[a]=1&statement_descriptor=BOX");
    let path = format!("/v1/payouts/{}", id(&payout));
    assert_eq!(
        (text(&payout, "/status"), &payout["automatic"], balance(&client)),
        ("pending", &json!(false), (640, 0))
    );
    client.refused(400, "POST", &format!("{path}/reverse"), "");
    client.sandbox.advance_time(HOUR);
    assert_eq!(text(&client.get(&path, ""), "/status"), "in_transit");
    client.refused(400, "POST", &format!("{path}/cancel"), "");
    client.sandbox.advance_time(3 * DAY);
    let paid = client.get(&path, "expand[]=balance_transaction");
    assert_eq!((text(&paid, "/status"), text(&paid, "/trace_id/status")), ("paid", "supported"));
    assert_eq!(
        (number(&paid, "/balance_transaction/amount"), text(&paid, "/balance_transaction/type")),
        (-9000, "payout")
    );
    client.refused(400, "GET", "/v1/balance_transactions", &format!("payout={}", id(&payout)));
    let reversal = client.post(&format!("{path}/reverse"), "metadata[why]=wrong");
    assert_eq!(
        (number(&reversal, "/amount"), text(&reversal, "/original_payout")),
        (-9000, id(&payout).as_str())
    );
    assert_eq!(text(&client.get(&path, ""), "/reversed_by"), id(&reversal));
    client.refused(400, "POST", &format!("{path}/reverse"), "");
    assert_eq!(balance(&client), (9640, 0));
    let marked = client.post(&path, "metadata[a]=2");
    assert_eq!(text(&marked, "/metadata/a"), "2");
    assert_eq!((client.events("type=payout.created").len(), client.events("type=payout.paid").len()), (2, 1));
    assert!(client.events("type=payout.updated").len() >= 3);
    assert_eq!(all(&client, "/v1/payouts", "status=paid").len(), 1);
}

#[test]
fn a_pending_payout_can_be_canceled() {
    let client = client();
    pay(&client, 10_000, "pm_card_bypassPending");
    let payout = id(&client.post("/v1/payouts", "amount=9640&currency=usd"));
    let canceled =
        client.post(&format!("/v1/payouts/{payout}/cancel"), "expand[]=failure_balance_transaction");
    assert_eq!(
        (text(&canceled, "/status"), text(&canceled, "/failure_balance_transaction/type")),
        ("canceled", "payout_cancel")
    );
    assert!(canceled["failure_code"].is_null());
    client.sandbox.advance_time(5 * DAY);
    assert_eq!((balance(&client), client.events("type=payout.paid").len()), ((9640, 0), 0));
    assert_eq!(client.events("type=payout.canceled").len(), 1);
}

#[test]
fn the_bank_can_return_a_payout() {
    let client = client();
    settings(&client, &json!({ "payout_failure": "account_closed", "payout_schedule": "daily" }));
    pay(&client, 10_000, "pm_card_visa");
    client.sandbox.advance_time(30 * DAY);
    let payouts = all(&client, "/v1/payouts", "");
    assert_eq!(payouts.len(), 1, "the money waits until other money comes");
    assert_eq!(
        (text(&payouts[0], "/status"), text(&payouts[0], "/failure_code")),
        ("failed", "account_closed")
    );
    assert_eq!((balance(&client), client.events("type=payout.failed").len()), ((9640, 0), 1));
    settings(&client, &json!({ "payout_failure": null }));
    pay(&client, 1000, "pm_card_visa");
    client.sandbox.advance_time(6 * DAY);
    assert_eq!(balance(&client), (0, 0));
}

#[test]
fn the_schedule_pays_out_every_day_what_is_available() {
    let client = client();
    pay(&client, 10_000, "pm_card_visa");
    settings(&client, &json!({ "payout_schedule": "daily" }));
    pay(&client, 500, "pm_card_createDispute");
    client.sandbox.advance_time(DAY);
    let charge = text(&pay(&client, 3000, "pm_card_visa"), "/latest_charge").to_owned();
    client.post("/v1/refunds", &format!("charge={charge}&amount=1000"));
    client.sandbox.advance_time(8 * DAY);
    let payouts = all(&client, "/v1/payouts", "");
    assert_eq!(payouts.len(), 2);
    for payout in &payouts {
        let entries = all(&client, "/v1/balance_transactions", &format!("payout={}", id(payout)));
        assert_eq!(sum(&entries, "/net"), 0, "a payout is what its entries add up to");
        assert_eq!((text(payout, "/status"), text(payout, "/reconciliation_status")), ("paid", "completed"));
        assert_eq!(number(payout, "/arrival_date") % DAY, 0);
    }
    assert_eq!(sum(&payouts, "/amount"), 9640 - 18 - 1500 + 3000 - 108 - 1000);
    assert_eq!(balance(&client), (0, 0));
    assert_eq!(client.events("type=payout.reconciliation_completed").len(), 2);
    while !client.deliver().is_empty() {}
    assert_eq!(client.sandbox.next_due(), None, "an idle balance plans nothing");
}

#[derive(Debug, Clone)]
enum Step {
    Pay(i64, usize),
    Hold(i64),
    Capture(i64),
    Refund(usize, i64),
    Answer(&'static str),
    PayOut(i64),
    Cancel,
    Reverse,
    Schedule(bool),
    Return(bool),
    Wait(i64),
}

const CARDS: [&str; 6] = [
    "pm_card_visa",
    "pm_card_bypassPending",
    "pm_card_createDispute",
    "pm_card_createDisputeInquiry",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (50_i64..100_000, 0..CARDS.len()).prop_map(|(amount, card)| Step::Pay(amount, card)),
        1 => (50_i64..100_000).prop_map(Step::Hold),
        1 => (1_i64..100_000).prop_map(Step::Capture),
        3 => (any::<usize>(), 1_i64..100_000).prop_map(|(which, amount)| Step::Refund(which, amount)),
        2 => prop::sample::select(vec!["winning_evidence", "losing_evidence", "escalate_inquiry_evidence", "else"]).prop_map(Step::Answer),
        2 => (1_i64..200_000).prop_map(Step::PayOut),
        1 => Just(Step::Cancel),
        1 => Just(Step::Reverse),
        1 => any::<bool>().prop_map(Step::Schedule),
        1 => any::<bool>().prop_map(Step::Return),
        3 => (0_i64..10 * DAY).prop_map(Step::Wait),
    ]
}

/// Carries a step out; one that is refused changes nothing.
fn play(client: &Client, step: &Step) {
    let last = |path: &str, status: &str| {
        let found = all(client, path, "");
        found.iter().find(|found| text(found, "/status") == status).map(id)
    };
    match step {
        Step::Pay(amount, card) => {
            pay(client, *amount, CARDS[*card]);
        }
        Step::Hold(amount) => {
            client.post("/v1/payment_intents", &format!("amount={amount}&currency=usd&confirm=true&payment_method=pm_card_visa&capture_method=manual"));
        }
        Step::Capture(amount) => {
            if let Some(intent) = last("/v1/payment_intents", "requires_capture") {
                client.send(
                    "POST",
                    &format!("/v1/payment_intents/{intent}/capture"),
                    &format!("amount_to_capture={amount}"),
                );
            }
        }
        Step::Refund(which, amount) => {
            let charges = all(client, "/v1/charges", "");
            if !charges.is_empty() {
                client.send(
                    "POST",
                    "/v1/refunds",
                    &format!("charge={}&amount={amount}", id(&charges[which % charges.len()])),
                );
            }
        }
        Step::Answer(text) => {
            let open = last("/v1/disputes", "needs_response")
                .or_else(|| last("/v1/disputes", "warning_needs_response"));
            if let Some(dispute) = open {
                client.post(
                    &format!("/v1/disputes/{dispute}"),
                    &format!("evidence[uncategorized_text]={text}"),
                );
            }
        }
        Step::PayOut(amount) => {
            client.send("POST", "/v1/payouts", &format!("amount={amount}&currency=usd"));
        }
        Step::Cancel => {
            if let Some(payout) = last("/v1/payouts", "pending") {
                client.send("POST", &format!("/v1/payouts/{payout}/cancel"), "");
            }
        }
        Step::Reverse => {
            if let Some(payout) = last("/v1/payouts", "paid") {
                client.send("POST", &format!("/v1/payouts/{payout}/reverse"), "");
            }
        }
        Step::Schedule(daily) => {
            settings(client, &json!({ "payout_schedule": if *daily { "daily" } else { "manual" } }))
        }
        Step::Return(fails) => settings(
            client,
            &json!({ "payout_failure": if *fails { json!("account_closed") } else { Value::Null } }),
        ),
        Step::Wait(seconds) => client.sandbox.advance_time(*seconds),
    }
}

/// What the balance must be, told from the objects themselves and not from its entries.
fn expected(client: &Client) -> i64 {
    let taken: i64 = all(client, "/v1/charges", "")
        .iter()
        .map(|charge| {
            let taken = number(charge, "/amount_captured");
            taken - (taken * 360 + 5000) / 10_000
        })
        .sum();
    let given_back: i64 = all(client, "/v1/refunds", "")
        .iter()
        .filter(|refund| text(refund, "/status") != "failed")
        .map(|refund| number(refund, "/amount"))
        .sum();
    let withheld: i64 = all(client, "/v1/disputes", "")
        .iter()
        .filter(|dispute| matches!(text(dispute, "/status"), "needs_response" | "under_review" | "lost"))
        .map(|dispute| number(dispute, "/amount") + 1500)
        .sum();
    let paid_out: i64 = all(client, "/v1/payouts", "")
        .iter()
        .filter(|payout| !matches!(text(payout, "/status"), "failed" | "canceled"))
        .map(|payout| number(payout, "/amount"))
        .sum();
    taken - given_back - withheld - paid_out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_balance_is_the_sum_of_its_entries_to_the_minor_unit(steps in prop::collection::vec(step(), 1..30)) {
        let client = client();
        for step in &steps {
            play(&client, step);
            let entries = all(&client, "/v1/balance_transactions", "");
            let (available, pending) = balance(&client);
            prop_assert_eq!(available + pending, sum(&entries, "/net"), "the balance and its entries, after {:?}", step);
            prop_assert_eq!(available + pending, expected(&client), "the balance and the objects, after {:?}", step);
            for payout in all(&client, "/v1/payouts", "").iter().filter(|payout| payout["automatic"] == true) {
                let entries = all(&client, "/v1/balance_transactions", &format!("payout={}", id(payout)));
                prop_assert_eq!(sum(&entries, "/net"), 0, "a payout and its entries, after {:?}", step);
            }
        }
    }
}

#[test]
fn money_that_is_available_at_once_is_told() {
    let client = client();
    let pay = |card: &str| {
        let form = format!(
            "amount=2000&currency=usd&confirm=true&return_url=http://shop.test&payment_method={card}"
        );
        client.post("/v1/payment_intents", &form);
    };
    pay("pm_card_visa");
    assert!(client.events("type=balance.available").is_empty());
    pay("pm_card_bypassPending");
    let told = client.events("type=balance.available");
    assert_eq!(told.len(), 1);
    assert_eq!(text(&told[0], "/data/object/object"), "balance");
    assert_eq!(told[0]["data"]["object"]["available"], client.get("/v1/balance", "")["available"]);
}
