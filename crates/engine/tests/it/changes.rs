//! Changes: quotes, now or with the period's end, undone, replaced; pause and resume; by the API and at the provider.

use quittance_domain::change::{ChangePolicy, OnAction, PauseHow, When};
use quittance_domain::notices::NoticeKind;
use quittance_domain::subscription::Subscription;
use quittance_domain::{Access, Timestamp};
use quittance_engine::commands::request::{CancelAt, Feedback};
use quittance_engine::subscriptions::{Change, Ending};
use quittance_engine::{ProblemCode, Settings};
use quittance_store::history;
use quittance_store::testing::databases;

use crate::house::{DAY, House, Trouble, catalog, on_each, pro};
use crate::known_kit;

fn to(plan: &str) -> Change {
    Change { plan: Some(plan.into()), ..Change::default() }
}

fn units(quantity: i64) -> Change {
    Change { quantity: Some(quantity), ..Change::default() }
}

fn every(interval: &str) -> Change {
    Change { interval: Some(interval.into()), ..Change::default() }
}

/// Everything that was charged, in minor units.
fn charged(h: &House) -> i64 {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|c| c.paid).map(|c| c.amount).sum()
}

async fn mirrored(h: &House, id: &str) -> Subscription {
    h.settle().await;
    h.engine.subscription(id).await.unwrap().subscription
}

fn planned(subscription: &Subscription) -> Option<(String, String, i64, i64)> {
    subscription.scheduled.as_ref().map(|p| {
        (p.plan.clone().unwrap().to_string(), p.interval.clone().unwrap(), p.quantity, p.at.seconds())
    })
}

async fn told(h: &House) -> Vec<String> {
    let lines = h
        .engine
        .db()
        .read("test.history", |tx| history::of_customer(tx, "ada", i64::MAX, 200))
        .await
        .unwrap();
    let mut kinds: Vec<String> = lines.into_iter().map(|line| line.kind).collect();
    kinds.reverse();
    kinds
}

/// A Studio subscription in the middle of its first period, and that period's end.
async fn studio(h: &House) -> (String, i64) {
    let row = h.open(&quittance_engine::checkout::NewCheckout { plan: "studio".into(), ..pro("ada") }).await;
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    h.settle().await;
    h.sandbox.advance_time(10 * DAY);
    let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
    let end = mirrored(h, &id).await.facts.period_end().unwrap().seconds();
    (id, end)
}

fn wait_until(h: &House, at: i64) {
    h.sandbox.advance_time(at - h.engine.now().seconds());
}

/// What takes off from the whole is a line too: they add up to what is due, and to what is then charged.
#[tokio::test]
async fn lines_add_up_with_a_discount_and_a_credit() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.provider("POST", "/v1/coupons", "id=third&percent_off=33&duration=forever");
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "discounts[0][coupon]=third");
            let buyer = crate::known_kit::buyer_of(h, &id);
            let credit = "amount=-500&currency=jpy";
            h.provider("POST", &format!("/v1/customers/{buyer}/balance_transactions"), credit);
            h.sandbox.advance_time(4 * DAY);
            h.settle().await;
            let had = charged(h);
            let preview = h.engine.preview_change(&id, &every("year")).await.unwrap();
            let of = |text: &str| {
                let found = preview.lines.iter().find(|(line, _)| line == text);
                found.map_or(0, |(_, amount)| amount.minor)
            };
            assert!(of("Discount") < 0 && of("Customer balance") == -500, "{preview:?}");
            let sum: i64 = preview.lines.iter().map(|(_, amount)| amount.minor).sum();
            assert!(sum > 0, "{preview:?}");
            assert_eq!(sum, preview.due.minor, "{preview:?}");
            h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
            assert_eq!(charged(h) - had, preview.due.minor, "{preview:?}");
        })
    })
    .await;
}

/// When a change for later is made is read where it will be made: a mirror may lag behind by a period.
#[tokio::test]
async fn the_moment_of_a_change_for_later_is_the_providers() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let before = mirrored(h, &id).await.facts.period_end().unwrap();
            // Renewed, and nobody has told.
            h.sandbox.advance_time(31 * DAY + 7_200);
            h.withhold();
            let later = Change { when: Some(When::PeriodEnd), ..units(2) };
            let preview = h.engine.preview_change(&id, &later).await.unwrap();
            let item = &h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["items"]["data"][0];
            let end = item["current_period_end"].as_i64().unwrap();
            assert!(end > before.seconds());
            assert_eq!(preview.at.map(|at| at.seconds()), Some(end));
        })
    })
    .await;
}

