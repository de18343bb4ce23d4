//! I2 and I7, our own tries at payments that failed: none that was not written down, none beside the provider's, and an end when
//! they are used up.

use std::collections::BTreeMap;

use quittance_domain::dunning::Retries;
use quittance_domain::fraud::Level;
use quittance_domain::time::{DAY_MS, SECOND_MS};
use quittance_sandbox::{CustomerLedger, Ledger, LedgerInvoice};
use quittance_store::commands;

use super::Record;
use crate::sim::Sim;

/// What follows the last try has followed so long after it.
const GIVEN_UP_MS: i64 = 2 * DAY_MS;

impl Record {
    /// In the end, where we try ourselves.
    pub(super) fn tries_are_ours(&mut self, sim: &Sim, buyer: &str, customer: &CustomerLedger) {
        if sim.plan.settings.dunning.retries != Retries::Own {
            return;
        }
        for invoice in customer.invoices.iter().filter(|invoice| invoice.subscription.is_some()) {
            self.each_try_was_written_down(sim, customer, invoice);
        }
        if self.suspensions.stands(buyer, Level::All) != Some(false) {
            return;
        }
        let Some(days) = sim.plan.settings.dunning.schedule_days.iter().max() else { return };
        let last_ms = i64::from(*days) * DAY_MS + GIVEN_UP_MS;
        for found in customer.subscriptions.iter().filter(|s| s.status == "past_due" && !s.paused) {
            let newest = customer.invoices.iter().find(|i| Some(&i.id) == found.latest_invoice.as_ref());
            let due_ms = newest
                .filter(|i| i.status == "open")
                .map(|i| i.finalized_at.unwrap_or(i.created) * SECOND_MS);
            if due_ms.is_some_and(|due| sim.scheduler.now_ms() > due + last_ms)
                && !self.is_one_too_many(sim, &found.id)
            {
                let detail = format!("{} is past due and its tries are used up: nobody ended it", found.id);
                self.violation("I7", detail);
            }
        }
    }

    /// A buyer has paid an invoice on a page of the provider's, or was refused.
    pub fn paid_by_hand(&mut self, invoice: &str, status: u16) {
        if status == 402 {
            *self.refused_by_hand.entry(invoice.to_owned()).or_default() += 1;
        }
    }

    /// How often each invoice can have failed: as often as the provider tried, and as tries of ours are written down.
    pub(super) fn tries(&mut self, sim: &Sim, ledger: &Ledger) -> BTreeMap<String, i64> {
        let invoices: Vec<(String, i64)> = ledger
            .customers
            .iter()
            .flat_map(|customer| &customer.invoices)
            .map(|invoice| (invoice.id.clone(), invoice.attempts))
            .collect();
        invoices
            .into_iter()
            .map(|(id, attempts)| {
                let ours = self.own_tries(sim, &id);
                (id, attempts + ours)
            })
            .collect()
    }

    fn own_tries(&mut self, sim: &Sim, invoice: &str) -> i64 {
        if sim.plan.settings.dunning.retries != Retries::Own {
            return 0;
        }
        let object = format!("invoice/{invoice}");
        let asked = self.read(sim, move |tx| commands::of_object(tx, &object)).unwrap_or_default();
        let tries = asked.iter().filter(|command| command.kind == "invoice.pay").count();
        i64::try_from(tries).unwrap_or(i64::MAX)
    }

    /// Of a renewal: what is bought is paid in front of its buyer, who may try one card after the other.
    fn each_try_was_written_down(&mut self, sim: &Sim, customer: &CustomerLedger, invoice: &LedgerInvoice) {
        if invoice.attempts > 1 {
            let detail = format!("{} was tried {} times by the provider, too", invoice.id, invoice.attempts);
            self.violation("I7", detail);
        }
        let tries = self.own_tries(sim, &invoice.id);
        self.figures.own_tries += u64::try_from(tries).unwrap_or(0);
        let others = customer.invoices.iter().filter(|other| other.subscription == invoice.subscription);
        if others.map(|other| other.created).min() == Some(invoice.created) {
            return;
        }
        let failed = customer.charges.iter().filter(|c| c.invoice.as_ref() == Some(&invoice.id) && !c.paid);
        let failed = i64::try_from(failed.count()).unwrap_or(i64::MAX);
        let by_hand = self.refused_by_hand.get(&invoice.id).copied().unwrap_or(0);
        if failed > invoice.attempts + tries + by_hand {
            let detail = format!(
                "{} failed {failed} times: the provider tried {} times, its buyer {by_hand} times, and {tries} tries of ours are written down",
                invoice.id, invoice.attempts
            );
            self.violation("I2", detail);
        }
    }
}
