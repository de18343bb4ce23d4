//! Invoices, their payments, and previews, in the shape before and since Basil (`parent` and `payments`).

use serde_json::Value;

use super::MetadataMap;
use super::read::{Node, ShapeError};

/// An invoice as Stripe has it. Everything about the person is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedInvoice {
    /// `in_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// Live or test.
    pub livemode: bool,
    /// `cus_...`.
    pub customer: Option<String>,
    /// The subscription that it bills.
    pub subscription: Option<String>,
    /// The subscription's metadata as it was when the invoice was made.
    pub subscription_metadata: MetadataMap,
    /// Metadata.
    pub metadata: MetadataMap,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Minor units; negative for a credit.
    pub total: i64,
    /// The tax in the total, minor units.
    pub tax: i64,
    /// The customer's balance before it, minor units; negative is a credit. None where Stripe did not tell.
    pub starting_balance: Option<i64>,
    /// The customer's balance after it, minor units; none until it is final.
    pub ending_balance: Option<i64>,
    /// Minor units.
    pub amount_due: i64,
    /// Minor units.
    pub amount_paid: i64,
    /// Minor units.
    pub amount_remaining: i64,
    /// The first attempt and the automatic ones.
    pub attempt_count: i64,
    /// When it is tried again; none means never.
    pub next_payment_attempt_s: Option<i64>,
    /// When it was created.
    pub created_s: i64,
    /// When it was finalized.
    pub finalized_at_s: Option<i64>,
    /// When it was paid.
    pub paid_at_s: Option<i64>,
    /// When it was voided.
    pub voided_at_s: Option<i64>,
    /// When it was given up.
    pub marked_uncollectible_at_s: Option<i64>,
    /// When it is due, for sent invoices.
    pub due_date_s: Option<i64>,
    /// Stripe's page on which it can be paid; none for a draft.
    pub hosted_url: Option<HostedUrl>,
    /// Why it was made.
    pub billing_reason: Option<String>,
    /// The payments; none when Stripe did not tell (the newer shape needs `expand[]=payments`).
    pub payments: Option<Vec<InvoicePaymentRef>>,
    /// False when Stripe left payments out: list the invoice's payments.
    pub payments_complete: bool,
    /// What its lines are for; empty where that is not wholly told.
    pub periods: Vec<LinePeriod>,
    /// How far it pays ahead: the earliest end of the whole periods that it bills, as far as its lines are told. None for one
    /// that only corrects what was billed before, or bills what was used.
    pub reaches_s: Option<i64>,
}

/// What a line of an invoice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinePeriod {
    /// Minor units, before discounts; negative for a credit.
    pub amount: i64,
    /// When the period begins.
    pub start_s: i64,
    /// When it ends.
    pub end_s: i64,
}

/// The address of a page that shows an invoice to whoever has it, and so stands in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct HostedUrl(pub String);

impl std::fmt::Debug for HostedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostedUrl(…)")
    }
}

/// A payment towards an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoicePaymentRef {
    /// `pi_...`.
    pub payment_intent: Option<String>,
    /// `ch_...`.
    pub charge: Option<String>,
    /// Minor units; none while it is not paid.
    pub amount_paid: Option<i64>,
    /// `open`, `paid` or `canceled`; none in the older shape, where only the invoice has a status.
    pub status: Option<String>,
}

/// An invoice payment as an object of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedInvoicePayment {
    /// `inpay_...`.
    pub id: String,
    /// `in_...`.
    pub invoice: String,
    /// Live or test.
    pub livemode: bool,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount_requested: i64,
    /// When it was created.
    pub created_s: i64,
    /// What it pays with.
    pub payment: InvoicePaymentRef,
}

/// An invoice as a customer is led to it, read just before that. Its addresses pay for whoever has them: they are passed on and
/// never kept.
#[derive(Clone, PartialEq, Eq)]
pub struct HostedInvoice {
    /// `in_...`.
    pub id: String,
    /// Stripe's word, unmapped.
    pub status: String,
    /// The number printed on it.
    pub number: Option<String>,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Minor units.
    pub total: i64,
    /// The tax in the total, minor units.
    pub tax: i64,
    /// Minor units.
    pub amount_paid: i64,
    /// Minor units.
    pub amount_remaining: i64,
    /// The first attempt and the automatic ones.
    pub attempt_count: i64,
    /// When it is tried again; none means never.
    pub next_payment_attempt_s: Option<i64>,
    /// Stripe's page on which it can be paid and seen.
    pub url: Option<String>,
    /// The document.
    pub pdf: Option<String>,
}

impl std::fmt::Debug for HostedInvoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostedInvoice")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl HostedInvoice {
    /// Reads an invoice with its addresses.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("invoice", value)?;
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            number: node.opt_text("number")?,
            currency: node.text("currency")?,
            total: node.int("total")?,
            tax: tax(&node)?,
            amount_paid: node.int("amount_paid")?,
            amount_remaining: node.int("amount_remaining")?,
            attempt_count: node.int("attempt_count")?,
            next_payment_attempt_s: node.opt_int("next_payment_attempt")?,
            url: node.opt_text("hosted_invoice_url")?,
            pdf: node.opt_text("invoice_pdf")?,
        })
    }
}

