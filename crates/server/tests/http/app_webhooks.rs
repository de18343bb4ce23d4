//! App webhooks over HTTP: endpoints and their secrets, the log, deliveries and replays.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app_kit::{Does, app_of, on_each_keyed as on_each};
use crate::client::{App, READ, WRITE};
use crate::house::House;

const URL: &str = "https://app.example.com/hooks";

async fn make(app: &App, wish: &Value) -> Value {
    app.post("/v1/webhook-endpoints").json(wish).send().await.ok()
}

#[tokio::test]
async fn an_endpoint_is_made_told_looked_at_and_removed() {
    on_each(|h: &House| {
        Box::pin(async move {
            let (app, listener) = (App::live(h).await, app_of(h));
            let made = make(&app, &json!({ "url": URL, "description": "the app" })).await;
            let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap().to_owned());
            assert!(secret.starts_with("whsec_") && id.starts_with("whe_"), "{made}");
            h.subscriber("ada").await;
            h.settle().await;
            let got = listener.got(URL);
            assert!(!got.is_empty() && got.iter().all(|one| one.verifies(&secret.clone().into())));
            // What the event says is what the API shows.
            let told = got.iter().rev().find(|one| one.kind() == "entitlements.updated").unwrap().value();
            let shown = app.get("/v1/customers/ada/entitlements").send().await.ok();
            assert_eq!(told["data"]["entitlements"], shown["data"]);
            assert_eq!(told["data"]["access"], shown["access"]);
            // The log is what was sent, and names it alike.
            let log = app.get("/v1/app-events?customer=ada&limit=100").send().await.ok();
            let ids: Vec<&str> =
                log["data"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
            let sent: Vec<String> = got.iter().rev().map(|one| one.id.clone()).collect();
            assert_eq!(ids, sent);
            let one = app.get(&format!("/v1/app-events/{}", sent[0])).send().await.ok();
            assert_eq!(one, got.last().unwrap().value());
            app.get("/v1/app-events/aev_none").send().await.problem(404, "not_found");
            // Deliveries with their tries.
            let path = format!("/v1/webhook-endpoints/{id}/deliveries");
            let list = app.get(&format!("{path}?state=delivered&limit=1")).send().await.ok();
            assert!(list["next_cursor"].is_string() && list["data"][0]["state"] == "delivered", "{list}");
            let number = list["data"][0]["id"].as_i64().unwrap();
            let one = app.get(&format!("{path}/{number}")).send().await.ok();
            assert_eq!(one["tries"][0]["answer"], "200: answer 200");
            app.get(&format!("{path}?state=lost")).send().await.problem(422, "invalid_request");
            app.get(&format!("{path}/999999")).send().await.problem(404, "not_found");
            let other = make(&app, &json!({ "url": URL })).await;
            let strange =
                format!("/v1/webhook-endpoints/{}/deliveries/{number}", other["id"].as_str().unwrap());
            app.get(&strange).send().await.problem(404, "not_found");
            let path = format!("/v1/webhook-endpoints/{id}");
            let gone = app.call(Method::DELETE, &path).send().await;
            assert_eq!(gone.status, 204);
            app.get(&path).send().await.problem(404, "not_found");
        })
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let wish = json!({ "url": URL, "types": ["payment.failed"] });
            let first = app.post("/v1/webhook-endpoints").json(&wish).once("one").send().await.ok();
            let again = app.post("/v1/webhook-endpoints").json(&wish).once("one").send().await;
            assert_eq!(again.header("idempotent-replayed"), "true");
            let again = again.ok();
            assert_eq!((&again["id"], &again["secret"]), (&first["id"], &Value::Null));
            let path = format!("/v1/webhook-endpoints/{}", first["id"].as_str().unwrap());
            let rotate = format!("{path}/rotate-secret");
            let body = json!({ "old_secret_hours": 2 });
            let rotated = app.post(&rotate).json(&body).once("two").send().await.ok();
            assert_eq!(app.post(&rotate).json(&body).once("two").send().await.ok()["secret"], Value::Null);
            assert!(rotated["old_secret_until"].is_string() && rotated["secret"] != first["secret"]);
            assert_eq!(app.get(&path).send().await.ok()["secret"], Value::Null);
            app.post(&rotate)
                .json(&json!({ "old_secret_hours": 721 }))
                .send()
                .await
                .problem(422, "invalid_request");
        })
    })
    .await;
}

