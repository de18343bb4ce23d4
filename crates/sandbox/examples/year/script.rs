//! A scripted year of a business: people sign up, renew, use, fail to pay, change plans, want money back, dispute and leave.
//!
//! It speaks the API as any client does, and draws what happens from one seed, so a year repeats. Used by the test that
//! closes the books on a small year and by the measurement of a large one.

use std::collections::VecDeque;

use quittance_sandbox::{HttpRequest, PayoutSchedule, Sandbox, SandboxConfig, Settings};
use serde_json::Value;

/// 15 January 2026, 12:00 UTC.
pub const START: i64 = 1_768_478_400;
/// A day, in seconds.
pub const DAY: i64 = 86_400;
/// Everybody has signed up after this many days.
const ARRIVALS: i64 = 60;

/// What a step of the script answers; the error names the call that went wrong.
pub type Outcome<T> = Result<T, String>;

/// What is on sale.
struct Plan {
    price: String,
    metered: bool,
    seats: bool,
}

/// How somebody pays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Card {
    Good,
    /// Attached without complaint, refused whenever it is charged.
    Failing,
    /// Charged, and disputed at once.
    Disputing,
    /// Charged; a refund to it fails later.
    LosesRefunds,
}

impl Card {
    fn token(self) -> &'static str {
        match self {
            Self::Good => "pm_card_visa",
            Self::Failing => "pm_card_chargeCustomerFail",
            Self::Disputing => "pm_card_createDispute",
            Self::LosesRefunds => "pm_card_refundFail",
        }
    }
}

/// Somebody with a subscription.
struct Person {
    customer: String,
    subscription: String,
    market: usize,
    metered: bool,
    card: Card,
}

/// How often the script did what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acts {
    /// People who came, and came back.
    pub signups: u64,
    /// Other plans.
    pub changes: u64,
    /// Refunds that were asked for.
    pub refunds: u64,
    /// Cards that began to fail.
    pub failing_cards: u64,
    /// Disputes that were answered.
    pub answers: u64,
    /// Cancellations, now or at the end of the period.
    pub cancellations: u64,
    /// Reports of usage.
    pub usage: u64,
}

/// A year under way.
pub struct Year<'a> {
    sandbox: &'a Sandbox,
    chance: fastrand::Rng,
    markets: Vec<Vec<Plan>>,
    people: Vec<Person>,
    /// Disputes that were seen, oldest first, until they are answered.
    disputes: VecDeque<String>,
    expected: i64,
    day: i64,
    /// What has happened so far.
    pub acts: Acts,
}

/// A sandbox whose clock stands at the start of the year, and that pays out what is available every day.
pub fn sandbox(seed: u64) -> std::sync::Arc<Sandbox> {
    let settings = Settings { payout_schedule: PayoutSchedule::Daily, ..Settings::default() };
    let (seed, start_time) = (Some(seed), Some(START));
    Sandbox::new(SandboxConfig { seed, start_time, settings, ..SandboxConfig::default() })
}

/// One call of the API.
pub fn call(sandbox: &Sandbox, method: &str, path: &str, form: &str) -> Outcome<Value> {
    let response = sandbox.handle(HttpRequest::new(method, path, "sk_test_year", form));
    let value = response.value();
    match response.status {
        200 => Ok(value),
        status => Err(format!("{method} {path} {form}: {status} {value}")),
    }
}

/// A text of an answer.
pub fn text(value: &Value, pointer: &str) -> Outcome<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("no text at {pointer} in {value}"))
}

impl<'a> Year<'a> {
    /// Opens the shop; `customers` will sign up.
    pub fn open(sandbox: &'a Sandbox, customers: i64, seed: u64) -> Outcome<Self> {
        let mut year = Self {
            sandbox,
            chance: fastrand::Rng::with_seed(seed),
            markets: Vec::new(),
            people: Vec::new(),
            disputes: VecDeque::new(),
            expected: customers,
            day: 0,
            acts: Acts::default(),
        };
        let meter = "display_name=Calls&event_name=calls&default_aggregation[formula]=sum";
        let meter = text(&year.post("/v1/billing/meters", meter)?, "/id")?;
        for (currency, cent) in [("usd", 1), ("jpy", 2)] {
            let month = format!("currency={currency}&product_data[name]=Plan&recurring[interval]=month");
            let tiers = format!(
                "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=5&tiers[0][unit_amount]={}&tiers[1][up_to]=inf&tiers[1][unit_amount]={}",
                900 * cent,
                700 * cent
            );
            let usage = format!(
                "recurring[usage_type]=metered&recurring[meter]={meter}&unit_amount_decimal=0.{cent}5"
            );
            let plans = [
                (format!("{month}&unit_amount={}", 1000 * cent), false, false),
                (format!("{month}&unit_amount={}", 3000 * cent), false, false),
                (format!("{}&unit_amount={}", month.replace("=month", "=year"), 30_000 * cent), false, false),
                (format!("{month}&{tiers}"), false, true),
                (format!("{month}&{usage}"), true, false),
            ];
            let mut market = Vec::new();
            for (form, metered, seats) in plans {
                let price = text(&year.post("/v1/prices", &form)?, "/id")?;
                market.push(Plan { price, metered, seats });
            }
            year.markets.push(market);
        }
        Ok(year)
    }

