//! Lives of subscriptions with faults on: the tables that the engine's own tests live to the second, walked while
//! everything goes wrong.
//!
//! A line's moment is the earliest one: a buyer acts when the line before has become so, and asks again while nobody
//! answers. What the provider does by itself waits for nobody. In the end status, access, mails and what the app heard
//! are those of the table.

mod walk;

pub use walk::walk;
pub(crate) use walk::{heard_by_app, mails_sent};

use std::collections::BTreeMap;
use std::sync::Arc;

use quittance_domain::Catalog;
use quittance_domain::notices::NoticeKind;
use quittance_domain::time::{HOUR_MS, SECOND_MS};
use serde_json::Value;

/// What is sold to those who live these lives.
const CATALOG: &str = include_str!("../../../crates/engine/tests/lives/catalog.toml");
/// How long a line may take to become so, in milliseconds: longer than the longest outage and the next sweep.
const PATIENCE_MS: i64 = 60 * HOUR_MS;
/// The longest outage of the provider in such a world, in milliseconds: what is so for a day is seen.
pub const LONGEST_OUTAGE_MS: i64 = 12 * HOUR_MS;

/// A life: its table, and what access is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its name.
    pub name: &'static str,
    /// Access to what is asked for.
    pub feature: &'static str,
    table: &'static str,
}

macro_rules! life {
    ($name:literal, $feature:literal) => {
        Life {
            name: $name,
            feature: $feature,
            table: include_str!(concat!("../../../crates/engine/tests/lives/", $name, ".txt")),
        }
    };
}

/// All lives.
pub const ALL: [Life; 10] = [
    life!("whole", "article:full"),
    life!("unpaid", "article:full"),
    life!("unpaid_kept", "article:full"),
    life!("paused", "article:full"),
    life!("trial_cancelled", "article:full"),
    life!("confirmed_late", "article:full"),
    life!("yearly", "article:full"),
    life!("bought_once", "course:library"),
    life!("paid_at_a_store", "course:library"),
    life!("refund_fails", "course:library"),
];

/// The life that a seed stands for.
#[must_use]
pub fn of(seed: u64) -> Life {
    let [first, ..] = ALL;
    ALL.into_iter().cycle().nth(usize::try_from(seed % ALL.len() as u64).unwrap_or(0)).unwrap_or(first)
}

/// What is sold.
///
/// # Errors
/// None, while the file beside the tables is a catalog.
pub fn catalog() -> Result<Arc<Catalog>, String> {
    Catalog::parse(CATALOG).map(Arc::new).map_err(|error| error.to_string())
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at_s: i64,
    what: &'static str,
    status: &'static str,
    access: &'static str,
    /// Whether access changes at this very second, whatever was delivered.
    by_itself: bool,
    mails: Vec<String>,
    heard: Vec<String>,
}

fn seconds(text: &str) -> Option<i64> {
    text.split_whitespace().try_fold(0, |sum, part| {
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let unit = match unit {
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        Some(sum + number.parse::<i64>().ok()? * unit)
    })
}

/// A failed try is told in one of two ways: that the bank waits for the customer is told only where an event said so.
fn mail_word(word: &str) -> &str {
    if word == NoticeKind::PaymentActionRequired.as_str() { NoticeKind::PaymentFailed.as_str() } else { word }
}

/// The words of a column; what changed of a subscription at once may be told apart, and what changed by and by at once.
fn words(text: &str) -> Vec<String> {
    let all = text.split(' ').filter(|word| !word.is_empty() && *word != "-");
    all.flat_map(|word| match word.split_once(':') {
        Some(("subscription", changes)) => {
            changes.split('+').map(|change| format!("subscription:{change}")).collect()
        }
        _ => vec![word.to_owned()],
    })
    .collect()
}

/// What the app heard, in the words of the tables.
pub fn heard_words(event: &Value) -> Vec<String> {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str);
    let kind = text("/type").unwrap_or_default();
    match kind {
        "customer.access_changed" => {
            let (from, to) = (text("/data/from").unwrap_or("none"), text("/data/to").unwrap_or_default());
            vec![format!("access:{from}>{to}")]
        }
        "subscription.changed" => {
            let changes = event.pointer("/data/changes").and_then(Value::as_array).into_iter().flatten();
            changes.filter_map(Value::as_str).map(|change| format!("subscription:{change}")).collect()
        }
        "entitlements.updated" => vec![ENTITLEMENTS.to_owned()],
        kind => vec![kind.to_owned()],
    }
}

