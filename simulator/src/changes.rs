//! Changes that were asked for, as their askers know them: what a quote said is what happens, once, or nothing.

use std::collections::BTreeMap;

use quittance_domain::QuoteId;
use quittance_domain::change::When;
use quittance_engine::quotes::Preview;
use serde::Deserialize;

use crate::gifts::Known;

/// What a quote says that its preview does not show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The provider's price.
    pub price: String,
    /// Units.
    pub quantity: i64,
}

/// A quote that somebody has used.
#[derive(Debug, Clone)]
pub struct Quoted {
    /// The quote.
    pub quote: QuoteId,
    /// The subscription.
    pub subscription: String,
    /// When it is made.
    pub when: When,
    /// What it comes to, in minor units.
    pub due: i64,
    /// From when it counts, in seconds since the Unix epoch.
    pub from_s: i64,
    /// What it makes of the subscription.
    pub said: Said,
    /// What is known of it.
    pub known: Known,
}

impl Quoted {
    /// One whose use nobody has answered yet.
    #[must_use]
    pub fn new(subscription: &str, preview: &Preview, said: Said) -> Self {
        Self {
            quote: preview.quote.clone(),
            subscription: subscription.to_owned(),
            when: preview.when,
            due: preview.due.minor,
            from_s: preview.proration_date.seconds(),
            said,
            known: Known::Maybe,
        }
    }
}

/// All that was asked for.
#[derive(Debug, Default)]
pub struct Changes {
    /// Quotes that were used.
    pub quotes: Vec<Quoted>,
    /// How often anybody began or ended to do something with a subscription.
    touched: BTreeMap<String, u64>,
    /// With how many of them nobody knows whether they still will be done.
    open: BTreeMap<String, u64>,
}

impl Changes {
    /// Somebody does something with a subscription: what to ask [`Changes::alone`] with.
    pub fn touch(&mut self, subscription: &str) -> u64 {
        let count = self.touched.entry(subscription.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Somebody has done it, or gave it up without an answer.
    pub fn left(&mut self, subscription: &str, in_doubt: bool) {
        self.touch(subscription);
        *self.open.entry(subscription.to_owned()).or_default() += u64::from(in_doubt);
    }

    /// Whether nobody else has touched a subscription since, and nothing is in doubt.
    #[must_use]
    pub fn alone(&self, subscription: &str, since: u64) -> bool {
        self.touched.get(subscription) == Some(&since)
            && self.open.get(subscription).is_none_or(|open| *open == 0)
    }

    /// A quote is used: its number.
    pub fn quoted(&mut self, quoted: Quoted) -> usize {
        self.quotes.push(quoted);
        self.quotes.len() - 1
    }

    /// How the use of a quote went.
    pub fn ended(&mut self, number: usize, known: Known) {
        if let Some(quoted) = self.quotes.get_mut(number) {
            quoted.known = known;
        }
    }
}
