//! Reading promotions and channels: the part of the file that makes a price other than the list's.

use serde::Deserialize;

use super::file::{FilePrice, read_price};
use super::{CatalogError, Interval, Plan, Price, Text, rule};
use crate::ids::{ChannelKey, PlanKey, PromotionKey};
use crate::money::{Currency, MoneyError};
use crate::offer::{Channel, Lasts, Off, Promotion, Reduction, Window};
use crate::time::Timestamp;

/// Most promotions, and most channels.
const MOST: usize = 1_000;
/// The longest code, in characters.
const LONGEST_CODE: usize = 100;
/// Most redemptions that can be asked for.
const MOST_REDEMPTIONS: i64 = 99_999_999;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePromotion {
    key: PromotionKey,
    #[serde(default)]
    code: Option<String>,
    name: Text,
    off: Off,
    #[serde(default)]
    lasts: Lasts,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    plans: Vec<PlanKey>,
    #[serde(default)]
    currencies: Vec<String>,
    #[serde(default)]
    first_purchase: bool,
    #[serde(default)]
    max_redemptions: Option<i64>,
    #[serde(default)]
    public: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileChannel {
    key: ChannelKey,
    name: Text,
    #[serde(default)]
    off: Option<Off>,
    #[serde(default)]
    lasts: Option<Lasts>,
    #[serde(default)]
    plans: Vec<PlanKey>,
    #[serde(default)]
    price: Vec<FileChannelPrice>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileChannelPrice {
    plan: PlanKey,
    interval: Interval,
    currency: String,
    amount: i64,
    #[serde(default)]
    stripe: Option<String>,
    #[serde(default)]
    lookup_key: Option<String>,
}

fn time(whose: &str, field: &str, text: Option<&str>) -> Result<Option<Timestamp>, CatalogError> {
    let Some(text) = text else { return Ok(None) };
    match Timestamp::parse(text) {
        Some(at) => Ok(Some(at)),
        None => rule(format!("{whose}: `{field}` is no time such as \"2026-12-01T00:00:00Z\"")),
    }
}

fn window(whose: &str, from: Option<&str>, until: Option<&str>) -> Result<Window, CatalogError> {
    let window = Window { from: time(whose, "from", from)?, until: time(whose, "until", until)? };
    match (window.from, window.until) {
        (Some(from), Some(until)) if until <= from => rule(format!("{whose}: `until` must be after `from`")),
        _ => Ok(window),
    }
}

fn known_plans(whose: &str, named: &[PlanKey], plans: &[Plan]) -> Result<(), CatalogError> {
    for key in named {
        match plans.iter().find(|plan| plan.key == *key) {
            None => return rule(format!("{whose} names `{key}`, which is not a plan")),
            Some(plan) if plan.free => return rule(format!("{whose} names `{key}`, which is free")),
            Some(_) => {}
        }
    }
    Ok(())
}

fn currency(whose: &str, code: &str) -> Result<Currency, CatalogError> {
    Currency::parse(code).map_err(|e: MoneyError| CatalogError::Rule(format!("{whose}: {e}")))
}

pub(super) fn promotions(file: &[FilePromotion], plans: &[Plan]) -> Result<Vec<Promotion>, CatalogError> {
    if file.len() > MOST {
        return rule(format!("has {} promotions; the most is {MOST}", file.len()));
    }
    let mut all: Vec<Promotion> = Vec::with_capacity(file.len());
    for found in file {
        let whose = format!("promotion `{}`", found.key);
        if all.iter().any(|other| other.key == found.key) {
            return rule(format!("{whose} is declared twice; rename one"));
        }
        if let Some(code) = &found.code {
            let fits = (1..=LONGEST_CODE).contains(&code.len())
                && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !fits {
                return rule(format!(
                    "{whose}: a code has letters, digits and dashes, at most {LONGEST_CODE}"
                ));
            }
            let same = |other: &&Promotion| {
                other.code.as_deref().is_some_and(|other| other.eq_ignore_ascii_case(code))
            };
            if let Some(other) = all.iter().find(same) {
                return rule(format!("{whose} and `{}` have the code `{code}`; change one", other.key));
            }
        }
        if found.max_redemptions.is_some_and(|most| !(1..=MOST_REDEMPTIONS).contains(&most)) {
            return rule(format!("{whose}: max_redemptions must be 1 to {MOST_REDEMPTIONS}"));
        }
        known_plans(&whose, &found.plans, plans)?;
        let currencies =
            found.currencies.iter().map(|code| currency(&whose, code)).collect::<Result<Vec<_>, _>>()?;
        all.push(Promotion {
            key: found.key.clone(),
            code: found.code.clone(),
            name: found.name.clone(),
            reduction: Reduction { off: found.off.clone(), lasts: found.lasts },
            window: window(&whose, found.from.as_deref(), found.until.as_deref())?,
            plans: found.plans.clone(),
            currencies,
            first_purchase: found.first_purchase,
            max_redemptions: found.max_redemptions,
            public: found.public,
            provider_code: None,
        });
    }
    Ok(all)
}

pub(super) fn channels(file: &[FileChannel], plans: &[Plan]) -> Result<Vec<Channel>, CatalogError> {
    if file.len() > MOST {
        return rule(format!("has {} channels; the most is {MOST}", file.len()));
    }
    let mut all: Vec<Channel> = Vec::with_capacity(file.len());
    for found in file {
        let whose = format!("channel `{}`", found.key);
        if all.iter().any(|other| other.key == found.key) {
            return rule(format!("{whose} is declared twice; rename one"));
        }
        if found.off.is_none() && (found.lasts.is_some() || !found.plans.is_empty()) {
            return rule(format!("{whose}: `lasts` and `plans` go with `off`; add it or remove them"));
        }
        known_plans(&whose, &found.plans, plans)?;
        let lasts = found.lasts.unwrap_or(Lasts::Forever);
        all.push(Channel {
            key: found.key.clone(),
            name: found.name.clone(),
            reduction: found.off.clone().map(|off| Reduction { off, lasts }),
            prices: own_prices(found, &whose, plans)?,
            plans: found.plans.clone(),
            window: window(&whose, found.from.as_deref(), found.until.as_deref())?,
        });
    }
    Ok(all)
}

/// A channel's price stands in place of one of the list's, so that a plan is sold for the same intervals everywhere.
fn own_prices(
    channel: &FileChannel,
    whose: &str,
    plans: &[Plan],
) -> Result<Vec<(PlanKey, Price)>, CatalogError> {
    let mut prices: Vec<(PlanKey, Price)> = Vec::with_capacity(channel.price.len());
    for found in &channel.price {
        known_plans(whose, std::slice::from_ref(&found.plan), plans)?;
        let currency = currency(whose, &found.currency)?;
        let listed = plans.iter().find(|plan| plan.key == found.plan);
        if listed.is_none_or(|plan| plan.price(found.interval, currency).is_none()) {
            return rule(format!(
                "{whose} has a price of `{}` for {} in {currency}, which the plan itself has not; add it to the plan",
                found.plan,
                found.interval.as_str()
            ));
        }
        let same = |(plan, price): &(PlanKey, Price)| {
            *plan == found.plan && price.interval == found.interval && price.amount.currency == currency
        };
        if prices.iter().any(same) {
            return rule(format!("{whose} has two prices of `{}` for one interval; keep one", found.plan));
        }
        let price = FilePrice {
            interval: found.interval,
            currency: found.currency.clone(),
            amount: found.amount,
            stripe: found.stripe.clone(),
            lookup_key: found.lookup_key.clone(),
        };
        let suffix = format!("_{}", channel.key);
        prices.push((found.plan.clone(), read_price(found.plan.as_str(), &price, currency, &suffix)?));
    }
    Ok(prices)
}
