//! What prices come to: the currency that several agree on, and amounts that can be charged at all.

use super::subscribe::{NewItem, same_rhythm};
use crate::model::decimal::Decimal;
use crate::model::product::Price;
use crate::pages::{Locale, Money, format_money};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

/// No amount of a line has more than twelve digits, in minor units.
const LARGEST: i64 = 999_999_999_999;

/// What is due in advance for a quantity, in minor units; nothing of a metered price.
pub(crate) fn in_advance(price: &Price, currency: &str, quantity: i64) -> i64 {
    if price.is_metered() { 0 } else { price.total(currency, quantity) }
}

/// What a quantity costs in advance, refused when no invoice could hold it or the price is not sold in the currency. The
/// parameters are those of the price and of the quantity.
pub(crate) fn payable(price: &Price, currency: &str, quantity: i64, params: [&str; 2]) -> ApiResult<i64> {
    let [of_price, of_quantity] = params;
    let pricing = price.pricing_in(currency).ok_or_else(|| not_sold_in(price, currency, of_price))?;
    let total = pricing.total(quantity);
    if price.is_metered() {
        return Ok(0);
    }
    if total > LARGEST {
        return Err(ApiError::invalid(
            "amount_too_large",
            of_quantity,
            format!("{quantity} units of `{}` cost more than {LARGEST} in the smallest unit.", price.id),
        ));
    }
    Ok(total)
}

impl World {
    /// The currency of a new subscription; a customer who has one stays with it.
    pub(crate) fn currency_of_items(
        &self,
        items: &[NewItem],
        asked: Option<String>,
        customers: Option<&str>,
    ) -> ApiResult<String> {
        let prices: Vec<Price> = items
            .iter()
            .enumerate()
            .map(|(index, item)| need(&self.prices, &item.price, &format!("items[{index}][price]")))
            .collect::<ApiResult<_>>()?;
        let agreed = agreed_currency(&prices, asked, customers).unwrap_or_default();
        if customers.is_some_and(|currency| currency != agreed) {
            return Err(other_currency("currency"));
        }
        Ok(agreed)
    }

    /// Checks that the prices exist, recur alike and can be paid in one currency.
    pub(crate) fn check_items<'a>(
        &self,
        items: impl Iterator<Item = (&'a str, i64)>,
        currency: Option<&str>,
    ) -> ApiResult<Vec<Price>> {
        let mut prices: Vec<Price> = Vec::new();
        for (index, (price, quantity)) in items.enumerate() {
            let param = format!("items[{index}][price]");
            let price = need(&self.prices, price, &param)?;
            if price.recurring.is_none() {
                return Err(ApiError::rule(format!("The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: {}", price.id)).param(&param));
            }
            if prices.iter().any(|other| other.id == price.id) {
                return Err(ApiError::rule("You cannot use the same price on several items of a subscription; change the quantity instead.").param(&param));
            }
            let other = prices.first();
            let agreed = currency.or(other.map(|other| other.currency.as_str())).unwrap_or(&price.currency);
            let differs = other.is_some_and(|other| !same_rhythm(other.recurring, price.recurring));
            if differs || price.pricing_in(agreed).is_none() {
                return Err(other_currency(&param));
            }
            payable(&price, agreed, quantity, [&param, &format!("items[{index}][quantity]")])?;
            prices.push(price);
        }
        Ok(prices)
    }
}

fn other_currency(param: &str) -> ApiError {
    ApiError::rule("Currency and interval fields must match across all prices on this subscription and the customer's currency.").param(param)
}

fn not_sold_in(price: &Price, currency: &str, param: &str) -> ApiError {
    ApiError::rule(format!(
        "The price `{}` is not sold in `{currency}`: that is neither its currency nor one of its `currency_options`.",
        price.id
    ))
    .param(param)
}

/// The currency of a purchase: the one that was asked for, else the buyer's own where everything is sold in it, else
/// the first price's.
pub(crate) fn agreed_currency(
    prices: &[Price],
    wanted: Option<String>,
    buyers: Option<&str>,
) -> Option<String> {
    let suits = |currency: &&str| prices.iter().all(|price| price.pricing_in(currency).is_some());
    wanted
        .or_else(|| buyers.filter(suits).map(str::to_owned))
        .or_else(|| prices.first().map(|price| price.currency.clone()))
}

/// An amount per unit with its symbol, as line descriptions write it: `¥1,980`, `$12.00`, `$0.005`.
pub(crate) fn priced(unit: Decimal, currency: &str) -> String {
    let (amount, fraction) = unit.parts();
    let text = format_money(Locale::En, &Money { amount, currency: currency.to_owned() });
    let point = if fraction.is_empty() || text.contains('.') { "" } else { "." };
    format!("{text}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_cent_is_written_out() {
        let priced = |text: &str, currency: &str| priced(Decimal::parse(text).unwrap(), currency);
        assert_eq!(priced("1200", "usd"), "$12.00");
        assert_eq!(priced("0.5", "usd"), "$0.005");
        assert_eq!(priced("1980.25", "jpy"), "¥1,980.25");
    }
}
