//! Checkout sessions, and the payment page endpoints that the official command line uses to buy.

use serde_json::{Value, json};

use super::{Call, checkout_create};
use crate::checkout::buy::Buyer;
use crate::model::checkout::CheckoutSession;
use crate::model::checkout_form::Answers;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{list, list_values};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    let id = call.id();
    Some(match (method, path) {
        ("POST", "checkout/sessions") => checkout_create::create(world, call),
        ("GET", "checkout/sessions") => all(world, call),
        ("GET", "checkout/sessions/{id}") => one(world, id),
        ("POST", "checkout/sessions/{id}") => update(world, call),
        ("POST", "checkout/sessions/{id}/expire") => world.expire_session(id).and_then(|()| one(world, id)),
        ("GET", "checkout/sessions/{id}/line_items") => lines(world, call),
        ("GET", "payment_pages/{id}") => page(world, id),
        ("POST", "payment_pages/{id}/confirm") => confirm(world, call),
        _ => return None,
    })
}

fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.sessions, id, "session").map(|session| session.render())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let mut session = need(&world.sessions, call.id(), "session")?;
    call.params.metadata_into(&mut session.metadata)?;
    let object = session.render();
    world.sessions.put(session);
    Ok(object)
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = params.text("customer")?.value();
    let subscription = params.text("subscription")?.value();
    let intent = params.text("payment_intent")?.value();
    let status = params.one_of("status", &["open", "complete", "expired"])?.value();
    let link = params.text("payment_link")?.value();
    let email = params.sub("customer_details").text("email")?.value();
    let keep = |session: &CheckoutSession| {
        let same = |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        same(&subscription, &session.subscription)
            && same(&link, &session.payment_link)
            && same(&intent, &session.payment_intent)
            && same(&email, &session.buyer_email)
            && status.is_none_or(|status| session.status.as_str() == status)
    };
    list(&world.sessions, params, "/v1/checkout/sessions", customer.as_deref(), keep, CheckoutSession::render)
}

fn lines(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let session = need(&world.sessions, call.id(), "session")?;
    let url = format!("/v1/checkout/sessions/{}/line_items", session.id);
    list_values(session.render_lines(&world.prices), &call.params, &url)
}

fn page(world: &World, id: &str) -> ApiResult<Value> {
    let session = need(&world.sessions, id, "session")?;
    Ok(
        json!({ "id": id, "object": "checkout.session", "session_id": id, "livemode": false, "state": session.status.as_str(),
               "amount_total": session.amount_total(), "currency": session.currency, "url": session.page_url }),
    )
}

fn confirm(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let session = need(&world.sessions, call.id(), "session")?;
    if params.int("expected_amount")?.value().is_some_and(|expected| expected != World::amount_now(&session))
    {
        return Err(ApiError::refused(
            "The amount of this Checkout Session differs from `expected_amount`. No money moved.",
        ));
    }
    let payment_method = params.required("payment_method")?;
    let billing = world
        .payment_methods
        .get(&payment_method)
        .map(|method| method.billing_details.clone())
        .unwrap_or_default();
    let from_card = |name: &str| billing.get(name).and_then(Value::as_str).map(str::to_owned);
    let buyer = Buyer {
        payment_method,
        email: params.text("email")?.value().or(from_card("email")),
        name: from_card("name"),
        answers: Answers { made_up: true, ..Answers::default() },
    };
    world.buy(call.id(), &buyer)?;
    page(world, call.id())
}