    fn post(&self, path: &str, form: &str) -> Outcome<Value> {
        call(self.sandbox, "POST", path, form)
    }

    fn get(&self, path: &str, query: &str) -> Outcome<Value> {
        call(self.sandbox, "GET", path, query)
    }

    /// One in `often`.
    fn happens(&mut self, often: u32) -> bool {
        self.chance.u32(0..often) == 0
    }

    /// What people do on one day. The clock is moved by whoever plays the year.
    pub fn live_a_day(&mut self) -> Outcome<()> {
        self.day += 1;
        let here = self.expected * self.day.min(ARRIVALS) / ARRIVALS;
        while i64::try_from(self.people.len()).unwrap_or(i64::MAX) < here {
            let person = self.arrive()?;
            self.people.push(person);
        }
        self.answer_disputes()?;
        let mut people = std::mem::take(&mut self.people);
        let lived = people.iter_mut().try_for_each(|person| self.live(person));
        self.people = people;
        lived
    }

    fn arrive(&mut self) -> Outcome<Person> {
        let customer = text(&self.post("/v1/customers", "email=person@example.com")?, "/id")?;
        let card = if self.happens(20) { Card::LosesRefunds } else { Card::Good };
        let market = usize::from(self.happens(4));
        let mut person =
            Person { customer, subscription: String::new(), market, metered: false, card: Card::Good };
        self.change_card(&mut person, card)?;
        self.sign_up(&mut person)?;
        Ok(person)
    }

    fn change_card(&self, person: &mut Person, card: Card) -> Outcome<()> {
        let customer = &person.customer;
        let path = format!("/v1/payment_methods/{}/attach", card.token());
        let method = text(&self.post(&path, &format!("customer={customer}"))?, "/id")?;
        let form = format!("invoice_settings[default_payment_method]={method}");
        self.post(&format!("/v1/customers/{customer}"), &form)?;
        person.card = card;
        Ok(())
    }

    /// A plan of a market and how its item is written.
    fn choose(&mut self, market: usize) -> Outcome<(String, bool)> {
        let plans = self.markets.get(market).ok_or("no such market")?;
        let plan = plans.get(self.chance.usize(0..plans.len())).ok_or("no plans")?;
        let quantity = if plan.seats {
            format!("&items[0][quantity]={}", self.chance.u32(1..12))
        } else if plan.metered {
            String::new()
        } else {
            "&items[0][quantity]=1".to_owned()
        };
        Ok((format!("items[0][price]={}{quantity}", plan.price), plan.metered))
    }

    fn sign_up(&mut self, person: &mut Person) -> Outcome<()> {
        let (item, metered) = self.choose(person.market)?;
        let trial = if self.happens(10) { "&trial_period_days=14" } else { "" };
        let customer = &person.customer;
        let made = if self.happens(5) {
            let lines = item.replace("items[0]", "line_items[0]");
            let form = format!("mode=subscription&customer={customer}&success_url=http://shop.test&{lines}");
            let session = text(&self.post("/v1/checkout/sessions", &form)?, "/id")?;
            self.sandbox
                .complete_checkout(&session, person.card.token())
                .map_err(|error| format!("{session}: {error}"))?;
            text(&self.get(&format!("/v1/checkout/sessions/{session}"), "")?, "/subscription")?
        } else {
            text(&self.post("/v1/subscriptions", &format!("customer={customer}&{item}{trial}"))?, "/id")?
        };
        person.subscription = made;
        person.metered = metered;
        self.acts.signups += 1;
        Ok(())
    }

    /// One day of one person: mostly nothing.
    fn live(&mut self, person: &mut Person) -> Outcome<()> {
        if person.metered && self.happens(7) {
            let form = format!(
                "event_name=calls&payload[stripe_customer_id]={}&payload[value]={}",
                person.customer,
                self.chance.u32(0..10_000)
            );
            self.post("/v1/billing/meter_events", &form)?;
            self.acts.usage += 1;
        }
        match person.card {
            Card::Failing if self.happens(12) => self.change_card(person, Card::Good)?,
            Card::Disputing if self.happens(40) => self.change_card(person, Card::Good)?,
            Card::Good if self.happens(300) => {
                self.change_card(person, Card::Failing)?;
                self.acts.failing_cards += 1;
            }
            Card::Good if self.happens(1500) => self.change_card(person, Card::Disputing)?,
            Card::Good | Card::Failing | Card::Disputing | Card::LosesRefunds => {}
        }
        match self.chance.u32(0..6000) {
            0..25 => self.change_plan(person),
            25..45 => self.want_money_back(person),
            45..60 => self.leave(person),
            60..260 => self.come_back(person),
            260..270 => self
                .post(
                    "/v1/invoiceitems",
                    &format!("customer={}&amount=500&currency={}", person.customer, currency(person)),
                )
                .map(drop),
            _ => Ok(()),
        }
    }

