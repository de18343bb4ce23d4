//! From Stripe's observed invoices, sessions and balance transactions to the ledger's records.

use std::collections::{BTreeMap, BTreeSet};

use quittance_domain::ledger::balance::{self, BalanceFacts, BalanceKind};
use quittance_domain::ledger::sale::{self, InvoiceSale, InvoiceStatus, Sale};
use quittance_domain::ledger::{Key, Kind, LedgerError, Record};
use quittance_domain::{Currency, Money, Timestamp};
use quittance_stripe::observe::{
    ObservedBalanceTransaction, ObservedCheckout, ObservedInvoice, ObservedPaymentIntent,
};

/// The balance that is available and pending; others are held back or set apart.
const PAYMENTS: &str = "payments";

/// What the ledger should say, each key once.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    records: BTreeMap<Key, Record>,
    invoices: BTreeSet<String>,
}

impl Books {
    /// The records, in the order of their keys.
    pub(super) fn records(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }

    /// Whether this invoice was seen, whatever it said.
    pub(super) fn has_invoice(&self, id: &str) -> bool {
        self.invoices.contains(id)
    }

    /// Adds a record; a later one of the same key wins.
    pub(super) fn add(&mut self, record: Record) {
        self.records.insert(record.key.clone(), record);
    }

    /// Adds what an invoice says.
    pub(super) fn invoice(&mut self, scope: &str, found: &ObservedInvoice) {
        self.invoices.insert(found.id.clone());
        let Some(starting_balance) = found.starting_balance else { return };
        let Ok(currency) = Currency::parse(&found.currency) else { return };
        let changed = match found.status.as_str() {
            "void" => found.voided_at_s,
            "uncollectible" => found.marked_uncollectible_at_s,
            "paid" => found.paid_at_s,
            _ => None,
        };
        let changed = changed.or(found.finalized_at_s).unwrap_or(found.created_s);
        let sale = InvoiceSale {
            id: found.id.clone(),
            status: InvoiceStatus::from(found.status.as_str()),
            currency,
            total: found.total,
            tax: found.tax,
            starting_balance,
            ending_balance: found.ending_balance,
            remaining: found.amount_remaining,
            finalized_at: found.finalized_at_s.map(Timestamp::from_seconds),
            changed_at: Timestamp::from_seconds(changed),
            provider_customer: found.customer.clone(),
        };
        self.take(sale::invoice(scope, &sale), &found.id);
    }

    /// Adds what a session says that sold something once, and made no invoice for it.
    pub(super) fn sale(&mut self, scope: &str, found: &ObservedCheckout) {
        let sold = found.mode == "payment" && found.payment_status == "paid" && found.invoice.is_none();
        let currency = found.currency.as_deref().and_then(|code| Currency::parse(code).ok());
        let (true, Some(total), Some(currency)) = (sold, found.amount_total, currency) else { return };
        let sale = Sale {
            id: found.id.clone(),
            currency,
            total,
            tax: found.amount_tax,
            at: Timestamp::from_seconds(found.created_s),
            payment: found.payment_intent.clone(),
            provider_customer: found.customer.clone(),
        };
        self.take(sale::purchase(scope, &sale).map(|record| vec![record]), &found.id);
    }

    /// Adds what a bare payment says that was made.
    pub(super) fn bare_sale(&mut self, scope: &str, found: &ObservedPaymentIntent) {
        let (true, Ok(currency)) = (found.status == "succeeded", Currency::parse(&found.currency)) else {
            return;
        };
        let sale = Sale {
            id: found.id.clone(),
            currency,
            total: found.amount_received,
            tax: 0,
            at: Timestamp::from_seconds(found.created_s),
            payment: Some(found.id.clone()),
            provider_customer: found.customer.clone(),
        };
        self.take(sale::purchase(scope, &sale).map(|record| vec![record]), &found.id);
    }

    /// Amounts beyond 64 bits are no amounts: they are told and not posted, and the rest of the sync goes on.
    fn take(&mut self, records: Result<Vec<Record>, LedgerError>, object: &str) {
        match records {
            Ok(records) => records.into_iter().for_each(|record| self.add(record)),
            Err(error) => tracing::error!(object, %error, "not posted"),
        }
    }
}

/// Whether an invoice leaves an entry in the ledger: a draft, a void one and one of nothing do not.
pub(crate) fn is_booked(scope: &str, found: &ObservedInvoice) -> bool {
    let mut books = Books::default();
    books.invoice(scope, found);
    books.records.values().any(|record| record.key.kind == Kind::Invoice && record.entry.is_some())
}

/// The record of a balance transaction, and what is odd about it.
///
/// # Errors
/// In words, when its currency or its amounts cannot be.
pub(crate) fn movement(
    scope: &str,
    found: &ObservedBalanceTransaction,
) -> Result<(Record, Option<String>), String> {
    let currency = Currency::parse(&found.currency).map_err(|error| error.to_string())?;
    let source = found.source.as_ref();
    let presented = source.and_then(|source| {
        let presented = Currency::parse(source.currency.as_deref()?).ok()?;
        Some(Money::new(source.amount?, presented))
    });
    let facts = BalanceFacts {
        id: found.id.clone(),
        kind: BalanceKind::from(found.kind.clone()),
        category: found.reporting_category.clone(),
        held_back: found.balance_type.as_deref().is_some_and(|kind| kind != PAYMENTS),
        amount: found.amount,
        fee: found.fee,
        net: found.net,
        currency,
        presented,
        at: Timestamp::from_seconds(found.created_s),
        source: source.map(|source| source.id.clone()),
        payment: source.and_then(|source| source.payment_intent.clone()),
        provider_customer: source.and_then(|source| source.customer.clone()),
    };
    balance::record(scope, &facts).map_err(|error| error.to_string())
}
