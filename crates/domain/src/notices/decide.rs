//! Which notices are due, and when the next one will be.
//!
//! Two sorts of facts. *News* has happened: it is told if it came up since the last look, or is no older than the policy's
//! bound, so that the first sight of an old account tells no old news. The last look counts from a margin before it, because
//! the provider's times are whole seconds and clocks differ. What is *ahead* is told at a moment that the rules
//! leave, or at once where that is over and the fact is still to come. Both are found again at every look; the natural key
//! makes them one message.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::moment::{AppliedRule, Choice, Fit, at_once, days_before, moments};
use super::rules::{Case, RuleTable};
use super::{Announcement, Notice, NoticeKind, NoticePolicy};
use crate::access::{Access, MoneyState, Standing};
use crate::dunning::Cause;
use crate::projection::{Anomaly, AnomalyKind, Effect, Projection, Purchase, PurchaseState, Stored};
use crate::refund::owed_again;
use crate::subscription::{AttemptState, Card, Duplicate, InvoiceFacts, Subscription, SubscriptionStatus};
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};

/// How far before the last look something may have happened and still be news, in milliseconds: the provider tells whole
/// seconds, and its clock and those of the nodes differ by minutes at most. The natural key keeps it one message.
const LOOK_MARGIN_MS: i64 = 10 * MINUTE_MS;
/// How old what is learnt late can be: the provider keeps its events for 30 days.
const LEARNT_LATE_MS: i64 = 30 * DAY_MS;

/// A notice that was written down before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it was about.
    pub kind: NoticeKind,
    /// The object.
    pub object: String,
    /// Which occurrence.
    pub occurrence: String,
    /// The moment that it was about.
    pub about: Option<Timestamp>,
    /// The rules that it was for, and how it kept them.
    pub rules: Vec<AppliedRule>,
}

/// What a decision needs besides the projection.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The operator's choices.
    pub policy: &'a NoticePolicy,
    /// The rules.
    pub rules: &'a RuleTable,
    /// What was told about this customer before, as far back as a renewal.
    pub told: &'a [Told],
    /// Announced changes that are still ahead.
    pub announced: &'a [Announcement],
    /// When the customer was looked at before; `None` at the first look.
    pub looked_at: Option<Timestamp>,
    /// The moment of this look.
    pub now: Timestamp,
}

/// Adds to a projection the notices that are due, the windows that were missed, and when to look for the next.
pub fn decide(stored: &Stored, projection: &mut Projection, wanted: Wanted<'_>) {
    // Nobody is linked, so there is nobody to tell; once somebody is, what is still news is told then.
    if stored.customer.is_none() {
        return;
    }
    let known = stored.subscriptions.iter().all(|s| s.customer == stored.customer)
        && stored.purchases.iter().all(|p| p.customer == stored.customer);
    let bound = wanted.now.plus_ms(-i64::from(wanted.policy.news_days) * DAY_MS);
    let looked_at = wanted.looked_at.filter(|_| known);
    let mut due = Due {
        wanted,
        known: looked_at.is_some(),
        news_since: looked_at.map_or(bound, |at| at.plus_ms(-LOOK_MARGIN_MS).min(bound)),
        notices: Vec::new(),
        missed: Vec::new(),
        look: Vec::new(),
    };
    for new in projection.subscriptions.iter().filter(|s| !s.missing) {
        let old =
            stored.subscriptions.iter().find(|s| s.facts.id == new.facts.id && s.customer == stored.customer);
        due.subscription(old, new, projection);
    }
    for new in &projection.purchases {
        let old =
            stored.purchases.iter().find(|p| p.facts.id == new.facts.id && p.customer == stored.customer);
        due.purchase(old, new, projection);
    }
    due.receipts(projection);
    due.refunds(stored, projection);
    due.cards(projection);
    let Due { notices, missed, look, .. } = due;
    projection.effects.extend(notices.into_iter().map(Effect::Notice));
    projection.anomalies.extend(missed);
    let next = look.into_iter().filter(|at| *at > wanted.now).min();
    projection.look_again_at = match (projection.look_again_at, next) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    };
}

struct Due<'a> {
    wanted: Wanted<'a>,
    /// Somebody looked at this customer before.
    known: bool,
    news_since: Timestamp,
    notices: Vec<Notice>,
    missed: Vec<Anomaly>,
    look: Vec<Timestamp>,
}

