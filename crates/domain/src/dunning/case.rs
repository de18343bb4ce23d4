//! A payment that failed, and what became of it.

use serde::{Deserialize, Serialize};

use super::Cause;
use crate::money::Money;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nobody knows yet.
    Open,
    /// It was paid.
    Recovered,
    /// It was voided or written off, and the subscription goes on.
    Forgiven,
    /// The subscription ended, or is kept without being charged, because of it.
    Lost,
    /// The customer cancelled before it was paid.
    Cancelled,
}

impl Outcome {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Open, Self::Recovered, Self::Forgiven, Self::Lost, Self::Cancelled];

    /// The word used in API, database, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Recovered => "recovered",
            Self::Forgiven => "forgiven",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What a payment was recovered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Recovery {
    /// A try by itself: the provider's, or ours.
    Retry {
        /// Which one: the provider's own count, or ours.
        number: i64,
    },
    /// Another payment method.
    CardChange,
    /// The customer, on a page.
    Customer,
    /// Money that did not come through the provider.
    OutOfBand,
}

impl Recovery {
    /// The word used in API, database, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::CardChange => "card_change",
            Self::Customer => "customer",
            Self::OutOfBand => "out_of_band",
        }
    }
}

/// How a try of our own ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TriedState {
    /// Nobody knows yet.
    Pending,
    /// The provider took the money.
    Paid,
    /// The provider refused.
    Refused,
    /// It was not made, because there was no need or no right to any more.
    LeftOut,
}

/// The newest try of our own at an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tried {
    /// The invoice.
    pub invoice: String,
    /// Its number; none for what was asked when nothing was left to try.
    pub number: Option<i64>,
    /// How it ended.
    pub state: TriedState,
}

/// What we do ourselves about the latest invoice of a subscription, as its customer and the app must know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnTries {
    /// The number of the newest try of ours that was refused; 0 before the first.
    pub refused: i64,
    /// When we try next.
    pub next_at: Option<Timestamp>,
}

impl OwnTries {
    /// What the cases say; `None` where there is no try of ours.
    #[must_use]
    pub fn of<'a>(subscription: &Subscription, cases: impl IntoIterator<Item = &'a Case>) -> Option<Self> {
        let facts = &subscription.facts;
        let invoice = facts.latest_invoice.as_ref()?;
        let case = cases.into_iter().find(|c| c.subscription == facts.id && c.invoice == invoice.id)?;
        // A place of the schedule is only a try where the payment method may pass.
        let helps =
            facts.method.is_some() && Cause::of(invoice.attempt.as_ref(), facts.method.as_deref()).may_pass();
        let own = Self {
            refused: case.refused.filter(|number| *number > case.refused_untold).unwrap_or(0),
            next_at: case.next_try_at.filter(|_| helps),
        };
        (own.refused > 0 || own.next_at.is_some()).then_some(own)
    }
}

/// An invoice of a subscription whose payment failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The subscription.
    pub subscription: String,
    /// The invoice.
    pub invoice: String,
    /// What is at risk.
    pub amount: Money,
    /// Since when, by the provider's record.
    pub at_risk_since: Timestamp,
    /// Why the first observed failure happened; a later one does not change it.
    pub cause: Cause,
    /// The bank's reason when it was looked at last.
    pub decline_code: Option<String>,
    /// The provider's count of tries when it was seen failing last.
    pub attempts: i64,
    /// Tries of our own.
    pub tries: i64,
    /// The number of the newest try of ours that was seen refused; `None` in a case of before it was kept.
    #[serde(default)]
    pub refused: Option<i64>,
    /// The newest that was refused before it was kept, and is told no more.
    #[serde(default)]
    pub refused_untold: i64,
    /// Places of the schedule that are over, tried or left out.
    pub passed: usize,
    /// When we try next.
    pub next_try_at: Option<Timestamp>,
    /// The payment method that failed last.
    pub failed_method: Option<String>,
    /// The payment method for which we tried out of turn, and the number of that try.
    pub changed: Option<(String, i64)>,
    /// When the schedule was exhausted, and its consequence asked for.
    pub exhausted_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: Outcome,
    /// When that became so.
    pub ended_at: Option<Timestamp>,
    /// What recovered it.
    pub recovery: Option<Recovery>,
}
