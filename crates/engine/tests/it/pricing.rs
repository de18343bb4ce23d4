//! The price that is computed is the price that is charged: function, checkout and first invoice agree, and what was
//! bought stays what it was.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quittance_domain::Catalog;
use quittance_domain::terms::CustomerTerms;
use quittance_engine::ProblemCode;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::pricing::PriceAsk;

use crate::house::{House, customer, on_each, pro};

fn terms(json: &str) -> CustomerTerms {
    serde_json::from_str(json).unwrap()
}

pub fn ask_for(new: &NewCheckout) -> PriceAsk {
    PriceAsk {
        customer: Some(new.customer.clone()),
        plan: new.plan.clone(),
        interval: new.interval.clone(),
        currency: new.currency.clone(),
        quantity: new.quantity,
        promotion_code: new.promotion_code.clone(),
        channel: new.channel.clone(),
    }
}

/// Asks the price, opens the checkout, pays it, and compares all three.
pub async fn agrees(h: &House, new: &NewCheckout) -> i64 {
    let priced = h.engine.price(&ask_for(new)).await.unwrap();
    let row = h.open(new).await;
    let id = row.session.as_deref().unwrap();
    let session = h.provider("GET", &format!("/v1/checkout/sessions/{id}"), "");
    assert_eq!(session["amount_total"], priced.due_now.minor, "{new:?}\n{:#?}", priced.trace);
    h.pay(id, "pm_card_visa");
    h.settle().await;
    let session = h.provider("GET", &format!("/v1/checkout/sessions/{id}"), "");
    if let Some(invoice) = session["invoice"].as_str() {
        let invoice = h.provider("GET", &format!("/v1/invoices/{invoice}"), "");
        assert_eq!(invoice["total"], priced.due_now.minor, "{new:?}");
        assert_eq!(invoice["amount_paid"], priced.due_now.minor, "{new:?}");
    }
    priced.due_now.minor
}

