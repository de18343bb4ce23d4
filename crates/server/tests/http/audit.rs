//! What operators do is on record before it is done, with its end; what others do, and what only looks, is not.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{ADMIN, App, READ, WRITE};
use crate::house::{House, on_each};

async fn acts(app: &App) -> Vec<Value> {
    let listed = app.get("/v1/audit?limit=100").key(Some(ADMIN)).send().await.ok();
    listed["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_an_operator_does_is_on_record_with_its_end() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let ada = json!({ "email": "ada@example.com" });
            app.call(Method::PUT, "/v1/customers/ada").key(Some(WRITE)).json(&ada).send().await.ok();
            app.get("/v1/alerts").key(Some(ADMIN)).send().await.ok();
            assert!(
                acts(&app).await.is_empty(),
                "the app's own calls and looking are not acts of an operator"
            );

            let grant = json!({ "plan": "pro", "reason": "Press" });
            let give = || app.post("/v1/customers/ada/grants").key(Some(ADMIN)).once("k-1").json(&grant);
            give().send().await.ok();
            give().send().await.ok();
            let name = json!({ "name": "nothing/of/that/name" });
            let missing = app.post("/v1/parked/retry").key(Some(ADMIN)).json(&name).send().await;
            missing.problem(404, "not_found");

            let acts = acts(&app).await;
            assert_eq!(acts.len(), 2, "a replay is no second act: {acts:?}");
            let (refused, done) = (&acts[0], &acts[1]);
            assert_eq!(done["action"], "POST /v1/customers/{id}/grants");
            assert_eq!(done["target"], "/v1/customers/ada/grants");
            assert_eq!((&done["outcome"], &done["problem"]), (&json!("done"), &Value::Null));
            assert_eq!(done["input"], json!({ "plan": "pro", "reason": "Press" }));
            assert!(done["actor"].as_str().unwrap().starts_with("key_") && done["ended_at"].is_string());
            assert_eq!((&refused["outcome"], &refused["problem"]), (&json!("refused"), &json!("not_found")));
            assert_eq!(refused["input"]["name"], "[hidden]");
            app.get("/v1/audit").key(Some(READ)).send().await.problem(403, "forbidden");
        })
    })
    .await;
}