/// What the next invoice would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoicePreview {
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Minor units, before tax and discounts.
    pub subtotal: i64,
    /// What discounts take off, in minor units.
    pub discount: i64,
    /// Minor units.
    pub total: i64,
    /// Minor units, after the customer's balance.
    pub amount_due: i64,
    /// The customer's balance before it, minor units; negative is a credit.
    pub starting_balance: i64,
    /// When it would be charged.
    pub next_payment_attempt_s: Option<i64>,
    /// The lines.
    pub lines: Vec<PreviewLine>,
    /// False when Stripe left lines out.
    pub lines_complete: bool,
}

/// One line of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewLine {
    /// Minor units; negative for a credit.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: String,
    /// Stripe's text for the customer.
    pub description: Option<String>,
    /// Whether it corrects a period already billed.
    pub proration: bool,
    /// `price_...`.
    pub price_id: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// Start of what it covers.
    pub period_start_s: Option<i64>,
    /// End of what it covers.
    pub period_end_s: Option<i64>,
}

impl ObservedInvoice {
    /// Reads an invoice.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        Self::from_node(&Node::root("invoice", value)?)
    }

    pub(super) fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let amount_paid = node.int("amount_paid")?;
        let (subscription, subscription_metadata) = subscription(node)?;
        let (payments, payments_complete) = payments(node, amount_paid)?;
        let times = node.child("status_transitions")?;
        let time = |field| times.as_ref().map(|t| t.opt_int(field)).transpose().map(Option::flatten);
        Ok(Self {
            id: node.text("id")?,
            status: node.text("status")?,
            livemode: node.flag("livemode")?,
            customer: node.opt_id("customer")?,
            subscription,
            subscription_metadata,
            metadata: node.metadata("metadata")?,
            currency: node.text("currency")?,
            total: node.int("total")?,
            tax: tax(node)?,
            starting_balance: node.opt_int("starting_balance")?,
            ending_balance: node.opt_int("ending_balance")?,
            amount_due: node.int("amount_due")?,
            amount_paid,
            amount_remaining: node.int("amount_remaining")?,
            attempt_count: node.int("attempt_count")?,
            next_payment_attempt_s: node.opt_int("next_payment_attempt")?,
            created_s: node.int("created")?,
            finalized_at_s: time("finalized_at")?,
            paid_at_s: time("paid_at")?,
            voided_at_s: time("voided_at")?,
            marked_uncollectible_at_s: time("marked_uncollectible_at")?,
            due_date_s: node.opt_int("due_date")?,
            hosted_url: node.opt_text("hosted_invoice_url")?.map(HostedUrl),
            billing_reason: node.opt_text("billing_reason")?,
            payments,
            payments_complete,
            periods: periods(node)?,
            reaches_s: reaches(node)?,
        })
    }
}

/// What each line is for; nothing where lines are not told, or not all of them.
fn periods(node: &Node<'_>) -> Result<Vec<LinePeriod>, ShapeError> {
    let Some((lines, false)) = node.list("lines")? else { return Ok(Vec::new()) };
    let mut periods = Vec::with_capacity(lines.len());
    for line in &lines {
        let Some(period) = line.child("period")? else { continue };
        if let (Some(start_s), Some(end_s)) = (period.opt_int("start")?, period.opt_int("end")?) {
            periods.push(LinePeriod { amount: line.int("amount")?, start_s, end_s });
        }
    }
    Ok(periods)
}

/// Corrections say so in both shapes; what was used is billed when its period is over.
fn reaches(node: &Node<'_>) -> Result<Option<i64>, ShapeError> {
    let Some((lines, _)) = node.list("lines")? else { return Ok(None) };
    let created_s = node.int("created")?;
    let mut ends = Vec::with_capacity(lines.len());
    for line in &lines {
        let (of_subscription, corrects) = origin(line)?;
        if of_subscription && !corrects {
            ends.extend(line.child("period")?.map(|period| period.opt_int("end")).transpose()?.flatten());
        }
    }
    Ok(ends.into_iter().filter(|end| *end > created_s).min())
}

/// Whether a line is a subscription's, and whether it corrects a period already billed.
fn origin(line: &Node<'_>) -> Result<(bool, bool), ShapeError> {
    let parent = line.child("parent")?;
    let newer =
        parent.as_ref().map(|parent| parent.child("subscription_item_details")).transpose()?.flatten();
    match newer {
        Some(details) => Ok((true, details.opt_flag("proration")?.unwrap_or(false))),
        None => {
            let of_subscription = line.opt_text("type")?.as_deref() == Some("subscription");
            Ok((of_subscription, line.opt_flag("proration")?.unwrap_or(false)))
        }
    }
}

