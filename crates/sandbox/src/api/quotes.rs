//! Quotes: made, listed, changed, made final, accepted, canceled.

use serde_json::Value;

use super::Call;
use super::checkout_create::{Quantity, price_lines, read_line};
use super::subscription_changes::check_billing_mode;
use crate::billing::amounts::agreed_currency;
use crate::billing::subscribe::same_rhythm;
use crate::model::checkout::SessionLine;
use crate::model::product::Price;
use crate::model::quote::{Quote, QuoteState, QuotedSubscription};
use crate::model::subscription::Collection;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};
use crate::wire::params::{Field, Metadata, Params};

/// How long a quote stands when it does not say so, and at most, in seconds.
const STANDS: i64 = 30 * 86_400;
const LONGEST: i64 = 5 * 366 * 86_400;

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("POST", "quotes") => create(world, call),
        ("GET", "quotes") => all(world, call),
        ("GET", "quotes/{id}") => one(world, id),
        ("POST", "quotes/{id}") => update(world, call),
        ("POST", "quotes/{id}/finalize") => finalize(world, call),
        ("POST", "quotes/{id}/accept") => world
            .live_quote(id, "accepted")
            .and_then(|quote| world.accept_quote(quote))
            .and_then(|()| one(world, id)),
        ("POST", "quotes/{id}/cancel") => world
            .live_quote(id, "canceled")
            .map(|quote| world.cancel_quote(quote))
            .and_then(|()| one(world, id)),
        ("GET", "quotes/{id}/line_items") => lines(world, call, "line_items"),
        ("GET", "quotes/{id}/computed_upfront_line_items") => {
            lines(world, call, "computed_upfront_line_items")
        }
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.quotes, id, "quote").map(|quote| quote.render(&world.prices))
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    if let Some(clock) = params.text("test_clock")?.value() {
        let customer = params.text("customer")?.value();
        let of_customer = customer.as_deref().and_then(|customer| world.clock_of_customer(customer));
        if of_customer != Some(clock.as_str()) {
            let message =
                "The sandbox plays a quote at the time of its customer: name a customer of this test clock.";
            return Err(ApiError::invalid("parameter_not_in_sandbox", "test_clock", message));
        }
    }
    let mut quote = Quote {
        id: world.chance.id("qt_"),
        created: world.now,
        expires_at: world.now + STANDS,
        state: QuoteState::Draft,
        finalized: None,
        customer: None,
        currency: None,
        lines: Vec::new(),
        collection: Collection::ChargeAutomatically,
        days_until_due: None,
        invoice_description: None,
        description: None,
        header: None,
        footer: None,
        metadata: Metadata::new(),
        subscription: QuotedSubscription::default(),
        test_clock: None,
    };
    read(world, params, &mut quote)?;
    let object = quote.render(&world.prices);
    world.keep_quote(quote);
    world.emit("quote.created", object.clone());
    Ok(object)
}

/// Reads what a draft says.
fn read(world: &mut World, params: &Params<'_>, quote: &mut Quote) -> ApiResult<()> {
    if let Field::Set(id) = params.text("customer")? {
        let customer = world.live_customer(&id, "customer")?;
        if quote.customer.as_ref().is_some_and(|known| *known != id) {
            return Err(ApiError::rule("The customer of a quote cannot be changed.").param("customer"));
        }
        (quote.customer, quote.test_clock) = (Some(id), customer.test_clock);
    }
    read_expiry(world, params, quote)?;
    params.text("description")?.apply(&mut quote.description);
    params.text("header")?.apply(&mut quote.header);
    params.text("footer")?.apply(&mut quote.footer);
    params.metadata_into(&mut quote.metadata)?;
    match params.one_of("collection_method", &["charge_automatically", "send_invoice"])? {
        Field::Set("send_invoice") => quote.collection = Collection::SendInvoice,
        Field::Set(_) => quote.collection = Collection::ChargeAutomatically,
        Field::Absent | Field::Unset => {}
    }
    let settings = params.sub("invoice_settings");
    settings.int_within("days_until_due", 0..=3650)?.apply(&mut quote.days_until_due);
    settings.text("description")?.apply(&mut quote.invoice_description);
    if (quote.collection == Collection::SendInvoice) != quote.days_until_due.is_some() {
        let message = "invoice_settings[days_until_due] is required with collection_method=send_invoice, and only then.";
        return Err(ApiError::rule(message).param("invoice_settings[days_until_due]"));
    }
    let data = params.sub("subscription_data");
    check_billing_mode(&data)?;
    data.text("description")?.apply(&mut quote.subscription.description);
    data.metadata_into(&mut quote.subscription.metadata)?;
    data.int_within("trial_period_days", 1..=730)?.apply(&mut quote.subscription.trial_days);
    if params.has("line_items") {
        read_lines(world, params, quote)?;
    }
    Ok(())
}

