//! Disputes: evidence, deadlines, inquiries, and the money that goes and comes back.

use serde_json::{Value, json};

use crate::client::{Client, DAY, client, id, number, text};

fn disputed(client: &Client, card: &str) -> (String, String) {
    let intent = client
        .post("/v1/payment_intents", &format!("amount=2000&currency=usd&confirm=true&payment_method={card}"));
    let charge = text(&intent, "/latest_charge").to_owned();
    let found = client.get("/v1/disputes", &format!("charge={charge}"));
    (format!("/v1/disputes/{}", id(&found["data"][0])), charge)
}

fn net(client: &Client) -> i64 {
    let entries = client.get("/v1/balance_transactions", "limit=100");
    entries["data"].as_array().unwrap().iter().map(|entry| number(entry, "/net")).sum()
}

fn count(client: &Client, kind: &str) -> usize {
    client.events(&format!("type={kind}")).len()
}

fn status(dispute: &Value) -> &str {
    text(dispute, "/status")
}

/// The charge, less its fee and the withdrawal with its own.
const LOST: i64 = 2000 - 72 - 2000 - 1500;

#[test]
fn evidence_is_kept_until_it_is_submitted() {
    let client = client();
    let (path, _) = disputed(&client, "pm_card_createDisputeProductNotReceived");
    let open = client.get(&path, "");
    assert_eq!((status(&open), text(&open, "/reason")), ("needs_response", "product_not_received"));
    assert_eq!(number(&open, "/evidence_details/due_by"), number(&open, "/created") + 9 * DAY);
    let details = "/evidence_details/submission_method";
    assert_eq!(
        (text(&open, details), text(&open, "/payment_method_details/card/case_type")),
        ("not_submitted", "chargeback")
    );
    assert_eq!(
        (number(&open, "/balance_transactions/0/amount"), number(&open, "/balance_transactions/0/fee")),
        (-2000, 1500)
    );
    let kept = client.post(&path, "evidence[product_description]=A%20box&evidence[uncategorized_text]=winning_evidence&submit=false&metadata[case]=7");
    assert_eq!((status(&kept), number(&kept, "/evidence_details/submission_count")), ("needs_response", 0));
    assert_eq!(
        (text(&kept, "/evidence/product_description"), &kept["evidence_details"]["has_evidence"]),
        ("A box", &json!(true))
    );
    let cleared = client.post(&path, "evidence[product_description]=&submit=false");
    assert!(cleared["evidence"]["product_description"].is_null());
    assert_eq!(text(&client.refused(400, "POST", &path, "evidence[story]=x"), "/code"), "parameter_unknown");
    let marked = client.post(&path, "metadata[case]=8");
    assert_eq!(status(&marked), "needs_response", "metadata alone submits nothing");
    let won = client.post(&path, "submit=true");
    assert_eq!(
        (status(&won), number(&won, "/evidence_details/submission_count"), text(&won, details)),
        ("won", 1, "manual")
    );
    assert_eq!(won["balance_transactions"].as_array().unwrap().len(), 2);
    assert_eq!(net(&client), 2000 - 72);
    client.refused(400, "POST", &path, "evidence[uncategorized_text]=more");
    client.refused(400, "POST", &format!("{path}/close"), "");
    assert_eq!(text(&client.post(&path, "metadata[case]=9"), "/metadata/case"), "9");
}

#[test]
fn other_evidence_is_under_review_until_the_issuer_decides() {
    for (outcome, balance) in [("won", 2000 - 72), ("lost", LOST)] {
        let client = client();
        let (path, _) = disputed(&client, "pm_card_createDispute");
        let reviewed = client.post(&path, "evidence[uncategorized_text]=We%20sent%20it");
        assert_eq!(status(&reviewed), "under_review");
        client.refused(400, "POST", &path, "evidence[uncategorized_text]=And%20more");
        client.sandbox.advance_time(30 * DAY);
        assert_eq!(status(&client.get(&path, "")), "under_review", "an answered dispute is not overdue");
        let dispute = path.rsplit('/').next().unwrap();
        client.control("POST", &format!("disputes/{dispute}/decide"), &json!({ "outcome": outcome }));
        let closed = client.get(&path, "");
        assert_eq!((status(&closed), net(&client)), (outcome, balance));
        assert!(closed["evidence_details"]["due_by"].is_null());
        assert_eq!(count(&client, "charge.dispute.closed"), 1);
        assert_eq!(count(&client, "charge.dispute.funds_reinstated"), usize::from(outcome == "won"));
    }
}

