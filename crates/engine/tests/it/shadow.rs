//! Beside an existing integration: everything is mirrored, nothing but reads leaves, nobody is told, and the two are compared.

use std::sync::{Arc, Mutex};

use quittance_domain::Timestamp;
use quittance_domain::delivery::Channel;
use quittance_domain::drift::DriftKind;
use quittance_domain::fraud::{FraudAction, FraudPolicy, Level};
use quittance_engine::settings::EmailTruth;
use quittance_engine::shadow::{self, AppAnswer, Compared, Served};
use quittance_engine::{Engine, ProblemCode, Settings};
use quittance_store::customers::{Change, CustomerPatch};
use quittance_stripe::client::StripeClient;
use quittance_stripe::config::{RateLimits, StripeConfig};
use quittance_stripe::http::{Exchange, HttpRequest, Method, Transport};

use crate::house::{House, SECRET, SandboxTransport, catalog, customer, on_each, pro};
use crate::known_kit::{break_card, foreign_buyer, foreign_subscription, give_card, operator, price_id};

/// Writes down what leaves.
struct Recorder {
    inner: Arc<SandboxTransport>,
    left: Mutex<Vec<(Method, String)>>,
}

impl Transport for Recorder {
    fn send(&self, request: HttpRequest) -> Exchange<'_> {
        self.left.lock().unwrap().push((request.method, request.target.clone()));
        self.inner.send(request)
    }
}

/// An engine that only watches, and what leaves it.
async fn watcher(h: &House, mut settings: Settings) -> (Engine, Arc<Recorder>) {
    settings.webhook_secrets = vec![SECRET.to_owned().into()];
    let recorder = Arc::new(Recorder { inner: h.transport.clone(), left: Mutex::default() });
    let world = h.world.clone();
    let now = Arc::new(move || quittance_engine::World::now(&*world).ms());
    let mut config = StripeConfig::new("sk_test_house".to_owned().into(), false);
    config.limits = RateLimits { per_second: 100_000, per_endpoint_per_second: 100_000, ..config.limits };
    let client = StripeClient::new(config, recorder.clone(), now, Arc::new(|_| {})).unwrap().reading_only();
    let engine =
        Engine::open(h.test.db.clone(), Arc::new(client), Arc::new(catalog()), settings, h.world.clone());
    (engine.await.unwrap(), recorder)
}

fn only_reads(recorder: &Recorder) {
    let left = recorder.left.lock().unwrap();
    assert!(!left.is_empty() && left.iter().all(|(method, _)| *method == Method::Get), "{left:?}");
}

async fn waiting_commands(engine: &Engine) -> usize {
    let due = |tx: &mut dyn quittance_store::Tx| {
        quittance_store::commands::due(tx, Timestamp::from_ms(i64::MAX), 100)
    };
    engine.db().read("test", due).await.unwrap().len()
}

fn answers(all: &[(&str, &str, bool)]) -> Vec<AppAnswer> {
    let read = |(id, feature, allowed): &(&str, &str, bool)| AppAnswer {
        customer: customer(id),
        feature: (*feature).to_owned(),
        allowed: *allowed,
    };
    all.iter().map(read).collect()
}

#[tokio::test]
async fn nothing_but_reads_leaves_and_nobody_is_told() {
    on_each(|h| {
        Box::pin(async move {
            let settings = Settings { email_truth: EmailTruth::Ours, ..Settings::default() };
            let (engine, recorder) = watcher(h, settings).await;
            let price = price_id(h, "pro_month_jpy");
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=user_1&email=theirs@example.com");
            let subscription = foreign_subscription(h, &buyer, &price, "");
            // What would be sent if this were in charge: another address, a failing renewal, a checkout's duplicate.
            let patch = CustomerPatch { email: Change::Set("ours@example.com".into()), ..Default::default() };
            engine.put_customer(&customer("user_1"), patch).await.unwrap();
            engine.sweep(true, false).await.unwrap().unwrap();
            engine.drain().await.unwrap();
            assert!(engine.check("user_1", "article:full").await.unwrap().allowed);
            break_card(h, &subscription);
            for _ in 0..40 {
                h.sandbox.advance_time(crate::house::DAY);
                h.pass_burst();
                engine.sweep(true, false).await.unwrap().unwrap();
                engine.drain().await.unwrap();
            }
            only_reads(&recorder);
            assert_eq!(waiting_commands(&engine).await, 0, "nothing is kept to be carried out later");
            let report = engine.shadow_report().await.unwrap();
            assert!(report.withheld.iter().any(|row| row.kind == "customer.update"), "{:?}", report.withheld);
            let told = quittance_store::deliveries::due;
            for channel in [Channel::Mail, Channel::Webhook] {
                let far = Timestamp::from_ms(i64::MAX);
                let due = engine.db().read("test", move |tx| told(tx, channel, far, 100, 100)).await.unwrap();
                assert!(due.is_empty(), "{channel:?}");
            }
            // Everything that an app or a customer could ask for is refused, before anything is written.
            let refused = engine.open_checkout(&pro("user_2")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::ShadowMode);
            let refused = engine.provider_customer(&customer("user_1b")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::ShadowMode);
            let key = quittance_stripe::calls::IdempotencyKey::new("k").unwrap();
            let call =
                quittance_stripe::calls::customers::create(Default::default(), &Default::default(), key);
            let refused =
                engine.stripe().send(call, quittance_stripe::client::Priority::Live).await.unwrap_err();
            assert_eq!(refused.kind(), &quittance_stripe::error::ErrorKind::ReadOnly);
            assert_eq!(refused.money_moved(), quittance_stripe::error::MoneyMoved::No);
            only_reads(&recorder);
            // And the other one, in charge of the same database afterwards, does not do what was withheld.
            let before = h.calls();
            h.engine.perform_due(100).await.unwrap();
            assert_eq!(h.calls(), before);
        })
    })
    .await;
}

