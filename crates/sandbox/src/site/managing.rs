//! The customer portal: `/p/session/{token}` and what its forms do.

use super::buying::{decline_word, read_card, typed_card};
use super::frame::{Fields, frame, frame_of, html, interval, locale, money, problem, redirect};
use crate::model::instrument::Instrument;
use crate::model::portal::{PortalConfiguration, PortalSession};
use crate::model::subscription::Subscription;
use crate::pages::{
    self, CardForm, CardOnFile, FormProblem, InvoiceStatus, PlanChoice, PortalCancelView, PortalInvoice,
    PortalNotice, PortalSubscription, PortalView, SubscriptionStatus,
};
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::request::{HttpRequest, HttpResponse};

/// Answers a request below a portal session.
pub(super) fn portal(sandbox: &Sandbox, request: &HttpRequest, token: &str, rest: &[&str]) -> HttpResponse {
    let known = sandbox.read(|world| world.portal_by_token(token));
    let (session, configuration) = match known {
        Ok(known) => known,
        Err(_) => {
            return sandbox.read(|world| closed(world, request, token));
        }
    };
    let home = format!("/p/session/{token}");
    match (request.method.as_str(), rest) {
        ("GET", []) => match flow_start(&session, request) {
            Some(path) => redirect(&path),
            None => {
                sandbox.read(|world| show(world, request, &session, &configuration, CardForm::default(), 200))
            }
        },
        ("GET", ["subscriptions", id, "cancel"]) => {
            sandbox.read(|world| ask_cancel(world, request, &session, id))
        }
        ("POST", ["subscriptions", id, "cancel"]) => {
            let result = sandbox.change(|world| world.on_line_of(id, |world| world.portal_cancel(token, id)));
            finish(sandbox, request, result.map(|at| format!("{home}?notice=cancelled&at={at}")))
        }
        ("POST", ["subscriptions", id, "resume"]) => {
            let result = sandbox.change(|world| world.on_line_of(id, |world| world.portal_resume(token, id)));
            finish(sandbox, request, result.map(|()| format!("{home}?notice=resumed")))
        }
        ("POST", ["subscriptions", id, "change"]) => change_plan(sandbox, request, token, id, &home),
        ("POST", ["card"]) => change_card(sandbox, request, &session, &configuration),
        _ => sandbox.read(|world| problem(world, request, 404, "The portal has no such page.")),
    }
}

/// The answer to a link whose session is over or was never there.
fn closed(world: &World, request: &HttpRequest, token: &str) -> HttpResponse {
    let Some(session) = world.portal_sessions.iter().find(|session| session.token == token) else {
        return problem(world, request, 404, "This portal link is unknown: make a portal session.");
    };
    let frame = frame(world, request, locale(request, session.locale.as_deref()));
    html(410, pages::portal_closed_page(&frame, &world.merchant, session.return_url.as_ref()), &[])
}

/// A deep link of the session leads to its page first.
fn flow_start(session: &PortalSession, request: &HttpRequest) -> Option<String> {
    let id = session.flow.pointer("/subscription_cancel/subscription")?.as_str()?;
    request.query.is_empty().then(|| format!("/p/session/{}/subscriptions/{id}/cancel", session.token))
}

fn finish(sandbox: &Sandbox, request: &HttpRequest, result: ApiResult<String>) -> HttpResponse {
    match result {
        Ok(to) => redirect(&to),
        Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
    }
}

fn change_plan(sandbox: &Sandbox, request: &HttpRequest, token: &str, id: &str, home: &str) -> HttpResponse {
    let posted = Fields::posted(request);
    let price = posted.text("price");
    match sandbox.change(|world| world.on_line_of(id, |world| world.portal_change_plan(token, id, price))) {
        Ok(()) => redirect(&format!("{home}?notice=changed&price={price}")),
        Err(error) if error.status() == 402 => {
            redirect(&format!("{home}?notice=declined&code={}", decline_word(&error.into())))
        }
        Err(error) => finish(sandbox, request, Err(error)),
    }
}

fn change_card(
    sandbox: &Sandbox,
    request: &HttpRequest,
    session: &PortalSession,
    configuration: &PortalConfiguration,
) -> HttpResponse {
    let posted = Fields::posted(request);
    let back = |cause: FormProblem, status: u16| {
        let form = CardForm { name: posted.text("name").to_owned(), problem: Some(cause) };
        sandbox.read(|world| show(world, request, session, configuration, form, status))
    };
    let fields = match read_card(sandbox.now(), &posted) {
        Ok(fields) => fields,
        Err(cause) => return back(cause, 422),
    };
    let result = sandbox.change(|world| -> ApiResult<i64> {
        let method = world.card_from_typed(&typed_card(&fields))?;
        world.on_line_of(&session.customer, |world| world.portal_change_card(&session.token, &method))
    });
    match result {
        Ok(0) => redirect(&format!("/p/session/{}?notice=card", session.token)),
        Ok(paid) => {
            let currency = sandbox.read(|world| {
                world.customers.get(&session.customer).and_then(|customer| customer.currency.clone())
            });
            redirect(&format!(
                "/p/session/{}?notice=card&paid={paid}&currency={}",
                session.token,
                currency.unwrap_or_default()
            ))
        }
        Err(error) if error.status() == 402 => back(FormProblem::Declined(decline_word(&error.into())), 402),
        Err(error) => finish(sandbox, request, Err(error)),
    }
}