impl Due<'_> {
    fn tell(&mut self, kind: NoticeKind, object: &str, occurrence: String, data: Map<String, Value>) {
        self.tell_by(kind, object, occurrence, data, Vec::new());
    }

    /// Tells what some rules want told when it happens.
    fn tell_by(
        &mut self,
        kind: NoticeKind,
        object: &str,
        occurrence: String,
        data: Map<String, Value>,
        rules: Vec<AppliedRule>,
    ) {
        let (object, data) = (object.to_owned(), Value::Object(data));
        self.notices.push(Notice { kind, object, occurrence, about: None, data, rules });
    }

    fn rules_at(&self, kind: NoticeKind, new: &Subscription) -> Vec<AppliedRule> {
        let length = new.facts.trial_end.map(|end| end.since(trial_start(new)));
        let case = case(kind, new, length.filter(|_| is_free_trial(new)));
        at_once(&self.wanted.rules.applicable(case, false))
    }

    fn is_news(&self, at: Timestamp) -> bool {
        at >= self.news_since
    }

    fn was_told(&self, kind: NoticeKind, object: &str, occurrence: &str) -> bool {
        self.wanted.told.iter().any(|t| t.kind == kind && t.object == object && t.occurrence == occurrence)
    }

    fn subscription(&mut self, old: Option<&Subscription>, new: &Subscription, all: &Projection) {
        self.cancelled(new);
        self.access_ended(old, new, all);
        // Of a subscription that is one too many the customer hears that its money goes back, and that it is over.
        if matches!(new.duplicate, Some(Duplicate::Cancel { .. })) {
            return;
        }
        self.payment(old, new);
        self.grace_ending(new);
        self.plan_changed(old, new);
        self.trial_ending(new);
        self.renewal_ahead(new);
        self.announced(new);
    }

    /// A failed renewal is told once per invoice and attempt. A first payment that fails is not: the buyer sits in
    /// front of it.
    fn payment(&mut self, old: Option<&Subscription>, new: &Subscription) {
        let Some(invoice) = &new.facts.latest_invoice else { return };
        let before = old.and_then(|old| old.facts.latest_invoice.as_ref()).filter(|old| old.id == invoice.id);
        if is_owed(&new.facts.status) && is_failing(invoice) {
            let came_up = old.is_some()
                && before.is_none_or(|b| !is_failing(b) || b.attempt_count != invoice.attempt_count);
            let since = new.facts.failing_since.or(invoice.bill.finalized_at).unwrap_or(new.facts.created_at);
            let occurrence = invoice.attempt_count.to_string();
            let told = |kind| self.was_told(kind, &invoice.id, &occurrence);
            // Told before anybody could read how the payment stands, and the bank asks: then the first message was wrong. After
            // one that was right, the customer is merely at it.
            let corrects = told(NoticeKind::PaymentFailed) && before.is_some_and(|b| !is_answered(b));
            let kind = if asks_the_customer(invoice, new.facts.method.as_deref()) {
                (corrects || !told(NoticeKind::PaymentFailed)).then_some(NoticeKind::PaymentActionRequired)
            } else {
                (!told(NoticeKind::PaymentActionRequired)).then_some(NoticeKind::PaymentFailed)
            };
            if let Some(kind) = kind.filter(|_| came_up || corrects || self.is_news(since)) {
                let mut data = base(new);
                put(&mut data, "invoice", &invoice.id);
                put(&mut data, "attempt", invoice.attempt_count);
                put(&mut data, "amount", invoice.remaining.minor);
                put(&mut data, "currency", invoice.remaining.currency);
                put(&mut data, "next_attempt_at", text(invoice.next_attempt_at));
                let attempt = invoice.attempt.as_ref();
                let why = attempt.and_then(|a| a.decline_code.as_deref().or(a.code.as_deref()));
                put(&mut data, "decline_code", why);
                let rules = self.rules_at(kind, new);
                self.tell_by(kind, &invoice.id, occurrence, data, rules);
            }
        }
        let failed = |t: &Told| {
            matches!(t.kind, NoticeKind::PaymentFailed | NoticeKind::PaymentActionRequired)
                && t.object == invoice.id
        };
        if invoice.status == "paid" && self.wanted.told.iter().any(failed) {
            let came_up = before.is_some_and(|b| b.status != "paid");
            if came_up || invoice.bill.paid_at.is_some_and(|at| self.is_news(at)) {
                let mut data = base(new);
                put(&mut data, "invoice", &invoice.id);
                put_bill(&mut data, invoice);
                put(&mut data, "until", text(new.standing.until()));
                self.tell(NoticeKind::PaymentRecovered, &invoice.id, "paid".to_owned(), data);
            }
        }
    }

    fn grace_ending(&mut self, new: &Subscription) {
        let Standing::Grace { since, until } = new.standing else { return };
        let early = i64::from(self.wanted.policy.grace_ending_days) * DAY_MS;
        let at = until.plus_ms(-early.min(until.since(since) / 2));
        self.look.push(at);
        if at <= self.wanted.now && self.wanted.now < until {
            let mut data = base(new);
            put(&mut data, "until", text(Some(until)));
            if let Some(invoice) = &new.facts.latest_invoice {
                put(&mut data, "invoice", &invoice.id);
                put(&mut data, "amount", invoice.remaining.minor);
                put(&mut data, "currency", invoice.remaining.currency);
            }
            self.tell(NoticeKind::GraceEnding, &new.facts.id, since.to_string(), data);
        }
    }

    /// Told when access is seen to end, which one commit sees once; what ends by a cancellation that takes effect at once
    /// is told by that.
    fn access_ended(&mut self, old: Option<&Subscription>, new: &Subscription, all: &Projection) {
        let had = old.is_some_and(|old| old.access.allows());
        if !had || new.access != Access::Revoked || still_served(new, all) {
            return;
        }
        let cause = match (&new.facts.status, money_back(new, all)) {
            (_, Some(cause)) => cause,
            (SubscriptionStatus::Canceled, None) if ended_unplanned(new) => return,
            (SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired, None) => "cancelled",
            (SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid, None) => "payment",
            (SubscriptionStatus::Paused, None) => "paused",
            (
                SubscriptionStatus::Trialing
                | SubscriptionStatus::Active
                | SubscriptionStatus::Incomplete
                | SubscriptionStatus::Unknown(_),
                None,
            ) => "ended",
        };
        let ended = new.facts.ended_at.or(new.standing.until()).unwrap_or(self.wanted.now);
        let mut data = base(new);
        put(&mut data, "cause", cause);
        put(&mut data, "ended_at", text(Some(ended)));
        self.tell(NoticeKind::AccessEnded, &new.facts.id, format!("{cause}:{ended}"), data);
    }

    fn cancelled(&mut self, new: &Subscription) {
        let facts = &new.facts;
        let Some(asked) = facts.told.canceled_at else { return };
        let over = facts.status == SubscriptionStatus::Canceled;
        if !(over || facts.ends_at().is_some() && !facts.status.is_final()) {
            return;
        }
        if self.is_news(asked) && !matches!(new.duplicate, Some(Duplicate::Cancel { .. })) {
            let mut data = base(new);
            put(&mut data, "ended", over);
            put(&mut data, "reason", facts.ahead.cancellation.as_ref().and_then(|c| c.reason.as_deref()));
            put(&mut data, "ends_at", text(facts.ended_at.or(facts.ends_at())));
            self.tell(NoticeKind::SubscriptionCancelled, &facts.id, asked.to_string(), data);
        }
    }

    /// What is charged for changed, not merely what the catalog calls it.
    fn plan_changed(&mut self, old: Option<&Subscription>, new: &Subscription) {
        let Some(old) = old else { return };
        let shape = |s: &Subscription| -> Vec<(String, i64)> {
            s.facts.items.iter().map(|i| (i.price.clone(), i.quantity)).collect()
        };
        let live = |s: &Subscription| s.is_live() && !s.facts.items.is_empty();
        let named = |s: &Subscription| -> Vec<(String, Option<String>, i64)> {
            let interval = s.facts.items.first().and_then(|i| i.interval.clone());
            s.plans.iter().map(|p| (p.plan.to_string(), interval.clone(), p.quantity)).collect()
        };
        if !live(old) || !live(new) || shape(old) == shape(new) || named(old) == named(new) {
            return;
        }
        let mut data = base(new);
        put(&mut data, "from_plan", old.plan().map(|p| p.plan.to_string()));
        put(&mut data, "from_quantity", old.plan().map(|p| p.quantity));
        put(&mut data, "from_interval", old.facts.items.first().and_then(|i| i.interval.clone()));
        put(&mut data, "next_charge_at", text(new.facts.period_end()));
        self.tell(NoticeKind::PlanChanged, &new.facts.id, self.wanted.now.to_string(), data);
    }

    fn trial_ending(&mut self, new: &Subscription) {
        let facts = &new.facts;
        let (SubscriptionStatus::Trialing, Some(end)) = (&facts.status, facts.trial_end) else { return };
        if !is_free_trial(new) || facts.ends_at().is_some_and(|at| at <= end) {
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

    fn renewal_ahead(&mut self, new: &Subscription) {
        let facts = &new.facts;
        let (Some(start), Some(end)) = (facts.period_start(), facts.period_end()) else { return };
        if facts.status != SubscriptionStatus::Active
            || facts.is_paused()
            || facts.ends_at().is_some_and(|at| at <= end)
        {
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
        {
            let since = day.plus_ms(-365 * DAY_MS);
            let choice = Choice { event: day, start: since, days: policy.renewal_ahead_days, lead_ms };
            let (mut data, kind) = (data.clone(), NoticeKind::RenewalAhead);
            put_charged(&mut data, new, day);
            put(&mut data, "yearly", true);
            self.ahead(kind, &facts.id, &format!("year {day}"), &yearly, choice, &data);
        }
        let long = end.since(start) >= i64::from(policy.renewal_ahead_from_days) * DAY_MS;
        if !rules.is_empty() || long {
            let choice = Choice { event: end, start, days: policy.renewal_ahead_days, lead_ms };
            self.ahead(NoticeKind::RenewalAhead, &facts.id, &end.to_string(), &rules, choice, &data);
        }
    }

    fn announced(&mut self, new: &Subscription) {
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
        rules: &[&super::rules::Rule],
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

    fn receipts(&mut self, all: &Projection) {
        for invoice in &all.invoices {
            let newest =
                |s: &&Subscription| s.facts.latest_invoice.as_ref().is_some_and(|i| i.id == invoice.id);
            let of = all.subscriptions.iter().find(newest);
            let subscription = of.or_else(|| {
                let id = invoice.bill.subscription.as_deref()?;
                all.subscriptions.iter().find(|s| s.facts.id == id)
            });
            let (Some(total), Some(paid_at)) = (invoice.bill.total, invoice.bill.paid_at) else { continue };
            let trial = of.is_some_and(is_free_trial);
            // Nothing was paid, but it is what a trial begins with, and says what will be.
            if invoice.status != "paid" || !(total.minor > 0 || trial) || !self.is_news(paid_at) {
                continue;
            }
            let mut data = subscription.map(base).unwrap_or_default();
            put(&mut data, "invoice", &invoice.id);
            put_bill(&mut data, invoice);
            if let Some(end) = of.and_then(|s| s.facts.trial_end).filter(|_| trial) {
                put(&mut data, "trial_end", text(Some(end)));
            }
            let rules = subscription.map(|s| self.rules_at(NoticeKind::Receipt, s)).unwrap_or_default();
            self.tell_by(NoticeKind::Receipt, &invoice.id, "paid".to_owned(), data, rules);
        }
    }

    fn purchase(&mut self, old: Option<&Purchase>, new: &Purchase, all: &Projection) {
        let facts = &new.facts;
        let mut data = Map::new();
        put(&mut data, "purchase", &facts.id);
        put(&mut data, "plan", facts.plan.as_ref().map(ToString::to_string));
        put(&mut data, "quantity", facts.quantity);
        let came_up = old.is_some_and(|old| !old.facts.paid);
        let news = came_up || facts.sale.created_at.is_some_and(|at| self.is_news(at));
        if let Some(amount) = facts.sale.amount.filter(|amount| facts.paid && amount.minor > 0 && news) {
            let mut data = data.clone();
            put(&mut data, "amount", amount.minor);
            put(&mut data, "currency", amount.currency);
            self.tell(NoticeKind::Receipt, &facts.id, "paid".to_owned(), data);
        }
        self.underway(old, new, &data);
        let had = old.is_some_and(|old| old.standing.at(self.wanted.now).allows());
        let cause = all.payments.iter().find(|p| Some(&p.id) == facts.payment.as_ref()).map(|p| p.money);
        if had
            && new.standing == Standing::Revoked
            && let Some(cause) = cause.and_then(word)
        {
            put(&mut data, "cause", cause);
            put(&mut data, "ended_at", text(Some(self.wanted.now)));
            self.tell(NoticeKind::AccessEnded, &facts.id, format!("{cause}:{}", self.wanted.now), data);
        }
    }

    /// Money that comes days later: that it is on its way, and that it did not come.
    fn underway(&mut self, old: Option<&Purchase>, new: &Purchase, data: &Map<String, Value>) {
        let facts = &new.facts;
        let before = old.map(Purchase::state);
        let recent = facts.sale.created_at.is_some_and(|at| self.is_news(at));
        let (kind, occurrence) = match (before, new.state()) {
            (None, PurchaseState::Processing) if recent => {
                (NoticeKind::PurchaseProcessing, "processing".to_owned())
            }
            // Tried again after it had failed.
            (Some(PurchaseState::Failed), PurchaseState::Processing) => {
                (NoticeKind::PurchaseProcessing, format!("processing:{}", self.wanted.now))
            }
            (Some(PurchaseState::Processing), PurchaseState::Failed) => {
                (NoticeKind::PurchaseFailed, format!("failed:{}", self.wanted.now))
            }
            (
                None
                | Some(
                    PurchaseState::Processing
                    | PurchaseState::Paid
                    | PurchaseState::Failed
                    | PurchaseState::TakenBack,
                ),
                PurchaseState::Processing
                | PurchaseState::Paid
                | PurchaseState::Failed
                | PurchaseState::TakenBack,
            ) => return,
        };
        let mut data = data.clone();
        if let Some(amount) = facts.sale.amount {
            put(&mut data, "amount", amount.minor);
            put(&mut data, "currency", amount.currency);
        }
        self.tell(kind, &facts.id, occurrence, data);
    }

    /// A refund is told when it has come about, which may be long after it was made.
    fn refunds(&mut self, stored: &Stored, all: &Projection) {
        for payment in &all.payments {
            let known = stored.payments.iter().find(|p| p.id == payment.id);
            let before = |id: &str| known.and_then(|p| p.refunds.iter().find(|r| r.id == id));
            for refund in payment.refunds.iter().filter(|r| r.status == "succeeded") {
                // Of a payment that is known, what was not there before has come up since, however late it is learnt.
                let learnt_late =
                    known.is_some() && refund.created_at >= self.wanted.now.plus_ms(-LEARNT_LATE_MS);
                let came_up =
                    self.known && before(&refund.id).map_or(learnt_late, |r| r.status != "succeeded");
                if !came_up && !self.is_news(refund.created_at) {
                    continue;
                }
                let mut data = Map::new();
                put(&mut data, "payment", &payment.id);
                put(&mut data, "amount", refund.amount.minor);
                put(&mut data, "currency", refund.amount.currency);
                put(&mut data, "paid", payment.amount.minor);
                self.tell(NoticeKind::RefundMade, &refund.id, "made".to_owned(), data);
            }
            for refund in owed_again(&payment.refunds) {
                if !self.was_told(NoticeKind::RefundMade, &refund.id, "made") {
                    continue;
                }
                let mut data = Map::new();
                put(&mut data, "payment", &payment.id);
                put(&mut data, "amount", refund.amount.minor);
                put(&mut data, "currency", refund.amount.currency);
                self.tell(NoticeKind::RefundFailed, &refund.id, "failed".to_owned(), data);
            }
        }
    }

    fn cards(&mut self, all: &Projection) {
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
pub(super) fn meets(change: &Announcement, new: &Subscription) -> bool {
    let planned = new.facts.ends_at().is_some_and(|at| at <= change.effective_at);
    let named = change.plan.as_ref().is_none_or(|plan| new.plans.iter().any(|held| held.plan == *plan));
    new.is_live() && named && !planned
}

pub(super) fn is_failing(invoice: &InvoiceFacts) -> bool {
    invoice.status == "open" && invoice.attempt_count > 0
}

/// Whether a failed payment can only go on with the customer, as the provider's payment says; not by which event came, and when.
fn asks_the_customer(invoice: &InvoiceFacts, method: Option<&str>) -> bool {
    Cause::of(invoice.attempt.as_ref(), method) == Cause::Authentication
}

/// Whether the bank's answer to a payment was known.
fn is_answered(invoice: &InvoiceFacts) -> bool {
    invoice.attempt.as_ref().is_some_and(|attempt| match attempt.state {
        AttemptState::NeedsMethod | AttemptState::NeedsCustomer => true,
        AttemptState::Processing | AttemptState::Other => false,
    })
}

fn trial_start(new: &Subscription) -> Timestamp {
    new.facts.told.trial_start.unwrap_or(new.facts.created_at)
}

/// Whether a trial is a gift; waiting for another subscription's end looks the same to the provider, and is none.
fn is_free_trial(new: &Subscription) -> bool {
    new.facts.status == SubscriptionStatus::Trialing && new.facts.ahead.starts_after.is_none()
}

/// Whether the end came at once, so that the cancellation itself tells it.
fn ended_unplanned(new: &Subscription) -> bool {
    match (new.facts.told.canceled_at, new.facts.ended_at) {
        (Some(asked), Some(ended)) => asked >= ended,
        (None, _) | (_, None) => false,
    }
}

/// Whether another subscription or purchase of a plan group gives what this one gave.
pub(super) fn still_served(ended: &Subscription, all: &Projection) -> bool {
    let groups: Vec<_> = ended.plans.iter().map(|held| &held.group).collect();
    all.subscriptions
        .iter()
        .filter(|s| s.facts.id != ended.facts.id && s.access.allows())
        .any(|s| s.plans.iter().any(|held| groups.contains(&&held.group)))
}

fn money_back(new: &Subscription, all: &Projection) -> Option<&'static str> {
    let invoice = new.facts.latest_invoice.as_ref()?;
    let paid = |id: &str| invoice.payments.iter().any(|p| p.payment == id);
    all.payments.iter().filter(|p| paid(&p.id)).find_map(|p| word(p.money))
}

fn word(money: MoneyState) -> Option<&'static str> {
    match money {
        MoneyState::Kept | MoneyState::PartlyRefunded | MoneyState::DisputeWon => None,
        MoneyState::Refunded => Some("refunded"),
        // Where they end access, the reason is the same.
        MoneyState::Warned | MoneyState::Inquiry | MoneyState::Disputed | MoneyState::DisputeLost => {
            Some("disputed")
        }
    }
}

fn case<'a>(kind: NoticeKind, new: &'a Subscription, trial_ms: Option<i64>) -> Case<'a> {
    let card: Option<&'a Card> = new.facts.told.card.as_ref();
    let period = new.facts.period_start().zip(new.facts.period_end());
    Case {
        kind,
        network: card.and_then(|card| card.brand.as_deref()),
        country: card.and_then(|card| card.country.as_deref()),
        trial_ms,
        period_ms: period.map(|(start, end)| end.since(start)),
    }
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

fn base(new: &Subscription) -> Map<String, Value> {
    let mut data = Map::new();
    put(&mut data, "subscription", &new.facts.id);
    put_held(&mut data, new);
    if let Some(card) = &new.facts.told.card {
        put(&mut data, "card", json!({ "brand": card.brand, "last4": card.last4, "expires": card.month() }));
    }
    data
}

fn put_held(data: &mut Map<String, Value>, subscription: &Subscription) {
    if let Some(held) = subscription.plan() {
        put(data, "plan", held.plan.to_string());
        put(data, "quantity", held.quantity);
    }
    if let Some(item) = subscription.facts.items.first() {
        put(data, "interval", item.interval.as_deref());
    }
}

/// Whether a subscription in this status still owes what failed: the last try is told too, after which the provider gives up.
pub(crate) const fn is_owed(status: &SubscriptionStatus) -> bool {
    match status {
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => true,
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::IncompleteExpired
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unknown(_) => false,
    }
}

/// What will be charged for at an instant: what is held, or what is planned to take its place by then. The provider's price of
/// what is planned is `planned_price`.
pub fn put_charged(data: &mut Map<String, Value>, subscription: &Subscription, at: Timestamp) {
    for key in ["plan", "quantity", "interval", "planned_price"] {
        data.remove(key);
    }
    let Some(planned) = subscription.scheduled.as_ref().filter(|planned| planned.at <= at) else {
        put_held(data, subscription);
        return;
    };
    if let Some(plan) = &planned.plan {
        put(data, "plan", plan.to_string());
    }
    put(data, "quantity", planned.quantity);
    put(data, "interval", planned.interval.as_deref());
    let first = subscription.facts.ahead.next_phase.as_ref().and_then(|next| next.items.first());
    put(data, "planned_price", first.map(|item| item.price.as_str()));
}

fn put_bill(data: &mut Map<String, Value>, invoice: &InvoiceFacts) {
    if let Some(total) = invoice.bill.total {
        put(data, "amount", total.minor);
        put(data, "currency", total.currency);
    }
    put(data, "paid_at", text(invoice.bill.paid_at));
}

fn put(data: &mut Map<String, Value>, key: &str, value: impl Serialize) {
    // Words, numbers and times always can be written.
    data.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