#[tokio::test]
async fn commands_of_before_wait_while_it_watches() {
    on_each(|h| {
        Box::pin(async move {
            let patch = CustomerPatch { email: Change::Set("a@example.com".into()), ..Default::default() };
            h.engine.put_customer(&customer("user_1"), patch).await.unwrap();
            h.trouble("POST /v1/customers", crate::house::Trouble::Status(500), 1_000);
            assert!(h.engine.provider_customer(&customer("user_1")).await.is_err());
            h.transport.mend();
            assert!(waiting_commands(&h.engine).await > 0);
            let (engine, recorder) = watcher(h, Settings::default()).await;
            h.pass_ms(3_600_000);
            engine.drain().await.unwrap();
            let left = recorder.left.lock().unwrap().clone();
            assert!(left.iter().all(|(method, _)| *method == Method::Get), "{left:?}");
            assert!(waiting_commands(&engine).await > 0, "it is not lost either");
        })
    })
    .await;
}

#[tokio::test]
async fn answers_are_compared_and_who_would_gain_or_lose_is_known() {
    on_each(|h| {
        Box::pin(async move {
            let (engine, _recorder) = watcher(h, Settings::default()).await;
            let price = price_id(h, "pro_month_jpy");
            for id in ["same", "gains"] {
                let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]={id}"));
                foreign_subscription(h, &buyer, &price, "");
            }
            engine.sweep(true, false).await.unwrap().unwrap();
            engine.drain().await.unwrap();
            let first = answers(&[
                ("same", "article:full", true),
                ("same", "course:library", false),
                ("gains", "article:full", false),
                ("loses", "article:full", true),
            ]);
            let compared = engine.report_answers(first.clone()).await.unwrap();
            assert_eq!(compared, Compared { agreed: 2, differed: 2 });
            let since = engine.now();
            h.pass_ms(60_000);
            engine.report_answers(first).await.unwrap();
            let report = engine.shadow_report().await.unwrap();
            assert!(report.shadow && !report.is_clean());
            assert_eq!((report.agreed, report.gaining, report.losing), (2, 1, 1));
            assert_eq!((report.sums.pairs, report.sums.reports, report.sums.differed), (4, 8, 4));
            let gains = &report.would_gain[0];
            assert_eq!((gains.customer.as_str(), gains.ours.plan.as_deref()), ("gains", Some("pro")));
            assert!(gains.since <= since, "since the first time that they differed, not the last");
            assert_eq!(report.would_lose[0].customer, "loses");
            // The app changes its mind, and the other one is mirrored.
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=loses");
            foreign_subscription(h, &buyer, &price, "");
            engine.sweep(true, false).await.unwrap().unwrap();
            engine.drain().await.unwrap();
            engine.report_answers(answers(&[("gains", "article:full", true)])).await.unwrap();
            let report = engine.shadow_report().await.unwrap();
            assert!(report.is_clean(), "{report:#?}");
            // What differs again differs from then on.
            h.pass_ms(60_000);
            engine.report_answers(answers(&[("gains", "article:full", false)])).await.unwrap();
            let report = engine.shadow_report().await.unwrap();
            assert!(report.would_gain[0].since > since);
            assert_eq!(engine.forget_answers().await.unwrap(), 4);
            assert!(engine.shadow_report().await.unwrap().is_clean());
            let many = vec![AppAnswer { customer: customer("a"), feature: "f".into(), allowed: true }; 1_001];
            assert_eq!(engine.report_answers(many).await.unwrap_err().code, ProblemCode::InvalidRequest);
        })
    })
    .await;
}

