//! What the pages need to know, as plain data.
//!
//! Amounts are integers in minor units with an ISO 4217 code, times are seconds since the Unix epoch (UTC) by the
//! sandbox's own clock. Paths are what the links and forms point at; the caller decides them.

mod checkout;
mod control;
mod portal;

use jiff::tz::TimeZone;

pub use checkout::*;
pub use control::*;
pub use portal::*;

/// The language of a page. English for operators' pages always; the buyer's pages follow the session or the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Locale {
    /// The locale for a language tag (`ja`, `ja-JP`) or a whole `Accept-Language` header; the first known language
    /// wins, anything else is English. `auto` (the provider's default) is unknown too: ask with the header then.
    #[must_use]
    pub fn from_tags(tags: &str) -> Self {
        tags.split(',')
            .find_map(|tag| {
                let tag = tag.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                match tag.split('-').next().unwrap_or_default() {
                    "ja" => Some(Self::Ja),
                    "en" => Some(Self::En),
                    _ => None,
                }
            })
            .unwrap_or(Self::En)
    }

    /// The value of the `lang` attribute.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// Minor units (yen, cents, fils); negative for credit.
    pub amount: i64,
    /// ISO 4217 code in either case.
    pub currency: String,
}

/// A billing interval such as "every 3 months".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// How many units.
    pub count: u32,
    /// The unit.
    pub unit: IntervalUnit,
}

/// The unit of an [`Interval`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalUnit {
    /// Days.
    Day,
    /// Weeks.
    Week,
    /// Calendar months.
    Month,
    /// Calendar years.
    Year,
}

/// What frames every sandbox page: language, the sandbox's clock and the time travel control in the striped band.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Language of the page.
    pub locale: Locale,
    /// Zone in which dates are shown; UTC unless the reader's is known.
    pub zone: TimeZone,
    /// The sandbox's time now, seconds.
    pub now: i64,
    /// The time travel control; `None` hides it.
    pub time_travel: Option<TimeTravel>,
}

/// The time travel control: a form with three buttons.
///
/// Posted fields: `step` = `day` | `month` | `renewal`, and `return_to` (a path of the sandbox: check that it starts
/// with one `/` before redirecting).
#[derive(Clone, Debug)]
pub struct TimeTravel {
    /// Where the form posts.
    pub action: String,
    /// Path of the page to come back to.
    pub return_to: String,
    /// When the next renewal of any subscription is due, seconds; `None` disables that button.
    pub next_renewal: Option<i64>,
}
