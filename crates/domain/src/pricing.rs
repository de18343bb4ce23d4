//! The price: one pure, total function from what is asked to what it costs, with every step that led there.
//!
//! Order: the list's price, or the channel's in its place, or the customer's own in place of both; times the quantity; less
//! one reduction. Of several reductions (the customer's own, the channel's, the promotion) the one that takes off most
//! holds, alone: the provider takes one, and nobody can be surprised by a product of several. The catalog's version is
//! the catalog itself. Refuses to know what was charged: that is the provider's to say, and the engine compares.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Interval, Plan, Price, TaxBehavior};
use crate::ids::{ChannelKey, PlanKey, PromotionKey};
use crate::money::{Currency, Money, MoneyError};
use crate::offer::{Lasts, Promotion, Reduction};
use crate::terms::{CustomerTerms, own_lookup_key};
use crate::time::Timestamp;

/// Most units that one purchase may have.
pub const MAX_QUANTITY: i64 = 100_000;
/// The largest total, in minor units: twelve digits, as an invoice's line can hold.
pub const MAX_TOTAL: i64 = 999_999_999_999;
/// The step that a trial leaves in the trace.
const TRIAL: &str = "trial";

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The plan's key.
    pub plan: &'a str,
    /// How often it is charged; `None` is the plan's first.
    pub interval: Option<Interval>,
    /// The currency; `None` is the first in which the plan is sold for that interval.
    pub currency: Option<Currency>,
    /// Units.
    pub quantity: i64,
    /// The promotion that was named.
    pub promotion: Option<&'a Promotion>,
    /// The channel's key.
    pub channel: Option<&'a str>,
    /// The customer's own terms.
    pub terms: Option<&'a CustomerTerms>,
    /// Whether the customer has bought something before.
    pub bought_before: bool,
    /// The moment for which it is asked.
    pub at: Timestamp,
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// No such plan.
    #[error("There is no such plan.")]
    UnknownPlan,
    /// A plan that nobody pays for.
    #[error("The plan `{0}` is free: every known customer has it.")]
    Free(PlanKey),
    /// The plan has no price for the interval and currency.
    #[error("The plan `{0}` is not sold like that.")]
    NotSold(PlanKey),
    /// No such channel, or not now.
    #[error("There is no such channel now.")]
    UnknownChannel,
    /// The quantity cannot be.
    #[error("`quantity` must be between 1 and {MAX_QUANTITY}.")]
    Quantity,
    /// The amount cannot be held by an invoice.
    #[error("`quantity` makes the amount too large.")]
    TooLarge,
    /// The promotion does not hold for this.
    #[error("The promotion does not apply: {0}.")]
    Promotion(PromotionRefusal),
}

/// Why a promotion does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PromotionRefusal {
    /// It begins later.
    #[error("it has not begun yet")]
    NotYet,
    /// It is over.
    #[error("it is over")]
    Over,
    /// It is for other plans.
    #[error("it is for other plans")]
    OtherPlan,
    /// It is for other currencies.
    #[error("it is for other currencies")]
    OtherCurrency,
    /// It is for whoever buys for the first time.
    #[error("it is for a first purchase")]
    NotFirst,
}

/// Which of the provider's prices is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// The list's.
    List,
    /// The channel's own.
    Channel,
    /// Negotiated with the customer.
    Own,
}

/// Whose reduction holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// The promotion's.
    Promotion(PromotionKey),
    /// The channel's.
    Channel(ChannelKey),
    /// The customer's own.
    Own,
}

/// One step on the way to a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A stable word for what was applied.
    pub rule: &'static str,
    /// Why, in a sentence.
    pub why: String,
    /// The amount before it, in minor units.
    pub before: i64,
    /// The amount after it, in minor units.
    pub after: i64,
}

/// A price with its trace. All amounts are of one period, before tax that comes on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// The plan.
    pub plan: PlanKey,
    /// How often it is charged.
    pub interval: Interval,
    /// The currency of every amount.
    pub currency: Currency,
    /// Units.
    pub quantity: i64,
    /// The price at the provider: its name there, and the amount per unit.
    pub price: Price,
    /// Where it comes from.
    pub source: PriceSource,
    /// What the list asks for this quantity.
    pub list: Money,
    /// What this price asks for this quantity.
    pub subtotal: Money,
    /// What the reduction takes off.
    pub discount: Money,
    /// What is charged while the reduction lasts.
    pub total: Money,
    /// What is charged when it is over; the same as `total` without one, and for one that lasts.
    pub later: Money,
    /// What is due at once: nothing where a trial comes first.
    pub due_now: Money,
    /// Days of trial.
    pub trial_days: u32,
    /// Whether tax is in the amounts.
    pub tax: TaxBehavior,
    /// Whose reduction holds.
    pub applied: Option<Applied>,
    /// The reduction.
    pub reduction: Option<Reduction>,
    /// The catalog's version.
    pub version: String,
    /// Every step, from the list's price per unit to `total`.
    pub trace: Vec<Step>,
}

