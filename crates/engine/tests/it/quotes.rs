//! Quotes beside others: what changes nothing, two uses of one quote, and a change that is asked for beside it.

use quittance_domain::Catalog;
use quittance_domain::change::When;
use quittance_engine::problem::Money;
use quittance_engine::subscriptions::Change;
use quittance_engine::{Engine, Problem, ProblemCode, Settings};
use quittance_store::testing::databases;

use crate::house::{DAY, House, Trouble, on_each};
use crate::known_kit::use_card;

const HOUR: i64 = 3_600;

/// Where the provider says what a change costs.
const PREVIEW: &str = "/v1/invoices/create_preview";

fn to(plan: &str) -> Change {
    Change { plan: Some(plan.into()), ..Change::default() }
}

fn units(quantity: i64) -> Change {
    Change { quantity: Some(quantity), when: Some(When::Now), ..Change::default() }
}

/// Everything that was charged, in minor units.
fn charged(h: &House) -> i64 {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|c| c.paid).map(|c| c.amount).sum()
}

/// What the subscription is, at the provider: price and units.
fn is(h: &House, id: &str) -> (String, i64) {
    let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
    let item = &found["items"]["data"][0];
    (item["price"]["lookup_key"].as_str().unwrap().to_owned(), item["quantity"].as_i64().unwrap())
}

/// A Pro subscription some days into its first period.
async fn subscriber(h: &House) -> String {
    let id = h.subscriber("ada").await;
    h.sandbox.advance_time(10 * DAY);
    h.settle().await;
    id
}

fn used(engine: &Engine, id: &str, quote: &str) -> tokio::task::JoinHandle<Result<(), Problem>> {
    let (engine, id, quote) = (engine.clone(), id.to_owned(), quote.to_owned());
    tokio::spawn(async move { engine.change_as_quoted(&id, &quote).await.map(drop) })
}

/// The provider would preview the next renewal: that is no cost of the change.
#[tokio::test]
async fn what_changes_nothing_costs_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let paid = charged(h);
            for same in [units(1), Change { when: Some(When::Now), ..to("pro") }] {
                let preview = h.engine.preview_change(&id, &same).await.unwrap();
                assert_eq!(preview.when, When::Now, "{same:?}");
                assert_eq!((preview.due.minor, preview.due.currency.code()), (0, "jpy"), "{same:?}");
                assert!(preview.lines.is_empty(), "{preview:?}");
                assert_eq!(preview.afterwards.minor, 1_980);
                h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
                h.settle().await;
                assert_eq!(charged(h), paid, "{same:?}");
                assert_eq!(is(h, &id), ("pro_month_jpy".to_owned(), 1));
            }
        })
    })
    .await;
}

/// Nobody has heard of a change that was made on the provider's dashboard: a quote is of what is there.
#[tokio::test]
async fn what_a_change_costs_is_not_read_from_a_mirror_that_lags_behind() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let item = h.engine.subscription(&id).await.unwrap().subscription.facts.items[0].id.clone();
            h.drop_webhooks();
            let three = format!("items[0][id]={item}&items[0][quantity]=3&proration_behavior=none");
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &three);
            let paid = charged(h);
            let same = h.engine.preview_change(&id, &units(3)).await.unwrap();
            assert_eq!((same.due.minor, same.lines.len()), (0, 0), "{same:?}");
            h.engine.change_as_quoted(&id, same.quote.as_str()).await.unwrap();
            assert_eq!(charged(h), paid, "it was so already");
            h.settle().await;
            h.provider(
                "POST",
                &format!("/v1/subscriptions/{id}"),
                &three.replace("quantity]=3", "quantity]=1"),
            );
            let two_more = h.engine.preview_change(&id, &units(3)).await.unwrap();
            assert!(two_more.due.minor > 0, "the mirror has three of them: {two_more:?}");
            h.engine.change_as_quoted(&id, two_more.quote.as_str()).await.unwrap();
            assert_eq!(charged(h) - paid, two_more.due.minor);
        })
    })
    .await;
}

/// One who clicks twice, at two nodes: what the first one did is no reason to refuse the second.
#[tokio::test]
async fn two_uses_of_one_quote_at_once_are_one() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let other = h.another_engine().await;
            let paid = charged(h);
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            // The first one stands behind its look, the second one overtakes it.
            let gate = h.hold_answers(PREVIEW);
            let first = used(&h.engine, &id, preview.quote.as_str());
            gate.reached().await;
            h.release_answers(PREVIEW);
            other.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
            gate.open();
            first.await.unwrap().unwrap();
            h.settle().await;
            assert!(preview.due.minor > 0);
            assert_eq!(charged(h) - paid, preview.due.minor, "once");
            assert_eq!(is(h, &id), ("studio_month_jpy".to_owned(), 1));
        })
    })
    .await;
}

