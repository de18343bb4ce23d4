//! The test cards: number and token of each, and what happens when it is attached, authenticated and charged.
//!
//! Follows the published test card tables. A number is looked up once and never stored.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the issuer says when it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

const fn decline(decline_code: &'static str, message: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message }
}

pub(crate) const GENERIC: Decline = decline("generic_decline", "Your card was declined.");
const INSUFFICIENT: Decline = decline("insufficient_funds", "Your card has insufficient funds.");
const LOST: Decline = decline("lost_card", "Your card was declined.");
const STOLEN: Decline = decline("stolen_card", "Your card was declined.");
const VELOCITY: Decline = decline(
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
);
const BLOCKED: Decline = decline("fraudulent", "Your card was declined.");
const EXPIRED: Decline =
    Decline { code: "expired_card", decline_code: None, message: "Your card has expired." };
const BAD_CVC: Decline =
    Decline { code: "incorrect_cvc", decline_code: None, message: "Your card's security code is incorrect." };
const PROCESSING: Decline = Decline {
    code: "processing_error",
    decline_code: None,
    message: "An error occurred while processing your card. Try again in a little bit.",
};
/// The issuer wants the customer, who is not there.
pub(crate) const AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    message: "Your card was declined. This transaction requires authentication.",
};

/// When a card asks for 3-D Secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    Never,
    /// On every payment, with or without the customer.
    Always,
    /// Until it has been set up for payments without the customer.
    UntilSetUp,
    /// Whenever the customer is there; without them only until it is set up.
    OnSession,
}

/// What happens after a successful charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aftermath {
    Nothing,
    Dispute { reason: &'static str, inquiry: bool },
    RefundFails,
    RefundPends,
}

/// A test card.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestCard {
    number: &'static str,
    /// Names after `pm_card_` and `tok_`; the first is the one that is kept.
    tokens: &'static [&'static str],
    brand: &'static str,
    funding: &'static str,
    pub(crate) refuses_attachment: bool,
    pub(crate) challenge: Challenge,
    pub(crate) decline: Option<Decline>,
    pub(crate) aftermath: Aftermath,
}

