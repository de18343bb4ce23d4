//! What a test card does when it is attached, authenticated and charged, and how it looks on the wire.
//!
//! The cards themselves stand in [`super::test_cards`]. A number is looked up once and never stored.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::test_cards::{CARDS, PLAIN};

/// What the issuer says when it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

pub(crate) const fn decline(decline_code: &'static str, message: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message }
}

pub(crate) const GENERIC: Decline = decline("generic_decline", "Your card was declined.");
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
    /// Whenever the customer is there; it counts as set up for payments without them.
    OnSession,
}

/// What follows a payment that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aftermath {
    Nothing,
    Dispute {
        reason: &'static str,
        inquiry: bool,
    },
    /// The issuer suspects fraud, before anybody disputes anything.
    FraudWarning,
    /// A refund looks fine and fails later.
    RefundFails,
    /// A refund waits and succeeds later.
    RefundPends,
    /// The money is available at once.
    AvailableAtOnce,
}

/// What the provider's own fraud rules think of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Risk {
    Normal,
    Elevated,
    /// Blocked before the issuer is asked.
    Highest,
}

/// What the issuer says about the address and the security code: `pass`, `fail` or `unavailable`; nothing where nothing
/// was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    pub(crate) line1: Option<&'static str>,
    pub(crate) postal_code: Option<&'static str>,
    pub(crate) cvc: &'static str,
}

impl Checks {
    fn render(self) -> Value {
        json!({ "address_line1_check": self.line1, "address_postal_code_check": self.postal_code, "cvc_check": self.cvc })
    }
}

/// A test card.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestCard {
    pub(crate) number: &'static str,
    /// Names after `pm_card_` and `tok_`; the first is the one that is kept.
    pub(crate) tokens: &'static [&'static str],
    pub(crate) brand: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) country: &'static str,
    pub(crate) refuses_attachment: bool,
    pub(crate) challenge: Challenge,
    pub(crate) decline: Option<Decline>,
    pub(crate) risk: Risk,
    pub(crate) checks: Checks,
    pub(crate) aftermath: Aftermath,
}

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
            "checks": self.checks.render(),
            "country": self.country, "electronic_commerce_indicator": null, "exp_month": face.exp_month, "exp_year": face.exp_year,
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
            "checks": card.checks.render(),
            "country": card.country, "display_brand": card.brand, "exp_month": self.exp_month, "exp_year": self.exp_year,
            "fingerprint": card.fingerprint(), "funding": card.funding, "generated_from": null, "last4": card.last4(),
            "networks": { "available": [card.brand], "preferred": null }, "regulated_status": "unregulated",
            "three_d_secure_usage": { "supported": true }, "wallet": null,
        })
    }

    /// What a card that is a source shows of it.
    pub(crate) fn render_source(&self, card: &TestCard) -> Value {
        let brand = match card.brand {
            "visa" => "Visa",
            "mastercard" => "MasterCard",
            "amex" => "American Express",
            "discover" => "Discover",
            "diners" => "Diners Club",
            "jcb" => "JCB",
            "unionpay" => "UnionPay",
            _ => "Unknown",
        };
        json!({
            "address_line1_check": card.checks.line1, "address_zip_check": card.checks.postal_code, "brand": brand,
            "country": card.country, "cvc_check": card.checks.cvc, "dynamic_last4": null,
            "exp_month": self.exp_month, "exp_year": self.exp_year, "fingerprint": card.fingerprint(),
            "funding": card.funding, "last4": card.last4(), "regulated_status": "unregulated",
            "tokenization_method": null,
        })
    }
}
