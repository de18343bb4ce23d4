//! Checkouts: one open at a time per customer and plan group (engine.md section 4).

use serde::{Deserialize, Serialize};

use crate::digest::short_hex;
use crate::ids::{CheckoutId, CustomerId, PlanGroup, PlanKey};
use crate::money::Currency;
use crate::time::Timestamp;

/// Where a checkout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutState {
    /// Written down; the provider has not answered yet.
    Creating,
    /// The buyer can pay.
    Open,
    /// The buyer finished; the provider has not confirmed the money yet.
    Processing,
    /// Paid, and what was bought is mirrored.
    Complete,
    /// Nothing was paid, and nothing can be any more.
    Expired,
}

impl CheckoutState {
    /// The word stored and shown; `creating` shows as `open` with no address yet.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Creating, Self::Open, Self::Processing, Self::Complete, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What a buyer asked for. Prices are not in it: they come from the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutWish {
    /// Who buys.
    pub customer: CustomerId,
    /// The plan.
    pub plan: PlanKey,
    /// The plan's group.
    pub group: PlanGroup,
    /// `day`, `week`, `month`, `year`, or `once`.
    pub interval: String,
    /// The currency.
    pub currency: Currency,
    /// Units, at least 1.
    pub quantity: i64,
    /// A promotion code's id at the provider.
    pub promotion_code: Option<String>,
    /// Where the buyer returns to after paying.
    pub success_url: String,
    /// Where the buyer returns to without paying.
    pub cancel_url: String,
}

impl CheckoutWish {
    /// A fingerprint: two wishes with the same one are the same wish.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        short_hex(&[
            self.customer.as_str(),
            self.plan.as_str(),
            &self.interval,
            self.currency.code(),
            &self.quantity.to_string(),
            self.promotion_code.as_deref().unwrap_or(""),
            &self.success_url,
            &self.cancel_url,
        ])
    }
}

/// An earlier checkout of the same customer and plan group that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierCheckout {
    /// Its id.
    pub id: CheckoutId,
    /// Its wish's fingerprint.
    pub fingerprint: String,
    /// Where it stands.
    pub state: CheckoutState,
    /// When the provider closes it by itself.
    pub expires_at: Option<Timestamp>,
}

/// What to do with a new wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutDecision {
    /// The same wish is open already: answer with it.
    Reuse(CheckoutId),
    /// Another wish is open: close that first, then open this one.
    Replace(CheckoutId),
    /// Nothing stands in the way.
    Create,
}

/// A checkout that is about to close is not handed out again.
const LAST_MOMENTS_MS: i64 = 2 * crate::time::MINUTE_MS;

/// Decides what a new wish meets.
#[must_use]
pub fn decide(wish: &CheckoutWish, earlier: Option<&EarlierCheckout>, now: Timestamp) -> CheckoutDecision {
    let Some(earlier) = earlier else {
        return CheckoutDecision::Create;
    };
    match earlier.state {
        CheckoutState::Creating | CheckoutState::Open => {
            let fresh = earlier.expires_at.is_none_or(|at| now.plus_ms(LAST_MOMENTS_MS) < at);
            if fresh && earlier.fingerprint == wish.fingerprint() {
                CheckoutDecision::Reuse(earlier.id.clone())
            } else {
                CheckoutDecision::Replace(earlier.id.clone())
            }
        }
        // Its money may be on the way: a delayed method must not be joined by a second payment.
        CheckoutState::Processing => CheckoutDecision::Reuse(earlier.id.clone()),
        CheckoutState::Complete | CheckoutState::Expired => CheckoutDecision::Create,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::T0;

    fn wish(quantity: i64) -> CheckoutWish {
        CheckoutWish {
            customer: CustomerId::parse("u_1").unwrap(),
            plan: PlanKey::parse("pro").unwrap(),
            group: PlanGroup::parse("main").unwrap(),
            interval: "month".into(),
            currency: Currency::parse("jpy").unwrap(),
            quantity,
            promotion_code: None,
            success_url: "http://localhost/ok".into(),
            cancel_url: "http://localhost/no".into(),
        }
    }

    #[test]
    fn a19_one_open_checkout_per_plan_group() {
        let earlier = |state, expires_in: i64| EarlierCheckout {
            id: CheckoutId::from_random([1; 16]),
            fingerprint: wish(1).fingerprint(),
            state,
            expires_at: Some(T0.plus_ms(expires_in)),
        };
        let id = CheckoutId::from_random([1; 16]);
        let day = crate::time::DAY_MS;
        let cases = [
            (wish(1), None, CheckoutDecision::Create),
            (wish(1), Some(earlier(CheckoutState::Open, day)), CheckoutDecision::Reuse(id.clone())),
            (wish(1), Some(earlier(CheckoutState::Creating, day)), CheckoutDecision::Reuse(id.clone())),
            (wish(2), Some(earlier(CheckoutState::Open, day)), CheckoutDecision::Replace(id.clone())),
            (wish(1), Some(earlier(CheckoutState::Open, 1_000)), CheckoutDecision::Replace(id.clone())),
            (wish(2), Some(earlier(CheckoutState::Processing, day)), CheckoutDecision::Reuse(id)),
            (wish(1), Some(earlier(CheckoutState::Complete, day)), CheckoutDecision::Create),
            (wish(1), Some(earlier(CheckoutState::Expired, day)), CheckoutDecision::Create),
        ];
        for (wish, earlier, expected) in cases {
            assert_eq!(decide(&wish, earlier.as_ref(), T0), expected, "{earlier:?}");
        }
    }
}
