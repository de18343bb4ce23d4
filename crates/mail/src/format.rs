//! Money and dates for a reader of a mail: integers in, text out, never a float.

use jiff::tz::TimeZone;
use quittance_domain::{Money, Timestamp};
use serde::{Deserialize, Serialize};

const NO_BREAK_SPACE: char = '\u{a0}';

/// The language of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Ja];

    /// The tag, as in file names and in `lang` attributes.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// The language of a tag such as `ja-JP`; `None` for one in which we do not write.
    #[must_use]
    pub fn of(tag: &str) -> Option<Self> {
        let first = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(first))
    }

    /// One of two texts.
    #[must_use]
    pub const fn choose<'a>(self, en: &'a str, ja: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Ja => ja,
        }
    }
}

/// An amount: `¥1,980`, `1,980円`, `$12.00`, `KWD 12.345`.
#[must_use]
pub fn money(language: Language, money: Money) -> String {
    let code = money.currency.to_string();
    let sign = if money.minor < 0 { "\u{2212}" } else { "" };
    let number = decimal(money.minor.unsigned_abs(), money.currency.exponent() as usize);
    let symbol = match (code.as_str(), language) {
        ("JPY", Language::Ja) => return format!("{sign}{number}円"),
        ("JPY", Language::En) => "¥",
        ("USD", _) => "$",
        ("EUR", _) => "€",
        ("GBP", _) => "£",
        ("KRW", _) => "₩",
        _ => return format!("{sign}{code}{NO_BREAK_SPACE}{number}"),
    };
    format!("{sign}{symbol}{number}")
}

/// Minor units with a point before the last `decimals` digits and commas between thousands.
#[must_use]
pub fn decimal(minor: u64, decimals: usize) -> String {
    let digits = format!("{minor:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if decimals > 0 {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// A calendar day in the reader's zone: `30 Nov 2026`, `2026年11月30日`. A time beyond the calendar is its number.
#[must_use]
pub fn date(language: Language, zone: &TimeZone, at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.ms()) else { return at.to_string() };
    let day = instant.to_zoned(zone.clone());
    match language {
        Language::En => format!("{} {} {}", day.day(), month(day.month()), day.year()),
        Language::Ja => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
    }
}

/// A point in time with its zone: `30 Nov 2026, 14:05 UTC`, `2026年11月30日 14:05（日本時間）`.
#[must_use]
pub fn time(language: Language, zone: &TimeZone, at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.ms()) else { return at.to_string() };
    let clock = instant.to_zoned(zone.clone());
    let info = zone.to_offset_info(instant);
    let (day, hour, minute) = (date(language, zone, at), clock.hour(), clock.minute());
    match (language, info.abbreviation()) {
        (Language::En, zone) => format!("{day}, {hour:02}:{minute:02} {zone}"),
        (Language::Ja, "JST") => format!("{day} {hour}:{minute:02}（日本時間）"),
        (Language::Ja, zone) => format!("{day} {hour}:{minute:02}（{zone}）"),
    }
}

fn month(number: i8) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or("?")
}

/// How often something is charged: `every month`, `毎月`; nothing for a word that we do not know.
#[must_use]
pub fn interval(language: Language, word: &str) -> Option<&'static str> {
    let (en, ja) = match word {
        "day" => ("every day", "毎日"),
        "week" => ("every week", "毎週"),
        "month" => ("every month", "毎月"),
        "year" => ("every year", "毎年"),
        _ => return None,
    };
    Some(language.choose(en, ja))
}

#[cfg(test)]
mod tests {
    use quittance_domain::Currency;

    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (minor, code, en, ja) in [
            (1_980, "jpy", "¥1,980", "1,980円"),
            (1_234_567, "usd", "$12,345.67", "$12,345.67"),
            (-5, "usd", "−$0.05", "−$0.05"),
            (12_345, "kwd", "KWD\u{a0}12.345", "KWD\u{a0}12.345"),
            (100, "isk", "ISK\u{a0}1.00", "ISK\u{a0}1.00"),
            (0, "jpy", "¥0", "0円"),
        ] {
            let amount = Money::new(minor, Currency::parse(code).unwrap());
            assert_eq!(money(Language::En, amount), en);
            assert_eq!(money(Language::Ja, amount), ja);
        }
    }

    #[test]
    fn days_are_those_of_the_readers_zone() {
        let at = Timestamp::from_seconds(1_764_520_000); // 2025-11-30 16:26:40 UTC
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(time(Language::En, &TimeZone::UTC, at), "30 Nov 2025, 16:26 UTC");
        assert_eq!(time(Language::Ja, &tokyo, at), "2025年12月1日 1:26（日本時間）");
        assert_eq!(time(Language::Ja, &TimeZone::UTC, at), "2025年11月30日 16:26（UTC）");
        assert_eq!(date(Language::Ja, &tokyo, at), "2025年12月1日");
        let beyond = Timestamp::from_ms(i64::MAX);
        assert_eq!(date(Language::En, &tokyo, beyond), beyond.to_string());
    }

    #[test]
    fn languages_are_told_by_their_first_part() {
        for (tag, language) in [
            ("ja", Some(Language::Ja)),
            ("JA_jp", Some(Language::Ja)),
            ("en-GB", Some(Language::En)),
            ("jam", None),
            ("", None),
        ] {
            assert_eq!(Language::of(tag), language, "{tag}");
        }
    }
}
