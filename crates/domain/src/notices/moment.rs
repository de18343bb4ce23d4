//! When a notice is sent: the moment that keeps every rule that applies, or as few moments as that takes.

use serde::{Deserialize, Serialize};

use super::rules::Rule;
use crate::time::{DAY_MS, Timestamp};

/// How a notice kept a rule's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Due within the window.
    Kept,
    /// The window was over before there was anything to tell, or closed with it (a trial no longer than the window): told at
    /// once.
    AtStart,
    /// The window was over when the subscription was seen for the first time: told at once.
    FirstSight,
    /// The window was missed.
    Missed,
}

/// A rule as it applied to one notice: part of the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRule {
    /// The rule's id.
    pub id: String,
    /// The rule's version.
    pub version: String,
    /// From when on it may be told; `None` sets no earliest moment.
    pub opens: Option<Timestamp>,
    /// Until when it must be told; `None` for a rule about something that is told when it happens.
    pub closes: Option<Timestamp>,
    /// How that was kept.
    pub fit: Fit,
}

/// A moment at which one message is due, and the rules that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// For which rules; they fit as planned.
    pub rules: Vec<AppliedRule>,
}

/// What a moment is chosen by, besides the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The moment that the notice is about.
    pub event: Timestamp,
    /// From when on there is something to tell.
    pub start: Timestamp,
    /// How many days before it is told where the rules leave a choice.
    pub days: u32,
    /// How long before a window closes it is due at the latest, in milliseconds.
    pub lead_ms: i64,
}

/// The moments at which messages are due, in order; at least one, at most one for each rule.
///
/// "n days before" counts the whole days that are left: from `n + 1` days before, exclusive, to `n` days before, inclusive.
/// So "at least 7" and "3 to 7" have a day in common, which ends exactly seven times 24 hours before the event.
#[must_use]
pub fn moments(rules: &[&Rule], choice: Choice) -> Vec<Moment> {
    let wished = days_before(choice.event, choice.days).max(choice.start);
    let mut windows: Vec<(Timestamp, AppliedRule)> =
        rules.iter().filter_map(|rule| window(rule, choice)).collect();
    windows.sort_by_key(|(closes, _)| *closes);
    let (late, mut open): (Vec<_>, Vec<_>) = windows.into_iter().partition(|(_, w)| w.fit != Fit::Kept);
    let late: Vec<AppliedRule> = late.into_iter().map(|(_, w)| w).collect();
    let mut out: Vec<Moment> = Vec::new();
    while let Some((closes, _)) = open.first() {
        let closes = *closes;
        let (group, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(_, w)| w.opens.is_none_or(|opens| opens <= closes));
        let mut group: Vec<AppliedRule> = group.into_iter().map(|(_, w)| w).collect();
        let opens =
            group.iter().filter_map(|w| w.opens).max().map_or(choice.start, |at| at.max(choice.start));
        let last = closes.plus_ms(-choice.lead_ms).max(opens);
        let at = wished.max(opens).min(last);
        if out.is_empty() {
            group.extend(late.iter().cloned());
        }
        out.push(Moment { at, rules: group });
        open = rest;
    }
    match out.first_mut() {
        // What cannot be kept any more is told at once, and the same message then serves the rest if it may.
        Some(first) if !late.is_empty() => {
            let may = |w: &AppliedRule| w.opens.is_none_or(|opens| opens <= choice.start);
            if first.rules.iter().all(may) {
                first.at = choice.start;
            } else {
                first.rules.retain(|w| w.fit == Fit::Kept);
                out.insert(0, Moment { at: choice.start, rules: late });
            }
        }
        Some(_) => {}
        None if late.is_empty() => out.push(Moment { at: wished, rules: late }),
        None => out.push(Moment { at: choice.start, rules: late }),
    }
    out
}

/// A rule's window and when it closes; none of a rule about what is told when it happens.
fn window(rule: &Rule, choice: Choice) -> Option<(Timestamp, AppliedRule)> {
    let window = rule.window?;
    let closes = days_before(choice.event, window.latest);
    let opens = window.earliest.map(|days| days_before(choice.event, days.saturating_add(1)).plus_ms(1));
    let applied = AppliedRule {
        id: rule.id.clone(),
        version: rule.version.clone(),
        opens,
        closes: Some(closes),
        // A window that closes as it begins leaves no time to be told within it.
        fit: if closes <= choice.start.plus_ms(choice.lead_ms) { Fit::AtStart } else { Fit::Kept },
    };
    Some((closes, applied))
}

/// The rules about something that is told as soon as it is seen.
pub(super) fn at_once(rules: &[&Rule]) -> Vec<AppliedRule> {
    let applied = |rule: &&Rule| AppliedRule {
        id: rule.id.clone(),
        version: rule.version.clone(),
        opens: None,
        closes: None,
        fit: Fit::Kept,
    };
    rules.iter().map(applied).collect()
}

/// So many times 24 hours before.
pub(super) fn days_before(event: Timestamp, days: u32) -> Timestamp {
    event.plus_ms(-i64::from(days).saturating_mul(DAY_MS))
}
