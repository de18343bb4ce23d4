//! Disputes and early fraud warnings: where they stand, what they do to the money, until when somebody must answer, and who does.
//!
//! Pure: the provider's words come as facts, the operator's rules as configuration, the time as an argument.

use serde::{Deserialize, Serialize};

use crate::access::{MoneyState, PolicyError};
use crate::money::{Currency, Money};
use crate::projection::{Anomaly, AnomalyKind, Effect, Projection};
use crate::time::{HOUR_MS, Timestamp};

macro_rules! statuses {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $stage:ident, $turn:ident;)+) => {
        /// Where a dispute stands, in Stripe's words.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum DisputeStatus {
            $($(#[doc = $doc])+ $name,)+
            /// A word that is not known.
            Other(String),
        }

        impl DisputeStatus {
            /// The provider's word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$name => $text,)+ Self::Other(word) => word }
            }

            /// Which stage that is.
            #[must_use]
            pub const fn stage(&self) -> Stage {
                match self { $(Self::$name => Stage::$stage,)+ Self::Other(_) => Stage::Chargeback }
            }

            /// Whose turn it is.
            #[must_use]
            pub const fn turn(&self) -> Turn {
                match self { $(Self::$name => Turn::$turn,)+ Self::Other(_) => Turn::Bank }
            }
        }

        impl From<String> for DisputeStatus {
            fn from(word: String) -> Self {
                match word.as_str() { $($text => Self::$name,)+ _ => Self::Other(word) }
            }
        }
    };
}

statuses! {
    /// An inquiry that waits for us; no money was taken.
    WarningNeedsResponse = "warning_needs_response", Inquiry, Ours;
    /// An inquiry that the bank looks at.
    WarningUnderReview = "warning_under_review", Inquiry, Bank;
    /// An inquiry that came to nothing.
    WarningClosed = "warning_closed", Inquiry, Over;
    /// The money was taken, and we may answer.
    NeedsResponse = "needs_response", Chargeback, Ours;
    /// The bank looks at our answer.
    UnderReview = "under_review", Chargeback, Bank;
    /// The bank or the cardholder has appealed, and we may answer.
    AppealNeedsResponse = "appeal_needs_response", Appeal, Ours;
    /// The appeal is looked at.
    AppealUnderReview = "appeal_under_review", Appeal, Bank;
    /// The money is ours again.
    Won = "won", Chargeback, Over;
    /// The money stays with the cardholder.
    Lost = "lost", Chargeback, Over;
    /// It was settled before it became a dispute.
    Prevented = "prevented", Inquiry, Over;
}

impl From<DisputeStatus> for String {
    fn from(status: DisputeStatus) -> Self {
        status.as_str().to_owned()
    }
}

/// How far a dispute has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The bank asks; no money was taken.
    Inquiry,
    /// The money was taken.
    Chargeback,
    /// What was decided is contested.
    Appeal,
}

impl Stage {
    /// The word used in API and command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inquiry => "inquiry",
            Self::Chargeback => "chargeback",
            Self::Appeal => "appeal",
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// We may answer, until the deadline.
    Ours,
    /// The bank decides.
    Bank,
    /// Nobody's any more.
    Over,
}

/// A dispute as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFacts {
    /// The provider's id.
    pub id: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// What is disputed, in the currency of the payment.
    pub amount: Money,
    /// Why, in the provider's word (`fraudulent`, `product_not_received` …).
    pub reason: String,
    /// Until when evidence is taken; none once it is not.
    pub due_by: Option<Timestamp>,
    /// How often evidence was submitted.
    pub submissions: i64,
    /// When it was opened.
    pub created_at: Timestamp,
}

impl DisputeFacts {
    /// Whether we may answer it now.
    #[must_use]
    pub fn is_ours_to_answer(&self, now: Timestamp) -> bool {
        self.status.turn() == Turn::Ours && self.due_by.is_none_or(|due| now < due)
    }
}

/// An early fraud warning: the cardholder has told the bank, and a dispute may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningFacts {
    /// The provider's id.
    pub id: String,
    /// The provider's word for the kind of fraud.
    pub kind: String,
    /// Whether a refund would still prevent a dispute.
    pub actionable: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What the disputes and the warning of a payment do to its money, strongest first: lost, taken, asked for, warned of, won.
