//! Every shape of failure: whole documents for programs, pages for people, and nothing changed.

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use quittance_server::http::{AppState, problem};
use serde_json::json;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use crate::client::{ALL, App, config};
use crate::house::{House, Trouble, on_each};

#[tokio::test]
async fn addresses_and_methods_that_are_not_there() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for path in [
                "/v1/nothing",
                "/nothing",
                "/v1",
                "/webhooks/paypal",
                "/webhooks/revenuecat",
                "/v1/customers/",
            ] {
                app.get(path).key(None).send().await.problem(404, "not_found");
            }
            let browser = app.get("/nothing").key(None).header("accept", "text/html").send().await;
            assert_eq!(browser.status, 404);
            assert!(
                browser.text().contains("<h1>")
                    && browser.header("content-security-policy").contains("default-src 'none'")
            );
            app.get("/v1/nothing").header("accept", "text/html").send().await.problem(404, "not_found");
            for (method, path, allow) in [
                (Method::PATCH, "/v1/customers/ada", "PUT"),
                (Method::DELETE, "/v1/plans", "GET"),
                (Method::GET, "/webhooks/stripe", "POST"),
                (Method::POST, "/v1/customers/ada/entitlements/article:full", "GET"),
                (Method::POST, "/pricing", "GET"),
            ] {
                let answer = app.call(method, path).send().await;
                answer.problem(405, "method_not_allowed");
                assert!(answer.header("allow").contains(allow), "{path}: {:?}", answer.headers);
            }
        })
    })
    .await;
}

#[tokio::test]
async fn bodies_that_cannot_be_name_the_place() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let json_type = "application/json";
            for (body, part) in [
                ("{", "EOF"),
                ("", "missing field `customer`"),
                ("[\"ada\",\"pro\"]", "must be a JSON object"),
                ("\"text\"", "must be a JSON object"),
                ("{\"customer\":\"ada\"}", "missing field `plan`"),
                ("{\"customer\":\"ada\",\"plan\":\"pro\",\"coupon\":\"x\"}", "unknown field `coupon`"),
                ("{\"customer\":\"ada\",\"plan\":\"pro\",\"plan\":\"free\"}", "duplicate field `plan`"),
                ("{\"customer\":\"ada\",\"plan\":\"pro\",\"quantity\":1.5}", "expected i64"),
                ("{\"customer\":\"ada\",\"plan\":\"pro\",\"quantity\":99999999999999999999}", "i64"),
                ("{\"customer\":\"ada\",\"plan\":\"p\\u0000\"}", "NUL"),
            ] {
                let answer =
                    app.post("/v1/checkouts").header("content-type", json_type).raw(body).send().await;
                let problem = answer.problem(400, "invalid_json");
                assert!(problem["detail"].as_str().unwrap().contains(part), "{body}: {problem}");
                assert_eq!(problem["money_moved"], "no");
            }
            let form = app.post("/v1/checkouts").form("customer=ada&plan=pro").send().await;
            form.problem(415, "unsupported_media_type");
            let untyped = app.post("/v1/checkouts").raw("{}").send().await;
            untyped.problem(415, "unsupported_media_type");
            let charset = app
                .call(Method::PUT, "/v1/customers/ada")
                .header("content-type", "application/json; charset=utf-8");
            charset.raw("{}").send().await.ok();
            let deep = "[".repeat(100_000);
            let deep = format!("{{\"metadata\":{}", deep.get(..60_000).unwrap());
            let deep = app
                .call(Method::PUT, "/v1/customers/ada")
                .header("content-type", json_type)
                .raw(deep)
                .send()
                .await;
            deep.problem(400, "invalid_json");
            assert_eq!(h.calls(), 0, "the provider was never asked");
        })
    })
    .await;
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused_with_and_without_an_announcement() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let long = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
            let put =
                || app.call(Method::PUT, "/v1/customers/ada").header("content-type", "application/json");
            put()
                .header("content-length", &long.len().to_string())
                .raw(long.clone())
                .send()
                .await
                .problem(413, "too_large");
            let unread = futures_util::stream::poll_fn(
                |_| -> std::task::Poll<Option<Result<String, std::io::Error>>> {
                    panic!("an announced length is enough to refuse")
                },
            );
            let unread = axum::body::Body::from_stream(unread);
            put().header("content-length", "70000").raw(unread).send().await.problem(413, "too_large");
            let pieces: Vec<Result<String, std::io::Error>> = (0..700).map(|_| Ok("x".repeat(100))).collect();
            let stream = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
            put().raw(stream).send().await.problem(413, "too_large");
            let never = axum::body::Body::from_stream(futures_util::stream::pending::<
                Result<String, std::io::Error>,
            >());
            let late = put().raw(never).send().await.problem(400, "invalid_json");
            assert!(late["detail"].as_str().unwrap().contains("within 30 s"), "{late}");
            let broken: Vec<Result<String, std::io::Error>> =
                vec![Ok("{".into()), Err(std::io::Error::other("gone"))];
            let stream = axum::body::Body::from_stream(futures_util::stream::iter(broken));
            put().raw(stream).send().await.problem(400, "invalid_json");
        })
    })
    .await;
}

