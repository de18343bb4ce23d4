//! Refunds: once, never more than is left, by the invoice's credit note, and honest when they fail.

use quittance_domain::fraud::{FraudAction, FraudPolicy, Level};
use quittance_domain::ledger::Account;
use quittance_domain::notices::NoticeKind;
use quittance_domain::refund::{Moved, RefundReason};
use quittance_domain::{Currency, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::inbox::MONEY_SETTLE_MS;
use quittance_engine::problem::Money;
use quittance_engine::refunds::{NewRefund, RefundOf};
use quittance_engine::world::Point;
use quittance_engine::{ProblemCode, Settings};

use crate::house::{House, Trouble, catalog, customer, on_each, pro};
use crate::known_kit::{bought_with, lines_of, operator, standing_alerts};

fn of(payment: &str, amount: Option<i64>) -> NewRefund {
    NewRefund {
        of: RefundOf::Payment(payment.to_owned()),
        amount,
        currency: None,
        reason: RefundReason::RequestedByCustomer,
        credit_note: true,
        out_of_band: false,
    }
}

/// What the provider says went back of a payment, and how many refunds and credit notes there are.
fn given_back(h: &House, payment: &str) -> (i64, usize, usize) {
    let refunds = h.provider("GET", "/v1/refunds", &format!("payment_intent={payment}&limit=100"));
    let refunds = refunds["data"].as_array().unwrap().clone();
    let stands = refunds.iter().filter(|refund| refund["status"] != "failed");
    let notes = h.provider("GET", "/v1/credit_notes", "limit=100")["data"].as_array().unwrap().len();
    (stands.map(|refund| refund["amount"].as_i64().unwrap()).sum(), refunds.len(), notes)
}

async fn account(h: &House, account: Account) -> i64 {
    h.settle().await;
    h.pass_ms(MONEY_SETTLE_MS + 1_000);
    h.settle().await;
    let rows = h.engine.trial_balance(Timestamp::from_ms(i64::MAX)).await.unwrap();
    assert_eq!(rows.iter().map(quittance_store::ledger::Balance::balance).sum::<i64>(), 0);
    rows.iter().filter(|row| row.account == account).map(quittance_store::ledger::Balance::balance).sum()
}

#[tokio::test]
async fn a_part_goes_back_by_a_credit_note_then_the_rest_and_no_more() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let plan = h.engine.plan_refund(&of(&payment, Some(500))).await.unwrap();
            assert_eq!((plan.amount.minor, plan.left, plan.customer.unwrap().as_str()), (500, 1_480, "ada"));
            assert_eq!(given_back(h, &payment), (0, 0, 0), "a plan moves nothing");
            let made = h.engine.refund(&of(&payment, Some(500)), &operator(), Some("a")).await.unwrap();
            assert_eq!((made.amount.minor, made.moved, made.status.as_str()), (500, Moved::Yes, "succeeded"));
            assert!(made.refund.unwrap().starts_with("re_") && made.credit_note.unwrap().starts_with("cn_"));
            let again = h.engine.refund(&of(&payment, Some(500)), &operator(), Some("a")).await.unwrap();
            assert_eq!(again.command, made.command);
            assert_eq!(given_back(h, &payment), (500, 1, 1), "asked for twice under one key, made once");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "a part ends nothing");
            let more = h.engine.refund(&of(&payment, Some(1_481)), &operator(), Some("b")).await.unwrap_err();
            assert_eq!(more.code, ProblemCode::RefundRefused);
            assert_eq!(given_back(h, &payment), (500, 1, 1));
            let rest = h.engine.refund(&of(&payment, None), &operator(), Some("c")).await.unwrap();
            assert_eq!(rest.amount.minor, 1_480);
            assert_eq!(given_back(h, &payment), (1_980, 2, 2));
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await, "all of it went back");
            let none = h.engine.refund(&of(&payment, None), &operator(), Some("d")).await.unwrap_err();
            assert_eq!(none.code, ProblemCode::RefundRefused);
            assert_eq!(lines_of(h, "ada", "refund.asked").await, 2);
            assert_eq!(account(h, Account::Refunds).await, 1_980);
        })
    })
    .await;
}