/// `None` when they do nothing.
#[must_use]
pub fn money_state(disputes: &[DisputeFacts], warning: Option<&WarningFacts>) -> Option<MoneyState> {
    let of = |dispute: &DisputeFacts| match &dispute.status {
        DisputeStatus::Lost => Some(MoneyState::DisputeLost),
        DisputeStatus::Won => Some(MoneyState::DisputeWon),
        DisputeStatus::WarningNeedsResponse | DisputeStatus::WarningUnderReview => Some(MoneyState::Inquiry),
        DisputeStatus::WarningClosed | DisputeStatus::Prevented => None,
        DisputeStatus::NeedsResponse
        | DisputeStatus::UnderReview
        | DisputeStatus::AppealNeedsResponse
        | DisputeStatus::AppealUnderReview
        // What is not known may have taken the money.
        | DisputeStatus::Other(_) => Some(MoneyState::Disputed),
    };
    let rank = |state: &MoneyState| match state {
        MoneyState::DisputeLost => 5,
        MoneyState::Disputed => 4,
        MoneyState::Inquiry => 3,
        MoneyState::Warned => 2,
        MoneyState::DisputeWon => 1,
        MoneyState::Kept | MoneyState::PartlyRefunded | MoneyState::Refunded => 0,
    };
    let warned = warning.filter(|warning| warning.actionable).map(|_| MoneyState::Warned);
    disputes.iter().filter_map(of).chain(warned).max_by_key(rank)
}

/// What is done with a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeAction {
    /// A person decides.
    Ask,
    /// It is given up: the cardholder keeps the money.
    Accept,
    /// It is answered with the evidence that we have, shortly before the deadline.
    Contest,
}

/// Which disputes, and what is done with them. What is left out holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeRule {
    /// What is done.
    pub then: DisputeAction,
    /// Of these stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// For these reasons, in the provider's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// In this currency, up to this amount in its minor units, such as `{ jpy = 3000, usd = 2000 }`. A currency that is not named
    /// is not met.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub at_most: std::collections::BTreeMap<String, i64>,
}

impl DisputeRule {
    fn meets(&self, dispute: &DisputeFacts) -> bool {
        let small =
            |money: Money| self.at_most.get(money.currency.code()).is_some_and(|most| money.minor <= *most);
        (self.stages.is_empty() || self.stages.contains(&dispute.status.stage()))
            && (self.reasons.is_empty() || self.reasons.contains(&dispute.reason))
            && (self.at_most.is_empty() || small(dispute.amount))
    }
}

/// The operator's choices about disputes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisputePolicy {
    /// How long before the deadline the alert about it is raised, in hours.
    pub warn_hours: u32,
    /// How long before the deadline a dispute is contested that a rule says so of, in hours: until then a person may add to the
    /// evidence.
    pub contest_hours: u32,
    /// The first rule that meets a dispute holds; without one a person decides.
    pub rules: Vec<DisputeRule>,
}

impl Default for DisputePolicy {
    fn default() -> Self {
        Self { warn_hours: 72, contest_hours: 24, rules: Vec::new() }
    }
}

/// What is to be done now, and when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisputeDecision {
    /// What is done now; `Ask` does nothing but tell.
    pub now: DisputeAction,
    /// Whether the deadline is near.
    pub urgent: bool,
    /// When to look again.
    pub look_at: Option<Timestamp>,
}

/// The longest time before a deadline that a policy may name, in hours.
const MOST_HOURS: u32 = 720;

impl DisputePolicy {
    /// Whether the policy makes sense.
    ///
    /// # Errors
    /// The first setting that does not, with what may stand there.
    pub fn check(&self) -> Result<(), PolicyError> {
        let error = |key: String, value: String, why: &str, allowed: &str| {
            Err(PolicyError { key, value, why: why.to_owned(), allowed: allowed.to_owned() })
        };
        for (key, hours) in [("warn_hours", self.warn_hours), ("contest_hours", self.contest_hours)] {
            if hours > MOST_HOURS {
                return error(
                    key.to_owned(),
                    hours.to_string(),
                    "no deadline is so far ahead",
                    "0 to 720 hours",
                );
            }
        }
        for (index, rule) in self.rules.iter().enumerate() {
            for (code, most) in &rule.at_most {
                let key = format!("rules[{index}].at_most.{code}");
                if Currency::parse(code).is_err() {
                    return error(key, code.clone(), "that is no currency", "an ISO 4217 code in lower case");
                }
                if *most < 0 {
                    return error(
                        key,
                        most.to_string(),
                        "nothing is disputed for less than nothing",
                        "0 or more",
                    );
                }
            }
        }
        Ok(())
    }

