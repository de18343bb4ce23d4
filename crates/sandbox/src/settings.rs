//! What the real provider keeps in its dashboard, and what tests want to turn. Set from the start
//! ([`crate::SandboxConfig`]) or at any time (`PUT /_sandbox/settings`).

use serde::{Deserialize, Serialize};

use crate::model::percent::Percent;

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

/// What happens to an open invoice when every retry has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceExhaustion {
    /// It stays open, past due.
    LeaveOpen,
    /// It becomes uncollectible.
    MarkUncollectible,
}

/// When the balance is paid out without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutSchedule {
    /// By hand alone.
    Manual,
    /// Every day at midnight UTC.
    Daily,
}

/// The settings of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Days from each failed automatic attempt at an invoice to the next; after the last of them nothing is left.
    pub retry_days: Vec<i64>,
    /// What happens to the subscription then.
    pub on_exhaustion: Exhaustion,
    /// What happens to the invoice then, whether a subscription's or a single one.
    pub invoice_on_exhaustion: InvoiceExhaustion,
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
    /// Days for which the money of a charge is pending before it is available.
    pub pending_days: i64,
    /// Days that a bank takes to answer a debit.
    pub debit_days: i64,
    /// Days for which a voucher can be paid, unless the seller says otherwise.
    pub voucher_days: i64,
    /// When payouts are made by themselves.
    pub payout_schedule: PayoutSchedule,
    /// Days that a payout is on its way.
    pub payout_days: i64,
    /// Why the bank returns payouts, such as `account_closed`; nothing while it takes them.
    pub payout_failure: Option<String>,
    /// Seconds from one delivery attempt of a webhook to the next.
    pub webhook_retry_seconds: Vec<i64>,
    /// Days without one answer of 2xx after which an endpoint is disabled that does not take an event by its last retry;
    /// 0 for never. The provider says only that it takes several days.
    pub webhook_disable_days: i64,
    /// Hours after which a draft becomes final although some endpoint has not answered its `invoice.created` with 2xx; the
    /// provider gives them 72. Until they have, and as long again as drafts stay, it stays a draft. 0 lets no draft wait,
    /// so that time can be moved without anybody who answers. Invoices of test clocks never wait.
    pub draft_wait_hours: i64,
    /// The automatic tax of each country; a country that is not here has none.
    pub tax_table: Vec<CountryTax>,
    /// Whether automatic tax is in a price that does not say so itself.
    pub tax_inclusive: bool,
    /// Whether the owner of a new connected account fills the onboarding page at once, with test data.
    pub onboard_at_once: bool,
}

/// The one rate of a country: a look-alike of what a tax service would know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountryTax {
    /// ISO 3166, upper case.
    pub(crate) country: String,
    /// As text, such as `"8.875"`.
    pub(crate) percentage: Percent,
    pub(crate) display_name: String,
    /// One of the API's words, such as `vat`.
    pub(crate) tax_type: String,
}

/// Standard rates of some countries.
const TAXES: [(&str, &str, &str, &str); 12] = [
    ("AU", "10", "GST", "gst"),
    ("CA", "5", "GST", "gst"),
    ("CH", "8.1", "VAT", "vat"),
    ("DE", "19", "VAT", "vat"),
    ("ES", "21", "VAT", "vat"),
    ("FR", "20", "VAT", "vat"),
    ("GB", "20", "VAT", "vat"),
    ("IT", "22", "VAT", "vat"),
    ("JP", "10", "JCT", "jct"),
    ("NL", "21", "VAT", "vat"),
    ("NZ", "15", "GST", "gst"),
    ("SG", "9", "GST", "gst"),
];

fn tax_table() -> Vec<CountryTax> {
    let entry = |(country, percentage, name, kind): &(&str, &str, &str, &str)| {
        Some(CountryTax {
            country: (*country).to_owned(),
            percentage: Percent::parse(percentage)?,
            display_name: (*name).to_owned(),
            tax_type: (*kind).to_owned(),
        })
    };
    TAXES.iter().filter_map(entry).collect()
}

const HOUR: i64 = 3600;

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_days: vec![3, 5, 7],
            on_exhaustion: Exhaustion::Cancel,
            invoice_on_exhaustion: InvoiceExhaustion::LeaveOpen,
            upcoming_days: 7,
            clock_advance_seconds: 0,
            test_clock_days: 366,
            draft_seconds: HOUR,
            fee_basis_points: 360,
            search_delay_seconds: 20,
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
            webhook_disable_days: 7,
            draft_wait_hours: 0,
            tax_table: tax_table(),
            tax_inclusive: false,
            onboard_at_once: false,
        }
    }
}

impl Settings {
    /// Says which setting is out of range, so that no time that it leads to lies beyond the calendar.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        const YEAR: i64 = 366 * 24 * HOUR;
        const MOST_TRIES: usize = 100;
        let ranges: [(&str, &[i64], i64); 14] = [
            ("retry_days", &self.retry_days, 366),
            ("upcoming_days", &[self.upcoming_days], 366),
            ("clock_advance_seconds", &[self.clock_advance_seconds], YEAR),
            ("test_clock_days", &[self.test_clock_days], 3660),
            ("draft_seconds", &[self.draft_seconds], YEAR),
            ("fee_basis_points", &[self.fee_basis_points], 10_000),
            ("search_delay_seconds", &[self.search_delay_seconds], HOUR),
            ("pending_days", &[self.pending_days], 366),
            ("debit_days", &[self.debit_days], 366),
            ("voucher_days", &[self.voucher_days], 366),
            ("payout_days", &[self.payout_days], 366),
            ("webhook_disable_days", &[self.webhook_disable_days], 3660),
            ("draft_wait_hours", &[self.draft_wait_hours], 366 * 24),
            ("webhook_retry_seconds", &self.webhook_retry_seconds, YEAR),
        ];
        let wrong = self.tax_table.iter().find(|entry| {
            entry.country.len() != 2 || entry.country.chars().any(|char| !char.is_ascii_uppercase())
        });
        if let Some(entry) = wrong {
            return Some(format!(
                "'tax_table' names countries with two capital letters, not '{}'",
                entry.country
            ));
        }
        ranges.iter().find_map(|(name, numbers, most)| {
            let fits =
                numbers.len() <= MOST_TRIES && numbers.iter().all(|number| (0..=*most).contains(number));
            (!fits).then(|| format!("'{name}' must be from 0 to {most}, at most {MOST_TRIES} of them"))
        })
    }
}
