//! Money and dates for a reader: integers in, text out, never a float.
//!
//! Decimals per currency follow ISO 4217; symbols are used where a reader of the language expects them, the code
//! elsewhere. Dates are absolute and carry their zone; the relative form stands beside them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::text::{Text, say};
use super::views::{Interval, IntervalUnit, Locale, Money};

/// Currencies without minor units.
const ZERO_DECIMAL: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];
/// Currencies with thousandths.
const THREE_DECIMAL: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

const NO_BREAK_SPACE: char = '\u{a0}';

/// An amount for a reader: `¥1,980`, `1,980円`, `$12.00`, `KWD 12.345`.
#[must_use]
pub fn format_money(locale: Locale, money: &Money) -> String {
    let code = money.currency.to_ascii_uppercase();
    let sign = if money.amount < 0 { "\u{2212}" } else { "" };
    let number = decimal(money.amount.unsigned_abs(), decimals(&code));
    let symbol = match code.as_str() {
        "JPY" => match locale {
            Locale::Ja => return format!("{sign}{number}円"),
            Locale::En => "¥",
        },
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "KRW" => "₩",
        _ => return format!("{sign}{code}{NO_BREAK_SPACE}{number}"),
    };
    format!("{sign}{symbol}{number}")
}

fn decimals(code: &str) -> usize {
    if ZERO_DECIMAL.contains(&code) {
        0
    } else if THREE_DECIMAL.contains(&code) {
        3
    } else {
        2
    }
}

/// Minor units with a point before the last `decimals` digits and commas between thousands.
fn decimal(minor: u64, decimals: usize) -> String {
    let digits = format!("{minor:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
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

/// A price with its interval: `¥1,980 per month`, `1,980円/月`.
pub(super) fn price_per(locale: Locale, money: &Money, interval: Interval) -> String {
    let amount = format_money(locale, money);
    let count = interval.count.to_string();
    let text = match (interval.count, interval.unit) {
        (1, IntervalUnit::Day) => Text::PerDay,
        (1, IntervalUnit::Week) => Text::PerWeek,
        (1, IntervalUnit::Month) => Text::PerMonth,
        (1, IntervalUnit::Year) => Text::PerYear,
        (_, IntervalUnit::Day) => Text::PerDays,
        (_, IntervalUnit::Week) => Text::PerWeeks,
        (_, IntervalUnit::Month) => Text::PerMonths,
        (_, IntervalUnit::Year) => Text::PerYears,
    };
    say(locale, text, &[("amount", &amount), ("count", &count)])
}

/// A calendar day: `30 Nov 2026`, `2026年11月30日`. A time out of the calendar's range is shown as its number.
pub(super) fn date(locale: Locale, zone: &TimeZone, seconds: i64) -> String {
    let Ok(instant) = Timestamp::from_second(seconds) else {
        return seconds.to_string();
    };
    let day = instant.to_zoned(zone.clone());
    match locale {
        Locale::En => format!("{} {} {}", day.day(), month_name(day.month()), day.year()),
        Locale::Ja => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
    }
}

/// A point in time with its zone: `30 Nov 2026, 14:05 UTC`, `2026年11月30日 14:05 UTC`.
#[must_use]
pub fn format_timestamp(locale: Locale, zone: &TimeZone, seconds: i64) -> String {
    let Ok(instant) = Timestamp::from_second(seconds) else {
        return seconds.to_string();
    };
    let time = instant.to_zoned(zone.clone());
    let info = zone.to_offset_info(instant);
    let comma = match locale {
        Locale::En => ",",
        Locale::Ja => "",
    };
    let day = date(locale, zone, seconds);
    format!("{day}{comma} {:02}:{:02} {}", time.hour(), time.minute(), info.abbreviation())
}

/// RFC 3339 in UTC, for `datetime` attributes.
pub(super) fn machine_time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), |instant| instant.to_string())
}

/// How far away: `in 3 days`, `3日後`, `5 minutes ago`, `5分前`, `now`.
pub(super) fn relative(locale: Locale, now: i64, at: i64) -> String {
    let distance = at.abs_diff(now);
    // To the nearest: what renews in a month less a minute renews in 30 days, not in 29.
    let nearest = |unit: u64| (distance + unit / 2) / unit;
    let (count, one, many) = match distance {
        0..60 => return say(locale, Text::Now, &[]),
        60..7_170 => (nearest(60), Text::OneMinute, Text::Minutes),
        7_170..171_000 => (nearest(3_600), Text::OneHour, Text::Hours),
        _ => (nearest(86_400), Text::OneDay, Text::Days),
    };
    let count_text = count.to_string();
    let span = say(locale, if count == 1 { one } else { many }, &[("count", &count_text)]);
    let direction = if at > now { Text::InSpan } else { Text::SpanAgo };
    say(locale, direction, &[("span", &span)])
}

/// A number of days in words: `1 day`, `14 days`, `14日間`.
pub(super) fn day_count(locale: Locale, days: u32) -> String {
    let text = if days == 1 { Text::TrialOneDay } else { Text::TrialDays };
    say(locale, text, &[("count", &days.to_string())])
}

fn month_name(month: i8) -> &'static str {
    match month {
        1 => "Jan",
        2 => "Feb",
        3 => "Mar",
        4 => "Apr",
        5 => "May",
        6 => "Jun",
        7 => "Jul",
        8 => "Aug",
        9 => "Sep",
        10 => "Oct",
        11 => "Nov",
        _ => "Dec",
    }
}
