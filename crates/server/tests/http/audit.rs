//! What operators do is on record before it is done, with its end; what others do, and what only looks, is not.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{ADMIN, ALL, App, READ, WRITE};
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
            assert_eq!(done["input"], json!({ "plan": "pro", "reason": "[5 characters]" }));
            assert!(done["actor"].as_str().unwrap().starts_with("key_") && done["ended_at"].is_string());
            assert_eq!((&refused["outcome"], &refused["problem"]), (&json!("refused"), &json!("not_found")));
            assert_eq!(refused["input"]["name"], "[hidden]");
            app.get("/v1/audit").key(Some(READ)).send().await.problem(403, "forbidden");
        })
    })
    .await;
}

/// An operator's key does what it does as an operator, also where an app's key would be enough; and what leaves the house by
/// reading is on record as well.
#[tokio::test]
async fn what_an_operators_key_changes_or_takes_out_is_on_record_whatever_scope_the_call_needs() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let ada = json!({ "email": "ada@example.com" });
            for (key, on_record) in [(WRITE, 0), (ALL, 1)] {
                app.call(Method::PUT, "/v1/customers/ada").key(Some(key)).json(&ada).send().await.ok();
                assert_eq!(acts(&app).await.len(), on_record);
            }
            let done = &acts(&app).await[0];
            assert_eq!(done["action"], "PUT /v1/customers/{id}");
            assert_eq!(done["input"], json!({ "email": "[hidden]" }));
            // Reading as every app does is no act; taking out is, and so is the try.
            app.get("/v1/customers/ada").key(Some(ALL)).send().await.ok();
            app.get("/v1/ledger/trial-balance").key(Some(ADMIN)).send().await.ok();
            assert_eq!(acts(&app).await.len(), 1);
            app.get("/v1/ledger/entries?limit=5").key(Some(ADMIN)).send().await.ok();
            app.get("/v1/notices?customer=ada").key(Some(ADMIN)).send().await.ok();
            let missing = app.get("/v1/disputes/dp_no/evidence").key(Some(ADMIN)).send().await;
            missing.problem(404, "not_found");
            let nowhere = app.get("/v1/ledger/entries?cursor=x").key(Some(ADMIN)).send().await;
            nowhere.problem(422, "invalid_request");
            app.get("/v1/notices").key(Some(READ)).send().await.problem(403, "forbidden");
            let acts = acts(&app).await;
            let told: Vec<(&Value, &Value, &Value)> =
                acts[..4].iter().map(|act| (&act["action"], &act["target"], &act["outcome"])).collect();
            assert_eq!(
                told,
                [
                    (
                        &json!("GET /v1/ledger/entries"),
                        &json!("/v1/ledger/entries?cursor=x"),
                        &json!("refused")
                    ),
                    (
                        &json!("GET /v1/disputes/{id}/evidence"),
                        &json!("/v1/disputes/dp_no/evidence"),
                        &json!("refused")
                    ),
                    (&json!("GET /v1/notices"), &json!("/v1/notices?customer=ada"), &json!("done")),
                    (&json!("GET /v1/ledger/entries"), &json!("/v1/ledger/entries?limit=5"), &json!("done")),
                ]
            );
            assert_eq!(acts.len(), 5, "who may not is no operator: {acts:?}");
        })
    })
    .await;
}

/// How much and how far is on record, in what words is not.
#[tokio::test]
async fn what_moves_money_or_shuts_out_is_on_record_with_its_amount_and_level() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            h.subscriber("ada").await;
            let calls = [
                ("/v1/customers/ada/suspend", json!({ "level": "checkouts", "reason": "many cards" }), 200),
                ("/v1/customers/ada/unsuspend", json!({}), 204),
                ("/v1/refunds", json!({ "payment": "pi_no", "amount": 700, "reason": "fraudulent" }), 404),
                ("/v1/disputes/dp_no/contest", json!({ "note": "she had it" }), 404),
                ("/v1/disputes/dp_no/accept", json!({}), 404),
                ("/v1/drift/4711/claim", json!({ "customer": "ada" }), 404),
            ];
            for (path, body, status) in &calls {
                let answer = app.post(path).key(Some(ADMIN)).json(body).send().await;
                assert_eq!(answer.status.as_u16(), *status, "{path}: {}", answer.text());
            }
            let mut acts = acts(&app).await;
            acts.reverse();
            assert_eq!(acts.len(), calls.len(), "{acts:?}");
            for (act, (path, _, status)) in acts.iter().zip(&calls) {
                assert_eq!(act["target"], *path);
                assert_eq!(act["outcome"], if *status < 300 { "done" } else { "refused" }, "{act}");
            }
            let inputs: Vec<&Value> = acts.iter().map(|act| &act["input"]).collect();
            assert_eq!(
                inputs,
                [
                    &json!({ "level": "checkouts", "reason": "[10 characters]" }),
                    &json!({}),
                    &json!({ "payment": "pi_no", "amount": 700, "reason": "fraudulent" }),
                    &json!({ "note": "[10 characters]" }),
                    &json!({}),
                    &json!({ "customer": "ada" }),
                ]
            );
        })
    })
    .await;
}
