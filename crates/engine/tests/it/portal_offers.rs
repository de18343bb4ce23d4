//! What plans the portal offers: only where every change that it would take is one that the API would make.

use quittance_domain::{Access, CustomerId};
use quittance_engine::ProblemCode;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::PortalStart;
use quittance_store::testing::databases;

use crate::house::{House, catalog, customer, pro};
use crate::known_kit::{break_card, price_id, standing_alerts};

const TWO_GROUPS: &str = r#"
[[plan]]
key = "vip"
group = "vip"
name = { en = "Vip", ja = "ヴィップ" }
features = { "review:request" = 9 }
price = [{ interval = "month", currency = "jpy", amount = 3000 }]
"#;

/// Runs a story in a house whose shop was pushed, portal and all.
async fn stories(story: impl AsyncFn(House)) {
    for test in databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let sold = quittance_domain::Catalog::parse(&format!("{}{TWO_GROUPS}", catalog().text())).unwrap();
        let mut h = House::with(test, quittance_engine::Settings::default(), sold.clone()).await;
        h.engine = h.engine_in_force(sold).await;
        let quiet: quittance_engine::shop::OnStep = std::sync::Arc::new(|_, _, _| {});
        h.engine.push_catalog(false, &quiet).await.unwrap();
        story(h).await;
    }
}

async fn bought(h: &House, new: &NewCheckout) -> String {
    let row = h.open(new).await;
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    h.settle().await;
    let view = h.engine.customer(new.customer.as_str()).await.unwrap();
    let newest = view.subscriptions.iter().max_by_key(|row| row.subscription.facts.created_at).unwrap();
    newest.subscription.facts.id.clone()
}

fn vip() -> NewCheckout {
    NewCheckout { plan: "vip".into(), ..pro("ada") }
}

/// Takes a plan on the portal page that a customer is led to; whether it took it.
async fn takes(h: &House, who: &CustomerId, subscription: &str, key: &str) -> bool {
    let url = h.engine.open_portal(who, None, PortalStart::Home).await.unwrap();
    let path =
        url.strip_prefix("http://127.0.0.1:12111").unwrap().split(['?', '#']).next().unwrap().to_owned();
    let form = format!("price={}", price_id(h, key));
    let page = format!("{path}/subscriptions/{subscription}/change");
    let status = h.sandbox.handle(quittance_sandbox::HttpRequest::new("POST", &page, "", &form)).status;
    h.settle().await;
    let plan = h.engine.subscription(subscription).await.unwrap().subscription.plan().unwrap().plan.clone();
    let took = key.starts_with(plan.as_str());
    assert_eq!(took, status == 303, "{status}");
    took
}

#[tokio::test]
async fn one_subscription_is_offered_the_plans_of_its_group() {
    stories(async |h: House| {
        let id = bought(&h, &pro("ada")).await;
        assert!(
            !takes(&h, &customer("ada"), &id, "vip_month_jpy").await,
            "another group's plan is another purchase"
        );
        assert!(takes(&h, &customer("ada"), &id, "studio_month_jpy").await);
    })
    .await;
}

#[tokio::test]
async fn subscriptions_of_two_groups_are_offered_neither_groups_plans() {
    stories(async |h: House| {
        let first = bought(&h, &pro("ada")).await;
        h.sandbox.advance_time(60);
        let second = bought(&h, &vip()).await;
        for (id, key) in
            [(&second, "studio_month_jpy"), (&first, "studio_month_jpy"), (&first, "vip_month_jpy")]
        {
            assert!(!takes(&h, &customer("ada"), id, key).await, "{key}");
        }
        // By name one is led to its own group's plans.
        let change = PortalStart::Change(first);
        assert!(h.engine.open_portal(&customer("ada"), None, change).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_change_that_brings_two_subscriptions_together_is_for_a_person_and_cancels_nothing() {
    stories(async |h: House| {
        let first = bought(&h, &pro("ada")).await;
        h.sandbox.advance_time(60);
        let second = bought(&h, &vip()).await;
        let item =
            h.provider("GET", &format!("/v1/subscriptions/{second}"), "")["items"]["data"][0]["id"].clone();
        let studio = price_id(&h, "studio_month_jpy");
        let form = format!("items[0][id]={}&items[0][price]={studio}", item.as_str().unwrap());
        h.provider("POST", &format!("/v1/subscriptions/{second}"), &form);
        for look in 0..3 {
            h.provider("POST", &format!("/v1/subscriptions/{first}"), &format!("metadata[look]={look}"));
            h.settle().await;
            h.live(1).await;
            for id in [&first, &second] {
                assert_eq!(h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["status"], "active");
            }
        }
        assert!(h.sandbox.ledger().customers.iter().all(|c| c.refunds.is_empty()), "both were bought");
        assert!(standing_alerts(&h).await.contains(&"duplicate_subscription".to_owned()));
        let answer = h.engine.check("ada", "article:full").await.unwrap();
        assert_eq!((answer.allowed, answer.access), (true, Some(Access::Granted)));
    })
    .await;
}

#[tokio::test]
async fn nothing_is_offered_while_a_renewal_is_owed() {
    stories(async |h: House| {
        let id = bought(&h, &pro("ada")).await;
        break_card(&h, &id);
        h.live(29).await;
        assert_eq!(h.engine.subscription(&id).await.unwrap().subscription.facts.status.as_str(), "past_due");
        crate::known_kit::use_card(&h, &id, "pm_card_visa");
        assert!(
            !takes(&h, &customer("ada"), &id, "studio_month_jpy").await,
            "it would be paid in the renewal's place"
        );
        let change = PortalStart::Change(id.clone());
        let refused = h.engine.open_portal(&customer("ada"), None, change).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::PaymentOwed);
        let cancel = PortalStart::Cancel(id);
        assert!(h.engine.open_portal(&customer("ada"), None, cancel).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn whoever_has_prices_of_their_own_finds_no_others_in_the_portal() {
    stories(async |h: House| {
        let id = bought(&h, &pro("ada")).await;
        let own = r#"{"prices":[{"plan":"studio","interval":"month","amount":6000,"currency":"jpy"}]}"#;
        h.engine.put_terms(&customer("ada"), serde_json::from_str(own).unwrap(), "a test").await.unwrap();
        assert!(!takes(&h, &customer("ada"), &id, "studio_month_jpy").await);
        let change = PortalStart::Change(id);
        let refused = h.engine.open_portal(&customer("ada"), None, change).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::WrongState);
        assert!(refused.mend.contains("POST /v1/subscriptions"), "{refused:?}");
    })
    .await;
}
