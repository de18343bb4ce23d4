//! What a change costs is what the customer's price is: their own terms before the channel's before the list's, and other
//! units of what was bought at the price at which it was bought. A reduction outlives the change.

use quittance_domain::Catalog;
use quittance_domain::change::When;
use quittance_domain::terms::CustomerTerms;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::subscriptions::Change;
use quittance_store::testing::databases;

use crate::house::{DAY, House, customer, pro};
use crate::pricing::buy;

const CHANNEL: &str = r#"
[[channel]]
key = "north"
name = { en = "Agency North" }
price = [{ plan = "pro", interval = "month", currency = "jpy", amount = 1501 },
         { plan = "studio", interval = "month", currency = "jpy", amount = 7007 }]
"#;

fn listed() -> String {
    format!("{}{CHANNEL}", include_str!("../../../../catalog.toml"))
}

/// Runs a story in a house whose shop was pushed, on each database.
async fn stories(story: impl AsyncFn(House)) {
    for test in databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let mut h = House::build(test).await;
        h.engine = h.engine_in_force(Catalog::parse(&listed()).unwrap()).await;
        let quiet: quittance_engine::shop::OnStep = std::sync::Arc::new(|_, _, _| {});
        h.engine.push_catalog(false, &quiet).await.unwrap();
        story(h).await;
    }
}

async fn terms(h: &House, json: &str) {
    let terms: CustomerTerms = serde_json::from_str(json).unwrap();
    h.engine.put_customer(&customer("ada"), Default::default()).await.unwrap();
    h.engine.put_terms(&customer("ada"), terms, "a test").await.unwrap();
}

async fn bought(h: &House, new: &NewCheckout) -> String {
    buy(h, new).await;
    let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
    h.sandbox.advance_time(10 * DAY);
    h.settle().await;
    id
}

fn to(plan: &str) -> Change {
    Change { plan: Some(plan.into()), ..Change::default() }
}

fn units(quantity: i64) -> Change {
    Change { quantity: Some(quantity), ..Change::default() }
}

/// Makes a change as quoted, and returns what each period costs from then on; what was charged is what was said.
async fn change(h: &House, id: &str, change: &Change) -> i64 {
    let charged = |h: &House| -> i64 {
        h.sandbox
            .ledger()
            .customers
            .iter()
            .flat_map(|c| &c.charges)
            .filter(|c| c.paid)
            .map(|c| c.amount)
            .sum()
    };
    let before = charged(h);
    let preview = h.engine.preview_change(id, change).await.unwrap();
    h.engine.change_as_quoted(id, preview.quote.as_str()).await.unwrap();
    h.settle().await;
    assert_eq!(charged(h) - before, preview.due.minor, "{change:?}");
    preview.afterwards.minor
}

/// What the newest invoice came to.
async fn newest_total(h: &House, id: &str) -> i64 {
    let invoice = h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["latest_invoice"].clone();
    let invoice = h.provider("GET", &format!("/v1/invoices/{}", invoice.as_str().unwrap()), "");
    invoice["total"].as_i64().unwrap()
}

#[tokio::test]
async fn whoever_has_terms_of_their_own_changes_at_their_own_price() {
    stories(async |h| {
        terms(
            &h,
            r#"{"prices":[{"plan":"studio","interval":"month","amount":6000,"currency":"jpy"},
            {"plan":"pro","interval":"month","amount":1200,"currency":"jpy"}]}"#,
        )
        .await;
        let id = bought(&h, &pro("ada")).await;
        let portal = h.engine.portal_change(&customer("ada"), &id, Some("studio"), None).await.unwrap_err();
        assert_eq!(
            portal.code,
            quittance_engine::ProblemCode::WrongState,
            "the portal sells at the list's price"
        );
        assert_eq!(change(&h, &id, &to("studio")).await, 6_000, "now");
        // Back with the period's end, where the plan to come is known by a price that no list has.
        let down = change(&h, &id, &to("pro")).await;
        assert_eq!(down, 1_200);
        let row = h.engine.subscription(&id).await.unwrap().subscription;
        let next = row.scheduled.unwrap();
        assert_eq!((next.plan.unwrap().as_str(), next.interval.as_deref()), ("pro", Some("month")));
        h.live(22).await;
        assert_eq!(newest_total(&h, &id).await, 1_200);
        let row = h.engine.subscription(&id).await.unwrap().subscription;
        assert_eq!(row.plan().unwrap().plan.as_str(), "pro");
    })
    .await;
}

#[tokio::test]
async fn whoever_came_by_a_channel_changes_at_its_price() {
    stories(async |h| {
        let id = bought(&h, &NewCheckout { channel: Some("north".into()), ..pro("ada") }).await;
        assert_eq!(newest_total(&h, &id).await, 1_501);
        assert_eq!(change(&h, &id, &to("studio")).await, 7_007);
        let back = Change { when: Some(When::PeriodEnd), ..to("pro") };
        assert_eq!(change(&h, &id, &back).await, 1_501);
        let next = h.engine.subscription(&id).await.unwrap().subscription.scheduled.unwrap();
        assert_eq!(next.plan.unwrap().as_str(), "pro");
        // A year is not in the channel's list: the list's price holds.
        assert_eq!(change(&h, &id, &Change { interval: Some("year".into()), ..to("pro") }).await, 19_800);
    })
    .await;
}

#[tokio::test]
async fn more_of_what_was_bought_costs_what_it_cost() {
    stories(async |mut h| {
        let id = bought(&h, &pro("ada")).await;
        // Later Pro is dearer under the same lookup key, and what it cost before is sold no longer.
        let dearer =
            listed().replace("currency = \"jpy\", amount = 1980 }", "currency = \"jpy\", amount = 2480 }");
        h.engine = h.engine_in_force(Catalog::parse(&dearer).unwrap()).await;
        let quiet: quittance_engine::shop::OnStep = std::sync::Arc::new(|_, _, _| {});
        h.engine.push_catalog(false, &quiet).await.unwrap();
        let old = h.provider("GET", "/v1/prices", "active=false&limit=100")["data"].as_array().unwrap().len();
        assert!(old > 0, "the old price is archived");
        assert_eq!(change(&h, &id, &units(3)).await, 3 * 1_980);
        assert_eq!(change(&h, &id, &units(2)).await, 2 * 1_980, "with the period's end");
        assert_eq!(change(&h, &id, &to("studio")).await, 3 * 9_800, "the three that still run");
        let back = Change { when: Some(When::Now), ..to("pro") };
        assert_eq!(change(&h, &id, &back).await, 3 * 2_480, "what is bought anew costs what it costs");
    })
    .await;
}

/// A reduction that lasts is there after a change, now and with the period's end, and not after it was used up.
#[tokio::test]
async fn a_reduction_outlives_a_change() {
    stories(async |h| {
        terms(&h, r#"{"reduction":{"off":{"percent":"10"},"lasts":"forever"}}"#).await;
        let id = bought(&h, &NewCheckout { plan: "studio".into(), ..pro("ada") }).await;
        assert_eq!(newest_total(&h, &id).await, 8_820);
        change(&h, &id, &to("pro")).await;
        h.live(22).await;
        assert_eq!(newest_total(&h, &id).await, 1_782, "the new plan, reduced");
        h.live(31).await;
        assert_eq!(newest_total(&h, &id).await, 1_782, "and once the schedule has let go");
        change(&h, &id, &to("studio")).await;
        h.live(31).await;
        assert_eq!(newest_total(&h, &id).await, 8_820);
    })
    .await;
}
