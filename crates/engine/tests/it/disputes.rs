//! Disputes: mirrored with their deadline, told before it, answered once; and what another policy would do to access.

use quittance_domain::access::{AccessPolicy, OnMoneyBack};
use quittance_domain::dispute::{DisputeAction, DisputePolicy, DisputeRule, Stage};
use quittance_engine::{ProblemCode, Settings};

use crate::house::{House, catalog, customer, on_each};
use crate::known_kit::{bought_with, lines_of, operator, standing_alerts, text};

async fn told(h: &House, kind: &str) -> bool {
    standing_alerts(h).await.contains(&kind.to_owned())
}

async fn with_rule(then: DisputeAction, story: impl for<'a> AsyncFn(&'a House)) {
    for test in quittance_store::testing::databases().await {
        let rule = DisputeRule {
            then,
            stages: vec![Stage::Chargeback],
            reasons: vec!["fraudulent".into()],
            at_most: std::collections::BTreeMap::from([("jpy".to_owned(), 2_000)]),
        };
        let disputes = DisputePolicy { rules: vec![rule], ..DisputePolicy::default() };
        let house = House::with(test, Settings { disputes, ..Settings::default() }, catalog()).await;
        story(&house).await;
    }
}

#[tokio::test]
async fn a_dispute_is_told_until_it_is_answered_and_a_won_one_restores_what_it_took() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_createDispute").await;
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "the money was taken");
            let rows = h.engine.disputes(true, i64::MAX, 10).await.unwrap();
            let [row] = rows.as_slice() else { panic!("{rows:?}") };
            assert_eq!((row.payment.as_str(), row.customer.as_deref()), (payment.as_str(), Some("ada")));
            assert_eq!((row.facts.amount.minor, row.facts.reason.as_str()), (1_980, "fraudulent"));
            assert_eq!(row.facts.status.stage(), Stage::Chargeback);
            let due = row.facts.due_by.unwrap();
            assert!(told(h, "dispute_needs_response").await && !told(h, "dispute_deadline").await);
            let refund = quittance_engine::refunds::NewRefund {
                of: quittance_engine::refunds::RefundOf::Payment(payment.clone()),
                amount: None,
                currency: None,
                reason: quittance_domain::refund::RefundReason::Fraudulent,
                credit_note: true,
                out_of_band: false,
            };
            let refused = h.engine.refund(&refund, &operator(), None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::RefundRefused, "the bank has the money");
            // Nothing is heard any more; the deadline is told all the same.
            h.drop_webhooks();
            h.sandbox.advance_time(due.since(h.engine.now()) / 1_000 - 48 * 3_600);
            h.settle().await;
            assert!(told(h, "dispute_deadline").await);
            let pack = h.engine.dispute_evidence(&row.facts.id).await.unwrap();
            let files = pack.files();
            assert!(files.iter().any(|(name, text)| *name == "access.jsonl" && text.contains("granted")));
            assert!(files.iter().any(|(name, text)| *name == "receipts.jsonl" && text.contains("receipt")));
            assert!(pack.summary.contains("1,980 JPY") && pack.summary.contains("completed the checkout"));
            let note = Some("winning_evidence".to_owned());
            let after = h.engine.contest_dispute(&row.facts.id, note, &operator()).await.unwrap();
            h.settle().await;
            let again = h.engine.contest_dispute(&row.facts.id, None, &operator()).await.unwrap_err();
            assert_eq!(again.code, ProblemCode::WrongState, "the bank takes it once");
            drop(after);
            let row = h.engine.dispute(&row.facts.id).await.unwrap();
            assert_eq!(row.facts.status.as_str(), "won");
            assert!(h.allowed("ada", "article:full").await, "what the dispute took is back");
            assert!(!told(h, "dispute_needs_response").await && !told(h, "dispute_deadline").await);
            assert!(h.engine.disputes(true, i64::MAX, 10).await.unwrap().is_empty());
            assert_eq!(h.engine.disputes(false, i64::MAX, 10).await.unwrap().len(), 1);
            assert_eq!(lines_of(h, "ada", "dispute.contest.asked").await, 1);
            let sent = h.provider("GET", &format!("/v1/disputes/{}", row.facts.id), "");
            let log = sent["evidence"]["access_activity_log"].as_str().unwrap();
            assert!(log.contains("access.changed"), "{sent}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_rule_accepts_a_small_dispute_at_once() {
    with_rule(DisputeAction::Accept, async |h| {
        bought_with(h, "ada", "pm_card_createDispute").await;
        h.settle().await;
        let rows = h.engine.disputes(false, i64::MAX, 10).await.unwrap();
        assert_eq!(rows[0].facts.status.as_str(), "lost");
        assert!(!h.allowed("ada", "article:full").await);
        assert!(!told(h, "dispute_needs_response").await);
        let object = format!("dispute/{}/chargeback", rows[0].facts.id);
        let asked = h.test.db.read("test", move |tx| quittance_store::commands::of_object(tx, &object));
        assert_eq!(asked.await.unwrap().len(), 1, "asked for once");
    })
    .await;
}

