//! The calls at work, from a customer to an entitlement and back.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, App, Call};
use crate::house::{DAY, House, on_each, pro};

/// Sends a call while a worker works, as a server does.
pub async fn worked(h: &House, call: Call) -> Answer {
    h.while_working(call.send()).await
}

#[tokio::test]
async fn from_a_checkout_to_an_entitlement() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let check = || app.get("/v1/customers/ada/entitlements/article:full");
            let nobody = check().send().await.ok();
            assert_eq!(
                nobody,
                json!({ "feature": "article:full", "allowed": false, "access": null, "plan": null,
                        "expires_at": null, "limit": null, "used": null, "remaining": null, "source": null })
            );
            for impossible in ["a%00b", "a%20b", &"x".repeat(400)] {
                let path = format!("/v1/customers/{impossible}/entitlements/article:full");
                assert_eq!(app.get(&path).send().await.ok(), nobody, "{impossible}");
            }
            let wish = json!({ "customer": "ada", "plan": "pro", "interval": "month", "currency": "jpy" });
            let checkout = app.post("/v1/checkouts").json(&wish).send().await.ok();
            assert_eq!(checkout["status"], "open");
            assert_eq!(
                (checkout["provider"].as_str(), checkout["quantity"].as_i64()),
                (Some("stripe"), Some(1))
            );
            assert!(checkout["url"].as_str().unwrap().starts_with("http"));
            assert!(checkout["expires_at"].as_str().unwrap().ends_with('Z'));
            let same = app.post("/v1/checkouts").json(&wish).send().await.ok();
            assert_eq!(same, checkout, "the same wish is the same checkout");
            let session = checkout["session"].as_str().unwrap();
            for id in [session, checkout["id"].as_str().unwrap()] {
                assert_eq!(app.get(&format!("/v1/checkouts/{id}")).send().await.ok(), checkout);
            }
            h.pay(session, "pm_card_visa");
            h.settle().await;
            let done = app.get(&format!("/v1/checkouts/{session}")).send().await.ok();
            assert_eq!((done["status"].as_str(), done["url"].as_str()), (Some("complete"), None));
            let yes = check().send().await.ok();
            assert_eq!(
                (yes["allowed"].as_bool(), yes["access"].as_str(), yes["plan"].as_str()),
                (Some(true), Some("granted"), Some("pro"))
            );
            assert_eq!(yes["source"]["type"], "subscription");
            assert!(yes["expires_at"].as_str().unwrap().starts_with("2026-03-"), "{yes}");
            let customer = app.get("/v1/customers/ada").send().await.ok();
            assert_eq!(customer["access"], "granted");
            let subscription = &customer["subscriptions"][0];
            for (field, value) in [
                ("plan", json!("pro")),
                ("status", json!("active")),
                ("access", json!("granted")),
                ("quantity", json!(1)),
                ("interval", json!("month")),
                ("cancel_at_period_end", json!(false)),
                ("ends_at", Value::Null),
                ("provider", json!("stripe")),
                ("customer", json!("ada")),
                ("unit_price", json!({ "amount": 1980, "currency": "jpy" })),
            ] {
                assert_eq!(subscription[field], value, "{field}: {subscription}");
            }
            // To the second it depends on how long the house has slept.
            let ends = subscription["current_period_end"].as_str().unwrap();
            assert!(ends.starts_with("2026-02-28T12:00:0"), "{subscription}");
            let list = app.get("/v1/customers/ada/entitlements").send().await.ok();
            let features: Vec<&str> =
                list["data"].as_array().unwrap().iter().map(|e| e["feature"].as_str().unwrap()).collect();
            assert_eq!(features, ["article:full", "article:preview", "templates:download"]);
            assert_eq!(customer["entitlements"], list["data"]);
        })
    })
    .await;
}

