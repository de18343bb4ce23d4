//! What the real provider keeps in its dashboard, and what tests want to turn. Set from the start
//! ([`crate::SandboxConfig`]) or at any time (`PUT /_sandbox/settings`).

use serde::{Deserialize, Serialize};

/// What happens to a subscription when every retry has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exhaustion {
    /// The subscription is canceled.
    Cancel,
    /// It becomes unpaid: its next invoices stay drafts.
    Unpaid,
    /// It stays past due.
    Leave,
}

/// The settings of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Days from each failed automatic attempt at an invoice to the next; after the last of them nothing is left.
    pub retry_days: Vec<i64>,
    /// What happens to the subscription then.
    pub on_exhaustion: Exhaustion,
    /// Days before a renewal at which `invoice.upcoming` is sent; 0 for never.
    pub upcoming_days: i64,
    /// Seconds on the account's own time that a test clock takes to arrive where it was sent.
    pub clock_advance_seconds: i64,
    /// Days on the account's own time after which a test clock is deleted by itself. The provider gives them a month;
    /// here the own time is often moved by months, so it is a year unless changed.
    pub test_clock_days: i64,
    /// How long a renewal invoice stays a draft, in seconds.
    pub draft_seconds: i64,
    /// The provider's fee in hundredths of a percent of each charge.
    pub fee_basis_points: i64,
    /// How long a change stays hidden from searches, in seconds.
    pub search_delay_seconds: i64,
    /// Seconds from one delivery attempt of a webhook to the next.
    pub webhook_retry_seconds: Vec<i64>,
}

const HOUR: i64 = 3600;

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_days: vec![3, 5, 7],
            on_exhaustion: Exhaustion::Cancel,
            upcoming_days: 7,
            clock_advance_seconds: 0,
            test_clock_days: 366,
            draft_seconds: HOUR,
            fee_basis_points: 360,
            search_delay_seconds: 20,
            webhook_retry_seconds: vec![
                300,
                1800,
                2 * HOUR,
                5 * HOUR,
                10 * HOUR,
                12 * HOUR,
                12 * HOUR,
                12 * HOUR,
                12 * HOUR,
            ],
        }
    }
}

impl Settings {
    /// Says which setting is out of range, so that no time that it leads to lies beyond the calendar.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        const YEAR: i64 = 366 * 24 * HOUR;
        const MOST_TRIES: usize = 100;
        let ranges: [(&str, &[i64], i64); 8] = [
            ("retry_days", &self.retry_days, 366),
            ("upcoming_days", &[self.upcoming_days], 366),
            ("clock_advance_seconds", &[self.clock_advance_seconds], YEAR),
            ("test_clock_days", &[self.test_clock_days], 3660),
            ("draft_seconds", &[self.draft_seconds], YEAR),
            ("fee_basis_points", &[self.fee_basis_points], 10_000),
            ("search_delay_seconds", &[self.search_delay_seconds], HOUR),
            ("webhook_retry_seconds", &self.webhook_retry_seconds, YEAR),
        ];
        ranges.iter().find_map(|(name, numbers, most)| {
            let fits =
                numbers.len() <= MOST_TRIES && numbers.iter().all(|number| (0..=*most).contains(number));
            (!fits).then(|| format!("'{name}' must be from 0 to {most}, at most {MOST_TRIES} of them"))
        })
    }
}
