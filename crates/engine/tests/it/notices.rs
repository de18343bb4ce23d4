//! What customers are told: each fact once, at its moment, and only while it is true.

use quittance_domain::Timestamp;
use quittance_domain::fraud::{FraudPolicy, Level, OnSuspension};
use quittance_domain::notices::truth::Truth;
use quittance_domain::notices::{Fit, NoticeKind};
use quittance_engine::Settings;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::grants::NewGrant;
use quittance_engine::notices::{NewAnnouncement, Prepared, Ready};
use quittance_store::notices::NoticeRow;

use crate::house::{DAY, House, catalog, customer, on_each, pro};
use crate::known_kit::{
    break_card, buyer_of, foreign_buyer, foreign_subscription, newest_invoice, newest_payment,
    on_each_selling, operator, price_id, standing_alerts, text, told, use_card,
};

const HOUR: i64 = 3_600;

/// Kinds in the order in which they were written down.
async fn kinds(h: &House, customer: &str) -> Vec<&'static str> {
    let mut rows = told(h, customer, None).await;
    rows.reverse();
    rows.iter().map(|row| row.kind.as_str()).collect()
}

async fn only(h: &House, customer: &str, kind: NoticeKind) -> NoticeRow {
    let rows = told(h, customer, Some(kind)).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.into_iter().next().unwrap()
}

async fn ready(h: &House, row: &NoticeRow) -> Prepared {
    match h.engine.prepare_notice(row).await.unwrap() {
        Ready::Send(prepared) => *prepared,
        Ready::Over(why) => panic!("{}: {why}", row.kind.as_str()),
    }
}

async fn is_over(h: &House, row: &NoticeRow) -> bool {
    let over = matches!(h.engine.prepare_notice(row).await.unwrap(), Ready::Over(_));
    assert_eq!(
        over,
        matches!(h.engine.still_true(row).await.unwrap(), Truth::Over(_)),
        "mirror and provider agree"
    );
    over
}

/// A trial of so many days that somebody else began, for `ada`.
async fn trial(h: &House, days: i64, more: &str) -> String {
    let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
    let form = format!("&trial_period_days={days}{more}");
    let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), &form);
    h.settle().await;
    id
}

#[tokio::test]
async fn a_whole_life_is_told_fact_by_fact_and_each_once() {
    on_each(|h| {
        Box::pin(async move {
            let id = trial(h, 14, "").await;
            assert_eq!(kinds(h, "ada").await, ["receipt"], "what a trial begins with");
            h.live(14).await;
            h.sandbox.advance_time(2 * HOUR);
            h.settle().await;
            assert_eq!(kinds(h, "ada").await, ["receipt", "trial_ending", "receipt"]);
            let paid = told(h, "ada", Some(NoticeKind::Receipt)).await;
            let prepared = ready(h, &paid[0]).await;
            assert_eq!(
                (prepared.data["amount"].as_i64(), prepared.data["currency"].as_str()),
                (Some(1_980), Some("jpy"))
            );
            break_card(h, &id);
            h.live(40).await;
            let all = kinds(h, "ada").await;
            let count = |kind: &str| all.iter().filter(|k| **k == kind).count();
            assert!(count("payment_failed") >= 2, "{all:?}");
            assert_eq!((count("grace_ending"), count("access_ended")), (1, 1), "{all:?}");
            let place = |kind: &str| all.iter().position(|k| *k == kind).unwrap();
            assert!(
                place("payment_failed") < place("grace_ending")
                    && place("grace_ending") < place("access_ended")
            );
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            assert_eq!(kinds(h, "ada").await, all, "looking again tells nothing again");
        })
    })
    .await;
}