#[tokio::test]
async fn a_rule_contests_shortly_before_the_deadline_and_leaves_time_for_a_person() {
    with_rule(DisputeAction::Contest, async |h| {
        bought_with(h, "ada", "pm_card_createDispute").await;
        h.settle().await;
        let row = h.engine.disputes(true, i64::MAX, 10).await.unwrap().remove(0);
        assert_eq!(row.facts.submissions, 0);
        let hours = row.facts.due_by.unwrap().since(h.engine.now()) / 3_600_000;
        h.sandbox.advance_time((hours - 30) * 3_600);
        h.settle().await;
        assert_eq!(h.engine.dispute(&row.facts.id).await.unwrap().facts.submissions, 0);
        h.sandbox.advance_time(8 * 3_600);
        h.settle().await;
        let after = h.engine.dispute(&row.facts.id).await.unwrap();
        assert_eq!((after.facts.submissions, after.facts.status.as_str()), (1, "under_review"));
    })
    .await;
}

/// The bank keeps one number for the inquiry and for the chargeback that it becomes; each is answered, and each once.
#[tokio::test]
async fn an_inquiry_is_mirrored_and_the_chargeback_that_it_becomes_is_answered_anew() {
    for test in quittance_store::testing::databases().await {
        let stages = vec![Stage::Chargeback];
        let rule = DisputeRule {
            then: DisputeAction::Contest,
            stages,
            reasons: Vec::new(),
            at_most: Default::default(),
        };
        let disputes = DisputePolicy { rules: vec![rule], contest_hours: 720, ..DisputePolicy::default() };
        let h = &House::with(test, Settings { disputes, ..Settings::default() }, catalog()).await;
        bought_with(h, "ada", "pm_card_createDisputeInquiry").await;
        h.settle().await;
        let row = h.engine.disputes(true, i64::MAX, 10).await.unwrap().remove(0);
        let id = row.facts.id.clone();
        assert_eq!(
            (row.facts.status.as_str(), row.customer.as_deref()),
            ("warning_needs_response", Some("ada"))
        );
        assert!(told(h, "dispute_needs_response").await);
        assert!(h.allowed("ada", "article:full").await, "nothing was taken");
        let note = Some("escalate_inquiry_evidence".to_owned());
        h.engine.contest_dispute(&id, note, &operator()).await.unwrap();
        h.settle().await;
        for _ in 0..3 {
            h.sandbox.advance_time(60);
            h.settle().await;
        }
        let after = h.engine.dispute(&id).await.unwrap().facts;
        assert_eq!(
            (after.status.stage(), after.status.as_str()),
            (Stage::Chargeback, "under_review"),
            "by rule"
        );
        assert!(!told(h, "dispute_needs_response").await);
        let late = h.engine.accept_dispute_of(&id, &operator()).await.unwrap_err();
        assert_eq!(late.code, ProblemCode::WrongState, "it was answered");
        let status = h.provider("GET", &format!("/v1/disputes/{id}"), "")["status"].clone();
        assert_eq!(status, "under_review");
    }
}

