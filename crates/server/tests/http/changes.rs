//! Changes over HTTP: quotes, plans for the period's end, reasons, pauses.

use serde_json::{Value, json};

use crate::api::worked;
use crate::client::App;
use crate::house::{DAY, House, on_each};

#[tokio::test]
async fn a_change_is_quoted_made_once_planned_and_taken_back() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let id = h.subscriber("ada").await;
            let post =
                |what: &str, body: Value| app.post(&format!("/v1/subscriptions/{id}/{what}")).json(&body);
            h.sandbox.advance_time(10 * DAY);
            h.settle().await;
            let preview = post("preview", json!({ "plan": "studio" })).send().await.ok();
            assert_eq!((preview["when"].as_str(), &preview["at"]), (Some("now"), &Value::Null));
            assert_eq!(preview["afterwards"], json!({ "amount": 9800, "currency": "jpy" }));
            let quote = json!({ "quote": preview["quote"] });
            let both = json!({ "quote": preview["quote"], "plan": "pro" });
            post("change", both).send().await.problem(422, "invalid_request");
            h.sandbox.advance_time(60);
            let changed = worked(h, post("change", quote.clone()).once("c-1")).await.ok();
            assert_eq!(changed["plan"], "studio");
            let bills = || h.provider("GET", "/v1/invoices", "")["data"].as_array().unwrap().len();
            let billed = bills();
            assert_eq!(h.provider("GET", "/v1/invoices", "")["data"][0]["amount_paid"], preview["due"]["amount"]);
            let again = worked(h, post("change", quote).once("c-2")).await.ok();
            assert_eq!((again["plan"].as_str(), bills()), (Some("studio"), billed), "one quote, one change");

            let later = post("preview", json!({ "plan": "pro" })).send().await.ok();
            assert_eq!((later["when"].as_str(), &later["at"]), (Some("period_end"), &changed["current_period_end"]));
            assert_eq!(later["due"]["amount"], 0);
            let planned = worked(h, post("change", json!({ "plan": "pro" }))).await.ok();
            assert_eq!(
                planned["scheduled_change"],
                json!({ "plan": "pro", "interval": "month", "quantity": 1, "at": changed["current_period_end"] })
            );
            assert_eq!((planned["plan"].as_str(), bills()), (Some("studio"), billed));
            let stale = post("change", json!({ "quote": later["quote"] })).send().await.problem(409, "quote_stale");
            assert_eq!(stale["money_moved"], "no");
            let undone = worked(h, post("undo", json!({}))).await.ok();
            assert_eq!(undone["scheduled_change"], Value::Null);
            post("undo", json!({})).send().await.problem(409, "wrong_state");
            let forced = json!({ "plan": "pro", "when": "now", "proration": "none" });
            let now = worked(h, post("change", forced)).await.ok();
            assert_eq!((now["plan"].as_str(), &now["scheduled_change"]), (Some("pro"), &Value::Null));
            let lines = app.get("/v1/customers/ada/timeline").send().await.ok();
            let kinds: Vec<&str> =
                lines["data"].as_array().unwrap().iter().map(|l| l["type"].as_str().unwrap()).collect();
            for kind in ["subscription.change_scheduled", "subscription.change_unscheduled"] {
                assert!(kinds.contains(&kind), "{kinds:?}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_paused_resumed_and_cancelled_with_a_reason() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let id = h.subscriber("ada").await;
            let post =
                |what: &str, body: Value| app.post(&format!("/v1/subscriptions/{id}/{what}")).json(&body);
            let paused = worked(h, post("pause", json!({ "resumes_at": "2026-06-01T00:00:00Z" }))).await.ok();
            assert_eq!(
                (&paused["paused"], &paused["resumes_at"], &paused["status"]),
                (&json!(true), &json!("2026-06-01T00:00:00Z"), &json!("active"))
            );
            let resumed = worked(h, post("resume", json!({}))).await.ok();
            assert_eq!((&resumed["paused"], &resumed["resumes_at"]), (&json!(false), &Value::Null));
            post("pause", json!({ "resumes_at": "2020-01-01T00:00:00Z" }))
                .send()
                .await
                .problem(422, "invalid_request");
            let why = json!({ "reason": "too_expensive", "comment": "We only needed it for one project." });
            let cancelled = worked(h, post("cancel", why)).await.ok();
            assert_eq!(
                (&cancelled["cancel_at_period_end"], &cancelled["cancel_feedback"]),
                (&json!(true), &json!("too_expensive"))
            );
            post("cancel", json!({ "reason": "bored" })).send().await.problem(400, "invalid_json");
            let long = json!({ "comment": "x".repeat(1_001) });
            post("cancel", long).send().await.problem(422, "invalid_request");
            let back = worked(h, post("resume", json!({}))).await.ok();
            assert_eq!(
                (&back["cancel_at_period_end"], &back["cancel_feedback"]),
                (&json!(false), &Value::Null)
            );
        })
    })
    .await;
}

