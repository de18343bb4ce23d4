//! Notices: what a customer is told, when, and by which rule.
//!
//! Pure and total, like everything here: [`decide`] looks at what a projection found and at what was told before, and
//! says what is due now and when to look again. A notice has a natural key (kind, object, occurrence), so that one
//! fact is one message however often it is observed; [`truth::still_holds`] says just before the sending whether it is still
//! so. Refuses to know how a message is worded or sent.

mod decide;
pub mod moment;
pub mod rules;
pub mod truth;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::PlanKey;
use crate::time::Timestamp;

pub(crate) use decide::is_owed;
pub use decide::{Beside, Held, OwnEnd, Told, Wanted, decide, put_charged};
pub use moment::{AppliedRule, Fit};
pub use rules::RuleTable;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A renewal could not be charged.
    PaymentFailed,
    /// A renewal waits for the customer: the bank asks who it is.
    PaymentActionRequired,
    /// A renewal that had failed was paid.
    PaymentRecovered,
    /// Access is about to end because a payment is missing.
    GraceEnding,
    /// Access has ended.
    AccessEnded,
    /// A trial is about to turn into a paid subscription.
    TrialEnding,
    /// A renewal is about to be charged.
    RenewalAhead,
    /// The price changes; announced by an operator.
    PriceChanging,
    /// The terms change; announced by an operator.
    TermsChanging,
    /// The subscription's plan, interval or quantity changed.
    PlanChanged,
    /// The subscription was cancelled, at once or for later.
    SubscriptionCancelled,
    /// Something was paid.
    Receipt,
    /// Money goes back.
    RefundMade,
    /// Money that was said to go back did not arrive.
    RefundFailed,
    /// The card that pays is about to expire.
    CardExpiring,
    /// Something that is bought once is paid by a method that settles days later.
    PurchaseProcessing,
    /// The money for something that is bought once did not come.
    PurchaseFailed,
}

impl NoticeKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 17] = [
        Self::PaymentFailed,
        Self::PaymentActionRequired,
        Self::PaymentRecovered,
        Self::GraceEnding,
        Self::AccessEnded,
        Self::TrialEnding,
        Self::RenewalAhead,
        Self::PriceChanging,
        Self::TermsChanging,
        Self::PlanChanged,
        Self::SubscriptionCancelled,
        Self::Receipt,
        Self::RefundMade,
        Self::RefundFailed,
        Self::CardExpiring,
        Self::PurchaseProcessing,
        Self::PurchaseFailed,
    ];

    /// The word used in database, API, configuration and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentFailed => "payment_failed",
            Self::PaymentActionRequired => "payment_action_required",
            Self::PaymentRecovered => "payment_recovered",
            Self::GraceEnding => "grace_ending",
            Self::AccessEnded => "access_ended",
            Self::TrialEnding => "trial_ending",
            Self::RenewalAhead => "renewal_ahead",
            Self::PriceChanging => "price_changing",
            Self::TermsChanging => "terms_changing",
            Self::PlanChanged => "plan_changed",
            Self::SubscriptionCancelled => "subscription_cancelled",
            Self::Receipt => "receipt",
            Self::RefundMade => "refund_made",
            Self::RefundFailed => "refund_failed",
            Self::CardExpiring => "card_expiring",
            Self::PurchaseProcessing => "purchase_processing",
            Self::PurchaseFailed => "purchase_failed",
        }
    }

    /// The kind of a word; `None` for a word that is none.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it is told before what it is about: only then a rule can have a window.
    #[must_use]
    pub const fn is_ahead(self) -> bool {
        match self {
            Self::TrialEnding | Self::RenewalAhead | Self::PriceChanging | Self::TermsChanging => true,
            Self::PaymentFailed
            | Self::PaymentActionRequired
            | Self::PaymentRecovered
            | Self::GraceEnding
            | Self::AccessEnded
            | Self::PlanChanged
            | Self::SubscriptionCancelled
            | Self::Receipt
            | Self::RefundMade
            | Self::RefundFailed
            | Self::CardExpiring
            | Self::PurchaseProcessing
            | Self::PurchaseFailed => false,
        }
    }

    /// Whether a customer may decline it. What card schemes or the law want customers to be told, what confirms a change
    /// of the contract or of money, and what asks for a payment cannot be declined.
    #[must_use]
    pub const fn optional(self) -> bool {
        match self {
            Self::PaymentRecovered | Self::GraceEnding | Self::CardExpiring => true,
            Self::PaymentFailed
            | Self::PaymentActionRequired
            | Self::AccessEnded
            | Self::TrialEnding
            | Self::RenewalAhead
            | Self::PriceChanging
            | Self::TermsChanging
            | Self::PlanChanged
            | Self::SubscriptionCancelled
            | Self::Receipt
            | Self::RefundMade
            | Self::RefundFailed
            | Self::PurchaseProcessing
            | Self::PurchaseFailed => false,
        }
    }
}

impl std::fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A notice that is due: to be written down once for its natural key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The object that it is about: an invoice, a subscription, a refund, a card.
    pub object: String,
    /// Which occurrence: with kind and object the natural key.
    pub occurrence: String,
    /// The moment that it is about, where that lies ahead: the end of a trial, a renewal.
    pub about: Option<Timestamp>,
    /// What the text needs that is known already; amounts that depend on the provider are asked for when it is sent.
    pub data: Value,
    /// The rules that ask for it, and how this moment keeps them.
    pub rules: Vec<AppliedRule>,
}

/// The operator's choices about when customers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoticePolicy {
    /// News older than this, in days, is told only if it came up since the last look: the first sight of an old account tells
    /// no old news.
    pub news_days: u32,
    /// Days before the end of a grace at which it is told; half the grace where that is shorter.
    pub grace_ending_days: u32,
    /// Days before the end of a trial, where the rules leave a choice.
    pub trial_ending_days: u32,
    /// Days before a renewal, where the rules leave a choice.
    pub renewal_ahead_days: u32,
    /// Renewals of periods of at least so many days are told ahead even where no rule asks for it; 0 tells every one.
    pub renewal_ahead_from_days: u32,
    /// Days before a change of price or terms, where the rules leave a choice.
    pub change_ahead_days: u32,
    /// Days before the end of a card's last month.
    pub card_expiring_days: u32,
    /// How long before a window closes a notice is due at the latest, in minutes: room for a delivery that needs a second try.
    pub lead_minutes: u32,
}

impl Default for NoticePolicy {
    fn default() -> Self {
        Self {
            news_days: 3,
            grace_ending_days: 2,
            trial_ending_days: 7,
            renewal_ahead_days: 30,
            renewal_ahead_from_days: 180,
            change_ahead_days: 30,
            card_expiring_days: 30,
            lead_minutes: 60,
        }
    }
}

/// A change that an operator announced, to be told to everybody whom it meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Its id, part of each notice's natural key.
    pub id: String,
    /// [`NoticeKind::PriceChanging`] or [`NoticeKind::TermsChanging`].
    pub kind: NoticeKind,
    /// Only subscriptions with this plan; all of them when `None`.
    pub plan: Option<PlanKey>,
    /// When the change takes effect.
    pub effective_at: Timestamp,
    /// When it was announced.
    pub created_at: Timestamp,
    /// The lookup key of the price that will be charged, for a change of price.
    pub new_price: Option<String>,
    /// Where the new terms can be read.
    pub url: Option<String>,
}

#[cfg(test)]
mod tests;