/// The answer cannot be written down any more: nobody may be told that no money moved.
#[tokio::test]
async fn a_database_that_fails_on_the_way_does_not_claim_that_no_money_moved() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let gate = h.hold_point(Point::CommandAnswered);
            let (engine, wanted) = (h.engine.clone(), of(&payment, Some(500)));
            let asking = tokio::spawn(async move { engine.refund(&wanted, &operator(), Some("a")).await });
            gate.reached().await;
            h.test.db.clone().close().await;
            gate.open();
            let problem = asking.await.unwrap().unwrap_err();
            assert_eq!((problem.code, problem.money), (ProblemCode::DatabaseUnavailable, Money::Unknown));
            assert!(problem.mend.contains("Idempotency-Key"), "{}", problem.mend);
            assert_eq!(given_back(h, &payment).0, 500, "it did move");
            let late = h.engine.refund(&of(&payment, Some(500)), &operator(), Some("b")).await.unwrap_err();
            assert_eq!(late.money, Money::No, "nothing was written down for this one");
        })
    })
    .await;
}

#[tokio::test]
async fn an_invoice_leads_to_its_payment_and_a_currency_must_agree() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let paid = h.provider(
                "GET",
                "/v1/invoice_payments",
                &format!("payment[type]=payment_intent&payment[payment_intent]={payment}"),
            );
            let invoice = paid["data"][0]["invoice"].as_str().unwrap().to_owned();
            let by_invoice = NewRefund { of: RefundOf::Invoice(invoice.clone()), ..of(&payment, Some(100)) };
            let usd = NewRefund { currency: Some(Currency::parse("usd").unwrap()), ..by_invoice.clone() };
            assert_eq!(
                h.engine.refund(&usd, &operator(), None).await.unwrap_err().code,
                ProblemCode::RefundRefused
            );
            let made = h.engine.refund(&by_invoice, &operator(), None).await.unwrap();
            assert_eq!((made.payment, made.invoice), (payment.clone(), Some(invoice)));
            let plain = NewRefund { credit_note: false, ..of(&payment, Some(30)) };
            assert_eq!(h.engine.refund(&plain, &operator(), None).await.unwrap().credit_note, None);
            assert_eq!(given_back(h, &payment), (130, 2, 1));
            let unknown = h.engine.refund(&of("pi_nobody", None), &operator(), None).await.unwrap_err();
            assert_eq!(unknown.code, ProblemCode::NotFound);
        })
    })
    .await;
}

/// Two who want different parts at the same time never get more than there is: each counts what the other has asked for.
#[tokio::test]
async fn many_at_once_never_get_more_than_was_paid() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let other = h.another_engine().await;
            let mut all = Vec::new();
            for n in 0..6_i64 {
                let engine = if n % 2 == 0 { h.engine.clone() } else { other.clone() };
                let wish = of(&payment, Some(600 + n));
                all.push(tokio::spawn(async move {
                    engine.refund(&wish, &operator(), Some(&format!("key-{n}"))).await
                }));
            }
            let mut made = 0;
            for task in all {
                match task.await.unwrap() {
                    Ok(refund) => made += refund.amount.minor,
                    Err(problem) => assert_eq!(problem.code, ProblemCode::RefundRefused, "{problem}"),
                }
            }
            let (back, count, notes) = given_back(h, &payment);
            assert_eq!((back, count, notes), (made, 3, 3));
            assert!(back <= 1_980);
        })
    })
    .await;
}

