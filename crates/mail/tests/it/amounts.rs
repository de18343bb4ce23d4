//! What letters say of money and of its absence: the amounts that the provider will charge, first and afterwards, why it could not,
//! and what ended because of it. From the provider's objects to the text that leaves.

use quittance_domain::delivery::Channel;
use quittance_domain::notices::NoticeKind;
use quittance_domain::{CustomerId, Timestamp};
use quittance_engine::Engine;
use quittance_engine::notices::NewAnnouncement;
use quittance_mail::settings::Keep;
use quittance_mail::told::Told;
use quittance_mail::{Kind, Language, Post, compose};
use quittance_store::mails;

use super::courier::{courier_with, meet};
use super::house::{DAY, House, on_each};
use super::known_kit::{break_card, foreign_buyer, foreign_subscription, give_card, price_id};

/// An engine whose mails are kept to be read.
async fn mailing(h: &House) -> Engine {
    let courier = courier_with(Post::Capture, |settings| settings.keep = Keep::Text);
    h.another_engine().await.with_courier(Channel::Mail, courier)
}

/// Lives on, a quarter of a day at a time, with that engine alone.
async fn live(h: &House, engine: &Engine, days: i64) {
    for _ in 0..days * 4 {
        h.sandbox.advance_time(DAY / 4);
        settle(h, engine).await;
    }
}

async fn settle(h: &House, engine: &Engine) {
    loop {
        let delivered = h.deliver().await;
        h.pass_burst();
        let worked = engine.drain().await.unwrap();
        let sent = engine.deliver_due().await.unwrap();
        if delivered == 0 && worked == 0 && sent == 0 {
            return;
        }
    }
}

/// Subject and text of the newest letter of a kind to somebody.
async fn letter(h: &House, who: &str, kind: NoticeKind) -> String {
    let all = h.test.db.read("test.captured", |tx| mails::captured(tx, i64::MAX, 50)).await.unwrap();
    let theirs = |mail: &mails::NewMail| {
        mail.customer.as_ref().map(CustomerId::as_str) == Some(who) && mail.kind == kind.as_str()
    };
    let found = all.into_iter().find(|row| theirs(&row.mail));
    let mail = found.unwrap_or_else(|| panic!("no {}", kind.as_str())).mail;
    format!("{}\n{}", mail.subject.unwrap(), mail.text.unwrap())
}

fn says(text: &str, words: &[&str], not: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
    for word in not {
        assert!(!text.contains(word), "`{word}` is there: {text}");
    }
}

/// Somebody in a trial of fourteen days, and what more the subscription is made with.
async fn trial(h: &House, engine: &Engine, (id, card): (&str, &str), more: &str) -> String {
    let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]={id}"));
    // A card has one trial.
    give_card(h, &buyer, card);
    let form = format!("&trial_period_days=14{more}");
    let subscription = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), &form);
    settle(h, engine).await;
    subscription
}

#[tokio::test]
async fn a_trial_with_a_coupon_for_one_month_says_what_comes_first_and_what_then() {
    on_each(|h| {
        Box::pin(async move {
            h.provider("POST", "/v1/coupons", "id=gift&percent_off=100&duration=once");
            let engine = mailing(h).await;
            for (locale, card, begun, first, then) in [
                (
                    "en",
                    "pm_card_visa",
                    "Your free trial has begun",
                    "First payment: ¥0 on",
                    "Then: ¥1,980 every month, until you cancel; before discounts, tax and credit",
                ),
                (
                    "ja",
                    "pm_card_mastercard",
                    "無料期間が始まりました",
                    "初回のお支払い：0円（",
                    "以降のお支払い：解約されるまで毎月 1,980円（割引・税・残高の適用前）",
                ),
            ] {
                meet(h, locale, locale).await;
                trial(h, &engine, (locale, card), "&discounts[0][coupon]=gift").await;
                let text = letter(h, locale, NoticeKind::Receipt).await;
                says(&text, &[begun, first, then], &["Thank you for your payment", "お支払いありがとう"]);
                live(h, &engine, 8).await;
                let text = letter(h, locale, NoticeKind::TrialEnding).await;
                says(&text, &[first, then], &["¥0 every month", "毎月0円", "毎月 0円"]);
            }
            // Without one it is one amount, as it always was.
            meet(h, "plain", "en").await;
            trial(h, &engine, ("plain", "pm_card_amex"), "").await;
            live(h, &engine, 8).await;
            let text = letter(h, "plain", NoticeKind::TrialEnding).await;
            says(&text, &["First payment: ¥1,980", "Then: ¥1,980 every month"], &["before discounts"]);
        })
    })
    .await;
}

