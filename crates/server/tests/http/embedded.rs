//! Checkouts on a page of the app: over the API, and the demo's page.

use serde_json::json;

use crate::client::{App, READ};
use crate::house::{House, on_each};

#[tokio::test]
async fn the_api_gives_a_secret_only_where_a_page_needs_it() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let open = |customer: &str, ui: serde_json::Value, more: serde_json::Value| {
                let mut body =
                    json!({ "customer": customer, "plan": "course", "interval": "once", "currency": "jpy" });
                body["ui"] = ui;
                for (name, value) in more.as_object().unwrap() {
                    body[name] = value.clone();
                }
                app.post("/v1/checkouts").json(&body).send()
            };
            let hosted = open("ada", json!(null), json!({})).await.ok();
            assert_eq!((&hosted["ui"], &hosted["client_secret"]), (&json!("hosted"), &json!(null)));
            assert!(hosted["url"].is_string() && hosted["publishable_key"].is_null(), "{hosted}");
            for ui in ["embedded", "elements", "payment_intent"] {
                let made =
                    open(&format!("buyer_{ui}"), json!(ui), json!({ "reference": "order 1" })).await.ok();
                let session = made["session"].as_str().unwrap();
                assert!(made["url"].is_null() && made["status"] == "open", "{made}");
                assert!(made["client_secret"].as_str().unwrap().starts_with(session), "{made}");
                assert_eq!((&made["ui"], &made["reference"]), (&json!(ui), &json!("order 1")));
                assert_eq!(made["publishable_key"], "pk_test_house");
                let seen = app.get(&format!("/v1/checkouts/{session}")).key(Some(READ)).send().await.ok();
                assert_eq!(seen, made);
            }
            let odd = open("eve", json!("custom"), json!({})).await;
            assert!(odd.problem(422, "invalid_request")["detail"].as_str().unwrap().contains("`ui`"));
            let long = open("eve", json!("embedded"), json!({ "reference": "x".repeat(201) })).await;
            long.problem(422, "invalid_request");
        })
    })
    .await;
}

#[tokio::test]
async fn the_demo_shows_the_form_under_a_policy_that_lets_only_the_provider_in() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let live = App::live(h).await;
            assert_eq!(live.get("/demo/embedded").key(None).send().await.status, 404);
            let post = live.post("/demo/embedded").key(None).form("ui=embedded&customer=ada").send().await;
            assert_eq!(post.status, 404, "the demo is for development only");
            let choice = app.get("/demo/embedded?customer=ada").key(None).send().await.text();
            assert!(
                choice.contains("value=\"embedded\"") && choice.contains("value=\"payment_intent\""),
                "{choice}"
            );
            for ui in ["embedded", "elements", "payment_intent"] {
                let form = format!("ui={ui}&customer={ui}&lang=en");
                let opened = app.post("/demo/embedded").key(None).form(&form).send().await;
                let path = opened.header("location").to_owned();
                assert!(path.starts_with("/demo/embedded/chk_"), "{path}");
                let page = app.get(&path).key(None).send().await;
                let policy = page.header("content-security-policy").to_owned();
                for part in [
                    "script-src 'self' http://127.0.0.1:12111;",
                    "frame-src http://127.0.0.1:12111;",
                    "default-src 'none'",
                    "frame-ancestors 'none'",
                ] {
                    assert!(policy.contains(part), "{part} in {policy}");
                }
                assert!(!policy.contains("unsafe"), "{policy}");
                let rows =
                    h.engine.db().read("test", |tx| quittance_store::checkouts::recent(tx, 9)).await.unwrap();
                let row = rows.into_iter().find(|row| path.contains(row.id.as_str())).unwrap();
                let secret = row.client_secret.unwrap();
                assert!(!path.contains(&secret) && page.text().contains(&secret), "{path}");
                let session = row.session.unwrap();
                if ui == "payment_intent" {
                    let form = "payment_method=pm_card_visa";
                    h.provider("POST", &format!("/v1/payment_intents/{session}/confirm"), form);
                } else {
                    h.pay(&session, "pm_card_visa");
                }
                h.settle().await;
                let back = app.get(&path).key(None).send().await;
                assert!(back.header("location").starts_with("/checkout/return?session_id="), "it is over");
                let name = if ui == "payment_intent" { "payment_intent" } else { "session_id" };
                let done = app.get(&format!("/checkout/return?{name}={session}")).key(None).send().await;
                assert!(done.text().contains("Thank you"), "{}", done.text());
            }
            let twice =
                app.post("/demo/embedded").key(None).form("ui=embedded&customer=embedded").send().await;
            assert!(twice.header("location").starts_with("/billing"), "{}", twice.header("location"));
        })
    })
    .await;
}
