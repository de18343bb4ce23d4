//! The lists of an import: what each object is counted as, and whose customer it makes known.

use std::collections::BTreeMap;

use quittance_domain::{AggregateKey, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Hint};
use quittance_store::customers::{self, CustomerPatch, LinkedBy};
use quittance_store::history::{self, NewLine};
use quittance_store::{Tx, coverage as store_coverage};
use quittance_stripe::calls::invoices::ListInvoices;
use quittance_stripe::calls::subscriptions::ListSubscriptions;
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::error::StripeError;
use quittance_stripe::observe::{
    ObservedCharge, ObservedCustomer, ObservedInvoice, ObservedSubscription, Page,
};
use serde_json::json;

use super::sets::IdSet;
use super::{Cursor, Run, Step, hint};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::progress::Meter;
use crate::sync::{is_booked, names_missing, translate};

/// Pages of one list at most: 100 million objects.
const MOST_PAGES: u32 = 1_000_000;
/// Customers whose marks are remembered, so that each is marked once; beyond that one is marked again.
const MOST_REMEMBERED: usize = 2_000_000;

/// What an object that cannot be read is counted as.
pub(super) const UNREADABLE: &str = "unreadable";
/// A customer with nothing that the mirror could hold, and no name of ours.
pub(super) const NOTHING: &str = "nothing";

/// One of the provider's customers, as a page made it known.
#[derive(Debug, Clone)]
pub(super) struct Found {
    id: String,
    /// It has something to mirror, as this page shows.
    something: bool,
    /// Its metadata names a customer of ours.
    named: bool,
    /// The page is of the list of customers, on which each is once.
    listed: bool,
    /// Whose it is, as the operator says.
    mapped: Option<CustomerId>,
}

/// What one page comes to, whatever it lists.
struct Listed {
    /// The word of each object, and its id.
    words: Vec<(String, String)>,
    /// Invoices that leave an entry in the ledger.
    booked: IdSet,
    found: Vec<Found>,
    next: Option<String>,
}

/// What a payment of which so much came back is counted as, on both sides.
pub(super) const fn money_word(amount: i64, refunded: i64) -> &'static str {
    if refunded == 0 {
        "kept"
    } else if refunded < amount {
        "partly_refunded"
    } else {
        "refunded"
    }
}

/// A successful payment of a customer is in the mirror; of others the word says why not.
fn charge_word(charge: &ObservedCharge) -> &'static str {
    match charge.status.as_str() {
        "succeeded" if charge.payment_intent.is_none() => "without_intent",
        "succeeded" if charge.customer.is_none() => "guest",
        "succeeded" => money_word(charge.amount_captured, charge.amount_refunded),
        "failed" => "failed",
        _ => "pending",
    }
}

fn listed<T>(
    page: &Page<T>,
    word: impl Fn(&T) -> (String, String),
    found: impl Fn(&T) -> Option<Found>,
    booked: impl Fn(&T) -> Option<String>,
) -> Listed {
    let odd = page.odd.iter().map(|odd| (UNREADABLE.to_owned(), odd.id.clone().unwrap_or_default()));
    let words = page.items.iter().map(word).chain(odd).collect();
    let mut set = IdSet::default();
    page.items.iter().filter_map(booked).for_each(|id| set.add(&id));
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    for one in page.items.iter().filter_map(found) {
        all.entry(one.id.clone()).and_modify(|known| known.named |= one.named).or_insert(one);
    }
    Listed {
        words,
        booked: set,
        found: all.into_values().collect(),
        next: page.last_id.clone().filter(|_| page.has_more),
    }
}

fn with_something(id: Option<&String>) -> Option<Found> {
    let id = id?.clone();
    Some(Found { id, something: true, named: false, listed: false, mapped: None })
}

