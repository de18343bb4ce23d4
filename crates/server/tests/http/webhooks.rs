//! `POST /webhooks/stripe`: stored once or refused, and nothing in between (I1, I9).

use axum::http::Method;
use quittance_sandbox::signature_header;
use quittance_store::testing;
use serde_json::{Value, json};

use crate::client::{Answer, App};
use crate::house::{House, SECRET, on_each};

fn event(id: &str, livemode: bool) -> String {
    json!({
        "id": id, "object": "event", "type": "customer.updated", "livemode": livemode, "created": 1_769_860_800,
        "api_version": "2026-10-28.endive",
        "data": { "object": { "id": "cus_1", "object": "customer", "email": "ada@example.com" } }
    })
    .to_string()
}

async fn deliver(app: &App, body: &str, signature: &str) -> Answer {
    app.post("/webhooks/stripe")
        .key(None)
        .header("stripe-signature", signature)
        .raw(body.to_owned())
        .send()
        .await
}

async fn stored(app: &App) -> Vec<Value> {
    app.get("/v1/events?limit=100").send().await.ok()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_signed_event_is_stored_and_a_repeat_says_so() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let before = stored(&app).await.len();
            let body = event("evt_1", false);
            let signed = signature_header(SECRET, h.sandbox.now(), body.as_bytes());
            assert_eq!(deliver(&app, &body, &signed).await.ok(), json!({ "received": true }));
            for _ in 0..2 {
                let again = deliver(&app, &body, &signed).await.ok();
                assert_eq!(again, json!({ "received": true, "duplicate": true }));
            }
            let events = stored(&app).await;
            assert_eq!(events.len(), before + 1);
            assert_eq!(
                (events[0]["id"].as_str(), events[0]["deliveries"].as_i64()),
                (Some("evt_1"), Some(3))
            );
            assert_eq!(events[0]["sha256"].as_str().map(str::len), Some(64));
            let details = app.get("/v1/events/evt_1").send().await.ok();
            assert_eq!(details["payload"]["id"], "evt_1");
            assert!(!details.to_string().contains("ada@example.com"), "kept without personal data");
        })
    })
    .await;
}

#[tokio::test]
async fn thirty_deliveries_at_once_are_one_event() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let body = event("evt_1", false);
            let signed = signature_header(SECRET, h.sandbox.now(), body.as_bytes());
            let calls: Vec<_> = (0..30)
                .map(|_| {
                    let call = app.post("/webhooks/stripe").key(None).header("stripe-signature", &signed);
                    tokio::spawn(call.raw(body.clone()).send())
                })
                .collect();
            let mut new = 0;
            for call in calls {
                let answer = call.await.unwrap().ok();
                assert_eq!(answer["received"], true);
                new += usize::from(answer.get("duplicate").is_none());
            }
            assert_eq!(new, 1);
        })
    })
    .await;
}

#[tokio::test]
async fn forged_old_early_and_foreign_ones_are_refused_and_leave_nothing() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let before = stored(&app).await.len();
            // The server's clock, which has slept since the provider's was moved.
            let (body, now) = (event("evt_bad", false), h.engine.now().seconds());
            let good = signature_header(SECRET, now, body.as_bytes());
            let forged = [
                ("another secret", body.clone(), signature_header("whsec_other", now, body.as_bytes())),
                ("another body", body.replace("cus_1", "cus_2"), good.clone()),
                ("one byte more", format!("{body} "), good.clone()),
                ("too old", body.clone(), signature_header(SECRET, now - 301, body.as_bytes())),
                ("too early", body.clone(), signature_header(SECRET, now + 301, body.as_bytes())),
                ("another time", body.clone(), good.replace(&format!("t={now}"), &format!("t={}", now + 1))),
                ("only a time", body.clone(), format!("t={now}")),
                ("the test scheme", body.clone(), good.replace("v1=", "v0=")),
                ("not a header", body.clone(), "nonsense".to_owned()),
                ("empty", body.clone(), String::new()),
            ];
            for (what, body, signature) in forged {
                let problem = deliver(&app, &body, &signature).await.problem(400, "invalid_signature");
                assert!(!problem.to_string().contains("v1="), "{what}: the header is not told back");
            }
            app.post("/webhooks/stripe")
                .key(None)
                .raw(body.clone())
                .send()
                .await
                .problem(400, "invalid_signature");
            app.post("/webhooks/stripe").raw(body.clone()).send().await.problem(400, "invalid_signature");
            let live = event("evt_live", true);
            let signed = signature_header(SECRET, now, live.as_bytes());
            deliver(&app, &live, &signed).await.problem(400, "wrong_mode");
            for raw in ["", "{", "[]", "{}", "null", "{\"id\":\"evt_x\"}", "\u{0}"] {
                let signed = signature_header(SECRET, now, raw.as_bytes());
                deliver(&app, raw, &signed).await.problem(400, "invalid_json");
            }
            assert_eq!(stored(&app).await.len(), before, "nothing was stored");
            for edge in [-300, 300] {
                let body = event(&format!("evt_edge_{edge}"), false);
                let signed = signature_header(SECRET, now + edge, body.as_bytes());
                deliver(&app, &body, &signed).await.ok();
            }
        })
    })
    .await;
}

