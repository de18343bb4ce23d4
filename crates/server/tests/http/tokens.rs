//! Entitlement tokens over HTTP, their keys, and reading one's payment.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use quittance_engine::{Engine, Settings};
use quittance_server::http;
use serde_json::{Value, json};

use crate::client::{App, READ, ROOT, WRITE, config};
use crate::house::{House, on_each, pro};

/// An app whose engine has the root key too.
async fn signing(h: &House) -> (Engine, App) {
    App::live(h).await;
    let settings = Settings { root_key: Some(ROOT.to_owned().into()), ..h.engine.settings().clone() };
    let engine = h.engine_with(settings).await;
    let router = http::router(config(&engine, false));
    (engine, App { router })
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_is_verified_with_the_published_keys_alone() {
    on_each(|h: &House| {
        Box::pin(async move {
            let (_, app) = signing(h).await;
            h.subscriber("ada").await;
            let call = app.post("/v1/customers/ada/entitlement-token").key(Some(READ));
            let answer = call.json(&json!({ "audience": "edge" })).send().await;
            assert_eq!(answer.header("cache-control"), "no-store");
            let token = answer.ok()["token"].as_str().unwrap().to_owned();
            let keys = app.get("/.well-known/jwks.json").key(None).send().await;
            assert_eq!(keys.header("cache-control"), "public, max-age=300");
            let keys = keys.ok();
            let parts: Vec<&str> = token.split('.').collect();
            let head = part(parts[0]);
            let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == head["kid"]).unwrap();
            assert_eq!(
                (&key["kty"], &key["crv"], &key["use"]),
                (&json!("OKP"), &json!("Ed25519"), &json!("sig"))
            );
            let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
            let public = VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
            let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
            public.verify_strict(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
            let claims = part(parts[1]);
            assert_eq!((&claims["sub"], &claims["aud"]), (&json!("ada"), &json!("edge")));
            assert!(claims["entitlements"].get("article:full").is_some(), "{claims}");
            // Nothing private is published, and the wrong scope gets nothing.
            assert!(key.get("d").is_none());
            let refused = app.post("/v1/customers/ada/entitlement-token").key(Some(WRITE)).json(&json!({}));
            refused.send().await.problem(403, "forbidden");
            for audience in [String::new(), "x".repeat(201)] {
                let call =
                    app.post("/v1/customers/ada/entitlement-token").json(&json!({ "audience": audience }));
                call.send().await.problem(422, "invalid_request");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn without_a_root_key_the_answer_names_it() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let answer = app.post("/v1/customers/ada/entitlement-token").json(&json!({})).send().await;
            let problem = answer.problem(501, "not_configured");
            assert!(problem["mend"].as_str().unwrap().contains("QUITTANCE_SECRET"), "{problem}");
            assert_eq!(app.get("/.well-known/jwks.json").key(None).send().await.ok(), json!({ "keys": [] }));
        })
    })
    .await;
}

#[tokio::test]
async fn who_has_just_paid_reads_a_yes_by_the_checkouts_id() {
    on_each(|h: &House| {
        Box::pin(async move {
            let (engine, app) = signing(h).await;
            h.drop_webhooks();
            let row = h.open(&pro("ada")).await;
            let session = row.session.clone().unwrap();
            h.pay(&session, "pm_card_visa");
            let path = "/v1/customers/ada/entitlements/article:full";
            let plain = app.get(path).send().await.ok();
            assert_eq!((&plain["allowed"], plain.get("pending")), (&json!(false), None));
            let late = app.get(&format!("{path}?after={session}&wait_ms=0")).send().await.ok();
            assert_eq!((&late["allowed"], &late["pending"]), (&json!(false), &json!(true)));
            let mark = late["after"].as_str().unwrap().to_owned();
            assert!(mark.starts_with("mark_"), "{late}");

            let worker = {
                let engine = engine.clone();
                tokio::spawn(async move { engine.work_until(std::future::pending()).await })
            };
            // The house's clock runs ahead of a worker on a busy machine: asked again, as a caller does.
            let asked = async {
                loop {
                    let now = app.get(&format!("{path}?after={mark}&wait_ms=30000")).send().await.ok();
                    if now["pending"] == false {
                        break now;
                    }
                }
            };
            let now = tokio::time::timeout(Duration::from_secs(60), asked).await.expect("somebody looks");
            assert_eq!(
                (&now["allowed"], &now["pending"], now.get("after")),
                (&json!(true), &json!(false), None)
            );
            let list = app.get(&format!("/v1/customers/ada/entitlements?after={session}")).send().await.ok();
            assert_eq!((&list["access"], &list["pending"]), (&json!("granted"), &json!(false)));
            let input = json!({ "after": session, "wait_ms": 30000 });
            let token = app.post("/v1/customers/ada/entitlement-token").json(&input).send().await.ok();
            assert_eq!(token["pending"], json!(false));
            worker.abort();

            for (query, status, code) in [
                ("after=soon", 422, "invalid_request"),
                ("after=cs_unknown", 404, "not_found"),
                ("wait_ms=x", 422, "invalid_request"),
                ("after=cs_1&wait_ms=99999", 422, "invalid_request"),
            ] {
                app.get(&format!("{path}?{query}")).send().await.problem(status, code);
            }
            let other = app.get(&format!("/v1/customers/eve/entitlements/article:full?after={session}"));
            other.send().await.problem(404, "not_found");
        })
    })
    .await;
}
