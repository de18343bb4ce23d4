//! Mails on pages and over the API: previews for operators, links and choices for customers who are not signed in.

use quittance_domain::access::OnLatePayment;
use quittance_domain::change::When;
use quittance_domain::fraud::Level;
use quittance_domain::shop::CancelMode;
use quittance_domain::{CustomerId, Mode, Provider, Scope};
use quittance_engine::Settings;
use quittance_engine::subscriptions::Change;
use quittance_mail::links::Target;
use quittance_mail::{Kind, MailLinks};
use quittance_store::customers::CustomerPatch;
use quittance_store::mails::NewMail;
use serde_json::json;

use crate::client::{ADMIN, App, READ, ROOT};
use crate::house::{DAY, House, catalog, on_each};
use crate::known_kit::{break_card, failing_subscriber, newest_invoice, operator, retry_settings};

fn links() -> MailLinks {
    MailLinks::new(ROOT.to_owned().into(), &Scope::own(Provider::Stripe, Mode::Test))
}

fn path(h: &House, customer: &str, target: &Target) -> String {
    let token = links().sign(&CustomerId::parse(customer).unwrap(), target, h.engine.now()).unwrap();
    target.path(&token)
}

async fn met(h: &House, id: &str) {
    h.engine.put_customer(&CustomerId::parse(id).unwrap(), CustomerPatch::default()).await.unwrap();
}

#[tokio::test]
async fn operators_look_at_every_mail_and_nobody_else_does() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for path in
                ["/admin/mail", "/admin/mail/receipt/ja", "/admin/mail/receipt/ja/html", "/admin/mail/kept/1"]
            {
                assert_eq!(app.get(path).key(None).send().await.status, 401, "{path}");
                assert_eq!(app.get(path).key(Some(READ)).send().await.status, 403, "{path}");
            }
            let all = app.get("/admin/mail").key(Some(ADMIN)).send().await.text();
            for kind in Kind::ALL {
                for language in ["en", "ja"] {
                    let path = format!("/admin/mail/{kind}/{language}");
                    assert!(all.contains(&format!("href=\"{path}\"")), "{path}");
                    let page = app.get(&path).key(Some(ADMIN)).send().await;
                    assert_eq!(page.status, 200, "{path}");
                    assert!(page.text().contains(&format!("src=\"{path}/html\" sandbox")), "{}", page.text());
                    assert!(page.header("content-security-policy").contains("frame-src 'self'"));
                    assert_eq!(page.header("x-frame-options"), "DENY");
                }
            }
            let html = app.get("/admin/mail/receipt/ja/html").key(Some(ADMIN)).send().await;
            let policy = html.header("content-security-policy");
            for part in ["default-src 'none'", "sandbox", "frame-ancestors 'self'"] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(!policy.contains("script-src") && html.header("x-frame-options") == "SAMEORIGIN");
            assert!(html.text().contains("お支払いありがとうございます"));
            for nothing in ["/admin/mail/newsletter/en", "/admin/mail/receipt/fr", "/admin/mail/kept/1"] {
                assert_eq!(app.get(nothing).key(Some(ADMIN)).send().await.status, 404, "{nothing}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn mails_that_were_kept_are_shown_in_development() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let mail = NewMail {
                message_id: "1@example.com".into(),
                delivery: None,
                customer: None,
                kind: "receipt".into(),
                language: "en".into(),
                template: "v1".into(),
                rules: None,
                address: "ada@example.com".into(),
                subject: Some("<b>Paid</b>".into()),
                text: Some("<script>alert(1)</script>".into()),
                html: Some("<p style=\"color:#0b6e4f\">Thank you</p>".into()),
                sha256: "ff".into(),
                captured: true,
            };
            let now = h.engine.now();
            h.engine
                .db()
                .write("test.mail", move |tx| quittance_store::mails::put(tx, &mail, now))
                .await
                .unwrap();
            let all = app.get("/admin/mail").key(None).send().await.text();
            assert!(all.contains("ada@example.com") && all.contains("&lt;b&gt;Paid"), "{all}");
            let link = all.split("/admin/mail/kept/").nth(1).unwrap().split('"').next().unwrap();
            let page = app.get(&format!("/admin/mail/kept/{link}")).key(None).send().await.text();
            assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{page}");
            let html = app.get(&format!("/admin/mail/kept/{link}/html")).key(None).send().await;
            assert_eq!(html.text(), "<p style=\"color:#0b6e4f\">Thank you</p>");
            assert!(html.header("content-security-policy").contains("sandbox"));
        })
    })
    .await;
}

