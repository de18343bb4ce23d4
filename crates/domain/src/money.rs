//! Money: an amount in minor units and its currency, never one without the other.
//!
//! "Minor unit" is the unit in which the provider counts (Stripe's rules for currencies): yen have
//! none, so `1980` is 1,980 JPY; dollars have two decimals; dinars three. There are no floats and no
//! division: what must be shared out is allocated without losing a unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency that Stripe can charge, in lower case as Stripe writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Currencies without a minor unit at Stripe.
const ZERO_DECIMAL: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
];
/// Currencies with three decimals at Stripe.
const THREE_DECIMAL: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];
/// Currencies with two decimals. `isk` and `ugx` have none in ISO 4217, but Stripe counts them in hundredths.
const TWO_DECIMAL: &[&str] = &[
    "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt", "bgn", "bmd",
    "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad", "cdf", "chf", "cny", "cop", "crc", "cve", "czk",
    "dkk", "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp", "gel", "gip", "gmd", "gtq", "gyd", "hkd",
    "hnl", "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "kes", "kgs", "khr", "kyd", "kzt", "lak", "lbp",
    "lkr", "lrd", "lsl", "mad", "mdl", "mkd", "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn",
    "nad", "ngn", "nio", "nok", "npr", "nzd", "pab", "pen", "pgk", "php", "pkr", "pln", "qar", "ron", "rsd",
    "rub", "sar", "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "std", "szl", "thb", "tjs", "top",
    "try", "ttd", "twd", "tzs", "uah", "ugx", "usd", "uyu", "uzs", "wst", "xcd", "xcg", "yer", "zar", "zmw",
];

/// Why money could not be made or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a currency that can be charged.
    #[error("`{0}` is not a currency that can be charged; use an ISO 4217 code such as jpy or usd")]
    UnknownCurrency(String),
    /// Two currencies met in one computation.
    #[error("{left} and {right} cannot be computed together")]
    CurrencyMismatch {
        /// The first amount's currency.
        left: Currency,
        /// The second amount's currency.
        right: Currency,
    },
    /// The result does not fit 64 bits.
    #[error("the amount is too large")]
    Overflow,
}

impl Currency {
    /// Reads an ISO 4217 code in either case.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] when it is not one that can be charged.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let lower = text.to_ascii_lowercase();
        let known =
            [ZERO_DECIMAL, THREE_DECIMAL, TWO_DECIMAL].iter().any(|list| list.contains(&lower.as_str()));
        match <[u8; 3]>::try_from(lower.as_bytes()) {
            Ok(code) if known => Ok(Self(code)),
            Ok(_) | Err(_) => Err(MoneyError::UnknownCurrency(text.chars().take(16).collect())),
        }
    }

    /// The code in lower case, as the provider writes it.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Decimals of the minor unit as Stripe counts it: 0, 2 or 3.
    #[must_use]
    pub fn exponent(&self) -> u32 {
        if ZERO_DECIMAL.contains(&self.code()) {
            0
        } else if THREE_DECIMAL.contains(&self.code()) {
            3
        } else {
            2
        }
    }
}

impl fmt::Display for Currency {
    /// The code in upper case, as people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code().to_ascii_uppercase())
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        Self::parse(&text)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// An amount in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The amount in minor units.
    #[serde(rename = "amount")]
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of `minor` units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
        }
    }

    /// The sum.
    ///
    /// # Errors
    /// On two currencies or overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The difference.
    ///
    /// # Errors
    /// On two currencies or overflow.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The amount times a quantity.
    ///
    /// # Errors
    /// On overflow.
    pub fn checked_mul(self, quantity: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(quantity).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// Shares the amount out by weights (largest remainder; ties to the earlier share), so that the
    /// shares always sum to the amount. All-zero or no weights give no shares.
    #[must_use]
    pub fn allocate(self, weights: &[u32]) -> Vec<Self> {
        let total: i128 = weights.iter().map(|w| i128::from(*w)).sum();
        if total == 0 {
            return Vec::new();
        }
        let whole = i128::from(self.minor);
        let mut shares: Vec<(i128, i128)> = weights
            .iter()
            .map(|w| {
                let product = whole * i128::from(*w);
                (product.div_euclid(total), product.rem_euclid(total))
            })
            .collect();
        let mut left = whole - shares.iter().map(|(floor, _)| floor).sum::<i128>();
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(shares.get(*i).map_or(0, |s| s.1)));
        for index in order {
            if left == 0 {
                break;
            }
            if let Some(share) = shares.get_mut(index) {
                share.0 += 1;
                left -= 1;
            }
        }
        shares
            .into_iter()
            .map(|(minor, _)| Self {
                minor: i64::try_from(minor).unwrap_or(i64::MAX),
                currency: self.currency,
            })
            .collect()
    }
}

impl fmt::Display for Money {
    /// For logs and operators: `1,980 JPY`, `12.50 USD`. Customers' pages format by locale.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = self.minor.unsigned_abs();
        let unit = 10_u64.pow(self.currency.exponent());
        let (whole, part) = (digits / unit, digits % unit);
        let mut grouped = String::new();
        let text = whole.to_string();
        for (i, c) in text.chars().enumerate() {
            if i > 0 && (text.len() - i) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(c);
        }
        match self.currency.exponent() {
            0 => write!(f, "{sign}{grouped} {}", self.currency),
            places => {
                write!(f, "{sign}{grouped}.{part:0places$} {}", self.currency, places = places as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).unwrap())
    }

    #[test]
    fn e13_decimals_follow_the_currency() {
        for (minor, code, text) in [
            (1980, "jpy", "1,980 JPY"),
            (1250, "usd", "12.50 USD"),
            (-5, "usd", "-0.05 USD"),
            (1_234_567, "kwd", "1,234.567 KWD"),
            (100, "isk", "1.00 ISK"),
            (100, "xcg", "1.00 XCG"),
            (0, "jpy", "0 JPY"),
            (i64::MIN, "jpy", "-9,223,372,036,854,775,808 JPY"),
        ] {
            assert_eq!(money(minor, code).to_string(), text);
        }
    }

    #[test]
    fn unknown_currencies_and_mixtures_are_refused() {
        for bad in ["", "yen", "us", "usdd", "¥", "xxx"] {
            assert!(Currency::parse(bad).is_err(), "{bad}");
        }
        assert!(matches!(
            money(1, "jpy").checked_add(money(1, "usd")),
            Err(MoneyError::CurrencyMismatch { .. })
        ));
        assert_eq!(money(i64::MAX, "jpy").checked_mul(2), Err(MoneyError::Overflow));
        assert_eq!(money(i64::MIN, "jpy").checked_sub(money(1, "jpy")), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn allocation_loses_nothing(minor in -1_000_000_000_i64..1_000_000_000, weights in proptest::collection::vec(0_u32..1000, 1..8)) {
            let shares = money(minor, "usd").allocate(&weights);
            if weights.iter().any(|w| *w > 0) {
                prop_assert_eq!(shares.iter().map(|s| s.minor).sum::<i64>(), minor);
                for (share, weight) in shares.iter().zip(&weights) {
                    if *weight == 0 { prop_assert_eq!(share.minor, 0); }
                }
            } else {
                prop_assert!(shares.is_empty());
            }
        }
    }
}
