//! Alerts leave: soon, several as one message, once, by mail and to the endpoints that ask for them.

use std::sync::{Arc, Mutex};

use quittance_domain::alert::AlertPolicy;
use quittance_domain::delivery::Channel;
use quittance_engine::alerts::AlertSettings;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::{Engine, Settings};
use quittance_store::deliveries::DeliveryRow;
use quittance_store::outbox::{self, NewAlert};
use serde_json::Value;

use crate::app_kit::{app_of, endpoint};
use crate::house::{House, catalog};

/// A postbox for the operators.
#[derive(Default)]
struct Postbox(Mutex<Vec<Value>>);

impl Courier for Postbox {
    fn deliver<'a>(&'a self, _engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async move {
            self.0.lock().unwrap().push(serde_json::from_str(&parcel.payload).unwrap());
            Outcome::Delivered { detail: "taken".into() }
        })
    }
}

impl Postbox {
    /// How many alerts each mail had, and to whom it went.
    fn mails(&self) -> Vec<(usize, String)> {
        let of = |mail: &Value| {
            (mail["alerts"].as_array().unwrap().len(), mail["to"].as_str().unwrap().to_owned())
        };
        self.0.lock().unwrap().iter().map(of).collect()
    }
}

const POLICY: AlertPolicy = AlertPolicy { gather_s: 10, pause_s: 300, quiet_s: 3_600 };

async fn on_each_watched<F>(story: F)
where
    F: for<'a> Fn(&'a House, &'a Postbox) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + 'a>>,
{
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let settings = Settings {
            root_key: Some("a root key of thirty-two characters".to_owned().into()),
            alerts: AlertSettings { policy: POLICY, mail: vec!["ops@example.com".to_owned()] },
            ..Settings::default()
        };
        let house = House::with(test, settings, catalog()).await;
        let postbox = Arc::new(Postbox::default());
        let _same = house.engine.clone().with_courier(Channel::Mail, postbox.clone());
        story(&house, &postbox).await;
    }
}

async fn raise(h: &House, object: &str) -> bool {
    let alert = NewAlert {
        kind: "unknown_price".into(),
        object: object.into(),
        customer: None,
        aggregate: None,
        detail: "its price is in no plan".into(),
        mend: "add it to the catalog".into(),
    };
    let now = h.engine.now();
    h.test.db.write("test.raise", move |tx| outbox::raise(tx, &alert, now)).await.unwrap()
}

async fn resolve(h: &House, object: &'static str) {
    let now = h.engine.now();
    h.test
        .db
        .write("test.resolve", move |tx| outbox::resolve(tx, "unknown_price", object, now))
        .await
        .unwrap();
}

async fn after(h: &House, seconds: i64) {
    h.pass_ms(seconds * 1_000);
    h.engine.drain().await.unwrap();
}

#[tokio::test]
async fn several_are_one_message_and_each_is_told_once() {
    on_each_watched(|h, postbox| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, "https://all.example.com/", &[]).await;
            endpoint(h, "https://ops.example.com/", &["alert.raised", "alert.resolved"]).await;
            assert!(raise(h, "sub_1").await);
            after(h, 5).await;
            assert!(raise(h, "sub_2").await && !raise(h, "sub_1").await);
            assert!(postbox.mails().is_empty(), "the first waits for others");
            after(h, 5).await;
            assert_eq!(postbox.mails(), [(2, "ops@example.com".to_owned())]);
            let told = app.got("https://ops.example.com/");
            assert_eq!(app.kinds("https://ops.example.com/"), ["alert.raised"; 2]);
            assert_eq!(told[0].value()["data"]["object"], "sub_1");
            assert_eq!(told[0].value()["data"]["mend"], "add it to the catalog");
            assert!(app.got("https://all.example.com/").is_empty(), "only those that ask by name");
            raise(h, "sub_1").await;
            after(h, 10_000).await;
            assert_eq!(postbox.mails().len(), 1, "it stands, and was told");
        })
    })
    .await;
}

#[tokio::test]
async fn the_next_message_waits_for_the_pause_and_nodes_do_not_tell_twice() {
    on_each_watched(|h, postbox| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, "https://ops.example.com/", &["alert.raised"]).await;
            raise(h, "sub_1").await;
            after(h, 10).await;
            raise(h, "sub_2").await;
            after(h, 299).await;
            assert_eq!(postbox.mails().len(), 1, "the pause is not over");
            h.pass_ms(1_000);
            let other = h.another_engine().await;
            let (one, two) = tokio::join!(h.engine.announce_alerts(), other.announce_alerts());
            assert_eq!(one.unwrap() + two.unwrap(), 1);
            h.engine.drain().await.unwrap();
            assert_eq!(app.kinds("https://ops.example.com/").len(), 2);
        })
    })
    .await;
}