#[tokio::test]
async fn customers_are_put_and_got() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let put = |body: &Value| app.call(Method::PUT, "/v1/customers/team:42").json(body);
            let first = put(&json!({ "email": "a@example.com", "name": "日本", "metadata": { "k": "v" } }))
                .send()
                .await
                .ok();
            assert_eq!((first["id"].as_str(), first["name"].as_str()), (Some("team:42"), Some("日本")));
            let second = put(&json!({ "locale": "ja-JP" })).send().await.ok();
            assert_eq!(
                (second["email"].as_str(), second["locale"].as_str()),
                (Some("a@example.com"), Some("ja-JP"))
            );
            assert_eq!(second["metadata"], json!({ "k": "v" }));
            let third = put(&json!({ "name": null, "metadata": null })).send().await.ok();
            assert_eq!((&third["name"], &third["locale"]), (&Value::Null, &json!("ja-JP")), "null clears");
            assert_eq!(third["metadata"], json!({}));
            let got = app.get("/v1/customers/team%3A42").send().await.ok();
            assert_eq!((got["access"].as_str(), got["email"].as_str()), (None, Some("a@example.com")));
            assert_eq!(got["entitlements"][0]["feature"], "article:preview", "the free plan");
            assert_eq!(got["entitlements"][0]["source"], json!({ "type": "free_plan", "id": "free" }));
            put(&json!({ "email": "nonsense" })).send().await.problem(422, "invalid_request");
            put(&json!({ "metadata": { "k": "x".repeat(501) } }))
                .send()
                .await
                .problem(422, "invalid_request");
            put(&json!({ "vip": true })).send().await.problem(400, "invalid_json");
        })
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_previewed_changed_cancelled_and_resumed() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let id = h.subscriber("ada").await;
            let post =
                |what: &str, body: Value| app.post(&format!("/v1/subscriptions/{id}/{what}")).json(&body);
            h.sandbox.advance_time(10 * DAY);
            h.settle().await;
            let preview = post("preview", json!({ "plan": "studio" })).send().await.ok();
            let due = preview["due"]["amount"].as_i64().unwrap();
            assert!(due > 0 && preview["due"]["currency"] == "jpy", "{preview}");
            let sum: i64 = preview["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line["amount"].as_i64().unwrap())
                .sum();
            assert_eq!(sum, due);
            let wish = json!({ "plan": "studio", "proration_date": preview["proration_date"] });
            let changed = worked(h, post("change", wish).once("c-1")).await.ok();
            assert_eq!(
                (changed["plan"].as_str(), changed["access"].as_str()),
                (Some("studio"), Some("granted"))
            );
            let charged = h.provider("GET", "/v1/invoices", "");
            assert_eq!(charged["data"][0]["amount_paid"], due, "it costs what the preview said");
            let seats = app.get("/v1/customers/ada/entitlements/team:seats").send().await.ok();
            assert_eq!(
                (seats["limit"].as_i64(), seats["remaining"].as_i64(), seats["used"].as_i64()),
                (Some(5), Some(5), None)
            );

            let cancelled = worked(h, post("cancel", json!({}))).await.ok();
            assert_eq!(cancelled["cancel_at_period_end"], true);
            assert_eq!(cancelled["ends_at"], cancelled["current_period_end"]);
            assert_eq!(cancelled["access"], "granted");
            let resumed = worked(h, app.post(&format!("/v1/subscriptions/{id}/resume"))).await.ok();
            assert_eq!(
                (resumed["cancel_at_period_end"].as_bool(), resumed["ends_at"].as_str()),
                (Some(false), None)
            );
            let over = worked(h, post("cancel", json!({ "at": "now" }))).await.ok();
            assert_eq!(
                (over["status"].as_str(), over["access"].as_str()),
                (Some("canceled"), Some("revoked"))
            );
            assert_eq!(app.get(&format!("/v1/subscriptions/{id}")).send().await.ok(), over);
            post("cancel", json!({ "at": "someday" })).send().await.problem(400, "invalid_json");
        })
    })
    .await;
}

#[tokio::test]
async fn many_checks_at_once_keep_their_order() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            h.subscriber("ada").await;
            let pair = |customer: &str, feature: &str| json!({ "customer": customer, "feature": feature });
            let checks = json!({ "checks": [pair("nobody", "article:full"), pair("ada", "article:full"),
                                            pair("ada", "course:library"), pair("a\u{1}b", "article:full"), pair("ada", "no such")] });
            let answer = app.post("/v1/entitlements/check").json(&checks).send().await.ok();
            let results = answer["results"].as_array().unwrap();
            let allowed: Vec<bool> = results.iter().map(|r| r["allowed"].as_bool().unwrap()).collect();
            assert_eq!(allowed, [false, true, false, false, false]);
            assert_eq!((results[1]["customer"].as_str(), results[1]["plan"].as_str()), (Some("ada"), Some("pro")));
            let many = |n: usize| json!({ "checks": vec![pair("ada", "article:full"); n] });
            let app = App { router: big(h) };
            assert_eq!(app.post("/v1/entitlements/check").json(&many(1_000)).send().await.ok()["results"].as_array().unwrap().len(), 1_000);
            app.post("/v1/entitlements/check").json(&many(1_001)).send().await.problem(422, "invalid_request");
        })
    })
    .await;
}

fn big(h: &House) -> axum::Router {
    let mut config = crate::client::config(&h.engine, false);
    config.body_limit = 1 << 20;
    quittance_server::http::router(config)
}

