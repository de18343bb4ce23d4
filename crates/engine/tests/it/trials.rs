//! Trials: one for each customer, card and e-mail; and subscriptions that begin when another one ends.

use quittance_domain::notices::NoticeKind;
use quittance_domain::trial::{ClaimKind, OnSecondTrial, TrialPolicy};
use quittance_domain::{Catalog, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::notices::Ready;
use quittance_engine::{ProblemCode, Settings};
use quittance_store::customers::CustomerPatch;
use quittance_store::testing::{TestDb, databases};
use quittance_store::{commands, history, outbox, trials};

use crate::house::{DAY, House, customer, on_each, pro};
use crate::known_kit::{foreign_subscription, give_card, lines_of, price_id, text, told, use_card};
use crate::pricing::ask_for;

/// The demo catalog, with a trial of two weeks on every plan that renews.
pub fn with_trials() -> Catalog {
    let text = include_str!("../../../../catalog.toml");
    let text = text.replace("key = \"pro\"\n", "key = \"pro\"\ntrial_days = 14\n");
    Catalog::parse(&text.replace("key = \"studio\"\n", "key = \"studio\"\ntrial_days = 14\n")).unwrap()
}

async fn house(test: TestDb, trials: TrialPolicy) -> House {
    let settings = Settings {
        trials,
        trial_secret: Some("a root key of thirty-two letters".to_owned().into()),
        ..Settings::default()
    };
    House::with(test, settings, with_trials()).await
}

async fn named(h: &House, id: &str, email: &str) {
    let patch = CustomerPatch {
        email: quittance_store::customers::Change::Set(email.to_owned()),
        ..CustomerPatch::default()
    };
    h.engine.put_customer(&customer(id), patch).await.unwrap();
}

async fn buy(h: &House, id: &str, card: &str) -> String {
    let row = h.open(&pro(id)).await;
    h.pay(row.session.as_deref().unwrap(), card);
    h.settle().await;
    h.engine.customer(id).await.unwrap().subscriptions[0].subscription.facts.id.clone()
}

async fn status(h: &House, id: &str) -> String {
    h.settle().await;
    h.engine.subscription(id).await.unwrap().subscription.facts.status.as_str().to_owned()
}

fn charged(h: &House) -> i64 {
    h.sandbox.ledger().customers.iter().flat_map(|c| &c.charges).filter(|c| c.paid).map(|c| c.amount).sum()
}

#[tokio::test]
async fn b4_a_second_checkout_opens_without_a_trial_and_says_so() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        named(&h, "ada", "a.d.a@gmail.com").await;
        let first = buy(&h, "ada", "pm_card_visa").await;
        assert_eq!((status(&h, &first).await.as_str(), charged(&h)), ("trialing", 0));
        h.engine.cancel_subscription(&first, CancelAt::Now, None).await.unwrap();
        h.settle().await;
        let again = h.open(&pro("ada")).await;
        assert_eq!((again.wish.trial_days, again.wish.trial_refused), (Some(0), true));
        h.pay(again.session.as_deref().unwrap(), "pm_card_visa");
        h.settle().await;
        assert_eq!(charged(&h), 1_980, "charged at once");
        // Another account, the same mailbox.
        named(&h, "eve", "ADA+again@googlemail.com").await;
        assert!(h.open(&pro("eve")).await.wish.trial_refused);
        named(&h, "bob", "bob@example.com").await;
        let bob = h.open(&pro("bob")).await;
        assert_eq!((bob.wish.trial_days, bob.wish.trial_refused), (Some(14), false));
        // An open checkout with a trial is no way around: it is closed when the mailbox turns out to be known.
        named(&h, "bob", "ada+bob@gmail.com").await;
        let other = h.open(&pro("bob")).await;
        assert!(other.wish.trial_refused && other.id != bob.id);
    }
}

