//! What callers and buyers must not be able to change (A20, B1, B16, C8, C9).

use serde_json::json;

use crate::client::App;
use crate::house::{House, on_each};

#[tokio::test]
async fn b1_a_price_in_a_request_is_refused_and_the_catalogs_is_charged() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for field in ["price", "price_id", "amount", "unit_amount", "line_items", "total"] {
                let mut wish =
                    json!({ "customer": "eve", "plan": "pro", "interval": "month", "currency": "jpy" });
                wish[field] = json!(1);
                let problem = app.post("/v1/checkouts").json(&wish).send().await.problem(400, "invalid_json");
                assert!(problem["detail"].as_str().unwrap().contains(&format!("`{field}`")), "{problem}");
                assert!(problem["mend"].as_str().unwrap().contains("catalog"), "{problem}");
            }
            assert_eq!(h.calls(), 0);
            let wish = json!({ "customer": "eve", "plan": "pro", "interval": "month", "currency": "jpy" });
            let checkout = app.post("/v1/checkouts").json(&wish).send().await.ok();
            let session = checkout["session"].as_str().unwrap();
            let theirs = h.provider("GET", &format!("/v1/checkout/sessions/{session}"), "");
            assert_eq!(theirs["amount_total"], 1980);
        })
    })
    .await;
}

#[tokio::test]
async fn b1_a_change_and_a_preview_take_no_price_either() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let subscription = h.subscriber("ada").await;
            for call in ["change", "preview"] {
                let path = format!("/v1/subscriptions/{subscription}/{call}");
                let problem = app.post(&path).json(&json!({ "price": "price_cheap" })).send().await;
                problem.problem(400, "invalid_json");
                let other = app.post(&path).json(&json!({ "plan": "course" })).send().await;
                other.problem(422, "unknown_price");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn b16_the_live_pages_take_no_customer_from_a_field() {
    on_each(|h: &House| {
        Box::pin(async move {
            let live = App::live(h).await;
            h.subscriber("ada").await;
            let calls = h.calls();
            let page = live.get("/pricing?customer=ada").key(None).send().await;
            assert_eq!(page.status, 200);
            let html = page.text();
            assert!(!html.contains("ada") && !html.contains("<form"), "no form and nothing about ada");
            assert!(html.contains("1,980"));
            for (path, form) in [
                ("/pricing/checkout", "customer=ada&plan=studio&interval=month&currency=jpy"),
                ("/billing/portal", "customer=ada"),
            ] {
                let answer = live.post(path).key(None).form(form).send().await;
                assert_eq!(answer.status, 403, "{path}");
                assert!(answer.text().contains("<h1>"));
            }
            let billing = live.get("/billing?customer=ada").key(None).send().await;
            assert_eq!(billing.status, 403);
            assert!(!billing.text().contains("Pro<"));
            assert_eq!(h.calls(), calls);
        })
    })
    .await;
}

#[tokio::test]
async fn c9_a_return_address_grants_nothing() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let allowed = || async {
                let path = "/v1/customers/ada/entitlements/article:full";
                app.get(path).send().await.ok()["allowed"].as_bool().unwrap()
            };
            let row = h.open(&crate::house::pro("ada")).await;
            let session = row.session.clone().unwrap();
            let foreign = h.provider(
                "POST",
                "/v1/checkout/sessions",
                "mode=setup&currency=jpy&success_url=http://a.example&metadata[quittance_customer]=ada",
            );
            let foreign = foreign["id"].as_str().unwrap().to_owned();
            for (id, status, word) in [
                (session.as_str(), 200, "open"),
                (row.id.as_str(), 200, "open"),
                ("cs_test_invented", 404, "unknown"),
                (foreign.as_str(), 404, "unknown"),
                ("", 404, "unknown"),
                ("%00", 404, "unknown"),
                ("x%27%20OR%201=1", 404, "unknown"),
            ] {
                for path in ["/checkout/return", "/checkout/return/status"] {
                    let asked = app.get(&format!("{path}?session_id={id}")).key(None).send();
                    let answer = h.while_working(asked).await;
                    assert_eq!(answer.status.as_u16(), status, "{path} {id}");
                    if path.ends_with("status") {
                        assert_eq!(answer.value(), json!({ "status": word }), "{id}");
                    }
                    assert!(!answer.text().contains(">ada<"), "whose it is stays ours");
                }
            }
            h.settle().await;
            assert!(!allowed().await, "coming back without paying gives nothing");
            h.provider("POST", &format!("/v1/checkout/sessions/{session}/expire"), "");
            h.settle().await;
            let over =
                app.get(&format!("/checkout/return/status?session_id={session}")).key(None).send().await;
            assert_eq!(over.value(), json!({ "status": "expired" }));
            assert!(!allowed().await);
        })
    })
    .await;
}

#[tokio::test]
async fn c9_metadata_that_a_buyer_sends_is_refused() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for field in ["metadata", "subscription_data", "customer_id", "mode", "trial_days", "features"] {
                let mut wish = json!({ "customer": "eve", "plan": "pro" });
                wish[field] = json!("studio");
                app.post("/v1/checkouts").json(&wish).send().await.problem(400, "invalid_json");
            }
            let dev = App::dev(h).await;
            for extra in ["price=1", "amount=1", "quantity=0", "success_url=http://evil.example"] {
                let form = format!("customer=eve&plan=pro&interval=month&currency=jpy&{extra}");
                let answer = dev.post("/pricing/checkout").key(None).form(&form).send().await;
                assert_eq!(answer.status, 422, "{extra}");
            }
            assert_eq!(h.calls(), 0);
        })
    })
    .await;
}
