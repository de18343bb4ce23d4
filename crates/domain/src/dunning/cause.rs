//! Why a payment failed, in few words that can be counted.

use serde::{Deserialize, Serialize};

use crate::subscription::{AttemptFacts, AttemptState};

/// The kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The account behind the card holds too little now.
    InsufficientFunds,
    /// The card has expired.
    ExpiredCard,
    /// The bank wants its customer to confirm the payment.
    Authentication,
    /// The bank will not pay with this card, however often it is asked.
    HardDecline,
    /// There was nothing to charge.
    NoMethod,
    /// Anything else, and what nobody has looked at.
    Other,
}

/// Codes after which the same card is not tried again.
const HARD: [&str; 10] = [
    "incorrect_number",
    "invalid_number",
    "lost_card",
    "pickup_card",
    "stolen_card",
    "restricted_card",
    "revocation_of_authorization",
    "revocation_of_all_authorizations",
    "transaction_not_allowed",
    "highest_risk_level",
];
/// What a bank advises for them.
const NEVER_AGAIN: &str = "do_not_try_again";

impl Cause {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::InsufficientFunds,
        Self::ExpiredCard,
        Self::Authentication,
        Self::HardDecline,
        Self::NoMethod,
        Self::Other,
    ];

    /// The word used in API, database, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::ExpiredCard => "expired_card",
            Self::Authentication => "authentication",
            Self::HardDecline => "hard_decline",
            Self::NoMethod => "no_method",
            Self::Other => "other",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }

    /// The cause of a failed payment; `method` is what the subscription is charged to.
    #[must_use]
    pub fn of(attempt: Option<&AttemptFacts>, method: Option<&str>) -> Self {
        let Some(attempt) = attempt else { return Self::Other };
        let words = [attempt.decline_code.as_deref(), attempt.code.as_deref()];
        let says = |word: &str| words.contains(&Some(word));
        if attempt.state == AttemptState::NeedsCustomer || says("authentication_required") {
            Self::Authentication
        } else if attempt.advice.as_deref() == Some(NEVER_AGAIN) || HARD.iter().any(|word| says(word)) {
            Self::HardDecline
        } else if says("insufficient_funds") {
            Self::InsufficientFunds
        } else if says("expired_card") {
            Self::ExpiredCard
        } else if words == [None, None] && attempt.method.is_none() && method.is_none() {
            Self::NoMethod
        } else {
            Self::Other
        }
    }

    /// Whether trying the same payment method again by ourselves can help.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::InsufficientFunds | Self::Other => true,
            Self::ExpiredCard | Self::Authentication | Self::HardDecline | Self::NoMethod => false,
        }
    }
}