#[tokio::test]
async fn b4_a_card_that_had_a_trial_is_found_when_it_is_attached_and_charged_once() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        buy(&h, "ada", "pm_card_visa").await;
        assert_eq!(charged(&h), 0);
        let second = buy(&h, "bob", "pm_card_visa").await;
        assert_eq!(status(&h, &second).await, "active", "its trial ended");
        assert_eq!(charged(&h), 1_980);
        let third = buy(&h, "eve", "pm_card_mastercard").await;
        assert_eq!(status(&h, &third).await, "trialing", "another card");
        h.live(3).await;
        assert_eq!(charged(&h), 1_980, "once");
        let lines = h
            .engine
            .db()
            .read("test.history", |tx| history::of_customer(tx, "bob", i64::MAX, 100))
            .await
            .unwrap();
        assert_eq!(lines.iter().filter(|l| l.kind == "trial.second_found").count(), 1);
        let kept = h
            .engine
            .db()
            .read("test.commands", move |tx| commands::asked(tx, &format!("trial/{second}")))
            .await;
        assert_eq!(kept.unwrap().count, 1);
    }
}

/// Grace is for who has paid before: a card that cannot be charged would have a week for nothing each time.
#[tokio::test]
async fn b4_a_second_trial_whose_card_cannot_be_charged_ends_at_once() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        buy(&h, "ada", "pm_card_chargeCustomerFail").await;
        assert!(h.allowed("ada", "article:full").await, "the first trial is a trial");
        for again in ["bob", "eve"] {
            let id = buy(&h, again, "pm_card_chargeCustomerFail").await;
            assert_eq!(status(&h, &id).await, "canceled");
            assert!(!h.allowed(again, "article:full").await);
            h.live(8).await;
            assert!(!h.allowed(again, "article:full").await);
        }
        assert_eq!(charged(&h), 0);
    }
}

/// Two tabs, two accounts, one mailbox: both checkouts were open before either trial had begun.
#[tokio::test]
async fn b4_two_checkouts_at_the_same_time_are_one_trial() {
    for (on_second, ends_as, paid) in [
        (OnSecondTrial::Charge, "active", 1_980),
        (OnSecondTrial::Cancel, "canceled", 0),
        (OnSecondTrial::Alert, "trialing", 0),
    ] {
        for test in databases().await {
            let h = house(test, TrialPolicy { on_second, ..TrialPolicy::default() }).await;
            named(&h, "ada", "ada@gmail.com").await;
            named(&h, "bob", "a.da+2@gmail.com").await;
            let (first, second) = (h.open(&pro("ada")).await, h.open(&pro("bob")).await);
            assert!(!first.wish.trial_refused && !second.wish.trial_refused);
            h.pay(first.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            h.pay(second.session.as_deref().unwrap(), "pm_card_mastercard");
            h.settle().await;
            let of = |id: &'static str| {
                let h = &h;
                async move { h.engine.customer(id).await.unwrap().subscriptions[0].subscription.facts.id.clone() }
            };
            assert_eq!(status(&h, &of("ada").await).await, "trialing");
            assert_eq!(status(&h, &of("bob").await).await, ends_as, "{on_second:?}");
            // Told as what it is: no trial that has ended in the same second, and no cancellation of theirs.
            let data = async |kind| -> Vec<serde_json::Value> {
                let rows = told(&h, "bob", Some(kind)).await;
                rows.iter().map(|row| serde_json::from_str(&row.data).unwrap()).collect()
            };
            let begun = data(NoticeKind::Receipt).await.iter().filter(|d| d["trial_end"].is_string()).count();
            assert_eq!(begun, usize::from(on_second == OnSecondTrial::Alert), "{on_second:?}");
            let ended = data(NoticeKind::SubscriptionCancelled).await;
            let reasons: Vec<_> = ended.iter().map(|d| d["reason"].as_str().unwrap()).collect();
            let ours = on_second == OnSecondTrial::Cancel;
            assert_eq!(reasons, if ours { vec!["trial_used"] } else { vec![] });
            h.live(2).await;
            assert_eq!(charged(&h), paid);
            let alerts = h
                .engine
                .db()
                .read("test.alerts", |tx| outbox::alerts(tx, true, i64::MAX, 100))
                .await
                .unwrap();
            let told = alerts.iter().filter(|a| a.kind == "second_trial").count();
            assert_eq!(told, usize::from(on_second == OnSecondTrial::Alert));
        }
    }
}

