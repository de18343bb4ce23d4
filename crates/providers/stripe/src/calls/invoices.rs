//! Invoices, previews of the next one, and the payments towards them.

use serde_json::Value;

use super::subscriptions::{ItemChange, ProrationBehavior, items};
use super::{Call, IdempotencyKey, Paging, Path, Verb};
use crate::form::Form;
use crate::observe::{
    HostedInvoice, InvoicePreview, ObservedInvoice, ObservedInvoicePayment, Page, ShapeError,
};

/// Which invoices to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListInvoices<'a> {
    /// `cus_...`.
    pub customer: Option<&'a str>,
    /// `sub_...`.
    pub subscription: Option<&'a str>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    pub status: Option<&'a str>,
    /// Created at or after, Unix seconds.
    pub created_gte_s: Option<i64>,
    /// Which page.
    pub paging: Paging<'a>,
}

/// What to preview.
#[derive(Debug, Clone, Copy, Default)]
pub struct PreviewChange<'a> {
    /// `sub_...`.
    pub subscription: &'a str,
    /// Changed items; none previews the next renewal.
    pub items: &'a [ItemChange<'a>],
    /// How the difference would be settled.
    pub proration_behavior: Option<ProrationBehavior>,
    /// The moment from which the difference counts, Unix seconds; use the same when applying.
    pub proration_date_s: Option<i64>,
}

/// Which payment to find the invoices of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentOf<'a> {
    /// All payments towards this invoice.
    Invoice(&'a str),
    /// The invoice paid with this payment intent.
    PaymentIntent(&'a str),
}

/// One invoice with its payments.
#[must_use]
pub fn retrieve(id: &str) -> Call<ObservedInvoice> {
    let form = Form::new().list("expand", ["payments"]);
    Call::new("invoices.retrieve", Verb::Get, Path::of("/v1/invoices").id(id), form, ObservedInvoice::read)
}

/// Where an open invoice can be paid by whoever has the address; none once it is not open. It is not kept in the
/// observed invoice, so that it gets into no log and no database.
#[must_use]
pub fn pay_page(id: &str) -> Call<Option<String>> {
    let read = |value: &Value| {
        let open = value.get("status").and_then(Value::as_str) == Some("open");
        let address = value.get("hosted_invoice_url").and_then(Value::as_str);
        Ok(address.filter(|_| open).map(str::to_owned))
    };
    Call::new("invoices.pay_page", Verb::Get, Path::of("/v1/invoices").id(id), Form::new(), read)
}

/// One invoice with the addresses that its customer is led to.
#[must_use]
pub fn hosted(id: &str) -> Call<HostedInvoice> {
    let path = Path::of("/v1/invoices").id(id);
    Call::new("invoices.hosted", Verb::Get, path, Form::new(), HostedInvoice::read)
}

/// Invoices with their payments, newest first.
#[must_use]
pub fn list(wanted: &ListInvoices<'_>) -> Call<Page<ObservedInvoice>> {
    let form = Form::new()
        .text_if("customer", wanted.customer)
        .text_if("subscription", wanted.subscription)
        .text_if("status", wanted.status)
        .int_if("created[gte]", wanted.created_gte_s)
        .list("expand", ["data.payments"]);
    Call::new("invoices.list", Verb::Get, Path::of("/v1/invoices"), wanted.paging.add(form), page)
}

/// Charges an open invoice to the payment method that its subscription or customer has, while the customer is away.
#[must_use]
pub fn pay(id: &str, key: IdempotencyKey) -> Call<ObservedInvoice> {
    let form = Form::new().flag("off_session", true).list("expand", ["payments"]);
    let path = Path::of("/v1/invoices").id(id).then("/pay");
    Call::new("invoices.pay", Verb::Post(key), path, form, ObservedInvoice::read)
}

/// Gives an open invoice up.
#[must_use]
pub fn mark_uncollectible(id: &str, key: IdempotencyKey) -> Call<ObservedInvoice> {
    let form = Form::new().list("expand", ["payments"]);
    let path = Path::of("/v1/invoices").id(id).then("/mark_uncollectible");
    Call::new("invoices.mark_uncollectible", Verb::Post(key), path, form, ObservedInvoice::read)
}

/// What the next invoice would be, after the given change. It changes nothing and so needs no key.
#[must_use]
pub fn create_preview(wanted: &PreviewChange<'_>) -> Call<InvoicePreview> {
    let behavior = wanted.proration_behavior.map(ProrationBehavior::as_str);
    let form = items(
        Form::new().text("subscription", wanted.subscription),
        "subscription_details[items]",
        wanted.items,
    )
    .text_if("subscription_details[proration_behavior]", behavior)
    .int_if("subscription_details[proration_date]", wanted.proration_date_s);
    let path = Path::of("/v1/invoices/create_preview");
    Call::new("invoices.create_preview", Verb::Preview, path, form, InvoicePreview::read)
}

/// Whether Stripe goes on trying an open invoice by itself.
#[must_use]
pub fn set_auto_advance(id: &str, tries: bool, key: IdempotencyKey) -> Call<ObservedInvoice> {
    let path = Path::of("/v1/invoices").id(id);
    let form = Form::new().flag("auto_advance", tries);
    Call::new("invoices.update", Verb::Post(key), path, form, ObservedInvoice::read)
}

/// The payments of an invoice, or the invoice of a payment.
#[must_use]
pub fn list_payments(of: PaymentOf<'_>, paging: Paging<'_>) -> Call<Page<ObservedInvoicePayment>> {
    let form = match of {
        PaymentOf::Invoice(id) => Form::new().text("invoice", id),
        PaymentOf::PaymentIntent(id) => {
            Form::new().text("payment[type]", "payment_intent").text("payment[payment_intent]", id)
        }
    };
    let path = Path::of("/v1/invoice_payments");
    Call::new("invoice_payments.list", Verb::Get, path, paging.add(form), payments_page)
}

fn page(value: &Value) -> Result<Page<ObservedInvoice>, ShapeError> {
    Page::read(value, ObservedInvoice::read)
}

fn payments_page(value: &Value) -> Result<Page<ObservedInvoicePayment>, ShapeError> {
    Page::read(value, ObservedInvoicePayment::read)
}