#[tokio::test]
async fn endpoints_are_for_operators_and_refuse_what_cannot_be() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for key in [READ, WRITE] {
                let call = app.post("/v1/webhook-endpoints").json(&json!({ "url": URL })).key(Some(key));
                call.send().await.problem(403, "forbidden");
                app.get("/v1/webhook-endpoints").key(Some(key)).send().await.problem(403, "forbidden");
                app.get("/v1/app-events").key(Some(key)).send().await.problem(403, "forbidden");
            }
            for wish in [
                json!({ "url": "https://user:word@app.example.com/" }),
                json!({ "url": "https://192.168.0.1/" }),
                json!({ "url": "http://app.example.com/" }),
                json!({ "url": URL, "types": ["everything"] }),
            ] {
                app.post("/v1/webhook-endpoints").json(&wish).send().await.problem(422, "invalid_request");
            }
            let id = make(&app, &json!({ "url": URL })).await["id"].as_str().unwrap().to_owned();
            let path = format!("/v1/webhook-endpoints/{id}");
            let put = |body: Value| app.call(Method::PUT, &path).json(&body);
            put(json!({ "url": "https://[::1]/" })).send().await.problem(422, "invalid_request");
            let off = put(json!({ "enabled": false, "types": ["refund.created"] })).send().await.ok();
            assert_eq!((&off["enabled"], &off["types"]), (&json!(false), &json!(["refund.created"])));
            app.post(&format!("{path}/ping")).send().await.problem(409, "wrong_state");
            let replay = app.post(&format!("{path}/replay"));
            replay.json(&json!({ "since": "2026-01-01T00:00:00Z" })).send().await.problem(409, "wrong_state");
            assert_eq!(put(json!({ "enabled": true, "types": [] })).send().await.ok()["types"], json!([]));
            for body in [json!({}), json!({ "event": "aev_1", "since": "2026-01-01T00:00:00Z" })] {
                app.post(&format!("{path}/replay")).json(&body).send().await.problem(422, "invalid_request");
            }
            assert_eq!(
                app.get("/v1/webhook-endpoints").send().await.ok()["data"].as_array().unwrap().len(),
                1
            );
        })
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_is_replayed_with_the_same_ids() {
    on_each(|h: &House| {
        Box::pin(async move {
            let (app, listener) = (App::live(h).await, app_of(h));
            let id = make(&app, &json!({ "url": URL })).await["id"].as_str().unwrap().to_owned();
            let path = format!("/v1/webhook-endpoints/{id}");
            listener.next(URL, &[Does::Answers(410)]);
            h.subscriber("ada").await;
            assert!(listener.got(URL).is_empty());
            let off = app.get(&path).send().await.ok();
            assert_eq!(off["disabled_why"], "it answered 410 Gone");
            app.call(Method::PUT, &path).json(&json!({ "enabled": true })).send().await.ok();
            let since = json!({ "since": "2026-01-01T00:00:00Z" });
            let first = app.post(&format!("{path}/replay")).json(&since).once("again").send().await.ok();
            let same = app.post(&format!("{path}/replay")).json(&since).once("again").send().await.ok();
            assert_eq!(first, same);
            h.settle().await;
            let log = app.get("/v1/app-events?limit=100").send().await.ok();
            let mut told: Vec<&str> =
                log["data"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
            told.reverse();
            let got: Vec<String> = listener.got(URL).into_iter().map(|one| one.id).collect();
            assert_eq!(got, told);
            assert_eq!(first["events"], got.len());
            let pinged = app.post(&format!("{path}/ping")).send().await.ok();
            h.settle().await;
            assert_eq!(listener.got(URL).last().unwrap().id, pinged["event"].as_str().unwrap());
        })
    })
    .await;
}

#[tokio::test]
async fn without_a_root_key_no_secret_can_be_stored() {
    crate::house::on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let answer = app.post("/v1/webhook-endpoints").json(&json!({ "url": URL })).send().await;
            let problem = answer.problem(501, "not_configured");
            assert!(problem["mend"].as_str().unwrap().contains("QUITTANCE_SECRET"), "{problem}");
        })
    })
    .await;
}
