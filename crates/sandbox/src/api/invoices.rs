//! Invoices and their payments.

use serde_json::Value;

use super::invoice_frame::{Owner, check_editable, read_frame};
use super::subscription_changes::{
    check_billing_mode, read_end, read_item_changes, read_proration, read_terms_change, read_trial_end,
};
use super::tax_rates::read_rates;
use super::{Call, invoice_lines};
use crate::billing::change::{Change, Proration};
use crate::billing::invoicing::NewInvoice;
use crate::billing::preview::Supposed;
use crate::model::invoice::{BillingReason, Invoice, InvoiceStatus};
use crate::model::invoice_payment::InvoicePayment;
use crate::model::subscription::{Collection, Period, Subscription};
use crate::model::terms::{InvoiceTerms, TermsChange};
use crate::payments::attempt::Presence;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};
use crate::wire::params::{Field, Metadata};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("POST", "invoices") => create(world, call),
        ("GET", "invoices") => all(world, call),
        ("POST", "invoices/create_preview") => preview(world, call),
        ("GET", "invoices/{id}") => one(world, id),
        ("POST", "invoices/{id}") => update(world, call),
        ("DELETE", "invoices/{id}") => delete(world, id),
        ("GET", "invoices/{id}/lines") => lines(world, call),
        ("POST", "invoices/{id}/add_lines") => invoice_lines::add(world, call),
        ("POST", "invoices/{id}/update_lines") => invoice_lines::update(world, call),
        ("POST", "invoices/{id}/remove_lines") => invoice_lines::remove(world, call),
        ("POST", "invoices/{invoiceId}/lines/{id}") => invoice_lines::update_one(world, call),
        ("POST", "invoices/{id}/pay") => pay(world, call),
        ("POST", "invoices/{id}/void") => world.void_invoice(id).and_then(|()| one(world, id)),
        ("POST", "invoices/{id}/mark_uncollectible") => {
            world.write_off_invoice(id).and_then(|()| one(world, id))
        }
        ("POST", "invoices/{id}/finalize") => finalize(world, call),
        ("POST", "invoices/{id}/send") => send(world, id),
        ("GET", "invoice_payments") => payments(world, call),
        ("GET", "invoice_payments/{id}") => {
            need(&world.invoice_payments, id, "id").map(|payment| payment.render())
        }
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.invoices, id, "invoice").map(|invoice| invoice.render())
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(&params.required("customer")?, "customer")?;
    let subscription = match params.text("subscription")?.value() {
        Some(id) => match need(&world.subscriptions, &id, "subscription")? {
            found if found.customer == customer.id => Some(found),
            _ => return Err(ApiError::missing("subscription", &id, "subscription")),
        },
        None => None,
    };
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let includes =
        params.one_of("pending_invoice_items_behavior", &["include", "exclude"])? == Field::Set("include");
    let waiting_currency = world
        .invoice_items
        .of(&customer.id)
        .find(|item| item.invoice.is_none())
        .map(|item| item.line.currency.clone());
    let fallback = subscription
        .as_ref()
        .map(|found| found.currency.clone())
        .or(customer.currency.clone())
        .or(waiting_currency.filter(|_| includes))
        .unwrap_or_else(|| "usd".to_owned());
    let currency = params.text("currency")?.value().map(|code| code.to_ascii_lowercase()).unwrap_or(fallback);
    let owner = Owner {
        customer: &customer.id,
        currency: &currency,
        subtotal: None,
        collection: Collection::ChargeAutomatically,
    };
    let frame = read_frame(world, params, &owner)?;
    let terms =
        subscription.as_ref().map(|found| found.terms.for_invoice(world.discounts_for(found, world.now)));
    let mut share = subscription.as_ref().map(|found| found.share.clone()).unwrap_or_default();
    world.read_share(params, &mut share, None)?;
    let new = NewInvoice {
        customer: customer.id.clone(),
        subscription_metadata: subscription.as_ref().map(|found| found.metadata.clone()).unwrap_or_default(),
        subscription: subscription.map(|found| found.id),
        reason: BillingReason::Manual,
        currency,
        terms: terms.unwrap_or_else(|| InvoiceTerms {
            discounts: world.discounts_of_customer(&customer.id, world.now),
            ..InvoiceTerms::default()
        }),
        lines: Vec::new(),
        period: Period { start: world.now, end: world.now },
        collection: Collection::ChargeAutomatically,
        days_until_due: None,
        auto_advance: false,
        default_payment_method: None,
        description: None,
        metadata,
        share,
    };
    let mut invoice = world.build_invoice(new, includes);
    frame.write(&mut invoice, world.now);
    world.price_invoice(&mut invoice);
    let id = world.keep_draft(invoice);
    let kept = need(&world.invoices, &id, "invoice")?;
    world.follow_frame(None, &kept);
    one(world, &id)
}

