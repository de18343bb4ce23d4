//! Prices as they are asked for: the domain's function with what this database and the provider know.

use quittance_domain::catalog::{Interval, Plan, Price, Text};
use quittance_domain::checkout::{Deal, DealDiscount};
use quittance_domain::ids::PromotionKey;
use quittance_domain::offer::{Lasts, Off, Percent, Promotion, Reduction, Window};
use quittance_domain::pricing::{self, Asked, PriceError, PriceSource, Priced};
use quittance_domain::terms::CustomerTerms;
use quittance_domain::{Currency, CustomerId, Money, SubscriptionStatus, Timestamp};
use quittance_store::{Tx, catalogs, mirror, terms};
use quittance_stripe::calls::offers::{CouponOff, CreateCoupon, ListPromotionCodes};
use quittance_stripe::calls::prices::{CreatePrice, ListPrices};
use quittance_stripe::calls::{self, IdempotencyKey};
use quittance_stripe::error::ErrorKind;
use quittance_stripe::form::Metadata;
use quittance_stripe::observe::{ObservedCoupon, ObservedPromotionCode};

use crate::commands::request::{Discounted, KEY_PREFIX};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::sync::known_price;

/// What a price is asked for. There is no amount in it.
#[derive(Debug, Clone, Default)]
pub struct PriceAsk {
    /// For whom; their own terms count.
    pub customer: Option<CustomerId>,
    /// The plan's key.
    pub plan: String,
    /// `day`, `week`, `month`, `year` or `once`.
    pub interval: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Units; default 1.
    pub quantity: Option<i64>,
    /// A promotion: its code, its key, or the provider's id of a promotion code.
    pub promotion_code: Option<String>,
    /// The channel's key.
    pub channel: Option<String>,
}

/// What is known of a customer when a price is asked.
#[derive(Default)]
struct Buyer {
    terms: Option<CustomerTerms>,
    bought_before: bool,
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(
        ProblemCode::PromotionRefused,
        detail,
        "Buy without it, or with another one: GET /v1/plans lists the public ones.",
    )
}

fn out_of_step(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::UnknownPrice, detail, "Operators: run `quittance catalog push`.")
}

impl Engine {
    /// What something costs, with every step that led there. No money moves, and nothing is written.
    ///
    /// # Errors
    /// `unknown_price` for what is not sold like that, `promotion_refused` for a promotion or channel that does not hold.
    #[crate::boxed]
    pub async fn price(&self, ask: &PriceAsk) -> Result<Priced, Problem> {
        let priced = self.priced(ask).await?.0;
        // As a checkout decides it: who had a trial pays at once.
        let (days, _) = match &ask.customer {
            Some(customer) => self.trial_of(customer, priced.trial_days).await?,
            None => (priced.trial_days, false),
        };
        Ok(if days == 0 { priced.without_trial() } else { priced })
    }

    /// As [`Engine::price`], with the promotion that was found.
    #[crate::boxed]
    pub(crate) async fn priced(&self, ask: &PriceAsk) -> Result<(Priced, Option<Promotion>), Problem> {
        let buyer = self.buyer(ask.customer.as_ref()).await?;
        let promotion = match ask.promotion_code.as_deref().filter(|code| !code.is_empty()) {
            None => None,
            Some(word) => Some(self.find_promotion(word).await?),
        };
        let unknown = |what: String| {
            Problem::new(ProblemCode::UnknownPrice, what, "GET /v1/plans lists what can be bought.")
        };
        let interval = match ask.interval.as_deref() {
            None => None,
            Some(word) => Some(
                Interval::parse(word)
                    .ok_or_else(|| unknown(format!("There is no interval `{}`.", short(word))))?,
            ),
        };
        let currency = ask.currency.as_deref().map(Currency::parse).transpose();
        let asked = Asked {
            plan: &ask.plan,
            interval,
            currency: currency.map_err(|error| unknown(error.to_string()))?,
            quantity: ask.quantity.unwrap_or(1),
            promotion: promotion.as_ref(),
            channel: ask.channel.as_deref(),
            terms: buyer.terms.as_ref(),
            bought_before: buyer.bought_before,
            at: self.now(),
        };
        let priced = pricing::price(self.catalog(), &asked).map_err(|error| match error {
            PriceError::UnknownPlan | PriceError::Free(_) | PriceError::NotSold(_) => {
                unknown(error.to_string())
            }
            PriceError::Quantity | PriceError::TooLarge => Problem::invalid(error.to_string()),
            PriceError::UnknownChannel | PriceError::Promotion(_) => refused(error.to_string()),
        })?;
        Ok((priced, promotion))
    }

