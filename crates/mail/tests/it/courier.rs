//! Notices as mails, from a real failure at the provider to a message on a real mail server.

use std::sync::Arc;

use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::notices::{Notice, NoticeKind};
use quittance_domain::{CustomerId, Timestamp};
use quittance_engine::deliveries::Courier;
use quittance_mail::preferences::{self, By};
use quittance_mail::settings::Keep;
use quittance_mail::{Kind, MailCourier, MailLinks, MailSettings, Post, Templates, Writer, samples};
use quittance_store::customers::{Change, CustomerPatch};
use quittance_store::deliveries::{self, DeliveryRow, Filter, NewDelivery};
use quittance_store::mails::{self, MailRow};
use quittance_store::notices;

use super::house::{House, on_each};
use super::known_kit::{foreign_buyer, foreign_subscription, give_card, price_id};
use super::smtp::{Mood, Server};

pub(super) fn courier_with(post: Post, change: impl FnOnce(&mut MailSettings)) -> Arc<dyn Courier> {
    let mut settings = samples::settings();
    change(&mut settings);
    let writer = Writer::new(Templates::built_in().unwrap(), settings);
    let scope =
        quittance_domain::Scope::own(quittance_domain::Provider::Stripe, quittance_domain::Mode::Test);
    let links = MailLinks::new("a root key of thirty-two letters".to_owned().into(), &scope);
    Arc::new(MailCourier::new(writer, Some(links), post))
}

fn smtp(server: &Server) -> Post {
    Post::Smtp(quittance_mail::post::SmtpServer::parse(&server.url(), None, None).unwrap().open())
}

pub(super) async fn meet(h: &House, id: &str, locale: &str) {
    let patch = CustomerPatch {
        email: Change::Set(format!("{id}@example.com")),
        name: Change::Set("田中 愛子".to_owned()),
        locale: Change::Set(locale.to_owned()),
        ..CustomerPatch::default()
    };
    h.engine.put_customer(&CustomerId::parse(id).unwrap(), patch).await.unwrap();
}

/// A notice of this kind, written down as a sync does.
async fn notice(h: &House, id: &str, kind: Kind, object: &str, data: serde_json::Value) {
    let (id, now) = (CustomerId::parse(id).unwrap(), h.engine.now());
    let notice = Notice {
        kind: NoticeKind::parse(kind.as_str()).unwrap(),
        object: object.to_owned(),
        occurrence: "1".to_owned(),
        about: None,
        data,
        rules: Vec::new(),
    };
    h.test
        .db
        .write("test.notice", move |tx| {
            let seq = notices::put(tx, &notice, &id, "test", now)?.expect("it is new");
            let new = NewDelivery {
                channel: Channel::Mail,
                key: format!("notice/{seq}"),
                lane: id.to_string(),
                destination: "customers".to_owned(),
                customer: Some(id.clone()),
                payload: serde_json::json!({ "notice": seq, "kind": kind }).to_string(),
                not_before: None,
            };
            deliveries::put(tx, &new, now)
        })
        .await
        .unwrap();
}

async fn deliveries_of(h: &House) -> Vec<DeliveryRow> {
    let filter = Filter { channel: Some(Channel::Mail), ..Filter::default() };
    h.engine.deliveries(filter, i64::MAX, 50).await.unwrap()
}

async fn record(h: &House, delivery: i64) -> Option<MailRow> {
    h.test.db.read("test.mail", move |tx| mails::of_delivery(tx, delivery)).await.unwrap()
}

fn decoded(data: &str) -> String {
    // Quoted-printable or base64: parts are told apart by their header.
    let mut text = String::new();
    for part in data.split("Content-Transfer-Encoding: ").skip(1) {
        let (encoding, rest) = part.split_once("\r\n").unwrap();
        let body = rest.strip_prefix("\r\n").unwrap_or_else(|| rest.split_once("\r\n\r\n").unwrap().1);
        let body = body.split("\r\n--=_").next().unwrap();
        match encoding {
            "quoted-printable" => text.push_str(&quoted_printable(body)),
            "base64" => text.push_str(&base64(body)),
            _ => text.push_str(body),
        }
    }
    text
}

