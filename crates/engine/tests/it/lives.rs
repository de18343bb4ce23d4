//! Lives of subscriptions, from the first trial to the last day: what happens, and what the customer may use, is told, and
//! the app is told, at every second that matters. Each life is a table: when, what is done, and then status and access, the
//! mails, and what the app hears. The simulator lives the same tables with faults on.
//!
//! Before each line the second before it is looked at: access must not have changed yet, whatever was delivered; and at the
//! line's own second it is looked at before anything is delivered, because reads end access by themselves.

use std::fmt::Write as _;
use std::sync::Arc;

use quittance_domain::change::When;
use quittance_domain::delivery::Channel;
use quittance_domain::notices::NoticeKind;
use quittance_domain::{Access, Catalog, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::dunning::WayToPay;
use quittance_engine::notices::NewAnnouncement;
use quittance_engine::subscriptions::Change;
use quittance_engine::{Engine, Settings};
use quittance_sandbox::HttpRequest;
use quittance_store::customers::{Change as Set, CustomerPatch};

use crate::app_kit::{App, app_of, endpoint, told};
use crate::house::{DAY, House, customer, pro};
use crate::known_kit::{break_card, newest_payment, use_card};
use crate::taken::{Taken, courier};

/// Where the app listens.
const HOOKS: &str = "https://app.example.com/hooks";

const CATALOG: &str = include_str!("../lives/catalog.toml");

struct Life<'h> {
    h: &'h House,
    engine: Engine,
    mails: Arc<Taken>,
    app: Arc<App>,
    /// Messages that the app had when the line before was written.
    heard: usize,
    /// What is asked for.
    feature: &'static str,
    born: Timestamp,
    subscription: String,
    /// The session of the newest purchase.
    bought: Option<String>,
}

/// `14d 1h 30m 5s` in seconds.
fn seconds(text: &str) -> i64 {
    text.split_whitespace()
        .map(|part| {
            let (number, unit) = part.split_at(part.len() - 1);
            let unit = match unit {
                "d" => 86_400,
                "h" => 3_600,
                "m" => 60,
                "s" => 1,
                other => panic!("{other} is no unit"),
            };
            number.parse::<i64>().unwrap() * unit
        })
        .sum()
}