#[tokio::test]
async fn a_failed_renewal_leads_to_its_invoice_and_is_over_once_it_is_paid() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            break_card(h, &id);
            h.live(29).await;
            let failed = only(h, "ada", NoticeKind::PaymentFailed).await;
            let prepared = ready(h, &failed).await;
            assert_eq!(prepared.data["amount"].as_i64(), Some(1_980));
            assert!(prepared.data["next_attempt_at"].is_string(), "{prepared:?}");
            let url = prepared.hosted_url.clone().unwrap();
            assert!(
                !format!("{prepared:?}").contains(&url) && !failed.data.contains("http"),
                "nothing keeps it"
            );
            use_card(h, &id, "pm_card_visa");
            // The provider knows first: the mirror has not been told yet.
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, &id)), "");
            assert!(matches!(h.engine.prepare_notice(&failed).await.unwrap(), Ready::Over(_)));
            h.settle().await;
            assert!(is_over(h, &failed).await);
            let recovered = only(h, "ada", NoticeKind::PaymentRecovered).await;
            assert!(!is_over(h, &recovered).await);
        })
    })
    .await;
}

/// C27, C28, D18: seven whole days before, what the provider will charge, and once for each end of a trial.
#[tokio::test]
async fn c28_a_trials_end_is_told_seven_days_before_with_the_providers_own_amount() {
    on_each(|h| {
        Box::pin(async move {
            h.provider("POST", "/v1/coupons", "id=half&percent_off=50&duration=forever");
            let id = trial(h, 14, "&discounts[0][coupon]=half").await;
            let end = h.engine.subscription(&id).await.unwrap().subscription.facts.trial_end.unwrap();
            let moment = end.seconds() - 7 * DAY - HOUR;
            h.sandbox.advance_time(moment - h.engine.now().seconds() - 60);
            h.settle().await;
            assert!(told(h, "ada", Some(NoticeKind::TrialEnding)).await.is_empty(), "not before its moment");
            h.sandbox.advance_time(60);
            h.settle().await;
            let row = only(h, "ada", NoticeKind::TrialEnding).await;
            assert_eq!((row.about, row.rules.len()), (Some(end), 1), "{row:?}");
            assert_eq!((row.rules[0].id.as_str(), row.rules[0].fit), ("visa_trial", Fit::Kept));
            let prepared = ready(h, &row).await;
            assert_eq!(prepared.data["amount"].as_i64(), Some(990), "with the discount: {prepared:?}");
            assert_eq!(prepared.data["card"]["last4"].as_str(), Some("4242"));
            for item in ["amount", "cancel_link", "card_last4", "trial_end"] {
                assert!(prepared.must_say.iter().any(|said| said == item), "{item}");
            }
            // A moved end is another fact, and the old message is no longer true.
            let later = end.seconds() + 14 * DAY;
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{id}"),
                &format!("trial_end={later}&proration_behavior=none"),
            );
            h.settle().await;
            assert!(is_over(h, &row).await);
            only(h, "ada", NoticeKind::TrialEnding).await;
            h.live(15).await;
            let rows = told(h, "ada", Some(NoticeKind::TrialEnding)).await;
            assert_eq!(rows.len(), 2, "{rows:?}");
            assert!(!is_over(h, &rows[0]).await);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            let unheard = h.engine.prepare_notice(&rows[0]).await.unwrap();
            assert!(
                matches!(unheard, Ready::Over(_)),
                "the provider has nothing to charge, before anybody told us"
            );
            h.settle().await;
            assert!(is_over(h, &rows[0]).await, "nothing will be charged");
            only(h, "ada", NoticeKind::SubscriptionCancelled).await;
            assert!(standing_alerts(h).await.is_empty());
        })
    })
    .await;
}

