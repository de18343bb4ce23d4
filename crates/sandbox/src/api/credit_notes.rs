//! Credit notes.

use serde_json::Value;

use super::Call;
use super::tax_rates::read_rates;
use crate::billing::credit_notes::{NewCreditLine, NewCreditNote, Taken};
use crate::model::credit_note::CreditNote;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};
use crate::wire::params::{Metadata, Params};

const LARGEST: i64 = 99_999_999_999;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("POST", "credit_notes") => {
            read(world, &call.params).and_then(|new| world.issue_note(&new)).and_then(|id| one(world, &id))
        }
        ("GET", "credit_notes") => all(world, call),
        ("GET", "credit_notes/preview") => preview(world, call).map(|note| note.render()),
        ("GET", "credit_notes/preview/lines") => preview(world, call).and_then(|note| {
            list_values(note.render_lines(), &call.params, "/v1/credit_notes/preview/lines")
        }),
        ("GET", "credit_notes/{id}") => one(world, id),
        ("POST", "credit_notes/{id}") => update(world, call),
        ("GET", "credit_notes/{id}/lines") => need(&world.credit_notes, id, "id").and_then(|note| {
            list_values(note.render_lines(), &call.params, &format!("/v1/credit_notes/{id}/lines"))
        }),
        ("POST", "credit_notes/{id}/void") => world.void_note(id).and_then(|()| one(world, id)),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.credit_notes, id, "id").map(|note| note.render())
}

fn preview(world: &mut World, call: &Call<'_>) -> ApiResult<CreditNote> {
    let new = read(world, &call.params)?;
    world.plan_note(&new).map(|(note, _)| note)
}

fn read(world: &World, params: &Params<'_>) -> ApiResult<NewCreditNote> {
    let amount = |name: &str| params.int_within(name, 0..=LARGEST).map(|field| field.value());
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let mut refunds = Vec::new();
    for refund in params.list("refunds") {
        refund.one_of("type", &["refund"])?;
        refunds.push((refund.required("refund")?, refund.int("amount_refunded")?.value()));
    }
    let reasons = ["duplicate", "fraudulent", "order_change", "product_unsatisfactory"];
    Ok(NewCreditNote {
        invoice: params.required("invoice")?,
        lines: params.list("lines").iter().map(|line| read_line(world, line)).collect::<ApiResult<_>>()?,
        amount: amount("amount")?,
        refund: amount("refund_amount")?.unwrap_or_default(),
        refunds,
        to_balance: amount("credit_amount")?.unwrap_or_default(),
        out_of_band: amount("out_of_band_amount")?.unwrap_or_default(),
        reason: params.one_of("reason", &reasons)?.value().map(str::to_owned),
        memo: params.text("memo")?.value(),
        metadata,
        effective_at: params.int("effective_at")?.value(),
    })
}

fn read_line(world: &World, line: &Params<'_>) -> ApiResult<NewCreditLine> {
    line.required("type")?;
    let kind = line.one_of("type", &["custom_line_item", "invoice_line_item"])?.value();
    let amount = line.int_within("amount", 1..=LARGEST)?.value();
    let quantity = line.int_within("quantity", 1..=999_999)?.value();
    let unit_amount = line.int_within("unit_amount", 1..=99_999_999)?.value();
    let description = line.text("description")?.value();
    let rates = read_rates(world, line, "tax_rates")?;
    let taken = if kind == Some("invoice_line_item") {
        if unit_amount.is_some() || rates.is_some() {
            let message = "A line of the invoice is credited by amount or quantity, with its own taxes.";
            return Err(ApiError::rule(message).param(&line.full("unit_amount")));
        }
        Taken::Line { line: line.required("invoice_line_item")?, amount, quantity }
    } else {
        let unit_amount = match (unit_amount, amount) {
            (Some(unit_amount), None) => unit_amount,
            (None, Some(amount)) if quantity.is_none() => amount,
            _ => {
                let message = "A custom line has a unit_amount with its quantity, or an amount.";
                return Err(ApiError::rule(message).param(&line.full("unit_amount")));
            }
        };
        if description.is_none() {
            line.required("description")?;
        }
        Taken::Custom { quantity, unit_amount, rates: rates.unwrap_or_default() }
    };
    let mut metadata = Metadata::new();
    line.metadata_into(&mut metadata)?;
    Ok(NewCreditLine { taken, description, metadata })
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut note = need(&world.credit_notes, call.id(), "id")?;
    let before = note.render();
    call.params.metadata_into(&mut note.metadata)?;
    call.params.text("memo")?.apply(&mut note.memo);
    let after = note.render();
    world.credit_notes.put(note);
    world.emit_change("credit_note.updated", &before, after.clone());
    Ok(after)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = call.params.text("customer")?.value();
    let invoice = call.params.text("invoice")?.value();
    let keep = |note: &CreditNote| invoice.as_ref().is_none_or(|invoice| note.invoice == *invoice);
    list(&world.credit_notes, &call.params, "/v1/credit_notes", customer.as_deref(), keep, CreditNote::render)
}
