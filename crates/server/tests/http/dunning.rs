//! A failing payment as the app, the customer and the operator see it.

use crate::client::{App, READ};
use crate::house::{House, on_each};

/// The renewal of `id` needs the bank's confirmation; the subscription and its open invoice.
async fn failing(h: &House, id: &str) -> (String, String) {
    let subscription = h.subscriber(id).await;
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    let buyer = found["customer"].as_str().unwrap();
    let path = "/v1/payment_methods/pm_card_authenticationRequired/attach";
    let method = h.provider("POST", path, &format!("customer={buyer}"));
    let form = format!("default_payment_method={}", method["id"].as_str().unwrap());
    h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
    h.live(29).await;
    let found = h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "");
    (subscription, found["latest_invoice"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_payment_that_needs_its_customer_is_one_click_away() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::dev(h).await;
            let (subscription, invoice) = failing(h, "ada").await;
            let shown = app.get(&format!("/v1/subscriptions/{subscription}")).send().await.ok();
            let issue = &shown["payment_issue"];
            assert_eq!(issue["kind"], "action_required", "{shown}");
            assert_eq!(
                (&issue["invoice"], &issue["amount"]["amount"]),
                (&invoice.clone().into(), &1_980.into())
            );
            assert_eq!((&issue["cause"], &issue["attempts"]), (&"authentication".into(), &1.into()));
            assert!(issue["next_attempt_at"].as_str().is_some());
            let url = issue["action_url"].as_str().unwrap().to_owned();
            assert!(url.starts_with("http://127.0.0.1:12111/i/"), "the provider's own page: {url}");
            let customer = app.get("/v1/customers/ada").send().await.ok();
            assert_eq!(customer["subscriptions"][0]["payment_issue"]["action_url"], url);

            // What is owed comes before anything that costs more; the problem says where it is paid.
            let change = app.post(&format!("/v1/subscriptions/{subscription}/change"));
            let owed =
                change.json(&serde_json::json!({ "quantity": 2 })).send().await.problem(409, "payment_owed");
            assert!(owed["mend"].as_str().unwrap().contains("payment_issue.action_url"), "{owed}");
            let told = app.get("/billing?customer=ada&notice=owed").key(None).send().await.text();
            assert!(told.contains("Please pay it first"), "{told}");

            for (lang, words) in [("en", "Confirm the payment"), ("ja", "本人認証に進む")] {
                let page =
                    app.get(&format!("/billing?customer=ada&lang={lang}")).key(None).send().await.text();
                let link = format!("/billing/pay?customer=ada&amp;invoice={invoice}&amp;lang={lang}");
                assert!(page.contains(words) && page.contains(&link), "{page}");
            }
            let path = format!("/billing/pay?customer=ada&invoice={invoice}");
            let led = app.get(&path).key(None).send().await;
            assert_eq!((led.status.as_u16(), led.header("location")), (303, url.as_str()));
            let any = app.get("/billing/pay?customer=ada").key(None).send().await;
            assert_eq!(any.header("location"), url, "the invoice need not be named");
            let other =
                app.get(&format!("/billing/pay?customer=eve&invoice={invoice}")).key(None).send().await;
            assert_eq!(other.status, 404, "another's invoice is not shown");

            let found = h.provider("GET", &format!("/v1/invoices/{invoice}"), "expand[0]=payments");
            let intent =
                found["payments"]["data"][0]["payment"]["payment_intent"].as_str().unwrap().to_owned();
            assert!(h.sandbox.authenticate(&intent, true).unwrap());
            let paid = app.get(&path).key(None).send().await;
            assert!(
                paid.header("location").starts_with("/billing?notice=paid"),
                "{}",
                paid.header("location")
            );
            h.settle().await;
            let shown = app.get(&format!("/v1/subscriptions/{subscription}")).send().await.ok();
            assert_eq!((&shown["access"], shown["payment_issue"].is_null()), (&"granted".into(), true));
            let page = app.get("/billing?customer=ada&notice=paid").key(None).send().await.text();
            assert!(page.contains("nothing to pay") && !page.contains("/billing/pay"), "{page}");
        })
    })
    .await;
}

#[tokio::test]
async fn failing_payments_are_listed_and_summed() {
    on_each(|h: &House| {
        Box::pin(async move {
            let app = App::live(h).await;
            let empty = app.get("/v1/dunning").send().await.ok();
            assert_eq!(empty, serde_json::json!({ "data": [], "next_cursor": null, "summary": [] }));
            let (subscription, invoice) = failing(h, "ada").await;
            let found = app.get("/v1/dunning?customer=ada&outcome=open").send().await.ok();
            let case = &found["data"][0];
            assert_eq!(
                (&case["subscription"], &case["invoice"]),
                (&subscription.clone().into(), &invoice.clone().into())
            );
            assert_eq!((&case["cause"], &case["outcome"]), (&"authentication".into(), &"open".into()));
            let line = &found["summary"][0];
            assert_eq!((&line["month"], &line["currency"]), (&"2026-02".into(), &"jpy".into()));
            assert_eq!(line["at_risk"], serde_json::json!({ "count": 1, "amount": 1_980 }));
            assert_eq!(line["open"], line["at_risk"]);
            let none = app.get("/v1/dunning?outcome=lost&months=1").send().await.ok();
            assert_eq!(none["data"].as_array().unwrap().len(), 0);
            h.provider("POST", &format!("/v1/invoices/{invoice}/pay"), "paid_out_of_band=true");
            h.settle().await;
            let after = app.get("/v1/dunning").send().await.ok();
            assert_eq!(after["data"][0]["recovered_by"], "out_of_band");
            assert_eq!(after["summary"][0]["recovered"]["amount"], 1_980);
            app.get("/v1/dunning?outcome=maybe").send().await.problem(422, "invalid_request");
            app.get("/v1/dunning?months=0").send().await.problem(422, "invalid_request");
            app.get("/v1/dunning").key(Some(READ)).send().await.problem(403, "forbidden");
            let admin = App::dev(h).await.get("/admin").key(None).send().await.text();
            assert!(admin.contains("Failing payments") && admin.contains("1,980 JPY (1)"), "{admin}");
        })
    })
    .await;
}