/// No effect depends on a job having run on time: nobody worked over the moment, then two nodes at once.
#[tokio::test]
async fn a_late_timer_tells_what_is_still_true_and_nothing_else() {
    on_each(|h| {
        Box::pin(async move {
            let id = trial(h, 14, "").await;
            h.drop_webhooks();
            h.sandbox.advance_time(9 * DAY);
            let other = h.another_engine().await;
            let (one, two) = tokio::join!(h.engine.drain(), other.drain());
            one.and(two).unwrap();
            h.pass_burst();
            other.drain().await.unwrap();
            let row = only(h, "ada", NoticeKind::TrialEnding).await;
            assert_eq!(row.rules[0].fit, Fit::Missed);
            assert_eq!(standing_alerts(h).await, ["notice_window_missed"]);
            let look = h.engine.subscription(&id).await.unwrap().subscription.facts.trial_end.unwrap();
            // Over the end of the trial, the failed renewal and the whole grace: only what is so now.
            break_card(h, &id);
            h.sandbox.advance_time(look.seconds() - h.engine.now().seconds() + 9 * DAY);
            assert!(!h.allowed("ada", "article:full").await, "access ended by itself");
            let before = kinds(h, "ada").await.len();
            h.another_engine().await.drain().await.unwrap();
            let all = kinds(h, "ada").await;
            assert!(!all[before..].contains(&"grace_ending"), "the grace is over: {all:?}");
            assert_eq!(all.iter().filter(|kind| **kind == "access_ended").count(), 1, "{all:?}");
            assert!(standing_alerts(h).await.is_empty(), "what was to say beforehand has happened");
        })
    })
    .await;
}

#[tokio::test]
async fn cancelling_resuming_and_changing_are_told_as_they_are() {
    on_each(|h| {
        Box::pin(async move {
            use quittance_engine::commands::request::CancelAt;
            let id = h.subscriber("ada").await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            let first = only(h, "ada", NoticeKind::SubscriptionCancelled).await;
            assert!(!is_over(h, &first).await);
            h.sandbox.advance_time(60);
            h.engine.resume_subscription(&id, None).await.unwrap();
            h.settle().await;
            assert!(is_over(h, &first).await, "taken back");
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{id}"),
                &format!(
                    "items[0][id]={}&items[0][price]={}",
                    h.engine.subscription(&id).await.unwrap().subscription.facts.items[0].id,
                    price_id(h, "studio_month_jpy")
                ),
            );
            h.settle().await;
            let changed = only(h, "ada", NoticeKind::PlanChanged).await;
            assert!(
                changed.data.contains("\"from_plan\":\"pro\"")
                    && changed.data.contains("\"plan\":\"studio\"")
            );
            h.sandbox.advance_time(60);
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.settle().await;
            let all = kinds(h, "ada").await;
            assert_eq!(all, ["receipt", "subscription_cancelled", "plan_changed", "subscription_cancelled"]);
        })
    })
    .await;
}

#[tokio::test]
async fn refunds_are_told_one_by_one() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let payment = newest_payment(h, &buyer_of(h, &id));
            for amount in [500, 300] {
                h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}&amount={amount}"));
                h.settle().await;
            }
            let rows = told(h, "ada", Some(NoticeKind::RefundMade)).await;
            let amounts: Vec<_> = rows
                .iter()
                .map(|row| {
                    serde_json::from_str::<serde_json::Value>(&row.data).unwrap()["amount"].as_i64().unwrap()
                })
                .collect();
            assert_eq!(amounts, [300, 500]);
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            assert_eq!(told(h, "ada", Some(NoticeKind::RefundMade)).await.len(), 2);
        })
    })
    .await;
}

#[tokio::test]
async fn an_old_account_is_not_flooded_with_old_news() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "description=old");
            let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            h.withhold();
            h.sandbox.advance_time(10 * DAY);
            h.withhold();
            h.provider("POST", &format!("/v1/customers/{buyer}"), "metadata[quittance_customer]=ada");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            assert!(kinds(h, "ada").await.is_empty(), "paid and cancelled ten days ago");
            h.live(21).await;
            assert_eq!(kinds(h, "ada").await, ["access_ended"], "and what happens from now on is told");
        })
    })
    .await;
}