#[tokio::test]
async fn a_mails_link_does_its_one_thing_for_its_time() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let subscription = h.subscriber("ada").await;
            met(h, "eve").await;
            let get = |path: String| app.get(&path).key(None).send();
            let go = |path: String| app.post(&path).key(None).form("").send();
            let target = Target::Card;
            // A program that follows links of mails opens nothing at the provider, however often it looks.
            h.sandbox.reset_provider_calls();
            for _ in 0..3 {
                let page = get(format!("{}?lang=ja", path(h, "ada", &target))).await;
                assert_eq!(page.status, 200, "{}", page.text());
                assert!(page.text().contains("決済会社のページに移動"), "{}", page.text());
                assert!(page.text().contains("method=\"post\""), "{}", page.text());
            }
            assert_eq!(h.calls(), 0);
            let forged = app.post(&path(h, "ada", &target)).key(None);
            let forged = forged.header("sec-fetch-site", "cross-site").form("").send().await;
            assert_eq!((forged.status.as_u16(), h.calls()), (403, 0));
            let opened = go(path(h, "ada", &target)).await;
            assert_eq!(opened.status, 303, "{}", opened.text());
            assert!(opened.header("location").starts_with("http://127.0.0.1:12111/"));
            assert!(h.calls() > 0);
            let billing = get(path(h, "ada", &Target::Billing)).await.header("location").to_owned();
            assert!(billing.starts_with("/billing?link="), "{billing}");
            assert!(get(billing).await.text().contains("Renews on"));
            // Somebody else's subscription is not cancelled with a link of one's own.
            let theirs = go(path(h, "eve", &Target::Cancel(subscription))).await;
            assert!(theirs.header("location").starts_with("/billing?link="), "{}", theirs.header("location"));
            assert!(theirs.header("location").ends_with("notice=failed"));
            let good = path(h, "ada", &Target::Card);
            assert_eq!(get(format!("{good}0")).await.status, 404);
            assert_eq!(get("/mail/open/x".to_owned()).await.status, 404);
            h.sandbox.advance_time(31 * DAY);
            let over = get(format!("{good}?lang=ja")).await;
            assert_eq!(over.status, 410);
            assert!(over.text().contains("リンクの有効期限が切れました"), "{}", over.text());
        })
    })
    .await;
}

/// Follows the link of a mail to the form that cancels, and sends that.
async fn the_link_cancels(h: &House, app: &App, who: &str, id: &str) {
    h.sandbox.reset_provider_calls();
    let link = path(h, who, &Target::Cancel(id.to_owned()));
    let to = app.get(&link).key(None).send().await.header("location").to_owned();
    assert_eq!(to, app.post(&link).key(None).form("").send().await.header("location"), "{who}");
    let (page, place) = to.split_once('#').unwrap();
    let shown = app.get(page).key(None).send().await.text();
    assert_eq!(h.calls(), 0, "{who}: looking changes nothing");
    assert!(shown.contains(&format!("id=\"{place}\" open")), "{who}: {shown}");
    let token = page.split("link=").nth(1).unwrap().split('&').next().unwrap();
    let form = format!("link={token}&lang=en&subscription={id}&reason=");
    let done = app.post("/billing/cancel").key(None).form(&form).send().await;
    assert!(done.header("location").contains("notice=changed"), "{who}: {}", done.text());
    h.settle().await;
    let row = h.engine.subscription(id).await.unwrap();
    assert!(row.subscription.facts.ends_at().is_some(), "{who}");
    let again = app.get(&link).key(None).send().await;
    assert!(again.header("location").starts_with("/billing?link="), "{who}: it shows when it ends");
}