/// Over plans, quantities, intervals and moments: what is charged is what was said, to the minor unit.
#[tokio::test]
async fn a_quote_is_charged_to_the_minor_unit() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let steps: [(i64, i64, Change); 7] = [
                (3_601, 17, units(3)),
                (4 * DAY + 7, 1_200, to("studio")),
                (11, 1_799, units(7)),
                (5 * DAY, 1, Change { when: Some(When::Now), ..units(2) }),
                (DAY / 3, 60, every("year")),
                (100 * DAY + 1, 900, units(3)),
                (1, 59, Change { when: Some(When::Now), quantity: Some(1), ..to("pro") }),
            ];
            for (before, thinking, change) in steps {
                h.sandbox.advance_time(before);
                h.settle().await;
                let had = charged(h);
                let preview = h.engine.preview_change(&id, &change).await.unwrap();
                assert_eq!(preview.when, When::Now, "{change:?}");
                let sum: i64 = preview.lines.iter().map(|(_, amount)| amount.minor).sum();
                assert_eq!(sum, preview.due.minor, "{preview:?}");
                h.sandbox.advance_time(thinking);
                h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
                let row = mirrored(h, &id).await;
                assert_eq!(charged(h) - had, preview.due.minor, "{change:?} {preview:?}");
                if let Some(quantity) = change.quantity {
                    assert_eq!(row.plan().unwrap().quantity, quantity);
                }
                // Once: the quote is its own key.
                h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
                h.settle().await;
                assert_eq!(charged(h) - had, preview.due.minor, "again: {change:?}");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn a_quote_that_does_not_hold_moves_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let bobs = h.subscriber("bob").await;
            h.sandbox.advance_time(3 * DAY);
            h.settle().await;
            let quote = || async { h.engine.preview_change(&id, &to("studio")).await.unwrap().quote };
            let paid = charged(h);
            let refused = |quote: quittance_domain::QuoteId| {
                let id = id.clone();
                async move {
                    let problem = h.engine.change_as_quoted(&id, quote.as_str()).await.unwrap_err();
                    assert_eq!(problem.money, quittance_engine::Money::No);
                    problem.code
                }
            };
            // It ran out.
            for wrong in [0, -1, 100_001] {
                let refused = h.engine.preview_change(&id, &units(wrong)).await.unwrap_err();
                assert_eq!(refused.code, ProblemCode::InvalidRequest, "{wrong}");
            }
            let late = quote().await;
            h.sandbox.advance_time(30 * 60);
            assert_eq!(refused(late).await, ProblemCode::QuoteStale);
            // The subscription changed at the provider, and we were not told yet.
            let outdated = quote().await;
            h.drop_webhooks();
            let item =
                h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["items"]["data"][0]["id"].clone();
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{id}"),
                &format!(
                    "items[0][id]={}&items[0][quantity]=2&proration_behavior=none",
                    item.as_str().unwrap()
                ),
            );
            assert_eq!(refused(outdated).await, ProblemCode::QuoteStale);
            h.engine.sweep(true, false).await.unwrap();
            h.settle().await;
            // The amount is another one: a credit came in between.
            let other_amount = quote().await;
            let buyer = h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["customer"].clone();
            let credit = format!("/v1/customers/{}/balance_transactions", buyer.as_str().unwrap());
            h.provider("POST", &credit, "amount=-100&currency=jpy");
            assert_eq!(refused(other_amount).await, ProblemCode::QuoteStale);
            // The amount is the same, but it ends now, and we were not told.
            let ends = quote().await;
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            assert_eq!(refused(ends).await, ProblemCode::QuoteStale);
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=false");
            // Somebody else's, and none at all.
            let here = quote().await;
            for other in ["sub_other", bobs.as_str()] {
                let other = h.engine.change_as_quoted(other, here.as_str()).await.unwrap_err();
                assert_eq!(
                    (other.code, other.detail.contains("quote")),
                    (ProblemCode::NotFound, true),
                    "{other}"
                );
            }
            for text in ["qt_nothing", "", "qt_iiiiiiiiiiiiiiiiiiiiiiiiii"] {
                let none = h.engine.change_as_quoted(&id, text).await.unwrap_err();
                assert_eq!(none.code, ProblemCode::NotFound, "{text}");
            }
            assert_eq!(charged(h), paid, "no money moved");
            assert_eq!(mirrored(h, &id).await.plan().unwrap().plan.as_str(), "pro");
            h.engine.change_as_quoted(&id, here.as_str()).await.unwrap();
            assert_eq!(mirrored(h, &id).await.plan().unwrap().plan.as_str(), "studio");
        })
    })
    .await;
}

