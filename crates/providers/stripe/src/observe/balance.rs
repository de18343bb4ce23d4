//! The account's money: balance, balance transactions, payouts.

use serde_json::Value;

use super::read::{Node, ShapeError};

/// A balance transaction as Stripe has it; it never changes, but for its becoming available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBalanceTransaction {
    /// `txn_...`.
    pub id: String,
    /// Stripe's word for its type, unmapped.
    pub kind: String,
    /// Stripe's word for reports, unmapped.
    pub reporting_category: Option<String>,
    /// Which of the account's balances it moved; none in older versions, which have one.
    pub balance_type: Option<String>,
    /// Minor units, before the fee; negative takes away.
    pub amount: i64,
    /// Minor units; negative gives back.
    pub fee: i64,
    /// Minor units that the balance moved by.
    pub net: i64,
    /// Lowercase ISO 4217: the currency of the balance, and not that of what was bought.
    pub currency: String,
    /// When it was made.
    pub created_s: i64,
    /// The object behind it.
    pub source: Option<BalanceSource>,
}

/// The object behind a balance transaction, as far as it was expanded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BalanceSource {
    /// `ch_...`, `re_...`, `dp_...`, `po_...` and others.
    pub id: String,
    /// `cus_...`; refunds and disputes name none.
    pub customer: Option<String>,
    /// `pi_...`.
    pub payment_intent: Option<String>,
    /// Minor units of its own currency; of a charge what was captured.
    pub amount: Option<i64>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
}

impl ObservedBalanceTransaction {
    /// Reads a balance transaction, best with `source` expanded.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("balance_transaction", value)?;
        let source = match node.expandable("source")? {
            None => None,
            Some(found) => Some(match &found.expanded {
                None => BalanceSource { id: found.id, ..BalanceSource::default() },
                Some(object) => BalanceSource {
                    customer: object.opt_id("customer")?,
                    payment_intent: object.opt_id("payment_intent")?,
                    amount: object.opt_int("amount_captured")?.or(object.opt_int("amount")?),
                    currency: object.opt_text("currency")?,
                    id: found.id,
                },
            }),
        };
        Ok(Self {
            id: node.text("id")?,
            kind: node.text("type")?,
            reporting_category: node.opt_text("reporting_category")?,
            balance_type: node.opt_text("balance_type")?,
            amount: node.int("amount")?,
            fee: node.int("fee")?,
            net: node.int("net")?,
            currency: node.text("currency")?,
            created_s: node.int("created")?,
            source,
        })
    }
}

/// An amount in minor units and its lowercase ISO 4217 currency.
pub type BalanceAmount = (String, i64);

/// What the account has, per currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBalance {
    /// Live or test.
    pub livemode: bool,
    /// What can be paid out.
    pub available: Vec<BalanceAmount>,
    /// What will become available.
    pub pending: Vec<BalanceAmount>,
}

impl ObservedBalance {
    /// Reads the balance.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("balance", value)?;
        let part = |field: &str| -> Result<Vec<BalanceAmount>, ShapeError> {
            let amounts =
                node.array(field)?.ok_or_else(|| node.error(field, super::ShapeProblem::Missing))?;
            amounts.iter().map(|amount| Ok((amount.text("currency")?, amount.int("amount")?))).collect()
        };
        Ok(Self {
            livemode: node.flag("livemode")?,
            available: part("available")?,
            pending: part("pending")?,
        })
    }
}

/// A payout as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPayout {
    /// `po_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// Minor units; negative takes from the bank.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// When it arrives at the bank.
    pub arrival_date_s: i64,
    /// When it was created.
    pub created_s: i64,
}

impl ObservedPayout {
    /// Reads a payout.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("payout", value)?;
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            amount: node.int("amount")?,
            currency: node.text("currency")?,
            arrival_date_s: node.int("arrival_date")?,
            created_s: node.int("created")?,
        })
    }

    /// Whether it is at the bank, as far as Stripe knows; a bank may return it days later.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.status == "paid"
    }
}
