//! A month of many subscriptions: how fast customers are made, how fast time passes, and the memory that it takes.

use std::time::Duration;

use quittance_sandbox::Sandbox;

use super::script::{DAY, Outcome, call, text};
use super::timed;

/// What a month of many subscriptions took.
pub struct Month {
    /// How many customers, each with a card and a subscription.
    pub customers: i64,
    /// Making the customers.
    pub arriving: Duration,
    /// Making their subscriptions.
    pub subscribing: Duration,
    /// 31 days in one step, with a renewal each.
    pub passing: Duration,
    /// Paid invoices of the renewals.
    pub renewals: i64,
    /// Events that the step made.
    pub events: u64,
    /// Resident memory before and after, in KiB; none where the system does not say.
    pub memory: Option<(u64, u64)>,
}

/// Resident memory of this process, in KiB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

impl Month {
    /// Makes the subscriptions and lets a month pass.
    pub fn play(sandbox: &Sandbox, customers: i64) -> Outcome<Self> {
        let start = resident();
        let form = "currency=usd&unit_amount=1980&recurring[interval]=month&product_data[name]=Plan";
        let price = text(&call(sandbox, "POST", "/v1/prices", form)?, "/id")?;
        let (mut arriving, mut subscribing, mut passing) = Default::default();
        let form = "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";
        let made: Vec<String> = timed(&mut arriving, || {
            let make = |_| text(&call(sandbox, "POST", "/v1/customers", form)?, "/id");
            (0..customers).map(make).collect::<Outcome<_>>()
        })?;
        timed(&mut subscribing, || {
            made.iter().try_for_each(|customer| {
                let form = format!("customer={customer}&items[0][price]={price}");
                call(sandbox, "POST", "/v1/subscriptions", &form).map(drop)
            })
        })?;
        let before = sandbox.events_made();
        timed(&mut passing, || sandbox.advance_time(31 * DAY + DAY / 2));
        let events = sandbox.events_made() - before;
        let ledger = sandbox.ledger();
        let charged = ledger.customers.iter().flat_map(|customer| &customer.charges);
        let charged = i64::try_from(charged.filter(|charge| charge.paid).count()).unwrap_or(i64::MAX);
        let memory = start.zip(resident());
        Ok(Self { customers, arriving, subscribing, passing, renewals: charged - customers, events, memory })
    }
}
