//! Money and dates for a reader: integers in, text out, never a float.
//!
//! Amounts and dates read as in mails ([`quittance_mail::format`]). Dates are absolute and carry their zone; the relative
//! form stands beside them.

use jiff::tz::TimeZone;
use quittance_domain::catalog::Interval;
use quittance_domain::{Money, Timestamp};
use quittance_mail::format;

use super::layout::Locale;
use super::mail::language_of;
use super::text::{Text, say};

/// An amount for a reader: `¥1,980`, `1,980円`, `$12.00`, `KWD 12.345`.
#[must_use]
pub fn format_money(locale: Locale, money: Money) -> String {
    format::money(language_of(locale), money)
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
    format::date(language_of(locale), zone, at)
}

/// A point in time with its zone: `30 Nov 2026, 14:05 UTC`, `2026年11月30日 14:05 UTC`.
#[must_use]
pub fn format_timestamp(locale: Locale, zone: &TimeZone, at: Timestamp) -> String {
    format::time(language_of(locale), zone, at)
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
