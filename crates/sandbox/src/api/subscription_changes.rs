//! `POST /v1/subscriptions/{id}`: everything that can be changed about a running subscription.

use serde_json::Value;

use super::Call;
use super::discounts::read_discounts;
use super::invoice_lines::read_extras;
use super::subscriptions::{one, owned_method, read_details, read_missing_card};
use super::tax_rates::{read_automatic, read_rates};
use crate::billing::cancel::End;
use crate::billing::change::{Change, ItemChange, Proration, Strictness};
use crate::billing::discounts::Place;
use crate::model::share::Share;
use crate::model::subscription::{
    Collection, PauseBehavior, PauseCollection, Subscription, SubscriptionStatus,
};
use crate::model::terms::{ItemTermsChange, TermsChange};
use crate::payments::attempt::Presence;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Metadata, Params};

/// Changes that a subscription which is over still takes.
const AFTERLIFE: &[&str] = &["metadata", "cancellation_details", "expand"];
/// Changes that a subscription which was never paid takes.
const BEFORE_PAID: &[&str] = &[
    "metadata",
    "default_payment_method",
    "payment_settings",
    "description",
    "expand",
    "cancellation_details",
];

/// Changes that can wait for their payment.
const PENDING: &[&str] = &[
    "add_invoice_items",
    "billing_cycle_anchor",
    "discounts",
    "expand",
    "items",
    "metadata",
    "off_session",
    "payment_behavior",
    "price",
    "price_data",
    "proration_behavior",
    "proration_date",
    "quantity",
    "subscription",
    "tax_rates",
    "trial_end",
];

/// Reads `cancel_at`: a time, an end of the period, or nothing to take it back.
pub(super) fn read_cancel_at(
    params: &Params<'_>,
    subscription: Option<&Subscription>,
    now: i64,
) -> ApiResult<Field<i64>> {
    match (params.text("cancel_at")?, subscription) {
        (Field::Set(word), Some(subscription))
            if matches!(word.as_str(), "min_period_end" | "max_period_end") =>
        {
            Ok(Field::Set(subscription.period.end))
        }
        (Field::Set(word), Some(subscription)) if word == "max_billed_until" => {
            Ok(Field::Set(subscription.billed_until()))
        }
        (Field::Set(_), _) => match params.int("cancel_at")? {
            Field::Set(at) if at <= now => {
                Err(ApiError::rule("cancel_at must be in the future.").param("cancel_at"))
            }
            field => Ok(field),
        },
        (Field::Absent, _) => Ok(Field::Absent),
        (Field::Unset, _) => Ok(Field::Unset),
    }
}

/// Reads when a running subscription is to end, where that changes: `cancel_at` or `cancel_at_period_end`; also used by
/// previews.
pub(super) fn read_end(params: &Params<'_>, subscription: &Subscription, now: i64) -> ApiResult<Option<End>> {
    let cancel_at = read_cancel_at(params, Some(subscription), now)?;
    Ok(match (cancel_at, params.flag("cancel_at_period_end")?) {
        (Field::Set(_), Field::Set(true)) => {
            let message = "You cannot set both cancel_at and cancel_at_period_end.";
            return Err(ApiError::rule(message).param(&params.full("cancel_at")));
        }
        (Field::Set(at), _) => Some(End::At(at)),
        (_, Field::Set(true)) => Some(End::OfPeriod),
        (Field::Unset, _) => Some(End::Never),
        // It takes back nothing but itself.
        (Field::Absent, Field::Set(false)) => subscription.cancel_at_period_end.then_some(End::Never),
        (Field::Absent, Field::Absent | Field::Unset) => None,
    })
}

/// Reads changes of items; also used by previews.
pub(super) fn read_item_changes(
    world: &mut World,
    params: &Params<'_>,
    subscription: &Subscription,
) -> ApiResult<Vec<ItemChange>> {
    let mut changes = Vec::new();
    for item in params.list("items") {
        let change = read_item(world, &item, subscription)?;
        changes.push(ItemChange {
            id: item.text("id")?.value(),
            deleted: item.flag("deleted")? == Field::Set(true),
            ..change
        });
    }
    Ok(changes)
}

