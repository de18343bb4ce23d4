//! Refunds: how much may go back, and whether it has.
//!
//! Pure: what the provider says of the payment and what is promised already are arguments. The provider checks again; what is
//! decided here is that two of our own requests together never ask for more than is left.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::MoneyState;
use crate::money::{Currency, Money};
use crate::projection::RefundFacts;

/// Why money goes back. The words are Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// The customer asked.
    RequestedByCustomer,
    /// Paid twice.
    Duplicate,
    /// Not paid by the owner of the card; the provider blocks the card.
    Fraudulent,
}

impl RefundReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RequestedByCustomer, Self::Duplicate, Self::Fraudulent];

    /// The word used in database, API and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestedByCustomer => "requested_by_customer",
            Self::Duplicate => "duplicate",
            Self::Fraudulent => "fraudulent",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Where a refund stands, in Stripe's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundStatus {
    /// On its way: not at the customer yet, and it may fail.
    Pending,
    /// The customer must say where it goes.
    RequiresAction,
    /// Sent. It may fail all the same, days later.
    Succeeded,
    /// It came back: the money is ours again.
    Failed,
    /// Taken back before it went.
    Canceled,
    /// A word that is not known.
    Other(String),
}

impl From<&str> for RefundStatus {
    fn from(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "requires_action" => Self::RequiresAction,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Whether the customer has, or will have, the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// It went back.
    Yes,
    /// It did not.
    No,
    /// Nobody knows yet.
    Unknown,
}

impl Moved {
    /// The word used in API and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl RefundStatus {
    /// Whether money moved by it.
    #[must_use]
    pub const fn moved(&self) -> Moved {
        match self {
            Self::Succeeded => Moved::Yes,
            Self::Failed | Self::Canceled => Moved::No,
            Self::Pending | Self::RequiresAction | Self::Other(_) => Moved::Unknown,
        }
    }

    /// Whether it came to nothing: what it was for can be given back again.
    #[must_use]
    pub const fn came_to_nothing(&self) -> bool {
        match self {
            Self::Failed | Self::Canceled => true,
            Self::Pending | Self::RequiresAction | Self::Succeeded | Self::Other(_) => false,
        }
    }
}

/// What is known of a payment when somebody wants money back from it; all of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refundable {
    /// What was captured.
    pub paid: Money,
    /// What the provider says went back or is on its way, in minor units.
    pub returned: i64,
    /// What we have asked for and the provider does not show yet, and what was given back outside of it, in minor units.
    pub promised: i64,
    /// What became of the money.
    pub money: MoneyState,
}

impl Refundable {
    /// What is left to give back, in minor units; never negative.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.paid.minor.saturating_sub(self.returned).saturating_sub(self.promised).max(0)
    }
}

/// Why nothing goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundRefusal {
    /// An amount must be positive.
    NotPositive,
    /// The payment is in another currency.
    OtherCurrency(Currency),
    /// All of it went back, or is promised.
    NothingLeft,
    /// More than is left.
    TooMuch(Money),
    /// The cardholder's bank has taken the money, or may.
    Disputed,
    /// Amounts with three decimals end in a zero, by the rule of the card networks.
    NotRound,
}

impl fmt::Display for RefundRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive => f.write_str("the amount must be more than nothing"),
            Self::OtherCurrency(paid) => write!(f, "the payment was made in {}", paid.code()),
            Self::NothingLeft => f.write_str("nothing of the payment is left to give back"),
            Self::TooMuch(left) => write!(f, "only {left} of the payment is left to give back"),
            Self::Disputed => {
                f.write_str("the payment is disputed: its money is with the cardholder's bank, not with us")
            }
            Self::NotRound => f.write_str("an amount with three decimals must end in a zero"),
        }
    }
}

/// How much goes back: `wanted` minor units, or all that is left.
///
/// # Errors
/// [`RefundRefusal`].
pub fn amount(
    of: &Refundable,
    wanted: Option<i64>,
    currency: Option<Currency>,
) -> Result<Money, RefundRefusal> {
    let paid = of.paid.currency;
    if currency.is_some_and(|named| named != paid) {
        return Err(RefundRefusal::OtherCurrency(paid));
    }
    let left = of.left();
    let wanted = wanted.unwrap_or(left);
    match of.money {
        MoneyState::Disputed | MoneyState::DisputeLost => return Err(RefundRefusal::Disputed),
        MoneyState::Kept
        | MoneyState::PartlyRefunded
        | MoneyState::Refunded
        | MoneyState::Warned
        | MoneyState::Inquiry
        | MoneyState::DisputeWon => {}
    }
    if left == 0 {
        return Err(RefundRefusal::NothingLeft);
    }
    if wanted <= 0 {
        return Err(RefundRefusal::NotPositive);
    }
    if wanted > left {
        return Err(RefundRefusal::TooMuch(Money::new(left, paid)));
    }
    if paid.exponent() == 3 && wanted % 10 != 0 && wanted != left {
        return Err(RefundRefusal::NotRound);
    }
    Ok(Money::new(wanted, paid))
}