/// Where the provider's pages offer no cancelling, the links of mails still do: rules ask for it.
#[tokio::test]
async fn where_the_portal_does_not_cancel_the_link_does() {
    for test in quittance_store::testing::databases().await {
        let mut settings = Settings::default();
        settings.portal.cancel = CancelMode::Off;
        let h = House::with(test, settings, catalog()).await;
        let app = App::live(&h).await;
        let id = h.subscriber("ada").await;
        the_link_cancels(&h, &app, "ada", &id).await;
    }
}

/// The provider's page refuses where a change is planned and whoever is suspended; ours cancels all the same.
#[tokio::test]
async fn the_link_to_cancel_leads_to_a_form_that_cancels() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            for who in ["plain", "planned", "suspended"] {
                let id = h.subscriber(who).await;
                match who {
                    "planned" => {
                        let change = Change {
                            interval: Some("year".into()),
                            when: Some(When::PeriodEnd),
                            ..Change::default()
                        };
                        h.engine.change_subscription(&id, &change, None).await.unwrap();
                        h.settle().await;
                        let row = h.engine.subscription(&id).await.unwrap();
                        assert!(row.subscription.scheduled.is_some());
                    }
                    "suspended" => {
                        let (who, by) = (CustomerId::parse(who).unwrap(), operator());
                        h.engine.suspend(&who, Level::All, "stolen card", &by).await.unwrap();
                        h.settle().await;
                    }
                    _ => {}
                }
                the_link_cancels(h, &app, who, &id).await;
            }
        })
    })
    .await;
}

/// Money for a subscription that has ended would give nothing: the old letter's link takes none.
#[tokio::test]
async fn a_link_to_pay_takes_nothing_for_what_is_over() {
    for (late_payment, page) in [(OnLatePayment::Ignore, "/billing?"), (OnLatePayment::Grant, "http")] {
        for test in quittance_store::testing::databases().await {
            let mut settings = Settings::default();
            settings.access.money.late_payment = late_payment;
            let h = &House::with(test, settings, catalog()).await;
            let app = App::live(h).await;
            let id = failing_subscriber(h, "ada").await;
            let invoice = newest_invoice(h, &id);
            let link = path(h, "ada", &Target::Pay(invoice.clone()));
            let token = || async {
                let billing = app.get(&path(h, "ada", &Target::Billing)).key(None).send().await;
                billing.header("location").split("link=").nth(1).unwrap().to_owned()
            };
            let owed = app.get(&link).key(None).send().await;
            assert!(owed.header("location").starts_with("http://127.0.0.1:12111/i/"), "{}", owed.text());
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            let still = h.provider("GET", &format!("/v1/invoices/{invoice}"), "");
            assert_eq!(still["status"], "open", "at the provider it can still be paid");
            let over = app.get(&link).key(None).send().await;
            let gives = late_payment == OnLatePayment::Grant;
            assert_eq!(over.status, if gives { 303 } else { 200 }, "{}", over.text());
            for named in [format!("&invoice={invoice}"), String::new()] {
                let way = format!("/billing/pay?link={}{named}", token().await);
                let to = app.get(&way).key(None).send().await.header("location").to_owned();
                assert!(to.starts_with(page), "{late_payment:?}: {to}");
            }
            // A period that was used to its end is owed, whatever follows.
            retry_settings(h, &json!({ "retry_days": [1], "on_exhaustion": "leave" }));
            let used = h.subscriber("bea").await;
            break_card(h, &used);
            h.live(32).await;
            h.provider("POST", &format!("/v1/subscriptions/{used}"), "cancel_at_period_end=true");
            h.live(32).await;
            let facts = h.engine.subscription(&used).await.unwrap().subscription.facts;
            assert!(facts.ended_at.is_some() && facts.ended_at == facts.period_end(), "{facts:?}");
            let link = path(h, "bea", &Target::Pay(newest_invoice(h, &used)));
            let owed = app.get(&link).key(None).send().await;
            assert!(owed.header("location").starts_with("http://127.0.0.1:12111/i/"), "{}", owed.text());
        }
    }
}