/// Reads what an item becomes.
pub(super) fn read_item(
    world: &mut World,
    item: &Params<'_>,
    subscription: &Subscription,
) -> ApiResult<ItemChange> {
    let metadata = if item.has("metadata") {
        let mut metadata = Metadata::new();
        item.metadata_into(&mut metadata)?;
        Some(metadata)
    } else {
        None
    };
    Ok(ItemChange {
        id: None,
        price: world.price_of(item)?,
        quantity: item.int_within("quantity", 0..=999_999)?.value(),
        deleted: false,
        metadata,
        archived_too: false,
        terms: ItemTermsChange {
            discounts: read_discounts(world, item, place_of(world, subscription))?,
            tax_rates: read_rates(world, item, "tax_rates")?,
        },
    })
}

/// Where a discount of a running subscription would hold.
pub(super) fn place_of<'a>(world: &World, subscription: &'a Subscription) -> Place<'a> {
    Place {
        customer: Some(&subscription.customer),
        currency: Some(&subscription.currency),
        subtotal: Some(
            subscription.items.iter().map(|item| world.full_price(item, &subscription.currency)).sum(),
        ),
    }
}

/// Reads the terms that a running subscription gets.
pub(super) fn read_terms_change(
    world: &mut World,
    params: &Params<'_>,
    subscription: &Subscription,
) -> ApiResult<TermsChange> {
    Ok(TermsChange {
        discounts: read_discounts(world, params, place_of(world, subscription))?,
        default_tax_rates: read_rates(world, params, "default_tax_rates")?,
        automatic_tax: read_automatic(params)?,
    })
}

/// Reads what happens to the difference in price.
pub(super) fn read_proration(params: &Params<'_>) -> ApiResult<Proration> {
    Ok(match params.one_of("proration_behavior", &["create_prorations", "always_invoice", "none"])? {
        Field::Set("always_invoice") => Proration::Invoice,
        Field::Set("none") => Proration::None,
        Field::Set(_) | Field::Absent | Field::Unset => Proration::Wait,
    })
}

/// Reads a new end of the trial.
pub(super) fn read_trial_end(params: &Params<'_>, now: i64) -> ApiResult<Option<i64>> {
    match params.text("trial_end")?.value().as_deref() {
        None => Ok(None),
        Some("now") => Ok(Some(now)),
        Some(_) => Ok(params.int("trial_end")?.value()),
    }
}

/// Reads how a payment that a change causes is taken.
pub(super) fn read_payment(params: &Params<'_>) -> ApiResult<(Strictness, Presence)> {
    let off_session = params.flag("off_session")? == Field::Set(true);
    let presence = if off_session { Presence::OffSession } else { Presence::OnSession };
    Ok((read_strictness(params)?, presence))
}

fn read_strictness(params: &Params<'_>) -> ApiResult<Strictness> {
    let behaviors =
        ["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"];
    match params.one_of("payment_behavior", &behaviors)? {
        Field::Set("default_incomplete") => Ok(Strictness::Wait),
        Field::Set("error_if_incomplete") => Ok(Strictness::Insist),
        Field::Set("pending_if_incomplete") => match params.names().find(|name| !PENDING.contains(name)) {
            Some(name) => {
                let message = format!(
                    "'{name}' cannot wait for a payment: leave it out with payment_behavior=pending_if_incomplete."
                );
                Err(ApiError::rule(message).param(name))
            }
            None => Ok(Strictness::Hold),
        },
        Field::Set(_) | Field::Absent | Field::Unset => Ok(Strictness::Allow),
    }
}

