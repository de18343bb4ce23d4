//! Idempotency-Key: one effect and the same answer, under concurrency, loss and hang-ups (I8).

use axum::http::Method;
use quittance_engine::world::Point;
use serde_json::json;

use crate::client::{ADMIN, ALL, App, WRITE};
use crate::house::{House, Trouble, on_each};

fn grant() -> serde_json::Value {
    json!({ "plan": "pro", "reason": "Press" })
}

async fn known(app: &App, id: &str) {
    app.call(Method::PUT, &format!("/v1/customers/{id}")).json(&json!({})).send().await.ok();
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_has_no_second_effect() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            known(&app, "ada").await;
            let give = || app.post("/v1/customers/ada/grants").once("k-1").json(&grant());
            let first = give().send().await;
            let again = give().send().await;
            assert_eq!(first.ok(), again.ok());
            assert_eq!(first.header("idempotent-replayed"), "");
            assert_eq!(again.header("idempotent-replayed"), "true");
            let grants = app.get("/v1/customers/ada/grants").send().await.ok();
            assert_eq!(grants["data"].as_array().unwrap().len(), 1);
            // Without a key there is nothing to recognise it by.
            let third = app.post("/v1/customers/ada/grants").json(&grant()).send().await.ok();
            assert_ne!(third["id"], first.value()["id"]);
        })
    })
    .await;
}

#[tokio::test]
async fn refusals_are_replayed_too_with_their_media_type() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let give = || app.post("/v1/customers/nobody/grants").once("k-1").json(&grant());
            give().send().await.problem(404, "not_found");
            known(&app, "nobody").await;
            let again = give().send().await;
            assert_eq!(again.status, 404);
            assert_eq!(again.header("content-type"), "application/problem+json");
            assert_eq!(again.header("idempotent-replayed"), "true");
            // 204 has no body, and neither has its replay.
            let given = app.post("/v1/customers/nobody/grants").json(&grant()).send().await.ok();
            let path = format!("/v1/customers/nobody/grants/{}", given["id"].as_str().unwrap());
            for replayed in ["", "true"] {
                let gone = app.call(Method::DELETE, &path).once("k-2").send().await;
                assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
                assert_eq!(gone.header("idempotent-replayed"), replayed);
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_caller() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            known(&app, "ada").await;
            known(&app, "bob").await;
            let give = |id: &str| app.post(&format!("/v1/customers/{id}/grants")).once("k-1");
            let first = give("ada").json(&grant()).send().await.ok();
            let other = json!({ "plan": "studio", "reason": "Press" });
            give("ada").json(&other).send().await.problem(422, "idempotency_mismatch");
            give("bob").json(&grant()).send().await.problem(422, "idempotency_mismatch");
            let stranger = give("ada").key(Some(ADMIN)).json(&grant()).send().await;
            assert_eq!(stranger.header("idempotent-replayed"), "");
            assert_ne!(stranger.ok()["id"], first["id"], "another caller's key is another key");
        })
    })
    .await;
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for key in ["", &"x".repeat(256), "caf\u{e9}"] {
                let answer = app
                    .call(Method::PUT, "/v1/customers/ada")
                    .header("idempotency-key", key)
                    .json(&json!({}))
                    .send()
                    .await;
                answer.problem(422, "invalid_request");
            }
            let twice =
                app.call(Method::PUT, "/v1/customers/ada").once("a").once("b").json(&json!({})).send().await;
            twice.problem(422, "invalid_request");
            app.get("/v1/customers/ada").send().await.problem(404, "not_found");
        })
    })
    .await;
}

#[tokio::test]
async fn while_the_first_runs_the_second_waits_outside() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let gate = h.hold_point(Point::CheckoutDecided);
            let open = || {
                let wish = json!({ "customer": "ada", "plan": "pro" });
                app.post("/v1/checkouts").once("k-1").json(&wish)
            };
            let first = tokio::spawn(open().send());
            gate.reached().await;
            let second = open().send().await;
            second.problem(409, "idempotency_in_flight");
            assert_eq!(second.header("retry-after"), "1");
            h.release_point(Point::CheckoutDecided);
            gate.open();
            let first = first.await.unwrap().ok();
            let third = open().send().await;
            assert_eq!(third.header("idempotent-replayed"), "true");
            assert_eq!(third.ok(), first);
        })
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_changes_nothing() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let gate = h.hold_point(Point::CheckoutDecided);
            let open = || {
                let wish = json!({ "customer": "ada", "plan": "pro" });
                app.post("/v1/checkouts").once("k-1").json(&wish)
            };
            let first = tokio::spawn(open().send());
            gate.reached().await;
            first.abort();
            assert!(first.await.is_err());
            h.release_point(Point::CheckoutDecided);
            gate.open();
            let mut answer = open().send().await;
            for _ in 0..500 {
                if answer.status != 409 {
                    break;
                }
                tokio::task::yield_now().await;
                answer = open().send().await;
            }
            assert_eq!(answer.header("idempotent-replayed"), "true", "the first one went on to its end");
            assert_eq!(answer.ok()["status"], "open");
        })
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_of_the_provider_is_found_out_with_the_same_key() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let open = || {
                let wish = json!({ "customer": "ada", "plan": "pro" });
                app.post("/v1/checkouts").key(Some(WRITE)).once("k-1").json(&wish)
            };
            h.trouble("POST /v1/checkout/sessions", Trouble::LostAfter, 3);
            let first = open().send().await;
            let problem = first.problem(504, "outcome_pending");
            assert_eq!(problem["money_moved"], "unknown");
            assert!(!first.header("retry-after").is_empty());
            let second = open().send().await;
            assert_eq!(
                second.header("idempotent-replayed"),
                "",
                "an answer that invites to try again is not kept"
            );
            let checkout = second.ok();
            assert_eq!(checkout["status"], "open");
            let third = open().send().await;
            assert_eq!(third.header("idempotent-replayed"), "true");
            let sessions = h.provider("GET", "/v1/checkout/sessions", "");
            assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "one effect");
        })
    })
    .await;
}