/// What says who else has a share in the payment of an invoice.
const SHARES: [&str; 3] = ["application_fee_amount", "on_behalf_of", "transfer_data"];

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let invoice = need(&world.invoices, call.id(), "invoice")?;
    check_editable(&invoice, params)?;
    let mut metadata = invoice.metadata.clone();
    params.metadata_into(&mut metadata)?;
    let owner = Owner {
        customer: &invoice.customer,
        currency: &invoice.currency,
        subtotal: Some(invoice.subtotal()),
        collection: invoice.collection,
    };
    let frame = read_frame(world, params, &owner)?;
    let mut share = invoice.share.clone();
    if params.names().any(|name| SHARES.contains(&name)) {
        world.read_share(params, &mut share, None)?;
    }
    let now = world.now;
    let change = |changed: &mut Invoice| {
        changed.metadata = metadata;
        changed.share = share;
        frame.write(changed, now);
    };
    if invoice.status == InvoiceStatus::Draft {
        world.change_draft(call.id(), change);
    } else {
        world.change_invoice(call.id(), change);
    }
    let changed = need(&world.invoices, call.id(), "invoice")?;
    world.follow_frame(Some(&invoice), &changed);
    one(world, call.id())
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    let invoice = need(&world.invoices, id, "invoice")?;
    if invoice.status != InvoiceStatus::Draft || invoice.subscription.is_some() {
        return Err(ApiError::state(
            "invoice_not_editable",
            "You can only delete draft invoices that belong to no subscription.",
        ));
    }
    let object = invoice.render();
    world.invoices.remove(id);
    for item in invoice.lines.iter().filter_map(|line| line.invoice_item.as_deref()) {
        if let Some(item) = world.invoice_items.remove(item) {
            world.emit("invoiceitem.deleted", item.render());
        }
    }
    world.emit("invoice.deleted", object);
    Ok(serde_json::json!({ "id": id, "object": "invoice", "deleted": true }))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    let subscription = params.text("subscription")?.value();
    let status = params.one_of("status", &["draft", "open", "paid", "uncollectible", "void"])?.value();
    let collection = params.text("collection_method")?.value();
    let keep = |invoice: &Invoice| {
        subscription.is_none_or_equal(invoice.subscription.as_ref())
            && status.is_none_or(|status| invoice.status.as_str() == status)
            && collection.as_ref().is_none_or(|word| invoice.collection.as_str() == word)
    };
    // A subscription's invoices are its customer's, which makes the search short.
    let owner = subscription
        .as_ref()
        .and_then(|id| world.subscriptions.get(id))
        .map(|subscription| subscription.customer.clone());
    list(&world.invoices, params, "/v1/invoices", customer.or(owner).as_deref(), keep, Invoice::render)
}

/// A filter that is off when it is not given.
trait Filter {
    fn is_none_or_equal(&self, value: Option<&String>) -> bool;
}

impl Filter for Option<String> {
    fn is_none_or_equal(&self, value: Option<&String>) -> bool {
        self.is_none() || self.as_ref() == value
    }
}

fn lines(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let invoice = need(&world.invoices, call.id(), "invoice")?;
    let rendered = invoice.lines.iter().map(|line| line.render(&invoice.id)).collect();
    list_values(rendered, &call.params, &format!("/v1/invoices/{}/lines", invoice.id))
}

fn pay(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (params, id) = (&call.params, call.id());
    if params.flag("paid_out_of_band")? == Field::Set(true) {
        let invoice = need(&world.invoices, id, "invoice")?;
        match invoice.status {
            InvoiceStatus::Draft => world.finalize_invoice(id, None)?,
            InvoiceStatus::Open | InvoiceStatus::Uncollectible => {}
            InvoiceStatus::Paid | InvoiceStatus::Void => {
                return Err(ApiError::state(
                    "invoice_not_editable",
                    format!("This invoice is {} already.", invoice.status.as_str()),
                ));
            }
        }
        world.invoice_paid(id, None);
        return one(world, id);
    }
    let method = match params.text("payment_method")?.value() {
        Some(reference) => Some(world.resolve_method(&reference, "payment_method")?),
        None => None,
    };
    let on_session = params.flag("off_session")? == Field::Set(false);
    let presence = if on_session { Presence::OnSession } else { Presence::OffSession };
    world.pay_invoice(id, method, presence)?;
    one(world, id)
}