#[tokio::test]
async fn a_changed_price_is_told_beside_the_old_one_and_credit_does_not_make_it_nothing() {
    on_each(|h| {
        Box::pin(async move {
            let engine = mailing(h).await;
            let product =
                h.provider("GET", "/v1/prices", "lookup_keys[]=pro_month_jpy")["data"][0]["product"].clone();
            let product = product.as_str().unwrap();
            let form = format!("product={product}&currency=jpy&unit_amount=2480&recurring[interval]=month");
            let dearer = h.provider("POST", "/v1/prices", &form)["id"].as_str().unwrap().to_owned();
            h.provider("POST", "/v1/coupons", "id=half&percent_off=50&duration=forever");
            for (locale, words) in [
                (
                    "en",
                    ["costs ¥2,480 every month instead of ¥1,980", "Your first bill at the new price: ¥0"],
                ),
                ("ja", ["改定後の料金：毎月 2,480円", "改定後の最初のご請求額：0円"]),
            ] {
                meet(h, locale, locale).await;
                let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]={locale}&balance=-9000"));
                let price = price_id(h, "pro_month_jpy");
                foreign_subscription(h, &buyer, &price, "&discounts[0][coupon]=half");
                settle(h, &engine).await;
                let new = NewAnnouncement {
                    id: format!("dearer-{locale}"),
                    kind: NoticeKind::PriceChanging,
                    plan: None,
                    effective_at: Timestamp::from_ms(engine.now().ms() + 20 * DAY * 1_000),
                    new_price: Some(dearer.clone()),
                    url: None,
                };
                engine.announce(&new, "a test").await.unwrap();
                settle(h, &engine).await;
                let text = letter(h, locale, NoticeKind::PriceChanging).await;
                says(&text, &words, &["costs ¥0", "改定後の料金：毎月 0円"]);
                engine.withdraw_announcement(&new.id).await.unwrap();
            }
        })
    })
    .await;
}

#[tokio::test]
async fn the_banks_reason_is_said_and_an_end_for_want_of_payment_is_no_confirmation() {
    on_each(|h| {
        Box::pin(async move {
            let engine = mailing(h).await;
            for (locale, reason, ended, confirms) in [
                (
                    "en",
                    "Your bank did not approve the payment.",
                    "because its payment did not go through",
                    ["We confirm", "If it was not you"],
                ),
                (
                    "ja",
                    "カード会社の承認が得られませんでした。",
                    "お支払いを確認できなかったため",
                    ["解約を承りました", "お心当たりがない場合"],
                ),
            ] {
                meet(h, locale, locale).await;
                let subscription = h.subscriber(locale).await;
                break_card(h, &subscription);
                live(h, &engine, 32).await;
                says(&letter(h, locale, NoticeKind::PaymentFailed).await, &[reason], &[]);
                live(h, &engine, 30).await;
                says(&letter(h, locale, NoticeKind::SubscriptionCancelled).await, &[ended], &confirms);
            }
            // Whoever asks for it gets the confirmation.
            meet(h, "leaver", "en").await;
            let subscription = h.subscriber("leaver").await;
            h.provider("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
            settle(h, &engine).await;
            says(
                &letter(h, "leaver", NoticeKind::SubscriptionCancelled).await,
                &["We confirm"],
                &["because its"],
            );
        })
    })
    .await;
}

/// What changed is what is told, and what is charged is the provider's to say.
#[tokio::test]
async fn a_change_says_what_changed_and_what_is_charged_for_it() {
    on_each(|h| {
        Box::pin(async move {
            h.provider("POST", "/v1/coupons", "id=half&percent_off=50&duration=forever");
            let engine = mailing(h).await;
            for (locale, same, units, interval, plan, [listed, charged]) in [
                (
                    "en",
                    "Your plan Pro was changed.",
                    "Units: 3 instead of 1",
                    "Charged: every year instead of every month",
                    "Your plan was changed from Pro to Studio.",
                    ["Price: ¥9,800, every month; before discounts", "Next payment: ¥4,900 on"],
                ),
                (
                    "ja",
                    "ご契約の「プロ」の内容が変更されました",
                    "数量：3（変更前：1）",
                    "お支払いの間隔：毎年（変更前：毎月）",
                    "「プロ」から「スタジオ」に変更されました",
                    ["料金：毎月 9,800円（割引・税・残高の適用前）", "次回のお支払い：4,900円（"],
                ),
            ] {
                let [seats, yearly, other] =
                    ["seats", "yearly", "other"].map(|who| format!("{who}-{locale}"));
                for (who, price, more, to) in [
                    (&seats, "pro_month_jpy", "", "&items[0][quantity]=3"),
                    (&yearly, "pro_year_jpy", "", ""),
                    (&other, "studio_month_jpy", "&discounts[0][coupon]=half", ""),
                ] {
                    meet(h, who, locale).await;
                    let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]={who}"));
                    let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), more);
                    settle(h, &engine).await;
                    let item = h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["items"]["data"][0]
                        ["id"]
                        .clone();
                    let form = format!(
                        "items[0][id]={}&items[0][price]={}{to}&proration_behavior=none",
                        item.as_str().unwrap(),
                        price_id(h, price)
                    );
                    h.provider("POST", &format!("/v1/subscriptions/{id}"), &form);
                    settle(h, &engine).await;
                }
                says(&letter(h, &seats, NoticeKind::PlanChanged).await, &[same, units], &[interval]);
                says(&letter(h, &yearly, NoticeKind::PlanChanged).await, &[same, interval], &[units]);
                let text = letter(h, &other, NoticeKind::PlanChanged).await;
                says(&text, &[plan, listed, charged], &[units, interval]);
            }
        })
    })
    .await;
}