fn own() -> impl Strategy<Value = CustomerTerms> {
    let percent = (1_u32..=10_000).prop_map(|h| format!(r#"{{"percent":"{}.{:02}"}}"#, h / 100, h % 100));
    let amount = (1_i64..3_000).prop_map(|minor| format!(r#"{{"amount":{{"jpy":{minor},"usd":{minor}}}}}"#));
    let lasts = prop_oneof![Just(r#""once""#), Just(r#""forever""#), Just(r#"{"months":3}"#)];
    let reduction = proptest::option::of((prop_oneof![percent, amount], lasts));
    (reduction, proptest::option::of(100_i64..90_000)).prop_map(|(reduction, price)| {
        let mut json = serde_json::json!({});
        if let Some((off, lasts)) = reduction {
            let off: serde_json::Value = serde_json::from_str(&off).unwrap();
            let lasts: serde_json::Value = serde_json::from_str(lasts).unwrap();
            json["reduction"] = serde_json::json!({ "off": off, "lasts": lasts });
        }
        if let Some(amount) = price {
            json["prices"] = serde_json::json!([
                { "plan": "pro", "interval": "month", "amount": amount, "currency": "jpy" },
                { "plan": "studio", "interval": "year", "amount": amount, "currency": "usd" },
            ]);
        }
        serde_json::from_value(json).unwrap()
    })
}

#[tokio::test]
async fn what_is_computed_is_what_is_charged() {
    on_each(|h| {
        Box::pin(async move {
            let mut runner = TestRunner::deterministic();
            for index in 0..24 {
                let wishes = (
                    own(),
                    1_i64..60,
                    proptest::sample::select(vec![
                        ("pro", "month", "jpy"),
                        ("pro", "year", "usd"),
                        ("studio", "year", "usd"),
                        ("studio", "month", "jpy"),
                        ("course", "once", "jpy"),
                    ]),
                );
                let (own, quantity, (plan, interval, currency)) =
                    wishes.new_tree(&mut runner).unwrap().current();
                let id = format!("buyer_{index}");
                h.engine.put_customer(&customer(&id), Default::default()).await.unwrap();
                h.engine.put_terms(&customer(&id), own, "test").await.unwrap();
                let new = NewCheckout {
                    plan: plan.into(),
                    interval: Some(interval.into()),
                    currency: Some(currency.into()),
                    quantity: Some(quantity),
                    ..pro(&id)
                };
                // The provider takes no single payment between nothing and its least amount.
                let total = h.engine.price(&ask_for(&new)).await.unwrap().total.minor;
                if interval == "once" && (1..50).contains(&total) {
                    continue;
                }
                agrees(h, &new).await;
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_negotiated_price_gives_its_plan_and_renews_at_what_was_agreed() {
    on_each(|h| {
        Box::pin(async move {
            let ada = customer("ada");
            h.engine.put_customer(&ada, Default::default()).await.unwrap();
            let agreed = r#"{"prices":[{"plan":"pro","interval":"month","amount":1500,"currency":"jpy"}],
                "reduction":{"off":{"percent":"10"},"lasts":"once"},"features":{"team:seats":7},"note":"contract 7"}"#;
            h.engine.put_terms(&ada, terms(agreed), "test").await.unwrap();
            assert!(!h.allowed("ada", "team:seats").await, "terms alone give nothing");
            assert_eq!(agrees(h, &pro("ada")).await, 1_350);
            assert!(h.allowed("ada", "article:full").await);
            assert_eq!(h.engine.check("ada", "team:seats").await.unwrap().limit, Some(7));
            h.live(32).await;
            let view = h.engine.customer("ada").await.unwrap();
            let id = view.subscriptions[0].subscription.facts.latest_invoice.clone().unwrap().id;
            assert_eq!(h.provider("GET", &format!("/v1/invoices/{id}"), "")["total"], 1_500);
            // Another customer with the same agreement shares the provider's objects.
            let bea = customer("bea");
            h.engine.put_customer(&bea, Default::default()).await.unwrap();
            h.engine.put_terms(&bea, terms(agreed), "test").await.unwrap();
            h.sandbox.reset_provider_calls();
            assert_eq!(agrees(h, &pro("bea")).await, 1_350);
            let calls = h.sandbox.provider_calls();
            assert!(!calls.keys().any(|call| call.contains("POST /v1/prices")), "{calls:?}");
            h.engine.drop_terms(&bea, "test").await.unwrap();
            assert!(!h.allowed("bea", "team:seats").await);
            assert!(h.allowed("bea", "article:full").await, "what was bought stays");
        })
    })
    .await;
}

/// What a customer has agreed is taxed as the plan is.
#[tokio::test]
async fn a_negotiated_price_is_made_with_the_plans_tax() {
    for (tax, told) in
        [("inclusive", "inclusive"), ("exclusive", "exclusive"), ("unspecified", "unspecified")]
    {
        for test in quittance_store::testing::databases().await {
            let text = include_str!("../../../../catalog.toml");
            let taxed = text.replace("key = \"pro\"\n", &format!("key = \"pro\"\ntax = \"{tax}\"\n"));
            let catalog = Catalog::parse(&taxed).unwrap();
            let h = House::with(test, quittance_engine::Settings::default(), catalog).await;
            let ada = customer("ada");
            h.engine.put_customer(&ada, Default::default()).await.unwrap();
            let agreed = r#"{"prices":[{"plan":"pro","interval":"month","amount":1500,"currency":"jpy"}]}"#;
            h.engine.put_terms(&ada, terms(agreed), "test").await.unwrap();
            h.open(&pro("ada")).await;
            let key = h.engine.price(&ask_for(&pro("ada"))).await.unwrap().price.lookup_key;
            let found = h.provider("GET", "/v1/prices", &format!("lookup_keys[]={key}"));
            assert_eq!(found["data"][0]["unit_amount"], 1_500);
            assert_eq!(found["data"][0]["tax_behavior"], told);
        }
    }
}

#[tokio::test]
async fn own_features_begin_on_time_without_any_job() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let from = h.engine.now().plus_ms(3_600_000);
            let mut own = terms(r#"{"features":{"team:seats":7}}"#);
            own.window.from = Some(from);
            own.window.until = Some(from.plus_ms(3_600_000));
            h.engine.put_terms(&customer("ada"), own, "test").await.unwrap();
            assert!(!h.allowed("ada", "team:seats").await);
            h.pass_ms(3_600_000);
            assert!(h.allowed("ada", "team:seats").await);
            h.pass_ms(3_600_000);
            assert!(!h.allowed("ada", "team:seats").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_would_charge_more_opens_nothing() {
    on_each(|h| {
        Box::pin(async move {
            // The catalog names a price by its id that is dearer than it says.
            let old = h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")["data"][0].clone();
            let product = old["product"].as_str().unwrap();
            let form = format!("product={product}&currency=jpy&unit_amount=9999&recurring[interval]=month");
            let dearer = h.provider("POST", "/v1/prices", &form)["id"].as_str().unwrap().to_owned();
            let text = include_str!("../../../../catalog.toml").replace(
                "interval = \"month\", currency = \"jpy\", amount = 1980",
                &format!("interval = \"month\", currency = \"jpy\", amount = 1980, stripe = \"{dearer}\""),
            );
            let engine = h.engine_in_force(Catalog::parse(&text).unwrap()).await;
            let refused = engine.open_checkout(&pro("eve")).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::PriceMismatch, "{refused}");
            let sessions = h.provider("GET", "/v1/checkout/sessions", "");
            assert_eq!(sessions["data"][0]["status"], "expired");
            // The same again opens nothing either, and hands out no address of before.
            let again = engine.open_checkout(&pro("eve")).await.unwrap_err();
            assert_eq!(again.code, ProblemCode::PriceMismatch);
        })
    })
    .await;
}

#[tokio::test]
async fn whoever_bought_keeps_price_plan_and_the_features_that_were_bought() {
    for test in quittance_store::testing::databases().await {
        let mut h = House::build(test).await;
        let first = include_str!("../../../../catalog.toml")
            .replace("key = \"studio\"\ngroup", "key = \"studio\"\nholders = \"bought\"\ngroup");
        h.engine = h.engine_in_force(Catalog::parse(&first).unwrap()).await;
        for (id, plan) in [("old_pro", "pro"), ("old_studio", "studio"), ("old_course", "course")] {
            let interval = if plan == "course" { "once" } else { "month" };
            buy(&h, &NewCheckout { plan: plan.into(), interval: Some(interval.into()), ..pro(id) }).await;
        }
        h.sandbox.advance_time(60);
        // Later: Pro is dearer under the same lookup key, Studio gives less, and the course is no longer sold.
        let key = "lookup_keys[]=pro_month_jpy";
        let product = h.provider("GET", "/v1/prices", key)["data"][0]["product"].as_str().unwrap().to_owned();
        let form = format!(
            "product={product}&currency=jpy&unit_amount=2480&recurring[interval]=month&lookup_key=pro_month_jpy&transfer_lookup_key=true"
        );
        h.provider("POST", "/v1/prices", &form);
        let at = first.find("# Bought once").unwrap();
        let second = first[..at]
            .replace("currency = \"jpy\", amount = 1980 }", "currency = \"jpy\", amount = 2480 }")
            .replace("\"review:request\" = 4", "\"review:request\" = 1");
        h.engine = h.engine_in_force(Catalog::parse(&second).unwrap()).await;
        buy(&h, &pro("new_pro")).await;
        buy(&h, &NewCheckout { plan: "studio".into(), ..pro("new_studio") }).await;
        h.live(33).await;
        for (id, feature, limit, total) in [
            ("old_pro", "article:full", None, 1_980),
            ("new_pro", "article:full", None, 2_480),
            ("old_studio", "review:request", Some(4), 9_800),
            ("new_studio", "review:request", Some(1), 9_800),
        ] {
            let answer = h.engine.check(id, feature).await.unwrap();
            assert!(answer.allowed, "{id}");
            assert_eq!(answer.limit, limit, "{id}");
            let view = h.engine.customer(id).await.unwrap();
            let invoice = view.subscriptions[0].subscription.facts.latest_invoice.clone().unwrap().id;
            assert_eq!(h.provider("GET", &format!("/v1/invoices/{invoice}"), "")["total"], total, "{id}");
        }
        assert!(
            h.allowed("old_course", "course:library").await,
            "what left the catalog stays with its holders"
        );
        let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
        assert!(alerts.is_empty(), "no price of before is unknown: {alerts:?}");
    }
}

pub async fn buy(h: &House, new: &NewCheckout) {
    let row = h.open(new).await;
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    h.settle().await;
}

/// What somebody bought elsewhere means what it meant, too, once its lookup key has moved on.
#[tokio::test]
async fn what_was_bought_elsewhere_keeps_its_meaning_when_the_key_moves() {
    use crate::known_kit::{foreign_buyer, foreign_subscription, price_id};
    for test in quittance_store::testing::databases().await {
        let mut h = House::build(test).await;
        let buyer = foreign_buyer(&h, "metadata[quittance_customer]=ada");
        let id = foreign_subscription(&h, &buyer, &price_id(&h, "pro_month_jpy"), "");
        h.settle().await;
        assert!(h.allowed("ada", "article:full").await);
        let product =
            h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")["data"][0]["product"].clone();
        let form = format!(
            "product={}&currency=jpy&unit_amount=2480&recurring[interval]=month&lookup_key=pro_month_jpy&transfer_lookup_key=true",
            product.as_str().unwrap()
        );
        h.provider("POST", "/v1/prices", &form);
        let dearer = include_str!("../../../../catalog.toml")
            .replace("currency = \"jpy\", amount = 1980 }", "currency = \"jpy\", amount = 2480 }");
        h.engine = h.engine_in_force(Catalog::parse(&dearer).unwrap()).await;
        h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[note]=looked+at");
        h.settle().await;
        assert!(h.allowed("ada", "article:full").await);
        assert!(h.engine.alerts(false, i64::MAX, 10).await.unwrap().is_empty(), "its price is not unknown");
    }
}