fn finalize(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let auto_advance = call.params.flag("auto_advance")?.value();
    world.finalize_invoice(call.id(), None)?;
    if let Some(auto_advance) = auto_advance {
        world.change_invoice(call.id(), |invoice| invoice.auto_advance = auto_advance);
    }
    one(world, call.id())
}

/// Mails an invoice that the customer pays by themselves; a draft becomes final by it.
fn send(world: &mut World, id: &str) -> ApiResult<Value> {
    let invoice = need(&world.invoices, id, "invoice")?;
    if invoice.collection != Collection::SendInvoice {
        let message = "You can only manually send an invoice if its collection method is 'send_invoice'.";
        return Err(ApiError::state("invoice_not_editable", message));
    }
    match invoice.status {
        // What becomes open is sent by that.
        InvoiceStatus::Draft => world.finalize_invoice(id, None)?,
        InvoiceStatus::Open => world.emit("invoice.sent", invoice.render()),
        InvoiceStatus::Paid | InvoiceStatus::Uncollectible | InvoiceStatus::Void => {
            let message = format!("An invoice that is {} cannot be sent.", invoice.status.as_str());
            return Err(ApiError::state("invoice_not_editable", message));
        }
    }
    one(world, id)
}

fn payments(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let invoice = params.text("invoice")?.value();
    let status = params.one_of("status", &["open", "paid", "canceled"])?.value();
    let paid_by = params.sub("payment");
    // Payments are all that invoices are paid by here: no payment record of another provider is.
    let kind = paid_by.one_of("type", &["payment_intent", "payment_record"])?.value();
    let intent = paid_by.text("payment_intent")?.value();
    let keep = |payment: &InvoicePayment| {
        invoice.as_ref().is_none_or(|invoice| payment.invoice == *invoice)
            && status.is_none_or(|status| payment.status.as_str() == status)
            && intent.as_ref().is_none_or(|intent| payment.payment_intent == *intent)
            && kind != Some("payment_record")
    };
    list(&world.invoice_payments, params, "/v1/invoice_payments", None, keep, InvoicePayment::render)
}

fn preview(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let details = params.sub("subscription_details");
    let subscription = previewed_subscription(world, call)?;
    let trial_end = read_trial_end(&details, world.now)?;
    check_billing_mode(&details)?;
    let supposed = Supposed {
        change: Change {
            items: read_item_changes(world, &details, &subscription)?,
            proration: read_proration(&details)?,
            at: details.int("proration_date")?.value(),
            restart: details.sub("billing_cycle_anchor").text("type")? == Field::Set("now".to_owned()),
            trial_end,
            terms: TermsChange {
                default_tax_rates: read_rates(world, &details, "default_tax_rates")?,
                ..read_terms_change(world, params, &subscription)?
            },
            extras: invoice_lines::read_extras(
                world,
                params,
                "invoice_items",
                &subscription.customer,
                &subscription.currency,
            )?,
            end: read_end(&details, &subscription, world.now)?,
        },
        cancel_now: details.flag("cancel_now")? == Field::Set(true),
        prorate_cancel: read_proration(&details)? != Proration::None,
    };
    world.preview(&subscription, &supposed).map(|invoice| invoice.render())
}

fn previewed_subscription(world: &World, call: &Call<'_>) -> ApiResult<Subscription> {
    let params = &call.params;
    if let Some(id) = params.text("subscription")?.value() {
        let subscription = need(&world.subscriptions, &id, "subscription")?;
        if let Some(customer) = params.text("customer")?.value().filter(|id| *id != subscription.customer) {
            return Err(ApiError::missing("customer", &customer, "customer"));
        }
        let currency = params.text("currency")?.value().map(|code| code.to_ascii_lowercase());
        if currency.is_some_and(|currency| currency != subscription.currency) {
            let message = format!("The subscription is in {}.", subscription.currency);
            return Err(ApiError::rule(message).param("currency"));
        }
        return Ok(subscription);
    }
    let message = "The sandbox previews invoices of an existing subscription: name it in 'subscription'.";
    Err(ApiError::invalid("parameter_missing", "subscription", message))
}