/// What was asked for and is not known to be done counts as given: an answer that is lost is no reason to give twice.
#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_counts_until_then() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            h.trouble("/v1/credit_notes", Trouble::LostBefore, 3);
            let first =
                h.engine.refund(&of(&payment, Some(1_500)), &operator(), Some("a")).await.unwrap_err();
            assert_eq!(first.money, quittance_engine::Money::Unknown);
            h.transport.mend();
            assert_eq!(given_back(h, &payment), (0, 0, 0), "it has not arrived, which nobody knows");
            let second = h.engine.refund(&of(&payment, Some(500)), &operator(), Some("b")).await.unwrap_err();
            assert_eq!(second.code, ProblemCode::RefundRefused, "1,500 may be on its way");
            h.trouble("/v1/credit_notes", Trouble::LostAfter, 1);
            let again = h.engine.refund(&of(&payment, Some(1_500)), &operator(), Some("a")).await.unwrap();
            assert_eq!(again.moved, Moved::Yes);
            assert_eq!(given_back(h, &payment), (1_500, 1, 1));
        })
    })
    .await;
}

#[tokio::test]
async fn a_pending_refund_says_so_and_one_that_fails_later_is_told_until_made_up_for() {
    on_each(|h| {
        Box::pin(async move {
            let (_, slow) = bought_with(h, "eve", "pm_card_pendingRefund").await;
            let made = h.engine.refund(&of(&slow, Some(100)), &operator(), None).await.unwrap();
            assert_eq!((made.moved, made.status.as_str()), (Moved::Unknown, "pending"));

            let (_, payment) = bought_with(h, "ada", "pm_card_refundFail").await;
            h.engine.refund(&of(&payment, Some(700)), &operator(), None).await.unwrap();
            h.settle().await;
            assert!(!standing_alerts(h).await.contains(&"refund_failed".to_owned()));
            h.sandbox.advance_time(2 * 3_600);
            h.settle().await;
            assert!(standing_alerts(h).await.contains(&"refund_failed".to_owned()));
            assert_eq!(account(h, Account::Refunds).await, 100, "what came back is taken back in the books");
            let seen = h.engine.payments(Some("ada"), None, 10).await.unwrap();
            assert_eq!(seen[0].facts.refunds[0].status, "failed");
            let told = crate::known_kit::told(h, "ada", Some(NoticeKind::RefundFailed)).await;
            assert_eq!(told.len(), 1, "what was told is set right");
            // The credit note of the failed one stands, so that the money goes back outside, without another.
            let outside = NewRefund { out_of_band: true, ..of(&payment, Some(700)) };
            h.engine.refund(&outside, &operator(), None).await.unwrap();
            h.settle().await;
            assert!(!standing_alerts(h).await.contains(&"refund_failed".to_owned()));

            // Or it is asked for again, as the alert says.
            let (_, other) = bought_with(h, "bob", "pm_card_refundFail").await;
            h.engine.refund(&of(&other, Some(700)), &operator(), None).await.unwrap();
            h.settle().await;
            h.sandbox.advance_time(2 * 3_600);
            h.settle().await;
            let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "refund_failed").unwrap();
            let again = format!("quittance refund {other} --amount 700 --no-credit-note");
            assert!(alert.mend.contains(&again), "{}", alert.mend);
            let plain = NewRefund { credit_note: false, ..of(&other, Some(700)) };
            h.engine.refund(&plain, &operator(), None).await.unwrap();
            h.settle().await;
            assert!(!standing_alerts(h).await.contains(&"refund_failed".to_owned()), "as much is on its way");
        })
    })
    .await;
}