/// Refuses changes that the subscription's status does not take.
pub(super) fn check_editable<'a>(
    subscription: &Subscription,
    mut names: impl Iterator<Item = &'a str>,
) -> ApiResult<()> {
    let allowed = match subscription.status {
        SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired => AFTERLIFE,
        SubscriptionStatus::Incomplete => BEFORE_PAID,
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Unpaid
        | SubscriptionStatus::Paused => return Ok(()),
    };
    match names.find(|name| !allowed.contains(name)) {
        Some(name) => {
            let message = format!(
                "A subscription with status {} cannot change '{name}'. No money moved.",
                subscription.status.as_str()
            );
            Err(ApiError::rule(message).param(name))
        }
        None => Ok(()),
    }
}

/// Carries an update out: plain fields first, then what may cost money.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let (params, id) = (&call.params, call.id());
    let subscription = need(&world.subscriptions, id, "id")?;
    check_editable(&subscription, params.names())?;
    let end = read_end(params, &subscription, world.now)?;
    if let Some(name) = ["cancel_at", "cancel_at_period_end"].into_iter().find(|name| params.has(name)) {
        world.check_unscheduled(&subscription, name)?;
    }
    let (strictness, presence) = read_payment(params)?;
    let restart =
        params.sub("billing_cycle_anchor").one_of("type", &["now", "unchanged"])? == Field::Set("now");
    let plain = read_plain(world, params, &subscription)?;
    let change = Change {
        items: read_item_changes(world, params, &subscription)?,
        proration: read_proration(params)?,
        at: params.int("proration_date")?.value(),
        restart,
        trial_end: read_trial_end(params, world.now)?,
        terms: read_terms_change(world, params, &subscription)?,
        extras: read_extras(
            world,
            params,
            "add_invoice_items",
            &subscription.customer,
            &subscription.currency,
        )?,
        end,
    };
    if !change.is_empty() {
        world.apply_change(id, &change, strictness, presence)?;
    } else if let Some(end) = end {
        world.plan_end(id, end, change.proration)?;
    }
    world.change_subscription(id, |subscription| plain.write(subscription));
    if let Some(resumes_at) = plain.pause.clone().value().and_then(|pause| pause.resumes_at) {
        world.timers.set(resumes_at.max(world.now), Timer::CollectionResumes(id.to_owned()));
    }
    one(world, id)
}

/// Changes that move no money.
struct Plain {
    metadata: Metadata,
    description: Field<String>,
    default_payment_method: Field<String>,
    pause: Field<PauseCollection>,
    comment: Option<String>,
    feedback: Option<String>,
    saves: Option<&'static str>,
    missing_card: Option<crate::model::subscription::MissingCard>,
    share: Share,
    collection: Option<(Collection, Option<i64>)>,
}

fn read_plain(world: &mut World, params: &Params<'_>, subscription: &Subscription) -> ApiResult<Plain> {
    let mut metadata = subscription.metadata.clone();
    params.metadata_into(&mut metadata)?;
    let default_payment_method = match params.text("default_payment_method")? {
        Field::Set(reference) => Field::Set(owned_method(world, &reference, &subscription.customer)?),
        Field::Unset => Field::Unset,
        Field::Absent => Field::Absent,
    };
    let details = read_details(params)?;
    let mut share = subscription.share.clone();
    if params.names().any(|name| ["application_fee_percent", "on_behalf_of", "transfer_data"].contains(&name))
    {
        world.read_share(params, &mut share, None)?;
    }
    let missing_card = if params.has("trial_settings") { Some(read_missing_card(params)?) } else { None };
    Ok(Plain {
        metadata,
        description: params.text("description")?,
        default_payment_method,
        pause: read_pause(params, world.now)?,
        comment: details.comment,
        feedback: details.feedback,
        saves: params
            .sub("payment_settings")
            .one_of("save_default_payment_method", &["off", "on_subscription"])?
            .value(),
        missing_card,
        share,
        collection: read_collection(params, subscription)?,
    })
}