impl Life<'_> {
    async fn settle(&self) {
        loop {
            let delivered = self.h.deliver().await;
            self.h.pass_burst();
            let worked = self.engine.drain().await.unwrap();
            if delivered == 0 && worked == 0 {
                return;
            }
        }
    }

    fn pass(&self, until: i64) {
        let left = until - self.engine.now().seconds();
        if left > 0 {
            self.h.sandbox.advance_time(left);
        }
    }

    async fn access(&self) -> Access {
        let answer = self.engine.check("ada", self.feature).await.unwrap();
        answer.access.filter(|_| answer.allowed).unwrap_or(Access::Revoked)
    }

    /// Lives until a second, a quarter of a day at a time; longer, where months lie before it.
    async fn until(&self, second: i64) {
        let step = ((second - self.engine.now().seconds()) / 200).clamp(6 * 3_600, DAY);
        while second - self.engine.now().seconds() > step + 120 {
            self.h.sandbox.advance_time(step);
            self.settle().await;
        }
        self.pass(second - 60);
        self.settle().await;
        self.pass(second - 1);
    }

    async fn act(&mut self, what: &str) {
        let (h, id) = (self.h, self.subscription.clone());
        let change =
            |plan: &str, when| Change { plan: Some(plan.into()), when: Some(when), ..Change::default() };
        match what {
            "buys the course" => self.buy_course("pm_card_visa").await,
            "buys without return" => self.buy_course("pm_card_refundFail").await,
            "buys at a store" => self.buy_course("pm_konbini").await,
            "pays there" => self.settle_payment("success"),
            "does not pay there" => self.settle_payment("failure"),
            "gets it all back" | "gets half back" => {
                let buyer = self.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
                let half = if what == "gets half back" { "&amount=6000" } else { "" };
                let form = format!("payment_intent={}{half}", newest_payment(h, &buyer));
                h.provider("POST", "/v1/refunds", &form);
            }
            "buys pro" => self.buy_pro("month").await,
            "buys pro for a year" => self.buy_pro("year").await,
            "announces terms" => self.announce(NoticeKind::TermsChanging, 40, None).await,
            "announces a price" => {
                let price = h.provider("GET", "/v1/prices", "lookup_keys[]=pro_year_jpy")["data"][0].clone();
                let form = format!(
                    "product={}&currency=jpy&unit_amount=24800&recurring[interval]=year",
                    price["product"].as_str().unwrap()
                );
                let dearer = h.provider("POST", "/v1/prices", &form)["id"].as_str().unwrap().to_owned();
                self.announce(NoticeKind::PriceChanging, 60, Some(dearer)).await;
            }
            // In the third month from now; this is March.
            "card runs out soon" => {
                let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
                let method = found["default_payment_method"].as_str().unwrap().to_owned();
                let form = "card[exp_month]=6&card[exp_year]=2026";
                h.provider("POST", &format!("/v1/payment_methods/{method}"), form);
            }
            "is kept when unpaid" => {
                let body = br#"{"on_exhaustion":"unpaid"}"#.to_vec();
                let kept = HttpRequest { body, ..HttpRequest::new("PUT", "/_sandbox/settings", "", "") };
                assert_eq!(h.sandbox.handle(kept).status, 200);
            }
            "pays what is owed" => {
                let way = self.engine.way_to_pay(&customer("ada"), None).await.unwrap();
                let WayToPay::Page(url) = way else { panic!("{way:?}") };
                let page = url.trim_start_matches("http://127.0.0.1:12111");
                let paid = h.sandbox.handle(HttpRequest::new("POST", page, "", "use=saved"));
                assert_eq!(paid.status, 303, "{page}");
            }
            "card stops working" => break_card(h, &id),
            "new card" => use_card(h, &id, "pm_card_visa"),
            "card that asks" => use_card(h, &id, "pm_card_authenticationRequired"),
            "confirms" => {
                let way = self.engine.way_to_pay(&customer("ada"), None).await.unwrap();
                let WayToPay::Page(url) = way else { panic!("{way:?}") };
                let page = |method: &str, path: &str, form: &str| {
                    let answer = h.sandbox.handle(HttpRequest::new(method, path, "", form));
                    assert_eq!(answer.status, 303, "{path}");
                    answer.header_value("location").unwrap().to_owned()
                };
                let bank = page("GET", url.trim_start_matches("http://127.0.0.1:12111"), "");
                page("POST", &bank, "outcome=success");
            }
            "takes three" => {
                let three = Change { quantity: Some(3), ..Change::default() };
                drop(self.engine.change_subscription(&id, &three, None).await.unwrap());
            }
            "pauses" => drop(self.engine.pause_subscription(&id, None, None).await.unwrap()),
            "pays the invoice" => {
                let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
                let invoice = found["latest_invoice"].as_str().unwrap().to_owned();
                h.provider("POST", &format!("/v1/invoices/{invoice}/pay"), "");
            }
            "upgrades to studio" => {
                drop(self.engine.change_subscription(&id, &change("studio", When::Now), None).await.unwrap())
            }
            "plans pro" => drop(
                self.engine.change_subscription(&id, &change("pro", When::PeriodEnd), None).await.unwrap(),
            ),
            "undoes the plan" => drop(self.engine.undo_change(&id, None).await.unwrap()),
            "cancels" => drop(self.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap()),
            "cancels now" => drop(self.engine.cancel_subscription(&id, CancelAt::Now, None).await.unwrap()),
            "resumes" => drop(self.engine.resume_subscription(&id, None).await.unwrap()),
            "nothing" => {}
            other => panic!("{other}: nobody knows how"),
        }
    }

    async fn buy_course(&mut self, card: &str) {
        let once = NewCheckout { plan: "course".into(), interval: Some("once".into()), ..pro("ada") };
        let row = self.engine.open_checkout(&once).await.unwrap();
        self.h.pay(row.session.as_deref().unwrap(), card);
        if self.bought.replace(row.session.unwrap()).is_none() {
            self.born = self.engine.now();
        }
    }

    async fn buy_pro(&mut self, interval: &str) {
        let wish = NewCheckout { interval: Some(interval.into()), ..pro("ada") };
        let row = self.engine.open_checkout(&wish).await.unwrap();
        self.h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
        self.settle().await;
        let view = self.engine.customer("ada").await.unwrap();
        let facts = &view.subscriptions[0].subscription.facts;
        // The provider's own second, from which trial and periods count.
        (self.subscription, self.born) = (facts.id.clone(), facts.created_at);
    }

    /// The store tells the provider what became of the newest purchase.
    fn settle_payment(&self, outcome: &str) {
        let session = format!("/v1/checkout/sessions/{}", self.bought.as_ref().unwrap());
        let payment = self.h.provider("GET", &session, "")["payment_intent"].as_str().unwrap().to_owned();
        let path = format!("/_sandbox/payment_intents/{payment}/settle");
        let body = format!(r#"{{"outcome":"{outcome}"}}"#);
        assert_eq!(self.h.sandbox.handle(HttpRequest::new("POST", &path, "", &body)).status, 200);
    }

    async fn announce(&self, kind: NoticeKind, days: i64, new_price: Option<String>) {
        let new = NewAnnouncement {
            id: kind.as_str().to_owned(),
            kind,
            plan: Some("pro".into()),
            effective_at: self.engine.now().plus_ms(days * DAY * 1_000),
            new_price,
            url: Some("https://app.example/terms".into()),
        };
        drop(self.engine.announce(&new, "an operator").await.unwrap());
    }

    async fn line(&mut self, at: &str, what: &str, before: Access) -> (String, Access) {
        let second = self.born.seconds() + seconds(at);
        let mut early = String::new();
        if self.engine.now().seconds() < second - 1 {
            self.until(second).await;
            let access = self.access().await;
            if access != before {
                let _ = write!(early, " (was {} a second before)", access.as_str());
            }
            self.pass(second);
        }
        let by_itself = self.access().await;
        self.act(what).await;
        self.settle().await;
        let access = self.access().await;
        let by_itself = if by_itself == before { "" } else { ", by itself" };
        let status = match self.engine.subscription(&self.subscription).await {
            Ok(row) => row.subscription.facts.status.to_string(),
            Err(_) => "-".to_owned(),
        };
        let or_none = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(" ") };
        let (mails, heard) = (or_none(self.mails.take()), or_none(self.hears()));
        let line = format!(
            "{at:<12} {what:<20} {status:<10} {}{by_itself}{early} | {mails} | {heard}",
            access.as_str()
        );
        (line, access)
    }

    /// What the app has heard since the line before, in the order in which it came.
    fn hears(&mut self) -> Vec<String> {
        let got = self.app.got(HOOKS);
        let new = got.iter().skip(self.heard).map(|message| {
            let (kind, value) = (message.kind(), message.value());
            let data = &value["data"];
            match kind.as_str() {
                "customer.access_changed" => {
                    format!(
                        "access:{}>{}",
                        data["from"].as_str().unwrap_or("none"),
                        data["to"].as_str().unwrap()
                    )
                }
                "subscription.changed" => {
                    let words: Vec<&str> = data["changes"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|word| word.as_str().unwrap())
                        .collect();
                    format!("subscription:{}", words.join("+"))
                }
                "entitlements.updated" => "entitlements".to_owned(),
                _ => kind,
            }
        });
        let new = new.collect();
        self.heard = got.len();
        new
    }
}

