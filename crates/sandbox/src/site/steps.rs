//! Portal pages with one task, and where they lead when it is done.

use super::buying::decline_word;
use super::frame::{Fields, frame, html, interval, locale, money, problem, redirect};
use super::managing::{finish, row};
use crate::billing::calendar::boundary;
use crate::model::portal::{PortalConfiguration, PortalSession};
use crate::model::portal_flow::{After, Task};
use crate::pages::{self, CardForm, ChangedLine, CustomerForm, PortalStep, PortalStepView};
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::request::{HttpRequest, HttpResponse};

/// The page that a session leads to first; `None` for the portal's home.
pub(super) fn start(session: &PortalSession, request: &HttpRequest) -> Option<String> {
    let flow = session.flow.as_ref().filter(|_| request.query.is_empty())?;
    Some(format!("/p/session/{}/{}", session.token, flow.task.path()))
}

/// Where a customer goes who has just done something on a page: as the flow says if that was its task, else `home`.
pub(super) fn done(session: &PortalSession, path: &str, home: String) -> String {
    let Some(flow) = session.flow.as_ref().filter(|flow| flow.task.path() == path) else {
        return home;
    };
    match &flow.after {
        After::Homepage => home,
        After::Redirect { return_url } => return_url.clone(),
        After::Confirmation { .. } => format!("/p/session/{}/done", session.token),
    }
}

/// Answers a page with one task; `None` for another page.
pub(super) fn answer(
    sandbox: &Sandbox,
    request: &HttpRequest,
    session: &PortalSession,
    configuration: &PortalConfiguration,
    rest: &[&str],
) -> Option<HttpResponse> {
    let token = session.token.as_str();
    Some(match (request.method.as_str(), rest) {
        ("GET", ["card"]) => {
            let action = format!("/p/session/{token}/card");
            show(sandbox, request, session, PortalStep::Card { form: CardForm::default(), action }, 200)
        }
        ("GET", ["customer"]) => {
            let form = sandbox.read(|world| customer_form(world, session, configuration));
            match form {
                Some(form) => show(sandbox, request, session, PortalStep::Customer(form), 200),
                None => nothing(sandbox, request),
            }
        }
        ("POST", ["customer"]) => {
            let posted = Fields::posted(request);
            let values: Vec<(&str, String)> =
                ["email", "name", "phone"].map(|name| (name, posted.text(name).to_owned())).to_vec();
            let result = sandbox.change(|world| world.portal_update_customer(token, &values));
            let home = format!("/p/session/{token}?notice=customer");
            finish(sandbox, request, result.map(|()| done(session, "customer", home)))
        }
        ("GET", ["subscriptions", id, "change"]) => {
            let found = sandbox.read(|world| {
                let own = world.subscriptions.get(id).filter(|found| found.customer == session.customer);
                own.and_then(|found| row(world, session, configuration, found))
            });
            match found {
                Some(row) => show(sandbox, request, session, PortalStep::Change(Box::new(row)), 200),
                None => nothing(sandbox, request),
            }
        }
        ("GET", ["subscriptions", id, "confirm"]) => {
            confirm(sandbox, request, session, configuration, id, None)
        }
        ("POST", ["subscriptions", id, "confirm"]) => {
            match sandbox.change(|world| world.portal_confirm(token, id)) {
                Ok(()) => {
                    let home = format!("/p/session/{token}?notice=done");
                    redirect(&done(session, &format!("subscriptions/{id}/confirm"), home))
                }
                Err(error) if error.status() == 402 => {
                    let code = decline_word(&error.into());
                    confirm(sandbox, request, session, configuration, id, Some(code))
                }
                Err(error) => finish(sandbox, request, Err(error)),
            }
        }
        ("GET", ["subscriptions", id, "pause"]) => {
            match sandbox.read(|world| pause_step(world, session, configuration, id)) {
                Some(step) => show(sandbox, request, session, step, 200),
                None => nothing(sandbox, request),
            }
        }
        ("POST", ["subscriptions", id, "pause"]) => {
            let place =
                Fields::posted(request).number("length").and_then(|place| usize::try_from(place).ok());
            let paused = sandbox.change(|world| {
                world.on_line_of(id, |world| world.portal_pause(token, id, place.unwrap_or_default()))
            });
            let to = paused.map(|ends| {
                let until = ends.map(|at| format!("&at={at}")).unwrap_or_default();
                let home = format!("/p/session/{token}?notice=paused{until}");
                done(session, &format!("subscriptions/{id}/pause"), home)
            });
            finish(sandbox, request, to)
        }
        ("GET", ["done"]) => {
            let message = match session.flow.as_ref().map(|flow| &flow.after) {
                Some(After::Confirmation { message }) => message.clone(),
                Some(After::Homepage | After::Redirect { .. }) | None => None,
            };
            show(sandbox, request, session, PortalStep::Done { message }, 200)
        }
        _ => return None,
    })
}

