//! `/pending/{intent}`: a payment whose answer takes days, and the buttons that answer for the bank or the store.

use super::frame::{Fields, frame, html, locale, money, problem, redirect};
use crate::model::accounts::Rail;
use crate::model::checkout::{CheckoutSession, Mode};
use crate::model::payment::Voucher;
use crate::pages::{self, Awaited, OtherWay, PendingView};
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::request::{HttpRequest, HttpResponse};

/// The ways to pay beside a card that fit a session.
pub(super) fn other_ways(session: &CheckoutSession) -> Vec<(String, OtherWay)> {
    if session.needs_no_method() {
        return Vec::new();
    }
    let rails = Rail::ALL.into_iter().filter(|rail| session.currency.as_deref() == Some(rail.currency()));
    let rails = rails.filter(|rail| rail.is_debit() || session.mode == Mode::Payment);
    let rails = rails.filter(|rail| session.form.types.takes(rail.as_str()));
    let ways = rails.flat_map(|rail| match rail {
        Rail::SepaDebit => {
            vec![("pm_success_de", OtherWay::DebitPays), ("pm_failed_de", OtherWay::DebitFails)]
        }
        Rail::UsBankAccount => vec![
            ("pm_usBankAccount_success", OtherWay::DebitPays),
            ("pm_usBankAccount_insufficientFunds", OtherWay::DebitFails),
        ],
        Rail::Konbini => vec![("pm_konbini", OtherWay::Store)],
        // A transfer goes to the balance of a customer who is known.
        Rail::CustomerBalance if session.customer.is_none() => Vec::new(),
        Rail::CustomerBalance => vec![("pm_customerBalance", OtherWay::Transfer)],
    });
    ways.map(|(method, way)| (method.to_owned(), way)).collect()
}

/// Shows the payment, or takes the answer.
pub(super) fn pending(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    if request.method == "POST" {
        let success = match Fields::posted(request).text("outcome") {
            "success" => true,
            "failure" => false,
            _ => {
                return sandbox
                    .read(|world| problem(world, request, 400, "The form has no outcome. No money moved."));
            }
        };
        return match sandbox.change(|world| world.settle_by_hand(id, success)) {
            Ok(()) => sandbox.read(|world| redirect(&back(world, id).unwrap_or_else(|| "/".to_owned()))),
            Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
        };
    }
    sandbox.read(|world| match view(world, request, id) {
        Some(view) => {
            let leads_to: Vec<&str> = view.continue_url.as_deref().into_iter().collect();
            html(200, pages::pending_page(&view), &leads_to)
        }
        None => problem(world, request, 404, "No payment waits for a bank or a store here. No money moved."),
    })
}

fn session<'a>(world: &'a World, id: &str) -> Option<&'a CheckoutSession> {
    let intent = world.payment_intents.get(id)?;
    intent.session.as_ref().and_then(|session| world.sessions.get(session))
}

fn back(world: &World, id: &str) -> Option<String> {
    let intent = world.payment_intents.get(id)?;
    session(world, id).and_then(CheckoutSession::redirect_url).or(intent.return_url.clone())
}

fn view(world: &World, request: &HttpRequest, id: &str) -> Option<PendingView> {
    let intent = world.payment_intents.get(id).filter(|intent| world.is_underway(intent))?;
    let wanted = session(world, id).and_then(|session| session.locale.as_deref());
    Some(PendingView {
        frame: frame(world, request, locale(request, wanted)),
        merchant: world.merchant.clone(),
        amount: money(
            match intent.voucher {
                Some(Voucher::Transfer { funded, .. }) => intent.amount - funded,
                Some(Voucher::Store { .. }) | None => intent.amount,
            },
            &intent.currency,
        ),
        awaited: match &intent.voucher {
            None => Awaited::Bank,
            Some(Voucher::Store { confirmation, code, until, .. }) => {
                Awaited::Store { confirmation: confirmation.clone(), code: code.clone(), until: *until }
            }
            Some(Voucher::Transfer { reference, .. }) => Awaited::Transfer(reference.clone()),
        },
        intent_id: id.to_owned(),
        action: format!("/pending/{id}"),
        continue_url: back(world, id),
    })
}
