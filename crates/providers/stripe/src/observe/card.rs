//! Cards, as far as a customer may be told which one pays: network, last four digits, expiry, the issuer's country.

use super::read::Node;

/// A card that is a default payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedCard {
    /// `pm_...`.
    pub id: String,
    /// Stripe's word for the network, for example `visa`.
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// From 1.
    pub exp_month: i64,
    /// Four digits.
    pub exp_year: i64,
    /// Two letters.
    pub country: Option<String>,
}

impl ObservedCard {
    /// The card in an expandable field; none when it was not expanded, is no card, or is one that cannot be read: nothing
    /// but a message depends on it.
    pub(super) fn expanded(node: &Node<'_>, field: &str) -> Option<Self> {
        let found = node.expandable(field).ok().flatten()?;
        let card = found.expanded?.child("card").ok().flatten()?;
        let word = |field: &str| card.opt_text(field).ok().flatten();
        Some(Self {
            id: found.id,
            brand: word("brand"),
            last4: word("last4"),
            exp_month: card.int("exp_month").ok()?,
            exp_year: card.int("exp_year").ok()?,
            country: word("country"),
        })
    }
}
