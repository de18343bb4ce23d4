//! `/i/{invoice}`: the hosted page of an invoice, on which its customer pays it.

use super::buying::{bank_waits, decline_word, read_card, typed_card};
use super::frame::{Fields, frame_of, html, locale, money, problem, redirect};
use crate::model::invoice::Invoice;
use crate::pages::{self, CardForm, FormProblem, InvoicePayView, OutcomeView, SessionOutcome};
use crate::payments::attempt::Presence;
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::error::ApiResult;
use crate::wire::request::{HttpRequest, HttpResponse};

/// Shows the invoice or takes a payment.
pub(super) fn invoice(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    match request.method.as_str() {
        "GET" => sandbox.read(|world| show(world, request, id, CardForm::default(), 200)),
        "POST" => pay(sandbox, request, id),
        _ => sandbox.read(|world| problem(world, request, 405, "This page takes GET and POST.")),
    }
}

/// Leads to the bank's step where it waits, asks for a payment where one is owed, and else says how the invoice stands.
fn show(world: &World, request: &HttpRequest, id: &str, form: CardForm, status: u16) -> HttpResponse {
    let Some(invoice) = world.invoices.get(id).filter(|invoice| invoice.transitions.finalized.is_some())
    else {
        return problem(world, request, 404, "There is no such invoice.");
    };
    if let Some(intent) = invoice.payment_intent.as_ref().filter(|intent| bank_waits(world, intent)) {
        return redirect(&format!("/3ds/{intent}"));
    }
    let frame = frame_of(world, request, locale(request, None), Some(&invoice.customer));
    if invoice.is_payable() && !world.awaits_bank(invoice) {
        let view = InvoicePayView {
            frame,
            merchant: world.merchant.clone(),
            number: invoice.number.clone(),
            lines: invoice
                .lines
                .iter()
                .map(|line| (line.description.clone(), money(line.total(), &invoice.currency)))
                .collect(),
            due: money(invoice.remaining(), &invoice.currency),
            saved: saved(world, invoice),
            form,
            invoice_id: invoice.id.clone(),
            action: format!("/i/{id}"),
        };
        return html(status, pages::invoice_page(&view), &[]);
    }
    let paid = (invoice.amount_paid > 0).then(|| money(invoice.amount_paid, &invoice.currency));
    let view = OutcomeView {
        frame,
        merchant: world.merchant.clone(),
        outcome: if invoice.is_payable() {
            SessionOutcome::Processing
        } else {
            SessionOutcome::AlreadyComplete { paid }
        },
        session_id: invoice.id.clone(),
        continue_url: None,
    };
    html(200, pages::outcome_page(&view), &[])
}

/// The last digits of the card that is charged by itself.
fn saved(world: &World, invoice: &Invoice) -> Option<String> {
    let method = world.method_for(invoice)?;
    let method = world.payment_methods.get(&method)?;
    method.instrument.card().map(|_| method.instrument.last4().to_owned())
}

fn pay(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    let posted = Fields::posted(request);
    let back = |cause: FormProblem, status: u16| {
        let form = CardForm { name: posted.text("name").to_owned(), problem: Some(cause) };
        sandbox.read(|world| show(world, request, id, form, status))
    };
    let fields = match posted.text("use") {
        "saved" => None,
        _ => match read_card(sandbox.now(), &posted) {
            Ok(fields) => Some(fields),
            Err(cause) => return back(cause, 422),
        },
    };
    let paid = sandbox.change(|world| -> ApiResult<()> {
        let method = fields.as_ref().map(|fields| world.card_from_typed(&typed_card(fields))).transpose()?;
        world.on_line_of(id, |world| world.pay_invoice(id, method, Presence::OnSession))
    });
    match paid {
        Ok(()) => redirect(&format!("/i/{id}")),
        // The page itself leads on to the bank.
        Err(_) if sandbox.read(|world| waits_for_bank(world, id)) => redirect(&format!("/i/{id}")),
        Err(error) if error.status() == 402 => back(FormProblem::Declined(decline_word(&error.into())), 402),
        Err(_) => sandbox.read(|world| show(world, request, id, CardForm::default(), 200)),
    }
}

fn waits_for_bank(world: &World, id: &str) -> bool {
    let intent = world.invoices.get(id).and_then(|invoice| invoice.payment_intent.clone());
    intent.is_some_and(|intent| bank_waits(world, &intent))
}