async fn live(h: &House, language: &'static str, feature: &'static str, table: &str) -> String {
    let mails = Arc::new(Taken::default());
    let engine = h.engine.clone().with_courier(Channel::Mail, courier(mails.clone(), language));
    let app = app_of(h);
    let (_, secret) = endpoint(h, HOOKS, &[]).await;
    let patch = CustomerPatch {
        email: Set::Set("ada@example.com".into()),
        locale: Set::Set(language.into()),
        ..CustomerPatch::default()
    };
    engine.put_customer(&customer("ada"), patch).await.unwrap();
    let born = engine.now();
    let (subscription, bought) = (String::new(), None);
    let mut life = Life { h, engine, mails, app, heard: 0, feature, born, subscription, bought };
    let mut access = Access::Revoked;
    let mut lived = String::new();
    for line in table_of(table) {
        let (at, what) = (line[..12].trim(), line[13..33].trim());
        let (told, now) = life.line(at, what, access).await;
        access = now;
        lived.push_str(&told);
        lived.push('\n');
    }
    // What the app got is all that there was to tell, in order, each once, and signed.
    let log: Vec<String> =
        told(h, "ada").await.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    let got = life.app.got(HOOKS);
    assert!(got.iter().all(|message| message.verifies(&secret)));
    assert_eq!(got.into_iter().map(|message| message.id).collect::<Vec<_>>(), log);
    lived
}

