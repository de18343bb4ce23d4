//! `POST /v1/checkout/sessions`: reads and checks everything that a session can be made of.

use serde_json::Value;

use super::Call;
use super::subscriptions::read_missing_card;
use crate::model::checkout::{
    CheckoutSession, Mode, PaymentData, PaymentStatus, SessionLine, SessionStatus, SubscriptionData,
};
use crate::model::checkout_form::CheckoutForm;
use crate::model::product::Price;
use crate::model::subscription::MissingCard;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Metadata, Params};

const DAY: i64 = 86_400;

fn read_mode(params: &Params<'_>) -> ApiResult<Mode> {
    params.required("mode")?;
    Ok(match params.one_of("mode", &["payment", "subscription", "setup"])? {
        Field::Set("payment") => Mode::Payment,
        Field::Set("setup") => Mode::Setup,
        Field::Set(_) | Field::Absent | Field::Unset => Mode::Subscription,
    })
}

/// Makes a session.
pub(super) fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    super::intents::refuse_types(call)?;
    let mode = read_mode(params)?;
    let mut session = blank(world, params, mode)?;
    read_urls(params, &mut session)?;
    read_buyer(world, params, &mut session)?;
    read_data(world, params, &mut session)?;
    session.lines = read_lines(world, params, mode)?;
    let first = session.lines.first().and_then(|line| world.prices.get(&line.price)).cloned();
    session.currency =
        first.as_ref().map(|price| price.currency.clone()).or(params.text("currency")?.value());
    let sum: i64 = session.lines.iter().map(|line| line.amount).sum();
    let trial =
        session.subscription_data.trial_days.is_some() || session.subscription_data.trial_end.is_some();
    super::checkout_form::read(world, params, &mut session)?;
    session.amount_total = if trial { 0 } else { sum.saturating_add(session.form.shipping_amount()) };
    if mode == Mode::Subscription {
        world.check_sellable(&session)?;
    }
    let object = session.render();
    world.open_session(session);
    Ok(object)
}

fn blank(world: &mut World, params: &Params<'_>, mode: Mode) -> ApiResult<CheckoutSession> {
    let id = world.chance.id("cs_test_");
    let expires_at = params.int("expires_at")?.value().unwrap_or(world.now + DAY);
    if !(world.now + 1800..=world.now + DAY).contains(&expires_at) {
        let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(ApiError::rule(message).param("expires_at"));
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let words = params.one_of("payment_method_collection", &["always", "if_required"])?;
    Ok(CheckoutSession {
        page_url: format!("{}/c/pay/{id}", world.public_url),
        id,
        created: world.now,
        expires_at,
        mode,
        status: SessionStatus::Open,
        payment_status: if mode == Mode::Setup {
            PaymentStatus::NoPaymentRequired
        } else {
            PaymentStatus::Unpaid
        },
        currency: None,
        lines: Vec::new(),
        amount_total: 0,
        customer: None,
        customer_creation: params
            .one_of("customer_creation", &["always", "if_required"])?
            .value()
            .unwrap_or("if_required")
            .to_owned(),
        customer_email: None,
        buyer_email: None,
        buyer_name: None,
        client_reference_id: params.text("client_reference_id")?.value(),
        metadata,
        success_url: None,
        cancel_url: None,
        return_url: None,
        ui_mode: "hosted_page".to_owned(),
        locale: params.text("locale")?.value(),
        allow_promotion_codes: params.flag("allow_promotion_codes")?.value(),
        billing_address_collection: params.text("billing_address_collection")?.value(),
        payment_method_collection: words.value().unwrap_or("always").to_owned(),
        submit_type: params.text("submit_type")?.value(),
        subscription_data: SubscriptionData {
            metadata: Metadata::new(),
            description: None,
            trial_days: None,
            trial_end: None,
            missing_card: MissingCard::CreateInvoice,
        },
        payment_data: PaymentData::default(),
        form: CheckoutForm::default(),
        subscription: None,
        invoice: None,
        payment_intent: None,
        setup_intent: None,
        pending_intent: None,
    })
}

fn read_urls(params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    if session.client_reference_id.as_ref().is_some_and(|id| id.chars().count() > 200) {
        return Err(
            ApiError::rule("client_reference_id may have up to 200 characters.").param("client_reference_id")
        );
    }
    let mode = params
        .one_of("ui_mode", &["hosted_page", "embedded_page", "elements", "form"])?
        .value()
        .unwrap_or("hosted_page");
    mode.clone_into(&mut session.ui_mode);
    session.cancel_url = params.text("cancel_url")?.value();
    if mode == "hosted_page" {
        session.success_url = Some(params.required("success_url")?);
    } else {
        if params.has("success_url") {
            return Err(ApiError::rule(format!(
                "`success_url` cannot be used with `ui_mode: {mode}`; use `return_url`."
            ))
            .param("success_url"));
        }
        session.return_url = params.text("return_url")?.value();
    }
    for (name, url) in [
        ("success_url", &session.success_url),
        ("cancel_url", &session.cancel_url),
        ("return_url", &session.return_url),
    ] {
        if url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(ApiError::invalid(
                "url_invalid",
                name,
                "Not a valid URL: it must start with http:// or https://.",
            ));
        }
    }
    Ok(())
}