fn read_notice(world: &World, request: &HttpRequest) -> Option<PortalNotice> {
    let asked = Fields::asked(request);
    match asked.text("notice") {
        "cancelled" => asked.number("at").map(PortalNotice::CancelScheduled),
        "resumed" => Some(PortalNotice::Resumed),
        "changed" => world
            .prices
            .get(asked.text("price"))
            .map(|price| PortalNotice::Changed(world.product_name(price))),
        "declined" => Some(PortalNotice::ChangeDeclined(asked.text("code").to_owned())),
        "card" => Some(match asked.number("paid") {
            Some(paid) => PortalNotice::CardChangedAndPaid(money(paid, asked.text("currency"))),
            None => PortalNotice::CardChanged,
        }),
        _ => None,
    }
}

fn show(
    world: &World,
    request: &HttpRequest,
    session: &PortalSession,
    configuration: &PortalConfiguration,
    card_form: CardForm,
    status: u16,
) -> HttpResponse {
    let customer = world.customers.get(&session.customer);
    let called = customer.and_then(|customer| customer.email.clone().or(customer.name.clone()));
    let mut subscriptions: Vec<&Subscription> = world.subscriptions.of(&session.customer).rev().collect();
    subscriptions.sort_by_key(|subscription| subscription.status.is_terminal());
    let card = world.default_method(
        &session.customer,
        subscriptions.first().map(|subscription| subscription.id.as_str()),
    );
    let card = card.and_then(|id| world.payment_methods.get(&id));
    let invoices =
        if configuration.invoice_history { invoices(world, &session.customer) } else { Vec::new() };
    let view = PortalView {
        frame: frame_of(world, request, locale(request, session.locale.as_deref()), Some(&session.customer)),
        merchant: world.merchant.clone(),
        customer: called.unwrap_or_else(|| session.customer.clone()),
        notice: read_notice(world, request),
        subscriptions: subscriptions
            .iter()
            .filter_map(|subscription| row(world, session, configuration, subscription))
            .collect(),
        card: card.map(|method| CardOnFile {
            brand: method.instrument.card().map_or(method.instrument.word(), |card| card.brand()).to_owned(),
            last4: method.instrument.last4().to_owned(),
            expiry: match &method.instrument {
                Instrument::Card { face, .. } => Some((
                    u32::try_from(face.exp_month).unwrap_or(1),
                    u32::try_from(face.exp_year).unwrap_or(2000),
                )),
                Instrument::Account { .. } => None,
            },
        }),
        card_form,
        card_action: format!("/p/session/{}/card", session.token),
        invoices,
        return_url: session.return_url.clone(),
    };
    html(status, pages::portal_page(&view), &[])
}

fn row(
    world: &World,
    session: &PortalSession,
    configuration: &PortalConfiguration,
    subscription: &Subscription,
) -> Option<PortalSubscription> {
    let item = subscription.items.first()?;
    let price = world.prices.get(&item.price)?;
    let base = format!("/p/session/{}/subscriptions/{}", session.token, subscription.id);
    let open = subscription
        .latest_invoice
        .as_ref()
        .and_then(|id| world.invoices.get(id))
        .filter(|invoice| invoice.is_open());
    let choices = if subscription.status.is_terminal() {
        Vec::new()
    } else {
        world.portal_prices(configuration, &subscription.currency)
    };
    Some(PortalSubscription {
        id: subscription.id.clone(),
        name: world.product_name(price),
        status: SubscriptionStatus::from_wire(subscription.status.as_str())?,
        price: money(price.amount(item.quantity, "items").ok()?, &price.currency),
        interval: interval(price)?,
        period_end: subscription.period.end,
        charges_at_once: configuration.update_proration == "always_invoice",
        cancel_at: subscription.cancel_at,
        owed: open.map(|invoice| money(invoice.remaining(), &invoice.currency)),
        choices: choices
            .iter()
            .filter_map(|choice| {
                Some(PlanChoice {
                    price_id: choice.id.clone(),
                    name: world.product_name(choice),
                    price: money(choice.unit_amount, &choice.currency),
                    interval: interval(choice)?,
                    current: choice.id == price.id,
                })
            })
            .collect(),
        cancel_path: format!("{base}/cancel"),
        resume_action: format!("{base}/resume"),
        change_action: format!("{base}/change"),
    })
}

fn invoices(world: &World, customer: &str) -> Vec<PortalInvoice> {
    world
        .invoices
        .of(customer)
        .rev()
        .take(24)
        .filter_map(|invoice| {
            Some(PortalInvoice {
                number: invoice.number.clone().unwrap_or_else(|| invoice.id.clone()),
                created: invoice.created,
                description: invoice.lines.last().map(|line| line.description.clone()).unwrap_or_default(),
                total: money(invoice.total(), &invoice.currency),
                status: InvoiceStatus::from_wire(invoice.status.as_str())?,
            })
        })
        .collect()
}

fn ask_cancel(world: &World, request: &HttpRequest, session: &PortalSession, id: &str) -> HttpResponse {
    let found = world
        .subscriptions
        .get(id)
        .filter(|found| found.customer == session.customer && !found.status.is_terminal());
    let Some(subscription) = found else {
        let error = ApiError::missing("subscription", id, "subscription");
        return problem(world, request, error.status(), error.message());
    };
    let price = subscription.items.first().and_then(|item| world.prices.get(&item.price));
    let view = PortalCancelView {
        frame: frame_of(world, request, locale(request, session.locale.as_deref()), Some(&session.customer)),
        merchant: world.merchant.clone(),
        name: price.map(|price| world.product_name(price)).unwrap_or_default(),
        ends_at: subscription.period.end,
        trialing: subscription.status == crate::model::subscription::SubscriptionStatus::Trialing,
        action: format!("/p/session/{}/subscriptions/{id}/cancel", session.token),
        back_path: format!("/p/session/{}?from=cancel", session.token),
    };
    html(200, pages::portal_cancel_page(&view), &[])
}