#[tokio::test]
async fn one_click_declines_one_kind_and_the_page_chooses() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            met(h, "ada").await;
            let wanted = |kind: &'static str| {
                let call = app.get("/v1/customers/ada/notice-preferences").send();
                async move {
                    let all = call.await.ok();
                    let all = all["preferences"].as_array().unwrap().clone();
                    all.iter().find(|one| one["kind"] == kind).unwrap()["wanted"].as_bool().unwrap()
                }
            };
            let link = path(h, "ada", &Target::Preferences(Kind::CardExpiring));
            // Looking changes nothing, whoever looks.
            let page = app.get(&format!("{link}?lang=ja")).key(None).send().await;
            assert!(page.text().contains("お選びいただけるメール"), "{}", page.text());
            assert!(wanted("card_expiring").await);
            // A mail program posts from its own servers.
            let click = app.post(&link).key(None).header("sec-fetch-site", "cross-site");
            let click = click.form("List-Unsubscribe=One-Click").send().await;
            assert_eq!(click.status, 200);
            assert!(!wanted("card_expiring").await && wanted("grace_ending").await);
            // The page's form, from the page only.
            let form = "choices=1&lang=en&card_expiring=on&grace_ending=on";
            let forged = app.post(&link).key(None).header("sec-fetch-site", "cross-site");
            assert_eq!(forged.form(form).send().await.status, 403);
            let saved = app.post(&link).key(None).form(form).send().await;
            assert!(saved.text().contains("Saved."), "{}", saved.text());
            assert!(wanted("card_expiring").await && !wanted("payment_recovered").await);
            assert_eq!(app.post(&link).key(None).form("x=1").send().await.status, 422);
            // What cannot be declined stays, whatever a link says.
            let fixed = path(h, "ada", &Target::Preferences(Kind::Receipt));
            assert_eq!(
                app.post(&fixed).key(None).form("List-Unsubscribe=One-Click").send().await.status,
                200
            );
            assert!(wanted("receipt").await);
            let other = path(h, "ada", &Target::Card).replace("/open/", "/preferences/");
            assert_eq!(app.get(&other).key(None).send().await.status, 404);
        })
    })
    .await;
}

#[tokio::test]
async fn an_app_sets_what_its_customer_gets() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            met(h, "ada").await;
            let put = |id: &str, body: serde_json::Value| {
                app.call(axum::http::Method::PUT, &format!("/v1/customers/{id}/notice-preferences"))
                    .json(&body)
                    .send()
            };
            let off = put("ada", json!({ "preferences": { "card_expiring": false } })).await.ok();
            let one = |kind: &str| {
                off["preferences"].as_array().unwrap().iter().find(|p| p["kind"] == kind).unwrap().clone()
            };
            assert_eq!(
                one("card_expiring"),
                json!({ "kind": "card_expiring", "wanted": false, "optional": true })
            );
            assert_eq!(one("receipt"), json!({ "kind": "receipt", "wanted": true, "optional": false }));
            let refused = put("ada", json!({ "preferences": { "receipt": false } })).await;
            assert!(refused.problem(422, "invalid_request")["detail"].as_str().unwrap().contains("receipt"));
            put("ada", json!({ "preferences": { "newsletter": true } }))
                .await
                .problem(422, "invalid_request");
            put("nobody", json!({ "preferences": {} })).await.problem(404, "not_found");
            app.get("/v1/customers/nobody/notice-preferences").send().await.problem(404, "not_found");
        })
    })
    .await;
}
