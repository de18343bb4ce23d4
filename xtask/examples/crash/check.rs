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

use crate::book::{Book, Violation};
use crate::http::{Client, flag, items, number, text};
use crate::mirror;

/// How long queues may take to drain once faults have stopped: leases, backoff and the provider's own retries are
/// seconds here, but the machine may be used up by others.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a check came to: nothing, or what is broken; an error says that it could not be done.
pub type Finding = Option<Violation>;

/// Compares.
pub struct Checker {
    /// The product's API.
    pub api: Client,
    /// The provider's.
    pub provider: Client,
    /// What is known.
    pub book: Arc<Book>,
}

impl Checker {
    /// Drains and compares everything about these buyers, and everything that is about nobody in particular.
    ///
    /// # Errors
    /// When product or provider cannot be asked.
    pub fn run(&self, buyers: &BTreeSet<String>) -> Result<Finding> {
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
                None => self.money(name, buyer, account)?,
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
    fn money(&self, name: &str, buyer: &crate::book::Buyer, account: &Value) -> Result<Finding> {
        if account.is_null() {
            let nothing = buyer.subscribed + buyer.bought == 0;
            return Ok((!nothing).then(|| Violation::new("I3", name, "a customer at the provider", "none")));
        }
        if let Some(found) = mirror::charged_once(name, account) {
            return Ok(Some(found));
        }
        let provider_customer = text(account, "customer");
        let invoices = self.provider.list(&format!("/v1/invoices?customer={provider_customer}"))?;
        let of = |reason: &str, paid: bool| {
            let fits = |invoice: &&Value| {
                text(invoice, "billing_reason") == reason && (!paid || text(invoice, "status") == "paid")
            };
            invoices.iter().filter(fits).count() as u64
        };
        let (created, updated) = (of("subscription_create", true), of("subscription_update", false));
        if created != buyer.subscribed {
            let what = format!("{} subscriptions paid by their checkouts", buyer.subscribed);
            return Ok(Some(Violation::new("I7", name, what, created)));
        }
        if updated > buyer.billed {
            let what = format!("at most {} bills for changes and renewals", buyer.billed);
            return Ok(Some(Violation::new("I8", name, what, updated)));
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