    async fn buyer(&self, customer: Option<&CustomerId>) -> Result<Buyer, Problem> {
        let Some(id) = customer.cloned() else { return Ok(Buyer::default()) };
        let read = move |tx: &mut dyn Tx| {
            let terms = terms::get(tx, id.as_str())?.map(|row| row.terms);
            let subscribed = mirror::subscriptions_of_customer(tx, id.as_str())?
                .iter()
                .any(|row| has_begun(&row.subscription.facts.status));
            let purchased =
                mirror::purchases_of_customer(tx, id.as_str())?.iter().any(|purchase| purchase.facts.paid);
            Ok(Buyer { terms, bought_before: subscribed || purchased })
        };
        Ok(self.db().read("pricing.buyer", read).await?)
    }

    /// A promotion of the catalog, or one that only the provider knows, by its id there.
    async fn find_promotion(&self, word: &str) -> Result<Promotion, Problem> {
        if word.len() > 100 || !word.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Problem::invalid(
                "`promotion_code` must be a code or key of at most 100 characters.",
            ));
        }
        if let Some(found) = self.catalog().promotion(word) {
            return Ok(found.clone());
        }
        if !word.starts_with("promo_") {
            return Err(refused("There is no such promotion."));
        }
        let call = calls::offers::retrieve_code(word);
        let found = match self.ask(call).await {
            Ok(found) if found.active => found,
            Ok(_) => return Err(refused("The promotion code is no longer active.")),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound { .. } | ErrorKind::InvalidRequest { .. }) =>
            {
                return Err(refused("There is no such promotion."));
            }
            Err(error) => return Err(error.into()),
        };
        promotion_of_provider(&found)
            .ok_or_else(|| refused("The provider's promotion code takes off what cannot be computed here."))
    }

    /// The provider's id of what carries a reduction.
    #[crate::boxed]
    pub(crate) async fn discount_id(&self, deal: &Deal) -> Result<Option<Discounted>, Problem> {
        Ok(match &deal.discount {
            None => None,
            Some(DealDiscount::Code(id)) => Some(Discounted::Code(id.clone())),
            Some(DealDiscount::Coupon(id)) => Some(Discounted::Coupon(id.clone())),
            Some(DealDiscount::Typed { code, coupon }) => {
                let wanted = ListPromotionCodes {
                    code: Some(code),
                    active: Some(true),
                    ..ListPromotionCodes::default()
                };
                let page = self.ask(calls::offers::list_codes(&wanted)).await?;
                let found = page.items.into_iter().find(|found| found.coupon == *coupon);
                let missing = || {
                    out_of_step(format!("The provider has no promotion code `{code}` as the catalog has it."))
                };
                Some(Discounted::Code(found.ok_or_else(missing)?.id))
            }
            Some(DealDiscount::Own { coupon, reduction }) => {
                self.ensure_own_coupon(coupon, reduction).await?;
                Some(Discounted::Coupon(coupon.clone()))
            }
        })
    }

    async fn ensure_own_coupon(&self, id: &str, reduction: &Reduction) -> Result<(), Problem> {
        if self.prices().has_coupon(id) {
            return Ok(());
        }
        let existing = self.ask(calls::offers::retrieve_coupon(id)).await;
        match existing {
            Ok(_) => {}
            Err(error) if crate::sync::names_missing(&error) => {
                let key = self.shop_key("coupon", id)?;
                self.ask(coupon_call(&NewCoupon::own(id, reduction), key)).await?;
            }
            Err(error) => return Err(error.into()),
        }
        self.prices().learn_coupon(id);
        Ok(())
    }

    /// The key of a change to the shop that is the same whenever it is wanted.
    fn shop_key(&self, kind: &str, what: &str) -> Result<IdempotencyKey, Problem> {
        let digest = quittance_domain::digest::short_hex(&[self.instance(), "shop", kind, what]);
        IdempotencyKey::new(format!("{KEY_PREFIX}shop-{kind}-{digest}"))
            .map_err(|error| Problem::new(ProblemCode::Internal, error.to_string(), "See the server's log."))
    }

    /// The provider's price behind a deal; a negotiated one is made when it is first needed, on the plan's own product.
    #[crate::boxed]
    pub(crate) async fn deal_price_id(
        &self,
        plan: &Plan,
        price: &Price,
        source: PriceSource,
    ) -> Result<String, Problem> {
        let id = match self.price_id(price).await {
            Ok(id) => id,
            Err(problem) if source == PriceSource::Own && problem.code == ProblemCode::UnknownPrice => {
                self.make_own_price(plan, price).await?
            }
            Err(problem) => return Err(problem),
        };
        if self.prices().note_known(&id) {
            let (scope, known, now) = (self.scope().to_string(), known_price(&id, plan, price), self.now());
            self.db().write("catalogs.know", move |tx| catalogs::know(tx, &scope, &known, now)).await?;
        }
        Ok(id)
    }

    async fn make_own_price(&self, plan: &Plan, own: &Price) -> Result<String, Problem> {
        let currency = own.amount.currency;
        let missing = || out_of_step(format!("The plan `{}` is not at the provider.", plan.key));
        let listed = plan.price(own.interval, currency).ok_or_else(missing)?;
        let keys = [listed.lookup_key.as_str()];
        let call = match &listed.stripe {
            Some(id) => {
                let found = self.ask(calls::prices::retrieve(id)).await?;
                return self.make_price_on(found.product_id.as_deref().ok_or_else(missing)?, plan, own).await;
            }
            None => calls::prices::list(&ListPrices { lookup_keys: &keys, ..ListPrices::default() }),
        };
        let page = self.ask(call).await?;
        let product = page.items.into_iter().find_map(|found| found.product_id).ok_or_else(missing)?;
        self.make_price_on(&product, plan, own).await
    }

    async fn make_price_on(&self, product: &str, plan: &Plan, own: &Price) -> Result<String, Problem> {
        let metadata = marks(&[("quittance_plan", plan.key.as_str()), ("quittance_own", "true")]);
        let wanted = CreatePrice {
            product,
            currency: own.amount.currency.code(),
            unit_amount: own.amount.minor,
            recurring: (own.interval != Interval::Once).then(|| (own.interval.as_str(), 1)),
            lookup_key: Some(&own.lookup_key),
            transfer_lookup_key: false,
            tax_behavior: plan.tax.at_provider(),
            metadata: &metadata,
        };
        let key = self.shop_key("price", &own.lookup_key)?;
        Ok(self.ask(calls::prices::create(&wanted, key)).await?.id)
    }
}

