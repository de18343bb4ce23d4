//! The ledger: double entry, per currency, never changed.
//!
//! An [`Entry`] cannot be made unless its postings sum to zero in every currency. A [`Record`] says which entry *should*
//! stand for one object of the provider; whoever stores it compares with the entry that does stand, and corrects by
//! reversal. So a record may be stated any number of times, late or in another order, and the ledger ends the same.
//!
//! What moves the provider's balance comes from the provider's balance transactions ([`balance`]); what is owed comes from
//! its invoices and one-off sales ([`sale`]). Debits are positive, credits negative, as in ledger-like tools.
//!
//! Refuses to know: SQL, the provider's wire format, and what the numbers mean for anybody's taxes.

pub mod balance;
pub mod recognition;
pub mod sale;

use std::collections::BTreeMap;
use std::fmt;

use crate::{Currency, Money, Timestamp};

/// Where an account stands in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What is ours or owed to us; a debit adds to it.
    Asset,
    /// What we owe; a credit adds to it.
    Liability,
    /// What was earned, and what takes it back.
    Income,
    /// What it cost.
    Expense,
    /// What belongs to none of them: exchange, and what is not understood yet.
    Equity,
}

impl Class {
    /// One word in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Liability => "liability",
            Self::Income => "income",
            Self::Expense => "expense",
            Self::Equity => "equity",
        }
    }
}

macro_rules! accounts {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $class:ident, $words:literal;)+) => {
        /// An account of the ledger.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Account { $($(#[doc = $doc])+ $name),+ }

        impl Account {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in the database, the API and exports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Reads a name back.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }

            /// Where it stands in the books.
            #[must_use]
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),+ }
            }

            /// What it holds, in words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words),+ }
            }
        }
    };
}

accounts! {
    /// Available and pending money at the provider.
    ProviderBalance = "provider_balance", Asset, "Money at the provider, available and pending";
    /// Money that the provider holds back.
    Reserves = "reserves", Asset, "Money that the provider holds back";
    /// Money on its way from the provider to the bank.
    Payouts = "payouts", Asset, "Payouts on their way to the bank";
    /// Money that the provider says has arrived at the bank.
    Bank = "bank", Asset, "Payouts that have arrived at the bank";
    /// What customers owe; negative where they paid for what no sale is known of.
    Receivable = "receivable", Asset, "What customers owe for finalized invoices and sales";
    /// Taxes collected for the authorities.
    Tax = "tax", Liability, "Tax collected, to be handed on";
    /// What customers have paid ahead or were credited.
    CustomerCredit = "customer_credit", Liability, "Credit balances of customers";
    /// What belongs to connected accounts and other third parties.
    Payables = "payables", Liability, "What is owed to connected accounts";
    /// Sales without tax.
    Revenue = "revenue", Income, "Sales, without tax";
    /// What was given back of it.
    Refunds = "refunds", Income, "Money given back to customers";
    /// What cardholders' banks took back of it.
    Disputes = "disputes", Income, "Money withdrawn by disputes";
    /// What the provider keeps.
    Fees = "fees", Expense, "What the provider charges";
    /// Invoices that were given up.
    BadDebt = "bad_debt", Expense, "Invoices marked uncollectible";
    /// Where two currencies meet in one entry.
    Exchange = "exchange", Equity, "Exchange between currencies";
    /// What is not understood: each type of it has an alert, and a person to look at it.
    Suspense = "suspense", Equity, "Not understood yet: each type has an alert";
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of an entry: positive debits, negative credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Posting {
    /// The account.
    pub account: Account,
    /// The amount, signed.
    pub amount: Money,
}

/// Why an entry cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The postings of a currency do not sum to zero.
    #[error("the postings in {currency} sum to {sum} and not to zero")]
    Unbalanced {
        /// The currency.
        currency: Currency,
        /// The sum of its postings in minor units.
        sum: i128,
    },
    /// An amount that has no opposite within 64 bits, or a sum beyond them.
    #[error("an amount is too large")]
    TooLarge,
}

