//! Invoice items: single amounts that wait for the next invoice.

use serde_json::{Value, json};

use super::Call;
use super::invoice_lines::{editable_item, empty_line, read_line};
use crate::model::invoice::{InvoiceItem, InvoiceStatus};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;

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
        ("POST", "invoiceitems/{id}") => update(world, call),
        ("DELETE", "invoiceitems/{id}") => delete(world, call.id()),
        _ => return None,
    })
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(&params.required("customer")?, "customer")?;
    let subscription = match params.text("subscription")?.value() {
        Some(id) => match need(&world.subscriptions, &id, "subscription")? {
            found if found.customer == customer.id => Some(found.id),
            _ => return Err(ApiError::missing("subscription", &id, "subscription")),
        },
        None => None,
    };
    let invoice = match params.text("invoice")?.value() {
        Some(id) => Some(need(&world.invoices, &id, "invoice")?),
        None => None,
    };
    if let Some(invoice) = &invoice {
        if invoice.customer != customer.id {
            return Err(ApiError::missing("invoice", &invoice.id, "invoice"));
        }
        if invoice.status != InvoiceStatus::Draft {
            let message = "This invoice is no longer editable.";
            return Err(ApiError::state("invoice_not_editable", message).param("invoice"));
        }
    }
    let given = params.text("currency")?.value().map(|code| code.to_ascii_lowercase());
    let price = params.sub("pricing").text("price")?.value();
    let of_price = price.and_then(|price| world.prices.get(&price)).map(|price| price.currency.clone());
    let of_data = params.sub("price_data").text("currency")?.value().map(|code| code.to_ascii_lowercase());
    let of_invoice = invoice.as_ref().map(|invoice| invoice.currency.clone());
    let currency = of_price
        .or(of_data)
        .or(given)
        .or(of_invoice.clone())
        .or(customer.currency.clone())
        .unwrap_or_else(|| "usd".to_owned());
    if of_invoice.is_some_and(|of_invoice| of_invoice != currency) {
        let message = format!("The invoice is not in {currency}.");
        return Err(ApiError::rule(message).param("currency"));
    }
    let line = empty_line(world, &currency);
    let mut line = read_line(world, params, &customer.id, line, true)?;
    line.subscription = subscription;
    let id = world.add_invoice_item(&customer.id, line.clone());
    line.invoice_item = Some(id.clone());
    world.put_line(&customer.id, &line);
    if let Some(invoice) = invoice {
        world.take_up(&invoice.id, std::slice::from_ref(&id), invoice.metadata);
    }
    need(&world.invoice_items, &id, "id").map(|item| item.render())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let item = editable_item(world, call.id())?;
    let line = read_line(world, &call.params, &item.customer, item.line, false)?;
    world.put_line(&item.customer, &line);
    if let Some(invoice) = &item.invoice {
        world.change_draft(invoice, |invoice| {
            if let Some(slot) = invoice.lines.iter_mut().find(|old| old.id == line.id) {
                *slot = line;
            }
        });
    }
    need(&world.invoice_items, call.id(), "id").map(|item| item.render())
}

fn delete(world: &mut World, id: &str) -> ApiResult<Value> {
    let item = editable_item(world, id)?;
    world.invoice_items.remove(id);
    if let Some(invoice) = &item.invoice {
        world.change_draft(invoice, |invoice| invoice.lines.retain(|line| line.id != item.line.id));
    }
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
