//! When something runs that runs again and again: a cron line in a time zone.

use std::fmt;
use std::sync::Arc;

use quittance_domain::Timestamp;
use quittance_domain::time::HOUR_MS;

/// A cron line (minute, hour, day of the month, month, day of the week) in a time zone.
#[derive(Clone)]
pub struct Schedule {
    text: Arc<str>,
    line: Arc<cronexpr::Crontab>,
}

impl Schedule {
    /// Reads a cron line; its times are those of `zone`, an IANA name such as `Asia/Tokyo`.
    ///
    /// # Errors
    /// What is wrong with the line or the zone, in words.
    pub fn parse(line: &str, zone: &str) -> Result<Self, String> {
        let text = format!("{} {}", line.trim(), zone.trim());
        let line = cronexpr::parse_crontab(&text).map_err(|error| error.to_string())?;
        let schedule = Self { text: text.into(), line: Arc::new(line) };
        // A line such as 30 February reads well and never comes.
        schedule.next(Timestamp::from_seconds(0)).map(|_| schedule).ok_or_else(|| "it never comes".to_owned())
    }

    /// The first moment after `now`.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Timestamp {
        self.next(now).unwrap_or_else(|| now.plus_ms(HOUR_MS))
    }

    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_millisecond(now.ms()).ok()?;
        let next = self.line.find_next(from.to_string().as_str()).ok()?;
        Some(Timestamp::from_ms(next.timestamp().as_millisecond()))
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
            // Half past two does not exist on the night of the 29th: the next one that does.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
            ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            let schedule = Schedule::parse(line, zone).unwrap();
            assert_eq!(schedule.next_after(at(now)), at(next), "{line} {zone}");
        }
    }

    #[test]
    fn what_is_no_line_or_never_comes_is_refused() {
        for (line, zone) in [
            ("* * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("* * * * *", "Moon/Base"),
            ("0 0 30 2 *", "UTC"),
            ("", ""),
        ] {
            assert!(Schedule::parse(line, zone).is_err(), "{line} {zone}");
        }
    }
}