#[tokio::test]
async fn twenty_at_once_are_one() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let calls: Vec<_> = (0..20)
                .map(|_| {
                    let wish = json!({ "customer": "ada", "plan": "pro" });
                    tokio::spawn(app.post("/v1/checkouts").key(Some(ALL)).once("k-1").json(&wish).send())
                })
                .collect();
            let mut ids = std::collections::BTreeSet::new();
            for call in calls {
                let answer = call.await.unwrap();
                if answer.status != 409 {
                    ids.insert(answer.ok()["id"].as_str().unwrap().to_owned());
                }
            }
            assert_eq!(ids.len(), 1);
            assert_eq!(h.provider("GET", "/v1/checkout/sessions", "")["data"].as_array().unwrap().len(), 1);
            assert_eq!(h.provider("GET", "/v1/customers", "")["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

/// The answer had the address in it, and an address may be the id.
#[tokio::test]
async fn an_answer_about_an_erased_customer_is_not_given_again() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let path = "/v1/customers/ada%40home";
            let put = || {
                let about = json!({ "email": "ada@example.com" });
                app.call(Method::PUT, path).once("k-1").json(&about)
            };
            assert_eq!(put().send().await.ok()["email"], "ada@example.com");
            assert_eq!(put().send().await.header("idempotent-replayed"), "true");
            let gone = || app.call(Method::DELETE, path).once("k-2");
            assert_eq!(gone().send().await.ok()["customer"], "ada@home");
            put().send().await.problem(409, "wrong_state");
            assert_eq!(gone().send().await.header("idempotent-replayed"), "true", "its own answer is kept");
        })
    })
    .await;
}

/// As if the process had died after the effect and before its answer was kept.
async fn forget_answers(h: &House) {
    h.test.db.write("test.forget", |tx| tx.script("DELETE FROM api_requests")).await.unwrap();
}

#[tokio::test]
async fn after_a_crash_before_the_answer_the_first_effect_is_found() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            known(&app, "ada").await;
            let give = || app.post("/v1/customers/ada/grants").once("k-1").json(&grant());
            let first = give().send().await.ok();
            forget_answers(h).await;
            assert_eq!(give().send().await.ok()["id"], first["id"]);
            assert_eq!(
                app.get("/v1/customers/ada/grants").send().await.ok()["data"].as_array().unwrap().len(),
                1
            );

            let open = || {
                let wish = json!({ "customer": "bob", "plan": "pro" });
                app.post("/v1/checkouts").once("k-2").json(&wish)
            };
            let first = open().send().await.ok();
            h.pay(first["session"].as_str().unwrap(), "pm_card_visa");
            h.settle().await;
            forget_answers(h).await;
            let again = open().send().await.ok();
            assert_eq!((&again["id"], again["status"].as_str()), (&first["id"], Some("complete")));
        })
    })
    .await;
}

#[tokio::test]
async fn a_refusal_that_says_when_to_try_again_is_not_kept() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let gate = h.hold_answers("/v1/subscriptions");
            let first = tokio::spawn(app.post("/v1/sweeps").send());
            gate.reached().await;
            let second = || app.post("/v1/sweeps").once("k-1").send();
            let busy = second().await;
            busy.problem(409, "wrong_state");
            assert_eq!(busy.header("retry-after"), "30");
            h.release_answers("/v1/subscriptions");
            gate.open();
            first.await.unwrap().ok();
            let again = second().await;
            assert_eq!(again.header("idempotent-replayed"), "");
            again.ok();
        })
    })
    .await;
}

/// A crash between effect and answer: the same request again is answered with what is there, not with what was asked.
#[tokio::test]
async fn a_grant_that_is_there_is_answered_as_it_is() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            app.call(Method::PUT, "/v1/customers/ada").json(&json!({})).send().await.ok();
            let by = h.engine.authenticate(ADMIN).await.unwrap();
            let ada = crate::house::customer("ada");
            let new = quittance_engine::grants::NewGrant {
                plan: Some("pro".into()),
                feature: None,
                limit: None,
                expires_at: None,
                reason: "Press".into(),
                idempotency: Some("seed".into()),
            };
            let first = h.engine.grant(&ada, &new, &by).await.unwrap();
            h.sandbox.advance_time(60);
            h.engine.revoke_grant(&ada, first.id.as_str(), &by).await.unwrap();
            let again = h.engine.grant(&ada, &new, &by).await.unwrap();
            assert_eq!(again.created_at, first.created_at);
            assert!(again.revoked_at.is_some(), "{again:?}");
        })
    })
    .await;
}