/// Somebody paid by another way, and nobody of ours is the payer.
#[tokio::test]
async fn a_dispute_about_a_payment_of_nobody_is_told_until_it_is_over_and_answered_by_rule() {
    let pay = |h: &House| {
        let form = "amount=500&currency=jpy&payment_method=pm_card_createDispute&confirm=true&return_url=https://shop.test";
        h.provider("POST", "/v1/payment_intents", form)["id"].as_str().unwrap().to_owned()
    };
    on_each(|h| {
        Box::pin(async move {
            let payment = pay(h);
            h.settle().await;
            let row = h.engine.disputes(true, i64::MAX, 10).await.unwrap().remove(0);
            assert_eq!((row.payment.as_str(), row.customer.as_deref()), (payment.as_str(), None));
            assert!(told(h, "dispute_needs_response").await && !told(h, "dispute_deadline").await);
            // Nothing is heard any more; the deadline is told all the same.
            h.drop_webhooks();
            h.sandbox.advance_time(row.facts.due_by.unwrap().since(h.engine.now()) / 1_000 - 48 * 3_600);
            h.settle().await;
            assert!(told(h, "dispute_deadline").await);
            h.engine.contest_dispute(&row.facts.id, None, &operator()).await.unwrap();
            h.settle().await;
            assert_eq!(h.engine.dispute(&row.facts.id).await.unwrap().facts.status.as_str(), "under_review");
            assert!(!told(h, "dispute_needs_response").await && !told(h, "dispute_deadline").await);
        })
    })
    .await;
    with_rule(DisputeAction::Accept, async |h| {
        pay(h);
        h.settle().await;
        let row = h.engine.disputes(false, i64::MAX, 10).await.unwrap().remove(0);
        assert_eq!(row.facts.status.as_str(), "lost");
    })
    .await;
}

#[tokio::test]
async fn a_warning_is_told_and_is_over_when_the_money_went_back() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_createIssuerFraudRecord").await;
            h.settle().await;
            assert!(told(h, "early_fraud_warning").await);
            assert!(h.allowed("ada", "article:full").await, "a warning takes nothing by default");
            h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&reason=fraudulent"));
            h.settle().await;
            assert!(!told(h, "early_fraud_warning").await);
        })
    })
    .await;
}

