//! The pages' routes: what they show, whom they believe, and the headers they are served under.

use crate::client::{ADMIN, Answer, App, READ};
use crate::house::{House, on_each, pro};

fn html(answer: &Answer) -> String {
    assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.text());
    answer.text()
}

async fn get(app: &App, path: &str) -> Answer {
    app.get(path).key(None).send().await
}

#[tokio::test]
async fn the_whole_walk_in_development() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let home = get(&app, "/").await;
            assert_eq!((home.status.as_u16(), home.header("location")), (303, "/pricing"));
            let pricing = html(&get(&app, "/pricing").await);
            assert!(pricing.contains("¥1,980") && pricing.contains("value=\"demo\""), "{pricing}");
            assert!(pricing.contains("http://127.0.0.1:12111/_sandbox"), "the demo band");
            let yearly = html(&get(&app, "/pricing?interval=year&currency=usd&lang=ja").await);
            assert!(yearly.contains("$150.00") && yearly.contains("lang=\"ja\""));
            let form = "customer=demo&plan=pro&interval=month&currency=jpy&lang=en";
            let opened = app.post("/pricing/checkout").key(None).form(form).send().await;
            assert_eq!(opened.status, 303);
            assert!(
                opened.header("location").starts_with("http://127.0.0.1:12111/"),
                "{}",
                opened.header("location")
            );
            let rows =
                h.engine.db().read("test", |tx| quittance_store::checkouts::recent(tx, 10)).await.unwrap();
            let session = rows[0].session.clone().unwrap();
            assert!(rows[0].wish.cancel_url.contains("notice=cancelled"));

            let path = format!("/checkout/return?session_id={session}");
            let status = format!("/checkout/return/status?session_id={session}");
            h.pay(&session, "pm_card_visa");
            let waiting = html(&get(&app, &path).await);
            assert!(waiting.contains("data-poll"), "no worker runs, so the page waits: {waiting}");
            assert_eq!(get(&app, &status).await.value()["status"], "processing");
            h.settle().await;
            assert_eq!(get(&app, &status).await.value()["status"], "complete");
            let done = html(&get(&app, &path).await);
            assert!(
                done.contains("Pro") && done.contains("¥1,980") && done.contains("article:full"),
                "{done}"
            );

            let billing = html(&get(&app, "/billing?customer=demo").await);
            assert!(billing.contains("Pro") && billing.contains("/billing/portal"), "{billing}");
            let portal = app.post("/billing/portal").key(None).form("customer=demo").send().await;
            assert_eq!(portal.status, 303);
            assert!(portal.header("location").starts_with("http://127.0.0.1:12111/"));
            let again = app.post("/pricing/checkout").key(None).form(form).send().await;
            assert!(
                again.header("location").starts_with("/pricing?notice=subscribed"),
                "{}",
                again.header("location")
            );
            let subscribed = html(&get(&app, "/pricing?notice=subscribed").await);
            assert!(subscribed.contains("Your plan"), "{subscribed}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_purchase_is_told_as_it_is() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let mut course = pro("ada");
            (course.plan, course.interval) = ("course".into(), Some("once".into()));
            let row = h.open(&course).await;
            let session = row.session.unwrap();
            h.pay(&session, "pm_card_visa");
            h.settle().await;
            let done = html(&get(&app, &format!("/checkout/return?session_id={session}")).await);
            assert!(done.contains("¥12,000"), "{done}");
            let billing = html(&get(&app, "/billing?customer=ada").await);
            assert!(billing.contains("Course library") && billing.contains("¥12,000"), "{billing}");
        })
    })
    .await;
}

