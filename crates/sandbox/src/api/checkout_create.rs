//! `POST /v1/checkout/sessions`: reads and checks everything that a session can be made of.

use serde_json::Value;

use super::Call;
use super::discounts::read_discounts;
use super::subscription_changes::check_billing_mode;
use super::subscriptions::{read_missing_card, read_quantity};
use super::tax_rates::{read_automatic, read_rates};
use crate::billing::amounts::{agreed_currency, payable};
use crate::model::checkout::{
    CheckoutSession, Mode, PaymentData, PaymentStatus, SessionLine, SessionStatus, SubscriptionData,
};
use crate::model::checkout_asks::Asks;
use crate::model::checkout_form::CheckoutForm;
use crate::model::product::Price;
use crate::model::share::Share;
use crate::model::subscription::MissingCard;
use crate::model::tax::AutomaticTax;
use crate::model::terms::LineTerms;
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
    fill(world, params, &mut session)?;
    let data = match mode {
        Mode::Payment => params.sub("payment_intent_data"),
        Mode::Subscription => params.sub("subscription_data"),
        Mode::Setup => params.sub("setup_intent_data"),
    };
    read_share(world, &data, &mut session)?;
    let object = session.render();
    world.open_session(session);
    Ok(object)
}

/// What the sessions of a payment link are copies of.
pub(super) fn for_link(world: &mut World, params: &Params<'_>, mode: Mode) -> ApiResult<CheckoutSession> {
    let mut session = blank(world, params, mode)?;
    fill(world, params, &mut session)?;
    let other = match mode {
        Mode::Payment => "application_fee_percent",
        Mode::Subscription | Mode::Setup => "application_fee_amount",
    };
    if params.has(other) {
        let message = format!("You can not pass `{other}` for a payment link in `{}` mode.", mode.as_str());
        return Err(ApiError::rule(message).param(other));
    }
    read_share(world, params, &mut session)?;
    params.sub("payment_intent_data").text("transfer_group")?.apply(&mut session.share.transfer_group);
    Ok(session)
}

/// Reads who else has a share in what the buyer pays.
fn read_share(world: &World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    let total = match session.mode {
        Mode::Payment => Some(session.amount_total()),
        Mode::Subscription | Mode::Setup => None,
    };
    world.read_share(params, &mut session.share, total)
}

/// Reads what is sold, and how.
fn fill(world: &mut World, params: &Params<'_>, session: &mut CheckoutSession) -> ApiResult<()> {
    let mode = session.mode;
    read_data(world, params, session)?;
    let wanted = params.text("currency")?.value().map(|code| code.to_ascii_lowercase());
    let buyers = session.customer.as_ref().and_then(|id| world.customers.get(id));
    let buyers = buyers.and_then(|buyer| buyer.currency.clone()).filter(|_| mode == Mode::Subscription);
    let chosen = read_lines(world, params, mode)?;
    let prices: Vec<Price> = chosen.iter().map(|(price, _)| price.clone()).collect();
    session.currency = agreed_currency(&prices, wanted, buyers.as_deref());
    session.lines = price_lines(chosen, session.currency.as_deref().unwrap_or_default())?;
    super::checkout_form::read(world, params, session)?;
    super::checkout_asks::read(world, params, session)?;
    let discounts = read_discounts(world, params, world.place_of_session(session))?;
    let most = if mode == Mode::Setup { 0 } else { 1 };
    if discounts.as_ref().is_some_and(|discounts| discounts.len() > most) {
        let message = format!("A Checkout Session in this mode takes at most {most} discounts.");
        return Err(ApiError::rule(message).param("discounts"));
    }
    if discounts.is_some() && session.allow_promotion_codes == Some(true) {
        let message = "You may only specify one of these parameters: allow_promotion_codes, discounts.";
        return Err(ApiError::rule(message));
    }
    world.discount_session(session, discounts.unwrap_or_default())?;
    if mode == Mode::Subscription {
        world.check_sellable(session)?;
    }
    Ok(())
}