/// A worker that was away for longer than the grace sends what was decided before it went.
#[tokio::test]
async fn a_letter_names_no_end_that_is_over() {
    on_each(|h| {
        Box::pin(async move {
            let subscription = h.subscriber("ada").await;
            let view = h.engine.customer("ada").await.unwrap();
            let until = view.subscriptions[0].subscription.facts.period_end().unwrap();
            let data = serde_json::json!({ "subscription": subscription, "until": until.to_string(),
                "ends_at": until.to_string(), "next_attempt_at": until.to_string() });
            for kind in [Kind::PaymentFailed, Kind::GraceEnding, Kind::SubscriptionCancelled] {
                for (ms, known) in [(-1, true), (0, false), (1, false)] {
                    let told = Told {
                        kind,
                        object: subscription.clone(),
                        data: data.as_object().unwrap().clone(),
                        has_document: false,
                        rules: None,
                        must_say: Vec::new(),
                        created_at: until,
                        now: until.plus_ms(ms),
                    };
                    let facts = compose::facts(&told, &view, h.engine.catalog(), Language::En, &|_| None);
                    assert_eq!(facts.access_until, Some(until).filter(|_| known), "{kind} {ms}");
                    assert!(known || facts.next_try.is_none(), "{kind} {ms}");
                }
            }
        })
    })
    .await;
}

/// What a rule wants told and nobody can be told is an alert, one for each customer, until a mail reaches them.
#[tokio::test]
async fn who_has_no_address_and_should_be_told_by_a_rule_is_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            let engine = mailing(h).await;
            trial(h, &engine, ("ada", "pm_card_visa"), "").await;
            live(h, &engine, 8).await;
            let standing = || async {
                let alerts = engine.alerts(false, i64::MAX, 20).await.unwrap();
                alerts.into_iter().filter(|alert| alert.kind == "notice_untold").collect::<Vec<_>>()
            };
            let [alert] = standing().await.try_into().unwrap();
            assert_eq!((alert.object.as_str(), alert.customer.as_deref()), ("ada", Some("ada")), "{alert:?}");
            assert!(alert.detail.contains("visa_"), "{alert:?}");
            meet(h, "ada", "en").await;
            live(h, &engine, 8).await;
            says(&letter(h, "ada", NoticeKind::Receipt).await, &["¥1,980"], &[]);
            assert!(standing().await.is_empty(), "reached");
        })
    })
    .await;
}

/// What a rule wants told and `mail.off` switches off is an alert too.
#[tokio::test]
async fn what_a_rule_demands_and_nobody_sends_is_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            let courier =
                courier_with(Post::Capture, |settings| settings.off = vec![NoticeKind::TrialEnding]);
            let engine = h.another_engine().await.with_courier(Channel::Mail, courier);
            meet(h, "ada", "en").await;
            trial(h, &engine, ("ada", "pm_card_visa"), "").await;
            live(h, &engine, 8).await;
            let alerts = engine.alerts(false, i64::MAX, 20).await.unwrap();
            let alert = alerts.iter().find(|alert| alert.kind == "notice_untold").unwrap();
            assert!(alert.detail.contains("mail.off") && alert.mend.contains("mail.off"), "{alert:?}");
        })
    })
    .await;
}

/// A pause is no end: the letter says when it goes on by itself and is charged again.
#[tokio::test]
async fn a_pause_is_told_as_a_pause_with_the_day_on_which_it_is_charged_again() {
    on_each(|h| {
        Box::pin(async move {
            let engine = mailing(h).await;
            for (locale, open) in [("en", false), ("en", true), ("ja", false), ("ja", true)] {
                let who = format!("{locale}-{open}");
                meet(h, &who, locale).await;
                let subscription = h.subscriber(&who).await;
                let end = engine.subscription(&subscription).await.unwrap().subscription.facts.period_end();
                let at = end.map(|at| at.plus_ms(28 * DAY * 1_000)).filter(|_| !open);
                engine.pause_subscription(&subscription, at, None).await.unwrap();
            }
            live(h, &engine, 29).await;
            for (who, words) in [
                ("en-false", ["Pro is paused", "It goes on by itself on: 28 Mar 2026"]),
                ("en-true", ["Pro is paused", "you are not charged, until it is resumed"]),
                ("ja-false", ["「プロ」を休止しています", "自動的に再開する日：2026年3月28日"]),
                ("ja-true", ["「プロ」を休止しています", "請求は発生しません"]),
            ] {
                let text = letter(h, who, NoticeKind::AccessEnded).await;
                says(&text, &words, &["has ended", "stays ended", "終了"]);
            }
        })
    })
    .await;
}
