//! I7, changes: a quote is made exactly as it was said and once, or nothing is charged for it.

use std::collections::BTreeMap;

use quittance_domain::QuoteId;
use quittance_domain::change::When;
use quittance_sandbox::{CustomerLedger, Ledger, LedgerSubscription};
use quittance_store::{mirror, quotes};
use serde_json::Value;

use super::Record;
use super::books::{listed, number, text};
use crate::changes::{Quoted, Said};
use crate::gifts::Known;
use crate::sim::Sim;

impl Record {
    /// What a quote says, as it is kept.
    pub fn said(&mut self, sim: &Sim, quote: &QuoteId) -> Option<Said> {
        let key = quote.clone();
        let row = self.read(sim, move |tx| quotes::get(tx, &key)).flatten()?;
        serde_json::from_str(&row.data).ok()
    }

    /// In the end: of each quote that was made at once there is one invoice, of the amount that was said; of one that was
    /// refused nothing was taken.
    pub(super) fn changes_are_as_quoted(&mut self, sim: &Sim) {
        let quotes = std::mem::take(&mut self.changes.quotes);
        if quotes.iter().any(|quoted| quoted.when == When::Now) {
            let mut invoices: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for invoice in listed(sim, "/v1/invoices") {
                if text(&invoice, "billing_reason") == "subscription_update" {
                    let of = invoice.pointer("/parent/subscription_details/subscription");
                    let of = of.and_then(Value::as_str).unwrap_or_default().to_owned();
                    invoices.entry(of).or_default().push(invoice);
                }
            }
            for quoted in quotes.iter().filter(|quoted| quoted.when == When::Now) {
                let twin = |other: &&Quoted| {
                    (&other.subscription, other.from_s) == (&quoted.subscription, quoted.from_s)
                };
                // Two quotes of one second cannot be told apart.
                if quotes.iter().filter(twin).count() == 1 {
                    let of = invoices.get(&quoted.subscription).map_or(&[][..], Vec::as_slice);
                    self.quote_is_kept(quoted, of);
                }
            }
        }
        self.figures.quotes += quotes.iter().filter(|quoted| quoted.known == Known::Yes).count() as u64;
    }

    fn quote_is_kept(&mut self, quoted: &Quoted, invoices: &[Value]) {
        let begins =
            |line: &Value| line.pointer("/period/start").and_then(Value::as_i64) == Some(quoted.from_s);
        let made: Vec<&Value> = invoices
            .iter()
            .filter(|i| {
                i.pointer("/lines/data").and_then(Value::as_array).is_some_and(|all| all.iter().any(begins))
            })
            .collect();
        let paid = made.iter().filter(|i| text(i, "status") == "paid").count();
        let amounts: Vec<i64> = made.iter().map(|i| number(i, "amount_due")).collect();
        // One that was refused is void, and says no more than that somebody tried.
        let standing = made.iter().filter(|i| text(i, "status") != "void").count();
        let as_said = amounts.iter().all(|amount| *amount == quoted.due) && standing <= 1;
        let kept = match quoted.known {
            Known::Yes => as_said && (quoted.due <= 0 || !amounts.is_empty()),
            Known::Maybe => as_said,
            Known::No => paid == 0,
        };
        if !kept {
            let detail = format!(
                "{} of {} was said to cost {} ({:?} done), and invoices of it are {amounts:?}, {paid} of them paid",
                quoted.quote, quoted.subscription, quoted.due, quoted.known
            );
            self.violation("I7", detail);
        }
    }

    /// What is planned for a subscription is mirrored as the provider has it.
    pub(super) fn plans_are_true(&mut self, sim: &Sim, customer: &CustomerLedger) {
        for found in customer.subscriptions.iter().filter(|s| is_live(s)) {
            let key = found.id.clone();
            let row = self.read(sim, move |tx| mirror::subscription(tx, &key)).flatten();
            let ahead = row.and_then(|row| row.subscription.facts.ahead.next_phase);
            let mirrored = ahead.and_then(|next| {
                let item = next.items.first()?;
                Some((next.at.seconds(), item.price.clone(), item.quantity))
            });
            let planned = planned(sim, found);
            if mirrored != planned {
                let detail =
                    format!("{} is planned to become {planned:?}, mirrored as {mirrored:?}", found.id);
                self.violation("I3", detail);
            }
        }
    }

    /// A subscription is paid with another card from now on.
    pub fn pays_otherwise(&mut self, sim: &Sim, id: &str) {
        if !self.first_cards.contains_key(id) {
            let card = if self.first_seen.contains_key(id) { card_of(sim, id) } else { None };
            self.first_cards.insert(id.to_owned(), card);
        }
    }

    /// Nobody has two trials: not the same buyer, and not the same card.
    pub(super) fn one_trial_each(&mut self, sim: &Sim, ledger: &Ledger) {
        let mut holders: BTreeMap<String, String> = BTreeMap::new();
        for customer in &ledger.customers {
            let buyer = customer.metadata.get("quittance_customer").cloned();
            for found in customer.subscriptions.iter().filter(|s| s.status == "trialing") {
                // A trial is the card's that it began with, and the provider tells only which one pays now.
                let card = self.first_cards.get(&found.id).cloned();
                let card = card.unwrap_or_else(|| card_of(sim, &found.id));
                for holder in buyer.clone().into_iter().chain(card) {
                    if let Some(first) = holders.insert(holder.clone(), found.id.clone())
                        && first != found.id
                    {
                        let detail = format!("{first} and {} are both trials of {holder}", found.id);
                        self.violation("I7", detail);
                    }
                }
            }
        }
    }
}

/// The number, as a fingerprint, of the card that pays a subscription.
fn card_of(sim: &Sim, subscription: &str) -> Option<String> {
    let found = sim.dashboard("GET", &format!("/v1/subscriptions/{subscription}"), "").value();
    let method = text(&found, "default_payment_method");
    let method = sim.dashboard("GET", &format!("/v1/payment_methods/{method}"), "").value();
    method.pointer("/card/fingerprint").and_then(Value::as_str).map(str::to_owned)
}

fn is_live(found: &LedgerSubscription) -> bool {
    matches!(found.status.as_str(), "active" | "trialing" | "past_due")
}

/// What the provider's schedule makes of a subscription next, when that is something else.
fn planned(sim: &Sim, found: &LedgerSubscription) -> Option<(i64, String, i64)> {
    let seen = sim.dashboard("GET", &format!("/v1/subscriptions/{}", found.id), "").value();
    let schedule = seen.get("schedule").and_then(Value::as_str)?;
    let schedule = sim.dashboard("GET", &format!("/v1/subscription_schedules/{schedule}"), "").value();
    if text(&schedule, "status") != "active" {
        return None;
    }
    let now = sim.sandbox.now();
    let mut phases = schedule.get("phases").and_then(Value::as_array).into_iter().flatten();
    let next = phases.find(|phase| number(phase, "start_date") > now)?;
    let item = next.pointer("/items/0")?;
    let price = item.get("price")?;
    let price = price.as_str().or_else(|| price.get("id").and_then(Value::as_str))?;
    let becomes = (price.to_owned(), number(item, "quantity"));
    (found.items.first() != Some(&becomes)).then(|| (number(next, "start_date"), becomes.0, becomes.1))
}