#[tokio::test]
async fn an_announced_price_is_told_with_what_it_will_come_to() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let new = NewAnnouncement {
                id: "fees".into(),
                kind: NoticeKind::PriceChanging,
                plan: Some("pro".into()),
                effective_at: h.engine.now().plus_ms(20 * DAY * 1_000),
                new_price: Some("pro_year_jpy".into()),
                url: None,
            };
            let (row, marked) = h.engine.announce(&new, "a test").await.unwrap();
            assert_eq!((row.announcement.id.as_str(), marked), ("fees", 1));
            h.settle().await;
            let told_now = only(h, "ada", NoticeKind::PriceChanging).await;
            assert_eq!(told_now.about, Some(new.effective_at));
            h.engine.announce(&new, "a test").await.unwrap();
            h.settle().await;
            only(h, "ada", NoticeKind::PriceChanging).await;
            let other = NewAnnouncement { url: Some("https://app.example/terms".into()), ..new.clone() };
            assert!(h.engine.announce(&other, "a test").await.is_err(), "the id stands for something else");
            let past = NewAnnouncement { id: "past".into(), effective_at: h.engine.now(), ..new.clone() };
            assert!(h.engine.announce(&past, "a test").await.is_err());
            assert!(!is_over(h, &told_now).await);
            h.engine.withdraw_announcement("fees").await.unwrap();
            assert!(matches!(h.engine.still_true(&told_now).await.unwrap(), Truth::Over(_)));
            let again = NewAnnouncement { id: "fees".into(), effective_at: told_now.about.unwrap(), ..past };
            assert!(h.engine.announce(&again, "a test").await.is_err(), "what was taken back stays so");
        })
    })
    .await;
}

/// The amount of a changed price is the provider's, of the next invoice at that price.
#[tokio::test]
async fn a_changed_price_is_told_with_the_provider_s_amount() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let product =
                h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")["data"][0]["product"].clone();
            let form = format!(
                "product={}&currency=jpy&unit_amount=2480&recurring[interval]=month",
                product.as_str().unwrap()
            );
            let dearer = h.provider("POST", "/v1/prices", &form)["id"].as_str().unwrap().to_owned();
            let new = NewAnnouncement {
                id: "dearer".into(),
                kind: NoticeKind::PriceChanging,
                plan: None,
                effective_at: h.engine.now().plus_ms(20 * DAY * 1_000),
                new_price: Some(dearer),
                url: None,
            };
            h.engine.announce(&new, "a test").await.unwrap();
            h.settle().await;
            let row = only(h, "ada", NoticeKind::PriceChanging).await;
            assert_eq!(ready(h, &row).await.data["amount"], 2_480);
        })
    })
    .await;
}

/// A price that nobody can be charged would silence every message: it is refused before anybody is met.
#[tokio::test]
async fn a_price_that_is_not_at_the_provider_cannot_be_announced() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            let new = NewAnnouncement {
                id: "fees".into(),
                kind: NoticeKind::PriceChanging,
                plan: Some("pro".into()),
                effective_at: h.engine.now().plus_ms(20 * DAY * 1_000),
                new_price: Some("pro_month_jpy_2027".into()),
                url: None,
            };
            let refused = h.engine.announce(&new, "a test").await.unwrap_err();
            assert_eq!(refused.code, quittance_engine::ProblemCode::UnknownPrice, "{refused:?}");
            assert!(refused.detail.contains("pro_month_jpy_2027"), "{refused:?}");
            let nameless = NewAnnouncement { new_price: None, ..new.clone() };
            assert!(h.engine.announce(&nameless, "a test").await.is_err(), "a new price without a price");
            assert!(h.engine.announcements().await.unwrap().is_empty());
            // Once it is there it can be announced by its lookup key, whether or not the catalog names it yet.
            let product = text(
                &h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")["data"][0]["product"],
            );
            let form = format!(
                "product={product}&currency=jpy&unit_amount=2480&recurring[interval]=month&lookup_key=pro_month_jpy_2027"
            );
            let dearer = text(&h.provider("POST", "/v1/prices", &form)["id"]);
            h.engine.announce(&new, "a test").await.unwrap();
            h.settle().await;
            let row = only(h, "ada", NoticeKind::PriceChanging).await;
            assert_eq!(ready(h, &row).await.data["amount"], 2_480);
            // Archived meanwhile it is an error that comes again, and never silence.
            h.provider("POST", &format!("/v1/prices/{dearer}"), "active=false");
            assert!(h.engine.prepare_notice(&row).await.is_err());
        })
    })
    .await;
}

