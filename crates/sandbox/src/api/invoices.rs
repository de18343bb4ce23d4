//! Invoices and their payments.

use serde_json::Value;

use super::Call;
use super::discounts::read_discounts;
use super::subscription_changes::{read_item_changes, read_proration, read_terms_change, read_trial_end};
use super::tax_rates::{read_automatic, read_rates};
use crate::billing::change::{Change, Proration};
use crate::billing::discounts::{Bearer, Place};
use crate::billing::invoicing::NewInvoice;
use crate::billing::preview::Supposed;
use crate::model::invoice::{BillingReason, Invoice, InvoicePayment, InvoiceStatus};
use crate::model::subscription::{Collection, Period, Subscription};
use crate::model::tax::AutomaticTax;
use crate::model::terms::{InvoiceTerms, TermsChange};
use crate::payments::attempt::Presence;
use crate::state::timers::Timer;
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
        Some(id) => Some(need(&world.subscriptions, &id, "subscription")?),
        None => None,
    };
    let sends = params.one_of("collection_method", &["charge_automatically", "send_invoice"])?
        == Field::Set("send_invoice");
    let default_method = params.text("default_payment_method")?.value();
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let includes =
        params.one_of("pending_invoice_items_behavior", &["include", "exclude"])? == Field::Set("include");
    let waiting_currency = world
        .invoice_items
        .of(&customer.id)
        .find(|item| item.invoice.is_none())
        .map(|item| item.line.currency.clone());
    let fallback = customer
        .currency
        .clone()
        .or(waiting_currency.filter(|_| includes))
        .unwrap_or_else(|| "usd".to_owned());
    let mut share = subscription.as_ref().map(|found| found.share.clone()).unwrap_or_default();
    world.read_share(params, &mut share, None)?;
    let currency = params.text("currency")?.value().map(|code| code.to_ascii_lowercase()).unwrap_or(fallback);
    let place = Place { customer: Some(&customer.id), currency: Some(&currency), subtotal: None };
    let inherited = subscription.as_ref().map(|found| world.holding(&found.terms.discounts, world.now));
    let discounts = read_discounts(world, params, place)?.or(inherited).unwrap_or_default();
    let mut terms =
        subscription.as_ref().map(|found| found.terms.for_invoice(Vec::new())).unwrap_or_default();
    if let Some(rates) = read_rates(world, params, "default_tax_rates")? {
        terms.default_tax_rates = rates;
    }
    if let Some(enabled) = read_automatic(params)? {
        terms.automatic_tax = AutomaticTax::asked(enabled);
    }
    let new = NewInvoice {
        customer: customer.id.clone(),
        subscription_metadata: subscription.as_ref().map(|found| found.metadata.clone()).unwrap_or_default(),
        subscription: subscription.map(|found| found.id),
        reason: BillingReason::Manual,
        currency,
        terms: InvoiceTerms { discounts: discounts.clone(), ..terms },
        lines: Vec::new(),
        period: Period { start: world.now, end: world.now },
        collection: if sends { Collection::SendInvoice } else { Collection::ChargeAutomatically },
        days_until_due: params.int_within("days_until_due", 0..=3650)?.value(),
        auto_advance: params.flag("auto_advance")?.value().unwrap_or(false),
        default_payment_method: default_method,
        description: params.text("description")?.value(),
        metadata,
        share,
    };
    let advances = new.auto_advance;
    let id = world.draft_invoice(new, includes);
    for discount in discounts {
        world.bind_discount(&discount, Some(&customer.id), Bearer::Invoice(&id));
    }
    if advances {
        let at = world.now + world.settings.draft_seconds;
        world.invoices.edit(&id, |invoice| invoice.finalizes_at = Some(at));
        world.timers.set(at, Timer::Finalize(id.clone()));
    }
    one(world, &id)
}

