//! Invoice items: single amounts that wait for the next invoice.

use serde_json::{Value, json};

use super::Call;
use super::discounts::read_discounts;
use super::tax_rates::read_rates;
use crate::billing::discounts::{Bearer, Place};
use crate::model::invoice::{InvoiceItem, InvoiceStatus, Line};
use crate::model::product::Price;
use crate::model::subscription::Period;
use crate::model::terms::LineTerms;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "invoiceitems") => create(world, call),
        ("GET", "invoiceitems") => all(world, call),
        ("GET", "invoiceitems/{id}") => need(&world.invoice_items, call.id(), "id").map(|item| item.render()),
        ("DELETE", "invoiceitems/{id}") => delete(world, call.id()),
        _ => return None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(&params.required("customer")?, "customer")?;
    let quantity = params.int_within("quantity", 0..=999_999)?.value().unwrap_or(1);
    let price = match params.sub("pricing").text("price")?.value() {
        Some(price) => Some(need(&world.prices, &price, "pricing[price]")?),
        None => None,
    };
    let amount = match (&price, params.int("amount")?) {
        (Some(price), _) => price.amount(quantity, "quantity")?,
        (None, Field::Set(amount)) => amount,
        (None, Field::Absent | Field::Unset) => {
            return Err(ApiError::invalid("parameter_missing", "amount", "Missing required param: amount."));
        }
    };
    let currency = match &price {
        Some(price) => price.currency.clone(),
        None => {
            params.text("currency")?.value().or(customer.currency.clone()).unwrap_or_else(|| "usd".to_owned())
        }
    };
    let currency = currency.to_ascii_lowercase();
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let place = Place { customer: Some(&customer.id), currency: Some(&currency), subtotal: Some(amount) };
    let terms = LineTerms {
        settled: !params.flag("discountable")?.value().unwrap_or(amount >= 0),
        discounts: read_discounts(world, params, place)?.unwrap_or_default(),
        tax_rates: read_rates(world, params, "tax_rates")?.unwrap_or_default(),
        inclusive: match params.one_of("tax_behavior", &["exclusive", "inclusive", "unspecified"])? {
            Field::Set("exclusive") => Some(false),
            Field::Set("inclusive") => Some(true),
            Field::Set(_) | Field::Absent | Field::Unset => price.as_ref().and_then(Price::includes_tax),
        },
        ..LineTerms::default()
    };
    let name = price.as_ref().map(|price| world.product_name(price));
    let line = Line {
        id: world.chance.id("il_"),
        amount,
        currency,
        description: params.text("description")?.value().or(name).unwrap_or_default(),
        period: Period { start: world.now, end: world.now },
        product: price.as_ref().map(|price| price.product.clone()),
        unit_amount: price.as_ref().map_or(amount, |price| price.unit_amount),
        price: price.map(|price| price.id),
        quantity,
        subscription: params.text("subscription")?.value(),
        subscription_item: None,
        invoice_item: None,
        proration: false,
        metadata,
        terms,
    };
    let invoice = params.text("invoice")?.value();
    let draft = match &invoice {
        Some(id) => Some(need(&world.invoices, id, "invoice")?),
        None => None,
    };
    if draft.as_ref().is_some_and(|invoice| invoice.status != InvoiceStatus::Draft) {
        return Err(
            ApiError::state("invoice_not_editable", "This invoice is no longer editable.").param("invoice")
        );
    }
    let discounts = line.terms.discounts.clone();
    let id = world.add_invoice_item(&customer.id, line);
    for discount in discounts {
        world.bind_discount(&discount, Some(&customer.id), Bearer::InvoiceItem(&id));
    }
    if let Some(draft) = draft {
        take_up(world, &id, &draft.id);
    }
    need(&world.invoice_items, &id, "id").map(|item| item.render())
}

/// Puts an item on a draft at once.
fn take_up(world: &mut World, id: &str, invoice: &str) {
    let Some(mut item) = world.invoice_items.get(id).cloned() else {
        return;
    };
    item.invoice = Some(invoice.to_owned());
    let line = item.line.clone();
    world.invoice_items.put(item);
    world.change_draft(invoice, |invoice| invoice.lines.push(line));
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    let item = need(&world.invoice_items, id, "id")?;
    if item.invoice.is_some() {
        return Err(ApiError::state(
            "invoice_not_editable",
            "This invoice item is on an invoice already and cannot be deleted.",
        ));
    }
    world.invoice_items.remove(id);
    world.emit("invoiceitem.deleted", item.render());
    Ok(json!({ "id": id, "object": "invoiceitem", "deleted": true }))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    let invoice = params.text("invoice")?.value();
    let pending = params.flag("pending")?.value();
    let keep = |item: &InvoiceItem| {
        invoice.as_ref().is_none_or(|invoice| item.invoice.as_ref() == Some(invoice))
            && pending.is_none_or(|pending| pending == item.invoice.is_none())
    };
    list(&world.invoice_items, params, "/v1/invoiceitems", customer.as_deref(), keep, InvoiceItem::render)
}
