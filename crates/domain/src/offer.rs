//! What makes a price other than the list's: percentages, amounts off, promotions, and channels (agencies, partners).
//!
//! Only what they are. Who gets one, and what remains of the price, is decided by `pricing`. No number here is a float:
//! percentages are hundredths of a percent, amounts are minor units.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::{Price, Text};
use crate::digest::short_hex;
use crate::ids::{ChannelKey, PlanKey, PromotionKey};
use crate::money::{Currency, Money, MoneyError};
use crate::time::Timestamp;

/// Hundredths of a percent in the whole.
const WHOLE: u32 = 10_000;
/// Most months that a reduction may be repeated.
const MOST_MONTHS: u32 = 120;

/// A percentage above 0 and up to 100, with at most two decimals, as the provider takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "PercentText", into = "String")]
pub struct Percent(u32);

#[derive(Deserialize)]
#[serde(untagged)]
enum PercentText {
    Whole(u32),
    Text(String),
}

impl TryFrom<PercentText> for Percent {
    type Error = String;
    fn try_from(text: PercentText) -> Result<Self, String> {
        let text = match text {
            PercentText::Whole(whole) => whole.to_string(),
            PercentText::Text(text) => text,
        };
        Self::parse(&text).ok_or_else(|| {
            let shown: String = text.chars().take(16).collect();
            format!("`{shown}` is not a percentage above 0 and up to 100 with at most two decimals, such as 20 or \"12.5\"")
        })
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl Percent {
    /// Reads `20` or `12.5`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !digits(whole) || !digits(part) {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let part: u32 = format!("{part:0<2}").parse().ok()?;
        let hundredths = whole.checked_mul(100)?.checked_add(part)?;
        (1..=WHOLE).contains(&hundredths).then_some(Self(hundredths))
    }

    /// In hundredths of a percent, 1 to 10,000.
    #[must_use]
    pub const fn hundredths(self) -> u32 {
        self.0
    }

    /// This share of an amount that is not negative, rounded half up to a whole minor unit, as the provider rounds it.
    #[must_use]
    pub fn of(self, minor: i64) -> i64 {
        let product = i128::from(minor.max(0)) * i128::from(self.0);
        let whole = i128::from(WHOLE);
        i64::try_from((product * 2 + whole) / (whole * 2)).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Percent {
    /// `20`, `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// What is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, try_from = "OffFile", into = "OffFile")]
pub enum Off {
    /// A share.
    Percent(Percent),
    /// An amount for each currency, once for each invoice whatever the quantity; never more than there is.
    Amount(Vec<Money>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OffFile {
    Percent(Percent),
    Amount(BTreeMap<String, i64>),
}

impl TryFrom<OffFile> for Off {
    type Error = String;
    fn try_from(file: OffFile) -> Result<Self, String> {
        let amounts = match file {
            OffFile::Percent(percent) => return Ok(Self::Percent(percent)),
            OffFile::Amount(amounts) => amounts,
        };
        if amounts.is_empty() {
            return Err("an amount off needs at least one currency, such as { jpy = 500 }".to_owned());
        }
        let read = |(code, minor): (&String, &i64)| {
            let currency = Currency::parse(code).map_err(|error: MoneyError| error.to_string())?;
            if !(1..=99_999_999).contains(minor) {
                return Err(format!("{minor} is not an amount off in minor units (1 to 99999999)"));
            }
            Ok(Money::new(*minor, currency))
        };
        amounts.iter().map(read).collect::<Result<_, String>>().map(Self::Amount)
    }
}

impl From<Off> for OffFile {
    fn from(off: Off) -> Self {
        match off {
            Off::Percent(percent) => Self::Percent(percent),
            Off::Amount(amounts) => {
                Self::Amount(amounts.iter().map(|m| (m.currency.code().to_owned(), m.minor)).collect())
            }
        }
    }
}

impl Off {
    /// What it takes off an amount: never more than the amount, and nothing in a currency that it does not name (`None`).
    #[must_use]
    pub fn of(&self, amount: Money) -> Option<Money> {
        let minor = match self {
            Self::Percent(percent) => percent.of(amount.minor),
            Self::Amount(amounts) => amounts.iter().find(|off| off.currency == amount.currency)?.minor,
        };
        Some(Money::new(minor.min(amount.minor).max(0), amount.currency))
    }
}

impl fmt::Display for Off {
    /// For traces: `20 percent`, `500 JPY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent} percent"),
            Self::Amount(amounts) => {
                let shown: Vec<String> = amounts.iter().map(ToString::to_string).collect();
                f.write_str(&shown.join(" / "))
            }
        }
    }
}

/// For how long a reduction holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "LastsFile", into = "LastsFile")]
pub enum Lasts {
    /// For the first invoice that it meets.
    #[default]
    Once,
    /// For every invoice of so many months.
    Months(u32),
    /// For as long as the subscription lasts.
    Forever,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum LastsFile {
    Once,
    Forever,
    Months(u32),
}

impl TryFrom<LastsFile> for Lasts {
    type Error = String;
    fn try_from(file: LastsFile) -> Result<Self, String> {
        match file {
            LastsFile::Once => Ok(Self::Once),
            LastsFile::Forever => Ok(Self::Forever),
            LastsFile::Months(months) if (1..=MOST_MONTHS).contains(&months) => Ok(Self::Months(months)),
            LastsFile::Months(months) => {
                Err(format!("{months} is not a number of months (1 to {MOST_MONTHS})"))
            }
        }
    }
}

impl From<Lasts> for LastsFile {
    fn from(lasts: Lasts) -> Self {
        match lasts {
            Lasts::Once => Self::Once,
            Lasts::Months(months) => Self::Months(months),
            Lasts::Forever => Self::Forever,
        }
    }
}

impl fmt::Display for Lasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("once"),
            Self::Months(months) => write!(f, "{months} months"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// A reduction of a price: how much, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduction {
    /// How much.
    pub off: Off,
    /// For how long.
    #[serde(default)]
    pub lasts: Lasts,
}

/// From when and until when something holds; the end is not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// From then on; `None` from always.
    pub from: Option<Timestamp>,
    /// No longer then; `None` for ever.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at)
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.has_begun(at) && !self.is_over(at)
    }
}

/// A promotion: a reduction that a buyer gets for a code, or that a checkout names by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// Its key.
    pub key: PromotionKey,
    /// What buyers type; `None` is only named by the app.
    pub code: Option<String>,
    /// What people read.
    pub name: Text,
    /// What it takes off.
    pub reduction: Reduction,
    /// When it holds.
    pub window: Window,
    /// The plans that it is for; empty is all.
    pub plans: Vec<PlanKey>,
    /// The currencies that it is for; empty is all that its amounts allow.
    pub currencies: Vec<Currency>,
    /// Only for customers who have bought nothing yet.
    pub first_purchase: bool,
    /// How many may use it in all; counted by the provider.
    pub max_redemptions: Option<i64>,
    /// Whether it is shown to everybody in the list of plans.
    pub public: bool,
    /// The provider's own promotion code, when it is not of the catalog but was named by its id there.
    pub provider_code: Option<String>,
}

/// A way to the customer with prices or a reduction of its own: an agency, a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its key.
    pub key: ChannelKey,
    /// What people read.
    pub name: Text,
    /// What it takes off, if it does so by a reduction.
    pub reduction: Option<Reduction>,
    /// Its own prices, which stand in place of the list's.
    pub prices: Vec<(PlanKey, Price)>,
    /// The plans that its reduction is for; empty is all.
    pub plans: Vec<PlanKey>,
    /// When it holds.
    pub window: Window,
}

fn coupon_id(whose: &str, parts: &[&str]) -> String {
    let digest = short_hex(parts);
    format!("quittance-{whose}-{}", digest.get(..12).unwrap_or_default())
}

fn as_text(reduction: &Reduction) -> String {
    serde_json::to_string(reduction).unwrap_or_default()
}

/// The id of the coupon that carries a promotion at the provider. Coupons never change there: another reduction, end or
/// set of plans is another coupon.
#[must_use]
pub fn coupon_of_promotion(promotion: &Promotion) -> String {
    let plans: Vec<&str> = promotion.plans.iter().map(PlanKey::as_str).collect();
    let until = promotion.window.until.map(|at| at.seconds().to_string()).unwrap_or_default();
    let most = promotion.max_redemptions.map(|most| most.to_string()).unwrap_or_default();
    let parts = [promotion.key.as_str(), &as_text(&promotion.reduction), &plans.join(","), &until, &most];
    coupon_id(promotion.key.as_str(), &parts)
}

/// The id of the coupon that carries a channel's reduction at the provider.
#[must_use]
pub fn coupon_of_channel(channel: &ChannelKey, reduction: &Reduction) -> String {
    coupon_id(channel.as_str(), &["channel", channel.as_str(), &as_text(reduction)])
}

/// The id of the coupon that carries a customer's own reduction at the provider: equal reductions share one.
#[must_use]
pub fn coupon_of_own(reduction: &Reduction) -> String {
    coupon_id("own", &["own", &as_text(reduction)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentages_are_read_exactly_and_round_half_up() {
        for (text, minor, share) in [
            ("20", 1_980, 396),
            ("12.5", 1_000, 125),
            ("50", 5, 3),
            ("33.33", 100, 33),
            ("0.01", 5_000, 1),
            ("0.01", 4_999, 0),
            ("100", i64::MAX, i64::MAX),
        ] {
            let percent = Percent::parse(text).unwrap();
            assert_eq!((percent.to_string().as_str(), percent.of(minor)), (text, share));
        }
        for wrong in ["", "0", "0.00", "100.01", "-1", "1e1", "12.345", ".5", "1 ", "2000"] {
            assert_eq!(Percent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            r#"{"off":{"percent":"12.5"},"lasts":"forever"}"#,
            r#"{"off":{"amount":{"jpy":500,"usd":400}},"lasts":{"months":3}}"#,
            r#"{"off":{"percent":"20"},"lasts":"once"}"#,
        ] {
            let read: Reduction = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
        for wrong in [
            r#"{"off":{"percent":"12.5","amount":{"jpy":1}}}"#,
            r#"{"off":{"percent":12.5}}"#,
            r#"{"off":{"amount":{}}}"#,
            r#"{"off":{"amount":{"yen":1}}}"#,
            r#"{"off":{"amount":{"jpy":-1}}}"#,
            r#"{"off":{"percent":"5"},"lasts":{"months":0}}"#,
            r#"{"off":{"percent":"5"},"for":1}"#,
        ] {
            assert!(serde_json::from_str::<Reduction>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_takes_off_more_than_there_is(minor in 0..i64::MAX, hundredths in 1_u32..=10_000, amount in 1_i64..99_999_999) {
            let yen = Currency::parse("jpy").unwrap();
            for off in [Off::Percent(Percent(hundredths)), Off::Amount(vec![Money::new(amount, yen)])] {
                let taken = off.of(Money::new(minor, yen)).unwrap().minor;
                prop_assert!((0..=minor).contains(&taken));
            }
        }
    }
}