/// Of what is charged later a quote says the price: when another one is sold meanwhile, it does not hold.
#[tokio::test]
async fn a_quote_for_later_does_not_outlive_its_price() {
    on_each(|h| {
        Box::pin(async move {
            let (id, _) = studio(h).await;
            let preview = h.engine.preview_change(&id, &to("pro")).await.unwrap();
            assert_eq!((preview.when, preview.afterwards.minor), (When::PeriodEnd, 1_980));
            let key = "lookup_keys[]=pro_month_jpy";
            let product = &h.provider("GET", "/v1/prices", key)["data"][0]["product"];
            let form = format!(
                "product={}&currency=jpy&unit_amount=2480&recurring[interval]=month&lookup_key=pro_month_jpy&transfer_lookup_key=true",
                product.as_str().unwrap()
            );
            h.provider("POST", "/v1/prices", &form);
            let dearer = include_str!("../../../../catalog.toml")
                .replace("currency = \"jpy\", amount = 1980 }", "currency = \"jpy\", amount = 2480 }");
            let engine = h.engine_in_force(quittance_domain::Catalog::parse(&dearer).unwrap()).await;
            let stale = engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap_err();
            assert_eq!(stale.code, ProblemCode::QuoteStale, "{stale}");
            assert_eq!(planned(&mirrored(h, &id).await), None);
        })
    })
    .await;
}

