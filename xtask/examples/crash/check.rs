//! The checks, by the numbers of the design: what the harness knows and what the provider says against what the
//! product says, while the load stands still and nobody is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::interrupt;

use crate::app::App;
use crate::book::{Book, Buyer, Violation};
use crate::http::{Client, flag, items, number, text};
use crate::post::Letters;
use crate::site::Site;
use crate::{billed, books, mirror, told};

/// How long queues may take to drain once faults have stopped: leases, backoff and the provider's own retries are
/// seconds here, but the machine may be used up by others.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a check came to: nothing, or what is broken; an error says that it could not be done.
pub type Finding = Option<Violation>;

/// Compares.
pub struct Checker<'a> {
    /// The product's API.
    pub api: Client,
    /// The provider's.
    pub provider: Client,
    /// What is known.
    pub book: Arc<Book>,
    /// The product's command line.
    pub site: &'a Site,
    /// Whoever hears of changes.
    pub app: &'a App,
    /// What came by mail.
    pub letters: &'a Letters,
}

impl Checker<'_> {
    /// Drains and compares everything about these buyers (all there are, with `everybody`), and everything that is about nobody
    /// in particular.
    ///
    /// # Errors
    /// When product or provider cannot be asked.
    pub fn run(&self, buyers: &BTreeSet<String>, everybody: bool) -> Result<Finding> {
        let waiting = || -> Result<Finding> {
            let policy = self.provider.json("GET", "/_sandbox/webhooks", &Value::Null)?;
            let waiting = number(&policy, "waiting");
            Ok((waiting > 0).then(|| {
                Violation::new(
                    "I10",
                    "webhooks",
                    "all delivered once the product is up",
                    format!("{waiting} waiting"),
                )
            }))
        };
        if let Some(found) = within(PATIENCE, waiting)? {
            return Ok(Some(found));
        }
        // Before any sweep of ours could make good what a crash has lost.
        if let Some(found) = self.nothing_acknowledged_is_lost()? {
            return Ok(Some(found));
        }
        self.sweep(false)?;
        if let Some(found) = within(PATIENCE, || self.drained())? {
            return Ok(Some(found));
        }
        if let Some(found) = within(Duration::from_secs(120), || self.compared(buyers))? {
            return Ok(Some(found));
        }
        if let Some(found) = within(Duration::from_secs(120), || self.books())? {
            return Ok(Some(found));
        }
        if let Some(found) = within(Duration::from_secs(120), || self.told(buyers, everybody))? {
            return Ok(Some(found));
        }
        self.nothing_left_to_sweep()
    }

    /// I1: every copy that was acknowledged is counted with its event, so it was durable when it was acknowledged.
    fn nothing_acknowledged_is_lost(&self) -> Result<Finding> {
        let known = self.book.acknowledged();
        let events = self.api.list("/v1/events")?;
        let mut stored: BTreeMap<&str, i64> = BTreeMap::new();
        for event in &events {
            let id = text(event, "id");
            if stored.insert(id, number(event, "deliveries")).is_some() {
                return Ok(Some(Violation::new("I2", id, "one row", "two")));
            }
        }
        for (event, copies) in known {
            let deliveries = stored.get(event.as_str()).copied().unwrap_or_default();
            if deliveries < i64::try_from(copies)? {
                return Ok(Some(Violation::new(
                    "I1",
                    event,
                    format!("{copies} acknowledged copies"),
                    format!("{deliveries} deliveries counted"),
                )));
            }
        }
        Ok(None)
    }

    /// A sweep, as soon as none runs already.
    fn sweep(&self, dry_run: bool) -> Result<Value> {
        let watch = Stopwatch::start();
        loop {
            match self.api.json("POST", "/v1/sweeps", &json!({ "dry_run": dry_run })) {
                Ok(report) => return Ok(report),
                Err(error) if watch.elapsed() > PATIENCE => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// I1 and I3: every event that the provider has is here and worked off, and nothing is parked.
    fn drained(&self) -> Result<Finding> {
        let parked = self.api.json("GET", "/v1/parked", &Value::Null)?;
        for kind in ["aggregates", "commands"] {
            if let Some(one) = items(&parked, kind).first() {
                return Ok(Some(Violation::new("I3", kind, "nothing parked", one)));
            }
        }
        // What could not be sent waits for its next try.
        if let Some(one) = self.api.list("/v1/deliveries?state=pending")?.first() {
            return Ok(Some(Violation::new("I10", "deliveries", "nothing left to send", one)));
        }
        let events = self.api.list("/v1/events")?;
        let mut known = BTreeSet::new();
        for event in &events {
            known.insert(text(event, "id"));
            if !flag(event, "processed") {
                return Ok(Some(Violation::new("I1", text(event, "id"), "processed", event)));
            }
        }
        for event in self.provider.list("/v1/events")? {
            let id = text(&event, "id");
            if !known.contains(id) {
                return Ok(Some(Violation::new("I3", id, "an event that is here after a sweep", &event)));
            }
        }
        Ok(None)
    }

    /// I2, I3, I7 and I8 for each buyer.
    fn compared(&self, buyers: &BTreeSet<String>) -> Result<Finding> {
        if let Some(found) = self.alerts()? {
            return Ok(Some(found));
        }
        let ledger = self.provider.json("GET", "/_sandbox/ledger", &Value::Null)?;
        let prices = mirror::Prices::read(&self.provider.list("/v1/prices")?);
        let mut accounts: BTreeMap<&str, &Value> = BTreeMap::new();
        for account in items(&ledger, "customers") {
            let customer =
                account.get("metadata").map_or("", |metadata| text(metadata, "quittance_customer"));
            if let Some(other) = accounts.insert(customer, account) {
                return Ok(Some(Violation::new(
                    "I2",
                    customer,
                    format!("one customer at the provider: {}", text(other, "customer")),
                    format!("another one: {}", text(account, "customer")),
                )));
            }
        }
        self.book.keep_totals(mirror::totals(&ledger));
        let known = self.book.buyers();
        for (name, buyer) in known.iter().filter(|(name, _)| buyers.contains(*name)) {
            let seen = self.api.json("GET", &format!("/v1/customers/{name}"), &Value::Null)?;
            let account = accounts.get(name.as_str()).copied().unwrap_or(&Value::Null);
            let found = match mirror::compare(name, account, &seen, &prices) {
                Some(found) => Some(found),
                None => self.money(name, buyer, account, &prices)?,
            };
            let found = match found {
                Some(found) => Some(found),
                None => mirror::told_once(name, &self.api.list(&format!("/v1/customers/{name}/timeline"))?),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// I2: an alert stands once for its kind and object. I3: of those that this load raises, the ones for disputes that wait for
    /// an answer stay, and no other.
    fn alerts(&self) -> Result<Finding> {
        let disputes = self.provider.list("/v1/disputes")?;
        let mut unanswered: BTreeSet<&str> = disputes
            .iter()
            .filter(|dispute| text(dispute, "status") == "needs_response")
            .map(|dispute| text(dispute, "id"))
            .collect();
        let mut seen = BTreeSet::new();
        for alert in self.api.list("/v1/alerts?all=true")? {
            let key = (text(&alert, "type").to_owned(), text(&alert, "object").to_owned());
            let stands = alert.get("resolved_at").is_none_or(Value::is_null);
            let expected = stands && key.0 == "dispute_needs_response" && unanswered.remove(key.1.as_str());
            if stands && !expected {
                return Ok(Some(Violation::new("I3", key.1, "no alert", alert)));
            }
            if !seen.insert(key.clone()) {
                return Ok(Some(Violation::new("I2", key.1, "one alert of its kind", alert)));
            }
        }
        let untold = unanswered.first();
        Ok(untold.map(|id| Violation::new("I3", *id, "an alert that it waits for an answer", "none")))
    }

    /// I7 and I8: each purchase was charged once, each change was billed once at most, each checkout has one session.
    fn money(&self, name: &str, buyer: &Buyer, account: &Value, prices: &mirror::Prices) -> Result<Finding> {
        if account.is_null() {
            let nothing = buyer.subscribed + buyer.bought == 0;
            return Ok((!nothing).then(|| Violation::new("I3", name, "a customer at the provider", "none")));
        }
        if let Some(found) = mirror::charged_once(name, account) {
            return Ok(Some(found));
        }
        let provider_customer = text(account, "customer");
        let invoices = self.provider.list(&format!("/v1/invoices?customer={provider_customer}"))?;
        let first = |invoice: &&Value| {
            text(invoice, "billing_reason") == "subscription_create" && text(invoice, "status") == "paid"
        };
        let created = invoices.iter().filter(first).count() as u64;
        if created != buyer.subscribed {
            let what = format!("{} subscriptions paid by their checkouts", buyer.subscribed);
            return Ok(Some(Violation::new("I7", name, what, created)));
        }
        if let Some(found) = billed::each_once(name, buyer, &invoices, prices) {
            return Ok(Some(found));
        }
        let bought =
            items(account, "charges").iter().filter(|c| flag(c, "paid") && text(c, "invoice").is_empty());
        let bought = bought.count() as u64;
        if bought != buyer.bought {
            return Ok(Some(Violation::new("I7", name, format!("{} purchases paid", buyer.bought), bought)));
        }
        let mut checkouts = BTreeSet::new();
        for session in self.provider.list(&format!("/v1/checkout/sessions?customer={provider_customer}"))? {
            let checkout =
                session.get("metadata").map_or("", |metadata| text(metadata, "quittance_checkout"));
            if !checkouts.insert(checkout.to_owned()) {
                return Ok(Some(Violation::new("I2", checkout, "one session of the provider", &session)));
            }
        }
        Ok(None)
    }

    /// I6: the ledger is the provider's books, by comparison here and by the product's own.
    fn books(&self) -> Result<Finding> {
        let found = books::compare(
            &self.api.list("/v1/ledger/entries")?,
            &books::Provider {
                ledger: &self.provider.json("GET", "/_sandbox/ledger", &Value::Null)?,
                moved: &self.provider.list("/v1/balance_transactions")?,
                invoices: &self.provider.list("/v1/invoices")?,
            },
        );
        Ok(found.or_else(|| match self.site.tie_out() {
            Ok(tied) if flag(&tied, "agrees") && items(&tied, "differences").is_empty() => None,
            Ok(tied) => Some(Violation::new("I6", "ledger tie-out", "agreement, and exit code 0", tied)),
            Err(error) => Some(Violation::new("I6", "ledger tie-out", "exit code 0", format!("{error:#}"))),
        }))
    }

    /// I2: what customers and the app were told.
    fn told(&self, buyers: &BTreeSet<String>, everybody: bool) -> Result<Finding> {
        let ledger = self.provider.json("GET", "/_sandbox/ledger", &Value::Null)?;
        let accounts: BTreeMap<&str, &Value> = items(&ledger, "customers")
            .iter()
            .map(|account| (account.get("metadata").map_or("", |m| text(m, "quittance_customer")), account))
            .collect();
        let known = self.book.buyers();
        let mut strange = self.letters.ids();
        let mut cut_off: Vec<String> = Vec::new();
        for (name, buyer) in known.iter().filter(|(name, _)| buyers.contains(*name)) {
            let account = accounts.get(name.as_str()).copied().unwrap_or(&Value::Null);
            let notices = self.api.list(&format!("/v1/customers/{name}/notices"))?;
            for notice in &notices {
                let id = notice.pointer("/delivery/mail/message_id").and_then(Value::as_str);
                strange.remove(id.unwrap_or_default());
                cut_off.extend(told::may_have_left(notice).then(|| format!("{name}@example.com")));
            }
            let found = told::compare(name, buyer, account, &notices, self.letters);
            if found.is_some() {
                return Ok(found);
            }
        }
        // Sent, and killed before that was written down.
        strange.retain(|id| {
            let to = self.letters.to(id);
            let at = cut_off.iter().position(|address| to.contains(address));
            at.map(|at| cut_off.remove(at)).is_none()
        });
        if let Some(id) = strange.first().filter(|_| everybody) {
            return Ok(Some(Violation::new("I2", id, "a letter for a notice", "one for none")));
        }
        Ok(self.app.compare(&self.api.list("/v1/app-events")?))
    }

    /// I3 by the product's own word: a sweep finds nothing.
    fn nothing_left_to_sweep(&self) -> Result<Finding> {
        let report = self.sweep(true)?;
        let left: i64 =
            ["differing", "unknown", "gone", "missed_events"].iter().map(|kind| number(&report, kind)).sum();
        Ok((left > 0).then(|| Violation::new("I3", "a dry sweep", "no drift", report)))
    }
}

/// Looks again until nothing is found or the time is over; then the last finding stands.
fn within(limit: Duration, mut look: impl FnMut() -> Result<Finding>) -> Result<Finding> {
    let watch = Stopwatch::start();
    loop {
        interrupt::check()?;
        let found = look().context("a check could not be made")?;
        if found.is_none() || watch.elapsed() > limit {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(250));
    }
}