#[tokio::test]
async fn an_end_is_told_where_the_beginning_was_and_what_comes_back_is_quiet_first() {
    on_each_watched(|h, postbox| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, "https://ops.example.com/", &["alert.raised", "alert.resolved"]).await;
            raise(h, "sub_1").await;
            resolve(h, "sub_1").await;
            after(h, 400).await;
            assert!(app.got("https://ops.example.com/").is_empty(), "it was over before it was told");
            raise(h, "sub_1").await;
            after(h, 10).await;
            resolve(h, "sub_1").await;
            after(h, 400).await;
            assert_eq!(app.kinds("https://ops.example.com/"), ["alert.raised", "alert.resolved"]);
            assert!(app.got("https://ops.example.com/")[1].value()["data"]["ended_at"].is_string());
            raise(h, "sub_1").await;
            after(h, 400).await;
            assert_eq!(app.kinds("https://ops.example.com/").len(), 2, "told an hour ago at most");
            after(h, 3_600).await;
            let kinds = app.kinds("https://ops.example.com/");
            assert_eq!(kinds, ["alert.raised", "alert.resolved", "alert.raised"]);
            assert_eq!(postbox.mails().len(), 2, "ends alone send no mail");
        })
    })
    .await;
}

/// A sweep finds wrong access and has it mended in the same second: nobody would ever hear of it.
#[tokio::test]
async fn wrong_access_is_told_although_it_was_over_before_anybody_could_be_told() {
    on_each_watched(|h, postbox| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, "https://ops.example.com/", &["alert.raised", "alert.resolved"]).await;
            let now = h.engine.now();
            h.test
                .db
                .write("test.wrong", move |tx| {
                    let alert = NewAlert {
                        kind: outbox::WRONG_ACCESS.to_owned(),
                        object: "sub_1".to_owned(),
                        customer: None,
                        aggregate: Some("stripe/test/self/customer/cus_1".to_owned()),
                        detail: "access is too little".to_owned(),
                        mend: "nothing to do".to_owned(),
                    };
                    outbox::raise(tx, &alert, now)?;
                    outbox::resolve_others(tx, "stripe/test/self/customer/cus_1", &[], now)
                })
                .await
                .unwrap();
            after(h, 10).await;
            assert_eq!(app.kinds("https://ops.example.com/"), ["alert.raised"]);
            assert!(app.got("https://ops.example.com/")[0].value()["data"]["ended_at"].is_string());
            assert_eq!(postbox.mails().len(), 1);
            after(h, 10_000).await;
            assert_eq!(app.kinds("https://ops.example.com/").len(), 1, "once");
        })
    })
    .await;
}

/// Raises an alert of this kind about each of so many objects, in one transaction.
async fn raise_many(h: &House, kind: &'static str, objects: usize) {
    let now = h.engine.now();
    h.test
        .db
        .write("test.raise_many", move |tx| {
            for n in 0..objects {
                let alert = NewAlert {
                    kind: kind.to_owned(),
                    object: format!("{kind}_{n}"),
                    customer: None,
                    aggregate: None,
                    detail: "found".to_owned(),
                    mend: "look".to_owned(),
                };
                outbox::raise(tx, &alert, now)?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

/// A message has room for a hundred.
#[tokio::test]
async fn an_alert_does_not_wait_for_many_of_another_kind() {
    on_each_watched(|h, postbox| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, "https://ops.example.com/", &["alert.raised"]).await;
            let told = |object: &str| {
                let told = app.got("https://ops.example.com/");
                told.iter().any(|event| event.value()["data"]["object"] == object)
            };
            raise_many(h, "drift_unowned_payment", 250).await;
            raise_many(h, "dispute_due", 1).await;
            after(h, 10).await;
            assert_eq!(postbox.mails().len(), 1);
            assert!(told("dispute_due_0") && told("drift_unowned_payment_0"), "{:?}", postbox.mails());
            for _ in 0..2 {
                after(h, 300).await;
            }
            let mails: Vec<usize> = postbox.mails().into_iter().map(|(alerts, _)| alerts).collect();
            assert_eq!(mails, [100, 100, 51], "and all are told");
        })
    })
    .await;
}

#[tokio::test]
async fn an_alert_does_not_wait_for_many_that_are_quiet() {
    on_each_watched(|h, _| {
        Box::pin(async move {
            let app = app_of(h);
            endpoint(h, "https://ops.example.com/", &["alert.raised"]).await;
            raise_many(h, "unknown_price", 150).await;
            after(h, 10).await;
            after(h, 300).await;
            let now = h.engine.now();
            h.test
                .db
                .write("test.resolve_many", move |tx| {
                    (0..150).try_for_each(|n| {
                        outbox::resolve(tx, "unknown_price", &format!("unknown_price_{n}"), now)
                    })
                })
                .await
                .unwrap();
            after(h, 300).await;
            after(h, 300).await;
            raise_many(h, "unknown_price", 150).await;
            raise_many(h, "dispute_due", 1).await;
            after(h, 300).await;
            let told = app.got("https://ops.example.com/");
            assert_eq!(told.len(), 151, "those that came back are quiet for an hour");
            assert_eq!(told[150].value()["data"]["object"], "dispute_due_0");
            after(h, 3_600).await;
            after(h, 300).await;
            assert_eq!(app.got("https://ops.example.com/").len(), 301);
        })
    })
    .await;
}