/// Somebody keeps the return page's address: what it says about money must stay true after renewals.
#[tokio::test]
async fn a_later_return_tells_nothing_wrong_of_money() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let row = h.open(&pro("ada")).await;
            let path = format!("/checkout/return?session_id={}", row.session.as_deref().unwrap());
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let done = html(&get(&app, &path).await);
            assert!(done.contains("You paid ¥1,980") && done.contains("/billing?customer=ada"), "{done}");
            let billing = html(&get(&app, "/billing?customer=ada").await);
            assert!(!billing.contains(">until "), "what renews does not end: {billing}");

            h.live(32).await;
            let renewed = html(&get(&app, &path).await);
            assert!(!renewed.contains("Nothing was charged") && !renewed.contains("You paid"), "{renewed}");

            let id = h.provider("GET", "/v1/subscriptions", "status=all")["data"][0]["customer"].clone();
            let id = id.as_str().unwrap();
            let card = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
            let card = h.provider("POST", card, &format!("customer={id}"))["id"].clone();
            let subscription = h.provider("GET", "/v1/subscriptions", "status=all")["data"][0]["id"].clone();
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{}", subscription.as_str().unwrap()),
                &format!("default_payment_method={}", card.as_str().unwrap()),
            );
            h.live(30).await;
            let failed = get(&app, &path).await;
            assert_eq!(failed.status, 303, "the billing page says what is owed");
            assert!(failed.header("location").starts_with("/billing?customer=ada"));
            let billing = html(&get(&app, "/billing?customer=ada").await);
            assert!(billing.contains("The last payment failed") && billing.contains(">until "), "{billing}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_second_payment_is_told_to_be_given_back() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let row = h.open(&pro("ada")).await;
            let session = row.session.unwrap();
            // The same wish once more, opened at the provider behind our back, as a crash between two nodes would.
            let ours = h.provider("GET", &format!("/v1/checkout/sessions/{session}"), "expand[]=line_items");
            let price = ours["line_items"]["data"][0]["price"]["id"].as_str().unwrap();
            let form = format!(
                "mode=subscription&customer={}&success_url=http://a.example&line_items[0][price]={price}&line_items[0][quantity]=1\
                 &subscription_data[metadata][quittance_customer]=ada",
                ours["customer"].as_str().unwrap()
            );
            let first = h.provider("POST", "/v1/checkout/sessions", &form);
            h.pay(first["id"].as_str().unwrap(), "pm_card_visa");
            h.pay(&session, "pm_card_visa");
            h.settle().await;
            let status = get(&app, &format!("/checkout/return/status?session_id={session}")).await.value();
            let page = html(&get(&app, &format!("/checkout/return?session_id={session}")).await);
            assert_eq!(status["status"], "duplicate", "{page}");
            assert!(page.contains("¥1,980"), "{page}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_trial_charges_nothing_and_says_when_it_will() {
    let with_trial = include_str!("../../../../catalog.toml").replacen(
        "includes = \"free\"",
        "includes = \"free\"\ntrial_days = 14",
        1,
    );
    for test in quittance_store::testing::databases().await {
        let catalog = quittance_domain::Catalog::parse(&with_trial).unwrap();
        let h = House::with(test, quittance_engine::Settings::default(), catalog).await;
        let app = App::dev(&h).await;
        assert!(html(&get(&app, "/pricing").await).contains("14 days"));
        let row = h.open(&pro("ada")).await;
        let session = row.session.unwrap();
        h.pay(&session, "pm_card_visa");
        h.settle().await;
        let done = html(&get(&app, &format!("/checkout/return?session_id={session}")).await);
        assert!(done.contains("14 Feb 2026") && done.contains("Nothing was charged"), "{done}");
        let billing = html(&get(&app, "/billing?customer=ada").await);
        assert!(billing.contains("14 Feb 2026"), "{billing}");
    }
}

#[tokio::test]
async fn forms_of_other_sites_open_nothing() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
                for (path, form) in [
                    ("/pricing/checkout", "customer=demo&plan=pro&interval=month&currency=jpy"),
                    ("/billing/portal", "customer=demo"),
                ] {
                    let call = app.post(path).key(None).header("host", "127.0.0.1:4242").header(name, value);
                    assert_eq!(call.form(form).send().await.status, 403, "{path} {name}");
                }
            }
            assert_eq!(h.calls(), 0);
        })
    })
    .await;
}

#[tokio::test]
async fn admin_wants_an_admin_key_in_production() {
    on_each(|h: &House| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let live = App::live(h).await;
            let bare = get(&live, "/admin").await;
            assert_eq!(bare.status, 401);
            assert!(bare.header("www-authenticate").starts_with("Basic"));
            assert!(!bare.text().contains("cus_"));
            assert!(bare.text().contains("admin scope") && !bare.text().contains("Sign in to Atelier"));
            let with = |key: &str| live.get("/admin").key(Some(key)).send();
            assert_eq!(with(READ).await.status, 403);
            assert_eq!(with("qk_wrong").await.status, 401);
            let page = with(ADMIN).await;
            assert_eq!(page.status, 200);
            assert!(html(&page).contains("customer.subscription.created"));
            // As a browser's password, whatever the name: "anyone:qk_admin" and "anyone:qk_read".
            for (code, status) in [
                ("YW55b25lOnFrX2FkbWlu", 200),
                ("YW55b25lOnFrX3JlYWQ=", 403),
                ("YW55b25lOg==", 401),
                ("%%%", 401),
            ] {
                let call = live.get("/admin").key(None).header("authorization", &format!("Basic {code}"));
                assert_eq!(call.send().await.status.as_u16(), status, "{code}");
            }
            let dev = App::dev(h).await;
            assert_eq!(get(&dev, "/admin").await.status, 200);
        })
    })
    .await;
}

#[tokio::test]
async fn pages_are_served_under_a_strict_policy() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            for path in [
                "/pricing",
                "/billing",
                "/docs",
                "/admin",
                "/checkout/return",
                "/checkout/return?session_id=x",
            ] {
                let page = get(&app, path).await;
                let csp = page.header("content-security-policy");
                assert!(
                    csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
                    "{path}: {csp}"
                );
                assert!(csp.contains("https://checkout.stripe.com http://127.0.0.1:12111"), "{path}: {csp}");
                assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
                assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
                assert_eq!(page.header("cross-origin-opener-policy"), "same-origin", "{path}");
                assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
                assert_eq!(page.header("cache-control"), "no-store", "{path}");
                assert!(!page.text().contains("style=") && !page.text().contains("onclick"), "{path}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_packed() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            for (path, media) in [
                (quittance_server::pages::STYLE_PATH, "text/css; charset=utf-8"),
                (quittance_server::pages::SCRIPT_PATH, "text/javascript; charset=utf-8"),
            ] {
                let asset = get(&app, path).await;
                assert_eq!((asset.status.as_u16(), asset.header("content-type")), (200, media));
                assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
                let packed = app.get(path).key(None).header("accept-encoding", "gzip").send().await;
                assert_eq!(packed.header("content-encoding"), "gzip");
                assert!(packed.body.len() < asset.body.len());
            }
            assert_eq!(get(&app, "/assets/app-0000000000000000.css").await.status, 404);
        })
    })
    .await;
}