#[tokio::test]
async fn a_downgrade_waits_for_the_end_to_the_second_and_costs_nothing_until_then() {
    on_each(|h| {
        Box::pin(async move {
            let (id, end) = studio(h).await;
            let paid = charged(h);
            let preview = h.engine.preview_change(&id, &to("pro")).await.unwrap();
            assert_eq!(
                (preview.when, preview.at, preview.due.minor),
                (When::PeriodEnd, Some(Timestamp::from_seconds(end)), 0)
            );
            assert_eq!(preview.afterwards.minor, 1_980);
            h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
            let row = mirrored(h, &id).await;
            assert_eq!(planned(&row), Some(("pro".into(), "month".into(), 1, end)));
            assert_eq!(row.plan().unwrap().plan.as_str(), "studio");
            assert_eq!(charged(h), paid);
            wait_until(h, end - 1);
            assert!(h.allowed("ada", "course:library").await);
            h.sandbox.advance_time(3 * 3_600);
            let after = mirrored(h, &id).await;
            assert_eq!((after.plan().unwrap().plan.as_str(), planned(&after)), ("pro", None));
            assert!(!h.allowed("ada", "course:library").await && h.allowed("ada", "article:full").await);
            assert_eq!(charged(h) - paid, 1_980, "the new price, whole, and nothing else");
            // A day later the provider has let go by itself, and all goes on.
            h.live(2).await;
            assert_eq!(mirrored(h, &id).await.facts.ahead.schedule, None);
            h.live(31).await;
            assert_eq!(charged(h) - paid, 2 * 1_980);
            let kinds = told(h).await;
            let ours: Vec<&str> =
                kinds.iter().map(String::as_str).filter(|k| k.starts_with("subscription.")).collect();
            assert_eq!(
                ours,
                ["subscription.created", "subscription.change_scheduled", "subscription.plan_changed"]
            );
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_planned_is_replaced_undone_and_makes_way() {
    on_each(|h| {
        Box::pin(async move {
            let (id, end) = studio(h).await;
            let schedule = |s: &Subscription| s.facts.ahead.schedule.clone();
            h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
            let first = mirrored(h, &id).await;
            // Changing again replaces what stands, in place.
            let both = Change { interval: Some("year".into()), when: Some(When::PeriodEnd), ..to("pro") };
            h.engine.change_subscription(&id, &both, None).await.unwrap();
            let second = mirrored(h, &id).await;
            assert_eq!(planned(&second), Some(("pro".into(), "year".into(), 1, end)));
            assert_eq!(schedule(&first), schedule(&second));
            // Undone, nothing is planned; undone again there is nothing to undo.
            h.engine.undo_change(&id, None).await.unwrap();
            let undone = mirrored(h, &id).await;
            assert_eq!((planned(&undone), schedule(&undone)), (None, None));
            let nothing = h.engine.undo_change(&id, None).await.unwrap_err();
            assert_eq!(nothing.code, ProblemCode::WrongState);
            // Wanting what it is takes back what is planned.
            h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
            h.settle().await;
            let back = Change { when: Some(When::PeriodEnd), ..to("studio") };
            h.engine.change_subscription(&id, &back, None).await.unwrap();
            let same = mirrored(h, &id).await;
            assert_eq!((planned(&same), schedule(&same)), (None, None), "and no schedule stays for nothing");
            // A cancellation makes the plan fall away, and resuming does not bring it back.
            h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
            h.settle().await;
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            let row = mirrored(h, &id).await;
            assert_eq!((row.facts.ends_at().map(Timestamp::seconds), planned(&row)), (Some(end), None));
            let blocked = h.engine.change_subscription(&id, &to("pro"), None).await.unwrap_err();
            assert_eq!(blocked.code, ProblemCode::WrongState, "it ends before");
            h.engine.resume_subscription(&id, None).await.unwrap();
            let row = mirrored(h, &id).await;
            assert_eq!((row.facts.ends_at(), planned(&row)), (None, None));
            // An upgrade now makes it fall away too.
            h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
            h.settle().await;
            h.engine.change_subscription(&id, &units(2), None).await.unwrap();
            let more = mirrored(h, &id).await;
            assert_eq!((more.plan().unwrap().quantity, planned(&more)), (2, None));
            // And resuming what does not end leaves the plan alone.
            h.engine.change_subscription(&id, &units(1), None).await.unwrap();
            h.settle().await;
            h.engine.resume_subscription(&id, None).await.unwrap();
            assert_eq!(planned(&mirrored(h, &id).await), Some(("studio".into(), "month".into(), 1, end)));
            wait_until(h, end + 3 * 3_600);
            assert_eq!(mirrored(h, &id).await.plan().unwrap().quantity, 1);
        })
    })
    .await;
}

#[tokio::test]
async fn intervals_get_longer_now_and_shorter_at_the_end() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.sandbox.advance_time(9 * DAY);
            h.settle().await;
            let now = h.engine.now().seconds();
            h.engine.change_subscription(&id, &every("year"), None).await.unwrap();
            let year = mirrored(h, &id).await;
            assert_eq!(year.facts.items[0].interval.as_deref(), Some("year"));
            assert!(year.facts.period_start().unwrap().seconds() - now < 60, "a new year begins now");
            let end = year.facts.period_end().unwrap().seconds();
            h.engine.change_subscription(&id, &every("month"), None).await.unwrap();
            let month = mirrored(h, &id).await;
            assert_eq!(planned(&month), Some(("pro".into(), "month".into(), 1, end)));
            assert_eq!(month.facts.items[0].interval.as_deref(), Some("year"), "the year is used up");
        })
    })
    .await;
}

/// A card that wants the customer: nothing changes until they confirm, and they get a link where they do.
#[tokio::test]
async fn a_payment_that_needs_the_customer_gives_a_link_and_changes_nothing_before() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.sandbox.advance_time(DAY);
            let buyer = h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["customer"].clone();
            let form = format!("customer={}", buyer.as_str().unwrap());
            let card = h.provider("POST", "/v1/payment_methods/pm_card_authenticationRequired/attach", &form);
            let form = format!("default_payment_method={}", card["id"].as_str().unwrap());
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &form);
            h.settle().await;
            let paid = charged(h);
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
            h.settle().await;
            let row = h.engine.subscription(&id).await.unwrap();
            let waiting = row.subscription.pending.clone().unwrap();
            assert_eq!(waiting.plan.unwrap().as_str(), "studio");
            assert_eq!(row.subscription.plan().unwrap().plan.as_str(), "pro");
            assert!(!h.allowed("ada", "course:library").await);
            let link = h.engine.pay_page(&row).await.unwrap().unwrap();
            assert!(link.starts_with("http://127.0.0.1:12111/"), "{link}");
            assert_eq!(charged(h), paid);
            let invoice = row.subscription.facts.latest_invoice.unwrap().id;
            let pay = h.sandbox.handle(quittance_sandbox::HttpRequest::new(
                "POST",
                &format!("/v1/invoices/{invoice}/pay"),
                "sk_test_house",
                "",
            ));
            assert_eq!(pay.status, 402, "off the page the bank still asks");
            h.provider("POST", &format!("/v1/invoices/{invoice}/pay"), "payment_method=pm_card_visa");
            let after = mirrored(h, &id).await;
            assert_eq!((after.plan().unwrap().plan.as_str(), &after.pending), ("studio", &None));
            assert_eq!(charged(h) - paid, preview.due.minor);
            let row = h.engine.subscription(&id).await.unwrap();
            assert_eq!(h.engine.pay_page(&row).await.unwrap(), None);
        })
    })
    .await;
    for test in databases().await {
        let changes = ChangePolicy { on_action: OnAction::Refuse, ..ChangePolicy::default() };
        let h = House::with(test, Settings { changes, ..Settings::default() }, catalog()).await;
        let id = h.subscriber("ada").await;
        let buyer = h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["customer"].clone();
        let form = format!("customer={}", buyer.as_str().unwrap());
        let card = h.provider("POST", "/v1/payment_methods/pm_card_authenticationRequired/attach", &form);
        let form = format!("default_payment_method={}", card["id"].as_str().unwrap());
        h.provider("POST", &format!("/v1/subscriptions/{id}"), &form);
        let refused = h.engine.change_subscription(&id, &to("studio"), None).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::PaymentDeclined);
        assert_eq!(mirrored(&h, &id).await.pending, None);
    }
}