/// A change that was made between the look and the use.
#[tokio::test]
async fn a_change_beside_a_quote_takes_its_ground_away() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let other = h.another_engine().await;
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            let gate = h.hold_answers(PREVIEW);
            let first = used(&h.engine, &id, preview.quote.as_str());
            gate.reached().await;
            h.release_answers(PREVIEW);
            other.change_subscription(&id, &units(3), None).await.unwrap();
            let paid = charged(h);
            gate.open();
            let stale = first.await.unwrap().unwrap_err();
            assert_eq!((stale.code, stale.money), (ProblemCode::QuoteStale, Money::No), "{stale}");
            h.settle().await;
            assert_eq!(charged(h), paid, "no money moved");
            assert_eq!(is(h, &id), ("pro_month_jpy".to_owned(), 3), "the change beside it stays");
        })
    })
    .await;
}

/// A change of which nobody knows yet whether it was made: what the quote is compared with is not what will be.
#[tokio::test]
async fn a_quote_does_not_hold_while_another_change_is_in_doubt() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            let paid = charged(h);
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::LostBefore, 100);
            h.engine.change_subscription(&id, &units(3), None).await.unwrap_err();
            h.transport.mend();
            let stale = h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap_err();
            assert_eq!((stale.code, stale.money), (ProblemCode::QuoteStale, Money::No), "{stale}");
            for _ in 0..5 {
                h.pass_ms(600_000);
                h.settle().await;
            }
            assert_eq!(is(h, &id), ("pro_month_jpy".to_owned(), 3), "the change in doubt was made");
            let more = charged(h) - paid;
            assert!(more > 0 && more < 2 * 1_980, "and costs two more units of what is left: {more}");
        })
    })
    .await;
}

/// In a trial too the provider would preview the next renewal; a trial that is over is over, whoever has heard of it.
#[tokio::test]
async fn what_changes_in_a_trial_costs_nothing_before_its_end() {
    for test in databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let catalog = Catalog::parse(include_str!("../lives/catalog.toml")).unwrap();
        let h = House::with(test, Settings::default(), catalog).await;
        let id = h.subscriber("ada").await;
        let ends = h.engine.subscription(&id).await.unwrap().subscription.facts.trial_end.unwrap().seconds();
        h.sandbox.advance_time(3 * DAY);
        h.settle().await;
        let now = Change { when: Some(When::Now), ..to("studio") };
        let preview = h.engine.preview_change(&id, &now).await.unwrap();
        assert_eq!((preview.when, preview.due.minor, preview.lines.len()), (When::Now, 0, 0), "{preview:?}");
        assert_eq!(preview.afterwards.minor, 9_800);
        h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
        h.settle().await;
        assert_eq!((charged(&h), is(&h, &id)), (0, ("studio_month_jpy".to_owned(), 1)));
        h.sandbox.advance_time(ends - 600 - h.engine.now().seconds());
        h.settle().await;
        let before = h.engine.preview_change(&id, &units(3)).await.unwrap();
        assert_eq!(before.due.minor, 0);
        h.drop_webhooks();
        h.sandbox.advance_time(900);
        let stale = h.engine.change_as_quoted(&id, before.quote.as_str()).await.unwrap_err();
        assert_eq!((stale.code, stale.money), (ProblemCode::QuoteStale, Money::No), "{stale}");
        let after = h.engine.preview_change(&id, &units(3)).await.unwrap();
        assert!(after.due.minor > 9_800, "the trial is over, and we were not told: {after:?}");
    }
}

/// The mirror takes the price for one that stays, and the provider has another one: what is asked for is what is made, and
/// costs what was said.
#[tokio::test]
async fn a_price_is_not_left_out_because_a_mirror_lags_behind() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let item =
                h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["items"]["data"][0]["id"].clone();
            let year = crate::known_kit::price_id(h, "pro_year_jpy");
            let to_a_year = format!("items[0][id]={}&items[0][price]={year}", item.as_str().unwrap());
            let monthly = Change { interval: Some("month".into()), ..units(2) };
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &to_a_year);
            h.withhold();
            let paid = charged(h);
            let preview = h.engine.preview_change(&id, &monthly).await.unwrap();
            h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
            assert_eq!(is(h, &id), ("pro_month_jpy".into(), 2));
            assert_eq!(charged(h) - paid, preview.due.minor);
            // And without a quote: what is so by the mirror only is no answer.
            h.settle().await;
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &to_a_year);
            h.withhold();
            h.engine.change_subscription(&id, &monthly, None).await.unwrap();
            assert_eq!(is(h, &id), ("pro_month_jpy".into(), 2));
        })
    })
    .await;
}