#[tokio::test]
async fn b4_each_key_can_be_switched_off_and_nothing_readable_is_kept() {
    for test in databases().await {
        let off = TrialPolicy { once_per_card: false, once_per_email: false, ..TrialPolicy::default() };
        let h = house(test, off).await;
        named(&h, "ada", "ada@gmail.com").await;
        named(&h, "bob", "ada@gmail.com").await;
        buy(&h, "ada", "pm_card_visa").await;
        let second = buy(&h, "bob", "pm_card_visa").await;
        assert_eq!(status(&h, &second).await, "trialing");
        assert_eq!(charged(&h), 0);
    }
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        named(&h, "ada", "ada@gmail.com").await;
        let id = buy(&h, "ada", "pm_card_visa").await;
        let method =
            h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["default_payment_method"].clone();
        let path = format!("/v1/payment_methods/{}", method.as_str().unwrap());
        let fingerprint = h.provider("GET", &path, "")["card"]["fingerprint"].as_str().unwrap().to_owned();
        let scope = h.engine.scope().to_string();
        let (kept, read) = (fingerprint.clone(), scope.clone());
        let looked =
            h.engine.db().read("test.seen", move |tx| trials::seen(tx, &read, &id)).await.unwrap().unwrap();
        let card = looked.card.unwrap();
        assert!(card.len() == 64 && card != kept, "a keyed hash: {card}");
        for (kind, value, holds) in [
            (ClaimKind::Card, card.as_str(), true),
            (ClaimKind::Card, fingerprint.as_str(), false),
            (ClaimKind::Email, "ada@gmail.com", false),
            (ClaimKind::Customer, "ada", false),
        ] {
            let (scope, value) = (scope.clone(), value.to_owned());
            let holder =
                h.engine.db().read("test.holder", move |tx| trials::holder(tx, &scope, kind, &value)).await;
            assert_eq!(holder.unwrap().is_some(), holds, "{}: nothing readable", kind.as_str());
        }
    }
}

/// A trial of a checkout of ours, whose card is the customer's own.
async fn sold(h: &House, id: &str, card: &str) -> String {
    let checkout = quittance_domain::CheckoutId::derived(&[id]);
    begun(h, id, card, &format!("&metadata[quittance_checkout]={checkout}")).await
}

async fn begun(h: &House, id: &str, card: &str, more: &str) -> String {
    let buyer =
        text(&h.provider("POST", "/v1/customers", &format!("metadata[quittance_customer]={id}"))["id"]);
    give_card(h, &buyer, card);
    let subscription = foreign_subscription(
        h,
        &buyer,
        &price_id(h, "pro_month_jpy"),
        &format!("&trial_period_days=14{more}"),
    );
    h.settle().await;
    subscription
}

/// Somebody at the provider gave it, or an account that was imported: nothing is charged for what we did not sell.
#[tokio::test]
async fn b4_a_trial_that_was_given_at_the_provider_is_told_and_left_alone() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        sold(&h, "ada", "pm_card_visa").await;
        let given = begun(&h, "bob", "pm_card_visa", "").await;
        assert_eq!((status(&h, &given).await.as_str(), charged(&h)), ("trialing", 0));
        let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
        assert!(alerts.iter().any(|a| a.kind == "second_trial" && a.object == given), "{alerts:?}");
    }
}

/// Whichever card would be charged counts: the customer's own, and one that is put in its place before the trial is over.
#[tokio::test]
async fn b4_a_card_of_the_customer_counts_and_so_does_one_that_is_swapped_in() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        let first = sold(&h, "ada", "pm_card_visa").await;
        assert_eq!((status(&h, &first).await.as_str(), charged(&h)), ("trialing", 0));
        let second = sold(&h, "bob", "pm_card_visa").await;
        assert_eq!((status(&h, &second).await.as_str(), charged(&h)), ("active", 1_980));
        let third = sold(&h, "eve", "pm_card_mastercard").await;
        assert_eq!(status(&h, &third).await, "trialing", "another card");
        h.live(2).await;
        use_card(&h, &third, "pm_card_visa");
        assert_eq!((status(&h, &third).await.as_str(), charged(&h)), ("active", 2 * 1_980));
        // The first one keeps its trial, whatever is done with cards.
        use_card(&h, &first, "pm_card_mastercard");
        h.settle().await;
        use_card(&h, &first, "pm_card_visa");
        assert_eq!(lines_of(&h, "eve", "trial.second_found").await, 1);
    }
}

