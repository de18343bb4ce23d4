//! What bounds a sweep, and what it says when it reaches that: more findings than one run keeps, addresses that contradict.

use quittance_domain::drift::{DriftKind, WrongAccess};
use quittance_engine::settings::EmailTruth;
use quittance_engine::sweep::SweepReport;
use quittance_engine::{ProblemCode, Settings};
use quittance_store::customers::{Change, CustomerPatch};
use quittance_store::ledger::Which;

use crate::house::{House, catalog, customer, on_each};
use crate::known_kit::{
    buyer_of, foreign_buyer, foreign_subscription, lines_of, operator, price_id, standing_alerts, text,
};

async fn swept(engine: &quittance_engine::Engine) -> SweepReport {
    engine.sweep(true, false).await.unwrap().unwrap()
}

async fn open(h: &House) -> usize {
    h.engine.drift(false, None, i64::MAX, 1_000).await.unwrap().len()
}

#[tokio::test]
async fn a_sweep_that_finds_more_than_it_keeps_says_so() {
    for test in quittance_store::testing::databases().await {
        let few = Settings { sweep_findings: 2, ..Settings::default() };
        let h = House::with(test, few, catalog()).await;
        let price = price_id(&h, "pro_month_jpy");
        for _ in 0..4 {
            let buyer = foreign_buyer(&h, "");
            foreign_subscription(&h, &buyer, &price, "");
        }
        h.settle().await;
        let report = swept(&h.engine).await;
        assert_eq!((report.findings, report.new_findings, report.overflowed), (4, 2, 2), "{report:?}");
        assert_eq!(report.for_operator, 4, "all are counted");
        assert_eq!(open(&h).await, 2, "and as many kept as there is room for");
        let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
        let told = alerts.iter().find(|alert| alert.kind == "drift_overflow").unwrap();
        assert!(told.detail.contains("2 differences more than the 2"), "{}", told.detail);
        assert!(told.mend.contains("quittance reconcile"), "{}", told.mend);

        // With room enough it is over.
        let roomy = h.engine_with(Settings::default()).await;
        let report = swept(&roomy).await;
        assert_eq!((report.findings, report.new_findings, report.overflowed), (4, 2, 0), "{report:?}");
        assert!(!standing_alerts(&h).await.contains(&"drift_overflow".to_owned()));
        assert_eq!(open(&h).await, 4);

        // What a run has no room for is not over because of that.
        h.sandbox.advance_time(60);
        assert_eq!(swept(&h.engine).await.overflowed, 2);
        assert_eq!(open(&h).await, 4);
    }
}

/// A guest is nobody's customer at the provider: an operator says whose the payment is, and the books and the timeline have it.
#[tokio::test]
async fn the_payment_of_a_guest_is_claimed_for_a_customer_of_ours() {
    on_each(|h| {
        Box::pin(async move {
            let form = "amount=500&currency=jpy&payment_method=pm_card_visa&confirm=true&return_url=https://shop.test";
            let payment = text(&h.provider("POST", "/v1/payment_intents", form)["id"]);
            h.settle().await;
            h.pass_ms(2 * 3_600_000);
            h.settle().await;
            swept(&h.engine).await;
            h.settle().await;
            h.pass_ms(2 * 3_600_000);
            swept(&h.engine).await;
            let rows = h.engine.drift(false, None, i64::MAX, 10).await.unwrap();
            let [found] = &rows[..] else { panic!("{rows:?}") };
            assert_eq!((found.kind, found.object.as_str()), (DriftKind::UnownedPayment, payment.as_str()));
            assert_eq!(found.theirs.as_deref(), Some("guest"));
            assert!(standing_alerts(h).await.contains(&"drift_unowned_payment".to_owned()));

            let nobody = h.engine.claim_drift(found.seq, &customer("ada"), &operator()).await.unwrap_err();
            assert_eq!(nobody.code, ProblemCode::NotFound);
            h.engine.put_customer(&customer("ada"), CustomerPatch::default()).await.unwrap();
            let row = h.engine.claim_drift(found.seq, &customer("ada"), &operator()).await.unwrap();
            assert_eq!((row.state.as_str(), row.ended_by.as_deref()), ("mended", Some("claimed")));
            let again = h.engine.claim_drift(found.seq, &customer("ada"), &operator()).await.unwrap_err();
            assert_eq!(again.code, ProblemCode::WrongState);
            assert!(!standing_alerts(h).await.contains(&"drift_unowned_payment".to_owned()));
            assert_eq!(lines_of(h, "ada", "payment.claimed").await, 1);
            let which = Which { customer: Some("ada".into()), ..Which::all("") };
            let entries = h.engine.ledger_entries(which, 10).await.unwrap();
            assert!(entries.iter().any(|entry| entry.payment.as_deref() == Some(payment.as_str())), "{entries:?}");
            h.pass_ms(3_600_000);
            assert_eq!(swept(&h.engine).await.findings, 0, "it has an owner");
        })
    })
    .await;
}