#[tokio::test]
async fn the_readers_language_is_spoken() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let call = app.get("/pricing").key(None).header("accept-language", "ja-JP,en;q=0.8");
            let page = html(&call.send().await);
            assert!(page.contains("lang=\"ja\"") && page.contains("プロ") && page.contains("1,980円"));
            assert!(page.contains("/pricing?lang=en"), "the switch");
            let problem = app.get("/nothing?lang=ja").key(None).header("accept", "text/html").send().await;
            assert!(html(&problem).contains("lang=\"ja\""));
        })
    })
    .await;
}

#[tokio::test]
async fn what_an_address_says_is_only_text() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let evil = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
            for path in [
                format!("/pricing?customer={evil}&interval={evil}&currency={evil}&notice={evil}&x={evil}&lang={evil}"),
                format!("/billing?customer={evil}"),
                format!("/checkout/return?session_id={evil}"),
                format!("/nothing/{evil}"),
            ] {
                let page = app.get(&path).key(None).header("accept", "text/html").send().await;
                assert!(!page.text().contains("<script>"), "{path}: {}", page.text());
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_promotion_code_is_typed_shown_and_bought_with() {
    for test in quittance_store::testing::databases().await {
        let with_codes = format!(
            "{}\n[[promotion]]\nkey = \"welcome\"\ncode = \"WELCOME20\"\nname = {{ en = \"Welcome\", ja = \"ようこそ\" }}\noff = {{ percent = 20 }}\nlasts = {{ months = 3 }}\nplans = [\"pro\"]\n\n[[promotion]]\nkey = \"secret_half\"\nname = {{ en = \"Half\" }}\noff = {{ percent = 50 }}\n",
            include_str!("../../../../catalog.toml")
        );
        let catalog = quittance_domain::Catalog::parse(&with_codes).unwrap();
        let coupon = quittance_domain::offer::coupon_of_promotion(catalog.promotion("WELCOME20").unwrap());
        let h = House::with(test, quittance_engine::Settings::default(), catalog).await;
        h.provider(
            "POST",
            "/v1/coupons",
            &format!("id={coupon}&percent_off=20&duration=repeating&duration_in_months=3"),
        );
        let form = format!("promotion[type]=coupon&promotion[coupon]={coupon}&code=WELCOME20");
        h.provider("POST", "/v1/promotion_codes", &form);
        let app = App::dev(&h).await;
        let plain = html(&get(&app, "/pricing?customer=ada").await);
        assert!(
            plain.contains("<label for=\"code\">Promotion code</label>") && !plain.contains("<s "),
            "{plain}"
        );
        let page = html(&get(&app, "/pricing?customer=ada&interval=month&code=welcome20").await);
        for part in [
            "<s class=\"muted\">¥1,980</s>",
            "<span class=\"amount\">¥1,584</span>",
            "Usual price:",
            "Welcome: 20% off. For 3 months, then ¥1,980 per month.",
            "role=\"status\"",
            "name=\"code\" value=\"WELCOME20\"",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert_eq!(page.matches("<s ").count(), 1, "it holds for one plan only: {page}");
        assert!(page.contains("interval=year") && page.contains("code=welcome20"), "switches keep it");
        let page = html(&get(&app, "/pricing?customer=ada&lang=ja&code=WELCOME20").await);
        assert!(page.contains("ようこそ：20%割引"), "{page}");
        // The key of a promotion, an id of the provider and nonsense are no codes.
        for wrong in ["secret_half", "promo_1", "x%22%3E%3Cb%3E"] {
            h.sandbox.reset_provider_calls();
            let page = html(&get(&app, &format!("/pricing?customer=ada&code={wrong}")).await);
            assert!(
                page.contains("does not hold") && !page.contains("<s ") && !page.contains("<b>"),
                "{page}"
            );
            assert_eq!(h.calls(), 0, "{wrong}");
        }
        let form = "customer=ada&plan=pro&interval=month&currency=jpy&lang=en&code=WELCOME20";
        let opened = app.post("/pricing/checkout").key(None).form(form).send().await;
        assert_eq!(opened.status, 303, "{}", opened.text());
        let rows = h.engine.db().read("test", |tx| quittance_store::checkouts::recent(tx, 9)).await.unwrap();
        let deal = rows[0].wish.deal.clone().unwrap();
        assert_eq!((deal.total, rows[0].wish.promotion_code.as_deref()), (1_584, Some("WELCOME20")));
    }
}
