//! What was paid, bought once, and given back.

use serde_json::{Map, Value};

use super::data::{base, put, put_bill, text};
use super::{Due, Held, LEARNT_LATE_MS, word};
use crate::access::Standing;
use crate::notices::NoticeKind;
use crate::projection::{Projection, Purchase, PurchaseState, Stored};
use crate::refund::owed_again;
use crate::subscription::Subscription;

impl Due<'_> {
    pub(super) fn receipts(&mut self, all: &Projection) {
        for invoice in &all.invoices {
            let newest =
                |s: &&Subscription| s.facts.latest_invoice.as_ref().is_some_and(|i| i.id == invoice.id);
            let of = all.subscriptions.iter().find(newest);
            let subscription = of.or_else(|| {
                let id = invoice.bill.subscription.as_deref()?;
                all.subscriptions.iter().find(|s| s.facts.id == id)
            });
            let (Some(total), Some(paid_at)) = (invoice.bill.total, invoice.bill.paid_at) else { continue };
            let trial = of.is_some_and(|s| self.is_told_trial(s));
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

    pub(super) fn purchase(&mut self, old: Option<&Purchase>, new: &Purchase, all: &Projection) {
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
            && !self.wanted.beside.held.iter().any(|held| has_too(held, new))
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
    pub(super) fn refunds(&mut self, stored: &Stored, all: &Projection) {
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
}

/// Whether something else that is held gives the plan of a purchase.
pub(in crate::notices) fn has_too(held: &Held, ended: &Purchase) -> bool {
    held.source != ended.facts.id && Some(&held.plan) == ended.facts.plan.as_ref()
}
