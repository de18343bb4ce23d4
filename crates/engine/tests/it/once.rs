//! What is bought once: on a page of the app, by a bare payment, and by methods that settle days later.

use quittance_domain::Access;
use quittance_domain::checkout::{CheckoutState, CheckoutUi};
use quittance_domain::ledger::Account;
use quittance_domain::notices::NoticeKind;
use quittance_domain::notices::truth::Truth;
use quittance_engine::ProblemCode;
use quittance_engine::Settings;
use quittance_engine::checkout::NewCheckout;
use serde_json::{Value, json};

use crate::app_kit::{of_kind, told};
use crate::house::{House, customer, on_each, pro};
use crate::known_kit::told as notices;

fn course(id: &str, ui: CheckoutUi, reference: &str) -> NewCheckout {
    let once = Some("once".into());
    NewCheckout { plan: "course".into(), interval: once, ui, reference: Some(reference.into()), ..pro(id) }
}

/// What the app was told of purchases: the state each time.
async fn states(h: &House, id: &str) -> Vec<Value> {
    of_kind(&told(h, id).await, "purchase.changed").iter().map(|e| e["data"]["state"].clone()).collect()
}

/// The buyer pays on a page of the app, with the provider's library.
fn confirm(h: &House, payment: &str, method: &str) -> Value {
    h.provider("POST", &format!("/v1/payment_intents/{payment}/confirm"), &format!("payment_method={method}"))
}

fn answer(h: &House, payment: &str, outcome: &str) {
    let control = format!("/_sandbox/payment_intents/{payment}/settle");
    let body = json!({ "outcome": outcome }).to_string();
    let request = quittance_sandbox::HttpRequest::new("POST", &control, "", &body);
    let answered = h.sandbox.handle(request);
    assert!(answered.status < 300, "{}", String::from_utf8_lossy(&answered.body));
}

/// What the books say was sold, in yen.
async fn revenue(h: &House) -> i64 {
    let all = h.engine.trial_balance(quittance_domain::Timestamp::from_ms(i64::MAX)).await.unwrap();
    all.iter().filter(|line| line.account == Account::Revenue).map(|line| line.balance()).sum()
}

async fn state(h: &House, id: &str) -> CheckoutState {
    h.engine.checkout_row(id).await.unwrap().state
}

#[tokio::test]
async fn a_page_of_the_app_gets_a_secret_and_no_address() {
    on_each(|h| {
        Box::pin(async move {
            for ui in [CheckoutUi::Embedded, CheckoutUi::Elements] {
                let who = ui.as_str();
                let row = h.open(&course(who, ui, "order 1")).await;
                let session = row.session.clone().unwrap();
                let secret = row.client_secret.clone().unwrap();
                assert!(secret.starts_with(&session) && row.url.is_none(), "{row:?}");
                assert_eq!(h.open(&course(who, ui, "order 1")).await, row, "the same wish");
                let found = h.provider("GET", &format!("/v1/checkout/sessions/{session}"), "");
                let mode = if ui == CheckoutUi::Embedded { "embedded_page" } else { "elements" };
                assert_eq!(found["ui_mode"], mode);
                assert_eq!(found["metadata"]["quittance_reference"], "order 1");
                assert!(found["return_url"].as_str().unwrap().contains("{CHECKOUT_SESSION_ID}"));
                h.pay(&session, "pm_card_visa");
                h.settle().await;
                assert!(h.allowed(who, "course:library").await);
                let over = h.engine.checkout_row(row.id.as_str()).await.unwrap();
                assert_eq!((over.state, over.client_secret), (CheckoutState::Complete, None));
                assert_eq!(states(h, who).await, ["paid"]);
                let event = of_kind(&told(h, who).await, "purchase.changed")[0].clone();
                assert_eq!(event["data"]["reference"], "order 1");
                assert_eq!(event["data"]["amount"], json!({ "amount": 12_000, "currency": "jpy" }));
            }
            // Another way to pay is another wish: the first can not be paid any more.
            let hosted = h.open(&course("eve", CheckoutUi::Hosted, "order 2")).await;
            assert!(hosted.url.is_some() && hosted.client_secret.is_none());
            let embedded = h.open(&course("eve", CheckoutUi::Embedded, "order 2")).await;
            assert_ne!(hosted.id, embedded.id);
            assert_eq!(state(h, hosted.id.as_str()).await, CheckoutState::Expired);
            // Without a publishable key no page could use it.
            let bare = h.engine_with(Settings::default()).await;
            let refused = bare.open_checkout(&course("bob", CheckoutUi::Embedded, "order 3")).await;
            assert_eq!(refused.unwrap_err().code, ProblemCode::NotConfigured);
        })
    })
    .await;
}