#[tokio::test]
async fn a_pause_uses_up_what_is_paid_takes_nothing_and_ends_by_itself() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let end = mirrored(h, &id).await.facts.period_end().unwrap().seconds();
            let paid = charged(h);
            let past = h.engine.pause_subscription(&id, Some(h.engine.now()), None).await.unwrap_err();
            assert_eq!(past.code, ProblemCode::InvalidRequest);
            let resumes = Timestamp::from_seconds(end + 45 * DAY);
            h.engine.pause_subscription(&id, Some(resumes), None).await.unwrap();
            assert!(mirrored(h, &id).await.facts.is_paused());
            // Nothing would be taken for a change, and it would be given. What is planned is charged with its period.
            let dearer = |when| Change { plan: Some("studio".into()), when: Some(when), ..Change::default() };
            let invoices = || h.provider("GET", "/v1/invoices", "")["data"].as_array().unwrap().len();
            let before = invoices();
            let wrong = h.engine.change_subscription(&id, &dearer(When::Now), None).await.unwrap_err();
            assert_eq!(wrong.code, ProblemCode::WrongState, "{wrong:?}");
            let wrong = h.engine.preview_change(&id, &dearer(When::Now)).await.unwrap_err();
            assert_eq!(wrong.code, ProblemCode::WrongState, "{wrong:?}");
            h.engine.change_subscription(&id, &dearer(When::PeriodEnd), None).await.unwrap();
            assert!(mirrored(h, &id).await.scheduled.is_some());
            h.engine.undo_change(&id, None).await.unwrap();
            let now = mirrored(h, &id).await;
            assert_eq!(
                (invoices(), now.plan().unwrap().plan.as_str(), &now.scheduled),
                (before, "pro", &None)
            );
            h.drop_webhooks();
            wait_until(h, end - 1);
            assert!(h.allowed("ada", "article:full").await);
            h.sandbox.advance_time(2);
            assert!(!h.allowed("ada", "article:full").await, "without an event, a job or a sync");
            h.live(20).await;
            assert!(!h.allowed("ada", "article:full").await);
            assert_eq!(charged(h), paid);
            wait_until(h, resumes.seconds() + 3_600);
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "the timer looks when it ends");
            assert!(!mirrored(h, &id).await.facts.is_paused());
            // Paused and resumed by hand, as often as one likes.
            for _ in 0..2 {
                h.engine.pause_subscription(&id, None, None).await.unwrap();
                assert!(mirrored(h, &id).await.facts.is_paused());
                h.engine.resume_subscription(&id, None).await.unwrap();
                assert!(!mirrored(h, &id).await.facts.is_paused());
            }
            let kinds = told(h).await;
            let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
            assert_eq!((count("subscription.paused"), count("subscription.resumed")), (3, 3), "{kinds:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn the_providers_own_pause_ends_access_at_once_and_resuming_is_paid() {
    for test in databases().await {
        let changes = ChangePolicy { pause: PauseHow::Subscription, ..ChangePolicy::default() };
        let h = House::with(test, Settings { changes, ..Settings::default() }, catalog()).await;
        let id = h.subscriber("ada").await;
        let later = Some(h.engine.now().plus_ms(86_400_000));
        let named = h.engine.pause_subscription(&id, later, None).await.unwrap_err();
        assert_eq!(named.code, ProblemCode::InvalidRequest);
        h.live(10).await;
        h.engine.pause_subscription(&id, None, None).await.unwrap();
        let row = mirrored(&h, &id).await;
        assert_eq!((row.facts.status.as_str(), row.access), ("paused", Access::Revoked));
        let waiting = h.provider("GET", "/v1/invoiceitems", "pending=true");
        let credit = waiting["data"][0]["amount"].as_i64().unwrap();
        assert!((-1_400..-1_200).contains(&credit), "about two thirds are not used: {waiting}");
        let paused = h.engine.change_subscription(&id, &to("studio"), None).await.unwrap_err();
        assert_eq!(paused.code, ProblemCode::WrongState);
        h.live(40).await;
        let paid = charged(&h);
        h.engine.resume_subscription(&id, None).await.unwrap();
        assert_eq!(mirrored(&h, &id).await.facts.status.as_str(), "active");
        assert!(h.allowed("ada", "article:full").await);
        assert_eq!(charged(&h) - paid, 1_980 + credit);
    }
}

