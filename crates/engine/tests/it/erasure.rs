//! Erasing a customer: nothing personal is left, nothing brings it back, and what was sold stays on record.

use std::sync::Arc;

use quittance_domain::checkout::CheckoutWish;
use quittance_domain::fraud::Level;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::idempotency::{Answer, Ended, Request};
use quittance_engine::settings::EmailTruth;
use quittance_engine::subscriptions::Ending;
use quittance_engine::world::Point;
use quittance_engine::{Problem, ProblemCode, Settings};
use quittance_store::checkouts::CheckoutRow;
use quittance_store::customers::{Change, CustomerPatch};
use quittance_store::mails::{self, NewMail};
use quittance_store::{Sql, params};
use tokio::task::JoinHandle;

use crate::house::{DAY, Gate, House, Trouble, catalog, customer, on_each, pro};
use crate::known_kit::{bought_with, operator};

static EVERYTHING: Sql = Sql::registered(
    "test.erasure_everything",
    "SELECT COALESCE(email, '') AS text FROM customers
     UNION ALL SELECT COALESCE(name, '') FROM customers
     UNION ALL SELECT metadata FROM customers
     UNION ALL SELECT payload FROM events
     UNION ALL SELECT address || COALESCE(subject, '') || COALESCE(text, '') || COALESCE(html, '') FROM mails
     UNION ALL SELECT payload FROM deliveries
     UNION ALL SELECT data || cause FROM history
     UNION ALL SELECT data FROM notices
     UNION ALL SELECT body FROM app_events
     UNION ALL SELECT data FROM subscriptions
     UNION ALL SELECT request || COALESCE(result, '') FROM commands
     UNION ALL SELECT reason FROM suspensions
     UNION ALL SELECT detail || mend FROM alerts
     UNION ALL SELECT COALESCE(input, '') FROM audit
     UNION ALL SELECT COALESCE(body, '') FROM api_requests
     UNION ALL SELECT wish FROM checkouts
     UNION ALL SELECT reason FROM grants
     UNION ALL SELECT request FROM shadow_withheld",
);
static WITHHOLD: Sql = Sql::registered(
    "test.erasure_withhold",
    "INSERT INTO shadow_withheld (scope, kind, object, customer, request, first_at, last_at)
     VALUES ($1, 'subscription.cancel', 'sub_1', 'ada', '{\"comment\":\"Lovelace left in silence\"}', 1, 1)",
);

const PERSONAL: [&str; 3] = ["ada.lovelace@example.com", "Lovelace", "likes tea"];

async fn traces(h: &House) -> Vec<String> {
    let rows = h.test.db.read("test.scan", |tx| tx.query(&EVERYTHING, params![])).await.unwrap();
    let texts = rows.iter().map(|row| row.text("text").unwrap());
    texts.filter(|text| PERSONAL.iter().any(|word| text.contains(word))).collect()
}

fn about() -> CustomerPatch {
    CustomerPatch {
        email: Change::Set(PERSONAL[0].to_owned()),
        name: Change::Set("Ada Lovelace".to_owned()),
        metadata: Change::Set([("note".to_owned(), PERSONAL[2].to_owned())].into()),
        ..CustomerPatch::default()
    }
}