/// Reads who starts payments from now on, and how long a customer has to pay.
fn read_collection(
    params: &Params<'_>,
    subscription: &Subscription,
) -> ApiResult<Option<(Collection, Option<i64>)>> {
    let method = params.one_of("collection_method", &["charge_automatically", "send_invoice"])?;
    let days = params.int_within("days_until_due", 0..=3650)?;
    if (&method, &days) == (&Field::Absent, &Field::Absent) {
        return Ok(None);
    }
    let collection = match method {
        Field::Set("send_invoice") => Collection::SendInvoice,
        Field::Set(_) => Collection::ChargeAutomatically,
        Field::Absent | Field::Unset => subscription.collection,
    };
    match (collection, days.value()) {
        (Collection::SendInvoice, days) => match days.or(subscription.days_until_due) {
            Some(days) => Ok(Some((collection, Some(days)))),
            None => Err(ApiError::rule("days_until_due is required with collection_method=send_invoice.")
                .param("days_until_due")),
        },
        (Collection::ChargeAutomatically, None) => Ok(Some((collection, None))),
        (Collection::ChargeAutomatically, Some(_)) => {
            Err(ApiError::rule("days_until_due is for collection_method=send_invoice.")
                .param("days_until_due"))
        }
    }
}

/// Refuses billing modes that are not played.
pub(super) fn check_billing_mode(params: &Params<'_>) -> ApiResult<()> {
    let mode = params.sub("billing_mode");
    let kind = mode.one_of("type", &["classic", "flexible"])?;
    let discounts = mode.sub("flexible").one_of("proration_discounts", &["included", "itemized"])?;
    if kind == Field::Set("classic") || discounts == Field::Set("itemized") {
        let message = "The sandbox plays flexible billing with discounts included in prorations.";
        return Err(ApiError::invalid("parameter_not_in_sandbox", &params.full("billing_mode"), message));
    }
    Ok(())
}

fn read_pause(params: &Params<'_>, now: i64) -> ApiResult<Field<PauseCollection>> {
    if !params.has("pause_collection") {
        return Ok(Field::Absent);
    }
    let pause = params.sub("pause_collection");
    let behavior = match pause.one_of("behavior", &["keep_as_draft", "mark_uncollectible", "void"])? {
        Field::Set("keep_as_draft") => PauseBehavior::KeepAsDraft,
        Field::Set("mark_uncollectible") => PauseBehavior::MarkUncollectible,
        Field::Set(_) => PauseBehavior::Void,
        Field::Absent | Field::Unset if pause.names().next().is_some() => {
            let full = pause.full("behavior");
            return Err(ApiError::invalid(
                "parameter_missing",
                &full,
                format!("Missing required param: {full}."),
            ));
        }
        Field::Absent | Field::Unset => return Ok(Field::Unset),
    };
    let resumes_at = pause.int("resumes_at")?.value();
    if resumes_at.is_some_and(|at| at <= now) {
        let message = "resumes_at must be in the future.";
        return Err(ApiError::rule(message).param(&pause.full("resumes_at")));
    }
    Ok(Field::Set(PauseCollection { behavior, resumes_at }))
}

impl Plain {
    fn write(&self, subscription: &mut Subscription) {
        subscription.metadata.clone_from(&self.metadata);
        subscription.share.clone_from(&self.share);
        self.description.clone().apply(&mut subscription.description);
        self.default_payment_method.clone().apply(&mut subscription.default_payment_method);
        self.pause.clone().apply(&mut subscription.pause_collection);
        if let Some(comment) = &self.comment {
            subscription.cancellation.comment = Some(comment.clone());
        }
        if let Some(feedback) = &self.feedback {
            subscription.cancellation.feedback = Some(feedback.clone());
        }
        if let Some(word) = self.saves {
            word.clone_into(&mut subscription.save_default_payment_method);
        }
        if let Some((collection, days)) = self.collection {
            subscription.collection = collection;
            subscription.days_until_due = days;
        }
        if let Some(missing_card) = self.missing_card {
            subscription.missing_card = missing_card;
        }
    }
}
