//! What an invoice says apart from its lines: read for new ones and for changes, and refused where it comes too late.

use serde_json::{Value, json};

use super::discounts::read_discounts;
use super::subscriptions::owned_method;
use super::tax_rates::{read_automatic, read_rates};
use crate::billing::discounts::{Bearer, Place};
use crate::model::invoice::{Invoice, InvoiceStatus};
use crate::model::subscription::Collection;
use crate::model::tax::{AutomaticTax, TaxRate};
use crate::state::timers::Timer;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Params};

const DAY: i64 = 86_400;
/// How long a customer has to pay an invoice that is sent, when nobody says.
const USUAL_DAYS: i64 = 30;
/// What a final invoice still takes: nothing that changes what it asks for.
const AFTERWARDS: &[&str] =
    &["metadata", "auto_advance", "default_payment_method", "days_until_due", "due_date", "expand"];

/// Where an invoice is and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Owner<'a> {
    pub(super) customer: &'a str,
    pub(super) currency: &'a str,
    pub(super) subtotal: Option<i64>,
    pub(super) collection: Collection,
}

/// What is said about an invoice.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) auto_advance: Option<bool>,
    finalizes_at: Field<i64>,
    collection: Option<Collection>,
    due: Field<i64>,
    default_payment_method: Field<String>,
    description: Field<String>,
    footer: Field<String>,
    statement_descriptor: Field<String>,
    number: Field<String>,
    effective_at: Field<i64>,
    shipping: Option<Value>,
    custom_fields: Option<Value>,
    pub(super) discounts: Option<Vec<String>>,
    default_tax_rates: Option<Vec<TaxRate>>,
    automatic_tax: Option<bool>,
}

/// Refuses changes that come too late.
pub(super) fn check_editable(invoice: &Invoice, params: &Params<'_>) -> ApiResult<()> {
    if invoice.status == InvoiceStatus::Draft {
        return Ok(());
    }
    match params.names().find(|name| !AFTERWARDS.contains(name)) {
        Some(name) => {
            let message = "Finalized invoices can't be updated in this way.";
            Err(ApiError::state("invoice_not_editable", message).param(name))
        }
        None => Ok(()),
    }
}

/// Reads it.
pub(super) fn read_frame(world: &mut World, params: &Params<'_>, owner: &Owner<'_>) -> ApiResult<Frame> {
    let collection = match params.one_of("collection_method", &["charge_automatically", "send_invoice"])? {
        Field::Set("send_invoice") => Some(Collection::SendInvoice),
        Field::Set(_) => Some(Collection::ChargeAutomatically),
        Field::Absent | Field::Unset => None,
    };
    let issuer = params.sub("issuer").text("type")?;
    if issuer != Field::Absent && issuer != Field::Set("self".to_owned()) {
        let message = "The sandbox plays invoices that the account issues itself.";
        return Err(ApiError::invalid("parameter_not_in_sandbox", "issuer", message));
    }
    let default_payment_method = match params.text("default_payment_method")? {
        Field::Set(reference) => Field::Set(owned_method(world, &reference, owner.customer)?),
        Field::Unset => Field::Unset,
        Field::Absent => Field::Absent,
    };
    let finalizes_at = params.int("automatically_finalizes_at")?;
    if matches!(finalizes_at, Field::Set(at) if at <= world.now) {
        let message = "automatically_finalizes_at must be in the future.";
        return Err(ApiError::rule(message).param("automatically_finalizes_at"));
    }
    let number = params.text("number")?;
    if let Field::Set(number) = &number
        && world.invoices.iter().any(|invoice| invoice.number.as_ref() == Some(number))
    {
        let message = format!("The invoice number {number} is taken.");
        return Err(ApiError::rule(message).param("number"));
    }
    let statement_descriptor = params.text("statement_descriptor")?;
    if matches!(&statement_descriptor, Field::Set(text) if text.chars().count() > 22) {
        let message = "A statement descriptor has at most 22 characters.";
        return Err(ApiError::rule(message).param("statement_descriptor"));
    }
    let place =
        Place { customer: Some(owner.customer), currency: Some(owner.currency), subtotal: owner.subtotal };
    Ok(Frame {
        auto_advance: params.flag("auto_advance")?.value(),
        finalizes_at,
        due: read_due(world, params, collection.unwrap_or(owner.collection))?,
        collection,
        default_payment_method,
        description: params.text("description")?,
        footer: params.text("footer")?,
        statement_descriptor,
        number,
        effective_at: params.int("effective_at")?,
        shipping: read_shipping(params)?,
        custom_fields: read_custom_fields(params)?,
        discounts: read_discounts(world, params, place)?,
        default_tax_rates: read_rates(world, params, "default_tax_rates")?,
        automatic_tax: read_automatic(params)?,
    })
}

