//! Payments within a page of the app, as the stand-in of the browser library frames them.

use quittance_sandbox::{HttpRequest, HttpResponse};

use crate::client::{Client, client, id, text};

const CARD: &str = "number=4242+4242+4242+4242&expiry=12%2F40&cvc=123&name=Ada&email=ada%40example.com";

fn send(client: &Client, method: &str, path: &str, form: &str) -> HttpResponse {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    client.sandbox.handle(HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: form.as_bytes().to_vec(),
        ..HttpRequest::default()
    })
}

fn body(answer: &HttpResponse) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

fn session(client: &Client, ui: &str) -> (String, String) {
    let price = client.price(1980, "jpy", "month");
    let form = format!(
        "mode=subscription&ui_mode={ui}&line_items[0][price]={price}&line_items[0][quantity]=1&return_url=https://app.test/ok?s={{CHECKOUT_SESSION_ID}}"
    );
    let made = client.post("/v1/checkout/sessions", &form);
    (id(&made), text(&made, "/client_secret").to_owned())
}

#[test]
fn the_library_frames_the_sandbox_and_says_that_it_is_none_of_the_providers() {
    let library = send(&client(), "GET", "/js/sandbox.js", "");
    assert_eq!(library.header_value("content-type"), Some("text/javascript; charset=utf-8"));
    let text = body(&library);
    assert!(
        text.starts_with("// QUITTANCE SANDBOX: a stand-in") && text.contains("createElement(\"iframe\")")
    );
}

#[test]
fn a_session_is_paid_in_its_frame_by_whoever_has_its_secret() {
    let client = client();
    for ui in ["embedded_page", "elements"] {
        let (session, secret) = session(&client, ui);
        let path = format!("/embed/{session}?secret={secret}");
        let page = send(&client, "GET", &path, "");
        assert_eq!(page.status, 200, "{}", body(&page));
        let policy = page.header_value("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors https://app.test;"), "{policy}");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let html = body(&page);
        assert!(
            html.contains("class=\"band-word\"") && !html.contains("class=\"travel\""),
            "marked as sandbox"
        );
        assert!(html.contains(&format!("action=\"{path}\"")), "{html}");
        // Without the secret there is nothing, and hosted pages are not framed.
        for other in [format!("/embed/{session}"), format!("/embed/{session}?secret={session}_secret_1")] {
            assert_eq!(send(&client, "GET", &other, "").status, 404, "{other}");
        }
        let hosted = send(&client, "GET", &format!("/c/pay/{session}"), "");
        let policy = hosted.header_value("content-security-policy").unwrap().to_owned();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let refused = send(&client, "POST", &path, &CARD.replace("4242+4242+4242+4242", "4000000000000002"));
        assert_eq!(refused.status, 402, "a refusal stays in the frame");
        let paid = send(&client, "POST", &path, CARD);
        let html = body(&paid);
        assert!(html.contains(&format!("data-leave=\"https://app.test/ok?s={session}\"")), "{html}");
        assert!(html.contains("target=\"_top\""), "{html}");
        let done = client.get(&format!("/v1/checkout/sessions/{session}"), "");
        assert_eq!((text(&done, "/status"), &done["client_secret"]), ("complete", &serde_json::Value::Null));
    }
}

#[test]
fn the_banks_step_takes_the_whole_window() {
    let client = client();
    let (session, secret) = session(&client, "embedded_page");
    let path = format!("/embed/{session}?secret={secret}");
    let asked = send(&client, "POST", &path, &CARD.replace("4242+4242+4242+4242", "4000000000003220"));
    assert!(body(&asked).contains("data-leave=\"http://sandbox.test/3ds/"), "{}", body(&asked));
}

#[test]
fn a_bare_payment_is_paid_in_its_frame() {
    let client = client();
    let pay = |form: &str, expected: &str, status: &str| {
        let made = client.post("/v1/payment_intents", "amount=3000&currency=jpy&description=Course");
        let (payment, secret) = (id(&made), text(&made, "/client_secret").to_owned());
        let path = format!("/embed/{payment}?secret={secret}&return_url=https%3A%2F%2Fapp.test%2Fok");
        let page = send(&client, "GET", &path, "");
        let policy = page.header_value("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors https://app.test;"), "{policy}");
        assert!(body(&page).contains("3,000") && body(&page).contains("Course"), "{}", body(&page));
        let answer = body(&send(&client, "POST", &path, form));
        assert!(answer.contains(&expected.replace("PI", &payment)), "{expected} in {answer}");
        assert!(!answer.contains(&format!("payment_intent_client_secret={secret}")));
        let found = client.get(&format!("/v1/payment_intents/{payment}"), "");
        assert_eq!(text(&found, "/status"), status);
    };
    let back = "data-leave=\"https://app.test/ok?payment_intent=PI&amp;redirect_status=succeeded\"";
    pay(CARD, back, "succeeded");
    pay("method=pm_konbini", "/pending/PI", "requires_action");
    pay(
        &CARD.replace("4242+4242+4242+4242", "4000000000000002"),
        "class=\"message bad\"",
        "requires_payment_method",
    );
    pay(&CARD.replace("4242+4242+4242+4242", "4000000000003220"), "/3ds/PI", "requires_action");
    pay("number=1", "class=\"message bad\"", "requires_payment_method");
}
