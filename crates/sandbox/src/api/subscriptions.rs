//! Subscriptions: made, listed, cancelled, paused and resumed. Changes are next door.

use serde_json::Value;

use super::discounts::{delete_discount, read_discounts};
use super::invoice_lines::read_extras;
use super::tax_rates::{read_automatic, read_rates};
use super::{Call, subscription_changes};
use crate::billing::amounts::in_advance;
use crate::billing::cancel::CancelNow;
use crate::billing::discounts::Place;
use crate::billing::pause::{Pausing, Resumption, Unused};
use crate::billing::subscribe::{FirstPayment, NewItem, NewSubscription, quantity_of_metered};
use crate::model::product::Price;
use crate::model::share::Share;
use crate::model::subscription::{
    CancellationDetails, Collection, MissingCard, Subscription, SubscriptionStatus,
};
use crate::model::tax::AutomaticTax;
use crate::model::terms::{ItemTerms, SubscriptionTerms};
use crate::payments::attempt::Presence;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::{Range, list};
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "subscriptions") => create(world, call),
        ("GET", "subscriptions") => all(world, call),
        ("GET", "subscriptions/{id}") => one(world, call.id()),
        ("POST", "subscriptions/{id}") => subscription_changes::update(world, call),
        ("DELETE", "subscriptions/{id}") => cancel(world, call),
        ("DELETE", "subscriptions/{id}/discount") => delete_discount(world, call.id()),
        ("POST", "subscriptions/{id}/pause") => pause(world, call),
        ("POST", "subscriptions/{id}/resume") => resume(world, call),
        _ => return None,
    })
}

/// One subscription as it stands.
pub(super) fn one(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.subscriptions, id, "id").map(|subscription| subscription.render(&world.prices))
}

/// The items of a new subscription.
fn read_items(world: &mut World, params: &Params<'_>) -> ApiResult<Vec<NewItem>> {
    let mut items = Vec::new();
    for item in params.list("items") {
        let price = match world.price_of(&item)? {
            Some(price) => price,
            None => item.required("price")?,
        };
        let mut metadata = Metadata::new();
        item.metadata_into(&mut metadata)?;
        let quantity = read_quantity(world, &item, &price, 0)?.unwrap_or(1);
        items.push(NewItem { price, quantity, metadata, terms: ItemTerms::default() });
    }
    if items.is_empty() {
        return Err(ApiError::invalid("parameter_missing", "items", "Missing required param: items."));
    }
    Ok(items)
}

/// Reads the terms of new items, and those of their subscription in a currency.
fn read_terms(
    world: &mut World,
    params: &Params<'_>,
    items: &mut [NewItem],
    customer: &str,
    currency: &str,
) -> ApiResult<SubscriptionTerms> {
    let mut sum = 0_i64;
    for (item, given) in items.iter_mut().zip(params.list("items")) {
        let price = world.prices.get(&item.price);
        let amount = price.map_or(0, |price| in_advance(price, currency, item.quantity));
        sum = sum.saturating_add(amount);
        let place = Place { customer: Some(customer), currency: Some(currency), subtotal: Some(amount) };
        item.terms = ItemTerms {
            discounts: read_discounts(world, &given, place)?.unwrap_or_default(),
            tax_rates: read_rates(world, &given, "tax_rates")?.unwrap_or_default(),
        };
    }
    let place = Place { customer: Some(customer), currency: Some(currency), subtotal: Some(sum) };
    Ok(SubscriptionTerms {
        discounts: read_discounts(world, params, place)?.unwrap_or_default(),
        default_tax_rates: read_rates(world, params, "default_tax_rates")?.unwrap_or_default(),
        automatic_tax: AutomaticTax::asked(read_automatic(params)? == Some(true)),
    })
}

/// Reads how many units of a price; of a metered one the meter says it, and a quantity is refused.
pub(super) fn read_quantity(
    world: &World,
    item: &Params<'_>,
    price: &str,
    least: i64,
) -> ApiResult<Option<i64>> {
    let quantity = item.int_within("quantity", least..=999_999)?.value();
    match (world.prices.get(price).is_some_and(Price::is_metered), quantity) {
        (true, Some(_)) => Err(quantity_of_metered(&item.full("quantity"))),
        (true, None) => Ok(Some(0)),
        (false, quantity) => Ok(quantity),
    }
}

