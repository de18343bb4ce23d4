//! Our pages in production: to somebody whom the app has signed in, and to strangers.

use quittance_engine::Settings;
use quittance_server::http;
use serde_json::json;

use crate::client::{Answer, App, READ, config};
use crate::house::{House, catalog, on_each};

const APP: &str = "https://app.example/home";

async fn get(app: &App, path: &str) -> Answer {
    app.get(path).key(None).send().await
}

/// The path of a fresh link.
async fn link(app: &App, customer: &str, page: &str) -> String {
    let call = app.post(&format!("/v1/customers/{customer}/page-link")).json(&json!({ "page": page }));
    let url = call.send().await.ok()["url"].as_str().unwrap().to_owned();
    url.strip_prefix("http://127.0.0.1:4242").unwrap().to_owned()
}

fn token(path: &str) -> &str {
    path.split_once("link=").unwrap().1
}

#[tokio::test]
async fn a_linked_customer_buys_and_manages_and_nobody_else_does() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let path = link(&app, "ada", "pricing").await;
            let pricing = get(&app, &path).await.text();
            assert!(pricing.contains("<form") && pricing.contains(token(&path)), "{pricing}");
            assert!(!pricing.contains("name=\"customer\""), "who buys is not a field: {pricing}");
            let yearly = format!("interval=year&amp;link={}", token(&path));
            assert!(
                pricing.contains(&yearly)
                    || pricing.contains(&format!("link={}&amp;interval=year", token(&path)))
            );

            let form = format!("link={}&plan=pro&interval=month&currency=jpy&lang=en", token(&path));
            let opened = app.post("/pricing/checkout").key(None).form(&form).send().await;
            assert_eq!(opened.status, 303, "{}", opened.text());
            let rows =
                h.engine.db().read("test", |tx| quittance_store::checkouts::recent(tx, 9)).await.unwrap();
            assert_eq!(rows[0].wish.customer.as_str(), "ada");
            let stored = format!("{} {}", rows[0].wish.success_url, rows[0].wish.cancel_url);
            assert!(!stored.contains(token(&path)), "a link is not stored: {stored}");
            h.pay(rows[0].session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;

            let path = link(&app, "ada", "billing").await;
            let billing = get(&app, &path).await.text();
            assert!(billing.contains("Renews on") && billing.contains("/billing/portal"), "{billing}");
            let portal = |form: String| app.post("/billing/portal").key(None).form(&form).send();
            let opened = portal(format!("link={}", token(&path))).await;
            assert!(opened.header("location").starts_with("http://127.0.0.1:12111/"), "{}", opened.text());

            // Straight to the step, where the page says which.
            let subscription = h.engine.customer("ada").await.unwrap().subscriptions[0].clone();
            let id = subscription.subscription.facts.id;
            assert!(billing.contains("value=\"payment_method\""), "{billing}");
            for (start, step) in [("payment_method", "/card"), ("cancel", "/cancel"), ("change", "/change")] {
                let form = format!("link={}&start={start}&subscription={id}", token(&path));
                let opened = portal(form).await;
                let to = opened.header("location").replace("http://127.0.0.1:12111", "");
                let page = h.sandbox.handle(quittance_sandbox::HttpRequest::new("GET", &to, "", ""));
                let led = page.headers.iter().find(|(name, _)| name == "location");
                assert!(led.is_some_and(|(_, to)| to.ends_with(step)), "{start}: {led:?}");
            }
            let nowhere = portal(format!("link={}&start=cancel", token(&path))).await;
            assert_eq!(nowhere.status, 422, "which subscription must be said");

            // Another customer, a customer beside the link, a changed link, and none.
            let theirs = link(&app, "eve", "billing").await;
            assert!(!get(&app, &theirs).await.text().contains("Renews on"));
            assert!(!get(&app, &format!("{theirs}&customer=ada")).await.text().contains("Renews on"));
            assert_eq!(portal(format!("link={}&customer=ada", token(&theirs))).await.header("location"), {
                format!("/billing?notice=failed&link={}&lang=en", token(&theirs))
            });
            // Another's subscription is not reached by naming it.
            let form = format!("link={}&start=cancel&subscription={id}", token(&theirs));
            assert!(portal(form).await.header("location").starts_with("/billing?notice=failed"));
            let changed = token(&theirs).replace("657665", "616461");
            for form in
                [format!("link={changed}"), "link=".to_owned(), "customer=ada".to_owned(), String::new()]
            {
                assert_eq!(portal(form.clone()).await.status, 403, "{form}");
                assert_eq!(get(&app, &format!("/billing?{form}")).await.status, 403, "{form}");
            }
            // Other sites' pages do not know the link; if one leaked, their forms are refused all the same.
            let forged = app.post("/billing/portal").key(None).header("sec-fetch-site", "cross-site");
            assert_eq!(forged.form(&format!("link={}", token(&path))).send().await.status, 403);
        })
    })
    .await;
}

#[tokio::test]
async fn a_link_ends_after_an_hour_and_says_what_to_do() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let path = link(&app, "ada", "billing").await;
            assert_eq!(get(&app, &path).await.status, 200);
            h.sandbox.advance_time(3_601);
            let over = get(&app, &path).await;
            assert_eq!(over.status, 403);
            assert!(over.text().contains("Sign in to Atelier and open it from there"), "{}", over.text());
            assert!(!over.text().contains(&format!("link={}", token(&path))), "it is not passed on");
            let pricing = get(&app, &path.replace("/billing", "/pricing")).await.text();
            assert!(!pricing.contains("<form") && pricing.contains("sign in to Atelier"), "{pricing}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_link_needs_the_scope_the_root_key_and_an_id_that_can_be() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let read = app.post("/v1/customers/ada/page-link").key(Some(READ)).send().await;
            read.problem(403, "forbidden");
            app.post("/v1/customers/a%20b/page-link").send().await.problem(422, "invalid_request");
            let page = app.post("/v1/customers/ada/page-link").json(&json!({ "page": "admin" })).send().await;
            page.problem(400, "invalid_json");
            let keyless = http::AppConfig { secret: None, ..config(&h.engine, false) };
            let bare = App { router: http::router(keyless) };
            let problem = bare.post("/v1/customers/ada/page-link").send().await;
            let problem = problem.problem(501, "not_configured");
            assert!(problem["mend"].as_str().unwrap().contains("QUITTANCE_SECRET"), "{problem}");
            let path = link(&app, "ada", "billing").await;
            assert_eq!(get(&bare, &path).await.status, 403, "another server's link");
        })
    })
    .await;
}

#[tokio::test]
async fn pages_lead_back_to_the_app() {
    for test in quittance_store::testing::databases().await {
        let settings = Settings { app_url: Some(APP.to_owned()), ..Settings::default() };
        let h = House::with(test, settings, catalog()).await;
        let app = App::live(&h).await;
        let row = h.open(&crate::house::pro("ada")).await;
        let session = row.session.unwrap();
        h.pay(&session, "pm_card_visa");
        h.settle().await;
        let billing = link(&app, "ada", "billing").await;
        let back = format!("href=\"{APP}\"");
        for (path, words) in [
            (format!("/checkout/return?session_id={session}"), "Back to Atelier"),
            (billing, "Back to Atelier"),
            ("/billing".to_owned(), "Back to Atelier"),
            ("/pricing".to_owned(), "Sign in to choose"),
        ] {
            let page = get(&app, &path).await.text();
            assert!(page.contains(&back) && page.contains(words), "{path}: {page}");
        }
    }
}
