//! Checkouts: one open at a time per customer and plan group (engine.md section 4).

use serde::{Deserialize, Serialize};

use crate::digest::short_hex;
use crate::ids::{CheckoutId, CustomerId, PlanGroup, PlanKey};
use crate::money::Currency;
use crate::offer::{Promotion, Reduction, coupon_of_channel, coupon_of_own, coupon_of_promotion};
use crate::pricing::{Applied, PriceSource, Priced};
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

/// Where the buyer enters how to pay. Whichever it is, what they enter goes to the provider and never to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutUi {
    /// On the provider's own page.
    #[default]
    Hosted,
    /// In the provider's whole form, framed by a page of the app.
    Embedded,
    /// In the provider's single fields on a page of the app, over a session.
    Elements,
    /// In the same fields over a bare payment, for something that is bought once.
    PaymentIntent,
}

impl CheckoutUi {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hosted, Self::Embedded, Self::Elements, Self::PaymentIntent];

    /// The word in API and database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hosted => "hosted",
            Self::Embedded => "embedded",
            Self::Elements => "elements",
            Self::PaymentIntent => "payment_intent",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ui| ui.as_str() == word)
    }

    /// Whether a page of the app shows it, which needs the provider's library, the publishable key and a secret of the
    /// session.
    #[must_use]
    pub const fn is_on_our_page(self) -> bool {
        match self {
            Self::Hosted => false,
            Self::Embedded | Self::Elements | Self::PaymentIntent => true,
        }
    }
}

/// What a checkout comes to, computed when it was asked for: the provider must charge exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deal {
    /// The lookup key of the provider's price.
    pub lookup_key: String,
    /// The provider's price, when the catalog names it.
    pub stripe: Option<String>,
    /// Per unit, in minor units.
    pub unit: i64,
    /// Where the price comes from.
    pub source: PriceSource,
    /// What a period costs while the reduction lasts, in minor units, before tax that comes on top.
    pub total: i64,
    /// What is due at once.
    pub due_now: i64,
    /// Days of trial.
    pub trial_days: u32,
    /// Whose reduction holds.
    pub applied: Option<Applied>,
    /// The provider's object that carries the reduction.
    pub discount: Option<DealDiscount>,
    /// The catalog's version.
    pub version: String,
}

/// What carries a reduction at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DealDiscount {
    /// A promotion code, by the provider's id.
    Code(String),
    /// The promotion code that buyers type, which must lead to this coupon.
    Typed {
        /// What they type.
        code: String,
        /// The coupon that the catalog derives.
        coupon: String,
    },
    /// A coupon that `catalog push` made.
    Coupon(String),
    /// A coupon for one customer's own terms, made when it is needed.
    Own {
        /// Its id, derived from the reduction.
        coupon: String,
        /// What it takes off.
        reduction: Reduction,
    },
}

impl Deal {
    /// From a price, and for a promotion that has been found, the promotion.
    #[must_use]
    pub fn of(priced: &Priced, promotion: Option<&Promotion>) -> Self {
        let discount =
            priced.applied.as_ref().zip(priced.reduction.as_ref()).and_then(|(applied, reduction)| {
                Some(match applied {
                    Applied::Own => {
                        DealDiscount::Own { coupon: coupon_of_own(reduction), reduction: reduction.clone() }
                    }
                    Applied::Channel(key) => DealDiscount::Coupon(coupon_of_channel(key, reduction)),
                    Applied::Promotion(_) => {
                        let promotion = promotion?;
                        let coupon = coupon_of_promotion(promotion);
                        match (&promotion.provider_code, &promotion.code) {
                            (Some(id), _) => DealDiscount::Code(id.clone()),
                            (None, Some(code)) => DealDiscount::Typed { code: code.clone(), coupon },
                            (None, None) => DealDiscount::Coupon(coupon),
                        }
                    }
                })
            });
        Self {
            lookup_key: priced.price.lookup_key.clone(),
            stripe: priced.price.stripe.clone(),
            unit: priced.price.amount.minor,
            source: priced.source,
            total: priced.total.minor,
            due_now: priced.due_now.minor,
            trial_days: priced.trial_days,
            applied: priced.applied.clone(),
            discount,
            version: priced.version.clone(),
        }
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
    /// A promotion: its code or key in the catalog, or the provider's id of a promotion code.
    pub promotion_code: Option<String>,
    /// The channel that the buyer came by.
    #[serde(default)]
    pub channel: Option<String>,
    /// What it comes to; `None` in checkouts of earlier releases.
    #[serde(default)]
    pub deal: Option<Deal>,
    /// Where the buyer returns to after paying.
    pub success_url: String,
    /// Where the buyer returns to without paying.
    pub cancel_url: String,
    /// Days of trial; `None` in what was written before it was decided here: then the plan's.
    #[serde(default)]
    pub trial_days: Option<u32>,
    /// The plan has a trial, and the buyer had one.
    #[serde(default)]
    pub trial_refused: bool,
    /// The subscription at whose end it begins, and when that is.
    #[serde(default)]
    pub starts_after: Option<(String, Timestamp)>,
    /// Where the buyer pays.
    #[serde(default)]
    pub ui: CheckoutUi,
    /// The app's own name for what is bought, such as the number of an order.
    #[serde(default)]
    pub reference: Option<String>,
}

impl CheckoutWish {
    /// A fingerprint: two wishes with the same one are the same wish.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // A wish at another price is another wish.
        let total = self.deal.as_ref().map(|deal| format!("{} {}", deal.lookup_key, deal.total));
        let starts = self.starts_after.as_ref().map(|(after, at)| format!("{after}@{}", at.seconds()));
        let mut extra: Vec<&str> = starts.iter().map(String::as_str).collect();
        if self.trial_refused {
            extra.push("no trial");
        }
        if self.ui != CheckoutUi::Hosted {
            extra.push(self.ui.as_str());
        }
        let reference = self.reference.as_ref().map(|reference| format!("for {reference}"));
        extra.extend(reference.as_deref());
        let own = [
            self.customer.as_str(),
            self.plan.as_str(),
            &self.interval,
            self.currency.code(),
            &self.quantity.to_string(),
            self.promotion_code.as_deref().unwrap_or(""),
            &self.success_url,
            &self.cancel_url,
            self.channel.as_deref().unwrap_or(""),
            total.as_deref().unwrap_or(""),
        ];
        short_hex(&[&own[..], &extra[..]].concat())
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
            channel: None,
            deal: None,
            success_url: "http://localhost/ok".into(),
            cancel_url: "http://localhost/no".into(),
            trial_days: None,
            trial_refused: false,
            starts_after: None,
            ui: CheckoutUi::Hosted,
            reference: None,
        }
    }

    #[test]
    fn another_order_or_another_way_to_pay_is_another_wish() {
        let embedded = CheckoutWish { ui: CheckoutUi::Embedded, ..wish(1) };
        let order = CheckoutWish { reference: Some("order 1".into()), ..wish(1) };
        let other = CheckoutWish { reference: Some("order 2".into()), ..wish(1) };
        let all = [wish(1), embedded, order, other].map(|wish| wish.fingerprint());
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn words_for_where_to_pay_are_read_back() {
        for ui in CheckoutUi::ALL {
            assert_eq!(CheckoutUi::parse(ui.as_str()), Some(ui));
        }
        assert_eq!(CheckoutUi::parse("custom"), None);
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
