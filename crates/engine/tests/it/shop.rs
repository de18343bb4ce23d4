//! The catalog at the provider: pushed, pushed again, interrupted anywhere, changed; and the portal that follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use quittance_domain::Catalog;
use quittance_engine::ProblemCode;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::PortalStart;
use quittance_engine::shop::{NotPushed, OnStep, Pushed};

use crate::house::{House, Trouble, customer, pro};
use crate::pricing::{agrees, ask_for, buy};

const OFFERS: &str = r#"
[[promotion]]
key = "welcome"
code = "WELCOME20"
name = { en = "Welcome", ja = "ようこそ" }
off = { percent = "12.5" }
lasts = { months = 3 }
plans = ["pro"]
first_purchase = true

[[promotion]]
key = "spring"
name = { en = "Spring" }
off = { amount = { jpy = 333, usd = 250 } }

[[promotion]]
key = "half"
code = "HALF"
name = { en = "Half" }
off = { percent = 50 }
lasts = "forever"
max_redemptions = 100

[[channel]]
key = "north"
name = { en = "Agency North" }
off = { percent = "33.33" }
price = [{ plan = "pro", interval = "month", currency = "jpy", amount = 1501 }]
"#;

fn text() -> String {
    format!("{}{OFFERS}", include_str!("../../../../catalog.toml"))
}

fn quiet() -> OnStep {
    Arc::new(|_, _, _| {})
}

async fn push(h: &House) -> Pushed {
    let pushed = h.engine.push_catalog(false, &quiet()).await.unwrap();
    assert_eq!(pushed.findings, [], "{:?}", pushed.done);
    pushed
}

fn changing(h: &House) -> Vec<String> {
    let calls = h.sandbox.provider_calls();
    calls.into_keys().filter(|call| !call.starts_with("GET ")).collect()
}

/// How many of each kind there are, and how many of them are sold.
fn stock(h: &House) -> BTreeMap<&'static str, (usize, usize)> {
    let kinds = [
        "/v1/products",
        "/v1/prices",
        "/v1/coupons",
        "/v1/promotion_codes",
        "/v1/billing_portal/configurations",
    ];
    let count = |path| {
        let all = h.provider("GET", path, "limit=100");
        let all = all["data"].as_array().unwrap().clone();
        (all.len(), all.iter().filter(|one| one["active"] != false).count())
    };
    kinds.into_iter().map(|path| (path, count(path))).collect()
}

async fn stories(story: impl AsyncFn(House)) {
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let mut h = House::build(test).await;
        h.engine = h.engine_in_force(Catalog::parse(&text()).unwrap()).await;
        story(h).await;
    }
}