const fn good(number: &'static str, tokens: &'static [&'static str], brand: &'static str) -> TestCard {
    TestCard {
        number,
        tokens,
        brand,
        funding: "credit",
        refuses_attachment: false,
        challenge: Challenge::Never,
        decline: None,
        aftermath: Aftermath::Nothing,
    }
}

const fn declined(number: &'static str, tokens: &'static [&'static str], decline: Decline) -> TestCard {
    TestCard { decline: Some(decline), refuses_attachment: true, ..good(number, tokens, "visa") }
}

const fn challenged(
    number: &'static str,
    tokens: &'static [&'static str],
    challenge: Challenge,
    decline: Option<Decline>,
) -> TestCard {
    TestCard { challenge, decline, ..good(number, tokens, "visa") }
}

const fn followed(number: &'static str, tokens: &'static [&'static str], aftermath: Aftermath) -> TestCard {
    TestCard { aftermath, ..good(number, tokens, "visa") }
}

const fn disputed(
    number: &'static str,
    tokens: &'static [&'static str],
    reason: &'static str,
    inquiry: bool,
) -> TestCard {
    followed(number, tokens, Aftermath::Dispute { reason, inquiry })
}

const PLAIN: TestCard = good("4242424242424242", &["visa", "us"], "visa");

const CARDS: &[TestCard] = &[
    PLAIN,
    TestCard { funding: "debit", ..good("4000056655665556", &["visa_debit"], "visa") },
    good("5555555555554444", &["mastercard"], "mastercard"),
    good("378282246310005", &["amex"], "amex"),
    good("6011111111111117", &["discover"], "discover"),
    good("3566002020360505", &["jcb"], "jcb"),
    good("6200000000000005", &["unionpay"], "unionpay"),
    good("3056930009020004", &["diners"], "diners"),
    declined("4000000000000002", &["visa_chargeDeclined", "chargeDeclined"], GENERIC),
    declined(
        "4000000000009995",
        &["visa_chargeDeclinedInsufficientFunds", "chargeDeclinedInsufficientFunds"],
        INSUFFICIENT,
    ),
    declined("4000000000009987", &["visa_chargeDeclinedLostCard", "chargeDeclinedLostCard"], LOST),
    declined("4000000000009979", &["visa_chargeDeclinedStolenCard", "chargeDeclinedStolenCard"], STOLEN),
    declined("4000000000000069", &["chargeDeclinedExpiredCard", "visa_chargeDeclinedExpiredCard"], EXPIRED),
    declined("4000000000000127", &["chargeDeclinedIncorrectCvc", "visa_chargeDeclinedIncorrectCvc"], BAD_CVC),
    declined(
        "4000000000000119",
        &["chargeDeclinedProcessingError", "visa_chargeDeclinedProcessingError"],
        PROCESSING,
    ),
    declined(
        "4000000000006975",
        &["visa_chargeDeclinedVelocityLimitExceeded", "chargeDeclinedVelocityLimitExceeded"],
        VELOCITY,
    ),
    TestCard {
        refuses_attachment: false,
        ..declined("4000000000000341", &["chargeCustomerFail", "visa_chargeCustomerFail"], GENERIC)
    },
    challenged("4000002500003155", &["authenticationRequiredOnSetup"], Challenge::UntilSetUp, None),
    challenged("4000002760003184", &["authenticationRequired"], Challenge::Always, None),
    challenged("4000003800000446", &["authenticationRequiredSetupForOffSession"], Challenge::OnSession, None),
    challenged(
        "4000008260003178",
        &["authenticationRequiredChargeDeclinedInsufficientFunds"],
        Challenge::Always,
        Some(INSUFFICIENT),
    ),
    challenged("4000000000003220", &["threeDSecure2Required"], Challenge::Always, None),
    good("4000000000003055", &["threeDSecureOptional"], "visa"),
    challenged("4000008400001629", &["threeDSecureRequiredChargeDeclined"], Challenge::Always, Some(GENERIC)),
    challenged(
        "4000008400001280",
        &["threeDSecureRequiredProcessingError"],
        Challenge::Always,
        Some(PROCESSING),
    ),
    disputed("4000000000000259", &["createDispute"], "fraudulent", false),
    disputed("4000000000002685", &["createDisputeProductNotReceived"], "product_not_received", false),
    disputed("4000000000001976", &["createDisputeInquiry"], "fraudulent", true),
    good("4000000000005423", &["createIssuerFraudRecord"], "visa"),
    declined("4100000000000019", &["radarBlock"], BLOCKED),
    declined("4000000000004954", &["riskLevelHighest"], BLOCKED),
    good("4000000000009235", &["riskLevelElevated"], "visa"),
    good("4000000000000101", &["cvcCheckFail"], "visa"),
    good("4000000000000036", &["avsZipFail"], "visa"),
    good("4000000000000010", &["avsFail"], "visa"),
    followed("4000000000005126", &["refundFail"], Aftermath::RefundFails),
    followed("4000000000007726", &["pendingRefund"], Aftermath::RefundPends),
    good("4000000000000077", &["bypassPending"], "visa"),
    good("4000003720000278", &["bypassPendingInternational"], "visa"),
];

impl TestCard {
    /// The card that always works.
    pub(crate) const fn plain() -> &'static Self {
        &PLAIN
    }

    /// By its token: `pm_card_visa`, `tok_visa` or the bare name.
    pub(crate) fn by_token(token: &str) -> Option<&'static Self> {
        let name = token.strip_prefix("pm_card_").or_else(|| token.strip_prefix("tok_")).unwrap_or(token);
        CARDS.iter().find(|card| card.tokens.contains(&name))
    }

    /// By its number, spaces and dashes ignored.
    pub(crate) fn by_number(number: &str) -> Option<&'static Self> {
        let digits = digits(number);
        CARDS.iter().find(|card| card.number == digits)
    }

    /// The token that is kept.
    pub(crate) fn token(&self) -> &'static str {
        self.tokens.first().copied().unwrap_or("visa")
    }

    /// What is printed on it.
    pub(crate) fn face(&self, exp_month: i64, exp_year: i64) -> CardFace {
        CardFace { exp_month, exp_year }
    }

    /// The brand, such as `visa`.
    pub(crate) fn brand(&self) -> &'static str {
        self.brand
    }

    /// The last four digits.
    pub(crate) fn last4(&self) -> &'static str {
        self.number.get(self.number.len().saturating_sub(4)..).unwrap_or_default()
    }

    fn fingerprint(&self) -> String {
        format!("Xt5{:0>13}", self.last4())
    }

    /// The `payment_method_details.card` of a charge.
    pub(crate) fn charge_details(&self, face: &CardFace, authenticated: bool) -> Value {
        let three_d_secure = if authenticated {
            json!({ "authentication_flow": "challenge", "electronic_commerce_indicator": "05", "exemption_indicator": null,
                    "result": "authenticated", "result_reason": null, "transaction_id": null, "version": "2.2.0" })
        } else {
            Value::Null
        };
        json!({
            "amount_authorized": null, "authorization_code": null, "brand": self.brand,
            "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
            "country": "US", "electronic_commerce_indicator": null, "exp_month": face.exp_month, "exp_year": face.exp_year,
            "fingerprint": self.fingerprint(), "funding": self.funding, "installments": null, "last4": self.last4(), "mandate": null,
            "network": self.brand, "network_transaction_id": null, "regulated_status": "unregulated",
            "three_d_secure": three_d_secure, "transaction_link_id": null, "wallet": null,
        })
    }
}

/// Only the digits of a card number as typed.
pub(crate) fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// Whether the digits pass the Luhn check.
pub(crate) fn luhn(number: &str) -> bool {
    let digits = digits(number);
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|char| char.to_digit(10))
        .enumerate()
        .map(|(index, digit)| match index % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    digits.len() >= 12 && sum.is_multiple_of(10)
}

/// What is printed on a card and not fixed by its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CardFace {
    pub(crate) exp_month: i64,
    pub(crate) exp_year: i64,
}

impl CardFace {
    /// The `card` of a payment method.
    pub(crate) fn render(&self, card: &TestCard) -> Value {
        json!({
            "brand": card.brand,
            "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
            "country": "US", "display_brand": card.brand, "exp_month": self.exp_month, "exp_year": self.exp_year,
            "fingerprint": card.fingerprint(), "funding": card.funding, "generated_from": null, "last4": card.last4(),
            "networks": { "available": [card.brand], "preferred": null }, "regulated_status": "unregulated",
            "three_d_secure_usage": { "supported": true }, "wallet": null,
        })
    }
}
