//! The kinds of notices that customers get by mail, and which of them a customer may decline.

use quittance_domain::notices::NoticeKind;
use serde::{Deserialize, Serialize};

use crate::format::Language;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A payment failed.
    PaymentFailed,
    /// A payment waits for the customer's confirmation.
    PaymentActionRequired,
    /// A payment that had failed went through.
    PaymentRecovered,
    /// Access ends soon because a payment is missing.
    GraceEnding,
    /// Access has ended.
    AccessEnded,
    /// A trial turns into a paid subscription soon.
    TrialEnding,
    /// A subscription renews soon.
    RenewalAhead,
    /// The price changes.
    PriceChanging,
    /// The terms change.
    TermsChanging,
    /// The plan was changed.
    PlanChanged,
    /// The subscription was cancelled.
    SubscriptionCancelled,
    /// A payment was taken.
    Receipt,
    /// Money was given back.
    RefundMade,
    /// The card on file expires soon.
    CardExpiring,
}

impl Kind {
    /// All of them, in the order in which a subscription meets them.
    pub const ALL: [Self; 14] = [
        Self::TrialEnding,
        Self::RenewalAhead,
        Self::Receipt,
        Self::PaymentFailed,
        Self::PaymentActionRequired,
        Self::PaymentRecovered,
        Self::GraceEnding,
        Self::AccessEnded,
        Self::CardExpiring,
        Self::PriceChanging,
        Self::TermsChanging,
        Self::PlanChanged,
        Self::SubscriptionCancelled,
        Self::RefundMade,
    ];

    /// The word used in database, API, configuration and file names.
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
            Self::CardExpiring => "card_expiring",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What it is called where customers choose their mails.
    #[must_use]
    pub const fn title(self, language: Language) -> &'static str {
        let (en, ja) = match self {
            Self::PaymentFailed => ("A payment failed", "お支払いの失敗"),
            Self::PaymentActionRequired => ("A payment needs you", "お支払いの本人確認"),
            Self::PaymentRecovered => ("A failed payment went through", "失敗したお支払いの完了"),
            Self::GraceEnding => ("Access ends soon without a payment", "未払いによる利用期限の接近"),
            Self::AccessEnded => ("Access has ended", "ご利用の終了"),
            Self::TrialEnding => ("A trial ends soon", "無料期間の終了"),
            Self::RenewalAhead => ("A renewal is ahead", "契約の更新"),
            Self::PriceChanging => ("The price changes", "料金の改定"),
            Self::TermsChanging => ("The terms change", "利用規約の改定"),
            Self::PlanChanged => ("The plan was changed", "プランの変更"),
            Self::SubscriptionCancelled => ("The plan was cancelled", "解約"),
            Self::Receipt => ("Receipts", "お支払いの完了"),
            Self::RefundMade => ("A refund", "ご返金"),
            Self::CardExpiring => ("The card expires soon", "カードの有効期限"),
        };
        language.choose(en, ja)
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
            | Self::RefundMade => false,
        }
    }
}

impl From<NoticeKind> for Kind {
    fn from(kind: NoticeKind) -> Self {
        match kind {
            NoticeKind::PaymentFailed => Self::PaymentFailed,
            NoticeKind::PaymentActionRequired => Self::PaymentActionRequired,
            NoticeKind::PaymentRecovered => Self::PaymentRecovered,
            NoticeKind::GraceEnding => Self::GraceEnding,
            NoticeKind::AccessEnded => Self::AccessEnded,
            NoticeKind::TrialEnding => Self::TrialEnding,
            NoticeKind::RenewalAhead => Self::RenewalAhead,
            NoticeKind::PriceChanging => Self::PriceChanging,
            NoticeKind::TermsChanging => Self::TermsChanging,
            NoticeKind::PlanChanged => Self::PlanChanged,
            NoticeKind::SubscriptionCancelled => Self::SubscriptionCancelled,
            NoticeKind::Receipt => Self::Receipt,
            NoticeKind::RefundMade => Self::RefundMade,
            NoticeKind::CardExpiring => Self::CardExpiring,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_what_rules_demand_cannot_be_declined() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for kind in NoticeKind::ALL {
            assert_eq!(Kind::from(kind).as_str(), kind.as_str());
        }
        assert_eq!(Kind::parse("newsletter"), None);
        let optional: Vec<&str> =
            Kind::ALL.into_iter().filter(|kind| kind.optional()).map(Kind::as_str).collect();
        assert_eq!(optional, ["payment_recovered", "grace_ending", "card_expiring"]);
    }
}