/// Whether a subscription was ever paid for or tried: one whose first payment never came was not.
const fn has_begun(status: &SubscriptionStatus) -> bool {
    match status {
        SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired => false,
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unknown(_) => true,
    }
}

fn short(text: &str) -> String {
    text.chars().take(16).collect()
}

/// Metadata of ours, which always fits.
pub(crate) fn marks(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().fold(Metadata::new(), |all, (key, value)| all.clone().with(key, value).unwrap_or(all))
}

/// A coupon to make.
pub(crate) struct NewCoupon<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) reduction: &'a Reduction,
    pub(crate) max_redemptions: Option<i64>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) products: Vec<&'a str>,
    pub(crate) marks: Metadata,
}

impl<'a> NewCoupon<'a> {
    fn own(id: &'a str, reduction: &'a Reduction) -> Self {
        Self {
            id,
            name: None,
            reduction,
            max_redemptions: None,
            until: None,
            products: Vec::new(),
            marks: marks(&[("quittance_own", "true")]),
        }
    }
}

pub(crate) fn coupon_call(wanted: &NewCoupon<'_>, key: IdempotencyKey) -> calls::Call<ObservedCoupon> {
    let percent = match &wanted.reduction.off {
        Off::Percent(percent) => Some(percent.to_string()),
        Off::Amount(_) => None,
    };
    let amounts: Vec<(&str, i64)> = match &wanted.reduction.off {
        Off::Percent(_) => Vec::new(),
        Off::Amount(amounts) => amounts.iter().map(|off| (off.currency.code(), off.minor)).collect(),
    };
    let (duration, months) = match wanted.reduction.lasts {
        Lasts::Once => ("once", None),
        Lasts::Months(months) => ("repeating", Some(i64::from(months))),
        Lasts::Forever => ("forever", None),
    };
    let coupon = CreateCoupon {
        id: wanted.id,
        name: wanted.name,
        off: percent.as_deref().map_or(CouponOff::Amounts(&amounts), CouponOff::Percent),
        duration,
        months,
        max_redemptions: wanted.max_redemptions,
        redeem_by_s: wanted.until.map(Timestamp::seconds),
        products: &wanted.products,
        metadata: &wanted.marks,
    };
    calls::offers::create_coupon(&coupon, key)
}

/// A promotion that only the provider knows; `None` when its coupon cannot be computed with.
fn promotion_of_provider(found: &ObservedPromotionCode) -> Option<Promotion> {
    let coupon = found.expanded.as_ref()?;
    let off = match (&coupon.percent_off, coupon.amount_off, &coupon.currency) {
        (Some(percent), None, _) => Off::Percent(Percent::parse(percent)?),
        (None, Some(minor), Some(code)) => Off::Amount(vec![Money::new(minor, Currency::parse(code).ok()?)]),
        _ => return None,
    };
    let lasts = match (coupon.duration.as_str(), coupon.duration_in_months) {
        ("once", _) => Lasts::Once,
        ("forever", _) => Lasts::Forever,
        ("repeating", Some(months)) => Lasts::Months(u32::try_from(months).ok()?),
        _ => return None,
    };
    let key: String = found.code.to_ascii_lowercase().chars().take(PromotionKey::MAX_LEN).collect();
    Some(Promotion {
        key: PromotionKey::parse(&key).ok()?,
        code: Some(found.code.clone()),
        name: Text { en: coupon.name.clone().unwrap_or_else(|| found.code.clone()), ja: None },
        reduction: Reduction { off, lasts },
        window: Window { from: None, until: found.expires_at_s.map(Timestamp::from_seconds) },
        plans: Vec::new(),
        currencies: Vec::new(),
        first_purchase: found.first_purchase,
        max_redemptions: None,
        public: false,
        provider_code: Some(found.id.clone()),
    })
}