impl Priced {
    /// The same without a trial: for whoever had one.
    #[must_use]
    pub fn without_trial(mut self) -> Self {
        self.trace.retain(|step| step.rule != TRIAL);
        Self { due_now: self.total, trial_days: 0, ..self }
    }
}

struct Trace {
    now: i64,
    steps: Vec<Step>,
}

impl Trace {
    fn step(&mut self, rule: &'static str, why: String, after: i64) {
        self.steps.push(Step { rule, why, before: self.now, after });
        self.now = after;
    }
}

/// What it costs.
///
/// # Errors
/// [`PriceError`]: what cannot be bought like that, and why. No other case is without a price.
pub fn price(catalog: &Catalog, asked: &Asked<'_>) -> Result<Priced, PriceError> {
    let plan = catalog.plan(asked.plan).ok_or(PriceError::UnknownPlan)?;
    if plan.free {
        return Err(PriceError::Free(plan.key.clone()));
    }
    if !(1..=MAX_QUANTITY).contains(&asked.quantity) {
        return Err(PriceError::Quantity);
    }
    let channel = match asked.channel {
        None => None,
        Some(key) => {
            let found = catalog.channel(key).filter(|channel| channel.window.holds(asked.at));
            Some(found.ok_or(PriceError::UnknownChannel)?)
        }
    };
    let terms = asked.terms.filter(|terms| terms.window.holds(asked.at));
    let listed = listed(plan, asked)?;
    let currency = listed.amount.currency;
    let mut trace = Trace { now: 0, steps: Vec::new() };
    let per = listed.interval.as_str();
    trace.step("list_price", format!("the list's price of `{}` per {per}", plan.key), listed.amount.minor);
    let (chosen, source) = choose(plan, listed, channel, terms, &mut trace);
    let subtotal = times(chosen.amount, asked.quantity)?;
    let list = times(listed.amount, asked.quantity)?;
    trace.step("quantity", format!("times {}", asked.quantity), subtotal.minor);
    let best = reduce(plan, asked, channel, terms, subtotal, &mut trace)?;
    let discount = best.as_ref().map_or(Money::new(0, currency), |best| best.off);
    let total = subtotal.checked_sub(discount).map_err(|_| PriceError::TooLarge)?;
    let later = match &best {
        Some(best) if best.reduction.lasts != Lasts::Forever => subtotal,
        Some(_) | None => total,
    };
    let trial_days = if chosen.interval == Interval::Once { 0 } else { plan.trial_days };
    if trial_days > 0 {
        let why = format!("nothing is due for {trial_days} days; then this");
        trace.step(TRIAL, why, total.minor);
    }
    Ok(Priced {
        plan: plan.key.clone(),
        interval: chosen.interval,
        currency,
        quantity: asked.quantity,
        source,
        list,
        subtotal,
        discount,
        total,
        later,
        due_now: if trial_days > 0 { Money::new(0, currency) } else { total },
        trial_days,
        tax: plan.tax,
        applied: best.as_ref().map(|best| best.applied.clone()),
        reduction: best.map(|best| best.reduction),
        version: catalog.version().to_owned(),
        trace: trace.steps,
        price: chosen,
    })
}

fn listed<'a>(plan: &'a Plan, asked: &Asked<'_>) -> Result<&'a Price, PriceError> {
    let interval = asked.interval.or_else(|| plan.prices.first().map(|price| price.interval));
    let first = || plan.prices.iter().find(|p| Some(p.interval) == interval).map(|p| p.amount.currency);
    let currency = asked.currency.or_else(first);
    let found = interval.zip(currency).and_then(|(interval, currency)| plan.price(interval, currency));
    found.ok_or_else(|| PriceError::NotSold(plan.key.clone()))
}