impl Engine {
    /// Lists one kind of object to its end.
    #[crate::boxed]
    pub(super) async fn list_step(&self, run: &mut Run<'_>, cursor: &mut Cursor) -> Result<(), Problem> {
        let step = cursor.step;
        let meter = Meter::start(self.now(), cursor.total(step));
        for _ in 0..MOST_PAGES {
            let page = match self.list_page(cursor).await {
                Ok(page) => page,
                // Where it was left off is gone at the provider: this list from its beginning.
                Err(error) if cursor.after.is_some() && names_missing(&error) => {
                    cursor.after = None;
                    cursor.forget(step);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (word, id) in &page.words {
                cursor.count(step, word, id);
            }
            cursor.booked.join(page.booked);
            let more = page.next.is_some();
            cursor.after = page.next;
            let mut fresh = Vec::new();
            for mut found in page.found {
                if found.listed || !run.marked.contains(&found.id) {
                    found.mapped = run.options.mapping.get(&found.id).cloned();
                    found.something &= !run.marked.contains(&found.id);
                    if found.something && run.marked.len() < MOST_REMEMBERED {
                        run.marked.insert(found.id.clone());
                    }
                    fresh.push(found);
                }
            }
            let mut place = cursor.clone();
            if !more {
                (place.step, place.after) = (step.next(), None);
            }
            let progress = meter.read(step.as_str(), cursor.total(step), None, self.now());
            let kept = self.keep_place(run, &place, &progress, fresh).await?;
            *cursor = Cursor { step, after: cursor.after.take(), ..kept };
            if !more {
                break;
            }
        }
        Ok(())
    }

    async fn list_page(&self, cursor: &mut Cursor) -> Result<Listed, StripeError> {
        let after = cursor.after.clone();
        let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
        let (scope, calls) = (self.scope().to_string(), &mut cursor.calls);
        Ok(match cursor.step {
            Step::Subscriptions => {
                let wanted = ListSubscriptions { paging, ..Default::default() };
                let page = self.listed(calls::subscriptions::list(&wanted), calls).await?;
                let buyer = |s: &ObservedSubscription| with_something(s.customer.as_ref().map(|c| &c.id));
                listed(&page, |s| (s.status.clone(), s.id.clone()), buyer, |_| None)
            }
            Step::Payments => {
                let page = self.listed(calls::payments::list_all_charges(paging), calls).await?;
                // The mirror has them by their payments.
                let word = |charge: &ObservedCharge| {
                    let id = charge.payment_intent.as_ref().unwrap_or(&charge.id);
                    (charge_word(charge).to_owned(), id.clone())
                };
                listed(&page, word, |charge| with_something(charge.customer.as_ref()), |_| None)
            }
            Step::Invoices => {
                let wanted = ListInvoices { paging, ..Default::default() };
                let page = self.listed(calls::invoices::list(&wanted), calls).await?;
                let booked = |invoice: &ObservedInvoice| {
                    (invoice.customer.is_some() && is_booked(&scope, invoice)).then(|| invoice.id.clone())
                };
                let word = |invoice: &ObservedInvoice| (invoice.status.clone(), invoice.id.clone());
                listed(&page, word, |i| with_something(i.customer.as_ref()), booked)
            }
            Step::Customers | Step::Syncs => {
                let page = self.listed(calls::customers::list(None, paging), calls).await?;
                let keys = &self.settings().customer_metadata_keys;
                let found = |customer: &ObservedCustomer| {
                    let named = translate::named_customer(&customer.metadata, keys).is_some();
                    Some(Found {
                        id: customer.id.clone(),
                        something: false,
                        named,
                        listed: true,
                        mapped: None,
                    })
                };
                // Which word it is, is known where its row is looked for.
                let mut page = listed(&page, |_| Default::default(), found, |_| None);
                page.words.retain(|(word, _)| !word.is_empty());
                page
            }
        })
    }
}

/// Links as the operator says, and marks what there is to look at. A customer with nothing is looked at only where it is one of
/// ours: so that the next checkout finds it, and makes no second one.
pub(super) fn keep(
    tx: &mut dyn Tx,
    engine: &Engine,
    found: &Found,
    cursor: &mut Cursor,
    dry: bool,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let key = AggregateKey::customer(engine.scope().clone(), &found.id).to_string();
    let known = found.listed && store_coverage::known(tx, &key)?;
    if found.listed {
        let word = match (known, found.named || found.mapped.is_some()) {
            (true, _) => "with_something",
            (false, true) => "named",
            (false, false) => NOTHING,
        };
        cursor.count(Step::Customers, word, &found.id);
        cursor.mapped += u64::from(found.mapped.is_some());
    }
    let mut linked = false;
    if let Some(owner) = &found.mapped {
        match customers::linked(tx, &engine.scope().to_string(), &found.id)? {
            Some(other) if other != *owner => cursor.conflicts += u64::from(found.listed),
            Some(_) => {}
            None => {
                cursor.by_mapping += 1;
                linked = true;
                if !dry {
                    link(tx, engine, found, owner, &key, now)?;
                }
            }
        }
    }
    if dry {
        return Ok(());
    }
    if found.something || (linked && known) {
        aggregates::mark(tx, &hint(&key, now), now)?;
    } else if !known && (found.named || found.mapped.is_some()) {
        aggregates::mark(tx, &Hint { thorough: false, ..hint(&key, now) }, now)?;
    }
    Ok(())
}

fn link(
    tx: &mut dyn Tx,
    engine: &Engine,
    found: &Found,
    owner: &CustomerId,
    key: &str,
    now: Timestamp,
) -> quittance_store::Result<()> {
    customers::upsert(tx, owner, &CustomerPatch::default(), now)?;
    customers::link(tx, &engine.scope().to_string(), &found.id, owner, LinkedBy::Operator, now)?;
    history::adopt(tx, key, owner)?;
    let line = NewLine {
        customer: Some(owner.clone()),
        aggregate: Some(key.to_owned()),
        at: now,
        kind: "customer.linked".into(),
        object: found.id.clone(),
        data: json!({ "before": null }).to_string(),
        cause: json!({ "import": "mapping" }).to_string(),
    };
    history::insert(tx, &line)?;
    engine.touch(tx, owner, now)
}
