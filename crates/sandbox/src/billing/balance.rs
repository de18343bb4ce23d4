//! The customer's balance: every change of it is an entry, so that the entries always add up to it.

use crate::model::customer::Customer;
use crate::model::customer_balance::{BalanceEntry, EntryKind};
use crate::model::invoice::Invoice;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// No balance is further from zero than this.
const LARGEST: i64 = 99_999_999_999;

/// A change that is about to be booked.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) kind: EntryKind,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) invoice: Option<String>,
    pub(crate) credit_note: Option<String>,
}

impl NewEntry {
    /// An entry that says nothing but why and how much.
    pub(crate) fn plain(kind: EntryKind, amount: i64, currency: &str) -> Self {
        Self {
            kind,
            amount,
            currency: currency.to_owned(),
            description: None,
            metadata: Metadata::new(),
            invoice: None,
            credit_note: None,
        }
    }
}

impl World {
    /// Books a change on a customer that the caller holds and will put back. Nothing is booked for nothing.
    pub(crate) fn book_entry(&mut self, customer: &mut Customer, new: NewEntry) -> Option<String> {
        if new.amount == 0 {
            return None;
        }
        customer.balance = customer.balance.saturating_add(new.amount);
        let id = self.chance.id("cbtxn_");
        self.balance_entries.put(BalanceEntry {
            id: id.clone(),
            created: self.now,
            customer: customer.id.clone(),
            kind: new.kind,
            amount: new.amount,
            currency: new.currency,
            ending_balance: customer.balance,
            description: new.description,
            metadata: new.metadata,
            invoice: new.invoice,
            credit_note: new.credit_note,
        });
        Some(id)
    }

    /// Changes a customer's balance and tells. The customer's currency is fixed by it.
    pub(crate) fn move_balance(&mut self, customer: &str, new: NewEntry) -> ApiResult<Option<String>> {
        let mut customer = need(&self.customers, customer, "customer")?;
        let before = customer.render();
        if customer.currency.as_ref().is_some_and(|currency| *currency != new.currency) {
            let message = format!(
                "The customer's balance is in {}, not in {}.",
                customer.currency.unwrap_or_default(),
                new.currency
            );
            return Err(ApiError::rule(message).param("currency"));
        }
        if customer.balance.saturating_add(new.amount).abs() > LARGEST {
            return Err(ApiError::rule("The customer's balance would be too large.").param("amount"));
        }
        customer.currency.get_or_insert_with(|| new.currency.clone());
        let entry = self.book_entry(&mut customer, new);
        let after = customer.render();
        self.customers.put(customer);
        self.emit_change("customer.updated", &before, after);
        Ok(entry)
    }

    /// Applies the customer's balance to an invoice that becomes final: what is used of it, or added to it by an
    /// invoice below zero, and then what is too small to be charged.
    pub(crate) fn apply_balance(&mut self, customer: &mut Customer, invoice: &Invoice) {
        if customer.currency.as_ref() != Some(&invoice.currency) {
            // It is in another currency, and the invoice left it alone.
            return;
        }
        let owed = invoice.total().saturating_add(invoice.starting_balance);
        let applied = if owed <= 0 { invoice.total() } else { -invoice.starting_balance };
        let too_small = invoice.balance_left.saturating_sub(invoice.starting_balance).saturating_sub(applied);
        for (kind, amount) in
            [(EntryKind::AppliedToInvoice, applied), (EntryKind::InvoiceTooSmall, too_small)]
        {
            let entry = NewEntry::plain(kind, amount, &invoice.currency);
            self.book_entry(customer, NewEntry { invoice: Some(invoice.id.clone()), ..entry });
        }
    }

    /// Takes back what an invoice did to the balance, when it is voided.
    pub(crate) fn unapply_balance(&mut self, invoice: &Invoice) {
        let change = invoice.ending_balance.unwrap_or(invoice.starting_balance) - invoice.starting_balance;
        let entry = NewEntry::plain(EntryKind::UnappliedFromInvoice, -change, &invoice.currency);
        // The customer exists and had this balance before, so it cannot be refused.
        drop(self.move_balance(&invoice.customer, NewEntry { invoice: Some(invoice.id.clone()), ..entry }));
    }
}