#[tokio::test]
async fn duplicates_orphans_and_refunds_due_are_named() {
    on_each(|h| {
        Box::pin(async move {
            let (engine, recorder) = watcher(h, Settings::default()).await;
            let price = price_id(h, "pro_month_jpy");
            let twice = foreign_buyer(h, "metadata[quittance_customer]=twice");
            let older = foreign_subscription(h, &twice, &price, "");
            h.sandbox.advance_time(3_600);
            let younger = foreign_subscription(h, &twice, &price, "");
            let nobody = foreign_buyer(h, "");
            let orphan = foreign_subscription(h, &nobody, &price, "");
            for _ in 0..2 {
                engine.sweep(true, false).await.unwrap().unwrap();
                h.pass_burst();
                engine.drain().await.unwrap();
            }
            let report = engine.shadow_report().await.unwrap();
            let [duplicate] = report.duplicates.as_slice() else { panic!("{report:#?}") };
            assert_eq!(
                (duplicate.object.as_str(), duplicate.customer.as_deref()),
                (younger.as_str(), Some("twice"))
            );
            assert!(
                report.orphans.iter().any(|o| o.kind == DriftKind::UnownedSubscription && o.object == orphan)
            );
            let [due] = report.refunds_due.as_slice() else { panic!("{:#?}", report.refunds_due) };
            assert_eq!((due.subscription.as_str(), due.amount.minor), (younger.as_str(), 1_980));
            // Part of it is given back by hand.
            h.provider("POST", "/v1/refunds", &format!("payment_intent={}&amount=980", due.payment));
            h.sandbox.advance_time(60);
            let key = quittance_domain::AggregateKey::customer(engine.scope().clone(), &twice).to_string();
            let now = engine.now();
            engine
                .db()
                .write("test", move |tx| {
                    let priority = quittance_store::aggregates::Priority::Waiting;
                    let hint = quittance_store::aggregates::Hint {
                        key: &key,
                        priority,
                        due: now,
                        unpark: false,
                        thorough: true,
                    };
                    quittance_store::aggregates::mark(tx, &hint, now)
                })
                .await
                .unwrap();
            engine.drain().await.unwrap();
            let report = engine.shadow_report().await.unwrap();
            assert_eq!(report.refunds_due[0].amount.minor, 1_000, "{:#?}", report.refunds_due);
            // Mended by hand, it is over.
            h.provider("DELETE", &format!("/v1/subscriptions/{younger}"), "");
            for _ in 0..2 {
                h.pass_burst();
                engine.sweep(true, false).await.unwrap().unwrap();
                engine.drain().await.unwrap();
            }
            let report = engine.shadow_report().await.unwrap();
            assert!(report.duplicates.is_empty() && report.refunds_due.is_empty(), "{report:#?}");
            assert!(engine.check("twice", "article:full").await.unwrap().allowed, "{older} goes on");
            only_reads(&recorder);
        })
    })
    .await;
}

#[tokio::test]
async fn the_database_remembers_how_it_was_served() {
    on_each(|h| {
        Box::pin(async move {
            assert_eq!(shadow::served(h.engine.db()).await.unwrap(), Served::Never);
            let (engine, _) = watcher(h, Settings::default()).await;
            engine.remember_served().await.unwrap();
            assert_eq!(shadow::served(h.engine.db()).await.unwrap(), Served::Shadow);
            h.engine.remember_served().await.unwrap();
            assert_eq!(shadow::served(h.engine.db()).await.unwrap(), Served::InCharge);
        })
    })
    .await;
}

