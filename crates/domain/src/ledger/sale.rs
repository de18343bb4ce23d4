//! From invoices and one-off sales to entries: what customers owe, and for what.
//!
//! Amounts come only from what a finalized invoice never changes (total, tax, the customer's balance before and after), so it
//! does not matter in which state it is seen first.

use super::{Account, Entry, Key, Kind, LedgerError, Record, line, negated};
use crate::{Currency, Money, Timestamp};

/// Where an invoice stands, in the provider's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvoiceStatus {
    /// Not final: nothing is owed.
    Draft,
    /// Final and not paid.
    Open,
    /// Paid.
    Paid,
    /// Given up.
    Uncollectible,
    /// Taken back.
    Void,
    /// A word that is not known.
    Other(String),
}

impl From<&str> for InvoiceStatus {
    fn from(word: &str) -> Self {
        match word {
            "draft" => Self::Draft,
            "open" => Self::Open,
            "paid" => Self::Paid,
            "uncollectible" => Self::Uncollectible,
            "void" => Self::Void,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// An invoice as the provider has it; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceSale {
    /// The provider's id.
    pub id: String,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Tax and discounts included; negative for a credit.
    pub total: i64,
    /// The tax in it.
    pub tax: i64,
    /// The customer's balance before it: negative is credit.
    pub starting_balance: i64,
    /// The customer's balance after it; none until it is final.
    pub ending_balance: Option<i64>,
    /// What is not paid.
    pub remaining: i64,
    /// When it became final.
    pub finalized_at: Option<Timestamp>,
    /// When it became what it is now.
    pub changed_at: Timestamp,
    /// The provider's customer.
    pub provider_customer: Option<String>,
}

impl InvoiceSale {
    fn record(&self, scope: &str, kind: Kind, at: Timestamp, detail: &str, entry: Option<Entry>) -> Record {
        Record {
            key: Key { scope: scope.to_owned(), kind, object: self.id.clone() },
            at,
            detail: detail.to_owned(),
            source: Some(self.id.clone()),
            payment: None,
            provider_customer: self.provider_customer.clone(),
            entry: entry.filter(|entry| !entry.is_empty()),
        }
    }

    /// What the customer owes by it, and what became of the credit: debits receivable and used credit, credits revenue and tax.
    fn sale(&self, ending: i64) -> Result<Entry, LedgerError> {
        let credit = checked(i128::from(ending) - i128::from(self.starting_balance))?;
        let owed = checked(i128::from(self.total) - i128::from(credit))?;
        let untaxed = checked(i128::from(self.total) - i128::from(self.tax))?;
        Entry::new([
            line(Account::Receivable, owed, self.currency),
            line(Account::CustomerCredit, credit, self.currency),
            line(Account::Revenue, negated(untaxed)?, self.currency),
            line(Account::Tax, negated(self.tax)?, self.currency),
        ])
    }

    fn write_off(&self) -> Result<Entry, LedgerError> {
        Entry::new([
            line(Account::BadDebt, self.remaining, self.currency),
            line(Account::Receivable, negated(self.remaining)?, self.currency),
        ])
    }
}

fn checked(sum: i128) -> Result<i64, LedgerError> {
    i64::try_from(sum).map_err(|_| LedgerError::TooLarge)
}

/// The records of an invoice: that it is owed, and that it was given up. A draft and a status that is not known say nothing.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn invoice(scope: &str, sale: &InvoiceSale) -> Result<Vec<Record>, LedgerError> {
    let (stands, given_up) = match (&sale.status, sale.ending_balance) {
        (InvoiceStatus::Draft | InvoiceStatus::Other(_), _) => return Ok(Vec::new()),
        (InvoiceStatus::Void, _) => (None, None),
        // Final and without the balance after it: not told, and not guessed.
        (InvoiceStatus::Open | InvoiceStatus::Paid | InvoiceStatus::Uncollectible, None) => {
            return Ok(Vec::new());
        }
        (InvoiceStatus::Open | InvoiceStatus::Paid, Some(ending)) => (Some(sale.sale(ending)?), None),
        (InvoiceStatus::Uncollectible, Some(ending)) => (Some(sale.sale(ending)?), Some(sale.write_off()?)),
    };
    let made = match stands {
        Some(_) => sale.finalized_at.unwrap_or(sale.changed_at),
        None => sale.changed_at,
    };
    Ok(vec![
        sale.record(scope, Kind::Invoice, made, "invoice finalized", stands),
        sale.record(scope, Kind::WriteOff, sale.changed_at, "invoice uncollectible", given_up),
    ])
}

/// A credit note as the provider has it; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditNoteFacts {
    /// The provider's id.
    pub id: String,
    /// Whether it was taken back.
    pub void: bool,
    /// Whether its invoice was.
    pub invoice_void: bool,
    /// The currency of all amounts.
    pub currency: Currency,
    /// Tax included.
    pub total: i64,
    /// The tax in it.
    pub tax: i64,
    /// What it lowers of what was still to be paid.
    pub before_payment: i64,
    /// What its refunds give back; their balance transactions say so too.
    pub refunded: i64,
    /// What went back outside of the provider.
    pub outside: i64,
    /// When it was made.
    pub at: Timestamp,
    /// The provider's customer.
    pub provider_customer: Option<String>,
}