/// Access that is wrong counts as it lasts, and not only when it is mended.
#[tokio::test]
async fn wrong_access_is_counted_while_it_lasts() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.pass_ms(3_600_000);
            assert!(h.engine.wrong_access_now().await.unwrap().is_empty(), "nobody has looked");
            swept(&h.engine).await;
            for minutes in [0, 30] {
                h.pass_ms(minutes * 60_000);
                let now = h.engine.wrong_access_now().await.unwrap();
                let [wrong] = &now[..] else { panic!("{now:?}") };
                assert_eq!((wrong.wrong, wrong.accounts), (WrongAccess::TooLittle, 1));
                let least = (60 + minutes) * 60_000;
                assert!((least..least + 60_000).contains(&wrong.wrong_ms), "{minutes}: {wrong:?}");
                let sums = h.engine.drift_sums().await.unwrap();
                let [sum] = &sums[..] else { panic!("{sums:?}") };
                assert_eq!((sum.state.as_str(), sum.wrong_ms), ("open", wrong.wrong_ms));
            }
            h.settle().await;
            assert!(h.engine.wrong_access_now().await.unwrap().is_empty());
            let sums = h.engine.drift_sums().await.unwrap();
            assert!(sums[0].state == "mended" && sums[0].wrong_ms >= 90 * 60_000, "{sums:?}");
        })
    })
    .await;
}

/// One of ours is two of the provider's, with an address each: the one that is used decides, and nothing is written to and fro.
#[tokio::test]
async fn of_two_addresses_at_the_provider_the_one_in_use_decides() {
    for truth in [EmailTruth::Provider, EmailTruth::Ours] {
        for test in quittance_store::testing::databases().await {
            let h =
                House::with(test, Settings { email_truth: truth, ..Settings::default() }, catalog()).await;
            let patch =
                CustomerPatch { email: Change::Set("ada@example.com".into()), ..CustomerPatch::default() };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let used = buyer_of(&h, &h.subscriber("ada").await);
            let other = foreign_buyer(&h, "metadata[quittance_customer]=ada&email=second@example.com");
            foreign_subscription(&h, &other, &price_id(&h, "studio_month_jpy"), "");
            h.settle().await;
            assert_eq!(
                h.engine.known_provider_customer(&customer("ada")).await.unwrap().as_deref(),
                Some(used.as_str())
            );
            h.provider("POST", &format!("/v1/customers/{used}"), "email=first@example.com");
            h.settle().await;
            let there = |id: &str| {
                h.provider("GET", &format!("/v1/customers/{id}"), "")["email"].as_str().unwrap().to_owned()
            };
            let expected = match truth {
                EmailTruth::Provider => ["first@example.com", "first@example.com", "second@example.com"],
                EmailTruth::Ours | EmailTruth::Ignore => ["ada@example.com"; 3],
            };
            for round in 0..4 {
                swept(&h.engine).await;
                h.settle().await;
                let ours = h.engine.customer("ada").await.unwrap().customer.email.unwrap();
                assert_eq!([ours, there(&used), there(&other)], expected, "{truth:?}, round {round}");
                h.sandbox.advance_time(60);
            }
            let report = swept(&h.engine).await;
            let left = h.engine.drift(false, Some(DriftKind::Email), i64::MAX, 10).await.unwrap();
            assert!(left.is_empty(), "{truth:?}: {report:?} {left:?}");
        }
    }
}
