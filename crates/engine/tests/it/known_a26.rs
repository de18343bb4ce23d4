//! A26 to A28: another mode, account or secret; a portal without a customer; personal data in database and log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use quittance_engine::commands::request::PortalStart;
use quittance_engine::{ProblemCode, Settings};
use quittance_sandbox::Fault;
use quittance_store::Sql;
use quittance_store::customers::{Change, CustomerPatch};
use quittance_store::inbox::Accepted;
use serde_json::json;

use crate::house::{DAY, SECRET, catalog, customer, on_each, pro};
use crate::known_kit::*;

#[tokio::test]
async fn a26_another_mode_account_or_secret_changes_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(h, &id);
            h.sandbox.reset_provider_calls();
            let body = event("evt_live", "customer.updated", &json!({ "object": "customer", "id": buyer }));
            let live = body.replace(r#""livemode":false"#, r#""livemode":true"#);
            assert_eq!(hand_raw(h, &live).await.unwrap_err().code, ProblemCode::WrongMode);
            assert_eq!(
                h.engine.event("evt_live").await.unwrap_err().code,
                ProblemCode::NotFound,
                "not stored"
            );
            // Another account's event about an object of the same name is stored, and is not about ours.
            let foreign = body.replace(r#""livemode""#, r#""account":"acct_other","livemode""#);
            assert_eq!(hand_raw(h, &foreign.replace("evt_live", "evt_other")).await, Ok(Accepted::New));
            h.pass_ms(1_000);
            h.engine.drain().await.unwrap();
            assert_eq!(h.calls(), 0, "it is not fetched with our key");
            // While a secret is rolled, either is enough; afterwards the old one is not.
            let secrets = |all: &[&str]| Settings {
                webhook_secrets: all.iter().map(|s| (*s).to_owned().into()).collect(),
                ..Settings::default()
            };
            for (known, new, old) in
                [(vec!["whsec_new", SECRET], true, true), (vec!["whsec_new"], true, false)]
            {
                let (engine, _) = bent_engine(h, secrets(&known), catalog()).await;
                for (secret, fine) in [("whsec_new", new), (SECRET, old)] {
                    let body = event(&format!("evt_{}_{secret}", known.len()), "x", &json!({}));
                    let header =
                        quittance_sandbox::signature_header(secret, engine.now().seconds(), body.as_bytes());
                    let answer = engine.accept_stripe(Some(header.as_bytes()), body.as_bytes()).await;
                    assert_eq!(
                        answer.map_err(|p| p.code).err(),
                        (!fine).then_some(ProblemCode::InvalidSignature)
                    );
                }
            }
            // While it is rolled the provider signs with both; either is enough.
            let body = event("evt_both", "x", &json!({}));
            let signed = |secret: &str| {
                quittance_sandbox::signature_header(secret, h.engine.now().seconds(), body.as_bytes())
            };
            let both = format!("{},{}", signed("whsec_other"), signed(SECRET).split_once(',').unwrap().1);
            h.engine.accept_stripe(Some(both.as_bytes()), body.as_bytes()).await.unwrap();
            let forged =
                h.engine.accept_stripe(Some(signed("whsec_other").as_bytes()), body.as_bytes()).await;
            assert_eq!(forged.unwrap_err().code, ProblemCode::InvalidSignature);
            // The key of another account: every object would look deleted. Nothing is written.
            let (engine, bent) = bent_engine(h, Settings::default(), catalog()).await;
            bent.bend(|target, body| {
                if target.starts_with("/v1/account") {
                    body["id"] = json!("acct_other");
                }
                if target.starts_with("/v1/subscriptions?") {
                    body["data"] = json!([]);
                }
            });
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[n]=1");
            h.deliver().await;
            for _ in 0..4 {
                h.pass_ms(60_000);
                engine.drain().await.unwrap();
            }
            assert!(engine.check("ada", "article:full").await.unwrap().allowed);
            let parked = h.engine.parked(10).await.unwrap().aggregates;
            assert!(parked[0].last_error.as_deref().unwrap().contains("acct_other"), "{parked:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a27_a_portal_without_a_customer_is_a_plain_refusal() {
    on_each(|h| {
        Box::pin(async move {
            for known in [false, true] {
                if known {
                    h.engine.put_customer(&customer("ada"), CustomerPatch::default()).await.unwrap();
                }
                let refused =
                    h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::NoProviderCustomer);
                assert!(refused.mend.contains("/v1/checkouts"), "{refused:?}");
            }
            assert!(h.engine.customer("ada").await.unwrap().subscriptions.is_empty());
            h.open(&pro("ada")).await;
            assert!(h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.is_ok());
            for odd in ["javascript:alert(1)", "", "ftp://x"] {
                let refused = h.engine.open_portal(&customer("ada"), Some(odd), PortalStart::Home).await;
                assert_eq!(refused.unwrap_err().code, ProblemCode::InvalidRequest);
            }
        })
    })
    .await;
}

/// Everything that is stored as text, but what the app told us of its customers.
static EVERYTHING: Sql = Sql::registered(
    "test.everything",
    "SELECT payload AS text FROM events UNION ALL SELECT last_error FROM aggregates
     UNION ALL SELECT request FROM commands UNION ALL SELECT result FROM commands UNION ALL SELECT last_error FROM commands
     UNION ALL SELECT data FROM history UNION ALL SELECT cause FROM history UNION ALL SELECT data FROM notices
     UNION ALL SELECT detail FROM alerts UNION ALL SELECT mend FROM alerts UNION ALL SELECT data FROM subscriptions
     UNION ALL SELECT data FROM purchases UNION ALL SELECT data FROM payments UNION ALL SELECT wish FROM checkouts
     UNION ALL SELECT report FROM sweeps UNION ALL SELECT body FROM api_requests
     UNION ALL SELECT payload FROM deliveries UNION ALL SELECT last_error FROM deliveries
     UNION ALL SELECT detail FROM delivery_attempts UNION ALL SELECT body FROM app_events
     UNION ALL SELECT data FROM quotes UNION ALL SELECT value FROM trial_claims
     UNION ALL SELECT ours FROM drifts UNION ALL SELECT theirs FROM drifts UNION ALL SELECT cause_detail FROM drifts
     UNION ALL SELECT input FROM audit UNION ALL SELECT request FROM shadow_withheld",
);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a28_neither_database_nor_log_keeps_personal_data() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With one dispatcher alone, a line that another test's thread meets first is off for this thread too.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    on_each(|h| {
        Box::pin(async move {
            let patch = CustomerPatch {
                email: Change::Set("taro.yamada@example.com".into()),
                name: Change::Set("Taro Yamada".into()),
                ..CustomerPatch::default()
            };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let id = h.subscriber("ada").await;
            let form = "email=taro.yamada@example.com&name=Taro Yamada&phone=%2B81-90-1234-5678\
                        &address[line1]=1-2-3 Jingumae&address[country]=JP";
            h.provider("POST", &format!("/v1/customers/{}", buyer_of(h, &id)), form);
            h.settle().await;
            // The provider quotes what it was sent.
            let quoting = |path: &str, method: &str| Fault {
                path: path.into(),
                method: Some(method.into()),
                status: Some(400),
                message: Some(
                    "Invalid email address: taro.yamada@example.com for 'Taro Yamada' (card 4242424242424242, +81-90-1234-5678)"
                        .into(),
                ),
                ..Fault::default()
            };
            h.sandbox.set_faults(vec![quoting("/v1/subscriptions*", "GET"), quoting("/v1/checkout/sessions", "POST")]);
            let refused = h.engine.open_checkout(&pro("eve")).await.unwrap_err();
            h.sandbox.advance_time(31 * DAY);
            for _ in 0..4 {
                h.settle().await;
                h.pass_ms(60_000);
            }
            let parked = h.engine.parked(10).await.unwrap();
            assert!(!parked.aggregates.is_empty(), "the failure was stored");
            let read = h.test.db.read("test.everything", |tx| {
                tx.query(&EVERYTHING, &[])?.iter().map(|row| row.opt_text("text")).collect::<Result<Vec<_>, _>>()
            });
            let mut texts: Vec<String> = read.await.unwrap().into_iter().flatten().collect();
            assert!(texts.len() > 50 && texts.iter().any(|t| t.contains(&id)));
            texts.push(format!("{refused:?}"));
            for text in &texts {
                no_person_in(text);
            }
        })
    })
    .await;
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(written.contains("sync failed") && written.contains("command failed"), "the log was captured");
    written.lines().for_each(no_person_in);
}

fn no_person_in(text: &str) {
    let lower = text.to_lowercase();
    for secret in
        ["taro", "yamada", "example.com", "4242424242424242", "1234-5678", "jingumae", "whsec_", "sk_test"]
    {
        assert!(!lower.contains(secret), "{secret} in: {text}");
    }
}
