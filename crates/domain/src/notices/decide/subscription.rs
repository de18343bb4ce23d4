//! What became of a subscription: its payments, its access, its end and its changes.

use super::data::{base, put, put_bill, text};
use super::{Due, Held, Told, word};
use crate::access::{Access, Standing};
use crate::dunning::Cause;
use crate::notices::NoticeKind;
use crate::projection::Projection;
use crate::subscription::{
    AttemptState, Duplicate, HeldPlan, InvoiceFacts, Subscription, SubscriptionStatus,
};
use crate::time::DAY_MS;

impl Due<'_> {
    /// A failed renewal is told once per invoice and attempt. A first payment that fails is not: the buyer sits in
    /// front of it.
    pub(super) fn payment(&mut self, old: Option<&Subscription>, new: &Subscription) {
        let (Some(invoice), Some(occurrence)) = (&new.facts.latest_invoice, new.newest_failure()) else {
            return;
        };
        let before = old.and_then(|old| old.facts.latest_invoice.as_ref()).filter(|old| old.id == invoice.id);
        if is_owed(&new.facts.status) && is_failing(invoice) {
            let known = old.filter(|_| before.is_some_and(is_failing)).and_then(Subscription::newest_failure);
            let came_up = old.is_some() && known.as_ref() != Some(&occurrence);
            let since = new.facts.failing_since.or(invoice.bill.finalized_at).unwrap_or(new.facts.created_at);
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
                put(&mut data, "next_attempt_at", text(new.next_attempt_at()));
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

    pub(super) fn grace_ending(&mut self, new: &Subscription) {
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
    pub(super) fn access_ended(&mut self, old: Option<&Subscription>, new: &Subscription, all: &Projection) {
        let Some(old) = old.filter(|old| old.access.allows()) else { return };
        if new.access != Access::Revoked || self.still_served(new, all) {
            return;
        }
        let cause = match (&new.facts.status, money_back(new, all)) {
            (_, Some(cause)) => cause,
            (SubscriptionStatus::Canceled, None) if ended_unplanned(new) => return,
            (SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired, None) => "cancelled",
            (SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid, None) => "payment",
            (SubscriptionStatus::Paused, None) => "paused",
            (SubscriptionStatus::Trialing | SubscriptionStatus::Active, None) if new.facts.is_paused() => {
                "paused"
            }
            (
                SubscriptionStatus::Trialing
                | SubscriptionStatus::Active
                | SubscriptionStatus::Incomplete
                | SubscriptionStatus::Unknown(_),
                None,
            ) => "ended",
        };
        // What was served until now was not over before, whatever day the new reckoning names. A grace has its end from the
        // day on which the bill failed, though nobody had looked.
        let served = cause != "payment" && old.standing.at(self.wanted.now).allows();
        let until = new.standing.until().filter(|_| !served);
        let ended = new.facts.ended_at.or(until).unwrap_or(self.wanted.now);
        let mut occurrence = format!("{cause}:{ended}");
        // Two bills that fail may give the same end. What is on record under the name of before is not told again.
        if let Some(owed) = new.facts.latest_invoice.as_ref().filter(|_| cause == "payment") {
            if self.was_told(NoticeKind::AccessEnded, &new.facts.id, &occurrence) {
                return;
            }
            occurrence = format!("{cause}:{}:{ended}", owed.id);
        }
        let mut data = base(new);
        put(&mut data, "cause", cause);
        put(&mut data, "ended_at", text(Some(ended)));
        if let Some(pause) = new.facts.ahead.pause.as_ref().filter(|_| cause == "paused") {
            put(&mut data, "resumes_at", text(pause.resumes_at));
        }
        self.tell(NoticeKind::AccessEnded, &new.facts.id, occurrence, data);
    }

    /// Whether another subscription, a purchase or a grant of a plan group gives what this one gave.
    fn still_served(&self, ended: &Subscription, all: &Projection) -> bool {
        let groups: Vec<_> = ended.plans.iter().map(|held| &held.group).collect();
        let others = all.subscriptions.iter().filter(|s| s.facts.id != ended.facts.id && s.access.allows());
        let served = others.flat_map(|s| &s.plans).any(|held| groups.contains(&&held.group));
        served || self.wanted.beside.held.iter().any(|held| gives_too(held, ended))
    }

    pub(super) fn cancelled(&mut self, new: &Subscription) {
        let facts = &new.facts;
        let Some(asked) = facts.told.canceled_at else { return };
        let over = facts.status == SubscriptionStatus::Canceled;
        if !(over || facts.ends_at().is_some() && !facts.status.is_final()) {
            return;
        }
        if self.is_news(asked) && !matches!(new.duplicate, Some(Duplicate::Cancel { .. })) {
            let mut data = base(new);
            put(&mut data, "ended", over);
            let ours = self.wanted.beside.own_ends.iter().find(|(id, _)| over && *id == facts.id);
            let theirs = facts.ahead.cancellation.as_ref().and_then(|c| c.reason.as_deref());
            put(&mut data, "reason", ours.map(|(_, why)| why.as_str()).or(theirs));
            put(&mut data, "ends_at", text(facts.ended_at.or(facts.ends_at())));
            self.tell(NoticeKind::SubscriptionCancelled, &facts.id, asked.to_string(), data);
        }
    }

    /// What is charged for changed, not merely what the catalog calls it.
    pub(super) fn plan_changed(&mut self, old: Option<&Subscription>, new: &Subscription) {
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
}

pub(in crate::notices) fn is_failing(invoice: &InvoiceFacts) -> bool {
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

/// Whether the end came at once, so that the cancellation itself tells it.
fn ended_unplanned(new: &Subscription) -> bool {
    match (new.facts.told.canceled_at, new.facts.ended_at) {
        (Some(asked), Some(ended)) => asked >= ended,
        (None, _) | (_, None) => false,
    }
}

/// Whether something that is held gives, by a plan of the same group, what this subscription gave.
pub(in crate::notices) fn gives_too(held: &Held, ended: &Subscription) -> bool {
    let same = |plan: &HeldPlan| Some(&plan.group) == held.group.as_ref();
    held.source != ended.facts.id && ended.plans.iter().any(same)
}

fn money_back(new: &Subscription, all: &Projection) -> Option<&'static str> {
    let invoice = new.facts.latest_invoice.as_ref()?;
    let paid = |id: &str| invoice.payments.iter().any(|p| p.payment == id);
    all.payments.iter().filter(|p| paid(&p.id)).find_map(|p| word(p.money))
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