/// The payer is no customer at all, or one of the provider's who is none of ours: the money can be lost all the same.
#[tokio::test]
async fn a_warning_about_a_payment_of_nobody_is_mirrored_and_told_until_the_money_went_back() {
    on_each(|h| {
        Box::pin(async move {
            let stranger = text(&h.provider("POST", "/v1/customers", "email=stranger@example.com")["id"]);
            for buyer in [String::new(), format!("&customer={stranger}")] {
                let form = "amount=500&currency=jpy&payment_method=pm_card_createIssuerFraudRecord&confirm=true&return_url=https://shop.test";
                let payment = text(&h.provider("POST", "/v1/payment_intents", &format!("{form}{buyer}"))["id"]);
                for _ in 0..3 {
                    h.settle().await;
                    h.sandbox.advance_time(60);
                }
                let scope = h.engine.scope().to_string();
                let id = payment.clone();
                let kept = move |tx: &mut dyn quittance_store::Tx| {
                    quittance_store::disputes::warnings_of_payment(tx, &scope, &id)
                };
                assert_eq!(h.test.db.read("test.warnings", kept).await.unwrap().len(), 1, "{buyer}");
                let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
                let alert = alerts.iter().find(|alert| alert.kind == "early_fraud_warning").expect(&buyer);
                assert_eq!((alert.object.as_str(), alert.customer.as_deref()), (payment.as_str(), None));
                assert!(alert.mend.contains(&format!("quittance refund {payment}")), "{}", alert.mend);
                h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&reason=fraudulent"));
                // That the warning is no use any more, the provider tells to nobody here.
                for delivery in h.withhold() {
                    if !String::from_utf8_lossy(&delivery.body).contains("\"radar.") {
                        h.hand_in(&delivery).await.unwrap();
                    }
                }
                h.settle().await;
                assert!(!told(h, "early_fraud_warning").await, "{buyer}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn another_policy_shows_whom_it_would_let_in_or_shut_out_and_changes_nothing() {
    on_each(|h| {
        Box::pin(async move {
            bought_with(h, "ada", "pm_card_createDispute").await;
            let (_, half) = bought_with(h, "bob", "pm_card_visa").await;
            bought_with(h, "cyd", "pm_card_visa").await;
            h.provider("POST", "/v1/refunds", &format!("payment_intent={half}&amount=5"));
            h.settle().await;
            let mut policy = AccessPolicy::default();
            let same = h.engine.preview_policy(&policy, 10, &|_| ()).await.unwrap();
            assert_eq!((same.looked_at, same.gain, same.lose, same.other), (3, 0, 0, 0));
            policy.money.dispute_opened = OnMoneyBack::Keep;
            policy.money.refund_partial = OnMoneyBack::Revoke;
            let other = h.engine.preview_policy(&policy, 10, &|_| ()).await.unwrap();
            assert_eq!((other.gain, other.lose), (1, 1));
            let who: Vec<(Option<&str>, bool)> = other
                .affected
                .iter()
                .map(|one| (one.customer.as_deref(), one.differs.after.allows()))
                .collect();
            assert!(who.contains(&(Some("ada"), true)) && who.contains(&(Some("bob"), false)), "{who:?}");
            assert!(!h.allowed("ada", "article:full").await && h.allowed("bob", "article:full").await);
            let named = h.engine.preview_policy(&policy, 1, &|_| ()).await.unwrap();
            assert_eq!((named.affected.len(), named.gain + named.lose), (1, 2), "all are counted");
            // It is switched on, and does what was shown.
            let engine = h.engine_with(Settings { access: policy, ..Settings::default() }).await;
            engine.sweep(true, false).await.unwrap();
            for id in ["ada", "bob"] {
                let buyer = engine.known_provider_customer(&customer(id)).await.unwrap().unwrap();
                let key = format!("{}/customer/{buyer}", engine.scope());
                engine.retry_parked(&key).await.unwrap_err();
                h.provider("POST", &format!("/v1/customers/{buyer}"), "metadata[touched]=1");
            }
            h.deliver().await;
            h.pass_burst();
            engine.drain().await.unwrap();
            assert!(engine.check("ada", "article:full").await.unwrap().allowed);
            assert!(!engine.check("bob", "article:full").await.unwrap().allowed);
        })
    })
    .await;
}

/// The bank reads so many characters: what came shortly before the dispute says most.
#[tokio::test]
async fn evidence_that_is_too_long_keeps_its_newest_lines_and_says_so() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_createDispute").await;
            let at = h.engine.now();
            let write = move |tx: &mut dyn quittance_store::Tx| {
                for n in 0..400 {
                    let line = quittance_store::history::NewLine {
                        customer: Some(customer("ada")),
                        aggregate: None,
                        at,
                        kind: "access.changed".into(),
                        object: format!("line-{n:03}"),
                        data: "{}".into(),
                        cause: "{}".into(),
                    };
                    quittance_store::history::insert(tx, &line)?;
                }
                Ok(())
            };
            h.test.db.write("test.lines", write).await.unwrap();
            let disputes = h.engine.disputes(true, i64::MAX, 10).await.unwrap();
            let dispute = disputes.iter().find(|row| row.payment == payment).unwrap();
            h.engine.contest_dispute(&dispute.facts.id, None, &operator()).await.unwrap();
            let sent = h.provider("GET", &format!("/v1/disputes/{}", dispute.facts.id), "");
            let log = sent["evidence"]["access_activity_log"].as_str().unwrap();
            assert!(log.contains("earlier lines are left out") && log.chars().count() <= 15_000, "{log}");
            assert!(log.contains("line-399") && !log.contains("line-000"), "{log}");
        })
    })
    .await;
}