/// Postings that sum to zero in every currency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry(Vec<Posting>);

impl Entry {
    /// Takes postings if they balance. Those of nothing are left out, and those of one account and currency become one,
    /// so that two entries that say the same are the same.
    ///
    /// # Errors
    /// [`LedgerError::Unbalanced`], or [`LedgerError::TooLarge`].
    pub fn new(postings: impl IntoIterator<Item = Posting>) -> Result<Self, LedgerError> {
        let mut lines: BTreeMap<(Account, Currency), i128> = BTreeMap::new();
        for Posting { account, amount } in postings {
            *lines.entry((account, amount.currency)).or_default() += i128::from(amount.minor);
        }
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut kept = Vec::with_capacity(lines.len());
        for ((account, currency), sum) in lines {
            *sums.entry(currency).or_default() += sum;
            let minor = i64::try_from(sum).map_err(|_| LedgerError::TooLarge)?;
            minor.checked_neg().ok_or(LedgerError::TooLarge)?;
            if minor != 0 {
                kept.push(Posting { account, amount: Money::new(minor, currency) });
            }
        }
        match sums.into_iter().find(|(_, sum)| *sum != 0) {
            Some((currency, sum)) => Err(LedgerError::Unbalanced { currency, sum }),
            None => Ok(Self(kept)),
        }
    }

    /// The postings, by account and currency.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.0
    }

    /// Whether nothing moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry that takes this one back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        // Every amount of an entry has an opposite: `new` saw to it.
        let turned = |posting: &Posting| Posting {
            amount: Money::new(posting.amount.minor.saturating_neg(), posting.amount.currency),
            ..*posting
        };
        Self(self.0.iter().map(turned).collect())
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// What an entry stands for; with scope and object it is the natural key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $name),+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in the database, the API and exports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Reads a name back.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// A balance transaction of the provider.
    BalanceTransaction = "balance_transaction";
    /// A finalized invoice.
    Invoice = "invoice";
    /// An invoice that was marked uncollectible.
    WriteOff = "write_off";
    /// A one-off sale without an invoice.
    Purchase = "purchase";
    /// A payout that has arrived.
    PayoutArrival = "payout_arrival";
    /// A credit note: what it takes back of a sale beside what its refunds do.
    CreditNote = "credit_note";
    /// What was paid of an invoice outside of the provider.
    PaidOutside = "paid_outside";
    /// Credit or debt that an operator has put on a customer's balance.
    CustomerBalance = "customer_balance";
    /// Money that went back outside of the provider, without a document of its.
    RefundOutside = "refund_outside";
}

/// What an entry stands for. Under one key at most one entry stands at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Provider, mode and account, as [`crate::Scope`] is written.
    pub scope: String,
    /// What kind of fact.
    pub kind: Kind,
    /// The provider's id of the object.
    pub object: String,
}

/// What should stand in the ledger for one object of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it stands for.
    pub key: Key,
    /// When it became so, by the provider's clock.
    pub at: Timestamp,
    /// The provider's own word for it, for people.
    pub detail: String,
    /// The object behind it, for example the charge behind a balance transaction.
    pub source: Option<String>,
    /// The payment it belongs to: what ties a refund to the customer of its charge.
    pub payment: Option<String>,
    /// The provider's customer.
    pub provider_customer: Option<String>,
    /// The entry; none when nothing (or nothing any more) should stand.
    pub entry: Option<Entry>,
}

/// A posting of `minor` units.
const fn line(account: Account, minor: i64, currency: Currency) -> Posting {
    Posting { account, amount: Money::new(minor, currency) }
}

fn negated(minor: i64) -> Result<i64, LedgerError> {
    minor.checked_neg().ok_or(LedgerError::TooLarge)
}

#[cfg(test)]
mod tests;