/// What was written down in time and leaves only when the rule's window is over: operators hear of it.
#[tokio::test]
async fn what_leaves_after_its_window_is_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            trial(h, 14, "").await;
            h.live(6).await;
            h.sandbox.advance_time(23 * HOUR + 600);
            h.settle().await;
            let row = only(h, "ada", NoticeKind::TrialEnding).await;
            assert!(row.rules.iter().all(|rule| rule.fit == Fit::Kept), "{row:?}");
            ready(h, &row).await;
            assert!(standing_alerts(h).await.is_empty(), "in time");
            h.sandbox.advance_time(2 * DAY);
            ready(h, &row).await;
            assert_eq!(standing_alerts(h).await, ["notice_window_missed"]);
        })
    })
    .await;
}

/// To the provider, what we end is a request like a customer's.
#[tokio::test]
async fn whom_we_shut_out_is_not_told_that_they_cancelled() {
    for test in quittance_store::testing::databases().await {
        let fraud = FraudPolicy { suspended_subscriptions: OnSuspension::Cancel, ..FraudPolicy::default() };
        let h = &House::with(test, Settings { fraud, ..Settings::default() }, catalog()).await;
        for who in ["ada", "bob"] {
            h.subscriber(who).await;
        }
        h.engine.suspend(&customer("ada"), Level::All, "stolen card", &operator()).await.unwrap();
        h.settle().await;
        let bobs = h.engine.customer("bob").await.unwrap().subscriptions[0].subscription.facts.id.clone();
        h.engine.cancel_subscription(&bobs, CancelAt::Now, None).await.unwrap();
        h.settle().await;
        for (who, reason) in [("ada", "suspended"), ("bob", "cancellation_requested")] {
            let row = only(h, who, NoticeKind::SubscriptionCancelled).await;
            let data: serde_json::Value = serde_json::from_str(&row.data).unwrap();
            assert_eq!(data["reason"], reason, "{who}");
        }
    }
}

fn gift(expires_at: Option<Timestamp>) -> NewGrant {
    let (plan, reason) = (Some("pro".to_owned()), "thanks".to_owned());
    NewGrant { plan, feature: None, limit: None, expires_at, reason, idempotency: None }
}

/// A gift, a purchase for good, whichever it is: who has it still is not told its end.
#[tokio::test]
async fn the_end_of_what_somebody_has_otherwise_is_not_told() {
    let lifetime = "
[[plan]]
key = \"lifetime\"
group = \"membership\"
name = { en = \"For good\" }
includes = \"pro\"
price = [{ interval = \"once\", currency = \"jpy\", amount = 50000 }]
";
    let text = format!("{}{lifetime}", include_str!("../../../../catalog.toml"));
    on_each_selling(&text, |h| {
        Box::pin(async move {
            let once =
                NewCheckout { plan: "lifetime".into(), interval: Some("once".into()), ..pro("bought") };
            h.pay(h.open(&once).await.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let mut subscriptions = Vec::new();
            for who in ["gift", "short", "none"] {
                subscriptions.push(h.subscriber(who).await);
            }
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=bought");
            subscriptions.push(foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), ""));
            h.settle().await;
            for (who, days) in [("gift", None), ("short", Some(20))] {
                let new = gift(days.map(|days| h.engine.now().plus_ms(days * DAY * 1_000)));
                h.engine.grant(&customer(who), &new, &operator()).await.unwrap();
            }
            for id in &subscriptions {
                h.engine.cancel_subscription(id, CancelAt::PeriodEnd, None).await.unwrap();
            }
            h.live(29).await;
            for (who, tells) in [("gift", 0), ("bought", 0), ("short", 1), ("none", 1)] {
                let ended = told(h, who, Some(NoticeKind::AccessEnded)).await;
                assert_eq!(ended.len(), tells, "{who}: {ended:?}");
            }
            // Given before the mail of the end has left: it is not so any more.
            let row = only(h, "none", NoticeKind::AccessEnded).await;
            assert!(!is_over(h, &row).await);
            h.engine.grant(&customer("none"), &gift(None), &operator()).await.unwrap();
            assert!(is_over(h, &row).await);
        })
    })
    .await;
}
