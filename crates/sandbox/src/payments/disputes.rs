//! Disputes: opened by certain test cards, answered with evidence that decides them, lost when nobody answers in time.
//!
//! Evidence decides by its `uncategorized_text`: `winning_evidence`, `losing_evidence`, and for an inquiry
//! `escalate_inquiry_evidence`. Other evidence is under review until a control call decides; how long a real issuer
//! takes is not played.

use serde_json::Value;

use crate::model::dispute::{Dispute, DisputeStatus};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// What a dispute costs, in minor units.
const DISPUTE_FEE: i64 = 1500;
/// How long evidence can be given, in seconds.
const ANSWER_SECONDS: i64 = 9 * 86_400;
/// How long an inquiry stands, in seconds, before it closes by itself.
const INQUIRY_SECONDS: i64 = 120 * 86_400;

impl World {
    /// A dispute as its events and answers show it.
    pub(crate) fn dispute_value(&self, dispute: &Dispute) -> Value {
        let entries = dispute.balance_transactions.iter().filter_map(|id| self.balance_transactions.get(id));
        dispute.render(entries.map(|entry| entry.render(self.now)).collect())
    }

    /// Stores a dispute and notes the change.
    fn change_dispute(&mut self, before: &Value, dispute: Dispute) {
        let after = self.dispute_value(&dispute);
        self.disputes.put(dispute);
        self.emit_change("charge.dispute.updated", before, after);
    }

    /// The cardholder disputes a charge. An inquiry takes no money yet.
    pub(crate) fn open_dispute(&mut self, charge_id: &str, reason: &str, inquiry: bool) {
        let Some(charge) = self.charges.get(charge_id).cloned() else {
            return;
        };
        let mut dispute = Dispute {
            id: self.chance.id("dp_"),
            created: self.now,
            status: if inquiry { DisputeStatus::WarningNeedsResponse } else { DisputeStatus::NeedsResponse },
            reason: reason.to_owned(),
            amount: charge.taken(),
            currency: charge.currency.clone(),
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            customer: charge.customer.clone(),
            brand: charge.instrument.card().map(|card| card.brand().to_owned()),
            balance_transactions: Vec::new(),
            evidence: serde_json::Map::new(),
            due_by: self.now + ANSWER_SECONDS,
            past_due: false,
            submissions: 0,
            intended_submission_method: None,
            metadata: Metadata::new(),
        };
        if !inquiry {
            self.withdraw(&mut dispute);
        }
        self.timers.set(dispute.due_by, Timer::EvidenceDue(dispute.id.clone()));
        let object = self.dispute_value(&dispute);
        self.disputes.put(dispute);
        self.emit("charge.dispute.created", object.clone());
        if !inquiry {
            self.emit("charge.dispute.funds_withdrawn", object);
        }
        self.end_fraud_warnings(charge_id);
    }

    /// The owner of a bank account takes a debit back: their bank does not ask, and the seller cannot win.
    pub(crate) fn take_back(&mut self, charge: &str, reason: &str) -> ApiResult<()> {
        self.open_dispute(charge, reason, false);
        let opened = self.disputes.iter().rev().find(|dispute| dispute.charge == charge);
        match opened.map(|dispute| dispute.id.clone()) {
            Some(id) => self.close_dispute(&id, false),
            None => Ok(()),
        }
    }

    /// Takes the disputed money and the fee from the balance.
    fn withdraw(&mut self, dispute: &mut Dispute) {
        let description = Some(format!("Chargeback withdrawal for {}", dispute.charge));
        let (amount, currency) = (-dispute.amount, dispute.currency.clone());
        let entry = self.book("adjustment", &dispute.id, amount, DISPUTE_FEE, &currency, description);
        self.bill_provider_fee(&entry.id);
        dispute.balance_transactions.push(entry.id);
        self.charges.edit(&dispute.charge, |charge| charge.disputed = true);
    }

    /// Sends the evidence of a dispute to the issuer, who decides by it.
    pub(crate) fn submit_evidence(&mut self, id: &str) -> ApiResult<()> {
        let mut dispute = need(&self.disputes, id, "dispute")?;
        let before = self.dispute_value(&dispute);
        let inquiry = match dispute.status {
            DisputeStatus::WarningNeedsResponse => true,
            DisputeStatus::NeedsResponse => false,
            DisputeStatus::WarningUnderReview | DisputeStatus::UnderReview => {
                return Err(ApiError::rule(
                    "The evidence of this dispute was submitted already. Nothing changed.",
                ));
            }
            DisputeStatus::WarningClosed | DisputeStatus::Won | DisputeStatus::Lost => return Err(closed()),
        };
        dispute.submissions += 1;
        match dispute.evidence.get("uncategorized_text").and_then(Value::as_str) {
            Some("winning_evidence") => {
                self.disputes.put(dispute);
                self.close_dispute(id, true)
            }
            Some("losing_evidence") => {
                self.disputes.put(dispute);
                self.close_dispute(id, false)
            }
            Some("escalate_inquiry_evidence") if inquiry => {
                self.escalate(&before, dispute);
                Ok(())
            }
            Some(_) | None => {
                dispute.status =
                    if inquiry { DisputeStatus::WarningUnderReview } else { DisputeStatus::UnderReview };
                self.change_dispute(&before, dispute);
                Ok(())
            }
        }
    }

