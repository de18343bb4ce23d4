//! Which sentence goes with which problem, code, card or status.

use super::card::{CardProblem, TestCardOutcome};
use super::text::Text;
use super::views::{InvoiceStatus, SubscriptionStatus};

/// Words for a form field's problem.
pub(super) fn card_problem(problem: CardProblem) -> Text {
    match problem {
        CardProblem::Number => Text::ProblemNumber,
        CardProblem::Expiry => Text::ProblemExpiry,
        CardProblem::Expired => Text::ProblemExpired,
        CardProblem::Cvc => Text::ProblemCvc,
        CardProblem::Name => Text::ProblemName,
    }
}

/// Words for a decline or error code.
///
/// `lost_card`, `stolen_card`, `fraudulent` and the like get the general sentence on purpose: the person at the form
/// may not be the owner. Codes nobody knows yet get it too.
pub(super) fn decline(code: &str) -> Text {
    match code {
        "insufficient_funds" => Text::DeclineFunds,
        "expired_card" => Text::DeclineExpired,
        "incorrect_cvc" | "invalid_cvc" => Text::DeclineCvc,
        "incorrect_number" | "invalid_number" | "invalid_account" => Text::DeclineNumber,
        "processing_error" | "issuer_not_available" | "reenter_transaction" | "try_again_later" => {
            Text::DeclineProcessing
        }
        "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => Text::DeclineVelocity,
        "authentication_required" => Text::DeclineAuthentication,
        "card_not_supported" | "currency_not_supported" | "not_permitted" | "transaction_not_allowed" => {
            Text::DeclineUnsupported
        }
        _ => Text::DeclineGeneral,
    }
}

/// Words for a test card.
pub(super) fn test_card(outcome: TestCardOutcome) -> Text {
    match outcome {
        TestCardOutcome::Pays => Text::CardPays,
        TestCardOutcome::Declined => Text::CardDeclined,
        TestCardOutcome::InsufficientFunds => Text::CardInsufficientFunds,
        TestCardOutcome::Authenticate => Text::CardAuthenticate,
        TestCardOutcome::AuthenticateAlways => Text::CardAuthenticateAlways,
        TestCardOutcome::AuthenticateOnce => Text::CardAuthenticateOnce,
        TestCardOutcome::DeclinesLater => Text::CardDeclinesLater,
        TestCardOutcome::Disputed => Text::CardDisputed,
    }
}

/// Words for a subscription's status.
pub(super) fn subscription_status(status: SubscriptionStatus) -> Text {
    match status {
        SubscriptionStatus::Incomplete => Text::StatusIncomplete,
        SubscriptionStatus::IncompleteExpired => Text::StatusIncompleteExpired,
        SubscriptionStatus::Trialing => Text::StatusTrialing,
        SubscriptionStatus::Active => Text::StatusActive,
        SubscriptionStatus::PastDue => Text::StatusPastDue,
        SubscriptionStatus::Canceled => Text::StatusCanceled,
        SubscriptionStatus::Unpaid => Text::StatusUnpaid,
        SubscriptionStatus::Paused => Text::StatusPaused,
    }
}

/// Words for an invoice's status.
pub(super) fn invoice_status(status: InvoiceStatus) -> Text {
    match status {
        InvoiceStatus::Draft => Text::InvoiceDraft,
        InvoiceStatus::Open => Text::InvoiceOpen,
        InvoiceStatus::Paid => Text::InvoicePaid,
        InvoiceStatus::Void => Text::InvoiceVoid,
        InvoiceStatus::Uncollectible => Text::InvoiceUncollectible,
    }
}

/// Words for a reason to cancel.
pub(super) fn cancel_reason(word: &str) -> Text {
    match word {
        "too_expensive" => Text::ReasonExpensive,
        "missing_features" => Text::ReasonFeatures,
        "switched_service" => Text::ReasonSwitched,
        "unused" => Text::ReasonUnused,
        "customer_service" => Text::ReasonService,
        "too_complex" => Text::ReasonComplex,
        "low_quality" => Text::ReasonQuality,
        _ => Text::ReasonOther,
    }
}
