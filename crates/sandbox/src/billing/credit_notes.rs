//! Credit notes at work: what they lower of an open invoice, and where the rest of their amount goes.
//!
//! A note lowers what is still to be paid first. What is more than that was paid already, and must be given back in full:
//! by refunds, as credit on the customer's balance, or outside of the API.

use super::balance::NewEntry;
use crate::model::credit_note::{CreditLine, CreditNote, CreditNoteStatus};
use crate::model::customer_balance::EntryKind;
use crate::model::invoice::{Invoice, InvoiceStatus, Line};
use crate::model::invoice_payment::InvoicePaymentStatus;
use crate::model::money::RefundStatus;
use crate::model::tax::{LineTax, TaxRate};
use crate::model::terms::LineTerms;
use crate::payments::balance::round_fraction;
use crate::payments::refunds::{NewRefund, refundable_amount};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// What a line of a new note takes back.
#[derive(Debug, Clone)]
pub(crate) enum Taken {
    /// Of a line of the invoice: an amount before discounts, or some of its units; else all that is left.
    Line { line: String, amount: Option<i64>, quantity: Option<i64> },
    /// An amount of its own.
    Custom { quantity: Option<i64>, unit_amount: i64, rates: Vec<TaxRate> },
}

/// A line of a note that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewCreditLine {
    pub(crate) taken: Taken,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

/// A note that is about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewCreditNote {
    pub(crate) invoice: String,
    pub(crate) lines: Vec<NewCreditLine>,
    /// The total; with lines, what they must come to.
    pub(crate) amount: Option<i64>,
    pub(crate) refund: i64,
    /// Refunds that were made already, with the amount that counts.
    pub(crate) refunds: Vec<(String, Option<i64>)>,
    pub(crate) to_balance: i64,
    pub(crate) out_of_band: i64,
    pub(crate) reason: Option<String>,
    pub(crate) memo: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) effective_at: Option<i64>,
}

impl World {
    /// Works a note out without issuing it. Answers it with the amount that is yet to be refunded.
    pub(crate) fn plan_note(&mut self, new: &NewCreditNote) -> ApiResult<(CreditNote, i64)> {
        let invoice = need(&self.invoices, &new.invoice, "invoice")?;
        match invoice.status {
            InvoiceStatus::Open | InvoiceStatus::Paid | InvoiceStatus::Uncollectible => {}
            InvoiceStatus::Draft | InvoiceStatus::Void => {
                let message = format!(
                    "You can only create credit notes for finalized invoices; this one is {}. No money moved.",
                    invoice.status.as_str()
                );
                return Err(ApiError::state("invoice_not_editable", message).param("invoice"));
            }
        }
        let earlier: Vec<CreditNote> = self.notes_of(&invoice).cloned().collect();
        let lines = self.credit_lines_of(&invoice, &earlier, new)?;
        let total: i64 = lines.iter().map(CreditLine::total).sum();
        if let Some(amount) = new.amount.filter(|amount| *amount != total) {
            let message = format!("The lines come to {total}, not to the amount of {amount}.");
            return Err(ApiError::rule(message).param("amount"));
        }
        let credited: i64 = earlier.iter().map(CreditNote::total).sum();
        let left = invoice.total().saturating_sub(credited);
        if total <= 0 || total > left {
            let message = format!(
                "A credit note of {total} is not possible: {left} of the invoice can be credited. No money moved."
            );
            return Err(ApiError::rule(message).param("amount"));
        }
        let pre_payment = total.min(invoice.remaining());
        let post_payment = total - pre_payment;
        let refunds = self.linked_refunds(&invoice, &earlier, &new.refunds)?;
        if new.refund > 0 {
            let charge = need(&self.charges, &self.charge_of(&invoice)?, "charge")?;
            refundable_amount(&charge, Some(new.refund))?;
        }
        let linked: i64 = refunds.iter().map(|(_, amount)| amount).sum();
        let given = [new.refund, linked, new.to_balance, new.out_of_band].iter().sum::<i64>();
        if given != post_payment {
            let message = format!(
                "The sum of refunds, credit_amount and out_of_band_amount ({given}) must equal the post-payment amount ({post_payment}). No money moved."
            );
            return Err(ApiError::rule(message));
        }
        let count = self.credit_notes.of(&invoice.customer).filter(|note| note.invoice == invoice.id).count();
        let note = CreditNote {
            id: "cn_preview".to_owned(),
            number: format!("{}-CN-{:02}", invoice.number.clone().unwrap_or_default(), count + 1),
            created: self.now,
            status: CreditNoteStatus::Issued,
            customer: invoice.customer.clone(),
            currency: invoice.currency.clone(),
            reason: new.reason.clone(),
            memo: new.memo.clone(),
            metadata: new.metadata.clone(),
            effective_at: new.effective_at.unwrap_or(self.now),
            lines,
            pre_payment,
            post_payment,
            to_balance: new.to_balance,
            out_of_band: new.out_of_band,
            refunds,
            balance_entry: None,
            voided_at: None,
            page_url: invoice.page_url.clone(),
            invoice: invoice.id,
        };
        Ok((note, new.refund))
    }

