//! What lies ahead: told at a moment that the rules leave, or at once where that is over.

use serde_json::{Map, Value};

use super::data::{base, put, put_charged, text};
use super::{Due, case, trial_start};
use crate::notices::moment::{AppliedRule, Choice, Fit, days_before, moments};
use crate::notices::rules::Rule;
use crate::notices::{Announcement, Notice, NoticeKind};
use crate::projection::{Anomaly, AnomalyKind, Projection};
use crate::subscription::{Subscription, SubscriptionStatus};
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};

impl Due<'_> {
    pub(super) fn trial_ending(&mut self, new: &Subscription) {
        let facts = &new.facts;
        let (SubscriptionStatus::Trialing, Some(end)) = (&facts.status, facts.trial_end) else { return };
        // Nothing is charged then, so there is no first payment to tell.
        if !self.is_told_trial(new)
            || facts.is_uncollected_at(end)
            || facts.ends_at().is_some_and(|at| at <= end)
        {
            return;
        }
        let start = trial_start(new);
        let case = case(NoticeKind::TrialEnding, new, Some(end.since(start)));
        let rules = self.wanted.rules.applicable(case, false);
        let choice = Choice {
            event: end,
            start,
            days: self.wanted.policy.trial_ending_days,
            lead_ms: i64::from(self.wanted.policy.lead_minutes) * MINUTE_MS,
        };
        let mut data = base(new);
        put_charged(&mut data, new, end);
        put(&mut data, "trial_end", text(Some(end)));
        self.ahead(NoticeKind::TrialEnding, &facts.id, &end.to_string(), &rules, choice, &data);
    }

    pub(super) fn renewal_ahead(&mut self, new: &Subscription) {
        let facts = &new.facts;
        let (Some(start), Some(end)) = (facts.period_start(), facts.period_end()) else { return };
        if facts.status != SubscriptionStatus::Active || facts.ends_at().is_some_and(|at| at <= end) {
            return;
        }
        let policy = self.wanted.policy;
        let lead_ms = i64::from(policy.lead_minutes) * MINUTE_MS;
        let year_long = end.since(start) >= 365 * DAY_MS;
        let case = case(NoticeKind::RenewalAhead, new, None);
        let mut rules = self.wanted.rules.applicable(case, false);
        let yearly = self.wanted.rules.applicable(case, true);
        let mut data = base(new);
        put_charged(&mut data, new, end);
        put(&mut data, "renews_at", text(Some(end)));
        if year_long {
            rules.extend(yearly);
        } else if !yearly.is_empty()
            && let Some(day) = next_anniversary(facts.created_at, self.wanted.now)
            && !facts.is_uncollected_at(day)
        {
            let since = day.plus_ms(-365 * DAY_MS);
            let choice = Choice { event: day, start: since, days: policy.renewal_ahead_days, lead_ms };
            let (mut data, kind) = (data.clone(), NoticeKind::RenewalAhead);
            put_charged(&mut data, new, day);
            put(&mut data, "yearly", true);
            self.ahead(kind, &facts.id, &format!("year {day}"), &yearly, choice, &data);
        }
        let long = end.since(start) >= i64::from(policy.renewal_ahead_from_days) * DAY_MS;
        if (!rules.is_empty() || long) && !facts.is_uncollected_at(end) {
            let choice = Choice { event: end, start, days: policy.renewal_ahead_days, lead_ms };
            self.ahead(NoticeKind::RenewalAhead, &facts.id, &end.to_string(), &rules, choice, &data);
        }
    }

    pub(super) fn announced(&mut self, new: &Subscription) {
        let announced: Vec<Announcement> =
            self.wanted.announced.iter().filter(|a| meets(a, new)).cloned().collect();
        for change in announced {
            let rules = self.wanted.rules.applicable(case(change.kind, new, None), false);
            let choice = Choice {
                event: change.effective_at,
                start: change.created_at.max(new.facts.created_at),
                days: self.wanted.policy.change_ahead_days,
                lead_ms: i64::from(self.wanted.policy.lead_minutes) * MINUTE_MS,
            };
            let mut data = base(new);
            put(&mut data, "announcement", &change.id);
            put(&mut data, "effective_at", text(Some(change.effective_at)));
            put(&mut data, "new_price", change.new_price.as_deref());
            put(&mut data, "url", change.url.as_deref());
            self.ahead(change.kind, &new.facts.id, &change.id, &rules, choice, &data);
        }
    }

    /// Something that is to come: told at its moment, or at once when that is over.
    fn ahead(
        &mut self,
        kind: NoticeKind,
        object: &str,
        occurrence: &str,
        rules: &[&Rule],
        choice: Choice,
        data: &Map<String, Value>,
    ) {
        let now = self.wanted.now;
        if now >= choice.event {
            return;
        }
        let all = moments(rules, choice);
        self.look.extend(all.iter().map(|moment| moment.at));
        // Of several moments that are over only the last is told: what it says holds for the others too.
        let Some((index, moment)) = all.into_iter().enumerate().rfind(|(_, m)| m.at <= now) else {
            return;
        };
        let occurrence =
            if index == 0 { occurrence.to_owned() } else { format!("{occurrence}/{}", index + 1) };
        let told = self
            .wanted
            .told
            .iter()
            .find(|t| t.kind == kind && t.object == object && t.occurrence == occurrence);
        let applied = told.map_or_else(|| self.fit(moment.rules), |told| told.rules.clone());
        for rule in applied.iter().filter(|rule| rule.fit == Fit::Missed) {
            let until = text(rule.closes).unwrap_or_default();
            self.missed.push(Anomaly {
                kind: AnomalyKind::NoticeWindowMissed,
                object: object.to_owned(),
                detail: format!(
                    "{}: `{}` asked for it until {until}, and it was told later",
                    kind.as_str(),
                    rule.id
                ),
            });
        }
        let (object, data) = (object.to_owned(), Value::Object(data.clone()));
        self.notices.push(Notice {
            kind,
            object,
            occurrence,
            about: Some(choice.event),
            data,
            rules: applied,
        });
    }

    /// How a message at this moment keeps the rules that it was planned for.
    fn fit(&self, rules: Vec<AppliedRule>) -> Vec<AppliedRule> {
        let late = if self.known { Fit::Missed } else { Fit::FirstSight };
        let now = self.wanted.now;
        rules
            .into_iter()
            .map(|rule| AppliedRule {
                fit: match (rule.fit, rule.closes) {
                    (Fit::Kept, Some(closes)) if now > closes => late,
                    (fit, _) => fit,
                },
                ..rule
            })
            .collect()
    }

    pub(super) fn cards(&mut self, all: &Projection) {
        for new in all.subscriptions.iter().filter(|s| !s.missing && s.duplicate.is_none()) {
            let pays = match new.facts.status {
                SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue => {
                    true
                }
                SubscriptionStatus::Incomplete
                | SubscriptionStatus::IncompleteExpired
                | SubscriptionStatus::Canceled
                | SubscriptionStatus::Unpaid
                | SubscriptionStatus::Paused
                | SubscriptionStatus::Unknown(_) => false,
            };
            let Some((card, end)) = new.facts.told.card.as_ref().and_then(|card| Some((card, card.ends()?)))
            else {
                continue;
            };
            if !pays || new.facts.ends_at().is_some_and(|at| at <= end) || self.wanted.now >= end {
                continue;
            }
            let at = days_before(end, self.wanted.policy.card_expiring_days);
            self.look.push(at);
            if at <= self.wanted.now {
                let mut data = base(new);
                put(&mut data, "expires_at", text(Some(end)));
                let occurrence = card.month();
                if self.notices.iter().any(|n| n.object == card.id && n.occurrence == occurrence) {
                    continue;
                }
                let (object, data) = (card.id.clone(), Value::Object(data));
                let (kind, about) = (NoticeKind::CardExpiring, Some(end));
                self.notices.push(Notice { kind, object, occurrence, about, data, rules: Vec::new() });
            }
        }
    }
}

/// Whether a change that was announced meets a subscription.
pub(in crate::notices) fn meets(change: &Announcement, new: &Subscription) -> bool {
    let planned = new.facts.ends_at().is_some_and(|at| at <= change.effective_at);
    let named = change.plan.as_ref().is_none_or(|plan| new.plans.iter().any(|held| held.plan == *plan));
    new.is_live() && named && !planned
}

/// The first anniversary after a moment; the 29th of February has one on the 28th.
fn next_anniversary(of: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let first = jiff::Timestamp::from_millisecond(of.ms()).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    let years = now.since(of).max(0).div_euclid(365 * DAY_MS);
    (years..years.saturating_add(3)).filter(|n| *n > 0).find_map(|n| {
        let span = jiff::Span::new().try_years(n).ok()?;
        let at = Timestamp::from_ms(first.checked_add(span).ok()?.timestamp().as_millisecond());
        (at > now).then_some(at)
    })
}
