//! The customer portal: `/p/session/{token}` and what its forms do.

use super::buying::{decline_word, read_card, typed_card};
use super::frame::{Fields, frame, frame_of, html, interval, locale, money, problem, redirect};
use super::steps;
use crate::billing::amounts::in_advance;
use crate::model::instrument::Instrument;
use crate::model::portal::{PortalConfiguration, PortalSession};
use crate::model::subscription::{CancellationDetails, Subscription};
use crate::pages::{
    self, CardForm, CardOnFile, FormProblem, InvoiceStatus, PlanChoice, PortalCancelView, PortalInvoice,
    PortalNotice, PortalStep, PortalSubscription, PortalView, SubscriptionStatus,
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
        ("GET", []) => match steps::start(&session, request) {
            Some(path) => redirect(&path),
            None => {
                sandbox.read(|world| show(world, request, &session, &configuration, CardForm::default(), 200))
            }
        },
        ("GET", ["subscriptions", id, "cancel"]) => {
            sandbox.read(|world| ask_cancel(world, request, &session, &configuration, id))
        }
        ("POST", ["subscriptions", id, "cancel"]) => {
            let posted = Fields::posted(request);
            let given = |name: &str| Some(posted.text(name).to_owned()).filter(|text| !text.is_empty());
            let asked = configuration.cancel_reasons.clone().unwrap_or_default();
            let details = CancellationDetails {
                feedback: given("feedback").filter(|word| asked.contains(word)),
                comment: given("comment").filter(|_| !asked.is_empty()),
                reason: None,
            };
            let result =
                sandbox.change(|world| world.on_line_of(id, |world| world.portal_cancel(token, id, details)));
            let path = format!("subscriptions/{id}/cancel");
            let to =
                result.map(|at| steps::done(&session, &path, format!("{home}?notice=cancelled&at={at}")));
            finish(sandbox, request, to)
        }
        ("POST", ["subscriptions", id, "resume"]) => {
            let paused = |world: &World| {
                let found = world.subscriptions.get(id)?;
                (found.paused_at.is_some() && found.cancel_at.is_none()).then_some("going")
            };
            let notice = sandbox.read(paused).unwrap_or("resumed");
            let result = sandbox.change(|world| world.on_line_of(id, |world| world.portal_resume(token, id)));
            finish(sandbox, request, result.map(|()| format!("{home}?notice={notice}")))
        }
        ("POST", ["subscriptions", id, "change"]) => change_plan(sandbox, request, &session, id, &home),
        ("POST", ["card"]) => change_card(sandbox, request, &session, &configuration),
        _ => steps::answer(sandbox, request, &session, &configuration, rest).unwrap_or_else(|| {
            sandbox.read(|world| problem(world, request, 404, "The portal has no such page."))
        }),
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

/// Leads on, or says why not.
pub(super) fn finish(sandbox: &Sandbox, request: &HttpRequest, result: ApiResult<String>) -> HttpResponse {
    match result {
        Ok(to) => redirect(&to),
        Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
    }
}

fn change_plan(
    sandbox: &Sandbox,
    request: &HttpRequest,
    session: &PortalSession,
    id: &str,
    home: &str,
) -> HttpResponse {
    let posted = Fields::posted(request);
    let price = Some(posted.text("price").to_owned()).filter(|price| !price.is_empty());
    let told = price.clone().or_else(|| {
        let running = sandbox.read(|world| world.subscriptions.get(id).cloned());
        running.and_then(|running| running.items.first().map(|item| item.price.clone()))
    });
    let quantity = posted.number("quantity");
    let changed = sandbox.change(|world| {
        world.on_line_of(id, |world| world.portal_change_plan(&session.token, id, price, quantity))
    });
    match changed {
        Ok(()) => {
            let home = format!("{home}?notice=changed&price={}", told.unwrap_or_default());
            redirect(&steps::done(session, &format!("subscriptions/{id}/change"), home))
        }
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
        if session.flow.as_ref().is_some_and(|flow| flow.task.path() == "card") {
            let action = format!("/p/session/{}/card", session.token);
            return steps::show(sandbox, request, session, PortalStep::Card { form, action }, status);
        }
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
        Ok(0) => redirect(&steps::done(session, "card", format!("/p/session/{}?notice=card", session.token))),
        Ok(paid) => {
            let currency = sandbox.read(|world| {
                world.customers.get(&session.customer).and_then(|customer| customer.currency.clone())
            });
            let home = format!(
                "/p/session/{}?notice=card&paid={paid}&currency={}",
                session.token,
                currency.unwrap_or_default()
            );
            redirect(&steps::done(session, "card", home))
        }
        Err(error) if error.status() == 402 => back(FormProblem::Declined(decline_word(&error.into())), 402),
        Err(error) => finish(sandbox, request, Err(error)),
    }
}

fn read_notice(world: &World, request: &HttpRequest) -> Option<PortalNotice> {
    let asked = Fields::asked(request);
    match asked.text("notice") {
        "cancelled" => asked.number("at").map(PortalNotice::CancelScheduled),
        "customer" => Some(PortalNotice::CustomerChanged),
        "paused" => Some(PortalNotice::Paused(asked.number("at"))),
        "going" => Some(PortalNotice::PauseOver),
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
        details: steps::customer_form(world, session, configuration),
        invoices,
        return_url: session.return_url.clone(),
    };
    html(status, pages::portal_page(&view), &[])
}

/// One subscription as the portal shows it.
pub(super) fn row(
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
        world.portal_prices(configuration, subscription)
    };
    Some(PortalSubscription {
        id: subscription.id.clone(),
        name: world.product_name(price),
        status: SubscriptionStatus::from_wire(subscription.status.as_str())?,
        price: money(in_advance(price, &subscription.currency, item.quantity), &subscription.currency),
        interval: interval(price)?,
        period_end: subscription.period.end,
        charges_at_once: configuration.update_proration == "always_invoice",
        cancel_at: subscription.cancel_at,
        owed: open.map(|invoice| money(invoice.remaining(), &invoice.currency)),
        quantity: configuration
            .quantity_of(&price.product)
            .filter(|_| !subscription.status.is_terminal())
            .map(|(least, most)| (item.quantity, least, most)),
        choices: choices
            .iter()
            .filter_map(|choice| {
                Some(PlanChoice {
                    price_id: choice.id.clone(),
                    name: world.product_name(choice),
                    price: money(choice.total(&subscription.currency, 1), &subscription.currency),
                    interval: interval(choice)?,
                    current: choice.id == price.id,
                })
            })
            .collect(),
        pause_ends: subscription.pause_ends.filter(|_| subscription.paused_at.is_some()),
        pause_path: world.portal_pauses(configuration, subscription).then(|| format!("{base}/pause")),
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

fn ask_cancel(
    world: &World,
    request: &HttpRequest,
    session: &PortalSession,
    configuration: &PortalConfiguration,
    id: &str,
) -> HttpResponse {
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
        ends_at: if configuration.cancel_mode == "immediately" { world.now } else { subscription.period.end },
        reasons: configuration.cancel_reasons.clone().unwrap_or_default(),
        trialing: subscription.status == crate::model::subscription::SubscriptionStatus::Trialing,
        action: format!("/p/session/{}/subscriptions/{id}/cancel", session.token),
        back_path: format!("/p/session/{}?from=cancel", session.token),
    };
    html(200, pages::portal_cancel_page(&view), &[])
}