#[test]
fn an_unanswered_dispute_is_lost_when_its_time_is_up() {
    let client = client();
    let (path, charge) = disputed(&client, "pm_card_createDispute");
    client.sandbox.advance_time(9 * DAY - 1);
    assert_eq!(status(&client.get(&path, "")), "needs_response");
    client.sandbox.advance_time(1);
    let lost = client.get(&path, "");
    assert_eq!((status(&lost), &lost["evidence_details"]["past_due"]), ("lost", &json!(true)));
    assert_eq!((net(&client), count(&client, "charge.dispute.closed")), (LOST, 1));
    client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}"));
}

#[test]
fn losing_evidence_and_giving_up_lose() {
    let client = client();
    let (first, _) = disputed(&client, "pm_card_createDispute");
    assert_eq!(status(&client.post(&first, "evidence[uncategorized_text]=losing_evidence")), "lost");
    let (second, _) = disputed(&client, "pm_card_createDispute");
    assert_eq!(status(&client.post(&format!("{second}/close"), "")), "lost");
    assert_eq!((net(&client), count(&client, "charge.dispute.closed")), (2 * LOST, 2));
}

#[test]
fn an_inquiry_holds_no_money_until_it_is_escalated() {
    let client = client();
    let (path, charge) = disputed(&client, "pm_card_createDisputeInquiry");
    let open = client.get(&path, "");
    assert_eq!(
        (status(&open), &open["is_charge_refundable"], net(&client)),
        ("warning_needs_response", &json!(true), 1928)
    );
    assert_eq!(
        (
            count(&client, "charge.dispute.funds_withdrawn"),
            text(&open, "/payment_method_details/card/case_type")
        ),
        (0, "inquiry")
    );
    let escalated = client.post(&path, "evidence[uncategorized_text]=escalate_inquiry_evidence");
    assert_eq!(
        (status(&escalated), number(&escalated, "/evidence_details/submission_count")),
        ("needs_response", 0)
    );
    assert_eq!((net(&client), count(&client, "charge.dispute.funds_withdrawn")), (LOST, 1));
    assert_eq!(
        text(&client.refused(400, "POST", "/v1/refunds", &format!("charge={charge}")), "/code"),
        "charge_disputed"
    );
    assert_eq!(status(&client.post(&path, "evidence[uncategorized_text]=winning_evidence")), "won");
    assert_eq!(net(&client), 1928);
}

#[test]
fn an_inquiry_closes_by_an_answer_a_refund_or_time() {
    let client = client();
    let (answered, _) = disputed(&client, "pm_card_createDisputeInquiry");
    assert_eq!(status(&client.post(&answered, "evidence[uncategorized_text]=Here")), "warning_under_review");
    let (refunded, charge) = disputed(&client, "pm_card_createDisputeInquiry");
    client.post("/v1/refunds", &format!("charge={charge}&amount=500"));
    assert_eq!(status(&client.get(&refunded, "")), "warning_needs_response");
    client.post("/v1/refunds", &format!("charge={charge}"));
    assert_eq!(status(&client.get(&refunded, "")), "warning_closed");
    assert_eq!(count(&client, "charge.dispute.closed"), 1);
    let (silent, _) = disputed(&client, "pm_card_createDisputeInquiry");
    client.sandbox.advance_time(10 * DAY);
    let late = client.get(&silent, "");
    assert_eq!(
        (status(&late), &late["evidence_details"]["past_due"]),
        ("warning_needs_response", &json!(true))
    );
    client.sandbox.advance_time(111 * DAY);
    for path in [&answered, &silent] {
        assert_eq!(status(&client.get(path, "")), "warning_closed");
    }
    assert_eq!(count(&client, "charge.dispute.closed"), 2, "events are kept for thirty days");
    assert_eq!(count(&client, "charge.dispute.funds_withdrawn"), 0);
    assert_eq!(net(&client), 2 * 1928 - 72);
}

#[test]
fn a_snapshot_keeps_what_is_due() {
    let client = client();
    let (path, _) = disputed(&client, "pm_card_createDispute");
    let snapshot = client.control("GET", "snapshot", &Value::Null);
    client.post(&path, "evidence[uncategorized_text]=winning_evidence");
    client.control("PUT", "snapshot", &snapshot);
    assert_eq!(status(&client.get(&path, "")), "needs_response");
    client.sandbox.advance_time(9 * DAY);
    assert_eq!(status(&client.get(&path, "")), "lost");
}
