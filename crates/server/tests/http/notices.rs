//! What customers were told, the proof of it, and announcements, as operators and apps ask for them.

use serde_json::{Value, json};

use crate::client::{ALL, App, READ, WRITE};
use crate::house::{DAY, House, customer, on_each};

fn day(h: &House, days: i64) -> String {
    h.engine.now().plus_ms(days * DAY * 1_000).to_string()
}

fn kinds(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_a_customer_was_told_is_listed_page_by_page_and_shown_with_its_proof() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            h.subscriber("ada").await;
            let eve = h.subscriber("eve").await;
            h.provider("DELETE", &format!("/v1/subscriptions/{eve}"), "");
            h.settle().await;
            let all = app.get("/v1/notices").send().await.ok();
            assert_eq!(kinds(&all), ["subscription_cancelled", "receipt", "receipt"], "newest first");
            let first = app.get("/v1/notices?limit=2").send().await.ok();
            assert_eq!(kinds(&first).len(), 2, "{first}");
            let cursor = first["next_cursor"].as_str().unwrap();
            let rest = app.get(&format!("/v1/notices?limit=2&cursor={cursor}")).send().await.ok();
            assert_eq!((kinds(&rest), rest["next_cursor"].is_null()), (vec!["receipt"], true), "{rest}");
            let of = app.get("/v1/notices?customer=eve&type=receipt").send().await.ok();
            assert_eq!((kinds(&of).len(), &of["data"][0]["customer"]), (1, &json!("eve")));
            // An app asks for its customer, and sees nobody else's.
            let own = app.get("/v1/customers/ada/notices").key(Some(READ)).send().await.ok();
            assert_eq!((kinds(&own), &own["data"][0]["customer"]), (vec!["receipt"], &json!("ada")));
            let none = app.get("/v1/customers/nobody/notices").key(Some(READ)).send().await.ok();
            assert_eq!(none["data"], json!([]));
            app.get("/v1/notices").key(Some(READ)).send().await.problem(403, "forbidden");
            app.get("/v1/notices?type=newsletter").send().await.problem(422, "invalid_request");

            let id = all["data"][0]["id"].as_i64().unwrap();
            let one = app.get(&format!("/v1/notices/{id}")).send().await.ok();
            assert_eq!(one, all["data"][0], "one by its number is what the list shows");
            assert_eq!((&one["object"], &one["data"]["ended"]), (&json!(eve), &json!(true)));
            assert!(one["delivery"].is_null(), "no mail is configured here: {one}");
            app.get("/v1/notices/99999").send().await.problem(404, "not_found");
            app.get("/v1/notices/first").send().await.problem(404, "not_found");
        })
    })
    .await;
}

#[tokio::test]
async fn a_change_is_announced_once_met_and_taken_back() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            h.subscriber("ada").await;
            let at = day(h, 20);
            let fees = json!({
                "id": "fees-2027", "type": "price_changing", "plan": "pro", "effective_at": at,
                "new_price": "pro_year_jpy",
            });
            let post = |body: Value| app.post("/v1/announcements").json(&body);
            for (wrong, status, code) in [
                (json!({ "new_price": "pro_month_jpy_2027" }), 422, "unknown_price"),
                (json!({ "new_price": null }), 422, "invalid_request"),
                (json!({ "plan": "gold" }), 422, "invalid_request"),
                (json!({ "effective_at": day(h, -1) }), 422, "invalid_request"),
                (json!({ "id": "with space" }), 422, "invalid_request"),
                (json!({ "url": "javascript:alert(1)" }), 422, "invalid_request"),
            ] {
                let mut body = fees.clone();
                body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
                post(body).send().await.problem(status, code);
            }
            assert_eq!(app.get("/v1/announcements").send().await.ok()["data"], json!([]));
            post(fees.clone()).key(Some(WRITE)).send().await.problem(403, "forbidden");

            let announced = post(fees.clone()).once("fees").send().await.ok();
            assert_eq!((&announced["id"], &announced["subscriptions"]), (&json!("fees-2027"), &json!(1)));
            assert_eq!(
                post(fees.clone()).once("fees").send().await.ok(),
                announced,
                "the same request again"
            );
            h.settle().await;
            post(fees.clone()).send().await.ok();
            h.settle().await;
            let told = app.get("/v1/customers/ada/notices?type=price_changing").send().await.ok();
            assert_eq!(kinds(&told).len(), 1, "announced twice and told once: {told}");
            let told = &told["data"][0];
            assert_eq!((&told["data"]["announcement"], &told["about"]), (&json!("fees-2027"), &json!(at)));
            let rules = told["rules"].as_array().unwrap();
            assert!(rules.iter().any(|rule| rule["id"] == "visa_change" && rule["fit"] == "kept"), "{told}");
            assert!(rules.iter().all(|rule| rule["closes_at"].is_string() && rule["source"].is_string()));

            let mut other = fees.clone();
            other["plan"] = json!("studio");
            post(other).send().await.problem(409, "wrong_state");
            let path = "/v1/announcements/fees-2027";
            let taken = app.call(axum::http::Method::DELETE, path).send().await;
            assert_eq!(taken.status, 204);
            let gone = app.call(axum::http::Method::DELETE, "/v1/announcements/other").send().await;
            gone.problem(404, "not_found");
            let listed = app.get("/v1/announcements").send().await.ok();
            assert_eq!(
                (listed["data"].as_array().unwrap().len(), &listed["data"][0]["id"]),
                (1, &json!("fees-2027"))
            );
            assert!(
                listed["data"][0]["withdrawn_at"].is_string() && listed["data"][0]["created_by"].is_string()
            );
            post(fees).send().await.problem(409, "wrong_state");
            // Who comes later is told nothing of it.
            h.engine.put_customer(&customer("late"), Default::default()).await.unwrap();
            h.subscriber("late").await;
            let told =
                app.get("/v1/customers/late/notices?type=price_changing").key(Some(ALL)).send().await.ok();
            assert_eq!(told["data"], json!([]));
        })
    })
    .await;
}
