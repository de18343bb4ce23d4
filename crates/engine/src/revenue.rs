//! Revenue by month: what was earned by its days, and what is still to be. Read from the entries, which stay as they are.

use std::collections::BTreeMap;

use quittance_domain::ledger::recognition::{Service, earned};
use quittance_domain::ledger::{Account, Kind};
use quittance_domain::{Currency, Timestamp};
use quittance_store::ledger::EntryRow;
use quittance_store::services;

use crate::dunning::months_before;
use crate::engine::Engine;
use crate::problem::Problem;

/// Entries that are read at a time.
const PAGE: i64 = 500;
/// Months of a report at most.
pub const MOST_MONTHS: i32 = 60;

/// What one month came to in one currency; minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevenueMonth {
    /// `2026-01`.
    pub month: String,
    /// The currency.
    pub currency: Currency,
    /// What was sold in it, without tax: what the account `revenue` moved by.
    pub sold: i64,
    /// What its days have earned, of whatever was sold for them.
    pub earned: i64,
    /// What was sold until its end and is still to be earned.
    pub deferred: i64,
}

impl Engine {
    /// The last `months` months, this one included, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn revenue(&self, months: i32) -> Result<Vec<RevenueMonth>, Problem> {
        let bounds = months_before(self.now(), months.clamp(1, MOST_MONTHS));
        let mut sums: BTreeMap<(usize, Currency), (i64, i64, i64)> = BTreeMap::new();
        let mut after = 0;
        loop {
            let rows = self.ledger_after(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            let found = self.services_of(&rows).await?;
            for (row, services) in rows.iter().zip(&found) {
                for (total, currency) in sold(row) {
                    for (index, (_, from, until)) in bounds.iter().enumerate() {
                        let by = |at: Timestamp| if row.at < at { earned(total, services, at) } else { 0 };
                        let known = |at: Timestamp| if row.at < at { total } else { 0 };
                        let sum = sums.entry((index, currency)).or_default();
                        sum.0 = sum.0.saturating_add(known(*until) - known(*from));
                        sum.1 = sum.1.saturating_add(by(*until) - by(*from));
                        sum.2 = sum.2.saturating_add(known(*until) - by(*until));
                    }
                }
            }
        }
        let month = |index: usize| bounds.get(index).map(|(name, _, _)| name.clone()).unwrap_or_default();
        Ok(sums
            .into_iter()
            .filter(|(_, sums)| *sums != (0, 0, 0))
            .map(|((index, currency), (sold, earned, deferred))| RevenueMonth {
                month: month(index),
                currency,
                sold,
                earned,
                deferred,
            })
            .collect())
    }

    async fn services_of(&self, rows: &[EntryRow]) -> Result<Vec<Vec<Service>>, Problem> {
        let scope = self.scope().to_string();
        let invoices: Vec<Option<String>> = rows
            .iter()
            .map(|row| Some(row.key.object.clone()).filter(|_| row.key.kind == Kind::Invoice))
            .collect();
        let found = self
            .db()
            .read("revenue.services", move |tx| {
                invoices
                    .iter()
                    .map(|invoice| match invoice {
                        Some(invoice) => services::of_invoice(tx, &scope, invoice),
                        None => Ok(Vec::new()),
                    })
                    .collect()
            })
            .await?;
        Ok(found)
    }
}

/// What an entry sold: its postings in `revenue`, which are credits, turned.
fn sold(row: &EntryRow) -> impl Iterator<Item = (i64, Currency)> + '_ {
    let revenue = row.entry.postings().iter().filter(|posting| posting.account == Account::Revenue);
    revenue.map(|posting| (posting.amount.minor.saturating_neg(), posting.amount.currency))
}