/// An address that comes when the trial has begun is remembered, and found.
/// The app tells no addresses: what buyers typed at the provider counts all the same.
#[tokio::test]
async fn b4_an_address_that_only_the_provider_knows_counts() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        let mut ids = Vec::new();
        for (id, card) in [("ada", "pm_card_visa"), ("eve", "pm_card_mastercard")] {
            let row = h.open(&pro(id)).await;
            let theirs = h.engine.known_provider_customer(&customer(id)).await.unwrap().unwrap();
            h.provider("POST", &format!("/v1/customers/{theirs}"), "email=Ada@Example.com");
            h.pay(row.session.as_deref().unwrap(), card);
            h.settle().await;
            ids.push(h.engine.customer(id).await.unwrap().subscriptions[0].subscription.facts.id.clone());
        }
        assert_eq!((status(&h, &ids[0]).await.as_str(), charged(&h)), ("trialing", 1_980));
        assert_eq!(status(&h, &ids[1]).await, "active", "the second was ended, and is charged for");
    }
}

#[tokio::test]
async fn b4_an_address_that_comes_later_counts() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        let first = sold(&h, "ada", "pm_card_visa").await;
        named(&h, "ada", "ada@gmail.com").await;
        assert_eq!(status(&h, &first).await, "trialing");
        named(&h, "new", "a.d.a@gmail.com").await;
        assert!(h.open(&pro("new")).await.wish.trial_refused, "the address had its trial");
        let other = sold(&h, "bob", "pm_card_mastercard").await;
        assert_eq!(status(&h, &other).await, "trialing");
        named(&h, "bob", "ada+bob@gmail.com").await;
        assert_eq!(status(&h, &other).await, "active");
        assert_eq!((charged(&h), lines_of(&h, "bob", "trial.second_found").await), (1_980, 1));
    }
}

/// What a price says is due is what the checkout asks for.
#[tokio::test]
async fn b4_a_price_knows_who_had_their_trial() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        let new = h.engine.price(&ask_for(&pro("ada"))).await.unwrap();
        assert_eq!((new.due_now.minor, new.trial_days, new.total.minor), (0, 14, 1_980));
        let first = buy(&h, "ada", "pm_card_visa").await;
        h.engine.cancel_subscription(&first, CancelAt::Now, None).await.unwrap();
        h.settle().await;
        let again = h.engine.price(&ask_for(&pro("ada"))).await.unwrap();
        assert_eq!((again.due_now.minor, again.trial_days), (1_980, 0));
        assert!(again.trace.iter().all(|step| step.rule != "trial"), "{:?}", again.trace);
        let row = h.open(&pro("ada")).await;
        let session = h.provider("GET", &format!("/v1/checkout/sessions/{}", row.session.unwrap()), "");
        assert_eq!(session["amount_total"], again.due_now.minor);
    }
}

async fn ending(h: &House, before_end: i64) -> (String, i64) {
    let id = h.subscriber("ada").await;
    h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
    h.settle().await;
    let end = h.engine.subscription(&id).await.unwrap().subscription.facts.ends_at().unwrap().seconds();
    h.sandbox.advance_time(end - before_end - h.engine.now().seconds());
    h.settle().await;
    (id, end)
}

