//! What a caller wants a subscription to be, and what they are told: at first, before anything is asked of the provider,
//! and after each command, once somebody has looked.
//!
//! Refuses to know how the provider is asked, and who waits for whom.

use crate::subscription::SubscriptionFacts;

/// How often at most the provider is asked for one wish of a caller.
const MOST_TRIES: u32 = 2;

/// How a subscription is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// It ends with what is paid for, or at another known time.
    EndsWithPeriod,
    /// It is over.
    EndsNow,
    /// It goes on: neither paused nor about to end.
    Runs,
    /// A line is another one, at once.
    Line {
        /// The provider's id of the line.
        item: &'a str,
        /// The provider's id of its price.
        price: &'a str,
        /// Units.
        quantity: i64,
    },
    /// A line becomes another one when the period ends.
    LineAhead {
        /// The provider's id of its price.
        price: &'a str,
        /// Units.
        quantity: i64,
    },
    /// It stays what it is: nothing is planned.
    NothingAhead,
    /// It is paused.
    Paused,
}

impl Wanted<'_> {
    /// Whether it is so, or past wanting.
    #[must_use]
    pub fn is_so(self, facts: &SubscriptionFacts) -> bool {
        facts.status.is_final()
            || match self {
                Self::EndsWithPeriod => facts.ends_at().is_some(),
                Self::EndsNow => false,
                Self::Runs => facts.ends_at().is_none() && !facts.is_paused(),
                Self::Line { item, price, quantity } => {
                    facts.ahead.pending.is_some()
                        || facts
                            .items
                            .iter()
                            .any(|i| i.id == item && i.price == price && i.quantity == quantity)
                }
                Self::LineAhead { price, quantity } => {
                    let next = facts.ahead.next_phase.iter().flat_map(|next| &next.items);
                    let mut then = next.map(|i| (i.price.as_str(), i.quantity));
                    then.any(|item| item == (price, quantity))
                        || facts.items.iter().any(|i| i.price == price && i.quantity == quantity)
                }
                Self::NothingAhead => facts.ahead.next_phase.is_none(),
                Self::Paused => facts.is_paused(),
            }
    }
}

/// Whether the mirror alone answers a wish to end a subscription, or to take its end back. Only what is final can be answered
/// from it: an end that it shows may have been taken back, by a command that is still under way or at the provider itself, and
/// then the renewal would be charged.
#[must_use]
pub fn is_answered(mirrored: &SubscriptionFacts) -> bool {
    mirrored.status.is_final()
}

/// What follows a command that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterLook {
    /// The caller is told what the mirror has.
    Tell,
    /// The provider is asked once more, under another key.
    AskAgain,
}

/// Decides after `tries` commands of one wish: `clean` says whether the look that follows a command is over, `so` whether it
/// found what was wanted. The provider's answer may have been a replay, of what was undone there since.
#[must_use]
pub fn after_look(tries: u32, clean: bool, so: bool) -> AfterLook {
    if so || !clean || tries >= MOST_TRIES { AfterLook::Tell } else { AfterLook::AskAgain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_did_not_find_is_asked_for_once_more_and_no_oftener() {
        assert_eq!(after_look(1, true, true), AfterLook::Tell);
        assert_eq!(after_look(1, true, false), AfterLook::AskAgain);
        assert_eq!(after_look(1, false, false), AfterLook::Tell, "nobody has looked yet");
        assert_eq!(after_look(2, true, false), AfterLook::Tell);
    }
}
