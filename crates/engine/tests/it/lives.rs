//! Lives of subscriptions, from the first trial to the last day: what happens, and what the customer may use, is told, and
//! the app is told, at every second that matters. Each life is a script and the table that it must give.
//!
//! Before each line the second before it is looked at: access must not have changed yet, whatever was delivered; and at the
//! line's own second it is looked at before anything is delivered, because reads end access by themselves.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use quittance_domain::change::When;
use quittance_domain::delivery::Channel;
use quittance_domain::{Access, Catalog, Timestamp};
use quittance_engine::commands::request::CancelAt;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::notices::Ready;
use quittance_engine::subscriptions::Change;
use quittance_engine::{Engine, Settings};
use quittance_store::deliveries::DeliveryRow;
use serde_json::Value;

use crate::house::{House, pro};
use crate::known_kit::{break_card, use_card};

const CATALOG: &str = r#"
    [[feature]]
    key = "article:full"
    name = { en = "Articles", ja = "記事" }
    [[feature]]
    key = "team:seats"
    name = { en = "Seats", ja = "席" }
    [[plan]]
    key = "pro"
    group = "membership"
    name = { en = "Pro", ja = "プロ" }
    trial_days = 14
    features = { "article:full" = true }
    price = [{ interval = "month", currency = "jpy", amount = 1980 }, { interval = "year", currency = "jpy", amount = 19800 }]
    [[plan]]
    key = "studio"
    group = "membership"
    name = { en = "Studio", ja = "スタジオ" }
    includes = "pro"
    features = { "team:seats" = { per_unit = 5 } }
    price = [{ interval = "month", currency = "jpy", amount = 9800 }]
"#;

/// Keeps what leaves, in words.
#[derive(Default)]
struct Letters(Mutex<Vec<String>>);

impl Letters {
    fn take(&self) -> String {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap());
        all.sort();
        if all.is_empty() { "-".to_owned() } else { all.join(" ") }
    }

    fn keep(&self, word: String) {
        self.0.lock().unwrap().push(word);
    }
}

/// Takes the place of the mail's courier up to the wording: still true, with all that the text needs.
impl Courier for Letters {
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async move {
            let payload: Value = serde_json::from_str(&parcel.payload).unwrap();
            let notice = engine.notice(payload["notice"].as_i64().unwrap()).await.unwrap();
            match engine.prepare_notice(&notice).await.unwrap() {
                Ready::Send(_) => {
                    self.keep(notice.kind.as_str().to_owned());
                    Outcome::Delivered { detail: "taken".to_owned() }
                }
                Ready::Over(reason) => {
                    self.keep(format!("({} is over)", notice.kind.as_str()));
                    Outcome::Suppressed { reason }
                }
            }
        })
    }
}

struct Life<'h> {
    h: &'h House,
    engine: Engine,
    mails: Arc<Letters>,
    born: Timestamp,
    subscription: String,
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
        let answer = self.engine.check("ada", "article:full").await.unwrap();
        answer.access.filter(|_| answer.allowed).unwrap_or(Access::Revoked)
    }

    /// Lives until a second, a quarter of a day at a time.
    async fn until(&self, second: i64) {
        while second - self.engine.now().seconds() > 6 * 3_600 + 120 {
            self.h.sandbox.advance_time(6 * 3_600);
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
            "buys pro" => {
                let row = self.engine.open_checkout(&pro("ada")).await.unwrap();
                h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
                self.settle().await;
                let view = self.engine.customer("ada").await.unwrap();
                let facts = &view.subscriptions[0].subscription.facts;
                // The provider's own second, from which trial and periods count.
                (self.subscription, self.born) = (facts.id.clone(), facts.created_at);
            }
            "card stops working" => break_card(h, &id),
            "new card" => use_card(h, &id, "pm_card_visa"),
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
        let line = format!(
            "{at:<12} {what:<20} {status:<10} {}{by_itself}{early} | {}",
            access.as_str(),
            self.mails.take()
        );
        (line.trim_end().to_owned(), access)
    }
}

async fn live(h: &House, script: &str) -> String {
    let mails = Arc::new(Letters::default());
    let engine = h.engine.clone().with_courier(Channel::Mail, mails.clone());
    let patch = quittance_store::customers::CustomerPatch {
        email: quittance_store::customers::Change::Set("ada@example.com".into()),
        ..Default::default()
    };
    engine.put_customer(&crate::house::customer("ada"), patch).await.unwrap();
    let born = engine.now();
    let mut life = Life { h, engine, mails, born, subscription: String::new() };
    let mut access = Access::Revoked;
    let mut table = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (at, what) = line.split_once(" | ").map_or((line, "nothing"), |(at, rest)| {
            (at.trim(), rest.split(" | ").next().unwrap_or("").trim())
        });
        let (told, now) = life.line(at, what, access).await;
        access = now;
        table.push_str(&told);
        table.push('\n');
    }
    table
}

async fn check(script: &str, expected: &str) {
    for test in quittance_store::testing::databases().await {
        eprintln!("on {}", test.db.dialect().name());
        let house = House::with(test, Settings::default(), Catalog::parse(CATALOG).unwrap()).await;
        let table = live(&house, script).await;
        let trim =
            |text: &str| text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
        assert_eq!(trim(&table), trim(expected), "the life was:\n{table}");
    }
}

#[tokio::test]
async fn a_trial_that_is_paid_fails_recovers_is_upgraded_and_cancelled() {
    check(
        "
        0s | buys pro
        7d
        14d | card stops working
        14d 1h
        14d 1h 1m | new card
        14d 2h | pays the invoice
        20d | upgrades to studio
        25d | plans pro
        26d | undoes the plan
        27d | plans pro
        42d
        42d 1h
        60d | cancels
        61d | resumes
        62d | cancels
        73d
        ",
        "
        0s           buys pro             trialing   granted | receipt
        7d           nothing              trialing   granted | trial_ending
        14d          card stops working   active     granted | -
        14d 1h       nothing              past_due   grace | payment_failed
        14d 1h 1m    new card             past_due   grace | -
        14d 2h       pays the invoice     active     granted | payment_recovered receipt
        20d          upgrades to studio   active     granted | plan_changed receipt
        25d          plans pro            active     granted | -
        26d          undoes the plan      active     granted | -
        27d          plans pro            active     granted | -
        42d          nothing              active     granted | plan_changed
        42d 1h       nothing              active     granted | receipt
        60d          cancels              active     granted | subscription_cancelled
        61d          resumes              active     granted | -
        62d          cancels              active     granted | subscription_cancelled
        73d          nothing              canceled   revoked, by itself | access_ended
        ",
    )
    .await;
}

#[tokio::test]
async fn a_renewal_that_is_never_paid_ends_at_its_second() {
    check(
        "
        0s | buys pro
        10d | card stops working
        14d
        14d 1h
        17d 1h
        20d 1h
        21d
        21d 30m
        21d 1h
        22d 1h
        40d
        ",
        "
        0s           buys pro             trialing   granted | receipt
        10d          card stops working   trialing   granted | trial_ending
        14d          nothing              active     granted | -
        14d 1h       nothing              past_due   grace | payment_failed
        17d 1h       nothing              past_due   grace | payment_failed
        20d 1h       nothing              past_due   grace | grace_ending
        21d          nothing              past_due   grace | -
        21d 30m      nothing              past_due   grace | -
        21d 1h       nothing              past_due   revoked, by itself | access_ended
        22d 1h       nothing              past_due   revoked | payment_failed
        40d          nothing              canceled   revoked | subscription_cancelled
        ",
    )
    .await;
}
