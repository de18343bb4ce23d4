//! Who may do what: every documented call with every kind of key, and ids of others (A20, C8).

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{ADMIN, ALL, App, READ, WRITE, openapi};
use crate::house::{House, on_each};

/// All calls: method, path with sample ids, the scope that is documented.
fn calls() -> Vec<(Method, String, Option<String>)> {
    let mut all = Vec::new();
    for (path, item) in openapi()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path
                .replace("{id}", "nobody")
                .replace("{feature}", "article:full")
                .replace("{grant}", "grt_00000000000000000000000000");
            let scopes = operation["security"].as_array().expect("every call says how it is protected");
            let scope = scopes[0].get("api_key").map(|scopes| scopes[0].as_str().unwrap().to_owned());
            all.push((method.to_uppercase().parse().unwrap(), path, scope));
        }
    }
    all
}

async fn status(app: &App, method: &Method, path: &str, key: Option<&str>) -> u16 {
    let answer = app.call(method.clone(), path).key(key).send().await;
    if answer.status.is_client_error() || answer.status.is_server_error() {
        let code = answer.value()["code"].as_str().unwrap().to_owned();
        assert_ne!(code, "method_not_allowed", "{method} {path}");
        if code == "not_found" {
            assert_ne!(answer.value()["detail"], "There is nothing at this address.", "{method} {path}");
        }
    }
    answer.status.as_u16()
}

#[tokio::test]
async fn every_call_wants_its_scope_and_no_other() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let keys = [("read", READ), ("write", WRITE), ("admin", ADMIN)];
            let mut guarded = 0;
            for (method, path, scope) in calls() {
                let Some(scope) = scope else {
                    let bare = status(&app, &method, &path, None).await;
                    assert!(![401, 403].contains(&bare), "{method} {path} is open, but answered {bare}");
                    continue;
                };
                guarded += 1;
                for key in [None, Some(""), Some("qk_wrong"), Some(&*"x".repeat(5_000))] {
                    assert_eq!(status(&app, &method, &path, key).await, 401, "{method} {path}");
                }
                for (word, key) in keys {
                    let got = status(&app, &method, &path, Some(key)).await;
                    let refused = got == 403;
                    assert_eq!(
                        refused,
                        word != scope,
                        "{method} {path} wants {scope}; a {word} key got {got}"
                    );
                    assert_ne!(got, 401, "{method} {path}");
                }
                assert!(
                    ![401, 403].contains(&status(&app, &method, &path, Some(ALL)).await),
                    "{method} {path}"
                );
            }
            assert!(guarded >= 25, "{guarded} calls");
        })
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_is_out_at_once() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            app.get("/v1/plans").key(Some(READ)).send().await.ok();
            let keys = h.engine.list_keys().await.unwrap();
            let read = keys.iter().find(|key| key.name == READ).unwrap();
            h.engine.revoke_key(&read.id).await.unwrap();
            let refused = app.get("/v1/plans").key(Some(READ)).send().await;
            refused.problem(401, "unauthenticated");
            assert!(refused.header("www-authenticate").starts_with("Bearer"));
            app.get("/v1/customers/a/entitlements/article:full")
                .key(Some(READ))
                .send()
                .await
                .problem(401, "unauthenticated");
        })
    })
    .await;
}

#[tokio::test]
async fn other_schemes_and_headers_say_nothing_about_who_calls() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for (name, value) in [
                ("authorization", "qk_all"),
                ("authorization", "Basic OnFrX2FsbA=="),
                ("authorization", "Token qk_all"),
                ("x-api-key", ALL),
                ("cookie", "api_key=qk_all"),
            ] {
                let answer = app.get("/v1/plans").key(None).header(name, value).send().await;
                answer.problem(401, "unauthenticated");
            }
            let lower = app.get("/v1/plans").key(None).header("authorization", "bearer qk_all").send().await;
            lower.ok();
        })
    })
    .await;
}

#[tokio::test]
async fn a20_the_customer_is_the_one_in_the_path() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            h.subscriber("ada").await;
            app.call(Method::PUT, "/v1/customers/eve").json(&json!({})).send().await.ok();
            let check = |id: &str| app.get(&format!("/v1/customers/{id}/entitlements/article:full"));
            for name in ["x-customer", "x-customer-id", "x-user-id", "x-forwarded-user", "quittance-customer"]
            {
                let answer = check("eve").header(name, "ada").send().await.ok();
                assert_eq!(answer["allowed"], false, "{name}");
            }
            let query = app.get("/v1/customers/eve/entitlements/article:full?customer=ada").send().await.ok();
            assert_eq!(query["allowed"], false);
            assert_eq!(check("ada").send().await.ok()["allowed"], true);
        })
    })
    .await;
}

#[tokio::test]
async fn c8_what_belongs_to_another_customer_is_not_there() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let subscription = h.subscriber("ada").await;
            h.open(&crate::house::pro("eve")).await;
            let body = json!({ "start": "cancel", "subscription": subscription });
            let calls = h.calls();
            app.post("/v1/customers/eve/portal").json(&body).send().await.problem(404, "not_found");
            assert_eq!(h.calls(), calls, "the provider is not asked");
            let url = app.post("/v1/customers/ada/portal").json(&body).send().await.ok();
            assert!(url["url"].as_str().unwrap().starts_with("http"));

            let gift = json!({ "feature": "course:library", "reason": "Thanks" });
            let grant: Value = app.post("/v1/customers/ada/grants").json(&gift).send().await.ok();
            let id = grant["id"].as_str().unwrap();
            let foreign = format!("/v1/customers/eve/grants/{id}");
            app.call(Method::DELETE, &foreign).send().await.problem(404, "not_found");
            let check = app.get("/v1/customers/ada/entitlements/course:library").send().await.ok();
            assert_eq!(check["allowed"], true, "still in force");
        })
    })
    .await;
}
