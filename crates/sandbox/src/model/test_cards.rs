//! Every test card: its number, its names, and what it does. Nothing else in the sandbox decides by a card's number.
//!
//! Follows the published tables of test cards.

use super::card::{Aftermath, Challenge, Checks, Decline, GENERIC, Risk, TestCard, decline};

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

/// A card that works.
const fn good(number: &'static str, tokens: &'static [&'static str], brand: &'static str) -> TestCard {
    TestCard {
        number,
        tokens,
        brand,
        funding: "credit",
        country: "US",
        refuses_attachment: false,
        challenge: Challenge::Never,
        decline: None,
        risk: Risk::Normal,
        checks: Checks { line1: None, postal_code: None, cvc: "pass" },
        aftermath: Aftermath::Nothing,
    }
}

/// A card of another kind of account: `debit` or `prepaid`.
const fn funded(
    funding: &'static str,
    number: &'static str,
    tokens: &'static [&'static str],
    brand: &'static str,
) -> TestCard {
    TestCard { funding, ..good(number, tokens, brand) }
}

/// A Visa card that works, issued in another country.
const fn issued(country: &'static str, number: &'static str, tokens: &'static [&'static str]) -> TestCard {
    TestCard { country, ..good(number, tokens, "visa") }
}

/// A card that is refused, and not attached either.
const fn declined(number: &'static str, tokens: &'static [&'static str], decline: Decline) -> TestCard {
    TestCard { decline: Some(decline), refuses_attachment: true, ..good(number, tokens, "visa") }
}

/// A card that the provider's own rules block.
const fn blocked(number: &'static str, tokens: &'static [&'static str]) -> TestCard {
    TestCard { risk: Risk::Highest, ..declined(number, tokens, BLOCKED) }
}

/// A card that asks for 3-D Secure, and what the issuer says after it.
const fn challenged(
    number: &'static str,
    tokens: &'static [&'static str],
    challenge: Challenge,
    decline: Option<Decline>,
) -> TestCard {
    TestCard { challenge, decline, ..good(number, tokens, "visa") }
}

/// A card whose payments succeed and have consequences.
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

/// A card whose payments succeed although checks fail.
const fn checked(
    number: &'static str,
    tokens: &'static [&'static str],
    line1: Option<&'static str>,
    postal_code: Option<&'static str>,
    cvc: &'static str,
) -> TestCard {
    TestCard { checks: Checks { line1, postal_code, cvc }, ..good(number, tokens, "visa") }
}

/// The card that always works.
pub(super) const PLAIN: TestCard = good("4242424242424242", &["visa", "us"], "visa");

