//! What the real provider keeps in its dashboard, and what tests want to turn.

use serde::{Deserialize, Serialize};

/// What happens to a subscription when every retry has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exhaustion {
    Cancel,
    Unpaid,
    Leave,
}

/// When the balance is paid out without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PayoutSchedule {
    Manual,
    /// Every day at midnight UTC.
    Daily,
}

/// The settings of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Days from each failed attempt to the next.
    pub(crate) retry_days: Vec<i64>,
    pub(crate) on_exhaustion: Exhaustion,
    /// Days before a renewal at which `invoice.upcoming` is sent; 0 for never.
    pub(crate) upcoming_days: i64,
    /// How long a renewal invoice stays a draft, in seconds.
    pub(crate) draft_seconds: i64,
    /// The provider's fee in hundredths of a percent of each charge.
    pub(crate) fee_basis_points: i64,
    /// Days for which the money of a charge is pending before it is available.
    pub(crate) pending_days: i64,
    /// Days that a bank takes to answer a debit.
    pub(crate) debit_days: i64,
    /// Days for which a voucher can be paid, unless the seller says otherwise.
    pub(crate) voucher_days: i64,
    pub(crate) payout_schedule: PayoutSchedule,
    /// Days that a payout is on its way.
    pub(crate) payout_days: i64,
    /// Why the bank returns payouts, such as `account_closed`; nothing while it takes them.
    pub(crate) payout_failure: Option<String>,
    /// Seconds from one delivery attempt of a webhook to the next.
    pub(crate) webhook_retry_seconds: Vec<i64>,
}

const HOUR: i64 = 3600;

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_days: vec![3, 5, 7],
            on_exhaustion: Exhaustion::Cancel,
            upcoming_days: 7,
            draft_seconds: HOUR,
            fee_basis_points: 360,
            pending_days: 2,
            debit_days: 4,
            voucher_days: 3,
            payout_schedule: PayoutSchedule::Manual,
            payout_days: 2,
            payout_failure: None,
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
    pub(crate) fn fault(&self) -> Option<String> {
        const YEAR: i64 = 366 * 24 * HOUR;
        const MOST_TRIES: usize = 100;
        let ranges: [(&str, &[i64], i64); 9] = [
            ("retry_days", &self.retry_days, 366),
            ("upcoming_days", &[self.upcoming_days], 366),
            ("draft_seconds", &[self.draft_seconds], YEAR),
            ("fee_basis_points", &[self.fee_basis_points], 10_000),
            ("pending_days", &[self.pending_days], 366),
            ("debit_days", &[self.debit_days], 366),
            ("voucher_days", &[self.voucher_days], 366),
            ("payout_days", &[self.payout_days], 366),
            ("webhook_retry_seconds", &self.webhook_retry_seconds, YEAR),
        ];
        ranges.iter().find_map(|(name, numbers, most)| {
            let fits =
                numbers.len() <= MOST_TRIES && numbers.iter().all(|number| (0..=*most).contains(number));
            (!fits).then(|| format!("'{name}' must be from 0 to {most}, at most {MOST_TRIES} of them"))
        })
    }
}
