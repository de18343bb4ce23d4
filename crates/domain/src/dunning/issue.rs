//! What is wrong with a subscription's payment now, as its customer and the app must know it.

use serde::{Deserialize, Serialize};

use super::Cause;
use crate::money::Money;
use crate::subscription::{AttemptState, InvoiceFacts, Subscription, SubscriptionStatus};
use crate::time::Timestamp;

/// What the customer can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    /// The bank wants the customer to confirm the payment.
    ActionRequired,
    /// The payment was refused: pay by another card, or again.
    Declined,
    /// There is nothing to charge.
    NoMethod,
    /// A payment is under way, and takes its time.
    Processing,
    /// It was sent to be paid, and is due.
    Due,
}

impl IssueKind {
    /// The word used in API and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActionRequired => "action_required",
            Self::Declined => "declined",
            Self::NoMethod => "no_method",
            Self::Processing => "processing",
            Self::Due => "due",
        }
    }
}

/// An open invoice that keeps a subscription from being in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentIssue {
    /// What can be done.
    pub kind: IssueKind,
    /// The invoice.
    pub invoice: String,
    /// What is owed.
    pub amount: Money,
    /// The provider's count of tries.
    pub attempts: i64,
    /// When it is tried next by itself: by the provider, or by us.
    pub next_attempt_at: Option<Timestamp>,
    /// The bank's reason, in the field's standard words.
    pub decline_code: Option<String>,
    /// The kind of failure.
    pub cause: Cause,
}

impl PaymentIssue {
    /// The issue of a subscription, if it has one. What is refused at its first payment has none: the buyer sits in
    /// front of it.
    #[must_use]
    pub fn of(subscription: &Subscription) -> Option<Self> {
        let facts = &subscription.facts;
        let failing = match facts.status {
            SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => !subscription.missing,
            SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired
            | SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::Canceled
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Unknown(_) => false,
        };
        // What an unpaid subscription owes for a period stays a draft until somebody has it paid.
        let owed = |invoice: &&InvoiceFacts| match invoice.status.as_str() {
            "open" => failing,
            "draft" => failing && facts.status == SubscriptionStatus::Unpaid,
            _ => false,
        };
        let invoice = facts.latest_invoice.as_ref().filter(owed)?;
        let attempt = invoice.attempt.as_ref();
        let cause = Cause::of(attempt, facts.method.as_deref());
        let kind = match (attempt.map(|attempt| attempt.state), cause) {
            (Some(AttemptState::Processing), _) => IssueKind::Processing,
            (_, Cause::Authentication) => IssueKind::ActionRequired,
            (_, Cause::NoMethod) => IssueKind::NoMethod,
            (_, Cause::InsufficientFunds | Cause::ExpiredCard | Cause::HardDecline) => IssueKind::Declined,
            (_, Cause::Other) if invoice.attempt_count == 0 => IssueKind::Due,
            (_, Cause::Other) => IssueKind::Declined,
        };
        Some(Self {
            kind,
            invoice: invoice.id.clone(),
            amount: invoice.remaining,
            attempts: invoice.attempt_count,
            next_attempt_at: subscription.next_attempt_at(),
            decline_code: attempt.and_then(|a| a.decline_code.clone().or_else(|| a.code.clone())),
            cause,
        })
    }
}