/// Reads `trial_end` (a time, or `now`) and `trial_period_days`.
fn read_trial(world: &World, params: &Params<'_>) -> ApiResult<Option<i64>> {
    if let Some(days) = params.int_within("trial_period_days", 0..=730)?.value() {
        return Ok((days > 0).then(|| world.now + days * 86_400));
    }
    match params.text("trial_end")?.value().as_deref() {
        None | Some("now") => Ok(None),
        Some(_) => {
            let end = params.int("trial_end")?.value().unwrap_or_default();
            if end <= world.now || end > world.now + 2 * 366 * 86_400 {
                return Err(ApiError::rule(
                    "Invalid timestamp: must be in the future and at most two years ahead.",
                )
                .param("trial_end"));
            }
            Ok(Some(end))
        }
    }
}

/// What happens when the trial ends and there is no card.
pub(super) fn read_missing_card(params: &Params<'_>) -> ApiResult<MissingCard> {
    let behavior = params.sub("trial_settings").sub("end_behavior");
    Ok(match behavior.one_of("missing_payment_method", &["cancel", "create_invoice", "pause"])? {
        Field::Set("cancel") => MissingCard::Cancel,
        Field::Set("pause") => MissingCard::Pause,
        Field::Set(_) | Field::Absent | Field::Unset => MissingCard::CreateInvoice,
    })
}

fn read_first_payment(params: &Params<'_>) -> ApiResult<FirstPayment> {
    let off_session = params.flag("off_session")? == Field::Set(true);
    let presence = if off_session { Presence::OffSession } else { Presence::OnSession };
    let behaviors =
        ["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"];
    match params.one_of("payment_behavior", &behaviors)? {
        Field::Set("default_incomplete") => Ok(FirstPayment::Wait),
        Field::Set("error_if_incomplete") => Ok(FirstPayment::Insist(presence)),
        Field::Set("pending_if_incomplete") => Err(ApiError::rule(
            "payment_behavior=pending_if_incomplete can only be used when updating a subscription.",
        )
        .param("payment_behavior")),
        Field::Set(_) | Field::Absent | Field::Unset => Ok(FirstPayment::Try(presence)),
    }
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let customer = world.live_customer(&params.required("customer")?, "customer")?;
    let collection = match params.one_of("collection_method", &["charge_automatically", "send_invoice"])? {
        Field::Set("send_invoice") => Collection::SendInvoice,
        Field::Set(_) | Field::Absent | Field::Unset => Collection::ChargeAutomatically,
    };
    let days_until_due = params.int_within("days_until_due", 0..=3650)?.value();
    if (collection == Collection::SendInvoice) != days_until_due.is_some() {
        return Err(ApiError::rule(
            "days_until_due is required with collection_method=send_invoice, and only then.",
        )
        .param("days_until_due"));
    }
    let default_payment_method = match params.text("default_payment_method")?.value() {
        Some(reference) => Some(owned_method(world, &reference, &customer.id)?),
        None => None,
    };
    let trial_end = read_trial(world, params)?;
    let anchor = params.int("billing_cycle_anchor")?.value();
    if anchor.is_some_and(|anchor| anchor < world.now) {
        return Err(
            ApiError::rule("billing_cycle_anchor must be in the future.").param("billing_cycle_anchor")
        );
    }
    let cancel_at = subscription_changes::read_cancel_at(params, None, world.now)?.value();
    let first_payment = read_first_payment(params)?;
    let missing_card = read_missing_card(params)?;
    let proration = params.one_of("proration_behavior", &["create_prorations", "always_invoice", "none"])?;
    let settings = params.sub("payment_settings");
    let saves =
        settings.one_of("save_default_payment_method", &["off", "on_subscription"])?.value().unwrap_or("off");
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    subscription_changes::check_billing_mode(params)?;
    let mut items = read_items(world, params)?;
    let currency = params.text("currency")?.value().map(|code| code.to_ascii_lowercase());
    let currency = world.currency_of_items(&items, currency, customer.currency.as_deref())?;
    let terms = read_terms(world, params, &mut items, &customer.id, &currency)?;
    let extras = read_extras(world, params, "add_invoice_items", &customer.id, &currency)?;
    let mut share = Share::default();
    world.read_share(params, &mut share, None)?;
    let id = world.subscribe(NewSubscription {
        customer: customer.id,
        currency: Some(currency),
        items,
        extras,
        terms,
        metadata,
        description: params.text("description")?.value(),
        trial_end,
        anchor,
        prorate_first: proration != Field::Set("none"),
        collection,
        days_until_due,
        default_payment_method,
        missing_card,
        cancel_at,
        cancel_at_period_end: params.flag("cancel_at_period_end")? == Field::Set(true),
        save_default_payment_method: saves.to_owned(),
        first_payment,
        schedule: None,
        backdated: None,
        share,
    })?;
    one(world, &id)
}

