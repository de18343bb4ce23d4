//! Disputes and suspensions over HTTP.

use serde_json::json;

use crate::client::{App, READ};
use crate::house::{House, on_each, pro};

#[tokio::test]
async fn a_dispute_is_listed_shown_and_answered_once() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let row = h.open(&pro("ada")).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_createDispute");
            h.settle().await;
            h.sandbox.advance_time(60);
            h.settle().await;
            let listed = app.get("/v1/disputes").send().await.ok();
            let dispute = &listed["data"][0];
            assert_eq!((&dispute["stage"], &dispute["reason"]), (&"chargeback".into(), &"fraudulent".into()));
            assert!(dispute["due_by"].as_str().is_some());
            let id = dispute["id"].as_str().unwrap().to_owned();
            let evidence = app.get(&format!("/v1/disputes/{id}/evidence")).send().await.ok();
            assert!(evidence["timeline"].as_array().unwrap().len() > 2);
            assert!(evidence["notices"].as_array().unwrap().iter().any(|notice| notice["type"] == "receipt"));
            let path = format!("/v1/disputes/{id}/contest");
            app.post(&path).key(Some(READ)).json(&json!({})).send().await.problem(403, "forbidden");
            let answered = app.post(&path).json(&json!({ "note": "winning_evidence" })).send().await;
            assert_eq!(answered.status, 200);
            h.settle().await;
            let shown = app.get(&format!("/v1/disputes/{id}")).send().await.ok();
            assert_eq!(shown["status"], "won");
            app.post(&path).json(&json!({})).send().await.problem(409, "wrong_state");
            let accept = format!("/v1/disputes/{id}/accept");
            app.post(&accept).json(&json!({})).send().await.problem(409, "wrong_state");
            app.get("/v1/disputes/dp_nobody").send().await.problem(404, "not_found");
            assert_eq!(app.get("/v1/disputes").send().await.ok()["data"], json!([]));
            assert_eq!(
                app.get("/v1/disputes?all=true").send().await.ok()["data"].as_array().unwrap().len(),
                1
            );
        })
    })
    .await;
}

#[tokio::test]
async fn a_suspended_customer_buys_nothing_until_it_is_let_in() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            h.subscriber("ada").await;
            let path = "/v1/customers/ada/suspend";
            app.post(path).json(&json!({ "reason": "" })).send().await.problem(422, "invalid_request");
            let why = json!({ "reason": "stolen card" });
            let row = app.post(path).json(&why).send().await.ok();
            assert_eq!((&row["level"], &row["reason"]), (&"all".into(), &"stolen card".into()));
            h.settle().await;
            let wish = json!({ "customer": "ada", "plan": "course", "interval": "once", "client_ip": "203.0.113.9" });
            let refused = app.post("/v1/checkouts").json(&wish).send().await.problem(403, "customer_suspended");
            assert_eq!(refused["money_moved"], "no");
            let allowed = app.get("/v1/customers/ada/entitlements/article:full").send().await.ok();
            assert_eq!(allowed["allowed"], false);
            assert_eq!(app.get("/v1/suspensions").send().await.ok()["data"][0]["customer"], "ada");
            let lift = "/v1/customers/ada/unsuspend";
            assert_eq!(app.post(lift).json(&json!({})).send().await.status, 204);
            app.post(lift).json(&json!({})).send().await.problem(404, "not_found");
            assert_eq!(app.post("/v1/checkouts").json(&wish).send().await.status, 200);
            let odd = json!({ "customer": "bob", "plan": "course", "interval": "once", "client_ip": "home" });
            app.post("/v1/checkouts").json(&odd).send().await.problem(422, "invalid_request");
            app.post("/v1/customers/nobody/suspend").json(&why).send().await.problem(404, "not_found");
            let months = app.get("/v1/ledger/revenue?months=2").send().await.ok();
            assert_eq!(months["data"][0]["sold"], 1_980);
        })
    })
    .await;
}
