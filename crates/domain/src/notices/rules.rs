//! The notice rules: card networks' and countries' rules about who must be told what, and when, as data.
//!
//! They help with those rules and are no legal advice: each names its source and version, and an operator can put
//! another table in this one's place. Refuses to know what any of them means: only windows, whom they meet, and the
//! items that a text must contain.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::NoticeKind;
use crate::catalog::Text;
use crate::time::DAY_MS;

/// The table that Quittance comes with.
pub const BUILT_IN: &str = include_str!("rules.toml");
/// Most rules and checklists that a table may have.
const MOST: usize = 200;

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not TOML, or a field that does not belong.
    #[error("the notice rules cannot be read: {0}")]
    Syntax(String),
    /// A rule contradicts itself or the table; the text names it.
    #[error("notice rules: {0}")]
    Rule(String),
}

/// All rules, of one version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    /// The table's version: the day of its last change.
    pub version: String,
    /// The items that a text may have to contain, by their key.
    pub items: BTreeMap<String, Text>,
    /// Who must be told when.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// What pages must show.
    #[serde(default, rename = "checklist")]
    pub checklists: Vec<Checklist>,
}

/// A rule about a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A stable word.
    pub id: String,
    /// Its version: the day from which it is in force in this form.
    pub version: String,
    /// What it is, for people.
    pub name: Text,
    /// Where it is written down.
    pub source: String,
    /// The notices that it is about.
    pub notices: BTreeSet<NoticeKind>,
    /// Only cards of this network, in the provider's word (`visa`); a card that is not known counts as one.
    #[serde(default)]
    pub network: Option<String>,
    /// Only customers of this country, two letters; a customer whose country is not known counts as one.
    #[serde(default)]
    pub country: Option<String>,
    /// Only trials of so many days or more; a day begun counts.
    #[serde(default)]
    pub trial_days: Option<u32>,
    /// Only periods of so many days or more; a day begun counts.
    #[serde(default)]
    pub period_days: Option<u32>,
    /// Once a year, however short the periods are.
    #[serde(default)]
    pub yearly: bool,
    /// When, before the event; `None`: told when it happens.
    #[serde(default)]
    pub window: Option<Window>,
    /// What the text must contain: keys of the table's items.
    pub must_say: BTreeSet<String>,
}

/// A window before an event, in whole days that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At most so many days before; `None` sets no bound.
    #[serde(default)]
    pub earliest: Option<u32>,
    /// At least so many days before.
    pub latest: u32,
}

/// What a page must show or offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// A stable word.
    pub id: String,
    /// Its version: the day from which it is in force.
    pub version: String,
    /// What it is, for people.
    pub name: Text,
    /// Where it is written down.
    pub source: String,
    /// The country or region that it is about.
    pub region: String,
    /// The page or moment that it is about.
    pub place: Text,
    /// What must be there.
    pub points: Vec<Text>,
}

/// What decides whether a rule applies. What is not known does not excuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<'a> {
    /// Which notice.
    pub kind: NoticeKind,
    /// The card's network, in the provider's word.
    pub network: Option<&'a str>,
    /// The customer's country, two letters.
    pub country: Option<&'a str>,
    /// How long the trial is, in milliseconds.
    pub trial_ms: Option<i64>,
    /// How long the period is, in milliseconds.
    pub period_ms: Option<i64>,
}

impl RuleTable {
    /// The table that Quittance comes with; that it can be read is tested.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).unwrap_or_default()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// [`RuleError`] naming what is wrong.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let table: Self = toml::from_str(text).map_err(|error| RuleError::Syntax(error.to_string()))?;
        table.check()?;
        Ok(table)
    }

    fn check(&self) -> Result<(), RuleError> {
        let mut ids = BTreeSet::new();
        let all = self.rules.iter().map(|r| &r.id).chain(self.checklists.iter().map(|c| &c.id));
        for id in all {
            if !ids.insert(id) {
                return Err(RuleError::Rule(format!("`{id}` is there twice")));
            }
        }
        if ids.len() > MOST {
            return Err(RuleError::Rule(format!("more than {MOST} rules")));
        }
        for rule in &self.rules {
            let closes_first =
                |window: &Window| window.earliest.is_some_and(|earliest| earliest < window.latest);
            if rule.window.as_ref().is_some_and(closes_first) {
                let text = format!("`{}`: its window opens after it closes (earliest < latest)", rule.id);
                return Err(RuleError::Rule(text));
            }
            if let Some(kind) = rule.notices.iter().find(|kind| kind.is_ahead() != rule.window.is_some()) {
                return Err(RuleError::Rule(format!(
                    "`{}`: `{}` {}",
                    rule.id,
                    kind.as_str(),
                    if kind.is_ahead() {
                        "is told beforehand: give the rule a window"
                    } else {
                        "is told when it happens: leave the window out"
                    }
                )));
            }
            if let Some(item) = rule.must_say.iter().find(|item| !self.items.contains_key(*item)) {
                return Err(RuleError::Rule(format!(
                    "`{}`: the item `{item}` is not among [items]",
                    rule.id
                )));
            }
        }
        Ok(())
    }

    /// The rules that apply to a case; those that are met once a year only when `yearly`.
    #[must_use]
    pub fn applicable(&self, case: Case<'_>, yearly: bool) -> Vec<&Rule> {
        self.rules.iter().filter(|rule| rule.yearly == yearly && rule.applies(case)).collect()
    }

    /// What a text must contain by the rules with these ids, each item once, with what it is.
    #[must_use]
    pub fn must_say<'a>(&'a self, ids: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, &'a Text> {
        let ids: BTreeSet<&str> = ids.collect();
        let keys = self.rules.iter().filter(|rule| ids.contains(rule.id.as_str())).flat_map(|r| &r.must_say);
        keys.filter_map(|key| self.items.get_key_value(key)).map(|(key, text)| (key.as_str(), text)).collect()
    }
}

impl Rule {
    /// Whether this rule is about the case.
    #[must_use]
    pub fn applies(&self, case: Case<'_>) -> bool {
        let same = |wanted: &Option<String>, known: Option<&str>| match (wanted, known) {
            (Some(wanted), Some(known)) => wanted.eq_ignore_ascii_case(known),
            (None, _) | (_, None) => true,
        };
        let long = |wanted: Option<u32>, known: Option<i64>| match (wanted, known) {
            (Some(wanted), Some(ms)) => days_begun(ms) >= i64::from(wanted),
            (Some(_), None) => false,
            (None, _) => true,
        };
        self.notices.contains(&case.kind)
            && same(&self.network, case.network)
            && same(&self.country, case.country)
            && long(self.trial_days, case.trial_ms)
            && long(self.period_days, case.period_ms)
    }
}

fn days_begun(ms: i64) -> i64 {
    ms.div_euclid(DAY_MS) + i64::from(ms.rem_euclid(DAY_MS) > 0)
}