/// What says who else has a share in the payment of an invoice.
const SHARES: [&str; 3] = ["application_fee_amount", "on_behalf_of", "transfer_data"];
/// What can be changed about an invoice.
const UPDATES: [&str; 8] = [
    "metadata",
    "discounts",
    "auto_advance",
    "description",
    "expand",
    "application_fee_amount",
    "on_behalf_of",
    "transfer_data",
];

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let invoice = need(&world.invoices, call.id(), "invoice")?;
    let mut metadata = invoice.metadata.clone();
    params.metadata_into(&mut metadata)?;
    let auto_advance = params.flag("auto_advance")?.value();
    let description = params.text("description")?;
    let place = Place {
        customer: Some(&invoice.customer),
        currency: Some(&invoice.currency),
        subtotal: Some(invoice.subtotal()),
    };
    let discounts = read_discounts(world, params, place)?;
    if let Some(name) = params.names().find(|name| !UPDATES.contains(name)) {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            name,
            format!("The sandbox cannot change '{name}' of an invoice yet."),
        ));
    }
    if (description != Field::Absent || discounts.is_some()) && invoice.status != InvoiceStatus::Draft {
        return Err(ApiError::state(
            "invoice_not_editable",
            "Finalized invoices can't be updated in this way.",
        )
        .param("description"));
    }
    let mut share = invoice.share.clone();
    if params.names().any(|name| SHARES.contains(&name)) {
        if invoice.status != InvoiceStatus::Draft {
            let message = "Finalized invoices can't be updated in this way.";
            return Err(ApiError::state("invoice_not_editable", message));
        }
        world.read_share(params, &mut share, None)?;
    }
    if let Some(discounts) = discounts {
        for discount in &discounts {
            world.bind_discount(discount, Some(&invoice.customer), Bearer::Invoice(&invoice.id));
        }
        world.change_draft(call.id(), |invoice| invoice.terms.discounts = discounts);
    }
    world.change_invoice(call.id(), |invoice| {
        invoice.share = share;
        invoice.metadata = metadata;
        description.apply(&mut invoice.description);
        invoice.auto_advance = auto_advance.unwrap_or(invoice.auto_advance);
    });
    if auto_advance == Some(true) && invoice.status == InvoiceStatus::Draft && !invoice.auto_advance {
        let at = world.now + world.settings.draft_seconds;
        world.timers.set(at, Timer::Finalize(invoice.id));
    }
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
    if auto_advance == Some(true) {
        world.invoices.edit(call.id(), |invoice| invoice.auto_advance = true);
    }
    one(world, call.id())
}

fn send(world: &mut World, id: &str) -> ApiResult<Value> {
    let invoice = need(&world.invoices, id, "invoice")?;
    if invoice.status == InvoiceStatus::Draft {
        world.finalize_invoice(id, None)?;
    }
    let object = one(world, id)?;
    world.emit("invoice.sent", object.clone());
    Ok(object)
}

fn payments(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let invoice = params.text("invoice")?.value();
    let status = params.one_of("status", &["open", "paid", "canceled"])?.value();
    let intent = params.sub("payment").text("payment_intent")?.value();
    let keep = |payment: &InvoicePayment| {
        invoice.as_ref().is_none_or(|invoice| payment.invoice == *invoice)
            && status.is_none_or(|status| payment.status.as_str() == status)
            && intent.as_ref().is_none_or(|intent| payment.payment_intent == *intent)
    };
    list(&world.invoice_payments, params, "/v1/invoice_payments", None, keep, InvoicePayment::render)
}

fn preview(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let details = params.sub("subscription_details");
    let subscription = previewed_subscription(world, call)?;
    let trial_end = read_trial_end(&details, world.now)?;
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
        },
        cancel_now: details.flag("cancel_now")? == Field::Set(true),
        prorate_cancel: read_proration(&details)? != Proration::None,
    };
    world.preview(&subscription, &supposed).map(|invoice| invoice.render())
}

fn previewed_subscription(world: &World, call: &Call<'_>) -> ApiResult<Subscription> {
    if let Some(id) = call.params.text("subscription")?.value() {
        return need(&world.subscriptions, &id, "subscription");
    }
    let message = "The sandbox previews invoices of an existing subscription: name it in 'subscription'.";
    Err(ApiError::invalid("parameter_missing", "subscription", message))
}