/// Fraud and disputes too: what a rule would do is withheld, what a person asks for is refused.
#[tokio::test]
async fn nobody_is_shut_out_or_refunded_beside_another_integration() {
    for test in quittance_store::testing::databases().await {
        let mut h = House::with(test, Settings::default(), catalog()).await;
        let fraud = FraudPolicy {
            on_early_fraud_warning: vec![FraudAction::Refund, FraudAction::Suspend],
            ..FraudPolicy::default()
        };
        let (engine, recorder) = watcher(&h, Settings { fraud, ..Settings::default() }).await;
        let in_charge = std::mem::replace(&mut h.engine, engine);
        let price = price_id(&h, "pro_month_jpy");
        for (id, card) in
            [("warned", "pm_card_createIssuerFraudRecord"), ("disputed", "pm_card_createDispute")]
        {
            let buyer = foreign_buyer(&h, &format!("metadata[quittance_customer]={id}"));
            give_card(&h, &buyer, card);
            foreign_subscription(&h, &buyer, &price, "");
        }
        for _ in 0..3 {
            h.settle().await;
            h.sandbox.advance_time(60);
        }
        let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
        assert!(alerts.iter().any(|alert| alert.kind == "early_fraud_warning"), "{alerts:?}");
        assert_eq!(waiting_commands(&h.engine).await, 0, "nothing is kept to be carried out later");
        assert!(h.engine.suspensions("", 10).await.unwrap().is_empty());
        let report = h.engine.shadow_report().await.unwrap();
        assert!(report.withheld.iter().any(|row| row.kind == "suspension.step"), "{:?}", report.withheld);
        let (id, by) = (customer("warned"), operator());
        let disputes = h.engine.disputes(true, i64::MAX, 10).await.unwrap();
        let dispute = disputes.first().unwrap().facts.id.clone();
        for refused in [
            h.engine.suspend(&id, Level::All, "fraud", &by).await.unwrap_err(),
            h.engine.unsuspend(&id, &by).await.unwrap_err(),
            h.engine.contest_dispute(&dispute, None, &by).await.unwrap_err(),
            h.engine.accept_dispute_of(&dispute, &by).await.unwrap_err(),
        ] {
            assert_eq!(refused.code, ProblemCode::ShadowMode);
        }
        assert_eq!(waiting_commands(&h.engine).await, 0);
        only_reads(&recorder);
        let before = h.calls();
        in_charge.perform_due(100).await.unwrap();
        assert_eq!(h.calls(), before, "and the one in charge afterwards sends nothing of it");
    }
}

/// The switch itself: what was only watched is in charge from one moment to the next, on the same database. Nobody loses access,
/// nothing of before is done or told once more, and what happens from then on is.
#[tokio::test]
async fn what_was_only_watched_takes_over_without_a_gap_or_a_second_effect() {
    on_each(|h| {
        Box::pin(async move {
            let (watching, recorder) = watcher(h, Settings::default()).await;
            watching.remember_served().await.unwrap();
            let price = price_id(h, "pro_month_jpy");
            let sell = |name: &str| {
                let buyer = foreign_buyer(
                    h,
                    &format!("metadata[quittance_customer]={name}&email={name}@example.com"),
                );
                foreign_subscription(h, &buyer, &price, "")
            };
            let mut sold = vec![sell("ada"), sell("bob")];
            watching.sweep(true, false).await.unwrap().unwrap();
            watching.drain().await.unwrap();
            h.sandbox.advance_time(600);
            // Sold while nobody of ours runs, and after the switch.
            drop(watching);
            sold.push(sell("cyd"));
            only_reads(&recorder);

            let posts = |h: &House| {
                let calls = h.sandbox.provider_calls();
                calls.iter().filter(|(call, _)| !call.starts_with("GET ")).map(|(_, n)| *n).sum::<u64>()
            };
            h.sandbox.reset_provider_calls();
            let engine = &h.engine;
            engine.remember_served().await.unwrap();
            assert_eq!(shadow::served(engine.db()).await.unwrap(), Served::InCharge);
            for id in ["ada", "bob"] {
                assert!(
                    engine.check(id, "article:full").await.unwrap().allowed,
                    "{id}, from the first moment"
                );
            }
            engine.sweep(true, false).await.unwrap().unwrap();
            engine.drain().await.unwrap();
            assert!(engine.check("cyd", "article:full").await.unwrap().allowed, "sold in between");
            assert_eq!(posts(h), 0, "nothing that was watched is done now");
            assert_eq!(waiting_commands(engine).await, 0);
            for channel in [Channel::Mail, Channel::Webhook] {
                let far = Timestamp::from_ms(i64::MAX);
                let due = move |tx: &mut dyn quittance_store::Tx| {
                    quittance_store::deliveries::due(tx, channel, far, 100, 100)
                };
                let due = format!("{:?}", engine.db().read("test", due).await.unwrap());
                assert!(!due.contains("ada"), "nobody is told of the past: {due}");
            }
            engine.post_again(0).await.unwrap();
            h.settle().await;
            let tied = engine.tie_out(true).await.unwrap();
            assert!(tied.agrees() && tied.compared == 3, "{tied:?}");

            // And from now on it acts.
            let ending = quittance_engine::subscriptions::Ending {
                at: quittance_engine::commands::request::CancelAt::Now,
                feedback: None,
                comment: None,
            };
            engine.cancel_subscription(&sold[0], ending, None).await.unwrap();
            h.settle().await;
            assert!(posts(h) > 0 && !engine.check("ada", "article:full").await.unwrap().allowed);
            h.subscriber("eve").await;
            assert_eq!(engine.sweep(true, false).await.unwrap().unwrap().findings, 0);
        })
    })
    .await;
}
