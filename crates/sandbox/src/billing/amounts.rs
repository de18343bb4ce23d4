//! What prices come to: the currency that several agree on, and amounts that can be charged at all.

use crate::model::decimal::Decimal;
use crate::model::product::Price;
use crate::pages::{Locale, Money, format_money};
use crate::wire::error::{ApiError, ApiResult};

/// The largest amount of one line, in minor units: what twelve digits hold.
const LARGEST: i64 = 999_999_999_999;

/// What is due in advance for a quantity, in minor units; nothing of a metered price.
pub(crate) fn in_advance(price: &Price, currency: &str, quantity: i64) -> i64 {
    if price.is_metered() { 0 } else { price.total(currency, quantity) }
}

/// What a quantity costs in advance, refused when no invoice could hold it or the price is not sold in the currency.
pub(crate) fn payable(price: &Price, currency: &str, quantity: i64, param: &str) -> ApiResult<i64> {
    let pricing = price.pricing_in(currency).ok_or_else(|| not_sold_in(price, currency, param))?;
    let total = pricing.total(quantity);
    if price.is_metered() {
        return Ok(0);
    }
    if total > LARGEST {
        return Err(ApiError::invalid(
            "amount_too_large",
            param,
            format!("{quantity} units of `{}` cost more than {LARGEST} in the smallest unit.", price.id),
        ));
    }
    Ok(total)
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
