//! Exact decimals for amounts per unit and for quantities: with up to twelve places, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

const PLACES: usize = 12;
const ONE: i128 = 1_000_000_000_000;

/// No line of an invoice is further from zero than this, in minor units, so that sums of lines cannot overflow.
const LARGEST_AMOUNT: i64 = 10_000_000_000_000;

/// An amount of minor units, or a quantity, with up to twelve decimal places, as `unit_amount_decimal` and
/// `quantity_decimal` have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Decimal(i128);

impl From<i64> for Decimal {
    fn from(minor: i64) -> Self {
        Self(i128::from(minor) * ONE)
    }
}

impl Decimal {
    /// Reads plain digits with at most twelve decimal places; no sign, no exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 18
            || fraction.len() > PLACES
            || !digits(whole)
            || !digits(fraction)
        {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let fraction: i128 = format!("{fraction:0<PLACES$}").parse().ok()?;
        Some(Self(whole * ONE + fraction))
    }

    /// The amount in whole minor units; `None` when it has a fraction.
    pub(crate) fn whole(self) -> Option<i64> {
        if self.0 % ONE == 0 { i64::try_from(self.0 / ONE).ok() } else { None }
    }

    /// Its whole minor units, and the digits after the point without the zeros at their end.
    pub(crate) fn parts(self) -> (i64, String) {
        let fraction = format!("{:0>PLACES$}", (self.0 % ONE).unsigned_abs());
        (i64::try_from(self.0 / ONE).unwrap_or(i64::MAX), fraction.trim_end_matches('0').to_owned())
    }

    /// What is before the point.
    pub(crate) fn truncated(self) -> i64 {
        i64::try_from(self.0 / ONE).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many packages of a size a quantity fills, and whether it leaves a rest.
    pub(crate) fn packages(self, size: i64) -> (i64, bool) {
        let size = i128::from(size.max(1)) * ONE;
        (i64::try_from(self.0 / size).unwrap_or(i64::MAX), self.0 % size > 0)
    }

    /// The amount for a number of units, rounded half away from zero to minor units; never beyond ±10¹³.
    pub(crate) fn times(self, quantity: impl Into<Self>) -> i64 {
        let Self(quantity) = quantity.into();
        let whole = self.0.saturating_mul(quantity / ONE);
        // What this division cuts off is below the twelfth place, where it cannot carry a sum over a half.
        let part = self.0.saturating_mul(quantity % ONE) / ONE;
        let product = whole.saturating_add(part);
        let rounded = product.saturating_add(product.signum() * (ONE / 2)) / ONE;
        let largest = i128::from(LARGEST_AMOUNT);
        i64::try_from(rounded.clamp(-largest, largest)).unwrap_or(LARGEST_AMOUNT)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / ONE.unsigned_abs(), magnitude % ONE.unsigned_abs());
        let fraction = format!("{fraction:0>PLACES$}");
        match fraction.trim_end_matches('0') {
            "" => write!(formatter, "{sign}{whole}"),
            fraction => write!(formatter, "{sign}{whole}.{fraction}"),
        }
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.to_string()
    }
}

impl TryFrom<String> for Decimal {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let magnitude = Self::parse(digits).ok_or_else(|| format!("'{text}' is no decimal"))?;
        Ok(if negative { Self(-magnitude.0) } else { magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn texts_are_read_exactly_and_written_without_idle_zeros() {
        for (text, shown) in
            [("0", "0"), ("12.500", "12.5"), ("0.000000000001", "0.000000000001"), ("7.", "7")]
        {
            assert_eq!(decimal(text).to_string(), shown);
        }
        for text in ["", "-1", "1e3", ".5", "1.0000000000001", "1,5", "9999999999999999999"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!((decimal("3.0").whole(), decimal("3.5").whole()), (Some(3), None));
    }

    #[test]
    fn a_product_is_rounded_once_and_halves_go_up() {
        assert_eq!(decimal("0.5").times(1), 1);
        assert_eq!(decimal("0.05").times(1_001), 50);
        assert_eq!(decimal("0.05").times(1_010), 51);
        assert_eq!(decimal("0.333333333333").times(3), 1);
        assert_eq!(Decimal::from(-3).times(5), -15);
        assert_eq!(decimal("99999999").times(i64::MAX), 10_000_000_000_000);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(whole in -1_000_000_i64..1_000_000, fraction in 0_u64..1_000_000_000_000) {
            let text = format!("{whole}.{fraction:012}");
            let decimal = Decimal::try_from(text).unwrap();
            proptest::prop_assert_eq!(Decimal::try_from(decimal.to_string()).unwrap(), decimal);
        }
    }
}
