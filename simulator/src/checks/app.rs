//! What the app heard, in the end: everything that was told, in its order, and nothing else; and both of its copies are
//! what the nodes answer. Its endpoint names no kinds of events: what is for operators must not reach it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use quittance_domain::Timestamp;
use quittance_domain::time::{DAY_MS, MINUTE_MS};
use quittance_engine::entitlements::Answer;
use quittance_engine::feed::CustomerState;
use quittance_sandbox::Ledger;
use quittance_store::app_events::{self, AppEventRow};
use serde_json::Value;

use super::Record;
use crate::actors::buyer_id;
use crate::sim::Sim;

/// Events that are read at a time.
const PAGE: i64 = 500;
/// Where something ends so soon, clocks that differ may see it end or not.
const SOON_MS: i64 = 5 * MINUTE_MS;

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

impl Record {
    /// After the faults, when everything has left: what the app was told is what became so.
    pub(super) fn app_is_told(&mut self, sim: &Sim, ledger: &Ledger) {
        let mut events: Vec<AppEventRow> = Vec::new();
        loop {
            let cursor = events.last().map_or(0, |row| row.seq);
            let from = Timestamp::from_ms(0);
            let Some(page) = self.read(sim, move |tx| app_events::since(tx, from, cursor, PAGE)) else {
                return;
            };
            if page.is_empty() {
                break;
            }
            events.extend(page);
        }
        self.all_heard(sim, &events);
        self.nothing_invented(sim, ledger);
        for index in 0..sim.plan.buyers {
            self.copies_agree(sim, &buyer_id(index));
        }
    }

    /// Each event at least once, those of a customer in their order, and each word for word; and none that is for
    /// operators only.
    fn all_heard(&mut self, sim: &Sim, events: &[AppEventRow]) {
        let wrong = {
            let app = sim.app();
            let places: BTreeMap<&str, usize> =
                app.order.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
            let mut last: BTreeMap<&str, (usize, &AppEventRow)> = BTreeMap::new();
            let mut wrong = Vec::new();
            for event in events {
                let id = event.id.as_str();
                let found = app.heard.get(id);
                if !event.kind.by_default() {
                    if found.is_some() {
                        wrong.push((
                            "I9",
                            format!("the app heard {id}, which is for operators: {}", event.body),
                        ));
                    }
                    continue;
                }
                let Some(heard) = found else {
                    wrong.push(("I1", format!("the app never heard {id}: {}", event.body)));
                    continue;
                };
                if heard.body != event.body {
                    wrong.push(("I2", format!("{id} is {} and was told as {}", event.body, heard.body)));
                }
                let place = places.get(id).copied().unwrap_or(0);
                if app.resent.contains(id) {
                    continue;
                }
                let customer = event.customer.as_deref().unwrap_or_default();
                if let Some((before, first)) = last.insert(customer, (place, event))
                    && before > place
                {
                    wrong.push(("I4", format!("the app heard {id} before {}, which came first", first.id)));
                }
            }
            // Events are kept for a while only.
            let known: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
            let kept = sim.scheduler.now_ms() - sim.plan.settings.app_webhooks.kept_ms + DAY_MS;
            let invented = app.heard.iter().find(|(id, heard)| {
                let at = text(&heard.value, "/timestamp").parse::<jiff::Timestamp>();
                !known.contains(id.as_str()) && at.is_ok_and(|at| at.as_millisecond() > kept)
            });
            wrong.extend(
                invented.map(|(id, heard)| ("I9", format!("{id} was told and never was: {}", heard.body))),
            );
            wrong
        };
        self.figures.heard += events.len() as u64;
        if let Some((invariant, detail)) = wrong.into_iter().next() {
            self.violation(invariant, detail);
        }
    }