/// 20 days, two days and less than two days before the end: nothing is charged a second early or late.
#[tokio::test]
async fn c30_a_subscription_begins_when_the_term_ends_to_the_second() {
    on_each(|h| {
        Box::pin(async move {
            let free = h.open(&NewCheckout { starts_after: None, ..pro("nobody") }).await;
            assert_eq!(free.wish.starts_after, None);
        })
    })
    .await;
    for before in [20 * DAY + 1_234, 2 * DAY - 17, 3_600 + 59] {
        for test in databases().await {
            let h = House::build(test).await;
            let (old, end) = ending(&h, before).await;
            let wish = NewCheckout { plan: "studio".into(), starts_after: Some(old.clone()), ..pro("ada") };
            let row = h.open(&wish).await;
            assert_eq!(row.wish.starts_after, Some((old.clone(), Timestamp::from_seconds(end))));
            assert!(row.expires_at.unwrap().seconds() <= end, "it closes before");
            assert_eq!(h.open(&wish).await.id, row.id, "the same wish");
            let paid = charged(&h);
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert_eq!(charged(&h), paid, "{before}");
            let both = h.engine.customer("ada").await.unwrap().subscriptions;
            let new = both.iter().find(|s| s.subscription.facts.id != old).unwrap().subscription.clone();
            assert!(both.iter().all(|s| s.subscription.duplicate.is_none() && s.subscription.is_live()));
            assert_eq!(new.facts.period_end().unwrap().seconds(), end, "{before}");
            h.sandbox.advance_time(end - 1 - h.engine.now().seconds());
            assert!(h.allowed("ada", "article:full").await);
            assert_eq!(charged(&h), paid, "not a second early");
            h.sandbox.advance_time(2);
            assert!(h.allowed("ada", "article:full").await, "no gap");
            h.sandbox.advance_time(3 * 3_600);
            h.settle().await;
            let after = h.engine.subscription(&new.facts.id).await.unwrap().subscription;
            assert_eq!(after.facts.period_start().unwrap().seconds(), end);
            assert_eq!(charged(&h) - paid, 9_800);
            assert_eq!(status(&h, &old).await, "canceled");
        }
    }
}

#[tokio::test]
async fn c30_what_does_not_end_or_ends_too_soon_or_is_somebody_elses_starts_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let wish = |who: &str| NewCheckout { starts_after: Some(id.clone()), ..pro(who) };
            let running = h.engine.open_checkout(&wish("ada")).await.unwrap_err();
            assert_eq!(running.code, ProblemCode::WrongState, "it does not end");
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            let other = h.engine.open_checkout(&wish("eve")).await.unwrap_err();
            assert_eq!(other.code, ProblemCode::NotFound);
            let row = h.open(&wish("ada")).await;
            // The old one goes on after all: then the new one is one too many, and nothing was charged for it.
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let paid = charged(h);
            h.engine.resume_subscription(&id, None).await.unwrap();
            h.settle().await;
            let all = h.engine.customer("ada").await.unwrap().subscriptions;
            let live: Vec<_> = all
                .iter()
                .filter(|s| s.subscription.is_live())
                .map(|s| s.subscription.facts.id.clone())
                .collect();
            assert_eq!((live, charged(h)), (vec![id.clone()], paid));
            h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            let end = h.engine.subscription(&id).await.unwrap().subscription.facts.ends_at().unwrap();
            h.sandbox.advance_time(end.seconds() - 600 - h.engine.now().seconds());
            let soon = h.engine.open_checkout(&wish("ada")).await.unwrap_err();
            assert_eq!(soon.code, ProblemCode::WrongState);
            assert!(soon.retry_after_s.is_some_and(|s| (1..=600).contains(&s)), "{soon:?}");
        })
    })
    .await;
}

/// A term that waits for the end of another one is no trial: whoever had one waits all the same, to the end.
#[tokio::test]
async fn c30_a_wait_is_no_trial() {
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        named(&h, "ada", "ada@example.com").await;
        let first = buy(&h, "ada", "pm_card_visa").await;
        h.live(16).await;
        h.engine.cancel_subscription(&first, CancelAt::PeriodEnd, None).await.unwrap();
        h.settle().await;
        let row = h.engine.subscription(&first).await.unwrap().subscription;
        let (end, paid) = (row.facts.ends_at().unwrap(), charged(&h));
        let wish = NewCheckout { plan: "studio".into(), starts_after: Some(first.clone()), ..pro("ada") };
        let row = h.open(&wish).await;
        h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
        h.live(2).await;
        let all = h.engine.customer("ada").await.unwrap().subscriptions;
        let new = &all.iter().find(|s| s.subscription.facts.id != first).unwrap().subscription;
        assert_eq!((new.facts.status.as_str(), new.facts.trial_end), ("trialing", Some(end)));
        assert_eq!(charged(&h), paid);
        assert_eq!(crate::known_kit::lines_of(&h, "ada", "trial.second_found").await, 0);
        // Nor is it the trial of whoever had none.
        named(&h, "eve", "eve@example.com").await;
        assert_eq!(h.open(&pro("eve")).await.wish.trial_days, Some(14));
    }
}