impl Line {
    fn read(text: &'static str) -> Option<Self> {
        let (left, told) = text.split_once(" | ")?;
        let (mails, heard) = told.split_once(" | ")?;
        let access = left.get(45..)?.trim();
        Some(Self {
            at_s: seconds(left.get(..12)?)?,
            what: left.get(13..33)?.trim(),
            status: left.get(34..44)?.trim(),
            access: access.split(',').next()?,
            by_itself: access.ends_with("by itself"),
            mails: words(mails).iter().map(|word| mail_word(word).to_owned()).collect(),
            heard: words(heard),
        })
    }
}

impl Life {
    fn lines(self) -> Vec<Line> {
        self.table.lines().filter_map(Line::read).collect()
    }

    /// How long it is, in milliseconds, with the time that it may take in addition.
    #[must_use]
    pub fn length_ms(self) -> i64 {
        self.lines().last().map_or(0, |line| line.at_s * SECOND_MS) + 2 * PATIENCE_MS
    }
}

/// The word for an event that tells all that a customer may use.
const ENTITLEMENTS: &str = "entitlements";

/// Words and how often each was said.
type Counted = BTreeMap<String, u64>;

/// What was told until a line: at least, and at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    least: Counted,
    most: Counted,
}

impl Told {
    /// More is told; what passed before anybody saw it need not have been.
    fn add(&mut self, words: &[String], seen: bool) {
        for word in words {
            *self.most.entry(word.clone()).or_default() += 1;
            *self.least.entry(word.clone()).or_default() += u64::from(seen);
        }
    }

    /// How what was told differs from it; `None` when it does not.
    #[must_use]
    pub fn differs(&self, told: &Counted) -> Option<String> {
        let count = |of: &Counted, word: &str| of.get(word).copied().unwrap_or(0);
        self.most.keys().chain(told.keys()).find_map(|word| {
            let (said, least, most) = (count(told, word), count(&self.least, word), count(&self.most, word));
            // It says what is so, and not what happened: what comes at once in a table may come by and by.
            let most = if word == ENTITLEMENTS && most > 0 { u64::MAX } else { most };
            (said < least || said > most)
                .then(|| format!("{word} was told {said} times, and not {least} to {most} times"))
        })
    }
}

/// A life that was lived to its end.
#[derive(Debug, Clone)]
pub struct Lived {
    /// Which.
    pub life: Life,
    /// The provider's subscription; `None` for what is bought once.
    pub subscription: Option<String>,
    /// Its status in the end.
    pub status: &'static str,
    /// The access in the end.
    pub access: &'static str,
    /// The mails.
    pub mails: Told,
    /// What the app heard.
    pub heard: Told,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_whole() {
        for life in ALL {
            let lines = life.lines();
            assert_eq!(lines.len(), life.table.lines().count(), "{}", life.name);
            assert!(lines.iter().zip(lines.iter().skip(1)).all(|(one, next)| one.at_s < next.at_s));
        }
        assert!(catalog().is_ok());
        let line = Line::read(
            "73d          nothing              canceled   revoked, by itself | access_ended | access:granted>revoked entitlements subscription:status_changed+access_changed",
        );
        let wanted = Line {
            at_s: 73 * 86_400,
            what: "nothing",
            status: "canceled",
            access: "revoked",
            by_itself: true,
            mails: vec!["access_ended".to_owned()],
            heard: vec![
                "access:granted>revoked".to_owned(),
                "entitlements".to_owned(),
                "subscription:status_changed".to_owned(),
                "subscription:access_changed".to_owned(),
            ],
        };
        assert_eq!(line, Some(wanted));
    }

    #[test]
    fn what_was_seen_is_told_and_what_was_not_may_be() {
        let count = |words: &[&str]| {
            words.iter().fold(Counted::new(), |mut all, word| {
                *all.entry((*word).to_owned()).or_default() += 1;
                all
            })
        };
        let mut told = Told::default();
        told.add(&["a".to_owned(), "a".to_owned()], true);
        told.add(&["b".to_owned()], false);
        assert_eq!(told.differs(&count(&["a", "a"])), None);
        assert_eq!(told.differs(&count(&["a", "b", "a"])), None);
        for wrong in [&["a"][..], &["a", "a", "a"], &["a", "a", "b", "b"], &["a", "a", "c"]] {
            assert!(told.differs(&count(wrong)).is_some(), "{wrong:?}");
        }
    }
}