    /// What to do with a dispute that is ours to answer; `None` for any other.
    #[must_use]
    pub fn decide(&self, dispute: &DisputeFacts, now: Timestamp) -> Option<DisputeDecision> {
        if !dispute.is_ours_to_answer(now) {
            return None;
        }
        let before = |hours: u32| dispute.due_by.map(|due| due.plus_ms(-i64::from(hours) * HOUR_MS));
        let reached = |at: Option<Timestamp>| at.is_none_or(|at| at <= now);
        let (warn_at, contest_at) = (before(self.warn_hours), before(self.contest_hours));
        let wanted =
            self.rules.iter().find(|rule| rule.meets(dispute)).map_or(DisputeAction::Ask, |r| r.then);
        let action = match wanted {
            DisputeAction::Contest if !reached(contest_at) => DisputeAction::Ask,
            // An inquiry has no money to give up: refund it instead, which a person decides.
            DisputeAction::Accept if dispute.status.stage() == Stage::Inquiry => DisputeAction::Ask,
            DisputeAction::Ask | DisputeAction::Accept | DisputeAction::Contest => wanted,
        };
        let look_at =
            [warn_at, contest_at, dispute.due_by].into_iter().flatten().filter(|at| *at > now).min();
        Some(DisputeDecision { now: action, urgent: dispute.due_by.is_some() && reached(warn_at), look_at })
    }
}

/// Adds what the disputes and warnings of a projection ask for: alerts while they wait for us, and what a rule does about them.
pub fn decide(projection: &mut Projection, policy: &DisputePolicy, now: Timestamp) {
    let mut look_at = projection.look_again_at;
    for payment in &projection.payments {
        for dispute in &payment.disputes {
            let Some(decision) = policy.decide(dispute, now) else { continue };
            look_at = [look_at, decision.look_at].into_iter().flatten().min();
            let id = &dispute.id;
            let until = dispute.due_by.map_or_else(String::new, |due| format!(", until {due}"));
            let (stage, status) = (dispute.status.stage(), dispute.status.as_str());
            projection.anomalies.push(Anomaly {
                kind: AnomalyKind::DisputeNeedsResponse,
                object: id.clone(),
                detail: format!(
                    "{} of {} are disputed ({}, {}, {status}); an answer is taken{until}",
                    dispute.amount,
                    payment.id,
                    stage.as_str(),
                    dispute.reason
                ),
            });
            if decision.urgent {
                projection.anomalies.push(Anomaly {
                    kind: AnomalyKind::DisputeDeadline,
                    object: id.clone(),
                    detail: format!(
                        "the dispute of {} of {} is lost without an answer{until}",
                        dispute.amount, payment.id
                    ),
                });
            }
            match decision.now {
                DisputeAction::Ask => {}
                DisputeAction::Accept => {
                    projection.effects.push(Effect::AcceptDispute { dispute: id.clone(), stage })
                }
                DisputeAction::Contest => {
                    projection.effects.push(Effect::ContestDispute { dispute: id.clone(), stage })
                }
            }
        }
        if payment.money == MoneyState::Warned {
            projection.anomalies.push(Anomaly {
                kind: AnomalyKind::EarlyFraudWarning,
                object: payment.id.clone(),
                detail: format!(
                    "the cardholder of {} ({}) has told the bank of fraud; a refund prevents a dispute and its fee",
                    payment.id, payment.amount
                ),
            });
        }
    }
    projection.look_again_at = look_at;
}

/// Characters that are kept for saying that lines were left out.
const LEFT_OUT: usize = 60;