fn read_buyer(world: &World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    session.customer_email = params.text("customer_email")?.value();
    if let Some(id) = params.text("customer")?.value() {
        if session.customer_email.is_some() {
            return Err(ApiError::rule(
                "You may only specify one of these parameters: customer, customer_email.",
            ));
        }
        let customer = world.live_customer(&id, "customer")?;
        session.buyer_email = customer.email;
        session.customer = Some(id);
    }
    Ok(())
}

fn read_data(world: &World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    let subscription = params.sub("subscription_data");
    let payment = params.sub("payment_intent_data");
    let wrong = match session.mode {
        Mode::Subscription if params.has("payment_intent_data") => Some("payment_intent_data"),
        Mode::Payment | Mode::Setup if params.has("subscription_data") => Some("subscription_data"),
        Mode::Subscription | Mode::Payment | Mode::Setup => None,
    };
    if let Some(name) = wrong {
        return Err(ApiError::rule(format!(
            "You can not pass `{name}` in `{}` mode.",
            session.mode.as_str()
        ))
        .param(name));
    }
    subscription.metadata_into(&mut session.subscription_data.metadata)?;
    session.subscription_data.description = subscription.text("description")?.value();
    session.subscription_data.trial_days = subscription.int_within("trial_period_days", 1..=730)?.value();
    session.subscription_data.trial_end = subscription.int("trial_end")?.value();
    if session.subscription_data.trial_end.is_some_and(|end| end < world.now + 2 * DAY) {
        return Err(ApiError::rule("The `trial_end` date has to be at least 2 days in the future.")
            .param("subscription_data[trial_end]"));
    }
    session.subscription_data.missing_card = read_missing_card(&subscription)?;
    payment.metadata_into(&mut session.payment_data.metadata)?;
    session.payment_data.description = payment.text("description")?.value();
    session.payment_data.receipt_email = payment.text("receipt_email")?.value();
    session.payment_data.setup_future_usage = payment.text("setup_future_usage")?.value();
    session.payment_data.shipping = payment.free("shipping").unwrap_or_default();
    session.payment_data.capture_method = super::intents::read_capture(&payment)?.value().unwrap_or_default();
    Ok(())
}

fn read_lines(world: &mut World, params: &Params<'_>, mode: Mode) -> ApiResult<Vec<SessionLine>> {
    let items = params.list("line_items");
    match (mode, items.is_empty()) {
        (Mode::Setup, true) => return Ok(Vec::new()),
        (Mode::Setup, false) => {
            return Err(ApiError::rule("You can not pass `line_items` in `setup` mode.").param("line_items"));
        }
        (Mode::Payment | Mode::Subscription, true) => {
            return Err(ApiError::invalid(
                "parameter_missing",
                "line_items",
                "Missing required param: line_items.",
            ));
        }
        (Mode::Payment | Mode::Subscription, false) => {}
    }
    let mut lines = Vec::new();
    for item in items {
        let price = match world.price_of(&item)? {
            Some(price) => price,
            None => item.required("price")?,
        };
        let price = need(&world.prices, &price, &item.full("price"))?;
        check_line(&price, mode, &item)?;
        let quantity = item.int_within("quantity", 1..=999_999)?.value().ok_or_else(|| {
            ApiError::invalid(
                "parameter_missing",
                &item.full("quantity"),
                "Quantity is required. Add `quantity` to the line item.",
            )
        })?;
        lines.push(SessionLine {
            id: world.chance.id("li_"),
            amount: price.unit_amount.saturating_mul(quantity),
            description: world.product_name(&price),
            price: price.id,
            quantity,
        });
    }
    Ok(lines)
}

fn check_line(price: &Price, mode: Mode, item: &Params<'_>) -> ApiResult<()> {
    let param = item.full("price");
    if !price.active {
        return Err(ApiError::rule(format!(
            "The price `{}` is inactive. This field only accepts active prices.",
            price.id
        ))
        .param(&param));
    }
    match (mode, price.recurring.is_some()) {
        (Mode::Payment, true) => {
            Err(ApiError::rule("You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.").param(&param))
        }
        (Mode::Subscription, false) => {
            Err(ApiError::rule("The sandbox plays `subscription` mode with recurring prices only; this one is one-time.").param(&param))
        }
        (Mode::Payment, false) | (Mode::Subscription, true) | (Mode::Setup, _) => Ok(()),
    }
}