fn quoted_printable(body: &str) -> String {
    let (mut bytes, joined) = (Vec::new(), body.replace("=\r\n", ""));
    let mut rest = joined.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let pair = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn base64(body: &str) -> String {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in body.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .iter()
            .position(|known| *known == letter)
            .unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_notice_becomes_one_mail_in_the_customers_language_and_is_on_record() {
    on_each(|h| {
        Box::pin(async move {
            let server = Server::plain().await;
            let courier = courier_with(smtp(&server), |_| {});
            meet(h, "ada", "ja-JP").await;
            let subscription = h.subscriber("ada").await;
            let engine = h.engine.clone().with_courier(Channel::Mail, courier);
            let data =
                serde_json::json!({ "subscription": subscription, "plan": "pro", "quantity": 1, "from_plan": "studio" });
            notice(h, "ada", Kind::PlanChanged, &subscription, data).await;
            engine.deliver_due().await.unwrap();
            engine.deliver_due().await.unwrap();
            let [mail] = server.arrived().try_into().unwrap();
            assert_eq!(mail.to, ["TO:<ada@example.com>"]);
            let text = decoded(&mail.data);
            for word in [
                "田中 愛子 様",
                "「スタジオ」から「プロ」に",
                "1,980円",
                "https://billing.example.com/mail/open/",
            ] {
                assert!(text.contains(word), "{word}: {text}");
            }
            assert!(mail.header("List-Unsubscribe").is_none(), "a confirmation cannot be declined");
            let [row] = deliveries_of(h).await.try_into().unwrap();
            assert_eq!((row.state, row.attempts), (DeliveryState::Delivered, 1));
            let kept = record(h, row.seq).await.unwrap();
            assert_eq!(mail.header("Message-ID").unwrap(), format!("<{}>", kept.mail.message_id));
            let kept_text = kept.mail.text.unwrap();
            assert!(kept_text.contains("/mail/open/(link)"), "the record opens nothing: {kept_text}");
            assert!(!kept.mail.address.contains("ada") && kept.mail.html.is_none());
            let whole = format!("{}\n\n{kept_text}", kept.mail.subject.unwrap());
            assert_eq!(kept.mail.sha256, quittance_domain::digest::sha256_hex(whole.as_bytes()));
        })
    })
    .await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_never_will_is_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            let server = Server::plain().await;
            let courier = courier_with(smtp(&server), |settings| settings.keep = Keep::Digest);
            let mut subscriptions = Vec::new();
            for id in ["ada", "bob"] {
                meet(h, id, "en").await;
                subscriptions.push(h.subscriber(id).await);
            }
            let engine = h.engine.clone().with_courier(Channel::Mail, courier);
            for (id, subscription) in ["ada", "bob"].into_iter().zip(subscriptions) {
                let data = serde_json::json!({ "subscription": subscription, "plan": "pro", "quantity": 1 });
                notice(h, id, Kind::PlanChanged, &subscription, data).await;
                server.expect(if id == "ada" {
                    Mood::Recipient("450 4.2.1 busy")
                } else {
                    Mood::Recipient("550 5.1.1 <bob@example.com> unknown")
                });
                engine.deliver_due().await.unwrap();
            }
            assert!(server.arrived().is_empty());
            let [bob, ada] = deliveries_of(h).await.try_into().unwrap();
            assert_eq!((ada.state, bob.state), (DeliveryState::Pending, DeliveryState::Failed));
            assert!(bob.last_error.as_deref().unwrap().contains("(address)"), "{bob:?}");
            let alerts = engine.alerts(false, i64::MAX, 9).await.unwrap();
            assert!(alerts.iter().any(|alert| alert.kind == "delivery_failed"), "{alerts:?}");
            h.pass_ms(60_000);
            engine.deliver_due().await.unwrap();
            assert_eq!(server.arrived().len(), 1);
            let kept = record(h, ada.seq).await.unwrap().mail;
            assert!(kept.text.is_none() && kept.subject.is_none() && kept.sha256.len() == 64);
        })
    })
    .await;
}