/// What the first use made, the provider does not preview any more: its refusal is no refusal of the quote.
#[tokio::test]
async fn a_look_that_the_other_use_overtook_refuses_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let paid = charged(h);
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            let other = h.another_engine().await;
            let gate = h.hold_answers(PREVIEW);
            h.trouble(PREVIEW, Trouble::Status(400), 1);
            let second = used(&other, &id, preview.quote.as_str());
            gate.reached().await;
            h.release_answers(PREVIEW);
            h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap();
            gate.open();
            second.await.unwrap().unwrap();
            assert_eq!(charged(h) - paid, preview.due.minor, "once");
        })
    })
    .await;
}

/// Nobody has heard that the renewal failed. A change would cost nothing, and give back money that never came.
#[tokio::test]
async fn who_owes_what_nobody_has_heard_of_changes_nothing_at_once() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            use_card(h, &id, "pm_card_chargeCustomerFail");
            h.settle().await;
            let before = h.engine.preview_change(&id, &units(2)).await.unwrap();
            h.drop_webhooks();
            h.sandbox.advance_time(31 * DAY + 2 * HOUR);
            let paid = charged(h);
            let wanted = Change { when: Some(When::Now), ..to("studio") };
            let refused = h.engine.preview_change(&id, &wanted).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::PaymentOwed, "{refused}");
            let refused = h.engine.change_subscription(&id, &wanted, None).await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::PaymentOwed, "{refused}");
            let stale = h.engine.change_as_quoted(&id, before.quote.as_str()).await.unwrap_err();
            assert_eq!(stale.code, ProblemCode::QuoteStale, "{stale}");
            assert_eq!((charged(h), is(h, &id).1), (paid, 1));
        })
    })
    .await;
}

/// A node whose clock is ahead refuses, and one whose clock is behind is asked next: a double click.
#[tokio::test]
async fn what_was_refused_once_is_not_made_by_another() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            let paid = charged(h);
            let too_late = preview.expires_at.since(h.engine.now());
            for ahead in [too_late, -too_late] {
                h.pass_ms(ahead);
                let stale = h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap_err();
                assert_eq!(
                    (stale.code, stale.money),
                    (ProblemCode::QuoteStale, Money::No),
                    "{ahead}: {stale}"
                );
            }
            h.settle().await;
            assert_eq!((charged(h), is(h, &id)), (paid, ("pro_month_jpy".to_owned(), 1)));
        })
    })
    .await;
}

/// Two uses look at once. One looks long, and meanwhile the other is refused: what waited is refused too.
#[tokio::test]
async fn a_refusal_beside_a_look_is_for_both() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let preview = h.engine.preview_change(&id, &to("studio")).await.unwrap();
            let gate = h.hold_answers(PREVIEW);
            let slow = used(&h.engine, &id, preview.quote.as_str());
            gate.reached().await;
            h.pass_ms(preview.expires_at.since(h.engine.now()));
            let stale = h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap_err();
            assert_eq!(stale.code, ProblemCode::QuoteStale, "{stale}");
            h.release_answers(PREVIEW);
            gate.open();
            let stale = slow.await.unwrap().unwrap_err();
            assert_eq!((stale.code, stale.money), (ProblemCode::QuoteStale, Money::No), "{stale}");
            h.settle().await;
            assert_eq!(is(h, &id), ("pro_month_jpy".to_owned(), 1));
        })
    })
    .await;
}

/// The answer is lost, and we are down for as long as the provider knows the key. Someone takes the change back on the dashboard
/// meanwhile. It was made, once: it is not made and charged again.
#[tokio::test]
async fn a_change_that_was_taken_back_is_not_made_again() {
    on_each(|h| {
        Box::pin(async move {
            let id = subscriber(h).await;
            let paid = charged(h);
            let preview = h.engine.preview_change(&id, &units(3)).await.unwrap();
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::LostAfter, 1);
            h.trouble(&format!("POST /v1/subscriptions/{id}"), Trouble::LostBefore, 1_000);
            h.engine.change_as_quoted(&id, preview.quote.as_str()).await.unwrap_err();
            assert_eq!(charged(h), paid + preview.due.minor, "it was made and charged");
            let item = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
            let item = item["items"]["data"][0]["id"].as_str().unwrap().to_owned();
            let back = format!("items[0][id]={item}&items[0][quantity]=1&proration_behavior=none");
            h.provider("POST", &format!("/v1/subscriptions/{id}"), &back);
            // Nobody is up until the provider has forgotten the key.
            h.transport.mend();
            for _ in 0..2 {
                h.sandbox.advance_time(DAY + 2 * HOUR);
                h.settle().await;
            }
            assert_eq!(charged(h), paid + preview.due.minor, "and once only");
            assert_eq!(is(h, &id), ("pro_month_jpy".to_owned(), 1), "whoever took it back has it so");
        })
    })
    .await;
}
