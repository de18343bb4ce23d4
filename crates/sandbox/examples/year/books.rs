//! The books at the end of a scripted year: what objects say happened, against what the balance says is there.

use std::collections::{BTreeMap, BTreeSet};

use quittance_sandbox::{Ledger, Sandbox};
use serde_json::Value;

use super::script::{Outcome, call, text};

/// The sums of one currency, in minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Money that was taken.
    pub charges: i64,
    /// Money that went back and arrived, or is on its way.
    pub refunds: i64,
    /// Money that is withheld or lost.
    pub disputes: i64,
    /// What the provider keeps.
    pub fees: i64,
    /// What went to the bank, or is on its way there; what the bank was asked for counts against it.
    pub payouts: i64,
    /// What the account has, available and pending.
    pub balance: i64,
}

impl Sums {
    /// What is left unexplained; zero when the books are right.
    pub fn off_by(&self) -> i64 {
        self.charges - self.fees - self.refunds - self.disputes - self.payouts - self.balance
    }
}

/// What a year came to.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// By currency.
    pub sums: BTreeMap<String, Sums>,
    /// Paid invoices that began a further period.
    pub renewals: u64,
    /// Attempts that were refused.
    pub failures: u64,
    /// Refunds by status.
    pub refunds: BTreeMap<String, u64>,
    /// Disputes by status.
    pub disputes: BTreeMap<String, u64>,
    /// Payouts by status.
    pub payouts: BTreeMap<String, u64>,
    /// Subscriptions by status.
    pub subscriptions: BTreeMap<String, u64>,
    /// Sentences about what is wrong; none when the books are right.
    pub faults: Vec<String>,
}

/// All objects of a list.
fn all(sandbox: &Sandbox, path: &str, filter: &str) -> Outcome<Vec<Value>> {
    let mut found: Vec<Value> = Vec::new();
    loop {
        let after = match found.last() {
            Some(last) => format!("&starting_after={}", text(last, "/id")?),
            None => String::new(),
        };
        let page = call(sandbox, "GET", path, &format!("limit=100{filter}{after}"))?;
        found.extend(page.get("data").and_then(Value::as_array).into_iter().flatten().cloned());
        if page.get("has_more").and_then(Value::as_bool) != Some(true) {
            return Ok(found);
        }
    }
}

fn number(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}

impl Books {
    /// Closes the books of a sandbox.
    pub fn close(sandbox: &Sandbox) -> Outcome<Self> {
        let mut books = Self::default();
        books.count_objects(&sandbox.ledger());
        books.count_movements(sandbox)?;
        books.count_payouts(sandbox)?;
        books.count_invoices(sandbox, &sandbox.ledger())?;
        let wrong = |(currency, sums): (&String, &Sums)| {
            (sums.off_by() != 0).then(|| format!("{currency} is off by {}: {sums:?}", sums.off_by()))
        };
        let faults: Vec<String> = books.sums.iter().filter_map(wrong).collect();
        books.faults.extend(faults);
        Ok(books)
    }

    fn of(&mut self, currency: &str) -> &mut Sums {
        self.sums.entry(currency.to_owned()).or_default()
    }

    fn count_objects(&mut self, ledger: &Ledger) {
        for customer in &ledger.customers {
            for charge in &customer.charges {
                if charge.paid {
                    self.of(&charge.currency).charges += charge.amount;
                } else {
                    self.failures += 1;
                }
            }
            for refund in &customer.refunds {
                *self.refunds.entry(refund.status.clone()).or_default() += 1;
                if refund.status != "failed" {
                    self.of(&refund.currency).refunds += refund.amount;
                }
            }
            for dispute in &customer.disputes {
                *self.disputes.entry(dispute.status.clone()).or_default() += 1;
                if matches!(dispute.status.as_str(), "needs_response" | "lost") {
                    self.of(&dispute.currency).disputes += dispute.amount;
                }
            }
            for subscription in &customer.subscriptions {
                *self.subscriptions.entry(subscription.status.clone()).or_default() += 1;
            }
        }
    }

    fn count_movements(&mut self, sandbox: &Sandbox) -> Outcome<()> {
        for entry in all(sandbox, "/v1/balance_transactions", "")? {
            let currency = text(&entry, "/currency")?;
            self.of(&currency).fees += number(&entry, "fee");
            if number(&entry, "net") != number(&entry, "amount") - number(&entry, "fee") {
                self.faults.push(format!("an entry is not its amount less its fee: {entry}"));
            }
        }
        let balance = call(sandbox, "GET", "/v1/balance", "")?;
        for part in ["available", "pending"] {
            for sum in balance.get(part).and_then(Value::as_array).into_iter().flatten() {
                self.of(&text(sum, "/currency")?).balance += number(sum, "amount");
            }
        }
        Ok(())
    }

    /// Each payout of the schedule is exactly the entries that it took, so that they and its own add up to nothing.
    fn count_payouts(&mut self, sandbox: &Sandbox) -> Outcome<()> {
        for payout in all(sandbox, "/v1/payouts", "")? {
            let (id, status) = (text(&payout, "/id")?, text(&payout, "/status")?);
            if !matches!(status.as_str(), "failed" | "canceled") {
                self.of(&text(&payout, "/currency")?).payouts += number(&payout, "amount");
            }
            *self.payouts.entry(status).or_default() += 1;
            let entries = all(sandbox, "/v1/balance_transactions", &format!("&payout={id}"))?;
            let rest: i64 = entries.iter().map(|entry| number(entry, "net")).sum();
            if rest != 0 || entries.len() < 2 {
                self.faults.push(format!("the {} entries of {id} leave {rest}", entries.len()));
            }
        }
        Ok(())
    }

    /// Each paid invoice has the money that it says, and no period of a subscription is billed twice.
    fn count_invoices(&mut self, sandbox: &Sandbox, ledger: &Ledger) -> Outcome<()> {
        let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
        for charge in ledger.customers.iter().flat_map(|customer| &customer.charges) {
            if let Some(invoice) = charge.invoice.as_deref().filter(|_| charge.paid) {
                *taken.entry(invoice).or_default() += charge.amount;
            }
        }
        let mut periods = BTreeSet::new();
        for invoice in all(sandbox, "/v1/invoices", "")? {
            let id = text(&invoice, "/id")?;
            let paid = number(&invoice, "amount_paid");
            let charged = taken.get(id.as_str()).copied().unwrap_or(0);
            if charged != paid {
                self.faults.push(format!("{id} says that {paid} was paid, and {charged} was charged for it"));
            }
            let cycle = text(&invoice, "/billing_reason")? == "subscription_cycle";
            if cycle && text(&invoice, "/status")? == "paid" {
                self.renewals += 1;
            }
            let subscription = text(&invoice, "/parent/subscription_details/subscription");
            if let (Ok(subscription), true) = (subscription, cycle) {
                let start = number(&invoice, "period_start");
                if !periods.insert((subscription.clone(), start)) {
                    self.faults.push(format!("{subscription} is billed twice for the period from {start}"));
                }
            }
        }
        Ok(())
    }
}