#[tokio::test]
async fn a_purchase_without_an_invoice_is_refunded_plainly_and_payments_are_listed() {
    on_each(|h| {
        Box::pin(async move {
            let wish = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
            let row = h.open(&wish).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let (_, _) = bought_with(h, "bob", "pm_card_visa").await;
            let all = h.engine.payments(None, None, 10).await.unwrap();
            assert_eq!(all.len(), 2);
            let after = h.engine.payments(None, Some(&all[0].facts.id), 10).await.unwrap();
            assert_eq!(after, all[1..]);
            let mine = h.engine.payments(Some("ada"), None, 10).await.unwrap();
            assert_eq!(mine.iter().map(|row| row.facts.amount.minor).collect::<Vec<_>>(), [12_000]);
            let payment = mine[0].facts.id.clone();
            let outside = NewRefund { out_of_band: true, ..of(&payment, None) };
            let outside = NewRefund { amount: Some(2_000), ..outside };
            let noted = h.engine.refund(&outside, &operator(), None).await.unwrap();
            assert_eq!((noted.refund, noted.credit_note, noted.moved), (None, None, Moved::Yes));
            assert_eq!(account(h, Account::Bank).await, -2_000, "the books know, and the provider need not");
            let made = h.engine.refund(&of(&payment, None), &operator(), None).await.unwrap();
            assert_eq!(
                (made.credit_note, made.amount.minor),
                (None, 10_000),
                "what went back elsewhere counts"
            );
        })
    })
    .await;
}

/// What a rule gives back is what is left, by the same reckoning as what a person gives back, and with the same document.
#[tokio::test]
async fn what_went_back_outside_of_the_provider_is_not_given_back_again_by_a_rule() {
    for test in quittance_store::testing::databases().await {
        let mut h = House::with(test, Settings::default(), catalog()).await;
        let course = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
        let row = h.open(&course).await;
        h.pay(row.session.as_deref().unwrap(), "pm_card_createIssuerFraudRecord");
        h.settle().await;
        let (_, billed) = bought_with(&h, "ada", "pm_card_createIssuerFraudRecord").await;
        let payments = h.engine.payments(Some("ada"), None, 10).await.unwrap();
        let plain = payments.iter().find(|row| row.facts.amount.minor == 12_000).unwrap().facts.id.clone();
        let outside = NewRefund { out_of_band: true, ..of(&plain, Some(2_000)) };
        h.engine.refund(&outside, &operator(), None).await.unwrap();
        h.engine.refund(&of(&billed, Some(80)), &operator(), None).await.unwrap();
        h.settle().await;
        // From now on such payments go back.
        let fraud =
            FraudPolicy { on_early_fraud_warning: vec![FraudAction::Refund], ..FraudPolicy::default() };
        h.engine = h.engine_with(Settings { fraud, ..Settings::default() }).await;
        h.engine.suspend(&customer("ada"), Level::Checkouts, "a look", &operator()).await.unwrap();
        for _ in 0..3 {
            h.settle().await;
        }
        assert_eq!(given_back(&h, &plain).0, 10_000);
        let reason =
            &h.provider("GET", "/v1/refunds", &format!("payment_intent={plain}"))["data"][0]["reason"];
        assert_eq!(reason, "fraudulent");
        let (back, refunds, notes) = given_back(&h, &billed);
        assert_eq!((back, refunds, notes), (1_980, 2, 2));
        let note = &h.provider("GET", "/v1/credit_notes", "limit=1")["data"][0];
        assert_eq!((&note["amount"], &note["reason"]), (&1_900.into(), &"fraudulent".into()));
        assert!(!standing_alerts(&h).await.contains(&"mending_refused".to_owned()));
    }
}

/// The credit note of a refund that failed stands, and leaves no room for another.
#[tokio::test]
async fn a_payment_whose_credit_note_stands_goes_back_without_another() {
    for test in quittance_store::testing::databases().await {
        let mut h = House::with(test, Settings::default(), catalog()).await;
        let (_, payment) = bought_with(&h, "ada", "pm_card_createIssuerFraudRecord").await;
        h.trouble("POST /v1/credit_notes", Trouble::Status(400), usize::MAX);
        let fraud =
            FraudPolicy { on_early_fraud_warning: vec![FraudAction::Refund], ..FraudPolicy::default() };
        h.engine = h.engine_with(Settings { fraud, ..Settings::default() }).await;
        h.engine.suspend(&customer("ada"), Level::Checkouts, "a look", &operator()).await.unwrap();
        h.settle().await;
        assert_eq!(given_back(&h, &payment), (1_980, 1, 0));
    }
}