fn nothing(sandbox: &Sandbox, request: &HttpRequest) -> HttpResponse {
    sandbox.read(|world| problem(world, request, 404, "The portal has no such page. Nothing changed."))
}

/// Shows a task.
pub(super) fn show(
    sandbox: &Sandbox,
    request: &HttpRequest,
    session: &PortalSession,
    step: PortalStep,
    status: u16,
) -> HttpResponse {
    let leads_to = match session.flow.as_ref().map(|flow| &flow.after) {
        Some(After::Redirect { return_url }) => vec![return_url.as_str()],
        Some(After::Homepage | After::Confirmation { .. }) | None => Vec::new(),
    };
    sandbox.read(|world| {
        let view = PortalStepView {
            frame: frame(world, request, locale(request, session.locale.as_deref())),
            merchant: world.merchant.clone(),
            step,
            return_url: session.return_url.clone(),
        };
        html(status, pages::portal_step_page(&view), &leads_to)
    })
}

/// The lengths of a pause to choose from; `None` where the portal does not offer one.
fn pause_step(
    world: &World,
    session: &PortalSession,
    configuration: &PortalConfiguration,
    id: &str,
) -> Option<PortalStep> {
    let own = world.subscriptions.get(id).filter(|found| found.customer == session.customer)?;
    let row = row(world, session, configuration, own)?;
    let now = world.now_of(Some(&session.customer));
    let ends = configuration.pause_lengths.iter().map(|length| boundary(now, *length, 1)).collect();
    world.portal_pauses(configuration, own).then(|| PortalStep::Pause {
        subscription: Box::new(row),
        ends,
        action: format!("/p/session/{}/subscriptions/{id}/pause", session.token),
    })
}

/// What a customer may change of themselves on a page; addresses are changed with the API only.
pub(super) fn customer_form(
    world: &World,
    session: &PortalSession,
    configuration: &PortalConfiguration,
) -> Option<CustomerForm> {
    let customer = world.customers.get(&session.customer).filter(|_| configuration.customer_update)?;
    let known = [("email", &customer.email), ("name", &customer.name), ("phone", &customer.phone)];
    let fields: Vec<(String, String)> = known
        .iter()
        .filter(|(name, _)| configuration.customer_updates.iter().any(|word| word == name))
        .map(|(name, value)| ((*name).to_owned(), (*value).clone().unwrap_or_default()))
        .collect();
    let action = format!("/p/session/{}/customer", session.token);
    (!fields.is_empty()).then_some(CustomerForm { fields, action })
}

fn confirm(
    sandbox: &Sandbox,
    request: &HttpRequest,
    session: &PortalSession,
    configuration: &PortalConfiguration,
    id: &str,
    declined: Option<String>,
) -> HttpResponse {
    let Some((before, after)) = sandbox.read(|world| change_lines(world, session, id)) else {
        return nothing(sandbox, request);
    };
    let status = if declined.is_some() { 402 } else { 200 };
    let step = PortalStep::Confirm {
        before,
        after,
        charges_at_once: configuration.update_proration == "always_invoice",
        declined,
        action: format!("/p/session/{}/subscriptions/{id}/confirm", session.token),
    };
    show(sandbox, request, session, step, status)
}

/// The items of a subscription before and after the change that the session asks to confirm.
fn change_lines(
    world: &World,
    session: &PortalSession,
    id: &str,
) -> Option<(Vec<ChangedLine>, Vec<ChangedLine>)> {
    let items = match session.flow.as_ref().map(|flow| &flow.task)? {
        Task::SubscriptionUpdateConfirm { subscription, items } if subscription == id => items,
        Task::PaymentMethodUpdate
        | Task::CustomerUpdate
        | Task::SubscriptionCancel { .. }
        | Task::SubscriptionPause { .. }
        | Task::SubscriptionUpdate { .. }
        | Task::SubscriptionUpdateConfirm { .. } => return None,
    };
    let running = world.subscriptions.get(id)?;
    let currency = &running.currency;
    let line = |price: &str, quantity: i64| -> Option<ChangedLine> {
        let price = world.prices.get(price)?;
        Some(ChangedLine {
            name: world.product_name(price),
            price: money(price.total(currency, 1), currency),
            interval: interval(price)?,
            quantity,
        })
    };
    let running = &running.items;
    let before = running.iter().filter_map(|item| line(&item.price, item.quantity)).collect();
    let after = running
        .iter()
        .filter_map(|item| {
            let change = items.iter().find(|change| change.id == item.id);
            let price = change.and_then(|change| change.price.as_ref()).unwrap_or(&item.price);
            let quantity = change.and_then(|change| change.quantity).unwrap_or(item.quantity);
            line(price, quantity)
        })
        .collect();
    Some((before, after))
}