#[tokio::test]
async fn what_is_personal_goes_for_good_and_what_was_sold_stays() {
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let settings = Settings { email_truth: EmailTruth::Provider, ..Settings::default() };
        let h = House::with(test, settings, catalog()).await;
        let ada = customer("ada");
        h.engine.put_customer(&ada, about()).await.unwrap();
        let (_, payment) = bought_with(&h, "ada", "pm_card_createDispute").await;
        let sold = h.engine.customer("ada").await.unwrap().subscriptions;
        let subscription = sold[0].subscription.facts.id.to_string();
        let mail = NewMail {
            message_id: "1@example.com".into(),
            delivery: None,
            customer: Some(ada.clone()),
            kind: "receipt".into(),
            language: "en".into(),
            template: "v1".into(),
            rules: None,
            address: PERSONAL[0].into(),
            subject: Some("Dear Ms Lovelace".into()),
            text: Some("Dear Ms Lovelace".into()),
            html: None,
            sha256: "0".repeat(64),
            captured: true,
        };
        let at = h.engine.now();
        h.test.db.write("test.mail", move |tx| mails::put(tx, &mail, at)).await.unwrap();
        // Of a time when another integration was in charge.
        let scope = h.engine.scope().to_string();
        h.test
            .db
            .write("test.withhold", move |tx| tx.exec(&WITHHOLD, params![scope.as_str()]))
            .await
            .unwrap();
        assert!(!traces(&h).await.is_empty());

        let live = h.engine.erase_customer(&ada, "a test").await.unwrap_err();
        assert_eq!(live.code, ProblemCode::WrongState);
        assert!(live.detail.contains(&subscription), "{live:?}");
        let unknown = h.engine.erase_customer(&customer("nobody"), "a test").await.unwrap_err();
        assert_eq!(unknown.code, ProblemCode::NotFound);

        // In people's own words: why it ends, what is said to the bank, why somebody was shut out.
        let disputes = h.engine.disputes(true, i64::MAX, 10).await.unwrap();
        let dispute = disputes.iter().find(|row| row.payment == payment).unwrap();
        let note = Some("Ada Lovelace had it all".to_owned());
        h.engine.contest_dispute(&dispute.facts.id, note, &operator()).await.unwrap();
        h.engine.suspend(&ada, Level::Checkouts, "Lovelace disputes", &operator()).await.unwrap();
        let comment = Some("Lovelace moves away".to_owned());
        let ending = Ending { at: CancelAt::Now, feedback: None, comment };
        h.engine.cancel_subscription(&subscription, ending, None).await.unwrap();
        h.settle().await;
        let told = traces(&h).await;
        for words in ["had it all", "moves away", "disputes", "left in silence"] {
            assert!(told.iter().any(|text| text.contains(words)), "{words}: {told:?}");
        }
        let (erased, _) = h.engine.erase_customer(&ada, "a test").await.unwrap();
        assert!(erased.mails == 1 && erased.events > 0, "{erased:?}");
        assert_eq!(traces(&h).await, Vec::<String>::new());

        // Nothing brings it back: not the app, not a sweep that takes over the provider's addresses.
        let again = h.engine.put_customer(&ada, about()).await.unwrap_err();
        assert_eq!(again.code, ProblemCode::WrongState);
        let linked = h.engine.known_provider_customer(&ada).await.unwrap().unwrap();
        h.provider("POST", &format!("/v1/customers/{linked}"), &format!("email={}", PERSONAL[0]));
        h.drop_webhooks();
        h.engine.sweep(true, false).await.unwrap();
        h.settle().await;
        let view = h.engine.customer("ada").await.unwrap();
        assert_eq!((view.customer.email, view.customer.name), (None, None));
        assert_eq!(view.subscriptions.len(), 1, "what was sold is still on record");
        assert!(view.customer.erased_at.is_some());
    }
}

/// Opens a checkout as far as `point`, where something happens meanwhile.
async fn open_until(
    h: &House,
    id: &'static str,
    point: Point,
) -> (Gate, JoinHandle<Result<CheckoutRow, Problem>>) {
    let (gate, engine) = (h.hold_point(point), h.engine.clone());
    let opening = tokio::spawn(async move { engine.open_checkout(&pro(id)).await });
    gate.reached().await;
    h.release_point(point);
    (gate, opening)
}

#[tokio::test]
async fn a_checkout_that_was_refused_does_not_keep_its_customer_from_being_erased() {
    on_each(|h| {
        Box::pin(async move {
            h.trouble("POST /v1/customers", Trouble::Status(400), 1);
            let refused = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::ProviderRefused);
            h.engine.erase_customer(&customer("ada"), "a test").await.unwrap();

            // Somebody is shut out while the checkout is being opened.
            let (gate, opening) = open_until(h, "bob", Point::CommandWanted).await;
            h.engine.suspend(&customer("bob"), Level::Checkouts, "fraud", &operator()).await.unwrap();
            gate.open();
            let refused = opening.await.unwrap().unwrap_err();
            assert_eq!(refused.code, ProblemCode::CustomerSuspended);
            h.engine.erase_customer(&customer("bob"), "a test").await.unwrap();
        })
    })
    .await;
}

#[tokio::test]
async fn a_checkout_that_may_yet_be_opened_keeps_its_customer_for_a_day() {
    on_each(|h| {
        Box::pin(async move {
            let under_way = async |id: &str| {
                let refused = h.engine.erase_customer(&customer(id), "a test").await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::WrongState, "{id}");
            };
            // Nobody knows whether it was opened.
            h.trouble("POST /v1/checkout/sessions", Trouble::LostAfter, 3);
            let unknown = h.engine.open_checkout(&pro("ada")).await.unwrap_err();
            assert_eq!(unknown.code, ProblemCode::OutcomePending);
            under_way("ada").await;
            assert!(h.open(&pro("ada")).await.session.is_some(), "it is found, and is open");
            under_way("ada").await;
            // The process ends in between.
            let (_gate, opening) = open_until(h, "bob", Point::CheckoutDecided).await;
            opening.abort();
            under_way("bob").await;
            h.pass_ms(DAY * 1_000);
            h.engine.erase_customer(&customer("bob"), "a test").await.unwrap();
        })
    })
    .await;
}

fn asked(key: &str, path: &str) -> Request {
    Request::new(Arc::new(operator()), Some(key.to_owned()), "PUT", path, b"{}")
}

/// Asks under a key; whether it was answered before.
async fn replayed(h: &House, request: &Request, body: &str) -> bool {
    let answer = Answer { status: 200, body: body.to_owned() };
    let refusal = |_: &Problem| Answer { status: 409, body: String::new() };
    match h.engine.once(request, refusal, |_| async { Ok(answer) }).await {
        Ended::Done(_) => false,
        Ended::Replayed(given) => given.body == body,
        Ended::Refused(problem, _) => panic!("{problem:?}"),
    }
}

