//! From Stripe's observed invoices, sessions and balance transactions to the ledger's records.

use std::collections::{BTreeMap, BTreeSet};

use quittance_domain::ledger::balance::{self, BalanceFacts, BalanceKind};
use quittance_domain::ledger::recognition::Service;
use quittance_domain::ledger::sale::{self, CreditNoteFacts, InvoiceSale, InvoiceStatus, Sale};
use quittance_domain::ledger::{Key, Kind, LedgerError, Record};
use quittance_domain::{Currency, Money, Timestamp};
use quittance_stripe::observe::{
    LinePeriod, ObservedBalanceEntry, ObservedBalanceTransaction, ObservedCheckout, ObservedCreditNote,
    ObservedInvoice, ObservedPaymentIntent,
};

/// The balance that is available and pending; others are held back or set apart.
const PAYMENTS: &str = "payments";

/// What the ledger should say, each key once.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    records: BTreeMap<Key, Record>,
    invoices: BTreeSet<String>,
    services: BTreeMap<String, Vec<Service>>,
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

    /// What final invoices are for.
    pub(super) fn services(&self) -> impl Iterator<Item = (&str, &[Service])> {
        self.services.iter().map(|(invoice, services)| (invoice.as_str(), services.as_slice()))
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
        if sale.status != InvoiceStatus::Draft && !found.periods.is_empty() {
            let of = |line: &LinePeriod| Service {
                weight: line.amount,
                from: Timestamp::from_seconds(line.start_s),
                until: Timestamp::from_seconds(line.end_s),
            };
            self.services.insert(found.id.clone(), found.periods.iter().map(of).collect());
        }
        let at = sale.changed_at;
        self.take(sale::invoice(scope, &sale), &found.id);
        self.paid_outside(scope, found, currency, at);
    }

    /// Adds what a credit note says. In the shape of older versions, which tell the amount of no refund, what neither went to the
    /// balance nor elsewhere was refunded.
    pub(super) fn credit_note(&mut self, scope: &str, customer: &str, found: &ObservedCreditNote) {
        let Ok(currency) = Currency::parse(&found.currency) else { return };
        let rest = found.total.saturating_sub(found.pre_payment).saturating_sub(found.out_of_band);
        let facts = CreditNoteFacts {
            id: found.id.clone(),
            void: found.status == "void",
            invoice_void: found.invoice_status.as_deref() == Some("void"),
            currency,
            total: found.total,
            tax: found.tax,
            before_payment: found.pre_payment,
            refunded: found.refunded.unwrap_or(if found.to_balance { 0 } else { rest }),
            outside: found.out_of_band,
            at: Timestamp::from_seconds(found.created_s),
            provider_customer: Some(customer.to_owned()),
        };
        self.take(sale::credit_note(scope, &facts).map(|record| vec![record]), &found.id);
    }

    /// What was paid of an invoice by none of its payments was paid outside of the provider; what stood and is not so any more is
    /// taken back.
    fn paid_outside(&mut self, scope: &str, found: &ObservedInvoice, currency: Currency, at: Timestamp) {
        let Some(rest) = outside_of(found) else { return };
        let amount = Money::new(rest, currency);
        let record = sale::paid_outside(scope, &found.id, found.customer.as_deref(), amount, at);
        self.take(record.map(|record| vec![record]), &found.id);
    }

    /// Adds what somebody has put on a customer's balance by hand.
    pub(super) fn balance_entry(&mut self, scope: &str, customer: &str, found: &ObservedBalanceEntry) {
        let (Ok(currency), true) = (Currency::parse(&found.currency), found.is_by_hand()) else { return };
        let (amount, at) = (Money::new(found.amount, currency), Timestamp::from_seconds(found.created_s));
        let record = sale::customer_balance(scope, &found.id, customer, amount, at);
        self.take(record.map(|record| vec![record]), &found.id);
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

/// What was paid of an invoice outside of the provider, nothing included; none where that is not told.
fn outside_of(found: &ObservedInvoice) -> Option<i64> {
    match InvoiceStatus::from(found.status.as_str()) {
        InvoiceStatus::Draft | InvoiceStatus::Other(_) => None,
        InvoiceStatus::Open | InvoiceStatus::Uncollectible | InvoiceStatus::Void => Some(0),
        InvoiceStatus::Paid => {
            let payments = found.payments.as_ref().filter(|_| found.payments_complete)?;
            // The older shape tells no amount of its one payment.
            if payments.iter().any(|payment| payment.amount_paid.is_none() && payment.status.is_none()) {
                return None;
            }
            let by_payments: i64 = payments.iter().filter_map(|payment| payment.amount_paid).sum();
            Some(found.amount_paid.saturating_sub(by_payments).max(0))
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