/// The value of a hidden field of a page.
fn field(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// The customer's own page: nothing is changed before they have seen what it costs.
#[tokio::test]
async fn the_billing_page_previews_changes_undoes_cancels_and_resumes() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let id = h.subscriber("ada").await;
            h.sandbox.advance_time(10 * DAY);
            h.settle().await;
            let page = |lang: &'static str| {
                let app = &app;
                async move {
                    let call = app.get(&format!("/billing?customer=ada&lang={lang}")).key(None);
                    call.send().await.text()
                }
            };
            let form = |path: &str, more: &str| {
                let body = format!("customer=ada&lang=en&subscription={id}{more}");
                app.post(path).key(None).form(&body)
            };
            let plan = || async {
                h.engine.subscription(&id).await.unwrap().subscription.plan().unwrap().plan.to_string()
            };
            let first = page("en").await;
            assert!(first.contains("See the cost") && first.contains("studio|month"), "{first}");
            assert!(page("ja").await.contains("金額を確認する"));
            let shown = form("/billing/preview", "&to=studio%7Cmonth&quantity=1").send().await.text();
            assert!(shown.contains("It starts at once. You pay ¥"), "{shown}");
            assert_eq!(plan().await, "pro", "a look changes nothing");
            let quote = format!("&quote={}", field(&shown, "quote"));
            let done = worked(h, form("/billing/change", &quote)).await;
            assert_eq!(
                (done.status.as_u16(), done.header("location")),
                (303, "/billing?notice=changed&customer=ada&lang=en")
            );
            h.settle().await;
            assert_eq!(plan().await, "studio");

            let later = form("/billing/preview", "&to=pro%7Cyear&quantity=1").send().await.text();
            assert!(later.contains("You pay nothing now"), "{later}");
            let quote = format!("&quote={}", field(&later, "quote"));
            worked(h, form("/billing/change", &quote)).await;
            h.settle().await;
            let planned = page("en").await;
            assert!(planned.contains("Changes to Pro on ") && planned.contains("/billing/undo"), "{planned}");
            worked(h, form("/billing/undo", "")).await;
            h.settle().await;
            assert!(!page("en").await.contains("Changes to Pro on "));
            let again = worked(h, form("/billing/undo", "")).await;
            assert!(again.header("location").contains("notice=pending"));

            worked(h, form("/billing/cancel", "&reason=unused")).await;
            h.settle().await;
            let cancelled = page("en").await;
            assert!(cancelled.contains("Ends on ") && !cancelled.contains("/billing/cancel"), "{cancelled}");
            let why =
                h.engine.subscription(&id).await.unwrap().subscription.facts.ahead.cancellation.unwrap();
            assert_eq!(why.feedback.as_deref(), Some("unused"));
            worked(h, form("/billing/resume", "")).await;
            h.settle().await;
            assert!(page("en").await.contains("Renews on "));

            // Another customer's subscription is not there, and another site's form is refused.
            for path in ["preview", "change", "undo", "cancel", "resume"] {
                let body = format!("customer=eve&subscription={id}&to=pro%7Cmonth&quote=qt_x");
                let theirs = app.post(&format!("/billing/{path}")).key(None).form(&body).send().await;
                assert_eq!(theirs.status.as_u16(), 404, "{path}");
                let foreign = form(&format!("/billing/{path}"), "")
                    .header("origin", "https://evil.example")
                    .send()
                    .await;
                assert_eq!(foreign.status.as_u16(), 403, "{path}");
            }
            h.settle().await;
            assert_eq!(h.engine.subscription(&id).await.unwrap().subscription.facts.ends_at(), None);
        })
    })
    .await;
}