/// A payment method that the customer has; a test token is attached on the way.
pub(super) fn owned_method(world: &mut World, reference: &str, customer: &str) -> ApiResult<String> {
    let method = world.resolve_method(reference, "default_payment_method")?;
    let owner = world.payment_methods.get(&method).and_then(|method| method.customer.clone());
    if method != reference && owner.is_none() {
        world.attach_method(&method, customer)?;
        return Ok(method);
    }
    if owner.as_deref() == Some(customer) {
        return Ok(method);
    }
    let message = format!(
        "The customer does not have a payment method with the ID {method}. The payment method must be attached to the customer."
    );
    Err(ApiError::state("resource_missing", message).param("default_payment_method"))
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let words = [
        "active",
        "all",
        "canceled",
        "ended",
        "incomplete",
        "incomplete_expired",
        "past_due",
        "paused",
        "trialing",
        "unpaid",
    ];
    let status = params.one_of("status", &words)?.value();
    let customer = params.text("customer")?.value();
    if let Some(customer) = &customer {
        need(&world.customers, customer, "customer")?;
    }
    let clock = params.text("test_clock")?.value();
    // Those of test clocks are listed only when a clock or a customer is asked for.
    let by_clock = |subscription: &Subscription| {
        subscription.test_clock == clock || (clock.is_none() && customer.is_some())
    };
    let price = params.text("price")?.value().or(params.text("plan")?.value());
    let collection = params.text("collection_method")?.value();
    let (starts, ends) =
        (Range::read(params, "current_period_start")?, Range::read(params, "current_period_end")?);
    let keep = |subscription: &Subscription| {
        let by_status = match status {
            None => subscription.status != SubscriptionStatus::Canceled,
            Some("all") => true,
            Some("ended") => subscription.status.is_terminal(),
            Some(word) => subscription.status.as_str() == word,
        };
        by_status
            && by_clock(subscription)
            && price.as_ref().is_none_or(|price| subscription.items.iter().any(|item| item.price == *price))
            && collection.as_ref().is_none_or(|word| subscription.collection.as_str() == word)
            && starts.holds(subscription.period.start)
            && ends.holds(subscription.period.end)
    };
    let render = |subscription: &Subscription| subscription.render(&world.prices);
    list(&world.subscriptions, params, "/v1/subscriptions", customer.as_deref(), keep, render)
}

/// Reads why somebody cancels.
pub(super) fn read_details(params: &Params<'_>) -> ApiResult<CancellationDetails> {
    const FEEDBACK: &[&str] = &[
        "customer_service",
        "low_quality",
        "missing_features",
        "other",
        "switched_service",
        "too_complex",
        "too_expensive",
        "unused",
    ];
    let details = params.sub("cancellation_details");
    Ok(CancellationDetails {
        comment: details.text("comment")?.value(),
        feedback: details.one_of("feedback", FEEDBACK)?.value().map(str::to_owned),
        reason: None,
    })
}

fn cancel(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let how = CancelNow {
        invoice: params.flag("invoice_now")? == Field::Set(true),
        prorate: params.flag("prorate")? == Field::Set(true),
        details: read_details(params)?,
    };
    world.cancel_now(call.id(), how)?;
    one(world, call.id())
}

fn pause(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    params.one_of("type", &["subscription"])?;
    let bill_for = params.sub("bill_for");
    // Metered prices are refused, so that there is no usage to collect.
    bill_for.sub("outstanding_usage_through").one_of("type", &["none", "now"])?;
    let unused =
        bill_for.sub("unused_time_from").one_of("type", &["item_current_period_start", "none", "now"])?;
    let how = Pausing {
        unused: match unused {
            Field::Set("item_current_period_start") => Unused::WholePeriod,
            Field::Set("none") => Unused::Kept,
            Field::Set(_) | Field::Unset | Field::Absent => Unused::FromNow,
        },
        invoice: params.one_of("invoicing_behavior", &["invoice", "pending_invoice_item"])?
            == Field::Set("invoice"),
    };
    world.pause_on_request(call.id(), how)?;
    one(world, call.id())
}

fn resume(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    let anchor = params.sub("billing_cycle_anchor").one_of("type", &["now", "unchanged"])?;
    let payment =
        params.one_of("payment_behavior", &["resume_on_payment_attempt", "resume_on_payment_success"])?;
    let how = Resumption {
        keep_anchor: anchor == Field::Set("unchanged"),
        on_attempt: payment == Field::Set("resume_on_payment_attempt"),
        proration: subscription_changes::read_proration(params)?,
        at: params.int("proration_date")?.value(),
    };
    world.resume_subscription(call.id(), how)?;
    one(world, call.id())
}