/// Nor does it take the place of the trial that whoever waited has not had yet.
#[tokio::test]
async fn b4_whoever_waited_for_a_term_to_end_can_still_have_a_trial() {
    for test in databases().await {
        let h = House::build(test).await;
        let (old, _) = ending(&h, 20 * DAY).await;
        let wish = NewCheckout { plan: "studio".into(), starts_after: Some(old), ..pro("ada") };
        let row = h.open(&wish).await;
        h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
        h.settle().await;
        let both = h.engine.customer("ada").await.unwrap().subscriptions;
        assert!(
            both.iter().any(|row| row.subscription.facts.trial_end.is_some()),
            "the provider calls it a trial"
        );
        for row in &both {
            h.engine.cancel_subscription(&row.subscription.facts.id, CancelAt::Now, None).await.unwrap();
        }
        h.settle().await;
        let selling = h.engine_of(with_trials()).await;
        let again = selling.open_checkout(&pro("ada")).await.unwrap();
        assert_eq!((again.wish.trial_days, again.wish.trial_refused), (Some(14), false));
    }
}

/// A trial that was over before we saw it for the first time was one.
#[tokio::test]
async fn b4_a_trial_of_before_counts() {
    use crate::known_kit::{foreign_buyer, foreign_subscription, price_id};
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        let buyer = foreign_buyer(&h, "metadata[quittance_customer]=ada");
        let id = foreign_subscription(&h, &buyer, &price_id(&h, "pro_month_jpy"), "&trial_period_days=3");
        h.withhold();
        h.sandbox.advance_time(5 * DAY);
        assert_eq!(status(&h, &id).await, "active");
        h.engine.cancel_subscription(&id, CancelAt::Now, None).await.unwrap();
        h.settle().await;
        assert!(h.open(&pro("ada")).await.wish.trial_refused);
    }
}

/// What is planned for the end of a trial leaves the trial as it is.
#[tokio::test]
async fn a_change_with_the_end_of_a_trial_keeps_the_trial() {
    use quittance_domain::change::When;
    use quittance_engine::subscriptions::Change;
    for test in databases().await {
        let h = house(test, TrialPolicy::default()).await;
        named(&h, "ada", "ada@example.com").await;
        let id = buy(&h, "ada", "pm_card_visa").await;
        let end = h.engine.subscription(&id).await.unwrap().subscription.facts.trial_end.unwrap();
        h.live(3).await;
        let later = Change { plan: Some("studio".into()), when: Some(When::PeriodEnd), ..Change::default() };
        h.engine.change_subscription(&id, &later, None).await.unwrap();
        assert_eq!(status(&h, &id).await, "trialing");
        let row = h.engine.subscription(&id).await.unwrap().subscription;
        assert_eq!((row.facts.trial_end, row.scheduled.unwrap().at, charged(&h)), (Some(end), end, 0));
        h.live(5).await;
        let notices = told(&h, "ada", Some(NoticeKind::TrialEnding)).await;
        let said = async || match h.engine.prepare_notice(&notices[0]).await.unwrap() {
            Ready::Send(prepared) => prepared.data,
            Ready::Over(why) => panic!("{why}"),
        };
        let data = said().await;
        assert_eq!(
            (&data["plan"], &data["amount"], &data["regular"]),
            (&"studio".into(), &9_800.into(), &9_800.into())
        );
        assert_eq!(data["charge_at"], data["trial_end"], "{data}");
        // What is sent is what is planned then, not when it was written down.
        h.engine.undo_change(&id, None).await.unwrap();
        h.settle().await;
        let data = said().await;
        assert_eq!((&data["plan"], &data["amount"]), (&"pro".into(), &1_980.into()), "{data}");
        h.engine.change_subscription(&id, &later, None).await.unwrap();
        h.live(8).await;
        let row = h.engine.subscription(&id).await.unwrap().subscription;
        assert_eq!((row.plan().unwrap().plan.as_str(), charged(&h)), ("studio", 9_800));
    }
}