    /// Issues a note: the money moves, the invoice is lowered. Answers its id.
    pub(crate) fn issue_note(&mut self, new: &NewCreditNote) -> ApiResult<String> {
        let (mut note, refund) = self.plan_note(new)?;
        note.id = self.chance.id("cn_");
        for line in &mut note.lines {
            line.id = self.chance.id("cnli_");
        }
        let invoice = need(&self.invoices, &note.invoice, "invoice")?;
        let mark = self.mark();
        if refund > 0 {
            let charge = self.charge_of(&invoice)?;
            let reason =
                note.reason.clone().filter(|word| matches!(word.as_str(), "duplicate" | "fraudulent"));
            let made = self
                .refund_charge(&charge, NewRefund { amount: Some(refund), reason, ..NewRefund::default() })?;
            note.refunds.push((made, refund));
        }
        if note.to_balance > 0 {
            let entry = NewEntry::plain(EntryKind::CreditNote, -note.to_balance, &note.currency);
            let entry =
                NewEntry { invoice: Some(note.invoice.clone()), credit_note: Some(note.id.clone()), ..entry };
            note.balance_entry = self.move_balance(&note.customer, entry)?;
        }
        let (id, pre_payment, post_payment) = (note.id.clone(), note.pre_payment, note.post_payment);
        let object = note.render();
        self.credit_notes.put(note);
        self.emit_at(mark, "credit_note.created", object, None);
        self.change_invoice(&invoice.id, |invoice| invoice.post_notes += post_payment);
        self.lower_invoice(&invoice.id, pre_payment);
        Ok(id)
    }

    /// Takes a note back; only while its invoice is open, when no money has moved.
    pub(crate) fn void_note(&mut self, id: &str) -> ApiResult<()> {
        let mut note = need(&self.credit_notes, id, "id")?;
        let open = self.invoices.get(&note.invoice).is_some_and(Invoice::is_open);
        if note.status == CreditNoteStatus::Void || !open || note.post_payment > 0 {
            let message =
                "Only a credit note of an open invoice that gave nothing back can be voided. No money moved.";
            return Err(ApiError::refused(message));
        }
        note.status = CreditNoteStatus::Void;
        note.voided_at = Some(self.now);
        let (object, invoice, amount) = (note.render(), note.invoice.clone(), note.pre_payment);
        self.credit_notes.put(note);
        self.emit("credit_note.voided", object);
        self.lower_invoice(&invoice, -amount);
        Ok(())
    }

    /// The notes of an invoice that count, oldest first.
    fn notes_of(&self, invoice: &Invoice) -> impl Iterator<Item = &CreditNote> {
        let counts =
            |note: &&CreditNote| note.invoice == invoice.id && note.status == CreditNoteStatus::Issued;
        self.credit_notes.of(&invoice.customer).filter(counts)
    }

    /// Lowers what is to be paid, with the payment that waits for it. An invoice that nothing is left of is paid.
    fn lower_invoice(&mut self, id: &str, amount: i64) {
        if amount == 0 {
            return;
        }
        self.change_invoice(id, |invoice| {
            invoice.amount_due -= amount;
            invoice.pre_notes += amount;
        });
        let open = |payment: &crate::model::invoice_payment::InvoicePayment| {
            payment.status == InvoicePaymentStatus::Open
        };
        for payment in self.payments_of(id).into_iter().filter(open) {
            self.payment_intents.edit(&payment.payment_intent, |intent| intent.amount -= amount);
            self.invoice_payments.edit(&payment.id, |payment| payment.amount_requested -= amount);
        }
        if self.invoices.get(id).is_some_and(|invoice| invoice.is_payable() && invoice.remaining() == 0) {
            self.invoice_paid(id, None);
        }
    }

    /// The charge that paid an invoice.
    fn charge_of(&self, invoice: &Invoice) -> ApiResult<String> {
        let intent = invoice.payment_intent.as_ref().and_then(|id| self.payment_intents.get(id));
        let charge = intent
            .filter(|intent| intent.amount_received > 0)
            .and_then(|intent| intent.latest_charge.clone());
        charge.ok_or_else(|| {
            ApiError::rule("This invoice was not paid by a charge that could be refunded. No money moved.")
                .param("refund_amount")
        })
    }

    /// Checks refunds that exist already: of the invoice's own charge, and not counted by another note.
    fn linked_refunds(
        &self,
        invoice: &Invoice,
        earlier: &[CreditNote],
        asked: &[(String, Option<i64>)],
    ) -> ApiResult<Vec<(String, i64)>> {
        let mut found = Vec::new();
        for (id, amount) in asked {
            let refund = need(&self.refunds, id, "refunds")?;
            let counted: i64 = earlier
                .iter()
                .flat_map(|note| &note.refunds)
                .filter(|(counted, _)| counted == id)
                .map(|(_, amount)| amount)
                .sum();
            let amount = amount.unwrap_or(refund.amount);
            let of_invoice = self.charge_of(invoice)? == refund.charge;
            if !of_invoice
                || refund.status == RefundStatus::Failed
                || amount <= 0
                || amount > refund.amount - counted
            {
                let message = format!("The refund {id} cannot be counted with {amount} for this invoice.");
                return Err(ApiError::rule(message).param("refunds"));
            }
            found.push((id.clone(), amount));
        }
        Ok(found)
    }

