//! When something runs that runs again and again: a cron line in a time zone.

use std::fmt;
use std::sync::Arc;

use cronexpr::{Crontab, MakeTimestamp};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use quittance_domain::Timestamp;
use quittance_domain::time::HOUR_MS;

/// A cron line (minute, hour, day of the month, month, day of the week) in a time zone. One that names its hours comes once
/// on the nights that clocks are changed: where its time is skipped, as soon as they are put forward; where it comes twice, at
/// the first. One for every hour (`*`) goes on by the time that passes.
#[derive(Clone)]
pub struct Schedule {
    text: Arc<str>,
    line: Arc<Crontab>,
    /// What the line's times, which are read as if they were of UTC, mean; none where the line has the zone itself.
    wall: Option<TimeZone>,
}

impl Schedule {
    /// Reads a cron line; its times are those of `zone`, an IANA name such as `Asia/Tokyo`.
    ///
    /// # Errors
    /// What is wrong with the line or the zone, in words.
    pub fn parse(line: &str, zone: &str) -> Result<Self, String> {
        let (line, zone) = (line.trim(), zone.trim());
        let names_hours = line.split_whitespace().nth(1).is_some_and(|hours| !hours.starts_with('*'));
        let wall = names_hours
            .then(|| TimeZone::get(zone))
            .transpose()
            .map_err(|error: jiff::Error| error.to_string())?;
        let of = if wall.is_some() { "UTC" } else { zone };
        let read = cronexpr::parse_crontab(&format!("{line} {of}")).map_err(|error| error.to_string())?;
        let schedule = Self { text: format!("{line} {zone}").into(), line: Arc::new(read), wall };
        // A line such as 30 February reads well and never comes.
        schedule.next(Timestamp::from_seconds(0)).map(|_| schedule).ok_or_else(|| "it never comes".to_owned())
    }

    /// The first moment after `now`.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Timestamp {
        self.next(now).unwrap_or_else(|| now.plus_ms(HOUR_MS))
    }

    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_millisecond(now.ms()).ok()?;
        let next = match &self.wall {
            None => self.line.find_next(MakeTimestamp(now)).ok()?.timestamp(),
            Some(zone) => self.next_by_the_wall(zone, now)?,
        };
        Some(Timestamp::from_ms(next.as_millisecond()))
    }

    fn next_by_the_wall(&self, zone: &TimeZone, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut wall = zone.to_datetime(now);
        loop {
            let read = TimeZone::UTC.to_timestamp(wall).ok()?;
            wall = self.line.find_next(MakeTimestamp(read)).ok()?.datetime();
            // While an hour comes again, its times on the wall have been.
            if let Some(next) = moment(zone, wall).filter(|next| *next > now) {
                return Some(next);
            }
        }
    }
}

/// When clocks on the wall show this: the first time, or when they are put forward past it.
fn moment(zone: &TimeZone, wall: DateTime) -> Option<jiff::Timestamp> {
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, after: _ } => {
            offset.to_timestamp(wall).ok()
        }
        AmbiguousOffset::Gap { before: _, after } => {
            // By the clock that is not in force yet, this is before the change.
            let before = after.to_timestamp(wall).ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_line_comes_at_its_time_in_its_zone() {
        for (line, zone, now, next) in [
            ("*/10 * * * *", "UTC", "2026-02-28T23:55:00Z", "2026-03-01T00:00:00Z"),
            ("*/10 * * * *", "UTC", "2026-03-01T00:00:00Z", "2026-03-01T00:10:00Z"),
            ("30 3 * * *", "Asia/Tokyo", "2026-11-26T00:00:00Z", "2026-11-26T18:30:00Z"),
            ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            let schedule = Schedule::parse(line, zone).unwrap();
            assert_eq!(schedule.next_after(at(now)), at(next), "{line} {zone}");
        }
    }

    /// When a line comes after `from`, as often as there are moments.
    fn comes(line: &str, zone: &str, from: &str, moments: &[&str]) {
        let schedule = Schedule::parse(line, zone).unwrap();
        let mut now = at(from);
        for moment in moments {
            now = schedule.next_after(now);
            assert_eq!(now, at(moment), "{line} {zone}");
        }
    }

    #[test]
    fn a_time_that_clocks_skip_comes_once_when_they_are_put_forward() {
        let (berlin, cairo) = ("Europe/Berlin", "Africa/Cairo");
        let spring = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        comes("30 2 * * *", berlin, "2026-03-27T12:00:00Z", &spring);
        comes("0 2 * * *", berlin, "2026-03-29T00:59:59Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
        comes(
            "*/10 2 * * *",
            berlin,
            "2026-03-29T00:00:00Z",
            &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
        );
        // There the day begins at one o'clock.
        let night = ["2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"];
        comes("0 0 * * *", cairo, "2026-04-22T12:00:00Z", &night);
    }

    #[test]
    fn a_time_that_comes_twice_is_the_first() {
        let (berlin, cairo) = ("Europe/Berlin", "Africa/Cairo");
        let autumn = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        comes("30 2 * * *", berlin, "2026-10-23T12:00:00Z", &autumn);
        comes("30 2 * * *", berlin, "2026-10-25T01:10:00Z", &["2026-10-26T01:30:00Z"]);
        comes("30 3 * * *", berlin, "2026-10-25T01:10:00Z", &["2026-10-25T02:30:00Z"]);
        comes(
            "30 23 * * *",
            cairo,
            "2026-10-29T12:00:00Z",
            &["2026-10-29T20:30:00Z", "2026-10-30T21:30:00Z"],
        );
    }

    #[test]
    fn what_comes_every_hour_goes_on_while_clocks_are_changed() {
        for from in ["2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z"] {
            let schedule = Schedule::parse("*/10 * * * *", "Europe/Berlin").unwrap();
            let mut now = at(from);
            for _ in 0..12 {
                let next = schedule.next_after(now);
                assert_eq!(next.since(now), 600_000, "after {now}");
                now = next;
            }
        }
    }

    #[test]
    fn what_is_no_line_or_never_comes_is_refused() {
        for (line, zone) in [
            ("* * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("* * * * *", "Moon/Base"),
            ("30 3 * * *", "Moon/Base"),
            ("0 0 30 2 *", "UTC"),
            ("", ""),
        ] {
            assert!(Schedule::parse(line, zone).is_err(), "{line} {zone}");
        }
    }
}