/// The record of a credit note: its tax is owed to nobody any more, and what no refund gives back lowers what is owed, goes to the
/// customer's balance or came from the bank. The refunds themselves are the balance transactions'.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn credit_note(scope: &str, note: &CreditNoteFacts) -> Result<Record, LedgerError> {
    let wide = i128::from;
    let lowers_nothing = note.invoice_void && note.before_payment == note.total;
    let given =
        checked(wide(note.total) - wide(note.before_payment) - wide(note.refunded) - wide(note.outside))?;
    let untaxed = checked(wide(note.total) - wide(note.tax) - wide(note.refunded))?;
    let entry = Entry::new([
        line(Account::Refunds, untaxed, note.currency),
        line(Account::Tax, note.tax, note.currency),
        line(Account::Receivable, negated(note.before_payment)?, note.currency),
        line(Account::CustomerCredit, negated(given)?, note.currency),
        line(Account::Bank, negated(note.outside)?, note.currency),
    ])?;
    Ok(Record {
        key: Key { scope: scope.to_owned(), kind: Kind::CreditNote, object: note.id.clone() },
        at: note.at,
        detail: "credit note".to_owned(),
        source: Some(note.id.clone()),
        payment: None,
        provider_customer: note.provider_customer.clone(),
        entry: Some(entry).filter(|entry| !note.void && !lowers_nothing && !entry.is_empty()),
    })
}

/// The record of what was paid of an invoice outside of the provider: from the bank, and owed no more. `amount` of nothing takes
/// back what stood.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn paid_outside(
    scope: &str,
    invoice: &str,
    provider_customer: Option<&str>,
    amount: Money,
    at: Timestamp,
) -> Result<Record, LedgerError> {
    let entry = Entry::new([
        line(Account::Bank, amount.minor, amount.currency),
        line(Account::Receivable, negated(amount.minor)?, amount.currency),
    ])?;
    Ok(Record {
        key: Key { scope: scope.to_owned(), kind: Kind::PaidOutside, object: invoice.to_owned() },
        at,
        detail: "invoice paid outside of the provider".to_owned(),
        source: Some(invoice.to_owned()),
        payment: None,
        provider_customer: provider_customer.map(str::to_owned),
        entry: Some(entry).filter(|entry| !entry.is_empty()),
    })
}

/// The record of what an operator has put on a customer's balance; negative is credit, as the provider has it.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn customer_balance(
    scope: &str,
    id: &str,
    provider_customer: &str,
    amount: Money,
    at: Timestamp,
) -> Result<Record, LedgerError> {
    let entry = Entry::new([
        line(Account::CustomerCredit, amount.minor, amount.currency),
        line(Account::Refunds, negated(amount.minor)?, amount.currency),
    ])?;
    Ok(Record {
        key: Key { scope: scope.to_owned(), kind: Kind::CustomerBalance, object: id.to_owned() },
        at,
        detail: "put on the customer's balance by an operator".to_owned(),
        source: Some(id.to_owned()),
        payment: None,
        provider_customer: Some(provider_customer.to_owned()),
        entry: Some(entry).filter(|entry| !entry.is_empty()),
    })
}

/// The record of money that went back outside of the provider: from the bank, by the command that noted it.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn refund_outside(
    scope: &str,
    command: &str,
    payment: &str,
    amount: Money,
    at: Timestamp,
) -> Result<Record, LedgerError> {
    let entry = Entry::new([
        line(Account::Refunds, amount.minor, amount.currency),
        line(Account::Bank, negated(amount.minor)?, amount.currency),
    ])?;
    Ok(Record {
        key: Key { scope: scope.to_owned(), kind: Kind::RefundOutside, object: command.to_owned() },
        at,
        detail: "refund outside of the provider".to_owned(),
        source: Some(command.to_owned()),
        payment: Some(payment.to_owned()),
        provider_customer: None,
        entry: Some(entry),
    })
}

/// A one-off sale without an invoice; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// The provider's id of the checkout.
    pub id: String,
    /// The currency of both amounts.
    pub currency: Currency,
    /// Tax included.
    pub total: i64,
    /// The tax in it.
    pub tax: i64,
    /// When it was made.
    pub at: Timestamp,
    /// The payment for it.
    pub payment: Option<String>,
    /// The provider's customer.
    pub provider_customer: Option<String>,
}

/// The record of a one-off sale: owed at once, and settled by the balance transaction of its payment.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn purchase(scope: &str, sale: &Sale) -> Result<Record, LedgerError> {
    let untaxed = checked(i128::from(sale.total) - i128::from(sale.tax))?;
    let entry = Entry::new([
        line(Account::Receivable, sale.total, sale.currency),
        line(Account::Revenue, negated(untaxed)?, sale.currency),
        line(Account::Tax, negated(sale.tax)?, sale.currency),
    ])?;
    Ok(Record {
        key: Key { scope: scope.to_owned(), kind: Kind::Purchase, object: sale.id.clone() },
        at: sale.at,
        detail: "one-off sale".to_owned(),
        source: Some(sale.id.clone()),
        payment: sale.payment.clone(),
        provider_customer: sale.provider_customer.clone(),
        entry: Some(entry).filter(|entry| !entry.is_empty()),
    })
}