fn blank(world: &mut World, params: &Params<'_>, mode: Mode) -> ApiResult<CheckoutSession> {
    let id = world.chance.id("cs_test_");
    let now = world.own_now();
    let expires_at = params.int("expires_at")?.value().unwrap_or(now + DAY);
    if !(now + 1800..=now + DAY).contains(&expires_at) {
        let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(ApiError::rule(message).param("expires_at"));
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let words = params.one_of("payment_method_collection", &["always", "if_required"])?;
    Ok(CheckoutSession {
        page_url: format!("{}/c/pay/{id}", world.public_url),
        id,
        created: now,
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
        discounts: Vec::new(),
        default_tax_rates: Vec::new(),
        automatic_tax: AutomaticTax::asked(read_automatic(params)? == Some(true)),
        country: None,
        updates_address: params.sub("customer_update").one_of("address", &["auto", "never"])?
            == Field::Set("auto"),
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
            anchor: None,
            missing_card: MissingCard::CreateInvoice,
        },
        payment_data: PaymentData::default(),
        form: CheckoutForm::default(),
        asks: Asks::default(),
        subscription: None,
        invoice: None,
        payment_intent: None,
        setup_intent: None,
        pending_intent: None,
        payment_link: None,
        share: Share::default(),
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
        if session.automatic_tax.is_on() && customer.country().is_none() && !session.updates_address {
            return Err(ApiError::state(
                "customer_tax_location_invalid",
                "Automatic tax calculation in Checkout requires a valid address on the Customer. Add one, or set `customer_update[address]` to 'auto' to save the one that the buyer gives.",
            )
            .param("automatic_tax"));
        }
        session.buyer_email = customer.email;
        session.customer = Some(id);
    }
    Ok(())
}

/// Reads when the first whole period begins. Only a free time before it is played, not one in proportion.
fn read_anchor(data: &Params<'_>, now: i64) -> ApiResult<Option<i64>> {
    let behavior = data.one_of("proration_behavior", &["create_prorations", "none"])?;
    let Some(anchor) = data.int("billing_cycle_anchor")?.value() else { return Ok(None) };
    let param = data.full("billing_cycle_anchor");
    if anchor <= now {
        return Err(ApiError::rule("billing_cycle_anchor must be in the future.").param(&param));
    }
    if behavior != Field::Set("none") {
        let message = "With billing_cycle_anchor the sandbox plays proration_behavior=none.";
        return Err(ApiError::invalid("parameter_not_in_sandbox", &param, message));
    }
    Ok(Some(anchor))
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
    // Published: it "can only be set in `payment` and `setup` mode"; a subscription always has a customer.
    if session.mode == Mode::Subscription && params.has("customer_creation") {
        let message = "`customer_creation` can only be set in `payment` and `setup` mode.";
        return Err(ApiError::rule(message).param("customer_creation"));
    }
    check_billing_mode(&subscription)?;
    subscription.metadata_into(&mut session.subscription_data.metadata)?;
    session.subscription_data.description = subscription.text("description")?.value();
    session.default_tax_rates = read_rates(world, &subscription, "default_tax_rates")?.unwrap_or_default();
    session.subscription_data.trial_days = subscription.int_within("trial_period_days", 1..=730)?.value();
    session.subscription_data.trial_end = subscription.int("trial_end")?.value();
    if session.subscription_data.trial_end.is_some_and(|end| end < world.now + 2 * DAY) {
        return Err(ApiError::rule("The `trial_end` date has to be at least 2 days in the future.")
            .param("subscription_data[trial_end]"));
    }
    session.subscription_data.anchor = read_anchor(&subscription, world.now)?;
    if session.subscription_data.anchor.is_some()
        && (session.subscription_data.trial_days.is_some() || session.subscription_data.trial_end.is_some())
    {
        let message = "You can not set both `billing_cycle_anchor` and a trial.";
        return Err(ApiError::rule(message).param("subscription_data[billing_cycle_anchor]"));
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

/// Whether a line must say how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Named,
    /// Without a word it is one.
    One,
}

/// A line on sale with its price, before it is priced in a currency.
pub(super) fn read_line(
    world: &mut World,
    item: &Params<'_>,
    quantity: Quantity,
) -> ApiResult<(Price, SessionLine)> {
    let price = match world.price_of(item)? {
        Some(price) => price,
        None => item.required("price")?,
    };
    let price = need(&world.prices, &price, &item.full("price"))?;
    if !price.active {
        return Err(ApiError::rule(format!(
            "The price `{}` is inactive. This field only accepts active prices.",
            price.id
        ))
        .param(&item.full("price")));
    }
    let given = read_quantity(world, item, &price.id, 1)?;
    let quantity = given.or((quantity == Quantity::One).then_some(1)).ok_or_else(|| {
        ApiError::invalid(
            "parameter_missing",
            &item.full("quantity"),
            "Quantity is required. Add `quantity` to the line item.",
        )
    })?;
    let mut metadata = Metadata::new();
    item.metadata_into(&mut metadata)?;
    let line = SessionLine {
        id: world.chance.id("li_"),
        amount: 0,
        recurring: price.recurring.is_some(),
        description: world.product_name(&price),
        price: price.id.clone(),
        quantity,
        terms: LineTerms {
            tax_rates: read_rates(world, item, "tax_rates")?.unwrap_or_default(),
            ..LineTerms::default()
        },
        optional: None,
        adjustable: read_adjustable(item, quantity)?,
        metadata,
    };
    Ok((price, line))
}

/// Reads whether, and from how many to how many, the buyer can change a quantity.
pub(super) fn read_adjustable(item: &Params<'_>, quantity: i64) -> ApiResult<Option<(i64, i64)>> {
    let range = item.sub("adjustable_quantity");
    let least = range.int_within("minimum", 0..=999_999)?.value().unwrap_or(0);
    let most = range.int_within("maximum", 1..=999_999)?.value().unwrap_or(99);
    let adjustable = range.flag("enabled")? == Field::Set(true);
    if adjustable && !(least..=most).contains(&quantity) {
        let message = format!("The quantity must be between {least} and {most}.");
        return Err(ApiError::rule(message).param(&item.full("quantity")));
    }
    Ok(adjustable.then_some((least, most)))
}

/// The lines on sale with their prices, before they are priced in a currency.
fn read_lines(world: &mut World, params: &Params<'_>, mode: Mode) -> ApiResult<Vec<(Price, SessionLine)>> {
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
    let mut chosen = Vec::new();
    for item in items {
        let (price, line) = read_line(world, &item, Quantity::Named)?;
        check_mode(&price, mode, &item)?;
        chosen.push((price, line));
    }
    Ok(chosen)
}

/// Prices lines in a currency.
pub(super) fn price_lines(chosen: Vec<(Price, SessionLine)>, currency: &str) -> ApiResult<Vec<SessionLine>> {
    let priced = |(index, (price, line)): (usize, (Price, SessionLine))| {
        let params = ["price", "quantity"].map(|name| format!("line_items[{index}][{name}]"));
        let amount = payable(&price, currency, line.quantity, params.each_ref().map(String::as_str))?;
        Ok(SessionLine { amount, ..line })
    };
    chosen.into_iter().enumerate().map(priced).collect()
}

/// Refuses a price that cannot be sold in a mode.
pub(super) fn check_mode(price: &Price, mode: Mode, item: &Params<'_>) -> ApiResult<()> {
    let param = item.full("price");
    match (mode, price.recurring.is_some()) {
        (Mode::Payment, true) => {
            Err(ApiError::rule("You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.").param(&param))
        }
        (Mode::Payment, false) | (Mode::Subscription | Mode::Setup, _) => Ok(()),
    }
}