/// Every test card.
pub(super) const CARDS: &[TestCard] = &[
    PLAIN,
    funded("debit", "4000056655665556", &["visa_debit"], "visa"),
    good("5555555555554444", &["mastercard"], "mastercard"),
    good("2223003122003222", &["mastercard_2_series"], "mastercard"),
    funded("debit", "5200828282828210", &["mastercard_debit"], "mastercard"),
    funded("prepaid", "5105105105105100", &["mastercard_prepaid"], "mastercard"),
    good("378282246310005", &["amex"], "amex"),
    good("371449635398431", &["amex_2"], "amex"),
    good("6011111111111117", &["discover"], "discover"),
    good("6011000990139424", &["discover_2"], "discover"),
    funded("debit", "6011981111111113", &["discover_debit"], "discover"),
    good("3056930009020004", &["diners"], "diners"),
    good("36227206271667", &["diners_14digits"], "diners"),
    TestCard { country: "JP", ..good("3566002020360505", &["jcb"], "jcb") },
    TestCard { country: "CN", ..good("6200000000000005", &["unionpay"], "unionpay") },
    TestCard { country: "CN", ..funded("debit", "6200000000000047", &["unionpay_debit"], "unionpay") },
    // By country.
    issued("AR", "4000000320000021", &["ar"]),
    issued("BR", "4000000760000002", &["br"]),
    issued("CA", "4000001240000000", &["ca"]),
    issued("CL", "4000001520000001", &["cl"]),
    issued("CO", "4000001700000003", &["co"]),
    issued("CR", "4000001880000005", &["cr"]),
    issued("EC", "4000002180000000", &["ec"]),
    issued("MX", "4000004840008001", &["mx"]),
    issued("PA", "4000005910000000", &["pa"]),
    issued("PY", "4000006000000066", &["py"]),
    issued("PE", "4000006040000068", &["pe"]),
    issued("UY", "4000008580000003", &["uy"]),
    issued("AE", "4000007840000001", &["ae"]),
    issued("AT", "4000000400000008", &["at"]),
    issued("BE", "4000000560000004", &["be"]),
    issued("BG", "4000001000000000", &["bg"]),
    issued("BY", "4000001120000005", &["by"]),
    issued("HR", "4000001910000009", &["hr"]),
    issued("CY", "4000001960000008", &["cy"]),
    issued("CZ", "4000002030000002", &["cz"]),
    issued("DK", "4000002080000001", &["dk"]),
    issued("EE", "4000002330000009", &["ee"]),
    issued("FI", "4000002460000001", &["fi"]),
    issued("FR", "4000002500000003", &["fr"]),
    issued("DE", "4000002760000016", &["de"]),
    issued("GI", "4000002920000005", &["gi"]),
    issued("GR", "4000003000000030", &["gr"]),
    issued("HU", "4000003480000005", &["hu"]),
    issued("IE", "4000003720000005", &["ie"]),
    issued("IT", "4000003800000008", &["it"]),
    issued("LV", "4000004280000005", &["lv"]),
    issued("LI", "4000004380000004", &["li"]),
    issued("LT", "4000004400000000", &["lt"]),
    issued("LU", "4000004420000006", &["lu"]),
    issued("MT", "4000004700000007", &["mt"]),
    issued("NL", "4000005280000002", &["nl"]),
    issued("NO", "4000005780000007", &["no"]),
    issued("PL", "4000006160000005", &["pl"]),
    issued("PT", "4000006200000007", &["pt"]),
    issued("RO", "4000006420000001", &["ro"]),
    issued("SA", "4000006820000007", &["sa"]),
    issued("SI", "4000007050000006", &["si"]),
    issued("SK", "4000007030000001", &["sk"]),
    issued("ES", "4000007240000007", &["es"]),
    issued("SE", "4000007520000008", &["se"]),
    issued("CH", "4000007560000009", &["ch"]),
    issued("GB", "4000008260000000", &["gb"]),
    TestCard { funding: "debit", ..issued("GB", "4000058260000005", &["gb_debit"]) },
    issued("AU", "4000000360000006", &["au"]),
    issued("CN", "4000001560000002", &["cn"]),
    issued("HK", "4000003440000004", &["hk"]),
    issued("IN", "4000003560000008", &["in"]),
    issued("JP", "4000003920000003", &["jp"]),
    issued("MY", "4000004580000002", &["my"]),
    issued("NZ", "4000005540000008", &["nz"]),
    issued("SG", "4000007020000003", &["sg"]),
    issued("TW", "4000001580000008", &["tw"]),
    issued("TH", "4000007640000003", &["th_credit"]),
    TestCard { funding: "debit", ..issued("TH", "4000057640000008", &["th_debit"]) },
    // Refused.
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
    // Fraud rules and checks.
    blocked("4100000000000019", &["radarBlock", "chargeDeclinedFraudulent"]),
    blocked("4000000000004954", &["riskLevelHighest"]),
    TestCard { risk: Risk::Elevated, ..good("4000000000009235", &["riskLevelElevated"], "visa") },
    checked("4000000000000101", &["cvcCheckFail"], None, None, "fail"),
    checked("4000000000000036", &["avsZipFail"], Some("pass"), Some("fail"), "pass"),
    checked("4000000000000028", &["avsLine1Fail"], Some("fail"), Some("pass"), "pass"),
    checked("4000000000000010", &["avsFail"], Some("fail"), Some("fail"), "pass"),
    checked("4000000000000044", &["avsUnchecked"], Some("unavailable"), Some("unavailable"), "pass"),
    // 3-D Secure.
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
    // Disputes and refunds.
    disputed("4000000000000259", &["createDispute"], "fraudulent", false),
    disputed("4000000000002685", &["createDisputeProductNotReceived"], "product_not_received", false),
    disputed("4000000000001976", &["createDisputeInquiry"], "fraudulent", true),
    followed("4000000000005423", &["createIssuerFraudRecord"], Aftermath::FraudWarning),
    followed("4000000000005126", &["refundFail"], Aftermath::RefundFails),
    followed("4000000000007726", &["pendingRefund"], Aftermath::RefundPends),
    // Money that is available at once.
    followed("4000000000000077", &["bypassPending"], Aftermath::AvailableAtOnce),
    TestCard {
        country: "IE",
        ..followed("4000003720000278", &["bypassPendingInternational"], Aftermath::AvailableAtOnce)
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::card::luhn;

    #[test]
    fn numbers_are_valid_and_neither_they_nor_their_names_stand_twice() {
        let mut seen = BTreeSet::new();
        for card in CARDS {
            assert!(luhn(card.number), "{}", card.number);
            assert!(!card.tokens.is_empty(), "{} has no name to be kept by", card.number);
            for name in std::iter::once(&card.number).chain(card.tokens) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
    }
}
