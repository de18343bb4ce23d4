//! Money and dates for a reader: integers in, text out, never a float.
//!
//! Decimals follow the currency as [`Currency::exponent`](quittance_domain::Currency::exponent) counts them; symbols are
//! used where a reader of the language expects them, the code elsewhere. Dates are absolute and carry their zone; the
//! relative form stands beside them.

use jiff::tz::TimeZone;
use quittance_domain::catalog::Interval;
use quittance_domain::{Money, Timestamp};

use super::layout::Locale;
use super::text::{Text, say};

const NO_BREAK_SPACE: char = '\u{a0}';

/// An amount for a reader: `¥1,980`, `1,980円`, `$12.00`, `KWD 12.345`.
#[must_use]
pub fn format_money(locale: Locale, money: Money) -> String {
    let code = money.currency.to_string();
    let sign = if money.minor < 0 { "\u{2212}" } else { "" };
    let number = decimal(money.minor.unsigned_abs(), money.currency.exponent() as usize);
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

/// Minor units with a point before the last `decimals` digits and commas between thousands.
pub(super) fn decimal(minor: u64, decimals: usize) -> String {
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

/// A price with its interval: `¥1,980 per month`, `1,980円/月`; a one-off price is the amount alone.
pub(super) fn price_per(locale: Locale, money: Money, interval: Interval) -> String {
    let amount = format_money(locale, money);
    let text = match interval {
        Interval::Day => Text::PerDay,
        Interval::Week => Text::PerWeek,
        Interval::Month => Text::PerMonth,
        Interval::Year => Text::PerYear,
        Interval::Once => return amount,
    };
    say(locale, text, &[("amount", &amount)])
}

/// A calendar day: `30 Nov 2026`, `2026年11月30日`. A time out of the calendar's range is shown as its number.
#[must_use]
pub fn format_date(locale: Locale, zone: &TimeZone, at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.ms()) else {
        return at.to_string();
    };
    let day = instant.to_zoned(zone.clone());
    match locale {
        Locale::En => format!("{} {} {}", day.day(), month_name(day.month()), day.year()),
        Locale::Ja => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
    }
}

/// A point in time with its zone: `30 Nov 2026, 14:05 UTC`, `2026年11月30日 14:05 UTC`.
#[must_use]
pub fn format_timestamp(locale: Locale, zone: &TimeZone, at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.ms()) else {
        return at.to_string();
    };
    let time = instant.to_zoned(zone.clone());
    let info = zone.to_offset_info(instant);
    let comma = match locale {
        Locale::En => ",",
        Locale::Ja => "",
    };
    let day = format_date(locale, zone, at);
    format!("{day}{comma} {:02}:{:02} {}", time.hour(), time.minute(), info.abbreviation())
}

/// How far away: `in 3 days`, `3日後`, `5 minutes ago`, `5分前`, `now`.
pub(super) fn relative(locale: Locale, now: Timestamp, at: Timestamp) -> String {
    let distance = at.seconds().abs_diff(now.seconds());
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