#[tokio::test]
async fn a_payment_of_a_guest_is_refunded_by_its_id_and_no_more_than_was_paid() {
    on_each(|h| {
        Box::pin(async move {
            let form = "amount=700&currency=jpy&payment_method=pm_card_visa&confirm=true";
            let paid = h.provider("POST", "/v1/payment_intents", form);
            let (payment, charge) = (paid["id"].as_str().unwrap(), paid["latest_charge"].as_str().unwrap());
            let plan = h.engine.plan_refund(&of(payment, Some(300))).await.unwrap();
            assert_eq!((plan.customer, plan.left), (None, 400));
            for (amount, made) in [(Some(300), 300), (None, 400)] {
                let refund = h.engine.refund(&of(payment, amount), &operator(), None).await.unwrap();
                assert_eq!((refund.amount.minor, refund.moved), (made, Moved::Yes));
            }
            assert_eq!(given_back(h, payment), (700, 2, 0));
            let none = h.engine.refund(&of(payment, None), &operator(), None).await.unwrap_err();
            assert_eq!(none.code, ProblemCode::RefundRefused);
            let named = h.engine.refund(&of(charge, None), &operator(), None).await.unwrap_err();
            assert_eq!(named.code, ProblemCode::InvalidRequest);
            assert!(named.mend.contains("payment_intent"), "{}", named.mend);
        })
    })
    .await;
}

/// What a rule gives back and has not yet is promised, as what a person asked for is.
#[tokio::test]
async fn what_a_rule_is_about_to_give_back_is_not_given_by_hand_as_well() {
    for test in quittance_store::testing::databases().await {
        let mut h = House::with(test, Settings::default(), catalog()).await;
        let (_, payment) = bought_with(&h, "ada", "pm_card_createIssuerFraudRecord").await;
        let fraud =
            FraudPolicy { on_early_fraud_warning: vec![FraudAction::Refund], ..FraudPolicy::default() };
        h.engine = h.engine_with(Settings { fraud, ..Settings::default() }).await;
        h.trouble("POST /v1/credit_notes", Trouble::Status(503), 1_000);
        h.engine.suspend(&customer("ada"), Level::Checkouts, "a look", &operator()).await.unwrap();
        h.settle().await;
        let outside = NewRefund { out_of_band: true, ..of(&payment, Some(500)) };
        let refused = h.engine.refund(&outside, &operator(), None).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::RefundRefused);
        h.transport.mend();
        for _ in 0..5 {
            h.sandbox.advance_time(1_800);
            h.settle().await;
        }
        assert_eq!(given_back(&h, &payment), (1_980, 1, 1));
    }
}

/// Found by the simulator: a call that was taken over saw the refund of its own key as somebody else's, and told that nothing was left.
#[tokio::test]
async fn a_call_that_was_overtaken_by_its_own_repetition_tells_the_same_refund() {
    on_each(|h| {
        Box::pin(async move {
            let (_, payment) = bought_with(h, "ada", "pm_card_visa").await;
            let gate = h.hold_answers(&format!("/v1/payment_intents/{payment}"));
            let (slow, asked) = (h.engine.clone(), of(&payment, None));
            let slow =
                tokio::spawn(async move { slow.refund(&asked, &operator(), Some("a")).await.unwrap() });
            gate.reached().await;
            h.release_answers(&format!("/v1/payment_intents/{payment}"));
            let other = h.another_engine().await;
            let made = other.refund(&of(&payment, None), &operator(), Some("a")).await.unwrap();
            gate.open();
            assert_eq!(slow.await.unwrap().command, made.command);
            assert_eq!(given_back(h, &payment), (1_980, 1, 1));
        })
    })
    .await;
}