/// When an invoice that is sent must be paid.
fn read_due(world: &World, params: &Params<'_>, collection: Collection) -> ApiResult<Field<i64>> {
    let days = params.int_within("days_until_due", 0..=3650)?;
    let date = params.int("due_date")?;
    if collection == Collection::ChargeAutomatically {
        return match (&days, &date) {
            (Field::Set(_), _) | (_, Field::Set(_)) => Err(ApiError::rule(
                "days_until_due and due_date are for invoices with collection_method=send_invoice.",
            )
            .param(if matches!(days, Field::Set(_)) { "days_until_due" } else { "due_date" })),
            _ => Ok(Field::Absent),
        };
    }
    match (days, date) {
        (Field::Set(_), Field::Set(_)) => {
            Err(ApiError::rule("You may only specify one of days_until_due and due_date."))
        }
        (Field::Set(days), _) => Ok(Field::Set(world.now + days * DAY)),
        (_, Field::Set(date)) if date <= world.now => {
            Err(ApiError::rule("due_date must be in the future.").param("due_date"))
        }
        (_, date) => Ok(date),
    }
}

fn read_shipping(params: &Params<'_>) -> ApiResult<Option<Value>> {
    if !params.has("shipping_details") {
        return Ok(None);
    }
    let shipping = params.sub("shipping_details");
    if shipping.names().next().is_none() {
        return Ok(Some(Value::Null));
    }
    let mut address = json!({ "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null });
    if let (Some(fields), Some(Value::Object(given))) = (address.as_object_mut(), shipping.free("address")) {
        fields.extend(given);
    }
    let phone = shipping.text("phone")?.value();
    Ok(Some(json!({
        "address": address, "name": shipping.required("name")?, "phone": phone, "carrier": null, "tracking_number": null,
    })))
}

fn read_custom_fields(params: &Params<'_>) -> ApiResult<Option<Value>> {
    if !params.has("custom_fields") {
        return Ok(None);
    }
    let fields = params.list("custom_fields");
    if fields.len() > 4 {
        return Err(ApiError::rule("You can pass at most 4 custom fields.").param("custom_fields"));
    }
    let read = |field: &Params<'_>| -> ApiResult<Value> {
        Ok(json!({ "name": field.required("name")?, "value": field.required("value")? }))
    };
    let fields: Vec<Value> = fields.iter().map(read).collect::<ApiResult<_>>()?;
    Ok(Some(if fields.is_empty() { Value::Null } else { Value::Array(fields) }))
}

impl Frame {
    /// Writes it into an invoice; whoever holds the invoice works out its amounts afterwards.
    pub(super) fn write(self, invoice: &mut Invoice, now: i64) {
        invoice.auto_advance = self.auto_advance.unwrap_or(invoice.auto_advance);
        if !invoice.auto_advance {
            invoice.next_payment_attempt = None;
        }
        if let Some(collection) = self.collection {
            invoice.collection = collection;
        }
        match (invoice.collection, self.due) {
            (Collection::ChargeAutomatically, _) => invoice.due_date = None,
            (Collection::SendInvoice, Field::Set(at)) => invoice.due_date = Some(at),
            (Collection::SendInvoice, Field::Absent | Field::Unset) => {
                invoice.due_date.get_or_insert(now + USUAL_DAYS * DAY);
            }
        }
        self.finalizes_at.apply(&mut invoice.finalizes_at);
        self.default_payment_method.apply(&mut invoice.default_payment_method);
        self.description.apply(&mut invoice.description);
        self.footer.apply(&mut invoice.says.footer);
        self.statement_descriptor.apply(&mut invoice.says.statement_descriptor);
        self.number.apply(&mut invoice.number);
        self.effective_at.apply(&mut invoice.says.effective_at);
        if let Some(shipping) = self.shipping {
            invoice.says.shipping = shipping;
        }
        if let Some(fields) = self.custom_fields {
            invoice.says.custom_fields = fields;
        }
        if let Some(discounts) = self.discounts {
            invoice.terms.discounts = discounts;
        }
        if let Some(rates) = self.default_tax_rates {
            invoice.terms.default_tax_rates = rates;
        }
        if let Some(enabled) = self.automatic_tax {
            invoice.terms.automatic_tax = AutomaticTax::asked(enabled);
        }
    }
}

impl World {
    /// What follows from what an invoice says now: its discounts are redeemed, and what its dates plan is planned.
    pub(super) fn follow_frame(&mut self, before: Option<&Invoice>, invoice: &Invoice) {
        for discount in &invoice.terms.discounts {
            self.bind_discount(discount, Some(&invoice.customer), Bearer::Invoice(&invoice.id));
        }
        let plan = |invoice: &Invoice| (invoice.auto_advance, invoice.finalizes_at);
        if before.is_none_or(|before| plan(before) != plan(invoice)) {
            self.plan_finalization(&invoice.id);
        }
        let moved = before.is_some_and(|before| before.due_date != invoice.due_date);
        if let (InvoiceStatus::Open, Some(due), true) = (invoice.status, invoice.due_date, moved) {
            self.timers.set(due, Timer::Due(invoice.id.clone()));
        }
    }
}