#[tokio::test]
async fn after_a_crash_between_sending_and_recording_it_is_the_same_message() {
    on_each(|h| {
        Box::pin(async move {
            let server = Server::plain().await;
            let courier = courier_with(smtp(&server), |_| {});
            meet(h, "ada", "en").await;
            let subscription = h.subscriber("ada").await;
            let data = serde_json::json!({ "subscription": subscription, "plan": "pro", "quantity": 1 });
            notice(h, "ada", Kind::PlanChanged, &subscription, data).await;
            let engine = h.engine.clone().with_courier(Channel::Mail, courier.clone());
            // The server takes the mail, and its sender never hears of it: as if the process had died there.
            server.expect(Mood::HangUp);
            engine.deliver_due().await.unwrap();
            h.pass_ms(60_000);
            engine.deliver_due().await.unwrap();
            let [first, second] = server.arrived().try_into().unwrap();
            assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
            assert_eq!(first.header("To"), second.header("To"));
            let [row] = deliveries_of(h).await.try_into().unwrap();
            assert_eq!((row.state, row.attempts), (DeliveryState::Delivered, 2));
            assert_eq!(record(h, row.seq).await.unwrap().sends, 1);
            // The mail is on record and its delivery is not: nobody sends it a third time.
            courier.deliver(&engine, &row).await;
            assert_eq!(server.arrived().len(), 2);
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_not_wanted_or_cannot_be_is_not_sent() {
    on_each(|h| {
        Box::pin(async move {
            let server = Server::plain().await;
            let courier = courier_with(smtp(&server), |settings| settings.off = vec![Kind::RefundMade]);
            let engine = h.engine.clone();
            let nobody = CustomerId::parse("nomail").unwrap();
            engine.put_customer(&nobody, CustomerPatch::default()).await.unwrap();
            meet(h, "ada", "en").await;
            let subscription = h.subscriber("ada").await;
            let engine = engine.with_courier(Channel::Mail, courier);
            let ada = CustomerId::parse("ada").unwrap();
            preferences::set(&engine, &ada, &[(Kind::CardExpiring, false)], By::Page).await.unwrap();
            let refused =
                preferences::set(&engine, &ada, &[(Kind::PaymentFailed, false)], By::Page).await.unwrap_err();
            assert!(refused.detail.contains("cannot be declined"), "{refused:?}");
            let data = serde_json::json!({ "subscription": subscription, "plan": "pro", "quantity": 1 });
            notice(h, "nomail", Kind::PlanChanged, "sub_x", data.clone()).await;
            notice(h, "ada", Kind::CardExpiring, "pm_1", data.clone()).await;
            notice(h, "ada", Kind::RefundMade, "re_1", data.clone()).await;
            let view = engine.customer("ada").await.unwrap();
            let invoice = view.subscriptions[0].subscription.facts.latest_invoice.clone().unwrap();
            assert_eq!(invoice.status, "paid");
            notice(h, "ada", Kind::PaymentFailed, &invoice.id, data).await;
            while engine.deliver_due().await.unwrap() > 0 {}
            assert!(server.arrived().is_empty());
            let reasons: Vec<String> = deliveries_of(h)
                .await
                .into_iter()
                .map(|row| {
                    assert_eq!(row.state, DeliveryState::Suppressed, "{row:?}");
                    row.last_error.unwrap()
                })
                .collect();
            for (reason, word) in
                reasons.iter().zip(["no longer so", "switched off", "declined", "no e-mail"])
            {
                assert!(reason.contains(word), "{reasons:?}");
            }
            let line = |row: &quittance_store::history::HistoryRow| row.kind == "notice_preference.changed";
            let lines = h
                .test
                .db
                .read("test.history", |tx| quittance_store::history::of_customer(tx, "ada", i64::MAX, 99))
                .await
                .unwrap();
            assert_eq!(lines.iter().filter(|row| line(row)).count(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn without_a_server_mails_are_kept_to_be_looked_at() {
    on_each(|h| {
        Box::pin(async move {
            let courier = courier_with(Post::Capture, |settings| settings.keep = Keep::Digest);
            meet(h, "ada", "en").await;
            let subscription = h.subscriber("ada").await;
            let engine = h.engine.clone().with_courier(Channel::Mail, courier);
            let data = serde_json::json!({ "subscription": subscription, "plan": "pro", "amount": 1980, "currency": "jpy",
                "card": { "brand": "visa", "last4": "4242", "expires": "2026-11" } });
            notice(h, "ada", Kind::PaymentRecovered, "in_1", data).await;
            engine.deliver_due().await.unwrap();
            let [row] = h
                .test
                .db
                .read("test.captured", |tx| mails::captured(tx, i64::MAX, 9))
                .await
                .unwrap()
                .try_into()
                .unwrap();
            assert_eq!(row.mail.address, "ada@example.com");
            let (text, html) = (row.mail.text.unwrap(), row.mail.html.unwrap());
            assert!(text.contains("Visa •••• 4242") && text.contains("¥1,980"), "{text}");
            let link = text.split("/mail/preferences/").nth(1).unwrap().split(')').next().unwrap();
            let scope = engine.scope();
            let links = MailLinks::new("a root key of thirty-two letters".to_owned().into(), scope);
            assert!(links.read(link, Timestamp::from_ms(h.engine.now().ms())).is_some(), "{link}");
            assert!(html.contains(link), "both forms say the same");
        })
    })
    .await;
}

/// The text part of a message, as its reader gets it.
fn plain(data: &str) -> String {
    decoded(data.split("Content-Type: text/html").next().unwrap()).replace("\r\n", "\n")
}

/// A trial of fourteen days that began elsewhere, until its end is told.
async fn trial(h: &House, (id, card): (&str, &str), engine: &quittance_engine::Engine) {
    let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]={id}"));
    // A card has one trial.
    give_card(h, &buyer, card);
    foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "&trial_period_days=14");
    for _ in 0..8 {
        h.sandbox.advance_time(super::house::DAY);
        h.deliver().await;
        h.pass_burst();
        engine.drain().await.unwrap();
    }
}

/// What is kept as proof is the text that left; and one that says less than a rule asks for is an alert until it says it.
#[tokio::test]
async fn the_proof_names_the_text_that_left_and_what_a_rule_misses_in_it_is_an_alert() {
    on_each(|h| {
        Box::pin(async move {
            let server = Server::plain().await;
            let own = tempfile::tempdir().unwrap();
            let text = "subject: Your trial\n\nYour trial of {{ plan }} ends on {{ date }}.\n";
            std::fs::write(own.path().join("trial_ending.en.md"), text).unwrap();
            let writer = Writer::new(Templates::with_folder(own.path()).unwrap(), samples::settings());
            let courier = Arc::new(MailCourier::new(writer, None, smtp(&server)));
            meet(h, "ada", "en").await;
            let engine = h.another_engine().await.with_courier(Channel::Mail, courier);
            trial(h, ("ada", "pm_card_visa"), &engine).await;
            let kind = Some(NoticeKind::TrialEnding);
            let [proof] =
                engine.notice_proofs(Some("ada"), kind, i64::MAX, 9).await.unwrap().try_into().unwrap();
            assert!(proof.notice.rules.iter().any(|rule| rule.id == "visa_trial"), "{proof:?}");
            let kept = proof.mail.unwrap().mail;
            let id = format!("<{}>", kept.message_id);
            let arrived = server.arrived();
            let mail = arrived.iter().find(|mail| mail.header("Message-ID") == Some(id.clone())).unwrap();
            let text = kept.text.unwrap();
            assert_eq!(
                plain(&mail.data).trim_end(),
                text.trim_end(),
                "the text that left is the one on record"
            );
            let whole = format!("{}\n\n{text}", kept.subject.unwrap());
            assert_eq!(kept.sha256, quittance_domain::digest::sha256_hex(whole.as_bytes()));
            assert_eq!((kept.language.as_str(), kept.delivery), ("en", Some(proof.delivery.unwrap().seq)));
            let alerts = || async { engine.alerts(false, i64::MAX, 9).await.unwrap() };
            let alert = alerts().await.into_iter().find(|alert| alert.kind == "notice_incomplete").unwrap();
            assert_eq!(alert.object, "trial_ending.en");
            for item in ["amount", "cancel_link", "card_last4", "frequency"] {
                assert!(alert.detail.contains(item), "{alert:?}");
            }
            assert!(!alert.detail.contains("product") && !alert.detail.contains("trial_end,"), "{alert:?}");
            // Our own words say it all.
            meet(h, "bob", "en").await;
            let other =
                h.another_engine().await.with_courier(Channel::Mail, courier_with(smtp(&server), |_| {}));
            trial(h, ("bob", "pm_card_mastercard"), &other).await;
            assert_eq!(other.notice_proofs(Some("bob"), kind, i64::MAX, 9).await.unwrap().len(), 1);
            assert!(alerts().await.iter().all(|alert| alert.kind != "notice_incomplete"));
        })
    })
    .await;
}

/// From a card that fails at the provider to the mail with which its holder can pay.
#[tokio::test]
async fn a_failed_renewal_is_told_once_for_each_try_with_a_way_to_pay() {
    on_each(|h| {
        Box::pin(async move {
            let server = Server::plain().await;
            let courier = courier_with(smtp(&server), |_| {});
            let engine = h.engine.clone().with_courier(Channel::Mail, courier);
            meet(h, "ada", "ja").await;
            let subscription = h.subscriber("ada").await;
            let card = "pm_card_chargeCustomerFail";
            let customer =
                h.provider("GET", &format!("/v1/subscriptions/{subscription}"), "")["customer"].clone();
            let customer = customer.as_str().unwrap();
            let method =
                h.provider("POST", &format!("/v1/payment_methods/{card}/attach"), &format!("customer={customer}"));
            let form = format!("default_payment_method={}", method["id"].as_str().unwrap());
            h.provider("POST", &format!("/v1/subscriptions/{subscription}"), &form);
            h.settle().await;
            h.live(29).await;
            let view = engine.customer("ada").await.unwrap();
            let facts = view.subscriptions[0].subscription.facts.clone();
            assert_eq!(facts.status.as_str(), "past_due");
            let invoice = facts.latest_invoice.unwrap();
            let of = |kind: &str| {
                let kind = format!("\"{kind}\"");
                let rows = deliveries_of(h);
                async move { rows.await.into_iter().filter(|row| row.payload.contains(&kind)).collect::<Vec<_>>() }
            };
            assert_eq!(of("receipt").await.len(), 1, "the first payment");
            let failed = of("payment_failed").await;
            assert_eq!(failed.len(), usize::try_from(invoice.attempt_count).unwrap());
            for row in &failed {
                assert_eq!(row.state, DeliveryState::Delivered, "{row:?}");
            }
            let kept = record(h, failed[0].seq).await.unwrap().mail;
            let mail = server
                .arrived()
                .into_iter()
                .find(|mail| mail.header("Message-ID") == Some(format!("<{}>", kept.message_id)))
                .unwrap();
            let text = decoded(&mail.data);
            let pay = text.split("1,980円を今すぐ支払う:\r\nhttps://billing.example.com/mail/open/").nth(1);
            let token = pay.unwrap_or_else(|| panic!("no way to pay: {text}")).split("\r\n").next().unwrap();
            let links = MailLinks::new("a root key of thirty-two letters".to_owned().into(), engine.scope());
            let ada = CustomerId::parse("ada").unwrap();
            let target = quittance_mail::links::Target::Pay(invoice.id.clone());
            assert_eq!(
                links.read(token, engine.now()),
                Some(quittance_mail::links::Opened::Open(ada, target))
            );
            assert!(text.contains("「プロ」") && text.contains("次回の自動決済"), "{text}");
            let page = engine.invoice_page(&invoice.id).await.unwrap();
            assert!(page.owed && page.url.unwrap().starts_with("http://127.0.0.1:12111/i/"));
        })
    })
    .await;
}