#[tokio::test]
async fn values_that_cannot_be() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            app.call(Method::PUT, "/v1/customers/ada").json(&json!({})).send().await.ok();
            let wish = |field: &str, value: serde_json::Value| {
                let mut wish = json!({ "customer": "ada", "plan": "pro" });
                wish[field] = value;
                wish
            };
            for (field, value, code) in [
                ("customer", json!("a b"), "invalid_request"),
                ("customer", json!(""), "invalid_request"),
                ("plan", json!("nope"), "unknown_price"),
                ("plan", json!("free"), "unknown_price"),
                ("interval", json!("decade"), "unknown_price"),
                ("currency", json!("xxx"), "unknown_price"),
                ("quantity", json!(0), "invalid_request"),
                ("quantity", json!(-1), "invalid_request"),
                ("quantity", json!(i64::MAX), "invalid_request"),
                ("provider", json!("paypal"), "invalid_request"),
                ("success_url", json!("javascript:alert(1)"), "invalid_request"),
                ("cancel_url", json!("https://a.example/\nx"), "invalid_request"),
                ("promotion_code", json!("a b"), "invalid_request"),
            ] {
                let answer = app.post("/v1/checkouts").json(&wish(field, value.clone())).send().await;
                answer.problem(422, code);
            }
            let long = "x".repeat(300);
            for path in [
                "/v1/customers/ada/timeline?limit=0",
                "/v1/customers/ada/timeline?limit=101",
                "/v1/customers/ada/timeline?cursor=zero",
                "/v1/customers/ada/timeline?sort=up",
                "/v1/customers/ada/explain",
                "/v1/events?limit=x",
                "/v1/events?aggregate=%00",
                "/v1/checkouts/%00",
                "/v1/subscriptions/%01",
                &format!("/v1/events/{long}"),
                "/v1/customers/a%20b/grants",
            ] {
                app.get(path).send().await.problem(422, "invalid_request");
            }
            for path in [
                "/v1/customers/a%00b",
                "/v1/customers/nobody",
                "/v1/checkouts/cs_test_nope",
                "/v1/subscriptions/sub_nope",
                "/v1/events/evt_nope",
            ] {
                app.get(path).send().await.problem(404, "not_found");
            }
            let gifts = [
                json!({ "reason": "x" }),
                json!({ "plan": "pro", "feature": "article:full", "reason": "x" }),
                json!({ "plan": "nope", "reason": "x" }),
                json!({ "feature": "nope", "reason": "x" }),
                json!({ "feature": "article:full", "limit": -1, "reason": "x" }),
                json!({ "plan": "pro", "reason": " " }),
            ];
            for gift in gifts {
                app.post("/v1/customers/ada/grants").json(&gift).send().await.problem(422, "invalid_request");
            }
            let when = json!({ "plan": "pro", "reason": "x", "expires_at": "tomorrow" });
            app.post("/v1/customers/ada/grants").json(&when).send().await.problem(400, "invalid_json");
            assert_eq!(h.calls(), 0, "the provider was never asked");
        })
    })
    .await;
}

#[tokio::test]
async fn the_providers_troubles_say_whether_money_moved() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let subscription = h.subscriber("ada").await;
            h.trouble("/v1/invoices/create_preview", Trouble::Status(429), 1);
            let path = format!("/v1/subscriptions/{subscription}/preview");
            let busy = app.post(&path).json(&json!({ "plan": "studio" })).send().await;
            assert_eq!(busy.problem(503, "provider_unavailable")["money_moved"], "no");
            assert!(busy.header("retry-after").parse::<u32>().unwrap() >= 1);
            h.pass_ms(2_000);
            let link = json!({ "provider_customer": "cus_nobody" });
            app.post("/v1/customers/ada/links").json(&link).send().await.problem(422, "provider_refused");
            app.post("/v1/customers/bob/portal")
                .json(&json!({}))
                .send()
                .await
                .problem(409, "no_provider_customer");
            let again = json!({ "customer": "ada", "plan": "studio" });
            app.post("/v1/checkouts").json(&again).send().await.problem(409, "already_subscribed");
            h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
            h.settle().await;
            let over = app.post(&format!("/v1/subscriptions/{subscription}/resume")).send().await;
            over.problem(409, "wrong_state");
        })
    })
    .await;
}

#[tokio::test]
async fn without_its_database_it_lives_and_says_so() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            assert_eq!(app.get("/readyz").key(None).send().await.ok()["status"], "ready");
            h.test.db.clone().close().await;
            app.get("/healthz").key(None).send().await.ok();
            let not_ready = app.get("/readyz").key(None).send().await;
            not_ready.problem(503, "database_unavailable");
            assert!(!not_ready.header("retry-after").is_empty());
            let away = app.get("/v1/customers/ada").key(Some(ALL)).send().await;
            away.problem(503, "database_unavailable");
            let page = app.get("/checkout/return?session_id=cs_x").key(None).send().await;
            assert_eq!(page.status, 503);
            assert!(page.text().contains("<h1>"));
            assert_eq!(app.get("/metrics").key(None).send().await.status, 200);
        })
    })
    .await;
}

#[tokio::test]
async fn shutting_down_is_not_ready() {
    on_each(|h: &House| {
        Box::pin(async move {
            let mut config = config(&h.engine, false);
            config.ready = std::sync::Arc::new(|| false);
            config.metrics = None;
            let app = App { router: quittance_server::http::router(config) };
            app.get("/readyz").key(None).send().await.problem(503, "overloaded");
            app.get("/metrics").key(None).send().await.problem(404, "not_found");
        })
    })
    .await;
}

#[tokio::test]
async fn a_bug_is_a_document_too() {
    on_each(|h: &House| {
        Box::pin(async move {
            let state = AppState::new(config(&h.engine, false));
            let router: Router = Router::new()
                .route(
                    "/boom",
                    get(|| async {
                        if true {
                            panic!("a bug")
                        }
                    }),
                )
                .layer(CatchPanicLayer::custom(problem::panicked))
                .layer(from_fn_with_state(state, problem::documents));
            let request = axum::http::Request::get("/boom").body(axum::body::Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (problem["code"].as_str(), problem["money_moved"].as_str()),
                (Some("internal"), Some("unknown"))
            );
            assert!(!problem.to_string().contains("a bug"), "nothing of the inside is told");
        })
    })
    .await;
}