fn table_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Lives the life of a table on each database and in each language; it comes to the same table.
async fn check(feature: &'static str, table: &str) {
    let trim = |text: &str| table_of(text).collect::<Vec<_>>().join("\n");
    for language in ["en", "ja"] {
        for test in quittance_store::testing::databases().await {
            eprintln!("on {} in {language}", test.db.dialect().name());
            let settings = Settings {
                root_key: Some("a root key of thirty-two characters".to_owned().into()),
                ..Settings::default()
            };
            let house = House::with(test, settings, Catalog::parse(CATALOG).unwrap()).await;
            let lived = live(&house, language, feature, table).await;
            assert_eq!(trim(&lived), trim(table), "in {language}, the life was:\n{lived}");
        }
    }
}

#[tokio::test]
async fn a_trial_that_is_paid_fails_recovers_is_upgraded_and_cancelled() {
    check("article:full", include_str!("../lives/whole.txt")).await;
}

#[tokio::test]
async fn a_renewal_that_is_never_paid_ends_at_its_second() {
    check("article:full", include_str!("../lives/unpaid.txt")).await;
}

#[tokio::test]
async fn what_is_kept_unpaid_says_what_is_owed_and_comes_back_when_it_is_paid() {
    check("article:full", include_str!("../lives/unpaid_kept.txt")).await;
}

#[tokio::test]
async fn a_pause_uses_up_what_was_paid_and_gives_nothing_more_until_it_ends() {
    check("article:full", include_str!("../lives/paused.txt")).await;
}

#[tokio::test]
async fn a_trial_that_is_cancelled_costs_nothing_and_ends_at_its_second() {
    check("article:full", include_str!("../lives/trial_cancelled.txt")).await;
}

#[tokio::test]
async fn a_renewal_that_the_bank_asks_about_is_confirmed_after_the_grace_is_over() {
    check("article:full", include_str!("../lives/confirmed_late.txt")).await;
}

#[tokio::test]
async fn a_year_is_told_ahead_of_all_that_changes_in_it() {
    check("article:full", include_str!("../lives/yearly.txt")).await;
}

#[tokio::test]
async fn what_is_paid_at_a_store_is_given_when_the_money_is_there() {
    check("course:library", include_str!("../lives/paid_at_a_store.txt")).await;
}

#[tokio::test]
async fn a_refund_that_fails_gives_back_what_it_took() {
    check("course:library", include_str!("../lives/refund_fails.txt")).await;
}

#[tokio::test]
async fn what_is_bought_once_stays_until_its_money_goes_back() {
    check("course:library", include_str!("../lives/bought_once.txt")).await;
}

#[test]
fn every_kind_of_letter_stands_in_a_table() {
    let all = [
        include_str!("../lives/bought_once.txt"),
        include_str!("../lives/confirmed_late.txt"),
        include_str!("../lives/paid_at_a_store.txt"),
        include_str!("../lives/paused.txt"),
        include_str!("../lives/refund_fails.txt"),
        include_str!("../lives/trial_cancelled.txt"),
        include_str!("../lives/unpaid.txt"),
        include_str!("../lives/unpaid_kept.txt"),
        include_str!("../lives/whole.txt"),
        include_str!("../lives/yearly.txt"),
    ];
    let told: Vec<&str> = all
        .into_iter()
        .flat_map(table_of)
        .filter_map(|line| line.split(" | ").nth(1))
        .flat_map(str::split_whitespace)
        .collect();
    for kind in NoticeKind::ALL {
        assert!(told.contains(&kind.as_str()), "{} is told in no life", kind.as_str());
    }
}