#[tokio::test]
async fn a_bare_payment_is_made_once_and_paid_once() {
    on_each(|h| {
        Box::pin(async move {
            let wish = course("ada", CheckoutUi::PaymentIntent, "order 7");
            let row = h.open(&wish).await;
            let payment = row.session.clone().unwrap();
            assert!(payment.starts_with("pi_") && row.client_secret.as_ref().unwrap().starts_with(&payment));
            assert_eq!(h.open(&wish).await, row, "asked again, it is the same payment");
            let found = h.provider("GET", &format!("/v1/payment_intents/{payment}"), "");
            assert_eq!((&found["amount"], &found["currency"]), (&json!(12_000), &json!("jpy")));
            assert_eq!(found["metadata"]["quittance_reference"], "order 7");
            // A card that is refused in front of the buyer is no purchase, and the payment can still be made.
            let path = format!("/v1/payment_intents/{payment}/confirm");
            let form = "payment_method=pm_card_visa_chargeDeclined";
            let request = quittance_sandbox::HttpRequest::new("POST", &path, "sk_test_house", form);
            assert_eq!(h.sandbox.handle(request).status, 402);
            h.settle().await;
            assert_eq!(state(h, &payment).await, CheckoutState::Open);
            assert_eq!(states(h, "ada").await, Vec::<Value>::new());
            confirm(h, &payment, "pm_card_visa");
            h.settle().await;
            assert!(h.allowed("ada", "course:library").await);
            let over = h.engine.checkout_row(&payment).await.unwrap();
            assert_eq!((over.state, over.client_secret), (CheckoutState::Complete, None));
            assert_eq!(states(h, "ada").await, ["paid"]);
            assert_eq!(revenue(h).await, -12_000, "in the books once");
            // Another order is another payment, and closes the one that nobody has made.
            let first = h.open(&course("eve", CheckoutUi::PaymentIntent, "order 8")).await;
            let second = h.open(&course("eve", CheckoutUi::PaymentIntent, "order 9")).await;
            assert_ne!(first.session, second.session);
            let gone = h.provider("GET", &format!("/v1/payment_intents/{}", first.session.unwrap()), "");
            assert_eq!(gone["status"], "canceled");
            // A subscription is no bare payment.
            let wrong = NewCheckout { ui: CheckoutUi::PaymentIntent, ..pro("bob") };
            let refused = h.engine.open_checkout(&wrong).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::InvalidRequest);
        })
    })
    .await;
}

#[tokio::test]
async fn a_method_that_settles_days_later_is_processing_until_then() {
    on_each(|h| {
        Box::pin(async move {
            for ui in [CheckoutUi::PaymentIntent, CheckoutUi::Embedded] {
                for (outcome, paid) in [("success", true), ("failure", false)] {
                    let who = format!("{}_{outcome}", ui.as_str());
                    let row = h.open(&course(&who, ui, "order 1")).await;
                    let session = row.session.clone().unwrap();
                    let payment = if ui == CheckoutUi::PaymentIntent {
                        confirm(h, &session, "pm_konbini");
                        session.clone()
                    } else {
                        h.pay(&session, "pm_konbini");
                        let found = h.provider("GET", &format!("/v1/checkout/sessions/{session}"), "");
                        found["payment_intent"].as_str().unwrap().to_owned()
                    };
                    h.settle().await;
                    assert_eq!(state(h, &session).await, CheckoutState::Processing, "{who}");
                    assert!(!h.allowed(&who, "course:library").await, "{who}: nothing is paid yet");
                    let view = h.engine.customer(&who).await.unwrap();
                    assert_eq!(view.purchases[0].standing.at(h.engine.now()), Access::Pending);
                    // Its money may be on the way: no second payment is opened beside it.
                    let again = h.engine.open_checkout(&course(&who, CheckoutUi::Hosted, "order 2")).await;
                    assert_eq!(again.unwrap_err().code, ProblemCode::CheckoutInProgress, "{who}");
                    h.live(2).await;
                    answer(h, &payment, outcome);
                    h.settle().await;
                    assert_eq!(h.allowed(&who, "course:library").await, paid, "{who}");
                    let last = if paid { "paid" } else { "failed" };
                    assert_eq!(states(h, &who).await, ["processing", last], "{who}");
                    let mails: Vec<NoticeKind> =
                        notices(h, &who, None).await.iter().rev().map(|row| row.kind).collect();
                    let after = if paid { NoticeKind::Receipt } else { NoticeKind::PurchaseFailed };
                    assert_eq!(mails, [NoticeKind::PurchaseProcessing, after], "{who}");
                    let waited = &notices(h, &who, Some(NoticeKind::PurchaseProcessing)).await[0];
                    let true_still = h.engine.still_true(waited).await.unwrap();
                    assert!(matches!(true_still, Truth::Over(_)), "{who}: what is over is not sent");
                    let stands = match (paid, ui) {
                        (true, _) => CheckoutState::Complete,
                        // The same payment can still be made.
                        (false, CheckoutUi::PaymentIntent) => CheckoutState::Open,
                        (false, _) => CheckoutState::Expired,
                    };
                    assert_eq!(state(h, &session).await, stands, "{who}");
                }
            }
            let who = "payment_intent_failure";
            let row = h.open(&course(who, CheckoutUi::PaymentIntent, "order 1")).await;
            assert!(row.client_secret.is_some(), "the buyer may try again");
            confirm(h, row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert!(h.allowed(who, "course:library").await);
            assert_eq!(states(h, who).await, ["processing", "failed", "paid"]);
            assert!(h.engine.known_provider_customer(&customer(who)).await.unwrap().is_some());
        })
    })
    .await;
}