/// The sum of the newer shape's parts, or the older shape's one number; no tax is null in both.
fn tax(node: &Node<'_>) -> Result<i64, ShapeError> {
    let Some(parts) = node.array("total_taxes")? else { return Ok(node.opt_int("tax")?.unwrap_or(0)) };
    parts.iter().try_fold(0_i64, |sum, part| {
        let amount = part.int("amount")?;
        sum.checked_add(amount).ok_or_else(|| node.error("total_taxes", super::ShapeProblem::OutOfRange))
    })
}

fn subscription(node: &Node<'_>) -> Result<(Option<String>, MetadataMap), ShapeError> {
    let parent = node.child("parent")?;
    let details = match parent.map(|p| p.child("subscription_details")).transpose()?.flatten() {
        Some(details) => Some(details),
        None => node.child("subscription_details")?,
    };
    let within = details.as_ref().map(|d| d.opt_id("subscription")).transpose()?.flatten();
    let metadata = details.map(|d| d.metadata("metadata")).transpose()?.unwrap_or_default();
    Ok((within.or(node.opt_id("subscription")?), metadata))
}

fn payments(node: &Node<'_>, paid: i64) -> Result<(Option<Vec<InvoicePaymentRef>>, bool), ShapeError> {
    if let Some((list, more)) = node.list("payments")? {
        let read = list.iter().map(InvoicePaymentRef::from_node).collect::<Result<_, _>>()?;
        return Ok((Some(read), !more));
    }
    if !node.names("payment_intent") && !node.names("charge") {
        return Ok((None, false));
    }
    let (payment_intent, charge) = (node.opt_id("payment_intent")?, node.opt_id("charge")?);
    if payment_intent.is_none() && charge.is_none() {
        return Ok((Some(Vec::new()), true));
    }
    let amount_paid = (paid > 0).then_some(paid);
    Ok((Some(vec![InvoicePaymentRef { payment_intent, charge, amount_paid, status: None }]), true))
}

impl InvoicePaymentRef {
    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let payment = node.child("payment")?;
        let id = |field| payment.as_ref().map(|p| p.opt_id(field)).transpose().map(Option::flatten);
        Ok(Self {
            payment_intent: id("payment_intent")?,
            charge: id("charge")?,
            amount_paid: node.opt_int("amount_paid")?,
            status: Some(node.text("status")?),
        })
    }
}

impl ObservedInvoicePayment {
    /// Reads an invoice payment.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("invoice_payment", value)?;
        let invoice = node.opt_id("invoice")?;
        Ok(Self {
            id: node.text("id")?,
            invoice: invoice.ok_or_else(|| node.error("invoice", super::ShapeProblem::Missing))?,
            livemode: node.flag("livemode")?,
            currency: node.text("currency")?,
            amount_requested: node.int("amount_requested")?,
            created_s: node.int("created")?,
            payment: InvoicePaymentRef::from_node(&node)?,
        })
    }
}

impl InvoicePreview {
    /// Reads a preview, which is an invoice that may have no id.
    ///
    /// # Errors
    /// [`ShapeError`] naming the field that is missing or odd.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let node = Node::root("invoice", value)?;
        let (lines, more) =
            node.list("lines")?.ok_or_else(|| node.error("lines", super::ShapeProblem::Missing))?;
        Ok(Self {
            currency: node.text("currency")?,
            subtotal: node.int("subtotal")?,
            discount: node
                .array("total_discount_amounts")?
                .unwrap_or_default()
                .iter()
                .try_fold(0_i64, |sum, part| Ok(sum.saturating_add(part.int("amount")?)))?,
            total: node.int("total")?,
            amount_due: node.int("amount_due")?,
            starting_balance: node.int("starting_balance")?,
            next_payment_attempt_s: node.opt_int("next_payment_attempt")?,
            lines: lines.iter().map(PreviewLine::from_node).collect::<Result<_, _>>()?,
            lines_complete: !more,
        })
    }
}

impl PreviewLine {
    fn from_node(node: &Node<'_>) -> Result<Self, ShapeError> {
        let period = node.child("period")?;
        let at = |field| period.as_ref().map(|p| p.opt_int(field)).transpose().map(Option::flatten);
        Ok(Self {
            amount: node.int("amount")?,
            currency: node.text("currency")?,
            description: node.opt_text("description")?,
            proration: proration(node)?,
            price_id: line_price(node)?,
            quantity: node.opt_int("quantity")?,
            period_start_s: at("start")?,
            period_end_s: at("end")?,
        })
    }
}

fn proration(line: &Node<'_>) -> Result<bool, ShapeError> {
    if let Some(parent) = line.child("parent")? {
        for kind in ["subscription_item_details", "invoice_item_details"] {
            if let Some(details) = parent.child(kind)? {
                return details.flag("proration");
            }
        }
    }
    // One-off lines have neither in the newer shape, and the older shape says it on the line.
    Ok(line.opt_flag("proration")?.unwrap_or(false))
}

fn line_price(line: &Node<'_>) -> Result<Option<String>, ShapeError> {
    if let Some(pricing) = line.child("pricing")? {
        let details = pricing.child("price_details")?;
        return Ok(details.map(|d| d.opt_id("price")).transpose()?.flatten());
    }
    line.opt_id("price")
}
