//! Money back over HTTP: once for each key, never more than is left, and what the list of payments says.

use serde_json::json;

use crate::client::{App, READ};
use crate::house::{House, on_each};

#[tokio::test]
async fn a_refund_is_made_once_and_says_whether_money_moved() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            h.subscriber("ada").await;
            let listed = app.get("/v1/payments?customer=ada").send().await.ok();
            let payment = &listed["data"][0];
            assert_eq!((&payment["amount"]["amount"], &payment["money"]), (&1_980.into(), &"kept".into()));
            let id = payment["id"].as_str().unwrap().to_owned();
            let wish = json!({ "payment": id, "amount": 500, "currency": "jpy" });
            let made = app.post("/v1/refunds").once("r-1").json(&wish).send().await.ok();
            assert_eq!(
                (&made["money_moved"], &made["status"]),
                (&"yes".into(), &"succeeded".into()),
                "{made}"
            );
            assert!(made["credit_note"].as_str().unwrap().starts_with("cn_"));
            let again = app.post("/v1/refunds").once("r-1").json(&wish).send().await;
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(again.ok(), made);
            let too_much = json!({ "payment": id, "amount": 1_981 });
            let refused = app.post("/v1/refunds").json(&too_much).send().await.problem(422, "refund_refused");
            assert!(refused["detail"].as_str().unwrap().contains("1,480 JPY"), "{refused}");
            assert_eq!(refused["money_moved"], "no");
            let both = json!({ "payment": id, "invoice": "in_1" });
            app.post("/v1/refunds").json(&both).send().await.problem(422, "invalid_request");
            app.post("/v1/refunds").key(Some(READ)).json(&wish).send().await.problem(403, "forbidden");
            h.settle().await;
            let listed = app.get("/v1/payments").send().await.ok();
            assert_eq!(listed["data"][0]["refunded"]["amount"], 500);
            assert_eq!(listed["data"][0]["refunds"][0]["status"], "succeeded");
            assert_eq!(listed["next_cursor"], json!(null));
        })
    })
    .await;
}