/// Refunds that failed and for which nothing as large went back since: in the order in which they were made, what goes back
/// later makes up for the oldest one first. One that was taken back on purpose is owed to nobody.
#[must_use]
pub fn owed_again(refunds: &[RefundFacts]) -> Vec<&RefundFacts> {
    let mut all: Vec<(&RefundFacts, RefundStatus)> =
        refunds.iter().map(|refund| (refund, RefundStatus::from(refund.status.as_str()))).collect();
    all.sort_by_key(|(refund, _)| (refund.created_at, refund.id.clone()));
    let mut owed: Vec<(&RefundFacts, i64)> = Vec::new();
    for (refund, status) in all {
        match status {
            RefundStatus::Failed => owed.push((refund, refund.amount.minor)),
            RefundStatus::Canceled => {}
            RefundStatus::Pending
            | RefundStatus::RequiresAction
            | RefundStatus::Succeeded
            | RefundStatus::Other(_) => {
                let mut rest = refund.amount.minor;
                for (_, open) in &mut owed {
                    let part = rest.min(*open);
                    *open -= part;
                    rest -= part;
                }
                owed.retain(|(_, open)| *open > 0);
            }
        }
    }
    owed.into_iter().map(|(refund, _)| refund).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn paid(minor: i64, code: &str) -> Refundable {
        Refundable {
            paid: Money::new(minor, currency(code)),
            returned: 0,
            promised: 0,
            money: MoneyState::Kept,
        }
    }

    #[test]
    fn what_goes_back_is_what_is_left_or_less() {
        let all = paid(1_980, "jpy");
        assert_eq!(amount(&all, None, None), Ok(Money::new(1_980, currency("jpy"))));
        let some = Refundable { returned: 500, promised: 1_000, ..all };
        assert_eq!(amount(&some, None, None), Ok(Money::new(480, currency("jpy"))));
        assert_eq!(amount(&some, Some(480), Some(currency("jpy"))), Ok(Money::new(480, currency("jpy"))));
        let too_much = RefundRefusal::TooMuch(Money::new(480, currency("jpy")));
        assert_eq!(amount(&some, Some(481), None), Err(too_much));
        assert_eq!(amount(&some, Some(0), None), Err(RefundRefusal::NotPositive));
        assert_eq!(amount(&some, Some(-5), None), Err(RefundRefusal::NotPositive));
        assert_eq!(
            amount(&some, Some(5), Some(currency("usd"))),
            Err(RefundRefusal::OtherCurrency(currency("jpy")))
        );
        let none = Refundable { promised: 1_980, ..all };
        assert_eq!(amount(&none, None, None), Err(RefundRefusal::NothingLeft));
    }

    #[test]
    fn money_that_the_bank_holds_is_not_ours_to_give_back() {
        for (money, allowed) in [
            (MoneyState::Kept, true),
            (MoneyState::PartlyRefunded, true),
            (MoneyState::DisputeWon, true),
            (MoneyState::Warned, true),
            (MoneyState::Inquiry, true),
            (MoneyState::Disputed, false),
            (MoneyState::DisputeLost, false),
        ] {
            let of = Refundable { money, ..paid(100, "usd") };
            assert_eq!(amount(&of, Some(10), None).is_ok(), allowed, "{money:?}");
        }
    }

    #[test]
    fn decimals_follow_the_currency() {
        assert!(amount(&paid(12_345, "kwd"), Some(1_230), None).is_ok());
        assert_eq!(amount(&paid(12_345, "kwd"), Some(1_234), None), Err(RefundRefusal::NotRound));
        assert!(amount(&paid(12_345, "kwd"), None, None).is_ok(), "all that is left is what it is");
        assert!(amount(&paid(1_999, "usd"), Some(1), None).is_ok());
        assert!(amount(&paid(1_999, "jpy"), Some(1), None).is_ok());
    }

    #[test]
    fn only_a_refund_that_was_sent_has_moved_money() {
        for (word, moved) in [
            ("succeeded", Moved::Yes),
            ("pending", Moved::Unknown),
            ("requires_action", Moved::Unknown),
            ("failed", Moved::No),
            ("canceled", Moved::No),
            ("moon", Moved::Unknown),
        ] {
            assert_eq!(RefundStatus::from(word).moved(), moved, "{word}");
        }
    }

    #[test]
    fn a_failed_refund_is_owed_until_as_much_went_back_after_it() {
        let refund = |id: &str, status: &str, minor: i64, at: i64| RefundFacts {
            id: id.into(),
            status: status.into(),
            amount: Money::new(minor, currency("jpy")),
            created_at: crate::Timestamp::from_seconds(at),
        };
        let owed = |refunds: &[RefundFacts]| -> Vec<String> {
            owed_again(refunds).into_iter().map(|refund| refund.id.clone()).collect()
        };
        let failed = refund("a", "failed", 500, 5);
        assert_eq!(owed(std::slice::from_ref(&failed)), ["a"]);
        assert_eq!(owed(&[failed.clone(), refund("b", "succeeded", 500, 4)]), ["a"], "it was before");
        assert_eq!(owed(&[failed.clone(), refund("b", "succeeded", 499, 6)]), ["a"], "it was less");
        assert!(owed(&[failed.clone(), refund("b", "pending", 500, 6)]).is_empty());
        assert_eq!(
            owed(&[failed.clone(), refund("b", "failed", 500, 6), refund("c", "succeeded", 500, 7)]),
            ["b"]
        );
        assert_eq!(owed(&[failed, refund("b", "failed", 500, 6)]), ["a", "b"]);
        assert!(owed(&[refund("a", "canceled", 500, 5)]).is_empty());
    }

    proptest! {
        #[test]
        fn never_more_than_was_paid(
            minor in 0_i64..1_000_000, returned in 0_i64..1_000_000, promised in 0_i64..1_000_000,
            wanted in proptest::option::of(-10_i64..2_000_000), code in proptest::sample::select(vec!["jpy", "usd", "kwd"]),
        ) {
            let of = Refundable { returned, promised, ..paid(minor, code) };
            if let Ok(money) = amount(&of, wanted, None) {
                prop_assert!(money.minor > 0);
                prop_assert!(money.minor + returned + promised <= minor);
            }
        }
    }
}