fn read_expiry(world: &World, params: &Params<'_>, quote: &mut Quote) -> ApiResult<()> {
    if let Field::Set(at) = params.int("expires_at")? {
        if at <= world.now || at > world.now + LONGEST {
            return Err(ApiError::rule("expires_at must lie in the future, at most five years ahead.")
                .param("expires_at"));
        }
        quote.expires_at = at;
    }
    Ok(())
}

/// Reads the lines. All are in one currency, and those that recur do so alike.
fn read_lines(world: &mut World, params: &Params<'_>, quote: &mut Quote) -> ApiResult<()> {
    let mut chosen: Vec<(Price, SessionLine)> = Vec::new();
    for item in params.list("line_items") {
        let (price, line) = read_line(world, &item, Quantity::One)?;
        let other = chosen.iter().find(|(other, _)| other.recurring.is_some() && price.recurring.is_some());
        if other.is_some_and(|(other, _)| !same_rhythm(other.recurring, price.recurring)) {
            let message = "All recurring prices of a quote must have the same interval.";
            return Err(ApiError::rule(message).param(&item.full("price")));
        }
        if other.is_some_and(|(other, _)| other.id == price.id) {
            let message = "A quote has each recurring price once; change the quantity instead.";
            return Err(ApiError::rule(message).param(&item.full("price")));
        }
        chosen.push((price, line));
    }
    let buyers = quote.customer.as_ref().and_then(|id| world.customers.get(id));
    let buyers = buyers.and_then(|customer| customer.currency.clone());
    let prices: Vec<Price> = chosen.iter().map(|(price, _)| price.clone()).collect();
    quote.currency = agreed_currency(&prices, None, buyers.as_deref());
    quote.lines = price_lines(chosen, quote.currency.as_deref().unwrap_or_default())?;
    Ok(())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let mut quote = world.live_quote(call.id(), "changed")?;
    if quote.state == QuoteState::Draft {
        read(world, params, &mut quote)?;
    } else {
        let open = ["expires_at", "metadata", "expand"];
        if let Some(name) = params.names().find(|name| !open.contains(name)) {
            let message = format!("'{name}' can only be changed while the quote is a draft.");
            return Err(ApiError::refused(message).param(name));
        }
        read_expiry(world, params, &mut quote)?;
        params.metadata_into(&mut quote.metadata)?;
    }
    world.keep_quote(quote);
    one(world, call.id())
}

fn finalize(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut quote = world.live_quote(call.id(), "finalized")?;
    read_expiry(world, &call.params, &mut quote)?;
    world.finalize_quote(quote)?;
    one(world, call.id())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    let status = params.one_of("status", &["accepted", "canceled", "draft", "open"])?.value();
    let clock = params.text("test_clock")?.value();
    let keep = |quote: &Quote| {
        status.is_none_or(|status| quote.state.as_str() == status)
            && (quote.test_clock == clock || (clock.is_none() && customer.is_some()))
    };
    let render = |quote: &Quote| quote.render(&world.prices);
    list(&world.quotes, params, "/v1/quotes", customer.as_deref(), keep, render)
}

fn lines(world: &World, call: &Call<'_>, name: &str) -> ApiResult<Value> {
    let quote = need(&world.quotes, call.id(), "quote")?;
    let url = format!("/v1/quotes/{}/{name}", quote.id);
    let lines = if name == "line_items" {
        quote.render_lines(quote.lines.iter(), &world.prices)
    } else {
        quote.render_lines(quote.upfront(&world.prices), &world.prices)
    };
    list_values(lines, &call.params, &url)
}