#[tokio::test]
async fn bytes_are_taken_as_they_come() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            // Spaces, another order and an unknown media type: only the signature over the bytes counts.
            let body = event("evt_1", false).replace(',', " ,\n  ");
            let signed = signature_header(SECRET, h.sandbox.now(), body.as_bytes());
            let call = app.post("/webhooks/stripe").key(None).header("stripe-signature", &signed);
            call.header("content-type", "text/plain").raw(body).send().await.ok();
            // Two secrets while one is rolled: any of several signatures may fit.
            let body = event("evt_2", false);
            let signed = signature_header(SECRET, h.sandbox.now(), body.as_bytes());
            let both = format!("{signed},v1={}", "0".repeat(64));
            deliver(&app, &body, &both).await.ok();
        })
    })
    .await;
}

#[tokio::test]
async fn an_oversized_one_is_refused_before_it_is_read() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let body = event("evt_1", false).replace("ada@", &"x".repeat(70_000));
            let signed = signature_header(SECRET, h.sandbox.now(), body.as_bytes());
            deliver(&app, &body, &signed).await.problem(413, "too_large");
            let call = app.post("/webhooks/stripe").key(None).header("stripe-signature", &signed);
            let length = body.len().to_string();
            call.header("content-length", &length).raw(body).send().await.problem(413, "too_large");
        })
    })
    .await;
}

#[tokio::test]
async fn a_full_inbox_says_come_again_and_loses_nothing() {
    let test = testing::sqlite().await;
    let settings = quittance_engine::Settings { inbox_queue: 1, ..quittance_engine::Settings::default() };
    let h = House::with(test, settings, crate::house::catalog()).await;
    let app = App::live(&h).await;
    // The one writer is held inside a transaction.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel::<()>();
    let gate = std::sync::Mutex::new((Some(entered), held));
    let db = h.test.db.clone();
    let holder = tokio::spawn(async move {
        db.write("test.hold", move |_| {
            let (entered, held) = &mut *gate.lock().unwrap();
            if let Some(entered) = entered.take() {
                entered.send(()).unwrap();
                held.recv().unwrap();
            }
            Ok(())
        })
        .await
    });
    inside.await.unwrap();
    let send = |id: String| {
        let body = event(&id, false);
        let signed = signature_header(SECRET, h.sandbox.now(), body.as_bytes());
        app.post("/webhooks/stripe").key(None).header("stripe-signature", &signed).raw(body).send()
    };
    let mut waiting = Vec::new();
    let refused = loop {
        let mut call = Box::pin(send(format!("evt_{}", waiting.len())));
        // A few turns are enough to be refused; one that waits is put aside.
        let mut answer = None;
        for _ in 0..50 {
            if let std::task::Poll::Ready(found) = futures_util::poll!(&mut call) {
                answer = Some(found);
                break;
            }
            tokio::task::yield_now().await;
        }
        match answer {
            Some(answer) => break answer,
            None => waiting.push(call),
        }
        assert!(waiting.len() < 10, "the queue has no end");
    };
    refused.problem(503, "overloaded");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    let accepted = waiting.len();
    assert!(accepted >= 1);
    for call in waiting {
        call.await.ok();
    }
    let again = send(format!("evt_{accepted}")).await;
    assert_eq!(again.ok(), json!({ "received": true }), "the refused one was not stored before");
}

#[tokio::test]
async fn other_providers_are_not_there_yet() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for path in ["/webhooks/paypal", "/webhooks/revenuecat", "/webhooks"] {
                app.call(Method::POST, path).key(None).raw("{}").send().await.problem(404, "not_found");
            }
        })
    })
    .await;
}
