//! Giving money back: by the invoice's credit note where there is an invoice, else by a plain refund. One call each, so that
//! money and document cannot part.

use quittance_domain::refund::{self, RefundReason as Why};
use quittance_store::commands::CommandRow;
use quittance_stripe::calls::credit_notes::{CreditNoteReason, GivenBack};
use quittance_stripe::calls::payments::{Paid, RefundReason};
use quittance_stripe::calls::{self, IdempotencyKey, Paging};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::observe::{ObservedCreditNote, ObservedRefund};
use serde_json::{Value, json};

use super::execute::{COMMAND_KEY, Setback, metadata};
use super::plan::derived;
use crate::engine::Engine;
use crate::refunds::{PaidFor, no_money, refundable, refused};

/// What goes back.
pub(super) struct GiveBack<'a> {
    pub(super) payment: &'a str,
    pub(super) minor: i64,
    pub(super) reason: Option<Why>,
    pub(super) invoice: Option<&'a str>,
    pub(super) out_of_band: bool,
}

impl Engine {
    #[crate::boxed]
    pub(super) async fn give_back(
        &self,
        row: &CommandRow,
        wish: &GiveBack<'_>,
        key: IdempotencyKey,
    ) -> Result<Value, StripeError> {
        let marks = metadata(&[(COMMAND_KEY, row.id.as_str())]);
        if wish.out_of_band && wish.invoice.is_none() {
            // The provider need not know; our books do.
            return Ok(json!({ "status": "succeeded" }));
        }
        let Some(invoice) = wish.invoice else {
            let reason = wish.reason.map(|why| match why {
                Why::RequestedByCustomer => RefundReason::RequestedByCustomer,
                Why::Duplicate => RefundReason::Duplicate,
                Why::Fraudulent => RefundReason::Fraudulent,
            });
            let paid = Paid::PaymentIntent(wish.payment);
            let call = calls::payments::refund(paid, Some(wish.minor), reason, &marks, key);
            let made = self.ask(call).await?;
            return Ok(json!({ "id": made.id, "status": made.status }));
        };
        let reason = match wish.reason {
            Some(Why::RequestedByCustomer) | None => None,
            Some(Why::Duplicate) => Some(CreditNoteReason::Duplicate),
            Some(Why::Fraudulent) => Some(CreditNoteReason::Fraudulent),
        };
        let how = if wish.out_of_band { GivenBack::OutOfBand } else { GivenBack::Refund };
        let call = calls::credit_notes::create(invoice, wish.minor, how, reason, &marks, key);
        let note = self.ask(call).await?;
        Ok(self.told_by_note(&note).await)
    }

    /// Gives back what is left of a payment, without being asked: by what the provider says now, and by what went back outside of it
    /// or is promised. Nothing left is what was wanted.
    #[crate::boxed]
    pub(super) async fn refund_rest(
        &self,
        row: &CommandRow,
        payment: &str,
        reason: Option<Why>,
        key: IdempotencyKey,
    ) -> Result<Value, Setback> {
        let Some(facts) = self.fetch_payment(payment, false).await? else {
            return Err(Setback::Refused(no_money(payment)));
        };
        let (id, own) = (payment.to_owned(), row.id.clone());
        let of = self.db().read("refunds.rest", move |tx| refundable(tx, &id, &facts, Some(&own))).await?;
        if of.left() == 0 {
            return Ok(already());
        }
        let amount =
            refund::amount(&of, None, None).map_err(|why| Setback::Refused(refused(payment, why)))?;
        let invoice = match self.paid_by(payment).await? {
            PaidFor::Invoice(invoice) => Some(invoice),
            PaidFor::Nothing | PaidFor::Part(_) => None,
        };
        let invoice = invoice.as_deref();
        let wish = GiveBack { payment, minor: amount.minor, reason, invoice, out_of_band: false };
        let plain = derived(&key, "plain");
        let sent = match self.give_back(row, &wish, key).await {
            // The credit note of a refund that failed stands, and leaves no room for another one: the money goes back without.
            Err(error) if invoice.is_some() && matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                self.give_back(row, &GiveBack { invoice: None, ..wish }, plain).await
            }
            other => other,
        };
        match sent {
            // Some of it went back between two sendings: what the first one did is there.
            Err(error) if *error.kind() == ErrorKind::IdempotencyMismatch => {
                let made = match self.given_back_before(row, payment, invoice).await? {
                    None if invoice.is_some() => self.given_back_before(row, payment, None).await?,
                    made => made,
                };
                Ok(made.ok_or(error)?)
            }
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { code: Some(code), .. } if code == "charge_already_refunded") => {
                Ok(already())
            }
            other => Ok(other?),
        }
    }

    /// What an earlier sending of a command gave back; `None` when it gave back nothing.
    #[crate::boxed]
    pub(super) async fn given_back_before(
        &self,
        row: &CommandRow,
        payment: &str,
        invoice: Option<&str>,
    ) -> Result<Option<Value>, StripeError> {
        if let Some(invoice) = invoice {
            let call = calls::credit_notes::list(invoice, Paging::default());
            let page = self.ask(call).await?;
            let ours = |note: &&ObservedCreditNote| {
                note.metadata.get(COMMAND_KEY).map(String::as_str) == Some(row.id.as_str())
            };
            return Ok(match page.items.iter().find(ours) {
                Some(note) => Some(self.told_by_note(note).await),
                None => None,
            });
        }
        let call = calls::payments::list_refunds(Paid::PaymentIntent(payment), Paging::default());
        let page = self.ask(call).await?;
        let ours = |refund: &&ObservedRefund| {
            refund.metadata.get(COMMAND_KEY).map(String::as_str) == Some(row.id.as_str())
                && !matches!(refund.status.as_deref(), Some("failed" | "canceled"))
        };
        Ok(page.items.iter().find(ours).map(|refund| json!({ "id": refund.id, "status": refund.status })))
    }

    /// A credit note names its refund, but not where that stands. What cannot be asked now, the sync will tell.
    async fn told_by_note(&self, note: &ObservedCreditNote) -> Value {
        let refund = note.refunds.first();
        let status = match refund {
            Some(id) => {
                let found = self.ask(calls::payments::retrieve_refund(id)).await;
                found.ok().and_then(|refund| refund.status)
            }
            None => None,
        };
        json!({ "id": refund, "status": status, "credit_note": note.id })
    }
}

/// Somebody was faster.
fn already() -> Value {
    json!({ "status": "already_refunded" })
}