    fn credit_lines_of(
        &mut self,
        invoice: &Invoice,
        earlier: &[CreditNote],
        new: &NewCreditNote,
    ) -> ApiResult<Vec<CreditLine>> {
        let mut lines: Vec<CreditLine> = Vec::new();
        for (index, asked) in new.lines.iter().enumerate() {
            let param = format!("lines[{index}]");
            let line = match &asked.taken {
                Taken::Line { line, amount, quantity } => {
                    let of = invoice.lines.iter().find(|found| found.id == *line);
                    let of = of.ok_or_else(|| ApiError::missing("invoice line item", line, &param))?;
                    let before: Vec<&CreditLine> =
                        earlier.iter().flat_map(|note| &note.lines).chain(&lines).collect();
                    take_back(of, &before, *amount, *quantity).map_err(|error| error.param(&param))?
                }
                Taken::Custom { quantity, unit_amount, rates } => {
                    self.custom_line(invoice, quantity.unwrap_or(1), *unit_amount, rates)
                }
            };
            lines.push(CreditLine {
                description: asked.description.clone().or(line.description),
                metadata: asked.metadata.clone(),
                ..line
            });
        }
        match (lines.is_empty(), new.amount) {
            (true, Some(amount)) => Ok(vec![self.custom_line(invoice, 1, amount, &[])]),
            (true, None) => {
                Err(ApiError::invalid("parameter_missing", "amount", "You must pass either amount or lines."))
            }
            (false, _) => Ok(lines),
        }
    }

    fn custom_line(
        &mut self,
        invoice: &Invoice,
        quantity: i64,
        unit_amount: i64,
        rates: &[TaxRate],
    ) -> CreditLine {
        let amount = unit_amount.saturating_mul(quantity);
        let taxes = super::taxes::taxes_of(amount, rates, &invoice.terms.exempt);
        CreditLine {
            id: "cnli_preview".to_owned(),
            of: None,
            amount,
            description: None,
            quantity: Some(quantity),
            unit_amount: Some(unit_amount),
            metadata: Metadata::new(),
            terms: LineTerms { tax_rates: rates.to_vec(), taxes, ..LineTerms::default() },
        }
    }
}

/// What is taken back of a line: discounts and taxes in proportion. The last part of a line takes all that is left of
/// each, so that parts add up to the whole.
fn take_back(
    of: &Line,
    before: &[&CreditLine],
    amount: Option<i64>,
    quantity: Option<i64>,
) -> ApiResult<CreditLine> {
    let before: Vec<&CreditLine> =
        before.iter().copied().filter(|line| line.of.as_ref() == Some(&of.id)).collect();
    let left = of.amount - before.iter().map(|line| line.amount).sum::<i64>();
    let amount = match (amount, quantity) {
        (Some(_), Some(_)) => return Err(ApiError::rule("You may only specify one of amount and quantity.")),
        (Some(amount), None) => amount,
        (None, Some(quantity)) => round_fraction(of.amount, quantity, of.quantity),
        (None, None) => left,
    };
    if amount <= 0 || amount > left {
        let message = format!("{amount} cannot be credited of the line {}: {left} is left of it.", of.id);
        return Err(ApiError::rule(message));
    }
    let part = |whole: i64, gone: i64| {
        if amount == left { whole - gone } else { round_fraction(whole, amount, of.amount) }
    };
    let discount_amounts = of
        .terms
        .discount_amounts
        .iter()
        .map(|(discount, whole)| {
            let gone = before.iter().flat_map(|line| &line.terms.discount_amounts);
            let gone = gone.filter(|(other, _)| other == discount).map(|(_, amount)| amount).sum();
            (discount.clone(), part(*whole, gone))
        })
        .collect();
    let taxes = of
        .terms
        .taxes
        .iter()
        .map(|tax| {
            let gone =
                || before.iter().flat_map(|line| &line.terms.taxes).filter(|other| other.rate == tax.rate);
            LineTax {
                amount: part(tax.amount, gone().map(|tax| tax.amount).sum()),
                taxable: part(tax.taxable, gone().map(|tax| tax.taxable).sum()),
                ..tax.clone()
            }
        })
        .collect();
    Ok(CreditLine {
        id: "cnli_preview".to_owned(),
        of: Some(of.id.clone()),
        amount,
        description: Some(of.description.clone()),
        quantity,
        unit_amount: quantity.map(|_| of.unit_amount),
        metadata: Metadata::new(),
        terms: LineTerms {
            discount_amounts,
            taxes,
            tax_rates: of.terms.tax_rates.clone(),
            ..LineTerms::default()
        },
    })
}