/// The price that stands in place of the list's, if there is one.
fn choose(
    plan: &Plan,
    listed: &Price,
    channel: Option<&crate::offer::Channel>,
    terms: Option<&CustomerTerms>,
    trace: &mut Trace,
) -> (Price, PriceSource) {
    let currency = listed.amount.currency;
    if let Some(own) = terms.and_then(|terms| terms.price(&plan.key, listed.interval, currency)) {
        trace.step("own_price", "the customer's own terms name this price".to_owned(), own.amount.minor);
        let lookup_key = own_lookup_key(own, &listed.lookup_key);
        let price = Price { amount: own.amount, stripe: None, lookup_key, interval: listed.interval };
        return (price, PriceSource::Own);
    }
    let of_channel = channel.and_then(|channel| {
        let same = |(of, price): &&(PlanKey, Price)| {
            *of == plan.key && price.interval == listed.interval && price.amount.currency == currency
        };
        channel.prices.iter().find(same).map(|(_, price)| (channel, price))
    });
    match of_channel {
        Some((channel, price)) => {
            let why = format!("the channel `{}` has its own price", channel.key);
            trace.step("channel_price", why, price.amount.minor);
            (price.clone(), PriceSource::Channel)
        }
        None => (listed.clone(), PriceSource::List),
    }
}

fn times(unit: Money, quantity: i64) -> Result<Money, PriceError> {
    let total = unit.checked_mul(quantity).map_err(|_: MoneyError| PriceError::TooLarge)?;
    if total.minor > MAX_TOTAL { Err(PriceError::TooLarge) } else { Ok(total) }
}

struct Candidate {
    rule: &'static str,
    applied: Applied,
    reduction: Reduction,
    off: Money,
}

/// The reduction that holds: of those that apply, the one that takes off most; of two that take off as much, the one
/// that lasts longer, and then the customer's own before the channel's before the promotion's.
fn reduce(
    plan: &Plan,
    asked: &Asked<'_>,
    channel: Option<&crate::offer::Channel>,
    terms: Option<&CustomerTerms>,
    subtotal: Money,
    trace: &mut Trace,
) -> Result<Option<Candidate>, PriceError> {
    let is_for = |plans: &[PlanKey]| plans.is_empty() || plans.contains(&plan.key);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut offer = |rule, applied, reduction: &Reduction| {
        let off = reduction.off.of(subtotal)?;
        candidates.push(Candidate { rule, applied, reduction: reduction.clone(), off });
        Some(())
    };
    if let Some(terms) = terms.filter(|terms| is_for(&terms.plans))
        && let Some(reduction) = &terms.reduction
    {
        offer("own_reduction", Applied::Own, reduction);
    }
    if let Some(channel) = channel.filter(|channel| is_for(&channel.plans))
        && let Some(reduction) = &channel.reduction
    {
        offer("channel_reduction", Applied::Channel(channel.key.clone()), reduction);
    }
    if let Some(promotion) = asked.promotion {
        let refuse = |why| Err(PriceError::Promotion(why));
        if !promotion.window.has_begun(asked.at) {
            return refuse(PromotionRefusal::NotYet);
        }
        if promotion.window.is_over(asked.at) {
            return refuse(PromotionRefusal::Over);
        }
        if !is_for(&promotion.plans) {
            return refuse(PromotionRefusal::OtherPlan);
        }
        if promotion.first_purchase && asked.bought_before {
            return refuse(PromotionRefusal::NotFirst);
        }
        let fits = promotion.currencies.is_empty() || promotion.currencies.contains(&subtotal.currency);
        let applied = Applied::Promotion(promotion.key.clone());
        if !fits || offer("promotion", applied, &promotion.reduction).is_none() {
            return refuse(PromotionRefusal::OtherCurrency);
        }
    }
    let length = |lasts: Lasts| match lasts {
        Lasts::Once => 0,
        Lasts::Months(months) => i64::from(months),
        Lasts::Forever => i64::MAX,
    };
    // A stable sort: what is equal stays in the order of the list above.
    candidates.sort_by_key(|c| std::cmp::Reverse((c.off.minor, length(c.reduction.lasts))));
    let mut sorted = candidates.into_iter();
    let best = sorted.next();
    if let Some(best) = &best {
        let Reduction { off, lasts } = &best.reduction;
        let why = format!("{off} off, {lasts}; {} of {}, rounded half up", best.off.minor, subtotal.minor);
        trace.step(best.rule, why, subtotal.minor.saturating_sub(best.off.minor));
    }
    for other in sorted {
        let why = format!(
            "{} off would take {}; only the larger reduction holds",
            other.reduction.off, other.off.minor
        );
        let now = trace.now;
        trace.step(other.rule, why, now);
    }
    Ok(best)
}

#[cfg(test)]
mod tests;