#[tokio::test]
async fn a_second_push_changes_nothing() {
    stories(async |h| {
        let first = push(&h).await;
        assert!(first.done.len() > 10, "{:?}", first.done);
        let stock_now = stock(&h);
        h.sandbox.reset_provider_calls();
        assert_eq!(push(&h).await.done, []);
        assert_eq!(changing(&h), Vec::<String>::new());
        assert_eq!(stock(&h), stock_now);
        assert!(h.engine.compare_catalog().await.unwrap().steps.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_push_that_is_interrupted_anywhere_ends_the_same() {
    let (whole, steps) = {
        let test = quittance_store::testing::sqlite().await;
        let mut h = House::build(test).await;
        h.engine = h.engine_in_force(Catalog::parse(&text()).unwrap()).await;
        let pushed = push(&h).await;
        (stock(&h), pushed.done.len())
    };
    for cut in 0..steps {
        for lost in [Trouble::LostBefore, Trouble::LostAfter] {
            let mut h = House::build(quittance_store::testing::sqlite().await).await;
            h.engine = h.engine_in_force(Catalog::parse(&text()).unwrap()).await;
            let transport = h.transport.clone();
            let at: OnStep = Arc::new(move |done, _, _| {
                if done == cut {
                    transport.trouble("POST", lost, 1);
                    // What was sent may have arrived; nothing more is.
                    transport.trouble("POST", Trouble::Status(401), 1_000);
                }
            });
            let ended = h.engine.push_catalog(false, &at).await;
            assert!(matches!(ended, Err(NotPushed::Problem(_))), "cut at {cut}");
            h.transport.mend();
            push(&h).await;
            assert_eq!(stock(&h), whole, "cut at {cut}, {lost:?}");
            h.sandbox.reset_provider_calls();
            push(&h).await;
            assert_eq!(changing(&h), Vec::<String>::new(), "cut at {cut}, {lost:?}");
        }
    }
}

#[tokio::test]
async fn promotions_and_agencies_cost_what_is_computed() {
    stories(async |h| {
        push(&h).await;
        let mut runner = TestRunner::deterministic();
        for index in 0..24 {
            let wishes = (
                1_i64..40,
                proptest::sample::select(vec![
                    ("pro", "month", "jpy"),
                    ("pro", "year", "usd"),
                    ("studio", "month", "jpy"),
                    ("course", "once", "usd"),
                ]),
                proptest::sample::select(vec![None, Some("welcome20"), Some("spring"), Some("HALF")]),
                proptest::sample::select(vec![None, Some("north")]),
            );
            let (quantity, (plan, interval, currency), code, channel) =
                wishes.new_tree(&mut runner).unwrap().current();
            if code == Some("welcome20") && plan != "pro" {
                continue;
            }
            let new = NewCheckout {
                plan: plan.into(),
                interval: Some(interval.into()),
                currency: Some(currency.into()),
                quantity: Some(quantity),
                promotion_code: code.map(str::to_owned),
                channel: channel.map(str::to_owned),
                ..pro(&format!("buyer_{index}"))
            };
            agrees(&h, &new).await;
        }
        // What holds for a first purchase only does not hold for a second one.
        buy(&h, &NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("twice") }).await;
        let again = NewCheckout { promotion_code: Some("WELCOME20".into()), ..pro("twice") };
        let refused = h.engine.open_checkout(&again).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::PromotionRefused, "{refused}");
        // A code that only the provider knows counts too, by its id.
        h.provider("POST", "/v1/coupons", "id=EXTRA&percent_off=7.5&duration=once");
        let code = h.provider(
            "POST",
            "/v1/promotion_codes",
            "promotion[type]=coupon&promotion[coupon]=EXTRA&code=EXTRA",
        );
        let new = NewCheckout { promotion_code: code["id"].as_str().map(str::to_owned), ..pro("extra") };
        assert_eq!(h.engine.price(&ask_for(&new)).await.unwrap().total.minor, 1_980 - 149);
        assert_eq!(agrees(&h, &new).await, 1_831);
    })
    .await;
}

#[tokio::test]
async fn a_reduction_lasts_as_long_as_it_says() {
    stories(async |h| {
        push(&h).await;
        let new = NewCheckout { promotion_code: Some("WELCOME20".into()), ..pro("ada") };
        let priced = h.engine.price(&ask_for(&new)).await.unwrap();
        assert_eq!((priced.total.minor, priced.later.minor), (1_732, 1_980));
        agrees(&h, &new).await;
        h.live(125).await;
        let invoices = h.provider("GET", "/v1/invoices", "limit=10");
        let totals: Vec<i64> =
            invoices["data"].as_array().unwrap().iter().rev().filter_map(|i| i["total"].as_i64()).collect();
        assert_eq!(totals, [1_732, 1_732, 1_732, 1_980, 1_980]);
    })
    .await;
}

#[tokio::test]
async fn a_dearer_price_is_for_new_customers_and_a_held_plan_leaves_only_when_that_is_meant() {
    stories(async |mut h| {
        push(&h).await;
        buy(&h, &pro("old")).await;
        buy(&h, &NewCheckout { plan: "studio".into(), ..pro("held") }).await;
        let dearer =
            text().replace("currency = \"jpy\", amount = 1980 }", "currency = \"jpy\", amount = 2480 }");
        h.engine = h.engine_in_force(Catalog::parse(&dearer).unwrap()).await;
        // Between file and push nothing can be sold at an amount that is not there.
        let early = h.engine.open_checkout(&pro("early")).await.unwrap_err();
        assert_eq!(early.code, ProblemCode::UnknownPrice);
        push(&h).await;
        buy(&h, &pro("new")).await;
        h.live(33).await;
        for (id, total) in [("old", 1_980), ("new", 2_480)] {
            assert!(h.allowed(id, "article:full").await);
            let view = h.engine.customer(id).await.unwrap();
            let invoice = view.subscriptions[0].subscription.facts.latest_invoice.clone().unwrap().id;
            assert_eq!(h.provider("GET", &format!("/v1/invoices/{invoice}"), "")["total"], total, "{id}");
        }
        // Studio leaves the catalog while somebody holds it.
        let (from, to) =
            (dearer.find("[[plan]]\nkey = \"studio\"").unwrap(), dearer.find("# Bought once").unwrap());
        let less = format!("{}{}", &dearer[..from], &dearer[to..]);
        h.engine = h.engine_in_force(Catalog::parse(&less).unwrap()).await;
        h.sandbox.reset_provider_calls();
        let Err(NotPushed::Dangerous(why)) = h.engine.push_catalog(false, &quiet()).await else {
            panic!("it went on")
        };
        assert!(why[0].contains("1 subscriptions hold it"), "{why:?}");
        assert_eq!(changing(&h), Vec::<String>::new());
        h.engine.push_catalog(true, &quiet()).await.unwrap();
        h.live(33).await;
        assert!(h.allowed("held", "course:library").await, "who holds it keeps it");
        let alerts = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
        assert!(alerts.is_empty(), "{alerts:?}");
    })
    .await;
}

#[tokio::test]
async fn the_portal_offers_the_plans_of_the_customers_own_group_and_currency() {
    stories(async |h| {
        push(&h).await;
        buy(&h, &NewCheckout { plan: "studio".into(), interval: Some("year".into()), ..pro("ada") }).await;
        let view = h.engine.customer("ada").await.unwrap();
        let id = view.subscriptions[0].subscription.facts.id.clone();
        let ada = customer("ada");
        let start = h.engine.portal_change(&ada, &id, Some("pro"), Some("month")).await.unwrap();
        for start in [PortalStart::Home, PortalStart::Change(id.clone()), start] {
            let back = Some("https://app.example/account");
            let url = h.engine.open_portal(&ada, back, start.clone()).await.unwrap();
            assert!(url.contains("/p/session/"), "{url}");
        }
        let all = h.provider("GET", "/v1/billing_portal/configurations", "limit=100");
        let find = |mark: &str| {
            let found =
                all["data"].as_array().unwrap().iter().find(|c| c["metadata"]["quittance_portal"] == mark);
            found.unwrap_or_else(|| panic!("no {mark}")).clone()
        };
        let yen = find("membership/jpy");
        let products = yen["features"]["subscription_update"]["products"].as_array().unwrap();
        assert_eq!(products.len(), 2);
        for price in products.iter().flat_map(|p| p["prices"].as_array().unwrap()) {
            let price = h.provider("GET", &format!("/v1/prices/{}", price.as_str().unwrap()), "");
            assert_eq!(price["currency"], "jpy");
        }
        assert_eq!(yen["features"]["customer_update"]["enabled"], false);
        assert_eq!(find("none")["features"]["subscription_update"]["enabled"], false);
        // A plan of another group is not offered, and nobody opens another's.
        let other = h.engine.portal_change(&ada, &id, Some("course"), None).await.unwrap_err();
        assert_eq!(other.code, ProblemCode::UnknownPrice);
        let stranger = h.engine.portal_change(&customer("eve"), &id, Some("pro"), None).await.unwrap_err();
        assert_eq!(stranger.code, ProblemCode::NotFound);
        // Somebody edits it in the dashboard: the next push puts it right, and only it.
        let path = format!("/v1/billing_portal/configurations/{}", yen["id"].as_str().unwrap());
        for time in ["once", "and the same again"] {
            h.provider("POST", &path, "features[subscription_cancel][mode]=immediately");
            let mended = push(&h).await;
            assert_eq!(mended.done.len(), 1, "{time}: {:?}", mended.done);
            let mode = &h.provider("GET", &path, "")["features"]["subscription_cancel"]["mode"];
            assert_eq!(mode, "at_period_end", "{time}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_push_waits_while_the_provider_asks_it_to() {
    stories(async |h| {
        for (part, trouble) in [("POST", Trouble::Status(500)), ("GET", Trouble::Status(429))] {
            h.trouble(part, trouble, 3);
        }
        let counted = Arc::new(AtomicUsize::new(0));
        let seen = counted.clone();
        let count: OnStep = Arc::new(move |_, _, _| {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        let pushed = h.engine.push_catalog(false, &count).await.unwrap();
        assert_eq!(counted.load(Ordering::SeqCst), pushed.done.len());
    })
    .await;
}

/// A code that buyers type is the catalog's only while it leads to the catalog's coupon.
#[tokio::test]
async fn a_code_that_leads_elsewhere_is_not_taken() {
    stories(async |h| {
        push(&h).await;
        let found = h.provider("GET", "/v1/promotion_codes", "code=WELCOME20")["data"][0].clone();
        h.provider("POST", &format!("/v1/promotion_codes/{}", found["id"].as_str().unwrap()), "active=false");
        let other = h.provider("POST", "/v1/coupons", "percent_off=90&duration=forever")["id"].clone();
        let form =
            format!("promotion[type]=coupon&promotion[coupon]={}&code=WELCOME20", other.as_str().unwrap());
        h.provider("POST", "/v1/promotion_codes", &form);
        let new = NewCheckout { promotion_code: Some("WELCOME20".into()), ..pro("ada") };
        let refused = h.engine.open_checkout(&new).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::UnknownPrice, "{refused}");
        let over = NewCheckout { promotion_code: found["id"].as_str().map(str::to_owned), ..pro("ada") };
        let refused = h.engine.open_checkout(&over).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::PromotionRefused, "{refused}");
    })
    .await;
}