    /// What is told once is told once, of what the provider has; and access goes on from where it was.
    fn nothing_invented(&mut self, sim: &Sim, ledger: &Ledger) {
        let tries = self.tries(sim, ledger);
        let subscriptions: BTreeSet<&str> =
            ledger.customers.iter().flat_map(|c| &c.subscriptions).map(|s| s.id.as_str()).collect();
        let wrong = {
            let app = sim.app();
            let mut once: BTreeSet<String> = BTreeSet::new();
            let mut failed: BTreeMap<&str, i64> = BTreeMap::new();
            let mut access: BTreeMap<&str, &Value> = BTreeMap::new();
            let mut refunded: BTreeMap<&str, i64> = BTreeMap::new();
            app.order.iter().filter_map(|id| app.heard.get(id)).find_map(|heard| {
                let value = &heard.value;
                let named = text(value, "/data/subscription");
                if !named.is_empty() && !subscriptions.contains(named) {
                    return Some(format!("{named} is told of and is not at the provider"));
                }
                match text(value, "/type") {
                    "payment.failed" => {
                        let invoice = text(value, "/data/invoice");
                        let count = failed.entry(invoice).or_default();
                        *count += 1;
                        let number = |of: &str| value.pointer(of).and_then(Value::as_i64);
                        let tried = (number("/data/attempt"), number("/data/own_try"));
                        let name = format!("{invoice} {tried:?}");
                        (!once.insert(name) || *count > tries.get(invoice).copied().unwrap_or(0))
                            .then(|| format!("{invoice} is told to have failed {count} times"))
                    }
                    "refund.created" => {
                        let payment = text(value, "/data/payment");
                        let now = value.pointer("/data/refunded_in_all/amount")?.as_i64()?;
                        let part = value.pointer("/data/refunded/amount")?.as_i64()?;
                        // What went back before anybody looked is told to nobody.
                        let before = refunded.insert(payment, now).unwrap_or(now - part);
                        (before + part != now)
                            .then(|| format!("{payment}: {part} went back after {before}, and in all {now}"))
                    }
                    "customer.access_changed" => {
                        let customer = text(value, "/data/customer");
                        let (from, to) = (value.pointer("/data/from")?, value.pointer("/data/to")?);
                        let before = access.insert(customer, to).unwrap_or(&Value::Null);
                        (before != from || from == to).then(|| {
                            format!("{customer} went from {before} to where it was {from}, and to {to}")
                        })
                    }
                    _ => None,
                }
            })
        };
        if let Some(wrong) = wrong {
            self.violation("I2", format!("the app is told: {wrong}"));
        }
    }

    /// What the app's copies answer is what the nodes answer.
    fn copies_agree(&mut self, sim: &Sim, id: &str) {
        let Some((node, engine, _)) = sim.engines().into_iter().next() else { return };
        let Some(Ok(Some(held))) = engine.held(id).now_or_never() else { return };
        let now = sim.now_of(node);
        let soon = |at: Option<Timestamp>| at.is_some_and(|at| at.since(now).abs() < SOON_MS);
        if held.holdings.iter().any(|holding| soon(holding.standing.until())) {
            return;
        }
        let (told, followed) = {
            let app = sim.app();
            (app.told.get(id).cloned(), app.followed.get(id).cloned())
        };
        let free = sim.catalog.free_plan();
        for feature in &self.features.clone() {
            let said = quittance_engine::entitlements::answer(&held.holdings, feature, now);
            let by_webhook = match &told {
                Some(told) => by_webhook(told, feature, now),
                // The free plan, which everybody has, is told to nobody.
                None => free.and_then(|plan| plan.features.get(feature)).is_some(),
            };
            if by_webhook != said.allowed {
                let detail = format!(
                    "by the webhooks {id} may use {feature}: {by_webhook}, and by the nodes {}: {told:?}",
                    said.allowed
                );
                self.violation("I3", detail);
            }
            let by_stream = followed.as_ref().is_some_and(|state| by_stream(state, &said, now));
            if by_stream != said.allowed {
                let detail = format!(
                    "by the stream {id} may use {feature}: {by_stream}, and by the nodes {}: {followed:?}",
                    said.allowed
                );
                self.violation("I3", detail);
            }
        }
        if let Some(state) = followed.filter(|state| state.version != held.version) {
            self.violation(
                "I3",
                format!("the stream ends with version {} of {id}, not {}", state.version, held.version),
            );
        }
    }
}

fn is_over(at: Option<&str>, now: Timestamp) -> bool {
    at.and_then(|at| at.parse::<jiff::Timestamp>().ok()).is_some_and(|at| at.as_millisecond() <= now.ms())
}

fn by_webhook(told: &Value, feature: &str, now: Timestamp) -> bool {
    let all = told.as_array().into_iter().flatten();
    let mut of_it = all.filter(|one| text(one, "/feature") == feature);
    of_it.any(|one| {
        one.get("allowed") == Some(&Value::Bool(true))
            && !is_over(one.get("expires_at").and_then(Value::as_str), now)
    })
}

fn by_stream(state: &CustomerState, said: &Answer, now: Timestamp) -> bool {
    state.holdings.iter().any(|held| {
        matches!(held.access, "granted" | "grace")
            && held.features.contains_key(&said.feature)
            && !is_over(held.until.as_deref(), now)
    })
}