#[tokio::test]
async fn grants_are_given_listed_and_taken_back() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            app.call(Method::PUT, "/v1/customers/ada").json(&json!({})).send().await.ok();
            let give = |body: Value| app.post("/v1/customers/ada/grants").json(&body);
            let seats = give(json!({ "feature": "team:seats", "limit": 3, "reason": "Pilot", "expires_at": "2026-02-01T21:00:00+09:00" })).send().await.ok();
            assert_eq!(seats["expires_at"], "2026-02-01T12:00:00Z");
            let check = app.get("/v1/customers/ada/entitlements/team:seats").send().await.ok();
            assert_eq!((check["allowed"].as_bool(), check["limit"].as_i64()), (Some(true), Some(3)));
            assert_eq!(check["source"], json!({ "type": "grant", "id": seats["id"] }));
            for _ in 0..4 {
                give(json!({ "plan": "pro", "reason": "Press" })).send().await.ok();
            }
            let mut seen = Vec::new();
            let mut path = "/v1/customers/ada/grants?limit=2".to_owned();
            loop {
                let page = app.get(&path).send().await.ok();
                assert!(page["data"].as_array().unwrap().len() <= 2);
                seen.extend(page["data"].as_array().unwrap().iter().map(|g| g["id"].as_str().unwrap().to_owned()));
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                path = format!("/v1/customers/ada/grants?limit=2&cursor={cursor}");
            }
            let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
            assert_eq!((seen.len(), distinct.len()), (5, 5));
            let seats_path = format!("/v1/customers/ada/grants/{}", seats["id"].as_str().unwrap());
            assert_eq!(app.call(Method::DELETE, &seats_path).send().await.status, 204);
            let again = app.call(Method::DELETE, &seats_path).send().await;
            assert_eq!(again.status, 204, "what is taken back stays taken back");
            let never = "/v1/customers/ada/grants/grt_00000000000000000000000000";
            app.call(Method::DELETE, never).send().await.problem(404, "not_found");
            let check = app.get("/v1/customers/ada/entitlements/team:seats").send().await.ok();
            assert_eq!(check["allowed"], false);
            h.sandbox.advance_time(3 * DAY);
        })
    })
    .await;
}

#[tokio::test]
async fn why_and_what_happened() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let id = h.subscriber("ada").await;
            let why = app.get("/v1/customers/ada/explain?feature=article:full").send().await.ok();
            assert_eq!(
                (why["allowed"].as_bool(), why["known_customer"].as_bool(), why["known_feature"].as_bool()),
                (Some(true), Some(true), Some(true))
            );
            let reason = why["because"].as_array().unwrap().iter().find(|r| r["source"]["id"] == id).unwrap();
            assert_eq!(
                (reason["has_feature"].as_bool(), reason["access"].as_str()),
                (Some(true), Some("granted"))
            );
            assert!(reason["rule"].as_str().unwrap().contains("the provider says active"), "{reason}");
            assert!(!reason["history"].as_array().unwrap().is_empty());
            let no = app.get("/v1/customers/nobody/explain?feature=nothing").send().await.ok();
            assert_eq!(
                (no["allowed"].as_bool(), no["known_customer"].as_bool(), no["known_feature"].as_bool()),
                (Some(false), Some(false), Some(false))
            );
            let all = app.get("/v1/customers/ada/timeline?limit=100").send().await.ok();
            let lines = all["data"].as_array().unwrap();
            assert!(lines.len() >= 2 && all["next_cursor"].is_null(), "{all}");
            assert!(
                lines[0]["cause"].is_object() && lines[0]["at"].as_str().unwrap().ends_with('Z'),
                "{}",
                lines[0]
            );
            let mut paged = Vec::new();
            let mut cursor = String::new();
            loop {
                let page = app.get(&format!("/v1/customers/ada/timeline?limit=1{cursor}")).send().await.ok();
                paged.extend(page["data"].as_array().unwrap().clone());
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(&paged, lines, "the pages together are the whole");
        })
    })
    .await;
}

