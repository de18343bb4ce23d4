//! Percentages without floats: up to four decimals, kept as ten-thousandths of a percent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::payments::balance::round_fraction;

/// Ten-thousandths of a percent in one percent.
const ONE: i64 = 10_000;

/// A percentage from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Percent(i64);

impl Percent {
    /// Reads `12.5`; nothing but digits and one point, at most four decimals, at most 100.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.chars().all(|char| char.is_ascii_digit());
        if whole.is_empty() || decimals.len() > 4 || !digits(whole) || !digits(decimals) {
            return None;
        }
        let whole: i64 = whole.parse().ok().filter(|whole| *whole <= 100)?;
        let part: i64 = format!("{decimals:0<4}").parse().ok()?;
        Some(Self(whole * ONE + part)).filter(|percent| percent.0 <= 100 * ONE)
    }

    /// Whether it is nothing.
    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This share of an amount, rounded half away from zero.
    pub(crate) fn of(self, amount: i64) -> i64 {
        round_fraction(amount, self.0, 100 * ONE)
    }

    /// The part of an amount that is this percentage added to the rest, when `all` percent in sum were added.
    pub(crate) fn within(self, amount: i64, all: &[Self]) -> i64 {
        let added: i64 = all.iter().map(|percent| percent.0).sum();
        round_fraction(amount, self.0, 100 * ONE + added)
    }

    /// The number as the API shows it: `10`, or `12.5`.
    pub(crate) fn render(self) -> Value {
        serde_json::from_str(&String::from(self)).unwrap_or_default()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        let text = format!("{}.{:04}", percent.0 / ONE, percent.0 % ONE);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("'{text}' is no percentage from 0 to 100, such as \"12.5\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(text: &str) -> Percent {
        Percent::parse(text).unwrap()
    }

    #[test]
    fn percentages_are_read_exactly() {
        for text in ["0", "100", "12.5", "8.875", "0.0001"] {
            assert_eq!(String::from(percent(text)), text);
            assert_eq!(percent(text).render().to_string(), text);
        }
        for wrong in ["", "-1", "100.0001", "1.23456", "1e1", "101", ".5", "1 "] {
            assert_eq!(Percent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn shares_round_half_away_from_zero() {
        assert_eq!(percent("12.5").of(1_000), 125);
        assert_eq!(percent("50").of(5), 3);
        assert_eq!(percent("50").of(-5), -3);
        assert_eq!(percent("10").within(1_100, &[percent("10")]), 100);
        assert_eq!(percent("5").within(1_150, &[percent("5"), percent("10")]), 50);
    }
}