#[tokio::test]
async fn a_reason_reaches_the_provider_and_the_mirror() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let ending = Ending {
                at: CancelAt::PeriodEnd,
                feedback: Some(Feedback::TooExpensive),
                comment: Some("寿司のほうがいい".into()),
            };
            let long = Ending { comment: Some("x".repeat(1_001)), ..ending.clone() };
            let refused = h.engine.cancel_subscription(&id, long, None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::InvalidRequest);
            h.engine.cancel_subscription(&id, ending, None).await.unwrap();
            let why = mirrored(h, &id).await.facts.ahead.cancellation.unwrap();
            assert_eq!(why.feedback.as_deref(), Some("too_expensive"));
            let at_provider = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
            assert_eq!(at_provider["cancellation_details"]["comment"], "寿司のほうがいい");
        })
    })
    .await;
}

/// Answers are lost on the way: the change is planned once all the same, and undone once.
#[tokio::test]
async fn a_lost_answer_plans_nothing_twice() {
    on_each(|h| {
        Box::pin(async move {
            let (id, end) = studio(h).await;
            for part in ["POST /v1/subscription_schedules", "POST /v1/subscription_schedules/sub"] {
                h.trouble(part, Trouble::LostAfter, 1);
            }
            h.engine.change_subscription(&id, &to("pro"), None).await.unwrap();
            assert_eq!(planned(&mirrored(h, &id).await), Some(("pro".into(), "month".into(), 1, end)));
            h.trouble("/release", Trouble::LostAfter, 1);
            h.engine.undo_change(&id, None).await.unwrap();
            assert_eq!(planned(&mirrored(h, &id).await), None);
            let made = h.provider("GET", "/v1/subscription_schedules", "");
            assert_eq!(made["data"].as_array().unwrap().len(), 1);
        })
    })
    .await;
}

/// The provider made a plan that we do not know of yet: what is wanted last holds.
#[tokio::test]
async fn a_plan_that_nobody_told_us_of_stands_in_nobodys_way() {
    on_each(|h| {
        Box::pin(async move {
            let (id, end) = studio(h).await;
            h.drop_webhooks();
            h.provider("POST", "/v1/subscription_schedules", &format!("from_subscription={id}"));
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            assert_eq!(mirrored(h, &id).await.facts.ends_at().map(Timestamp::seconds), Some(end));
        })
    })
    .await;
}

/// The provider cancelled, and nobody heard it for longer than keys live: it is not cancelled, and told, once more.
#[tokio::test]
async fn a_cancellation_that_nobody_heard_of_is_made_and_told_once() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let asked = |h: &House| {
                let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
                found["canceled_at"].as_i64()
            };
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::LostAfter, 100);
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap_err();
            let first = asked(h);
            assert!(first.is_some());
            h.settle().await;
            h.sandbox.advance_time(DAY + 3_600);
            h.transport.mend();
            for _ in 0..5 {
                h.pass_ms(600_000);
                h.settle().await;
            }
            assert!(mirrored(h, &id).await.facts.ends_at().is_some());
            assert_eq!(asked(h), first);
            let told = known_kit::told(h, "ada", Some(NoticeKind::SubscriptionCancelled)).await;
            assert_eq!(told.len(), 1, "{told:?}");
        })
    })
    .await;
}
