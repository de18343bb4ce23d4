//! I3, lives: a life with faults on comes to what its table says, and nothing more.

use quittance_domain::delivery::DeliveryState;
use quittance_sandbox::{CustomerLedger, LedgerInvoice, LedgerSubscription};
use quittance_store::{aggregates, commands, deliveries, mirror};

use super::{Record, Shape};
use crate::lives::{heard_by_app, mails_sent};
use crate::sim::Sim;

/// The invoice that says how a subscription's payment stands: its newest, or the one that is owed while that is a draft.
fn telling<'a>(customer: &'a CustomerLedger, found: &LedgerSubscription) -> Option<&'a LedgerInvoice> {
    let newest = customer.invoices.iter().find(|i| Some(&i.id) == found.latest_invoice.as_ref())?;
    if newest.status != "draft" || !matches!(found.status.as_str(), "past_due" | "unpaid") {
        return Some(newest);
    }
    let open = |i: &&LedgerInvoice| i.status == "open" && i.subscription.as_ref() == Some(&found.id);
    customer.invoices.iter().filter(open).max_by_key(|i| i.created).or(Some(newest))
}

impl Record {
    /// The status under which a subscription is mirrored.
    pub fn mirrored_status(&mut self, sim: &Sim, id: &str) -> Option<String> {
        let key = id.to_owned();
        let row = self.read(sim, move |tx| mirror::subscription(tx, &key)).flatten()?;
        Some(row.subscription.facts.status.as_str().to_owned())
    }

    /// What our side does not know or has not told yet of what a buyer has at the provider; `None` when it has.
    pub fn lags(&mut self, sim: &Sim, buyer: &str) -> Option<String> {
        let key = buyer.to_owned();
        let read = self.read(sim, move |tx| {
            let pending = deliveries::Filter { state: Some(DeliveryState::Pending), ..Default::default() };
            Ok((
                mirror::subscriptions_of_customer(tx, &key)?,
                aggregates::backlog(tx)?.dirty,
                commands::next_due(tx)?.is_some(),
                deliveries::list(tx, &pending, i64::MAX, 1)?.len(),
            ))
        });
        let (rows, dirty, commands, unsent) = read?;
        if dirty > 0 || commands || unsent > 0 {
            return Some(format!("{dirty} syncs to do, commands: {commands}, {unsent} to send"));
        }
        let ledger = sim.sandbox.ledger();
        let ours = ledger
            .customers
            .iter()
            .filter(|c| c.metadata.get("quittance_customer").is_some_and(|id| id == buyer));
        for customer in ours {
            for found in &customer.subscriptions {
                let row = rows.iter().find(|row| row.subscription.facts.id == found.id);
                let newest = telling(customer, found);
                let known = row.is_some_and(|row| {
                    let bill = row.subscription.facts.latest_invoice.as_ref();
                    Shape::of_mirror(&row.subscription) == Shape::of_provider(found)
                        && bill.map(|bill| (&bill.id, &bill.status, bill.attempt_count))
                            == newest.map(|bill| (&bill.id, &bill.status, bill.attempts))
                });
                if !known {
                    return Some(format!("{} is not mirrored as it is", found.id));
                }
            }
        }
        None
    }

    /// In the end: status and access are those of the last line, and mails and what the app heard are those of all lines.
    pub(super) fn life_is_as_its_table(&mut self, sim: &Sim) {
        let Some(life) = sim.plan.life else { return };
        let Some(lived) = self.lived.clone() else {
            return self.violation("I3", format!("the life {} did not come to its end", life.name));
        };
        let status = lived.subscription.as_ref().and_then(|id| self.mirrored_status(sim, id));
        let mut wrong = Vec::new();
        if status.as_deref().unwrap_or("-") != lived.status {
            wrong.push(format!("it is {status:?} in the end, and not {}", lived.status));
        }
        for (node, engine, _) in sim.engines() {
            let said = engine.ask_memory(&crate::actors::buyer_id(0), |holdings| {
                quittance_engine::entitlements::answer(holdings, lived.life.feature, sim.now_of(node))
            });
            let access =
                said.map(|said| said.access.filter(|_| said.allowed).map_or("revoked", |a| a.as_str()));
            if access.is_some_and(|access| access != lived.access) {
                wrong.push(format!("node {node} gives {access:?} in the end, and not {}", lived.access));
            }
        }
        wrong.extend(lived.mails.differs(&mails_sent(sim)).map(|detail| format!("of mails, {detail}")));
        wrong.extend(lived.heard.differs(&heard_by_app(sim)).map(|detail| format!("of events, {detail}")));
        if let Some(wrong) = wrong.first() {
            self.violation("I3", format!("the life {}: {wrong}", life.name));
        }
    }
}