#[tokio::test]
async fn operators_look_replay_and_sweep() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            h.subscriber("ada").await;
            let page = app.get("/v1/events?limit=3").send().await.ok();
            let events = page["data"].as_array().unwrap();
            assert_eq!(events.len(), 3);
            assert!(events.iter().all(|e| e["processed"] == true && e["source"] == "webhook"), "{page}");
            let next = app
                .get(&format!("/v1/events?limit=3&cursor={}", page["next_cursor"].as_str().unwrap()))
                .send()
                .await
                .ok();
            assert!(next["data"].as_array().unwrap().iter().all(|e| !events.contains(e)));
            let aggregate = events[0]["aggregate"].as_str().unwrap();
            let of_one =
                app.get(&format!("/v1/events?aggregate={}", aggregate.replace('/', "%2F"))).send().await.ok();
            assert!(of_one["data"].as_array().unwrap().iter().all(|e| e["aggregate"] == aggregate));
            let id = events[0]["id"].as_str().unwrap();
            let replayed = worked(h, app.post(&format!("/v1/events/{id}/replay"))).await.ok();
            assert_eq!((replayed["id"].as_str(), replayed["processed"].as_bool()), (Some(id), Some(true)));
            app.post("/v1/events/evt_nope/replay").send().await.problem(404, "not_found");
            let parked = app.get("/v1/parked").send().await.ok();
            assert_eq!(parked, json!({ "aggregates": [], "commands": [] }));
            for name in ["nothing", "cmd_00000000000000000000000000"] {
                app.post("/v1/parked/retry")
                    .json(&json!({ "name": name }))
                    .send()
                    .await
                    .problem(404, "not_found");
            }
            assert_eq!(app.get("/v1/alerts?all=true").send().await.ok()["data"].as_array().unwrap().len(), 0);
            h.drop_webhooks();
            let bob = h.open(&pro("bob")).await;
            h.pay(bob.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let counted = app.post("/v1/sweeps").json(&json!({ "dry_run": true })).send().await.ok();
            assert_eq!((counted["dry_run"].as_bool(), counted["unknown"].as_u64()), (Some(true), Some(1)));
            let swept = app.post("/v1/sweeps").send().await.ok();
            assert_eq!(swept["unknown"], 1);
            h.settle().await;
            assert_eq!(app.get("/v1/customers/bob").send().await.ok()["access"], "granted");
        })
    })
    .await;
}

#[tokio::test]
async fn an_operator_links_a_customer_that_was_made_elsewhere() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let made = h.provider("POST", "/v1/customers", "email=old@example.com");
            let theirs = made["id"].as_str().unwrap();
            let link = json!({ "provider_customer": theirs });
            app.post("/v1/customers/ada/links").json(&link).send().await.problem(404, "not_found");
            app.call(Method::PUT, "/v1/customers/ada").json(&json!({})).send().await.ok();
            let linked = app.post("/v1/customers/ada/links").json(&link).send().await.ok();
            assert_eq!(
                linked,
                json!({ "customer": "ada", "provider_customer": theirs, "provider": "stripe" })
            );
            for bad in ["", "../prices", "cus_1?x=y", "cus 1"] {
                let link = json!({ "provider_customer": bad });
                app.post("/v1/customers/ada/links").json(&link).send().await.problem(422, "invalid_request");
            }
            let portal = app
                .post("/v1/customers/ada/portal")
                .json(&json!({ "return_url": "https://app.example/" }))
                .send()
                .await
                .ok();
            assert!(portal["url"].as_str().unwrap().starts_with("http"));
        })
    })
    .await;
}

#[tokio::test]
async fn the_catalog_is_told_as_it_is() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let plans = app.get("/v1/plans").send().await.ok();
            let keys: Vec<&str> =
                plans["data"].as_array().unwrap().iter().map(|p| p["key"].as_str().unwrap()).collect();
            assert_eq!(keys, ["free", "pro", "studio", "course"]);
            let studio = &plans["data"][2];
            assert_eq!(studio["name"], json!({ "en": "Studio", "ja": "スタジオ" }));
            assert_eq!(
                studio["prices"][0],
                json!({ "interval": "month", "amount": 9800, "currency": "jpy" })
            );
            let seats =
                studio["features"].as_array().unwrap().iter().find(|f| f["key"] == "team:seats").unwrap();
            assert_eq!((seats["limit"].as_i64(), seats["per_unit"].as_bool()), (Some(5), Some(true)));
        })
    })
    .await;
}

#[tokio::test]
async fn operations_answer_without_a_key() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            assert_eq!(app.get("/healthz").key(None).send().await.ok(), json!({ "status": "ok" }));
            let ready = app.get("/readyz").key(None).send().await.ok();
            assert_eq!(
                (ready["status"].as_str(), ready["database"].as_str()),
                (Some("ready"), Some(h.test.db.dialect().name()))
            );
            let metrics = app.get("/metrics").key(None).send().await;
            assert!(metrics.header("content-type").starts_with("text/plain"));
            assert_eq!(metrics.text(), "quittance_up 1\n");
        })
    })
    .await;
}