    /// An inquiry becomes a dispute that takes the money; new evidence can be given.
    fn escalate(&mut self, before: &Value, mut dispute: Dispute) {
        dispute.status = DisputeStatus::NeedsResponse;
        dispute.evidence.clear();
        dispute.submissions = 0;
        dispute.past_due = false;
        dispute.due_by = self.now + ANSWER_SECONDS;
        self.timers.set(dispute.due_by, Timer::EvidenceDue(dispute.id.clone()));
        self.withdraw(&mut dispute);
        let object = self.dispute_value(&dispute);
        let charge = dispute.charge.clone();
        self.change_dispute(before, dispute);
        self.emit("charge.dispute.funds_withdrawn", object);
        self.end_fraud_warnings(&charge);
    }

    /// Ends a dispute: won, lost, or an inquiry that nothing came of.
    pub(crate) fn close_dispute(&mut self, id: &str, won: bool) -> ApiResult<()> {
        let mut dispute = need(&self.disputes, id, "dispute")?;
        match dispute.status {
            DisputeStatus::NeedsResponse | DisputeStatus::UnderReview => {
                dispute.status = if won { DisputeStatus::Won } else { DisputeStatus::Lost }
            }
            DisputeStatus::WarningNeedsResponse | DisputeStatus::WarningUnderReview => {
                dispute.status = DisputeStatus::WarningClosed
            }
            DisputeStatus::WarningClosed | DisputeStatus::Won | DisputeStatus::Lost => return Err(closed()),
        }
        let reinstated = dispute.status == DisputeStatus::Won;
        if reinstated {
            let description = Some(format!("Chargeback reversal for {}", dispute.charge));
            let currency = dispute.currency.clone();
            let entry = self.book("adjustment", id, dispute.amount, -DISPUTE_FEE, &currency, description);
            self.bill_provider_fee(&entry.id);
            dispute.balance_transactions.push(entry.id);
            self.charges.edit(&dispute.charge, |charge| charge.disputed = false);
        }
        let object = self.dispute_value(&dispute);
        self.disputes.put(dispute);
        if reinstated {
            self.emit("charge.dispute.funds_reinstated", object.clone());
        }
        self.emit("charge.dispute.closed", object);
        Ok(())
    }

    /// The time for evidence is up: an unanswered dispute is lost, an inquiry waits for its own end.
    pub(crate) fn evidence_due(&mut self, id: &str) {
        let Some(mut dispute) = self.disputes.get(id).filter(|dispute| dispute.due_by <= self.now).cloned()
        else {
            return;
        };
        let before = self.dispute_value(&dispute);
        match dispute.status {
            DisputeStatus::NeedsResponse => {
                dispute.past_due = true;
                self.disputes.put(dispute);
                // It is open, so closing it cannot be refused.
                let _ = self.close_dispute(id, false);
            }
            DisputeStatus::WarningNeedsResponse | DisputeStatus::WarningUnderReview => {
                if dispute.status == DisputeStatus::WarningNeedsResponse {
                    dispute.past_due = true;
                }
                self.timers.set(dispute.created + INQUIRY_SECONDS, Timer::InquiryEnds(id.to_owned()));
                self.change_dispute(&before, dispute);
            }
            DisputeStatus::UnderReview
            | DisputeStatus::WarningClosed
            | DisputeStatus::Won
            | DisputeStatus::Lost => {}
        }
    }

    /// Nothing came of an inquiry: its time is up, or the charge was given back in full.
    pub(crate) fn inquiry_ends(&mut self, id: &str) {
        if self.disputes.get(id).is_some_and(|found| found.status.is_inquiry() && !found.status.is_closed()) {
            let _ = self.close_dispute(id, false);
        }
    }

    /// A charge was given back in full: its inquiries and warnings have no object any more.
    pub(crate) fn given_back(&mut self, charge: &str) {
        self.end_fraud_warnings(charge);
        let inquiries: Vec<String> = self
            .disputes
            .iter()
            .filter(|dispute| dispute.charge == charge)
            .map(|dispute| dispute.id.clone())
            .collect();
        for inquiry in inquiries {
            self.inquiry_ends(&inquiry);
        }
    }
}

fn closed() -> ApiError {
    ApiError::rule("This dispute is already closed. Nothing changed.")
}