/// As much of a log as fits into `most` characters: its newest lines, and how many before them were left out. `lines` are oldest
/// first.
#[must_use]
pub fn newest_that_fit(lines: &[String], most: usize) -> String {
    let length = |line: &String| line.chars().count() + 1;
    let all: usize = lines.iter().map(length).sum();
    let room = if all > most { most.saturating_sub(LEFT_OUT) } else { most };
    let mut used = 0;
    let mut kept: Vec<&str> = Vec::new();
    for line in lines.iter().rev() {
        used += length(line);
        if used > room {
            break;
        }
        kept.push(line);
    }
    let left_out = lines.len() - kept.len();
    let mut text =
        if left_out == 0 { String::new() } else { format!("{left_out} earlier lines are left out.\n") };
    for line in kept.into_iter().rev() {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_too_long_keeps_its_newest_lines_and_says_so() {
        let lines: Vec<String> = (0..50).map(|n| format!("{n:02} ä")).collect();
        assert_eq!(
            newest_that_fit(&lines, 250),
            lines.iter().map(|line| format!("{line}\n")).collect::<String>()
        );
        let text = newest_that_fit(&lines, 249);
        assert!(text.chars().count() <= 249, "{text}");
        assert!(
            text.starts_with("13 earlier lines are left out.\n13 ä\n") && text.ends_with("49 ä\n"),
            "{text}"
        );
        assert_eq!(newest_that_fit(&["x".repeat(500)], 100), "1 earlier lines are left out.\n");
        assert_eq!(newest_that_fit(&[], 100), "");
    }

    const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn dispute(status: &str, minor: i64) -> DisputeFacts {
        DisputeFacts {
            id: "dp_1".into(),
            status: DisputeStatus::from(status.to_owned()),
            amount: Money::new(minor, Currency::parse("jpy").unwrap()),
            reason: "fraudulent".into(),
            due_by: Some(T0.plus_ms(9 * 24 * HOUR_MS)),
            submissions: 0,
            created_at: T0,
        }
    }

    #[test]
    fn each_status_has_its_stage_its_turn_and_its_money() {
        use MoneyState::{DisputeLost, DisputeWon, Disputed, Inquiry};
        for (word, stage, turn, money) in [
            ("warning_needs_response", Stage::Inquiry, Turn::Ours, Some(Inquiry)),
            ("warning_under_review", Stage::Inquiry, Turn::Bank, Some(Inquiry)),
            ("warning_closed", Stage::Inquiry, Turn::Over, None),
            ("needs_response", Stage::Chargeback, Turn::Ours, Some(Disputed)),
            ("under_review", Stage::Chargeback, Turn::Bank, Some(Disputed)),
            ("appeal_needs_response", Stage::Appeal, Turn::Ours, Some(Disputed)),
            ("appeal_under_review", Stage::Appeal, Turn::Bank, Some(Disputed)),
            ("won", Stage::Chargeback, Turn::Over, Some(DisputeWon)),
            ("lost", Stage::Chargeback, Turn::Over, Some(DisputeLost)),
            ("prevented", Stage::Inquiry, Turn::Over, None),
            ("moon", Stage::Chargeback, Turn::Bank, Some(Disputed)),
        ] {
            let found = dispute(word, 1);
            assert_eq!(
                (found.status.as_str(), found.status.stage(), found.status.turn()),
                (word, stage, turn)
            );
            assert_eq!(money_state(std::slice::from_ref(&found), None), money, "{word}");
        }
        let lost_and_won = [dispute("won", 1), dispute("lost", 1)];
        assert_eq!(money_state(&lost_and_won, None), Some(DisputeLost));
        let warned = |actionable| WarningFacts {
            id: "issfr_1".into(),
            kind: "made_with_stolen_card".into(),
            actionable,
            created_at: T0,
        };
        assert_eq!(money_state(&[], Some(&warned(true))), Some(MoneyState::Warned));
        assert_eq!(money_state(&[], Some(&warned(false))), None, "nothing can be done about it any more");
        assert_eq!(money_state(&[dispute("needs_response", 1)], Some(&warned(true))), Some(Disputed));
    }

    #[test]
    fn the_first_rule_that_meets_decides_and_contesting_waits_for_a_person() {
        let at_most = std::collections::BTreeMap::from([("jpy".to_owned(), 1_000)]);
        let small = DisputeRule { then: DisputeAction::Accept, stages: vec![], reasons: vec![], at_most };
        let rest = DisputeRule {
            then: DisputeAction::Contest,
            stages: vec![Stage::Chargeback],
            reasons: vec!["fraudulent".into()],
            at_most: std::collections::BTreeMap::new(),
        };
        let policy = DisputePolicy { rules: vec![small, rest], ..DisputePolicy::default() };
        let decide = |status: &str, minor: i64, hours: i64| {
            policy.decide(&dispute(status, minor), T0.plus_ms(hours * HOUR_MS)).map(|d| (d.now, d.urgent))
        };
        assert_eq!(decide("needs_response", 1_000, 0), Some((DisputeAction::Accept, false)));
        assert_eq!(decide("needs_response", 1_001, 0), Some((DisputeAction::Ask, false)));
        assert_eq!(decide("needs_response", 1_001, 9 * 24 - 72), Some((DisputeAction::Ask, true)));
        assert_eq!(decide("needs_response", 1_001, 9 * 24 - 24), Some((DisputeAction::Contest, true)));
        assert_eq!(decide("needs_response", 1_001, 9 * 24), None, "too late");
        assert_eq!(decide("appeal_needs_response", 5_000, 9 * 24 - 1), Some((DisputeAction::Ask, true)));
        assert_eq!(decide("warning_needs_response", 1, 0), Some((DisputeAction::Ask, false)));
        assert_eq!(decide("under_review", 1, 0), None);
        let usd = DisputeFacts {
            amount: Money::new(1, Currency::parse("usd").unwrap()),
            ..dispute("needs_response", 1)
        };
        assert_eq!(policy.decide(&usd, T0).unwrap().now, DisputeAction::Ask, "a currency that no rule names");
        let look = policy.decide(&dispute("needs_response", 5_000), T0).unwrap().look_at;
        assert_eq!(look, Some(T0.plus_ms((9 * 24 - 72) * HOUR_MS)));
    }
}
