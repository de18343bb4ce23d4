//! I6, money: what is written down balances and stays, and in the end the books are the provider's.
//!
//! Sums are made here once more, from the postings as they are stored, and the truth is asked of the provider as its
//! dashboard would.

use std::collections::BTreeMap;

use quittance_domain::ledger::{Account, Kind};
use quittance_store::Tx;
use quittance_store::ledger::{self, EntryRow};
use serde_json::Value;

use super::{Record, scope};
use crate::sim::Sim;

/// Entries that are read at a time.
const PAGE: i64 = 500;

/// What an entry is: kind, object, and the how manieth of it.
type Name = (Kind, String, usize);

/// Entries as they were when they were written.
#[derive(Debug, Default)]
pub(super) struct Books {
    seen: BTreeMap<i64, EntryRow>,
}

pub(super) fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or_default()
}

/// All objects of a list of the provider, newest first.
pub(super) fn listed(sim: &Sim, path: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = sim.dashboard("GET", path, &format!("limit=100{after}")).value();
        let found = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(last) = found.last() else { return all };
        after = format!("&starting_after={}", text(last, "id"));
        all.extend(found);
        if page.get("has_more") != Some(&Value::Bool(true)) {
            return all;
        }
    }
}

/// What an entry posts to an account, per currency.
fn posted(row: &EntryRow, account: Account) -> BTreeMap<String, i64> {
    let own = row.entry.postings().iter().filter(|posting| posting.account == account);
    let mut sums = BTreeMap::new();
    for posting in own {
        *sums.entry(posting.amount.currency.code().to_owned()).or_default() += posting.amount.minor;
    }
    sums
}

impl Books {
    /// The number of the last entry that was seen.
    pub(super) fn last(&self) -> i64 {
        self.seen.keys().next_back().copied().unwrap_or(0)
    }
}

/// Entries after a number.
pub(super) fn after(tx: &mut dyn Tx, last: i64) -> quittance_store::Result<Vec<EntryRow>> {
    ledger::after(tx, &scope(), last, PAGE)
}

impl Record {
    /// After a commit: what is new balances, and stands for something that nothing else stands for.
    pub(super) fn books_changed(&mut self, sim: &Sim, first: Vec<EntryRow>) {
        let mut rows = first;
        while !rows.is_empty() {
            for row in rows {
                self.entry_balances(&row);
                self.books.seen.insert(row.seq, row);
            }
            self.one_stands();
            let last = self.books.last();
            rows = self.read(sim, move |tx| after(tx, last)).unwrap_or_default();
        }
    }

    fn entry_balances(&mut self, row: &EntryRow) {
        let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
        for posting in row.entry.postings() {
            *sums.entry(posting.amount.currency.code()).or_default() += i128::from(posting.amount.minor);
        }
        if let Some((currency, sum)) = sums.iter().find(|(_, sum)| **sum != 0) {
            let detail = format!("{} {} sums to {sum} {currency}", row.key.kind.as_str(), row.key.object);
            self.violation("I6", detail);
        }
    }

    /// Of each object as many entries stand as were not taken back: none or one.
    fn one_stands(&mut self) {
        let mut standing: BTreeMap<(Kind, &str), i64> = BTreeMap::new();
        for row in self.books.seen.values() {
            *standing.entry((row.key.kind, &row.key.object)).or_default() +=
                if row.reverses { -1 } else { 1 };
        }
        let odd = standing.iter().find(|(_, count)| !(0..=1).contains(*count));
        if let Some(((kind, object), count)) = odd {
            let detail = format!("{count} entries stand for {} {object}", kind.as_str());
            self.violation("I6", detail);
        }
    }

    /// In the end: nothing was changed or removed, and balance and invoices are the provider's.
    pub(super) fn books_are_true(&mut self, sim: &Sim) {
        let mut rows: Vec<EntryRow> = Vec::new();
        loop {
            let last = rows.last().map_or(0, |row| row.seq);
            let Some(page) = self.read(sim, move |tx| ledger::after(tx, &scope(), last, PAGE)) else {
                return;
            };
            if page.is_empty() {
                break;
            }
            rows.extend(page);
        }
        self.entries_stayed(&rows);
        self.balance_is_the_providers(sim, &rows);
        self.invoices_are_in_the_books(sim, &rows);
        self.figures.entries = rows.len() as u64;
    }

    fn entries_stayed(&mut self, rows: &[EntryRow]) {
        let now = named(rows.iter());
        let then = named(self.books.seen.values());
        let changed = then.iter().find(|(name, row)| {
            now.get(*name).is_none_or(|now| now.entry != row.entry || now.posted_at != row.posted_at)
        });
        if let Some(((kind, object, _), _)) = changed {
            let detail = format!("the entry of {} {object} was changed or removed", kind.as_str());
            self.violation("I6", detail);
        }
    }

    fn balance_is_the_providers(&mut self, sim: &Sim, rows: &[EntryRow]) {
        let moved = listed(sim, "/v1/balance_transactions");
        let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
        for found in &moved {
            *wanted.entry(text(found, "currency")).or_default() += number(found, "net");
        }
        let mut held: BTreeMap<String, i64> = BTreeMap::new();
        let mut entries: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows {
            for (currency, sum) in posted(row, Account::ProviderBalance) {
                *held.entry(currency).or_default() += sum;
            }
            if row.key.kind == Kind::BalanceTransaction {
                *entries.entry(&row.key.object).or_default() += 1;
            }
        }
        for found in &moved {
            let id = text(found, "id");
            let count = entries.remove(id.as_str()).unwrap_or(0);
            if count != 1 {
                self.violation("I6", format!("{id} ({}) has {count} entries", text(found, "type")));
            }
        }
        if let Some(id) = entries.keys().next() {
            self.violation("I6", format!("{id} has an entry and is not at the provider"));
        }
        held.retain(|_, sum| *sum != 0);
        wanted.retain(|_, sum| *sum != 0);
        if held != wanted {
            self.violation("I6", format!("the provider's balance is {wanted:?}, and in the books {held:?}"));
        }
    }

    fn invoices_are_in_the_books(&mut self, sim: &Sim, rows: &[EntryRow]) {
        let mut owed: BTreeMap<&str, i64> = BTreeMap::new();
        for row in rows.iter().filter(|row| matches!(row.key.kind, Kind::Invoice | Kind::WriteOff)) {
            let sum: i64 = posted(row, Account::Receivable).values().sum();
            *owed.entry(&row.key.object).or_default() += sum;
        }
        for found in listed(sim, "/v1/invoices") {
            let (id, status) = (text(&found, "id"), text(&found, "status"));
            let sold = number(&found, "total") + number(&found, "starting_balance")
                - number(&found, "ending_balance");
            let wanted = match status.as_str() {
                "open" | "paid" => sold,
                "uncollectible" => sold - number(&found, "amount_remaining"),
                _ => 0,
            };
            let booked = owed.get(id.as_str()).copied().unwrap_or(0);
            if booked != wanted {
                let detail = format!("{id} ({status}) is {wanted} to receive, and in the books {booked}");
                self.violation("I6", detail);
            }
        }
    }
}

/// Entries by what they are, so that a number that was given out anew is not taken for a change.
fn named<'r>(rows: impl Iterator<Item = &'r EntryRow>) -> BTreeMap<Name, &'r EntryRow> {
    let mut counts: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for row in rows {
        let count = counts.entry((row.key.kind, &row.key.object)).or_default();
        all.insert((row.key.kind, row.key.object.clone(), *count), row);
        *count += 1;
    }
    all
}