#[tokio::test]
async fn kept_answers_and_the_apps_name_for_a_checkout_go_too() {
    on_each(|h| {
        Box::pin(async move {
            let wish = NewCheckout { reference: Some("Lovelace's second".to_owned()), ..pro("ada") };
            let row = h.open(&wish).await;
            let session = row.session.as_deref().unwrap();
            h.provider("POST", &format!("/v1/checkout/sessions/{session}/expire"), "");
            h.settle().await;
            let named = asked("one", "/v1/customers/ada").about(Some("ada".to_owned()));
            let (told, others) = (asked("two", "/v1/checkouts"), asked("three", "/v1/checkouts"));
            let kept = [
                (&named, r#"{"id":"ada","email":"ada.lovelace@example.com"}"#),
                (&told, r#"{"customer":"ada","reason":"Lovelace likes it"}"#),
                (&others, r#"{"customer":"bob"}"#),
            ];
            for (request, body) in kept {
                assert!(!replayed(h, request, body).await && replayed(h, request, body).await, "{body}");
            }
            assert_eq!(traces(h).await.len(), 3);
            h.engine.erase_customer(&customer("ada"), "a test").await.unwrap();
            assert_eq!(traces(h).await, Vec::<String>::new());
            assert!(replayed(h, &others, kept[2].1).await, "another's stays");
            assert!(!replayed(h, &named, "{}").await, "and nothing is given out again");
            let left = h.engine.checkout_row(row.id.as_str()).await.unwrap();
            assert_eq!(left.wish, CheckoutWish { reference: None, ..row.wish.clone() });
        })
    })
    .await;
}

/// What the provider keeps goes too, by one command, and never with a subscription that still runs there.
#[tokio::test]
async fn the_provider_deletes_its_customer_once_its_subscriptions_have_ended() {
    on_each(|h| {
        Box::pin(async move {
            let end = async |id: &str, subscription: &str| {
                let now = Ending { at: CancelAt::Now, feedback: None, comment: None };
                h.engine.cancel_subscription(subscription, now, None).await.unwrap();
                h.settle().await;
                h.engine.erase_customer(&customer(id), "a test").await.unwrap();
            };
            let there = |buyer: &str| h.provider("GET", &format!("/v1/customers/{buyer}"), "");
            let net = || h.sandbox.ledger().customers.iter().map(|c| c.net("jpy")).sum::<i64>();
            let mut buyers = Vec::new();
            for id in ["ada", "bob"] {
                let subscription = h.subscriber(id).await;
                buyers.push(crate::known_kit::buyer_of(h, &subscription));
                end(id, &subscription).await;
            }
            let [buyer, other] = &buyers[..] else { panic!("{buyers:?}") };
            let before = net();

            // Somebody else has begun another one, which nobody here has heard of.
            let price = crate::known_kit::price_id(h, "studio_month_jpy");
            let unknown = crate::known_kit::foreign_subscription(h, buyer, &price, "&trial_period_days=5");
            h.drop_webhooks();
            let refused = h.engine.delete_at_provider(&customer("ada")).await.unwrap();
            let problem = refused[0].problem.as_ref().unwrap();
            assert_eq!((refused.len(), problem.code), (1, ProblemCode::WrongState));
            assert!(problem.detail.contains(&unknown) && problem.money == quittance_engine::Money::No);
            assert_ne!(there(buyer)["deleted"], true);

            h.provider("DELETE", &format!("/v1/subscriptions/{unknown}"), "");
            h.drop_webhooks();
            let gone = h.engine.delete_at_provider(&customer("ada")).await.unwrap();
            assert!(
                gone.len() == 1 && gone[0].problem.is_none() && gone[0].provider_customer == *buyer,
                "{gone:?}"
            );
            assert_eq!(there(buyer)["deleted"], true);
            let deletions = |h: &House| {
                let calls = h.sandbox.provider_calls();
                calls
                    .iter()
                    .filter(|(call, _)| call.starts_with("DELETE /v1/customers"))
                    .map(|(_, n)| *n)
                    .sum::<u64>()
            };
            assert_eq!(deletions(h), 1);
            assert!(
                h.engine.delete_at_provider(&customer("ada")).await.unwrap().is_empty(),
                "again, it is gone"
            );
            assert_eq!(deletions(h), 1);

            // The answer is lost: nobody knows, it is asked again, and what is gone is what was wanted.
            h.trouble("DELETE /v1/customers", Trouble::LostAfter, 1);
            let gone = h.engine.delete_at_provider(&customer("bob")).await.unwrap();
            assert!(gone[0].problem.is_none(), "{gone:?}");
            assert_eq!(there(other)["deleted"], true);
            h.settle().await;
            assert!(h.engine.parked(10).await.unwrap().commands.is_empty());
            assert_eq!(net(), before, "no money moved by it");
        })
    })
    .await;
}