    /// The subscription of a person, when it runs.
    fn running(&self, person: &Person) -> Outcome<Option<Value>> {
        let found = self.get(&format!("/v1/subscriptions/{}", person.subscription), "")?;
        let status = text(&found, "/status")?;
        Ok(matches!(status.as_str(), "active" | "trialing" | "past_due").then_some(found))
    }

    fn change_plan(&mut self, person: &mut Person) -> Outcome<()> {
        let Some(found) = self.running(person)? else {
            return Ok(());
        };
        let item = text(&found, "/items/data/0/id")?;
        let (choice, metered) = self.choose(person.market)?;
        let words = ["create_prorations", "always_invoice", "none"];
        let behavior = words.get(self.chance.usize(0..words.len())).ok_or("no word")?;
        let form = format!("items[0][id]={item}&{choice}&proration_behavior={behavior}");
        self.post(&format!("/v1/subscriptions/{}", person.subscription), &form)?;
        person.metered = metered;
        self.acts.changes += 1;
        Ok(())
    }

    fn want_money_back(&mut self, person: &Person) -> Outcome<()> {
        let list = self.get("/v1/charges", &format!("customer={}&limit=1", person.customer))?;
        let Some(charge) = list.pointer("/data/0") else {
            return Ok(());
        };
        let amount = |name: &str| charge.get(name).and_then(Value::as_i64).unwrap_or(0);
        let left = amount("amount") - amount("amount_refunded");
        let paid = charge.get("paid").and_then(Value::as_bool) == Some(true);
        let disputed = charge.get("disputed").and_then(Value::as_bool) == Some(true);
        if !paid || disputed || left == 0 {
            return Ok(());
        }
        let part = if self.happens(2) { left } else { self.chance.i64(1..=left) };
        self.post("/v1/refunds", &format!("charge={}&amount={part}", text(charge, "/id")?))?;
        self.acts.refunds += 1;
        Ok(())
    }

    fn leave(&mut self, person: &Person) -> Outcome<()> {
        if self.running(person)?.is_none() {
            return Ok(());
        }
        let path = format!("/v1/subscriptions/{}", person.subscription);
        if self.happens(3) {
            call(self.sandbox, "DELETE", &path, "invoice_now=true&prorate=true")?;
        } else {
            self.post(&path, "cancel_at_period_end=true")?;
        }
        self.acts.cancellations += 1;
        Ok(())
    }

    fn come_back(&mut self, person: &mut Person) -> Outcome<()> {
        let found = self.get(&format!("/v1/subscriptions/{}", person.subscription), "")?;
        if text(&found, "/status")? != "canceled" || person.card == Card::Failing {
            return Ok(());
        }
        self.sign_up(person)
    }

    /// Sees new disputes, and answers one in three of those that still wait.
    fn answer_disputes(&mut self) -> Outcome<()> {
        let list = self.get("/v1/disputes", "limit=100")?;
        let since = START + (self.day - 2) * DAY;
        for dispute in list.get("data").and_then(Value::as_array).into_iter().flatten() {
            let id = text(dispute, "/id")?;
            let fresh = dispute.get("created").and_then(Value::as_i64).is_some_and(|at| at >= since);
            let waits = text(dispute, "/status")? == "needs_response";
            if fresh && waits && !self.disputes.contains(&id) {
                self.disputes.push_back(id);
            }
        }
        for _ in 0..self.disputes.len() {
            let Some(dispute) = self.disputes.pop_front() else {
                break;
            };
            let status = text(&self.get(&format!("/v1/disputes/{dispute}"), "")?, "/status")?;
            if status != "needs_response" {
                // The time to answer was up.
                continue;
            }
            if self.happens(3) {
                let evidence = if self.happens(2) { "winning_evidence" } else { "losing_evidence" };
                let form = format!("evidence[uncategorized_text]={evidence}&submit=true");
                self.post(&format!("/v1/disputes/{dispute}"), &form)?;
                self.acts.answers += 1;
            } else {
                self.disputes.push_back(dispute);
            }
        }
        Ok(())
    }
}

fn currency(person: &Person) -> &'static str {
    if person.market == 0 { "usd" } else { "jpy" }
}
